//! Deployments that move traffic: blue/green, linear and canary, with their stages, hooks and ways back. Times as in the module above;
//! a task is healthy 41 s after its start.

use std::fmt::Write as _;

use expect_test::expect;
use longshore::control_plane::action::{Action, Response};
use longshore::control_plane::event::{Deletion, Event, NewDeployment, Request, UpdateService};
use longshore::control_plane::request_error::RequestError;
use longshore::model::alarm::AlarmState;
use longshore::model::deployment::{DeploymentStrategy, LifecycleStage, StopType};
use longshore::model::deployment_hook::{ContinueAction, DeploymentHook, HookAnswer, HookTarget, HookTimeoutAction};
use longshore::model::ids::{HookId, TaskId};
use longshore::model::service::{DeploymentConfiguration, SchedulingStrategy, ServiceSpec};

use super::check;
use super::deployments::{deploy, never_runs, records, set_alarm, since, web_beside};
use crate::harness::{Behaviour, End, World, secs, service};

const CANARY: &str = r#"strategy = "CANARY"
          canary_configuration = { canary_percent = 10, canary_bake_time_in_minutes = 2 }
          bake_time_in_minutes = 1"#;

/// A service `web` of four tasks on Fargate with the given keys of its deployment configuration, and a hook's task definition.
fn web(configuration: &str) -> World {
    let hook = r#"
        [[task_definition]]
        family = "check"
        cpu = "256"
        memory = "512"
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "../workloads/limits/spin.wat"
    "#;
    web_beside(hook, configuration)
}

/// A canary with a hook at some stages.
fn hooked(stages: &str, more: &str) -> World {
    web(&format!(
        "{CANARY}\n          lifecycle_hooks = [{{ task_definition = \"check\", lifecycle_stages = [{stages}]{more} }}]"
    ))
}

/// How the traffic was directed and which hooks were called, from a moment on.
fn course(world: &World, from: u64) -> String {
    let mut lines = String::new();
    for ((at, _), actions) in world.journal.iter().zip(&world.actions) {
        if *at < crate::harness::at(from) {
            continue;
        }
        for action in actions {
            let _ = match action {
                Action::DirectTraffic { weights, .. } => {
                    let shares = weights.production.iter().map(|(id, weight)| format!(" {id}: {weight}"));
                    let test = weights.test.map(|id| format!(", test {id}")).unwrap_or_default();
                    writeln!(lines, "{at} traffic{}{test}", shares.collect::<String>())
                }
                Action::CallHook(call) => {
                    let weight = call.production_weight.map_or("-".to_owned(), |weight| weight.to_string());
                    let (name, stage) = (call.target.name(), call.stage.as_str());
                    writeln!(lines, "{at} hook {}.{} {name} at {stage}, {weight}", call.hook, call.call)
                }
                _ => Ok(()),
            };
        }
    }
    lines
}

fn tasks_of(world: &World) -> Vec<TaskId> {
    world.plane.state().services["web"].primary().healthy.iter().collect()
}

fn first_four() -> Vec<TaskId> {
    [1, 2, 3, 4].map(TaskId).to_vec()
}

fn stage(world: &World) -> Option<&'static str> {
    let service = &world.plane.state().services["web"];
    service.current_service_deployment()?.lifecycle_stage.map(LifecycleStage::as_str)
}

fn set_count(world: &mut World, count: u32) {
    let update = UpdateService { service: "web".into(), desired_count: Some(count), ..Default::default() };
    world.done(Request::UpdateService(Box::new(update)));
}

fn force(world: &mut World) {
    let update = UpdateService { service: "web".into(), new_deployment: NewDeployment::Forced, ..Default::default() };
    world.done(Request::UpdateService(Box::new(update)));
}

/// ecs-semantics §5.8, BLUE_GREEN: the target beside all of the source, all traffic at once, the source kept for the bake time.
#[test]
fn blue_green_moves_all_traffic_at_once() {
    let mut world = web("strategy = \"BLUE_GREEN\"\n          bake_time_in_minutes = 3");
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(300);
    check(&world.counts("web"), &expect!["desired 4 running 8 pending 0 healthy 8"]);
    world.run_until(400);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        141.000s (service web) (deployment ecs-svc/2) takes 100 % of the traffic.
        141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage BAKE_TIME.
        321.000s (service web) (deployment ecs-svc/2) is in lifecycle stage CLEAN_UP.
        321.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T2) (task T1).
        321.000s (service web) (deployment ecs-svc/2) deployment completed.
        321.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &course(&world, 0),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s traffic 2: 100 %, test 2
        321.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );
    check(&world.counts("web"), &expect!["desired 4 running 4 pending 0 healthy 4"]);
}

