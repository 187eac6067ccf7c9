//! Sizes that a request gives in place of the task definition's: what is reserved, started, metered and shown is of those.

use std::sync::Arc;

use expect_test::expect;
use longshore::control_plane::action::Action;
use longshore::control_plane::event::Request;
use longshore::model::capacity::LaunchTarget;
use longshore::model::cluster::{ClusterSpec, RunTaskSpec, StartTaskSpec};
use longshore::model::ids::ContainerInstanceId;
use longshore::model::task::{ContainerOverride, TaskOverrides};
use longshore::model::task_definition::{ContainerDefinition, TaskDefinition};
use longshore::model::units::{CpuUnits, MemoryMib};
use longshore::model::usage::{BilledPlacement, MeteringFact};

use super::check;
use crate::harness::{
    World, empty_cluster, instance_launch, latest, on_ec2, on_fargate, provider, run, strategy, task_definition,
};

/// Definitions `job` of a Fargate size and `pair` of two containers without a task-level one, and an instance of two vCPUs.
fn world() -> World {
    let container = |name: &str, cpu| ContainerDefinition {
        name: name.to_owned(),
        cpu: CpuUnits(cpu),
        memory: Some(MemoryMib(512)),
        memory_reservation: Some(MemoryMib(256)),
        ..task_definition("pair", 256, 512).containers[0].clone()
    };
    let pair = TaskDefinition {
        cpu: None,
        memory: None,
        containers: vec![container("a", 128), container("b", 256)],
        ..task_definition("pair", 256, 512)
    };
    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![provider("asg", 0, 3)],
        container_instances: vec![instance_launch("us-east-1a")],
        task_definitions: vec![task_definition("job", 256, 512), pair],
        ..empty_cluster()
    });
    world.run_until(20);
    world
}

fn of_task(cpu: u32, memory: u32) -> TaskOverrides {
    TaskOverrides { cpu: Some(CpuUnits(cpu)), memory: Some(MemoryMib(memory)), ..TaskOverrides::default() }
}

fn of_container(name: &str, change: ContainerOverride) -> TaskOverrides {
    TaskOverrides { containers: [(name.to_owned(), change)].into(), ..TaskOverrides::default() }
}

fn asked(family: &str, target: LaunchTarget, overrides: TaskOverrides) -> RunTaskSpec {
    RunTaskSpec { overrides: Arc::new(overrides), ..run(family, 1, target) }
}

/// What is reserved for each task, and what remains of the instance.
fn shown(world: &World) -> String {
    let state = world.plane.state();
    let tasks = state.tasks.values().map(|record| {
        let (task, reservation) = (&record.task, &record.task.reservation);
        format!(
            "T{} {} {} {}/{}\n",
            task.id, task.task_definition, task.last_status, reservation.cpu, reservation.memory
        )
    });
    let instances = state.container_instances.values().map(|instance| {
        format!("I{} remaining {}/{}\n", instance.id, instance.remaining.cpu, instance.remaining.memory)
    });
    tasks.chain(instances).collect()
}

