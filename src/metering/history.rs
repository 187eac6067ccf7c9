//! The bill of a range of time, computed from the records of a ledger.
//!
//! The bill of all time is the one that the cluster showed while it ran, to the nano-dollar: the same sums are priced in the same way. Quantities of ranges that
//! follow each other sum to those of the whole; amounts are rounded once in each bill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bill::{Bill, CostAndUse};
use super::billing::{self, PARTS_PER_UNIT};
use super::ledger::{InstanceKey, Ledger, Slot, TaskPart};
use super::price::PriceBook;
use super::quantity::{Quantity, nano_usd};
use super::stretch::{Host, LedgerRecord, Span, Stretch};
use crate::model::calendar::{Day, UnixNanos};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::{NanoUsd, Timestamp};
use crate::model::usage::TaskIdentity;

/// What a bill tells apart beside whom cost is put down to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    #[default]
    Whole,
    /// Days.
    Days,
    /// Days and instances.
    DaysAndInstances,
}

/// Sums over the records of one cluster in a range of time.
#[derive(Clone, Debug)]
pub struct History {
    range: Span,
    detail: Detail,
    whole: Ledger,
    /// The same with slots, where something is to be told apart.
    slotted: Ledger,
    /// Tasks that began before the range, or before a day of it, and have been counted in it: by its begin.
    begun_before: BTreeSet<(UnixNanos, UnixNanos, TaskId)>,
    /// Instances by the start of the cluster that launched them, numbered as they are met.
    numbers: BTreeMap<(UnixNanos, ContainerInstanceId), u32>,
    /// By their numbers.
    instances: Vec<ChargedInstance>,
}

/// An instance that something is charged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargedInstance {
    /// The start of the cluster that launched it: ids are counted from there.
    pub cluster_start: UnixNanos,
    /// Its id.
    pub id: ContainerInstanceId,
    /// What it is; `None` where no record in the range says.
    pub host: Option<Arc<Host>>,
}

/// The bill of a range of time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryBill {
    /// The bill. Nothing in it runs.
    pub bill: Bill,
    /// By day. The amounts sum to the total. Empty where days are not told apart.
    pub by_day: BTreeMap<Day, CostAndUse>,
    /// Its lines, each in parts that sum to it. Empty where days are not told apart.
    pub charges: Vec<Charge>,
}

/// A part of a line of a bill: what somebody caused in a day, and on which instance where that is told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The line, by its place in the bill.
    pub line: usize,
    /// The day.
    pub day: Day,
    /// Whom it is put down to; `None` for instance capacity that no task reserved.
    pub identity: Option<Arc<TaskIdentity>>,
    /// The capacity provider whose idle capacity it is, where it is that.
    pub capacity_provider: Option<Arc<str>>,
    /// The instance.
    pub instance: Option<ChargedInstance>,
    /// How much of the line's quantity, to 10^-12 of its unit.
    pub quantity: Quantity,
    /// How much of its amount.
    pub amount: NanoUsd,
}

impl History {
    /// No records yet.
    pub fn new(range: Span, detail: Detail) -> History {
        let (whole, slotted) = (Ledger::default(), Ledger::default());
        let (begun_before, numbers, instances) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        History { range, detail, whole, slotted, begun_before, numbers, instances }
    }

    /// Adds what of a record is in the range. Each record is to be added once.
    pub fn add(&mut self, cluster_start: UnixNanos, record: &LedgerRecord) {
        let whole = Span { from: record.from, to: record.to };
        let Some(part) = self.range.part_of(whole) else { return };
        match &record.used {
            Stretch::Task { task, since, identity, instance, usage } => {
                let number = instance.map(|id| self.number(cluster_start, id));
                let first = self.is_first(self.range.from, cluster_start, *task, *since, record.from);
                let task_part = TaskPart {
                    tasks: u64::from(first),
                    billed_seconds: part.billed_seconds(*since),
                    nanos: part.nanos(),
                    usage: usage.within(whole, part),
                };
                add_task(&mut self.whole, identity, number, Slot::default(), &task_part);
                if let Some(slot) = self.slot(record.day(), number) {
                    let day_from = self.range.from.max(record.day().start());
                    let first = match day_from == self.range.from {
                        true => first,
                        false => self.is_first(day_from, cluster_start, *task, *since, record.from),
                    };
                    let task_part = TaskPart { tasks: u64::from(first), ..task_part };
                    add_task(&mut self.slotted, identity, number, slot, &task_part);
                }
            }
            Stretch::Instance { instance, host, since, .. } => {
                let seconds = part.billed_seconds(*since);
                self.for_each_ledger(cluster_start, *instance, record.day(), host, |ledger, key| {
                    let known = ledger.instance_mut(key);
                    known.host.get_or_insert_with(|| Arc::clone(host));
                    let sum = known.stretch_seconds.get_or_insert(0);
                    *sum = sum.saturating_add(seconds);
                });
            }
            Stretch::Surplus { instance, host, charge, surplus } => {
                self.for_each_ledger(cluster_start, *instance, record.day(), host, |ledger, key| {
                    let known = ledger.instance_mut(key);
                    known.host.get_or_insert_with(|| Arc::clone(host));
                    known.surplus.entry(*charge).or_insert(*surplus);
                });
            }
        }
    }

