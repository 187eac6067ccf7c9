//! Which revision's tasks a job is for: one queue for each while a deployment moves traffic, and one for all else.
//!
//! Shares are exact at every moment, not on average: each job goes to the revision that is furthest behind its share. *Ours.*

use std::collections::{BTreeMap, VecDeque};

use super::ids::DeploymentId;
use super::traffic::{TrafficKind, TrafficWeights};

/// Things in queues by the deployment whose tasks may take them; `None`: any may.
#[derive(Clone, Debug)]
pub(crate) struct Lanes<T> {
    weights: TrafficWeights,
    /// How far each deployment is behind its share.
    behind: BTreeMap<DeploymentId, i64>,
    queues: BTreeMap<Option<DeploymentId>, VecDeque<T>>,
    len: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Lanes<T> {
        Lanes { weights: TrafficWeights::default(), behind: BTreeMap::new(), queues: BTreeMap::new(), len: 0 }
    }
}

impl<T> Lanes<T> {
    /// How many things wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The lane that a deployment's tasks read.
    pub(crate) fn lane_of(&self, deployment: Option<DeploymentId>) -> Option<DeploymentId> {
        if self.weights.production.is_empty() { None } else { deployment }
    }

    /// Whether anything waits for a deployment's tasks.
    pub(crate) fn has(&self, deployment: Option<DeploymentId>) -> bool {
        self.queues.get(&self.lane_of(deployment)).is_some_and(|queue| !queue.is_empty())
    }

    /// The next thing for a deployment's tasks.
    pub(crate) fn pop(&mut self, deployment: Option<DeploymentId>) -> Option<T> {
        let lane = self.lane_of(deployment);
        let taken = self.queues.get_mut(&lane)?.pop_front()?;
        self.len -= 1;
        Some(taken)
    }

    /// Adds a thing behind the others and says to which lane it came.
    pub(crate) fn push(&mut self, thing: T, kind: TrafficKind) -> Option<DeploymentId> {
        let lane = self.route(kind);
        self.queues.entry(lane).or_default().push_back(thing);
        self.len += 1;
        lane
    }

    /// Puts a thing back before the others: for the same deployment's tasks while that has a share.
    pub(crate) fn put_back(&mut self, thing: T, kind: TrafficKind, from: Option<DeploymentId>) -> Option<DeploymentId> {
        let keeps = from.filter(|id| self.weights.production.contains_key(id) || self.weights.test == Some(*id));
        let lane = match keeps {
            Some(deployment) => self.lane_of(Some(deployment)),
            None => self.route(kind),
        };
        self.queues.entry(lane).or_default().push_front(thing);
        self.len += 1;
        lane
    }

    /// Directs what waits and what comes by other weights; `order` says what came first.
    pub(crate) fn direct<K: Ord>(&mut self, weights: TrafficWeights, order: impl Fn(&T) -> (K, TrafficKind)) {
        let mut all: Vec<T> = std::mem::take(&mut self.queues).into_values().flatten().collect();
        all.sort_by_key(|thing| order(thing).0);
        self.behind = weights.production.keys().map(|id| (*id, 0)).collect();
        self.weights = weights;
        self.len = 0;
        for thing in all {
            let kind = order(&thing).1;
            self.push(thing, kind);
        }
    }

    fn route(&mut self, kind: TrafficKind) -> Option<DeploymentId> {
        if self.weights.production.is_empty() {
            return None;
        }
        if let (TrafficKind::Test, Some(tested)) = (kind, self.weights.test) {
            return Some(tested);
        }
        for (deployment, weight) in &self.weights.production {
            *self.behind.entry(*deployment).or_default() += i64::from(weight.0);
        }
        let total: i64 = self.weights.production.values().map(|weight| i64::from(weight.0)).sum();
        // The older of those that are equally far behind.
        let (next, behind) = self.behind.iter_mut().rev().max_by_key(|(_, behind)| **behind)?;
        *behind -= total;
        Some(*next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::traffic::TrafficWeight;

    fn weights(shares: &[(u64, u32)], test: Option<u64>) -> TrafficWeights {
        let production = shares.iter().map(|&(id, share)| (DeploymentId(id), TrafficWeight(share))).collect();
        TrafficWeights { production, test: test.map(DeploymentId) }
    }

    fn taken(lanes: &mut Lanes<u32>, deployment: u64) -> Vec<u32> {
        std::iter::from_fn(|| lanes.pop(Some(DeploymentId(deployment)))).collect()
    }

    fn filled(lanes: &mut Lanes<u32>, kind: TrafficKind) {
        for number in 0..1000 {
            lanes.push(number, kind);
        }
    }

    /// Without weights any deployment takes any job; with them each takes its share, to the job, also of what waited before.
    #[test]
    fn shares_are_exact() {
        let mut lanes = Lanes::default();
        filled(&mut lanes, TrafficKind::Production);
        assert_eq!(lanes.pop(Some(DeploymentId(9))), Some(0));
        assert_eq!(lanes.pop(None), Some(1));
        lanes.direct(weights(&[(1, 87_500), (2, 12_500)], None), |number| (*number, TrafficKind::Production));
        lanes.push(1000, TrafficKind::Production);
        lanes.push(1001, TrafficKind::Production);
        let (first, second) = (taken(&mut lanes, 1), taken(&mut lanes, 2));
        assert_eq!((first.len(), second.len()), (875, 125));
        assert!(first.is_sorted() && second.is_sorted(), "nobody is overtaken in its lane");
        let gaps: Vec<u32> = second.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap == 8), "one in eight: {gaps:?}");
        assert_eq!(taken(&mut lanes, 3), [] as [u32; 0]);
        assert_eq!(lanes.len(), 0);
    }

    /// What waited for a deployment that lost its share goes to those that have one, in its order.
    #[test]
    fn what_waited_is_directed_anew() {
        let mut lanes = Lanes::default();
        lanes.direct(weights(&[(1, 50_000), (2, 50_000)], None), |number| (*number, TrafficKind::Production));
        filled(&mut lanes, TrafficKind::Production);
        lanes.direct(weights(&[(1, 100_000)], None), |number| (*number, TrafficKind::Production));
        assert_eq!(taken(&mut lanes, 2), [] as [u32; 0]);
        assert_eq!(taken(&mut lanes, 1), (0..1000).collect::<Vec<u32>>());
        lanes.put_back(7, TrafficKind::Production, Some(DeploymentId(2)));
        assert_eq!(taken(&mut lanes, 1), [7], "a job of tasks without a share is put back for others");
    }

    /// Test traffic goes to the revision under test, and else where production traffic goes.
    #[test]
    fn test_traffic_goes_to_the_tested() {
        let mut lanes = Lanes::default();
        lanes.direct(weights(&[(1, 100_000)], Some(2)), |number| (*number, TrafficKind::Test));
        filled(&mut lanes, TrafficKind::Test);
        assert_eq!(taken(&mut lanes, 2).len(), 1000);
        lanes.direct(weights(&[(1, 100_000)], None), |number| (*number, TrafficKind::Test));
        filled(&mut lanes, TrafficKind::Test);
        assert_eq!(taken(&mut lanes, 1).len(), 1000);
    }
}
