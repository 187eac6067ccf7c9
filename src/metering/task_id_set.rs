//! A set of task ids: which are dense counters, so that millions of finished tasks are a few ranges.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::ids::TaskId;
use crate::model::task_ids::place_of;

/// So many words, from the latest ids back, are at hand: those of sixteen million tasks, in 2 MiB.
const RECENT_WORDS: usize = 1 << 18;

/// Ids are kept by words of 64. Tasks end in about the order of their ids: those words in which ids are still to come lie side by side, so
/// that to ask and to add is one load. Words of which all ids are in the set make ranges; those that some task which lives on has left
/// incomplete long ago are few, and kept by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "WrittenTaskIdSet", into = "WrittenTaskIdSet")]
pub(super) struct TaskIdSet {
    /// The ids of the words from `first_recent` on, one a bit. The first is never complete, and no range reaches as far.
    recent: VecDeque<u64>,
    first_recent: u64,
    /// First to last word of which all ids are in the set, but for recent ones. No two ranges touch.
    last_full_by_first: BTreeMap<u64, u64>,
    /// The ids of words that are not recent and of which some are in the set: never none, and never all but far beyond the recent ones.
    partial: BTreeMap<u64, u64>,
    /// No id beyond it is in the set.
    greatest: u64,
}

/// The set as it is written: every word where it would be were none recent.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct WrittenTaskIdSet {
    last_full_by_first: BTreeMap<u64, u64>,
    partial: BTreeMap<u64, u64>,
    greatest: u64,
}

impl From<WrittenTaskIdSet> for TaskIdSet {
    fn from(written: WrittenTaskIdSet) -> TaskIdSet {
        let WrittenTaskIdSet { last_full_by_first, partial, greatest } = written;
        TaskIdSet { last_full_by_first, partial, greatest, ..TaskIdSet::default() }
    }
}

impl From<TaskIdSet> for WrittenTaskIdSet {
    fn from(mut set: TaskIdSet) -> WrittenTaskIdSet {
        while !set.recent.is_empty() {
            set.put_first_away();
        }
        let TaskIdSet { last_full_by_first, partial, greatest, .. } = set;
        WrittenTaskIdSet { last_full_by_first, partial, greatest }
    }
}

impl TaskIdSet {
    pub(super) fn contains(&self, task: TaskId) -> bool {
        // What starts has most often an id that was never seen.
        if task.0 > self.greatest {
            return false;
        }
        let (word, bit) = place_of(task);
        if let Some(ids) = self.recent_index(word).and_then(|index| self.recent.get(index)) {
            return ids & bit != 0;
        }
        match self.partial.get(&word) {
            Some(ids) => ids & bit != 0,
            None => self.last_full_by_first.range(..=word).next_back().is_some_and(|(_, last)| word <= *last),
        }
    }

    /// Adds an id that is not in the set.
    pub(super) fn insert(&mut self, task: TaskId) {
        self.greatest = self.greatest.max(task.0);
        let (word, bit) = place_of(task);
        let is_after_ranges = || self.last_full_by_first.last_key_value().is_none_or(|(_, last)| *last < word);
        let index = match self.recent.is_empty() {
            true if is_after_ranges() => {
                self.first_recent = word;
                Some(0)
            }
            true => None,
            false => self.recent_index(word),
        };
        match index {
            // Far from all others: made up, or whoever counts has left many out.
            Some(index) if index >= self.recent.len() + RECENT_WORDS => {
                *self.partial.entry(word).or_default() |= bit;
            }
            Some(index) => {
                while self.recent.len() <= index {
                    let next = self.first_recent + self.recent.len() as u64;
                    self.recent.push_back(self.partial.remove(&next).unwrap_or_default());
                }
                self.recent[index] |= bit;
                while self.recent.front() == Some(&u64::MAX) || self.recent.len() > RECENT_WORDS {
                    self.put_first_away();
                }
            }
            None => self.put_aside(word, bit),
        }
    }

