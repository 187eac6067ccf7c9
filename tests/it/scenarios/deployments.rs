//! Deployments that fail, roll back, bake, end early or take too long. Times as in the module above.

use expect_test::expect;
use longshore::control_plane::event::{NewDeployment, Request, TaskProtection, UpdateService};
use longshore::model::alarm::AlarmState;
use longshore::model::ids::TaskId;

use super::check;
use crate::harness::{Behaviour, End, World, at, latest, secs, task_definition};

/// A service `web` of four tasks on Fargate with the given keys of its deployment configuration.
fn web(configuration: &str) -> World {
    web_beside("", configuration)
}

/// The same beside other tables.
pub(super) fn web_beside(tables: &str, configuration: &str) -> World {
    World::of_file(&format!(
        r#"
        [cluster]
        name = "test"
        [[alarm]]
        alarm_name = "errors"
        namespace = "shop"
        metric_name = "Errors"
        evaluation_periods = 1
        threshold = 1
        comparison_operator = "GreaterThanThreshold"
        [[task_definition]]
        family = "web"
        cpu = "256"
        memory = "512"
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "../workloads/limits/spin.wat"
        {tables}
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 4
        launch_type = "FARGATE"
          [service.deployment_configuration]
          {configuration}
        "#
    ))
}

/// Registers revision 2 of `web`, whose tasks behave so, and deploys it at this moment.
pub(super) fn deploy(world: &mut World, behaviour: Behaviour) {
    world.behave("web:2", behaviour);
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("web", 512, 1024))));
    let update = UpdateService { service: "web".into(), task_definition: Some(latest("web")), ..Default::default() };
    world.done(Request::UpdateService(Box::new(update)));
}

pub(super) fn never_runs() -> Behaviour {
    Behaviour { end: End::FailToStart { reason: "CannotPullContainerError: no such image" }, ..Behaviour::default() }
}

/// The service events from a moment on.
pub(super) fn since(world: &World, moment: u64) -> String {
    let is_later = |line: &&str| {
        let seconds = line.split_once("s ").and_then(|(at, _)| at.parse::<f64>().ok());
        #[expect(clippy::cast_precision_loss, reason = "seconds of a scenario are few")]
        seconds.is_some_and(|seconds| seconds >= moment as f64)
    };
    world.service_events("web").lines().filter(is_later).map(|line| format!("{line}\n")).collect()
}

/// What has become of the service's deployments, newest record first: status and reason.
pub(super) fn records(world: &World) -> String {
    let service = &world.plane.state().services["web"];
    let line = |record: &longshore::control_plane::deployment_records::ServiceDeployment| {
        let reason = record.status_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{}{reason}\n", record.status.as_str())
    };
    service.service_deployments.iter().map(line).collect()
}

pub(super) fn set_alarm(world: &mut World, state: AlarmState) {
    world.done(Request::SetAlarmState { alarm: "errors".into(), state, reason: "by hand".into() });
}

/// ecs-semantics §5.7, circuit breaker, stage 1: tasks that never run fail the deployment at max(3, half of 4); with rollback the last
/// completed one is the target again, and its tasks were never touched.
#[test]
fn a_breaker_rolls_back_what_never_starts() {
    let mut world = web("deployment_circuit_breaker = { enable = true, rollback = true }");
    world.run_until(100);
    deploy(&mut world, never_runs());
    world.run_until(200);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        101.000s (service web) (deployment ecs-svc/2) deployment failed: tasks failed to start.
        101.000s (service web) rolling back to deployment ecs-svc/1.
        101.000s (service web) has stopped 1 running tasks: (task T8).
        101.000s (service web) (deployment ecs-svc/1) deployment completed.
        101.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
    check(&world.counts("web"), &expect!["desired 4 running 4 pending 0 healthy 4"]);
    let running = &world.plane.state().services["web"].primary().healthy;
    assert_eq!(running.iter().collect::<Vec<_>>(), [1, 2, 3, 4].map(TaskId), "the old tasks are still there");
}

