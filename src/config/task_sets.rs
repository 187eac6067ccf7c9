//! `deployment_controller` of a service and its `[[service.task_set]]`: what ECS leaves to somebody else.
//!
//! Whether what a task set names is defined, and can be had where it runs, is decided in [`super::references`].
//! **Source:** ecs-semantics §5.1, §5.8.

use std::sync::Arc;

use super::document::{Asked, Read};
use super::keys::{DEPLOYMENT_CONFIGURATION, SERVICE, TASK_SET};
use super::launch::read_launch;
use super::reader::{Table, Words, quoted};
use super::services::read_task_definition_ref;
use super::tags::read_tags;
use crate::model::document::Document;
use crate::model::service::{SchedulingStrategy, ServiceSpec};
use crate::model::task_set::{DeploymentController, Scale, TaskSetSpec};

const CONTROLLERS: Words<DeploymentController> = Words {
    available: &[
        ("ECS", DeploymentController::Ecs),
        ("CODE_DEPLOY", DeploymentController::CodeDeploy),
        ("EXTERNAL", DeploymentController::External),
    ],
    planned: &[],
};

/// Task sets of a service at most. **Source:** ECS' refusal of a sixth.
const TASK_SETS_MAX: usize = 5;

/// A task set, and whether it is the PRIMARY one.
#[derive(Clone, Debug)]
pub(super) struct TaskSetItem {
    pub(super) spec: TaskSetSpec,
    pub(super) is_primary: bool,
}

/// Reads `deployment_controller`.
pub(super) fn read_controller(at: &Table<'_>) -> DeploymentController {
    at.word("deployment_controller", &CONTROLLERS).unwrap_or_default()
}

/// What a service's controller excludes of the rest of it. **Source:** ecs-semantics §5.1, §5.7, §5.8, §5.10.
pub(super) fn apply_controller(at: &Table<'_>, spec: &mut ServiceSpec) {
    let controller = spec.deployment_controller;
    let shown = controller.as_str();
    if controller != DeploymentController::External {
        if at.has("task_set") {
            at.reject("task_set", "task sets need deployment_controller = \"EXTERNAL\"");
        }
    } else {
        for key in ["task_definition", "launch_type", "capacity_provider_strategy"] {
            if at.has(key) {
                at.reject(key, format!("{key} is each task set's where the deployment_controller is \"EXTERNAL\""));
            }
        }
        if at.has("availability_zone_rebalancing") {
            at.reject(
                "availability_zone_rebalancing",
                "the tasks of an EXTERNAL service are not moved between zones: leave it out",
            );
        }
    }
    if !controller.has_task_sets() {
        return;
    }
    if spec.scheduling_strategy == SchedulingStrategy::Daemon {
        at.reject("scheduling_strategy", format!("a DAEMON service cannot have the deployment_controller \"{shown}\""));
    }
    let Some(configuration) = at.table("deployment_configuration", &DEPLOYMENT_CONFIGURATION) else { return };
    for key in ["strategy", "deployment_circuit_breaker", "alarms", "bake_time_in_minutes", "early_success_criteria"] {
        if configuration.has(key) {
            configuration.reject(key, format!("{key} is of the deployment_controller \"ECS\", not of \"{shown}\""));
        }
    }
}

/// Reads the task sets of all services, service by service.
pub(super) fn read_task_sets<'a>(root: &Table<'a>, services: &[Asked<'a, ServiceSpec>]) -> Vec<Asked<'a, TaskSetItem>> {
    let mut all = Vec::new();
    for (service, at) in services.iter().zip(root.tables("service", &SERVICE)) {
        let name = &service.read.item.name;
        let mut sets: Vec<Asked<'a, TaskSetItem>> = Vec::new();
        for at in at.tables("task_set", &TASK_SET) {
            let set = read_task_set(at, name);
            let external_id = &set.read.item.spec.external_id;
            if external_id.is_some() && sets.iter().any(|other| other.read.item.spec.external_id == *external_id) {
                let shown = quoted(external_id.as_deref().unwrap_or_default());
                set.read.at.reject("external_id", format!("task set {shown} is defined twice in service \"{name}\""));
            }
            if set.read.item.is_primary && sets.iter().any(|other| other.read.item.is_primary) {
                set.read.at.reject("primary", format!("service \"{name}\" has another primary task set"));
            }
            sets.push(set);
        }
        if sets.len() > TASK_SETS_MAX {
            at.reject("task_set", format!("{} task sets are too many: at most {TASK_SETS_MAX}", sets.len()));
        }
        all.append(&mut sets);
    }
    all
}

fn read_task_set<'a>(at: Table<'a>, service: &Arc<str>) -> Asked<'a, TaskSetItem> {
    let launch = read_launch(&at);
    let (item, soundness) = at.watched(|| TaskSetItem {
        spec: TaskSetSpec {
            service: service.clone(),
            task_definition: read_task_definition_ref(&at),
            launch_target: launch.target,
            scale: read_scale(&at),
            external_id: at.name("external_id").map(Arc::from),
            tags: read_tags(&at),
            client_token: None,
            document: Document::default(),
        },
        is_primary: at.boolean("primary").unwrap_or_default(),
    });
    Asked { read: Read { item, at, soundness }, strategy: launch.items }
}

/// *Ours:* it has to be said. ECS' default is 0 %, a set without tasks.
fn read_scale(at: &Table<'_>) -> Scale {
    let read = || {
        let value = at.need("scale")?;
        let thousandths = value.thousandths()?;
        let scale = u32::try_from(thousandths).ok().map(Scale).filter(|scale| *scale <= Scale::ALL);
        if scale.is_none() {
            value.reject("scale is a percentage of the service's desired_count: from 0 to 100");
        }
        scale
    };
    read().unwrap_or_default()
}
