//! The choice of the task that a service gives up: placement in the mirror.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PlacementIndex;
use super::chain::AVAILABILITY_ZONE;
use super::forest::SlotIndex;
use super::slot::{GroupIndex, attribute};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::rng::RandomStream;
use crate::model::service::{BinpackField, PlacementStrategy, SpreadField};

/// A task that may be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The task.
    pub task: TaskId,
    /// Where it is.
    pub instance: ContainerInstanceId,
}

impl PlacementIndex {
    /// The task to stop when a service has one too many, of those that may be stopped.
    ///
    /// Tasks on instances that take no tasks any more go first: they have to go anyway. Then each strategy narrows the
    /// choice: `binpack` to the instance with the most left, `spread` to the bucket with the most tasks, `random` to
    /// one by chance; without a strategy it is the zone with the most tasks, then the instance with the most. Of what
    /// is left, chance picks behind a spread over an attribute; otherwise the youngest task goes.
    ///
    /// The cost is a pass over the candidates for each strategy.
    ///
    /// **Source:** ecs-semantics §4.2. *Ours:* the first step, and the youngest task as the last one. "Most left" is
    /// counted before the victim goes, which is the same for tasks of one size.
    ///
    /// # Panics
    /// When there is no candidate.
    pub fn choose_victim(
        &self,
        candidates: &[Candidate],
        strategies: &[PlacementStrategy],
        group: &Arc<str>,
        rng: &mut RandomStream,
    ) -> TaskId {
        assert!(!candidates.is_empty(), "a victim is chosen from someone");
        let stranded = candidates.iter().filter(|candidate| self.active(candidate.instance).is_none());
        if let Some(youngest) = stranded.map(|candidate| candidate.task).max() {
            return youngest;
        }
        let group = self.group(group);
        let mut left: Vec<(TaskId, SlotIndex)> = candidates
            .iter()
            .filter_map(|candidate| Some((candidate.task, self.active(candidate.instance)?)))
            .collect();
        let default = [
            PlacementStrategy::Spread(SpreadField::Attribute(AVAILABILITY_ZONE.to_owned())),
            PlacementStrategy::Spread(SpreadField::InstanceId),
        ];
        let mut is_by_chance = false;
        for strategy in if strategies.is_empty() { &default } else { strategies } {
            match strategy {
                PlacementStrategy::Binpack(BinpackField::Cpu) => {
                    keep_most(&mut left, |slot| self.slot(slot).remaining.cpu.0);
                }
                PlacementStrategy::Binpack(BinpackField::Memory) => {
                    keep_most(&mut left, |slot| self.slot(slot).remaining.memory.0);
                }
                PlacementStrategy::Spread(SpreadField::InstanceId) => {
                    keep_most(&mut left, |slot| group.map_or(0, |group| self.slot(slot).task_count(group)));
                }
                PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
                    let counts = self.tasks_by_value(group, name);
                    keep_most(&mut left, |slot| {
                        let value = attribute(&self.slot(slot).launch, name);
                        counts.get(&value).copied().unwrap_or(0)
                    });
                }
                PlacementStrategy::Random => {}
            }
            is_by_chance =
                matches!(strategy, PlacementStrategy::Spread(SpreadField::Attribute(_)) | PlacementStrategy::Random);
            if *strategy == PlacementStrategy::Random {
                break;
            }
        }
        if is_by_chance {
            let drawn = usize::try_from(rng.below(left.len() as u64)).expect("a position in a list");
            return left[drawn].0;
        }
        left.iter().map(|(task, _)| *task).max().expect("the most of some is one of them")
    }

    /// The group's tasks on active instances by the value of an attribute.
    fn tasks_by_value(&self, group: Option<GroupIndex>, name: &str) -> BTreeMap<Option<&str>, u32> {
        let mut counts = BTreeMap::new();
        let Some(group) = group else {
            return counts;
        };
        for partition in &self.partitions {
            // The counts of the group's cells are there already, and they are few.
            if let Some(attribute) = partition.attributes.iter().position(|known| known == name) {
                let values = partition.values_of(attribute);
                for (cell, count) in partition.task_counts(group) {
                    let value = partition.cells[cell as usize].values[attribute];
                    *counts.entry(values[value as usize]).or_default() += count;
                }
                return counts;
            }
        }
        for held in self.slots.iter().filter(|held| held.is_active()) {
            *counts.entry(attribute(&held.launch, name)).or_default() += held.task_count(group);
        }
        counts
    }
}

/// Keeps the tasks on the instances that have the most of something.
fn keep_most(left: &mut Vec<(TaskId, SlotIndex)>, measure: impl Fn(SlotIndex) -> u32) {
    let most = left.iter().map(|(_, slot)| measure(*slot)).max();
    left.retain(|(_, slot)| Some(measure(*slot)) == most);
}
