//! Everything that the control plane can ask for: its one output.
//!
//! An action is idempotent data keyed by id. Its outcome comes back as an event, or never.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{ContainerStateChange, InstanceAttribute, TaskStateChange, TaskStep};
use super::placement::{KnownReason, read_reason};
use super::request_error::RequestError;
use crate::model::capacity::InstanceLaunch;
use crate::model::deployment::LifecycleStage;
use crate::model::deployment_hook::HookTarget;
use crate::model::ids::{ContainerInstanceId, DeploymentId, HookId, RequestId, ServiceDeploymentId, TaskId};
use crate::model::target_group::TargetStart;
use crate::model::task::{ContainerStatus, DesiredStatus, StopCode, TaskOverrides, TaskStatus};
use crate::model::task_definition::{TaskDefinition, VersionConsistency};
use crate::model::task_set::TaskSetDescription;
use crate::model::traffic::{TrafficWeight, TrafficWeights};
use crate::model::units::{Duration, Timestamp, VcpuNanos};
use crate::model::usage::{MeteringFact, TaskUsage};
use crate::model::written_form::{by_name, is_default};

/// Something to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Launch an EC2 instance: `InstanceRunning` after its boot time, or `InstanceLaunchFailed`.
    LaunchInstance {
        /// Its identity, never used before.
        instance: ContainerInstanceId,
        /// What to launch.
        launch: Arc<InstanceLaunch>,
    },
    /// Terminate an EC2 instance and whatever runs on it: `InstanceTerminated`.
    TerminateInstance {
        /// The instance.
        instance: ContainerInstanceId,
    },
    /// Let all tasks of a running EC2 instance together do so much CPU work at most, until it is said otherwise: a burstable instance runs
    /// out of CPU credits, or has some again. Without it an instance has its type's vCPUs.
    SetInstanceCpuRate {
        /// The instance. One that is not known (any more) is ignored.
        instance: ContainerInstanceId,
        /// CPU work in a second.
        work_per_second: VcpuNanos,
    },
    /// Start a task: state changes follow until `Stopped`.
    StartTask(Arc<TaskStart>),
    /// Stop a task: its containers see end-of-file, have their stop timeout, and are interrupted; `Stopped` follows.
    StopTask {
        /// The task. One that is not known (any more) is ignored.
        task: TaskId,
    },
    /// Give a running task no more jobs: `TargetsDrained` follows once it has ended what it had begun, if it runs for so long.
    DeregisterTargets {
        /// The task. One that is not known (any more) is ignored.
        task: TaskId,
    },
    /// Give each deployment of a service its share of the service's traffic, from here on. **Source:** ecs-semantics §5.8.
    DirectTraffic {
        /// The service.
        service: Arc<str>,
        /// The shares.
        weights: TrafficWeights,
    },
    /// Ask a lifecycle hook: `HookAnswered` follows.
    CallHook(Arc<HookCall>),
    /// Nobody waits for a lifecycle hook any more. One that has answered, or is not known, is ignored.
    EndHook {
        /// The hook.
        hook: HookId,
    },
    /// Answer a request.
    Respond {
        /// The request's id.
        request_id: RequestId,
        /// The answer.
        response: Result<Response, RequestError>,
    },
    /// Note a fact for the bill.
    Meter(MeteringFact),
    /// Tell whoever watches.
    Notify(Notification),
}

/// All that the data plane needs to know to run a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskStart {
    /// The task.
    pub task: TaskId,
    /// What it runs, of the sizes that it has.
    #[serde(serialize_with = "by_name")]
    pub task_definition: Arc<TaskDefinition>,
    /// Changes to the task definition; those of sizes are in it.
    #[serde(skip_serializing_if = "is_default")]
    pub overrides: Arc<TaskOverrides>,
    /// Where it runs.
    pub host: TaskHost,
    /// Its service, whose jobs it takes.
    pub service: Option<Arc<str>>,
    /// Its deployment, which says which share of them.
    pub deployment: Option<DeploymentId>,
    /// Whether it has the images that the first task of its deployment had, where its containers want that: not once these could not be
    /// resolved too often. **Source:** ecs-semantics §5.9.
    #[serde(skip_serializing_if = "is_default")]
    pub version_consistency: VersionConsistency,
    /// The stop timeout of containers that name none.
    pub stop_timeout: Duration,
    /// The targets that it is from the moment on when it runs.
    #[serde(skip_serializing_if = "is_default")]
    pub targets: Vec<TargetStart>,
}

