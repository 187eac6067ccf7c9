//! Container instances that Longshore does not run: a client registers them, plays their agent and submits what becomes of their tasks.

use std::sync::Arc;

use expect_test::expect;
use longshore::control_plane::action::Action;
use longshore::control_plane::event::{Deregistration, Event, InstanceAttribute, OutageChange, Request};
use longshore::model::capacity::{ContainerInstanceStatus, InstanceLaunch, LaunchTarget};
use longshore::model::cluster::{ClusterSpec, RunTaskSpec};
use longshore::model::cluster_query::ClusterQuery;
use longshore::model::external_instance::{
    ContainerInstanceRegistration, ExternalAgent, SubmittedContainer, SubmittedStateChange, SubmittedStatus,
    TotalResources,
};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::service::{PlacementConstraint, ServiceSpec};
use longshore::model::task::{ContainerExit, ContainerStatus};
use longshore::model::units::{CpuUnits, MemoryMib, Timestamp};

use super::{check, set_count};
use crate::harness::{World, empty_cluster, instance_launch, on_ec2, run, service, task_definition};

/// Definitions `web` and `job`, and nothing to run them on.
fn world() -> World {
    let definitions = vec![task_definition("web", 512, 1024), task_definition("job", 512, 1024)];
    World::new(&ClusterSpec { task_definitions: definitions, ..empty_cluster() })
}

/// What the agent of `i-NAME` registers with, of the type of the other instances here: two vCPUs and 4 GiB.
pub(crate) fn registration(name: &str, version: Option<&str>) -> ContainerInstanceRegistration {
    let agent = ExternalAgent {
        ec2_instance_id: Some(format!("i-{name}").into()),
        agent_version: version.map(Arc::from),
        attributes: [("ecs.os-type".to_owned(), "windows".to_owned())].into(),
        ..ExternalAgent::default()
    };
    let launch = InstanceLaunch {
        external: Some(Arc::new(agent)),
        attributes: [("rack".to_owned(), name.to_owned())].into(),
        ..instance_launch("us-east-1a")
    };
    ContainerInstanceRegistration { launch, ..ContainerInstanceRegistration::default() }
}

fn register(world: &mut World, registration: ContainerInstanceRegistration) -> String {
    answer(world, Request::RegisterContainerInstance(Box::new(registration)))
}

/// Asks and shows the answer.
fn answer(world: &mut World, request: Request) -> String {
    match world.request(request) {
        Ok(response) => format!("{response:?}\n"),
        Err(error) => format!("{}: {error}\n", error.exception()),
    }
}

