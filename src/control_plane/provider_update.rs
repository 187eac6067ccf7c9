//! UpdateCapacityProvider with its Auto Scaling group: what changes of a provider that has instances.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlPlane;
use super::action::{Notification, Response};
use super::request_error::RequestError;
use super::requests::Answer;
use crate::model::capacity::CapacityProvider;

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
}
