//! One variant, simulated from its start to its end, and what is measured of it: its cost, what was placed, how long jobs took, how
//! much of what is paid for was used, and what its tasks used, minute by minute.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use super::CompareError;
use super::variants::Variant;
use crate::data_plane::DataPlaneOptions;
use crate::driver::simulated::histogram::DurationHistogram;
use crate::driver::simulated::{Progress, Simulation, SimulationOptions};
use crate::metering::bill::{Bill, IDLE};
use crate::model::ids::TaskId;
use crate::model::task::{Task, TaskStatus};
use crate::model::units::{CpuUnits, Duration, NanoUsd, Timestamp, VcpuNanos};

/// How often a variant is looked at.
const SAMPLE: Duration = Duration::from_secs(60);
/// How much happens between two calls of whoever watches.
const STEPS: u64 = 50_000;
/// So many looks in a row must find tasks without a place for them to count: less is the time in which instances boot. *Ours.*
const UNPLACED_SAMPLES: usize = 10;

/// What was measured of a variant.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The bill.
    pub bill: Bill,
    /// Its total for a day.
    pub per_day: NanoUsd,
    /// Its total for a month of 730 hours.
    pub per_month: NanoUsd,
    /// What was paid for and not used, for a day.
    pub wasted_per_day: NanoUsd,
    /// Tasks that ran.
    pub placed: u64,
    /// Tasks that found no place by the end, and had not for ten minutes.
    pub unplaced: u64,
    /// Jobs of all services.
    pub jobs: JobCounts,
    /// How long jobs of all services took, where there were any.
    pub latency: Option<Latency>,
    /// The same by service.
    pub latency_by_service: BTreeMap<String, Latency>,
    /// The most instances at once.
    pub instances_peak: u64,
    /// The most tasks at once.
    pub tasks_peak: u64,
    /// What tasks used.
    pub tasks: TaskUse,
}

/// Jobs, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobCounts {
    pub pushed: u64,
    pub completed: u64,
    pub rejected: u64,
    pub lost: u64,
}

/// How long jobs took from arrival to done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
}

impl Latency {
    fn of(histogram: &DurationHistogram) -> Option<Latency> {
        let permille = |permille| histogram.permille(permille);
        (histogram.count() > 0).then(|| Latency { p50: permille(500), p95: permille(950), p99: permille(990) })
    }
}

/// What tasks used, by family.
#[derive(Clone, Debug, Default)]
pub struct TaskUse {
    /// How often it was looked.
    samples: u64,
    /// By family.
    pub(super) families: BTreeMap<String, FamilyUse>,
}

impl TaskUse {
    /// How many tasks of a family there were on average, in thousandths.
    pub(super) fn mean_count_milli(&self, family: &str) -> u64 {
        let seen = self.families.get(family).map_or(0, |family| family.seen);
        (seen * 1000).checked_div(self.samples).unwrap_or_default()
    }

    /// How many tasks there were on average, in thousandths.
    pub(super) fn mean_tasks_milli(&self) -> u64 {
        let seen: u64 = self.families.values().map(|family| family.seen).sum();
        (seen * 1000).checked_div(self.samples).unwrap_or_default()
    }

    /// How many CPU units all tasks used together on average.
    pub(super) fn mean_cpu_units(&self) -> u64 {
        let minutes = self.families.values().flat_map(|family| &family.by_cpu_units);
        let used: u64 = minutes.map(|(units, count)| u64::from(*units) * count).sum();
        used.checked_div(self.samples).unwrap_or_default()
    }
}

/// What the tasks of a family used.
#[derive(Clone, Debug, Default)]
pub(super) struct FamilyUse {
    /// Live tasks, summed over all looks.
    seen: u64,
    memory_bytes_peak: u64,
    /// How often a task used so many CPU units over a minute.
    by_cpu_units: BTreeMap<u32, u64>,
}

impl FamilyUse {
    /// The most memory that a task held, in MiB, rounded up.
    pub(super) fn memory_mib_peak(&self) -> u64 {
        self.memory_bytes_peak.div_ceil(1 << 20)
    }

