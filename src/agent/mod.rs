//! The ECS agent's part: the containers of one task, in order.
//!
//! The control plane asks for a task as a whole; somebody must start its containers in the order of their dependencies, run
//! their health checks, start them again, and stop them in the reverse order. [`TaskAgent`] decides all of it. Like the
//! control plane it has no clock, no thread and no I/O: [`TaskAgent::apply`] takes what happened and returns what to do, and
//! whoever runs the containers (the data plane in real time, a test in virtual time) does it and tells what came of it.
//!
//! The health of targets of load balancers is apart from that and of the same kind: see [`TargetMonitors`].
//!
//! It knows nothing of where a task runs, of its services, and of what a container is made of.
//!
//! A container goes from *pending* over *starting* to *running* and ends *stopped*. After each event the agent [settles]: it
//! looks at every container that waits, starts those whose dependencies are met, gives up those whose dependencies never can
//! be, and, once the task is to end, signals those on which nobody depends any more.
//!
//! [settles]: TaskAgent::apply

mod event;
mod health;
mod order;
mod restart;
mod targets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use event::{AgentAction, AgentEvent, AgentReport, AgentStep, CheckResult};
pub use targets::{JobTaking, TargetChange, TargetMonitors};

use crate::control_plane::event::{ContainerStateChange, ContainerStateChanges};
use crate::model::container_order::DependencyCondition;
use crate::model::task::{CANNOT_START_CONTAINER, ContainerExit, ContainerStatus, HealthStatus};
use crate::model::task_definition::{ContainerDefinition, TaskDefinition};
use crate::model::units::{Duration, Timestamp};
use health::{CheckStep, HealthMonitor};
use order::{Dependency, DependencyView, Gate, gate};

/// The exit code of a container that never starts because of another one. **Source:** ecs-semantics §2.3.
pub const EXIT_NEVER_STARTED: i32 = 143;
/// How long a container may take from the order to start to its start. **Source:** ecs-semantics §3.6.
const START_TRANSITION_TIMEOUT: Duration = Duration::from_secs(3 * 60);

/// The containers of one task.
#[derive(Clone, Debug)]
pub struct TaskAgent {
    definition: Arc<TaskDefinition>,
    /// The stop timeout of containers that name none.
    stop_timeout: Duration,
    containers: Vec<Container>,
    phase: Phase,
    has_run: bool,
    failed_to_start: Option<String>,
    is_over: bool,
}

/// What the agent of a task that is over took of memory, for that of another task.
#[derive(Debug, Default)]
pub struct AgentRoom(Vec<Container>);

/// What the task is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its images are not all there.
    Pulling,
    /// It starts, and runs.
    Up,
    /// Its containers end, each in its turn.
    Stopping,
}

/// One container.
#[derive(Clone, Debug)]
struct Container {
    /// The containers that it waits for.
    dependencies: Vec<Dependency>,
    /// The containers that wait for it, by index.
    dependents: Vec<usize>,
    state: State,
    /// Starts after the first one.
    restart_count: u32,
    first_started_at: Option<Timestamp>,
    exit: ContainerExit,
    /// What its end is put down to, whatever it ends with.
    forced_exit: Option<ContainerExit>,
    monitor: Option<HealthMonitor>,
    stop: Stop,
    is_changed: bool,
    health_reported: HealthStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for its dependencies.
    Pending,
    /// Ordered to start.
    Starting { until: Timestamp },
    /// Runs.
    Running { since: Timestamp },
    /// Over, or never to be.
    Stopped,
}

/// How far the stop of a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Not begun.
    None,
    /// It was signalled and is killed at this moment.
    Signalled { kill_at: Timestamp },
    /// It was killed.
    Killed,
}

