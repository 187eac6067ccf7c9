//! A service, its deployments and its events as they are answered.
//!
//! **Source:** ecs-semantics §11.6, and the outputs that the AWS CLI's manual shows.

use serde_json::{Map, Value, json};

use super::launch::{show_placement_strategy, show_strategy};
use super::load_balancers::{self, LOAD_BALANCERS};
use super::task_answer::{PLATFORM_VERSION, TagsShown};
use super::task_sets::show as show_task_set;
use super::{deployment_configuration, seconds, show_tags};
use crate::control_plane::state::{Deployment, DeploymentStatus, Service, ServiceEvent};
use crate::driver::reads::ReadContext;
use crate::model::capacity::LaunchTarget;
use crate::model::document::Document;
use crate::model::service::{
    AvailabilityZoneRebalancing, EcsManagedTags, PlacementConstraint, PropagateTags, SchedulingStrategy,
};
use crate::model::task_definition::LaunchType;

/// The role that ECS has in every account.
const SERVICE_ROLE: &str = "arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
/// Members that a deployment has of its own.
const OF_DEPLOYMENTS: [&str; 4] =
    ["networkConfiguration", "serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"];

/// `arn:...:service-deployment/CLUSTER/SERVICE/ID`. **Source:** ecs-semantics §1.2.
pub(super) fn service_deployment_arn(context: &ReadContext<'_>, service: &str, id: &str) -> String {
    format!("{}/{id}", context.arns.service(service).replacen(":service/", ":service-deployment/", 1))
}

/// `arn:...:service-revision/CLUSTER/SERVICE/ID`. **Source:** ecs-semantics §1.2.
pub(super) fn service_revision_arn(context: &ReadContext<'_>, service: &str, id: &str) -> String {
    format!("{}/{id}", context.arns.service(service).replacen(":service/", ":service-revision/", 1))
}

/// A service.
pub(super) fn show_service(service: &Service, context: &ReadContext<'_>, tags: TagsShown) -> Value {
    let (spec, arns) = (&service.spec, context.arns);
    let document = &spec.document;
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("serviceArn", json!(arns.service(&spec.name)));
    put("serviceName", json!(spec.name));
    put("clusterArn", json!(arns.cluster()));
    put("status", json!(service.status.as_str()));
    put("desiredCount", json!(spec.desired_count));
    put("runningCount", json!(service.running_count()));
    put("pendingCount", json!(service.pending_count()));
    let primary = service.primary_if_any();
    put("taskDefinition", json!(primary.map(|primary| arns.task_definition(&primary.task_definition))));
    put("deploymentConfiguration", deployment_configuration::show(&spec.deployment_configuration));
    // Task sets are deployments that are not rolled out: they are shown as what they are.
    let rolled_out = || service.deployments.iter().filter(|deployment| deployment.task_set.is_none());
    put("deployments", rolled_out().map(|found| show_deployment(service, found, context)).collect());
    put("taskSets", service.task_sets().iter().map(|set| show_task_set(set, context, tags)).collect());
    put("events", service.events.iter().rev().map(|event| show_event(event, context)).collect());
    put("createdAt", seconds(context.calendar_start, service.created_at));
    put("createdBy", json!(super::PRINCIPAL_ARN));
    put("roleArn", document.member("role").cloned().unwrap_or(json!(SERVICE_ROLE)));
    put("placementConstraints", spec.placement_constraints.iter().map(show_constraint).collect());
    put("placementStrategy", show_placement_strategy(&spec.placement_strategy));
    put("schedulingStrategy", json!(spec.scheduling_strategy.as_str()));
    put("deploymentController", json!({"type": spec.deployment_controller.as_str()}));
    put("enableECSManagedTags", json!(spec.ecs_managed_tags == EcsManagedTags::Enabled));
    put("enableExecuteCommand", document.member("enableExecuteCommand").cloned().unwrap_or(json!(false)));
    let propagated = match spec.propagate_tags {
        PropagateTags::None => "NONE",
        PropagateTags::TaskDefinition => "TASK_DEFINITION",
        PropagateTags::Service => "SERVICE",
    };
    put("propagateTags", json!(propagated));
    put(
        "availabilityZoneRebalancing",
        json!(match spec.availability_zone_rebalancing {
            AvailabilityZoneRebalancing::Enabled => "ENABLED",
            AvailabilityZoneRebalancing::Disabled => "DISABLED",
        }),
    );
    let registries = "serviceRegistries";
    put(registries, document.member(registries).cloned().unwrap_or(json!([])));
    put(LOAD_BALANCERS, load_balancers::show(document.member(LOAD_BALANCERS), &spec.load_balancers, context));
    if let Some(network) = document.member("networkConfiguration") {
        put("networkConfiguration", network.clone());
    }
    let has_load_balancers = document.member(LOAD_BALANCERS).is_some() || !spec.load_balancers.is_empty();
    if has_load_balancers || !spec.health_check_grace_period.is_zero() {
        put("healthCheckGracePeriodSeconds", json!(spec.health_check_grace_period.as_secs()));
    }
    if spec.scheduling_strategy == SchedulingStrategy::Replica || tags == TagsShown::Yes {
        put("tags", if tags == TagsShown::Yes { show_tags(&spec.tags) } else { json!([]) });
    }
    if let Some(last) = service.service_deployments.back() {
        let id = arns.ids.service_deployment(last.id);
        put("currentServiceDeployment", json!(service_deployment_arn(context, &spec.name, &id)));
    }
    put("currentServiceRevisions", rolled_out().map(|found| show_revision(service, found, context)).collect());
    show_target(&mut shown, &spec.launch_target, document);
    Value::Object(shown)
}

