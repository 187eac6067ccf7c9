//! Scaling: metrics, alarms, target tracking, steps, schedules, and what they do to a service.
//!
//! Metrics of the user's own are written down in the file (`[[metric]]`), so that a scenario says what is measured and when. A
//! metric period is a minute.

use std::fmt::Write as _;

use expect_test::expect;
use longshore::control_plane::action::{Action, Notification};
use longshore::control_plane::event::{
    ContainerStateChange, Deletion, Event, PutMetricData, RegisterScalableTarget, Request, TaskStateChange, TaskStep,
};
use longshore::model::alarm::{AlarmState, MetricId, Statistic};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::metric::thousandths_text;
use longshore::model::scaling::{
    AdjustmentType, ScalingPolicy, ScheduledAction, StepAdjustment, StepScaling, SuspendedState, TargetTracking,
    TrackedMetric,
};
use longshore::model::schedule::Schedule;

use super::{check, counts_until, deploy, set_count, web_of_file};
use crate::harness::{Behaviour, End, World, at, secs, without_alarm_ids};

/// A cluster `test` with a service `web` of two tasks on Fargate, and what a scenario adds: `settings` belongs to
/// `[service.auto_scaling]`, the rest follows it.
fn web(settings: &str) -> World {
    web_of(2, settings)
}

fn web_of(count: u32, settings: &str) -> World {
    let cluster = "settings = [{ name = \"containerInsights\", value = \"enabled\" }]\n\
                   [settings]\ncalendar_start = \"2026-03-27T07:50:00Z\"";
    web_of_file(cluster, count, &format!("[service.auto_scaling]\n{settings}"), "")
}

/// An alarm `queue-long`: more than 100 orders wait, one period.
const QUEUE_LONG: &str = r#"
    [[alarm]]
    alarm_name = "queue-long"
    namespace = "Shop"
    metric_name = "OrdersWaiting"
    evaluation_periods = 1
    threshold = 100
    comparison_operator = "GreaterThanThreshold"
"#;

/// When and why the desired count changed.
fn changes(world: &World) -> String {
    let events = &world.plane.state().services["web"].events;
    let changes = events.iter().filter(|event| event.message.contains("desired count changed"));
    changes
        .map(|event| {
            let message = without_alarm_ids(&event.message);
            format!("{} {}\n", event.at, message.trim_start_matches("(service web) desired count changed "))
        })
        .collect()
}

/// The scaling activities: when, how far, what, why.
fn activities(world: &World) -> String {
    let mut lines = String::new();
    for activity in &world.plane.state().scalable_targets["web"].activities {
        let ended = activity.ended_at.map_or("-".to_owned(), |at| at.to_string());
        let _ = writeln!(
            lines,
            "{} to {ended} {}: {} Cause: {}. {}",
            activity.started_at,
            activity.status.as_str(),
            activity.description,
            without_alarm_ids(&activity.cause),
            activity.status_message
        );
    }
    lines
}

/// What alarms did and why.
fn alarm_changes(world: &World) -> String {
    let mut lines = String::new();
    for ((at, _), actions) in world.journal.iter().zip(&world.actions) {
        for action in actions {
            if let Action::Notify(Notification::Alarm { alarm, from, to, reason }) = action {
                let alarm = without_alarm_ids(alarm);
                let _ = writeln!(lines, "{at} {alarm} {} -> {}: {reason}", from.as_str(), to.as_str());
            }
        }
    }
    lines
}

/// All datapoints of the metrics of a namespace that a filter takes: each a line of `at average [minimum, maximum] of count`.
fn datapoints(world: &World, namespace: &str, wanted: &[&str]) -> String {
    let metrics = &world.plane.state().metrics;
    let mut lines = String::new();
    for metric in metrics.list(Some(namespace)).filter(|metric| wanted.contains(&&*metric.name)) {
        let _ = write!(lines, "{metric}:");
        for point in metrics.points(metric, at(0), world.now, secs(60)) {
            let text = |what| thousandths_text(point.samples.statistic(what));
            let seconds = point.at.0 / 1_000_000_000;
            let (average, minimum, maximum) =
                (text(Statistic::Average), text(Statistic::Minimum), text(Statistic::Maximum));
            let spread = if minimum == maximum { String::new() } else { format!(" [{minimum}, {maximum}]") };
            let _ = write!(lines, " {seconds}s {average}{spread}");
        }
        lines.push('\n');
    }
    lines
}

fn put(world: &mut World, value: i64) {
    let metric = MetricId::new("Shop", "OrdersWaiting", &[]);
    world.done(Request::PutMetricData(PutMetricData { metric, value: value * 1000 }));
}

fn desired(world: &World) -> u32 {
    world.plane.state().services["web"].spec.desired_count
}

// --- Metrics: ecs-semantics §7.6, §10.1, §10.2.

