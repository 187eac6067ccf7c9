//! What a cluster did over time: its state at an interval, and what happened between.
//!
//! Plain data in integers. `recorder` takes it; how it is drawn and written is `report`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metering::bill::Bill;
use crate::model::scaling::TrackedMetric;
use crate::model::task_definition::LaunchType;
use crate::model::units::{Duration, NanoUsd, Timestamp};
use crate::model::usage::PurchaseOption;

/// A cluster over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// From one sample to the next; the last one comes at the end.
    pub interval: Duration,
    /// Oldest first.
    pub samples: Vec<Sample>,
    /// What happened, oldest first.
    pub marks: Vec<Mark>,
    /// What happened after as many marks as are kept.
    pub marks_dropped: u64,
}

/// A cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Services by name, but for those that are deleted.
    pub services: BTreeMap<Arc<str>, ServiceSample>,
    /// Capacity providers over Auto Scaling groups, by name.
    pub providers: BTreeMap<Arc<str>, ProviderSample>,
    /// Container instances.
    pub instances: InstanceSample,
    /// Tasks that are not over.
    pub tasks_live: u64,
    /// Those of them that belong to no service.
    pub tasks_standalone: u64,
    /// The bill up to this moment.
    pub cost: CostSample,
}

/// A service at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSample {
    /// As many tasks as it is to have.
    pub desired: u32,
    /// Tasks that run.
    pub running: u32,
    /// Tasks that are to run and do not yet.
    pub pending: u32,
    /// `CPUUtilization` in thousandths of a percent, averaged over the metric periods since the sample before.
    pub cpu: Option<i64>,
    /// `MemoryUtilization`, likewise.
    pub memory: Option<i64>,
    /// Its target tracking policies, by name.
    pub tracked: BTreeMap<Arc<str>, TrackedSample>,
    /// Its jobs, where it has load.
    pub jobs: Option<JobSample>,
}

/// A target tracking policy at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedSample {
    /// What it holds at its target.
    pub metric: TrackedMetric,
    /// The target, in thousandths of the metric's unit.
    pub target: i64,
    /// The metric, averaged over the metric periods since the sample before; `None` without data.
    pub value: Option<i64>,
}

/// The jobs of a service at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobSample {
    /// Arrived so far.
    pub arrived: u64,
    /// Done so far.
    pub done: u64,
    /// Rejected or lost so far.
    pub failed: u64,
    /// Waiting.
    pub queued: u64,
    /// How long the jobs that were done since the sample before took from their arrival, in real time the last 1,024; `None` if there
    /// were none.
    pub latency: Option<Latency>,
}

/// Percentiles of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub p50: Duration,
    /// Not known in real time.
    pub p90: Option<Duration>,
    pub p99: Duration,
}

/// A capacity provider's group at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderSample {
    /// As many instances as it is to have.
    pub desired: u32,
    /// Instances that are in service.
    pub in_service: u32,
    /// `CapacityProviderReservation` in thousandths of a percent; `None` without managed scaling.
    pub reservation: Option<i64>,
    /// Its target, likewise.
    pub target: Option<i64>,
}

/// Container instances at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceSample {
    /// Launched and not registered yet, but for those in warm pools.
    pub starting: u32,
    /// Taking tasks.
    pub active: u32,
    /// Taking no more tasks.
    pub draining: u32,
    /// In warm pools.
    pub warm: u32,
    /// CPU units of those that are active or draining.
    pub cpu_registered: u64,
    /// CPU units of it that tasks reserve.
    pub cpu_reserved: u64,
    /// MiB of those that are active or draining.
    pub memory_registered: u64,
    /// MiB of it that tasks reserve.
    pub memory_reserved: u64,
    /// The cluster's `CPUUtilization` in thousandths of a percent, averaged over the metric periods since the sample before.
    pub cpu_used: Option<i64>,
    /// The cluster's `MemoryUtilization`, likewise.
    pub memory_used: Option<i64>,
}

/// A bill by launch type: the parts are all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CostSample {
    pub fargate: NanoUsd,
    pub fargate_spot: NanoUsd,
    pub ec2: NanoUsd,
    pub ec2_spot: NanoUsd,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: MarkKind,
    /// The service, capacity provider or alarm.
    pub subject: Arc<str>,
    /// What, for people.
    pub text: Arc<str>,
}

/// What marks are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// A service began to change what its tasks run.
    DeploymentStarted,
    /// It has.
    DeploymentCompleted,
    /// It could not.
    DeploymentFailed,
    /// A service is to have more tasks.
    ScaledOut,
    /// A service is to have fewer tasks.
    ScaledIn,
    /// An Auto Scaling group is to have more instances.
    CapacityOut,
    /// An Auto Scaling group is to have fewer instances.
    CapacityIn,
    /// An alarm went off.
    Alarm,
    /// Tasks of a service find no room or do not start.
    Impaired,
}

impl MarkKind {
    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            MarkKind::DeploymentStarted => "deployment started",
            MarkKind::DeploymentCompleted => "deployment completed",
            MarkKind::DeploymentFailed => "deployment failed",
            MarkKind::ScaledOut => "service scaled out",
            MarkKind::ScaledIn => "service scaled in",
            MarkKind::CapacityOut => "instances scaled out",
            MarkKind::CapacityIn => "instances scaled in",
            MarkKind::Alarm => "alarm",
            MarkKind::Impaired => "tasks impaired",
        }
    }
}

impl Sample {
    /// Lets this sample stand for the interval of the one before as well.
    pub(super) fn take_up(&mut self, before: &Sample) {
        for (name, service) in &mut self.services {
            let earlier = before.services.get(name).and_then(|earlier| earlier.jobs?.latency);
            if let (Some(jobs), Some(earlier)) = (&mut service.jobs, earlier) {
                // The percentiles of both together are not known: they are not above the greater ones.
                let latency = jobs.latency.get_or_insert(earlier);
                latency.p50 = latency.p50.max(earlier.p50);
                latency.p90 = latency.p90.max(earlier.p90);
                latency.p99 = latency.p99.max(earlier.p99);
            }
        }
    }
}

impl CostSample {
    /// A bill's amounts.
    pub fn of(bill: &Bill) -> CostSample {
        let mut cost = CostSample::default();
        for line in &bill.lines {
            let part = match (line.launch_type, line.purchase_option) {
                (LaunchType::Fargate, PurchaseOption::OnDemand) => &mut cost.fargate,
                (LaunchType::Fargate, PurchaseOption::Spot) => &mut cost.fargate_spot,
                (LaunchType::Ec2, PurchaseOption::OnDemand) => &mut cost.ec2,
                (LaunchType::Ec2, PurchaseOption::Spot) => &mut cost.ec2_spot,
            };
            *part = *part + line.amount;
        }
        cost
    }

    /// All of it.
    pub fn total(&self) -> NanoUsd {
        self.fargate + self.fargate_spot + self.ec2 + self.ec2_spot
    }
}
