//! A cluster in simulated time: the same control plane on a queue of events that jumps from one to the next.
//!
//! One thread, no clock, no sleeping: what happens next is whatever is due first, and time is then what it says. The same cluster file and
//! seed give the same events, one for one. What happens at the same moment happens in this order: the data plane, messages that were
//! under way, what the file plans, faults, usage, the end, the control plane's own deadlines.
//!
//! Read `plane` for instances and tasks, `containers` for what a container does next, `processor` for how long that takes, `work` for
//! where it comes from, `jobs` for load; `messages` and `orders` for what goes astray between the planes.

mod containers;
mod digest;
pub mod event_counts;
mod executed;
pub mod histogram;
mod hooks;
mod jobs;
mod look_ahead;
mod messages;
pub mod observer;
mod orders;
mod plane;
mod processor;
mod queue;
pub mod report;
mod targets;
mod task;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossbeam_channel::Sender;
use thiserror::Error;

use self::digest::EventDigest;
use self::event_counts::EventCounts;
use self::histogram::DurationHistogram;
use self::messages::Messages;
use self::observer::Observer;
use self::orders::{Arrived, Orders};
use self::plane::SimulatedPlane;
use super::event_bridge::{ClusterEvent, EventBridge};
use super::hook_tasks::HookTasks;
use super::journal::JournalOptions;
use super::kept_journal::KeptJournal;
use super::plans::{PlannedCluster, Plans, set_up};
use super::recorder::{Observed, ObservedJobs, Recording, SeriesRecorder};
use super::snapshot::Snapshot;
use crate::catalog::Catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::{Action, Notification, Response};
use crate::control_plane::event::{Event, Request, TaskStateChange};
use crate::control_plane::explain::{Explanation, Question};
use crate::control_plane::faults::{FaultEffect, FaultPlan, LaunchFate};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::{ClusterState, ServiceStatus};
use crate::data_plane::DataPlaneOptions;
use crate::metering::meter::Meter;
use crate::model::arn::ArnForm;
use crate::model::cluster::ClusterSpec;
use crate::model::ids::{ContainerInstanceId, RequestId};
use crate::model::recent::Percentiles;
use crate::model::rng::Stream;
use crate::model::task::TaskStatus;
use crate::model::units::{Duration, Timestamp};
use crate::model::usage::UsageSample;

/// How long a simulation of a cluster that does not end by itself goes on when nobody says. *Ours.*
pub const DEFAULT_TIME: Duration = Duration::from_secs(24 * 3600);

/// Settings of a simulation that are not its cluster's.
#[derive(Clone, Debug, Default)]
pub struct SimulationOptions {
    /// Whether a digest of all events is kept.
    pub digest: Digest,
    /// Settings of the engine that runs real guests: its cache, its output, how it compiles. What a simulation decides depends on none.
    pub data_plane: DataPlaneOptions,
    /// Is told every EventBridge event from the very start.
    pub event_watcher: Option<Sender<ClusterEvent>>,
    /// Where everything that happens is written. The same cluster and seed give the same bytes.
    pub journal: Option<JournalOptions>,
    /// Whether it is recorded what the cluster is like over time.
    pub recording: Recording,
}

/// Whether a digest of all events is kept: it takes several times as long as the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// It is not.
    #[default]
    None,
    /// It is.
    Kept,
}

/// Why a cluster cannot be simulated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SimulationError {
    /// The cluster names a region without prices.
    #[error("no prices are known for region {0}")]
    UnknownRegion(String),
    /// Its real guests cannot be run.
    #[error("{0}")]
    Engine(String),
    /// The journal can't be written.
    #[error("{0}")]
    Journal(String),
    /// Something in the cluster was refused.
    #[error("{what}: {error}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not.
        error: RequestError,
    },
}

/// Whether a simulation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It does.
    GoesOn,
    /// The cluster is over, as `longshore run` would have ended it.
    Over,
}

