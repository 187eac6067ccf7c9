//! From a planned fault to the events that it is: which instances and tasks it hits, by the state that it finds.
//!
//! Nothing is drawn: the lowest ids are hit first, so that a file's faults hit the same things in every run. What lasts (refused
//! launches, slow boots) has no event: whoever launches instances looks at the plan itself.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{Event, OutageChange, Request};
use super::state::ClusterState;
use crate::model::auto_scaling_group::{InstanceHealth, LifecycleState};
use crate::model::capacity::{ContainerInstance, ContainerInstanceStatus, FARGATE_SPOT, InstanceLaunch};
use crate::model::fault::{Fault, FaultKind};
use crate::model::ids::{ContainerInstanceId, RequestId};
use crate::model::task::DesiredStatus;
use crate::model::units::Timestamp;
use crate::model::usage::PurchaseOption;

/// What happens when a fault begins. `request_id` is what a request among it is put under.
fn begin(state: &ClusterState, fault: &FaultKind, request_id: RequestId) -> Vec<Event> {
    match fault {
        FaultKind::InstanceFailure { capacity_provider, count } => hit(state, capacity_provider, *count)
            .map(|instance| Event::InstanceFailed { instance, reason: "hardware failure".to_owned() })
            .collect(),
        FaultKind::InstanceImpaired { capacity_provider, count } => hit(state, capacity_provider, *count)
            .map(|instance| Event::InstanceHealth { instance, health: InstanceHealth::Impaired })
            .collect(),
        FaultKind::AvailabilityZoneOutage { availability_zone, .. } => {
            vec![outage(availability_zone, OutageChange::Begins)]
        }
        FaultKind::SpotInterruption { service, capacity_provider, count } => {
            spot_interruptions(state, service.as_ref(), capacity_provider.as_ref(), *count)
        }
        FaultKind::AgentDisconnected { capacity_provider, count, .. } => {
            hit(state, capacity_provider, *count).map(|instance| Event::AgentDisconnected { instance }).collect()
        }
        FaultKind::Drain { capacity_provider, count } => {
            let instances: Vec<ContainerInstanceId> = hit(state, capacity_provider, *count).collect();
            let status = ContainerInstanceStatus::Draining;
            // ECS takes ten at a time; a plan may say more, which is as many requests.
            let requests = instances
                .chunks(10)
                .map(|some| Request::UpdateContainerInstancesState { instances: some.to_vec(), status });
            requests.map(|request| Event::Request { request_id, request }).collect()
        }
        FaultKind::CapacityRefused { .. } | FaultKind::SlowBoot { .. } => Vec::new(),
    }
}

/// What happens when a fault that lasts is over; `begun` is what it began with.
fn end(fault: &FaultKind, begun: &[Event]) -> Vec<Event> {
    match fault {
        FaultKind::AvailabilityZoneOutage { availability_zone, .. } => {
            vec![outage(availability_zone, OutageChange::Ends)]
        }
        FaultKind::AgentDisconnected { .. } => begun
            .iter()
            .filter_map(|event| match event {
                Event::AgentDisconnected { instance } => Some(Event::AgentConnected { instance: *instance }),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn outage(zone: &Arc<str>, change: OutageChange) -> Event {
    Event::AvailabilityZoneOutage { availability_zone: zone.clone(), change }
}

/// The first container instances that are in service, of a provider if one is named.
fn hit<'a>(
    state: &'a ClusterState,
    capacity_provider: &'a Option<Arc<str>>,
    count: u32,
) -> impl Iterator<Item = ContainerInstanceId> + 'a {
    let is_meant = move |instance: &&ContainerInstance| {
        instance.lifecycle == LifecycleState::InService
            && instance.status == ContainerInstanceStatus::Active
            && (capacity_provider.is_none() || instance.launch.capacity_provider == *capacity_provider)
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    state.container_instances.values().filter(is_meant).take(count).map(|instance| instance.id)
}

/// Fargate Spot tasks first, then EC2 Spot instances. **Source:** ecs-semantics §3.3, §8.4.
fn spot_interruptions(
    state: &ClusterState,
    service: Option<&Arc<str>>,
    capacity_provider: Option<&Arc<str>>,
    count: Option<u32>,
) -> Vec<Event> {
    let tasks = state.tasks.values().map(|record| &record.task).filter(|task| {
        task.capacity_provider.as_deref() == Some(FARGATE_SPOT)
            && task.desired_status == DesiredStatus::Running
            && (service.is_none() || task.service.as_ref() == service)
            && capacity_provider.is_none_or(|name| **name == *FARGATE_SPOT)
    });
    let instances = state.container_instances.values().filter(|instance| {
        instance.launch.purchase_option == PurchaseOption::Spot
            && instance.running_since.is_some()
            && instance.reclaimed_at.is_none()
            && !instance.lifecycle.is_warmed()
            && service.is_none()
            && (capacity_provider.is_none() || instance.launch.capacity_provider.as_ref() == capacity_provider)
    });
    let tasks = tasks.map(|task| Event::SpotInterruption { task: task.id });
    let all = tasks.chain(instances.map(|instance| Event::InstanceSpotInterruption { instance: instance.id }));
    all.take(count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX))).collect()
}

/// The faults of a cluster file, and which of them last at the moment. Driven by whoever carries out the control plane's actions.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// By time, then by their order in the file.
    ahead: VecDeque<Fault>,
    /// Those that last: until when, and what they began with.
    lasting: Vec<(Timestamp, FaultKind, Vec<Event>)>,
}

