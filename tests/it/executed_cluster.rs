//! Clusters in simulated time whose tasks run real guests: what they do is what the same guests do in real time, at the rate that their
//! share of the simulated vCPUs gives them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::{Digest, Simulation, SimulationOptions};
use longshore::model::task::{StopCode, Task};

use crate::guests;
use crate::plane::limits;

/// Simulates a cluster of real guests to its end.
fn simulated(text: &str) -> Simulation {
    let spec = ClusterFile::parse(text, "cluster.toml", &Catalog::embedded());
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    let options = SimulationOptions { digest: Digest::Kept, ..SimulationOptions::default() };
    let mut simulation = Simulation::new(&spec, options).expect("it can be simulated");
    simulation.run_to_end();
    simulation
}

fn tasks(simulation: &Simulation) -> Vec<&Task> {
    simulation.state().tasks.values().map(|record| &record.task).collect()
}

fn lasted_millis(task: &Task) -> u64 {
    let (started, stopped) = (task.started_at.expect("it has started"), task.stopped_at.expect("it is over"));
    u64::try_from(stopped.since(started).as_millis()).unwrap()
}

/// A task definition on Fargate with a quarter of a vCPU.
fn fargate(family: &str, containers: &str) -> String {
    format!(
        r#"
[[task_definition]]
family = "{family}"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
{containers}
"#
    )
}

fn container(name: &str, image: &str, more: &str) -> String {
    format!("  [[task_definition.container]]\n  name = \"{name}\"\n  image = \"{image}\"\n{more}\n")
}

fn guest(name: &str) -> String {
    guests::wasip1(name).display().to_string()
}

fn run_task(family: &str) -> String {
    format!("[[run_task]]\ntask_definition = \"{family}\"\nlaunch_type = \"FARGATE\"\n")
}

/// A cluster whose vCPUs burn a hundredth of the default in a second, so that long computations are short here.
fn cluster(settings: &str, rest: &[String]) -> String {
    format!("[cluster]\nname = \"one\"\n[settings]\nfuel_per_vcpu_second = 10000000\n{settings}\n{}", rest.concat())
}

fn longshore(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(arguments)
        .args(["--log-dir", folder.to_str().unwrap()])
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All files below a folder but the cache, with what is in them.
fn files(folder: &Path, found: &mut BTreeMap<String, String>, above: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let name = format!("{above}/{}", name.to_str().unwrap());
        if !path.is_dir() {
            found.insert(name, std::fs::read_to_string(path).unwrap());
        } else if name != "/cache" {
            files(&path, found, &name);
        }
    }
}

/// Claim: a simulation with real guests gives the same report and the same output, to the last byte, in two processes. Method: the
/// quickstart for a minute of simulated time, twice.
#[test]
fn the_quickstart_is_the_same_twice() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/quickstart.toml");
    let simulate = || {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["simulate", file.to_str().unwrap(), "--for", "60s", "--format", "json"];
        let mut report: serde_json::Value = serde_json::from_str(&longshore(&arguments, folder.path())).unwrap();
        report.as_object_mut().unwrap().remove("host");
        let mut written = BTreeMap::new();
        files(folder.path(), &mut written, "");
        (report, written)
    };
    let (once, twice) = (simulate(), simulate());
    assert!(once == twice, "{once:#?}\n{twice:#?}");
    let (report, written) = once;
    let tasks = report["tasks"].as_array().unwrap();
    let primes: Vec<_> = tasks.iter().filter(|task| task["family"] == "primes").collect();
    assert_eq!(primes.len(), 6);
    assert!(primes.iter().all(|task| task["containers"][0]["exit_code"] == 0), "{primes:#?}");
    let workers = tasks.len() - primes.len();
    assert!(workers > 2, "load has scaled it out: {workers}");
    assert!(written.len() == tasks.len(), "{:?}", written.keys());
    assert!(written.values().any(|text| text.contains(" done: ")), "{written:?}");
    let jobs = &report["simulation"]["jobs"]["web"]["latency_seconds"];
    assert!(jobs["count"].as_u64().unwrap() > 100, "{jobs}");
}

/// A service of real guests that takes jobs at random moments.
fn serving(seed: u32, image: &str, command: &str) -> String {
    let service = r#"
[[service]]
name = "web"
task_definition = "web"
desired_count = 2
launch_type = "FARGATE"
[[load]]
service = "web"
job = "1"
arrivals = "poisson"
jobs_per_second = 1
"#;
    let main = container("main", image, &format!("  command = {command}"));
    let settings = format!("seed = {seed}\nrun_for = \"2m\"");
    cluster(&settings, &[fargate("web", &main), service.to_owned()])
}

