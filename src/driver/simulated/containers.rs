//! What containers do next, and what their agent makes of it.
//!
//! Two things call each other here: a container whose step is over is asked for its next one, until it computes, sleeps, waits or is
//! over; an agent that is told something asks for starts, stops and reports. Whatever one of them brings about for the other is put in a line
//! and done in its turn.

use std::collections::VecDeque;

use super::jobs::JobEnd;
use super::plane::{Happening, SimulatedPlane};
use super::processor::{Computation, Place};
use super::task::{ContainerWork, Doing};
use super::work::NEVER;
use crate::agent::{AgentAction, AgentEvent, AgentReport, AgentStep, CheckResult};
use crate::control_plane::event::TaskStep;
use crate::model::ids::{DeploymentId, TaskId};
use crate::model::task::{ContainerExit, ContainerStatus};
use crate::model::units::{Timestamp, VcpuNanos};
use crate::model::work::{Step, StepEnd};

/// The exit code of what was killed. **Source:** ecs-semantics §2.4.
const EXIT_KILLED: i32 = 137;
/// Steps in a row that take no time, after which the next one takes a nanosecond: whoever does nothing for ever must not stop time.
const STEPS_WITHOUT_TIME: u32 = 10_000;

/// Something to do for a task.
#[derive(Debug)]
pub(super) enum Next {
    Tell(AgentEvent),
    /// A container has started.
    Started {
        container: u32,
    },
    /// A container begins its work.
    Begin {
        container: u32,
    },
}

impl SimulatedPlane {
    /// Tells a task's agent something, and does all that follows from it. A task that is not known is ignored.
    pub(super) fn tell(&mut self, now: Timestamp, task: TaskId, event: AgentEvent) {
        self.do_all(now, task, Next::Tell(event));
    }

    fn do_all(&mut self, now: Timestamp, task: TaskId, first: Next) {
        let mut line = std::mem::take(&mut self.spare_line);
        let mut actions = std::mem::take(&mut self.spare_agent_actions);
        line.push_back(first);
        while let Some(next) = line.pop_front() {
            let Some(&slot) = self.slots.get(&task) else { break };
            match next {
                Next::Tell(event) => {
                    let Some(state) = self.tasks.get_mut(slot as usize) else { break };
                    state.agent.apply_into(now, event, &mut actions);
                    for action in actions.drain(..) {
                        self.do_for_agent(now, task, slot, action, &mut line);
                    }
                }
                Next::Started { container } => self.started(now, Place { slot, container }, &mut line),
                Next::Begin { container } => {
                    let exit = self.advance(now, Place { slot, container }, StepEnd::Began);
                    line.extend(exit.map(Next::Tell));
                }
            }
        }
        line.clear();
        self.spare_line = line;
        self.spare_agent_actions = actions;
        self.arm_agent(task);
    }

