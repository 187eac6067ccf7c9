//! What clients ask for: checked against the rules and carried out, or refused whole.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Failure, Response};
use super::event::{Deletion, Request};
use super::request_error::RequestError;
use super::service_starts::{FullProviders, host_of};
use super::state::{PlacementRules, ProviderState};
use super::tasks::{NewTask, Unplaced};
use crate::model::auto_scaling_group::{LifecycleState, ManagedTerminationProtection, ScaleInProtection};
use crate::model::capacity::{
    CapacityProvider, CapacityProviderStrategyItem, InstanceLaunch, InstanceType, LaunchTarget, is_fargate,
    launch_type_of,
};
use crate::model::cluster::RunTaskSpec;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::service::PropagateTags;
use crate::model::task::StopCode;
use crate::model::task_definition::{LaunchType, NO_GPUS_ON_FARGATE, TaskDefinition};
use crate::model::units::MemoryMib;

pub(super) type Answer = Result<Response, RequestError>;

impl ControlPlane {
    pub(super) fn request(&mut self, request: Request) -> Answer {
        let ends_something = matches!(
            request,
            Request::DrainCluster
                | Request::StopTask { .. }
                | Request::TerminateInstance(_)
                | Request::DeleteService { .. }
                | Request::DeregisterTaskDefinition { .. }
                | Request::SubmitStateChange(_)
                | Request::DeleteTaskSet { .. }
        );
        if self.state.draining && !ends_something {
            return Err(RequestError::Draining);
        }
        match request {
            Request::RegisterTaskDefinition(definition) => self.register_task_definition(*definition),
            Request::PutTaskDefinition(definition) => self.put_task_definition(*definition),
            Request::DeregisterTaskDefinition { family, revision } => {
                self.deregister_task_definition(&family, revision)
            }
            Request::PutTargetGroup(group) => self.put_target_group(*group),
            Request::DeleteTargetGroup { target_group } => self.delete_target_group(&target_group),
            Request::CreateCapacityProvider(provider) => self.create_capacity_provider(*provider),
            Request::UpdateCapacityProvider(provider) => self.update_capacity_provider(*provider),
            Request::TakeOverGroup { group, provider } => self.take_over_group(&group, *provider),
            Request::PutSubnet(subnet) => self.put_subnet(&subnet),
            Request::PutDefaultStrategy(strategy) => {
                self.check_strategy(&strategy)?;
                self.state.default_strategy = strategy;
                Ok(Response::Done)
            }
            Request::PutContainerInsights(insights) => Ok(self.put_container_insights(insights)),
            Request::LaunchInstance(launch) => self.request_launch(launch),
            Request::UpdateContainerInstancesState { instances, status } => {
                self.update_container_instances_state(&instances, status)
            }
            Request::DeregisterContainerInstance { instance, deregistration } => {
                self.deregister_container_instance(instance, deregistration)
            }
            Request::RegisterContainerInstance(registration) => self.register_container_instance(*registration),
            Request::UpdateContainerAgent(instance) => self.update_container_agent(instance),
            Request::SubmitStateChange(submitted) => self.submit_state_change(*submitted),
            Request::UpdateAutoScalingGroup(update) => self.update_auto_scaling_group(&update),
            Request::SetInstanceProtection { instances, protection } => {
                self.set_instance_protection(&instances, protection)
            }
            Request::EnterStandby { capacity_provider, instances, capacity } => {
                self.enter_standby(&capacity_provider, &instances, capacity)
            }
            Request::ExitStandby { capacity_provider, instances } => self.exit_standby(&capacity_provider, &instances),
            Request::ModifyInstanceCreditSpecification { instance, specification } => {
                self.modify_credit_specification(instance, specification)
            }
            Request::CompleteLifecycleAction { instance, hook, result } => {
                self.complete_lifecycle_action(instance, &hook, result)
            }
            Request::RecordLifecycleActionHeartbeat { instance, hook } => self.record_heartbeat(instance, &hook),
            Request::StartInstanceRefresh(spec) => self.start_instance_refresh(*spec),
            Request::CancelInstanceRefresh { capacity_provider } => self.cancel_instance_refresh(&capacity_provider),
            Request::RollbackInstanceRefresh { capacity_provider } => {
                self.rollback_instance_refresh(&capacity_provider)
            }
            Request::TerminateInstance(instance) => self.request_termination(instance),
            Request::CreateService(spec) => self.create_service(*spec),
            Request::UpdateService(update) => self.update_service(*update),
            Request::DeleteService { service, deletion } => self.delete_service(&service, deletion),
            Request::CreateTaskSet(spec) => self.create_task_set(*spec),
            Request::UpdateTaskSet { service, task_set, scale } => self.update_task_set(&service, &task_set, scale),
            Request::DeleteTaskSet { service, task_set, deletion } => {
                self.delete_task_set(&service, &task_set, deletion)
            }
            Request::UpdateServicePrimaryTaskSet { service, task_set } => {
                self.update_primary_task_set(&service, &task_set)
            }
            Request::StopServiceDeployment { service_deployment, stop_type } => {
                self.stop_service_deployment(service_deployment, stop_type)
            }
            Request::ContinueServiceDeployment { service_deployment, hook, action } => {
                self.continue_service_deployment(service_deployment, hook, action)
            }
            Request::UpdateTaskProtection { tasks, protection } => self.update_task_protection(&tasks, protection),
            Request::RunTask(spec) => self.run_task(&spec),
            Request::StartTask(spec) => self.request_start(&spec),
            Request::StopTask { task, reason } => self.request_stop(task, reason),
            Request::PutAttributes(attributes) => self.put_attributes(attributes),
            Request::DeleteAttributes(attributes) => self.delete_attributes(attributes),
            Request::PutMetricAlarm(alarm) => self.put_metric_alarm(*alarm),
            Request::SetAlarmState { alarm, state, reason } => self.set_alarm_state(&alarm, state, &reason),
            Request::DeleteAlarm { alarm } => self.delete_alarm(&alarm),
            Request::PutMetricData(data) => self.put_metric_data(&data),
            Request::PutMetricScript(script) => Ok(self.put_metric_script(script)),
            Request::DeleteMetricScript(metric) => Ok(self.delete_metric_script(&metric)),
            Request::SetServiceTags { service, tags } => self.set_service_tags(&service, tags),
            Request::SetTags { resource, tags } => self.set_tags(&resource, tags),
            Request::RetireInstance(launch) => self.retire_instance_by_hand(&launch),
            Request::RegisterScalableTarget(asked) => self.register_scalable_target(&asked),
            Request::DeregisterScalableTarget { service } => self.deregister_scalable_target(&service),
            Request::PutScalingPolicy { service, policy } => self.put_scaling_policy(&service, *policy),
            Request::DeleteScalingPolicy { service, policy } => self.delete_scaling_policy(&service, &policy),
            Request::PutScheduledAction { service, action } => self.put_scheduled_action(&service, *action),
            Request::DeleteScheduledAction { service, action } => self.delete_scheduled_action(&service, &action),
            Request::SetAutoScaling { service, auto_scaling } => {
                self.set_auto_scaling(&service, auto_scaling.map(|settings| *settings))
            }
            Request::DrainCluster => Ok(self.drain_cluster()),
        }
    }

