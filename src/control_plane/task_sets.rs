//! Task sets as the scheduler sees them: each is kept at its share of the service's desired count, as a deployment of its own is.
//!
//! A task set is a [`Deployment`] that is not rolled out. Each has bounds of its own and is planned as the primary deployment of a service
//! without older ones is, so that starts, scale-in, replacement and protection are the same. Nothing here moves tasks from one set to
//! another: that is what the client's scales are for.
//!
//! *Ours:* production traffic goes to the set that is PRIMARY, and to all of them while none is. ECS leaves that to whoever moves the
//! load balancer. **Source:** ecs-semantics §5.8.

use std::sync::Arc;

use super::ControlPlane;
use super::action::ServiceActionEvent;
use super::deployment::{Bounds, Launching, Plan, PlanInputs, plan};
use super::service_stops::Victims;
use super::state::{Deployment, Service, ServiceStatus, TaskSetState, count};
use crate::model::capacity::LaunchTarget;
use crate::model::task_set::{StabilityStatus, TaskSetDescription, TaskSetStatus};

/// Deleted task sets of a service that are kept in mind. *Ours.*
const DELETED_TASK_SETS_MAX: usize = 20;

/// How many tasks there may be and must be of what is scheduled as one: a task set, or all of a service's deployments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub bounds: Bounds,
    /// Tasks that run or are to run.
    pub placed: u32,
    pub healthy: u32,
}

impl Deployment {
    /// How many tasks it is to have when its service is to have so many: `computedDesiredCount` of a task set, none of one that is
    /// deleted. **Source:** ecs-semantics §5.8.
    pub fn computed_desired_count(&self, desired_count: u32) -> u32 {
        match &self.task_set {
            Some(task_set) if task_set.status == TaskSetStatus::Draining => 0,
            Some(task_set) => task_set.scale.of(desired_count),
            None => desired_count,
        }
    }

    fn is_draining_set(&self) -> bool {
        self.task_set.as_ref().is_some_and(|task_set| task_set.status == TaskSetStatus::Draining)
    }

    /// Whether it has as many healthy tasks as it is to have, and none that is to give way. **Source:** ecs-semantics §5.7.
    fn is_steady_at(&self, computed_desired_count: u32) -> bool {
        (self.healthy_count(), self.placed_count()) == (computed_desired_count, computed_desired_count)
            && self.giving_way.is_empty()
    }
}

impl Service {
    /// Whether it consists of task sets.
    pub fn has_task_sets(&self) -> bool {
        self.spec.deployment_controller.has_task_sets()
    }

    /// How many tasks it is to have: as desired, or what its task sets are to have together.
    pub fn wanted_count(&self) -> u32 {
        let desired = self.spec.desired_count;
        if !self.has_task_sets() {
            return desired;
        }
        self.deployments.iter().fold(0, |sum, set| sum.saturating_add(set.computed_desired_count(desired)))
    }

    /// Where tasks of a deployment run.
    pub(super) fn launch_target_of<'a>(&'a self, deployment: &'a Deployment) -> &'a LaunchTarget {
        match deployment.task_set {
            Some(_) => &deployment.revision.launch_target,
            None => &self.spec.launch_target,
        }
    }

    /// What holds for starts and stops of a deployment. *Ours:* the percentages of a service's bounds hold for each of its task sets.
    /// **Source:** ecs-semantics §5.2.
    pub(super) fn limits_of(&self, deployment_index: usize) -> Limits {
        match self.deployments.get(deployment_index) {
            Some(set) if set.task_set.is_some() => Limits {
                bounds: Bounds::of(
                    set.computed_desired_count(self.spec.desired_count),
                    &self.spec.deployment_configuration,
                ),
                placed: set.placed_count(),
                healthy: set.healthy_count(),
            },
            _ => Limits {
                bounds: self.bounds(),
                placed: self.running_count() + self.pending_count(),
                healthy: self.healthy_count(),
            },
        }
    }

    /// The task sets as DescribeTaskSets shows them, oldest first. **Source:** ecs-semantics §11.6.
    pub fn task_sets(&self) -> Vec<TaskSetDescription> {
        self.deployments.iter().filter_map(|set| self.describe(set)).collect()
    }

    /// Keeps in mind some of its task sets, which are about to be deleted, as they are.
    pub(super) fn remember_task_sets(&mut self, is_deleted: impl Fn(&TaskSetDescription) -> bool) {
        let live = self.task_sets().into_iter().filter(|set| set.status != TaskSetStatus::Draining);
        self.deleted_task_sets.extend(live.filter(is_deleted));
        let surplus = self.deleted_task_sets.len().saturating_sub(DELETED_TASK_SETS_MAX);
        self.deleted_task_sets.drain(..surplus);
    }

