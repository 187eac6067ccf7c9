//! Deployments that move traffic in simulated time: a cluster file in, who got how many jobs and what the deployment came to out.

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::model::deployment::ServiceDeploymentStatus;
use longshore::model::units::Timestamp;

use crate::command_line::{cluster_file, document, output};

/// A service that is updated after 30 s, by a canary of a tenth for a minute, when a hook that is a task has ended well.
fn canary() -> Simulation {
    let spec = ClusterFile::parse(&canary_file(), "cluster.toml", &Catalog::embedded());
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated")
}

fn canary_file() -> String {
    let definition = |family: &str, work: &str| {
        format!(
            "[[task_definition]]\nfamily = \"{family}\"\ncpu = \"256\"\nmemory = \"512\"\n\
             requires_compatibilities = [\"FARGATE\"]\n  [task_definition.simulation]\n  {work}\n\
             \x20 [[task_definition.container]]\n  name = \"main\"\n"
        )
    };
    let web = definition("web", "job_cpu = \"10ms\"");
    let check = definition("check", "duration = \"2s\"");
    format!(
        r#"
[cluster]
name = "canary"
[settings]
run_for = "10m"
{web}{web}{check}
[[service]]
name = "web"
task_definition = "web:1"
desired_count = 2
launch_type = "FARGATE"
  [service.deployment_configuration]
  strategy = "CANARY"
  canary_configuration = {{ canary_percent = 10, canary_bake_time_in_minutes = 1 }}
  bake_time_in_minutes = 0
  lifecycle_hooks = [{{ task_definition = "check", lifecycle_stages = ["POST_TEST_TRAFFIC_SHIFT"] }}]
[[load]]
service = "web"
job = "1"
jobs_per_second = 10
[[update_service]]
at = "30s"
service = "web"
task_definition = "web:2"
[[load]]
service = "web"
job = "t"
jobs_per_second = 5
traffic = "TEST"
"#
    )
}

fn status_at(simulation: &mut Simulation, seconds: u64) -> ServiceDeploymentStatus {
    simulation.run_until(Timestamp(seconds * 1_000_000_000), u64::MAX);
    simulation.state().services["web"].service_deployments.back().expect("it was updated").status
}

/// ecs-semantics §5.8: a hook that succeeds lets the canary go on, and no job is left behind by a move of traffic.
#[test]
fn a_canary_goes_well() {
    let mut simulation = canary();
    assert_eq!(status_at(&mut simulation, 400), ServiceDeploymentStatus::Successful);
    let jobs = simulation.snapshot().jobs["web"];
    assert_eq!((jobs.lost, jobs.queued), (0, 0));
    let revision = |id: u32| {
        let tasks = simulation.state().tasks.values().map(|record| &record.task);
        tasks.filter(|task| &*task.task_definition.family == "web" && task.task_definition.revision == id).count()
    };
    assert!(revision(2) >= 2, "the target's tasks are there");
}

/// ecs-semantics §5.8: test traffic goes to the target from its stage on, before any of the users' does; then the canary has its tenth, and
/// every job is counted with the deployment whose tasks did it.
#[test]
fn test_traffic_goes_to_the_target_first() {
    let mut simulation = canary();
    let (mut test_first, mut shares) = (0, Vec::new());
    for seconds in 1..400 {
        simulation.run_until(Timestamp(seconds * 1_000_000_000), u64::MAX);
        let snapshot = simulation.snapshot();
        let by_deployment: Vec<_> = snapshot.jobs_by_deployment["web"].iter().map(|(_, jobs)| jobs).collect();
        let sum: u64 = by_deployment.iter().map(|jobs| jobs.completed + jobs.completed_test).sum();
        assert_eq!(sum, snapshot.jobs["web"].completed);
        let Some(target) = by_deployment.get(1) else { continue };
        test_first += u64::from(target.completed == 0 && target.completed_test > 0);
        let weight = snapshot.state.services["web"].traffic.production.values().last().map(ToString::to_string);
        shares.push((weight, by_deployment[0], *target));
    }
    assert!(test_first >= 2, "the target had test traffic alone while its hook looked at it");
    // Over the minute of the canary: a tenth of ten jobs a second, and all test traffic.
    let in_canary: Vec<_> = shares.iter().filter(|(weight, ..)| weight.as_deref() == Some("10 %")).collect();
    let [(_, source_before, before), .., (_, source_after, after)] = &in_canary[..] else { panic!("{in_canary:?}") };
    let seconds = u64::try_from(in_canary.len()).expect("a minute") - 1;
    let completed = after.completed - before.completed;
    assert!((seconds * 6 / 10..=seconds * 14 / 10).contains(&completed), "{completed} in {seconds} s");
    assert!(source_after.completed - source_before.completed > seconds * 8);
    assert_eq!(source_after.completed_test, source_before.completed_test);
    assert!(after.completed_test - before.completed_test > seconds * 4);
}

