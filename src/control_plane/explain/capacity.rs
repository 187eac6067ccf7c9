//! What a task in PROVISIONING waits for: its provider's group, and what becomes of that.

use std::fmt;
use std::sync::Arc;

use crate::control_plane::ControlPlane;
use crate::control_plane::placement::{PlacementRequest, RuleVerdict};
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::capacity::InstanceType;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::Timestamp;

/// A capacity provider as somebody sees it who waits for it. **Source:** ecs-semantics §6.3, §6.4.
#[derive(Clone, Debug)]
pub struct CapacityWait {
    /// Which.
    pub capacity_provider: Arc<str>,
    /// The task's place among those that wait, from 1; `None` for one that is not there yet.
    pub position: Option<usize>,
    /// How many wait.
    pub waiting_count: usize,
    /// The group's desired capacity.
    pub desired_capacity: u32,
    /// The group's bounds.
    pub min_size: u32,
    /// See `min_size`.
    pub max_size: u32,
    /// How many of its instances are in service.
    pub in_service_count: u32,
    /// Those that are coming up.
    pub coming: Vec<ComingInstance>,
    /// Until when it launches nothing, since a launch failed.
    pub launches_blocked_until: Option<Timestamp>,
    /// Until when an instance warms up, which holds scale-out back.
    pub warming_until: Option<Timestamp>,
    /// What managed scaling made of its last look, and when that was.
    pub last_decision: Option<(Timestamp, Arc<str>)>,
    /// When it looks next.
    pub next_decision_at: Timestamp,
    /// Zones of the group that are down.
    pub zones_out: Vec<Arc<str>>,
    /// What the group would launch, by zone.
    pub fresh: Vec<FreshInstance>,
}

/// An instance that is coming up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComingInstance {
    /// Which.
    pub instance: ContainerInstanceId,
    /// How far it is.
    pub lifecycle: LifecycleState,
    /// When it is due to run; `None` where something other than its boot is waited for.
    pub due_at: Option<Timestamp>,
}

/// An instance that the group would launch, and what the rules would say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshInstance {
    /// Where.
    pub availability_zone: Arc<str>,
    /// Its type.
    pub instance_type: Arc<InstanceType>,
    /// What each rule would say of it, with what DAEMON services take away.
    pub verdicts: Vec<RuleVerdict>,
}

impl FreshInstance {
    /// Whether it would take the task.
    pub fn takes_task(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.is_met)
    }
}

/// What may be expected of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityOutlook {
    /// Nothing that it launches would ever take the task.
    Never,
    /// Instances are coming up.
    Coming,
    /// It launches nothing for a while.
    Blocked(Timestamp),
    /// It is as large as it may be.
    AtMaximum(u32),
    /// It decides anew then.
    Decides(Timestamp),
}

impl fmt::Display for CapacityOutlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CapacityOutlook::Never => write!(f, "no instance that the group launches would take it"),
            CapacityOutlook::Coming => write!(f, "instances are coming up"),
            CapacityOutlook::Blocked(until) => write!(f, "a launch failed: none before {until}"),
            CapacityOutlook::AtMaximum(max_size) => {
                write!(f, "the group is at its maximum of {max_size}: room has to come free, or max_size be raised")
            }
            CapacityOutlook::Decides(at) => write!(f, "managed scaling decides at {at}"),
        }
    }
}

impl CapacityWait {
    /// What may be expected.
    pub fn outlook(&self) -> CapacityOutlook {
        if !self.fresh.iter().any(FreshInstance::takes_task) {
            CapacityOutlook::Never
        } else if !self.coming.is_empty() {
            CapacityOutlook::Coming
        } else if let Some(until) = self.launches_blocked_until {
            CapacityOutlook::Blocked(until)
        } else if self.desired_capacity >= self.max_size {
            CapacityOutlook::AtMaximum(self.max_size)
        } else {
            CapacityOutlook::Decides(self.next_decision_at.max(self.warming_until.unwrap_or_default()))
        }
    }
}

impl ControlPlane {
    /// A provider with managed scaling as a task sees it that waits for it, or would.
    pub(super) fn capacity_wait(
        &self,
        name: &Arc<str>,
        task: Option<TaskId>,
        request: &PlacementRequest<'_>,
    ) -> CapacityWait {
        let provider = &self.state.capacity_providers[name];
        let group = &provider.provider.auto_scaling_group;
        let instances = || provider.instances.iter().map(|id| &self.state.container_instances[id]);
        let coming = instances().filter(|instance| instance.lifecycle != LifecycleState::InService);
        let warmup =
            provider.provider.managed_scaling.map(|scaling| scaling.instance_warmup_period).unwrap_or_default();
        let warming = instances().map(|instance| instance.launched_at + warmup).filter(|until| *until > self.now);
        let in_service = instances().filter(|instance| instance.lifecycle == LifecycleState::InService).count();
        let fresh = group.availability_zones.iter().map(|zone| {
            let launch = self.launch_of(name, zone.clone());
            let instance_type = launch.instance_type.clone();
            let mut remaining = instance_type.resources(launch.reserved_memory);
            self.without_daemons(name, &mut remaining);
            let verdicts = self.placement.verdicts_of_fresh(&Arc::new(launch), remaining, request);
            FreshInstance { availability_zone: zone.clone(), instance_type, verdicts }
        });
        CapacityWait {
            capacity_provider: name.clone(),
            position: task.map(|task| provider.provisioning.range(..=task).count()),
            waiting_count: provider.provisioning.len(),
            desired_capacity: provider.desired_capacity,
            min_size: group.min_size,
            max_size: group.max_size,
            in_service_count: crate::control_plane::state::count(in_service),
            coming: coming
                .map(|instance| ComingInstance {
                    instance: instance.id,
                    lifecycle: instance.lifecycle,
                    due_at: (instance.lifecycle == LifecycleState::Pending)
                        .then(|| instance.launched_at + instance.launch.boot_time),
                })
                .collect(),
            launches_blocked_until: provider.launches_blocked_until.filter(|until| *until > self.now),
            warming_until: warming.max(),
            last_decision: provider.last_scaling.clone(),
            next_decision_at: self.state.metrics.period_of(self.now) + self.settings.metric_period,
            zones_out: group
                .availability_zones
                .iter()
                .filter(|zone| self.state.zones_out.contains(*zone))
                .cloned()
                .collect(),
            fresh: fresh.collect(),
        }
    }
}
