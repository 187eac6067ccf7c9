//! A cluster file from its text to a [`ClusterSpec`]: syntax, tables, references, in this order.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::alarms::{read_alarms, read_metric_scripts};
use super::capacity::{read_instances, read_providers};
use super::faults::{read_faults, read_instance_refreshes};
use super::images::read_images;
use super::keys::ROOT;
use super::launch::{read_strategy, strategy_items};
use super::load_balancers::{direct_loads, read_target_groups};
use super::loads::{read_loads, read_run_tasks};
use super::messages::{read_actions, read_messages};
use super::reader::{Reader, Soundness, Syntax, Table};
use super::references::check_references;
use super::service_updates::read_service_updates;
use super::services::read_services;
use super::settings::{
    DEFAULT_REGION, PeriodLimits, read_cluster, read_container_insights, read_period_limits, read_settings,
};
use super::start_tasks::read_start_tasks;
use super::subnets::read_subnets;
use super::task_definitions::read_task_definitions;
use super::task_sets::{TaskSetItem, read_task_sets};
use super::{ClusterFileError, in_our_style};
use crate::catalog::Catalog;
use crate::model::alarm::MetricAlarm;
use crate::model::capacity::{CapacityProvider, CapacityProviderStrategyItem, InstanceLaunch};
use crate::model::cluster::{
    ClusterSpec, Load, ScheduledInstanceRefresh, ScheduledRunTask, ScheduledServiceUpdate, ScheduledStartTask,
};
use crate::model::fault::Fault;
use crate::model::image_map::ImageMap;
use crate::model::service::ServiceSpec;
use crate::model::subnet::Subnet;
use crate::model::target_group::TargetGroup;
use crate::model::task_definition::TaskDefinition;
use crate::model::units::Duration;

/// An item of the file and the table that it was read from.
#[derive(Clone, Debug)]
pub(super) struct Read<'a, T> {
    pub(super) item: T,
    pub(super) at: Table<'a>,
    pub(super) soundness: Soundness,
}

impl<T> Read<'_, T> {
    pub(super) fn is_sound(&self) -> bool {
        self.soundness == Soundness::Sound
    }
}

/// A service or standalone tasks, with the items of their capacity provider strategy.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a, T> {
    pub(super) read: Read<'a, T>,
    pub(super) strategy: Vec<Read<'a, CapacityProviderStrategyItem>>,
}

/// What the readers of tables need to know beside the table.
#[derive(Debug)]
pub(super) struct Context<'c> {
    pub(super) catalog: &'c Catalog,
    /// The file's folder.
    pub(super) folder: &'c Path,
    /// `None`: the file names one that there is not.
    pub(super) region: Option<String>,
    /// The boot time of instances that name none.
    pub(super) boot_time: Duration,
    /// Which modules stand for images.
    pub(super) images: ImageMap,
    /// Which periods containers may have.
    pub(super) period_limits: PeriodLimits,
}

impl Context<'_> {
    /// A zone of the region.
    pub(super) fn zone(&self, letter: char) -> Arc<str> {
        let region = self.region.as_deref().unwrap_or(DEFAULT_REGION);
        Arc::from(format!("{region}{letter}"))
    }
}

/// Everything that was read, before its references are resolved.
pub(super) struct Draft<'a> {
    pub(super) default_strategy: Vec<Read<'a, CapacityProviderStrategyItem>>,
    pub(super) capacity_providers: Vec<Read<'a, CapacityProvider>>,
    pub(super) target_groups: Vec<Read<'a, TargetGroup>>,
    pub(super) container_instances: Vec<Read<'a, Vec<InstanceLaunch>>>,
    pub(super) subnets: Vec<Read<'a, Option<Subnet>>>,
    pub(super) task_definitions: Vec<Read<'a, TaskDefinition>>,
    pub(super) services: Vec<Asked<'a, ServiceSpec>>,
    pub(super) task_sets: Vec<Asked<'a, TaskSetItem>>,
    pub(super) alarms: Vec<Read<'a, MetricAlarm>>,
    pub(super) cluster_name: String,
    pub(super) run_tasks: Vec<Asked<'a, ScheduledRunTask>>,
    pub(super) start_tasks: Vec<Read<'a, ScheduledStartTask>>,
    pub(super) loads: Vec<Read<'a, Load>>,
    pub(super) faults: Vec<Read<'a, Option<Fault>>>,
    pub(super) instance_refreshes: Vec<Read<'a, ScheduledInstanceRefresh>>,
    pub(super) service_updates: Vec<Read<'a, ScheduledServiceUpdate>>,
}

