//! What is measured of the cluster: usage samples and jobs as they come, and every metric's datapoint when its period ends.
//!
//! Nothing is decided here: the datapoints go to the metric store, which alarms and policies read.
//!
//! **Source:** ecs-semantics §7.6, §10.1, §10.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::Response;
use super::container_insights::InsightMeasures;
use super::event::{EmittedMetric, PutMetricData};
use super::metrics::names::{self, AWS_ECS, CONTAINER_INSIGHTS};
use super::metrics::reservation::{ClusterSums, percent};
use super::metrics::utilisation::{ClosedPeriod, GroupMetrics, TaskPeriod};
use super::request_error::RequestError;
use super::state::{ClusterState, Deployment, Service, ServiceStatus};
use super::targets::Registration;
use crate::model::alarm::MetricId;
use crate::model::capacity::ContainerInstanceStatus;
use crate::model::id_table::TaskTable;
use crate::model::ids::TaskId;
use crate::model::metric::{MetricScript, StatisticSet};
use crate::model::scaling::TrackedMetric;
use crate::model::service::Monitoring;
use crate::model::settings::ContainerInsights;
use crate::model::target_group::{TargetGroup, TargetState};
use crate::model::task::{Task, TaskStatus};
use crate::model::task_definition::Reservation;
use crate::model::units::Timestamp;

/// What comes together over a metric period.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Measures {
    /// Every running task.
    tasks: TaskTable<MeasuredTask>,
    /// The tasks of each service.
    services: BTreeMap<Arc<str>, GroupMetrics>,
    /// What the parts of this metric period came to that are over, of services that are measured in parts.
    parts: BTreeMap<Arc<str>, ClosedPeriod>,
    /// Restarts and single tasks.
    pub(super) insights: InsightMeasures,
    /// All tasks on EC2 instances.
    on_instances: GroupMetrics,
    /// Jobs that services have done.
    jobs: BTreeMap<Arc<str>, JobCount>,
    /// Metrics whose values are written down beforehand.
    scripts: Vec<MetricScript>,
}

/// A running task and the groups that it belongs to.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct MeasuredTask {
    period: TaskPeriod,
    service: Option<Arc<str>>,
    host: MeasuredHost,
}

/// Where a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum MeasuredHost {
    Fargate,
    Instance,
}

/// Jobs of a service that were done in all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct JobCount {
    done: u64,
    /// Up to the last metric period.
    counted: u64,
}

impl Measures {
    /// How many jobs of a service are known to be done.
    pub(super) fn jobs_done(&self, service: &str) -> u64 {
        self.jobs.get(service).map_or(0, |count| count.done)
    }

    /// A service of this name begins without a past.
    pub(super) fn begin_service(&mut self, name: &Arc<str>) {
        self.services.insert(name.clone(), GroupMetrics::default());
        self.parts.remove(name);
    }

    /// Ends a part of the metric period for a service, whose running tasks were added, and keeps what it came to for the end
    /// of the whole.
    pub(super) fn close_part(&mut self, name: &Arc<str>) -> ClosedPeriod {
        let Some(metrics) = self.services.get_mut(name) else { return ClosedPeriod::default() };
        let closed = metrics.close_period();
        self.parts.entry(name.clone()).or_default().add(&closed);
        closed
    }

    /// Adds what a RUNNING task has used so far. The first time only begins its first interval.
    pub(super) fn add_sample(&mut self, task: &Task, at: Timestamp) {
        let Some(measured) = self.tasks.get_mut(&task.id) else {
            let period = TaskPeriod::begin(at, &task.usage);
            let host = if task.container_instance.is_some() { MeasuredHost::Instance } else { MeasuredHost::Fargate };
            self.tasks.insert(task.id, MeasuredTask { period, service: task.service.clone(), host });
            return;
        };
        measured.period.add_sample(at, &task.usage, task.reservation.cpu, task.reservation.memory);
    }

