"""The same load on Longshore and on moto's server: 64 clients at once that run, describe and list tasks. What does each answer, how fast?

    cargo build --release && pip install boto3 'moto[server]'
    python benches/api_load.py target/release/longshore [--clients 64] [--seconds 10] [--tasks 20]

Both get a server of their own, on ports that are free. Each client has a connection that it keeps and does the same again and again: RunTask
with one task, DescribeTasks of its last ones, ListTasks. Requests are written without botocore, which takes longer for one than a server
should. Longshore really runs the tasks, a small WASI module each; moto keeps a record. Requests that fail, or take longer than five
seconds, are errors. What is printed are requests a second over all operations, and for each operation how many there were,
their median, 99th percentile and longest time, and errors.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import boto3
import botocore.config
import botocore.exceptions

OPERATIONS = ("RunTask", "DescribeTasks", "ListTasks")
# Beyond that many client processes the machine is busy with the clients alone.
PROCESSES = 4
WAIT_MAX = 60
SECONDS_MAX = 5
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/us-east-1/ecs/aws4_request, SignedHeaders=host, "
    "Signature=00",
}


def client(endpoint, service="ecs"):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="an example of a secret",
        config=botocore.config.Config(
            retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=5, max_pool_connections=1
        ),
    )


def one_client(endpoint, run, until, described, measured):
    """Runs, describes and lists until it is time; notes what each took, in seconds, and why it failed if it did."""
    host = endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=SECONDS_MAX)
    arns = []
    while time.time() < until:
        for operation in OPERATIONS:
            members = {
                "RunTask": run,
                "DescribeTasks": {"tasks": arns[-described:]},
                "ListTasks": {"family": "load"},
            }[operation]
            headers = HEADERS | {"X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}"}
            begin, error = time.perf_counter(), None
            try:
                connection.request("POST", "/", json.dumps(members), headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    error = f"{operation}: {answer.status} {body[:200]!r}"
                elif operation == "RunTask":
                    arns += [task["taskArn"] for task in json.loads(body)["tasks"]]
            except (OSError, http.client.HTTPException) as failure:
                connection.close()
                error = f"{operation}: {failure!r}"
            measured.append((operation, time.perf_counter() - begin, error))


def client_process(endpoint, run, clients, until, described, answers):
    measured = []
    threads = [
        threading.Thread(target=one_client, args=(endpoint, run, until, described, measured)) for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put(measured)


def load(endpoint, run, arguments):
    """What all clients measured, and for how long they were at it."""
    answers = multiprocessing.Queue()
    shares = [
        arguments.clients // PROCESSES + (index < arguments.clients % PROCESSES) for index in range(PROCESSES)
    ]
    until = time.time() + arguments.seconds
    begin = time.time()
    processes = [
        multiprocessing.Process(target=client_process, args=(endpoint, run, share, until, arguments.tasks, answers))
        for share in shares
        if share
    ]
    for process in processes:
        process.start()
    measured = [each for _ in processes for each in answers.get()]
    for process in processes:
        process.join()
    return measured, time.time() - begin


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def until_answered(endpoint, process):
    deadline = time.time() + WAIT_MAX
    while time.time() < deadline:
        assert process.poll() is None, f"the server has ended with {process.returncode}"
        try:
            return client(endpoint).list_clusters()
        except Exception:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


def prepare(endpoint, image="quick"):
    """A cluster and a task definition of Fargate. Returns the parameters of RunTask; moto wants a subnet that it has."""
    ecs = client(endpoint)
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(
        family="load",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": image, "command": ["true"], "cpu": 256, "memory": 512}],
    )
    try:
        subnet = client(endpoint, "ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    except botocore.exceptions.ClientError:
        subnet = "subnet-1"
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}}
    return {"taskDefinition": "load", "launchType": "FARGATE", "networkConfiguration": network}


def measure(name, command, endpoint, environment, arguments):
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
    try:
        until_answered(endpoint, process)
        measured, seconds = load(endpoint, prepare(endpoint), arguments)
        memory = resident_mib(process.pid)
    finally:
        process.kill()
        process.wait()
    return {"name": name, "seconds": seconds, "measured": measured, "memory": memory}


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith("VmRSS")]
    return int(found[0]) // 1024 if found else None


def show(result):
    measured, seconds = result["measured"], result["seconds"]
    failed = [error for _, _, error in measured if error]
    good = len(measured) - len(failed)
    memory = f", {result['memory']} MiB" if result["memory"] else ""
    print(f"{result['name']}: {good / seconds:,.0f} requests/s answered, {len(failed)} errors{memory}")
    for operation in OPERATIONS:
        times = sorted(took for name, took, _ in measured if name == operation)
        if not times:
            continue
        errors = sum(1 for name, _, error in measured if name == operation and error)
        at = lambda part: times[min(len(times) - 1, int(part * len(times)))] * 1000
        print(
            f"  {operation:14}{len(times):8,} requests  median {at(0.5):8.1f} ms  p99 {at(0.99):8.1f} ms  "
            f"longest {at(1):8.1f} ms  errors {errors}"
        )
    for error in sorted(set(failed))[:3]:
        print(f"  {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("longshore", help="the program, built for release")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--tasks", type=int, default=20, help="how many tasks a DescribeTasks names")
    parser.add_argument("--only", choices=["longshore", "moto"])
    arguments = parser.parse_args()
    print(f"{arguments.clients} clients, {arguments.seconds:g} s, {os.cpu_count()} cores")
    if arguments.only != "moto":
        with tempfile.TemporaryDirectory() as images:
            pathlib.Path(images, "quick.wat").write_text('(module (func (export "_start")))')
            port = free_port()
            command = [arguments.longshore, "serve", "--port", str(port), "--images", images, "--quiet"]
            show(measure("Longshore", command, f"http://127.0.0.1:{port}", {}, arguments))
    if arguments.only != "longshore":
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-p", str(port)]
        show(measure("moto", command, f"http://127.0.0.1:{port}", {"MOTO_ECS_NEW_ARN": "true"}, arguments))


if __name__ == "__main__":
    main()
