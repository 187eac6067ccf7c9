//! Services: desired count, deployment bounds, placement, auto scaling.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::capacity::LaunchTarget;
use super::scaling::AutoScaling;
use super::task_definition::TaskDefinitionRef;

/// What a service is created from. **Source:** ecs-semantics §5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Its name, unique in the cluster.
    pub name: Arc<str>,
    /// What its tasks run.
    pub task_definition: TaskDefinitionRef,
    /// How many tasks to keep.
    pub desired_count: u32,
    /// Where they run.
    pub launch_target: LaunchTarget,
    /// The bounds of a rolling deployment.
    pub deployment_configuration: DeploymentConfiguration,
    /// Ranking of instances, first strategy first; at most five. Empty is ECS' default of a service.
    pub placement_strategy: Vec<PlacementStrategy>,
    /// What an instance must fulfil.
    pub placement_constraints: Vec<PlacementConstraint>,
    /// Service auto scaling.
    pub auto_scaling: Option<AutoScaling>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whose tags its tasks get.
    pub propagate_tags: PropagateTags,
}

/// Bounds of a rolling deployment in percent of the desired count. **Source:** ecs-semantics §5.1, §5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeploymentConfiguration {
    /// Healthy tasks that must remain; the count is rounded up.
    pub minimum_healthy_percent: u32,
    /// Cap on running and pending tasks; the count is rounded down.
    pub maximum_percent: u32,
}

impl Default for DeploymentConfiguration {
    fn default() -> DeploymentConfiguration {
        DeploymentConfiguration { minimum_healthy_percent: 100, maximum_percent: 200 }
    }
}

/// Ranks the instances that can take a task. **Source:** ecs-semantics §4.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementStrategy {
    /// Least remaining of the resource that still fits.
    Binpack(BinpackField),
    /// Fewest tasks of the same service or group by value of the field.
    Spread(SpreadField),
    /// Uniform.
    Random,
}

/// The resource that `binpack` packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinpackField {
    /// `cpu`.
    Cpu,
    /// `memory`.
    Memory,
}

/// What `spread` spreads over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpreadField {
    /// `instanceId` or `host`.
    InstanceId,
    /// `attribute:NAME`, as in `attribute:ecs.availability-zone`. Holds NAME.
    Attribute(String),
}

/// Excludes instances. **Source:** ecs-semantics §4.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementConstraint {
    /// Each task of a group on an instance of its own.
    DistinctInstance,
}

/// Whose tags a task gets at its creation. **Source:** ecs-semantics §2.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PropagateTags {
    /// Nobody's.
    #[default]
    None,
    /// The task definition's.
    TaskDefinition,
    /// The service's.
    Service,
}
