"""Tasks: register, run, wait, describe, exit codes, stop; idempotency, pages, tags, protection; regions apart. boto3, unchanged."""

import time

from session import client, raised, waited, waiter

ecs = client("ecs")
ecs.create_cluster(clusterName="default")

# A definition comes back as it was registered, plus what ECS adds.
containers = [
    {
        "name": "main",
        "image": "busybox",
        "command": ["sh", "-c", "echo hello && exit 3"],
        "environment": [{"name": "A", "value": "b"}],
        "essential": True,
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "us-east-1"}},
    }
]
registered = ecs.register_task_definition(
    family="exits",
    containerDefinitions=containers,
    requiresCompatibilities=["FARGATE"],
    networkMode="awsvpc",
    executionRoleArn="arn:aws:iam::123456789012:role/execution",
    cpu="256",
    memory="512",
    tags=[{"key": "team", "value": "a"}],
)
definition = registered["taskDefinition"]
assert (definition["family"], definition["revision"], definition["status"]) == ("exits", 1, "ACTIVE"), definition
assert registered["tags"] == [{"key": "team", "value": "a"}], registered
described = ecs.describe_task_definition(taskDefinition="exits", include=["TAGS"])
assert described["taskDefinition"] == definition and described["tags"] == registered["tags"], described
for name, value in containers[0].items():
    assert definition["containerDefinitions"][0][name] == value, definition

# A task that exits by itself is seen as STOPPED with its exit code, by a description and by a list.
fargate = {
    "launchType": "FARGATE",
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}},
}
ran = ecs.run_task(taskDefinition="exits", startedBy="me", tags=[{"key": "who", "value": "me"}], **fargate)
assert ran["failures"] == [] and len(ran["tasks"]) == 1, ran
task = ran["tasks"][0]
assert task["lastStatus"] in ("PROVISIONING", "PENDING") and task["desiredStatus"] == "RUNNING", task
waiter(ecs, "tasks_stopped").wait(tasks=[task["taskArn"]])
task = ecs.describe_tasks(tasks=[task["taskArn"]], include=["TAGS"])["tasks"][0]
assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "EssentialContainerExited"), task
assert task["containers"][0]["exitCode"] == 3 and task["containers"][0]["lastStatus"] == "STOPPED", task
assert task["stoppedReason"] == "Essential container in task exited", task
assert task["createdAt"] <= task["startedAt"] <= task["stoppedAt"], task
assert task["tags"] == [{"key": "who", "value": "me"}] and task["startedBy"] == "me", task
assert ecs.list_tasks(desiredStatus="STOPPED")["taskArns"] == [task["taskArn"]]
assert ecs.list_tasks(desiredStatus="RUNNING")["taskArns"] == []

# Overrides; a task that runs until it is stopped.
override = {"containerOverrides": [{"name": "main", "command": ["sleep", "300"]}]}
longer = ecs.run_task(taskDefinition="exits", overrides=override, count=3, **fargate)["tasks"]
arns = [task["taskArn"] for task in longer]
waiter(ecs, "tasks_running").wait(tasks=arns)
task = ecs.describe_tasks(tasks=arns[:1])["tasks"][0]
assert task["overrides"]["containerOverrides"][0]["command"] == ["sleep", "300"], task
interface = {one["name"]: one["value"] for one in task["attachments"][0]["details"]}
assert interface["subnetId"] == "subnet-1" and interface["networkInterfaceId"].startswith("eni-"), task
assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == interface["privateIPv4Address"], task
assert "startedAt" in task and "stopCode" not in task and "exitCode" not in task["containers"][0], task
stopped = ecs.stop_task(task=arns[0], reason="enough")["task"]
assert stopped["desiredStatus"] == "STOPPED", stopped
waiter(ecs, "tasks_stopped").wait(tasks=arns[:1])
task = ecs.describe_tasks(tasks=arns[:1])["tasks"][0]
assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough"), task
raised(ecs.exceptions.InvalidParameterException, ecs.stop_task, task="0" * 32)

# Pages.
pages = ecs.get_paginator("list_tasks").paginate(family="exits", PaginationConfig={"PageSize": 1})
assert [len(page["taskArns"]) for page in pages] == [1, 1]
for _ in range(6):
    ecs.register_task_definition(family="many", containerDefinitions=containers, cpu="256", memory="512")
pages = ecs.get_paginator("list_task_definitions").paginate(
    familyPrefix="many", sort="DESC", PaginationConfig={"PageSize": 4}
)
revisions = [arn.rpartition(":")[2] for page in pages for arn in page["taskDefinitionArns"]]
assert revisions == list("654321"), revisions
families = ecs.get_paginator("list_task_definition_families").paginate(PaginationConfig={"PageSize": 1})
assert [page["families"] for page in families] == [["exits"], ["many"]]

