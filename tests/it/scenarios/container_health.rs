//! The health of containers and what a service makes of it: the real agent runs the checks in virtual time.

use expect_test::expect;
use longshore::control_plane::event::{Request, UpdateService};
use longshore::model::deployment::{DeploymentCircuitBreaker, OnFailure};
use longshore::model::ids::TaskId;
use longshore::model::service::{DeploymentConfiguration, ServiceSpec};

use super::check;
use super::containers::{CHECKED, idle, task_of};
use crate::harness::{Check, ContainerBehaviour, FAILS, HANGS, Life, PASSES, World, latest, secs, service};

/// A container `main` with a check.
fn main() -> String {
    format!("name = \"main\", {CHECKED}")
}

/// Says what the checks of `main` find in tasks that are started from here on.
fn find(world: &mut World, checks: &[Check]) {
    let checks = checks.to_vec();
    world.contain("app", "main", ContainerBehaviour { checks, ..ContainerBehaviour::default() });
}

/// A service of tasks of `app` whose first tasks find this, and all others that they are well.
fn serve(count: u32, configuration: DeploymentConfiguration, checks: &[Check]) -> World {
    let mut world = idle(&[&main()]);
    find(&mut world, checks);
    let spec = ServiceSpec { deployment_configuration: configuration, ..service("app", count) };
    world.done(Request::CreateService(Box::new(spec)));
    find(&mut world, &[PASSES]);
    world
}

