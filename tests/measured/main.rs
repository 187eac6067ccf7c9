//! What tenants get and what they can't take: quotas, shares and the control loop's own time, measured through whole clusters; and
//! whether a simulation says what then happens.
//!
//! A binary of its own, run after the others, and one measurement at a time: nothing else may want the cores meanwhile.

#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a measurement divides counts")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore::control_plane::action::Response;
use longshore::control_plane::event::Request;
use longshore::model::capacity::{InstanceLaunch, LaunchTarget};
use longshore::model::cluster::{ClusterSpec, RunTaskSpec};
use longshore::model::ids::TaskId;
use longshore::model::settings::{CpuBasis, FuelRate, Settings};
use longshore::model::task_definition::{
    ContainerDefinition, LaunchType, NetworkMode, TaskDefinition, TaskDefinitionRef,
};
use longshore::model::units::{CpuUnits, Fuel, MemoryMib};
use longshore::{HostOptions, RunningCluster};

mod data_plane;
#[expect(dead_code, reason = "no component is measured")]
#[path = "../it/guests.rs"]
mod guests;
#[expect(dead_code, reason = "the tests of the sandboxes ask for more")]
#[path = "../it/plane.rs"]
mod plane;
mod truth;

/// Held by the one measurement that runs.
static ALONE: Mutex<()> = Mutex::new(());

/// A failed measurement must not fail the next one.
fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A task definition of one container that runs a module of `workloads/limits`.
fn definition(family: &str, module: &str, cpu: u32, launch_type: LaunchType) -> TaskDefinition {
    let on_fargate = launch_type == LaunchType::Fargate;
    TaskDefinition {
        family: family.into(),
        cpu: on_fargate.then_some(CpuUnits(cpu)),
        memory: Some(MemoryMib(64)),
        // On EC2 an interface of its own for each task would be one more than the instance has.
        network_mode: if on_fargate { NetworkMode::Awsvpc } else { NetworkMode::Bridge },
        requires_compatibilities: [launch_type].into(),
        containers: vec![ContainerDefinition {
            name: "main".into(),
            image: guests::limits(module).display().to_string(),
            environment: Default::default(),
            cpu: CpuUnits(if on_fargate { 0 } else { cpu }),
            stop_timeout: Some(Duration::from_millis(200)),
            ..ContainerDefinition::default()
        }],
        tags: Default::default(),
        ..TaskDefinition::default()
    }
}

/// A vCPU so small that the slowest of hosts carries several on a core: in a tight loop some burn 36 G fuel a second and some less
/// than one, and what the host cannot deliver is no measure of quotas and shares.
fn small_vcpus() -> Settings {
    Settings { fuel_rate: FuelRate::PerVcpuSecond(Fuel(200_000_000)), ..Settings::default() }
}

fn cluster(
    settings: Settings,
    task_definitions: Vec<TaskDefinition>,
    instances: Vec<InstanceLaunch>,
) -> RunningCluster {
    let spec = ClusterSpec {
        name: "isolation".into(),
        region: "us-east-1".into(),
        settings,
        task_definitions,
        container_instances: instances,
        ..ClusterSpec::default()
    };
    RunningCluster::start(spec, HostOptions::default()).expect("the cluster starts")
}

fn run_tasks(cluster: &RunningCluster, family: &str, count: u32, launch_type: LaunchType) -> Vec<TaskId> {
    let notices = cluster.watch().expect("the cluster is up");
    let mut started = Vec::new();
    while started.len() < count as usize {
        let request = Request::RunTask(Box::new(RunTaskSpec {
            task_definition: TaskDefinitionRef { family: family.into(), revision: None },
            count: count - started.len() as u32,
            launch_target: LaunchTarget::LaunchType(launch_type),
            tags: Default::default(),
            ..RunTaskSpec::default()
        }));
        match cluster.ask(request).expect("the request is valid") {
            Response::RunTask { tasks, .. } => started.extend(tasks),
            other => panic!("RunTask was answered by {other:?}"),
        }
        if started.len() < count as usize {
            notices.recv_timeout(Duration::from_secs(60)).expect("an instance registers");
        }
    }
    // Compilation is no part of what is measured.
    for task in &started {
        while cluster.task(*task).expect("the cluster is up").expect("the task is known").started_at.is_none() {
            notices.recv_timeout(Duration::from_secs(60)).expect("the task starts");
        }
    }
    started
}

/// The vCPU that each task gets on average over a window, by the meter itself. The window begins after a moment of settling in.
fn vcpu_over(cluster: &RunningCluster, tasks: &[TaskId], window: Duration) -> Vec<f64> {
    std::thread::sleep(Duration::from_millis(500));
    let reading = || -> (f64, Vec<u64>) {
        let at = cluster.clock().now().elapsed().as_secs_f64();
        let samples = cluster.data_plane().usage();
        let used = tasks
            .iter()
            .map(|task| samples.iter().find(|sample| sample.task == *task).expect("the task is live").usage.vcpu.0)
            .collect();
        (at, used)
    };
    let (from, before) = reading();
    std::thread::sleep(window);
    let (to, after) = reading();
    before.iter().zip(&after).map(|(before, after)| (after - before) as f64 / 1e9 / (to - from)).collect()
}

