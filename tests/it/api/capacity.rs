//! Capacity: groups, capacity providers, container instances, and what is placed on them.

use std::sync::Barrier;

use longshore::api::shape::Service;
use serde_json::{Value, json};

use super::{Account, CLIENTS, ROUNDS, workload};

/// An account with a capacity provider over a group of so many instances, which is no cluster's.
fn account_with_group(desired_capacity: u32) -> Account {
    let account = Account::new();
    let neighbour = |service, operation: &str, input: Value| {
        let answer = account.api.call(service, operation, "us-east-1", input);
        answer.unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    };
    let template =
        json!({"LaunchTemplateName": "node", "LaunchTemplateData": {"InstanceType": "m7i.large", "ImageId": "ami-1"}});
    neighbour(Service::Ec2, "CreateLaunchTemplate", template);
    neighbour(
        Service::AutoScaling,
        "CreateAutoScalingGroup",
        json!({"AutoScalingGroupName": "nodes", "MinSize": 0, "MaxSize": 4, "DesiredCapacity": desired_capacity,
               "LaunchTemplate": {"LaunchTemplateName": "node"}, "VPCZoneIdentifier": "subnet-1"}),
    );
    let groups = neighbour(Service::AutoScaling, "DescribeAutoScalingGroups", json!({}));
    let arn = &groups["AutoScalingGroups"][0]["AutoScalingGroupARN"];
    assert_eq!(groups["AutoScalingGroups"][0]["Instances"], json!([]), "a group without a cluster has none");
    account.granted(
        "CreateCapacityProvider",
        json!({"name": "nodes-provider", "autoScalingGroupProvider": {"autoScalingGroupArn": arn}}),
    );
    account
}

/// A cluster with a capacity provider over a group of two instances.
fn account_with_instances() -> Account {
    let account = account_with_group(2);
    let strategy = json!([{"capacityProvider": "nodes-provider", "weight": 1}]);
    account.granted(
        "CreateCluster",
        json!({"capacityProviders": ["nodes-provider", "FARGATE"], "defaultCapacityProviderStrategy": strategy}),
    );
    account
        .until("DescribeClusters", json!({}), |found| found["clusters"][0]["registeredContainerInstancesCount"] == 2);
    account.granted(
        "RegisterTaskDefinition",
        json!({"family": "spin", "containerDefinitions":
               [{"name": "main", "image": workload("limits/spin.wat"), "memory": 64, "cpu": 512, "stopTimeout": 2}]}),
    );
    account
}

/// ecs-semantics §3.3, §6.1: tasks go where the default strategy says; an instance is drained, its tasks go elsewhere.
#[test]
fn instances_are_used_and_drained() {
    let account = account_with_instances();
    let listed =
        account.granted("ListContainerInstances", json!({"filter": "attribute:ecs.instance-type == m7i.large"}));
    let arns = listed["containerInstanceArns"].as_array().expect("a list").clone();
    assert_eq!(arns.len(), 2);
    let described = account.granted("DescribeContainerInstances", json!({"containerInstances": arns}));
    let instance = &described["containerInstances"][0];
    assert_eq!((&instance["status"], &instance["agentConnected"]), (&json!("ACTIVE"), &json!(true)));
    assert_eq!(instance["capacityProviderName"], "nodes-provider");
    assert_eq!(instance["registeredResources"][0]["integerValue"], 2048);

    account.granted("CreateService", json!({"serviceName": "web", "taskDefinition": "spin", "desiredCount": 2}));
    let on = |instance: &Value| {
        let tasks = account.granted("ListTasks", json!({"containerInstance": instance, "serviceName": "web"}));
        tasks["taskArns"].as_array().map(Vec::len)
    };
    account.until("DescribeServices", json!({"services": ["web"]}), |found| found["services"][0]["runningCount"] == 2);
    assert_eq!((on(&arns[0]), on(&arns[1])), (Some(1), Some(1)), "spread by default");
    let drained = account
        .granted("UpdateContainerInstancesState", json!({"containerInstances": [arns[0]], "status": "DRAINING"}));
    assert_eq!((&drained["containerInstances"][0]["status"], &drained["failures"]), (&json!("DRAINING"), &json!([])));
    account.until("DescribeContainerInstances", json!({"containerInstances": [arns[0]]}), |found| {
        found["containerInstances"][0]["runningTasksCount"] == 0
    });
    assert_eq!(on(&arns[1]), Some(2));
    let (exception, _) = account.refused("DeregisterContainerInstance", json!({"containerInstance": arns[1]}));
    assert_eq!(exception, "InvalidParameterException");
    let (exception, _) = account.refused(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": [], "defaultCapacityProviderStrategy": []}),
    );
    assert_eq!(exception, "ResourceInUseException");
}

