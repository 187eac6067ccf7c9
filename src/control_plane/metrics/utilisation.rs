//! What tasks use of what they reserve: one datapoint a metric and metric period.
//!
//! Usage comes as totals per task at sample times. Between two samples of a task lies an interval of known length with
//! a known use; a period is the sum over the intervals whose end was reported in it. An interval that reaches over the
//! end of a period so counts where it was reported, with its use and its reservation alike, and nothing is lost or
//! counted twice. The first sample of a task is where its first interval begins and adds nothing itself.
//!
//! All arithmetic is on integers: 128 bits hold a million tasks of 1,000 vCPUs for a thousand years.
//!
//! **Source:** ecs-semantics §7.6, §10.1.

use serde::{Deserialize, Serialize};

use crate::model::metric::StatisticSet;
use crate::model::units::{CpuUnits, Duration, MemoryMib, Timestamp, VcpuNanos};
use crate::model::usage::TaskUsage;

/// The datapoints of one metric period, in thousandths of a percent: 50 % is 50,000. A sample is a task: the average is what all of
/// them used of what all reserved, the least and the greatest are those of single tasks.
///
/// May exceed 100,000: tasks on EC2 burst beyond their CPU units. `None` is missing data, which is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Datapoints {
    /// `CPUUtilization`.
    pub cpu: Option<StatisticSet>,
    /// `MemoryUtilization`.
    pub memory: Option<StatisticSet>,
}

/// What was used and reserved in all over a metric period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sums {
    /// CPU units times nanoseconds.
    pub cpu_used: u128,
    /// CPU units times nanoseconds.
    pub cpu_reserved: u128,
    /// MiB times nanoseconds.
    pub memory_used: u128,
    /// MiB times nanoseconds.
    pub memory_reserved: u128,
}

/// What the end of a metric period yields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ClosedPeriod {
    /// Used of reserved.
    pub datapoints: Datapoints,
    /// What was used and reserved.
    pub sums: Sums,
}

/// What one task has used in a metric period so far.
///
/// It begins when the task has become `RUNNING`, at what it had used by then.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct TaskPeriod {
    /// Where its next interval begins.
    at: Timestamp,
    vcpu: VcpuNanos,
    memory_mib_millis: u64,
    sums: Sums,
}

impl TaskPeriod {
    /// Begins a task's first interval.
    pub fn begin(at: Timestamp, usage: &TaskUsage) -> TaskPeriod {
        let (vcpu, memory_mib_millis) = (usage.vcpu, usage.memory_mib_millis);
        TaskPeriod { at, vcpu, memory_mib_millis, sums: Sums::default() }
    }

    /// Whether anything was added since it began, or was taken last.
    pub fn has_begun(&self) -> bool {
        self.sums != Sums::default()
    }

    /// Adds what the task has used in all up to `at`, and what it reserves.
    ///
    /// A sample that is not later than the last, or that says less, came late and is ignored. A task that reserves no CPU (EC2 allows
    /// it) has no CPU utilisation: it adds neither to the used nor to the reserved, so that a service of such tasks alone
    /// has no CPU datapoints; the same goes for memory.
    pub fn add_sample(&mut self, at: Timestamp, usage: &TaskUsage, cpu: CpuUnits, memory: MemoryMib) {
        let (vcpu, memory_mib_millis) = (usage.vcpu, usage.memory_mib_millis);
        if at <= self.at || vcpu < self.vcpu || memory_mib_millis < self.memory_mib_millis {
            return;
        }
        let nanos = at.since(self.at).as_nanos();
        let mut sums = self.sums;
        if cpu.0 > 0 {
            sums.cpu_used += u128::from((vcpu - self.vcpu).0) * u128::from(CpuUnits::PER_VCPU);
            sums.cpu_reserved += nanos * u128::from(cpu.0);
        }
        if memory.0 > 0 {
            const NANOS_PER_MILLI: u128 = 1_000_000;
            sums.memory_used += u128::from(memory_mib_millis - self.memory_mib_millis) * NANOS_PER_MILLI;
            sums.memory_reserved += nanos * u128::from(memory.0);
        }
        *self = TaskPeriod { at, vcpu, memory_mib_millis, sums };
    }

    /// Takes what it has used in this period: the next begins.
    pub fn take(&mut self) -> Sums {
        std::mem::take(&mut self.sums)
    }
}

/// The utilisation of a group of tasks: those of a service, or those on the cluster's instances.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct GroupMetrics {
    /// What its tasks used in the period in all.
    sums: Sums,
    /// The utilisations of the single ones.
    cpu: Option<StatisticSet>,
    memory: Option<StatisticSet>,
    /// Whether any of its tasks is running as the period ends.
    has_running: bool,
    /// The period before, if it came from samples.
    before: Option<ClosedPeriod>,
}

