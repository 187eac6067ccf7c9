//! What the control plane asks of the data plane, on its way there: StartTask, StopTask, DeregisterTargets, LaunchInstance, TerminateInstance.
//!
//! ECS' agent acknowledges what it is sent, and what is not acknowledged is sent again: a lost message is a late one, and one whose
//! acknowledgement is lost comes twice. Messages are numbered. A data plane takes each of them once, and one that a later message about the
//! same task or instance has overtaken is out of date: what it asks for is answered as over and not begun. So a task whose
//! StopTask was faster than its StartTask leaves no orphan, and one that is over does not run again.
//! *Ours:* the numbers, in place of the agent's sequence numbers.
//!
//! What is remembered of a task or an instance is forgotten when no message about it is under way any more.

use std::collections::{BTreeMap, BTreeSet};

use super::messages::Messages;
use crate::control_plane::action::Action;
use crate::model::fault::MessageFaults;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::rng::Stream;
use crate::model::units::Timestamp;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Task(TaskId),
    Instance(ContainerInstanceId),
}

/// A message with its number.
#[derive(Clone, Debug)]
struct Numbered {
    number: u64,
    subject: Subject,
    action: Action,
}

/// What the data plane has taken of the messages about one thing.
#[derive(Clone, Debug, Default)]
struct Taken {
    /// Messages that have not come, repetitions included.
    under_way: u32,
    /// The numbers of those that have.
    numbers: BTreeSet<u64>,
}

/// What is to be done about a message that has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arrived {
    /// It is carried out.
    InTime(Action),
    /// A later one about the same thing has come before it.
    Overtaken(Action),
    /// It has come before.
    Repeated,
}

/// The way from control plane to data plane.
#[derive(Debug)]
pub(super) struct Orders {
    messages: Messages<Numbered>,
    taken: BTreeMap<Subject, Taken>,
    last_number: u64,
}

fn subject_of(action: &Action) -> Option<Subject> {
    match action {
        Action::LaunchInstance { instance, .. } | Action::TerminateInstance { instance } => {
            Some(Subject::Instance(*instance))
        }
        Action::StartTask(start) => Some(Subject::Task(start.task)),
        Action::StopTask { task } | Action::DeregisterTargets { task } => Some(Subject::Task(*task)),
        _ => None,
    }
}

impl Orders {
    pub(super) fn new(faults: MessageFaults, seed: u64) -> Orders {
        let messages = Messages::new(faults, seed, Stream::Actions);
        Orders { messages, taken: BTreeMap::new(), last_number: 0 }
    }

    /// Sends a message; gives it back as it comes, when it comes at once. What is no message of these kinds always does.
    pub(super) fn send(&mut self, now: Timestamp, action: Action) -> Option<Arrived> {
        let Some(subject) = subject_of(&action) else { return Some(Arrived::InTime(action)) };
        if self.messages.are_sound() && self.taken.is_empty() {
            return Some(Arrived::InTime(action));
        }
        self.last_number += 1;
        let sent = self.messages.send(now, Numbered { number: self.last_number, subject, action });
        let taken = self.taken.entry(subject).or_default();
        taken.under_way += sent.under_way;
        // The one that comes at once is under way for this moment.
        let at_once = sent.at_once?;
        taken.under_way += 1;
        Some(self.arrive(at_once))
    }

    fn arrive(&mut self, message: Numbered) -> Arrived {
        let Numbered { number, subject, action } = message;
        let taken = self.taken.get_mut(&subject).expect("what is under way is remembered");
        taken.under_way -= 1;
        let is_overtaken = taken.numbers.last().is_some_and(|newest| *newest > number);
        let is_new = taken.numbers.insert(number);
        if taken.under_way == 0 {
            self.taken.remove(&subject);
        }
        match (is_new, is_overtaken) {
            (false, _) => Arrived::Repeated,
            (true, true) => Arrived::Overtaken(action),
            (true, false) => Arrived::InTime(action),
        }
    }

    /// From here on each comes at once, and once.
    pub(super) fn heal(&mut self) {
        self.messages.heal();
    }

    /// When the next one that is under way comes.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.messages.next()
    }

    /// One that comes now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Arrived> {
        let message = self.messages.take_due(now)?;
        Some(self.arrive(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::distribution::Distribution;
    use crate::model::units::Duration;

    fn terminate(id: u64) -> Action {
        Action::TerminateInstance { instance: ContainerInstanceId(id) }
    }

    fn stop(id: u64) -> Action {
        Action::StopTask { task: TaskId(id) }
    }

    /// A message that is sent twice is taken once; it is remembered for as long as its repetition is under way.
    #[test]
    fn a_repetition_is_known() {
        let delay = Distribution::Constant(1_000);
        let faults = MessageFaults { repeated_ppm: 1_000_000, delay, ..MessageFaults::default() };
        let mut orders = Orders::new(faults, 1);
        assert_eq!(orders.send(Timestamp(5), stop(1)), Some(Arrived::InTime(stop(1))));
        assert_eq!((orders.next(), orders.taken.len()), (Some(Timestamp(1_005)), 1));
        assert_eq!(orders.take_due(Timestamp(1_005)), Some(Arrived::Repeated));
        assert_eq!((orders.next(), orders.taken.len()), (None, 0));
    }

    /// A message that comes after a later one about the same thing is out of date; what is about other things is not touched by it.
    #[test]
    fn what_was_overtaken_is_out_of_date() {
        let resent_after = Duration::from_nanos(1_000);
        let faults = MessageFaults { lost_ppm: 1_000_000, resent_after, ..MessageFaults::default() };
        let mut orders = Orders::new(faults, 1);
        assert_eq!(orders.send(Timestamp(5), terminate(1)), None);
        orders.heal();
        assert_eq!(orders.send(Timestamp(6), terminate(1)), Some(Arrived::InTime(terminate(1))));
        assert_eq!(orders.send(Timestamp(6), stop(1)), Some(Arrived::InTime(stop(1))));
        assert_eq!(orders.take_due(Timestamp(1_005)), Some(Arrived::Overtaken(terminate(1))));
        assert!(orders.taken.is_empty());
    }
}