    /// Lets the agent hear of its next deadline.
    fn arm_agent(&mut self, task: TaskId) {
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get_mut(*slot as usize)) else { return };
        let deadline = state.agent.next_deadline();
        if deadline != state.agent_deadline {
            state.agent_deadline = deadline;
            if let Some(at) = deadline {
                self.queue.add(at, Happening::Agent(task));
            }
        }
    }

    pub(super) fn agent_due(&mut self, now: Timestamp, task: TaskId) {
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get_mut(*slot as usize)) else { return };
        if state.agent_deadline == Some(now) {
            state.agent_deadline = None;
            self.tell(now, task, AgentEvent::DeadlineReached);
        }
    }

    fn do_for_agent(
        &mut self,
        now: Timestamp,
        task: TaskId,
        slot: u32,
        action: AgentAction,
        line: &mut VecDeque<Next>,
    ) {
        let token = self.next_token();
        let Some(state) = self.tasks.get_mut(slot as usize) else { return };
        let place =
            |container_index: usize| Place { slot, container: u32::try_from(container_index).unwrap_or(u32::MAX) };
        match action {
            AgentAction::Start { container_index, attempt } => {
                let container = &mut state.containers[container_index];
                container.attempt = attempt;
                container.is_stopping = false;
                if let Some(executed) = &mut state.executed {
                    let guest = executed.start_container(container_index, now);
                    container.work = ContainerWork::Executed(Some(Box::new(guest)));
                }
                container.doing = Doing::Starting;
                container.token = token;
                if container.cold_start.is_zero() {
                    line.push_back(Next::Started { container: place(container_index).container });
                } else {
                    let at = now + container.cold_start;
                    self.queue.add(at, Happening::Container { place: place(container_index), token });
                }
            }
            AgentAction::SignalStop { container_index } => {
                let container = &mut state.containers[container_index];
                container.is_stopping = true;
                if container.work.hear_of_stop(container.doing, container.job.as_ref()) {
                    let exit = self.advance(now, place(container_index), StepEnd::EndOfInput);
                    line.extend(exit.map(Next::Tell));
                }
            }
            AgentAction::Kill { container_index } => {
                let has_begun = state.containers[container_index].doing != Doing::Starting;
                let exit_code = has_begun.then_some(EXIT_KILLED);
                let exit = self.end_container(now, place(container_index), ContainerExit { exit_code, reason: None });
                line.extend(exit.map(Next::Tell));
            }
            AgentAction::StartCheck { container_index, check } => {
                if let Some(executed) = &mut state.executed {
                    let at = place(state.start.task_definition.containers.len() + container_index);
                    let guest = executed.start_check(container_index, now).map(Box::new);
                    state.containers[at.container as usize].work = ContainerWork::Check(guest, check);
                    line.push_back(Next::Begin { container: at.container });
                    return;
                }
                // A modelled container is well for as long as it runs.
                let result = CheckResult::Passed;
                line.push_back(Next::Tell(AgentEvent::CheckFinished { container_index, check, result }));
            }
            AgentAction::KillCheck { container_index, .. } if state.executed.is_some() => {
                let at = place(state.start.task_definition.containers.len() + container_index);
                let end = self.end_container(now, at, ContainerExit::default());
                line.extend(end.map(Next::Tell));
            }
            AgentAction::KillCheck { container_index, check } => {
                let result = CheckResult::Failed;
                line.push_back(Next::Tell(AgentEvent::CheckFinished { container_index, check, result }));
            }
            AgentAction::Report(AgentReport { step, mut containers }) => {
                if let Some(executed) = &state.executed {
                    for change in containers.iter_mut().filter(|change| change.status == ContainerStatus::Running) {
                        change.image_digest = executed.image_digest(change.container_index);
                    }
                }
                let step = match step {
                    AgentStep::Running => TaskStep::Running,
                    AgentStep::ContainersChanged => TaskStep::ContainersChanged,
                    AgentStep::Stopped { failed_to_start } => TaskStep::Stopped {
                        usage: self.meters[slot as usize].usage(now, || Some(&*state)),
                        failed_to_start,
                    },
                };
                let is_over = matches!(step, TaskStep::Stopped { .. });
                let begins = step == TaskStep::Running;
                self.report(task, step, containers);
                if begins {
                    self.watch_targets(now, task);
                }
                if is_over {
                    self.forget(task);
                }
            }
        }
    }

    /// A container has started.
    fn started(&mut self, now: Timestamp, place: Place, line: &mut VecDeque<Next>) {
        let Some(state) = self.tasks.get_mut(place.slot as usize) else { return };
        let container_index = place.container as usize;
        let container = &mut state.containers[container_index];
        let attempt = container.attempt;
        container.doing = Doing::Nothing;
        if let Some((after, exit_code)) = container.crash {
            let crash = Happening::Crash { task: state.start.task, container: place.container, attempt, exit_code };
            self.queue.add(now + after, crash);
        }
        line.push_back(Next::Tell(AgentEvent::ContainerStarted { container_index, attempt }));
        line.push_back(Next::Begin { container: place.container });
    }

    /// What a container has waited for has come.
    pub(super) fn container_due(&mut self, now: Timestamp, place: Place, token: u64) {
        let Some(state) = self.tasks.get_mut(place.slot as usize) else { return };
        let task = state.start.task;
        let Some(container) = state.containers.get_mut(place.container as usize).filter(|one| one.token == token)
        else {
            return;
        };
        match container.doing {
            Doing::Starting => self.do_all(now, task, Next::Started { container: place.container }),
            Doing::Sleeping => self.go_on(now, place, StepEnd::Done),
            // For a job, and for no longer than until this moment.
            Doing::WaitingForJob => {
                container.doing = Doing::Sleeping;
                if let Some((service, ..)) = self.jobs_of(place) {
                    self.services[service].wait_no_longer(token);
                }
                self.go_on(now, place, StepEnd::Done);
            }
            Doing::Nothing | Doing::Computing => {}
        }
    }

    /// A container has done the work of its step.
    pub(super) fn computed(&mut self, now: Timestamp, place: Place) {
        let Some(state) = self.tasks.get_mut(place.slot as usize) else { return };
        let doing = state.containers.get(place.container as usize).map(|container| container.doing);
        if doing == Some(Doing::Computing) {
            self.go_on(now, place, StepEnd::Done);
        }
    }

    fn go_on(&mut self, now: Timestamp, place: Place, end: StepEnd) {
        let exit = self.advance(now, place, end);
        self.hear(now, place, exit);
    }

    fn hear(&mut self, now: Timestamp, place: Place, event: Option<AgentEvent>) {
        let Some(event) = event else { return };
        let Some(state) = self.tasks.get_mut(place.slot as usize) else { return };
        let task = state.start.task;
        self.tell(now, task, event);
    }

    /// A container crashes, if it is still the one that was to.
    pub(super) fn crash(&mut self, now: Timestamp, task: TaskId, container: u32, attempt: u32, exit_code: i32) {
        let Some(&slot) = self.slots.get(&task) else { return };
        let Some(state) = self.tasks.get_mut(slot as usize) else { return };
        let found = state.containers.get(container as usize);
        if found.is_some_and(|found| found.attempt == attempt && found.doing != Doing::Nothing) {
            let place = Place { slot, container };
            let exit = ContainerExit { exit_code: Some(exit_code), reason: None };
            let event = self.end_container(now, place, exit);
            self.hear(now, place, event);
        }
    }

    /// Hands waiting jobs of a service to containers that have nothing to do.
    pub(super) fn hand_out_jobs(&mut self, now: Timestamp, service: usize) {
        while let Some((place, token)) = self.services[service].next_waiting() {
            let state = self.tasks.get_mut(place.slot as usize);
            let container = state.and_then(|state| state.containers.get_mut(place.container as usize));
            // Others have gone in the meantime, or have something to do.
            if container.is_some_and(|one| one.token == token && one.doing == Doing::WaitingForJob) {
                self.go_on(now, place, StepEnd::Done);
            }
        }
    }

    /// Asks a container for step after step until one takes time. The event that it is over, when it is.
    fn advance(&mut self, now: Timestamp, place: Place, mut end: StepEnd) -> Option<AgentEvent> {
        let mut steps_left = STEPS_WITHOUT_TIME;
        let mut is_told_of_end = end == StepEnd::EndOfInput;
        // Whoever waited for a job is asked what it waits for once it is there.
        let mut step = match self.container(place)?.doing {
            Doing::WaitingForJob if end == StepEnd::Done => Some(Step::WaitForJob),
            _ => None,
        };
        loop {
            let next = match step.take() {
                Some(step) => step,
                None => {
                    let container = self.container(place)?;
                    container.work.next_step(now, std::mem::replace(&mut end, StepEnd::Done), container.job.as_ref())
                }
            };
            let next = match next {
                Step::Cpu(VcpuNanos(0)) if steps_left == 0 => Step::Cpu(VcpuNanos(1)),
                Step::SleepUntil(at) | Step::WaitForJobUntil(at) if at <= now && steps_left == 0 => {
                    Step::SleepUntil(Timestamp(now.0 + 1))
                }
                next => next,
            };
            steps_left = steps_left.saturating_sub(1);
            match next {
                Step::Cpu(VcpuNanos(0)) => {}
                Step::Cpu(work) => {
                    self.compute(now, place, work);
                    return None;
                }
                Step::SleepUntil(at) if at <= now => {}
                Step::SleepUntil(at) => {
                    self.leave_processor(now, place);
                    let token = self.next_token();
                    let container = self.container(place)?;
                    container.doing = Doing::Sleeping;
                    container.token = token;
                    if at < NEVER {
                        self.queue.add(at, Happening::Container { place, token });
                    }
                    return None;
                }
                Step::WaitForJobUntil(at) if at <= now => {}
                Step::WaitForJob | Step::WaitForJobUntil(_) => {
                    self.leave_job(now, place, JobEnd::Done);
                    let container = self.container(place)?;
                    container.asked = container.asked.wrapping_add(1);
                    if container.is_stopping && !std::mem::replace(&mut is_told_of_end, true) {
                        end = StepEnd::EndOfInput;
                        continue;
                    }
                    match self.take_job(now, place) {
                        Some(taken) => (step, end) = taken,
                        None => {
                            self.leave_processor(now, place);
                            let token = self.next_token();
                            let container = self.container(place)?;
                            container.doing = Doing::WaitingForJob;
                            container.token = token;
                            if let Step::WaitForJobUntil(at) = next {
                                self.queue.add(at, Happening::Container { place, token });
                            }
                            if let Some((service, task, deployment)) = self.jobs_of(place) {
                                self.services[service].wait(place, task, token, deployment);
                            }
                            return None;
                        }
                    }
                }
                Step::Exit(exit) => return self.end_container(now, place, exit),
            }
        }
    }

    fn container(&mut self, place: Place) -> Option<&mut super::task::SimulatedContainer> {
        self.tasks.get_mut(place.slot as usize)?.containers.get_mut(place.container as usize)
    }

    /// The service whose jobs a container takes, its task, and its deployment, which says which of them.
    fn jobs_of(&mut self, place: Place) -> Option<(usize, TaskId, Option<DeploymentId>)> {
        let task = self.tasks.get_mut(place.slot as usize)?;
        let (service, container) = task.takes_jobs?;
        (container == place.container as usize).then_some((service, task.start.task, task.start.deployment))
    }

    /// Gives a container its next job: what it does first, where that is known, and else what to tell it.
    fn take_job(&mut self, now: Timestamp, place: Place) -> Option<(Option<Step>, StepEnd)> {
        let (service, task, deployment) = self.jobs_of(place)?;
        // One that is to stop takes no more.
        if self.container(place)?.is_stopping {
            return None;
        }
        let job = self.services[service].take(now, task, deployment)?;
        let container = self.container(place)?;
        let taken = match &mut container.work {
            ContainerWork::Modelled(work) => (Some(work.job(job.draws)), StepEnd::Done),
            ContainerWork::Executed(_) | ContainerWork::Check(..) => (None, StepEnd::Job(job.line.clone())),
        };
        container.job = Some(job);
        Some(taken)
    }

    fn leave_job(&mut self, now: Timestamp, place: Place, end: JobEnd) {
        let Some(job) = self.container(place).and_then(|container| container.job.take()) else { return };
        let Some((service, task, deployment)) = self.jobs_of(place) else { return };
        self.services[service].leave(now, job, end, deployment);
        self.say_if_drained(task);
        if end == JobEnd::Died {
            // What was put back is there for others.
            self.services_to_serve.push(service);
        }
    }

    fn compute(&mut self, now: Timestamp, place: Place, work: VcpuNanos) {
        let Some(state) = self.tasks.get_mut(place.slot as usize) else { return };
        let index = state.processor;
        let defined = &state.start.task_definition.containers;
        // A check has the weight of its container.
        let defined = &defined[place.container as usize % defined.len()];
        let container = &mut state.containers[place.container as usize];
        let computation = Computation { weight: defined.cpu_shares().into(), most: container.work.rate(), work };
        let was_computing = std::mem::replace(&mut container.doing, Doing::Computing) == Doing::Computing;
        if let Some(shared) = self.processors.get_mut(index) {
            shared.processor.flow(now);
            if was_computing {
                shared.processor.go_on(place, work);
            } else {
                shared.processor.begin(place, state.claim.take(), computation);
            }
        }
        self.mark_changed(index);
    }

    /// A container computes no longer, if it did.
    fn leave_processor(&mut self, now: Timestamp, place: Place) {
        let Some(state) = self.tasks.get_mut(place.slot as usize) else { return };
        let index = state.processor;
        if state.containers[place.container as usize].doing != Doing::Computing {
            return;
        }
        let Some(shared) = self.processors.get_mut(index) else { return };
        shared.processor.flow(now);
        self.meters[place.slot as usize].add(shared.processor.take_done(place));
        state.claim = shared.processor.end(place).or(state.claim);
        self.mark_changed(index);
    }

    /// A container is over, wherever it is. The event that says so, unless it was over already.
    fn end_container(&mut self, now: Timestamp, place: Place, exit: ContainerExit) -> Option<AgentEvent> {
        self.leave_processor(now, place);
        let end = if exit.exit_code == Some(0) { JobEnd::Done } else { JobEnd::Died };
        self.leave_job(now, place, end);
        let container = self.container(place)?;
        container.doing = Doing::Nothing;
        container.token = 0;
        let attempt = container.attempt;
        match &mut container.work {
            ContainerWork::Modelled(_) => {}
            // The guest goes, wherever it is.
            ContainerWork::Executed(guest) => *guest = None,
            ContainerWork::Check(guest, check) => {
                *guest = None;
                let check = *check;
                let owners = self.tasks.get_mut(place.slot as usize)?.start.task_definition.containers.len();
                let container_index = place.container as usize - owners;
                let result = if exit.exit_code == Some(0) { CheckResult::Passed } else { CheckResult::Failed };
                return Some(AgentEvent::CheckFinished { container_index, check, result });
            }
        }
        Some(AgentEvent::ContainerExited { container_index: place.container as usize, attempt, exit })
    }
}
