//! Why no instance took a task: one reason for each candidate, and the line of the service event.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::PlacementRequest;
use super::chain::AVAILABILITY_ZONE;
use super::conditions::{GroupNames, is_in};
use super::slot::{GroupIndex, Slot};
use crate::control_plane::action::Failure;
use crate::model::capacity::{AgentConnection, ContainerInstanceStatus, PORTS_MAX, RequiredAttribute};
use crate::model::cluster_query::{ClusterQuery, DecidingComparison};
use crate::model::ids::{ContainerInstanceId, IdForm};
use crate::model::service::PlacementConstraint;
use crate::model::task_definition::HostPort;

/// The instance takes no tasks. **Source:** ecs-semantics §4.5.
pub const INACTIVE: &str = "INACTIVE";
/// Its agent has no contact. **Source:** ecs-semantics §4.5.
pub const AGENT: &str = "AGENT";
/// Not enough CPU. **Source:** ecs-semantics §4.5.
pub const RESOURCE_CPU: &str = "RESOURCE:CPU";
/// Not enough memory. **Source:** ecs-semantics §4.5.
pub const RESOURCE_MEMORY: &str = "RESOURCE:MEMORY";
/// A host port is taken. **Source:** ecs-semantics §4.5.
pub const RESOURCE_PORTS: &str = "RESOURCE:PORTS";
/// Not enough GPUs. **Source:** ecs-semantics §4.5.
pub const RESOURCE_GPU: &str = "RESOURCE:GPU";
/// No network interface for a task of mode `awsvpc`. **Source:** ecs-semantics §4.5.
pub const RESOURCE_ENI: &str = "RESOURCE:ENI";
/// An attribute that the task requires is missing or another. **Source:** ecs-semantics §4.5.
pub const ATTRIBUTE: &str = "ATTRIBUTE";
/// The instance is in no zone of the task's subnets. **Source:** ecs-semantics §4.5.
pub const LOCATION: &str = "LOCATION";
/// A query is not true of the instance. **Source:** ecs-semantics §2.4.
pub const MEMBER_OF: &str = "MemberOf placement constraint unsatisfied";
/// The group has a task there and wants one an instance. *Ours:* worded like §2.4's reason for `memberOf`.
pub const DISTINCT_INSTANCE: &str = "DistinctInstance placement constraint unsatisfied";
/// The cluster has no instance that takes tasks. **Source:** ecs-semantics §2.4.
pub const NO_ACTIVE_INSTANCES: &str = "NO ACTIVE INSTANCES";
/// The capacity provider has no instance that takes tasks. **Source:** ecs-semantics §2.4.
pub const EMPTY_CAPACITY_PROVIDER: &str = "EMPTY CAPACITY PROVIDER";

/// Fargate has no capacity. **Source:** ecs-semantics §4.5.
pub const RESOURCE_FARGATE: &str = "RESOURCE:FARGATE";
/// What it says of that. **Source:** ecs-semantics §5.11.
const NO_FARGATE_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// Why a task found no instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementFailure {
    /// One for each candidate instance, oldest first; a single one without an instance when there is no candidate.
    pub failures: Vec<Failure>,
    /// The candidate that came closest, with its reason: the one that lacks the fewest things, and among those the
    /// one that lacks the least CPU, then memory.
    pub closest: Option<(ContainerInstanceId, &'static str)>,
}

/// Every reason for which a placement fails.
const REASONS: [&str; 14] = [
    RESOURCE_FARGATE,
    INACTIVE,
    AGENT,
    RESOURCE_CPU,
    RESOURCE_MEMORY,
    RESOURCE_PORTS,
    RESOURCE_GPU,
    RESOURCE_ENI,
    ATTRIBUTE,
    LOCATION,
    MEMBER_OF,
    DISTINCT_INSTANCE,
    NO_ACTIVE_INSTANCES,
    EMPTY_CAPACITY_PROVIDER,
];

/// One of a closed list of reasons. (By its own name, since a reader may not take it for text that it has at hand.)
pub type KnownReason = &'static str;

/// Reads a reason.
pub fn read_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KnownReason, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = REASONS.into_iter().find(|reason| *reason == text);
    known.ok_or_else(|| D::Error::custom(format!("{text:?} is no reason for which a placement fails")))
}

impl PlacementFailure {
    /// That Fargate has no capacity.
    pub fn on_fargate() -> PlacementFailure {
        let failure = Failure { instance: None, reason: RESOURCE_FARGATE, detail: NO_FARGATE_CAPACITY.to_owned() };
        PlacementFailure { failures: vec![failure], closest: None }
    }

