//! What outlives the process: a cluster goes on from its data directory as the one that it was, and what was told is there.
//!
//! The program itself is killed for good in [`crate::killed`]; the log is held against a disk that fails in every way in `store::tests`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::ControlPlane;
use longshore::control_plane::action::{Action, Response};
use longshore::control_plane::event::{Event, Request};
use longshore::driver::durable::look::look;
use longshore::driver::journal::{ActionsForm, JournalOptions};
use longshore::driver::ledger::bill::LedgerBill;
use longshore::driver::ledger::reader::LedgerReader;
use longshore::driver::report::Report;
use longshore::driver::running_cluster::{AskError, DataDirectory, HostOptions, RunningCluster, StartError};
use longshore::driver::simulated::observer::Observer;
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::metering::bill::Bill;
use longshore::metering::history::Detail;
use longshore::metering::stretch::Span;
use longshore::model::capacity::LaunchTarget;
use longshore::model::cluster::{ClusterSpec, RunTaskSpec};
use longshore::model::ids::TaskId;
use longshore::model::rng::{Draws, Stream};
use longshore::model::task::{StopCode, Task, TaskStatus};
use longshore::model::task_definition::{LaunchType, TaskDefinitionRef};
use longshore::model::units::Timestamp;
use longshore::store::simulated::{FaultRates, Refusal, SimulatedDisk};
use longshore::store::{Disk, OpenError, Store, StoreOptions};

use crate::chaos::draw::{CHAOS_SECONDS, draw};
use crate::deploy_command::longshore;

