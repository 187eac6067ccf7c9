//! Takes the series of a cluster: looks at it at an interval, and notes what it tells.
//!
//! A driver calls the recorder at the moments that it names. It decides nothing, and nothing that is decided depends on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::series::{
    CostSample, InstanceSample, JobSample, Latency, Mark, MarkKind, ProviderSample, Sample, Series, ServiceSample,
    TrackedSample,
};
use super::simulated::histogram::DurationHistogram;
use crate::control_plane::action::{DeploymentEvent, Notification, ServiceActionEvent};
use crate::control_plane::metrics::names;
use crate::control_plane::metrics::store::MetricStore;
use crate::control_plane::state::{ClusterState, ServiceStatus};
use crate::metering::meter::Meter;
use crate::model::alarm::{AlarmState, MetricId, Statistic};
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::capacity::ContainerInstanceStatus;
use crate::model::job::JobStats;
use crate::model::units::{Duration, Timestamp};

/// How many samples a run of known length is divided into at most. *Ours:* more than a chart has pixels says nothing.
const SAMPLES_WANTED: u128 = 1_500;
/// How many samples are kept; when there are more every second one goes. Reached by runs whose length is not known beforehand.
const SAMPLES_MAX: usize = 2 * 1_500;
const _: () = assert!(SAMPLES_MAX.is_multiple_of(2), "the sample that is one too many is the last one, and stays");
/// Intervals in milliseconds: what a clock's face divides into.
const INTERVALS: [u64; 19] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
    3_600_000, 7_200_000, 21_600_000, 86_400_000,
];
/// Marks kept; those after it are counted. *Ours:* bounds memory where something flaps.
const MARKS_MAX: usize = 20_000;

/// Whether it is recorded what a cluster is like over time. It changes nothing of what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// It is not.
    #[default]
    None,
    /// It is.
    Kept,
}

impl Recording {
    /// The recorder of a cluster that lasts so long, if that is known, if there is to be one.
    pub(super) fn recorder(self, length: Option<Duration>) -> Option<SeriesRecorder> {
        (self == Recording::Kept).then(|| SeriesRecorder::new(length))
    }
}

/// What a recorder looks at.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// What the control plane knows.
    pub state: &'a ClusterState,
    /// The meter.
    pub meter: &'a Meter,
    /// Jobs of services with load.
    pub jobs: BTreeMap<Arc<str>, ObservedJobs<'a>>,
}

/// The jobs of a service.
#[derive(Debug)]
pub struct ObservedJobs<'a> {
    /// Counted.
    pub stats: JobStats,
    /// How long they took, all since the start. `None` where only the percentiles of the last ones in `stats` are known.
    pub latencies: Option<&'a DurationHistogram>,
}

/// Takes samples.
#[derive(Clone, Debug)]
pub struct SeriesRecorder {
    series: Series,
    next: Timestamp,
    /// The latencies of each service at the sample before.
    latencies: BTreeMap<Arc<str>, DurationHistogram>,
    /// The desired count of each service that was marked last.
    desired: BTreeMap<Arc<str>, u32>,
}

impl SeriesRecorder {
    /// Records a cluster that lasts so long, if that is known. The first sample is that of its start.
    pub fn new(length: Option<Duration>) -> SeriesRecorder {
        let series = Series { interval: interval_of(length.unwrap_or_default()), ..Series::default() };
        SeriesRecorder { series, next: Timestamp::ZERO, latencies: BTreeMap::new(), desired: BTreeMap::new() }
    }

    /// When the next sample is to be taken.
    pub fn next(&self) -> Timestamp {
        self.next
    }

    /// Takes a sample. There is one for each moment at most.
    pub fn sample(&mut self, now: Timestamp, observed: &Observed<'_>) {
        if self.series.samples.last().is_some_and(|last| last.at >= now) {
            return;
        }
        let sample = self.look_at(now, observed);
        self.series.samples.push(sample);
        while self.series.samples.len() > SAMPLES_MAX {
            self.thin_out();
        }
        let interval = nanos(self.series.interval);
        self.next = Timestamp((now.0 - now.0 % interval).saturating_add(interval));
    }

    /// What has been recorded.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// What has been recorded, at the end.
    pub fn into_series(self) -> Series {
        self.series
    }

