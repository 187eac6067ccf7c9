//! From a planned fault to what happens by it: which instances and tasks it hits, by the state that it finds.
//!
//! What comes at a moment hits the lowest ids first, so that a file's faults hit the same things in every run; what comes again and again
//! is drawn from the cluster's seed, moments as well as what it hits. What lasts (refused
//! launches, slow boots) has no event: whoever launches instances looks at the plan itself. A crash is none either: the data plane
//! makes it, and the control plane hears of it as of any other.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Event, OutageChange, Request};
use super::state::ClusterState;
use crate::model::auto_scaling_group::{InstanceHealth, LifecycleState};
use crate::model::capacity::{ContainerInstance, ContainerInstanceStatus, FARGATE_SPOT, InstanceLaunch, is_fargate};
use crate::model::distribution::Distribution;
use crate::model::fault::{Fault, FaultKind};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::rng::{Draws, Stream};
use crate::model::task::{DesiredStatus, Task, TaskStatus};
use crate::model::task_definition::{LaunchType, TaskDefinitionRef};
use crate::model::units::{Duration, Timestamp};
use crate::model::usage::PurchaseOption;

/// Something that a fault brings about.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub enum FaultEffect {
    /// The control plane hears of this.
    Event(Event),
    /// The control plane is asked for this.
    Request(Request),
    /// In the data plane the first essential container of a task ends with this exit code.
    Crash {
        /// The task.
        task: TaskId,
        /// Its exit code.
        exit_code: i32,
    },
}

/// What happens when a fault begins.
fn begin(state: &ClusterState, fault: &FaultKind, chance: Option<&mut Draws>) -> Vec<FaultEffect> {
    match fault {
        FaultKind::InstanceFailure { capacity_provider, count } => hit(state, capacity_provider, *count, chance)
            .map(|instance| Event::InstanceFailed { instance, reason: "hardware failure".to_owned() })
            .map(FaultEffect::Event)
            .collect(),
        FaultKind::InstanceImpaired { capacity_provider, count } => hit(state, capacity_provider, *count, chance)
            .map(|instance| Event::InstanceHealth { instance, health: InstanceHealth::Impaired })
            .map(FaultEffect::Event)
            .collect(),
        FaultKind::AvailabilityZoneOutage { availability_zone, .. } => {
            vec![FaultEffect::Event(outage(availability_zone, OutageChange::Begins))]
        }
        FaultKind::SpotInterruption { service, capacity_provider, count } => {
            let events = spot_interruptions(state, service.as_ref(), capacity_provider.as_ref());
            some_of(events, *count, chance).into_iter().map(FaultEffect::Event).collect()
        }
        FaultKind::AgentDisconnected { capacity_provider, count, .. } => {
            let instances = hit(state, capacity_provider, *count, chance);
            instances.map(|instance| FaultEffect::Event(Event::AgentDisconnected { instance })).collect()
        }
        FaultKind::Drain { capacity_provider, count } => {
            let instances: Vec<ContainerInstanceId> = hit(state, capacity_provider, *count, chance).collect();
            let status = ContainerInstanceStatus::Draining;
            // ECS takes ten at a time; a plan may say more, which is as many requests.
            let requests = instances
                .chunks(10)
                .map(|some| Request::UpdateContainerInstancesState { instances: some.to_vec(), status });
            requests.map(FaultEffect::Request).collect()
        }
        FaultKind::TaskCrash { service, task_definition, count, exit_code } => {
            let running = running_tasks(state, service.as_ref(), task_definition.as_ref());
            let crash = |task| FaultEffect::Crash { task, exit_code: *exit_code };
            some_of(running, Some(*count), chance).into_iter().map(crash).collect()
        }
        FaultKind::TaskRetirement { service, count } => {
            let tasks = running_tasks(state, service.as_ref(), None);
            let on_fargate = tasks.into_iter().filter(|task| state.tasks[task].task.launch_type == LaunchType::Fargate);
            let event = |task| FaultEffect::Event(Event::TaskRetirement { task });
            some_of(on_fargate.collect(), *count, chance).into_iter().map(event).collect()
        }
        FaultKind::CapacityRefused { capacity_provider: Some(provider), .. } if is_fargate(provider) => {
            vec![FaultEffect::Event(fargate_outage(provider, OutageChange::Begins))]
        }
        FaultKind::CapacityRefused { .. } | FaultKind::SlowBoot { .. } => Vec::new(),
    }
}

