//! Messages between data plane and control plane that do not come as they should: late, twice, or only when they are sent again.
//!
//! What one side sends is sent until the other acknowledges it, so that a lost message is a late one. Two draws of a stream of their own
//! decide on each message, whatever becomes of it.

use super::queue::EventQueue;
use crate::model::fault::MessageFaults;
use crate::model::rng::{RandomStream, Stream};
use crate::model::units::{Duration, Timestamp};

/// The way from one to the other.
#[derive(Debug)]
pub(super) struct Messages<T> {
    faults: MessageFaults,
    stream: RandomStream,
    under_way: EventQueue<T>,
}

/// What became of a message that was sent.
#[derive(Debug)]
pub(super) struct Sent<T> {
    /// It comes at once.
    pub(super) at_once: Option<T>,
    /// How often it comes later.
    pub(super) under_way: u32,
}

impl<T: Clone> Messages<T> {
    pub(super) fn new(faults: MessageFaults, seed: u64, stream: Stream) -> Messages<T> {
        Messages { faults, stream: RandomStream::new(seed, stream), under_way: EventQueue::default() }
    }

    /// Whether each comes at once, and once.
    pub(super) fn are_sound(&self) -> bool {
        self.faults.lost_ppm + self.faults.late_ppm + self.faults.repeated_ppm == 0
    }

    /// Takes a message; gives it back when it comes at once.
    pub(super) fn send(&mut self, now: Timestamp, message: T) -> Sent<T> {
        if self.are_sound() {
            return Sent { at_once: Some(message), under_way: 0 };
        }
        let MessageFaults { lost_ppm, late_ppm, repeated_ppm, delay, resent_after } = &self.faults;
        let fate = u32::try_from(self.stream.below(1_000_000)).unwrap_or(0);
        let delay = Duration::from_nanos(delay.at(self.stream.draw()));
        let (lost, late) = (*lost_ppm, lost_ppm + late_ppm);
        if fate < lost {
            self.under_way.add(now + *resent_after + delay, message);
        } else if fate < late {
            self.under_way.add(now + delay, message);
        } else if fate < late + repeated_ppm {
            self.under_way.add(now + delay, message.clone());
            return Sent { at_once: Some(message), under_way: 1 };
        } else {
            return Sent { at_once: Some(message), under_way: 0 };
        }
        Sent { at_once: None, under_way: 1 }
    }

    /// From here on each comes at once, and once.
    pub(super) fn heal(&mut self) {
        self.faults = MessageFaults::default();
    }

    /// When the next one that is under way comes.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.under_way.next()
    }

    /// One that comes now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<T> {
        self.under_way.take_due(now)
    }
}