impl TaskStateChange {
    /// What a data plane reports of a task whose container instance is not there (any more).
    pub fn of_lost_instance(start: &TaskStart) -> TaskStateChange {
        let reason = "ResourceInitializationError: the container instance is gone".to_owned();
        TaskStateChange::of_failed_start(start, reason, None)
    }

    /// What a data plane reports of a task that was to stop before it was to start.
    pub fn of_stopped_start(start: &TaskStart) -> TaskStateChange {
        let step = TaskStep::Stopped { usage: TaskUsage::default(), failed_to_start: None };
        TaskStateChange { step, ..TaskStateChange::of_failed_start(start, String::new(), None) }
    }

    /// What a data plane reports of a task of which nothing could be started, when its pull has begun at a moment, if it has.
    pub fn of_failed_start(start: &TaskStart, reason: String, pull_started_at: Option<Timestamp>) -> TaskStateChange {
        let stopped = |container_index| ContainerStateChange {
            container_index,
            status: ContainerStatus::Stopped,
            ..ContainerStateChange::default()
        };
        TaskStateChange {
            task: start.task,
            step: TaskStep::Stopped { usage: TaskUsage::default(), failed_to_start: Some(reason) },
            pull_started_at,
            pull_stopped_at: None,
            containers: (0..start.task_definition.containers.len()).map(stopped).collect(),
        }
    }
}

/// What a lifecycle hook is asked. **Source:** ecs-semantics §5.8.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HookCall {
    /// The hook at this stage.
    pub hook: HookId,
    /// The number of this call of it, from 1.
    pub call: u32,
    /// Who is asked.
    pub target: HookTarget,
    /// What the service's configuration hands to it.
    pub details: Option<Arc<str>>,
    /// The stage.
    pub stage: LifecycleStage,
    /// The service.
    pub service: Arc<str>,
    /// The service deployment.
    pub service_deployment: ServiceDeploymentId,
    /// The deployment that runs the target.
    pub deployment: DeploymentId,
    /// What the target's tasks run.
    #[serde(serialize_with = "by_name")]
    pub task_definition: Arc<TaskDefinition>,
    /// The target's share of production traffic at this moment; `None`: there is none to move.
    pub production_weight: Option<TrafficWeight>,
    /// The target's share of test traffic.
    pub test_weight: Option<TrafficWeight>,
}

/// Where a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskHost {
    /// A container instance: its worker pool, by weight.
    Ec2(ContainerInstanceId),
    /// A sandbox of its own.
    Fargate,
}

/// The answer to a request that was granted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Done; there is nothing to add.
    Done,
    /// The task definition with its revision.
    TaskDefinition(Arc<TaskDefinition>),
    /// The instance that was launched.
    Instance(ContainerInstanceId),
    /// UpdateContainerInstancesState: those that were changed, and why others were not.
    ContainerInstances {
        /// The instances.
        instances: Vec<ContainerInstanceId>,
        /// One for each of the others.
        failures: Vec<Failure>,
    },
    /// The number of the instance refresh that was started, from 1 in its group.
    InstanceRefresh(u32),
    /// The deployment that was started, if one was.
    Service {
        /// The primary deployment.
        deployment: DeploymentId,
    },
    /// CreateTaskSet, UpdateTaskSet, DeleteTaskSet, UpdateServicePrimaryTaskSet: the task set as it is right after the request.
    TaskSet(Box<TaskSetDescription>),
    /// UpdateTaskProtection: the tasks as they are, and why others are not. **Source:** ecs-semantics §2.6.
    TaskProtection {
        /// Each task with the end of its protection, if it has one.
        protected: Vec<(TaskId, Option<Timestamp>)>,
        /// Failures.
        failures: Vec<TaskFailure>,
    },
    /// PutAttributes, DeleteAttributes: what was set or deleted.
    Attributes(Vec<InstanceAttribute>),
    /// RunTask and StartTask: tasks that were placed or are waiting, and why the others were not. **Source:** ecs-semantics §4.5.
    RunTask {
        /// Tasks.
        tasks: Vec<TaskId>,
        /// Failures, one an instance considered (and one in all when there is none).
        failures: Vec<Failure>,
    },
}

