//! What the end of a metric period brings: datapoints, alarms, then service auto scaling, then managed scaling of groups.
//!
//! Services come first, so that the tasks they start are among those that wait when capacity is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ControlPlane;
use super::action::Notification;
use super::alarms::last_period_end;
use super::cluster_autoscaling::{InstanceSharing, InstanceState, Occupancy, ProvisioningGroup, ReservationInputs};
use super::metrics::names;
use super::service_autoscaling::{ForecastInputs, PeriodEnd, ScalingInputs, StepCall};
use super::state::{ClusterState, ProviderState};
use crate::model::alarm::AlarmState;
use crate::model::capacity::{AgentConnection, ContainerInstanceStatus, InstanceDevices, InstanceResources};
use crate::model::ids::ContainerInstanceId;
use crate::model::scaling::TargetTracking;
use crate::model::service::PlacementConstraint;
use crate::model::task_definition::Devices;
use crate::model::units::{CpuUnits, MemoryMib, Timestamp};

impl ControlPlane {
    /// The metric period that ends at `due` is over. **Source:** ecs-semantics §6.3, §7.2.
    pub(super) fn metric_period_ended(&mut self, due: Timestamp) {
        let from = Timestamp(due.0.saturating_sub(1));
        self.measure_period(from);
        self.measure_expressions(from);
        self.evaluate_alarms(due);
        let services: Vec<Arc<str>> = self.state.scalable_targets.keys().cloned().collect();
        for name in services {
            self.scale_by_policies(&name, due, PeriodEnd::Metric);
        }
        // Tasks that are wanted must be waiting before the capacity for them is worked out.
        while let Some(service) = self.dirty.pop_first() {
            self.reconcile(&service);
        }
        self.rebalance_services();
        let providers: Vec<Arc<str>> = self.scalers.keys().cloned().collect();
        for name in providers {
            self.scale_group(&name);
        }
        self.measure_groups(from);
        self.tell_of_steady_providers();
    }

    /// Lets the policies of a service take in what has a datapoint at the end of such a period, and does what they come to.
    pub(super) fn scale_by_policies(&mut self, name: &Arc<str>, due: Timestamp, ended: PeriodEnd) {
        let (Some(service), Some(target)) = (self.state.services.get(name), self.state.scalable_targets.get_mut(name))
        else {
            return;
        };
        let settings = &target.settings;
        let metrics = &self.state.metrics;
        let read = |policy: &TargetTracking| {
            let (metric, statistic) = names::tracked(policy, &self.name, name);
            let period = self.settings.metric_period_of(policy.metric.resolution());
            let width = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
            let last = due.0.saturating_sub(1);
            metrics.statistic(&metric, Timestamp(last - last % width), period, statistic)
        };
        let readings: Vec<Option<i64>> = settings.target_tracking.iter().map(read).collect();
        if ended == PeriodEnd::Metric && !settings.predictive_scaling.is_empty() {
            let from = self.state.metrics.period_of(Timestamp(due.0.saturating_sub(1)));
            let loads = settings.predictive_scaling.iter().map(|policy| {
                let (metric, statistic) = names::forecast(policy, &self.name, name);
                metrics.statistic(&metric, from, self.settings.metric_period, statistic)
            });
            target.scaler.look_ahead(ForecastInputs {
                now: due,
                calendar_start: self.calendar_start,
                settings,
                readings: &loads.collect::<Vec<_>>(),
                running_count: service.running_count(),
            });
        }
        let calls: Vec<StepCall> = settings
            .step_scaling
            .iter()
            .enumerate()
            .filter(|_| ended == PeriodEnd::Metric)
            .filter_map(|(policy_index, policy)| {
                let alarm = self.state.alarms.get(&policy.alarm).filter(|alarm| alarm.state == AlarmState::Alarm)?;
                let spec = &alarm.spec;
                let width = u64::try_from(spec.period.as_nanos()).unwrap_or(u64::MAX);
                let from = Timestamp(last_period_end(spec, due).0.saturating_sub(width));
                // A step is chosen by a datapoint: without one there is none to choose.
                let value = metrics.statistic(&spec.metric, from, spec.period, policy.metric_aggregation_type)?;
                Some(StepCall { policy_index, value, threshold: spec.threshold })
            })
            .collect();
        let activity = target.scaler.on_period(ScalingInputs {
            now: self.now,
            ended,
            settings,
            readings: &readings,
            calls: &calls,
            desired_count: service.spec.desired_count,
            running_count: service.running_count(),
            deployment: Self::deployment_progress(service),
        });
        self.turn_policy_alarms(name, due);
        if let Some(activity) = activity {
            self.set_count_by_activity(name, activity.desired_count, &activity.description, &activity.cause);
        }
    }

