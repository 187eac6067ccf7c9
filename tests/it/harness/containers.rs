//! The fake data plane's containers: tasks whose definition asks for order, checks or restarts are run by the real
//! [`TaskAgent`], in virtual time.
//!
//! A [`ContainerBehaviour`] says what a container does by itself; everything else is the agent's decision. What the agent orders is
//! written down, so that a scenario can show when a container was signalled as well as when it ended.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use longshore::agent::{AgentAction, AgentEvent, AgentReport, AgentStep, CheckResult, TaskAgent};
use longshore::control_plane::action::TaskStart;
use longshore::control_plane::event::{Event, TaskStep};
use longshore::model::ids::TaskId;
use longshore::model::rng::RandomStream;
use longshore::model::task::{CANNOT_START_CONTAINER, Container, ContainerExit, HealthStatus};
use longshore::model::task_definition::ContainerDefinition;
use longshore::model::units::{Duration, Timestamp};

use super::{FakeTask, Planned, World, at, change, secs};

/// What a container does by itself.
#[derive(Clone, Debug)]
pub struct ContainerBehaviour {
    /// Time from the order to start it to its start.
    pub start: Duration,
    /// What each of its starts comes to, the last one for all further ones.
    pub lives: Vec<Life>,
    /// Time from the signal to stop to its end, which is then 143: it has no handler for the signal.
    pub stop: Duration,
    /// What each of its health checks comes to, the last one for all further ones.
    pub checks: Vec<Check>,
}

/// What one start of a container comes to.
#[derive(Clone, Copy, Debug)]
pub enum Life {
    /// It runs until it is stopped.
    Endless,
    /// It ends by itself so long after its start.
    Exit { after: Duration, code: i32 },
    /// It can't be started.
    CannotStart,
    /// Its start never comes about.
    NeverStarts,
}

/// What one health check comes to.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// How long it takes, unless it is killed.
    pub takes: Duration,
    /// What it finds.
    pub result: CheckResult,
}

impl Default for ContainerBehaviour {
    fn default() -> ContainerBehaviour {
        ContainerBehaviour { start: secs(1), lives: vec![Life::Endless], stop: secs(1), checks: vec![PASSES] }
    }
}

/// A check that passes in a second.
pub const PASSES: Check = Check { takes: Duration::from_secs(1), result: CheckResult::Passed };
/// A check that fails in a second.
pub const FAILS: Check = Check { takes: Duration::from_secs(1), result: CheckResult::Failed };
/// A check that does not end by itself.
pub const HANGS: Check = Check { takes: Duration::from_secs(1_000_000), result: CheckResult::Passed };

impl ContainerBehaviour {
    /// Ends by itself so long after its start.
    pub fn ending(after: u64, code: i32) -> ContainerBehaviour {
        ContainerBehaviour { lives: vec![Life::Exit { after: secs(after), code }], ..ContainerBehaviour::default() }
    }

    /// Slow or quick, sound or not. What is not meant to run on always ends.
    fn by_chance(chance: &mut RandomStream, container: &ContainerDefinition) -> ContainerBehaviour {
        let mut millis = |bound: u64| Duration::from_millis(chance.below(bound));
        let (start, stop, after, takes) = (millis(5_000), millis(40_000), millis(150_000), millis(12_000));
        let life = match chance.below(8) {
            0 => Life::Exit { after, code: 1 },
            1 => Life::CannotStart,
            2 => Life::NeverStarts,
            _ if runs_on(container) => Life::Endless,
            _ => Life::Exit { after, code: 0 },
        };
        let check = |found: u64| match found {
            0 => Check { takes, result: CheckResult::Failed },
            1 => HANGS,
            _ => Check { takes, result: CheckResult::Passed },
        };
        let checks = (0..4).map(|_| check(chance.below(5))).collect();
        ContainerBehaviour { start, lives: vec![life], stop, checks }
    }
}

/// What agents asked for, as lines, and what was last shown of each container (the task itself being behind its last one).
#[derive(Default)]
pub(super) struct Story {
    orders: String,
    shown: BTreeMap<(TaskId, usize), String>,
}

/// A task that has an agent.
pub(super) struct FakeContainers {
    agent: TaskAgent,
    containers: Vec<FakeContainer>,
    /// When its images are there.
    pull_ends: Timestamp,
    /// Whether its containers were drawn: they are sound once the faults stop.
    is_drawn: bool,
    armed: Option<Timestamp>,
}

struct FakeContainer {
    behaviour: ContainerBehaviour,
    /// What it does instead once the faults have stopped.
    sound: ContainerBehaviour,
    /// When the last start of it comes about.
    begins_at: Timestamp,
}

fn nth<T: Copy>(items: &[T], index: usize) -> Option<T> {
    items.get(index).or(items.last()).copied()
}

impl World {
    /// Says what a container of a family's tasks does, for tasks that are started from here on.
    pub fn contain(&mut self, family: &str, container: &str, behaviour: ContainerBehaviour) {
        self.container_behaviours.insert((family.to_owned(), container.to_owned()), behaviour);
    }