    /// Marks what a notification tells of, if it is of the kind. `state` is the one right after.
    pub fn note(&mut self, at: Timestamp, state: &ClusterState, notification: &Notification) {
        let (kind, subject, text) = match notification {
            Notification::DeploymentStateChange { service, event, reason, .. } => {
                let kind = match event {
                    DeploymentEvent::InProgress => MarkKind::DeploymentStarted,
                    DeploymentEvent::Completed => MarkKind::DeploymentCompleted,
                    DeploymentEvent::Failed => MarkKind::DeploymentFailed,
                };
                (kind, service, reason.clone())
            }
            Notification::ServiceAction { service, event, reason, .. } => match event {
                ServiceActionEvent::DesiredCountUpdated => {
                    let Some(to) = state.services.get(service).map(|service| service.spec.desired_count) else {
                        return;
                    };
                    let from = self.desired.insert(service.clone(), to);
                    let kind =
                        if from.is_some_and(|from| to < from) { MarkKind::ScaledIn } else { MarkKind::ScaledOut };
                    let change = from.map_or_else(|| format!("to {to}"), |from| format!("{from} → {to}"));
                    let why = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                    (kind, service, format!("{change}{why}").into())
                }
                ServiceActionEvent::TaskStartImpaired => (MarkKind::Impaired, service, "tasks do not start".into()),
                ServiceActionEvent::TaskPlacementFailure => {
                    let why = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                    (MarkKind::Impaired, service, format!("no room for a task{why}").into())
                }
                _ => return,
            },
            Notification::AutoScalingGroup { capacity_provider, from, to, reason } => {
                let kind = match from.cmp(to) {
                    std::cmp::Ordering::Less => MarkKind::CapacityOut,
                    std::cmp::Ordering::Greater => MarkKind::CapacityIn,
                    std::cmp::Ordering::Equal => return,
                };
                (kind, capacity_provider, format!("{from} → {to}: {reason}").into())
            }
            // What the alarms of target tracking bring about is marked as scaling, with its cause.
            Notification::Alarm { alarm, .. } if alarm.starts_with("TargetTracking-") => return,
            Notification::Alarm { alarm, to: AlarmState::Alarm, reason, .. } => {
                (MarkKind::Alarm, alarm, reason.clone())
            }
            _ => return,
        };
        if self.series.marks.len() < MARKS_MAX {
            self.series.marks.push(Mark { at, kind, subject: subject.clone(), text });
        } else {
            self.series.marks_dropped += 1;
        }
    }

    fn look_at(&mut self, now: Timestamp, observed: &Observed<'_>) -> Sample {
        let state = observed.state;
        let measured = Measured { metrics: &state.metrics, interval: self.series.interval, now };
        let mut sample = Sample {
            at: now,
            tasks_live: as_u64(state.live_count),
            tasks_standalone: as_u64(state.standalone_live_count),
            instances: instances(observed.cluster, state, &measured),
            cost: CostSample::of(&observed.meter.bill(now)),
            ..Sample::default()
        };
        for (name, service) in &state.services {
            self.desired.entry(name.clone()).or_insert(service.spec.desired_count);
            if service.status == ServiceStatus::Inactive {
                continue;
            }
            let of_service = |metric| names::of_service(names::AWS_ECS, metric, observed.cluster, name);
            let jobs = observed.jobs.get(name).map(|jobs| self.jobs(name, jobs));
            let policies =
                state.scalable_targets.get(name).into_iter().flat_map(|target| &target.settings.target_tracking);
            let tracked = policies.map(|policy| {
                let (metric, statistic) = names::tracked(policy, observed.cluster, name);
                let value = measured.value(&metric, statistic);
                let target = i64::try_from(policy.target_thousandths).unwrap_or(i64::MAX);
                (policy.name().into(), TrackedSample { metric: policy.metric.clone(), target, value })
            });
            let service = ServiceSample {
                desired: service.spec.desired_count,
                running: service.running_count(),
                pending: service.pending_count(),
                cpu: measured.value(&of_service("CPUUtilization"), Statistic::Average),
                memory: measured.value(&of_service("MemoryUtilization"), Statistic::Average),
                tracked: tracked.collect(),
                jobs,
            };
            sample.services.insert(name.clone(), service);
        }
        for (name, provider) in &state.capacity_providers {
            let in_service = provider.instances.iter().filter(|id| {
                let instance = state.container_instances.get(id);
                instance.is_some_and(|instance| instance.lifecycle == LifecycleState::InService)
            });
            let scaling = provider.provider.managed_scaling.as_ref();
            let reservation = provider.reservation_millipercent.and_then(|value| i64::try_from(value).ok());
            let provider = ProviderSample {
                desired: provider.desired_capacity,
                in_service: count(in_service.count()),
                reservation: scaling.and(reservation),
                target: scaling.map(|scaling| i64::from(scaling.target_capacity) * 1000),
            };
            sample.providers.insert(name.clone(), provider);
        }
        sample
    }

    fn jobs(&mut self, name: &Arc<str>, jobs: &ObservedJobs<'_>) -> JobSample {
        let latency = match jobs.latencies {
            Some(latencies) => {
                let before = self.latencies.insert(name.clone(), latencies.clone()).unwrap_or_default();
                let since = latencies.without(&before);
                (since.count() > 0).then(|| Latency {
                    p50: since.permille(500),
                    p90: Some(since.permille(900)),
                    p99: since.permille(990),
                })
            }
            None => (jobs.stats.completed > 0).then_some(Latency {
                p50: jobs.stats.latency_p50,
                p90: None,
                p99: jobs.stats.latency_p99,
            }),
        };
        JobSample {
            arrived: jobs.stats.pushed,
            done: jobs.stats.completed,
            failed: jobs.stats.rejected + jobs.stats.lost,
            queued: jobs.stats.queued,
            latency,
        }
    }

