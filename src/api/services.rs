//! Services: CreateService, UpdateService, DeleteService, DescribeServices, ListServices, ListServicesByNamespace.
//!
//! **Source:** ecs-semantics §5.5, §11.3.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::launch::{cluster_strategy, ecs_managed_tags, launch_target, placement_strategy, propagate_tags};
use super::load_balancers::{self, LOAD_BALANCERS};
use super::members::Members;
use super::names::{cluster_in, is_name, last_part};
use super::page::{SHORT_PAGES, page};
use super::region::LiveCluster;
use super::service_answer::show_service;
use super::task_answer::TagsShown;
use super::task_definition_document::placement_constraints;
use super::{Call, deployment_configuration, missing, tags_of, task_definitions};
use crate::control_plane::event::{Deletion, NewDeployment, Request, UpdateService};
use crate::control_plane::state::ServiceStatus;
use crate::model::document::Document;
use crate::model::service::{AvailabilityZoneRebalancing, SchedulingStrategy, ServiceSpec};
use crate::model::task_definition::TaskDefinitionRef;
use crate::model::task_set::DeploymentController;

/// The longest `clientToken`. **Source:** ecs-semantics §1.3.
const CLIENT_TOKEN_MAX: usize = 36;
/// Services that one DescribeServices names at most. **Source:** ecs-semantics §11.3.
const DESCRIBED_MAX: usize = 10;
/// Members that mean nothing here, the subnets of a network apart, and are given back.
const STORED: [&str; 10] = [
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "platformVersion",
    "role",
    "enableExecuteCommand",
];
/// Those among them that start a deployment when they change. **Source:** ecs-semantics §5.5.
const DEPLOYED: [&str; 7] = [
    "platformVersion",
    "networkConfiguration",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

/// CreateService.
pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let live = region.cluster(input.text("cluster"))?;
    super::launch::check_client_token(input, CLIENT_TOKEN_MAX)?;
    let name = input.required_text("serviceName");
    if !is_name(name) {
        return Err(ApiError::invalid_parameter(
            "Service name must be 1 to 255 letters (uppercase and lowercase), numbers, hyphens, and underscores.",
        ));
    }
    let scheduling_strategy = match input.text("schedulingStrategy") {
        Some("DAEMON") => SchedulingStrategy::Daemon,
        _ => SchedulingStrategy::Replica,
    };
    let desired_count = desired_count(input)?;
    if desired_count.is_none() && scheduling_strategy == SchedulingStrategy::Replica {
        return Err(ApiError::invalid_parameter(
            "The desired count of a service with the REPLICA strategy is required.",
        ));
    }
    let deployment_controller = controller(input);
    let task_definition = match input.text("taskDefinition") {
        Some(named) => task_definitions::hand_over(region, &live, named)?,
        // Its task sets have theirs.
        None if deployment_controller == DeploymentController::External => TaskDefinitionRef::default(),
        None => return Err(ApiError::invalid_parameter("TaskDefinition is required.")),
    };
    let before = deployment_configuration::default_of(scheduling_strategy);
    let deployment_configuration = match input.structure("deploymentConfiguration") {
        Some(sent) => deployment_configuration::read(sent, &before, &region.registry())?,
        None => before,
    };
    let load_balancers = load_balancers::read(&live, input)?;
    let spec = ServiceSpec {
        name: name.into(),
        task_definition,
        desired_count: desired_count.unwrap_or(0),
        launch_target: launch_target(region, &live, input)?,
        deployment_configuration,
        placement_strategy: placement_strategy(input)?,
        placement_constraints: placement_constraints(input.structures("placementConstraints"))?,
        scheduling_strategy,
        deployment_controller,
        availability_zone_rebalancing: rebalancing(input).unwrap_or_default(),
        auto_scaling: None,
        tags: tags_of(input.list("tags")),
        propagate_tags: propagate_tags(input),
        health_check_grace_period: grace_period(input).unwrap_or_default(),
        monitoring: match input.structure("monitoring") {
            Some(sent) => deployment_configuration::read_monitoring(sent)?,
            None => Default::default(),
        },
        ecs_managed_tags: ecs_managed_tags(input).unwrap_or_default(),
        client_token: input.text("clientToken").map(Arc::from),
        document: Document::from(input.only(&STORED)),
        load_balancers,
    };
    let name: Arc<str> = spec.name.clone();
    let is_there = live.cluster.read({
        let name = name.clone();
        move |state, _| state.services.get(&name).is_some_and(|service| service.status == ServiceStatus::Active)
    })?;
    let mut answer = asked(&live, &name, Request::CreateService(Box::new(spec)))?;
    if is_there {
        // The same request again.
        return Ok(answer);
    }
    // ECS answers before its scheduler has done anything.
    let service = &mut answer["service"];
    for path in ["", "/deployments/0"] {
        if let Some(Value::Object(counts)) = service.pointer_mut(path) {
            counts.insert("pendingCount".into(), json!(0));
            counts.insert("runningCount".into(), json!(0));
        }
    }
    service["events"] = json!([]);
    Ok(answer)
}