    /// The reason of a task that is stopped for want of an instance: the closest candidate's. **Source:** ecs-semantics
    /// §2.4.
    pub fn reason(&self) -> &'static str {
        match self.closest {
            Some((_, reason)) => reason,
            None => self.failures.first().map_or(NO_ACTIVE_INSTANCES, |failure| failure.reason),
        }
    }

    /// What the service event says behind its prefix. *Ours:* what it says of a location, in the same words.
    /// **Source:** ecs-semantics §5.11.
    pub fn service_event_reason(&self, form: IdForm) -> String {
        if self.reason() == RESOURCE_FARGATE {
            return format!("was unable to place a task. Reason: {NO_FARGATE_CAPACITY}.");
        }
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
            LOCATION => write!(line, "is not in an Availability Zone of the subnets of your task."),
            other => write!(line, "encountered error \"{other}\"."),
        };
        line
    }
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// ACTIVE. **Source:** ecs-semantics §4.1.
    Status,
    /// An agent that has contact. **Source:** ecs-semantics §4.1.
    Agent,
    /// An instance of the capacity provider. **Source:** ecs-semantics §4.1.
    CapacityProvider(Arc<str>),
    /// CPU units.
    Cpu,
    /// Memory.
    Memory,
    /// Host ports.
    Ports,
    /// GPUs.
    Gpus,
    /// A network interface.
    NetworkInterfaces,
    /// A required attribute.
    Attribute(RequiredAttribute),
    /// A zone of the task's subnets.
    Location(Vec<Arc<str>>),
    /// A task of the group on each instance at most.
    DistinctInstance,
    /// A query.
    MemberOf(Arc<ClusterQuery>),
}

impl Rule {
    /// The reason of an instance that breaks it. **Source:** ecs-semantics §2.4, §4.5.
    pub fn reason(&self) -> &'static str {
        match self {
            Rule::Status => INACTIVE,
            Rule::Agent => AGENT,
            Rule::CapacityProvider(_) => EMPTY_CAPACITY_PROVIDER,
            Rule::Cpu => RESOURCE_CPU,
            Rule::Memory => RESOURCE_MEMORY,
            Rule::Ports => RESOURCE_PORTS,
            Rule::Gpus => RESOURCE_GPU,
            Rule::NetworkInterfaces => RESOURCE_ENI,
            Rule::Attribute(_) => ATTRIBUTE,
            Rule::Location(_) => LOCATION,
            Rule::DistinctInstance => DISTINCT_INSTANCE,
            Rule::MemberOf(_) => MEMBER_OF,
        }
    }
}

impl Rule {
    /// Whether it asks what tasks leave of an instance, and not what the instance is.
    pub fn is_about_room(&self) -> bool {
        matches!(
            self,
            Rule::Cpu | Rule::Memory | Rule::Ports | Rule::Gpus | Rule::NetworkInterfaces | Rule::DistinctInstance
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Status => f.write_str("status"),
            Rule::Agent => f.write_str("agent"),
            Rule::CapacityProvider(_) => f.write_str("capacity provider"),
            Rule::Cpu => f.write_str("cpu"),
            Rule::Memory => f.write_str("memory"),
            Rule::Ports => f.write_str("ports"),
            Rule::Gpus => f.write_str("gpus"),
            Rule::NetworkInterfaces => f.write_str("network interfaces"),
            Rule::Attribute(required) => f.write_str(&required.name),
            Rule::Location(_) => f.write_str("location"),
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
    /// What the task wants of an instance.
    pub wanted: String,
    /// What this one has.
    pub has: String,
    /// Of a query that is not true of it: the comparisons that make it false.
    pub because: Vec<DecidingComparison>,
    /// Both in a sentence, as a failure says it.
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
            Rule::Status => format!("the container instance is {}", self.held.status.as_str()),
            Rule::Agent if self.is_met => "its agent is connected".to_owned(),
            Rule::Agent => "its agent is disconnected".to_owned(),
            Rule::CapacityProvider(wanted) => match &self.held.launch.capacity_provider {
                Some(own) => format!("it is of capacity provider `{own}` and `{wanted}` is wanted"),
                None => format!("it is of no capacity provider and `{wanted}` is wanted"),
            },
            Rule::Cpu => format!("{} CPU units are needed and {} are left", needed.cpu, left.cpu),
            Rule::Memory => format!("{} MiB are needed and {} are left", needed.memory, left.memory),
            Rule::Ports => {
                let taken = port_list(needed.ports.intersection(&left.ports));
                match (self.is_met, taken.is_empty()) {
                    (true, _) => format!("host ports {} are free", port_list(needed.ports.iter())),
                    (false, true) => format!("{} host ports are in use, and {PORTS_MAX} can be", left.ports.len()),
                    (false, false) => format!("host ports in use: {taken}"),
                }
            }
            Rule::Gpus => format!("{} GPUs are needed and {} are left", needed.devices.gpus, left.devices.gpus),
            Rule::NetworkInterfaces => {
                let left = left.devices.network_interfaces.unwrap_or_default();
                format!("a network interface is needed and {left} are left")
            }
            Rule::Attribute(required) => match self.held.launch.attribute(&required.name) {
                Some(value) => format!("{} is {value} and {} is required", required.name, required.value),
                None => format!("{} is not there and {} is required", required.name, required.value),
            },
            Rule::Location(zones) => {
                let own = self.held.attribute(AVAILABILITY_ZONE).unwrap_or("no zone");
                format!("it is in {own} and the subnets of the task are in {}", zones.join(", "))
            }
            Rule::DistinctInstance if self.is_met => format!("no task of group `{}` is there", self.request.group),
            Rule::DistinctInstance => format!("a task of group `{}` is there", self.request.group),
            Rule::MemberOf(query) if self.is_met => format!("`{query}` is true of it"),
            Rule::MemberOf(query) => format!("`{query}` is not true of it"),
        }
    }

