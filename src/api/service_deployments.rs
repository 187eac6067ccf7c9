//! Service deployments and revisions: DescribeServiceDeployments, ListServiceDeployments, StopServiceDeployment,
//! ContinueServiceDeployment, DescribeServiceRevisions.
//!
//! **Source:** ecs-semantics §5.8, §11.3.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::load_balancers::{self, LOAD_BALANCERS};
use super::members::Members;
use super::names::{cluster_in, last_part};
use super::page::{PageSizes, page};
use super::region::{LiveCluster, Region};
use super::service_answer::{service_deployment_arn, service_revision_arn, show_target};
use super::task_answer::PLATFORM_VERSION;
use super::{Call, deployment_configuration, missing, seconds};
use crate::control_plane::deployment_records::{HookRecord, ServiceDeployment, ServiceRevision};
use crate::control_plane::event::Request;
use crate::control_plane::state::{ClusterState, DeploymentStatus, Service};
use crate::driver::reads::ReadContext;
use crate::model::deployment::StopType;
use crate::model::deployment_hook::ContinueAction;
use crate::model::ids::{HookId, ServiceDeploymentId};
use crate::model::traffic::TrafficWeight;

/// What one request describes at most. **Source:** ecs-semantics §11.3.
const DESCRIBED_MAX: usize = 20;
/// **Source:** ecs-semantics §11.3.
const PAGES: PageSizes = PageSizes { default: 20, most: 100 };
/// Members of a revision that are its service's, as they were sent.
const OF_REVISIONS: [&str; 7] = [
    "loadBalancers",
    "serviceRegistries",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
];

/// The service in `arn:...:service-deployment/CLUSTER/SERVICE/ID`.
fn service_in(arn: &str) -> Option<&str> {
    arn.rsplit('/').nth(1).filter(|_| arn.starts_with("arn:"))
}

/// The cluster and the service that an ARN names.
fn place_of(region: &Region, arn: &str) -> Option<(Arc<LiveCluster>, Arc<str>)> {
    let live = region.cluster(Some(cluster_in(arn)?)).ok()?;
    Some((live, service_in(arn)?.into()))
}

/// DescribeServiceDeployments.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let show = |state: &ClusterState, context: &ReadContext<'_>, name: &str, id: &str| {
        let service = state.services.get(name)?;
        let records = &service.service_deployments;
        let record = records.iter().find(|record| context.arns.ids.service_deployment(record.id) == id)?;
        Some(show_service_deployment(service, record, context))
    };
    describe_each(call, "serviceDeploymentArns", "serviceDeployments", show)
}

/// DescribeServiceRevisions.
pub(super) fn describe_revisions(call: &Call<'_>) -> Result<Value, ApiError> {
    let show = |state: &ClusterState, context: &ReadContext<'_>, name: &str, id: &str| {
        let service = state.services.get(name)?;
        let found = service.revisions().find(|revision| context.arns.ids.service_revision(revision.id) == id)?;
        Some(show_service_revision(service, found, context))
    };
    describe_each(call, "serviceRevisionArns", "serviceRevisions", show)
}

