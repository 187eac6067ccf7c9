//! Carries out replacements: finds a service's tasks that give way, and does for each what [`super::replacement`] plans.

use std::sync::Arc;

use super::ControlPlane;
use super::deployment::Launching;
use super::replacement::{
    GivingWay, Owed, Replacement, ReplacementInputs, ReplacementState, ReplacementStep, Standing, plan_replacements,
};
use super::state::{ClusterState, Deployment, ReplaceCause, RolloutState, Service, ServiceStatus, count};
use super::task_retirement::RETIRED;
use super::task_sets::Limits;
use crate::model::ids::TaskId;
use crate::model::task::StopCode;

/// **Source:** ecs-semantics §2.4.
const FAILED_HEALTH_CHECKS: &str = "Task failed container health checks";

impl Deployment {
    fn standing(&self, task: TaskId) -> Standing {
        match (self.healthy.contains(&task), self.unproven.contains(&task)) {
            (true, _) => Standing::Healthy,
            (false, true) => Standing::NotHealthy,
            (false, false) => Standing::Starting,
        }
    }

    fn replacement_of(&self, task: TaskId, state: &ClusterState) -> Option<Replacement> {
        let replacement = *self.replacements.get(&task)?;
        let state = match state.tasks[&replacement].replace {
            Some(ReplaceCause::Unhealthy) => ReplacementState::Unhealthy,
            _ if self.healthy.contains(&replacement) => ReplacementState::Healthy,
            _ => ReplacementState::Coming,
        };
        Some(Replacement { task: replacement, state })
    }
}

impl Service {
    /// The tasks that give way, and whether others are wanted in their places. **Source:** ecs-semantics §5.4.
    fn tasks_giving_way(&self, state: &ClusterState) -> Vec<GivingWay> {
        let launching = self.launching();
        let lower = self.bounds().lower;
        // Older tasks that are unhealthy are worth replacing as far as the lower bound needs them.
        let mut lacking = lower.saturating_sub(self.healthy_count());
        let mut surplus = (self.primary().placed_count() - count(self.primary().replacements.len()))
            .saturating_sub(self.spec.desired_count);
        let mut all = Vec::new();
        for (deployment_index, deployment) in self.deployments.iter().enumerate() {
            let launches = match launching {
                Launching::Primary => deployment.rollout_state != RolloutState::Failed || deployment_index > 0,
                Launching::Older(index) => deployment_index == index + 1,
                Launching::Nobody => false,
            };
            for task in &deployment.giving_way {
                let cause = state.tasks[task].replace.expect("it is among those that give way");
                let replacement = deployment.replacement_of(*task, state);
                let is_wanted = match (deployment_index, launching) {
                    (0, _) if surplus > 0 && replacement.is_none() => {
                        surplus -= 1;
                        false
                    }
                    (0, _) | (_, Launching::Older(_) | Launching::Nobody) => true,
                    (_, Launching::Primary) if cause == ReplaceCause::Unhealthy && self.traffic_shift().is_none() => {
                        let is_lacking = lacking > 0;
                        lacking = lacking.saturating_sub(1);
                        is_lacking
                    }
                    (_, Launching::Primary) if self.traffic_shift().is_some() => true,
                    // One that only its protection holds goes without another, as its deployment does.
                    (_, Launching::Primary) => self.primary().healthy_count() < lower,
                };
                all.push(GivingWay {
                    task: *task,
                    deployment_index,
                    cause,
                    standing: deployment.standing(*task),
                    replacement,
                    owed: if launches && is_wanted { Owed::Replacement } else { Owed::Nothing },
                });
            }
        }
        all
    }
}

