//! `longshore run-task MODULE`: one standalone task in the foreground, its exit code this program's.
//!
//! The whole path is the one of every other task: a cluster of one task definition and at most one instance.

use std::collections::BTreeMap;

use super::format;
use super::signals::StopRequests;
use super::{Failure, Format, LaunchTypeArgument, Outcome, RunTaskArguments, bad_input, complain, failed};
use crate::catalog::Catalog;
use crate::control_plane::action::Response;
use crate::control_plane::event::Request;
use crate::data_plane::{DataPlaneOptions, Stdio};
use crate::driver::report::Report;
use crate::driver::running_cluster::{HostOptions, RunningCluster};
use crate::driver::snapshot::Snapshot;
use crate::model::capacity::{InstanceLaunch, LaunchTarget};
use crate::model::cluster::{ClusterSpec, RunTaskSpec};
use crate::model::settings::Settings;
use crate::model::task::{StopCode, Task};
use crate::model::task_definition::{
    ContainerDefinition, LaunchType, MountPoint, NetworkMode, TaskDefinition, TaskDefinitionRef, Volume, VolumeAccess,
};
use crate::model::units::{CpuUnits, Duration, MemoryMib};

const FAMILY: &str = "run-task";

pub(super) fn run_task(arguments: &RunTaskArguments) -> Outcome {
    let definition = task_definition(arguments).map_err(bad_input)?;
    let launch_type = match arguments.launch_type {
        LaunchTypeArgument::Fargate => LaunchType::Fargate,
        LaunchTypeArgument::Ec2 => LaunchType::Ec2,
    };
    let mut spec = ClusterSpec {
        name: "default".into(),
        region: "us-east-1".into(),
        settings: Settings { stop_timeout: arguments.stop_timeout, ..Settings::default() },
        task_definitions: vec![definition],
        ..ClusterSpec::default()
    };
    if launch_type == LaunchType::Ec2 {
        spec.container_instances = vec![smallest_instance(arguments).map_err(bad_input)?];
    }
    let stop_requests = StopRequests::listen().map_err(failed)?;
    let cluster = RunningCluster::start(
        spec,
        HostOptions {
            data_plane: DataPlaneOptions {
                stdio: Stdio::Inherited,
                // One container is all there will be.
                pooled_instances: 8,
                ..arguments.host.data_plane_options()
            },
            ..HostOptions::default()
        },
    )
    .map_err(failed)?;
    let task = start(&cluster, launch_type, arguments)?;
    watch(&cluster, &task, arguments.run_for, &stop_requests);
    if let Ok(Some(found)) = cluster.task(task)
        && found.started_at.is_none()
        && found.stop_code == Some(StopCode::UserInitiated)
    {
        complain(format!("{}: the task had not started", found.stopped_reason.as_deref().unwrap_or_default()));
        // A compilation cannot be broken off, and there is nothing else to wait for: it ends with the process.
        std::mem::forget(cluster);
        return Err(Failure::Failed);
    }
    cluster.drain();
    let snapshot = cluster.wait();
    let record = &snapshot.state.tasks.get(&task).ok_or(Failure::Failed)?.task;
    if arguments.usage {
        match arguments.format {
            Format::Text => anstream::eprintln!("{}", usage_line(&snapshot, record)),
            Format::Json => {
                let report = Report::of(&snapshot);
                let shown = report.tasks.first().ok_or(Failure::Failed)?;
                anstream::eprintln!("{}", serde_json::to_string_pretty(shown).expect("a report is plain data"));
            }
        }
    }
    outcome(record)
}

/// `used 1.25 vCPU-s, 12 MiB at most; costs 0.000123 USD`
fn usage_line(snapshot: &Snapshot, task: &Task) -> String {
    let usage = snapshot.meter.usage_records(snapshot.at).into_iter().find(|usage| usage.task == task.id);
    let cost = usage.as_ref().and_then(|usage| snapshot.meter.task_amount(usage));
    format!(
        "used {} vCPU-s, {} MiB at most; costs {}",
        format::vcpu_seconds(task.usage.vcpu),
        task.usage.memory_bytes_peak.div_ceil(1 << 20),
        cost.map_or_else(|| "-".into(), format::dollars),
    )
}

/// The task's exit code as this program's, and its reason where the code alone says too little.
fn outcome(task: &Task) -> Outcome {
    let exit = &task.containers[0].exit;
    if let Some(reason) = &exit.reason {
        complain(reason);
    } else if task.stop_code == Some(StopCode::TaskFailedToStart) {
        complain(task.stopped_reason.as_deref().unwrap_or("the task did not start"));
    }
    match exit.exit_code {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Guest(u8::try_from(code).unwrap_or(u8::MAX))),
        None => Err(Failure::Failed),
    }
}

/// Asks for the task, on EC2 as soon as its instance is there.
fn start(
    cluster: &RunningCluster,
    launch_type: LaunchType,
    arguments: &RunTaskArguments,
) -> Result<crate::model::ids::TaskId, Failure> {
    let notices = cluster.watch().map_err(failed)?;
    loop {
        let request = Request::RunTask(Box::new(RunTaskSpec {
            task_definition: TaskDefinitionRef { family: FAMILY.into(), revision: None },
            launch_target: LaunchTarget::LaunchType(launch_type),
            ..RunTaskSpec::default()
        }));
        match cluster.ask(request).map_err(bad_input)? {
            Response::RunTask { tasks, .. } if !tasks.is_empty() => return Ok(tasks[0]),
            Response::RunTask { failures, .. } if failures.iter().any(|failure| failure.instance.is_some()) => {
                let failure = &failures[0];
                complain(format!("{}: {}", failure.reason, failure.detail));
                return Err(Failure::BadInput);
            }
            // The instance is still booting: look again at the next thing that happens.
            _ => {
                let _ = notices.recv();
            }
        }
        if arguments.run_for.is_some_and(|time| cluster.clock().now().elapsed() > time) {
            return Err(Failure::Failed);
        }
    }
}

