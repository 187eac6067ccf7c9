//! Capacity: groups, capacity providers, container instances, and what is placed on them.

use std::sync::Barrier;

use longshore::api::shape::Service;
use serde_json::{Value, json};

use super::{Account, CLIENTS, PATIENCE, PATIENCE_TRIES, ROUNDS, workload};

/// Calls an operation of EC2 or EC2 Auto Scaling that has to be granted.
#[track_caller]
fn neighbour(account: &Account, service: Service, operation: &str, input: Value) -> Value {
    let answer = account.api.call(service, operation, "us-east-1", input);
    answer.unwrap_or_else(|error| panic!("{operation}: {error:?}"))
}

/// An account with a capacity provider over a group of so many instances, which is no cluster's.
fn account_with_group(desired_capacity: u32) -> Account {
    let account = Account::new();
    let neighbour = |service, operation: &str, input: Value| neighbour(&account, service, operation, input);
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

/// `echo ECS_CLUSTER=shop >> /etc/ecs/ecs.config`, in base64.
const OF_SHOP: &str = "ZWNobyBFQ1NfQ0xVU1RFUj1zaG9wID4+IC9ldGMvZWNzL2Vjcy5jb25maWc=";

/// A launch template, and a group of two instances that are launched from the version that is named.
fn create_group(account: &Account, data: Value, version: &str) {
    let template = json!({"LaunchTemplateName": "node", "LaunchTemplateData": data});
    neighbour(account, Service::Ec2, "CreateLaunchTemplate", template);
    neighbour(
        account,
        Service::AutoScaling,
        "CreateAutoScalingGroup",
        json!({"AutoScalingGroupName": "nodes", "MinSize": 0, "MaxSize": 4, "DesiredCapacity": 2,
               "LaunchTemplate": {"LaunchTemplateName": "node", "Version": version}, "VPCZoneIdentifier": "subnet-1"}),
    );
}

fn group(account: &Account) -> Value {
    neighbour(account, Service::AutoScaling, "DescribeAutoScalingGroups", json!({}))["AutoScalingGroups"][0].clone()
}

/// The ids of the group's instances, sorted.
fn instances_of_group(account: &Account) -> Vec<String> {
    let group = group(account);
    let instances = group["Instances"].as_array().into_iter().flatten();
    let mut ids: Vec<String> =
        instances.filter_map(|instance| instance["InstanceId"].as_str().map(str::to_owned)).collect();
    ids.sort();
    ids
}

/// The EC2 instances that are registered with a cluster, sorted, and the capacity providers that they are shown with.
fn registered(account: &Account, cluster: &str) -> (Vec<String>, Vec<Value>) {
    let listed = account.granted("ListContainerInstances", json!({"cluster": cluster, "status": "ACTIVE"}));
    if listed["containerInstanceArns"] == json!([]) {
        return (Vec::new(), Vec::new());
    }
    let arns = &listed["containerInstanceArns"];
    let found = account.granted("DescribeContainerInstances", json!({"cluster": cluster, "containerInstances": arns}));
    let instances = found["containerInstances"].as_array().into_iter().flatten();
    let mut all: Vec<(String, Value)> = instances
        .map(|one| (one["ec2InstanceId"].as_str().unwrap_or_default().to_owned(), one["capacityProviderName"].clone()))
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all.into_iter().unzip()
}

#[track_caller]
fn until_registered(account: &Account, cluster: &str, count: u64) {
    account.until("DescribeClusters", json!({"clusters": [cluster]}), |found| {
        found["clusters"][0]["registeredContainerInstancesCount"] == count
    });
}

/// ecs-semantics §3.1, §9.1: a group has its instances from its creation on, in the cluster that its user data name, where tasks run on them; a
/// capacity provider that comes over it finds the same instances, and is bound to that cluster.
#[test]
fn a_group_has_instances_of_the_cluster_of_its_user_data() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    account.granted("CreateCluster", json!({"clusterName": "shop"}));
    create_group(&account, json!({"InstanceType": "m7i.large", "UserData": OF_SHOP}), "1");
    let ids = instances_of_group(&account);
    assert_eq!(ids.len(), 2, "at once");
    let described = neighbour(&account, Service::Ec2, "DescribeInstances", json!({"InstanceIds": ids}));
    assert_eq!(described["Reservations"].as_array().map(Vec::len), Some(2));
    until_registered(&account, "shop", 2);
    assert_eq!(registered(&account, "shop"), (ids.clone(), vec![Value::Null, Value::Null]));
    assert_eq!(registered(&account, "default").0, Vec::<String>::new());

    account.granted(
        "RegisterTaskDefinition",
        json!({"family": "spin", "containerDefinitions":
               [{"name": "main", "image": workload("limits/spin.wat"), "memory": 64, "cpu": 512, "stopTimeout": 2}]}),
    );
    let run = json!({"cluster": "shop", "taskDefinition": "spin", "launchType": "EC2"});
    let ran = account.granted("RunTask", run);
    let task = json!({"cluster": "shop", "tasks": [ran["tasks"][0]["taskArn"]]});
    account.until("DescribeTasks", task.clone(), |found| found["tasks"][0]["lastStatus"] == "RUNNING");

    let group =
        json!({"autoScalingGroupArn": group(&account)["AutoScalingGroupARN"], "managedScaling": {"status": "ENABLED"}});
    account.granted("CreateCapacityProvider", json!({"name": "pool", "autoScalingGroupProvider": group}));
    let association = |cluster: &str| {
        json!({"cluster": cluster, "capacityProviders": ["pool"],
               "defaultCapacityProviderStrategy": [{"capacityProvider": "pool", "weight": 1}]})
    };
    let (exception, _) = account.refused("PutClusterCapacityProviders", association("default"));
    assert_eq!(exception, "ResourceInUseException", "they are registered with another cluster");
    account.granted("PutClusterCapacityProviders", association("shop"));
    assert_eq!(registered(&account, "shop"), (ids.clone(), vec![json!("pool"), json!("pool")]));
    assert_eq!(instances_of_group(&account), ids);
    let ran = account.granted("RunTask", json!({"cluster": "shop", "taskDefinition": "spin"}));
    let second = json!({"cluster": "shop", "tasks": [ran["tasks"][0]["taskArn"]]});
    let ran = account.until("DescribeTasks", second, |found| found["tasks"][0]["lastStatus"] == "RUNNING");
    assert_eq!(ran["tasks"][0]["capacityProviderName"], "pool");
    assert_eq!(account.granted("DescribeTasks", task)["tasks"][0]["lastStatus"], "RUNNING");
}

