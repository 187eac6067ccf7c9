//! Takes the facts, keeps the sums, and tells who used what.
//!
//! A fact counts once however often it is stated, and facts may come in any order: a stop is kept until its start is
//! known. What has finished is folded into sums and a bounded number of records, so that memory follows what runs and what is
//! asked for, while the bill stays exact.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bill::Bill;
use super::billing;
use super::ledger::{Ledger, NANOS_PER_SECOND, Slot};
use super::price::{PriceBook, billed_seconds};
use super::quantity::{Quantity, multiply_divide_half_up, nano_usd};
use super::record_keeping::RecordKeeping;
use super::stretch::Host;
use super::task_id_set::TaskIdSet;
use crate::model::id_table::TaskTable;
use crate::model::ids::TaskId;
use crate::model::units::{CpuUnits, Duration, NanoUsd, Timestamp};
use crate::model::usage::{BilledPlacement, MeteringFact, TaskIdentity, TaskUsage, UsageSample};

/// The meter of one cluster.
#[derive(Clone, Debug)]
pub struct Meter {
    book: PriceBook,
    pub(super) running: TaskTable<RunningTask>,
    /// Stops whose start is not known yet.
    pub(super) early_stops: BTreeMap<TaskId, (Timestamp, TaskUsage)>,
    pub(super) finished: TaskIdSet,
    /// What has finished. Running tasks are not in it.
    pub(super) ledger: Ledger,
    /// The latest to finish, oldest first.
    pub(super) records: VecDeque<UsageRecord>,
    retain_records: usize,
    pub(super) records_dropped: u64,
    /// What a ledger is to hold, if one is kept.
    pub(super) keeping: Option<Box<RecordKeeping>>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunningTask {
    pub started_at: Timestamp,
    pub identity: Arc<TaskIdentity>,
    pub usage: TaskUsage,
}

/// Who used how much, when: one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The task.
    pub task: TaskId,
    /// Whom it ran for, what it is, what it reserved and where.
    pub identity: Arc<TaskIdentity>,
    /// When its paid interval began.
    pub started_at: Timestamp,
    /// When its paid interval ended; `None` while it runs.
    pub stopped_at: Option<Timestamp>,
    /// The end of the interval that this record covers: `stopped_at`, or the moment of asking.
    pub until: Timestamp,
    /// What was measured so far.
    pub usage: TaskUsage,
}

impl UsageRecord {
    /// The seconds that the task itself is billed for; `None` on EC2, where the instance is billed. **Source:** ecs-semantics §8.3.
    pub fn billed_seconds(&self) -> Option<u64> {
        match self.identity.placement {
            BilledPlacement::Fargate { .. } => Some(billed_seconds(self.interval())),
            BilledPlacement::Ec2 { .. } => None,
        }
    }

    /// The reserved vCPU-seconds: of the billed seconds on Fargate, of the interval on EC2.
    pub fn vcpu_seconds_reserved(&self) -> Quantity {
        let units = u128::from(self.identity.cpu.0) * self.reserved_nanos();
        Quantity::new(units, u128::from(CpuUnits::PER_VCPU) * NANOS_PER_SECOND)
    }

    /// The vCPU-seconds used, in the cluster's basis.
    pub fn vcpu_seconds_used(&self) -> Quantity {
        Quantity::new(self.usage.vcpu.0.into(), NANOS_PER_SECOND)
    }

    /// The reserved GB-seconds (a GB is 1024 MiB): of the billed seconds on Fargate, of the interval on EC2.
    pub fn memory_gb_seconds_reserved(&self) -> Quantity {
        Quantity::new(u128::from(self.identity.memory.0) * self.reserved_nanos(), 1024 * NANOS_PER_SECOND)
    }

    /// The GB-seconds held (a GB is 1024 MiB).
    pub fn memory_gb_seconds_used(&self) -> Quantity {
        Quantity::new(self.usage.memory_mib_millis.into(), 1024 * 1000)
    }

    /// The most memory held at once, in MiB, rounded up.
    pub fn memory_mib_peak(&self) -> u64 {
        self.usage.memory_bytes_peak.div_ceil(1 << 20)
    }

    fn interval(&self) -> Duration {
        self.until.since(self.started_at)
    }

    fn reserved_nanos(&self) -> u128 {
        match self.billed_seconds() {
            Some(seconds) => u128::from(seconds) * NANOS_PER_SECOND,
            None => self.interval().as_nanos(),
        }
    }
}

