//! Attributes of container instances: PutAttributes, DeleteAttributes, ListAttributes.
//!
//! **Source:** ecs-semantics §3.5, §11.3.

use serde_json::{Map, Value, json};

use super::Call;
use super::container_instances::id_of;
use super::error::ApiError;
use super::members::Members;
use super::page::{LONG_PAGES, page};
use crate::control_plane::action::Response;
use crate::control_plane::event::{InstanceAttribute, Request};
use crate::model::arn::ArnForm;
use crate::model::capacity::ContainerInstanceStatus;

/// PutAttributes.
pub(super) fn put(call: &Call<'_>) -> Result<Value, ApiError> {
    asked(call, Request::PutAttributes)
}

/// DeleteAttributes.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    asked(call, Request::DeleteAttributes)
}

fn asked(call: &Call<'_>, request: impl Fn(Vec<InstanceAttribute>) -> Request) -> Result<Value, ApiError> {
    let live = call.region.cluster(call.input.text("cluster"))?;
    let attributes = call.input.structures("attributes").map(|attribute| {
        let target = attribute
            .text("targetId")
            .ok_or_else(|| ApiError::invalid_parameter("An attribute needs the id of its target."))?;
        let not_found = |_| ApiError::new("TargetNotFoundException", "The specified target wasn't found.");
        Ok(InstanceAttribute {
            instance: id_of(call, target).map_err(not_found)?,
            name: attribute.required_text("name").to_owned(),
            value: attribute.text("value").map(str::to_owned),
        })
    });
    let attributes: Result<Vec<InstanceAttribute>, ApiError> = attributes.collect();
    match live.cluster.ask(request(attributes?))? {
        Response::Attributes(done) => {
            Ok(json!({"attributes": done.iter().map(|found| show(found, &live.arns)).collect::<Value>()}))
        }
        _ => Ok(json!({"attributes": []})),
    }
}

fn show(attribute: &InstanceAttribute, arns: &ArnForm) -> Value {
    json!({
        "name": attribute.name,
        "value": attribute.value,
        "targetType": "container-instance",
        "targetId": arns.container_instance(attribute.instance),
    })
}

/// ListAttributes.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let live = call.region.cluster(call.input.text("cluster"))?;
    let input: Map<String, Value> = call.input.0.clone();
    let listed = live.cluster.read(move |state, context| {
        let input = Members(&input);
        let (name, value) = (input.text("attributeName"), input.text("attributeValue"));
        let instances = state.container_instances.values().filter(|instance| {
            instance.registered_at.is_some() && instance.status != ContainerInstanceStatus::Inactive
        });
        let attributes = instances.flat_map(|instance| {
            let all = instance.launch.all_attributes().into_iter();
            all.map(move |(name, value)| InstanceAttribute {
                instance: instance.id,
                name: name.to_owned(),
                value: Some(value.to_owned()).filter(|value| !value.is_empty()),
            })
        });
        let meant = attributes.filter(|found| {
            name.is_none_or(|name| found.name == name)
                && value.is_none_or(|value| found.value.as_deref() == Some(value))
        });
        let items = meant.map(|found| (format!("{:020} {}", found.instance.0, found.name), found));
        page(input, LONG_PAGES, "attributes", items, |found| show(&found, context.arns))
    })?;
    listed.map(Value::Object)
}
