//! An EC2 instance's life: launched, running, in service, going, gone; what happens to it unasked, and to its tasks with it.
//!
//! Two things are told apart: what EC2 and the group know of it (its lifecycle state; it is paid for from `running` on) and what
//! ECS knows (its status; it takes tasks while ACTIVE). When it joins a group, waits or leaves is `auto_scaling_group`'s,
//! `lifecycle_hooks`' and `warm_pool`'s; what ECS alone does with it is `draining`'s.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Action, Notification};
use super::cluster_autoscaling::ManagedScaler;
use super::event::OutageChange;
use super::state::ZoneBalance;
use super::timers::Wakeup;
use crate::model::auto_scaling_group::{InstanceHealth, LifecycleState, WarmPoolState};
use crate::model::capacity::{
    AgentConnection, CapacityProvider, ContainerInstance, ContainerInstanceStatus, InstanceLaunch, ManagedScaling,
    SpotDraining,
};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task::{DesiredStatus, StopCode, TaskStatus};
use crate::model::task_definition::Reservation;
use crate::model::usage::{MeteringFact, PurchaseOption};

impl ControlPlane {
    /// Launches an EC2 instance; it registers when it runs.
    pub(super) fn launch_instance(&mut self, launch: Arc<InstanceLaunch>) -> ContainerInstanceId {
        let id = self.new_instance_id();
        self.learn_subnet_of(&launch);
        let instance = ContainerInstance::launched(id, launch.clone(), self.now);
        self.state.container_instances.insert(id, instance);
        self.actions.push(Action::LaunchInstance { instance: id, launch });
        self.instance_changed(id);
        id
    }

    /// EC2 `running`: paid for from here on. It comes into service once its launch hooks are done.
    /// **Source:** ecs-semantics §3.2, §8.3, §9.2.
    pub(super) fn instance_running(&mut self, id: ContainerInstanceId) {
        let found = self.state.container_instances.get(&id);
        let Some(instance) = found.filter(|instance| instance.lifecycle == LifecycleState::Pending) else {
            self.state.ignored_events += 1;
            return;
        };
        if self.state.zones_out.contains(&instance.launch.availability_zone) {
            self.lose_instance(id, "its availability zone is down");
            return;
        }
        self.start_paying(id);
        if !self.begin_launch_hooks(id) {
            self.enter_service(id);
        }
    }

    /// It registers with the cluster and counts in its group.
    pub(super) fn enter_service(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        instance.lifecycle = LifecycleState::InService;
        instance.status = ContainerInstanceStatus::Active;
        instance.health = InstanceHealth::Ok;
        instance.registered_at = Some(now);
        instance.empty_since = Some(now);
        if instance.agent == AgentConnection::Connected {
            self.placement.insert_instance(instance);
        }
        let provider = instance.launch.capacity_provider.clone();
        self.groups_to_keep.extend(provider);
        self.instance_changed(id);
        self.regulate(id);
        self.room_appeared(id);
    }

    /// EC2 `running` begins. **Source:** ecs-semantics §8.3: each start is billed by itself.
    pub(super) fn start_paying(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        if instance.running_since.is_some() {
            return;
        }
        instance.running_since = Some(now);
        instance.start_count += 1;
        let (start, launch) = (instance.start_count, instance.launch.clone());
        self.actions.push(Action::Meter(MeteringFact::InstanceStarted {
            instance: id,
            start,
            purchase_option: launch.purchase_option,
            at: now,
            instance_type: launch.instance_type.clone(),
            availability_zone: launch.availability_zone.clone(),
            capacity_provider: launch.capacity_provider.clone(),
        }));
        self.open_credit_account(id);
    }

    /// EC2 `running` ends.
    pub(super) fn stop_paying(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        if instance.running_since.take().is_some() {
            let start = instance.start_count;
            self.actions.push(Action::Meter(MeteringFact::InstanceStopped { instance: id, start, at: now }));
            self.close_credit_account(id);
        }
    }

