//! What a task takes of its instance, and for how long.

use expect_test::expect;
use longshore::control_plane::event::Request;
use longshore::model::capacity::InstanceLaunch;
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::TaskId;
use longshore::model::units::{CpuUnits, MemoryMib};

use super::check;
use crate::harness::{Behaviour, World, empty_cluster, instance_launch, on_ec2, run, secs, strategy, task_definition};

/// ecs-semantics §1.5, §3.1: a task takes its own cpu and memory; without them the sum of its containers', of which a reservation
/// counts before a limit.
#[test]
fn a_reservation_counts_before_a_limit() {
    let mut soft = task_definition("soft", 256, 512);
    (soft.cpu, soft.memory) = (None, None);
    let main = &mut soft.containers[0];
    (main.cpu, main.memory, main.memory_reservation) = (CpuUnits(100), Some(MemoryMib(2000)), Some(MemoryMib(300)));
    let mut side = main.clone();
    side.name = "side".to_owned();
    (side.cpu, side.memory, side.memory_reservation) = (CpuUnits(0), Some(MemoryMib(700)), None);
    soft.containers.push(side);
    let mut of_task = soft.clone();
    of_task.family = "of-task".to_owned();
    (of_task.cpu, of_task.memory) = (Some(CpuUnits(512)), Some(MemoryMib(2800)));
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a")],
        task_definitions: vec![soft, of_task],
        ..empty_cluster()
    });
    world.run_until(20);
    let instance = |world: &World| world.plane.state().container_instances.values().next().unwrap().remaining.clone();
    let before = instance(&world);
    let mut shown = String::new();
    for family in ["soft", "of-task"] {
        let was = instance(&world);
        world.run_task(run(family, 1, on_ec2()));
        let is = instance(&world);
        shown += &format!("{family}: {} CPU units, {} MiB\n", was.cpu.0 - is.cpu.0, was.memory.0 - is.memory.0);
    }
    check(
        &shown,
        &expect![[r#"
        soft: 100 CPU units, 1000 MiB
        of-task: 512 CPU units, 2800 MiB
    "#]],
    );
    for task in [1, 2] {
        world.done(Request::StopTask { task: TaskId(task), reason: None });
    }
    world.run_until(60);
    assert_eq!(instance(&world), before, "everything is given back");
}

/// ecs-semantics §3.1: a task that is stopping holds what it has until it is over, its whole stop timeout long.
#[test]
fn stopping_tasks_hold_their_resources() {
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a")],
        task_definitions: vec![task_definition("job", 2048, 1024)],
        ..empty_cluster()
    });
    world.behave("job", Behaviour { stop: secs(3600), ..Behaviour::default() });
    world.run_until(20);
    world.run_task(run("job", 1, on_ec2()));
    world.run_until(30);
    world.done(Request::StopTask { task: TaskId(1), reason: None });
    let mut shown = Vec::new();
    for second in [30, 59, 61] {
        world.run_until(second);
        let (tasks, failures) = world.run_task(run("job", 1, on_ec2()));
        shown.push(format!("{second} s: {} placed {}\n", tasks.len(), failures.join(", ")));
    }
    check(
        &shown.concat(),
        &expect![[r#"
        30 s: 0 placed I1 RESOURCE:CPU: 2048 CPU units are needed and 0 are left
        59 s: 0 placed I1 RESOURCE:CPU: 2048 CPU units are needed and 0 are left
        61 s: 1 placed 
    "#]],
    );
}

/// ecs-semantics §3.1, §6.3: what an agent holds back is not registered, by hand and in a group, and managed scaling counts without it.
#[test]
fn reserved_memory_is_not_registered() {
    let mut world = World::of_file(
        r#"
        [[container_instance]]
        instance_type = "m7i.large"
        ecs_reserved_memory = 1000
        [[capacity_provider]]
        name = "asg"
        auto_scaling_group = { instance_type = "m7i.large", min_size = 0, max_size = 9, boot_time = "10s", ecs_reserved_memory = 1000 }
        managed_scaling = { instance_warmup_period = "0s" }
        [[task_definition]]
        family = "half"
        cpu = 256
        memory = 4096
        container = [{ name = "main", image = "../workloads/limits/spin.wat" }]
        "#,
    );
    world.run_until(100);
    let (tasks, failures) = world.run_task(run("half", 2, on_ec2()));
    assert_eq!(tasks.len(), 1);
    check(&failures.join("\n"), &expect!["I1 RESOURCE:MEMORY: 4096 MiB are needed and 3096 are left"]);
    world.run_task(run("half", 3, strategy(&[("asg", 0, 1)])));
    world.run_until(400);
    let registered = |world: &World| {
        let instances = world.plane.state().container_instances.values();
        instances.map(|instance| (instance.registered.memory.0, instance.running_tasks_count)).collect::<Vec<_>>()
    };
    // A task each, where two would be without.
    assert_eq!(registered(&world), [(7_192, 1); 4]);
    let launch = InstanceLaunch { reserved_memory: MemoryMib(4_097), ..instance_launch("us-east-1a") };
    let refused =
        world.request(Request::LaunchInstance(std::sync::Arc::new(launch))).expect_err("it would not register");
    check(&refused.to_string(), &expect!["ECS_RESERVED_MEMORY 4097 is more than the 4096 MiB of c7i.large"]);
}
