//! The agents of container instances that somebody else runs: RegisterContainerInstance, DiscoverPollEndpoint, UpdateContainerAgent,
//! SubmitTaskStateChange, SubmitContainerStateChange, SubmitAttachmentStateChanges.
//!
//! A client that plays an agent registers an instance, sees by ListTasks and DescribeTasks what was placed there, and submits what
//! becomes of it.
//!
//! **Source:** ecs-semantics §2.1, §3.1, §11.6.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::container_instances::{id_of, show};
use super::error::ApiError;
use super::members::Members;
use super::names::{cluster_in, last_part};
use super::region::{LiveCluster, Region};
use super::task_answer::TagsShown;
use super::{Call, tags_of};
use crate::control_plane::action::Response;
use crate::control_plane::event::Request;
use crate::model::capacity::{InstanceLaunch, InstanceType};
use crate::model::document::Document;
use crate::model::external_instance::{
    ContainerInstanceRegistration, ExternalAgent, SubmittedContainer, SubmittedStateChange, SubmittedStatus,
    TotalResources,
};
use crate::model::ids::ContainerInstanceId;
use crate::model::task::{ContainerExit, ContainerStatus};
use crate::model::task_definition::{HostPort, Protocol};
use crate::model::units::{CpuUnits, MemoryMib, Timestamp};

/// What is answered to an agent that says something.
const ACKNOWLEDGMENT: &str = "ACK";
/// Prefixes of attributes that agents report of themselves. **Source:** ecs-semantics §3.5.
const REPORTED: [&str; 2] = ["ecs.", "com.amazonaws."];

/// RegisterContainerInstance.
pub(super) fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let live = region.cluster(input.text("cluster"))?;
    let identity = input.text("instanceIdentityDocument").map(|text| identity_of(region, text)).transpose()?;
    let resources = input.has("totalResources").then(|| total_resources(input));
    if identity.is_none() && resources.is_none() {
        return Err(ApiError::client("An instance identity document or the total resources are required."));
    }
    let identity = identity.unwrap_or_default();
    let (reported, custom): (BTreeMap<String, String>, BTreeMap<String, String>) = input
        .structures("attributes")
        .map(|found| (found.required_text("name").to_owned(), found.text("value").unwrap_or_default().to_owned()))
        .partition(|(name, _)| REPORTED.iter().any(|prefix| name.starts_with(prefix)));
    let version = input.structure("versionInfo");
    let said = |member: &str| version.and_then(|version| version.text(member)).map(Arc::from);
    let agent = ExternalAgent {
        ec2_instance_id: identity.instance_id,
        agent_version: said("agentVersion"),
        agent_hash: said("agentHash"),
        docker_version: said("dockerVersion"),
        attributes: reported,
        gpu_ids: gpu_ids(input),
    };
    let zone = || format!("{}a", region.name).into();
    let launch = InstanceLaunch {
        instance_type: identity.instance_type.unwrap_or_default(),
        availability_zone: identity.availability_zone.unwrap_or_else(zone),
        attributes: custom,
        external: Some(Arc::new(agent)),
        ..InstanceLaunch::default()
    };
    let before =
        input.text("containerInstanceArn").and_then(|arn| live.arns.ids.read_container_instance(last_part(arn)));
    let registration = ContainerInstanceRegistration {
        container_instance: before,
        launch,
        resources,
        tags: tags_of(input.list("tags")),
        document: Document::from(input.only(&["platformDevices"])),
    };
    let request = Request::RegisterContainerInstance(Box::new(registration));
    let shown = live.cluster.ask_then(request, |response, state, context| {
        let Response::Instance(id) = response else { return Value::Null };
        state
            .container_instances
            .get(&id)
            .map_or(Value::Null, |instance| show(instance, state, context, TagsShown::Yes))
    })?;
    Ok(json!({"containerInstance": shown}))
}

/// What an identity document says of an instance.
#[derive(Default)]
struct Identity {
    instance_id: Option<Arc<str>>,
    instance_type: Option<Arc<InstanceType>>,
    availability_zone: Option<Arc<str>>,
}

/// **Source:** EC2 user guide, instance identity documents.
fn identity_of(region: &Region, text: &str) -> Result<Identity, ApiError> {
    let document = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let document = document.ok_or_else(|| ApiError::client("Unable to parse instance identity document."))?;
    let said = |member: &str| document[member].as_str().map(Arc::from);
    let instance_type = document["instanceType"].as_str().map(|name| {
        let known = region.catalog().instance_type(name);
        known.ok_or_else(|| ApiError::client(format!("The instance type {name} is not known.")))
    });
    Ok(Identity {
        instance_id: said("instanceId"),
        instance_type: instance_type.transpose()?,
        availability_zone: said("availabilityZone"),
    })
}

