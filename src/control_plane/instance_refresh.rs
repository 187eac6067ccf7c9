//! Instance refreshes: the instances of a group replaced by others of its launch template, a few at a time.
//!
//! This is how an operating system is patched: a new version of the launch template, a refresh, and managed draining under it, so
//! that the tasks of an instance that is to go are replaced first. A refresh pauses at its checkpoints, fails when it has got
//! nowhere for an hour, and may roll itself back then. Which instances may go at which moment is `rolling_replacement`'s.
//!
//! **Source:** ecs-semantics §9.4.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::Response;
use super::request_error::RequestError;
use super::rolling_replacement::HealthyBounds;
use super::state::{ClusterState, ProviderState};
use crate::model::auto_scaling_group::{
    AutoRollback, InstanceRefreshSpec, LaunchTemplate, LifecycleState, ProtectedInstances, RefreshPreferences,
    RefreshStatus, ScaleInProtection, SkipMatching, StandbyInstances,
};
use crate::model::capacity::ContainerInstance;
use crate::model::ids::ContainerInstanceId;
use crate::model::units::{Duration, Timestamp};

/// **Source:** ecs-semantics §9.4.
const MIN_HEALTHY_DEFAULT: u32 = 90;
/// **Source:** ecs-semantics §9.4.
const CHECKPOINT_DELAY: Duration = Duration::from_secs(3600);
/// How long a refresh goes on without replacing anything. **Source:** ecs-semantics §9.4 for protected instances; *Ours:* for everything else.
const PATIENCE: Duration = Duration::from_secs(3600);
/// **Source:** ecs-semantics §9.4.
const REFRESH_TIME_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

/// An instance refresh as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct InstanceRefresh {
    /// Its number in its group, from 1.
    pub number: u32,
    /// How far it is.
    pub status: RefreshStatus,
    /// How it goes about it.
    pub preferences: RefreshPreferences,
    /// What instances were launched from before.
    pub from: LaunchTemplate,
    /// What they are launched from while it is under way.
    pub to: LaunchTemplate,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How many instances there were to replace.
    pub total: u32,
    /// How many have been replaced, by others that count.
    pub replaced: u32,
    /// Why it failed or was cancelled.
    pub reason: Option<Arc<str>>,
    stale: Stale,
    checkpoint_index: usize,
    /// Until when it pauses or bakes.
    pub(super) wait_until: Option<Timestamp>,
    progress_at: Timestamp,
}

/// Which instances a refresh replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum Stale {
    /// Those launched before it.
    Before(ContainerInstanceId),
    /// Those of another version of the launch template.
    OtherVersion,
}

impl InstanceRefresh {
    /// How much of it is done, 0 to 100.
    pub fn percentage_complete(&self) -> u32 {
        match self.total {
            0 => 100,
            total => u32::try_from(u64::from(self.replaced) * 100 / u64::from(total)).unwrap_or(100),
        }
    }

    /// Whether it is to replace an instance.
    pub(super) fn replaces(&self, instance: &ContainerInstance) -> bool {
        let is_stale = match self.stale {
            Stale::Before(first) => instance.id < first,
            Stale::OtherVersion => instance.launch.launch_template_version != self.to.version,
        };
        let is_left = match instance.lifecycle {
            LifecycleState::Standby => self.preferences.standby_instances == StandbyInstances::Ignore,
            _ => {
                instance.protection == ScaleInProtection::Protected
                    && self.preferences.scale_in_protected_instances == ProtectedInstances::Ignore
            }
        };
        is_stale && !is_left
    }

    /// Whether it must leave an instance that it is to replace alone for the time being.
    pub(super) fn waits_for(&self, instance: &ContainerInstance) -> bool {
        instance.protection == ScaleInProtection::Protected
            && self.preferences.scale_in_protected_instances == ProtectedInstances::Wait
    }

    /// How many instances may go until the next checkpoint, of those that are still there.
    pub(super) fn allowance(&self, stale_count: u32) -> Option<u32> {
        if self.status == RefreshStatus::InProgress && self.wait_until.is_some() {
            return Some(0);
        }
        let percent = *self.preferences.checkpoint_percentages.get(self.checkpoint_index)?;
        let goal = (u64::from(self.total) * u64::from(percent)).div_ceil(100);
        let gone = self.total.saturating_sub(stale_count);
        Some(u32::try_from(goal).unwrap_or(u32::MAX).saturating_sub(gone))
    }

