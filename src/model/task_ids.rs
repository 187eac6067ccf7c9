//! Sets of tasks, in the order of their ids.
//!
//! Ids are dense counters (see [`super::id_table`]), so that a set is a line of bits from the oldest of its tasks to the youngest: to add, to
//! take out and to ask is one load, and of a million tasks all of it stays in a processor's cache.

use std::collections::VecDeque;
use std::iter::FusedIterator;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::ids::TaskId;
use super::rng::RandomStream;

/// Ids of a word of bits.
const WORD: u64 = u64::BITS as u64;

/// Tries of a draw: where one id in eight is there, one draw in seventy finds none.
const DRAWS: u32 = 32;

/// Tasks, in the order of their ids: to add and to take out one costs the same however many there are.
///
/// It is for ids that the control plane has given out: a made-up id may be asked for, but not added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskIds {
    /// A bit for each id, the least first. The first word's number is `first_word`. Neither the first nor the last is ever empty.
    words: VecDeque<u64>,
    first_word: u64,
    length: usize,
}

/// The number of an id's word, and its bit there.
pub(crate) fn place_of(task: TaskId) -> (u64, u64) {
    (task.0 / WORD, 1 << (task.0 % WORD))
}

impl TaskIds {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether a task is among them.
    pub fn contains(&self, task: &TaskId) -> bool {
        let (word, bit) = place_of(*task);
        self.index_of(word).is_some_and(|index| self.words[index] & bit != 0)
    }

    /// Adds a task; says whether it was not among them.
    pub fn insert(&mut self, task: TaskId) -> bool {
        let (word, bit) = place_of(task);
        if self.words.is_empty() {
            self.first_word = word;
        }
        while word < self.first_word {
            self.words.push_front(0);
            self.first_word -= 1;
        }
        let index = usize::try_from(word - self.first_word).expect("ids are dense");
        if self.words.len() <= index {
            self.words.resize(index + 1, 0);
        }
        let found = &mut self.words[index];
        let is_new = *found & bit == 0;
        *found |= bit;
        self.length += usize::from(is_new);
        is_new
    }

    /// Takes out a task; says whether it was among them.
    pub fn remove(&mut self, task: &TaskId) -> bool {
        let (word, bit) = place_of(*task);
        let Some(index) = self.index_of(word).filter(|index| self.words[*index] & bit != 0) else { return false };
        let left = self.words[index] & !bit;
        self.words[index] = left;
        self.length -= 1;
        if left == 0 {
            while self.words.front() == Some(&0) {
                self.words.pop_front();
                self.first_word += 1;
            }
            while self.words.back() == Some(&0) {
                self.words.pop_back();
            }
        }
        true
    }

    /// The oldest.
    pub fn first(&self) -> Option<TaskId> {
        self.iter().next()
    }

    /// One of them, each with the same chance. It may find none where they are few among the ids between the oldest's and the youngest's.
    pub fn draw(&self, rng: &mut RandomStream) -> Option<TaskId> {
        let places = self.words.len() as u64 * WORD;
        let first = self.first_word * WORD;
        let mut draws = (0..if places == 0 { 0 } else { DRAWS }).map(|_| TaskId(first + rng.below(places)));
        draws.find(|drawn| self.contains(drawn))
    }

    /// All, oldest first.
    pub fn iter(&self) -> Iter<'_> {
        let (front, back) = (Cursor::default(), Cursor { index: self.words.len(), bits: 0 });
        Iter { tasks: self, front, back, left: self.length }
    }

    fn index_of(&self, word: u64) -> Option<usize> {
        let index = usize::try_from(word.checked_sub(self.first_word)?).ok()?;
        (index < self.words.len()).then_some(index)
    }

    /// The id of a bit.
    fn id_of(&self, index: usize, bit: u32) -> TaskId {
        TaskId((self.first_word + index as u64) * WORD + u64::from(bit))
    }
}

impl<'a> IntoIterator for &'a TaskIds {
    type Item = TaskId;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromIterator<TaskId> for TaskIds {
    fn from_iter<T: IntoIterator<Item = TaskId>>(tasks: T) -> TaskIds {
        let mut ids = TaskIds::default();
        for task in tasks {
            ids.insert(task);
        }
        ids
    }
}

/// The tasks of a set.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    tasks: &'a TaskIds,
    front: Cursor,
    back: Cursor,
    /// How many are between the two.
    left: usize,
}

/// How far one end of an iteration has come.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// The word that comes next at the front, or was taken last at the back.
    index: usize,
    /// What is left of the word that it is in.
    bits: u64,
}

