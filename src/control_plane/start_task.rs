//! StartTask: a task on each of the instances that the caller names, without a choice.
//!
//! **Source:** ecs-semantics §4.5.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Failure, Response};
use super::placement::{AGENT, INACTIVE, PlacementRequest};
use super::request_error::RequestError;
use super::state::{ClusterState, DecisionBasis, PlacementRules};
use super::tags::standalone_tags;
use super::tasks::NewTask;
use crate::model::capacity::ContainerInstanceStatus;
use crate::model::cluster::StartTaskSpec;
use crate::model::ids::ContainerInstanceId;
use crate::model::task_definition::{LaunchType, TaskDefinition};

/// The instance is not known. **Source:** ecs-semantics §4.5.
pub(super) const MISSING: &str = "MISSING";

/// Container instances of a call at most. **Source:** ecs-semantics §1.7.
const INSTANCES_MAX: usize = 10;

impl ControlPlane {
    /// Each instance has what the task needs and requires, or is among the failures. *Ours:* placement constraints are for who
    /// chooses, and nobody does.
    pub(super) fn request_start(&mut self, spec: &StartTaskSpec) -> Result<Response, RequestError> {
        if spec.container_instances.is_empty() || spec.container_instances.len() > INSTANCES_MAX {
            let message =
                format!("{} container instances: 1 to {INSTANCES_MAX} at once", spec.container_instances.len());
            return Err(RequestError::InvalidParameter(message));
        }
        let registered = self.resolve(&spec.task_definition)?.overridden(&spec.overrides, LaunchType::Ec2)?;
        let group = standalone_group(spec.group.as_ref(), &registered.definition)?;
        let mut tags = standalone_tags(&spec.tags, spec.propagate_tags, &registered.definition);
        spec.ecs_managed_tags.add_to(&mut tags, &self.name, None);
        let zones = self.state.subnets.zones_of(&registered.definition, &spec.document);
        let new = NewTask {
            overrides: spec.overrides.clone(),
            group,
            started_by: spec.started_by.clone(),
            launch_type: LaunchType::Ec2,
            capacity_provider: None,
            service: None,
            replaces: None,
            deployment: None,
            tags: Arc::new(tags),
            document: spec.document.clone(),
            placement: Arc::new(PlacementRules::of(&registered.definition, &[], &[]).within(zones)),
            registered,
        };
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for instance in &spec.container_instances {
            match self.refusal_of(*instance, &new) {
                Some(failure) => failures.push(failure),
                None => tasks.push(self.add_task_on(&new, *instance, DecisionBasis::Named)),
            }
        }
        Ok(Response::RunTask { tasks, failures })
    }

    fn refusal_of(&self, instance: ContainerInstanceId, new: &NewTask) -> Option<Failure> {
        let failure = |reason, detail: String| Some(Failure { instance: Some(instance), reason, detail });
        let Some(found) = self.state.container_instances.get(&instance) else {
            return failure(MISSING, "the container instance is not known".to_owned());
        };
        if found.status != ContainerInstanceStatus::Active {
            return failure(INACTIVE, format!("the container instance is {}", found.status.as_str()));
        }
        if !found.takes_tasks() {
            return failure(AGENT, "its agent is disconnected".to_owned());
        }
        let request = PlacementRequest { constraints: &[], ..new.placement_request() };
        self.placement.refusal(instance, &request)
    }
}

impl ClusterState {
    /// The instance that the cluster file calls so.
    pub fn instance_named(&self, name: &str) -> Option<ContainerInstanceId> {
        let is_named =
            |instance: &&crate::model::capacity::ContainerInstance| instance.launch.name.as_deref() == Some(name);
        self.container_instances.values().find(is_named).map(|instance| instance.id)
    }
}

/// The caller's group, which is not one of a service, or the family's. **Source:** ecs-semantics §2.5, §4.5.
pub(super) fn standalone_group(
    group: Option<&Arc<str>>,
    definition: &TaskDefinition,
) -> Result<Arc<str>, RequestError> {
    match group {
        Some(group) if group.starts_with("service:") => {
            Err(RequestError::InvalidParameter("a task's group can't begin with service:".into()))
        }
        Some(group) => Ok(group.clone()),
        None => Ok(format!("family:{}", definition.family).into()),
    }
}
