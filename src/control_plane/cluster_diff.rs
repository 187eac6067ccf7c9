//! From one cluster file to the next: what to ask for so that a running cluster becomes what the edited file says.
//!
//! The intuition: the difference of two specifications is a list of ECS' own requests. A task definition that changed is registered
//! as a revision, a service that changed is updated, and ECS' rules then decide what a deployment is needed for. What ECS has no
//! request for is a refusal that names the key. Nothing is looked up in the running cluster but which revisions it has: a desired
//! count that auto scaling has moved stays as it is until the file's own count is edited.
//!
//! **Source:** ecs-semantics §5.5. *Ours:* ECS knows no cluster file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Deletion, NewDeployment, Request, UpdateService};
use crate::model::alarm::{MetricAlarm, MetricId};
use crate::model::capacity::{InstanceLaunch, LaunchTarget};
use crate::model::cluster::{
    ClusterSpec, Load, ScheduledInstanceRefresh, ScheduledRunTask, ScheduledServiceUpdate, ScheduledStartTask,
};
use crate::model::deployment_hook::HookTarget;
use crate::model::fault::Fault;
use crate::model::metric::MetricScript;
use crate::model::service::{DeploymentConfiguration, ServiceSpec};
use crate::model::settings::Settings;
use crate::model::subnet::Subnet;
use crate::model::target_group::TargetGroup;
use crate::model::task_definition::{LaunchType, TaskDefinition, TaskDefinitionRef};
use crate::model::task_set::{DeploymentController, TaskSetName, TaskSetSpec};

/// Which revisions the task definitions of a file have been registered as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Revisions(BTreeMap<String, FamilyRevisions>);

/// The revisions of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
struct FamilyRevisions {
    /// By the position in the file among the definitions of the family.
    by_position: Vec<u32>,
    /// The last that was registered: what the family alone means.
    highest: u32,
}

impl Revisions {
    /// The revisions of a cluster that has just been set up from a specification: 1, 2, ... in each family.
    pub fn of_start(spec: &ClusterSpec) -> Revisions {
        let mut revisions = Revisions::default();
        for definition in &spec.task_definitions {
            let family = revisions.0.entry(definition.family.clone()).or_default();
            family.highest += 1;
            family.by_position.push(family.highest);
        }
        revisions
    }

    /// Takes in that somebody else has registered revisions up to this one.
    pub fn see(&mut self, family: &str, highest: u32) {
        if let Some(found) = self.0.get_mut(family) {
            found.highest = found.highest.max(highest);
        } else {
            self.0.insert(family.to_owned(), FamilyRevisions { by_position: Vec::new(), highest });
        }
    }

    /// The registered revision that a reference of the file means.
    fn resolve(&self, reference: &TaskDefinitionRef) -> Option<u32> {
        let family = self.0.get(&reference.family)?;
        match reference.revision {
            None => family.by_position.last().copied(),
            Some(position) => family.by_position.get(usize::try_from(position.checked_sub(1)?).ok()?).copied(),
        }
    }

    /// A reference of the file as one that the cluster understands: the family alone stays what it is, the n-th of the file becomes
    /// the revision that it was registered as.
    pub fn registered(&self, reference: &TaskDefinitionRef) -> TaskDefinitionRef {
        let revision = reference.revision.and_then(|_| self.resolve(reference));
        TaskDefinitionRef { family: reference.family.clone(), revision }
    }

    /// A deployment configuration of the file whose hooks name task definitions as the cluster knows them.
    fn with_hooks(&self, configuration: &DeploymentConfiguration) -> DeploymentConfiguration {
        let mut configuration = configuration.clone();
        for hook in &mut configuration.lifecycle_hooks {
            if let HookTarget::TaskDefinition(reference) = &mut hook.target {
                *reference = self.registered(reference);
            }
        }
        configuration
    }
}