impl Meter {
    /// How many records of finished tasks a meter keeps unless it is told otherwise.
    pub const DEFAULT_RETAIN_RECORDS: usize = 100_000;

    /// A meter that has seen nothing.
    pub fn new(book: PriceBook) -> Meter {
        Meter {
            book,
            running: TaskTable::default(),
            early_stops: BTreeMap::new(),
            finished: TaskIdSet::default(),
            ledger: Ledger::default(),
            records: VecDeque::new(),
            retain_records: Meter::DEFAULT_RETAIN_RECORDS,
            records_dropped: 0,
            keeping: None,
        }
    }

    /// Keeps the records of the latest `count` finished tasks. The bill does not depend on it.
    pub fn retain_records(mut self, count: usize) -> Meter {
        self.retain_records = count;
        self.drop_old_records();
        self
    }

    /// The rates that [`Meter::bill`] uses.
    pub fn price_book(&self) -> &PriceBook {
        &self.book
    }

    /// Takes a fact. One that is known already changes nothing.
    pub fn record(&mut self, fact: &MeteringFact) {
        match fact {
            MeteringFact::TaskStarted { task, at, identity } => self.start_task(*task, *at, identity),
            MeteringFact::TaskStopped { task, at, usage } => self.stop_task(*task, *at, usage),
            MeteringFact::InstanceStarted {
                instance,
                start,
                purchase_option,
                at,
                instance_type,
                availability_zone,
                capacity_provider,
            } => {
                let known = self.ledger.instance_mut((*instance, Slot::default()));
                known.host.get_or_insert_with(|| {
                    Arc::new(Host {
                        instance_type: Arc::clone(instance_type),
                        purchase_option: *purchase_option,
                        availability_zone: Arc::clone(availability_zone),
                        capacity_provider: capacity_provider.clone(),
                    })
                });
                known.runs.entry(*start).or_default().started_at.get_or_insert(*at);
                self.keep_run(*instance, *start);
            }
            MeteringFact::SurplusCreditsCharged { instance, charge, at, surplus } => {
                let known = self.ledger.instance_mut((*instance, Slot::default()));
                if let Entry::Vacant(vacant) = known.surplus.entry(*charge) {
                    vacant.insert(*surplus);
                    self.keep_charge(*instance, *charge, *at, *surplus);
                }
            }
            MeteringFact::InstanceStopped { instance, start, at } => {
                let known = self.ledger.instance_mut((*instance, Slot::default()));
                known.runs.entry(*start).or_default().stopped_at.get_or_insert(*at);
                self.keep_run(*instance, *start);
            }
        }
    }

    /// Looks at what the end of a task is going to change, so that it is in a processor's cache by then; what is returned has no meaning.
    pub fn look_ahead_at(&self, task: TaskId) -> u64 {
        let Some(running) = self.running.get(&task) else { return 0 };
        let own = running.started_at.0 ^ running.usage.vcpu.0;
        match running.identity.placement {
            BilledPlacement::Ec2 { instance } => own ^ self.ledger.look_ahead_at(instance),
            BilledPlacement::Fargate { .. } => own,
        }
    }

    /// Takes what a running task has used so far. Of a task that does not run it is ignored: the fact of its stop says all.
    pub fn note_usage(&mut self, sample: &UsageSample) {
        if let Some(running) = self.running.get_mut(&sample.task) {
            // Usage only ever grows, so a sample that was overtaken on its way is known by being behind.
            let (known, stated) = (&running.usage, &sample.usage);
            let is_behind = stated.vcpu < known.vcpu || stated.memory_mib_millis < known.memory_mib_millis;
            if !is_behind {
                running.usage = sample.usage;
            }
        }
    }

    /// The running tasks' records up to `now` and those of the latest finished tasks, by task.
    pub fn usage_records(&self, now: Timestamp) -> Vec<UsageRecord> {
        let running = self.running.iter().map(|(task, running)| UsageRecord {
            task,
            identity: Arc::clone(&running.identity),
            started_at: running.started_at,
            stopped_at: None,
            until: now,
            usage: running.usage,
        });
        let mut records: Vec<UsageRecord> = self.records.iter().cloned().chain(running).collect();
        records.sort_by_key(|record| record.task);
        records
    }

