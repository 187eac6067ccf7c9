//! A cluster and its ledger on a disk in memory that does what the worst of disks do, and on one that is slow.
//!
//! The log alone is held against such a disk in `store::tests`; here it is the whole way from a request to its answer, and to the bill.

mod slow;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::Receiver;
use longshore::control_plane::action::{Notification, Response};
use longshore::control_plane::event::{Request, UpdateService};
use longshore::data_plane::{DataPlaneOptions, ImageStore};
use longshore::driver::ledger::bill::LedgerBill;
use longshore::driver::ledger::reader::LedgerReader;
use longshore::driver::running_cluster::{AskError, DataDirectory, HostOptions, Notice, RunningCluster, StartError};
use longshore::metering::bill::Bill;
use longshore::metering::history::Detail;
use longshore::metering::stretch::Span;
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::TaskId;
use longshore::model::rng::{Draws, Stream};
use longshore::model::task::{DesiredStatus, Task, TaskStatus};
use longshore::store::simulated::{FaultRates, SimulatedDisk};
use longshore::store::{Disk, OpenError, Store, StoreOptions};

use crate::durability::{run_task, spec, the_task};

/// Processes of each cluster that the power is taken from, one after the other.
const PROCESSES: u64 = 3;
/// Seeds at once: most of the time is waiting.
const AT_ONCE: u64 = 12;
/// Segments and snapshots are small, so that they come and go.
const SIZES: StoreOptions =
    StoreOptions { segment_bytes: 8_000, snapshot_after_bytes: 3_000, retry_after: Duration::from_millis(1) };
/// The power fails at one of so many operations.
const OPERATIONS: u64 = 120;

/// What clusters on simulated disks share: only their disks are their own.
struct Host {
    images: ImageStore,
    spec: ClusterSpec,
}

impl Host {
    fn new() -> Host {
        let mut spec = spec();
        spec.settings.stop_timeout = Duration::from_millis(1);
        spec.settings.usage_period = Duration::from_millis(10);
        spec.settings.restart_delay_first = Duration::from_millis(20);
        Host { images: ImageStore::open(&options()).expect("the engine starts"), spec }
    }

    /// A cluster on a disk.
    fn start(&self, disk: &SimulatedDisk) -> Result<RunningCluster, StartError> {
        self.start_in(disk, SIZES)
    }

    fn start_in(&self, disk: &SimulatedDisk, sizes: StoreOptions) -> Result<RunningCluster, StartError> {
        let store = open(disk, sizes)?;
        let data = Some(DataDirectory::Shared(Arc::new(store)));
        let options = HostOptions {
            data_plane: options(),
            image_store: Some(self.images.clone()),
            data,
            ..HostOptions::default()
        };
        RunningCluster::start(self.spec.clone(), options)
    }
}

fn open(disk: &SimulatedDisk, sizes: StoreOptions) -> Result<Store, OpenError> {
    Store::open_on(Disk::Simulated(disk.clone()), sizes)
}

fn options() -> DataPlaneOptions {
    DataPlaneOptions { pooled_instances: 64, worker_threads: Some(1), ..DataPlaneOptions::default() }
}

/// What was told, by answers and by notices, before the power failed.
#[derive(Debug)]
struct Told {
    tasks: BTreeSet<TaskId>,
    ended: BTreeMap<TaskId, Task>,
    to_stop: BTreeSet<TaskId>,
    revisions: u32,
    /// The count that was answered last, and those asked for since without an answer.
    desired: Vec<u32>,
    answers: u64,
}

impl Told {
    /// Before anything: what the cluster's file says.
    fn nothing() -> Told {
        let (tasks, to_stop) = (BTreeSet::new(), BTreeSet::new());
        Told { tasks, ended: BTreeMap::new(), to_stop, revisions: 1, desired: vec![2], answers: 0 }
    }

