//! Scenarios: a cluster, what happens to it, and what it says and does about it, each after a rule of the rule book.
//!
//! Read as stories: what is asked, then an inline snapshot of the service events, tasks or instances. Times are seconds since the
//! start. Ids are shortened to `T1` (task), `I1` (container instance), `i-1` (EC2 instance) and `ecs-svc/1` (deployment).

use std::sync::Arc;

use expect_test::{Expect, expect};
use longshore::control_plane::action::Action;
use longshore::control_plane::event::{
    ContainerStateChange, Deletion, Event, NewDeployment, Request, TaskStateChange, TaskStep, UpdateService,
};
use longshore::control_plane::state::RolloutState;
use longshore::model::capacity::{FARGATE, FARGATE_SPOT, LaunchTarget, ManagedScaling};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::scaling::{AutoScaling, PredefinedMetric, TargetTracking, TrackedMetric};
use longshore::model::service::{
    BinpackField, DeploymentConfiguration, PlacementConstraint, PlacementStrategy, ServiceSpec, SpreadField,
};
use longshore::model::settings::Settings;
use longshore::model::task::{ContainerExit, ContainerStatus};
use longshore::model::usage::{MeteringFact, TaskUsage};

use crate::harness::{
    Behaviour, End, World, at, empty_cluster, instance_launch, latest, on_ec2, on_fargate, provider, run, secs,
    service, strategy, task_definition,
};

#[track_caller]
fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

/// A service `web` on Fargate.
fn web(count: u32) -> ClusterSpec {
    ClusterSpec {
        task_definitions: vec![task_definition("web", 256, 512)],
        services: vec![service("web", count)],
        ..empty_cluster()
    }
}

/// The same from a cluster file, with such keys of its cluster, of the service with the tables below it, and such tables of the file.
fn web_of_file(cluster: &str, count: u32, service: &str, more: &str) -> World {
    World::of_file(&format!(
        r#"
        [cluster]
        name = "test"
        {cluster}
        [[task_definition]]
        family = "web"
        cpu = "256"
        memory = "512"
        requires_compatibilities = ["FARGATE"]
        container = [{{ name = "main", image = "../workloads/limits/spin.wat" }}]
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = {count}
        launch_type = "FARGATE"
        {service}
        {more}
        "#
    ))
}

/// A service `web` with bounds, on Fargate.
fn web_within(count: u32, minimum_healthy_percent: u32, maximum_percent: u32) -> ClusterSpec {
    let deployment_configuration =
        DeploymentConfiguration { minimum_healthy_percent, maximum_percent, ..DeploymentConfiguration::default() };
    ClusterSpec { services: vec![ServiceSpec { deployment_configuration, ..service("web", count) }], ..web(count) }
}

fn update(world: &mut World, update: UpdateService) {
    world.done(Request::UpdateService(Box::new(update)));
}

fn set_count(world: &mut World, count: u32) {
    update(world, UpdateService { service: "web".into(), desired_count: Some(count), ..UpdateService::default() });
}

/// Registers another revision of `web` and deploys it.
fn deploy(world: &mut World) {
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("web", 512, 1024))));
    let to = Some(latest("web"));
    update(world, UpdateService { service: "web".into(), task_definition: to, ..UpdateService::default() });
}

/// The counts of a service whenever they changed, from now to `end`.
fn counts_until(world: &mut World, end: u64) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    loop {
        let counts = world.counts("web");
        if lines.last().is_none_or(|(_, last)| *last != counts) {
            lines.push((world.now.to_string(), counts));
        }
        if !world.step(at(end)) {
            break;
        }
    }
    lines.into_iter().map(|(at, counts)| format!("{at} {counts}\n")).collect()
}

