"""Capacity: a launch template, a group, a capacity provider and a cluster whose default it is; tasks on its instances, an instance
drained, one that RunInstances launched, a group by itself that is patched. boto3, unchanged."""

import base64

from session import client, raised, waited, waiter

ecs, ec2, groups = client("ecs"), client("ec2"), client("autoscaling")

template = ec2.create_launch_template(
    LaunchTemplateName="node", LaunchTemplateData={"InstanceType": "m7i.large", "ImageId": "ami-1"}
)["LaunchTemplate"]
groups.create_auto_scaling_group(
    AutoScalingGroupName="nodes",
    MinSize=0,
    MaxSize=3,
    LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"},
    AvailabilityZones=["us-east-1a", "us-east-1b"],
    NewInstancesProtectedFromScaleIn=True,
)
group = groups.describe_auto_scaling_groups(AutoScalingGroupNames=["nodes"])["AutoScalingGroups"][0]
assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (0, 3, 0), group
provider = ecs.create_capacity_provider(
    name="pool",
    autoScalingGroupProvider={
        "autoScalingGroupArn": group["AutoScalingGroupARN"],
        # On a slow machine the group may be down to one instance when that drains, and must not wait for it to warm up.
        "managedScaling": {"status": "ENABLED", "targetCapacity": 100, "instanceWarmupPeriod": 1},
        "managedTerminationProtection": "ENABLED",
    },
)["capacityProvider"]
assert provider["status"] == "ACTIVE" and provider["autoScalingGroupProvider"]["managedDraining"] == "ENABLED", provider
strategy = [{"capacityProvider": "pool", "weight": 1}]
cluster = ecs.create_cluster(
    clusterName="ec2", capacityProviders=["pool", "FARGATE"], defaultCapacityProviderStrategy=strategy
)["cluster"]
assert sorted(cluster["capacityProviders"]) == ["FARGATE", "pool"], cluster

attached = ecs.describe_clusters(clusters=["ec2"], include=["ATTACHMENTS"])["clusters"][0]
details = {one["name"]: one["value"] for one in attached["attachments"][0]["details"]}
assert details["capacityProviderName"] == "pool" and attached["attachmentsStatus"] == "UPDATE_COMPLETE", attached

# Tasks that have no room wait for an instance, which the provider has the group launch.
ecs.register_task_definition(
    family="work",
    containerDefinitions=[
        {"name": "main", "image": "busybox", "command": ["sleep", "300"], "cpu": 1024, "memory": 1024, "stopTimeout": 2}
    ],
)
ran = ecs.run_task(cluster="ec2", taskDefinition="work", count=2)
assert ran["failures"] == [] and {task["lastStatus"] for task in ran["tasks"]} == {"PROVISIONING"}, ran
arns = [task["taskArn"] for task in ran["tasks"]]
waiter(ecs, "tasks_running").wait(cluster="ec2", tasks=arns)
tasks = ecs.describe_tasks(cluster="ec2", tasks=arns)["tasks"]
assert {(task["launchType"], task["capacityProviderName"]) for task in tasks} == {("EC2", "pool")}, tasks
assert {(task["cpu"], task["memory"]) for task in tasks} == {("1024", "1024")}, tasks
listed = ecs.list_container_instances(cluster="ec2")["containerInstanceArns"]
instances = ecs.describe_container_instances(cluster="ec2", containerInstances=listed)["containerInstances"]
assert {task["containerInstanceArn"] for task in tasks} <= set(listed), (tasks, listed)
for instance in instances:
    assert instance["status"] == "ACTIVE" and instance["agentConnected"] is True, instance
    assert instance["capacityProviderName"] == "pool", instance
    sizes = {one["name"]: one["integerValue"] for one in instance["registeredResources"] if one["type"] == "INTEGER"}
    assert sizes["CPU"] == 2048, sizes
