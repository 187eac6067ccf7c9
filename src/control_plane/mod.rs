//! The control plane: events in, actions out, and nothing else.
//!
//! It knows no clock, no thread, no I/O and no engine; it never fails and never waits. Whoever drives it promises one thing:
//! `now` never goes back. In return the same sequence of (now, event) always yields the same actions, so a journal of
//! events is the whole truth about a cluster.
//!
//! Reading order: [`event`], [`action`], [`state`], then how an event is taken in: `requests` (what clients ask for) with `task_definitions`, `tasks`
//! (a task's life), `services` with [`deployment`], `service_starts`, `service_stops`, `scale_in`, `rollout` and `task_sets` (desired against observed), `capacity` with [`placement`] and
//! [`cluster_autoscaling`] (instances and groups) and `waiting`, `scaling` with [`service_autoscaling`] (what each metric period decides).

pub mod action;
mod alarm_evaluation;
mod alarms;
mod attributes;
mod auto_scaling_group;
mod auto_scaling_requests;
pub mod backoff;
mod capacity;
pub mod capacity_strategy;
mod client_tokens;
pub mod cluster_autoscaling;
pub mod cluster_diff;
mod constraints;
mod container_insights;
mod cpu_credits;
mod daemon;
pub mod deployment;
mod deployment_hooks;
pub mod deployment_records;
mod draining;
pub mod event;
pub mod explain;
mod external_instances;
pub mod faults;
mod gpus;
mod high_resolution;
mod host_restart;
mod image_digests;
pub mod instance_refresh;
mod invariants;
mod launch_rate;
pub mod lifecycle_hooks;
mod location;
mod look_ahead;
mod measuring;
pub mod metrics;
pub mod placement;
mod policy_alarms;
mod provider_update;
mod rebalancing;
mod replacement;
pub mod request_error;
mod requests;
pub mod rolling_replacement;
mod rollout;
pub mod scalable_target;
mod scale_in;
mod scaling;
mod scheduled_scaling;
mod service_actions;
pub mod service_autoscaling;
mod service_events;
mod service_replacements;
mod service_requests;
mod service_starts;
mod service_stops;
mod service_tasks;
mod services;
mod source_cleanup;
mod standby;
mod start_task;
pub mod state;
mod tags;
pub mod targets;
mod task_definitions;
mod task_health;
mod task_overrides;
mod task_protection;
mod task_retirement;
mod task_set_requests;
mod task_sets;
mod tasks;
pub mod termination_policy;
pub mod timers;
mod traffic_rules;
pub mod traffic_shift;
mod traffic_stages;
mod waiting;
mod warm_pool;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::ids::{ContainerInstanceId, DeploymentId, IdForm, TaskId};
use crate::model::rng::{RandomStream, Stream};
use crate::model::settings::Settings;
use crate::model::units::Timestamp;
use crate::model::usage::UsageSample;
use action::{Action, Notification, TaskStart};
use client_tokens::ClientTokens;
use cluster_autoscaling::ManagedScaler;
use cpu_credits::CreditAccounts;
use event::Event;
use measuring::Measures;
use metrics::store::MetricStore;
use placement::{Calendar, PlacementIndex};
use rebalancing::LastMove;
use services::ServiceController;
use state::{ClusterState, TaskRecord};
use targets::TargetNews;
use tasks::LastIdentities;
use timers::{Timers, Wakeup};
use waiting::WaitingTasks;

/// So many records are kept for their room. Where tasks come as others are forgotten, few are needed.
const SPARE_RECORDS_MAX: usize = 256;

