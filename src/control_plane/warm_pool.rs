//! The warm pool of a group: instances that have booted and wait, so that a scale-out takes less time.
//!
//! They are not in the cluster: they register when they come into service. A stopped or hibernated one is paid for only for its
//! first boot, and again from its start on. **Source:** ecs-semantics §8.3, §9.5.

use std::sync::Arc;

use super::ControlPlane;
use super::action::Action;
use super::capacity::pooled;
use crate::model::auto_scaling_group::{InstanceHealth, LifecycleState, WarmPoolState};
use crate::model::capacity::{AgentConnection, ContainerInstance, ContainerInstanceStatus};
use crate::model::ids::ContainerInstanceId;
use crate::model::units::Duration;

/// How much quicker a stopped instance starts than a fresh one boots, unless the group says it. *Ours.*
const WARM_START_DIVISOR: u32 = 3;

impl ControlPlane {
    /// Brings the pool to its size; instances of another launch template go.
    pub(super) fn keep_warm_pool(&mut self, name: &Arc<str>) {
        let Some(group) = self.state.capacity_providers.get(name) else { return };
        let spec = &group.provider.auto_scaling_group;
        let Some(pool) = spec.warm_pool else { return };
        let version = group.current_template().version;
        let outdated: Vec<ContainerInstanceId> = group
            .warm
            .iter()
            .filter(|id| self.state.container_instances[id].launch.launch_template_version != version)
            .copied()
            .collect();
        let size = pool.size(group.desired_capacity, spec.max_size) as usize;
        let is_returning = |id: &&ContainerInstanceId| {
            self.state.container_instances[id].launch.capacity_provider.as_ref() == Some(name)
        };
        let fresh = group.warm.len() - outdated.len() + self.returning.iter().filter(is_returning).count();
        let surplus = group.warm.iter().rev().filter(|id| !outdated.contains(id)).take(fresh.saturating_sub(size));
        let going: Vec<ContainerInstanceId> = outdated.iter().chain(surplus).copied().collect();
        for id in going {
            self.terminate_instance(id);
        }
        if self.launches_are_blocked(name) {
            return;
        }
        for _ in fresh..size {
            let group = &self.state.capacity_providers[name];
            let pool: Vec<&str> =
                group.warm.iter().map(|id| &*self.state.container_instances[id].launch.availability_zone).collect();
            let zones = group.provider.auto_scaling_group.availability_zones.iter();
            let usable = zones.filter(|zone| !self.state.zones_out.contains(*zone));
            let Some(zone) = usable.min_by_key(|zone| pool.iter().filter(|taken| **taken == &***zone).count()).cloned()
            else {
                return;
            };
            self.launch_into_pool(name, zone);
        }
    }

    fn launch_into_pool(&mut self, name: &Arc<str>, zone: Arc<str>) {
        let launch = Arc::new(self.launch_of(name, zone));
        let id = self.new_instance_id();
        let mut instance = ContainerInstance::launched(id, launch.clone(), self.now);
        instance.lifecycle = LifecycleState::WarmedPending;
        self.state.container_instances.insert(id, instance);
        self.state.capacity_providers.get_mut(name).expect("the caller has the group").warm.insert(id);
        self.state.waits.entry(id).or_default().warmed_at = Some(self.now + launch.boot_time);
        self.wake_for_instance(id);
        self.instance_changed(id);
    }

    /// It has booted, and runs, or stops at once.
    pub(super) fn instance_warmed(&mut self, id: ContainerInstanceId) {
        let Some(instance) = self.state.container_instances.get(&id) else { return };
        let Some(name) = instance.launch.capacity_provider.clone() else { return };
        let group = self.state.capacity_providers.get(&name);
        let pool = group.and_then(|group| group.provider.auto_scaling_group.warm_pool).unwrap_or_default();
        self.start_paying(id);
        if pool.pool_state != WarmPoolState::Running {
            self.stop_paying(id);
        }
        let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
        instance.lifecycle = pooled(pool.pool_state);
        self.groups_to_keep.insert(name);
    }

    /// An instance that was scaled in has stopped: it is in the pool again, as if it had never registered. Says whether it is.
    /// **Source:** ecs-semantics §9.5. *Ours:* until it has stopped it is `Terminating`, and in a running pool it is started anew.
    pub(super) fn return_to_pool(&mut self, id: ContainerInstanceId) -> bool {
        if !self.returning.remove(&id) || self.state.draining {
            return false;
        }
        let Some(instance) = self.state.container_instances.get_mut(&id) else { return false };
        let Some(name) = instance.launch.capacity_provider.clone() else { return false };
        let Some(group) = self.state.capacity_providers.get_mut(&name) else { return false };
        group.warm.insert(id);
        instance.status = ContainerInstanceStatus::Registering;
        instance.remaining.clone_from(&instance.registered);
        instance.agent = AgentConnection::Connected;
        instance.health = InstanceHealth::Initializing;
        instance.registered_at = None;
        instance.empty_since = None;
        let shown = self.ids.ec2_instance(id);
        self.group_activity(&name, &format!("instance {shown} goes back to the warm pool"));
        self.instance_warmed(id);
        self.instance_changed(id);
        true
    }

    /// Takes an instance that is ready from the pool into the group, the lowest id first. **Source:** ecs-semantics §9.5.
    pub(super) fn take_from_pool(&mut self, name: &Arc<str>) -> Option<ContainerInstanceId> {
        let group = self.state.capacity_providers.get(name)?;
        let is_ready =
            |id: &&ContainerInstanceId| self.state.container_instances[id].lifecycle != LifecycleState::WarmedPending;
        let id = *group.warm.iter().find(is_ready)?;
        let spec = &group.provider.auto_scaling_group;
        let instance = &self.state.container_instances[&id];
        let start_time = match instance.lifecycle {
            LifecycleState::WarmedRunning => Duration::ZERO,
            _ => spec.warm_start_time.unwrap_or(spec.boot_time / WARM_START_DIVISOR),
        };
        let mut launch = instance.launch.as_ref().clone();
        launch.boot_time = start_time;
        let launch = Arc::new(launch);
        let now = self.now;
        let protection = spec.new_instances_protected;
        let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
        instance.launch = launch.clone();
        instance.lifecycle = LifecycleState::Pending;
        instance.status = ContainerInstanceStatus::Registering;
        instance.protection = protection;
        instance.launched_at = now;
        let group = self.state.capacity_providers.get_mut(name)?;
        group.warm.remove(&id);
        group.instances.insert(id);
        self.actions.push(Action::LaunchInstance { instance: id, launch });
        Some(id)
    }
}
