//! Application Auto Scaling's operations: scalable targets, policies and scheduled actions of services.
//!
//! **Source:** ecs-semantics §7.1.

use std::mem::discriminant;
use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::event::RegisterScalableTarget;
use super::request_error::RequestError;
use super::scalable_target::{Following, ScalableTarget, Standing};
use super::state::ServiceStatus;
use crate::model::scaling::{AutoScaling, SCHEDULING_BUFFER_LIMIT, ScalingPolicy, ScheduledAction, TrackedMetric};

type Answer = Result<Response, RequestError>;

impl ControlPlane {
    /// RegisterScalableTarget: both bounds the first time, and after that what is given changes. The count is not moved by it.
    /// **Source:** ecs-semantics §7.1.
    pub(super) fn register_scalable_target(&mut self, asked: &RegisterScalableTarget) -> Answer {
        let name = &asked.service;
        self.active_service(name)?;
        let known = self.state.scalable_targets.get(name).map(|target| target.settings.clone());
        let mut settings = match (known, asked.min_capacity, asked.max_capacity) {
            (Some(settings), ..) => settings,
            (None, Some(_), Some(_)) => AutoScaling::default(),
            (None, ..) => {
                return Err(RequestError::Validation(
                    "MinCapacity and MaxCapacity are required to register a scalable target".into(),
                ));
            }
        };
        settings.min_capacity = asked.min_capacity.unwrap_or(settings.min_capacity);
        settings.max_capacity = asked.max_capacity.unwrap_or(settings.max_capacity);
        settings.suspended_state = asked.suspended_state.unwrap_or(settings.suspended_state);
        self.set_auto_scaling(name, Some(settings))
    }

    /// DeregisterScalableTarget: its policies and scheduled actions go with it.
    pub(super) fn deregister_scalable_target(&mut self, name: &Arc<str>) -> Answer {
        self.settings_of(name)?;
        self.forget_target(name);
        Ok(Response::Done)
    }

    /// PutScalingPolicy: one of the same name takes its place. **Source:** ecs-semantics §7.1.
    pub(super) fn put_scaling_policy(&mut self, name: &Arc<str>, policy: ScalingPolicy) -> Answer {
        let mut settings = self.settings_of(name)?;
        let known = settings.policies().find(|known| known.name() == policy.name());
        if known.is_some_and(|known| discriminant(&known) != discriminant(&policy)) {
            return Err(RequestError::Validation(format!("the type of the policy {} can't be changed", policy.name())));
        }
        settings.put_policy(policy);
        self.set_auto_scaling(name, Some(settings))
    }

    /// DeleteScalingPolicy.
    pub(super) fn delete_scaling_policy(&mut self, name: &Arc<str>, policy: &str) -> Answer {
        let mut settings = self.settings_of(name)?;
        let before = settings.clone();
        settings.target_tracking.retain(|other| other.name() != policy);
        settings.step_scaling.retain(|other| *other.policy_name != *policy);
        settings.predictive_scaling.retain(|other| *other.policy_name != *policy);
        if settings == before {
            return Err(RequestError::ObjectNotFound(format!("No scaling policy found: {policy}")));
        }
        self.set_auto_scaling(name, Some(settings))
    }

    /// PutScheduledAction: one of the same name takes its place.
    pub(super) fn put_scheduled_action(&mut self, name: &Arc<str>, action: ScheduledAction) -> Answer {
        let mut settings = self.settings_of(name)?;
        let change = settings.scheduled_actions.iter_mut().find(|other| other.name == action.name);
        let is_another = change.as_ref().is_none_or(|other| other.schedule != action.schedule);
        if is_another && let Some(target) = self.state.scalable_targets.get_mut(name) {
            target.put_at.remove(&action.name);
        }
        match change {
            Some(other) => *other = action,
            None => settings.scheduled_actions.push(action),
        }
        self.set_auto_scaling(name, Some(settings))
    }

    /// DeleteScheduledAction.
    pub(super) fn delete_scheduled_action(&mut self, name: &Arc<str>, action: &str) -> Answer {
        let mut settings = self.settings_of(name)?;
        let before = settings.scheduled_actions.len();
        settings.scheduled_actions.retain(|other| *other.name != *action);
        if settings.scheduled_actions.len() == before {
            return Err(RequestError::ObjectNotFound(format!("No scheduled action found: {action}")));
        }
        self.set_auto_scaling(name, Some(settings))
    }

    /// Makes all of a service's auto scaling what a cluster file says; `None` takes it away. Policies that are as they were keep
    /// what their alarms have counted. *Ours:* as many calls of Application Auto Scaling.
    pub(super) fn set_auto_scaling(&mut self, name: &Arc<str>, settings: Option<AutoScaling>) -> Answer {
        self.active_service(name)?;
        let Some(settings) = settings else {
            self.forget_target(name);
            return Ok(Response::Done);
        };
        check_settings(&settings)?;
        match self.state.scalable_targets.get_mut(name) {
            Some(target) => {
                target.scaler.take_over(&settings);
                target.settings = settings;
            }
            None => {
                let resource_id: Arc<str> = format!("service/{}/{name}", self.name).into();
                self.state.deregistered_targets.remove(name);
                self.state.scalable_targets.insert(name.clone(), ScalableTarget::new(resource_id, self.ids, settings));
            }
        }
        self.keep_settings(name);
        self.keep_policy_alarms(name);
        self.plan_actions(name);
        Ok(Response::Done)
    }

