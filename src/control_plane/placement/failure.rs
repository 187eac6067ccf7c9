//! Why no instance took a task: one reason for each candidate, and the line of the service event.

use std::fmt::Write as _;

use super::slot::{GroupIndex, Slot};
use super::{PlacementRequest, is_distinct};
use crate::control_plane::action::Failure;
use crate::model::ids::{ContainerInstanceId, IdForm};

/// Not enough CPU. **Source:** ecs-semantics §4.5.
pub const RESOURCE_CPU: &str = "RESOURCE:CPU";
/// Not enough memory. **Source:** ecs-semantics §4.5.
pub const RESOURCE_MEMORY: &str = "RESOURCE:MEMORY";
/// A host port is taken. **Source:** ecs-semantics §4.5.
pub const RESOURCE_PORTS: &str = "RESOURCE:PORTS";
/// The group has a task there and wants one an instance. *Ours:* worded like §2.4's reason for `memberOf`.
pub const DISTINCT_INSTANCE: &str = "DistinctInstance placement constraint unsatisfied";
/// The cluster has no instance that takes tasks. **Source:** ecs-semantics §2.4.
pub const NO_ACTIVE_INSTANCES: &str = "NO ACTIVE INSTANCES";
/// The capacity provider has no instance that takes tasks. **Source:** ecs-semantics §2.4.
pub const EMPTY_CAPACITY_PROVIDER: &str = "EMPTY CAPACITY PROVIDER";

/// Why a task found no instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementFailure {
    /// One for each candidate instance, oldest first; a single one without an instance when there is no candidate.
    pub failures: Vec<Failure>,
    /// The candidate that came closest, with its reason: the one that lacks the fewest things, and among those the
    /// one that lacks the least CPU, then memory.
    pub closest: Option<(ContainerInstanceId, &'static str)>,
}

impl PlacementFailure {
    /// The reason of a task that is stopped for want of an instance: the closest candidate's. **Source:** ecs-semantics
    /// §2.4.
    pub fn reason(&self) -> &'static str {
        match self.closest {
            Some((_, reason)) => reason,
            None => self.failures.first().map_or(NO_ACTIVE_INSTANCES, |failure| failure.reason),
        }
    }

    /// What the service event says behind its prefix. **Source:** ecs-semantics §5.11.
    pub fn service_event_reason(&self, form: IdForm) -> String {
        let mut line =
            "was unable to place a task because no container instance met all of its requirements.".to_owned();
        let Some((instance, reason)) = self.closest else {
            let place = if self.reason() == EMPTY_CAPACITY_PROVIDER { "capacity provider" } else { "cluster" };
            let _ = write!(line, " Reason: No Container Instances were found in your {place}.");
            return line;
        };
        let _ = write!(line, " The closest matching container-instance {} ", form.container_instance(instance));
        let _ = match reason {
            RESOURCE_CPU => write!(line, "has insufficient CPU units available."),
            RESOURCE_MEMORY => write!(line, "has insufficient memory available."),
            RESOURCE_PORTS => write!(line, "is already using a port required by your task."),
            other => write!(line, "encountered error \"{other}\"."),
        };
        line
    }
}

/// What an instance lacks for a task.
struct Lack {
    /// How many things.
    count: u32,
    cpu: u32,
    memory: u32,
    /// The first of them, in the order CPU, memory, ports, constraints.
    reason: &'static str,
    detail: String,
}

/// Asks every candidate why it does not take the task. One that does take it is left out.
pub(super) fn explain<'a>(
    candidates: impl Iterator<Item = &'a Slot>,
    request: &PlacementRequest<'_>,
    group: Option<GroupIndex>,
) -> PlacementFailure {
    let mut failures = Vec::new();
    let mut closest: Option<((u32, u32, u32), ContainerInstanceId, &'static str)> = None;
    let mut has_candidate = false;
    for held in candidates {
        has_candidate = true;
        let Some(lack) = lack(held, request, group) else { continue };
        let distance = (lack.count, lack.cpu, lack.memory);
        if closest.is_none_or(|(nearest, _, _)| distance < nearest) {
            closest = Some((distance, held.id, lack.reason));
        }
        failures.push(Failure { instance: Some(held.id), reason: lack.reason, detail: lack.detail });
    }
    if !has_candidate {
        failures.push(match request.capacity_provider {
            Some(provider) => Failure {
                instance: None,
                reason: EMPTY_CAPACITY_PROVIDER,
                detail: format!("capacity provider `{provider}` has no active container instance"),
            },
            None => Failure {
                instance: None,
                reason: NO_ACTIVE_INSTANCES,
                detail: "the cluster has no active container instance".to_owned(),
            },
        });
    }
    PlacementFailure { failures, closest: closest.map(|(_, instance, reason)| (instance, reason)) }
}

fn lack(held: &Slot, request: &PlacementRequest<'_>, group: Option<GroupIndex>) -> Option<Lack> {
    let (needed, left) = (request.reservation, &held.remaining);
    let mut lack = Lack {
        count: 0,
        cpu: needed.cpu.0.saturating_sub(left.cpu.0),
        memory: needed.memory.0.saturating_sub(left.memory.0),
        reason: "",
        detail: String::new(),
    };
    let mut add = |reason: &'static str, detail: &dyn Fn() -> String| {
        lack.count += 1;
        if lack.count == 1 {
            lack.reason = reason;
            lack.detail = detail();
        }
    };
    if needed.cpu > left.cpu {
        add(RESOURCE_CPU, &|| format!("{} CPU units are needed and {} are left", needed.cpu, left.cpu));
    }
    if needed.memory > left.memory {
        add(RESOURCE_MEMORY, &|| format!("{} MiB are needed and {} are left", needed.memory, left.memory));
    }
    if !held.has_ports(needed) {
        add(RESOURCE_PORTS, &|| {
            let taken: Vec<String> = needed.ports.intersection(&left.ports).map(|port| port.port.to_string()).collect();
            format!("host ports in use: {}", taken.join(", "))
        });
    }
    if is_distinct(request.constraints) && group.is_some_and(|group| held.task_count(group) > 0) {
        add(DISTINCT_INSTANCE, &|| format!("a task of group `{}` is there", request.group));
    }
    (lack.count > 0).then_some(lack)
}