    /// The group tries again after a metric period.
    pub(super) fn instance_launch_failed(&mut self, id: ContainerInstanceId, reason: &str) {
        let now = self.now;
        let found = self.state.container_instances.get_mut(&id);
        let Some(instance) = found.filter(|instance| instance.lifecycle == LifecycleState::Pending) else {
            self.state.ignored_events += 1;
            return;
        };
        let provider = instance.launch.capacity_provider.clone();
        self.leave_group(id, LifecycleState::Terminated);
        let instance = self.state.container_instances.get_mut(&id).expect("it was found above");
        instance.terminated_at = Some(now);
        self.instance_changed(id);
        if let Some(name) = provider {
            self.group_activity(&name, &format!("an instance could not be launched: {reason}"));
            let until = now + self.settings.metric_period;
            if let Some(group) = self.state.capacity_providers.get_mut(&name) {
                group.launches_blocked_until = Some(until);
            }
            self.groups_to_keep.insert(name);
        }
    }

    /// Asks for an instance's end; its tasks go with it. It is paid for until here: `shutting-down` is not billed.
    /// **Source:** ecs-semantics §2.4, §3.2, §8.3. *Ours:* its tasks are over also when its agent has no contact and ECS goes on listing
    /// the instance; the rule book leaves open when ECS would notice.
    pub(super) fn terminate_instance(&mut self, id: ContainerInstanceId) {
        let found = self.state.container_instances.get(&id);
        let ours = found.filter(|instance| instance.lifecycle < LifecycleState::Terminating && !instance.is_external());
        let Some(instance) = ours else { return };
        let provider = instance.launch.capacity_provider.clone();
        // What waits in the warm pool has never been started elsewhere.
        let in_pool = instance.lifecycle.is_warmed();
        self.leave_group(id, LifecycleState::Terminating);
        self.end_tasks_of(id);
        if in_pool {
            self.instance_gone(id);
        } else {
            self.actions.push(Action::TerminateInstance { instance: id });
        }
        self.groups_to_keep.extend(provider);
    }

    /// An instance ends without having been asked to.
    pub(super) fn lose_instance(&mut self, id: ContainerInstanceId, reason: &str) {
        let found = self.state.container_instances.get(&id);
        let Some(instance) = found.filter(|instance| instance.lifecycle < LifecycleState::Terminating) else { return };
        let provider = instance.launch.capacity_provider.clone();
        let counted = instance.lifecycle.is_in_group();
        self.returning.remove(&id);
        self.terminate_instance(id);
        if let (Some(name), true) = (provider, counted) {
            self.group_activity(&name, &format!("an instance is replaced: {reason}"));
        }
    }

    /// **Source:** ecs-semantics §9.1: a state other than running is acted on at once.
    pub(super) fn instance_failed(&mut self, id: ContainerInstanceId, reason: &str) {
        let Some(instance) = self.live_instance(id) else { return };
        if instance.is_external() {
            self.state.ignored_events += 1;
        } else {
            self.lose_instance(id, reason);
        }
    }

    /// The instance, unless it is gone or going; else the event is one to ignore.
    pub(super) fn live_instance(&mut self, id: ContainerInstanceId) -> Option<&mut ContainerInstance> {
        let found = self.state.container_instances.get_mut(&id);
        let live = found.filter(|instance| instance.lifecycle < LifecycleState::Terminating);
        if live.is_none() {
            self.state.ignored_events += 1;
        }
        live
    }

    /// An instance is gone, asked for or not.
    pub(super) fn instance_terminated(&mut self, id: ContainerInstanceId, reason: Option<String>) {
        let found = self.state.container_instances.get(&id);
        let Some(instance) = found.filter(|instance| {
            // The data plane knows nothing of what waits in the warm pool.
            instance.lifecycle != LifecycleState::Terminated
                && !instance.lifecycle.is_warmed()
                && !instance.is_external()
        }) else {
            self.state.ignored_events += 1;
            return;
        };
        let provider = instance.launch.capacity_provider.clone();
        let unasked = instance.lifecycle < LifecycleState::Terminating;
        if unasked {
            self.returning.remove(&id);
            self.leave_group(id, LifecycleState::Terminating);
            self.end_tasks_of(id);
        }
        self.end_what_ran_on(id);
        if !self.return_to_pool(id) {
            self.instance_gone(id);
        }
        if let Some(name) = provider {
            if unasked {
                let reason = reason.unwrap_or_else(|| "the instance was lost".into());
                self.group_activity(&name, &format!("an instance is replaced: {reason}"));
            }
            self.groups_to_keep.insert(name);
        }
    }