    fn scale_group(&mut self, name: &Arc<str>) {
        if self.state.draining {
            return;
        }
        let provider = &self.state.capacity_providers[name];
        let instances = instance_states(&self.state, provider);
        let mut waiting: BTreeMap<Need, (usize, u32)> = BTreeMap::new();
        let mut samples = Vec::new();
        for task in &provider.provisioning {
            let record = &self.state.tasks[task];
            let task = &record.task;
            let distinct = record.placement.constraints.contains(&PlacementConstraint::DistinctInstance);
            // Only tasks that each want an instance of their own depend on whom they belong to.
            let group: Arc<str> = if distinct { task.group.clone() } else { "".into() };
            let key = (task.reservation.cpu.0, task.reservation.memory.0, task.reservation.devices, group);
            let entry = waiting.entry(key).or_insert_with(|| {
                samples.push((task.reservation.clone(), distinct.then(|| self.instances_of_group(&task.group))));
                (samples.len() - 1, 0)
            });
            entry.1 += 1;
        }
        let provisioning: Vec<ProvisioningGroup<'_>> = waiting
            .values()
            .map(|&(index, count)| ProvisioningGroup {
                reservation: &samples[index].0,
                count,
                sharing: match &samples[index].1 {
                    Some(taken) => InstanceSharing::Distinct { taken },
                    None => InstanceSharing::Shared,
                },
            })
            .collect();
        let reserved_memory = provider.provider.auto_scaling_group.reserved_memory;
        let mut fresh_instance = provider.current_template().instance_type.resources(reserved_memory);
        self.without_daemons(name, &mut fresh_instance);
        let scaler = self.scalers.get_mut(name).expect("only scaled providers are listed");
        let result = scaler.on_period(ReservationInputs {
            now: self.now,
            instances: &instances,
            provisioning: &provisioning,
            fresh_instance: &fresh_instance,
            desired: provider.desired_capacity,
        });
        let from = provider.desired_capacity;
        // Source: ecs-semantics §9.1: scale-in is blocked while instances warm up.
        let is_warming = provider.provider.auto_scaling_group.default_instance_warmup.is_some_and(|warmup| {
            let registered = provider.instances.iter().map(|id| self.state.container_instances[id].registered_at);
            registered.into_iter().any(|at| at.is_none_or(|at| self.now.since(at) < warmup))
        });
        let provider = self.state.capacity_providers.get_mut(name).expect("it was found above");
        provider.reservation_millipercent = Some(result.reservation_millipercent);
        let reason: Arc<str> = result.reason.into();
        provider.last_scaling = Some((self.now, reason.clone()));
        if let Some(to) = result.desired.filter(|to| *to > from || !is_warming) {
            provider.desired_capacity = to;
            self.notify(Notification::AutoScalingGroup { capacity_provider: name.clone(), from, to, reason });
            self.groups_to_keep.insert(name.clone());
        }
    }

    fn instances_of_group(&self, group: &Arc<str>) -> BTreeSet<ContainerInstanceId> {
        self.state
            .tasks_by_instance
            .iter()
            .filter(|(_, tasks)| tasks.iter().any(|task| self.state.tasks[task].task.group == *group))
            .map(|(instance, _)| instance)
            .collect()
    }
}

/// What waiting tasks are alike in: CPU, memory, devices and, where each wants an instance of its own, their group.
type Need = (u32, u32, Devices, Arc<str>);

/// What an instance that takes no tasks has for them.
const NO_ROOM: &InstanceResources = &InstanceResources {
    cpu: CpuUnits(0),
    memory: MemoryMib(0),
    ports: BTreeSet::new(),
    devices: InstanceDevices { gpus: 0, network_interfaces: Some(0) },
};

/// A group's instances as the scaling decisions see them.
pub(super) fn instance_states<'a>(state: &'a ClusterState, group: &'a ProviderState) -> Vec<InstanceState<'a>> {
    group
        .instances
        .iter()
        .map(|id| {
            let instance = &state.container_instances[id];
            // A daemon alone leaves it empty. Source: ecs-semantics §6.3.
            let busy = state.is_busy(*id);
            InstanceState {
                id: *id,
                availability_zone: &instance.launch.availability_zone,
                occupancy: if busy { Occupancy::Busy } else { Occupancy::Empty },
                launched_at: instance.launched_at,
                remaining: match (instance.status, instance.agent) {
                    (ContainerInstanceStatus::Registering, _)
                    | (ContainerInstanceStatus::Active, AgentConnection::Connected) => &instance.remaining,
                    _ => NO_ROOM,
                },
            }
        })
        .collect()
}
