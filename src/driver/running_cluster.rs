//! A handle on a running cluster: what an embedder and the command line hold.
//!
//! Everything goes through the control thread's inbox: there is no lock around the cluster, and nothing of it is shared but copies.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use thiserror::Error;

use super::apply::{Applied, ApplyError, DeploymentEnd};
use super::durable::recovery::{RecoverError, Recovered, recover};
use super::durable::{self, Durable};
use super::event_bridge::ClusterEvent;
use super::hooks::HookCallbacks;
use super::journal::JournalOptions;
use super::journal::writer::JournalWriteError;
use super::kept_journal::KeptJournal;
use super::ledger::LedgerCluster;
use super::ledger::writer::LedgerWriteError;
use super::reads::{Read, ReadContext, ReadOfAnswer, prepare, prepare_after_answer};
use super::real_time::{ControlLoop, Parts};
use super::recorder::Recording;
use super::snapshot::Snapshot;
use crate::catalog::Catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::{Notification, Response};
use crate::control_plane::event::{Event, Request};
use crate::control_plane::explain::{Explanation, Question};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::ClusterState;
use crate::data_plane::clock::Clock;
use crate::data_plane::{DataPlane, DataPlaneError, DataPlaneOptions, ImageStore};
use crate::metering::meter::Meter;
use crate::model::cluster::ClusterSpec;
use crate::model::ids::{DeploymentId, IdForm, TaskId};
use crate::model::task::Task;
use crate::model::task_definition::TaskDefinition;
use crate::model::units::Timestamp;
use crate::store::{OpenError, Store};

/// Settings of the host, none of which changes what the cluster decides.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Settings of the data plane. Its basis, rate, period and id form are taken from the cluster; what the cluster says of images
    /// comes before what they say.
    pub data_plane: DataPlaneOptions,
    /// When the cluster ends by itself.
    pub end: End,
    /// When its images are built and compiled.
    pub images: ImagePull,
    /// An engine with images that the cluster shares with others; `None` is one of its own. What of the data plane's settings concerns
    /// images is then the store's.
    pub image_store: Option<ImageStore>,
    /// Lifecycle hooks of deployments that are callbacks.
    pub hooks: HookCallbacks,
    /// Is told everything from the very start, as by [`RunningCluster::watch`].
    pub watcher: Option<Sender<Notice>>,
    /// Is told every EventBridge event from the very start, as by [`RunningCluster::events`].
    pub event_watcher: Option<Sender<ClusterEvent>>,
    /// Whether it is recorded what the cluster is like over time, to be found in its last snapshot.
    pub recording: Recording,
    /// Where the cluster outlives this process. `None`: it is in memory alone.
    pub data: Option<DataDirectory>,
    /// Where everything that happens is written, for [`super::journal::replay`].
    pub journal: Option<JournalOptions>,
}

/// Where a cluster outlives its process: see `docs/durability.md`.
#[derive(Clone, Debug)]
pub enum DataDirectory {
    /// A folder, which is this cluster's while it runs.
    Folder(PathBuf),
    /// One that is open, which several clusters may share.
    Shared(Arc<Store>),
}

impl DataDirectory {
    fn open(self) -> Result<Arc<Store>, OpenError> {
        match self {
            DataDirectory::Folder(folder) => Store::open(&folder).map(Arc::new),
            DataDirectory::Shared(store) => Ok(store),
        }
    }
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
    /// The journal can't be written.
    #[error(transparent)]
    Journal(#[from] JournalWriteError),
    /// There is to be a journal of a cluster that goes on from its data directory.
    #[error(
        "journal {}: the cluster goes on from its data directory, and a journal begins with its cluster: leave --journal out, or take \
         another --data-dir",
        .0.display()
    )]
    JournalOfKept(PathBuf),
    /// The data directory can't be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The ledger in the data directory can't be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerWriteError),
    /// The cluster can't be recovered from the data directory.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The cluster's name is none that a data directory takes: it has other characters than ECS allows.
    #[error("cluster name {0:?} has other characters than letters, digits, `_` and `-`")]
    Name(String),
    /// The data directory has a cluster of this name that can't become what this file says.
    #[error("the cluster in the data directory can't become what the file says: {0}")]
    Apply(#[from] ApplyError),
    /// The cluster names a region without prices.
    #[error("no prices are known for region {0}")]
    UnknownRegion(String),
    /// There is nothing to run: the work of its tasks is modelled only.
    #[error("task definition {0} has no image: what it does is modelled, for `longshore simulate`")]
    NoImage(String),
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
    /// The task as it ended, when that is the news: the cluster may be over before anybody could ask for it.
    pub stopped_task: Option<Arc<Task>>,
    /// The task as it was then, when it changed and its containers have an order, health checks or restarts.
    pub changed_task: Option<Arc<Task>>,
}

