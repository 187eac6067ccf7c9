//! Standby: instances of a group that are taken out of service and brought back, to be looked at or worked on.
//!
//! One on standby runs and is paid for, but the group does not count it: it is neither replaced when it is unhealthy, nor scaled in, nor
//! moved between zones. To ECS it is the container instance that it was: it takes tasks unless it is drained.
//! **Source:** ecs-semantics §9.2 (the states), §9.4 (what a refresh does with them). *Ours:* it goes through `EnteringStandby` at once.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Notification, Response};
use super::event::StandbyCapacity;
use super::request_error::RequestError;
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::ids::ContainerInstanceId;

impl ControlPlane {
    /// Auto Scaling's EnterStandby. The desired capacity goes down with the instances, or the group launches others for them.
    pub(super) fn enter_standby(
        &mut self,
        name: &Arc<str>,
        instances: &[ContainerInstanceId],
        capacity: StandbyCapacity,
    ) -> Result<Response, RequestError> {
        self.check_lifecycle(name, instances, LifecycleState::InService)?;
        let group = self.state.capacity_providers.get_mut(name).expect("it was found above");
        let min = group.provider.auto_scaling_group.min_size;
        let moved = super::state::count(instances.len());
        let desired = match capacity {
            StandbyCapacity::Kept => group.desired_capacity,
            StandbyCapacity::Decremented => group.desired_capacity.saturating_sub(moved),
        };
        if desired < min {
            return Err(RequestError::Validation(format!(
                "{moved} instances on standby would leave a desired capacity of {desired}, below the minimum of {min}"
            )));
        }
        for id in instances {
            group.instances.remove(id);
            group.standby.insert(*id);
        }
        self.set_lifecycles(name, instances, LifecycleState::Standby, "enters standby");
        self.set_desired(name, desired, "instances entered standby");
        Ok(Response::Done)
    }

    /// Auto Scaling's ExitStandby: the desired capacity goes up with the instances.
    pub(super) fn exit_standby(
        &mut self,
        name: &Arc<str>,
        instances: &[ContainerInstanceId],
    ) -> Result<Response, RequestError> {
        self.check_lifecycle(name, instances, LifecycleState::Standby)?;
        let group = self.state.capacity_providers.get_mut(name).expect("it was found above");
        let max = group.provider.auto_scaling_group.max_size;
        let desired = group.desired_capacity.saturating_add(super::state::count(instances.len()));
        if desired > max {
            return Err(RequestError::Validation(format!(
                "the instances would make a desired capacity of {desired}, above the maximum of {max}"
            )));
        }
        for id in instances {
            group.standby.remove(id);
            group.instances.insert(*id);
        }
        self.set_lifecycles(name, instances, LifecycleState::InService, "leaves standby");
        self.set_desired(name, desired, "instances left standby");
        Ok(Response::Done)
    }

    /// Refuses unless each instance is there once, in the group and in this state.
    fn check_lifecycle(
        &self,
        name: &Arc<str>,
        instances: &[ContainerInstanceId],
        lifecycle: LifecycleState,
    ) -> Result<(), RequestError> {
        if !self.state.capacity_providers.contains_key(name) {
            return Err(RequestError::Validation("AutoScalingGroup name not found".into()));
        }
        for (index, id) in instances.iter().enumerate() {
            let found = self.state.container_instances.get(id);
            let fits = found.is_some_and(|instance| {
                instance.launch.capacity_provider.as_ref() == Some(name) && instance.lifecycle == lifecycle
            });
            if !fits || instances[..index].contains(id) {
                let shown = self.ids.ec2_instance(*id);
                return Err(RequestError::Validation(format!(
                    "The instance {shown} is not part of the group, or not in {} state",
                    lifecycle.as_str()
                )));
            }
        }
        Ok(())
    }

    fn set_lifecycles(&mut self, name: &Arc<str>, ids: &[ContainerInstanceId], lifecycle: LifecycleState, what: &str) {
        for id in ids {
            self.state.container_instances.get_mut(id).expect("it was found above").lifecycle = lifecycle;
            let shown = self.ids.ec2_instance(*id);
            self.group_activity(name, &format!("instance {shown} {what}"));
        }
        self.groups_to_keep.insert(name.clone());
    }

    fn set_desired(&mut self, name: &Arc<str>, to: u32, reason: &str) {
        let group = self.state.capacity_providers.get_mut(name).expect("the caller has the group");
        let from = std::mem::replace(&mut group.desired_capacity, to);
        if from != to {
            let (capacity_provider, reason) = (name.clone(), reason.into());
            self.notify(Notification::AutoScalingGroup { capacity_provider, from, to, reason });
        }
    }
}