impl Iterator for Iter<'_> {
    type Item = TaskId;

    fn next(&mut self) -> Option<TaskId> {
        self.left = self.left.checked_sub(1)?;
        while self.front.bits == 0 {
            self.front.bits = self.tasks.words[self.front.index];
            self.front.index += 1;
        }
        let bit = self.front.bits.trailing_zeros();
        self.front.bits &= self.front.bits - 1;
        Some(self.tasks.id_of(self.front.index - 1, bit))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<TaskId> {
        self.left = self.left.checked_sub(1)?;
        while self.back.bits == 0 {
            self.back.index -= 1;
            self.back.bits = self.tasks.words[self.back.index];
        }
        let bit = self.back.bits.ilog2();
        self.back.bits &= !(1 << bit);
        Some(self.tasks.id_of(self.back.index, bit))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl FusedIterator for Iter<'_> {}

/// Written as a list in the order of ids.
impl Serialize for TaskIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<'de> Deserialize<'de> for TaskIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TaskIds, D::Error> {
        /// A task as it is written, and as it was by builds whose sets were tables.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Id(TaskId),
            Pair([TaskId; 2]),
        }

        let written = Vec::<Written>::deserialize(deserializer)?;
        Ok(written.into_iter().map(|(Written::Id(task) | Written::Pair([task, _]))| task).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::model::rng::{Draws, Stream};

    /// It is what an ordered set is, under random insertions and removals, from both ends, and holds on to nothing empty at its ends.
    #[test]
    fn is_an_ordered_set() {
        let mut draws = Draws::of(7, Stream::Work, 0);
        let (mut ids, mut set) = (TaskIds::default(), BTreeSet::new());
        for step in 0..20_000u64 {
            // A window of ids that moves on.
            let id = TaskId(5_000 + step / 20 + draws.draw() % 700);
            if draws.draw() % 5 < 2 {
                assert_eq!(ids.insert(id), set.insert(id));
            } else {
                assert_eq!(ids.remove(&id), set.remove(&id));
            }
            assert_eq!(
                (ids.contains(&id), ids.len(), ids.first()),
                (set.contains(&id), set.len(), set.first().copied())
            );
            if step % 500 == 0 {
                assert!(ids.iter().eq(set.iter().copied()));
                assert!(ids.iter().rev().eq(set.iter().rev().copied()));
                let mut both = ids.iter();
                let mut from_both: Vec<TaskId> = Vec::new();
                while let Some(front) = both.next() {
                    from_both.extend([Some(front), both.next_back()].into_iter().flatten());
                }
                assert_eq!((both.next(), both.next_back(), from_both.len()), (None, None, set.len()));
                assert_eq!(from_both.into_iter().collect::<BTreeSet<_>>(), set);
            }
        }
        for id in set {
            ids.remove(&id);
        }
        assert!(ids.is_empty() && ids.words.is_empty());
    }

    /// A draw finds each with the same chance, and none where there is next to nothing.
    #[test]
    fn draws_any() {
        let mut rng = RandomStream::new(1, Stream::Placement);
        let mut ids = TaskIds::default();
        assert_eq!(ids.draw(&mut rng), None);
        (0..100).filter(|id| id % 5 > 0).for_each(|id| assert!(ids.insert(TaskId(1_000 + id))));
        let mut counts = BTreeMap::<TaskId, u32>::new();
        for _ in 0..8_000 {
            *counts.entry(ids.draw(&mut rng).expect("most places are taken")).or_default() += 1;
        }
        assert!(counts.keys().copied().eq(&ids));
        assert!(counts.values().all(|count| (60..150).contains(count)), "{counts:?}");
        ids.iter().skip(1).collect::<Vec<_>>().iter().for_each(|id| assert!(ids.remove(id)));
        ids.insert(TaskId(1_000_000));
        assert_eq!(ids.draw(&mut rng), None);
    }

    /// What was written before, as pairs, is read as well.
    #[test]
    fn is_read_as_it_was_written() {
        let ids: TaskIds = [7, 3, 400].map(TaskId).into_iter().collect();
        let text = serde_json::to_string(&ids).unwrap();
        assert_eq!(text, "[3,7,400]");
        for written in [text.as_str(), "[[3,3],[7,7],[400,400]]"] {
            assert_eq!(serde_json::from_str::<TaskIds>(written).unwrap(), ids);
        }
        let packed = rmp_serde::to_vec(&[(3, 3), (7, 7), (400, 400)]).unwrap();
        assert_eq!(rmp_serde::from_slice::<TaskIds>(&packed).unwrap(), ids);
        assert_eq!(rmp_serde::from_slice::<TaskIds>(&rmp_serde::to_vec(&ids).unwrap()).unwrap(), ids);
    }

    /// Ids that nobody gave out are unknown.
    #[test]
    fn asks_for_any_id() {
        let mut ids = TaskIds::default();
        assert!(!ids.contains(&TaskId(u64::MAX)));
        ids.insert(TaskId(1_000));
        for id in [0, 999, 1_001, 100_000, u64::MAX].map(TaskId) {
            assert!(!ids.contains(&id) && !ids.remove(&id));
        }
    }
}
