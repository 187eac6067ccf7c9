//! Everything that can happen to a cluster: the one input of the control plane.
//!
//! Events may come late, twice, or for ids that are not known (any more): each of these is legal and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::model::alarm::{AlarmState, MetricAlarm, MetricId};
use crate::model::auto_scaling_group::{InstanceHealth, InstanceRefreshSpec, LifecycleActionResult, ScaleInProtection};
use crate::model::capacity::{CapacityProvider, CapacityProviderStrategyItem, ContainerInstanceStatus, InstanceLaunch};
use crate::model::cluster::{RunTaskSpec, StartTaskSpec};
use crate::model::cpu_credits::CreditSpecification;
use crate::model::deployment::StopType;
use crate::model::deployment_hook::{ContinueAction, HookAnswer};
use crate::model::document::Document;
use crate::model::external_instance::{ContainerInstanceRegistration, SubmittedStateChange};
use crate::model::ids::{ContainerInstanceId, HookId, RequestId, ServiceDeploymentId, TaskId};
use crate::model::image_reference::ImageDigest;
use crate::model::metric::MetricScript;
use crate::model::scaling::{AutoScaling, ScalingPolicy, ScheduledAction, SuspendedState};
use crate::model::service::{AvailabilityZoneRebalancing, ServiceSpec};
use crate::model::settings::ContainerInsights;
use crate::model::subnet::Subnet;
use crate::model::target_group::{LoadBalancer, TargetGroup, TargetState};
use crate::model::task::{ContainerExit, ContainerStatus, HealthStatus};
use crate::model::task_definition::{TaskDefinition, TaskDefinitionRef};
use crate::model::task_set::{Scale, TaskSetName, TaskSetSpec};
use crate::model::units::{Duration, Timestamp};
use crate::model::usage::{TaskUsage, UsageSample};
use crate::model::written_form::is_default;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A client asks for something; answered by exactly one `Action::Respond` of the same id in the same call.
    Request {
        /// Chosen by the caller.
        request_id: RequestId,
        /// What is asked for.
        request: Request,
    },
    /// An EC2 instance entered `running` and its agent registered with the cluster.
    InstanceRunning {
        /// The instance.
        instance: ContainerInstanceId,
    },
    /// An EC2 instance could not be launched.
    InstanceLaunchFailed {
        /// The instance.
        instance: ContainerInstanceId,
        /// Why.
        reason: String,
    },
    /// An EC2 instance is gone, asked for or not; its tasks are gone with it.
    InstanceTerminated {
        /// The instance.
        instance: ContainerInstanceId,
        /// Why, if nobody asked for it.
        reason: Option<String>,
    },
    /// An EC2 instance fails: it is gone at once, and its tasks with it.
    InstanceFailed {
        /// The instance.
        instance: ContainerInstanceId,
        /// Why.
        reason: String,
    },
    /// The health checks of a container instance have another result. **Source:** ecs-semantics §3.2, §9.1.
    InstanceHealth {
        /// The instance.
        instance: ContainerInstanceId,
        /// Its health.
        health: InstanceHealth,
    },
    /// EC2 is going to take a Spot instance back: the two-minute notice. **Source:** ecs-semantics §3.3.
    InstanceSpotInterruption {
        /// The instance.
        instance: ContainerInstanceId,
    },
    /// The agent of a container instance has lost contact: nothing is placed there. **Source:** ecs-semantics §3.2.
    AgentDisconnected {
        /// The instance.
        instance: ContainerInstanceId,
    },
    /// The agent of a container instance has contact again.
    AgentConnected {
        /// The instance.
        instance: ContainerInstanceId,
    },
    /// An availability zone goes down, or is back.
    AvailabilityZoneOutage {
        /// The zone.
        availability_zone: Arc<str>,
        /// Which of the two.
        change: OutageChange,
    },
    /// There is no capacity for new tasks on `FARGATE` or `FARGATE_SPOT`, or there is again. **Source:** ecs-semantics §5.11, §6.1.
    FargateCapacityOutage {
        /// Which of the two providers; tasks by launch type are of `FARGATE`.
        capacity_provider: Arc<str>,
        /// Whether it begins or ends.
        change: OutageChange,
    },
    /// Spot capacity under a Fargate task is reclaimed: the two-minute warning. **Source:** ecs-semantics §8.4.
    SpotInterruption {
        /// The task.
        task: TaskId,
    },
    /// What a Fargate task runs on is to be maintained: it retires when the wait period is over. **Source:** ecs-semantics §8.5.
    TaskRetirement {
        /// The task.
        task: TaskId,
    },
    /// The data plane reports on a task: ECS' SubmitTaskStateChange.
    TaskStateChange(TaskStateChange),
    /// Several of them that came together, in their order. The same as one after the other at the same moment, but that an instance
    /// whose tasks come and go by the thousand is told of once.
    TaskStateChanges(Vec<TaskStateChange>),
    /// The health checks of a target have another result. **Source:** ecs-semantics §5.2.
    TargetHealth(TargetHealthChange),
    /// A task that takes no more jobs has ended what it had begun: it can leave its target groups. **Source:** ecs-semantics §2.1.
    TargetsDrained {
        /// The task.
        task: TaskId,
    },
    /// Usage of running tasks, sampled.
    Usage {
        /// One a task, in no particular order.
        samples: Vec<UsageSample>,
    },
    /// How many jobs the tasks of a service have done since the cluster began. Only ever grows.
    JobsDone {
        /// The service.
        service: Arc<str>,
        /// In all.
        done: u64,
    },
    /// Metrics that guests have written to their output, summed up since the last time. Those that PutMetricData would refuse are left out.
    MetricsEmitted {
        /// A metric once.
        metrics: Vec<EmittedMetric>,
    },
    /// A lifecycle hook of a deployment answers a call.
    HookAnswered {
        /// The hook at its stage.
        hook: HookId,
        /// The number of the call.
        call: u32,
        /// What it says.
        answer: HookAnswer,
    },
    /// The host was gone and is back: everything that ran on it is lost. *Ours.*
    HostRestarted {
        /// What is told of it.
        reason: String,
    },
    /// A deadline named by `next_deadline` has come.
    DeadlineReached,
}

