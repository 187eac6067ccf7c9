//! Services: desired count, deployment bounds, placement, auto scaling.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capacity::LaunchTarget;
use super::cluster_query::ClusterQuery;
use super::deployment::{DeploymentAlarms, DeploymentCircuitBreaker, DeploymentStrategy, EarlySuccess};
use super::deployment_hook::DeploymentHook;
use super::document::Document;
use super::metric::MetricResolution;
use super::scaling::AutoScaling;
use super::target_group::LoadBalancer;
use super::task_definition::TaskDefinitionRef;
use super::task_set::DeploymentController;
use super::units::Duration;
use super::written_form::is_default;

/// What a service is created from. **Source:** ecs-semantics §5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its name, unique in the cluster.
    pub name: Arc<str>,
    /// Who brings it from one revision to the next.
    #[serde(skip_serializing_if = "is_default")]
    pub deployment_controller: DeploymentController,
    /// What its tasks run. That of an EXTERNAL service has no family until a task set of it is PRIMARY, and is then that set's.
    pub task_definition: TaskDefinitionRef,
    /// How many tasks to keep.
    pub desired_count: u32,
    /// Where they run.
    pub launch_target: LaunchTarget,
    /// How it comes from one revision to the next.
    pub deployment_configuration: DeploymentConfiguration,
    /// Ranking of instances, first strategy first; at most five. Empty is ECS' default of a service.
    pub placement_strategy: Vec<PlacementStrategy>,
    /// What an instance must fulfil.
    pub placement_constraints: Vec<PlacementConstraint>,
    /// How many tasks there are to be, and where.
    pub scheduling_strategy: SchedulingStrategy,
    /// Whether its tasks are moved to zones that have too few of them.
    pub availability_zone_rebalancing: AvailabilityZoneRebalancing,
    /// Service auto scaling.
    pub auto_scaling: Option<AutoScaling>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whose tags its tasks get.
    pub propagate_tags: PropagateTags,
    /// How long after a task's start its health checks are left out of account. **Source:** ecs-semantics §5.4.
    pub health_check_grace_period: Duration,
    /// How fine its utilisation is measured.
    pub monitoring: Monitoring,
    /// The target groups that its tasks are registered in; at most five. **Source:** ecs-semantics §1.7.
    #[serde(skip_serializing_if = "is_default")]
    pub load_balancers: Vec<LoadBalancer>,
    /// Whether its tasks get the tags that ECS manages.
    #[serde(skip_serializing_if = "is_default")]
    pub ecs_managed_tags: EcsManagedTags,
    /// Makes the call happen once, however often it is made. **Source:** ecs-semantics §1.3.
    #[serde(skip_serializing_if = "is_default")]
    pub client_token: Option<Arc<str>>,
    /// What else the caller said, kept and given back. *Ours.*
    #[serde(skip_serializing_if = "Document::is_empty")]
    pub document: Document,
}

/// `monitoring`: how fine a service's utilisation is measured, by metric. **Source:** ecs-semantics §10.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitoring {
    /// `CPUUtilization`.
    pub cpu: MetricResolution,
    /// `MemoryUtilization`.
    pub memory: MetricResolution,
}

impl Monitoring {
    /// The resolution of a metric by its name.
    pub fn of(&self, metric_name: &str) -> MetricResolution {
        match metric_name {
            "CPUUtilization" => self.cpu,
            "MemoryUtilization" => self.memory,
            _ => MetricResolution::Standard,
        }
    }
}

/// How many tasks a service has. **Source:** ecs-semantics §5.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SchedulingStrategy {
    /// As many as desired.
    #[default]
    Replica,
    /// One on each active instance that meets the constraints; the desired count is computed.
    Daemon,
}

impl SchedulingStrategy {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            SchedulingStrategy::Replica => "REPLICA",
            SchedulingStrategy::Daemon => "DAEMON",
        }
    }
}

/// Whether a service's tasks are kept in balance over zones. **Source:** ecs-semantics §5.10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AvailabilityZoneRebalancing {
    /// ECS' default on creation.
    #[default]
    Enabled,
    /// Tasks stay where they are.
    Disabled,
}

