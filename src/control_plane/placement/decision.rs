//! What a choice goes by, in words.

use super::TaskKind;
use super::chain::{Chain, Criterion, Tie};
use crate::model::service::PlacementStrategy;

/// What the numbers of a choice count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankNames {
    /// In the order of the strategies, as in `tasks of the group by ecs.availability-zone`. The least wins.
    pub criteria: Vec<String>,
    /// Who wins among those that are equal in all of them.
    pub among_equals: &'static str,
}

/// What the ranks of a choice by some strategies count. **Source:** ecs-semantics §4.2.
pub fn rank_names(strategies: &[PlacementStrategy], kind: TaskKind) -> RankNames {
    let chain = Chain::new(strategies, kind);
    let name = |criterion: &Criterion| match criterion {
        Criterion::TasksInBucket(attribute) => format!("tasks of the group by {}", chain.attributes[*attribute]),
        Criterion::TasksOnInstance => "tasks of the group on the instance".to_owned(),
        Criterion::Cpu => "CPU units left".to_owned(),
        Criterion::Memory => "MiB left".to_owned(),
    };
    let among_equals = match chain.tie {
        Tie::Tail => "the fullest, then the oldest",
        Tie::Random => "chance",
    };
    RankNames { criteria: chain.strategies().iter().map(name).collect(), among_equals }
}