    pub(super) fn describe(&self, deployment: &Deployment) -> Option<TaskSetDescription> {
        let set: &TaskSetState = deployment.task_set.as_ref()?;
        Some(TaskSetDescription {
            id: deployment.id,
            shown_id: deployment.shown_id.clone(),
            service: self.spec.name.clone(),
            started_by: set.started_by.clone(),
            external_id: set.external_id.clone(),
            status: set.status,
            task_definition: deployment.task_definition.clone(),
            scale: set.scale,
            computed_desired_count: deployment.computed_desired_count(self.spec.desired_count),
            pending_count: deployment.pending_count(),
            running_count: deployment.running_count(),
            created_at: deployment.created_at,
            updated_at: deployment.updated_at,
            launch_target: deployment.revision.launch_target.clone(),
            stability_status: set.stability_status,
            stability_status_at: set.stability_status_at,
            tags: set.tags.clone(),
            document: set.document.clone(),
        })
    }

    /// Whether every task set has what it wants. *Ours:* a service without any is never steady.
    pub(super) fn sets_are_steady(&self) -> bool {
        let desired = self.spec.desired_count;
        let is_steady = |set: &Deployment| set.is_steady_at(set.computed_desired_count(desired));
        !self.deployments.is_empty() && self.deployments.iter().all(is_steady)
    }
}

impl ControlPlane {
    /// What a task set wants to start and stop at the moment.
    pub(super) fn plan_of_set(&self, service: &Service, deployment_index: usize) -> Plan {
        plan(&PlanInputs {
            desired_count: service.deployments[deployment_index].computed_desired_count(service.spec.desired_count),
            bounds: service.limits_of(deployment_index).bounds,
            launching: Launching::Primary,
            primary: self.state.tally(service, deployment_index, self.now),
            older: &[],
        })
    }

    /// Brings each task set of a service one settled step closer to its share. **Source:** ecs-semantics §5.3, §5.8.
    pub(super) fn reconcile_task_sets(&mut self, name: &Arc<str>) {
        let mut has_stopped = false;
        let mut waits = false;
        for index in 0..self.state.services[name].deployments.len() {
            let plan = self.plan_of_set(&self.state.services[name], index);
            if plan.stop_primary > 0 {
                self.stop_some(name, index, plan.stop_primary, Victims::LeastUsefulFirst);
                has_stopped = true;
            }
            if plan.start > 0 {
                let started = self.start_some(name, index, plan.start, None);
                waits |= count(started.len()) < plan.start;
            }
            self.say_what_blocks(name, index, plan.blocked);
            self.replace_some_of_set(name, index);
        }
        if waits {
            // A set that found room must not make the service forget another that did not.
            self.waiting.insert(name.clone());
        }
        if has_stopped {
            self.dirty.insert(name.clone());
        }
        self.conclude_task_sets(name);
    }

    /// Forgets task sets that are deleted and empty, and says when sets and the service are steady.
    /// **Source:** ecs-semantics §5.7, §5.8, §10.3.
    fn conclude_task_sets(&mut self, name: &Arc<str>) {
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let desired = service.spec.desired_count;
        service.deployments.retain(|set| !set.is_draining_set() || set.placed_count() > 0 || !set.stopping.is_empty());
        let mut steady_again = 0;
        for set in &mut service.deployments {
            let is_steady = !set.is_draining_set() && set.is_steady_at(set.computed_desired_count(desired));
            let status = if is_steady { StabilityStatus::SteadyState } else { StabilityStatus::Stabilizing };
            let Some(state) = &mut set.task_set else { continue };
            if state.stability_status != status {
                state.stability_status = status;
                state.stability_status_at = now;
                steady_again += u32::from(is_steady);
            }
        }
        for _ in 0..steady_again {
            self.service_action(name, ServiceActionEvent::TaskSetSteadyState, None, Default::default());
        }
        self.state.services.get_mut(name).expect("it was found above").forget_departed();
        let service = &self.state.services[name];
        let is_over = service.has_only_stopping_tasks(&self.state);
        match service.status {
            ServiceStatus::Draining if is_over => self.service_is_over(name),
            ServiceStatus::Draining => {}
            _ => self.note_steadiness(name, service.sets_are_steady()),
        }
    }
}
