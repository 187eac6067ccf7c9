"""Every operation that botocore's model has of ECS, but those of the daemon, gateway and express gateway families, of Application Auto
Scaling, and those of EC2 Auto Scaling, EC2 and STS that are answered: a minimal request that is right, one for each constraint of each member that breaks it, requests with everything in them, and some that are drawn.

What is answered has to be a success whose members are as the model has them, or an error that the operation's model has; it never is an
error of the server, and never takes longer than five seconds. Requests are sent as they are: botocore's own validation is not in the way.

The last line has what was counted, as JSON:

    python tests/clients/model.py http://127.0.0.1:8080 [--verbose] [--seed=0] [--rounds=20]
"""

import collections
import http.client
import json
import random
import re
import sys
import time
import urllib.parse

import query_protocol
import query_requests
from service_model import ServiceModel
from session import ENDPOINT, client, keep

SECONDS_MAX = 5
OTHER_FAMILIES = ("Daemon", "Gateway", "ExpressGateway")
# Errors that every operation may answer with, which not every model names. Source: the API references, "Common errors".
COMMON_ERRORS = {"SerializationException", "ValidationException"}
# Of requests that are drawn: another seed draws others.
SEED = int(next((argument.removeprefix("--seed=") for argument in sys.argv if argument.startswith("--seed=")), 0))
ROUNDS = int(next((argument.removeprefix("--rounds=") for argument in sys.argv if argument.startswith("--rounds=")), 20))
VERBOSE = "--verbose" in sys.argv
# The codes of EC2's errors. Source: EC2 API reference, "Error codes for the Amazon EC2 API".
CODE = re.compile(r"[A-Z][A-Za-z]+(\.[A-Z][A-Za-z]+)?")

counted = collections.Counter()
wrong = []


class Connection:
    """A connection that says who asks and signs nothing."""

    def __init__(self, service, region="us-east-1"):
        self.host = urllib.parse.urlparse(ENDPOINT).netloc
        self.service, self.model = service, ServiceModel(service)
        self.http = http.client.HTTPConnection(self.host, timeout=SECONDS_MAX)
        self.headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/{region}/{service}/aws4_request, "
            "SignedHeaders=host, Signature=00",
        }

    def call(self, operation, members):
        """The status and the body of an answer, whose form is held against the model."""
        target = f"{self.model.metadata['targetPrefix']}.{operation}"
        begin = time.monotonic()
        try:
            self.http.request("POST", "/", json.dumps(members), self.headers | {"X-Amz-Target": target})
            answer = self.http.getresponse()
            body = json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            self.http.close()
            wrong.append(f"{operation}: {error!r} after {time.monotonic() - begin:.1f} s to {brief(members)}")
            return 0, {}
        counted["requests"] += 1
        if answer.status == 200:
            if self.service == "ecs":
                keep(operation, body)
            self.hold(operation, members, body)
        else:
            kind, message = body.get("__type"), body.get("message")
            if answer.status != 400 or not isinstance(message, str) or not message:
                wrong.append(f"{operation}: {answer.status} {body} to {brief(members)}")
            if kind not in self.model.errors(operation) | COMMON_ERRORS:
                wrong.append(f"{operation}: {kind} is not an error of it ({message}), to {brief(members)}")
        return answer.status, body

    def hold(self, operation, members, body):
        """Holds an answer against the model."""
        if output := self.model.output(operation):
            for misfit in self.model.misfits(output, body):
                wrong.append(f"{operation}: {misfit}, to {brief(members)}")


class QueryConnection(Connection):
    """The same to a service that is spoken to in forms and answers in XML."""

    def __init__(self, service, region="us-east-1"):
        super().__init__(service, region)
        self.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"

    def call(self, operation, members):
        parameters = urllib.parse.urlencode(query_protocol.form(self.model, operation, members))
        begin = time.monotonic()
        try:
            self.http.request("POST", "/", parameters, self.headers)
            answer = self.http.getresponse()
            root = query_protocol.parse(answer.read())
        except (OSError, http.client.HTTPException, query_protocol.ParseError) as error:
            self.http.close()
            wrong.append(f"{operation}: {error!r} after {time.monotonic() - begin:.1f} s to {brief(members)}")
            return 0, {}
        counted["requests"] += 1
        if answer.status == 200:
            body, misfits = query_protocol.answer_in(self.model, operation, root)
            wrong.extend(f"{operation}: {misfit}, to {brief(members)}" for misfit in misfits)
            self.hold(operation, members, body)
            return answer.status, body
        code, message = query_protocol.error_in(self.model, root)
        if answer.status not in range(400, 500) or not code or not message:
            wrong.append(f"{operation}: {answer.status} {code}: {message}, to {brief(members)}")
        # EC2's model names no errors; what it has is of this form.
        known = query_requests.COMMON_ERRORS | self.model.error_codes(operation)
        is_known = CODE.fullmatch(code or "") if self.service == "ec2" else code in known
        if not is_known:
            wrong.append(f"{operation}: {code} is not an error of it ({message}), to {brief(members)}")
        return answer.status, {"__type": code, "message": message}


