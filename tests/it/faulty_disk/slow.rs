//! A disk that takes its time.

use std::thread::Scope;
use std::time::Duration;

use crossbeam_channel::unbounded;
use longshore::control_plane::state::ClusterState;
use longshore::driver::running_cluster::RunningCluster;
use longshore::model::task::TaskStatus;
use longshore::store::StoreOptions;
use longshore::store::simulated::{FaultRates, Pace, SimulatedDisk};

use super::Host;
use crate::durability::{eventually, run_task, running, the_task};
use crate::plane::PATIENCE;

/// What a sync takes.
const TAKES: Duration = Duration::from_millis(50);
/// Who asks at once.
const CALLERS: usize = 64;

/// A cluster whose service runs, and which writes only where something happens.
fn start(disk: &SimulatedDisk) -> RunningCluster {
    let mut host = Host::new();
    host.spec.settings.usage_period = Duration::from_secs(3600);
    let cluster = host.start_in(disk, StoreOptions::default()).expect("it starts");
    eventually("two running tasks", || (running(&cluster).len() == 2).then_some(()));
    cluster
}

/// A disk whose syncs are held no longer than this lives, so that a test that fails ends.
struct Held<'a>(&'a SimulatedDisk);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        set(self.0, Pace::Immediate);
    }
}

fn set(disk: &SimulatedDisk, pace: Pace) {
    disk.fail(FaultRates { pace, ..FaultRates::default() });
}

/// Waits until the control loop's state is so, whoever may be told of it yet: a read is taken at once, and told with what it tells of.
#[track_caller]
fn until<'scope>(
    scope: &'scope Scope<'scope, '_>,
    cluster: &'scope RunningCluster,
    what: &str,
    is_so: impl Fn(&ClusterState) -> bool + Copy + Send + 'static,
) {
    let (sender, seen) = unbounded();
    eventually(what, || {
        let sender = sender.clone();
        scope.spawn(move || cluster.read(move |state, _| sender.send(is_so(state))));
        seen.recv_timeout(PATIENCE).expect("the loop is not blocked").then_some(())
    });
}

/// Claim: a request is answered when a sync is over that began after it was asked.
#[test]
fn an_answer_waits_for_its_sync() {
    let disk = SimulatedDisk::new(1);
    let cluster = start(&disk);
    set(&disk, Pace::Slow(TAKES));
    for _ in 0..5 {
        let asked_at = cluster.clock().now();
        let task = the_task(cluster.ask(run_task("job")));
        let took = cluster.clock().now().since(asked_at);
        assert!(took >= TAKES, "it was answered after {took:?}");
        assert!(cluster.task(task).expect("it is up").is_some());
    }
}

/// Claim: whatever comes while a sync is under way shares the next one, and nobody is answered before it is over. Method: a sync is held
/// until the loop has taken in all requests, and those that follow are counted.
#[test]
fn those_who_wait_share_a_sync() {
    let disk = SimulatedDisk::new(2);
    let cluster = start(&disk);
    let before = cluster.snapshot().expect("it is up").state.tasks.len();
    set(&disk, Pace::Held);
    std::thread::scope(|scope| {
        let _held = Held(&disk);
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| the_task(cluster.ask(run_task("job"))))).collect();
        until(scope, &cluster, "all requests in the loop", move |state| state.tasks.len() >= before + CALLERS);
        assert!(callers.iter().all(|caller| !caller.is_finished()), "somebody was answered before the sync was over");
        let syncs = disk.syncs();
        set(&disk, Pace::Slow(TAKES));
        assert!(callers.into_iter().all(|caller| caller.join().is_ok()));
        let syncs = usize::try_from(disk.syncs() - syncs).expect("they are few");
        assert!(syncs * 4 <= CALLERS, "{syncs} syncs for {CALLERS} requests");
    });
}

/// Claim: while a sync lasts everything but answers goes on: guests, what they report, and timers, each at its time. Method: a sync is
/// held, a guest ends meanwhile, and its service replaces the task after the delay of restarts.
#[test]
fn a_held_sync_holds_nothing_else() {
    let disk = SimulatedDisk::new(3);
    let cluster = start(&disk);
    let victim = running(&cluster)[0].id;
    set(&disk, Pace::Held);
    let held_at = cluster.clock().now();
    std::thread::scope(|scope| {
        let _held = Held(&disk);
        let asked = scope.spawn(|| the_task(cluster.ask(run_task("job"))));
        cluster.data_plane().crash_task(victim, 7);
        until(scope, &cluster, "a task in its place", move |state| {
            let mut tasks = state.tasks.values().map(|record| &record.task);
            tasks.any(|task| task.service.is_some() && task.created_at > held_at)
        });
        assert!(!asked.is_finished(), "it was answered before its sync was over");
        let released_at = cluster.clock().now();
        set(&disk, Pace::Immediate);
        asked.join().expect("it is granted");
        let ended = cluster.wait_for_task(victim).expect("it is up");
        assert_eq!(ended.last_status, TaskStatus::Stopped);
        let ended_at = ended.stopped_at.expect("it is over");
        assert!(ended_at > held_at && ended_at < released_at, "{held_at} {ended_at} {released_at}");
    });
}