    /// Looks at a running task's period: see `look_ahead`.
    pub(super) fn look_ahead_at(&self, id: TaskId) -> u64 {
        let measured = self.tasks.get(&id);
        measured.map_or(0, |measured| measured.host as u64 ^ u64::from(measured.period.has_begun()))
    }

    /// A task is over: what it used in this period stays in it.
    fn task_gone(&mut self, id: TaskId) {
        let Some(mut gone) = self.tasks.remove(&id) else { return };
        let sums = gone.period.take();
        if let Some(service) = gone.service.and_then(|name| self.services.get_mut(&name)) {
            service.add_gone(&sums);
        }
        if gone.host == MeasuredHost::Instance {
            self.on_instances.add_gone(&sums);
        }
    }

    /// Adds what is running of the services that end a period, or a part of one, to its groups.
    pub(super) fn add_running_tasks(&mut self, is_ending: impl Fn(Option<&Arc<str>>) -> bool) {
        for task in self.tasks.values_mut().filter(|task| is_ending(task.service.as_ref())) {
            let sums = task.period.take();
            if let Some(service) = task.service.as_ref().and_then(|name| self.services.get_mut(name)) {
                service.add_running(&sums);
            }
            if task.host == MeasuredHost::Instance {
                self.on_instances.add_running(&sums);
            }
        }
    }
}

impl ControlPlane {
    /// Adds what a RUNNING task has used so far. The first time only begins its first interval.
    pub(super) fn measure_task(&mut self, id: TaskId) {
        let Some(record) = self.state.tasks.get(&id) else { return };
        self.measures.add_sample(&record.task, self.now);
        self.measure_single_task(id);
    }

    /// A task is over. What it used up to its end still counts, if it ran.
    pub(super) fn measured_task_over(&mut self, id: TaskId) {
        let Some(record) = self.state.tasks.get(&id) else { return };
        if record.task.started_at.is_some() {
            self.measures.add_sample(&record.task, self.now);
            self.measure_single_task(id);
            self.measures.task_gone(id);
        }
    }

    /// Takes in how many jobs a service has done in all. Fewer than before came late. **Source:** ecs-semantics §7.2. *Ours:* jobs
    /// are the requests of a target group.
    pub(super) fn take_jobs_done(&mut self, service: &Arc<str>, done: u64) {
        let is_known = self.state.services.contains_key(service);
        let jobs = self.measures.jobs.entry(service.clone()).or_default();
        if is_known && done >= jobs.done {
            jobs.done = done;
        } else {
            self.state.ignored_events += 1;
            if jobs.done == 0 && !is_known {
                self.measures.jobs.remove(service);
            }
        }
    }

    /// PutMetricData: a sample of a metric of the user's own. **Source:** CloudWatch, PutMetricData.
    pub(super) fn put_metric_data(&mut self, data: &PutMetricData) -> Result<Response, RequestError> {
        self.put_samples(&data.metric, StatisticSet::of(data.value))?;
        Ok(Response::Done)
    }

    /// Metrics that guests have written: what is refused of them is an event that changes nothing.
    pub(super) fn take_emitted_metrics(&mut self, metrics: &[EmittedMetric]) {
        for EmittedMetric { metric, sample_count, sum, minimum, maximum } in metrics {
            let (sum, minimum, maximum) = (i128::from(*sum), *minimum, *maximum);
            let samples = StatisticSet { sample_count: *sample_count, sum, minimum, maximum };
            if *sample_count == 0 || self.put_samples(metric, samples).is_err() {
                self.state.ignored_events += 1;
            }
        }
    }

