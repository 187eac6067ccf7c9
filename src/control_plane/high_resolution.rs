//! Metrics of a high resolution: the utilisation of services that ask for it, several times a metric period.
//!
//! A metric period has a few parts of equal length. At the end of each one the services that are monitored so have a datapoint, and
//! policies that follow one may scale out. What a metric period's end brings is made of its parts, so that whoever looks at whole
//! periods sees what there is without them.
//!
//! **Source:** ecs-semantics §7.2, §10.1.

use std::sync::Arc;

use super::ControlPlane;
use super::metrics::utilisation::ClosedPeriod;
use super::service_autoscaling::PeriodEnd;
use super::state::ServiceStatus;
use super::timers::Wakeup;
use crate::model::service::Monitoring;
use crate::model::units::Timestamp;

impl ControlPlane {
    /// Wakes at the end of the part of a metric period that it is, while a service is monitored at a high resolution.
    pub(super) fn watch_high_resolution(&mut self) {
        let is_wanted =
            self.state.services.values().any(|service| {
                service.status == ServiceStatus::Active && service.spec.monitoring != Monitoring::default()
            });
        if !is_wanted {
            self.timers.cancel(Wakeup::HighResolutionPeriod);
        } else if self.timers.deadline_of(&Wakeup::HighResolutionPeriod).is_none() {
            let part = self.settings.high_resolution_period();
            let width = u64::try_from(part.as_nanos()).unwrap_or(u64::MAX).max(1);
            let start = Timestamp(self.now.0 - self.now.0 % width);
            self.timers.set(start + part, Wakeup::HighResolutionPeriod);
        }
    }

    /// The part of a metric period that ends at `due` is over.
    pub(super) fn high_resolution_period_ended(&mut self, due: Timestamp) {
        let from = Timestamp(due.0.saturating_sub(1));
        let part = self.settings.high_resolution_period();
        let services = self.state.services.iter();
        let monitored = services.filter(|(_, service)| service.spec.monitoring != Monitoring::default());
        let monitored: Vec<(Arc<str>, Monitoring)> =
            monitored.map(|(name, service)| (name.clone(), service.spec.monitoring)).collect();
        let is_ending = |service: &Arc<str>| monitored.iter().any(|(name, _)| name == service);
        self.measures.add_running_tasks(|service| service.is_some_and(is_ending));
        for (name, monitoring) in monitored {
            let closed = self.measures.close_part(&name);
            for (metric, samples) in
                super::measuring::service_metrics(&self.name, &name, &closed, |name| monitoring.of(name).is_high())
            {
                if self.state.metrics.put_fine(&metric, from, part, samples).is_err() {
                    self.state.ignored_events += 1;
                }
            }
            self.scale_by_policies(&name, due, PeriodEnd::HighResolution);
        }
    }
}

impl ClosedPeriod {
    /// Adds what a later part of the same period came to.
    pub(super) fn add(&mut self, part: &ClosedPeriod) {
        let (all, sums) = (&mut self.sums, &part.sums);
        all.cpu_used += sums.cpu_used;
        all.cpu_reserved += sums.cpu_reserved;
        all.memory_used += sums.memory_used;
        all.memory_reserved += sums.memory_reserved;
        for (all, part) in
            [(&mut self.datapoints.cpu, part.datapoints.cpu), (&mut self.datapoints.memory, part.datapoints.memory)]
        {
            match (all, part) {
                (Some(all), Some(part)) => all.add(&part),
                (all, part) => *all = all.or(part),
            }
        }
    }
}
