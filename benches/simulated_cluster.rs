//! How many events a second does simulated time take in, does the cost of one grow with the cluster, and what does a task take of memory?
//!
//! `steady`: a service keeps its desired count of tasks that compute for a minute on average and end: everything is the control plane's,
//! from placement to the bill, and the data plane is modelled. Cases: (instances, tasks) from (10, 100) to (10,000, 1,000,000), each begun
//! and warmed up before it is measured; what is measured goes on from there in whole usage periods (10 s). An iteration is one event.
//!
//! An **event** is one fact that the control plane takes in through `ControlPlane::apply`: a step of a task (started, over), a deadline of
//! its own, a request, and a sample of what one task has used. Samples come together in one call once a period, as they do from the
//! agents of a real cluster; each of them is held against what was known of its task and goes into the utilisation of its service.
//! Whoever does not want to count them so finds the calls of `apply` beside it, in which all samples of a period are one; the time that
//! they take is in the time of both. Starts and stops of tasks that the control plane decides on are its actions, and no events.
//!
//! `memory`: what a modelled task that runs takes of a process, by its resident memory before and after there are so many, each case in a
//! process of its own.
//!
//! `day`: 100 services with a recorded trace as load, each with target tracking, on instances under managed scaling, for 24 hours. An
//! iteration is an hour of that day, and days are measured whole. Jobs arrive, wait and are computed one by one; no control plane hears
//! of most of them.
//!
//! The last lines are a table of all of it, with how many events were measured: of a million tasks those of some ten periods. On an idle
//! core all of it takes some three minutes and 4 GB.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::event_counts::EventCounts;
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::model::units::Timestamp;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Traces are named from here.
const CLUSTER_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clusters/bench.toml");
/// Stopped tasks that a cluster knows, by default.
const STOPPED_KEPT: u64 = 100_000;
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

/// What was measured of one case.
struct Row {
    instances: u64,
    tasks: u64,
    counts: EventCounts,
    /// Tasks that ended, each of which was replaced.
    ended: u64,
    /// That of the wall clock, and the process' own on a CPU: less than the former where others work on the same cores.
    time: Duration,
    cpu_time: Duration,
    bytes_per_task: Option<u64>,
}

impl Row {
    const HEAD: &str = "instances      tasks    events  events/s  events/CPU-s  CPU-ns/event   calls/s  samples/s  tasks/s  bytes/task";

    /// So many in a second of the wall clock.
    fn rate(&self, count: u64) -> u128 {
        u128::from(count) * 1_000_000_000 / self.time.as_nanos().max(1)
    }

    fn text(&self) -> String {
        let events = u128::from(self.counts.all().max(1));
        format!(
            "{:>9} {:>10} {:>9} {:>9} {:>13} {:>13} {:>9} {:>10} {:>8} {:>11}",
            self.instances,
            self.tasks,
            self.counts.all(),
            self.rate(self.counts.all()),
            events * 1_000_000_000 / self.cpu_time.as_nanos().max(1),
            self.cpu_time.as_nanos() / events,
            self.rate(self.counts.calls),
            self.rate(self.counts.usage_samples),
            self.rate(self.ended),
            self.bytes_per_task.map_or("?".to_owned(), |bytes| bytes.to_string()),
        )
    }
}

/// The time that this process has had a CPU.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("time goes forward")
}

fn steady(criterion: &mut Criterion) -> Vec<Row> {
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
    let mut rows = Vec::new();
    for (instances, tasks) in sizes {
        let mut running = None;
        let (mut time, mut cpu) = (Duration::ZERO, Duration::ZERO);
        let mut warmed_up = (EventCounts::default(), 0);
        group.bench_function(BenchmarkId::from_parameter(format!("{instances} instances, {tasks} tasks")), |bencher| {
            let simulation = running.get_or_insert_with(|| {
                let mut simulation = service(instances, tasks, "{ exponential = { mean = \"60s\" } }");
                // Each task was replaced once or twice, some have counted as healthy, and as many are over as are kept.
                while simulation.state().stopped_count < STOPPED_KEPT + tasks {
                    run_for(&mut simulation, USAGE_PERIOD);
                }
                warmed_up = (simulation.event_counts(), simulation.state().stopped_count);
                simulation
            });
            bencher.iter_custom(|iterations| {
                let (before, start, cpu_start) = (simulation.event_counts(), Instant::now(), cpu_time());
                let mut events = 0;
                while events < iterations {
                    run_for(simulation, USAGE_PERIOD);
                    events = simulation.event_counts().since(&before).all();
                }
                let taken = start.elapsed();
                cpu += cpu_time() - cpu_start;
                assert_eq!(simulation.state().live_count as u64, tasks, "the service keeps its count");
                time += taken;
                let share = u128::from(iterations) * taken.as_nanos() / u128::from(events);
                Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
            });
        });
        if let Some(simulation) = running {
            let counts = simulation.event_counts().since(&warmed_up.0);
            let ended = simulation.state().stopped_count - warmed_up.1;
            drop(simulation);
            let bytes_per_task = memory_of(instances, tasks);
            rows.push(Row { instances, tasks, counts, ended, time, cpu_time: cpu, bytes_per_task });
        }
    }
    group.finish();
    rows
}