group = groups.describe_auto_scaling_groups(AutoScalingGroupNames=["nodes"])["AutoScalingGroups"][0]
assert {one["InstanceId"] for one in group["Instances"]} == {one["ec2InstanceId"] for one in instances}, group
described = ec2.describe_instances(InstanceIds=[instances[0]["ec2InstanceId"]])["Reservations"][0]["Instances"][0]
assert (described["InstanceType"], described["State"]["Name"]) == ("m7i.large", "running"), described

# An instance that drains gives its service's tasks up once others run elsewhere.
for arn in arns:
    ecs.stop_task(cluster="ec2", task=arn)
waiter(ecs, "tasks_stopped").wait(cluster="ec2", tasks=arns)
ecs.create_service(cluster="ec2", serviceName="web", taskDefinition="work", desiredCount=2)
waiter(ecs, "services_stable").wait(cluster="ec2", services=["web"])
on = ecs.describe_tasks(
    cluster="ec2", tasks=ecs.list_tasks(cluster="ec2", serviceName="web")["taskArns"]
)["tasks"][0]["containerInstanceArn"]  # fmt: skip
drained = ecs.update_container_instances_state(cluster="ec2", containerInstances=[on], status="DRAINING")
assert drained["containerInstances"][0]["status"] == "DRAINING", drained


def is_empty():
    found = ecs.describe_container_instances(cluster="ec2", containerInstances=[on])["containerInstances"][0]
    return found["runningTasksCount"] == 0 and found["pendingTasksCount"] == 0


waited(is_empty, 60)
waiter(ecs, "services_stable").wait(cluster="ec2", services=["web"])
assert ecs.list_container_instances(cluster="ec2", status="DRAINING")["containerInstanceArns"] == [on]

# Placement: an attribute that one instance has; a constraint that none meets, with the reason.
listed = ecs.list_container_instances(cluster="ec2", status="ACTIVE")["containerInstanceArns"]
ecs.put_attributes(cluster="ec2", attributes=[{"name": "disk", "value": "ssd", "targetId": listed[0]}])
found = ecs.list_attributes(cluster="ec2", targetType="container-instance", attributeName="disk")["attributes"]
assert [one["targetId"] for one in found] == [listed[0]], found
found = ecs.list_container_instances(cluster="ec2", filter="attribute:disk == ssd")["containerInstanceArns"]
assert found == [listed[0]], found
small = [{"name": "main", "image": "busybox", "command": ["true"], "memory": 64}]
ecs.register_task_definition(family="small", containerDefinitions=small)
nowhere = [{"type": "memberOf", "expression": "attribute:disk == tape"}]
for family, reason in [("small", "MemberOf placement constraint unsatisfied"), ("work", "RESOURCE:CPU")]:
    ran = ecs.run_task(cluster="ec2", taskDefinition=family, launchType="EC2", placementConstraints=nowhere)
    assert ran["tasks"] == [] and {one["reason"] for one in ran["failures"]} == {reason}, ran
    nowhere = []

# An instance that is launched by itself registers with the cluster of its user data.
script = "#!/bin/bash\necho ECS_CLUSTER=ec2 >> /etc/ecs/ecs.config\n"
launched = ec2.run_instances(ImageId="ami-1", InstanceType="c7i.large", MinCount=1, MaxCount=1, UserData=script)
identity = launched["Instances"][0]["InstanceId"]
assert launched["Instances"][0]["State"]["Name"] in ("pending", "running"), launched


def registered():
    arns = ecs.list_container_instances(cluster="ec2", filter=f"ec2InstanceId == {identity}")
    return arns["containerInstanceArns"]