    fn recent_index(&self, word: u64) -> Option<usize> {
        usize::try_from(word.checked_sub(self.first_recent)?).ok()
    }

    /// The first of the recent words is none any more.
    fn put_first_away(&mut self) {
        let Some(ids) = self.recent.pop_front() else { return };
        let word = self.first_recent;
        self.first_recent += 1;
        if ids > 0 {
            self.put_aside(word, ids);
        }
    }

    /// Adds ids of a word that is not recent.
    fn put_aside(&mut self, word: u64, added: u64) {
        let ids = self.partial.entry(word).or_default();
        *ids |= added;
        if *ids == u64::MAX {
            self.partial.remove(&word);
            self.insert_full(word);
        }
    }

    fn insert_full(&mut self, word: u64) {
        let following = self.last_full_by_first.remove(&(word + 1));
        let last = following.unwrap_or(word);
        match self.last_full_by_first.range_mut(..word).next_back() {
            Some((_, previous)) if *previous + 1 == word => *previous = last,
            _ => {
                self.last_full_by_first.insert(word, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn written(set: &TaskIdSet) -> WrittenTaskIdSet {
        set.clone().into()
    }

    /// Whatever the order, the set has what was put in, and all that is dense is one range.
    #[test]
    fn dense_ids_become_one_range_in_any_order() {
        let mut set = TaskIdSet::default();
        assert!(!set.contains(TaskId(0)));
        let mut known = BTreeSet::new();
        // 389 is coprime to 1,024: each id once, far from in order.
        let scattered = (0..1024u64).map(|step| 64 + step * 389 % 1024);
        for id in scattered.chain([0, 5_000, u64::MAX, 1, 64 * RECENT_WORDS as u64 * 3]) {
            for other in [id.saturating_sub(1), id, id.saturating_add(1)] {
                assert_eq!(set.contains(TaskId(other)), known.contains(&other), "{other}");
            }
            set.insert(TaskId(id));
            known.insert(id);
            assert!(set.contains(TaskId(id)), "{id}");
        }
        let WrittenTaskIdSet { last_full_by_first, partial, .. } = written(&set);
        assert_eq!(last_full_by_first, BTreeMap::from([(1, 16)]));
        let far = RECENT_WORDS as u64 * 3;
        assert_eq!(partial, BTreeMap::from([(0, 3), (78, 1 << 8), (far, 1), (u64::MAX / 64, 1 << 63)]));
        assert!(!set.contains(TaskId(63)) && !set.contains(TaskId(17 * 64)) && set.contains(TaskId(17 * 64 - 1)));
    }

    /// A task that lives on holds up neither those that come after it nor what is kept of them, and a set that was written goes on as one
    /// that was not.
    #[test]
    fn goes_on_past_those_that_live_on() {
        let mut set = TaskIdSet::default();
        let ids = RECENT_WORDS as u64 * 64 * 2;
        let lives_on = |id: &u64| *id == 5_000 || *id == 70_007;
        (0..ids).filter(|id| !lives_on(id)).for_each(|id| set.insert(TaskId(id)));
        assert_eq!((set.last_full_by_first.len(), set.partial.len()), (3, 2));
        assert!(set.recent.len() <= RECENT_WORDS);
        let mut read: TaskIdSet = written(&set).into();
        for set in [&mut set, &mut read] {
            for id in [5_000, 70_007].map(TaskId) {
                assert!(!set.contains(id));
                set.insert(id);
                assert!(set.contains(id));
            }
            (ids..ids + 100).for_each(|id| set.insert(TaskId(id)));
            let WrittenTaskIdSet { last_full_by_first, partial, greatest } = written(set);
            assert_eq!(last_full_by_first, BTreeMap::from([(0, ids / 64)]));
            assert_eq!((partial, greatest), (BTreeMap::from([(ids / 64 + 1, (1 << 36) - 1)]), ids + 99));
        }
    }
}
