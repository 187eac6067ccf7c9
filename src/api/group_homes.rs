//! Where Auto Scaling groups run.
//!
//! As on AWS, it is the user data of its instances that say which cluster a group's instances register with (`ECS_CLUSTER=NAME`; `default`
//! where they say nothing), and they do from the group's creation on. A capacity provider that comes over the group finds them there.
//! *Ours:* a group whose cluster is not there waits for it without instances; and one whose user data name no cluster goes, with new
//! instances, where its provider is associated.
//!
//! **Source:** ecs-semantics §3.1, §6.2, §9.1.

use std::sync::Arc;

use super::capacity_providers::model_of;
use super::error::ApiError;
use super::names::DEFAULT_CLUSTER;
use super::region::{LiveCluster, Region};
use super::registry::capacity::{CapacityProviderRow, GroupHome, GroupRow};
use crate::control_plane::event::{Request, UpdateAutoScalingGroup};
use crate::model::auto_scaling_group::{ManagedDraining, ManagedTerminationProtection};
use crate::model::capacity::{CapacityProvider, group_by_itself};

/// Runs a group by itself in the cluster that is meant, if that is there. Capacity is locked.
///
/// # Errors
/// When the cluster refuses it.
pub(super) fn run_by_itself(region: &Region, group: &str) -> Result<(), ApiError> {
    let Some(row) = region.registry().groups.get(group).filter(|row| row.home.is_none()).cloned() else {
        return Ok(());
    };
    let Ok(live) = region.cluster(Some(cluster_of(&row))) else { return Ok(()) };
    let name = group_by_itself(group);
    let provider = CapacityProviderRow {
        group: group.into(),
        managed_scaling: None,
        managed_termination_protection: ManagedTerminationProtection::Disabled,
        managed_draining: ManagedDraining::Disabled,
        tags: Default::default(),
        cluster: None,
    };
    put(&live, model_of(region, &name, &provider, &row)?)?;
    settle(region, &live, group, name);
    Ok(())
}

/// Runs the groups that have waited for a cluster. Capacity is locked.
///
/// # Errors
/// When the cluster refuses one.
pub(super) fn run_those_that_wait(region: &Region, cluster: &str) -> Result<(), ApiError> {
    let waiting: Vec<Arc<str>> = {
        let registry = region.registry();
        let rows = registry.groups.iter();
        rows.filter(|(_, row)| row.home.is_none() && cluster_of(row) == cluster).map(|(name, _)| name.clone()).collect()
    };
    waiting.iter().try_for_each(|group| run_by_itself(region, group))
}

/// Whether a provider over a group can be a cluster's: the name of another cluster that the group belongs to.
pub(super) fn belongs_elsewhere<'a>(row: &'a GroupRow, cluster: &str) -> Option<&'a Arc<str>> {
    let home = row.home.as_ref().filter(|home| *home.cluster != *cluster)?;
    let may_move = home.is_by_itself() && row.launch.cluster.is_none();
    (!may_move).then_some(&home.cluster)
}

/// Brings a provider over a group that is not its own yet to a cluster. Capacity is locked.
///
/// # Errors
/// When a cluster refuses it.
pub(super) fn bring(
    region: &Region,
    live: &LiveCluster,
    provider: CapacityProvider,
    group: &Arc<str>,
) -> Result<(), ApiError> {
    let name = provider.name.clone();
    let home = region.registry().groups.get(group).and_then(|row| row.home.clone());
    match home {
        Some(home) if home.cluster == live.arns.cluster && !is_known(live, &name)? => {
            let provider = Box::new(provider);
            live.cluster.ask(Request::TakeOverGroup { group: home.capacity_provider, provider })?;
        }
        Some(home) => {
            if let Ok(before) = region.cluster(Some(&home.cluster)) {
                resize(&before, &home.capacity_provider, (0, 0), Some(0))?;
            }
            put(live, provider)?;
        }
        None => put(live, provider)?,
    }
    settle(region, live, group, name);
    Ok(())
}

/// The cluster that a group's instances register with while no capacity provider says otherwise.
fn cluster_of(row: &GroupRow) -> &str {
    row.launch.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER)
}

/// A group's sizes, where it runs.
///
/// # Errors
/// When the cluster refuses them.
pub(super) fn resize(
    live: &LiveCluster,
    capacity_provider: &Arc<str>,
    (min_size, max_size): (u32, u32),
    desired_capacity: Option<u32>,
) -> Result<(), ApiError> {
    let update = UpdateAutoScalingGroup {
        capacity_provider: capacity_provider.clone(),
        min_size: Some(min_size),
        max_size: Some(max_size),
        desired_capacity,
    };
    live.cluster.ask(Request::UpdateAutoScalingGroup(Box::new(update)))?;
    Ok(())
}

/// Whether a cluster has, or had, a provider of that name.
fn is_known(live: &LiveCluster, provider: &Arc<str>) -> Result<bool, ApiError> {
    let provider = provider.clone();
    Ok(live.cluster.read(move |state, _| state.capacity_providers.contains_key(&provider))?)
}

/// Makes a provider known to a cluster, which may still know one of its name that is gone.
fn put(live: &LiveCluster, provider: CapacityProvider) -> Result<(), ApiError> {
    let (name, group) = (provider.name.clone(), &provider.auto_scaling_group);
    let (sizes, desired) = ((group.min_size, group.max_size), group.desired_capacity.unwrap_or(group.min_size));
    if !is_known(live, &name)? {
        live.cluster.ask(Request::CreateCapacityProvider(Box::new(provider)))?;
        return Ok(());
    }
    live.cluster.ask(Request::UpdateCapacityProvider(Box::new(provider)))?;
    resize(live, &name, sizes, Some(desired))
}

fn settle(region: &Region, live: &LiveCluster, group: &str, capacity_provider: Arc<str>) {
    let home = GroupHome { cluster: live.arns.cluster.clone(), capacity_provider };
    region.registry().groups.update(group, |row| row.home = Some(home));
}
