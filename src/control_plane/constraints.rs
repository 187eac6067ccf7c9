//! Placement constraints as they are asked for: how many, by whom, and who waits for something about other tasks.

use std::sync::Arc;

use super::ControlPlane;
use super::event::UpdateService;
use super::request_error::RequestError;
use super::state::{Deployment, PlacementRules, Registered, Service};
use crate::model::service::{
    PLACEMENT_CONSTRAINTS_MAX, PLACEMENT_STRATEGIES_MAX, PlacementConstraint, SchedulingStrategy, ServiceSpec,
};
use crate::model::task_definition::TaskDefinition;

impl ServiceSpec {
    /// How instances are chosen for tasks of a definition.
    pub(super) fn placement_rules(&self, definition: &TaskDefinition) -> PlacementRules {
        PlacementRules::of(definition, &self.placement_strategy, &self.placement_constraints)
    }

    /// Whether they are these, which were those of a task of the same definition.
    pub(super) fn has_placement_rules(&self, rules: &PlacementRules, definition: &TaskDefinition) -> bool {
        let constraints = definition.placement_constraints.iter().chain(&self.placement_constraints);
        rules.strategies == self.placement_strategy && rules.constraints.iter().eq(constraints)
    }
}

impl PlacementRules {
    /// **Source:** ecs-semantics §4.1: at most ten constraints together, and at most five strategies.
    pub(super) fn check(&self) -> Result<(), RequestError> {
        if self.strategies.len() > PLACEMENT_STRATEGIES_MAX {
            return Err(RequestError::InvalidParameter(format!(
                "{} placement strategies are too many: at most {PLACEMENT_STRATEGIES_MAX}",
                self.strategies.len()
            )));
        }
        if self.constraints.len() > PLACEMENT_CONSTRAINTS_MAX {
            return Err(RequestError::InvalidParameter(format!(
                "{} placement constraints are too many: at most {PLACEMENT_CONSTRAINTS_MAX}, those of the task definition \
                 included",
                self.constraints.len()
            )));
        }
        Ok(())
    }
}

/// A task definition takes `memberOf` only. **Source:** ecs-semantics §4.3.
pub(super) fn check_definition(definition: &TaskDefinition) -> Result<(), RequestError> {
    if definition.placement_constraints.contains(&PlacementConstraint::DistinctInstance) {
        return Err(RequestError::Client("a task definition's placement constraints are of the type memberOf".into()));
    }
    PlacementRules::of(definition, &[], &[]).check()
}

/// The constraints that a service has after an update, with those of the definition that it has then.
pub(super) fn check_update(
    service: &Service,
    update: &UpdateService,
    wanted: Option<&Registered>,
) -> Result<(), RequestError> {
    let definition = wanted.map_or(&service.primary().task_definition, |wanted| &wanted.definition);
    let constraints = update.placement_constraints.as_deref().unwrap_or(&service.spec.placement_constraints);
    let strategies = update.placement_strategy.as_deref().unwrap_or_default();
    let rules = PlacementRules::of(definition, strategies, constraints);
    if service.spec.scheduling_strategy == SchedulingStrategy::Daemon {
        check_daemon(&rules)?;
    }
    rules.check()
}

/// *Ours:* whether a daemon belongs on an instance cannot hang on the tasks there: its own coming would change the answer.
pub(super) fn check_daemon(rules: &PlacementRules) -> Result<(), RequestError> {
    if rules.depend_on_tasks() {
        return Err(RequestError::InvalidParameter(
            "the placement constraints of a DAEMON service cannot ask for task:group or runningTasksCount".into(),
        ));
    }
    Ok(())
}

impl ControlPlane {
    /// A task has come to an instance: who waits for something about the tasks there looks again.
    pub(super) fn task_came(&mut self) {
        let waits = |name: &&Arc<str>| {
            let service = &self.state.services[*name];
            let rules_of = |deployment: &Deployment| service.spec.placement_rules(&deployment.task_definition);
            service.deployments.iter().any(|deployment| rules_of(deployment).depend_on_tasks())
        };
        let services: Vec<Arc<str>> = self.waiting.iter().filter(waits).cloned().collect();
        for service in services {
            self.waiting.remove(&service);
            self.dirty.insert(service);
        }
        let queues = self.queues.iter().filter(|(_, queue)| queue.depend_on_tasks());
        self.freed.extend(queues.map(|(provider, _)| provider.clone()));
    }
}
