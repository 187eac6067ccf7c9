//! Application Auto Scaling over a service of a cluster file.

use longshore::api::error::ApiError;
use longshore::api::shape::Service;
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use serde_json::{Value, json};

use super::Account;

const RESOURCE: &str = "service/shop/web";

impl Account {
    /// An account with a cluster of a file: a service of no tasks that is scaled already, and one that is not.
    fn with_services() -> Account {
        let account = Account::new();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ok.wat"), r#"(module (func (export "_start")))"#).expect("it is writable");
        let text = r#"
            [cluster]
            name = "shop"
            [[task_definition]]
            family = "web"
            cpu = 256
            memory = 512
            requires_compatibilities = ["FARGATE"]
              [[task_definition.container]]
              name = "main"
              image = "ok.wat"
            [[service]]
            name = "web"
            task_definition = "web"
            launch_type = "FARGATE"
            desired_count = 0
            [[service]]
            name = "scaled"
            task_definition = "web"
            launch_type = "FARGATE"
            desired_count = 0
              [service.auto_scaling]
              min_capacity = 0
              max_capacity = 4
              target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
              scheduled_actions = [{ scheduled_action_name = "noon", schedule = "cron(0 12 * * ? *)", min_capacity = 1 }]
        "#;
        let spec = ClusterFile::parse(text, folder.path().join("cluster.toml"), &Catalog::embedded());
        let region = account.api.region("us-east-1").expect("a region");
        region.adopt(spec.expect("the file is in order")).expect("the cluster starts");
        account
    }

    fn scaling(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let mut whole =
            json!({"ServiceNamespace": "ecs", "ResourceId": RESOURCE, "ScalableDimension": "ecs:service:DesiredCount"});
        for (name, value) in input.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        self.api.call(Service::ApplicationAutoScaling, operation, "us-east-1", whole)
    }

    #[track_caller]
    fn scaled(&self, operation: &str, input: Value) -> Value {
        self.scaling(operation, input).unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    #[track_caller]
    fn not_scaled(&self, operation: &str, input: Value) -> (&'static str, String) {
        match self.scaling(operation, input) {
            Ok(answer) => panic!("{operation} is granted: {answer}"),
            Err(error) => (error.exception, error.message),
        }
    }
}

/// ecs-semantics §7.1: both bounds the first time, what is given after that; found, tagged, taken away.
#[test]
fn a_scalable_targets_life() {
    let account = Account::with_services();
    assert_eq!(account.not_scaled("RegisterScalableTarget", json!({"MinCapacity": 1})).0, "ValidationException");
    let bounds = json!({"MinCapacity": 1, "MaxCapacity": 5, "Tags": {"team": "a"}});
    let arn = account.scaled("RegisterScalableTarget", bounds)["ScalableTargetARN"].clone();
    let again = json!({"MaxCapacity": 9, "RoleARN": "arn:aws:iam::123456789012:role/mine",
                       "SuspendedState": {"ScheduledScalingSuspended": true}});
    assert_eq!(account.scaled("RegisterScalableTarget", again)["ScalableTargetARN"], arn);

    let found = account.scaled("DescribeScalableTargets", json!({"ResourceIds": [RESOURCE], "ResourceId": null}));
    let target = &found["ScalableTargets"][0];
    assert_eq!((&target["MinCapacity"], &target["MaxCapacity"]), (&json!(1), &json!(9)));
    assert_eq!(target["RoleARN"], "arn:aws:iam::123456789012:role/mine");
    assert_eq!(target["SuspendedState"]["ScheduledScalingSuspended"], true);
    assert_eq!(target["SuspendedState"]["DynamicScalingInSuspended"], false);
    assert!(target["CreationTime"].as_f64().is_some_and(|at| at > 1.7e9), "{target}");

    assert_eq!(account.scaled("ListTagsForResource", json!({"ResourceARN": arn}))["Tags"], json!({"team": "a"}));
    account.scaled("TagResource", json!({"ResourceARN": arn, "Tags": {"team": "b", "tier": "1"}}));
    account.scaled("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["tier", "none"]}));
    assert_eq!(account.scaled("ListTagsForResource", json!({"ResourceARN": arn}))["Tags"], json!({"team": "b"}));
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!("v"))).collect();
    assert_eq!(account.not_scaled("TagResource", json!({"ResourceARN": arn, "Tags": many})).0, "TooManyTagsException");
    let other = json!({"ResourceARN": "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/nix"});
    assert_eq!(account.not_scaled("ListTagsForResource", other).0, "ResourceNotFoundException");