    /// When to look at it again, if nothing happens before.
    pub(super) fn next_look(&self) -> Timestamp {
        let limit = self.progress_at + PATIENCE;
        self.wait_until.map_or(limit, |until| until.min(limit)).min(self.started_at + REFRESH_TIME_MAX)
    }

    /// The bounds that it keeps to. **Source:** ecs-semantics §9.4.
    pub(super) fn bounds(&self, group: &ProviderState) -> HealthyBounds {
        let policy = group.provider.auto_scaling_group.instance_maintenance_policy;
        let preferences = &self.preferences;
        let minimum = preferences.min_healthy_percentage.or(policy.map(|policy| policy.min_healthy_percentage));
        let maximum = match preferences.min_healthy_percentage {
            // What is said of the refresh stands for both.
            Some(_) => preferences.max_healthy_percentage,
            None => policy.map(|policy| policy.max_healthy_percentage),
        };
        HealthyBounds { minimum_percent: minimum.unwrap_or(MIN_HEALTHY_DEFAULT), maximum_percent: maximum }
    }

    /// How long a replacement must be in service to count. **Source:** ecs-semantics §9.4.
    pub(super) fn warmup(&self, group: &ProviderState) -> Duration {
        let spec = &group.provider.auto_scaling_group;
        let default = spec.default_instance_warmup.unwrap_or(spec.health_check_grace_period);
        self.preferences.instance_warmup.unwrap_or(default)
    }

    fn end(&mut self, status: RefreshStatus, now: Timestamp) {
        self.status = status;
        self.ended_at = Some(now);
        self.wait_until = None;
    }

    fn begin_rollback(&mut self, now: Timestamp) {
        std::mem::swap(&mut self.from, &mut self.to);
        self.status = RefreshStatus::RollbackInProgress;
        self.stale = Stale::OtherVersion;
        self.preferences.checkpoint_percentages.clear();
        self.wait_until = None;
        self.progress_at = now;
        self.replaced = 0;
    }
}

/// What a refresh finds when it looks at its group.
#[derive(Clone, Copy, Debug)]
struct Sight {
    /// Instances that it is still to replace.
    stale: u32,
    /// Instances that count, old and new.
    ready: u32,
    /// Instances that are coming up or warming up.
    unready: u32,
    desired: u32,
}

impl ClusterState {
    fn sight(&self, group: &ProviderState, refresh: &InstanceRefresh, now: Timestamp) -> Sight {
        let warmup = refresh.warmup(group);
        let mut sight = Sight { stale: 0, ready: 0, unready: 0, desired: group.desired_capacity };
        sight.stale = self.stale_count(group, refresh);
        for id in &group.instances {
            let instance = &self.container_instances[id];
            let is_stale = refresh.replaces(instance);
            let warmed = instance.registered_at.is_some_and(|at| is_stale || now.since(at) >= warmup);
            if instance.lifecycle == LifecycleState::InService && warmed {
                sight.ready += 1;
            } else {
                sight.unready += u32::from(!is_stale);
            }
        }
        sight
    }

    /// How many instances a refresh is still to replace, those on standby included.
    pub(super) fn stale_count(&self, group: &ProviderState, refresh: &InstanceRefresh) -> u32 {
        let all = group.instances.union(&group.standby);
        let stale = all.filter(|id| refresh.replaces(&self.container_instances[id]));
        super::state::count(stale.count())
    }
}

impl ControlPlane {
    /// **Source:** ecs-semantics §9.4.
    pub(super) fn start_instance_refresh(&mut self, spec: InstanceRefreshSpec) -> Result<Response, RequestError> {
        let name = spec.capacity_provider;
        let refused = |text: &str| Err(RequestError::InvalidParameter(text.to_owned()));
        let Some(group) = self.state.capacity_providers.get(&name) else {
            return refused("the capacity provider was not found");
        };
        if group.refresh().is_some() {
            return refused(
                "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
            );
        }
        if let Err(text) = spec.preferences.check(spec.launch_template.as_ref()) {
            return refused(text);
        }
        let from = group.launch_template.clone();
        let to = spec.launch_template.unwrap_or_else(|| from.clone());
        let number = super::state::count(group.refreshes.len()) + 1;
        let stale = match spec.preferences.skip_matching {
            SkipMatching::Yes => Stale::OtherVersion,
            SkipMatching::No => Stale::Before(ContainerInstanceId(self.next_instance)),
        };
        let mut refresh = InstanceRefresh {
            number,
            status: RefreshStatus::InProgress,
            preferences: spec.preferences,
            from,
            to,
            started_at: self.now,
            ended_at: None,
            total: 0,
            replaced: 0,
            reason: None,
            stale,
            checkpoint_index: 0,
            wait_until: None,
            progress_at: self.now,
        };
        refresh.total = self.state.stale_count(group, &refresh);
        let text = format!("instance refresh {number} replaces {} instances", refresh.total);
        let group = self.state.capacity_providers.get_mut(&name).expect("it was found above");
        group.refreshes.push(refresh);
        self.group_activity(&name, &text);
        self.groups_to_keep.insert(name);
        Ok(Response::InstanceRefresh(number))
    }

