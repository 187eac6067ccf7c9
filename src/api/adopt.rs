//! A cluster that is described elsewhere, as in a cluster file, becomes one of the API's: it runs, and the region's tables have rows as
//! if clients had made it.
//!
//! Each table has a function here that says what a specification puts into it.

use std::sync::Arc;

use serde_json::json;

use super::region::{LiveCluster, Region};
use super::registry::clusters::{ClusterRow, ClusterStatus};
use crate::driver::running_cluster::StartError;
use crate::model::cluster::ClusterSpec;
use crate::model::settings::ContainerInsights;

impl Region {
    /// Starts a cluster with everything that its specification names, and lists it. The specification's region is this one's.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn adopt(&self, mut spec: ClusterSpec) -> Result<Arc<LiveCluster>, StartError> {
        self.name.as_ref().clone_into(&mut spec.region);
        let (name, row) = (spec.name.clone(), cluster_row(&spec));
        let live = self.start_cluster(spec)?;
        self.registry().clusters.put(&name, row);
        Ok(live)
    }
}

fn cluster_row(spec: &ClusterSpec) -> ClusterRow {
    let insights = match spec.settings.container_insights {
        ContainerInsights::Disabled => "disabled",
        ContainerInsights::Enabled => "enabled",
        ContainerInsights::Enhanced => "enhanced",
    };
    let strategy = spec
        .default_strategy
        .iter()
        .map(|item| json!({"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}));
    ClusterRow {
        status: ClusterStatus::Active,
        document: serde_json::Map::new(),
        settings: [("containerInsights".to_owned(), insights.to_owned())].into(),
        tags: std::collections::BTreeMap::new(),
        capacity_providers: spec.capacity_providers.iter().map(|provider| provider.name.clone()).collect(),
        default_strategy: strategy.collect(),
        seed: spec.settings.seed,
    }
}
