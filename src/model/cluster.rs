//! A whole cluster as it is asked for: what a cluster file or a library call says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alarm::MetricAlarm;
use super::auto_scaling_group::InstanceRefreshSpec;
use super::capacity::{CapacityProvider, CapacityProviderStrategyItem, InstanceLaunch, LaunchTarget};
use super::document::Document;
use super::fault::{Fault, MessageFaults};
use super::ids::ContainerInstanceId;
use super::image_map::ImageMap;
use super::metric::MetricScript;
use super::service::{EcsManagedTags, PlacementConstraint, PlacementStrategy, PropagateTags, ServiceSpec};
use super::settings::Settings;
use super::subnet::Subnet;
use super::target_group::TargetGroup;
use super::task::TaskOverrides;
use super::task_definition::{TaskDefinition, TaskDefinitionRef};
use super::task_set::TaskSetSpec;
use super::traffic::TrafficKind;
use super::units::{Duration, Timestamp};
use super::written_form::is_default;

/// A cluster: valid by itself, every reference resolved but the order of registration left to the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ClusterSpec {
    /// Its name; ECS' default is `default`.
    pub name: String,
    /// The region whose prices apply.
    pub region: String,
    /// Settings.
    pub settings: Settings,
    /// Which modules stand for images.
    pub images: ImageMap,
    /// The cluster's default capacity provider strategy; may be empty.
    pub default_strategy: Vec<CapacityProviderStrategyItem>,
    /// Providers over Auto Scaling groups.
    pub capacity_providers: Vec<CapacityProvider>,
    /// Instances registered by hand.
    pub container_instances: Vec<InstanceLaunch>,
    /// Subnets by themselves; those of groups and instances are with these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<Subnet>,
    /// Task definitions in the file's order; several of one family become its revisions.
    pub task_definitions: Vec<TaskDefinition>,
    /// Target groups of load balancers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target_groups: Vec<TargetGroup>,
    /// Services.
    pub services: Vec<ServiceSpec>,
    /// Task sets of EXTERNAL services, each with an external id that is its own in its service.
    pub task_sets: Vec<TaskSetSpec>,
    /// The external id of the task set that is PRIMARY, by service.
    pub primary_task_sets: BTreeMap<Arc<str>, Arc<str>>,
    /// CloudWatch alarms.
    pub alarms: Vec<MetricAlarm>,
    /// Metrics whose values are written down beforehand.
    pub metric_scripts: Vec<MetricScript>,
    /// Standalone tasks.
    pub run_tasks: Vec<ScheduledRunTask>,
    /// Standalone tasks on named instances.
    pub start_tasks: Vec<ScheduledStartTask>,
    /// Load on services.
    pub loads: Vec<Load>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// What becomes of what the data plane reports, in simulated time.
    pub messages: MessageFaults,
    /// What becomes of what the control plane asks of the data plane, in simulated time.
    pub actions: MessageFaults,
    /// Instance refreshes and when to start them.
    pub instance_refreshes: Vec<ScheduledInstanceRefresh>,
    /// UpdateService calls and when to make them.
    pub service_updates: Vec<ScheduledServiceUpdate>,
}

/// An UpdateService call and when to make it; `None` leaves as it is. **Source:** ecs-semantics §5.5.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ScheduledServiceUpdate {
    /// When, since the start.
    pub at: Duration,
    /// The service.
    pub service: Arc<str>,
    /// What it is to run.
    pub task_definition: Option<TaskDefinitionRef>,
    /// How many tasks it is to have.
    pub desired_count: Option<u32>,
}

/// An instance refresh and when to ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ScheduledInstanceRefresh {
    /// When, since the start.
    pub at: Duration,
    /// What.
    pub spec: InstanceRefreshSpec,
}

/// Standalone tasks and when to ask for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ScheduledRunTask {
    /// When, since the start.
    pub at: Duration,
    /// What.
    pub spec: RunTaskSpec,
}

/// Standalone tasks on instances that the caller names, and when to ask for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ScheduledStartTask {
    /// When, since the start.
    pub at: Duration,
    /// The names of the instances, one task each.
    pub container_instances: Vec<Arc<str>>,
    /// What; its own list of instances is empty.
    pub spec: StartTaskSpec,
}

