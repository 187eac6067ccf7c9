//! The course of a rolling deployment: it begins, is watched, and ends one way or another.
//!
//! The intuition: a deployment is in progress until all its tasks are healthy and the older ones' are gone (COMPLETED), or until
//! something says that this will not come about (FAILED): too many failed tasks, an alarm, a client, time. A failed one launches
//! nothing any more. Either the most recent completed deployment becomes the target again, or the service keeps what it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlPlane;
use super::action::{DeploymentEvent, Notification, Response, ServiceActionEvent};
use super::request_error::RequestError;
use super::requests::Answer;
use super::service_autoscaling::DeploymentProgress;
use super::state::{
    BreakerStage, ClusterState, Deployment, DeploymentStatus, Registered, RollbackTarget, RolloutState, Service,
    ServiceStatus, Steadiness,
};
use super::timers::Wakeup;
use crate::model::alarm::AlarmState;
use crate::model::deployment::{
    LifecycleStage, MonitorStatus, OnFailure, ServiceDeploymentStatus, SourceCleanup, StopType,
};
use crate::model::ids::{ServiceDeploymentId, TaskId};
use crate::model::task::TaskStatus;
use crate::model::traffic::TrafficWeights;
use crate::model::units::{Duration, Timestamp};

/// Why a deployment fails. The first of them to come about decides. **Source:** ecs-semantics §5.7, §5.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FailureCause {
    /// Too many tasks failed.
    CircuitBreaker(BreakerStage),
    /// Image digests could not be resolved, under a circuit breaker. **Source:** ecs-semantics §5.9.
    ImageDigests,
    /// Alarms went off.
    Alarms(BTreeSet<Arc<str>>),
    /// It took longer than a deployment may.
    TimedOut,
    /// A stage took longer than one may.
    StageTimedOut(LifecycleStage),
    /// A lifecycle hook says no, or nothing: which, where and why.
    Hook(Arc<str>),
    /// A client stopped it.
    Stopped(StopType),
}

impl FailureCause {
    /// What follows the deployment in a service event. *Ours:* the texts for all but tasks that failed to start.
    fn event_text(&self) -> String {
        match self {
            FailureCause::CircuitBreaker(BreakerStage::Starting) => "tasks failed to start.".to_owned(),
            FailureCause::CircuitBreaker(BreakerStage::Running) => "tasks failed to become healthy.".to_owned(),
            FailureCause::ImageDigests => "image digests could not be resolved.".to_owned(),
            FailureCause::Alarms(_) => "alarm detected.".to_owned(),
            FailureCause::TimedOut => "it took longer than a deployment may.".to_owned(),
            FailureCause::StageTimedOut(stage) => format!("stage {} took longer than one may.", stage.as_str()),
            FailureCause::Hook(text) => format!("{text}."),
            FailureCause::Stopped(_) => "it was stopped by a user.".to_owned(),
        }
    }

    /// How a reason begins. **Source:** ecs-semantics §10.3.
    fn reason(&self) -> String {
        match self {
            FailureCause::CircuitBreaker(BreakerStage::Starting) => {
                "ECS deployment circuit breaker: task failed to start.".to_owned()
            }
            FailureCause::CircuitBreaker(BreakerStage::Running) => {
                "ECS deployment circuit breaker: task failed to become healthy.".to_owned()
            }
            FailureCause::ImageDigests => {
                "ECS deployment circuit breaker: image digests could not be resolved.".to_owned()
            }
            FailureCause::Alarms(alarms) => {
                let names: Vec<&str> = alarms.iter().map(|name| &**name).collect();
                format!("ECS deployment alarms: {} in ALARM.", names.join(", "))
            }
            FailureCause::TimedOut => "ECS deployment timed out.".to_owned(),
            FailureCause::StageTimedOut(stage) => {
                format!("ECS deployment timed out in lifecycle stage {}.", stage.as_str())
            }
            FailureCause::Hook(text) => format!("ECS deployment: {text}."),
            FailureCause::Stopped(_) => "ECS deployment stopped by a user.".to_owned(),
        }
    }

    /// How a reason for a rollback begins. **Source:** ecs-semantics §10.3.
    fn mechanism(&self) -> String {
        match self {
            FailureCause::CircuitBreaker(_) | FailureCause::ImageDigests => "ECS deployment circuit breaker".to_owned(),
            FailureCause::Alarms(_) => "ECS deployment alarms".to_owned(),
            FailureCause::Hook(_) | FailureCause::StageTimedOut(_) => self.reason().trim_end_matches('.').to_owned(),
            FailureCause::TimedOut | FailureCause::Stopped(_) => "ECS deployment".to_owned(),
        }
    }

