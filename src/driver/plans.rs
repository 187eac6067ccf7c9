//! What a cluster file asks of its cluster while it runs: RunTask, StartTask and UpdateService calls and instance refreshes, made when
//! their time has come.
//!
//! ECS queues no task that it can't place, its caller tries again: that is this file. It knows no clock and decides nothing about the
//! cluster; whoever drives the control plane says what time it is and passes the calls on.
//!
//! *Ours:* a StartTask call waits for an instance that is coming up, and one that finds no room there is made again, as RunTask calls are.
//! **Source:** ecs-semantics §4.5.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control_plane::ControlPlane;
use crate::control_plane::action::{Notification, Response};
use crate::control_plane::event::{Request, UpdateService};
use crate::control_plane::explain::{Explanation, Question};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::ClusterState;
use crate::model::cluster::{
    ClusterSpec, RunTaskSpec, ScheduledInstanceRefresh, ScheduledRunTask, ScheduledServiceUpdate, ScheduledStartTask,
    StartTaskSpec,
};
use crate::model::task_set::TaskSetName;
use crate::model::units::{Duration, Timestamp};

/// How long a cluster file's tasks that found no room wait until they are asked for again. *Ours.*
const RETRY: Duration = Duration::from_millis(500);

/// Whom plans ask: a loop around a control plane.
pub(super) trait PlannedCluster {
    /// What the control plane knows.
    fn state(&self) -> &ClusterState;
    /// Makes a request and carries out what follows from it.
    fn answer_of(&mut self, request: Request) -> Result<Response, RequestError>;
    /// Tells whoever watches.
    fn tell_of(&mut self, now: Timestamp, notification: Notification);
}

/// Calls that are yet to be made.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Plans {
    /// RunTask calls by time.
    pub(super) run_tasks: VecDeque<ScheduledRunTask>,
    /// Tasks of such calls that found no room, to be asked for again.
    retries: VecDeque<ScheduledRunTask>,
    /// StartTask calls.
    starts: Vec<PendingStart>,
    /// StartInstanceRefresh calls by time.
    refreshes: VecDeque<ScheduledInstanceRefresh>,
    /// UpdateService calls by time.
    service_updates: VecDeque<ScheduledServiceUpdate>,
}

/// A StartTask call that is yet to be made for some of its instances.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct PendingStart {
    /// When to make it.
    at: Timestamp,
    /// The names of instances without a task.
    names: Vec<Arc<str>>,
    spec: StartTaskSpec,
    /// The reason that was told of last.
    told: Option<String>,
}

/// Whether tasks of a cluster file are asked for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

/// The requests that make a fresh cluster what its file says, each with what to call it, in an order in which every reference is there
/// before it is used.
pub(super) fn set_up(spec: &ClusterSpec) -> Vec<(String, Request)> {
    let mut requests = Vec::new();
    for subnet in &spec.subnets {
        requests.push((format!("subnet {}", subnet.id), Request::PutSubnet(subnet.clone())));
    }
    for provider in &spec.capacity_providers {
        let what = format!("capacity provider {}", provider.name);
        requests.push((what, Request::CreateCapacityProvider(Box::new(provider.clone()))));
    }
    if !spec.default_strategy.is_empty() {
        requests.push(("default strategy".to_owned(), Request::PutDefaultStrategy(spec.default_strategy.clone())));
    }
    for group in &spec.target_groups {
        let what = format!("target group {}", group.name);
        requests.push((what, Request::PutTargetGroup(Box::new(group.clone()))));
    }
    for launch in &spec.container_instances {
        requests.push(("container instance".to_owned(), Request::LaunchInstance(Arc::new(launch.clone()))));
    }
    for definition in &spec.task_definitions {
        let what = format!("task definition {}", definition.family);
        requests.push((what, Request::RegisterTaskDefinition(Box::new(definition.clone()))));
    }
    for alarm in &spec.alarms {
        requests.push((format!("alarm {}", alarm.name), Request::PutMetricAlarm(Box::new(alarm.clone()))));
    }
    for script in &spec.metric_scripts {
        requests.push((format!("metric {}", script.metric), Request::PutMetricScript(script.clone())));
    }
    for service in &spec.services {
        requests.push((format!("service {}", service.name), Request::CreateService(Box::new(service.clone()))));
    }
    for task_set in &spec.task_sets {
        let what = format!("task set of service {}", task_set.service);
        requests.push((what, Request::CreateTaskSet(Box::new(task_set.clone()))));
    }
    for (service, external_id) in &spec.primary_task_sets {
        let (service, task_set) = (service.clone(), TaskSetName::External(external_id.clone()));
        let what = format!("primary task set of service {service}");
        requests.push((what, Request::UpdateServicePrimaryTaskSet { service, task_set }));
    }
    requests
}

