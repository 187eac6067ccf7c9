//! Tasks that crash and a bad revision by plan, the same cluster file in real time and in simulated time; and orders that are lost.

use std::path::Path;
use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::event::Request;
use longshore::driver::running_cluster::{End, ImagePull};
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::driver::snapshot::Snapshot;
use longshore::model::cluster::ClusterSpec;
use longshore::model::deployment::ServiceDeploymentStatus;
use longshore::model::task::{StopCode, Task, TaskStatus};
use longshore::model::units::Timestamp;
use longshore::{HostOptions, RunningCluster};

use crate::guests;
use crate::sandbox::ECHO;

fn parse(text: &str, path: &Path) -> ClusterSpec {
    ClusterFile::parse(text, path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn run(spec: ClusterSpec) -> Snapshot {
    let options = HostOptions { end: End::WhenDone, images: ImagePull::BeforeStart, ..HostOptions::default() };
    RunningCluster::start(spec, options).expect("the cluster starts").wait()
}

fn simulate(spec: &ClusterSpec) -> Snapshot {
    let mut simulation = Simulation::new(spec, SimulationOptions::default()).expect("it can be simulated");
    simulation.run_to_end();
    simulation.snapshot()
}

fn tasks<'a>(snapshot: &'a Snapshot, family: &str) -> Vec<&'a Task> {
    let tasks = snapshot.state.tasks.values().map(|record| &record.task);
    tasks.filter(|task| task.task_definition.family == family).collect()
}

/// How many tasks of a family ended with an exit code.
fn ended_with(snapshot: &Snapshot, family: &str, exit_code: i32) -> usize {
    tasks(snapshot, family).iter().filter(|task| task.containers[0].exit.exit_code == Some(exit_code)).count()
}

/// A service of two tasks with two containers, one whose container is restarted, and a batch task: at 1 s a task of each crashes.
fn crashing(folder: &Path) -> ClusterSpec {
    std::fs::write(folder.join("echo.wat"), ECHO).expect("the folder is writable");
    let definition = |family: &str, more: &str| {
        format!(
            "[[task_definition]]\nfamily = \"{family}\"\ncpu = \"256\"\nmemory = \"512\"\n\
             requires_compatibilities = [\"FARGATE\"]\n\
             [[task_definition.container]]\nname = \"main\"\nimage = \"echo.wat\"\n{more}\n"
        )
    };
    let service = |name: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\ntask_definition = \"{name}\"\ndesired_count = 2\nlaunch_type = \"FARGATE\"\n\
             [[load]]\nservice = \"{name}\"\njob = \"x\"\njobs_per_second = 20\n"
        )
    };
    let crash = |what: &str, exit_code: i32| {
        format!("[[fault]]\nat = \"1s\"\nkind = \"TASK_CRASH\"\n{what}\nexit_code = {exit_code}\n")
    };
    let text = [
        "[settings]\nhealthy_after = \"100ms\"\nrestart_delay_first = \"100ms\"\nstop_timeout = \"300ms\"\n\
         run_for = \"3s\"\nshort_periods = true\n"
            .to_owned(),
        definition("pair", "[[task_definition.container]]\nname = \"beside\"\nimage = \"echo.wat\""),
        definition("again", "restart_policy = { enabled = true, restart_attempt_period = \"10ms\" }"),
        definition("batch", ""),
        service("pair"),
        service("again"),
        "[[run_task]]\ntask_definition = \"batch\"\nlaunch_type = \"FARGATE\"\n".to_owned(),
        crash("service = \"pair\"", 17),
        crash("service = \"again\"\ncount = 5", 8),
        crash("task_definition = \"batch:1\"", 9),
        crash("task_definition = \"batch:1\"\nservice = \"pair\"", 10),
    ]
    .concat();
    parse(&text, &folder.join("cluster.toml"))
}

fn check_crashes(snapshot: &Snapshot) {
    let pairs = tasks(snapshot, "pair");
    assert_eq!((pairs.len(), ended_with(snapshot, "pair", 17)), (3, 1), "one crashes, and another takes its place");
    let crashed = pairs.iter().find(|task| task.containers[0].exit.exit_code == Some(17)).expect("it was counted");
    assert_eq!(crashed.stop_code, Some(StopCode::EssentialContainerExited));
    assert!(crashed.stopped_at.expect("it is over").elapsed() < Duration::from_secs(2));
    // The other container was asked to stop, and did so with its own code.
    assert_eq!(crashed.containers[1].exit.exit_code, Some(7));
    let again = tasks(snapshot, "again");
    assert_eq!(again.len(), 2, "containers that are restarted keep their tasks");
    assert!(again.iter().all(|task| task.containers[0].restart_count == 1));
    assert_eq!((tasks(snapshot, "batch").len(), ended_with(snapshot, "batch", 9)), (1, 1));
    assert_eq!(ended_with(snapshot, "pair", 10), 0, "no task is of both");
    // A job that a task died of is done by another.
    let jobs = snapshot.jobs["pair"];
    assert!(jobs.lost == 0 && jobs.completed > 40, "{jobs:?}");
}

