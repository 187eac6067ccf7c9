//! Containers of a task that depend on each other, are checked and started again: real guests through the data plane.

use std::time::Duration;

use longshore::control_plane::action::TaskHost;
use longshore::control_plane::event::{TaskStateChange, TaskStep};
use longshore::model::container_order::{ContainerDependency, DependencyCondition};
use longshore::model::ids::TaskId;
use longshore::model::task::{ContainerOverride, ContainerStatus, HealthStatus, TaskOverrides};
use longshore::model::task_definition::{ContainerDefinition, HealthCheck, RestartPolicy, Secret};

use crate::plane::{PATIENCE, Plane, container, definition, limits};

/// Without arguments it waits for the end of its input and ends with 7; with one it ends with 0, with two it says `sick` and ends with
/// 1, with more it spins. Two functions say how it is.
const SERVICE: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\20\00\00\00\00\10\00\00")
    (data (i32.const 48) "\40\00\00\00\05\00\00\00")
    (data (i32.const 64) "sick\n")
    (func (export "healthy") (result i32) (i32.const 0))
    (func (export "sick") (result i32) (i32.const 1))
    (func (export "_start") (local $count i32)
        (drop (call $args_sizes (i32.const 16) (i32.const 20)))
        (local.set $count (i32.load (i32.const 16)))
        (if (i32.eq (local.get $count) (i32.const 2)) (then (return)))
        (if (i32.eq (local.get $count) (i32.const 3)) (then
            (drop (call $write (i32.const 1) (i32.const 48) (i32.const 1) (i32.const 24)))
            (call $exit (i32.const 1))))
        (if (i32.gt_u (local.get $count) (i32.const 3)) (then (loop $spin (br $spin))))
        (loop $again
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if $again (i32.load (i32.const 8))))
        (call $exit (i32.const 7))))"#;

/// Prints its variables as they lie in its memory.
const VARIABLES: &str = r#"(module
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (drop (call $env_sizes (i32.const 16) (i32.const 20)))
        (drop (call $env (i32.const 1024) (i32.const 16384)))
        (i32.store (i32.const 0) (i32.const 16384))
        (i32.store (i32.const 4) (i32.load (i32.const 20)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

fn named(name: &str, image: &str) -> ContainerDefinition {
    ContainerDefinition { name: name.to_owned(), ..container(image) }
}

fn after(mut container: ContainerDefinition, name: &str, condition: DependencyCondition) -> ContainerDefinition {
    container.depends_on.push(ContainerDependency { container_name: name.to_owned(), condition });
    container
}

fn checked(container: ContainerDefinition, command: &[&str]) -> ContainerDefinition {
    let check = HealthCheck {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(100),
        retries: 2,
        start_period: Duration::ZERO,
    };
    ContainerDefinition { health_check: Some(check), ..container }
}

/// Reads the changes of a task up to the one wanted, and shows them all.
fn changes_until(plane: &Plane, task: TaskId, is_wanted: impl Fn(&TaskStateChange) -> bool) -> Vec<String> {
    let mut shown = Vec::new();
    loop {
        let change = plane.change();
        assert_eq!(change.task, task);
        for container in &change.containers {
            let mut text = format!("{} {}", container.container_index, container.status.as_str());
            if let Some(code) = container.exit.exit_code {
                text += &format!(" {code}");
            }
            if let Some(health) = container.health {
                text += &format!(" {}", health.as_str());
            }
            shown.push(text);
        }
        match &change.step {
            TaskStep::Running => shown.push("running".to_owned()),
            TaskStep::Stopped { .. } => shown.push("stopped".to_owned()),
            TaskStep::Pulling | TaskStep::ContainersChanged => {}
        }
        if is_wanted(&change) {
            return shown;
        }
        assert!(!matches!(change.step, TaskStep::Stopped { .. }), "it ended: {shown:?}");
    }
}

fn runs(change: &TaskStateChange) -> bool {
    matches!(change.step, TaskStep::Running)
}

fn is_over(change: &TaskStateChange) -> bool {
    matches!(change.step, TaskStep::Stopped { .. })
}

fn has_health(health: HealthStatus) -> impl Fn(&TaskStateChange) -> bool {
    move |change| change.containers.iter().any(|container| container.health == Some(health))
}

/// Claim: containers start in the order of their conditions and stop in the reverse one. **Source:** ecs-semantics §2.3.
#[test]
fn order_of_start_and_stop() {
    let plane = Plane::new();
    let service = plane.module("service", SERVICE);
    let init = ContainerDefinition { essential: false, command: vec!["once".to_owned()], ..named("init", &service) };
    let db = after(checked(named("db", &service), &["CMD", "db", "probe"]), "init", DependencyCondition::Success);
    let app = after(named("app", &service), "db", DependencyCondition::Healthy);
    let task = plane.start(definition(vec![app, db, init]));
    let expected = ["2 RUNNING", "2 STOPPED 0", "1 RUNNING", "1 RUNNING HEALTHY", "0 RUNNING", "running"];
    assert_eq!(changes_until(&plane, task, runs), expected);
    plane.plane.stop_task(task);
    assert_eq!(changes_until(&plane, task, is_over), ["0 STOPPED 7", "1 STOPPED 7", "stopped"]);
    assert!(plane.plane.usage().is_empty());
}

/// Claim: a chain of containers that ignore their stop ends one stop timeout after the other. **Source:** ecs-semantics §2.3.
#[test]
fn stop_timeouts_add_up() {
    let plane = Plane::new();
    let sleep = limits("sleep.wat");
    let api = after(named("api", &sleep), "db", DependencyCondition::Start);
    let task = plane.start(definition(vec![named("db", &sleep), api]));
    changes_until(&plane, task, runs);
    let began = plane.clock.now();
    plane.plane.stop_task(task);
    assert_eq!(changes_until(&plane, task, is_over), ["1 STOPPED 137", "0 STOPPED 137", "stopped"]);
    assert!(plane.clock.now().since(began) >= Duration::from_millis(600), "each has 300 ms");
}

/// Claim: checks that fail make the container unhealthy and leave the task alone; what they said can be read, and what they burn is the
/// task's. A module's function is as good as a command. **Source:** ecs-semantics §1.5.1.
#[test]
fn failing_checks() {
    let plane = Plane::new();
    let service = plane.module("service", SERVICE);
    for (command, said) in [
        (&["CMD-SHELL", "probe 'a b' c || exit 1"][..], "sick\n"),
        (&["EXPORT", "sick"], ""),
        (&["EXPORT", "nothing"], ""),
    ] {
        let task = plane.start(definition(vec![checked(named("app", &service), command)]));
        let shown = changes_until(&plane, task, has_health(HealthStatus::Unhealthy));
        assert_eq!(shown, ["0 RUNNING", "running", "0 RUNNING UNHEALTHY"], "{command:?}");
        let output = plane.plane.check_output(task, 0).expect("it has checks");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), said);
        assert_eq!(output.stderr.is_empty(), command[1] != "nothing");
        plane.plane.stop_task(task);
        assert_eq!(changes_until(&plane, task, is_over), ["0 STOPPED 7", "stopped"]);
    }
    let task = plane.start(definition(vec![checked(named("app", &service), &["EXPORT", "healthy"])]));
    changes_until(&plane, task, has_health(HealthStatus::Healthy));
    plane.plane.stop_task(task);
    changes_until(&plane, task, is_over);
}