impl ScheduledStartTask {
    /// How many tasks it asks for.
    pub fn count(&self) -> u32 {
        u32::try_from(self.container_instances.len()).unwrap_or(u32::MAX)
    }
}

/// The parameters of StartTask. **Source:** ecs-semantics §4.5, §11.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartTaskSpec {
    /// What to run.
    pub task_definition: TaskDefinitionRef,
    /// Where: a task on each, at most ten.
    pub container_instances: Vec<ContainerInstanceId>,
    /// The group; `None` is `family:FAMILY`.
    pub group: Option<Arc<str>>,
    /// A free tag.
    pub started_by: Option<Arc<str>>,
    /// Changes to the task definition.
    pub overrides: Arc<TaskOverrides>,
    /// Tags of the tasks.
    pub tags: BTreeMap<String, String>,
    /// Whether the task definition's tags are added.
    pub propagate_tags: PropagateTags,
    /// Whether its tasks get the tags that ECS manages.
    #[serde(skip_serializing_if = "is_default")]
    pub ecs_managed_tags: EcsManagedTags,
    /// What else the caller said, kept and given back. *Ours.*
    #[serde(skip_serializing_if = "Document::is_empty")]
    pub document: Document,
}

/// The parameters of RunTask. **Source:** ecs-semantics §4.5, §11.6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunTaskSpec {
    /// What to run.
    pub task_definition: TaskDefinitionRef,
    /// How many. The API takes at most 10 a call; a cluster file may say more, which is as many calls.
    pub count: u32,
    /// Where.
    pub launch_target: LaunchTarget,
    /// The group; `None` is `family:FAMILY`.
    #[serde(skip_serializing_if = "is_default")]
    pub group: Option<Arc<str>>,
    /// A free tag.
    #[serde(skip_serializing_if = "is_default")]
    pub started_by: Option<Arc<str>>,
    /// Changes to the task definition.
    #[serde(skip_serializing_if = "is_default")]
    pub overrides: Arc<TaskOverrides>,
    /// Ranking of instances.
    #[serde(skip_serializing_if = "is_default")]
    pub placement_strategy: Vec<PlacementStrategy>,
    /// What an instance must fulfil.
    #[serde(skip_serializing_if = "is_default")]
    pub placement_constraints: Vec<PlacementConstraint>,
    /// Tags of the tasks.
    #[serde(skip_serializing_if = "is_default")]
    pub tags: BTreeMap<String, String>,
    /// Whether the task definition's tags are added.
    #[serde(skip_serializing_if = "is_default")]
    pub propagate_tags: PropagateTags,
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

impl Default for RunTaskSpec {
    /// ECS' defaults: one task, wherever the cluster's default strategy says. **Source:** ecs-semantics §4.5.
    fn default() -> RunTaskSpec {
        RunTaskSpec {
            task_definition: TaskDefinitionRef::default(),
            count: 1,
            launch_target: LaunchTarget::default(),
            group: None,
            started_by: None,
            overrides: Arc::default(),
            placement_strategy: Vec::new(),
            placement_constraints: Vec::new(),
            tags: BTreeMap::new(),
            propagate_tags: PropagateTags::None,
            ecs_managed_tags: EcsManagedTags::Disabled,
            client_token: None,
            document: Document::default(),
        }
    }
}

/// Jobs for a service: each is one line handed to one of its tasks on standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Load {
    /// The service.
    pub service: Arc<str>,
    /// The container that reads the jobs; `None` is the first essential one.
    pub container: Option<String>,
    /// The line of a job, without its end.
    pub job: String,
    /// The rate over time: each holds until the next begins. In the order of time; empty when `moments` says it.
    pub steps: Vec<LoadStep>,
    /// After how long the steps begin again; `None`: the last one holds for ever.
    pub period: Option<Duration>,
    /// The moments of arrival, where they are written down one by one, in order.
    pub moments: Arc<[Timestamp]>,
    /// How jobs are spaced.
    pub arrivals: Arrivals,
    /// Of which traffic they are.
    pub traffic: TrafficKind,
}

/// A rate of jobs from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LoadStep {
    /// From when.
    pub at: Timestamp,
    /// Jobs in a thousand million seconds: 2.5 a second is 2,500,000,000.
    pub jobs_per_gigasecond: u64,
}

/// How jobs are spaced in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Constant,
    /// Exponential gaps, from the cluster's seed.
    Poisson,
}
