//! A task as it is answered: what its events say of it, and what only the API shows.
//!
//! **Source:** ecs-semantics §11.6, and the outputs that the AWS CLI's manual shows.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ids::hex17_of;
use crate::control_plane::action::{Failure, TaskFailure};
use crate::control_plane::state::ClusterState;
use crate::driver::reads::ReadContext;
use crate::model::arn::ArnForm;
use crate::model::task::{Container, ContainerStatus, Task, TaskStatus};
use crate::model::task_definition::{LaunchType, NetworkMode};

/// The version that `LATEST` and no version at all mean. **Source:** ecs-semantics §8.2.
pub(super) const PLATFORM_VERSION: &str = "1.4.0";

/// Whether tags are shown: only who includes them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagsShown {
    /// As they are.
    Yes,
    /// As none.
    No,
}

impl TagsShown {
    /// What `include` says.
    pub(super) fn of(input: super::members::Members<'_>) -> TagsShown {
        if input.includes("TAGS") { TagsShown::Yes } else { TagsShown::No }
    }
}

/// The detail of an event as the members of a description.
///
/// # Panics
/// When it can't be written as JSON: details are plain data.
pub(super) fn described(detail: impl Serialize) -> Map<String, Value> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(detail) else { unreachable!("details are plain data") };
    // Of an event, and of nothing that is described.
    members.remove("updatedAt");
    members
}

/// A task.
pub(super) fn show_task(task: &Task, state: &ClusterState, context: &ReadContext<'_>, tags: TagsShown) -> Value {
    let mut shown = described(context.facts(state).task(task));
    if tags == TagsShown::No || !shown.contains_key("tags") {
        shown.insert("tags".into(), json!([]));
    }
    if !shown.contains_key("cpu") || !shown.contains_key("memory") {
        // What its containers ask for together. Source: the pages run-task and describe-tasks of the AWS CLI.
        let reservation = task.task_definition.reservation();
        for (name, size) in [("cpu", reservation.cpu.0), ("memory", reservation.memory.0)] {
            shown.entry(name).or_insert_with(|| json!(size.to_string()));
        }
    }
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    let document = &task.document;
    put("enableExecuteCommand", document.member("enableExecuteCommand").cloned().unwrap_or(json!(false)));
    if task.launch_type == LaunchType::Fargate {
        let named = document.member("platformVersion").and_then(Value::as_str).filter(|named| *named != "LATEST");
        put("platformVersion", json!(named.unwrap_or(PLATFORM_VERSION)));
        put("platformFamily", json!("Linux"));
    }
    let zone = state.tasks.get(&task.id).and_then(|record| state.zone_of(record));
    let subnet = state.subnets.subnet_in(zone, &task.document);
    let interface = NetworkInterface::of(task, context.arns.ids.event(task.id.0), subnet);
    put("attachments", attachments(task, interface.as_ref()));
    if let Some(storage) = shown.get("ephemeralStorage").cloned() {
        shown.insert("fargateEphemeralStorage".into(), storage);
    }
    if let Some(Value::Object(overrides)) = shown.get_mut("overrides") {
        show_overrides(overrides, task);
    }
    if let Some(Value::Array(containers)) = shown.get_mut("containers") {
        for (container, found) in containers.iter_mut().filter_map(Value::as_object_mut).zip(&task.containers) {
            show_container(container, task, found, interface.as_ref());
        }
    }
    Value::Object(shown)
}

/// What the request changed, as it was sent, beside each container's name.
fn show_overrides(overrides: &mut Map<String, Value>, task: &Task) {
    overrides.entry("inferenceAcceleratorOverrides").or_insert_with(|| json!([]));
    let Some(Value::Object(sent)) = task.document.member("overrides") else { return };
    for (name, value) in sent {
        if name != "containerOverrides" {
            overrides.insert(name.clone(), value.clone());
        }
    }
    let sent = sent.get("containerOverrides").and_then(Value::as_array).into_iter().flatten();
    for change in sent.filter_map(Value::as_object) {
        let containers = overrides.get_mut("containerOverrides").and_then(Value::as_array_mut).into_iter().flatten();
        let mut containers = containers.filter_map(Value::as_object_mut);
        if let Some(container) = containers.find(|container| container.get("name") == change.get("name")) {
            container.extend(change.clone());
        }
    }
}