/// A group whose cluster is not there waits for it; it can't have more instances than a process takes; and a group of that name that is created
/// once more has its instances once more.
#[test]
fn a_group_waits_for_its_cluster() {
    let account = Account::new();
    create_group(&account, json!({"InstanceType": "m7i.large", "UserData": OF_SHOP}), "$Default");
    assert_eq!((instances_of_group(&account), group(&account)["DesiredCapacity"].clone()), (vec![], json!(2)));
    account.granted("CreateCluster", json!({"clusterName": "shop"}));
    assert_eq!(instances_of_group(&account).len(), 2);
    until_registered(&account, "shop", 2);
    let many = json!({"AutoScalingGroupName": "nodes", "MaxSize": 501, "DesiredCapacity": 501});
    let refused = account.api.call(Service::AutoScaling, "UpdateAutoScalingGroup", "us-east-1", many);
    assert_eq!(refused.expect_err("each is a pool of threads").exception, "ValidationError");
    let delete = json!({"AutoScalingGroupName": "nodes", "ForceDelete": true});
    neighbour(&account, Service::AutoScaling, "DeleteAutoScalingGroup", delete);
    until_registered(&account, "shop", 0);
    let input = json!({"AutoScalingGroupName": "nodes", "MinSize": 1, "MaxSize": 1,
                       "LaunchTemplate": {"LaunchTemplateName": "node"}, "AvailabilityZones": ["us-east-1a"]});
    neighbour(&account, Service::AutoScaling, "CreateAutoScalingGroup", input);
    assert_eq!(instances_of_group(&account).len(), 1);
    until_registered(&account, "shop", 1);
}

/// A group whose user data name no cluster is of `default`, until a capacity provider takes it to another one.
#[test]
fn a_group_goes_where_its_provider_goes() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    create_group(&account, json!({"InstanceType": "m7i.large"}), "$Latest");
    until_registered(&account, "default", 2);
    let first = instances_of_group(&account);
    let group = json!({"autoScalingGroupArn": group(&account)["AutoScalingGroupARN"]});
    account.granted("CreateCapacityProvider", json!({"name": "pool", "autoScalingGroupProvider": group}));
    account.granted("CreateCluster", json!({"clusterName": "shop", "capacityProviders": ["pool"]}));
    until_registered(&account, "shop", 2);
    until_registered(&account, "default", 0);
    let second = instances_of_group(&account);
    assert_eq!((second.len(), first.iter().any(|id| second.contains(id))), (2, false));
}