/// Claim: a check that hangs is ended at its timeout, holds up neither its container nor its task's end, and is charged to the task.
/// **Source:** ecs-semantics §1.5.1.
#[test]
fn hanging_checks() {
    let plane = Plane::new();
    let service = plane.module("service", SERVICE);
    let task = plane.start(definition(vec![checked(named("app", &service), &["CMD", "a", "b", "c", "d"])]));
    let shown = changes_until(&plane, task, has_health(HealthStatus::Unhealthy));
    assert_eq!(shown, ["0 RUNNING", "running", "0 RUNNING UNHEALTHY"]);
    assert!(plane.plane.usage_of(task).expect("it runs").fuel.0 > 1_000_000, "spinning burns fuel");
    let began = plane.clock.now();
    plane.plane.stop_task(task);
    assert_eq!(changes_until(&plane, task, is_over).last().map(String::as_str), Some("stopped"));
    assert!(plane.clock.now().since(began) < Duration::from_secs(5));
}

/// Claim: a container is started again by its policy, at once and in the same task, whose use only ever grows.
/// **Source:** ecs-semantics §1.5.2.
#[test]
fn restarts() {
    let plane = Plane::new();
    let instance = plane.launch(1);
    let policy = RestartPolicy { ignored_exit_codes: vec![0], restart_attempt_period: Duration::ZERO };
    let again = ContainerDefinition { restart_policy: Some(policy), ..named("again", &limits("exit_3.wat")) };
    let once = ContainerDefinition { essential: false, ..named("once", &limits("exit_3.wat")) };
    let task = plane.start_on(definition(vec![again, once]), TaskHost::Ec2(instance), TaskOverrides::default(), None);
    let count_is =
        |count| move |change: &TaskStateChange| change.containers.iter().any(|one| one.restart_count == count);
    changes_until(&plane, task, count_is(3));
    let before = plane.plane.usage_of(task).expect("it runs").fuel;
    let shown = changes_until(&plane, task, count_is(20));
    assert!(!shown.contains(&"0 STOPPED 3".to_owned()), "it does not cease to run: {shown:?}");
    assert!(plane.plane.usage_of(task).expect("it runs").fuel > before);
    plane.plane.stop_task(task);
    changes_until(&plane, task, is_over);
}