/// Registers another revision of `app`, whose tasks find this, and deploys it.
fn deploy(world: &mut World, behaviour: ContainerBehaviour) {
    let definition = world.plane.state().services["app"].primary().task_definition.clone();
    world.done(Request::RegisterTaskDefinition(Box::new((*definition).clone())));
    world.contain("app", "main", behaviour);
    let task_definition = Some(latest("app"));
    let update = UpdateService { service: "app".into(), task_definition, ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
}

/// ecs-semantics §1.5.1: failures in the start period do not count; a pass in it ends it.
#[test]
fn start_period() {
    let checked = "name = \"main\", health_check = { command = [\"CMD\", \"check\"], interval = \"10s\", timeout = \"4s\", retries = 2, \
                   start_period = \"60s\" }";
    for (checks, expected) in [
        (
            vec![FAILS],
            expect![[r#"
        0.000s T1 start main
        1.000s T1 main RUNNING
        1.000s T1 is RUNNING
        78.000s T1 main RUNNING UNHEALTHY
    "#]],
        ),
        (
            vec![FAILS, PASSES, FAILS],
            expect![[r#"
        0.000s T1 start main
        1.000s T1 main RUNNING
        1.000s T1 is RUNNING
        23.000s T1 main RUNNING HEALTHY
        45.000s T1 main RUNNING UNHEALTHY
    "#]],
        ),
    ] {
        let mut world = task_of(&[checked]);
        world.contain("app", "main", ContainerBehaviour { checks, ..ContainerBehaviour::default() });
        check(&world.story_until(150), &expected);
    }
}

/// ecs-semantics §1.5.1: as many failures in a row as `retries` say make UNHEALTHY, one pass in between begins anew, a check that
/// takes longer than its timeout is one. A standalone task is never stopped for it.
#[test]
fn retries_and_timeouts_of_checks() {
    let mut world = task_of(&[&format!("name = \"main\", {CHECKED}")]);
    let checks = vec![FAILS, PASSES, FAILS, PASSES, HANGS, HANGS, PASSES, FAILS, FAILS];
    world.contain("app", "main", ContainerBehaviour { checks, ..ContainerBehaviour::default() });
    check(
        &world.story_until(3600),
        &expect![[r#"
        0.000s T1 start main
        1.000s T1 main RUNNING
        1.000s T1 is RUNNING
        23.000s T1 main RUNNING HEALTHY
        59.000s T1 kill check 5 of main
        73.000s T1 kill check 6 of main
        73.000s T1 main RUNNING UNHEALTHY
        84.000s T1 main RUNNING HEALTHY
        106.000s T1 main RUNNING UNHEALTHY
    "#]],
    );
}

/// ecs-semantics §1.5.1: a task is as healthy as its essential containers: UNHEALTHY before UNKNOWN before HEALTHY; one without a check
/// keeps it UNKNOWN, one that is not essential has no say.
#[test]
fn task_health_is_that_of_essential_containers() {
    let checked = |name: &str, more: &str| format!("name = \"{name}\", {CHECKED}{more}");
    let (a, b, side) = (checked("a", ""), checked("b", ""), checked("side", ", essential = false"));
    let unchecked = "name = \"b\"".to_owned();
    for (containers, checks, expected) in [
        ([&a, &b, &side], [PASSES, PASSES, FAILS], "HEALTHY"),
        ([&a, &b, &side], [PASSES, FAILS, PASSES], "UNHEALTHY"),
        ([&a, &unchecked, &side], [PASSES, PASSES, PASSES], "UNKNOWN"),
        ([&a, &unchecked, &side], [FAILS, PASSES, PASSES], "UNHEALTHY"),
    ] {
        let mut world = task_of(&containers.map(String::as_str));
        for (name, found) in ["a", "b", "side"].into_iter().zip(checks) {
            world.contain("app", name, ContainerBehaviour { checks: vec![found], ..ContainerBehaviour::default() });
        }
        world.run_until(100);
        let task = &world.plane.state().tasks[&TaskId(1)].task;
        assert_eq!(task.health_status().as_str(), expected, "{containers:?}");
    }
}

/// ecs-semantics §5.2: a service's task with a check counts when the check passes, however long it has run.
#[test]
fn a_checked_task_counts_when_it_is_healthy() {
    let slow = Check { takes: secs(3), ..PASSES };
    let mut world = serve(1, DeploymentConfiguration::default(), &[FAILS, slow]);
    world.run_until(100);
    check(
        &world.service_events("app"),
        &expect![[r#"
        0.000s (service app) has started 1 tasks: (task T1).
        25.000s (service app) (deployment ecs-svc/1) deployment completed.
        25.000s (service app) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.4, §2.4: a service's task that becomes unhealthy has a healthy replacement before it goes, with the code and
/// the reason of its health.
#[test]
fn unhealthy_tasks_are_replaced_start_first() {
    let mut world = serve(1, DeploymentConfiguration::default(), &[PASSES, PASSES, FAILS]);
    check(
        &world.story_until(100),
        &expect![[r#"
        0.000s T1 start main
        1.000s T1 main RUNNING
        1.000s T1 is RUNNING
        12.000s T1 main RUNNING HEALTHY
        45.000s T1 main RUNNING UNHEALTHY
        45.000s T2 start main
        46.000s T2 main RUNNING
        46.000s T2 is RUNNING
        57.000s T1 signal main
        57.000s T1 is STOPPING ServiceSchedulerInitiated: Task failed container health checks
        57.000s T2 main RUNNING HEALTHY
        58.000s T1 main STOPPED 143 UNHEALTHY
        58.000s T1 is STOPPED ServiceSchedulerInitiated: Task failed container health checks
    "#]],
    );
    check(
        &world.service_events("app"),
        &expect![[r#"
        0.000s (service app) has started 1 tasks: (task T1).
        12.000s (service app) (deployment ecs-svc/1) deployment completed.
        12.000s (service app) has reached a steady state.
        45.000s (service app) (task T1) failed container health checks.
        45.000s (service app) has started 1 tasks: (task T2).
        57.000s (service app) has stopped 1 running tasks: (task T1).
        57.000s (service app) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.4: without room above, unhealthy tasks are stopped before their replacements start, one at a time, as far as the
/// lower bound allows.
#[test]
fn unhealthy_tasks_are_replaced_stop_first_without_room() {
    let bounds = DeploymentConfiguration { minimum_healthy_percent: 50, maximum_percent: 100, ..Default::default() };
    let mut world = serve(2, bounds, &[PASSES, PASSES, FAILS]);
    world.run_until(100);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 app:1 STOPPED created 0.000s started 1.000s stopping 45.000s stopped 46.000s ServiceSchedulerInitiated: Task failed container health checks
        T2 app:1 STOPPED created 0.000s started 1.000s stopping 57.000s stopped 58.000s ServiceSchedulerInitiated: Task failed container health checks
        T3 app:1 RUNNING created 45.000s started 46.000s
        T4 app:1 RUNNING created 57.000s started 58.000s
    "#]],
    );
}

/// ecs-semantics §5.4: a replacement that is unhealthy itself is not kept beside the other: one of the two goes, and the count stays
/// what it should be.
#[test]
fn unhealthy_replacements_are_replaced() {
    let mut world = serve(1, DeploymentConfiguration::default(), &[PASSES, FAILS]);
    find(&mut world, &[FAILS]);
    world.run_until(60);
    find(&mut world, &[PASSES]);
    world.run_until(200);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 app:1 STOPPED created 0.000s started 1.000s stopping 57.000s stopped 58.000s ServiceSchedulerInitiated: Task failed container health checks
        T2 app:1 STOPPED created 34.000s started 35.000s stopping 80.000s stopped 81.000s ServiceSchedulerInitiated: Task failed container health checks
        T3 app:1 STOPPED created 57.000s started 58.000s stopping 92.000s stopped 93.000s ServiceSchedulerInitiated: Task failed container health checks
        T4 app:1 RUNNING created 80.000s started 81.000s
    "#]],
    );
    check(&world.counts("app"), &expect!["desired 1 running 1 pending 0 healthy 1"]);
}

/// ecs-semantics §5.4: for `healthCheckGracePeriodSeconds` after its start a task's failing checks change nothing; a task that is
/// still unhealthy then is replaced at once.
#[test]
fn grace_period_of_a_service() {
    let mut world = idle(&[&main()]);
    find(&mut world, &[FAILS]);
    let spec = ServiceSpec { health_check_grace_period: secs(60), ..service("app", 1) };
    world.done(Request::CreateService(Box::new(spec)));
    find(&mut world, &[PASSES]);
    world.run_until(100);
    check(
        &world.service_events("app"),
        &expect![[r#"
        0.000s (service app) has started 1 tasks: (task T1).
        61.000s (service app) (task T1) failed container health checks.
        61.000s (service app) has started 1 tasks: (task T2).
        73.000s (service app) has stopped 1 running tasks: (task T1).
        73.000s (service app) (deployment ecs-svc/1) deployment completed.
        73.000s (service app) has reached a steady state.
    "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 app:1 STOPPED created 0.000s started 1.000s stopping 73.000s stopped 74.000s ServiceSchedulerInitiated: Task failed container health checks
        T2 app:1 RUNNING created 61.000s started 62.000s
    "#]],
    );
}

/// ecs-semantics §5.7, stage 2: tasks that fail their checks trip the breaker, and the service goes back to the revision before.
#[test]
fn failing_checks_trip_the_breaker() {
    let breaker = DeploymentCircuitBreaker { on_failure: OnFailure::Rollback, ..Default::default() };
    let breaker = DeploymentConfiguration { circuit_breaker: Some(breaker), ..Default::default() };
    let mut world = serve(2, breaker, &[PASSES]);
    world.run_until(100);
    deploy(&mut world, ContainerBehaviour { checks: vec![FAILS], ..ContainerBehaviour::default() });
    world.run_until(400);
    check(
        &world.service_events("app"),
        &expect![[r#"
        0.000s (service app) has started 2 tasks: (task T1) (task T2).
        12.000s (service app) (deployment ecs-svc/1) deployment completed.
        12.000s (service app) has reached a steady state.
        100.000s (service app) has started 2 tasks: (task T3) (task T4).
        123.000s (service app) (task T3) failed container health checks.
        123.000s (service app) (task T4) failed container health checks.
        123.000s (service app) has stopped 1 running tasks: (task T4).
        123.000s (service app) has started 1 tasks: (task T5).
        146.000s (service app) (task T5) failed container health checks.
        146.000s (service app) (deployment ecs-svc/2) deployment failed: tasks failed to become healthy.
        146.000s (service app) rolling back to deployment ecs-svc/1.
        146.000s (service app) has stopped 2 running tasks: (task T5) (task T3).
        146.000s (service app) (deployment ecs-svc/1) deployment completed.
        146.000s (service app) has reached a steady state.
    "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 app:1 RUNNING created 0.000s started 1.000s
        T2 app:1 RUNNING created 0.000s started 1.000s
        T3 app:2 STOPPED created 100.000s started 101.000s stopping 146.000s stopped 147.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/2)
        T4 app:2 STOPPED created 100.000s started 101.000s stopping 123.000s stopped 124.000s ServiceSchedulerInitiated: Task failed container health checks
        T5 app:2 STOPPED created 123.000s started 124.000s stopping 146.000s stopped 147.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/2)
    "#]],
    );
}

/// ecs-semantics §5.4: during a deployment an unhealthy task of the old revision is replaced by one of the old revision.
#[test]
fn unhealthy_tasks_are_replaced_from_their_own_revision() {
    let roomy = DeploymentConfiguration { maximum_percent: 300, ..Default::default() };
    let mut world = serve(2, roomy, &[PASSES, PASSES, PASSES, FAILS]);
    world.run_until(20);
    deploy(&mut world, ContainerBehaviour { start: secs(100), ..ContainerBehaviour::default() });
    world.run_until(50);
    find(&mut world, &[PASSES]);
    world.run_until(200);
    check(
        &world.service_events("app"),
        &expect![[r#"
            0.000s (service app) has started 2 tasks: (task T1) (task T2).
            12.000s (service app) (deployment ecs-svc/1) deployment completed.
            12.000s (service app) has reached a steady state.
            20.000s (service app) has started 2 tasks: (task T3) (task T4).
            56.000s (service app) (task T1) failed container health checks.
            56.000s (service app) has started 1 tasks: (task T5).
            56.000s (service app) (task T2) failed container health checks.
            56.000s (service app) has started 1 tasks: (task T6).
            68.000s (service app) has stopped 1 running tasks: (task T2).
            68.000s (service app) has stopped 1 running tasks: (task T1).
            131.000s (service app) has stopped 1 running tasks: (task T6).
            131.000s (service app) has stopped 1 running tasks: (task T5).
            131.000s (service app) (deployment ecs-svc/2) deployment completed.
            131.000s (service app) has reached a steady state.
        "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
            T1 app:1 STOPPED created 0.000s started 1.000s stopping 68.000s stopped 69.000s ServiceSchedulerInitiated: Task failed container health checks
            T2 app:1 STOPPED created 0.000s started 1.000s stopping 68.000s stopped 69.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
            T3 app:2 RUNNING created 20.000s started 120.000s
            T4 app:2 RUNNING created 20.000s started 120.000s
            T5 app:1 STOPPED created 56.000s started 57.000s stopping 131.000s stopped 132.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
            T6 app:1 STOPPED created 56.000s started 57.000s stopping 131.000s stopped 132.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        "#]],
    );
}

/// ecs-semantics §1.5.1, §1.5.2: a container that is started again begins with checks of its own (*Ours:* until they pass its
/// health is not known, and its service keeps it).
#[test]
fn restarts_of_checked_containers() {
    let restarted = format!("{}, restart_policy = {{ enabled = true, restart_attempt_period = \"60s\" }}", main());
    let mut world = idle(&[&restarted]);
    let lives = vec![Life::Exit { after: secs(65), code: 1 }, Life::Endless];
    world.contain("app", "main", ContainerBehaviour { lives, ..ContainerBehaviour::default() });
    world.done(Request::CreateService(Box::new(service("app", 1))));
    check(
        &world.story_until(200),
        &expect![[r#"
        0.000s T1 start main
        1.000s T1 main RUNNING
        1.000s T1 is RUNNING
        12.000s T1 main RUNNING HEALTHY
        66.000s T1 start main
        66.000s T1 main RUNNING HEALTHY restarted 1
        67.000s T1 main RUNNING restarted 1
        78.000s T1 main RUNNING HEALTHY restarted 1
    "#]],
    );
    check(
        &world.service_events("app"),
        &expect![[r#"
        0.000s (service app) has started 1 tasks: (task T1).
        12.000s (service app) (deployment ecs-svc/1) deployment completed.
        12.000s (service app) has reached a steady state.
    "#]],
    );
}
