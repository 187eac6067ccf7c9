//! What people get to read, of a control plane without anything under it. Ids follow from the seed, and so stay what they are.

use expect_test::{Expect, expect};

use super::text;
use crate::catalog::Catalog;
use crate::config::ClusterFile;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::{Action, Response};
use crate::control_plane::event::{Event, Request};
use crate::control_plane::explain::Question;
use crate::model::ids::{RequestId, TaskId};
use crate::model::units::{Duration, Timestamp};

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

fn ask(plane: &mut ControlPlane, now: Timestamp, request: Request) -> Response {
    let actions = plane.apply(now, Event::Request { request_id: RequestId(1), request });
    match actions.into_iter().next() {
        Some(Action::Respond { response, .. }) => response.expect("the request is granted"),
        other => panic!("a request is answered first: {other:?}"),
    }
}

/// A group that grows to one instance, tasks of a whole one and of more, and one on Fargate.
fn plane() -> ControlPlane {
    let file = r#"
        [cluster]
        name = "waits"
        [[capacity_provider]]
        name = "asg"
        auto_scaling_group = { instance_type = "m7i.large", min_size = 0, max_size = 1, boot_time = "10s" }
        managed_scaling = {}
        [[task_definition]]
        family = "job"
        cpu = 2048
        memory = 1024
        container = [{ name = "main", image = "../workloads/limits/sleep.wat" }]
        [[task_definition]]
        family = "huge"
        cpu = 4096
        memory = 8192
        container = [{ name = "main", image = "../workloads/limits/sleep.wat" }]
        [[run_task]]
        task_definition = "job"
        count = 2
        capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
        [[run_task]]
        task_definition = "huge"
        capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
        [[run_task]]
        task_definition = "huge"
        launch_type = "FARGATE"
    "#;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    let spec = ClusterFile::parse(file, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
    let mut plane = ControlPlane::new(&spec.name, spec.settings.clone());
    for provider in spec.capacity_providers {
        ask(&mut plane, at(0), Request::CreateCapacityProvider(Box::new(provider)));
    }
    for definition in spec.task_definitions {
        ask(&mut plane, at(0), Request::RegisterTaskDefinition(Box::new(definition)));
    }
    for run_task in spec.run_tasks {
        ask(&mut plane, at(1), Request::RunTask(Box::new(run_task.spec)));
    }
    plane
}

#[track_caller]
fn check(plane: &ControlPlane, question: &Question, expected: &Expect) {
    let explanation = plane.explain(question).expect("it is there");
    expected.assert_eq(&text::of(&explanation, plane.now(), plane.ids()));
}

/// Tasks that wait for capacity: before anything is decided, while an instance comes up, and when the group can't grow.
#[test]
fn waits_are_told() {
    let mut plane = plane();
    check(&plane, &Question::Waiting, &expect![[r#""#]]);
    let actions = plane.apply(at(60), Event::DeadlineReached);
    check(&plane, &Question::Task(TaskId(2)), &expect![[r#""#]]);
    let launched = actions.iter().find_map(|action| match action {
        Action::LaunchInstance { instance, .. } => Some(*instance),
        _ => None,
    });
    plane.apply(at(70), Event::InstanceRunning { instance: launched.expect("the group grows") });
    check(&plane, &Question::Task(TaskId(1)), &expect![[r#""#]]);
    check(&plane, &Question::Task(TaskId(2)), &expect![[r#""#]]);
}

/// Fargate has nothing to choose, and a cluster in which nothing waits says so.
#[test]
fn nothing_to_choose_is_told() {
    let mut plane = plane();
    check(&plane, &Question::Task(TaskId(4)), &expect![[r#""#]]);
    for task in 1..=4 {
        ask(&mut plane, at(2), Request::StopTask { task: TaskId(task), reason: None });
    }
    check(&plane, &Question::Waiting, &expect![[r#""#]]);
}
