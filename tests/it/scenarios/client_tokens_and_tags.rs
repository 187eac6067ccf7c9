//! Calls with a client token, which happen once, and tags: those that ECS manages, and those that are set later.

use expect_test::expect;
use longshore::control_plane::action::Response;
use longshore::control_plane::event::{Deletion, Request, Tagged};
use longshore::model::cluster::{ClusterSpec, RunTaskSpec, StartTaskSpec};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::service::{EcsManagedTags, ServiceSpec};

use super::{check, web};
use crate::harness::{World, instance_launch, latest, on_fargate, run, service};

fn with_token(token: &str, count: u32) -> RunTaskSpec {
    RunTaskSpec { client_token: Some(token.into()), ..run("web", count, on_fargate()) }
}

fn ask(world: &mut World, request: Request) -> String {
    match world.request(request) {
        Ok(Response::RunTask { tasks, .. }) => format!("{tasks:?}\n"),
        Ok(other) => format!("{other:?}\n"),
        Err(error) => format!("{}: {error}\n", error.exception()),
    }
}

fn run_once(world: &mut World, token: &str, count: u32) -> String {
    ask(world, Request::RunTask(Box::new(with_token(token, count))))
}

/// ecs-semantics §1.3, §4.5: the same token and parameters are answered with the same tasks, others with a conflict that names them. It is
/// good for an hour after its tasks, and for a day.
#[test]
fn run_task_happens_once() {
    let mut world = World::new(&web(0));
    let mut shown = run_once(&mut world, "a", 2);
    shown += &run_once(&mut world, "a", 2);
    shown += &run_once(&mut world, "a", 3);
    shown += &run_once(&mut world, "b", 2);
    shown += &run_once(&mut world, "A", 2);
    for task in [1, 2] {
        world.done(Request::StopTask { task: TaskId(task), reason: None });
    }
    world.run_until(3000);
    shown += &run_once(&mut world, "a", 2);
    world.run_until(3700);
    shown += &run_once(&mut world, "a", 2);
    shown += &run_once(&mut world, "b", 2);
    world.run_until(24 * 3600 + 1);
    shown += &run_once(&mut world, "b", 2);
    check(
        &shown,
        &expect![[r#"
        [TaskId(1), TaskId(2)]
        [TaskId(1), TaskId(2)]
        ConflictException: The client token was used for a RunTask call with other parameters.
        [TaskId(3), TaskId(4)]
        [TaskId(5), TaskId(6)]
        [TaskId(1), TaskId(2)]
        [TaskId(7), TaskId(8)]
        [TaskId(3), TaskId(4)]
        [TaskId(9), TaskId(10)]
    "#]],
    );
}

/// ecs-semantics §5.5: CreateService happens once as long as its service is ACTIVE.
#[test]
fn create_service_happens_once() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web(0) });
    let create = |name: &str, count| {
        Request::CreateService(Box::new(ServiceSpec { client_token: Some("a".into()), ..service(name, count) }))
    };
    let mut shown = ask(&mut world, create("web", 1));
    super::set_count(&mut world, 4);
    shown += &ask(&mut world, create("web", 1));
    shown += &ask(&mut world, create("web", 2));
    shown += &ask(&mut world, create("other", 1));
    world.done(Request::DeleteService { service: "web".into(), deletion: Deletion::Forced });
    world.run_until(60);
    shown += &ask(&mut world, create("web", 1));
    check(
        &shown,
        &expect![[r#"
        Service { deployment: DeploymentId(1) }
        Service { deployment: DeploymentId(1) }
        InvalidParameterException: Creation of service was not idempotent.
        InvalidParameterException: Creation of service was not idempotent.
        Service { deployment: DeploymentId(2) }
    "#]],
    );
}

/// Developer guide, Tagging Amazon ECS resources: ECS tags tasks with their cluster and service where it is asked to. ecs-semantics §1.3:
/// tags are set later, up to 50.
#[test]
fn managed_tags_and_later_ones() {
    let mut spec = web(0);
    spec.container_instances = vec![instance_launch("us-east-1a")];
    spec.services = vec![ServiceSpec { ecs_managed_tags: EcsManagedTags::Enabled, ..service("web", 1) }];
    let mut world = World::new(&spec);
    world.run_until(20);
    let ecs_managed_tags = EcsManagedTags::Enabled;
    world.run_task(RunTaskSpec { ecs_managed_tags, ..run("web", 1, on_fargate()) });
    world.run_task(run("web", 1, on_fargate()));
    world.done(Request::StartTask(Box::new(StartTaskSpec {
        task_definition: latest("web"),
        container_instances: vec![ContainerInstanceId(1)],
        ecs_managed_tags,
        ..StartTaskSpec::default()
    })));
    let tags = |count: u32| (0..count).map(|n| (format!("key{n}"), String::new())).collect();
    let set = |resource, count| Request::SetTags { resource, tags: tags(count) };
    let mut shown = String::new();
    for request in [
        set(Tagged::Task(TaskId(3)), 1),
        set(Tagged::ContainerInstance(ContainerInstanceId(1)), 50),
        set(Tagged::Service("web".into()), 2),
        set(Tagged::Task(TaskId(77)), 1),
        set(Tagged::ContainerInstance(ContainerInstanceId(77)), 1),
        set(Tagged::Service("nobody".into()), 1),
        set(Tagged::Task(TaskId(3)), 51),
    ] {
        shown += &ask(&mut world, request);
    }
    let state = world.plane.state();
    for record in state.tasks.values() {
        shown += &format!("T{} {:?}\n", record.task.id, record.task.tags);
    }
    assert_eq!(state.container_instances[&ContainerInstanceId(1)].tags.len(), 50);
    assert_eq!(state.services["web"].spec.tags.len(), 2);
    check(
        &shown,
        &expect![[r#"
        Done
        Done
        Done
        ResourceNotFoundException: The specified resource was not found.
        ResourceNotFoundException: The specified resource was not found.
        ServiceNotFoundException: Service not found.
        InvalidParameterException: 51 tags: a resource has at most 50
        T1 {"aws:ecs:clusterName": "test", "aws:ecs:serviceName": "web"}
        T2 {"aws:ecs:clusterName": "test"}
        T3 {"key0": ""}
        T4 {"aws:ecs:clusterName": "test"}
    "#]],
    );
}