fn show_container(
    shown: &mut Map<String, Value>,
    task: &Task,
    container: &Container,
    interface: Option<&NetworkInterface>,
) {
    let definition = &task.task_definition;
    let defined = definition.containers.iter().find(|defined| shown.get("name") == Some(&json!(defined.name)));
    let is_seen = container.last_status == ContainerStatus::Running && definition.network_mode == NetworkMode::Bridge;
    let mappings = defined.into_iter().flat_map(|defined| &defined.port_mappings).filter(|_| is_seen);
    let bindings = mappings.map(|mapping| {
        let protocol = if mapping.protocol == crate::model::task_definition::Protocol::Udp { "udp" } else { "tcp" };
        json!({
            "bindIP": "0.0.0.0",
            "containerPort": mapping.container_port,
            "hostPort": if mapping.host_port == 0 { mapping.container_port } else { mapping.host_port },
            "protocol": protocol
        })
    });
    shown.insert("networkBindings".into(), bindings.collect());
    if let Some(interface) = interface.filter(|_| task.last_status != TaskStatus::Provisioning) {
        let (attachment, address) = (&interface.attachment_id, &interface.private_ipv4_address);
        let shown_interface = json!({"attachmentId": attachment, "privateIpv4Address": address});
        shown.insert("networkInterfaces".into(), json!([shown_interface]));
    }
    if container.last_status != ContainerStatus::Pending {
        // ECS shows the runtime's own id: here the last part of the container's.
        let arn = shown.get("containerArn").and_then(Value::as_str).unwrap_or_default();
        let runtime_id = arn.rsplit('/').next().unwrap_or_default().replace('-', "");
        shown.insert("runtimeId".into(), json!(runtime_id));
    }
    // What an agent of somebody else's said goes before.
    for (member, value) in container.document.members() {
        shown.insert(member.clone(), value.clone());
    }
}

/// The network interface that a task in `awsvpc` mode has. *Ours:* it is there in name, with the subnet that was asked for in the task's
/// zone; nothing listens at its address.
struct NetworkInterface {
    attachment_id: String,
    subnet: Option<String>,
    /// Made of the task's number, as its address is.
    id: String,
    private_ipv4_address: String,
    mac_address: String,
}

impl NetworkInterface {
    fn of(task: &Task, attachment_id: String, subnet: Option<&str>) -> Option<NetworkInterface> {
        if task.task_definition.network_mode != NetworkMode::Awsvpc {
            return None;
        }
        // The last addresses of a subnet's kind come round again.
        let [_, _, _, _, _, high, middle, low] = task.id.0.to_be_bytes();
        Some(NetworkInterface {
            subnet: subnet.map(str::to_owned),
            id: format!("eni-{}", hex17_of(&[&attachment_id])),
            private_ipv4_address: format!("10.{high}.{middle}.{low}"),
            mac_address: format!("0a:00:0a:{high:02x}:{middle:02x}:{low:02x}"),
            attachment_id,
        })
    }
}

fn attachments(task: &Task, interface: Option<&NetworkInterface>) -> Value {
    let Some(interface) = interface else { return json!([]) };
    let status = match task.last_status {
        TaskStatus::Provisioning => "PRECREATED",
        TaskStatus::Pending | TaskStatus::Activating => "ATTACHING",
        TaskStatus::Running | TaskStatus::Deactivating | TaskStatus::Stopping => "ATTACHED",
        TaskStatus::Deprovisioning => "DETACHING",
        TaskStatus::Stopped => "DELETED",
    };
    let detail = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut details: Vec<Value> = interface.subnet.iter().map(|subnet| detail("subnetId", subnet)).collect();
    if task.last_status != TaskStatus::Provisioning {
        let address = &interface.private_ipv4_address;
        details.push(detail("networkInterfaceId", &interface.id));
        details.push(detail("macAddress", &interface.mac_address));
        details.push(detail("privateDnsName", &format!("ip-{}.ec2.internal", address.replace('.', "-"))));
        details.push(detail("privateIPv4Address", address));
    }
    json!([{
        "id": interface.attachment_id,
        "type": "ElasticNetworkInterface",
        "status": status,
        "details": details
    }])
}

/// Why an instance did not take a task.
pub(super) fn show_failure(failure: &Failure, arns: &ArnForm) -> Value {
    let arn = failure.instance.map(|instance| json!(arns.container_instance(instance)));
    let detail = (!failure.detail.is_empty()).then(|| json!(failure.detail));
    json!({"arn": arn, "reason": failure.reason, "detail": detail})
}

/// Why something was not done to a task.
pub(super) fn show_task_failure(failure: &TaskFailure, arns: &ArnForm) -> Value {
    let detail = (!failure.detail.is_empty()).then(|| json!(failure.detail));
    json!({"arn": arns.task(failure.task), "reason": failure.reason, "detail": detail})
}