# The same token is the same request; another request with it is refused.
once = ecs.run_task(taskDefinition="exits", clientToken="once", **fargate)["tasks"][0]["taskArn"]
assert ecs.run_task(taskDefinition="exits", clientToken="once", **fargate)["tasks"][0]["taskArn"] == once
raised(
    ecs.exceptions.ConflictException, ecs.run_task, taskDefinition="exits", clientToken="once", startedBy="x", **fargate
)
assert len(ecs.list_tasks(family="exits", desiredStatus="RUNNING")["taskArns"]) <= 3

# What can't be run says why.
raised(ecs.exceptions.ClientException, ecs.run_task, taskDefinition="none")
raised(ecs.exceptions.ClusterNotFoundException, ecs.run_task, taskDefinition="exits", cluster="none")
raised(ecs.exceptions.ClientException, ecs.describe_task_definition, taskDefinition="none")
error = raised(
    ecs.exceptions.ClientException,
    ecs.register_task_definition,
    family="wrong",
    containerDefinitions=containers,
    requiresCompatibilities=["FARGATE"],
    networkMode="awsvpc",
    cpu="256",
    memory="300",
)
assert error["Message"] == "No Fargate configuration exists for given values.", error
ecs.register_task_definition(
    family="broken", containerDefinitions=[{"name": "main", "image": "no/such:image"}], cpu="256", memory="512",
    requiresCompatibilities=["FARGATE"], networkMode="awsvpc",
)  # fmt: skip
broken = ecs.run_task(taskDefinition="broken", **fargate)["tasks"][0]["taskArn"]
waiter(ecs, "tasks_stopped").wait(tasks=[broken])
task = ecs.describe_tasks(tasks=[broken])["tasks"][0]
assert task["stopCode"] == "TaskFailedToStart" and "CannotPullContainerError" in task["stoppedReason"], task
assert "exitCode" not in task["containers"][0] and "startedAt" not in task, task
found = ecs.describe_tasks(tasks=["0" * 32])
assert found["tasks"] == [] and found["failures"][0]["reason"] == "MISSING", found
nothing = ecs.run_task(taskDefinition="many", launchType="EC2")
assert nothing["tasks"] == [] and nothing["failures"][0]["reason"] == "NO ACTIVE INSTANCES", nothing
raised(
    ecs.exceptions.TargetNotConnectedException, ecs.execute_command, task=arns[1], command="ls", interactive=True
)

# Tags of what has an ARN.
arn = definition["taskDefinitionArn"]
ecs.tag_resource(resourceArn=arn, tags=[{"key": "stage", "value": "test"}])
ecs.untag_resource(resourceArn=arn, tagKeys=["team"])
assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "stage", "value": "test"}]
raised(ecs.exceptions.InvalidParameterException, ecs.tag_resource, resourceArn=arn, tags=[{"key": "aws:x", "value": ""}])

# Account settings.
ecs.put_account_setting_default(name="containerInsights", value="enabled")
settings = ecs.list_account_settings(name="containerInsights", effectiveSettings=True)["settings"]
assert settings[0]["value"] == "enabled", settings

# Regions are apart, also where names are the same.
europe = client("ecs", region="eu-west-1")
raised(europe.exceptions.ClusterNotFoundException, europe.list_tasks)
europe.create_cluster(clusterName="default")
assert europe.list_tasks()["taskArns"] == [] and europe.list_task_definitions()["taskDefinitionArns"] == []
other = europe.register_task_definition(family="exits", containerDefinitions=containers, cpu="256", memory="512")
assert other["taskDefinition"]["taskDefinitionArn"] == arn.replace("us-east-1", "eu-west-1"), other
found = europe.describe_tasks(tasks=[once])
assert found["failures"][0]["reason"] == "MISSING", found

# Deregistered, a definition is still described, and runs no more; deleted, it goes.
assert ecs.deregister_task_definition(taskDefinition="many:1")["taskDefinition"]["status"] == "INACTIVE"
raised(ecs.exceptions.ClientException, ecs.run_task, taskDefinition="many:1", **fargate)
gone = ecs.delete_task_definitions(taskDefinitions=["many:1", "many:2"])
assert [one["status"] for one in gone["taskDefinitions"]] == ["DELETE_IN_PROGRESS"], gone
assert len(gone["failures"]) == 1, gone

# A cluster with tasks is not deleted.
raised(ecs.exceptions.ClusterContainsTasksException, ecs.delete_cluster, cluster="default")
for arn in arns[1:]:
    ecs.stop_task(task=arn)
waiter(ecs, "tasks_stopped").wait(tasks=[*arns, once])
waited(lambda: ecs.describe_clusters(clusters=["default"])["clusters"][0]["runningTasksCount"] == 0)
assert ecs.delete_cluster(cluster="default")["cluster"]["status"] == "INACTIVE"