    /// **Source:** ecs-semantics §1.3 for its name.
    pub(super) fn create_capacity_provider(&mut self, provider: CapacityProvider) -> Answer {
        let name = provider.name.clone();
        let group = &provider.auto_scaling_group;
        if self.state.capacity_providers.contains_key(&name) {
            return Err(RequestError::Client(format!("a capacity provider named {name} exists")));
        }
        let reserved = ["aws", "ecs", "fargate"].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
        if reserved {
            return Err(RequestError::Client(format!(
                "the name of the capacity provider {name} must not start with aws, ecs or fargate"
            )));
        }
        if group.availability_zones.is_empty() || group.min_size > group.max_size {
            return Err(RequestError::Client(format!(
                "the Auto Scaling group of {name} needs a zone and min_size at most max_size"
            )));
        }
        check_provider(&provider)?;
        if let Some(scaling) = provider.managed_scaling {
            let scaler = Self::new_managed_scaler(&provider, scaling);
            self.scalers.insert(name.clone(), scaler);
        }
        self.learn_subnets(&provider.auto_scaling_group);
        self.state.capacity_providers.insert(name.clone(), ProviderState::new(provider));
        self.groups_to_keep.insert(name);
        Ok(Response::Done)
    }

    fn request_launch(&mut self, launch: Arc<InstanceLaunch>) -> Answer {
        if launch.external.is_some() {
            return Err(RequestError::Client("what is registered from outside is not launched".into()));
        }
        check_reserved_memory(&launch.instance_type, launch.reserved_memory)?;
        if self.state.zones_out.contains(&launch.availability_zone) {
            let zone = &launch.availability_zone;
            return Err(RequestError::Client(format!(
                "InsufficientInstanceCapacity: availability zone {zone} is down"
            )));
        }
        Ok(Response::Instance(self.launch_instance(launch)))
    }

    fn request_termination(&mut self, instance: ContainerInstanceId) -> Answer {
        match self.state.container_instances.get(&instance) {
            Some(found) if found.is_external() => {
                Err(RequestError::InvalidParameter("Longshore does not run the referenced container instance".into()))
            }
            Some(found) if found.lifecycle != LifecycleState::Terminated => {
                self.returning.remove(&instance);
                self.terminate_instance(instance);
                Ok(Response::Done)
            }
            _ => Err(RequestError::InvalidParameter("The referenced container instance was not found.".into())),
        }
    }

