//! `ECS Service Action` events: what is told of a service beside its event list, and when its capacity providers are steady.
//!
//! **Source:** ecs-semantics §10.3.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Notification, ServiceActionEvent, ServiceActionSubjects};
use super::placement::PlacementFailure;
use super::service_events::{Complaint, Said};
use super::state::{ClusterState, Service, ServiceStatus};
use crate::model::capacity::LaunchTarget;
use crate::model::ids::{ContainerInstanceId, TaskId};

impl ServiceActionSubjects {
    /// Some tasks.
    pub(super) fn tasks(tasks: &[TaskId]) -> ServiceActionSubjects {
        ServiceActionSubjects { tasks: tasks.to_vec(), ..ServiceActionSubjects::default() }
    }

    /// A capacity provider, if it is one.
    pub(super) fn provider(name: Option<&Arc<str>>) -> ServiceActionSubjects {
        ServiceActionSubjects {
            capacity_providers: name.into_iter().cloned().collect(),
            ..ServiceActionSubjects::default()
        }
    }
}

impl ControlPlane {
    /// Tells of a service action.
    pub(super) fn service_action(
        &mut self,
        name: &Arc<str>,
        event: ServiceActionEvent,
        reason: Option<Arc<str>>,
        subjects: ServiceActionSubjects,
    ) {
        self.notify(Notification::ServiceAction { service: name.clone(), event, reason, subjects });
    }

    /// Tells that a service's desired count is another.
    pub(super) fn desired_count_updated(&mut self, name: &Arc<str>, count: u32, reason: Option<Arc<str>>) {
        let subjects = ServiceActionSubjects { desired_count: Some(count), ..ServiceActionSubjects::default() };
        self.service_action(name, ServiceActionEvent::DesiredCountUpdated, reason, subjects);
    }

    /// Tells of tasks that a service has stopped, on EventBridge and among its own events.
    pub(super) fn tasks_stopped(&mut self, name: &Arc<str>, tasks: &[TaskId]) {
        self.service_action(name, ServiceActionEvent::TasksStopped, None, ServiceActionSubjects::tasks(tasks));
        self.service_event(name, &format!("has stopped {} running tasks: {}.", tasks.len(), self.task_list(tasks)));
    }

    /// Tells of tasks of a DAEMON that are where its constraints do not let them be. **Source:** ecs-semantics §5.1, §10.3.
    pub(super) fn daemon_violates(&mut self, name: &Arc<str>, tasks: &[TaskId]) {
        let instance_of = |task: &TaskId| self.state.tasks[task].task.container_instance;
        let instances: Vec<ContainerInstanceId> = tasks.iter().filter_map(instance_of).collect();
        let subjects = ServiceActionSubjects { container_instances: instances, ..ServiceActionSubjects::tasks(tasks) };
        let reason = Some(super::placement::MEMBER_OF.into());
        self.service_action(name, ServiceActionEvent::DaemonPlacementConstraintViolated, reason, subjects);
    }

    /// Complains that no instance takes a task of a service. **Source:** ecs-semantics §5.11, §10.3.
    pub(super) fn complain_of_no_room(
        &mut self,
        name: &Arc<str>,
        failure: &PlacementFailure,
        provider: Option<&Arc<str>>,
    ) {
        let reason = failure.reason();
        if self.complain(name, Complaint::NoRoom(reason.into()), &failure.service_event_reason(self.ids)) == Said::Aloud
        {
            let subjects = ServiceActionSubjects::provider(provider);
            self.service_action(name, ServiceActionEvent::TaskPlacementFailure, Some(reason.into()), subjects);
        }
    }

    /// Tells the services of a capacity provider that it has become steady. *Ours:* when that is: nothing waits for it and its group
    /// has the instances that it wants, all of them in service; looked at once a metric period, as managed scaling is.
    /// **Source:** ecs-semantics §10.3.
    pub(super) fn tell_of_steady_providers(&mut self) {
        let names: Vec<Arc<str>> = self.state.capacity_providers.keys().cloned().collect();
        self.steady_providers.retain(|name| self.state.capacity_providers.contains_key(name));
        for provider in names {
            if !self.state.is_steady(&provider) {
                self.steady_providers.remove(&provider);
            } else if self.steady_providers.insert(provider.clone()) {
                let services = self.state.services.iter().filter(|(_, service)| service.uses(&provider));
                let services: Vec<Arc<str>> = services.map(|(name, _)| name.clone()).collect();
                for service in services {
                    let subjects = ServiceActionSubjects::provider(Some(&provider));
                    self.service_action(&service, ServiceActionEvent::CapacityProviderSteadyState, None, subjects);
                }
            }
        }
    }
}

impl ClusterState {
    /// Whether a capacity provider has what it wants and nothing waits for it.
    fn is_steady(&self, provider: &str) -> bool {
        let provider = &self.capacity_providers[provider];
        let desired = usize::try_from(provider.desired_capacity).unwrap_or(usize::MAX);
        provider.provisioning.is_empty()
            && provider.instances.len() == desired
            && provider.instances.iter().all(|id| self.container_instances[id].takes_tasks())
    }
}

impl Service {
    /// Whether its tasks may be placed by a capacity provider.
    fn uses(&self, provider: &str) -> bool {
        let names = |target: &LaunchTarget| match target {
            LaunchTarget::Strategy(items) => items.iter().any(|item| *item.capacity_provider == *provider),
            LaunchTarget::LaunchType(_) | LaunchTarget::ClusterDefault => false,
        };
        let is_named = match self.has_task_sets() {
            true => self.deployments.iter().any(|set| names(self.launch_target_of(set))),
            false => names(&self.spec.launch_target),
        };
        self.status == ServiceStatus::Active && is_named
    }
}
