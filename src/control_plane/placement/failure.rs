//! Why no instance took a task: one reason for each candidate, and the line of the service event.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::PlacementRequest;
use super::conditions::GroupNames;
use super::slot::{GroupIndex, Slot};
use crate::control_plane::action::Failure;
use crate::model::capacity::{PORTS_MAX, RequiredAttribute};
use crate::model::cluster_query::ClusterQuery;
use crate::model::ids::{ContainerInstanceId, IdForm};
use crate::model::service::PlacementConstraint;
use crate::model::task_definition::HostPort;

/// Not enough CPU. **Source:** ecs-semantics §4.5.
pub const RESOURCE_CPU: &str = "RESOURCE:CPU";
/// Not enough memory. **Source:** ecs-semantics §4.5.
pub const RESOURCE_MEMORY: &str = "RESOURCE:MEMORY";
/// A host port is taken. **Source:** ecs-semantics §4.5.
pub const RESOURCE_PORTS: &str = "RESOURCE:PORTS";
/// An attribute that the task requires is missing or another. **Source:** ecs-semantics §4.5.
pub const ATTRIBUTE: &str = "ATTRIBUTE";
/// A query is not true of the instance. **Source:** ecs-semantics §2.4.
pub const MEMBER_OF: &str = "MemberOf placement constraint unsatisfied";
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
            ATTRIBUTE => write!(line, "is missing an attribute required by your task."),
            other => write!(line, "encountered error \"{other}\"."),
        };
        line
    }
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// CPU units.
    Cpu,
    /// Memory.
    Memory,
    /// Host ports.
    Ports,
    /// A required attribute.
    Attribute(RequiredAttribute),
    /// A task of the group on each instance at most.
    DistinctInstance,
    /// A query.
    MemberOf(Arc<ClusterQuery>),
}

impl Rule {
    /// The reason of an instance that breaks it. **Source:** ecs-semantics §2.4, §4.5.
    pub fn reason(&self) -> &'static str {
        match self {
            Rule::Cpu => RESOURCE_CPU,
            Rule::Memory => RESOURCE_MEMORY,
            Rule::Ports => RESOURCE_PORTS,
            Rule::Attribute(_) => ATTRIBUTE,
            Rule::DistinctInstance => DISTINCT_INSTANCE,
            Rule::MemberOf(_) => MEMBER_OF,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Cpu => f.write_str("cpu"),
            Rule::Memory => f.write_str("memory"),
            Rule::Ports => f.write_str("ports"),
            Rule::Attribute(required) => write!(f, "{} = {}", required.name, required.value),
            Rule::DistinctInstance => f.write_str("distinctInstance"),
            Rule::MemberOf(query) => write!(f, "memberOf {query}"),
        }
    }
}

/// What a rule says of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleVerdict {
    /// The rule.
    pub rule: Rule,
    /// Whether the instance keeps it.
    pub is_met: bool,
    /// What is needed and what is there.
    pub detail: String,
}

/// A rule for a task on an instance, with what its verdict is made from.
struct Check<'a> {
    rule: Rule,
    is_met: bool,
    held: &'a Slot,
    request: &'a PlacementRequest<'a>,
}

impl Check<'_> {
    fn detail(&self) -> String {
        let (needed, left) = (self.request.reservation, &self.held.remaining);
        match &self.rule {
            Rule::Cpu => format!("{} CPU units are needed and {} are left", needed.cpu, left.cpu),
            Rule::Memory => format!("{} MiB are needed and {} are left", needed.memory, left.memory),
            Rule::Ports => {
                let ports = |ports: &mut dyn Iterator<Item = &HostPort>| {
                    ports.map(|port| port.port.to_string()).collect::<Vec<_>>().join(", ")
                };
                let taken = ports(&mut needed.ports.intersection(&left.ports));
                match (self.is_met, taken.is_empty()) {
                    (true, _) => format!("host ports {} are free", ports(&mut needed.ports.iter())),
                    (false, true) => format!("{} host ports are in use, and {PORTS_MAX} can be", left.ports.len()),
                    (false, false) => format!("host ports in use: {taken}"),
                }
            }
            Rule::Attribute(required) => match self.held.launch.attribute(required.name) {
                Some(value) => format!("{} is {value} and {} is required", required.name, required.value),
                None => format!("{} is not there and {} is required", required.name, required.value),
            },
            Rule::DistinctInstance if self.is_met => format!("no task of group `{}` is there", self.request.group),
            Rule::DistinctInstance => format!("a task of group `{}` is there", self.request.group),
            Rule::MemberOf(query) if self.is_met => format!("`{query}` is true of it"),
            Rule::MemberOf(query) => format!("`{query}` is not true of it"),
        }
    }
}