/// What a request of a diff is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A capacity provider, by name.
    CapacityProvider(Arc<str>),
    /// A subnet, by id.
    Subnet(Arc<str>),
    /// The default capacity provider strategy.
    DefaultStrategy,
    /// Container Insights.
    ContainerInsights,
    /// A target group, by name.
    TargetGroup(Arc<str>),
    /// A container instance that is registered by hand.
    ContainerInstance,
    /// A task definition: a revision of its family.
    TaskDefinition(String),
    /// An alarm, by name.
    Alarm(Arc<str>),
    /// A metric whose values are written down beforehand.
    Metric(MetricId),
    /// A service, by name.
    Service(Arc<str>),
    /// A task set of a service.
    TaskSet {
        /// The service.
        service: Arc<str>,
        /// The task set's external id.
        external_id: Arc<str>,
    },
    /// Which task set of a service is PRIMARY.
    PrimaryTaskSet(Arc<str>),
}

impl Item {
    fn of_set(set: &TaskSetSpec) -> Item {
        Item::TaskSet { service: set.service.clone(), external_id: set.external_id.clone().unwrap_or_default() }
    }

    /// Whether it is a task set.
    pub fn is_set(&self, set: &TaskSetSpec) -> bool {
        *self == Item::of_set(set)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::CapacityProvider(name) => write!(f, "capacity provider {name}"),
            Item::Subnet(id) => write!(f, "subnet {id}"),
            Item::DefaultStrategy => f.write_str("default capacity provider strategy"),
            Item::ContainerInsights => f.write_str("cluster setting containerInsights"),
            Item::TargetGroup(name) => write!(f, "target group {name}"),
            Item::ContainerInstance => f.write_str("container instance"),
            Item::TaskDefinition(family) => write!(f, "task definition {family}"),
            Item::Alarm(name) => write!(f, "alarm {name}"),
            Item::Metric(metric) => write!(f, "metric {metric}"),
            Item::Service(name) => write!(f, "service {name}"),
            Item::TaskSet { service, external_id } => write!(f, "task set {external_id} of service {service}"),
            Item::PrimaryTaskSet(service) => write!(f, "primary task set of service {service}"),
        }
    }
}

/// One request and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it is about.
    pub item: Item,
    /// What to ask for.
    pub request: Request,
}

/// Something that an edited file asks for and a running cluster can't become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The key, as in `settings.seed` or `service web: launch_type`.
    pub key: String,
    /// Why not, and what to do about it.
    pub reason: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// Entries of a file that have a time. Each counts as often as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edits<T> {
    /// Those that the file before did not have: what has its time behind it is due at once.
    pub added: Vec<T>,
    /// Those that are no longer in the file: they are forgotten if their time has not come.
    pub removed: Vec<T>,
}

impl<T> Default for Edits<T> {
    fn default() -> Edits<T> {
        Edits { added: Vec::new(), removed: Vec::new() }
    }
}

impl<T: Clone + PartialEq> Edits<T> {
    fn between(before: &[T], after: &[T]) -> Edits<T> {
        Edits { added: beyond(after, before), removed: beyond(before, after) }
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// All that lies between two specifications.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterDiff {
    /// Requests in the order in which every reference is there before it is used.
    pub steps: Vec<Step>,
    /// RunTask calls.
    pub run_tasks: Edits<ScheduledRunTask>,
    /// StartTask calls.
    pub start_tasks: Edits<ScheduledStartTask>,
    /// What goes wrong by plan.
    pub faults: Edits<Fault>,
    /// StartInstanceRefresh calls.
    pub instance_refreshes: Edits<ScheduledInstanceRefresh>,
    /// UpdateService calls.
    pub service_updates: Edits<ScheduledServiceUpdate>,
    /// The loads, if they are others.
    pub loads: Option<Vec<Load>>,
    /// The revisions once the steps are done.
    pub revisions: Revisions,
    /// What can't be done. Nothing is to be done then.
    pub refusals: Vec<Refusal>,
}

const RESTART: &str = "cannot be changed while the cluster runs: run the file anew";

impl ClusterDiff {
    /// Whether there is nothing to do and nothing to refuse.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
            && self.run_tasks.is_empty()
            && self.start_tasks.is_empty()
            && self.faults.is_empty()
            && self.instance_refreshes.is_empty()
            && self.service_updates.is_empty()
            && self.loads.is_none()
            && self.refusals.is_empty()
    }