/// A cluster in simulated time.
#[derive(Debug)]
pub struct Simulation {
    now: Timestamp,
    region: Arc<str>,
    calendar_start: jiff::Timestamp,
    control_plane: ControlPlane,
    plane: SimulatedPlane,
    meter: Meter,
    plans: Plans,
    faults: FaultPlan,
    /// To the control plane.
    messages: Messages<Event>,
    /// To the data plane.
    orders: Orders,
    event_bridge: EventBridge,
    event_watcher: Option<Sender<ClusterEvent>>,
    observer: Option<Observer>,
    digest: Option<EventDigest>,
    recorder: Option<SeriesRecorder>,
    journal: KeptJournal,
    /// Events that are yet to be taken in, all of this moment.
    inbox: VecDeque<Event>,
    /// The answers that somebody waits for.
    answers: BTreeMap<RequestId, Result<Response, RequestError>>,
    last_request: u64,
    /// Lifecycle hooks that are tasks.
    hook_tasks: HookTasks,
    next_usage: Option<Timestamp>,
    run_until: Option<Timestamp>,
    /// Whether it ends before that as soon as no task is left.
    ends_when_done: bool,
    /// What the control plane has taken in.
    event_counts: EventCounts,
    /// How many times something happened in the data plane.
    happening_count: u64,
}

impl Simulation {
    /// A cluster at its start: everything that its spec names has been asked for.
    ///
    /// # Errors
    /// When the engine can't be started, the region has no prices, or the control plane refuses something in the spec.
    pub fn new(spec: &ClusterSpec, options: SimulationOptions) -> Result<Simulation, SimulationError> {
        Simulation::observed(spec, options, None)
    }

    /// The same, with somebody who looks on from the very first event.
    ///
    /// # Errors
    /// As [`Simulation::new`].
    pub fn observed(
        spec: &ClusterSpec,
        options: SimulationOptions,
        observer: Option<Observer>,
    ) -> Result<Simulation, SimulationError> {
        let price_book = Catalog::embedded()
            .price_book(&spec.region)
            .ok_or_else(|| SimulationError::UnknownRegion(spec.region.clone()))?;
        let mut settings = spec.settings.clone();
        // The same calendar whenever it is simulated.
        let calendar_start = settings.calendar_start.unwrap_or_default();
        settings.calendar_start = Some(calendar_start);
        let has_services = !spec.services.is_empty();
        let run_for = settings.run_for.or_else(|| has_services.then_some(DEFAULT_TIME));
        let samples_usage = !settings.usage_period.is_zero();
        let executed_work = executed::start(spec, options.data_plane, calendar_start)?;
        let mut plane = SimulatedPlane::new(&settings, executed_work);
        for (index, load) in spec.loads.iter().enumerate() {
            plane.attach_load(load.clone(), u64::try_from(index).unwrap_or(u64::MAX));
        }
        let next_usage = samples_usage.then(|| Timestamp::ZERO + settings.usage_period);
        let control_plane = ControlPlane::new(&spec.name, settings);
        let journal = KeptJournal::open(options.journal.as_ref(), &control_plane, &spec.region)
            .map_err(|error| SimulationError::Journal(error.to_string()))?;
        let region: Arc<str> = spec.region.as_str().into();
        let arns = ArnForm { cluster: control_plane.name().clone(), region: region.clone(), ids: control_plane.ids() };
        let mut simulation = Simulation {
            now: Timestamp::ZERO,
            region,
            calendar_start,
            control_plane,
            plane,
            meter: Meter::new(price_book),
            plans: Plans::of(spec),
            faults: FaultPlan::new(spec.faults.clone(), spec.settings.seed),
            messages: Messages::new(spec.messages.clone(), spec.settings.seed, Stream::Messages),
            orders: Orders::new(spec.actions.clone(), spec.settings.seed),
            event_bridge: EventBridge::new(arns, calendar_start),
            event_watcher: options.event_watcher,
            observer,
            digest: (options.digest == Digest::Kept).then(EventDigest::default),
            recorder: options.recording.recorder(run_for),
            journal,
            inbox: VecDeque::new(),
            answers: BTreeMap::new(),
            last_request: 0,
            hook_tasks: HookTasks::default(),
            next_usage,
            run_until: Some(Timestamp::ZERO + run_for.unwrap_or(DEFAULT_TIME)),
            ends_when_done: run_for.is_none(),
            event_counts: EventCounts::default(),
            happening_count: 0,
        };
        for (what, request) in set_up(spec) {
            simulation.answer_of(request).map_err(|error| SimulationError::Refused { what, error })?;
        }
        Ok(simulation)
    }

