//! Metrics of a high resolution: a service that is measured three times a minute, and what follows its load so much sooner.

use std::fmt::Write as _;

use expect_test::expect;
use longshore::control_plane::event::{Request, UpdateService};
use longshore::model::alarm::{MetricId, Statistic};
use longshore::model::metric::thousandths_text;
use longshore::model::service::Monitoring;

use super::{check, web_of_file};
use crate::harness::{Behaviour, World, at, secs, without_alarm_ids};

/// A service `web` whose CPU utilisation is measured each 20 seconds, with these policies.
fn web(policies: &str) -> World {
    let service = format!(
        r#"
        monitoring = {{ metric_configurations = [{{ metric_names = ["CPUUtilization"], resolution_seconds = 20 }}] }}
        [service.auto_scaling]
        min_capacity = 1
        max_capacity = 40
        target_tracking = [{policies}]
        "#
    );
    web_of_file("", 2, &service, "")
}

const FINE: &str = "{ metric = \"ECSServiceAverageCPUUtilizationHighResolution\", target_value = 50 }";
const PLAIN: &str = "{ metric = \"ECSServiceAverageCPUUtilization\", target_value = 50 }";

fn load(world: &mut World, cpu_percent: u64) {
    world.behave("web", Behaviour { cpu_percent, ..Behaviour::default() });
}

fn changes(world: &World) -> String {
    let events = world.service_events("web");
    let lines = events.lines().filter(|line| line.contains("desired count changed"));
    lines.map(|line| format!("{}\n", without_alarm_ids(line))).collect()
}

/// A metric's averages from the start on, by periods of so many seconds.
fn averages(world: &World, name: &str, seconds: u64) -> String {
    let dimensions = [("ClusterName", "test"), ("ServiceName", "web")];
    let metric = MetricId::new("AWS/ECS", name, &dimensions);
    let mut text = String::new();
    for point in world.plane.state().metrics.points(&metric, at(0), world.now, secs(seconds)) {
        let average = thousandths_text(point.samples.statistic(Statistic::Average));
        let _ = write!(text, "{}s {average} ", point.at.0 / 1_000_000_000);
    }
    text
}

/// ecs-semantics §10.1: a configured metric has a datapoint each 20 seconds, and the minute's is made of them; the other metric has
/// one a minute. An update back to 60 seconds ends it.
#[test]
fn utilisation_is_measured_each_20_seconds() {
    let mut world = web(PLAIN);
    load(&mut world, 30);
    world.run_until(80);
    load(&mut world, 60);
    world.run_until(120);
    check(&averages(&world, "CPUUtilization", 20), &expect!["0s 30 20s 30 40s 30 60s 30 80s 60 100s 60 "]);
    check(&averages(&world, "CPUUtilization", 60), &expect!["0s 30 60s 50 "]);
    check(&averages(&world, "MemoryUtilization", 20), &expect!["0s 0.195 60s 0.195 "]);
    let monitoring = Some(Monitoring::default());
    let update = UpdateService { service: "web".into(), monitoring, ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_until(240);
    check(
        &averages(&world, "CPUUtilization", 20),
        &expect!["0s 30 20s 30 40s 30 60s 30 80s 60 100s 60 120s 60 180s 60 "],
    );
}

/// ecs-semantics §7.2, §10.1: the policy of high resolution scales out after three datapoints of 20 seconds, and in at the end of a
/// minute; its alarms have its period.
#[test]
fn a_fine_policy_follows_sooner() {
    let mut world = web(FINE);
    load(&mut world, 90);
    world.run_until(110);
    let periods: Vec<_> = world.plane.state().alarms.values().map(|alarm| alarm.spec.period).collect();
    assert_eq!(periods, [secs(20); 2]);
    load(&mut world, 10);
    world.run_until(1_200);
    check(
        &changes(&world),
        &expect![[r#"
        60.000s (service web) desired count changed from 2 to 4: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilizationHighResolution: 90% against a target of 50%
        80.000s (service web) desired count changed from 4 to 6: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilizationHighResolution: 90% against a target of 50%
        100.000s (service web) desired count changed from 6 to 7: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilizationHighResolution: 90% against a target of 50%
        420.000s (service web) desired count changed from 7 to 2: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilizationHighResolution: 10% against a target of 50%
        720.000s (service web) desired count changed from 2 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilizationHighResolution: 10% against a target of 50%
    "#]],
    );

    let mut world = web(PLAIN);
    load(&mut world, 90);
    world.run_until(110);
    load(&mut world, 10);
    world.run_until(1_200);
    check(
        &changes(&world),
        &expect![[r#"
        1020.000s (service web) desired count changed from 2 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilization: 10% against a target of 50%
    "#]],
    );
}

/// ecs-semantics §7.2: beside a policy of high resolution one of a minute proposes once a minute, whatever it saw then; in goes only
/// what both want.
#[test]
fn a_fine_policy_beside_a_plain_one() {
    let memory = "{ metric = \"ECSServiceAverageMemoryUtilization\", target_value = 0.1, scale_out_cooldown = \"0s\" }";
    let mut world = web(&format!("{FINE}, {memory}"));
    load(&mut world, 10);
    world.run_until(400);
    check(
        &changes(&world),
        &expect![[r#"
        180.000s (service web) desired count changed from 2 to 4: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageMemoryUtilization: 0.195% against a target of 0.1%
        240.000s (service web) desired count changed from 4 to 8: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageMemoryUtilization: 0.195% against a target of 0.1%
        300.000s (service web) desired count changed from 8 to 16: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageMemoryUtilization: 0.195% against a target of 0.1%
        360.000s (service web) desired count changed from 16 to 32: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageMemoryUtilization: 0.195% against a target of 0.1%
    "#]],
    );
}
