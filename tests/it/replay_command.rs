//! `run --journal` and `replay` as their users call them: a real run with real guests, led through again.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use longshore::control_plane::ControlPlane;
use longshore::driver::journal::reader::JournalReader;
use longshore::driver::journal::writer::JournalWriter;
use serde_json::Value;

use crate::command_line::{cluster_file, document, longshore, output, service_that_spins, small_cluster};

/// Runs a cluster file with a journal; returns what it printed and where the journal is.
fn run(folder: &Path, file: &str, more: &[&str]) -> (Output, String) {
    let journal = folder.join("journal.jsonl").display().to_string();
    let arguments = ["run", file, "--format", "json", "--no-cache", "--journal", &journal];
    (output(&[&arguments, more].concat()), journal)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn replay(journal: &str, more: &[&str]) -> Value {
    let output = output(&[&["replay", journal, "--format", "json"], more].concat());
    assert!(output.status.success(), "{}", errors(&output));
    document(&output)
}

#[track_caller]
fn check_failure(output: &Output, code: i32, expected: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{}", errors(output));
    for text in expected {
        assert!(errors(output).contains(text), "no \"{text}\" in: {}", errors(output));
    }
}

/// What both documents say of the cluster, apart from what only the data plane knew and when it was asked.
#[track_caller]
fn check_same_cluster(run: &Value, replayed: &Value) {
    let cluster = &replayed["cluster"];
    for part in
        ["cluster", "region", "seed", "started_at", "tasks", "services", "container_instances", "alarms", "metrics"]
    {
        assert_eq!(run[part], cluster[part], "{part}");
    }
    assert_eq!(run["bill"], cluster["bill"]);
    assert!(!run["tasks"].as_array().expect("tasks").is_empty());
}

/// The journal of a run of real guests on both launch types leads to the same actions, the same state and the same bill.
#[test]
fn a_real_run_replays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = small_cluster(folder.path());
    for actions in ["whole", "digest"] {
        let (ran, journal) = run(folder.path(), &file, &["--journal-actions", actions]);
        assert!(ran.status.success(), "{}", errors(&ran));
        let replayed = replay(&journal, &[]);
        assert_eq!(replayed["journal"]["actions"], actions);
        assert_eq!(replayed["is_at_end"], true);
        assert_eq!(replayed["torn_at_byte"], Value::Null);
        check_same_cluster(&document(&ran), &replayed);
    }
}

/// So does that of services, whose tasks are sampled while they run and stopped in the end.
#[test]
fn a_real_service_replays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ran, journal) = run(folder.path(), &service_that_spins(folder.path()), &["--for", "1s"]);
    assert!(ran.status.success(), "{}", errors(&ran));
    check_same_cluster(&document(&ran), &replay(&journal, &[]));
}

/// A simulation's journal is the same bytes each time, in processes of their own, another for another seed, and replays.
#[test]
fn a_simulation_replays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = cluster_file(folder.path(), SIMULATED);
    let simulate = |name: &str, seed: &str| {
        let journal = folder.path().join(name).display().to_string();
        let arguments = ["simulate", &file, "--for", "2h", "--seed", seed, "--format", "json", "--journal", &journal];
        let simulated = output(&arguments);
        assert!(simulated.status.success(), "{}", errors(&simulated));
        (document(&simulated), journal)
    };
    let (simulated, journal) = simulate("first.jsonl", "7");
    let bytes = |journal: &str| std::fs::read(journal).expect("there is a journal");
    assert!(bytes(&journal) == bytes(&simulate("second.jsonl", "7").1), "the same seed gives other bytes");
    assert!(bytes(&journal) != bytes(&simulate("third.jsonl", "8").1), "another seed gives the same bytes");
    let replayed = replay(&journal, &[]);
    check_same_cluster(&simulated, &replayed);
    assert!(replayed["events"].as_u64() > Some(1000), "{}", replayed["events"]);
    assert_eq!(replay(&journal, &["--until", "1h"])["cluster"]["seconds"].as_f64(), Some(3600.0));
    let full = output(&["simulate", &file, "--journal", "/dev/full"]);
    check_failure(&full, 2, &["cannot write the journal /dev/full: "]);
}

