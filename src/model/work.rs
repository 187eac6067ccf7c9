//! What a container does while it runs, as simulated time sees it: a sequence of steps.
//!
//! A step says what the container wants next, not how long that takes: CPU work lasts as long as its share of the processor makes it
//! last, a job is there when one has arrived. Whoever knows the steps of real guests and whoever draws them from distributions
//! speak the same language here. Nothing in it is drawn or run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::distribution::Distribution;
use super::task::ContainerExit;
use super::units::{Timestamp, VcpuNanos};

/// What a container does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It computes: so much work, on one vCPU at most. Zero is over at once.
    Cpu(VcpuNanos),
    /// It waits for a moment. One that has passed is over at once.
    SleepUntil(Timestamp),
    /// It waits for the next job of its service; asking for it ends the one before. Without a service that has load it waits for ever.
    WaitForJob,
    /// The same, but no longer than until a moment.
    WaitForJobUntil(Timestamp),
    /// It is over. There is no step after it.
    Exit(ContainerExit),
}

/// What ended the step before, told when the next one is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// There was none: the container begins.
    Began,
    /// The work is done, or the moment has come.
    Done,
    /// A job: its line, without its end.
    Job(Arc<str>),
    /// The container is asked to stop: its standard input is at its end. Told at once to one that waits for a job or sleeps, after
    /// which the step that it was in is over; else at the next wait for a job.
    EndOfInput,
}

/// Where the steps of a task definition's containers come from in simulated time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// The real guest runs: its steps are what it executes.
    #[default]
    Executed,
    /// They are drawn from distributions; no image is looked at.
    Modelled(Arc<ModelledWork>),
}

/// A task whose behaviour is described.
///
/// The work is that of the container which takes the jobs, or of the first essential one. *Ours:* the others do nothing: those
/// whose end others wait for are over at once with exit code 0, the rest wait to be stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelledWork {
    /// From the start of the task until its images are there, in nanoseconds.
    pub pull: Distribution,
    /// From then until its containers run, in nanoseconds.
    pub cold_start: Distribution,
    /// How long it runs when it gets all the CPU that it wants, in nanoseconds; `None`: until it is stopped.
    pub duration: Option<Distribution>,
    /// CPU units that it wants all the while when it has no jobs, one vCPU at most; it takes longer than `duration` where it gets less.
    pub cpu: Distribution,
    /// CPU work of a job, in vCPU-nanoseconds.
    pub job_cpu: Distribution,
    /// Time that a job takes beside its CPU work, in nanoseconds.
    pub job_wait: Distribution,
    /// From the request to stop until it ends, in nanoseconds; the stop timeout cuts it short.
    pub stop: Distribution,
    /// Memory that it holds while it runs, in MiB.
    pub memory_mib: Distribution,
    /// The exit code of a task that ends by itself and does not crash.
    pub exit_code: i32,
    /// How it crashes, if it does.
    pub crash: Option<Crash>,
}

impl ModelledWork {
    /// Whether its work is jobs.
    pub fn serves_jobs(&self) -> bool {
        !self.job_cpu.is_zero() || !self.job_wait.is_zero()
    }
}

/// A task that may end badly.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// How likely a task does, in millionths.
    pub probability_ppm: u32,
    /// From its start until then, in nanoseconds.
    pub after: Distribution,
    /// Its exit code then.
    pub exit_code: i32,
}
