//! How many events a second does simulated time take in, and does the cost of one grow with the cluster?
//!
//! `tasks`: a service keeps its desired count of tasks that compute for a minute and end: every event is one of the control plane, from
//! placement to the bill. Cases: (instances, tasks) from (10, 100) to (1,000, 10,000), ten minutes each; throughput is in events of the control
//! plane. `jobs`: services with Poisson load that scale on instances that scale; throughput is in jobs, most of which no control plane
//! hears of.

use std::fmt::Write as _;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::{Simulation, SimulationOptions};

fn simulation(text: &str) -> Simulation {
    let spec = ClusterFile::parse(text, "cluster.toml", &Catalog::embedded());
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated")
}

fn run(mut simulation: Simulation) -> Simulation {
    simulation.run_to_end();
    simulation
}

fn tasks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tasks");
    for (instances, tasks) in [(10, 100), (100, 1_000), (1_000, 10_000)] {
        let text = format!(
            r#"
[cluster]
name = "tasks"
[settings]
run_for = "10m"
service_launches_per_minute = 1000000
[[container_instance]]
instance_type = "m7i.8xlarge"
count = {instances}
[[task_definition]]
family = "t"
memory = "64"
  [task_definition.simulation]
  duration = {{ exponential = {{ mean = "60s" }} }}
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
        );
        let events = run(simulation(&text)).event_count();
        assert!(events > tasks * 10, "{events} events of {tasks} tasks");
        group.throughput(Throughput::Elements(events));
        group.bench_function(BenchmarkId::from_parameter(format!("{instances} instances, {tasks} tasks")), |bencher| {
            bencher.iter_batched(|| simulation(&text), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn jobs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jobs");
    for services in [1, 10, 100] {
        let mut text = String::from(
            r#"
[cluster]
name = "jobs"
[settings]
run_for = "1h"
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
        for service in 0..services {
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
jobs_per_second = 5
"#
            );
        }
        let done: u64 = run(simulation(&text)).snapshot().jobs.values().map(|jobs| jobs.completed).sum();
        assert!(done > services * 15_000, "{done} jobs of {services} services");
        group.throughput(Throughput::Elements(done));
        group.bench_function(BenchmarkId::from_parameter(format!("{services} services")), |bencher| {
            bencher.iter_batched(|| simulation(&text), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(2));
    targets = tasks, jobs
}
criterion_main!(benches);