/// Waits for the task's end; stops it when its time is over or on Ctrl-C.
fn watch(
    cluster: &RunningCluster,
    task: &crate::model::ids::TaskId,
    run_for: Option<Duration>,
    stop_requests: &StopRequests,
) {
    let Ok(notices) = cluster.watch() else { return };
    let started = cluster.clock().now();
    let mut stopped = false;
    loop {
        match cluster.task(*task) {
            Ok(Some(found)) if found.stopped_at.is_none() => {}
            _ => return,
        }
        let elapsed = cluster.clock().now().since(started);
        let reason = match run_for {
            _ if stop_requests.any() => Some("interrupted"),
            Some(time) if elapsed >= time => Some("its time is over"),
            _ => None,
        };
        if let (Some(reason), false) = (reason, stopped) {
            stopped = true;
            let request = Request::StopTask { task: *task, reason: Some(reason.into()) };
            if cluster.ask(request).is_err() {
                return;
            }
        }
        let left = run_for.filter(|_| !stopped).map(|time| time.saturating_sub(elapsed));
        let pause = left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN);
        let _ = notices.recv_timeout(pause);
    }
}

/// How often a stop request is looked for while nothing happens.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

fn task_definition(arguments: &RunTaskArguments) -> Result<TaskDefinition, String> {
    if !arguments.module.exists() {
        return Err(format!("{}: there is no such module", arguments.module.display()));
    }
    let mut environment = BTreeMap::new();
    for pair in &arguments.environment {
        let (key, value) = pair
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("--env {pair}: a variable is given as NAME=VALUE"))?;
        environment.insert(key.to_string(), value.to_string());
    }
    let mut volumes = Vec::new();
    let mut mount_points = Vec::new();
    for (index, folder) in arguments.folders.iter().enumerate() {
        let (folder, access) = match folder.strip_suffix(":ro") {
            Some(folder) => (folder, VolumeAccess::ReadOnly),
            None => (folder.as_str(), VolumeAccess::ReadWrite),
        };
        let (host, guest) = folder.split_once("::").unwrap_or((folder, folder));
        if !std::path::Path::new(host).is_dir() {
            return Err(format!("--dir {host}: there is no such folder"));
        }
        if mount_points.iter().any(|earlier: &MountPoint| earlier.container_path == guest) {
            return Err(format!("--dir {folder}: the guest has a folder at {guest} already"));
        }
        let name = format!("dir-{index}");
        volumes.push(Volume { name: name.clone(), host_source_path: Some(host.to_string()) });
        mount_points.push(MountPoint { source_volume: name, container_path: guest.to_string(), access });
    }
    check_size(arguments)?;
    Ok(TaskDefinition {
        family: FAMILY.into(),
        cpu: Some(CpuUnits(arguments.cpu)),
        memory: Some(MemoryMib(arguments.memory)),
        network_mode: NetworkMode::Awsvpc,
        containers: vec![ContainerDefinition {
            name: "task".into(),
            image: arguments.module.display().to_string(),
            command: arguments.arguments.clone(),
            environment,
            mount_points,
            ..ContainerDefinition::default()
        }],
        volumes,
        ..TaskDefinition::default()
    })
}

/// Fargate has fixed sizes; on EC2 any will do that an instance holds. **Source:** ecs-semantics §1.4, §1.5, §8.1.
fn check_size(arguments: &RunTaskArguments) -> Result<(), String> {
    let (cpu, memory) = (CpuUnits(arguments.cpu), MemoryMib(arguments.memory));
    match arguments.launch_type {
        LaunchTypeArgument::Fargate => crate::config::check_fargate_size(cpu, memory, &Catalog::embedded()),
        LaunchTypeArgument::Ec2 if cpu.0 == 0 || memory.0 < 6 => {
            Err("a task on EC2 needs at least 1 CPU unit and 6 MiB".into())
        }
        LaunchTypeArgument::Ec2 => Ok(()),
    }
}

/// The cheapest general-purpose instance that holds the task, ready at once.
fn smallest_instance(arguments: &RunTaskArguments) -> Result<InstanceLaunch, String> {
    let catalog = Catalog::embedded();
    let fitting = catalog.instance_type_names().filter(|name| name.starts_with("m7i.")).filter_map(|name| {
        let found = catalog.instance_type(name)?;
        let fits = found.cpu_units().0 >= arguments.cpu && found.memory.0 >= arguments.memory;
        fits.then_some(found)
    });
    let instance_type = fitting
        .min_by_key(|found| (found.vcpus, found.memory))
        .ok_or_else(|| format!("no m7i instance holds {} CPU units and {} MiB", arguments.cpu, arguments.memory))?;
    Ok(InstanceLaunch { instance_type, availability_zone: "us-east-1a".into(), ..InstanceLaunch::default() })
}
