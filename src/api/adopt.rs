//! A cluster that is described elsewhere, as in a cluster file, becomes one of the API's: it runs, and the region's tables have rows as
//! if clients had made it.
//!
//! Each table has a function here that says what a specification puts into it.

use std::sync::Arc;

use serde_json::json;

use super::application_auto_scaling::adopt::scalable_target_rows;
use super::region::{LiveCluster, Region};
use super::registry::capacity::{CapacityProviderRow, GroupHome, GroupLaunch, GroupRow};
use super::registry::clusters::{ClusterRow, ClusterStatus};
use super::task_definitions;
use crate::driver::running_cluster::StartError;
use crate::model::capacity::{CapacityProvider, FARGATE, FARGATE_SPOT};
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
        let targets = scalable_target_rows(self, &spec);
        let providers = spec.capacity_providers.clone();
        let _alone = self.lock_capacity();
        let live = match self.cluster(Some(&name)) {
            // The data directory had it.
            Ok(live) => {
                live.cluster.apply(spec)?;
                live
            }
            Err(_) => self.start_cluster(spec)?,
        };
        // As the cluster has numbered them.
        let definitions = live.cluster.read(|state, _| {
            let registered = state.task_definitions.values().flat_map(|revisions| revisions.values());
            registered.map(|one| one.definition.clone()).collect::<Vec<_>>()
        });
        definitions.unwrap_or_default().iter().for_each(|definition| task_definitions::adopt(self, definition));
        providers.iter().for_each(|provider| self.adopt_provider(&live.arns.cluster, provider));
        let mut registry = self.registry();
        if registry.clusters.get(&name).is_none_or(|known| known.status != ClusterStatus::Active) {
            registry.clusters.put(&name, row);
        }
        targets.into_iter().for_each(|(resource, row)| registry.scalable_targets.put(&resource, row));
        drop(registry);
        Ok(live)
    }

    /// A provider and its group, which is named like it.
    fn adopt_provider(&self, cluster: &Arc<str>, provider: &CapacityProvider) {
        let (name, group) = (&provider.name, &provider.auto_scaling_group);
        let group = GroupRow {
            id: super::ids::uuid_of(&[&self.name, "group", name]),
            launch: GroupLaunch {
                instance_type: group.instance_type.name.clone(),
                image_id: group.image_id.clone(),
                version: group.launch_template().version,
                cluster: Some(cluster.clone()),
                reserved_memory: group.reserved_memory,
            },
            min_size: group.min_size,
            max_size: group.max_size,
            desired_capacity: group.desired_capacity,
            availability_zones: group.availability_zones.clone(),
            new_instances_protected: group.new_instances_protected,
            document: Default::default(),
            tags: Default::default(),
            home: Some(GroupHome { cluster: cluster.clone(), capacity_provider: name.clone() }),
            created_at: self.now(),
        };
        let row = CapacityProviderRow {
            group: name.clone(),
            managed_scaling: provider.managed_scaling,
            managed_termination_protection: provider.managed_termination_protection,
            managed_draining: provider.managed_draining,
            tags: Default::default(),
            cluster: Some(cluster.clone()),
        };
        let mut registry = self.registry();
        registry.groups.put(name, group);
        registry.capacity_providers.put(name, row);
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
        capacity_providers: spec
            .capacity_providers
            .iter()
            .map(|provider| provider.name.clone())
            .chain([FARGATE.into(), FARGATE_SPOT.into()])
            .collect(),
        default_strategy: strategy.collect(),
        seed: spec.settings.seed,
    }
}