/// The control plane of one cluster.
///
/// `apply` is the only mutation. Call it with every event, carry out the actions it returns in their order, and call it with
/// [`Event::DeadlineReached`] when the moment of [`ControlPlane::next_deadline`] has come. `now` must never decrease.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ControlPlane {
    name: Arc<str>,
    settings: Settings,
    ids: IdForm,
    now: Timestamp,
    state: ClusterState,
    placement: PlacementIndex,
    timers: Timers,
    rng: RandomStream,
    controllers: BTreeMap<Arc<str>, ServiceController>,
    scalers: BTreeMap<Arc<str>, ManagedScaler>,
    /// Tasks in PROVISIONING, by provider.
    queues: BTreeMap<Arc<str>, WaitingTasks>,
    /// Services of the scheduling strategy DAEMON.
    daemons: BTreeSet<Arc<str>>,
    /// Services whose tasks are on the move between zones.
    rebalancing: BTreeMap<Arc<str>, LastMove>,
    /// Services to look at before the call returns.
    dirty: BTreeSet<Arc<str>>,
    /// Services that could not place a task and wait for room on an instance.
    waiting: BTreeSet<Arc<str>>,
    /// Providers whose waiting tasks may fit since something changed.
    freed: BTreeSet<Arc<str>>,
    /// Groups whose instances are to be compared with their desired capacity.
    groups_to_keep: BTreeSet<Arc<str>>,
    /// Instances whose last task is over since they were last looked at.
    emptied: BTreeSet<ContainerInstanceId>,
    /// Instances that are scaled in and go back to their warm pool once they have stopped.
    returning: BTreeSet<ContainerInstanceId>,
    /// Instances whose tasks changed since it was last told.
    instances_with_other_tasks: BTreeSet<ContainerInstanceId>,
    /// What became of services' targets since it was last told.
    #[serde(skip)]
    target_news: BTreeMap<Arc<str>, TargetNews>,
    /// CPU credits of burstable instances that run.
    credit_accounts: CreditAccounts,
    /// What comes together over a metric period.
    measures: Measures,
    /// Services whose scaling activity is under way.
    followed: BTreeSet<Arc<str>>,
    /// Capacity providers that were steady when they were last looked at.
    steady_providers: BTreeSet<Arc<str>>,
    /// The calendar time of the cluster's start.
    #[serde(with = "crate::model::written_form::calendar_moment")]
    calendar_start: jiff::Timestamp,
    /// Empty between two events.
    #[serde(skip)]
    actions: Vec<Action>,
    /// Room for the samples of the next usage period: that of the last.
    spare_samples: Vec<UsageSample>,
    /// Room for the records of the next tasks: that of some that were forgotten.
    #[expect(clippy::vec_box, reason = "it is the boxes that are used again")]
    spare_records: Vec<Box<TaskRecord>>,
    /// Room for what the next tasks are started by.
    #[serde(skip)]
    spare_starts: Vec<Arc<TaskStart>>,
    /// Room for a text that is put together.
    #[serde(skip)]
    text: String,
    /// Why most tasks end, said once.
    essential_exited: Arc<str>,
    /// What the meter was told of the last task that started: of each instance, and of Fargate. Shared, and never asked what it is.
    #[serde(skip)]
    last_identities: LastIdentities,
    client_tokens: ClientTokens,
    next_task: u64,
    next_instance: u64,
    next_deployment: u64,
    next_service_deployment: u64,
    next_revision: u64,
    next_hook: u64,
}

impl ControlPlane {
    /// A cluster without anything in it.
    pub fn new(name: &str, settings: Settings) -> ControlPlane {
        let ids = IdForm { seed: settings.seed };
        let rng = RandomStream::new(settings.seed, Stream::Placement);
        let mut timers = Timers::default();
        timers.set(Timestamp::ZERO + settings.metric_period, Wakeup::MetricPeriod);
        let calendar_start = settings.calendar_start.unwrap_or_default();
        let metrics = MetricStore::new(settings.metric_period);
        ControlPlane {
            name: name.into(),
            settings,
            ids,
            now: Timestamp::ZERO,
            state: ClusterState { metrics, ..ClusterState::default() },
            placement: PlacementIndex::new(Calendar { ids, start: calendar_start }),
            timers,
            rng,
            controllers: BTreeMap::new(),
            scalers: BTreeMap::new(),
            queues: BTreeMap::new(),
            daemons: BTreeSet::new(),
            rebalancing: BTreeMap::new(),
            dirty: BTreeSet::new(),
            waiting: BTreeSet::new(),
            freed: BTreeSet::new(),
            groups_to_keep: BTreeSet::new(),
            emptied: BTreeSet::new(),
            returning: BTreeSet::new(),
            instances_with_other_tasks: BTreeSet::new(),
            target_news: BTreeMap::new(),
            credit_accounts: CreditAccounts::default(),
            measures: Measures::default(),
            followed: BTreeSet::new(),
            steady_providers: BTreeSet::new(),
            calendar_start,
            actions: Vec::new(),
            spare_samples: Vec::new(),
            spare_records: Vec::new(),
            spare_starts: Vec::new(),
            text: String::new(),
            essential_exited: tasks::ESSENTIAL_CONTAINER_EXITED.into(),
            last_identities: LastIdentities::default(),
            client_tokens: ClientTokens::default(),
            next_task: 1,
            next_instance: 1,
            next_deployment: 1,
            next_service_deployment: 1,
            next_revision: 1,
            next_hook: 1,
        }
    }

