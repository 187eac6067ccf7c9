//! Quantities with their units in the type: time, CPU, memory, fuel, money.
//!
//! None of them is a float. Arithmetic that could leave the range saturates where a larger value changes nothing
//! (time, usage) and is checked where it would be wrong money.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

pub use std::time::Duration;

/// A moment, in nanoseconds since the cluster started.
///
/// A number and not an operating-system instant, so that it can be printed, stored and replayed. Calendar time is the
/// cluster's start (kept by the driver) plus this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The start of the cluster.
    pub const ZERO: Timestamp = Timestamp(0);

    /// The time between `earlier` and this moment, zero when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The calendar time of this moment in a cluster that started at `start`: the last that can be written for one beyond it.
    pub fn calendar(self, start: jiff::Timestamp) -> jiff::Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.elapsed()).ok();
        elapsed.and_then(|elapsed| start.checked_add(elapsed).ok()).unwrap_or(jiff::Timestamp::MAX)
    }

    /// This moment as a time since the cluster started.
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, delay: Duration) -> Timestamp {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Timestamp {
    /// Seconds since the start with three decimals, as in `12.250s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1000)
    }
}

/// CPU units: 1024 are one vCPU. **Source:** ecs-semantics, units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct CpuUnits(pub u32);

impl CpuUnits {
    /// The units of one vCPU.
    pub const PER_VCPU: u32 = 1024;
}

impl Add for CpuUnits {
    type Output = CpuUnits;
    fn add(self, other: CpuUnits) -> CpuUnits {
        CpuUnits(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for CpuUnits {
    fn sum<I: Iterator<Item = CpuUnits>>(items: I) -> CpuUnits {
        items.fold(CpuUnits(0), Add::add)
    }
}

impl fmt::Display for CpuUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Memory in MiB. "GB" in an ECS task size means 1024 of these. **Source:** ecs-semantics, units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct MemoryMib(pub u32);

impl MemoryMib {
    /// This amount in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0) << 20
    }
}

impl Add for MemoryMib {
    type Output = MemoryMib;
    fn add(self, other: MemoryMib) -> MemoryMib {
        MemoryMib(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for MemoryMib {
    fn sum<I: Iterator<Item = MemoryMib>>(items: I) -> MemoryMib {
        items.fold(MemoryMib(0), Add::add)
    }
}

impl fmt::Display for MemoryMib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of CPU work: nanoseconds of one vCPU. A vCPU-second is 1,000,000,000 of these.
///
/// How it is measured is the cluster's basis, see [`crate::model::settings::CpuBasis`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct VcpuNanos(pub u64);

impl VcpuNanos {
    /// This work as whole vCPU-microseconds over a million: for display only.
    pub fn as_secs_f64(self) -> f64 {
        Duration::from_nanos(self.0).as_secs_f64()
    }
}

impl Add for VcpuNanos {
    type Output = VcpuNanos;
    fn add(self, other: VcpuNanos) -> VcpuNanos {
        VcpuNanos(self.0.saturating_add(other.0))
    }
}

impl AddAssign for VcpuNanos {
    fn add_assign(&mut self, other: VcpuNanos) {
        *self = *self + other;
    }
}

impl Sub for VcpuNanos {
    type Output = VcpuNanos;
    fn sub(self, other: VcpuNanos) -> VcpuNanos {
        VcpuNanos(self.0.saturating_sub(other.0))
    }
}

/// Wasmtime fuel units: the same number on every host for the same work of a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct Fuel(pub u64);

/// Money: billionths of a US dollar. Never a float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub struct NanoUsd(pub i64);

impl Add for NanoUsd {
    type Output = NanoUsd;
    /// # Panics
    /// When a sum leaves the range of nine thousand million dollars: a wrong bill is worse than none.
    fn add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.checked_add(other.0).expect("a bill stays below nine thousand million dollars"))
    }
}

impl std::iter::Sum for NanoUsd {
    fn sum<I: Iterator<Item = NanoUsd>>(items: I) -> NanoUsd {
        items.fold(NanoUsd(0), Add::add)
    }
}

impl fmt::Display for NanoUsd {
    /// Dollars with all nine decimals, as in `0.012342500`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let text = format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        f.pad(&text)
    }
}
