//! Targets of load balancers with all that they are made of: real guests in real time, and modelled and real ones in simulated time.

use std::fmt::Write as _;

use expect_test::expect;
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::event::{Request, UpdateService};
use longshore::driver::report::Report;
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::driver::snapshot::Snapshot;
use longshore::model::cluster::ClusterSpec;
use longshore::model::task::TaskStatus;
use longshore::model::units::Timestamp;
use longshore::{HostOptions, RunningCluster};

use crate::plane::PATIENCE;

/// A guest that sleeps for so many milliseconds over each job, half a minute over one that begins with `s`, and from its third one on for an
/// hour if it is to stall.
fn guest(millis: u64, stalls: bool) -> String {
    let stall = if stalls { 3 } else { u32::MAX };
    format!(
        r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    ;; Sixty-four bytes from 64 on are read into.
    (data (i32.const 0) "\40\00\00\00\40\00\00\00")
    (func $sleep (param $nanos i64)
      (i32.store (i32.const 208) (i32.const 1))
      (i64.store (i32.const 216) (local.get $nanos))
      (drop (call $poll (i32.const 192) (i32.const 256) (i32.const 1) (i32.const 320))))
    (func (export "_start") (local $jobs i32)
      (loop $next
        (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
        (if (i32.eqz (i32.load (i32.const 8))) (then (return)))
        (local.set $jobs (i32.add (local.get $jobs) (i32.const 1)))
        (call $sleep (i64.const {millis}000000))
        (if (i32.eq (i32.load8_u (i32.const 64)) (i32.const 115)) (then (call $sleep (i64.const 30000000000))))
        (if (i32.ge_u (local.get $jobs) (i32.const {stall})) (then (call $sleep (i64.const 3600000000000))))
        (br $next))))"#
    )
}

/// A service `web` of such guests in a target group, with such settings of the file, and such tables.
fn file(settings: &str, group: &str, count: u32, jobs_per_second: &str, more: &str) -> String {
    format!(
        r#"
[cluster]
name = "shop"
[settings]
{settings}
[[target_group]]
name = "web"
{group}
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
{more}
  [[task_definition.container]]
  name = "main"
  image = "guest.wat"
  port_mappings = [{{ container_port = 80 }}]
[[service]]
name = "web"
task_definition = "web"
desired_count = {count}
launch_type = "FARGATE"
load_balancers = [{{ target_group = "web", container_name = "main", container_port = 80 }}]
[[load]]
service = "web"
job = "x"
jobs_per_second = {jobs_per_second}
"#
    )
}

const SHORT: &str = "short_periods = true\nmetric_period = \"1s\"\nusage_period = \"100ms\"\nstop_timeout = \"50ms\"";

/// The specification of a file whose guest is this, and its folder.
fn spec(text: &str, guest: &str) -> (ClusterSpec, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("guest.wat"), guest).unwrap();
    let path = folder.path().join("cluster.toml");
    let spec = ClusterFile::parse(text, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
    (spec, folder)
}