/// A handle on a running cluster. Dropping it ends the cluster at once; see [`RunningCluster::drain`] for good order.
#[derive(Debug)]
pub struct RunningCluster {
    commands: Sender<Command>,
    data_plane: Arc<DataPlane>,
    clock: Clock,
    thread: Option<JoinHandle<Snapshot>>,
}

/// What the handle asks of the control thread.
pub(super) enum Command {
    Ask { request: Request, answer: oneshot::Sender<Result<Response, RequestError>> },
    AskThen { request: Request, read: ReadOfAnswer },
    Read(Read),
    Event(Event),
    Watch(Sender<Notice>),
    Events(Sender<ClusterEvent>),
    Apply { spec: Box<ClusterSpec>, answer: oneshot::Sender<Result<Applied, ApplyError>> },
    WaitForDeployment { service: Arc<str>, deployment: DeploymentId, answer: oneshot::Sender<DeploymentEnd> },
    Explain { question: Question, answer: oneshot::Sender<Result<Explanation, RequestError>> },
    Snapshot(oneshot::Sender<Snapshot>),
    Task { task: TaskId, answer: oneshot::Sender<Option<Task>> },
    WaitForTask { task: TaskId, answer: oneshot::Sender<Task> },
    WaitForStandaloneTasks(oneshot::Sender<()>),
    EndNow,
}

impl RunningCluster {
    /// Starts a cluster: everything that its spec names is asked for in the spec's order before this returns.
    ///
    /// # Errors
    /// When the data plane can't start, the region has no prices, or the control plane refuses something in the spec.
    pub fn start(spec: ClusterSpec, mut options: HostOptions) -> Result<RunningCluster, StartError> {
        let (durable, recovered) = open_data(options.data.take(), &spec.region, &spec.name)?;
        RunningCluster::start_with(spec, options, durable, recovered)
    }

    /// Goes on with a cluster as the data directory has it; `None` where it has none of this name, or one that is over.
    ///
    /// # Errors
    /// As [`RunningCluster::start`].
    pub fn go_on(region: &str, cluster: &str, mut options: HostOptions) -> Result<Option<RunningCluster>, StartError> {
        let (durable, recovered) = open_data(options.data.take(), region, cluster)?;
        let Some(found) = recovered else { return Ok(None) };
        let spec = found.in_force.spec.clone();
        RunningCluster::start_with(spec, options, durable, Some(found)).map(Some)
    }