    /// What was replaced stays replaced, what comes up still does. **Source:** ecs-semantics §9.4.
    pub(super) fn cancel_instance_refresh(&mut self, name: &Arc<str>) -> Result<Response, RequestError> {
        let refresh = self
            .refresh_mut(name)
            .filter(|refresh| matches!(refresh.status, RefreshStatus::InProgress | RefreshStatus::Baking));
        let Some(refresh) = refresh else { return Err(no_active_refresh()) };
        refresh.status = RefreshStatus::Cancelling;
        refresh.wait_until = None;
        refresh.reason = Some("cancelled by the user".into());
        let number = refresh.number;
        self.group_activity(name, &format!("instance refresh {number} is being cancelled"));
        self.groups_to_keep.insert(name.clone());
        Ok(Response::Done)
    }

    /// **Source:** ecs-semantics §9.4.
    pub(super) fn rollback_instance_refresh(&mut self, name: &Arc<str>) -> Result<Response, RequestError> {
        let active = self
            .refresh_mut(name)
            .is_some_and(|refresh| matches!(refresh.status, RefreshStatus::InProgress | RefreshStatus::Baking));
        if !active {
            return Err(no_active_refresh());
        }
        self.roll_back_refresh(name, "rolled back by the user");
        self.groups_to_keep.insert(name.clone());
        Ok(Response::Done)
    }

    fn roll_back_refresh(&mut self, name: &Arc<str>, reason: &str) {
        let now = self.now;
        let Some(refresh) = self.refresh_mut(name) else { return };
        refresh.begin_rollback(now);
        refresh.reason = Some(reason.into());
        let number = refresh.number;
        let group = &self.state.capacity_providers[name];
        let total = group.refresh().map_or(0, |refresh| self.state.stale_count(group, refresh));
        if let Some(refresh) = self.refresh_mut(name) {
            refresh.total = total;
        }
        self.group_activity(name, &format!("instance refresh {number} is rolled back: {reason}"));
    }

    fn refresh_mut(&mut self, name: &Arc<str>) -> Option<&mut InstanceRefresh> {
        let group = self.state.capacity_providers.get_mut(name)?;
        group.refreshes.last_mut().filter(|refresh| refresh.status.is_under_way())
    }

    /// **Source:** ecs-semantics §9.4. They count for nothing, so none is launched for them.
    fn terminate_standby(&mut self, name: &Arc<str>) {
        let Some(group) = self.state.capacity_providers.get(name) else { return };
        let Some(refresh) = group.refresh() else { return };
        let is_wanted = refresh.status == RefreshStatus::InProgress
            && refresh.preferences.standby_instances == StandbyInstances::Terminate;
        if !is_wanted {
            return;
        }
        let standby = group.standby.iter();
        let going: Vec<ContainerInstanceId> =
            standby.filter(|id| refresh.replaces(&self.state.container_instances[id])).copied().collect();
        for id in going {
            let shown = self.ids.ec2_instance(id);
            self.group_activity(name, &format!("instance {shown} goes: an instance refresh ends what is on standby"));
            self.terminate_instance(id);
        }
    }