/// ecs-semantics §5.8, LINEAR: equal steps, the last of them smaller, with a wait after each but the last.
#[test]
fn linear_moves_traffic_in_equal_steps() {
    let mut world = web(
        "strategy = \"LINEAR\"\n          linear_configuration = { step_percent = 37.5, step_bake_time_in_minutes = 1 }",
    );
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(400);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        141.000s (service web) (deployment ecs-svc/2) takes 37.5 % of the traffic.
        141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        201.000s (service web) (deployment ecs-svc/2) takes 75 % of the traffic.
        261.000s (service web) (deployment ecs-svc/2) takes 100 % of the traffic.
        261.000s (service web) (deployment ecs-svc/2) is in lifecycle stage CLEAN_UP.
        261.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T2) (task T1).
        261.000s (service web) (deployment ecs-svc/2) deployment completed.
        261.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &course(&world, 0),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s traffic 1: 62.5 % 2: 37.5 %, test 2
        201.000s traffic 1: 25 % 2: 75 %, test 2
        261.000s traffic 2: 100 %, test 2
        261.000s traffic
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

/// ecs-semantics §5.8, CANARY: a small share, its bake time, then the rest, and the bake time of the whole.
#[test]
fn a_canary_goes_well() {
    let mut world = web(CANARY);
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(400);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        141.000s (service web) (deployment ecs-svc/2) takes 10 % of the traffic.
        141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        261.000s (service web) (deployment ecs-svc/2) takes 100 % of the traffic.
        261.000s (service web) (deployment ecs-svc/2) is in lifecycle stage BAKE_TIME.
        321.000s (service web) (deployment ecs-svc/2) is in lifecycle stage CLEAN_UP.
        321.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T2) (task T1).
        321.000s (service web) (deployment ecs-svc/2) deployment completed.
        321.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &course(&world, 0),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s traffic 1: 90 % 2: 10 %, test 2
        261.000s traffic 2: 100 %, test 2
        321.000s traffic
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

