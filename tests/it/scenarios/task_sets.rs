//! Task sets: services whose deployments somebody else controls.

use expect_test::expect;
use longshore::control_plane::action::Response;
use longshore::control_plane::event::{
    Deletion, NewDeployment, RegisterScalableTarget, Request, TaskProtection, UpdateService,
};
use longshore::control_plane::explain::{Explanation, Question};
use longshore::control_plane::request_error::RequestError;
use longshore::model::capacity::ContainerInstanceStatus;
use longshore::model::deployment::{DeploymentCircuitBreaker, DeploymentStrategy};
use longshore::model::ids::{ContainerInstanceId, DeploymentId};
use longshore::model::service::{DeploymentConfiguration, SchedulingStrategy, ServiceSpec};
use longshore::model::task::HealthStatus;
use longshore::model::task_definition::TaskDefinitionRef;
use longshore::model::task_set::{DeploymentController, Scale, TaskSetDescription, TaskSetName, TaskSetSpec};
use longshore::model::traffic::TrafficWeight;

use super::{check, web};
use crate::harness::{Behaviour, World, latest, on_fargate, service, task_definition};

/// A service of four tasks: `blue` has them all and serves, `green` has none yet.
const FILE: &str = r#"
[[container_instance]]
instance_type = "m7i.large"
count = 2

[[task_definition]]
family = "shop"
  [[task_definition.container]]
  name = "shop"
  image = "../workloads/limits/spin.wat"
  cpu = 128
  memory = 256

[[service]]
name = "shop"
deployment_controller = "EXTERNAL"
desired_count = 4

  [[service.task_set]]
  external_id = "blue"
  task_definition = "shop"
  launch_type = "EC2"
  scale = 100
  primary = true

  [[service.task_set]]
  external_id = "green"
  task_definition = "shop"
  launch_type = "EC2"
  scale = 0
"#;

fn named(external_id: &str) -> TaskSetName {
    TaskSetName::External(external_id.into())
}

fn scale(world: &mut World, set: &str, percent: u32) -> TaskSetDescription {
    described(world.done(Request::UpdateTaskSet {
        service: "shop".into(),
        task_set: named(set),
        scale: Scale(percent * 1000),
    }))
}

fn delete(world: &mut World, set: &str, deletion: Deletion) -> Result<Response, RequestError> {
    world.request(Request::DeleteTaskSet { service: "shop".into(), task_set: named(set), deletion })
}

fn make_primary(world: &mut World, set: &str) {
    world.done(Request::UpdateServicePrimaryTaskSet { service: "shop".into(), task_set: named(set) });
}

fn described(response: Response) -> TaskSetDescription {
    match response {
        Response::TaskSet(set) => *set,
        other => panic!("not a task set: {other:?}"),
    }
}