/// Claim: a control plane that was saved and read again does the same as the one that was not, whatever came before and whatever comes.
/// Method: the clusters, loads and faults of chaos' seeds; at random moments a twin is made from what would be saved, and is held
/// against the original until the next one is made.
#[test]
fn a_saved_control_plane_goes_on_as_itself() {
    let twins = Arc::new(AtomicU64::new(0));
    for seed in 0..60 {
        let drawn = draw(seed);
        let spec = ClusterFile::parse(&drawn.file, "chaos.toml", &Catalog::embedded()).expect("it is a cluster file");
        let mut draws = Draws::of(seed, Stream::Work, 9);
        let mut twin: Option<ControlPlane> = None;
        let made = twins.clone();
        let observer = Observer::new(move |plane: &ControlPlane, now: Timestamp, event: &Event, actions: &[Action]| {
            if let Some(twin) = &mut twin {
                let found = twin.apply(now, event.clone());
                assert!(found == actions, "seed {seed}, {now}, {event:?}\nsaved:    {found:?}\noriginal: {actions:?}");
                assert_eq!(twin.fingerprint(), plane.fingerprint(), "seed {seed}, {now}, {event:?}");
            }
            if draws.draw().is_multiple_of(25) {
                let bytes = rmp_serde::to_vec_named(plane).expect("it can be written");
                let read: ControlPlane =
                    rmp_serde::from_slice(&bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                read.state().check_invariants(read.ids());
                twin = Some(read);
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        let simulation = Simulation::observed(&spec, SimulationOptions::default(), Some(observer));
        let mut simulation = simulation.unwrap_or_else(|error| panic!("{error}"));
        simulation.run_until(Timestamp::ZERO + Duration::from_secs(CHAOS_SECONDS), u64::MAX);
    }
    let made = twins.load(Ordering::Relaxed);
    assert!(made > 200, "{made} twins show little");
}

pub(crate) fn module(name: &str) -> String {
    format!("{}/workloads/limits/{name}.wat", env!("CARGO_MANIFEST_DIR"))
}

/// A service of two tasks that sleep, and a family whose tasks end at once.
pub(crate) fn file() -> String {
    format!(
        r#"
        [cluster]
        name = "kept"
        [settings]
        healthy_after = "100ms"
        stop_timeout = "100ms"
        usage_period = "100ms"
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "{sleep}"
        [[task_definition]]
        family = "job"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "{exit}"
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 2
        launch_type = "FARGATE"
        "#,
        sleep = module("sleep"),
        exit = module("exit_3"),
    )
}

pub(crate) fn spec() -> ClusterSpec {
    ClusterFile::parse(&file(), "kept.toml", &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn run_task(family: &str) -> Request {
    Request::RunTask(Box::new(RunTaskSpec {
        task_definition: TaskDefinitionRef { family: family.into(), revision: None },
        launch_target: LaunchTarget::LaunchType(LaunchType::Fargate),
        ..RunTaskSpec::default()
    }))
}

fn start(data: DataDirectory) -> Result<RunningCluster, StartError> {
    RunningCluster::start(spec(), HostOptions { data: Some(data), ..HostOptions::default() })
}

pub(crate) fn the_task(answer: Result<Response, AskError>) -> TaskId {
    match answer {
        Ok(Response::RunTask { tasks, .. }) => tasks[0],
        other => panic!("{other:?}"),
    }
}

/// What a crash at this moment would leave of a data directory.
pub(crate) fn crash_image(folder: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().expect("there is room");
    copy(folder, image.path());
    image
}

/// The ledger comes before the log, as it may lag behind that and never the other way round.
fn copy(folder: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, copied).unwrap();
        }
    }
}

/// The bill of all that the ledger of a data directory has.
fn ledger_bill(data: &Path) -> Bill {
    let reader = LedgerReader::open(data).unwrap_or_else(|error| panic!("{error}"));
    let mut bill = LedgerBill::of(&reader, None, Span::EVER, Detail::Whole).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bill.clusters.len(), 1);
    bill.clusters.remove(0).history.bill
}

/// Claim: the ledger has what was used before a crash up to the last moment that is known, and what was used after it, each once.
/// Method: a crash, and another while what the first one has left is gone through again; the bill that the cluster shows at its end is
/// held against the ledger's.
#[test]
fn the_ledger_has_what_was_used_once() {
    let folder = tempfile::tempdir().expect("there is room");
    let data = folder.path().join("data");
    let cluster = start(DataDirectory::Folder(data.clone())).expect("it starts");
    the_task(cluster.ask(run_task("web")));
    cluster.wait_for_task(the_task(cluster.ask(run_task("job")))).expect("it ends");
    eventually("three running tasks", || (running(&cluster).len() == 3).then_some(()));
    eventually("the ledger", || LedgerReader::open(&data).is_ok().then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    let image = crash_image(&data);
    drop(cluster);
    let cluster = start(DataDirectory::Folder(image.path().to_owned())).expect("it goes on");
    cluster.wait_for_task(the_task(cluster.ask(run_task("job")))).expect("it ends");
    eventually("two running tasks", || (running(&cluster).len() == 2).then_some(()));
    let image_of_image = crash_image(image.path());
    drop(cluster);
    let cluster = start(DataDirectory::Folder(image_of_image.path().to_owned())).expect("it goes on");
    eventually("two running tasks", || (running(&cluster).len() == 2).then_some(()));
    cluster.drain();
    let shown = cluster.wait();
    let shown = shown.meter.bill(shown.at);
    let kept = ledger_bill(image_of_image.path());
    assert_eq!((kept.total, &kept.lines), (shown.total, &shown.lines));
    assert_eq!(kept.by_service, shown.by_service);
    let tasks = |bill: &Bill| bill.by_task_definition.values().map(|one| one.tasks).sum::<u64>();
    assert!(tasks(&kept) >= 9, "three before the first crash and a job, then a job and twice two: {kept:?}");
}

#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} never came to pass");
}

pub(crate) fn running(cluster: &RunningCluster) -> Vec<Task> {
    let snapshot = cluster.snapshot().expect("it is up");
    let tasks = snapshot.state.tasks.values().map(|record| record.task.clone());
    tasks.filter(|task| task.last_status == TaskStatus::Running).collect()
}

/// Claim: after a crash everything that was answered is there; what ran is stopped with a reason and billed up to the last moment that is
/// known, once; what ended keeps its end; and the service runs as many tasks as it should, with ids that were never given before.
#[test]
fn a_crashed_cluster_goes_on() {
    let folder = tempfile::tempdir().expect("there is room");
    let data = folder.path().join("data");
    let cluster = start(DataDirectory::Folder(data.clone())).expect("it starts");
    let sleeper = the_task(cluster.ask(run_task("web")));
    let ended = cluster.wait_for_task(the_task(cluster.ask(run_task("job")))).expect("it ends");
    eventually("three running tasks", || (running(&cluster).len() == 3).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    let image = crash_image(&data);
    let known = look(image.path(), "us-east-1", "kept").expect("it can be read").expect("there is a cluster");
    drop(cluster);

    let before: Vec<TaskId> = known.state.tasks.keys().collect();
    let cluster = start(DataDirectory::Folder(image.path().to_owned())).expect("it goes on");
    let lost = cluster.task(sleeper).unwrap().expect("it was answered");
    assert_eq!((lost.last_status, lost.stop_code), (TaskStatus::Stopped, Some(StopCode::TerminationNotice)));
    let reason = lost.stopped_reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("Longshore was restarted"), "{reason}");
    assert_eq!(lost.stopped_at, Some(known.at), "nobody pays for what nobody knows of");
    let kept = cluster.task(ended.id).unwrap().expect("its end was told");
    assert_eq!(
        (&kept.stopped_reason, &kept.containers, kept.stopped_at),
        (&ended.stopped_reason, &ended.containers, ended.stopped_at)
    );
    let tasks = eventually("two new tasks", || Some(running(&cluster)).filter(|tasks| tasks.len() == 2));
    assert!(tasks.iter().all(|task| !before.contains(&task.id) && task.service.is_some()), "{tasks:?}");
    let snapshot = cluster.snapshot().unwrap();
    assert!(snapshot.at > known.at);
    let records = snapshot.meter.usage_records(snapshot.at);
    let of_lost: Vec<_> = records.iter().filter(|record| record.task == sleeper).collect();
    assert_eq!(of_lost.len(), 1);
    assert_eq!(of_lost[0].stopped_at, Some(known.at));
    assert_eq!(records.iter().filter(|record| record.task == ended.id).count(), 1);
    // It takes requests as ever, and gives ids that were never given.
    let next = the_task(cluster.ask(run_task("job")));
    assert!(!before.contains(&next), "{next:?} was there before");
    drop(cluster);
    // And once more, from what the end in good order has left.
    let cluster = start(DataDirectory::Folder(image.path().to_owned())).expect("it goes on");
    assert!(cluster.task(next).unwrap().is_some_and(|task| task.last_status == TaskStatus::Stopped));
}

/// Claim: a file that was edited meanwhile is applied to what is there, as `apply` does.
#[test]
fn an_edited_file_is_applied() {
    let folder = tempfile::tempdir().expect("there is room");
    drop(start(DataDirectory::Folder(folder.path().to_owned())).expect("it starts"));
    let text = file().replace("desired_count = 2", "desired_count = 3").replace("memory = 512", "memory = 1024");
    let edited = ClusterFile::parse(&text, "kept.toml", &Catalog::embedded()).unwrap();
    let data = Some(DataDirectory::Folder(folder.path().to_owned()));
    let cluster = RunningCluster::start(edited, HostOptions { data, ..HostOptions::default() }).expect("it goes on");
    let state = cluster.snapshot().unwrap().state;
    assert_eq!(state.services["web"].spec.desired_count, 3);
    assert_eq!(state.task_definitions["web"].len(), 2, "a revision was added");
    eventually("three tasks of the second revision", || {
        let new = running(&cluster).iter().filter(|task| task.task_definition.revision == 2).count();
        (new == 3).then_some(())
    });
}

/// Claim: a data directory belongs to one process, and to its owner.
#[test]
fn a_data_directory_belongs_to_one() {
    let folder = tempfile::tempdir().expect("there is room");
    let data = folder.path().join("data");
    let cluster = start(DataDirectory::Folder(data.clone())).expect("it starts");
    match start(DataDirectory::Folder(data.clone())) {
        Err(StartError::Store(error @ OpenError::InUse(_))) => {
            assert!(error.to_string().contains("is in use by another process"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |found: &std::fs::Metadata| found.permissions().mode() & 0o777;
        assert_eq!(mode(&std::fs::metadata(&data).unwrap()), 0o700);
        let mut looked_at = 0;
        for path in std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
            // What is being written has another name a moment later.
            let Ok(found) = std::fs::metadata(&path) else { continue };
            assert_eq!(mode(&found), if found.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
            looked_at += 1;
        }
        assert!(looked_at > 0, "nothing was there");
    }
    drop(cluster);
    drop(start(DataDirectory::Folder(data)).expect("it is free again"));
}

/// Claim: while the disk is full, requests are refused with a clear error and reads go on; it recovers by itself, and nothing that was
/// answered is lost.
#[test]
fn a_full_disk_refuses_and_recovers() {
    for refusal in [Refusal::Full, Refusal::ReadOnly] {
        let disk = SimulatedDisk::new(5);
        let open = || Store::open_on(Disk::Simulated(disk.clone()), StoreOptions::default()).map(Arc::new);
        let store = open().expect("it opens");
        let cluster = start(DataDirectory::Shared(store.clone())).expect("it starts");
        let answered = the_task(cluster.ask(run_task("web")));
        disk.fail(FaultRates { refuses_writes: Some(refusal), ..FaultRates::default() });
        let error = eventually("a refusal", || cluster.ask(run_task("web")).err());
        assert!(error.to_string().starts_with("the data directory can't be written"), "{error}");
        assert!(cluster.snapshot().unwrap().durable_trouble.is_some());
        assert!(cluster.task(answered).unwrap().is_some(), "reads go on");
        disk.fail(FaultRates::default());
        let later = eventually("a grant", || cluster.ask(run_task("web")).ok());
        let later = the_task(Ok(later));
        assert!(store.trouble().is_none());
        disk.fail(FaultRates { crash_at: Some(0), ..FaultRates::default() });
        drop(cluster);
        drop(store);
        disk.restart();
        let cluster = start(DataDirectory::Shared(open().expect("it opens"))).expect("it goes on");
        for task in [answered, later] {
            assert!(cluster.task(task).unwrap().is_some(), "{task:?} was answered");
        }
    }
}

/// The file of a log that is not long.
fn only_segment(data: &Path) -> PathBuf {
    let segment = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    let mut paths = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    paths.find(segment).expect("there is a segment")
}

/// Claim: what a crash has torn off at the log's end is left out, and said. (Damage elsewhere: `damage_is_told_and_left_alone`,
/// `store::tests`.)
#[test]
fn a_torn_end_is_said() {
    let folder = tempfile::tempdir().expect("there is room");
    let (data, path) = (folder.path().join("data"), folder.path().join("cluster.toml"));
    std::fs::write(&path, file()).unwrap();
    let cluster = start(DataDirectory::Folder(data.clone())).expect("it starts");
    the_task(cluster.ask(run_task("web")));
    let image = crash_image(&data);
    drop(cluster);
    let log = only_segment(image.path());
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, [&bytes[..], &[1, 2, 3]].concat()).unwrap();
    let arguments = ["run", path.to_str().unwrap(), "--data-dir", image.path().to_str().unwrap(), "--for", "1ms"];
    let ran = longshore(folder.path(), &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("the last 3 bytes") && said.contains("were never finished: they are left out"), "{said}");
}

/// Claim: a log with a byte that is not as it was written is refused with the file and the place, by `data check` and by `run`, and left as
/// it is. Method: bytes all over the log of a cluster that ended in good order, but for the mark at its very end: without that, it is the log
/// of a process that was killed.
#[test]
fn damage_is_told_and_left_alone() {
    let folder = tempfile::tempdir().expect("there is room");
    let (data, path) = (folder.path().join("data"), folder.path().join("cluster.toml"));
    std::fs::write(&path, file()).unwrap();
    let cluster = start(DataDirectory::Folder(data.clone())).expect("it starts");
    the_task(cluster.ask(run_task("web")));
    drop(cluster);
    let log = only_segment(&data);
    let sound = std::fs::read(&log).unwrap();
    let data = data.to_str().unwrap();
    let check = ["data", "check", data];
    assert!(longshore(folder.path(), &check).output().unwrap().status.success());
    let place = format!("{}: damaged at offset ", log.display());
    for offset in (0..24).map(|part| sound.len() * part / 24) {
        let mut bytes = sound.clone();
        bytes[offset] ^= 0x10;
        std::fs::write(&log, &bytes).unwrap();
        for arguments in [&check[..], &["run", path.to_str().unwrap(), "--data-dir", data, "--for", "1ms"]] {
            let refused = longshore(folder.path(), arguments).output().unwrap();
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(1), "byte {offset}: {said}");
            let told = said.split_once(&place).and_then(|(_, rest)| rest.split_once(':')?.0.parse::<usize>().ok());
            assert!(told.is_some_and(|told| told <= offset), "byte {offset}: {said}");
            assert!(std::fs::read(&log).unwrap() == bytes, "byte {offset}: it was changed");
        }
    }
}

/// Claim: a cluster with a calendar of its own goes on at the moment that it was at, and the next one of the same file is billed like it.
#[test]
fn a_calendar_of_ones_own_is_kept() {
    let folder = tempfile::tempdir().expect("there is room");
    let data = folder.path().join("data");
    let start_in = |data: &Path| {
        let text = file().replace("[settings]", "[settings]\n        calendar_start = \"2026-01-31T23:59:59Z\"");
        let spec = ClusterFile::parse(&text, "kept.toml", &Catalog::embedded()).unwrap();
        let data = Some(DataDirectory::Folder(data.to_owned()));
        RunningCluster::start(spec, HostOptions { data, ..HostOptions::default() }).expect("it starts")
    };
    let cluster = start_in(&data);
    cluster.wait_for_task(the_task(cluster.ask(run_task("job")))).expect("it ends");
    let image = crash_image(&data);
    let cluster = {
        drop(cluster);
        start_in(image.path())
    };
    let now = cluster.clock().now();
    assert!(now.elapsed() < Duration::from_secs(600), "{now}: it was down for seconds, and not since January");
    let shown = cluster.clock().calendar(now).to_string();
    assert!(shown.starts_with("2026-02-01T00:0") || shown.starts_with("2026-01-31T23:59"), "{shown}");
    let mut totals = 0;
    let mut tasks = 0;
    let mut end = |cluster: RunningCluster| {
        cluster.drain();
        let shown = cluster.wait();
        let bill = shown.meter.bill(shown.at);
        totals += bill.total.0;
        tasks += bill.by_task_definition.values().map(|one| one.tasks).sum::<u64>();
    };
    end(cluster);
    for _ in 0..2 {
        // What was drained is over: these are clusters that begin at the same moment of the calendar.
        let cluster = start_in(image.path());
        for _ in 0..3 {
            cluster.wait_for_task(the_task(cluster.ask(run_task("job")))).expect("it ends");
        }
        end(cluster);
    }
    let reader = LedgerReader::open(image.path()).unwrap_or_else(|error| panic!("{error}"));
    let bill = LedgerBill::of(&reader, None, Span::EVER, Detail::Whole).unwrap_or_else(|error| panic!("{error}"));
    let kept = &bill.clusters[0].history.bill;
    assert_eq!(kept.by_task_definition.values().map(|one| one.tasks).sum::<u64>(), tasks);
    // Lines are rounded once for all three.
    assert!(kept.total.0.abs_diff(totals) < 30, "{} of {totals}", kept.total.0);
}

/// Claim: what is known of a single task outlives the process with the task: what it costs as well.
#[test]
fn what_a_task_cost_is_kept_with_it() {
    let folder = tempfile::tempdir().expect("there is room");
    let data = || DataDirectory::Folder(folder.path().to_owned());
    let cluster = start(data()).expect("it starts");
    let job = the_task(cluster.ask(run_task("job")));
    cluster.wait_for_task(job).expect("it ends");
    let reported = |cluster: &RunningCluster| {
        let snapshot = cluster.snapshot().unwrap();
        let report = Report::of(&snapshot);
        let shown = snapshot.ids.task(job);
        let task = report.tasks.into_iter().find(|task| task.id == shown).expect("it is shown");
        serde_json::to_value(task).expect("it is plain data")
    };
    let before = reported(&cluster);
    assert_eq!(before["billed_seconds"], 60);
    assert!(before["cost"].is_number(), "{before}");
    // Its end in good order leaves a snapshot.
    drop(cluster);
    let cluster = start(data()).expect("it goes on");
    assert_eq!(reported(&cluster), before);
}

/// A journal begins with its cluster, and is not begun for one that goes on; what was written before stays.
#[test]
fn a_cluster_that_goes_on_has_no_journal() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("journal");
    let start = || {
        let journal = Some(JournalOptions { path: path.clone(), actions: ActionsForm::Whole });
        let data = Some(DataDirectory::Folder(folder.path().join("data")));
        RunningCluster::start(spec(), HostOptions { data, journal, ..HostOptions::default() })
    };
    drop(start().expect("it starts"));
    let written = std::fs::read(&path).expect("it is there");
    let error = start().expect_err("it has begun before").to_string();
    assert!(error.contains("a journal begins with its cluster"), "{error}");
    assert_eq!(std::fs::read(&path).expect("it is there"), written);
}

/// Claim: a full disk holds no cluster up that is to end: tasks stop, and what can't be written is said.
#[test]
fn a_full_disk_lets_a_cluster_end() {
    let disk = SimulatedDisk::new(7);
    let store = Arc::new(Store::open_on(Disk::Simulated(disk.clone()), StoreOptions::default()).expect("it opens"));
    let cluster = start(DataDirectory::Shared(store.clone())).expect("it starts");
    eventually("two running tasks", || (running(&cluster).len() == 2).then_some(()));
    disk.fail(FaultRates { refuses_writes: Some(Refusal::Full), ..FaultRates::default() });
    eventually("a refusal", || cluster.ask(run_task("web")).err());
    let error = cluster.apply(spec()).expect_err("nothing is applied that can't be written");
    assert!(error.to_string().starts_with("the data directory can't be written"), "{error}");
    cluster.drain();
    let last = cluster.wait();
    assert_eq!(last.state.live_count, 0);
    let reasons = last.state.tasks.values().map(|record| record.task.stopped_reason.clone().unwrap_or_default());
    assert!(
        reasons.filter(|reason| reason.starts_with("Scaling activity")).count() >= 2,
        "they were stopped in good order"
    );
    assert!(last.durable_trouble.is_some_and(|trouble| trouble.contains("can't be written")));
}

/// Several clusters share one data directory.
#[test]
fn clusters_share_a_directory() {
    let disk = SimulatedDisk::new(6);
    let store = || Arc::new(Store::open_on(Disk::Simulated(disk.clone()), StoreOptions::default()).expect("it opens"));
    let names = ["one", "two", "three"];
    let start_all = || {
        let shared = store();
        names.map(|name| {
            let data = Some(DataDirectory::Shared(shared.clone()));
            let spec = ClusterSpec { name: name.into(), ..spec() };
            RunningCluster::start(spec, HostOptions { data, ..HostOptions::default() }).expect("it starts")
        })
    };
    let clusters = start_all();
    let tasks: Vec<TaskId> = clusters.iter().map(|cluster| the_task(cluster.ask(run_task("job")))).collect();
    disk.fail(FaultRates { crash_at: Some(0), ..FaultRates::default() });
    drop(clusters);
    disk.restart();
    for (cluster, task) in start_all().iter().zip(tasks) {
        assert!(cluster.task(task).unwrap().is_some());
    }
}
