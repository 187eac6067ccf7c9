//! Containers in a task: order, restarts and stops, as the control plane sees them.
//!
//! The real agent runs them in virtual time. A story has what agents order (`start db`, `signal db`, `kill db`) and what is known of
//! containers and tasks after it.

use expect_test::expect;
use longshore::control_plane::event::Request;
use longshore::model::ids::TaskId;

use super::check;
use crate::harness::{Behaviour, ContainerBehaviour, End, FAILS, Life, PASSES, World, secs};

/// A cluster file of a task definition `app` on Fargate, of containers that are each given as in `name = "db", essential = false`.
fn file(containers: &[&str]) -> String {
    let spin = |container: &&str| format!("{{ image = \"../workloads/limits/spin.wat\", {container} }}");
    format!(
        r#"
        [cluster]
        name = "test"
        [[task_definition]]
        family = "app"
        cpu = "256"
        memory = "512"
        requires_compatibilities = ["FARGATE"]
        container = [{}]
        "#,
        containers.iter().map(spin).collect::<Vec<_>>().join(", ")
    )
}

/// A world with these containers in a definition `app`, of which nothing runs.
pub(super) fn idle(containers: &[&str]) -> World {
    World::of_file(&file(containers))
}

/// A world with these containers in a standalone task, which runs from the first step on.
pub(super) fn task_of(containers: &[&str]) -> World {
    let run = "[[run_task]]\ntask_definition = \"app\"\nlaunch_type = \"FARGATE\"\n";
    World::of_file(&(file(containers) + run))
}

/// A check each 10 s that may take 4 s; two failures make unhealthy.
pub(super) const CHECKED: &str =
    "health_check = { command = [\"CMD\", \"check\"], interval = \"10s\", timeout = \"4s\", retries = 2 }";

/// An item of `depends_on`.
fn after(name: &str, condition: &str) -> String {
    format!("{{ container_name = \"{name}\", condition = \"{condition}\" }}")
}

fn stop(world: &mut World) {
    world.done(Request::StopTask { task: TaskId(1), reason: None });
}

