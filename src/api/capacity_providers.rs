//! Capacity providers: CreateCapacityProvider, UpdateCapacityProvider, DeleteCapacityProvider, DescribeCapacityProviders,
//! PutClusterCapacityProviders.
//!
//! **Source:** ecs-semantics §6.1, §6.2, §11.3.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::launch::strategy_of;
use super::members::Members;
use super::names::{is_name, last_part};
use super::page::{PageSizes, page};
use super::region::{LiveCluster, Region};
use super::registry::capacity::{CapacityProviderRow, GroupHome, GroupRow};
use super::{Call, clusters, group_homes, missing, show_tags, tags_of};
use crate::control_plane::event::Request;
use crate::control_plane::state::{ClusterState, ServiceStatus};
use crate::model::auto_scaling_group::{ManagedDraining, ManagedTerminationProtection, ScaleInProtection};
use crate::model::capacity::{
    AutoScalingGroup, CapacityProvider, CapacityProviderStrategyItem, FARGATE, FARGATE_SPOT, LaunchTarget,
    ManagedScaling,
};

/// Providers that one description names at most. **Source:** ecs-semantics §11.3.
const DESCRIBED_MAX: usize = 100;
/// **Source:** ecs-semantics §11.3: ten at most.
const PAGES: PageSizes = PageSizes { default: 10, most: 10 };
/// Providers of a cluster at most. **Source:** ecs-semantics §1.7.
const OF_CLUSTER_MAX: usize = 20;
/// Prefixes of names that are AWS' own. **Source:** ecs-semantics §1.3.
const RESERVED: [&str; 3] = ["aws", "ecs", "fargate"];

/// CreateCapacityProvider.
pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("name");
    if !is_name(name) || RESERVED.iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix)) {
        return Err(ApiError::invalid_parameter(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters (upper and \
             lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with \"aws\", \"ecs\", or \"fargate\".",
        ));
    }
    if input.has("managedInstancesProvider") {
        return Err(ApiError::new("UnsupportedFeatureException", "Managed Instances are not supported."));
    }
    let Some(provider) = input.structure("autoScalingGroupProvider") else {
        return Err(ApiError::invalid_parameter("An Auto Scaling group provider is required."));
    };
    let mut registry = region.registry();
    if registry.capacity_providers.get(name).is_some() {
        return Err(ApiError::client(format!("A capacity provider with the name {name} already exists.")));
    }
    let group = group_named(provider.required_text("autoScalingGroupArn"));
    let known = registry
        .groups
        .get(group)
        .ok_or_else(|| ApiError::client("The Auto Scaling group that the capacity provider names was not found."))?;
    if registry.capacity_providers.iter().any(|(_, row)| &*row.group == group) {
        return Err(ApiError::client(
            "The specified Auto Scaling group ARN is already being used by another capacity provider.",
        ));
    }
    let mut row = CapacityProviderRow {
        group: group.into(),
        managed_scaling: None,
        managed_termination_protection: ManagedTerminationProtection::Disabled,
        managed_draining: ManagedDraining::Enabled,
        tags: tags_of(input.list("tags")),
        cluster: None,
    };
    change(&mut row, provider);
    check_protection(&row, known)?;
    registry.capacity_providers.put(name, row.clone());
    drop(registry);
    Ok(json!({"capacityProvider": show(region, name, &row, Some("CREATE_COMPLETE"), true)}))
}

/// The name in a group's ARN, or a name.
fn group_named(arn: &str) -> &str {
    arn.rsplit("autoScalingGroupName/").next().unwrap_or(arn)
}

/// What a request makes of a provider: members that it does not name stay. **Source:** ecs-semantics §6.2.
fn change(row: &mut CapacityProviderRow, sent: Members<'_>) {
    if let Some(scaling) = sent.structure("managedScaling") {
        let before = row.managed_scaling.unwrap_or_default();
        let found = ManagedScaling {
            target_capacity: scaling.count("targetCapacity").unwrap_or(before.target_capacity),
            minimum_scaling_step_size: scaling
                .count("minimumScalingStepSize")
                .unwrap_or(before.minimum_scaling_step_size),
            maximum_scaling_step_size: scaling
                .count("maximumScalingStepSize")
                .unwrap_or(before.maximum_scaling_step_size),
            instance_warmup_period: scaling
                .count("instanceWarmupPeriod")
                .map_or(before.instance_warmup_period, |seconds| Duration::from_secs(seconds.into())),
        };
        row.managed_scaling = match scaling.text("status") {
            Some("DISABLED") => None,
            Some(_) => Some(found),
            None => row.managed_scaling.map(|_| found),
        };
    }
    match sent.text("managedTerminationProtection") {
        Some("ENABLED") => row.managed_termination_protection = ManagedTerminationProtection::Enabled,
        Some(_) => row.managed_termination_protection = ManagedTerminationProtection::Disabled,
        None => {}
    }
    match sent.text("managedDraining") {
        Some("DISABLED") => row.managed_draining = ManagedDraining::Disabled,
        Some(_) => row.managed_draining = ManagedDraining::Enabled,
        None => {}
    }
}