fn submit(
    world: &mut World,
    task: u64,
    status: Option<SubmittedStatus>,
    container: Option<(ContainerStatus, Option<i32>)>,
) {
    let containers = container.into_iter().map(|(status, exit_code)| SubmittedContainer {
        name: "main".to_owned(),
        status,
        exit: ContainerExit { exit_code, reason: None },
        document: serde_json::from_str(r#"{"runtimeId": "abc"}"#).unwrap(),
    });
    let containers = containers.collect();
    let change = SubmittedStateChange { task: TaskId(task), status, containers, ..SubmittedStateChange::default() };
    world.done(Request::SubmitStateChange(Box::new(change)));
}

fn has_actions(world: &World) -> bool {
    world.actions.iter().flatten().any(|action| !matches!(action, Action::Respond { .. } | Action::Notify(_)))
}

/// ecs-semantics §2.1, §2.2, §3.1, §3.2: what an agent registers takes tasks, which wait for what it submits: PENDING until RUNNING, and
/// when they are asked to stop, until STOPPED. Nobody here launches, starts, stops or meters anything.
#[test]
fn tasks_wait_for_their_agent() {
    let mut world = world();
    let resources = TotalResources { cpu: CpuUnits(1100), memory: MemoryMib(3000), ports: Some([].into()), gpus: 0 };
    let given = ContainerInstanceRegistration { resources: Some(resources), ..registration("a", Some("1.90.0")) };
    check(
        &register(&mut world, given),
        &expect![[r#"
        Instance(ContainerInstanceId(1))
    "#]],
    );
    world.run_until(10);
    let (_, failures) = world.run_task(run("job", 3, on_ec2()));
    check(&failures.concat(), &expect!["I1 RESOURCE:CPU: 512 CPU units are needed and 76 are left"]);
    world.run_until(500);
    let mut shown = world.tasks();
    submit(&mut world, 1, Some(SubmittedStatus::Pending), None);
    world.run_until(510);
    submit(&mut world, 1, Some(SubmittedStatus::Running), Some((ContainerStatus::Running, None)));
    shown += &world.tasks();
    world.done(Request::StopTask { task: TaskId(2), reason: None });
    world.run_until(600);
    // What comes too late is acknowledged.
    submit(&mut world, 2, Some(SubmittedStatus::Running), None);
    submit(&mut world, 1, None, Some((ContainerStatus::Stopped, Some(3))));
    shown += &world.tasks();
    world.run_until(700);
    submit(&mut world, 1, Some(SubmittedStatus::Stopped), None);
    submit(&mut world, 2, Some(SubmittedStatus::Stopped), None);
    submit(&mut world, 2, Some(SubmittedStatus::Stopped), None);
    shown += &world.tasks();
    check(
        &shown,
        &expect![[r#"
        T1 job:1 PENDING I1 created 10.000s
        T2 job:1 PENDING I1 created 10.000s
        T1 job:1 RUNNING I1 created 10.000s started 510.000s
        T2 job:1 PENDING I1 created 10.000s
        T1 job:1 STOPPING I1 created 10.000s started 510.000s stopping 600.000s EssentialContainerExited: Essential container in task exited
        T2 job:1 STOPPING I1 created 10.000s started 600.000s stopping 510.000s UserInitiated: Task stopped by user
        T1 job:1 STOPPED I1 created 10.000s started 510.000s stopping 600.000s stopped 700.000s EssentialContainerExited: Essential container in task exited
        T2 job:1 STOPPED I1 created 10.000s started 600.000s stopping 510.000s stopped 700.000s UserInitiated: Task stopped by user
    "#]],
    );
    let task = &world.plane.state().tasks[&TaskId(1)].task;
    assert_eq!(task.containers[0].exit.exit_code, Some(3));
    assert_eq!(task.containers[0].document.member("runtimeId"), Some(&"abc".into()));
    check(
        &world.instances(),
        &expect![[r#"
        I1 ACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 0.000s terminated -
    "#]],
    );
    assert!(!has_actions(&world), "nobody carries anything out");
}

/// ecs-semantics §2.4: how a task ended by what its agent says: never started, with an exit code though RUNNING was left out, with a reason.
#[test]
fn an_agent_says_how_a_task_ended() {
    let mut world = world();
    register(&mut world, registration("a", None));
    world.run_task(run("job", 3, on_ec2()));
    let stopped = |task, reason: Option<&str>, exit_code: Option<i32>| SubmittedStateChange {
        task: TaskId(task),
        status: Some(SubmittedStatus::Stopped),
        reason: reason.map(Arc::from),
        containers: vec![SubmittedContainer {
            name: "main".to_owned(),
            status: ContainerStatus::Stopped,
            exit: ContainerExit { exit_code, reason: None },
            ..SubmittedContainer::default()
        }],
        execution_stopped_at: Some(Timestamp::ZERO),
        ..SubmittedStateChange::default()
    };
    world.run_until(10);
    for change in [
        stopped(1, Some("CannotPullContainerError: no such image"), None),
        stopped(2, None, Some(0)),
        stopped(3, Some("The host is going down"), Some(1)),
    ] {
        world.done(Request::SubmitStateChange(Box::new(change)));
    }
    check(
        &world.tasks(),
        &expect![[r#"
        T1 job:1 STOPPED I1 created 0.000s stopped 10.000s TaskFailedToStart: CannotPullContainerError: no such image
        T2 job:1 STOPPED I1 created 0.000s stopped 10.000s EssentialContainerExited: Essential container in task exited
        T3 job:1 STOPPED I1 created 0.000s stopped 10.000s EssentialContainerExited: The host is going down
    "#]],
    );
    let unknown = SubmittedStateChange {
        containers: vec![SubmittedContainer { name: "mian".to_owned(), ..SubmittedContainer::default() }],
        ..stopped(1, None, None)
    };
    let mut shown = answer(&mut world, Request::SubmitStateChange(Box::new(unknown)));
    shown += &answer(&mut world, Request::SubmitStateChange(Box::new(stopped(9, None, None))));
    world.run_task(run("job", 1, crate::harness::on_fargate()));
    shown += &answer(&mut world, Request::SubmitStateChange(Box::new(stopped(4, None, None))));
    check(
        &shown,
        &expect![[r#"
        InvalidParameterException: The task has no container named mian.
        InvalidParameterException: The referenced task was not found.
        InvalidParameterException: Longshore runs the referenced task itself
    "#]],
    );
}

/// ecs-semantics §3.2, §4.4, §11.6: an agent that comes back is its instance again, of the type that it was; one of another name is
/// another; what Longshore runs is registered by nobody else. Updates of agents by version.
#[test]
fn agents_come_back_and_are_updated() {
    let mut spec = ClusterSpec { task_definitions: vec![task_definition("job", 512, 1024)], ..empty_cluster() };
    spec.container_instances = vec![instance_launch("us-east-1a")];
    let mut world = World::new(&spec);
    world.run_until(20);
    let own = world.plane.ids().ec2_instance(ContainerInstanceId(1));
    let mut shown = register(&mut world, registration("a", Some("1.90.0")));
    let tags = [("team".to_owned(), "blue".to_owned())].into();
    shown += &register(&mut world, ContainerInstanceRegistration { tags, ..registration("b", None) });
    shown += &register(&mut world, registration(&own[2..], None)).replace(&own, "i-1");
    let update = |id| Request::UpdateContainerAgent(ContainerInstanceId(id));
    for id in [1, 2, 2, 3, 4] {
        shown += &answer(&mut world, update(id));
    }
    let put = InstanceAttribute { instance: ContainerInstanceId(2), name: "put".to_owned(), value: None };
    world.done(Request::PutAttributes(vec![put]));
    // Back with a later version, then of another type.
    shown += &register(&mut world, registration("a", Some("1.100.0")));
    shown += &answer(&mut world, update(2));
    let mut other = registration("a", None);
    other.launch.instance_type = Arc::new(longshore::model::capacity::InstanceType {
        name: "m7i.xlarge".to_owned(),
        ..InstanceLaunch::clone(&other.launch).instance_type.as_ref().clone()
    });
    let by_id = ContainerInstanceRegistration {
        container_instance: Some(ContainerInstanceId(2)),
        ..registration("renamed", Some("1.80.0"))
    };
    let shown_id = world.plane.ids().container_instance(ContainerInstanceId(2));
    shown += &register(&mut world, other).replace(&shown_id, "I2");
    shown += &register(&mut world, by_id);
    let state = world.plane.state();
    let known: Vec<String> =
        state.container_instances[&ContainerInstanceId(2)].launch.attributes.keys().cloned().collect();
    shown += &format!("{:?} {known:?}\n", state.container_instances[&ContainerInstanceId(2)].agent_update);
    for query in
        ["agentVersion < 1.90", "agentVersion >= 1.0", "ec2InstanceId == i-b", "attribute:ecs.os-type == windows"]
    {
        let constraint = PlacementConstraint::MemberOf(ClusterQuery::parse(query).unwrap().into());
        let found = state.container_instances.keys().filter(|id| {
            let mut again = RunTaskSpec { placement_constraints: vec![constraint.clone()], ..run("job", 1, on_ec2()) };
            again.placement_constraints.push(PlacementConstraint::MemberOf(
                ClusterQuery::parse(&format!(
                    "ec2InstanceId == {}",
                    state.container_instances[id].ec2_instance_id(world.plane.ids())
                ))
                .unwrap()
                .into(),
            ));
            let question = longshore::control_plane::explain::Question::RunTask(Box::new(again));
            let Ok(longshore::control_plane::explain::Explanation::RunTask(explained)) = world.plane.explain(&question)
            else {
                panic!("it is explained")
            };
            match explained.choice {
                longshore::control_plane::explain::Choice::Instance { assessment, .. } => assessment.chosen.is_some(),
                _ => false,
            }
        });
        shown += &format!("{query}: {:?}\n", found.map(|id| id.0).collect::<Vec<_>>());
    }
    check(
        &shown,
        &expect![[r#"
        Instance(ContainerInstanceId(2))
        Instance(ContainerInstanceId(3))
        InvalidParameterException: Longshore runs i-1 and its agent itself
        NoUpdateAvailableException: There is no update available for this container agent.
        Instance(ContainerInstanceId(2))
        UpdateInProgressException: An update of this container agent is in progress.
        MissingVersionException: The version of the container agent is not known.
        InvalidParameterException: The referenced container instance was not found.
        Instance(ContainerInstanceId(2))
        NoUpdateAvailableException: There is no update available for this container agent.
        ClientException: Container instance type changes are not supported. Container instance I2 was previously registered as c7i.large.
        Instance(ContainerInstanceId(2))
        Some(Updated) ["put", "rack"]
        agentVersion < 1.90: [2]
        agentVersion >= 1.0: [1, 2]
        ec2InstanceId == i-b: [3]
        attribute:ecs.os-type == windows: [2, 3]
    "#]],
    );
}

/// ecs-semantics §3.2, §3.3: without contact nothing is placed; drained and deregistered as any other; what ECS forgets is replaced
/// elsewhere. A zone that is down for Longshore is not down for others.
#[test]
fn services_move_between_what_is_ours_and_what_is_not() {
    let mut world = world();
    register(&mut world, registration("a", None));
    world.done(Request::CreateService(Box::new(ServiceSpec { launch_target: on_ec2(), ..service("web", 1) })));
    submit(&mut world, 1, Some(SubmittedStatus::Running), None);
    world.run_until(60);
    let zone: Arc<str> = "us-east-1a".into();
    world.apply(Event::AvailabilityZoneOutage { availability_zone: zone.clone(), change: OutageChange::Begins });
    world.apply(Event::AvailabilityZoneOutage { availability_zone: zone, change: OutageChange::Ends });
    let instance = ContainerInstanceId(1);
    world.apply(Event::InstanceTerminated { instance, reason: None });
    world.apply(Event::InstanceFailed { instance, reason: "made up".to_owned() });
    let mut shown = answer(&mut world, Request::TerminateInstance(instance));
    world.apply(Event::AgentDisconnected { instance });
    set_count(&mut world, 2);
    let mut counts = world.counts("web") + "\n";
    world.apply(Event::AgentConnected { instance });
    counts += &(world.counts("web") + "\n");
    submit(&mut world, 2, Some(SubmittedStatus::Running), None);
    world.run_until(120);
    // Ours takes over while theirs drains.
    world.done(Request::LaunchInstance(Arc::new(instance_launch("us-east-1b"))));
    world.run_until(150);
    world.done(Request::UpdateContainerInstancesState {
        instances: vec![instance],
        status: ContainerInstanceStatus::Draining,
    });
    world.run_until(400);
    let deregister = |deregistration| Request::DeregisterContainerInstance { instance, deregistration };
    shown += &answer(&mut world, deregister(Deregistration::WhenEmpty));
    submit(&mut world, 1, Some(SubmittedStatus::Stopped), None);
    shown += &answer(&mut world, deregister(Deregistration::Forced));
    world.run_until(600);
    check(
        &shown,
        &expect![[r#"
        InvalidParameterException: Longshore does not run the referenced container instance
        InvalidParameterException: Found running tasks on the instance.
        Done
    "#]],
    );
    check(
        &counts,
        &expect![[r#"
        desired 2 running 1 pending 0 healthy 1
        desired 2 running 1 pending 1 healthy 1
    "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED I1 created 0.000s started 0.000s stopping 191.000s stopped 400.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T2 web:1 STOPPED I1 created 60.000s started 60.000s stopping 191.000s stopped 400.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T3 web:1 RUNNING I2 created 150.000s started 151.000s
        T4 web:1 RUNNING I2 created 150.000s started 151.000s
    "#]],
    );
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 0.000s terminated 400.000s
        I2 ACTIVE in us-east-1b with 2 tasks, launched 120.000s registered 130.000s terminated -
    "#]],
    );
    // Its name is free again.
    check(
        &register(&mut world, registration("a", None)),
        &expect![[r#"
        Instance(ContainerInstanceId(3))
    "#]],
    );
}

/// The cluster ends without waiting for an agent that says nothing.
#[test]
fn a_cluster_ends_without_its_agents() {
    let mut world = world();
    register(&mut world, registration("a", None));
    world.run_task(run("job", 2, LaunchTarget::ClusterDefault));
    submit(&mut world, 1, Some(SubmittedStatus::Running), None);
    world.run_until(50);
    world.done(Request::DrainCluster);
    assert!(world.plane.state().is_empty());
    check(
        &world.tasks(),
        &expect![[r#"
        T1 job:1 STOPPED I1 created 0.000s started 0.000s stopping 50.000s stopped 50.000s UserInitiated: The cluster is draining
        T2 job:1 STOPPED I1 created 0.000s stopping 50.000s stopped 50.000s UserInitiated: The cluster is draining
    "#]],
    );
    check(
        &register(&mut world, registration("b", None)),
        &expect![[r#"
        ClientException: the cluster is draining
    "#]],
    );
}