/// Whether an outage begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageChange {
    /// Instances there are lost and launches there fail.
    Begins,
    /// Launches there work.
    Ends,
}

/// What the data plane says of a task. Facts that are `None` have not happened yet or were reported before.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TaskStateChange {
    /// The task.
    pub task: TaskId,
    /// The step that it took.
    pub step: TaskStep,
    /// When its images began to be pulled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull_started_at: Option<Timestamp>,
    /// When its images were there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull_stopped_at: Option<Timestamp>,
    /// Containers whose status changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub containers: ContainerStateChanges,
}

/// What is said of containers of one task. Most tasks have one: what is said of it comes without an allocation, which one core would make and
/// another give back.
pub type ContainerStateChanges = SmallVec<[ContainerStateChange; 1]>;

/// The steps that a data plane takes a task through, in order. Steps may be left out but never go back.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskStep {
    /// Its images are being pulled. Not reported when they are all there.
    Pulling,
    /// All its containers have started.
    Running,
    /// A container changed and the task did not.
    ContainersChanged,
    /// Everything of it has ended and its resources are free again.
    Stopped {
        /// Everything that it used.
        usage: TaskUsage,
        /// Why it could not be started (`CannotPullContainerError: ...`), if that is so.
        #[serde(default, skip_serializing_if = "is_default")]
        failed_to_start: Option<String>,
    },
}

/// What the data plane says of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerStateChange {
    /// Its index in the task definition.
    pub container_index: usize,
    /// Its status.
    pub status: ContainerStatus,
    /// How it ended, when it did.
    #[serde(skip_serializing_if = "is_default")]
    pub exit: ContainerExit,
    /// Its health, if that is what changed.
    #[serde(skip_serializing_if = "is_default")]
    pub health: Option<HealthStatus>,
    /// How many times it was started again so far.
    #[serde(skip_serializing_if = "is_default")]
    pub restart_count: u32,
    /// The digest of its image, once that is there.
    #[serde(skip_serializing_if = "is_default")]
    pub image_digest: Option<ImageDigest>,
}

/// What the data plane says of a target: of a task in a target group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetHealthChange {
    /// The task.
    pub task: TaskId,
    /// The name of the target group.
    pub target_group: Arc<str>,
    /// Counts what was said of this target, from 1: what comes after something later is out of date.
    pub number: u32,
    /// Its health.
    pub state: TargetState,
}

