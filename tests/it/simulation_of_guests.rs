//! Simulated time with real guests: what they take is their fuel at the rate that they get.

use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::{Digest, Simulation, SimulationOptions};
use longshore::model::task::Task;

use crate::guests;

/// A cluster whose images are named by `{worker}`, `{sieve}`, `{pulse}` and `{spin}`.
fn simulation(text: &str) -> Simulation {
    let mut text = text.to_owned();
    for name in ["worker", "sieve", "pulse"] {
        text = text.replace(&format!("{{{name}}}"), &guests::wasip1(name).display().to_string());
    }
    text = text.replace("{spin}", &guests::limits("spin.wat").display().to_string());
    let spec = ClusterFile::parse(&text, "cluster.toml", &Catalog::embedded());
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    let options = SimulationOptions { digest: Digest::Kept, ..SimulationOptions::default() };
    let mut simulation = Simulation::new(&spec, options).expect("it can be simulated");
    simulation.run_to_end();
    simulation
}

fn tasks(simulation: &Simulation) -> Vec<&Task> {
    simulation.state().tasks.values().map(|record| &record.task).collect()
}

const SPINNING: &str = r#"
[cluster]
name = "spinning"
[settings]
# A slow vCPU: what is claimed is of shares, and every instruction is really executed.
fuel_per_vcpu_second = 50000000
run_for = "60s"
stop_timeout = "2s"
[[container_instance]]
instance_type = "m7i.large"
boot_time = "10s"
[[task_definition]]
family = "light"
memory = "64"
  [[task_definition.container]]
  name = "main"
  image = "{spin}"
  cpu = 128
[[task_definition]]
family = "heavy"
memory = "64"
  [[task_definition.container]]
  name = "main"
  image = "{spin}"
  cpu = 384
[[run_task]]
task_definition = "light"
launch_type = "EC2"
count = 2
at = "10s"
[[run_task]]
task_definition = "heavy"
launch_type = "EC2"
count = 2
at = "10s"
"#;

/// Guests that spin for ever on a full instance have 1 : 3 of it, do not stop time, and are interrupted after their stop timeout.
#[test]
fn guests_that_spin_share_an_instance() {
    let simulation = simulation(SPINNING);
    let used: Vec<u64> = tasks(&simulation).iter().map(|task| task.usage.vcpu.0 / 10_000_000).collect();
    // Fifty-two seconds of two vCPUs: a quarter of one each, and three quarters.
    for (used, expected) in used.iter().zip([1_300, 1_300, 3_900, 3_900]) {
        assert!(used.abs_diff(expected) <= 5, "{used} hundredths of a vCPU-second, not {expected}");
    }
    assert!(tasks(&simulation).iter().all(|task| task.containers[0].exit.exit_code == Some(137)));
    assert_eq!(simulation.now().elapsed().as_secs(), 62);
}

const MIXED: &str = r#"
[cluster]
name = "mixed"
[settings]
run_for = "3m"
metric_period = "5s"
usage_period = "1s"
boot_time = "5s"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 3 }
managed_scaling = { target_capacity = 100 }
[[task_definition]]
family = "worker"
cpu = "512"
memory = "128"
  [[task_definition.container]]
  name = "worker"
  image = "{worker}"
[[task_definition]]
family = "sieve"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
  [[task_definition.container]]
  name = "sieve"
  image = "{sieve}"
  command = ["2000000"]
[[service]]
name = "worker"
task_definition = "worker"
desired_count = 1
capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
  [service.auto_scaling]
  min_capacity = 1
  max_capacity = 6
  target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }]
[[load]]
service = "worker"
job = "40"
arrivals = "poisson"
steps = [{ at = "10s", jobs_per_second = 2 }, { at = "60s", jobs_per_second = 12 }, { at = "120s", jobs_per_second = 1 }]
[[run_task]]
task_definition = "sieve"
launch_type = "FARGATE"
count = 3
"#;

/// Claim: guests add no chance. Method: load, scaling and a batch with real guests, twice; jobs are done, and a batch task takes as long
/// as its work at its quota.
#[test]
fn guests_take_the_same_steps_every_time() {
    let first = simulation(MIXED);
    let second = simulation(MIXED);
    assert_eq!(first.digest(), second.digest());
    let (times, _) = first.job_times("worker").expect("it has load");
    assert!(times.count() > 800 && times.mean() > Duration::from_millis(1), "{} {:?}", times.count(), times.mean());
    let tasks = tasks(&first);
    let sieves: Vec<&&Task> = tasks.iter().filter(|task| task.task_definition.family == "sieve").collect();
    assert_eq!(sieves.len(), 3);
    for task in sieves {
        assert_eq!(task.containers[0].exit.exit_code, Some(0));
        let took = task.stopped_at.expect("it is over").since(task.started_at.expect("it ran"));
        let at_quota = Duration::from_nanos(task.usage.vcpu.0 * 4);
        // A period's allowance of 25 ms is there at once, which saves 75 ms at most.
        assert!(took <= at_quota && took + Duration::from_millis(101) >= at_quota, "{took:?} for {at_quota:?}");
        assert!(task.usage.fuel.0 > 0 && task.usage.memory_bytes_peak > 0);
    }
}