/// Waits until something is true of a cluster.
#[track_caller]
fn wait(cluster: &RunningCluster, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
    for _ in 0..PATIENCE.as_millis() / 10 {
        let snapshot = cluster.snapshot().unwrap();
        if is_so(&snapshot) {
            return snapshot;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what}: {}", story(&cluster.snapshot().unwrap()));
}

fn has_said(snapshot: &Snapshot, what: &str) -> bool {
    snapshot.state.services["web"].events.iter().any(|event| event.message.contains(what))
}

/// The service's events, with tasks by their order and without the ids of target groups and deployments.
fn story(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for event in &snapshot.state.services["web"].events {
        let _ = writeln!(text, "{} {}", event.at, event.message);
    }
    for (index, task) in snapshot.state.tasks.keys().enumerate() {
        text = text.replace(&snapshot.ids.task(task), &format!("T{}", index + 1));
    }
    let arn = &snapshot.state.target_groups["web"].arn;
    let deployment = snapshot.state.services["web"].primary().shown_id.to_string();
    text.replace(&**arn, "web").replace(&deployment, "ecs-svc/1")
}

/// Why tasks were stopped, each reason once.
fn reasons(snapshot: &Snapshot) -> Vec<String> {
    let tasks = snapshot.state.tasks.values().map(|record| &record.task);
    let stopped = tasks.filter(|task| task.last_status == TaskStatus::Stopped);
    let arn = &snapshot.state.target_groups["web"].arn;
    let mut reasons: Vec<String> =
        stopped.filter_map(|task| Some(task.stopped_reason.as_deref()?.replace(&**arn, "web"))).collect();
    reasons.sort();
    reasons.dedup();
    reasons
}

const FAILED: &str = "Task failed ELB health checks in (target-group web)";

/// Claim: a real guest that takes no more jobs becomes unhealthy and is replaced, with ELB's reason. Method: guests that stall with their
/// third job in a cluster in real time.
#[test]
fn a_guest_that_stops_reading_is_replaced() {
    let group = "deregistration_delay = \"200ms\"\nhealth_check = { interval = \"200ms\", timeout = \"100ms\", healthy_threshold = 2 }";
    let (spec, _folder) = spec(&file(SHORT, group, 2, "20", ""), &guest(1, true));
    let cluster = RunningCluster::start(spec, HostOptions::default()).unwrap();
    let snapshot = wait(&cluster, "nobody was replaced", |snapshot| reasons(snapshot).iter().any(|why| why == FAILED));
    // One by one or together: that depends on how fast they read.
    for said in [") registered ", "is unhealthy in", "has begun draining connections on", ") deregistered "] {
        assert!(has_said(&snapshot, said), "{said}: {}", story(&snapshot));
    }
    assert!(snapshot.jobs["web"].completed >= 2, "{:?}", snapshot.jobs);
    drop(cluster);
}

/// Claim: a task that leaves its target group ends its job and gets no other, though its stop timeout is shorter than a job.
/// Method: guests that take 300 ms for a job, all of them busy, and a service that is scaled in.
#[test]
fn a_task_ends_its_job_before_it_stops() {
    let group = "health_check = { interval = \"1s\", timeout = \"900ms\" }";
    let (spec, _folder) = spec(&file(SHORT, group, 3, "30", ""), &guest(300, false));
    let cluster = RunningCluster::start(spec, HostOptions::default()).unwrap();
    wait(&cluster, "they do not become healthy", |snapshot| snapshot.state.services["web"].healthy_count() == 3);
    let update = UpdateService { service: "web".into(), desired_count: Some(1), ..UpdateService::default() };
    cluster.ask(Request::UpdateService(Box::new(update))).unwrap();
    let snapshot = wait(&cluster, "they do not stop", |snapshot| snapshot.state.stopped_count == 2);
    let jobs = snapshot.jobs["web"];
    assert_eq!((jobs.requeued, jobs.lost), (0, 0), "{}", story(&snapshot));
    assert!(has_said(&snapshot, "has begun draining connections on 2 tasks."), "{}", story(&snapshot));
    drop(cluster);
}

fn simulated(text: &str, guest: &str) -> Snapshot {
    let (spec, _folder) = spec(text, guest);
    let mut simulation = Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated");
    simulation.run_until(Timestamp(120_000_000_000), u64::MAX);
    simulation.snapshot()
}

/// Claim: a modelled task that holds a job for longer than its target may take is unhealthy, is replaced, and ends its job before it stops.
/// Method: one job of forty seconds among none, in simulated time.
#[test]
fn modelled_work_that_takes_too_long() {
    let work = "  [task_definition.simulation]\n  job_wait = \"40s\"";
    let text = file("", "health_check = { interval = \"10s\", timeout = \"4s\" }", 1, "0.02", work);
    let snapshot = simulated(&text, "(module)");
    expect![[r#"
        0.000s (service web) has started 1 tasks: (task T1).
        0.000s (service web) registered 1 targets in (target-group web)
        0.000s (service web) (deployment ecs-svc/1) deployment completed.
        0.000s (service web) has reached a steady state.
        64.000s (service web) (task T1) is unhealthy in (target-group web) due to (reason Request timed out)
        64.000s (service web) has started 1 tasks: (task T2).
        64.000s (service web) registered 1 targets in (target-group web)
        64.000s (service web) has stopped 1 running tasks: (task T1).
        64.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
        64.000s (service web) has reached a steady state.
        90.000s (service web) deregistered 1 targets in (target-group web)
        118.000s (service web) (task T2) is unhealthy in (target-group web) due to (reason Request timed out)
        118.000s (service web) has started 1 tasks: (task T3).
        118.000s (service web) registered 1 targets in (target-group web)
        118.000s (service web) has stopped 1 running tasks: (task T2).
        118.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
        118.000s (service web) has reached a steady state.
    "#]]
    .assert_eq(&story(&snapshot));
    assert_eq!(reasons(&snapshot), [FAILED]);
}

/// Claim: the same of real guests in simulated time. Method: guests that stall with their third job.
#[test]
fn a_guest_that_stalls_in_simulated_time() {
    let text = file(
        "",
        "deregistration_delay = \"20s\"\nhealth_check = { interval = \"10s\", timeout = \"4s\" }",
        1,
        "0.1",
        "",
    );
    let snapshot = simulated(&text, &guest(10, true));
    expect![[r#"
        0.000s (service web) has started 1 tasks: (task T1).
        0.000s (service web) registered 1 targets in (target-group web)
        4.000s (service web) (deployment ecs-svc/1) deployment completed.
        4.000s (service web) has reached a steady state.
        44.000s (service web) (task T1) is unhealthy in (target-group web) due to (reason Request timed out)
        44.000s (service web) has started 1 tasks: (task T2).
        44.000s (service web) registered 1 targets in (target-group web)
        48.000s (service web) has stopped 1 running tasks: (task T1).
        48.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
        48.000s (service web) has reached a steady state.
        68.000s (service web) deregistered 1 targets in (target-group web)
        78.000s (service web) (task T2) is unhealthy in (target-group web) due to (reason Request timed out)
        78.000s (service web) has started 1 tasks: (task T3).
        78.000s (service web) registered 1 targets in (target-group web)
        82.000s (service web) has stopped 1 running tasks: (task T2).
        82.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
        82.000s (service web) has reached a steady state.
        102.000s (service web) deregistered 1 targets in (target-group web)
        112.000s (service web) (task T3) is unhealthy in (target-group web) due to (reason Request timed out)
        112.000s (service web) has started 1 tasks: (task T4).
        112.000s (service web) registered 1 targets in (target-group web)
        116.000s (service web) has stopped 1 running tasks: (task T3).
        116.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
        116.000s (service web) has reached a steady state.
    "#]]
    .assert_eq(&story(&snapshot));
    assert_eq!(reasons(&snapshot), [FAILED]);
}

/// Claim: a target that is not healthy gets no jobs while another is, and gets some again when it is healthy. Method: two tasks, of which one
/// has a job of half a minute among quick ones and is left alone for its service's grace period; who works is seen by the fuel.
#[test]
fn jobs_go_to_healthy_targets() {
    let group = "health_check = { interval = \"10s\", timeout = \"4s\", healthy_threshold = 10 }";
    let text = file("usage_period = \"1s\"", group, 2, "1", "");
    let text = text.replace("desired_count", "health_check_grace_period_seconds = 1000\ndesired_count");
    let slow = "\n[[load]]\nservice = \"web\"\njob = \"slow\"\n\
                steps = [{ at = \"1s\", jobs_per_second = 1 }, { at = \"2s\", jobs_per_second = 0 }]\n";
    let (spec, _folder) = spec(&(text + slow), &guest(10, false));
    let mut simulation = Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated");
    let mut at = |seconds: u64| {
        simulation.run_until(Timestamp(seconds * 1_000_000_000), u64::MAX);
        let snapshot = simulation.snapshot();
        let states = snapshot.state.targets.values().map(|found| found.targets[0].state.as_str());
        let fuel = snapshot.state.tasks.values().map(|record| record.task.usage.fuel.0);
        (states.collect::<Vec<_>>(), fuel.collect::<Vec<_>>(), snapshot.jobs["web"])
    };
    let (states, before, _) = at(50);
    let slow = states.iter().position(|state| *state == "unhealthy").expect("one had the long job");
    assert_eq!(states[1 - slow], "healthy");
    let (states, meanwhile, _) = at(100);
    assert_eq!(states[slow], "unhealthy", "its tenth check in a row has not passed yet");
    assert_eq!(meanwhile[slow], before[slow], "it works though it is unhealthy");
    assert!(meanwhile[1 - slow] > before[1 - slow]);
    let (states, after, jobs) = at(250);
    assert_eq!(states, ["healthy", "healthy"]);
    assert!(after[slow] > meanwhile[slow], "it is healthy and gets nothing");
    assert!(jobs.queued <= 1 && jobs.completed > 200, "{jobs:?}");
}

/// Claim: what `run` and `simulate` write of a task says how it stands in its target groups. Method: the document of a simulation.
#[test]
fn the_document_shows_targets() {
    let text = file("", "", 1, "1", "");
    let snapshot = simulated(&text, &guest(10, false));
    let document = serde_json::to_value(Report::of(&snapshot)).unwrap();
    let targets = &document["tasks"][0]["targets"];
    let expected =
        serde_json::json!([{"target_group": "web", "state": "healthy", "reason": null, "description": null}]);
    assert_eq!(*targets, expected);
}
