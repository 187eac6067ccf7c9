//! DAEMON services: a task on each active instance that meets the constraints, and nowhere else.
//!
//! The intuition: there is no count to hold and no instance to choose. Each instance either should have a task or should not, and the
//! difference is made up instance by instance. A daemon comes before whatever else wants room on an instance, and leaves one that
//! drains when everything else has left. A rollout stops an instance's old task, within the lower bound, before it starts the new
//! one there; where the bound lets none of them stop it hangs, and says so.
//!
//! **Source:** ecs-semantics §5.1.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ControlPlane;
use super::deployment::{Blocked, Bounds};
use super::event::UpdateService;
use super::placement::PlacementFailure;
use super::request_error::RequestError;
use super::state::{ClusterState, DecisionBasis, PlacementRules, ReplaceCause, RolloutState, Service, ServiceStatus};
use super::tasks::NewTask;
use super::timers::Wakeup;
use crate::model::capacity::{ContainerInstance, ContainerInstanceStatus, InstanceResources, LaunchTarget};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::service::{AvailabilityZoneRebalancing, DeploymentConfiguration, SchedulingStrategy, ServiceSpec};
use crate::model::task::StopCode;
use crate::model::task_definition::LaunchType;
use crate::model::units::Timestamp;

/// What a DAEMON service cannot have, and what it has where nothing is said. **Source:** ecs-semantics §5.1.
///
/// *Ours:* bounds that are a REPLICA's defaults count as not given.
pub(super) fn check_scheduling(spec: &mut ServiceSpec) -> Result<(), RequestError> {
    if spec.scheduling_strategy == SchedulingStrategy::Replica {
        return Ok(());
    }
    let refuse = |text: &str| Err(RequestError::InvalidParameter(format!("a DAEMON service {text}")));
    if spec.launch_target != LaunchTarget::LaunchType(LaunchType::Ec2) {
        return refuse("runs on every container instance: launch type EC2, without a capacity provider strategy");
    }
    if !spec.placement_strategy.is_empty() {
        return refuse("has no placement strategy");
    }
    if spec.auto_scaling.is_some() {
        return refuse("has no auto scaling: its desired count is computed");
    }
    super::constraints::check_daemon(&PlacementRules {
        constraints: spec.placement_constraints.clone(),
        ..PlacementRules::default()
    })?;
    let given = DeploymentConfiguration::default();
    let configuration = &mut spec.deployment_configuration;
    if (configuration.minimum_healthy_percent, configuration.maximum_percent)
        == (given.minimum_healthy_percent, given.maximum_percent)
    {
        configuration.minimum_healthy_percent = 0;
        configuration.maximum_percent = 100;
    }
    if configuration.maximum_percent != 100 {
        return refuse("has a maximumPercent of 100");
    }
    if configuration.strategy.moves_traffic() {
        return refuse("has one task on each instance: strategy ROLLING");
    }
    spec.availability_zone_rebalancing = AvailabilityZoneRebalancing::Disabled;
    spec.desired_count = 0;
    Ok(())
}

/// What an update cannot change of a DAEMON service. **Source:** ecs-semantics §5.1.
pub(super) fn check_update(service: &Service, update: &UpdateService) -> Result<(), RequestError> {
    if service.spec.scheduling_strategy == SchedulingStrategy::Replica {
        return Ok(());
    }
    let refuse = |text: &str| Err(RequestError::InvalidParameter(format!("a DAEMON service {text}")));
    if update.desired_count.is_some() {
        return refuse("has no desired count: it is computed");
    }
    if update.placement_strategy.as_ref().is_some_and(|strategy| !strategy.is_empty()) {
        return refuse("has no placement strategy");
    }
    if update.capacity_provider_strategy.as_ref().is_some_and(|strategy| !strategy.is_empty()) {
        return refuse("has no capacity provider strategy");
    }
    if update.deployment_configuration.as_ref().is_some_and(|configuration| configuration.maximum_percent != 100) {
        return refuse("has a maximumPercent of 100");
    }
    if update.deployment_configuration.as_ref().is_some_and(|configuration| configuration.strategy.moves_traffic()) {
        return refuse("has one task on each instance: strategy ROLLING");
    }
    if update.availability_zone_rebalancing == Some(AvailabilityZoneRebalancing::Enabled) {
        return refuse("is not rebalanced over zones");
    }
    Ok(())
}