/// What becomes of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchFate {
    /// It goes on, perhaps with another boot time.
    Launched(Arc<InstanceLaunch>),
    /// It fails, for this reason.
    Refused(&'static str),
}

impl FaultPlan {
    /// A plan of these faults, in any order.
    pub fn new(mut faults: Vec<Fault>) -> FaultPlan {
        faults.sort_by_key(|fault| fault.at);
        FaultPlan { ahead: faults.into(), lasting: Vec::new() }
    }

    /// Adds a fault; one whose time is past is due at once.
    pub fn add(&mut self, fault: Fault) {
        let place = self.ahead.partition_point(|other| other.at <= fault.at);
        self.ahead.insert(place, fault);
    }

    /// Takes a fault out again. Says whether it had not begun.
    pub fn withdraw(&mut self, fault: &Fault) -> bool {
        let found = self.ahead.iter().position(|other| other == fault);
        found.and_then(|place| self.ahead.remove(place)).is_some()
    }

    /// When something of it is due next.
    pub fn next(&self) -> Option<Timestamp> {
        let ends = self.lasting.iter().map(|(until, ..)| *until);
        self.ahead.front().map(|fault| Timestamp::ZERO + fault.at).into_iter().chain(ends).min()
    }

    /// The events that are due, ends before beginnings. Requests among them have the id 0: the caller puts its own.
    pub fn take_due(&mut self, now: Timestamp, state: &ClusterState) -> Vec<Event> {
        let (over, lasting) = std::mem::take(&mut self.lasting).into_iter().partition(|(until, ..)| *until <= now);
        self.lasting = lasting;
        let over: Vec<(Timestamp, FaultKind, Vec<Event>)> = over;
        let mut events: Vec<Event> = over.iter().flat_map(|(_, kind, begun)| end(kind, begun)).collect();
        while self.ahead.front().is_some_and(|fault| Timestamp::ZERO + fault.at <= now) {
            let Some(fault) = self.ahead.pop_front() else { break };
            let begun = begin(state, &fault.kind, RequestId(0));
            if let Some(duration) = fault.kind.duration() {
                self.lasting.push((now + duration, fault.kind, begun.clone()));
            }
            events.extend(begun);
        }
        events
    }

    /// What becomes of a launch while faults last.
    pub fn fate_of(&self, launch: &Arc<InstanceLaunch>) -> LaunchFate {
        let is_meant = |provider: &Option<Arc<str>>| provider.is_none() || launch.capacity_provider == *provider;
        let mut fate = LaunchFate::Launched(launch.clone());
        for (_, kind, _) in &self.lasting {
            match kind {
                FaultKind::CapacityRefused { capacity_provider, .. } if is_meant(capacity_provider) => {
                    return LaunchFate::Refused("InsufficientInstanceCapacity");
                }
                FaultKind::SlowBoot { capacity_provider, boot_time, .. } if is_meant(capacity_provider) => {
                    let slow = InstanceLaunch { boot_time: *boot_time, ..launch.as_ref().clone() };
                    fate = LaunchFate::Launched(Arc::new(slow));
                }
                _ => {}
            }
        }
        fate
    }
}