    /// A task that is stopped by request loses its tags; what it has used stays counted under them. **Source:** ecs-semantics §2.1.
    fn request_stop(&mut self, task: TaskId, reason: Option<String>) -> Answer {
        let Some(record) = self.state.tasks.get_mut(&task) else {
            return Err(RequestError::InvalidParameter("The referenced task was not found.".into()));
        };
        record.task.tags = Arc::default();
        let reason = reason.unwrap_or_else(|| "Task stopped by user".into());
        self.stop_task(task, StopCode::UserInitiated, &reason.into());
        Ok(Response::Done)
    }

    /// A service's launch target with the cluster's default filled in. **Source:** ecs-semantics §4.5.
    pub(super) fn effective_target(&self, target: &LaunchTarget) -> LaunchTarget {
        match target {
            LaunchTarget::ClusterDefault if self.state.default_strategy.is_empty() => {
                LaunchTarget::LaunchType(LaunchType::Ec2)
            }
            LaunchTarget::ClusterDefault => LaunchTarget::Strategy(self.state.default_strategy.clone()),
            given => given.clone(),
        }
    }

    /// **Source:** ecs-semantics §6.1.
    pub(super) fn check_strategy(&self, strategy: &[CapacityProviderStrategyItem]) -> Result<(), RequestError> {
        for item in strategy {
            let name = &item.capacity_provider;
            if !is_fargate(name) && !self.state.capacity_providers.contains_key(name) {
                return Err(RequestError::InvalidParameter(format!(
                    "The specified capacity provider {name} was not found."
                )));
            }
        }
        if strategy.len() > 1 && strategy.iter().all(|item| item.weight == 0) {
            return Err(RequestError::InvalidParameter(
                "at least one capacity provider of a strategy needs a weight above 0".into(),
            ));
        }
        if strategy.iter().filter(|item| item.base > 0).count() > 1 {
            return Err(RequestError::InvalidParameter(
                "only one capacity provider of a strategy can have a base".into(),
            ));
        }
        let fargate_count = strategy.iter().filter(|item| is_fargate(&item.capacity_provider)).count();
        if fargate_count != 0 && fargate_count != strategy.len() {
            return Err(RequestError::InvalidParameter(
                "a strategy can't mix Fargate and Auto Scaling group capacity providers".into(),
            ));
        }
        Ok(())
    }

    /// What all tasks of a target run on; the rules of a target by itself. **Source:** ecs-semantics §6.1.
    fn launch_type_at(&self, target: &LaunchTarget) -> Result<LaunchType, RequestError> {
        match target {
            LaunchTarget::LaunchType(launch_type) => Ok(*launch_type),
            LaunchTarget::Strategy(items) => {
                self.check_strategy(items)?;
                let first = items.first();
                let first = first.ok_or_else(|| {
                    RequestError::InvalidParameter("a capacity provider strategy can't be empty".into())
                })?;
                Ok(launch_type_of(&first.capacity_provider))
            }
            LaunchTarget::ClusterDefault => Ok(LaunchType::Ec2),
        }
    }

    /// A target's rules, and the definition's size where it goes to Fargate. **Source:** ecs-semantics §6.1, §8.1, §11.2.
    pub(super) fn check_target(&self, target: &LaunchTarget, definition: &TaskDefinition) -> Result<(), RequestError> {
        let on_fargate = self.launch_type_at(target)? == LaunchType::Fargate;
        match (on_fargate, definition.cpu, definition.memory) {
            (true, None, _) => {
                Err(RequestError::Client("Fargate requires that 'cpu' be defined at the task level.".into()))
            }
            (true, _, None) => {
                Err(RequestError::Client("Fargate requires that 'memory' be defined at the task level.".into()))
            }
            _ if on_fargate && definition.wants_gpus() => Err(RequestError::Client(NO_GPUS_ON_FARGATE.into())),
            _ => Ok(()),
        }
    }

    /// The first task of a RunTask call, and where all of them go.
    pub(super) fn standalone_task(&self, spec: &RunTaskSpec) -> Result<(NewTask, LaunchTarget), RequestError> {
        let target = self.effective_target(&spec.launch_target);
        let launch_type = self.launch_type_at(&target)?;
        let registered = self.resolve(&spec.task_definition)?.overridden(&spec.overrides, launch_type)?;
        self.check_target(&target, &registered.definition)?;
        let group = super::start_task::standalone_group(spec.group.as_ref(), &registered.definition)?;
        if spec.propagate_tags == PropagateTags::Service {
            return Err(RequestError::InvalidParameter(
                "SERVICE is not a value of propagateTags for a task that has no service.".into(),
            ));
        }
        let mut tags = super::tags::standalone_tags(&spec.tags, spec.propagate_tags, &registered.definition);
        spec.ecs_managed_tags.add_to(&mut tags, &self.name, None);
        let placement =
            PlacementRules::of(&registered.definition, &spec.placement_strategy, &spec.placement_constraints);
        placement.check()?;
        let zones = self.state.subnets.zones_of(&registered.definition, &spec.document);
        let (launch_type, capacity_provider) = host_of(&target, |_| 0);
        let first = NewTask {
            registered,
            overrides: spec.overrides.clone(),
            group,
            started_by: spec.started_by.clone(),
            launch_type,
            capacity_provider,
            service: None,
            deployment: None,
            tags: Arc::new(tags),
            document: spec.document.clone(),
            placement: Arc::new(placement.within(zones)),
            replaces: None,
        };
        Ok((first, target))
    }