/// What is to be done for a DAEMON service.
#[derive(Debug, Default)]
struct DaemonPlan {
    /// How many instances should have a task.
    desired_count: u32,
    /// Tasks on active instances that do not meet the constraints.
    violating: Vec<TaskId>,
    /// Tasks that leave for another reason.
    leaving: Vec<TaskId>,
    /// Instances that should have a task and have none, not even one that is stopping.
    lacking: Vec<ContainerInstanceId>,
    /// Why old tasks stay where they are, with nothing under way that would change it.
    blocked: Blocked,
}

impl ClusterState {
    /// Whether a task is of a DAEMON service: it leaves its instance empty for managed scaling. **Source:** ecs-semantics §6.3.
    pub(super) fn is_daemon_task(&self, task: TaskId) -> bool {
        let service = self.tasks.get(&task).and_then(|record| record.task.service.as_ref());
        let service = service.and_then(|name| self.services.get(name));
        service.is_some_and(|service| service.spec.scheduling_strategy == SchedulingStrategy::Daemon)
    }

    /// Whether an instance holds a task that is of no DAEMON service.
    pub(super) fn is_busy(&self, instance: ContainerInstanceId) -> bool {
        // The latest first: its record is the one that was just used.
        let mut tasks = self.tasks_by_instance.get(&instance).into_iter().flatten().rev();
        tasks.any(|task| !self.is_daemon_task(*task))
    }

    /// Compares what each instance should have with what it has. Protected tasks outlast a deployment. **Source:** ecs-semantics §2.6, §5.1.
    fn plan_daemon(&self, service: &Service, eligible: &BTreeSet<ContainerInstanceId>, now: Timestamp) -> DaemonPlan {
        let desired_count = super::state::count(eligible.len());
        let mut plan = DaemonPlan { desired_count, ..DaemonPlan::default() };
        let lower = Bounds::of(desired_count, &service.spec.deployment_configuration).lower;
        let mut healthy = 0;
        let mut is_in_flight = false;
        let mut is_held_back = false;
        let mut taken: BTreeMap<ContainerInstanceId, TaskId> = BTreeMap::new();
        let mut replaceable: Vec<(TaskId, bool)> = Vec::new();
        let primary = service.primary();
        // A deployment that has failed launches nothing any more, so that nothing makes room for it. Source: ecs-semantics §5.7.
        let rolls_out = primary.rollout_state != RolloutState::Failed;
        for deployment in &service.deployments {
            for task in deployment.placed() {
                let record = &self.tasks[&task];
                let Some(instance) = record.task.container_instance else { continue };
                if !eligible.contains(&instance) {
                    match self.container_instances[&instance].status {
                        // An agent that has lost contact is no reason to stop what runs there.
                        ContainerInstanceStatus::Active
                            if service.status == ServiceStatus::Active
                                && !self.container_instances[&instance].takes_tasks() => {}
                        ContainerInstanceStatus::Active if service.status == ServiceStatus::Active => {
                            plan.violating.push(task);
                        }
                        // It leaves last, unless its service is deleted. Source: ecs-semantics §3.3, §5.1, §5.5.
                        ContainerInstanceStatus::Draining
                            if service.status == ServiceStatus::Active && self.is_busy(instance) => {}
                        _ => plan.leaving.push(task),
                    }
                    continue;
                }
                if taken.insert(instance, task).is_some() {
                    plan.leaving.push(task);
                    continue;
                }
                let is_healthy = deployment.healthy.contains(&task);
                healthy += u32::from(is_healthy);
                is_in_flight |= !is_healthy;
                let is_old = deployment.id != primary.id && rolls_out;
                let is_held = is_old && record.task.is_protected(now);
                is_held_back |= is_held;
                if is_old && !is_held || record.replace == Some(ReplaceCause::Unhealthy) {
                    replaceable.push((task, is_healthy));
                }
            }
            let stopping = deployment.stopping.iter().filter_map(|task| self.tasks[&task].task.container_instance);
            for instance in stopping {
                is_in_flight |= eligible.contains(&instance);
                taken.entry(instance).or_insert(TaskId(0));
            }
        }
        // Old tasks that are not healthy protect nobody; of the others, as many as the lower bound lets go.
        let mut may_stop = healthy.saturating_sub(lower);
        let mut is_kept = false;
        for (task, is_healthy) in replaceable {
            if is_healthy {
                if may_stop == 0 {
                    is_kept = true;
                    continue;
                }
                may_stop -= 1;
            }
            plan.leaving.push(task);
        }
        if rolls_out {
            plan.lacking = eligible.iter().filter(|instance| !taken.contains_key(instance)).copied().collect();
        }
        let stands_still = !is_in_flight && plan.leaving.is_empty() && plan.lacking.is_empty();
        plan.blocked = match (is_held_back, is_kept) {
            (true, _) if stands_still => Blocked::ByProtection,
            (_, true) if stands_still => Blocked::ByConfiguration,
            _ => Blocked::No,
        };
        plan
    }
}

