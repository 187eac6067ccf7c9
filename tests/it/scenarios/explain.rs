//! Why a task waits, and why it is where it is: each rule by instance, rankings, waits, and services that are short.
//!
//! Rules that an instance keeps are left out of the snapshots, which show what it breaks with what is wanted and what is there.

use std::sync::Arc;

use expect_test::{Expect, expect};
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::event::{Event, NewDeployment, OutageChange, Request, UpdateService};
use longshore::control_plane::explain::{
    CapacityOutlook, CapacityWait, Choice, Explanation, PlacementNow, Question, ServiceExplanation, ServiceReason,
    TaskExplanation, TaskWait, WaitingExplanation,
};
use longshore::control_plane::placement::Candidate;
use longshore::control_plane::state::DecisionBasis;
use longshore::model::auto_scaling_group::ManagedTerminationProtection;
use longshore::model::capacity::ContainerInstanceStatus;
use longshore::model::cluster::{ClusterSpec, RunTaskSpec, StartTaskSpec};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::service::{
    BinpackField, DeploymentConfiguration, PlacementConstraint, PlacementStrategy, ServiceSpec, SpreadField,
};
use longshore::model::settings::Settings;

use super::check;
use crate::harness::{
    Behaviour, End, World, at, daemon, empty_cluster, instance_launch, latest, on_ec2, on_fargate, provider, run, secs,
    service, strategy, task_definition,
};

/// What a candidate breaks, or where it stands.
fn candidate(found: &Candidate) -> String {
    let broken = found.broken().map(|verdict| {
        let because = verdict.because.iter();
        let because: Vec<String> =
            because.map(|part| format!("{} is {}: {}", part.expression, part.is_true, part.has)).collect();
        let because = if because.is_empty() { String::new() } else { format!(" ({})", because.join("; ")) };
        format!("{} wants {} has {}{because}", verdict.rule, verdict.wanted, verdict.has)
    });
    let standing = match &found.position {
        Some(position) => format!("place {} by {:?}", position.place, position.ranks),
        None => broken.collect::<Vec<_>>().join(", "),
    };
    format!("I{} {standing}\n", found.instance)
}

fn placement(now: &PlacementNow) -> String {
    let rows: String = now.choice.candidates().iter().map(candidate).collect();
    match &now.choice {
        Choice::Fargate { failure } => {
            let reason = failure.as_ref().map(|failure| format!(": {}", failure.reason())).unwrap_or_default();
            format!("Fargate{reason}\n")
        }
        Choice::EachInstance { .. } => rows,
        Choice::Instance { assessment, names, failure, .. } => {
            let chosen = match assessment.chosen {
                Some(chosen) => format!("I{chosen}"),
                None => format!("none, {}", failure.as_ref().map_or("", |failure| failure.reason())),
            };
            format!("{rows}by {:?}, then {}: {chosen}\n", names.criteria, names.among_equals)
        }
    }
}

#[track_caller]
fn explain_run(world: &World, spec: RunTaskSpec) -> PlacementNow {
    match world.plane.explain(&Question::RunTask(Box::new(spec))).unwrap() {
        Explanation::RunTask(found) => *found,
        other => panic!("not the answer: {other:?}"),
    }
}

#[track_caller]
fn explain_task(world: &World, task: u64) -> TaskExplanation {
    match world.plane.explain(&Question::Task(TaskId(task))).unwrap() {
        Explanation::Task(found) => *found,
        other => panic!("not the answer: {other:?}"),
    }
}

#[track_caller]
fn explain_service(world: &World, name: &str) -> ServiceExplanation {
    match world.plane.explain(&Question::Service(name.into())).unwrap() {
        Explanation::Service(found) => *found,
        other => panic!("not the answer: {other:?}"),
    }
}

#[track_caller]
fn explain_waiting(world: &World) -> WaitingExplanation {
    match world.plane.explain(&Question::Waiting).unwrap() {
        Explanation::Waiting(found) => *found,
        other => panic!("not the answer: {other:?}"),
    }
}

#[track_caller]
fn capacity_wait(explanation: &TaskExplanation) -> &CapacityWait {
    match &explanation.waits_for {
        Some(TaskWait::Capacity(wait)) => wait,
        other => panic!("it does not wait for capacity: {other:?}"),
    }
}

