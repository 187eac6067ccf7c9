//! The bill: lines in AWS' own terms, shared out to those who caused them, beside what was really used.
//!
//! Plain data. `billing.rs` computes it, and says why every breakdown sums to the total.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::quantity::Quantity;
use crate::model::task_definition::LaunchType;
use crate::model::units::{Fuel, NanoUsd, Timestamp};
use crate::model::usage::PurchaseOption;

/// What a cluster costs up to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The region whose rates were used.
    pub region: Arc<str>,
    /// The moment up to which running things are billed.
    pub at: Timestamp,
    /// How many tasks and instances were running; zero in a final bill.
    pub running: u64,
    /// The lines: Fargate, then EC2, then what is metered at no charge. None has a quantity of zero.
    pub lines: Vec<BillLine>,
    /// The sum of the lines.
    pub total: NanoUsd,
    /// By service name; tasks of no service are [`STANDALONE`], unreserved instances [`IDLE`]. The amounts sum to the total.
    pub by_service: BTreeMap<String, CostAndUse>,
    /// By `family:revision`, and [`IDLE`]. The amounts sum to the total.
    pub by_task_definition: BTreeMap<String, CostAndUse>,
    /// By tag key, then by its value; tasks without the tag are [`UNTAGGED`], and [`IDLE`]. The amounts of each key sum to the total.
    pub by_tag: BTreeMap<String, BTreeMap<String, CostAndUse>>,
    /// By launch type; what was paid for stands for what was reserved. The amounts sum to the total.
    pub by_launch_type: BTreeMap<LaunchType, CostAndUse>,
    /// What [`IDLE`] consists of: by capacity provider; instances without one are [`NO_CAPACITY_PROVIDER`].
    pub idle_by_capacity_provider: BTreeMap<String, CostAndUse>,
    /// Used beside paid.
    pub waste: Waste,
    /// Instance types that ran and that the price book has no rate for: their lines are zero, and the bill is too low.
    pub unpriced_instance_types: Vec<String>,
}

/// The key of tasks that belong to no service. No ECS name has parentheses.
pub const STANDALONE: &str = "(standalone)";
/// The key of instance capacity that no task reserved.
pub const IDLE: &str = "(idle)";
/// The key of tasks that lack a tag.
pub const UNTAGGED: &str = "(untagged)";
/// The key of instances that were registered by hand.
pub const NO_CAPACITY_PROVIDER: &str = "(no capacity provider)";

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    /// AWS' name, as in `USE1-Fargate-vCPU-Hours:perCPU`.
    pub usage_type: String,
    /// What it is, for people.
    pub description: String,
    /// What was paid for: a size on Fargate, an instance on EC2.
    pub launch_type: LaunchType,
    /// How. Storage of Fargate and surplus CPU credits cost the same either way and are one line, on-demand.
    pub purchase_option: PurchaseOption,
    /// How much, exactly.
    pub quantity: Quantity,
    /// The unit of `quantity`.
    pub unit: BillUnit,
    /// The price of one unit.
    pub rate: NanoUsd,
    /// Quantity times rate, rounded half up to the nano-dollar.
    pub amount: NanoUsd,
}

/// What a line's quantity counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillUnit {
    /// vCPU-hours.
    VcpuHours,
    /// GB-hours; a GB is 1024 MiB.
    GbHours,
    /// Hours of an instance.
    Hours,
}

impl BillUnit {
    /// The unit as AWS' bills write it.
    pub fn as_str(self) -> &'static str {
        match self {
            BillUnit::VcpuHours => "vCPU-Hours",
            BillUnit::GbHours => "GB-Hours",
            BillUnit::Hours => "Hrs",
        }
    }
}

impl std::fmt::Display for BillUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What somebody's tasks cost and what they used.
///
/// Reserved is what is paid for: on Fargate the configured size over the billed seconds, on EC2 the reservation over the
/// time it was held. For idle capacity it is what was paid for and reserved by no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostAndUse {
    /// How many tasks, finished and running.
    pub tasks: u64,
    /// Their part of the bill.
    pub amount: NanoUsd,
    /// vCPU-seconds reserved.
    pub vcpu_seconds_reserved: Quantity,
    /// vCPU-seconds used, in the cluster's basis. More than reserved where tasks burst into an instance's idle CPU.
    pub vcpu_seconds_used: Quantity,
    /// GB-seconds reserved.
    pub memory_gb_seconds_reserved: Quantity,
    /// GB-seconds held.
    pub memory_gb_seconds_used: Quantity,
    /// The most memory that any one task held at once, in bytes.
    pub memory_bytes_peak: u64,
    /// Fuel burnt.
    pub fuel: Fuel,
}

/// Used beside paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waste {
    /// On Fargate, where tasks' configured sizes are paid.
    pub fargate: PaidAndUsed,
    /// On EC2, where whole instances are paid.
    pub ec2: PaidAndUsed,
    /// The part of EC2's cost that no task reserved.
    pub idle: NanoUsd,
}

impl Waste {
    /// Fargate and EC2 together.
    pub fn total(&self) -> PaidAndUsed {
        self.fargate.plus(&self.ec2)
    }
}

/// Capacity that was paid for, and how much of it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidAndUsed {
    /// What the CPU cost. *Ours:* half of an instance's price, as in the shares of its cost.
    pub vcpu_amount: NanoUsd,
    /// What the memory cost: the other half of an instance's price.
    pub memory_amount: NanoUsd,
    /// vCPU-seconds paid for.
    pub vcpu_seconds_paid: Quantity,
    /// vCPU-seconds used.
    pub vcpu_seconds_used: Quantity,
    /// GB-seconds paid for.
    pub memory_gb_seconds_paid: Quantity,
    /// GB-seconds held.
    pub memory_gb_seconds_used: Quantity,
}

impl PaidAndUsed {
    /// Used of paid vCPU-seconds in thousandths; `None` when nothing was paid for.
    pub fn vcpu_used_permille(&self) -> Option<u32> {
        self.vcpu_seconds_used.permille_of(self.vcpu_seconds_paid)
    }

    /// Used of paid GB-seconds in thousandths; `None` when nothing was paid for.
    pub fn memory_used_permille(&self) -> Option<u32> {
        self.memory_gb_seconds_used.permille_of(self.memory_gb_seconds_paid)
    }

    /// What was paid for capacity that was not used, to the permille of each amount.
    pub fn wasted(&self) -> NanoUsd {
        let unused = |amount: NanoUsd, used_permille: Option<u32>| {
            let unused_permille = 1000 - used_permille.unwrap_or(1000).min(1000);
            Quantity::new(unused_permille.into(), 1000).times(amount)
        };
        unused(self.vcpu_amount, self.vcpu_used_permille()) + unused(self.memory_amount, self.memory_used_permille())
    }

    fn plus(&self, other: &PaidAndUsed) -> PaidAndUsed {
        PaidAndUsed {
            vcpu_amount: self.vcpu_amount + other.vcpu_amount,
            memory_amount: self.memory_amount + other.memory_amount,
            vcpu_seconds_paid: self.vcpu_seconds_paid + other.vcpu_seconds_paid,
            vcpu_seconds_used: self.vcpu_seconds_used + other.vcpu_seconds_used,
            memory_gb_seconds_paid: self.memory_gb_seconds_paid + other.memory_gb_seconds_paid,
            memory_gb_seconds_used: self.memory_gb_seconds_used + other.memory_gb_seconds_used,
        }
    }
}
