//! What readers see of the cluster: at a moment, and over time.

use super::ControlLoop;
use crate::driver::reads::ReadContext;
use crate::driver::recorder::{Observed, ObservedJobs};
use crate::driver::snapshot::Snapshot;
use crate::model::units::Timestamp;

impl ControlLoop {
    /// The moment that a reader sees: never before what has happened.
    pub(super) fn read_at(&self) -> Timestamp {
        self.clock.now().max(self.control_plane.now())
    }

    pub(super) fn read_context(&self) -> ReadContext<'_> {
        ReadContext {
            now: self.read_at(),
            calendar_start: self.clock.calendar(Timestamp::ZERO),
            arns: &self.arns,
            settings: self.control_plane.settings(),
            meter: &self.meter,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: self.read_at(),
            calendar_start: self.clock.calendar(Timestamp::ZERO),
            name: self.control_plane.name().clone(),
            region: self.arns.region.clone(),
            ids: self.control_plane.ids(),
            state: self.control_plane.state().clone(),
            meter: self.meter.clone(),
            delivery: self.data_plane.delivery(),
            unplaced: self.plans.unplaced(),
            timer_lateness: self.lateness.percentiles(),
            jobs: self
                .loads
                .iter()
                .map(|(arrivals, queue, _)| (arrivals.load().service.clone(), queue.stats()))
                .collect(),
            jobs_by_deployment: self
                .loads
                .iter()
                .map(|(arrivals, queue, _)| (arrivals.load().service.clone(), queue.by_deployment()))
                .collect(),
            journal_trouble: self.journal.trouble().cloned(),
            durable_trouble: self.durable.any_trouble(),
            series: None,
        }
    }

    pub(super) fn take_sample(&mut self, now: Timestamp) {
        let Some(recorder) = &mut self.recorder else { return };
        let jobs = self.loads.iter().map(|(arrivals, queue, _)| {
            (arrivals.load().service.clone(), ObservedJobs { stats: queue.stats(), latencies: None })
        });
        let observed = Observed {
            cluster: self.control_plane.name(),
            state: self.control_plane.state(),
            meter: &self.meter,
            jobs: jobs.collect(),
        };
        recorder.sample(now, &observed);
    }
}
