//! Custom attributes of container instances: set, deleted, listed.
//!
//! Built-in attributes are the instance's own and cannot be set. Tasks that run stay where they are, but for those of DAEMON services.
//!
//! **Source:** ecs-semantics §1.3, §3.5, §4.3.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::event::InstanceAttribute;
use super::request_error::RequestError;
use super::state::ClusterState;
use crate::model::capacity::{CUSTOM_ATTRIBUTES_MAX, ContainerInstanceStatus, InstanceLaunch};
use crate::model::ids::ContainerInstanceId;

/// Attributes of one call at most. **Source:** ecs-semantics §3.5.
const ATTRIBUTES_OF_A_CALL_MAX: usize = 10;

impl ControlPlane {
    /// PutAttributes: all of them or none. One of the same name takes its place.
    pub(super) fn put_attributes(&mut self, attributes: Vec<InstanceAttribute>) -> Result<Response, RequestError> {
        let mut after = self.custom_attributes_of(&attributes)?;
        for attribute in &attributes {
            check_name(&attribute.name)?;
            attribute.value.as_deref().map_or(Ok(()), check_value)?;
            let of_instance = after.entry(attribute.instance).or_default();
            of_instance.insert(attribute.name.clone(), attribute.value.clone().unwrap_or_default());
        }
        if let Some((instance, found)) = after.iter().find(|(_, found)| found.len() > CUSTOM_ATTRIBUTES_MAX) {
            let instance = self.ids.container_instance(*instance);
            return Err(RequestError::AttributeLimitExceeded { instance, wanted: found.len() });
        }
        self.set_attributes(after);
        Ok(Response::Attributes(attributes))
    }

    /// DeleteAttributes. *Ours:* one that is not there is left out of the answer.
    pub(super) fn delete_attributes(&mut self, attributes: Vec<InstanceAttribute>) -> Result<Response, RequestError> {
        let mut after = self.custom_attributes_of(&attributes)?;
        let mut deleted = Vec::new();
        for attribute in attributes {
            let of_instance = after.entry(attribute.instance).or_default();
            let is_meant = |value: &String| attribute.value.as_ref().is_none_or(|wanted| wanted == value);
            if of_instance.get(&attribute.name).is_some_and(is_meant) {
                of_instance.remove(&attribute.name);
                deleted.push(attribute);
            }
        }
        self.set_attributes(after);
        Ok(Response::Attributes(deleted))
    }

    /// The custom attributes of the instances that a call is about.
    fn custom_attributes_of(
        &self,
        attributes: &[InstanceAttribute],
    ) -> Result<BTreeMap<ContainerInstanceId, BTreeMap<String, String>>, RequestError> {
        if attributes.is_empty() || attributes.len() > ATTRIBUTES_OF_A_CALL_MAX {
            let message = format!("{} attributes: 1 to {ATTRIBUTES_OF_A_CALL_MAX} at once", attributes.len());
            return Err(RequestError::InvalidParameter(message));
        }
        let of_instance = |attribute: &InstanceAttribute| {
            let found = self.state.container_instances.get(&attribute.instance);
            let instance = found.filter(|found| found.status != ContainerInstanceStatus::Inactive);
            let instance = instance.ok_or(RequestError::TargetNotFound)?;
            Ok((attribute.instance, instance.launch.attributes.clone()))
        };
        attributes.iter().map(of_instance).collect()
    }

    fn set_attributes(&mut self, after: BTreeMap<ContainerInstanceId, BTreeMap<String, String>>) {
        for (id, attributes) in after {
            let instance = self.state.container_instances.get_mut(&id).expect("the caller has found it");
            if instance.launch.attributes == attributes {
                continue;
            }
            instance.launch = Arc::new(InstanceLaunch { attributes, ..InstanceLaunch::clone(&instance.launch) });
            if instance.takes_tasks() {
                self.placement.insert_instance(instance);
            }
            self.instance_changed(id);
            self.room_appeared(id);
        }
    }
}

impl ClusterState {
    /// ListAttributes: instances that are not gone with their attributes of a name (and value), built in and custom; all of them
    /// without a name.
    pub fn list_attributes(&self, name: Option<&str>, value: Option<&str>) -> Vec<InstanceAttribute> {
        let live = self.live_instances();
        live.flat_map(|instance| {
            let all = instance.launch.all_attributes().into_iter();
            let wanted = all.filter(|(found, held)| {
                name.is_none_or(|name| name == *found) && value.is_none_or(|value| value == *held)
            });
            wanted.map(|(name, value)| InstanceAttribute {
                instance: instance.id,
                name: name.to_owned(),
                value: (!value.is_empty()).then(|| value.to_owned()),
            })
        })
        .collect()
    }
}

/// The custom attributes that an agent registers its instance with. **Source:** ecs-semantics §1.3, §1.7.
pub(super) fn check_custom_attributes(attributes: &BTreeMap<String, String>) -> Result<(), RequestError> {
    if attributes.len() > CUSTOM_ATTRIBUTES_MAX {
        return Err(RequestError::InvalidParameter(format!(
            "a container instance has at most {CUSTOM_ATTRIBUTES_MAX} custom attributes, and {} are given",
            attributes.len()
        )));
    }
    for (name, value) in attributes {
        check_name(name)?;
        if !value.is_empty() {
            check_value(value)?;
        }
    }
    Ok(())
}

/// **Source:** ecs-semantics §1.3.
fn check_name(name: &str) -> Result<(), RequestError> {
    if name.starts_with("ecs.") || name.starts_with("com.amazonaws.") {
        return Err(RequestError::InvalidParameter(format!("attribute {name} is one that ECS sets itself")));
    }
    let is_valid = (1..=128).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_/\\.".contains(letter));
    is_valid.then_some(()).ok_or_else(|| {
        RequestError::InvalidParameter(format!(
            "attribute {name:?} is not valid: 1 to 128 letters, digits and - _ / \\ ."
        ))
    })
}

/// **Source:** ecs-semantics §1.3.
fn check_value(value: &str) -> Result<(), RequestError> {
    let is_valid = (1..=128).contains(&value.len())
        && value.trim() == value
        && value.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_/\\.@: ".contains(letter));
    is_valid.then_some(()).ok_or_else(|| {
        RequestError::InvalidParameter(format!(
            "attribute value {value:?} is not valid: 1 to 128 letters, digits, spaces inside and - _ / \\ . @ :"
        ))
    })
}
