"""ecs-deploy (https://github.com/fabfuel/ecs-deploy), unchanged: deploy, scale, run, update, diff. It polls what ECS says of a service."""

from session import client, program, waited

ecs = client("ecs")
ecs.create_cluster(clusterName="shop")
ecs.register_task_definition(
    family="web",
    networkMode="awsvpc",
    requiresCompatibilities=["FARGATE"],
    cpu="256",
    memory="512",
    containerDefinitions=[
        {"name": "main", "image": "nginx:1.27", "stopTimeout": 2, "environment": [{"name": "A", "value": "b"}]}
    ],
)
ecs.create_service(
    cluster="shop",
    serviceName="web",
    taskDefinition="web",
    desiredCount=1,
    launchType="FARGATE",
    networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}},
)


def service():
    return ecs.describe_services(cluster="shop", services=["web"])["services"][0]


def definition(name):
    return ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]


def ecs_deploy(*arguments, code=0):
    done = program("ecs", *arguments)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout


waited(lambda: service()["runningCount"] == 1)
said = ecs_deploy("deploy", "shop", "web", "--tag", "1.28", "-e", "main", "A", "c", "--no-deregister", "--timeout", "60")
assert "Deployment successful" in said, said
container = definition("web")["containerDefinitions"][0]
assert container["image"] == "nginx:1.28" and container["environment"] == [{"name": "A", "value": "c"}], container
assert service()["taskDefinition"].endswith("web:2") and service()["runningCount"] == 1, service()

said = ecs_deploy("scale", "shop", "web", "2", "--timeout", "60")
assert "Scaling successful" in said and service()["desiredCount"] == 2, said
said = ecs_deploy("diff", "web", "1", "2")
assert "1.27" in said and "1.28" in said, said
said = ecs_deploy("update", "web", "--tag", "1.29")
assert definition("web")["revision"] == 3 and "Creating new task definition revision" in said, said
assert definition("web:2")["status"] == "INACTIVE"
said = ecs_deploy(
    "run", "shop", "web", "1", "-c", "main", "sh -c true", "--launchtype", "FARGATE", "--subnet", "subnet-1",
    "--securitygroup", "sg-1", "--public-ip",
)  # fmt: skip
assert "Successfully started 1 instances of task: web:3" in said, said

# A deployment whose image can't be pulled has failed, with what the circuit breaker says; the next one is right again.
said = program("ecs", "deploy", "shop", "web", "--task", "web:3", "-i", "main", "no/such:image", "--no-deregister", "--timeout", "60")
assert said.returncode == 1, said
assert "Deployment Failed! ECS deployment circuit breaker" in said.stderr, said
said = ecs_deploy("deploy", "shop", "web", "--task", "web:3", "--timeout", "60")
assert "Deployment successful" in said, said
assert service()["runningCount"] == 2, service()
said = ecs_deploy("scale", "shop", "web", "0", "--timeout", "60")
assert "Scaling successful" in said, said
ecs.delete_service(cluster="shop", service="web")