    /// Takes in one event and says what to do about it. Total: late, repeated and unknown events change nothing.
    ///
    /// # Panics
    /// When `now` is earlier than at the last call.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Vec<Action> {
        assert!(now >= self.now, "time went back from {} to {now}", self.now);
        self.now = now;
        self.forget_stopped_tasks();
        match event {
            Event::Request { request_id, request } => {
                let response = self.request(request);
                // The answer comes before what follows from it, so that a caller knows the ids in what it is told next.
                self.actions.insert(0, Action::Respond { request_id, response });
            }
            Event::InstanceRunning { instance } => self.instance_running(instance),
            Event::InstanceLaunchFailed { instance, reason } => self.instance_launch_failed(instance, &reason),
            Event::InstanceTerminated { instance, reason } => self.instance_terminated(instance, reason),
            Event::InstanceFailed { instance, reason } => self.instance_failed(instance, &reason),
            Event::InstanceHealth { instance, health } => self.instance_health(instance, health),
            Event::InstanceSpotInterruption { instance } => self.instance_spot_interruption(instance),
            Event::AgentDisconnected { instance } => self.agent_disconnected(instance),
            Event::AgentConnected { instance } => self.agent_connected(instance),
            Event::AvailabilityZoneOutage { availability_zone, change } => {
                self.availability_zone_outage(&availability_zone, change);
            }
            Event::FargateCapacityOutage { capacity_provider, change } => {
                self.fargate_capacity_outage(&capacity_provider, change);
            }
            Event::SpotInterruption { task } => self.spot_interruption(task),
            Event::TaskRetirement { task } => self.task_retirement(task),
            Event::TaskStateChange(change) => self.task_state_change(change),
            Event::TaskStateChanges(changes) => self.task_state_changes(changes),
            Event::TargetHealth(change) => self.target_health(&change),
            Event::TargetsDrained { task } => self.targets_drained(task),
            Event::Usage { mut samples } => {
                self.take_usage(&samples);
                samples.clear();
                self.spare_samples = samples;
            }
            Event::HookAnswered { hook, call, answer } => self.hook_answered(hook, call, answer),
            Event::JobsDone { service, done } => self.take_jobs_done(&service, done),
            Event::MetricsEmitted { metrics } => self.take_emitted_metrics(&metrics),
            Event::HostRestarted { reason } => self.host_restarted(&reason),
            Event::DeadlineReached => {}
        }
        self.reach_deadlines();
        self.tell_of_targets();
        self.settle();
        self.tell_of_targets();
        self.tell_of_instance_tasks();
        self.follow_activities();
        std::mem::take(&mut self.actions)
    }

    /// Takes back the room of actions that were carried out, for the next ones. Whoever has many events does well to.
    pub fn reuse(&mut self, mut actions: Vec<Action>) {
        actions.clear();
        if actions.capacity() > self.actions.capacity() {
            self.actions = actions;
        }
    }

    /// Takes back what a task that is over was started by, for the next one that is started. Where somebody else has it as well, it is left
    /// to him.
    pub fn reuse_start(&mut self, mut start: Arc<TaskStart>) {
        if self.spare_starts.len() < SPARE_RECORDS_MAX && Arc::get_mut(&mut start).is_some() {
            self.spare_starts.push(start);
        }
    }

    /// Gives away the room of the samples that it was told of last, for the next ones. Whoever has many tasks does well to ask.
    pub fn room_for_samples(&mut self) -> Vec<UsageSample> {
        std::mem::take(&mut self.spare_samples)
    }

    /// When it wants to be called next if nothing happens before, and why. `None`: never.
    pub fn next_deadline(&self) -> Option<(Timestamp, Wakeup)> {
        self.timers.next()
    }

    /// The cluster's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it knows.
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How it shows ids.
    pub fn ids(&self) -> IdForm {
        self.ids
    }

    /// The time of the last event.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    fn reach_deadlines(&mut self) {
        while let Some((due, wakeup)) = self.timers.pop_due(self.now) {
            match wakeup {
                Wakeup::TaskHealthy(task) => self.health_is_due(task),
                Wakeup::TargetsDrained(task) => self.deregistration_delay_over(task),
                Wakeup::TaskRetires(task) => self.retire_task(task),
                Wakeup::ProvisioningEnds(task) => self.provisioning_ended(task),
                Wakeup::MetricPeriod => {
                    self.metric_period_ended(due);
                    // Periods keep to their grid; those that nobody woke for are left out.
                    let next = self.state.metrics.period_of(self.now) + self.settings.metric_period;
                    self.timers.set(next, Wakeup::MetricPeriod);
                }
                Wakeup::HighResolutionPeriod => {
                    self.high_resolution_period_ended(due);
                    self.watch_high_resolution();
                }
                Wakeup::ScheduledAction(service) => self.scheduled_actions_due(&service),
                Wakeup::ProtectionEnds(service) => self.protection_ended(&service),
                Wakeup::Restart(service)
                | Wakeup::LaunchRate(service)
                | Wakeup::Deployment(service)
                | Wakeup::Complaint(service) => {
                    self.dirty.insert(service);
                }
                Wakeup::Instance(instance) => self.instance_due(instance),
                Wakeup::CpuCredits(instance) => self.credits_may_be_spent(instance),
                Wakeup::Group(provider) => {
                    self.groups_to_keep.insert(provider);
                }
            }
        }
    }

    /// Lets every consequence of an event take place before the call returns.
    fn settle(&mut self) {
        loop {
            // Daemons come before whatever else wants the room. Source: ecs-semantics §5.1.
            if let Some(daemon) = self.next_daemon() {
                self.dirty.remove(&daemon);
                self.reconcile(&daemon);
            } else if let Some(provider) = self.freed.pop_first() {
                self.place_waiting_tasks(&provider);
            } else if let Some(service) = self.dirty.pop_first() {
                self.reconcile(&service);
            } else if let Some(instance) = self.emptied.pop_first() {
                self.instance_emptied(instance);
            } else if let Some(provider) = self.groups_to_keep.pop_first() {
                self.keep_group(&provider);
            } else if self.state.draining && self.drain_instances() {
                // Terminating the last instances may leave groups to look at.
            } else {
                return;
            }
        }
    }

    /// Drops stopped tasks that are older than their retention or beyond the limit. **Source:** ecs-semantics §2.1.
    ///
    /// It comes before an event is taken in, so that whoever hears of a task's end from the event's actions still finds it.
    fn forget_stopped_tasks(&mut self) {
        while let Some(&(stopped_at, task)) = self.state.stopped_tasks.front() {
            let expired = self.now.since(stopped_at) > self.settings.stopped_task_retention;
            if !expired && self.state.stopped_tasks.len() <= self.settings.stopped_task_limit {
                return;
            }
            self.state.stopped_tasks.pop_front();
            let forgotten = self.state.tasks.remove(&task);
            if self.spare_records.len() < SPARE_RECORDS_MAX {
                self.spare_records.extend(forgotten);
            }
        }
    }

    fn notify(&mut self, notification: Notification) {
        self.actions.push(Action::Notify(notification));
    }

    fn new_task_id(&mut self) -> TaskId {
        let id = TaskId(self.next_task);
        self.next_task += 1;
        id
    }

    fn new_instance_id(&mut self) -> ContainerInstanceId {
        let id = ContainerInstanceId(self.next_instance);
        self.next_instance += 1;
        id
    }

    fn new_deployment_id(&mut self) -> DeploymentId {
        let id = DeploymentId(self.next_deployment);
        self.next_deployment += 1;
        id
    }
}