    /// The CPU units that so many thousandths of the minutes of tasks are not above, by nearest rank; `None` of no minutes.
    pub(super) fn cpu_units_permille(&self, permille: u64) -> Option<u32> {
        let count: u64 = self.by_cpu_units.values().sum();
        let rank = (u128::from(count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0u128;
        self.by_cpu_units.iter().find_map(|(units, count)| {
            seen += u128::from(*count);
            (seen >= rank).then_some(*units)
        })
    }

    fn note_cpu(&mut self, work: VcpuNanos, over: Duration) {
        let units = u128::from(work.0) * u128::from(CpuUnits::PER_VCPU) / over.as_nanos().max(1);
        *self.by_cpu_units.entry(u32::try_from(units).unwrap_or(u32::MAX)).or_default() += 1;
    }
}

/// Simulates a variant for a time. `step` is told how much is simulated, and ends it by breaking.
pub(super) fn measure(
    variant: &Variant,
    data_plane: &DataPlaneOptions,
    time: Duration,
    mut step: impl FnMut(Duration) -> ControlFlow<()>,
) -> Result<Measured, CompareError> {
    let options = SimulationOptions { data_plane: data_plane.clone(), ..SimulationOptions::default() };
    let mut simulation = Simulation::new(&variant.spec, options)
        .map_err(|error| CompareError::Simulation { variant: variant.name(), error })?;
    let end = Timestamp::ZERO + time;
    let mut watcher = Watcher::default();
    let mut until = Timestamp::ZERO;
    loop {
        until = until + SAMPLE;
        // The last moment before it drains.
        let is_last = until >= end;
        until = until.min(Timestamp(end.0.saturating_sub(1)));
        let progress = run_until(&mut simulation, until, &mut step)?;
        watcher.look(&simulation);
        if is_last || progress == Progress::Over {
            break;
        }
    }
    // Draining takes as long as tasks and instances do; what never ends is cut off.
    run_until(&mut simulation, end + time.max(Duration::from_secs(24 * 3600)), &mut step)?;
    watcher.see_stopped(&simulation);
    Ok(watcher.finish(&mut simulation, time))
}

fn run_until(
    simulation: &mut Simulation,
    until: Timestamp,
    step: &mut impl FnMut(Duration) -> ControlFlow<()>,
) -> Result<Progress, CompareError> {
    loop {
        let progress = simulation.run_until(until, STEPS);
        if step(simulation.now().elapsed()).is_break() {
            return Err(CompareError::Ended);
        }
        if progress == Progress::Over || simulation.now() >= until {
            return Ok(progress);
        }
    }
}

/// Looks at a simulation once a minute.
#[derive(Debug, Default)]
struct Watcher {
    tasks: TaskUse,
    /// What each live task had used at the last look.
    used_before: BTreeMap<TaskId, VcpuNanos>,
    looked_at: Timestamp,
    /// How many tasks had no place at the last looks.
    unplaced: VecDeque<u64>,
    instances_peak: u64,
    tasks_peak: u64,
}

impl Watcher {
    fn look(&mut self, simulation: &Simulation) {
        let now = simulation.now();
        let over = now.since(self.looked_at);
        let state = simulation.state();
        self.see_stopped(simulation);
        let mut used = BTreeMap::new();
        let (mut live, mut waiting, mut waiting_of_services) = (0, 0, 0);
        for record in state.tasks.values() {
            let task = &record.task;
            match task.last_status {
                TaskStatus::Stopped => continue,
                TaskStatus::Provisioning if task.service.is_some() => waiting_of_services += 1,
                TaskStatus::Provisioning => waiting += 1,
                _ => live += 1,
            }
            let family = self.family(task);
            family.seen += 1;
            family.memory_bytes_peak = family.memory_bytes_peak.max(task.usage.memory_bytes_peak);
            if let Some(before) = self.used_before.get(&task.id)
                && task.last_status == TaskStatus::Running
            {
                let work = task.usage.vcpu - *before;
                self.family(task).note_cpu(work, over);
            }
            used.insert(task.id, task.usage.vcpu);
        }
        let desired: u64 = state.services.values().map(|service| u64::from(service.wanted_count())).sum();
        let kept: u64 = state
            .services
            .values()
            .map(|service| {
                u64::from(service.running_count() + service.pending_count()).min(service.wanted_count().into())
            })
            .sum();
        // Of a service's tasks those count that are missing or wait; of standalone ones also those that were not taken.
        let missing = desired - kept + waiting_of_services.min(kept) + waiting + u64::from(simulation.unplaced());
        self.unplaced.push_back(missing);
        if self.unplaced.len() > UNPLACED_SAMPLES {
            self.unplaced.pop_front();
        }
        let instances = u64::try_from(state.live_instances().count()).unwrap_or(u64::MAX);
        self.instances_peak = self.instances_peak.max(instances);
        self.tasks_peak = self.tasks_peak.max(live);
        self.tasks.samples += 1;
        self.used_before = used;
        self.looked_at = now;
    }

    /// Takes in tasks that have ended since the last look. One that was never looked at counts by its whole life.
    fn see_stopped(&mut self, simulation: &Simulation) {
        let (state, looked_at) = (simulation.state(), self.looked_at);
        for (_, id) in state.stopped_tasks.iter().rev().take_while(|(at, _)| *at > looked_at) {
            let Some(record) = state.tasks.get(id) else { continue };
            let task = &record.task;
            let was_seen = self.used_before.contains_key(id);
            let family = self.family(task);
            family.memory_bytes_peak = family.memory_bytes_peak.max(task.usage.memory_bytes_peak);
            let ran = task.started_at.zip(task.stopped_at).map(|(from, to)| to.since(from));
            if let Some(ran) = ran.filter(|ran| !was_seen && !ran.is_zero()) {
                family.note_cpu(task.usage.vcpu, ran);
            }
        }
    }

    fn family(&mut self, task: &Task) -> &mut FamilyUse {
        let families = &mut self.tasks.families;
        if !families.contains_key(&task.task_definition.family) {
            families.insert(task.task_definition.family.clone(), FamilyUse::default());
        }
        families.get_mut(&task.task_definition.family).expect("it was just put there")
    }

    fn finish(self, simulation: &mut Simulation, time: Duration) -> Measured {
        let snapshot = simulation.snapshot();
        let bill = snapshot.bill();
        let mut all = DurationHistogram::default();
        let mut latency_by_service = BTreeMap::new();
        let mut jobs = JobCounts::default();
        for (service, stats) in &snapshot.jobs {
            jobs.pushed += stats.pushed;
            jobs.completed += stats.completed;
            jobs.rejected += stats.rejected;
            jobs.lost += stats.lost;
            if let Some((latencies, _)) = simulation.job_times(service) {
                all.add_all(latencies);
                latency_by_service.extend(Latency::of(latencies).map(|latency| (service.to_string(), latency)));
            }
        }
        let ran = bill.by_task_definition.iter().filter(|(key, _)| *key != IDLE).map(|(_, cost)| cost.tasks);
        Measured {
            per_day: scaled(bill.total, Duration::from_secs(24 * 3600), time),
            wasted_per_day: scaled(bill.waste.total().wasted(), Duration::from_secs(24 * 3600), time),
            per_month: scaled(bill.total, Duration::from_secs(730 * 3600), time),
            placed: ran.sum(),
            unplaced: self.unplaced.iter().copied().min().unwrap_or_default(),
            jobs,
            latency: Latency::of(&all),
            latency_by_service,
            instances_peak: self.instances_peak,
            tasks_peak: self.tasks_peak,
            tasks: self.tasks,
            bill,
        }
    }
}

/// An amount of a time as that of another one, rounded half up.
fn scaled(amount: NanoUsd, to: Duration, of: Duration) -> NanoUsd {
    let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    let of = nanos(of).max(1);
    let exact = i128::from(amount.0).saturating_mul(nanos(to));
    NanoUsd(i64::try_from((exact + of / 2) / of).unwrap_or(i64::MAX))
}