    /// An instance is gone with the host that it was on, whether it was up, coming up, or running in a warm pool.
    pub(super) fn instance_lost_with_host(&mut self, id: ContainerInstanceId, reason: &str) {
        let found = self.state.container_instances.get(&id);
        if found.is_some_and(|instance| instance.lifecycle.is_warmed()) {
            self.leave_group(id, LifecycleState::Terminating);
        }
        self.instance_terminated(id, Some(reason.to_owned()));
    }

    /// Nothing that ran on an instance that is gone can report any more.
    fn end_what_ran_on(&mut self, id: ContainerInstanceId) {
        let left: Vec<TaskId> = self.state.tasks_by_instance.remove(&id).unwrap_or_default().into_iter().collect();
        for task in left {
            self.task_over(task);
        }
        self.last_identities.on_instances.remove(&id);
    }

    fn instance_gone(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        instance.lifecycle = LifecycleState::Terminated;
        if !instance.outlasts_termination() {
            instance.status = ContainerInstanceStatus::Inactive;
        }
        instance.terminated_at = Some(now);
        self.instance_changed(id);
    }

    /// Takes an instance out of placement, out of its group and off the bill.
    fn leave_group(&mut self, id: ContainerInstanceId, lifecycle: LifecycleState) {
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        instance.lifecycle = lifecycle;
        if !instance.outlasts_termination() {
            instance.status = instance.status.max(match lifecycle {
                LifecycleState::Terminated => ContainerInstanceStatus::Inactive,
                _ => ContainerInstanceStatus::Deregistering,
            });
        }
        if let Some(group) =
            instance.launch.capacity_provider.as_ref().and_then(|name| self.state.capacity_providers.get_mut(name))
        {
            group.instances.remove(&id);
            group.warm.remove(&id);
            group.standby.remove(&id);
        }
        self.placement.remove_instance(id);
        self.forget_waits(id);
        self.stop_paying(id);
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

    /// The two-minute notice. The instance is taken back when it is over, with whatever is left on it.
    /// **Source:** ecs-semantics §3.3 (last sentence), §8.4.
    pub(super) fn instance_spot_interruption(&mut self, id: ContainerInstanceId) {
        let at = self.now + self.settings.spot_interruption_notice;
        let Some(instance) = self.live_instance(id) else { return };
        let is_first = instance.reclaimed_at.is_none() && instance.running_since.is_some();
        if instance.launch.purchase_option != PurchaseOption::Spot || !is_first {
            self.state.ignored_events += 1;
            return;
        }
        instance.reclaimed_at = Some(at);
        let launch = instance.launch.clone();
        self.wake_for_instance(id);
        if let Some(name) = &launch.capacity_provider {
            let shown = self.ids.ec2_instance(id);
            self.group_activity(name, &format!("Spot instance {shown} is interrupted, it ends at {at}"));
        }
        if launch.spot_draining == SpotDraining::Enabled {
            self.drain_instance(id);
        }
    }

    /// New tasks of a Fargate provider find no capacity, or do again. Those that are there stay. **Source:** ecs-semantics §5.11, §6.1.
    pub(super) fn fargate_capacity_outage(&mut self, provider: &Arc<str>, change: OutageChange) {
        let changed = match change {
            OutageChange::Begins => self.state.fargate_out.insert(provider.clone()),
            OutageChange::Ends => self.state.fargate_out.remove(provider),
        };
        if !changed {
            self.state.ignored_events += 1;
        } else if change == OutageChange::Ends {
            self.dirty.append(&mut self.waiting);
        }
    }

    /// Instances of the zone are lost, launches there fail, and groups launch elsewhere. **Source:** ecs-semantics §9.1.
    pub(super) fn availability_zone_outage(&mut self, zone: &Arc<str>, change: OutageChange) {
        let changed = match change {
            OutageChange::Begins => self.state.zones_out.insert(zone.clone()),
            OutageChange::Ends => self.state.zones_out.remove(zone),
        };
        if !changed {
            self.state.ignored_events += 1;
            return;
        }
        match change {
            OutageChange::Begins => {
                let lost: Vec<ContainerInstanceId> = self
                    .state
                    .live_instances()
                    .filter(|instance| instance.launch.availability_zone == *zone && !instance.is_external())
                    .map(|instance| instance.id)
                    .collect();
                for id in lost {
                    self.lose_instance(id, &format!("availability zone {zone} is down"));
                }
            }
            OutageChange::Ends => {
                for (name, group) in &mut self.state.capacity_providers {
                    if group.provider.auto_scaling_group.availability_zones.contains(zone) {
                        group.balance = ZoneBalance::Restoring;
                        self.groups_to_keep.insert(name.clone());
                    }
                }
            }
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

    /// Copies an instance's remaining resources from the placement index, whose numbers they are, after a task has taken what it
    /// reserves or given it back.
    pub(super) fn refresh_remaining(&mut self, id: ContainerInstanceId, reservation: &Reservation) {
        let holds_tasks = self.state.tasks_by_instance.get(&id).is_some_and(|tasks| !tasks.is_empty());
        let Some(instance) = self.state.container_instances.get_mut(&id) else { return };
        // The index forgets an instance that takes no tasks any more when the last of its tasks is over.
        let remaining = self.placement.remaining(id).unwrap_or(&instance.registered);
        let known = &mut instance.remaining;
        let has_other_ports = !reservation.ports.is_empty() && known.ports != remaining.ports;
        let numbers = (remaining.cpu, remaining.memory, remaining.devices);
        if has_other_ports || (known.cpu, known.memory, known.devices) != numbers {
            (known.cpu, known.memory, known.devices) = numbers;
            if has_other_ports {
                known.ports.clone_from(&remaining.ports);
            }
            self.instances_with_other_tasks.insert(id);
        }
        instance.empty_since = match (holds_tasks, instance.empty_since) {
            (true, _) => None,
            (false, Some(since)) => Some(since),
            (false, None) => Some(self.now),
        };
        // Where there are no daemons it need not be asked of each task whether it is one.
        let has_group = instance.launch.capacity_provider.is_some();
        let is_busy = if self.daemons.is_empty() { holds_tasks } else { self.state.is_busy(id) };
        if is_busy {
            if has_group {
                self.protect_occupied(id);
            }
        } else {
            self.emptied.insert(id);
        }
    }

    /// Something that an instance waits for has taken its time.
    pub(super) fn instance_due(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let Some(instance) = self.state.container_instances.get(&id) else { return };
        if instance.reclaimed_at.is_some_and(|at| at <= now) {
            self.lose_instance(id, "its Spot capacity was reclaimed");
            return;
        }
        self.reach_waits(id);
        self.wake_for_instance(id);
    }

    /// Sets the deadline of whatever an instance waits for next.
    pub(super) fn wake_for_instance(&mut self, id: ContainerInstanceId) {
        let reclaimed_at = self.state.container_instances.get(&id).and_then(|instance| instance.reclaimed_at);
        let waits = self.state.waits.get(&id).and_then(super::lifecycle_hooks::InstanceWaits::next);
        match reclaimed_at.into_iter().chain(waits).min() {
            Some(at) => self.timers.set(at, Wakeup::Instance(id)),
            None => self.timers.cancel(Wakeup::Instance(id)),
        }
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

    /// Something that a group did, for whoever watches.
    pub(super) fn group_activity(&mut self, name: &Arc<str>, reason: &str) {
        let Some(group) = self.state.capacity_providers.get(name) else { return };
        let desired = group.desired_capacity;
        self.notify(Notification::AutoScalingGroup {
            capacity_provider: name.clone(),
            from: desired,
            to: desired,
            reason: reason.into(),
        });
    }
}

/// The lifecycle state of a warm pool's instances that are ready.
pub(super) fn pooled(state: WarmPoolState) -> LifecycleState {
    match state {
        WarmPoolState::Stopped => LifecycleState::WarmedStopped,
        WarmPoolState::Running => LifecycleState::WarmedRunning,
        WarmPoolState::Hibernated => LifecycleState::WarmedHibernated,
    }
}
