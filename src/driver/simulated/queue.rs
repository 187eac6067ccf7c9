//! What is going to happen by itself, by time; what was added first happens first among equals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::units::Timestamp;

/// Things by the moment at which they happen.
#[derive(Clone, Debug)]
pub(super) struct EventQueue<T> {
    heap: BinaryHeap<Reverse<Queued<T>>>,
    added: u64,
}

#[derive(Clone, Debug)]
struct Queued<T> {
    at: Timestamp,
    sequence: u64,
    what: T,
}

impl<T> Queued<T> {
    /// Time and sequence as one number: most of what a queue does is to compare them.
    fn key(&self) -> u128 {
        u128::from(self.at.0) << 64 | u128::from(self.sequence)
    }
}

impl<T> PartialEq for Queued<T> {
    fn eq(&self, other: &Queued<T>) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Queued<T> {}

impl<T> PartialOrd for Queued<T> {
    fn partial_cmp(&self, other: &Queued<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Queued<T> {
    fn cmp(&self, other: &Queued<T>) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> Default for EventQueue<T> {
    fn default() -> EventQueue<T> {
        EventQueue { heap: BinaryHeap::new(), added: 0 }
    }
}

impl<T> EventQueue<T> {
    /// Adds something; it can't be taken back.
    pub(super) fn add(&mut self, at: Timestamp, what: T) {
        self.heap.push(Reverse(Queued { at, sequence: self.added, what }));
        self.added += 1;
    }

    /// When the first thing happens.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(queued)| queued.at)
    }

    /// Takes the first thing if it happens at `now` or before.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(queued)| queued.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By time, then by order.
    #[test]
    fn equals_keep_their_order() {
        let mut queue = EventQueue::default();
        for (at, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b'), (9, 'e')] {
            queue.add(Timestamp(at), what);
        }
        let mut taken = String::new();
        while let Some(what) = queue.take_due(Timestamp(5)) {
            taken.push(what);
        }
        assert_eq!((taken.as_str(), queue.next()), ("abcd", Some(Timestamp(9))));
    }
}
