//! Task sizes as ECS writes them: `"256"`, `"1 vCPU"`, `".5 vcpu"`, `"512"`, `"1GB"`. Container sizes are plain integers.

use super::duration::parse_scaled;
use crate::catalog::Catalog;
use crate::config::reader::or_list;
use crate::model::fargate_size::FargateSize;
use crate::model::units::{CpuUnits, MemoryMib};

/// Why a text is not a task size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not an amount of CPU.
    #[error("\"{0}\" is not a task's cpu: write CPU units as in \"256\", or vCPUs as in \".25 vCPU\"")]
    Cpu(String),
    /// vCPUs that are not a whole number of units.
    #[error("\"{0}\" is not a whole number of CPU units: 1 vCPU is 1024 of them")]
    FractionOfUnit(String),
    /// Not an amount of memory.
    #[error("\"{0}\" is not a task's memory: write MiB as in \"512\", or GB as in \"1GB\"")]
    Memory(String),
    /// Gigabytes that are not a whole number of MiB.
    #[error("\"{0}\" is not a whole number of MiB: 1 GB is 1024 of them")]
    FractionOfMib(String),
}

/// Reads a task's CPU. **Source:** ecs-semantics §1.4.
///
/// # Errors
/// What is wrong, with the text.
pub fn parse_task_cpu(text: &str) -> Result<CpuUnits, SizeError> {
    let written = text.trim().to_ascii_lowercase();
    let Some(vcpus) = written.strip_suffix("vcpu") else {
        return written.parse().map(CpuUnits).map_err(|_| SizeError::Cpu(text.to_owned()));
    };
    match scaled(vcpus, CpuUnits::PER_VCPU) {
        Some((units, Remainder::Zero)) => Ok(CpuUnits(units)),
        Some((_, Remainder::Some)) => Err(SizeError::FractionOfUnit(text.to_owned())),
        None => Err(SizeError::Cpu(text.to_owned())),
    }
}

/// Reads a task's memory; a GB has 1024 MiB. **Source:** ecs-semantics §1.4.
///
/// # Errors
/// What is wrong, with the text.
pub fn parse_task_memory(text: &str) -> Result<MemoryMib, SizeError> {
    let written = text.trim().to_ascii_lowercase();
    let Some(gigabytes) = written.strip_suffix("gb") else {
        return written.parse().map(MemoryMib).map_err(|_| SizeError::Memory(text.to_owned()));
    };
    match scaled(gigabytes, 1024) {
        Some((mib, Remainder::Zero)) => Ok(MemoryMib(mib)),
        Some((_, Remainder::Some)) => Err(SizeError::FractionOfMib(text.to_owned())),
        None => Err(SizeError::Memory(text.to_owned())),
    }
}

enum Remainder {
    Zero,
    Some,
}

/// A decimal number times `unit`, and whether anything below one is left of it.
fn scaled(number: &str, unit: u32) -> Option<(u32, Remainder)> {
    // Fine enough for every digit that could matter: 1/1024 has ten.
    const FINE: u128 = 10_000_000_000_000;
    let fine = parse_scaled(number.trim(), u128::from(unit) * FINE)?;
    let remainder = if fine % FINE == 0 { Remainder::Zero } else { Remainder::Some };
    Some((u32::try_from(fine / FINE).ok()?, remainder))
}

/// Checks a task's size against Fargate's. **Source:** ecs-semantics §8.1.
///
/// # Errors
/// The rule that is broken, with the sizes that are valid.
pub fn check_fargate_size(cpu: CpuUnits, memory: MemoryMib, catalog: &Catalog) -> Result<(), String> {
    match fargate_size_problem(catalog.fargate_sizes(), Some(cpu), Some(memory)) {
        Some((_, problem)) => Err(problem),
        None => Ok(()),
    }
}

/// What Fargate says to a task size: the key that is wrong, and why. **Source:** ecs-semantics §8.1, §11.2.
pub(super) fn fargate_size_problem(
    sizes: &[FargateSize],
    cpu: Option<CpuUnits>,
    memory: Option<MemoryMib>,
) -> Option<(&'static str, String)> {
    let required = |key| format!("Fargate requires that '{key}' be defined at the task level");
    let Some(cpu) = cpu else { return Some(("cpu", required("cpu"))) };
    let Some(size) = sizes.iter().find(|size| size.cpu == cpu) else {
        let known = or_list(sizes.iter().map(|size| size.cpu.to_string()));
        return Some(("cpu", format!("cpu {cpu} is not a Fargate cpu: {known}")));
    };
    let Some(memory) = memory else { return Some(("memory", required("memory"))) };
    if size.memory.contains(&memory) {
        return None;
    }
    Some(("memory", format!("memory {memory} is not valid for cpu {cpu} on Fargate: {}", memory_list(&size.memory))))
}

/// `512, 1024 or 2048`, and `2048 to 8192 in steps of 1024` where a list would be long.
fn memory_list(memory: &[MemoryMib]) -> String {
    if let [first, second, .., last] = memory
        && memory.len() > 4
        && memory.windows(2).all(|pair| pair[1].0 - pair[0].0 == second.0 - first.0)
    {
        return format!("{first} to {last} in steps of {}", second.0 - first.0);
    }
    or_list(memory.iter().map(MemoryMib::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claim: each of ECS' spellings is read. Method: those of the rule book.
    #[test]
    fn reads_task_sizes() {
        for (text, units) in [("256", 256), ("1 vCPU", 1024), (".5 vcpu", 512), ("0.25vCPU", 256), ("1024", 1024)] {
            assert_eq!(parse_task_cpu(text), Ok(CpuUnits(units)), "{text}");
        }
        for (text, mib) in [("512", 512), ("1GB", 1024), ("1 GB", 1024), ("0.5 gb", 512), ("30 GB", 30_720)] {
            assert_eq!(parse_task_memory(text), Ok(MemoryMib(mib)), "{text}");
        }
    }

    /// Claim: other spellings are refused. Method: one of each kind.
    #[test]
    fn refuses_the_rest() {
        assert_eq!(parse_task_cpu("a lot"), Err(SizeError::Cpu("a lot".to_owned())));
        assert_eq!(parse_task_cpu("-1"), Err(SizeError::Cpu("-1".to_owned())));
        assert_eq!(parse_task_cpu(".3 vCPU"), Err(SizeError::FractionOfUnit(".3 vCPU".to_owned())));
        assert_eq!(parse_task_memory("512 MB"), Err(SizeError::Memory("512 MB".to_owned())));
        assert_eq!(parse_task_memory("1.0001GB"), Err(SizeError::FractionOfMib("1.0001GB".to_owned())));
    }
}
