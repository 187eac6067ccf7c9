//! What does it cost that a cluster outlives its process?
//!
//! - `sync`: the disk's own rate: 4 KiB appended to a file and synced, one after the other. Everything else stands beside it.
//! - `store`: 64 callers append a record each and wait for it, again and again: group commit is what makes it more than `sync`. Beside our
//!   log stands redb with group commit as well: one thread commits a transaction for whatever has come meanwhile.
//! - `api`: 64 clients of the ECS API, each on a connection that it keeps, ask for a task, again and again, of a `longshore serve` and of
//!   one with `--data-dir`. The second should have half of the first's rate or more.
//! - `run task`: 64 callers of the library do the same of a cluster in memory and of one in a data directory.
//! - `recover`: a cluster is read from a million events. It should take less than 2 s.
//! - `snapshot`: what a snapshot of 10,000 live tasks takes, and how large it is.
//!
//! A part of a case's name, as in `cargo bench --bench durability -- "run task"`, runs that one alone.
//!
//! Durations are what they were once, or the median of a few: each case takes seconds, so criterion is of no use.

#![expect(clippy::cast_precision_loss, reason = "counts and seconds are small")]

mod api;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::ControlPlane;
use longshore::control_plane::action::{Action, Response};
use longshore::control_plane::event::{ContainerStateChange, Event, Request, TaskStateChange, TaskStep};
use longshore::driver::durable::look::{look, write_events};
use longshore::driver::running_cluster::{DataDirectory, HostOptions, RunningCluster};
use longshore::model::capacity::LaunchTarget;
use longshore::model::cluster::RunTaskSpec;
use longshore::model::ids::RequestId;
use longshore::model::task::{ContainerExit, ContainerStatus};
use longshore::model::task_definition::{LaunchType, TaskDefinitionRef};
use longshore::model::units::{Timestamp, VcpuNanos};
use longshore::model::usage::{TaskUsage, UsageSample};
use longshore::store::{Store, StreamName};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALLERS: usize = 64;
const LASTS: Duration = Duration::from_secs(3);
const EVENTS: usize = 1_000_000;

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

fn rate(what: &str, count: u64, took: Duration) {
    println!("{what:<46} {:>10.0} a second", count as f64 / took.as_secs_f64());
}

fn sync(folder: &Path) {
    let mut file = std::fs::File::create(folder.join("sync")).expect("the folder is writable");
    let began = now();
    let mut count = 0;
    while began.elapsed() < LASTS {
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("there is room");
        count += 1;
    }
    rate("sync: 4 KiB and fdatasync", count, began.elapsed());
}

