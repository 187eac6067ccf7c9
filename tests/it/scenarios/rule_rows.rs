//! Rules that no other scenario is about, each with what comes of it.

use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::expect;

use longshore::control_plane::event::{Deletion, PutMetricData, Request, UpdateService};
use longshore::model::alarm::{AlarmState, MetricId};
use longshore::model::auto_scaling_group::{ManagedTerminationProtection, ScaleInProtection};
use longshore::model::capacity::{CapacityProviderStrategyItem, ContainerInstanceStatus, FARGATE, FARGATE_SPOT};
use longshore::model::cluster::{ClusterSpec, RunTaskSpec};
use longshore::model::cluster_query::ClusterQuery;
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::service::{
    PlacementConstraint, PlacementStrategy, PropagateTags, SchedulingStrategy, ServiceSpec, SpreadField,
};
use longshore::model::task::DesiredStatus;

use super::deployments::{deploy, never_runs, records, set_alarm, web_beside};
use super::{check, web_of_file};
use crate::harness::{
    Behaviour, World, daemon, empty_cluster, instance_launch, on_ec2, on_fargate, provider, run, secs, service,
    strategy, task_definition,
};

/// A cluster without services: two zones with an instance each, a group, and Fargate.
fn batch() -> ClusterSpec {
    ClusterSpec {
        container_instances: ["us-east-1a", "us-east-1b"].map(instance_launch).into(),
        task_definitions: vec![task_definition("web", 256, 512)],
        ..empty_cluster()
    }
}

fn update(world: &mut World, change: UpdateService) {
    world.done(Request::UpdateService(Box::new(UpdateService { service: "web".into(), ..change })));
}

/// Where the tasks of `web` are that are to run: the instance or the provider of each.
fn places(world: &World) -> String {
    let tasks = world.plane.state().tasks.values().map(|record| &record.task);
    let live = tasks.filter(|task| task.desired_status == DesiredStatus::Running);
    let places = live.map(|task| match (&task.capacity_provider, task.container_instance) {
        (Some(provider), _) => provider.to_string(),
        (None, Some(instance)) => format!("I{instance}"),
        (None, None) => task.launch_type.as_str().to_owned(),
    });
    places.collect::<Vec<_>>().join(" ")
}

/// ecs-semantics §2.1: StopTask takes a task's tags away, while what ends by itself keeps them.
#[test]
fn a_stopped_task_has_no_tags() {
    let mut world = World::new(&batch());
    let tagged = RunTaskSpec { tags: [("team".to_owned(), "a".to_owned())].into(), ..run("web", 2, on_fargate()) };
    world.run_task(tagged);
    world.run_until(10);
    world.done(Request::StopTask { task: TaskId(1), reason: None });
    world.crash(TaskId(2), 1);
    world.run_until(20);
    let tags = |task: u64| world.plane.state().tasks[&TaskId(task)].task.tags.len();
    assert_eq!((tags(1), tags(2)), (0, 1));
}