/// Why nothing was done for a task. **Source:** ecs-semantics §2.6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskFailure {
    /// The task.
    pub task: TaskId,
    /// ECS' reason, as in `TASK_NOT_VALID`.
    pub reason: &'static str,
    /// For people.
    pub detail: &'static str,
}

/// Why an instance did not take a task. **Source:** ecs-semantics §4.5.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The instance, if there is one.
    pub instance: Option<ContainerInstanceId>,
    /// ECS' reason, as in `RESOURCE:MEMORY`.
    #[serde(deserialize_with = "read_reason")]
    pub reason: KnownReason,
    /// What was needed and what was there.
    pub detail: String,
}

/// News for whoever watches the cluster. **Source:** ecs-semantics §5.11, §10.3.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification {
    /// A task's status or that of a container of it changed.
    Task {
        /// The task.
        task: TaskId,
        /// Its last status.
        last_status: TaskStatus,
        /// Its desired status.
        desired_status: DesiredStatus,
        /// Why it ended or is ending.
        #[serde(skip_serializing_if = "is_default")]
        stop_code: Option<StopCode>,
        /// Its version with this change. **Source:** ecs-semantics §2.1.
        version: u64,
    },
    /// A container instance's status changed.
    ContainerInstance {
        /// The instance.
        instance: ContainerInstanceId,
        /// Its status.
        status: crate::model::capacity::ContainerInstanceStatus,
        /// Its version with this change. **Source:** ecs-semantics §3.2.
        version: u64,
    },
    /// Tasks were placed on a container instance, changed there or left it; told once for all that follows from one event.
    /// **Source:** ecs-semantics §10.3.
    InstanceTasks {
        /// The instance.
        instance: ContainerInstanceId,
        /// Its version with this change.
        version: u64,
    },
    /// A service event: the line that DescribeServices shows, with its `(service X) ` prefix.
    Service {
        /// The service.
        service: Arc<str>,
        /// The line.
        message: Arc<str>,
    },
    /// An EventBridge event `ECS Service Action`. **Source:** ecs-semantics §10.3.
    ServiceAction {
        /// The service.
        service: Arc<str>,
        /// What happened.
        event: ServiceActionEvent,
        /// The detail's reason, as in `RESOURCE:MEMORY`.
        reason: Option<Arc<str>>,
        /// What else it is about.
        subjects: ServiceActionSubjects,
    },
    /// An EventBridge event `ECS Deployment State Change`. **Source:** ecs-semantics §10.3.
    DeploymentStateChange {
        /// The service.
        service: Arc<str>,
        /// The deployment.
        deployment: DeploymentId,
        /// What happened.
        event: DeploymentEvent,
        /// The detail's reason, as in `ECS deployment circuit breaker: task failed to start.`
        reason: Arc<str>,
    },
    /// A CloudWatch alarm came into another state.
    Alarm {
        /// The alarm.
        alarm: Arc<str>,
        /// Before.
        from: crate::model::alarm::AlarmState,
        /// After.
        to: crate::model::alarm::AlarmState,
        /// Why: the datapoints and the threshold.
        reason: Arc<str>,
    },
    /// Not all tasks that a caller asked for could be placed.
    RunTask {
        /// What was to run.
        task_definition: Arc<str>,
        /// How many tasks were wanted.
        wanted: u32,
        /// How many of them were placed.
        placed: u32,
        /// Why not the others.
        reason: Arc<str>,
    },
    /// An Auto Scaling group changed its desired capacity.
    AutoScalingGroup {
        /// The capacity provider.
        capacity_provider: Arc<str>,
        /// Before.
        from: u32,
        /// After.
        to: u32,
        /// Why: the metric and its target.
        reason: Arc<str>,
    },
}

