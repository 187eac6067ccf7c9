//! Subnets: which are known, and the zones of tasks that name them.
//!
//! On EC2 they leave out instances, which is placement's. On Fargate they say between which zones a task's is chosen.
//! **Source:** ecs-semantics §4.1, §4.5.

use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::request_error::RequestError;
use super::requests::Answer;
use super::state::{ClusterState, DecisionBasis, Deployment, PlacementRules, Service, TaskRecord};
use super::tasks::NewTask;
use crate::model::capacity::{AVAILABILITY_ZONE, AutoScalingGroup, FARGATE_SPOT, InstanceLaunch};
use crate::model::document::Document;
use crate::model::subnet::{NETWORK_CONFIGURATION, Subnet, Subnets};

impl Service {
    /// What was said for the tasks of a deployment: of a task set's, what its creator said, if that is where they are.
    pub(super) fn said_of<'a>(&'a self, deployment_index: usize) -> &'a Document {
        let said_of_set = |deployment: &'a Deployment| deployment.task_set.as_ref().map(|set| &set.document);
        let deployment = self.deployments.get(deployment_index);
        match (deployment, deployment.and_then(said_of_set)) {
            (_, Some(said)) if said.member(NETWORK_CONFIGURATION).is_some() => said,
            // What is said of the service without a deployment is said of its primary one.
            (Some(deployment), _) if deployment_index > 0 => &deployment.revision.document,
            _ => &self.spec.document,
        }
    }

    /// How instances are chosen for tasks of a deployment.
    pub(super) fn rules_of(&self, subnets: &Subnets, deployment_index: usize) -> PlacementRules {
        let definition = &self.deployments[deployment_index].task_definition;
        let zones = subnets.zones_of(definition, self.said_of(deployment_index));
        self.spec.placement_rules(definition).within(zones)
    }
}

impl TaskRecord {
    /// The zone of a task on Fargate, where one was chosen. **Source:** ecs-semantics §4.1.
    pub fn fargate_zone(&self) -> Option<&Arc<str>> {
        match &self.decision.as_ref()?.basis {
            DecisionBasis::Fargate { availability_zone } => Some(availability_zone),
            _ => None,
        }
    }

    /// That zone, and among which tasks it is counted there.
    pub(super) fn fargate_place(&self) -> Option<FargatePlace> {
        let zone = self.fargate_zone()?.clone();
        Some(((self.task.group.clone(), is_spot(self.task.capacity_provider.as_ref())), zone))
    }
}

impl ClusterState {
    /// The zone of a task: its instance's, or that which was chosen on Fargate.
    pub fn zone_of<'a>(&'a self, record: &'a TaskRecord) -> Option<&'a Arc<str>> {
        match record.task.container_instance {
            Some(instance) => Some(&self.container_instances.get(&instance)?.launch.availability_zone),
            None => record.fargate_zone(),
        }
    }
}

impl ControlPlane {
    /// Makes a subnet known.
    pub(super) fn put_subnet(&mut self, subnet: &Subnet) -> Answer {
        match self.state.subnets.zone_of(&subnet.id) {
            Some(zone) if *zone != subnet.availability_zone => {
                Err(RequestError::Client(format!("subnet {} is in {zone}", subnet.id)))
            }
            _ => {
                self.learn_subnet(&subnet.id, &subnet.availability_zone);
                Ok(Response::Done)
            }
        }
    }

    /// Learns the subnets of a group.
    pub(super) fn learn_subnets(&mut self, group: &AutoScalingGroup) {
        for (zone, subnet) in &group.subnets {
            self.learn_subnet(subnet, zone);
        }
    }

    /// Learns the subnet of an instance.
    pub(super) fn learn_subnet_of(&mut self, launch: &InstanceLaunch) {
        if let (Some(subnet), Some(zone)) = (launch.attribute("ecs.subnet-id"), launch.attribute(AVAILABILITY_ZONE))
            && self.state.subnets.zone_of(subnet).is_none()
        {
            self.learn_subnet(&subnet.into(), &zone.into());
        }
    }

    fn learn_subnet(&mut self, subnet: &Arc<str>, zone: &Arc<str>) {
        if self.state.subnets.learn(subnet, zone) {
            // Drafts of tasks were made without it.
            self.controllers.values_mut().for_each(|controller| controller.draft = None);
        }
    }

    /// The zone of a task that comes to Fargate: that with the fewest tasks of its group on the same kind of capacity, whatever their
    /// deployment; chance among equals. *Ours:* a zone that is down only when all are. **Source:** ecs-semantics §4.1.
    pub(super) fn choose_fargate_zone(&mut self, new: &NewTask) -> Option<DecisionBasis> {
        let zones = &new.placement.availability_zones;
        if zones.is_empty() {
            return None;
        }
        let key = (new.group.clone(), is_spot(new.capacity_provider.as_ref()));
        let counts = self.state.fargate_zones.get(&key);
        let rank = |zone: &Arc<str>| {
            let count = counts.and_then(|counts| counts.get(zone)).copied().unwrap_or(0);
            (self.state.zones_out.contains(zone), count)
        };
        let least = zones.iter().map(rank).min()?;
        let tied: Vec<&Arc<str>> = zones.iter().filter(|zone| rank(zone) == least).collect();
        let drawn = match tied.len() {
            1 => 0,
            count => usize::try_from(self.rng.below(count as u64)).expect("a position in a list"),
        };
        Some(DecisionBasis::Fargate { availability_zone: tied[drawn].clone() })
    }

    /// Counts a task that has come to its zone.
    pub(super) fn count_fargate_zone_in(&mut self, (key, zone): FargatePlace) {
        *self.state.fargate_zones.entry(key).or_default().entry(zone).or_default() += 1;
    }

    /// Counts a task off that is over.
    pub(super) fn count_fargate_zone_off(&mut self, (key, zone): FargatePlace) {
        let counts = self.state.fargate_zones.get_mut(&key);
        let counts = counts.expect("a task that is over was counted when it came");
        let count = counts.get_mut(&zone).expect("it was counted in its zone");
        *count -= 1;
        if *count == 0 {
            counts.remove(&zone);
        }
        if counts.is_empty() {
            self.state.fargate_zones.remove(&key);
        }
    }
}

/// Group, whether it is on `FARGATE_SPOT`, and zone.
pub(super) type FargatePlace = ((Arc<str>, bool), Arc<str>);

fn is_spot(provider: Option<&Arc<str>>) -> bool {
    provider.is_some_and(|provider| **provider == *FARGATE_SPOT)
}
