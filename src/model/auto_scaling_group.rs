//! What an Auto Scaling group does with its instances: lifecycle, hooks, who goes first, the warm pool, refreshes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capacity::InstanceType;
use super::units::Duration;

/// An instance's state in its group. One without a group passes the same states. **Source:** ecs-semantics §9.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum LifecycleState {
    /// Coming up for the warm pool.
    WarmedPending,
    /// In the warm pool and stopped: only its storage is paid for, which is not metered.
    WarmedStopped,
    /// In the warm pool, its memory kept on disk; paid for like a stopped one.
    WarmedHibernated,
    /// In the warm pool and running: paid for.
    WarmedRunning,
    /// Coming up.
    #[default]
    Pending,
    /// Runs, and waits for its launch hooks.
    PendingWait,
    /// Runs and counts.
    InService,
    /// Runs and does not count, until it is brought back.
    Standby,
    /// To go, and waits for its tasks (managed draining) or its termination hooks.
    TerminatingWait,
    /// Going (EC2 `shutting-down`).
    Terminating,
    /// Gone.
    Terminated,
}

impl LifecycleState {
    /// Auto Scaling's wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            LifecycleState::WarmedPending => "Warmed:Pending",
            LifecycleState::WarmedStopped => "Warmed:Stopped",
            LifecycleState::WarmedHibernated => "Warmed:Hibernated",
            LifecycleState::WarmedRunning => "Warmed:Running",
            LifecycleState::Pending => "Pending",
            LifecycleState::PendingWait => "Pending:Wait",
            LifecycleState::InService => "InService",
            LifecycleState::Standby => "Standby",
            LifecycleState::TerminatingWait => "Terminating:Wait",
            LifecycleState::Terminating => "Terminating",
            LifecycleState::Terminated => "Terminated",
        }
    }

    /// Whether it is in the warm pool.
    pub fn is_warmed(self) -> bool {
        self <= LifecycleState::WarmedRunning
    }

    /// Whether it counts toward the group's size: it is coming up or in service. **Source:** ecs-semantics §6.3.
    pub fn is_in_group(self) -> bool {
        matches!(self, LifecycleState::Pending | LifecycleState::PendingWait | LifecycleState::InService)
    }
}

/// Health of a container instance. **Source:** ecs-semantics §3.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceHealth {
    /// `INITIALIZING`: it has not registered yet.
    #[default]
    Initializing,
    /// `OK`.
    Ok,
    /// `IMPAIRED`: its group replaces it.
    Impaired,
}

impl InstanceHealth {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            InstanceHealth::Initializing => "INITIALIZING",
            InstanceHealth::Ok => "OK",
            InstanceHealth::Impaired => "IMPAIRED",
        }
    }
}

/// Whether scale-in leaves an instance alone. **Source:** ecs-semantics §9.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleInProtection {
    /// It may go.
    #[default]
    Unprotected,
    /// It stays, until it is unprotected.
    Protected,
}

/// Whether an instance with tasks is kept from scale-in by its capacity provider. **Source:** ecs-semantics §6.2, §6.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ManagedTerminationProtection {
    /// Scale-in goes by the group's termination policies alone: ECS' default.
    #[default]
    Disabled,
    /// Only instances without tasks are given up. Needs managed scaling and new instances protected from scale-in.
    Enabled,
}

/// Whether an instance that is to go waits for its tasks. **Source:** ecs-semantics §3.3, §6.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ManagedDraining {
    /// It is set DRAINING and kept in `Terminating:Wait` until it is empty: ECS' default.
    #[default]
    Enabled,
    /// Its tasks go with it.
    Disabled,
}

/// Which instances go first, combinable in order. **Source:** ecs-semantics §9.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum TerminationPolicy {
    /// `Default`: those of the oldest launch template, then the oldest.
    Default,
    /// `OldestInstance`.
    OldestInstance,
    /// `NewestInstance`.
    NewestInstance,
    /// `OldestLaunchTemplate`: those of the lowest version.
    OldestLaunchTemplate,
    /// `ClosestToNextInstanceHour`: those whose next full hour of running comes first.
    ClosestToNextInstanceHour,
}