/// How a service comes from one revision to the next. **Source:** ecs-semantics §5.1, §5.2, §5.7, §5.8.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentConfiguration {
    /// Healthy tasks that must remain, in percent of the desired count; the count is rounded up.
    pub minimum_healthy_percent: u32,
    /// Cap on running and pending tasks, in percent of the desired count; the count is rounded down.
    pub maximum_percent: u32,
    /// In which order and with which traffic.
    pub strategy: DeploymentStrategy,
    /// Fails it after too many failed tasks; `None`: `enable = false`.
    pub circuit_breaker: Option<DeploymentCircuitBreaker>,
    /// Fails it when an alarm goes off; `None`: `enable = false`.
    pub alarms: Option<DeploymentAlarms>,
    /// `bakeTimeInMinutes`: how long the target has to hold before the deployment is complete. `None`: the setting `bake_time` where
    /// alarms watch a rolling deployment, and else nothing.
    pub bake_time: Option<Duration>,
    /// Completes a rolling deployment before all its tasks are healthy; `None`: `enable = false`.
    pub early_success: Option<EarlySuccess>,
    /// Who is asked at the stages of a deployment that moves traffic, in this order. **Source:** ecs-semantics §5.8.
    pub lifecycle_hooks: Vec<DeploymentHook>,
}

impl DeploymentConfiguration {
    /// How long the target bakes: as it says, else for the given time where alarms watch it. **Source:** ecs-semantics §5.7.
    pub fn bake_time_or(&self, default: Duration) -> Duration {
        match (self.bake_time, &self.alarms) {
            (Some(bake_time), _) => bake_time,
            (None, Some(_)) => default,
            (None, None) => Duration::ZERO,
        }
    }
}

impl Default for DeploymentConfiguration {
    fn default() -> DeploymentConfiguration {
        DeploymentConfiguration {
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            strategy: DeploymentStrategy::Rolling,
            circuit_breaker: None,
            alarms: None,
            bake_time: None,
            early_success: None,
            lifecycle_hooks: Vec::new(),
        }
    }
}

/// Ranks the instances that can take a task. **Source:** ecs-semantics §4.2.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementStrategy {
    /// Least remaining of the resource that still fits.
    Binpack(BinpackField),
    /// Fewest tasks of the same service or group by value of the field.
    Spread(SpreadField),
    /// Uniform.
    Random,
}

/// The resource that `binpack` packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BinpackField {
    /// `cpu`.
    Cpu,
    /// `memory`.
    Memory,
}

/// What `spread` spreads over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpreadField {
    /// `instanceId` or `host`.
    InstanceId,
    /// `attribute:NAME`, as in `attribute:ecs.availability-zone`. Holds NAME.
    Attribute(String),
}

/// Excludes instances. **Source:** ecs-semantics §4.3.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PlacementConstraint {
    /// Each task of a group on an instance of its own.
    DistinctInstance,
    /// Instances of which a query is true.
    MemberOf(Arc<ClusterQuery>),
}

/// Constraints of a task at most, its definition's among them. **Source:** ecs-semantics §4.1.
pub const PLACEMENT_CONSTRAINTS_MAX: usize = 10;
/// Placement strategies of a service or a request at most. **Source:** ecs-semantics §4.1.
pub const PLACEMENT_STRATEGIES_MAX: usize = 5;

/// `enableECSManagedTags`: whether a task is tagged with its cluster and its service by ECS itself. **Source:** developer guide, Tagging
/// Amazon ECS resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EcsManagedTags {
    /// It is not.
    #[default]
    Disabled,
    /// `aws:ecs:clusterName`, and `aws:ecs:serviceName` for a service's task.
    Enabled,
}

/// Whose tags a task gets at its creation. **Source:** ecs-semantics §2.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PropagateTags {
    /// Nobody's.
    #[default]
    None,
    /// The task definition's.
    TaskDefinition,
    /// The service's.
    Service,
}
