//! What a choice goes by: its numbers, and their names.

use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::TaskKind;
use super::chain::{Chain, Criterion, Tie};
use crate::model::service::{PLACEMENT_STRATEGIES_MAX, PlacementStrategy};

/// The numbers of an instance that was chosen, in the order of the strategies: one each, and so few that they lie in the task's own record.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Ranks {
    values: [u32; PLACEMENT_STRATEGIES_MAX],
    count: u8,
}

impl Deref for Ranks {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.values[..usize::from(self.count)]
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// As many as there may be strategies; what would come behind those is left out.
impl FromIterator<u32> for Ranks {
    fn from_iter<I: IntoIterator<Item = u32>>(ranks: I) -> Ranks {
        let mut all = Ranks::default();
        for (place, rank) in all.values.iter_mut().zip(ranks) {
            *place = rank;
            all.count += 1;
        }
        all
    }
}

/// Written as a list.
impl Serialize for Ranks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ranks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ranks, D::Error> {
        let ranks = Vec::<u32>::deserialize(deserializer)?;
        if ranks.len() > PLACEMENT_STRATEGIES_MAX {
            return Err(D::Error::invalid_length(ranks.len(), &"at most one rank for each placement strategy"));
        }
        Ok(ranks.into_iter().collect())
    }
}

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
