//! A handful of tasks, one behind the other.
//!
//! What an instance holds comes with ids that only grow, and goes in any order, the oldest often first. A line of ids in their order takes in
//! what comes at its end, and closes up from its nearer end where one goes: of a hundred ids that is one piece of memory, which nobody
//! allocates anew.

use std::collections::{VecDeque, vec_deque};

use serde::{Deserialize, Serialize};

use super::ids::TaskId;

/// A set of tasks, in the order of their ids, for as many as an instance holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Vec<TaskId>", into = "Vec<TaskId>")]
pub struct TaskList(VecDeque<TaskId>);

impl TaskList {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a task is there.
    pub fn contains(&self, task: TaskId) -> bool {
        self.0.binary_search(&task).is_ok()
    }

    /// Adds a task, unless it is there.
    pub fn insert(&mut self, task: TaskId) {
        if self.0.back().is_none_or(|last| *last < task) {
            self.0.push_back(task);
        } else if let Err(index) = self.0.binary_search(&task) {
            self.0.insert(index, task);
        }
    }

    /// Takes a task out, if it is there.
    pub fn remove(&mut self, task: TaskId) {
        if let Ok(index) = self.0.binary_search(&task) {
            self.0.remove(index);
        }
    }

    /// The tasks.
    pub fn iter(&self) -> vec_deque::Iter<'_, TaskId> {
        self.0.iter()
    }
}

impl From<Vec<TaskId>> for TaskList {
    fn from(mut tasks: Vec<TaskId>) -> TaskList {
        tasks.sort_unstable();
        tasks.dedup();
        TaskList(tasks.into())
    }
}

impl From<TaskList> for Vec<TaskId> {
    fn from(tasks: TaskList) -> Vec<TaskId> {
        tasks.0.into()
    }
}

impl<'a> IntoIterator for &'a TaskList {
    type Item = &'a TaskId;
    type IntoIter = vec_deque::Iter<'a, TaskId>;

    fn into_iter(self) -> vec_deque::Iter<'a, TaskId> {
        self.iter()
    }
}

impl IntoIterator for TaskList {
    type Item = TaskId;
    type IntoIter = vec_deque::IntoIter<TaskId>;

    fn into_iter(self) -> vec_deque::IntoIter<TaskId> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// It is what an ordered set is, whatever comes and goes, and when it was written and read.
    #[test]
    fn is_an_ordered_set() {
        let mut draws = crate::model::rng::Draws::of(7, crate::model::rng::Stream::Work, 0);
        let (mut list, mut set) = (TaskList::default(), BTreeSet::new());
        for step in 0..20_000 {
            let task = TaskId(step / 50 + draws.draw() % 120);
            if draws.draw().is_multiple_of(2) {
                list.insert(task);
                set.insert(task);
            } else {
                list.remove(task);
                set.remove(&task);
            }
            assert_eq!(
                (list.contains(task), list.len(), list.is_empty()),
                (set.contains(&task), set.len(), set.is_empty())
            );
            assert!(list.iter().eq(&set));
        }
        let written = serde_json::to_string(&list).unwrap();
        assert_eq!(written, serde_json::to_string(&set).unwrap());
        assert_eq!(serde_json::from_str::<TaskList>(&written).unwrap(), list);
        assert_eq!(
            serde_json::from_str::<TaskList>("[7, 3, 7]").unwrap().into_iter().collect::<Vec<_>>(),
            [3, 7].map(TaskId)
        );
    }
}
