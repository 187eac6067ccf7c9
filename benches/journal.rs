//! Does writing a journal slow a cluster down to less than half, and how fast is a replay?
//!
//! The events are those of 10,000 Fargate tasks that come and go: each runs, is sampled twice and ends. Cases, each in events a second:
//!
//! - `apply`: the control plane alone takes them in;
//! - `write whole`, `write digest`: they and their actions are written to a file;
//! - `read`: they are read from it; `replay`: the control plane is led through them and its actions are compared.
//!
//! Writing is affordable while `write` is no slower than a driver's whole way of an event, `apply` among it.

use std::collections::VecDeque;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use longshore::control_plane::ControlPlane;
use longshore::control_plane::action::Action;
use longshore::control_plane::event::{ContainerStateChange, Event, Request, TaskStateChange, TaskStep};
use longshore::driver::journal::reader::JournalReader;
use longshore::driver::journal::replay::Replay;
use longshore::driver::journal::writer::JournalWriter;
use longshore::driver::journal::{ActionsForm, JournalHeader};
use longshore::model::capacity::LaunchTarget;
use longshore::model::cluster::RunTaskSpec;
use longshore::model::ids::{RequestId, TaskId};
use longshore::model::settings::Settings;
use longshore::model::task::{ContainerExit, ContainerStatus};
use longshore::model::task_definition::{
    ContainerDefinition, LaunchType, NetworkMode, TaskDefinition, TaskDefinitionRef,
};
use longshore::model::units::{CpuUnits, MemoryMib, Timestamp, VcpuNanos};
use longshore::model::usage::{TaskUsage, UsageSample};

const TASKS: u64 = 10_000;
/// Tasks of one RunTask call.
const TASKS_AT_ONCE: u64 = 10;
/// Between two events.
const STEP_NANOS: u64 = 1_234_567;

type Step = (Timestamp, Event, Vec<Action>);

fn control_plane() -> ControlPlane {
    ControlPlane::new("bench", Settings::default())
}

/// The events in their order, and what the control plane makes of each.
fn steps() -> Vec<Step> {
    let definition = TaskDefinition {
        family: "web".into(),
        cpu: Some(CpuUnits(256)),
        memory: Some(MemoryMib(512)),
        network_mode: NetworkMode::Awsvpc,
        requires_compatibilities: [LaunchType::Fargate].into(),
        containers: vec![ContainerDefinition {
            name: "web".into(),
            image: "web.wasm".into(),
            ..ContainerDefinition::default()
        }],
        ..TaskDefinition::default()
    };
    let run_task = RunTaskSpec {
        task_definition: TaskDefinitionRef { family: "web".into(), revision: None },
        count: u32::try_from(TASKS_AT_ONCE).expect("a few"),
        launch_target: LaunchTarget::LaunchType(LaunchType::Fargate),
        ..RunTaskSpec::default()
    };
    let mut requests = vec![Request::RegisterTaskDefinition(Box::new(definition))];
    requests.extend((0..TASKS / TASKS_AT_ONCE).map(|_| Request::RunTask(Box::new(run_task.clone()))));
    let mut queue: VecDeque<Event> =
        (1..).zip(requests).map(|(id, request)| Event::Request { request_id: RequestId(id), request }).collect();
    let mut plane = control_plane();
    let mut steps = Vec::new();
    let mut now = Timestamp::ZERO;
    while let Some(event) = queue.pop_front() {
        now = Timestamp(now.0 + STEP_NANOS);
        let actions = plane.apply(now, event.clone());
        for action in &actions {
            if let Action::StartTask(start) = action {
                queue.extend(life(start.task, now));
            }
        }
        steps.push((now, event, actions));
    }
    assert_eq!(plane.state().live_count, 0, "every task has come and gone");
    steps
}

/// What the data plane reports of a task.
fn life(task: TaskId, began_at: Timestamp) -> [Event; 4] {
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
    [
        change(TaskStep::Running, ContainerStatus::Running, None),
        sample(100_000_000),
        sample(200_000_000),
        change(stopped, ContainerStatus::Stopped, Some(0)),
    ]
}

fn write(path: &Path, steps: &[Step], form: ActionsForm) {
    let header = JournalHeader::of(&control_plane(), "us-east-1", form);
    let mut writer = JournalWriter::create(path, &header).expect("the folder is writable");
    for (at, event, actions) in steps {
        writer.record(*at, event, actions).expect("there is room");
    }
    writer.flush().expect("there is room");
}

fn journal(criterion: &mut Criterion) {
    let steps = steps();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("journal.jsonl");
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(steps.len() as u64)).sample_size(10);
    group.bench_function("apply", |bencher| {
        let events = || steps.iter().map(|(at, event, _)| (*at, event.clone())).collect::<Vec<_>>();
        let setup = || (control_plane(), events());
        let take_in = |(mut plane, events): (ControlPlane, Vec<(Timestamp, Event)>)| {
            for (at, event) in events {
                black_box(plane.apply(at, event));
            }
            plane
        };
        bencher.iter_batched(setup, take_in, BatchSize::LargeInput);
    });
    for (name, form) in [("write digest", ActionsForm::Digest), ("write whole", ActionsForm::Whole)] {
        // Also what is read below, whichever case is asked for.
        write(&path, &steps, form);
        group.bench_function(name, |bencher| bencher.iter(|| write(&path, &steps, form)));
        let bytes = std::fs::metadata(&path).expect("it was written").len();
        println!("{name}: {} bytes an event", bytes / steps.len() as u64);
    }
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let mut reader = JournalReader::open(&path).expect("it was written");
            while let Some(record) = reader.read().expect("it is whole") {
                black_box(record);
            }
        });
    });
    group.bench_function("replay", |bencher| {
        bencher.iter(|| {
            let mut replay = Replay::open(&path).expect("it was written");
            while replay.step().expect("it leads to the same actions").is_some() {}
            assert_eq!(replay.replayed(), steps.len() as u64);
        });
    });
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
