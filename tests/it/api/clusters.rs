//! Clusters.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use longshore::model::units::Timestamp;
use serde_json::json;

use super::{Account, CLIENTS, PATIENCE, PATIENCE_TRIES, ROUNDS, workload};

/// ecs-semantics §1.1, §11.3: created, described, listed, deleted; what is missing is a failure and no error.
#[test]
fn a_clusters_life() {
    let account = Account::new();
    let created = account.granted(
        "CreateCluster",
        json!({"clusterName": "shop", "tags": [{"key": "team", "value": "a"}],
               "settings": [{"name": "containerInsights", "value": "enabled"}],
               "configuration": {"executeCommandConfiguration": {"logging": "DEFAULT"}}}),
    );
    let arn = "arn:aws:ecs:us-east-1:123456789012:cluster/shop";
    let cluster = &created["cluster"];
    assert_eq!((&cluster["clusterArn"], &cluster["status"]), (&json!(arn), &json!("ACTIVE")));
    assert_eq!(cluster["tags"], json!([{"key": "team", "value": "a"}]));
    assert_eq!(cluster["configuration"], json!({"executeCommandConfiguration": {"logging": "DEFAULT"}}));

    let described = account.granted("DescribeClusters", json!({"clusters": [arn, "other"]}));
    assert_eq!(described["clusters"][0]["clusterName"], "shop");
    assert_eq!(described["clusters"][0]["tags"], json!([]), "tags are shown when they are asked for");
    let missing = json!([{"arn": "arn:aws:ecs:us-east-1:123456789012:cluster/other", "reason": "MISSING"}]);
    assert_eq!(described["failures"], missing);
    let with =
        account.granted("DescribeClusters", json!({"clusters": ["shop"], "include": ["STATISTICS", "SETTINGS"]}));
    assert_eq!(with["clusters"][0]["settings"], json!([{"name": "containerInsights", "value": "enabled"}]));
    assert_eq!(with["clusters"][0]["statistics"][0], json!({"name": "runningEC2TasksCount", "value": "0"}));

    account.granted("CreateCluster", json!({}));
    let listed = account.granted("ListClusters", json!({"maxResults": 1}));
    let rest = account.granted("ListClusters", json!({"maxResults": 1, "nextToken": listed["nextToken"]}));
    assert_eq!((&rest["clusterArns"], rest.get("nextToken")), (&json!([arn]), None));

    assert_eq!(account.granted("DeleteCluster", json!({"cluster": arn}))["cluster"]["status"], "INACTIVE");
    assert_eq!(account.refused("DeleteCluster", json!({"cluster": "shop"})).0, "ClusterNotFoundException");
    assert_eq!(account.granted("DescribeClusters", json!({"clusters": ["shop"]}))["clusters"][0]["status"], "INACTIVE");
}

/// ecs-semantics §10.2: what a running cluster measures is what its setting says from then on: nothing, then counts, then each task, then
/// nothing more.
#[test]
fn container_insights_of_a_running_cluster() {
    let account = Account::measured_each(Duration::from_millis(200));
    account.granted("CreateCluster", json!({}));
    let container = json!({"name": "main", "image": workload("limits/sleep.wat")});
    account.granted(
        "RegisterTaskDefinition",
        json!({"family": "t", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
               "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container]}),
    );
    let service = json!({"serviceName": "web", "taskDefinition": "t", "desiredCount": 1, "launchType": "FARGATE"});
    account.granted("CreateService", service);
    account.until("DescribeServices", json!({"services": ["web"]}), |found| found["services"][0]["runningCount"] == 1);

    let region = account.api.region("us-east-1").expect("it is one");
    let live = region.cluster(None).expect("it runs");
    // When the last datapoint of metrics of this name begins, and which periods have passed.
    let measured = |name: &'static str| {
        let read = live.cluster.read(move |state, _| {
            let metrics = state.metrics.list(None).filter(|metric| &*metric.name == name);
            metrics.filter_map(|metric| state.metrics.last(metric)).map(|point| point.at).max()
        });
        read.expect("it runs")
    };
    let later = |name: &'static str, than: Option<Timestamp>| {
        for _ in 0..PATIENCE_TRIES {
            if measured(name) > than {
                return measured(name);
            }
            std::thread::sleep(PATIENCE / PATIENCE_TRIES);
        }
        panic!("{name} is not measured after {than:?}");
    };
    let [service_count, of_task, always] = ["RunningTaskCount", "TaskCpuUtilization", "CPUUtilization"];
    let two_periods_on = || later(always, later(always, measured(always)));
    two_periods_on();
    assert_eq!((measured(service_count), measured(of_task)), (None, None), "it is disabled");

    let settings =
        |value: &str| json!({"cluster": "default", "settings": [{"name": "containerInsights", "value": value}]});
    let answered = account.granted("UpdateClusterSettings", settings("enabled"));
    assert_eq!(answered["cluster"]["settings"], settings("enabled")["settings"]);
    later(service_count, None);
    two_periods_on();
    assert_eq!(measured(of_task), None, "single tasks are measured by enhanced insights alone");

    account.granted("UpdateCluster", settings("enhanced"));
    later(of_task, None);
    account.granted("UpdateClusterSettings", settings("disabled"));
    let last = [service_count, of_task].map(measured);
    two_periods_on();
    assert_eq!([service_count, of_task].map(measured), last);
    let refused = account.refused("UpdateClusterSettings", settings("sometimes"));
    assert_eq!(refused.0, "InvalidParameterException");
}

