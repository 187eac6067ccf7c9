//! Computes a bill from the ledger's sums: what each line costs, and whose it is.
//!
//! The intuition: a *line* is one exact total quantity times one rate, rounded once. The total is the sum of the lines. A
//! *breakdown* (by service, by task definition, by a tag) divides each line's rounded amount among the groups by exact
//! weights, so that its parts sum to the total again, to the nano-dollar:
//! - a Fargate line by the quantity that each group has in it;
//! - an instance line by reservation over time. A task's part of an instance is the **mean** of its part of the instance's CPU and
//!   its part of its memory, for as long as it holds them; what no task reserved is idle and stays with the capacity provider.
//!   *Ours:* AWS' bill stops at the instance. The mean and not the larger of the two, because means of tasks that fit on an instance never sum to more than the instance.
//!
//! Nothing here depends on the order in which facts arrived.

mod shares;
mod surplus;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::shares::Share;
pub(super) use self::shares::{PARTS_PER_UNIT, compute_by_slot};
use super::bill::{
    Bill, BillLine, BillUnit, CostAndUse, IDLE, NO_CAPACITY_PROVIDER, PaidAndUsed, STANDALONE, UNTAGGED, Waste,
};
use super::ledger::{FargateKind, FargateSum, Group, Instance, Ledger, NANOS_PER_SECOND, ReservedSum, Slot, Used};
use super::price::PriceBook;
use super::quantity::{Quantity, apportion, greatest_common_divisor, nano_usd};
use crate::model::capacity::InstanceType;
use crate::model::task_definition::{CpuArchitecture, LaunchType};
use crate::model::units::{CpuUnits, Fuel, NanoUsd, Timestamp};
use crate::model::usage::PurchaseOption;

pub(super) const SECONDS_PER_HOUR: u128 = 3600;
/// CPU units of a vCPU, and MiB of a GB: an ECS size says 1024 for both.
const UNITS: u128 = 1024;
const _: () = assert!(CpuUnits::PER_VCPU == 1024);

/// How tasks share an instance of one type: a part of an instance as an integer weight.
///
/// The mean of `cpu / CPU` and `memory / MEMORY` over the least common denominator.
#[derive(Clone, Copy, Debug)]
pub(super) struct InstanceShare {
    per_unit: u128,
    per_mib: u128,
    whole: u128,
}

impl InstanceShare {
    /// The weights of an instance type.
    pub fn of(instance_type: &InstanceType) -> InstanceShare {
        let units = u128::from(instance_type.cpu_units().0).max(1);
        let mib = u128::from(instance_type.memory.0).max(1);
        let divisor = greatest_common_divisor(units, mib);
        InstanceShare { per_unit: mib / divisor, per_mib: units / divisor, whole: 2 * units * (mib / divisor) }
    }

    /// The weight of a reservation.
    pub fn weight(self, units: u128, mib: u128) -> u128 {
        units * self.per_unit + mib * self.per_mib
    }

    /// The weight of the whole instance.
    pub fn whole(self) -> u128 {
        self.whole
    }
}

/// Sums for a [`CostAndUse`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CostSum {
    pub nano_usd: u128,
    reserved: ReservedSum,
    used: Used,
}

impl CostSum {
    pub fn add(&mut self, other: &CostSum) {
        self.nano_usd += other.nano_usd;
        self.reserved.add(&other.reserved);
        self.used.merge(&other.used);
    }

    pub fn finish(&self) -> CostAndUse {
        CostAndUse {
            tasks: self.used.tasks,
            amount: nano_usd(self.nano_usd),
            vcpu_seconds_reserved: seconds_of_unit_nanos(self.reserved.unit_nanos),
            vcpu_seconds_used: self.used.vcpu_seconds(),
            memory_gb_seconds_reserved: seconds_of_unit_nanos(self.reserved.mib_nanos),
            memory_gb_seconds_used: self.used.memory_gb_seconds(),
            memory_bytes_peak: self.used.memory_bytes_peak,
            fuel: Fuel(u64::try_from(self.used.fuel).unwrap_or(u64::MAX)),
        }
    }
}

