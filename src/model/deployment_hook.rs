//! Lifecycle hooks of deployments: who is asked at which stages, and what an answer may be.
//!
//! **Source:** ecs-semantics §5.8.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::deployment::LifecycleStage;
use super::task_definition::TaskDefinitionRef;
use super::units::Duration;

/// Somebody who is asked at stages of a deployment whether it goes on. **Source:** ecs-semantics §5.8.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentHook {
    /// Who.
    pub target: HookTarget,
    /// When; not empty.
    pub stages: BTreeSet<LifecycleStage>,
    /// `hookDetails`: what is handed to it as it is.
    pub details: Option<Arc<str>>,
    /// How long it may take at one stage, all its calls together: a minute to fourteen days.
    pub timeout: Duration,
    /// What follows when that is over.
    pub on_timeout: HookTimeoutAction,
}

/// ECS' default of `timeoutInMinutes`: a day. **Source:** ecs-semantics §5.8.
pub const HOOK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1440 * 60);
/// ECS' greatest `timeoutInMinutes`: fourteen days. **Source:** ecs-semantics §5.8.
pub const HOOK_TIMEOUT_MAX: Duration = Duration::from_secs(20_160 * 60);

/// Who is asked. *Ours:* a task and a callback stand for the function of ECS' `AWS_LAMBDA`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HookTarget {
    /// A standalone Fargate task of this definition, for each call. Its exit code and what it prints are the answer.
    TaskDefinition(TaskDefinitionRef),
    /// A callback that whoever embeds the cluster has put under this name.
    Callback(Arc<str>),
    /// `PAUSE`: a person, by ContinueServiceDeployment.
    Pause,
}

impl HookTarget {
    /// ECS' `targetType`.
    pub fn type_str(&self) -> &'static str {
        match self {
            HookTarget::TaskDefinition(_) | HookTarget::Callback(_) => "AWS_LAMBDA",
            HookTarget::Pause => "PAUSE",
        }
    }

    /// What it is called in events and records.
    pub fn name(&self) -> String {
        match self {
            HookTarget::TaskDefinition(reference) => reference.to_string(),
            HookTarget::Callback(name) => name.to_string(),
            HookTarget::Pause => "PAUSE".to_owned(),
        }
    }
}

/// `action` of `timeoutConfiguration`. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HookTimeoutAction {
    /// `ROLLBACK`.
    #[default]
    Rollback,
    /// `CONTINUE`: as if it had succeeded.
    Continue,
}

/// What a hook answers. **Source:** ecs-semantics §5.8.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HookAnswer {
    /// `SUCCEEDED`: the deployment goes on.
    Succeeded,
    /// `FAILED`: it goes back.
    Failed {
        /// Why, for people.
        reason: Arc<str>,
    },
    /// `IN_PROGRESS`: it is to be asked again.
    InProgress {
        /// `callBackDelay`: after this time; `None` is the control plane's default.
        call_back_delay: Option<Duration>,
    },
}

/// How far a hook is at a stage. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum HookStatus {
    /// `AWAITING_ACTION`: of a pause.
    AwaitingAction,
    /// `IN_PROGRESS`.
    InProgress,
    /// `SUCCEEDED`.
    Succeeded,
    /// `FAILED`.
    Failed,
    /// `TIMED_OUT`.
    TimedOut,
}

impl HookStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            HookStatus::AwaitingAction => "AWAITING_ACTION",
            HookStatus::InProgress => "IN_PROGRESS",
            HookStatus::Succeeded => "SUCCEEDED",
            HookStatus::Failed => "FAILED",
            HookStatus::TimedOut => "TIMED_OUT",
        }
    }
}

/// `action` of ContinueServiceDeployment. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContinueAction {
    /// `CONTINUE`.
    Continue,
    /// `ROLLBACK`.
    Rollback,
}
