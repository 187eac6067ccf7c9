//! The steps of a container whose work is modelled.

use std::sync::Arc;

use super::processor::Rate;
use crate::model::rng::Draws;
use crate::model::task::ContainerExit;
use crate::model::units::{CpuUnits, Duration, Timestamp, VcpuNanos};
use crate::model::work::{ModelledWork, Step};

/// The end of time.
pub(super) const NEVER: Timestamp = Timestamp(u64::MAX);

/// What a task was dealt when it was started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dealt {
    pub(super) pull: Duration,
    pub(super) cold_start: Duration,
    pub(super) memory_mib: u64,
    /// From its start until it crashes, with its exit code then.
    pub(super) crash: Option<(Duration, i32)>,
    duration: Option<Duration>,
    cpu: u64,
    stop: Duration,
}

impl Dealt {
    /// Draws everything at once, each amount in its place whatever the others are.
    pub(super) fn of(model: &ModelledWork, mut draws: Draws) -> Dealt {
        let [pull, cold_start, memory, duration, cpu, stop, crash, crash_after] = std::array::from_fn(|_| draws.draw());
        let crashes = |probability_ppm: u32| (u128::from(crash) * 1_000_000) >> 64 < u128::from(probability_ppm);
        let crash = model.crash.as_ref().filter(|crash| crashes(crash.probability_ppm));
        Dealt {
            pull: Duration::from_nanos(model.pull.at(pull)),
            cold_start: Duration::from_nanos(model.cold_start.at(cold_start)),
            memory_mib: model.memory_mib.at(memory),
            crash: crash.map(|crash| (Duration::from_nanos(crash.after.at(crash_after)), crash.exit_code)),
            duration: model.duration.as_ref().map(|model| Duration::from_nanos(model.at(duration))),
            cpu: model.cpu.at(cpu),
            stop: Duration::from_nanos(model.stop.at(stop)),
        }
    }

    /// The most CPU that the task uses at once when it has no jobs.
    fn own_rate(&self) -> Rate {
        Rate::of(CpuUnits(u32::try_from(self.cpu).unwrap_or(u32::MAX))).min(Rate::VCPU)
    }
}

/// What a modelled container is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It works for its duration, or does nothing.
    Own,
    /// It works on jobs.
    Serving,
    /// A job has computed and has so long to wait.
    InJob { wait: Duration },
    /// It is about to end.
    Stopping,
}

/// A container whose steps come from a model.
#[derive(Clone, Debug)]
pub(super) struct ModelledContainer {
    model: Arc<ModelledWork>,
    dealt: Dealt,
    part: Part,
    phase: Phase,
}

/// The part that a container has in its task's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The work is its own.
    Main,
    /// The work is its own, and it is jobs.
    Server,
    /// It does nothing until it is stopped.
    Idle,
    /// Others wait for its end.
    OverAtOnce,
}

impl ModelledContainer {
    pub(super) fn new(model: &Arc<ModelledWork>, dealt: Dealt, part: Part) -> ModelledContainer {
        ModelledContainer { model: model.clone(), dealt, part, phase: Phase::Own }
    }

    /// The first step, also when it is started again.
    pub(super) fn begin(&mut self, now: Timestamp) -> Step {
        self.phase = if self.part == Part::Server { Phase::Serving } else { Phase::Own };
        match self.part {
            Part::OverAtOnce => Step::Exit(exit(0)),
            Part::Server => Step::WaitForJob,
            Part::Idle => Step::SleepUntil(NEVER),
            Part::Main => match (self.dealt.duration, self.dealt.own_rate()) {
                (None, Rate::ZERO) => Step::SleepUntil(NEVER),
                (Some(duration), Rate::ZERO) => Step::SleepUntil(now + duration),
                (None, _) => Step::Cpu(VcpuNanos(u64::MAX)),
                (Some(duration), rate) => Step::Cpu(rate.work_in(duration)),
            },
        }
    }

    /// A job is there.
    pub(super) fn job(&mut self, mut draws: Draws) -> Step {
        let (cpu, wait) = (self.model.job_cpu.at(draws.draw()), self.model.job_wait.at(draws.draw()));
        self.phase = Phase::InJob { wait: Duration::from_nanos(wait) };
        Step::Cpu(VcpuNanos(cpu))
    }

    /// The step before is over.
    pub(super) fn done(&mut self, now: Timestamp) -> Step {
        match self.phase {
            Phase::InJob { wait } => {
                self.phase = Phase::Serving;
                if wait.is_zero() { Step::WaitForJob } else { Step::SleepUntil(now + wait) }
            }
            Phase::Serving => Step::WaitForJob,
            Phase::Own => Step::Exit(exit(self.model.exit_code)),
            Phase::Stopping => Step::Exit(exit(0)),
        }
    }

    /// It is to stop, and there is no job that it works on.
    pub(super) fn stop(&mut self, now: Timestamp) -> Step {
        self.phase = Phase::Stopping;
        Step::SleepUntil(now + self.dealt.stop)
    }

    /// The most CPU that it uses at once.
    pub(super) fn rate(&self) -> Rate {
        if self.part == Part::Main && self.phase == Phase::Own { self.dealt.own_rate() } else { Rate::VCPU }
    }
}

fn exit(code: i32) -> ContainerExit {
    ContainerExit { exit_code: Some(code), reason: None }
}
