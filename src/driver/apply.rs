//! Makes a running cluster what another specification says: a diff, then its requests, one after the other in one turn of the loop.
//!
//! Nothing is done when something in the specification is beyond a running cluster. A request that the control plane refuses leaves its
//! thing as it was, and the next specification is held against that.

use std::collections::VecDeque;
use std::sync::Arc;

use thiserror::Error;

use super::durable::held::Held;
use super::load::ArrivalTimes;
use super::real_time::{Asker, ControlLoop};
use super::running_cluster::ClusterOver;
use crate::control_plane::action::Response;
use crate::control_plane::cluster_diff::{ClusterDiff, Edits, Item, Refusal, Revisions};
use crate::control_plane::event::Request;
use crate::control_plane::request_error::RequestError;
use crate::model::cluster::{
    ClusterSpec, Load, ScheduledInstanceRefresh, ScheduledRunTask, ScheduledServiceUpdate, ScheduledStartTask,
};
use crate::model::deployment::ServiceDeploymentStatus;
use crate::model::fault::Fault;
use crate::model::ids::DeploymentId;
use crate::model::task_definition::TaskDefinitionRef;
use crate::model::units::Timestamp;

/// What came of applying a specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// One for each request that was made, in their order.
    pub changes: Vec<Change>,
    /// Standalone tasks that are asked for from here on.
    pub tasks_added: u32,
    /// Standalone tasks whose time had not come and that are not asked for any more.
    pub tasks_withdrawn: u32,
    /// Faults, instance refreshes and updates of services that are planned from here on.
    pub plans_added: u32,
    /// Faults, instance refreshes and updates of services whose time had not come and that are planned no more.
    pub plans_withdrawn: u32,
    /// Whether the load is another.
    pub load: LoadChange,
}

/// Whether applying a specification changed the load on services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadChange {
    /// It goes on.
    #[default]
    Same,
    /// It is what the specification says.
    Changed,
}

/// One thing that was changed, or could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub item: Item,
    /// What was asked for, in a word: `register`, `create`, `launch`, `put`, `update`, `retire`, `delete`.
    pub verb: &'static str,
    /// What came of it.
    pub outcome: Result<Outcome, RequestError>,
}

/// What came of a request that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// A task definition was registered.
    Revision(u32),
    /// A service's deployment was started.
    Deployment(DeploymentId),
}

/// Why a specification was not applied.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApplyError {
    /// Something in it is beyond a running cluster. Nothing has changed.
    #[error("{}", list(.0))]
    Refused(Vec<Refusal>),
    /// The cluster takes nothing new: it is draining.
    #[error("the cluster is draining")]
    Draining,
    /// The data directory refuses: the disk's own words, and what became of it.
    #[error("{0}")]
    DataDirectory(Arc<str>),
    /// There is no cluster any more.
    #[error(transparent)]
    Over(#[from] ClusterOver),
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentEnd {
    /// Successful, or stopped or rolled back.
    pub status: ServiceDeploymentStatus,
    /// Why, in ECS' words.
    pub reason: Option<Arc<str>>,
}

/// The specification that a cluster runs.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) spec: ClusterSpec,
    pub(super) revisions: Revisions,
}

impl InForce {
    pub(super) fn of_start(spec: &ClusterSpec) -> InForce {
        InForce { spec: spec.clone(), revisions: Revisions::of_start(spec) }
    }
}

impl ControlLoop {
    /// Makes the cluster what `after` says.
    ///
    /// # Errors
    /// When something in it is beyond a running cluster, or the cluster is draining.
    pub(super) fn apply_spec(&mut self, after: ClusterSpec) -> Result<Applied, ApplyError> {
        if self.control_plane.state().draining {
            return Err(ApplyError::Draining);
        }
        let mut known = self.in_force.revisions.clone();
        for (family, registered) in &self.control_plane.state().task_definitions {
            known.see(family, registered.keys().next_back().copied().unwrap_or_default());
        }
        let diff = ClusterDiff::between(&self.in_force.spec, &after, &known);
        if !diff.refusals.is_empty() {
            return Err(ApplyError::Refused(diff.refusals));
        }
        let mut in_force = after;
        let mut applied = Applied::default();
        for step in diff.steps {
            let change = self.take_step(step.item, step.request);
            if change.outcome.is_err() {
                keep(&mut in_force, &self.in_force.spec, &change.item);
            }
            applied.changes.push(change);
        }
        applied.tasks_withdrawn =
            self.withdraw(&diff.run_tasks.removed) + self.withdraw_starts(&diff.start_tasks.removed);
        applied.tasks_added = self.add_run_tasks(diff.run_tasks.added, &diff.revisions);
        applied.tasks_added += self.add_starts(diff.start_tasks.added, &diff.revisions);
        let plans = [
            self.change_faults(diff.faults),
            self.change_refreshes(diff.instance_refreshes),
            self.change_service_updates(diff.service_updates),
        ];
        for (added, withdrawn) in plans {
            applied.plans_added += added;
            applied.plans_withdrawn += withdrawn;
        }
        if let Some(loads) = diff.loads {
            self.put_loads(loads);
            applied.load = LoadChange::Changed;
        }
        self.run_until = in_force.settings.run_for.map(|time| Timestamp::ZERO + time);
        self.in_force = InForce { spec: in_force, revisions: diff.revisions };
        self.note_in_force();
        self.note_ahead();
        Ok(applied)
    }

