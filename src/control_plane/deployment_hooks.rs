//! Lifecycle hooks of deployments: asks them, takes their answers, and gives up on those that take too long.
//!
//! **Source:** ecs-semantics §5.8.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Action, HookCall, Response};
use super::deployment_records::HookRecord;
use super::request_error::RequestError;
use super::requests::Answer;
use super::rollout::FailureCause;
use super::traffic_shift::{Awaited, HookRun, ShiftPhase};
use super::traffic_stages::Progress;
use crate::model::deployment::StopType;
use crate::model::deployment_hook::{
    ContinueAction, DeploymentHook, HookAnswer, HookStatus, HookTarget, HookTimeoutAction,
};
use crate::model::ids::{HookId, ServiceDeploymentId};
use crate::model::units::Duration;

/// How long one call may take. **Source:** ecs-semantics §5.8.
const CALL_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// When a hook that is in progress is called again if it names no time. *Ours:* ECS' default is in no document here.
const CALL_BACK_DELAY: Duration = Duration::from_secs(30);
/// The shortest time between two calls. *Ours:* a hook that asks for none must not keep the cluster busy.
const CALL_BACK_DELAY_MIN: Duration = Duration::from_secs(1);

impl ControlPlane {
    /// Asks the first hook of the stage that is not before a place in the list; without one the stage's hooks are done.
    pub(super) fn ask_hooks_from(&mut self, name: &Arc<str>, first: usize) {
        let service = &self.state.services[name];
        let Some(stage) = service.traffic_shift().map(|shift| shift.stage) else { return };
        let hooks = service.current_service_deployment().map(|record| &record.configuration.lifecycle_hooks);
        let all = hooks.into_iter().flatten().enumerate().skip(first);
        let Some((index, hook)) = all.into_iter().find(|(_, hook)| hook.stages.contains(&stage)) else {
            self.hooks_asked(name);
            return;
        };
        let hook = hook.clone();
        let id = HookId(self.next_hook);
        self.next_hook += 1;
        let (now, expires_at) = (self.now, self.now + hook.timeout);
        let is_pause = hook.target == HookTarget::Pause;
        let status = if is_pause { HookStatus::AwaitingAction } else { HookStatus::InProgress };
        let service = self.state.services.get_mut(name).expect("it was looked at");
        let shown_id = service.primary().shown_id.clone();
        if let Some(record) = service.current_service_deployment_mut() {
            record.lifecycle_hooks.push(HookRecord {
                id,
                target: hook.target.clone(),
                stage,
                status,
                reason: None,
                started_at: now,
                expires_at,
                finished_at: None,
            });
        }
        let run = HookRun { id, index, calls: 0, expires_at, awaited: Awaited::Release };
        self.put_shift_phase(name, ShiftPhase::Hook(run));
        if is_pause {
            let (stage, shown_hook) = (stage.as_str(), self.ids.hook(id));
            self.service_event(
                name,
                &format!(
                    "(deployment {shown_id}) pauses in lifecycle stage {stage} until hook {shown_hook} is continued."
                ),
            );
        } else {
            self.call_hook(name, run, &hook);
        }
    }

    fn call_hook(&mut self, name: &Arc<str>, run: HookRun, hook: &DeploymentHook) {
        let until = self.now + CALL_TIME_MAX;
        let run = HookRun { calls: run.calls + 1, awaited: Awaited::Answer { until }, ..run };
        let service = &self.state.services[name];
        let (Some(shift), Some(record)) = (service.traffic_shift(), service.current_service_deployment()) else {
            return;
        };
        let primary = service.primary();
        let call = HookCall {
            hook: run.id,
            call: run.calls,
            target: hook.target.clone(),
            details: hook.details.clone(),
            stage: shift.stage,
            service: name.clone(),
            service_deployment: record.id,
            deployment: primary.id,
            task_definition: primary.task_definition.clone(),
            production_weight: service.traffic.production_of(primary.id),
            test_weight: service.traffic.test_of(primary.id),
        };
        self.actions.push(Action::CallHook(Arc::new(call)));
        self.put_shift_phase(name, ShiftPhase::Hook(run));
    }

    /// A hook's answer to a call. One that is late, repeated or to nobody changes nothing.
    pub(super) fn hook_answered(&mut self, id: HookId, call: u32, answer: HookAnswer) {
        let is_awaited =
            |run: &HookRun| run.id == id && run.calls == call && matches!(run.awaited, Awaited::Answer { .. });
        let Some((name, run)) = self.hook_run(id).filter(|(_, run)| is_awaited(run)) else {
            self.state.ignored_events += 1;
            return;
        };
        match answer {
            HookAnswer::Succeeded => self.hook_succeeded(&name, run, HookStatus::Succeeded),
            HookAnswer::Failed { reason } => self.hook_failed(&name, run, &reason),
            HookAnswer::InProgress { call_back_delay } => {
                let delay = call_back_delay.unwrap_or(CALL_BACK_DELAY).max(CALL_BACK_DELAY_MIN);
                let awaited = Awaited::NextCall { at: self.now + delay };
                self.put_shift_phase(&name, ShiftPhase::Hook(HookRun { awaited, ..run }));
            }
        }
        self.dirty.insert(name);
    }

