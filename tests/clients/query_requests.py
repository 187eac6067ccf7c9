"""What each operation of EC2 Auto Scaling, EC2 and STS that is answered needs at least: what the file of the model test sends.

Each function returns the requests in the order in which they succeed, and the errors that some of them have to end in.
"""

from session import client

# Errors that every operation of the query protocol may answer with. Source: the API references, "Common errors".
COMMON_ERRORS = {"ValidationError", "InvalidAction", "MalformedQueryString", "AccessDenied"}
LAUNCH = {"InstanceType": "t3.small", "ImageId": "ami-1"}


def auto_scaling():
    """Groups with and without instances, some of which are being refreshed."""
    scaling, templates = client("autoscaling"), client("ec2")
    client("ecs").create_cluster(clusterName="default")
    template = {"LaunchTemplateName": "of-groups"}
    templates.create_launch_template(**template, LaunchTemplateData=LAUNCH)
    templates.create_launch_template_version(**template, SourceVersion="1", LaunchTemplateData={"ImageId": "ami-2"})
    for name in ("old", "older"):
        scaling.create_launch_configuration(LaunchConfigurationName=name, **LAUNCH)
    zones = {"AvailabilityZones": ["us-east-1a"]}
    sizes = {"MinSize": 0, "MaxSize": 3}
    for name in ("asg", "spare"):
        scaling.create_auto_scaling_group(AutoScalingGroupName=name, LaunchConfigurationName="old", **sizes, **zones)
    refreshed, rolled_back = ({"AutoScalingGroupName": name} for name in ("refreshed", "rolled-back"))
    for one in (refreshed, rolled_back):
        one_instance = {"MinSize": 1, "MaxSize": 2, "LaunchTemplate": template}
        scaling.create_auto_scaling_group(**one, **one_instance, **zones)

    def roll_back():
        """A group with a refresh that has a version to go back to."""
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["rolled-back"])["AutoScalingGroups"][0]
        other = "1" if found["LaunchTemplate"].get("Version") == "2" else "2"
        try:
            desired = {"LaunchTemplate": template | {"Version": other}}
            scaling.start_instance_refresh(**rolled_back, DesiredConfiguration=desired)
        except scaling.exceptions.InstanceRefreshInProgressFault:
            pass
        return rolled_back

    group = {"AutoScalingGroupName": "asg"}
    requests = [
        ("CreateLaunchConfiguration", {"LaunchConfigurationName": "new"} | LAUNCH),
        ("DescribeLaunchConfigurations", {}),
        ("DeleteLaunchConfiguration", {"LaunchConfigurationName": "older"}),
        (
            "CreateAutoScalingGroup",
            {"AutoScalingGroupName": "new", "LaunchConfigurationName": "old"} | sizes | zones,
        ),
        ("DescribeAutoScalingGroups", {}),
        ("UpdateAutoScalingGroup", group | {"MaxSize": 2}),
        ("SetDesiredCapacity", group | {"DesiredCapacity": 1}),
        ("DescribeAutoScalingInstances", {}),
        ("SetInstanceProtection", group | {"InstanceIds": [], "ProtectedFromScaleIn": True}),
        (
            "TerminateInstanceInAutoScalingGroup",
            {"InstanceId": "i-0123456789abcdef0", "ShouldDecrementDesiredCapacity": True},
        ),
        ("StartInstanceRefresh", refreshed),
        ("DescribeInstanceRefreshes", refreshed),
        ("CancelInstanceRefresh", refreshed),
        ("RollbackInstanceRefresh", roll_back),
        ("DeleteAutoScalingGroup", {"AutoScalingGroupName": "spare"}),
    ]
    return requests, {"TerminateInstanceInAutoScalingGroup": "ValidationError"}


def ec2():
    """Instances of a cluster, and launch templates."""
    made = client("ec2")
    client("ecs").create_cluster(clusterName="default")
    instance = made.run_instances(MinCount=1, MaxCount=1, **LAUNCH)["Instances"][0]["InstanceId"]
    for name in ("kept", "gone"):
        made.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=LAUNCH)
    requests = [
        ("DescribeAvailabilityZones", {}),
        ("DescribeInstanceTypes", {"InstanceTypes": ["t3.small"]}),
        ("RunInstances", {"MinCount": 1, "MaxCount": 1} | LAUNCH),
        ("DescribeInstances", {"InstanceIds": [instance]}),
        ("TerminateInstances", {"InstanceIds": [instance]}),
        ("CreateLaunchTemplate", {"LaunchTemplateName": "new", "LaunchTemplateData": LAUNCH}),
        ("DescribeLaunchTemplates", {}),
        ("CreateLaunchTemplateVersion", {"LaunchTemplateName": "kept", "LaunchTemplateData": LAUNCH}),
        ("DescribeLaunchTemplateVersions", {"LaunchTemplateName": "kept"}),
        ("ModifyLaunchTemplate", {"LaunchTemplateName": "kept", "DefaultVersion": "1"}),
        ("DeleteLaunchTemplate", {"LaunchTemplateName": "gone"}),
    ]
    return requests, {}


def sts():
    return [("GetCallerIdentity", {})], {}


def end_instances():
    """Leaves the groups empty, and ends all other instances that run."""
    scaling, made = client("autoscaling"), client("ec2")
    for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
        name = group["AutoScalingGroupName"]
        scaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=3, DesiredCapacity=0)
    there = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = made.describe_instances(Filters=there)["Reservations"]
    if instances := [one["InstanceId"] for reservation in found for one in reservation["Instances"]]:
        made.terminate_instances(InstanceIds=instances)
