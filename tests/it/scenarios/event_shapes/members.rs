//! The members of EventBridge's details, with the type and the values that ECS gives them.
//!
//! **Source:** ecs-semantics §2.1, §3.2, §10.3, §11.6.

/// What a value is to be.
pub enum Shape {
    /// Not empty.
    Text,
    /// May be empty, where ECS has no enum.
    AnyText,
    /// One of these.
    Word(&'static [&'static str]),
    /// An ARN of this kind of resource.
    Arn(&'static str),
    /// ISO 8601 in UTC, with milliseconds.
    Moment,
    /// A number without a sign or a point.
    Count,
    /// A number as a string.
    CountText,
    /// A whole number.
    Number,
    Bool,
    List(&'static Shape),
    /// A list that has nothing in it here.
    Nothing,
    Object(&'static [Member]),
}

/// A member: its name, whether it is always there, and its shape.
pub type Member = (&'static str, Presence, Shape);

/// Whether a member is in every detail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Always,
    Maybe,
}

use Presence::{Always, Maybe};
use Shape::{AnyText, Arn, Bool, Count, CountText, List, Moment, Nothing, Number, Object, Text, Word};

const TASK_STATUS: Shape = Word(&[
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
]);
const HEALTH: Shape = Word(&["HEALTHY", "UNHEALTHY", "UNKNOWN"]);
const NAME_VALUE: Shape = Object(&[("name", Always, Text), ("value", Always, Text)]);

const TASK: &[Member] = &[
    ("attachments", Always, Nothing),
    ("attributes", Always, List(&NAME_VALUE)),
    ("availabilityZone", Maybe, Text),
    ("capacityProviderName", Maybe, Text),
    ("clusterArn", Always, Arn("cluster/")),
    ("connectivity", Maybe, Word(&["CONNECTED", "DISCONNECTED"])),
    ("connectivityAt", Maybe, Moment),
    ("containerInstanceArn", Maybe, Arn("container-instance/")),
    ("containers", Always, List(&Object(CONTAINER))),
    ("cpu", Maybe, CountText),
    ("createdAt", Always, Moment),
    ("desiredStatus", Always, Word(&["RUNNING", "STOPPED"])),
    ("enableExecuteCommand", Always, Bool),
    ("ephemeralStorage", Maybe, Object(&[("sizeInGiB", Always, Count)])),
    ("executionStoppedAt", Maybe, Moment),
    ("group", Always, Text),
    ("healthStatus", Always, HEALTH),
    ("lastStatus", Always, TASK_STATUS),
    ("launchType", Always, Word(&["EC2", "FARGATE"])),
    ("memory", Maybe, CountText),
    ("overrides", Always, Object(&[("containerOverrides", Always, List(&Object(OVERRIDE)))])),
    ("pullStartedAt", Maybe, Moment),
    ("pullStoppedAt", Maybe, Moment),
    ("startedAt", Maybe, Moment),
    ("startedBy", Maybe, Text),
    (
        "stopCode",
        Maybe,
        Word(&[
            "TaskFailedToStart",
            "EssentialContainerExited",
            "UserInitiated",
            "ServiceSchedulerInitiated",
            "SpotInterruption",
            "TerminationNotice",
            "InfrastructureHealth",
        ]),
    ),
    ("stoppedAt", Maybe, Moment),
    ("stoppedReason", Maybe, Text),
    ("stoppingAt", Maybe, Moment),
    ("tags", Maybe, List(&Object(&[("key", Always, Text), ("value", Maybe, Text)]))),
    ("taskArn", Always, Arn("task/")),
    ("taskDefinitionArn", Always, Arn("task-definition/")),
    ("updatedAt", Always, Moment),
    ("version", Always, Count),
];

const CONTAINER: &[Member] = &[
    ("containerArn", Always, Arn("container/")),
    ("cpu", Always, CountText),
    ("exitCode", Maybe, Number),
    ("healthStatus", Always, HEALTH),
    ("image", Always, Text),
    ("lastStatus", Always, TASK_STATUS),
    ("memory", Maybe, CountText),
    ("memoryReservation", Maybe, CountText),
    ("name", Always, Text),
    ("networkInterfaces", Always, Nothing),
    ("reason", Maybe, Text),
    ("taskArn", Always, Arn("task/")),
];

const OVERRIDE: &[Member] =
    &[("command", Maybe, List(&AnyText)), ("environment", Maybe, List(&NAME_VALUE)), ("name", Always, Text)];

const RESOURCE: &[Member] = &[
    ("name", Always, Word(&["CPU", "MEMORY", "PORTS", "PORTS_UDP"])),
    ("type", Always, Word(&["INTEGER", "STRINGSET"])),
    ("integerValue", Maybe, Count),
    ("stringSetValue", Maybe, List(&CountText)),
];

const CONTAINER_INSTANCE: &[Member] = &[
    ("agentConnected", Always, Bool),
    ("attachments", Always, Nothing),
    ("attributes", Always, List(&NAME_VALUE)),
    ("capacityProviderName", Maybe, Text),
    ("clusterArn", Always, Arn("cluster/")),
    ("containerInstanceArn", Always, Arn("container-instance/")),
    ("ec2InstanceId", Always, Text),
    ("pendingTasksCount", Always, Count),
    ("registeredAt", Always, Moment),
    ("registeredResources", Always, List(&Object(RESOURCE))),
    ("remainingResources", Always, List(&Object(RESOURCE))),
    ("runningTasksCount", Always, Count),
    (
        "status",
        Always,
        Word(&["REGISTERING", "REGISTRATION_FAILED", "ACTIVE", "DRAINING", "DEREGISTERING", "INACTIVE"]),
    ),
    ("updatedAt", Always, Moment),
    ("version", Always, Count),
];

const SERVICE_ACTION: &[Member] = &[
    ("capacityProviderArns", Maybe, List(&Arn("capacity-provider/"))),
    ("clusterArn", Always, Arn("cluster/")),
    ("containerInstanceArns", Maybe, List(&Arn("container-instance/"))),
    ("createdAt", Always, Moment),
    ("desiredCount", Maybe, Count),
    (
        "eventName",
        Always,
        Word(&[
            "SERVICE_STEADY_STATE",
            "CAPACITY_PROVIDER_STEADY_STATE",
            "SERVICE_DESIRED_COUNT_UPDATED",
            "TASKS_STOPPED",
            "SERVICE_TASK_START_IMPAIRED",
            "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED",
            "SERVICE_TASK_PLACEMENT_FAILURE",
            "SERVICE_TASK_CONFIGURATION_FAILURE",
            "SERVICE_REBALANCING_STARTED",
            "SERVICE_REBALANCING_STOPPED",
        ]),
    ),
    ("eventType", Always, Word(&["INFO", "WARN", "ERROR"])),
    ("reason", Maybe, Text),
    ("taskArns", Maybe, List(&Arn("task/"))),
];

const DEPLOYMENT: &[Member] = &[
    ("deploymentId", Always, Text),
    (
        "eventName",
        Always,
        Word(&["SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED", "SERVICE_DEPLOYMENT_FAILED"]),
    ),
    ("eventType", Always, Word(&["INFO", "ERROR"])),
    ("reason", Always, Text),
    ("updatedAt", Always, Moment),
];

/// The members of each detail, by its type.
pub const DETAILS: &[(&str, &[Member])] = &[
    ("ECS Task State Change", TASK),
    ("ECS Container Instance State Change", CONTAINER_INSTANCE),
    ("ECS Service Action", SERVICE_ACTION),
    ("ECS Deployment State Change", DEPLOYMENT),
];