    /// What lies between the specification that a cluster runs and another. **Source:** ecs-semantics §5.5.
    pub fn between(before: &ClusterSpec, after: &ClusterSpec, revisions: &Revisions) -> ClusterDiff {
        let mut diff = ClusterDiff { revisions: revisions.clone(), ..ClusterDiff::default() };
        diff.whole(before, after);
        diff.settings(&before.settings, &after.settings);
        diff.subnets(&before.subnets, &after.subnets);
        diff.capacity_providers(before, after);
        if before.default_strategy != after.default_strategy {
            diff.step(Item::DefaultStrategy, Request::PutDefaultStrategy(after.default_strategy.clone()));
        }
        diff.target_groups(&before.target_groups, &after.target_groups);
        diff.container_instances(&before.container_instances, &after.container_instances);
        diff.task_definitions(&before.task_definitions, &after.task_definitions);
        // Policies name alarms, and deployments watch them.
        diff.alarms(&before.alarms, &after.alarms);
        diff.services(before, after, revisions);
        diff.task_sets(before, after, revisions);
        diff.alarms_removed(&before.alarms, &after.alarms);
        diff.target_groups_removed(&before.target_groups, &after.target_groups);
        diff.metric_scripts(&before.metric_scripts, &after.metric_scripts);
        diff.run_tasks = Edits::between(&before.run_tasks, &after.run_tasks);
        diff.start_tasks = Edits::between(&before.start_tasks, &after.start_tasks);
        diff.faults = Edits::between(&before.faults, &after.faults);
        diff.instance_refreshes = Edits::between(&before.instance_refreshes, &after.instance_refreshes);
        diff.service_updates = Edits::between(&before.service_updates, &after.service_updates);
        diff.loads = (before.loads != after.loads).then(|| after.loads.clone());
        diff
    }

    fn step(&mut self, item: Item, request: Request) {
        self.steps.push(Step { item, request });
    }

    fn refuse(&mut self, key: impl Into<String>, reason: &'static str) {
        self.refusals.push(Refusal { key: key.into(), reason });
    }

    fn whole(&mut self, before: &ClusterSpec, after: &ClusterSpec) {
        if before.name != after.name {
            self.refuse("cluster.name", RESTART);
        }
        if before.region != after.region {
            self.refuse("cluster.region", RESTART);
        }
        if before.images != after.images {
            self.refuse("images", RESTART);
        }
        // Whatever is compared nowhere here.
        let mut rest = after.clone();
        rest.name = before.name.clone();
        rest.region = before.region.clone();
        rest.settings = before.settings.clone();
        rest.images = before.images.clone();
        rest.default_strategy = before.default_strategy.clone();
        rest.subnets = before.subnets.clone();
        rest.capacity_providers = before.capacity_providers.clone();
        rest.container_instances = before.container_instances.clone();
        rest.task_definitions = before.task_definitions.clone();
        rest.target_groups = before.target_groups.clone();
        rest.services = before.services.clone();
        rest.task_sets = before.task_sets.clone();
        rest.primary_task_sets = before.primary_task_sets.clone();
        rest.alarms = before.alarms.clone();
        rest.metric_scripts = before.metric_scripts.clone();
        rest.run_tasks = before.run_tasks.clone();
        rest.start_tasks = before.start_tasks.clone();
        rest.loads = before.loads.clone();
        rest.faults = before.faults.clone();
        rest.instance_refreshes = before.instance_refreshes.clone();
        rest.service_updates = before.service_updates.clone();
        if rest != *before {
            self.refuse("a table of the file", RESTART);
        }
    }