/// Claim: seed and file decide all events, with real guests too. Method: digests of many seeds, twice in one process each.
#[test]
fn digests_are_the_same_twice() {
    let mut digests = Vec::new();
    for seed in 0..8 {
        let digest = || simulated(&serving(seed, &guest("worker"), "[]")).digest().expect("it is kept");
        let once = digest();
        assert_eq!(once, digest(), "seed {seed}");
        digests.push(once);
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 8, "other seeds go other ways");
}

/// Claim: a guest that waits for a job or a moment, whichever comes first, has both. Method: one that works all ten seconds and drops the
/// lines that come meanwhile.
#[test]
fn jobs_come_to_whoever_waits_for_a_moment_too() {
    let simulation = simulated(&serving(1, &guest("pulse"), "[\"1\", \"10000\"]"));
    let jobs = &simulation.job_times("web").expect("it has load");
    assert!(jobs.0.count() > 80, "{}", jobs.0.count());
    for task in tasks(&simulation) {
        assert_eq!(task.containers[0].exit.exit_code, Some(0), "it heard of its end");
        // A burst is 9 M units of fuel.
        let bursts = task.usage.fuel.0 / 9_000_000;
        assert!((8..=12).contains(&bursts), "{bursts}");
    }
}

/// Claim: a guest that computes when it is to stop sees that as soon as it looks. Method: one that looks for the end of its input only between
/// bursts of several seconds, asked to stop in the middle of one.
#[test]
fn a_guest_that_computes_hears_of_its_end() {
    let main = container("main", &guest("pulse"), "  command = [\"2\", \"60000\"]");
    let simulation = simulated(&cluster("run_for = \"3s\"", &[fargate("pulse", &main), run_task("pulse")]));
    let task = tasks(&simulation)[0];
    assert_eq!(task.containers[0].exit.exit_code, Some(0), "{task:?}");
    assert!((4_000..20_000).contains(&lasted_millis(task)), "{}", lasted_millis(task));
}

/// Claim: how long a guest takes is its fuel over the rate that its share gives it, which changes as neighbours come and go. Method: on one
/// instance of two vCPUs, one guest alone; then two of weights 1 and 3 with two spinning neighbours that fill the rest.
#[test]
fn time_is_fuel_over_the_rate_of_its_share() {
    let on_instance = |weight: u32, image: &str, command: &str, at: &str| {
        format!(
            r#"
[[task_definition]]
family = "{at}-{weight}"
memory = "256"
{}
[[run_task]]
task_definition = "{at}-{weight}"
launch_type = "EC2"
at = "{at}"
"#,
            container("main", image, &format!("  cpu = {weight}\n  command = {command}"))
        )
    };
    let instance = "[[container_instance]]\ninstance_type = \"m7i.large\"\n".to_owned();
    let sieve = guest("sieve");
    let run = |tasks: &[String]| {
        let settings = "boot_time = \"1s\"\nrun_for = \"10m\"";
        simulated(&cluster(settings, &[std::slice::from_ref(&instance), tasks].concat()))
    };
    let alone = run(&[on_instance(128, &sieve, "[\"100000\", \"40\"]", "2s")]);
    let alone = tasks(&alone)[0];
    let work = alone.usage.vcpu.0 / 1_000_000;
    assert!(work > 1000 && lasted_millis(alone).abs_diff(work) <= 1, "{work} {}", lasted_millis(alone));
    // Two vCPUs by weight 1, 3, 4 and 4: the first has a sixth of a vCPU, the second half of one.
    let spin = limits("spin.wat");
    let shared = run(&[
        on_instance(128, &sieve, "[\"100000\", \"40\"]", "3s"),
        on_instance(384, &sieve, "[\"100000\", \"40\"]", "3s"),
        on_instance(512, &spin, "[]", "2s"),
        on_instance(512, &spin, "[]", "2500ms"),
    ]);
    let shared = tasks(&shared);
    let [_, spinner, first, second] = shared[..] else { panic!("{shared:?}") };
    assert!(lasted_millis(second).abs_diff(2 * work) <= 2, "{} {work}", lasted_millis(second));
    // When the second is done, the first has two thirds left and then two ninths of a vCPU.
    let expected = 2 * work + (work - work / 3) * 9 / 2;
    assert!(lasted_millis(first).abs_diff(expected) <= 3, "{} {expected}", lasted_millis(first));
    assert_eq!(first.usage.fuel, alone.usage.fuel);
    assert_eq!(spinner.stop_code, Some(StopCode::UserInitiated));
}