fn set_count(world: &mut World, count: u32) {
    let update = UpdateService { service: "shop".into(), desired_count: Some(count), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
}

/// A line for each task set: its names, its counts, and since when it is as stable as it is.
fn sets(world: &World) -> String {
    let line = |set: TaskSetDescription| {
        let name = set.external_id.as_deref().unwrap_or("-").to_owned();
        let (id, status, scale) = (&set.shown_id, set.status.as_str(), set.scale);
        let counts = format!("{}+{} of {}", set.running_count, set.pending_count, set.computed_desired_count);
        let stability = set.stability_status.as_str();
        format!(
            "{name} {id} {status} {} {scale}: {counts}, {stability} {}\n",
            set.task_definition, set.stability_status_at
        )
    };
    let service = &world.plane.state().services["shop"];
    world.shorten(&service.task_sets().into_iter().map(line).collect::<String>())
}

fn refusal(world: &mut World, request: Request) -> String {
    let error = world.request(request).expect_err("it is refused");
    format!("{}: {error}\n", error.exception())
}

/// ecs-semantics §5.8: each set has its share of the desired count, tasks are started by their set, and a switch moves what serves.
#[test]
fn sets_have_their_shares() {
    let mut world = World::of_file(FILE);
    world.run_until(100);
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 PRIMARY shop:1 100 %: 4+0 of 4, STEADY_STATE 71.000s
        green ecs-svc/2 ACTIVE shop:1 0 %: 0+0 of 0, STEADY_STATE 0.000s
    "#]],
    );
    scale(&mut world, "green", 50);
    world.run_until(200);
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 PRIMARY shop:1 100 %: 4+0 of 4, STEADY_STATE 71.000s
        green ecs-svc/2 ACTIVE shop:1 50 %: 2+0 of 2, STEADY_STATE 141.000s
    "#]],
    );
    let started_by: Vec<String> = world
        .plane
        .state()
        .tasks
        .values()
        .map(|record| world.shorten(record.task.started_by.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(started_by, ["ecs-svc/1", "ecs-svc/1", "ecs-svc/1", "ecs-svc/1", "ecs-svc/2", "ecs-svc/2"]);
    let serving = |world: &World| {
        let service = &world.plane.state().services["shop"];
        [1, 2].map(|id| service.traffic.production_of(DeploymentId(id)))
    };
    assert_eq!(serving(&world), [Some(TrafficWeight::ALL), Some(TrafficWeight::NONE)]);
    scale(&mut world, "green", 100);
    make_primary(&mut world, "green");
    assert_eq!(serving(&world), [Some(TrafficWeight::NONE), Some(TrafficWeight::ALL)]);
    world.run_until(300);
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 ACTIVE shop:1 100 %: 4+0 of 4, STEADY_STATE 71.000s
        green ecs-svc/2 PRIMARY shop:1 100 %: 4+0 of 4, STEADY_STATE 241.000s
    "#]],
    );
    // It is deleted when its last task is over, and only then.
    let deleted = described(delete(&mut world, "blue", Deletion::Forced).expect("it may be"));
    assert_eq!((deleted.status.as_str(), deleted.computed_desired_count, deleted.running_count), ("DRAINING", 0, 4));
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 DRAINING shop:1 100 %: 0+0 of 0, STABILIZING 300.000s
        green ecs-svc/2 PRIMARY shop:1 100 %: 4+0 of 4, STEADY_STATE 241.000s
    "#]],
    );
    world.run_until(400);
    check(
        &sets(&world),
        &expect![[r#"
        green ecs-svc/2 PRIMARY shop:1 100 %: 4+0 of 4, STEADY_STATE 241.000s
    "#]],
    );
    check(
        &world.service_events("shop"),
        &expect![[r#"
        0.000s (service shop) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.
        0.000s (service shop) (taskSet ecs-svc/1) is the primary task set.
        30.000s (service shop) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        71.000s (service shop) has reached a steady state.
        100.000s (service shop) has started 2 tasks: (task T5) (task T6).
        141.000s (service shop) has reached a steady state.
        200.000s (service shop) has started 2 tasks: (task T7) (task T8).
        200.000s (service shop) (taskSet ecs-svc/2) is the primary task set.
        241.000s (service shop) has reached a steady state.
        300.000s (service shop) has stopped 4 running tasks: (task T1) (task T2) (task T3) (task T4).
        300.000s (service shop) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.8: a share of a count rounds up, and all sets follow the count.
#[test]
fn sets_follow_the_desired_count() {
    let mut world = World::of_file(FILE);
    scale(&mut world, "green", 25);
    let mut computed = Vec::new();
    for count in [1, 5, 8, 0] {
        set_count(&mut world, count);
        world.run_for(200);
        let of_set = |set: TaskSetDescription| {
            assert_eq!(set.computed_desired_count, set.running_count);
            set.running_count
        };
        computed.push(world.plane.state().services["shop"].task_sets().into_iter().map(of_set).collect::<Vec<_>>());
    }
    assert_eq!(computed, [[1, 1], [5, 2], [8, 2], [0, 0]]);
}

/// ecs-semantics §7.1, §7.2: what scales a service scales its task sets, and a set on its way holds no scale-in off.
#[test]
fn auto_scaling_scales_all_sets() {
    let mut world = World::of_file(FILE);
    scale(&mut world, "green", 50);
    world.run_until(200);
    let register = RegisterScalableTarget {
        service: "shop".into(),
        min_capacity: Some(6),
        max_capacity: Some(10),
        ..RegisterScalableTarget::default()
    };
    world.done(Request::RegisterScalableTarget(register));
    let action = longshore::model::scaling::ScheduledAction {
        name: "more".into(),
        schedule: longshore::model::schedule::Schedule::parse("rate(5 minutes)", None).expect("it is a rate"),
        start_time: None,
        end_time: None,
        min_capacity: Some(6),
        max_capacity: Some(10),
    };
    world.done(Request::PutScheduledAction { service: "shop".into(), action: Box::new(action) });
    world.run_until(900);
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 PRIMARY shop:1 100 %: 6+0 of 6, STEADY_STATE 541.000s
        green ecs-svc/2 ACTIVE shop:1 50 %: 3+0 of 3, STEADY_STATE 541.000s
    "#]],
    );
}

/// ecs-semantics §3.3, §5.4: tasks on an instance that drains, and unhealthy ones, are replaced within their own set.
#[test]
fn sets_replace_their_tasks() {
    let mut world = World::of_file(FILE);
    scale(&mut world, "green", 50);
    world.run_until(200);
    let instances = vec![ContainerInstanceId(1)];
    let status = ContainerInstanceStatus::Draining;
    world.done(Request::UpdateContainerInstancesState { instances, status });
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 PRIMARY shop:1 100 %: 4+4 of 4, STABILIZING 200.000s
        green ecs-svc/2 ACTIVE shop:1 50 %: 2+2 of 2, STABILIZING 200.000s
    "#]],
    );
    world.run_until(400);
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 PRIMARY shop:1 100 %: 4+0 of 4, STEADY_STATE 241.000s
        green ecs-svc/2 ACTIVE shop:1 50 %: 2+0 of 2, STEADY_STATE 241.000s
    "#]],
    );
    let left = world.plane.state().tasks_by_instance.get(&ContainerInstanceId(1)).map_or(0, |tasks| tasks.len());
    assert_eq!(left, 0, "the instance is empty");
    check(
        &world.service_events("shop"),
        &expect![[r#"
        0.000s (service shop) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.
        0.000s (service shop) (taskSet ecs-svc/1) is the primary task set.
        30.000s (service shop) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        30.000s (service shop) has started 2 tasks: (task T5) (task T6).
        71.000s (service shop) has reached a steady state.
        200.000s (service shop) has started 1 tasks: (task T7).
        200.000s (service shop) has started 1 tasks: (task T8).
        200.000s (service shop) has started 1 tasks: (task T9).
        200.000s (service shop) has started 1 tasks: (task T10).
        200.000s (service shop) has started 1 tasks: (task T11).
        200.000s (service shop) has started 1 tasks: (task T12).
        241.000s (service shop) has stopped 1 running tasks: (task T1).
        241.000s (service shop) has stopped 1 running tasks: (task T2).
        241.000s (service shop) has stopped 1 running tasks: (task T3).
        241.000s (service shop) has stopped 1 running tasks: (task T4).
        241.000s (service shop) has stopped 1 running tasks: (task T5).
        241.000s (service shop) has stopped 1 running tasks: (task T6).
        241.000s (service shop) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.4: a task whose health checks fail is replaced from its own set's task definition.
#[test]
fn sets_replace_unhealthy_tasks() {
    let checked =
        FILE.replace("  cpu = 128", "  health_check = { command = [\"CMD\", \"check\"], retries = 1 }\n  cpu = 128");
    let mut world = World::of_file(&checked);
    world.behave("shop", Behaviour::default());
    world.run_until(100);
    let tasks: Vec<_> = world.plane.state().tasks.keys().collect();
    for task in &tasks {
        world.report_health(*task, HealthStatus::Healthy);
    }
    world.run_for(10);
    world.report_health(tasks[0], HealthStatus::Unhealthy);
    world.run_for(60);
    let tasks: Vec<_> = world.plane.state().tasks.keys().skip(4).collect();
    for task in &tasks {
        world.report_health(*task, HealthStatus::Healthy);
    }
    world.run_for(60);
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 PRIMARY shop:1 100 %: 4+0 of 4, STEADY_STATE 142.000s
        green ecs-svc/2 ACTIVE shop:1 0 %: 0+0 of 0, STEADY_STATE 0.000s
    "#]],
    );
    let line = world.tasks().lines().next().expect("there are tasks").to_owned();
    check(
        &line,
        &expect![
            "T1 shop:1 STOPPED I1 created 30.000s started 31.000s stopping 142.000s stopped 143.000s ServiceSchedulerInitiated: Task failed container health checks"
        ],
    );
}

/// ecs-semantics §2.6: protected tasks outlast a scale-in of their set; its deletion ends their protection.
#[test]
fn protection_holds_within_a_set() {
    let mut world = World::of_file(FILE);
    world.run_until(100);
    let tasks: Vec<_> = world.plane.state().tasks.keys().take(2).collect();
    world.done(Request::UpdateTaskProtection { tasks, protection: TaskProtection::Enabled { expires_in: None } });
    scale(&mut world, "blue", 0);
    world.run_until(200);
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 PRIMARY shop:1 0 %: 2+0 of 0, STABILIZING 100.000s
        green ecs-svc/2 ACTIVE shop:1 0 %: 0+0 of 0, STEADY_STATE 0.000s
    "#]],
    );
    delete(&mut world, "blue", Deletion::Forced).expect("it may be");
    world.run_until(300);
    check(
        &sets(&world),
        &expect![[r#"
        green ecs-svc/2 ACTIVE shop:1 0 %: 0+0 of 0, STEADY_STATE 0.000s
    "#]],
    );
    check(
        &world.service_events("shop"),
        &expect![[r#"
        0.000s (service shop) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.
        0.000s (service shop) (taskSet ecs-svc/1) is the primary task set.
        30.000s (service shop) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        71.000s (service shop) has reached a steady state.
        100.000s (service shop) has stopped 2 running tasks: (task T4) (task T3).
        100.000s (service shop) was unable to reach steady state because task set (ecs-svc/1) was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks
        200.000s (service shop) has stopped 2 running tasks: (task T1) (task T2).
        200.000s (service shop) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.5, §5.8: a service that is deleted takes its task sets with it.
#[test]
fn a_deleted_service_takes_its_sets_along() {
    let mut world = World::of_file(FILE);
    world.run_until(100);
    let delete = |deletion| Request::DeleteService { service: "shop".into(), deletion };
    check(
        &refusal(&mut world, delete(Deletion::WhenScaledToZero)),
        &expect![[r#"
        InvalidParameterException: The service cannot be stopped while it is scaled above 0.
    "#]],
    );
    world.done(delete(Deletion::Forced));
    check(
        &sets(&world),
        &expect![[r#"
        blue ecs-svc/1 DRAINING shop:1 100 %: 0+0 of 0, STABILIZING 100.000s
    "#]],
    );
    let create = Request::CreateTaskSet(Box::new(TaskSetSpec {
        service: "shop".into(),
        task_definition: latest("shop"),
        ..TaskSetSpec::default()
    }));
    check(
        &refusal(&mut world, create.clone()),
        &expect![[r#"
            ServiceNotFoundException: Service not found.
        "#]],
    );
    world.run_until(200);
    assert_eq!(sets(&world), "");
    assert_eq!(world.plane.state().services["shop"].status.as_str(), "INACTIVE");
    check(
        &refusal(&mut world, create),
        &expect![[r#"
        ServiceNotFoundException: Service not found.
    "#]],
    );
}

/// ecs-semantics §5.1, §5.5, §5.8: what services of either controller cannot be, and cannot become.
#[test]
fn what_is_refused() {
    let mut world = World::new(&web(1));
    let external = ServiceSpec {
        deployment_controller: DeploymentController::External,
        task_definition: TaskDefinitionRef::default(),
        ..service("shop", 2)
    };
    let create = |spec: &ServiceSpec| Request::CreateService(Box::new(spec.clone()));
    let with = |configuration: DeploymentConfiguration| {
        create(&ServiceSpec { deployment_configuration: configuration, ..external.clone() })
    };
    let breaker = Some(DeploymentCircuitBreaker::default());
    let mut refused = String::new();
    for request in [
        create(&ServiceSpec { task_definition: latest("web"), ..external.clone() }),
        create(&ServiceSpec { scheduling_strategy: SchedulingStrategy::Daemon, ..external.clone() }),
        with(DeploymentConfiguration { circuit_breaker: breaker, ..DeploymentConfiguration::default() }),
        with(DeploymentConfiguration { strategy: DeploymentStrategy::LINEAR, ..DeploymentConfiguration::default() }),
    ] {
        refused += &refusal(&mut world, request);
    }
    assert_eq!(world.done(create(&external)), Response::Done);
    let update = |service: &str| UpdateService { service: service.into(), ..UpdateService::default() };
    let code_deploy = ServiceSpec {
        deployment_controller: DeploymentController::CodeDeploy,
        task_definition: latest("web"),
        ..service("code", 2)
    };
    world.done(create(&code_deploy));
    for name in ["shop", "code"] {
        for update in [
            UpdateService { task_definition: Some(latest("web")), ..update(name) },
            UpdateService { new_deployment: NewDeployment::Forced, ..update(name) },
        ] {
            refused += &refusal(&mut world, Request::UpdateService(Box::new(update)));
        }
    }
    let bounds = Some(DeploymentConfiguration { minimum_healthy_percent: 50, ..DeploymentConfiguration::default() });
    let update = |service: &str| UpdateService { deployment_configuration: bounds.clone(), ..update(service) };
    refused += &refusal(&mut world, Request::UpdateService(Box::new(update("shop"))));
    world.done(Request::UpdateService(Box::new(update("code"))));
    let set = |service: &str| TaskSetSpec {
        service: service.into(),
        task_definition: latest("web"),
        launch_target: on_fargate(),
        scale: Scale::ALL,
        ..TaskSetSpec::default()
    };
    let create = |spec: TaskSetSpec| Request::CreateTaskSet(Box::new(spec));
    for spec in [
        set("web"),
        set("code"),
        set("none"),
        TaskSetSpec { task_definition: latest("none"), ..set("shop") },
        TaskSetSpec { scale: Scale(100_001), ..set("shop") },
    ] {
        refused += &refusal(&mut world, create(spec));
    }
    // The same token asks for the same set.
    let token = TaskSetSpec { client_token: Some("once".into()), ..set("shop") };
    let first = described(world.done(create(token.clone())));
    assert_eq!(described(world.done(create(token))).id, first.id);
    for _ in 0..4 {
        world.done(create(set("shop")));
    }
    refused += &refusal(&mut world, create(set("shop")));
    let (service, task_set) = ("shop".into(), TaskSetName::Id(first.id));
    let when_empty = Deletion::WhenScaledToZero;
    refused += &refusal(&mut world, Request::DeleteTaskSet { service, task_set, deletion: when_empty });
    let (service, task_set) = ("shop".into(), TaskSetName::Id(DeploymentId(99)));
    refused += &refusal(&mut world, Request::UpdateServicePrimaryTaskSet { service, task_set });
    check(
        &refused,
        &expect![[r#"
        InvalidParameterException: TaskDefinition must be blank.
        InvalidParameterException: the DAEMON scheduling strategy is not supported with the deployment controller EXTERNAL
        InvalidParameterException: the deployment circuit breaker can't be used with the deployment controller EXTERNAL
        InvalidParameterException: the deployment strategy can't be used with the deployment controller EXTERNAL
        InvalidParameterException: Unable to update task definition on services with an EXTERNAL deployment controller. Create a task set instead.
        InvalidParameterException: Cannot force a new deployment on services with an EXTERNAL deployment controller. Create a task set instead.
        InvalidParameterException: Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.
        InvalidParameterException: Cannot force a new deployment on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.
        InvalidParameterException: Unable to update deployment configuration on services with an EXTERNAL deployment controller. Create a task set instead.
        InvalidParameterException: Amazon ECS only supports task set management on services configured to use external deployment controllers.
        InvalidParameterException: Amazon ECS only supports task set management on services configured to use external deployment controllers.
        ServiceNotFoundException: Service not found.
        ClientException: TaskDefinition not found: none
        InvalidParameterException: the value of a scale is from 0 to 100 percent
        InvalidParameterException: 5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit.
        InvalidParameterException: The task set cannot be deleted while it is scaled above 0.
        TaskSetNotFoundException: The specified task set was not found.
    "#]],
    );
}

/// ecs-semantics §5.8: a service of CodeDeploy has one task set of all its tasks, which is PRIMARY.
#[test]
fn code_deploy_has_one_set() {
    let mut world = World::new(&web(0));
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("shop", 256, 512))));
    let spec = ServiceSpec { deployment_controller: DeploymentController::CodeDeploy, ..service("shop", 2) };
    world.done(Request::CreateService(Box::new(spec)));
    world.run_until(100);
    check(
        &sets(&world),
        &expect![[r#"
        - ecs-svc/2 PRIMARY shop:1 100 %: 2+0 of 2, STEADY_STATE 41.000s
    "#]],
    );
    assert_eq!(world.plane.state().services["shop"].task_sets()[0].started_by.as_deref(), Some("CODE_DEPLOY"));
    set_count(&mut world, 1);
    world.run_until(200);
    check(
        &sets(&world),
        &expect![[r#"
        - ecs-svc/2 PRIMARY shop:1 100 %: 1+0 of 1, STEADY_STATE 41.000s
    "#]],
    );
}

/// ecs-semantics §5.11: a service without a task set, and one whose set finds no room, say what they lack.
#[test]
fn sets_explain_themselves() {
    let mut world = World::of_file(FILE);
    world.run_until(100);
    let reasons = |world: &World| match world.plane.explain(&Question::Service("shop".into())) {
        Ok(Explanation::Service(found)) => {
            found.reasons.iter().map(|reason| world.shorten(&format!("{reason}\n"))).collect::<String>()
        }
        other => panic!("not the answer: {other:?}"),
    };
    assert_eq!(reasons(&world), "");
    let large = task_definition("large", 2048, 4096);
    world.done(Request::RegisterTaskDefinition(Box::new(large)));
    world.done(Request::CreateTaskSet(Box::new(TaskSetSpec {
        service: "shop".into(),
        task_definition: latest("large"),
        scale: Scale::ALL,
        external_id: Some("red".into()),
        ..TaskSetSpec::default()
    })));
    world.run_for(60);
    check(
        &reasons(&world),
        &expect![[r#"
        3 tasks not started: no container instance met all requirements (RESOURCE:CPU)
    "#]],
    );
    for set in ["blue", "green", "red"] {
        delete(&mut world, set, Deletion::Forced).expect("it may be");
    }
    world.run_for(60);
    check(
        &reasons(&world),
        &expect![[r#"
        it has no task set: create one
    "#]],
    );
}
