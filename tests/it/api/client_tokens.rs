//! Calls with a client token, which happen once however often they are made.

use serde_json::{Value, json};

use super::{Account, workload};

fn account() -> Account {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    account.granted(
        "RegisterTaskDefinition",
        json!({
            "family": "spin", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "main", "image": workload("limits/spin.wat"), "stopTimeout": 2}]
        }),
    );
    account
}

/// ecs-semantics §1.3, §4.5: the same token with the same members is answered with the same tasks, which have gone on meanwhile; with
/// others it is a conflict that names the tasks.
#[test]
fn run_task_happens_once() {
    let account = account();
    let run = |token: &str, count: u32| json!({"taskDefinition": "spin", "launchType": "FARGATE", "count": count, "clientToken": token});
    let arns = |answer: &Value| -> Value {
        answer["tasks"].as_array().expect("a list").iter().map(|task| task["taskArn"].clone()).collect()
    };
    let first = arns(&account.granted("RunTask", run("a", 2)));
    account.until("DescribeTasks", json!({"tasks": first}), |found| {
        found["tasks"].as_array().expect("a list").iter().all(|task| task["lastStatus"] == "RUNNING")
    });
    let again = account.granted("RunTask", run("a", 2));
    assert_eq!((arns(&again), &again["tasks"][0]["lastStatus"]), (first.clone(), &json!("RUNNING")));
    let other = arns(&account.granted("RunTask", run("b", 1)));
    assert_ne!(other[0], first[0]);
    assert_eq!(account.granted("ListTasks", json!({}))["taskArns"].as_array().map(Vec::len), Some(3));

    let conflict = account.ecs("RunTask", run("a", 1)).expect_err("the token is another call's");
    assert_eq!((conflict.exception, &conflict.members["resourceIds"]), ("ConflictException", &first));
}

/// ecs-semantics §5.5: CreateService happens once as long as its service is ACTIVE.
#[test]
fn create_service_happens_once() {
    let account = account();
    let create = |name: &str, token: &str, count: u32| {
        json!({"serviceName": name, "taskDefinition": "spin", "launchType": "FARGATE", "desiredCount": count,
               "clientToken": token})
    };
    let created = account.granted("CreateService", create("web", "a", 1))["service"].clone();
    let again = account.granted("CreateService", create("web", "a", 1))["service"].clone();
    assert_eq!((&again["serviceArn"], &again["createdAt"]), (&created["serviceArn"], &created["createdAt"]));
    let text = "Creation of service was not idempotent.".to_owned();
    for other in [create("web", "a", 2), create("other", "a", 1), create("web", "b", 2)] {
        assert_eq!(account.refused("CreateService", other), ("InvalidParameterException", text.clone()));
    }
    assert_eq!(account.granted("ListServices", json!({}))["serviceArns"].as_array().map(Vec::len), Some(1));
}