    /// Partial success is normal; tasks without room are not queued unless a scaled provider may bring it.
    /// **Source:** ecs-semantics §4.5.
    fn run_task(&mut self, spec: &RunTaskSpec) -> Answer {
        if let Some(response) = self.answered_before(spec)? {
            return Ok(response);
        }
        let response = self.run_tasks(spec)?;
        self.remember_answer(spec, &response);
        Ok(response)
    }

    fn run_tasks(&mut self, spec: &RunTaskSpec) -> Answer {
        let (mut new, target) = self.standalone_task(spec)?;
        let mut placed_by_provider = std::collections::BTreeMap::<Arc<str>, u32>::new();
        let mut full = FullProviders::default();
        let mut tasks = Vec::new();
        let mut failures: Vec<Failure> = Vec::new();
        for _ in 0..spec.count {
            let count_of = |name: &str| placed_by_provider.get(name).copied().unwrap_or(0) + full.share_of(name);
            (new.launch_type, new.capacity_provider) = host_of(&target, count_of);
            if full.leaves_pending(new.capacity_provider.as_ref()) {
                continue;
            }
            match self.create_task(&new) {
                Ok(task) => {
                    tasks.push(task);
                    if let Some(provider) = &new.capacity_provider {
                        *placed_by_provider.entry(provider.clone()).or_default() += 1;
                    }
                }
                // Nothing changes within a call that would make room for the rest, of a provider or of all.
                Err(Unplaced::NoRoom) => {
                    failures.extend(self.why_not_placed(&new).failures);
                    match &new.capacity_provider {
                        Some(provider) => full.found(provider.clone()),
                        None => break,
                    }
                }
                Err(Unplaced::ProvisioningLimit) if tasks.is_empty() => {
                    return Err(RequestError::Client(
                        "You've reached the limit on the number of tasks you can provision concurrently.".into(),
                    ));
                }
                Err(Unplaced::ProvisioningLimit) => break,
            }
        }
        Ok(Response::RunTask { tasks, failures })
    }

    /// Ends everything in good order. Instances follow when the last task is over, see `drain_instances`.
    fn drain_cluster(&mut self) -> Response {
        self.state.draining = true;
        let services: Vec<Arc<str>> = self.state.services.keys().cloned().collect();
        for service in services {
            let _ = self.delete_service(&service, Deletion::Forced);
        }
        let standalone: Vec<TaskId> = self
            .state
            .tasks
            .values()
            .filter(|record| record.task.service.is_none())
            .map(|record| record.task.id)
            .collect();
        for task in standalone {
            self.stop_task(task, StopCode::UserInitiated, &"The cluster is draining".into());
        }
        self.forget_external_instances();
        Response::Done
    }
}

/// An agent that is to hold back more memory than there is does not register. **Source:** ecs-semantics §3.1. *Ours:* nothing is launched
/// that never would.
fn check_reserved_memory(instance_type: &InstanceType, reserved_memory: MemoryMib) -> Result<(), RequestError> {
    if reserved_memory > instance_type.memory {
        return Err(RequestError::InvalidParameter(format!(
            "ECS_RESERVED_MEMORY {reserved_memory} is more than the {} MiB of {}",
            instance_type.memory, instance_type.name
        )));
    }
    Ok(())
}

/// **Source:** ecs-semantics §3.1, §6.2.
pub(super) fn check_provider(provider: &CapacityProvider) -> Result<(), RequestError> {
    let group = &provider.auto_scaling_group;
    check_reserved_memory(&group.instance_type, group.reserved_memory)?;
    let is_protected = provider.auto_scaling_group.new_instances_protected == ScaleInProtection::Protected;
    if provider.managed_termination_protection == ManagedTerminationProtection::Enabled
        && (provider.managed_scaling.is_none() || !is_protected)
    {
        return Err(RequestError::InvalidParameter(
            "managed termination protection needs managed scaling and new instances protected from scale in".into(),
        ));
    }
    provider.check_reuse().map_err(|rule| RequestError::InvalidParameter(rule.into()))
}
