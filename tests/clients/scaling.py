"""Application Auto Scaling of the service `web` in the cluster `shop`: boto3 and the command line."""

import datetime
import time

from session import aws, client, raised

scaling = client("application-autoscaling")
web = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/shop/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
names = ["--service-namespace", "ecs", "--resource-id", "service/shop/web"]
dimension = ["--scalable-dimension", "ecs:service:DesiredCount"]

raised(scaling.exceptions.ObjectNotFoundException, scaling.deregister_scalable_target, **web)
arn = scaling.register_scalable_target(**web, MinCapacity=0, MaxCapacity=4, Tags={"team": "a"})["ScalableTargetARN"]
target = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0]
assert (target["ScalableTargetARN"], target["MaxCapacity"]) == (arn, 4), target
assert isinstance(target["CreationTime"], datetime.datetime), target
assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "a"}

configuration = {
    "TargetValue": 50.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    "ScaleOutCooldown": 60,
}
put = scaling.put_scaling_policy(
    **web,
    PolicyName="cpu",
    PolicyType="TargetTrackingScaling",
    TargetTrackingScalingPolicyConfiguration=configuration,
)
assert len(put["Alarms"]) == 2, put
aws(
    "application-autoscaling", "put-scaling-policy", *names, *dimension, "--policy-name", "steps",
    "--policy-type", "StepScaling", "--step-scaling-policy-configuration",
    "AdjustmentType=ChangeInCapacity,StepAdjustments=[{MetricIntervalLowerBound=0,ScalingAdjustment=1}]",
)  # fmt: skip
policies = scaling.get_paginator("describe_scaling_policies").paginate(
    ServiceNamespace="ecs", PaginationConfig={"PageSize": 1}
)
policies = [policy for page in policies for policy in page["ScalingPolicies"]]
assert [policy["PolicyName"] for policy in policies] == ["cpu", "steps"], policies
assert policies[0]["TargetTrackingScalingPolicyConfiguration"] == configuration, policies
error = raised(
    scaling.exceptions.ValidationException, scaling.put_scaling_policy, **web, PolicyName="x", PolicyType="StepScaling"
)
assert "StepScalingPolicyConfiguration" in error["Message"], error
raised(scaling.exceptions.InvalidNextTokenException, scaling.describe_scaling_policies, ServiceNamespace="ecs", NextToken="x")

soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
scaling.put_scheduled_action(
    **web,
    ScheduledActionName="soon",
    Schedule=soon.strftime("at(%Y-%m-%dT%H:%M:%S)"),
    ScalableTargetAction={"MinCapacity": 1},
)
deadline = time.monotonic() + 20
while not (activities := scaling.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"]):
    assert time.monotonic() < deadline, "the scheduled action has not taken place"
    time.sleep(0.2)
assert "soon" in activities[-1]["Cause"] and activities[-1]["ResourceId"] == web["ResourceId"], activities
shown = aws("application-autoscaling", "describe-scalable-targets", "--service-namespace", "ecs")
assert shown["ScalableTargets"][0]["MinCapacity"] == 1, shown
shown = aws("ecs", "describe-clusters", "--clusters", "shop")
assert shown["clusters"][0]["activeServicesCount"] == 1, shown

scaling.delete_scheduled_action(**web, ScheduledActionName="soon")
scaling.delete_scaling_policy(**web, PolicyName="cpu")
aws("application-autoscaling", "deregister-scalable-target", *names, *dimension)
assert scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