/// Reads a cluster file.
///
/// # Errors
/// Every mistake in it, by position.
pub(super) fn read(text: &str, path: &Path, catalog: &Catalog) -> Result<ClusterSpec, Vec<ClusterFileError>> {
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let syntax = if syntax_errors.is_empty() { Syntax::Sound } else { Syntax::Broken };
    let reader = Reader::new(text, syntax);
    for error in &syntax_errors {
        let span = error.span().unwrap_or(0..0);
        reader.reject(span, "", in_our_style(error.message()), None);
    }
    let root = Table::root(&reader, document.get_ref(), &ROOT);
    let spec = read_root(&root, syntax, path.parent().unwrap_or(Path::new("")), catalog);
    let errors = reader.into_errors();
    if syntax == Syntax::Broken {
        return Err(without_aftermath(errors));
    }
    if errors.is_empty() { Ok(spec) } else { Err(errors) }
}

fn read_root(root: &Table<'_>, syntax: Syntax, folder: &Path, catalog: &Catalog) -> ClusterSpec {
    let cluster = read_cluster(root, catalog);
    let mut settings = read_settings(root);
    settings.container_insights = cluster.at.as_ref().map(read_container_insights).unwrap_or_default();
    let metric_scripts = read_metric_scripts(root);
    let period_limits = read_period_limits(root);
    let images = read_images(root, folder);
    let context =
        Context { catalog, folder, region: cluster.region, boot_time: settings.boot_time, images, period_limits };
    let messages = read_messages(root, &context);
    let actions = read_actions(root, &context);
    let default_strategy = cluster.at.as_ref().map(|at| read_strategy(at, "default_capacity_provider_strategy"));
    let capacity_providers = read_providers(root, &context);
    let services = read_services(root);
    let mut draft = Draft {
        default_strategy: default_strategy.unwrap_or_default(),
        faults: read_faults(root, &context),
        instance_refreshes: read_instance_refreshes(root, &context, &capacity_providers),
        service_updates: read_service_updates(root),
        capacity_providers,
        target_groups: read_target_groups(root, &context),
        container_instances: read_instances(root, &context),
        subnets: read_subnets(root, &context),
        task_definitions: read_task_definitions(root, &context),
        task_sets: read_task_sets(root, &services),
        services,
        alarms: read_alarms(root, settings.metric_period),
        cluster_name: cluster.name.clone(),
        run_tasks: read_run_tasks(root, &context),
        start_tasks: read_start_tasks(root, &context),
        loads: read_loads(root, &context),
    };
    if syntax == Syntax::Sound {
        check_references(&draft, catalog);
    }
    direct_loads(&mut draft);
    let primary_of = |set: &TaskSetItem| {
        set.is_primary.then(|| Some((set.spec.service.clone(), set.spec.external_id.clone()?))).flatten()
    };
    ClusterSpec {
        name: cluster.name,
        region: context.region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        settings,
        images: context.images,
        default_strategy: strategy_items(&draft.default_strategy),
        capacity_providers: items(draft.capacity_providers),
        container_instances: items(draft.container_instances).into_iter().flatten().collect(),
        subnets: items(draft.subnets).into_iter().flatten().collect(),
        task_definitions: items(draft.task_definitions),
        target_groups: items(draft.target_groups),
        services: draft.services.into_iter().map(|asked| asked.read.item).collect(),
        primary_task_sets: draft.task_sets.iter().filter_map(|set| primary_of(&set.read.item)).collect(),
        task_sets: draft.task_sets.into_iter().map(|asked| asked.read.item.spec).collect(),
        alarms: items(draft.alarms),
        metric_scripts,
        run_tasks: draft.run_tasks.into_iter().map(|asked| asked.read.item).collect(),
        start_tasks: items(draft.start_tasks),
        loads: items(draft.loads),
        faults: items(draft.faults).into_iter().flatten().collect(),
        messages,
        actions,
        instance_refreshes: items(draft.instance_refreshes),
        service_updates: items(draft.service_updates),
    }
}

fn items<T>(read: Vec<Read<'_, T>>) -> Vec<T> {
    read.into_iter().map(|read| read.item).collect()
}

/// The errors of a file whose syntax is broken, without those on lines where the syntax is: the values there are the parser's
/// guess.
fn without_aftermath(errors: Vec<ClusterFileError>) -> Vec<ClusterFileError> {
    let is_syntax = |error: &ClusterFileError| error.path.is_empty();
    let broken: Vec<usize> = errors.iter().filter(|error| is_syntax(error)).map(|error| error.line).collect();
    errors.into_iter().filter(|error| is_syntax(error) || !broken.contains(&error.line)).collect()
}