    /// Settings are the cluster's nature, but for when it ends and what is measured.
    fn settings(&mut self, before: &Settings, after: &Settings) {
        if before.container_insights != after.container_insights {
            self.step(Item::ContainerInsights, Request::PutContainerInsights(after.container_insights));
        }
        let mut rest =
            Settings { run_for: before.run_for, container_insights: before.container_insights, ..after.clone() };
        macro_rules! compare {
            ($($field:ident: $key:literal),* $(,)?) => {
                $(if rest.$field != before.$field {
                    self.refuse(concat!("settings.", $key), RESTART);
                    rest.$field = before.$field.clone();
                })*
            };
        }
        compare! {
            seed: "seed",
            cpu_basis: "cpu_basis",
            fuel_rate: "fuel_per_vcpu_second",
            cpu_period: "cpu_period",
            metric_period: "metric_period",
            usage_period: "usage_period",
            healthy_after: "healthy_after",
            restart_delay_first: "restart_delay_first",
            restart_delay_max: "restart_delay_max",
            stop_timeout: "stop_timeout",
            boot_time: "boot_time",
            stopped_task_retention: "stopped_task_retention",
            stopped_task_limit: "stopped_task_limit",
            calendar_start: "calendar_start",
            service_launches_per_minute: "service_launches_per_minute",
            bake_time: "bake_time",
            deployment_timeout: "deployment_timeout",
            task_protection: "task_protection",
            managed_draining_timeout: "managed_draining_timeout",
            spot_interruption_notice: "spot_interruption_notice",
        }
        if rest != *before {
            self.refuse("settings", RESTART);
        }
    }

    fn subnets(&mut self, before: &[Subnet], after: &[Subnet]) {
        for subnet in beyond(before, after) {
            self.refuse(format!("subnet {}", subnet.id), "cannot be changed while the cluster runs: add another one");
        }
        for subnet in beyond(after, before) {
            if !before.iter().any(|other| other.id == subnet.id) {
                self.step(Item::Subnet(subnet.id.clone()), Request::PutSubnet(subnet));
            }
        }
    }

    fn capacity_providers(&mut self, before: &ClusterSpec, after: &ClusterSpec) {
        for provider in &before.capacity_providers {
            if !after.capacity_providers.iter().any(|other| other.name == provider.name) {
                let key = format!("capacity provider {}", provider.name);
                self.refuse(key, "cannot be removed while the cluster runs: give its group max_size = 0");
            }
        }
        for provider in &after.capacity_providers {
            let item = Item::CapacityProvider(provider.name.clone());
            match before.capacity_providers.iter().find(|other| other.name == provider.name) {
                None => self.step(item, Request::CreateCapacityProvider(Box::new(provider.clone()))),
                Some(same) if same == provider => {}
                Some(_) => self.step(item, Request::UpdateCapacityProvider(Box::new(provider.clone()))),
            }
        }
    }

    fn container_instances(&mut self, before: &[InstanceLaunch], after: &[InstanceLaunch]) {
        // One that is changed is another: what comes is there before the tasks of what goes look for room.
        for launch in beyond(after, before) {
            self.step(Item::ContainerInstance, Request::LaunchInstance(Arc::new(launch)));
        }
        for launch in beyond(before, after) {
            self.step(Item::ContainerInstance, Request::RetireInstance(Arc::new(launch)));
        }
    }