/// The reasons of a service, a line each.
fn reasons(world: &World, name: &str) -> String {
    let found = explain_service(world, name);
    let ids = world.plane.ids();
    let text: String = found.reasons.iter().map(|reason| format!("{reason}\n")).collect();
    (1..9).fold(text, |text, number| {
        let deployment = longshore::model::ids::DeploymentId(number);
        text.replace(&ids.deployment(deployment), &format!("ecs-svc/{number}"))
    })
}

#[track_caller]
fn check_reasons(world: &World, name: &str, expected: &Expect) {
    check(&reasons(world, name), expected);
}

/// Instances of two vCPUs: I1 to I3 of x86, I4 of Arm.
const FOUR: &str = r#"
[[container_instance]]
instance_type = "m7i.large"
availability_zone = "us-east-1a"
attributes = { disk = "ssd" }
[[container_instance]]
instance_type = "m7i.large"
availability_zone = "us-east-1b"
attributes = { disk = "hdd" }
[[container_instance]]
instance_type = "m7i.large"
availability_zone = "us-east-1c"
[[container_instance]]
instance_type = "m7g.large"
availability_zone = "us-east-1a"
[[task_definition]]
family = "app"
cpu = 512
memory = 512
container = [{ name = "app", image = "../workloads/limits/spin.wat" }]
"#;

#[track_caller]
fn world_of(text: &str) -> World {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    let spec = ClusterFile::parse(text, &path, &Catalog::embedded());
    let mut world = World::new(&spec.unwrap_or_else(|errors| panic!("{errors}")));
    world.run_until(100);
    world
}

fn member_of(expression: &str) -> PlacementConstraint {
    let query = longshore::model::cluster_query::ClusterQuery::parse(expression).unwrap();
    PlacementConstraint::MemberOf(Arc::new(query))
}