    /// Doubles the interval and lets go of the samples between.
    fn thin_out(&mut self) {
        self.series.interval = self.series.interval.saturating_mul(2);
        let mut before: Option<Sample> = None;
        // The first one stays, and the one that is one too many with it.
        let mut is_kept = false;
        self.series.samples.retain_mut(|sample| {
            is_kept = !is_kept;
            if !is_kept {
                before = Some(sample.clone());
                return false;
            }
            if let Some(before) = before.take() {
                sample.take_up(&before);
            }
            true
        });
    }
}

/// Metrics since the sample before.
struct Measured<'a> {
    metrics: &'a MetricStore,
    interval: Duration,
    now: Timestamp,
}

impl Measured<'_> {
    /// A metric's value over the periods that have ended since the sample before, or over the last one where none has.
    fn value(&self, metric: &MetricId, statistic: Statistic) -> Option<i64> {
        let period = self.metrics.period();
        let width = self.interval.max(period);
        let from = Timestamp(self.now.0.saturating_sub(nanos(width + period)));
        let mut points = self.metrics.points(metric, from, self.now, period);
        // A datapoint is named by its begin.
        points.retain(|point| {
            let end = point.at + period;
            end <= self.now && end + width > self.now
        });
        let number = i128::try_from(points.len()).ok().filter(|number| *number > 0)?;
        let sum: i128 = points.iter().map(|point| i128::from(point.samples.statistic(statistic))).sum();
        i64::try_from(sum.div_euclid(number)).ok()
    }
}

fn instances(cluster: &str, state: &ClusterState, measured: &Measured<'_>) -> InstanceSample {
    let value = |metric| measured.value(&names::of_cluster(names::AWS_ECS, metric, cluster), Statistic::Average);
    let mut sample = InstanceSample {
        cpu_used: value("CPUUtilization"),
        memory_used: value("MemoryUtilization"),
        ..Default::default()
    };
    for instance in state.live_instances() {
        if instance.lifecycle.is_warmed() {
            sample.warm += 1;
            continue;
        }
        match instance.status {
            ContainerInstanceStatus::Active => sample.active += 1,
            ContainerInstanceStatus::Draining => sample.draining += 1,
            ContainerInstanceStatus::Registering => {
                sample.starting += 1;
                continue;
            }
            _ => continue,
        }
        let (registered, remaining) = (&instance.registered, &instance.remaining);
        sample.cpu_registered += u64::from(registered.cpu.0);
        sample.cpu_reserved += u64::from(registered.cpu.0 - remaining.cpu.0);
        sample.memory_registered += u64::from(registered.memory.0);
        sample.memory_reserved += u64::from(registered.memory.0 - remaining.memory.0);
    }
    sample
}

/// The shortest interval that divides a length into no more samples than wanted.
fn interval_of(length: Duration) -> Duration {
    let fits = |millis: &&u64| length.as_millis() / u128::from(**millis) <= SAMPLES_WANTED;
    Duration::from_millis(*INTERVALS.iter().find(fits).unwrap_or(&INTERVALS[INTERVALS.len() - 1]))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// Whatever the length there are enough samples to draw and not too many.
    #[test]
    fn intervals_follow_the_length() {
        let of = |seconds: u64| interval_of(Duration::from_secs(seconds)).as_millis();
        assert_eq!(of(20), 100);
        assert_eq!(of(3_600), 5_000);
        assert_eq!(of(24 * 3_600), 60_000);
        assert_eq!(of(7 * 24 * 3_600), 600_000);
        assert_eq!(of(u64::MAX / 1_000), 86_400_000);
    }

    /// A run whose length nobody knows is recorded in bounded space, evenly, from its start on.
    #[test]
    fn long_runs_are_thinned_out() {
        let book = Catalog::embedded().price_book("us-east-1").expect("it is known");
        let (meter, state) = (Meter::new(book), ClusterState::default());
        let mut recorder = SeriesRecorder::new(None);
        for _ in 0..20_000 {
            let observed = Observed { cluster: "one", state: &state, meter: &meter, jobs: BTreeMap::new() };
            recorder.sample(recorder.next(), &observed);
        }
        let series = recorder.series();
        assert!((SAMPLES_MAX / 2..=SAMPLES_MAX).contains(&series.samples.len()), "{}", series.samples.len());
        assert_eq!(series.samples[0].at, Timestamp::ZERO);
        let step = |pair: &[Sample]| pair[1].at.since(pair[0].at);
        assert!(series.samples.windows(2).all(|pair| step(pair) == series.interval), "an interval is uneven");
    }
}
