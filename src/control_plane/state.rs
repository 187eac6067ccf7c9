//! What the control plane knows: plain records in ordered maps. What holds between them is in `invariants`.
//!
//! Everything here is readable from outside; only the control plane's other files change it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::deployment_records::{ServiceDeployment, ServiceRevision};
use super::instance_refresh::InstanceRefresh;
use super::lifecycle_hooks::InstanceWaits;
use super::metrics::store::MetricStore;
use super::placement::Ranks;
use super::scalable_target::ScalableTarget;
use super::targets::TaskTargets;
use super::traffic_shift::TrafficShift;
use crate::model::alarm::{AlarmState, MetricAlarm};
use crate::model::auto_scaling_group::{LaunchTemplate, LifecycleState, RefreshStatus};
use crate::model::capacity::{
    CapacityProvider, CapacityProviderStrategyItem, ContainerInstance, LaunchTarget, RequiredAttribute, launch_type_of,
};
use crate::model::document::Document;
use crate::model::id_table::{InstanceTable, TaskTable};
use crate::model::ids::{ContainerInstanceId, DeploymentId, ServiceRevisionId, TaskId};
use crate::model::image_reference::ImageDigest;
use crate::model::service::{PlacementConstraint, PlacementStrategy, ServiceSpec};
use crate::model::subnet::Subnets;
use crate::model::target_group::TargetGroup;
use crate::model::task::Task;
use crate::model::task_definition::{LaunchType, Reservation, TaskDefinition};
use crate::model::task_ids::TaskIds;
use crate::model::task_list::TaskList;
use crate::model::task_set::{Scale, StabilityStatus, TaskSetDescription, TaskSetStatus};
use crate::model::traffic::TrafficWeights;
use crate::model::units::Timestamp;
use crate::model::written_form::is_default;

/// The state of a cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ClusterState {
    /// Registered task definitions by family, then revision.
    pub task_definitions: BTreeMap<String, BTreeMap<u32, Registered>>,
    /// Those among them that are INACTIVE: the revisions by family. **Source:** ecs-semantics §1.4.
    pub inactive_revisions: BTreeMap<String, BTreeSet<u32>>,
    /// Providers over Auto Scaling groups, by name.
    pub capacity_providers: BTreeMap<Arc<str>, ProviderState>,
    /// The cluster's default strategy; may be empty.
    pub default_strategy: Vec<CapacityProviderStrategyItem>,
    /// Every instance ever launched, those that are gone included.
    pub container_instances: InstanceTable<ContainerInstance>,
    /// What instances wait for before they go on to their next lifecycle state.
    pub waits: BTreeMap<ContainerInstanceId, InstanceWaits>,
    /// Tasks that are not over, and those that were over lately.
    pub tasks: TaskTable<Box<TaskRecord>>,
    /// Tasks that hold resources of an instance, by instance.
    pub tasks_by_instance: InstanceTable<TaskList>,
    /// Services by name, deleted ones included until their name is taken again.
    pub services: BTreeMap<Arc<str>, Service>,
    /// Tasks that are over, oldest first: (when, which).
    pub stopped_tasks: VecDeque<(Timestamp, TaskId)>,
    /// How many standalone tasks are not over.
    pub standalone_live_count: usize,
    /// How many tasks are not over.
    pub live_count: usize,
    /// How many tasks have been over in all, those no longer listed included.
    pub stopped_count: u64,
    /// Availability zones that are down.
    pub zones_out: BTreeSet<Arc<str>>,
    /// Fargate providers without capacity for new tasks.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub fargate_out: BTreeSet<Arc<str>>,
    /// Target groups by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target_groups: BTreeMap<Arc<str>, Arc<TargetGroup>>,
    /// Tasks that are, or are to be, in target groups; apart from the tasks, of which most are in none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<TaskId, TaskTargets>,
    /// Subnets that are known.
    #[serde(skip_serializing_if = "Subnets::is_empty", default)]
    pub subnets: Subnets,
    /// Tasks on Fargate whose zone was chosen and that are not over, by group and by whether they are on `FARGATE_SPOT`: how many in each
    /// zone. No count is zero.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub fargate_zones: BTreeMap<(Arc<str>, bool), BTreeMap<Arc<str>, u32>>,
    /// Whether the cluster takes nothing new and is ending.
    pub draining: bool,
    /// Every metric's datapoints.
    pub metrics: MetricStore,
    /// Services that are scaled, by name. **Source:** ecs-semantics §7.1.
    pub scalable_targets: BTreeMap<Arc<str>, ScalableTarget>,
    /// Targets that were deregistered, by service, until one is registered for it again: their activities stay to be read.
    pub deregistered_targets: BTreeMap<Arc<str>, ScalableTarget>,
    /// Alarms by name.
    pub alarms: BTreeMap<Arc<str>, Alarm>,
    /// Events that were late, repeated or for unknown ids.
    pub ignored_events: u64,
}

