//! `[[service]]`: what is kept running, within which bounds, and how it scales.

use std::sync::Arc;

use super::auto_scaling::read_auto_scaling;
use super::deployment::read_deployment_configuration;
use super::document::{Asked, Read};
use super::keys::SERVICE;
use super::launch::{SERVICE_TAG_SOURCES, read_launch, read_placement_constraints, read_placement_strategy};
use super::load_balancers::read_load_balancers;
use super::monitoring::{check_resolutions, read_monitoring};
use super::reader::Table;
use super::scheduling::{apply_scheduling, read_desired_count, read_scheduling_strategy};
use super::subnets::read_network_configuration;
use super::tags::read_tags;
use super::task_sets::{apply_controller, read_controller};
use crate::model::service::ServiceSpec;
use crate::model::task_definition::TaskDefinitionRef;
use crate::model::task_set::DeploymentController;
use crate::model::units::Duration;

/// Reads the services.
pub(super) fn read_services<'a>(root: &Table<'a>) -> Vec<Asked<'a, ServiceSpec>> {
    let mut services: Vec<Asked<'a, ServiceSpec>> = Vec::new();
    for at in root.tables("service", &SERVICE) {
        let service = read_service(at);
        let name = &service.read.item.name;
        if !name.is_empty() && services.iter().any(|earlier| earlier.read.item.name == *name) {
            service.read.at.reject("name", format!("service \"{name}\" is defined twice"));
        }
        services.push(service);
    }
    services
}

fn read_service(at: Table<'_>) -> Asked<'_, ServiceSpec> {
    let launch = read_launch(&at);
    let (item, soundness) = at.watched(|| {
        let name = at.name("name").unwrap_or_default();
        let deployment_controller = read_controller(&at);
        let task_definition = match deployment_controller {
            DeploymentController::External => TaskDefinitionRef::default(),
            DeploymentController::Ecs | DeploymentController::CodeDeploy => read_task_definition_ref(&at),
        };
        let scheduling_strategy = read_scheduling_strategy(&at);
        let desired_count = read_desired_count(&at, scheduling_strategy);
        let mut spec = ServiceSpec {
            name: Arc::from(name),
            deployment_controller,
            task_definition,
            desired_count,
            launch_target: launch.target,
            deployment_configuration: read_deployment_configuration(&at),
            placement_strategy: read_placement_strategy(&at),
            placement_constraints: read_placement_constraints(&at),
            scheduling_strategy,
            auto_scaling: read_auto_scaling(&at),
            tags: read_tags(&at),
            health_check_grace_period: read_grace_period(&at),
            propagate_tags: at.word("propagate_tags", &SERVICE_TAG_SOURCES).unwrap_or_default(),
            monitoring: read_monitoring(&at),
            load_balancers: read_load_balancers(&at),
            document: read_network_configuration(&at),
            ..ServiceSpec::default()
        };
        apply_scheduling(&at, &mut spec);
        apply_controller(&at, &mut spec);
        check_resolutions(&at, spec.monitoring, spec.auto_scaling.as_ref());
        spec
    });
    Asked { read: Read { item, at, soundness }, strategy: launch.items }
}

/// Reads `task_definition`: `family` or `family:revision`; an empty family when it cannot be read.
pub(super) fn read_task_definition_ref(at: &Table<'_>) -> TaskDefinitionRef {
    let read = || {
        let value = at.need("task_definition")?;
        let text = value.string()?;
        let Some((family, revision)) = text.split_once(':') else {
            return Some(TaskDefinitionRef { family: text.to_owned(), revision: None });
        };
        match revision.parse::<u32>() {
            Ok(revision) if revision > 0 => {
                Some(TaskDefinitionRef { family: family.to_owned(), revision: Some(revision) })
            }
            _ => {
                value.reject(format!("\"{revision}\" is not a revision: write FAMILY or FAMILY:NUMBER"));
                None
            }
        }
    };
    read().unwrap_or_else(|| TaskDefinitionRef { family: String::new(), revision: None })
}

/// Whole seconds, as ECS has them. **Source:** ecs-semantics §5.4.
fn read_grace_period(at: &Table<'_>) -> Duration {
    let seconds = at.u32("health_check_grace_period_seconds", 0..=2_147_483_647);
    Duration::from_secs(u64::from(seconds.unwrap_or_default()))
}
