//! A task in the data plane: from its start to the report that everything of it has ended.
//!
//! What happens to a task comes from several threads: the caller (start, stop), the threads that compile (its images are
//! there), the timers (a stop timeout is over) and the workers (a container ended). Its [`Phase`] is behind a lock that
//! is held for moments only and never across a guest's turn; every report is made under it, so that reports are in order.
//! Those that workers make wait in an outbox, which the workers send: in that of everybody, but for a task of which one worker says all.

mod driven;
mod targets;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Wake;

use parking_lot::Mutex;

use super::Shared;
use super::container::{Container, turn};
use super::image::{Image, ImageError, PinnedBy};
use super::jobs::ReaderEnd;
use super::kit::Kit;
use super::life::Life;
use super::memory::{ContainerMemory, TaskMemory};
use super::outbox::Outbox;
use super::payload::{Payload, TaskImages, TaskLimits};
use super::pool::{Message, Pool};
use super::preparation::Preparation;
use super::sandbox::{self, EXIT_KILLED, Launch, Special};
use super::stdio::{ContainerOutput, Input};
use super::storage;
use crate::agent::AgentEvent;
use crate::control_plane::action::TaskStart;
use crate::control_plane::event::{ContainerStateChange, ContainerStateChanges, Event, TaskStateChange, TaskStep};
use crate::model::task::{ContainerExit, ContainerStatus};
use crate::model::units::{Fuel, Timestamp, VcpuNanos};
use crate::model::usage::TaskUsage;
use driven::Driven;

/// A task.
pub(super) struct Task {
    payload: Arc<Payload>,
    kit: Arc<Kit>,
    /// Its containers, and behind them what runs their health checks.
    pub(super) containers: Vec<Arc<Container>>,
    memory: Arc<TaskMemory>,
    state: Mutex<State>,
}

/// Why containers are ended from outside.
#[derive(Clone, Debug)]
pub(super) enum Kill {
    /// Its stop timeout is over.
    StopTimeout,
    /// What it ran on is gone, or everything is.
    HostGone,
    /// The task has used up its budget of CPU work.
    BudgetExceeded(VcpuNanos),
    /// Its volumes hold more bytes than it may.
    StorageExceeded(u64),
}

impl Kill {
    fn exit(&self) -> ContainerExit {
        let reason = match self {
            Kill::StopTimeout | Kill::HostGone => None,
            Kill::BudgetExceeded(budget) => {
                Some(format!("BudgetExceeded: the task has used its budget of {} vCPU-seconds", budget.as_secs_f64()))
            }
            Kill::StorageExceeded(limit) => {
                Some(format!("StorageExceeded: the task's volumes hold more than its {} MiB of storage", limit >> 20))
            }
        };
        ContainerExit { exit_code: Some(EXIT_KILLED), reason }
    }
}

struct State {
    phase: Phase,
    stop_requested: bool,
    /// Whether it is in no target group any more.
    is_deregistered: bool,
    kill: Option<Kill>,
    failed_to_start: Option<String>,
    /// That the task is running, until its first turn is over.
    unsent: Option<Event>,
    pull_started_at: Option<Timestamp>,
    pull_stopped_at: Option<Timestamp>,
    preparation: Preparation,
    /// Set when its containers do not all start and end together.
    driven: Option<Box<Driven>>,
    ends: Vec<ContainerEnd>,
}

enum Phase {
    /// Its images are on their way.
    Pulling { images: Vec<Option<Arc<Image>>> },
    /// Handed to its pool.
    Admitted { images: TaskImages },
    /// Its containers run, or will have their first turn.
    Running { images: TaskImages },
    /// Everything has ended and was reported.
    Over,
}

#[derive(Clone, Default)]
struct ContainerEnd {
    exit: Option<ContainerExit>,
    is_reported: bool,
    /// The exit code that a fault has for it, until it is over.
    crash: Option<i32>,
}

impl ContainerEnd {
    /// How it ended, when its guest did not say: by a fault, if one ended it.
    fn take_crash(&mut self) -> Option<ContainerExit> {
        self.crash.take().map(|code| ContainerExit { exit_code: Some(code), reason: None })
    }
}