    /// The service that waits for a hook, and how far that is.
    fn hook_run(&self, id: HookId) -> Option<(Arc<str>, HookRun)> {
        self.state.services.iter().find_map(|(name, service)| match service.traffic_shift()?.phase {
            ShiftPhase::Hook(run) if run.id == id => Some((name.clone(), run)),
            _ => None,
        })
    }

    /// A hook's times may have come.
    pub(super) fn look_at_hook(&mut self, name: &Arc<str>, run: HookRun) -> Progress {
        let now = self.now;
        let hooks =
            self.state.services[name].current_service_deployment().map(|record| &record.configuration.lifecycle_hooks);
        let Some(hook) = hooks.and_then(|hooks| hooks.get(run.index)).cloned() else { return Progress::Waits };
        if now >= run.expires_at {
            match hook.on_timeout {
                HookTimeoutAction::Continue => {
                    self.abandon_hook(name);
                    self.hook_succeeded(name, run, HookStatus::TimedOut);
                }
                HookTimeoutAction::Rollback => {
                    self.note_hook(name, run.id, HookStatus::TimedOut, None);
                    let cause = self.hook_cause(name, &hook, "timed out");
                    self.fail_deployment(name, &cause);
                }
            }
            return Progress::Made;
        }
        match run.awaited {
            Awaited::Answer { until } if now >= until => {
                self.hook_failed(name, run, "it did not answer in time");
                Progress::Made
            }
            Awaited::NextCall { at } if now >= at => {
                self.call_hook(name, run, &hook);
                Progress::Made
            }
            Awaited::Answer { .. } | Awaited::NextCall { .. } | Awaited::Release => Progress::Waits,
        }
    }

    /// The deployment does not wait any more for the hook that it asked.
    pub(super) fn abandon_hook(&mut self, name: &Arc<str>) {
        let phase = self.state.services.get(name).and_then(|service| service.traffic_shift()).map(|shift| shift.phase);
        if let Some(ShiftPhase::Hook(HookRun { id, awaited: Awaited::Answer { .. }, .. })) = phase {
            self.actions.push(Action::EndHook { hook: id });
        }
    }

    fn hook_succeeded(&mut self, name: &Arc<str>, run: HookRun, status: HookStatus) {
        self.note_hook(name, run.id, status, None);
        self.ask_hooks_from(name, run.index + 1);
    }

    fn hook_failed(&mut self, name: &Arc<str>, run: HookRun, reason: &str) {
        self.note_hook(name, run.id, HookStatus::Failed, Some(reason.into()));
        let hooks =
            self.state.services[name].current_service_deployment().map(|record| &record.configuration.lifecycle_hooks);
        if let Some(hook) = hooks.and_then(|hooks| hooks.get(run.index)).cloned() {
            let cause = self.hook_cause(name, &hook, &format!("failed: {reason}"));
            self.fail_deployment(name, &cause);
        }
    }

    fn hook_cause(&self, name: &Arc<str>, hook: &DeploymentHook, what: &str) -> FailureCause {
        let stage = self.state.services[name].traffic_shift().map(|shift| shift.stage.as_str());
        let stage = stage.unwrap_or_default();
        FailureCause::Hook(format!("lifecycle hook {} in stage {stage} {what}", hook.target.name()).into())
    }

    /// Writes down how a hook ended.
    fn note_hook(&mut self, name: &Arc<str>, id: HookId, status: HookStatus, reason: Option<Arc<str>>) {
        let now = self.now;
        let Some(service) = self.state.services.get_mut(name) else { return };
        let shown_id = service.primary().shown_id.clone();
        let hooks = service.current_service_deployment_mut().map(|record| &mut record.lifecycle_hooks);
        let Some(hook) = hooks.and_then(|hooks| hooks.iter_mut().find(|hook| hook.id == id)) else { return };
        hook.status = status;
        hook.reason = reason;
        hook.finished_at = Some(now);
        let (target, stage) = (hook.target.name(), hook.stage.as_str());
        let text = format!("(deployment {shown_id}) lifecycle hook {target} in stage {stage}: {}.", status.as_str());
        self.service_event(name, &text);
    }

    /// ContinueServiceDeployment. **Source:** ecs-semantics §5.8.
    pub(super) fn continue_service_deployment(
        &mut self,
        id: ServiceDeploymentId,
        hook: HookId,
        action: ContinueAction,
    ) -> Answer {
        let is_known = |record: &super::deployment_records::ServiceDeployment| record.id == id;
        if !self.state.services.values().any(|service| service.service_deployments.iter().any(is_known)) {
            return Err(RequestError::ServiceDeploymentNotFound);
        }
        let paused = self.hook_run(hook).filter(|(name, run)| {
            let in_flight = self.state.services[name].current_service_deployment();
            run.awaited == Awaited::Release && in_flight.is_some_and(is_known)
        });
        let Some((name, run)) = paused else {
            let text = format!("the service deployment does not wait for hook {}", self.ids.hook(hook));
            return Err(RequestError::InvalidParameter(text));
        };
        match action {
            ContinueAction::Continue => self.hook_succeeded(&name, run, HookStatus::Succeeded),
            ContinueAction::Rollback => {
                self.note_hook(&name, run.id, HookStatus::Failed, Some("it was rolled back by a user".into()));
                self.fail_deployment(&name, &FailureCause::Stopped(StopType::Rollback));
            }
        }
        self.dirty.insert(name);
        Ok(Response::Done)
    }
}
