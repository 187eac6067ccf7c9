//! Task sets: what a service consists of whose deployments somebody else controls.
//!
//! A task set is a deployment that is not rolled out: it has a task definition and a share of the service's desired count, and whoever
//! controls the service creates, scales and deletes it. It is known by the identity that ECS takes both kinds' from, a
//! [`DeploymentId`].
//!
//! **Source:** ecs-semantics §1.1, §5.8, §11.6.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capacity::LaunchTarget;
use super::document::Document;
use super::ids::DeploymentId;
use super::task_definition::{TaskDefinition, TaskDefinitionRef, definition_by_name};
use super::units::Timestamp;
use super::written_form::{by_name, is_default};

/// Who brings a service from one revision to the next. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentController {
    /// `ECS`: the service's own deployments.
    #[default]
    Ecs,
    /// `CODE_DEPLOY`: CodeDeploy, of which there is only the first task set here.
    CodeDeploy,
    /// `EXTERNAL`: the client, by task sets.
    External,
}

impl DeploymentController {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            DeploymentController::Ecs => "ECS",
            DeploymentController::CodeDeploy => "CODE_DEPLOY",
            DeploymentController::External => "EXTERNAL",
        }
    }

    /// Whether a service of it consists of task sets.
    pub fn has_task_sets(self) -> bool {
        self != DeploymentController::Ecs
    }
}

/// A task set's share of its service's desired count, in thousandths of a percent: 0 to 100,000. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Scale(pub u32);

impl Scale {
    /// 100 %.
    pub const ALL: Scale = Scale(100_000);

    /// `computedDesiredCount`: that share of a count, rounded up. **Source:** ecs-semantics §5.8.
    pub fn of(self, desired_count: u32) -> u32 {
        let share = (u64::from(desired_count) * u64::from(self.0)).div_ceil(u64::from(Scale::ALL.0));
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::traffic::TrafficWeight(self.0).fmt(f)
    }
}

/// What a task set is created from. **Source:** ecs-semantics §11.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskSetSpec {
    /// The service.
    pub service: Arc<str>,
    /// What its tasks run.
    pub task_definition: TaskDefinitionRef,
    /// Where they run.
    pub launch_target: LaunchTarget,
    /// Its share of the service's desired count.
    pub scale: Scale,
    /// `externalId`: what it is called in another system. Need not be its own.
    #[serde(skip_serializing_if = "is_default")]
    pub external_id: Option<Arc<str>>,
    /// Tags.
    #[serde(skip_serializing_if = "is_default")]
    pub tags: BTreeMap<String, String>,
    /// `clientToken`: a service has one task set of each.
    #[serde(skip_serializing_if = "is_default")]
    pub client_token: Option<Arc<str>>,
    /// What has no meaning in one process: network configuration, load balancers, service registries, platform version.
    #[serde(skip_serializing_if = "is_default")]
    pub document: Document,
}

/// Which task set of a service is meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskSetName {
    /// By its identity.
    Id(DeploymentId),
    /// By its external id: the latest of it that is not draining. *Ours:* how cluster files name them.
    External(Arc<str>),
}

/// ECS' statuses of a task set. **Source:** ecs-semantics §1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskSetStatus {
    /// It serves production traffic.
    Primary,
    /// It does not.
    Active,
    /// It is deleted; its tasks are stopping.
    Draining,
}

impl TaskSetStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskSetStatus::Primary => "PRIMARY",
            TaskSetStatus::Active => "ACTIVE",
            TaskSetStatus::Draining => "DRAINING",
        }
    }
}

/// Whether a task set has what it wants. **Source:** ecs-semantics §1.1, §5.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StabilityStatus {
    /// As many healthy tasks as computed, nothing pending, none on an instance that drains.
    SteadyState,
    /// Not (yet).
    #[default]
    Stabilizing,
}

impl StabilityStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            StabilityStatus::SteadyState => "STEADY_STATE",
            StabilityStatus::Stabilizing => "STABILIZING",
        }
    }
}

/// A task set as DescribeTaskSets shows it. **Source:** ecs-semantics §11.6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct TaskSetDescription {
    /// Its identity.
    pub id: DeploymentId,
    /// Its identity as ECS shows it: what its tasks were started by.
    pub shown_id: Arc<str>,
    /// The service.
    pub service: Arc<str>,
    /// `startedBy`: `CODE_DEPLOY`, or nothing.
    pub started_by: Option<Cow<'static, str>>,
    /// `externalId`.
    pub external_id: Option<Arc<str>>,
    /// Its status.
    pub status: TaskSetStatus,
    /// What its tasks run. Of one that is read its name alone is known.
    #[serde(serialize_with = "by_name", deserialize_with = "definition_by_name")]
    pub task_definition: Arc<TaskDefinition>,
    /// Its share of the service's desired count.
    pub scale: Scale,
    /// How many tasks that is.
    pub computed_desired_count: u32,
    /// Tasks that are to run and do not yet.
    pub pending_count: u32,
    /// Tasks that run.
    pub running_count: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Where its tasks run.
    pub launch_target: LaunchTarget,
    /// Whether it has what it wants.
    pub stability_status: StabilityStatus,
    /// Since when that is so.
    pub stability_status_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What its creator wrote that has no meaning here.
    pub document: Document,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ecs-semantics §5.8: the computed desired count rounds up.
    #[test]
    fn shares_round_up() {
        let counts = |desired: u32| [0, 1, 25_000, 33_333, 50_000, 100_000].map(|share| Scale(share).of(desired));
        assert_eq!(counts(0), [0; 6]);
        assert_eq!(counts(1), [0, 1, 1, 1, 1, 1]);
        assert_eq!(counts(3), [0, 1, 1, 1, 2, 3]);
        assert_eq!(counts(10), [0, 1, 3, 4, 5, 10]);
        assert_eq!(Scale(12_500).to_string(), "12.5 %");
    }
}