/// ecs-semantics §2.5: whose tags a task has: its own request's alone, its definition's, or its service's, as they are when it is created.
#[test]
fn tags_are_propagated_at_creation() {
    let mut shown = String::new();
    for propagate_tags in [PropagateTags::None, PropagateTags::TaskDefinition, PropagateTags::Service] {
        let mut spec = batch();
        spec.task_definitions[0].tags = [("of".to_owned(), "definition".to_owned())].into();
        let tags = [("of".to_owned(), "service".to_owned())].into();
        spec.services = vec![ServiceSpec { tags, propagate_tags, ..service("web", 1) }];
        let mut world = World::new(&spec);
        world.run_until(50);
        let later = [("of".to_owned(), "service later".to_owned())].into();
        world.done(Request::SetServiceTags { service: "web".into(), tags: later });
        update(&mut world, UpdateService { desired_count: Some(2), ..UpdateService::default() });
        let tags = [1, 2].map(|task| &world.plane.state().tasks[&TaskId(task)].task.tags);
        let _ = writeln!(shown, "{propagate_tags:?}: {tags:?}");
    }
    check(
        &shown,
        &expect![[r#"
        None: [{}, {}]
        TaskDefinition: [{"of": "definition"}, {"of": "definition"}]
        Service: [{"of": "service"}, {"of": "service later"}]
    "#]],
    );
    let mut world = World::new(&batch());
    let of_service = RunTaskSpec { propagate_tags: PropagateTags::Service, ..run("web", 1, on_fargate()) };
    let refused = world.request(Request::RunTask(Box::new(of_service)));
    check(
        &refused.expect_err("it has no service").to_string(),
        &expect!["SERVICE is not a value of propagateTags for a task that has no service."],
    );
}

/// ecs-semantics §4.1: at most five strategies, and at most ten constraints of definition and request together.
#[test]
fn placement_rules_have_limits() {
    let mut spec = batch();
    let query =
        || PlacementConstraint::MemberOf(Arc::new(ClusterQuery::parse("attribute:a exists").expect("it is one")));
    spec.task_definitions[0].placement_constraints = vec![query(), query()];
    let mut world = World::new(&spec);
    world.run_until(20);
    let asked = |strategies: usize, constraints: usize| {
        Request::RunTask(Box::new(RunTaskSpec {
            placement_strategy: vec![PlacementStrategy::Spread(SpreadField::InstanceId); strategies],
            placement_constraints: vec![query(); constraints],
            ..run("web", 1, on_ec2())
        }))
    };
    world.done(asked(5, 8));
    let refused = [(6, 8), (5, 9)].map(|(strategies, constraints)| {
        let error = world.request(asked(strategies, constraints)).expect_err("there are too many");
        format!("{}: {error}\n", error.exception())
    });
    check(
        &refused.concat(),
        &expect![[r#"
        InvalidParameterException: 6 placement strategies are too many: at most 5
        InvalidParameterException: 11 placement constraints are too many: at most 10, those of the task definition included
    "#]],
    );
}

/// ecs-semantics §4.2: a scale-in takes a task from the instance that would be left with the most, or from the bucket that holds the most
/// of the service's tasks.
#[test]
fn victims_mirror_the_strategies() {
    let mut shown = String::new();
    for (name, strategy) in [
        ("binpack cpu", r#"[{ type = "binpack", field = "cpu" }]"#),
        ("binpack memory", r#"[{ type = "binpack", field = "memory" }]"#),
        ("spread instanceId", r#"[{ type = "spread", field = "instanceId" }]"#),
        ("spread rack", r#"[{ type = "spread", field = "attribute:rack" }]"#),
    ] {
        let mut world = World::of_file(&format!(
            r#"
            [cluster]
            name = "test"
            [[container_instance]]
            instance_type = "r7i.large"
            availability_zone = "us-east-1a"
            attributes = {{ rack = "one" }}
            [[container_instance]]
            instance_type = "r7i.large"
            availability_zone = "us-east-1a"
            attributes = {{ rack = "one" }}
            [[container_instance]]
            instance_type = "c7i.xlarge"
            availability_zone = "us-east-1b"
            attributes = {{ rack = "two" }}
            [[task_definition]]
            family = "web"
            cpu = 256
            memory = 512
            container = [{{ name = "main", image = "../workloads/limits/spin.wat" }}]
            [[service]]
            name = "web"
            task_definition = "web"
            launch_type = "EC2"
            desired_count = 0
            placement_strategy = {strategy}
            "#
        ));
        world.run_until(100);
        let counted = |world: &mut World, count| {
            update(world, UpdateService { desired_count: Some(count), ..UpdateService::default() });
            world.run_for(100);
            places(world)
        };
        let (before, after) = (counted(&mut world, 18), counted(&mut world, 15));
        let _ = writeln!(shown, "{name}: {before} -> {after}");
    }
    check(
        &shown,
        &expect![[r#"
        binpack cpu: I1 I1 I1 I1 I1 I1 I1 I1 I2 I2 I2 I2 I2 I2 I2 I2 I3 I3 -> I1 I1 I1 I1 I1 I1 I1 I1 I2 I2 I2 I2 I2 I2 I2
        binpack memory: I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I1 I1 -> I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3 I3
        spread instanceId: I1 I2 I3 I1 I2 I3 I1 I2 I3 I1 I2 I3 I1 I2 I3 I1 I2 I3 -> I1 I2 I3 I1 I2 I3 I1 I2 I3 I3 I1 I2 I3 I1 I2
        spread rack: I1 I3 I1 I3 I1 I3 I1 I3 I1 I3 I1 I3 I1 I3 I1 I3 I3 I2 -> I1 I3 I1 I3 I1 I3 I1 I3 I1 I3 I1 I1 I3 I3 I2
    "#]],
    );
}

/// ecs-semantics §5.1, the table: what either scheduling strategy has where a file names nothing.
#[test]
fn scheduling_strategies_have_defaults() {
    let mut shown = String::new();
    for strategy in ["REPLICA", "DAEMON"] {
        let count = if strategy == "REPLICA" { "desired_count = 3" } else { "" };
        let mut world = World::of_file(&format!(
            r#"
            [cluster]
            name = "test"
            [[container_instance]]
            instance_type = "m7i.large"
            count = 2
            [[task_definition]]
            family = "web"
            cpu = 256
            memory = 512
            container = [{{ name = "main", image = "../workloads/limits/spin.wat" }}]
            [[service]]
            name = "web"
            task_definition = "web"
            launch_type = "EC2"
            scheduling_strategy = "{strategy}"
            {count}
            "#
        ));
        world.run_until(200);
        let spec = &world.plane.state().services["web"].spec;
        let bounds = &spec.deployment_configuration;
        let (minimum, maximum) = (bounds.minimum_healthy_percent, bounds.maximum_percent);
        let _ = writeln!(shown, "{strategy}: {minimum}/{maximum} {}", world.counts("web"));
    }
    check(
        &shown,
        &expect![[r#"
        REPLICA: 100/200 desired 3 running 3 pending 0 healthy 3
        DAEMON: 0/100 desired 2 running 2 pending 0 healthy 2
    "#]],
    );
    let mut world = World::new(&batch());
    let daemon = ServiceSpec { scheduling_strategy: SchedulingStrategy::Daemon, ..service("web", 0) };
    let refused = world.request(Request::CreateService(Box::new(daemon)));
    check(
        &refused.expect_err("Fargate has no instances").to_string(),
        &expect![
            "a DAEMON service runs on every container instance: launch type EC2, without a capacity provider strategy"
        ],
    );
}

/// ecs-semantics §5.5: a service with a desired count is deleted by force only; one of zero tasks is steady and goes at once.
#[test]
fn a_service_is_scaled_down_before_it_is_deleted() {
    let mut world = World::new(&ClusterSpec { services: vec![service("web", 2)], ..batch() });
    world.run_until(100);
    let delete = Request::DeleteService { service: "web".into(), deletion: Deletion::WhenScaledToZero };
    let refused = world.request(delete.clone()).expect_err("it has tasks");
    check(
        &format!("{}: {refused}", refused.exception()),
        &expect!["InvalidParameterException: The service cannot be stopped while it is scaled above 0."],
    );
    update(&mut world, UpdateService { desired_count: Some(0), ..UpdateService::default() });
    world.run_until(200);
    assert_eq!(world.counts("web"), "desired 0 running 0 pending 0 healthy 0");
    let events = world.service_events("web");
    assert!(events.ends_with("has reached a steady state.\n"), "{events}");
    world.done(delete);
    world.run_until(210);
    let gone = UpdateService { service: "web".into(), desired_count: Some(1), ..UpdateService::default() };
    let refused = world.request(Request::UpdateService(Box::new(gone))).expect_err("it is INACTIVE");
    check(
        &format!("{}: {refused}", refused.exception()),
        &expect!["ServiceNotActiveException: Service was not ACTIVE."],
    );
}

/// ecs-semantics §5.5, §6.1: another strategy starts no deployment and moves no task: it holds for those that start from then on, and for
/// all when a deployment is forced. An empty one is the launch type's again; an empty placement strategy is the default.
#[test]
fn a_strategy_moves_nothing_by_itself() {
    let mut world = World::new(&ClusterSpec { services: vec![service("web", 2)], ..batch() });
    world.run_until(100);
    let primary = |world: &World| world.plane.state().services["web"].primary().id;
    let first = primary(&world);
    let to = |items: &[&str]| {
        let item = |name: &&str| CapacityProviderStrategyItem { capacity_provider: (*name).into(), base: 0, weight: 1 };
        let items = items.iter().map(item).collect();
        UpdateService { capacity_provider_strategy: Some(items), ..UpdateService::default() }
    };
    update(&mut world, to(&[FARGATE_SPOT]));
    world.run_until(200);
    assert_eq!((places(&world).as_str(), primary(&world)), ("FARGATE FARGATE", first));
    update(&mut world, UpdateService { desired_count: Some(3), ..UpdateService::default() });
    world.run_until(300);
    assert_eq!(places(&world), "FARGATE FARGATE FARGATE_SPOT");
    update(&mut world, to(&[]));
    update(&mut world, UpdateService { desired_count: Some(4), ..UpdateService::default() });
    world.run_until(400);
    assert_eq!((places(&world).as_str(), primary(&world)), ("FARGATE FARGATE FARGATE_SPOT FARGATE", first));

    let binpacked = ServiceSpec {
        launch_target: on_ec2(),
        placement_strategy: vec![PlacementStrategy::Binpack(longshore::model::service::BinpackField::Cpu)],
        ..service("web", 0)
    };
    let mut world = World::new(&ClusterSpec { services: vec![binpacked], ..batch() });
    world.run_until(20);
    update(&mut world, UpdateService { desired_count: Some(2), ..UpdateService::default() });
    assert_eq!(places(&world), "I1 I1");
    let none = UpdateService { placement_strategy: Some(Vec::new()), ..UpdateService::default() };
    update(&mut world, none);
    update(&mut world, UpdateService { desired_count: Some(4), ..UpdateService::default() });
    assert_eq!(places(&world), "I1 I1 I2 I2", "the default spreads over zones");
}

/// ecs-semantics §5.7: of breaker and alarms the first to trip wins, and only its own flag decides whether there is a rollback.
#[test]
fn the_first_mechanism_decides() {
    let mut shown = String::new();
    for (breaker, alarms) in [(true, false), (false, true)] {
        for first in ["breaker", "alarms"] {
            let mut world = web_beside(
                "",
                &format!(
                    "deployment_circuit_breaker = {{ enable = true, rollback = {breaker} }}\n\
                     alarms = {{ alarm_names = [\"errors\"], enable = true, rollback = {alarms} }}"
                ),
            );
            world.run_until(400);
            let behaviour = if first == "breaker" { never_runs() } else { Behaviour::default() };
            deploy(&mut world, behaviour);
            world.run_until(410);
            if first == "alarms" {
                set_alarm(&mut world, AlarmState::Alarm);
            }
            world.run_until(600);
            if !breaker {
                // Too late: the breaker has decided.
                set_alarm(&mut world, AlarmState::Ok);
                set_alarm(&mut world, AlarmState::Alarm);
            }
            world.run_until(1_000);
            let newest = records(&world).lines().last().and_then(|line| line.split(':').next()).map(str::to_owned);
            let _ =
                writeln!(shown, "breaker {breaker}, alarms {alarms}, {first} first: {}", newest.unwrap_or_default());
        }
    }
    check(
        &shown,
        &expect![[r#"
        breaker true, alarms false, breaker first: ROLLBACK_SUCCESSFUL
        breaker true, alarms false, alarms first: STOPPED
        breaker false, alarms true, breaker first: STOPPED
        breaker false, alarms true, alarms first: ROLLBACK_SUCCESSFUL
    "#]],
    );
}

/// ecs-semantics §6.1, *ours* where the rule book is open: a provider of weight 0 has its base and nothing beyond it.
#[test]
fn a_weight_of_zero_has_its_base_alone() {
    let mut world = World::new(&batch());
    world.run_task(run("web", 5, strategy(&[(FARGATE, 2, 0), (FARGATE_SPOT, 0, 1)])));
    assert_eq!(places(&world), "FARGATE FARGATE FARGATE_SPOT FARGATE_SPOT FARGATE_SPOT");
}

/// ecs-semantics §6.4: under managed termination protection an instance is protected while a task is on it, a daemon's apart.
#[test]
fn tasks_protect_their_instance() {
    let mut group = provider("asg", 1, 1);
    group.managed_termination_protection = ManagedTerminationProtection::Enabled;
    group.auto_scaling_group.new_instances_protected = ScaleInProtection::Protected;
    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![group],
        task_definitions: vec![task_definition("web", 256, 512), task_definition("watch", 128, 128)],
        ..empty_cluster()
    });
    world.done(Request::CreateService(Box::new(daemon("watch"))));
    let protection = |world: &World| world.plane.state().container_instances[&ContainerInstanceId(1)].protection;
    world.run_until(100);
    assert_eq!(world.counts("watch"), "desired 1 running 1 pending 0 healthy 1");
    assert_eq!(protection(&world), ScaleInProtection::Unprotected);
    let (tasks, _) = world.run_task(run("web", 1, strategy(&[("asg", 0, 1)])));
    assert_eq!(protection(&world), ScaleInProtection::Protected);
    world.done(Request::StopTask { task: tasks[0], reason: None });
    world.run_until(200);
    assert_eq!(protection(&world), ScaleInProtection::Unprotected);
}

/// ecs-semantics §3.3, §5.1: on an instance that drains a daemon's task is the last: it stops when the replica's has gone.
#[test]
fn a_draining_instance_loses_its_daemon_last() {
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a"), instance_launch("us-east-1a")],
        task_definitions: vec![task_definition("web", 256, 512), task_definition("watch", 128, 128)],
        ..empty_cluster()
    });
    world.run_until(100);
    world.behave("web:1", Behaviour { stop: secs(20), ..Behaviour::default() });
    world.done(Request::CreateService(Box::new(daemon("watch"))));
    world.done(Request::CreateService(Box::new(ServiceSpec { launch_target: on_ec2(), ..service("web", 2) })));
    world.run_until(200);
    let (instances, status) = (vec![ContainerInstanceId(1)], ContainerInstanceStatus::Draining);
    world.done(Request::UpdateContainerInstancesState { instances, status });
    world.run_until(400);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 watch:1 STOPPED I1 created 100.000s started 101.000s stopping 261.000s stopped 262.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T2 watch:1 RUNNING I2 created 100.000s started 101.000s
        T3 web:1 STOPPED I1 created 100.000s started 101.000s stopping 241.000s stopped 261.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/2)
        T4 web:1 RUNNING I2 created 100.000s started 101.000s
        T5 web:1 RUNNING I2 created 200.000s started 201.000s
    "#]],
    );
}

/// A service that follows `Load` with a target of 100 a task, between bounds.
fn following(count: u32, min: u32, max: u32) -> World {
    let policy = format!(
        r#"
        [service.auto_scaling]
        min_capacity = {min}
        max_capacity = {max}
        [[service.auto_scaling.target_tracking]]
        metric = "CustomizedMetricSpecification"
        target_value = 100
        scale_in_cooldown = "0s"
        customized_metric_specification = {{ namespace = "Shop", metric_name = "Load", statistic = "Average" }}
        "#
    );
    let mut world = web_of_file("", count, &policy, "");
    world.run_until(90);
    world
}

/// So many minutes of a load; the desired count after them.
fn minutes(world: &mut World, count: u32, load: i64) -> u32 {
    for _ in 0..count {
        let metric = MetricId::new("Shop", "Load", &[]);
        world.done(Request::PutMetricData(PutMetricData { metric, value: load * 1000 }));
        world.run_for(60);
    }
    world.plane.state().services["web"].spec.desired_count
}

/// ecs-semantics §7.1: a count that was set by hand beyond the bounds goes to the bound with the alarm of that direction, and the other
/// alarm changes nothing.
#[test]
fn a_count_beyond_the_bounds_goes_back_to_them() {
    for (by_hand, load, periods, expected) in [(1, 500, 3, 3), (1, 10, 16, 1), (12, 10, 15, 6), (12, 500, 16, 12)] {
        let mut world = following(4, 3, 6);
        update(&mut world, UpdateService { desired_count: Some(by_hand), ..UpdateService::default() });
        assert_eq!(minutes(&mut world, periods, load), expected, "{by_hand} at {load}");
    }
}

/// ecs-semantics §7.2: a service without tasks waits a datapoint more and has one; what is scaled in must not put what is left above the
/// target, so that seven tasks at 86 stay and at 85 are six.
#[test]
fn the_smallest_steps_of_target_tracking() {
    let mut world = following(0, 0, 10);
    assert_eq!(minutes(&mut world, 2, 500), 0);
    assert_eq!(minutes(&mut world, 1, 500), 1);
    assert_eq!(minutes(&mut following(7, 1, 10), 30, 86), 7);
    assert_eq!(minutes(&mut following(7, 1, 10), 16, 85), 6);
}

/// ecs-semantics §7.6: utilisation is of what the task has for itself: its own size, else its containers', of which a reservation counts
/// before a limit; with containers' shares alone it may be above 100 %. Without a running task there is no datapoint.
#[test]
fn utilisation_is_of_the_tasks_size() {
    let mut world = World::of_file(
        r#"
        [cluster]
        name = "test"
        [[container_instance]]
        instance_type = "m7i.large"
        [[task_definition]]
        family = "web"
        [[task_definition.container]]
        name = "main"
        image = "../workloads/limits/spin.wat"
        cpu = 256
        memory_reservation = 128
        memory = 512
        [[service]]
        name = "web"
        task_definition = "web"
        launch_type = "EC2"
        desired_count = 1
        "#,
    );
    world.behave("web", Behaviour { cpu_percent: 250, ..Behaviour::default() });
    world.run_until(300);
    let read = |world: &World, name: &str| {
        let metric = MetricId::new("AWS/ECS", name, &[("ClusterName", "test"), ("ServiceName", "web")]);
        world.plane.state().metrics.last(&metric).map(|point| (point.at.0 / 1_000_000_000, point.samples.maximum))
    };
    check(
        &format!("{:?} {:?}", read(&world, "CPUUtilization"), read(&world, "MemoryUtilization")),
        &expect!["Some((240, 250000)) Some((240, 781))"],
    );
    update(&mut world, UpdateService { desired_count: Some(0), ..UpdateService::default() });
    world.run_until(900);
    let last = read(&world, "CPUUtilization").expect("there was one").0;
    assert!(last <= 300, "a datapoint at {last}");
}