    account.scaled("DeregisterScalableTarget", json!({}));
    assert_eq!(account.not_scaled("DeregisterScalableTarget", json!({})).0, "ObjectNotFoundException");
    let found = account.scaled("DescribeScalableTargets", json!({"ResourceIds": [RESOURCE]}));
    assert_eq!(found["ScalableTargets"], json!([]));
    let anew = account.scaled("RegisterScalableTarget", json!({"MinCapacity": 0, "MaxCapacity": 1}));
    assert_ne!(anew["ScalableTargetARN"], arn);
}

/// What is not a service, or not there.
#[test]
fn targets_that_there_are_not() {
    let account = Account::with_services();
    let bounds = |more: Value| {
        let mut bounds = json!({"MinCapacity": 1, "MaxCapacity": 5});
        more.as_object().into_iter().flatten().for_each(|(name, value)| bounds[name] = value.clone());
        bounds
    };
    for wrong in [
        json!({"ResourceId": "service/shop/other"}),
        json!({"ResourceId": "service/other/web"}),
        json!({"ResourceId": "table/shop"}),
        json!({"ServiceNamespace": "dynamodb"}),
        json!({"ScalableDimension": "lambda:function:ProvisionedConcurrency"}),
        json!({"MinCapacity": -1}),
        json!({"MinCapacity": 6}),
        json!({"ScalableDimension": "made up"}),
        json!({"RoleARN": "a control character: \u{1}"}),
    ] {
        assert_eq!(
            account.not_scaled("RegisterScalableTarget", bounds(wrong.clone())).0,
            "ValidationException",
            "{wrong}"
        );
    }
    let text = "No scalable target registered for service namespace: ecs, resource ID: service/shop/web, scalable dimension: \
                ecs:service:DesiredCount";
    let policy = json!({"PolicyName": "cpu", "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration":
        {"TargetValue": 50, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}});
    let refused = ("ObjectNotFoundException", text.to_owned());
    assert_eq!(account.not_scaled("PutScalingPolicy", policy.clone()), refused);
    let action =
        json!({"ScheduledActionName": "a", "Schedule": "rate(1 hour)", "ScalableTargetAction": {"MinCapacity": 1}});
    assert_eq!(account.not_scaled("PutScheduledAction", action), refused);
}