const SIMULATED: &str = r#"
    [cluster]
    name = "simulated"
    [[capacity_provider]]
    name = "fleet"
    auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 3 }
    managed_scaling = { target_capacity = 90 }
    [[task_definition]]
    family = "web"
    memory = "512"
      [task_definition.simulation]
      work = "modelled"
      duration = { exponential = { mean = "90s" } }
      [[task_definition.container]]
      name = "main"
      cpu = 512
    [[service]]
    name = "web"
    task_definition = "web"
    desired_count = 5
    capacity_provider_strategy = [{ capacity_provider = "fleet", weight = 1 }]
    [[service]]
    name = "batch"
    task_definition = "web"
    desired_count = 2
    launch_type = "EC2"
"#;

/// It stops where it is told to, and shows the cluster there: tasks that are asked for later are not in it.
#[test]
fn a_replay_stops_where_it_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ran, journal) = run(folder.path(), &small_cluster(folder.path()), &[]);
    assert!(ran.status.success(), "{}", errors(&ran));
    let tasks = |document: &Value| document["cluster"]["tasks"].as_array().expect("tasks").len();
    let whole = replay(&journal, &[]);
    let count = whole["events"].as_u64().expect("a number");
    assert_eq!(tasks(&whole), 3);

    // The third task is asked for at 300 ms.
    let early = replay(&journal, &["--until", "250ms"]);
    assert_eq!((tasks(&early), &early["is_at_end"]), (2, &Value::Bool(false)));
    assert_eq!(early["cluster"]["seconds"].to_string(), "0.25");
    let events = early["events"].as_u64().expect("a number");
    assert_eq!(early["last_events"].as_array().expect("events").last().expect("one")["number"], events);
    assert_eq!(early["next_events"][0]["number"], events + 1);
    assert!(early["next_events"][0]["at"].as_u64() > Some(250_000_000));

    // The same moment by the calendar.
    let start: jiff::Timestamp = early["cluster"]["started_at"].as_str().expect("a time").parse().expect("a time");
    let until = (start + jiff::SignedDuration::from_millis(250)).to_string();
    assert_eq!(replay(&journal, &["--until", &until])["events"], early["events"]);

    let first = replay(&journal, &["--at-event", "1"]);
    assert_eq!((&first["events"], tasks(&first)), (&Value::from(1), 0));
    assert_eq!(replay(&journal, &["--at-event", &count.to_string()])["events"], count);

    let beyond = output(&["replay", &journal, "--at-event", "99999"]);
    check_failure(&beyond, 2, &[&format!("has {count} events, and --at-event names event 99999")]);
    let before = output(&["replay", &journal, "--until", "1999-12-31T00:00:00Z"]);
    check_failure(&before, 2, &["--until is before the cluster's start at "]);
    check_failure(&output(&["replay", &journal, "--until", "soon"]), 2, &["or a date, as in 2026-01-31T08:30:00Z"]);

    let text = output(&["replay", &journal, "--until", "250ms"]);
    let text = String::from_utf8_lossy(&text.stdout);
    let is_said = ["cluster small in us-east-1, seed 0", "TASKS", "CONTAINER INSTANCES", "BILL", "EVENTS", "not yet"];
    for part in is_said {
        assert!(text.contains(part), "no \"{part}\" in:\n{text}");
    }
}