    fn start_with(
        spec: ClusterSpec,
        options: HostOptions,
        mut durable: Durable,
        mut recovered: Option<Recovered>,
    ) -> Result<RunningCluster, StartError> {
        let price_book = Catalog::embedded()
            .price_book(&spec.region)
            .ok_or_else(|| StartError::UnknownRegion(spec.region.clone()))?;
        let has_no_image = |definition: &&TaskDefinition| definition.containers.iter().any(|one| one.image.is_empty());
        if let Some(definition) = spec.task_definitions.iter().find(has_no_image) {
            return Err(StartError::NoImage(definition.family.clone()));
        }
        if let (Some(journal), Some(_)) = (&options.journal, &recovered) {
            return Err(StartError::JournalOfKept(journal.path.clone()));
        }
        let mut settings = spec.settings.clone();
        if let Some(saved) = &recovered {
            settings = saved.control_plane.settings().clone();
        }
        let data_plane_options = DataPlaneOptions {
            cpu_basis: settings.cpu_basis,
            fuel_rate: settings.fuel_rate,
            cpu_period: settings.cpu_period,
            id_form: IdForm { seed: settings.seed },
            images: spec.images.clone().before(options.data_plane.images),
            ..options.data_plane
        };
        let images = match options.image_store {
            Some(store) => store,
            None => ImageStore::open(&data_plane_options)?,
        };
        if options.images == ImagePull::BeforeStart {
            prepare_images(&images, &spec);
        }
        let clock = match (&recovered, settings.calendar_start) {
            (Some(saved), start) => {
                Clock::going_on(start.unwrap_or(saved.began_at), saved.began_at, saved.control_plane.now())
            }
            (None, Some(start)) => Clock::starting_at(start),
            (None, None) => Clock::start_now(),
        };
        // Part of the settings from here on: who replays the events needs it.
        settings.calendar_start = Some(clock.calendar(Timestamp::ZERO));
        let control_plane = match &mut recovered {
            Some(saved) => std::mem::replace(&mut saved.control_plane, ControlPlane::new(&spec.name, settings)),
            None => ControlPlane::new(&spec.name, settings),
        };
        let mut meter = Meter::new(price_book);
        if recovered.is_none() && durable.is_on() {
            meter = meter.keep_records(clock.calendar(Timestamp::ZERO));
            durable.open_ledger(LedgerCluster::of(&control_plane, &spec.region.as_str().into(), clock.began_at()))?;
        }
        let journal = KeptJournal::open(options.journal.as_ref(), &control_plane, &spec.region)?;
        let (event_sender, events) = unbounded();
        let data_plane = DataPlane::start_with(images, data_plane_options, clock.clone(), event_sender.clone())?;
        let data_plane = Arc::new(data_plane);
        let (commands, inbox) = unbounded();
        let mut control_loop = ControlLoop::new(
            &spec,
            options.end,
            Parts {
                clock: clock.clone(),
                control_plane,
                data_plane: data_plane.clone(),
                meter,
                events,
                event_sender,
                callbacks: options.hooks,
                commands: inbox,
                watcher: options.watcher,
                event_watcher: options.event_watcher,
                recording: options.recording,
                journal,
                durable,
            },
        );
        match recovered {
            Some(saved) => {
                let was_until = control_loop.clock.calendar(control_loop.control_plane.now());
                control_loop
                    .go_on(saved, format!("Longshore was restarted: this was known to run until {was_until:.0}"));
                // What came due meanwhile comes due at once, each once and in its order.
                control_loop.come_to_now();
                control_loop.apply_spec(spec)?;
            }
            None => control_loop.set_up(spec)?,
        }
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
        let (answer, response) = oneshot::channel();
        self.send(Command::Ask { request, answer })?;
        Ok(response.recv().map_err(|_| ClusterOver)??)
    }

    /// Asks the control plane for something and, when it is granted, reads the state in the same turn: nothing happens between the two.
    /// It is as [`RunningCluster::read`] beyond that.
    ///
    /// # Errors
    /// When it is refused, or the cluster is over.
    ///
    /// # Panics
    /// When the read does.
    pub fn ask_then<T: Send + 'static>(
        &self,
        request: Request,
        read: impl FnOnce(Response, &ClusterState, &ReadContext<'_>) -> T + Send + 'static,
    ) -> Result<T, AskError> {
        let (read, pending) = prepare_after_answer(read);
        self.send(Command::AskThen { request, read })?;
        Ok(pending.wait()??)
    }