    /// What to change so that the next deployment does better.
    fn advice(&self) -> &'static str {
        match self {
            FailureCause::CircuitBreaker(_) => {
                "Update the service with a task definition whose tasks start and stay healthy."
            }
            FailureCause::ImageDigests => "Update the service with a task definition whose images can be found.",
            FailureCause::Alarms(_) => "Update the service with a task definition that does not set the alarms off.",
            FailureCause::Hook(_) => {
                "Update the service with a task definition that the hook accepts, or without the hook."
            }
            FailureCause::TimedOut | FailureCause::StageTimedOut(_) | FailureCause::Stopped(_) => {
                "Update the service to start another deployment."
            }
        }
    }
}

impl Service {
    /// Whether all its tasks are STOPPING or over: none is placed, and none is still to leave its target groups first.
    /// **Source:** ecs-semantics §2.1, §5.5.
    pub(super) fn has_only_stopping_tasks(&self, state: &ClusterState) -> bool {
        let is_deactivating = |task: TaskId| state.tasks[&task].task.last_status == TaskStatus::Deactivating;
        self.deployments.iter().all(|deployment| {
            deployment.placed_count() == 0
                && (state.targets.is_empty() || !deployment.stopping.iter().any(is_deactivating))
        })
    }
}

impl ControlPlane {
    /// The primary deployment begins: its record is opened and its watches are set. **Source:** ecs-semantics §5.7, §5.8.
    pub(super) fn begin_rollout(&mut self, name: &Arc<str>) {
        self.ignore_alarms_that_are_on(name);
        self.open_record(name);
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        if let Some(record) = service.current_service_deployment_mut() {
            record.become_status(now, ServiceDeploymentStatus::InProgress, None);
        }
        let primary = &mut service.deployments[0];
        primary.rollout_state_reason = format!("ECS deployment {} in progress.", primary.shown_id).into();
        self.deployment_changed(name, DeploymentEvent::InProgress);
        self.begin_shift(name);
        self.watch_deployment(name);
    }

    /// An alarm that is on when a deployment starts says nothing about it. **Source:** ecs-semantics §5.7.
    fn ignore_alarms_that_are_on(&mut self, name: &Arc<str>) {
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let watched = service.spec.deployment_configuration.alarms.iter().flat_map(|alarms| &alarms.alarm_names);
        let on =
            watched.filter(|name| self.state.alarms.get(*name).is_some_and(|found| found.state == AlarmState::Alarm));
        service.deployments[0].ignored_alarms = on.cloned().collect();
    }

    /// Says what has become of the primary deployment, with its reason. **Source:** ecs-semantics §10.3.
    pub(super) fn deployment_changed(&mut self, name: &Arc<str>, event: DeploymentEvent) {
        let primary = self.state.services[name].primary();
        let (deployment, reason) = (primary.id, primary.rollout_state_reason.clone());
        self.notify(Notification::DeploymentStateChange { service: name.clone(), deployment, event, reason });
    }

    /// Wakes when the primary deployment has baked, has taken too long or has something to do in its stage.
    pub(super) fn watch_deployment(&mut self, name: &Arc<str>) {
        let Some(service) = self.state.services.get(name) else { return };
        let primary = service.primary();
        let watched = service.status == ServiceStatus::Active && primary.rollout_state == RolloutState::InProgress;
        if watched {
            let timeout = primary.created_at + self.settings.deployment_timeout;
            let baked = primary.bake_until.filter(|until| *until > self.now);
            let stage_timeout = self.settings.deployment_stage_timeout;
            let in_stage = primary.shift.filter(|shift| !shift.is_cleaning_up());
            let in_stage = in_stage.map(|shift| shift.next_deadline(self.now, stage_timeout));
            let next = baked.into_iter().chain(in_stage).fold(timeout, Timestamp::min);
            self.timers.set(next, Wakeup::Deployment(name.clone()));
        } else if let Some(until) = service.clean_up_until() {
            self.timers.set(until, Wakeup::Deployment(name.clone()));
        } else {
            self.timers.cancel(Wakeup::Deployment(name.clone()));
        }
    }

