//! The active instances, parted into cells in which nothing but resources and task counts tells them apart.
//!
//! A cell holds the instances of one capacity provider that agree in every attribute of the partition. The zone's
//! partition always exists; one for other attributes is built when a strategy first spreads over them.
//!
//! A partition for tasks that want devices parts instances by whether they have enough left, so that an instance changes its cell
//! when its last GPU goes. There is one for each number that is wanted, and they are few.
//!
//! A [`View`] has the instances of each cell in trees, in one order of resources. Where the number of a group's tasks on an
//! instance matters, a view of that group's own parts cells further, by that number. A view costs a pass over all instances, and
//! placements without one of their group's own walk past the instances that hold the group. So that is built once a group
//! has walked as far as building it takes. A view is brought up to date, from a log of the instances that changed, only when a
//! task is placed by it: one that is left alone costs the others nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chain::Order;
use super::conditions::{Conditions, LastingConditions};
use super::forest::{Forest, SlotIndex, Tree};
use super::slot::{GroupIndex, Slot};
use crate::model::task_definition::Devices;
use crate::model::written_form::is_default;

/// The position of a cell in its partition.
pub(super) type CellIndex = u32;

const NO_CELL: CellIndex = CellIndex::MAX;

/// When what is kept for speed is built and dropped. No choice depends on it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Limits {
    /// The walk that a view is worth, in instances looked at for each instance that it would hold.
    pub(super) walk_per_instance: u64,
    /// The walk that a view over next to nothing is worth.
    pub(super) walk_min: u64,
    /// Views kept in a partition. The one that was used longest ago makes room.
    pub(super) views_max: usize,
    /// Changes kept for views beyond two for each instance.
    pub(super) changes_max: usize,
    /// Cells without an instance that are kept in the hope of one, beyond half of all.
    pub(super) vacant_cells_max: usize,
    /// Partitions kept: each costs something at every change of an instance.
    pub(super) partitions_max: usize,
}

impl Default for Limits {
    /// Inserting an instance into a view takes about as long as looking at four.
    fn default() -> Limits {
        Limits {
            walk_per_instance: 4,
            walk_min: 256,
            views_max: 64,
            changes_max: 1024,
            vacant_cells_max: 64,
            partitions_max: 16,
        }
    }
}

/// Capacity provider, values of attributes, whether the conditions are met, and whether there are enough devices.
type CellKey = (Option<Arc<str>>, Vec<u32>, bool, bool);

/// Instances that only resources and counts tell apart.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Cell {
    /// Their capacity provider.
    pub(super) capacity_provider: Option<Arc<str>>,
    /// Their values of the partition's attributes, by index into the values met so far.
    pub(super) values: Vec<u32>,
    /// Whether they fulfil the partition's conditions and have its devices.
    pub(super) is_fit: bool,
    /// Whether they have the partition's devices.
    has_devices: bool,
    /// How many there are.
    instance_count: u32,
}

/// Trees over the cells as one group sees them, or as all do who count no tasks, in one order of resources.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct View {
    /// Its nodes.
    pub(super) forest: Forest,
    /// A tree for each cell and number of the group's tasks on an instance, which is zero without a group. None is empty.
    pub(super) trees: BTreeMap<(CellIndex, u32), Tree>,
    /// Where each slot is.
    place_of: Vec<(CellIndex, u32)>,
    /// The changes that it has taken in.
    synced: u64,
    used_at: u64,
}

/// The active instances by capacity provider and the values of some attributes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Partition {
    /// The attributes, sorted.
    pub(super) attributes: Vec<String>,
    /// What its instances may fulfil or not.
    pub(super) conditions: LastingConditions,
    /// The devices that its instances may have left or not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) devices: Devices,
    /// The cells.
    pub(super) cells: Vec<Cell>,
    /// When it was used last, by the index's count of placements.
    pub(super) used_at: u64,
    limits: Limits,
    values: Vec<BTreeMap<Option<String>, u32>>,
    cell_by_key: BTreeMap<CellKey, CellIndex>,
    cell_of: Vec<CellIndex>,
    vacant_cell_count: usize,
    instance_count: u32,
    /// Those that count no group's tasks. Built anew where they are not there.
    #[serde(skip)]
    plain_views: BTreeMap<Order, View>,
    task_counts: BTreeMap<(GroupIndex, CellIndex), u32>,
    views: BTreeMap<(GroupIndex, Order), View>,
    walked: BTreeMap<GroupIndex, u64>,
    changed: VecDeque<SlotIndex>,
    changed_start: u64,
}

