//! A cluster in real time: one thread that feeds the control plane and carries out what it says.
//!
//! The thread owns the control plane; nobody else ever sees it. It sleeps until an event, a request or a deadline comes, so an idle
//! cluster costs nothing. Guests run on the data plane's own threads and can't delay it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Select, Sender, bounded, unbounded};
use thiserror::Error;

use super::load::ArrivalTimes;
use super::snapshot::Snapshot;
use crate::catalog::Catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::{Action, Notification, Response};
use crate::control_plane::event::{Event, Request};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::ServiceStatus;
use crate::data_plane::clock::Clock;
use crate::data_plane::jobs::JobQueue;
use crate::data_plane::{DataPlane, DataPlaneError, DataPlaneOptions, ImageStore};
use crate::metering::meter::Meter;
use crate::model::cluster::{ClusterSpec, RunTaskSpec, ScheduledRunTask};
use crate::model::ids::{RequestId, TaskId};
use crate::model::recent::RecentDurations;
use crate::model::task::{Task, TaskStatus};
use crate::model::units::Timestamp;

/// How many events are taken in before requests and deadlines get their turn.
const EVENTS_AT_ONCE: usize = 1024;
/// How long the loop looks away after it has taken something in, before it waits for more.
///
/// While tasks come and go by the thousand, what they report in the meantime is taken in at once: waking this thread for
/// each of their events would cost more than starting and ending them. A cluster at rest is not delayed.
const LINGER: std::time::Duration = std::time::Duration::from_micros(50);
/// How long a cluster file's tasks that found no room wait until they are asked for again. *Ours.*
const RUN_TASK_RETRY: std::time::Duration = std::time::Duration::from_millis(500);
/// How many of the last deadlines the percentiles of lateness are taken over.
const LATENESSES_KEPT: usize = 4096;

/// Settings of the host, none of which changes what the cluster decides.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Settings of the data plane. Its basis, rate, period and id form are taken from the cluster.
    pub data_plane: DataPlaneOptions,
    /// When the cluster ends by itself.
    pub end: End,
    /// When its images are built and compiled.
    pub images: ImagePull,
}

/// When a cluster's images are built and compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImagePull {
    /// When the first task of an image starts.
    #[default]
    WhenNeeded,
    /// All of them before the cluster's clock starts, so that its schedule does not depend on how long a build takes. An image that
    /// can't be had is no reason not to start: its tasks will say so.
    BeforeStart,
}

/// When a cluster ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Never: it runs until it is drained. What an embedder wants.
    #[default]
    WhenDrained,
    /// When the cluster's `run_for` is over, or when it has no service and all its standalone tasks are over.
    WhenDone,
}

/// Why a cluster could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The data plane could not.
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
    /// The cluster names a region without prices.
    #[error("no prices are known for region {0}")]
    UnknownRegion(String),
    /// Something in the cluster was refused.
    #[error("{what}: {error}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not.
        error: RequestError,
    },
    /// The thread could not be started.
    #[error("cannot start the control loop: {0}")]
    Thread(#[source] std::io::Error),
}

/// The cluster is over and takes no more requests.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the cluster is over")]
pub struct ClusterOver;

/// Why a request was not granted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AskError {
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] RequestError),
    /// There is nobody to ask.
    #[error(transparent)]
    Over(#[from] ClusterOver),
}

/// News of the cluster and when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// What.
    pub notification: Notification,
}

/// A handle on a running cluster. Dropping it ends the cluster at once; see [`RunningCluster::drain`] for good order.
#[derive(Debug)]
pub struct RunningCluster {
    commands: Sender<Command>,
    data_plane: Arc<DataPlane>,
    clock: Clock,
    thread: Option<JoinHandle<Snapshot>>,
}

enum Command {
    Ask { request: Request, answer: Sender<Result<Response, RequestError>> },
    Event(Event),
    Watch(Sender<Notice>),
    Snapshot(Sender<Snapshot>),
    Task { task: TaskId, answer: Sender<Option<Task>> },
    WaitForTask { task: TaskId, answer: Sender<Task> },
    WaitForStandaloneTasks(Sender<()>),
    EndNow,
}