/// A journal that is not as it was written, or no journal at all, is bad input; one that leads elsewhere has failed.
#[test]
fn a_replay_fails_loudly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ran, journal) = run(folder.path(), &small_cluster(folder.path()), &[]);
    assert!(ran.status.success(), "{}", errors(&ran));
    let bytes = std::fs::read(&journal).expect("there is a journal");

    let changed = folder.path().join("changed.jsonl").display().to_string();
    let mut other = bytes.clone();
    // A letter that no checksum has: it is what was said that has changed.
    let is_letter = |byte: &u8| (b'g'..=b'z').contains(byte);
    let middle = bytes.len() / 2;
    let changed_at = middle + bytes[middle..].iter().position(is_letter).expect("something is said behind the middle");
    other[changed_at] = b'7';
    std::fs::write(&changed, other).expect("the folder is writable");
    check_failure(
        &output(&["replay", &changed]),
        2,
        &["is corrupt at byte ", "(event ", "its checksum is", "--at-event "],
    );

    // What stands before the change can still be looked at.
    assert_eq!(replay(&changed, &["--at-event", "1"])["events"], 1);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let mut last_is_corrupt = bytes.clone();
    let last = bytes.len() - 2;
    last_is_corrupt[last] = b']';
    std::fs::write(&changed, last_is_corrupt).expect("the folder is writable");
    let before_it = output(&["replay", &changed, "--at-event", &(lines - 2).to_string(), "--format", "json"]);
    assert_eq!(document(&before_it)["is_at_end"], false);
    assert!(errors(&before_it).contains("what follows can't be read: "), "{}", errors(&before_it));

    std::fs::write(&changed, &bytes[..bytes.len() - 1]).expect("the folder is writable");
    let cut = output(&["replay", &changed]);
    assert!(cut.status.success(), "{}", errors(&cut));
    assert!(errors(&cut).contains("is not whole and was left out"), "{}", errors(&cut));

    let file = folder.path().join("cluster.toml").display().to_string();
    check_failure(&output(&["replay", &file]), 2, &["is not a journal"]);

    let number = lead_elsewhere(&journal, &changed);
    let differs = output(&["replay", &changed, "--format", "json"]);
    let expected = format!("event {number} at ");
    check_failure(
        &differs,
        1,
        &[
            &expected,
            "leads to other actions than those recorded",
            "action 1 is the first to differ",
            "recorded: ",
            "found: ",
        ],
    );
    assert!(differs.stdout.is_empty());
}

/// Writes a journal anew without the first action of its last event that has one. Returns that event's number.
fn lead_elsewhere(from: &str, to: &str) -> u64 {
    let mut reader = JournalReader::open(Path::new(from)).expect("a journal");
    let header = reader.header().clone();
    let mut plane = ControlPlane::new(&header.cluster, header.settings.clone());
    let mut records = Vec::new();
    while let Some((record, event)) = reader.read().expect("a journal") {
        let actions = plane.apply(record.at, event.clone());
        records.push((record, event, actions));
    }
    let (record, _, actions) = records.iter_mut().rev().find(|(_, _, actions)| !actions.is_empty()).expect("an action");
    let number = record.number;
    actions.remove(0);
    let mut writer = JournalWriter::create(Path::new(to), &header).expect("the folder is writable");
    for (record, event, actions) in &records {
        writer.record(record.at, event, actions).expect("the folder is writable");
    }
    number
}

/// What a process has written before it was killed replays, without a word of the rest but that it is missing.
#[test]
fn the_journal_of_a_killed_run_replays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = service_that_spins(folder.path());
    let journal = folder.path().join("journal.jsonl");
    let path = journal.display().to_string();
    let mut child = longshore(&["run", &file, "--no-cache", "--journal", &path])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    // A process that is killed while it writes leaves a part of its last line: only what is in a whole one is there for good.
    let is_running = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.contains("\"step\":\"running\"")
    };
    for _ in 0..600 {
        if is_running() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(is_running(), "its task never ran, or the journal was kept back");
    let replayed = replay(&path, &[]);
    // One of two: the other may have been on its way.
    let tasks = replayed["cluster"]["tasks"].as_array().expect("tasks");
    assert!(tasks.iter().any(|task| task["last_status"] == "RUNNING"), "{tasks:?}");
}

/// A journal that can't be written: known at once it is bad input, known later it is told and no reason to end the cluster.
#[cfg(target_os = "linux")]
#[test]
fn a_journal_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = small_cluster(folder.path());
    let full = output(&["run", &file, "--no-cache", "--journal", "/dev/full"]);
    check_failure(&full, 2, &["cannot write the journal /dev/full: No space left on device"]);
    check_failure(&output(&["run", &file, "--journal", "-"]), 2, &["--journal - would mix"]);
    check_failure(&output(&["run", &file, "--journal", &file]), 2, &["that is the cluster file"]);

    // Files of this process may not be larger than a few KiB, which the header is below.
    let journal = folder.path().join("journal.jsonl").display().to_string();
    let limited = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 6; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_longshore")])
        .args(["run", &file, "--format", "json", "--no-cache", "--journal", &journal])
        .output()
        .expect("there is a shell");
    assert!(limited.status.success(), "{}", errors(&limited));
    assert!(
        errors(&limited).contains("File too large (os error 27): nothing is written from here on"),
        "{}",
        errors(&limited)
    );
    let replayed = replay(&journal, &[]);
    assert!(replayed["torn_at_byte"].is_u64(), "{replayed}");
}
