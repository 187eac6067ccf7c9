//! All deadlines of the control plane, and why it wants to be woken.
//!
//! A wakeup has at most one deadline: setting it again moves it. Nothing here knows what a wakeup leads to, and no
//! wakeup carries state: whoever is woken looks at the cluster as it is then.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::id_table::TaskTable;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::Timestamp;

/// Why the control plane wants to be woken.
///
/// The order of the variants is the order in which wakeups of the same moment are handled: first what changes the state
/// of tasks, then what starts some, then what measures and decides over all of them, then what tidies up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Wakeup {
    /// A task has run long enough to count as healthy. **Source:** ecs-semantics §5.2.
    TaskHealthy(TaskId),
    /// The deregistration delay of a task's targets is over. **Source:** ecs-semantics §2.1.
    TargetsDrained(TaskId),
    /// A Fargate task retires: the wait period after its notice is over. **Source:** ecs-semantics §8.5.
    TaskRetires(TaskId),
    /// A task has waited for capacity as long as it may. **Source:** ecs-semantics §4.5.
    ProvisioningEnds(TaskId),
    /// A service may start tasks again after some failed to start, or says anew why it finds no room for them.
    /// **Source:** ecs-semantics §5.6, §5.11.
    Restart(Arc<str>),
    /// Something that an instance waits for has taken its time: a hook, its tasks, the warm pool's boot, the Spot warning.
    /// **Source:** ecs-semantics §3.3, §9.2, §9.5.
    Instance(ContainerInstanceId),
    /// At full speed a burstable instance would have used up its CPU credits.
    CpuCredits(ContainerInstanceId),
    /// The Auto Scaling group of a capacity provider has something to do: launch again, go on with a refresh, replace the old.
    Group(Arc<str>),
    /// A service may say again what it complained of, if that is still so. **Source:** ecs-semantics §5.11.
    Complaint(Arc<str>),
    /// A service may start tasks again, of which it started as many as it may in a minute. **Source:** ecs-semantics §1.7, §5.3.
    LaunchRate(Arc<str>),
    /// The protection of a service's task from scale-in ends. **Source:** ecs-semantics §2.6.
    ProtectionEnds(Arc<str>),
    /// A service's deployment has baked, or has taken too long. **Source:** ecs-semantics §5.7, §5.8.
    Deployment(Arc<str>),
    /// Scheduled actions of a service take place. **Source:** ecs-semantics §7.4.
    ScheduledAction(Arc<str>),
    /// A part of a metric period ends: datapoints of a high resolution. **Source:** ecs-semantics §10.1.
    HighResolutionPeriod,
    /// A metric period ends: datapoints, alarms and scaling. **Source:** ecs-semantics §6.3, §7.2.
    MetricPeriod,
}

/// Deadlines by wakeup, ordered by time and then by [`Wakeup`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Timers {
    by_time: BTreeSet<(Timestamp, Wakeup)>,
    by_wakeup: BTreeMap<Wakeup, Timestamp>,
    /// Deadlines of tasks, which come and go with each of them and so have a place of their own. One that was moved or forgotten
    /// stays here until it comes first, where it is never found. These were set in the order in which they are due, as most are: each a
    /// while after its task has started.
    #[serde(default)]
    tasks_in_line: VecDeque<(Timestamp, TaskId)>,
    /// And these were not.
    tasks: BinaryHeap<Reverse<(Timestamp, TaskId)>>,
    by_task: TaskTable<Timestamp>,
}

/// So many forgotten deadlines of tasks may be kept beside those that are not.
const TASKS_FORGOTTEN_MAX: usize = 1_000;

impl Timers {
    /// Sets the deadline of a wakeup, in place of the one that it had.
    pub fn set(&mut self, at: Timestamp, wakeup: Wakeup) {
        if let Wakeup::TaskHealthy(task) = wakeup {
            let before = self.by_task.insert(task, at);
            if before != Some(at) {
                self.add_task((at, task));
                if before.is_some() {
                    self.one_forgotten(task);
                }
            }
            return;
        }
        if let Some(before) = self.by_wakeup.insert(wakeup.clone(), at) {
            self.by_time.remove(&(before, wakeup.clone()));
        }
        self.by_time.insert((at, wakeup));
    }

