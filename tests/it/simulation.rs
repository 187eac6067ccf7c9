//! Simulated time: cluster files in, counts, moments and times of jobs out.

use std::fmt::Write as _;
use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::{Digest, Progress, Simulation, SimulationOptions};
use longshore::model::cluster::ClusterSpec;
use longshore::model::task::{StopCode, Task};
use longshore::model::units::Timestamp;

fn spec(text: &str) -> ClusterSpec {
    let file = ClusterFile::parse(text, "cluster.toml", &Catalog::embedded());
    file.unwrap_or_else(|errors| panic!("{errors}"))
}

fn simulation(text: &str) -> Simulation {
    Simulation::new(&spec(text), SimulationOptions::default()).expect("it can be simulated")
}

fn tasks(simulation: &Simulation) -> Vec<&Task> {
    simulation.state().tasks.values().map(|record| &record.task).collect()
}

/// When each task was over, in milliseconds.
fn ends(simulation: &Simulation) -> Vec<u64> {
    tasks(simulation).iter().map(|task| task.stopped_at.expect("it is over").0 / 1_000_000).collect()
}

/// One instance of two vCPUs and as many task definitions as are written in `tasks`: (family, cpu, what it does).
fn on_one_instance(tasks: &[(&str, &str, &str)]) -> String {
    let mut text = String::from(
        "[cluster]\nname = \"one\"\n[settings]\nboot_time = \"1s\"\n[[container_instance]]\ninstance_type = \"m7i.large\"\n",
    );
    for (family, cpu, work) in tasks {
        let _ = write!(
            text,
            r#"
[[task_definition]]
family = "{family}"
memory = "256"
  [task_definition.simulation]
  {work}
  [[task_definition.container]]
  name = "main"
  {cpu}
[[run_task]]
task_definition = "{family}"
launch_type = "EC2"
at = "2s"
"#
        );
    }
    text
}

/// Three tasks that compute on two vCPUs, of weights 1, 1 and 2: half a vCPU, half a vCPU and one; when the large one is done the others
/// have a vCPU each.
#[test]
fn tasks_of_an_instance_share_it() {
    let work = |duration: &str| format!("cpu = 1024\nduration = \"{duration}\"");
    let (short, long) = (work("4s"), work("3s"));
    let mut simulation = simulation(&on_one_instance(&[
        ("a", "cpu = 128", &short),
        ("b", "cpu = 128", &short),
        ("c", "cpu = 256", &long),
    ]));
    simulation.run_to_end();
    assert_eq!(ends(&simulation), [2_000 + 5_500, 2_000 + 5_500, 2_000 + 3_000]);
    let used: Vec<u64> = tasks(&simulation).iter().map(|task| task.usage.vcpu.0 / 1_000_000).collect();
    assert_eq!(used, [4_000, 4_000, 3_000]);
    let snapshot = simulation.snapshot();
    assert_eq!(snapshot.delivery.delivered.0 / 1_000_000, 11_000);
}

/// A Fargate task has its quota and no more, whoever else is there; one that starts with a pull is paid for from there.
#[test]
fn fargate_has_its_quota() {
    let mut simulation = simulation(
        r#"
[cluster]
name = "one"
[[task_definition]]
family = "a"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
  [task_definition.simulation]
  pull = "3s"
  cold_start = "2s"
  cpu = 1024
  duration = "10s"
  memory = 100
  [[task_definition.container]]
  name = "main"
[[run_task]]
task_definition = "a"
launch_type = "FARGATE"
count = 7
"#,
    );
    simulation.run_to_end();
    for task in tasks(&simulation) {
        // A quarter of a vCPU but for the 25 ms that are there at once.
        assert_eq!(task.stopped_at.map(|at| (at.0 + 500_000) / 1_000_000), Some(5_000 + 39_900));
        assert_eq!(task.pull_started_at, Some(Timestamp::ZERO));
        assert_eq!(task.pull_stopped_at, Some(Timestamp(3_000_000_000)));
        assert_eq!(task.started_at, Some(Timestamp(5_000_000_000)));
        assert_eq!(task.stop_code, Some(StopCode::EssentialContainerExited));
        assert_eq!(task.containers[0].exit.exit_code, Some(0));
        assert_eq!(task.usage.memory_bytes_peak, 100 << 20);
    }
    assert_eq!(simulation.snapshot().bill().lines.len(), 2);
}

