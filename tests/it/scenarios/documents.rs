//! What clients say that has no meaning here is kept with what it was said of, given back, and decides nothing.

use expect_test::expect;
use longshore::control_plane::event::{NewDeployment, Request, UpdateService};
use longshore::model::cluster::{RunTaskSpec, StartTaskSpec};
use longshore::model::document::Document;
use longshore::model::ids::ContainerInstanceId;
use longshore::model::service::ServiceSpec;
use longshore::model::task_definition::TaskDefinition;

use super::deployments::{never_runs, web_beside};
use super::{check, update};
use crate::harness::{World, instance_launch, latest, on_fargate, run, service, task_definition};

/// A document of one member, `subnet`.
fn document(subnet: &str) -> Document {
    serde_json::from_value(serde_json::json!({ "subnet": subnet })).expect("it is an object")
}

fn subnet(document: &Document) -> &str {
    document.member("subnet").and_then(|value| value.as_str()).unwrap_or("-")
}

/// The service's document, its deployments' and its tasks', as they are.
fn shown(world: &World) -> String {
    let state = world.plane.state();
    let service = &state.services["web"];
    let deployments = service.deployments.iter().map(|deployment| subnet(&deployment.revision.document));
    let deployments = deployments.collect::<Vec<_>>().join(" ");
    let live = state.tasks.values().filter(|record| record.task.stopped_at.is_none());
    let tasks = live.map(|record| format!("T{}:{}", record.task.id, subnet(&record.task.document)));
    let tasks = tasks.collect::<Vec<_>>().join(" ");
    format!("service {} deployments {deployments} tasks {tasks}\n", subnet(&service.spec.document))
}

fn say(world: &mut World, subnet: &str, new_deployment: NewDeployment) {
    let document = Some(document(subnet));
    update(world, UpdateService { service: "web".into(), document, new_deployment, ..UpdateService::default() });
}

/// ecs-semantics §5.5: a document that says so starts a deployment, whose revision keeps it; another is taken over as it is, for tasks
/// that start from then on. Tasks keep theirs.
#[test]
fn a_service_and_its_deployments_keep_what_was_said() {
    let mut world = World::new(&super::web(0));
    update(&mut world, UpdateService { service: "web".into(), desired_count: Some(1), ..UpdateService::default() });
    world.run_until(100);
    let mut seen = shown(&world);
    say(&mut world, "a", NewDeployment::WhenChanged);
    seen += &shown(&world);
    update(&mut world, UpdateService { service: "web".into(), desired_count: Some(2), ..UpdateService::default() });
    seen += &shown(&world);
    say(&mut world, "b", NewDeployment::DocumentChanged);
    seen += &shown(&world);
    world.run_until(200);
    seen += &shown(&world);
    // Nothing said is nothing changed.
    update(&mut world, UpdateService { service: "web".into(), desired_count: Some(3), ..UpdateService::default() });
    seen += &shown(&world);
    check(
        &seen,
        &expect![[r#"
            service - deployments - tasks T1:-
            service a deployments - tasks T1:-
            service a deployments - tasks T1:- T2:a
            service b deployments b - tasks T1:- T2:a T3:b T4:b
            service b deployments b tasks T3:b T4:b
            service b deployments b tasks T3:b T4:b T5:b
        "#]],
    );
}

/// ecs-semantics §5.7: a deployment that is rolled back takes back what was said with it.
#[test]
fn a_rollback_goes_back_to_what_was_said() {
    let mut world = web_beside("", "deployment_circuit_breaker = { enable = true, rollback = true }");
    say(&mut world, "a", NewDeployment::DocumentChanged);
    world.run_until(100);
    let mut seen = shown(&world);
    world.behave("web:2", never_runs());
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("web", 512, 1024))));
    update(
        &mut world,
        UpdateService {
            service: "web".into(),
            task_definition: Some(latest("web")),
            document: Some(document("b")),
            ..UpdateService::default()
        },
    );
    seen += &shown(&world);
    world.run_until(400);
    seen += &shown(&world);
    check(
        &seen,
        &expect![[r#"
            service a deployments a tasks T5:a T6:a T7:a T8:a
            service b deployments b a tasks T5:a T6:a T7:a T8:a T9:b T10:b T11:b T12:b
            service a deployments a tasks T5:a T6:a T7:a T8:a
        "#]],
    );
}

/// RunTask, StartTask, CreateService and RegisterTaskDefinition: each keeps its own.
#[test]
fn requests_keep_what_was_said() {
    let mut spec = super::web(0);
    spec.container_instances = vec![instance_launch("us-east-1a")];
    let mut world = World::new(&spec);
    world.run_until(20);
    let definition = TaskDefinition { document: document("definition"), ..task_definition("job", 256, 512) };
    world.done(Request::RegisterTaskDefinition(Box::new(definition)));
    world.run_task(RunTaskSpec { document: document("run"), ..run("job", 1, on_fargate()) });
    world.done(Request::StartTask(Box::new(StartTaskSpec {
        task_definition: latest("job"),
        container_instances: vec![ContainerInstanceId(1)],
        document: document("start"),
        ..StartTaskSpec::default()
    })));
    world.done(Request::DeleteService { service: "web".into(), deletion: Default::default() });
    let service = ServiceSpec { document: document("service"), ..service("web", 1) };
    world.done(Request::CreateService(Box::new(service)));
    assert_eq!(subnet(&world.plane.state().task_definitions["job"][&1].definition.document), "definition");
    check(
        &shown(&world),
        &expect![[r#"
        service service deployments service tasks T1:run T2:start T3:service
    "#]],
    );
}
