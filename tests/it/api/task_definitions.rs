//! Task definitions.

use serde_json::{Value, json};

use super::Account;

fn web() -> Value {
    json!({
        "family": "web",
        "networkMode": "bridge",
        "cpu": "0.5 vCPU",
        "memory": "1GB",
        "taskRoleArn": "arn:aws:iam::123456789012:role/web",
        "containerDefinitions": [{
            "name": "web", "image": "nginx:1.27", "portMappings": [{"containerPort": 80}],
            "environment": [{"name": "A", "value": "1"}],
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "web", "awslogs-region": "us-east-1"}},
            "healthCheck": {"command": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"]}
        }]
    })
}

/// ecs-semantics §1.4: what was registered comes back, with what ECS adds; revisions count up and are never used again.
#[test]
fn what_was_registered_comes_back() {
    let account = Account::new();
    let first = account.granted("RegisterTaskDefinition", web());
    let definition = &first["taskDefinition"];
    assert_eq!(definition["taskDefinitionArn"], "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1");
    assert_eq!((&definition["cpu"], &definition["memory"]), (&json!("512"), &json!("1024")));
    assert_eq!(definition["taskRoleArn"], web()["taskRoleArn"]);
    let (sent, container) = (&web()["containerDefinitions"][0], &definition["containerDefinitions"][0]);
    for member in ["name", "image", "environment", "logConfiguration", "healthCheck"] {
        assert_eq!(container[member], sent[member], "{member}");
    }
    assert_eq!(container["portMappings"], json!([{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]));
    assert_eq!((&container["essential"], &container["cpu"]), (&json!(true), &json!(0)));
    assert_eq!(definition["compatibilities"], json!(["EXTERNAL", "EC2"]));

    account.granted("DeregisterTaskDefinition", json!({"taskDefinition": "web:1"}));
    account.granted("DeleteTaskDefinitions", json!({"taskDefinitions": ["web:1"]}));
    let second = account.granted("RegisterTaskDefinition", web());
    assert_eq!(second["taskDefinition"]["revision"], 2);
    let latest = account.granted("DescribeTaskDefinition", json!({"taskDefinition": "web", "include": ["TAGS"]}));
    assert_eq!((&latest["taskDefinition"]["revision"], &latest["tags"]), (&json!(2), &json!([])));
    let deleted = account.granted("DescribeTaskDefinition", json!({"taskDefinition": "web:1"}));
    assert_eq!(deleted["taskDefinition"]["status"], "DELETE_IN_PROGRESS");
}

/// ecs-semantics §11.3: full family names for definitions, prefixes for families; descending lists have pages too.
#[test]
fn lists_have_filters_and_pages() {
    let account = Account::new();
    for family in ["web", "web", "web-admin", "a"] {
        let mut definition = web();
        definition["family"] = json!(family);
        account.granted("RegisterTaskDefinition", definition);
    }
    let list = |input: Value| account.granted("ListTaskDefinitions", input);
    let names = |listed: &Value| {
        let arns = listed["taskDefinitionArns"].as_array().expect("a list").iter();
        arns.map(|arn| arn.as_str().expect("a text").rsplit('/').next().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&list(json!({}))), ["a:1", "web:1", "web:2", "web-admin:1"]);
    assert_eq!(names(&list(json!({"familyPrefix": "web"}))), ["web:1", "web:2"]);
    let first = list(json!({"sort": "DESC", "maxResults": 3}));
    assert_eq!(names(&first), ["web-admin:1", "web:2", "web:1"]);
    let rest = list(json!({"sort": "DESC", "maxResults": 3, "nextToken": first["nextToken"]}));
    assert_eq!(names(&rest), ["a:1"]);
    let families = account.granted("ListTaskDefinitionFamilies", json!({"familyPrefix": "we"}));
    assert_eq!(families["families"], json!(["web", "web-admin"]));
    account.granted("DeregisterTaskDefinition", json!({"taskDefinition": "a:1"}));
    assert_eq!(names(&list(json!({"status": "INACTIVE"}))), ["a:1"]);
    let active = account.granted("ListTaskDefinitionFamilies", json!({"status": "ACTIVE"}));
    assert_eq!(active["families"], json!(["web", "web-admin"]));
}

/// ecs-semantics §1.4, §1.5, §8.1, §11.2: each rule between members.
#[test]
fn rules_between_members() {
    let account = Account::new();
    let check = |change: fn(&mut Value), expected: &str| {
        let mut definition = web();
        change(&mut definition);
        let (exception, message) = account.refused("RegisterTaskDefinition", definition);
        assert_eq!((exception, &*message), ("ClientException", expected));
    };
    check(
        |web| web["family"] = json!("a b"),
        "Family contains invalid characters: up to 255 letters, numbers, underscores, and hyphens are allowed.",
    );
    check(|web| web["containerDefinitions"] = json!([]), "Container list cannot be empty.");
    check(
        |web| web["containerDefinitions"][0]["essential"] = json!(false),
        "At least one container must be marked as essential.",
    );
    check(|web| web["requiresCompatibilities"] = json!(["FARGATE"]), "Fargate only supports network mode 'awsvpc'.");
    check(
        |web| {
            web["requiresCompatibilities"] = json!(["FARGATE"]);
            web["networkMode"] = json!("awsvpc");
            web["memory"] = json!("9GB");
        },
        "No Fargate configuration exists for given values.",
    );
    check(
        |web| {
            web["requiresCompatibilities"] = json!(["FARGATE"]);
            web["networkMode"] = json!("awsvpc");
            web.as_object_mut().expect("an object").remove("cpu");
        },
        "Fargate requires that 'cpu' be defined at the task level.",
    );
    check(
        |web| drop(web.as_object_mut().expect("an object").remove("memory")),
        "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be specified.",
    );
    check(
        |web| {
            web["containerDefinitions"][0]["mountPoints"] = json!([{"sourceVolume": "data", "containerPath": "/data"}])
        },
        "Unknown volume 'data'.",
    );
}