    /// Takes a refresh as far as the group's instances let it. **Source:** ecs-semantics §9.4.
    pub(super) fn advance_refresh(&mut self, name: &Arc<str>) {
        let now = self.now;
        self.terminate_standby(name);
        let Some(group) = self.state.capacity_providers.get(name) else { return };
        let Some(refresh) = group.refresh() else { return };
        let sight = self.state.sight(group, refresh, now);
        let refresh = self.refresh_mut(name).expect("it was found above");
        let gone = refresh.total.saturating_sub(sight.stale);
        // What is missing has not been replaced yet.
        let replaced = gone.saturating_sub(sight.desired.saturating_sub(sight.ready));
        if replaced > refresh.replaced {
            refresh.replaced = replaced;
            refresh.progress_at = now;
        }
        let number = refresh.number;
        let is_replaced = sight.stale == 0 && sight.unready == 0 && sight.ready >= sight.desired;
        let is_waiting = refresh.wait_until.is_some_and(|until| until > now);
        match refresh.status {
            RefreshStatus::Cancelling if sight.unready == 0 => {
                refresh.end(RefreshStatus::Cancelled, now);
                self.group_activity(name, &format!("instance refresh {number} is cancelled"));
            }
            RefreshStatus::Baking if !is_waiting => self.succeed(name),
            RefreshStatus::Cancelling | RefreshStatus::Baking => {}
            RefreshStatus::RollbackInProgress if is_replaced => {
                let (reverted, total) = (refresh.to.clone(), refresh.total);
                refresh.replaced = total;
                refresh.end(RefreshStatus::RollbackSuccessful, now);
                let group = self.state.capacity_providers.get_mut(name).expect("it was found above");
                group.launch_template = reverted;
                self.group_activity(name, &format!("instance refresh {number} is rolled back"));
            }
            RefreshStatus::InProgress if is_waiting => {}
            RefreshStatus::InProgress if is_replaced => self.succeed_or_bake(name),
            RefreshStatus::InProgress => {
                refresh.wait_until = None;
                if !self.reach_checkpoint(name) {
                    self.fail_if_stuck(name);
                }
            }
            RefreshStatus::RollbackInProgress => self.fail_if_stuck(name),
            _ => {}
        }
    }

    /// Pauses at a checkpoint that has been reached, or ends there. Says whether it did.
    fn reach_checkpoint(&mut self, name: &Arc<str>) -> bool {
        let now = self.now;
        let Some(refresh) = self.refresh_mut(name) else { return false };
        let percentages = &refresh.preferences.checkpoint_percentages;
        let Some(percent) = percentages.get(refresh.checkpoint_index).copied() else { return false };
        if refresh.percentage_complete() < percent || percent == 100 {
            return false;
        }
        let is_last = refresh.checkpoint_index + 1 == percentages.len();
        refresh.checkpoint_index += 1;
        let number = refresh.number;
        if is_last {
            self.group_activity(name, &format!("instance refresh {number} ends at its last checkpoint of {percent}%"));
            self.succeed_or_bake(name);
        } else {
            let until = now + refresh.preferences.checkpoint_delay.unwrap_or(CHECKPOINT_DELAY);
            refresh.wait_until = Some(until);
            refresh.progress_at = until;
            self.group_activity(name, &format!("instance refresh {number} pauses at {percent}% until {until}"));
        }
        true
    }

    fn succeed_or_bake(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(refresh) = self.refresh_mut(name) else { return };
        if refresh.preferences.bake_time.is_zero() {
            self.succeed(name);
        } else {
            let (number, until) = (refresh.number, now + refresh.preferences.bake_time);
            refresh.status = RefreshStatus::Baking;
            refresh.wait_until = Some(until);
            refresh.progress_at = until;
            self.group_activity(name, &format!("instance refresh {number} bakes until {until}"));
        }
    }

    /// The group's template is updated on success. **Source:** ecs-semantics §9.4.
    fn succeed(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(refresh) = self.refresh_mut(name) else { return };
        refresh.end(RefreshStatus::Successful, now);
        let (number, template) = (refresh.number, refresh.to.clone());
        let group = self.state.capacity_providers.get_mut(name).expect("it has a refresh");
        group.launch_template = template;
        self.group_activity(name, &format!("instance refresh {number} is successful"));
    }

    fn fail_if_stuck(&mut self, name: &Arc<str>) {
        let now = self.now;
        let Some(refresh) = self.refresh_mut(name) else { return };
        let reason = if now.since(refresh.started_at) >= REFRESH_TIME_MAX {
            "it took longer than 14 days"
        } else if now.since(refresh.progress_at) >= PATIENCE {
            "it replaced no instance for an hour"
        } else {
            return;
        };
        let (number, is_rollback) = (refresh.number, refresh.status == RefreshStatus::RollbackInProgress);
        if !is_rollback && refresh.preferences.auto_rollback == AutoRollback::Yes {
            self.roll_back_refresh(name, reason);
            return;
        }
        refresh.end(if is_rollback { RefreshStatus::RollbackFailed } else { RefreshStatus::Failed }, now);
        refresh.reason = Some(reason.into());
        self.group_activity(name, &format!("instance refresh {number} failed: {reason}"));
    }
}

fn no_active_refresh() -> RequestError {
    RequestError::InvalidParameter(
        "No in progress or pending Instance Refresh found for the Auto Scaling group.".into(),
    )
}