/// ecs-semantics §3.5: attributes are put, found by the query language, listed and deleted.
#[test]
fn attributes() {
    let account = account_with_instances();
    let arns = account.granted("ListContainerInstances", json!({}))["containerInstanceArns"].clone();
    let target = &arns[0];
    let put = account.granted(
        "PutAttributes",
        json!({"attributes": [{"name": "stack", "value": "blue", "targetType": "container-instance", "targetId": target}]}),
    );
    assert_eq!(put["attributes"][0]["value"], "blue");
    let found = account.granted("ListContainerInstances", json!({"filter": "attribute:stack == blue"}));
    assert_eq!(found["containerInstanceArns"], json!([target]));
    let listed =
        account.granted("ListAttributes", json!({"targetType": "container-instance", "attributeName": "stack"}));
    assert_eq!(listed["attributes"].as_array().map(Vec::len), Some(1));
    account.granted("DeleteAttributes", json!({"attributes": [{"name": "stack", "targetId": target}]}));
    let found = account.granted("ListContainerInstances", json!({"filter": "attribute:stack == blue"}));
    assert_eq!(found["containerInstanceArns"], json!([]));
    let stranger = json!({"attributes": [{"name": "stack", "targetId": "nobody"}]});
    assert_eq!(account.refused("PutAttributes", stranger).0, "TargetNotFoundException");
}

/// Tags of everything that an ARN names; and settings of the account, which clusters begin with.
#[test]
fn tags_and_settings() {
    let account = account_with_instances();
    let arn = |kind: &str| format!("arn:aws:ecs:us-east-1:123456789012:{kind}");
    for resource in ["cluster/default", "task-definition/spin:1", "capacity-provider/nodes-provider"].map(arn) {
        let tags = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]);
        account.granted("TagResource", json!({"resourceArn": resource, "tags": tags}));
        account.granted("UntagResource", json!({"resourceArn": resource, "tagKeys": ["a"]}));
        let listed = account.granted("ListTagsForResource", json!({"resourceArn": resource}));
        assert_eq!(listed["tags"], json!([{"key": "b", "value": "2"}]), "{resource}");
    }
    let reserved = json!({"resourceArn": arn("cluster/default"), "tags": [{"key": "aws:x", "value": ""}]});
    assert_eq!(account.refused("TagResource", reserved).0, "InvalidParameterException");
    account.granted("PutAccountSetting", json!({"name": "containerInsights", "value": "enabled"}));
    let created = account.granted("CreateCluster", json!({"clusterName": "other"}));
    assert_eq!(created["cluster"]["settings"], json!([{"name": "containerInsights", "value": "enabled"}]));
    let all = account.granted("ListAccountSettings", json!({"effectiveSettings": true, "maxResults": 10}));
    assert_eq!((all["settings"].as_array().map(Vec::len), all["nextToken"].is_string()), (Some(10), true));
    let deleted = account.granted("DeleteAccountSetting", json!({"name": "containerInsights"}));
    assert_eq!(deleted["setting"]["value"], "disabled");
    let (exception, _) =
        account.refused("PutAccountSetting", json!({"name": "taskLongArnFormat", "value": "disabled"}));
    assert_eq!(exception, "InvalidParameterException");
}

/// A deleted cluster's provider and group may go to another one.
#[test]
fn capacity_outlives_its_cluster() {
    let account = account_with_instances();
    let resize = |desired: u32| {
        let input = json!({"AutoScalingGroupName": "nodes", "DesiredCapacity": desired});
        account.api.call(Service::AutoScaling, "SetDesiredCapacity", "us-east-1", input).expect("it is granted");
    };
    resize(0);
    account
        .until("DescribeClusters", json!({}), |found| found["clusters"][0]["registeredContainerInstancesCount"] == 0);
    account.until("ListContainerInstances", json!({}), |found| found["containerInstanceArns"] == json!([]));
    account.granted("DeleteCluster", json!({"cluster": "default"}));
    let providers = json!(["nodes-provider"]);
    account.granted("CreateCluster", json!({"clusterName": "second", "capacityProviders": providers}));
    resize(1);
    let second = json!({"clusters": ["second"]});
    account.until("DescribeClusters", second, |found| found["clusters"][0]["registeredContainerInstancesCount"] == 1);
}

/// A group has instances in one cluster, whoever asks for it at the same time; a cluster that does not get it is not created.
#[test]
fn capacity_goes_to_one_cluster() {
    let account = account_with_group(0);
    for _ in 0..ROUNDS {
        let barrier = Barrier::new(CLIENTS);
        let client = |name: &str| {
            barrier.wait();
            account.ecs("CreateCluster", json!({"clusterName": name, "capacityProviders": ["nodes-provider"]}))
        };
        let names: Vec<String> = (0..CLIENTS).map(|number| format!("shop-{number}")).collect();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = names.iter().map(|name| scope.spawn(|| client(name))).collect();
            clients.into_iter().map(|one| one.join().expect("no request fails")).collect()
        });
        let refusals: Vec<&str> = answers.iter().filter_map(|answer| Some(answer.as_ref().err()?.exception)).collect();
        assert_eq!(refusals, ["ResourceInUseException"; CLIENTS - 1]);
        let created = answers.into_iter().find_map(Result::ok).expect("one is granted");
        let listed = account.granted("ListClusters", json!({}));
        assert_eq!(listed["clusterArns"], json!([created["cluster"]["clusterArn"]]));
        account.granted("DeleteCluster", json!({"cluster": created["cluster"]["clusterArn"]}));
    }
}