/// An alarm and its state.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Alarm {
    /// What it watches.
    pub spec: MetricAlarm,
    /// Its state.
    pub state: AlarmState,
    /// When it came into this state.
    pub since: Timestamp,
    /// Why.
    pub reason: Arc<str>,
    /// The service whose target tracking policy it belongs to.
    pub policy_of: Option<Arc<str>>,
}

impl Alarm {
    /// An alarm that is created at `now`.
    pub(super) fn new(spec: MetricAlarm, now: Timestamp) -> Alarm {
        let reason = "Unchecked: Initial alarm creation".into();
        Alarm { spec, state: AlarmState::default(), since: now, reason, policy_of: None }
    }
}

/// A registered task definition with what is worked out from it once.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Registered {
    /// The definition.
    pub definition: Arc<TaskDefinition>,
    /// What one task of it takes from an instance.
    pub reservation: Arc<Reservation>,
}

/// How an instance is chosen for a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct PlacementRules {
    /// Ranking of instances, first strategy first.
    pub strategies: Vec<PlacementStrategy>,
    /// What an instance must fulfil: the task definition's constraints, then the service's or the request's.
    pub constraints: Vec<PlacementConstraint>,
    /// The attributes that it must have.
    pub required_attributes: Vec<RequiredAttribute>,
    /// The zones of the subnets that it names, sorted; empty is any zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub availability_zones: Vec<Arc<str>>,
}

impl PlacementRules {
    /// The rules of a service or a request for tasks of a definition. **Source:** ecs-semantics §4.1.
    pub fn of(
        definition: &TaskDefinition,
        strategies: &[PlacementStrategy],
        constraints: &[PlacementConstraint],
    ) -> PlacementRules {
        PlacementRules {
            strategies: strategies.to_vec(),
            constraints: definition.placement_constraints.iter().chain(constraints).cloned().collect(),
            required_attributes: definition.required_attributes(),
            availability_zones: Vec::new(),
        }
    }

    /// The same rules in some zones.
    pub(super) fn within(self, availability_zones: Vec<Arc<str>>) -> PlacementRules {
        PlacementRules { availability_zones, ..self }
    }

    /// Whether a task somewhere may make an instance fit that did not.
    pub fn depend_on_tasks(&self) -> bool {
        self.constraints.iter().any(|constraint| match constraint {
            PlacementConstraint::MemberOf(query) => query.depends_on_tasks(),
            PlacementConstraint::DistinctInstance => false,
        })
    }
}

/// How a task came to its instance: what is kept to explain it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PlacementDecision {
    /// When.
    pub at: Timestamp,
    /// By what.
    pub basis: DecisionBasis,
}

/// What decided on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum DecisionBasis {
    /// The strategies, or ECS' default: the numbers that the chosen instance had, in their order.
    Strategies {
        /// In the order of [`super::placement::rank_names`].
        ranks: Ranks,
    },
    /// The caller of StartTask.
    Named,
    /// A DAEMON service, which has a task on each instance.
    Daemon,
    /// Fargate, in a zone of the subnets that it names. **Source:** ecs-semantics §4.1.
    Fargate {
        /// The zone with the fewest such tasks.
        availability_zone: Arc<str>,
    },
}

