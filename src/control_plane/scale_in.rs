//! Scale-in: which tasks a service gives up when it has too many that run.
//!
//! It is placement in the mirror, one task after the other: the provider that is most over its share, then what the strategies
//! say, first strategy first. `binpack` gives up a task where the most would be left, `spread` one of the bucket that holds the most;
//! what is chosen counts as gone for the next choice. Without a strategy it is the zone with the most tasks, then the
//! instance with the most.
//!
//! Candidates of one provider and one set of attribute values are a cell; what differs within a cell are numbers of the instance
//! alone, by which its instances are kept in order. A choice so costs a look at each cell, of which there are a few, and one
//! change of an order: thousands of tasks go in milliseconds.
//!
//! Where nothing else decides, as for Fargate tasks, which are nowhere in particular, chance does.
//!
//! **Source:** ecs-semantics §4.2, §5.4, §6.1. *Ours:* tasks on instances that take no tasks any more go first, they have to go anyway.

use std::collections::{BTreeMap, BTreeSet};

use super::capacity_strategy::provider_to_scale_in;
use crate::model::capacity::{CapacityProviderStrategyItem, ContainerInstance, ContainerInstanceStatus};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::rng::RandomStream;
use crate::model::service::{BinpackField, PlacementStrategy, SpreadField};
use crate::model::task::Task;

const AVAILABILITY_ZONE: &str = "ecs.availability-zone";

/// A task of the service and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedTask<'a> {
    pub task: &'a Task,
    /// `None` on Fargate.
    pub instance: Option<&'a ContainerInstance>,
}

/// What a choice is made from.
#[derive(Clone, Debug)]
pub(super) struct ScaleInInputs<'a> {
    /// Tasks of which some are to go.
    pub candidates: Vec<PlacedTask<'a>>,
    /// Other tasks of the service that stay: they count in their buckets.
    pub staying: Vec<PlacedTask<'a>>,
    /// Tasks of the service that were asked to stop and hold their resources still: those count as left already.
    pub leaving: Vec<PlacedTask<'a>>,
    /// The service's capacity provider strategy, empty if it has none.
    pub providers: &'a [CapacityProviderStrategyItem],
    /// The service's placement strategy.
    pub strategies: &'a [PlacementStrategy],
}

/// Chooses `count` of the candidates, in the order in which they are given up.
pub(super) fn choose_victims(inputs: &ScaleInInputs<'_>, count: usize, rng: &mut RandomStream) -> Vec<TaskId> {
    let mut choice = Choice::new(inputs, rng);
    std::iter::from_fn(|| choice.next(inputs.providers)).take(count).collect()
}

/// One criterion of the chain; more of it goes first.
#[derive(Clone, Copy, Debug)]
enum Criterion<'a> {
    Binpack(BinpackField),
    SpreadInstance,
    SpreadAttribute(&'a str),
}

/// The chain of criteria. Behind it chance decides. **Source:** ecs-semantics §4.2.
fn chain_of(strategies: &[PlacementStrategy]) -> Vec<Criterion<'_>> {
    if strategies.is_empty() {
        return vec![Criterion::SpreadAttribute(AVAILABILITY_ZONE), Criterion::SpreadInstance];
    }
    let until_chance = strategies.iter().map_while(|strategy| match strategy {
        PlacementStrategy::Binpack(field) => Some(Criterion::Binpack(*field)),
        PlacementStrategy::Spread(SpreadField::InstanceId) => Some(Criterion::SpreadInstance),
        PlacementStrategy::Spread(SpreadField::Attribute(name)) => Some(Criterion::SpreadAttribute(name)),
        PlacementStrategy::Random => None,
    });
    until_chance.collect()
}

/// An instance with candidates; all candidates on Fargate are on one.
struct Host {
    cell: usize,
    is_stranded: bool,
    cpu_left: u64,
    memory_left: u64,
    /// Tasks of the service that are no candidates.
    staying: u64,
    /// By rank: the last goes first.
    tasks: BTreeSet<Ranked>,
}

/// A candidate with what decides in the end: a number by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: u64,
    task: TaskId,
}

/// Hosts of one provider with the same values of all attributes that count.
struct Cell<'a> {
    provider: Option<&'a str>,
    /// The value of each attribute of the chain.
    values: Vec<Option<&'a str>>,
    /// By what the instances differ in: the last goes first.
    hosts: BTreeSet<(Vec<u64>, Ranked, usize)>,
}

struct Choice<'a> {
    chain: Vec<Criterion<'a>>,
    cells: Vec<Cell<'a>>,
    hosts: Vec<Host>,
    by_provider: BTreeMap<&'a str, u32>,
    /// Candidates by value, for each attribute of the chain.
    by_value: Vec<BTreeMap<Option<&'a str>, u64>>,
    reservations: BTreeMap<TaskId, (u64, u64)>,
}