/// vCPU-seconds from CPU units times nanoseconds, or GB-seconds from MiB times nanoseconds.
fn seconds_of_unit_nanos(unit_nanos: u128) -> Quantity {
    Quantity::new(unit_nanos, UNITS * NANOS_PER_SECOND)
}

/// What ran on instances of one type.
#[derive(Debug)]
struct InstanceTypeSum {
    instance_type: Arc<InstanceType>,
    purchase_option: PurchaseOption,
    billed_seconds: u128,
    /// The groups' weights, in [`InstanceShare`]'s terms times nanoseconds, by group index.
    weights: BTreeMap<usize, u128>,
    /// What is left.
    idle: BTreeMap<IdleKey, IdleSum>,
}

/// Whose idle capacity it is: a capacity provider's, in a slot.
pub(super) type IdleKey = (Option<Arc<str>>, Slot);

#[derive(Clone, Copy, Debug, Default)]
struct IdleSum {
    weight: u128,
    unreserved: ReservedSum,
}

/// A bill in the making.
#[derive(Debug)]
struct Billing<'a> {
    book: &'a PriceBook,
    /// By service, task definition and tags, each with its index in the ledger.
    groups: Vec<(usize, &'a Group)>,
    /// Beside `groups`.
    costs: Vec<CostSum>,
    idle: BTreeMap<IdleKey, CostSum>,
    lines: Vec<BillLine>,
    /// Who has which part of each line.
    shares: Vec<Share>,
    unpriced_instance_types: Vec<String>,
    fargate: PaidSum,
    ec2: PaidSum,
}

/// Sums for a [`PaidAndUsed`].
#[derive(Clone, Copy, Debug, Default)]
struct PaidSum {
    vcpu_nano_usd: u128,
    memory_nano_usd: u128,
    paid: ReservedSum,
    used: Used,
}

impl PaidSum {
    fn finish(&self) -> PaidAndUsed {
        PaidAndUsed {
            vcpu_amount: nano_usd(self.vcpu_nano_usd),
            memory_amount: nano_usd(self.memory_nano_usd),
            vcpu_seconds_paid: seconds_of_unit_nanos(self.paid.unit_nanos),
            vcpu_seconds_used: self.used.vcpu_seconds(),
            memory_gb_seconds_paid: seconds_of_unit_nanos(self.paid.mib_nanos),
            memory_gb_seconds_used: self.used.memory_gb_seconds(),
        }
    }
}

impl ReservedSum {
    fn add(&mut self, other: &ReservedSum) {
        self.unit_nanos += other.unit_nanos;
        self.mib_nanos += other.mib_nanos;
    }
}

impl Used {
    fn merge(&mut self, other: &Used) {
        self.tasks += other.tasks;
        self.vcpu_nanos += other.vcpu_nanos;
        self.mib_millis += other.mib_millis;
        self.fuel += other.fuel;
        self.memory_bytes_peak = self.memory_bytes_peak.max(other.memory_bytes_peak);
    }

    fn vcpu_seconds(&self) -> Quantity {
        Quantity::new(self.vcpu_nanos, NANOS_PER_SECOND)
    }

    fn memory_gb_seconds(&self) -> Quantity {
        Quantity::new(self.mib_millis, UNITS * 1000)
    }
}

/// Prices the ledger: running instances up to `now`, tasks as they stand in it.
pub(super) fn compute(ledger: &Ledger, book: &PriceBook, now: Timestamp, running_tasks: u64) -> Bill {
    let billing = priced(ledger, book, now);
    let running_instances = ledger.instances().filter(|(_, instance)| instance.is_running()).count();
    billing.finish(now, running_tasks.saturating_add(u64::try_from(running_instances).unwrap_or(u64::MAX)))
}

