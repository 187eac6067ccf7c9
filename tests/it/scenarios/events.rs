//! What is told of tasks, container instances, services and deployments, in its order and with its versions: what EventBridge events
//! are made from. **Source:** ecs-semantics §10.3.

use expect_test::expect;
use longshore::control_plane::event::{ContainerStateChange, Event, Request, TaskStateChange, TaskStep};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::TaskId;
use longshore::model::task::{ContainerStatus, HealthStatus};
use longshore::model::task_definition::ContainerDefinition;

use super::{check, web};
use crate::harness::{
    Behaviour, End, World, at, empty_cluster, instance_launch, on_ec2, on_fargate, run, secs, task_definition,
};

/// One family and, where it is wanted, an instance.
fn family(cluster: ClusterSpec) -> ClusterSpec {
    ClusterSpec { task_definitions: vec![task_definition("job", 256, 512)], ..cluster }
}

/// ecs-semantics §2.1, §10.3: a Fargate task that pulls, runs and exits; each change of its status or of a container's is told with
/// the next version.
#[test]
fn a_fargate_task_is_told_of_at_every_change() {
    let mut world = World::new(&family(empty_cluster()));
    let behaviour = Behaviour { pull: secs(2), end: End::Exit { after: secs(5), code: 0 }, ..Behaviour::default() };
    world.behave("job", behaviour);
    world.run_task(run("job", 1, on_fargate()));
    world.run_until(60);
    check(
        &world.notifications(),
        &expect![[r#"
        0.000s task T1 v1 PENDING (desired RUNNING)
        0.000s task T1 v2 ACTIVATING (desired RUNNING)
        3.000s task T1 v3 RUNNING (desired RUNNING)
        8.000s task T1 v4 RUNNING (desired RUNNING)
        8.000s task T1 v5 STOPPED (desired STOPPED) EssentialContainerExited
    "#]],
    );
    let task = &world.plane.state().tasks[&TaskId(1)].task;
    assert_eq!((task.connectivity_at, task.execution_stopped_at), (Some(at(0)), Some(at(8))));
}

/// ecs-semantics §10.3: on EC2 the container instance is told of too, when it registers, when a task is placed on it or leaves it,
/// and when it goes; with what it holds at that moment.
#[test]
fn an_instance_is_told_of_with_its_tasks() {
    let mut world = World::new(&family(ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a")],
        ..empty_cluster()
    }));
    world.behave("job", Behaviour { end: End::Exit { after: secs(5), code: 0 }, ..Behaviour::default() });
    world.run_until(10);
    world.run_task(run("job", 2, on_ec2()));
    world.run_until(60);
    world.done(Request::DrainCluster);
    world.run_until(90);
    check(
        &world.notifications(),
        &expect![[r#"
        0.000s instance I1 v1 REGISTERING
        10.000s instance I1 v2 ACTIVE
        10.000s task T1 v1 PENDING (desired RUNNING)
        10.000s task T2 v1 PENDING (desired RUNNING)
        10.000s instance I1 v3 tasks
        11.000s task T1 v2 RUNNING (desired RUNNING)
        11.000s instance I1 v4 tasks
        11.000s task T2 v2 RUNNING (desired RUNNING)
        11.000s instance I1 v5 tasks
        16.000s task T1 v3 RUNNING (desired RUNNING)
        16.000s task T1 v4 STOPPED (desired STOPPED) EssentialContainerExited
        16.000s instance I1 v6 tasks
        16.000s task T2 v3 RUNNING (desired RUNNING)
        16.000s task T2 v4 STOPPED (desired STOPPED) EssentialContainerExited
        16.000s instance I1 v7 tasks
        60.000s instance I1 v8 DEREGISTERING
        61.000s instance I1 v9 INACTIVE
    "#]],
    );
}

/// ecs-semantics §2.4, §10.3: a task that somebody stops is told of as it is asked to and as it ends, with the stop code.
#[test]
fn a_stopped_task_is_told_of_with_its_stop_code() {
    let mut world = World::new(&family(empty_cluster()));
    world.behave("job", Behaviour { stop: secs(40), ..Behaviour::default() });
    world.run_task(run("job", 1, on_fargate()));
    world.run_until(10);
    world.done(Request::StopTask { task: TaskId(1), reason: None });
    world.run_until(60);
    check(
        &world.notifications(),
        &expect![[r#"
        0.000s task T1 v1 PENDING (desired RUNNING)
        1.000s task T1 v2 RUNNING (desired RUNNING)
        10.000s task T1 v3 RUNNING (desired STOPPED) UserInitiated
        10.000s task T1 v4 STOPPING (desired STOPPED) UserInitiated
        40.000s task T1 v5 STOPPING (desired STOPPED) UserInitiated
        40.000s task T1 v6 STOPPED (desired STOPPED) UserInitiated
    "#]],
    );
    let task = &world.plane.state().tasks[&TaskId(1)].task;
    assert_eq!(task.execution_stopped_at, Some(at(10)), "it is to stop from then on, though it ends later");
}

/// ecs-semantics §10.3: a change of a container alone is a task state change.
#[test]
fn a_container_that_changes_is_told_of_as_its_task() {
    let mut definition = task_definition("job", 256, 512);
    definition.containers.push(ContainerDefinition {
        name: "side".to_owned(),
        image: "side.wasm".to_owned(),
        essential: false,
        ..ContainerDefinition::default()
    });
    let mut world = World::new(&ClusterSpec { task_definitions: vec![definition], ..empty_cluster() });
    world.run_task(run("job", 1, on_fargate()));
    world.run_until(10);
    let side = |status, health| {
        let container = ContainerStateChange { container_index: 1, status, health, ..ContainerStateChange::default() };
        Event::TaskStateChange(TaskStateChange {
            task: TaskId(1),
            step: TaskStep::ContainersChanged,
            pull_started_at: None,
            pull_stopped_at: None,
            containers: [container].into(),
        })
    };
    world.apply(side(ContainerStatus::Running, Some(HealthStatus::Healthy)));
    // The same once more is nothing new.
    world.apply(side(ContainerStatus::Running, Some(HealthStatus::Healthy)));
    world.run_until(20);
    world.apply(side(ContainerStatus::Stopped, None));
    world.run_until(30);
    check(
        &world.notifications(),
        &expect![[r#"
        0.000s task T1 v1 PENDING (desired RUNNING)
        1.000s task T1 v2 RUNNING (desired RUNNING)
        10.000s task T1 v3 RUNNING (desired RUNNING)
        20.000s task T1 v4 RUNNING (desired RUNNING)
    "#]],
    );
}

/// ecs-semantics §10.3, §5.7: a service from its creation to a scale-in: its tasks, its deployment, its steady states.
#[test]
fn a_service_is_told_of() {
    let mut world = World::new(&web(2));
    world.run_until(100);
    super::set_count(&mut world, 1);
    world.run_until(200);
    check(
        &world.notifications(),
        &expect![[r#"
            0.000s deployment 1 of web INFO SERVICE_DEPLOYMENT_IN_PROGRESS ECS deployment ecs-svc/1 in progress.
            0.000s task T1 v1 PENDING (desired RUNNING)
            0.000s task T2 v1 PENDING (desired RUNNING)
            1.000s task T1 v2 RUNNING (desired RUNNING)
            1.000s task T2 v2 RUNNING (desired RUNNING)
            41.000s deployment 1 of web INFO SERVICE_DEPLOYMENT_COMPLETED ECS deployment ecs-svc/1 completed.
            41.000s service web INFO SERVICE_STEADY_STATE -
            100.000s service web INFO SERVICE_DESIRED_COUNT_UPDATED - [1]
            100.000s task T2 v3 RUNNING (desired STOPPED) ServiceSchedulerInitiated
            100.000s task T2 v4 STOPPING (desired STOPPED) ServiceSchedulerInitiated
            100.000s service web INFO TASKS_STOPPED - [T2]
            100.000s service web INFO SERVICE_STEADY_STATE -
            101.000s task T2 v5 STOPPING (desired STOPPED) ServiceSchedulerInitiated
            101.000s task T2 v6 STOPPED (desired STOPPED) ServiceSchedulerInitiated
        "#]],
    );
}