/// UpdateService.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let named = input.required_text("service");
    let live = region.cluster(input.text("cluster").or(cluster_in(named)))?;
    let name: Arc<str> = last_part(named).into();
    let known = live.cluster.read({
        let name = name.clone();
        move |state, context| {
            let service = state.services.get(&name)?;
            let shown = load_balancers::of_file(&service.spec.load_balancers, &context.arns.region);
            let spec = &service.spec;
            Some((service.status, spec.document.clone(), spec.deployment_configuration.clone(), shown))
        }
    })?;
    let (status, document, configuration, load_balancers) = known.ok_or_else(ApiError::service_not_found)?;
    if status != ServiceStatus::Active {
        return Err(ApiError::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let task_definition = match input.text("taskDefinition") {
        Some(named) => Some(task_definitions::hand_over(region, &live, named)?),
        None => None,
    };
    let deployment_configuration = match input.structure("deploymentConfiguration") {
        Some(sent) => Some(deployment_configuration::read(sent, &configuration, &region.registry())?),
        None => None,
    };
    let mut members: Map<String, Value> =
        document.members().map(|(name, value)| (name.clone(), value.clone())).collect();
    let sent = input.only(&STORED);
    // What a cluster file says is not sent anew when it is sent as it was answered.
    let known = |name: &str| members.get(name).or((name == LOAD_BALANCERS).then_some(&load_balancers));
    let is_other = |name: &str, value: &Value| known(name).unwrap_or(&Value::Null) != value;
    let has_changed = DEPLOYED.iter().any(|name| sent.get(*name).is_some_and(|value| is_other(name, value)));
    members.extend(sent);
    let load_balancers = input.has(LOAD_BALANCERS).then(|| load_balancers::read(&live, input)).transpose()?;
    // Those that are the real thing are shown as they are, whoever changes them next.
    let real = load_balancers.as_ref().map(|real| load_balancers::of_file(real, &live.arns.region));
    if real.is_some() && members.get(LOAD_BALANCERS) == real.as_ref() {
        members.remove(LOAD_BALANCERS);
    }
    let update = UpdateService {
        service: name.clone(),
        desired_count: desired_count(input)?,
        task_definition,
        deployment_configuration,
        placement_strategy: input.has("placementStrategy").then(|| placement_strategy(input)).transpose()?,
        placement_constraints: input
            .has("placementConstraints")
            .then(|| placement_constraints(input.structures("placementConstraints")))
            .transpose()?,
        capacity_provider_strategy: input
            .has("capacityProviderStrategy")
            .then(|| cluster_strategy(region, &live, input))
            .transpose()?,
        health_check_grace_period: grace_period(input),
        propagate_tags: input.has("propagateTags").then(|| propagate_tags(input)),
        ecs_managed_tags: ecs_managed_tags(input),
        monitoring: input.structure("monitoring").map(deployment_configuration::read_monitoring).transpose()?,
        availability_zone_rebalancing: rebalancing(input),
        load_balancers,
        document: Some(Document::from(members)),
        new_deployment: match input.flag("forceNewDeployment") {
            Some(true) => NewDeployment::Forced,
            _ if has_changed => NewDeployment::DocumentChanged,
            _ => NewDeployment::WhenChanged,
        },
    };
    asked(&live, &name, Request::UpdateService(Box::new(update)))
}

/// Asks for something of a service and answers it as it is right then.
fn asked(live: &LiveCluster, name: &str, request: Request) -> Result<Value, ApiError> {
    let name: Arc<str> = name.into();
    let service = live.cluster.ask_then(request, move |_, state, context| {
        state.services.get(&name).map(|service| show_service(service, context, TagsShown::Yes))
    })?;
    Ok(json!({"service": service.ok_or_else(ApiError::service_not_found)?}))
}

fn controller(input: Members<'_>) -> DeploymentController {
    match input.structure("deploymentController").and_then(|found| found.text("type")) {
        Some("CODE_DEPLOY") => DeploymentController::CodeDeploy,
        Some("EXTERNAL") => DeploymentController::External,
        _ => DeploymentController::Ecs,
    }
}

fn desired_count(input: Members<'_>) -> Result<Option<u32>, ApiError> {
    let count = input.integer("desiredCount").map(|count| {
        u32::try_from(count).map_err(|_| ApiError::invalid_parameter("The desired count must not be negative."))
    });
    count.transpose()
}

fn grace_period(input: Members<'_>) -> Option<Duration> {
    input.count("healthCheckGracePeriodSeconds").map(|seconds| Duration::from_secs(seconds.into()))
}

fn rebalancing(input: Members<'_>) -> Option<AvailabilityZoneRebalancing> {
    input.text("availabilityZoneRebalancing").map(|value| match value {
        "DISABLED" => AvailabilityZoneRebalancing::Disabled,
        _ => AvailabilityZoneRebalancing::Enabled,
    })
}

/// DeleteService.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let named = input.required_text("service");
    let live = call.region.cluster(input.text("cluster").or(cluster_in(named)))?;
    let name = last_part(named);
    let deletion = if input.flag("force") == Some(true) { Deletion::Forced } else { Deletion::WhenScaledToZero };
    let mut answer = asked(&live, name, Request::DeleteService { service: name.into(), deletion })?;
    // ECS answers before its scheduler has done anything.
    answer["service"]["status"] = json!(ServiceStatus::Draining.as_str());
    Ok(answer)
}

