//! The agent by its transcript: what it is told at which second, and what it asks for then.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;
use crate::model::container_order::{ContainerDependency, DependencyCondition::*};
use crate::model::task_definition::{HealthCheck, RestartPolicy};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn container(name: &str) -> ContainerDefinition {
    ContainerDefinition { name: name.to_owned(), ..ContainerDefinition::default() }
}

fn optional(name: &str) -> ContainerDefinition {
    ContainerDefinition { essential: false, ..container(name) }
}

fn after(mut container: ContainerDefinition, name: &str, condition: DependencyCondition) -> ContainerDefinition {
    container.depends_on.push(ContainerDependency { container_name: name.to_owned(), condition });
    container
}

/// Checks every 10 s with a timeout of 4 s; two failures make unhealthy.
fn checked(container: ContainerDefinition) -> ContainerDefinition {
    let check = HealthCheck {
        command: vec!["CMD".to_owned(), "probe".to_owned()],
        interval: secs(10),
        timeout: secs(4),
        retries: 2,
        ..HealthCheck::default()
    };
    ContainerDefinition { health_check: Some(check), ..container }
}

fn restarted(container: ContainerDefinition) -> ContainerDefinition {
    let policy = RestartPolicy { ignored_exit_codes: vec![7], restart_attempt_period: secs(60) };
    ContainerDefinition { restart_policy: Some(policy), ..container }
}

fn started(container_index: usize) -> AgentEvent {
    AgentEvent::ContainerStarted { container_index, attempt: 0 }
}

fn exited(container_index: usize, code: i32) -> AgentEvent {
    again(container_index, 0, code)
}

fn again(container_index: usize, attempt: u32, code: i32) -> AgentEvent {
    let exit = ContainerExit { exit_code: Some(code), reason: None };
    AgentEvent::ContainerExited { container_index, attempt, exit }
}

fn probe(container_index: usize, check: u64, result: CheckResult) -> AgentEvent {
    AgentEvent::CheckFinished { container_index, check, result }
}

fn show(action: &AgentAction, defined: &[ContainerDefinition]) -> String {
    let name = |index: usize| defined[index].name.as_str();
    match action {
        AgentAction::Start { container_index, attempt: 0 } => format!("start {}", name(*container_index)),
        AgentAction::Start { container_index, attempt } => {
            format!("start {} again ({attempt})", name(*container_index))
        }
        AgentAction::SignalStop { container_index } => format!("signal {}", name(*container_index)),
        AgentAction::Kill { container_index } => format!("kill {}", name(*container_index)),
        AgentAction::StartCheck { container_index, check } => format!("check {} ({check})", name(*container_index)),
        AgentAction::KillCheck { container_index, check } => format!("kill check {} ({check})", name(*container_index)),
        AgentAction::Report(AgentReport { step, containers }) => {
            let changes: Vec<String> = containers
                .iter()
                .map(|change| {
                    let mut text = format!("{} {}", name(change.container_index), change.status.as_str());
                    let _ = change.exit.exit_code.map(|code| write!(text, " {code}"));
                    let _ = change.exit.reason.as_ref().map(|reason| write!(text, " ({reason})"));
                    let _ = change.health.map(|health| write!(text, " {}", health.as_str()));
                    text
                })
                .collect();
            format!("report {step:?}: {}", changes.join(", "))
        }
    }
}

/// Tells an agent a script, and itself all deadlines in between.
#[track_caller]
fn check(containers: &[ContainerDefinition], script: &[(u64, AgentEvent)], expected: &Expect) {
    let definition = TaskDefinition { containers: containers.to_vec(), ..TaskDefinition::default() };
    let mut agent = TaskAgent::new(Arc::new(definition), secs(30));
    let mut transcript = String::new();
    let mut tell = |agent: &mut TaskAgent, now: Timestamp, event: AgentEvent| {
        let actions = agent.apply(now, event);
        let shown: Vec<String> = actions.iter().map(|action| show(action, containers)).collect();
        if !shown.is_empty() {
            let _ = writeln!(transcript, "{now} {}", shown.join("; "));
        }
        assert!(agent.next_deadline().is_none_or(|deadline| deadline > now), "a deadline is not done with");
    };
    for (at, event) in script {
        let at = Timestamp::ZERO + secs(*at);
        while let Some(deadline) = agent.next_deadline().filter(|deadline| *deadline <= at) {
            tell(&mut agent, deadline, AgentEvent::DeadlineReached);
        }
        tell(&mut agent, at, event.clone());
    }
    expected.assert_eq(&transcript);
}

