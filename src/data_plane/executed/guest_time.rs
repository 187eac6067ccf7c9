//! What a guest in simulated time knows of time: the simulation's moment, plus what it has burnt since it was given its turn.
//!
//! While a guest has its turn, the simulation stands still. A guest that looks at the clock must see it go on nevertheless, or
//! would wait for ever for a moment to come; what it has burnt is how far it has got at the full speed of a vCPU. That is only a
//! reading: what it burnt takes simulated time afterwards, longer when the container's share is smaller. So that whatever the
//! guest does to the world outside happens at the right moment, it is made to [catch up] first: its turn ends, the simulation
//! lets the work last as long as it takes, and the guest goes on at the end of it.
//!
//! The work of a host call is a constant, and another for what it moves. What it takes on this host differs from run to run, and must
//! not show.
//!
//! [catch up]: GuestTime::catch_up

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use parking_lot::Mutex;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use crate::data_plane::clock::Clock;
use crate::data_plane::container::Container;
use crate::data_plane::meter::CpuMeasure;
use crate::model::units::{Duration, Timestamp, VcpuNanos};

/// The work of one call of the host. *Ours:* about what one takes that does little.
const HOST_CALL_WORK: VcpuNanos = VcpuNanos(1_000);
/// Bytes that a host call reads or writes in a nanosecond of work. *Ours:* about what copying takes.
const BYTES_A_NANO: u64 = 4;
/// The work of drawing a random byte. *Ours:* about what it takes.
const RANDOM_BYTE_WORK: VcpuNanos = VcpuNanos(4);
/// The most work of one turn, after which the simulation goes on: so long may a guest not hear that it is to stop.
pub(in crate::data_plane) const SLICE_WORK: VcpuNanos = VcpuNanos(10_000_000);

/// The time of one guest.
#[derive(Debug)]
pub(in crate::data_plane) struct GuestTime {
    /// The simulation's: stands still in a turn.
    clock: Clock,
    measure: CpuMeasure,
    /// Work of host calls in nanoseconds.
    host_work: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fuel: u64,
    /// Fuel of earlier guests at the same place.
    fuel_before: u64,
    /// Work of earlier turns.
    charged: VcpuNanos,
    /// What the guest waits for, as far as it was asked in this turn.
    waits: Waits,
    /// The last moment that the guest was told.
    told: Timestamp,
}

/// What a guest waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    /// The earliest moment.
    pub(super) until: Option<Timestamp>,
    /// Standard input, or a moment that never comes.
    pub(super) for_input: bool,
}

impl GuestTime {
    pub(super) fn new(clock: Clock, measure: CpuMeasure) -> GuestTime {
        GuestTime { clock, measure, host_work: AtomicU64::new(0), state: Mutex::default() }
    }

    /// The guest calls the host, having burnt `fuel` in all.
    pub(in crate::data_plane) fn host_called(&self, fuel: u64) {
        self.add_host_work(HOST_CALL_WORK);
        self.state.lock().fuel = fuel;
    }

    /// A host call has read or written so many bytes for the guest.
    pub(in crate::data_plane) fn bytes_moved(&self, bytes: usize) {
        self.add_host_work(VcpuNanos(u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_A_NANO));
    }

    /// A host call has drawn a random byte, or a few, for the guest.
    pub(super) fn random_drawn(&self) {
        self.add_host_work(RANDOM_BYTE_WORK);
    }

    /// There is one writer, so that a load and a store do.
    fn add_host_work(&self, work: VcpuNanos) {
        let sum = self.host_work.load(Ordering::Relaxed).saturating_add(work.0);
        self.host_work.store(sum, Ordering::Relaxed);
    }

    /// The guest has ended, having burnt `fuel` in all.
    pub(in crate::data_plane) fn ended(&self, fuel: u64) {
        self.state.lock().fuel = fuel;
    }

