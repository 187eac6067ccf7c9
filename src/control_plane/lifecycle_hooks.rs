//! What keeps an instance from its next lifecycle state: hooks, its tasks, the warm pool's boot.
//!
//! An instance in `Pending:Wait` waits for its launch hooks, one in `Terminating:Wait` for its termination hooks and, under managed
//! draining, for its tasks. Each wait ends by itself at its deadline. **Source:** ecs-semantics §3.3, §9.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::Response;
use super::request_error::RequestError;
use crate::model::auto_scaling_group::{LifecycleActionResult, LifecycleHook, LifecycleState, LifecycleTransition};
use crate::model::ids::ContainerInstanceId;
use crate::model::units::{Duration, Timestamp};

/// Heartbeats keep a hook for so many timeouts at most. **Source:** ecs-semantics §9.2.
const TIMEOUTS_MAX: u32 = 100;
/// And for so long. **Source:** ecs-semantics §9.2.
const HOOK_TIME_MAX: Duration = Duration::from_secs(48 * 3600);

/// What one instance waits for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct InstanceWaits {
    /// Until when it waits for its tasks to be gone.
    pub drained_until: Option<Timestamp>,
    /// When it has come up in the warm pool.
    pub warmed_at: Option<Timestamp>,
    /// The hooks that it waits for, by name.
    pub hooks: BTreeMap<Arc<str>, HookWait>,
}

/// An instance's wait for one hook.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct HookWait {
    /// When it ends by itself, unless there is a heartbeat.
    pub deadline: Timestamp,
    /// Beyond which no heartbeat keeps it.
    last: Timestamp,
}

impl InstanceWaits {
    /// The first of its deadlines.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let hooks = self.hooks.values().map(|hook| hook.deadline);
        hooks.chain(self.drained_until).chain(self.warmed_at).min()
    }

    /// What it waits for, and until when at most: hooks by their names, `tasks`, `boot`.
    pub fn all(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let hooks = self.hooks.iter().map(|(name, hook)| (&**name, hook.deadline));
        let tasks = self.drained_until.map(|until| ("tasks", until));
        let boot = self.warmed_at.map(|at| ("boot", at));
        hooks.chain(tasks).chain(boot)
    }

    fn is_over(&self) -> bool {
        self.next().is_none()
    }
}

impl ControlPlane {
    /// Says whether there are any: then the instance waits.
    pub(super) fn begin_launch_hooks(&mut self, id: ContainerInstanceId) -> bool {
        self.begin_hooks(id, LifecycleTransition::Launching, LifecycleState::PendingWait)
    }

    /// Says whether there are any: then the instance waits.
    pub(super) fn begin_termination_hooks(&mut self, id: ContainerInstanceId) -> bool {
        self.begin_hooks(id, LifecycleTransition::Terminating, LifecycleState::TerminatingWait)
    }

    fn begin_hooks(&mut self, id: ContainerInstanceId, transition: LifecycleTransition, wait: LifecycleState) -> bool {
        let now = self.now;
        let hooks: Vec<LifecycleHook> =
            self.hooks_of(id).into_iter().filter(|hook| hook.transition == transition).collect();
        if hooks.is_empty() {
            return false;
        }
        let instance = self.state.container_instances.get_mut(&id).expect("the caller has the instance");
        instance.lifecycle = wait;
        let provider = instance.launch.capacity_provider.clone();
        let shown = self.ids.ec2_instance(id);
        for hook in hooks {
            let last = now + HOOK_TIME_MAX.min(hook.heartbeat_timeout * TIMEOUTS_MAX);
            let wait = HookWait { deadline: (now + hook.heartbeat_timeout).min(last), last };
            self.state.waits.entry(id).or_default().hooks.insert(hook.name.clone(), wait);
            if let Some(name) = &provider {
                self.group_activity(name, &format!("instance {shown} waits for lifecycle hook {}", hook.name));
            }
        }
        self.wake_for_instance(id);
        true
    }

    fn hooks_of(&self, id: ContainerInstanceId) -> Vec<LifecycleHook> {
        let provider =
            self.state.container_instances.get(&id).and_then(|found| found.launch.capacity_provider.as_ref());
        let group = provider.and_then(|name| self.state.capacity_providers.get(name));
        group.map(|group| group.provider.auto_scaling_group.lifecycle_hooks.clone()).unwrap_or_default()
    }