/// A task that computes for ever does not stop time; it is stopped as any other and what it used is known.
#[test]
fn a_task_that_spins_for_ever_does_not_hang() {
    let text = on_one_instance(&[("spin", "cpu = 128", "cpu = 1024")]);
    let mut simulation = simulation(&text.replace("[settings]", "[settings]\nrun_for = \"1h\""));
    simulation.run_to_end();
    let tasks = tasks(&simulation);
    let used = tasks[0].usage.vcpu.0 / 1_000_000_000;
    assert_eq!((used, tasks[0].stop_code), (3_598, Some(StopCode::UserInitiated)));
    assert!(simulation.happening_count() < 100, "{}", simulation.happening_count());
}

fn queue(servers: u32, arrivals: &str, job_cpu: &str) -> String {
    format!(
        r#"
[cluster]
name = "queue"
[settings]
seed = 11
run_for = "20h"
[[task_definition]]
family = "server"
cpu = "1024"
memory = "2048"
requires_compatibilities = ["FARGATE"]
  [task_definition.simulation]
  job_cpu = {job_cpu}
  [[task_definition.container]]
  name = "main"
[[service]]
name = "server"
task_definition = "server"
desired_count = {servers}
launch_type = "FARGATE"
[[load]]
service = "server"
job = "x"
{arrivals}
"#
    )
}

/// The mean wait of a job in an M/M/c queue by Erlang's C formula, in units of the mean service time.
fn erlang_wait(servers: u32, utilisation: f64) -> f64 {
    let offered = f64::from(servers) * utilisation;
    let mut term = 1.0;
    let mut sum = 0.0;
    for k in 0..servers {
        sum += term;
        term *= offered / f64::from(k + 1);
    }
    let all_busy = term / (1.0 - utilisation);
    let waits = all_busy / (sum + all_busy);
    waits / (f64::from(servers) * (1.0 - utilisation))
}

/// Claim: Poisson arrivals at exponential servers wait as long as the textbook says. Method: a million jobs at one, three and eight
/// servers, against Erlang's formula.
#[test]
fn queues_wait_as_long_as_the_textbook_says() {
    for (servers, rate, utilisation) in [(1, 14, 0.7), (3, 45, 0.75), (8, 136, 0.85)] {
        let arrivals = format!("arrivals = \"poisson\"\njobs_per_second = {rate}");
        let mut simulation = simulation(&queue(servers, &arrivals, "{ exponential = { mean = \"50ms\" } }"));
        simulation.run_to_end();
        let (_, waits) = simulation.job_times("server").expect("it has load");
        let expected = erlang_wait(servers, utilisation) * 0.05;
        let found = waits.mean().as_secs_f64();
        assert!(
            (found - expected).abs() <= expected * 0.03,
            "{servers} servers: waited {found} s on average, the formula says {expected} s, over {} jobs",
            waits.count()
        );
    }
}

/// Without chance: a job every 100 ms that takes 30 ms waits for nobody.
#[test]
fn constant_jobs_take_what_they_take() {
    let mut simulation = simulation(&queue(1, "jobs_per_second = 10", "\"30ms\""));
    simulation.run_until(Timestamp(1_000_000_000_000), u64::MAX);
    let (times, waits) = simulation.job_times("server").expect("it has load");
    assert_eq!((times.mean(), waits.max()), (Duration::from_millis(30), Duration::ZERO));
    let jobs = simulation.snapshot().jobs;
    assert_eq!((jobs["server"].pushed, jobs["server"].completed), (10_000, 9_999));
}

