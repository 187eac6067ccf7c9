//! A list of placement strategies as a list of criteria, each a number of which less is better.
//!
//! Strategies are chained: the first narrows the candidates to the best, the next breaks ties among them, and so on,
//! which is the lexicographic order of the criteria. Whatever the strategies leave open is decided by the same tail: the least remaining CPU, then
//! the least remaining memory, then the oldest instance. *Ours:* ECS does not say. Filling the fuller instance first
//! keeps the largest holes for large tasks and lets whole instances run empty, which scale-in needs.

use serde::{Deserialize, Serialize};

use super::TaskKind;
use crate::model::service::{BinpackField, PlacementStrategy, SpreadField};

/// The attribute of the zone, which ECS sets on every instance. **Source:** ecs-semantics §3.5.
pub(super) const AVAILABILITY_ZONE: &str = "ecs.availability-zone";

/// What an ordered search goes by first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(super) enum Order {
    /// Remaining CPU, then memory.
    Cpu,
    /// Remaining memory, then CPU.
    Memory,
}

/// One number to minimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Criterion {
    /// The group's tasks on all instances with the same value of the attribute: its index in [`Chain::attributes`].
    TasksInBucket(usize),
    /// The group's tasks on the instance.
    TasksOnInstance,
    /// Remaining CPU.
    Cpu,
    /// Remaining memory.
    Memory,
}

/// Who wins among the candidates that the criteria of the strategies leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// The tail.
    Tail,
    /// Each with the same chance.
    Random,
}

/// What a list of strategies comes to.
#[derive(Clone, Debug)]
pub(super) struct Chain<'a> {
    /// The attributes that are spread over, sorted, each once.
    pub(super) attributes: Vec<&'a str>,
    /// The criteria of the strategies, then the tail. None comes twice, since a second time it decides nothing.
    pub(super) criteria: Vec<Criterion>,
    /// How many of the criteria stand for strategies.
    pub(super) strategy_count: usize,
    /// What comes behind those.
    pub(super) tie: Tie,
    /// The order of the resources among the criteria.
    pub(super) order: Order,
}

impl<'a> Chain<'a> {
    /// Reads the strategies; an empty list is ECS' default: for a service the zone with the fewest of its tasks, then
    /// the instance with the fewest, and chance for a standalone task. **Source:** ecs-semantics §4.2.
    pub(super) fn new(strategies: &'a [PlacementStrategy], kind: TaskKind) -> Chain<'a> {
        let mut attributes: Vec<&str> = strategies
            .iter()
            .filter_map(|strategy| match strategy {
                PlacementStrategy::Spread(SpreadField::Attribute(name)) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        attributes.sort_unstable();
        attributes.dedup();
        // The zone has trees of its own at all times, and nothing else needs any.
        if attributes.is_empty() {
            attributes.push(AVAILABILITY_ZONE);
        }
        let mut criteria = Vec::with_capacity(strategies.len() + 4);
        let mut tie = Tie::Tail;
        if strategies.is_empty() {
            match kind {
                TaskKind::Service => criteria.extend([Criterion::TasksInBucket(0), Criterion::TasksOnInstance]),
                TaskKind::Standalone => tie = Tie::Random,
            }
        }
        for strategy in strategies {
            let criterion = match strategy {
                PlacementStrategy::Binpack(BinpackField::Cpu) => Criterion::Cpu,
                PlacementStrategy::Binpack(BinpackField::Memory) => Criterion::Memory,
                PlacementStrategy::Spread(SpreadField::InstanceId) => Criterion::TasksOnInstance,
                PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
                    let index = attributes.binary_search(&name.as_str()).expect("every attribute was collected");
                    Criterion::TasksInBucket(index)
                }
                // One candidate is left behind it: what follows has nothing to decide.
                PlacementStrategy::Random => {
                    tie = Tie::Random;
                    break;
                }
            };
            push_once(&mut criteria, criterion);
        }
        let strategy_count = criteria.len();
        push_once(&mut criteria, Criterion::Cpu);
        push_once(&mut criteria, Criterion::Memory);
        let order = criteria.iter().find_map(|criterion| match criterion {
            Criterion::Cpu => Some(Order::Cpu),
            Criterion::Memory => Some(Order::Memory),
            _ => None,
        });
        let order = order.expect("the tail has both");
        Chain { attributes, criteria, strategy_count, tie, order }
    }

    /// Whether the first criterion that may differ within a bucket is the number of tasks on an instance.
    pub(super) fn goes_by_tasks_first(&self) -> bool {
        let mut within = self.criteria.iter().filter(|criterion| !matches!(criterion, Criterion::TasksInBucket(_)));
        within.next() == Some(&Criterion::TasksOnInstance)
    }

    /// The criteria that stand for strategies.
    pub(super) fn strategies(&self) -> &[Criterion] {
        &self.criteria[..self.strategy_count]
    }
}

fn push_once(criteria: &mut Vec<Criterion>, criterion: Criterion) {
    if !criteria.contains(&criterion) {
        criteria.push(criterion);
    }
}
