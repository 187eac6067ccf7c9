//! Deployments: how a service comes from one revision to another, and what may fail, stop or roll back the way.
//!
//! Shares of the desired count are in percent, where ECS allows tenths in thousandths of a percent, so that they are integers.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::traffic::TrafficWeight;
use super::units::Duration;

/// How a service comes from one revision to the next. **Source:** ecs-semantics §5.8.
///
/// BLUE_GREEN's bake time is [`DeploymentConfiguration::bake_time`](super::service::DeploymentConfiguration::bake_time), as it is
/// that of the last step of LINEAR and CANARY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum DeploymentStrategy {
    /// `ROLLING`: tasks are exchanged within the bounds.
    #[default]
    Rolling,
    /// `BLUE_GREEN`: the target beside the source, then all traffic at once.
    BlueGreen,
    /// `LINEAR`: traffic moves in equal steps.
    Linear {
        /// `stepPercent` in thousandths of a percent: 3,000 to 100,000.
        step_millipercent: u32,
        /// `stepBakeTimeInMinutes`: the wait after each step but the last.
        step_bake_time: Duration,
    },
    /// `CANARY`: a small share of the traffic first, then the rest.
    Canary {
        /// `canaryPercent` in thousandths of a percent: 100 to 100,000.
        canary_millipercent: u32,
        /// `canaryBakeTimeInMinutes`: the wait after the first step.
        canary_bake_time: Duration,
    },
}

impl DeploymentStrategy {
    /// `LINEAR` with ECS' defaults. **Source:** ecs-semantics §5.8.
    pub const LINEAR: DeploymentStrategy =
        DeploymentStrategy::Linear { step_millipercent: 10_000, step_bake_time: Duration::from_secs(6 * 60) };
    /// `CANARY` with ECS' defaults. **Source:** ecs-semantics §5.8.
    pub const CANARY: DeploymentStrategy =
        DeploymentStrategy::Canary { canary_millipercent: 5_000, canary_bake_time: Duration::from_secs(10 * 60) };

    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            DeploymentStrategy::Rolling => "ROLLING",
            DeploymentStrategy::BlueGreen => "BLUE_GREEN",
            DeploymentStrategy::Linear { .. } => "LINEAR",
            DeploymentStrategy::Canary { .. } => "CANARY",
        }
    }

    /// Whether it brings the target up beside the source and moves traffic.
    pub fn moves_traffic(self) -> bool {
        self != DeploymentStrategy::Rolling
    }

    /// The target's share of the traffic after its `step`-th move, counted from 1. **Source:** ecs-semantics §5.8.
    pub fn weight_after(self, step: u32) -> TrafficWeight {
        let weight = match self {
            DeploymentStrategy::Rolling | DeploymentStrategy::BlueGreen => TrafficWeight::ALL.0,
            DeploymentStrategy::Linear { step_millipercent, .. } => step_millipercent.saturating_mul(step),
            DeploymentStrategy::Canary { canary_millipercent, .. } if step == 1 => canary_millipercent,
            DeploymentStrategy::Canary { .. } => TrafficWeight::ALL.0,
        };
        TrafficWeight(weight.min(TrafficWeight::ALL.0))
    }

    /// How long the target has to hold between two moves of traffic. **Source:** ecs-semantics §5.8.
    pub fn step_bake_time(self) -> Duration {
        match self {
            DeploymentStrategy::Rolling | DeploymentStrategy::BlueGreen => Duration::ZERO,
            DeploymentStrategy::Linear { step_bake_time, .. } => step_bake_time,
            DeploymentStrategy::Canary { canary_bake_time, .. } => canary_bake_time,
        }
    }
}

/// Whether a deployment that failed goes back to what was there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It stops where it is.
    #[default]
    Stop,
    /// `rollback = true`: the most recent completed deployment becomes the target again.
    Rollback,
}

/// Fails a deployment after too many tasks that failed. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentCircuitBreaker {
    /// What follows when it trips.
    pub on_failure: OnFailure,
    /// `thresholdConfiguration`.
    pub threshold: BreakerThreshold,
    /// `resetOnHealthyTask`.
    pub on_healthy_task: OnHealthyTask,
}

impl Default for DeploymentCircuitBreaker {
    fn default() -> DeploymentCircuitBreaker {
        DeploymentCircuitBreaker {
            on_failure: OnFailure::Stop,
            threshold: BreakerThreshold::BoundedPercent(50),
            on_healthy_task: OnHealthyTask::Reset,
        }
    }
}

/// What a healthy task does to the circuit breaker's counter. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHealthyTask {
    /// The failures begin anew: only those in a row count.
    #[default]
    Reset,
    /// Nothing: all failures of the deployment count.
    KeepCounting,
}

/// How many failed tasks are too many. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakerThreshold {
    /// `BOUNDED_PERCENT`: of the desired count, at least 3 and at most 200.
    BoundedPercent(u32),
    /// `UNBOUNDED_PERCENT`: of the desired count.
    UnboundedPercent(u32),
    /// `COUNT`.
    Count(u32),
}

