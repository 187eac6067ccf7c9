//! Journals: what is written is read again as it was, replays to the same actions, and shows every change that was made to it.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use longshore::control_plane::action::{Action, Notification};
use longshore::control_plane::event::{
    ContainerStateChange, Event, PutMetricData, Request, TaskProtection, TaskStateChange, TaskStep, UpdateService,
};
use longshore::driver::journal::reader::{JournalReadError, JournalReader, JournalRecord};
use longshore::driver::journal::replay::{Replay, ReplayError};
use longshore::driver::journal::writer::JournalWriter;
use longshore::driver::journal::{ActionsForm, JournalHeader};
use longshore::model::alarm::{Comparison, MetricAlarm, MetricId, MissingData, Statistic};
use longshore::model::cluster::ClusterSpec;
use longshore::model::cluster_query::ClusterQuery;
use longshore::model::deployment::{BreakerThreshold, DeploymentCircuitBreaker, DeploymentStrategy, OnHealthyTask};
use longshore::model::ids::{RequestId, ServiceDeploymentId, TaskId};
use longshore::model::image_reference::ImageDigest;
use longshore::model::metric::MetricScript;
use longshore::model::scaling::ScheduledAction;
use longshore::model::schedule::Schedule;
use longshore::model::service::{DeploymentConfiguration, PlacementConstraint};
use longshore::model::task::{ContainerExit, ContainerStatus, HealthStatus};
use longshore::model::units::{Duration, Fuel, Timestamp, VcpuNanos};
use longshore::model::usage::TaskUsage;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::control_plane_properties::{hostile_step, run_steps};
use crate::harness::{World, empty_cluster, latest, on_fargate, run, secs, task_definition};

const FORMS: [ActionsForm; 2] = [ActionsForm::Whole, ActionsForm::Digest];

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().expect("there is room for a folder"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with these bytes.
    fn holding(&self, bytes: &[u8]) -> PathBuf {
        let path = self.file("held.jsonl");
        std::fs::write(&path, bytes).expect("the folder is writable");
        path
    }
}

/// The journal that a driver of this cluster would have written.
fn write(path: &Path, world: &World, form: ActionsForm) {
    let header = JournalHeader::of(&world.plane, "us-east-1", form);
    let mut writer = JournalWriter::create(path, &header).unwrap();
    for ((at, event), actions) in world.journal.iter().zip(&world.actions) {
        writer.record(*at, event, actions).unwrap();
    }
    writer.flush().unwrap();
}

fn read_all(path: &Path) -> Result<(Vec<(JournalRecord, Event)>, JournalReader), JournalReadError> {
    let mut reader = JournalReader::open(path)?;
    let mut records = Vec::new();
    while let Some(record) = reader.read()? {
        records.push(record);
    }
    Ok((records, reader))
}

fn replay_all(path: &Path) -> Result<Replay, ReplayError> {
    let mut replay = Replay::open(path)?;
    while replay.step()?.is_some() {}
    Ok(replay)
}

/// A task that runs and ends.
fn small_world() -> World {
    let task_definitions = vec![task_definition("web", 256, 512)];
    let mut world = World::new(&ClusterSpec { task_definitions, ..empty_cluster() });
    world.run_task(run("web", 1, on_fargate()));
    world.run_for(2);
    world.crash(TaskId(1), 3);
    world
}

fn small_journal(form: ActionsForm) -> Vec<u8> {
    let folder = Folder::new();
    let path = folder.file("journal.jsonl");
    write(&path, &small_world(), form);
    std::fs::read(&path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every event of a random run is read as it was written, the same events give the same bytes, and the control plane that is led
    /// through them does what was recorded and ends in the same state.
    #[test]
    fn random_runs_replay(seed in 0u64..1000, steps in prop::collection::vec(hostile_step(), 1..60)) {
        let world = run_steps(seed, &steps);
        let folder = Folder::new();
        for form in FORMS {
            let (path, again) = (folder.file("first.jsonl"), folder.file("second.jsonl"));
            write(&path, &world, form);
            write(&again, &run_steps(seed, &steps), form);
            prop_assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap(), "the bytes differ");
            let (records, reader) = read_all(&path).unwrap();
            prop_assert_eq!(reader.header(), &JournalHeader::of(&world.plane, "us-east-1", form));
            let events: Vec<_> = records.into_iter().map(|(record, event)| (record.at, event)).collect();
            prop_assert_eq!(&events, &world.journal);
            let replay = replay_all(&path).unwrap();
            prop_assert_eq!(replay.replayed(), world.journal.len() as u64);
            prop_assert_eq!(format!("{:?}", replay.control_plane().state()), format!("{:?}", world.plane.state()));
        }
    }
}