impl Container {
    /// Its known status. One that is being started again has not ceased to run. **Source:** ecs-semantics §1.5.2.
    fn status(&self) -> ContainerStatus {
        match self.state {
            State::Starting { .. } if self.restart_count > 0 => ContainerStatus::Running,
            State::Pending | State::Starting { .. } => ContainerStatus::Pending,
            State::Running { .. } => ContainerStatus::Running,
            State::Stopped => ContainerStatus::Stopped,
        }
    }

    fn is_up(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running { .. })
    }

    fn health(&self) -> HealthStatus {
        self.monitor.as_ref().map_or(HealthStatus::Unknown, HealthMonitor::status)
    }
}

impl TaskAgent {
    /// Whether a task needs an agent: without order, checks and restarts all of its containers start and stop together.
    pub fn is_needed_for(definition: &TaskDefinition) -> bool {
        definition.has_container_lifecycles()
    }

    /// The agent of a task that has not begun. `stop_timeout` is that of containers that name none.
    pub fn new(definition: Arc<TaskDefinition>, stop_timeout: Duration) -> TaskAgent {
        TaskAgent::new_in(AgentRoom::default(), definition, stop_timeout)
    }

    /// The same, in the room of one whose task is over.
    pub fn new_in(room: AgentRoom, definition: Arc<TaskDefinition>, stop_timeout: Duration) -> TaskAgent {
        let AgentRoom(mut containers) = room;
        containers.clear();
        let defined = &definition.containers;
        let dependencies = |container: &ContainerDefinition| -> Vec<Dependency> {
            let wanted = container.depends_on.iter();
            wanted
                .map(|dependency| Dependency {
                    container: defined.iter().position(|other| other.name == dependency.container_name),
                    condition: dependency.condition,
                })
                .collect()
        };
        containers.reserve_exact(defined.len());
        containers.extend(defined.iter().map(|container| {
            Container {
                dependencies: dependencies(container),
                dependents: (0..defined.len())
                    .filter(|other| {
                        defined[*other].depends_on.iter().any(|wanted| wanted.container_name == container.name)
                    })
                    .collect(),
                state: State::Pending,
                restart_count: 0,
                first_started_at: None,
                exit: ContainerExit::default(),
                forced_exit: None,
                monitor: None,
                stop: Stop::None,
                is_changed: false,
                health_reported: HealthStatus::Unknown,
            }
        }));
        TaskAgent {
            definition,
            stop_timeout,
            containers,
            phase: Phase::Pulling,
            has_run: false,
            failed_to_start: None,
            is_over: false,
        }
    }

    /// Gives up its room: its task is over, and nobody asks it anything any more.
    pub fn take_room(&mut self) -> AgentRoom {
        AgentRoom(std::mem::take(&mut self.containers))
    }

    /// How many times a container was started again so far.
    pub fn restart_count(&self, container_index: usize) -> u32 {
        self.containers.get(container_index).map_or(0, |container| container.restart_count)
    }

    /// Takes in what happened and says what to do, in this order. Late, repeated and unknown events change nothing.
    pub fn apply(&mut self, now: Timestamp, event: AgentEvent) -> Vec<AgentAction> {
        let mut actions = Vec::new();
        self.apply_into(now, event, &mut actions);
        actions
    }

