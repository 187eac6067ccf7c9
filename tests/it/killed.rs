//! The program is killed for good at random moments, again and again on one data directory, and all that it had told is held against what
//! is there then.
//!
//! Half of the rounds are the library's, as `longshore run` uses it, and half are clients' of the API of `longshore serve`, over sockets. 200
//! rounds are the default; as many as one likes:
//! ```text
//! LONGSHORE_CRASH_ROUNDS=2000 cargo test --all-features --test it -- killed
//! ```

mod api;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore::driver::durable::look::look;
use longshore::model::ids::IdForm;
use longshore::model::rng::{Draws, Stream};
use longshore::model::task::{Task, TaskStatus};
use serde_json::Value;

use crate::deploy_command::longshore;
use crate::durability::{eventually, file};

/// Rounds of one data directory: what was there before is to be found too, and a directory that was killed often is to end in good order.
const ROUNDS_OF_A_DIRECTORY: u64 = 10;
/// Data directories at once: most of a round is waiting.
const AT_ONCE: u64 = 4;

/// Kills for good half of the rounds that are asked for, on directories of their own, some at a time.
fn in_rounds(on_a_directory: impl Fn(u64, &Path, &mut Draws) + Sync) {
    let rounds = std::env::var("LONGSHORE_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200u64);
    let left = AtomicU64::new((rounds / 2).max(1));
    let work = |worker: u64| {
        let mut draws = Draws::of(std::process::id().into(), Stream::Faults, worker);
        let take = |left: u64| Some(left.saturating_sub(ROUNDS_OF_A_DIRECTORY));
        while let Ok(left @ 1..) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            let folder = tempfile::tempdir().expect("there is room");
            on_a_directory(left.min(ROUNDS_OF_A_DIRECTORY), folder.path(), &mut draws);
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..AT_ONCE).map(|worker| scope.spawn(move || work(worker))).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// `kill -9`, of a program that is still up.
#[track_caller]
fn kill(child: &mut Child) {
    assert_eq!(child.try_wait().expect("it can be asked"), None, "it has ended by itself");
    child.kill().expect("it is there");
    child.wait().expect("it was killed");
}

/// What was told of a task: its version and its last status.
fn told(events: &Path) -> BTreeMap<String, (u64, String)> {
    let mut told = BTreeMap::new();
    let text = std::fs::read_to_string(events).unwrap_or_default();
    // The last line may have been cut by the kill.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Value = serde_json::from_str(line).expect("a whole line is an event");
        if event["detail-type"] == "ECS Task State Change" {
            let detail = &event["detail"];
            let arn = detail["taskArn"].as_str().expect("it has a name").to_owned();
            let version = detail["version"].as_u64().expect("it has a version");
            told.insert(arn, (version, detail["lastStatus"].as_str().expect("it has a status").to_owned()));
        }
    }
    told
}

/// Holds what a data directory has against what was told of the tasks in it.
fn check_tasks(data: &Path, told: &BTreeMap<String, (u64, String)>) {
    let found =
        look(data, "us-east-1", "kept").unwrap_or_else(|error| panic!("{error}")).expect("the cluster has begun");
    found.state.check_invariants(found.ids);
    let shown = |ids: IdForm| found.state.tasks.values().map(move |record| (ids.task(record.task.id), &record.task));
    let tasks: BTreeMap<String, &Task> = shown(found.ids).collect();
    for (arn, (version, status)) in told {
        let id = arn.rsplit('/').next().expect("an ARN has parts");
        let task = tasks.get(id).unwrap_or_else(|| panic!("task {id} was told of and is not there"));
        assert!(task.version >= *version, "task {id} was at version {version} and is at {}", task.version);
        if status == "STOPPED" {
            assert_eq!(task.last_status, TaskStatus::Stopped, "task {id} was over");
        }
    }
}

/// What the program prints as JSON.
fn document(folder: &Path, arguments: &[&str]) -> Value {
    let ran = longshore(folder, arguments).output().expect("the program starts");
    serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)))
}

/// Claim: whatever a cluster has told before a `kill -9` is there after it, and at last the ledger has what was used, once. Method: the
/// program runs a service and short tasks and tells its events, is killed at a random moment, and what its data directory says is held
/// against all that it has ever told.
#[test]
fn library() {
    let told_in_all = AtomicU64::new(0);
    in_rounds(|rounds, folder, draws| {
        let (path, data, events) = (folder.join("cluster.toml"), folder.join("data"), folder.join("events"));
        let [path, data, events] = [&path, &data, &events].map(|path| path.to_str().expect("it is text"));
        let mut all = BTreeMap::new();
        for _ in 0..rounds {
            // Each round asks for other tasks: the file is edited, and applied to what is there.
            let count = 5 + draws.draw() % 40;
            let run_tasks =
                format!("\n[[run_task]]\ntask_definition = \"job\"\nlaunch_type = \"FARGATE\"\ncount = {count}\n");
            std::fs::write(path, file() + &run_tasks).unwrap();
            let _ = std::fs::remove_file(events);
            let arguments = ["run", path, "--data-dir", data, "--events", events];
            let mut child = longshore(folder, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            eventually("the first events", || {
                assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
                (!told(&PathBuf::from(events)).is_empty()).then_some(())
            });
            std::thread::sleep(Duration::from_millis(draws.draw() % 400));
            kill(&mut child);
            all.extend(told(&PathBuf::from(events)));
            check_tasks(Path::new(data), &all);
        }
        told_in_all.fetch_add(all.len() as u64, Ordering::Relaxed);
        let ended = document(folder, &["run", path, "--data-dir", data, "--for", "1ms", "--format", "json"]);
        let bill = document(folder, &["bill", "--data-dir", data, "--format", "json"]);
        assert_eq!(bill["total"], ended["bill"]["total"]);
        assert_eq!(bill["lines"], ended["bill"]["lines"]);
    });
    let told_in_all = told_in_all.into_inner();
    assert!(told_in_all > 20, "{told_in_all} tasks show little");
}
