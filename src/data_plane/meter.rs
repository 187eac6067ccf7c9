//! What one container has used: written by the worker that polls it, read by anybody.
//!
//! A *span* is the time between the guest's call into the host and its return, cut at the ends of a turn (one poll of the
//! container's future). Spans are wall time, so their sum in a turn is capped by the CPU time of the thread in it: what a
//! thread waited for another thread is nobody's work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::model::settings::CpuBasis;
use crate::model::units::{Duration, Fuel, VcpuNanos};

/// How CPU work is counted in one data plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuMeasure {
    pub(super) basis: CpuBasis,
    /// Fuel of a vCPU-second, never zero.
    pub(super) fuel_per_vcpu_second: u64,
}

impl CpuMeasure {
    /// CPU work in the basis.
    pub(super) fn vcpu(self, fuel: u64, host_call_nanos: u64, cpu_nanos: u64) -> VcpuNanos {
        match self.basis {
            CpuBasis::Time => VcpuNanos(cpu_nanos),
            CpuBasis::Fuel => {
                let nanos = u128::from(fuel) * 1_000_000_000 / u128::from(self.fuel_per_vcpu_second);
                VcpuNanos(u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(host_call_nanos))
            }
        }
    }
}

/// What one container has used. Every number only ever grows.
#[derive(Debug, Default)]
pub(super) struct Meter {
    fuel: AtomicU64,
    /// Fuel of earlier lives at the same place.
    fuel_before: AtomicU64,
    host_call_nanos: AtomicU64,
    cpu_nanos: AtomicU64,
    /// Work charged to the schedule so far.
    charged: AtomicU64,
    turn: Turn,
}

/// The turn that a container has at the moment. Only its own worker touches it.
#[derive(Debug, Default)]
struct Turn {
    began_at: AtomicU64,
    in_host: AtomicBool,
    host_since: AtomicU64,
    host_nanos: AtomicU64,
}

impl Meter {
    /// A turn begins at `now`, in nanoseconds of the data plane's clock.
    pub(super) fn begin_turn(&self, now: u64) {
        self.turn.began_at.store(now, Relaxed);
        self.turn.host_since.store(now, Relaxed);
        self.turn.host_nanos.store(0, Relaxed);
    }

    /// The guest calls the host, having burnt `fuel` in all.
    pub(super) fn enter_host(&self, fuel: u64, now: u64) {
        self.set_fuel(fuel);
        self.turn.in_host.store(true, Relaxed);
        self.turn.host_since.store(now, Relaxed);
    }

    /// The guest has its answer. Returns how long the turn has lasted.
    pub(super) fn leave_host(&self, now: u64) -> u64 {
        self.turn.in_host.store(false, Relaxed);
        self.close_span(now);
        now.saturating_sub(self.turn.began_at.load(Relaxed))
    }

    fn close_span(&self, now: u64) {
        let span = now.saturating_sub(self.turn.host_since.load(Relaxed));
        add(&self.turn.host_nanos, span);
    }

    /// The exact fuel burnt so far.
    pub(super) fn set_fuel(&self, fuel: u64) {
        self.fuel.store(fuel, Relaxed);
    }

    /// The turn is over, after `cpu_nanos` of the thread's CPU time. Returns the work to charge for it.
    pub(super) fn end_turn(&self, now: u64, cpu_nanos: u64, measure: CpuMeasure) -> VcpuNanos {
        if self.turn.in_host.load(Relaxed) {
            self.close_span(now);
        }
        add(&self.host_call_nanos, self.turn.host_nanos.load(Relaxed).min(cpu_nanos));
        add(&self.cpu_nanos, cpu_nanos);
        let total = self.vcpu(measure);
        let charged = self.charged.swap(total.0, Relaxed);
        VcpuNanos(total.0.saturating_sub(charged))
    }

    /// Another guest begins at the same place, with all its fuel. Nobody has a turn there.
    pub(super) fn begin_again(&self) {
        add(&self.fuel_before, self.fuel.swap(0, Relaxed));
    }

    pub(super) fn fuel(&self) -> Fuel {
        Fuel(self.fuel_before.load(Relaxed).saturating_add(self.fuel.load(Relaxed)))
    }

    pub(super) fn host_call_time(&self) -> Duration {
        Duration::from_nanos(self.host_call_nanos.load(Relaxed))
    }

    pub(super) fn cpu_time(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanos.load(Relaxed))
    }

    pub(super) fn vcpu(&self, measure: CpuMeasure) -> VcpuNanos {
        measure.vcpu(self.fuel().0, self.host_call_nanos.load(Relaxed), self.cpu_nanos.load(Relaxed))
    }
}

/// Adds without a read-modify-write: there is one writer.
fn add(total: &AtomicU64, more: u64) {
    total.store(total.load(Relaxed).saturating_add(more), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURE: CpuMeasure = CpuMeasure { basis: CpuBasis::Fuel, fuel_per_vcpu_second: 1_000_000_000 };

    /// A host call that outlasts its turn counts in both, and the wait between them in neither.
    #[test]
    fn spans_are_cut_at_the_ends_of_turns() {
        let meter = Meter::default();
        meter.begin_turn(1000);
        meter.enter_host(300, 1100);
        let first = meter.end_turn(1150, 1000, MEASURE);
        assert_eq!(first, VcpuNanos(300 + 50));
        meter.begin_turn(9000);
        meter.leave_host(9020);
        meter.enter_host(500, 9100);
        meter.leave_host(9110);
        let second = meter.end_turn(9200, 1000, MEASURE);
        assert_eq!(second, VcpuNanos(200 + 20 + 10));
        assert_eq!(meter.host_call_time(), Duration::from_nanos(80));
    }

    /// A thread that was put aside in a host call has not worked.
    #[test]
    fn host_time_is_capped_by_cpu_time() {
        let meter = Meter::default();
        meter.begin_turn(0);
        meter.enter_host(0, 0);
        meter.leave_host(5000);
        assert_eq!(meter.end_turn(5000, 70, MEASURE), VcpuNanos(70));
        let by_time = CpuMeasure { basis: CpuBasis::Time, ..MEASURE };
        assert_eq!(meter.vcpu(by_time), VcpuNanos(70));
    }
}
