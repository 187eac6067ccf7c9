//! Things by task, in the order of ids, found at once.
//!
//! Ids of tasks are dense counters, and most tasks that are known at a time are of about the same age: so the table is a line of pages of
//! 64 ids each, from the oldest known task's to the youngest's. A look-up is two loads, whatever the number of tasks. A page on which
//! nothing is left is given back, so that a task that lives on among millions that are over costs eight bytes for each 64 of those.
//!
//! It is for ids that the control plane has given out: a made-up id may be asked for, but not added.

use std::collections::VecDeque;
use std::ops::Index;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::ids::TaskId;

const PAGE_BITS: u32 = 6;
const PAGE_LENGTH: usize = 1 << PAGE_BITS;

/// Things by task. Iterates in the order of ids.
#[derive(Clone, Debug)]
pub struct TaskTable<T> {
    /// The first one's number is `first_page`. Neither the first nor the last is ever empty.
    pages: VecDeque<Option<Box<Page<T>>>>,
    first_page: u64,
    length: usize,
}

#[derive(Clone, Debug)]
struct Page<T> {
    slots: [Option<T>; PAGE_LENGTH],
    length: usize,
}

impl<T> Default for TaskTable<T> {
    fn default() -> TaskTable<T> {
        TaskTable { pages: VecDeque::new(), first_page: 0, length: 0 }
    }
}

/// The number of an id's page, and its place there.
fn place_of(id: TaskId) -> (u64, usize) {
    let place = id.0 % (1 << PAGE_BITS);
    (id.0 >> PAGE_BITS, usize::try_from(place).unwrap_or(0))
}

impl<T> TaskTable<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is there for a task.
    pub fn get(&self, id: &TaskId) -> Option<&T> {
        let (page, place) = place_of(*id);
        let index = usize::try_from(page.checked_sub(self.first_page)?).ok()?;
        self.pages.get(index)?.as_ref()?.slots[place].as_ref()
    }

    /// What is there for a task.
    pub fn get_mut(&mut self, id: &TaskId) -> Option<&mut T> {
        let (page, place) = place_of(*id);
        let index = usize::try_from(page.checked_sub(self.first_page)?).ok()?;
        self.pages.get_mut(index)?.as_mut()?.slots[place].as_mut()
    }

    /// Whether anything is there for a task.
    pub fn contains_key(&self, id: &TaskId) -> bool {
        self.get(id).is_some()
    }

    /// Puts something there; returns what was there before.
    pub fn insert(&mut self, id: TaskId, thing: T) -> Option<T> {
        let (page, place) = place_of(id);
        if self.pages.is_empty() {
            self.first_page = page;
        }
        while page < self.first_page {
            self.pages.push_front(None);
            self.first_page -= 1;
        }
        let index = usize::try_from(page - self.first_page).expect("ids are dense");
        while self.pages.len() <= index {
            self.pages.push_back(None);
        }
        let new = || Box::new(Page { slots: [const { None }; PAGE_LENGTH], length: 0 });
        let page = self.pages[index].get_or_insert_with(new);
        let before = page.slots[place].replace(thing);
        let added = usize::from(before.is_none());
        page.length += added;
        self.length += added;
        before
    }

    /// Takes out what is there for a task.
    pub fn remove(&mut self, id: &TaskId) -> Option<T> {
        let (number, place) = place_of(*id);
        let index = usize::try_from(number.checked_sub(self.first_page)?).ok()?;
        let slot = self.pages.get_mut(index)?;
        let page = slot.as_mut()?;
        let removed = page.slots[place].take()?;
        page.length -= 1;
        self.length -= 1;
        if page.length == 0 {
            *slot = None;
            while self.pages.front().is_some_and(Option::is_none) {
                self.pages.pop_front();
                self.first_page += 1;
            }
            while self.pages.back().is_some_and(Option::is_none) {
                self.pages.pop_back();
            }
        }
        Some(removed)
    }

    /// Tasks and what is there for them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (TaskId, &T)> {
        let pages = self.pages.iter().enumerate().filter_map(|(index, page)| Some((index, page.as_ref()?)));
        pages.flat_map(|(index, page)| {
            let first = (self.first_page + index as u64) << PAGE_BITS;
            let slots = page.slots.iter().enumerate();
            slots.filter_map(move |(place, slot)| Some((TaskId(first + place as u64), slot.as_ref()?)))
        })
    }

    /// The tasks for which something is there.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = TaskId> {
        self.iter().map(|(id, _)| id)
    }

    /// What is there.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.pages.iter().flatten().flat_map(|page| page.slots.iter().flatten())
    }

    /// What is there.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.pages.iter_mut().flatten().flat_map(|page| page.slots.iter_mut().flatten())
    }
}

/// Written as pairs in the order of ids.
impl<T: Serialize> Serialize for TaskTable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A list tells how long it is.
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TaskTable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TaskTable<T>, D::Error> {
        struct Read<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = TaskTable<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tasks and what is there for each")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<TaskTable<T>, A::Error> {
                let mut table = TaskTable::default();
                while let Some((id, thing)) = pairs.next_element()? {
                    table.insert(id, thing);
                }
                Ok(table)
            }
        }

        deserializer.deserialize_seq(Read(std::marker::PhantomData))
    }
}

impl<T> Index<&TaskId> for TaskTable<T> {
    type Output = T;

    fn index(&self, id: &TaskId) -> &T {
        self.get(id).expect("the caller knows that it is there")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// It is what an ordered map is, under random insertions and removals, and holds on to no empty page at its ends.
    #[test]
    fn is_an_ordered_map() {
        let mut draws = crate::model::rng::Draws::of(7, crate::model::rng::Stream::Work, 0);
        let (mut table, mut map) = (TaskTable::default(), BTreeMap::new());
        for step in 0..20_000u64 {
            // A window of ids that moves on.
            let id = TaskId(5_000 + step / 20 + draws.draw() % 700);
            if draws.draw() % 5 < 2 {
                assert_eq!(table.insert(id, step), map.insert(id, step));
            } else {
                assert_eq!(table.remove(&id), map.remove(&id));
            }
            assert_eq!((table.get(&id), table.len()), (map.get(&id), map.len()));
            if step % 500 == 0 {
                assert!(table.iter().eq(map.iter().map(|(id, thing)| (*id, thing))));
                assert!(table.keys().rev().eq(map.keys().rev().copied()));
                assert!(table.values().eq(map.values()));
                assert!(table.values_mut().eq(map.values_mut()));
            }
        }
        for id in map.into_keys() {
            table.remove(&id);
        }
        assert!(table.is_empty() && table.pages.is_empty());
    }

    /// Ids that nobody gave out are unknown.
    #[test]
    fn asks_for_any_id() {
        let mut table = TaskTable::default();
        assert_eq!(table.get(&TaskId(u64::MAX)), None);
        table.insert(TaskId(1_000), 'a');
        for id in [0, 999, 1_001, 100_000, u64::MAX] {
            assert_eq!(table.get(&TaskId(id)), None);
            assert_eq!(table.remove(&TaskId(id)), None);
        }
        assert_eq!(table[&TaskId(1_000)], 'a');
    }
}
