//! Task sets of services whose deployments somebody else controls.

use serde_json::json;

use super::{Account, workload};

/// ecs-semantics §5.8: created with a scale, made primary, scaled to nothing and deleted.
#[test]
fn task_sets() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    let container = json!({"name": "main", "image": workload("limits/spin.wat"), "stopTimeout": 2});
    account.granted(
        "RegisterTaskDefinition",
        json!({"family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
               "containerDefinitions": [container]}),
    );
    let created = account.granted(
        "CreateService",
        json!({"serviceName": "web", "desiredCount": 2, "deploymentController": {"type": "EXTERNAL"}}),
    );
    assert_eq!(created["service"]["deploymentController"], json!({"type": "EXTERNAL"}));
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    let set = account.granted(
        "CreateTaskSet",
        json!({"cluster": "default", "service": "web", "taskDefinition": "web", "launchType": "FARGATE", "externalId": "blue",
               "networkConfiguration": network, "scale": {"value": 50, "unit": "PERCENT"}}),
    )["taskSet"]
        .clone();
    assert_eq!(
        (&set["status"], &set["computedDesiredCount"], &set["networkConfiguration"]),
        (&json!("ACTIVE"), &json!(1), &network)
    );
    let of_set = |input: serde_json::Value| {
        let mut whole = json!({"cluster": "default", "service": "web"});
        whole.as_object_mut().expect("an object").extend(input.as_object().expect("an object").clone());
        whole
    };
    let stable = account.until("DescribeTaskSets", of_set(json!({"taskSets": [set["taskSetArn"]]})), |found| {
        found["taskSets"][0]["stabilityStatus"] == "STEADY_STATE"
    });
    assert_eq!(stable["taskSets"][0]["runningCount"], 1);
    let primary = account.granted("UpdateServicePrimaryTaskSet", of_set(json!({"primaryTaskSet": set["id"]})));
    assert_eq!(primary["taskSet"]["status"], "PRIMARY");
    let described = account.granted("DescribeServices", json!({"services": ["web"]}));
    assert_eq!(described["services"][0]["taskSets"][0]["id"], set["id"]);
    assert_eq!(described["services"][0]["deployments"], json!([]));
    let scaled = account
        .granted("UpdateTaskSet", of_set(json!({"taskSet": set["id"], "scale": {"value": 100, "unit": "PERCENT"}})));
    assert_eq!(scaled["taskSet"]["computedDesiredCount"], 2);
    let deleted = account.granted("DeleteTaskSet", of_set(json!({"taskSet": "blue", "force": true})));
    assert_eq!(deleted["taskSet"]["status"], "DRAINING");
    let (exception, _) =
        account.refused("UpdateTaskSet", of_set(json!({"taskSet": "no", "scale": {"value": 1, "unit": "PERCENT"}})));
    assert_eq!(exception, "TaskSetNotFoundException");
}
