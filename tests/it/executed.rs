//! Real guests in simulated time, step by step: what they do depends on the image, the seed and the moments at which they are asked,
//! and on nothing of the host.

use std::sync::Arc;
use std::time::Duration;

use longshore::control_plane::action::{TaskHost, TaskStart};
use longshore::data_plane::DataPlaneOptions;
use longshore::data_plane::clock::Clock;
use longshore::data_plane::executed::{ExecutedContainer, ExecutedTask, ExecutedWork};
use longshore::model::ids::TaskId;
use longshore::model::task::{ContainerExit, TaskOverrides};
use longshore::model::task_definition::{ContainerDefinition, HealthCheck, TaskDefinition, VersionConsistency, Volume};
use longshore::model::units::{Fuel, Timestamp, VcpuNanos};
use longshore::model::work::{Step, StepEnd};

use crate::guests;
use crate::plane::{container, definition, limits};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
const CALENDAR: &str = "2030-01-02T03:04:05Z";

fn work_of(seed: u64) -> Arc<ExecutedWork> {
    let work = ExecutedWork::start(&DataPlaneOptions::default(), seed, CALENDAR.parse().unwrap());
    Arc::new(work.expect("the engine starts"))
}

fn start_of(definition: TaskDefinition) -> Arc<TaskStart> {
    Arc::new(TaskStart {
        task: TaskId(7),
        task_definition: Arc::new(definition),
        overrides: Arc::new(TaskOverrides::default()),
        host: TaskHost::Fargate,
        service: None,
        deployment: None,
        version_consistency: VersionConsistency::Enabled,
        stop_timeout: Duration::from_secs(30),
        targets: Vec::new(),
    })
}

fn task(work: &Arc<ExecutedWork>, definition: TaskDefinition) -> ExecutedTask {
    let bytes = definition.memory.expect("it has a limit").bytes();
    ExecutedTask::new(work, &start_of(definition), bytes, Timestamp::ZERO).expect("it can start")
}

fn command(image: &str, words: &[&str]) -> ContainerDefinition {
    ContainerDefinition { command: words.iter().map(|word| (*word).to_owned()).collect(), ..container(image) }
}

fn guest(name: &str, words: &[&str]) -> TaskDefinition {
    definition(vec![command(&guests::wasip1(name).display().to_string(), words)])
}

fn component(name: &str, words: &[&str]) -> TaskDefinition {
    definition(vec![command(&guests::wasip2(name).display().to_string(), words)])
}

/// A module of WebAssembly text, in a folder that has to outlive it.
fn module(text: &str) -> (tempfile::TempDir, TaskDefinition) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("module.wat");
    std::fs::write(&path, text).unwrap();
    let definition = definition(vec![container(&path.display().to_string())]);
    (folder, definition)
}

/// What became of a guest.
#[derive(Debug, PartialEq)]
struct Ran {
    /// Steps with the moments at which they began.
    steps: Vec<(u64, Step)>,
    ended_at: u64,
    exit: Option<ContainerExit>,
    fuel: Fuel,
    stdout: String,
    stderr: String,
}

impl std::fmt::Display for Ran {
    /// The first of its steps, and how it ended.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first: Vec<_> = self.steps.iter().take(20).collect();
        write!(f, "{} steps: {first:?}; {:?} at {}, {:?}", self.steps.len(), self.exit, self.ended_at, self.fuel)?;
        write!(f, "\n{}\n{}", self.stdout, self.stderr)
    }
}

/// A world with one vCPU of so many thousandths, jobs that all wait from the beginning, and the end of input after them.
struct World<'a> {
    speed_permille: u64,
    jobs: &'a [&'a str],
    steps_max: usize,
}

const ALONE: World<'_> = World { speed_permille: 1000, jobs: &[], steps_max: 100_000 };

