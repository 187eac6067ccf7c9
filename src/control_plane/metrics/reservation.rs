//! What of the cluster's instances is reserved and used.
//!
//! **Source:** ecs-semantics §10.1.

use crate::model::metric::StatisticSet;
use crate::model::units::{CpuUnits, MemoryMib};

/// Sums over a cluster's instances at the end of a metric period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterSums {
    /// Reserved by tasks in RUNNING on EC2 instances.
    pub cpu_reserved: u64,
    /// In MiB; a task's memory, else its containers' soft limits, else their hard ones.
    pub memory_reserved: u64,
    /// CPU units registered by ACTIVE and DRAINING instances.
    pub cpu_registered: u64,
    /// MiB registered by them.
    pub memory_registered: u64,
    /// Tasks in RUNNING on them.
    pub running_count: u32,
}

impl ClusterSums {
    /// Adds a task in RUNNING.
    pub fn add_task(&mut self, cpu: CpuUnits, memory: MemoryMib) {
        self.cpu_reserved += u64::from(cpu.0);
        self.memory_reserved += u64::from(memory.0);
        self.running_count += 1;
    }

    /// Adds an instance.
    pub fn add_instance(&mut self, cpu: CpuUnits, memory: MemoryMib) {
        self.cpu_registered += u64::from(cpu.0);
        self.memory_registered += u64::from(memory.0);
    }

    /// `CPUReservation` and `MemoryReservation`. Missing while no task is RUNNING.
    pub fn reservation(&self) -> (Option<StatisticSet>, Option<StatisticSet>) {
        if self.running_count == 0 {
            return (None, None);
        }
        let percent = |part: u64, whole: u64| percent(part.into(), whole.into());
        (percent(self.cpu_reserved, self.cpu_registered), percent(self.memory_reserved, self.memory_registered))
    }
}

/// A part of a whole in percent, rounded down; `None` of nothing.
pub fn percent(part: u128, whole: u128) -> Option<StatisticSet> {
    let thousandths = part.saturating_mul(100_000).checked_div(whole)?;
    Some(StatisticSet::of(i64::try_from(thousandths).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ecs-semantics §10.1, the guide's example: 18,432 units and 33,926 MiB registered, ten tasks of 1,024 units and 2,048 MiB:
    /// about 55 % of the CPU and 60 % of the memory.
    #[test]
    fn worked_example() {
        let mut sums = ClusterSums::default();
        for (cpu, memory) in [(2_048, 3_768), (4_096, 7_539), (4_096, 7_539), (8_192, 15_080)] {
            sums.add_instance(CpuUnits(cpu), MemoryMib(memory));
        }
        assert_eq!((sums.cpu_registered, sums.memory_registered), (18_432, 33_926));
        assert_eq!(sums.reservation(), (None, None), "no task, no datapoint");
        for _ in 0..10 {
            sums.add_task(CpuUnits(1_024), MemoryMib(2_048));
        }
        assert_eq!(sums.reservation(), (Some(StatisticSet::of(55_555)), Some(StatisticSet::of(60_366))));
    }
}