/// DescribeServices. **Source:** ecs-semantics §11.3.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let named: Vec<String> = input.texts("services").map(str::to_owned).collect();
    if named.is_empty() {
        return Err(ApiError::invalid_parameter("Services cannot be empty."));
    }
    if named.len() > DESCRIBED_MAX {
        return Err(ApiError::invalid_parameter(format!("Services can have at most {DESCRIBED_MAX} items.")));
    }
    let tags = TagsShown::of(input);
    let answer = live.cluster.read(move |state, context| {
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for named in &named {
            let is_here = cluster_in(named).is_none_or(|cluster| *cluster == *context.arns.cluster);
            match state.services.get(last_part(named)).filter(|_| is_here) {
                Some(service) => services.push(show_service(service, context, tags)),
                None if named.starts_with("arn:") => failures.push(missing(named.as_str())),
                None => failures.push(missing(context.arns.service(named))),
            }
        }
        json!({"services": services, "failures": failures})
    })?;
    Ok(answer)
}

/// ListServices: those that are ACTIVE. **Source:** ecs-semantics §5.5, §11.3.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let live = call.region.cluster(call.input.text("cluster"))?;
    let input: Map<String, Value> = call.input.0.clone();
    let listed = live.cluster.read(move |state, context| {
        let input = Members(&input);
        let (launch_type, scheduling) = (input.text("launchType"), input.text("schedulingStrategy"));
        let services = state.services.iter().filter(|(_, service)| {
            service.status == ServiceStatus::Active
                && launch_type.is_none_or(|name| service.launch_type().as_str() == name)
                && scheduling.is_none_or(|name| service.spec.scheduling_strategy.as_str() == name)
        });
        let services = services.map(|(name, _)| (name.to_string(), name));
        page(input, SHORT_PAGES, "serviceArns", services, |name| json!(context.arns.service(name)))
    })?;
    listed.map(Value::Object)
}

/// ListServicesByNamespace: the services whose Service Connect configuration names it. *Ours:* a namespace is there when one does.
pub(super) fn list_by_namespace(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted = call.input.required_text("namespace").to_owned();
    let mut found: Vec<(String, String)> = Vec::new();
    for live in call.region.clusters() {
        let wanted = wanted.clone();
        found.extend(live.cluster.read(move |state, context| {
            let services = state.services.iter().filter(|(_, service)| {
                let connect = service.spec.document.member("serviceConnectConfiguration");
                let namespace = connect.and_then(|connect| connect["namespace"].as_str());
                service.status == ServiceStatus::Active
                    && namespace.is_some_and(|name| last_part(name) == last_part(&wanted))
            });
            services.map(|(name, _)| context.arns.service(name)).map(|arn| (arn.clone(), arn)).collect::<Vec<_>>()
        })?);
    }
    if found.is_empty() {
        return Err(ApiError::new("NamespaceNotFoundException", "The namespace wasn't found."));
    }
    found.sort();
    Ok(Value::Object(page(call.input, SHORT_PAGES, "serviceArns", found, Value::String)?))
}