fn fargate_outage(provider: &Arc<str>, change: OutageChange) -> Event {
    Event::FargateCapacityOutage { capacity_provider: provider.clone(), change }
}

/// Tasks that run and are to go on, of a service and of a family or revision if they are named.
fn running_tasks(
    state: &ClusterState,
    service: Option<&Arc<str>>,
    task_definition: Option<&TaskDefinitionRef>,
) -> Vec<TaskId> {
    let is_of = |meant: &TaskDefinitionRef, task: &Task| {
        meant.family == task.task_definition.family
            && meant.revision.is_none_or(|revision| revision == task.task_definition.revision)
    };
    let running = state.tasks.values().map(|record| &record.task).filter(|task| {
        task.last_status == TaskStatus::Running
            && task.desired_status == DesiredStatus::Running
            && (service.is_none() || task.service.as_ref() == service)
            && task_definition.is_none_or(|meant| is_of(meant, task))
    });
    running.map(|task| task.id).collect()
}

/// What happens when a fault that lasts is over; `begun` is what it began with.
fn end(fault: &FaultKind, begun: &[FaultEffect]) -> Vec<FaultEffect> {
    match fault {
        FaultKind::AvailabilityZoneOutage { availability_zone, .. } => {
            vec![FaultEffect::Event(outage(availability_zone, OutageChange::Ends))]
        }
        FaultKind::CapacityRefused { capacity_provider: Some(provider), .. } if is_fargate(provider) => {
            vec![FaultEffect::Event(fargate_outage(provider, OutageChange::Ends))]
        }
        FaultKind::AgentDisconnected { .. } => begun
            .iter()
            .filter_map(|effect| match effect {
                FaultEffect::Event(Event::AgentDisconnected { instance }) => {
                    Some(FaultEffect::Event(Event::AgentConnected { instance: *instance }))
                }
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn outage(zone: &Arc<str>, change: OutageChange) -> Event {
    Event::AvailabilityZoneOutage { availability_zone: zone.clone(), change }
}

/// Container instances that are in service, of a provider if one is named: the first ones, or those that chance hits.
fn hit(
    state: &ClusterState,
    capacity_provider: &Option<Arc<str>>,
    count: u32,
    chance: Option<&mut Draws>,
) -> impl Iterator<Item = ContainerInstanceId> + use<> {
    let is_meant = move |instance: &&ContainerInstance| {
        instance.lifecycle == LifecycleState::InService
            && instance.status == ContainerInstanceStatus::Active
            && (capacity_provider.is_none() || instance.launch.capacity_provider == *capacity_provider)
    };
    let meant = state.container_instances.values().filter(is_meant).map(|instance| instance.id);
    some_of(meant.collect(), Some(count), chance).into_iter()
}

/// So many of them, `None` being all: the first ones, or those that chance picks.
fn some_of<T>(mut all: Vec<T>, count: Option<u32>, chance: Option<&mut Draws>) -> Vec<T> {
    let count = count.map_or(all.len(), |count| usize::try_from(count).unwrap_or(usize::MAX).min(all.len()));
    if let Some(draws) = chance {
        for index in 0..count {
            let left = u128::try_from(all.len() - index).unwrap_or(1);
            let picked = usize::try_from((u128::from(draws.draw()) * left) >> 64).unwrap_or(0);
            all.swap(index, index + picked);
        }
    }
    all.truncate(count);
    all
}

/// Fargate Spot tasks first, then EC2 Spot instances. **Source:** ecs-semantics §3.3, §8.4.
fn spot_interruptions(
    state: &ClusterState,
    service: Option<&Arc<str>>,
    capacity_provider: Option<&Arc<str>>,
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
    tasks.chain(instances.map(|instance| Event::InstanceSpotInterruption { instance: instance.id })).collect()
}

/// The faults of a cluster file, and which of them last at the moment. Driven by whoever carries out the control plane's actions.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct FaultPlan {
    /// By time, then by their order in the file.
    ahead: VecDeque<Fault>,
    /// Those that come again and again: when next, and their chance.
    recurring: Vec<(Timestamp, Draws, Fault)>,
    /// Those that last: until when, and what they began with.
    lasting: Vec<(Timestamp, FaultKind, Vec<FaultEffect>)>,
}

/// When a fault that comes again and again comes after a moment.
fn next_of(fault: &Fault, after: Timestamp, draws: &mut Draws) -> Timestamp {
    let mean = fault.mean_time_between.map_or(u64::MAX, |mean| u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX));
    // Never twice at one moment.
    after + Duration::from_nanos(Distribution::Exponential { mean }.at(draws.draw()).max(1))
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
    /// A plan of these faults, in any order, whose chance is that of a seed.
    pub fn new(faults: Vec<Fault>, seed: u64) -> FaultPlan {
        let (recurring, mut ahead): (Vec<Fault>, Vec<Fault>) =
            faults.into_iter().partition(|fault| fault.mean_time_between.is_some());
        ahead.sort_by_key(|fault| fault.at);
        let recurring = recurring.into_iter().zip(0..).map(|(fault, index)| {
            let mut draws = Draws::of(seed, Stream::Faults, index);
            (next_of(&fault, Timestamp::ZERO + fault.at, &mut draws), draws, fault)
        });
        FaultPlan { ahead: ahead.into(), recurring: recurring.collect(), lasting: Vec::new() }
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
        let ends = ends.chain(self.recurring.iter().map(|(at, ..)| *at));
        self.ahead.front().map(|fault| Timestamp::ZERO + fault.at).into_iter().chain(ends).min()
    }

    /// What is due, ends before beginnings.
    pub fn take_due(&mut self, now: Timestamp, state: &ClusterState) -> Vec<FaultEffect> {
        let (over, lasting) = std::mem::take(&mut self.lasting).into_iter().partition(|(until, ..)| *until <= now);
        self.lasting = lasting;
        let over: Vec<(Timestamp, FaultKind, Vec<FaultEffect>)> = over;
        let mut effects: Vec<FaultEffect> = over.iter().flat_map(|(_, kind, begun)| end(kind, begun)).collect();
        while self.ahead.front().is_some_and(|fault| Timestamp::ZERO + fault.at <= now) {
            let Some(fault) = self.ahead.pop_front() else { break };
            let begun = begin(state, &fault.kind, None);
            if let Some(duration) = fault.kind.duration() {
                self.lasting.push((now + duration, fault.kind, begun.clone()));
            }
            effects.extend(begun);
        }
        for (at, draws, fault) in self.recurring.iter_mut().filter(|(at, ..)| *at <= now) {
            let begun = begin(state, &fault.kind, Some(draws));
            if let Some(duration) = fault.kind.duration() {
                self.lasting.push((now + duration, fault.kind.clone(), begun.clone()));
            }
            effects.extend(begun);
            *at = next_of(fault, now, draws);
        }
        effects
    }

    /// Drops what is planned; says with what that which lasts is over.
    pub fn end_all(&mut self) -> Vec<FaultEffect> {
        let FaultPlan { lasting, .. } = std::mem::take(self);
        lasting.iter().flat_map(|(_, kind, begun)| end(kind, begun)).collect()
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
