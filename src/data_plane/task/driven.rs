//! A task whose containers have an order, health checks or restarts: its [`TaskAgent`] decides, this does it in real time.
//!
//! Every event of such a task goes through [`Task::drive`], under the task's lock: it tells the agent, carries out what that asks
//! for and sets one timer for its next deadline. A container that is started again, and a health check that is run again, have
//! the place in the task that they had before: only their life is another. Checks have places behind those of the containers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::Shared;
use super::super::container::{Container, turn};
use super::super::jobs::ReaderEnd;
use super::super::life::Life;
use super::super::memory::{ContainerMemory, TaskMemory};
use super::super::pool::Message;
use super::super::sandbox::{self, Launch, Special};
use super::super::stdio::{CHECK_OUTPUT_BYTES, ContainerOutput, Input, OutputSettings};
use super::super::volumes::Mount;
use super::{ContainerEnd, Kill, Phase, State, Task};
use crate::agent::{AgentAction, AgentEvent, AgentReport, AgentStep, CheckResult, TaskAgent};
use crate::control_plane::action::TaskStart;
use crate::control_plane::event::TaskStep;
use crate::model::health_command::HealthCommand;
use crate::model::task::{ContainerExit, ContainerStatus};
use crate::model::units::Timestamp;

/// What a task that has an agent has beside others.
pub(super) struct Driven {
    agent: TaskAgent,
    /// The moment that the earliest timer waits for.
    armed: Option<Timestamp>,
    /// Whether volumes and variables are there.
    is_prepared: bool,
    /// Whether the control plane was told when the images were pulled.
    has_reported: bool,
    containers: Vec<DrivenContainer>,
}

#[derive(Default)]
struct DrivenContainer {
    attempt: u32,
    /// Whether it has had a turn since it was ordered to start.
    has_begun: bool,
    /// Where its checks run, among the task's containers.
    check_place: Option<usize>,
    /// The check that runs, or ran last.
    check: u64,
    mounts: Vec<Mount>,
}

impl Driven {
    /// The driven part of a task that needs one, and the places of its checks.
    pub(super) fn of(
        start: &TaskStart,
        memory: &Arc<TaskMemory>,
        shared: &Shared,
    ) -> (Option<Box<Driven>>, Vec<Arc<Container>>) {
        let definition = &start.task_definition;
        if !TaskAgent::is_needed_for(definition) {
            return (None, Vec::new());
        }
        let settings = Arc::new(OutputSettings::kept_alone(shared.clock.clone(), CHECK_OUTPUT_BYTES));
        let mut checks = Vec::new();
        let mut containers = Vec::new();
        for (index, container) in definition.containers.iter().enumerate() {
            let mut driven = DrivenContainer::default();
            if container.health_check.is_some() {
                driven.check_place = Some(definition.containers.len() + checks.len());
                let limit = container.memory.map(|memory| memory.bytes());
                let memory = ContainerMemory::new(memory.clone(), limit);
                let output = ContainerOutput::new(settings.clone(), start.task, index, None);
                // A check that reads its input finds it at its end.
                checks.push(Container::new(memory, Input::ended(), output));
            }
            containers.push(driven);
        }
        let agent = TaskAgent::new(definition.clone(), start.stop_timeout);
        let driven = Driven { agent, armed: None, is_prepared: false, has_reported: false, containers };
        (Some(Box::new(driven)), checks)
    }

    /// The container that a place among the task's containers belongs to.
    fn owner_of(&self, place: usize) -> Option<usize> {
        self.containers.iter().position(|container| container.check_place == Some(place))
    }
}

impl Task {
    /// Where the checks of a container run, among the task's containers.
    pub(in super::super) fn check_place(&self, container_index: usize) -> Option<usize> {
        let containers = &self.start().task_definition.containers;
        containers.get(container_index)?.health_check.as_ref()?;
        let before = containers[..container_index].iter().filter(|container| container.health_check.is_some());
        Some(containers.len() + before.count())
    }

    /// The weight of what runs at a place against its neighbours: a check has that of its container.
    pub(in super::super) fn shares(&self, place: usize) -> u64 {
        let containers = &self.start().task_definition.containers;
        let owner = (0..containers.len()).find(|index| *index == place || self.check_place(*index) == Some(place));
        owner.map_or(1, |owner| u64::from(containers[owner].cpu_shares()))
    }