    /// Samples of a metric of the user's own.
    fn put_samples(&mut self, metric: &MetricId, samples: StatisticSet) -> Result<(), RequestError> {
        if metric.namespace.starts_with("AWS/") || *metric.namespace == *CONTAINER_INSIGHTS {
            return Err(RequestError::Validation(format!(
                "The value {} for parameter Namespace is invalid: it is one of AWS' own",
                metric.namespace
            )));
        }
        if metric.namespace.is_empty() || metric.name.is_empty() || metric.dimensions.len() > DIMENSIONS_MAX {
            return Err(RequestError::Validation(format!(
                "a metric needs a namespace, a name and at most {DIMENSIONS_MAX} dimensions"
            )));
        }
        self.state.metrics.put(metric, self.now, samples).map_err(|_| {
            RequestError::Validation(format!(
                "there are {} metrics already, which is the limit",
                super::metrics::store::SERIES_MAX
            ))
        })?;
        Ok(())
    }

    /// Takes up a metric whose values are written down beforehand. *Ours.*
    pub(super) fn put_metric_script(&mut self, script: MetricScript) -> Response {
        self.measures.scripts.retain(|other| other.metric != script.metric);
        self.measures.scripts.push(script);
        Response::Done
    }

    /// *Ours.*
    pub(super) fn delete_metric_script(&mut self, metric: &MetricId) -> Response {
        self.measures.scripts.retain(|script| script.metric != *metric);
        Response::Done
    }

    /// Puts the datapoints of the metric period that began at `from` into the store.
    pub(super) fn measure_period(&mut self, from: Timestamp) {
        let mut found: Vec<(MetricId, StatisticSet)> = Vec::new();
        let scripted = self.measures.scripts.iter();
        found.extend(
            scripted.filter_map(|script| Some((script.metric.clone(), StatisticSet::of(script.value_at(from)?)))),
        );
        let (cluster, state) = (&self.name, &self.state);
        self.measures.services.retain(|name, _| state.services.contains_key(name));
        self.measures.jobs.retain(|name, _| state.services.contains_key(name));
        // What is measured in parts has ended its last one.
        let parts = std::mem::take(&mut self.measures.parts);
        let ends_whole = |name: &Arc<str>| {
            !parts.contains_key(name) || state.services[name].spec.monitoring == Monitoring::default()
        };
        let of_service = |name: &Arc<str>| state.services.contains_key(name) && !ends_whole(name);
        self.measures.add_running_tasks(|service| !service.is_some_and(of_service));
        for (name, metrics) in &mut self.measures.services {
            let service = &state.services[name];
            let monitoring = service.spec.monitoring;
            let mut closed = parts.get(name).copied().unwrap_or_default();
            if ends_whole(name) {
                closed.add(&metrics.close_period());
            }
            found.extend(service_metrics(cluster, name, &closed, |name| !monitoring.of(name).is_high()));
            if let Some(jobs) = self.measures.jobs.get_mut(name) {
                let done = jobs.done - std::mem::replace(&mut jobs.counted, jobs.done);
                found.extend(request_metrics(name, done, service.running_count()));
            }
            if self.settings.container_insights != ContainerInsights::Disabled
                && service.status == ServiceStatus::Active
            {
                found.extend(service_insights(cluster, service, &closed, self.settings.metric_period));
            }
        }
        found.extend(target_metrics(state));
        let closed = self.measures.on_instances.close_period();
        found.extend(cluster_metrics(cluster, &cluster_sums(state), &closed, self.settings.metric_period));
        if self.settings.container_insights != ContainerInsights::Disabled {
            found.extend(cluster_insights(cluster, state));
            found.extend(self.container_insights());
        }
        found.extend(self.measure_credits(from));
        self.put_all(from, found);
    }

    /// Puts `CapacityProviderReservation` of the period that began at `from`. **Source:** ecs-semantics §6.3.
    pub(super) fn measure_groups(&mut self, from: Timestamp) {
        let providers = self.state.capacity_providers.iter();
        let found = providers.filter_map(|(name, provider)| {
            let value = i64::try_from(provider.reservation_millipercent?).unwrap_or(i64::MAX);
            Some((names::capacity_provider_reservation(&self.name, name), StatisticSet::of(value)))
        });
        let found: Vec<_> = found.collect();
        self.put_all(from, found);
    }