/// ecs-semantics §7.2, §7.3: policies come back as they were put, with their alarms; wrong ones are refused.
#[test]
fn policies() {
    let account = Account::with_services();
    account.scaled("RegisterScalableTarget", json!({"MinCapacity": 1, "MaxCapacity": 5}));
    let tracking = json!({"TargetValue": 33.333, "ScaleInCooldown": 60,
                          "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"}});
    let put = |name: &str, kind: &str, configuration: Value| {
        let member = match kind {
            "StepScaling" => "StepScalingPolicyConfiguration",
            "PredictiveScaling" => "PredictiveScalingPolicyConfiguration",
            _ => "TargetTrackingScalingPolicyConfiguration",
        };
        account.scaling("PutScalingPolicy", json!({"PolicyName": name, "PolicyType": kind, member: configuration}))
    };
    let first = put("memory", "TargetTrackingScaling", tracking.clone()).expect("it is in order");
    let alarms = first["Alarms"].as_array().expect("its alarms");
    assert_eq!(alarms.len(), 2);
    assert!(
        alarms[0]["AlarmName"]
            .as_str()
            .is_some_and(|name| name.starts_with("TargetTracking-service/shop/web-AlarmHigh-"))
    );
    let again = put("memory", "TargetTrackingScaling", tracking.clone()).expect("it takes the other's place");
    assert_eq!(again["PolicyARN"], first["PolicyARN"]);
    let steps = json!({"AdjustmentType": "PercentChangeInCapacity", "MinAdjustmentMagnitude": 1, "StepAdjustments": [
        {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 10.5, "ScalingAdjustment": 10},
        {"MetricIntervalLowerBound": 10.5, "ScalingAdjustment": 30}]});
    put("steps", "StepScaling", steps.clone()).expect("it is in order");
    let math = json!({"TargetValue": 10, "CustomizedMetricSpecification": {"Metrics": [
        {"Id": "jobs", "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": "Jobs"}, "Stat": "Sum"}, "ReturnData": false},
        {"Id": "each", "Expression": "jobs / 2", "Label": "per task"}]}});
    put("math", "TargetTrackingScaling", math.clone()).expect("it is in order");

    let found = account.scaled("DescribeScalingPolicies", json!({}));
    let all = found["ScalingPolicies"].as_array().expect("a list");
    assert_eq!(
        all.iter().map(|policy| policy["PolicyName"].as_str()).collect::<Vec<_>>(),
        [Some("math"), Some("memory"), Some("steps")]
    );
    assert_eq!(all[0]["TargetTrackingScalingPolicyConfiguration"], math);
    assert_eq!(
        (&all[1]["TargetTrackingScalingPolicyConfiguration"], &all[1]["PolicyARN"]),
        (&tracking, &first["PolicyARN"])
    );
    assert_eq!((&all[2]["StepScalingPolicyConfiguration"], &all[2]["PolicyType"]), (&steps, &json!("StepScaling")));
    let of_file = account.scaled("DescribeScalingPolicies", json!({"ResourceId": "service/shop/scaled"}));
    let configuration = &of_file["ScalingPolicies"][0]["TargetTrackingScalingPolicyConfiguration"];
    assert_eq!((&configuration["TargetValue"], &configuration["ScaleInCooldown"]), (&json!(50.0), &json!(300)));

    for (kind, wrong) in [
        (
            "TargetTrackingScaling",
            json!({"TargetValue": 0, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}),
        ),
        ("TargetTrackingScaling", json!({"TargetValue": 10})),
        (
            "TargetTrackingScaling",
            json!({"TargetValue": 10, "PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}}),
        ),
        (
            "TargetTrackingScaling",
            json!({"TargetValue": 10, "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/x"}}),
        ),
        ("TargetTrackingScaling", json!({"TargetValue": 10, "CustomizedMetricSpecification": {"MetricName": "a"}})),
        (
            "TargetTrackingScaling",
            json!({"TargetValue": 10, "CustomizedMetricSpecification": {"Metrics": [{"Id": "a", "Expression": "a +"}]}}),
        ),
        ("StepScaling", json!({"AdjustmentType": "ChangeInCapacity", "StepAdjustments": []})),
        ("StepScaling", json!({"StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]})),
        (
            "StepScaling",
            json!({"AdjustmentType": "ChangeInCapacity", "Cooldown": -1, "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]}),
        ),
        ("PredictiveScaling", json!({"MetricSpecifications": []})),
        (
            "PredictiveScaling",
            json!({"MetricSpecifications": [{"TargetValue": 1, "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ALBRequestCount"}}]}),
        ),
        (
            "PredictiveScaling",
            json!({"SchedulingBufferTime": 3600, "MetricSpecifications": [{"TargetValue": 1, "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"}}]}),
        ),
        ("TargetTrackingScaling", json!({})),
    ] {
        let error = put("wrong", kind, wrong.clone()).expect_err("it is refused");
        assert_eq!(error.exception, "ValidationException", "{wrong}: {error:?}");
    }
    let forecast = json!({"PolicyName": "memory", "StartTime": 0, "EndTime": 1});
    assert_eq!(account.not_scaled("GetPredictiveScalingForecast", forecast).0, "ValidationException");
    let pair = json!({"PredefinedMetricType": "ECSServiceCPUUtilization"});
    let predictive = json!({
        "MetricSpecifications": [{"TargetValue": 40.5, "PredefinedMetricPairSpecification": pair}], "Mode": "ForecastAndScale",
        "MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 10,
    });
    put("ahead", "PredictiveScaling", predictive.clone()).expect("it is granted");
    let found = account.scaled("DescribeScalingPolicies", json!({"PolicyNames": ["ahead"]}));
    assert_eq!(found["ScalingPolicies"][0]["PredictiveScalingPolicyConfiguration"], predictive);
    let forecast = json!({"PolicyName": "ahead", "StartTime": 0, "EndTime": 1});
    let (exception, message) = account.not_scaled("GetPredictiveScalingForecast", forecast);
    assert_eq!(exception, "ValidationException");
    assert!(message.contains("no forecast yet"), "{message}");
    account.scaled("DeleteScalingPolicy", json!({"PolicyName": "ahead"}));
    account.scaled("DeleteScalingPolicy", json!({"PolicyName": "memory"}));
    assert_eq!(account.not_scaled("DeleteScalingPolicy", json!({"PolicyName": "memory"})).0, "ObjectNotFoundException");
}

/// ecs-semantics §7.4: scheduled actions, and the activity that comes of one.
#[test]
fn scheduled_actions_and_activities() {
    let account = Account::with_services();
    account.scaled("RegisterScalableTarget", json!({"MinCapacity": 0, "MaxCapacity": 5}));
    let action = json!({"ScheduledActionName": "morning", "Schedule": "cron(0 8 * * ? *)", "Timezone": "Europe/Berlin",
                        "StartTime": 1_900_000_000, "ScalableTargetAction": {"MinCapacity": 2, "MaxCapacity": 4}});
    account.scaled("PutScheduledAction", action);
    let shown = || account.scaled("DescribeScheduledActions", json!({"ScheduledActionNames": ["morning"]}));
    let first = shown()["ScheduledActions"][0].clone();
    assert_eq!((&first["Schedule"], &first["Timezone"]), (&json!("cron(0 8 * * ? *)"), &json!("Europe/Berlin")));
    assert_eq!(first["StartTime"], json!(1_900_000_000.0));
    account.scaled(
        "PutScheduledAction",
        json!({"ScheduledActionName": "morning", "ScalableTargetAction": {"MinCapacity": 3}}),
    );
    let second = shown()["ScheduledActions"][0].clone();
    assert_eq!(second["ScalableTargetAction"], json!({"MinCapacity": 3}));
    assert_eq!((second.get("StartTime"), &second["ScheduledActionARN"]), (None, &first["ScheduledActionARN"]));
    assert_eq!((&second["Schedule"], &second["CreationTime"]), (&first["Schedule"], &first["CreationTime"]));
    for wrong in [
        json!({"ScheduledActionName": "new", "ScalableTargetAction": {"MinCapacity": 1}}),
        json!({"ScheduledActionName": "new", "Schedule": "every day", "ScalableTargetAction": {"MinCapacity": 1}}),
        json!({"ScheduledActionName": "new", "Schedule": "rate(1 hour)"}),
        json!({"ScheduledActionName": "a:b", "Schedule": "rate(1 hour)", "ScalableTargetAction": {"MinCapacity": 1}}),
    ] {
        assert_eq!(account.not_scaled("PutScheduledAction", wrong.clone()).0, "ValidationException", "{wrong}");
    }
    let of_file = account
        .scaled("DescribeScheduledActions", json!({"ResourceId": null, "ScalableDimension": null, "MaxResults": 1}));
    let next = json!({"ResourceId": null, "ScalableDimension": null, "NextToken": of_file["NextToken"]});
    let names = |page: &Value| page["ScheduledActions"][0]["ScheduledActionName"].clone();
    assert_eq!(
        (names(&of_file), names(&account.scaled("DescribeScheduledActions", next))),
        (json!("noon"), json!("morning"))
    );
    let made_up = account.not_scaled("DescribeScheduledActions", json!({"NextToken": "made up"}));
    assert_eq!(made_up.0, "InvalidNextTokenException");

    account.scaled("DeleteScheduledAction", json!({"ScheduledActionName": "morning"}));
    assert_eq!(shown()["ScheduledActions"], json!([]));
    // A rate takes place for the first time at its start.
    let now = account.api.region("us-east-1").expect("a region").now().as_second();
    let soon = json!({"ScheduledActionName": "soon", "Schedule": "rate(1 day)", "StartTime": now + 1,
                      "ScalableTargetAction": {"MinCapacity": 2}});
    account.scaled("PutScheduledAction", soon);
    let activities = || account.scaled("DescribeScalingActivities", json!({}))["ScalingActivities"].clone();
    let deadline = std::time::Duration::from_millis(50);
    let activity = (0..200).find_map(|_| {
        std::thread::sleep(deadline);
        activities().as_array().and_then(|all| {
            all.iter().find(|one| one["Cause"].as_str().is_some_and(|cause| cause.contains("soon"))).cloned()
        })
    });
    let activity = activity.expect("it takes place");
    assert_eq!(activity["ResourceId"], RESOURCE);
    let found = account.scaled("DescribeScalableTargets", json!({"ResourceIds": [RESOURCE]}));
    assert_eq!(found["ScalableTargets"][0]["MinCapacity"], 2);
}
