//! Availability zone rebalancing: a steady service whose zones are out of balance moves tasks from the heavy ones to the light.
//!
//! It looks once a metric period. Which tasks are to go is decided here; the deployment's planner starts a replacement of each, which
//! the spread over zones takes to the lightest one, and stops it once that one is healthy. It adds no instances: a zone counts only as
//! far as its instances have room.
//!
//! **Source:** ecs-semantics §5.10.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::ServiceActionEvent;
use super::placement::{PlacementRequest, TaskKind};
use super::state::{ClusterState, PlacementRules, ReplaceCause, Service, ServiceStatus, Steadiness};
use crate::model::capacity::{AVAILABILITY_ZONE, LaunchTarget};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::service::{
    AvailabilityZoneRebalancing, PlacementConstraint, PlacementStrategy, SchedulingStrategy, SpreadField,
};
use crate::model::task_definition::LaunchType;

/// A zone as a service sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Zone {
    /// The service's tasks there that stay.
    tasks: Vec<TaskId>,
    /// How many more its instances have room for.
    room: u32,
}

/// What a service was like when its tasks were last moved.
///
/// *Ours:* it tries again only from a better state, or with other instances or another count: whatever sends the replacements back to
/// where the tasks were (the providers of its strategy, for one) would keep it busy for ever.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct LastMove {
    /// The squares of the zones' counts: less is better balanced.
    imbalance: u64,
    instances: Vec<ContainerInstanceId>,
    desired_count: u32,
    is_over: bool,
}

impl Service {
    /// Whether its tasks are moved between zones. **Source:** ecs-semantics §5.10.
    fn is_rebalanced(&self) -> bool {
        let spec = &self.spec;
        if self.has_task_sets() {
            return false;
        }
        let is_spread_over_zones = match spec.placement_strategy.first() {
            None => true,
            Some(PlacementStrategy::Spread(SpreadField::Attribute(name))) => name == AVAILABILITY_ZONE,
            Some(_) => false,
        };
        let rules = spec.placement_rules(&self.primary().task_definition);
        let names_zone = rules.constraints.iter().any(|constraint| match constraint {
            PlacementConstraint::MemberOf(query) => query.names_attribute(AVAILABILITY_ZONE),
            PlacementConstraint::DistinctInstance => false,
        });
        self.status == ServiceStatus::Active
            && spec.availability_zone_rebalancing == AvailabilityZoneRebalancing::Enabled
            && spec.scheduling_strategy == SchedulingStrategy::Replica
            && spec.launch_target != LaunchTarget::LaunchType(LaunchType::Fargate)
            && self.has_room_to_move()
            && is_spread_over_zones
            && !names_zone
    }
}

impl Service {
    /// Whether a task can be started before the one that it replaces is stopped. *Ours:* a percentage above 100 of a small count may
    /// round down to the count itself, and then nothing can move either.
    fn has_room_to_move(&self) -> bool {
        self.bounds().upper > self.spec.desired_count
    }
}

impl ControlPlane {
    /// Looks at every service that is steady, and gives up moves for which the bounds leave no room any more.
    pub(super) fn rebalance_services(&mut self) {
        if self.state.draining {
            return;
        }
        let stuck = self.state.services.iter().filter(|(_, service)| !service.has_room_to_move());
        let stuck: Vec<Arc<str>> = stuck.map(|(name, _)| name.clone()).collect();
        for name in stuck {
            self.give_up_rebalancing(&name);
        }
        let steady = self.state.services.iter().filter(|(_, service)| {
            service.steadiness == Steadiness::Steady && service.spec.desired_count > 1 && service.is_rebalanced()
        });
        let names: Vec<Arc<str>> = steady.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.rebalance(&name);
        }
    }

    /// Tasks that were to move stay where they are.
    fn give_up_rebalancing(&mut self, name: &Arc<str>) {
        let deployments = &self.state.services[name].deployments;
        let marked = deployments.iter().flat_map(|deployment| &deployment.giving_way);
        let moving: Vec<TaskId> =
            marked.filter(|task| self.state.tasks[task].replace == Some(ReplaceCause::Rebalancing)).copied().collect();
        for task in &moving {
            self.change_task(*task, |record| record.replace = None);
        }
        if !moving.is_empty() {
            self.rebalancing.remove(name);
            self.service_action(name, ServiceActionEvent::RebalancingStopped, None, Default::default());
            self.dirty.insert(name.clone());
        }
    }

    fn rebalance(&mut self, name: &Arc<str>) {
        let zones = self.zones_of(name);
        let surplus = surplus(&zones);
        let last = self.rebalancing.get(name).cloned();
        let is_under_way = last.as_ref().is_some_and(|last| !last.is_over);
        if surplus.is_empty() {
            self.rebalancing.remove(name);
            if is_under_way {
                self.service_action(name, ServiceActionEvent::RebalancingStopped, None, Default::default());
                self.service_event(name, &format!("is AZ balanced with {}.", zone_list(&zones)));
            }
            return;
        }
        let this = LastMove {
            imbalance: zones.values().map(|zone| (zone.tasks.len() as u64).pow(2)).sum(),
            instances: self.state.live_instances().map(|instance| instance.id).collect(),
            desired_count: self.state.services[name].spec.desired_count,
            is_over: false,
        };
        let is_in_vain = |last: &LastMove| {
            last.imbalance <= this.imbalance
                && (&last.instances, last.desired_count) == (&this.instances, this.desired_count)
        };
        if let Some(last) = last.filter(is_in_vain) {
            if is_under_way {
                self.rebalancing.insert(name.clone(), LastMove { is_over: true, ..last });
                self.service_action(name, ServiceActionEvent::RebalancingStopped, None, Default::default());
            }
            return;
        }
        self.rebalancing.insert(name.clone(), this);
        if !is_under_way {
            self.service_action(name, ServiceActionEvent::RebalancingStarted, None, Default::default());
            let text = format!("is not AZ balanced with {}. AZ Rebalancing in progress.", zone_list(&zones));
            self.service_event(name, &text);
        }
        for task in surplus {
            self.give_way(task, ReplaceCause::Rebalancing);
        }
        self.disturb(name);
        self.dirty.insert(name.clone());
    }

    /// The zones that have instances for the service, with its tasks and its room there.
    fn zones_of(&self, name: &Arc<str>) -> BTreeMap<Arc<str>, Zone> {
        let service = &self.state.services[name];
        let primary = service.primary();
        let rules = service.rules_of(&self.state.subnets, 0);
        let request = request_of(service, &rules);
        let mut zones: BTreeMap<Arc<str>, Zone> = BTreeMap::new();
        for instance in self.state.live_instances() {
            let is_of_strategy = match &service.spec.launch_target {
                LaunchTarget::Strategy(items) => {
                    items.iter().any(|item| Some(&item.capacity_provider) == instance.launch.capacity_provider.as_ref())
                }
                LaunchTarget::LaunchType(_) | LaunchTarget::ClusterDefault => true,
            };
            if is_of_strategy && self.placement.is_eligible(instance.id, &request) {
                let zone = zones
                    .entry(instance.launch.availability_zone.clone())
                    .or_insert(Zone { tasks: Vec::new(), room: 0 });
                zone.room = zone.room.saturating_add(self.placement.room_for(instance.id, &request));
            }
        }
        for task in &primary.healthy {
            if let Some(zone) = zone_of(&self.state, task).and_then(|zone| zones.get_mut(zone)) {
                zone.tasks.push(task);
            }
        }
        zones
    }
}