    /// Tells the agent what happened, and does what it asks for.
    pub(super) fn drive(self: &Arc<Task>, state: &mut State, event: AgentEvent, shared: &Shared) {
        let Some(driven) = &mut state.driven else { return };
        if matches!(state.phase, Phase::Over) {
            return;
        }
        let now = shared.clock.now();
        let mut reports = 0;
        for action in driven.agent.apply(now, event) {
            match action {
                AgentAction::Start { container_index, attempt } => {
                    self.start_container(state, container_index, attempt, shared);
                }
                AgentAction::SignalStop { container_index } => self.containers[container_index].input.stop(),
                AgentAction::Kill { container_index } => {
                    state.kill.get_or_insert(Kill::StopTimeout);
                    self.kill_place(container_index);
                }
                AgentAction::StartCheck { container_index, check } => self.start_check(state, container_index, check),
                AgentAction::KillCheck { container_index, .. } => {
                    if let Some(place) = self.check_place(container_index) {
                        self.kill_place(place);
                    }
                }
                AgentAction::Report(report) => {
                    self.send_report(state, report, shared);
                    reports += 1;
                }
            }
        }
        self.arm(state, now, shared);
        if reports > 0 {
            shared.outbox.flush();
        }
    }

    fn kill_place(self: &Arc<Task>, place: usize) {
        self.containers[place].is_killed.store(true, Ordering::SeqCst);
        self.pool().send(Message::Kill(self.clone()));
    }

    fn start_container(self: &Arc<Task>, state: &mut State, container_index: usize, attempt: u32, shared: &Shared) {
        let Some(driven) = &mut state.driven else { return };
        let found = &mut driven.containers[container_index];
        found.attempt = attempt;
        found.has_begun = false;
        let container = &self.containers[container_index];
        if attempt > 0 {
            container.meter.begin_again();
            container.memory.begin_turn(shared.clock.now().0);
            container.output.begin_again(&container.memory);
            let jobs = shared.job_reader(self.start());
            container.input.begin_again(jobs.filter(|(index, _)| *index == container_index).map(|(_, reader)| reader));
        }
        self.run_place(container_index);
    }

    fn start_check(self: &Arc<Task>, state: &mut State, container_index: usize, check: u64) {
        let Some(driven) = &mut state.driven else { return };
        let found = &mut driven.containers[container_index];
        let Some(place) = found.check_place else { return };
        found.check = check;
        let container = &self.containers[place];
        container.meter.begin_again();
        container.output.clear();
        self.run_place(place);
    }

    fn run_place(self: &Arc<Task>, place: usize) {
        let container = &self.containers[place];
        container.is_killed.store(false, Ordering::SeqCst);
        container.turn.store(turn::QUEUED, Ordering::SeqCst);
        self.pool().send(Message::Run { task: self.clone(), place });
    }

    /// The life of what has its first turn. `None`: it does not come to that, and its end follows.
    pub(super) fn driven_life(self: &Arc<Task>, place: usize, state: &mut State, shared: &Shared) -> Option<Life> {
        let is_prepared = state.driven.as_ref().is_some_and(|driven| driven.is_prepared);
        if !is_prepared && let Err(reason) = self.prepare_driven(state, shared) {
            state.failed_to_start = Some(reason);
            self.drive(state, AgentEvent::Killed, shared);
            return None;
        }
        let Phase::Running { images } = &state.phase else { return None };
        let driven = state.driven.as_mut()?;
        let container_count = driven.containers.len();
        let owner = if place < container_count { place } else { driven.owner_of(place)? };
        let check = if place < container_count {
            None
        } else {
            let check = self.start().task_definition.containers[owner].health_check.as_ref()?;
            // What can not be read was refused when the task definition was registered.
            Some(HealthCommand::parse(&check.command).ok()?)
        };
        let launch = Launch {
            kit: self.kit.clone(),
            images: images.clone(),
            start: self.start().clone(),
            index: owner,
            container: self.containers[place].clone(),
            mounts: driven.containers[owner].mounts.clone(),
            special: Special::of(state.preparation.variables.get(owner).cloned().flatten(), check),
        };
        if place < container_count {
            let attempt = driven.containers[place].attempt;
            driven.containers[place].has_begun = true;
            self.drive(state, AgentEvent::ContainerStarted { container_index: place, attempt }, shared);
        }
        Some(Box::pin(sandbox::run(launch)))
    }

