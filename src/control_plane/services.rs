//! Services: the loop that holds desired against observed and acts on the difference.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::ServiceActionEvent;
use super::backoff::RestartThrottle;
use super::deployment::{Blocked, Bounds, Launching, Plan, PlanInputs, Tally, plan};
use super::launch_rate::LaunchRate;
use super::service_events::{Complaint, Said};
use super::service_stops::Victims;
use super::state::{
    ClusterState, Deployment, DeploymentStatus, Registered, RolloutState, Service, ServiceStatus, Steadiness,
};
use super::tasks::NewTask;

use super::timers::Wakeup;
use crate::model::ids::TaskId;
use crate::model::service::{SchedulingStrategy, ServiceSpec};
use crate::model::settings::Settings;
use crate::model::units::Timestamp;

/// What a service is steered by, beside its public state.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct ServiceController {
    pub throttle: RestartThrottle,
    pub rate: LaunchRate,
    /// What it complains of, and when each was said last. There are few kinds.
    pub complaints: Vec<(Complaint, Timestamp)>,
    /// When it was last worked out why no instance takes a task.
    pub explained_at: Option<Timestamp>,
    /// The last task that was started: the next one is most often alike in much.
    #[serde(skip)]
    pub draft: Option<NewTask>,
}

impl ServiceController {
    pub(super) fn new(settings: &Settings) -> ServiceController {
        ServiceController {
            throttle: RestartThrottle::new(settings.restart_delay_first, settings.restart_delay_max),
            rate: LaunchRate::new(settings.service_launches_per_minute),
            complaints: Vec::new(),
            explained_at: None,
            draft: None,
        }
    }
}

impl Service {
    /// The bounds of the moment. *Ours:* one that moves traffic has its target beside all of its source, whatever `maximumPercent` says.
    /// **Source:** ecs-semantics §5.2, §5.8.
    pub(super) fn bounds(&self) -> Bounds {
        let bounds = Bounds::of(self.spec.desired_count, &self.spec.deployment_configuration);
        if self.traffic_shift().is_none() {
            return bounds;
        }
        Bounds { upper: bounds.upper.max(self.spec.desired_count.saturating_mul(2)), ..bounds }
    }

    /// Which deployment's tasks are started: the primary's, unless it failed; then those of the newest older one that did not.
    /// *Ours:* the latter, so that a deployment that failed takes nothing from the service that was there before it.
    /// **Source:** ecs-semantics §5.7.
    pub(super) fn launching(&self) -> Launching {
        if self.has_task_sets() {
            // Whichever set lacks tasks; failing that, whichever is not going.
            let desired = self.spec.desired_count;
            let lacks = |set: &Deployment| set.placed_count() < set.computed_desired_count(desired);
            let stays = |set: &Deployment| set.computed_desired_count(desired) > 0;
            let found = self.deployments.iter().position(lacks).or_else(|| self.deployments.iter().position(stays));
            return found.map_or(Launching::Nobody, |index| match index.checked_sub(1) {
                None => Launching::Primary,
                Some(older) => Launching::Older(older),
            });
        }
        let stalled = self.status == ServiceStatus::Active && self.primary().rollout_state == RolloutState::Failed;
        if !stalled {
            return Launching::Primary;
        }
        let older = self.deployments[1..].iter().position(|older| older.rollout_state != RolloutState::Failed);
        older.map_or(Launching::Nobody, Launching::Older)
    }
}