/// What clients ask for: the ECS operations that are offered, and what stands for the console's and EC2's.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// RegisterTaskDefinition. Its revision is assigned.
    RegisterTaskDefinition(Box<TaskDefinition>),
    /// Makes a task definition known under the revision that it has: several clusters share the definitions of a region. Known already,
    /// it stays. *Ours.*
    PutTaskDefinition(Box<TaskDefinition>),
    /// DeregisterTaskDefinition: INACTIVE from here on. **Source:** ecs-semantics §1.4.
    DeregisterTaskDefinition {
        /// Its family.
        family: String,
        /// Its revision.
        revision: u32,
    },
    /// Makes a target group known, or changes it for the targets that are registered from here on. *Ours:* ELB's CreateTargetGroup and
    /// ModifyTargetGroup.
    PutTargetGroup(Box<TargetGroup>),
    /// ELB's DeleteTargetGroup. Targets that are registered stay until their tasks end. One that is not known is ignored.
    DeleteTargetGroup {
        /// Its name.
        target_group: Arc<str>,
    },
    /// CreateCapacityProvider with its Auto Scaling group, attached to the cluster.
    CreateCapacityProvider(Box<CapacityProvider>),
    /// UpdateCapacityProvider with its Auto Scaling group: the whole of it as it is to be.
    UpdateCapacityProvider(Box<CapacityProvider>),
    /// CreateCapacityProvider over an Auto Scaling group that runs by itself: its instances are the provider's from here on. *Ours.*
    TakeOverGroup {
        /// What the group is known by, see [`group_by_itself`](crate::model::capacity::group_by_itself).
        group: Arc<str>,
        /// The provider.
        provider: Box<CapacityProvider>,
    },
    /// Makes a subnet known: `[[subnet]]`. *Ours.*
    PutSubnet(Subnet),
    /// The default strategy of PutClusterCapacityProviders.
    PutDefaultStrategy(Vec<CapacityProviderStrategyItem>),
    /// UpdateClusterSettings: what Container Insights measures from here on. **Source:** ecs-semantics §10.2.
    PutContainerInsights(ContainerInsights),
    /// EC2's RunInstances for one instance that registers with this cluster.
    LaunchInstance(Arc<InstanceLaunch>),
    /// EC2's TerminateInstances. Its tasks go with it.
    TerminateInstance(ContainerInstanceId),
    /// UpdateContainerInstancesState. **Source:** ecs-semantics §3.2, §3.3.
    UpdateContainerInstancesState {
        /// At most ten.
        instances: Vec<ContainerInstanceId>,
        /// ACTIVE or DRAINING.
        status: ContainerInstanceStatus,
    },
    /// RegisterContainerInstance: an instance that Longshore does not run, and whose agent is a client. **Source:** ecs-semantics §3.1.
    RegisterContainerInstance(Box<ContainerInstanceRegistration>),
    /// UpdateContainerAgent. **Source:** ecs-semantics §11.4.
    UpdateContainerAgent(ContainerInstanceId),
    /// SubmitTaskStateChange and SubmitContainerStateChange of such an agent. **Source:** ecs-semantics §2.1, §11.6.
    SubmitStateChange(Box<SubmittedStateChange>),
    /// DeregisterContainerInstance. **Source:** ecs-semantics §3.2.
    DeregisterContainerInstance {
        /// The instance. EC2 runs it, and bills it, until it is terminated.
        instance: ContainerInstanceId,
        /// Whether its tasks may be forgotten.
        deregistration: Deregistration,
    },
    /// Auto Scaling's UpdateAutoScalingGroup and SetDesiredCapacity. **Source:** ecs-semantics §9.1.
    UpdateAutoScalingGroup(Box<UpdateAutoScalingGroup>),
    /// Auto Scaling's SetInstanceProtection. **Source:** ecs-semantics §9.1.
    SetInstanceProtection {
        /// The instances.
        instances: Vec<ContainerInstanceId>,
        /// Whether scale-in leaves them alone.
        protection: ScaleInProtection,
    },
    /// Auto Scaling's EnterStandby. **Source:** ecs-semantics §9.2.
    EnterStandby {
        /// The capacity provider whose group it is.
        capacity_provider: Arc<str>,
        /// Instances of the group that are in service.
        instances: Vec<ContainerInstanceId>,
        /// What becomes of the desired capacity.
        capacity: StandbyCapacity,
    },
    /// Auto Scaling's ExitStandby. **Source:** ecs-semantics §9.2.
    ExitStandby {
        /// The capacity provider whose group it is.
        capacity_provider: Arc<str>,
        /// Instances of the group that are on standby.
        instances: Vec<ContainerInstanceId>,
    },
    /// EC2's ModifyInstanceCreditSpecification. **Source:** EC2 user guide, burstable performance instances.
    ModifyInstanceCreditSpecification {
        /// The instance.
        instance: ContainerInstanceId,
        /// Its mode from here on.
        specification: CreditSpecification,
    },
    /// Auto Scaling's CompleteLifecycleAction. **Source:** ecs-semantics §9.2.
    CompleteLifecycleAction {
        /// The instance that waits.
        instance: ContainerInstanceId,
        /// The hook that it waits for.
        hook: Arc<str>,
        /// How it ends.
        result: LifecycleActionResult,
    },
    /// Auto Scaling's RecordLifecycleActionHeartbeat: the hook's timeout begins anew. **Source:** ecs-semantics §9.2.
    RecordLifecycleActionHeartbeat {
        /// The instance that waits.
        instance: ContainerInstanceId,
        /// The hook that it waits for.
        hook: Arc<str>,
    },
    /// Auto Scaling's StartInstanceRefresh. **Source:** ecs-semantics §9.4.
    StartInstanceRefresh(Box<InstanceRefreshSpec>),
    /// Auto Scaling's CancelInstanceRefresh: what was replaced stays replaced.
    CancelInstanceRefresh {
        /// The capacity provider.
        capacity_provider: Arc<str>,
    },
    /// Auto Scaling's RollbackInstanceRefresh: what was replaced is replaced back.
    RollbackInstanceRefresh {
        /// The capacity provider.
        capacity_provider: Arc<str>,
    },
    /// CreateService.
    CreateService(Box<ServiceSpec>),
    /// UpdateService.
    UpdateService(Box<UpdateService>),
    /// DeleteService.
    DeleteService {
        /// Its name.
        service: Arc<str>,
        /// `force`.
        deletion: Deletion,
    },
    /// CreateTaskSet. **Source:** ecs-semantics §5.8.
    CreateTaskSet(Box<TaskSetSpec>),
    /// UpdateTaskSet. **Source:** ecs-semantics §5.8.
    UpdateTaskSet {
        /// The service.
        service: Arc<str>,
        /// Its task set.
        task_set: TaskSetName,
        /// Its share of the service's desired count from here on.
        scale: Scale,
    },
    /// DeleteTaskSet. **Source:** ecs-semantics §5.8.
    DeleteTaskSet {
        /// The service.
        service: Arc<str>,
        /// Its task set.
        task_set: TaskSetName,
        /// `force`: whatever its scale.
        deletion: Deletion,
    },
    /// UpdateServicePrimaryTaskSet. **Source:** ecs-semantics §5.8.
    UpdateServicePrimaryTaskSet {
        /// The service.
        service: Arc<str>,
        /// The task set that is to be PRIMARY.
        task_set: TaskSetName,
    },
    /// StopServiceDeployment.
    StopServiceDeployment {
        /// The service deployment.
        service_deployment: ServiceDeploymentId,
        /// What becomes of the service.
        stop_type: StopType,
    },
    /// ContinueServiceDeployment. **Source:** ecs-semantics §5.8.
    ContinueServiceDeployment {
        /// The service deployment.
        service_deployment: ServiceDeploymentId,
        /// The pause that it waits for.
        hook: HookId,
        /// Whether it goes on or back.
        action: ContinueAction,
    },
    /// UpdateTaskProtection. **Source:** ecs-semantics §2.6.
    UpdateTaskProtection {
        /// The tasks: at most ten.
        tasks: Vec<TaskId>,
        /// Whether and for how long.
        protection: TaskProtection,
    },
    /// RunTask.
    RunTask(Box<RunTaskSpec>),
    /// StartTask: a task on each of the named instances.
    StartTask(Box<StartTaskSpec>),
    /// PutAttributes: at most ten at once.
    PutAttributes(Vec<InstanceAttribute>),
    /// DeleteAttributes: at most ten at once. An attribute that an instance does not have is left out.
    DeleteAttributes(Vec<InstanceAttribute>),
    /// StopTask.
    StopTask {
        /// The task.
        task: TaskId,
        /// The caller's reason; `None` is ECS' text.
        reason: Option<String>,
    },
    /// CloudWatch's PutMetricAlarm. One of the same name takes its place and keeps its state.
    PutMetricAlarm(Box<MetricAlarm>),
    /// CloudWatch's SetAlarmState: until the alarm is next evaluated.
    SetAlarmState {
        /// The alarm.
        alarm: Arc<str>,
        /// Its state.
        state: AlarmState,
        /// Why, for the alarm's history.
        reason: String,
    },
    /// CloudWatch's DeleteAlarms, one at a time.
    DeleteAlarm {
        /// The alarm.
        alarm: Arc<str>,
    },
    /// CloudWatch's PutMetricData, one sample at a time.
    PutMetricData(PutMetricData),
    /// A metric whose values are written down beforehand, one of the same metric taking the other's place. *Ours.*
    PutMetricScript(MetricScript),
    /// No more of such a metric's values; those that were stay. *Ours.*
    DeleteMetricScript(MetricId),
    /// Makes a service's tags these, for tasks that are started from here on. *Ours:* stands for TagResource and UntagResource.
    SetServiceTags {
        /// The service.
        service: Arc<str>,
        /// All of its tags.
        tags: BTreeMap<String, String>,
    },
    /// Makes the tags of something these. *Ours:* stands for TagResource and UntagResource.
    SetTags {
        /// What is tagged.
        resource: Tagged,
        /// All of its tags.
        tags: BTreeMap<String, String>,
    },
    /// Gives an instance up that was registered by hand and launched like this: it is drained, and terminated when it is empty or has
    /// drained for long enough. *Ours:* stands for UpdateContainerInstancesState and, later, TerminateInstances.
    RetireInstance(Arc<InstanceLaunch>),
    /// RegisterScalableTarget.
    RegisterScalableTarget(RegisterScalableTarget),
    /// DeregisterScalableTarget.
    DeregisterScalableTarget {
        /// The service.
        service: Arc<str>,
    },
    /// PutScalingPolicy.
    PutScalingPolicy {
        /// The service.
        service: Arc<str>,
        /// The policy.
        policy: Box<ScalingPolicy>,
    },
    /// DeleteScalingPolicy.
    DeleteScalingPolicy {
        /// The service.
        service: Arc<str>,
        /// The policy's name.
        policy: Arc<str>,
    },
    /// PutScheduledAction.
    PutScheduledAction {
        /// The service.
        service: Arc<str>,
        /// The action.
        action: Box<ScheduledAction>,
    },
    /// DeleteScheduledAction.
    DeleteScheduledAction {
        /// The service.
        service: Arc<str>,
        /// The action's name.
        action: Arc<str>,
    },
    /// Makes all of a service's auto scaling what a cluster file says. *Ours:* stands for several calls of Application Auto Scaling.
    SetAutoScaling {
        /// The service.
        service: Arc<str>,
        /// `None` takes it away.
        auto_scaling: Option<Box<AutoScaling>>,
    },
    /// Ends everything in good order: services to zero, standalone tasks stopped, then groups and instances terminated.
    DrainCluster,
}

