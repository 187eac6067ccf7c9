//! Events on their way to whoever listens, in the order in which they happened.
//!
//! Waking a sleeping listener costs as much as running a short task, so that workers gather their reports: they are sent
//! when some have come together, when the first of them has waited for a moment, and before a worker parks or gives a
//! turn that may be long. Everybody else sends at once.
//!
//! There is one outbox for everybody, which keeps the order of what several threads say of a task, and one a worker for tasks of which he
//! alone says anything: memory that several cores write to in turn goes from one to the other each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::Sender;
use crossbeam_queue::SegQueue;
use parking_lot::Mutex;

use super::clock::Clock;
use crate::control_plane::event::{Event, TaskStateChange, TaskStep};
use crate::model::ids::TaskId;

/// As many reports are sent together.
const GATHERED_MAX: usize = 32;
/// The longest that a report waits for others while its worker goes from one short turn to the next, in nanoseconds.
const GATHERING_NANOS: u64 = 200_000;

/// Who listens to a data plane. One that is gone is no error: a driver may end before its data plane.
#[derive(Clone, Debug)]
pub enum EventSink {
    /// Event by event.
    Each(Sender<Event>),
    /// Those together that have come together, in their order: a message, and a look at it, for many events.
    Batches(Sender<Vec<Event>>),
}

impl From<Sender<Event>> for EventSink {
    fn from(sender: Sender<Event>) -> EventSink {
        EventSink::Each(sender)
    }
}

impl From<Sender<Vec<Event>>> for EventSink {
    fn from(sender: Sender<Vec<Event>>) -> EventSink {
        EventSink::Batches(sender)
    }
}

/// What is to be sent. Two of them share no line of memory.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Outbox {
    clock: Clock,
    listener: EventSink,
    /// Takes note of the tasks whose end is told.
    ended: Arc<SegQueue<TaskId>>,
    events: Mutex<Vec<Event>>,
    waiting: AtomicUsize,
    first_at: AtomicU64,
}

impl Outbox {
    pub(super) fn new(clock: Clock, listener: EventSink, ended: Arc<SegQueue<TaskId>>) -> Outbox {
        let (events, waiting, first_at) = (Mutex::default(), AtomicUsize::new(0), AtomicU64::new(0));
        Outbox { clock, listener, ended, events, waiting, first_at }
    }

    /// An empty one whose events go where this one's go.
    pub(super) fn another(&self) -> Outbox {
        Outbox::new(self.clock.clone(), self.listener.clone(), self.ended.clone())
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
        for event in &*events {
            if let Event::TaskStateChange(TaskStateChange { task, step: TaskStep::Stopped { .. }, .. }) = event {
                self.ended.push(*task);
            }
        }
        match &self.listener {
            EventSink::Each(listener) => events.drain(..).for_each(|event| drop(listener.send(event))),
            EventSink::Batches(listener) if !events.is_empty() => {
                let _ = listener.send(std::mem::replace(&mut events, Vec::with_capacity(GATHERED_MAX)));
            }
            EventSink::Batches(_) => {}
        }
    }

    /// Sends what waits if it is enough, or has waited long enough. Says whether that was so.
    pub(super) fn flush_gathered(&self, now: u64) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let long = || now.saturating_sub(self.first_at.load(Ordering::Relaxed)) > GATHERING_NANOS;
        let is_due = waiting >= GATHERED_MAX || (waiting > 0 && long());
        if is_due {
            self.flush();
        }
        is_due
    }
}