    /// The bill of what was added.
    pub fn bill(&self, book: &PriceBook) -> HistoryBill {
        if self.detail == Detail::Whole {
            let bill = billing::compute(&self.whole, book, Timestamp::ZERO, 0);
            return HistoryBill { bill, by_day: BTreeMap::new(), charges: Vec::new() };
        }
        let priced = billing::compute_by_slot(&self.whole, &self.slotted, book);
        let mut by_day: BTreeMap<Day, billing::CostSum> = BTreeMap::new();
        for (slot, cost) in &priced.costs {
            by_day.entry(Day(slot.day)).or_default().add(cost);
        }
        let charges = priced.shares.into_iter().map(|share| Charge {
            line: share.line,
            day: Day(share.slot.day),
            identity: share.identity,
            capacity_provider: share.capacity_provider,
            instance: usize::try_from(share.slot.resource)
                .ok()
                .and_then(|number| self.instances.get(number.checked_sub(1)?).cloned()),
            quantity: Quantity::new(share.quantity, PARTS_PER_UNIT),
            amount: nano_usd(share.nano_usd),
        });
        HistoryBill {
            bill: priced.bill,
            by_day: by_day.into_iter().map(|(day, cost)| (day, cost.finish())).collect(),
            charges: charges.collect(),
        }
    }

    /// Whether a stretch is the first that is told of its task from a moment on. The first stretch of a task begins with it; one that began before
    /// may have had nothing to tell of for a while.
    fn is_first(
        &mut self,
        from: UnixNanos,
        cluster_start: UnixNanos,
        task: TaskId,
        since: UnixNanos,
        begin: UnixNanos,
    ) -> bool {
        match since >= from {
            true => begin == since,
            false => self.begun_before.insert((from, cluster_start, task)),
        }
    }

    fn number(&mut self, cluster_start: UnixNanos, id: ContainerInstanceId) -> u32 {
        let next = u32::try_from(self.instances.len()).expect("a range of time has fewer instances than that");
        *self.numbers.entry((cluster_start, id)).or_insert_with(|| {
            self.instances.push(ChargedInstance { cluster_start, id, host: None });
            next
        })
    }

    /// The slot of what happened on a day and on an instance; `None` where nothing is told apart.
    fn slot(&self, day: Day, instance: Option<u32>) -> Option<Slot> {
        match self.detail {
            Detail::Whole => None,
            Detail::Days => Some(Slot { day: day.0, resource: 0 }),
            Detail::DaysAndInstances => Some(Slot { day: day.0, resource: instance.map_or(0, |number| number + 1) }),
        }
    }

    /// Does the same to an instance without slots and with them.
    fn for_each_ledger(
        &mut self,
        cluster_start: UnixNanos,
        instance: ContainerInstanceId,
        day: Day,
        host: &Arc<Host>,
        add: impl Fn(&mut Ledger, InstanceKey),
    ) {
        let number = self.number(cluster_start, instance);
        let known = usize::try_from(number).ok().and_then(|number| self.instances.get_mut(number));
        known.expect("it has just been numbered").host.get_or_insert_with(|| Arc::clone(host));
        let id = ContainerInstanceId(number.into());
        add(&mut self.whole, (id, Slot::default()));
        if let Some(slot) = self.slot(day, Some(number)) {
            add(&mut self.slotted, (id, slot));
        }
    }
}

fn add_task(
    ledger: &mut Ledger,
    identity: &Arc<TaskIdentity>,
    instance_number: Option<u32>,
    slot: Slot,
    part: &TaskPart,
) {
    let group_index = ledger.group_index(identity, slot);
    let instance = instance_number.map(|number| (ContainerInstanceId(number.into()), slot));
    ledger.add_part(group_index, identity, instance, part);
}