impl BreakerThreshold {
    /// The number of failed tasks with which a deployment of a service of so many tasks fails. **Source:** ecs-semantics §5.7.
    pub fn failures(self, desired_count: u32) -> u32 {
        let share = |percent: u32| {
            let share = (u64::from(desired_count) * u64::from(percent)).div_ceil(100);
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        match self {
            BreakerThreshold::BoundedPercent(percent) => share(percent).clamp(3, 200),
            // Ours: a service without tasks has none that fail, and a deployment does not fail for nothing.
            BreakerThreshold::UnboundedPercent(percent) => share(percent).max(1),
            BreakerThreshold::Count(count) => count.max(1),
        }
    }

    /// ECS' wire value of its type.
    pub fn type_str(self) -> &'static str {
        match self {
            BreakerThreshold::BoundedPercent(_) => "BOUNDED_PERCENT",
            BreakerThreshold::UnboundedPercent(_) => "UNBOUNDED_PERCENT",
            BreakerThreshold::Count(_) => "COUNT",
        }
    }
}

/// Fails a deployment when an alarm goes off. **Source:** ecs-semantics §5.7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentAlarms {
    /// The alarms that are watched. One that does not exist (yet) never goes off.
    pub alarm_names: BTreeSet<Arc<str>>,
    /// What follows when one goes off.
    pub on_failure: OnFailure,
}

/// Lets a rolling deployment complete before all its tasks are healthy. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EarlySuccess {
    /// Share of the desired count that has to be healthy; the count is rounded up and at least one.
    pub healthy_percent: u32,
    /// Whether the source's tasks have to be gone.
    pub source_cleanup: SourceCleanup,
}

impl EarlySuccess {
    /// Healthy target tasks with which the deployment may complete. **Source:** ecs-semantics §5.7.
    pub fn healthy_tasks(self, desired_count: u32) -> u32 {
        let share = (u64::from(desired_count) * u64::from(self.healthy_percent)).div_ceil(100);
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }
}

/// `sourceServiceRevisionCleanup`. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SourceCleanup {
    /// `BLOCKING`: the deployment completes when the source's tasks are gone.
    #[default]
    Blocking,
    /// `DEFERRED`: they go after it.
    Deferred,
}

/// Where a service deployment is on its way, in order. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleStage {
    /// `RECONCILE_SERVICE`: more than one revision was active at the start.
    ReconcileService,
    /// `PRE_SCALE_UP`.
    PreScaleUp,
    /// `SCALE_UP`.
    ScaleUp,
    /// `POST_SCALE_UP`.
    PostScaleUp,
    /// `TEST_TRAFFIC_SHIFT`.
    TestTrafficShift,
    /// `POST_TEST_TRAFFIC_SHIFT`.
    PostTestTrafficShift,
    /// `PRE_PRODUCTION_TRAFFIC_SHIFT`: a stage of hooks only.
    PreProductionTrafficShift,
    /// `PRODUCTION_TRAFFIC_SHIFT`.
    ProductionTrafficShift,
    /// `POST_PRODUCTION_TRAFFIC_SHIFT`.
    PostProductionTrafficShift,
    /// `BAKE_TIME`.
    BakeTime,
    /// `CLEAN_UP`.
    CleanUp,
}

impl LifecycleStage {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            LifecycleStage::ReconcileService => "RECONCILE_SERVICE",
            LifecycleStage::PreScaleUp => "PRE_SCALE_UP",
            LifecycleStage::ScaleUp => "SCALE_UP",
            LifecycleStage::PostScaleUp => "POST_SCALE_UP",
            LifecycleStage::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            LifecycleStage::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            LifecycleStage::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            LifecycleStage::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            LifecycleStage::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            LifecycleStage::BakeTime => "BAKE_TIME",
            LifecycleStage::CleanUp => "CLEAN_UP",
        }
    }

    /// What ServiceDeployment.lifecycleStage shows: the stage of hooks before a move of traffic is shown as that of the move.
    /// **Source:** ecs-semantics §5.8.
    pub fn shown(self) -> LifecycleStage {
        match self {
            LifecycleStage::PreProductionTrafficShift => LifecycleStage::ProductionTrafficShift,
            other => other,
        }
    }

    /// Whether hooks may be asked at it. **Source:** ecs-semantics §5.8.
    pub fn takes_hooks(self) -> bool {
        !matches!(self, LifecycleStage::ScaleUp | LifecycleStage::BakeTime | LifecycleStage::CleanUp)
    }

    /// Whether a pause may be put at it. **Source:** ecs-semantics §5.8.
    pub fn takes_pauses(self) -> bool {
        let shifts = matches!(self, LifecycleStage::TestTrafficShift | LifecycleStage::ProductionTrafficShift);
        self.takes_hooks() && !shifts
    }
}