    /// Asks for this and that until the power fails, and for a while if it does not.
    fn ask(&mut self, cluster: &RunningCluster, host: &Host, disk: &SimulatedDisk, draws: &mut Draws) {
        let notices = cluster.watch().expect("it is up");
        for _ in 0..40 {
            let request = self.draw(host, draws);
            if let Request::UpdateService(update) = &request {
                self.desired.extend(update.desired_count);
            }
            match cluster.ask(request.clone()) {
                Ok(response) => self.answered(request, response),
                Err(AskError::Refused(error)) => {
                    assert!(error.to_string().starts_with("the data directory can't be written"), "{error}");
                    if disk.has_crashed() {
                        break;
                    }
                }
                Err(error @ AskError::Over(_)) => panic!("{error}"),
            }
        }
        // The loop lives, and whoever reads is answered.
        assert!(cluster.snapshot().is_ok() && !cluster.is_over());
        self.note(&notices);
    }

    fn draw(&self, host: &Host, draws: &mut Draws) -> Request {
        let some_task = self.tasks.iter().rev().nth((draws.draw() % 4) as usize).copied();
        match (draws.draw() % 8, some_task) {
            (0, _) => Request::RegisterTaskDefinition(Box::new(host.spec.task_definitions[0].clone())),
            (1 | 2, _) => Request::UpdateService(Box::new(UpdateService {
                service: "web".into(),
                desired_count: Some((draws.draw() % 4) as u32),
                ..UpdateService::default()
            })),
            (3, Some(task)) => Request::StopTask { task, reason: None },
            (which, _) => run_task(if which % 2 == 0 { "web" } else { "job" }),
        }
    }

    fn answered(&mut self, request: Request, response: Response) {
        self.answers += 1;
        match (request, response) {
            (_, Response::RunTask { tasks, .. }) => {
                for task in tasks {
                    assert!(self.tasks.insert(task), "{task:?} is two tasks");
                }
            }
            (Request::UpdateService(update), _) => self.desired = update.desired_count.into_iter().collect(),
            (Request::StopTask { task, .. }, _) => {
                self.to_stop.insert(task);
            }
            (_, Response::TaskDefinition(definition)) => self.revisions = definition.revision,
            other => panic!("{other:?}"),
        }
    }

    /// Tasks that were told to have ended.
    fn note(&mut self, notices: &Receiver<Notice>) {
        for notice in notices.try_iter() {
            if let (Notification::Task { task, .. }, Some(stopped)) = (&notice.notification, &notice.stopped_task) {
                self.ended.insert(*task, Task::clone(stopped));
            }
        }
    }

    /// Holds a cluster that goes on against it.
    fn check(&mut self, cluster: &RunningCluster) {
        let found = cluster.snapshot().expect("it is up");
        found.state.check_invariants(found.ids);
        for task in &self.tasks {
            let record = found.state.tasks.get(task).unwrap_or_else(|| panic!("{task:?} was answered"));
            if self.to_stop.contains(task) {
                assert_eq!(record.task.desired_status, DesiredStatus::Stopped, "{task:?}");
            }
        }
        for (task, ended) in &self.ended {
            let record = found.state.tasks.get(task).unwrap_or_else(|| panic!("{task:?} was told of"));
            assert_eq!(record.task.last_status, TaskStatus::Stopped, "{task:?} had ended");
            assert_eq!(record.task.stopped_at, ended.stopped_at, "{task:?}");
            assert_eq!(record.task.containers, ended.containers, "{task:?}");
        }
        let desired = found.state.services["web"].spec.desired_count;
        assert!(self.desired.contains(&desired), "{desired} of {:?}", self.desired);
        self.desired = vec![desired];
        let revisions = found.state.task_definitions["web"].len();
        assert!(revisions >= self.revisions as usize, "{revisions} of {}", self.revisions);
    }
}

/// The bill of all that the ledger on a disk has.
fn ledger_bill(disk: &SimulatedDisk) -> Bill {
    let reader = LedgerReader::open_on(&Disk::Simulated(disk.clone())).unwrap_or_else(|error| panic!("{error}"));
    let mut bill = LedgerBill::of(&reader, None, Span::EVER, Detail::Whole).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bill.clusters.len(), 1);
    bill.clusters.remove(0).history.bill
}

/// What happened over all seeds.
#[derive(Default)]
struct Seen {
    crashes: AtomicU64,
    refused_starts: AtomicU64,
    answers: AtomicU64,
    /// Snapshots that were put while a first process ran, and not as it ended.
    snapshots: AtomicU64,
}