use AgentEvent::{DeadlineReached as Wait, ImagesReady, Killed, StopRequested};
use CheckResult::{Failed, Passed};

/// Claim: a container starts when its SUCCESS, HEALTHY and START dependencies are met, and the task runs when all have started,
/// one that is over counting as started. **Source:** ecs-semantics §2.2, §2.3.
#[test]
fn conditions_are_waited_for() {
    let app = after(after(after(container("app"), "init", Success), "db", Healthy), "log", Start);
    check(
        &[optional("init"), checked(container("db")), container("log"), app],
        &[
            (0, ImagesReady),
            (1, started(0)),
            (1, started(1)),
            (2, exited(0, 0)),
            (12, probe(1, 1, Passed)),
            (13, started(2)),
            (14, started(3)),
            (14, started(3)),
        ],
        &expect![[r#"
            0.000s start init; start db; start log
            1.000s report ContainersChanged: init RUNNING
            1.000s report ContainersChanged: db RUNNING
            2.000s report ContainersChanged: init STOPPED 0
            11.000s check db (1)
            12.000s report ContainersChanged: db RUNNING HEALTHY
            13.000s start app; report ContainersChanged: log RUNNING
            14.000s report Running: app RUNNING
        "#]],
    );
}

/// Claim: what cannot be met any more ends the dependents with 143, and the task when one of them is essential.
/// **Source:** ecs-semantics §2.3.
#[test]
fn failed_success_dependency() {
    let side = after(optional("side"), "init", Success);
    let tail = after(optional("tail"), "side", Start);
    check(
        &[optional("init"), side.clone(), tail.clone(), container("app")],
        &[
            (0, ImagesReady),
            (0, started(0)),
            (0, started(3)),
            (2, exited(0, 1)),
            (9, StopRequested),
            (10, exited(3, 0)),
        ],
        &expect![[r#"
            0.000s start init; start app
            0.000s report ContainersChanged: init RUNNING
            0.000s report ContainersChanged: app RUNNING
            2.000s report Running: init STOPPED 1, side STOPPED 143 (CannotStartContainerError: container "init", which must succeed before it, ended with exit code 1), tail STOPPED 143 (CannotStartContainerError: container "side", which it depends on, did not start and never will)
            9.000s signal app
            10.000s report Stopped { failed_to_start: None }: app STOPPED 0
        "#]],
    );
    check(
        &[optional("init"), side, tail, after(container("app"), "init", Success)],
        &[(0, ImagesReady), (1, started(0)), (2, exited(0, 1))],
        &expect![[r#"
            0.000s start init
            1.000s report ContainersChanged: init RUNNING
            2.000s report Stopped { failed_to_start: Some("CannotStartContainerError: container \"init\", which must succeed before it, ended with exit code 1") }: init STOPPED 1, side STOPPED 143 (CannotStartContainerError: container "init", which must succeed before it, ended with exit code 1), tail STOPPED 143 (CannotStartContainerError: container "side", which it depends on, did not start and never will), app STOPPED 143 (CannotStartContainerError: container "init", which must succeed before it, ended with exit code 1)
        "#]],
    );
}

/// Claim: the start timeout is measured from the dependency's own start and counts for COMPLETE, SUCCESS and HEALTHY.
/// **Source:** ecs-semantics §1.5, §2.3.
#[test]
fn start_timeouts() {
    let slow = |container| ContainerDefinition { start_timeout: Some(secs(15)), ..container };
    for (target, condition, expected) in [
        (
            slow(optional("dep")),
            Complete,
            expect![[r#"
            0.000s start dep
            5.000s report ContainersChanged: dep RUNNING
            20.000s signal dep; report ContainersChanged: app STOPPED 143 (CannotStartContainerError: container "dep" was not COMPLETE within its start timeout of 15 s)
            41.000s report Stopped { failed_to_start: Some("CannotStartContainerError: container \"dep\" was not COMPLETE within its start timeout of 15 s") }: dep STOPPED 0
        "#]],
        ),
        (
            slow(optional("dep")),
            Success,
            expect![[r#"
            0.000s start dep
            5.000s report ContainersChanged: dep RUNNING
            20.000s signal dep; report ContainersChanged: app STOPPED 143 (CannotStartContainerError: container "dep" was not SUCCESS within its start timeout of 15 s)
            41.000s report Stopped { failed_to_start: Some("CannotStartContainerError: container \"dep\" was not SUCCESS within its start timeout of 15 s") }: dep STOPPED 0
        "#]],
        ),
        (
            slow(checked(optional("dep"))),
            Healthy,
            expect![[r#"
                0.000s start dep
                5.000s report ContainersChanged: dep RUNNING
                15.000s check dep (1)
                19.000s kill check dep (1)
                20.000s signal dep; report ContainersChanged: app STOPPED 143 (CannotStartContainerError: container "dep" was not HEALTHY within its start timeout of 15 s)
                41.000s report ContainersChanged: dep STOPPED 0
                42.000s report Stopped { failed_to_start: Some("CannotStartContainerError: container \"dep\" was not HEALTHY within its start timeout of 15 s") }: 
            "#]],
        ),
        (
            slow(optional("dep")),
            Start,
            expect![[r#"
            0.000s start dep
            5.000s start app; report ContainersChanged: dep RUNNING
            41.000s report ContainersChanged: dep STOPPED 0
        "#]],
        ),
    ] {
        let script = [(0, ImagesReady), (5, started(0)), (40, Wait), (41, exited(0, 0)), (42, probe(0, 1, Failed))];
        check(&[target, after(container("app"), "dep", condition)], &script, &expected);
    }
}

/// Claim: a container is signalled when all that depend on it are over, and has its own stop timeout from then.
/// **Source:** ecs-semantics §2.3.
#[test]
fn stop_order_is_reversed() {
    let with_timeout = |container, timeout| ContainerDefinition { stop_timeout: Some(secs(timeout)), ..container };
    let containers = [
        with_timeout(container("db"), 5),
        with_timeout(after(container("api"), "db", Start), 10),
        after(container("web"), "api", Start),
        optional("log"),
    ];
    check(
        &containers,
        &[
            (0, ImagesReady),
            (0, started(0)),
            (0, started(3)),
            (0, started(1)),
            (0, started(2)),
            (100, StopRequested),
            (100, StopRequested),
            (102, exited(3, 0)),
            (104, exited(2, 0)),
            (115, exited(1, 137)),
            (121, exited(0, 137)),
            (122, exited(0, 137)),
        ],
        &expect![[r#"
            0.000s start db; start log
            0.000s start api; report ContainersChanged: db RUNNING
            0.000s report ContainersChanged: log RUNNING
            0.000s start web; report ContainersChanged: api RUNNING
            0.000s report Running: web RUNNING
            100.000s signal web; signal log
            102.000s report ContainersChanged: log STOPPED 0
            104.000s signal api; report ContainersChanged: web STOPPED 0
            114.000s kill api
            115.000s signal db; report ContainersChanged: api STOPPED 137
            120.000s kill db
            121.000s report Stopped { failed_to_start: None }: db STOPPED 137
        "#]],
    );
}

/// Claim: the end of an essential container stops the others and no other end does. **Source:** ecs-semantics §2.2.
#[test]
fn essential_exit() {
    check(
        &[container("app"), optional("side"), after(optional("late"), "side", Complete)],
        &[(0, ImagesReady), (0, started(0)), (0, started(1)), (3, exited(0, 0)), (4, exited(1, 0))],
        &expect![[r#"
            0.000s start app; start side
            0.000s report ContainersChanged: app RUNNING
            0.000s report ContainersChanged: side RUNNING
            3.000s signal side; report ContainersChanged: app STOPPED 0, late STOPPED
            4.000s report Stopped { failed_to_start: None }: side STOPPED 0
        "#]],
    );
    check(
        &[container("app"), optional("side"), after(optional("late"), "side", Start)],
        &[(0, ImagesReady), (0, started(0)), (0, started(1)), (1, started(2)), (3, exited(1, 1)), (4, exited(2, 0))],
        &expect![[r#"
            0.000s start app; start side
            0.000s report ContainersChanged: app RUNNING
            0.000s start late; report ContainersChanged: side RUNNING
            1.000s report Running: late RUNNING
            3.000s report ContainersChanged: side STOPPED 1
            4.000s report ContainersChanged: late STOPPED 0
        "#]],
    );
}

/// Claim: a container whose policy asks for it is started again at once, the task goes on running, and an ignored code, a quick
/// end or the task's stop make the end final. **Source:** ecs-semantics §1.5.2.
#[test]
fn restarts() {
    let script = |last: AgentEvent| {
        [
            (0, ImagesReady),
            (0, started(0)),
            (15, probe(0, 1, Failed)),
            (60, exited(0, 1)),
            (60, exited(0, 1)),
            (60, probe(0, 2, Failed)),
            (61, AgentEvent::ContainerStarted { container_index: 0, attempt: 1 }),
            (121, last.clone()),
        ]
    };
    check(
        &[restarted(checked(container("app")))],
        &script(again(0, 1, 0)),
        &expect![[r#"
            0.000s start app
            0.000s report Running: app RUNNING
            10.000s check app (1)
            14.000s kill check app (1)
            24.000s check app (2)
            28.000s kill check app (2); report ContainersChanged: app RUNNING UNHEALTHY
            60.000s start app again (1); report ContainersChanged: app RUNNING
            61.000s report ContainersChanged: app RUNNING UNKNOWN
            71.000s check app (3)
            75.000s kill check app (3)
            121.000s start app again (2); report ContainersChanged: app RUNNING
        "#]],
    );
    check(
        &[restarted(container("app"))],
        &script(again(0, 1, 7)),
        &expect![[r#"
        0.000s start app
        0.000s report Running: app RUNNING
        60.000s start app again (1); report ContainersChanged: app RUNNING
        61.000s report ContainersChanged: app RUNNING
        121.000s report Stopped { failed_to_start: None }: app STOPPED 7
    "#]],
    );
    check(
        &[restarted(container("app"))],
        &script(StopRequested),
        &expect![[r#"
        0.000s start app
        0.000s report Running: app RUNNING
        60.000s start app again (1); report ContainersChanged: app RUNNING
        61.000s report ContainersChanged: app RUNNING
        121.000s signal app
    "#]],
    );
    check(
        &[restarted(container("app"))],
        &[(0, ImagesReady), (0, started(0)), (59, exited(0, 1))],
        &expect![[r#"
            0.000s start app
            0.000s report Running: app RUNNING
            59.000s report Stopped { failed_to_start: None }: app STOPPED 1
        "#]],
    );
}

/// Claim: a container that is started again keeps meeting what depends on its start and not what depends on its end.
/// **Source:** ecs-semantics §1.5.2, §2.3.
#[test]
fn a_restart_is_no_end() {
    check(
        &[restarted(optional("init")), after(container("app"), "init", Complete)],
        &[
            (0, ImagesReady),
            (0, started(0)),
            (70, exited(0, 1)),
            (71, AgentEvent::ContainerStarted { container_index: 0, attempt: 1 }),
            (80, again(0, 1, 1)),
        ],
        &expect![[r#"
            0.000s start init
            0.000s report ContainersChanged: init RUNNING
            70.000s start init again (1); report ContainersChanged: init RUNNING
            71.000s report ContainersChanged: init RUNNING
            80.000s start app; report ContainersChanged: init STOPPED 1
        "#]],
    );
}

/// Claim: a check that hangs is killed at its timeout, fails, and is followed by another when it is gone; checks end with the
/// container's stop. **Source:** ecs-semantics §1.5.1.
#[test]
fn hanging_checks() {
    check(
        &[checked(container("app"))],
        &[
            (0, ImagesReady),
            (0, started(0)),
            (15, probe(0, 1, Failed)),
            (29, probe(0, 2, Failed)),
            (39, probe(0, 3, Passed)),
            (50, StopRequested),
            (51, probe(0, 4, Failed)),
            (52, exited(0, 0)),
        ],
        &expect![[r#"
            0.000s start app
            0.000s report Running: app RUNNING
            10.000s check app (1)
            14.000s kill check app (1)
            24.000s check app (2)
            28.000s kill check app (2); report ContainersChanged: app RUNNING UNHEALTHY
            38.000s check app (3)
            39.000s report ContainersChanged: app RUNNING HEALTHY
            49.000s check app (4)
            50.000s kill check app (4); signal app
            52.000s report Stopped { failed_to_start: None }: app STOPPED 0
        "#]],
    );
}

/// Claim: a task that is stopped before its images are there is over at once, and a killed one when its containers are.
#[test]
fn early_stops_and_kills() {
    check(
        &[checked(container("app"))],
        &[(0, StopRequested), (1, ImagesReady)],
        &expect![[r#"
        0.000s report Stopped { failed_to_start: None }: app STOPPED
    "#]],
    );
    check(
        &[container("db"), after(container("app"), "db", Start)],
        &[(0, ImagesReady), (1, Killed), (1, Killed), (2, exited(0, 137))],
        &expect![[r#"
            0.000s start db
            1.000s kill db; report ContainersChanged: app STOPPED
            2.000s report Stopped { failed_to_start: None }: db STOPPED 137
        "#]],
    );
}

/// Claim: a container that could not be started, or not in time, fails the start of the task. **Source:** ecs-semantics §2.4, §3.6.
#[test]
fn failed_starts() {
    let exit = ContainerExit { exit_code: None, reason: Some(format!("{CANNOT_START_CONTAINER}no room")) };
    let failed = AgentEvent::ContainerExited { container_index: 0, attempt: 0, exit };
    check(
        &[container("db"), after(container("app"), "db", Start)],
        &[(0, ImagesReady), (1, failed)],
        &expect![[r#"
            0.000s start db
            1.000s report Stopped { failed_to_start: Some("CannotStartContainerError: no room") }: db STOPPED (CannotStartContainerError: no room), app STOPPED
        "#]],
    );
    check(
        &[checked(container("app"))],
        &[(0, ImagesReady), (181, exited(0, 137))],
        &expect![[r#"
        0.000s start app
        180.000s kill app
        181.000s report Stopped { failed_to_start: Some("DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s") }: app STOPPED (DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s)
    "#]],
    );
}

/// Claim: events that nobody waits for change nothing. Method: all kinds of them, before, within and after.
#[test]
fn strange_events() {
    let strange = || {
        [
            (20, started(7)),
            (20, exited(7, 1)),
            (20, again(0, 4, 1)),
            (20, probe(7, 1, Failed)),
            (20, probe(0, 9, Failed)),
            (20, ImagesReady),
        ]
    };
    let mut script =
        vec![(0, started(0)), (0, exited(0, 1)), (0, probe(0, 1, Passed)), (0, ImagesReady), (0, started(0))];
    script.extend(strange());
    script.extend([(21, exited(0, 0))]);
    script.extend(strange());
    check(
        &[container("app")],
        &script,
        &expect![[r#"
        0.000s start app
        0.000s report Running: app RUNNING
        21.000s report Stopped { failed_to_start: None }: app STOPPED 0
    "#]],
    );
}
