//! What a region of the account has beside its clusters' states: the names of its clusters, task definitions, capacity providers, groups,
//! settings. A table each, and each row a document that is stored as a whole.
//!
//! Clusters know nothing of each other, and their control planes nothing of a region; what they share is here. Every change of a row is
//! also a [`Change`]: who keeps a registry on disk writes these, and puts them in again.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod capacity;
pub mod clusters;
pub mod scaling;
pub mod task_definitions;

use self::capacity::{CapacityProviderRow, GroupRow, LaunchTemplateRow};
use self::clusters::ClusterRow;
use self::scaling::ScalableTargetRow;
use self::task_definitions::{FamilyRow, TaskDefinitionRow};

/// A change of a row: its new form, or none where it is gone.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The table.
    pub table: Arc<str>,
    /// The row.
    pub key: Arc<str>,
    /// What it is from here on.
    pub row: Option<Value>,
}

/// The rows of one kind, in the order of their keys.
#[derive(Debug)]
pub struct Table<T> {
    name: &'static str,
    rows: BTreeMap<Arc<str>, T>,
    changes: Vec<Change>,
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    fn new(name: &'static str) -> Table<T> {
        Table { name, rows: BTreeMap::new(), changes: Vec::new() }
    }

    /// A row.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.rows.get(key)
    }

    /// All rows, in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Arc<str>, &T)> {
        self.rows.iter()
    }

    /// The rows from one key to another, both included.
    pub fn range<'a>(
        &'a self,
        first: &str,
        last: &str,
    ) -> impl DoubleEndedIterator<Item = (&'a Arc<str>, &'a T)> + use<'a, T> {
        self.rows.range::<str, _>((Bound::Included(first), Bound::Included(last)))
    }

    /// Puts a row there, whatever was there before.
    ///
    /// # Panics
    /// When the row can't be written as JSON: rows are plain data.
    pub fn put(&mut self, key: &str, row: T) {
        let written = serde_json::to_value(&row).expect("rows are plain data");
        self.changes.push(Change { table: self.name.into(), key: key.into(), row: Some(written) });
        self.rows.insert(key.into(), row);
    }

    /// Changes a row, if it is there.
    ///
    /// # Panics
    /// When the row can't be written as JSON: rows are plain data.
    pub fn update<R>(&mut self, key: &str, update: impl FnOnce(&mut T) -> R) -> Option<R> {
        let row = self.rows.get_mut(key)?;
        let result = update(row);
        let written = serde_json::to_value(&*row).expect("rows are plain data");
        self.changes.push(Change { table: self.name.into(), key: key.into(), row: Some(written) });
        Some(result)
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: &str) -> Option<T> {
        let removed = self.rows.remove(key)?;
        self.changes.push(Change { table: self.name.into(), key: key.into(), row: None });
        Some(removed)
    }

    /// All rows, as changes that make them.
    fn written(&self) -> impl Iterator<Item = Change> {
        self.rows.iter().map(|(key, row)| Change {
            table: self.name.into(),
            key: key.clone(),
            row: Some(serde_json::to_value(row).expect("rows are plain data")),
        })
    }

    fn restore(&mut self, change: &Change) -> Result<(), serde_json::Error> {
        match &change.row {
            Some(row) => {
                self.rows.insert(change.key.clone(), serde_json::from_value(row.clone())?);
            }
            None => {
                self.rows.remove(&change.key);
            }
        }
        Ok(())
    }
}

/// The tables of a region.
#[derive(Debug)]
pub struct Registry {
    /// Account settings, by name and principal.
    pub account_settings: Table<String>,
    /// Capacity providers over Auto Scaling groups, by name.
    pub capacity_providers: Table<CapacityProviderRow>,
    /// Auto Scaling groups, by name.
    pub groups: Table<GroupRow>,
    /// Launch templates, by name.
    pub launch_templates: Table<LaunchTemplateRow>,
    /// Launch configurations, by name.
    pub launch_configurations: Table<LaunchTemplateRow>,
    /// Clusters by name, those that were deleted lately included.
    pub clusters: Table<ClusterRow>,
    /// Scalable targets of services by resource id, those of services that are gone included.
    pub scalable_targets: Table<ScalableTargetRow>,
    /// Families of task definitions by name.
    pub families: Table<FamilyRow>,
    /// Revisions of task definitions, by family and number.
    pub task_definitions: Table<TaskDefinitionRow>,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry {
            account_settings: Table::new("account_settings"),
            capacity_providers: Table::new("capacity_providers"),
            groups: Table::new("groups"),
            launch_templates: Table::new("launch_templates"),
            launch_configurations: Table::new("launch_configurations"),
            clusters: Table::new("clusters"),
            scalable_targets: Table::new("scalable_targets"),
            families: Table::new("families"),
            task_definitions: Table::new("task_definitions"),
        }
    }
}

impl Registry {
    /// What was changed since this was last asked, in no order between tables.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let Registry {
            account_settings,
            capacity_providers,
            groups,
            launch_templates,
            launch_configurations,
            clusters,
            scalable_targets,
            families,
            task_definitions,
        } = self;
        let tables = [
            &mut account_settings.changes,
            &mut capacity_providers.changes,
            &mut groups.changes,
            &mut launch_templates.changes,
            &mut launch_configurations.changes,
            &mut clusters.changes,
            &mut scalable_targets.changes,
            &mut families.changes,
            &mut task_definitions.changes,
        ];
        tables.into_iter().flat_map(std::mem::take).collect()
    }

    /// All rows, as changes that make them.
    pub fn rows(&self) -> Vec<Change> {
        let Registry {
            account_settings,
            capacity_providers,
            groups,
            launch_templates,
            launch_configurations,
            clusters,
            scalable_targets,
            families,
            task_definitions,
        } = self;
        let settings = account_settings.written().chain(families.written()).chain(task_definitions.written());
        let capacity = capacity_providers.written().chain(groups.written()).chain(launch_templates.written());
        let rest = launch_configurations.written().chain(clusters.written()).chain(scalable_targets.written());
        settings.chain(capacity).chain(rest).collect()
    }

    /// Puts in what was kept of a change, without keeping it again.
    ///
    /// # Errors
    /// When the row has not the form that its table has.
    pub fn restore(&mut self, change: &Change) -> Result<(), serde_json::Error> {
        match &*change.table {
            "account_settings" => self.account_settings.restore(change),
            "capacity_providers" => self.capacity_providers.restore(change),
            "groups" => self.groups.restore(change),
            "launch_templates" => self.launch_templates.restore(change),
            "launch_configurations" => self.launch_configurations.restore(change),
            "clusters" => self.clusters.restore(change),
            "scalable_targets" => self.scalable_targets.restore(change),
            "families" => self.families.restore(change),
            "task_definitions" => self.task_definitions.restore(change),
            _ => Err(serde::de::Error::custom(format!("there is no table '{}'", change.table))),
        }
    }
}