    fn take_step(&mut self, item: Item, request: Request) -> Change {
        let verb = match &request {
            Request::RegisterTaskDefinition(_) => "register",
            Request::CreateCapacityProvider(_) | Request::CreateService(_) | Request::CreateTaskSet(_) => "create",
            Request::PutMetricAlarm(_) | Request::PutMetricScript(_) | Request::PutTargetGroup(_) => "put",
            Request::LaunchInstance(_) => "launch",
            Request::RetireInstance(_) => "retire",
            Request::DeleteService { .. }
            | Request::DeleteTaskSet { .. }
            | Request::DeleteAlarm { .. }
            | Request::DeleteTargetGroup { .. }
            | Request::DeleteMetricScript(_) => "delete",
            _ => "update",
        };
        let primary = |control_loop: &ControlLoop| match &item {
            Item::Service(name) => {
                control_loop.control_plane.state().services.get(name)?.primary_if_any().map(|primary| primary.id)
            }
            _ => None,
        };
        let before = primary(self);
        let (answer, response) = oneshot::channel();
        self.ask(request, Some(Asker::Loop(answer)));
        let outcome = match response.try_recv() {
            Ok(Ok(Response::TaskDefinition(definition))) => Ok(Outcome::Revision(definition.revision)),
            Ok(Ok(Response::Service { deployment })) if verb == "create" || before != Some(deployment) => {
                Ok(Outcome::Deployment(deployment))
            }
            Ok(Ok(_)) => Ok(Outcome::Done),
            Ok(Err(error)) => Err(error),
            Err(_) => unreachable!("a request is answered in the same call"),
        };
        Change { item, verb, outcome }
    }

    /// Takes RunTask calls out of the schedule whose time has not come; says how many tasks that are.
    fn withdraw(&mut self, removed: &[ScheduledRunTask]) -> u32 {
        let mut count = 0;
        for run_task in removed {
            let wanted = registered(run_task.clone(), &self.in_force.revisions);
            if let Some(found) = self.plans.run_tasks.iter().position(|scheduled| *scheduled == wanted) {
                self.plans.run_tasks.remove(found);
                count += run_task.spec.count;
            }
        }
        count
    }

    /// Adds RunTask calls to the schedule; one whose time is past is made at once.
    fn add_run_tasks(&mut self, added: Vec<ScheduledRunTask>, revisions: &Revisions) -> u32 {
        let count = added.iter().map(|run_task| run_task.spec.count).sum();
        let mut schedule: Vec<ScheduledRunTask> = std::mem::take(&mut self.plans.run_tasks).into();
        schedule.extend(added.into_iter().map(|run_task| registered(run_task, revisions)));
        schedule.sort_by_key(|run_task| run_task.at);
        self.plans.run_tasks = VecDeque::from(schedule);
        count
    }

    fn withdraw_starts(&mut self, removed: &[ScheduledStartTask]) -> u32 {
        let mut count = 0;
        for start_task in removed {
            let call = registered_start(start_task.clone(), &self.in_force.revisions);
            if self.plans.withdraw_start(call) {
                count += start_task.count();
            }
        }
        count
    }

    fn add_starts(&mut self, added: Vec<ScheduledStartTask>, revisions: &Revisions) -> u32 {
        let count = added.iter().map(ScheduledStartTask::count).sum();
        self.plans.add_starts(added.into_iter().map(|start| registered_start(start, revisions)).collect());
        count
    }

    /// Says how many were added and how many had not begun.
    fn change_faults(&mut self, edits: Edits<Fault>) -> (u32, u32) {
        let withdrawn = edits.removed.iter().filter(|fault| self.faults.withdraw(fault)).count();
        let added = edits.added.len();
        for fault in edits.added {
            self.faults.add(fault);
        }
        (count(added), count(withdrawn))
    }

    /// Says how many were added and how many had not begun.
    fn change_refreshes(&mut self, edits: Edits<ScheduledInstanceRefresh>) -> (u32, u32) {
        let withdrawn = edits.removed.iter().filter(|refresh| self.plans.withdraw_refresh(refresh)).count();
        let added = edits.added.len();
        self.plans.add_refreshes(edits.added);
        (count(added), count(withdrawn))
    }

    /// Says how many were added and how many had not been made.
    fn change_service_updates(&mut self, edits: Edits<ScheduledServiceUpdate>) -> (u32, u32) {
        let withdrawn = edits.removed.iter().filter(|update| self.plans.withdraw_service_update(update)).count();
        let added = edits.added.len();
        self.plans.add_service_updates(edits.added);
        (count(added), count(withdrawn))
    }

