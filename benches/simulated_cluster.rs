//! How many events a second does simulated time take in, does the cost of one grow with the cluster, and what does a task take of memory?
//!
//! `steady`: a service keeps its desired count of tasks that compute for a minute on average and end: everything is the control plane's,
//! from placement to the bill. Cases: (instances, tasks) from (10, 100) to (10,000, 1,000,000), each begun and warmed up before it is
//! measured; what is measured goes on from there in whole usage periods (10 s). An **event** is a call of `ControlPlane::apply`: a task's
//! step, a deadline, and also a usage event, which counts as one whatever the number of samples in it. Every running task is sampled once
//! a period, and the time that takes is in the time of the events; the line that each case prints says how many samples came with
//! them. An iteration is one event.
//!
//! `memory`: what a modelled task that runs takes of the process, by its resident memory before and after there are 100,000.
//!
//! `day`: 100 services with a recorded trace as load, each with target tracking, on instances under managed scaling, for 24 hours. An
//! iteration is the day. Jobs arrive, wait and are computed one by one; no control plane hears of most of them.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::cell::Cell;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::model::units::Timestamp;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Traces are named from here.
const CLUSTER_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clusters/bench.toml");
const USAGE_PERIOD: Duration = Duration::from_secs(10);

fn simulation(text: &str) -> Simulation {
    let spec = ClusterFile::parse(text, CLUSTER_FILE, &Catalog::embedded());
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated")
}

/// A service that keeps tasks of a duration on instances.
fn service(instances: u64, tasks: u64, duration: &str) -> Simulation {
    simulation(&format!(
        r#"
[cluster]
name = "tasks"
[settings]
run_for = "1000h"
service_launches_per_minute = 1000000000
[[container_instance]]
instance_type = "m7i.8xlarge"
count = {instances}
[[task_definition]]
family = "t"
memory = "64"
  [task_definition.simulation]
  duration = {duration}
  cpu = 100
  [[task_definition.container]]
  name = "main"
  cpu = 128
[[service]]
name = "s"
task_definition = "t"
desired_count = {tasks}
launch_type = "EC2"
"#
    ))
}

fn run_for(simulation: &mut Simulation, time: Duration) {
    let until = simulation.now() + time;
    simulation.run_until(until, u64::MAX);
    assert_eq!(simulation.now(), until, "the cluster goes on");
}

fn steady(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("steady");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(1));
    let sizes = [
        (10, 100),
        (10, 1_000),
        (100, 1_000),
        (100, 10_000),
        (1_000, 10_000),
        (1_000, 100_000),
        (10_000, 100_000),
        (10_000, 1_000_000),
    ];
    for (instances, tasks) in sizes {
        let mut running = None;
        let (all_events, all_samples, all_time) = (Cell::new(0u64), Cell::new(0u64), Cell::new(Duration::ZERO));
        group.bench_function(BenchmarkId::from_parameter(format!("{instances} instances, {tasks} tasks")), |bencher| {
            let simulation = running.get_or_insert_with(|| {
                let mut simulation = service(instances, tasks, "{ exponential = { mean = \"60s\" } }");
                // Each task was replaced twice, and some have counted as healthy.
                run_for(&mut simulation, 12 * USAGE_PERIOD);
                assert!(simulation.state().stopped_count > tasks, "tasks come and go");
                simulation
            });
            bencher.iter_custom(|iterations| {
                let (before, start) = (simulation.event_count(), Instant::now());
                let mut events = 0;
                while events < iterations {
                    run_for(simulation, USAGE_PERIOD);
                    events = simulation.event_count() - before;
                    all_samples.set(all_samples.get() + tasks);
                }
                let time = start.elapsed();
                assert_eq!(simulation.state().live_count as u64, tasks, "the service keeps its count");
                all_events.set(all_events.get() + events);
                all_time.set(all_time.get() + time);
                let share = u128::from(iterations) * time.as_nanos() / u128::from(events);
                Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
            });
        });
        let rate = |count: &Cell<u64>| u128::from(count.get()) * 1_000_000_000 / all_time.get().as_nanos().max(1);
        if running.is_some() {
            println!("{} events and {} usage samples a second", rate(&all_events), rate(&all_samples));
        }
    }
    group.finish();
}

/// The process' resident memory in bytes; `None` where the system has no such file.
fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

fn memory(_: &mut Criterion) {
    const TASKS: u64 = 100_000;
    let before = resident_bytes();
    let mut simulation = service(1_000, TASKS, "\"900h\"");
    run_for(&mut simulation, 12 * USAGE_PERIOD);
    assert_eq!(simulation.state().live_count as u64, TASKS, "they all run");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        println!("{} bytes a modelled task that runs, of {TASKS}", after.saturating_sub(before) / TASKS);
    }
}

fn day(criterion: &mut Criterion) {
    const SERVICES: u64 = 100;
    let mut text = String::from(
        r#"
[cluster]
name = "day"
[settings]
run_for = "24h"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.2xlarge", min_size = 1, max_size = 200 }
managed_scaling = { target_capacity = 90 }
[[task_definition]]
family = "t"
memory = "256"
  [task_definition.simulation]
  job_cpu = { exponential = { mean = "40ms" } }
  [[task_definition.container]]
  name = "main"
  cpu = 256
"#,
    );
    for service in 0..SERVICES {
        let _ = write!(
            text,
            r#"
[[service]]
name = "s{service}"
task_definition = "t"
desired_count = 2
capacity_provider_strategy = [{{ capacity_provider = "asg", weight = 1 }}]
  [service.auto_scaling]
  min_capacity = 1
  max_capacity = 20
  target_tracking = [{{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }}]
[[load]]
service = "s{service}"
job = "x"
arrivals = "poisson"
trace = "traces/aws_elb_request_count.csv"
scale = 10
"#
        );
    }
    let mut group = criterion.benchmark_group("day");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(format!("24 hours of {SERVICES} services"), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            for _ in 0..iterations {
                let mut simulation = simulation(&text);
                let start = Instant::now();
                simulation.run_to_end();
                let taken = start.elapsed();
                time += taken;
                let (events, happenings) = (simulation.event_count(), simulation.happening_count());
                let jobs: u64 = simulation.snapshot().jobs.values().map(|jobs| jobs.completed).sum();
                assert!(simulation.now() > Timestamp::ZERO + Duration::from_secs(86_400), "the day is over");
                assert!(jobs > SERVICES * 50_000, "{jobs} jobs of {SERVICES} services");
                println!("{jobs} jobs, {events} events, {happenings} happenings of the data plane in {taken:.2?}");
            }
            time
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(5));
    // Memory comes first, as long as nobody else has used any.
    targets = memory, steady, day
}
criterion_main!(benches);
