//! Things by id, in the order of ids, found at once.
//!
//! Ids are dense counters, and most tasks that are known at a time are of about the same age: so the table is a line of pages of
//! 64 ids each, from the oldest known one's to the youngest's. A look-up is two loads, whatever the number of tasks. A page on which
//! nothing is left is given back, so that a task that lives on among millions that are over costs eight bytes for each 64 of those.
//! A few of them are kept for the ids to come: as many begin as end, and an empty page is as good as a new one.
//!
//! It is for ids that the control plane has given out: a made-up id may be asked for, but not added.

use std::collections::{VecDeque, vec_deque};
use std::iter::{FlatMap, Flatten};
use std::marker::PhantomData;
use std::ops::Index;
use std::slice;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::ids::{ContainerInstanceId, CounterId, TaskId};

const PAGE_BITS: u32 = 6;
const PAGE_LENGTH: usize = 1 << PAGE_BITS;
/// Empty pages that are kept.
const SPARE_PAGES_MAX: usize = 16;

/// Things by task.
pub type TaskTable<T> = IdTable<TaskId, T>;

/// Things by container instance.
pub type InstanceTable<T> = IdTable<ContainerInstanceId, T>;

/// Things by id. Iterates in the order of ids.
#[derive(Clone, Debug)]
pub struct IdTable<I, T> {
    /// The first one's number is `first_page`. Neither the first nor the last is ever empty.
    pages: VecDeque<Option<Box<Page<T>>>>,
    first_page: u64,
    length: usize,
    spare_pages: SparePages<T>,
    ids: PhantomData<I>,
}

/// Pages on which nothing is.
#[derive(Debug)]
struct SparePages<T>(Vec<Box<Page<T>>>);

/// A copy of a table needs none of them.
impl<T> Clone for SparePages<T> {
    fn clone(&self) -> SparePages<T> {
        SparePages(Vec::new())
    }
}

impl<T> SparePages<T> {
    fn take(&mut self) -> Box<Page<T>> {
        self.0.pop().unwrap_or_else(|| Box::new(Page { slots: [const { None }; PAGE_LENGTH], length: 0 }))
    }

    fn keep(&mut self, page: Box<Page<T>>) {
        if self.0.len() < SPARE_PAGES_MAX {
            self.0.push(page);
        }
    }
}

#[derive(Clone, Debug)]
struct Page<T> {
    slots: [Option<T>; PAGE_LENGTH],
    length: usize,
}

impl<I, T> Default for IdTable<I, T> {
    fn default() -> IdTable<I, T> {
        IdTable {
            pages: VecDeque::new(),
            first_page: 0,
            length: 0,
            spare_pages: SparePages(Vec::new()),
            ids: PhantomData,
        }
    }
}

/// The number of an id's page, and its place there.
fn place_of<I: CounterId>(id: I) -> (u64, usize) {
    let place = id.number() % (1 << PAGE_BITS);
    (id.number() >> PAGE_BITS, usize::try_from(place).unwrap_or(0))
}

impl<I: CounterId, T> IdTable<I, T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is there for an id.
    pub fn get(&self, id: &I) -> Option<&T> {
        let (page, place) = place_of(*id);
        let index = usize::try_from(page.checked_sub(self.first_page)?).ok()?;
        self.pages.get(index)?.as_ref()?.slots[place].as_ref()
    }

    /// What is there for an id.
    pub fn get_mut(&mut self, id: &I) -> Option<&mut T> {
        let (page, place) = place_of(*id);
        let index = usize::try_from(page.checked_sub(self.first_page)?).ok()?;
        self.pages.get_mut(index)?.as_mut()?.slots[place].as_mut()
    }

    /// What is there for an id; what there is to begin with, where there was nothing.
    pub fn get_or_default(&mut self, id: I) -> &mut T
    where
        T: Default,
    {
        if !self.contains_key(&id) {
            self.insert(id, T::default());
        }
        self.get_mut(&id).expect("it was put there")
    }

    /// Whether anything is there for an id.
    pub fn contains_key(&self, id: &I) -> bool {
        self.get(id).is_some()
    }

    /// Puts something there; returns what was there before.
    pub fn insert(&mut self, id: I, thing: T) -> Option<T> {
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
        let page = self.pages[index].get_or_insert_with(|| self.spare_pages.take());
        let before = page.slots[place].replace(thing);
        let added = usize::from(before.is_none());
        page.length += added;
        self.length += added;
        before
    }

    /// Takes out what is there for an id.
    pub fn remove(&mut self, id: &I) -> Option<T> {
        let (number, place) = place_of(*id);
        let index = usize::try_from(number.checked_sub(self.first_page)?).ok()?;
        let slot = self.pages.get_mut(index)?;
        let page = slot.as_mut()?;
        let removed = page.slots[place].take()?;
        page.length -= 1;
        self.length -= 1;
        if page.length == 0 {
            slot.take().into_iter().for_each(|page| self.spare_pages.keep(page));
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

    /// Ids and what is there for them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> {
        let pages = self.pages.iter().enumerate().filter_map(|(index, page)| Some((index, page.as_ref()?)));
        pages.flat_map(|(index, page)| {
            let first = (self.first_page + index as u64) << PAGE_BITS;
            let slots = page.slots.iter().enumerate();
            slots.filter_map(move |(place, slot)| Some((I::of(first + place as u64), slot.as_ref()?)))
        })
    }

    /// The ids for which something is there.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = I> {
        self.iter().map(|(id, _)| id)
    }

    /// What is there.
    pub fn values(&self) -> Values<'_, T> {
        let things_of: ThingsOf<'_, T> = |page| page.slots.iter().flatten();
        Values(self.pages.iter().flatten().flat_map(things_of))
    }

    /// What is there.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.pages.iter_mut().flatten().flat_map(|page| page.slots.iter_mut().flatten())
    }
}

/// Written as pairs in the order of ids.
impl<I: CounterId + Serialize, T: Serialize> Serialize for IdTable<I, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A list tells how long it is.
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
    }
}

impl<'de, I: CounterId + Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for IdTable<I, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IdTable<I, T>, D::Error> {
        struct Read<I, T>(PhantomData<(I, T)>);

        impl<'de, I: CounterId + Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Read<I, T> {
            type Value = IdTable<I, T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("ids and what is there for each")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<IdTable<I, T>, A::Error> {
                let mut table = IdTable::default();
                while let Some((id, thing)) = pairs.next_element()? {
                    table.insert(id, thing);
                }
                Ok(table)
            }
        }

        deserializer.deserialize_seq(Read(PhantomData))
    }
}

type Pages<'a, T> = Flatten<vec_deque::Iter<'a, Option<Box<Page<T>>>>>;
type Things<'a, T> = Flatten<slice::Iter<'a, Option<T>>>;
type ThingsOf<'a, T> = fn(&'a Box<Page<T>>) -> Things<'a, T>;

/// The things of a table.
#[derive(Clone, Debug)]
pub struct Values<'a, T>(FlatMap<Pages<'a, T>, Things<'a, T>, ThingsOf<'a, T>>);

impl<'a, T> Iterator for Values<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.0.next()
    }
}

impl<'a, T> DoubleEndedIterator for Values<'a, T> {
    fn next_back(&mut self) -> Option<&'a T> {
        self.0.next_back()
    }
}

impl<I: CounterId, T> Index<&I> for IdTable<I, T> {
    type Output = T;

    fn index(&self, id: &I) -> &T {
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