fn request_of<'a>(service: &'a Service, rules: &'a PlacementRules) -> PlacementRequest<'a> {
    PlacementRequest {
        reservation: &service.primary().reservation,
        group: &service.group,
        capacity_provider: None,
        strategies: &rules.strategies,
        constraints: &rules.constraints,
        required_attributes: &rules.required_attributes,
        availability_zones: &rules.availability_zones,
        kind: TaskKind::Service,
    }
}

fn zone_of(state: &ClusterState, task: TaskId) -> Option<&Arc<str>> {
    let instance = state.tasks[&task].task.container_instance?;
    Some(&state.container_instances.get(&instance)?.launch.availability_zone)
}

/// The tasks that have to go for balance: as many in each zone as there are, and the remainder spread one each. Of a zone the youngest
/// go. **Source:** ecs-semantics §5.10.
fn surplus(zones: &BTreeMap<Arc<str>, Zone>) -> Vec<TaskId> {
    let mut counts: Vec<(usize, u32)> = zones.values().map(|zone| (zone.tasks.len(), zone.room)).collect();
    let mut leaving = vec![0; counts.len()];
    loop {
        let heaviest = (0..counts.len()).max_by_key(|index| (counts[*index].0, std::cmp::Reverse(*index)));
        let lightest =
            (0..counts.len()).filter(|index| counts[*index].1 > 0).min_by_key(|index| (counts[*index].0, *index));
        let (Some(heaviest), Some(lightest)) = (heaviest, lightest) else { break };
        if counts[heaviest].0 < counts[lightest].0 + 2 {
            break;
        }
        counts[heaviest].0 -= 1;
        counts[lightest].0 += 1;
        counts[lightest].1 -= 1;
        leaving[heaviest] += 1;
    }
    zones.values().zip(leaving).flat_map(|(zone, leaving)| zone.tasks.iter().rev().take(leaving)).copied().collect()
}

/// `3 tasks in us-east-1a and 1 tasks in us-east-1b`, as ECS writes it.
fn zone_list(zones: &BTreeMap<Arc<str>, Zone>) -> String {
    let mut list = String::new();
    for (index, (name, zone)) in zones.iter().enumerate() {
        let between = match index {
            0 => "",
            last if last + 1 == zones.len() => " and ",
            _ => ", ",
        };
        let _ = write!(list, "{between}{} tasks in {name}", zone.tasks.len());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(zones: &[(u64, u32)]) -> Vec<u64> {
        let mut next = 0;
        let zone = |(index, (tasks, room)): (usize, &(u64, u32))| {
            let tasks = (next..next + tasks).map(TaskId).collect::<Vec<_>>();
            next += 100;
            (Arc::from(format!("zone-{index}")), Zone { tasks, room: *room })
        };
        surplus(&zones.iter().enumerate().map(zone).collect()).into_iter().map(|task| task.0).collect()
    }

    /// ecs-semantics §5.10: an equal part each, the remainder one each, and at least one each.
    #[test]
    fn balance_is_an_equal_part_each() {
        assert_eq!(leaving(&[(4, 9), (0, 9)]), [3, 2]);
        assert_eq!(leaving(&[(3, 9), (2, 9), (2, 9)]), [0; 0]);
        assert_eq!(leaving(&[(5, 9), (1, 9), (1, 9)]), [4, 3]);
        assert_eq!(leaving(&[(2, 9), (0, 9), (1, 9)]), [1]);
    }

    /// ecs-semantics §5.10: it adds no instances, so that a zone without room takes none.
    #[test]
    fn zones_without_room_take_none() {
        assert_eq!(leaving(&[(4, 9), (0, 0)]), [0; 0]);
        assert_eq!(leaving(&[(4, 9), (0, 1)]), [3]);
        assert_eq!(leaving(&[(6, 9), (0, 0), (1, 1)]), [5]);
    }
}
