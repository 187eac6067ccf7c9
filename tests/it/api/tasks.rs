//! Tasks: real modules, run through the API.

use serde_json::{Value, json};

use super::{Account, workload};

fn define(account: &Account, family: &str, image: &str, command: &[&str]) {
    account.granted(
        "RegisterTaskDefinition",
        json!({
            "family": family, "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "main", "image": workload(image), "command": command}]
        }),
    );
}

/// ecs-semantics §2: RunTask answers at once with a task that is not running yet; it runs, ends, and is seen with its exit code by
/// DescribeTasks and ListTasks alike.
#[test]
fn a_task_that_ends_by_itself() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    define(&account, "exit", "limits/exit_3.wat", &[]);
    let started = account.granted(
        "RunTask",
        json!({"taskDefinition": "exit", "launchType": "FARGATE", "startedBy": "me", "tags": [{"key": "a", "value": "b"}],
               "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}),
    );
    assert_eq!(started["failures"], json!([]));
    let task = &started["tasks"][0];
    assert!(["PROVISIONING", "PENDING"].contains(&task["lastStatus"].as_str().expect("a text")), "{task}");
    assert_eq!((&task["desiredStatus"], &task["launchType"]), (&json!("RUNNING"), &json!("FARGATE")));
    assert_eq!((&task["tags"], &task["group"]), (&json!([{"key": "a", "value": "b"}]), &json!("family:exit")));
    assert_eq!(task["attachments"][0]["details"][0], json!({"name": "subnetId", "value": "subnet-1"}));
    // Nobody knows the subnet, so that it is in no zone that were known.
    assert!(task.get("availabilityZone").is_none(), "{task}");
    let arn = task["taskArn"].as_str().expect("a text").to_owned();
    let ended =
        account.until("DescribeTasks", json!({"tasks": [arn]}), |found| found["tasks"][0]["lastStatus"] == "STOPPED");
    let task = &ended["tasks"][0];
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!((&task["containers"][0]["exitCode"], &task["tags"]), (&json!(3), &json!([])));
    for moment in ["createdAt", "startedAt", "executionStoppedAt", "stoppedAt"] {
        assert!(task[moment].is_number(), "{moment}: {task}");
    }
    assert_eq!(account.granted("ListTasks", json!({}))["taskArns"], json!([]));
    assert_eq!(account.granted("ListTasks", json!({"desiredStatus": "STOPPED"}))["taskArns"], json!([arn]));
}

/// ecs-semantics §2.5, §11.2: StopTask, its texts, and what is missing.
#[test]
fn a_task_that_is_stopped() {
    let account = Account::new();
    account.granted("CreateCluster", json!({"clusterName": "shop"}));
    define(&account, "spin", "limits/spin.wat", &[]);
    let run = json!({"cluster": "shop", "taskDefinition": "spin", "launchType": "FARGATE", "count": 2});
    let started = account.granted("RunTask", run);
    let arns: Vec<&Value> = started["tasks"].as_array().expect("a list").iter().map(|task| &task["taskArn"]).collect();
    account.until("DescribeTasks", json!({"cluster": "shop", "tasks": arns}), |found| {
        found["tasks"].as_array().expect("a list").iter().all(|task| task["lastStatus"] == "RUNNING")
    });
    let listed = account.granted("ListTasks", json!({"cluster": "shop", "family": "spin", "launchType": "FARGATE"}));
    assert_eq!(listed["taskArns"], json!(arns));
    let stopped = account.granted("StopTask", json!({"cluster": "shop", "task": arns[0], "reason": "enough"}));
    assert_eq!(
        (&stopped["task"]["desiredStatus"], &stopped["task"]["stoppedReason"]),
        (&json!("STOPPED"), &json!("enough"))
    );
    account.granted("StopTask", json!({"task": arns[1]}));
    let missing = account.refused("StopTask", json!({"cluster": "shop", "task": "0123456789abcdef0123456789abcdef"}));
    assert_eq!(missing, ("InvalidParameterException", "The referenced task was not found.".to_owned()));
    let described = account.granted("DescribeTasks", json!({"cluster": "shop", "tasks": ["nobody"]}));
    let arn = "arn:aws:ecs:us-east-1:123456789012:task/shop/nobody";
    assert_eq!(described["failures"], json!([{"arn": arn, "reason": "MISSING"}]));
    assert_eq!(
        account.refused("RunTask", json!({"cluster": "no", "taskDefinition": "spin"})).0,
        "ClusterNotFoundException"
    );
    assert_eq!(account.refused("RunTask", json!({"cluster": "shop", "taskDefinition": "no"})).0, "ClientException");
}

/// ecs-semantics §1.7, §4.5: RunTask starts from one to ten tasks, and StartTask is given from one to ten instances.
#[test]
fn ten_tasks_a_call() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    define(&account, "exit", "limits/exit_3.wat", &[]);
    let run = |count: u32| json!({"taskDefinition": "exit", "launchType": "FARGATE", "count": count});
    assert_eq!(account.granted("RunTask", run(10))["tasks"].as_array().map(Vec::len), Some(10));
    let start = |count: usize| json!({"taskDefinition": "exit", "containerInstances": vec!["a".repeat(32); count]});
    let failures = account.granted("StartTask", start(10))["failures"].clone();
    assert_eq!(failures[9]["reason"], "MISSING");
    for (operation, wrong) in
        [("RunTask", run(11)), ("RunTask", run(0)), ("StartTask", start(11)), ("StartTask", start(0))]
    {
        assert_eq!(account.refused(operation, wrong.clone()).0, "InvalidParameterException", "{operation} {wrong}");
    }
}

