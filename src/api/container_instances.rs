//! Container instances: DescribeContainerInstances, ListContainerInstances, UpdateContainerInstancesState,
//! DeregisterContainerInstance.
//!
//! **Source:** ecs-semantics §3, §11.3.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::members::Members;
use super::names::{arn_like, cluster_in, last_part};
use super::page::{LONG_PAGES, page};
use super::task_answer::{TagsShown, described, show_failure};
use super::{Call, missing, show_tags};
use crate::control_plane::action::Response;
use crate::control_plane::event::{Deregistration, Request};
use crate::control_plane::state::ClusterState;
use crate::driver::reads::ReadContext;
use crate::model::capacity::{AGENT_VERSION, AgentConnection, ContainerInstance, ContainerInstanceStatus};
use crate::model::cluster_query::{ClusterQuery, InstanceView, Moment};
use crate::model::ids::ContainerInstanceId;

/// Instances that one description names at most. **Source:** ecs-semantics §11.3.
const DESCRIBED_MAX: usize = 100;
/// Instances that one UpdateContainerInstancesState names at most. **Source:** ecs-semantics §11.3.
const UPDATED_MAX: usize = 10;

/// DescribeContainerInstances.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let named: Vec<String> = input.texts("containerInstances").map(str::to_owned).collect();
    if named.is_empty() {
        return Err(ApiError::invalid_parameter("Container instances cannot be empty."));
    }
    if named.len() > DESCRIBED_MAX {
        return Err(ApiError::invalid_parameter(format!("containerInstances can have at most {DESCRIBED_MAX} items.")));
    }
    let tags = TagsShown::of(input);
    let with_health = input.includes("CONTAINER_INSTANCE_HEALTH");
    let answer = live.cluster.read(move |state, context| {
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &named {
            match find(state, context, name) {
                Some(instance) => {
                    let mut shown = show(instance, state, context, tags);
                    if with_health {
                        shown["healthStatus"] = health_of(instance);
                    }
                    found.push(shown);
                }
                None => failures.push(missing(arn_like(context.arns, "container-instance", name))),
            }
        }
        json!({"containerInstances": found, "failures": failures})
    })?;
    Ok(answer)
}

/// An instance by id or ARN that has registered.
fn find<'a>(state: &'a ClusterState, context: &ReadContext<'_>, named: &str) -> Option<&'a ContainerInstance> {
    if cluster_in(named).is_some_and(|cluster| *cluster != *context.arns.cluster) {
        return None;
    }
    let id = context.arns.ids.read_container_instance(last_part(named))?;
    state.container_instances.get(&id).filter(|instance| instance.registered_at.is_some())
}

/// The instance that a request names.
///
/// # Errors
/// When it can be none. Whether it is there, the control plane says.
pub(super) fn id_of(call: &Call<'_>, named: &str) -> Result<ContainerInstanceId, ApiError> {
    let live = call.region.cluster(call.input.text("cluster").or(cluster_in(named)))?;
    let id = live.arns.ids.read_container_instance(last_part(named));
    id.ok_or_else(|| ApiError::invalid_parameter("The specified container instance was not found."))
}

/// A container instance. **Source:** ecs-semantics §11.6.
pub(super) fn show(
    instance: &ContainerInstance,
    state: &ClusterState,
    context: &ReadContext<'_>,
    tags: TagsShown,
) -> Value {
    let mut shown = described(context.facts(state).container_instance(instance));
    shown.remove("clusterArn");
    shown.insert("tags".into(), if tags == TagsShown::Yes { show_tags(&instance.tags) } else { json!([]) });
    shown.insert("agentUpdateStatus".into(), json!(instance.agent_update.map(|status| status.as_str())));
    let version = match &instance.launch.external {
        Some(agent) => json!({
            "agentVersion": agent.agent_version,
            "agentHash": agent.agent_hash,
            "dockerVersion": agent.docker_version,
        }),
        None => json!({"agentVersion": AGENT_VERSION, "agentHash": "longshore", "dockerVersion": "wasmtime"}),
    };
    shown.insert("versionInfo".into(), version);
    let gpus = instance.gpu_ids(context.arns.ids);
    if !gpus.is_empty() {
        // A container has those that it has to itself.
        let devices = gpus.iter().map(|gpu| json!({"gpuId": gpu, "sharingMode": "DEDICATED"}));
        shown.insert("gpuDevices".into(), devices.collect());
    }
    for list in ["registeredResources", "remainingResources"] {
        let resources = shown.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for resource in resources.filter_map(Value::as_object_mut) {
            resource.entry("integerValue").or_insert(json!(0));
            resource.insert("longValue".into(), json!(0));
            resource.insert("doubleValue".into(), json!(0.0));
        }
    }
    Value::Object(shown)
}