impl RunningCluster {
    /// Starts a cluster: everything that its spec names is asked for in the spec's order before this returns.
    ///
    /// # Errors
    /// When the data plane can't start, the region has no prices, or the control plane refuses something in the spec.
    pub fn start(spec: ClusterSpec, options: HostOptions) -> Result<RunningCluster, StartError> {
        let price_book = Catalog::embedded()
            .price_book(&spec.region)
            .ok_or_else(|| StartError::UnknownRegion(spec.region.clone()))?;
        let settings = spec.settings.clone();
        let control_plane = ControlPlane::new(&spec.name, settings.clone());
        let data_plane_options = DataPlaneOptions {
            cpu_basis: settings.cpu_basis,
            fuel_rate: settings.fuel_rate,
            cpu_period: settings.cpu_period,
            id_form: control_plane.ids(),
            ..options.data_plane
        };
        let images = ImageStore::open(&data_plane_options)?;
        if options.images == ImagePull::BeforeStart {
            prepare_images(&images, &spec);
        }
        let clock = Clock::start_now();
        let (event_sender, events) = unbounded();
        let data_plane = DataPlane::start_with(images, data_plane_options, clock.clone(), event_sender)?;
        let data_plane = Arc::new(data_plane);
        let (commands, inbox) = unbounded();
        let next_usage =
            (settings.usage_period > std::time::Duration::ZERO).then(|| Timestamp::ZERO + settings.usage_period);
        let mut control_loop = ControlLoop {
            clock: clock.clone(),
            region: spec.region.as_str().into(),
            control_plane,
            data_plane: data_plane.clone(),
            meter: Meter::new(price_book),
            events,
            commands: inbox,
            watchers: Vec::new(),
            answers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waiting_for_none: Vec::new(),
            next_request: 0,
            next_usage,
            schedule: VecDeque::new(),
            retries: VecDeque::new(),
            loads: Vec::new(),
            run_until: settings.run_for.map(|time| Timestamp::ZERO + time),
            end: options.end,
            outbox: VecDeque::new(),
            lateness: RecentDurations::keeping(LATENESSES_KEPT),
        };
        control_loop.set_up(spec)?;
        let thread = std::thread::Builder::new()
            .name("longshore-control".into())
            .spawn(move || control_loop.run())
            .map_err(StartError::Thread)?;
        Ok(RunningCluster { commands, data_plane, clock, thread: Some(thread) })
    }

    /// Asks the control plane for something and waits for the answer.
    ///
    /// # Errors
    /// When it is refused, or the cluster is over.
    pub fn ask(&self, request: Request) -> Result<Response, AskError> {
        let (answer, response) = bounded(1);
        self.send(Command::Ask { request, answer })?;
        Ok(response.recv().map_err(|_| ClusterOver)??)
    }

    /// Puts an event to the control plane that no part of the data plane would report: a Spot interruption, a lost instance.
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn inject(&self, event: Event) -> Result<(), ClusterOver> {
        self.send(Command::Event(event))
    }

    /// Everything that happens from here on, in order. The channel holds what is not read; drop it to stop watching.
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn watch(&self) -> Result<Receiver<Notice>, ClusterOver> {
        let (watcher, notices) = unbounded();
        self.send(Command::Watch(watcher))?;
        Ok(notices)
    }

    /// The cluster at this moment. Copies its state: meant for eyes, a few times a second.
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn snapshot(&self) -> Result<Snapshot, ClusterOver> {
        let (answer, snapshot) = bounded(1);
        self.send(Command::Snapshot(answer))?;
        snapshot.recv().map_err(|_| ClusterOver)
    }

    /// A task at this moment; `None` for one that is not known (any more).
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn task(&self, task: TaskId) -> Result<Option<Task>, ClusterOver> {
        let (answer, found) = bounded(1);
        self.send(Command::Task { task, answer })?;
        found.recv().map_err(|_| ClusterOver)
    }

    /// Waits until a task is over.
    ///
    /// # Errors
    /// When the task is not known, or the cluster ends first.
    pub fn wait_for_task(&self, task: TaskId) -> Result<Task, ClusterOver> {
        let (answer, stopped) = bounded(1);
        self.send(Command::WaitForTask { task, answer })?;
        stopped.recv().map_err(|_| ClusterOver)
    }

    /// Waits until no standalone task is live.
    ///
    /// # Errors
    /// When the cluster ends first.
    pub fn wait_for_standalone_tasks(&self) -> Result<(), ClusterOver> {
        let (answer, idle) = bounded(1);
        self.send(Command::WaitForStandaloneTasks(answer))?;
        idle.recv().map_err(|_| ClusterOver)
    }

    /// The data plane: logs of containers and job queues of services.
    pub fn data_plane(&self) -> &DataPlane {
        &self.data_plane
    }

