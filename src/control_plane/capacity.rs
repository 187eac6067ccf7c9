//! Instances and the Auto Scaling groups that keep them.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Action, Notification};
use super::cluster_autoscaling::{self, ManagedScaler};
use super::timers::Wakeup;
use crate::model::capacity::{
    CapacityProvider, ContainerInstance, ContainerInstanceStatus, InstanceLaunch, ManagedScaling,
};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task::{DesiredStatus, StopCode, TaskStatus};
use crate::model::usage::MeteringFact;

impl ControlPlane {
    /// Launches an EC2 instance; it registers when it runs.
    pub(super) fn launch_instance(&mut self, launch: Arc<InstanceLaunch>) -> ContainerInstanceId {
        let id = self.new_instance_id();
        let instance = ContainerInstance::launched(id, launch.clone(), self.now);
        self.state.container_instances.insert(id, instance);
        self.actions.push(Action::LaunchInstance { instance: id, launch });
        self.instance_changed(id);
        id
    }

    /// **Source:** ecs-semantics §3.2, §8.3 (an instance is paid for from `running` on).
    pub(super) fn instance_running(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let found = self.state.container_instances.get_mut(&id);
        let Some(instance) = found.filter(|instance| instance.status == ContainerInstanceStatus::Registering) else {
            self.state.ignored_events += 1;
            return;
        };
        instance.status = ContainerInstanceStatus::Active;
        instance.registered_at = Some(now);
        instance.empty_since = Some(now);
        self.placement.insert_instance(instance);
        let launch = instance.launch.clone();
        self.actions.push(Action::Meter(MeteringFact::InstanceStarted {
            instance: id,
            at: now,
            instance_type: launch.instance_type.clone(),
            capacity_provider: launch.capacity_provider.clone(),
        }));
        self.instance_changed(id);
        self.room_appeared(id);
    }

    /// The group tries again after a metric period.
    pub(super) fn instance_launch_failed(&mut self, id: ContainerInstanceId, reason: &str) {
        let now = self.now;
        let found = self.state.container_instances.get_mut(&id);
        let Some(instance) =
            found.filter(|instance| instance.registered_at.is_none() && instance.terminated_at.is_none())
        else {
            self.state.ignored_events += 1;
            return;
        };
        instance.status = ContainerInstanceStatus::Inactive;
        instance.terminated_at = Some(now);
        let provider = instance.launch.capacity_provider.clone();
        self.instance_changed(id);
        if let Some(name) = provider {
            if let Some(group) = self.state.capacity_providers.get_mut(&name) {
                group.instances.remove(&id);
                let desired = group.desired_capacity;
                self.notify(Notification::AutoScalingGroup {
                    capacity_provider: name.clone(),
                    from: desired,
                    to: desired,
                    reason: format!("an instance could not be launched: {reason}").into(),
                });
            }
            self.timers.set(now + self.settings.metric_period, Wakeup::LaunchRetry(name));
        }
    }

    /// Asks for an instance's end; its tasks go with it. It is paid for until here: `shutting-down` is not billed.
    /// **Source:** ecs-semantics §2.4, §3.2, §8.3.
    pub(super) fn terminate_instance(&mut self, id: ContainerInstanceId) {
        let found = self.state.container_instances.get(&id);
        let Some(instance) = found.filter(|instance| instance.status < ContainerInstanceStatus::Deregistering) else {
            return;
        };
        let provider = instance.launch.capacity_provider.clone();
        self.leave_running(id, ContainerInstanceStatus::Deregistering);
        self.end_tasks_of(id);
        self.actions.push(Action::TerminateInstance { instance: id });
        if let Some(provider) = provider {
            self.groups_to_keep.insert(provider);
        }
    }

    /// An instance is gone, asked for or not.
    pub(super) fn instance_terminated(&mut self, id: ContainerInstanceId, reason: Option<String>) {
        let now = self.now;
        let found = self.state.container_instances.get(&id);
        let Some(instance) = found.filter(|instance| instance.status != ContainerInstanceStatus::Inactive) else {
            self.state.ignored_events += 1;
            return;
        };
        let provider = instance.launch.capacity_provider.clone();
        let unasked = instance.status != ContainerInstanceStatus::Deregistering;
        if unasked {
            self.leave_running(id, ContainerInstanceStatus::Deregistering);
            self.end_tasks_of(id);
        }
        // Nothing that ran there can report any more.
        let left: Vec<TaskId> = self.state.tasks_by_instance.remove(&id).unwrap_or_default().into_iter().collect();
        for task in left {
            self.task_over(task);
        }
        let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
        instance.status = ContainerInstanceStatus::Inactive;
        instance.terminated_at = Some(now);
        self.instance_changed(id);
        if let Some(name) = provider {
            if let (true, Some(group)) = (unasked, self.state.capacity_providers.get(&name)) {
                let desired = group.desired_capacity;
                let reason = reason.unwrap_or_else(|| "the instance was lost".into());
                self.notify(Notification::AutoScalingGroup {
                    capacity_provider: name.clone(),
                    from: desired,
                    to: desired,
                    reason: format!("an instance is replaced: {reason}").into(),
                });
            }
            self.groups_to_keep.insert(name);
        }
    }