arn = waited(registered)[0]
started = ecs.start_task(cluster="ec2", taskDefinition="work", containerInstances=[arn])
assert started["failures"] == [] and started["tasks"][0]["containerInstanceArn"] == arn, started
task = started["tasks"][0]["taskArn"]
waiter(ecs, "tasks_running").wait(cluster="ec2", tasks=[task])
raised(
    ecs.exceptions.InvalidParameterException, ecs.deregister_container_instance, cluster="ec2", containerInstance=arn
)
ended = ec2.terminate_instances(InstanceIds=[identity])["TerminatingInstances"][0]
assert ended["CurrentState"]["Name"] in ("shutting-down", "terminated"), ended
waiter(ecs, "tasks_stopped").wait(cluster="ec2", tasks=[task])
task = ecs.describe_tasks(cluster="ec2", tasks=[task])["tasks"][0]
assert "terminated" in task["stoppedReason"].lower(), task
types = ec2.describe_instance_types(InstanceTypes=["m7i.large"])["InstanceTypes"][0]
assert types["VCpuInfo"]["DefaultVCpus"] == 2, types

# A group has its instances at once, in the cluster of its user data; a refresh brings them to a new version of its template.
user_data = base64.b64encode(script.encode()).decode()
data = {"InstanceType": "c7i.large", "ImageId": "ami-1", "UserData": user_data}
ec2.create_launch_template(LaunchTemplateName="patched", LaunchTemplateData=data)
groups.create_auto_scaling_group(
    AutoScalingGroupName="by-itself",
    MinSize=1,
    MaxSize=1,
    LaunchTemplate={"LaunchTemplateName": "patched", "Version": "$Latest"},
    AvailabilityZones=["us-east-1a"],
)


def alone():
    return groups.describe_auto_scaling_groups(AutoScalingGroupNames=["by-itself"])["AutoScalingGroups"][0]["Instances"]


(first,) = alone()
assert first["LaunchTemplate"] == {"LaunchTemplateName": "patched", "Version": "1"}, first
identity = first["InstanceId"]
(arn,) = waited(registered)
found = ecs.describe_container_instances(cluster="ec2", containerInstances=[arn])["containerInstances"][0]
assert "capacityProviderName" not in found, found
version = ec2.create_launch_template_version(
    LaunchTemplateName="patched", SourceVersion="1", LaunchTemplateData={"ImageId": "ami-2"}
)["LaunchTemplateVersion"]
assert (version["VersionNumber"], version["LaunchTemplateData"]["UserData"]) == (2, user_data), version
preferences = {"MinHealthyPercentage": 0, "InstanceWarmup": 0}
refresh = groups.start_instance_refresh(AutoScalingGroupName="by-itself", Preferences=preferences)["InstanceRefreshId"]


def refreshed():
    found = groups.describe_instance_refreshes(AutoScalingGroupName="by-itself", InstanceRefreshIds=[refresh])
    return found["InstanceRefreshes"][0]["Status"] == "Successful"


waited(refreshed, 60)
(second,) = alone()
assert second["InstanceId"] != identity and second["LaunchTemplate"]["Version"] == "2", second
groups.delete_auto_scaling_group(AutoScalingGroupName="by-itself", ForceDelete=True)

# The end, in the order that dependencies ask for.
raised(
    ecs.exceptions.ResourceInUseException, ecs.put_cluster_capacity_providers, cluster="ec2", capacityProviders=[],
    defaultCapacityProviderStrategy=[],
)  # fmt: skip
raised(ecs.exceptions.ClusterContainsServicesException, ecs.delete_cluster, cluster="ec2")
ecs.delete_service(cluster="ec2", service="web", force=True)
waiter(ecs, "services_inactive").wait(cluster="ec2", services=["web"])
waited(lambda: not ecs.list_tasks(cluster="ec2")["taskArns"])
ecs.put_cluster_capacity_providers(cluster="ec2", capacityProviders=[], defaultCapacityProviderStrategy=[])
ecs.delete_capacity_provider(capacityProvider="pool")
groups.delete_auto_scaling_group(AutoScalingGroupName="nodes", ForceDelete=True)
waited(lambda: not groups.describe_auto_scaling_groups(AutoScalingGroupNames=["nodes"])["AutoScalingGroups"])
waited(lambda: not ecs.list_container_instances(cluster="ec2")["containerInstanceArns"])
assert ecs.delete_cluster(cluster="ec2")["cluster"]["status"] == "INACTIVE"
