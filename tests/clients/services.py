"""Services: stable, rolled, broken and rolled back, scaled by a policy and by a schedule, task sets, ended. boto3, unchanged."""

import datetime
import time

from session import client, raised, waited, waiter

ecs, scaling = client("ecs"), client("application-autoscaling")
ecs.create_cluster(clusterName="shop")


def register(family, image="busybox", command=("sleep", "300")):
    found = ecs.register_task_definition(
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": image, "command": list(command), "stopTimeout": 2}],
    )
    return found["taskDefinition"]["taskDefinitionArn"]


def service(name="web"):
    return ecs.describe_services(cluster="shop", services=[name])["services"][0]


def stable(name="web"):
    """The service once its waiter is content, which does not look at health, and its deployment is completed."""
    waiter(ecs, "services_stable").wait(cluster="shop", services=[name])
    waited(lambda: service(name)["deployments"][0].get("rolloutState") != "IN_PROGRESS")
    return service(name)


first = register("web")
network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "DISABLED"}}
breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
wanted = {
    "cluster": "shop",
    "serviceName": "web",
    "taskDefinition": "web",
    "desiredCount": 2,
    "launchType": "FARGATE",
    "networkConfiguration": network,
    "deploymentConfiguration": breaker | {"minimumHealthyPercent": 50, "maximumPercent": 200},
    "clientToken": "once",
    "tags": [{"key": "team", "value": "a"}],
}
created = ecs.create_service(**wanted)["service"]
assert (created["status"], created["desiredCount"], created["runningCount"]) == ("ACTIVE", 2, 0), created
assert created["networkConfiguration"] == network, created
assert created["deploymentConfiguration"]["deploymentCircuitBreaker"]["rollback"] is True, created
assert ecs.create_service(**wanted)["service"]["serviceArn"] == created["serviceArn"]
raised(ecs.exceptions.InvalidParameterException, ecs.create_service, **{**wanted, "desiredCount": 5, "clientToken": "x"})
found = stable()
assert (found["runningCount"], len(found["deployments"])) == (2, 1), found
assert found["deployments"][0]["rolloutState"] == "COMPLETED", found
assert any("has reached a steady state" in event["message"] for event in found["events"]), found["events"]

# A rolling deployment: never fewer than one task, and the old ones go.
second = register("web", command=("sleep", "301"))
before = set(ecs.list_tasks(cluster="shop", serviceName="web")["taskArns"])
updated = ecs.update_service(cluster="shop", service="web", taskDefinition="web")["service"]
assert [one["status"] for one in updated["deployments"]] == ["PRIMARY", "ACTIVE"], updated
while len(service()["deployments"]) > 1:
    assert service()["runningCount"] >= 1
    time.sleep(0.1)
found = stable()
assert found["taskDefinition"] == second and found["deployments"][0]["rolloutState"] == "COMPLETED", found
after = set(ecs.list_tasks(cluster="shop", serviceName="web")["taskArns"])
assert len(after) == 2 and not after & before, (before, after)
tasks = ecs.describe_tasks(cluster="shop", tasks=sorted(after))["tasks"]
assert {task["taskDefinitionArn"] for task in tasks} == {second}, tasks
assert {task["group"] for task in tasks} == {"service:web"} and all(
    task["startedBy"].startswith("ecs-svc/") for task in tasks
), tasks

# A forced deployment, of the same definition.
ecs.update_service(cluster="shop", service="web", forceNewDeployment=True)
found = stable()
assert not after & set(ecs.list_tasks(cluster="shop", serviceName="web")["taskArns"])

# A deployment whose image can't be pulled is rolled back to the last that was completed.
register("web", image="no/such:image")
ecs.update_service(cluster="shop", service="web", taskDefinition="web")


def failed():
    primary = [one for one in service()["deployments"] if one["status"] == "PRIMARY"][0]
    return primary if primary["taskDefinition"] == second else None


assert service()["taskDefinition"].endswith(":3"), service()
waited(failed, 60)
found = stable()
assert found["taskDefinition"] == second and found["runningCount"] == 2, found
messages = [event["message"] for event in found["events"]]
assert any("rolling back to" in message for message in messages), messages
records = ecs.list_service_deployments(cluster="shop", service="web")["serviceDeployments"]
statuses = [record["status"] for record in records]
assert "ROLLBACK_SUCCESSFUL" in statuses, records
rolled = [record for record in records if record["status"] == "ROLLBACK_SUCCESSFUL"][0]
rolled = ecs.describe_service_deployments(serviceDeploymentArns=[rolled["serviceDeploymentArn"]])
rolled = rolled["serviceDeployments"][0]
assert rolled["deploymentCircuitBreaker"]["status"] == "TRIGGERED", rolled
assert rolled["rollback"]["serviceRevisionArn"] == rolled["sourceServiceRevisions"][0]["arn"], rolled
revision = ecs.describe_service_revisions(serviceRevisionArns=[rolled["targetServiceRevision"]["arn"]])
assert revision["serviceRevisions"][0]["taskDefinition"].endswith("web:3"), revision

# One with nothing to go back to has FAILED, with the reason.
register("broken", image="no/such:image")
ecs.create_service(**{**wanted, "serviceName": "broken", "taskDefinition": "broken", "clientToken": "other"})
waited(lambda: service("broken")["deployments"][0]["rolloutState"] == "FAILED", 60)
primary = service("broken")["deployments"][0]
assert primary["failedTasks"] >= 3 and "circuit breaker" in primary["rolloutStateReason"], primary
record = ecs.list_service_deployments(cluster="shop", service="broken")["serviceDeployments"][0]
assert record["status"] in ("STOPPED", "ROLLBACK_FAILED"), record
assert record["statusReason"], record
stopped = ecs.list_tasks(cluster="shop", serviceName="broken", desiredStatus="STOPPED")["taskArns"]
task = ecs.describe_tasks(cluster="shop", tasks=stopped[:1])["tasks"][0]
assert "CannotPullContainerError" in task["stoppedReason"], task

