//! What a ledger holds: closed stretches of use, from which a bill over any time is computed.
//!
//! What runs long is cut into stretches, and the cuts change no bill: a stretch is billed for the seconds by which it makes the whole
//! longer, so that minimum and rounding, which are the whole's, hold over all cuts. *Ours:* so it is with a range of time that begins or ends within a
//! stretch; the use in such a stretch is taken as even.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::price::billed_seconds;
use crate::model::calendar::{Day, UnixNanos};
use crate::model::capacity::InstanceType;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::{Fuel, VcpuNanos};
use crate::model::usage::{PurchaseOption, TaskIdentity, TaskUsage};

/// A closed stretch of use. It is in one day.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LedgerRecord {
    /// Its number among those of its cluster, from 1. The same facts give the same records with the same numbers, however often.
    pub seq: u64,
    /// Its begin.
    pub from: UnixNanos,
    /// Its end.
    pub to: UnixNanos,
    /// What was used.
    pub used: Stretch,
}

impl LedgerRecord {
    /// The day that it is in.
    pub fn day(&self) -> Day {
        self.from.day()
    }
}

/// What was used in a stretch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Stretch {
    /// A task ran.
    Task {
        /// The task.
        task: TaskId,
        /// When its paid interval began.
        since: UnixNanos,
        /// Whom it ran for, what it is and what it reserved. What this says of an instance counts for nothing.
        identity: Arc<TaskIdentity>,
        /// The instance that it ran on; `None` on Fargate.
        instance: Option<ContainerInstanceId>,
        /// What it used in the stretch.
        usage: StretchUsage,
    },
    /// An EC2 instance was `running`.
    Instance {
        /// The instance.
        instance: ContainerInstanceId,
        /// What it is.
        host: Arc<Host>,
        /// Its how manieth start this is.
        start: u32,
        /// When it entered `running`.
        since: UnixNanos,
    },
    /// Surplus CPU credits of an instance were charged for, at one moment.
    Surplus {
        /// The instance.
        instance: ContainerInstanceId,
        /// What it is.
        host: Arc<Host>,
        /// Its how manieth charge this is.
        charge: u32,
        /// CPU work beyond what it earned.
        surplus: VcpuNanos,
    },
}

/// What an EC2 instance is, for its price and for whom it is put down to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Host {
    /// Its type.
    pub instance_type: Arc<InstanceType>,
    /// On-demand or Spot.
    pub purchase_option: PurchaseOption,
    /// Its availability zone.
    pub availability_zone: Arc<str>,
    /// Its capacity provider, if it has one.
    pub capacity_provider: Option<Arc<str>>,
}

/// What a task used in a stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct StretchUsage {
    /// CPU work in the cluster's basis.
    pub vcpu: VcpuNanos,
    /// Memory held over time, in MiB-milliseconds.
    pub memory_mib_millis: u64,
    /// Fuel burnt.
    pub fuel: Fuel,
    /// The most memory held at once up to its end, in bytes.
    pub memory_bytes_peak: u64,
}

impl StretchUsage {
    /// All that a task has used.
    pub(super) fn of(usage: &TaskUsage) -> StretchUsage {
        StretchUsage {
            vcpu: usage.vcpu,
            memory_mib_millis: usage.memory_mib_millis,
            fuel: usage.fuel,
            memory_bytes_peak: usage.memory_bytes_peak,
        }
    }

    /// What came after `before`.
    pub(super) fn without(&self, before: &StretchUsage) -> StretchUsage {
        StretchUsage {
            vcpu: self.vcpu - before.vcpu,
            memory_mib_millis: self.memory_mib_millis.saturating_sub(before.memory_mib_millis),
            fuel: Fuel(self.fuel.0.saturating_sub(before.fuel.0)),
            memory_bytes_peak: self.memory_bytes_peak,
        }
    }

    /// Whether nothing was used.
    pub(super) fn is_nothing(&self) -> bool {
        (self.vcpu, self.memory_mib_millis, self.fuel) == (VcpuNanos(0), 0, Fuel(0))
    }

    /// The part of it between two moments of its stretch, as if it were even. The parts of any cuts sum to it.
    pub(super) fn within(&self, whole: Span, part: Span) -> StretchUsage {
        if whole == part {
            return *self;
        }
        let length = whole.nanos().max(1);
        let up_to = |amount: u64, at: UnixNanos| {
            let elapsed = u128::from(at.0 - whole.from.0);
            u64::try_from(u128::from(amount) * elapsed / length).expect("a part is no more than the whole")
        };
        let of = |amount: u64| up_to(amount, part.to) - up_to(amount, part.from);
        StretchUsage {
            vcpu: VcpuNanos(of(self.vcpu.0)),
            memory_mib_millis: of(self.memory_mib_millis),
            fuel: Fuel(of(self.fuel.0)),
            memory_bytes_peak: self.memory_bytes_peak,
        }
    }
}

/// From a moment up to another that is not before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Span {
    /// The first moment in it.
    pub from: UnixNanos,
    /// The first moment after it.
    pub to: UnixNanos,
}

impl Span {
    /// All time.
    pub const EVER: Span = Span { from: UnixNanos(0), to: UnixNanos::MAX };

    /// The part of a stretch that is in this range; `None` when there is none. A stretch without length is in the range that has its moment.
    pub(super) fn part_of(self, stretch: Span) -> Option<Span> {
        let part = Span { from: stretch.from.max(self.from), to: stretch.to.min(self.to) };
        let is_moment = stretch.from == stretch.to && (self.from..self.to).contains(&stretch.from);
        (part.from < part.to || is_moment).then_some(part)
    }

    /// Its length in nanoseconds.
    pub(super) fn nanos(self) -> u128 {
        self.to.since(self.from).as_nanos()
    }

    /// The seconds that it adds to what is billed for something that began at `since`. **Source:** ecs-semantics §8.3.
    pub(super) fn billed_seconds(self, since: UnixNanos) -> u64 {
        let before = if self.from <= since { 0 } else { billed_seconds(self.from.since(since)) };
        billed_seconds(self.to.since(since)) - before
    }
}