/// A task and what the control plane alone needs to know of it. It lies in memory as it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[repr(C)]
pub struct TaskRecord {
    /// The task.
    pub task: Task,
    /// How its instance is to be chosen, should it wait for one.
    pub placement: Arc<PlacementRules>,
    /// How its instance was chosen, once it was; on Fargate its zone, where it names subnets that are known.
    pub decision: Option<PlacementDecision>,
    /// Whether it counts as healthy. **Source:** ecs-semantics §5.2.
    pub health: TaskHealth,
    /// Why it is to give way to another task of its revision, if it is: the service's scheduler starts that one first where the
    /// bounds have room. **Source:** ecs-semantics §3.3, §5.4, §5.10.
    pub replace: Option<ReplaceCause>,
    /// The task whose place it was started to take, for one that replaces another.
    pub replaces: Option<TaskId>,
    /// How far the meter has been told of it.
    pub metered: Metered,
}

/// An allocator's size: one byte more takes a quarter more room for each task.
const _: () = assert!(size_of::<TaskRecord>() <= 512);

/// Why a service's task is to be replaced though it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum ReplaceCause {
    /// Its health checks fail. **Source:** ecs-semantics §5.4.
    Unhealthy,
    /// Its instance is being drained. **Source:** ecs-semantics §3.3.
    InstanceDraining,
    /// Its zone has too many of the service's tasks. **Source:** ecs-semantics §5.10.
    Rebalancing,
    /// What it runs on is being maintained. **Source:** ecs-semantics §8.5.
    Retirement,
}

/// Whether a service's task counts toward the healthy ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum TaskHealth {
    /// Not (yet).
    Unproven,
    /// It does.
    Healthy,
}

/// What the meter knows of a task: it hears of each start and each stop exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Metered {
    /// Nothing.
    No,
    /// Its start.
    Started,
    /// Its start and its stop.
    Stopped,
}

/// A capacity provider and its Auto Scaling group.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ProviderState {
    /// What it was created from.
    pub provider: Arc<CapacityProvider>,
    /// The group's desired capacity.
    pub desired_capacity: u32,
    /// The group's instances that are coming up or in service.
    pub instances: BTreeSet<ContainerInstanceId>,
    /// Its instances in the warm pool.
    pub warm: BTreeSet<ContainerInstanceId>,
    /// Its instances on standby.
    pub standby: BTreeSet<ContainerInstanceId>,
    /// What it launches instances from while no refresh says otherwise.
    pub launch_template: LaunchTemplate,
    /// How many instances it may have beyond its desired capacity while some are being replaced.
    pub surge: u32,
    /// Its instance refreshes, oldest first; the last one may be under way.
    pub refreshes: Vec<InstanceRefresh>,
    /// Until when nothing is launched after a launch failed.
    pub launches_blocked_until: Option<Timestamp>,
    /// Whether its zones are out of balance since one was down.
    pub balance: ZoneBalance,
    /// Tasks that wait for its capacity in PROVISIONING, in the order of their creation.
    pub provisioning: BTreeSet<TaskId>,
    /// CapacityProviderReservation of the last period, in thousandths of a percent.
    pub reservation_millipercent: Option<u64>,
    /// What managed scaling made of it, and when. **Source:** ecs-semantics §6.3.
    pub last_scaling: Option<(Timestamp, Arc<str>)>,
}

/// Whether a group moves instances between zones. **Source:** ecs-semantics §9.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ZoneBalance {
    /// It leaves them where they are.
    #[default]
    Kept,
    /// A zone has come back: until they are balanced.
    Restoring,
}

impl ProviderState {
    /// What a provider begins with.
    pub fn new(provider: CapacityProvider) -> ProviderState {
        let group = &provider.auto_scaling_group;
        let desired = group.desired_capacity.unwrap_or(group.min_size);
        ProviderState {
            desired_capacity: desired.clamp(group.min_size, group.max_size),
            instances: BTreeSet::new(),
            warm: BTreeSet::new(),
            standby: BTreeSet::new(),
            launch_template: group.launch_template(),
            surge: 0,
            refreshes: Vec::new(),
            launches_blocked_until: None,
            balance: ZoneBalance::Kept,
            provisioning: BTreeSet::new(),
            reservation_millipercent: None,
            last_scaling: None,
            provider: Arc::new(provider),
        }
    }