/// ecs-semantics §1.3: what a client token is. A service without a deployment of its own is created once, too.
#[test]
fn client_tokens() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    define(&account, "spin", "limits/spin.wat", &[]);
    for token in ["", "with a blank", &"x".repeat(65)] {
        let refused = account.refused("RunTask", json!({"taskDefinition": "spin", "clientToken": token}));
        assert_eq!(refused.0, "InvalidParameterException", "{token}");
    }
    let external = json!({"serviceName": "external", "deploymentController": {"type": "EXTERNAL"}, "desiredCount": 1,
                          "clientToken": "external"});
    let created = account.granted("CreateService", external.clone())["service"]["createdAt"].clone();
    assert_eq!(account.granted("CreateService", external)["service"]["createdAt"], created);
}

/// ecs-semantics §11.3: the tasks of services, by one or all together, and with standalone ones among them, are the same lists, whichever way
/// they are found: oldest first, over pages, without those that are to stop.
#[test]
fn lists_of_services_are_the_list_of_all() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    define(&account, "spin", "limits/spin.wat", &[]);
    for (name, count) in [("web", 3), ("shop", 2)] {
        let service =
            json!({"serviceName": name, "taskDefinition": "spin", "desiredCount": count, "launchType": "FARGATE"});
        account.granted("CreateService", service);
        // Some of their tasks count as healthy by then.
        account.until("DescribeServices", json!({"services": [name]}), |found| {
            found["services"][0]["deployments"][0]["rolloutState"] == "COMPLETED"
        });
    }
    let listed = |mut filter: Value| -> Vec<Value> {
        let mut found = Vec::new();
        loop {
            filter["maxResults"] = json!(2);
            let page = account.granted("ListTasks", filter.clone());
            found.extend(page["taskArns"].as_array().cloned().unwrap_or_default());
            match page.get("nextToken") {
                Some(token) => filter["nextToken"] = token.clone(),
                None => return found,
            }
        }
    };
    let (web, shop) = (listed(json!({"serviceName": "web"})), listed(json!({"serviceName": "shop"})));
    assert_eq!((web.len(), shop.len()), (3, 2));
    let of_services = [web.clone(), shop].concat();
    assert_eq!(listed(json!({})), of_services, "they were started one after the other");
    let ran = account.granted("RunTask", json!({"taskDefinition": "spin", "launchType": "FARGATE"}));
    let standalone = ran["tasks"][0]["taskArn"].clone();
    let all = [of_services, vec![standalone.clone()]].concat();
    assert_eq!(listed(json!({})), all);
    assert_eq!(listed(json!({"family": "spin"})), all);
    account.granted("StopTask", json!({"task": web[0]}));
    assert!(!listed(json!({"serviceName": "web"})).contains(&web[0]));
    assert_eq!(listed(json!({"serviceName": "web", "desiredStatus": "STOPPED"})), [web[0].clone()]);
    assert!(!listed(json!({})).contains(&web[0]) && listed(json!({})).contains(&standalone));
}