    /// The same, with what to do put behind what is in `actions`, whose room is used again and again.
    pub fn apply_into(&mut self, now: Timestamp, event: AgentEvent, actions: &mut Vec<AgentAction>) {
        if self.is_over {
            return;
        }
        match event {
            AgentEvent::ImagesReady => {
                if self.phase == Phase::Pulling {
                    self.phase = Phase::Up;
                }
            }
            AgentEvent::ContainerStarted { container_index, attempt } => {
                self.container_started(now, container_index, attempt);
            }
            AgentEvent::ContainerExited { container_index, attempt, exit } => {
                self.container_exited(now, container_index, attempt, exit, actions);
            }
            AgentEvent::CheckFinished { container_index, check, result } => {
                let definition = self.definition.clone();
                let found = self.containers.get_mut(container_index).and_then(|found| found.monitor.as_mut());
                let defined = definition.containers.get(container_index).and_then(|found| found.health_check.as_ref());
                if let (Some(monitor), Some(defined)) = (found, defined) {
                    monitor.finished(now, check, result, defined);
                }
            }
            AgentEvent::StopRequested => self.phase = Phase::Stopping,
            AgentEvent::Killed => {
                self.phase = Phase::Stopping;
                for (container_index, container) in self.containers.iter_mut().enumerate() {
                    if container.is_up() && container.stop != Stop::Killed {
                        container.stop = Stop::Killed;
                        actions.push(AgentAction::Kill { container_index });
                    }
                }
            }
            AgentEvent::DeadlineReached => {}
        }
        self.deadlines(now, actions);
        self.settle(now, actions);
        self.report(actions);
    }

    /// Looks at what the end of a container is going to change, so that it is in a processor's cache by then.
    pub(crate) fn look_ahead(&self) -> u64 {
        let first = self.containers.first();
        let looks = first.map_or(0, |container| u64::from(container.is_changed) ^ container.dependents.len() as u64);
        looks ^ u64::from(self.is_over)
    }

