//! The task sizes of Fargate: which memory goes with which CPU. A rule of ECS, and no price.
//!
//! **Source:** ecs-semantics §8.1: 256 to 16384 from the developer guide of June 2023, 32768 from the same page as of October 2026.

use super::units::{CpuUnits, MemoryMib};

/// A CPU size of Fargate and the memory sizes that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FargateSize {
    /// The task's CPU.
    pub cpu: CpuUnits,
    /// The memory sizes it may have, ascending. Never empty.
    pub memory: Vec<MemoryMib>,
}

/// Every size by CPU, ascending: 77 pairs.
pub fn fargate_sizes() -> Vec<FargateSize> {
    let listed = |cpu, memory: &[u32]| FargateSize {
        cpu: CpuUnits(cpu),
        memory: memory.iter().copied().map(MemoryMib).collect(),
    };
    let stepped = |cpu, first: u32, last: u32, step: usize| FargateSize {
        cpu: CpuUnits(cpu),
        memory: (first..=last).step_by(step).map(MemoryMib).collect(),
    };
    vec![
        listed(256, &[512, 1024, 2048]),
        stepped(512, 1024, 4096, 1024),
        stepped(1024, 2048, 8192, 1024),
        stepped(2048, 4096, 16_384, 1024),
        stepped(4096, 8192, 30_720, 1024),
        stepped(8192, 16_384, 61_440, 4096),
        stepped(16_384, 32_768, 122_880, 8192),
        listed(32_768, &[61_440, 122_880, 249_856]),
    ]
}

/// Whether a task may have this size.
pub fn is_fargate_size(cpu: CpuUnits, memory: MemoryMib) -> bool {
    fargate_sizes().iter().any(|size| size.cpu == cpu && size.memory.contains(&memory))
}
