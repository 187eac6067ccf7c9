//! Whom a load balancer routes to: healthy targets, and all where none is healthy.
//!
//! Who is no target is routed to at any time; most services have no load balancer, and for those it costs nothing.

use std::collections::BTreeMap;

use super::ids::DeploymentId;

/// How a target stands with its load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    /// It gets jobs while no other is healthy. **Source:** Elastic Load Balancing user guide: a target group without healthy targets fails open.
    NotHealthy,
    /// It gets jobs.
    Healthy,
    /// It is deregistered and gets none.
    Draining,
}

/// Targets of one service by what they are known by.
#[derive(Clone, Debug)]
pub(crate) struct Routing<K>(BTreeMap<K, (Option<DeploymentId>, Routed)>);

impl<K> Default for Routing<K> {
    fn default() -> Routing<K> {
        Routing(BTreeMap::new())
    }
}

impl<K: Ord> Routing<K> {
    /// A target of a deployment stands so from here on. Says whether that is another.
    pub(crate) fn put(&mut self, key: K, deployment: Option<DeploymentId>, routed: Routed) -> bool {
        self.0.insert(key, (deployment, routed)).is_none_or(|(_, before)| before != routed)
    }

    /// A target is gone. Says whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        !self.0.is_empty() && self.0.remove(key).is_some()
    }

    /// Whether somebody may take jobs. `lane_of` says which jobs a deployment's tasks take: only those that take the same stand in for
    /// each other.
    pub(crate) fn may_take(&self, key: &K, lane_of: impl Fn(Option<DeploymentId>) -> Option<DeploymentId>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        match self.0.get(key) {
            None | Some((_, Routed::Healthy)) => true,
            Some((_, Routed::Draining)) => false,
            Some((deployment, Routed::NotHealthy)) => {
                let lane = lane_of(*deployment);
                !self.0.values().any(|(other, routed)| *routed == Routed::Healthy && lane_of(*other) == lane)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Healthy targets are routed to, others while there is no healthy one beside them, and those that leave never.
    #[test]
    fn healthy_ones_first() {
        let mut routing = Routing::default();
        let old = Some(DeploymentId(1));
        for key in [1, 2] {
            assert!(routing.put(key, old, Routed::NotHealthy));
        }
        routing.put(3, Some(DeploymentId(2)), Routed::NotHealthy);
        routing.put(4, old, Routed::Draining);
        let takers = |routing: &Routing<i32>, has_lanes: bool| -> Vec<i32> {
            let lane_of = |deployment| if has_lanes { deployment } else { None };
            (0..5).filter(|key| routing.may_take(key, lane_of)).collect()
        };
        assert_eq!(takers(&routing, false), [0, 1, 2, 3], "none is healthy");
        assert!(routing.put(2, old, Routed::Healthy));
        assert!(!routing.put(2, old, Routed::Healthy));
        assert_eq!(takers(&routing, false), [0, 2]);
        assert_eq!(takers(&routing, true), [0, 2, 3], "none is healthy in its lane");
        assert!(routing.remove(&2) && !routing.remove(&2));
        assert_eq!(takers(&routing, false), [0, 1, 2, 3]);
    }
}