/// A cluster with some of everything.
fn busy(seed: u64) -> String {
    format!(
        r#"
[cluster]
name = "busy"
[settings]
seed = {seed}
run_for = "70m"
boot_time = "40s"
[[capacity_provider]]
name = "asg"
auto_scaling_group = {{ instance_type = "m7i.large", min_size = 1, max_size = 6 }}
managed_scaling = {{ target_capacity = 90 }}
[[task_definition]]
family = "web"
memory = "512"
  [task_definition.simulation]
  pull = {{ log_normal = {{ median = "5s", p99 = "20s" }} }}
  cold_start = {{ exponential = {{ mean = "800ms" }} }}
  job_cpu = {{ log_normal = {{ median = "60ms", p99 = "900ms" }} }}
  job_wait = {{ exponential = {{ mean = "20ms" }} }}
  stop = {{ exponential = {{ mean = "2s" }} }}
  memory = {{ log_normal = {{ mean = 120, sigma = 0.4 }} }}
  crash = {{ probability = 0.2, after = {{ exponential = {{ mean = "5m" }} }}, exit_code = 3 }}
  [[task_definition.container]]
  name = "main"
  cpu = 512
[[service]]
name = "web"
task_definition = "web"
desired_count = 2
capacity_provider_strategy = [{{ capacity_provider = "asg", weight = 1 }}]
  [service.auto_scaling]
  min_capacity = 1
  max_capacity = 10
  target_tracking = [{{ metric = "ECSServiceAverageCPUUtilization", target_value = 50 }}]
[[load]]
service = "web"
job = "x"
arrivals = "poisson"
steps = [{{ at = "0s", jobs_per_second = 4 }}, {{ at = "8m", jobs_per_second = 25 }}, {{ at = "25m", jobs_per_second = 2 }}]
[[task_definition]]
family = "batch"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
  [task_definition.simulation]
  duration = {{ exponential = {{ mean = "90s" }} }}
  cpu = {{ exponential = {{ mean = 300 }} }}
  [[task_definition.container]]
  name = "main"
[[run_task]]
task_definition = "batch"
launch_type = "FARGATE"
count = 20
at = "5m"
"#
    )
}

fn digest_of(text: &str) -> String {
    let options = SimulationOptions { digest: Digest::Kept, ..SimulationOptions::default() };
    let mut simulation = Simulation::new(&spec(text), options).expect("it can be simulated");
    simulation.run_to_end();
    simulation.digest().expect("it is kept")
}

/// Claim: file and seed decide everything. Method: the digest of all events, twice for each of many seeds.
#[test]
fn the_same_seed_gives_the_same_events() {
    let mut digests: Vec<String> = Vec::new();
    for seed in 0..24 {
        let text = busy(seed);
        let digest = digest_of(&text);
        assert_eq!(digest, digest_of(&text), "seed {seed}");
        digests.push(digest);
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 24, "other seeds go other ways");
}

/// Claim: how a simulation is called changes nothing. Method: in one go, in steps of a second, and three events at a time.
#[test]
fn pauses_change_nothing() {
    let text = busy(5);
    let expected = digest_of(&text);
    for (seconds, steps) in [(1, u64::MAX), (3600, 3)] {
        let options = SimulationOptions { digest: Digest::Kept, ..SimulationOptions::default() };
        let mut simulation = Simulation::new(&spec(&text), options).expect("it can be simulated");
        let mut until = Timestamp::ZERO;
        loop {
            if simulation.now() >= until {
                until = until + Duration::from_secs(seconds);
            }
            if simulation.run_until(until, steps) == Progress::Over {
                break;
            }
        }
        assert_eq!(simulation.digest(), Some(expected.clone()), "{seconds} s, {steps} steps");
    }
}

/// Load makes the service scale out and in and its instances with it, and the invariants of the state hold at the end of each minute.
#[test]
fn load_scales_a_service_and_its_instances() {
    let mut simulation = simulation(&busy(3));
    let (mut most_tasks, mut most_instances, mut last_tasks) = (0, 0, 0);
    for minute in 1..=69 {
        simulation.run_until(Timestamp(minute * 60_000_000_000), u64::MAX);
        let state = simulation.state();
        state.check_invariants(longshore::model::ids::IdForm { seed: 3 });
        last_tasks = state.services["web"].running_count();
        most_tasks = most_tasks.max(last_tasks);
        most_instances = most_instances.max(state.live_instances().count());
    }
    simulation.run_to_end();
    let jobs = simulation.snapshot().jobs["web"];
    assert!(
        most_tasks >= 5 && most_instances >= 2 && last_tasks < most_tasks,
        "{most_tasks} {most_instances} {last_tasks}"
    );
    assert!(jobs.completed > 25_000 && jobs.requeued > 0, "{jobs:?}");
    assert!(simulation.state().is_empty());
}

