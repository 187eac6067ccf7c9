//! Tags: those that are set later on what is in a cluster, and those that ECS manages.

use std::sync::Barrier;

use serde_json::{Value, json};

use super::{Account, CLIENTS, ROUNDS, workload};

/// The tags of a resource as `KEY=VALUE`.
#[track_caller]
fn tags(account: &Account, arn: &Value) -> Vec<String> {
    let listed = account.granted("ListTagsForResource", json!({"resourceArn": arn}));
    let tags = listed["tags"].as_array().expect("a list").iter();
    tags.map(|tag| format!("{}={}", tag["key"].as_str().expect("a key"), tag["value"].as_str().expect("a value")))
        .collect()
}

/// Sets a tag, replaces it, and takes it away again.
#[track_caller]
fn tag_and_untag(account: &Account, arn: &Value, before: &[&str]) {
    let with = |tag: String| {
        let mut tags: Vec<String> = before.iter().map(|tag| (*tag).to_owned()).chain([tag]).collect();
        tags.sort();
        tags
    };
    assert_eq!(tags(account, arn), before);
    for value in ["one", "two"] {
        account.granted("TagResource", json!({"resourceArn": arn, "tags": [{"key": "later", "value": value}]}));
        assert_eq!(tags(account, arn), with(format!("later={value}")));
    }
    account.granted("UntagResource", json!({"resourceArn": arn, "tagKeys": ["later", "never"]}));
    assert_eq!(tags(account, arn), before);
    let reserved = "aws:ecs:clusterName";
    for (operation, input) in [
        ("TagResource", json!({"resourceArn": arn, "tags": [{"key": reserved, "value": ""}]})),
        ("UntagResource", json!({"resourceArn": arn, "tagKeys": [reserved]})),
    ] {
        assert_eq!(account.refused(operation, input).0, "InvalidParameterException", "{operation}");
    }
}

/// ecs-semantics §1.3, §2.5: tasks, container instances and services are tagged when they are made and later; ECS adds its own tags to
/// tasks where it is asked to, which nobody else changes.
#[test]
fn tags_of_what_is_in_a_cluster() {
    let account = Account::new();
    account.granted("CreateCluster", json!({"clusterName": "shop"}));
    account.granted(
        "RegisterTaskDefinition",
        json!({
            "family": "spin", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE", "EC2"],
            "containerDefinitions": [{"name": "main", "image": workload("limits/spin.wat"), "stopTimeout": 2}]
        }),
    );
    let run = |managed: bool| {
        let input = json!({"cluster": "shop", "taskDefinition": "spin", "launchType": "FARGATE", "enableECSManagedTags": managed,
                           "tags": [{"key": "own", "value": "x"}]});
        account.granted("RunTask", input)["tasks"][0]["taskArn"].clone()
    };
    tag_and_untag(&account, &run(false), &["own=x"]);
    tag_and_untag(&account, &run(true), &["aws:ecs:clusterName=shop", "own=x"]);

    let document = json!({"instanceId": "i-0abc", "instanceType": "m7i.large", "availabilityZone": "us-east-1b"});
    let registered = account.granted(
        "RegisterContainerInstance",
        json!({"cluster": "shop", "instanceIdentityDocument": document.to_string(), "tags": [{"key": "a", "value": "b"}]}),
    );
    let instance = &registered["containerInstance"]["containerInstanceArn"];
    tag_and_untag(&account, instance, &["a=b"]);

    let created = account.granted(
        "CreateService",
        json!({"cluster": "shop", "serviceName": "web", "taskDefinition": "spin", "launchType": "FARGATE", "desiredCount": 1,
               "enableECSManagedTags": true, "propagateTags": "SERVICE", "tags": [{"key": "team", "value": "a"}]}),
    );
    let service = &created["service"];
    assert_eq!(service["enableECSManagedTags"], true);
    tag_and_untag(&account, &service["serviceArn"], &["team=a"]);
    let list = json!({"cluster": "shop", "serviceName": "web"});
    let found = account.until("ListTasks", list.clone(), |found| found["taskArns"] != json!([]));
    let first = found["taskArns"][0].clone();
    tag_and_untag(&account, &first, &["aws:ecs:clusterName=shop", "aws:ecs:serviceName=web", "team=a"]);

    // Tasks that are there keep their tags; others get what is said by then.
    let updated = account.granted(
        "UpdateService",
        json!({"cluster": "shop", "service": "web", "enableECSManagedTags": false, "desiredCount": 2}),
    );
    assert_eq!(updated["service"]["enableECSManagedTags"], false);
    let found =
        account.until("ListTasks", list, |found| found["taskArns"].as_array().is_some_and(|all| all.len() == 2));
    let second = found["taskArns"].as_array().expect("a list").iter().find(|arn| **arn != first).expect("another one");
    assert_eq!(tags(&account, second), ["team=a"]);

    let nobody = "arn:aws:ecs:us-east-1:123456789012:task/shop/0123456789abcdef0123456789abcdef";
    let missing = json!({"resourceArn": nobody, "tags": []});
    assert_eq!(account.refused("TagResource", missing).0, "ResourceNotFoundException");
}

/// Clients that tag one resource at the same time take nothing from one another.
#[test]
fn tags_of_several_clients_are_all_there() {
    let account = Account::new();
    let created = account.granted("CreateCluster", json!({"clusterName": "shop"}));
    let arn = &created["cluster"]["clusterArn"];
    for round in 0..10 * ROUNDS {
        let barrier = Barrier::new(CLIENTS);
        let client = |number: usize| {
            let tag = json!([{"key": format!("client-{number}"), "value": round.to_string()}]);
            barrier.wait();
            account.granted("TagResource", json!({"resourceArn": arn, "tags": tag}));
        };
        std::thread::scope(|scope| {
            (0..CLIENTS).for_each(|number| {
                drop(scope.spawn({
                    let client = &client;
                    move || client(number)
                }))
            })
        });
        let expected: Vec<String> = (0..CLIENTS).map(|number| format!("client-{number}={round}")).collect();
        assert_eq!(tags(&account, arn), expected);
    }
}
