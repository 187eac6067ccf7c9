"""What the scripts here share: clients of the endpoint that is their first argument, and the command line of AWS.

Each script asserts what it expects and exits with 0 when all of it held:

    python tests/clients/NAME.py http://127.0.0.1:8080
"""

import json
import os
import subprocess
import sys

import boto3
import botocore.config

ENDPOINT = sys.argv[1]
REGION = "us-east-1"
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "an example of a secret"


def client(service, region=REGION, key=ACCESS_KEY, secret=SECRET_KEY, **settings):
    """A client of boto3. It does not try again: what goes wrong is to be seen."""
    settings.setdefault("retries", {"total_max_attempts": 1})
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=ENDPOINT,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=botocore.config.Config(**settings),
    )


def raised(exception, call, **arguments):
    """The error that a call has to raise, as its answer has it."""
    try:
        answer = call(**arguments)
    except exception as error:
        return error.response["Error"]
    raise AssertionError(f"{exception.__name__} was not raised, but answered: {answer}")


def aws(*arguments):
    """What the command line prints, as JSON; nothing where it prints nothing."""
    environment = os.environ | {
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    program = os.path.join(os.path.dirname(sys.executable), "aws")
    # Its interpreter is named by a path that a shell may find too long.
    done = subprocess.run([sys.executable, program, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.returncode, done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None