/// EC2 user guide, launch template versions: each is what was sent, over its source version where one is named; the default one stays until it is
/// changed; groups and instances are launched from the version that they name.
#[test]
fn launch_template_versions() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    let ec2 = |operation: &str, input: Value| neighbour(&account, Service::Ec2, operation, input);
    create_group(&account, json!({"InstanceType": "m7i.large", "ImageId": "ami-1"}), "$Latest");
    let next = json!({"LaunchTemplateName": "node", "SourceVersion": "1", "VersionDescription": "patched",
                      "LaunchTemplateData": {"ImageId": "ami-2"}});
    let made = ec2("CreateLaunchTemplateVersion", next)["LaunchTemplateVersion"].clone();
    assert_eq!(made["LaunchTemplateData"], json!({"InstanceType": "m7i.large", "ImageId": "ami-2"}));
    assert_eq!((&made["VersionNumber"], &made["DefaultVersion"]), (&json!(2), &json!(false)));
    let bare =
        json!({"LaunchTemplateId": made["LaunchTemplateId"], "LaunchTemplateData": {"InstanceType": "c7i.large"}});
    let made = ec2("CreateLaunchTemplateVersion", bare)["LaunchTemplateVersion"].clone();
    assert_eq!(
        (&made["VersionNumber"], &made["LaunchTemplateData"]),
        (&json!(3), &json!({"InstanceType": "c7i.large"}))
    );

    let numbers = |input: Value| -> Vec<u64> {
        let found = ec2("DescribeLaunchTemplateVersions", input);
        let versions = found["LaunchTemplateVersions"].as_array().into_iter().flatten();
        versions.filter_map(|version| version["VersionNumber"].as_u64()).collect()
    };
    let of_node = |more: Value| {
        let mut input = json!({"LaunchTemplateName": "node"});
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        input
    };
    assert_eq!(numbers(of_node(json!({}))), [3, 2, 1]);
    assert_eq!(numbers(of_node(json!({"Versions": ["$Default", "2"]}))), [2, 1]);
    assert_eq!(numbers(of_node(json!({"MinVersion": "2", "MaxVersion": "$Latest"}))), [3, 2]);
    assert_eq!(numbers(json!({"Versions": ["$Latest"]})), [3]);
    let page = ec2("DescribeLaunchTemplateVersions", of_node(json!({"MaxResults": 2})));
    let rest = of_node(json!({"MaxResults": 2, "NextToken": page["NextToken"]}));
    assert_eq!((page["LaunchTemplateVersions"].as_array().map(Vec::len), numbers(rest)), (Some(2), vec![1]));
    let refused = |operation: &str, input: Value| {
        let answer = account.api.call(Service::Ec2, operation, "us-east-1", input);
        answer.expect_err("it is not there").exception
    };
    let versions = of_node(json!({"Versions": ["4"]}));
    assert_eq!(refused("DescribeLaunchTemplateVersions", versions), "InvalidLaunchTemplateId.VersionNotFound");
    let stranger = json!({"LaunchTemplateName": "nobody", "DefaultVersion": "1"});
    assert_eq!(refused("ModifyLaunchTemplate", stranger), "InvalidLaunchTemplateName.NotFoundException");

    // Instances have the default version unless another is named.
    let launched = |template: Value| {
        let input = json!({"MinCount": 1, "MaxCount": 1, "LaunchTemplate": template});
        let instance = ec2("RunInstances", input)["Instances"][0].clone();
        (instance["InstanceType"].clone(), instance["ImageId"].clone())
    };
    assert_eq!(launched(of_node(json!({}))), (json!("m7i.large"), json!("ami-1")));
    assert_eq!(launched(of_node(json!({"Version": "2"}))), (json!("m7i.large"), json!("ami-2")));
    assert_eq!(launched(of_node(json!({"Version": "$Latest"}))), (json!("c7i.large"), Value::Null));
    let modified = ec2("ModifyLaunchTemplate", of_node(json!({"DefaultVersion": "2"})))["LaunchTemplate"].clone();
    assert_eq!((&modified["DefaultVersionNumber"], &modified["LatestVersionNumber"]), (&json!(2), &json!(3)));
    assert_eq!(launched(of_node(json!({}))).1, json!("ami-2"));

    // The group launches the latest version from here on, and leaves what it has.
    let scaling = |operation: &str, input: Value| neighbour(&account, Service::AutoScaling, operation, input);
    scaling("SetDesiredCapacity", json!({"AutoScalingGroupName": "nodes", "DesiredCapacity": 3}));
    let shown = group(&account);
    let mut versions: Vec<(&str, &str)> = shown["Instances"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|instance| {
            let version = instance["LaunchTemplate"]["Version"].as_str().unwrap_or_default();
            (instance["InstanceType"].as_str().unwrap_or_default(), version)
        })
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, [("c7i.large", "3"), ("m7i.large", "1"), ("m7i.large", "1")]);
}

