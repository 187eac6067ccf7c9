//! Container Insights beyond the counts and sizes of services: restarts of containers, what instances have left, and each task by itself.
//!
//! Single tasks are measured only where the cluster asks for `enhanced` insights: each is a series of its own.
//!
//! **Source:** ecs-semantics §10.2. *Ours:* which of the names belong to `enhanced`, and that containers are not measured apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::Response;
use super::metrics::names::{self, CONTAINER_INSIGHTS};
use super::metrics::utilisation::{GroupMetrics, TaskPeriod};
use super::state::{ClusterState, Service, ServiceStatus};
use crate::model::alarm::MetricId;
use crate::model::capacity::{ContainerInstance, ContainerInstanceStatus};
use crate::model::ids::{IdForm, TaskId};
use crate::model::metric::StatisticSet;
use crate::model::settings::ContainerInsights;
use crate::model::task::Task;
use crate::model::task_definition::TaskDefinition;

/// What comes together over a metric period.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct InsightMeasures {
    /// Restarts of containers, by service (none: standalone) and family.
    restarts: BTreeMap<(Option<Arc<str>>, Arc<str>), u64>,
    /// Each task, where single tasks are measured.
    tasks: BTreeMap<TaskId, SingleTask>,
}

/// A task that is measured by itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct SingleTask {
    period: TaskPeriod,
    metrics: GroupMetrics,
}

impl ControlPlane {
    /// Measures this from here on. What came together of the period so far, and is measured no more, is left out.
    pub(super) fn put_container_insights(&mut self, insights: ContainerInsights) -> Response {
        self.settings.container_insights = insights;
        match insights {
            ContainerInsights::Disabled => self.measures.insights = InsightMeasures::default(),
            ContainerInsights::Enabled => self.measures.insights.tasks.clear(),
            ContainerInsights::Enhanced => {}
        }
        Response::Done
    }

    /// Containers of a task were started again.
    pub(super) fn count_restarts(&mut self, id: TaskId, count: u32) {
        if count > 0 && self.settings.container_insights != ContainerInsights::Disabled {
            let task = &self.state.tasks[&id].task;
            let key = (task.service.clone(), task.task_definition.family.as_str().into());
            *self.measures.insights.restarts.entry(key).or_default() += u64::from(count);
        }
    }

    /// Adds what a RUNNING task has used so far, where single tasks are measured.
    pub(super) fn measure_single_task(&mut self, id: TaskId) {
        if self.settings.container_insights == ContainerInsights::Enhanced {
            let task = &self.state.tasks[&id].task;
            let begun =
                SingleTask { period: TaskPeriod::begin(self.now, &task.usage), metrics: GroupMetrics::default() };
            let single = self.measures.insights.tasks.entry(id).or_insert(begun);
            single.period.add_sample(self.now, &task.usage, task.reservation.cpu, task.reservation.memory);
        }
    }

    /// The datapoints of the metric period that ends.
    pub(super) fn container_insights(&mut self) -> Vec<(MetricId, StatisticSet)> {
        let insights = &mut self.measures.insights;
        let restarts = std::mem::take(&mut insights.restarts);
        let (cluster, state) = (&self.name, &self.state);
        let mut found = restart_metrics(cluster, state, &restarts);
        for service in state.services.values().filter(|service| service.status == ServiceStatus::Active) {
            found.extend(storage_metric(cluster, service));
        }
        let registered = [ContainerInstanceStatus::Active, ContainerInstanceStatus::Draining];
        for instance in state.container_instances.values().filter(|instance| registered.contains(&instance.status)) {
            found.extend(instance_metrics(cluster, instance, self.ids));
        }
        insights.tasks.retain(|id, single| {
            let Some(record) = state.tasks.get(id) else { return false };
            single.metrics.add_running(&single.period.take());
            let closed = single.metrics.close_period().datapoints;
            let values = [("TaskCpuUtilization", closed.cpu), ("TaskMemoryUtilization", closed.memory)];
            let values = values.into_iter().filter_map(|(name, samples)| Some((name, samples?)));
            found.extend(values.map(|(name, samples)| (of_task(name, cluster, &record.task, self.ids), samples)));
            record.task.stopped_at.is_none()
        });
        found
    }
}

