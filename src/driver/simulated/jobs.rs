//! The jobs of a service: those that wait, those that are worked on, and how long each took.
//!
//! As in real time a container asks for one job at a time, which ends the one before; a job whose task dies goes back to the front of
//! the queue once and is lost the second time. Who has waited longest is served first, jobs as well as containers.

use std::collections::VecDeque;
use std::sync::Arc;

use super::histogram::DurationHistogram;
use super::processor::Place;
use crate::model::job::{JobStats, QUEUED_MAX};
use crate::model::rng::{Draws, Stream};
use crate::model::units::Timestamp;

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) line: Arc<str>,
    /// What it takes is drawn from these, whoever works on it.
    pub(super) draws: Draws,
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

/// The jobs of one service.
#[derive(Clone, Debug)]
pub(super) struct ServiceJobs {
    /// The container of its tasks that takes them; `None` is the first essential one.
    pub(super) container: Option<String>,
    seed: u64,
    queue: VecDeque<Job>,
    /// Containers that wait for one, each with the token of its waiting.
    waiting: VecDeque<(Place, u64)>,
    stats: JobStats,
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
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            stats: JobStats::default(),
            latencies: DurationHistogram::default(),
            waits: DurationHistogram::default(),
        }
    }

    /// A job arrives; one that finds the queue full is lost.
    pub(super) fn arrive(&mut self, now: Timestamp, line: Arc<str>) {
        self.stats.pushed += 1;
        if self.queue.len() >= QUEUED_MAX {
            self.stats.rejected += 1;
            return;
        }
        let draws = Draws::of(self.seed, Stream::Work, self.stats.pushed);
        self.queue.push_back(Job { line, draws, arrived_at: now, killed_one: false });
    }

    /// Takes the next job to work on.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Job> {
        let job = self.queue.pop_front()?;
        self.stats.outstanding += 1;
        if !job.killed_one {
            self.waits.add(now.since(job.arrived_at));
        }
        Some(job)
    }

    /// A container has nothing to do. The token says whether it still has when its turn comes.
    pub(super) fn wait(&mut self, place: Place, token: u64) {
        self.waiting.push_back((place, token));
    }

    /// A container waits no longer.
    pub(super) fn wait_no_longer(&mut self, token: u64) {
        self.waiting.retain(|(_, waiting)| *waiting != token);
    }

    /// The container that is to work on a job that waits, if there are both.
    pub(super) fn next_waiting(&mut self) -> Option<(Place, u64)> {
        if self.queue.is_empty() { None } else { self.waiting.pop_front() }
    }

    /// A container leaves its job.
    pub(super) fn leave(&mut self, now: Timestamp, mut job: Job, end: JobEnd) {
        self.stats.outstanding -= 1;
        match end {
            JobEnd::Done => {
                self.stats.completed += 1;
                self.latencies.add(now.since(job.arrived_at));
            }
            JobEnd::Died if job.killed_one => self.stats.lost += 1,
            JobEnd::Died => {
                job.killed_one = true;
                self.stats.requeued += 1;
                self.queue.push_front(job);
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