impl World<'_> {
    fn run(&self, mut task: ExecutedTask) -> Ran {
        let container = task.start_container(0, Timestamp::ZERO);
        let (steps, ended_at, exit) = self.drive(container);
        let (logs, usage) = (task.logs(0), task.usage(Timestamp(ended_at)));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { steps, ended_at, exit, fuel: usage.fuel, stdout: text(logs.stdout), stderr: text(logs.stderr) }
    }

    fn drive(&self, mut container: ExecutedContainer) -> (Vec<(u64, Step)>, u64, Option<ContainerExit>) {
        let (mut now, mut end, mut steps) = (0, StepEnd::Began, Vec::new());
        let mut jobs = self.jobs.iter();
        while steps.len() < self.steps_max {
            let step = container.next_step(Timestamp(now), end);
            steps.push((now, step.clone()));
            end = StepEnd::Done;
            match step {
                Step::Cpu(work) => now += work.0 * 1000 / self.speed_permille,
                Step::SleepUntil(until) | Step::WaitForJobUntil(until) => now = now.max(until.0),
                Step::WaitForJob => {
                    end = match jobs.next() {
                        Some(job) => StepEnd::Job((*job).into()),
                        None => StepEnd::EndOfInput,
                    }
                }
                Step::Exit(exit) => return (steps, now, Some(exit)),
            }
        }
        (steps, now, None)
    }
}

fn exit_code(ran: &Ran) -> Option<i32> {
    ran.exit.as_ref().expect("it has ended").exit_code
}

fn cpu_of(ran: &Ran) -> u64 {
    let cpu = ran.steps.iter().map(|(_, step)| if let Step::Cpu(work) = step { work.0 } else { 0 });
    cpu.sum()
}

/// Claim: two simulations of the same guest have the same steps, fuel and output, to the last digit. Method: programs that compute, write,
/// draw random numbers (a hash map's, in the standard library) and read their clock; modules and components.
#[test]
fn the_same_guest_does_the_same_twice() {
    let definitions: [fn() -> TaskDefinition; 5] = [
        || guest("sieve", &["20000"]),
        || guest("pulse", &["1", "50", "5"]),
        || guest("fail", &["panic"]),
        || component("pulse", &["1", "50", "5"]),
        || component("hello", &[]),
    ];
    for definition in definitions {
        let run = || ALONE.run(task(&work_of(3), definition()));
        let (once, twice) = (run(), run());
        assert_eq!(once, twice);
        assert!(
            once.fuel.0 > 0 && cpu_of(&once) > 0 && !(once.stdout.is_empty() && once.stderr.is_empty()),
            "{once:?}"
        );
    }
}

/// Claim: CPU time is fuel at the cluster's rate plus a microsecond a host call. Method: a loop whose fuel is known.
#[test]
fn work_is_fuel_at_the_clusters_rate() {
    let (_folder, definition) = module(
        r#"(module (memory (export "memory") 1) (func (export "_start") (local i32)
            (local.set 0 (i32.const 1000000))
            (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#,
    );
    let run = |fuel_per_vcpu_second| {
        let options = DataPlaneOptions {
            fuel_rate: longshore::model::settings::FuelRate::PerVcpuSecond(Fuel(fuel_per_vcpu_second)),
            ..DataPlaneOptions::default()
        };
        let work = Arc::new(ExecutedWork::start(&options, 0, CALENDAR.parse().unwrap()).unwrap());
        ALONE.run(task(&work, definition.clone()))
    };
    for (rate, nanos_a_unit) in [(SECOND, 1), (SECOND / 10, 10)] {
        let ran = run(rate);
        let host_calls = cpu_of(&ran) - ran.fuel.0 * nanos_a_unit;
        assert!(ran.fuel.0 > 4_000_000 && host_calls < 20_000, "{ran}");
    }
}

/// Claim: the guest's clocks are the simulation's, and go on while it computes. Method: a guest that waits for its clock to pass two
/// seconds without sleeping ends at two seconds, in slices of 10 ms, and its calendar is the simulation's.
#[test]
fn clocks_are_the_simulations() {
    let (_folder, definition) = module(
        r#"(module
            (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start")
                ;; The calendar, in seconds since 2030-01-02.
                (drop (call $time (i32.const 0) (i64.const 0) (i32.const 8)))
                (loop $again
                    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0)))
                    (br_if $again (i64.lt_u (i64.load (i32.const 0)) (i64.const 2000000000))))
                (call $exit (i32.wrap_i64 (i64.sub
                    (i64.div_u (i64.load (i32.const 8)) (i64.const 1000000000))
                    (i64.const 1893553445))))))"#,
    );
    let ran = ALONE.run(task(&work_of(0), definition.clone()));
    assert_eq!(exit_code(&ran), Some(0), "{:?}", ran.exit);
    assert!((2 * SECOND..2 * SECOND + 10_000).contains(&ran.ended_at), "{}", ran.ended_at);
    assert!((200..=210).contains(&ran.steps.len()), "{}", ran.steps.len());
    // With a tenth of a vCPU the same clock is reached after a tenth of the work.
    let slow = World { speed_permille: 100, ..ALONE }.run(task(&work_of(0), definition));
    assert!((2 * SECOND..2 * SECOND + 200_000_000).contains(&slow.ended_at), "{}", slow.ended_at);
    assert!(cpu_of(&slow) < SECOND / 4, "{}", cpu_of(&slow));
}

