"""Clusters and who asks: boto3 and the command line, pages, exceptions, regions."""

from session import aws, client, raised

ecs, sts = client("ecs"), client("sts")

identity = sts.get_caller_identity()
assert identity["Account"] == "123456789012", identity
assert identity["Arn"] == "arn:aws:iam::123456789012:user/longshore", identity
assert aws("sts", "get-caller-identity")["UserId"] == identity["UserId"]

created = ecs.create_cluster(clusterName="c0", tags=[{"key": "team", "value": "a"}])["cluster"]
assert created["status"] == "ACTIVE" and created["tags"] == [{"key": "team", "value": "a"}], created
for number in range(1, 7):
    ecs.create_cluster(clusterName=f"c{number}")
pages = list(ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 3}))
assert [len(page["clusterArns"]) for page in pages] == [3, 3, 1], pages
assert len(aws("ecs", "list-clusters", "--page-size", "2")["clusterArns"]) == 7

found = ecs.describe_clusters(clusters=["c0", "none"], include=["TAGS"])
assert found["clusters"][0]["clusterArn"] == created["clusterArn"], found
assert found["failures"] == [{"arn": "arn:aws:ecs:us-east-1:123456789012:cluster/none", "reason": "MISSING"}], found

error = raised(ecs.exceptions.ClusterNotFoundException, ecs.delete_cluster, cluster="none")
assert error["Message"] == "Cluster not found.", error
error = raised(ecs.exceptions.InvalidParameterException, ecs.create_cluster, clusterName="no blanks")
assert "1 to 255 letters" in error["Message"], error

# State is apart for each region.
assert client("ecs", region="eu-west-1").list_clusters()["clusterArns"] == []
for number in range(7):
    assert aws("ecs", "delete-cluster", "--cluster", f"c{number}")["cluster"]["status"] == "INACTIVE"
assert ecs.list_clusters()["clusterArns"] == []