    /// The refresh that is under way.
    pub fn refresh(&self) -> Option<&InstanceRefresh> {
        self.refreshes.last().filter(|refresh| refresh.status.is_under_way())
    }

    /// What instances are launched from at this moment.
    pub fn current_template(&self) -> &LaunchTemplate {
        match self.refresh() {
            Some(refresh) if refresh.status != RefreshStatus::Cancelling => &refresh.to,
            _ => &self.launch_template,
        }
    }
}

/// ECS' statuses of a service. **Source:** ecs-semantics §1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ServiceStatus {
    /// Kept at its desired count.
    Active,
    /// Deleted; it has tasks that are not asked to stop yet.
    Draining,
    /// Deleted; its tasks are stopping or over, and its name is free.
    Inactive,
}

impl ServiceStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceStatus::Active => "ACTIVE",
            ServiceStatus::Draining => "DRAINING",
            ServiceStatus::Inactive => "INACTIVE",
        }
    }
}

/// A service as it stands.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Service {
    /// What it was created from; updates change it, its desired count included.
    pub spec: ServiceSpec,
    /// The group of its tasks, `service:NAME`.
    pub group: Arc<str>,
    /// Its status.
    pub status: ServiceStatus,
    /// Its deployments: the primary first, then older ones that still have tasks, newest first. Those of a service that consists of
    /// task sets are the task sets, oldest first; there may be none.
    pub deployments: Vec<Deployment>,
    /// Deployments of a service of the same name that was deleted, with tasks that are stopping and nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub departed: Vec<Deployment>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The last hundred service events, oldest first. **Source:** ecs-semantics §5.11.
    pub events: VecDeque<ServiceEvent>,
    /// Whether it has said that it is steady since it last was not.
    pub steadiness: Steadiness,
    /// Its service deployments, oldest first; the last may be in flight. **Source:** ecs-semantics §5.8.
    pub service_deployments: VecDeque<ServiceDeployment>,
    /// What a deployment that fails goes back to: the most recent one that completed and was not gone back to since.
    /// **Source:** ecs-semantics §5.7.
    pub rollback_target: Option<RollbackTarget>,
    /// Who takes which share of its traffic. **Source:** ecs-semantics §5.8.
    pub traffic: TrafficWeights,
    /// Its tasks that may be protected from scale-in: their own times say until when. **Source:** ecs-semantics §2.6.
    pub protected: BTreeSet<TaskId>,
    /// The digests of the images that its revisions' tasks have, in the order of their containers, as soon as they are known.
    /// **Source:** ecs-semantics §5.9.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub image_digests: BTreeMap<ServiceRevisionId, Vec<Option<ImageDigest>>>,
    /// What its creation asked for, if that had a client token.
    pub created_from: Option<Arc<ServiceSpec>>,
    /// Task sets that it had, as they were when they were deleted, oldest first. *Ours:* ECS forgets them, and whoever reads what a run has come
    /// to wants to know of them; the last twenty are kept.
    pub deleted_task_sets: VecDeque<TaskSetDescription>,
}

/// A deployment that completed, which a later one may go back to even when its tasks are gone.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RollbackTarget {
    /// Its identity, which it keeps.
    pub id: DeploymentId,
    /// What its tasks ran.
    pub registered: Registered,
    /// Its revision.
    pub revision: Arc<ServiceRevision>,
}

/// Whether a service has reached a steady state. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Steadiness {
    /// Something is still to be done.
    Changing,
    /// Running as many healthy tasks as desired, and nothing else.
    Steady,
}

/// A line of a service's event list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ServiceEvent {
    /// When.
    pub at: Timestamp,
    /// What, with the `(service X) ` prefix.
    pub message: Arc<str>,
}

/// The legacy view's statuses of a deployment. **Source:** ecs-semantics §1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum DeploymentStatus {
    /// The one that the service is moving to or has reached.
    Primary,
    /// An older one that still has tasks.
    Active,
}

impl DeploymentStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            DeploymentStatus::Primary => "PRIMARY",
            DeploymentStatus::Active => "ACTIVE",
        }
    }
}

/// How far a deployment is. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum RolloutState {
    /// `IN_PROGRESS`.
    InProgress,
    /// `COMPLETED`.
    Completed,
    /// `FAILED`.
    Failed,
}