    /// Ends the primary deployment when something says that it will not come about. The circuit breaker is held against the desired
    /// count of the moment. **Source:** ecs-semantics §5.7, §5.8.
    pub(super) fn judge_deployment(&mut self, name: &Arc<str>) {
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let primary = &service.deployments[0];
        if service.status != ServiceStatus::Active || primary.rollout_state != RolloutState::InProgress {
            return;
        }
        let (failed_tasks, stage) = (primary.failed_tasks, primary.breaker_stage);
        let is_unpinned = primary.is_unpinned();
        let configuration = &service.spec.deployment_configuration;
        let threshold = configuration.circuit_breaker.map(|found| found.threshold.failures(service.spec.desired_count));
        let watched = configuration.alarms.iter().flat_map(|alarms| &alarms.alarm_names);
        let alarms: BTreeSet<Arc<str>> = watched
            .filter(|name| !primary.ignored_alarms.contains(*name))
            .filter(|name| self.state.alarms.get(*name).is_some_and(|found| found.state == AlarmState::Alarm))
            .cloned()
            .collect();
        let timed_out = self.now >= primary.created_at + self.settings.deployment_timeout;
        let stage_timeout = self.settings.deployment_stage_timeout;
        let overdue =
            primary.shift.filter(|shift| shift.is_overdue(self.now, stage_timeout) && !shift.is_cleaning_up());
        if let Some(record) = service.current_service_deployment_mut() {
            record.circuit_breaker.failure_count = failed_tasks;
            record.circuit_breaker.threshold = threshold.unwrap_or_default();
        }
        let cause = if threshold.is_some_and(|threshold| failed_tasks >= threshold) {
            FailureCause::CircuitBreaker(stage)
        } else if threshold.is_some() && is_unpinned {
            FailureCause::ImageDigests
        } else if !alarms.is_empty() {
            FailureCause::Alarms(alarms)
        } else if timed_out {
            FailureCause::TimedOut
        } else if let Some(shift) = overdue {
            FailureCause::StageTimedOut(shift.stage.shown())
        } else {
            return;
        };
        self.fail_deployment(name, &cause);
    }

    /// The primary deployment has failed: nothing of it is launched any more, and if whatever failed it says so the service goes back.
    ///
    /// *Ours:* one that moves traffic goes back also when it or a stage of it has taken too long, so that no traffic stays divided. Without
    /// a way back the traffic goes to whatever runs. **Source:** ecs-semantics §5.7, §5.8.
    pub(super) fn fail_deployment(&mut self, name: &Arc<str>, cause: &FailureCause) {
        let now = self.now;
        let took_too_long = matches!(cause, FailureCause::TimedOut | FailureCause::StageTimedOut(_));
        let stuck = took_too_long.then(|| self.why_stuck(name));
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let configuration = &service.spec.deployment_configuration;
        let on_failure = match cause {
            FailureCause::CircuitBreaker(_) | FailureCause::ImageDigests => {
                configuration.circuit_breaker.map(|breaker| breaker.on_failure)
            }
            FailureCause::Alarms(_) => configuration.alarms.as_ref().map(|alarms| alarms.on_failure),
            FailureCause::Stopped(StopType::Rollback) => Some(OnFailure::Rollback),
            FailureCause::Hook(_) | FailureCause::StageTimedOut(_) => Some(OnFailure::Rollback),
            FailureCause::TimedOut => service.traffic_shift().map(|_| OnFailure::Rollback),
            FailureCause::Stopped(StopType::Abort) => None,
        };
        let wants_rollback = on_failure == Some(OnFailure::Rollback);
        let target = if wants_rollback { service.rollback_target.take() } else { None };
        let mut reason = cause.reason();
        if target.is_none() && wants_rollback {
            reason += " There is no completed deployment to roll back to.";
        }
        if target.is_none() || stuck.is_some() {
            reason += " ";
            reason += stuck.as_deref().unwrap_or(cause.advice());
        }
        let reason: Arc<str> = reason.into();
        let primary = &mut service.deployments[0];
        primary.rollout_state = RolloutState::Failed;
        primary.rollout_state_reason = reason.clone();
        primary.updated_at = now;
        let text = format!("(deployment {}) deployment failed: {}", primary.shown_id, cause.event_text());
        if let Some(record) = service.current_service_deployment_mut() {
            match cause {
                FailureCause::CircuitBreaker(_) | FailureCause::ImageDigests => {
                    record.circuit_breaker.status = MonitorStatus::Triggered;
                }
                FailureCause::Alarms(alarms) => {
                    record.alarms.status = MonitorStatus::Triggered;
                    record.alarms.triggered = alarms.clone();
                }
                FailureCause::TimedOut
                | FailureCause::StageTimedOut(_)
                | FailureCause::Hook(_)
                | FailureCause::Stopped(_) => {}
            }
            if target.is_none() {
                record.stop(now, &reason);
            }
        }
        self.deployment_changed(name, DeploymentEvent::Failed);
        self.service_event(name, &text);
        // What starts from here on is of another task definition. Source: ecs-semantics §5.6.
        self.reset_throttle(name);
        let moved_traffic = self.state.services[name].traffic_shift().is_some();
        let back_to = target.as_ref().map(|target| target.id).filter(|_| moved_traffic);
        let weights = self.state.services[name].traffic_back_to(back_to);
        self.end_shift(name, weights);
        match target {
            Some(target) => self.roll_back(name, target, cause, reason),
            None => self.watch_deployment(name),
        }
    }

