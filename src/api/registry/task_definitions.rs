//! Task definitions of a region, as they were registered.
//!
//! A row a revision, and a row a family with the last number that it gave out: numbers are never given out again, whatever became of their
//! revisions. **Source:** ecs-semantics §1.4.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Registry;
use crate::model::task_definition::{TaskDefinition, TaskDefinitionRef};

/// A revision.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TaskDefinitionRow {
    /// What it is to the control planes.
    pub definition: Arc<TaskDefinition>,
    /// The request that registered it, but for its tags.
    pub document: Map<String, Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it may be used.
    pub status: TaskDefinitionStatus,
    /// When it was registered.
    pub registered_at: jiff::Timestamp,
    /// When it was deregistered.
    pub deregistered_at: Option<jiff::Timestamp>,
    /// When its deletion was asked for.
    pub delete_requested_at: Option<jiff::Timestamp>,
}

/// **Source:** ecs-semantics §1.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskDefinitionStatus {
    /// It may be used.
    Active,
    /// It was deregistered: what uses it may go on to.
    Inactive,
    /// It goes when nothing uses it any more.
    DeleteInProgress,
}

impl TaskDefinitionStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskDefinitionStatus::Active => "ACTIVE",
            TaskDefinitionStatus::Inactive => "INACTIVE",
            TaskDefinitionStatus::DeleteInProgress => "DELETE_IN_PROGRESS",
        }
    }
}

/// A family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyRow {
    /// The last number that it gave out.
    pub last_revision: u32,
}

/// The key of a revision: in the order of keys come families by name, and their revisions by number.
pub fn key_of(family: &str, revision: u32) -> String {
    // A space is less than all that a name may have, so that no other family comes between.
    format!("{family} {revision:010}")
}

impl Registry {
    /// The revisions of a family, oldest first.
    pub fn revisions<'a>(&'a self, family: &str) -> impl DoubleEndedIterator<Item = &'a TaskDefinitionRow> + use<'a> {
        let (first, last) = (key_of(family, 0), key_of(family, u32::MAX));
        self.task_definitions.range(&first, &last).map(|(_, row)| row)
    }

    /// The revision that is meant: the one that is named, or else the latest that is ACTIVE. **Source:** ecs-semantics §1.4.
    pub fn task_definition(&self, reference: &TaskDefinitionRef) -> Option<&TaskDefinitionRow> {
        match reference.revision {
            Some(revision) => self.task_definitions.get(&key_of(&reference.family, revision)),
            None => self.revisions(&reference.family).rfind(|row| row.status == TaskDefinitionStatus::Active),
        }
    }
}
