//! A cluster in real time: one thread that feeds the control plane and carries out what it says.
//!
//! The thread owns the control plane; nobody else ever sees it. It sleeps until an event, a request or a deadline comes, so an idle
//! cluster costs nothing. Guests run on the data plane's own threads and can't delay it.
//!
//! What comes in is here; what the world gets to see of it is in `effects`, and what readers see of the cluster in `views`.

mod effects;
mod views;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Select, Sender};

use super::apply::{ApplyError, DeploymentEnd, InForce};
use super::durable::held::Held;
use super::durable::record::{Ahead, InForceForm, Saved};
use super::durable::recovery::Recovered;
use super::durable::{Durable, meter_event};
use super::event_bridge::{ClusterEvent, EventBridge};
use super::hook_tasks::HookTasks;
use super::hooks::HookCallbacks;
use super::kept_journal::KeptJournal;
use super::load::ArrivalTimes;
use super::plans::{PlannedCluster, Plans, set_up};
use super::recorder::{Recording, SeriesRecorder};
use super::running_cluster::{Command, End, Notice, StartError};
use super::snapshot::Snapshot;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::{Action, Notification, Response};
use crate::control_plane::event::{Event, Request, TaskStateChange};
use crate::control_plane::faults::{FaultEffect, FaultPlan, LaunchFate};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::{ClusterState, ServiceStatus};
use crate::data_plane::DataPlane;
use crate::data_plane::clock::Clock;
use crate::data_plane::jobs::JobQueue;
use crate::metering::meter::Meter;
use crate::model::arn::ArnForm;
use crate::model::cluster::ClusterSpec;
use crate::model::ids::{DeploymentId, RequestId, TaskId};
use crate::model::recent::RecentDurations;
use crate::model::task::{Task, TaskStatus};
use crate::model::units::Timestamp;

/// How many events are taken in before requests and deadlines get their turn.
const EVENTS_AT_ONCE: usize = 1024;
/// How many commands are taken in before what came of them is written, and what is on the disk let go.
const COMMANDS_AT_ONCE: usize = 64;
/// How long the loop looks away after it has taken something in, before it waits for more.
///
/// While tasks come and go by the thousand, what they report in the meantime is taken in at once: waking this thread for
/// each of their events would cost more than starting and ending them. A cluster at rest is not delayed.
const LINGER: std::time::Duration = std::time::Duration::from_micros(100);
/// How many more times it looks away as long, where so many events have come since the last look and no command has: they are given to the
/// control plane together, and the cores' caches are the guests' meanwhile.
const MORE_LINGERS: u32 = 2;
/// What counts as so many.
const MANY_EVENTS: usize = 16;
/// How many of the last deadlines the percentiles of lateness are taken over.
const LATENESSES_KEPT: usize = 4096;

/// Everything that the control thread owns.
pub(super) struct ControlLoop {
    pub(super) clock: Clock,
    arns: ArnForm,
    pub(super) control_plane: ControlPlane,
    pub(super) data_plane: Arc<DataPlane>,
    meter: Meter,
    events: Receiver<Vec<Event>>,
    /// For those who report later: callbacks of hooks.
    pub(super) event_sender: Sender<Vec<Event>>,
    commands: Receiver<Command>,
    watchers: Vec<Sender<Notice>>,
    event_bridge: EventBridge,
    event_watchers: Vec<Sender<ClusterEvent>>,
    journal: KeptJournal,
    pub(super) durable: Durable,
    /// What the cluster was last made to be.
    pub(super) in_force: InForce,
    pub(super) waiting_for_deployments: Vec<(Arc<str>, DeploymentId, oneshot::Sender<DeploymentEnd>)>,
    answers: BTreeMap<RequestId, Asker>,
    waiting: BTreeMap<TaskId, Vec<oneshot::Sender<Task>>>,
    /// Who waits until no standalone task is live.
    waiting_for_none: Vec<oneshot::Sender<()>>,
    pub(super) next_request: u64,
    next_usage: Option<Timestamp>,
    /// Calls that are yet to be made.
    pub(super) plans: Plans,
    /// What goes wrong by plan.
    pub(super) faults: FaultPlan,
    /// Lifecycle hooks that are callbacks.
    pub(super) callbacks: HookCallbacks,
    /// Lifecycle hooks that are tasks.
    pub(super) hook_tasks: HookTasks,
    pub(super) loads: Vec<(ArrivalTimes, JobQueue, Arc<str>)>,
    pub(super) run_until: Option<Timestamp>,
    end: End,
    /// Events that follow from carrying out an action.
    pub(super) outbox: VecDeque<Event>,
    /// How late the control plane's deadlines were met.
    lateness: RecentDurations,
    recorder: Option<SeriesRecorder>,
    durable_wakeups: Receiver<()>,
    /// How many jobs of each service were done before this process began.
    jobs_before: BTreeMap<Arc<str>, u64>,
}