    /// A completed deployment becomes the target again, under its own id, in progress until it has completed anew.
    /// **Source:** ecs-semantics §5.7.
    fn roll_back(&mut self, name: &Arc<str>, target: RollbackTarget, cause: &FailureCause, why: Arc<str>) {
        let now = self.now;
        let shown_id: Arc<str> = self.ids.deployment(target.id).into();
        let reason: Arc<str> = format!("{}: rolling back to deploymentId {shown_id}.", cause.mechanism()).into();
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        for other in &mut service.deployments {
            other.status = DeploymentStatus::Active;
        }
        let known = service.deployments.iter().position(|found| found.id == target.id);
        let mut deployment = match known {
            Some(index) => service.deployments.remove(index),
            None => Deployment::new(target.id, shown_id.clone(), target.registered, target.revision.clone(), now),
        };
        deployment.status = DeploymentStatus::Primary;
        deployment.rollout_state = RolloutState::InProgress;
        deployment.rollout_state_reason = reason.clone();
        deployment.failed_tasks = 0;
        deployment.failed_resolutions = 0;
        deployment.breaker_stage =
            if deployment.running_count() > 0 { BreakerStage::Running } else { BreakerStage::Starting };
        deployment.bake_until = None;
        deployment.clean_up_until = None;
        deployment.created_at = now;
        deployment.updated_at = now;
        service.deployments.insert(0, deployment);
        // Ours: the service is what it goes back to, in all that was said of it.
        service.spec.document = target.revision.document.clone();
        if let Some(record) = service.current_service_deployment_mut() {
            record.rollback = Some(super::deployment_records::RollbackRecord {
                reason: why,
                started_at: now,
                revision: target.revision,
            });
            record.become_status(now, ServiceDeploymentStatus::RollbackInProgress, Some(reason));
        }
        service.steadiness = Steadiness::Changing;
        self.ignore_alarms_that_are_on(name);
        self.deployment_changed(name, DeploymentEvent::InProgress);
        self.service_event(name, &format!("rolling back to deployment {shown_id}."));
        self.watch_deployment(name);
        self.dirty.insert(name.clone());
    }

    /// What kept a deployment from its end, as far as can be seen, and what to change.
    fn why_stuck(&self, name: &Arc<str>) -> String {
        let service = &self.state.services[name];
        let primary = service.primary();
        let now = self.now;
        let older = &service.deployments[1..];
        let held = |deployment: &Deployment| {
            let protected = service.protected.iter().filter(|task| self.state.tasks[task].task.is_protected(now));
            protected.filter(|task| self.state.tasks[task].task.deployment == Some(deployment.id)).count() > 0
        };
        if self.waiting.contains(name)
            || primary.starting.iter().any(|task| self.state.tasks[&task].task.last_status == TaskStatus::Provisioning)
        {
            "No container instance had room for its tasks: add capacity or let them reserve less.".to_owned()
        } else if primary.placed_count() < service.spec.desired_count && primary.failed_tasks > 0 {
            "Its tasks failed to start: update the service with a task definition that starts.".to_owned()
        } else if primary.placed_count() < service.spec.desired_count {
            "Its bounds let no task start or stop: update the minimumHealthyPercent or maximumPercent value.".to_owned()
        } else if primary.healthy_count() < service.spec.desired_count {
            "Its tasks did not become healthy: update the task definition or its health check.".to_owned()
        } else if older.iter().any(held) {
            "Protected tasks of an older deployment could not be stopped: end their protection.".to_owned()
        } else {
            "Update the service to start another deployment.".to_owned()
        }
    }