    /// Puts other loads in the place of those that are. One that is not changed goes on; another begins with its next job.
    pub(super) fn put_loads(&mut self, loads: Vec<Load>) {
        let now = self.clock.now();
        let seed = self.control_plane.settings().seed;
        let mut before = std::mem::take(&mut self.loads);
        for (index, load) in loads.into_iter().enumerate() {
            let same = before.iter().position(|(arrivals, ..)| *arrivals.load() == load);
            if let Some(found) = same {
                self.loads.push(before.swap_remove(found));
                continue;
            }
            self.data_plane.attach_load(&load.service, load.container.clone());
            let queue = self.data_plane.job_queue(&load.service);
            let job = load.job.as_str().into();
            self.loads.push((ArrivalTimes::from(load, seed, index as u64, now), queue, job));
        }
    }

    /// Answers those who wait for a deployment that is over.
    pub(super) fn tell_of_deployments(&mut self) {
        let state = self.control_plane.state();
        let (mut ended, mut waiting) = (Vec::new(), Vec::new());
        for (service, deployment, answer) in std::mem::take(&mut self.waiting_for_deployments) {
            let records = state.services.get(&service).map(|service| &service.service_deployments);
            let record = records.into_iter().flatten().find(|record| record.deployment == deployment);
            match record {
                Some(record) if record.status.is_final() => {
                    let end = DeploymentEnd { status: record.status, reason: record.status_reason.clone() };
                    ended.push(Held::DeploymentEnd(answer, end));
                }
                Some(_) => waiting.push((service, deployment, answer)),
                // A service that was deleted and created anew has other deployments.
                None => {
                    let end = DeploymentEnd { status: ServiceDeploymentStatus::Stopped, reason: None };
                    ended.push(Held::DeploymentEnd(answer, end));
                }
            }
        }
        self.waiting_for_deployments = waiting;
        for end in ended {
            self.hold(end);
        }
    }
}

/// A RunTask call of the file as one that the cluster understands.
fn registered(mut run_task: ScheduledRunTask, revisions: &Revisions) -> ScheduledRunTask {
    let reference: TaskDefinitionRef = revisions.registered(&run_task.spec.task_definition);
    run_task.spec.task_definition = reference;
    run_task
}

/// A StartTask call of the file as one that the cluster understands.
fn registered_start(mut start: ScheduledStartTask, revisions: &Revisions) -> ScheduledStartTask {
    start.spec.task_definition = revisions.registered(&start.spec.task_definition);
    start
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Keeps a thing as it was before in what is in force, because it could not be changed.
fn keep(in_force: &mut ClusterSpec, before: &ClusterSpec, item: &Item) {
    match item {
        Item::CapacityProvider(name) => {
            in_force.capacity_providers.retain(|provider| provider.name != *name);
            in_force
                .capacity_providers
                .extend(before.capacity_providers.iter().filter(|provider| provider.name == *name).cloned());
        }
        Item::TargetGroup(name) => {
            in_force.target_groups.retain(|group| group.name != *name);
            in_force.target_groups.extend(before.target_groups.iter().filter(|group| group.name == *name).cloned());
        }
        Item::Service(name) => {
            in_force.services.retain(|service| service.name != *name);
            in_force.services.extend(before.services.iter().filter(|service| service.name == *name).cloned());
        }
        Item::TaskSet { .. } => {
            in_force.task_sets.retain(|set| !item.is_set(set));
            in_force.task_sets.extend(before.task_sets.iter().filter(|set| item.is_set(set)).cloned());
        }
        Item::PrimaryTaskSet(service) => {
            in_force.primary_task_sets.remove(service);
            let primary = before.primary_task_sets.get_key_value(service);
            in_force.primary_task_sets.extend(primary.map(|(service, set)| (service.clone(), set.clone())));
        }
        Item::Alarm(name) => {
            in_force.alarms.retain(|alarm| alarm.name != *name);
            in_force.alarms.extend(before.alarms.iter().filter(|alarm| alarm.name == *name).cloned());
        }
        Item::Metric(metric) => {
            in_force.metric_scripts.retain(|script| script.metric != *metric);
            in_force
                .metric_scripts
                .extend(before.metric_scripts.iter().filter(|script| script.metric == *metric).cloned());
        }
        Item::Subnet(_) => in_force.subnets.clone_from(&before.subnets),
        Item::DefaultStrategy => in_force.default_strategy.clone_from(&before.default_strategy),
        Item::ContainerInsights => in_force.settings.container_insights = before.settings.container_insights,
        Item::ContainerInstance => in_force.container_instances.clone_from(&before.container_instances),
        // A revision that is not there is registered under the next number.
        Item::TaskDefinition(family) => in_force.task_definitions.retain(|definition| definition.family != *family),
    }
}