impl ClusterState {
    /// A deployment's tasks by what they are.
    pub(super) fn tally(&self, service: &Service, index: usize, now: Timestamp) -> Tally {
        let deployment = &service.deployments[index];
        let is_protected = |task: &TaskId| self.tasks[task].task.is_protected(now);
        let is_not_healthy = |task: &TaskId| deployment.starting.contains(task) || deployment.unproven.contains(task);
        let protected = || service.protected.iter().filter(|task| is_protected(task));
        let leaving = || deployment.giving_way.iter().filter(|task| deployment.healthy.contains(task));
        // Of the primary nothing goes for not being healthy alone, so that nobody asks. A task that takes another's place may have to
        // give way itself.
        let kept_of = |deployment: &Deployment| -> Vec<TaskId> {
            let kept = deployment.giving_way.union(&deployment.standing_in);
            kept.filter(|task| is_not_healthy(task) && !is_protected(task)).copied().collect()
        };
        let kept = if index > 0 { kept_of(deployment) } else { Vec::new() };
        let is_paired = |task: &&TaskId| deployment.replacements.get(task).is_some_and(is_not_healthy);
        let paired = super::state::count(kept.iter().filter(is_paired).count());
        Tally {
            starting: deployment.pending_count(),
            unproven: super::state::count(deployment.unproven.len()),
            healthy: deployment.healthy_count(),
            kept: super::state::count(kept.len()),
            paired,
            protected_leaving: super::state::count(leaving().filter(|task| is_protected(task)).count()),
            free_leaving: super::state::count(leaving().filter(|task| !is_protected(task)).count()),
            beside: super::state::count(deployment.replacements.len()),
            protected_not_healthy: super::state::count(protected().filter(|task| is_not_healthy(task)).count()),
            protected_healthy: super::state::count(
                protected().filter(|task| deployment.healthy.contains(task)).count(),
            ),
        }
    }

    /// Whether a task that is not healthy waits to be replaced or takes another's place.
    pub(super) fn is_kept(&self, task: &TaskId) -> bool {
        let record = &self.tasks[task];
        record.replace.is_some() || record.replaces.is_some()
    }
}

impl ControlPlane {
    /// The deployment of a service that is to run a task definition.
    pub(super) fn new_deployment(&mut self, spec: &ServiceSpec, registered: Registered) -> Deployment {
        let id = self.new_deployment_id();
        let revision = self.new_revision(spec, &registered.definition);
        Deployment::new(id, self.ids.deployment(id).into(), registered, revision, self.now)
    }

    /// Makes a deployment the primary one; those before it drain toward it. **Source:** ecs-semantics §5.3.
    pub(super) fn start_deployment(&mut self, name: &Arc<str>, registered: Registered) {
        let spec = self.state.services[name].spec.clone();
        let deployment = self.new_deployment(&spec, registered);
        let now = self.now;
        self.abandon_hook(name);
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        for older in &mut service.deployments {
            older.status = DeploymentStatus::Active;
            older.updated_at = now;
            older.shift = None;
        }
        service.deployments.insert(0, deployment);
        self.reset_throttle(name);
        self.begin_rollout(name);
    }

    /// Another task definition resets the throttle at once. **Source:** ecs-semantics §5.6.
    pub(super) fn reset_throttle(&mut self, name: &Arc<str>) {
        if let Some(controller) = self.controllers.get_mut(name) {
            controller.throttle.reset();
            self.timers.cancel(Wakeup::Restart(name.clone()));
        }
    }

    /// What a REPLICA service wants to start and stop at the moment.
    pub(super) fn plan_of(&self, name: &Arc<str>) -> Plan {
        let service = &self.state.services[name];
        let older: Vec<Tally> =
            (1..service.deployments.len()).map(|index| self.state.tally(service, index, self.now)).collect();
        plan(&PlanInputs {
            desired_count: service.spec.desired_count,
            bounds: service.bounds(),
            launching: service.launching(),
            primary: self.state.tally(service, 0, self.now),
            older: &older,
        })
    }