    /// Forgets a wakeup. One that has no deadline is ignored.
    pub fn cancel(&mut self, wakeup: Wakeup) {
        if let Wakeup::TaskHealthy(task) = wakeup {
            if self.by_task.remove(&task).is_some() {
                self.one_forgotten(task);
            }
            return;
        }
        if let Some(at) = self.by_wakeup.remove(&wakeup) {
            self.by_time.remove(&(at, wakeup));
        }
    }

    /// Takes out the first wakeup whose deadline has come.
    ///
    /// Ask again until there is none: what is done for one wakeup may set another that is due at once.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, Wakeup)> {
        self.next_at().filter(|at| *at <= now)?;
        let (at, wakeup) = self.next()?;
        if let Wakeup::TaskHealthy(task) = wakeup {
            self.by_task.remove(&task);
            self.clear_first();
        } else {
            self.by_time.pop_first();
            self.by_wakeup.remove(&wakeup);
        }
        Some((at, wakeup))
    }

    /// The first deadline and what it is for.
    pub fn next(&self) -> Option<(Timestamp, Wakeup)> {
        match (self.first_task(), self.by_time.first()) {
            // Of what is due at the same moment tasks come first.
            (Some((at, task)), other) if other.is_none_or(|(other, _)| at <= *other) => {
                Some((at, Wakeup::TaskHealthy(task)))
            }
            (_, other) => other.cloned(),
        }
    }

    fn next_at(&self) -> Option<Timestamp> {
        let task = self.first_task().map(|(at, _)| at);
        self.by_time.first().map(|(at, _)| *at).into_iter().chain(task).min()
    }

    /// The deadline of a wakeup.
    pub fn deadline_of(&self, wakeup: &Wakeup) -> Option<Timestamp> {
        match wakeup {
            Wakeup::TaskHealthy(task) => self.by_task.get(task).copied(),
            other => self.by_wakeup.get(other).copied(),
        }
    }

    fn add_task(&mut self, deadline: (Timestamp, TaskId)) {
        if self.tasks_in_line.back().is_none_or(|last| *last <= deadline) {
            self.tasks_in_line.push_back(deadline);
        } else {
            self.tasks.push(Reverse(deadline));
        }
    }

    /// The first deadline of a task.
    fn first_task(&self) -> Option<(Timestamp, TaskId)> {
        let other = self.tasks.peek().map(|Reverse(first)| *first);
        self.tasks_in_line.front().copied().into_iter().chain(other).min()
    }

    /// How many deadlines of tasks are kept, forgotten ones included.
    fn kept(&self) -> usize {
        self.tasks_in_line.len() + self.tasks.len()
    }

    /// A deadline of a task does not hold any more: it is taken away if it is the first, and all such are where they are too many.
    fn one_forgotten(&mut self, task: TaskId) {
        let is_first = self.first_task().is_some_and(|(_, first)| first == task);
        if is_first || self.kept() > 2 * self.by_task.len() + TASKS_FORGOTTEN_MAX {
            self.clear_first();
        }
    }

    /// Takes away forgotten deadlines of tasks that come first, and all of them where they are too many.
    fn clear_first(&mut self) {
        let by_task = &self.by_task;
        let holds = |(at, task): &(Timestamp, TaskId)| by_task.get(task) == Some(at);
        while self.tasks_in_line.front().is_some_and(|first| !holds(first)) {
            self.tasks_in_line.pop_front();
        }
        while self.tasks.peek().is_some_and(|Reverse(first)| !holds(first)) {
            self.tasks.pop();
        }
        if self.tasks_in_line.len() + self.tasks.len() > 2 * by_task.len() + TASKS_FORGOTTEN_MAX {
            self.tasks_in_line.retain(holds);
            self.tasks.retain(|Reverse(one)| holds(one));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(timers: &mut Timers, now: u64) -> Vec<(u64, Wakeup)> {
        std::iter::from_fn(|| timers.pop_due(Timestamp(now))).map(|(at, wakeup)| (at.0, wakeup)).collect()
    }

    /// Time decides, and among equals the order of the wakeups, whatever the order of setting.
    #[test]
    fn pops_by_time_and_then_by_wakeup() {
        let mut timers = Timers::default();
        timers.set(Timestamp(5), Wakeup::Restart("c".into()));
        timers.set(Timestamp(5), Wakeup::MetricPeriod);
        timers.set(Timestamp(5), Wakeup::Restart("b".into()));
        timers.set(Timestamp(5), Wakeup::Restart("a".into()));
        timers.set(Timestamp(5), Wakeup::TaskHealthy(TaskId(2)));
        timers.set(Timestamp(3), Wakeup::Group("asg".into()));
        timers.set(Timestamp(9), Wakeup::TaskHealthy(TaskId(1)));
        assert_eq!(timers.next(), Some((Timestamp(3), Wakeup::Group("asg".into()))));
        assert_eq!(
            drain(&mut timers, 8),
            vec![
                (3, Wakeup::Group("asg".into())),
                (5, Wakeup::TaskHealthy(TaskId(2))),
                (5, Wakeup::Restart("a".into())),
                (5, Wakeup::Restart("b".into())),
                (5, Wakeup::Restart("c".into())),
                (5, Wakeup::MetricPeriod),
            ]
        );
        assert_eq!(timers.next(), Some((Timestamp(9), Wakeup::TaskHealthy(TaskId(1)))));
    }

    /// A deadline is due at its moment, not before.
    #[test]
    fn is_due_at_its_moment() {
        let mut timers = Timers::default();
        timers.set(Timestamp(10), Wakeup::MetricPeriod);
        assert_eq!(timers.pop_due(Timestamp(9)), None);
        assert_eq!(timers.pop_due(Timestamp(10)), Some((Timestamp(10), Wakeup::MetricPeriod)));
        assert_eq!(timers.next(), None);
        assert_eq!(timers.deadline_of(&Wakeup::MetricPeriod), None);
    }

    /// Setting again moves the deadline both ways, and cancelling leaves nothing behind.
    #[test]
    fn moves_and_cancels() {
        let mut timers = Timers::default();
        for at in [10, 20, 5] {
            timers.set(Timestamp(at), Wakeup::Restart("web".into()));
            assert_eq!(timers.deadline_of(&Wakeup::Restart("web".into())), Some(Timestamp(at)));
        }
        timers.set(Timestamp(7), Wakeup::MetricPeriod);
        timers.cancel(Wakeup::Restart("api".into()));
        assert_eq!(drain(&mut timers, 100), vec![(5, Wakeup::Restart("web".into())), (7, Wakeup::MetricPeriod)]);
        timers.set(Timestamp(1), Wakeup::MetricPeriod);
        timers.cancel(Wakeup::MetricPeriod);
        assert_eq!(timers.next(), None);
        assert_eq!(drain(&mut timers, 100), vec![]);
    }

    /// Deadlines of tasks move, go and come in order as all others do, however many of them were forgotten.
    #[test]
    fn tasks_come_and_go() {
        let mut timers = Timers::default();
        let task = |number: u64| Wakeup::TaskHealthy(TaskId(number));
        for number in 0..10_000 {
            timers.set(Timestamp(number + 10), task(number));
            timers.set(Timestamp(20_000 - number), task(number));
            if number % 100 != 7 {
                timers.cancel(task(number));
            }
            assert!(timers.kept() <= 2 * timers.by_task.len() + TASKS_FORGOTTEN_MAX);
        }
        timers.set(Timestamp(10_093), Wakeup::MetricPeriod);
        assert_eq!(timers.deadline_of(&task(9_907)), Some(Timestamp(10_093)));
        assert_eq!(timers.next(), Some((Timestamp(10_093), task(9_907))));
        assert_eq!(timers.next_at(), Some(Timestamp(10_093)));
        let all: Vec<u64> = drain(&mut timers, 30_000).into_iter().map(|(at, _)| at).collect();
        assert_eq!((all.len(), all[..3].to_vec()), (101, vec![10_093, 10_093, 10_193]));
        assert!(all.is_sorted());
    }
}