/// Asks every rule that a task is bound by, in the order of ECS' pipeline. **Source:** ecs-semantics §4.1.
fn checks<'a>(
    held: &'a Slot,
    request: &'a PlacementRequest<'a>,
    group: Option<GroupIndex>,
    names: &GroupNames,
) -> Vec<Check<'a>> {
    let (needed, left) = (request.reservation, &held.remaining);
    let mut checks = Vec::new();
    let mut add = |rule, is_met| checks.push(Check { rule, is_met, held, request });
    add(Rule::Cpu, needed.cpu <= left.cpu);
    add(Rule::Memory, needed.memory <= left.memory);
    if !needed.ports.is_empty() {
        add(Rule::Ports, held.has_ports(needed));
    }
    for required in request.required_attributes {
        add(Rule::Attribute(required.clone()), required.is_had_by(&held.launch));
    }
    for constraint in request.constraints {
        match constraint {
            PlacementConstraint::DistinctInstance => {
                add(Rule::DistinctInstance, group.is_none_or(|group| held.task_count(group) == 0));
            }
            PlacementConstraint::MemberOf(query) => add(Rule::MemberOf(query.clone()), held.is_member(query, names)),
        }
    }
    checks
}

/// What each rule says of an instance.
pub(super) fn verdicts(
    held: &Slot,
    request: &PlacementRequest<'_>,
    group: Option<GroupIndex>,
    names: &GroupNames,
) -> Vec<RuleVerdict> {
    let verdict = |check: Check<'_>| {
        let detail = check.detail();
        RuleVerdict { rule: check.rule, is_met: check.is_met, detail }
    };
    checks(held, request, group, names).into_iter().map(verdict).collect()
}

/// The first rule that an instance breaks.
pub(super) fn refusal(
    held: &Slot,
    request: &PlacementRequest<'_>,
    group: Option<GroupIndex>,
    names: &GroupNames,
) -> Option<Failure> {
    let checks = checks(held, request, group, names);
    let broken = checks.iter().find(|check| !check.is_met)?;
    Some(Failure { instance: Some(held.id), reason: broken.rule.reason(), detail: broken.detail() })
}

/// Asks every candidate why it does not take the task. One that does take it is left out.
pub(super) fn explain<'a>(
    candidates: impl Iterator<Item = &'a Slot>,
    request: &PlacementRequest<'_>,
    group: Option<GroupIndex>,
    names: &GroupNames,
) -> PlacementFailure {
    let mut failures = Vec::new();
    let mut closest: Option<((usize, u32, u32), ContainerInstanceId, &'static str)> = None;
    let mut has_candidate = false;
    for held in candidates {
        has_candidate = true;
        let checks = checks(held, request, group, names);
        let mut broken = checks.iter().filter(|check| !check.is_met);
        let Some(first) = broken.next() else { continue };
        let (needed, left) = (request.reservation, &held.remaining);
        let distance = (
            1 + broken.count(),
            needed.cpu.0.saturating_sub(left.cpu.0),
            needed.memory.0.saturating_sub(left.memory.0),
        );
        if closest.is_none_or(|(nearest, _, _)| distance < nearest) {
            closest = Some((distance, held.id, first.rule.reason()));
        }
        failures.push(Failure { instance: Some(held.id), reason: first.rule.reason(), detail: first.detail() });
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