impl Partition {
    /// Parts the active instances by some attributes, which are sorted, conditions and devices.
    pub(super) fn new(
        attributes: &[&str],
        (conditions, devices): (&Conditions<'_>, Devices),
        slots: &[Slot],
        limits: Limits,
    ) -> Partition {
        let mut partition = Partition {
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
            conditions: LastingConditions::of(conditions),
            devices,
            cells: Vec::new(),
            used_at: 0,
            limits,
            values: vec![BTreeMap::new(); attributes.len()],
            cell_by_key: BTreeMap::new(),
            cell_of: Vec::new(),
            vacant_cell_count: 0,
            instance_count: 0,
            plain_views: BTreeMap::new(),
            task_counts: BTreeMap::new(),
            views: BTreeMap::new(),
            walked: BTreeMap::new(),
            changed: VecDeque::new(),
            changed_start: 0,
        };
        for (slot, held) in (0..).zip(slots) {
            if held.is_active() {
                partition.insert(slot, held);
            }
        }
        partition
    }

    /// The cell of an active instance.
    pub(super) fn cell_of(&self, slot: SlotIndex) -> &Cell {
        &self.cells[self.cell_of[slot as usize] as usize]
    }

    /// Looks at where an instance is: see [`super::super::look_ahead`].
    pub(super) fn look_ahead_at(&self, slot: SlotIndex) -> u64 {
        let cell = self.cell_of.get(slot as usize).copied().unwrap_or_default();
        let views = self.plain_views.values().chain(self.views.values());
        views.fold(u64::from(cell), |seen, view| seen ^ view.look_ahead_at(slot))
    }

    /// The group's tasks on all instances with a cell's value of an attribute.
    pub(super) fn tasks_in_bucket(&self, group: GroupIndex, attribute: usize, of: &Cell) -> u32 {
        let is_same = |cell: &CellIndex| self.cells[*cell as usize].values[attribute] == of.values[attribute];
        self.task_counts(group).filter(|(cell, _)| is_same(cell)).map(|(_, count)| count).sum()
    }

    /// How many values of an attribute were met so far.
    pub(super) fn value_count(&self, attribute: usize) -> usize {
        self.values[attribute].len()
    }

    /// Whether a cell has instances.
    pub(super) fn is_inhabited(&self, cell: CellIndex) -> bool {
        self.cells[cell as usize].instance_count > 0
    }

    /// Whether cells that came and went with their attributes' values outnumber the others.
    pub(super) fn is_overgrown(&self) -> bool {
        self.vacant_cell_count > self.limits.vacant_cells_max + self.cells.len() / 2
    }

    /// Takes in an active instance with the tasks that it holds.
    pub(super) fn insert(&mut self, slot: SlotIndex, held: &Slot) {
        let cell = self.cell_for(held);
        if self.cell_of.len() <= slot as usize {
            self.cell_of.resize(slot as usize + 1, NO_CELL);
        }
        self.cell_of[slot as usize] = cell;
        self.instance_count += 1;
        let inhabitants = &mut self.cells[cell as usize].instance_count;
        *inhabitants += 1;
        if *inhabitants == 1 {
            self.vacant_cell_count -= 1;
        }
        for (group, count) in &held.tasks {
            *self.task_counts.entry((*group, cell)).or_default() += count;
        }
        self.note_change(slot);
    }

    /// Lets go of an active instance with the tasks that it holds.
    pub(super) fn remove(&mut self, slot: SlotIndex, held: &Slot) {
        let cell = std::mem::replace(&mut self.cell_of[slot as usize], NO_CELL);
        self.instance_count -= 1;
        let inhabitants = &mut self.cells[cell as usize].instance_count;
        *inhabitants -= 1;
        if *inhabitants == 0 {
            self.vacant_cell_count += 1;
        }
        for (group, count) in &held.tasks {
            self.count_tasks_off(*group, cell, *count);
        }
        self.note_change(slot);
    }

    /// Takes in that an active instance has a task more, and what it has left.
    pub(super) fn reserve(&mut self, slot: SlotIndex, held: &Slot, group: GroupIndex) {
        let cell = self.cell_of[slot as usize];
        *self.task_counts.entry((group, cell)).or_default() += 1;
        self.resettle(cell, slot, held);
    }

    /// Takes in that an active instance has a task less, and what it has left.
    pub(super) fn release(&mut self, slot: SlotIndex, held: &Slot, group: GroupIndex) {
        let cell = self.cell_of[slot as usize];
        self.count_tasks_off(group, cell, 1);
        self.resettle(cell, slot, held);
    }

    /// Forgets a group that has no task left.
    pub(super) fn forget_group(&mut self, group: GroupIndex) {
        self.views.remove(&(group, Order::Cpu));
        self.views.remove(&(group, Order::Memory));
        self.walked.remove(&group);
        if self.has_no_view() {
            self.forget_changes();
        }
    }

    /// The group's tasks by cell, where there are any.
    pub(super) fn task_counts(&self, group: GroupIndex) -> impl Iterator<Item = (CellIndex, u32)> + '_ {
        self.task_counts.range((group, 0)..=(group, CellIndex::MAX)).map(|((_, cell), count)| (*cell, *count))
    }