/// Looks each ARN of a list up in its cluster.
fn describe_each(
    call: &Call<'_>,
    list: &str,
    answered: &str,
    show: impl Fn(&ClusterState, &ReadContext<'_>, &str, &str) -> Option<Value> + Copy + Send + 'static,
) -> Result<Value, ApiError> {
    let named: Vec<&str> = call.input.texts(list).collect();
    if named.len() > DESCRIBED_MAX {
        return Err(ApiError::invalid_parameter(format!("{list} can have at most {DESCRIBED_MAX} items.")));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in named {
        let shown = place_of(call.region, arn).and_then(|(live, name)| {
            let id = last_part(arn).to_owned();
            live.cluster.read(move |state, context| show(state, context, &name, &id)).ok()?
        });
        match shown {
            Some(shown) => found.push(shown),
            None => failures.push(missing(arn)),
        }
    }
    let mut answer = Map::new();
    answer.insert(answered.to_owned(), Value::Array(found));
    answer.insert("failures".to_owned(), Value::Array(failures));
    Ok(Value::Object(answer))
}

/// ListServiceDeployments: the newest first.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let named = call.input.required_text("service");
    let live = call.region.cluster(call.input.text("cluster").or(cluster_in(named)))?;
    let name: Arc<str> = last_part(named).into();
    let input: Map<String, Value> = call.input.0.clone();
    let listed = live.cluster.read(move |state, context| {
        let service = state.services.get(&name).ok_or_else(ApiError::service_not_found)?;
        list_of(Members(&input), service, context)
    })?;
    listed.map(Value::Object)
}

fn list_of(input: Members<'_>, service: &Service, context: &ReadContext<'_>) -> Result<Map<String, Value>, ApiError> {
    let statuses: Vec<&str> = input.texts("status").collect();
    let created = input.structure("createdAt");
    let bound = |name: &str| created.and_then(|created| created.value(name)).and_then(Value::as_f64);
    let (after, before) = (bound("after"), bound("before"));
    let records = service.service_deployments.iter().rev().filter(|record| {
        let at = seconds(context.calendar_start, record.created_at).as_f64().unwrap_or_default();
        (statuses.is_empty() || statuses.contains(&record.status.as_str()))
            && after.is_none_or(|after| at >= after)
            && before.is_none_or(|before| at <= before)
    });
    // Ids count up, and the list goes down.
    let records = records.map(|record| (format!("{:020}", u64::MAX - record.id.0), record));
    page(input, PAGES, "serviceDeployments", records, |record| {
        let mut shown = show_brief(service, record, context);
        let revision = context.arns.ids.service_revision(record.target.id);
        shown.insert(
            "targetServiceRevisionArn".into(),
            json!(service_revision_arn(context, &service.spec.name, &revision)),
        );
        Value::Object(shown)
    })
}

/// What a list shows of a service deployment, and a description too.
fn show_brief(service: &Service, record: &ServiceDeployment, context: &ReadContext<'_>) -> Map<String, Value> {
    let (arns, name) = (context.arns, &service.spec.name);
    let moment = |at| seconds(context.calendar_start, at);
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("serviceDeploymentArn", json!(service_deployment_arn(context, name, &arns.ids.service_deployment(record.id))));
    put("serviceArn", json!(arns.service(name)));
    put("clusterArn", json!(arns.cluster()));
    put("createdAt", moment(record.created_at));
    put("startedAt", record.started_at.map_or(Value::Null, moment));
    put("finishedAt", record.finished_at.map_or(Value::Null, moment));
    put("status", json!(record.status.as_str()));
    put("statusReason", json!(record.status_reason.as_deref()));
    shown
}

fn show_service_deployment(service: &Service, record: &ServiceDeployment, context: &ReadContext<'_>) -> Value {
    let moment = |at| seconds(context.calendar_start, at);
    let name = &service.spec.name;
    let revision = |revision: &Arc<ServiceRevision>| show_revision_summary(service, revision, context);
    let mut shown = show_brief(service, record, context);
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("stoppedAt", record.stopped_at.map_or(Value::Null, moment));
    put("updatedAt", moment(record.updated_at));
    put("sourceServiceRevisions", record.source.iter().map(revision).collect());
    put("targetServiceRevision", revision(&record.target));
    put("lifecycleStage", json!(record.lifecycle_stage.map(|stage| stage.shown().as_str())));
    put("lifecycleHookDetails", record.lifecycle_hooks.iter().map(|hook| show_hook(hook, context)).collect());
    put("deploymentConfiguration", deployment_configuration::show(&record.configuration));
    put(
        "deploymentCircuitBreaker",
        json!({
            "status": record.circuit_breaker.status.as_str(),
            "failureCount": record.circuit_breaker.failure_count,
            "threshold": record.circuit_breaker.threshold,
        }),
    );
    let watched = record.configuration.alarms.as_ref().map(|alarms| &alarms.alarm_names);
    let triggered = Some(&record.alarms.triggered).filter(|names| !names.is_empty());
    put(
        "alarms",
        json!({
            "status": record.alarms.status.as_str(),
            "alarmNames": watched,
            "triggeredAlarmNames": triggered,
        }),
    );
    if let Some(rollback) = &record.rollback {
        let id = context.arns.ids.service_revision(rollback.revision.id);
        put(
            "rollback",
            json!({
                "reason": &*rollback.reason,
                "startedAt": moment(rollback.started_at),
                "serviceRevisionArn": service_revision_arn(context, name, &id),
            }),
        );
    }
    Value::Object(shown)
}

fn show_revision_summary(service: &Service, revision: &Arc<ServiceRevision>, context: &ReadContext<'_>) -> Value {
    let id = context.arns.ids.service_revision(revision.id);
    let running = service.deployments.iter().find(|deployment| deployment.revision.id == revision.id);
    let requested = running.map_or(0, |deployment| match deployment.status {
        DeploymentStatus::Primary => service.spec.desired_count,
        _ => deployment.placed_count(),
    });
    let percent = |weight: TrafficWeight| f64::from(weight.0) / 1000.0;
    let production = running.and_then(|deployment| service.traffic.production_of(deployment.id));
    let test = running.and_then(|deployment| service.traffic.test_of(deployment.id));
    json!({
        "arn": service_revision_arn(context, &service.spec.name, &id),
        "requestedTaskCount": requested,
        "runningTaskCount": running.map_or(0, |deployment| deployment.running_count()),
        "pendingTaskCount": running.map_or(0, |deployment| deployment.pending_count()),
        "requestedProductionTrafficWeight": production.map(percent),
        "requestedTestTrafficWeight": test.map(percent),
    })
}

fn show_hook(hook: &HookRecord, context: &ReadContext<'_>) -> Value {
    json!({
        "hookId": context.arns.ids.hook(hook.id),
        "targetType": hook.target.type_str(),
        "targetArn": deployment_configuration::target_arn(&hook.target),
        "status": hook.status.as_str(),
        "expiresAt": seconds(context.calendar_start, hook.expires_at),
    })
}

fn show_service_revision(service: &Service, revision: &ServiceRevision, context: &ReadContext<'_>) -> Value {
    let (arns, name) = (context.arns, &revision.service);
    let digests = service.image_digests.get(&revision.id).map_or(&[] as &[_], Vec::as_slice);
    let images = revision.task_definition.containers.iter().enumerate().map(|(index, container)| {
        let digest = digests.get(index).copied().flatten().map(String::from);
        json!({"containerName": container.name, "image": container.image, "imageDigest": digest})
    });
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("serviceRevisionArn", json!(service_revision_arn(context, name, &arns.ids.service_revision(revision.id))));
    put("serviceArn", json!(arns.service(name)));
    put("clusterArn", json!(arns.cluster()));
    put("taskDefinition", json!(arns.task_definition(&revision.task_definition)));
    put("containerImages", images.collect());
    put("guardDutyEnabled", json!(false));
    put("createdAt", seconds(context.calendar_start, revision.created_at));
    for member in OF_REVISIONS {
        if let Some(value) = revision.document.member(member) {
            put(member, value.clone());
        }
    }
    if !revision.load_balancers.is_empty() {
        let of_file = || load_balancers::of_file(&revision.load_balancers, &context.arns.region);
        shown.entry(LOAD_BALANCERS).or_insert_with(of_file);
        let resolved = load_balancers::resolved(&revision.target_groups, &context.arns.region);
        shown.insert("resolvedConfiguration".into(), resolved);
    }
    show_target(&mut shown, &revision.launch_target, &revision.document);
    if shown.get("platformVersion") == Some(&json!("LATEST")) {
        shown.insert("platformVersion".into(), json!(PLATFORM_VERSION));
    }
    Value::Object(shown)
}

/// A service deployment that a request names.
struct Known {
    live: Arc<LiveCluster>,
    id: ServiceDeploymentId,
    /// Its lifecycle hooks, by the id that clients see.
    hooks: Vec<(String, HookId)>,
}

/// The service deployment that an ARN names.
fn known(call: &Call<'_>, arn: &str) -> Result<Known, ApiError> {
    let not_found = || ApiError::new("ServiceDeploymentNotFoundException", "Service deployment not found.");
    let (live, name) = place_of(call.region, arn).ok_or_else(not_found)?;
    let id = last_part(arn).to_owned();
    let found = live.cluster.read(move |state, context| {
        let records = &state.services.get(&name)?.service_deployments;
        let record = records.iter().find(|record| context.arns.ids.service_deployment(record.id) == id)?;
        let hooks = record.lifecycle_hooks.iter().map(|hook| (context.arns.ids.hook(hook.id), hook.id));
        Some((record.id, hooks.collect()))
    })?;
    let (id, hooks) = found.ok_or_else(not_found)?;
    Ok(Known { live, id, hooks })
}

/// StopServiceDeployment.
pub(super) fn stop(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = call.input.required_text("serviceDeploymentArn");
    let Known { live, id: service_deployment, .. } = known(call, arn)?;
    let stop_type = if call.input.text("stopType") == Some("ABORT") { StopType::Abort } else { StopType::Rollback };
    live.cluster.ask(Request::StopServiceDeployment { service_deployment, stop_type })?;
    Ok(json!({"serviceDeploymentArn": arn}))
}

/// ContinueServiceDeployment.
pub(super) fn continue_at(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let arn = input.required_text("serviceDeploymentArn");
    let Known { live, id: service_deployment, hooks } = known(call, arn)?;
    let wanted = input.required_text("hookId");
    let hook = hooks.into_iter().find(|(shown, _)| shown == wanted).map(|(_, id)| id);
    let hook =
        hook.ok_or_else(|| ApiError::invalid_parameter("The lifecycle hook was not found in the service deployment."))?;
    let action =
        if input.text("action") == Some("ROLLBACK") { ContinueAction::Rollback } else { ContinueAction::Continue };
    live.cluster.ask(Request::ContinueServiceDeployment { service_deployment, hook, action })?;
    Ok(json!({"serviceDeploymentArn": arn}))
}
