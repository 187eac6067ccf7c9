//! Clusters: CreateCluster, DescribeClusters, ListClusters, UpdateCluster, UpdateClusterSettings, DeleteCluster.
//!
//! **Source:** ecs-semantics §1.1, §11.4.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::capacity_providers::Association;
use super::error::ApiError;
use super::ids::uuid_of;
use super::members::Members;
use super::names::{DEFAULT_CLUSTER, is_name, last_part};
use super::page::{LONG_PAGES, page};
use super::region::Region;
use super::registry::Registry;
use super::registry::clusters::{ClusterRow, ClusterStatus};
use super::{Call, account_settings, group_homes, missing, show_tags, tags_of};
use crate::control_plane::event::Request;
use crate::control_plane::state::{ClusterState, ServiceStatus};
use crate::model::capacity::ContainerInstanceStatus;
use crate::model::cluster::ClusterSpec;
use crate::model::settings::ContainerInsights;
use crate::model::task::TaskStatus;
use crate::model::task_definition::LaunchType;

/// Clusters that one DescribeClusters names at most. **Source:** ecs-semantics §11.3.
const DESCRIBED_MAX: usize = 100;
/// Members that mean nothing here and are given back.
const STORED: [&str; 2] = ["configuration", "serviceConnectDefaults"];

/// CreateCluster. One that is there is answered as it is.
pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.text("clusterName").unwrap_or(DEFAULT_CLUSTER);
    if !is_name(name) {
        return Err(ApiError::invalid_parameter(
            "Identifier must be 1 to 255 letters (uppercase and lowercase), numbers, hyphens, and underscores",
        ));
    }
    let _alone = region.lock_capacity();
    if !region.has_cluster(name) {
        let association = Association::of(region, name, input)?;
        let mut settings = settings_of(input)?;
        let insights = || account_settings::effective(&region.registry(), "containerInsights");
        settings.entry("containerInsights".to_owned()).or_insert_with(insights);
        let row = ClusterRow {
            status: ClusterStatus::Active,
            document: input.only(&STORED),
            settings,
            tags: tags_of(input.list("tags")),
            capacity_providers: Vec::new(),
            default_strategy: Vec::new(),
            seed: seed_of(region, name),
        };
        let started = region.start_cluster(spec_of(region, name, &row));
        let live = started.map_err(|error| ApiError::new("ServerException", error.to_string()))?;
        region.registry().clusters.put(name, row);
        if input.has("capacityProviders") {
            association.apply(region, &live)?;
        }
        group_homes::run_those_that_wait(region, name)?;
    }
    let everything = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "TAGS"];
    Ok(json!({"cluster": show(region, name, |what| everything.contains(&what))?}))
}

/// The cluster of a row as it begins.
pub(super) fn spec_of(region: &Region, name: &str, row: &ClusterRow) -> ClusterSpec {
    let mut settings = region.options().settings.clone();
    settings.seed = row.seed;
    settings.container_insights = insights_of(&row.settings).unwrap_or(ContainerInsights::Disabled);
    ClusterSpec { name: name.to_owned(), region: region.name.to_string(), settings, ..ClusterSpec::default() }
}

/// What settings say of Container Insights, if they do.
fn insights_of(settings: &BTreeMap<String, String>) -> Option<ContainerInsights> {
    settings.get("containerInsights").map(|value| match value.as_str() {
        "enabled" => ContainerInsights::Enabled,
        "enhanced" => ContainerInsights::Enhanced,
        _ => ContainerInsights::Disabled,
    })
}

/// Ids of clusters differ, and those of a cluster that is created anew from those of the one before. *Ours.*
fn seed_of(region: &Region, name: &str) -> u64 {
    let before = region.registry().clusters.get(name).map(|row| row.seed);
    // Its keys are fixed: the same names make the same seed in every process.
    let mut hasher = DefaultHasher::new();
    (&region.name, name, before, region.options().settings.seed).hash(&mut hasher);
    hasher.finish()
}

/// DescribeClusters. **Source:** ecs-semantics §11.3.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let mut named: Vec<&str> = input.texts("clusters").collect();
    if named.len() > DESCRIBED_MAX {
        return Err(ApiError::invalid_parameter(format!("clusters can have at most {DESCRIBED_MAX} items.")));
    }
    if named.is_empty() {
        named.push(DEFAULT_CLUSTER);
    }
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for name in named {
        match show(region, last_part(name), |what| input.includes(what)) {
            Ok(cluster) => clusters.push(cluster),
            Err(_) => failures.push(missing(region.arn(&format!("cluster/{}", last_part(name))))),
        }
    }
    Ok(json!({"clusters": clusters, "failures": failures}))
}