    /// A definition that is not what stood at its place becomes a revision of its family, and the last of a family is always its
    /// highest revision, because that is what the family alone means. **Source:** ecs-semantics §1.4.
    fn task_definitions(&mut self, before: &[TaskDefinition], after: &[TaskDefinition]) {
        let of_family = |definitions: &[TaskDefinition]| {
            let mut families: BTreeMap<String, Vec<TaskDefinition>> = BTreeMap::new();
            for definition in definitions {
                families.entry(definition.family.clone()).or_default().push(definition.clone());
            }
            families
        };
        let before = of_family(before);
        for (family, wanted) in of_family(after) {
            let had = before.get(&family).map_or(&[][..], Vec::as_slice);
            let known = self.revisions.0.remove(&family).unwrap_or_default();
            let mut revisions = FamilyRevisions { by_position: Vec::new(), highest: known.highest };
            let last = wanted.len() - 1;
            for (position, definition) in wanted.into_iter().enumerate() {
                let same = had.get(position).filter(|other| **other == definition);
                let revision = same.and(known.by_position.get(position).copied());
                let revision = revision.filter(|revision| position < last || *revision == revisions.highest);
                revisions.by_position.push(revision.unwrap_or_else(|| {
                    revisions.highest += 1;
                    let request = Request::RegisterTaskDefinition(Box::new(definition));
                    self.steps.push(Step { item: Item::TaskDefinition(family.clone()), request });
                    revisions.highest
                }));
            }
            self.revisions.0.insert(family, revisions);
        }
    }

    fn alarms(&mut self, before: &[MetricAlarm], after: &[MetricAlarm]) {
        for alarm in beyond(after, before) {
            self.step(Item::Alarm(alarm.name.clone()), Request::PutMetricAlarm(Box::new(alarm)));
        }
    }

    fn alarms_removed(&mut self, before: &[MetricAlarm], after: &[MetricAlarm]) {
        for alarm in before.iter().filter(|alarm| !after.iter().any(|other| other.name == alarm.name)) {
            let request = Request::DeleteAlarm { alarm: alarm.name.clone() };
            self.step(Item::Alarm(alarm.name.clone()), request);
        }
    }

    fn metric_scripts(&mut self, before: &[MetricScript], after: &[MetricScript]) {
        for script in beyond(after, before) {
            self.step(Item::Metric(script.metric.clone()), Request::PutMetricScript(script));
        }
        for script in before.iter().filter(|script| !after.iter().any(|other| other.metric == script.metric)) {
            self.step(Item::Metric(script.metric.clone()), Request::DeleteMetricScript(script.metric.clone()));
        }
    }

    /// Before whatever names them.
    fn target_groups(&mut self, before: &[TargetGroup], after: &[TargetGroup]) {
        for group in beyond(after, before) {
            self.step(Item::TargetGroup(group.name.clone()), Request::PutTargetGroup(Box::new(group)));
        }
    }

    fn target_groups_removed(&mut self, before: &[TargetGroup], after: &[TargetGroup]) {
        for group in before.iter().filter(|group| !after.iter().any(|other| other.name == group.name)) {
            let request = Request::DeleteTargetGroup { target_group: group.name.clone() };
            self.step(Item::TargetGroup(group.name.clone()), request);
        }
    }

    fn services(&mut self, before: &ClusterSpec, after: &ClusterSpec, revisions: &Revisions) {
        for service in &before.services {
            if !after.services.iter().any(|other| other.name == service.name) {
                let request = Request::DeleteService { service: service.name.clone(), deletion: Deletion::Forced };
                self.step(Item::Service(service.name.clone()), request);
            }
        }
        for service in &after.services {
            match before.services.iter().find(|other| other.name == service.name) {
                None => {
                    let task_definition = match service.deployment_controller {
                        DeploymentController::External => service.task_definition.clone(),
                        _ => self.revisions.registered(&service.task_definition),
                    };
                    let deployment_configuration = self.revisions.with_hooks(&service.deployment_configuration);
                    let spec = ServiceSpec { task_definition, deployment_configuration, ..service.clone() };
                    self.step(Item::Service(service.name.clone()), Request::CreateService(Box::new(spec)));
                }
                Some(was) => self.service(was, service, after, revisions),
            }
        }
    }