/// **Source:** ecs-semantics §6.2.
fn check_protection(row: &CapacityProviderRow, group: &GroupRow) -> Result<(), ApiError> {
    if row.managed_termination_protection == ManagedTerminationProtection::Disabled {
        return Ok(());
    }
    if row.managed_scaling.is_none() {
        return Err(ApiError::invalid_parameter(
            "To enable managed termination protection for a capacity provider, managed scaling has to be enabled.",
        ));
    }
    if group.new_instances_protected == ScaleInProtection::Unprotected {
        return Err(ApiError::invalid_parameter(
            "The managed termination protection setting for the capacity provider is invalid. To enable managed termination \
             protection for a capacity provider, the Auto Scaling group must have instance protection from scale in enabled.",
        ));
    }
    Ok(())
}

/// UpdateCapacityProvider.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = last_part(input.required_text("name"));
    let _alone = region.lock_capacity();
    let Some(sent) = input.structure("autoScalingGroupProvider") else {
        return Err(ApiError::invalid_parameter("An Auto Scaling group provider is required."));
    };
    let (row, group) = {
        let registry = region.registry();
        let row = registry.capacity_providers.get(name).cloned().ok_or_else(not_found)?;
        let group = registry.groups.get(&row.group).cloned().ok_or_else(not_found)?;
        (row, group)
    };
    let mut changed = row.clone();
    change(&mut changed, sent);
    check_protection(&changed, &group)?;
    if let Some(home) = group.home.as_ref().filter(|home| !home.is_by_itself()) {
        let provider = model_of(region, &home.capacity_provider, &changed, &group)?;
        region.cluster(Some(&home.cluster))?.cluster.ask(Request::UpdateCapacityProvider(Box::new(provider)))?;
    }
    region.registry().capacity_providers.put(name, changed.clone());
    Ok(json!({"capacityProvider": show(region, name, &changed, Some("UPDATE_COMPLETE"), true)}))
}

fn not_found() -> ApiError {
    ApiError::client("The specified capacity provider was not found.")
}

/// DeleteCapacityProvider.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let region = call.region;
    let name = last_part(call.input.required_text("capacityProvider"));
    if [FARGATE, FARGATE_SPOT].contains(&name) {
        return Err(ApiError::client("The FARGATE and FARGATE_SPOT capacity providers cannot be deleted."));
    }
    let _alone = region.lock_capacity();
    let mut registry = region.registry();
    let row = registry.capacity_providers.get(name).cloned().ok_or_else(not_found)?;
    if row.cluster.is_some() {
        return Err(ApiError::client(
            "The capacity provider cannot be deleted because it is associated with a cluster. Remove the capacity provider from the \
             cluster and try again.",
        ));
    }
    registry.capacity_providers.remove(name);
    drop(registry);
    let mut shown = show(region, name, &row, Some("DELETE_COMPLETE"), false);
    shown["status"] = json!("INACTIVE");
    Ok(json!({"capacityProvider": shown}))
}

/// DescribeCapacityProviders. Fargate's two are always there.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let named: Vec<&str> = input.texts("capacityProviders").map(last_part).collect();
    if named.len() > DESCRIBED_MAX {
        return Err(ApiError::invalid_parameter(format!("capacityProviders can have at most {DESCRIBED_MAX} items.")));
    }
    let with_tags = input.includes("TAGS");
    let rows: BTreeMap<String, CapacityProviderRow> = {
        let registry = region.registry();
        registry.capacity_providers.iter().map(|(name, row)| (name.to_string(), row.clone())).collect()
    };
    let show_named = |name: &str| match rows.get(name) {
        Some(row) => Some(show(region, name, row, None, with_tags)),
        None if [FARGATE, FARGATE_SPOT].contains(&name) => Some(show_fargate(region, name)),
        None => None,
    };
    if named.is_empty() {
        let mut names: Vec<String> = rows.keys().cloned().chain([FARGATE.into(), FARGATE_SPOT.into()]).collect();
        names.sort();
        let items = names.into_iter().map(|name| (name.clone(), name));
        let mut answer = page(input, PAGES, "capacityProviders", items, |name| show_named(&name).unwrap_or_default())?;
        answer.insert("failures".into(), json!([]));
        return Ok(Value::Object(answer));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in named {
        match show_named(name) {
            Some(shown) => found.push(shown),
            None => failures.push(missing(region.arn(&format!("capacity-provider/{name}")))),
        }
    }
    Ok(json!({"capacityProviders": found, "failures": failures}))
}