/// ListClusters.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let registry = call.region.registry();
    let active = registry.clusters.iter().filter(|(_, row)| row.status == ClusterStatus::Active);
    let items = active.map(|(name, _)| (name.to_string(), name));
    let arn = |name: &Arc<str>| json!(call.region.arn(&format!("cluster/{name}")));
    Ok(Value::Object(page(call.input, LONG_PAGES, "clusterArns", items, arn)?))
}

/// UpdateCluster.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let settings = settings_of(input)?;
    change(region, input, settings, |row| row.document.extend(input.only(&STORED)))
}

/// UpdateClusterSettings.
pub(super) fn update_settings(call: &Call<'_>) -> Result<Value, ApiError> {
    change(call.region, call.input, settings_of(call.input)?, |_| {})
}

/// Changes settings of the cluster that a request names, which apply to it from here on, and the rest of its row; and answers the cluster.
fn change(
    region: &Region,
    input: Members<'_>,
    settings: BTreeMap<String, String>,
    change: impl FnOnce(&mut ClusterRow),
) -> Result<Value, ApiError> {
    let name = last_part(input.text("cluster").unwrap_or(DEFAULT_CLUSTER));
    // Of two changes at a time, the one that counts is the one that is shown.
    let _alone = region.lock_capacity();
    let live = region.cluster(Some(name))?;
    if let Some(insights) = insights_of(&settings) {
        live.cluster.ask(Request::PutContainerInsights(insights))?;
    }
    region.registry().clusters.update(name, |row| {
        row.settings.extend(settings);
        change(row);
    });
    Ok(json!({"cluster": show(region, name, |what| ["SETTINGS", "CONFIGURATIONS", "ATTACHMENTS"].contains(&what))?}))
}

/// DeleteCluster. **Source:** ecs-semantics §11.4: only one that is empty.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let region = call.region;
    let name = last_part(call.input.required_text("cluster"));
    let _alone = region.lock_capacity();
    let live = region.cluster(Some(name))?;
    let obstacle = live.cluster.read(|state, _| obstacle(state))?;
    if let Some((exception, message)) = obstacle {
        return Err(ApiError::new(exception, message));
    }
    if let Some(ended) = region.end_cluster(name) {
        // Another one of its name begins anew.
        ended.cluster.drain();
    }
    region.registry().cluster_gone(name);
    Ok(json!({"cluster": show(region, name, |_| false)?}))
}

/// What keeps a cluster from being deleted.
fn obstacle(state: &ClusterState) -> Option<(&'static str, &'static str)> {
    if state.services.values().any(|service| service.status == ServiceStatus::Active) {
        return Some(("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."));
    }
    if state.live_count > 0 {
        return Some(("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."));
    }
    if state.live_instances().any(|instance| instance.status != ContainerInstanceStatus::Inactive) {
        let text = "The Cluster cannot be deleted while Container Instances are active or draining.";
        return Some(("ClusterContainsContainerInstancesException", text));
    }
    None
}

/// The settings of a request, by name. **Source:** ecs-semantics §10.2.
fn settings_of(input: Members<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let settings = input.structures("settings").map(|setting| {
        let (name, value) = (setting.required_text("name"), setting.required_text("value"));
        match (name, value) {
            ("containerInsights", "enabled" | "enhanced" | "disabled") => Ok((name.to_owned(), value.to_owned())),
            _ => Err(ApiError::invalid_parameter(format!("Invalid cluster setting value '{value}' for '{name}'."))),
        }
    });
    settings.collect()
}