/// Claim: random numbers are the seed's: the same in the same simulation, others with another seed, in another task's container and after
/// a restart. Method: a guest whose exit code is drawn, and a longer draw of another one.
#[test]
fn random_numbers_are_the_seeds() {
    let (_folder, definition) = module(
        r#"(module
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start") (local i32)
                (drop (call $random (i32.const 64) (i32.const 32)))
                ;; As letters.
                (loop $again
                    (i32.store8 offset=64 (local.get 0)
                        (i32.add (i32.const 97) (i32.and (i32.load8_u offset=64 (local.get 0)) (i32.const 15))))
                    (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get 0) (i32.const 32))))
                (i32.store (i32.const 0) (i32.const 64))
                (i32.store (i32.const 4) (i32.const 32))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
    );
    let drawn = |seed| {
        let mut two = definition.clone();
        two.containers.push(two.containers[0].clone());
        let mut task = task(&work_of(seed), two);
        let mut drawn = Vec::new();
        for index in [0, 1, 0] {
            let container = task.start_container(index, Timestamp::ZERO);
            ALONE.drive(container);
            let stdout = String::from_utf8(task.logs(index).stdout).unwrap();
            drawn.push(stdout[stdout.len() - 32..].to_owned());
        }
        drawn
    };
    let (once, twice, other) = (drawn(1), drawn(1), drawn(2));
    assert_eq!(once, twice);
    let mut all = [once, other].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6, "{all:?}");
}

/// Claim: sleep is a step, and takes no time of the host. Method: a module and a component that sleep for a simulated hour and day end at
/// that moment; the real time that it takes is bounded by what a host may need to start them.
#[test]
fn sleep_is_simulated() {
    let hour = ALONE.run(task(&work_of(0), definition(vec![container(&limits("sleep.wat"))])));
    assert_eq!(exit_code(&hour), Some(0));
    assert_eq!(hour.ended_at / 1_000_000, 3_600_000, "{hour}");
    let began = Clock::start_now();
    for definition in
        [guest("fail", &["sleep-then", "86400", "exit", "3"]), component("fail", &["sleep-then", "86400", "exit", "0"])]
    {
        let day = ALONE.run(task(&work_of(0), definition));
        assert!(day.ended_at >= DAY && day.ended_at < DAY + 10_000_000, "{day}");
        assert!(day.steps.iter().any(|(_, step)| matches!(step, Step::SleepUntil(_))), "{day}");
        assert!(day.steps.len() < 10, "{day}");
    }
    assert!(began.now() < Timestamp(60 * SECOND));
}

/// Claim: a time from now counts from when the work before it is done. Method: a guest that works and sleeps in turn, with a tenth of a vCPU.
#[test]
fn sleep_begins_when_the_work_before_it_is_done() {
    let world = World { speed_permille: 100, ..ALONE };
    let ran = world.run(task(&work_of(0), guest("pulse", &["2", "1000", "4"])));
    assert_eq!(exit_code(&ran), Some(0));
    let sleeps = ran.steps.iter().filter_map(|(at, step)| match step {
        Step::WaitForJobUntil(until) => Some(until.0 - at),
        _ => None,
    });
    let sleeps = sleeps.collect::<Vec<u64>>();
    assert_eq!(sleeps.len(), 3, "{ran}");
    // The guest asks for the time, works a little more, and rounds to a whole millisecond.
    assert!(sleeps.iter().all(|sleep| (990_000_000..=1_001_000_000).contains(sleep)), "{sleeps:?}");
}