/// So many callers do something again and again, each with something of its own; how often in all.
fn callers<Own>(own: impl Fn() -> Own + Sync, act: impl Fn(&mut Own) + Sync) -> (u64, Duration) {
    let began = now();
    let count = std::thread::scope(|scope| {
        let (own, act) = (&own, &act);
        let one = || {
            let mut own = own();
            let mut count = 0u64;
            while began.elapsed() < LASTS {
                act(&mut own);
                count += 1;
            }
            count
        };
        let threads: Vec<_> = (0..CALLERS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    });
    (count, began.elapsed())
}

/// A record of the `store` case.
const RECORD: [u8; 200] = [7; 200];

fn store(folder: &Path) {
    let folder = folder.join("store");
    let store = Store::open(&folder).expect("it opens");
    let stream = StreamName::new("bench").expect("it is a name");
    let (count, took) = callers(
        || (),
        |()| {
            let position = store.append(vec![(stream.clone(), RECORD.to_vec())]);
            store.wait_durable(position).expect("there is room");
        },
    );
    rate("store: 64 callers, 200 bytes each", count, took);
    drop(store);
    let bytes = bytes_in(&folder);
    println!("{:<46} {:>10.0} bytes a record", "store: on the disk", bytes as f64 / count as f64);
}

/// Records by their number.
const RECORDS: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("records");

/// Commits what has come, and tells those who wait, until nobody is left. How many transactions that were.
fn commit(database: &redb::Database, waiting: &Receiver<Sender<()>>) -> u64 {
    let (mut next, mut transactions) = (0u64, 0u64);
    while let Ok(first) = waiting.recv() {
        let told: Vec<Sender<()>> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let mut transaction = database.begin_write().expect("there is room");
        transaction.set_durability(redb::Durability::Immediate).expect("nothing was done yet");
        {
            let mut records = transaction.open_table(RECORDS).expect("there is room");
            for _ in &told {
                next += 1;
                records.insert(next, &RECORD[..]).expect("there is room");
            }
        }
        transaction.commit().expect("there is room");
        transactions += 1;
        told.into_iter().for_each(|told| told.send(()).expect("it waits"));
    }
    transactions
}

fn redb(folder: &Path) {
    let folder = folder.join("redb");
    std::fs::create_dir(&folder).expect("the folder is writable");
    let database = redb::Database::create(folder.join("database")).expect("it opens");
    let (sender, waiting) = crossbeam_channel::unbounded();
    let writer = std::thread::spawn(move || commit(&database, &waiting));
    let (count, took) = callers(
        || (),
        |()| {
            let (told, durable) = crossbeam_channel::bounded(1);
            sender.send(told).expect("somebody writes");
            durable.recv().expect("it is written");
        },
    );
    drop(sender);
    let transactions = writer.join().expect("it does not panic");
    rate("store: the same in redb", count, took);
    rate("store: redb's transactions", transactions, took);
    let bytes = bytes_in(&folder);
    println!("{:<46} {:>10.0} bytes a record", "store: redb on the disk", bytes as f64 / count as f64);
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("it is there");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).expect("it is there").len()).sum()
}

const FILE: &str = r#"
    [cluster]
    name = "bench"
    [[task_definition]]
    family = "job"
    cpu = 256
    memory = 512
    requires_compatibilities = ["FARGATE"]
      [[task_definition.container]]
      name = "main"
      image = "workloads/limits/exit_3.wat"
"#;

fn run_task(count: u32) -> Request {
    Request::RunTask(Box::new(RunTaskSpec {
        task_definition: TaskDefinitionRef { family: "job".into(), revision: None },
        launch_target: LaunchTarget::LaunchType(LaunchType::Fargate),
        count,
        ..RunTaskSpec::default()
    }))
}