impl Plans {
    /// The calls of a cluster file.
    pub(super) fn of(spec: &ClusterSpec) -> Plans {
        let mut run_tasks = spec.run_tasks.clone();
        run_tasks.sort_by_key(|run_task| run_task.at);
        let mut refreshes = spec.instance_refreshes.clone();
        refreshes.sort_by_key(|refresh| refresh.at);
        let mut service_updates = spec.service_updates.clone();
        service_updates.sort_by_key(|update| update.at);
        Plans {
            run_tasks: run_tasks.into(),
            retries: VecDeque::new(),
            starts: spec.start_tasks.iter().cloned().map(PendingStart::new).collect(),
            refreshes: refreshes.into(),
            service_updates: service_updates.into(),
        }
    }

    /// Adds StartTask calls; one whose time is past is made at once.
    pub(super) fn add_starts(&mut self, added: Vec<ScheduledStartTask>) {
        self.starts.extend(added.into_iter().map(PendingStart::new));
    }

    /// Takes a StartTask call out again. Says whether nothing of it had been made.
    pub(super) fn withdraw_start(&mut self, call: ScheduledStartTask) -> bool {
        let call = PendingStart::new(call);
        let found = self.starts.iter().position(|pending| pending.is_untried(&call));
        found.map(|found| self.starts.remove(found)).is_some()
    }

    /// Adds StartInstanceRefresh calls; one whose time is past is made at once.
    pub(super) fn add_refreshes(&mut self, added: Vec<ScheduledInstanceRefresh>) {
        self.refreshes.extend(added);
        self.refreshes.make_contiguous().sort_by_key(|refresh| refresh.at);
    }

    /// Takes a StartInstanceRefresh call out again. Says whether it had not been made.
    pub(super) fn withdraw_refresh(&mut self, call: &ScheduledInstanceRefresh) -> bool {
        let found = self.refreshes.iter().position(|scheduled| scheduled == call);
        found.and_then(|found| self.refreshes.remove(found)).is_some()
    }

    /// Adds UpdateService calls; one whose time is past is made at once.
    pub(super) fn add_service_updates(&mut self, added: Vec<ScheduledServiceUpdate>) {
        self.service_updates.extend(added);
        self.service_updates.make_contiguous().sort_by_key(|update| update.at);
    }

    /// Takes an UpdateService call out again. Says whether it had not been made.
    pub(super) fn withdraw_service_update(&mut self, call: &ScheduledServiceUpdate) -> bool {
        let found = self.service_updates.iter().position(|scheduled| scheduled == call);
        found.and_then(|found| self.service_updates.remove(found)).is_some()
    }