    /// Brings a service one settled step closer to what is desired. **Source:** ecs-semantics §5.3.
    pub(super) fn reconcile(&mut self, name: &Arc<str>) {
        let Some(service) = self.state.services.get_mut(name) else { return };
        if service.status == ServiceStatus::Inactive {
            service.forget_what_is_over();
            return;
        }
        if service.has_task_sets() {
            self.reconcile_task_sets(name);
            return;
        }
        let is_daemon = service.spec.scheduling_strategy == SchedulingStrategy::Daemon;
        self.judge_deployment(name);
        self.clean_up_sources(name);
        if is_daemon {
            self.reconcile_daemon(name);
            return;
        }
        self.advance_shift(name);
        let service = &self.state.services[name];
        if let Some(shift) = service.traffic_shift().copied().filter(|shift| !shift.is_cleaning_up()) {
            if self.reconcile_sets(name, &shift) {
                self.dirty.insert(name.clone());
            }
            self.replace_some(name);
            self.conclude(name);
            return;
        }
        let launching = self.state.services[name].launching();
        let plan = self.plan_of(name);
        if plan.stop_primary > 0 {
            self.stop_some(name, 0, plan.stop_primary, Victims::LeastUsefulFirst);
        }
        for (index, stop) in plan.stop_older.iter().enumerate() {
            if stop.not_healthy > 0 {
                self.stop_some(name, index + 1, stop.not_healthy, Victims::NotHealthyOnly);
            }
            if stop.healthy > 0 {
                self.stop_some(name, index + 1, stop.healthy, Victims::HealthyOnly);
            }
        }
        if let Some(index) = launching.deployment_index().filter(|_| plan.start > 0) {
            self.start_some(name, index, plan.start, None);
        }
        self.say_what_blocks(name, 0, plan.blocked);
        self.replace_some(name);
        let stopped_any =
            plan.stop_primary > 0 || plan.stop_older.iter().any(|stop| stop.not_healthy + stop.healthy > 0);
        if stopped_any {
            // What was stopped may have made room under the upper bound.
            self.dirty.insert(name.clone());
        }
        self.conclude(name);
    }

    /// **Source:** ecs-semantics §2.6, §5.2, §5.11. *Ours:* the reason on EventBridge.
    pub(super) fn say_what_blocks(&mut self, name: &Arc<str>, deployment_index: usize, blocked: Blocked) {
        match blocked {
            Blocked::No => {}
            Blocked::ByConfiguration => {
                let said = self.complain(
                    name,
                    Complaint::BlockedByBounds,
                    "was unable to stop or start tasks during a deployment because of the service deployment \
                     configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
                );
                if said == Said::Aloud {
                    let reason = Some("DEPLOYMENT_CONFIGURATION".into());
                    self.service_action(name, ServiceActionEvent::TaskConfigurationFailure, reason, Default::default());
                }
            }
            Blocked::ByProtection => {
                let blocked = self.state.services[name].deployments.get(deployment_index);
                let Some((id, shown_id)) = blocked.map(|blocked| (blocked.id, blocked.shown_id.clone())) else {
                    return;
                };
                let text = format!(
                    "was unable to reach steady state because task set ({shown_id}) was unable to scale in. Reason: The number \
                     of protected tasks are more than the desired count of tasks"
                );
                self.complain(name, Complaint::BlockedByProtection(id), &text);
            }
        }
    }

    /// Whatever a service does, it is steady only when it has said so again. **Source:** ecs-semantics §5.7.
    pub(super) fn disturb(&mut self, name: &Arc<str>) {
        if let Some(service) = self.state.services.get_mut(name) {
            service.steadiness = Steadiness::Changing;
        }
    }

    /// Sets a desired count on behalf of a scaling policy.
    pub(super) fn scale_service(&mut self, name: &Arc<str>, desired_count: u32, cause: &str) {
        let Some(service) = self.state.services.get_mut(name) else { return };
        let before = service.spec.desired_count;
        service.spec.desired_count = desired_count;
        service.steadiness = Steadiness::Changing;
        self.desired_count_updated(name, desired_count, Some(cause.into()));
        self.service_event(name, &format!("desired count changed from {before} to {desired_count}: {cause}"));
        self.dirty.insert(name.clone());
    }

    /// Room has appeared on an instance: whoever waits for it looks again.
    pub(super) fn room_appeared(&mut self, instance: crate::model::ids::ContainerInstanceId) {
        let provider = self
            .state
            .container_instances
            .get(&instance)
            .and_then(|instance| instance.launch.capacity_provider.clone());
        if let Some(provider) = provider
            && self.state.capacity_providers.get(&provider).is_some_and(|found| !found.provisioning.is_empty())
        {
            self.freed.insert(provider);
        }
        self.dirty.append(&mut self.waiting);
        self.daemons_may_leave(instance);
    }
}
