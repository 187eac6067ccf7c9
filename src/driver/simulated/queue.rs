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
    /// `None` of the first when it was taken and only its place is left: most of what happens leads to something else, for which there
    /// is room at once.
    what: Option<T>,
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
        let queued = Reverse(Queued { at, sequence: self.added, what: Some(what) });
        self.added += 1;
        if self.is_first_taken()
            && let Some(mut first) = self.heap.peek_mut()
        {
            *first = queued;
        } else {
            self.heap.push(queued);
        }
    }

    /// When the first thing happens.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let at = |Reverse(queued): &Reverse<Queued<T>>| queued.at;
        if self.is_first_taken() {
            // Nothing comes before both that are below it.
            return self.heap.as_slice().iter().skip(1).take(2).map(at).min();
        }
        self.heap.peek().map(at)
    }

    /// Takes the first thing if it happens at `now` or before.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<T> {
        if self.is_first_taken() {
            self.heap.pop();
        }
        let mut first = self.heap.peek_mut().filter(|first| first.0.at <= now)?;
        first.0.what.take()
    }

    /// Up to so many of the things that happen next, in no order: most of the very next are among them.
    pub(super) fn soon(&self, count: usize) -> impl Iterator<Item = &T> {
        self.heap.as_slice().iter().take(count).filter_map(|Reverse(queued)| queued.what.as_ref())
    }

    fn is_first_taken(&self) -> bool {
        self.heap.peek().is_some_and(|Reverse(first)| first.what.is_none())
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

    /// Whatever comes between two that are taken, each comes in its turn, and none twice.
    #[test]
    fn what_was_taken_is_gone() {
        let mut queue = EventQueue::default();
        let mut all: Vec<(u64, u64)> = Vec::new();
        let mut taken: Vec<(u64, u64)> = Vec::new();
        let mut draws = crate::model::rng::Draws::of(7, crate::model::rng::Stream::Work, 0);
        for now in 0..3_000 {
            for _ in 0..draws.draw() % 3 {
                let number = all.len() as u64;
                let at = now + draws.draw() % 40;
                all.push((at, number));
                queue.add(Timestamp(at), number);
            }
            if draws.draw().is_multiple_of(2) {
                assert!(queue.next().is_none_or(|at| at.0 >= taken.last().map_or(0, |(at, _)| *at)));
            }
            while !draws.draw().is_multiple_of(4) {
                let at = queue.next();
                taken.extend(queue.take_due(Timestamp(now)).map(|number| (at.map_or(0, |at| at.0), number)));
            }
        }
        taken.extend(std::iter::from_fn(|| Some((queue.next()?.0, queue.take_due(Timestamp(u64::MAX))?))));
        all.sort_unstable();
        assert_eq!(taken, all);
    }
}