    /// Goes on until the cluster is over or `until` has come, and then says which; or until so much has happened.
    pub fn run_until(&mut self, until: Timestamp, mut steps: u64) -> Progress {
        while steps > 0 {
            if self.is_over() {
                return Progress::Over;
            }
            // What happens in the data plane alone is no concern of anybody else.
            let others = self.next_of_others();
            let sample = self.next_sample(others);
            let next = sample.or(others);
            let until_others = next.map_or(until, |next| next.min(until));
            while steps > 0 && self.inbox.is_empty() && self.plane.queue.next().is_some_and(|at| at <= until_others) {
                let Some(at) = self.plane.queue.next() else { break };
                self.now = at;
                self.look_ahead();
                if let Some(happening) = self.plane.queue.take_due(at) {
                    self.plane.happen(at, happening);
                    self.happening_count += 1;
                    steps -= 1;
                }
                if !self.plane.outbox.is_empty() {
                    break;
                }
            }
            if !self.plane.outbox.is_empty() {
                self.hear_of_plane();
                self.take_in_all();
                continue;
            }
            if steps == 0 {
                break;
            }
            match next.filter(|at| *at <= until) {
                Some(at) => {
                    self.now = at;
                    if sample.is_some() {
                        self.take_sample();
                    } else {
                        self.meet_deadlines();
                    }
                    steps -= 1;
                }
                None => {
                    self.now = self.now.max(until);
                    return Progress::GoesOn;
                }
            }
        }
        Progress::GoesOn
    }

    /// Goes on until the cluster is over.
    pub fn run_to_end(&mut self) {
        while self.run_until(Timestamp(u64::MAX - 1), u64::MAX) == Progress::GoesOn {
            if self.next_of_others().is_none() && self.plane.queue.next().is_none() {
                return;
            }
        }
    }