def brief(members):
    return json.dumps(members)[:300]


def minimal_requests(connection, requests, expected_errors):
    """Sends what is right: `requests` has the operations in the order in which they succeed, each with what it needs."""
    for operation, members in requests:
        members = members() if callable(members) else members
        status, body = connection.call(operation, members)
        counted["operations"] += 1
        if status == 200:
            counted["succeeded"] += 1
        elif body.get("__type") != expected_errors.get(operation):
            wrong.append(f"{operation}: {body} to the minimal {brief(members)}")
        if VERBOSE:
            print(operation, status, brief(members), "->", json.dumps(body)[:2000])


def violations(connection, requests):
    """Breaks one constraint at a time. The error has to name what it is about."""
    for operation, base in requests:
        for path, rule, value in connection.model.violations(operation):
            if not path and rule != "required":
                # The request as a whole is no object.
                sent = value
            else:
                kept = {name: of for name, of in base.items() if name != path[0]}
                sent = kept | ({path[0]: value[path[0]]} if path[0] in value else {})
            status, body = connection.call(operation, sent)
            counted["violations"] += 1
            names = [name for name in path if name not in ("[]", "{}")]
            message = str(body.get("message"))
            about = not names or names[-1] in message
            is_form = isinstance(connection, QueryConnection)
            right_kind = rule != "type" or is_form or body.get("__type") == "SerializationException"
            if connection.service == "ec2":
                right_kind = (body.get("__type") == "MissingParameter") == (rule == "required")
            if status == 400 and about and right_kind:
                counted["caught"] += 1
            else:
                wrong.append(f"{operation} {'.'.join(path)}, {rule}: {status} {brief(body)} to {brief(sent)}")


def members_one_by_one(connection, requests):
    """Adds each member that an operation can have to what is right, with everything in it that it can have, and all of them together."""
    for operation, base in requests:
        name = connection.model.input(operation)
        whole = connection.model.whole(name)
        for member, value in whole.items():
            connection.call(operation, base | {member: value})
        connection.call(operation, whole | base)
        connection.call(operation, whole)
        # Texts that nobody expects, wherever a text can be.
        for text in ("/", "arn:aws:ecs:us-east-1:123456789012:x/", "ü\U0001f600\x00", "a:b:c", "-1"):
            connection.call(operation, with_texts(connection.model, name, whole, text))
            connection.call(operation, with_texts(connection.model, name, whole, text) | base)
            connection.call(operation, base | with_texts(connection.model, name, base, text))
        # Numbers at their ends.
        for number in (0, -(2**31), 2**31 - 1):
            connection.call(operation, base | with_numbers(connection.model, name, whole, number))
        counted["fuzzed operations"] += 1


def drawn_requests(connection, requests, seed=SEED):
    """Requests with members drawn from what is there and what is not, of all operations by turns; they may do what they can. Instances that
    they launch end with each turn, so that there are never thousands."""
    drawn = random.Random(seed)
    texts = sorted({text for _, members in requests for text in texts_in(members)})
    texts += ["", "a", "0", "*", "task:1", "task:0", "task:99999999999", "attribute:x == y", "arn:aws:ecs:us-east-1:1:task/"]
    texts += ["service:web", "family:task", "0.5 vCPU", "512", "1 GB", "us-east-1a", "rate(1 minute)", "at(x)", "1" * 300]
    for _ in range(ROUNDS):
        for operation, members in requests:
            made = connection.model.drawn(connection.model.input(operation), drawn, texts)
            kept = {name: value for name, value in members.items() if drawn.random() < 0.6}
            connection.call(operation, made | kept)
            counted["drawn"] += 1
        query_requests.end_instances()