/// How many jobs came in all, and in the hour that begins at each of `hours`.
fn jobs_by_hour(load: &str, hours: &[u64]) -> (u64, Vec<u64>) {
    let text = queue(1, load, "\"1us\"").replace("run_for = \"20h\"", "run_for = \"3d\"");
    let mut simulation = simulation(&text);
    let mut pushed_by = |hour: u64| {
        simulation.run_until(Timestamp(hour * 3_600_000_000_000), u64::MAX);
        simulation.snapshot().jobs["server"].pushed
    };
    let by_hour =
        hours.iter().map(|hour| (pushed_by(*hour), pushed_by(hour + 1))).map(|(from, to)| to - from).collect();
    (pushed_by(48), by_hour)
}

/// Claim: every shape of a load has as many jobs as it says, when it says. Method: jobs of two days and of some hours.
#[test]
fn loads_have_the_jobs_of_their_shapes() {
    let sine = "sine = { mean = 10, amplitude = 8, peak = \"18h\" }";
    let (all, hours) = jobs_by_hour(sine, &[5, 17, 29, 41]);
    assert!(all.abs_diff(2 * 864_000) <= 2, "{all}");
    // Two and eighteen a second at the extremes, within the width of an hour.
    let near = |found: u64, expected: u64| found.abs_diff(expected) <= expected / 20;
    assert!(near(hours[0], 7_200) && near(hours[1], 64_800) && hours[2..] == hours[..2], "{hours:?}");

    let spikes = "jobs_per_second = 1\nspikes = [{ at = \"3h\", duration = \"10m\", jobs_per_second = 5 }]";
    let (all, hours) = jobs_by_hour(spikes, &[2, 3]);
    // Gaps are rounded to nanoseconds.
    assert!(
        all.abs_diff(172_800 + 3_000) <= 1 && hours[0] == 3_600 && hours[1].abs_diff(6_600) <= 1,
        "{all} {hours:?}"
    );

    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let path = folder.path().join("trace.csv");
    let rows = "timestamp,value\n2014-04-10 00:00:00,30\n2014-04-10 00:30:00,60\n2014-04-10 01:00:00,6.5\n";
    std::fs::write(&path, rows).expect("it is writable");
    let trace = format!("trace = \"{}\"\nscale = 2\nstretch = 2", path.display());
    let (all, hours) = jobs_by_hour(&trace, &[0, 1, 2, 3]);
    let is_near = hours.iter().zip([60, 120, 13, 0]).all(|(found, expected)| found.abs_diff(expected) <= 1);
    assert!(all.abs_diff(193) <= 1 && is_near, "{all} {hours:?}");

    std::fs::write(&path, "t\n5.5\n6.25\n7200\n").expect("it is writable");
    let (all, hours) = jobs_by_hour(&format!("trace = \"{}\"\nrows = \"arrivals\"", path.display()), &[0, 1, 2]);
    // The first of them comes at the start, before the first hour is looked at.
    assert_eq!((all, hours), (3, vec![1, 1, 0]));
}

/// Claim: faults that come again and again come as often as they say, hit different instances, and the cluster mends. Method: a hundred
/// days of a group of five instances.
#[test]
fn faults_by_chance_keep_their_mean() {
    let text = r#"
[cluster]
name = "faulty"
[settings]
seed = 4
run_for = "100d"
usage_period = "1h"
metric_period = "1h"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 5, max_size = 5 }
[[task_definition]]
family = "web"
memory = "512"
  [task_definition.simulation]
  cpu = 100
  [[task_definition.container]]
  name = "main"
[[service]]
name = "web"
task_definition = "web"
desired_count = 5
capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
placement_strategy = [{ type = "spread", field = "instanceId" }]
[[fault]]
kind = "INSTANCE_FAILURE"
mean_time_between = "12h"
"#;
    let mut simulation = simulation(text);
    simulation.run_until(Timestamp(100 * 86_400_000_000_000 - 1), u64::MAX);
    let state = simulation.state();
    let lost = state.container_instances.values().filter(|instance| instance.terminated_at.is_some()).count();
    assert!((170..=230).contains(&lost), "{lost} instances were lost");
    assert_eq!(state.live_instances().count(), 5);
    assert_eq!(state.services["web"].running_count(), 5);
    // The lowest id is always the oldest: chance leaves some of them alone.
    let oldest = state.live_instances().next().expect("there are five");
    let youngest_lost = state.container_instances.values().rfind(|instance| instance.terminated_at.is_some());
    assert!(youngest_lost.is_some_and(|lost| lost.id > oldest.id));
}