fn total_resources(input: Members<'_>) -> TotalResources {
    let mut total = TotalResources::default();
    for resource in input.structures("totalResources") {
        let number = || resource.count("integerValue").unwrap_or(0);
        let ports = |protocol| {
            resource
                .texts("stringSetValue")
                .filter_map(move |port| Some(HostPort { port: port.parse().ok()?, protocol }))
        };
        match resource.text("name") {
            Some("CPU") => total.cpu = CpuUnits(number()),
            Some("MEMORY") => total.memory = MemoryMib(number()),
            Some("PORTS") => total.ports.get_or_insert_with(BTreeSet::new).extend(ports(Protocol::Tcp)),
            Some("PORTS_UDP") => total.ports.get_or_insert_with(BTreeSet::new).extend(ports(Protocol::Udp)),
            Some("GPU") => total.gpus = u32::try_from(gpu_ids(input).len()).unwrap_or(u32::MAX),
            _ => {}
        }
    }
    total
}

/// What an agent calls its GPUs.
fn gpu_ids(input: Members<'_>) -> BTreeSet<String> {
    let of_gpus = input.structures("totalResources").filter(|resource| resource.text("name") == Some("GPU"));
    of_gpus.flat_map(|resource| resource.texts("stringSetValue").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// DiscoverPollEndpoint. *Ours:* everything is asked of the endpoint that answers this.
pub(super) fn discover_poll_endpoint(call: &Call<'_>) -> Result<Value, ApiError> {
    let endpoint = call.region.options().endpoint.get();
    Ok(json!({"endpoint": endpoint, "telemetryEndpoint": endpoint, "serviceConnectEndpoint": endpoint}))
}

/// UpdateContainerAgent.
pub(super) fn update_agent(call: &Call<'_>) -> Result<Value, ApiError> {
    let named = call.input.required_text("containerInstance");
    let live = call.region.cluster(call.input.text("cluster").or(cluster_in(named)))?;
    let instance = id_of(call, named)?;
    let shown = shown_after(&live, Request::UpdateContainerAgent(instance), instance)?;
    Ok(json!({"containerInstance": shown}))
}

fn shown_after(live: &LiveCluster, request: Request, instance: ContainerInstanceId) -> Result<Option<Value>, ApiError> {
    Ok(live.cluster.ask_then(request, move |_, state, context| {
        state.container_instances.get(&instance).map(|instance| show(instance, state, context, TagsShown::Yes))
    })?)
}

/// SubmitTaskStateChange.
pub(super) fn submit_task(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let containers = input.structures("containers").map(|found| container_of(found, "containerName")).collect();
    submit(call, |live| SubmittedStateChange {
        status: input.text("status").and_then(SubmittedStatus::parse),
        reason: input.text("reason").map(Arc::from),
        containers,
        pull_started_at: moment(live, input, "pullStartedAt"),
        pull_stopped_at: moment(live, input, "pullStoppedAt"),
        execution_stopped_at: moment(live, input, "executionStoppedAt"),
        ..SubmittedStateChange::default()
    })
}

/// SubmitContainerStateChange.
pub(super) fn submit_container(call: &Call<'_>) -> Result<Value, ApiError> {
    let containers = vec![container_of(call.input, "containerName")];
    submit(call, |_| SubmittedStateChange { containers, ..SubmittedStateChange::default() })
}

/// SubmitAttachmentStateChanges. *Ours:* attachments are there in name only, and their agents' word is taken.
pub(super) fn submit_attachments(call: &Call<'_>) -> Result<Value, ApiError> {
    call.region.cluster(call.input.text("cluster"))?;
    Ok(json!({"acknowledgment": ACKNOWLEDGMENT}))
}

fn submit(call: &Call<'_>, change: impl FnOnce(&LiveCluster) -> SubmittedStateChange) -> Result<Value, ApiError> {
    let named = call.input.text("task").ok_or_else(|| ApiError::invalid_parameter("The task is required."))?;
    let live = call.region.cluster(call.input.text("cluster").or(cluster_in(named)))?;
    let task = live.arns.ids.read_task(last_part(named));
    let task = task.ok_or_else(|| ApiError::invalid_parameter("The referenced task was not found."))?;
    let change = SubmittedStateChange { task, ..change(&live) };
    live.cluster.ask(Request::SubmitStateChange(Box::new(change)))?;
    Ok(json!({"acknowledgment": ACKNOWLEDGMENT}))
}

fn container_of(found: Members<'_>, name: &str) -> SubmittedContainer {
    let status = match found.text("status") {
        Some("RUNNING") => ContainerStatus::Running,
        Some("STOPPED") => ContainerStatus::Stopped,
        _ => ContainerStatus::Pending,
    };
    let exit_code = found.integer("exitCode").and_then(|code| i32::try_from(code).ok());
    SubmittedContainer {
        name: found.required_text(name).to_owned(),
        status,
        exit: ContainerExit { exit_code, reason: found.text("reason").map(str::to_owned) },
        document: Document::from(found.only(&["runtimeId", "networkBindings", "imageDigest"])),
    }
}

/// A moment of the cluster that a request names by its calendar time.
fn moment(live: &LiveCluster, input: Members<'_>, member: &str) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 have 41 bits")]
    let milliseconds = (input.value(member)?.as_f64()? * 1000.0) as i64;
    let at = jiff::Timestamp::from_millisecond(milliseconds).ok()?;
    let since = at.duration_since(live.cluster.clock().calendar(Timestamp::ZERO));
    Some(Timestamp::ZERO + std::time::Duration::try_from(since).unwrap_or_default())
}