/// ecs-semantics §5.7: without a completed deployment to go back to, it stalls in FAILED with a reason that says what to change. The
/// first revision never came about either: the second one was deployed before its tasks ran.
#[test]
fn a_first_deployment_that_fails_stalls() {
    let mut world = web("deployment_circuit_breaker = { enable = true, rollback = true }");
    world.behave("web", never_runs());
    deploy(&mut world, never_runs());
    world.run_until(3600);
    check(
        &records(&world),
        &expect![[r#"
        STOPPED: A newer deployment started.
        STOPPED: ECS deployment circuit breaker: task failed to start. There is no completed deployment to roll back to. Update the service with a task definition whose tasks start and stay healthy.
    "#]],
    );
}

/// ecs-semantics §5.7, stage 2 (*Ours:* tasks that start and then exit count, too, so that such a deployment ends): the known bad case
/// of a breaker with tasks that run and crash.
#[test]
fn a_breaker_counts_tasks_that_start_and_then_exit() {
    let mut world = web("deployment_circuit_breaker = { enable = true, rollback = true }");
    world.run_until(100);
    deploy(&mut world, Behaviour { end: End::Exit { after: secs(5), code: 1 }, ..Behaviour::default() });
    world.run_until(300);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        106.000s (service web) has started 1 tasks: (task T9).
        106.000s (service web) has started 1 tasks: (task T10).
        106.000s (service web) (deployment ecs-svc/2) deployment failed: tasks failed to become healthy.
        106.000s (service web) rolling back to deployment ecs-svc/1.
        106.000s (service web) has stopped 3 running tasks: (task T10) (task T9) (task T8).
        106.000s (service web) (deployment ecs-svc/1) deployment completed.
        106.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
}

/// ecs-semantics §5.7: `COUNT` is the number itself; without rollback the deployment is FAILED and starts nothing more.
#[test]
fn a_count_is_the_threshold() {
    let mut world = web(
        "deployment_circuit_breaker = { enable = true, threshold_configuration = { type = \"COUNT\", value = 6 } }",
    );
    world.run_until(100);
    // They find their image, which would be another matter.
    let end = End::FailToStart { reason: "CannotStartContainerError: no such command" };
    deploy(&mut world, Behaviour { end, ..Behaviour::default() });
    world.run_until(1000);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        102.000s (service web) has started 4 tasks: (task T9) (task T10) (task T11) (task T12).
        103.000s (service web) (deployment ecs-svc/2) deployment failed: tasks failed to start.
        103.000s (service web) has stopped 2 running tasks: (task T12) (task T11).
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        STOPPED: ECS deployment circuit breaker: task failed to start. Update the service with a task definition whose tasks start and stay healthy.
    "#]],
    );
}

/// ecs-semantics §5.6, §5.7: with neither breaker nor alarms a bad deployment is tried on and on, slower and slower, and the old tasks stay.
#[test]
fn without_a_breaker_it_goes_on() {
    let mut world = web("");
    world.run_until(100);
    deploy(&mut world, never_runs());
    world.run_until(600);
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        IN_PROGRESS
    "#]],
    );
    check(&world.counts("web"), &expect!["desired 4 running 4 pending 0 healthy 4"]);
}

/// ecs-semantics §5.8: a deployment takes 30 days at most, and then says what to change.
#[test]
fn a_deployment_ends_after_thirty_days() {
    let mut world = web("minimum_healthy_percent = 100\n          maximum_percent = 125");
    world.run_until(100);
    world.done(Request::UpdateService(Box::new(UpdateService {
        service: "web".into(),
        desired_count: Some(3),
        ..Default::default()
    })));
    deploy(&mut world, Behaviour::default());
    world.run_until(31 * 24 * 3600);
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        STOPPED: ECS deployment timed out. Its bounds let no task start or stop: update the minimumHealthyPercent or maximumPercent value.
    "#]],
    );
    check(&world.counts("web"), &expect!["desired 3 running 3 pending 0 healthy 3"]);
}

