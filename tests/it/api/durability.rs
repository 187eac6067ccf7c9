//! What the API has answered is there after a crash, and what should run starts again.

use std::path::Path;
use std::sync::Arc;

use longshore::store::Store;
use serde_json::json;

use super::Account;
use crate::durability::crash_image;

fn account(data: &Path) -> Account {
    Account::kept(Some(Arc::new(Store::open(data).unwrap_or_else(|error| panic!("{error}")))))
}

/// Claim: an answered request is there after a crash: clusters, revisions, tags, settings, services, tasks; the service starts its tasks
/// again, and the tasks that ran are STOPPED with a reason. A cluster that was deleted begins anew when it is created again.
#[test]
fn a_crashed_server_goes_on() {
    let folder = tempfile::tempdir().expect("there is room");
    let data = folder.path().join("data");
    let before = account(&data);
    let sleep = format!("{}/workloads/limits/sleep.wat", env!("CARGO_MANIFEST_DIR"));
    let definition = json!({
        "family": "web", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc",
        "containerDefinitions": [{"name": "web", "image": sleep, "essential": true}],
    });
    before.granted("CreateCluster", json!({"clusterName": "shop", "tags": [{"key": "team", "value": "front"}]}));
    before.granted("CreateCluster", json!({"clusterName": "gone"}));
    before.granted("DeleteCluster", json!({"cluster": "gone"}));
    before.granted("RegisterTaskDefinition", definition.clone());
    before.granted("RegisterTaskDefinition", definition);
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    let service = json!({
        "cluster": "shop", "serviceName": "web", "taskDefinition": "web:2", "desiredCount": 2, "launchType": "FARGATE",
        "networkConfiguration": network,
    });
    before.granted("CreateService", service);
    let ran = before.granted(
        "RunTask",
        json!({"cluster": "shop", "taskDefinition": "web:1", "launchType": "FARGATE", "networkConfiguration": network}),
    );
    let task = ran["tasks"][0]["taskArn"].clone();
    let services = json!({"cluster": "shop", "services": ["web"]});
    let runs_two = |answer: &serde_json::Value| answer["services"][0]["runningCount"] == 2;
    before.until("DescribeServices", services.clone(), runs_two);
    let tasks = json!({"cluster": "shop", "tasks": [task]});
    before.until("DescribeTasks", tasks.clone(), |answer| answer["tasks"][0]["lastStatus"] == "RUNNING");
    let image = crash_image(&data);
    drop(before);

    let after = account(image.path());
    let found = after.granted("DescribeTasks", tasks);
    assert_eq!(found["tasks"][0]["lastStatus"], "STOPPED", "{found:#}");
    let reason = found["tasks"][0]["stoppedReason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("Longshore was restarted"), "{reason}");
    let started = after.until("DescribeServices", services, runs_two);
    assert_eq!(started["services"][0]["desiredCount"], 2);
    let clusters = after.granted("DescribeClusters", json!({"clusters": ["shop", "gone"], "include": ["TAGS"]}));
    assert_eq!(clusters["clusters"][0]["tags"], json!([{"key": "team", "value": "front"}]));
    assert_eq!(clusters["clusters"][1]["status"], "INACTIVE");
    let definitions = after.granted("ListTaskDefinitions", json!({"familyPrefix": "web"}));
    assert_eq!(definitions["taskDefinitionArns"].as_array().map(Vec::len), Some(2));
    let created = after.granted("CreateCluster", json!({"clusterName": "gone"}));
    assert_eq!(created["cluster"]["status"], "ACTIVE");
    // And once more, after an end in good order.
    after.api.end();
    drop(after);
    let again = account(image.path());
    let clusters = again.granted("ListClusters", json!({}));
    assert_eq!(clusters["clusterArns"].as_array().map(Vec::len), Some(2), "{clusters}");
    again.until("DescribeServices", json!({"cluster": "shop", "services": ["web"]}), runs_two);
}
