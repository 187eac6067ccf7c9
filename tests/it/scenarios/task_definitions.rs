//! Task definitions by revision: registered, handed over, and not in force any more.

use expect_test::expect;
use longshore::control_plane::action::Response;
use longshore::control_plane::event::{NewDeployment, Request, UpdateService};
use longshore::model::ids::TaskId;
use longshore::model::service::ServiceSpec;
use longshore::model::task_definition::{TaskDefinition, TaskDefinitionRef};

use super::{check, set_count, update, web};
use crate::harness::{World, latest, on_fargate, run, service, task_definition};

/// Asks and shows the answer.
fn ask(world: &mut World, request: Request) -> String {
    match world.request(request) {
        Ok(Response::TaskDefinition(definition)) => format!("{definition}\n"),
        Ok(other) => panic!("it is answered with a task definition, not with {other:?}"),
        Err(error) => format!("{}: {error}\n", error.exception()),
    }
}

fn of(family: &str, revision: u32) -> TaskDefinitionRef {
    TaskDefinitionRef { family: family.to_owned(), revision: Some(revision) }
}

fn deregister(revision: u32) -> Request {
    Request::DeregisterTaskDefinition { family: "web".to_owned(), revision }
}

fn put(revision: u32, cpu: u32) -> Request {
    Request::PutTaskDefinition(Box::new(TaskDefinition { revision, ..task_definition("web", cpu, 2048) }))
}

/// ecs-semantics §1.4: a definition that is INACTIVE starts no task and no service and no update goes to it, and the family means the
/// latest that is ACTIVE; what runs it is scaled, replaced and deployed anew. Its number is not used again.
#[test]
fn what_is_inactive_starts_nothing_new() {
    let mut world = World::new(&web(1));
    world.run_until(100);
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("web", 512, 1024))));
    let mut shown = ask(&mut world, deregister(1));
    shown += &ask(&mut world, deregister(1));
    shown += &ask(&mut world, deregister(7));
    let task = |revision| run_of(of("web", revision));
    shown += &ask(&mut world, task(1));
    let create = ServiceSpec { task_definition: of("web", 1), ..service("other", 1) };
    shown += &ask(&mut world, Request::CreateService(Box::new(create)));
    let to_it = UpdateService { service: "web".into(), task_definition: Some(of("web", 1)), ..Default::default() };
    shown += &ask(&mut world, Request::UpdateService(Box::new(to_it)));
    // The service goes on with it.
    set_count(&mut world, 3);
    world.crash(TaskId(1), 1);
    update(
        &mut world,
        UpdateService { service: "web".into(), new_deployment: NewDeployment::Forced, ..UpdateService::default() },
    );
    world.run_until(300);
    shown += &ask(&mut world, deregister(2));
    shown += &ask(&mut world, run_of(latest("web")));
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("web", 512, 1024))));
    let state = world.plane.state();
    assert!(state.is_task_definition_in_use("web", 1) && !state.is_task_definition_in_use("web", 2));
    world.run_task(run("web", 1, on_fargate()));
    world.run_until(310);
    check(
        &shown,
        &expect![[r#"
            web:1
            web:1
            ClientException: The specified task definition does not exist.
            ClientException: TaskDefinition is inactive: web:1
            ClientException: TaskDefinition is inactive: web:1
            ClientException: TaskDefinition is inactive: web:1
            web:2
            ClientException: TaskDefinition not found: web
        "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopped 100.000s EssentialContainerExited: Essential container in task exited
        T2 web:1 STOPPED created 100.000s stopping 100.000s stopped 101.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T3 web:1 STOPPED created 100.000s stopping 100.000s stopped 101.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T4 web:1 STOPPED created 100.000s stopping 100.000s stopped 101.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T5 web:1 RUNNING created 100.000s started 101.000s
        T6 web:1 RUNNING created 100.000s started 101.000s
        T7 web:1 RUNNING created 100.000s started 101.000s
        T8 web:3 RUNNING created 300.000s started 301.000s
    "#]],
    );
}

fn run_of(task_definition: TaskDefinitionRef) -> Request {
    let spec = longshore::model::cluster::RunTaskSpec { task_definition, ..run("web", 1, on_fargate()) };
    Request::RunTask(Box::new(spec))
}

/// ecs-semantics §5.7: a rollback goes to a definition that is INACTIVE by then.
#[test]
fn a_rollback_goes_to_what_is_inactive() {
    let mut world =
        super::deployments::web_beside("", "deployment_circuit_breaker = { enable = true, rollback = true }");
    world.run_until(100);
    super::deployments::deploy(&mut world, super::deployments::never_runs());
    world.done(deregister(1));
    world.run_until(400);
    let service = &world.plane.state().services["web"];
    assert_eq!(service.primary().task_definition.to_string(), "web:1");
    check(&world.counts("web"), &expect!["desired 4 running 4 pending 0 healthy 4"]);
}

/// *Ours:* several clusters share the definitions of a region, so that one is handed over under its number, as often as one likes, and
/// keeps to what it was.
#[test]
fn a_definition_is_handed_over_under_its_number() {
    let mut world = World::new(&web(0));
    let mut shown = ask(&mut world, put(5, 512));
    shown += &ask(&mut world, put(5, 512));
    shown += &ask(&mut world, put(5, 1024));
    shown += &ask(&mut world, put(0, 512));
    // One that was in force keeps its status however often it comes.
    shown += &ask(&mut world, put(3, 512));
    shown += &ask(&mut world, deregister(3));
    shown += &ask(&mut world, put(3, 512));
    shown += &ask(&mut world, run_of(of("web", 3)));
    world.run_task(run("web", 1, on_fargate()));
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("web", 512, 1024))));
    world.run_task(run("web", 1, on_fargate()));
    check(
        &shown,
        &expect![[r#"
            web:5
            web:5
            ClientException: task definition web:5 is registered as another one
            ClientException: task definition web has no revision
            web:3
            web:3
            web:3
            ClientException: TaskDefinition is inactive: web:3
        "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:5 PENDING created 0.000s
        T2 web:6 PENDING created 0.000s
    "#]],
    );
}
