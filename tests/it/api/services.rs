//! Services and their deployments, with real modules.

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::model::target_group::TargetGroup;
use serde_json::{Value, json};

use super::{Account, workload};

fn define(account: &Account, image: &str) -> Value {
    let registered = account.granted(
        "RegisterTaskDefinition",
        json!({
            "family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "main", "image": image, "stopTimeout": 2}]
        }),
    );
    registered["taskDefinition"]["taskDefinitionArn"].clone()
}

fn account_with(service: Value) -> (Account, Value) {
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    define(&account, &workload("limits/spin.wat"));
    let mut input = json!({
        "serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        "tags": [{"key": "team", "value": "a"}]
    });
    input.as_object_mut().expect("an object").extend(service.as_object().expect("an object").clone());
    let created = account.granted("CreateService", input)["service"].clone();
    (account, created)
}

/// What the waiter `services_stable` looks for. **Source:** ecs-semantics §11.5.
fn is_stable(answer: &Value) -> bool {
    let service = &answer["services"][0];
    service["deployments"].as_array().is_some_and(|all| all.len() == 1)
        && service["runningCount"] == service["desiredCount"]
}

/// ecs-semantics §5.5, §11.5: created with counts of 0, becomes stable, is updated with a rolling deployment, and deleted.
#[test]
fn a_services_life() {
    let (account, created) = account_with(json!({}));
    assert_eq!(
        (&created["runningCount"], &created["pendingCount"], &created["status"]),
        (&json!(0), &json!(0), &json!("ACTIVE"))
    );
    assert_eq!(created["networkConfiguration"], json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}}));
    assert_eq!(created["deployments"][0]["networkConfiguration"], created["networkConfiguration"]);
    assert_eq!((&created["deployments"][0]["rolloutState"], &created["events"]), (&json!("IN_PROGRESS"), &json!([])));
    let describe = json!({"services": ["web"]});
    let stable = account.until("DescribeServices", describe.clone(), is_stable);
    assert_eq!(stable["services"][0]["tags"], json!([]), "tags are shown when they are asked for");
    let tasks = account.granted("ListTasks", json!({"serviceName": "web"}));
    assert_eq!(tasks["taskArns"].as_array().map(Vec::len), Some(1));
    let listed = account.granted("ListServices", json!({"launchType": "FARGATE"}));
    assert_eq!(listed["serviceArns"], json!([created["serviceArn"]]));

    let second = define(&account, &workload("limits/spin_memory.wat"));
    let updated =
        account.granted("UpdateService", json!({"service": "web", "taskDefinition": "web", "desiredCount": 2}));
    assert_eq!(updated["service"]["deployments"].as_array().map(Vec::len), Some(2));
    assert_eq!(updated["service"]["taskDefinition"], second);
    let stable = account.until("DescribeServices", describe.clone(), is_stable);
    assert_eq!(stable["services"][0]["deployments"][0]["taskDefinition"], second);
    let records = account.granted("ListServiceDeployments", json!({"service": "web"}));
    let arns: Vec<&Value> = records["serviceDeployments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|found| &found["serviceDeploymentArn"])
        .collect();
    assert_eq!(arns.len(), 2);
    let described = account.until("DescribeServiceDeployments", json!({"serviceDeploymentArns": arns}), |answer| {
        answer["serviceDeployments"][0]["status"] == "SUCCESSFUL"
    });
    let revision = &described["serviceDeployments"][0]["targetServiceRevision"]["arn"];
    let revisions =
        account.granted("DescribeServiceRevisions", json!({"serviceRevisionArns": [revision, "arn:aws:ecs:x"]}));
    assert_eq!(revisions["serviceRevisions"][0]["taskDefinition"], second);
    assert_eq!(revisions["failures"], json!([{"arn": "arn:aws:ecs:x", "reason": "MISSING"}]));

    // What changes nothing that a deployment is for starts none; a changed network does.
    let same = json!({"service": "web", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}});
    assert_eq!(account.granted("UpdateService", same)["service"]["deployments"].as_array().map(Vec::len), Some(1));
    let other = json!({"service": "web", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-2"]}}});
    assert_eq!(account.granted("UpdateService", other)["service"]["deployments"].as_array().map(Vec::len), Some(2));

    let (exception, _) = account.refused("DeleteService", json!({"service": "web"}));
    assert_eq!(exception, "InvalidParameterException");
    let deleted = account.granted("DeleteService", json!({"service": created["serviceArn"], "force": true}));
    assert_eq!(deleted["service"]["status"], "DRAINING");
    account.until("DescribeServices", describe, |answer| answer["services"][0]["status"] == "INACTIVE");
    assert_eq!(account.granted("ListServices", json!({}))["serviceArns"], json!([]));
    assert_eq!(account.refused("UpdateService", json!({"service": "web"})).0, "ServiceNotActiveException");
    assert_eq!(account.refused("UpdateService", json!({"service": "no"})).0, "ServiceNotFoundException");
}

/// ecs-semantics §5.7: a deployment whose image can't be pulled trips the breaker and goes back to what worked.
#[test]
fn a_broken_deployment_rolls_back() {
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
    let (account, created) = account_with(json!({"deploymentConfiguration": breaker}));
    assert_eq!(created["deploymentConfiguration"]["deploymentCircuitBreaker"], breaker["deploymentCircuitBreaker"]);
    let describe = json!({"services": ["web"]});
    account.until("DescribeServices", describe.clone(), |answer| {
        is_stable(answer) && answer["services"][0]["deployments"][0]["rolloutState"] == "COMPLETED"
    });
    define(&account, "example.com/not/there:1");
    account.granted("UpdateService", json!({"service": "web", "taskDefinition": "web"}));
    let back = account.until("DescribeServices", describe, |answer| {
        is_stable(answer)
            && answer["services"][0]["deployments"][0]["rolloutState"] == "COMPLETED"
            && answer["services"][0]["events"]
                .as_array()
                .expect("a list")
                .iter()
                .any(|event| event["message"].as_str().expect("a text").contains("rolling back"))
    });
    assert_eq!(back["services"][0]["taskDefinition"], created["taskDefinition"]);
    let records =
        account.granted("ListServiceDeployments", json!({"service": "web", "status": ["ROLLBACK_SUCCESSFUL"]}));
    let arn = &records["serviceDeployments"][0]["serviceDeploymentArn"];
    let described = account.granted("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}));
    let record = &described["serviceDeployments"][0];
    assert_eq!(record["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert!(record["rollback"]["reason"].is_string() && record["statusReason"].is_string(), "{record}");
}

/// ecs-semantics §5.9: a revision says which image each of its containers has, which is that of its first task, also when the image's name
/// stands for another by then.
#[test]
fn a_revision_tells_the_digests_of_its_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("moved.wat");
    let image = path.display().to_string();
    std::fs::copy(workload("limits/spin.wat"), &path).expect("the folder is writable");
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    define(&account, &image);
    let service = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "launchType": "FARGATE"});
    account.granted("CreateService", service);
    let stable = |answer: &Value| is_stable(answer) && answer["services"][0]["runningCount"] == 1;
    let digest_of_task = || {
        let listed = account.granted("ListTasks", json!({"serviceName": "web"}));
        let found = account.granted("DescribeTasks", json!({"tasks": listed["taskArns"]}));
        found["tasks"][0]["containers"][0]["imageDigest"].clone()
    };
    // The newest service deployment comes first.
    let revisions = || -> Vec<Value> {
        let listed = account.granted("ListServiceDeployments", json!({"service": "web"}));
        let deployments = listed["serviceDeployments"].as_array().cloned().unwrap_or_default();
        let arns: Vec<&Value> = deployments.iter().map(|found| &found["targetServiceRevisionArn"]).collect();
        let found = account.granted("DescribeServiceRevisions", json!({"serviceRevisionArns": arns}));
        found["serviceRevisions"].as_array().cloned().unwrap_or_default()
    };
    account.until("DescribeServices", json!({"services": ["web"]}), stable);
    let first = digest_of_task();
    assert!(first.as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{first}");
    let expected = |digest: &Value| json!([{"containerName": "main", "image": image, "imageDigest": digest}]);
    assert_eq!(revisions()[0]["containerImages"], expected(&first));

    std::fs::copy(workload("limits/spin_memory.wat"), &path).expect("the folder is writable");
    account.granted("UpdateService", json!({"service": "web", "forceNewDeployment": true}));
    account.until("DescribeServices", json!({"services": ["web"]}), stable);
    let second = digest_of_task();
    assert_ne!(first, second);
    let shown: Vec<Value> = revisions().iter().map(|revision| revision["containerImages"].clone()).collect();
    assert_eq!(shown, [expected(&second), expected(&first)]);
}

/// ecs-semantics §5.5, §11.6: a load balancer whose target group is in the file that is served is the real thing; one with another ARN is kept as
/// it was sent. *Ours:* there is no API of ELB.
#[test]
fn target_groups_of_the_file_are_real() {
    let account = Account::new();
    let folder = tempfile::tempdir().unwrap();
    let image = workload("limits/spin.wat");
    let text = format!(
        r#"
        [cluster]
        name = "shop"
        [[target_group]]
        name = "front"
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "{image}"
          port_mappings = [{{ container_port = 80 }}]
        [[service]]
        name = "file"
        task_definition = "web"
        launch_type = "FARGATE"
        desired_count = 0
        load_balancers = [{{ target_group = "front", container_name = "main", container_port = 80 }}]
        "#
    );
    let spec =
        ClusterFile::parse(&text, folder.path().join("cluster.toml"), &Catalog::embedded()).expect("it is right");
    let region = account.api.region("us-east-1").expect("a region");
    region.adopt(spec).expect("the cluster starts");
    let describe = |name: &str| {
        account.granted("DescribeServices", json!({"cluster": "shop", "services": [name]}))["services"][0].clone()
    };
    let of_file = describe("file");
    let arn = TargetGroup::arn_of("us-east-1", "front");
    let known = json!([{"targetGroupArn": &*arn, "containerName": "main", "containerPort": 80}]);
    assert_eq!(of_file["loadBalancers"], known);
    assert_eq!(of_file["healthCheckGracePeriodSeconds"], json!(0));

    let create = |name: &str, load_balancers: &Value| {
        account.ecs(
            "CreateService",
            json!({"cluster": "shop", "serviceName": name, "taskDefinition": "web", "desiredCount": 1, "launchType": "FARGATE",
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}, "loadBalancers": load_balancers}),
        )
    };
    create("known", &known).expect("it is granted");
    let message = |name: &str, service: &Value, text: &str| {
        let events = service["events"].as_array().expect("a list").iter();
        let found = events.filter_map(|event| event["message"].as_str()).any(|message| message.contains(text));
        assert!(found, "{name}: {}", service["events"]);
    };
    let cluster = json!({"cluster": "shop", "services": ["known"]});
    let runs = |answer: &Value| answer["services"][0]["runningCount"] == json!(1);
    let known_service = account.until("DescribeServices", cluster, runs)["services"][0].clone();
    message("known", &known_service, &format!("registered 1 targets in (target-group {arn})"));
    assert_eq!(known_service["loadBalancers"], known);

    let other = json!([{"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/other/0123456789abcdef",
        "containerName": "main", "containerPort": 99}]);
    create("other", &other).expect("it is granted");
    assert_eq!(describe("other")["loadBalancers"], other);
    let wrong = json!([{"targetGroupArn": &*arn, "containerName": "main", "containerPort": 81}]);
    let refused = create("wrong", &wrong).expect_err("no such port");
    assert_eq!(refused.exception, "InvalidParameterException");

    // As it was answered it is no change; another one is.
    let update = |load_balancers: &Value| {
        let input = json!({"cluster": "shop", "service": "file", "loadBalancers": load_balancers});
        account.granted("UpdateService", input)["service"]["deployments"][0]["id"].clone()
    };
    let before = of_file["deployments"][0]["id"].clone();
    assert_eq!(update(&known), before);
    assert_ne!(update(&json!([])), before);
    assert_eq!(describe("file")["loadBalancers"], json!([]));
    let revisions = account.granted("ListServiceDeployments", json!({"cluster": "shop", "service": "known"}));
    let revision = revisions["serviceDeployments"][0]["targetServiceRevisionArn"].clone();
    let revision = account.granted("DescribeServiceRevisions", json!({"serviceRevisionArns": [revision]}));
    let revision = &revision["serviceRevisions"][0];
    assert_eq!(revision["loadBalancers"], known);
    assert_eq!(revision["resolvedConfiguration"], json!({"loadBalancers": [{"targetGroupArn": &*arn}]}));
}

/// ecs-semantics §5.9: a service whose image is missing three times goes on without a digest once it is there, and each of its tasks has it
/// as it is then; one whose image is there in time keeps to it. Method: files that come late, and are exchanged afterwards.
#[test]
fn an_image_that_comes_late_is_not_pinned() {
    let folder = tempfile::TempDir::new().expect("there is a temporary folder");
    let account = Account::new();
    account.granted("CreateCluster", json!({}));
    let spin = std::fs::read_to_string(workload("limits/spin.wat")).expect("it is there");
    let digests = |name: &str, failures: usize| {
        let image = folder.path().join(format!("{name}.wat"));
        let arn = define(&account, image.to_str().expect("the path is text"));
        account.granted(
            "CreateService",
            json!({"serviceName": name, "taskDefinition": arn, "desiredCount": 1, "launchType": "FARGATE"}),
        );
        let list = |status: &str| {
            let found = account.granted("ListTasks", json!({"serviceName": name, "desiredStatus": status}));
            found["taskArns"].as_array().cloned().unwrap_or_default()
        };
        while list("STOPPED").len() < failures {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::fs::write(&image, &spin).expect("the image is written");
        let running = |count: u64| {
            account.until("DescribeServices", json!({"services": [name]}), |found| {
                found["services"][0]["runningCount"] == count
            });
        };
        running(1);
        std::fs::write(&image, format!("{spin};; another one")).expect("the image is written");
        // Longer than whether it has changed is not looked at again.
        std::thread::sleep(std::time::Duration::from_millis(150));
        account.granted("UpdateService", json!({"service": name, "desiredCount": 2}));
        running(2);
        let tasks = account.granted("DescribeTasks", json!({"tasks": list("RUNNING")}));
        let digests: std::collections::BTreeSet<String> = tasks["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|task| Some(task["containers"][0]["imageDigest"].as_str()?.to_owned()))
            .collect();
        digests.len()
    };
    assert_eq!(digests("in-time", 1), 1);
    assert_eq!(digests("late", 3), 2);
}
