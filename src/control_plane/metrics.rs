//! What a service's tasks use of what they reserve: one datapoint a metric and metric period.
//!
//! Usage comes as totals per task at sample times. Between two samples of a task lies an interval of known length with
//! a known use; a period is the sum over the intervals whose end was reported in it. An interval that reaches over the
//! end of a period so counts where it was reported, with its use and its reservation alike, and nothing is lost or
//! counted twice. The first sample of a task is where its first interval begins and adds nothing itself.
//!
//! All arithmetic is on integers: 128 bits hold a million tasks of 1,000 vCPUs for a thousand years.
//!
//! **Source:** ecs-semantics §7.6, §10.1.

use std::collections::BTreeMap;

use crate::model::ids::TaskId;
use crate::model::units::{CpuUnits, MemoryMib, Timestamp, VcpuNanos};
use crate::model::usage::TaskUsage;

/// A service's datapoints of one metric period, in thousandths of a percent: 50 % is 50,000.
///
/// May exceed 100,000: tasks on EC2 burst beyond their CPU units. `None` is missing data, which is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Datapoints {
    /// `CPUUtilization`.
    pub cpu_millipercent: Option<u64>,
    /// `MemoryUtilization`.
    pub memory_millipercent: Option<u64>,
}

/// The utilisation of one service.
#[derive(Clone, Debug, Default)]
pub struct ServiceMetrics {
    tasks: BTreeMap<TaskId, LastSample>,
    period: Period,
    /// The datapoints of the period before, if they came from samples.
    before: Option<Datapoints>,
}

/// Where a task's next interval begins.
#[derive(Clone, Copy, Debug)]
struct LastSample {
    at: Timestamp,
    vcpu: VcpuNanos,
    memory_mib_millis: u64,
}

/// Sums over the intervals of a period.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    /// CPU units times nanoseconds.
    cpu_used: u128,
    /// CPU units times nanoseconds.
    cpu_reserved: u128,
    /// MiB times nanoseconds.
    memory_used: u128,
    /// MiB times nanoseconds.
    memory_reserved: u128,
}

impl ServiceMetrics {
    /// Adds what a `RUNNING` task has used in all up to `at`, and what it reserves.
    ///
    /// The first call for a task, when it has become `RUNNING`, only begins its first interval. A sample that is not
    /// later than the last, or that says less, came late and is ignored. A task that reserves no CPU (EC2 allows it)
    /// has no CPU utilisation: it adds neither to the used nor to the reserved, so that a service of such tasks alone
    /// has no CPU datapoints; the same goes for memory.
    pub fn add_sample(&mut self, task: TaskId, at: Timestamp, usage: &TaskUsage, cpu: CpuUnits, memory: MemoryMib) {
        let sample = LastSample { at, vcpu: usage.vcpu, memory_mib_millis: usage.memory_mib_millis };
        let Some(last) = self.tasks.get_mut(&task) else {
            self.tasks.insert(task, sample);
            return;
        };
        if at <= last.at || sample.vcpu < last.vcpu || sample.memory_mib_millis < last.memory_mib_millis {
            return;
        }
        let nanos = at.since(last.at).as_nanos();
        if cpu.0 > 0 {
            self.period.cpu_used += u128::from((sample.vcpu - last.vcpu).0) * u128::from(CpuUnits::PER_VCPU);
            self.period.cpu_reserved += nanos * u128::from(cpu.0);
        }
        if memory.0 > 0 {
            const NANOS_PER_MILLI: u128 = 1_000_000;
            self.period.memory_used += u128::from(sample.memory_mib_millis - last.memory_mib_millis) * NANOS_PER_MILLI;
            self.period.memory_reserved += nanos * u128::from(memory.0);
        }
        *last = sample;
    }

    /// Notes that a task is not `RUNNING` any more. What it used in this period stays in it.
    pub fn task_gone(&mut self, task: TaskId) {
        self.tasks.remove(&task);
    }

    /// Ends the metric period and begins the next.
    ///
    /// Where tasks are running and none of them was sampled, the datapoints of the period before stand once more, so
    /// that a sample that comes a moment late does not look like missing data. *Ours:* ECS samples three times a
    /// period.
    pub fn close_period(&mut self) -> Datapoints {
        let period = std::mem::take(&mut self.period);
        if period.cpu_reserved == 0 && period.memory_reserved == 0 {
            let before = self.before.take();
            return if self.tasks.is_empty() { Datapoints::default() } else { before.unwrap_or_default() };
        }
        let datapoints = Datapoints {
            cpu_millipercent: millipercent(period.cpu_used, period.cpu_reserved),
            memory_millipercent: millipercent(period.memory_used, period.memory_reserved),
        };
        self.before = Some(datapoints);
        datapoints
    }
}