impl Task {
    /// A task. One that is ready to run is as if it had been handed to its pool; [`Task::begin`] is for others.
    pub(super) fn new(payload: &Arc<Payload>, shared: &Shared, kit: &Arc<Kit>) -> Arc<Task> {
        let Payload { start, limits, images, at, .. } = &**payload;
        let definition = &start.task_definition;
        let memory = Arc::new(TaskMemory::new(limits.memory_bytes, kit.clock.clone(), *at));
        let mut job_reader = shared.job_reader(start);
        let containers = definition.containers.iter().enumerate().map(|(index, container)| {
            let memory = ContainerMemory::new(memory.clone(), container.memory.map(|memory| memory.bytes()));
            let input = match job_reader.take_if(|(reads, _)| *reads == index) {
                Some((_, reader)) => Input::with_jobs(reader),
                None => Input::default(),
            };
            let log_path = shared.options.log_path(start, container);
            Container::new(memory, input, ContainerOutput::new(kit.output.clone(), start.task, index, log_path))
        });
        let mut containers: Vec<Arc<Container>> = containers.collect();
        if !start.targets.is_empty() {
            // Also one that is none takes jobs by the task's health.
            containers.iter().for_each(|container| container.input.become_target());
        }
        let (driven, checks) = Driven::of(start, &memory, shared);
        containers.extend(checks);
        let ready = images.as_ref().filter(|_| payload.is_ready());
        let pulled_at = ready.map(|_| *at);
        let phase = match ready {
            Some(images) => Phase::Admitted { images: images.clone() },
            None => Phase::Pulling { images: vec![None; definition.containers.len()] },
        };
        Arc::new(Task {
            payload: payload.clone(),
            kit: kit.clone(),
            containers,
            memory,
            state: Mutex::new(State {
                phase,
                stop_requested: false,
                is_deregistered: false,
                kill: None,
                failed_to_start: None,
                unsent: None,
                pull_started_at: pulled_at,
                pull_stopped_at: pulled_at,
                preparation: Preparation::default(),
                driven,
                ends: vec![ContainerEnd::default(); definition.containers.len()],
            }),
        })
    }

    /// What the control plane asked for.
    pub(super) fn start(&self) -> &Arc<TaskStart> {
        &self.payload.start
    }

    /// What it gets where it runs.
    pub(super) fn limits(&self) -> &TaskLimits {
        &self.payload.limits
    }

    fn pool(&self) -> &Pool {
        &self.payload.limits.pool
    }

    /// Gets the images and goes to the pool when they are all there.
    pub(super) fn begin(self: &Arc<Task>, shared: &Shared, now: Timestamp) {
        let containers = &self.start().task_definition.containers;
        {
            let mut state = self.state.lock();
            state.pull_started_at = Some(now);
            if let Some(images) = &self.payload.images {
                state.pull_stopped_at = Some(now);
                self.admit(&mut state, images.clone(), shared);
                return;
            }
            let change = self.change(TaskStep::Pulling, state.pull_started_at, None, ContainerStateChanges::new());
            shared.send(change);
        }
        for (index, container) in containers.iter().enumerate() {
            let task = self.clone();
            let by = PinnedBy::of(self.start(), container);
            shared.images.request(&container.image, by, Box::new(move |image| task.image_came(index, image)));
        }
    }

    fn image_came(self: &Arc<Task>, index: usize, image: Result<Arc<Image>, ImageError>) {
        let Some(shared) = self.kit.shared.upgrade() else { return };
        let mut state = self.state.lock();
        let Phase::Pulling { images } = &mut state.phase else { return };
        match image {
            Ok(image) => images[index] = Some(image),
            Err(error) => {
                state.failed_to_start = Some(error.to_string());
                self.be_over(&mut state, &shared);
                shared.outbox.flush();
                return;
            }
        }
        if images.iter().all(Option::is_some) {
            let images: TaskImages = images.iter_mut().filter_map(Option::take).collect();
            state.pull_stopped_at = Some(shared.clock.now());
            self.admit(&mut state, images, &shared);
        }
    }