    /// What is wanted, in a word.
    fn wanted(&self) -> String {
        let needed = self.request.reservation;
        match &self.rule {
            Rule::Status => ContainerInstanceStatus::Active.as_str().to_owned(),
            Rule::Agent => CONNECTED.to_owned(),
            Rule::CapacityProvider(wanted) => wanted.to_string(),
            Rule::Cpu => needed.cpu.to_string(),
            Rule::Memory => format!("{} MiB", needed.memory),
            Rule::Ports => port_list(needed.ports.iter()),
            Rule::Gpus => needed.devices.gpus.to_string(),
            Rule::NetworkInterfaces => needed.devices.network_interfaces.to_string(),
            Rule::Attribute(required) => required.value.clone().into_owned(),
            Rule::Location(zones) => zones.join(", "),
            Rule::DistinctInstance => "no task of the group".to_owned(),
            Rule::MemberOf(_) => "true".to_owned(),
        }
    }

    /// What is there, in a word.
    fn has(&self, group: Option<GroupIndex>) -> String {
        let left = &self.held.remaining;
        match &self.rule {
            Rule::Status => self.held.status.as_str().to_owned(),
            Rule::Agent if self.is_met => CONNECTED.to_owned(),
            Rule::Agent => "disconnected".to_owned(),
            Rule::CapacityProvider(_) => self.held.launch.capacity_provider.as_deref().unwrap_or("none").to_owned(),
            Rule::Cpu => left.cpu.to_string(),
            Rule::Memory => format!("{} MiB", left.memory),
            Rule::Ports if self.is_met => "free".to_owned(),
            Rule::Ports => {
                let taken = port_list(self.request.reservation.ports.intersection(&left.ports));
                if taken.is_empty() { format!("{} of {PORTS_MAX} in use", left.ports.len()) } else { taken + " in use" }
            }
            Rule::Gpus => left.devices.gpus.to_string(),
            Rule::NetworkInterfaces => left.devices.network_interfaces.unwrap_or_default().to_string(),
            Rule::Attribute(required) => self.held.launch.attribute(&required.name).unwrap_or("none").to_owned(),
            Rule::Location(_) => self.held.attribute(AVAILABILITY_ZONE).unwrap_or("none").to_owned(),
            Rule::DistinctInstance => {
                let count = group.map_or(0, |group| self.held.task_count(group));
                if count == 0 { "none".to_owned() } else { format!("{count} of the group") }
            }
            Rule::MemberOf(_) => self.is_met.to_string(),
        }
    }
}

const CONNECTED: &str = "connected";

fn port_list<'a>(ports: impl Iterator<Item = &'a HostPort>) -> String {
    ports.map(|port| port.port.to_string()).collect::<Vec<_>>().join(", ")
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
    add(Rule::Status, held.status == ContainerInstanceStatus::Active);
    add(Rule::Agent, held.agent == AgentConnection::Connected);
    if let Some(wanted) = request.capacity_provider {
        add(Rule::CapacityProvider(wanted.clone()), held.launch.capacity_provider.as_ref() == Some(wanted));
    }
    add(Rule::Cpu, needed.cpu <= left.cpu);
    add(Rule::Memory, needed.memory <= left.memory);
    if !needed.ports.is_empty() {
        add(Rule::Ports, held.has_ports(needed));
    }
    if needed.devices.gpus > 0 {
        add(Rule::Gpus, needed.devices.gpus <= left.devices.gpus);
    }
    // Where they are not counted there is nothing to say.
    if let Some(left) = left.devices.network_interfaces.filter(|_| needed.devices.network_interfaces > 0) {
        add(Rule::NetworkInterfaces, needed.devices.network_interfaces <= left);
    }
    for required in request.required_attributes {
        add(Rule::Attribute(required.clone()), required.is_had_by(&held.launch));
    }
    if !request.availability_zones.is_empty() {
        add(Rule::Location(request.availability_zones.to_vec()), is_in(held, request.availability_zones));
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
        let because = match &check.rule {
            Rule::MemberOf(query) if !check.is_met => held.ask(names, |view| query.deciding_comparisons(view)),
            _ => Vec::new(),
        };
        let (wanted, has, detail) = (check.wanted(), check.has(group), check.detail());
        RuleVerdict { rule: check.rule, is_met: check.is_met, wanted, has, because, detail }
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