impl ControlPlane {
    /// Where a service's tasks run. *Ours:* the cluster's default strategy is not for a DAEMON, which is on all instances.
    pub(super) fn target_of_service(&self, spec: &ServiceSpec) -> LaunchTarget {
        match (spec.scheduling_strategy, &spec.launch_target) {
            (SchedulingStrategy::Daemon, LaunchTarget::ClusterDefault) => LaunchTarget::LaunchType(LaunchType::Ec2),
            (_, target) => self.effective_target(target),
        }
    }

    /// Notes whether a service that is created is a DAEMON.
    pub(super) fn note_scheduling(&mut self, spec: &ServiceSpec) {
        match spec.scheduling_strategy {
            SchedulingStrategy::Daemon => self.daemons.insert(spec.name.clone()),
            SchedulingStrategy::Replica => self.daemons.remove(&spec.name),
        };
    }

    /// The first DAEMON service that is to be looked at.
    pub(super) fn next_daemon(&self) -> Option<Arc<str>> {
        self.daemons.iter().find(|name| self.dirty.contains(*name)).cloned()
    }

    /// A task has left an instance: daemons that wait to be the last there look again.
    pub(super) fn daemons_may_leave(&mut self, instance: ContainerInstanceId) {
        let found = self.state.container_instances.get(&instance);
        if found.is_some_and(|found| found.status == ContainerInstanceStatus::Draining) {
            self.dirty.extend(self.daemons.iter().cloned());
        }
    }

    /// What is to be done for a DAEMON service whose next task is `new`.
    fn daemon_plan(&self, service: &Service, new: &NewTask) -> DaemonPlan {
        let eligible: BTreeSet<ContainerInstanceId> = match service.status {
            ServiceStatus::Active => {
                let request = new.placement_request();
                let active = |instance: &&ContainerInstance| instance.status == ContainerInstanceStatus::Active;
                let instances = self.state.container_instances.values().filter(active).map(|instance| instance.id);
                instances.filter(|instance| self.placement.is_eligible(*instance, &request)).collect()
            }
            ServiceStatus::Draining | ServiceStatus::Inactive => BTreeSet::new(),
        };
        self.state.plan_daemon(service, &eligible, self.now)
    }

    /// What keeps a DAEMON service's deployment where it is, if anything does. **Source:** ecs-semantics §2.6, §5.2.
    pub(super) fn what_blocks_daemon(&self, service: &Service) -> Blocked {
        self.daemon_plan(service, &self.daemon_task(&service.spec.name)).blocked
    }