/// What of a cluster has tags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tagged {
    /// A task, until it is not shown any more.
    Task(TaskId),
    /// A container instance.
    ContainerInstance(ContainerInstanceId),
    /// A service: for tasks that are started from here on.
    Service(Arc<str>),
}

/// `ShouldDecrementDesiredCapacity` of EnterStandby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StandbyCapacity {
    /// It stays: the group launches others in their place.
    Kept,
    /// It goes down by their number.
    Decremented,
}

/// Whether a container instance with tasks is deregistered. **Source:** ecs-semantics §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deregistration {
    /// It is refused.
    WhenEmpty,
    /// `force`: ECS forgets the tasks, and services start others elsewhere.
    Forced,
}

/// The parameters of UpdateAutoScalingGroup; `None` leaves as it is. **Source:** ecs-semantics §9.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateAutoScalingGroup {
    /// The capacity provider whose group it is.
    pub capacity_provider: Arc<str>,
    /// The fewest instances.
    pub min_size: Option<u32>,
    /// The most instances.
    pub max_size: Option<u32>,
    /// The desired capacity.
    pub desired_capacity: Option<u32>,
}

/// A sample of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PutMetricData {
    /// The metric; not one of AWS' own namespaces.
    pub metric: MetricId,
    /// In thousandths of the metric's unit.
    pub value: i64,
}

