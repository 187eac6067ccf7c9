//! A data plane with a place for its events, and shorthand for what tests ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::Receiver;
use longshore::control_plane::action::{TaskHost, TaskStart};
use longshore::control_plane::event::{Event, TaskStateChange, TaskStep};
use longshore::data_plane::clock::Clock;
use longshore::data_plane::{DataPlane, DataPlaneOptions};
use longshore::model::capacity::{InstanceLaunch, InstanceType};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::task::{ContainerExit, ContainerStatus, TaskOverrides};
use longshore::model::task_definition::{
    ContainerDefinition, CpuArchitecture, LaunchType, NetworkMode, TaskDefinition, VersionConsistency,
};
use longshore::model::units::{CpuUnits, MemoryMib};
use longshore::model::usage::TaskUsage;

use crate::guests;

/// Long enough for anything that is not a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A data plane with its events and a folder for what the test writes.
pub struct Plane {
    pub plane: DataPlane,
    pub events: Receiver<Event>,
    pub clock: Clock,
    pub folder: tempfile::TempDir,
    next_task: AtomicU64,
}

/// How a task went.
#[derive(Debug)]
pub struct Ended {
    pub exits: BTreeMap<usize, ContainerExit>,
    pub usage: TaskUsage,
    pub failed_to_start: Option<String>,
    pub steps: Vec<&'static str>,
}

impl Plane {
    pub fn new() -> Plane {
        Plane::with(DataPlaneOptions::default())
    }

    pub fn with(options: DataPlaneOptions) -> Plane {
        let (sender, events) = crossbeam_channel::unbounded();
        let clock = Clock::start_now();
        let plane = DataPlane::start(options, clock.clone(), sender).expect("the data plane starts");
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        Plane { plane, events, clock, folder, next_task: AtomicU64::new(1) }
    }

    /// Writes a module and returns its name as an image.
    pub fn module(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(format!("{name}.wat"));
        std::fs::write(&path, text).expect("the module is written");
        path.display().to_string()
    }

    pub fn start(&self, definition: TaskDefinition) -> TaskId {
        self.start_on(definition, TaskHost::Fargate, TaskOverrides::default(), None)
    }

    pub fn start_on(
        &self,
        definition: TaskDefinition,
        host: TaskHost,
        overrides: TaskOverrides,
        service: Option<&str>,
    ) -> TaskId {
        let task = TaskId(self.next_task.fetch_add(1, Ordering::Relaxed));
        self.plane.start_task(&Arc::new(TaskStart {
            task,
            task_definition: Arc::new(definition),
            overrides: Arc::new(overrides),
            host,
            service: service.map(Into::into),
            deployment: None,
            version_consistency: VersionConsistency::Enabled,
            stop_timeout: Duration::from_millis(300),
            targets: Vec::new(),
        }));
        task
    }

    pub fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("something happens in time")
    }

    pub fn change(&self) -> TaskStateChange {
        match self.next() {
            Event::TaskStateChange(change) => change,
            other => panic!("not a task's change: {other:?}"),
        }
    }

    pub fn wait_running(&self, task: TaskId) {
        loop {
            let change = self.change();
            match change.step {
                TaskStep::Running if change.task == task => return,
                TaskStep::Stopped { .. } if change.task == task => panic!("it ended: {change:?}"),
                _ => {}
            }
        }
    }

    /// Waits for the end of a task, whose earlier changes may have been read already.
    pub fn wait_stopped(&self, task: TaskId) -> Ended {
        let mut steps = Vec::new();
        let mut exits = BTreeMap::new();
        loop {
            let change = self.change();
            if change.task != task {
                continue;
            }
            for container in change.containers {
                if container.status == ContainerStatus::Stopped {
                    let before = exits.insert(container.container_index, container.exit);
                    assert!(before.is_none(), "a container's end is told once");
                }
            }
            match change.step {
                TaskStep::Pulling => steps.push("pulling"),
                TaskStep::Running => steps.push("running"),
                TaskStep::ContainersChanged => steps.push("changed"),
                TaskStep::Stopped { usage, failed_to_start } => {
                    steps.push("stopped");
                    return Ended { exits, usage, failed_to_start, steps };
                }
            }
        }
    }

    pub fn run(&self, definition: TaskDefinition) -> Ended {
        let task = self.start(definition);
        self.wait_stopped(task)
    }

    pub fn launch(&self, vcpus: u32) -> ContainerInstanceId {
        let instance = ContainerInstanceId(self.next_task.fetch_add(1, Ordering::Relaxed));
        let instance_type = InstanceType {
            name: "test.size".into(),
            vcpus,
            memory: MemoryMib(4096),
            architecture: CpuArchitecture::X86_64,
            ..InstanceType::default()
        };
        self.plane.launch_instance(
            instance,
            Arc::new(InstanceLaunch {
                instance_type: Arc::new(instance_type),
                availability_zone: "us-east-1a".into(),
                boot_time: Duration::from_millis(1),
                ..InstanceLaunch::default()
            }),
        );
        assert_eq!(self.next(), Event::InstanceRunning { instance });
        instance
    }

    pub fn vcpu(&self, task: TaskId) -> u64 {
        self.plane.usage_of(task).expect("it is live").vcpu.0
    }

    /// The part of a vCPU that each of the tasks gets in a window.
    #[expect(clippy::cast_precision_loss, reason = "a part of a vcpu is no exact number")]
    pub fn rates(&self, tasks: &[TaskId], window: Duration) -> Vec<f64> {
        let look = || (self.clock.now(), tasks.iter().map(|task| self.vcpu(*task)).collect::<Vec<_>>());
        let (began, before) = look();
        std::thread::sleep(window);
        let (ended, after) = look();
        let nanos = ended.since(began).as_nanos() as f64;
        before.iter().zip(after).map(|(before, after)| (after - before) as f64 / nanos).collect()
    }

    pub fn stdout(&self, task: TaskId, container: usize) -> String {
        String::from_utf8(self.plane.logs(task, container).expect("its output is kept").stdout).expect("it is text")
    }
}

/// A container of an image, essential.
pub fn container(image: &str) -> ContainerDefinition {
    ContainerDefinition {
        name: format!("c{:x}", image.len()),
        image: image.to_owned(),
        ..ContainerDefinition::default()
    }
}

/// A task of 0.25 vCPU and 64 MiB.
pub fn definition(containers: Vec<ContainerDefinition>) -> TaskDefinition {
    TaskDefinition {
        family: "test".into(),
        revision: 1,
        cpu: Some(CpuUnits(256)),
        memory: Some(MemoryMib(64)),
        network_mode: NetworkMode::Awsvpc,
        requires_compatibilities: BTreeSet::from([LaunchType::Fargate]),
        containers,
        ..TaskDefinition::default()
    }
}

pub fn limits(name: &str) -> String {
    guests::limits(name).display().to_string()
}

pub fn only(ended: &Ended) -> (Option<i32>, Option<&str>) {
    assert_eq!(ended.exits.len(), 1, "{ended:?}");
    (ended.exits[&0].exit_code, ended.exits[&0].reason.as_deref())
}

#[track_caller]
pub fn assert_near(what: f64, expected: f64, part: f64) {
    assert!((what - expected).abs() <= expected * part, "{what} is not within {part} of {expected}");
}