    /// How many finished tasks have no record any more.
    pub fn records_dropped(&self) -> u64 {
        self.records_dropped
    }

    /// What one task costs by itself, rounded once: its size on Fargate, its share of its instance on EC2.
    ///
    /// `None` when its instance is unknown or has no rate. The breakdowns of a bill share rounded lines, so a sum of these can
    /// differ from them by nano-dollars.
    pub fn task_amount(&self, record: &UsageRecord) -> Option<NanoUsd> {
        let (cpu, memory) = (u128::from(record.identity.cpu.0), u128::from(record.identity.memory.0));
        match record.identity.placement {
            BilledPlacement::Fargate { purchase_option, architecture, extra_storage_gib } => {
                let rate = self.book.fargate_rate(purchase_option, architecture);
                let hourly = cpu * wide(rate.vcpu_hour)
                    + memory * wide(rate.gb_hour)
                    + 1024 * u128::from(extra_storage_gib) * wide(self.book.fargate.ephemeral_gb_hour);
                let seconds = u128::from(record.billed_seconds()?);
                Some(nano_usd(multiply_divide_half_up(hourly, seconds, 1024 * billing::SECONDS_PER_HOUR)))
            }
            BilledPlacement::Ec2 { instance } => {
                let start = self.ledger.instance(instance)?.host.as_ref()?;
                let rate = wide(self.book.instance_rate(start.purchase_option, &start.instance_type.name)?);
                let share = billing::InstanceShare::of(&start.instance_type);
                let weight = share.weight(cpu, memory) * record.interval().as_nanos();
                let whole = share.whole() * NANOS_PER_SECOND * billing::SECONDS_PER_HOUR;
                Some(nano_usd(multiply_divide_half_up(weight, rate, whole)))
            }
        }
    }

    /// The bill up to `now` at the meter's own rates: what runs is billed as if it stopped at this moment.
    ///
    /// Final once nothing runs ([`Bill::running`] is zero): then `now` does not matter.
    pub fn bill(&self, now: Timestamp) -> Bill {
        self.bill_at(&self.book, now)
    }

    /// The bill up to `now` at other rates, for a comparison of regions or of assumptions.
    pub fn bill_at(&self, book: &PriceBook, now: Timestamp) -> Bill {
        let running_tasks = u64::try_from(self.running.len()).unwrap_or(u64::MAX);
        if self.running.is_empty() {
            return billing::compute(&self.ledger, book, now, running_tasks);
        }
        let mut ledger = self.ledger.clone();
        for running in self.running.values() {
            ledger.add_task(&running.identity, now.since(running.started_at), &running.usage);
        }
        billing::compute(&ledger, book, now, running_tasks)
    }

    fn start_task(&mut self, task: TaskId, at: Timestamp, identity: &Arc<TaskIdentity>) {
        if self.finished.contains(task) || self.running.contains_key(&task) {
            return;
        }
        let started = RunningTask { started_at: at, identity: Arc::clone(identity), usage: TaskUsage::default() };
        match self.early_stops.remove(&task) {
            Some((stopped_at, usage)) => self.finish_task(task, started, stopped_at, &usage),
            None => {
                self.running.insert(task, started);
                self.keep_task(task);
            }
        }
    }

    fn stop_task(&mut self, task: TaskId, at: Timestamp, usage: &TaskUsage) {
        match self.running.remove(&task) {
            Some(started) => self.finish_task(task, started, at, usage),
            None if self.finished.contains(task) => {}
            None => {
                self.early_stops.entry(task).or_insert((at, *usage));
            }
        }
    }

    fn finish_task(&mut self, task: TaskId, started: RunningTask, stopped_at: Timestamp, usage: &TaskUsage) {
        self.finished.insert(task);
        self.keep_end_of_task(task, &started, stopped_at, usage);
        self.ledger.add_task(&started.identity, stopped_at.since(started.started_at), usage);
        self.records.push_back(UsageRecord {
            task,
            identity: started.identity,
            started_at: started.started_at,
            stopped_at: Some(stopped_at),
            until: stopped_at,
            usage: *usage,
        });
        self.drop_old_records();
    }

    fn drop_old_records(&mut self) {
        while self.records.len() > self.retain_records {
            self.records.pop_front();
            self.records_dropped += 1;
        }
    }
}

fn wide(rate: NanoUsd) -> u128 {
    u128::try_from(rate.0).expect("a rate is not negative")
}