/// The launch type or the strategy, and what belongs to Fargate.
pub(super) fn show_target(shown: &mut Map<String, Value>, target: &LaunchTarget, document: &Document) {
    match target {
        LaunchTarget::LaunchType(launch_type) => drop(shown.insert("launchType".into(), json!(launch_type.as_str()))),
        LaunchTarget::Strategy(items) => drop(shown.insert("capacityProviderStrategy".into(), show_strategy(items))),
        LaunchTarget::ClusterDefault => {}
    }
    if target.launch_type() == Some(LaunchType::Fargate) {
        let version = document.member("platformVersion").cloned().unwrap_or(json!("LATEST"));
        shown.insert("platformVersion".into(), version);
        shown.insert("platformFamily".into(), json!("Linux"));
    }
}

fn show_deployment(service: &Service, deployment: &Deployment, context: &ReadContext<'_>) -> Value {
    let document = &deployment.revision.document;
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("id", json!(&*deployment.shown_id));
    put("status", json!(deployment.status.as_str()));
    put("taskDefinition", json!(context.arns.task_definition(&deployment.task_definition)));
    put("desiredCount", json!(desired_of(service, deployment)));
    put("pendingCount", json!(deployment.pending_count()));
    put("runningCount", json!(deployment.running_count()));
    put("failedTasks", json!(deployment.failed_tasks));
    put("createdAt", seconds(context.calendar_start, deployment.created_at));
    put("updatedAt", seconds(context.calendar_start, deployment.updated_at));
    put("rolloutState", json!(deployment.rollout_state.as_str()));
    put("rolloutStateReason", json!(&*deployment.rollout_state_reason));
    for member in OF_DEPLOYMENTS {
        if let Some(value) = document.member(member) {
            put(member, value.clone());
        }
    }
    show_target(&mut shown, &deployment.revision.launch_target, document);
    if shown.get("platformVersion") == Some(&json!("LATEST")) {
        shown.insert("platformVersion".into(), json!(PLATFORM_VERSION));
    }
    Value::Object(shown)
}

/// What a deployment is to have: the primary one all, the others what they still have.
fn desired_of(service: &Service, deployment: &Deployment) -> u32 {
    match deployment.status {
        DeploymentStatus::Primary => service.spec.desired_count,
        _ => deployment.placed_count(),
    }
}

fn show_revision(service: &Service, deployment: &Deployment, context: &ReadContext<'_>) -> Value {
    let id = context.arns.ids.service_revision(deployment.revision.id);
    json!({
        "arn": service_revision_arn(context, &service.spec.name, &id),
        "requestedTaskCount": desired_of(service, deployment),
        "runningTaskCount": deployment.running_count(),
        "pendingTaskCount": deployment.pending_count(),
    })
}

/// A service event. *Ours:* its id is made of what it says and when.
fn show_event(event: &ServiceEvent, context: &ReadContext<'_>) -> Value {
    let hash = event
        .message
        .bytes()
        .fold(event.at.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    json!({
        "id": context.arns.ids.event(hash),
        "createdAt": seconds(context.calendar_start, event.at),
        "message": &*event.message,
    })
}

/// A placement constraint.
pub(super) fn show_constraint(constraint: &PlacementConstraint) -> Value {
    match constraint {
        PlacementConstraint::DistinctInstance => json!({"type": "distinctInstance"}),
        PlacementConstraint::MemberOf(query) => json!({"type": "memberOf", "expression": query.to_string()}),
    }
}