impl RolloutState {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            RolloutState::InProgress => "IN_PROGRESS",
            RolloutState::Completed => "COMPLETED",
            RolloutState::Failed => "FAILED",
        }
    }
}

/// Which failures a circuit breaker counts. **Source:** ecs-semantics §5.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum BreakerStage {
    /// No task of the deployment has run: those that fail to.
    Starting,
    /// One has: those that fail to become or to stay healthy.
    Running,
}

/// What a task set has beside what every deployment has. **Source:** ecs-semantics §5.8, §11.6.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TaskSetState {
    /// Its status.
    pub status: TaskSetStatus,
    /// Its share of the service's desired count.
    pub scale: Scale,
    /// Whether it has what it wants.
    pub stability_status: StabilityStatus,
    /// Since when that is so.
    pub stability_status_at: Timestamp,
    /// Who created it, if that was not the client.
    pub started_by: Option<Cow<'static, str>>,
    /// What it is called elsewhere.
    pub external_id: Option<Arc<str>>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What makes the request for it idempotent.
    pub client_token: Option<Arc<str>>,
    /// What its creator wrote that has no meaning here.
    pub document: Document,
}

/// A deployment of a service, or a task set: a task definition and the tasks that run it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Deployment {
    /// Its identity.
    pub id: DeploymentId,
    /// Its identity as ECS shows it: what its tasks were started by.
    pub shown_id: Arc<str>,
    /// Primary or older.
    pub status: DeploymentStatus,
    /// What its tasks run.
    pub task_definition: Arc<TaskDefinition>,
    /// What one of them takes.
    pub reservation: Arc<Reservation>,
    /// The snapshot of the service that it runs.
    pub revision: Arc<ServiceRevision>,
    /// What makes it a task set, if it is one: then it is not rolled out.
    pub task_set: Option<Box<TaskSetState>>,
    /// How far it is.
    pub rollout_state: RolloutState,
    /// Why it is that far.
    pub rollout_state_reason: Arc<str>,
    /// What its circuit breaker counts.
    pub breaker_stage: BreakerStage,
    /// Alarms that were in ALARM when it started. **Source:** ecs-semantics §5.7.
    pub ignored_alarms: BTreeSet<Arc<str>>,
    /// The end of its bake time, once that has begun. **Source:** ecs-semantics §5.7.
    pub bake_until: Option<Timestamp>,
    /// Once it has completed beside tasks of older deployments: until when those have time to go. **Source:** ecs-semantics §5.7.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clean_up_until: Option<Timestamp>,
    /// How far it has moved traffic, while it does. **Source:** ecs-semantics §5.8.
    pub shift: Option<TrafficShift>,
    /// Tasks that failed, as the circuit breaker counts them. **Source:** ecs-semantics §5.7.
    pub failed_tasks: u32,
    /// Tasks of it that found no image while no digest was known: failed attempts to resolve one. **Source:** ecs-semantics §5.9.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed_resolutions: u32,
    /// When the last of those was.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resolution_failed_at: Option<Timestamp>,
    /// When it was created, or became the target again.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its tasks that are to run and do not yet: PROVISIONING, PENDING, ACTIVATING.
    pub starting: TaskIds,
    /// Its tasks that run and do not count as healthy yet.
    pub unproven: TaskIds,
    /// Its tasks that run and count as healthy.
    pub healthy: TaskIds,
    /// Those of its tasks that run or are to run and are to give way to another of its revision.
    pub giving_way: BTreeSet<TaskId>,
    /// Which task takes whose place while both are there: by the one that gives way.
    pub replacements: BTreeMap<TaskId, TaskId>,
    /// Those of its tasks that run or are to run and were started to take another's place.
    pub standing_in: BTreeSet<TaskId>,
    /// Its tasks that are asked to stop and are not over.
    pub stopping: TaskIds,
    /// Its tasks that run or are to run, by capacity provider: what a strategy's base and weights count. *Ours:* by deployment, so
    /// that a rollout leaves the ratio that the strategy asks for.
    pub tasks_by_provider: BTreeMap<Arc<str>, u32>,
}

