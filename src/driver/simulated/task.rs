//! A task in simulated time and its containers: what each of them is doing.

use std::sync::Arc;

use super::jobs::Job;
use super::processor::{Claim, Flow, Rate};
use super::work::{Dealt, ModelledContainer, Part};
use crate::agent::{AgentRoom, TaskAgent};
use crate::control_plane::action::TaskStart;
use crate::data_plane::executed::{ExecutedContainer, ExecutedTask};
use crate::model::container_order::DependencyCondition;
use crate::model::rng::Draws;
use crate::model::task::ContainerExit;
use crate::model::task_definition::TaskDefinition;
use crate::model::units::{Duration, Timestamp};
use crate::model::usage::TaskUsage;
use crate::model::work::{ModelledWork, Step, StepEnd};

/// A task.
#[derive(Debug)]
pub(super) struct SimulatedTask {
    pub(super) start: Arc<TaskStart>,
    pub(super) agent: TaskAgent,
    /// The moment that its agent waits for.
    pub(super) agent_deadline: Option<Timestamp>,
    /// What computes its work, by index.
    pub(super) processor: usize,
    /// Its claim there while none of it computes; while some of it does, the processor has it.
    pub(super) claim: Option<Claim>,
    /// Its containers, and behind them, one for each, what runs their health checks.
    pub(super) containers: Vec<SimulatedContainer>,
    /// What its guests share, where real ones run.
    pub(super) executed: Option<Box<ExecutedTask>>,
    /// The service whose jobs it takes, by index, and the container that does.
    pub(super) takes_jobs: Option<(usize, usize)>,
    /// When its pull began and ended, until that was reported.
    pub(super) unreported_pull: (Option<Timestamp>, Option<Timestamp>),
}

/// A container.
#[derive(Debug)]
pub(super) struct SimulatedContainer {
    pub(super) work: ContainerWork,
    pub(super) doing: Doing,
    /// Tells what it waits for from what it has waited for before.
    pub(super) token: u64,
    /// Counts its starts.
    pub(super) attempt: u32,
    /// Counts how many times it has asked for a job.
    pub(super) asked: u32,
    pub(super) job: Option<Job>,
    /// Whether its input is at its end: it is to stop.
    pub(super) is_stopping: bool,
    /// How long it takes to start, and from then until it crashes with an exit code.
    pub(super) cold_start: Duration,
    pub(super) crash: Option<(Duration, i32)>,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It has not begun, or is over.
    Nothing,
    /// It was ordered to start.
    Starting,
    Computing,
    Sleeping,
    WaitingForJob,
}

/// Where its steps come from.
#[derive(Debug)]
pub(super) enum ContainerWork {
    Modelled(ModelledContainer),
    /// A real guest, while it runs.
    Executed(Option<Box<ExecutedContainer>>),
    /// A health check, while it runs, and its number.
    Check(Option<Box<ExecutedContainer>>, u64),
}

impl ContainerWork {
    /// What it does next. `job` is the one that it is on.
    pub(super) fn next_step(&mut self, now: Timestamp, end: StepEnd, job: Option<&Job>) -> Step {
        match self {
            ContainerWork::Modelled(work) => match end {
                StepEnd::Began => work.begin(now),
                StepEnd::Done => work.done(now),
                StepEnd::Job(_) => job.map_or(Step::WaitForJob, |job| work.job(job.draws)),
                StepEnd::EndOfInput => work.stop(now),
            },
            ContainerWork::Executed(guest) | ContainerWork::Check(guest, _) => match guest {
                Some(guest) => guest.next_step(now, end),
                None => Step::Exit(ContainerExit::default()),
            },
        }
    }

    /// It is to stop. Says whether it is to be asked for its next step at once, whatever it is doing.
    pub(super) fn hear_of_stop(&mut self, doing: Doing, job: Option<&Job>) -> bool {
        match self {
            ContainerWork::Executed(Some(guest)) => {
                // One that computes sees it as soon as it looks.
                guest.end_input();
                matches!(doing, Doing::Sleeping | Doing::WaitingForJob)
            }
            ContainerWork::Executed(None) | ContainerWork::Check(..) => false,
            // One that has a job ends it first.
            ContainerWork::Modelled(_) => {
                job.is_none() && matches!(doing, Doing::Computing | Doing::Sleeping | Doing::WaitingForJob)
            }
        }
    }

    /// The most CPU that it uses at once.
    pub(super) fn rate(&self) -> Rate {
        match self {
            ContainerWork::Modelled(work) => work.rate(),
            ContainerWork::Executed(_) | ContainerWork::Check(..) => Rate::VCPU,
        }
    }
}

/// What a task has used. It is apart from the task, which is large: all of them are asked for it at once, period after period, and
/// this is one line of a processor's cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct TaskMeter {
    /// CPU work done, but for what its processor has not told yet.
    computed: Flow,
    memory: MemoryUse,
    /// Whether real guests know more of it.
    is_executed: bool,
}

const _: () = assert!(size_of::<TaskMeter>() == 64);