impl GroupMetrics {
    /// Adds a task of the group that is over: what it used in this period stays in it.
    pub fn add_gone(&mut self, task: &Sums) {
        self.sums.cpu_used += task.cpu_used;
        self.sums.cpu_reserved += task.cpu_reserved;
        self.sums.memory_used += task.memory_used;
        self.sums.memory_reserved += task.memory_reserved;
        add_single(&mut self.cpu, millipercent(task.cpu_used, task.cpu_reserved));
        add_single(&mut self.memory, millipercent(task.memory_used, task.memory_reserved));
    }

    /// Adds a task of the group that is running as the period ends.
    pub fn add_running(&mut self, task: &Sums) {
        self.add_gone(task);
        self.has_running = true;
    }

    /// Ends the metric period, of which all tasks were added, and begins the next.
    ///
    /// Where tasks are running and none of them was sampled, the datapoints of the period before stand once more, so
    /// that a sample that comes a moment late does not look like missing data. *Ours:* ECS samples three times a
    /// period.
    pub fn close_period(&mut self) -> ClosedPeriod {
        let GroupMetrics { sums, cpu, memory, has_running, before } = std::mem::take(self);
        if sums.cpu_reserved == 0 && sums.memory_reserved == 0 {
            return if has_running { before.unwrap_or_default() } else { ClosedPeriod::default() };
        }
        let datapoints = Datapoints {
            cpu: statistics(cpu, millipercent(sums.cpu_used, sums.cpu_reserved)),
            memory: statistics(memory, millipercent(sums.memory_used, sums.memory_reserved)),
        };
        let closed = ClosedPeriod { datapoints, sums };
        self.before = Some(closed);
        closed
    }
}

fn add_single(set: &mut Option<StatisticSet>, value: Option<i64>) {
    let Some(value) = value.map(StatisticSet::of) else { return };
    match set {
        Some(set) => set.add(&value),
        None => *set = Some(value),
    }
}

impl Sums {
    /// What was used on average over a period: CPU units and MiB, in thousandths.
    pub fn used_over(&self, period: Duration) -> (StatisticSet, StatisticSet) {
        let average = |used: u128| {
            let thousandths = (used * 1000).checked_div(period.as_nanos()).unwrap_or_default();
            StatisticSet::of(i64::try_from(thousandths).unwrap_or(i64::MAX))
        };
        (average(self.cpu_used), average(self.memory_used))
    }
}

/// The utilisations of single tasks with what all of them come to as the average.
fn statistics(single: Option<StatisticSet>, all: Option<i64>) -> Option<StatisticSet> {
    let mut found = single?;
    // Tasks count by the time that they ran, which a plain average of them would not.
    found.sum = i128::from(all?) * i128::from(found.sample_count);
    Some(found)
}