    /// Another guest begins at the same place, with all its fuel.
    pub(super) fn begin_again(&self) {
        let mut state = self.state.lock();
        state.fuel_before += std::mem::take(&mut state.fuel);
    }

    /// A turn begins: what was burnt before is charged.
    pub(super) fn begin_turn(&self) {
        let mut state = self.state.lock();
        state.charged = self.work(&state);
        state.waits = Waits::default();
    }

    /// The guest is asked again what it waits for, in the same turn.
    pub(super) fn ask_again(&self) {
        self.state.lock().waits = Waits::default();
    }

    pub(super) fn waits(&self) -> Waits {
        self.state.lock().waits
    }

    fn work(&self, state: &State) -> VcpuNanos {
        let fuel = self.measure.vcpu(state.fuel_before.saturating_add(state.fuel), 0, 0);
        fuel + VcpuNanos(self.host_work.load(Ordering::Relaxed))
    }

    /// The work of this turn so far.
    pub(super) fn work_of_turn(&self) -> VcpuNanos {
        let state = self.state.lock();
        self.work(&state) - state.charged
    }

    /// The work of all turns, those of earlier guests at the same place included.
    pub(super) fn work_of_all(&self) -> VcpuNanos {
        self.work(&self.state.lock())
    }

    /// Whether the turn has lasted long enough.
    pub(in crate::data_plane) fn is_turn_over(&self) -> bool {
        self.work_of_turn() >= SLICE_WORK
    }

    /// The moment that the guest is told. It never decreases.
    pub(super) fn now(&self) -> Timestamp {
        let mut state = self.state.lock();
        let burnt = Duration::from_nanos((self.work(&state) - state.charged).0);
        state.told = state.told.max(self.clock.now() + burnt);
        state.told
    }

    /// The time since 1970 that the guest is told.
    pub(super) fn calendar_now(&self) -> Duration {
        self.calendar(self.now())
    }

    /// The time since 1970 at which the simulation began.
    pub(super) fn calendar_start(&self) -> Duration {
        self.calendar(Timestamp::ZERO)
    }

    /// Zero for a calendar before 1970, which no guest can be told.
    fn calendar(&self, moment: Timestamp) -> Duration {
        Duration::try_from(self.clock.calendar(moment).as_duration()).unwrap_or_default()
    }

    /// Ends the turn; goes on when the simulation has let all that was burnt in it last as long as it takes.
    pub(in crate::data_plane) async fn catch_up(&self) {
        poll_fn(|context| {
            if self.work_of_turn() == VcpuNanos(0) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Waits for a moment of the guest's own time.
    pub(super) async fn wait_until(&self, moment: Timestamp) {
        poll_fn(|_| {
            if self.now() >= moment {
                return Poll::Ready(());
            }
            self.wait_for(Some(moment));
            Poll::Pending
        })
        .await;
    }

    /// The guest waits for input.
    pub(in crate::data_plane) fn wait_for_input(&self) {
        self.wait_for(None);
    }

    fn wait_for(&self, moment: Option<Timestamp>) {
        let waits = &mut self.state.lock().waits;
        match moment.filter(|moment| *moment < Timestamp(u64::MAX)) {
            Some(moment) => waits.until = Some(waits.until.map_or(moment, |other| other.min(moment))),
            None => waits.for_input = true,
        }
    }
}

/// A guest's clocks, as its context takes them.
pub(in crate::data_plane) struct GuestClock(Arc<Container>);

impl GuestClock {
    pub(in crate::data_plane) fn new(container: Arc<Container>) -> GuestClock {
        GuestClock(container)
    }

    fn now(&self) -> Timestamp {
        self.0.time.as_ref().map_or(Timestamp::ZERO, |time| time.now())
    }
}

impl HostMonotonicClock for GuestClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        GuestClock::now(self).0
    }
}

impl HostWallClock for GuestClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.time.as_ref().map_or(Duration::ZERO, |time| time.calendar_now())
    }
}