    /// When the agent wants to be told `DeadlineReached`, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.is_over {
            return None;
        }
        let containers = self.containers.iter();
        let of_containers = containers.clone().filter_map(|container| {
            let stop = match container.stop {
                Stop::Signalled { kill_at } if container.is_up() => Some(kill_at),
                _ => None,
            };
            let start = match container.state {
                State::Starting { until } if container.stop == Stop::None => Some(until),
                _ => None,
            };
            let check = container.monitor.as_ref().and_then(HealthMonitor::deadline);
            [stop, start, check].into_iter().flatten().min()
        });
        let pending = containers.filter(|container| container.state == State::Pending && self.phase == Phase::Up);
        let of_dependencies = pending.flat_map(|container| &container.dependencies).filter_map(|dependency| {
            let target = self.containers.get(dependency.container?)?;
            let is_timed = dependency.condition != DependencyCondition::Start && target.state != State::Stopped;
            is_timed.then(|| self.start_deadline(dependency.container?)).flatten()
        });
        of_containers.chain(of_dependencies).min()
    }

    fn container_started(&mut self, now: Timestamp, container_index: usize, attempt: u32) {
        let Some(container) = self.containers.get_mut(container_index) else { return };
        if !matches!(container.state, State::Starting { .. }) || attempt != container.restart_count {
            return;
        }
        container.state = State::Running { since: now };
        container.first_started_at = container.first_started_at.or(Some(now));
        container.is_changed = true;
        let check = self.definition.containers[container_index].health_check.as_ref();
        // Checks end with the stop, so that one that begins in it would have nobody to hear of it.
        let check = check.filter(|_| container.stop == Stop::None);
        container.monitor = check.map(|check| HealthMonitor::started(now, check, container.monitor.as_ref()));
    }

    fn container_exited(
        &mut self,
        now: Timestamp,
        container_index: usize,
        attempt: u32,
        exit: ContainerExit,
        actions: &mut Vec<AgentAction>,
    ) {
        let Some(container) = self.containers.get_mut(container_index) else { return };
        if !container.is_up() || attempt != container.restart_count {
            return;
        }
        let exit = container.forced_exit.take().unwrap_or(exit);
        if let Some(monitor) = &mut container.monitor
            && let Some(check) = monitor.end()
        {
            actions.push(AgentAction::KillCheck { container_index, check });
        }
        let defined = &self.definition.containers[container_index];
        let is_to_stay_up = self.phase == Phase::Up && container.stop == Stop::None;
        if let (State::Running { since }, true, Some(policy)) =
            (container.state, is_to_stay_up, &defined.restart_policy)
            && restart::is_restarted(policy, exit.exit_code, now.since(since))
        {
            // It does not cease to be running for whoever asks. Source: ecs-semantics §1.5.2.
            container.restart_count += 1;
            container.state = State::Starting { until: now + START_TRANSITION_TIMEOUT };
            container.is_changed = true;
            actions.push(AgentAction::Start { container_index, attempt: container.restart_count });
            return;
        }
        self.container_over(container_index, exit);
    }

    fn container_over(&mut self, container_index: usize, exit: ContainerExit) {
        let container = &mut self.containers[container_index];
        let never_started = container.first_started_at.is_none();
        if never_started && self.definition.containers[container_index].essential && !self.has_run {
            // Only what could not start has a reason; what was merely stopped before has none.
            let reason = exit.reason.clone();
            self.failed_to_start = self.failed_to_start.take().or(reason);
        }
        container.state = State::Stopped;
        container.exit = exit;
        container.is_changed = true;
    }

    /// Does what is due at this moment.
    fn deadlines(&mut self, now: Timestamp, actions: &mut Vec<AgentAction>) {
        for (container_index, container) in self.containers.iter_mut().enumerate() {
            match container.stop {
                Stop::Signalled { kill_at } if container.is_up() && kill_at <= now => {
                    container.stop = Stop::Killed;
                    actions.push(AgentAction::Kill { container_index });
                }
                _ => {}
            }
            if let State::Starting { until } = container.state
                && until <= now
                && container.stop == Stop::None
            {
                // Source: ecs-semantics §2.4, its text being the agent's.
                let waited = START_TRANSITION_TIMEOUT.as_secs() / 60;
                let reason =
                    format!("DockerTimeoutError: Could not transition to started; timed out after waiting {waited}m0s");
                container.forced_exit = Some(ContainerExit { exit_code: None, reason: Some(reason) });
                container.stop = Stop::Killed;
                actions.push(AgentAction::Kill { container_index });
            }
            let defined = self.definition.containers[container_index].health_check.as_ref();
            if let (Some(monitor), Some(defined)) = (&mut container.monitor, defined) {
                match monitor.due(now, defined) {
                    Some(CheckStep::Start(check)) => actions.push(AgentAction::StartCheck { container_index, check }),
                    Some(CheckStep::Kill(check)) => actions.push(AgentAction::KillCheck { container_index, check }),
                    None => {}
                }
            }
        }
    }

    /// Starts, gives up and signals until nothing follows any more. **Source:** ecs-semantics §2.2, §2.3.
    fn settle(&mut self, now: Timestamp, actions: &mut Vec<AgentAction>) {
        loop {
            let lost = self.containers.iter().zip(&self.definition.containers);
            let lost = lost.clone().any(|(one, defined)| defined.essential && one.state == State::Stopped);
            let all_over = self.containers.iter().all(|one| one.state == State::Stopped);
            if lost || all_over {
                self.phase = Phase::Stopping;
            }
            let has_changed = match self.phase {
                Phase::Pulling => false,
                Phase::Up => self.start_those_ready(now, actions),
                Phase::Stopping => self.stop_those_free(now, actions),
            };
            if !has_changed {
                return;
            }
        }
    }

    /// **Source:** ecs-semantics §2.3.
    fn start_those_ready(&mut self, now: Timestamp, actions: &mut Vec<AgentAction>) -> bool {
        let mut has_changed = false;
        for container_index in 0..self.containers.len() {
            if self.containers[container_index].state != State::Pending {
                continue;
            }
            let view = |index: usize| self.view(index, now);
            match gate(&self.containers[container_index].dependencies, view) {
                Gate::Closed => {}
                Gate::Open => {
                    let until = now + START_TRANSITION_TIMEOUT;
                    self.containers[container_index].state = State::Starting { until };
                    actions.push(AgentAction::Start { container_index, attempt: 0 });
                }
                Gate::Never(why) => {
                    let reason = Some(format!("{CANNOT_START_CONTAINER}{why}"));
                    self.container_over(container_index, ContainerExit { exit_code: Some(EXIT_NEVER_STARTED), reason });
                    has_changed = true;
                }
            }
        }
        has_changed
    }

    fn view(&self, container_index: usize, now: Timestamp) -> DependencyView<'_> {
        let container = &self.containers[container_index];
        DependencyView {
            name: &self.definition.containers[container_index].name,
            status: container.status(),
            has_started: container.first_started_at.is_some(),
            exit_code: container.exit.exit_code,
            health: container.health(),
            start_timeout: self.definition.containers[container_index].start_timeout.unwrap_or_default(),
            is_timed_out: self.start_deadline(container_index).is_some_and(|deadline| deadline <= now),
        }
    }

    /// Until when a container must have become what others wait for. **Source:** ecs-semantics §1.5.
    fn start_deadline(&self, container_index: usize) -> Option<Timestamp> {
        let timeout = self.definition.containers[container_index].start_timeout?;
        Some(self.containers[container_index].first_started_at? + timeout)
    }

    /// Signals each container on which no other one depends that is not over. **Source:** ecs-semantics §2.3.
    fn stop_those_free(&mut self, now: Timestamp, actions: &mut Vec<AgentAction>) -> bool {
        let mut has_changed = false;
        for container_index in 0..self.containers.len() {
            let container = &self.containers[container_index];
            if container.state == State::Pending {
                self.container_over(container_index, ContainerExit::default());
                has_changed = true;
                continue;
            }
            let is_needed = container.dependents.iter().any(|index| self.containers[*index].state != State::Stopped);
            if !container.is_up() || container.stop != Stop::None || is_needed {
                continue;
            }
            let timeout = self.definition.containers[container_index].stop_timeout.unwrap_or(self.stop_timeout);
            let container = &mut self.containers[container_index];
            container.stop = Stop::Signalled { kill_at: now + timeout };
            if let Some(monitor) = &mut container.monitor
                && let Some(check) = monitor.end()
            {
                actions.push(AgentAction::KillCheck { container_index, check });
            }
            actions.push(AgentAction::SignalStop { container_index });
            if timeout.is_zero() {
                container.stop = Stop::Killed;
                actions.push(AgentAction::Kill { container_index });
            }
        }
        has_changed
    }

    /// Tells what changed, with the step that the task took. **Source:** ecs-semantics §2.2.
    fn report(&mut self, actions: &mut Vec<AgentAction>) {
        let mut changes = ContainerStateChanges::new();
        let count = self.containers.len();
        for (container_index, container) in self.containers.iter_mut().enumerate() {
            let health = container.health();
            let is_health_changed = health != container.health_reported;
            if !container.is_changed && !is_health_changed {
                continue;
            }
            container.is_changed = false;
            container.health_reported = health;
            if changes.is_empty() {
                changes.reserve_exact(count - container_index);
            }
            changes.push(ContainerStateChange {
                container_index,
                status: container.status(),
                exit: container.exit.clone(),
                health: is_health_changed.then_some(health),
                restart_count: container.restart_count,
                // What a container is made of is known to whoever runs it.
                image_digest: None,
            });
        }
        let all = |least| self.containers.iter().all(|container| container.status() >= least);
        let mut monitors = self.containers.iter().filter_map(|container| container.monitor.as_ref());
        let step = if all(ContainerStatus::Stopped) && !monitors.any(HealthMonitor::is_busy) {
            self.is_over = true;
            AgentStep::Stopped { failed_to_start: self.failed_to_start.take().filter(|_| !self.has_run) }
        } else if !self.has_run && self.phase == Phase::Up && all(ContainerStatus::Running) {
            self.has_run = true;
            AgentStep::Running
        } else if changes.is_empty() {
            return;
        } else {
            AgentStep::ContainersChanged
        };
        actions.push(AgentAction::Report(AgentReport { step, containers: changes }));
    }
}