/// PutClusterCapacityProviders: both lists become these. **Source:** ecs-semantics §6.1.
pub(super) fn put_of_cluster(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name: Arc<str> = last_part(input.required_text("cluster")).into();
    let _alone = region.lock_capacity();
    let live = region.cluster(Some(&name))?;
    Association::of(region, &name, input)?.apply(region, &live)?;
    Ok(json!({"cluster": clusters::show(region, &name, |what| ["SETTINGS", "ATTACHMENTS"].contains(&what))?}))
}

/// The providers and the default strategy that a request gives a cluster, in place of those that it has.
pub(super) struct Association {
    wanted: Vec<Arc<str>>,
    strategy: Vec<CapacityProviderStrategyItem>,
    /// The same as it was sent.
    default_strategy: Vec<Value>,
    /// Those among the wanted ones that the cluster's control plane does not know yet, and their groups.
    new: Vec<(CapacityProvider, Arc<str>)>,
}

impl Association {
    /// What a request asks for. Capacity is locked from here on until it is applied ([`Region::lock_capacity`]).
    ///
    /// # Errors
    /// When the cluster can't have it: a provider is named twice (*ours*), not there, or another cluster's.
    pub(super) fn of(region: &Region, cluster: &str, input: Members<'_>) -> Result<Association, ApiError> {
        let member = "defaultCapacityProviderStrategy";
        let wanted: Vec<Arc<str>> = input.texts("capacityProviders").map(|named| last_part(named).into()).collect();
        if wanted.len() > OF_CLUSTER_MAX {
            let message = format!("A cluster has at most {OF_CLUSTER_MAX} capacity providers.");
            return Err(ApiError::invalid_parameter(message));
        }
        let twice = wanted.iter().enumerate().find(|(at, name)| wanted[..*at].contains(name));
        if let Some((_, name)) = twice {
            let message = format!("The specified capacity provider '{name}' is named more than once.");
            return Err(ApiError::invalid_parameter(message));
        }
        let strategy = strategy_of(input, member);
        if let Some(stranger) = strategy.iter().find(|item| !wanted.contains(&item.capacity_provider)) {
            return Err(ApiError::invalid_parameter(format!(
                "The specified capacity provider '{}' of the default strategy is not one of the cluster's.",
                stranger.capacity_provider
            )));
        }
        let new = new_providers(region, cluster, &wanted)?;
        Ok(Association { wanted, strategy, default_strategy: input.list(member).to_vec(), new })
    }

    /// Gives it to the cluster.
    ///
    /// # Errors
    /// When a provider that goes is in use.
    pub(super) fn apply(self, region: &Region, live: &LiveCluster) -> Result<(), ApiError> {
        let cluster = &live.arns.cluster;
        let before = region.registry().clusters.get(cluster).map(|row| row.capacity_providers.clone());
        let gone: Vec<Arc<str>> = before.into_iter().flatten().filter(|name| !self.wanted.contains(name)).collect();
        let leaving = gone.clone();
        if let Some(used) = live.cluster.read(move |state, _| leaving.into_iter().find(|name| is_used(state, name)))? {
            return Err(ApiError::new(
                "ResourceInUseException",
                format!("The specified capacity provider {used} is in use and cannot be removed."),
            ));
        }
        for (provider, group) in self.new {
            group_homes::bring(region, live, provider, &group)?;
        }
        live.cluster.ask(Request::PutDefaultStrategy(self.strategy))?;
        let mut registry = region.registry();
        for name in &self.wanted {
            registry.capacity_providers.update(name, |row| row.cluster = Some(cluster.clone()));
        }
        for name in &gone {
            registry.capacity_providers.update(name, |row| row.cluster = None);
        }
        registry.clusters.update(cluster, |row| {
            row.capacity_providers = self.wanted;
            row.default_strategy = self.default_strategy;
        });
        Ok(())
    }
}