fn priced<'a>(ledger: &'a Ledger, book: &'a PriceBook, now: Timestamp) -> Billing<'a> {
    let groups: Vec<(usize, &Group)> = ledger.groups().collect();
    let costs = groups.iter().map(|(_, group)| cost_of_use(group)).collect();
    let mut billing = Billing {
        book,
        groups,
        costs,
        idle: BTreeMap::new(),
        lines: Vec::new(),
        shares: Vec::new(),
        unpriced_instance_types: Vec::new(),
        fargate: PaidSum::default(),
        ec2: PaidSum::default(),
    };
    billing.bill_fargate();
    billing.bill_instances(ledger, now);
    billing.bill_surplus_credits(ledger);
    billing.list_tasks_on_ec2(ledger);
    billing.sum_use();
    billing
}

/// A group's tasks and use, and what it reserved on Fargate, before any cost.
fn cost_of_use(group: &Group) -> CostSum {
    let mut cost = CostSum::default();
    cost.used.merge(&group.used_on_fargate);
    cost.used.merge(&group.used_on_ec2);
    for (_, sum) in &group.fargate {
        cost.reserved.unit_nanos += sum.unit_seconds * NANOS_PER_SECOND;
        cost.reserved.mib_nanos += sum.mib_seconds * NANOS_PER_SECOND;
    }
    cost
}

