//! Tags of what is in a cluster: what a task gets at its start, and what is said of them later.
//!
//! **Source:** ecs-semantics §1.3, §2.5; developer guide, Tagging Amazon ECS resources, for the tags that ECS manages.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::event::Tagged;
use super::request_error::RequestError;
use super::requests::Answer;
use crate::model::service::{EcsManagedTags, PropagateTags};
use crate::model::task_definition::TaskDefinition;

/// Tags of a resource at most; those of `aws:` are not counted. **Source:** ecs-semantics §1.3.
const TAGS_MAX: usize = 50;

/// The tag that ECS puts the cluster's name in.
const CLUSTER_NAME: &str = "aws:ecs:clusterName";
/// The tag that ECS puts the service's name in.
const SERVICE_NAME: &str = "aws:ecs:serviceName";

/// The tags of a standalone task: its own come before its definition's.
pub(super) fn standalone_tags(
    own: &BTreeMap<String, String>,
    propagated: PropagateTags,
    definition: &TaskDefinition,
) -> BTreeMap<String, String> {
    let mut tags = match propagated {
        PropagateTags::TaskDefinition => definition.tags.clone(),
        PropagateTags::None | PropagateTags::Service => BTreeMap::new(),
    };
    tags.extend(own.clone());
    tags
}

impl EcsManagedTags {
    /// Adds what ECS adds to the tags of a task.
    pub(super) fn add_to(self, tags: &mut BTreeMap<String, String>, cluster: &str, service: Option<&str>) {
        if self == EcsManagedTags::Enabled {
            tags.insert(CLUSTER_NAME.to_owned(), cluster.to_owned());
            tags.extend(service.map(|service| (SERVICE_NAME.to_owned(), service.to_owned())));
        }
    }
}

impl ControlPlane {
    /// Makes the tags of something these. What a task was metered with stays. *Ours:* a task that is over keeps its tags, as long as it
    /// is shown.
    pub(super) fn set_tags(&mut self, resource: &Tagged, tags: BTreeMap<String, String>) -> Answer {
        let counted = tags.keys().filter(|key| !key.starts_with("aws:")).count();
        if counted > TAGS_MAX {
            return Err(RequestError::InvalidParameter(format!("{counted} tags: a resource has at most {TAGS_MAX}")));
        }
        let not_found = || RequestError::ResourceNotFound("The specified resource was not found.".to_owned());
        match resource {
            Tagged::Service(name) => return self.set_service_tags(name, tags),
            Tagged::Task(id) => {
                let record = self.state.tasks.get_mut(id).ok_or_else(not_found)?;
                record.task.tags = Arc::new(tags);
            }
            Tagged::ContainerInstance(id) => {
                let instance = self.state.container_instances.get_mut(id).ok_or_else(not_found)?;
                instance.tags = Arc::new(tags);
            }
        }
        Ok(Response::Done)
    }
}