    /// Makes sure that there are trees in an order for whoever counts no group's tasks, or has no view of its own.
    pub(super) fn prepare_order(&mut self, order: Order, slots: &[Slot], used_at: u64) {
        let changes_end = self.changes_end();
        match self.plain_views.get_mut(&order) {
            Some(view) => {
                view.used_at = used_at;
                let log = (&self.changed, self.changed_start);
                view.take_in(log, None, order, slots, &self.cell_of);
            }
            None => {
                let view = View::new(None, order, slots, &self.cell_of, changes_end, used_at);
                self.plain_views.insert(order, view);
            }
        }
        self.forget_changes_of_one();
    }

    /// Brings a group's view up to date, or builds it when the group has walked far enough without. Says whether there is one.
    pub(super) fn prepare_view(&mut self, group: GroupIndex, order: Order, slots: &[Slot], used_at: u64) -> bool {
        if let Some(view) = self.views.get_mut(&(group, order)) {
            view.used_at = used_at;
            let log = (&self.changed, self.changed_start);
            view.take_in(log, Some(group), order, slots, &self.cell_of);
            self.forget_changes_of_one();
            return true;
        }
        let walked = self.walked.get(&group).copied().unwrap_or(0);
        if walked < self.limits.walk_min + self.limits.walk_per_instance * u64::from(self.instance_count) {
            return false;
        }
        self.walked.remove(&group);
        if self.views.len() >= self.limits.views_max {
            let idle = self.views.iter().min_by_key(|(key, view)| (view.used_at, **key)).map(|(key, _)| *key);
            self.views.remove(&idle.expect("there are as many views as may be"));
        }
        let view = View::new(Some(group), order, slots, &self.cell_of, self.changes_end(), used_at);
        self.views.insert((group, order), view);
        true
    }

    /// A group's view, if it has one: as it was when [`Partition::prepare_view`] was called.
    pub(super) fn view(&self, group: GroupIndex, order: Order) -> Option<&View> {
        self.views.get(&(group, order))
    }

    /// How many views there are.
    #[cfg(test)]
    pub(super) fn view_count(&self) -> usize {
        self.views.len()
    }

    /// Notes how far a group has walked for want of a view.
    pub(super) fn note_walk(&mut self, group: GroupIndex, steps: u64) {
        *self.walked.entry(group).or_default() += steps;
    }

    /// The tree of a cell and its forest, as they were when [`Partition::prepare_order`] was called.
    ///
    /// # Panics
    /// When the order was not prepared.
    pub(super) fn tree(&self, order: Order, cell: CellIndex) -> (&Forest, Tree) {
        let view = &self.plain_views[&order];
        (&view.forest, view.trees.get(&(cell, 0)).copied().unwrap_or(Tree::EMPTY))
    }

    fn cell_for(&mut self, held: &Slot) -> CellIndex {
        let mut values = Vec::with_capacity(self.attributes.len());
        for (name, known) in self.attributes.iter().zip(&mut self.values) {
            let value = held.attribute(name).map(str::to_owned);
            let next = u32::try_from(known.len()).expect("an instance brings one value at most");
            values.push(*known.entry(value).or_insert(next));
        }
        let key =
            (held.launch.capacity_provider.clone(), values, self.conditions.are_met(held), self.has_devices(held));
        if let Some(cell) = self.cell_by_key.get(&key) {
            return *cell;
        }
        let cell = u32::try_from(self.cells.len()).expect("an instance brings one cell at most");
        self.cells.push(Cell {
            capacity_provider: key.0.clone(),
            values: key.1.clone(),
            is_fit: key.2 && key.3,
            has_devices: key.3,
            instance_count: 0,
        });
        self.cell_by_key.insert(key, cell);
        self.vacant_cell_count += 1;
        cell
    }

    fn count_tasks_off(&mut self, group: GroupIndex, cell: CellIndex, count: u32) {
        let left = self.task_counts.get_mut(&(group, cell)).expect("the tasks of an active instance are counted");
        *left -= count;
        if *left == 0 {
            self.task_counts.remove(&(group, cell));
        }
    }

