"""Takes from botocore's service models what Longshore answers: operations, their shapes, and the constraints of these.

    pip install botocore && python3 src/api/models/extract.py

Documentation, endpoints and operations of other families are left out. The result is written beside this file.
"""

import gzip
import json
import pathlib

import botocore

# Families of ECS that Longshore has not (ecs-semantics §11.4).
OTHER_FAMILIES = ("Daemon", "Gateway", "ExpressGateway")

AUTO_SCALING = """
CreateAutoScalingGroup UpdateAutoScalingGroup DescribeAutoScalingGroups SetDesiredCapacity DeleteAutoScalingGroup
DescribeAutoScalingInstances TerminateInstanceInAutoScalingGroup SetInstanceProtection
CreateLaunchConfiguration DescribeLaunchConfigurations DeleteLaunchConfiguration
StartInstanceRefresh DescribeInstanceRefreshes CancelInstanceRefresh RollbackInstanceRefresh
""".split()

EC2 = """
RunInstances DescribeInstances TerminateInstances DescribeInstanceTypes DescribeAvailabilityZones
CreateLaunchTemplate DescribeLaunchTemplates DeleteLaunchTemplate
CreateLaunchTemplateVersion DescribeLaunchTemplateVersions ModifyLaunchTemplate
""".split()

WANTED = {
    "ecs": lambda name: not any(family in name for family in OTHER_FAMILIES),
    "application-autoscaling": lambda name: True,
    "autoscaling": lambda name: name in AUTO_SCALING,
    "ec2": lambda name: name in EC2,
    "sts": lambda name: name == "GetCallerIdentity",
}

SHAPE_KEYS = ("type", "required", "enum", "min", "max", "pattern", "union", "document", "flattened", "exception", "error")
MEMBER_KEYS = ("shape", "locationName", "queryName", "flattened")


def member(found):
    return {key: found[key] for key in MEMBER_KEYS if key in found}


def shape(found):
    kept = {key: found[key] for key in SHAPE_KEYS if key in found}
    if "members" in found:
        kept["members"] = {name: member(of) for name, of in found["members"].items()}
    for key in ("member", "key", "value"):
        if key in found:
            kept[key] = member(found[key])
    return kept


def extract(service, is_wanted):
    data = pathlib.Path(botocore.__file__).parent / "data" / service
    version = sorted(path.name for path in data.iterdir())[-1]
    with gzip.open(data / version / "service-2.json.gz") as file:
        model = json.load(file)
    operations, wanted = {}, []
    for name, found in sorted(model["operations"].items()):
        if not is_wanted(name):
            continue
        operation = {"errors": sorted(error["shape"] for error in found.get("errors", []))}
        for side in ("input", "output"):
            if side in found:
                operation[side] = {key: found[side][key] for key in ("shape", "resultWrapper") if key in found[side]}
        operations[name] = operation
        wanted += [operation[side]["shape"] for side in ("input", "output") if side in operation] + operation["errors"]
    shapes = {}
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = shape(model["shapes"][name])
            of = shapes[name]
            wanted += [one["shape"] for one in of.get("members", {}).values()]
            wanted += [of[key]["shape"] for key in ("member", "key", "value") if key in of]
    metadata = model["metadata"]
    return {
        "botocore": botocore.__version__,
        "apiVersion": metadata["apiVersion"],
        "protocol": metadata["protocol"],
        "targetPrefix": metadata.get("targetPrefix"),
        "xmlNamespace": metadata.get("xmlNamespace"),
        "operations": operations,
        "shapes": dict(sorted(shapes.items())),
    }


for service, is_wanted in WANTED.items():
    found = extract(service, is_wanted)
    path = pathlib.Path(__file__).parent / f"{service}.json"
    # One shape and one operation a line: differences between versions can be read.
    head = {key: value for key, value in found.items() if key not in ("operations", "shapes")}
    compact = lambda value: json.dumps(value, separators=(",", ":"))
    parts = [f'"{key}":{compact(value)}' for key, value in head.items()]
    for table in ("operations", "shapes"):
        rows = ",\n".join(f'"{name}":{compact(value)}' for name, value in found[table].items())
        parts.append(f'"{table}":{{\n{rows}\n}}')
    path.write_text("{" + ",\n".join(parts) + "}\n")
    print(service, len(found["operations"]), "operations", len(found["shapes"]), "shapes", path.stat().st_size, "bytes")