/// How far a service deployment is. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ServiceDeploymentStatus {
    /// `PENDING`.
    #[default]
    Pending,
    /// `IN_PROGRESS`.
    InProgress,
    /// `SUCCESSFUL`.
    Successful,
    /// `STOP_REQUESTED`: a newer one has started, or it failed and does not roll back.
    StopRequested,
    /// `STOPPED`.
    Stopped,
    /// `ROLLBACK_REQUESTED`: by StopServiceDeployment.
    RollbackRequested,
    /// `ROLLBACK_IN_PROGRESS`.
    RollbackInProgress,
    /// `ROLLBACK_SUCCESSFUL`.
    RollbackSuccessful,
    /// `ROLLBACK_FAILED`.
    RollbackFailed,
}

impl ServiceDeploymentStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceDeploymentStatus::Pending => "PENDING",
            ServiceDeploymentStatus::InProgress => "IN_PROGRESS",
            ServiceDeploymentStatus::Successful => "SUCCESSFUL",
            ServiceDeploymentStatus::StopRequested => "STOP_REQUESTED",
            ServiceDeploymentStatus::Stopped => "STOPPED",
            ServiceDeploymentStatus::RollbackRequested => "ROLLBACK_REQUESTED",
            ServiceDeploymentStatus::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            ServiceDeploymentStatus::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            ServiceDeploymentStatus::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    /// Whether nothing more becomes of it.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            ServiceDeploymentStatus::Successful
                | ServiceDeploymentStatus::Stopped
                | ServiceDeploymentStatus::RollbackSuccessful
                | ServiceDeploymentStatus::RollbackFailed
        )
    }

    /// Whether it may come from this status to another in one step. **Source:** ecs-semantics §5.8.
    pub fn may_become(self, next: ServiceDeploymentStatus) -> bool {
        use ServiceDeploymentStatus as Status;
        let allowed: &[Status] = match self {
            Status::Pending => &[Status::InProgress, Status::StopRequested, Status::RollbackRequested, Status::Stopped],
            Status::InProgress => &[
                Status::Successful,
                Status::StopRequested,
                Status::RollbackRequested,
                Status::RollbackInProgress,
                Status::Stopped,
            ],
            Status::StopRequested => &[Status::Stopped],
            Status::RollbackRequested => &[Status::RollbackInProgress, Status::Successful, Status::Stopped],
            Status::RollbackInProgress => &[Status::RollbackSuccessful, Status::RollbackFailed],
            Status::Successful | Status::Stopped | Status::RollbackSuccessful | Status::RollbackFailed => &[],
        };
        allowed.contains(&next)
    }
}

/// `stopType` of StopServiceDeployment. **Source:** ecs-semantics §5.8, §12.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StopType {
    /// `ROLLBACK`.
    #[default]
    Rollback,
    /// `ABORT`: it stops where it is.
    Abort,
}

/// What a circuit breaker or a set of alarms is doing for a deployment. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum MonitorStatus {
    /// `DISABLED`: the service has none.
    #[default]
    Disabled,
    /// `MONITORING`.
    Monitoring,
    /// `MONITORING_COMPLETE`.
    Complete,
    /// `TRIGGERED`: it ended the deployment.
    Triggered,
}

impl MonitorStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            MonitorStatus::Disabled => "DISABLED",
            MonitorStatus::Monitoring => "MONITORING",
            MonitorStatus::Complete => "MONITORING_COMPLETE",
            MonitorStatus::Triggered => "TRIGGERED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ecs-semantics §5.8: all at once, in equal steps of which the last may be smaller, or a small share and then the rest.
    #[test]
    fn traffic_moves_by_the_strategy() {
        let weights = |strategy: DeploymentStrategy| [1, 2, 3, 4].map(|step| strategy.weight_after(step).0);
        let linear = DeploymentStrategy::Linear { step_millipercent: 30_000, step_bake_time: Duration::ZERO };
        assert_eq!(weights(DeploymentStrategy::BlueGreen), [100_000; 4]);
        assert_eq!(weights(linear), [30_000, 60_000, 90_000, 100_000]);
        assert_eq!(weights(DeploymentStrategy::CANARY), [5_000, 100_000, 100_000, 100_000]);
    }

    /// The examples of the rule book, §5.7.
    #[test]
    fn half_the_tasks_fail_a_deployment_but_at_least_three_and_at_most_two_hundred() {
        let default = DeploymentCircuitBreaker::default().threshold;
        assert_eq!([1, 6, 25, 400, 800].map(|desired| default.failures(desired)), [3, 3, 13, 200, 200]);
        assert_eq!([1, 800].map(|desired| BreakerThreshold::UnboundedPercent(50).failures(desired)), [1, 400]);
        assert_eq!([1, 800].map(|desired| BreakerThreshold::Count(7).failures(desired)), [7, 7]);
    }

    /// ecs-semantics §5.7: rounded up, and never without a healthy task.
    #[test]
    fn early_success_needs_a_task() {
        let early = |healthy_percent| EarlySuccess { healthy_percent, source_cleanup: SourceCleanup::Blocking };
        assert_eq!([early(50).healthy_tasks(5), early(0).healthy_tasks(5), early(100).healthy_tasks(0)], [3, 1, 1]);
    }
}