    /// **Source:** ecs-semantics §9.2.
    pub(super) fn complete_lifecycle_action(
        &mut self,
        id: ContainerInstanceId,
        hook: &Arc<str>,
        result: LifecycleActionResult,
    ) -> Result<Response, RequestError> {
        let waits = self.state.waits.get(&id).is_some_and(|waits| waits.hooks.contains_key(hook));
        if !waits {
            return Err(no_such_action(hook));
        }
        self.end_hook(id, hook, result);
        self.wake_for_instance(id);
        Ok(Response::Done)
    }

    /// **Source:** ecs-semantics §9.2.
    pub(super) fn record_heartbeat(
        &mut self,
        id: ContainerInstanceId,
        hook: &Arc<str>,
    ) -> Result<Response, RequestError> {
        let now = self.now;
        let timeout =
            self.hooks_of(id).into_iter().find(|known| known.name == *hook).map(|hook| hook.heartbeat_timeout);
        let wait = self.state.waits.get_mut(&id).and_then(|waits| waits.hooks.get_mut(hook));
        let (Some(timeout), Some(wait)) = (timeout, wait) else { return Err(no_such_action(hook)) };
        wait.deadline = (now + timeout).min(wait.last);
        self.wake_for_instance(id);
        Ok(Response::Done)
    }

    /// On launch ABANDON means the instance's end; on termination both mean it, and ABANDON skips the other hooks.
    /// **Source:** ecs-semantics §9.2.
    fn end_hook(&mut self, id: ContainerInstanceId, hook: &Arc<str>, result: LifecycleActionResult) {
        let Some(waits) = self.state.waits.get_mut(&id) else { return };
        waits.hooks.remove(hook);
        let lifecycle = self.state.container_instances[&id].lifecycle;
        if result == LifecycleActionResult::Abandon {
            match lifecycle {
                LifecycleState::PendingWait => {
                    self.lose_instance(id, &format!("lifecycle hook {hook} was abandoned"));
                    return;
                }
                _ => waits.hooks.clear(),
            }
        }
        self.go_on(id);
    }

    /// Takes an instance that has nothing more to wait for to its next state.
    pub(super) fn go_on(&mut self, id: ContainerInstanceId) {
        if self.state.waits.get(&id).is_some_and(|waits| !waits.is_over()) {
            return;
        }
        self.state.waits.remove(&id);
        match self.state.container_instances.get(&id).map(|instance| instance.lifecycle) {
            Some(LifecycleState::PendingWait) => self.enter_service(id),
            Some(LifecycleState::TerminatingWait) => self.terminate_instance(id),
            _ => {}
        }
    }

    /// Ends the waits of an instance whose deadlines have come.
    pub(super) fn reach_waits(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let Some(waits) = self.state.waits.get_mut(&id) else { return };
        if waits.drained_until.is_some_and(|at| at <= now) {
            waits.drained_until = None;
        }
        if waits.warmed_at.is_some_and(|at| at <= now) {
            waits.warmed_at = None;
            self.instance_warmed(id);
        }
        let due: Vec<Arc<str>> = self.state.waits.get(&id).map_or_else(Vec::new, |waits| {
            waits.hooks.iter().filter(|(_, wait)| wait.deadline <= now).map(|(name, _)| name.clone()).collect()
        });
        let hooks = self.hooks_of(id);
        for name in due {
            let result = hooks.iter().find(|hook| hook.name == name).map(|hook| hook.default_result);
            self.end_hook(id, &name, result.unwrap_or_default());
        }
        self.go_on(id);
    }

    pub(super) fn forget_waits(&mut self, id: ContainerInstanceId) {
        self.state.waits.remove(&id);
        if let Some(instance) = self.state.container_instances.get_mut(&id) {
            instance.reclaimed_at = None;
        }
        self.wake_for_instance(id);
    }
}

fn no_such_action(hook: &str) -> RequestError {
    RequestError::InvalidParameter(format!("no active lifecycle action of hook {hook} was found for the instance"))
}