impl<'a> Choice<'a> {
    fn new(inputs: &ScaleInInputs<'a>, rng: &mut RandomStream) -> Choice<'a> {
        let chain = chain_of(inputs.strategies);
        let attributes: Vec<&str> = chain
            .iter()
            .filter_map(|criterion| match criterion {
                Criterion::SpreadAttribute(name) => Some(*name),
                Criterion::Binpack(_) | Criterion::SpreadInstance => None,
            })
            .collect();
        let mut choice = Choice {
            cells: Vec::new(),
            hosts: Vec::new(),
            by_provider: BTreeMap::new(),
            by_value: vec![BTreeMap::new(); attributes.len()],
            reservations: BTreeMap::new(),
            chain,
        };
        let mut cell_by_key: BTreeMap<(Option<&str>, Vec<Option<&str>>), usize> = BTreeMap::new();
        let mut host_by_key: BTreeMap<(Option<ContainerInstanceId>, Option<&str>), usize> = BTreeMap::new();
        for PlacedTask { task, instance } in &inputs.candidates {
            let provider = task.capacity_provider.as_deref();
            let key = (instance.map(|instance| instance.id), provider);
            let host = *host_by_key.entry(key).or_insert_with(|| {
                let value_of = |name: &&str| instance.and_then(|instance| instance.launch.attribute(name));
                let values: Vec<Option<&str>> = attributes.iter().map(value_of).collect();
                let cell = *cell_by_key.entry((provider, values.clone())).or_insert_with(|| {
                    choice.cells.push(Cell { provider, values, hosts: BTreeSet::new() });
                    choice.cells.len() - 1
                });
                choice.hosts.push(Host {
                    cell,
                    is_stranded: instance.is_some_and(|found| found.status != ContainerInstanceStatus::Active),
                    cpu_left: instance.map_or(0, |instance| instance.remaining.cpu.0.into()),
                    memory_left: instance.map_or(0, |instance| instance.remaining.memory.0.into()),
                    staying: 0,
                    tasks: BTreeSet::new(),
                });
                choice.hosts.len() - 1
            });
            choice.hosts[host].tasks.insert(Ranked { rank: rng.draw(), task: task.id });
            let taken = (u64::from(task.reservation.cpu.0), u64::from(task.reservation.memory.0));
            choice.reservations.insert(task.id, taken);
            if let Some(provider) = provider {
                *choice.by_provider.entry(provider).or_default() += 1;
            }
            let cell = &choice.cells[choice.hosts[host].cell];
            for (counts, value) in choice.by_value.iter_mut().zip(&cell.values) {
                *counts.entry(*value).or_default() += 1;
            }
        }
        let host_of = |found: &PlacedTask<'_>| {
            let key = (found.instance.map(|instance| instance.id), found.task.capacity_provider.as_deref());
            host_by_key.get(&key).copied()
        };
        for found in &inputs.staying {
            if let Some(host) = host_of(found) {
                choice.hosts[host].staying += 1;
            }
            let Some(instance) = found.instance else { continue };
            for (counts, name) in choice.by_value.iter_mut().zip(&attributes) {
                *counts.entry(instance.launch.attribute(name)).or_default() += 1;
            }
        }
        for found in &inputs.leaving {
            if let Some(host) = host_of(found) {
                choice.hosts[host].cpu_left += u64::from(found.task.reservation.cpu.0);
                choice.hosts[host].memory_left += u64::from(found.task.reservation.memory.0);
            }
        }
        for host in 0..choice.hosts.len() {
            choice.line_up(host);
        }
        choice
    }

    /// Gives up the next candidate.
    fn next(&mut self, providers: &[CapacityProviderStrategyItem]) -> Option<TaskId> {
        let count_of = |provider: &str| self.by_provider.get(provider).copied().unwrap_or(0);
        let provider = provider_to_scale_in(providers, count_of).map(|provider| &**provider);
        let eligible = self
            .cells
            .iter()
            .filter(|cell| provider.is_none() || cell.provider == provider)
            .filter_map(|cell| cell.hosts.last().map(|(numbers, ranked, host)| (cell, numbers, *ranked, *host)));
        let (_, _, victim, host) =
            eligible.max_by_key(|(cell, numbers, ranked, _)| (self.merits(cell, numbers), *ranked))?;
        self.give_up(victim, host);
        Some(victim.task)
    }

    /// The numbers of the whole chain for a cell's first host: its own and, between them, the counts of the cell's values.
    fn merits(&self, cell: &Cell<'_>, host_numbers: &[u64]) -> Vec<u64> {
        let mut host_numbers = host_numbers.iter().copied();
        let mut counts = self.by_value.iter().zip(&cell.values).map(|(counts, value)| counts[value]);
        // The first number of a host is whether it is stranded.
        let mut merits: Vec<u64> = host_numbers.next().into_iter().collect();
        merits.extend(self.chain.iter().filter_map(|criterion| match criterion {
            Criterion::SpreadAttribute(_) => counts.next(),
            Criterion::Binpack(_) | Criterion::SpreadInstance => host_numbers.next(),
        }));
        merits
    }

    fn give_up(&mut self, victim: Ranked, host: usize) {
        let cell = self.hosts[host].cell;
        self.cells[cell].hosts.pop_last();
        let (cpu, memory) = self.reservations[&victim.task];
        let found = &mut self.hosts[host];
        found.tasks.remove(&victim);
        found.cpu_left += cpu;
        found.memory_left += memory;
        let cell = &self.cells[cell];
        if let Some(count) = cell.provider.and_then(|provider| self.by_provider.get_mut(provider)) {
            *count -= 1;
        }
        for (counts, value) in self.by_value.iter_mut().zip(&cell.values) {
            if let Some(count) = counts.get_mut(value) {
                *count -= 1;
            }
        }
        self.line_up(host);
    }

    /// Puts a host where it belongs in its cell, if it has candidates left.
    fn line_up(&mut self, index: usize) {
        let host = &self.hosts[index];
        let Some(first) = host.tasks.last().copied() else { return };
        let own = self.chain.iter().filter_map(|criterion| match criterion {
            Criterion::Binpack(BinpackField::Cpu) => Some(host.cpu_left),
            Criterion::Binpack(BinpackField::Memory) => Some(host.memory_left),
            Criterion::SpreadInstance => Some(host.staying + host.tasks.len() as u64),
            Criterion::SpreadAttribute(_) => None,
        });
        let numbers = std::iter::once(u64::from(host.is_stranded)).chain(own).collect();
        self.cells[host.cell].hosts.insert((numbers, first, index));
    }
}

#[cfg(test)]
mod tests;