    /// The moment that it has come to.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// When it is going to be over, where that is known beforehand; its tasks have their stop timeouts after that.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.run_until.filter(|_| !self.ends_when_done)
    }

    /// What the control plane knows.
    pub fn state(&self) -> &ClusterState {
        self.control_plane.state()
    }

    /// Standalone tasks of the cluster file that have found no room so far.
    pub fn unplaced(&self) -> u32 {
        self.plans.unplaced()
    }

    /// How many events the control plane has taken in, those that came together in one call being one.
    pub fn event_count(&self) -> u64 {
        self.event_counts.calls
    }

    /// What the control plane has taken in, by kind.
    pub fn event_counts(&self) -> EventCounts {
        self.event_counts
    }

    /// How many times something happened in the data plane: what boots, starts, computes, sleeps, arrives.
    pub fn happening_count(&self) -> u64 {
        self.happening_count
    }

    /// The digest of all events so far, if one is kept.
    pub fn digest(&self) -> Option<String> {
        self.digest.as_ref().map(EventDigest::text)
    }

    /// Ends the cluster in good order, as `longshore run` does on Ctrl-C.
    pub fn drain(&mut self) {
        self.run_until = None;
        // One that drains already goes on with that.
        let _ = self.answer_of(Request::DrainCluster);
    }

    /// Makes a request at this moment, as the cluster's operator would.
    ///
    /// # Errors
    /// When the control plane refuses it.
    pub fn request(&mut self, request: Request) -> Result<Response, RequestError> {
        self.answer_of(request)
    }

    /// Nothing goes wrong from here on: what lasts is over, what was planned does not come, and messages come as they should; those that
    /// are under way still arrive when they do.
    pub fn heal(&mut self) {
        self.messages.heal();
        self.orders.heal();
        for effect in self.faults.end_all() {
            self.bring_about(effect);
        }
    }

    /// The instances that the data plane has, those that boot included: none that the control plane does not know of, unless what it asked
    /// for is under way.
    pub fn instances_of_data_plane(&self) -> impl Iterator<Item = ContainerInstanceId> {
        self.plane.instance_ids()
    }

    /// How long jobs of a service took from arrival to done, and waited before; `None` for one without load.
    pub fn job_times(&self, service: &str) -> Option<(&DurationHistogram, &DurationHistogram)> {
        let jobs = &self.plane.services[*self.plane.services_by_name.get(service)?];
        Some((&jobs.latencies, &jobs.waits))
    }

    /// Why tasks wait, why they are where they are, or where one would go: see [`crate::control_plane::explain`].
    ///
    /// # Errors
    /// When the question is about something that is not there.
    pub fn explain(&self, question: &Question) -> Result<Explanation, RequestError> {
        self.plans.explain(&self.control_plane, question)
    }

    /// The cluster at this moment. Its journal is in the file up to here.
    pub fn snapshot(&mut self) -> Snapshot {
        self.journal.flush(self.now);
        self.take_sample();
        self.note_usage();
        Snapshot {
            at: self.now,
            calendar_start: self.calendar_start,
            name: self.control_plane.name().clone(),
            region: self.region.clone(),
            ids: self.control_plane.ids(),
            state: self.control_plane.state().clone(),
            meter: self.meter.clone(),
            delivery: self.plane.delivery(self.now),
            unplaced: self.plans.unplaced(),
            timer_lateness: Percentiles::default(),
            jobs: self.plane.jobs(),
            jobs_by_deployment: self.plane.jobs_by_deployment(),
            journal_trouble: self.journal.trouble().cloned(),
            durable_trouble: None,
            series: self.recorder.as_ref().map(|recorder| Arc::new(recorder.series().clone())),
        }
    }

    fn is_over(&self) -> bool {
        let state = self.control_plane.state();
        state.draining && state.is_empty()
    }

    /// When somebody but the data plane has something to do.
    fn next_of_others(&self) -> Option<Timestamp> {
        let by_control_plane = self.control_plane.next_deadline().map(|(at, _)| at);
        let by_faults = [self.faults.next(), self.messages.next(), self.orders.next()].into_iter().flatten().min();
        let all = [self.plans.next(), by_faults, self.next_usage, self.run_until, by_control_plane];
        all.into_iter().flatten().min()
    }

    /// When the next sample is to be taken, if that is before anything else but the data plane: when all of a moment has
    /// happened. Where nothing happens any more there is nothing to look at.
    fn next_sample(&self, others: Option<Timestamp>) -> Option<Timestamp> {
        let next = self.recorder.as_ref()?.next();
        match others {
            Some(others) => (next < others).then_some(next),
            None => self.plane.queue.next().is_some().then_some(next),
        }
    }

    /// The meter hears of what running tasks have used when somebody wants to know.
    fn note_usage(&mut self) {
        for (task, record) in self.control_plane.state().tasks.iter() {
            self.meter.note_usage(&UsageSample { task, usage: record.task.usage });
        }
    }

    fn take_sample(&mut self) {
        if self.recorder.is_some() {
            self.note_usage();
        }
        let Some(recorder) = &mut self.recorder else { return };
        let services = &self.plane.services_by_name;
        let jobs = services.iter().map(|(name, index)| {
            let jobs = &self.plane.services[*index];
            (name.clone(), ObservedJobs { stats: jobs.stats(), latencies: Some(&jobs.latencies) })
        });
        let observed = Observed {
            cluster: self.control_plane.name(),
            state: self.control_plane.state(),
            meter: &self.meter,
            jobs: jobs.collect(),
        };
        recorder.sample(self.now, &observed);
    }

    fn meet_deadlines(&mut self) {
        let now = self.now;
        while let Some(event) = self.messages.take_due(now) {
            self.take_in(event);
        }
        while let Some(arrived) = self.orders.take_due(now) {
            self.obey(arrived);
            self.plane.settle(now);
            self.hear_of_plane();
            self.take_in_all();
        }
        if self.plans.next().is_some_and(|at| at <= now) {
            let mut plans = std::mem::take(&mut self.plans);
            plans.meet(now, self);
            self.plans = plans;
        }
        if self.faults.next().is_some_and(|at| at <= now) {
            for effect in self.faults.take_due(now, self.control_plane.state()) {
                self.bring_about(effect);
            }
        }
        if self.next_usage.is_some_and(|at| at <= now) {
            self.sample_usage();
        }
        if self.run_until.is_some_and(|until| until <= now) {
            self.drain();
        }
        if self.control_plane.next_deadline().is_some_and(|(at, _)| at <= now) {
            self.take_in(Event::DeadlineReached);
        }
        if self.has_nothing_to_do() {
            self.drain();
        }
    }

    fn bring_about(&mut self, effect: FaultEffect) {
        match effect {
            FaultEffect::Event(event) => self.take_in(event),
            FaultEffect::Request(request) => {
                // A fault that is refused hits nothing.
                let _ = self.answer_of(request);
            }
            FaultEffect::Crash { task, exit_code } => {
                self.plane.crash_task(self.now, task, exit_code);
                self.plane.settle(self.now);
                self.hear_of_plane();
                self.take_in_all();
            }
        }
    }

    fn has_nothing_to_do(&self) -> bool {
        let state = self.control_plane.state();
        (self.run_until.is_none() || self.ends_when_done)
            && !state.draining
            && self.plans.has_no_tasks()
            && state.standalone_live_count == 0
            && state.services.values().all(|service| service.status == ServiceStatus::Inactive)
    }

    fn sample_usage(&mut self) {
        let mut samples = self.control_plane.room_for_samples();
        self.plane.usage_into(self.now, &mut samples);
        self.take_in(Event::Usage { samples });
        let known = &self.control_plane.state().services;
        let services = self.plane.services_by_name.iter().filter(|(name, _)| known.contains_key(*name));
        let done: Vec<Event> = services
            .map(|(name, index)| Event::JobsDone {
                service: name.clone(),
                done: self.plane.services[*index].completed(),
            })
            .collect();
        for event in done {
            self.take_in(event);
        }
        let metrics = self.plane.take_metrics();
        if !metrics.is_empty() {
            self.take_in(Event::MetricsEmitted { metrics });
        }
        self.next_usage = Some(self.now + self.control_plane.settings().usage_period);
    }

    /// Gives an event to the control plane and carries out what it says, and what follows from that.
    fn take_in(&mut self, event: Event) {
        self.inbox.push_back(event);
        self.take_in_all();
    }

    fn take_in_all(&mut self) {
        while let Some(event) = self.inbox.pop_front() {
            self.event_counts.add(&event);
            if let Some(digest) = &mut self.digest {
                digest.add(self.now, &event);
            }
            self.journal.event(self.now, &event);
            let seen = self.observer.is_some().then(|| event.clone());
            let mut actions = self.control_plane.apply(self.now, event);
            self.journal.actions(&actions);
            if let (Some(observer), Some(event)) = (&mut self.observer, seen) {
                observer.see(&self.control_plane, self.now, &event, &actions);
            }
            for action in actions.drain(..) {
                self.carry_out(action);
            }
            self.control_plane.reuse(actions);
            self.plane.settle(self.now);
            self.plane.spare_starts.drain(..).for_each(|start| self.control_plane.reuse_start(start));
            self.hear_of_plane();
        }
    }

    /// Passes on what the data plane has to tell, as far as it comes at once.
    fn hear_of_plane(&mut self) {
        for event in self.plane.outbox.drain(..) {
            self.inbox.extend(self.messages.send(self.now, event).at_once);
        }
    }

    fn carry_out(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::LaunchInstance { instance, launch } => match self.faults.fate_of(&launch) {
                LaunchFate::Launched(launch) => self.send(Action::LaunchInstance { instance, launch }),
                LaunchFate::Refused(reason) => {
                    self.inbox.push_back(Event::InstanceLaunchFailed { instance, reason: reason.into() });
                }
            },
            Action::TerminateInstance { .. }
            | Action::StartTask(_)
            | Action::StopTask { .. }
            | Action::DeregisterTargets { .. } => self.send(action),
            Action::SetInstanceCpuRate { instance, work_per_second } => {
                self.plane.set_instance_cpu_rate(now, instance, work_per_second);
            }
            Action::DirectTraffic { service, weights } => self.plane.direct_traffic(&service, weights),
            Action::CallHook(call) => self.call_hook(&call),
            Action::EndHook { hook } => self.end_hook(hook),
            Action::Respond { request_id, response } => {
                if self.hook_task_asked(request_id, &response) {
                    return;
                }
                self.answers.insert(request_id, response);
            }
            Action::Meter(fact) => self.meter.record(&fact),
            Action::Notify(notification) => {
                if let Notification::Task { task, last_status: TaskStatus::Stopped, .. } = notification {
                    self.hook_task_over(task);
                }
                self.tell(now, &notification);
            }
        }
    }

    fn send(&mut self, action: Action) {
        if let Some(arrived) = self.orders.send(self.now, action) {
            self.obey(arrived);
        }
    }

    /// A message has come to the data plane.
    fn obey(&mut self, arrived: Arrived) {
        let now = self.now;
        match arrived {
            Arrived::InTime(Action::LaunchInstance { instance, launch }) => {
                self.plane.launch_instance(now, instance, launch);
            }
            Arrived::InTime(Action::TerminateInstance { instance }) => self.plane.terminate_instance(now, instance),
            Arrived::InTime(Action::StartTask(start)) => self.plane.start_task(now, &start),
            Arrived::InTime(Action::StopTask { task }) => self.plane.stop_task(now, task),
            Arrived::InTime(Action::DeregisterTargets { task }) => self.plane.deregister_targets(task),
            Arrived::Overtaken(Action::LaunchInstance { instance, .. }) => {
                self.plane.outbox.push(Event::InstanceTerminated { instance, reason: None });
            }
            Arrived::Overtaken(Action::StartTask(start)) => {
                self.plane.outbox.push(Event::TaskStateChange(TaskStateChange::of_stopped_start(&start)));
            }
            // The end of something that has begun anew since, and what was heard before, change nothing.
            Arrived::Overtaken(_) | Arrived::Repeated => {}
            Arrived::InTime(action) => unreachable!("{action:?} is no message to the data plane"),
        }
    }

    fn tell(&mut self, at: Timestamp, notification: &Notification) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(at, self.control_plane.state(), notification);
        }
        if let Some(watcher) = &self.event_watcher
            && let Some(event) = self.event_bridge.event(self.control_plane.state(), at, notification)
        {
            // Whoever watched may have gone.
            let _ = watcher.send(event);
        }
    }
}

impl PlannedCluster for Simulation {
    fn state(&self) -> &ClusterState {
        self.control_plane.state()
    }

    fn answer_of(&mut self, request: Request) -> Result<Response, RequestError> {
        self.last_request += 1;
        let request_id = RequestId(self.last_request);
        self.take_in(Event::Request { request_id, request });
        self.answers.remove(&request_id).expect("a request is answered in the same call")
    }

    fn tell_of(&mut self, now: Timestamp, notification: Notification) {
        self.tell(now, &notification);
    }
}
