//! What a region of the account has beside its clusters' states: the names of its clusters, task definitions, capacity providers, groups,
//! settings. A table each, and each row a document that is stored as a whole.
//!
//! Clusters know nothing of each other, and their control planes nothing of a region; what they share is here. Every change of a row is
//! also a [`Change`]: who keeps a registry on disk writes these, and puts them in again.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The keys of rows that were changed since somebody last asked.
    changed: BTreeSet<Arc<str>>,
}

impl<T> Table<T> {
    fn new(name: &'static str) -> Table<T> {
        Table { name, rows: BTreeMap::new(), changed: BTreeSet::new() }
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
    pub fn put(&mut self, key: &str, row: T) {
        let key: Arc<str> = key.into();
        self.changed.insert(key.clone());
        self.rows.insert(key, row);
    }

    /// Changes a row, if it is there.
    pub fn update<R>(&mut self, key: &str, update: impl FnOnce(&mut T) -> R) -> Option<R> {
        let row = self.rows.get_mut(key)?;
        self.changed.insert(key.into());
        Some(update(row))
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: &str) -> Option<T> {
        let removed = self.rows.remove(key)?;
        self.changed.insert(key.into());
        Some(removed)
    }
}

/// A table as who keeps it on disk sees it, whatever its rows are.
trait KeptTable {
    fn name(&self) -> &'static str;

    /// The rows that were changed since this was last asked, as they are.
    fn take_changes(&mut self) -> Vec<Change>;

    /// Nobody wants to know what was changed so far.
    fn forget_changes(&mut self);

    /// All rows, as changes that make them.
    fn all(&self) -> Vec<Change>;

    fn restore(&mut self, change: &Change) -> Result<(), serde_json::Error>;
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    fn change(&self, key: &Arc<str>) -> Change {
        let written = |row: &T| serde_json::to_value(row).expect("rows are plain data");
        Change { table: self.name.into(), key: key.clone(), row: self.rows.get(key).map(written) }
    }
}

impl<T: Serialize + DeserializeOwned> KeptTable for Table<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changed).iter().map(|key| self.change(key)).collect()
    }

    fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn all(&self) -> Vec<Change> {
        self.rows.keys().map(|key| self.change(key)).collect()
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
    /// All tables. Whatever is done to each of them goes through here.
    fn tables(&mut self) -> [&mut dyn KeptTable; 9] {
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
        [
            account_settings,
            capacity_providers,
            groups,
            launch_templates,
            launch_configurations,
            clusters,
            scalable_targets,
            families,
            task_definitions,
        ]
    }

    /// What was changed since this was last asked, each row as it has become.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.tables().into_iter().flat_map(|table| table.take_changes()).collect()
    }

    /// Nobody keeps what was changed so far.
    pub fn forget_changes(&mut self) {
        self.tables().into_iter().for_each(|table| table.forget_changes());
    }

    /// All rows, as changes that make them.
    pub fn rows(&mut self) -> Vec<Change> {
        self.tables().into_iter().flat_map(|table| table.all()).collect()
    }

    /// Puts in what was kept of a change, without keeping it again.
    ///
    /// # Errors
    /// When the row has not the form that its table has.
    pub fn restore(&mut self, change: &Change) -> Result<(), serde_json::Error> {
        match self.tables().into_iter().find(|table| table.name() == &*change.table) {
            Some(table) => table.restore(change),
            None => Err(serde::de::Error::custom(format!("there is no table '{}'", change.table))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(changes: &[Change]) -> Vec<(&str, &str, bool)> {
        changes.iter().map(|change| (&*change.table, &*change.key, change.row.is_some())).collect()
    }

    /// A change is a row as it has become, once, whatever happened to it on the way; and what is taken, put elsewhere, makes the same rows.
    #[test]
    fn changes_are_rows_as_they_have_become() {
        let mut registry = Registry::default();
        registry.account_settings.put("insights", "disabled".into());
        registry.account_settings.update("insights", |value| *value = "enabled".into());
        registry.account_settings.put("short lived", "1".into());
        registry.account_settings.remove("short lived");
        registry.account_settings.update("not there", |_| ());
        registry.account_settings.remove("not there");
        registry.families.put("web", FamilyRow::default());
        let changes = registry.take_changes();
        assert_eq!(
            keys(&changes),
            [
                ("account_settings", "insights", true),
                ("account_settings", "short lived", false),
                ("families", "web", true)
            ]
        );
        assert_eq!(changes[0].row, Some("enabled".into()));
        assert!(registry.take_changes().is_empty());

        let mut other = Registry::default();
        changes.iter().for_each(|change| other.restore(change).expect("it is a row"));
        assert!(other.take_changes().is_empty(), "what was kept is not kept again");
        assert_eq!(keys(&other.rows()), [("account_settings", "insights", true), ("families", "web", true)]);

        registry.account_settings.put("insights", "disabled".into());
        registry.forget_changes();
        assert!(registry.take_changes().is_empty());
        let stranger = Change { table: "elsewhere".into(), key: "insights".into(), row: None };
        let refused = registry.restore(&stranger).expect_err("there is no such table");
        assert_eq!(refused.to_string(), "there is no table 'elsewhere'");
    }
}