impl Billing<'_> {
    /// A pair of lines for each architecture and purchase option, and one line for ephemeral storage.
    ///
    /// **Source:** ecs-semantics §8.2 and §8.3.
    fn bill_fargate(&mut self) {
        for architecture in [CpuArchitecture::X86_64, CpuArchitecture::Arm64] {
            for purchase_option in [PurchaseOption::OnDemand, PurchaseOption::Spot] {
                self.bill_fargate_kind((architecture, purchase_option));
            }
        }
        let storage: Vec<u128> = self
            .groups
            .iter()
            .map(|(_, group)| group.fargate.iter().map(|(_, sum)| sum.storage_gib_seconds).sum())
            .collect();
        let line = BillLine {
            usage_type: self.book.ephemeral_usage_type(),
            description: "Fargate ephemeral storage beyond 20 GB".to_owned(),
            launch_type: LaunchType::Fargate,
            purchase_option: PurchaseOption::OnDemand,
            quantity: Quantity::new(storage.iter().sum(), SECONDS_PER_HOUR),
            unit: BillUnit::GbHours,
            rate: self.book.fargate.ephemeral_gb_hour,
            amount: NanoUsd(0),
        };
        self.bill_line(line, &storage);
    }

    fn bill_fargate_kind(&mut self, (architecture, purchase_option): FargateKind) {
        let sums: Vec<FargateSum> = self
            .groups
            .iter()
            .map(|(_, group)| {
                let sum = group.fargate.iter().find(|(kind, _)| *kind == (architecture, purchase_option));
                sum.map(|(_, sum)| *sum).unwrap_or_default()
            })
            .collect();
        let unit_seconds: Vec<u128> = sums.iter().map(|sum| sum.unit_seconds).collect();
        let mib_seconds: Vec<u128> = sums.iter().map(|sum| sum.mib_seconds).collect();
        let rate = self.book.fargate_rate(purchase_option, architecture);
        let [vcpu_usage_type, gb_usage_type] = self.book.fargate_usage_types(purchase_option, architecture);
        let kind = match (architecture, purchase_option) {
            (CpuArchitecture::X86_64, PurchaseOption::OnDemand) => "Fargate",
            (CpuArchitecture::X86_64, PurchaseOption::Spot) => "Fargate Spot",
            (CpuArchitecture::Arm64, PurchaseOption::OnDemand) => "Fargate ARM",
            (CpuArchitecture::Arm64, PurchaseOption::Spot) => "Fargate Spot ARM",
        };
        let vcpu = BillLine {
            usage_type: vcpu_usage_type,
            description: format!("{kind} vCPU"),
            launch_type: LaunchType::Fargate,
            purchase_option,
            quantity: Quantity::new(unit_seconds.iter().sum(), UNITS * SECONDS_PER_HOUR),
            unit: BillUnit::VcpuHours,
            rate: rate.vcpu_hour,
            amount: NanoUsd(0),
        };
        let memory = BillLine {
            usage_type: gb_usage_type,
            description: format!("{kind} memory"),
            launch_type: LaunchType::Fargate,
            purchase_option,
            quantity: Quantity::new(mib_seconds.iter().sum(), UNITS * SECONDS_PER_HOUR),
            unit: BillUnit::GbHours,
            rate: rate.gb_hour,
            amount: NanoUsd(0),
        };
        self.fargate.vcpu_nano_usd += self.bill_line(vcpu, &unit_seconds);
        self.fargate.memory_nano_usd += self.bill_line(memory, &mib_seconds);
        self.fargate.paid.unit_nanos += unit_seconds.iter().sum::<u128>() * NANOS_PER_SECOND;
        self.fargate.paid.mib_nanos += mib_seconds.iter().sum::<u128>() * NANOS_PER_SECOND;
    }

    /// Prices a line, lists it unless it is about nothing, and shares it among the groups. Returns its amount.
    fn bill_line(&mut self, mut line: BillLine, weights: &[u128]) -> u128 {
        if line.quantity == Quantity::ZERO {
            return 0;
        }
        line.amount = line.quantity.times(line.rate);
        let amount = line.amount.0.unsigned_abs().into();
        self.lines.push(line);
        self.share_out(amount, weights, &[]);
        amount
    }

    /// A line for each instance type. **Source:** ecs-semantics §8.3: an instance is billed while it runs, busy or idle.
    fn bill_instances(&mut self, ledger: &Ledger, now: Timestamp) {
        // Types of one name but different sizes can only come from outside the catalog; their weights are not comparable.
        let mut by_type: BTreeMap<(&str, u32, u32, PurchaseOption), InstanceTypeSum> = BTreeMap::new();
        for (slot, instance) in ledger.instances() {
            let (Some(host), Some(billed_seconds)) = (&instance.host, instance.billed_seconds(now)) else {
                continue;
            };
            let instance_type = &host.instance_type;
            by_type
                .entry((&instance_type.name, instance_type.vcpus, instance_type.memory.0, host.purchase_option))
                .or_insert_with(|| InstanceTypeSum {
                    instance_type: Arc::clone(instance_type),
                    purchase_option: host.purchase_option,
                    billed_seconds: 0,
                    weights: BTreeMap::new(),
                    idle: BTreeMap::new(),
                })
                .add(instance, (host.capacity_provider.clone(), slot), billed_seconds.into());
        }
        for sum in by_type.into_values() {
            self.bill_instance_type(&sum);
        }
    }

    fn bill_instance_type(&mut self, sum: &InstanceTypeSum) {
        let instance_type = &sum.instance_type;
        let rate = self.book.instance_rate(sum.purchase_option, &instance_type.name);
        let kind = match sum.purchase_option {
            PurchaseOption::OnDemand => "On-demand",
            PurchaseOption::Spot => "Spot",
        };
        if rate.is_none() {
            self.unpriced_instance_types.push(instance_type.name.clone());
        }
        let quantity = Quantity::new(sum.billed_seconds, SECONDS_PER_HOUR);
        let amount = quantity.times(rate.unwrap_or_default());
        let note = if rate.is_none() { ", which has no price in this region" } else { "" };
        self.lines.push(BillLine {
            usage_type: self.book.ec2_usage_type(sum.purchase_option, &instance_type.name),
            description: format!("{kind} Linux {}{note}", instance_type.name),
            launch_type: LaunchType::Ec2,
            purchase_option: sum.purchase_option,
            quantity,
            unit: BillUnit::Hours,
            rate: rate.unwrap_or_default(),
            amount,
        });
        let amount: u128 = amount.0.unsigned_abs().into();
        self.ec2.vcpu_nano_usd += amount / 2;
        self.ec2.memory_nano_usd += amount - amount / 2;
        let nanos = sum.billed_seconds * NANOS_PER_SECOND;
        self.ec2.paid.unit_nanos += u128::from(instance_type.cpu_units().0) * nanos;
        self.ec2.paid.mib_nanos += u128::from(instance_type.memory.0) * nanos;

        let weights: Vec<u128> =
            self.groups.iter().map(|(index, _)| sum.weights.get(index).copied().unwrap_or(0)).collect();
        let idle: Vec<(IdleKey, u128)> = sum.idle.iter().map(|(key, idle)| (key.clone(), idle.weight)).collect();
        self.share_out(amount, &weights, &idle);
        for (key, idle) in &sum.idle {
            self.idle.entry(key.clone()).or_default().reserved.add(&idle.unreserved);
        }
    }

    /// What tasks reserved on EC2, for each group and as lines: ECS meters it at no charge. **Source:** the AmazonECS price list, see `catalog/data/README.md`.
    ///
    /// *Ours:* the exact interval of each task; AWS does not say how it rounds what costs nothing.
    fn list_tasks_on_ec2(&mut self, ledger: &Ledger) {
        // Reservations count also on an instance whose start is unknown: they were held.
        let mut sum = ReservedSum::default();
        let mut by_group: BTreeMap<usize, ReservedSum> = BTreeMap::new();
        for (index, reserved) in ledger.instances().flat_map(|(_, instance)| &instance.reserved) {
            sum.add(reserved);
            by_group.entry(*index).or_default().add(reserved);
        }
        for ((index, _), cost) in self.groups.iter().zip(&mut self.costs) {
            cost.reserved.add(&by_group.get(index).copied().unwrap_or_default());
        }
        let [vcpu_usage_type, gb_usage_type] = self.book.ecs_on_ec2_usage_types();
        let of: [fn(&ReservedSum) -> u128; 2] = [|sum| sum.unit_nanos, |sum| sum.mib_nanos];
        for (usage_type, of, unit, what) in
            [(vcpu_usage_type, of[0], BillUnit::VcpuHours, "vCPU"), (gb_usage_type, of[1], BillUnit::GbHours, "memory")]
        {
            let unit_nanos = of(&sum);
            if unit_nanos > 0 {
                self.lines.push(BillLine {
                    usage_type,
                    description: format!("ECS tasks on EC2, {what} reserved: no charge"),
                    launch_type: LaunchType::Ec2,
                    purchase_option: PurchaseOption::OnDemand,
                    quantity: Quantity::new(unit_nanos, UNITS * NANOS_PER_SECOND * SECONDS_PER_HOUR),
                    unit,
                    rate: NanoUsd(0),
                    amount: NanoUsd(0),
                });
                let weight = |(index, _): &(usize, &Group)| by_group.get(index).map_or(0, of);
                let weights: Vec<u128> = self.groups.iter().map(weight).collect();
                self.share_out(0, &weights, &[]);
            }
        }
    }

    fn sum_use(&mut self) {
        for (_, group) in &self.groups {
            self.fargate.used.merge(&group.used_on_fargate);
            self.ec2.used.merge(&group.used_on_ec2);
        }
    }

    /// What a launch type costs; what was paid for stands for what was reserved.
    fn cost_of(&self, launch_type: LaunchType, sum: &PaidSum) -> CostSum {
        let lines = self.lines.iter().filter(|line| line.launch_type == launch_type);
        let amount: NanoUsd = lines.map(|line| line.amount).sum();
        CostSum { nano_usd: amount.0.unsigned_abs().into(), reserved: sum.paid, used: sum.used }
    }

    fn finish(self, now: Timestamp, running: u64) -> Bill {
        let mut idle_sum: Option<CostSum> = None;
        let mut idle_by_capacity_provider: BTreeMap<&Option<Arc<str>>, CostSum> = BTreeMap::new();
        for ((provider, _), idle) in &self.idle {
            idle_sum.get_or_insert_default().add(idle);
            idle_by_capacity_provider.entry(provider).or_default().add(idle);
        }
        let tag_keys: BTreeSet<&String> =
            self.groups.iter().flat_map(|(_, group)| group.identity.tags.keys()).collect();
        let by = |key_of: &dyn Fn(&Group) -> String| {
            let mut sums: BTreeMap<String, CostSum> = BTreeMap::new();
            for ((_, group), cost) in self.groups.iter().zip(&self.costs) {
                sums.entry(key_of(group)).or_default().add(cost);
            }
            if let Some(idle) = &idle_sum {
                sums.entry(IDLE.to_owned()).or_default().add(idle);
            }
            sums.into_iter().map(|(key, sum)| (key, sum.finish())).collect()
        };
        Bill {
            region: Arc::clone(&self.book.region),
            at: now,
            running,
            total: self.lines.iter().map(|line| line.amount).sum(),
            by_service: by(&|group| group.identity.service.as_deref().unwrap_or(STANDALONE).to_owned()),
            by_task_definition: by(&|group| group.identity.task_definition.to_string()),
            by_tag: tag_keys
                .into_iter()
                .map(|key| {
                    let value_of =
                        |group: &Group| group.identity.tags.get(key).map_or(UNTAGGED, String::as_str).to_owned();
                    (key.clone(), by(&value_of))
                })
                .collect(),
            by_launch_type: [(LaunchType::Fargate, &self.fargate), (LaunchType::Ec2, &self.ec2)]
                .into_iter()
                .filter(|(launch_type, _)| self.lines.iter().any(|line| line.launch_type == *launch_type))
                .map(|(launch_type, sum)| (launch_type, self.cost_of(launch_type, sum).finish()))
                .collect(),
            idle_by_capacity_provider: idle_by_capacity_provider
                .iter()
                .map(|(provider, idle)| (provider.as_deref().unwrap_or(NO_CAPACITY_PROVIDER).to_owned(), idle.finish()))
                .collect(),
            waste: Waste {
                fargate: self.fargate.finish(),
                ec2: self.ec2.finish(),
                idle: nano_usd(idle_sum.unwrap_or_default().nano_usd),
            },
            unpriced_instance_types: self.unpriced_instance_types,
            lines: self.lines,
        }
    }
}

