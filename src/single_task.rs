//! One task and what came of it: the shortest way into the library.
//!
//! A convenience over [`RunningCluster`]: a cluster of one task definition, started for the task and gone after it. Who runs many
//! tasks keeps one cluster and asks it for each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::control_plane::action::Response;
use crate::control_plane::event::Request;
use crate::data_plane::DataPlaneOptions;
use crate::driver::running_cluster::{AskError, HostOptions, RunningCluster, StartError};
use crate::metering::quantity::Quantity;
use crate::model::capacity::LaunchTarget;
use crate::model::cluster::{ClusterSpec, RunTaskSpec};
use crate::model::settings::{CpuBasis, Settings};
use crate::model::task::{StopCode, TaskOverrides};
use crate::model::task_definition::{
    ContainerDefinition, LaunchType, MountPoint, NetworkMode, TaskDefinition, TaskDefinitionRef, Volume, VolumeAccess,
};
use crate::model::units::{CpuUnits, Duration, Fuel, MemoryMib, NanoUsd, VcpuNanos};
use crate::model::usage::TaskUsage;

const FAMILY: &str = "task";

/// A task to run in a sandbox of its own. Nothing is granted that is not named here: no file, no variable, no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// A `.wasm` or `.wat` file, or a Cargo package folder.
    pub image: PathBuf,
    /// CPU units, a hard quota: 1024 are one vCPU. Any number from 1; Fargate's sizes bind the cluster file, not the library.
    pub cpu: u32,
    /// Memory in MiB, a hard limit over everything that the task holds.
    pub memory_mib: u32,
    /// Arguments after the program's name.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// Folders: the host's, the guest's, and what may be done there.
    pub folders: Vec<(PathBuf, String, VolumeAccess)>,
    /// CPU work after which the task is ended with exit code 137; `None`: none.
    pub vcpu_budget: Option<Duration>,
    /// What a vCPU-second is counted in.
    pub cpu_basis: CpuBasis,
}

impl Task {
    /// A task of the smallest Fargate size: a quarter of a vCPU, 512 MiB.
    pub fn of(image: impl AsRef<Path>) -> Task {
        Task {
            image: image.as_ref().to_owned(),
            cpu: 256,
            memory_mib: 512,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            folders: Vec::new(),
            vcpu_budget: None,
            // Isolation on a real host is what an embedder wants.
            cpu_basis: CpuBasis::Time,
        }
    }

    fn definition(&self) -> TaskDefinition {
        let volume_name = |index: usize| format!("folder-{index}");
        TaskDefinition {
            family: FAMILY.into(),
            cpu: Some(CpuUnits(self.cpu)),
            memory: Some(MemoryMib(self.memory_mib)),
            network_mode: NetworkMode::Awsvpc,
            requires_compatibilities: [LaunchType::Fargate].into(),
            containers: vec![ContainerDefinition {
                name: "main".into(),
                image: self.image.display().to_string(),
                command: self.arguments.clone(),
                environment: self.environment.clone(),
                mount_points: self
                    .folders
                    .iter()
                    .enumerate()
                    .map(|(index, (_, guest, access))| MountPoint {
                        source_volume: volume_name(index),
                        container_path: guest.clone(),
                        access: *access,
                    })
                    .collect(),
                ..ContainerDefinition::default()
            }],
            volumes: self
                .folders
                .iter()
                .enumerate()
                .map(|(index, (host, ..))| Volume {
                    name: volume_name(index),
                    host_source_path: Some(host.display().to_string()),
                })
                .collect(),
            ..TaskDefinition::default()
        }
    }
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The guest's exit code; 134 for a trap, 137 when it was ended for its memory or its budget.
    pub exit_code: i32,
    /// Why, where the code alone says too little.
    pub reason: Option<String>,
    /// What it printed on standard output: the last 64 KiB.
    pub stdout: String,
    /// What it printed on standard error: the last 64 KiB.
    pub stderr: String,
    /// Everything that it used.
    pub usage: TaskUsage,
    /// The seconds that Fargate would bill.
    pub billed_seconds: u64,
    /// What Fargate would charge, in `us-east-1`.
    pub cost: NanoUsd,
}

impl Outcome {
    /// CPU work in vCPU-seconds, exactly.
    pub fn vcpu_seconds(&self) -> Quantity {
        Quantity::new(self.usage.vcpu.0.into(), 1_000_000_000)
    }

    /// Fuel burnt: the same number on every host.
    pub fn fuel(&self) -> Fuel {
        self.usage.fuel
    }
}

/// Why a task could not be run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The host could not start a cluster for it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The request was refused.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The task did not start: its image is missing, does not compile, or wants what is not there.
    #[error("{0}")]
    FailedToStart(String),
}

/// Options of a data plane that will run one container.
fn only_one() -> DataPlaneOptions {
    DataPlaneOptions { pooled_instances: 8, ..DataPlaneOptions::default() }
}

/// Runs a task to its end.
///
/// # Errors
/// When it can't be started. A task that fails is no error: see [`Outcome::exit_code`].
pub fn run(task: &Task) -> Result<Outcome, RunError> {
    let spec = ClusterSpec {
        name: "default".into(),
        region: "us-east-1".into(),
        settings: Settings { cpu_basis: task.cpu_basis, ..Settings::default() },
        task_definitions: vec![task.definition()],
        ..ClusterSpec::default()
    };
    let cluster = RunningCluster::start(spec, HostOptions { data_plane: only_one(), ..HostOptions::default() })?;
    let budget = task.vcpu_budget.map(|budget| VcpuNanos(u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX)));
    let response = cluster.ask(Request::RunTask(Box::new(RunTaskSpec {
        task_definition: TaskDefinitionRef { family: FAMILY.into(), revision: None },
        launch_target: LaunchTarget::LaunchType(LaunchType::Fargate),
        overrides: Arc::new(TaskOverrides { vcpu_budget: budget, ..TaskOverrides::default() }),
        ..RunTaskSpec::default()
    })))?;
    let id = match response {
        Response::RunTask { tasks, .. } => *tasks.first().expect("Fargate always has room"),
        other => unreachable!("RunTask is answered by its tasks, not by {other:?}"),
    };
    let stopped = cluster.wait_for_task(id).map_err(AskError::from)?;
    if stopped.stop_code == Some(StopCode::TaskFailedToStart) {
        return Err(RunError::FailedToStart(stopped.stopped_reason.as_deref().unwrap_or_default().to_string()));
    }
    let logs = cluster.data_plane().logs(id, 0).unwrap_or_default();
    let snapshot = cluster.snapshot().map_err(AskError::from)?;
    let record = snapshot.meter.usage_records(snapshot.at).into_iter().find(|record| record.task == id);
    let exit = &stopped.containers[0].exit;
    Ok(Outcome {
        exit_code: exit.exit_code.unwrap_or(137),
        reason: exit.reason.clone(),
        stdout: String::from_utf8_lossy(&logs.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&logs.stderr).into_owned(),
        usage: stopped.usage,
        billed_seconds: record.as_ref().and_then(|record| record.billed_seconds()).unwrap_or_default(),
        cost: record.as_ref().and_then(|record| snapshot.meter.task_amount(record)).unwrap_or_default(),
    })
}