    /// The cluster's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Ends the cluster in good order, as ECS drains: services to zero, standalone tasks stopped with their stop timeout, then
    /// instances terminated. Returns at once; see [`RunningCluster::wait`].
    pub fn drain(&self) {
        // A cluster that is over is drained.
        let _ = self.ask(Request::DrainCluster);
    }

    /// Waits until the cluster is over and returns it as it was then.
    ///
    /// # Panics
    /// When the control loop did, with its message.
    pub fn wait(mut self) -> Snapshot {
        let thread = self.thread.take().expect("only `wait` and `drop` take the thread, and each ends the handle");
        match thread.join() {
            Ok(snapshot) => snapshot,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Whether the cluster is over.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn send(&self, command: Command) -> Result<(), ClusterOver> {
        self.commands.send(command).map_err(|_| ClusterOver)
    }
}

impl Drop for RunningCluster {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.commands.send(Command::EndNow);
            // A panic of the loop has printed itself; dropping a handle is no place for a second one.
            let _ = thread.join();
        }
    }
}

/// Builds and compiles every image of a spec and waits for them.
fn prepare_images(store: &ImageStore, spec: &ClusterSpec) {
    let containers = spec.task_definitions.iter().flat_map(|definition| &definition.containers);
    let images: BTreeSet<&str> = containers.map(|container| container.image.as_str()).collect();
    let answers: Vec<_> = images.into_iter().map(|image| store.prepare(image)).collect();
    for answer in answers {
        // A failure is told again to each task of the image.
        let _ = answer.recv();
    }
}

/// Everything that the control thread owns.
struct ControlLoop {
    clock: Clock,
    region: Arc<str>,
    control_plane: ControlPlane,
    data_plane: Arc<DataPlane>,
    meter: Meter,
    events: Receiver<Event>,
    commands: Receiver<Command>,
    watchers: Vec<Sender<Notice>>,
    answers: BTreeMap<RequestId, Sender<Result<Response, RequestError>>>,
    waiting: BTreeMap<TaskId, Vec<Sender<Task>>>,
    /// Who waits until no standalone task is live.
    waiting_for_none: Vec<Sender<()>>,
    next_request: u64,
    next_usage: Option<Timestamp>,
    /// RunTask calls that are yet to be made, by time.
    schedule: VecDeque<ScheduledRunTask>,
    /// Tasks of such calls that found no room, to be asked for again.
    retries: VecDeque<ScheduledRunTask>,
    loads: Vec<(ArrivalTimes, JobQueue, Arc<str>)>,
    run_until: Option<Timestamp>,
    end: End,
    /// Events that follow from carrying out an action.
    outbox: VecDeque<Event>,
    /// How late the control plane's deadlines were met.
    lateness: RecentDurations,
}

/// Whether tasks of a cluster file are asked for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

