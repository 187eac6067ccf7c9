//! What an agent is told, and what it asks for.

use crate::control_plane::event::ContainerStateChanges;
use crate::model::task::ContainerExit;

/// Something that happened to a task or its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentEvent {
    /// The images of all containers are there.
    ImagesReady,
    /// A container runs.
    ContainerStarted {
        /// Its index in the task definition.
        container_index: usize,
        /// That of its [`AgentAction::Start`].
        attempt: u32,
    },
    /// A container is over; without an exit code it could not be started.
    ContainerExited {
        /// Its index in the task definition.
        container_index: usize,
        /// That of its [`AgentAction::Start`].
        attempt: u32,
        /// How it ended.
        exit: ContainerExit,
    },
    /// A health check is over, by itself or because it was killed.
    CheckFinished {
        /// The container's index in the task definition.
        container_index: usize,
        /// That of its [`AgentAction::StartCheck`].
        check: u64,
        /// What came of it.
        result: CheckResult,
    },
    /// The task is to stop.
    StopRequested,
    /// The task is to end at once: what it runs on is gone, or it has used up what it may.
    Killed,
    /// The moment named by `next_deadline` has come.
    DeadlineReached,
}

/// What a health check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It ended with exit code 0.
    Passed,
    /// It ended otherwise, could not be run, or was killed.
    Failed,
}

/// Something to do for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAction {
    /// Run a container: `ContainerStarted`, then `ContainerExited`, both with this attempt.
    Start {
        /// Its index in the task definition.
        container_index: usize,
        /// Counts its starts from zero.
        attempt: u32,
    },
    /// Let a container know that it is to stop: its standard input is at its end.
    SignalStop {
        /// Its index in the task definition.
        container_index: usize,
    },
    /// End a container wherever it is: `ContainerExited`.
    Kill {
        /// Its index in the task definition.
        container_index: usize,
    },
    /// Run a container's health check: `CheckFinished`.
    StartCheck {
        /// The container's index in the task definition.
        container_index: usize,
        /// Counts the checks of the container.
        check: u64,
    },
    /// End a health check wherever it is: `CheckFinished`.
    KillCheck {
        /// The container's index in the task definition.
        container_index: usize,
        /// Which.
        check: u64,
    },
    /// Tell the control plane.
    Report(AgentReport),
}

/// What an agent has to say of its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentReport {
    /// The step that the task took.
    pub step: AgentStep,
    /// Containers of which something changed.
    pub containers: ContainerStateChanges,
}

/// The steps of a task after its images are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentStep {
    /// All its containers have started. **Source:** ecs-semantics §2.1, §2.2.
    Running,
    /// A container changed and the task did not.
    ContainersChanged,
    /// All its containers are over. The last health check is gone as well; nothing follows.
    Stopped {
        /// Why it never ran, if an essential container could not be started.
        failed_to_start: Option<String>,
    },
}