/// What an `ECS Service Action` is about beside its service: each event names what belongs to it, and nothing else.
/// **Source:** ecs-semantics §10.3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceActionSubjects {
    /// The desired count that was set.
    pub desired_count: Option<u32>,
    /// The capacity providers that are steady, or without room.
    pub capacity_providers: Vec<Arc<str>>,
    /// The instances whose tasks are not where they may be.
    pub container_instances: Vec<ContainerInstanceId>,
    /// The tasks that are stopped.
    pub tasks: Vec<TaskId>,
}

/// Names of `ECS Service Action` events. **Source:** ecs-semantics §10.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceActionEvent {
    /// `SERVICE_STEADY_STATE`: it has become steady.
    SteadyState,
    /// `TASKSET_STEADY_STATE`: a task set of it has become steady.
    TaskSetSteadyState,
    /// `SERVICE_DESIRED_COUNT_UPDATED`.
    DesiredCountUpdated,
    /// `TASKS_STOPPED`.
    TasksStopped,
    /// `CAPACITY_PROVIDER_STEADY_STATE`.
    CapacityProviderSteadyState,
    /// `SERVICE_TASK_START_IMPAIRED`.
    TaskStartImpaired,
    /// `SERVICE_TASK_PLACEMENT_FAILURE`.
    TaskPlacementFailure,
    /// `SERVICE_TASK_CONFIGURATION_FAILURE`.
    TaskConfigurationFailure,
    /// `SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED`.
    DaemonPlacementConstraintViolated,
    /// `SERVICE_REBALANCING_STARTED`.
    RebalancingStarted,
    /// `SERVICE_REBALANCING_STOPPED`.
    RebalancingStopped,
}

impl ServiceActionEvent {
    /// EventBridge's `eventName` and `eventType`.
    pub fn name_and_type(self) -> (&'static str, &'static str) {
        match self {
            ServiceActionEvent::SteadyState => ("SERVICE_STEADY_STATE", "INFO"),
            ServiceActionEvent::TaskSetSteadyState => ("TASKSET_STEADY_STATE", "INFO"),
            ServiceActionEvent::DesiredCountUpdated => ("SERVICE_DESIRED_COUNT_UPDATED", "INFO"),
            ServiceActionEvent::TasksStopped => ("TASKS_STOPPED", "INFO"),
            ServiceActionEvent::CapacityProviderSteadyState => ("CAPACITY_PROVIDER_STEADY_STATE", "INFO"),
            ServiceActionEvent::TaskStartImpaired => ("SERVICE_TASK_START_IMPAIRED", "WARN"),
            ServiceActionEvent::TaskPlacementFailure => ("SERVICE_TASK_PLACEMENT_FAILURE", "ERROR"),
            ServiceActionEvent::TaskConfigurationFailure => ("SERVICE_TASK_CONFIGURATION_FAILURE", "ERROR"),
            ServiceActionEvent::RebalancingStarted => ("SERVICE_REBALANCING_STARTED", "INFO"),
            ServiceActionEvent::RebalancingStopped => ("SERVICE_REBALANCING_STOPPED", "INFO"),
            ServiceActionEvent::DaemonPlacementConstraintViolated => {
                ("SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED", "ERROR")
            }
        }
    }
}

/// Names of `ECS Deployment State Change` events. **Source:** ecs-semantics §10.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentEvent {
    /// `SERVICE_DEPLOYMENT_IN_PROGRESS`.
    InProgress,
    /// `SERVICE_DEPLOYMENT_COMPLETED`.
    Completed,
    /// `SERVICE_DEPLOYMENT_FAILED`.
    Failed,
}

impl DeploymentEvent {
    /// EventBridge's `eventName` and `eventType`.
    pub fn name_and_type(self) -> (&'static str, &'static str) {
        match self {
            DeploymentEvent::InProgress => ("SERVICE_DEPLOYMENT_IN_PROGRESS", "INFO"),
            DeploymentEvent::Completed => ("SERVICE_DEPLOYMENT_COMPLETED", "INFO"),
            DeploymentEvent::Failed => ("SERVICE_DEPLOYMENT_FAILED", "ERROR"),
        }
    }
}