/// Claim: a guest that spins gives way after each 10 ms of work, and can be ended between. Method: the spinning guest, a guest that only
/// calls the host, and one that asks for much.
#[test]
fn a_spinning_guest_yields_slices() {
    let began = Clock::start_now();
    for name in ["spin.wat", "host_calls.wat", "random_flood.wat", "flood_stdout.wat"] {
        let world = World { steps_max: 20, ..ALONE };
        let ran = world.run(task(&work_of(0), definition(vec![container(&limits(name))])));
        assert_eq!(ran.exit, None);
        for (_, step) in &ran.steps {
            let Step::Cpu(work) = step else { panic!("{name}: {step:?}") };
            assert!((9_000_000..15_000_000).contains(&work.0), "{name}: {work:?}");
        }
    }
    assert!(began.now() < Timestamp(60 * SECOND), "{}", began.now());
}

/// Claim: limits and ends are those of real time. Method: guests that trap, exit, and outgrow the task's memory.
#[test]
fn ends_are_those_of_real_time() {
    let ends = |definition| ALONE.run(task(&work_of(0), definition));
    let trap = ends(definition(vec![container(&limits("trap.wat"))])).exit.unwrap();
    assert_eq!(trap.exit_code, Some(134));
    assert!(trap.reason.unwrap().contains("unreachable"));
    let exit = ends(definition(vec![container(&limits("exit_3.wat"))]));
    assert_eq!(exit_code(&exit), Some(3));
    for name in ["grow.wat", "two_memories.wat"] {
        let grown = ends(definition(vec![container(&limits(name))])).exit.unwrap();
        assert_eq!(grown.exit_code, Some(137));
        assert!(grown.reason.unwrap().starts_with("OutOfMemoryError"));
    }
}

/// Claim: containers of a task share its memory. Method: two that hold 40 MiB in a task of 64.
#[test]
fn containers_share_the_memory_of_their_task() {
    let image = limits("hold_40mib.wat");
    let mut task = task(&work_of(0), definition(vec![container(&image), container(&image)]));
    let mut first = task.start_container(0, Timestamp::ZERO);
    while matches!(first.next_step(Timestamp::ZERO, StepEnd::Done), Step::Cpu(_)) {}
    let second = task.start_container(1, Timestamp::ZERO);
    let (_, _, exit) = ALONE.drive(second);
    assert_eq!(exit.unwrap().exit_code, Some(137));
    let held = task.usage(Timestamp(SECOND));
    assert!(held.memory_bytes >= 40 << 20 && held.memory_bytes < 64 << 20, "{held:?}");
    drop(first);
    assert_eq!(task.usage(Timestamp(SECOND)).memory_bytes, 0);
}

/// Claim: jobs are handed over one by one, each when the work of the one before is done; the end of input ends the worker. Method: three
/// jobs, the second twice as long as the first.
#[test]
fn jobs_come_one_by_one() {
    let world = World { jobs: &["10", "20", "10"], speed_permille: 250, ..ALONE };
    let ran = world.run(task(&work_of(0), guest("worker", &[])));
    assert_eq!(exit_code(&ran), Some(0));
    assert!(ran.stdout.ends_with("worker: 3 jobs\n"), "{}", ran.stdout);
    let asked: Vec<u64> = ran.steps.iter().filter(|(_, step)| *step == Step::WaitForJob).map(|(at, _)| *at).collect();
    let took: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(took.len(), 3, "{ran}");
    let ratio = took[1] * 100 / took[0];
    assert!((195..=205).contains(&ratio), "{took:?}");
    // 1.3 M of fuel a round, at a quarter of a vCPU.
    assert!((45_000_000..60_000_000).contains(&took[0]), "{took:?}");
}

