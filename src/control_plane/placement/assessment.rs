//! A whole choice laid open: each instance held against each rule, those that are left in their order, and the one that is chosen.
//!
//! Nothing is decided here. The verdicts are those that failures are made from, the numbers those that the search compares, and
//! the choice is the search's own, made on a copy so that nothing comes of it.

use std::sync::Arc;

use super::chain::{Chain, Tie};
use super::slot::Slot;
use super::{PlacementIndex, PlacementRequest, RuleVerdict, failure};
use crate::model::capacity::{ContainerInstance, InstanceLaunch, InstanceResources};
use crate::model::ids::ContainerInstanceId;
use crate::model::rng::RandomStream;

/// What comes of a request, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// Every instance that was asked about, in the order of the question.
    pub candidates: Vec<Candidate>,
    /// The one that would be chosen; `None` when none takes the task.
    pub chosen: Option<ContainerInstanceId>,
}

/// An instance and what speaks for and against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub instance: ContainerInstanceId,
    /// What it was launched from.
    pub launch: Arc<InstanceLaunch>,
    /// What each rule says of it, in the order of ECS' pipeline.
    pub verdicts: Vec<RuleVerdict>,
    /// How many tasks of the group it holds.
    pub group_task_count: u32,
    /// Where it stands; `None` when a rule is broken.
    pub position: Option<Position>,
}

/// Where an instance stands among those that take a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// From 1. Those among whom chance decides share one.
    pub place: u32,
    /// Its numbers by the strategies, in the order of [`super::rank_names`].
    pub ranks: Vec<u32>,
}

impl Candidate {
    /// The rules that it breaks.
    pub fn broken(&self) -> impl Iterator<Item = &RuleVerdict> {
        self.verdicts.iter().filter(|verdict| !verdict.is_met)
    }
}

impl PlacementIndex {
    /// Holds instances against every rule, ranks those that break none, and says which of all is chosen.
    ///
    /// Costs a copy of the index and a pass over the instances: meant for a question, not for a placement.
    pub fn assess<'a>(
        &self,
        request: &PlacementRequest<'_>,
        instances: impl Iterator<Item = &'a ContainerInstance>,
        rng: &RandomStream,
    ) -> Assessment {
        let mut copy = self.clone();
        let chosen = copy.place(request, &mut rng.clone()).ok();
        let (group, chain) = (self.group(request.group), Chain::new(request.strategies, request.kind));
        let compared = match chain.tie {
            Tie::Tail => chain.criteria.as_slice(),
            Tie::Random => chain.strategies(),
        };
        let mut order = Vec::new();
        let mut candidates: Vec<Candidate> = (0..)
            .zip(instances)
            .map(|(index, instance): (usize, &ContainerInstance)| {
                let held = self.seen(instance);
                let verdicts = failure::verdicts(&held, request, group, &self.names);
                if verdicts.iter().all(|verdict| verdict.is_met) {
                    order.push((copy.ranks_by(&chain, compared, held.id, request), held.id, index));
                }
                let group_task_count = group.map_or(0, |group| held.task_count(group));
                Candidate { instance: held.id, launch: held.launch.clone(), verdicts, group_task_count, position: None }
            })
            .collect();
        order.sort_unstable();
        let mut place = 0;
        let mut before = None;
        for (number, (ranks, _, index)) in (1..).zip(&order) {
            if chain.tie == Tie::Tail || before != Some(ranks) {
                place = number;
            }
            before = Some(ranks);
            let ranks = ranks[..chain.strategy_count].to_vec();
            candidates[*index].position = Some(Position { place, ranks });
        }
        Assessment { candidates, chosen }
    }

    /// What each rule says of an instance that is not there yet, as it would be when it registers.
    pub fn verdicts_of_fresh(
        &self,
        launch: &Arc<InstanceLaunch>,
        remaining: InstanceResources,
        request: &PlacementRequest<'_>,
    ) -> Vec<RuleVerdict> {
        failure::verdicts(&Slot::fresh(launch, remaining), request, self.group(request.group), &self.names)
    }
}