/// Used over reserved in thousandths of a percent, rounded down.
fn millipercent(used: u128, reserved: u128) -> Option<i64> {
    let ratio = used.saturating_mul(100_000).checked_div(reserved)?;
    Some(i64::try_from(ratio).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::alarm::Statistic;

    /// A group and its running tasks.
    #[derive(Default)]
    struct TaskMetrics {
        tasks: BTreeMap<u64, TaskPeriod>,
        group: GroupMetrics,
    }

    impl TaskMetrics {
        /// The first sample of a task only begins its first interval.
        fn add_sample(&mut self, task: u64, at: Timestamp, usage: &TaskUsage, cpu: CpuUnits, memory: MemoryMib) {
            let period = self.tasks.entry(task).or_insert_with(|| TaskPeriod::begin(at, usage));
            period.add_sample(at, usage, cpu, memory);
        }

        fn task_gone(&mut self, task: u64) {
            if let Some(mut gone) = self.tasks.remove(&task) {
                self.group.add_gone(&gone.take());
            }
        }

        fn close_period(&mut self) -> ClosedPeriod {
            for task in self.tasks.values_mut() {
                self.group.add_running(&task.take());
            }
            self.group.close_period()
        }
    }

    fn usage(vcpu_millis: u64, memory_mib_millis: u64) -> TaskUsage {
        TaskUsage { vcpu: VcpuNanos(vcpu_millis * 1_000_000), memory_mib_millis, ..TaskUsage::default() }
    }

    /// Samples a task of 256 CPU units and 512 MiB.
    fn sample(metrics: &mut TaskMetrics, task: u64, at_secs: u64, vcpu_millis: u64, memory_mib_millis: u64) {
        let at = Timestamp::ZERO + Duration::from_secs(at_secs);
        metrics.add_sample(task, at, &usage(vcpu_millis, memory_mib_millis), CpuUnits(256), MemoryMib(512));
    }

    #[track_caller]
    fn check(metrics: &mut TaskMetrics, cpu: Option<i64>, memory: Option<i64>) {
        let found = metrics.close_period().datapoints;
        let averages = [found.cpu, found.memory].map(|set| set.map(|set| set.statistic(Statistic::Average)));
        assert_eq!(averages, [cpu, memory]);
    }

    /// ecs-semantics §7.6: used over reserved. A quarter vCPU for 60 s is 15 vCPU-seconds; 7.5 used is 50 %.
    #[test]
    fn is_used_over_reserved() {
        let mut metrics = TaskMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        for step in 1..=6 {
            sample(&mut metrics, 1, step * 10, step * 1_250, step * 10_000 * 128);
        }
        check(&mut metrics, Some(50_000), Some(25_000));
    }

    /// Two tasks are averaged by the time each ran: 60 s at 100 % and 20 s at 0 % are 75 %.
    #[test]
    fn weighs_tasks_by_the_time_they_ran() {
        let mut metrics = TaskMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        sample(&mut metrics, 2, 40, 0, 0);
        sample(&mut metrics, 1, 60, 15_000, 60_000 * 512);
        sample(&mut metrics, 2, 60, 0, 0);
        check(&mut metrics, Some(75_000), Some(75_000));
    }

    /// ecs-semantics §7.6: no RUNNING task, no datapoint; a task that ran for a part of the period still counts in it.
    #[test]
    fn has_no_datapoint_without_tasks() {
        let mut metrics = TaskMetrics::default();
        check(&mut metrics, None, None);
        sample(&mut metrics, 1, 60, 0, 0);
        check(&mut metrics, None, None);
        sample(&mut metrics, 1, 120, 3_000, 0);
        sample(&mut metrics, 1, 130, 3_500, 0);
        metrics.task_gone(1);
        check(&mut metrics, Some(20_000), Some(0));
        check(&mut metrics, None, None);
    }

    /// A period without a sample repeats the one before, once; then the data is missing, and the long interval that is
    /// reported at last counts in full.
    #[test]
    fn bridges_one_late_sample() {
        let mut metrics = TaskMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        sample(&mut metrics, 1, 60, 15_000, 0);
        check(&mut metrics, Some(100_000), Some(0));
        check(&mut metrics, Some(100_000), Some(0));
        check(&mut metrics, None, None);
        sample(&mut metrics, 1, 240, 15_000, 0);
        check(&mut metrics, Some(0), Some(0));
    }

    /// Late samples, repeated samples and totals that shrink change nothing.
    #[test]
    fn ignores_samples_out_of_order() {
        let mut metrics = TaskMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        sample(&mut metrics, 1, 40, 5_000, 100);
        sample(&mut metrics, 1, 40, 9_000, 100);
        sample(&mut metrics, 1, 20, 2_500, 50);
        sample(&mut metrics, 1, 50, 4_000, 100);
        check(&mut metrics, Some(50_000), Some(0));
        sample(&mut metrics, 1, 80, 15_000, 100);
        check(&mut metrics, Some(100_000), Some(0));
    }

    /// A task without CPU units has no CPU utilisation and does not dilute that of others.
    #[test]
    fn leaves_out_tasks_without_cpu_units() {
        let mut metrics = TaskMetrics::default();
        let at = |secs| Timestamp::ZERO + Duration::from_secs(secs);
        metrics.add_sample(9, at(0), &usage(0, 0), CpuUnits(0), MemoryMib(64));
        metrics.add_sample(9, at(60), &usage(60_000, 60_000 * 16), CpuUnits(0), MemoryMib(64));
        check(&mut metrics, None, Some(25_000));
        sample(&mut metrics, 1, 60, 0, 0);
        sample(&mut metrics, 1, 120, 1_500, 0);
        metrics.add_sample(9, at(120), &usage(120_000, 60_000 * 16), CpuUnits(0), MemoryMib(64));
        check(&mut metrics, Some(10_000), Some(0));
    }

    /// ecs-semantics §7.6: the least and the greatest are of single tasks, one that is gone included.
    #[test]
    fn has_statistics_over_tasks() {
        let mut metrics = TaskMetrics::default();
        for task in 1..=3 {
            sample(&mut metrics, task, 0, 0, 0);
            sample(&mut metrics, task, 60, task * 3_000, 0);
        }
        metrics.task_gone(3);
        let closed = metrics.close_period();
        let cpu = closed.datapoints.cpu.unwrap();
        let all = [Statistic::Minimum, Statistic::Average, Statistic::Maximum, Statistic::SampleCount];
        assert_eq!(all.map(|what| cpu.statistic(what)), [20_000, 40_000, 60_000, 3_000]);
        // 18 vCPU-seconds in a minute are 307.2 CPU units.
        assert_eq!(closed.sums.used_over(Duration::from_secs(60)).0, StatisticSet::of(307_200));
    }

    /// More than 100 % is possible: EC2 tasks burst.
    #[test]
    fn goes_beyond_a_hundred_percent() {
        let mut metrics = TaskMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        sample(&mut metrics, 1, 60, 60_000, 0);
        check(&mut metrics, Some(400_000), Some(0));
    }
}
