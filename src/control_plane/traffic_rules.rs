//! What a deployment configuration may ask for of strategies that move traffic, and of lifecycle hooks.
//!
//! *Ours:* the texts. **Source:** ecs-semantics §5.8.

use super::request_error::RequestError;
use crate::model::deployment::DeploymentStrategy;
use crate::model::deployment_hook::{HOOK_TIMEOUT_MAX, HookTarget};
use crate::model::service::DeploymentConfiguration;
use crate::model::units::Duration;

/// The longest time between two moves of traffic. **Source:** ecs-semantics §5.8.
const BAKE_TIME_MAX: Duration = Duration::from_secs(1440 * 60);

pub(super) fn check(configuration: &DeploymentConfiguration) -> Result<(), RequestError> {
    let refuse = |text: &str| Err(RequestError::InvalidParameter(text.into()));
    let strategy = configuration.strategy;
    let (percent, least) = match strategy {
        DeploymentStrategy::Linear { step_millipercent, .. } => (step_millipercent, 3_000),
        DeploymentStrategy::Canary { canary_millipercent, .. } => (canary_millipercent, 100),
        DeploymentStrategy::Rolling | DeploymentStrategy::BlueGreen => (100_000, 100_000),
    };
    if !(least..=100_000).contains(&percent) || !percent.is_multiple_of(100) {
        return refuse("stepPercent is from 3.0 to 100.0 and canaryPercent from 0.1 to 100.0, in steps of 0.1");
    }
    let bake_times = [strategy.step_bake_time(), configuration.bake_time.unwrap_or_default()];
    if strategy.moves_traffic() && bake_times.iter().any(|time| *time > BAKE_TIME_MAX) {
        return refuse("a bake time is at most 1440 minutes");
    }
    if strategy == DeploymentStrategy::BlueGreen && configuration.bake_time.is_none() {
        return refuse("strategy BLUE_GREEN needs bakeTimeInMinutes");
    }
    if strategy.moves_traffic() && configuration.early_success.is_some() {
        return refuse("early success is of strategy ROLLING only");
    }
    if !strategy.moves_traffic() && !configuration.lifecycle_hooks.is_empty() {
        return refuse("lifecycle hooks need strategy BLUE_GREEN, LINEAR or CANARY");
    }
    for hook in &configuration.lifecycle_hooks {
        let is_pause = hook.target == HookTarget::Pause;
        let takes = |stage: &crate::model::deployment::LifecycleStage| match is_pause {
            true => stage.takes_pauses(),
            false => stage.takes_hooks(),
        };
        if hook.stages.is_empty() || !hook.stages.iter().all(takes) {
            return refuse(
                "a lifecycle hook needs stages, none of them SCALE_UP, BAKE_TIME or CLEAN_UP, and a pause none at which traffic moves",
            );
        }
        if hook.timeout.is_zero() || hook.timeout > HOOK_TIMEOUT_MAX {
            return refuse("timeoutInMinutes of a lifecycle hook is above 0 and at most 20160");
        }
    }
    Ok(())
}
