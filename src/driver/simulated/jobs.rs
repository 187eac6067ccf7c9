//! The jobs of a service: those that wait, those that are worked on, and how long each took.
//!
//! As in real time a container asks for one job at a time, which ends the one before; a job whose task dies goes back to the front of
//! the queue once and is lost the second time. Who has waited longest is served first, jobs as well as containers. While a deployment
//! moves traffic, jobs wait in lanes, and only containers of the lane's deployment take them. Tasks that are targets of a load balancer get
//! jobs by their health.

use std::collections::VecDeque;
use std::sync::Arc;

use super::histogram::DurationHistogram;
use super::processor::Place;
use crate::model::ids::{DeploymentId, TaskId};
use crate::model::job::{JobStats, JobsByDeployment, QUEUED_MAX};
use crate::model::lanes::Lanes;
use crate::model::rng::{Draws, Stream};
use crate::model::routing::{Routed, Routing};
use crate::model::traffic::{TrafficKind, TrafficWeights};
use crate::model::units::Timestamp;

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) line: Arc<str>,
    /// What it takes is drawn from these, whoever works on it.
    pub(super) draws: Draws,
    kind: TrafficKind,
    /// The number of its arrival.
    number: u64,
    arrived_at: Timestamp,
    /// Whether a task died of it already.
    killed_one: bool,
}

/// How a container leaves its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobEnd {
    Done,
    Died,
}

/// A container that waits for a job.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    place: Place,
    task: TaskId,
    /// Of its waiting.
    token: u64,
    deployment: Option<DeploymentId>,
}

/// The jobs of one service.
#[derive(Clone, Debug)]
pub(super) struct ServiceJobs {
    /// The container of its tasks that takes them; `None` is the first essential one.
    pub(super) container: Option<String>,
    seed: u64,
    queue: Lanes<Job>,
    waiting: VecDeque<Waiting>,
    routing: Routing<TaskId>,
    stats: JobStats,
    pub(super) by_deployment: JobsByDeployment,
    /// From arrival to done.
    pub(super) latencies: DurationHistogram,
    /// From arrival until somebody works on it for the first time.
    pub(super) waits: DurationHistogram,
}

impl ServiceJobs {
    /// No jobs yet. `seed` keeps their draws apart from those of other services.
    pub(super) fn new(container: Option<String>, seed: u64) -> ServiceJobs {
        ServiceJobs {
            container,
            seed,
            queue: Lanes::default(),
            waiting: VecDeque::new(),
            routing: Routing::default(),
            stats: JobStats::default(),
            by_deployment: JobsByDeployment::default(),
            latencies: DurationHistogram::default(),
            waits: DurationHistogram::default(),
        }
    }

    /// A job arrives; one that finds the queue full is lost.
    pub(super) fn arrive(&mut self, now: Timestamp, line: Arc<str>, kind: TrafficKind) {
        self.stats.pushed += 1;
        if self.queue.len() >= QUEUED_MAX {
            self.stats.rejected += 1;
            return;
        }
        let number = self.stats.pushed;
        let draws = Draws::of(self.seed, Stream::Work, number);
        self.queue.push(Job { line, draws, kind, number, arrived_at: now, killed_one: false }, kind);
    }

    /// Gives each deployment its share of the jobs that wait and of those that come.
    pub(super) fn direct(&mut self, weights: TrafficWeights) {
        self.queue.direct(weights, |job| (job.number, job.kind));
    }

    /// A task is a target of a load balancer, and stands so with it. Says whether that may let others take jobs than before.
    pub(super) fn route(&mut self, task: TaskId, deployment: Option<DeploymentId>, routed: Routed) -> bool {
        self.routing.put(task, deployment, routed)
    }

    /// A task is no target any more. Says the same.
    pub(super) fn forget(&mut self, task: TaskId) -> bool {
        self.routing.remove(&task)
    }

    /// Takes the next job for a task of a deployment to work on.
    pub(super) fn take(&mut self, now: Timestamp, task: TaskId, deployment: Option<DeploymentId>) -> Option<Job> {
        if !self.routing.may_take(&task, |of| self.queue.lane_of(of)) {
            return None;
        }
        let job = self.queue.pop(deployment)?;
        self.stats.outstanding += 1;
        if !job.killed_one {
            self.waits.add(now.since(job.arrived_at));
        }
        Some(job)
    }

    /// A container has nothing to do. The token says whether it still has when its turn comes.
    pub(super) fn wait(&mut self, place: Place, task: TaskId, token: u64, deployment: Option<DeploymentId>) {
        self.waiting.push_back(Waiting { place, task, token, deployment });
    }

    /// A container waits no longer.
    pub(super) fn wait_no_longer(&mut self, token: u64) {
        self.waiting.retain(|waiting| waiting.token != token);
    }

    /// The container that is to work on a job that waits, if there are both.
    pub(super) fn next_waiting(&mut self) -> Option<(Place, u64)> {
        if self.queue.len() == 0 {
            return None;
        }
        let (queue, routing) = (&self.queue, &self.routing);
        let gets_one = |waiting: &Waiting| {
            queue.has(waiting.deployment) && routing.may_take(&waiting.task, |of| queue.lane_of(of))
        };
        let next = self.waiting.iter().position(gets_one)?;
        self.waiting.remove(next).map(|waiting| (waiting.place, waiting.token))
    }

    /// A container of a deployment leaves its job.
    pub(super) fn leave(&mut self, now: Timestamp, mut job: Job, end: JobEnd, deployment: Option<DeploymentId>) {
        self.stats.outstanding -= 1;
        match end {
            JobEnd::Done => self.by_deployment.note_done(deployment, job.kind),
            JobEnd::Died => self.by_deployment.note_died(deployment),
        }
        match end {
            JobEnd::Done => {
                self.stats.completed += 1;
                self.latencies.add(now.since(job.arrived_at));
            }
            JobEnd::Died if job.killed_one => self.stats.lost += 1,
            JobEnd::Died => {
                job.killed_one = true;
                self.stats.requeued += 1;
                let kind = job.kind;
                self.queue.put_back(job, kind, deployment);
            }
        }
    }

    pub(super) fn completed(&self) -> u64 {
        self.stats.completed
    }

    pub(super) fn stats(&self) -> JobStats {
        JobStats {
            queued: u64::try_from(self.queue.len()).unwrap_or(u64::MAX),
            latency_p50: self.latencies.permille(500),
            latency_p99: self.latencies.permille(990),
            ..self.stats
        }
    }
}
