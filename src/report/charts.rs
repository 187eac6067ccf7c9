//! Which charts a report has: a section for the cluster, and one for each of its services.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::axis::Unit;
use super::chart::{Chart, ChartMark, Line, Look};
use super::markup::file_part;
use crate::driver::series::{MarkKind, Sample, Series, ServiceSample, TrackedSample};
use crate::model::scaling::{PredefinedMetric, TrackedMetric};
use crate::model::units::{Duration, Timestamp};

/// What a line shows of a sample.
type Reading<T> = fn(&Sample) -> T;

/// Services and capacity providers that are drawn. *Ours:* those with the most tasks; the CSV files have all of them.
pub const SERVICES_DRAWN: usize = 12;
/// Capacity providers that have lines of their own.
const PROVIDERS_DRAWN: usize = 3;

/// Charts that belong together.
#[derive(Clone, Debug)]
pub struct Section {
    /// What they are about: the cluster, or `Service X`.
    pub title: String,
    charts: Vec<Chart>,
}

impl Section {
    /// Its charts.
    pub fn charts(&self) -> &[Chart] {
        &self.charts
    }
}

/// Everything that a report draws.
pub fn sections(series: &Series) -> Vec<Section> {
    let drawing = Drawing { series };
    let mut sections = vec![Section { title: "The cluster".into(), charts: drawing.of_cluster() }];
    for (index, name) in drawn_services(series).into_iter().enumerate() {
        let title = format!("Service {name}");
        sections.push(Section { title, charts: drawing.of_service(index + 1, &name) });
    }
    sections
}

/// The services with the most tasks, by name.
fn drawn_services(series: &Series) -> Vec<Arc<str>> {
    let mut peaks: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
    for (name, service) in series.samples.iter().flat_map(|sample| &sample.services) {
        let peak = peaks.entry(name).or_default();
        *peak = (*peak).max(service.desired).max(service.running);
    }
    let mut by_peak: Vec<(&Arc<str>, u32)> = peaks.into_iter().collect();
    // Stable: those of the same size stay in the order of their names.
    by_peak.sort_by_key(|(_, peak)| std::cmp::Reverse(*peak));
    let mut names: Vec<Arc<str>> = by_peak.into_iter().take(SERVICES_DRAWN).map(|(name, _)| name.clone()).collect();
    names.sort();
    names
}

/// A series that is drawn.
struct Drawing<'a> {
    series: &'a Series,
}