    fn admit(self: &Arc<Task>, state: &mut State, images: TaskImages, shared: &Shared) {
        if state.driven.is_some() {
            state.phase = Phase::Running { images };
            self.drive(state, AgentEvent::ImagesReady, shared);
            return;
        }
        state.phase = Phase::Admitted { images };
        self.pool().send(Message::Start(self.clone()));
    }

    /// Asks the task to end: its guests see the end of their input, and have their stop timeout.
    pub(super) fn stop(self: &Arc<Task>, shared: &Shared) {
        let mut state = self.state.lock();
        if let Phase::Pulling { .. } = state.phase {
            self.be_over(&mut state, shared);
            shared.outbox.flush();
            return;
        }
        if state.driven.is_some() {
            self.drive(&mut state, AgentEvent::StopRequested, shared);
            return;
        }
        self.stop_containers(&mut state, shared);
    }

    fn stop_containers(self: &Arc<Task>, state: &mut State, shared: &Shared) {
        if state.stop_requested || matches!(state.phase, Phase::Over) {
            return;
        }
        state.stop_requested = true;
        for (index, container) in self.containers.iter().enumerate() {
            if state.ends[index].exit.is_some() {
                continue;
            }
            container.input.stop();
            let timeout =
                self.start().task_definition.containers[index].stop_timeout.unwrap_or(self.start().stop_timeout);
            let task = self.clone();
            shared.runtime.spawn(async move {
                tokio::time::sleep(timeout).await;
                task.kill_container(index, Kill::StopTimeout);
            });
        }
    }

    fn kill_container(self: &Arc<Task>, index: usize, kill: Kill) {
        let mut state = self.state.lock();
        if state.ends[index].exit.is_some() || matches!(state.phase, Phase::Over) {
            return;
        }
        state.kill.get_or_insert(kill);
        self.containers[index].is_killed.store(true, Ordering::SeqCst);
        drop(state);
        self.pool().send(Message::Kill(self.clone()));
    }

