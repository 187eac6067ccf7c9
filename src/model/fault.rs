//! What goes wrong with a cluster's capacity, its tasks and what is told of them, as a cluster file plans it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::distribution::Distribution;
use super::task_definition::TaskDefinitionRef;
use super::units::Duration;

/// Something that goes wrong, and when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Fault {
    /// When, since the start; from when on, for one that comes again and again.
    pub at: Duration,
    /// How long it takes on average until it comes, and comes again; `None`: it comes once. The gaps, and what it hits, are drawn.
    pub mean_time_between: Option<Duration>,
    /// What.
    pub kind: FaultKind,
}

/// The things that go wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum FaultKind {
    /// `INSTANCE_FAILURE`: container instances are gone at once.
    InstanceFailure {
        /// Of this provider; `None` is any.
        capacity_provider: Option<Arc<str>>,
        /// How many.
        count: u32,
    },
    /// `INSTANCE_IMPAIRED`: container instances fail their health checks.
    InstanceImpaired {
        /// Of this provider; `None` is any.
        capacity_provider: Option<Arc<str>>,
        /// How many.
        count: u32,
    },
    /// `AZ_OUTAGE`: a zone's instances are gone and none can be launched there.
    AvailabilityZoneOutage {
        /// The zone.
        availability_zone: Arc<str>,
        /// For how long.
        duration: Duration,
    },
    /// `SPOT_INTERRUPTION`: Spot capacity is taken back after its warning: Fargate Spot tasks, and EC2 Spot instances.
    SpotInterruption {
        /// Tasks of this service only, and no instances.
        service: Option<Arc<str>>,
        /// Of this provider only.
        capacity_provider: Option<Arc<str>>,
        /// How many tasks or instances; `None` is all.
        count: Option<u32>,
    },
    /// `CAPACITY_REFUSED`: launches fail.
    CapacityRefused {
        /// Of this provider; `None` is any.
        capacity_provider: Option<Arc<str>>,
        /// For how long.
        duration: Duration,
    },
    /// `SLOW_BOOT`: instances that are launched take longer.
    SlowBoot {
        /// Of this provider; `None` is any.
        capacity_provider: Option<Arc<str>>,
        /// For how long.
        duration: Duration,
        /// The boot time in the meantime.
        boot_time: Duration,
    },
    /// `AGENT_DISCONNECTED`: agents lose contact and find it again.
    AgentDisconnected {
        /// Of this provider; `None` is any.
        capacity_provider: Option<Arc<str>>,
        /// How many.
        count: u32,
        /// For how long.
        duration: Duration,
    },
    /// `TASK_CRASH`: running tasks lose their first essential container, which ends with an exit code.
    TaskCrash {
        /// Of this service only; `None` is any task, of a service or not.
        service: Option<Arc<str>>,
        /// Of this family or revision only.
        task_definition: Option<TaskDefinitionRef>,
        /// How many tasks.
        count: u32,
        /// What the container ends with.
        exit_code: i32,
    },
    /// `TASK_RETIREMENT`: AWS says that it will maintain what Fargate tasks run on. They retire when `settings` lets them.
    TaskRetirement {
        /// Of this service only; `None` is any task on Fargate, of a service or not.
        service: Option<Arc<str>>,
        /// How many tasks; `None` is all.
        count: Option<u32>,
    },
    /// `DRAIN`: container instances are set DRAINING, as by UpdateContainerInstancesState.
    Drain {
        /// Of this provider; `None` is any.
        capacity_provider: Option<Arc<str>>,
        /// How many.
        count: u32,
    },
}

/// What becomes of messages between data plane and control plane in simulated time, in one direction, each by itself. None of it by
/// default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MessageFaults {
    /// Lost, and sent again, in millionths of all messages.
    pub lost_ppm: u32,
    /// Late, and so after others that were sent later.
    pub late_ppm: u32,
    /// Come at once and again later.
    pub repeated_ppm: u32,
    /// How late those are, in nanoseconds.
    pub delay: Distribution,
    /// When a lost one is sent again; its delay comes on top.
    pub resent_after: Duration,
}

impl Default for MessageFaults {
    fn default() -> MessageFaults {
        MessageFaults {
            lost_ppm: 0,
            late_ppm: 0,
            repeated_ppm: 0,
            delay: Distribution::default(),
            resent_after: Duration::from_secs(10),
        }
    }
}

impl FaultKind {
    /// For how long it lasts; `None`: it is over at once.
    pub fn duration(&self) -> Option<Duration> {
        match self {
            FaultKind::AvailabilityZoneOutage { duration, .. }
            | FaultKind::CapacityRefused { duration, .. }
            | FaultKind::SlowBoot { duration, .. }
            | FaultKind::AgentDisconnected { duration, .. } => Some(*duration),
            FaultKind::InstanceFailure { .. }
            | FaultKind::InstanceImpaired { .. }
            | FaultKind::SpotInterruption { .. }
            | FaultKind::TaskCrash { .. }
            | FaultKind::TaskRetirement { .. }
            | FaultKind::Drain { .. } => None,
        }
    }
}