/// ecs-semantics §9.4: a refresh replaces the instances of a group by others of a version that it names, which the group has from then on; a
/// second one at the same time is refused, and so is the end of one that is over.
#[test]
fn a_group_is_refreshed() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    create_group(&account, json!({"InstanceType": "m7i.large", "ImageId": "ami-1"}), "1");
    until_registered(&account, "default", 2);
    let first = instances_of_group(&account);
    let next = json!({"LaunchTemplateName": "node", "SourceVersion": "1", "LaunchTemplateData": {"ImageId": "ami-2"}});
    neighbour(&account, Service::Ec2, "CreateLaunchTemplateVersion", next);
    assert_eq!(group(&account)["LaunchTemplate"]["Version"], "1", "a group that names a number keeps to it");

    let call = |operation: &str, more: Value| {
        let mut input = json!({"AutoScalingGroupName": "nodes"});
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        account.api.call(Service::AutoScaling, operation, "us-east-1", input)
    };
    let desired = |version: &str| {
        json!({"DesiredConfiguration": {"LaunchTemplate": {"LaunchTemplateName": "node", "Version": version}},
               "Preferences": {"MinHealthyPercentage": 50, "InstanceWarmup": 0}})
    };
    let refused = |operation: &str, more: Value| call(operation, more).expect_err("it is refused").exception;
    assert_eq!(refused("CancelInstanceRefresh", json!({})), "ActiveInstanceRefreshNotFound");
    assert_eq!(refused("StartInstanceRefresh", desired("9")), "ValidationError");
    let started = call("StartInstanceRefresh", desired("2")).expect("it is granted")["InstanceRefreshId"].clone();
    assert_eq!(refused("StartInstanceRefresh", desired("2")), "InstanceRefreshInProgress");
    let last = || call("DescribeInstanceRefreshes", json!({})).expect("it is granted")["InstanceRefreshes"][0].clone();
    let ended = |status: &str| {
        for _ in 0..PATIENCE_TRIES {
            if last()["Status"] == status {
                return last();
            }
            std::thread::sleep(PATIENCE / PATIENCE_TRIES);
        }
        panic!("it does not become {status}: {}", last());
    };
    let successful = ended("Successful");
    assert_eq!((&successful["InstanceRefreshId"], &successful["PercentageComplete"]), (&started, &json!(100)));
    assert_eq!(successful["Preferences"]["MinHealthyPercentage"], 50);
    let second = instances_of_group(&account);
    assert_eq!((second.len(), first.iter().any(|id| second.contains(id))), (2, false));
    let found = neighbour(&account, Service::Ec2, "DescribeInstances", json!({"InstanceIds": second}));
    let images = found["Reservations"].as_array().into_iter().flatten().map(|one| &one["Instances"][0]["ImageId"]);
    assert_eq!(images.collect::<Vec<_>>(), ["ami-2", "ami-2"]);
    assert_eq!(group(&account)["LaunchTemplate"]["Version"], "2");

    call("StartInstanceRefresh", desired("1")).expect("it is granted");
    call("RollbackInstanceRefresh", json!({})).expect("it is granted");
    ended("RollbackSuccessful");
    assert_eq!(group(&account)["LaunchTemplate"]["Version"], "2");
}