/// A cluster as it is answered.
///
/// # Errors
/// When the registry does not have it.
pub(super) fn show(region: &Region, name: &str, includes: impl Fn(&str) -> bool) -> Result<Value, ApiError> {
    let row = region.registry().clusters.get(name).cloned().ok_or_else(ApiError::cluster_not_found)?;
    let counts = match region.cluster(Some(name)) {
        Ok(live) => live.cluster.read(|state, _| Counts::of(state)).unwrap_or_default(),
        Err(_) => Counts::default(),
    };
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("clusterArn", json!(region.arn(&format!("cluster/{name}"))));
    put("clusterName", json!(name));
    put("status", json!(row.status.as_str()));
    put("registeredContainerInstancesCount", json!(counts.instances));
    put("runningTasksCount", json!(counts.running));
    put("pendingTasksCount", json!(counts.pending));
    put("activeServicesCount", json!(counts.active_services));
    put("capacityProviders", json!(row.capacity_providers));
    put("defaultCapacityProviderStrategy", json!(row.default_strategy));
    let statistics = if includes("STATISTICS") { counts.statistics() } else { json!([]) };
    put("statistics", statistics);
    put("tags", if includes("TAGS") { show_tags(&row.tags) } else { json!([]) });
    let settings = row.settings.iter().map(|(name, value)| json!({"name": name, "value": value}));
    put("settings", if includes("SETTINGS") { settings.collect() } else { json!([]) });
    if includes("ATTACHMENTS") {
        let attachments = attachments(&region.registry(), &region.name, &row.capacity_providers);
        if !attachments.is_empty() {
            put("attachmentsStatus", json!("UPDATE_COMPLETE"));
        }
        put("attachments", json!(attachments));
    }
    if includes("CONFIGURATIONS") {
        row.document.into_iter().for_each(|(name, value)| put(&name, value));
    } else if let Some(defaults) = row.document.get("serviceConnectDefaults") {
        put("serviceConnectDefaults", defaults.clone());
    }
    Ok(Value::Object(shown))
}

/// The scaling policies of providers whose groups ECS scales. *Ours:* they are there at once.
///
/// **Source:** the page describe-clusters of the AWS CLI, example 2.
fn attachments(registry: &Registry, region: &str, providers: &[Arc<str>]) -> Vec<Value> {
    let scales = |name: &str| registry.capacity_providers.get(name).is_some_and(|row| row.managed_scaling.is_some());
    let scaled = providers.iter().filter(|name| scales(name));
    let attachment = |name: &Arc<str>| {
        let policy = format!("ECSManagedAutoScalingPolicy-{}", uuid_of(&[region, "policy", name]));
        json!({
            "id": uuid_of(&[region, "attachment", name]),
            "type": "as_policy",
            "status": "CREATED",
            "details": [
                {"name": "capacityProviderName", "value": **name},
                {"name": "scalingPolicyName", "value": policy},
            ]
        })
    };
    scaled.map(attachment).collect()
}

/// What of a cluster's state is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    instances: usize,
    running: usize,
    pending: usize,
    active_services: usize,
    draining_services: usize,
    running_by_type: [usize; 2],
    pending_by_type: [usize; 2],
    active_services_by_type: [usize; 2],
    draining_services_by_type: [usize; 2],
}

/// The launch types of statistics, in the order of [`Counts`]' pairs.
const LAUNCH_TYPES: [(LaunchType, &str); 2] = [(LaunchType::Ec2, "EC2"), (LaunchType::Fargate, "Fargate")];

impl Counts {
    fn of(state: &ClusterState) -> Counts {
        let mut counts = Counts::default();
        let registered = [ContainerInstanceStatus::Active, ContainerInstanceStatus::Draining];
        let instances = state.container_instances.values();
        counts.instances = instances.filter(|instance| registered.contains(&instance.status)).count();
        for record in state.tasks.values() {
            let at = usize::from(record.task.launch_type == LaunchType::Fargate);
            match record.task.last_status {
                TaskStatus::Running => {
                    counts.running += 1;
                    counts.running_by_type[at] += 1;
                }
                TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => {
                    counts.pending += 1;
                    counts.pending_by_type[at] += 1;
                }
                _ => {}
            }
        }
        for service in state.services.values() {
            let at = usize::from(service.spec.launch_target.launch_type() == Some(LaunchType::Fargate));
            match service.status {
                ServiceStatus::Active => {
                    counts.active_services += 1;
                    counts.active_services_by_type[at] += 1;
                }
                ServiceStatus::Draining => {
                    counts.draining_services += 1;
                    counts.draining_services_by_type[at] += 1;
                }
                ServiceStatus::Inactive => {}
            }
        }
        counts
    }

    /// **Source:** API reference, Cluster, `statistics`.
    fn statistics(&self) -> Value {
        let kinds = [
            ("running", "TasksCount", self.running_by_type),
            ("pending", "TasksCount", self.pending_by_type),
            ("active", "ServiceCount", self.active_services_by_type),
            ("draining", "ServiceCount", self.draining_services_by_type),
        ];
        let all = kinds.into_iter().flat_map(|(state, what, counts)| {
            LAUNCH_TYPES.into_iter().zip(counts).map(move |((_, launch_type), count)| {
                json!({"name": format!("{state}{launch_type}{what}"), "value": count.to_string()})
            })
        });
        all.collect()
    }
}