/// One cluster on one disk, from its first process to the last, which ends in good order.
fn live(seed: u64, host: &Host, seen: &Seen) {
    let disk = SimulatedDisk::new(seed);
    let mut draws = Draws::of(seed, Stream::Faults, 4);
    let mut told = Told::nothing();
    for process in 0..PROCESSES {
        let failing_per_mille = if draws.draw().is_multiple_of(2) { 0 } else { draws.draw() % 100 };
        let faults =
            |at: u64| FaultRates { failing_per_mille, crash_at: Some(disk.operations() + at), ..FaultRates::default() };
        // At each operation in turn, over the seeds, and sooner while it starts.
        let at = 1 + (seed * PROCESSES + process) % OPERATIONS;
        let fails_at_start = draws.draw().is_multiple_of(4);
        if fails_at_start {
            disk.fail(faults(at / 8 + 1));
        }
        let cluster = match host.start(&disk) {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                assert!(fails_at_start, "{error}");
                seen.refused_starts.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        if let Some(cluster) = &cluster {
            // What a process that is about to lose its disk shows need not last.
            if !fails_at_start {
                told.check(cluster);
                disk.fail(faults(at));
            }
            told.ask(cluster, host, &disk, &mut draws);
        }
        seen.crashes.fetch_add(u64::from(disk.has_crashed()), Ordering::Relaxed);
        if process == 0 {
            let snapshots = disk.sizes().into_keys().filter(|name| name.starts_with("snapshot-")).count();
            seen.snapshots.fetch_add(snapshots as u64, Ordering::Relaxed);
        }
        drop(cluster);
        disk.restart();
    }
    let cluster = host.start(&disk).unwrap_or_else(|error| panic!("{error}"));
    told.check(&cluster);
    let next = the_task(cluster.ask(run_task("job")));
    assert!(!told.tasks.contains(&next), "{next:?} was there before");
    cluster.drain();
    let shown = cluster.wait();
    assert_eq!(shown.durable_trouble, None);
    let bill = shown.meter.bill(shown.at);
    let kept = ledger_bill(&disk);
    assert_eq!((kept.total, &kept.lines), (bill.total, &bill.lines));
    assert_eq!(kept.by_service, bill.by_service);
    // What a good end has put and removed last leaves a directory that opens, and so it does when the power fails right behind it.
    disk.restart();
    drop(open(&disk, SIZES).unwrap_or_else(|error| panic!("after its end: {error}")));
    seen.answers.fetch_add(told.answers, Ordering::Relaxed);
}

/// Claim: whatever fails at whatever moment, of the log, of snapshots and of the ledger, what was answered or told is there when the
/// cluster goes on, what fails is an error and no panic, and at last the ledger has what was used, once. Method: the power fails at each of
/// the first operations, and others fail by chance; what was not synced is lost, kept or torn, in any order; each cluster loses it three
/// times, is held against all that it has told, and ends in good order. So many seeds as one likes: `LONGSHORE_DISK_SEEDS=100000`, from
/// any: `LONGSHORE_DISK_FROM=599`.
#[test]
fn nothing_told_is_lost_whatever_fails() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (from, seeds) =
        (variable("LONGSHORE_DISK_FROM").unwrap_or(0), variable("LONGSHORE_DISK_SEEDS").unwrap_or(2_000));
    let (host, seen, next) = (Host::new(), Seen::default(), AtomicU64::new(from));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= from + seeds {
            break;
        }
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(seed, &host, &seen)));
        if let Err(panic) = lived {
            // Others need not go on.
            next.store(from + seeds, Ordering::Relaxed);
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let [crashes, refused_starts, answers, snapshots] =
        [seen.crashes, seen.refused_starts, seen.answers, seen.snapshots].map(AtomicU64::into_inner);
    // A few seeds alone are somebody's search for one of them.
    assert!(
        seeds < 100
            || crashes > seeds && refused_starts > seeds / 100 && answers > 10 * seeds && snapshots > seeds / 10,
        "{crashes} crashes, {refused_starts} refused starts, {answers} answers and {snapshots} snapshots show little"
    );
}
