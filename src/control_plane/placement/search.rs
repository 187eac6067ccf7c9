//! The choice of an instance: the best of each cell, and the best of those.
//!
//! Within a cell the value of every attribute that is spread over is the same, so the first instance in the order of
//! resources is the best of its cell, and one descent of a tree finds it. Where the tasks on an instance count too, that
//! holds for the instances with the same number of them: the trees of the group's view. The price of a placement is
//! thus a descent for each cell and number of tasks, however many instances there are.
//!
//! A group without a view walks a cell's tree instead. The walk ends at the first instance without a task of the group,
//! so its length is at most the number of instances with one.

use std::ops::ControlFlow;

use super::chain::{Chain, Criterion, Order, Tie};
use super::conditions::{Conditions, GroupNames};
use super::forest::{Forest, Key, SlotIndex, Tree};
use super::partition::{CellIndex, Partition, View};
use super::slot::{GroupIndex, Slot};
use super::{PlacementRequest, is_distinct};
use crate::model::rng::RandomStream;

/// Draws that are made before the candidates are listed. With one in sixteen fit, seven placements in eight need no
/// list; the fewer fit, the shorter the list.
const DRAWS: u32 = 32;

/// Everything that a choice depends on.
pub(super) struct Search<'a> {
    slots: &'a [Slot],
    partition: &'a Partition,
    request: &'a PlacementRequest<'a>,
    chain: &'a Chain<'a>,
    /// The group, if it has a task and the tasks on an instance matter.
    group: Option<GroupIndex>,
    view: Option<&'a View>,
    /// Whether nothing that tells apart the instances of a cell comes before the tasks on them.
    goes_by_tasks_first: bool,
    /// Whether instances that hold the group are out of the question.
    is_distinct: bool,
    /// What it asks of an instance beside resources, and the names of groups for it.
    conditions: &'a Conditions<'a>,
    names: &'a GroupNames,
    /// Enough of the first and of the second resource in the order of the search.
    first: u32,
    second: u32,
    /// The group's tasks in the bucket of each cell, for each attribute.
    bucket_counts: Vec<u32>,
    /// Instances looked at for want of a view.
    pub(super) walked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    slot: SlotIndex,
    cell: CellIndex,
    task_count: u32,
}

/// A run of a tree's instances, by rank.
struct Run<'a> {
    forest: &'a Forest,
    tree: Tree,
    cell: CellIndex,
    start: u32,
    length: u32,
}

impl<'a> Search<'a> {
    /// Prepares a choice over a partition whose order and view are prepared.
    pub(super) fn new(
        slots: &'a [Slot],
        partition: &'a Partition,
        request: &'a PlacementRequest<'a>,
        chain: &'a Chain<'a>,
        group: Option<GroupIndex>,
        (conditions, names): (&'a Conditions<'a>, &'a GroupNames),
    ) -> Search<'a> {
        let is_distinct = is_distinct(request.constraints);
        let (cpu, memory) = (request.reservation.cpu.0, request.reservation.memory.0);
        let (first, second) = match chain.order {
            Order::Cpu => (cpu, memory),
            Order::Memory => (memory, cpu),
        };
        let counted = if counts_tasks_on_instances(chain, request) { group } else { None };
        Search {
            slots,
            partition,
            request,
            chain,
            group: counted,
            view: counted.and_then(|group| partition.view(group, chain.order)),
            goes_by_tasks_first: chain.goes_by_tasks_first(),
            is_distinct,
            conditions,
            names,
            first,
            second,
            bucket_counts: bucket_counts(partition, chain, group),
            walked: 0,
        }
    }

    /// The instance for the task, if there is one.
    pub(super) fn choose(&mut self, rng: &mut RandomStream) -> Option<SlotIndex> {
        let best = self.best()?;
        match self.chain.tie {
            Tie::Tail => Some(best.slot),
            Tie::Random => Some(self.draw(&best, rng)),
        }
    }