/// What was measured, and whether it is as near to what was wanted as it has to be.
fn near(actual: f64, wanted: f64, tolerance: f64, what: &str) -> Result<(), String> {
    let off = (actual - wanted).abs() / wanted;
    println!("{what}: {actual:.4}, {wanted:.4} wanted");
    if off <= tolerance {
        return Ok(());
    }
    Err(format!("{what}: {actual:.4} instead of {wanted:.4}, off by {:.1} %", off * 100.0))
}

/// Measures up to three times: whatever else this machine does can disturb a window, but not make a wrong share right.
fn measure(mut window: impl FnMut() -> Result<(), String>) {
    let mut disturbed = Vec::new();
    for _ in 0..3 {
        match window() {
            Ok(()) => return,
            Err(found) => disturbed.push(found),
        }
    }
    panic!("none of three windows: {disturbed:?}");
}

/// A spinning Fargate task of a quarter vCPU receives a quarter vCPU within 2 % over 10 s, alone and beside seven others.
#[test]
fn fargate_cpu_is_a_hard_quota() {
    let _alone = alone();
    let settings = Settings { stop_timeout: Duration::from_millis(200), ..small_vcpus() };
    let cluster = cluster(settings, vec![definition("spin", "spin.wat", 256, LaunchType::Fargate)], Vec::new());
    let first = run_tasks(&cluster, "spin", 1, LaunchType::Fargate);
    measure(|| near(vcpu_over(&cluster, &first, Duration::from_secs(10))[0], 0.25, 0.02, "alone"));
    let mut all = first;
    all.extend(run_tasks(&cluster, "spin", 7, LaunchType::Fargate));
    measure(|| {
        let each = vcpu_over(&cluster, &all, Duration::from_secs(10));
        each.iter().enumerate().try_for_each(|(index, vcpu)| near(*vcpu, 0.25, 0.02, &format!("task {index} of eight")))
    });
}

/// Two spinning tasks of weight 1:3 on one full instance receive 1:3 within 3 %; what one leaves idle the other uses.
#[test]
fn ec2_shares_are_weights() {
    let _alone = alone();
    let catalog = longshore::catalog::Catalog::embedded();
    let instance = InstanceLaunch {
        // One vCPU, so that the two tasks fill it.
        instance_type: catalog.instance_type("m7g.medium").expect("it is in the catalog"),
        availability_zone: "us-east-1a".into(),
        attributes: Default::default(),
        ..InstanceLaunch::default()
    };
    let definitions = vec![
        definition("light", "spin.wat", 256, LaunchType::Ec2),
        definition("heavy", "spin_memory.wat", 768, LaunchType::Ec2),
    ];
    let cluster = cluster(small_vcpus(), definitions, vec![instance]);
    let light = run_tasks(&cluster, "light", 1, LaunchType::Ec2);
    let whole = |what| near(vcpu_over(&cluster, &light, Duration::from_secs(2))[0], 1.0, 0.03, what);
    measure(|| whole("alone, with the idle rest"));
    let heavy = run_tasks(&cluster, "heavy", 1, LaunchType::Ec2);
    measure(|| {
        let both = vcpu_over(&cluster, &[light[0], heavy[0]], Duration::from_secs(5));
        near(both[1] / both[0], 3.0, 0.03, "heavy to light")?;
        near(both[0] + both[1], 1.0, 0.03, "together")
    });
    let stop = Request::StopTask { task: heavy[0], reason: None };
    cluster.ask(stop).expect("the task is known");
    cluster.wait_for_task(heavy[0]).expect("the task is known");
    measure(|| whole("alone again"));
}

/// Sixteen guests that spin on as many vCPUs delay the control loop's timers by less than 20 ms at the 99th percentile.
/// CPU time is the basis, so that they take all that the host has.
#[test]
fn spinning_guests_do_not_delay_the_control_loop() {
    let _alone = alone();
    let settings = Settings {
        cpu_basis: CpuBasis::Time,
        metric_period: Duration::from_millis(10),
        usage_period: Duration::from_millis(50),
        ..Settings::default()
    };
    measure(|| {
        let definition = definition("spin", "spin.wat", 1024, LaunchType::Fargate);
        let cluster = cluster(settings.clone(), vec![definition], Vec::new());
        run_tasks(&cluster, "spin", 16, LaunchType::Fargate);
        std::thread::sleep(Duration::from_secs(5));
        let snapshot = cluster.snapshot().expect("the cluster is up");
        let lateness = snapshot.timer_lateness;
        println!("timers of the control loop beside 16 spinning guests: {lateness:?}");
        // The guests did spin all the while, and a host that could not give them their vCPUs knows it.
        let used: u64 = snapshot.state.tasks.values().map(|record| record.task.usage.vcpu.0).sum();
        assert!(used > 2_000_000_000, "the guests used only {used} ns");
        let delivery = snapshot.delivery;
        assert!(delivery.delivered.0 < delivery.wanted.0, "no host of a test delivers sixteen vCPUs: {delivery:?}");
        let is_timely = lateness.count > 300 && lateness.p99 < Duration::from_millis(20);
        if is_timely { Ok(()) } else { Err(format!("{lateness:?}")) }
    });
}
