//! The task definitions that a cluster knows: registered here or handed over, in force or not any more, and which one a name means.
//!
//! A revision that is INACTIVE starts nothing new: no task, no service, and no update goes to it. What runs it goes on, is kept at its
//! desired count, deployed anew and rolled back to. **Source:** ecs-semantics §1.4.

use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::request_error::RequestError;
use super::requests::Answer;
use super::state::{ClusterState, Registered};
use crate::model::container_order::dependency_problems;
use crate::model::health_command::HealthCommand;
use crate::model::task::TaskStatus;
use crate::model::task_definition::{TaskDefinition, TaskDefinitionRef};

impl ControlPlane {
    /// Numbers are never used again within a family. **Source:** ecs-semantics §1.4; §2.3 for what is refused.
    pub(super) fn register_task_definition(&mut self, mut definition: TaskDefinition) -> Answer {
        check(&definition)?;
        let revisions = self.state.task_definitions.get(&definition.family);
        definition.revision = revisions.and_then(|revisions| revisions.keys().next_back()).map_or(1, |last| last + 1);
        Ok(Response::TaskDefinition(self.take_in(definition)))
    }

    /// A definition that was registered elsewhere under its revision. It stays what it was, so that saying it again changes nothing; one
    /// that is INACTIVE stays so too. *Ours.*
    pub(super) fn put_task_definition(&mut self, definition: TaskDefinition) -> Answer {
        check(&definition)?;
        if definition.revision == 0 {
            return Err(RequestError::Client(format!("task definition {} has no revision", definition.family)));
        }
        let revisions = self.state.task_definitions.get(&definition.family);
        match revisions.and_then(|revisions| revisions.get(&definition.revision)) {
            Some(known) if *known.definition == definition => Ok(Response::TaskDefinition(known.definition.clone())),
            Some(_) => Err(RequestError::Client(format!("task definition {definition} is registered as another one"))),
            None => Ok(Response::TaskDefinition(self.take_in(definition))),
        }
    }

    /// Also of one that is INACTIVE already. **Source:** ecs-semantics §1.4.
    pub(super) fn deregister_task_definition(&mut self, family: &str, revision: u32) -> Answer {
        let revisions = self.state.task_definitions.get(family);
        let Some(found) = revisions.and_then(|revisions| revisions.get(&revision)) else {
            return Err(RequestError::Client("The specified task definition does not exist.".into()));
        };
        self.state.inactive_revisions.entry(family.to_owned()).or_default().insert(revision);
        Ok(Response::TaskDefinition(found.definition.clone()))
    }

    fn take_in(&mut self, definition: TaskDefinition) -> Arc<TaskDefinition> {
        let reservation = Arc::new(definition.reservation());
        let definition = Arc::new(definition);
        let revisions = self.state.task_definitions.entry(definition.family.clone()).or_default();
        revisions.insert(definition.revision, Registered { definition: definition.clone(), reservation });
        definition
    }

    /// What is to be started from here on.
    pub(super) fn resolve(&self, reference: &TaskDefinitionRef) -> Result<Registered, RequestError> {
        let found = self.state.resolve(reference);
        let found = found.ok_or_else(|| RequestError::Client(format!("TaskDefinition not found: {reference}")))?;
        if !self.state.is_active(&found.definition) {
            return Err(RequestError::Client(format!("TaskDefinition is inactive: {reference}")));
        }
        Ok(found.clone())
    }
}

impl ClusterState {
    /// The task definition that a reference means: the revision named, whatever its status, or the latest that is ACTIVE.
    /// **Source:** ecs-semantics §1.4.
    pub fn resolve(&self, reference: &TaskDefinitionRef) -> Option<&Registered> {
        let revisions = self.task_definitions.get(&reference.family)?;
        match reference.revision {
            Some(revision) => revisions.get(&revision),
            None => revisions.values().rfind(|found| self.is_active(&found.definition)),
        }
    }

    /// Whether something may be started with a registered definition.
    pub fn is_active(&self, definition: &TaskDefinition) -> bool {
        let inactive = self.inactive_revisions.get(&definition.family);
        inactive.is_none_or(|inactive| !inactive.contains(&definition.revision))
    }

    /// Whether a task that is not over, a deployment, or one that a service may go back to runs it: as long as that is so, a definition
    /// that is deleted is not gone. Looks at every task. **Source:** ecs-semantics §1.4.
    pub fn is_task_definition_in_use(&self, family: &str, revision: u32) -> bool {
        let is_meant = |definition: &TaskDefinition| definition.family == family && definition.revision == revision;
        let by_service = self.services.values().any(|service| {
            let target = service.rollback_target.as_ref().map(|target| &target.registered.definition);
            let deployed = service.deployments.iter().map(|deployment| &deployment.task_definition);
            service.status != super::state::ServiceStatus::Inactive
                && deployed.chain(target).any(|definition| is_meant(definition))
        });
        let mut live = self.tasks.values().map(|record| &record.task);
        by_service || live.any(|task| task.last_status != TaskStatus::Stopped && is_meant(&task.task_definition))
    }
}

/// What ECS refuses at registration. **Source:** ecs-semantics §1.5, §2.3, §4.3.
fn check(definition: &TaskDefinition) -> Result<(), RequestError> {
    super::constraints::check_definition(definition)?;
    if let Some(problem) = dependency_problems(&definition.containers).into_iter().next() {
        return Err(RequestError::Client(problem.message));
    }
    let checks = definition.containers.iter().filter_map(|container| container.health_check.as_ref());
    for check in checks {
        HealthCommand::parse(&check.command).map_err(|error| RequestError::Client(error.to_string()))?;
    }
    Ok(())
}