/// The rate of answers. What is asked for faster than it runs piles up, in memory more than in a data directory, and its work is not in
/// that rate: the other one that is printed is that of tasks asked for, answered and run to their end.
fn run_tasks(what: &str, data: Option<DataDirectory>) -> [f64; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench.toml");
    let spec = ClusterFile::parse(FILE, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
    let cluster = RunningCluster::start(spec, HostOptions { data, ..HostOptions::default() }).expect("it starts");
    let began = now();
    let (count, took) = callers(
        || (),
        |()| match cluster.ask(run_task(1)) {
            Ok(Response::RunTask { tasks, .. }) => assert_eq!(tasks.len(), 1),
            other => panic!("{other:?}"),
        },
    );
    cluster.wait_for_standalone_tasks().expect("it goes on");
    let took_to_end = began.elapsed();
    rate(what, count, took);
    rate(&format!("{what}, to their end"), count, took_to_end);
    [took, took_to_end].map(|took| count as f64 / took.as_secs_f64())
}

/// Events of Fargate tasks that come, and go if they end.
fn events(count: usize, ends: bool) -> (ControlPlane, Vec<(Timestamp, Event)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench.toml");
    let spec = ClusterFile::parse(FILE, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
    let settings = spec.settings.clone();
    let begun = ControlPlane::new("bench", settings.clone());
    let mut plane = ControlPlane::new("bench", settings);
    let mut events = Vec::with_capacity(count + 64);
    let mut now = Timestamp::ZERO;
    let definition = spec.task_definitions[0].clone();
    let mut requests = 0;
    let mut next = vec![Event::Request {
        request_id: RequestId(0),
        request: Request::RegisterTaskDefinition(Box::new(definition)),
    }];
    while events.len() < count {
        if next.is_empty() {
            requests += 1;
            next.push(Event::Request { request_id: RequestId(requests), request: run_task(10) });
        }
        for event in std::mem::take(&mut next) {
            now = Timestamp(now.0 + 1_234_567);
            for action in plane.apply(now, event.clone()) {
                if let Action::StartTask(start) = action {
                    next.extend(life(start.task, now, ends));
                }
            }
            events.push((now, event));
        }
    }
    (begun, events)
}

/// What the data plane reports of a task.
fn life(task: longshore::model::ids::TaskId, began_at: Timestamp, ends: bool) -> Vec<Event> {
    let usage = |vcpu| TaskUsage { vcpu: VcpuNanos(vcpu), memory_bytes_peak: 1 << 21, ..TaskUsage::default() };
    let change = |step, status, exit_code| {
        let exit = ContainerExit { exit_code, reason: None };
        Event::TaskStateChange(TaskStateChange {
            task,
            step,
            pull_started_at: Some(began_at),
            pull_stopped_at: Some(began_at),
            containers: [ContainerStateChange { status, exit, ..ContainerStateChange::default() }].into(),
        })
    };
    let sample = |vcpu| Event::Usage { samples: vec![UsageSample { task, usage: usage(vcpu) }] };
    let stopped = TaskStep::Stopped { usage: usage(300_000_000), failed_to_start: None };
    let mut life =
        vec![change(TaskStep::Running, ContainerStatus::Running, None), sample(100_000_000), sample(200_000_000)];
    if ends {
        life.push(change(stopped, ContainerStatus::Stopped, Some(0)));
    }
    life
}

fn recover(folder: &Path) {
    let folder = folder.join("million");
    let (plane, events) = events(EVENTS, true);
    let count = events.len();
    let began = now();
    {
        let store = Arc::new(Store::open(&folder).expect("it opens"));
        write_events(&store, plane, "us-east-1", events).expect("there is room");
    }
    rate("recover: events applied and written", count as u64, began.elapsed());
    let bytes = bytes_in(&folder);
    println!("{:<46} {:>10} bytes an event", "recover: on the disk", bytes / count as u64);
    let began = now();
    let found = look(&folder, "us-east-1", "bench").expect("it can be read").expect("there is a cluster");
    println!("{:<46} {:>10.2} s", "recover: a million events", began.elapsed().as_secs_f64());
    assert!(found.state.stopped_count > 100_000, "tasks have come and gone");
}

fn snapshot() {
    let (mut plane, events) = events(40_000, false);
    for (at, event) in events {
        plane.apply(at, event);
    }
    let live = plane.state().live_count;
    let began = now();
    let copy = plane.clone();
    let copied = began.elapsed();
    let began = now();
    let bytes = rmp_serde::to_vec_named(&copy).expect("it is plain data");
    println!(
        "{:<46} {:>10.1} ms to copy, {:.1} ms to write in another thread, {} KiB",
        format!("snapshot: {live} live tasks"),
        copied.as_secs_f64() * 1e3,
        began.elapsed().as_secs_f64() * 1e3,
        bytes.len() / 1024
    );
}

fn main() {
    // As criterion has it: what is no option is a part of the names of the cases to run.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |case: &str| wanted.as_ref().is_none_or(|part| case.contains(part.as_str()));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the folder is writable");
    if is_wanted("sync") {
        sync(folder.path());
    }
    if is_wanted("store") {
        store(folder.path());
        redb(folder.path());
    }
    if is_wanted("api") {
        api::run_tasks(folder.path());
    }
    if is_wanted("run task") {
        let memory = run_tasks("run task: in memory", None);
        let disk = run_tasks("run task: in a data directory", Some(DataDirectory::Folder(folder.path().join("data"))));
        for (what, index) in [("run task: in a data directory", 0), ("run task: the same, to their end", 1)] {
            println!("{what:<46} {:>10.2} of the rate in memory", disk[index] / memory[index]);
        }
    }
    if is_wanted("recover") {
        recover(folder.path());
    }
    if is_wanted("snapshot") {
        snapshot();
    }
}
