//! UpdateCapacityProvider with its Auto Scaling group: what changes of a provider that has instances; and how one comes over a group that
//! has some.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlPlane;
use super::action::{Notification, Response};
use super::request_error::RequestError;
use super::requests::Answer;
use super::state::ProviderState;
use super::timers::Wakeup;
use crate::model::capacity::{CapacityProvider, InstanceLaunch, is_group_by_itself};
use crate::model::ids::ContainerInstanceId;

impl ControlPlane {
    /// Takes over the group's bounds, how it is scaled, and what instances are launched from here on; those that run stay what they
    /// are, and those of a warm pool that is there no more are terminated. A desired capacity that nobody edited stays within the bounds. **Source:** ecs-semantics §6.2, §9.1.
    pub(super) fn update_capacity_provider(&mut self, provider: CapacityProvider) -> Answer {
        let name = provider.name.clone();
        let Some(state) = self.state.capacity_providers.get_mut(&name) else {
            return Err(RequestError::InvalidParameter(format!(
                "The specified capacity provider {name} was not found."
            )));
        };
        let group = &provider.auto_scaling_group;
        if group.availability_zones.is_empty() || group.min_size > group.max_size {
            return Err(RequestError::Client(format!(
                "the Auto Scaling group of {name} needs a zone and min_size at most max_size"
            )));
        }
        super::requests::check_provider(&provider)?;
        let before = &state.provider;
        let template = group.launch_template();
        if before.auto_scaling_group.launch_template() != template {
            state.launch_template = template;
        }
        let edited =
            group.desired_capacity.filter(|_| before.auto_scaling_group.desired_capacity != group.desired_capacity);
        let desired_capacity = edited.unwrap_or(state.desired_capacity).clamp(group.min_size, group.max_size);
        match (before.managed_scaling == provider.managed_scaling, provider.managed_scaling) {
            // Other bounds leave what it has counted so far, as UpdateAutoScalingGroup does.
            (true, _) => {
                if let Some(scaler) = self.scalers.get_mut(&name) {
                    scaler.set_bounds(group.min_size, group.max_size);
                }
            }
            // Its history was of other numbers.
            (false, Some(scaling)) => {
                self.scalers.insert(name.clone(), Self::new_managed_scaler(&provider, scaling));
            }
            (false, None) => {
                self.scalers.remove(&name);
            }
        }
        let from = std::mem::replace(&mut state.desired_capacity, desired_capacity);
        let unpooled = match group.warm_pool {
            None => state.warm.clone(),
            Some(_) => BTreeSet::new(),
        };
        state.provider = Arc::new(provider);
        let provider = state.provider.clone();
        self.learn_subnets(&provider.auto_scaling_group);
        for id in unpooled {
            self.terminate_instance(id);
        }
        if from != desired_capacity {
            let (capacity_provider, reason) = (name.clone(), "the desired capacity was set".into());
            self.notify(Notification::AutoScalingGroup { capacity_provider, from, to: desired_capacity, reason });
        }
        self.groups_to_keep.insert(name);
        Ok(Response::Done)
    }

    /// A provider comes over a group that has run by itself. The instances stay what they are and become the provider's, as those are on ECS
    /// that a group had before it. *Ours:* what they cost is told apart by the name that they were started under.
    pub(super) fn take_over_group(&mut self, group: &Arc<str>, provider: CapacityProvider) -> Answer {
        if !is_group_by_itself(group) || !self.state.capacity_providers.contains_key(group) {
            return Err(RequestError::Client(format!("there is no Auto Scaling group {group} by itself")));
        }
        let name = provider.name.clone();
        self.create_capacity_provider(provider)?;
        let before = self.state.capacity_providers.remove(group).expect("it was found above");
        self.timers.cancel(Wakeup::Group(group.clone()));
        self.groups_to_keep.remove(group);
        self.steady_providers.remove(group);
        let after = self.state.capacity_providers.get_mut(&name).expect("it was created above");
        let sizes = &after.provider.auto_scaling_group;
        *after = ProviderState {
            desired_capacity: before.desired_capacity.clamp(sizes.min_size, sizes.max_size),
            launch_template: after.launch_template.clone(),
            provider: after.provider.clone(),
            ..before
        };
        let of_group = self.state.container_instances.values();
        let of_group = of_group.filter(|instance| instance.launch.capacity_provider.as_ref() == Some(group));
        let of_group: Vec<ContainerInstanceId> = of_group.map(|instance| instance.id).collect();
        for id in of_group {
            let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
            let launch = InstanceLaunch::clone(&instance.launch);
            instance.launch = Arc::new(InstanceLaunch { capacity_provider: Some(name.clone()), ..launch });
            if instance.takes_tasks() {
                self.placement.insert_instance(instance);
            }
            if self.state.is_busy(id) {
                self.protect_occupied(id);
            }
            self.instance_changed(id);
            self.room_appeared(id);
        }
        Ok(Response::Done)
    }
}