    /// A task set is known by its service and its external id: of one that stays only its scale and whether it is PRIMARY can change.
    /// Those that come are there before others go. **Source:** ecs-semantics §5.8.
    fn task_sets(&mut self, before: &ClusterSpec, after: &ClusterSpec, revisions: &Revisions) {
        let is_same = |one: &TaskSetSpec, other: &TaskSetSpec| {
            (&one.service, &one.external_id) == (&other.service, &other.external_id)
        };
        let is_kept = |service: &Arc<str>| {
            let has = |spec: &ClusterSpec| spec.services.iter().any(|found| found.name == *service);
            has(before) && has(after)
        };
        for set in &after.task_sets {
            let Some(was) = before.task_sets.iter().find(|was| is_same(was, set) && is_kept(&set.service)) else {
                let task_definition = self.revisions.registered(&set.task_definition);
                let spec = TaskSetSpec { task_definition, ..set.clone() };
                self.step(Item::of_set(set), Request::CreateTaskSet(Box::new(spec)));
                continue;
            };
            let runs_same = was.task_definition.family == set.task_definition.family
                && revisions.resolve(&was.task_definition) == self.revisions.resolve(&set.task_definition);
            let rest = TaskSetSpec { scale: was.scale, task_definition: was.task_definition.clone(), ..set.clone() };
            if !runs_same || rest != *was {
                let external_id = set.external_id.as_deref().unwrap_or_default();
                self.refuse(format!("service {}: task_set \"{external_id}\"", set.service), OTHER_SET);
            } else if was.scale != set.scale {
                let (service, scale) = (set.service.clone(), set.scale);
                let task_set = TaskSetName::External(set.external_id.clone().unwrap_or_default());
                self.step(Item::of_set(set), Request::UpdateTaskSet { service, task_set, scale });
            }
        }
        for (service, external_id) in &after.primary_task_sets {
            if before.primary_task_sets.get(service) != Some(external_id) || !is_kept(service) {
                let (service, task_set) = (service.clone(), TaskSetName::External(external_id.clone()));
                self.step(
                    Item::PrimaryTaskSet(service.clone()),
                    Request::UpdateServicePrimaryTaskSet { service, task_set },
                );
            }
        }
        for set in &before.task_sets {
            if is_kept(&set.service) && !after.task_sets.iter().any(|other| is_same(other, set)) {
                let (service, deletion) = (set.service.clone(), Deletion::Forced);
                let task_set = TaskSetName::External(set.external_id.clone().unwrap_or_default());
                self.step(Item::of_set(set), Request::DeleteTaskSet { service, task_set, deletion });
            }
        }
    }