def texts_in(value):
    if isinstance(value, str):
        yield value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for of in value:
            yield from texts_in(of)


def with_texts(model, name, value, text):
    shape = model.shape(name)
    if shape["type"] == "string" and "enum" not in shape:
        return text
    return within(model, shape, value, lambda name, value: with_texts(model, name, value, text))


def with_numbers(model, name, value, number):
    shape = model.shape(name)
    if shape["type"] in ("integer", "long", "double", "float"):
        return number
    return within(model, shape, value, lambda name, value: with_numbers(model, name, value, number))


def within(model, shape, value, change):
    if shape["type"] == "structure" and isinstance(value, dict):
        return {one: change(shape["members"][one]["shape"], of) for one, of in value.items()}
    if shape["type"] == "list":
        return [change(shape["member"]["shape"], of) for of in value]
    if shape["type"] == "map":
        return {key: change(shape["value"]["shape"], of) for key, of in value.items()}
    return value


def ecs_requests():
    """What each operation of ECS needs at least, with what it needs to be there made through boto3."""
    ecs, scaling = client("ecs"), client("autoscaling")
    container = {"name": "main", "image": "busybox", "cpu": 10, "memory": 64, "command": ["sleep", "300"]}
    ecs.create_cluster(clusterName="default")
    ecs.create_cluster(clusterName="spare")
    for family in ("task", "old", "older"):
        ecs.register_task_definition(family=family, containerDefinitions=[container])
    old = ecs.deregister_task_definition(taskDefinition="older:1")["taskDefinition"]["taskDefinitionArn"]
    resources = [
        {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 8192},
    ]

    def instance():
        registered = ecs.register_container_instance(
            totalResources=resources,
            versionInfo={"agentVersion": "1.0.0", "agentHash": "0", "dockerVersion": "20"},
        )
        return registered["containerInstance"]["containerInstanceArn"]

    instances = [instance() for _ in range(2)]
    groups = []
    for number in range(3):
        scaling.create_launch_configuration(
            LaunchConfigurationName=f"launch{number}", ImageId="ami-1", InstanceType="t3.small"
        )
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=f"group{number}",
            LaunchConfigurationName=f"launch{number}",
            MinSize=0,
            MaxSize=1,
            AvailabilityZones=["us-east-1a"],
        )
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[f"group{number}"])
        groups.append({"autoScalingGroupArn": found["AutoScalingGroups"][0]["AutoScalingGroupARN"]})
    for number in (1, 2):
        ecs.create_capacity_provider(name=f"provider{number}", autoScalingGroupProvider=groups[number])
    ecs.create_service(serviceName="external", deploymentController={"type": "EXTERNAL"}, desiredCount=1)
    sets = [
        ecs.create_task_set(cluster="default", service="external", taskDefinition="task")["taskSet"]["taskSetArn"]
        for _ in range(2)
    ]
    ecs.create_service(
        serviceName="web",
        taskDefinition="task",
        desiredCount=1,
        serviceConnectConfiguration={"enabled": True, "namespace": "shop"},
    )
    paused = {"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]}
    ecs.create_service(
        serviceName="paused",
        taskDefinition="task",
        desiredCount=0,
        deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": [paused]},
    )
    ecs.update_service(service="paused", forceNewDeployment=True)
    ecs.create_service(serviceName="gone", taskDefinition="task", desiredCount=0)
    tasks = [ecs.run_task(taskDefinition="task", count=2)["tasks"][0]["taskArn"]]
    tasks.append(ecs.run_task(taskDefinition="task")["tasks"][0]["taskArn"])
    ecs.update_service(service="web", forceNewDeployment=True)

    def deployment():
        # A service deployment is there when its deployment has begun.
        return listed("web")[0]["serviceDeploymentArn"]

    def listed(service):
        for _ in range(100):
            if found := ecs.list_service_deployments(service=service)["serviceDeployments"]:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{service} has no service deployment")

    def hook():
        """A hook that waits for somebody to say that it goes on."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            arn = listed("paused")[0]["serviceDeploymentArn"]
            found = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
            for waiting in found.get("lifecycleHookDetails", []):
                if waiting.get("status") == "AWAITING_ACTION":
                    return {"serviceDeploymentArn": arn, "hookId": waiting["hookId"]}
            time.sleep(0.1)
        raise AssertionError(f"no hook waits: {found}")

    def of_service():
        begin = time.monotonic()
        while not (found := ecs.list_tasks(serviceName="web")["taskArns"]):
            assert time.monotonic() < begin + 20, "the service has no task"
            time.sleep(0.05)
        return found

    cluster = {"cluster": "default"}
    of_set = cluster | {"service": "external"}
    cluster_arn = ecs.describe_clusters()["clusters"][0]["clusterArn"]
    requests = [
        ("CreateCluster", {}),
        ("DescribeClusters", {}),
        ("ListClusters", {}),
        ("UpdateCluster", cluster),
        ("UpdateClusterSettings", cluster | {"settings": [{"name": "containerInsights", "value": "enabled"}]}),
        ("PutAccountSetting", {"name": "containerInsights", "value": "enabled"}),
        ("PutAccountSettingDefault", {"name": "containerInsights", "value": "enabled"}),
        ("ListAccountSettings", {}),
        ("DeleteAccountSetting", {"name": "containerInsights"}),
        ("RegisterTaskDefinition", {"family": "new", "containerDefinitions": [container]}),
        ("DescribeTaskDefinition", {"taskDefinition": "task"}),
        ("ListTaskDefinitions", {}),
        ("ListTaskDefinitionFamilies", {}),
        ("DeregisterTaskDefinition", {"taskDefinition": "old:1"}),
        ("DeleteTaskDefinitions", {"taskDefinitions": [old]}),
        ("RegisterContainerInstance", {"totalResources": resources}),
        ("DiscoverPollEndpoint", {}),
        ("ListContainerInstances", {}),
        ("DescribeContainerInstances", {"containerInstances": [instances[0]]}),
        ("UpdateContainerAgent", {"containerInstance": instances[0]}),
        ("UpdateContainerInstancesState", {"containerInstances": [instances[0]], "status": "ACTIVE"}),
        ("PutAttributes", {"attributes": [{"name": "disk", "value": "ssd", "targetId": instances[0]}]}),
        ("ListAttributes", {"targetType": "container-instance"}),
        ("DeleteAttributes", {"attributes": [{"name": "disk", "targetId": instances[0]}]}),
        ("CreateCapacityProvider", {"name": "provider0", "autoScalingGroupProvider": groups[0]}),
        ("DescribeCapacityProviders", {}),
        (
            "UpdateCapacityProvider",
            {"name": "provider1", "autoScalingGroupProvider": {"managedScaling": {"status": "DISABLED"}}},
        ),
        (
            "PutClusterCapacityProviders",
            cluster | {"capacityProviders": [], "defaultCapacityProviderStrategy": []},
        ),
        ("DeleteCapacityProvider", {"capacityProvider": "provider2"}),
        ("RunTask", {"taskDefinition": "task"}),
        ("StartTask", {"taskDefinition": "task", "containerInstances": [instances[1]]}),
        ("ListTasks", {}),
        ("DescribeTasks", {"tasks": [tasks[0]]}),
        ("SubmitTaskStateChange", {"task": tasks[0], "status": "RUNNING"}),
        ("SubmitContainerStateChange", {"task": tasks[0], "containerName": "main", "status": "RUNNING"}),
        ("ExecuteCommand", {"task": tasks[0], "command": "ls", "interactive": True}),
        ("SubmitAttachmentStateChanges", {"attachments": [{"attachmentArn": tasks[0], "status": "ATTACHED"}]}),
        ("StopTask", {"task": tasks[1]}),
        ("CreateService", {"serviceName": "new", "schedulingStrategy": "DAEMON", "taskDefinition": "task"}),
        ("DescribeServices", {"services": ["web"]}),
        ("ListServices", {}),
        ("ListServicesByNamespace", {"namespace": "shop"}),
        ("ListServiceDeployments", {"service": "web"}),
        ("DescribeServiceDeployments", lambda: {"serviceDeploymentArns": [deployment()]}),
        (
            "DescribeServiceRevisions",
            lambda: {"serviceRevisionArns": [listed("web")[0]["targetServiceRevisionArn"]]},
        ),
        ("GetTaskProtection", cluster),
        ("UpdateTaskProtection", lambda: cluster | {"tasks": of_service()[:1], "protectionEnabled": True}),
        ("UpdateService", {"service": "web"}),
        ("StopServiceDeployment", lambda: {"serviceDeploymentArn": deployment()}),
        ("ContinueServiceDeployment", hook),
        ("CreateTaskSet", of_set | {"taskDefinition": "task"}),
        ("DescribeTaskSets", of_set),
        ("UpdateTaskSet", of_set | {"taskSet": sets[0], "scale": {"value": 50, "unit": "PERCENT"}}),
        ("UpdateServicePrimaryTaskSet", of_set | {"primaryTaskSet": sets[0]}),
        ("DeleteTaskSet", of_set | {"taskSet": sets[1], "force": True}),
        ("TagResource", {"resourceArn": cluster_arn, "tags": [{"key": "team", "value": "a"}]}),
        ("ListTagsForResource", {"resourceArn": cluster_arn}),
        ("UntagResource", {"resourceArn": cluster_arn, "tagKeys": ["team"]}),
        ("DeregisterContainerInstance", {"containerInstance": instances[1], "force": True}),
        ("DeleteService", {"service": "gone"}),
        ("DeleteCluster", {"cluster": "spare"}),
    ]
    owed = {name for name in ServiceModel("ecs").operations if not any(family in name for family in OTHER_FAMILIES)}
    assert owed == {operation for operation, _ in requests}, owed ^ {operation for operation, _ in requests}
    # Nothing can be executed in a module from outside.
    return requests, {"ExecuteCommand": "TargetNotConnectedException"}


def scaling_requests():
    """The same of Application Auto Scaling, for the service of the others."""
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/default/web",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    scaling = client("application-autoscaling")
    arn = scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=1)["ScalableTargetARN"]
    tracking = {
        "TargetValue": 50,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }
    day = 1_800_000_000
    requests = [
        ("RegisterScalableTarget", target | {"MaxCapacity": 2}),
        ("DescribeScalableTargets", {"ServiceNamespace": "ecs"}),
        (
            "PutScalingPolicy",
            target
            | {
                "PolicyName": "cpu",
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": tracking,
            },
        ),
        ("DescribeScalingPolicies", {"ServiceNamespace": "ecs"}),
        (
            "GetPredictiveScalingForecast",
            target | {"PolicyName": "cpu", "StartTime": day, "EndTime": day + 86_400},
        ),
        ("DeleteScalingPolicy", target | {"PolicyName": "cpu"}),
        (
            "PutScheduledAction",
            target
            | {
                "ScheduledActionName": "night",
                "Schedule": "cron(0 20 * * ? *)",
                "ScalableTargetAction": {"MinCapacity": 0},
            },
        ),
        ("DescribeScheduledActions", {"ServiceNamespace": "ecs"}),
        ("DeleteScheduledAction", target | {"ScheduledActionName": "night"}),
        ("DescribeScalingActivities", {"ServiceNamespace": "ecs"}),
        ("TagResource", {"ResourceARN": arn, "Tags": {"team": "a"}}),
        ("ListTagsForResource", {"ResourceARN": arn}),
        ("UntagResource", {"ResourceARN": arn, "TagKeys": ["team"]}),
        ("DeregisterScalableTarget", target),
    ]
    assert set(ServiceModel("application-autoscaling").operations) == {operation for operation, _ in requests}
    return requests, {"GetPredictiveScalingForecast": "ValidationException"}


sums = {}
for service, kind, made in [
    ("ecs", Connection, ecs_requests),
    ("application-autoscaling", Connection, scaling_requests),
    ("autoscaling", QueryConnection, query_requests.auto_scaling),
    ("ec2", QueryConnection, query_requests.ec2),
    ("sts", QueryConnection, query_requests.sts),
]:
    counted.clear()
    requests, expected_errors = made()
    connection = kind(service)
    at_first = [(operation, members() if callable(members) else members) for operation, members in requests]
    violations(connection, at_first)
    minimal_requests(connection, requests, expected_errors)
    members_one_by_one(connection, at_first)
    drawn_requests(connection, at_first)
    sums[service] = dict(counted)
for each in wrong[:100]:
    print(each)
if wrong:
    print(f"{len(wrong)} answers are not as they should be")
print(json.dumps(sums | {"wrong": len(wrong)}))
sys.exit(bool(wrong))
