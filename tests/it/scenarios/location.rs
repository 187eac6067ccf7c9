//! Subnets: which instances they leave out, and between which zones Fargate spreads.

use std::collections::BTreeMap;

use expect_test::expect;
use longshore::control_plane::event::{Event, NewDeployment, OutageChange, Request, UpdateService};
use longshore::control_plane::explain::{Explanation, Question};
use longshore::control_plane::placement::LOCATION;
use longshore::model::capacity::InstanceLaunch;
use longshore::model::cluster::RunTaskSpec;
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::subnet::{Subnet, document_of};
use longshore::model::units::CpuUnits;

use super::check;
use crate::harness::{World, instance_launch, on_ec2, on_fargate, run};

/// An instance in each of two zones, a subnet in each of three, and a task in `awsvpc` mode and one in `bridge`.
const ZONES: &str = r#"
[[container_instance]]
instance_type = "m7i.4xlarge"
availability_zone = "us-east-1a"
subnet_id = "subnet-a"
[[container_instance]]
instance_type = "m7i.4xlarge"
availability_zone = "us-east-1b"
[[subnet]]
id = "subnet-b"
availability_zone = "us-east-1b"
[[subnet]]
id = "subnet-c"
availability_zone = "us-east-1c"
[[task_definition]]
family = "app"
cpu = 256
memory = 512
network_mode = "awsvpc"
container = [{ name = "app", image = "../workloads/limits/spin.wat" }]
[[task_definition]]
family = "bridged"
cpu = 256
memory = 512
container = [{ name = "app", image = "../workloads/limits/spin.wat" }]
"#;

fn zones(more: &str) -> World {
    let mut world = World::of_file(&format!("{ZONES}{more}"));
    world.run_until(100);
    world
}

fn run_in(family: &str, subnets: &[&str]) -> RunTaskSpec {
    let subnets: Vec<_> = subnets.iter().map(|id| (*id).into()).collect();
    RunTaskSpec { document: document_of(&subnets), ..run(family, 1, on_ec2()) }
}

fn placed(world: &mut World, spec: RunTaskSpec) -> String {
    let (tasks, failures) = world.run_task(spec);
    let task = tasks.first().and_then(|task| world.plane.state().tasks[task].task.container_instance);
    task.map_or_else(|| failures.join("\n"), |instance| format!("I{instance}"))
}

