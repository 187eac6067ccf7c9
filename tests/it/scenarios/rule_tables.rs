//! Rows of the rule book's tables, one by one: each a case and what comes of it.

use std::fmt::Write as _;

use expect_test::expect;

use longshore::control_plane::event::{PutMetricData, Request, UpdateService};
use longshore::model::alarm::MetricId;
use longshore::model::deployment::MonitorStatus;
use longshore::model::ids::TaskId;

use super::{check, deploy, web_of_file};
use crate::harness::{Behaviour, End, World, secs};

/// A service `web` on Fargate of so many tasks, with such keys of its own and of the file.
fn web(count: u32, service: &str, more: &str) -> World {
    web_of_file("", count, service, more)
}

/// ecs-semantics §5.2: the lower bound is rounded up and the upper one down, whatever comes of it. Each row is desired count, minimum
/// and maximum percent, and what a deployment does at once.
#[test]
fn bounds_are_rounded() {
    let mut rows = String::new();
    for (count, minimum, maximum) in [
        (4, 50, 100),
        (2, 75, 100),
        (2, 75, 200),
        (3, 100, 125),
        (3, 50, 125),
        (1, 50, 100),
        (1, 0, 100),
        (10, 90, 110),
    ] {
        let bounds = format!("minimum_healthy_percent = {minimum}, maximum_percent = {maximum}");
        let mut world = web(count, &format!("deployment_configuration = {{ {bounds} }}"), "");
        world.run_until(100);
        let before = world.service_events("web").lines().count();
        deploy(&mut world);
        let events = world.service_events("web");
        let said = events.lines().skip(before).filter_map(|line| line.split_once("(service web) "));
        let said: Vec<&str> = said.map(|(_, text)| text.split([':', '.']).next().unwrap_or(text)).collect();
        let _ = writeln!(rows, "{count} @ {minimum}/{maximum}: {}", said.join(", "));
    }
    check(
        &rows,
        &expect![[r#"
        4 @ 50/100: has stopped 2 running tasks, has started 2 tasks
        2 @ 75/100: was unable to stop or start tasks during a deployment because of the service deployment configuration
        2 @ 75/200: has started 2 tasks
        3 @ 100/125: was unable to stop or start tasks during a deployment because of the service deployment configuration
        3 @ 50/125: has stopped 1 running tasks, has started 1 tasks
        1 @ 50/100: was unable to stop or start tasks during a deployment because of the service deployment configuration
        1 @ 0/100: has stopped 1 running tasks, has started 1 tasks
        10 @ 90/110: has stopped 1 running tasks, has started 1 tasks, has started 1 tasks
    "#]],
    );
}

/// ecs-semantics §5.7: the circuit breaker's threshold by type, value and desired count; it is reached by tasks that never run.
#[test]
fn thresholds_of_the_circuit_breaker() {
    let mut rows = String::new();
    let bounded = "BOUNDED_PERCENT";
    for (kind, value, count) in [
        (bounded, 50, 1),
        (bounded, 50, 6),
        (bounded, 50, 25),
        (bounded, 50, 400),
        (bounded, 50, 800),
        ("UNBOUNDED_PERCENT", 50, 1),
        ("UNBOUNDED_PERCENT", 50, 25),
        ("UNBOUNDED_PERCENT", 50, 800),
        ("COUNT", 7, 25),
    ] {
        let breaker = format!(
            "deployment_configuration = {{ deployment_circuit_breaker = {{ enable = true, rollback = true, \
             threshold_configuration = {{ type = \"{kind}\", value = {value} }} }} }}"
        );
        let mut world = web(count, &breaker, "");
        world.run_until(300);
        let end = End::FailToStart { reason: "CannotStartContainerError: none" };
        world.behave("web:2", Behaviour { end, ..Behaviour::default() });
        deploy(&mut world);
        world.run_until(3_600);
        let service = &world.plane.state().services["web"];
        let breaker = &service.service_deployments.iter().last().expect("there is one").circuit_breaker;
        assert_eq!(breaker.status, MonitorStatus::Triggered, "{kind} {value} of {count}");
        assert_eq!(breaker.failure_count, breaker.threshold, "{kind} {value} of {count}");
        assert_eq!(service.healthy_count(), count, "the old tasks are there");
        let _ = writeln!(rows, "{kind} {value} of {count}: {}", breaker.threshold);
    }
    check(
        &rows,
        &expect![[r#"
        BOUNDED_PERCENT 50 of 1: 3
        BOUNDED_PERCENT 50 of 6: 3
        BOUNDED_PERCENT 50 of 25: 13
        BOUNDED_PERCENT 50 of 400: 200
        BOUNDED_PERCENT 50 of 800: 200
        UNBOUNDED_PERCENT 50 of 1: 1
        UNBOUNDED_PERCENT 50 of 25: 13
        UNBOUNDED_PERCENT 50 of 800: 400
        COUNT 7 of 25: 7
    "#]],
    );
}

/// ecs-semantics §5.7: a healthy task sets the counter back to 0, unless `resetOnHealthyTask` is off: four tasks of which one gets
/// there between the failures of others.
#[test]
fn a_healthy_task_resets_the_circuit_breaker() {
    let failed = |reset: bool| {
        let breaker = format!(
            "deployment_configuration = {{ deployment_circuit_breaker = {{ enable = true, rollback = true, \
             reset_on_healthy_task = {reset} }} }}"
        );
        let mut world = web(4, &breaker, "");
        world.run_until(100);
        deploy(&mut world);
        world.run_for(20);
        world.crash(TaskId(5), 1);
        world.crash(TaskId(6), 1);
        world.run_for(30);
        let counted = world.plane.state().services["web"].primary().failed_tasks;
        let replacement = world.plane.state().services["web"].primary().unproven.first().expect("it was replaced");
        world.crash(replacement, 1);
        world.run_for(300);
        (counted, world.plane.state().services["web"].primary().task_definition.to_string())
    };
    assert_eq!(failed(true), (0, "web:2".to_owned()));
    assert_eq!(failed(false), (2, "web:1".to_owned()));
}

/// ecs-semantics §5.7: without `resetOnHealthyTask` those count that failed before the first task ran: two that never ran, and one that did.
#[test]
fn failures_before_the_first_task_runs_count() {
    let failed = |reset: bool| {
        let breaker = format!(
            "deployment_configuration = {{ maximum_percent = 150, deployment_circuit_breaker = {{ enable = true, rollback = true, \
             reset_on_healthy_task = {reset} }} }}"
        );
        let mut world = web(4, &breaker, "");
        world.run_until(100);
        let reason = "CannotPullContainerError: no such image";
        world.behave("web:2", Behaviour { end: End::FailToStart { reason }, ..Behaviour::default() });
        deploy(&mut world);
        world.run_for(1);
        assert_eq!(world.plane.state().services["web"].primary().failed_tasks, 2);
        world.behave("web:2", Behaviour::default());
        world.run_for(30);
        let replacement = world.plane.state().services["web"].primary().unproven.first().expect("it was replaced");
        world.crash(replacement, 1);
        world.run_for(300);
        world.plane.state().services["web"].primary().task_definition.to_string()
    };
    assert_eq!((failed(true), failed(false)), ("web:2".to_owned(), "web:1".to_owned()));
}

/// ecs-semantics §1.7, §5.3: no more than 500 tasks of a service are launched a minute.
#[test]
fn launches_have_a_rate() {
    let mut world = web(600, "", "");
    world.run_until(30);
    assert_eq!(world.counts("web"), "desired 600 running 500 pending 0 healthy 0");
    world.run_until(120);
    assert_eq!(world.counts("web"), "desired 600 running 600 pending 0 healthy 600");
}

/// ecs-semantics §7.3: the worked example: steps of percent by how far the metric is from the threshold of 50, from 10 tasks on.
#[test]
fn steps_of_percent_are_rounded() {
    let alarm = |name: &str, comparison: &str| {
        format!(
            "[[alarm]]\nalarm_name = \"{name}\"\nnamespace = \"Shop\"\nmetric_name = \"Load\"\nevaluation_periods = 1\n\
             threshold = 50\ncomparison_operator = \"{comparison}\"\n"
        )
    };
    let more = format!(
        r#"
        [service.auto_scaling]
        min_capacity = 1
        max_capacity = 100
        [[service.auto_scaling.step_scaling]]
        policy_name = "out"
        alarm = "above"
        adjustment_type = "PercentChangeInCapacity"
        cooldown = "0s"
        step_adjustments = [
            {{ metric_interval_lower_bound = 0, metric_interval_upper_bound = 10, scaling_adjustment = 0 }},
            {{ metric_interval_lower_bound = 10, metric_interval_upper_bound = 20, scaling_adjustment = 10 }},
            {{ metric_interval_lower_bound = 20, scaling_adjustment = 30 }},
        ]
        [[service.auto_scaling.step_scaling]]
        policy_name = "in"
        alarm = "below"
        adjustment_type = "PercentChangeInCapacity"
        cooldown = "0s"
        step_adjustments = [
            {{ metric_interval_lower_bound = -10, metric_interval_upper_bound = 0, scaling_adjustment = 0 }},
            {{ metric_interval_lower_bound = -20, metric_interval_upper_bound = -10, scaling_adjustment = -10 }},
            {{ metric_interval_upper_bound = -20, scaling_adjustment = -30 }},
        ]
        {}{}
        "#,
        alarm("above", "GreaterThanOrEqualToThreshold"),
        alarm("below", "LessThanThreshold"),
    );
    let mut world = web(10, "", &more);
    world.run_until(90);
    let mut counts = Vec::new();
    for value in [55, 60, 70, 45, 40, 30] {
        let metric = MetricId::new("Shop", "Load", &[]);
        world.done(Request::PutMetricData(PutMetricData { metric, value: value * 1000 }));
        world.run_for(60);
        counts.push((value, world.plane.state().services["web"].spec.desired_count));
    }
    assert_eq!(counts, [(55, 10), (60, 11), (70, 14), (45, 14), (40, 13), (30, 10)]);
}

/// A service that follows two metrics of the user's own, `Orders` and `Files`, each with a target of 100.
fn followed(cooldowns: &str) -> World {
    let policy = |name: &str| {
        format!(
            "[[service.auto_scaling.target_tracking]]\npolicy_name = \"{name}\"\nmetric = \"CustomizedMetricSpecification\"\ntarget_value = 100\n{cooldowns}\n\
             customized_metric_specification = {{ namespace = \"Shop\", metric_name = \"{name}\", statistic = \"Average\" }}\n"
        )
    };
    let policies = policy("Orders") + &policy("Files");
    let mut world = web(4, "", &format!("[service.auto_scaling]\nmin_capacity = 1\nmax_capacity = 40\n{policies}"));
    world.run_until(90);
    world
}

/// Lets both metrics have these values for so many minutes; what the desired count is then.
fn minutes(world: &mut World, count: u32, orders: i64, files: i64) -> u32 {
    for _ in 0..count {
        for (name, value) in [("Orders", orders), ("Files", files)] {
            let metric = MetricId::new("Shop", name, &[]);
            world.done(Request::PutMetricData(PutMetricData { metric, value: value * 1000 }));
        }
        world.run_for(60);
    }
    world.plane.state().services["web"].spec.desired_count
}

/// ecs-semantics §7.2: out if any policy wants out, to the largest count; in only if all want in, to the largest count.
#[test]
fn policies_scale_out_if_any_and_in_if_all_want() {
    let none = "scale_out_cooldown = \"0s\"\nscale_in_cooldown = \"0s\"";
    let mut world = followed(none);
    assert_eq!(minutes(&mut world, 3, 150, 10), 6, "one wants out");
    assert_eq!(minutes(&mut world, 1, 150, 200), 9, "the other one's alarm is not on yet");
    assert_eq!(minutes(&mut world, 20, 95, 10), 9, "one wants in, and the other does not");
    assert_eq!(minutes(&mut world, 15, 50, 80), 8, "all want in: the smaller reduction");
}

/// ecs-semantics §7.2: in the scale-out cooldown only a larger step is made, less what was added; a scale-in cooldown holds scale-in
/// off, and a scale-out ends it.
#[test]
fn cooldowns_hold_steps_off() {
    let mut world = followed("scale_out_cooldown = \"10m\"\nscale_in_cooldown = \"30m\"");
    assert_eq!(minutes(&mut world, 3, 150, 10), 6);
    assert_eq!(minutes(&mut world, 3, 130, 10), 6, "two more are no larger a step than the two that were added");
    assert_eq!(minutes(&mut world, 1, 200, 10), 10, "six more are, and four of them are left");
    assert_eq!(minutes(&mut world, 15, 50, 50), 5);
    assert_eq!(minutes(&mut world, 16, 50, 50), 5, "it wants in again, in the cooldown");
    assert_eq!(minutes(&mut world, 3, 200, 10), 10, "and out at once");
    assert_eq!(minutes(&mut world, 15, 50, 50), 5, "there is no cooldown any more");
}

/// The known bad case of an autoscaler and a deployment at odds: a revision whose tasks crash, under a load that scales the service out.
/// The breaker goes by the count of the moment (§5.7): four failures are enough for four tasks, and six are needed for twelve. The deployment
/// is rolled back, and the load has the tasks that it needs (§7.2).
#[test]
fn a_bad_deployment_under_a_rising_load_ends_well() {
    let mut world = web(
        4,
        "deployment_configuration = { deployment_circuit_breaker = { enable = true, rollback = true } }",
        "[service.auto_scaling]\nmin_capacity = 2\nmax_capacity = 20\ntarget_tracking = \
         [{ metric = \"ECSServiceAverageCPUUtilization\", target_value = 50 }]",
    );
    world.behave("web:1", Behaviour { cpu_percent: 90, ..Behaviour::default() });
    let end = End::Exit { after: secs(20), code: 1 };
    world.behave("web:2", Behaviour { cpu_percent: 90, end, ..Behaviour::default() });
    world.run_until(130);
    deploy(&mut world);
    world.run_until(140);
    let update = UpdateService { service: "web".into(), desired_count: Some(12), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_until(1_000);
    let of_breaker = |line: &&str| line.contains("deployment");
    let events = world.service_events("web");
    check(
        &events.lines().filter(of_breaker).map(|line| format!("{line}\n")).collect::<String>(),
        &expect![[r#"
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        161.000s (service web) (deployment ecs-svc/2) deployment failed: tasks failed to become healthy.
        161.000s (service web) rolling back to deployment ecs-svc/1.
        202.000s (service web) (deployment ecs-svc/1) deployment completed.
    "#]],
    );
    let service = &world.plane.state().services["web"];
    assert_eq!(service.primary().task_definition.to_string(), "web:1");
    assert_eq!((service.deployments.len(), service.healthy_count()), (1, 20));
    assert_eq!(world.counts("web"), "desired 20 running 20 pending 0 healthy 20");
}