    /// The containers of a task that needs an agent; its images are there when `pull_ends`.
    pub(super) fn containers_of(&mut self, start: &Arc<TaskStart>, pull_ends: Timestamp) -> Option<FakeContainers> {
        let definition = &start.task_definition;
        if !TaskAgent::is_needed_for(definition) {
            return None;
        }
        let containers = definition.containers.iter().map(|container| {
            let named = (definition.family.clone(), container.name.clone());
            let behaviour = match &mut self.faults {
                Some(chance) => ContainerBehaviour::by_chance(chance, container),
                None => self.container_behaviours.get(&named).cloned().unwrap_or_else(|| sound(container)),
            };
            FakeContainer { behaviour, sound: sound(container), begins_at: Timestamp::ZERO }
        });
        let containers: Vec<FakeContainer> = containers.collect();
        let agent = TaskAgent::new(definition.clone(), start.stop_timeout);
        self.plan_in(pull_ends.since(self.now), start.task, AgentEvent::ImagesReady);
        Some(FakeContainers { agent, containers, pull_ends, is_drawn: self.faults.is_some(), armed: None })
    }

    fn plan_in(&mut self, delay: Duration, task: TaskId, event: AgentEvent) {
        self.plan_at(self.now + delay, Planned::Agent(task, event));
    }

    /// Tells the agent of a task what happened, and does what it asks for. One that is gone hears nothing.
    pub(super) fn tell_agent(&mut self, task: TaskId, event: AgentEvent) {
        let Some(FakeTask { start, driven: Some(driven), began_at, usage, .. }) = self.tasks.get_mut(&task) else {
            return;
        };
        if event == AgentEvent::DeadlineReached && driven.armed.is_some_and(|armed| armed <= self.now) {
            driven.armed = None;
        }
        let (definition, began_at, usage, pull_ends) =
            (start.task_definition.clone(), *began_at, *usage, driven.pull_ends);
        let actions = driven.agent.apply(self.now, event);
        for action in actions {
            let name = |index: usize| definition.containers[index].name.as_str();
            match action {
                AgentAction::Start { container_index, attempt } => {
                    self.order(task, &format!("start {}", name(container_index)));
                    self.start_container(task, container_index, attempt);
                }
                AgentAction::SignalStop { container_index } => {
                    self.order(task, &format!("signal {}", name(container_index)));
                    self.end_container(task, container_index, None);
                }
                AgentAction::Kill { container_index } => {
                    self.order(task, &format!("kill {}", name(container_index)));
                    self.end_container(task, container_index, Some(137));
                }
                AgentAction::StartCheck { container_index, check } => self.start_check(task, container_index, check),
                AgentAction::KillCheck { container_index, check } => {
                    self.order(task, &format!("kill check {check} of {}", name(container_index)));
                    let finished = AgentEvent::CheckFinished { container_index, check, result: CheckResult::Failed };
                    self.plan_in(secs(0), task, finished);
                }
                AgentAction::Report(AgentReport { step, containers }) => {
                    let step = match step {
                        AgentStep::Running => TaskStep::Running,
                        AgentStep::ContainersChanged => TaskStep::ContainersChanged,
                        AgentStep::Stopped { failed_to_start } => TaskStep::Stopped { usage, failed_to_start },
                    };
                    let mut reported = change(task, step);
                    reported.pull_started_at = Some(began_at);
                    reported.pull_stopped_at = (pull_ends <= self.now).then_some(pull_ends);
                    reported.containers = containers;
                    self.schedule(self.now, Event::TaskStateChange(reported));
                }
            }
        }
        self.arm(task);
    }

    fn order(&mut self, task: TaskId, what: &str) {
        let _ = writeln!(self.story.orders, "{} T{task} {what}", self.now);
    }

    /// Plans the agent's next deadline, unless one is planned that comes no later.
    fn arm(&mut self, task: TaskId) {
        let now = self.now;
        let Some(driven) = self.driven(task) else { return };
        let Some(deadline) = driven.agent.next_deadline() else { return };
        assert!(deadline > now, "the agent of task {task} is not done with what is due at {deadline}");
        if driven.armed.is_none_or(|armed| deadline < armed) {
            driven.armed = Some(deadline);
            self.plan_at(deadline, Planned::Agent(task, AgentEvent::DeadlineReached));
        }
    }

    fn driven(&mut self, task: TaskId) -> Option<&mut FakeContainers> {
        self.tasks.get_mut(&task)?.driven.as_mut()
    }