/// ecs-semantics §4.1, §4.5: a subnet that an instance made known is in its zone: Fargate's tasks there are in that zone, and an instance
/// elsewhere is in the wrong location for a task on EC2.
#[test]
fn subnets_of_instances_are_known() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    let launch = |subnet: &str, zone: &str| {
        let input = json!({"InstanceType": "m7i.large", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet,
                           "Placement": {"AvailabilityZone": zone}});
        neighbour(&account, Service::Ec2, "RunInstances", input);
    };
    launch("subnet-1", "us-east-1b");
    until_registered(&account, "default", 1);
    account.granted(
        "RegisterTaskDefinition",
        json!({"family": "net", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "containerDefinitions":
               [{"name": "main", "image": workload("limits/spin.wat"), "stopTimeout": 2}]}),
    );
    let run = |launch_type: &str, subnets: &[&str]| {
        let network = json!({"awsvpcConfiguration": {"subnets": subnets}});
        account.granted(
            "RunTask",
            json!({"taskDefinition": "net", "launchType": launch_type, "networkConfiguration": network}),
        )
    };
    let task = run("FARGATE", &["subnet-1"])["tasks"][0].clone();
    assert_eq!(task["availabilityZone"], "us-east-1b", "{task}");
    assert_eq!(run("EC2", &["subnet-1"])["tasks"][0]["availabilityZone"], "us-east-1b");
    assert_eq!(run("EC2", &["subnet-x"])["failures"], json!([]));
    launch("subnet-2", "us-east-1a");
    until_registered(&account, "default", 2);
    let task = run("EC2", &["subnet-1", "subnet-2"])["tasks"][0].clone();
    let subnet = task["attachments"][0]["details"][0]["value"].clone();
    assert_eq!((&task["availabilityZone"], subnet), (&json!("us-east-1a"), json!("subnet-2")));
    let failures = run("EC2", &["subnet-1"])["failures"].clone();
    let reasons: Vec<&Value> = failures.as_array().into_iter().flatten().map(|failure| &failure["reason"]).collect();
    assert_eq!(reasons, ["RESOURCE:ENI", "LOCATION"]);
}

/// ecs-semantics §3.1: `ECS_RESERVED_MEMORY` in user data lowers what an instance registers, of a call and of a group, and more than there
/// is is refused.
#[test]
fn user_data_hold_memory_back() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    // ECS_RESERVED_MEMORY=256 and ECS_RESERVED_MEMORY=99999, a line each.
    let (some, all) = ("RUNTX1JFU0VSVkVEX01FTU9SWT0yNTYK", "RUNTX1JFU0VSVkVEX01FTU9SWT05OTk5OQo=");
    let run = |user_data: &str| {
        let input = json!({"InstanceType": "m7i.large", "MinCount": 1, "MaxCount": 1, "UserData": user_data});
        account.api.call(Service::Ec2, "RunInstances", "us-east-1", input)
    };
    run(some).expect("it is granted");
    assert!(run(all).is_err_and(|error| error.message.contains("ECS_RESERVED_MEMORY 99999 is more than the 8192 MiB")));
    let group = |name: &str, user_data: &str| {
        let data = json!({"InstanceType": "m7i.large", "UserData": user_data});
        let template = json!({"LaunchTemplateName": name, "LaunchTemplateData": data});
        neighbour(&account, Service::Ec2, "CreateLaunchTemplate", template);
        let input = json!({"AutoScalingGroupName": name, "MinSize": 1, "MaxSize": 1,
                           "LaunchTemplate": {"LaunchTemplateName": name}, "AvailabilityZones": ["us-east-1a"]});
        account.api.call(Service::AutoScaling, "CreateAutoScalingGroup", "us-east-1", input)
    };
    group("some", some).expect("it is granted");
    assert_eq!(group("all", all).expect_err("they would not register").exception, "ValidationError");
    until_registered(&account, "default", 2);
    let listed = account.granted("ListContainerInstances", json!({}))["containerInstanceArns"].clone();
    let found = account.granted("DescribeContainerInstances", json!({"containerInstances": listed}));
    let memory = |instance: &Value| {
        let resources = instance["registeredResources"].as_array().into_iter().flatten();
        resources.filter(|one| one["name"] == "MEMORY").map(|one| one["integerValue"].clone()).collect::<Vec<_>>()
    };
    let memories: Vec<Value> = found["containerInstances"].as_array().into_iter().flatten().flat_map(memory).collect();
    assert_eq!(memories, [7_936, 7_936]);
}
