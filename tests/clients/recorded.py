"""What of the answers that ECS itself gave, as the pages of the AWS command line have recorded them, is not in those of Longshore.

For developers; it needs answers of the scripts beside it:

    ANSWERS=answers.jsonl python tests/clients/tasks.py http://127.0.0.1:8080      (services.py, capacity.py, model.py, ...)
    python tests/clients/recorded.py answers.jsonl

Members are compared by operation and path, over all pages and all answers of it. Not all that is missing should be there: a page shows
volumes of EBS or accelerators that one process does not have.
"""

import collections
import json
import pathlib
import re
import sys

import awscli
import botocore.session


def paths(value, path=""):
    """The paths of all members within a value; of a list, those of its items together."""
    if isinstance(value, dict):
        for name, of in value.items():
            yield f"{path}.{name}"
            yield from paths(of, f"{path}.{name}")
    if isinstance(value, list):
        for of in value:
            yield from paths(of, f"{path}[]")


def outputs(text):
    """The JSON under each `Output::` of a page."""
    for block in re.split(r"^Output\s*::\s*$", text, flags=re.MULTILINE)[1:]:
        start = block.find("{")
        if start >= 0:
            try:
                yield json.JSONDecoder().raw_decode(block[start:])[0]
            except ValueError:
                # Some pages leave out what they find too long.
                continue


def operation_names():
    """Operations by the names of their pages."""
    names = botocore.session.get_session().get_service_model("ecs").operation_names
    return {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower(): name for name in names}


known = operation_names()
recorded, answered = collections.defaultdict(set), collections.defaultdict(set)
for page in sorted((pathlib.Path(awscli.__file__).parent / "examples" / "ecs").glob("*.rst")):
    if operation := known.get(page.stem):
        for output in outputs(page.read_text()):
            recorded[operation].update(paths(output))
for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
    answer = json.loads(line)
    answered[answer["operation"]].update(paths(answer["answer"]))
lacking = 0
for operation, wanted in sorted(recorded.items()):
    for path in sorted(wanted - answered[operation]):
        # What is below something that is missing is missing with it.
        above = path.rpartition(".")[0].removesuffix("[]")
        if above and above in wanted - answered[operation]:
            continue
        lacking += 1
        print(f"{operation}{path}")
print(f"{lacking} of {sum(map(len, recorded.values()))} members of {len(recorded)} operations are not in the answers")