/// ecs-semantics §2.5, §3.1: placement reserves the sizes of the request: the task's, or the sum over its containers, in which a soft
/// limit counts before a hard one. One that does not fit with them is not placed, and waits for a larger instance all the same.
#[test]
fn placement_goes_by_the_overridden_sizes() {
    let mut world = world();
    let change = |cpu, memory, soft| ContainerOverride {
        cpu: Some(CpuUnits(cpu)),
        memory: Some(MemoryMib(memory)),
        memory_reservation: Some(MemoryMib(soft)),
        ..ContainerOverride::default()
    };
    world.run_task(asked("pair", on_ec2(), TaskOverrides::default()));
    world.run_task(asked("pair", on_ec2(), of_container("b", change(512, 1000, 700))));
    world.run_task(asked("pair", on_ec2(), of_task(768, 1024)));
    let (_, failures) = world.run_task(asked("pair", on_ec2(), of_task(1024, 512)));
    check(&failures.concat(), &expect!["I1 RESOURCE:CPU: 1024 CPU units are needed and 256 are left"]);
    world.done(Request::StartTask(Box::new(StartTaskSpec {
        task_definition: latest("pair"),
        container_instances: vec![ContainerInstanceId(1)],
        overrides: Arc::new(of_container("a", change(0, 256, 100))),
        ..StartTaskSpec::default()
    })));
    world.run_task(asked("pair", strategy(&[("asg", 0, 1)]), of_task(2048, 4096)));
    world.run_until(25);
    check(
        &shown(&world),
        &expect![[r#"
            T1 pair:1 RUNNING 384/512
            T2 pair:1 RUNNING 640/956
            T3 pair:1 RUNNING 768/1024
            T4 pair:1 RUNNING 256/356
            T5 pair:1 PROVISIONING 2048/4096
            I1 remaining 0/1248
        "#]],
    );
    world.run_until(400);
    check(
        &shown(&world),
        &expect![[r#"
            T1 pair:1 RUNNING 384/512
            T2 pair:1 RUNNING 640/956
            T3 pair:1 RUNNING 768/1024
            T4 pair:1 RUNNING 256/356
            T5 pair:1 RUNNING 2048/4096
            I1 remaining 0/1248
            I2 remaining 0/0
            I3 remaining 2048/4096
        "#]],
    );
}

/// ecs-semantics §2.5, §8.1, §8.3: on Fargate the sandbox gets and the bill counts the sizes of the request. The definition is as it was.
#[test]
fn fargate_starts_and_bills_the_overridden_sizes() {
    let mut world = world();
    let overrides = TaskOverrides { ephemeral_storage_gib: Some(50), ..of_task(1024, 4096) };
    world.run_task(asked("job", on_fargate(), overrides));
    world.run_until(100);
    let actions = world.actions.iter().flatten();
    let said: String = actions
        .filter_map(|action| match action {
            Action::StartTask(start) => {
                let definition = &start.task_definition;
                Some(format!(
                    "start {definition} {:?} {:?} {:?}\n",
                    definition.cpu, definition.memory, definition.ephemeral_storage_gib
                ))
            }
            Action::Meter(MeteringFact::TaskStarted { identity, .. }) => {
                let BilledPlacement::Fargate { extra_storage_gib, .. } = identity.placement else { return None };
                Some(format!("meter {}/{} and {extra_storage_gib} GiB\n", identity.cpu, identity.memory))
            }
            _ => None,
        })
        .collect();
    check(
        &said,
        &expect![[r#"
        start job:1 Some(CpuUnits(1024)) Some(MemoryMib(4096)) Some(50)
        meter 1024/4096 and 30 GiB
    "#]],
    );
    let registered = &world.plane.state().task_definitions["job"][&1].definition;
    assert_eq!((registered.cpu, registered.memory), (Some(CpuUnits(256)), Some(MemoryMib(512))));
    let event = world.events().into_iter().find(|event| event.detail_type == "ECS Task State Change");
    let detail = serde_json::to_value(event.expect("the task is told of").detail).unwrap();
    check(
        &detail["overrides"].to_string(),
        &expect![[
            r#"{"containerOverrides":[{"name":"main"}],"cpu":"1024","ephemeralStorage":{"sizeInGiB":50},"memory":"4096"}"#
        ]],
    );
    assert_eq!((&detail["cpu"], &detail["memory"]), (&"1024".into(), &"4096".into()));
}

/// ecs-semantics §1.4, §1.5, §2.5, §8.1: what is refused, and with which words.
#[test]
fn what_is_refused() {
    let mut world = world();
    let memory = |hard: Option<u32>, soft: Option<u32>| ContainerOverride {
        memory: hard.map(MemoryMib),
        memory_reservation: soft.map(MemoryMib),
        ..ContainerOverride::default()
    };
    let cpu = ContainerOverride { cpu: Some(CpuUnits(300)), ..ContainerOverride::default() };
    let storage = |gib| TaskOverrides { ephemeral_storage_gib: Some(gib), ..TaskOverrides::default() };
    let both = TaskOverrides { memory: Some(MemoryMib(512)), ..of_container("a", memory(None, Some(300))) };
    let asks = [
        asked("job", on_fargate(), of_container("mian", ContainerOverride::default())),
        asked("job", on_fargate(), of_task(256, 4096)),
        asked("job", on_fargate(), TaskOverrides { cpu: Some(CpuUnits(300)), ..TaskOverrides::default() }),
        asked("job", on_fargate(), of_container("main", memory(Some(513), None))),
        asked("job", on_fargate(), of_container("main", cpu)),
        asked("job", on_fargate(), storage(20)),
        asked("pair", on_ec2(), storage(50)),
        asked("pair", on_ec2(), of_task(127, 512)),
        asked("pair", on_ec2(), of_container("a", memory(Some(256), None))),
        asked("pair", on_ec2(), of_container("a", memory(Some(5), Some(4)))),
        asked("pair", on_ec2(), both),
        // The task-level memory that Fargate needs is missing.
        asked("pair", on_fargate(), TaskOverrides { cpu: Some(CpuUnits(512)), ..TaskOverrides::default() }),
        // Sizes that make a definition fit for Fargate, and one that is on EC2 only.
        asked("pair", on_fargate(), of_task(512, 1024)),
        asked("job", on_ec2(), of_task(300, 700)),
    ];
    let said: String = asks
        .into_iter()
        .map(|ask| match world.request(Request::RunTask(Box::new(ask))) {
            Ok(_) => "granted\n".to_owned(),
            Err(error) => format!("{}: {error}\n", error.exception()),
        })
        .collect();
    check(
        &said,
        &expect![[r#"
        InvalidParameterException: Override for container named mian is not a container in the TaskDefinition.
        ClientException: No Fargate configuration exists for given values.
        ClientException: No Fargate configuration exists for given values.
        ClientException: Invalid setting for container 'main'. The memory 513 is more than the task's 512.
        ClientException: The cpu of the containers adds up to 300, more than the task's 256.
        ClientException: ephemeralStorage is for tasks on Fargate only: from 21 to 200 GiB
        ClientException: ephemeralStorage is for tasks on Fargate only: from 21 to 200 GiB
        ClientException: cpu 127 is not within the limits of a task's cpu: 128 to 196608
        ClientException: Invalid setting for container 'a'. The memoryReservation 256 must be less than the memory 256.
        ClientException: Invalid setting for container 'a'. The memory 5 is less than 6.
        ClientException: The memoryReservation of the containers adds up to 556, more than the task's 512.
        ClientException: Fargate requires that 'memory' be defined at the task level.
        granted
        granted
    "#]],
    );
}