    /// Reads the state at this moment, between two events and without a copy. The read runs on the control thread, which does nothing
    /// else meanwhile: let it pick out what is wanted, and no more. A panic of it is the caller's; the cluster goes on.
    ///
    /// # Errors
    /// When the cluster is over.
    ///
    /// # Panics
    /// When the read does.
    pub fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ClusterState, &ReadContext<'_>) -> T + Send + 'static,
    ) -> Result<T, ClusterOver> {
        let (read, pending) = prepare(read);
        self.send(Command::Read(read))?;
        pending.wait()
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

    /// Every EventBridge event from here on, in order: task, container instance and deployment state changes, service actions. The
    /// channel holds what is not read; drop it to stop watching. **Source:** ecs-semantics §10.3.
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn events(&self) -> Result<Receiver<ClusterEvent>, ClusterOver> {
        let (watcher, events) = unbounded();
        self.send(Command::Events(watcher))?;
        Ok(events)
    }

    /// Makes the cluster what another specification says: task definitions that changed become revisions, services are updated,
    /// created and deleted by ECS' own rules. Deployments that this starts go on after it returns, see
    /// [`RunningCluster::wait_for_deployment`].
    ///
    /// # Errors
    /// When something in it can't be changed while the cluster runs: then nothing has changed. Or when the cluster is ending.
    pub fn apply(&self, spec: ClusterSpec) -> Result<Applied, ApplyError> {
        let (answer, applied) = oneshot::channel();
        self.send(Command::Apply { spec: Box::new(spec), answer })?;
        applied.recv().map_err(|_| ClusterOver)?
    }

    /// Waits until a deployment is over, whichever way.
    ///
    /// # Errors
    /// When the cluster ends first.
    pub fn wait_for_deployment(&self, service: &str, deployment: DeploymentId) -> Result<DeploymentEnd, ClusterOver> {
        self.deployment_end(service, deployment)?.recv().map_err(|_| ClusterOver)
    }

    /// Where the end of a deployment will be told, whichever way it ends. The channel is closed without it when the cluster ends first.
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn deployment_end(
        &self,
        service: &str,
        deployment: DeploymentId,
    ) -> Result<oneshot::Receiver<DeploymentEnd>, ClusterOver> {
        let (answer, end) = oneshot::channel();
        self.send(Command::WaitForDeployment { service: service.into(), deployment, answer })?;
        Ok(end)
    }

    /// Why tasks wait, why they are where they are, or where one would go: see [`crate::control_plane::explain`].
    ///
    /// # Errors
    /// When the question is about something that is not there, or the cluster is over.
    pub fn explain(&self, question: Question) -> Result<Explanation, AskError> {
        let (answer, explanation) = oneshot::channel();
        self.send(Command::Explain { question, answer })?;
        Ok(explanation.recv().map_err(|_| ClusterOver)??)
    }

    /// The cluster at this moment. Copies its state: meant for eyes, a few times a second.
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn snapshot(&self) -> Result<Snapshot, ClusterOver> {
        let (answer, snapshot) = oneshot::channel();
        self.send(Command::Snapshot(answer))?;
        snapshot.recv().map_err(|_| ClusterOver)
    }

    /// A task at this moment; `None` for one that is not known (any more).
    ///
    /// # Errors
    /// When the cluster is over.
    pub fn task(&self, task: TaskId) -> Result<Option<Task>, ClusterOver> {
        let (answer, found) = oneshot::channel();
        self.send(Command::Task { task, answer })?;
        found.recv().map_err(|_| ClusterOver)
    }

    /// Waits until a task is over.
    ///
    /// # Errors
    /// When the task is not known, or the cluster ends first.
    pub fn wait_for_task(&self, task: TaskId) -> Result<Task, ClusterOver> {
        let (answer, stopped) = oneshot::channel();
        self.send(Command::WaitForTask { task, answer })?;
        stopped.recv().map_err(|_| ClusterOver)
    }

    /// Waits until no standalone task is live.
    ///
    /// # Errors
    /// When the cluster ends first.
    pub fn wait_for_standalone_tasks(&self) -> Result<(), ClusterOver> {
        let (answer, idle) = oneshot::channel();
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

/// Opens the data directory, if there is one, and reads what it has of a cluster that is not over.
fn open_data(
    data: Option<DataDirectory>,
    region: &str,
    cluster: &str,
) -> Result<(Durable, Option<Recovered>), StartError> {
    let Some(data) = data else { return Ok((Durable::nothing(), None)) };
    let store = data.open()?;
    let stream = durable::stream_of(region, cluster).ok_or_else(|| StartError::Name(cluster.to_owned()))?;
    let found = recover(&store, &stream, &Catalog::embedded())?;
    let mut durable = Durable::of(store, stream);
    if let Some(found) = found {
        durable.open_ledger(found.ledger_cluster())?;
        if !found.control_plane.state().draining {
            return Ok((durable, Some(found)));
        }
        // A cluster that was drained is over. Another one of its name begins, once the ledger has all that this one used.
        durable.end_ledger(found);
    }
    Ok((durable, None))
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