/// ecs-semantics §4.5: a task's network interface is in a zone of its subnets, so that instances elsewhere do not take it.
#[test]
fn a_task_goes_to_a_zone_of_its_subnets() {
    let mut world = zones("");
    for _ in 0..3 {
        assert_eq!(placed(&mut world, run_in("app", &["subnet-a"])), "I1");
        assert_eq!(placed(&mut world, run_in("app", &["subnet-c", "subnet-b"])), "I2");
    }
    check(
        &placed(&mut world, run_in("app", &["subnet-c"])),
        &expect![[r#"
            I1 LOCATION: it is in us-east-1a and the subnets of the task are in us-east-1c
            I2 LOCATION: it is in us-east-1b and the subnets of the task are in us-east-1c"#]],
    );
    // Explained, the rule has a name, what is wanted and what there is.
    let Ok(Explanation::RunTask(now)) =
        world.plane.explain(&Question::RunTask(Box::new(run_in("app", &["subnet-b", "subnet-a"]))))
    else {
        panic!("a call is explained");
    };
    let verdicts = now.choice.candidates().iter().flat_map(|candidate| &candidate.verdicts);
    let said = verdicts.filter(|verdict| verdict.rule.reason() == LOCATION);
    let said: Vec<String> =
        said.map(|verdict| format!("{}: {}, {}", verdict.rule, verdict.wanted, verdict.has)).collect();
    assert_eq!(said, ["location: us-east-1a, us-east-1b, us-east-1a", "location: us-east-1a, us-east-1b, us-east-1b"]);
    // What lacks room as well is told of that: the first rule that is broken.
    let mut big = run_in("app", &["subnet-c"]);
    std::sync::Arc::make_mut(&mut big.overrides).cpu = Some(CpuUnits(32_768));
    assert!(placed(&mut world, big).starts_with("I1 RESOURCE:CPU"));
}

/// *Ours:* a subnet that nobody knows may be anywhere, and one of another mode than `awsvpc` means nothing; an instance that comes makes its
/// own known.
#[test]
fn unknown_subnets_restrict_nothing() {
    let mut world = zones("");
    for subnets in [&["subnet-x"][..], &["subnet-c", "subnet-x"]] {
        assert!(placed(&mut world, run_in("app", subnets)).starts_with('I'), "{subnets:?}");
        assert!(!placed(&mut world, run_in("app", subnets)).contains(LOCATION), "{subnets:?}");
    }
    assert!(!placed(&mut world, run_in("bridged", &["subnet-c"])).contains(LOCATION));
    let launch = InstanceLaunch { subnet_id: Some("subnet-x".into()), ..instance_launch("us-east-1b") };
    world.done(Request::LaunchInstance(std::sync::Arc::new(launch)));
    world.run_for(50);
    for _ in 0..5 {
        assert_ne!(placed(&mut world, run_in("app", &["subnet-x"])), "I1");
    }
    // A subnet stays where it is.
    let elsewhere = Subnet { id: "subnet-x".into(), availability_zone: "us-east-1c".into() };
    let refused = world.request(Request::PutSubnet(elsewhere)).unwrap_err();
    assert_eq!(refused.to_string(), "subnet subnet-x is in us-east-1b");
}

/// ecs-semantics §4.5, §5.5, §5.11: a service whose subnets have no instance says so, and another network configuration is another
/// deployment, of which its tasks are.
#[test]
fn a_services_subnets_are_of_its_deployment() {
    let mut world = zones(
        "[[service]]\nname = \"web\"\ntask_definition = \"app\"\ndesired_count = 2\nlaunch_type = \"EC2\"\n\
         network_configuration = { awsvpc_configuration = { subnets = [\"subnet-c\"] } }\n",
    );
    world.done(Request::UpdateService(Box::new(UpdateService {
        service: "web".into(),
        document: Some(document_of(&["subnet-b".into()])),
        new_deployment: NewDeployment::DocumentChanged,
        ..UpdateService::default()
    })));
    world.run_until(300);
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.
        60.000s (service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 is not in an Availability Zone of the subnets of your task.
        100.000s (service web) has started 2 tasks: (task T1) (task T2).
        141.000s (service web) (deployment ecs-svc/2) deployment completed.
        141.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 app:1 RUNNING I2 created 100.000s started 101.000s
        T2 app:1 RUNNING I2 created 100.000s started 101.000s
    "#]],
    );
}

/// ecs-semantics §4.1: DAEMON services have a task on each instance that is in a zone of their subnets.
#[test]
fn daemons_keep_to_their_subnets() {
    let world = zones(
        "[[service]]\nname = \"agent\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\nlaunch_type = \"EC2\"\n\
         network_configuration = { awsvpc_configuration = { subnets = [\"subnet-b\"] } }\n",
    );
    let hosts: Vec<_> = world.plane.state().tasks.values().map(|record| record.task.container_instance).collect();
    assert_eq!(hosts, [Some(ContainerInstanceId(2))]);
}

/// The tasks of a service on Fargate that are to run, by zone.
fn by_zone(world: &World, provider: Option<&str>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for record in world.plane.state().tasks.values() {
        if record.task.stopped_at.is_none() && record.task.capacity_provider.as_deref() == provider {
            let zone = record.fargate_zone().map_or("-", |zone| zone);
            *counts.entry(zone.to_owned()).or_default() += 1;
        }
    }
    counts
}

fn counts(given: &[(&str, u32)]) -> BTreeMap<String, u32> {
    given.iter().map(|(zone, count)| ((*zone).to_owned(), *count)).collect()
}

/// ecs-semantics §4.1: Fargate spreads over the zones of the subnets, FARGATE and FARGATE_SPOT each by itself; what ended leaves room in
/// its zone.
#[test]
fn fargate_spreads_over_the_zones_of_the_subnets() {
    let service = |name: &str, target: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\ntask_definition = \"small\"\ndesired_count = 6\n{target}\nnetwork_configuration = \
             {{ awsvpc_configuration = {{ subnets = [\"subnet-a\", \"subnet-b\", \"subnet-c\"] }} }}\n"
        )
    };
    let mut world = zones(&format!(
        "[[task_definition]]\nfamily = \"small\"\ncpu = 256\nmemory = 512\nrequires_compatibilities = [\"FARGATE\"]\n\
         container = [{{ name = \"app\", image = \"../workloads/limits/spin.wat\" }}]\n{}{}",
        service("plain", "launch_type = \"FARGATE\""),
        service(
            "both",
            "capacity_provider_strategy = [{ capacity_provider = \"FARGATE\", weight = 1 }, \
             { capacity_provider = \"FARGATE_SPOT\", weight = 1 }]"
        ),
    ));
    assert_eq!(by_zone(&world, None), counts(&[("us-east-1a", 2), ("us-east-1b", 2), ("us-east-1c", 2)]));
    for provider in ["FARGATE", "FARGATE_SPOT"] {
        let each = counts(&[("us-east-1a", 1), ("us-east-1b", 1), ("us-east-1c", 1)]);
        assert_eq!(by_zone(&world, Some(provider)), each, "{provider}");
    }
    // The two of a zone end, and those that come after them are there again.
    let state = world.plane.state();
    let in_b = state.tasks.values().filter(|record| {
        record.task.capacity_provider.is_none() && record.fargate_zone().is_some_and(|zone| **zone == *"us-east-1b")
    });
    let in_b: Vec<_> = in_b.map(|record| record.task.id).collect();
    for task in in_b {
        world.crash(task, 1);
    }
    world.run_for(60);
    assert_eq!(by_zone(&world, None), counts(&[("us-east-1a", 2), ("us-east-1b", 2), ("us-east-1c", 2)]));
    // Without subnets that are known there is nothing to choose between.
    let (tasks, _) = world.run_task(run("small", 1, on_fargate()));
    assert_eq!(world.plane.state().tasks[&tasks[0]].fargate_zone(), None);
    world.plane.state().check_invariants(world.plane.ids());
    // *Ours:* while a zone is down the others have new tasks, and it has them when there is no other.
    let change = OutageChange::Begins;
    world.apply(Event::AvailabilityZoneOutage { availability_zone: "us-east-1b".into(), change });
    let zones_of = |world: &mut World, subnets: &[&str]| {
        let subnets: Vec<_> = subnets.iter().map(|id| (*id).into()).collect();
        let spec = RunTaskSpec { document: document_of(&subnets), ..run("small", 4, on_fargate()) };
        let (tasks, _) = world.run_task(spec);
        let zone = |task: &TaskId| world.plane.state().tasks[task].fargate_zone().map(|zone| zone.to_string());
        let mut zones: Vec<String> = tasks.iter().filter_map(zone).collect();
        zones.sort();
        zones
    };
    let (a, c) = ("us-east-1a", "us-east-1c");
    assert_eq!(zones_of(&mut world, &["subnet-a", "subnet-b", "subnet-c"]), [a, a, c, c]);
    assert_eq!(zones_of(&mut world, &["subnet-b"]), ["us-east-1b"; 4]);
}