    fn has_devices(&self, held: &Slot) -> bool {
        self.devices == Devices::NONE || held.remaining.devices.have(self.devices)
    }

    /// Puts an active instance whose resources have changed where it belongs.
    fn resettle(&mut self, cell: CellIndex, slot: SlotIndex, held: &Slot) {
        if self.cells[cell as usize].has_devices == self.has_devices(held) {
            self.note_change(slot);
        } else {
            self.remove(slot, held);
            self.insert(slot, held);
        }
    }

    fn has_no_view(&self) -> bool {
        self.views.is_empty() && self.plain_views.is_empty()
    }

    fn note_change(&mut self, slot: SlotIndex) {
        if self.has_no_view() {
            return;
        }
        self.changed.push_back(slot);
        // A view so far behind is cheaper to build from scratch.
        let most = 2 * self.instance_count as usize + self.limits.changes_max;
        if self.changed.len() > most {
            let dropped = self.changed.len() / 2;
            self.changed.drain(..dropped);
            self.changed_start += dropped as u64;
            // Nothing but its trees would be kept.
            let start = self.changed_start;
            self.plain_views.retain(|_, view| view.synced >= start);
        }
    }

    fn changes_end(&self) -> u64 {
        self.changed_start + self.changed.len() as u64
    }

    /// Empties the log after a view was brought up to date, when there is no other.
    fn forget_changes_of_one(&mut self) {
        if self.views.len() + self.plain_views.len() == 1 {
            self.forget_changes();
        }
    }

    /// Empties the log when no view is behind it.
    fn forget_changes(&mut self) {
        self.changed_start += self.changed.len() as u64;
        self.changed.clear();
    }
}

impl View {
    fn look_ahead_at(&self, slot: SlotIndex) -> u64 {
        let place = self.place_of.get(slot as usize).map_or(0, |(cell, count)| cell ^ count);
        u64::from(place) ^ self.forest.look_ahead_at(slot)
    }

    fn new(
        group: Option<GroupIndex>,
        order: Order,
        slots: &[Slot],
        cell_of: &[CellIndex],
        synced: u64,
        used_at: u64,
    ) -> View {
        let mut view =
            View { forest: Forest::default(), trees: BTreeMap::new(), place_of: Vec::new(), synced, used_at };
        for ((slot, held), cell) in (0..).zip(slots).zip(cell_of) {
            view.reposition(group, order, slot, held, *cell);
        }
        view
    }

    /// The trees of a cell by the number of the group's tasks, least first.
    pub(super) fn trees_of(&self, cell: CellIndex) -> impl Iterator<Item = (u32, Tree)> + '_ {
        self.trees.range((cell, 0)..=(cell, u32::MAX)).map(|((_, count), tree)| (*count, *tree))
    }

    /// Takes in the changes of a log, which begins with the change of that number.
    fn take_in(
        &mut self,
        (log, start): (&VecDeque<SlotIndex>, u64),
        group: Option<GroupIndex>,
        order: Order,
        slots: &[Slot],
        cell_of: &[CellIndex],
    ) {
        let end = start + log.len() as u64;
        let Some(seen) = self.synced.checked_sub(start) else {
            // The log no longer reaches back to this view: as many instances have changed as there are.
            *self = View::new(group, order, slots, cell_of, end, self.used_at);
            return;
        };
        let seen = usize::try_from(seen).expect("the log is as long as it is");
        for slot in log.range(seen..) {
            self.reposition(group, order, *slot, &slots[*slot as usize], cell_of[*slot as usize]);
        }
        self.synced = end;
    }

    /// Puts an instance where it belongs: nowhere, when it has no cell.
    fn reposition(&mut self, group: Option<GroupIndex>, order: Order, slot: SlotIndex, held: &Slot, cell: CellIndex) {
        let index = slot as usize;
        if self.place_of.len() <= index {
            self.place_of.resize(index + 1, (NO_CELL, 0));
        }
        let old = self.place_of[index];
        let new = (cell, group.filter(|_| cell != NO_CELL).map_or(0, |group| held.task_count(group)));
        let key = held.key(order);
        if old == new && (cell == NO_CELL || self.forest.key(slot) == key) {
            return;
        }
        if old.0 != NO_CELL {
            let tree = self.trees.get_mut(&old).expect("an instance is where it was put");
            self.forest.remove(tree, slot);
            if *tree == Tree::EMPTY {
                self.trees.remove(&old);
            }
        }
        if cell != NO_CELL {
            self.forest.insert(self.trees.entry(new).or_insert(Tree::EMPTY), slot, key);
        }
        self.place_of[index] = new;
    }
}