/// ecs-semantics §7.6, §10.1, §10.2: a service's utilisation by task with statistics, its counts, and nothing while no task runs.
#[test]
fn service_metrics_are_kept() {
    let mut world = web("min_capacity = 1\nmax_capacity = 10");
    world.behave("web", Behaviour { cpu_percent: 40, ..Behaviour::default() });
    world.run_until(130);
    world.behave("web", Behaviour { cpu_percent: 80, ..Behaviour::default() });
    set_count(&mut world, 0);
    // What the tasks report at their end is what they had used ten seconds before. The next minute has no task.
    world.run_until(245);
    set_count(&mut world, 1);
    world.run_until(370);
    check(
        &datapoints(&world, "AWS/ECS", &["CPUUtilization", "MemoryUtilization"]),
        &expect![[r#"
            AWS/ECS CPUUtilization {ClusterName=test, ServiceName=web}: 0s 40 60s 40 120s 0 240s 80 300s 80
            AWS/ECS MemoryUtilization {ClusterName=test, ServiceName=web}: 0s 0.195 60s 0.195 120s 0 240s 0.195 300s 0.195
        "#]],
    );
    check(
        &datapoints(
            &world,
            "ECS/ContainerInsights",
            &[
                "DesiredTaskCount",
                "PendingTaskCount",
                "RunningTaskCount",
                "DeploymentCount",
                "CpuReserved",
                "CpuUtilized",
                "MemoryReserved",
                "TaskCount",
                "ServiceCount",
                "ContainerInstanceCount",
            ],
        ),
        &expect![[r#"
            ECS/ContainerInsights ContainerInstanceCount {ClusterName=test}: 0s 0 60s 0 120s 0 180s 0 240s 0 300s 0
            ECS/ContainerInsights CpuReserved {ClusterName=test, ServiceName=web}: 0s 512 60s 512 120s 0 180s 0 240s 256 300s 256
            ECS/ContainerInsights CpuUtilized {ClusterName=test, ServiceName=web}: 0s 201.386 60s 204.8 120s 0 180s 0 240s 184.32 300s 204.8
            ECS/ContainerInsights DeploymentCount {ClusterName=test, ServiceName=web}: 0s 1 60s 1 120s 1 180s 1 240s 1 300s 1
            ECS/ContainerInsights DesiredTaskCount {ClusterName=test, ServiceName=web}: 0s 2 60s 2 120s 0 180s 0 240s 1 300s 1
            ECS/ContainerInsights MemoryReserved {ClusterName=test, ServiceName=web}: 0s 1024 60s 1024 120s 0 180s 0 240s 512 300s 512
            ECS/ContainerInsights PendingTaskCount {ClusterName=test, ServiceName=web}: 0s 0 60s 0 120s 0 180s 0 240s 0 300s 0
            ECS/ContainerInsights RunningTaskCount {ClusterName=test, ServiceName=web}: 0s 2 60s 2 120s 0 180s 0 240s 1 300s 1
            ECS/ContainerInsights ServiceCount {ClusterName=test}: 0s 1 60s 1 120s 1 180s 1 240s 1 300s 1
            ECS/ContainerInsights TaskCount {ClusterName=test}: 0s 2 60s 2 120s 0 180s 0 240s 1 300s 1
        "#]],
    );
}

/// ecs-semantics §10.2: restarts of containers by cluster, service and family, instances by what they have left, and with `enhanced`
/// each task by itself, until it ends.
#[test]
fn container_insights_are_kept() {
    let mut world = World::of_file(
        r#"
        [cluster]
        name = "test"
        settings = [{ name = "containerInsights", value = "enhanced" }]
        [[container_instance]]
        instance_type = "m7i.large"
        [[task_definition]]
        family = "web"
        cpu = "512"
        memory = "512"
        container = [{ name = "main", image = "../workloads/limits/spin.wat", restart_policy = { enabled = true } }]
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 2
        launch_type = "EC2"
        "#,
    );
    world.behave("web", Behaviour { cpu_percent: 40, ..Behaviour::default() });
    world.run_until(70);
    for restart_count in [1, 3, 2] {
        let container = ContainerStateChange { restart_count, ..ContainerStateChange::default() };
        world.apply(Event::TaskStateChange(TaskStateChange {
            task: TaskId(1),
            step: TaskStep::ContainersChanged,
            pull_started_at: None,
            pull_stopped_at: None,
            containers: [container].into(),
        }));
    }
    world.run_until(130);
    set_count(&mut world, 1);
    world.run_until(245);
    let wanted = [
        "RestartCount",
        "TaskCpuUtilization",
        "instance_cpu_reserved_capacity",
        "instance_memory_reserved_capacity",
        "instance_number_of_running_tasks",
    ];
    check(
        &world.shorten(&datapoints(&world, "ECS/ContainerInsights", &wanted)),
        &expect![[r#"
        ECS/ContainerInsights RestartCount {ClusterName=test}: 0s 0 60s 3 120s 0 180s 0
        ECS/ContainerInsights RestartCount {ClusterName=test, ServiceName=web}: 0s 0 60s 3 120s 0 180s 0
        ECS/ContainerInsights RestartCount {ClusterName=test, TaskDefinitionFamily=web}: 0s 0 60s 3 120s 0 180s 0
        ECS/ContainerInsights TaskCpuUtilization {ClusterName=test, ServiceName=web, TaskDefinitionFamily=web, TaskId=T1}: 0s 40 60s 40 120s 40 180s 40
        ECS/ContainerInsights TaskCpuUtilization {ClusterName=test, ServiceName=web, TaskDefinitionFamily=web, TaskId=T2}: 0s 40 60s 40 120s 0
        ECS/ContainerInsights instance_cpu_reserved_capacity {ClusterName=test, ContainerInstanceId=I1, InstanceId=i-1}: 0s 50 60s 50 120s 25 180s 25
        ECS/ContainerInsights instance_memory_reserved_capacity {ClusterName=test, ContainerInstanceId=I1, InstanceId=i-1}: 0s 12.5 60s 12.5 120s 6.25 180s 6.25
        ECS/ContainerInsights instance_number_of_running_tasks {ClusterName=test, ContainerInstanceId=I1, InstanceId=i-1}: 0s 2 60s 2 120s 1 180s 1
    "#]],
    );
}

/// ecs-semantics §10.1: reservation over what instances have registered, by tasks in RUNNING alone; standalone tasks count too.
/// §6.3: CapacityProviderReservation each minute.
#[test]
fn cluster_metrics_are_kept() {
    let mut world = World::of_file(
        r#"
        [cluster]
        name = "test"
        [[capacity_provider]]
        name = "asg"
        auto_scaling_group = { instance_type = "c7i.large", min_size = 1, max_size = 2, boot_time = "10s" }
        managed_scaling = { status = "ENABLED" }
        [[container_instance]]
        instance_type = "c7i.large"
        boot_time = "10s"
        [[task_definition]]
        family = "batch"
        cpu = "512"
        memory = "1024"
        container = [{ name = "main", image = "../workloads/limits/spin.wat" }]
        [[run_task]]
        task_definition = "batch"
        launch_type = "EC2"
        count = 4
        at = "90s"
        "#,
    );
    world.behave(
        "batch",
        Behaviour { cpu_percent: 50, end: End::Exit { after: secs(130), code: 0 }, ..Behaviour::default() },
    );
    world.run_until(330);
    check(
        &datapoints(&world, "AWS/ECS", &["CPUReservation", "MemoryReservation", "CPUUtilization", "MemoryUtilization"]),
        &expect![[r#"
            AWS/ECS CPUReservation {ClusterName=test}: 60s 50 120s 50
            AWS/ECS CPUUtilization {ClusterName=test}: 60s 12.083 120s 25
            AWS/ECS MemoryReservation {ClusterName=test}: 60s 50 120s 50
            AWS/ECS MemoryUtilization {ClusterName=test}: 60s 0.023 120s 0.048
        "#]],
    );
    check(
        &datapoints(&world, "AWS/ECS/ManagedScaling", &["CapacityProviderReservation"]),
        &expect![[r#"
        AWS/ECS/ManagedScaling CapacityProviderReservation {CapacityProviderName=asg, ClusterName=test}: 0s 0 60s 100 120s 100 180s 0 240s 0
    "#]],
    );
}

/// ecs-semantics §7.2: jobs done are the requests of a target, whole numbers in all and by running task; late reports change nothing.
#[test]
fn requests_are_jobs_done() {
    let mut world = web("min_capacity = 1\nmax_capacity = 10");
    for (seconds, done) in [(30, 100), (50, 400), (70, 300), (100, 500), (130, 500)] {
        world.run_until(seconds);
        world.apply(Event::JobsDone { service: "web".into(), done });
    }
    world.run_until(200);
    let ignored = world.plane.state().ignored_events;
    world.apply(Event::JobsDone { service: "nobody".into(), done: 5 });
    assert_eq!((ignored, world.plane.state().ignored_events), (1, 2));
    check(
        &datapoints(&world, "AWS/ApplicationELB", &["RequestCount", "RequestCountPerTarget"]),
        &expect![[r#"
        AWS/ApplicationELB RequestCount {TargetGroup=targetgroup/web}: 0s 400 60s 100 120s 0
        AWS/ApplicationELB RequestCountPerTarget {TargetGroup=targetgroup/web}: 0s 200 60s 50 120s 0
    "#]],
    );
}

/// CloudWatch: samples of the user's own come together by period; AWS' namespaces are refused, and so is what has no name.
#[test]
fn metric_data_is_put() {
    let mut world = web("min_capacity = 1\nmax_capacity = 10");
    world.run_until(10);
    put(&mut world, 10);
    put(&mut world, 30);
    world.run_until(60);
    put(&mut world, -5);
    world.run_until(200);
    check(
        &datapoints(&world, "Shop", &["OrdersWaiting"]),
        &expect![[r#"
        Shop OrdersWaiting {}: 0s 20 [10, 30] 60s -5
    "#]],
    );
    let refused = |world: &mut World, namespace: &str, name: &str| {
        let metric = MetricId::new(namespace, name, &[]);
        let error = world.request(Request::PutMetricData(PutMetricData { metric, value: 1 })).unwrap_err();
        format!("{}: {error}\n", error.exception())
    };
    let all = [("AWS/ECS", "CPUUtilization"), ("ECS/ContainerInsights", "TaskCount"), ("", "x"), ("Shop", "")]
        .map(|(namespace, name)| refused(&mut world, namespace, name))
        .concat();
    check(
        &all,
        &expect![[r#"
        ValidationException: The value AWS/ECS for parameter Namespace is invalid: it is one of AWS' own
        ValidationException: The value ECS/ContainerInsights for parameter Namespace is invalid: it is one of AWS' own
        ValidationException: a metric needs a namespace, a name and at most 30 dimensions
        ValidationException: a metric needs a namespace, a name and at most 30 dimensions
    "#]],
    );
}

// --- Alarms.

/// CloudWatch: M of N datapoints, a longer period than the metric's, the statistic, missing data, and the reason each time.
#[test]
fn alarms_change_their_state() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        [[alarm]]
        alarm_name = "two-of-three"
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        evaluation_periods = 3
        datapoints_to_alarm = 2
        threshold = 100
        comparison_operator = "GreaterThanThreshold"
        [[alarm]]
        alarm_name = "sum-of-two-minutes"
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        statistic = "Sum"
        period = "2m"
        evaluation_periods = 1
        threshold = 250
        comparison_operator = "GreaterThanOrEqualToThreshold"
        treat_missing_data = "notBreaching"
        [[metric]]
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        steps = [
            { at = "1m", value = 150 },
            { at = "2m", value = 50 },
            { at = "3m", value = 200 },
            { at = "4m", value = 90 },
            { at = "6m" },
        ]
        "#);
    world.run_until(900);
    check(
        &alarm_changes(&world),
        &expect![[r#"
            120.000s sum-of-two-minutes INSUFFICIENT_DATA -> OK: Threshold Crossed: 1 datapoint [150] was not greater than or equal to the threshold (250).
            120.000s two-of-three INSUFFICIENT_DATA -> OK: 1 datapoint [150] was greater than the threshold (100), and it takes 2.
            240.000s sum-of-two-minutes OK -> ALARM: Threshold Crossed: 1 out of the last 1 datapoints [250] was greater than or equal to the threshold (250) (minimum 1 datapoint for OK -> ALARM transition).
            240.000s two-of-three OK -> ALARM: Threshold Crossed: 2 out of the last 3 datapoints [200, 50, 150] were greater than the threshold (100) (minimum 2 datapoints for OK -> ALARM transition).
            300.000s two-of-three ALARM -> OK: Threshold Crossed: 2 out of the last 3 datapoints [90, 200, 50] were not greater than the threshold (100).
            360.000s sum-of-two-minutes ALARM -> OK: Threshold Crossed: 1 datapoint [180] was not greater than or equal to the threshold (250).
            660.000s two-of-three OK -> INSUFFICIENT_DATA: Insufficient Data: 3 datapoints were unknown.
        "#]],
    );
}

/// CloudWatch: a state that was set by hand holds until the next evaluation, and, *ours*, where nothing is measured at all.
#[test]
fn alarm_states_are_set_by_hand() {
    let mut world = web(&format!("min_capacity = 1\nmax_capacity = 10\n{QUEUE_LONG}"));
    let set = |world: &mut World, state| {
        let reason = "a drill".to_owned();
        world.done(Request::SetAlarmState { alarm: "queue-long".into(), state, reason });
    };
    world.run_until(10);
    set(&mut world, AlarmState::Alarm);
    world.run_until(130);
    put(&mut world, 5);
    world.run_until(190);
    set(&mut world, AlarmState::Alarm);
    world.run_until(500);
    check(
        &alarm_changes(&world),
        &expect![[r#"
        10.000s queue-long INSUFFICIENT_DATA -> ALARM: a drill
        180.000s queue-long ALARM -> OK: Threshold Crossed: 1 datapoint [5] was not greater than the threshold (100).
        190.000s queue-long OK -> ALARM: a drill
        240.000s queue-long ALARM -> OK: Threshold Crossed: 1 datapoint [5] was not greater than the threshold (100).
        360.000s queue-long OK -> INSUFFICIENT_DATA: Insufficient Data: 1 datapoint was unknown.
    "#]],
    );
}

/// What an alarm must say, and that one can be deleted.
#[test]
fn alarms_are_checked() {
    let mut world = web(&format!("min_capacity = 1\nmax_capacity = 10\n{QUEUE_LONG}"));
    let alarm = world.plane.state().alarms["queue-long"].spec.clone();
    let mut refused = String::new();
    for (period, evaluation_periods, datapoints_to_alarm) in
        [(90, 1, 1), (0, 1, 1), (60, 0, 0), (60, 2, 3), (60, 1, 0), (3600, 200, 1), (60, 20_000, 1)]
    {
        let mut alarm = alarm.clone();
        (alarm.period, alarm.evaluation_periods, alarm.datapoints_to_alarm) =
            (secs(period), evaluation_periods, datapoints_to_alarm);
        let error = world.request(Request::PutMetricAlarm(Box::new(alarm))).unwrap_err();
        let _ = writeln!(refused, "{}: {error}", error.exception());
    }
    world.done(Request::DeleteAlarm { alarm: "queue-long".into() });
    let error = world.request(Request::DeleteAlarm { alarm: "queue-long".into() }).unwrap_err();
    let _ = writeln!(refused, "{}: {error}", error.exception());
    check(
        &refused,
        &expect![[r#"
        ValidationException: alarm queue-long: its period must be a multiple of the metric period
        ValidationException: alarm queue-long: its period must be a multiple of the metric period
        ValidationException: alarm queue-long: it needs at least one evaluation period
        ValidationException: alarm queue-long: its datapoints to alarm must be from 1 to its evaluation periods
        ValidationException: alarm queue-long: its datapoints to alarm must be from 1 to its evaluation periods
        ValidationException: alarm queue-long: it must not look back more than seven days
        ValidationException: alarm queue-long: it must not have more than 10080 evaluation periods
        InvalidParameterException: there is no alarm named queue-long
    "#]],
    );
}

// --- Target tracking: ecs-semantics §7.2.

/// ecs-semantics §7.2: target tracking makes two alarms a policy among the cluster's, which say what it decides by, are nobody else's to
/// change, and go with it.
#[test]
fn policies_have_alarms_of_their_own() {
    let mut world = web("min_capacity = 1\nmax_capacity = 4\ntarget_tracking = [\
         { metric = \"ECSServiceAverageCPUUtilization\", target_value = 50 },\
         { metric = \"ECSServiceAverageMemoryUtilization\", target_value = 80, disable_scale_in = true }]");
    let alarms = |world: &World| {
        let alarms = world.plane.state().alarms.values();
        let lines = alarms.map(|alarm| {
            let threshold = thousandths_text(alarm.spec.threshold);
            let (periods, metric) = (alarm.spec.evaluation_periods, &alarm.spec.metric);
            let name = without_alarm_ids(&alarm.spec.name);
            format!("{name} {}: {metric} {threshold} for {periods} periods\n", alarm.state.as_str())
        });
        lines.collect::<String>()
    };
    world.behave("web", Behaviour { cpu_percent: 90, ..Behaviour::default() });
    world.run_until(200);
    check(
        &alarms(&world),
        &expect![[r#"
        TargetTracking-service/test/web-AlarmHigh ALARM: AWS/ECS CPUUtilization {ClusterName=test, ServiceName=web} 50 for 3 periods
        TargetTracking-service/test/web-AlarmHigh OK: AWS/ECS MemoryUtilization {ClusterName=test, ServiceName=web} 80 for 3 periods
        TargetTracking-service/test/web-AlarmLow OK: AWS/ECS CPUUtilization {ClusterName=test, ServiceName=web} 45 for 15 periods
    "#]],
    );
    world.behave("web", Behaviour { cpu_percent: 10, ..Behaviour::default() });
    world.run_until(1600);
    check(
        &alarm_changes(&world),
        &expect![[r#"
        60.000s TargetTracking-service/test/web-AlarmHigh INSUFFICIENT_DATA -> OK: 1 datapoint [90] was greater than the threshold (50), and it takes 3.
        60.000s TargetTracking-service/test/web-AlarmLow INSUFFICIENT_DATA -> OK: Threshold Crossed: 1 out of the last 15 datapoints [90] was not less than the threshold (45).
        60.000s TargetTracking-service/test/web-AlarmHigh INSUFFICIENT_DATA -> OK: Threshold Crossed: 1 out of the last 3 datapoints [0.195] was not greater than the threshold (80).
        180.000s TargetTracking-service/test/web-AlarmHigh OK -> ALARM: Threshold Crossed: 3 out of the last 3 datapoints [90, 90, 90] were greater than the threshold (50) (minimum 3 datapoints for OK -> ALARM transition).
        240.000s TargetTracking-service/test/web-AlarmHigh ALARM -> OK: Threshold Crossed: 1 out of the last 3 datapoints [10, 90, 90] was not greater than the threshold (50).
        1080.000s TargetTracking-service/test/web-AlarmLow OK -> ALARM: Threshold Crossed: 15 out of the last 15 datapoints [10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10] were less than the threshold (45) (minimum 15 datapoints for OK -> ALARM transition).
    "#]],
    );
    let name = world.plane.state().alarms.keys().next().cloned().expect("there are three");
    let requests = [
        Request::DeleteAlarm { alarm: name.clone() },
        Request::SetAlarmState { alarm: name.clone(), state: AlarmState::Ok, reason: "by hand".into() },
        Request::PutMetricAlarm(Box::new(world.plane.state().alarms[&name].spec.clone())),
    ];
    for request in requests {
        let error = world.request(request).expect_err("it belongs to a policy").to_string();
        let what = "belongs to a target tracking policy of service web: change the policy";
        assert!(error.ends_with(what), "{error}");
    }
    let policy = "ECSServiceAverageMemoryUtilization".into();
    world.done(Request::DeleteScalingPolicy { service: "web".into(), policy });
    assert_eq!(world.plane.state().alarms.len(), 2);
    world.done(Request::DeleteService { service: "web".into(), deletion: Deletion::Forced });
    assert!(world.plane.state().alarms.is_empty());
}

/// ecs-semantics §7.2: requests per target are held at the target; the high alarm takes three periods.
#[test]
fn requests_per_target_are_tracked() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        target_tracking = [{ metric = "ALBRequestCountPerTarget", target_value = 300, resource_label = "app/lb/1/targetgroup/web/2" }]
        "#);
    let mut done = 0;
    for minute in 1..40 {
        let rate = if minute <= 10 { 1_200 } else { 300 };
        for part in 0..3 {
            world.run_until(minute * 60 - 60 + part * 20 + 10);
            done += rate / 3;
            world.apply(Event::JobsDone { service: "web".into(), done });
        }
    }
    check(
        &changes(&world),
        &expect![[r#"
        180.000s from 2 to 4: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ALBRequestCountPerTarget: 600 against a target of 300
        1500.000s from 4 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ALBRequestCountPerTarget: 75 against a target of 300
    "#]],
    );
    check(
        &activities(&world),
        &expect![[r#"
        180.000s to 181.000s Successful: Setting desired count to 4. Cause: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ALBRequestCountPerTarget: 600 against a target of 300. Successfully set desired count to 4. Change successfully fulfilled by ecs.
        1500.000s to 1500.000s Successful: Setting desired count to 1. Cause: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ALBRequestCountPerTarget: 75 against a target of 300. Successfully set desired count to 1. Change successfully fulfilled by ecs.
    "#]],
    );
}

/// ecs-semantics §7.2: a metric of the user's own; missing data takes no action either way, and breaks the row.
#[test]
fn custom_metrics_are_tracked() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        [[service.auto_scaling.target_tracking]]
        policy_name = "orders"
        metric = "CustomizedMetricSpecification"
        customized_metric_specification = { namespace = "Shop", metric_name = "OrdersWaiting", statistic = "Average" }
        target_value = 100
        [[metric]]
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        steps = [{ at = "1m", value = 150 }, { at = "3m" }, { at = "4m", value = 150 }, { at = "7m", value = 80 }, { at = "10m" }, { at = "11m", value = 20 }]
        "#);
    world.run_until(2400);
    check(
        &changes(&world),
        &expect![[r#"
        420.000s from 2 to 3: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy orders: 150 against a target of 100
        1560.000s from 3 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy orders: 20 against a target of 100
    "#]],
    );
}

/// ecs-semantics §7.2: metric math: the backlog per running task is held at its target, and a period in which a metric is missing takes
/// no action.
#[test]
fn expressions_are_tracked() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        [[service.auto_scaling.target_tracking]]
        policy_name = "backlog"
        metric = "CustomizedMetricSpecification"
        target_value = 100
        customized_metric_specification = { metrics = [
            { id = "backlog", expression = "orders / MAX([tasks, 1])" },
            { id = "orders", return_data = false, metric_stat = { stat = "Average", metric = { namespace = "Shop", metric_name = "OrdersWaiting" } } },
            { id = "tasks", return_data = false, metric_stat = { stat = "Average", metric = { namespace = "ECS/ContainerInsights", metric_name = "RunningTaskCount", dimensions = { ClusterName = "test", ServiceName = "web" } } } },
        ] }
        [[metric]]
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        steps = [{ at = "1m", value = 500 }, { at = "3m" }, { at = "4m", value = 500 }, { at = "9m", value = 100 }]
        "#);
    world.run_until(2400);
    check(
        &changes(&world),
        &expect![[r#"
        420.000s from 2 to 5: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy backlog: 250 against a target of 100
        1440.000s from 5 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy backlog: 20 against a target of 100
    "#]],
    );
}

/// ecs-semantics §7.2: the basis is the running count: while the tasks that were added start, the same proposal adds nothing.
#[test]
fn pending_tasks_do_not_compound() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 20
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50, scale_out_cooldown = "0s" }]
        "#);
    world.behave("web", Behaviour { cpu_percent: 100, ..Behaviour::default() });
    world.run_until(100);
    world.behave("web", Behaviour { cpu_percent: 100, start: secs(400), ..Behaviour::default() });
    world.run_until(560);
    check(
        &changes(&world),
        &expect![[r#"
        180.000s from 2 to 4: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 100% against a target of 50%
    "#]],
    );
    check(
        &activities(&world),
        &expect![[r#"
        180.000s to - InProgress: Setting desired count to 4. Cause: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 100% against a target of 50%. Successfully set desired count to 4. Waiting for change to be fulfilled by ecs.
    "#]],
    );
}

/// ecs-semantics §7.2: a deployment keeps a service from scaling in and not from scaling out; once it is over, what waited is
/// done. An autoscaler and a deployment at odds come to rest.
#[test]
fn deployments_hold_scale_in_off() {
    let mut world = web_of(
        6,
        r#"
        min_capacity = 1
        max_capacity = 10
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
        "#,
    );
    world.behave("web", Behaviour { cpu_percent: 10, ..Behaviour::default() });
    world.run_until(800);
    // The tasks of the next revision start late: the deployment is under way when the low alarm goes off.
    world.behave("web", Behaviour { cpu_percent: 10, start: secs(600), ..Behaviour::default() });
    deploy(&mut world);
    world.run_until(1_390);
    assert_eq!(desired(&world), 6);
    world.run_until(3_000);
    check(
        &changes(&world),
        &expect![[r#"
        1500.000s from 6 to 2: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilization: 9.917% against a target of 50%
        1800.000s from 2 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilization: 10% against a target of 50%
    "#]],
    );
    assert_eq!(world.counts("web"), "desired 1 running 1 pending 0 healthy 1");

    // Out is not held off.
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
        "#);
    world.behave("web", Behaviour { cpu_percent: 90, ..Behaviour::default() });
    world.run_until(100);
    world.behave("web:2", Behaviour { cpu_percent: 90, start: secs(300), ..Behaviour::default() });
    deploy(&mut world);
    world.run_until(250);
    assert_eq!(desired(&world), 4);
}

/// ecs-semantics §5.8, §7.2: while a canary moves traffic, a service scales out, both its revisions with it, and scales in only when the
/// canary is over. The share of the traffic stays what the stage says.
#[test]
fn a_canary_is_scaled_out_and_not_in() {
    let canary = r#"
        min_capacity = 1
        max_capacity = 10
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
        [service.deployment_configuration]
        strategy = "CANARY"
        canary_configuration = { canary_percent = 10, canary_bake_time_in_minutes = 20 }
        bake_time_in_minutes = 0
        "#;
    let mut world = web(canary);
    world.behave("web", Behaviour { cpu_percent: 50, ..Behaviour::default() });
    world.run_until(100);
    deploy(&mut world);
    world.run_until(200);
    world.behave("web", Behaviour { cpu_percent: 90, ..Behaviour::default() });
    let mut text = String::new();
    let mut note = |world: &World, seconds: u64| {
        let service = &world.plane.state().services["web"];
        let deployments = service.deployments.iter().map(|one| format!("{} tasks", one.running_count()));
        let shares: Vec<String> = service.traffic.production.values().map(ToString::to_string).collect();
        let deployments = deployments.collect::<Vec<_>>().join(" and ");
        let _ = writeln!(text, "{seconds}s: desired {}, {deployments}, {}", desired(world), shares.join(" and "));
    };
    note(&world, 200);
    world.run_until(700);
    note(&world, 700);
    // What comes now is little, and long enough for the low alarm.
    world.behave("web", Behaviour { cpu_percent: 5, ..Behaviour::default() });
    world.run_until(1_300);
    note(&world, 1_300);
    world.run_until(3_000);
    note(&world, 3_000);
    check(
        &text,
        &expect![[r#"
        200s: desired 2, 2 tasks and 2 tasks, 90 % and 10 %
        700s: desired 10, 10 tasks and 10 tasks, 90 % and 10 %
        1300s: desired 10, 10 tasks and 10 tasks, 90 % and 10 %
        3000s: desired 1, 1 tasks, 
    "#]],
    );
    check(
        &changes(&world),
        &expect![[r#"
        360.000s from 2 to 8: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
        420.000s from 8 to 10: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
        1560.000s from 10 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilization: 5% against a target of 50%
    "#]],
    );
}

/// ecs-semantics §7.2, §7.5: `disable_scale_in` leaves scale-out alone.
#[test]
fn scale_in_can_be_disabled() {
    let mut world = web_of(
        4,
        r#"
        min_capacity = 1
        max_capacity = 10
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50, disable_scale_in = true }]
        "#,
    );
    world.behave("web", Behaviour { cpu_percent: 5, ..Behaviour::default() });
    world.run_until(2_000);
    assert_eq!(desired(&world), 4);
}

// --- Step scaling: ecs-semantics §7.3.

/// ecs-semantics §7.3: an alarm in ALARM calls the policy each minute; the step is chosen by how far the metric is from the
/// threshold; in the cooldown only a larger step goes through, less what was added; alarms below go the other way.
#[test]
fn steps_follow_an_alarm() {
    let mut world = web(&format!(
        r#"
        min_capacity = 1
        max_capacity = 20
        [[service.auto_scaling.step_scaling]]
        policy_name = "more"
        alarm = "queue-long"
        adjustment_type = "ChangeInCapacity"
        step_adjustments = [
            {{ metric_interval_lower_bound = 0, metric_interval_upper_bound = 100, scaling_adjustment = 2 }},
            {{ metric_interval_lower_bound = 100, scaling_adjustment = 3 }},
        ]
        [[service.auto_scaling.step_scaling]]
        policy_name = "fewer"
        alarm = "queue-short"
        adjustment_type = "PercentChangeInCapacity"
        min_adjustment_magnitude = 2
        cooldown = "2m"
        step_adjustments = [{{ metric_interval_upper_bound = 0, scaling_adjustment = -10 }}]
        {QUEUE_LONG}
        [[alarm]]
        alarm_name = "queue-short"
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        evaluation_periods = 2
        threshold = 10
        comparison_operator = "LessThanOrEqualToThreshold"
        [[metric]]
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        steps = [{{ at = "1m", value = 150 }}, {{ at = "2m", value = 250 }}, {{ at = "3m", value = 150 }}, {{ at = "8m", value = 5 }}, {{ at = "14m", value = 50 }}]
        "#
    ));
    world.run_until(1_500);
    check(
        &changes(&world),
        &expect![[r#"
        120.000s from 2 to 4: monitor alarm queue-long in state ALARM triggered policy more: 150 against a threshold of 100
        180.000s from 4 to 5: monitor alarm queue-long in state ALARM triggered policy more: 250 against a threshold of 100
        480.000s from 5 to 7: monitor alarm queue-long in state ALARM triggered policy more: 150 against a threshold of 100
        600.000s from 7 to 5: monitor alarm queue-short in state ALARM triggered policy fewer: 5 against a threshold of 10
        720.000s from 5 to 3: monitor alarm queue-short in state ALARM triggered policy fewer: 5 against a threshold of 10
        840.000s from 3 to 1: monitor alarm queue-short in state ALARM triggered policy fewer: 5 against a threshold of 10
    "#]],
    );
    check(
        &alarm_changes(&world),
        &expect![[r#"
        120.000s queue-long INSUFFICIENT_DATA -> ALARM: Threshold Crossed: 1 out of the last 1 datapoints [150] was greater than the threshold (100) (minimum 1 datapoint for OK -> ALARM transition).
        120.000s queue-short INSUFFICIENT_DATA -> OK: Threshold Crossed: 1 out of the last 2 datapoints [150] was not less than or equal to the threshold (10).
        540.000s queue-long ALARM -> OK: Threshold Crossed: 1 datapoint [5] was not greater than the threshold (100).
        600.000s queue-short OK -> ALARM: Threshold Crossed: 2 out of the last 2 datapoints [5, 5] were less than or equal to the threshold (10) (minimum 2 datapoints for OK -> ALARM transition).
        900.000s queue-short ALARM -> OK: Threshold Crossed: 1 out of the last 2 datapoints [50, 5] was not less than or equal to the threshold (10).
    "#]],
    );
}

/// ecs-semantics §7.3: `MetricAggregationType` is what the step is chosen by, whatever the alarm's statistic is; without a
/// datapoint in the alarm's period nothing is done.
#[test]
fn steps_have_an_aggregation_of_their_own() {
    let mut world = web(&format!(
        r#"
        min_capacity = 1
        max_capacity = 20
        [[service.auto_scaling.step_scaling]]
        policy_name = "more"
        alarm = "queue-long"
        adjustment_type = "ExactCapacity"
        metric_aggregation_type = "Maximum"
        step_adjustments = [
            {{ metric_interval_lower_bound = 0, metric_interval_upper_bound = 100, scaling_adjustment = 5 }},
            {{ metric_interval_lower_bound = 100, scaling_adjustment = 9 }},
        ]
        {QUEUE_LONG}
        "#
    ));
    // Set by hand, without data: there is nothing to choose a step by.
    let alarm = || "queue-long".into();
    world.done(Request::SetAlarmState { alarm: alarm(), state: AlarmState::Alarm, reason: "a drill".to_owned() });
    world.run_until(200);
    put(&mut world, 50);
    put(&mut world, 250);
    world.run_until(250);
    check(
        &changes(&world),
        &expect![[r#"
        240.000s from 2 to 9: monitor alarm queue-long in state ALARM triggered policy more: 250 against a threshold of 100
    "#]],
    );
}

// --- Scheduled actions: ecs-semantics §7.4. The clusters start on Friday 27 March 2026, 7:50 in UTC, 8:50 in Berlin.

/// ecs-semantics §7.4: the bounds change, and then the count follows them; they stay until changed again. `cron` in a zone is by its
/// civil time: nine o'clock in Berlin is at 8:00 in UTC on Friday and at 7:00 from Sunday on.
#[test]
fn actions_follow_the_calendar() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        [[service.auto_scaling.scheduled_actions]]
        scheduled_action_name = "morning"
        schedule = "cron(0 9 * * ? *)"
        timezone = "Europe/Berlin"
        min_capacity = 5
        [[service.auto_scaling.scheduled_actions]]
        scheduled_action_name = "evening"
        schedule = "cron(0 20 * * ? *)"
        min_capacity = 1
        max_capacity = 3
        [[service.auto_scaling.scheduled_actions]]
        scheduled_action_name = "launch"
        schedule = "at(2026-03-28T12:00:00)"
        max_capacity = 20
        min_capacity = 8
        "#);
    world.run_until(3 * 86_400);
    check(
        &activities(&world),
        &expect![[r#"
        600.000s to 600.000s Successful: Setting min capacity to 5 Cause: scheduled action name morning was triggered. Successfully set min capacity to 5
        600.000s to 601.000s Successful: Setting desired count to 5. Cause: minimum capacity was set to 5. Successfully set desired count to 5. Change successfully fulfilled by ecs.
        43800.000s to 43800.000s Successful: Setting min capacity to 1 and max capacity to 3 Cause: scheduled action name evening was triggered. Successfully set min capacity to 1 and max capacity to 3
        43800.000s to 43800.000s Successful: Setting desired count to 3. Cause: maximum capacity was set to 3. Successfully set desired count to 3. Change successfully fulfilled by ecs.
        87000.000s to 87000.000s Failed: Setting min capacity to 5 Cause: scheduled action name morning was triggered. min capacity 5 is greater than max capacity 3
        101400.000s to 101400.000s Successful: Setting min capacity to 8 and max capacity to 20 Cause: scheduled action name launch was triggered. Successfully set min capacity to 8 and max capacity to 20
        101400.000s to 101401.000s Successful: Setting desired count to 8. Cause: minimum capacity was set to 8. Successfully set desired count to 8. Change successfully fulfilled by ecs.
        130200.000s to 130200.000s Successful: Setting min capacity to 1 and max capacity to 3 Cause: scheduled action name evening was triggered. Successfully set min capacity to 1 and max capacity to 3
        130200.000s to 130200.000s Successful: Setting desired count to 3. Cause: maximum capacity was set to 3. Successfully set desired count to 3. Change successfully fulfilled by ecs.
        169800.000s to 169800.000s Failed: Setting min capacity to 5 Cause: scheduled action name morning was triggered. min capacity 5 is greater than max capacity 3
        216600.000s to 216600.000s Successful: Setting min capacity to 1 and max capacity to 3 Cause: scheduled action name evening was triggered. Successfully set min capacity to 1 and max capacity to 3
        256200.000s to 256200.000s Failed: Setting min capacity to 5 Cause: scheduled action name morning was triggered. min capacity 5 is greater than max capacity 3
    "#]],
    );
    check(
        &changes(&world),
        &expect![[r#"
        600.000s from 2 to 5: minimum capacity was set to 5
        43800.000s from 5 to 3: maximum capacity was set to 3
        101400.000s from 3 to 8: minimum capacity was set to 8
        130200.000s from 8 to 3: maximum capacity was set to 3
    "#]],
    );
    let target = &world.plane.state().scalable_targets["web"];
    assert_eq!((target.settings.min_capacity, target.settings.max_capacity), (1, 3));
    assert!(!target.next_actions.contains_key("launch"), "it takes place once");
}

/// ecs-semantics §7.4: a rate counts from its start time, and its end time ends it.
#[test]
fn rates_have_a_start_and_an_end() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        [[service.auto_scaling.scheduled_actions]]
        scheduled_action_name = "raise"
        schedule = "rate(1 hour)"
        start_time = "2026-03-27T08:00:00Z"
        end_time = "2026-03-27T10:00:00Z"
        min_capacity = 4
        "#);
    let mut raised = Vec::new();
    for _ in 0..40 {
        world.run_for(600);
        if desired(&world) == 4 {
            raised.push(world.now.0 / 60_000_000_000);
            set_count(&mut world, 2);
        }
    }
    assert_eq!(raised, [10, 70, 130], "minutes after 7:50");
}

/// ecs-semantics §7.4: scheduled actions ignore cooldowns and, *ours*, deployments; a suspended target leaves them out for good.
#[test]
fn actions_ignore_cooldowns_and_can_be_suspended() {
    let mut world = web(&format!(
        r#"
        min_capacity = 1
        max_capacity = 10
        [[service.auto_scaling.step_scaling]]
        policy_name = "more"
        alarm = "queue-long"
        adjustment_type = "ChangeInCapacity"
        cooldown = "1h"
        step_adjustments = [{{ metric_interval_lower_bound = 0, scaling_adjustment = 4 }}]
        [[service.auto_scaling.scheduled_actions]]
        scheduled_action_name = "low"
        schedule = "rate(10 minutes)"
        max_capacity = 3
        {QUEUE_LONG}
        [[metric]]
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        steps = [{{ at = "7m", value = 150 }}, {{ at = "9m", value = 50 }}]
        "#
    ));
    world.run_until(601);
    check(
        &changes(&world),
        &expect![[r#"
        480.000s from 2 to 6: monitor alarm queue-long in state ALARM triggered policy more: 150 against a threshold of 100
        600.000s from 6 to 3: maximum capacity was set to 3
    "#]],
    );
    let suspend = |scheduled_scaling| RegisterScalableTarget {
        service: "web".into(),
        max_capacity: Some(10),
        suspended_state: Some(SuspendedState { scheduled_scaling, ..SuspendedState::default() }),
        ..RegisterScalableTarget::default()
    };
    world.done(Request::RegisterScalableTarget(suspend(true)));
    set_count(&mut world, 9);
    world.run_until(1_201);
    assert_eq!(desired(&world), 9, "suspended");
    world.done(Request::RegisterScalableTarget(suspend(false)));
    world.run_until(1_799);
    assert_eq!(desired(&world), 9, "what was left out is not made up for");
    world.run_until(1_801);
    assert_eq!(desired(&world), 3);
}

/// ecs-semantics §7.4: an action whose minimum would be above the maximum fails and says so.
#[test]
fn actions_that_contradict_the_bounds_fail() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 4
        [[service.auto_scaling.scheduled_actions]]
        scheduled_action_name = "too-many"
        schedule = "at(2026-03-27T08:00:00)"
        min_capacity = 5
        "#);
    world.run_until(900);
    check(
        &activities(&world),
        &expect![[r#"
        600.000s to 600.000s Failed: Setting min capacity to 5 Cause: scheduled action name too-many was triggered. min capacity 5 is greater than max capacity 4
    "#]],
    );
    assert_eq!(desired(&world), 2);
}

// --- Scalable targets: ecs-semantics §7.1.

/// ecs-semantics §7.1: registering again changes what is given and moves no count; the next activity does. Suspended processes rest.
#[test]
fn bounds_change_with_the_next_activity() {
    let mut world = web_of(
        4,
        r#"
        min_capacity = 1
        max_capacity = 10
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
        "#,
    );
    world.behave("web", Behaviour { cpu_percent: 10, ..Behaviour::default() });
    let register = |world: &mut World, min_capacity, max_capacity, dynamic_scaling_in| {
        let suspended_state = Some(SuspendedState { dynamic_scaling_in, ..SuspendedState::default() });
        world.done(Request::RegisterScalableTarget(RegisterScalableTarget {
            service: "web".into(),
            min_capacity,
            max_capacity,
            suspended_state,
        }));
    };
    world.run_until(100);
    register(&mut world, None, Some(3), true);
    world.run_until(1_500);
    assert_eq!(desired(&world), 4, "above the maximum, and in is suspended");
    register(&mut world, None, None, false);
    world.run_until(1_570);
    assert_eq!(desired(&world), 3, "down to the maximum first");
    register(&mut world, Some(6), Some(9), false);
    world.run_until(3_000);
    assert_eq!(desired(&world), 3, "below the minimum, and the low alarm does not raise it");
    world.behave("web", Behaviour { cpu_percent: 60, ..Behaviour::default() });
    world.run_until(3_300);
    check(
        &changes(&world),
        &expect![[r#"
        1560.000s from 4 to 3: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilization: 10% against a target of 50%
        3180.000s from 3 to 6: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 60% against a target of 50%
    "#]],
    );
}

/// ecs-semantics §7.1: an activity is in progress until as many tasks run as it wanted, is overridden by the next one or by hand, and
/// is unfulfilled when the tasks do not come.
#[test]
fn activities_have_a_status() {
    let mut world = web(&format!(
        r#"
        min_capacity = 1
        max_capacity = 20
        [[service.auto_scaling.step_scaling]]
        policy_name = "more"
        alarm = "queue-long"
        adjustment_type = "ExactCapacity"
        cooldown = "0s"
        step_adjustments = [
            {{ metric_interval_lower_bound = 0, metric_interval_upper_bound = 100, scaling_adjustment = 4 }},
            {{ metric_interval_lower_bound = 100, metric_interval_upper_bound = 200, scaling_adjustment = 6 }},
            {{ metric_interval_lower_bound = 200, metric_interval_upper_bound = 300, scaling_adjustment = 8 }},
            {{ metric_interval_lower_bound = 300, scaling_adjustment = 10 }},
        ]
        {QUEUE_LONG}
        [[metric]]
        namespace = "Shop"
        metric_name = "OrdersWaiting"
        steps = [{{ at = "1m", value = 150 }}, {{ at = "5m", value = 250 }}, {{ at = "6m", value = 350 }}, {{ at = "10m", value = 5 }}, {{ at = "30m", value = 450 }}, {{ at = "31m", value = 5 }}]
        "#
    ));
    world.run_until(330);
    world.behave("web", Behaviour { start: secs(100), ..Behaviour::default() });
    world.run_until(500);
    set_count(&mut world, 3);
    world.run_until(1_700);
    world.behave("web", Behaviour { start: secs(10_000), ..Behaviour::default() });
    world.run_until(6_000);
    check(
        &activities(&world),
        &expect![[r#"
        120.000s to 121.000s Successful: Setting desired count to 4. Cause: monitor alarm queue-long in state ALARM triggered policy more: 150 against a threshold of 100. Successfully set desired count to 4. Change successfully fulfilled by ecs.
        360.000s to 420.000s Overridden: Setting desired count to 6. Cause: monitor alarm queue-long in state ALARM triggered policy more: 250 against a threshold of 100. The activity was overridden by a newer one.
        420.000s to 500.000s Overridden: Setting desired count to 8. Cause: monitor alarm queue-long in state ALARM triggered policy more: 350 against a threshold of 100. The desired count was set to another value.
        540.000s to 640.000s Successful: Setting desired count to 8. Cause: monitor alarm queue-long in state ALARM triggered policy more: 350 against a threshold of 100. Successfully set desired count to 8. Change successfully fulfilled by ecs.
        1860.000s to 5460.000s Unfulfilled: Setting desired count to 10. Cause: monitor alarm queue-long in state ALARM triggered policy more: 450 against a threshold of 100. The desired count was set to 10, and 8 tasks are running after an hour.
    "#]],
    );
}

/// ecs-semantics §7.1: Application Auto Scaling's operations, each granted once and each refused with its exception.
#[test]
fn scalable_targets_are_registered_by_request() {
    let mut world = web("min_capacity = 1\nmax_capacity = 10");
    let service = || "web".into();
    let mut answers = String::new();
    let mut ask = |world: &mut World, what: &str, request: Request| {
        let answer =
            world.request(request).map_or_else(|error| format!("{}: {error}", error.exception()), |_| "done".into());
        let _ = writeln!(answers, "{what}: {answer}");
    };
    let register = |min_capacity, max_capacity| {
        Request::RegisterScalableTarget(RegisterScalableTarget {
            service: "web".into(),
            min_capacity,
            max_capacity,
            suspended_state: None,
        })
    };
    let policy = |adjustment_type, steps: &[(Option<i64>, Option<i64>, i32)]| {
        let steps = steps.iter().map(|&(lower, upper, adjustment)| StepAdjustment { lower, upper, adjustment });
        StepScaling {
            policy_name: "more".into(),
            alarm: "queue-long".into(),
            adjustment_type,
            steps: steps.collect(),
            ..StepScaling::default()
        }
    };
    let put_step = |policy| Request::PutScalingPolicy {
        service: "web".into(),
        policy: Box::new(ScalingPolicy::StepScaling(policy)),
    };
    let put_tracking = |name: &str, target: u64| {
        let metric = TrackedMetric::RequestCountPerTarget { resource_label: None };
        let policy = TargetTracking { policy_name: Some(name.into()), ..TargetTracking::of(metric, target) };
        Request::PutScalingPolicy { service: "web".into(), policy: Box::new(ScalingPolicy::TargetTracking(policy)) }
    };
    let action = |schedule: &str, min_capacity, max_capacity| Request::PutScheduledAction {
        service: "web".into(),
        action: Box::new(ScheduledAction {
            name: "nightly".into(),
            schedule: Schedule::parse(schedule, None).unwrap(),
            start_time: None,
            end_time: None,
            min_capacity,
            max_capacity,
        }),
    };
    let change = AdjustmentType::ChangeInCapacity;
    let delete_policy = || Request::DeleteScalingPolicy { service: "web".into(), policy: "more".into() };
    let delete_action = || Request::DeleteScheduledAction { service: "web".into(), action: "nightly".into() };
    ask(&mut world, "bounds", register(Some(2), None));
    ask(&mut world, "bounds that cross", register(None, Some(1)));
    ask(&mut world, "step policy", put_step(policy(change, &[(Some(0), None, 1)])));
    ask(&mut world, "step policy with a gap", put_step(policy(change, &[(Some(0), Some(5), 1), (Some(6), None, 2)])));
    ask(&mut world, "another type of the same name", put_tracking("more", 5));
    ask(&mut world, "target tracking", put_tracking("requests", 5_000));
    ask(&mut world, "target tracking again", put_tracking("requests", 6_000));
    ask(&mut world, "a second one of the metric", put_tracking("requests-too", 6_000));
    ask(&mut world, "target of zero", put_tracking("requests", 0));
    ask(&mut world, "delete policy", delete_policy());
    ask(&mut world, "delete policy again", delete_policy());
    ask(&mut world, "action", action("rate(1 day)", None, Some(5)));
    ask(&mut world, "action without bounds", action("rate(1 day)", None, None));
    ask(&mut world, "delete action", delete_action());
    ask(&mut world, "delete action again", delete_action());
    ask(&mut world, "deregister", Request::DeregisterScalableTarget { service: service() });
    ask(&mut world, "deregister again", Request::DeregisterScalableTarget { service: service() });
    ask(&mut world, "register with one bound", register(Some(1), None));
    ask(&mut world, "register", register(Some(1), Some(2)));
    ask(&mut world, "all at once, away", Request::SetAutoScaling { service: service(), auto_scaling: None });
    ask(&mut world, "all of nobody", Request::SetAutoScaling { service: "nobody".into(), auto_scaling: None });
    check(
        &answers,
        &expect![[r#"
        bounds: done
        bounds that cross: ValidationException: Maximum capacity 1 cannot be less than minimum capacity 2
        step policy: done
        step policy with a gap: ValidationException: policy more: there is a gap between the intervals of two steps
        another type of the same name: ValidationException: the type of the policy more can't be changed
        target tracking: done
        target tracking again: done
        a second one of the metric: ValidationException: only one TargetTrackingScaling policy for the metric ALBRequestCountPerTarget is allowed
        target of zero: ValidationException: the target value of policy requests must be greater than 0
        delete policy: done
        delete policy again: ObjectNotFoundException: No scaling policy found: more
        action: done
        action without bounds: ValidationException: scheduled action nightly needs a min or max capacity
        delete action: done
        delete action again: ObjectNotFoundException: No scheduled action found: nightly
        deregister: done
        deregister again: ObjectNotFoundException: No scalable target registered for service namespace: ecs, resource ID: service/test/web, scalable dimension: ecs:service:DesiredCount
        register with one bound: ValidationException: MinCapacity and MaxCapacity are required to register a scalable target
        register: done
        all at once, away: done
        all of nobody: ValidationException: ECS service doesn't exist: service/test/nobody
    "#]],
    );
}

/// ecs-semantics §7.2: deleting a service deregisters its target: nothing scales or acts on its name any more.
#[test]
fn deleted_services_are_not_scaled() {
    let mut world = web(r#"
        min_capacity = 1
        max_capacity = 10
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
        [[service.auto_scaling.scheduled_actions]]
        scheduled_action_name = "raise"
        schedule = "rate(5 minutes)"
        min_capacity = 4
        "#);
    world.behave("web", Behaviour { start: secs(60), cpu_percent: 100, ..Behaviour::default() });
    world.run_until(301);
    world.done(Request::DeleteService { service: "web".into(), deletion: Deletion::Forced });
    world.run_until(1_000);
    assert!(world.plane.state().scalable_targets.is_empty());
    let target = &world.plane.state().deregistered_targets["web"];
    let told = target
        .activities
        .iter()
        .map(|activity| format!("{} {} {}\n", activity.started_at, activity.status.as_str(), activity.status_message));
    check(
        &told.collect::<String>(),
        &expect![[r#"
        180.000s Overridden The activity was overridden by a newer one.
        240.000s Overridden The activity was overridden by a newer one.
        300.000s Successful Successfully set min capacity to 4
        300.000s Failed The scalable target was deregistered.
    "#]],
    );
    assert_eq!(world.counts("web"), "desired 0 running 0 pending 0 healthy 0");
}

/// ecs-semantics §7.2, §4: what one policy adds on EC2 waits for capacity, and the metric of the cluster shows it.
#[test]
fn scaled_tasks_bring_capacity() {
    let mut world = World::of_file(
        r#"
        [cluster]
        name = "test"
        [[capacity_provider]]
        name = "asg"
        auto_scaling_group = { instance_type = "c7i.large", min_size = 1, max_size = 4, boot_time = "30s" }
        managed_scaling = { status = "ENABLED", instance_warmup_period = "0s" }
        [[task_definition]]
        family = "web"
        cpu = "1024"
        memory = "1024"
        container = [{ name = "main", image = "../workloads/limits/spin.wat" }]
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 2
        capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
        [service.auto_scaling]
        min_capacity = 2
        max_capacity = 6
        target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
        "#,
    );
    world.behave("web", Behaviour { cpu_percent: 90, ..Behaviour::default() });
    world.run_until(420);
    check(
        &counts_until(&mut world, 421),
        &expect![[r#"
        420.000s desired 6 running 6 pending 0 healthy 6
    "#]],
    );
    check(
        &changes(&world),
        &expect![[r#"
        180.000s from 2 to 4: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
        240.000s from 4 to 6: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
    "#]],
    );
    check(
        &world.group_activities(),
        &expect![[r#"
        180.000s asg 1 -> 2: CapacityProviderReservation is 200% (2 needed, 1 present) against a target of 100%: scale-out to 2
        240.000s asg 2 -> 3: CapacityProviderReservation is 150% (3 needed, 2 present) against a target of 100%: scale-out to 3
    "#]],
    );
    assert!(world.plane.state().container_instances.contains_key(&ContainerInstanceId(2)));
}