    /// The best candidate by all criteria.
    fn best(&mut self) -> Option<Candidate> {
        let mut cells: Vec<CellIndex> = (0..)
            .zip(&self.partition.cells)
            .filter(|(index, cell)| {
                self.partition.is_inhabited(*index)
                    && cell.is_fit
                    && self
                        .request
                        .capacity_provider
                        .is_none_or(|wanted| cell.capacity_provider.as_ref() == Some(wanted))
            })
            .map(|(index, _)| index)
            .collect();
        // Buckets that come before every other criterion order the cells, and the first that has room ends the search.
        let leading =
            self.chain.criteria.iter().take_while(|criterion| matches!(criterion, Criterion::TasksInBucket(_)));
        let leading_count = leading.count();
        let leading = &self.chain.criteria[..leading_count];
        let leading_ranks = |search: &Search<'_>, a: CellIndex, b: CellIndex| -> std::cmp::Ordering {
            leading
                .iter()
                .map(|criterion| search.cell_rank(a, *criterion))
                .cmp(leading.iter().map(|criterion| search.cell_rank(b, *criterion)))
        };
        cells.sort_unstable_by(|a, b| leading_ranks(self, *a, *b).then(a.cmp(b)));
        let mut best: Option<Candidate> = None;
        for cell in cells {
            if best.is_some_and(|best| leading_ranks(self, best.cell, cell).is_lt()) {
                break;
            }
            if let Some(candidate) = self.best_in_cell(cell)
                && best.is_none_or(|best| self.is_better(&candidate, &best))
            {
                best = Some(candidate);
            }
        }
        best
    }

    fn best_in_cell(&mut self, cell: CellIndex) -> Option<Candidate> {
        if let Some(view) = self.view {
            let mut best: Option<Candidate> = None;
            for (task_count, tree) in view.trees_of(cell) {
                if self.is_distinct && task_count > 0 {
                    break;
                }
                if let Some(slot) = self.first_in_tree(&view.forest, tree) {
                    let candidate = Candidate { slot, cell, task_count };
                    if best.is_none_or(|best| self.is_better(&candidate, &best)) {
                        best = Some(candidate);
                    }
                    // The fewer tasks come first, and so has the best.
                    if self.goes_by_tasks_first {
                        break;
                    }
                }
            }
            return best;
        }
        let (forest, tree) = self.partition.tree(self.chain.order, cell);
        if self.group.is_none() {
            return self.first_in_tree(forest, tree).map(|slot| Candidate { slot, cell, task_count: 0 });
        }
        self.best_of_walk(forest, tree, cell)
    }

    /// The first instance of a tree with enough of everything.
    fn first_in_tree(&self, forest: &Forest, tree: Tree) -> Option<SlotIndex> {
        let found = forest.walk(tree, self.first, self.second, &mut |slot, _| {
            let held = &self.slots[slot as usize];
            if held.has_ports(self.request.reservation) && self.conditions.pass(held, self.names) {
                ControlFlow::Break(slot)
            } else {
                ControlFlow::Continue(())
            }
        });
        found.break_value()
    }

    fn best_of_walk(&mut self, forest: &Forest, tree: Tree, cell: CellIndex) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        let mut walked = 0;
        let _: ControlFlow<()> = forest.walk(tree, self.first, self.second, &mut |slot, _| {
            walked += 1;
            let candidate = Candidate { slot, cell, task_count: self.task_count(slot) };
            if best.is_some_and(|best| self.is_hopeless(&candidate, &best)) {
                return ControlFlow::Break(());
            }
            if self.takes(&candidate) && best.is_none_or(|best| self.is_better(&candidate, &best)) {
                best = Some(candidate);
                // Whoever comes later has no less of either resource and cannot have fewer tasks.
                if candidate.task_count == 0 {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        self.walked += walked;
        best
    }

    /// Whether what comes before the tasks on the instance decides against a candidate, and so against all that come
    /// behind it.
    fn is_hopeless(&self, candidate: &Candidate, best: &Candidate) -> bool {
        let mut before = self.chain.criteria.iter().take_while(|criterion| **criterion != Criterion::TasksOnInstance);
        // In the order of the walk the first of them that differs is the greater one.
        before.any(|criterion| self.rank(candidate, *criterion) > self.rank(best, *criterion))
    }

    /// One of the candidates that the strategies hold to be as good as the best, each with the same chance.
    fn draw(&mut self, best: &Candidate, rng: &mut RandomStream) -> SlotIndex {
        let runs = self.tied_runs(best);
        let total: u64 = runs.iter().map(|run| u64::from(run.length)).sum();
        for _ in 0..DRAWS {
            let mut rank = rng.below(total);
            for run in &runs {
                if rank < u64::from(run.length) {
                    let offset = u32::try_from(rank).expect("a rank within a run is below its length");
                    let slot = run.forest.select(run.tree, run.start + offset);
                    let candidate = Candidate { slot, cell: run.cell, task_count: self.task_count(slot) };
                    if self.is_tied(&candidate, best) {
                        return slot;
                    }
                    break;
                }
                rank -= u64::from(run.length);
            }
        }
        let mut tied = Vec::new();
        let mut walked = 0;
        for run in &runs {
            let _: ControlFlow<()> = run.forest.walk(run.tree, self.first, self.second, &mut |slot, _| {
                walked += 1;
                let candidate = Candidate { slot, cell: run.cell, task_count: self.task_count(slot) };
                if self.is_tied(&candidate, best) {
                    tied.push(slot);
                }
                ControlFlow::Continue(())
            });
        }
        if self.group.is_some() && self.view.is_none() {
            self.walked += walked;
        }
        let drawn = usize::try_from(rng.below(tied.len() as u64)).expect("a position in a list");
        tied[drawn]
    }

    /// The parts of trees that hold every candidate as good as the best, and others.
    fn tied_runs(&self, best: &Candidate) -> Vec<Run<'a>> {
        let strategies = self.chain.strategies();
        let key = self.slots[best.slot as usize].key(self.chain.order);
        let (first, second) = match self.chain.order {
            Order::Cpu => (Criterion::Cpu, Criterion::Memory),
            Order::Memory => (Criterion::Memory, Criterion::Cpu),
        };
        let (start, end) = match (strategies.contains(&first), strategies.contains(&second)) {
            (false, _) => (Key::before(self.first, 0), Key::behind(u32::MAX, u32::MAX)),
            (true, false) => (Key::before(key.first, self.second), Key::behind(key.first, u32::MAX)),
            (true, true) => (Key::before(key.first, key.second), Key::behind(key.first, key.second)),
        };
        let mut runs = Vec::new();
        let mut push = |forest: &'a Forest, tree: Tree, cell: CellIndex| {
            let start = forest.rank(tree, &start);
            let length = forest.rank(tree, &end) - start;
            if length > 0 {
                runs.push(Run { forest, tree, cell, start, length });
            }
        };
        for (cell, held) in (0..).zip(&self.partition.cells) {
            let is_wanted = held.is_fit
                && self.request.capacity_provider.is_none_or(|wanted| held.capacity_provider.as_ref() == Some(wanted));
            let mut buckets = strategies.iter().filter(|criterion| matches!(criterion, Criterion::TasksInBucket(_)));
            if !is_wanted || !buckets.all(|bucket| self.cell_rank(cell, *bucket) == self.cell_rank(best.cell, *bucket))
            {
                continue;
            }
            match self.view {
                // There is a view only where the tasks on an instance matter: by strategy, by constraint or by both.
                Some(view) => view
                    .trees_of(cell)
                    .filter(|(task_count, _)| *task_count == best.task_count)
                    .for_each(|(_, tree)| push(&view.forest, tree, cell)),
                None => {
                    let (forest, tree) = self.partition.tree(self.chain.order, cell);
                    push(forest, tree, cell);
                }
            }
        }
        runs
    }

    /// Whether a candidate takes the task and the strategies hold it to be as good as the best.
    fn is_tied(&self, candidate: &Candidate, best: &Candidate) -> bool {
        self.takes(candidate)
            && self
                .chain
                .strategies()
                .iter()
                .all(|criterion| self.rank(candidate, *criterion) == self.rank(best, *criterion))
    }

    /// Whether an instance has what the task needs and no constraint is against it.
    fn takes(&self, candidate: &Candidate) -> bool {
        let held = &self.slots[candidate.slot as usize];
        held.remaining.cpu >= self.request.reservation.cpu
            && held.remaining.memory >= self.request.reservation.memory
            && held.has_ports(self.request.reservation)
            && self.conditions.pass(held, self.names)
            && !(self.is_distinct && candidate.task_count > 0)
    }

    fn is_better(&self, candidate: &Candidate, other: &Candidate) -> bool {
        for criterion in &self.chain.criteria {
            let (rank, other_rank) = (self.rank(candidate, *criterion), self.rank(other, *criterion));
            if rank != other_rank {
                return rank < other_rank;
            }
        }
        // The oldest instance, so that the choice is always the same.
        self.slots[candidate.slot as usize].id < self.slots[other.slot as usize].id
    }

    fn rank(&self, candidate: &Candidate, criterion: Criterion) -> u32 {
        let remaining = &self.slots[candidate.slot as usize].remaining;
        match criterion {
            Criterion::TasksInBucket(_) => self.cell_rank(candidate.cell, criterion),
            Criterion::TasksOnInstance => candidate.task_count,
            Criterion::Cpu => remaining.cpu.0,
            Criterion::Memory => remaining.memory.0,
        }
    }

    /// What a cell has of a criterion that is the same for the whole of it; zero for any other.
    fn cell_rank(&self, cell: CellIndex, criterion: Criterion) -> u32 {
        match criterion {
            Criterion::TasksInBucket(attribute) => {
                self.bucket_counts[cell as usize * self.partition.attributes.len() + attribute]
            }
            _ => 0,
        }
    }

    fn task_count(&self, slot: SlotIndex) -> u32 {
        self.group.map_or(0, |group| self.slots[slot as usize].task_count(group))
    }
}