    /// StopServiceDeployment: the service goes back, or stays as it is. **Source:** ecs-semantics §5.8, §12.1.
    pub(super) fn stop_service_deployment(&mut self, id: ServiceDeploymentId, stop_type: StopType) -> Answer {
        let found = self.state.services.iter().find_map(|(name, service)| {
            Some((name.clone(), service.service_deployments.iter().find(|found| found.id == id)?))
        });
        let (name, record) = found.ok_or(RequestError::ServiceDeploymentNotFound)?;
        let stoppable = matches!(record.status, ServiceDeploymentStatus::Pending | ServiceDeploymentStatus::InProgress);
        if !stoppable {
            return Err(RequestError::InvalidParameter(format!(
                "a service deployment that is {} can't be stopped",
                record.status.as_str()
            )));
        }
        let now = self.now;
        let service = self.state.services.get_mut(&name).expect("it was found above");
        if let (StopType::Rollback, Some(record)) = (stop_type, service.current_service_deployment_mut()) {
            record.become_status(now, ServiceDeploymentStatus::RollbackRequested, None);
        }
        self.fail_deployment(&name, &FailureCause::Stopped(stop_type));
        self.dirty.insert(name);
        Ok(Response::Done)
    }

    /// Completes the primary deployment, drops those that are over, and says when the service is steady.
    /// **Source:** ecs-semantics §5.7, §11.5.
    pub(super) fn conclude(&mut self, name: &Arc<str>) {
        // What leaves is told of before what has come of it.
        self.tell_of_targets();
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        // Where traffic goes to stays, should all its tasks have died at once.
        if service.deployments.len() > 1 {
            let serving = service.traffic.production.clone();
            let mut index = 0;
            service.deployments.retain(|deployment| {
                index += 1;
                index == 1
                    || deployment.placed_count() > 0
                    || !deployment.stopping.is_empty()
                    || serving.contains_key(&deployment.id)
            });
        }
        service.forget_departed();
        if service.status == ServiceStatus::Draining {
            if self.state.services[name].has_only_stopping_tasks(&self.state) {
                self.service_is_over(name);
            }
            return;
        }
        if self.has_arrived(name) {
            self.complete_deployment(name);
        }
        let service = self.state.services.get_mut(name).expect("it was found above");
        // Ours: a task that is to give way stands for all that ECS names: it is unhealthy, on an instance that drains, or too many.
        let none_leaves = service.deployments.iter().all(|deployment| deployment.giving_way.is_empty());
        let steady = service.holds_desired_count() && service.older_placed_count() == 0 && none_leaves;
        self.note_steadiness(name, steady);
    }

    /// The last task of a service that is deleted is STOPPING or over. **Source:** ecs-semantics §5.5.
    pub(super) fn service_is_over(&mut self, name: &Arc<str>) {
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        service.status = ServiceStatus::Inactive;
        self.waiting.remove(name);
        for wakeup in [Wakeup::Deployment, Wakeup::LaunchRate, Wakeup::ProtectionEnds, Wakeup::Complaint] {
            self.timers.cancel(wakeup(name.clone()));
        }
    }

    /// Notes whether a service is steady, and says so when it has become it. **Source:** ecs-semantics §5.7, §5.11.
    pub(super) fn note_steadiness(&mut self, name: &Arc<str>, steady: bool) {
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let became_steady = steady && service.steadiness == Steadiness::Changing;
        service.steadiness = if steady { Steadiness::Steady } else { Steadiness::Changing };
        if became_steady {
            self.resolve_complaints(name);
            self.service_event(name, "has reached a steady state.");
            self.service_action(name, ServiceActionEvent::SteadyState, None, Default::default());
        }
    }

