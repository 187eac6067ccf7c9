//! Events on their way to whoever listens, in the order in which they happened.
//!
//! Waking a sleeping listener costs as much as running a short task, so that workers gather their reports: they are sent
//! when some have come together, when the first of them has waited for a moment, and before a worker parks or gives a
//! turn that may be long. Everybody else sends at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::clock::Clock;
use crate::control_plane::event::Event;

/// As many reports are sent together.
const GATHERED_MAX: usize = 32;
/// The longest that a report waits for others while its worker goes from one short turn to the next, in nanoseconds.
const GATHERING_NANOS: u64 = 200_000;

/// What is to be sent.
#[derive(Debug)]
pub(super) struct Outbox {
    clock: Clock,
    listener: Sender<Event>,
    events: Mutex<Vec<Event>>,
    waiting: AtomicUsize,
    first_at: AtomicU64,
}

impl Outbox {
    pub(super) fn new(clock: Clock, listener: Sender<Event>) -> Outbox {
        let (events, waiting, first_at) = (Mutex::default(), AtomicUsize::new(0), AtomicU64::new(0));
        Outbox { clock, listener, events, waiting, first_at }
    }

    /// Adds an event. It is sent by the next [`Outbox::flush`], whoever calls it.
    pub(super) fn add(&self, event: Event) {
        self.add_all([event]);
    }

    /// The same for several.
    pub(super) fn add_all(&self, more: impl IntoIterator<Item = Event>) {
        let mut events = self.events.lock();
        if events.is_empty() {
            self.first_at.store(self.clock.now().0, Ordering::Relaxed);
        }
        events.extend(more);
        self.waiting.store(events.len(), Ordering::Relaxed);
    }

    /// Sends what waits.
    pub(super) fn flush(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Sent under the lock: another thread must not send later events first.
        let mut events = self.events.lock();
        self.waiting.store(0, Ordering::Relaxed);
        for event in events.drain(..) {
            // Nobody listens any more when the driver has ended before its data plane.
            let _ = self.listener.send(event);
        }
    }

    /// Sends what waits if it is enough, or has waited long enough.
    pub(super) fn flush_gathered(&self, now: u64) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let long = || now.saturating_sub(self.first_at.load(Ordering::Relaxed)) > GATHERING_NANOS;
        if waiting >= GATHERED_MAX || (waiting > 0 && long()) {
            self.flush();
        }
    }
}
