//! Container instances that a client registers and whose agent it plays.

use longshore::api::shape::Service;
use serde_json::{Value, json};

use super::Account;

/// ecs-semantics §2.1, §3.1, §11.6: an instance registered from its identity document alone takes a task, which waits for what its agent
/// submits; the agent's update is asked for.
#[test]
fn an_instance_from_outside() {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    let document = json!({"instanceId": "i-0abc", "instanceType": "m7i.large", "availabilityZone": "us-east-1b", "region": "us-east-1"});
    let registered = account.granted(
        "RegisterContainerInstance",
        json!({"instanceIdentityDocument": document.to_string(), "versionInfo": {"agentVersion": "0.0.1"},
               "tags": [{"key": "a", "value": "b"}]}),
    );
    let instance = &registered["containerInstance"];
    assert_eq!((&instance["ec2InstanceId"], &instance["status"]), (&json!("i-0abc"), &json!("ACTIVE")));
    assert_eq!((&instance["agentConnected"], &instance["tags"]), (&json!(true), &json!([{"key": "a", "value": "b"}])));
    assert_eq!(instance["registeredResources"][0]["integerValue"], 2048);
    let known = account.api.call(Service::Ec2, "DescribeInstances", "us-east-1", json!({}));
    assert_eq!(known, Ok(json!({"Reservations": []})), "EC2 has those that Longshore runs");
    let endpoint =
        account.granted("DiscoverPollEndpoint", json!({"containerInstance": instance["containerInstanceArn"]}));
    assert_eq!(endpoint.get("endpoint"), None, "nobody serves it");

    account.granted(
        "RegisterTaskDefinition",
        json!({"family": "app", "containerDefinitions": [{"name": "main", "image": "anything", "memory": 64}]}),
    );
    let started = account.granted("RunTask", json!({"taskDefinition": "app", "launchType": "EC2"}));
    let task = started["tasks"][0]["taskArn"].clone();
    assert_eq!(started["tasks"][0]["containerInstanceArn"], instance["containerInstanceArn"]);
    let status = |wanted: &str| {
        let described = account.granted("DescribeTasks", json!({"tasks": [task]}));
        assert_eq!(described["tasks"][0]["lastStatus"], wanted, "{described}");
        described["tasks"][0].clone()
    };
    status("PENDING");
    let submit = |input: Value| {
        let answer = account.granted("SubmitTaskStateChange", input);
        assert!(answer["acknowledgment"].is_string());
    };
    submit(json!({"task": task, "status": "RUNNING",
                  "containers": [{"containerName": "main", "status": "RUNNING", "runtimeId": "abc"}]}));
    assert_eq!(status("RUNNING")["containers"][0]["runtimeId"], "abc");
    account.granted("StopTask", json!({"task": task}));
    assert_eq!(status("STOPPING")["desiredStatus"], "STOPPED");
    let container = json!({"task": task, "containerName": "main", "status": "STOPPED", "exitCode": 143});
    account.granted("SubmitContainerStateChange", container);
    submit(json!({"task": task, "status": "STOPPED"}));
    assert_eq!(status("STOPPED")["containers"][0]["exitCode"], 143);

    let named = json!({"containerInstance": instance["containerInstanceArn"]});
    let updated = account.granted("UpdateContainerAgent", named.clone());
    assert_eq!(updated["containerInstance"]["agentUpdateStatus"], "PENDING");
    assert_eq!(account.refused("UpdateContainerAgent", named.clone()).0, "UpdateInProgressException");
    let gone = account.granted("DeregisterContainerInstance", named);
    assert_eq!(gone["containerInstance"]["status"], "INACTIVE");
}
