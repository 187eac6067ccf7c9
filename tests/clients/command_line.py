"""The command line of AWS, as people type it: the lines that the README shows, and a dozen more."""

import json
import tempfile

from session import aws, program, waited

aws("ecs", "create-cluster", "--cluster-name", "default")
sleeper = [{"name": "main", "image": "nginx:1.27", "stopTimeout": 2}]
fargate = ["--requires-compatibilities", "FARGATE", "--network-mode", "awsvpc", "--cpu", "256", "--memory", "512"]
network = ["--network-configuration", "awsvpcConfiguration={subnets=[subnet-1],assignPublicIp=ENABLED}"]

# A task definition from a file, as most projects keep theirs.
with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    json.dump(
        {
            "family": "hello",
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [
                {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo hello && exit 0"]}
            ],
        },
        file,
    )
    file.flush()
    registered = aws("ecs", "register-task-definition", "--cli-input-json", f"file://{file.name}")
assert registered["taskDefinition"]["taskDefinitionArn"].endswith("hello:1"), registered

# The README's five lines.
task = aws("ecs", "run-task", "--task-definition", "hello", "--launch-type", "FARGATE", *network,
           "--query", "tasks[0].taskArn")  # fmt: skip
aws("ecs", "wait", "tasks-stopped", "--tasks", task)
code = aws("ecs", "describe-tasks", "--tasks", task, "--query", "tasks[0].containers[0].exitCode")
assert code == 0, code
aws("ecs", "register-task-definition", "--family", "web", *fargate, "--container-definitions", json.dumps(sleeper))
created = aws(
    "ecs", "create-service", "--service-name", "web", "--task-definition", "web", "--desired-count", "2", "--launch-type",
    "FARGATE", *network, "--deployment-configuration", "deploymentCircuitBreaker={enable=true,rollback=true}",
    "--tags", "key=team,value=a",
)["service"]  # fmt: skip
assert created["desiredCount"] == 2, created


def running():
    services = aws("ecs", "describe-services", "--services", "web", "--query",
                   "services[0].[runningCount,length(deployments)]")  # fmt: skip
    return services == [2, 1]


waited(running)
# Its waiter looks every 15 seconds, and is stable at the first look.
aws("ecs", "wait", "services-stable", "--services", "web")

forced = aws("ecs", "update-service", "--service", "web", "--force-new-deployment")["service"]
assert len(forced["deployments"]) == 2, forced
waited(running, 60)
broken = [{"name": "main", "image": "no/such:image"}]
aws("ecs", "register-task-definition", "--family", "web", *fargate, "--container-definitions", json.dumps(broken))
aws("ecs", "update-service", "--service", "web", "--task-definition", "web")
waited(
    lambda: "rolling back to" in json.dumps(aws("ecs", "describe-services", "--services", "web", "--query",
                                                 "services[0].events[].message")), 60,
)  # fmt: skip
waited(running, 60)
kept = aws("ecs", "describe-services", "--services", "web", "--query", "services[0].taskDefinition")
assert kept.endswith("web:1"), kept

# Lists, and what --query makes of them.
assert len(aws("ecs", "list-tasks", "--service-name", "web", "--query", "taskArns")) == 2
assert aws("ecs", "list-tasks", "--family", "hello", "--desired-status", "STOPPED", "--query", "taskArns") == [task]
assert aws("ecs", "list-services", "--query", "length(serviceArns)") == 1
assert aws("ecs", "list-clusters", "--query", "clusterArns[0]").endswith(":cluster/default")
found = aws("ecs", "list-task-definitions", "--family-prefix", "web", "--sort", "DESC", "--query", "taskDefinitionArns")
assert [arn.rpartition("/")[2] for arn in found] == ["web:2", "web:1"], found
assert aws("ecs", "list-task-definition-families", "--query", "families") == ["hello", "web"]
found = aws("ecs", "describe-task-definition", "--task-definition", "hello", "--query", "taskDefinition.status")
assert found == "ACTIVE", found
found = aws("ecs", "describe-clusters", "--include", "STATISTICS", "SETTINGS", "TAGS")["clusters"][0]
assert found["runningTasksCount"] == 2 and found["statistics"], found
found = aws("ecs", "list-tags-for-resource", "--resource-arn", created["serviceArn"], "--query", "tags[0].value")
assert found == "a", found
found = program("aws", "ecs", "describe-services", "--services", "web", "--output", "table")
assert found.returncode == 0 and "DescribeServices" in found.stdout, found

# Errors are told as those of AWS are.
failed = program("aws", "ecs", "stop-task", "--task", "0" * 32)
assert failed.returncode in (254, 255), failed
assert "(InvalidParameterException)" in failed.stderr and "StopTask" in failed.stderr, failed.stderr

found = aws("ecs", "update-service", "--service", "web", "--desired-count", "0", "--query", "service.desiredCount")
assert found == 0, found
found = aws("ecs", "delete-service", "--service", "web", "--force", "--query", "service.status")
assert found in ("DRAINING", "INACTIVE"), found
found = aws("ecs", "deregister-task-definition", "--task-definition", "web:2", "--query", "taskDefinition.status")
assert found == "INACTIVE", found