    /// Whether the primary deployment in progress is complete: its tasks are healthy (with early success a share of them), older ones
    /// are gone (unless that is deferred), and that has been so for the bake time. **Source:** ecs-semantics §5.7.
    fn has_arrived(&mut self, name: &Arc<str>) -> bool {
        let (now, default_bake_time) = (self.now, self.settings.bake_time);
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let is_on_its_way = service.traffic_shift().is_some_and(|shift| !shift.is_cleaning_up());
        if service.primary().rollout_state != RolloutState::InProgress || is_on_its_way {
            return false;
        }
        let desired = service.spec.desired_count;
        let configuration = &service.spec.deployment_configuration;
        let healthy = service.primary().healthy_count();
        let early = configuration.early_success;
        let enough =
            service.holds_desired_count() || early.is_some_and(|early| healthy >= early.healthy_tasks(desired));
        let deferred = early.is_some_and(|early| early.source_cleanup == SourceCleanup::Deferred);
        if !enough || !(deferred || service.older_placed_count() == 0) {
            return false;
        }
        // One that moves traffic bakes in a stage of its own, and what it goes back to has proved itself before.
        let bakes_here = service.traffic_shift().is_none() && !configuration.strategy.moves_traffic();
        let bake_time = if bakes_here { configuration.bake_time_or(default_bake_time) } else { Duration::ZERO };
        let primary = &mut service.deployments[0];
        let until = *primary.bake_until.get_or_insert(now + bake_time);
        if now < until {
            self.watch_deployment(name);
        }
        now >= until
    }

    fn complete_deployment(&mut self, name: &Arc<str>) {
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let primary = &mut service.deployments[0];
        primary.rollout_state = RolloutState::Completed;
        primary.rollout_state_reason = format!("ECS deployment {} completed.", primary.shown_id).into();
        primary.updated_at = now;
        let shown_id = primary.shown_id.clone();
        service.defer_clean_up(now);
        let primary = service.primary();
        service.rollback_target = Some(RollbackTarget {
            id: primary.id,
            registered: Registered {
                definition: primary.task_definition.clone(),
                reservation: primary.reservation.clone(),
            },
            revision: primary.revision.clone(),
        });
        if let Some(record) = service.current_service_deployment_mut() {
            let end = match record.status {
                ServiceDeploymentStatus::RollbackInProgress => ServiceDeploymentStatus::RollbackSuccessful,
                _ => ServiceDeploymentStatus::Successful,
            };
            record.become_status(now, end, None);
        }
        self.end_shift(name, TrafficWeights::default());
        self.deployment_changed(name, DeploymentEvent::Completed);
        self.service_event(name, &format!("(deployment {shown_id}) deployment completed."));
        self.watch_deployment(name);
    }

    /// Whether a deployment of the service is under way: it holds scale-in off. One that failed does not.
    /// Neither do task sets, which somebody else deploys. **Source:** ecs-semantics §7.2.
    pub(super) fn deployment_progress(service: &Service) -> DeploymentProgress {
        if service.has_task_sets() {
            return DeploymentProgress::Steady;
        }
        let under_way = match service.primary().rollout_state {
            RolloutState::InProgress => true,
            RolloutState::Completed => service.deployments.len() > 1,
            RolloutState::Failed => false,
        };
        if under_way { DeploymentProgress::InProgress } else { DeploymentProgress::Steady }
    }
}

impl Service {
    /// Of a service that is deleted: lets go of deployments whose last task is over, but for the one that it is shown with.
    pub(super) fn forget_what_is_over(&mut self) {
        let mut is_shown = !self.has_task_sets();
        self.deployments.retain(|deployment| std::mem::take(&mut is_shown) || !deployment.stopping.is_empty());
        self.forget_departed();
    }

    /// Lets go of what another service of its name has left whose last task is over.
    pub(super) fn forget_departed(&mut self) {
        self.departed.retain(|deployment| !deployment.stopping.is_empty());
    }

    /// What is left of a service that is deleted, for another one of its name.
    pub(super) fn departing(self) -> Vec<Deployment> {
        let left = self.deployments.into_iter().chain(self.departed);
        left.filter(|deployment| !deployment.stopping.is_empty()).collect()
    }

    /// Whether the primary deployment has as many tasks as desired and they are all healthy.
    pub(super) fn holds_desired_count(&self) -> bool {
        let primary = self.primary();
        primary.healthy_count() == self.spec.desired_count && primary.placed_count() == self.spec.desired_count
    }

    /// Tasks of older deployments that run or are to run.
    pub(super) fn older_placed_count(&self) -> u32 {
        self.deployments.iter().skip(1).map(Deployment::placed_count).sum()
    }
}