/// ecs-semantics §5.2, §5.7: without health checks a task counts 40 s after RUNNING, and the service is steady then.
#[test]
fn service_reaches_a_steady_state() {
    let mut world = World::new(&web(2));
    check(
        &counts_until(&mut world, 120),
        &expect![[r#"
        0.000s desired 2 running 0 pending 2 healthy 0
        1.000s desired 2 running 1 pending 1 healthy 0
        1.000s desired 2 running 2 pending 0 healthy 0
        41.000s desired 2 running 2 pending 0 healthy 2
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.3, §5.6, §2.4: a task that ran and died is replaced at once, without a delay, however often.
#[test]
fn death_is_replaced_at_once() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web(1) });
    world.behave("web", Behaviour { end: End::Exit { after: secs(50), code: 1 }, ..Behaviour::default() });
    world.done(Request::CreateService(Box::new(service("web", 1))));
    world.run_until(60);
    world.crash(TaskId(2), 139);
    world.run_until(160);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopped 51.000s EssentialContainerExited: Essential container in task exited
        T2 web:1 STOPPED created 51.000s started 52.000s stopped 60.000s EssentialContainerExited: Essential container in task exited
        T3 web:1 STOPPED created 60.000s started 61.000s stopped 111.000s EssentialContainerExited: Essential container in task exited
        T4 web:1 RUNNING created 111.000s started 112.000s
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 1 tasks: (task T1).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        51.000s (service web) has started 1 tasks: (task T2).
        60.000s (service web) has started 1 tasks: (task T3).
        101.000s (service web) has reached a steady state.
        111.000s (service web) has started 1 tasks: (task T4).
        152.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.2, §5.3: at 100/200 all new tasks start beside the old ones, which go when the new ones count.
#[test]
fn rolling_deployment_starts_first_at_100_200() {
    let mut world = World::new(&web(2));
    world.run_until(100);
    deploy(&mut world);
    check(
        &counts_until(&mut world, 200),
        &expect![[r#"
        100.000s desired 2 running 2 pending 2 healthy 2
        101.000s desired 2 running 3 pending 1 healthy 2
        101.000s desired 2 running 4 pending 0 healthy 2
        141.000s desired 2 running 2 pending 0 healthy 2
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
            0.000s (service web) has started 2 tasks: (task T1) (task T2).
            41.000s (service web) (deployment ecs-svc/1) deployment completed.
            41.000s (service web) has reached a steady state.
            100.000s (service web) has started 2 tasks: (task T3) (task T4).
            141.000s (service web) has stopped 2 running tasks: (task T2) (task T1).
            141.000s (service web) (deployment ecs-svc/2) deployment completed.
            141.000s (service web) has reached a steady state.
        "#]],
    );
    let service = &world.plane.state().services["web"];
    assert_eq!(service.deployments.len(), 1);
    assert_eq!(service.primary().rollout_state, RolloutState::Completed);
}

/// ecs-semantics §5.2: at 50/100 half the old tasks stop first, and the new ones take their room.
#[test]
fn rolling_deployment_stops_first_at_50_100() {
    let mut world = World::new(&web_within(4, 50, 100));
    world.run_until(100);
    deploy(&mut world);
    check(
        &counts_until(&mut world, 300),
        &expect![[r#"
        100.000s desired 4 running 2 pending 2 healthy 2
        101.000s desired 4 running 3 pending 1 healthy 2
        101.000s desired 4 running 4 pending 0 healthy 2
        141.000s desired 4 running 2 pending 2 healthy 2
        142.000s desired 4 running 3 pending 1 healthy 2
        142.000s desired 4 running 4 pending 0 healthy 2
        182.000s desired 4 running 4 pending 0 healthy 4
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
            0.000s (service web) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
            41.000s (service web) (deployment ecs-svc/1) deployment completed.
            41.000s (service web) has reached a steady state.
            100.000s (service web) has stopped 2 running tasks: (task T4) (task T3).
            100.000s (service web) has started 2 tasks: (task T5) (task T6).
            141.000s (service web) has stopped 2 running tasks: (task T2) (task T1).
            141.000s (service web) has started 2 tasks: (task T7) (task T8).
            182.000s (service web) (deployment ecs-svc/2) deployment completed.
            182.000s (service web) has reached a steady state.
        "#]],
    );
}

/// ecs-semantics §5.2, §5.11: 100/100 allows neither a start nor a stop, and says so once.
#[test]
fn rolling_deployment_is_stuck_at_100_100() {
    let mut world = World::new(&web_within(2, 100, 100));
    world.run_until(100);
    deploy(&mut world);
    world.run_until(300);
    // An update that changes nothing does not say it again.
    set_count(&mut world, 2);
    world.run_until(3600);
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        100.000s (service web) was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.
    "#]],
    );
    check(&world.counts("web"), &expect!["desired 2 running 2 pending 0 healthy 2"]);
    // Room above lets it go on.
    let room = DeploymentConfiguration {
        minimum_healthy_percent: 100,
        maximum_percent: 150,
        ..DeploymentConfiguration::default()
    };
    let service = UpdateService { service: "web".into(), ..UpdateService::default() };
    update(&mut world, UpdateService { deployment_configuration: Some(room), ..service });
    check(
        &counts_until(&mut world, 3800),
        &expect![[r#"
        3600.000s desired 2 running 2 pending 1 healthy 2
        3601.000s desired 2 running 3 pending 0 healthy 2
        3641.000s desired 2 running 2 pending 1 healthy 2
        3642.000s desired 2 running 3 pending 0 healthy 2
        3682.000s desired 2 running 2 pending 0 healthy 2
    "#]],
    );
}

/// ecs-semantics §5.5: a count, bounds or a strategy start no deployment; a task definition and force do.
#[test]
fn updates_that_start_a_deployment() {
    let mut world = World::new(&web(1));
    let deployments = |world: &World| world.plane.state().services["web"].primary().id;
    let first = deployments(&world);
    set_count(&mut world, 2);
    let service = UpdateService { service: "web".into(), ..UpdateService::default() };
    update(&mut world, UpdateService { placement_strategy: Some(vec![PlacementStrategy::Random]), ..service.clone() });
    update(&mut world, UpdateService { task_definition: Some(latest("web")), ..service.clone() });
    assert_eq!(deployments(&world), first);
    update(&mut world, UpdateService { new_deployment: NewDeployment::Forced, ..service });
    let second = deployments(&world);
    assert_ne!(second, first);
    deploy(&mut world);
    assert_ne!(deployments(&world), second);
}

/// ecs-semantics §4.2, §5.3: scale-in takes what does not run yet, then what does not count as healthy, then the youngest.
#[test]
fn scale_in_takes_the_least_useful_first() {
    let mut world = World::new(&web(2));
    world.run_until(100);
    set_count(&mut world, 4);
    world.run_until(110);
    set_count(&mut world, 6);
    set_count(&mut world, 1);
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        100.000s (service web) has started 2 tasks: (task T3) (task T4).
        110.000s (service web) has started 2 tasks: (task T5) (task T6).
        110.000s (service web) has stopped 5 running tasks: (task T6) (task T5) (task T4) (task T3) (task T2).
        110.000s (service web) has reached a steady state.
    "#]],
    );
    world.run_until(200);
    check(&world.counts("web"), &expect!["desired 1 running 1 pending 0 healthy 1"]);
    assert_eq!(world.plane.state().services["web"].primary().healthy.first(), Some(TaskId(1)));
}

/// A service `web` on instances by hand, two in zone a and one in zone b.
fn web_on_ec2(count: u32, placement_strategy: Vec<PlacementStrategy>) -> ClusterSpec {
    let on_instances = ServiceSpec { launch_target: on_ec2(), placement_strategy, ..service("web", count) };
    ClusterSpec {
        container_instances: ["us-east-1a", "us-east-1a", "us-east-1b"].map(instance_launch).into(),
        services: vec![on_instances],
        ..web(count)
    }
}

/// The cluster with its services created 20 s later, when its instances run.
fn with_services_later(mut spec: ClusterSpec) -> World {
    let services = std::mem::take(&mut spec.services);
    let mut world = World::new(&spec);
    world.run_until(20);
    for service in services {
        world.done(Request::CreateService(Box::new(service)));
    }
    world
}

/// The instances of the tasks of `web` that are to run.
fn hosts(world: &World) -> String {
    let tasks = world.plane.state().services["web"].primary().healthy.iter();
    let hosts = tasks.map(|task| {
        let instance = world.plane.state().tasks[&task].task.container_instance.expect("it is placed");
        format!("T{task}@I{instance}")
    });
    hosts.collect::<Vec<_>>().join(" ")
}

/// ecs-semantics §4.2: without a strategy a service spreads over zones, then instances, and scale-in mirrors it.
#[test]
fn scale_in_keeps_the_spread() {
    let mut world = with_services_later(web_on_ec2(6, Vec::new()));
    world.run_until(100);
    check(&hosts(&world), &expect!["T1@I1 T2@I3 T3@I2 T4@I3 T5@I1 T6@I3"]);
    set_count(&mut world, 3);
    check(&hosts(&world), &expect!["T3@I2 T4@I3 T5@I1"]);
    // What was chosen counts as gone for the next choice: one task in each zone is left, not two in one.
    set_count(&mut world, 2);
    check(&hosts(&world), &expect!["T3@I2 T4@I3"]);
}

/// ecs-semantics §4.2: binpack fills one instance after the other and scale-in empties the emptiest.
#[test]
fn scale_in_empties_the_emptiest_instance_of_a_binpack() {
    let mut world = with_services_later(web_on_ec2(10, vec![PlacementStrategy::Binpack(BinpackField::Cpu)]));
    world.run_until(100);
    check(&hosts(&world), &expect!["T1@I1 T2@I1 T3@I1 T4@I1 T5@I1 T6@I1 T7@I1 T8@I1 T9@I2 T10@I2"]);
    set_count(&mut world, 7);
    check(&hosts(&world), &expect!["T1@I1 T2@I1 T3@I1 T4@I1 T5@I1 T6@I1 T7@I1"]);
}

/// ecs-semantics §4.2: a spread over zones keeps thousands of tasks even when half of them go, and does not take for ever.
#[test]
fn scale_in_of_thousands_keeps_the_balance() {
    let zones = SpreadField::Attribute("ecs.availability-zone".to_owned());
    let mut spec = web_on_ec2(900, vec![PlacementStrategy::Spread(zones)]);
    spec.task_definitions = vec![task_definition("web", 1, 4)];
    let mut world = with_services_later(spec);
    world.run_until(300);
    set_count(&mut world, 301);
    let mut by_zone = std::collections::BTreeMap::<String, u32>::new();
    for task in &world.plane.state().services["web"].primary().healthy {
        let instance = world.plane.state().tasks[&task].task.container_instance.expect("it is placed");
        let zone = &world.plane.state().container_instances[&instance].launch.availability_zone;
        *by_zone.entry(zone.to_string()).or_default() += 1;
    }
    assert_eq!(by_zone.values().sum::<u32>(), 301);
    assert!(by_zone.values().all(|count| (150..=151).contains(count)), "{by_zone:?}");
}

/// ecs-semantics §4.5: RunTask places what fits and gives a reason for each instance; nothing is queued without a provider.
#[test]
fn run_task_succeeds_in_part() {
    let spec = ClusterSpec {
        container_instances: ["us-east-1a", "us-east-1b"].map(instance_launch).into(),
        task_definitions: vec![task_definition("cpu", 1024, 512), task_definition("memory", 128, 3000)],
        ..empty_cluster()
    };
    let mut world = World::new(&spec);
    let (tasks, failures) = world.run_task(run("cpu", 2, on_ec2()));
    assert_eq!(tasks, []);
    check(&failures.join("\n"), &expect!["NO ACTIVE INSTANCES: the cluster has no active container instance"]);
    world.run_until(20);
    let (tasks, failures) = world.run_task(run("cpu", 5, on_ec2()));
    assert_eq!(tasks.len(), 4);
    check(
        &failures.join("\n"),
        &expect![[r#"
        I1 RESOURCE:CPU: 1024 CPU units are needed and 0 are left
        I2 RESOURCE:CPU: 1024 CPU units are needed and 0 are left"#]],
    );
    world.run_until(30);
    for task in tasks {
        world.done(Request::StopTask { task, reason: None });
    }
    world.run_until(40);
    let (tasks, failures) = world.run_task(run("memory", 3, on_ec2()));
    assert_eq!(tasks.len(), 2);
    check(
        &failures.join("\n"),
        &expect![[r#"
        I1 RESOURCE:MEMORY: 3000 MiB are needed and 1096 are left
        I2 RESOURCE:MEMORY: 3000 MiB are needed and 1096 are left"#]],
    );
}

/// A cluster with a scaled group from nothing.
fn scaled(task_definitions: Vec<longshore::model::task_definition::TaskDefinition>) -> ClusterSpec {
    ClusterSpec { capacity_providers: vec![provider("asg", 0, 4)], task_definitions, ..empty_cluster() }
}

/// ecs-semantics §4.5, §6.3: a task that has no room waits in PROVISIONING; the first step from zero is two instances, and the task runs
/// when one of them registers.
#[test]
fn run_task_waits_for_capacity() {
    let mut world = World::new(&scaled(vec![task_definition("job", 1024, 1024)]));
    world.run_until(30);
    let (tasks, failures) = world.run_task(run("job", 3, strategy(&[("asg", 0, 1)])));
    assert_eq!((tasks.len(), failures.len()), (3, 0));
    check(
        &world.tasks(),
        &expect![[r#"
        T1 job:1 PROVISIONING asg created 30.000s
        T2 job:1 PROVISIONING asg created 30.000s
        T3 job:1 PROVISIONING asg created 30.000s
    "#]],
    );
    world.run_until(80);
    check(
        &world.tasks(),
        &expect![[r#"
            T1 job:1 RUNNING asg I1 created 70.000s started 71.000s
            T2 job:1 RUNNING asg I1 created 70.000s started 71.000s
            T3 job:1 RUNNING asg I2 created 70.000s started 71.000s
        "#]],
    );
    check(
        &world.instances(),
        &expect![[r#"
        I1 ACTIVE in us-east-1a with 2 tasks, launched 60.000s registered 70.000s terminated -
        I2 ACTIVE in us-east-1b with 1 tasks, launched 60.000s registered 70.000s terminated -
    "#]],
    );
    check(
        &world.group_activities(),
        &expect![[r#"
        60.000s asg 0 -> 2: CapacityProviderReservation is 200% (2 needed, 0 present) against a target of 100%: scale-out to 2
    "#]],
    );
}

/// ecs-semantics §2.4, §4.5: a task that waits for capacity longer than it may fails to start, for what its closest instance lacks; one that was
/// placed in time runs on.
#[test]
fn waiting_for_capacity_may_have_an_end() {
    let mut spec = scaled(vec![task_definition("job", 1024, 1024), task_definition("large", 1024, 8192)]);
    spec.settings.provisioning_timeout = Some(secs(300));
    let mut world = World::new(&spec);
    world.run_until(30);
    world.run_task(run("large", 1, strategy(&[("asg", 0, 1)])));
    world.run_until(35);
    world.run_task(run("job", 1, strategy(&[("asg", 0, 1)])));
    world.run_until(600);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 large:1 STOPPED asg created 30.000s stopped 330.000s TaskFailedToStart: RESOURCE:MEMORY
        T2 job:1 RUNNING asg I1 created 70.000s started 71.000s
    "#]],
    );
    assert!(world.plane.state().capacity_providers["asg"].provisioning.is_empty());
}

/// ecs-semantics §4.3, §4.5: what RunTask asked of placement holds for tasks that waited, too.
#[test]
fn waiting_tasks_keep_their_constraints() {
    let mut world = World::new(&scaled(vec![task_definition("job", 256, 256)]));
    let mut spec = run("job", 3, strategy(&[("asg", 0, 1)]));
    spec.placement_constraints = vec![PlacementConstraint::DistinctInstance];
    world.run_task(spec);
    world.run_until(400);
    check(
        &world.tasks(),
        &expect![[r#"
            T1 job:1 RUNNING asg I1 created 70.000s started 71.000s
            T2 job:1 RUNNING asg I2 created 70.000s started 71.000s
            T3 job:1 RUNNING asg I3 created 130.000s started 131.000s
        "#]],
    );
}

/// ecs-semantics §1.7, §4.5: 500 tasks may wait in a cluster; RunTask beyond is refused, a service says so and goes on when it can.
#[test]
fn no_more_than_500_tasks_wait() {
    let mut spec = scaled(vec![task_definition("job", 2048, 1024), task_definition("web", 2048, 1024)]);
    spec.capacity_providers = vec![provider("asg", 0, 0)];
    let mut world = World::new(&spec);
    let mut all = Vec::new();
    for _ in 0..50 {
        all.extend(world.run_task(run("job", 10, strategy(&[("asg", 0, 1)]))).0);
    }
    let refused = world.request(Request::RunTask(Box::new(run("job", 1, strategy(&[("asg", 0, 1)])))));
    check(
        &refused.expect_err("the limit is reached").to_string(),
        &expect!["You've reached the limit on the number of tasks you can provision concurrently."],
    );
    let on_group = ServiceSpec { launch_target: strategy(&[("asg", 0, 1)]), ..service("web", 2) };
    world.done(Request::CreateService(Box::new(on_group)));
    for task in &all[..2] {
        world.done(Request::StopTask { task: *task, reason: None });
        world.run_for(1);
    }
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) was unable to place tasks in your cluster because the tasks provisioning capacity limit was exceeded.
        0.000s (service web) has started 1 tasks: (task T501).
        1.000s (service web) has started 1 tasks: (task T502).
    "#]],
    );
}

/// ecs-semantics §9.1, §8.3: a group keeps its minimum over its zones, replaces what is lost and tries again after a failed launch.
#[test]
fn group_keeps_its_minimum() {
    let spec = ClusterSpec { capacity_providers: vec![provider("asg", 2, 4)], ..empty_cluster() };
    let mut world = World::new(&spec);
    world.run_until(30);
    world.launches_to_fail = 1;
    world.lose_instance(ContainerInstanceId(1));
    world.run_until(120);
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 30.000s
        I2 ACTIVE in us-east-1b with 0 tasks, launched 0.000s registered 10.000s terminated -
        I3 INACTIVE in us-east-1a with 0 tasks, launched 30.000s registered - terminated 40.000s
        I4 ACTIVE in us-east-1a with 0 tasks, launched 100.000s registered 110.000s terminated -
    "#]],
    );
    check(
        &world.group_activities(),
        &expect![[r#"
        30.000s asg 2 -> 2: an instance is replaced: hardware failure
        40.000s asg 2 -> 2: an instance could not be launched: InsufficientInstanceCapacity
    "#]],
    );
}

/// ecs-semantics §6.4: fifteen periods below the target bring a scale-in, of empty instances only and never below the minimum.
#[test]
fn managed_scale_in_takes_empty_instances() {
    let mut world = World::new(&scaled(vec![task_definition("job", 2048, 1024)]));
    let (tasks, _) = world.run_task(run("job", 4, strategy(&[("asg", 0, 1)])));
    world.run_until(300);
    for task in [tasks[0], tasks[1], tasks[3]] {
        world.done(Request::StopTask { task, reason: None });
    }
    world.run_until(300 + 20 * 60);
    check(
        &world.group_activities(),
        &expect![[r#"
            60.000s asg 0 -> 2: CapacityProviderReservation is 200% (4 needed, 0 present) against a target of 100%: scale-out to 2
            120.000s asg 2 -> 4: CapacityProviderReservation is 200% (4 needed, 2 present) against a target of 100%: scale-out to 4
            1200.000s asg 4 -> 3: CapacityProviderReservation is 25% (1 needed, 4 present) against a target of 100%: scale-in to 3
            1200.000s asg 3 -> 3: instance i-1 goes: the group has more instances than it desires
            1260.000s asg 3 -> 2: CapacityProviderReservation is 33.333% (1 needed, 3 present) against a target of 100%: scale-in to 2
            1260.000s asg 2 -> 2: instance i-2 goes: the group has more instances than it desires
            1320.000s asg 2 -> 1: CapacityProviderReservation is 50% (1 needed, 2 present) against a target of 100%: scale-in to 1
            1320.000s asg 1 -> 1: instance i-4 goes: the group has more instances than it desires
        "#]],
    );
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 60.000s registered 70.000s terminated 1201.000s
        I2 INACTIVE in us-east-1b with 0 tasks, launched 60.000s registered 70.000s terminated 1261.000s
        I3 ACTIVE in us-east-1a with 1 tasks, launched 120.000s registered 130.000s terminated -
        I4 INACTIVE in us-east-1b with 0 tasks, launched 120.000s registered 130.000s terminated 1321.000s
    "#]],
    );
}

/// ecs-semantics §6.4: no scale-out while an instance warms up.
#[test]
fn managed_scale_out_waits_for_the_warm_up() {
    let mut group = provider("asg", 1, 10);
    group.managed_scaling = Some(ManagedScaling::default());
    let spec = ClusterSpec { capacity_providers: vec![group], ..scaled(vec![task_definition("job", 2048, 1024)]) };
    let mut world = World::new(&spec);
    world.run_until(30);
    world.run_task(run("job", 3, strategy(&[("asg", 0, 1)])));
    world.run_until(600);
    check(
        &world.group_activities(),
        &expect![[r#"
        300.000s asg 1 -> 3: CapacityProviderReservation is 300% (3 needed, 1 present) against a target of 100%: scale-out to 3
    "#]],
    );
}

/// ecs-semantics §7.2: out after three periods above the target, in after fifteen below nine tenths of it.
#[test]
fn target_tracking_follows_the_load() {
    let metric = TrackedMetric::Predefined(PredefinedMetric::AverageCpuUtilization);
    let target_tracking = vec![TargetTracking::of(metric, 50_000)];
    let auto_scaling =
        Some(AutoScaling { min_capacity: 1, max_capacity: 10, target_tracking, ..AutoScaling::default() });
    let spec = ClusterSpec { services: vec![ServiceSpec { auto_scaling, ..service("web", 2) }], ..web(2) };
    let mut world = World::new(&spec);
    world.behave("web", Behaviour { cpu_percent: 90, ..Behaviour::default() });
    world.run_until(400);
    world.behave("web", Behaviour { cpu_percent: 10, ..Behaviour::default() });
    world.run_until(2400);
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        180.000s (service web) desired count changed from 2 to 4: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
        180.000s (service web) has started 2 tasks: (task T3) (task T4).
        221.000s (service web) has reached a steady state.
        240.000s (service web) desired count changed from 4 to 6: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
        240.000s (service web) has started 2 tasks: (task T5) (task T6).
        281.000s (service web) has reached a steady state.
        300.000s (service web) desired count changed from 6 to 7: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
        300.000s (service web) has started 1 tasks: (task T7).
        341.000s (service web) has reached a steady state.
        360.000s (service web) desired count changed from 7 to 8: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy ECSServiceAverageCPUUtilization: 90% against a target of 50%
        360.000s (service web) has started 1 tasks: (task T8).
        401.000s (service web) has reached a steady state.
        1260.000s (service web) desired count changed from 8 to 2: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilization: 10% against a target of 50%
        1260.000s (service web) has stopped 6 running tasks: (task T8) (task T3) (task T5) (task T6) (task T2) (task T1).
        1260.000s (service web) has reached a steady state.
        1560.000s (service web) desired count changed from 2 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy ECSServiceAverageCPUUtilization: 10% against a target of 50%
        1560.000s (service web) has stopped 1 running tasks: (task T7).
        1560.000s (service web) has reached a steady state.
    "#]],
    );
}

/// How many tasks of `web` run on on-demand and on Spot capacity.
fn by_purchase_option(world: &World) -> (u32, u32) {
    let counts = &world.plane.state().services["web"].primary().tasks_by_provider;
    let of = |name: &str| counts.get(name).copied().unwrap_or(0);
    (of(FARGATE), of(FARGATE_SPOT))
}

/// ecs-semantics §6.1: base 2 and weights 1:3 are 4 and 6 of ten, also after a deployment, a loss and a scale-in.
#[test]
fn strategy_keeps_base_and_weights() {
    let launch_target = strategy(&[(FARGATE, 2, 1), (FARGATE_SPOT, 0, 3)]);
    let spec = ClusterSpec { services: vec![ServiceSpec { launch_target, ..service("web", 10) }], ..web(10) };
    let mut world = with_services_later(spec);
    world.behave("web", Behaviour { stop: secs(30), ..Behaviour::default() });
    world.run_until(100);
    assert_eq!(by_purchase_option(&world), (4, 6));
    deploy(&mut world);
    world.run_until(300);
    assert_eq!(by_purchase_option(&world), (4, 6));
    // A task that is stopping makes room for its replacement at once.
    let on_demand =
        world.plane.state().tasks.values().find(|record| {
            record.task.capacity_provider.as_deref() == Some(FARGATE) && record.task.stopped_at.is_none()
        });
    let task = on_demand.expect("four run").task.id;
    world.done(Request::StopTask { task, reason: None });
    assert_eq!(by_purchase_option(&world), (4, 6));
    world.run_until(400);
    set_count(&mut world, 2);
    assert_eq!(by_purchase_option(&world), (2, 0));
}

/// ecs-semantics §6.1: RunTask counts base and weights by call.
#[test]
fn run_task_counts_the_base_by_call() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web(0) });
    for _ in 0..2 {
        let (tasks, _) = world.run_task(run("web", 10, strategy(&[(FARGATE, 2, 1), (FARGATE_SPOT, 0, 3)])));
        let state = world.plane.state();
        let spot =
            tasks.iter().filter(|task| state.tasks[task].task.capacity_provider.as_deref() == Some(FARGATE_SPOT));
        assert_eq!(spot.count(), 6);
    }
}

/// ecs-semantics §5.6: tasks that never run are started again after 1, 2, 4 ... seconds; another task definition resets it at once.
#[test]
fn failing_starts_are_throttled() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web(1) });
    let fails = End::FailToStart { reason: "CannotPullContainerError: web.wasm: not found" };
    world.behave("web:1", Behaviour { end: fails, ..Behaviour::default() });
    world.done(Request::CreateService(Box::new(service("web", 1))));
    world.run_until(40);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s stopped 1.000s TaskFailedToStart: CannotPullContainerError: web.wasm: not found
        T2 web:1 STOPPED created 2.000s stopped 3.000s TaskFailedToStart: CannotPullContainerError: web.wasm: not found
        T3 web:1 STOPPED created 5.000s stopped 6.000s TaskFailedToStart: CannotPullContainerError: web.wasm: not found
        T4 web:1 STOPPED created 10.000s stopped 11.000s TaskFailedToStart: CannotPullContainerError: web.wasm: not found
        T5 web:1 STOPPED created 19.000s stopped 20.000s TaskFailedToStart: CannotPullContainerError: web.wasm: not found
        T6 web:1 STOPPED created 36.000s stopped 37.000s TaskFailedToStart: CannotPullContainerError: web.wasm: not found
    "#]],
    );
    assert_eq!(world.plane.state().services["web"].primary().failed_tasks, 6);
    deploy(&mut world);
    world.run_until(100);
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 1 tasks: (task T1).
        2.000s (service web) has started 1 tasks: (task T2).
        5.000s (service web) has started 1 tasks: (task T3).
        6.000s (service web) is unable to consistently start tasks successfully.
        10.000s (service web) has started 1 tasks: (task T4).
        19.000s (service web) has started 1 tasks: (task T5).
        36.000s (service web) has started 1 tasks: (task T6).
        40.000s (service web) has started 1 tasks: (task T7).
        81.000s (service web) (deployment ecs-svc/2) deployment completed.
        81.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.6: what counts is that a task never ran, not how it ended.
#[test]
fn exits_before_running_are_throttled() {
    let mut world = World::new(&web(1));
    for _ in 0..3 {
        let task = world.plane.state().services["web"].primary().starting.first().expect("one starts");
        world.crash(task, 1);
        world.run_for(10);
        // The one that was started after the delay.
        let task = world.plane.state().services["web"].primary().unproven.first().expect("one runs");
        assert!(world.plane.state().tasks[&task].task.created_at > at(0));
        world.done(Request::StopTask { task, reason: None });
    }
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s stopped 0.000s EssentialContainerExited: Essential container in task exited
        T2 web:1 STOPPED created 1.000s started 2.000s stopping 10.000s stopped 11.000s UserInitiated: Task stopped by user
        T3 web:1 STOPPED created 10.000s stopped 10.000s EssentialContainerExited: Essential container in task exited
        T4 web:1 STOPPED created 11.000s started 12.000s stopping 20.000s stopped 21.000s UserInitiated: Task stopped by user
        T5 web:1 STOPPED created 20.000s stopped 20.000s EssentialContainerExited: Essential container in task exited
        T6 web:1 STOPPING created 21.000s started 22.000s stopping 30.000s UserInitiated: Task stopped by user
        T7 web:1 PENDING created 30.000s
    "#]],
    );
}

/// ecs-semantics §2.4: StopTask's reason is the caller's or ECS' text, and the first reason stays.
#[test]
fn stop_task_has_a_reason() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web(0) });
    let (tasks, _) = world.run_task(run("web", 2, on_fargate()));
    world.run_until(10);
    world.done(Request::StopTask { task: tasks[0], reason: None });
    world.done(Request::StopTask { task: tasks[1], reason: Some("end of the experiment".into()) });
    world.done(Request::StopTask { task: tasks[1], reason: Some("another reason".into()) });
    world.run_until(20);
    world.done(Request::StopTask { task: tasks[1], reason: None });
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopping 10.000s stopped 11.000s UserInitiated: Task stopped by user
        T2 web:1 STOPPED created 0.000s started 1.000s stopping 10.000s stopped 11.000s UserInitiated: end of the experiment
    "#]],
    );
    let unknown = world.request(Request::StopTask { task: TaskId(99), reason: None });
    check(&unknown.expect_err("there is no such task").to_string(), &expect!["The referenced task was not found."]);
}

/// ecs-semantics §2.2, §2.4: an essential container's end ends the task, exit code 0 included.
#[test]
fn essential_container_ends_the_task() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web(0) });
    world.behave("web", Behaviour { end: End::Exit { after: secs(5), code: 0 }, ..Behaviour::default() });
    let (tasks, _) = world.run_task(run("web", 1, on_fargate()));
    world.run_until(10);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopped 6.000s EssentialContainerExited: Essential container in task exited
    "#]],
    );
    assert_eq!(world.plane.state().tasks[&tasks[0]].task.containers[0].exit.exit_code, Some(0));
}

/// ecs-semantics §2.2: the end of an essential container stops the others, and the service does not wait for them; the end of
/// another container changes nothing.
#[test]
fn essential_container_stops_the_others() {
    let mut definition = task_definition("web", 256, 512);
    let mut sidecar = definition.containers[0].clone();
    (sidecar.name, sidecar.essential) = ("sidecar".to_owned(), false);
    definition.containers.push(sidecar);
    let mut world = World::new(&ClusterSpec { task_definitions: vec![definition], ..web(2) });
    world.behave("web", Behaviour { stop: secs(20), ..Behaviour::default() });
    world.run_until(100);
    for (task, container_index) in [(TaskId(1), 0), (TaskId(2), 1)] {
        let exit = ContainerExit { exit_code: Some(3), reason: None };
        let ended = ContainerStateChange {
            container_index,
            status: ContainerStatus::Stopped,
            exit,
            ..ContainerStateChange::default()
        };
        world.apply(Event::TaskStateChange(TaskStateChange {
            task,
            step: TaskStep::ContainersChanged,
            pull_started_at: None,
            pull_stopped_at: None,
            containers: [ended].into(),
        }));
    }
    world.run_until(200);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopping 100.000s stopped 120.000s EssentialContainerExited: Essential container in task exited
        T2 web:1 RUNNING created 0.000s started 1.000s
        T3 web:1 RUNNING created 100.000s started 101.000s
    "#]],
    );
    let exits = world.plane.state().tasks[&TaskId(1)].task.containers.iter().map(|container| container.exit.exit_code);
    assert_eq!(exits.collect::<Vec<_>>(), [Some(3), Some(0)]);
}

/// ecs-semantics §8.4: Spot capacity is reclaimed with a warning, the service tries again on Spot; on-demand tasks are not touched.
#[test]
fn spot_capacity_is_interrupted() {
    let launch_target = strategy(&[(FARGATE, 1, 0), (FARGATE_SPOT, 0, 1)]);
    let spec = ClusterSpec { services: vec![ServiceSpec { launch_target, ..service("web", 2) }], ..web(2) };
    let mut world = with_services_later(spec);
    world.behave("web", Behaviour { stop: secs(60), ..Behaviour::default() });
    world.run_until(100);
    world.apply(Event::SpotInterruption { task: TaskId(1) });
    world.apply(Event::SpotInterruption { task: TaskId(2) });
    world.run_until(200);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 RUNNING FARGATE created 20.000s started 21.000s
        T2 web:1 STOPPED FARGATE_SPOT created 20.000s started 21.000s stopping 100.000s stopped 130.000s SpotInterruption: Your Spot Task was interrupted.
        T3 web:1 RUNNING FARGATE_SPOT created 100.000s started 101.000s
    "#]],
    );
}

/// ecs-semantics §2.4, §3.2: tasks end with their instance, whether it was asked to end or lost; the service's are replaced elsewhere.
#[test]
fn tasks_end_with_their_instance() {
    let mut world = with_services_later(web_on_ec2(3, Vec::new()));
    world.run_until(100);
    world.done(Request::TerminateInstance(ContainerInstanceId(1)));
    world.run_until(110);
    world.lose_instance(ContainerInstanceId(3));
    world.run_until(200);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED I1 created 20.000s started 21.000s stopping 100.000s stopped 101.000s TerminationNotice: Host EC2 (instance i-1) stopped/terminated
        T2 web:1 STOPPED I3 created 20.000s started 21.000s stopping 110.000s stopped 110.000s TerminationNotice: Host EC2 (instance i-3) stopped/terminated
        T3 web:1 RUNNING I2 created 20.000s started 21.000s
        T4 web:1 RUNNING I2 created 100.000s started 101.000s
        T5 web:1 RUNNING I2 created 110.000s started 111.000s
    "#]],
    );
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 101.000s
        I2 ACTIVE in us-east-1a with 3 tasks, launched 0.000s registered 10.000s terminated -
        I3 INACTIVE in us-east-1b with 0 tasks, launched 0.000s registered 10.000s terminated 110.000s
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
        20.000s (service web) has started 3 tasks: (task T1) (task T2) (task T3).
        61.000s (service web) (deployment ecs-svc/1) deployment completed.
        61.000s (service web) has reached a steady state.
        100.000s (service web) has started 1 tasks: (task T4).
        110.000s (service web) has started 1 tasks: (task T5).
        151.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.11: a service that finds no room says why and starts its task when there is room again.
#[test]
fn service_waits_for_room() {
    let mut spec = web_on_ec2(3, Vec::new());
    spec.container_instances.truncate(1);
    spec.task_definitions = vec![task_definition("web", 1024, 512)];
    let mut world = World::new(&spec);
    world.run_until(100);
    world.done(Request::LaunchInstance(Arc::new(instance_launch("us-east-1b"))));
    world.run_until(200);
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.
        10.000s (service web) has started 2 tasks: (task T1) (task T2).
        60.000s (service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 has insufficient CPU units available.
        110.000s (service web) has started 1 tasks: (task T3).
        151.000s (service web) (deployment ecs-svc/1) deployment completed.
        151.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §2.1: a task stopped before it started has no startedAt, whether it was placed or waited.
#[test]
fn stopped_before_the_start() {
    let mut world = World::new(&scaled(vec![task_definition("job", 256, 256)]));
    world.behave("job", Behaviour { pull: secs(20), ..Behaviour::default() });
    let (waits, _) = world.run_task(run("job", 1, strategy(&[("asg", 0, 1)])));
    let (pulls, _) = world.run_task(run("job", 1, on_fargate()));
    world.run_until(5);
    for task in [waits[0], pulls[0]] {
        world.done(Request::StopTask { task, reason: None });
    }
    world.run_until(30);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 job:1 STOPPED asg created 0.000s stopped 5.000s UserInitiated: Task stopped by user
        T2 job:1 STOPPED created 0.000s stopping 5.000s stopped 6.000s UserInitiated: Task stopped by user
    "#]],
    );
    // What was pulled is paid for, what waited is not.
    let metered: Vec<TaskId> = world.actions.iter().flatten().filter_map(started_for_the_meter).collect();
    assert_eq!(metered, pulls);
}

fn started_for_the_meter(action: &Action) -> Option<TaskId> {
    match action {
        Action::Meter(MeteringFact::TaskStarted { task, .. }) => Some(*task),
        _ => None,
    }
}

/// ecs-semantics §8.3: a task is paid for from its first pull; one whose images were all there, from when it runs.
#[test]
fn a_task_that_pulled_nothing_is_metered_too() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web(0) });
    let (tasks, _) = world.run_task(run("web", 1, on_fargate()));
    let running = TaskStateChange {
        task: tasks[0],
        step: TaskStep::Running,
        pull_started_at: None,
        pull_stopped_at: None,
        containers: Default::default(),
    };
    let actions = world.apply(Event::TaskStateChange(running.clone()));
    assert_eq!(actions.iter().filter_map(started_for_the_meter).collect::<Vec<_>>(), tasks);
    let stopped = TaskStep::Stopped { usage: TaskUsage::default(), failed_to_start: None };
    world.apply(Event::TaskStateChange(TaskStateChange { step: stopped, ..running }));
}

/// DrainCluster ends services, standalone tasks and then the instances, groups included; nothing is asked for after it.
#[test]
fn drain_ends_everything() {
    let mut spec = web_on_ec2(2, Vec::new());
    spec.capacity_providers = vec![provider("asg", 1, 2)];
    spec.task_definitions.push(task_definition("job", 2048, 4096));
    let mut world = World::new(&spec);
    world.run_until(50);
    world.run_task(run("job", 2, strategy(&[("asg", 0, 1)])));
    world.run_until(55);
    world.done(Request::DrainCluster);
    let refused = world.request(Request::RunTask(Box::new(run("job", 1, on_fargate()))));
    check(&refused.expect_err("the cluster is draining").to_string(), &expect!["the cluster is draining"]);
    world.run_until(200);
    assert!(world.plane.state().is_empty());
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED I1 created 10.000s started 11.000s stopping 55.000s stopped 56.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T2 web:1 STOPPED I1 created 10.000s started 11.000s stopping 55.000s stopped 56.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T3 job:1 STOPPED asg created 50.000s stopped 55.000s UserInitiated: The cluster is draining
        T4 job:1 STOPPED asg created 50.000s stopped 55.000s UserInitiated: The cluster is draining
    "#]],
    );
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 57.000s
        I2 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 57.000s
        I3 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 57.000s
        I4 INACTIVE in us-east-1b with 0 tasks, launched 0.000s registered 10.000s terminated 57.000s
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.
        10.000s (service web) has started 2 tasks: (task T1) (task T2).
        51.000s (service web) (deployment ecs-svc/1) deployment completed.
        51.000s (service web) has reached a steady state.
        55.000s (service web) has stopped 2 running tasks: (task T1) (task T2).
    "#]],
    );
}

