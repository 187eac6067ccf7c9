//! The data plane: carries out actions on instances and tasks with real guests, and reports what happened as events.
//!
//! It knows nothing of services, placement or money. A task is handed to it whole ([`TaskStart`]) and comes back as
//! state changes ending in `Stopped` with everything that it used. Nothing here is global: several data planes live in
//! one process.

pub mod clock;
pub mod image;
pub mod jobs;
pub mod options;
pub mod stdio;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::control_plane::action::TaskStart;
use crate::control_plane::event::Event;
use crate::model::capacity::InstanceLaunch;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::VcpuNanos;
use crate::model::usage::UsageSample;
use clock::Clock;
use image::ImageError;
use jobs::JobQueue;
pub use options::{DataPlaneError, DataPlaneOptions, Stdio};
use stdio::CapturedLogs;

/// Runs tasks. Dropping it ends everything and joins its threads.
#[derive(Debug)]
pub struct DataPlane {}

/// CPU work that was promised to tasks while they had use for it, and what they got of it. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// What quotas, and the vCPUs of busy instances, promised while there was demand.
    pub wanted: VcpuNanos,
    /// What was delivered of that.
    pub delivered: VcpuNanos,
}

impl DataPlane {
    /// Starts the engine, its timers and the pool of Fargate tasks.
    ///
    /// `events` takes everything that happens. A receiver that is gone is no error: events are lost then.
    ///
    /// # Errors
    /// When a thread cannot be started, a folder not be used, or the engine refuses its settings.
    pub fn start(
        _options: DataPlaneOptions,
        _clock: Clock,
        _events: Sender<Event>,
    ) -> Result<DataPlane, DataPlaneError> {
        Ok(DataPlane {})
    }

    /// Launches an EC2 instance: `InstanceRunning` follows after its boot time.
    pub fn launch_instance(&self, _instance: ContainerInstanceId, _launch: Arc<InstanceLaunch>) {}

    /// Ends an instance and its tasks at once: `Stopped` of each task, then `InstanceTerminated`.
    pub fn terminate_instance(&self, _instance: ContainerInstanceId) {}

    /// Starts a task. One that was started before is ignored.
    pub fn start_task(&self, _start: &Arc<TaskStart>) {}

    /// Stops a task: end-of-file on standard input, then interruption after each container's stop timeout.
    pub fn stop_task(&self, _task: TaskId) {}

    /// Ends all tasks at once.
    pub fn kill_all(&self) {}

    /// Ends everything and joins all threads.
    pub fn shutdown(self) {}

    /// What every live task has used so far.
    pub fn usage(&self) -> Vec<UsageSample> {
        Vec::new()
    }

    /// What was promised and what was delivered, over all pools.
    pub fn delivery(&self) -> Delivery {
        Delivery::default()
    }

    /// The last output of a container of a task that runs, or was among the last 256 to stop.
    pub fn logs(&self, _task: TaskId, _container_index: usize) -> Option<CapturedLogs> {
        None
    }

    /// The jobs of a service.
    pub fn job_queue(&self, _service: &str) -> JobQueue {
        JobQueue::new()
    }

    /// Hands the jobs of a service to one container of each of its tasks that start from here on; `None` is the first
    /// essential one.
    pub fn attach_load(&self, _service: &str, _container: Option<String>) {}

    /// Builds and compiles an image ahead of its first task. The answer comes on the channel returned.
    pub fn prepare(&self, _image: &str) -> Receiver<Result<(), ImageError>> {
        crossbeam_channel::never()
    }
}