/// The same is told to people and to programs, of each deployment with what it ran.
#[test]
fn jobs_are_told_by_deployment() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let file = cluster_file(folder.path(), &canary_file());
    let text = output(&["simulate", &file, "--for", "400s"]);
    let text = String::from_utf8(text.stdout).expect("it is text");
    let rows =
        text.lines().skip_while(|line| *line != "JOBS BY DEPLOYMENT").skip(1).take_while(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{text}");
    let definitions: Vec<&str> = rows[1..].iter().map(|row| row[2]).collect();
    assert_eq!(definitions, ["web:1", "web:2"], "{text}");
    let document = document(&output(&["simulate", &file, "--for", "400s", "--format", "json"]));
    let jobs = &document["services"][0]["jobs"];
    let by_deployment = jobs["by_deployment"].as_array().expect("there are two");
    for (row, told) in rows[1..].iter().zip(by_deployment) {
        let told = ["task_definition", "completed", "completed_test", "died"].map(|member| told[member].to_string());
        assert_eq!(told.map(|text| text.replace('"', "")), [row[2], row[3], row[4], row[5]]);
    }
    let sum = |member: &str| by_deployment.iter().filter_map(|one| one[member].as_u64()).sum::<u64>();
    assert_eq!(Some(sum("completed") + sum("completed_test")), jobs["completed"].as_u64());
}

/// A hook that looks at what it is asked about, and says no to revision 2.
const PARTICULAR: &str = r#"(module
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (local $at i32)
        (drop (call $sizes (i32.const 0) (i32.const 4)))
        (drop (call $get (i32.const 1024) (i32.const 4096)))
        (local.set $at (i32.const 4096))
        (loop $next
            ;; "eb:2"
            (if (i32.eq (i32.load (local.get $at)) (i32.const 0x323a6265)) (then (call $exit (i32.const 3))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $at) (i32.add (i32.const 4096) (i32.load (i32.const 4))))))))"#;

/// A service by blue and green that is updated after `updated_at` seconds, when a hook, a task, has looked at the new revision.
fn blue_green(folder: &std::path::Path, updated_at: u64) -> Simulation {
    std::fs::write(folder.join("particular.wat"), PARTICULAR).expect("the folder is writable");
    let web = "[[task_definition]]\nfamily = \"web\"\ncpu = \"256\"\nmemory = \"512\"\n\
               requires_compatibilities = [\"FARGATE\"]\ncontainer = [{ name = \"main\" }]\n\
               simulation = { job_cpu = \"10ms\" }\n";
    let text = format!(
        r#"
[cluster]
name = "blue-green"
[settings]
run_for = "10m"
{web}{web}
[[task_definition]]
family = "check"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [{{ name = "main", image = "particular.wat" }}]
[[service]]
name = "web"
task_definition = "web:1"
desired_count = 2
launch_type = "FARGATE"
  [service.deployment_configuration]
  strategy = "BLUE_GREEN"
  bake_time_in_minutes = 1
  lifecycle_hooks = [{{ task_definition = "check", lifecycle_stages = ["POST_SCALE_UP"] }}]
[[update_service]]
at = "{updated_at}s"
service = "web"
task_definition = "web:2"
"#
    );
    let file = ClusterFile::parse(&text, folder.join("cluster.toml"), &Catalog::embedded());
    let spec = file.unwrap_or_else(|errors| panic!("{errors}"));
    Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated")
}

/// How each of a service's deployments ended, and why.
fn ends(simulation: &Simulation) -> Vec<(&'static str, String)> {
    let records = simulation.state().services["web"].service_deployments.iter();
    records
        .map(|record| (record.status.as_str(), record.status_reason.as_deref().unwrap_or_default().to_owned()))
        .collect()
}

/// ecs-semantics §5.8: a hook that fails takes the deployment back to the one that has completed. Where none has, there is nothing to go
/// back to: tasks of the first deployment are not healthy before their 40 s.
#[test]
fn a_hook_that_fails_takes_the_deployment_back() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let ended = |updated_at: u64| {
        let mut simulation = blue_green(folder.path(), updated_at);
        simulation.run_until(Timestamp(400 * 1_000_000_000), u64::MAX);
        ends(&simulation)
    };
    let failed = "ECS deployment: lifecycle hook check in stage POST_SCALE_UP failed: exit code 3";
    let [first, second] = &ended(120)[..] else { panic!("two deployments were asked for") };
    assert_eq!(first.0, "SUCCESSFUL");
    assert_eq!(second.0, "ROLLBACK_SUCCESSFUL", "{}", second.1);
    assert!(second.1.starts_with(&format!("{failed}: rolling back to deploymentId ")), "{}", second.1);
    let [first, second] = &ended(30)[..] else { panic!("two deployments were asked for") };
    assert_eq!(*first, ("STOPPED", "A newer deployment started.".to_owned()));
    assert_eq!(second.0, "STOPPED");
    assert!(
        second.1.starts_with(&format!("{failed}. There is no completed deployment to roll back to. ")),
        "{}",
        second.1
    );
}