/// Samples of a metric that guests have written to their output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EmittedMetric {
    /// The metric.
    pub metric: MetricId,
    /// How many samples.
    pub sample_count: u64,
    /// Their sum, in thousandths of the metric's unit, as all that follows.
    pub sum: i64,
    /// The least.
    pub minimum: i64,
    /// The greatest.
    pub maximum: i64,
}

impl EmittedMetric {
    /// No sample of a metric yet.
    pub fn none_of(metric: MetricId) -> EmittedMetric {
        EmittedMetric { metric, sample_count: 0, sum: 0, minimum: i64::MAX, maximum: i64::MIN }
    }

    /// Adds a sample.
    pub fn add(&mut self, value: i64) {
        self.sample_count = self.sample_count.saturating_add(1);
        self.sum = self.sum.saturating_add(value);
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
    }
}

/// The parameters of RegisterScalableTarget; `None` leaves as it is. **Source:** ecs-semantics §7.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterScalableTarget {
    /// The service.
    pub service: Arc<str>,
    /// The least desired count.
    pub min_capacity: Option<u32>,
    /// The greatest desired count.
    pub max_capacity: Option<u32>,
    /// What is suspended.
    pub suspended_state: Option<SuspendedState>,
}

/// The parameters of UpdateService; `None` leaves as it is. **Source:** ecs-semantics §5.5.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateService {
    /// The service.
    pub service: Arc<str>,
    /// A new desired count.
    pub desired_count: Option<u32>,
    /// A new task definition: a new deployment.
    pub task_definition: Option<TaskDefinitionRef>,
    /// New deployment bounds.
    pub deployment_configuration: Option<crate::model::service::DeploymentConfiguration>,
    /// A new placement strategy; an empty one is that of a service that names none.
    pub placement_strategy: Option<Vec<crate::model::service::PlacementStrategy>>,
    /// New placement constraints.
    pub placement_constraints: Option<Vec<crate::model::service::PlacementConstraint>>,
    /// A new capacity provider strategy, for tasks that are started from here on; an empty one is the launch type's.
    pub capacity_provider_strategy: Option<Vec<CapacityProviderStrategyItem>>,
    /// A new grace period of health checks.
    pub health_check_grace_period: Option<Duration>,
    /// Whose tags tasks get that are started from here on.
    pub propagate_tags: Option<crate::model::service::PropagateTags>,
    /// Whether tasks that are started from here on get the tags that ECS manages.
    #[serde(skip_serializing_if = "is_default")]
    pub ecs_managed_tags: Option<crate::model::service::EcsManagedTags>,
    /// How fine its utilisation is measured.
    pub monitoring: Option<crate::model::service::Monitoring>,
    /// Whether tasks are kept in balance over zones.
    pub availability_zone_rebalancing: Option<AvailabilityZoneRebalancing>,
    /// Other target groups: a new deployment.
    #[serde(skip_serializing_if = "is_default")]
    pub load_balancers: Option<Vec<LoadBalancer>>,
    /// All of what else the caller says of the service, in place of what was said before. *Ours.*
    #[serde(skip_serializing_if = "is_default")]
    pub document: Option<Document>,
    /// `forceNewDeployment`, or that the document calls for one.
    pub new_deployment: NewDeployment,
}