/// ecs-semantics §10.3: EventBridge hears of each stage in which a deployment waits.
#[test]
fn stages_are_told_on_event_bridge() {
    let mut world = web(CANARY);
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(400);
    let told = world.notifications();
    let of_it = told.lines().filter(|line| line.contains("deployment 2 of web"));
    check(
        &of_it.map(|line| format!("{line}\n")).collect::<String>(),
        &expect![[r#"
        100.000s deployment 2 of web INFO SERVICE_DEPLOYMENT_IN_PROGRESS ECS deployment ecs-svc/2 in progress.
        100.000s deployment 2 of web INFO SERVICE_DEPLOYMENT_IN_PROGRESS ECS deployment ecs-svc/2 in progress: lifecycle stage SCALE_UP.
        141.000s deployment 2 of web INFO SERVICE_DEPLOYMENT_IN_PROGRESS ECS deployment ecs-svc/2 in progress: lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        261.000s deployment 2 of web INFO SERVICE_DEPLOYMENT_IN_PROGRESS ECS deployment ecs-svc/2 in progress: lifecycle stage BAKE_TIME.
        321.000s deployment 2 of web INFO SERVICE_DEPLOYMENT_IN_PROGRESS ECS deployment ecs-svc/2 in progress: lifecycle stage CLEAN_UP.
        321.000s deployment 2 of web INFO SERVICE_DEPLOYMENT_COMPLETED ECS deployment ecs-svc/2 completed.
    "#]],
    );
}

/// ecs-semantics §5.8: the defaults of LINEAR (10 %, 6 min) and CANARY (5 %, 10 min).
#[test]
fn strategies_have_defaults() {
    for (strategy, minutes) in [("LINEAR", 54), ("CANARY", 10)] {
        let mut world = web(&format!("strategy = \"{strategy}\""));
        world.run_until(100);
        deploy(&mut world, Behaviour::default());
        world.run_until(140 + minutes * 60);
        assert_eq!(world.plane.state().services["web"].deployments.len(), 2, "{strategy} is under way");
        world.run_until(142 + minutes * 60);
        assert_eq!(world.plane.state().services["web"].deployments.len(), 1, "{strategy} is done");
    }
}

/// ecs-semantics §5.8: hooks are asked at every stage that takes them, in order, those of production traffic once a step; they see what share
/// the target has.
#[test]
fn hooks_are_asked_at_every_stage() {
    let stages = "\"RECONCILE_SERVICE\", \"PRE_SCALE_UP\", \"POST_SCALE_UP\", \"TEST_TRAFFIC_SHIFT\", \
                  \"POST_TEST_TRAFFIC_SHIFT\", \"PRE_PRODUCTION_TRAFFIC_SHIFT\", \"PRODUCTION_TRAFFIC_SHIFT\", \
                  \"POST_PRODUCTION_TRAFFIC_SHIFT\"";
    let mut world = hooked(stages, "");
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(400);
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        100.000s hook 8.1 check at PRE_SCALE_UP, 0 %
        142.000s hook 9.1 check at POST_SCALE_UP, 0 %
        143.000s traffic 1: 100 %, test 2
        143.000s hook 10.1 check at TEST_TRAFFIC_SHIFT, 0 %
        144.000s hook 11.1 check at POST_TEST_TRAFFIC_SHIFT, 0 %
        145.000s hook 12.1 check at PRE_PRODUCTION_TRAFFIC_SHIFT, 0 %
        146.000s traffic 1: 90 % 2: 10 %, test 2
        146.000s hook 13.1 check at PRODUCTION_TRAFFIC_SHIFT, 10 %
        267.000s hook 14.1 check at PRE_PRODUCTION_TRAFFIC_SHIFT, 10 %
        268.000s traffic 2: 100 %, test 2
        268.000s hook 15.1 check at PRODUCTION_TRAFFIC_SHIFT, 100 %
        269.000s hook 16.1 check at POST_PRODUCTION_TRAFFIC_SHIFT, 100 %
        330.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );
    let service = &world.plane.state().services["web"];
    let hooks = &service.service_deployments.back().unwrap().lifecycle_hooks;
    assert_eq!(hooks.len(), 9, "one record for each, in the deployment's history");
    assert!(hooks.iter().all(|hook| hook.status.as_str() == "SUCCEEDED" && hook.finished_at.is_some()));
}

/// ecs-semantics §5.8: IN_PROGRESS has the hook called again after its delay (30 s, *Ours*, if it names none).
#[test]
fn a_hook_that_is_in_progress_is_called_again() {
    let mut world = hooked("\"POST_TEST_TRAFFIC_SHIFT\"", "");
    world.run_until(100);
    world.hooks = vec![
        Some(HookAnswer::InProgress { call_back_delay: Some(secs(5)) }),
        Some(HookAnswer::InProgress { call_back_delay: None }),
        Some(HookAnswer::Succeeded),
    ];
    deploy(&mut world, Behaviour::default());
    world.run_until(500);
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s hook 2.1 check at POST_TEST_TRAFFIC_SHIFT, 0 %
        147.000s hook 2.2 check at POST_TEST_TRAFFIC_SHIFT, 0 %
        178.000s hook 2.3 check at POST_TEST_TRAFFIC_SHIFT, 0 %
        179.000s traffic 1: 90 % 2: 10 %, test 2
        299.000s traffic 2: 100 %, test 2
        359.000s traffic
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

/// ecs-semantics §5.8: FAILED takes the deployment back: all traffic at once, and the old tasks were never touched.
#[test]
fn a_hook_that_fails_takes_the_deployment_back() {
    let mut world = hooked("\"PRODUCTION_TRAFFIC_SHIFT\"", "");
    world.run_until(100);
    world.hooks = vec![Some(HookAnswer::Failed { reason: "exit code 1".into() })];
    deploy(&mut world, Behaviour::default());
    world.run_until(200);
    check(
        &since(&world, 100),
        &expect![[r#"
            100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
            100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
            141.000s (service web) (deployment ecs-svc/2) takes 10 % of the traffic.
            141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
            142.000s (service web) (deployment ecs-svc/2) lifecycle hook check in stage PRODUCTION_TRAFFIC_SHIFT: FAILED.
            142.000s (service web) (deployment ecs-svc/2) deployment failed: lifecycle hook check in stage PRODUCTION_TRAFFIC_SHIFT failed: exit code 1.
            142.000s (service web) rolling back to deployment ecs-svc/1.
            142.000s (service web) has stopped 4 running tasks: (task T8) (task T7) (task T6) (task T5).
            142.000s (service web) (deployment ecs-svc/1) deployment completed.
            142.000s (service web) has reached a steady state.
        "#]],
    );
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s traffic 1: 90 % 2: 10 %, test 2
        141.000s hook 2.1 check at PRODUCTION_TRAFFIC_SHIFT, 10 %
        142.000s traffic 1: 100 %
        142.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
            SUCCESSFUL
            ROLLBACK_SUCCESSFUL: ECS deployment: lifecycle hook check in stage PRODUCTION_TRAFFIC_SHIFT failed: exit code 1: rolling back to deploymentId ecs-svc/7072917602864530048.
        "#]],
    );
    assert_eq!(tasks_of(&world), first_four());
}

/// ecs-semantics §5.8: a call takes 15 minutes at most.
#[test]
fn a_call_that_is_never_answered_fails() {
    let mut world = hooked("\"POST_SCALE_UP\"", "");
    world.run_until(100);
    world.hooks = vec![None];
    deploy(&mut world, Behaviour::default());
    world.run_until(2000);
    check(
        &since(&world, 100),
        &expect![[r#"
            100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
            100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
            141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage POST_SCALE_UP.
            1041.000s (service web) (deployment ecs-svc/2) lifecycle hook check in stage POST_SCALE_UP: FAILED.
            1041.000s (service web) (deployment ecs-svc/2) deployment failed: lifecycle hook check in stage POST_SCALE_UP failed: it did not answer in time.
            1041.000s (service web) rolling back to deployment ecs-svc/1.
            1041.000s (service web) has stopped 4 running tasks: (task T8) (task T7) (task T6) (task T5).
            1041.000s (service web) (deployment ecs-svc/1) deployment completed.
            1041.000s (service web) has reached a steady state.
        "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
            SUCCESSFUL
            ROLLBACK_SUCCESSFUL: ECS deployment: lifecycle hook check in stage POST_SCALE_UP failed: it did not answer in time: rolling back to deploymentId ecs-svc/7072917602864530048.
        "#]],
    );
}

/// ecs-semantics §5.8: a hook's own timeout, over all its calls; what follows is ROLLBACK or CONTINUE.
#[test]
fn a_hook_times_out() {
    let waits = || vec![Some(HookAnswer::InProgress { call_back_delay: Some(secs(50)) }); 4];
    let timeout = ", timeout_configuration = { timeout_in_minutes = 2 }";
    let mut world = hooked("\"POST_SCALE_UP\"", timeout);
    world.run_until(100);
    world.hooks = waits();
    deploy(&mut world, Behaviour::default());
    world.run_until(900);
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s hook 2.1 check at POST_SCALE_UP, 0 %
        192.000s hook 2.2 check at POST_SCALE_UP, 0 %
        243.000s hook 2.3 check at POST_SCALE_UP, 0 %
        261.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
            SUCCESSFUL
            ROLLBACK_SUCCESSFUL: ECS deployment: lifecycle hook check in stage POST_SCALE_UP timed out: rolling back to deploymentId ecs-svc/7072917602864530048.
        "#]],
    );
    let timeout = ", timeout_configuration = { timeout_in_minutes = 2, action = \"CONTINUE\" }";
    let mut world = hooked("\"POST_SCALE_UP\"", timeout);
    world.run_until(100);
    world.hooks = waits();
    deploy(&mut world, Behaviour::default());
    world.run_until(900);
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );
    let record = world.plane.state().services["web"].service_deployments.back().unwrap();
    assert_eq!(record.lifecycle_hooks[0].status.as_str(), "TIMED_OUT");
}

/// ecs-semantics §5.8, PAUSE: it waits for ContinueServiceDeployment, which is refused for anything else.
#[test]
fn a_pause_waits_for_somebody() {
    let pause =
        "lifecycle_hooks = [{ target_type = \"PAUSE\", lifecycle_stages = [\"PRE_PRODUCTION_TRAFFIC_SHIFT\"] }]";
    let paused = || {
        let mut world = web(&format!("{CANARY}\n          {pause}"));
        // The first deployment pauses as well, once.
        world.run_until(100);
        resume(&mut world, 1, 1, ContinueAction::Continue).unwrap();
        deploy(&mut world, Behaviour::default());
        world.run_until(1000);
        world
    };
    let mut world = paused();
    check(
        &since(&world, 0),
        &expect![[r#"
        0.000s (service web) (deployment ecs-svc/1) is in lifecycle stage SCALE_UP.
        0.000s (service web) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        41.000s (service web) (deployment ecs-svc/1) pauses in lifecycle stage PRE_PRODUCTION_TRAFFIC_SHIFT until hook 6775dc77-0156-4f61-9afc-d44d14cf8bfe is continued.
        41.000s (service web) (deployment ecs-svc/1) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        41.000s (service web) has reached a steady state.
        100.000s (service web) (deployment ecs-svc/1) lifecycle hook PAUSE in stage PRE_PRODUCTION_TRAFFIC_SHIFT: SUCCEEDED.
        100.000s (service web) (deployment ecs-svc/1) is in lifecycle stage CLEAN_UP.
        100.000s (service web) (deployment ecs-svc/1) deployment completed.
        100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        141.000s (service web) (deployment ecs-svc/2) pauses in lifecycle stage PRE_PRODUCTION_TRAFFIC_SHIFT until hook 56e84498-e8b0-4635-b015-60ad31bb9977 is continued.
        141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
    "#]],
    );
    let record = world.plane.state().services["web"].service_deployments.back().unwrap();
    assert_eq!(record.lifecycle_hooks[0].status.as_str(), "AWAITING_ACTION");
    for (deployment, hook) in [(1, 2), (2, 1), (2, 3)] {
        let refused = resume(&mut world, deployment, hook, ContinueAction::Continue);
        assert!(matches!(refused, Err(RequestError::InvalidParameter(_))), "{refused:?}");
    }
    let unknown = resume(&mut world, 9, 2, ContinueAction::Continue);
    assert_eq!(unknown, Err(RequestError::ServiceDeploymentNotFound));
    resume(&mut world, 2, 2, ContinueAction::Continue).unwrap();
    world.run_until(2000);
    resume(&mut world, 2, 3, ContinueAction::Continue).unwrap();
    world.run_until(2100);
    check(
        &course(&world, 1000),
        &expect![[r#"
        1000.000s traffic 1: 90 % 2: 10 %, test 2
        2000.000s traffic 2: 100 %, test 2
        2060.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        SUCCESSFUL
    "#]],
    );

    let mut world = paused();
    resume(&mut world, 2, 2, ContinueAction::Rollback).unwrap();
    world.run_until(1100);
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
    assert_eq!(tasks_of(&world), first_four());
}

fn resume(world: &mut World, deployment: u64, hook: u64, action: ContinueAction) -> Result<Response, RequestError> {
    let service_deployment = longshore::model::ids::ServiceDeploymentId(deployment);
    world.request(Request::ContinueServiceDeployment { service_deployment, hook: HookId(hook), action })
}

/// Answers that are late, repeated or to nobody change nothing (§2 of the style: they are legal).
#[test]
fn answers_to_nobody_change_nothing() {
    let mut world = hooked("\"POST_SCALE_UP\"", "");
    world.run_until(100);
    world.hooks = vec![Some(HookAnswer::InProgress { call_back_delay: Some(secs(60)) }), None];
    deploy(&mut world, Behaviour::default());
    world.run_until(160);
    let ignored = world.plane.state().ignored_events;
    for (hook, call) in [(2, 1), (2, 2), (1, 1), (77, 1)] {
        world.apply(Event::HookAnswered { hook: HookId(hook), call, answer: HookAnswer::Succeeded });
    }
    assert_eq!(world.plane.state().ignored_events, ignored + 4);
    assert_eq!(stage(&world), Some("POST_SCALE_UP"));
    world.run_until(210);
    world.apply(Event::HookAnswered { hook: HookId(2), call: 2, answer: HookAnswer::Succeeded });
    assert_eq!(stage(&world), Some("PRODUCTION_TRAFFIC_SHIFT"));
}

/// ecs-semantics §5.7, §5.8: an alarm that goes off while the canary has its share takes all traffic back at once.
#[test]
fn an_alarm_takes_a_canary_back() {
    let mut world =
        web(&format!("{CANARY}\n          alarms = {{ alarm_names = [\"errors\"], enable = true, rollback = true }}"));
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(150);
    set_alarm(&mut world, AlarmState::Alarm);
    world.run_until(600);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        141.000s (service web) (deployment ecs-svc/2) takes 10 % of the traffic.
        141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        150.000s (service web) (deployment ecs-svc/2) deployment failed: alarm detected.
        150.000s (service web) rolling back to deployment ecs-svc/1.
        150.000s (service web) has stopped 4 running tasks: (task T8) (task T7) (task T6) (task T5).
        150.000s (service web) (deployment ecs-svc/1) deployment completed.
        150.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s traffic 1: 90 % 2: 10 %, test 2
        150.000s traffic 1: 100 %
        150.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment alarms: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
    assert_eq!(tasks_of(&world), first_four(), "the source kept its tasks");
}

/// ecs-semantics §5.7: without `rollback` an alarm fails the deployment where it is; *Ours:* what runs shares the traffic, and what is too
/// many goes, the failed revision first.
#[test]
fn a_failure_without_rollback_leaves_no_traffic_divided() {
    let mut world =
        web(&format!("{CANARY}\n          alarms = {{ alarm_names = [\"errors\"], enable = true, rollback = false }}"));
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(150);
    set_alarm(&mut world, AlarmState::Alarm);
    world.run_until(600);
    check(
        &since(&world, 141),
        &expect![[r#"
        141.000s (service web) (deployment ecs-svc/2) takes 10 % of the traffic.
        141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        150.000s (service web) (deployment ecs-svc/2) deployment failed: alarm detected.
        150.000s (service web) has stopped 4 running tasks: (task T8) (task T6) (task T5) (task T7).
    "#]],
    );
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s traffic 1: 90 % 2: 10 %, test 2
        150.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        STOPPED: ECS deployment alarms: errors in ALARM. Update the service with a task definition that does not set the alarms off.
    "#]],
    );
}

/// The known bad case of Nomad's: a canary with an error that no waiting mends. With a breaker it goes back as soon as that trips.
#[test]
fn a_breaker_takes_back_a_canary_that_never_starts() {
    let mut world =
        web(&format!("{CANARY}\n          deployment_circuit_breaker = {{ enable = true, rollback = true }}"));
    world.run_until(100);
    deploy(&mut world, never_runs());
    world.run_until(200);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
        100.000s (service web) has started 4 tasks: (task T5) (task T6) (task T7) (task T8).
        101.000s (service web) (deployment ecs-svc/2) deployment failed: tasks failed to start.
        101.000s (service web) rolling back to deployment ecs-svc/1.
        101.000s (service web) has stopped 1 running tasks: (task T8).
        101.000s (service web) (deployment ecs-svc/1) deployment completed.
        101.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        101.000s traffic
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
    assert_eq!(tasks_of(&world), first_four());
}

/// The same without a breaker: a stage takes 24 hours at most (ecs-semantics §5.8), and the reason says what to change.
#[test]
fn a_canary_that_never_starts_ends_after_a_day() {
    for behaviour in [never_runs(), Behaviour { end: End::Exit { after: secs(5), code: 1 }, ..Behaviour::default() }] {
        let mut world = web(CANARY);
        world.run_until(100);
        // A slow start keeps the number of tries down.
        deploy(&mut world, Behaviour { start: secs(600), ..behaviour });
        world.run_until(100 + 24 * 3600 - 1);
        assert_eq!(stage(&world), Some("SCALE_UP"));
        world.run_until(100 + 24 * 3600 + 10);
        assert_eq!(tasks_of(&world), first_four());
        let record = world.plane.state().services["web"].service_deployments.back().unwrap();
        assert_eq!(record.status.as_str(), "ROLLBACK_SUCCESSFUL");
        let reason = &record.rollback.as_ref().unwrap().reason;
        let told = reason.strip_prefix("ECS deployment timed out in lifecycle stage SCALE_UP. Its tasks ");
        assert!(
            told.is_some_and(|told| told.contains("update the task definition") || told.contains("that starts")),
            "{reason}"
        );
    }
}

/// ecs-semantics §5.8, RECONCILE_SERVICE: a deployment that begins in the middle of another leaves one source, with all of the traffic
/// (*Ours:* the one that serves best, and the last that completed among equals).
#[test]
fn a_deployment_in_the_middle_of_another_reconciles_first() {
    let mut world = hooked("\"RECONCILE_SERVICE\"", "");
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(150);
    force(&mut world);
    world.run_until(150);
    assert_eq!(stage(&world), Some("RECONCILE_SERVICE"));
    world.run_until(600);
    check(
        &since(&world, 150),
        &expect![[r#"
        150.000s (service web) (deployment ecs-svc/3) is in lifecycle stage RECONCILE_SERVICE.
        150.000s (service web) has stopped 4 running tasks: (task T8) (task T7) (task T6) (task T5).
        151.000s (service web) (deployment ecs-svc/3) lifecycle hook check in stage RECONCILE_SERVICE: SUCCEEDED.
        151.000s (service web) (deployment ecs-svc/3) is in lifecycle stage SCALE_UP.
        151.000s (service web) has started 4 tasks: (task T9) (task T10) (task T11) (task T12).
        192.000s (service web) (deployment ecs-svc/3) takes 10 % of the traffic.
        192.000s (service web) (deployment ecs-svc/3) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        312.000s (service web) (deployment ecs-svc/3) takes 100 % of the traffic.
        312.000s (service web) (deployment ecs-svc/3) is in lifecycle stage BAKE_TIME.
        372.000s (service web) (deployment ecs-svc/3) is in lifecycle stage CLEAN_UP.
        372.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T2) (task T1).
        372.000s (service web) (deployment ecs-svc/3) deployment completed.
        372.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &course(&world, 100),
        &expect![[r#"
        100.000s traffic 1: 100 %
        141.000s traffic 1: 100 %, test 2
        141.000s traffic 1: 90 % 2: 10 %, test 2
        150.000s traffic 1: 100 %
        150.000s hook 1.1 check at RECONCILE_SERVICE, 0 %
        192.000s traffic 1: 100 %, test 3
        192.000s traffic 1: 90 % 3: 10 %, test 3
        312.000s traffic 3: 100 %, test 3
        372.000s traffic
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
}

/// ecs-semantics §5.8: StopServiceDeployment takes the traffic back, or leaves the service to what completed before.
#[test]
fn a_client_stops_a_canary() {
    for stop_type in [StopType::Rollback, StopType::Abort] {
        let mut world = web(CANARY);
        world.run_until(100);
        deploy(&mut world, Behaviour::default());
        world.run_until(150);
        let service_deployment = world.plane.state().services["web"].current_service_deployment().unwrap().id;
        world.done(Request::StopServiceDeployment { service_deployment, stop_type });
        world.run_until(300);
        match stop_type {
            StopType::Rollback => check(
                &(course(&world, 150) + &records(&world)),
                &expect![[r#"
                150.000s traffic 1: 100 %
                150.000s traffic
                SUCCESSFUL
                ROLLBACK_SUCCESSFUL: ECS deployment: rolling back to deploymentId ecs-svc/7072917602864530048.
            "#]],
            ),
            StopType::Abort => check(
                &(course(&world, 150) + &records(&world)),
                &expect![[r#"
                150.000s traffic
                SUCCESSFUL
                STOPPED: ECS deployment stopped by a user. Update the service to start another deployment.
            "#]],
            ),
        }
        let service = &world.plane.state().services["web"];
        let left: Vec<TaskId> = service.deployments.iter().flat_map(|found| &found.healthy).collect();
        assert_eq!(left, first_four(), "{stop_type:?}");
    }
}

/// ecs-semantics §5.8: the desired count holds for source and target alike while both are there.
#[test]
fn a_desired_count_that_changes_on_the_way_is_that_of_both() {
    let mut world = web(CANARY);
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(150);
    set_count(&mut world, 6);
    world.run_until(200);
    check(&world.counts("web"), &expect!["desired 6 running 12 pending 0 healthy 12"]);
    set_count(&mut world, 2);
    world.run_until(210);
    check(&world.counts("web"), &expect!["desired 2 running 4 pending 0 healthy 4"]);
    world.run_until(400);
    check(
        &since(&world, 141),
        &expect![[r#"
        141.000s (service web) (deployment ecs-svc/2) takes 10 % of the traffic.
        141.000s (service web) (deployment ecs-svc/2) is in lifecycle stage PRODUCTION_TRAFFIC_SHIFT.
        150.000s (service web) has started 2 tasks: (task T9) (task T10).
        150.000s (service web) has started 2 tasks: (task T11) (task T12).
        200.000s (service web) has stopped 4 running tasks: (task T8) (task T5) (task T7) (task T12).
        200.000s (service web) has stopped 4 running tasks: (task T4) (task T3) (task T10) (task T9).
        261.000s (service web) (deployment ecs-svc/2) takes 100 % of the traffic.
        261.000s (service web) (deployment ecs-svc/2) is in lifecycle stage BAKE_TIME.
        321.000s (service web) (deployment ecs-svc/2) is in lifecycle stage CLEAN_UP.
        321.000s (service web) has stopped 2 running tasks: (task T2) (task T1).
        321.000s (service web) (deployment ecs-svc/2) deployment completed.
        321.000s (service web) has reached a steady state.
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

/// ecs-semantics §5.8: no traffic moves on to a target that is not whole; what its revision lacks is started first.
#[test]
fn traffic_waits_for_a_target_that_lost_tasks() {
    let mut world = web(CANARY);
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(255);
    world.crash(TaskId(6), 1);
    world.crash(TaskId(2), 1);
    world.run_until(400);
    check(
        &since(&world, 200),
        &expect![[r#"
        255.000s (service web) has started 1 tasks: (task T9).
        255.000s (service web) has started 1 tasks: (task T10).
        296.000s (service web) (deployment ecs-svc/2) takes 100 % of the traffic.
        296.000s (service web) (deployment ecs-svc/2) is in lifecycle stage BAKE_TIME.
        356.000s (service web) (deployment ecs-svc/2) is in lifecycle stage CLEAN_UP.
        356.000s (service web) has stopped 4 running tasks: (task T10) (task T4) (task T3) (task T1).
        356.000s (service web) (deployment ecs-svc/2) deployment completed.
        356.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &course(&world, 200),
        &expect![[r#"
        296.000s traffic 2: 100 %, test 2
        356.000s traffic
    "#]],
    );
}

/// *Ours:* a first deployment has no traffic to move and nothing to go back to, so that it bakes nothing; its hooks are asked.
#[test]
fn a_first_deployment_has_no_traffic_to_move() {
    let mut world = hooked("\"PRE_SCALE_UP\", \"POST_PRODUCTION_TRAFFIC_SHIFT\"", "");
    world.run_until(100);
    check(
        &since(&world, 0),
        &expect![[r#"
        0.000s (service web) (deployment ecs-svc/1) is in lifecycle stage PRE_SCALE_UP.
        1.000s (service web) (deployment ecs-svc/1) lifecycle hook check in stage PRE_SCALE_UP: SUCCEEDED.
        1.000s (service web) (deployment ecs-svc/1) is in lifecycle stage SCALE_UP.
        1.000s (service web) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        42.000s (service web) (deployment ecs-svc/1) is in lifecycle stage POST_PRODUCTION_TRAFFIC_SHIFT.
        42.000s (service web) has reached a steady state.
        43.000s (service web) (deployment ecs-svc/1) lifecycle hook check in stage POST_PRODUCTION_TRAFFIC_SHIFT: SUCCEEDED.
        43.000s (service web) (deployment ecs-svc/1) is in lifecycle stage CLEAN_UP.
        43.000s (service web) (deployment ecs-svc/1) deployment completed.
    "#]],
    );
    check(
        &course(&world, 0),
        &expect![[r#"
        0.000s hook 1.1 check at PRE_SCALE_UP, -
        42.000s hook 2.1 check at POST_PRODUCTION_TRAFFIC_SHIFT, -
    "#]],
    );
    let mut world = hooked("\"PRE_SCALE_UP\"", "");
    world.hooks = vec![Some(HookAnswer::Failed { reason: "not today".into() })];
    // The first call was made at the start, when success was what it was answered with.
    deploy(&mut world, Behaviour::default());
    world.run_until(100);
    check(
        &records(&world),
        &expect![[r#"
            STOPPED: A newer deployment started.
            STOPPED: ECS deployment: lifecycle hook check in stage PRE_SCALE_UP failed: not today. There is no completed deployment to roll back to. Update the service with a task definition that the hook accepts, or without the hook.
        "#]],
    );
}

/// A service that is deleted in the middle moves no traffic any more and ends.
#[test]
fn a_service_is_deleted_in_the_middle() {
    let mut world = web(CANARY);
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(150);
    world.done(Request::DeleteService { service: "web".into(), deletion: Deletion::Forced });
    world.run_until(200);
    check(
        &(course(&world, 150) + &records(&world)),
        &expect![[r#"
        150.000s traffic
        SUCCESSFUL
        STOPPED: The service was deleted.
    "#]],
    );
    assert_eq!(world.plane.state().services["web"].status.as_str(), "INACTIVE");
}

/// *Ours:* a deployment goes as its service was configured when it began; another strategy is the next one's, and ROLLING takes over
/// whatever traffic was divided.
#[test]
fn a_strategy_that_changes_on_the_way_is_the_next_deployments() {
    let mut world = web(CANARY);
    world.run_until(100);
    deploy(&mut world, Behaviour::default());
    world.run_until(150);
    let rolling = UpdateService {
        service: "web".into(),
        deployment_configuration: Some(DeploymentConfiguration::default()),
        ..Default::default()
    };
    world.done(Request::UpdateService(Box::new(rolling)));
    world.run_until(200);
    assert_eq!(stage(&world), Some("PRODUCTION_TRAFFIC_SHIFT"));
    force(&mut world);
    world.run_until(400);
    check(
        &(course(&world, 150) + &records(&world)),
        &expect![[r#"
        200.000s traffic
        SUCCESSFUL
        STOPPED: A newer deployment started.
        SUCCESSFUL
    "#]],
    );
}

/// ecs-semantics §5.8: what a request may ask for.
#[test]
fn requests_are_held_to_the_ranges() {
    let mut world = web("");
    let hook = |stage, target| DeploymentHook {
        target,
        stages: [stage].into(),
        details: None,
        timeout: secs(60),
        on_timeout: HookTimeoutAction::Rollback,
    };
    let of = |strategy| DeploymentConfiguration { strategy, ..DeploymentConfiguration::default() };
    let with = |strategy, hook| DeploymentConfiguration { lifecycle_hooks: vec![hook], ..of(strategy) };
    let check_task = || HookTarget::Callback("check".into());
    let configurations = [
        of(DeploymentStrategy::BlueGreen),
        of(DeploymentStrategy::Linear { step_millipercent: 2_900, step_bake_time: secs(0) }),
        of(DeploymentStrategy::Canary { canary_millipercent: 50, canary_bake_time: secs(0) }),
        of(DeploymentStrategy::Canary { canary_millipercent: 5_050, canary_bake_time: secs(0) }),
        of(DeploymentStrategy::Canary { canary_millipercent: 5_000, canary_bake_time: secs(86_401) }),
        with(DeploymentStrategy::Rolling, hook(LifecycleStage::PostScaleUp, check_task())),
        with(DeploymentStrategy::CANARY, hook(LifecycleStage::BakeTime, check_task())),
        with(DeploymentStrategy::CANARY, hook(LifecycleStage::ProductionTrafficShift, HookTarget::Pause)),
    ];
    for configuration in configurations {
        let spec = ServiceSpec { deployment_configuration: configuration.clone(), ..service("other", 1) };
        let spec = ServiceSpec { task_definition: crate::harness::latest("web"), ..spec };
        let refused = world.request(Request::CreateService(Box::new(spec)));
        assert!(matches!(refused, Err(RequestError::InvalidParameter(_))), "{configuration:?}: {refused:?}");
    }
    let daemon = ServiceSpec {
        scheduling_strategy: SchedulingStrategy::Daemon,
        launch_target: crate::harness::on_ec2(),
        task_definition: crate::harness::latest("web"),
        deployment_configuration: DeploymentConfiguration {
            maximum_percent: 100,
            minimum_healthy_percent: 0,
            ..of(DeploymentStrategy::CANARY)
        },
        ..service("agent", 1)
    };
    let refused = world.request(Request::CreateService(Box::new(daemon)));
    assert!(matches!(refused, Err(RequestError::InvalidParameter(_))), "{refused:?}");
}