impl Service {
    /// The same of a task set, which is replaced as the primary deployment of a service without others is.
    fn tasks_of_set_giving_way(&self, state: &ClusterState, deployment_index: usize) -> Vec<GivingWay> {
        let set = &self.deployments[deployment_index];
        let computed = set.computed_desired_count(self.spec.desired_count);
        let mut surplus = (set.placed_count() - count(set.replacements.len())).saturating_sub(computed);
        let giving = |task: &TaskId| {
            let replacement = set.replacement_of(*task, state);
            let is_surplus = surplus > 0 && replacement.is_none();
            surplus -= u32::from(is_surplus);
            GivingWay {
                task: *task,
                deployment_index,
                cause: state.tasks[task].replace.expect("it is among those that give way"),
                standing: set.standing(*task),
                replacement,
                owed: if is_surplus { Owed::Nothing } else { Owed::Replacement },
            }
        };
        set.giving_way.iter().map(giving).collect()
    }
}

impl ControlPlane {
    /// Replaces tasks of a task set that give way. **Source:** ecs-semantics §3.3, §5.4.
    pub(super) fn replace_some_of_set(&mut self, name: &Arc<str>, deployment_index: usize) {
        let service = &self.state.services[name];
        let is_idle = service.deployments[deployment_index].giving_way.is_empty();
        if is_idle || service.status != ServiceStatus::Active {
            return;
        }
        let giving_way = service.tasks_of_set_giving_way(&self.state, deployment_index);
        self.replace_among(name, &giving_way, service.limits_of(deployment_index), deployment_index);
    }

    /// Replaces tasks that give way as far as the bounds let it. **Source:** ecs-semantics §3.3, §5.4, §5.10.
    pub(super) fn replace_some(&mut self, name: &Arc<str>) {
        let service = &self.state.services[name];
        let is_idle = service.deployments.iter().all(|deployment| deployment.giving_way.is_empty());
        if is_idle || service.status != ServiceStatus::Active {
            return;
        }
        let giving_way = service.tasks_giving_way(&self.state);
        self.replace_among(name, &giving_way, service.limits_of(0), 0);
    }

    /// Carries out what is planned for tasks that have limits in common; what blocks it is said of a deployment.
    fn replace_among(&mut self, name: &Arc<str>, giving_way: &[GivingWay], limits: Limits, deployment_index: usize) {
        let not_healthy = limits.placed - limits.healthy;
        let hopeless = giving_way.iter().filter(|giving| giving.standing != Standing::Healthy).count();
        let inputs = ReplacementInputs {
            giving_way,
            bounds: limits.bounds,
            placed: limits.placed,
            healthy: limits.healthy,
            in_flight: not_healthy.saturating_sub(count(hopeless)),
        };
        let (steps, blocked) = plan_replacements(&inputs, &mut self.rng);
        for step in steps {
            match step {
                ReplacementStep::Stop(task) => self.stop_replaced(name, task),
                ReplacementStep::Start { deployment_index, instead_of } => {
                    if self.start_some(name, deployment_index, 1, Some(instead_of)).is_empty() {
                        break;
                    }
                }
                ReplacementStep::Exchange { deployment_index, task } => {
                    self.stop_replaced(name, task);
                    // The primary deployment misses it anyway.
                    if deployment_index > 0 {
                        self.start_some(name, deployment_index, 1, Some(task));
                    }
                }
            }
        }
        self.say_what_blocks(name, deployment_index, blocked);
    }

    fn stop_replaced(&mut self, name: &Arc<str>, task: TaskId) {
        let Some(record) = self.state.tasks.get(&task) else { return };
        let (code, reason): (StopCode, Arc<str>) = match record.replace {
            Some(ReplaceCause::Unhealthy) => {
                let reason = match self.failing_target_group(task) {
                    Some(group) => format!("Task failed ELB health checks in (target-group {})", group.arn).into(),
                    None => FAILED_HEALTH_CHECKS.into(),
                };
                (StopCode::ServiceSchedulerInitiated, reason)
            }
            Some(ReplaceCause::Retirement) => (StopCode::InfrastructureHealth, RETIRED.into()),
            _ => {
                let deployment = record.task.started_by.as_deref().unwrap_or_default();
                let reason = format!("Scaling activity initiated by (deployment {deployment})");
                (StopCode::ServiceSchedulerInitiated, reason.into())
            }
        };
        self.stop_task(task, code, &reason);
        self.disturb(name);
        self.tasks_stopped(name, &[task]);
    }
}