impl InstanceTypeSum {
    fn add(&mut self, instance: &Instance, idle: IdleKey, billed_seconds: u128) {
        let share = InstanceShare::of(&self.instance_type);
        let nanos = billed_seconds * NANOS_PER_SECOND;
        let whole = share.whole() * nanos;
        let mut weights: Vec<u128> =
            instance.reserved.values().map(|reserved| share.weight(reserved.unit_nanos, reserved.mib_nanos)).collect();
        // Facts can say more than fits, when a task's end is stated later than its instance's: then tasks share the whole instance.
        if weights.iter().sum::<u128>() > whole {
            weights = apportion(whole, &weights);
        }
        let idle = self.idle.entry(idle).or_default();
        idle.weight += whole - weights.iter().sum::<u128>();
        let units = u128::from(self.instance_type.cpu_units().0) * nanos;
        let mib = u128::from(self.instance_type.memory.0) * nanos;
        let reserved = |of: fn(&ReservedSum) -> u128| instance.reserved.values().map(of).sum::<u128>();
        idle.unreserved.unit_nanos += units.saturating_sub(reserved(|sum| sum.unit_nanos));
        idle.unreserved.mib_nanos += mib.saturating_sub(reserved(|sum| sum.mib_nanos));
        for (index, weight) in instance.reserved.keys().zip(weights) {
            *self.weights.entry(*index).or_default() += weight;
        }
        self.billed_seconds += billed_seconds;
    }
}