/// Thousandths of a percent as people read them: 72,500 is `72.5%`.
pub fn percent_text(millipercent: u64) -> String {
    let text = format!("{}.{:03}", millipercent / 1000, millipercent % 1000);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Used over reserved in thousandths of a percent, rounded down.
fn millipercent(used: u128, reserved: u128) -> Option<u64> {
    let ratio = used.saturating_mul(100_000).checked_div(reserved)?;
    Some(u64::try_from(ratio).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::Duration;

    fn usage(vcpu_millis: u64, memory_mib_millis: u64) -> TaskUsage {
        TaskUsage { vcpu: VcpuNanos(vcpu_millis * 1_000_000), memory_mib_millis, ..TaskUsage::default() }
    }

    /// Samples a task of 256 CPU units and 512 MiB.
    fn sample(metrics: &mut ServiceMetrics, task: u64, at_secs: u64, vcpu_millis: u64, memory_mib_millis: u64) {
        let at = Timestamp::ZERO + Duration::from_secs(at_secs);
        metrics.add_sample(TaskId(task), at, &usage(vcpu_millis, memory_mib_millis), CpuUnits(256), MemoryMib(512));
    }

    #[track_caller]
    fn check(metrics: &mut ServiceMetrics, cpu: Option<u64>, memory: Option<u64>) {
        assert_eq!(metrics.close_period(), Datapoints { cpu_millipercent: cpu, memory_millipercent: memory });
    }

    /// ecs-semantics §7.6: used over reserved. A quarter vCPU for 60 s is 15 vCPU-seconds; 7.5 used is 50 %.
    #[test]
    fn is_used_over_reserved() {
        let mut metrics = ServiceMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        for step in 1..=6 {
            sample(&mut metrics, 1, step * 10, step * 1_250, step * 10_000 * 128);
        }
        check(&mut metrics, Some(50_000), Some(25_000));
    }

    /// Two tasks are averaged by the time each ran: 60 s at 100 % and 20 s at 0 % are 75 %.
    #[test]
    fn weighs_tasks_by_the_time_they_ran() {
        let mut metrics = ServiceMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        sample(&mut metrics, 2, 40, 0, 0);
        sample(&mut metrics, 1, 60, 15_000, 60_000 * 512);
        sample(&mut metrics, 2, 60, 0, 0);
        check(&mut metrics, Some(75_000), Some(75_000));
    }

    /// ecs-semantics §7.6: no RUNNING task, no datapoint; a task that ran for a part of the period still counts in it.
    #[test]
    fn has_no_datapoint_without_tasks() {
        let mut metrics = ServiceMetrics::default();
        check(&mut metrics, None, None);
        sample(&mut metrics, 1, 60, 0, 0);
        check(&mut metrics, None, None);
        sample(&mut metrics, 1, 120, 3_000, 0);
        sample(&mut metrics, 1, 130, 3_500, 0);
        metrics.task_gone(TaskId(1));
        check(&mut metrics, Some(20_000), Some(0));
        check(&mut metrics, None, None);
    }

    /// A period without a sample repeats the one before, once; then the data is missing, and the long interval that is
    /// reported at last counts in full.
    #[test]
    fn bridges_one_late_sample() {
        let mut metrics = ServiceMetrics::default();
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
        let mut metrics = ServiceMetrics::default();
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
        let mut metrics = ServiceMetrics::default();
        let at = |secs| Timestamp::ZERO + Duration::from_secs(secs);
        metrics.add_sample(TaskId(9), at(0), &usage(0, 0), CpuUnits(0), MemoryMib(64));
        metrics.add_sample(TaskId(9), at(60), &usage(60_000, 60_000 * 16), CpuUnits(0), MemoryMib(64));
        check(&mut metrics, None, Some(25_000));
        sample(&mut metrics, 1, 60, 0, 0);
        sample(&mut metrics, 1, 120, 1_500, 0);
        metrics.add_sample(TaskId(9), at(120), &usage(120_000, 60_000 * 16), CpuUnits(0), MemoryMib(64));
        check(&mut metrics, Some(10_000), Some(0));
    }

    /// Percentages lose the zeros that say nothing.
    #[test]
    fn writes_percentages() {
        assert_eq!(
            [0, 5, 50_000, 72_500, 100_000, 33_333].map(percent_text),
            ["0%", "0.005%", "50%", "72.5%", "100%", "33.333%"]
        );
    }

    /// More than 100 % is possible: EC2 tasks burst.
    #[test]
    fn goes_beyond_a_hundred_percent() {
        let mut metrics = ServiceMetrics::default();
        sample(&mut metrics, 1, 0, 0, 0);
        sample(&mut metrics, 1, 60, 60_000, 0);
        check(&mut metrics, Some(400_000), Some(0));
    }
}