/// What a look at the channels brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    Something,
    TheEnd,
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl ControlLoop {
    /// Asks for everything in the spec, in an order in which every reference is there before it is used.
    fn set_up(&mut self, spec: ClusterSpec) -> Result<(), StartError> {
        for provider in spec.capacity_providers {
            let what = format!("capacity provider {}", provider.name);
            self.ask_now(&what, Request::CreateCapacityProvider(Box::new(provider)))?;
        }
        if !spec.default_strategy.is_empty() {
            self.ask_now("default strategy", Request::PutDefaultStrategy(spec.default_strategy))?;
        }
        for launch in spec.container_instances {
            self.ask_now("container instance", Request::LaunchInstance(Arc::new(launch)))?;
        }
        for definition in spec.task_definitions {
            let what = format!("task definition {}", definition.family);
            self.ask_now(&what, Request::RegisterTaskDefinition(Box::new(definition)))?;
        }
        for (index, load) in spec.loads.into_iter().enumerate() {
            self.data_plane.attach_load(&load.service, load.container.clone());
            let queue = self.data_plane.job_queue(&load.service);
            let job: Arc<str> = load.job.as_str().into();
            let seed = self.control_plane.settings().seed;
            self.loads.push((ArrivalTimes::new(load, seed, index as u64), queue, job));
        }
        for service in spec.services {
            let what = format!("service {}", service.name);
            self.ask_now(&what, Request::CreateService(Box::new(service)))?;
        }
        let mut schedule = spec.run_tasks;
        schedule.sort_by_key(|run_task| run_task.at);
        self.schedule = schedule.into();
        Ok(())
    }

    fn ask_now(&mut self, what: &str, request: Request) -> Result<(), StartError> {
        let (answer, response) = bounded(1);
        self.ask(request, Some(answer));
        match response.try_recv() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(StartError::Refused { what: what.into(), error }),
            Err(_) => unreachable!("a request is answered in the same call"),
        }
    }

    fn run(mut self) -> Snapshot {
        loop {
            let taken = self.take_what_is_there();
            if taken == Taken::TheEnd {
                break;
            }
            let now = self.clock.now();
            self.meet_deadlines(now);
            if self.is_over() {
                break;
            }
            match taken {
                Taken::Nothing | Taken::TheEnd => self.sleep(),
                Taken::Something => std::thread::sleep(LINGER),
            }
        }
        self.data_plane.kill_all();
        let events = self.events.clone();
        // Tasks that were ended at once still report what they used.
        while self.control_plane.state().live_count > 0 {
            let Ok(event) = events.recv_timeout(std::time::Duration::from_millis(200)) else { break };
            self.apply(event);
        }
        for event in events.try_iter() {
            self.apply(event);
        }
        self.snapshot()
    }

    /// Takes in events and commands that have come, without waiting.
    fn take_what_is_there(&mut self) -> Taken {
        let mut taken = Taken::Nothing;
        for _ in 0..EVENTS_AT_ONCE {
            let Ok(event) = self.events.try_recv() else { break };
            self.apply(event);
            taken = Taken::Something;
        }
        while let Ok(command) = self.commands.try_recv() {
            if self.take_command(command) == Next::End {
                return Taken::TheEnd;
            }
            taken = Taken::Something;
        }
        taken
    }

    fn take_command(&mut self, command: Command) -> Next {
        match command {
            Command::Ask { request, answer } => self.ask(request, Some(answer)),
            Command::Event(event) => self.apply(event),
            Command::Watch(watcher) => self.watchers.push(watcher),
            // A reader that has gone needs no answer, here and below.
            Command::Snapshot(answer) => {
                let _ = answer.send(self.snapshot());
            }
            Command::Task { task, answer } => {
                let found = self.control_plane.state().tasks.get(&task);
                let _ = answer.send(found.map(|record| record.task.clone()));
            }
            Command::WaitForTask { task, answer } => {
                match self.control_plane.state().tasks.get(&task) {
                    Some(record) if record.task.last_status == TaskStatus::Stopped => {
                        let _ = answer.send(record.task.clone());
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
                queue.push(job.clone());
            }
        }
        while self.schedule.front().is_some_and(|run_task| Timestamp::ZERO + run_task.at <= now) {
            let run_task = self.schedule.pop_front().expect("it was looked at");
            self.run_scheduled(now, run_task.spec, Attempt::First);
        }
        while self.retries.front().is_some_and(|run_task| Timestamp::ZERO + run_task.at <= now) {
            let run_task = self.retries.pop_front().expect("it was looked at");
            self.run_scheduled(now, run_task.spec, Attempt::Again);
        }
        if self.next_usage.is_some_and(|at| at <= now) {
            let samples = self.data_plane.usage();
            for sample in &samples {
                self.meter.note_usage(sample);
            }
            self.apply(Event::Usage { samples });
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
        let state = self.control_plane.state();
        if state.standalone_live_count == 0 {
            for answer in self.waiting_for_none.drain(..) {
                let _ = answer.send(());
            }
        }
        let nothing_to_do = self.end == End::WhenDone
            && !state.draining
            && self.schedule.is_empty()
            && self.retries.is_empty()
            && state.standalone_live_count == 0
            && state.services.values().all(|service| service.status == ServiceStatus::Inactive);
        if nothing_to_do && self.run_until.is_none() {
            self.ask(Request::DrainCluster, None);
        }
    }

    /// Asks for the tasks of a cluster file. ECS queues none that it can't place, its caller tries again: that is this loop.
    /// **Source:** ecs-semantics §4.5.
    fn run_scheduled(&mut self, now: Timestamp, mut spec: RunTaskSpec, attempt: Attempt) {
        if self.control_plane.state().draining {
            return;
        }
        let (answer, response) = bounded(1);
        self.ask(Request::RunTask(Box::new(spec.clone())), Some(answer));
        let wanted = spec.count;
        let reason = match response.try_recv() {
            Ok(Ok(Response::RunTask { tasks, failures })) => {
                spec.count = wanted.saturating_sub(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
                failures.first().map_or_else(|| "no reason was given".into(), |failure| failure.reason.to_string())
            }
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(_)) | Err(_) => unreachable!("RunTask is answered by its tasks in the same call"),
        };
        if spec.count == 0 {
            return;
        }
        let placed = wanted - spec.count;
        // Said once, and again when something has come of it.
        if attempt == Attempt::First || placed > 0 {
            let task_definition = spec.task_definition.to_string().into();
            self.tell(now, Notification::RunTask { task_definition, wanted, placed, reason: reason.into() });
        }
        self.retries.push_back(ScheduledRunTask { at: (now + RUN_TASK_RETRY).elapsed(), spec });
    }

    fn is_over(&self) -> bool {
        let state = self.control_plane.state();
        state.draining && state.is_empty()
    }

    /// Sleeps until an event, a command or a deadline.
    fn sleep(&self) {
        let by_loads = self.loads.iter().filter_map(|(arrivals, ..)| arrivals.peek()).min();
        let next_calls = [self.schedule.front(), self.retries.front()];
        let by_schedule = next_calls.into_iter().flatten().map(|run_task| Timestamp::ZERO + run_task.at).min();
        let by_control_plane = self.control_plane.next_deadline().map(|(at, _)| at);
        let run_until = self.run_until.filter(|_| self.end == End::WhenDone);
        let until = [by_loads, by_schedule, by_control_plane, self.next_usage, run_until].into_iter().flatten().min();
        let mut select = Select::new();
        select.recv(&self.events);
        select.recv(&self.commands);
        match until {
            Some(at) => {
                // Whether it is a message or the time does not matter: both are looked for next.
                let _ = select.ready_deadline(self.clock.instant(at));
            }
            None => {
                select.ready();
            }
        }
    }

    fn ask(&mut self, request: Request, answer: Option<Sender<Result<Response, RequestError>>>) {
        self.next_request += 1;
        let request_id = RequestId(self.next_request);
        if let Some(answer) = answer {
            self.answers.insert(request_id, answer);
        }
        self.apply(Event::Request { request_id, request });
    }

    /// Gives an event to the control plane and carries out what it says, and what follows from that.
    fn apply(&mut self, event: Event) {
        self.outbox.push_back(event);
        while let Some(event) = self.outbox.pop_front() {
            let now = self.clock.now();
            for action in self.control_plane.apply(now, event) {
                self.carry_out(now, action);
            }
        }
    }

    fn carry_out(&mut self, now: Timestamp, action: Action) {
        match action {
            Action::LaunchInstance { instance, launch } => self.data_plane.launch_instance(instance, launch),
            Action::TerminateInstance { instance } => self.data_plane.terminate_instance(instance),
            Action::StartTask(start) => self.data_plane.start_task(&start),
            Action::StopTask { task } => self.data_plane.stop_task(task),
            Action::Respond { request_id, response } => {
                if let Some(answer) = self.answers.remove(&request_id) {
                    let _ = answer.send(response);
                }
            }
            Action::Meter(fact) => self.meter.record(&fact),
            Action::Notify(notification) => {
                if let Notification::Task { task, last_status: TaskStatus::Stopped, .. } = notification {
                    self.tell_waiting(task);
                }
                self.tell(now, notification);
            }
        }
    }

    fn tell(&mut self, at: Timestamp, notification: Notification) {
        if !self.watchers.is_empty() {
            let notice = Notice { at, notification };
            self.watchers.retain(|watcher| watcher.send(notice.clone()).is_ok());
        }
    }

    fn tell_waiting(&mut self, task: TaskId) {
        if let Some(waiting) = self.waiting.remove(&task)
            && let Some(record) = self.control_plane.state().tasks.get(&task)
        {
            for answer in waiting {
                let _ = answer.send(record.task.clone());
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            at: self.clock.now().max(self.control_plane.now()),
            clock: self.clock.clone(),
            name: self.control_plane.name().clone(),
            region: self.region.clone(),
            ids: self.control_plane.ids(),
            state: self.control_plane.state().clone(),
            meter: self.meter.clone(),
            delivery: self.data_plane.delivery(),
            unplaced: self.retries.iter().map(|run_task| run_task.spec.count).sum(),
            timer_lateness: self.lateness.percentiles(),
            jobs: self
                .loads
                .iter()
                .map(|(arrivals, queue, _)| (arrivals.load().service.clone(), queue.stats()))
                .collect(),
        }
    }
}