/// ecs-semantics §1.5, §2.1, §2.3: each of the four conditions is waited for, COMPLETE with whatever code; the task is RUNNING, and
/// has a `startedAt`, when all of its containers have started.
#[test]
fn dependencies_are_waited_for() {
    let app = format!(
        "name = \"app\", depends_on = [{}, {}, {}, {}]",
        after("migrate", "SUCCESS"),
        after("setup", "COMPLETE"),
        after("cache", "HEALTHY"),
        after("log", "START")
    );
    let cache = format!("name = \"cache\", essential = false, {CHECKED}");
    let others = [
        "name = \"migrate\", essential = false",
        "name = \"setup\", essential = false",
        "name = \"log\", essential = false",
    ];
    let mut world = task_of(&[&app, others[0], others[1], &cache, others[2]]);
    world.contain("app", "migrate", ContainerBehaviour::ending(4, 0));
    world.contain("app", "setup", ContainerBehaviour::ending(7, 3));
    world.contain("app", "cache", ContainerBehaviour { checks: vec![FAILS, PASSES], ..ContainerBehaviour::default() });
    world.contain("app", "log", ContainerBehaviour { start: secs(30), ..ContainerBehaviour::default() });
    check(
        &world.story_until(60),
        &expect![[r#"
        0.000s T1 start migrate
        0.000s T1 start setup
        0.000s T1 start cache
        0.000s T1 start log
        1.000s T1 migrate RUNNING
        1.000s T1 setup RUNNING
        1.000s T1 cache RUNNING
        5.000s T1 migrate STOPPED 0
        8.000s T1 setup STOPPED 3
        23.000s T1 cache RUNNING HEALTHY
        30.000s T1 start app
        30.000s T1 log RUNNING
        31.000s T1 app RUNNING
        31.000s T1 is RUNNING
    "#]],
    );
}

/// ecs-semantics §1.5, §2.3, §2.4: a dependency that is not what others wait for within its `start_timeout`, from its own start on,
/// ends the task: 143 for who waits, `TaskFailedToStart` for the task. What is COMPLETE, SUCCESS or HEALTHY in time is none.
#[test]
fn start_timeouts_end_the_task() {
    for (condition, expected) in [
        (
            "COMPLETE",
            expect![[r#"
            0.000s T1 start dep
            5.000s T1 dep RUNNING
            25.000s T1 signal dep
            25.000s T1 app STOPPED 143 (CannotStartContainerError: container "dep" was not COMPLETE within its start timeout of 20 s)
            25.000s T1 is STOPPING TaskFailedToStart: CannotStartContainerError: container "dep" was not COMPLETE within its start timeout of 20 s
            26.000s T1 dep STOPPED 143
            26.000s T1 is STOPPED TaskFailedToStart: CannotStartContainerError: container "dep" was not COMPLETE within its start timeout of 20 s
        "#]],
        ),
        (
            "SUCCESS",
            expect![[r#"
            0.000s T1 start dep
            5.000s T1 dep RUNNING
            25.000s T1 signal dep
            25.000s T1 app STOPPED 143 (CannotStartContainerError: container "dep" was not SUCCESS within its start timeout of 20 s)
            25.000s T1 is STOPPING TaskFailedToStart: CannotStartContainerError: container "dep" was not SUCCESS within its start timeout of 20 s
            26.000s T1 dep STOPPED 143
            26.000s T1 is STOPPED TaskFailedToStart: CannotStartContainerError: container "dep" was not SUCCESS within its start timeout of 20 s
        "#]],
        ),
        (
            "HEALTHY",
            expect![[r#"
            0.000s T1 start dep
            5.000s T1 dep RUNNING
            25.000s T1 signal dep
            25.000s T1 app STOPPED 143 (CannotStartContainerError: container "dep" was not HEALTHY within its start timeout of 20 s)
            25.000s T1 is STOPPING TaskFailedToStart: CannotStartContainerError: container "dep" was not HEALTHY within its start timeout of 20 s
            26.000s T1 dep STOPPED 143
            26.000s T1 is STOPPED TaskFailedToStart: CannotStartContainerError: container "dep" was not HEALTHY within its start timeout of 20 s
        "#]],
        ),
    ] {
        let app = format!("name = \"app\", depends_on = [{}]", after("dep", condition));
        let dep = format!("name = \"dep\", essential = false, start_timeout = \"20s\", {CHECKED}");
        let mut world = task_of(&[&app, &dep]);
        let dep = ContainerBehaviour { start: secs(5), checks: vec![FAILS], ..ContainerBehaviour::default() };
        world.contain("app", "dep", dep);
        check(&world.story_until(60), &expected);
    }
}

/// ecs-semantics §1.5, §2.3: the start timeout does not apply to START.
#[test]
fn start_timeouts_do_not_apply_to_start() {
    let app = format!("name = \"app\", depends_on = [{}]", after("dep", "START"));
    let mut world = task_of(&[&app, "name = \"dep\", essential = false, start_timeout = \"2s\""]);
    world.contain("app", "dep", ContainerBehaviour { start: secs(9), ..ContainerBehaviour::default() });
    check(
        &world.story_until(60),
        &expect![[r#"
        0.000s T1 start dep
        9.000s T1 start app
        9.000s T1 dep RUNNING
        10.000s T1 app RUNNING
        10.000s T1 is RUNNING
    "#]],
    );
}

/// ecs-semantics §2.2, §2.3: a SUCCESS dependency that ends with another code ends who waits for it with 143. An essential one ends
/// the task with it, another one does not.
#[test]
fn failed_dependencies() {
    for (essential, expected) in [
        (
            "true",
            expect![[r#"
        0.000s T1 start main
        0.000s T1 start init
        1.000s T1 main RUNNING
        1.000s T1 init RUNNING
        4.000s T1 signal main
        4.000s T1 init STOPPED 1
        4.000s T1 late STOPPED 143 (CannotStartContainerError: container "init", which must succeed before it, ended with exit code 1)
        4.000s T1 is STOPPING TaskFailedToStart: CannotStartContainerError: container "init", which must succeed before it, ended with exit code 1
        5.000s T1 main STOPPED 143
        5.000s T1 is STOPPED TaskFailedToStart: CannotStartContainerError: container "init", which must succeed before it, ended with exit code 1
    "#]],
        ),
        (
            "false",
            expect![[r#"
        0.000s T1 start main
        0.000s T1 start init
        1.000s T1 main RUNNING
        1.000s T1 init RUNNING
        4.000s T1 init STOPPED 1
        4.000s T1 late STOPPED 143 (CannotStartContainerError: container "init", which must succeed before it, ended with exit code 1)
        4.000s T1 is RUNNING
    "#]],
        ),
    ] {
        let late = format!("name = \"late\", essential = {essential}, depends_on = [{}]", after("init", "SUCCESS"));
        let mut world = task_of(&["name = \"main\"", "name = \"init\", essential = false", &late]);
        world.contain("app", "init", ContainerBehaviour::ending(3, 1));
        check(&world.story_until(60), &expected);
    }
}

/// ecs-semantics §2.3: containers are stopped in the reverse order, each with its own stop timeout from its own signal on, so that
/// the task's stop takes the sum of a chain. §2.4: who does not end by itself is killed, 137, and who does ends with 143.
#[test]
fn stop_order_is_reversed_and_timeouts_add_up() {
    let web = format!("name = \"web\", depends_on = [{}]", after("api", "START"));
    let api = format!("name = \"api\", stop_timeout = \"10s\", depends_on = [{}]", after("db", "START"));
    let mut world = task_of(&[&web, &api, "name = \"db\", stop_timeout = \"5s\"", "name = \"log\", essential = false"]);
    for (name, stop) in [("web", 3), ("api", 99), ("db", 99), ("log", 2)] {
        let endless = ContainerBehaviour { stop: secs(stop), ..ContainerBehaviour::default() };
        world.contain("app", name, endless);
    }
    world.story_until(100);
    stop(&mut world);
    check(
        &world.story_until(200),
        &expect![[r#"
        100.000s T1 signal web
        100.000s T1 signal log
        100.000s T1 is STOPPING UserInitiated: Task stopped by user
        102.000s T1 log STOPPED 143
        103.000s T1 signal api
        103.000s T1 web STOPPED 143
        113.000s T1 kill api
        113.000s T1 signal db
        113.000s T1 api STOPPED 137
        118.000s T1 kill db
        118.000s T1 db STOPPED 137
        118.000s T1 is STOPPED UserInitiated: Task stopped by user
    "#]],
    );
}

/// ecs-semantics §2.2, §2.4: the end of an essential container, exit code 0 included, stops all others in their order; that of
/// another one stops none.
#[test]
fn essential_or_not() {
    for (ends, expected) in [
        (
            "main",
            expect![[r#"
        0.000s T1 start main
        0.000s T1 start db
        1.000s T1 start side
        1.000s T1 main RUNNING
        1.000s T1 db RUNNING
        2.000s T1 side RUNNING
        2.000s T1 is RUNNING
        21.000s T1 signal side
        21.000s T1 main STOPPED 0
        21.000s T1 is STOPPING EssentialContainerExited: Essential container in task exited
        22.000s T1 signal db
        22.000s T1 side STOPPED 143
        23.000s T1 db STOPPED 143
        23.000s T1 is STOPPED EssentialContainerExited: Essential container in task exited
    "#]],
        ),
        (
            "side",
            expect![[r#"
        0.000s T1 start main
        0.000s T1 start db
        1.000s T1 start side
        1.000s T1 main RUNNING
        1.000s T1 db RUNNING
        2.000s T1 side RUNNING
        2.000s T1 is RUNNING
        22.000s T1 side STOPPED 0
    "#]],
        ),
    ] {
        let side = format!("name = \"side\", essential = false, depends_on = [{}]", after("db", "START"));
        let mut world = task_of(&["name = \"main\"", "name = \"db\"", &side]);
        for name in ["main", "db", "side"] {
            world.contain("app", name, ContainerBehaviour::default());
        }
        world.contain("app", ends, ContainerBehaviour::ending(20, 0));
        check(&world.story_until(60), &expected);
    }
}

/// ecs-semantics §1.5.2: a container with a restart policy is started again at once and in its task, essential or not, without a limit;
/// an ignored code or an end within the attempt period is final; the period counts from the last start.
#[test]
fn restart_policies() {
    let main = "name = \"main\", restart_policy = { enabled = true, ignored_exit_codes = [7], restart_attempt_period = \"60s\" }";
    let side =
        "name = \"side\", essential = false, restart_policy = { enabled = true, restart_attempt_period = \"60s\" }";
    let exit = |after, code| Life::Exit { after: secs(after), code };
    for (lives, expected) in [
        (
            vec![exit(60, 0), exit(70, 1), exit(59, 1)],
            expect![[r#"
            0.000s T1 start main
            0.000s T1 start side
            1.000s T1 main RUNNING
            1.000s T1 side RUNNING
            1.000s T1 is RUNNING
            61.000s T1 start main
            61.000s T1 main RUNNING restarted 1
            62.000s T1 start side
            62.000s T1 side RUNNING restarted 1
            124.000s T1 start side
            124.000s T1 side RUNNING restarted 2
            132.000s T1 start main
            132.000s T1 main RUNNING restarted 2
            135.000s T1 side STOPPED 0 restarted 2
            192.000s T1 main STOPPED 1 restarted 2
            192.000s T1 is STOPPED EssentialContainerExited: Essential container in task exited
        "#]],
        ),
        (
            vec![exit(80, 1), exit(500, 7)],
            expect![[r#"
            0.000s T1 start main
            0.000s T1 start side
            1.000s T1 main RUNNING
            1.000s T1 side RUNNING
            1.000s T1 is RUNNING
            62.000s T1 start side
            62.000s T1 side RUNNING restarted 1
            81.000s T1 start main
            81.000s T1 main RUNNING restarted 1
            124.000s T1 start side
            124.000s T1 side RUNNING restarted 2
            135.000s T1 side STOPPED 0 restarted 2
            582.000s T1 main STOPPED 7 restarted 1
            582.000s T1 is STOPPED EssentialContainerExited: Essential container in task exited
        "#]],
        ),
    ] {
        let mut world = task_of(&[main, side]);
        world.contain("app", "main", ContainerBehaviour { lives, ..ContainerBehaviour::default() });
        let lives = vec![exit(61, 1), exit(61, 2), exit(10, 0)];
        world.contain("app", "side", ContainerBehaviour { lives, ..ContainerBehaviour::default() });
        check(&world.story_until(1000), &expected);
    }
}

/// ecs-semantics §1.5.2: a container of a task that is to stop is not started again; without a policy none is, nor with one that is
/// not enabled.
#[test]
fn no_restarts_in_a_stop_or_without_a_policy() {
    let main = "name = \"main\", restart_policy = { enabled = true, restart_attempt_period = \"60s\" }";
    let mut stopping = task_of(&[main]);
    stopping.contain("app", "main", ContainerBehaviour::default());
    stopping.run_until(200);
    stop(&mut stopping);
    check(
        &stopping.story_until(300),
        &expect![[r#"
        0.000s T1 start main
        200.000s T1 signal main
        200.000s T1 main RUNNING
        200.000s T1 is STOPPING UserInitiated: Task stopped by user
        201.000s T1 main STOPPED 143
        201.000s T1 is STOPPED UserInitiated: Task stopped by user
    "#]],
    );
    let mut disabled = task_of(&["name = \"main\", restart_policy = { enabled = false }"]);
    disabled.behave("app", Behaviour { end: End::Exit { after: secs(400), code: 1 }, ..Behaviour::default() });
    check(
        &disabled.story_until(500),
        &expect![[r#"
        1.000s T1 main RUNNING
        1.000s T1 is RUNNING
        401.000s T1 main STOPPED 1
        401.000s T1 is STOPPED EssentialContainerExited: Essential container in task exited
    "#]],
    );
}

/// ecs-semantics §2.4, §3.6: a container that can't be started, or not within three minutes, fails the start of its task.
#[test]
fn containers_that_cannot_start() {
    for (life, expected) in [
        (
            Life::CannotStart,
            expect![[r#"
        0.000s T1 start db
        1.000s T1 main STOPPED
        1.000s T1 db STOPPED (CannotStartContainerError: no such program)
        1.000s T1 is STOPPED TaskFailedToStart: CannotStartContainerError: no such program
    "#]],
        ),
        (
            Life::NeverStarts,
            expect![[r#"
        0.000s T1 start db
        180.000s T1 kill db
        180.000s T1 main STOPPED
        180.000s T1 db STOPPED (DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s)
        180.000s T1 is STOPPED TaskFailedToStart: DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s
    "#]],
        ),
    ] {
        let main = format!("name = \"main\", depends_on = [{}]", after("db", "START"));
        let mut world = task_of(&[&main, "name = \"db\""]);
        world.contain("app", "db", ContainerBehaviour { lives: vec![life], ..ContainerBehaviour::default() });
        check(&world.story_until(300), &expected);
    }
}

/// ecs-semantics §2.1: a task that is stopped while its containers wait for each other has no `startedAt`, and those that never began
/// have no exit code.
#[test]
fn stopped_while_it_starts() {
    let main = format!("name = \"main\", depends_on = [{}]", after("db", "HEALTHY"));
    let mut world = task_of(&[&main, &format!("name = \"db\", {CHECKED}")]);
    world.story_until(5);
    stop(&mut world);
    check(
        &world.story_until(60),
        &expect![[r#"
        5.000s T1 signal db
        5.000s T1 is STOPPING UserInitiated: Task stopped by user
        5.000s T1 main STOPPED
        6.000s T1 db STOPPED 143
        6.000s T1 is STOPPED UserInitiated: Task stopped by user
    "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 app:1 STOPPED created 0.000s stopping 5.000s stopped 6.000s UserInitiated: Task stopped by user
    "#]],
    );
}