/// The transition that a lifecycle hook holds. **Source:** ecs-semantics §9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleTransition {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`: between running and in service.
    Launching,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`: before it goes.
    Terminating,
}

/// How a lifecycle action ends. **Source:** ecs-semantics §9.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LifecycleActionResult {
    /// `ABANDON`: a launching instance is terminated; a terminating one goes all the same.
    #[default]
    Abandon,
    /// `CONTINUE`.
    Continue,
}

/// A lifecycle hook of a group. **Source:** ecs-semantics §9.2.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleHook {
    /// Its name, unique in the group.
    pub name: Arc<str>,
    /// What it holds.
    pub transition: LifecycleTransition,
    /// How long it waits for CompleteLifecycleAction or a heartbeat; 30 s to 7200 s.
    pub heartbeat_timeout: Duration,
    /// What happens then.
    pub default_result: LifecycleActionResult,
}

/// The state of the instances in a warm pool. **Source:** ecs-semantics §9.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum WarmPoolState {
    /// Only their storage is paid for.
    #[default]
    Stopped,
    /// Paid for.
    Running,
    /// Like stopped ones.
    Hibernated,
}

/// Instances kept ready beside a group. **Source:** ecs-semantics §9.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarmPool {
    /// The fewest instances in it.
    pub min_size: u32,
    /// How many instances the group and the pool have together; `None` is the group's maximum.
    pub max_group_prepared_capacity: Option<u32>,
    /// What its instances do.
    pub pool_state: WarmPoolState,
    /// What becomes of instances that are scaled in.
    pub reuse: ReuseOnScaleIn,
}

/// Whether instances go back to the warm pool when they are scaled in. **Source:** ecs-semantics §6.4, §9.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReuseOnScaleIn {
    /// They are terminated.
    #[default]
    No,
    /// They go back, as long as the pool has room. Not with managed scaling.
    Yes,
}

impl WarmPool {
    /// How many instances belong into the pool. **Source:** ecs-semantics §9.5.
    pub fn size(&self, desired: u32, max_size: u32) -> u32 {
        let prepared = self.max_group_prepared_capacity.unwrap_or(max_size);
        self.min_size.max(prepared.saturating_sub(desired))
    }
}

/// The group's bounds for whatever replaces instances. **Source:** ecs-semantics §9.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceMaintenancePolicy {
    /// 0 to 100.
    pub min_healthy_percentage: u32,
    /// 100 to 200.
    pub max_healthy_percentage: u32,
}

/// What a group launches its instances from; a new version is a new operating system image or type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaunchTemplate {
    /// Its version.
    pub version: u32,
    /// The machine image, shown as the attribute `ecs.ami-id`.
    pub image_id: Option<Arc<str>>,
    /// The type.
    pub instance_type: Arc<InstanceType>,
}

/// What an instance refresh does with instances that are protected from scale-in. **Source:** ecs-semantics §9.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ProtectedInstances {
    /// It waits for an hour at most, and fails then.
    #[default]
    Wait,
    /// They stay as they are.
    Ignore,
    /// They are replaced.
    Refresh,
}

impl ProtectedInstances {
    /// Auto Scaling's wire value.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProtectedInstances::Wait => "Wait",
            ProtectedInstances::Ignore => "Ignore",
            ProtectedInstances::Refresh => "Refresh",
        }
    }
}

/// What an instance refresh does with instances on standby. **Source:** ecs-semantics §9.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StandbyInstances {
    /// It waits for an hour at most, and fails then.
    #[default]
    Wait,
    /// They stay as they are.
    Ignore,
    /// They are terminated.
    Terminate,
}

impl StandbyInstances {
    /// Auto Scaling's wire value.
    pub const fn as_str(self) -> &'static str {
        match self {
            StandbyInstances::Wait => "Wait",
            StandbyInstances::Ignore => "Ignore",
            StandbyInstances::Terminate => "Terminate",
        }
    }
}

/// Whether instances that match the desired launch template stay. **Source:** ecs-semantics §9.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipMatching {
    /// All are replaced.
    #[default]
    No,
    /// They stay.
    Yes,
}

/// Whether a refresh that fails is rolled back. **Source:** ecs-semantics §9.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoRollback {
    /// It is not.
    #[default]
    No,
    /// It is; needs a desired launch template.
    Yes,
}

/// How an instance refresh goes about it. **Source:** ecs-semantics §9.4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefreshPreferences {
    /// 0 to 100; `None` is the group's maintenance policy, else 90.
    pub min_healthy_percentage: Option<u32>,
    /// 100 to 200; omitting it is not the same as 100.
    pub max_healthy_percentage: Option<u32>,
    /// How long a replacement must be in service to count; `None` is the group's default warm-up, else its health check grace
    /// period.
    pub instance_warmup: Option<Duration>,
    /// After which percentages it pauses, ascending. Ends below 100 when the last one is.
    pub checkpoint_percentages: Vec<u32>,
    /// How long it pauses there; `None` is an hour.
    pub checkpoint_delay: Option<Duration>,
    /// Whether matching instances stay.
    pub skip_matching: SkipMatching,
    /// Whether it rolls back when it fails.
    pub auto_rollback: AutoRollback,
    /// What it does with protected instances.
    pub scale_in_protected_instances: ProtectedInstances,
    /// What it does with instances on standby.
    pub standby_instances: StandbyInstances,
    /// How long it watches after the last replacement.
    pub bake_time: Duration,
}

impl RefreshPreferences {
    /// Checks what can be checked without the group. **Source:** ecs-semantics §9.4.
    ///
    /// # Errors
    /// The rule that is broken, beginning with the key.
    pub fn check(&self, template: Option<&LaunchTemplate>) -> Result<(), &'static str> {
        let minimum = self.min_healthy_percentage;
        let maximum = self.max_healthy_percentage;
        if minimum.is_some_and(|percent| percent > 100) {
            return Err("min_healthy_percentage must be 0 to 100");
        }
        if maximum.is_some_and(|percent| !(100..=200).contains(&percent)) {
            return Err("max_healthy_percentage must be 100 to 200");
        }
        match (minimum, maximum) {
            (None, Some(_)) => return Err("max_healthy_percentage needs min_healthy_percentage too"),
            (Some(minimum), Some(maximum)) if maximum - minimum > 100 => {
                return Err("max_healthy_percentage and min_healthy_percentage must not be more than 100 apart");
            }
            _ => {}
        }
        let checkpoints = &self.checkpoint_percentages;
        if !checkpoints.is_sorted_by(|a, b| a < b) || checkpoints.iter().any(|percent| !(1..=100).contains(percent)) {
            return Err("checkpoint_percentages must be 1 to 100 and ascending");
        }
        if self.auto_rollback == AutoRollback::Yes && template.is_none() {
            return Err("auto_rollback needs a launch template that is named");
        }
        Ok(())
    }
}

/// The statuses of an instance refresh. **Source:** ecs-semantics §9.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum RefreshStatus {
    /// Replaces instances.
    InProgress,
    /// All replaced; watches.
    Baking,
    /// Cancelled; waits for what is coming up.
    Cancelling,
    /// Replaces the replacements.
    RollbackInProgress,
    /// Done.
    Successful,
    /// It was not possible.
    Failed,
    /// As asked.
    Cancelled,
    /// Everything is as before.
    RollbackSuccessful,
    /// Rolling back was not possible either.
    RollbackFailed,
}

impl RefreshStatus {
    /// Auto Scaling's wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            RefreshStatus::InProgress => "InProgress",
            RefreshStatus::Baking => "Baking",
            RefreshStatus::Cancelling => "Cancelling",
            RefreshStatus::RollbackInProgress => "RollbackInProgress",
            RefreshStatus::Successful => "Successful",
            RefreshStatus::Failed => "Failed",
            RefreshStatus::Cancelled => "Cancelled",
            RefreshStatus::RollbackSuccessful => "RollbackSuccessful",
            RefreshStatus::RollbackFailed => "RollbackFailed",
        }
    }

    /// Whether it is still at work.
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            RefreshStatus::InProgress
                | RefreshStatus::Baking
                | RefreshStatus::Cancelling
                | RefreshStatus::RollbackInProgress
        )
    }
}

/// The parameters of StartInstanceRefresh. **Source:** ecs-semantics §9.4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceRefreshSpec {
    /// The capacity provider whose group is refreshed.
    pub capacity_provider: Arc<str>,
    /// What instances are launched from; `None`: what they are launched from already.
    pub launch_template: Option<LaunchTemplate>,
    /// How.
    pub preferences: RefreshPreferences,
}