# Scaled by hand, by a policy, by a schedule.
ecs.update_service(cluster="shop", service="web", desiredCount=1)
assert stable()["runningCount"] == 1
target = {"ServiceNamespace": "ecs", "ResourceId": "service/shop/web", "ScalableDimension": "ecs:service:DesiredCount"}
scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
spinning = register("web", command=("sh", "-c", "while true; do true; done"))
ecs.update_service(cluster="shop", service="web", taskDefinition=spinning)
stable()
scaling.put_scaling_policy(
    **target,
    PolicyName="cpu",
    PolicyType="TargetTrackingScaling",
    TargetTrackingScalingPolicyConfiguration={
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        "ScaleOutCooldown": 1,
    },
)
waited(lambda: service()["desiredCount"] > 1, 60)
activity = waited(lambda: scaling.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"])[-1]
assert "cpu" in activity["Cause"] and activity["StatusCode"] in ("Successful", "InProgress"), activity
scaling.delete_scaling_policy(**target, PolicyName="cpu")
soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
scaling.put_scheduled_action(
    **target,
    ScheduledActionName="soon",
    Schedule=soon.strftime("at(%Y-%m-%dT%H:%M:%S)"),
    ScalableTargetAction={"MinCapacity": 0, "MaxCapacity": 0},
)
waited(lambda: service()["desiredCount"] == 0)
assert stable()["runningCount"] == 0
scaling.deregister_scalable_target(**target)

# Protection from scale-in.
ecs.update_service(cluster="shop", service="web", desiredCount=2, taskDefinition=second)
stable()
kept = ecs.list_tasks(cluster="shop", serviceName="web")["taskArns"][0]
protected = ecs.update_task_protection(cluster="shop", tasks=[kept], protectionEnabled=True, expiresInMinutes=10)
assert protected["protectedTasks"][0]["protectionEnabled"] is True, protected
found = ecs.get_task_protection(cluster="shop", tasks=[kept])["protectedTasks"][0]
assert found["expirationDate"] > datetime.datetime.now(datetime.timezone.utc), found
ecs.update_service(cluster="shop", service="web", desiredCount=1)
stable()
assert ecs.list_tasks(cluster="shop", serviceName="web")["taskArns"] == [kept]
ecs.update_task_protection(cluster="shop", tasks=[kept], protectionEnabled=False)

# Task sets of a service that somebody else deploys.
ecs.create_service(
    cluster="shop", serviceName="sets", desiredCount=2, deploymentController={"type": "EXTERNAL"}
)
sets = [
    ecs.create_task_set(
        cluster="shop", service="sets", taskDefinition=arn, launchType="FARGATE", networkConfiguration=network,
        scale={"value": percent, "unit": "PERCENT"}, externalId=f"set-{percent}",
    )["taskSet"]
    for arn, percent in [(first, 100), (second, 50)]
]  # fmt: skip
assert [one["status"] for one in sets] == ["ACTIVE", "ACTIVE"], sets
one, other = sets
ecs.update_service_primary_task_set(cluster="shop", service="sets", primaryTaskSet=one["id"])


def steady():
    found = ecs.describe_task_sets(cluster="shop", service="sets")["taskSets"]
    return found if all(one["stabilityStatus"] == "STEADY_STATE" for one in found) else None


found = {one["externalId"]: one for one in waited(steady)}
assert found["set-100"]["status"] == "PRIMARY" and found["set-50"]["computedDesiredCount"] == 1, found
assert [found["set-100"]["runningCount"], found["set-50"]["runningCount"]] == [2, 1], found
scale = {"value": 0, "unit": "PERCENT"}
ecs.update_task_set(cluster="shop", service="sets", taskSet=other["taskSetArn"], scale=scale)
waited(steady)
assert ecs.delete_task_set(cluster="shop", service="sets", taskSet=other["id"])["taskSet"]["status"] == "DRAINING"
raised(
    ecs.exceptions.TaskSetNotFoundException, ecs.update_service_primary_task_set, cluster="shop", service="sets",
    primaryTaskSet="ecs-svc/0",
)  # fmt: skip

# The end.
pages = ecs.get_paginator("list_services").paginate(cluster="shop", PaginationConfig={"PageSize": 2})
assert [len(page["serviceArns"]) for page in pages] == [2, 1]
raised(ecs.exceptions.InvalidParameterException, ecs.delete_service, cluster="shop", service="web")
raised(ecs.exceptions.ServiceNotFoundException, ecs.update_service, cluster="shop", service="none")
found = ecs.describe_services(cluster="shop", services=["none"])["failures"]
assert found[0]["reason"] == "MISSING", found
raised(ecs.exceptions.ClusterContainsServicesException, ecs.delete_cluster, cluster="shop")
for name in ("web", "broken", "sets"):
    ended = ecs.delete_service(cluster="shop", service=name, force=True)["service"]
    assert ended["status"] in ("DRAINING", "INACTIVE"), ended
    waiter(ecs, "services_inactive").wait(cluster="shop", services=[name])
raised(ecs.exceptions.ServiceNotActiveException, ecs.update_service, cluster="shop", service="web", desiredCount=1)
waited(lambda: not ecs.list_tasks(cluster="shop")["taskArns"])
assert ecs.list_services(cluster="shop")["serviceArns"] == []
assert ecs.delete_cluster(cluster="shop")["cluster"]["status"] == "INACTIVE"
