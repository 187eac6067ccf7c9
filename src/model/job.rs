//! The jobs of a service, counted.

use std::collections::BTreeMap;

use super::ids::DeploymentId;
use super::traffic::TrafficKind;
use super::units::Duration;

/// The most jobs that wait. *Ours:* bounds memory; a queue this long is a service that is too small for its load.
pub const QUEUED_MAX: usize = 100_000;

/// Deployments of a service whose jobs are counted apart; the oldest go first. *Ours:* bounds memory.
const DEPLOYMENTS_MAX: usize = 100;

/// A queue at a moment. Counts only ever grow, but for `queued` and `outstanding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs pushed, those rejected included.
    pub pushed: u64,
    /// Jobs lost because the queue was full.
    pub rejected: u64,
    /// Jobs that wait.
    pub queued: u64,
    /// Jobs that a task works on.
    pub outstanding: u64,
    /// Jobs done: their task asked for the next one, or ended with exit code 0.
    pub completed: u64,
    /// Jobs put back because their task died.
    pub requeued: u64,
    /// Jobs lost because two tasks died of them.
    pub lost: u64,
    /// Time from push to done, the median of the last ones.
    pub latency_p50: Duration,
    /// Time from push to done, the 99th percentile of the last ones.
    pub latency_p99: Duration,
}

/// What became of jobs in the hands of one deployment's tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentJobs {
    /// Jobs of production traffic that were done.
    pub completed: u64,
    /// Jobs of test traffic that were done.
    pub completed_test: u64,
    /// Times that a task died of a job.
    pub died: u64,
}

/// The jobs of a service by the deployment, or the task set, whose tasks took them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsByDeployment(BTreeMap<DeploymentId, DeploymentJobs>);

impl JobsByDeployment {
    /// A task has done a job.
    pub fn note_done(&mut self, deployment: Option<DeploymentId>, kind: TrafficKind) {
        if let Some(jobs) = self.of(deployment) {
            match kind {
                TrafficKind::Production => jobs.completed += 1,
                TrafficKind::Test => jobs.completed_test += 1,
            }
        }
    }

    /// A task has died of a job.
    pub fn note_died(&mut self, deployment: Option<DeploymentId>) {
        if let Some(jobs) = self.of(deployment) {
            jobs.died += 1;
        }
    }

    /// By deployment, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (DeploymentId, DeploymentJobs)> {
        self.0.iter().map(|(deployment, jobs)| (*deployment, *jobs))
    }

    fn of(&mut self, deployment: Option<DeploymentId>) -> Option<&mut DeploymentJobs> {
        let deployment = deployment?;
        if self.0.len() >= DEPLOYMENTS_MAX && !self.0.contains_key(&deployment) {
            self.0.pop_first();
        }
        Some(self.0.entry(deployment).or_default())
    }
}