/// Whether a choice depends on the number of the group's tasks on each instance.
pub(super) fn counts_tasks_on_instances(chain: &Chain<'_>, request: &PlacementRequest<'_>) -> bool {
    is_distinct(request.constraints) || chain.strategies().contains(&Criterion::TasksOnInstance)
}

/// For each cell and attribute, the group's tasks on all active instances with the cell's value of the attribute,
/// whatever their capacity provider. **Source:** ecs-semantics §4.2.
fn bucket_counts(partition: &Partition, chain: &Chain<'_>, group: Option<GroupIndex>) -> Vec<u32> {
    let width = partition.attributes.len();
    let mut counts = vec![0; partition.cells.len() * width];
    let is_spread = chain.criteria.iter().any(|criterion| matches!(criterion, Criterion::TasksInBucket(_)));
    let Some(group) = group.filter(|_| is_spread) else {
        return counts;
    };
    for attribute in 0..width {
        let mut by_value = vec![0; partition.value_count(attribute)];
        for (cell, count) in partition.task_counts(group) {
            by_value[partition.cells[cell as usize].values[attribute] as usize] += count;
        }
        for (cell, held) in partition.cells.iter().enumerate() {
            counts[cell * width + attribute] = by_value[held.values[attribute] as usize];
        }
    }
    counts
}