impl Deployment {
    /// A deployment that has not begun: the primary one, in progress.
    pub(super) fn new(
        id: DeploymentId,
        shown_id: Arc<str>,
        registered: Registered,
        revision: Arc<ServiceRevision>,
        now: Timestamp,
    ) -> Deployment {
        Deployment {
            id,
            shown_id,
            status: DeploymentStatus::Primary,
            task_definition: registered.definition,
            reservation: registered.reservation,
            revision,
            task_set: None,
            rollout_state: RolloutState::InProgress,
            rollout_state_reason: "".into(),
            breaker_stage: BreakerStage::Starting,
            ignored_alarms: BTreeSet::new(),
            bake_until: None,
            clean_up_until: None,
            shift: None,
            failed_tasks: 0,
            failed_resolutions: 0,
            resolution_failed_at: None,
            created_at: now,
            updated_at: now,
            starting: TaskIds::default(),
            unproven: TaskIds::default(),
            healthy: TaskIds::default(),
            giving_way: BTreeSet::new(),
            replacements: BTreeMap::new(),
            standing_in: BTreeSet::new(),
            stopping: TaskIds::default(),
            tasks_by_provider: BTreeMap::new(),
        }
    }

    /// Tasks that run.
    pub fn running_count(&self) -> u32 {
        count(self.unproven.len() + self.healthy.len())
    }

    /// Tasks that are to run and do not yet.
    pub fn pending_count(&self) -> u32 {
        count(self.starting.len())
    }

    /// Tasks that run or are to run: what the deployment's upper bound counts.
    pub fn placed_count(&self) -> u32 {
        self.running_count() + self.pending_count()
    }

    /// The same ones by id: those that start first, then those that are not proven, then the healthy ones, each kind oldest first.
    pub fn placed(&self) -> impl Iterator<Item = TaskId> {
        [&self.starting, &self.unproven, &self.healthy].into_iter().flatten()
    }

    /// Tasks that count toward the lower bound.
    pub fn healthy_count(&self) -> u32 {
        count(self.healthy.len())
    }
}

impl Service {
    /// The primary deployment.
    ///
    /// # Panics
    /// When the service consists of task sets: [`Service::primary_if_any`] is for any service.
    pub fn primary(&self) -> &Deployment {
        self.deployments.first().expect("a service has a primary deployment from its creation on")
    }

    /// The primary deployment, or the task set that is PRIMARY.
    pub fn primary_if_any(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| match &deployment.task_set {
            Some(task_set) => task_set.status == TaskSetStatus::Primary,
            None => deployment.status == DeploymentStatus::Primary,
        })
    }

    /// The launch type that it was created with; that of its strategy's providers, if it was with one.
    pub fn launch_type(&self) -> LaunchType {
        match &self.spec.launch_target {
            LaunchTarget::LaunchType(launch_type) => *launch_type,
            LaunchTarget::Strategy(items) => {
                items.first().map_or(LaunchType::Ec2, |item| launch_type_of(&item.capacity_provider))
            }
            LaunchTarget::ClusterDefault => LaunchType::Ec2,
        }
    }

    /// Tasks that run, over all deployments.
    pub fn running_count(&self) -> u32 {
        self.deployments.iter().map(Deployment::running_count).sum()
    }

    /// Tasks that are to run and do not yet, over all deployments.
    pub fn pending_count(&self) -> u32 {
        self.deployments.iter().map(Deployment::pending_count).sum()
    }

    /// Tasks that count as healthy, over all deployments.
    pub fn healthy_count(&self) -> u32 {
        self.deployments.iter().map(Deployment::healthy_count).sum()
    }
}

/// Numbers of tasks fit: a cluster's ids are dense and its memory is finite.
pub(super) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl ClusterState {
    /// Instances that are neither gone nor going, those in warm pools included.
    pub fn live_instances(&self) -> impl Iterator<Item = &ContainerInstance> {
        self.container_instances.values().filter(|instance| instance.lifecycle < LifecycleState::Terminating)
    }

    /// Whether nothing of the cluster is left: no task, no instance.
    pub fn is_empty(&self) -> bool {
        self.live_count == 0
            && self.container_instances.values().all(|instance| instance.lifecycle == LifecycleState::Terminated)
    }
}