/// ecs-semantics §5.5: a deleted service is INACTIVE once its tasks are STOPPING; its name is free then, and another one of it and the
/// tasks that are stopping do not meddle with one another.
#[test]
fn deleted_service_ends_and_its_name_is_free() {
    let mut world = World::new(&web(2));
    world.behave("web", Behaviour { stop: secs(20), ..Behaviour::default() });
    world.run_until(100);
    let delete = Request::DeleteService { service: "web".into(), deletion: Deletion::Forced };
    world.done(delete.clone());
    check(world.plane.state().services["web"].status.as_str(), &expect!["INACTIVE"]);
    let change = UpdateService { service: "web".into(), desired_count: Some(1), ..UpdateService::default() };
    let refused = world.request(Request::UpdateService(Box::new(change)));
    check(&refused.expect_err("it is gone").to_string(), &expect!["Service was not ACTIVE."]);
    check(&world.request(delete.clone()).expect_err("it is gone").to_string(), &expect!["Service not found."]);
    world.done(Request::CreateService(Box::new(service("web", 1))));
    world.run_until(105);
    world.done(delete);
    world.run_until(110);
    world.done(Request::CreateService(Box::new(service("web", 1))));
    world.run_until(115);
    let left = |world: &World| world.plane.state().services["web"].departed.len();
    assert_eq!((left(&world), world.plane.state().live_count), (2, 4));
    check(&world.counts("web"), &expect!["desired 1 running 1 pending 0 healthy 0"]);
    world.run_until(200);
    check(&world.counts("web"), &expect!["desired 1 running 1 pending 0 healthy 1"]);
    assert_eq!((left(&world), world.plane.state().live_count), (0, 1));
    check(
        &world.service_events("web"),
        &expect![[r#"
        110.000s (service web) has started 1 tasks: (task T4).
        151.000s (service web) (deployment ecs-svc/3) deployment completed.
        151.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §1.3, §4.5, §5.2, §6.1, §8.1: requests that can't be granted are refused whole, and the text says which rule was broken.
#[test]
fn requests_are_refused_by_rule() {
    let mut sizeless = task_definition("sizeless", 256, 512);
    sizeless.cpu = None;
    let mut memoryless = task_definition("memoryless", 256, 512);
    memoryless.memory = None;
    let spec = ClusterSpec { task_definitions: vec![sizeless, memoryless], ..scaled(Vec::new()) };
    let mut world = World::new(&spec);
    let web = |bounds: (u32, u32), launch_target: LaunchTarget| {
        let (minimum_healthy_percent, maximum_percent) = bounds;
        let deployment_configuration =
            DeploymentConfiguration { minimum_healthy_percent, maximum_percent, ..DeploymentConfiguration::default() };
        let task_definition = latest("memoryless");
        let spec = ServiceSpec { deployment_configuration, launch_target, task_definition, ..service("web", 1) };
        Request::CreateService(Box::new(spec))
    };
    let run_on = |family: &str, target: LaunchTarget| Request::RunTask(Box::new(run(family, 1, target)));
    let mut in_group_of_service = run("memoryless", 1, on_ec2());
    in_group_of_service.group = Some("service:web".into());
    let requests = [
        run_on("sizeless", on_fargate()),
        run_on("memoryless", on_fargate()),
        run_on("memoryless", strategy(&[(FARGATE_SPOT, 0, 1)])),
        run_on("unknown", on_fargate()),
        run_on("memoryless", strategy(&[("nowhere", 0, 1)])),
        run_on("memoryless", strategy(&[("asg", 0, 1), (FARGATE, 0, 1)])),
        run_on("memoryless", strategy(&[(FARGATE, 0, 0), (FARGATE_SPOT, 0, 0)])),
        run_on("memoryless", strategy(&[(FARGATE, 1, 1), (FARGATE_SPOT, 1, 1)])),
        run_on("memoryless", strategy(&[])),
        Request::RunTask(Box::new(in_group_of_service)),
        web((101, 200), on_ec2()),
        web((50, 99), on_ec2()),
        web((100, 200), on_fargate()),
        Request::CreateCapacityProvider(Box::new(provider("asg", 0, 1))),
        Request::CreateCapacityProvider(Box::new(provider("Fargate-like", 0, 1))),
        Request::CreateCapacityProvider(Box::new(provider("turned", 2, 1))),
        Request::DeleteService { service: "web".into(), deletion: Deletion::Forced },
        Request::TerminateInstance(ContainerInstanceId(9)),
    ];
    let answers = requests.map(|request| {
        let error = world.request(request).expect_err("it breaks a rule");
        format!("{}: {error}\n", error.exception())
    });
    check(
        &answers.concat(),
        &expect![[r#"
        ClientException: Fargate requires that 'cpu' be defined at the task level.
        ClientException: Fargate requires that 'memory' be defined at the task level.
        ClientException: Fargate requires that 'memory' be defined at the task level.
        ClientException: TaskDefinition not found: unknown
        InvalidParameterException: The specified capacity provider nowhere was not found.
        InvalidParameterException: a strategy can't mix Fargate and Auto Scaling group capacity providers
        InvalidParameterException: at least one capacity provider of a strategy needs a weight above 0
        InvalidParameterException: only one capacity provider of a strategy can have a base
        InvalidParameterException: a capacity provider strategy can't be empty
        InvalidParameterException: a task's group can't begin with service:
        InvalidParameterException: minimumHealthyPercent must be at most 100 and maximumPercent at least 100
        InvalidParameterException: minimumHealthyPercent must be at most 100 and maximumPercent at least 100
        ClientException: Fargate requires that 'memory' be defined at the task level.
        ClientException: a capacity provider named asg exists
        ClientException: the name of the capacity provider Fargate-like must not start with aws, ecs or fargate
        ClientException: the Auto Scaling group of turned needs a zone and min_size at most max_size
        ServiceNotFoundException: Service not found.
        InvalidParameterException: The referenced container instance was not found.
    "#]],
    );
    assert!(world.plane.state().tasks.is_empty() && world.plane.state().services.is_empty());
}

/// ecs-semantics §2.1: stopped tasks stay listed for an hour, and no more of them than the limit.
#[test]
fn stopped_tasks_are_forgotten() {
    let settings = Settings { stopped_task_limit: 3, ..Settings::default() };
    let mut world = World::new(&ClusterSpec { services: Vec::new(), settings, ..web(0) });
    world.behave("web", Behaviour { end: End::Exit { after: secs(1), code: 0 }, ..Behaviour::default() });
    world.run_task(run("web", 5, on_fargate()));
    world.run_until(3500);
    let listed = |world: &World| world.plane.state().tasks.keys().map(|task| task.0).collect::<Vec<_>>();
    assert_eq!(listed(&world), [3, 4, 5]);
    world.run_until(3700);
    assert!(listed(&world).is_empty());
    assert_eq!(world.plane.state().stopped_count, 5);
}

/// A cluster file and a script: what a scenario of a whole file looks like.
#[test]
fn a_cluster_file_is_a_scenario() {
    let mut world = World::of_file(
        r#"
        [cluster]
        name = "test"
        [[task_definition]]
        family = "web"
        cpu = "256"
        memory = "512"
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "../workloads/limits/spin.wat"
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 1
        launch_type = "FARGATE"
        "#,
    );
    world.run_until(60);
    check(
        &world.service_events("web"),
        &expect![[r#"
            0.000s (service web) has started 1 tasks: (task T1).
            41.000s (service web) (deployment ecs-svc/1) deployment completed.
            41.000s (service web) has reached a steady state.
        "#]],
    );
}

mod capacity;
mod checklist;
mod client_tokens_and_tags;
mod container_health;
mod containers;
mod cpu_credits;
mod deployments;
mod documents;
mod event_shapes;
mod events;
mod explain;
pub(crate) mod external_instances;
mod high_resolution;
mod image_digests;
mod launch_targets;
mod load_balancers;
mod location;
mod managed_scaling;
mod placement;
mod predictive_scaling;
mod reservations;
mod rule_rows;
mod rule_tables;
mod scaling;
mod service_event_texts;
mod task_definitions;
mod task_lifecycle;
mod task_overrides;
mod task_protection;
mod task_sets;
mod traffic;