/// What the random runs have none of: each field that can be left out is there once, and each kind of text that is parsed again.
#[test]
fn rare_events_are_read_as_they_were_written() {
    let query = |text: &str| PlacementConstraint::MemberOf(ClusterQuery::parse(text).unwrap().into());
    let schedule = |text: &str, zone| Schedule::parse(text, zone).unwrap();
    let long = format!("registeredAt > 2018-06-18 and attribute:rack in [{}]", ["'a b'"; 278].join(", "));
    let update = UpdateService {
        service: "web".into(),
        desired_count: Some(3),
        task_definition: Some(latest("web")),
        deployment_configuration: Some(DeploymentConfiguration {
            strategy: DeploymentStrategy::CANARY,
            circuit_breaker: Some(DeploymentCircuitBreaker {
                threshold: BreakerThreshold::Count(4),
                on_healthy_task: OnHealthyTask::KeepCounting,
                ..DeploymentCircuitBreaker::default()
            }),
            ..DeploymentConfiguration::default()
        }),
        placement_constraints: Some(vec![
            PlacementConstraint::DistinctInstance,
            query("attribute:stack =~ 'pr.*' and not (runningTasksCount > 3 or task:group == service:x)"),
            query(&long),
        ]),
        document: Some(serde_json::from_str(r#"{"z": [0.1, -0.0, {"a": null}], "ü\n": "\u0000"}"#).unwrap()),
        ..UpdateService::default()
    };
    let action = |name: &str, schedule| ScheduledAction {
        name: name.into(),
        schedule,
        start_time: Some("2026-01-31T08:30:00.000000001Z".parse().unwrap()),
        end_time: None,
        min_capacity: Some(1),
        max_capacity: None,
    };
    let put_action = |action| Request::PutScheduledAction { service: "web".into(), action: Box::new(action) };
    let metric = MetricId::new("Shop \"A\"\n", "Orders", &[("Zone", "é\u{0}")]);
    let requests = [
        Request::UpdateService(Box::new(update)),
        put_action(action("at", schedule("at(2026-01-31T08:30:00)", Some("Europe/Berlin")))),
        put_action(action("rate", schedule("rate(5 minutes)", None))),
        put_action(action("cron", schedule("cron(0 10 ? * MON-FRI *)", Some("Asia/Tokyo")))),
        Request::StopServiceDeployment {
            service_deployment: ServiceDeploymentId(u64::MAX),
            stop_type: longshore::model::deployment::StopType::Abort,
        },
        Request::UpdateTaskProtection {
            tasks: vec![TaskId(1)],
            protection: TaskProtection::Enabled { expires_in: Some(Duration::from_nanos(1)) },
        },
        Request::PutMetricData(PutMetricData { metric: metric.clone(), value: i64::MIN }),
        Request::PutMetricScript(MetricScript { metric: metric.clone(), steps: vec![(Timestamp(1), None)] }),
        Request::PutMetricAlarm(Box::new(MetricAlarm {
            name: "alarm".into(),
            metric,
            statistic: Statistic::SampleCount,
            period: secs(10),
            evaluation_periods: 1,
            datapoints_to_alarm: 1,
            threshold: -1,
            comparison: Comparison::LessThanOrEqual,
            missing_data: MissingData::Ignore,
        })),
        Request::SetAutoScaling { service: "web".into(), auto_scaling: None },
    ];
    let mut events: Vec<Event> =
        (1..).zip(requests).map(|(id, request)| Event::Request { request_id: RequestId(id), request }).collect();
    events.push(Event::TaskStateChange(TaskStateChange {
        task: TaskId(u64::MAX),
        step: TaskStep::Stopped {
            usage: TaskUsage {
                fuel: Fuel(1),
                host_call_time: Duration::from_nanos(2),
                cpu_time: secs(3),
                vcpu: VcpuNanos(4),
                memory_bytes_peak: 5,
                memory_bytes: 6,
                memory_mib_millis: 7,
            },
            failed_to_start: Some("CannotPullContainerError: \\ \u{2028}".into()),
        },
        pull_started_at: Some(Timestamp(0)),
        pull_stopped_at: None,
        containers: [ContainerStateChange {
            container_index: 1,
            status: ContainerStatus::Stopped,
            exit: ContainerExit { exit_code: Some(-1), reason: Some(String::new()) },
            health: Some(HealthStatus::Unhealthy),
            restart_count: 2,
            image_digest: Some(ImageDigest::of([0xa7; 32])),
        }]
        .into(),
    }));
    let mut world = small_world();
    world.journal = events.into_iter().map(|event| (Timestamp(5), event)).collect();
    world.actions = vec![Vec::new(); world.journal.len()];
    let folder = Folder::new();
    let path = folder.file("journal.jsonl");
    write(&path, &world, ActionsForm::Whole);
    let (records, _) = read_all(&path).unwrap();
    for ((_, event), (_, expected)) in records.iter().zip(&world.journal) {
        assert_eq!(event, expected);
    }
    assert_eq!(records.len(), world.journal.len());
}

/// Every cluster file of this repository becomes a journal that replays, a minute of it.
#[test]
fn cluster_files_replay() {
    let clusters = Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters");
    let folder = Folder::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&clusters).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let mut world = World::of_file(&std::fs::read_to_string(&path).unwrap());
        world.run_for(60);
        let journal = folder.file("journal.jsonl");
        write(&journal, &world, ActionsForm::Whole);
        let replay = replay_all(&journal).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(replay.replayed(), world.journal.len() as u64, "{}", path.display());
        count += 1;
    }
    assert!(count >= 4, "the cluster files were not found");
}