    /// Takes an instance out of placement, out of its group and off the bill.
    fn leave_running(&mut self, id: ContainerInstanceId, status: ContainerInstanceStatus) {
        let now = self.now;
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        let was_running = instance.registered_at.is_some();
        instance.status = status;
        if let Some(group) =
            instance.launch.capacity_provider.as_ref().and_then(|name| self.state.capacity_providers.get_mut(name))
        {
            group.instances.remove(&id);
        }
        self.placement.remove_instance(id);
        if was_running {
            self.actions.push(Action::Meter(MeteringFact::InstanceStopped { instance: id, at: now }));
        }
        self.instance_changed(id);
    }

    /// Marks the tasks of an instance that is going: the data plane ends them with it.
    fn end_tasks_of(&mut self, id: ContainerInstanceId) {
        let shown = self.ids.ec2_instance(id);
        let reason: Arc<str> = format!("Host EC2 (instance {shown}) stopped/terminated").into();
        let tasks: Vec<TaskId> = self.state.tasks_by_instance.get(&id).into_iter().flatten().copied().collect();
        let now = self.now;
        for task in tasks {
            self.change_task(task, |record| {
                let task = &mut record.task;
                if task.desired_status == DesiredStatus::Running {
                    task.desired_status = DesiredStatus::Stopped;
                    task.stop_code = Some(StopCode::TerminationNotice);
                    task.stopped_reason = Some(reason.clone());
                }
                task.last_status = task.last_status.max(TaskStatus::Stopping);
                task.stopping_at = task.stopping_at.or(Some(now));
            });
            self.dirty.extend(self.state.tasks[&task].task.service.clone());
        }
    }

    /// Brings a group to its desired capacity: launches over the emptiest zones, terminates nothing that holds tasks.
    /// **Source:** ecs-semantics §6.4, §9.1.
    pub(super) fn keep_group(&mut self, name: &Arc<str>) {
        let Some(state) = self.state.capacity_providers.get(name) else { return };
        if self.state.draining {
            return;
        }
        let group = state.provider.auto_scaling_group.clone();
        let instances = super::scaling::instance_states(&self.state, state);
        for zone in cluster_autoscaling::asg_wants(state.desired_capacity, &instances, &group.availability_zones) {
            let launch = group.launch_in(&zone, name);
            let id = self.launch_instance(Arc::new(launch));
            self.state.capacity_providers.get_mut(name).expect("it was found above").instances.insert(id);
        }
    }

    pub(super) fn new_managed_scaler(provider: &CapacityProvider, scaling: ManagedScaling) -> ManagedScaler {
        let group = &provider.auto_scaling_group;
        ManagedScaler::new(scaling, group.min_size, group.max_size)
    }

    /// Once nothing is left to run, a cluster that drains gives its instances back. Says whether it did anything.
    pub(super) fn drain_instances(&mut self) -> bool {
        if self.state.live_count > 0 {
            return false;
        }
        let live: Vec<ContainerInstanceId> = self.state.live_instances().map(|instance| instance.id).collect();
        for id in &live {
            self.terminate_instance(*id);
        }
        !live.is_empty()
    }

    /// Copies an instance's remaining resources from the placement index, whose numbers they are.
    pub(super) fn refresh_remaining(&mut self, id: ContainerInstanceId) {
        let holds_tasks = self.state.tasks_by_instance.get(&id).is_some_and(|tasks| !tasks.is_empty());
        let Some(instance) = self.state.container_instances.get_mut(&id) else { return };
        // The index forgets an instance that takes no tasks any more when the last of its tasks is over.
        let remaining = self.placement.remaining(id).unwrap_or(&instance.registered);
        if instance.remaining != *remaining {
            instance.remaining.clone_from(remaining);
            self.instances_with_other_tasks.insert(id);
        }
        instance.empty_since = match (holds_tasks, instance.empty_since) {
            (true, _) => None,
            (false, Some(since)) => Some(since),
            (false, None) => Some(self.now),
        };
    }

    pub(super) fn instance_changed(&mut self, id: ContainerInstanceId) {
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        instance.version += 1;
        let (status, version) = (instance.status, instance.version);
        self.notify(Notification::ContainerInstance { instance: id, status, version });
        self.dirty.extend(self.daemons.iter().cloned());
    }

    /// Tells of the instances whose tasks have changed, each once. **Source:** ecs-semantics §10.3.
    pub(super) fn tell_of_instance_tasks(&mut self) {
        while let Some(id) = self.instances_with_other_tasks.pop_first() {
            let Some(instance) = self.state.container_instances.get_mut(&id) else { continue };
            instance.version += 1;
            let version = instance.version;
            self.notify(Notification::InstanceTasks { instance: id, version });
        }
    }
}