    /// Lets its first essential container end with an exit code, if it runs.
    pub(super) fn crash(self: &Arc<Task>, exit_code: i32) {
        let Some(index) = self.start().task_definition.job_container(None) else { return };
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Running { .. }) || state.ends[index].exit.is_some() {
            return;
        }
        state.ends[index].crash = Some(exit_code);
        self.containers[index].is_killed.store(true, Ordering::SeqCst);
        drop(state);
        self.pool().send(Message::Kill(self.clone()));
    }

    /// Ends the task at once.
    pub(super) fn kill(self: &Arc<Task>, kill: Kill, shared: &Shared) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Over => return,
            Phase::Pulling { .. } => {
                self.be_over(&mut state, shared);
                shared.outbox.flush();
                return;
            }
            Phase::Admitted { .. } | Phase::Running { .. } => {}
        }
        state.kill.get_or_insert(kill);
        if state.driven.is_some() {
            self.drive(&mut state, AgentEvent::Killed, shared);
            return;
        }
        for container in &self.containers {
            container.is_killed.store(true, Ordering::SeqCst);
        }
        drop(state);
        self.pool().send(Message::Kill(self.clone()));
    }

    /// The pool is gone and will not run the task.
    pub(super) fn refuse(self: &Arc<Task>, reason: &str, shared: &Shared) {
        let mut state = self.state.lock();
        state.failed_to_start.get_or_insert_with(|| reason.to_owned());
        self.be_over(&mut state, shared);
        shared.outbox.flush();
    }

    /// The life of a container that has its first turn. The first of a task readies what all of them need. `None`: the
    /// task could not be started, and its end will be reported.
    pub(super) fn life(self: &Arc<Task>, index: usize, shared: &Shared) -> Option<Life> {
        let mut state = self.state.lock();
        if state.failed_to_start.is_some() {
            return None;
        }
        if state.driven.is_some() {
            return self.driven_life(index, &mut state, shared);
        }
        if let Phase::Admitted { images } = &mut state.phase {
            let images = images.clone();
            match self.prepare(&mut state, shared) {
                Ok(()) => {
                    let running = |(container_index, image): (usize, &Arc<Image>)| ContainerStateChange {
                        container_index,
                        status: ContainerStatus::Running,
                        image_digest: Some(image.digest),
                        ..ContainerStateChange::default()
                    };
                    let containers = images.iter().enumerate().map(running).collect();
                    state.phase = Phase::Running { images };
                    self.watch_targets(shared);
                    let (started, stopped) = (state.pull_started_at, state.pull_stopped_at);
                    state.unsent = Some(self.change(TaskStep::Running, started, stopped, containers));
                }
                Err(reason) => {
                    state.failed_to_start = Some(reason);
                    for container in &self.containers {
                        container.is_killed.store(true, Ordering::SeqCst);
                    }
                    self.pool().send(Message::Kill(self.clone()));
                }
            }
        }
        let Phase::Running { images } = &state.phase else { return None };
        let launch = Launch {
            kit: self.kit.clone(),
            images: images.clone(),
            start: self.start().clone(),
            index,
            container: self.containers[index].clone(),
            mounts: state.preparation.mounts.get_mut(index).map(std::mem::take).unwrap_or_default(),
            special: Special::of(state.preparation.variables.get(index).cloned().flatten(), None),
        };
        Some(Box::pin(sandbox::run(launch)))
    }

    /// Reports the task as running, after its first turn: one that ends in it has both its reports together, which
    /// spares whoever listens to be woken twice.
    pub(super) fn report_running(&self, shared: &Shared) {
        let mut state = self.state.lock();
        if let Some(event) = state.unsent.take() {
            shared.outbox.add(event);
        }
    }

    fn prepare(self: &Arc<Task>, state: &mut State, shared: &Shared) -> Result<(), String> {
        let name = shared.options.id_form.task(self.start().task);
        state.preparation.make(self.start(), &shared.scratch, &name, shared.images.cache_folder())?;
        if let Some(folder) = state.preparation.volumes.scratch() {
            storage::watch(Arc::downgrade(self), folder.to_owned(), self.limits().storage_bytes, shared);
        }
        Ok(())
    }

    /// Its volumes hold more than they may: it ends.
    pub(super) fn exceeds_storage(self: &Arc<Task>, limit: u64) {
        if let Some(shared) = self.kit.shared.upgrade() {
            self.kill(Kill::StorageExceeded(limit), &shared);
        }
    }

    /// A container is over since `at`. `exit` is `None` when it was ended from outside. A task that ends in its first turn is told of by
    /// way of `own`, the worker's outbox.
    pub(super) fn container_ended(
        self: &Arc<Task>,
        index: usize,
        exit: Option<ContainerExit>,
        at: Timestamp,
        own: &Outbox,
        shared: &Shared,
    ) {
        let container = &self.containers[index];
        container.turn.store(turn::ENDED, Ordering::SeqCst);
        container.memory.release_at(at);
        container.output.finish();
        let mut state = self.state.lock();
        if state.driven.is_some() {
            self.driven_ended(index, exit, &mut state, shared);
            return;
        }
        if state.ends[index].exit.is_some() || matches!(state.phase, Phase::Over) {
            return;
        }
        let crash = state.ends[index].take_crash();
        let exit = match (exit.or(crash), &state.kill) {
            (Some(exit), _) => exit,
            // It never ran.
            (None, _) if !matches!(state.phase, Phase::Running { .. }) => ContainerExit::default(),
            (None, Some(kill)) => kill.exit(),
            (None, None) => Kill::HostGone.exit(),
        };
        container.input.end(if exit.exit_code == Some(0) { ReaderEnd::Done } else { ReaderEnd::Died });
        state.ends[index].exit = Some(exit);
        if state.ends.iter().all(|end| end.exit.is_some()) {
            // Somebody else says that images are pulled, and how targets are.
            let is_untold = state.unsent.is_some() && self.payload.images.is_some() && self.start().targets.is_empty();
            self.be_over_by(&mut state, if is_untold { own } else { &shared.outbox }, shared);
            return;
        }
        let running = state.unsent.take();
        let mut ended = None;
        if matches!(state.phase, Phase::Running { .. }) && state.failed_to_start.is_none() {
            let changed = self.unreported_ends(&mut state);
            ended = Some(self.change(TaskStep::ContainersChanged, None, None, changed));
        }
        shared.outbox.add_all(running.into_iter().chain(ended));
        if self.start().task_definition.containers[index].essential {
            self.stop_containers(&mut state, shared);
        }
    }

    fn unreported_ends(&self, state: &mut State) -> ContainerStateChanges {
        let ends = state.ends.iter_mut().enumerate();
        ends.filter(|(_, end)| !end.is_reported && end.exit.is_some())
            .map(|(container_index, end)| {
                end.is_reported = true;
                let exit = end.exit.clone().unwrap_or_default();
                ContainerStateChange {
                    container_index,
                    status: ContainerStatus::Stopped,
                    exit,
                    ..ContainerStateChange::default()
                }
            })
            .collect()
    }

    /// Everything of the task has ended: reports it, once, and lets go of what it held.
    fn be_over(&self, state: &mut State, shared: &Shared) {
        self.be_over_by(state, &shared.outbox, shared);
    }

    /// The same, by way of this outbox.
    fn be_over_by(&self, state: &mut State, outbox: &Outbox, shared: &Shared) {
        if matches!(state.phase, Phase::Over) {
            return;
        }
        let was_running = matches!(state.phase, Phase::Running { .. });
        state.phase = Phase::Over;
        for end in &mut state.ends {
            end.exit.get_or_insert_default();
        }
        for container in &self.containers {
            container.input.end(ReaderEnd::Died);
        }
        if let Some(scratch) = state.preparation.volumes.take_scratch() {
            shared.remove_folder(scratch);
        }
        let step = TaskStep::Stopped { usage: self.usage(shared), failed_to_start: state.failed_to_start.clone() };
        let (started, stopped) =
            if was_running { (None, None) } else { (state.pull_started_at, state.pull_stopped_at) };
        let containers = self.unreported_ends(state);
        // Only the output is kept. What is behind the containers are their checks.
        let count = self.start().task_definition.containers.len();
        self.payload.end(self.containers.iter().take(count).map(|container| container.output.keep()).collect());
        // One that ends in its first turn has both its reports together.
        let running = state.unsent.take();
        outbox.add_all(running.into_iter().chain([self.change(step, started, stopped, containers)]));
    }

    fn change(
        &self,
        step: TaskStep,
        pull_started_at: Option<Timestamp>,
        pull_stopped_at: Option<Timestamp>,
        containers: ContainerStateChanges,
    ) -> Event {
        let task = self.start().task;
        Event::TaskStateChange(TaskStateChange { task, step, pull_started_at, pull_stopped_at, containers })
    }

    /// Everything that the task has used so far.
    pub(super) fn usage(&self, shared: &Shared) -> TaskUsage {
        let mut usage = self.memory.used().as_usage();
        for meter in self.containers.iter().map(|container| &container.meter) {
            usage.fuel = Fuel(usage.fuel.0.saturating_add(meter.fuel().0));
            usage.host_call_time += meter.host_call_time();
            usage.cpu_time += meter.cpu_time();
            usage.vcpu += meter.vcpu(shared.measure);
        }
        usage
    }

    /// Ends the task when it has used more CPU work than it may.
    pub(super) fn hold_to_budget(self: &Arc<Task>, shared: &Shared) {
        let Some(budget) = self.start().overrides.vcpu_budget else { return };
        let used = self.containers.iter().fold(VcpuNanos(0), |sum, one| sum + one.meter.vcpu(shared.measure));
        if used > budget {
            self.kill(Kill::BudgetExceeded(budget), shared);
        }
    }
}

/// A container as its pool holds it, and what wakes it.
pub(super) struct Handle {
    pub(super) task: Arc<Task>,
    pub(super) index: usize,
}

impl Handle {
    pub(super) fn container(&self) -> &Container {
        &self.task.containers[self.index]
    }
}

impl Wake for Handle {
    fn wake(self: Arc<Handle>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Handle>) {
        let state = &self.container().turn;
        let mut seen = state.load(Ordering::SeqCst);
        loop {
            let next = match seen {
                turn::WAITING => turn::QUEUED,
                turn::RUNNING => turn::RUNNING_WOKEN,
                _ => return,
            };
            match state.compare_exchange(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(turn::WAITING) => return self.task.pool().send(Message::Wake(self.clone())),
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }
}