    fn prepare_driven(self: &Arc<Task>, state: &mut State, shared: &Shared) -> Result<(), String> {
        self.prepare(state, shared)?;
        let mounts = std::mem::take(&mut state.preparation.mounts);
        if let Some(driven) = &mut state.driven {
            for (container, mounts) in driven.containers.iter_mut().zip(mounts) {
                container.mounts = mounts;
            }
            driven.is_prepared = true;
        }
        Ok(())
    }

    /// What ran at a place is over; `None`: it was ended from outside.
    pub(super) fn driven_ended(
        self: &Arc<Task>,
        place: usize,
        exit: Option<ContainerExit>,
        state: &mut State,
        shared: &Shared,
    ) {
        let crash = state.ends.get_mut(place).and_then(ContainerEnd::take_crash);
        let Some(driven) = &state.driven else { return };
        let event = match driven.containers.get(place) {
            Some(found) => {
                let exit = match (exit.or(crash), &state.kill) {
                    (Some(exit), _) => exit,
                    (None, _) if !found.has_begun => ContainerExit::default(),
                    (None, Some(kill)) => kill.exit(),
                    (None, None) => Kill::HostGone.exit(),
                };
                let attempt = found.attempt;
                let end = if exit.exit_code == Some(0) { ReaderEnd::Done } else { ReaderEnd::Died };
                self.containers[place].input.end(end);
                AgentEvent::ContainerExited { container_index: place, attempt, exit }
            }
            None => {
                let Some(container_index) = driven.owner_of(place) else { return };
                let check = driven.containers[container_index].check;
                let passed = exit.as_ref().is_some_and(|exit| exit.exit_code == Some(0));
                if let Some(reason) = exit.and_then(|exit| exit.reason) {
                    let container = &self.containers[place];
                    container.output.note(&reason, &container.memory);
                }
                let result = if passed { CheckResult::Passed } else { CheckResult::Failed };
                AgentEvent::CheckFinished { container_index, check, result }
            }
        };
        self.drive(state, event, shared);
    }

    fn send_report(self: &Arc<Task>, state: &mut State, report: AgentReport, shared: &Shared) {
        let AgentReport { step, mut containers } = report;
        if let Phase::Running { images } = &state.phase {
            for change in containers.iter_mut().filter(|change| change.status == ContainerStatus::Running) {
                change.image_digest = images.get(change.container_index).map(|image| image.digest);
            }
        }
        let step = match step {
            AgentStep::Running => {
                self.watch_targets(shared);
                TaskStep::Running
            }
            AgentStep::ContainersChanged => TaskStep::ContainersChanged,
            AgentStep::Stopped { failed_to_start } => {
                for change in containers {
                    if change.status == ContainerStatus::Stopped {
                        state.ends[change.container_index].exit = Some(change.exit);
                    }
                }
                state.failed_to_start = state.failed_to_start.take().or(failed_to_start);
                self.be_over(state, shared);
                return;
            }
        };
        for change in containers.iter().filter(|change| change.status == ContainerStatus::Stopped) {
            let end = &mut state.ends[change.container_index];
            end.exit = Some(change.exit.clone());
            end.is_reported = true;
        }
        let is_first = state.driven.as_mut().is_some_and(|driven| !std::mem::replace(&mut driven.has_reported, true));
        let (started, stopped) = if is_first { (state.pull_started_at, state.pull_stopped_at) } else { (None, None) };
        shared.outbox.add(self.change(step, started, stopped, containers));
    }

    /// Sets a timer for the agent's next deadline, unless one is set that comes no later.
    fn arm(self: &Arc<Task>, state: &mut State, now: Timestamp, shared: &Shared) {
        let Some(driven) = &mut state.driven else { return };
        let Some(deadline) = driven.agent.next_deadline() else { return };
        if driven.armed.is_some_and(|armed| armed <= deadline) {
            return;
        }
        driven.armed = Some(deadline);
        let task = Arc::downgrade(self);
        shared.runtime.spawn(async move {
            tokio::time::sleep(deadline.since(now)).await;
            if let Some(task) = task.upgrade() {
                task.timer(deadline);
            }
        });
    }

    fn timer(self: &Arc<Task>, armed: Timestamp) {
        let Some(shared) = self.kit.shared.upgrade() else { return };
        let mut state = self.state.lock();
        let Some(driven) = &mut state.driven else { return };
        if driven.armed == Some(armed) {
            driven.armed = None;
            self.drive(&mut state, AgentEvent::DeadlineReached, &shared);
        }
    }
}