/// Who has asked for something.
#[derive(Debug)]
pub(super) enum Asker {
    /// The loop itself, which needs to know at once.
    Loop(oneshot::Sender<Result<Response, RequestError>>),
    /// A client, who is told once it is durable.
    Client(oneshot::Sender<Result<Response, RequestError>>),
}

/// What a control loop is put together from.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) control_plane: ControlPlane,
    pub(super) data_plane: Arc<DataPlane>,
    pub(super) meter: Meter,
    pub(super) events: Receiver<Vec<Event>>,
    pub(super) event_sender: Sender<Vec<Event>>,
    pub(super) callbacks: HookCallbacks,
    pub(super) commands: Receiver<Command>,
    pub(super) watcher: Option<Sender<Notice>>,
    pub(super) event_watcher: Option<Sender<ClusterEvent>>,
    pub(super) recording: Recording,
    pub(super) journal: KeptJournal,
    pub(super) durable: Durable,
}

/// What a look at the channels brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    /// Something, with so many events.
    Something {
        events: usize,
    },
    /// Something, and there may be more.
    Much,
    TheEnd,
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl ControlLoop {
    pub(super) fn new(spec: &ClusterSpec, end: End, parts: Parts) -> ControlLoop {
        let settings = &spec.settings;
        let samples_usage = settings.usage_period > std::time::Duration::ZERO;
        let region: Arc<str> = spec.region.as_str().into();
        let ids = parts.control_plane.ids();
        let wakeups = parts.durable.wakeups();
        let arns = ArnForm { cluster: parts.control_plane.name().clone(), region, ids };
        ControlLoop {
            event_bridge: EventBridge::new(arns.clone(), parts.clock.calendar(Timestamp::ZERO)),
            event_watchers: parts.event_watcher.into_iter().collect(),
            journal: parts.journal,
            durable: parts.durable,
            in_force: InForce::of_start(spec),
            waiting_for_deployments: Vec::new(),
            clock: parts.clock,
            arns,
            control_plane: parts.control_plane,
            data_plane: parts.data_plane,
            meter: parts.meter,
            events: parts.events,
            event_sender: parts.event_sender,
            callbacks: parts.callbacks,
            hook_tasks: HookTasks::default(),
            commands: parts.commands,
            watchers: parts.watcher.into_iter().collect(),
            answers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waiting_for_none: Vec::new(),
            next_request: 0,
            next_usage: samples_usage.then(|| Timestamp::ZERO + settings.usage_period),
            plans: Plans::default(),
            faults: FaultPlan::default(),
            loads: Vec::new(),
            run_until: settings.run_for.map(|time| Timestamp::ZERO + time),
            end,
            outbox: VecDeque::new(),
            lateness: RecentDurations::keeping(LATENESSES_KEPT),
            recorder: parts.recording.recorder(settings.run_for),
            durable_wakeups: wakeups,
            jobs_before: BTreeMap::new(),
        }
    }

    /// Asks for everything in the spec.
    pub(super) fn set_up(&mut self, spec: ClusterSpec) -> Result<(), StartError> {
        self.durable.begin(&self.control_plane, &self.arns.region, self.clock.began_at());
        for (index, load) in spec.loads.iter().cloned().enumerate() {
            self.data_plane.attach_load(&load.service, load.container.clone());
            let queue = self.data_plane.job_queue(&load.service);
            let job: Arc<str> = load.job.as_str().into();
            let seed = self.control_plane.settings().seed;
            self.loads.push((ArrivalTimes::new(load, seed, index as u64), queue, job));
        }
        for (what, request) in set_up(&spec) {
            self.answer_of(request).map_err(|error| StartError::Refused { what, error })?;
        }
        self.plans = Plans::of(&spec);
        self.faults = FaultPlan::new(spec.faults, self.control_plane.settings().seed);
        self.note_in_force();
        self.note_ahead();
        Ok(())
    }

    /// Goes on with a cluster whose process was gone: what ran is lost as of the last moment that is known of, and then it is now.
    pub(super) fn go_on(&mut self, saved: Recovered, reason: String) {
        self.meter = saved.meter;
        self.next_request = saved.last_request;
        self.in_force = InForce { spec: saved.in_force.spec, revisions: saved.in_force.revisions };
        let Ahead { plans, faults } = saved.ahead;
        (self.plans, self.faults) = (plans, faults);
        self.run_until = self.in_force.spec.settings.run_for.map(|time| Timestamp::ZERO + time);
        let known = self.control_plane.now();
        self.next_usage = self.next_usage.map(|_| self.clock.now() + self.control_plane.settings().usage_period);
        for service in self.control_plane.state().services.keys() {
            self.jobs_before.insert(service.clone(), self.control_plane.jobs_done(service));
        }
        self.put_loads(self.in_force.spec.loads.clone());
        self.apply_at(Some(known), Event::HostRestarted { reason });
    }

    /// Lets come due what has come due by now.
    pub(super) fn come_to_now(&mut self) {
        self.apply(Event::DeadlineReached);
    }

    fn in_force_form(&self) -> InForceForm {
        InForceForm { spec: self.in_force.spec.clone(), revisions: self.in_force.revisions.clone() }
    }

    fn ahead_form(&self) -> Ahead {
        Ahead { plans: self.plans.clone(), faults: self.faults.clone() }
    }

    /// Writes down what the cluster is to be.
    pub(super) fn note_in_force(&mut self) {
        if self.durable.is_on() {
            self.durable.in_force(self.in_force_form());
        }
    }

    /// Writes down what is yet to come by plan.
    pub(super) fn note_ahead(&mut self) {
        if self.durable.is_on() {
            self.durable.ahead(self.ahead_form());
        }
    }

    /// Everything that is to be known again after a restart.
    fn saved(&self) -> Saved {
        Saved::of_now(
            &self.control_plane,
            &self.meter,
            &self.arns.region,
            self.clock.began_at(),
            self.in_force_form(),
            self.ahead_form(),
            self.next_request,
        )
    }

    /// Runs the cluster to its end.
    pub(super) fn run(mut self) -> Snapshot {
        loop {
            let taken = self.take_what_is_there();
            if taken == Taken::TheEnd {
                break;
            }
            let now = self.clock.now();
            self.meet_deadlines(now);
            self.durable.append(|| self.meter.take_records());
            self.let_go();
            if self.is_over() {
                break;
            }
            match taken {
                Taken::Nothing | Taken::TheEnd => {
                    self.journal.flush(now);
                    self.sleep();
                }
                Taken::Something { events } => {
                    self.journal.flush_when_due(now);
                    self.linger(events);
                }
                Taken::Much => self.journal.flush_when_due(now),
            }
        }
        self.data_plane.kill_all();
        let events = self.events.clone();
        // Tasks that were ended at once still report what they used.
        while self.control_plane.state().live_count > 0 {
            let Ok(batch) = events.recv_timeout(std::time::Duration::from_millis(200)) else { break };
            batch.into_iter().for_each(|event| self.apply(event));
        }
        events.try_iter().flatten().for_each(|event| self.apply(event));
        self.journal.flush(self.clock.now());
        let snapshot = self.snapshot();
        self.take_sample(snapshot.at);
        let durable_trouble = self.close();
        Snapshot { durable_trouble, series: self.recorder.map(|recorder| Arc::new(recorder.into_series())), ..snapshot }
    }

    /// Puts everything on the disk, and tells what waited for that; says why not, where that can't be done.
    fn close(&mut self) -> Option<Arc<str>> {
        self.durable.append(|| self.meter.take_records());
        let mut durable = std::mem::replace(&mut self.durable, Durable::nothing());
        let closed = durable.close(|| self.meter.open_records(self.read_at()), || self.saved());
        self.durable = durable;
        while let Some(held) = self.durable.pop() {
            // Whatever is to be started is started by whoever goes on with the cluster.
            if !matches!(held, Held::CarryOut(_)) {
                self.show(held);
            }
        }
        closed.err().map(|trouble| trouble.to_string().into())
    }

    /// Takes in events and commands that have come, without waiting.
    fn take_what_is_there(&mut self) -> Taken {
        let mut events = 0;
        let mut has_come = false;
        let mut changes = Vec::new();
        while events < EVENTS_AT_ONCE {
            let Ok(batch) = self.events.try_recv() else { break };
            events += batch.len();
            for event in batch {
                match event {
                    // Whoever watches is to see each of a task's states, and not the last one of several.
                    Event::TaskStateChange(change) if !self.is_watched() => changes.push(change),
                    event => {
                        self.apply_changes(&mut changes);
                        self.apply(event);
                    }
                }
            }
        }
        self.apply_changes(&mut changes);
        while self.durable_wakeups.try_recv().is_ok() {
            has_come = true;
        }
        for _ in 0..COMMANDS_AT_ONCE {
            let Ok(command) = self.commands.try_recv() else {
                return if has_come || events > 0 { Taken::Something { events } } else { Taken::Nothing };
            };
            if self.take_command(command) == Next::End {
                return Taken::TheEnd;
            }
            has_come = true;
        }
        Taken::Much
    }

    fn take_command(&mut self, command: Command) -> Next {
        match command {
            Command::Ask { request, answer } => match self.durable.trouble() {
                // The one thing that can be asked of a disk that refuses is to go.
                Some(trouble) if request != Request::DrainCluster => {
                    let _ = answer.send(Err(RequestError::Server(trouble.to_string())));
                }
                _ => self.ask(request, Some(Asker::Client(answer))),
            },
            Command::AskThen { request, read } => {
                let answer = match self.durable.trouble() {
                    Some(trouble) => Err(RequestError::Server(trouble.to_string())),
                    None => self.answer_of(request),
                };
                let told = read(answer, self.control_plane.state(), &self.read_context());
                self.hold(Held::Read(told));
            }
            Command::Read(read) => {
                let told = read(self.control_plane.state(), &self.read_context());
                self.hold(Held::Read(told));
            }
            Command::Event(event) => self.apply(event),
            Command::Watch(watcher) => self.watchers.push(watcher),
            Command::Events(watcher) => self.event_watchers.push(watcher),
            Command::Apply { spec, answer } => match self.durable.trouble() {
                Some(trouble) => {
                    let _ = answer.send(Err(ApplyError::DataDirectory(trouble.to_string().into())));
                }
                None => {
                    let applied = self.apply_spec(*spec);
                    self.hold(Held::Applied(answer, applied));
                }
            },
            Command::WaitForDeployment { service, deployment, answer } => {
                self.waiting_for_deployments.push((service, deployment, answer));
            }
            // A reader that has gone needs no answer, here and below.
            Command::Explain { question, answer } => {
                let explained = self.plans.explain(&self.control_plane, &question);
                self.hold(Held::Explanation(answer, Box::new(explained)));
            }
            Command::Snapshot(answer) => {
                let snapshot = self.snapshot();
                self.hold(Held::Snapshot(answer, Box::new(snapshot)));
            }
            Command::Task { task, answer } => {
                let found = self.control_plane.state().tasks.get(&task);
                let found = found.map(|record| Arc::new(record.task.clone()));
                self.hold(Held::Task(answer, found));
            }
            Command::WaitForTask { task, answer } => {
                match self.control_plane.state().tasks.get(&task) {
                    Some(record) if record.task.last_status == TaskStatus::Stopped => {
                        let task = Box::new(record.task.clone());
                        self.hold(Held::Stopped(vec![answer], task));
                    }
                    Some(_) => self.waiting.entry(task).or_default().push(answer),
                    // Dropping the sender tells that there is nothing to wait for.
                    None => {}
                }
            }
            Command::WaitForStandaloneTasks(answer) => self.waiting_for_none.push(answer),
            Command::EndNow => return Next::End,
        }
        Next::GoOn
    }

    /// Does what is due by time.
    fn meet_deadlines(&mut self, now: Timestamp) {
        for (arrivals, queue, job) in &mut self.loads {
            while arrivals.take_due(now).is_some() {
                queue.push(job.clone(), arrivals.load().traffic);
            }
        }
        if self.plans.next().is_some_and(|at| at <= now) {
            let mut plans = std::mem::take(&mut self.plans);
            plans.meet(now, self);
            self.plans = plans;
            self.note_ahead();
        }
        if self.faults.next().is_some_and(|at| at <= now) {
            for effect in self.faults.take_due(now, self.control_plane.state()) {
                match effect {
                    FaultEffect::Event(event) => self.apply(event),
                    FaultEffect::Request(request) => self.ask(request, None),
                    FaultEffect::Crash { task, exit_code } => self.data_plane.crash_task(task, exit_code),
                }
            }
            self.note_ahead();
        }
        if self.next_usage.is_some_and(|at| at <= now) {
            let samples = self.data_plane.usage();
            self.apply(Event::Usage { samples });
            self.report_jobs();
            self.report_metrics();
            self.next_usage = Some(now + self.control_plane.settings().usage_period);
        }
        if self.run_until.is_some_and(|until| until <= now) && self.end == End::WhenDone {
            self.run_until = None;
            self.ask(Request::DrainCluster, None);
        }
        if let Some((at, _)) = self.control_plane.next_deadline().filter(|(at, _)| *at <= now) {
            self.lateness.push(now.since(at));
            self.apply(Event::DeadlineReached);
        }
        if self.recorder.as_ref().is_some_and(|recorder| recorder.next() <= now) {
            self.take_sample(now);
        }
        if !self.waiting_for_deployments.is_empty() {
            self.tell_of_deployments();
        }
        if self.control_plane.state().standalone_live_count == 0 {
            for answer in std::mem::take(&mut self.waiting_for_none) {
                self.hold(Held::NoStandaloneTask(answer));
            }
        }
        let state = self.control_plane.state();
        let nothing_to_do = self.end == End::WhenDone
            && !state.draining
            && self.plans.has_no_tasks()
            && state.standalone_live_count == 0
            && state.services.values().all(|service| service.status == ServiceStatus::Inactive);
        if nothing_to_do && self.run_until.is_none() {
            self.ask(Request::DrainCluster, None);
        }
    }

    /// Says how many jobs each service has done: the requests that it is scaled by.
    fn report_jobs(&mut self) {
        let mut done: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for (arrivals, queue, _) in &self.loads {
            // Several loads of a service share its queue.
            let service = &arrivals.load().service;
            if self.control_plane.state().services.contains_key(service) {
                done.insert(service.clone(), queue.completed());
            }
        }
        for (service, done) in done {
            let done = done + self.jobs_before.get(&service).copied().unwrap_or_default();
            self.apply(Event::JobsDone { service, done });
        }
    }

    /// Hands on what guests have said of metrics of their own.
    fn report_metrics(&mut self) {
        let metrics = self.data_plane.take_metrics();
        if !metrics.is_empty() {
            self.apply(Event::MetricsEmitted { metrics });
        }
    }

    fn is_over(&self) -> bool {
        let state = self.control_plane.state();
        state.draining && state.is_empty()
    }

    /// Looks away for a moment; what the disk has meanwhile is let go at once. Those who wait for it may have more to ask, which the next
    /// sync takes along.
    fn linger(&mut self, events: usize) {
        if !self.durable.is_on() {
            // Asleep, and not at the channel for commands: whoever waits there yields first, which on a busy host gives away the core for as long
            // as guests like to have it at once.
            std::thread::sleep(LINGER);
            let more = if events >= MANY_EVENTS { MORE_LINGERS } else { 0 };
            for _ in 0..more {
                if !self.commands.is_empty() {
                    break;
                }
                std::thread::sleep(LINGER);
            }
        } else if self.durable_wakeups.recv_timeout(LINGER).is_ok() {
            self.let_go();
        }
    }

    /// Sleeps until an event, a command or a deadline.
    fn sleep(&self) {
        let by_loads = self.loads.iter().filter_map(|(arrivals, ..)| arrivals.peek()).min();
        let by_control_plane = self.control_plane.next_deadline().map(|(at, _)| at);
        let run_until = self.run_until.filter(|_| self.end == End::WhenDone);
        let by_plans = self.plans.next();
        let by_faults = self.faults.next();
        let by_recorder = self.recorder.as_ref().map(SeriesRecorder::next);
        let until = [by_loads, by_plans, by_faults, by_recorder, by_control_plane, self.next_usage, run_until]
            .into_iter()
            .flatten()
            .min();
        let mut select = Select::new();
        select.recv(&self.events);
        select.recv(&self.commands);
        select.recv(&self.durable_wakeups);
        match until {
            Some(at) => {
                // Whether it is a message or the time does not matter: both are looked for next.
                let _ = select.ready_timeout(self.clock.until(at));
            }
            None => {
                select.ready();
            }
        }
    }

    pub(super) fn ask(&mut self, request: Request, answer: Option<Asker>) {
        self.next_request += 1;
        let request_id = RequestId(self.next_request);
        if let Some(answer) = answer {
            self.answers.insert(request_id, answer);
        }
        self.apply(Event::Request { request_id, request });
    }

    fn is_watched(&self) -> bool {
        !self.watchers.is_empty() || !self.event_watchers.is_empty()
    }

    /// Gives state changes that came together to the control plane.
    fn apply_changes(&mut self, changes: &mut Vec<TaskStateChange>) {
        match changes.len() {
            0 => {}
            1 => self.apply(Event::TaskStateChange(changes.remove(0))),
            _ => self.apply(Event::TaskStateChanges(std::mem::take(changes))),
        }
    }

    /// Gives an event to the control plane and carries out what it says, and what follows from that.
    fn apply(&mut self, event: Event) {
        self.apply_at(None, event);
    }

    /// The same at a moment, or now.
    fn apply_at(&mut self, at: Option<Timestamp>, event: Event) {
        self.outbox.push_back(event);
        while let Some(event) = self.outbox.pop_front() {
            let now = at.unwrap_or_else(|| self.clock.now()).max(self.control_plane.now());
            self.journal.event(now, &event);
            meter_event(&mut self.meter, now, &event);
            let written = self.durable.event(now, &event);
            let mut actions = self.control_plane.apply(now, event);
            self.durable.took_in(written, &self.control_plane);
            self.journal.actions(&actions);
            for action in actions.drain(..) {
                self.carry_out(now, action);
            }
            self.control_plane.reuse(actions);
        }
    }

    fn carry_out(&mut self, now: Timestamp, action: Action) {
        match action {
            Action::LaunchInstance { instance, launch } => match self.faults.fate_of(&launch) {
                LaunchFate::Launched(launch) => {
                    self.hold(Held::CarryOut(Action::LaunchInstance { instance, launch }));
                }
                LaunchFate::Refused(reason) => {
                    self.outbox.push_back(Event::InstanceLaunchFailed { instance, reason: reason.into() });
                }
            },
            Action::TerminateInstance { .. }
            | Action::SetInstanceCpuRate { .. }
            | Action::StartTask(_)
            | Action::StopTask { .. }
            | Action::DeregisterTargets { .. }
            | Action::DirectTraffic { .. }
            | Action::CallHook(_)
            | Action::EndHook { .. } => self.hold(Held::CarryOut(action)),
            Action::Respond { request_id, response } => {
                self.hook_task_asked(request_id, &response);
                match self.answers.remove(&request_id) {
                    Some(Asker::Loop(answer)) => {
                        let _ = answer.send(response);
                    }
                    Some(Asker::Client(answer)) => self.hold(Held::Response(answer, response)),
                    None => {}
                }
            }
            Action::Meter(fact) => self.meter.record(&fact),
            Action::Notify(notification) => {
                if let Notification::Task { task, last_status: TaskStatus::Stopped, .. } = notification {
                    self.tell_waiting(task);
                    self.hook_task_over(task);
                }
                self.tell(now, notification);
            }
        }
    }
}

impl PlannedCluster for ControlLoop {
    fn state(&self) -> &ClusterState {
        self.control_plane.state()
    }

    fn answer_of(&mut self, request: Request) -> Result<Response, RequestError> {
        let (answer, response) = oneshot::channel();
        self.ask(request, Some(Asker::Loop(answer)));
        response.try_recv().expect("a request is answered in the same call")
    }

    fn tell_of(&mut self, now: Timestamp, notification: Notification) {
        self.tell(now, notification);
    }
}
