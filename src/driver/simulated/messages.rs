//! Messages from the data plane that do not come as they should: late, twice, or only when they are sent again.
//!
//! What a data plane reports is sent until it is acknowledged, so that a lost message is a late one. Two draws of a stream of their own
//! decide on each message, whatever becomes of it.

use super::queue::EventQueue;
use crate::control_plane::event::Event;
use crate::model::fault::MessageFaults;
use crate::model::rng::{RandomStream, Stream};
use crate::model::units::{Duration, Timestamp};

/// The way between data plane and control plane.
#[derive(Debug)]
pub(super) struct Messages {
    faults: MessageFaults,
    stream: RandomStream,
    under_way: EventQueue<Event>,
}

impl Messages {
    pub(super) fn new(faults: MessageFaults, seed: u64) -> Messages {
        Messages { faults, stream: RandomStream::new(seed, Stream::Messages), under_way: EventQueue::default() }
    }

    /// Takes a message; gives it back when it comes at once.
    pub(super) fn send(&mut self, now: Timestamp, event: Event) -> Option<Event> {
        let MessageFaults { lost_ppm, late_ppm, repeated_ppm, delay, resent_after } = &self.faults;
        if lost_ppm + late_ppm + repeated_ppm == 0 {
            return Some(event);
        }
        let fate = u32::try_from(self.stream.below(1_000_000)).unwrap_or(0);
        let delay = Duration::from_nanos(delay.at(self.stream.draw()));
        let (lost, late) = (*lost_ppm, lost_ppm + late_ppm);
        if fate < lost {
            self.under_way.add(now + *resent_after + delay, event);
        } else if fate < late {
            self.under_way.add(now + delay, event);
        } else {
            if fate < late + repeated_ppm {
                self.under_way.add(now + delay, event.clone());
            }
            return Some(event);
        }
        None
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
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Event> {
        self.under_way.take_due(now)
    }
}