/// Claim: what can never start ends with 143, and its task with the reason. **Source:** ecs-semantics §2.3.
#[test]
fn dependents_that_never_start() {
    let plane = Plane::new();
    let slow = ContainerDefinition {
        essential: false,
        start_timeout: Some(Duration::from_millis(50)),
        ..named("slow", &limits("sleep.wat"))
    };
    let bad = ContainerDefinition { essential: false, ..named("bad", &limits("exit_3.wat")) };
    for (first, condition, reason) in [
        (slow, DependencyCondition::Complete, "was not COMPLETE within its start timeout of 0.05 s"),
        (bad, DependencyCondition::Success, "ended with exit code 3"),
    ] {
        let name = first.name.clone();
        let app = after(named("app", &limits("sleep.wat")), &name, condition);
        let ended = plane.run(definition(vec![first, app]));
        assert_eq!(ended.exits[&1].exit_code, Some(143), "{ended:?}");
        let failed = ended.failed_to_start.expect("it says why");
        assert!(failed.starts_with("CannotStartContainerError: ") && failed.contains(reason), "{failed}");
    }
}

/// Claim: a task that loses its host or its images ends at once, whatever its containers wait for.
#[test]
fn ends_from_outside() {
    let plane = Plane::new();
    let instance = plane.launch(1);
    let service = plane.module("service", SERVICE);
    let db = checked(named("db", &service), &["CMD", "a", "b", "c", "d"]);
    let app = after(named("app", &service), "db", DependencyCondition::Healthy);
    let task =
        plane.start_on(definition(vec![db, app.clone()]), TaskHost::Ec2(instance), TaskOverrides::default(), None);
    changes_until(&plane, task, |change| {
        change.containers.iter().any(|container| container.status == ContainerStatus::Running)
    });
    plane.plane.terminate_instance(instance);
    let shown = changes_until(&plane, task, is_over);
    assert!(shown.contains(&"0 STOPPED 137".to_owned()), "{shown:?}");
    let missing = named("db", &plane.folder.path().join("missing.wasm").display().to_string());
    let ended = plane.events.recv_timeout(PATIENCE).map(|_| plane.run(definition(vec![missing, app])));
    assert!(
        ended.expect("the instance is gone").failed_to_start.is_some_and(|reason| reason.starts_with("CannotPull"))
    );
}

/// Claim: variables come from files, the environment, secrets and overrides, the later ones winning; what cannot be read keeps the task
/// from starting, and the reason has no value. **Source:** ecs-semantics §1.5.
#[test]
fn variables_from_files() {
    let plane = Plane::new();
    let image = plane.module("variables", VARIABLES);
    let file = |name: &str, text: &str| {
        let path = plane.folder.path().join(name);
        std::fs::write(&path, text).expect("the file is written");
        path.display().to_string()
    };
    let container = ContainerDefinition {
        environment: [("B".to_owned(), "environment".to_owned()), ("D".to_owned(), "environment".to_owned())].into(),
        environment_files: vec![
            file("one.env", "# comment\nA=one\nB=one\nC=one\n\n"),
            file("two.env", "A=two=2\nB=two\n"),
        ],
        secrets: vec![Secret { name: "S".to_owned(), value_from: file("secret", "hush\n") }],
        ..named("app", &image)
    };
    let task = plane.start(definition(vec![container.clone()]));
    plane.wait_stopped(task);
    assert_eq!(plane.stdout(task, 0), "A=two=2\0B=environment\0C=one\0D=environment\0S=hush\0");
    let change = ContainerOverride {
        environment: [("S".to_owned(), "override".to_owned())].into(),
        environment_files: Some(vec![file("three.env", "E=three\n")]),
        ..ContainerOverride::default()
    };
    let overrides = TaskOverrides { containers: [("app".to_owned(), change)].into(), ..TaskOverrides::default() };
    let task = plane.start_on(definition(vec![container.clone()]), TaskHost::Fargate, overrides, None);
    plane.wait_stopped(task);
    assert_eq!(plane.stdout(task, 0), "B=environment\0D=environment\0E=three\0S=override\0");
    let with_check = checked(container.clone(), &["CMD", "variables"]);
    let with_secret = |from: &str| vec![Secret { name: "S".to_owned(), value_from: from.to_owned() }];
    let nowhere = plane.folder.path().join("nowhere").display().to_string();
    for base in [container, with_check] {
        let no_secret = ContainerDefinition { secrets: with_secret(&nowhere), ..base.clone() };
        let no_file =
            ContainerDefinition { environment_files: vec![file("bad.env", "A=1\nhush hush\n")], ..base.clone() };
        for (broken, reason) in [
            (no_secret, "ResourceInitializationError: unable to pull secrets: unable to read"),
            (no_file, "ResourceInitializationError: unable to read environment file"),
        ] {
            let failed = plane.run(definition(vec![broken])).failed_to_start.expect("it does not start");
            assert!(failed.starts_with(reason) && !failed.contains("hush"), "{failed}");
        }
    }
}