/// Claim: a guest that waits for input or a moment hears the end of input at once. Method: the end comes in the middle of a sleep.
#[test]
fn the_end_of_input_ends_a_wait() {
    for definition in [guest("pulse", &["1", "60000"]), component("pulse", &["1", "60000"])] {
        let mut task = task(&work_of(0), definition);
        let mut container = task.start_container(0, Timestamp::ZERO);
        let mut now = 0;
        let until = loop {
            match container.next_step(Timestamp(now), StepEnd::Done) {
                Step::Cpu(work) => now += work.0,
                Step::WaitForJobUntil(until) => break until,
                other => panic!("{other:?}"),
            }
        };
        assert!(until > Timestamp(60 * SECOND));
        now = SECOND;
        let mut step = container.next_step(Timestamp(now), StepEnd::EndOfInput);
        while let Step::Cpu(work) = step {
            now += work.0;
            step = container.next_step(Timestamp(now), StepEnd::Done);
        }
        assert_eq!(step, Step::Exit(ContainerExit { exit_code: Some(0), reason: None }));
        assert!(now < SECOND + 10_000_000);
        assert!(String::from_utf8(task.logs(0).stdout).unwrap().ends_with("pulse: 1 bursts\n"));
    }
}

/// Claim: a container that starts again has its earlier output, its task's fuel goes on, and a health check runs beside it with an output
/// of its own. Method: both, of one container.
#[test]
fn restarts_and_health_checks() {
    let mut definition = guest("probe", &[]);
    let check =
        HealthCheck { command: ["CMD", "probe", "--check"].map(str::to_owned).to_vec(), ..HealthCheck::default() };
    definition.containers[0].health_check = Some(check);
    let mut task = task(&work_of(0), definition);
    let mut fuel = Vec::new();
    for _ in 0..2 {
        let container = task.start_container(0, Timestamp::ZERO);
        let (_, _, exit) = ALONE.drive(container);
        assert_eq!(exit.unwrap().exit_code, Some(0));
        fuel.push(task.usage(Timestamp::ZERO).fuel.0);
    }
    assert_eq!(fuel[1], 2 * fuel[0]);
    assert_eq!(String::from_utf8(task.logs(0).stdout).unwrap().lines().count(), 2);
    let check = task.start_check(0, Timestamp::ZERO).expect("it has one");
    let (_, _, exit) = ALONE.drive(check);
    assert_eq!(exit.unwrap().exit_code, Some(0));
    assert!(!String::from_utf8(task.logs(0).stdout).unwrap().contains("--check"));
    assert!(task.usage(Timestamp::ZERO).vcpu > VcpuNanos(fuel[1]));
}

/// Claim: volumes work, files are as old as the simulation, and those of a task's own are gone with it; what is missing is the reason why a task does not start. Method: a guest
/// that writes and reads, as a module and as a component; an image that is not there.
#[test]
fn volumes_and_what_cannot_start() {
    let volumes = |mut definition: TaskDefinition| {
        definition.volumes = vec![Volume { name: "data".to_owned(), host_source_path: None }];
        definition.containers[0].mount_points = vec![longshore::model::task_definition::MountPoint {
            source_volume: "data".to_owned(),
            container_path: "/data".to_owned(),
            access: longshore::model::task_definition::VolumeAccess::ReadWrite,
        }];
        definition
    };
    let words = ["--write", "/data/a", "--open", "/data/a", "--open", "/data", "--age", "/data/a"];
    for definition in [guest("probe", &words), component("probe", &words)] {
        let run = || ALONE.run(task(&work_of(0), volumes(definition.clone())));
        let (once, twice) = (run(), run());
        assert_eq!(once, twice);
        assert!(once.stdout.contains("\"modified\": 1893553445, \"twice\": true"), "{}", once.stdout);
        assert!(once.stdout.contains("written by probe") && once.stdout.contains("[\"a\"]"), "{}", once.stdout);
    }
    let missing = start_of(definition(vec![container("there-is-no-such.wasm")]));
    let error = ExecutedTask::new(&work_of(0), &missing, 1 << 20, Timestamp::ZERO).unwrap_err();
    assert!(error.starts_with("CannotPullContainerError: "), "{error}");
}
