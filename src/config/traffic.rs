//! How a deployment moves traffic: `strategy`, `linear_configuration`, `canary_configuration` and `lifecycle_hooks`.

use super::keys::{CANARY, DEPLOYMENT_HOOK, HOOK_TIMEOUT, LINEAR};
use super::reader::{Table, Value, Words};
use super::services::read_task_definition_ref;
use crate::model::deployment::{DeploymentStrategy, LifecycleStage};
use crate::model::deployment_hook::{
    DeploymentHook, HOOK_TIMEOUT_DEFAULT, HOOK_TIMEOUT_MAX, HookTarget, HookTimeoutAction,
};
use crate::model::units::Duration;

const STRATEGIES: Words<DeploymentStrategy> = Words {
    available: &[
        ("ROLLING", DeploymentStrategy::Rolling),
        ("BLUE_GREEN", DeploymentStrategy::BlueGreen),
        ("LINEAR", DeploymentStrategy::LINEAR),
        ("CANARY", DeploymentStrategy::CANARY),
    ],
    planned: &[],
};

const STAGES: Words<LifecycleStage> = Words {
    available: &[
        ("RECONCILE_SERVICE", LifecycleStage::ReconcileService),
        ("PRE_SCALE_UP", LifecycleStage::PreScaleUp),
        ("POST_SCALE_UP", LifecycleStage::PostScaleUp),
        ("TEST_TRAFFIC_SHIFT", LifecycleStage::TestTrafficShift),
        ("POST_TEST_TRAFFIC_SHIFT", LifecycleStage::PostTestTrafficShift),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT", LifecycleStage::PreProductionTrafficShift),
        ("PRODUCTION_TRAFFIC_SHIFT", LifecycleStage::ProductionTrafficShift),
        ("POST_PRODUCTION_TRAFFIC_SHIFT", LifecycleStage::PostProductionTrafficShift),
    ],
    planned: &[],
};

/// Whom a hook asks, as ECS names the kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TargetType {
    Function,
    Pause,
}

const TARGET_TYPES: Words<TargetType> =
    Words { available: &[("AWS_LAMBDA", TargetType::Function), ("PAUSE", TargetType::Pause)], planned: &[] };

const TIMEOUT_ACTIONS: Words<HookTimeoutAction> = Words {
    available: &[("ROLLBACK", HookTimeoutAction::Rollback), ("CONTINUE", HookTimeoutAction::Continue)],
    planned: &[],
};

/// Reads the strategy with its numbers. **Source:** ecs-semantics §5.8.
pub(super) fn read_strategy(table: &Table<'_>) -> DeploymentStrategy {
    let strategy = table.word("strategy", &STRATEGIES).unwrap_or_default();
    if strategy == DeploymentStrategy::BlueGreen && !table.has("bake_time_in_minutes") {
        table.reject_missing("bake_time_in_minutes", "strategy \"BLUE_GREEN\" needs bake_time_in_minutes");
    }
    if strategy.moves_traffic() && table.has("early_success_criteria") {
        table.reject("early_success_criteria", "early success is of strategy \"ROLLING\" only");
    }
    let linear = table.table("linear_configuration", &LINEAR);
    let canary = table.table("canary_configuration", &CANARY);
    for (key, is_there, is_of) in [
        ("linear_configuration", linear.is_some(), matches!(strategy, DeploymentStrategy::Linear { .. })),
        ("canary_configuration", canary.is_some(), matches!(strategy, DeploymentStrategy::Canary { .. })),
    ] {
        if is_there && !is_of {
            table.reject(key, format!("{key} does not go with strategy \"{}\"", strategy.as_str()));
        }
    }
    match strategy {
        DeploymentStrategy::Rolling | DeploymentStrategy::BlueGreen => strategy,
        DeploymentStrategy::Linear { step_millipercent, step_bake_time } => {
            let percent = linear.as_ref().and_then(|keys| percent(keys, "step_percent", 3_000));
            let time = linear.and_then(|keys| minutes(&keys.get("step_bake_time_in_minutes")?));
            DeploymentStrategy::Linear {
                step_millipercent: percent.unwrap_or(step_millipercent),
                step_bake_time: time.unwrap_or(step_bake_time),
            }
        }
        DeploymentStrategy::Canary { canary_millipercent, canary_bake_time } => {
            let percent = canary.as_ref().and_then(|keys| percent(keys, "canary_percent", 100));
            let time = canary.and_then(|keys| minutes(&keys.get("canary_bake_time_in_minutes")?));
            DeploymentStrategy::Canary {
                canary_millipercent: percent.unwrap_or(canary_millipercent),
                canary_bake_time: time.unwrap_or(canary_bake_time),
            }
        }
    }
}