    /// What UpdateService can change of a service, and what it can't. **Source:** ecs-semantics §5.5, §11.6.
    fn service(&mut self, was: &ServiceSpec, is: &ServiceSpec, after: &ClusterSpec, revisions: &Revisions) {
        fn changed<T: Clone + PartialEq>(was: &T, is: &T) -> Option<T> {
            (was != is).then(|| is.clone())
        }
        let (ran, runs) = (revisions.resolve(&was.task_definition), self.revisions.resolve(&is.task_definition));
        let other_definition = was.task_definition.family != is.task_definition.family || ran != runs;
        let update = UpdateService {
            service: is.name.clone(),
            desired_count: changed(&was.desired_count, &is.desired_count),
            task_definition: other_definition
                .then(|| TaskDefinitionRef { family: is.task_definition.family.clone(), revision: runs }),
            deployment_configuration: changed(
                &revisions.with_hooks(&was.deployment_configuration),
                &self.revisions.with_hooks(&is.deployment_configuration),
            ),
            placement_strategy: changed(&was.placement_strategy, &is.placement_strategy),
            placement_constraints: changed(&was.placement_constraints, &is.placement_constraints),
            capacity_provider_strategy: self.strategy(was, is, after),
            health_check_grace_period: changed(&was.health_check_grace_period, &is.health_check_grace_period),
            propagate_tags: changed(&was.propagate_tags, &is.propagate_tags),
            availability_zone_rebalancing: changed(
                &was.availability_zone_rebalancing,
                &is.availability_zone_rebalancing,
            ),
            monitoring: changed(&was.monitoring, &is.monitoring),
            load_balancers: changed(&was.load_balancers, &is.load_balancers),
            document: changed(&was.document, &is.document),
            // It holds nothing but the network configuration. Source: ecs-semantics §5.5.
            new_deployment: match was.document == is.document {
                true => NewDeployment::WhenChanged,
                false => NewDeployment::DocumentChanged,
            },
            ..UpdateService::default()
        };
        if update != (UpdateService { service: is.name.clone(), ..UpdateService::default() }) {
            self.step(Item::Service(is.name.clone()), Request::UpdateService(Box::new(update)));
        }
        if was.auto_scaling != is.auto_scaling {
            let auto_scaling = is.auto_scaling.clone().map(Box::new);
            let request = Request::SetAutoScaling { service: is.name.clone(), auto_scaling };
            self.step(Item::Service(is.name.clone()), request);
        }
        if was.tags != is.tags {
            let request = Request::SetServiceTags { service: is.name.clone(), tags: is.tags.clone() };
            self.step(Item::Service(is.name.clone()), request);
        }
        if was.scheduling_strategy != is.scheduling_strategy {
            self.refuse(format!("service {}: scheduling_strategy", is.name), RECREATE);
        }
        // Whatever is compared nowhere here.
        let mut rest = is.clone();
        rest.name = was.name.clone();
        rest.task_definition = was.task_definition.clone();
        rest.desired_count = was.desired_count;
        rest.launch_target = was.launch_target.clone();
        rest.deployment_configuration = was.deployment_configuration.clone();
        rest.placement_strategy = was.placement_strategy.clone();
        rest.placement_constraints = was.placement_constraints.clone();
        rest.auto_scaling = was.auto_scaling.clone();
        rest.tags = was.tags.clone();
        rest.scheduling_strategy = was.scheduling_strategy;
        rest.availability_zone_rebalancing = was.availability_zone_rebalancing;
        rest.propagate_tags = was.propagate_tags;
        rest.monitoring = was.monitoring;
        rest.load_balancers = was.load_balancers.clone();
        rest.document = was.document.clone();
        rest.health_check_grace_period = was.health_check_grace_period;
        if rest != *was {
            self.refuse(format!("service {}: a key", is.name), RECREATE);
        }
    }

    /// The strategy to ask for, if the target is another. A launch type can't be changed: it is the one thing of a target that
    /// UpdateService does not take. **Source:** ecs-semantics §5.5, §11.6.
    fn strategy(
        &mut self,
        was: &ServiceSpec,
        is: &ServiceSpec,
        after: &ClusterSpec,
    ) -> Option<Vec<crate::model::capacity::CapacityProviderStrategyItem>> {
        if was.launch_target == is.launch_target {
            return None;
        }
        let target = match &is.launch_target {
            LaunchTarget::ClusterDefault if after.default_strategy.is_empty() => {
                LaunchTarget::LaunchType(LaunchType::Ec2)
            }
            LaunchTarget::ClusterDefault => LaunchTarget::Strategy(after.default_strategy.clone()),
            given => given.clone(),
        };
        match target {
            LaunchTarget::Strategy(items) => return Some(items),
            LaunchTarget::LaunchType(launch_type) if was.launch_target.launch_type() == Some(launch_type) => {
                return Some(Vec::new());
            }
            LaunchTarget::LaunchType(_) | LaunchTarget::ClusterDefault => {}
        }
        self.refuse(format!("service {}: launch_type", is.name), RECREATE);
        None
    }
}

const OTHER_SET: &str = "cannot be changed but for its scale and primary: give the task set another external_id";

const RECREATE: &str = "cannot be changed: give the service another name, so that it is created anew";

/// The items of `these` that `those` do not have, each as often as there are too few of it.
fn beyond<T: Clone + PartialEq>(these: &[T], those: &[T]) -> Vec<T> {
    let mut left: Vec<&T> = those.iter().collect();
    let mut more = Vec::new();
    for item in these {
        match left.iter().position(|other| *other == item) {
            Some(found) => {
                left.swap_remove(found);
            }
            None => more.push(item.clone()),
        }
    }
    more
}
