"""What the scripts here share: clients of the endpoint that is their first argument, and the command line of AWS.

Each script asserts what it expects and exits with 0 when all of it held:

    python tests/clients/NAME.py http://127.0.0.1:8080
"""

import json
import os
import subprocess
import sys
import time

import boto3
import botocore.config

ENDPOINT = sys.argv[1]
REGION = "us-east-1"
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "an example of a secret"


def client(service, region=REGION, key=ACCESS_KEY, secret=SECRET_KEY, **settings):
    """A client of boto3. It does not try again: what goes wrong is to be seen."""
    settings.setdefault("retries", {"total_max_attempts": 1})
    made = boto3.client(
        service,
        region_name=region,
        endpoint_url=ENDPOINT,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=botocore.config.Config(**settings),
    )
    if service == "ecs":
        made.meta.events.register("after-call.ecs", recorded)
    return made


def recorded(model, parsed, **_):
    """Adds an answer to those that are compared with what ECS itself has answered."""
    keep(model.name, {name: value for name, value in parsed.items() if name != "ResponseMetadata"})


def keep(operation, answer):
    """Adds an answer to the file that the variable ANSWERS names, if it names one; `recorded.py` reads it."""
    if "ANSWERS" in os.environ:
        with open(os.environ["ANSWERS"], "a") as file:
            print(json.dumps({"operation": operation, "answer": answer}, default=str), file=file)


def raised(exception, call, **arguments):
    """The error that a call has to raise, as its answer has it."""
    try:
        answer = call(**arguments)
    except exception as error:
        return error.response["Error"]
    raise AssertionError(f"{exception.__name__} was not raised, but answered: {answer}")


def waiter(service, name):
    """A waiter of boto3 that looks more often than it would: nothing here takes as long as it does at AWS. It is patient all the same: where
    all tests run at once, an image that nobody has compiled yet waits for its turn."""
    found = service.get_waiter(name)
    found.config.delay = 0.2
    found.config.max_attempts = 900
    return found


def waited(condition, seconds=30):
    """What a condition is once it is something, looking again and again."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.1)
    return found


def aws(*arguments):
    """What the command line prints, as JSON; nothing where it prints nothing."""
    done = program("aws", *arguments)
    assert done.returncode == 0, (arguments, done.returncode, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


def program(name, *arguments):
    """Runs a program of the virtual environment, led to the endpoint by variables alone."""
    environment = os.environ | {
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    path = os.path.join(os.path.dirname(sys.executable), name)
    # Its interpreter is named by a path that a shell may find too long.
    return subprocess.run([sys.executable, path, *arguments], env=environment, capture_output=True, text=True)