impl Drawing<'_> {
    fn chart(&self, name: String, title: &str, unit: Unit) -> Chart {
        let times = self.series.samples.iter().map(|sample| sample.at).collect();
        Chart { name, title: title.into(), unit, times, lines: Vec::new(), marks: Vec::new() }
    }

    fn line(&self, name: &str, look: Look, value: impl Fn(&Sample) -> Option<i64>) -> Line {
        Line { name: name.into(), look, values: self.series.samples.iter().map(value).collect() }
    }

    fn service_line(
        &self,
        service: &str,
        name: &str,
        look: Look,
        value: impl Fn(&ServiceSample) -> Option<i64>,
    ) -> Line {
        self.line(name, look, |sample| sample.services.get(service).and_then(&value))
    }

    fn marks(&self, is_of: impl Fn(MarkKind, &str) -> bool) -> Vec<ChartMark> {
        let marks = self.series.marks.iter().filter(|mark| is_of(mark.kind, &mark.subject));
        marks
            .map(|mark| ChartMark { at: mark.at, kind: mark.kind, text: format!("{} {}", mark.subject, mark.text) })
            .collect()
    }

    fn of_cluster(&self) -> Vec<Chart> {
        let mut charts = vec![self.cost(), self.tasks()];
        let has_instances = self.series.samples.iter().any(|sample| {
            let instances = &sample.instances;
            instances.starting + instances.active + instances.draining + instances.warm > 0
        });
        if has_instances {
            charts.extend([self.instances(), self.fullness()]);
        }
        charts
    }

    fn cost(&self) -> Chart {
        let mut chart = self.chart("cost".into(), "Cost accumulated, by launch type", Unit::Dollars);
        let parts: [(&str, Reading<i64>); 4] = [
            ("Fargate", |sample| sample.cost.fargate.0),
            ("Fargate Spot", |sample| sample.cost.fargate_spot.0),
            ("EC2", |sample| sample.cost.ec2.0),
            ("EC2 Spot", |sample| sample.cost.ec2_spot.0),
        ];
        for ((name, part), colour) in parts.into_iter().zip(1..) {
            let line = self.line(name, Look::Solid(colour), |sample| Some(part(sample)));
            chart.lines.extend(Some(line).filter(is_above_zero));
        }
        chart.lines.push(self.line("all", Look::Dashed(5), |sample| Some(sample.cost.total().0)));
        chart
    }

    fn tasks(&self) -> Chart {
        let mut chart = self.chart("tasks".into(), "Tasks that are not over", Unit::Count);
        let count = |count: u64| i64::try_from(count).ok();
        chart.lines = vec![
            self.line("all", Look::Solid(1), |sample| count(sample.tasks_live)),
            self.line("of no service", Look::Solid(3), |sample| count(sample.tasks_standalone)),
        ];
        chart.marks = self.marks(|kind, _| {
            matches!(kind, MarkKind::DeploymentStarted | MarkKind::DeploymentFailed | MarkKind::Alarm)
        });
        chart
    }

    fn instances(&self) -> Chart {
        let mut chart = self.chart("instances".into(), "Container instances", Unit::Count);
        let count = |count: u32| Some(i64::from(count));
        chart.lines.push(self.line("active", Look::Solid(1), |sample| count(sample.instances.active)));
        let others: [(&str, u8, Reading<u32>); 3] = [
            ("starting", 3, |sample| sample.instances.starting),
            ("draining", 4, |sample| sample.instances.draining),
            ("in warm pools", 6, |sample| sample.instances.warm),
        ];
        for (name, colour, part) in others {
            let line = self.line(name, Look::Solid(colour), |sample| count(part(sample)));
            chart.lines.extend(Some(line).filter(is_above_zero));
        }
        for (provider, colour) in self.providers().zip([2, 5, 1]) {
            let name = format!("desired by {provider}");
            let desired = |sample: &Sample| sample.providers.get(provider).and_then(|found| count(found.desired));
            chart.lines.push(self.line(&name, Look::Dashed(colour), desired));
        }
        chart.marks = self.marks(|kind, _| matches!(kind, MarkKind::CapacityOut | MarkKind::CapacityIn));
        chart
    }

    fn fullness(&self) -> Chart {
        let mut chart = self.chart("instances-full".into(), "How full the instances are", Unit::Percent);
        let part = |part: u64, whole: u64| i64::try_from(part.checked_mul(100_000)?.checked_div(whole)?).ok();
        chart.lines = vec![
            self.line("CPU reserved", Look::Solid(1), |sample| {
                part(sample.instances.cpu_reserved, sample.instances.cpu_registered)
            }),
            self.line("memory reserved", Look::Solid(3), |sample| {
                part(sample.instances.memory_reserved, sample.instances.memory_registered)
            }),
            self.line("CPU used", Look::Solid(2), |sample| sample.instances.cpu_used),
        ];
        for (provider, colour) in self.providers().zip([4, 5, 6]) {
            let of = |sample: &Sample| sample.providers.get(provider).copied();
            let target = self.line(&format!("target of {provider}"), Look::Dashed(colour), |sample| of(sample)?.target);
            if target.values.iter().any(Option::is_some) {
                let name = format!("CapacityProviderReservation of {provider}");
                chart.lines.push(self.line(&name, Look::Solid(colour), |sample| of(sample)?.reservation));
                chart.lines.push(target);
            }
        }
        chart.marks = self.marks(|kind, _| matches!(kind, MarkKind::CapacityOut | MarkKind::CapacityIn));
        chart
    }

    fn providers(&self) -> impl Iterator<Item = &Arc<str>> {
        let last = self.series.samples.last();
        last.into_iter().flat_map(|sample| sample.providers.keys()).take(PROVIDERS_DRAWN)
    }

    fn of_service(&self, number: usize, name: &Arc<str>) -> Vec<Chart> {
        // Numbered: two names may come to the same file.
        let file = |what: &str| format!("service-{number}-{}-{what}", file_part(name));
        let marks = |is_of: fn(MarkKind) -> bool| self.marks(|kind, subject| **name == *subject && is_of(kind));
        let mut counts = self.chart(file("tasks"), "Tasks", Unit::Count);
        counts.lines = vec![
            self.service_line(name, "running", Look::Solid(1), |service| Some(i64::from(service.running))),
            self.service_line(name, "pending", Look::Solid(3), |service| Some(i64::from(service.pending))),
            self.service_line(name, "desired", Look::Dashed(2), |service| Some(i64::from(service.desired))),
        ];
        counts.marks = marks(|kind| !matches!(kind, MarkKind::CapacityOut | MarkKind::CapacityIn | MarkKind::Alarm));
        let mut charts = vec![counts];
        charts.extend(self.utilisation(name, file("utilisation")));
        for (index, policy) in self.policies(name, |metric| !matches!(metric, TrackedMetric::Predefined(_))).enumerate()
        {
            charts.push(self.tracked(name, &policy, file(&format!("tracked-{}", index + 1))));
        }
        let has_jobs =
            self.series.samples.iter().any(|sample| sample.services.get(name).is_some_and(|one| one.jobs.is_some()));
        if has_jobs {
            charts.extend([
                self.latency(name, file("latency")),
                self.jobs(name, file("jobs")),
                self.queue(name, file("waiting")),
            ]);
        }
        for chart in &mut charts[1..] {
            chart.marks = marks(|kind| {
                matches!(
                    kind,
                    MarkKind::DeploymentStarted | MarkKind::DeploymentFailed | MarkKind::ScaledOut | MarkKind::ScaledIn
                )
            });
        }
        charts
    }

    /// CPU and memory against the targets of policies that track them.
    fn utilisation(&self, name: &str, file: String) -> Option<Chart> {
        let mut chart = self.chart(file, "Utilisation of what tasks reserve", Unit::Percent);
        chart.lines = vec![
            self.service_line(name, "CPU", Look::Solid(1), |service| service.cpu),
            self.service_line(name, "memory", Look::Solid(3), |service| service.memory),
        ];
        if chart.lines.iter().flat_map(|line| &line.values).all(Option::is_none) {
            return None;
        }
        for policy in self.policies(name, |metric| matches!(metric, TrackedMetric::Predefined(_))) {
            let target = |service: &ServiceSample| service.tracked.get(&policy).map(|tracked| tracked.target);
            let metric = self.first(name, &policy).map(|tracked| &tracked.metric);
            let (of, colour) = match metric {
                Some(TrackedMetric::Predefined(
                    PredefinedMetric::AverageMemoryUtilization
                    | PredefinedMetric::AverageMemoryUtilizationHighResolution,
                )) => ("target of memory", 5),
                _ => ("target of CPU", 2),
            };
            chart.lines.push(self.service_line(name, of, Look::Dashed(colour), target));
        }
        Some(chart)
    }

    /// The names of a service's target tracking policies over all the time, by a rule on their metric.
    fn policies(&self, name: &str, is_of: impl Fn(&TrackedMetric) -> bool) -> impl Iterator<Item = Arc<str>> {
        let samples = self.series.samples.iter().filter_map(|sample| sample.services.get(name));
        let tracked = samples.flat_map(|service| &service.tracked).filter(|(_, tracked)| is_of(&tracked.metric));
        let names: std::collections::BTreeSet<Arc<str>> = tracked.map(|(policy, _)| policy.clone()).collect();
        names.into_iter()
    }

    fn first(&self, name: &str, policy: &str) -> Option<&TrackedSample> {
        self.series.samples.iter().find_map(|sample| sample.services.get(name)?.tracked.get(policy))
    }

    fn tracked(&self, name: &str, policy: &str, file: String) -> Chart {
        let metric = self.first(name, policy).map_or("", |tracked| tracked.metric.name());
        let mut chart = self.chart(file, &format!("{metric} against its target"), Unit::Number);
        let of = |service: &ServiceSample| service.tracked.get(policy).cloned();
        chart.lines = vec![
            self.service_line(name, metric, Look::Solid(1), |service| of(service)?.value),
            self.service_line(name, "target", Look::Dashed(2), |service| Some(of(service)?.target)),
        ];
        chart
    }

    fn latency(&self, name: &str, file: String) -> Chart {
        let mut chart = self.chart(file, "Time of jobs from arrival to done, logarithmic", Unit::Time);
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).ok();
        chart.lines = vec![
            self.service_line(name, "p99", Look::Solid(5), |service| nanos(service.jobs?.latency?.p99)),
            self.service_line(name, "p50", Look::Solid(1), |service| nanos(service.jobs?.latency?.p50)),
        ];
        let p90 = self.service_line(name, "p90", Look::Solid(3), |service| nanos(service.jobs?.latency?.p90?));
        if is_above_zero(&p90) {
            chart.lines.insert(1, p90);
        }
        chart
    }

    fn jobs(&self, name: &str, file: String) -> Chart {
        let mut chart = self.chart(file, "Jobs a second", Unit::PerSecond);
        chart.lines = vec![
            self.rate(name, "arrived", Look::Dashed(2), |service| Some(service.jobs?.arrived)),
            self.rate(name, "done", Look::Solid(1), |service| Some(service.jobs?.done)),
        ];
        let failed = self.rate(name, "rejected or lost", Look::Solid(5), |service| Some(service.jobs?.failed));
        chart.lines.extend(Some(failed).filter(is_above_zero));
        chart
    }

    fn queue(&self, name: &str, file: String) -> Chart {
        let mut chart = self.chart(file, "Jobs waiting", Unit::Count);
        let queued = |service: &ServiceSample| i64::try_from(service.jobs?.queued).ok();
        chart.lines = vec![self.service_line(name, "waiting", Look::Solid(1), queued)];
        chart
    }

    /// How fast a count grows between samples, in thousandths a second.
    fn rate(&self, service: &str, name: &str, look: Look, count: impl Fn(&ServiceSample) -> Option<u64>) -> Line {
        let mut before: Option<(Timestamp, u64)> = None;
        let values = self.series.samples.iter().map(|sample| {
            let found = sample.services.get(service).and_then(&count).map(|found| (sample.at, found));
            let rate = before.zip(found).and_then(|((from, then), (at, now))| {
                let grown = u128::from(now.saturating_sub(then)) * 1_000_000_000_000;
                i64::try_from(grown.checked_div(at.since(from).as_nanos())?).ok()
            });
            before = found;
            rate
        });
        Line { name: name.into(), look, values: values.collect() }
    }
}

/// Whether a line ever leaves the ground: those that don't say nothing that their absence does not.
fn is_above_zero(line: &Line) -> bool {
    line.values.iter().flatten().any(|value| *value > 0)
}