/// ecs-semantics §3.1, §3.2, §4.1: status, agent, CPU, memory, ports and required attributes, each with what is wanted and what is
/// there; an instance names every rule that it breaks.
#[test]
fn every_rule_says_what_it_wants_and_what_is_there() {
    let mut world = world_of(&format!(
        "{FOUR}\
         [[task_definition]]\nfamily = \"large\"\ncpu = 1536\nmemory = 7000\nnetwork_mode = \"bridge\"\n\
         runtime_platform = {{ cpu_architecture = \"X86_64\" }}\n\
         container = [{{ name = \"large\", image = \"../workloads/limits/spin.wat\", \
         port_mappings = [{{ container_port = 80, host_port = 8080 }}] }}]\n"
    ));
    world.run_task(RunTaskSpec {
        placement_constraints: vec![member_of("attribute:disk == ssd")],
        ..run("large", 1, on_ec2())
    });
    world.apply(Event::AgentDisconnected { instance: ContainerInstanceId(2) });
    world.done(Request::UpdateContainerInstancesState {
        instances: vec![ContainerInstanceId(3)],
        status: ContainerInstanceStatus::Draining,
    });
    check(
        &placement(&explain_run(&world, run("large", 1, on_ec2()))),
        &expect![[r#"
        I1 cpu wants 1536 has 512, memory wants 7000 MiB has 1192 MiB, ports wants 8080 has 8080 in use
        I2 agent wants connected has disconnected
        I3 status wants ACTIVE has DRAINING
        I4 ecs.cpu-architecture wants x86_64 has arm64
        by [], then chance: none, AGENT
    "#]],
    );
    world.apply(Event::AgentConnected { instance: ContainerInstanceId(2) });
    let now = explain_run(&world, run("large", 1, on_ec2()));
    check(
        &placement(&now),
        &expect![[r#"
        I1 cpu wants 1536 has 512, memory wants 7000 MiB has 1192 MiB, ports wants 8080 has 8080 in use
        I2 place 1 by []
        I3 status wants ACTIVE has DRAINING
        I4 ecs.cpu-architecture wants x86_64 has arm64
        by [], then chance: I2
    "#]],
    );
    let met = now.choice.candidates()[1].verdicts.iter();
    let met: Vec<String> =
        met.map(|verdict| format!("{}: {} of {}", verdict.rule, verdict.has, verdict.wanted)).collect();
    check(
        &met.join("\n"),
        &expect![[r#"
        status: ACTIVE of ACTIVE
        agent: connected of connected
        cpu: 2048 of 1536
        memory: 8192 MiB of 7000 MiB
        ports: free of 8080
        ecs.cpu-architecture: x86_64 of x86_64"#]],
    );
}

/// ecs-semantics §4.1: an instance of another provider, or of none, is no candidate.
#[test]
fn an_instance_of_another_provider_is_none() {
    let mut unscaled = provider("asg", 1, 1);
    unscaled.managed_scaling = None;
    unscaled.managed_termination_protection = ManagedTerminationProtection::Disabled;
    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![unscaled],
        container_instances: vec![instance_launch("us-east-1a")],
        task_definitions: vec![task_definition("job", 4096, 512)],
        ..empty_cluster()
    });
    world.run_until(50);
    check(
        &placement(&explain_run(&world, run("job", 1, strategy(&[("asg", 0, 1)])))),
        &expect![[r#"
        I1 cpu wants 4096 has 2048
        I2 capacity provider wants asg has none, cpu wants 4096 has 2048
        by [], then chance: none, RESOURCE:CPU
    "#]],
    );
}

/// ecs-semantics §4.3, §4.4: `distinctInstance` counts the group's tasks; of a query the parts that make it false are named.
#[test]
fn constraints_name_what_fails() {
    let mut world = world_of(FOUR);
    let on_ssd =
        RunTaskSpec { placement_constraints: vec![member_of("attribute:disk exists")], ..run("app", 1, on_ec2()) };
    world.run_task(on_ssd);
    let spec = RunTaskSpec {
        placement_constraints: vec![
            PlacementConstraint::DistinctInstance,
            member_of("(attribute:disk == ssd or attribute:disk == nvme) and not(task:group == family:app)"),
        ],
        ..run("app", 1, on_ec2())
    };
    check(
        &placement(&explain_run(&world, spec.clone())),
        &expect![[r#"
        I1 place 1 by []
        I2 distinctInstance wants no task of the group has 1 of the group, memberOf (attribute:disk == ssd or attribute:disk == nvme) and not task:group == family:app wants true has false (attribute:disk == ssd is false: hdd; attribute:disk == nvme is false: hdd; task:group == family:app is true: family:app)
        I3 memberOf (attribute:disk == ssd or attribute:disk == nvme) and not task:group == family:app wants true has false (attribute:disk == ssd is false: not there; attribute:disk == nvme is false: not there)
        I4 memberOf (attribute:disk == ssd or attribute:disk == nvme) and not task:group == family:app wants true has false (attribute:disk == ssd is false: not there; attribute:disk == nvme is false: not there)
        by [], then chance: I1
    "#]],
    );
    let group = Some("batch".into());
    check(
        &placement(&explain_run(&world, RunTaskSpec { group, ..spec })),
        &expect![[r#"
        I1 place 1 by []
        I2 memberOf (attribute:disk == ssd or attribute:disk == nvme) and not task:group == family:app wants true has false (attribute:disk == ssd is false: hdd; attribute:disk == nvme is false: hdd; task:group == family:app is true: family:app)
        I3 memberOf (attribute:disk == ssd or attribute:disk == nvme) and not task:group == family:app wants true has false (attribute:disk == ssd is false: not there; attribute:disk == nvme is false: not there)
        I4 memberOf (attribute:disk == ssd or attribute:disk == nvme) and not task:group == family:app wants true has false (attribute:disk == ssd is false: not there; attribute:disk == nvme is false: not there)
        by [], then chance: I1
    "#]],
    );
}

/// ecs-semantics §4.2: the numbers of each strategy, the order that they make, and the instance that then gets the task.
#[test]
fn the_ranking_is_shown_and_is_what_happens() {
    let mut world = world_of(FOUR);
    let spread = PlacementStrategy::Spread(SpreadField::Attribute("ecs.availability-zone".to_owned()));
    let placement_strategy = vec![spread, PlacementStrategy::Binpack(BinpackField::Memory)];
    let spec = RunTaskSpec { placement_strategy, ..run("app", 1, on_ec2()) };
    world.run_task(spec.clone());
    let now = explain_run(&world, spec.clone());
    check(
        &placement(&now),
        &expect![[r#"
        I1 place 3 by [1, 7680]
        I2 place 1 by [0, 8192]
        I3 place 2 by [0, 8192]
        I4 place 4 by [1, 8192]
        by ["tasks of the group by ecs.availability-zone", "MiB left"], then the fullest, then the oldest: I2
    "#]],
    );
    let (tasks, _) = world.run_task(spec);
    let Choice::Instance { assessment, .. } = now.choice else { panic!("an instance is chosen") };
    assert_eq!(world.plane.state().tasks[&tasks[0]].task.container_instance, assessment.chosen);
}

/// ecs-semantics §4.2 (standalone tasks without a strategy): chance decides, and what it would draw is what it then draws.
#[test]
fn chance_is_named_as_such() {
    let mut world = world_of(FOUR);
    for _ in 0..6 {
        let now = explain_run(&world, run("app", 1, on_ec2()));
        assert!(now.choice.candidates().iter().all(|found| found.position.as_ref().is_some_and(|at| at.place == 1)));
        let Choice::Instance { assessment, names, .. } = now.choice else { panic!("an instance is chosen") };
        assert_eq!((names.criteria.len(), names.among_equals), (0, "chance"));
        let (tasks, _) = world.run_task(run("app", 1, on_ec2()));
        assert_eq!(world.plane.state().tasks[&tasks[0]].task.container_instance, assessment.chosen);
    }
}

/// ecs-semantics §4.1 (last sentence), §8.1: Fargate has nothing to choose and wants a size; questions about what is not there are
/// refused as the request would be.
#[test]
fn fargate_chooses_nothing() {
    let mut sizeless = task_definition("sizeless", 256, 512);
    sizeless.memory = None;
    let mut world = World::new(&ClusterSpec {
        task_definitions: vec![task_definition("web", 256, 512), sizeless],
        services: vec![service("web", 1)],
        ..empty_cluster()
    });
    world.run_until(5);
    assert!(matches!(explain_run(&world, run("web", 1, on_fargate())).choice, Choice::Fargate { failure: None }));
    let task = explain_task(&world, 1);
    assert!(task.decision.is_none() && matches!(task.now.unwrap().choice, Choice::Fargate { failure: None }));
    // §5.11: it may have no capacity, which is why a service is short.
    let change = OutageChange::Begins;
    world.apply(Event::FargateCapacityOutage { capacity_provider: "FARGATE".into(), change });
    let Choice::Fargate { failure: Some(failure) } = explain_run(&world, run("web", 1, on_fargate())).choice else {
        panic!("there is no capacity")
    };
    assert_eq!(failure.reason(), "RESOURCE:FARGATE");
    let more = UpdateService { service: "web".into(), desired_count: Some(2), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(more)));
    let Ok(Explanation::Service(short)) = world.plane.explain(&Question::Service("web".into())) else {
        panic!("there is a service")
    };
    let is_capacity =
        |reason: &ServiceReason| matches!(reason, ServiceReason::NoRoom { reason: "RESOURCE:FARGATE", wanted: 1 });
    assert!(short.reasons.iter().any(is_capacity), "{:?}", short.reasons);
    let refused = |question: Question| world.plane.explain(&question).unwrap_err().to_string();
    let all = [
        refused(Question::RunTask(Box::new(run("sizeless", 1, on_fargate())))),
        refused(Question::RunTask(Box::new(run("nothing", 1, on_fargate())))),
        refused(Question::RunTask(Box::new(run("web", 1, strategy(&[("nobody", 0, 1)]))))),
        refused(Question::Task(TaskId(9))),
        refused(Question::Service("nobody".into())),
    ];
    check(
        &all.join("\n"),
        &expect![[r#"
        Fargate requires that 'memory' be defined at the task level.
        TaskDefinition not found: nothing
        The specified capacity provider nobody was not found.
        The referenced task was not found.
        Service not found."#]],
    );
}

/// ecs-semantics §2.1, §4.5, §6.3, §6.4: a task in PROVISIONING says what its provider's group is doing about it.
#[test]
fn a_waiting_task_says_what_it_waits_for() {
    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![provider("asg", 0, 1)],
        task_definitions: vec![task_definition("job", 2048, 512), task_definition("huge", 4096, 512)],
        ..empty_cluster()
    });
    world.run_until(10);
    let on_asg = || strategy(&[("asg", 0, 1)]);
    world.run_task(run("job", 3, on_asg()));
    world.run_task(run("huge", 1, on_asg()));
    let waits = explain_waiting(&world);
    let kinds: Vec<(u64, usize)> = waits.tasks.iter().map(|found| (found.task.id.0, found.alike)).collect();
    assert_eq!(kinds, [(1, 2), (4, 0)]);
    // Nothing has been decided; the largest task waits in vain.
    let second = explain_task(&world, 2);
    let wait = capacity_wait(&second);
    assert_eq!((wait.position, wait.waiting_count, wait.outlook()), (Some(2), 4, CapacityOutlook::Decides(at(60))));
    assert_eq!(capacity_wait(&explain_task(&world, 4)).outlook(), CapacityOutlook::Never);
    let huge = explain_task(&world, 4);
    let broken: Vec<String> = capacity_wait(&huge)
        .fresh
        .iter()
        .flat_map(|fresh| fresh.verdicts.iter().filter(|verdict| !verdict.is_met).map(|found| found.detail.clone()))
        .collect();
    assert_eq!(broken, ["4096 CPU units are needed and 2048 are left"; 2]);
    // An instance is coming up.
    world.run_until(65);
    let first = explain_task(&world, 1);
    let wait = capacity_wait(&first);
    assert_eq!(wait.outlook(), CapacityOutlook::Coming);
    assert_eq!(wait.coming.iter().map(|coming| coming.due_at).collect::<Vec<_>>(), [Some(at(70))]);
    check(
        &wait.last_decision.as_ref().map_or_else(String::new, |(at, reason)| format!("{at} {reason}")),
        &expect![
            "60.000s CapacityProviderReservation is 200% (3 needed, 0 present) against a target of 100%: scale-out to 1"
        ],
    );
    check(
        &placement(first.now.as_ref().unwrap()),
        &expect![[r#"
        I1 status wants ACTIVE has REGISTERING
        by [], then chance: none, EMPTY CAPACITY PROVIDER
    "#]],
    );
    // It has come, and the group may grow no more.
    world.run_until(130);
    let second = explain_task(&world, 2);
    let wait = capacity_wait(&second);
    assert_eq!((wait.position, wait.waiting_count, wait.in_service_count), (Some(1), 3, 1));
    assert_eq!(wait.outlook(), CapacityOutlook::AtMaximum(1));
    check(
        &placement(second.now.as_ref().unwrap()),
        &expect![[r#"
        I1 cpu wants 2048 has 0
        by [], then chance: none, RESOURCE:CPU
    "#]],
    );
}

/// ecs-semantics §6.2, §9.1: launches that fail and instances that warm up hold a group back, and the wait says until when.
#[test]
fn a_group_that_is_held_back_says_until_when() {
    let mut slow = provider("asg", 0, 5);
    slow.managed_scaling.as_mut().unwrap().instance_warmup_period = secs(300);
    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![slow],
        task_definitions: vec![task_definition("job", 2048, 512)],
        ..empty_cluster()
    });
    world.launches_to_fail = 2;
    world.run_task(run("job", 4, strategy(&[("asg", 0, 1)])));
    world.run_until(75);
    assert_eq!(capacity_wait(&explain_task(&world, 1)).outlook(), CapacityOutlook::Blocked(at(130)));
    world.run_until(150);
    let waiting = explain_waiting(&world);
    let wait = capacity_wait(&waiting.tasks[0]);
    assert_eq!((wait.warming_until, wait.outlook()), (Some(at(430)), CapacityOutlook::Decides(at(430))));
}

/// ecs-semantics §4.2: of a task that is placed there is what decided then, and where it would go today if it were not there.
#[test]
fn a_placed_task_has_its_decision_and_todays_choice() {
    let spec = ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a"), instance_launch("us-east-1b")],
        task_definitions: vec![task_definition("web", 512, 512), task_definition("job", 1024, 512)],
        ..empty_cluster()
    };
    let mut world = World::new(&spec);
    world.run_until(20);
    let web = ServiceSpec { launch_target: on_ec2(), ..service("web", 2) };
    world.done(Request::CreateService(Box::new(web)));
    let start = StartTaskSpec {
        task_definition: latest("job"),
        container_instances: vec![ContainerInstanceId(1)],
        ..StartTaskSpec::default()
    };
    world.done(Request::StartTask(Box::new(start)));
    let task = explain_task(&world, 2);
    let decision = task.decision.as_ref().unwrap();
    assert_eq!(
        (decision.at, &decision.basis),
        (at(20), &DecisionBasis::Strategies { ranks: [0, 0].into_iter().collect() })
    );
    assert!(matches!(task.waits_for, Some(TaskWait::Start { since }) if since == at(20)));
    check(
        &placement(task.now.as_ref().unwrap()),
        &expect![[r#"
        I1 place 2 by [1, 1]
        I2 place 1 by [0, 0]
        by ["tasks of the group by ecs.availability-zone", "tasks of the group on the instance"], then the fullest, then the oldest: I2
    "#]],
    );
    assert_eq!(explain_task(&world, 3).decision.unwrap().basis, DecisionBasis::Named);
    world.run_until(30);
    assert!(matches!(explain_task(&world, 2).waits_for, Some(TaskWait::Health { at: Some(due), .. }) if due == at(61)));
    world.run_until(70);
    assert!(explain_task(&world, 2).waits_for.is_none());
    world.done(Request::StopTask { task: TaskId(2), reason: None });
    let stopping = explain_task(&world, 2);
    assert!(stopping.now.is_none() && matches!(stopping.waits_for, Some(TaskWait::Stop { since }) if since == at(70)));
}

/// ecs-semantics §4.1, §5.11: a service that is short for want of room says so, with its next task's table.
#[test]
fn a_service_without_room_says_which_instance_is_closest() {
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a")],
        task_definitions: vec![task_definition("web", 1024, 512)],
        ..empty_cluster()
    });
    world.run_until(20);
    world.done(Request::CreateService(Box::new(ServiceSpec { launch_target: on_ec2(), ..service("web", 4) })));
    world.run_until(100);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        2 tasks not started: no container instance met all requirements (RESOURCE:CPU)
    "#]],
    );
    check(
        &placement(explain_service(&world, "web").next.as_ref().unwrap()),
        &expect![[r#"
        I1 cpu wants 1024 has 0
        by ["tasks of the group by ecs.availability-zone", "tasks of the group on the instance"], then the fullest, then the oldest: none, RESOURCE:CPU
    "#]],
    );
    let waiting = explain_waiting(&world);
    assert_eq!(waiting.services.iter().map(|found| &*found.service).collect::<Vec<_>>(), ["web"]);
    world.apply(Event::AgentDisconnected { instance: ContainerInstanceId(1) });
    world.run_until(130);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        2 tasks not started: no container instance met all requirements (AGENT)
    "#]],
    );
    let update = UpdateService { service: "web".into(), desired_count: Some(2), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    assert!(explain_waiting(&world).is_empty());
}

/// ecs-semantics §3.2, §4.5, §5.11: where the agents have no contact, the service's complaint is `AGENT`, not a cluster without
/// instances.
#[test]
fn silent_agents_are_a_services_complaint() {
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a"), instance_launch("us-east-1b")],
        task_definitions: vec![task_definition("web", 1024, 512)],
        ..empty_cluster()
    });
    world.run_until(20);
    for instance in 1..=2 {
        world.apply(Event::AgentDisconnected { instance: ContainerInstanceId(instance) });
    }
    world.done(Request::CreateService(Box::new(ServiceSpec { launch_target: on_ec2(), ..service("web", 1) })));
    let (_, failures) = world.run_task(run("web", 1, on_ec2()));
    check(
        &failures.join("\n"),
        &expect![[r#"
        I1 AGENT: its agent is disconnected
        I2 AGENT: its agent is disconnected"#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
        20.000s (service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 encountered error "AGENT".
    "#]],
    );
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        1 task not started: no container instance met all requirements (AGENT)
    "#]],
    );
}

/// ecs-semantics §5.6: a service whose tasks never run says until when it waits and what the last one ended by.
#[test]
fn a_throttled_service_says_until_when() {
    let mut world = World::new(&super::web(0));
    let end = End::FailToStart { reason: "CannotPullContainerError: no such image" };
    world.behave("web", Behaviour { end, ..Behaviour::default() });
    super::set_count(&mut world, 2);
    world.run_until(12);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        2 tasks not started: earlier ones never ran, the next attempt is at 19.000s
        the last task that ended unasked, at 11.000s: TaskFailedToStart: CannotPullContainerError: no such image
    "#]],
    );
}

/// ecs-semantics §1.7: starts beyond a minute's are put off, and the service says until when.
#[test]
fn starts_beyond_a_minutes_are_put_off() {
    let settings = Settings { service_launches_per_minute: 2, ..Settings::default() };
    let mut world = World::new(&ClusterSpec { settings, ..super::web(5) });
    world.run_until(30);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        3 tasks not started: no more in this minute, the next at 60.000s
        running and not counted as healthy yet: 2 tasks
    "#]],
    );
}

/// ecs-semantics §5.2, §5.7: bounds that allow nothing, and a deployment that failed.
#[test]
fn bounds_and_failed_deployments_are_reasons() {
    let mut world = World::new(&super::web_within(3, 100, 100));
    world.run_until(60);
    assert!(explain_service(&world, "web").reasons.is_empty());
    super::deploy(&mut world);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        the deployment can neither stop nor start tasks: update minimumHealthyPercent or maximumPercent
    "#]],
    );
    let mut world = World::new(&super::web_within(4, 50, 100));
    world.run_until(60);
    super::deploy(&mut world);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        nothing more is started: it has 4 of at most 4 tasks over all deployments (maximumPercent)
        placed and starting: 2 tasks
    "#]],
    );
    let configuration = DeploymentConfiguration {
        circuit_breaker: Some(longshore::model::deployment::DeploymentCircuitBreaker::default()),
        ..DeploymentConfiguration::default()
    };
    let services = vec![ServiceSpec { deployment_configuration: configuration, ..service("web", 0) }];
    let mut world = World::new(&ClusterSpec { services, ..super::web(0) });
    let end = End::FailToStart { reason: "CannotPullContainerError: no such image" };
    world.behave("web", Behaviour { end, ..Behaviour::default() });
    super::set_count(&mut world, 1);
    super::deploy(&mut world);
    world.run_until(600);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        deployment ecs-svc/2 failed and starts nothing any more: ECS deployment circuit breaker: task failed to start. Update the service with a task definition whose tasks start and stay healthy.
        the last task that ended unasked, at 6.000s: TaskFailedToStart: CannotPullContainerError: no such image
    "#]],
    );
    assert!(explain_service(&world, "web").next.is_none());
}

/// ecs-semantics §2.1, §4.5, §5.2: tasks that wait for capacity, that start, and that do not count yet; and the limit on the former.
#[test]
fn tasks_on_their_way_are_listed() {
    let services = vec![ServiceSpec { launch_target: strategy(&[("asg", 0, 1)]), ..service("web", 3) }];
    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![provider("asg", 1, 1)],
        task_definitions: vec![task_definition("web", 1024, 512), task_definition("job", 2048, 512)],
        services,
        ..empty_cluster()
    });
    world.behave("web", Behaviour { start: secs(5), ..Behaviour::default() });
    world.run_until(11);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        PROVISIONING, for capacity: 1 task
        placed and starting: 2 tasks
    "#]],
    );
    world.run_until(20);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        PROVISIONING, for capacity: 1 task
        running and not counted as healthy yet: 2 tasks
    "#]],
    );
    let tasks = explain_service(&world, "web").tasks;
    assert_eq!(tasks.iter().map(|found| found.task.id.0).collect::<Vec<_>>(), [3, 1, 2]);
    for _ in 0..50 {
        world.run_task(run("job", 10, strategy(&[("asg", 0, 1)])));
    }
    let update = UpdateService { service: "web".into(), desired_count: Some(4), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        1 task not started: the tasks provisioning capacity limit was exceeded
        PROVISIONING, for capacity: 1 task
        running and not counted as healthy yet: 2 tasks
    "#]],
    );
}

/// ecs-semantics §3.3, §5.10: tasks that are to give way say why.
#[test]
fn tasks_that_give_way_say_why() {
    let deployment_configuration =
        DeploymentConfiguration { minimum_healthy_percent: 100, maximum_percent: 100, ..Default::default() };
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a"), instance_launch("us-east-1b")],
        task_definitions: vec![task_definition("web", 512, 512)],
        ..empty_cluster()
    });
    world.run_until(20);
    let web = ServiceSpec { launch_target: on_ec2(), deployment_configuration, ..service("web", 2) };
    world.done(Request::CreateService(Box::new(web)));
    world.run_until(100);
    world.done(Request::UpdateContainerInstancesState {
        instances: vec![ContainerInstanceId(1)],
        status: ContainerInstanceStatus::Draining,
    });
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        to be replaced, on an instance that drains: 1 task
    "#]],
    );
}

/// ecs-semantics §5.1: a DAEMON service is held against each instance: one without room lacks it, one that does not match has none.
#[test]
fn a_daemon_is_held_against_each_instance() {
    let mut world = world_of(&format!(
        "{FOUR}[[task_definition]]\nfamily = \"agent\"\ncpu = 1024\nmemory = 512\n\
         container = [{{ name = \"agent\", image = \"../workloads/limits/spin.wat\" }}]\n\
         placement_constraints = [{{ type = \"memberOf\", expression = \"attribute:ecs.cpu-architecture == x86_64\" }}]\n"
    ));
    let on_first =
        RunTaskSpec { placement_constraints: vec![member_of("attribute:disk == ssd")], ..run("app", 3, on_ec2()) };
    world.run_task(on_first);
    let daemon = ServiceSpec {
        launch_target: on_ec2(),
        scheduling_strategy: longshore::model::service::SchedulingStrategy::Daemon,
        ..service("agent", 0)
    };
    world.done(Request::CreateService(Box::new(daemon)));
    world.run_until(200);
    check_reasons(
        &world,
        "agent",
        &expect![[r#"
        1 task not started: no container instance met all requirements (RESOURCE:CPU)
    "#]],
    );
    let next = explain_service(&world, "agent").next.unwrap();
    let lines: Vec<String> = next
        .choice
        .candidates()
        .iter()
        .map(|found| format!("{} tasks; {}", found.group_task_count, candidate(found)))
        .collect();
    check(
        &lines.concat(),
        &expect![[r#"
        0 tasks; I1 cpu wants 1024 has 512
        1 tasks; I2 place 1 by [1, 1]
        1 tasks; I3 place 2 by [1, 1]
        0 tasks; I4 memberOf attribute:ecs.cpu-architecture == x86_64 wants true has false (attribute:ecs.cpu-architecture == x86_64 is false: arm64)
    "#]],
    );
}

/// ecs-semantics §5.2: a DAEMON service whose only task is its lower bound.
#[test]
fn bounds_that_let_a_daemon_do_nothing_are_a_reason() {
    let deployment_configuration =
        DeploymentConfiguration { minimum_healthy_percent: 50, maximum_percent: 100, ..Default::default() };
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a")],
        services: vec![ServiceSpec { deployment_configuration, ..daemon("web") }],
        ..super::web(0)
    });
    world.run_until(100);
    assert!(explain_service(&world, "web").reasons.is_empty());
    super::deploy(&mut world);
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        the deployment can neither stop nor start tasks: update minimumHealthyPercent or maximumPercent
    "#]],
    );
}

/// What is on its way after a forced deployment, on Fargate as elsewhere; a deleted service says that it is.
#[test]
fn deployments_and_deletions_are_told() {
    let mut world = World::new(&super::web(1));
    world.run_until(60);
    let update = UpdateService { service: "web".into(), new_deployment: NewDeployment::Forced, ..Default::default() };
    world.done(Request::UpdateService(Box::new(update)));
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        placed and starting: 1 task
    "#]],
    );
    let deletion = longshore::control_plane::event::Deletion::Forced;
    world.done(Request::DeleteService { service: "web".into(), deletion });
    check_reasons(
        &world,
        "web",
        &expect![[r#"
        the service is deleted
    "#]],
    );
    assert!(explain_waiting(&world).is_empty());
}