/// A cluster that can't have the capacity that it is to have is not created: a provider that is not there, a strategy over none of its
/// providers, one that is named twice, and more of them than ecs-semantics §1.7 allows.
#[test]
fn a_cluster_that_is_refused_is_not_there() {
    let account = Account::new();
    let strategy = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]);
    let many: Vec<String> = (0..21).map(|number| format!("provider-{number}")).collect();
    let refused = [
        json!({"capacityProviders": ["nowhere"]}),
        json!({"capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": strategy}),
        json!({"defaultCapacityProviderStrategy": strategy}),
        json!({"capacityProviders": many}),
        json!({"capacityProviders": ["FARGATE", "FARGATE"]}),
    ];
    for input in refused {
        let (exception, _) = account.refused("CreateCluster", input.clone());
        assert_eq!(exception, "InvalidParameterException", "{input}");
        assert_eq!(account.granted("ListClusters", json!({}))["clusterArns"], json!([]), "{input}");
        assert_eq!(account.granted("DescribeClusters", json!({}))["failures"][0]["reason"], "MISSING", "{input}");
    }
    let providers = json!([
        "arn:aws:ecs:us-east-1:123456789012:capacity-provider/FARGATE",
        "arn:aws:ecs:us-east-1:123456789012:capacity-provider/FARGATE_SPOT"
    ]);
    let input = json!({"capacityProviders": providers, "defaultCapacityProviderStrategy": strategy});
    let created = account.granted("CreateCluster", input);
    assert_eq!(created["cluster"]["capacityProviders"], json!(["FARGATE", "FARGATE_SPOT"]));
    assert_eq!(created["cluster"]["defaultCapacityProviderStrategy"], strategy);
}

/// Clients that create a cluster at the same time all mean the same one: what any of them starts there is there for all.
#[test]
fn one_cluster_for_all_who_create_it() {
    let account = Account::new();
    let container = json!({"name": "main", "image": workload("limits/sleep.wat")});
    account.granted(
        "RegisterTaskDefinition",
        json!({"family": "t", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
               "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container]}),
    );
    for round in 0..ROUNDS {
        let name = format!("shop-{round}");
        let barrier = Barrier::new(CLIENTS);
        let client = || {
            barrier.wait();
            account.granted("CreateCluster", json!({"clusterName": name}));
            let started =
                account.granted("RunTask", json!({"cluster": name, "taskDefinition": "t", "launchType": "FARGATE"}));
            started["tasks"][0]["taskArn"].as_str().map(str::to_owned).unwrap_or_else(|| panic!("{started}"))
        };
        let started: BTreeSet<String> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|one| one.join().expect("no request fails")).collect()
        });
        assert_eq!(started.len(), CLIENTS);
        let described = account.granted("DescribeTasks", json!({"cluster": name, "tasks": started}));
        assert_eq!(described["failures"], json!([]));
    }
}