    /// Puts what the expressions of policies come to for the period that began at `from`. **Source:** ecs-semantics §7.2.
    pub(super) fn measure_expressions(&mut self, from: Timestamp) {
        let metrics = &self.state.metrics;
        let (start, period) = (metrics.period_of(from), metrics.period());
        let mut found = Vec::new();
        for (name, target) in &self.state.scalable_targets {
            for policy in &target.settings.target_tracking {
                let TrackedMetric::Math(math) = &policy.metric else { continue };
                if let Some(value) = math.value(|metric, what| metrics.statistic(metric, start, period, what)) {
                    found.push((names::tracked(policy, &self.name, name).0, StatisticSet::of(value)));
                }
            }
        }
        self.put_all(from, found);
    }

    fn put_all(&mut self, from: Timestamp, found: Vec<(MetricId, StatisticSet)>) {
        for (metric, samples) in found {
            if self.state.metrics.put(&metric, from, samples).is_err() {
                self.state.ignored_events += 1;
            }
        }
    }
}

/// CloudWatch's limit of dimensions.
const DIMENSIONS_MAX: usize = 30;

/// **Source:** ecs-semantics §7.6.
pub(super) fn service_metrics(
    cluster: &str,
    service: &str,
    closed: &ClosedPeriod,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<(MetricId, StatisticSet)> {
    let found = [("CPUUtilization", closed.datapoints.cpu), ("MemoryUtilization", closed.datapoints.memory)];
    let wanted = found.into_iter().filter(|(name, _)| is_wanted(name));
    wanted.filter_map(|(name, samples)| Some((names::of_service(AWS_ECS, name, cluster, service), samples?))).collect()
}

/// **Source:** ecs-semantics §7.2. Without a running task there is no target, and so no datapoint.
fn request_metrics(service: &str, done: u64, running_count: u32) -> Vec<(MetricId, StatisticSet)> {
    if running_count == 0 {
        return Vec::new();
    }
    let per_target = done.saturating_mul(1000) / u64::from(running_count);
    let per_target = StatisticSet::of(i64::try_from(per_target).unwrap_or(i64::MAX));
    vec![
        (names::of_target_group("RequestCount", service), StatisticSet::of_count(done)),
        (names::of_target_group("RequestCountPerTarget", service), per_target),
    ]
}

/// How many targets of each target group that has some are healthy, and how many are not. **Source:** Elastic Load Balancing user guide,
/// CloudWatch metrics for your Application Load Balancer. *Ours:* once a period, and no targets that are leaving.
fn target_metrics(state: &ClusterState) -> Vec<(MetricId, StatisticSet)> {
    let mut counts: BTreeMap<&Arc<str>, (&TargetGroup, u64, u64)> = BTreeMap::new();
    let registered = state.targets.values().filter(|found| found.registration == Registration::Registered);
    for target in registered.flat_map(|found| &found.targets) {
        let (_, healthy, unhealthy) = counts.entry(&target.group.name).or_insert((&target.group, 0, 0));
        match target.state {
            TargetState::Healthy => *healthy += 1,
            TargetState::Unhealthy => *unhealthy += 1,
            TargetState::Initial | TargetState::Draining => {}
        }
    }
    let metrics = |(group, healthy, unhealthy)| {
        [
            (names::of_targets("HealthyHostCount", group), StatisticSet::of_count(healthy)),
            (names::of_targets("UnHealthyHostCount", group), StatisticSet::of_count(unhealthy)),
        ]
    };
    counts.into_values().flat_map(metrics).collect()
}

/// **Source:** ecs-semantics §10.1: RUNNING tasks against what ACTIVE and DRAINING instances have registered.
fn cluster_sums(state: &ClusterState) -> ClusterSums {
    let mut sums = ClusterSums::default();
    let counted = [ContainerInstanceStatus::Active, ContainerInstanceStatus::Draining];
    for instance in state.container_instances.values().filter(|instance| counted.contains(&instance.status)) {
        sums.add_instance(instance.registered.cpu, instance.registered.memory);
    }
    for id in state.tasks_by_instance.values().flatten() {
        let task = &state.tasks[id].task;
        if task.last_status == TaskStatus::Running {
            sums.add_task(task.reservation.cpu, task.reservation.memory);
        }
    }
    sums
}

/// **Source:** ecs-semantics §10.1.
fn cluster_metrics(
    cluster: &str,
    sums: &ClusterSums,
    closed: &ClosedPeriod,
    period: std::time::Duration,
) -> Vec<(MetricId, StatisticSet)> {
    let (cpu_reservation, memory_reservation) = sums.reservation();
    let is_measured = closed.sums.cpu_reserved > 0 || closed.sums.memory_reserved > 0;
    let used = |part: u128, registered: u64| {
        let whole = u128::from(registered) * period.as_nanos();
        percent(part, whole).filter(|_| is_measured && sums.running_count > 0)
    };
    let found = [
        ("CPUReservation", cpu_reservation),
        ("MemoryReservation", memory_reservation),
        ("CPUUtilization", used(closed.sums.cpu_used, sums.cpu_registered)),
        ("MemoryUtilization", used(closed.sums.memory_used, sums.memory_registered)),
    ];
    let named = found
        .into_iter()
        .filter_map(|(name, samples)| samples.map(|samples| (names::of_cluster(AWS_ECS, name, cluster), samples)));
    named.collect()
}

/// **Source:** ecs-semantics §10.2.
fn service_insights(
    cluster: &str,
    service: &Service,
    closed: &ClosedPeriod,
    period: std::time::Duration,
) -> Vec<(MetricId, StatisticSet)> {
    let running = u64::from(service.running_count());
    let reserved = |each: fn(&Reservation) -> u32| {
        let of_deployment = |found: &Deployment| u64::from(found.running_count()) * u64::from(each(&found.reservation));
        service.deployments.iter().map(of_deployment).sum()
    };
    let (cpu_used, memory_used) = closed.sums.used_over(period);
    let count = StatisticSet::of_count;
    let deployments = u64::try_from(service.deployments.len()).unwrap_or(u64::MAX);
    let counted = if service.has_task_sets() { "TaskSetCount" } else { "DeploymentCount" };
    let found = [
        ("DesiredTaskCount", count(service.spec.desired_count.into())),
        ("PendingTaskCount", count(service.pending_count().into())),
        ("RunningTaskCount", count(running)),
        (counted, count(deployments)),
        ("CpuReserved", count(reserved(|each| each.cpu.0))),
        ("CpuUtilized", cpu_used),
        ("MemoryReserved", count(reserved(|each| each.memory.0))),
        ("MemoryUtilized", memory_used),
    ];
    let id = |name| names::of_service(CONTAINER_INSIGHTS, name, cluster, &service.spec.name);
    found.into_iter().map(|(name, samples)| (id(name), samples)).collect()
}

/// **Source:** ecs-semantics §10.2.
fn cluster_insights(cluster: &str, state: &ClusterState) -> Vec<(MetricId, StatisticSet)> {
    let count = |number: usize| StatisticSet::of_count(u64::try_from(number).unwrap_or(u64::MAX));
    let running = state.tasks.values().filter(|record| record.task.last_status == TaskStatus::Running).count();
    let services = state.services.values().filter(|service| service.status == ServiceStatus::Active).count();
    let instances = state.container_instances.values();
    let instances = instances
        .filter(|instance| {
            matches!(instance.status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining)
        })
        .count();
    let found = [("TaskCount", running), ("ServiceCount", services), ("ContainerInstanceCount", instances)];
    found
        .into_iter()
        .map(|(name, number)| (names::of_cluster(CONTAINER_INSIGHTS, name, cluster), count(number)))
        .collect()
}
