//! What a choice went by, in words.

use super::TaskKind;
use super::chain::{Chain, Criterion, Tie};
use crate::model::service::PlacementStrategy;

/// One number of a choice and what it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// What is counted, as in `tasks of the group by ecs.availability-zone`.
    pub what: String,
    /// How much of it the chosen instance had; `None` for chance.
    pub value: Option<u32>,
}

/// What the ranks of a choice count, in the order of the strategies, and last who wins among equals.
pub fn rank_names(strategies: &[PlacementStrategy], kind: TaskKind) -> (Vec<String>, &'static str) {
    let chain = Chain::new(strategies, kind);
    let name = |criterion: &Criterion| match criterion {
        Criterion::TasksInBucket(attribute) => format!("tasks of the group by {}", chain.attributes[*attribute]),
        Criterion::TasksOnInstance => "tasks of the group on the instance".to_owned(),
        Criterion::Cpu => "CPU units left".to_owned(),
        Criterion::Memory => "MiB left".to_owned(),
    };
    let last = match chain.tie {
        Tie::Tail => "the fullest, then the oldest",
        Tie::Random => "chance",
    };
    (chain.strategies().iter().map(name).collect(), last)
}