/// **Source:** API reference, ContainerInstanceHealthStatus.
fn health_of(instance: &ContainerInstance) -> Value {
    let status = instance.health.as_str();
    json!({"overallStatus": status, "details": [{"type": "CONTAINER_RUNTIME", "status": status}]})
}

/// ListContainerInstances. **Source:** ecs-semantics §4.4, §11.3.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let live = call.region.cluster(call.input.text("cluster"))?;
    let filter =
        match call.input.text("filter").filter(|filter| !filter.is_empty()) {
            None => None,
            Some(text) => Some(ClusterQuery::parse(text).map_err(|error| {
                ApiError::invalid_parameter(format!("Invalid expression in filter '{text}': {error}"))
            })?),
        };
    let input: Map<String, Value> = call.input.0.clone();
    let listed = live.cluster.read(move |state, context| {
        let input = Members(&input);
        let status = input.text("status");
        let instances = state.container_instances.values().filter(|instance| {
            instance.registered_at.is_some()
                && match status {
                    Some(status) => instance.status.as_str() == status,
                    None => instance.status != ContainerInstanceStatus::Inactive,
                }
                && filter.as_ref().is_none_or(|query| is_meant(query, instance, state, context))
        });
        let instances = instances.map(|instance| (format!("{:020}", instance.id.0), instance.id));
        page(input, LONG_PAGES, "containerInstanceArns", instances, |id| json!(context.arns.container_instance(id)))
    })?;
    listed.map(Value::Object)
}

/// Whether an instance is what a query asks for. **Source:** ecs-semantics §4.4.
fn is_meant(
    query: &ClusterQuery,
    instance: &ContainerInstance,
    state: &ClusterState,
    context: &ReadContext<'_>,
) -> bool {
    let tasks = state.tasks_by_instance.get(&instance.id).into_iter().flatten();
    let groups: Vec<&str> = tasks.filter_map(|id| Some(&*state.tasks.get(id)?.task.group)).collect();
    query.is_true_of(&InstanceView {
        launch: &instance.launch,
        ec2_instance_id: &context.arns.ids.ec2_instance(instance.id),
        agent_connected: instance.agent == AgentConnection::Connected,
        registered_at: instance.registered_at.map(|at| Moment::of(context.calendar(at))),
        running_tasks_count: instance.running_tasks_count,
        task_groups: &groups,
    })
}

/// UpdateContainerInstancesState. **Source:** ecs-semantics §3.2, §3.3.
pub(super) fn update_state(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let named: Vec<&str> = input.texts("containerInstances").collect();
    if named.is_empty() || named.len() > UPDATED_MAX {
        return Err(ApiError::invalid_parameter(format!("containerInstances must have 1 to {UPDATED_MAX} items.")));
    }
    let status = match input.required_text("status") {
        "ACTIVE" => ContainerInstanceStatus::Active,
        "DRAINING" => ContainerInstanceStatus::Draining,
        _ => return Err(ApiError::invalid_parameter("Container instance status should be one of [ACTIVE,DRAINING].")),
    };
    let (mut instances, mut strangers) = (Vec::new(), Vec::new());
    for name in named {
        match live.arns.ids.read_container_instance(last_part(name)) {
            Some(id) => instances.push(id),
            None => strangers.push(missing(call.region.arn(&format!("container-instance/{}", last_part(name))))),
        }
    }
    if instances.is_empty() {
        return Ok(json!({"containerInstances": [], "failures": strangers}));
    }
    let request = Request::UpdateContainerInstancesState { instances, status };
    let mut answer = live.cluster.ask_then(request, |response, state, context| {
        let Response::ContainerInstances { instances, failures } = response else { return json!({}) };
        let instances = instances.iter().filter_map(|id| state.container_instances.get(id));
        let instances = instances.map(|instance| show(instance, state, context, TagsShown::Yes));
        let failures = failures.iter().map(|failure| show_failure(failure, context.arns));
        json!({"containerInstances": instances.collect::<Value>(), "failures": failures.collect::<Value>()})
    })?;
    if let Some(failures) = answer["failures"].as_array_mut() {
        failures.append(&mut strangers);
    }
    Ok(answer)
}

/// DeregisterContainerInstance. **Source:** ecs-semantics §3.2.
pub(super) fn deregister(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let named = input.required_text("containerInstance");
    let live = call.region.cluster(input.text("cluster").or(cluster_in(named)))?;
    let instance = id_of(call, named)?;
    let deregistration =
        if input.flag("force") == Some(true) { Deregistration::Forced } else { Deregistration::WhenEmpty };
    let request = Request::DeregisterContainerInstance { instance, deregistration };
    let shown = live.cluster.ask_then(request, move |_, state, context| {
        state.container_instances.get(&instance).map(|instance| show(instance, state, context, TagsShown::Yes))
    })?;
    Ok(json!({"containerInstance": shown}))
}