/// `RestartCount` of the cluster, and of each service and family that has a restart policy.
fn restart_metrics(
    cluster: &str,
    state: &ClusterState,
    restarts: &BTreeMap<(Option<Arc<str>>, Arc<str>), u64>,
) -> Vec<(MetricId, StatisticSet)> {
    const NAME: &str = "RestartCount";
    let has_policy =
        |definition: &TaskDefinition| definition.containers.iter().any(|container| container.restart_policy.is_some());
    let mut by_service: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    let mut by_family: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for (name, service) in &state.services {
        let Some(definition) = service.primary_if_any().map(|primary| &primary.task_definition) else { continue };
        if service.status == ServiceStatus::Active && has_policy(definition) {
            by_service.insert(name.clone(), 0);
            by_family.insert(definition.family.as_str().into(), 0);
        }
    }
    for ((service, family), count) in restarts {
        if let Some(service) = service {
            *by_service.entry(service.clone()).or_default() += count;
        }
        *by_family.entry(family.clone()).or_default() += count;
    }
    if by_family.is_empty() {
        return Vec::new();
    }
    let all = restarts.values().sum();
    let mut found = vec![(names::of_cluster(CONTAINER_INSIGHTS, NAME, cluster), StatisticSet::of_count(all))];
    found.extend(by_service.into_iter().map(|(service, count)| {
        (names::of_service(CONTAINER_INSIGHTS, NAME, cluster, &service), StatisticSet::of_count(count))
    }));
    found.extend(by_family.into_iter().map(|(family, count)| {
        let dimensions = [("ClusterName", cluster), ("TaskDefinitionFamily", &*family)];
        (MetricId::new(CONTAINER_INSIGHTS, NAME, &dimensions), StatisticSet::of_count(count))
    }));
    found
}

/// `EphemeralStorageReserved` of a service whose task definition names a size, in GiB.
fn storage_metric(cluster: &str, service: &Service) -> Option<(MetricId, StatisticSet)> {
    let each = service.primary_if_any()?.task_definition.ephemeral_storage_gib?;
    let all = u64::from(each) * u64::from(service.running_count());
    let id = names::of_service(CONTAINER_INSIGHTS, "EphemeralStorageReserved", cluster, &service.spec.name);
    Some((id, StatisticSet::of_count(all)))
}

/// What an instance has and how much of it is taken, in percent.
fn instance_metrics(cluster: &str, instance: &ContainerInstance, ids: IdForm) -> Vec<(MetricId, StatisticSet)> {
    let (container_instance, ec2_instance) = (ids.container_instance(instance.id), instance.ec2_instance_id(ids));
    let taken = |registered: u32, remaining: u32| {
        let taken = u64::from(registered.saturating_sub(remaining)) * 100_000;
        let percent = taken.checked_div(u64::from(registered)).unwrap_or_default();
        StatisticSet::of(i64::try_from(percent).unwrap_or(i64::MAX))
    };
    let (registered, remaining) = (&instance.registered, &instance.remaining);
    let found = [
        ("instance_cpu_reserved_capacity", taken(registered.cpu.0, remaining.cpu.0)),
        ("instance_memory_reserved_capacity", taken(registered.memory.0, remaining.memory.0)),
        ("instance_number_of_running_tasks", StatisticSet::of_count(instance.running_tasks_count.into())),
    ];
    let dimensions =
        [("ClusterName", cluster), ("ContainerInstanceId", &container_instance), ("InstanceId", &ec2_instance)];
    found.into_iter().map(|(name, samples)| (MetricId::new(CONTAINER_INSIGHTS, name, &dimensions), samples)).collect()
}

fn of_task(name: &str, cluster: &str, task: &Task, ids: IdForm) -> MetricId {
    let id = ids.task(task.id);
    let mut dimensions =
        vec![("ClusterName", cluster), ("TaskDefinitionFamily", &task.task_definition.family), ("TaskId", &id)];
    dimensions.extend(task.service.as_deref().map(|service| ("ServiceName", service)));
    MetricId::new(CONTAINER_INSIGHTS, name, &dimensions)
}