/// Those among the wanted providers that the cluster's control plane does not know yet, and their groups.
fn new_providers(
    region: &Region,
    cluster: &str,
    wanted: &[Arc<str>],
) -> Result<Vec<(CapacityProvider, Arc<str>)>, ApiError> {
    let registry = region.registry();
    let mut new = Vec::new();
    for name in wanted.iter().filter(|name| ![FARGATE, FARGATE_SPOT].contains(&&***name)) {
        let unknown = || {
            ApiError::invalid_parameter(format!(
                "The specified capacity provider '{name}' is not in an ACTIVE state or was not found."
            ))
        };
        let row = registry.capacity_providers.get(name).ok_or_else(unknown)?;
        let group = registry.groups.get(&row.group).ok_or_else(unknown)?;
        if let Some(other) = group_homes::belongs_elsewhere(group, cluster) {
            return Err(ApiError::new(
                "ResourceInUseException",
                format!("The instances of capacity provider '{name}' belong to cluster {other}."),
            ));
        }
        if group.home.as_ref().is_none_or(GroupHome::is_by_itself) {
            new.push((model_of(region, name, row, group)?, row.group.clone()));
        }
    }
    Ok(new)
}

/// Whether tasks or services of a cluster use a provider.
fn is_used(state: &ClusterState, name: &str) -> bool {
    let by_tasks = state
        .tasks
        .values()
        .any(|record| record.task.stopped_at.is_none() && record.task.capacity_provider.as_deref() == Some(name));
    let by_services =
        state.services.values().filter(|service| service.status == ServiceStatus::Active).any(|service| {
            let LaunchTarget::Strategy(items) = &service.spec.launch_target else { return false };
            items.iter().any(|item| &*item.capacity_provider == name)
        });
    by_tasks || by_services
}

/// A provider as a control plane has it.
pub(super) fn model_of(
    region: &Region,
    name: &str,
    row: &CapacityProviderRow,
    group: &GroupRow,
) -> Result<CapacityProvider, ApiError> {
    let launch = &group.launch;
    let unknown = || ApiError::client(format!("The instance type {} is not known.", launch.instance_type));
    let instance_type = region.catalog().instance_type(&launch.instance_type).ok_or_else(unknown)?;
    let auto_scaling_group = AutoScalingGroup {
        min_size: group.min_size,
        max_size: group.max_size,
        desired_capacity: group.desired_capacity,
        availability_zones: group.availability_zones.clone(),
        boot_time: region.options().settings.boot_time,
        new_instances_protected: group.new_instances_protected,
        instance_type,
        image_id: launch.image_id.clone(),
        launch_template_version: launch.version,
        reserved_memory: launch.reserved_memory,
        ..AutoScalingGroup::default()
    };
    Ok(CapacityProvider {
        name: name.into(),
        auto_scaling_group,
        managed_scaling: row.managed_scaling,
        managed_termination_protection: row.managed_termination_protection,
        managed_draining: row.managed_draining,
    })
}

fn show_fargate(region: &Region, name: &str) -> Value {
    json!({
        "capacityProviderArn": region.arn(&format!("capacity-provider/{name}")),
        "name": name,
        "status": "ACTIVE",
        "type": name,
        "tags": [],
    })
}

fn show(region: &Region, name: &str, row: &CapacityProviderRow, update: Option<&str>, with_tags: bool) -> Value {
    let group_arn = {
        let registry = region.registry();
        registry.groups.get(&row.group).map(|group| group.arn(&region.name, &row.group))
    };
    let scaling = row.managed_scaling.unwrap_or_default();
    let enabled = |is: bool| if is { "ENABLED" } else { "DISABLED" };
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("capacityProviderArn", json!(region.arn(&format!("capacity-provider/{name}"))));
    put("name", json!(name));
    put("status", json!("ACTIVE"));
    put("type", json!("EC2_AUTOSCALING"));
    put("updateStatus", json!(update));
    put("tags", if with_tags { show_tags(&row.tags) } else { json!([]) });
    put(
        "autoScalingGroupProvider",
        json!({
            "autoScalingGroupArn": group_arn,
            "managedScaling": {
                "status": enabled(row.managed_scaling.is_some()),
                "targetCapacity": scaling.target_capacity,
                "minimumScalingStepSize": scaling.minimum_scaling_step_size,
                "maximumScalingStepSize": scaling.maximum_scaling_step_size,
                "instanceWarmupPeriod": scaling.instance_warmup_period.as_secs(),
            },
            "managedTerminationProtection":
                enabled(row.managed_termination_protection == ManagedTerminationProtection::Enabled),
            "managedDraining": enabled(row.managed_draining == ManagedDraining::Enabled),
        }),
    );
    Value::Object(shown)
}