/// The shipped day: modelled work, a trace, both launch types and faults go through a day and end well.
#[test]
fn the_shipped_day_goes_by() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/day.toml");
    let mut spec = ClusterFile::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    spec.settings.run_for = Some(Duration::from_secs(3 * 3600));
    let mut simulation = Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated");
    simulation.run_to_end();
    let snapshot = simulation.snapshot();
    let reports = tasks(&simulation).iter().filter(|task| task.task_definition.family == "report").count();
    assert_eq!(reports, 12);
    for service in ["shop", "pictures"] {
        let jobs = snapshot.jobs[service];
        assert!(jobs.completed > 10_000 && jobs.completed * 100 >= jobs.pushed * 99, "{service}: {jobs:?}");
    }
    assert!(snapshot.bill().total.0 > 0 && simulation.state().is_empty());
}

/// Claim: messages that are lost, late or repeated change nothing in the end. Method: a cluster that scales and loses instances while one
/// message in five goes astray, over many seeds: its state stays sound, and when all has come its tasks are what they should be.
#[test]
fn messages_that_go_astray_are_survived() {
    for seed in 0..16 {
        let astray = "[simulation.messages]\nlost = 0.05\nlate = 0.1\nrepeated = 0.05\n\
                      delay = { exponential = { mean = \"4s\" } }\n[[fault]]\nkind = \"INSTANCE_FAILURE\"\n\
                      mean_time_between = \"10m\"\n";
        let mut simulation = simulation(&format!("{}{astray}", busy(seed)));
        for minute in 1..=69 {
            simulation.run_until(Timestamp(minute * 60_000_000_000), u64::MAX);
            simulation.state().check_invariants(longshore::model::ids::IdForm { seed });
        }
        let web = &simulation.state().services["web"];
        assert!(web.running_count() > 0, "seed {seed}: {} of {}", web.running_count(), web.spec.desired_count);
        simulation.run_to_end();
        assert!(simulation.state().is_empty(), "seed {seed}");
    }
}

/// Order, restarts and stop timeouts are the agent's in simulated time too: a first container that others wait for is over at once, one
/// that crashes is started again, and one that takes too long to stop is killed.
#[test]
fn containers_have_their_order_restarts_and_stop_timeouts() {
    let text = r#"
[cluster]
name = "order"
[settings]
run_for = "10m"
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
  [task_definition.simulation]
  cold_start = "2s"
  job_cpu = "10ms"
  stop = "1h"
  crash = { probability = 1, after = "3m", exit_code = 9 }
  [[task_definition.container]]
  name = "web"
  stop_timeout = "20s"
  depends_on = [{ container_name = "init", condition = "SUCCESS" }]
  restart_policy = { enabled = true, restart_attempt_period = "60s" }
  [[task_definition.container]]
  name = "init"
  essential = false
[[service]]
name = "web"
task_definition = "web"
desired_count = 1
launch_type = "FARGATE"
[[load]]
service = "web"
job = "x"
jobs_per_second = 1
"#;
    let mut simulation = simulation(text);
    simulation.run_to_end();
    let tasks = tasks(&simulation);
    let [task] = tasks.as_slice() else { panic!("one task: {tasks:?}") };
    let millis = |at: Option<Timestamp>| at.map(|at| at.0 / 1_000_000);
    assert_eq!((millis(task.started_at), millis(task.stopped_at)), (Some(4_000), Some(620_000)));
    assert_eq!((task.containers[0].restart_count, task.containers[1].exit.exit_code), (3, Some(0)));
    assert_eq!(task.containers[0].exit.exit_code, Some(137));
    let jobs = simulation.snapshot().jobs["web"];
    assert!(jobs.completed >= 580 && jobs.completed <= jobs.pushed, "{jobs:?}");
}