/// Claim: a guest that spins forever does not hang the simulation, has its quota and no more, and is killed after its stop timeout; one that
/// sleeps for days costs next to nothing. Method: both, for two simulated days of a vCPU that burns little.
#[test]
fn spinning_and_sleeping_for_days() {
    let text = cluster(
        "fuel_per_vcpu_second = 1000\nstop_timeout = \"20s\"\nrun_for = \"2d\"",
        &[
            fargate("spin", &container("main", &limits("spin.wat"), "")),
            fargate(
                "sleep",
                &container("main", &guest("fail"), "  command = [\"sleep-then\", \"1000000\", \"exit\", \"3\"]"),
            ),
            run_task("spin"),
            run_task("sleep"),
        ],
    );
    let text = text.replacen("fuel_per_vcpu_second = 10000000\n", "", 1);
    let simulation = simulated(&text);
    let tasks = tasks(&simulation);
    for task in &tasks {
        assert_eq!(task.containers[0].exit.exit_code, Some(137), "{task:?}");
        assert_eq!(lasted_millis(task), 172_820_000);
    }
    // A quarter of a vCPU for two days, and twenty seconds.
    let quota = 172_820u64 / 4;
    assert!((tasks[0].usage.vcpu.0 / 1_000_000_000).abs_diff(quota) <= 1, "{:?}", tasks[0].usage);
    assert!(tasks[1].usage.vcpu.0 < 1_000_000_000 * 60, "{:?}", tasks[1].usage);
    assert!(simulation.happening_count() < 20_000_000, "{}", simulation.happening_count());
}

/// Claim: order, health checks, restarts and ends are those of real time. Method: a container that waits for another one to succeed, with a
/// health check that a second guest runs, a restart, and guests that end by memory, by a trap and not at all.
#[test]
fn the_agent_is_the_same() {
    let fail = guest("fail");
    let checked = r#"  command = ["sleep-then", "30", "exit", "4"]
  depends_on = [{ container_name = "init", condition = "SUCCESS" }]
  restart_policy = { enabled = true, ignored_exit_codes = [0], restart_attempt_period = "60s" }
    [task_definition.container.health_check]
    command = ["CMD", "fail", "exit", "0"]
    interval = "5s""#;
    let init = "  essential = false\n  command = [\"sleep-then\", \"2\", \"exit\", \"0\"]";
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.wasm");
    std::fs::write(&broken, "no module").unwrap();
    let text = cluster(
        "run_for = \"5m\"",
        &[
            fargate("order", &[container("main", &fail, checked), container("init", &fail, init)].concat()),
            fargate("memory", &container("main", &fail, "  command = [\"memory\", \"600\"]")),
            fargate("trap", &container("main", &limits("trap.wat"), "")),
            fargate("broken", &container("main", broken.to_str().unwrap(), "")),
            run_task("order"),
            run_task("memory"),
            run_task("trap"),
            run_task("broken"),
        ],
    );
    let simulation = simulated(&text);
    let tasks = tasks(&simulation);
    let order = tasks[0];
    // Ended after 30 s, which is no reason to start it again: it has not run for its 60 s.
    assert_eq!(order.containers[0].exit.exit_code, Some(4));
    assert_eq!(order.containers[1].exit.exit_code, Some(0));
    assert!((32_000..32_100).contains(&(order.stopped_at.unwrap().0 / 1_000_000)), "{order:?}");
    assert_eq!(order.stop_code, Some(StopCode::EssentialContainerExited));
    let memory = &tasks[1].containers[0].exit;
    assert_eq!(memory.exit_code, Some(137), "{memory:?}");
    assert!(memory.reason.as_ref().unwrap().starts_with("OutOfMemoryError"));
    assert!(tasks[1].usage.memory_bytes_peak > 400 << 20 && tasks[1].usage.memory_bytes_peak <= 512 << 20);
    assert_eq!(tasks[2].containers[0].exit.exit_code, Some(134));
    assert_eq!(tasks[3].stop_code, Some(StopCode::TaskFailedToStart));
    assert!(tasks[3].stopped_reason.as_ref().unwrap().starts_with("CannotPullContainerError"));
}