    fn start_container(&mut self, task: TaskId, container_index: usize, attempt: u32) {
        let (now, is_healed) = (self.now, self.faults.is_none());
        let Some(driven) = self.driven(task) else { return };
        let is_healed = driven.is_drawn && is_healed;
        let container = &mut driven.containers[container_index];
        let lives = if is_healed { &container.sound.lives } else { &container.behaviour.lives };
        let life = nth(lives, attempt as usize).expect("there is at least one");
        let begins_in = container.behaviour.start;
        container.begins_at = if matches!(life, Life::NeverStarts) { at(1_000_000_000) } else { now + begins_in };
        let exited = |exit| AgentEvent::ContainerExited { container_index, attempt, exit };
        match life {
            Life::NeverStarts => {}
            Life::CannotStart => {
                let reason = Some(format!("{CANNOT_START_CONTAINER}no such program"));
                self.plan_in(begins_in, task, exited(ContainerExit { exit_code: None, reason }));
            }
            Life::Endless | Life::Exit { .. } => {
                self.plan_in(begins_in, task, AgentEvent::ContainerStarted { container_index, attempt });
                if let Life::Exit { after, code } = life {
                    self.plan_in(
                        begins_in + after,
                        task,
                        exited(ContainerExit { exit_code: Some(code), reason: None }),
                    );
                }
            }
        }
    }

    /// Lets a container end as it does when it is signalled, or at once with a code when it is killed. The agent takes what comes
    /// first.
    fn end_container(&mut self, task: TaskId, container_index: usize, killed: Option<i32>) {
        let now = self.now;
        let Some(driven) = self.driven(task) else { return };
        let attempt = driven.agent.restart_count(container_index);
        let container = &driven.containers[container_index];
        let has_begun = container.begins_at <= now;
        let (ends_at, exit_code) = match killed {
            Some(code) => (now, has_begun.then_some(code)),
            None => (container.begins_at.max(now) + container.behaviour.stop, Some(143)),
        };
        let exit = ContainerExit { exit_code, reason: None };
        let event = AgentEvent::ContainerExited { container_index, attempt, exit };
        self.plan_at(ends_at, Planned::Agent(task, event));
    }

    fn start_check(&mut self, task: TaskId, container_index: usize, check: u64) {
        let is_healed = self.faults.is_none();
        let Some(driven) = self.driven(task) else { return };
        let checks = &driven.containers[container_index].behaviour.checks;
        let drawn =
            usize::try_from(check - 1).ok().and_then(|index| nth(checks, index)).expect("there is at least one");
        let Check { takes, result } = if driven.is_drawn && is_healed { PASSES } else { drawn };
        self.plan_in(takes, task, AgentEvent::CheckFinished { container_index, check, result });
    }

    /// The first container of a task ends at this moment, if it has an agent and the container runs.
    pub(super) fn crash_container(&mut self, task: TaskId, exit_code: i32) {
        let Some(driven) = self.driven(task) else { return };
        let attempt = driven.agent.restart_count(0);
        let exit = ContainerExit { exit_code: Some(exit_code), reason: None };
        self.tell_agent(task, AgentEvent::ContainerExited { container_index: 0, attempt, exit });
    }

    /// What happens up to a moment: what agents order, and what the control plane then shows of tasks and containers.
    pub fn story_until(&mut self, seconds: u64) -> String {
        let mut story = String::new();
        loop {
            story.push_str(&std::mem::take(&mut self.story.orders));
            for (id, record) in self.plane.state().tasks.iter() {
                let task = &record.task;
                let defined = task.task_definition.containers.iter().zip(&task.containers);
                let mut lines: Vec<String> =
                    defined.map(|(defined, found)| format!("{} {}", defined.name, show(found))).collect();
                let why = task.stop_code.map(|code| {
                    format!(" {}: {}", code.as_str(), task.stopped_reason.as_deref().unwrap_or("no reason"))
                });
                lines.push(format!("is {}{}", task.last_status, why.unwrap_or_default()));
                for (index, line) in lines.into_iter().enumerate() {
                    let before = self.story.shown.insert((id, index), line.clone());
                    if before.as_ref() != Some(&line) && !(before.is_none() && line.ends_with(" PENDING")) {
                        let _ = writeln!(story, "{} T{id} {line}", self.now);
                    }
                }
            }
            if !self.step(at(seconds)) {
                self.now = at(seconds);
                return story;
            }
        }
    }
}

/// Whether a container is meant to run on; others are done with their work after a while.
fn runs_on(container: &ContainerDefinition) -> bool {
    container.essential || container.health_check.is_some()
}

/// What a container does that nobody said anything of.
fn sound(container: &ContainerDefinition) -> ContainerBehaviour {
    if runs_on(container) { ContainerBehaviour::default() } else { ContainerBehaviour::ending(5, 0) }
}

fn show(container: &Container) -> String {
    let mut text = container.last_status.as_str().to_owned();
    if let Some(code) = container.exit.exit_code {
        let _ = write!(text, " {code}");
    }
    if let Some(reason) = &container.exit.reason {
        let _ = write!(text, " ({reason})");
    }
    if container.health != HealthStatus::Unknown {
        let _ = write!(text, " {}", container.health.as_str());
    }
    if container.restart_count > 0 {
        let _ = write!(text, " restarted {}", container.restart_count);
    }
    text
}