/// Memory that a task holds, and over time.
#[derive(Clone, Copy, Debug, Default)]
struct MemoryUse {
    mib: u64,
    peak_mib: u64,
    mib_millis: u64,
    /// Nanoseconds that are no whole millisecond yet.
    rest_nanos: u64,
    at: Timestamp,
}

impl MemoryUse {
    /// From here on it holds so much.
    fn hold(&mut self, now: Timestamp, mib: u64) {
        self.pass(now);
        self.mib = mib;
        self.peak_mib = self.peak_mib.max(mib);
    }

    fn pass(&mut self, now: Timestamp) {
        let nanos = now.0.saturating_sub(self.at.0) + self.rest_nanos;
        self.at = now;
        self.rest_nanos = nanos % 1_000_000;
        self.mib_millis = self.mib_millis.saturating_add(self.mib.saturating_mul(nanos / 1_000_000));
    }
}

impl TaskMeter {
    /// That of a task that begins and holds so much memory.
    pub(super) fn begin(now: Timestamp, memory_mib: u64, task: &SimulatedTask) -> TaskMeter {
        let mut memory = MemoryUse::default();
        memory.hold(now, memory_mib);
        TaskMeter { computed: Flow::default(), memory, is_executed: task.executed.is_some() }
    }

    /// It has done so much more.
    pub(super) fn add(&mut self, done: Flow) {
        self.computed.add(done);
    }

    pub(super) fn computed(&self) -> Flow {
        self.computed
    }

    /// What it has used so far; what its processor knows must have been told. Only that of real guests has to look at the task itself.
    pub(super) fn usage<'a>(&mut self, now: Timestamp, task: impl FnOnce() -> Option<&'a SimulatedTask>) -> TaskUsage {
        let vcpu = self.computed.vcpu();
        if self.is_executed
            && let Some(executed) = task().and_then(|task| task.executed.as_ref())
        {
            return TaskUsage { vcpu, cpu_time: Duration::from_nanos(vcpu.0), ..executed.usage(now) };
        }
        self.memory.pass(now);
        TaskUsage {
            vcpu,
            cpu_time: Duration::from_nanos(vcpu.0),
            memory_bytes: self.memory.mib << 20,
            memory_bytes_peak: self.memory.peak_mib << 20,
            memory_mib_millis: self.memory.mib_millis,
            ..TaskUsage::default()
        }
    }
}

/// What a task that is over took of memory, for the next one: it has just been used, and what an allocator has to give has not.
#[derive(Debug, Default)]
pub(super) struct TaskRoom {
    pub(super) containers: Vec<SimulatedContainer>,
    pub(super) agent: AgentRoom,
}

impl TaskRoom {
    /// That of a task which is over.
    pub(super) fn of(task: &mut SimulatedTask) -> TaskRoom {
        let mut containers = std::mem::take(&mut task.containers);
        containers.clear();
        TaskRoom { containers, agent: task.agent.take_room() }
    }
}

/// Adds the containers of a modelled task; says how long its pull takes. `server` is the one that takes jobs.
pub(super) fn modelled_containers(
    containers: &mut Vec<SimulatedContainer>,
    definition: &TaskDefinition,
    model: &Arc<ModelledWork>,
    draws: Draws,
    server: Option<usize>,
) -> Dealt {
    let dealt = Dealt::of(model, draws);
    let main = server.or_else(|| definition.job_container(None));
    containers.reserve_exact(definition.containers.len());
    containers.extend((0..definition.containers.len()).map(|index| {
        let is_main = Some(index) == main;
        let part = match (is_main, server) {
            (true, Some(_)) if model.serves_jobs() => Part::Server,
            (true, _) => Part::Main,
            (false, _) if is_awaited(definition, index) => Part::OverAtOnce,
            (false, _) => Part::Idle,
        };
        SimulatedContainer {
            work: ContainerWork::Modelled(ModelledContainer::new(model, dealt, part)),
            doing: Doing::Nothing,
            token: 0,
            attempt: 0,
            asked: 0,
            job: None,
            is_stopping: false,
            cold_start: dealt.cold_start,
            crash: dealt.crash.filter(|_| is_main),
        }
    }));
    dealt
}

/// Adds the containers of a task whose guests really run, and what runs their health checks.
pub(super) fn executed_containers(all: &mut Vec<SimulatedContainer>, definition: &TaskDefinition) {
    let container = |work| SimulatedContainer {
        work,
        doing: Doing::Nothing,
        token: 0,
        attempt: 0,
        asked: 0,
        job: None,
        is_stopping: false,
        cold_start: Duration::ZERO,
        crash: None,
    };
    let count = definition.containers.len();
    all.reserve_exact(2 * count);
    let containers = (0..count).map(|_| container(ContainerWork::Executed(None)));
    all.extend(containers.chain((0..count).map(|_| container(ContainerWork::Check(None, 0)))));
}

/// Whether another container waits for the end of this one.
fn is_awaited(definition: &TaskDefinition, index: usize) -> bool {
    let name = &definition.containers[index].name;
    definition.containers.iter().flat_map(|container| &container.depends_on).any(|dependency| {
        dependency.container_name == *name
            && matches!(dependency.condition, DependencyCondition::Complete | DependencyCondition::Success)
    })
}