/// A share in tenths of a percent, as ECS has them. **Source:** ecs-semantics §5.8.
fn percent(table: &Table<'_>, key: &'static str, least: u32) -> Option<u32> {
    let value = table.get(key)?;
    let thousandths = value.thousandths()?;
    let found = u32::try_from(thousandths).ok().filter(|found| (least..=100_000).contains(found) && found % 100 == 0);
    if found.is_none() {
        let (whole, tenth) = (least / 1000, least % 1000 / 100);
        value.reject(format!("{key} is from {whole}.{tenth} to 100.0 in steps of 0.1"));
    }
    found
}

/// A number of minutes of at most a day. *Ours:* fractions, so that a demonstration need not last for minutes.
pub(super) fn minutes(value: &Value<'_>) -> Option<Duration> {
    const DAY: u64 = 1440;
    let thousandths = value.thousandths()?;
    if thousandths > DAY * 1000 {
        value.reject(format!("a bake time is at most {DAY} minutes"));
        return None;
    }
    Some(Duration::from_millis(thousandths * 60))
}

/// Reads `lifecycle_hooks`. Whether their task definitions are defined is decided in [`super::references`].
/// **Source:** ecs-semantics §5.8.
pub(super) fn read_hooks(table: &Table<'_>, strategy: DeploymentStrategy) -> Vec<DeploymentHook> {
    let hooks = table.tables("lifecycle_hooks", &DEPLOYMENT_HOOK);
    if !hooks.is_empty() && !strategy.moves_traffic() {
        table.reject("lifecycle_hooks", "lifecycle hooks need strategy \"BLUE_GREEN\", \"LINEAR\" or \"CANARY\"");
    }
    hooks.iter().map(read_hook).collect()
}

fn read_hook(at: &Table<'_>) -> DeploymentHook {
    let target_type = at.word("target_type", &TARGET_TYPES).unwrap_or(TargetType::Function);
    let target = match target_type {
        TargetType::Function => HookTarget::TaskDefinition(read_task_definition_ref(at)),
        TargetType::Pause => {
            if at.has("task_definition") {
                at.reject("task_definition", "a hook of target_type \"PAUSE\" runs nothing");
            }
            HookTarget::Pause
        }
    };
    let timeout = at.table("timeout_configuration", &HOOK_TIMEOUT);
    DeploymentHook {
        stages: read_stages(at, target_type).into_iter().collect(),
        target,
        details: at.get("hook_details").and_then(|value| value.string()).map(Into::into),
        timeout: timeout.as_ref().and_then(read_timeout).unwrap_or(HOOK_TIMEOUT_DEFAULT),
        on_timeout: timeout.and_then(|table| table.word("action", &TIMEOUT_ACTIONS)).unwrap_or_default(),
    }
}

fn read_stages(at: &Table<'_>, target_type: TargetType) -> Vec<LifecycleStage> {
    let Some(value) = at.need("lifecycle_stages") else { return Vec::new() };
    if value.is_empty_list() {
        value.reject("a lifecycle hook names at least one stage");
    }
    let read = |item: &Value<'_>| {
        let stage = item.word(&STAGES)?;
        if target_type == TargetType::Pause && !stage.takes_pauses() {
            item.reject(format!("a pause cannot be at {}", stage.as_str()));
        }
        Some(stage)
    };
    value.list("a list of stages").unwrap_or_default().iter().filter_map(read).collect()
}

/// *Ours:* fractions of a minute, as for bake times.
fn read_timeout(table: &Table<'_>) -> Option<Duration> {
    let value = table.get("timeout_in_minutes")?;
    let time = Duration::from_millis(value.thousandths()?.saturating_mul(60));
    if time.is_zero() || time > HOOK_TIMEOUT_MAX {
        value.reject("timeout_in_minutes is above 0 and at most 20160");
        return None;
    }
    Some(time)
}