/// A crash ends the first essential container with its exit code, of as many tasks as it says, of the service and the family that
/// it says; what follows is what follows from any such end (ecs-semantics §1.5.2, §2.2, §2.4). In both times.
#[test]
fn tasks_crash_by_plan() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    check_crashes(&simulate(&crashing(folder.path())));
    check_crashes(&run(crashing(folder.path())));
}

fn check_breaker(snapshot: &Snapshot) {
    assert_eq!(ended_with(snapshot, "web", 70), 2, "two crash");
    let service = &snapshot.state.services["web"];
    let ends: Vec<ServiceDeploymentStatus> = service.service_deployments.iter().map(|record| record.status).collect();
    assert_eq!(ends, [ServiceDeploymentStatus::Successful, ServiceDeploymentStatus::RollbackSuccessful]);
    let bad = tasks(snapshot, "web").into_iter().filter(|task| task.task_definition.revision == 2);
    let codes: Vec<Option<i32>> = bad.map(|task| task.containers[0].exit.exit_code).collect();
    assert!(codes.len() >= 3 && codes.iter().filter(|code| **code == Some(1)).count() >= 3, "{codes:?}");
    assert_eq!(service.primary().task_definition.revision, 1);
    // Four of revision 1 from the start and two in place of those that crashed: the bad revision cost none of them.
    let good = tasks(snapshot, "web").into_iter().filter(|task| task.task_definition.revision == 1).count();
    assert_eq!(good, 6);
    assert_eq!(snapshot.jobs["web"].lost, 0);
}

/// ecs-semantics §5.7: a bad revision that is deployed by plan is taken back by the circuit breaker. `clusters/breaker.toml` shows it, in
/// both times.
#[test]
fn a_bad_revision_by_plan_is_taken_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/breaker.toml");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let built = |name: &str| guests::wasip1(name).display().to_string();
    let text = text.replace("../workloads/worker", &built("worker")).replace("../workloads/fail", &built("fail"));
    let spec = parse(&text, &path);
    check_breaker(&simulate(&spec));
    check_breaker(&run(spec));
}

/// Claim: what the control plane asks for and what is lost on the way comes when it is sent again, and a task whose StopTask was faster than
/// its StartTask never runs. Method: all messages are lost once, then none.
#[test]
fn lost_orders_are_sent_again() {
    let text = "[settings]\nrun_for = \"1h\"\n[simulation.actions]\nlost = 1\nresent_after = \"10s\"\n\
                [[task_definition]]\nfamily = \"job\"\ncpu = \"256\"\nmemory = \"512\"\n\
                requires_compatibilities = [\"FARGATE\"]\nsimulation = { cpu = 100 }\ncontainer = [{ name = \"main\" }]\n\
                [[run_task]]\ntask_definition = \"job\"\nlaunch_type = \"FARGATE\"\ncount = 2\n";
    let spec = parse(text, Path::new("cluster.toml"));
    let mut simulation = Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated");
    let statuses = |simulation: &mut Simulation, millis: u64| {
        simulation.run_until(Timestamp(millis * 1_000_000), u64::MAX);
        let tasks = simulation.state().tasks.values();
        tasks.map(|record| (record.task.last_status, record.task.started_at.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&mut simulation, 9_999), [(TaskStatus::Pending, false); 2]);
    // From here on nothing is lost: the StopTask of the second comes at once, before its StartTask.
    simulation.heal();
    let second = *simulation.state().tasks.values().map(|record| &record.task.id).next_back().expect("there are two");
    simulation.request(Request::StopTask { task: second, reason: None }).expect("it is known");
    assert_eq!(statuses(&mut simulation, 9_999), [(TaskStatus::Pending, false), (TaskStatus::Stopping, false)]);
    assert_eq!(statuses(&mut simulation, 10_001), [(TaskStatus::Running, true), (TaskStatus::Stopped, false)]);
    assert_eq!(statuses(&mut simulation, 60_000), [(TaskStatus::Running, true), (TaskStatus::Stopped, false)]);
}