    /// Writes a target's settings where the service is described.
    pub(super) fn keep_settings(&mut self, name: &Arc<str>) {
        let settings = self.state.scalable_targets.get(name).map(|target| target.settings.clone());
        if let Some(service) = self.state.services.get_mut(name) {
            service.spec.auto_scaling = settings;
        }
    }

    /// Deregisters a target: its service is deleted, or somebody asked for it. **Source:** ecs-semantics §7.2.
    pub(super) fn forget_target(&mut self, name: &Arc<str>) {
        if let Some(mut target) = self.state.scalable_targets.remove(name) {
            target.deregister(self.now);
            self.state.deregistered_targets.insert(name.clone(), target);
        }
        self.followed.remove(name);
        self.keep_settings(name);
        self.keep_policy_alarms(name);
        self.plan_actions(name);
    }

    /// Sets a service's desired count on behalf of a policy or a scheduled action, and records it.
    pub(super) fn set_count_by_activity(&mut self, name: &Arc<str>, count: u32, description: &str, cause: &str) {
        let Some(service) = self.state.services.get(name) else { return };
        let before = service.spec.desired_count;
        self.scale_service(name, count, cause);
        if let Some(target) = self.state.scalable_targets.get_mut(name) {
            target.record(self.now, before, count, description, cause);
            self.followed.insert(name.clone());
        }
    }

    /// Looks whether the activities under way have come to their end.
    pub(super) fn follow_activities(&mut self) {
        let (now, state) = (self.now, &mut self.state);
        self.followed.retain(|name| {
            let (Some(target), Some(service)) = (state.scalable_targets.get_mut(name), state.services.get(name)) else {
                return false;
            };
            let standing =
                Standing { now, desired_count: service.spec.desired_count, running_count: service.running_count() };
            target.follow(standing) == Following::UnderWay
        });
    }

    fn active_service(&self, name: &Arc<str>) -> Result<(), RequestError> {
        let is_active = |status| status == ServiceStatus::Active;
        match self.state.services.get(name) {
            Some(service) if is_active(service.status) => Ok(()),
            _ => Err(RequestError::Validation(format!("ECS service doesn't exist: service/{}/{name}", self.name))),
        }
    }

    fn settings_of(&self, name: &Arc<str>) -> Result<AutoScaling, RequestError> {
        let found = self.state.scalable_targets.get(name).map(|target| target.settings.clone());
        found.ok_or_else(|| {
            RequestError::ObjectNotFound(format!(
                "No scalable target registered for service namespace: ecs, resource ID: service/{}/{name}, scalable \
                 dimension: ecs:service:DesiredCount",
                self.name
            ))
        })
    }
}

/// The rules of a target's settings. **Source:** ecs-semantics §7.1, §7.2, §7.3, §7.4.
pub(super) fn check_settings(settings: &AutoScaling) -> Result<(), RequestError> {
    let refuse = |text: String| Err(RequestError::Validation(text));
    if settings.min_capacity > settings.max_capacity {
        return refuse(format!(
            "Maximum capacity {} cannot be less than minimum capacity {}",
            settings.max_capacity, settings.min_capacity
        ));
    }
    let mut names: Vec<String> = settings.policies().map(|policy| policy.name().to_owned()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) || names.iter().any(|name| name.is_empty()) {
        return refuse("each scaling policy needs a name of its own".into());
    }
    for (index, policy) in settings.target_tracking.iter().enumerate() {
        if policy.target_thousandths == 0 {
            return refuse(format!("the target value of policy {} must be greater than 0", policy.name()));
        }
        let same = |other: &TrackedMetric| match (&policy.metric, other) {
            (TrackedMetric::RequestCountPerTarget { .. }, TrackedMetric::RequestCountPerTarget { .. }) => true,
            (TrackedMetric::Predefined(one), TrackedMetric::Predefined(other)) => one == other,
            _ => false,
        };
        if settings.target_tracking[..index].iter().any(|earlier| same(&earlier.metric)) {
            let metric = policy.metric.name();
            return refuse(format!("only one TargetTrackingScaling policy for the metric {metric} is allowed"));
        }
    }
    for policy in &settings.step_scaling {
        if let Some((_, problem)) = policy.problems().first() {
            return refuse(format!("policy {}: {problem}", policy.policy_name));
        }
    }
    for policy in &settings.predictive_scaling {
        if policy.target_thousandths == 0 {
            return refuse(format!("the target value of policy {} must be greater than 0", policy.policy_name));
        }
        if policy.scheduling_buffer >= SCHEDULING_BUFFER_LIMIT {
            return refuse(format!("the scheduling buffer of policy {} must be less than an hour", policy.policy_name));
        }
    }
    for (index, action) in settings.scheduled_actions.iter().enumerate() {
        let earlier = &settings.scheduled_actions[..index];
        if action.name.is_empty() || earlier.iter().any(|other| other.name == action.name) {
            return refuse("each scheduled action needs a name of its own".into());
        }
        match (action.min_capacity, action.max_capacity) {
            (None, None) => return refuse(format!("scheduled action {} needs a min or max capacity", action.name)),
            (Some(min), Some(max)) if min > max => {
                return refuse(format!("Maximum capacity {max} cannot be less than minimum capacity {min}"));
            }
            _ => {}
        }
        if let (Some(start), Some(end)) = (action.start_time, action.end_time)
            && start >= end
        {
            return refuse(format!("the end time of scheduled action {} must be after its start time", action.name));
        }
    }
    Ok(())
}