/// A custom attribute of a container instance. **Source:** ecs-semantics §3.5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceAttribute {
    /// The instance.
    pub instance: ContainerInstanceId,
    /// The name: 1 to 128 letters, digits and `-_/\.`
    pub name: String,
    /// The value: up to 128 of the same, `@`, `:` and spaces inside. `None` on deletion: whatever it is.
    pub value: Option<String>,
}

/// Whether a service or a task set with tasks may be deleted. **Source:** ecs-semantics §5.5, §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletion {
    /// Only one that is scaled to zero.
    #[default]
    WhenScaledToZero,
    /// `force`.
    Forced,
}

/// Whether a task is protected from scale-in. **Source:** ecs-semantics §2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskProtection {
    /// It is, for so long; `None` is the setting `task_protection`. From a minute to two days.
    Enabled {
        /// `expiresInMinutes`.
        expires_in: Option<Duration>,
    },
    /// It is not.
    Disabled,
}

/// Whether an update starts a deployment even when nothing that it needs one for has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NewDeployment {
    /// Only when the change calls for one.
    #[default]
    WhenChanged,
    /// The document changes in a member that ECS starts a deployment for, as `networkConfiguration`. Who knows its members says so.
    /// **Source:** ecs-semantics §5.5.
    DocumentChanged,
    /// `forceNewDeployment`.
    Forced,
}