/// The first argument of the process that measures what tasks take of memory.
const MEMORY: &str = "memory";

/// The process' resident memory in bytes; `None` where the system has no such file.
fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// What a task takes, in a process that has done nothing before.
fn memory_of(instances: u64, tasks: u64) -> Option<u64> {
    let program = std::env::current_exe().expect("a bench knows itself");
    let output = Command::new(program).args([MEMORY, &instances.to_string(), &tasks.to_string()]).output();
    let output = output.expect("it runs once more");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn measure_memory(instances: u64, tasks: u64) {
    // Whatever is read once is there already.
    drop(service(1, 1, "\"900h\""));
    let before = resident_bytes();
    let mut simulation = service(instances, tasks, "\"900h\"");
    run_for(&mut simulation, 12 * USAGE_PERIOD);
    assert_eq!(simulation.state().live_count as u64, tasks, "they all run");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        println!("{}", after.saturating_sub(before) / tasks);
    }
}

const SERVICES: u64 = 100;

/// A day that goes by.
struct Day {
    simulation: Simulation,
    hours: u64,
    /// Of the process itself, and of the wall clock.
    cpu: Duration,
    wall: Duration,
}

impl Day {
    fn begin(text: &str) -> Day {
        Day { simulation: simulation(text), hours: 0, cpu: Duration::ZERO, wall: Duration::ZERO }
    }

    /// Lets an hour go by and says how long that took.
    fn pass_hour(&mut self) -> Duration {
        let (start, cpu_start) = (Instant::now(), cpu_time());
        self.hours += 1;
        if self.is_over() {
            self.simulation.run_to_end();
        } else {
            run_for(&mut self.simulation, Duration::from_secs(3_600));
        }
        let taken = start.elapsed();
        self.wall += taken;
        self.cpu += cpu_time() - cpu_start;
        taken
    }

    fn is_over(&self) -> bool {
        self.hours == 24
    }

    /// What it took in all, once it is over.
    fn end(mut self) -> (Duration, Duration) {
        let (events, happenings) = (self.simulation.event_count(), self.simulation.happening_count());
        let jobs: u64 = self.simulation.snapshot().jobs.values().map(|jobs| jobs.completed).sum();
        assert!(self.simulation.now() > Timestamp::ZERO + Duration::from_secs(86_400), "the day is over");
        assert!(jobs > SERVICES * 50_000, "{jobs} jobs of {SERVICES} services");
        println!("a day: {jobs} jobs, {events} events, {happenings} happenings of the data plane in {:.2?}", self.wall);
        (self.cpu, self.wall)
    }
}

/// The times of the days that were measured: the process' own, and the wall clock's.
fn day(criterion: &mut Criterion) -> Vec<(Duration, Duration)> {
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
    let mut days = Vec::new();
    let mut today: Option<Day> = None;
    let mut group = criterion.benchmark_group("day");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(format!("an hour of {SERVICES} services"), |bencher| {
        bencher.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            for _ in 0..iterations {
                let day = today.get_or_insert_with(|| Day::begin(&text));
                time += day.pass_hour();
                if day.is_over() {
                    days.extend(today.take().map(Day::end));
                }
            }
            time
        });
    });
    group.finish();
    if let Some(mut day) = today {
        while !day.is_over() {
            day.pass_hour();
        }
        days.push(day.end());
    }
    days
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, instances, tasks] = arguments.as_slice()
        && first == MEMORY
    {
        let number = |text: &str| text.parse().expect("a number");
        measure_memory(number(instances), number(tasks));
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let rows = steady(&mut criterion);
    let mut days = day(&mut criterion);
    criterion.final_summary();
    if !rows.is_empty() {
        println!("{}", Row::HEAD);
    }
    for row in &rows {
        println!("{}", row.text());
    }
    days.sort();
    if let (Some(fastest), Some(median)) = (days.first(), days.get(days.len() / 2)) {
        let text = |(cpu, wall): &(Duration, Duration)| format!("{cpu:.2?} on a CPU, {wall:.2?} in all");
        println!("a day of 100 services: {} (the fastest of {}: {})", text(median), days.len(), text(fastest));
    }
}