/// ecs-semantics §5.7, alarms: one that goes off fails the deployment; its own rollback flag counts.
#[test]
fn an_alarm_rolls_back() {
    let mut world = web("alarms = { alarm_names = [\"errors\"], enable = true, rollback = true }");
    world.run_until(400);
    deploy(&mut world, Behaviour::default());
    world.run_until(420);
    set_alarm(&mut world, AlarmState::Alarm);
    world.run_until(800);
    check(
        &since(&world, 400),
        &expect![[r#"
        400.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        420.000s (service web) (deployment ecs-svc/2) deployment failed: alarm detected.
        420.000s (service web) rolling back to deployment ecs-svc/1.
        420.000s (service web) has stopped 4 running tasks: (task T8) (task T7) (task T6) (task T5).
        420.000s (service web) has reached a steady state.
        660.000s (service web) (deployment ecs-svc/1) deployment completed.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment alarms: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
}

/// ecs-semantics §5.7: an alarm that is on when the deployment starts is ignored for all of it; with alarms it bakes (4 minutes, *Ours*).
#[test]
fn an_alarm_that_was_on_is_ignored() {
    let mut world = web("alarms = { alarm_names = [\"errors\"], enable = true, rollback = true }");
    world.run_until(400);
    set_alarm(&mut world, AlarmState::Alarm);
    deploy(&mut world, Behaviour::default());
    world.run_until(500);
    set_alarm(&mut world, AlarmState::Ok);
    set_alarm(&mut world, AlarmState::Alarm);
    world.run_until(900);
    check(
        &since(&world, 400),
        &expect![[r#"
        400.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        441.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T2) (task T1).
        441.000s (service web) has reached a steady state.
        681.000s (service web) (deployment ecs-svc/2) deployment completed.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );
}

/// ecs-semantics §5.7: an alarm in the bake time still fails it, after the old tasks are gone: new ones of the old revision come.
#[test]
fn an_alarm_in_the_bake_time_rolls_back() {
    let mut world = web(
        "alarms = { alarm_names = [\"errors\"], enable = true, rollback = true }\n          bake_time_in_minutes = 2",
    );
    world.run_until(400);
    deploy(&mut world, Behaviour::default());
    world.run_until(500);
    set_alarm(&mut world, AlarmState::Alarm);
    world.run_until(900);
    check(
        &since(&world, 400),
        &expect![[r#"
        400.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        441.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T2) (task T1).
        441.000s (service web) has reached a steady state.
        500.000s (service web) (deployment ecs-svc/2) deployment failed: alarm detected.
        500.000s (service web) rolling back to deployment ecs-svc/1.
        500.000s (service web) has started 4 tasks: (task T9) (task T10) (task T11) (task T12).
        541.000s (service web) has stopped 4 running tasks: (task T8) (task T7) (task T6) (task T5).
        541.000s (service web) has reached a steady state.
        661.000s (service web) (deployment ecs-svc/1) deployment completed.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment alarms: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
}

/// ecs-semantics §5.7, early success: half of the tasks healthy completes it; the rest of the exchange goes on after it.
#[test]
fn early_success_completes_before_the_end() {
    let mut world = web(
        "minimum_healthy_percent = 50\n          maximum_percent = 100\n          early_success_criteria = { enable = true, healthy_percent = 50, \
         source_service_revision_cleanup = \"DEFERRED\" }",
    );
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(300);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) has stopped 2 running tasks: (task T4) (task T3).
        100.000s (service web) has started 2 tasks: (task T5) (task T6).
        141.000s (service web) has stopped 2 running tasks: (task T2) (task T1).
        141.000s (service web) (deployment ecs-svc/2) deployment completed.
        141.000s (service web) has started 2 tasks: (task T7) (task T8).
        182.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );
}

/// At 100 s a deployment whose source keeps its first task for ten minutes.
fn deploy_with_the_first_protected(world: &mut World) {
    world.run_until(100);
    let protection = TaskProtection::Enabled { expires_in: Some(secs(600)) };
    world.done(Request::UpdateTaskProtection { tasks: vec![TaskId(1)], protection });
    deploy(world, Behaviour::default());
}

/// ecs-semantics §5.7, early success: with BLOCKING the older tasks have to be gone, with DEFERRED they go after it.
#[test]
fn early_success_waits_for_what_it_replaces_or_does_not() {
    let completed = |cleanup: &str| {
        let mut world = web(&format!(
            "minimum_healthy_percent = 100\n          maximum_percent = 150\n          early_success_criteria = {{ enable = true, \
             healthy_percent = 100, source_service_revision_cleanup = \"{cleanup}\" }}"
        ));
        deploy_with_the_first_protected(&mut world);
        world.run_until(900);
        let is_end = |line: &&str| line.contains("deployment completed");
        since(&world, 100).lines().filter(is_end).map(|line| format!("{line}\n")).collect::<String>()
    };
    check(
        &completed("DEFERRED"),
        &expect![[r#"
        182.000s (service web) (deployment ecs-svc/2) deployment completed.
    "#]],
    );
    check(
        &completed("BLOCKING"),
        &expect![[r#"
        700.000s (service web) (deployment ecs-svc/2) deployment completed.
    "#]],
    );
}

/// ecs-semantics §5.7, early success: deferred cleanup has two weeks, and then protection that is renewed every day holds nothing.
#[test]
fn deferred_cleanup_ends() {
    let mut world = web(
        "minimum_healthy_percent = 100\n          maximum_percent = 150\n          early_success_criteria = { enable = true, \
         healthy_percent = 100, source_service_revision_cleanup = \"DEFERRED\" }",
    );
    deploy_with_the_first_protected(&mut world);
    let protected = Some(secs(172_800));
    for day in 0..14 {
        world.run_until(400 + day * 86_400);
        let protection = TaskProtection::Enabled { expires_in: protected };
        world.done(Request::UpdateTaskProtection { tasks: vec![TaskId(1)], protection });
    }
    world.run_until(1_300_000);
    check(
        &since(&world, 180),
        &expect![[r#"
        182.000s (service web) has stopped 1 running tasks: (task T2).
        182.000s (service web) (deployment ecs-svc/2) deployment completed.
        1209782.000s (service web) has stopped 1 running tasks: (task T1).
        1209782.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.7, early success: breaker and alarms look at a deployment no longer that has completed, though its tasks still change.
#[test]
fn early_success_ends_breaker_and_alarms() {
    let mut world = web(
        "minimum_healthy_percent = 100\n          maximum_percent = 150\n          early_success_criteria = { enable = true, \
         healthy_percent = 100, source_service_revision_cleanup = \"DEFERRED\" }\n          \
         deployment_circuit_breaker = { enable = true, rollback = true }\n          \
         alarms = { enable = true, rollback = true, alarm_names = [\"errors\"] }\n          bake_time_in_minutes = 0",
    );
    deploy_with_the_first_protected(&mut world);
    world.run_until(300);
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );
    assert_eq!(world.plane.state().services["web"].deployments.len(), 2, "a protected task is still there");
    set_alarm(&mut world, AlarmState::Alarm);
    world.behave("web:2", never_runs());
    let of_new: Vec<TaskId> = world.plane.state().services["web"].primary().healthy.iter().collect();
    of_new.iter().for_each(|task| world.crash(*task, 1));
    world.run_until(500);
    assert_eq!(world.plane.state().services["web"].primary().task_definition.to_string(), "web:2");
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );
}

/// ecs-semantics §5.3, §5.8: a newer deployment stops the one in flight, and all older tasks drain toward it.
#[test]
fn a_newer_deployment_stops_the_one_in_flight() {
    let mut world = web("");
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(110);
    let forced = UpdateService { service: "web".into(), new_deployment: NewDeployment::Forced, ..Default::default() };
    world.done(Request::UpdateService(Box::new(forced)));
    world.run_until(300);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        110.000s (service web) has stopped 4 running tasks: (task T8) (task T7) (task T6) (task T5).
        110.000s (service web) has started 4 tasks: (task T9) (task T10) (task T11) (task T12).
        151.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T2) (task T1).
        151.000s (service web) (deployment ecs-svc/3) deployment completed.
        151.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        STOPPED: A newer deployment started.
        SUCCESSFUL
    "#]],
    );
    assert_eq!(world.plane.state().services["web"].deployments.len(), 1);
    assert!(world.now <= at(300));
}