    /// When the next call is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let calls = [self.run_tasks.front(), self.retries.front()];
        let calls = calls.into_iter().flatten().map(|run_task| run_task.at);
        let calls = calls.chain(self.refreshes.front().map(|refresh| refresh.at));
        let calls = calls.chain(self.service_updates.front().map(|update| update.at));
        let starts = self.starts.iter().map(|pending| pending.at);
        calls.map(|at| Timestamp::ZERO + at).chain(starts).min()
    }

    /// Whether no task is to be asked for any more.
    pub(super) fn has_no_tasks(&self) -> bool {
        self.run_tasks.is_empty() && self.retries.is_empty() && self.starts.is_empty()
    }

    /// How many tasks have found no room so far.
    pub(super) fn unplaced(&self) -> u32 {
        self.retries.iter().map(|run_task| run_task.spec.count).sum()
    }

    /// Answers a question about placement: the control plane knows all but the tasks that are asked for again.
    pub(super) fn explain(
        &self,
        control_plane: &ControlPlane,
        question: &Question,
    ) -> Result<Explanation, RequestError> {
        let mut explanation = control_plane.explain(question)?;
        if let Explanation::Waiting(waiting) = &mut explanation {
            let asked = self.retries.iter().filter_map(|retry| {
                match control_plane.explain(&Question::RunTask(Box::new(retry.spec.clone()))) {
                    Ok(Explanation::RunTask(placement)) => Some((retry.spec.count, *placement)),
                    _ => None,
                }
            });
            waiting.run_tasks.extend(asked);
        }
        Ok(explanation)
    }

    /// Makes the calls that are due.
    pub(super) fn meet(&mut self, now: Timestamp, cluster: &mut impl PlannedCluster) {
        let is_due = |run_task: &&ScheduledRunTask| Timestamp::ZERO + run_task.at <= now;
        while self.run_tasks.front().filter(is_due).is_some() {
            let run_task = self.run_tasks.pop_front().expect("it was looked at");
            self.run_task(now, run_task.spec, Attempt::First, cluster);
        }
        while self.retries.front().filter(is_due).is_some() {
            let run_task = self.retries.pop_front().expect("it was looked at");
            self.run_task(now, run_task.spec, Attempt::Again, cluster);
        }
        while self.refreshes.front().is_some_and(|refresh| Timestamp::ZERO + refresh.at <= now) {
            let refresh = self.refreshes.pop_front().expect("it was looked at");
            // One that is refused leaves the group as it is.
            let _ = cluster.answer_of(Request::StartInstanceRefresh(Box::new(refresh.spec)));
        }
        while self.service_updates.front().is_some_and(|update| Timestamp::ZERO + update.at <= now) {
            let ScheduledServiceUpdate { service, task_definition, desired_count, .. } =
                self.service_updates.pop_front().expect("it was looked at");
            let update = UpdateService { service, task_definition, desired_count, ..UpdateService::default() };
            // One that is refused leaves the service as it is.
            let _ = cluster.answer_of(Request::UpdateService(Box::new(update)));
        }
        let (due, later) = std::mem::take(&mut self.starts).into_iter().partition(|pending| pending.at <= now);
        self.starts = later;
        let due: Vec<PendingStart> = due;
        self.starts.extend(due.into_iter().filter_map(|pending| pending.start(now, cluster)));
    }

    fn run_task(&mut self, now: Timestamp, mut spec: RunTaskSpec, attempt: Attempt, cluster: &mut impl PlannedCluster) {
        if cluster.state().draining {
            return;
        }
        let wanted = spec.count;
        let reason = match cluster.answer_of(Request::RunTask(Box::new(spec.clone()))) {
            Ok(Response::RunTask { tasks, failures }) => {
                spec.count = wanted.saturating_sub(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
                failures.first().map_or_else(|| "no reason was given".into(), |failure| failure.reason.to_string())
            }
            Err(error) => error.to_string(),
            Ok(_) => unreachable!("RunTask is answered by its tasks"),
        };
        if spec.count == 0 {
            return;
        }
        let placed = wanted - spec.count;
        // Said once, and again when something has come of it.
        if attempt == Attempt::First || placed > 0 {
            let task_definition = spec.task_definition.to_string().into();
            cluster.tell_of(now, Notification::RunTask { task_definition, wanted, placed, reason: reason.into() });
        }
        self.retries.push_back(ScheduledRunTask { at: (now + RETRY).elapsed(), spec });
    }
}

impl PendingStart {
    fn new(scheduled: ScheduledStartTask) -> PendingStart {
        let at = Timestamp::ZERO + scheduled.at;
        PendingStart { at, names: scheduled.container_instances, spec: scheduled.spec, told: None }
    }

    /// Whether it is this call, of which nothing has been made.
    fn is_untried(&self, call: &PendingStart) -> bool {
        self.told.is_none() && (self.at, &self.names, &self.spec) == (call.at, &call.names, &call.spec)
    }

    /// Makes the call, one for each instance; what is left of it to be made again.
    fn start(mut self, now: Timestamp, cluster: &mut impl PlannedCluster) -> Option<PendingStart> {
        if cluster.state().draining {
            return None;
        }
        let wanted = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let mut reason = None;
        let mut left = Vec::new();
        for name in std::mem::take(&mut self.names) {
            let instance = cluster.state().instance_named(&name);
            let spec = StartTaskSpec { container_instances: instance.into_iter().collect(), ..self.spec.clone() };
            match cluster.answer_of(Request::StartTask(Box::new(spec))) {
                Ok(Response::RunTask { failures, .. }) => {
                    if let Some(failure) = failures.first() {
                        reason = reason.or(Some(failure.reason.to_owned()));
                        left.push(name);
                    }
                }
                Err(error) => {
                    reason = reason.or(Some(error.to_string()));
                    left.push(name);
                }
                Ok(_) => unreachable!("StartTask is answered by its tasks"),
            }
        }
        let reason = reason?;
        let placed = wanted - u32::try_from(left.len()).unwrap_or(wanted);
        if placed > 0 || self.told.as_ref() != Some(&reason) {
            let task_definition = self.spec.task_definition.to_string().into();
            let shown = reason.as_str().into();
            cluster.tell_of(now, Notification::RunTask { task_definition, wanted, placed, reason: shown });
        }
        Some(PendingStart { at: now + RETRY, names: left, told: Some(reason), ..self })
    }
}