    /// Brings a DAEMON service one settled step closer to a task on each instance that should have one.
    pub(super) fn reconcile_daemon(&mut self, name: &Arc<str>) {
        let new = self.daemon_task(name);
        let service = &self.state.services[name];
        let plan = self.daemon_plan(service, &new);
        let shown_id = service.primary().shown_id.clone();
        if service.spec.desired_count != plan.desired_count {
            let service = self.state.services.get_mut(name).expect("it was found above");
            service.spec.desired_count = plan.desired_count;
            self.disturb(name);
        }
        if !plan.violating.is_empty() {
            self.daemon_violates(name, &plan.violating);
        }
        let stops: Vec<TaskId> = plan.violating.iter().chain(&plan.leaving).copied().collect();
        self.stop_daemon_tasks(name, &shown_id, &stops);
        self.start_daemon_tasks(name, &new, &plan.lacking);
        self.say_what_blocks(name, 0, plan.blocked);
        self.conclude(name);
    }

    /// A task of the service's primary deployment, wherever.
    fn daemon_task(&self, name: &Arc<str>) -> NewTask {
        self.state.services[name].next_task((&self.name, &self.state.subnets), 0)
    }

    fn stop_daemon_tasks(&mut self, name: &Arc<str>, shown_id: &str, tasks: &[TaskId]) {
        if tasks.is_empty() {
            return;
        }
        let reason: Arc<str> = format!("Scaling activity initiated by (deployment {shown_id})").into();
        for task in tasks {
            self.stop_task(*task, StopCode::ServiceSchedulerInitiated, &reason);
        }
        self.disturb(name);
        self.tasks_stopped(name, tasks);
    }

    fn start_daemon_tasks(&mut self, name: &Arc<str>, new: &NewTask, lacking: &[ContainerInstanceId]) {
        if lacking.is_empty() {
            self.waiting.remove(name);
            return;
        }
        if let Some(until) = self.controllers[name].throttle.may_start_at().filter(|until| *until > self.now) {
            self.timers.set(until, Wakeup::Restart(name.clone()));
            return;
        }
        let wanted = super::state::count(lacking.len());
        let allowed = self.allowed_starts(name, wanted);
        let mut started = Vec::new();
        let mut refused = None;
        for instance in lacking {
            if super::state::count(started.len()) == allowed {
                break;
            }
            match self.placement.refusal(*instance, &new.placement_request()) {
                None => started.push(self.add_task_on(new, *instance, DecisionBasis::Daemon)),
                Some(failure) => refused = refused.or(Some((*instance, failure))),
            }
        }
        self.note_starts(name, started.len(), allowed < wanted);
        if !started.is_empty() {
            self.disturb(name);
            self.service_event(name, &format!("has started {} tasks: {}.", started.len(), self.task_list(&started)));
        }
        match refused {
            None => {
                self.waiting.remove(name);
            }
            Some((instance, failure)) => {
                self.waiting.insert(name.clone());
                let reason = failure.reason;
                let failure = PlacementFailure { closest: Some((instance, reason)), failures: vec![failure] };
                self.complain_of_no_room(name, &failure, None);
            }
        }
    }

    /// Creates a task on an instance that was found to take it.
    pub(super) fn add_task_on(&mut self, new: &NewTask, instance: ContainerInstanceId, basis: DecisionBasis) -> TaskId {
        self.add_task(new, Some((instance, basis)))
    }

    /// What daemons leave of an instance that a capacity provider's group launches: what its size is worth to other tasks.
    /// **Source:** ecs-semantics §5.1, §6.3.
    pub(super) fn without_daemons(&self, provider: &Arc<str>, fresh: &mut InstanceResources) {
        let group = &self.state.capacity_providers[provider].provider.auto_scaling_group;
        let Some(zone) = group.availability_zones.first() else { return };
        let launch = Arc::new(group.launch_in(zone, provider));
        for name in &self.daemons {
            let new = self.daemon_task(name);
            let is_there = self.state.services[name].status == ServiceStatus::Active;
            if is_there && super::placement::would_meet(&launch, &new.placement_request()) {
                let reservation = &new.registered.reservation;
                fresh.cpu.0 = fresh.cpu.0.saturating_sub(reservation.cpu.0);
                fresh.memory.0 = fresh.memory.0.saturating_sub(reservation.memory.0);
                fresh.ports.extend(&reservation.ports);
                fresh.devices = fresh.devices.without(reservation.devices);
            }
        }
    }
}