/// The form of a journal: what other programs read. It may not change without another version of the format.
#[test]
fn the_form() {
    let text = String::from_utf8(small_journal(ActionsForm::Whole)).unwrap();
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    // What requests and settings hold changes with what ECS offers, and the checksums with it.
    let mut shown = String::new();
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["crc"].as_str().map(str::len), Some(8), "{line}");
        let without_settings = line.split_once(",\"settings\"").map(|(before, _)| before);
        if let Some(before) = without_settings.or(line.contains("task_state_change").then_some(line)) {
            shown.extend([before.split_once(",\"crc\"").map_or(before, |(before, _)| before), "\n"]);
        }
    }
    expect![[r#"
        {"longshore_journal":1,"written_by":"VERSION","cluster":"test","region":"us-east-1","actions":"whole"
        {"at":1000000000,"event":{"task_state_change":{"task":1,"step":"running","pull_started_at":0,"pull_stopped_at":0,"containers":[{"container_index":0,"status":"RUNNING"}]}},"actions":[{"meter":{"task_started":{"task":1,"at":0,"identity":{"service":null,"task_definition":"web:1","tags":{},"placement":{"fargate":{"purchase_option":"on_demand","architecture":"X86_64","extra_storage_gib":0}},"cpu":256,"memory":512}}}},{"notify":{"task":{"task":1,"last_status":"RUNNING","desired_status":"RUNNING","version":2}}}]
        {"at":2000000000,"event":{"task_state_change":{"task":1,"step":{"stopped":{"usage":{}}},"pull_started_at":0,"containers":[{"container_index":0,"status":"STOPPED","exit":{"exit_code":3}}]}},"actions":[{"notify":{"task":{"task":1,"last_status":"RUNNING","desired_status":"RUNNING","version":3}}},{"notify":{"task":{"task":1,"last_status":"STOPPED","desired_status":"STOPPED","stop_code":"EssentialContainerExited","version":4}}},{"meter":{"task_stopped":{"task":1,"at":2000000000,"usage":{}}}}]
    "#]].assert_eq(&shown);
}

#[track_caller]
fn check_error(bytes: &[u8], expected: Expect) {
    let folder = Folder::new();
    let path = folder.holding(bytes);
    let error = replay_all(&path).err().map(|error| error.to_string()).unwrap_or_default();
    expected.assert_eq(&error.replace(path.to_str().unwrap(), "FILE").replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

/// One byte changed, anywhere: an error, or a last line that is said not to be whole.
#[test]
fn every_changed_byte_shows() {
    let folder = Folder::new();
    let bytes = small_journal(ActionsForm::Digest);
    let end = bytes.len() - 1;
    for index in 0..bytes.len() {
        for change in [1, 0x20, 0x80, bytes[index] ^ b'\n'] {
            let mut changed = bytes.clone();
            changed[index] ^= change;
            if changed == bytes {
                continue;
            }
            let result = read_all(&folder.holding(&changed));
            let is_said = index == end && result.as_ref().is_ok_and(|(_, reader)| reader.torn_at().is_some());
            assert!(result.is_err() || is_said, "byte {index} changed by {change:#x}");
        }
    }
}

/// A line that is left out, doubled or moved shows too.
#[test]
fn every_moved_line_shows() {
    let bytes = small_journal(ActionsForm::Whole);
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let folder = Folder::new();
    for index in 1..lines.len() - 1 {
        let (mut without, mut doubled, mut moved) = (lines.clone(), lines.clone(), lines.clone());
        without.remove(index);
        doubled.insert(index, lines[index]);
        moved.swap(index, index + 1);
        for changed in [without, doubled, moved] {
            assert!(read_all(&folder.holding(&changed.concat())).is_err(), "line {index}");
        }
    }
}

/// A file that was cut: what is whole is read, and what is not is said.
#[test]
fn a_cut_file_is_read_as_far_as_it_is_whole() {
    let bytes = small_journal(ActionsForm::Whole);
    let ends: Vec<usize> = (0..bytes.len()).filter(|index| bytes[*index] == b'\n').map(|index| index + 1).collect();
    let folder = Folder::new();
    for length in 0..=bytes.len() {
        let path = folder.holding(&bytes[..length]);
        let whole = ends.iter().filter(|end| **end <= length).count();
        match read_all(&path) {
            Err(JournalReadError::NotAJournal { .. }) => assert_eq!(whole, 0, "{length} bytes"),
            Err(error) => panic!("{length} bytes: {error}"),
            Ok((records, reader)) => {
                assert_eq!(records.len(), whole - 1, "{length} bytes");
                let last_end = ends[whole - 1];
                assert_eq!(reader.torn_at(), (last_end < length).then_some(last_end as u64), "{length} bytes");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let text = String::from_utf8(small_journal(ActionsForm::Whole)).unwrap();
    check_error(
        text.replacen("\"longshore_journal\":1", "\"longshore_journal\":2", 1).as_bytes(),
        expect![
            "the journal FILE is written in format 2 by longshore VERSION, and this is longshore VERSION, which reads format 1: use longshore VERSION"
        ],
    );
    check_error(
        b"{\"a\":1}\n",
        expect!["FILE is not a journal: its first line is not the header that `longshore run --journal` writes"],
    );
    check_error(
        b"",
        expect!["FILE is not a journal: its first line is not the header that `longshore run --journal` writes"],
    );
    // The third event is wrong; what its checksum is depends on all before it.
    let offset: usize = text.split_inclusive('\n').take(3).map(str::len).sum();
    let changed = text.replacen("\"count\":1", "\"count\":2", 1);
    let folder = Folder::new();
    let path = folder.holding(changed.as_bytes());
    let error = replay_all(&path).unwrap_err().to_string();
    let expected =
        format!("the journal {} is corrupt at byte {offset} (event 3): it says that its checksum is ", path.display());
    assert!(error.starts_with(&expected), "{error}");
    let missing = Folder::new();
    let error = Replay::open(&missing.file("nothing.jsonl")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the journal ") && error.contains("nothing.jsonl: "), "{error}");
}

/// A journal whose recorded actions are not what its events lead to. Here the record is wrong; that of another version of the
/// control plane differs in the same way.
#[test]
fn differing_actions_are_named() {
    let folder = Folder::new();
    let path = folder.file("journal.jsonl");
    let check = |change: &dyn Fn(&mut World), form, expected: Expect| {
        let mut world = small_world();
        change(&mut world);
        write(&path, &world, form);
        expected.assert_eq(&replay_all(&path).unwrap_err().to_string());
    };
    let at = small_world().actions.iter().position(|actions| actions.len() > 1 && starts_nothing(actions)).unwrap();
    let drop_one = |world: &mut World| drop(world.actions[at].remove(0));
    check(
        &drop_one,
        ActionsForm::Whole,
        expect![[r#"
        event 4 at 1.000s leads to other actions than those recorded
          event:    {"task_state_change":{"task":1,"step":"running","pull_started_at":0,"pull_stopped_at":0,"containers":[{"container_index":0,"status":"RUNNING"}]}}
          action 1 is the first to differ
          recorded: {"notify":{"task":{"task":1,"last_status":"RUNNING","desired_status":"RUNNING","version":2}}}
          found:    {"meter":{"task_started":{"task":1,"at":0,"identity":{"service":null,"task_definition":"web:1","tags":{},"placement":{"fargate":{"purchase_option":"on_demand","architecture":"X86_64","extra_storage_gib":0}},"cpu":256,"memory":512}}}}"#]],
    );
    check(
        &drop_one,
        ActionsForm::Digest,
        expect![[r#"
        event 4 at 1.000s leads to other actions than those recorded
          event:    {"task_state_change":{"task":1,"step":"running","pull_started_at":0,"pull_stopped_at":0,"containers":[{"container_index":0,"status":"RUNNING"}]}}
          recorded: {"count":1,"crc":"75c87d99"}
          found:    {"count":2,"crc":"3bbe1d43"}
          that is:  [{"meter":{"task_started":{"task":1,"at":0,"identity":{"service":null,"task_definition":"web:1","tags":{},"placement":{"fargate":{"purchase_option":"on_demand","architecture":"X86_64","extra_storage_gib":0}},"cpu":256,"memory":512}}}},{"notify":{"task":{"task":1,"last_status":"RUNNING","desired_status":"RUNNING","version":2}}}]"#]],
    );
    let add_one = |world: &mut World| world.actions[at].push(Action::StopTask { task: TaskId(7) });
    check(
        &add_one,
        ActionsForm::Whole,
        expect![[r#"
        event 4 at 1.000s leads to other actions than those recorded
          event:    {"task_state_change":{"task":1,"step":"running","pull_started_at":0,"pull_stopped_at":0,"containers":[{"container_index":0,"status":"RUNNING"}]}}
          action 3 is the first to differ
          recorded: {"stop_task":{"task":7}}
          found:    no such action"#]],
    );
}

fn starts_nothing(actions: &[Action]) -> bool {
    actions.iter().all(|action| matches!(action, Action::Meter(_) | Action::Notify(Notification::Task { .. })))
}

/// A process that ends while it takes an event in leaves the event, so that a replay ends there too.
#[test]
fn an_event_without_actions_is_replayed() {
    let world = small_world();
    let folder = Folder::new();
    let path = folder.file("journal.jsonl");
    let header = JournalHeader::of(&world.plane, "us-east-1", ActionsForm::Whole);
    let mut writer = JournalWriter::create(&path, &header).unwrap();
    let (at, event) = &world.journal[0];
    writer.event(*at, event);
    drop(writer);
    let (records, _) = read_all(&path).unwrap();
    assert_eq!(records[0].0.actions_text(), None);
    assert_eq!(&records[0].1, event);
    assert_eq!(replay_all(&path).unwrap().replayed(), 1);
}

/// A full disk is an error of the first write that does not fit.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said() {
    let header = JournalHeader::of(&small_world().plane, "us-east-1", ActionsForm::Whole);
    let error = JournalWriter::create(Path::new("/dev/full"), &header).unwrap_err();
    assert_eq!(error.to_string(), "cannot write the journal /dev/full: No space left on device (os error 28)");
}

/// Environment variables are in a journal: it is its owner's alone.
#[cfg(unix)]
#[test]
fn a_journal_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let path = folder.file("journal.jsonl");
    write(&path, &small_world(), ActionsForm::Whole);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// What a task's life takes on disk: it bounds what a day of a large cluster does.
#[test]
fn the_life_of_a_task_is_small() {
    let mut world = small_world();
    let before = world.journal.len();
    world.run_task(run("web", 10, on_fargate()));
    world.run_for(2);
    for task in 2..12 {
        world.crash(TaskId(task), 0);
    }
    world.journal.drain(..before);
    world.actions.drain(..before);
    let folder = Folder::new();
    let path = folder.file("journal.jsonl");
    let bytes = |form| {
        write(&path, &world, form);
        let header = JournalReader::open(&path).unwrap().progress().0;
        (std::fs::metadata(&path).unwrap().len() - header) / 10
    };
    let [whole, digest] = FORMS.map(bytes);
    assert!(whole < 1800 && digest < 900, "{whole} bytes a task with its actions, {digest} with their digest");
}
