//! What people get to read, of a control plane without anything under it. Ids follow from the seed, and so stay what they are.

use expect_test::{Expect, expect};

use super::text;
use crate::catalog::Catalog;
use crate::config::ClusterFile;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::{Action, Response};
use crate::control_plane::event::{ContainerStateChanges, Event, Request, TaskStateChange, TaskStep};
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

/// A group that grows to one instance, tasks of a whole one each, of which one wants what no instance has, and one on Fargate.
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
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
        container = [{ name = "main", image = "../workloads/limits/sleep.wat" }]
        [[run_task]]
        task_definition = "job"
        count = 2
        capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
        [[run_task]]
        task_definition = "job"
        capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
        placement_constraints = [{ type = "memberOf", expression = "attribute:gpu exists" }]
        [[run_task]]
        task_definition = "web"
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
    check(
        &plane,
        &Question::Waiting,
        &expect![[r#"
        TASK 910a2dec job:1 of family:job: PROVISIONING
          waits for capacity since 1.000s; 1 other wants the same
          capacity provider asg: place 1 of 3 that wait; group of 0 to 1, 0 desired, 0 in service: managed scaling decides at 60.000s
          it wants: job:1 of group family:job, 2048 CPU units and 1024 MiB, EC2 by capacity provider asg
          no container instance takes it: EMPTY CAPACITY PROVIDER

        TASK 1d0b14e4 job:1 of family:job: PROVISIONING
          waits for capacity since 1.000s
          capacity provider asg: place 3 of 3 that wait; group of 0 to 1, 0 desired, 0 in service: no instance that the group launches would take it
          a fresh m7i.large in us-east-1a would not take it: `attribute:gpu exists` is not true of it
          a fresh m7i.large in us-east-1b would not take it: `attribute:gpu exists` is not true of it
          a fresh m7i.large in us-east-1c would not take it: `attribute:gpu exists` is not true of it
          it wants: job:1 of group family:job, 2048 CPU units and 1024 MiB, EC2 by capacity provider asg
          no container instance takes it: EMPTY CAPACITY PROVIDER

    "#]],
    );
    let actions = plane.apply(at(60), Event::DeadlineReached);
    check(
        &plane,
        &Question::Task(TaskId(2)),
        &expect![[r#"
        TASK 975835de job:1 of family:job: PROVISIONING
          waits for capacity since 1.000s; 1 other wants the same
          capacity provider asg: place 2 of 3 that wait; group of 0 to 1, 1 desired, 0 in service: instances are coming up
          coming up: f893a2ee Pending, due to run at 70.000s
          instances warm up: no scale-out before 360.000s
          managed scaling at 60.000s: CapacityProviderReservation is 200% (3 needed, 0 present) against a target of 100%: scale-out to 1
          it wants: job:1 of group family:job, 2048 CPU units and 1024 MiB, EC2 by capacity provider asg
          no container instance takes it: EMPTY CAPACITY PROVIDER

           Instance  Type       Zone        status         agent        capacity provider: asg  cpu ≥ 2048  memory ≥ 1024 MiB  Tasks of the group
           f893a2ee  m7i.large  us-east-1a  ✗ REGISTERING  ✓ connected  ✓ asg                   ✓ 2048      ✓ 8192 MiB         0

    "#]],
    );
    let launched = actions.iter().find_map(|action| match action {
        Action::LaunchInstance { instance, .. } => Some(*instance),
        _ => None,
    });
    plane.apply(at(70), Event::InstanceRunning { instance: launched.expect("the group grows") });
    check(
        &plane,
        &Question::Task(TaskId(1)),
        &expect![[r#"
        TASK 910a2dec job:1 of family:job: PENDING on f893a2ee
          its instance was chosen at 70.000s, among equals by chance
          waits for its containers to start; its host has it since 70.000s
          were it placed at this moment: job:1 of group family:job, 2048 CPU units and 1024 MiB, EC2 by capacity provider asg
          goes to f893a2ee

           Instance  Type       Zone        status    agent        capacity provider: asg  cpu ≥ 2048  memory ≥ 1024 MiB  Tasks of the group  Place  Ranks
           f893a2ee  m7i.large  us-east-1a  ✓ ACTIVE  ✓ connected  ✓ asg                   ✓ 2048      ✓ 8192 MiB         0                   1      -

          among equals by chance
    "#]],
    );
    check(
        &plane,
        &Question::Task(TaskId(2)),
        &expect![[r#"
        TASK 975835de job:1 of family:job: PROVISIONING
          waits for capacity since 1.000s
          capacity provider asg: place 1 of 2 that wait; group of 0 to 1, 1 desired, 1 in service: the group is at its maximum of 1: room has to come free, or max_size be raised
          instances warm up: no scale-out before 360.000s
          managed scaling at 60.000s: CapacityProviderReservation is 200% (3 needed, 0 present) against a target of 100%: scale-out to 1
          it wants: job:1 of group family:job, 2048 CPU units and 1024 MiB, EC2 by capacity provider asg
          no container instance takes it; the closest is f893a2ee: RESOURCE:CPU

           Instance  Type       Zone        status    agent        capacity provider: asg  cpu ≥ 2048  memory ≥ 1024 MiB  Tasks of the group
           f893a2ee  m7i.large  us-east-1a  ✓ ACTIVE  ✓ connected  ✓ asg                   ✗ 0         ✓ 7168 MiB         1

    "#]],
    );
}

/// Fargate has nothing to choose, and a cluster in which nothing waits says so.
#[test]
fn nothing_to_choose_is_told() {
    let mut plane = plane();
    check(
        &plane,
        &Question::Task(TaskId(4)),
        &expect![[r#"
        TASK 6e73e372 web:1 of family:web: PENDING on Fargate
          waits for its containers to start; its host has it since 1.000s
          were it placed at this moment: web:1 of group family:web, 256 CPU units and 512 MiB, FARGATE
          Fargate makes a sandbox of its size: there is no container instance to choose, and placement strategies and constraints are not asked
    "#]],
    );
    for task in 1..=4 {
        ask(&mut plane, at(2), Request::StopTask { task: TaskId(task), reason: None });
    }
    check(
        &plane,
        &Question::Waiting,
        &expect![[r#"
        at 2.000s nothing waits
    "#]],
    );
}

/// A task behind a load balancer says which target group it waits for, and what it waits for when it is to stop.
#[test]
fn targets_are_told() {
    let file = r#"
        [cluster]
        name = "targets"
        [[target_group]]
        name = "front"
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "../workloads/limits/sleep.wat"
          port_mappings = [{ container_port = 80 }]
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 1
        launch_type = "FARGATE"
        load_balancers = [{ target_group = "front", container_name = "main", container_port = 80 }]
    "#;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    let spec = ClusterFile::parse(file, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
    let mut plane = ControlPlane::new(&spec.name, spec.settings.clone());
    ask(&mut plane, at(0), Request::PutTargetGroup(Box::new(spec.target_groups[0].clone())));
    ask(&mut plane, at(0), Request::RegisterTaskDefinition(Box::new(spec.task_definitions[0].clone())));
    ask(&mut plane, at(0), Request::CreateService(Box::new(spec.services[0].clone())));
    let running = TaskStateChange {
        task: TaskId(1),
        step: TaskStep::Running,
        pull_started_at: None,
        pull_stopped_at: None,
        containers: ContainerStateChanges::new(),
    };
    plane.apply(at(1), Event::TaskStateChange(running));
    let told = |plane: &ControlPlane, line: usize| {
        let explanation = plane.explain(&Question::Task(TaskId(1))).expect("it is there");
        let text = text::of(&explanation, plane.now(), plane.ids());
        text.lines().nth(line).unwrap_or_default().trim().to_owned()
    };
    assert_eq!(told(&plane, 1), "waits for target group front, where it is initial: Initial health checks in progress");
    ask(&mut plane, at(2), Request::StopTask { task: TaskId(1), reason: None });
    assert_eq!(told(&plane, 2), "leaves its target groups: its last job is to be done, until 302.000s at most");
}

/// ecs-semantics §7.5: what is forecast for a service, or how long that takes yet: one without tasks has nothing to do.
#[test]
fn forecasts() {
    let file = r#"
        [settings]
        calendar_start = "2026-03-02T00:00:00Z"
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
        container = [{ name = "main", image = "../workloads/limits/sleep.wat" }]
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 1
        launch_type = "FARGATE"
        [service.auto_scaling]
        min_capacity = 1
        max_capacity = 5
        [[service.auto_scaling.predictive_scaling]]
        policy_name = "ahead"
        metric_pair = "ECSServiceCPUUtilization"
        target_value = 50
        mode = "ForecastAndScale"
    "#;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    let spec = ClusterFile::parse(file, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
    let mut plane = ControlPlane::new(&spec.name, spec.settings.clone());
    for definition in spec.task_definitions {
        ask(&mut plane, at(0), Request::RegisterTaskDefinition(Box::new(definition)));
    }
    for service in spec.services {
        ask(&mut plane, at(0), Request::CreateService(Box::new(service)));
    }
    let question = Question::Service("web".into());
    let pass_until = |plane: &mut ControlPlane, hour: u64| {
        while let Some((due, _)) = plane.next_deadline().filter(|(due, _)| *due <= at(hour * 3_600)) {
            plane.apply(due, Event::DeadlineReached);
        }
    };
    pass_until(&mut plane, 2);
    check(
        &plane,
        &question,
        &expect![[r#"
        SERVICE web ACTIVE: 1 desired, 0 running, 1 pending, 0 healthy
          placed and starting: 1 task
          predictive scaling policy ahead (ForecastAndScale): no forecast yet: 2 of 24 hours of history, the first at 2026-03-03T00:00Z
            holds nothing
          TASK 910a2dec web:1 of service:web: PENDING on Fargate
            waits for its containers to start; its host has it since 0.000s
          the next task: web:1 of group service:web, 256 CPU units and 512 MiB, FARGATE
          Fargate makes a sandbox of its size: there is no container instance to choose, and placement strategies and constraints are not asked

    "#]],
    );
    pass_until(&mut plane, 25);
    check(
        &plane,
        &question,
        &expect![[r#"
        SERVICE web ACTIVE: 1 desired, 0 running, 1 pending, 0 healthy
          placed and starting: 1 task
          predictive scaling policy ahead (ForecastAndScale): forecast made at 2026-03-03T00:00Z, the next at 2026-03-03T06:00Z
            2026-03-03T00:00Z to 2026-03-05T00:00Z: 0 tasks
            holds the count at 0 at least for the hour of 2026-03-03T01:00Z
          TASK 910a2dec web:1 of service:web: PENDING on Fargate
            waits for its containers to start; its host has it since 0.000s
          the next task: web:1 of group service:web, 256 CPU units and 512 MiB, FARGATE
          Fargate makes a sandbox of its size: there is no container instance to choose, and placement strategies and constraints are not asked

    "#]],
    );
}
