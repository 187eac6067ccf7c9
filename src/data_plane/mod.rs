//! The data plane: carries out actions on instances and tasks with real guests, and reports what happened as events.
//!
//! It knows nothing of services, placement or money. A task is handed to it whole ([`TaskStart`]) and comes back as
//! state changes ending in `Stopped` with everything that it used. Nothing here is global: several data planes live in
//! one process.
//!
//! An EC2 instance is a pool of worker threads of its own, one a vCPU up to the host's; all Fargate tasks share one pool,
//! where each has a hard quota. See `pool` for how a worker spends its time, `schedule` for who is next, `sandbox` for
//! what a guest is, and `memory` and `meter` for what it is charged. In simulated time there are neither pools nor workers: see `executed`.

pub mod clock;
mod container;
mod embedded_metrics;
pub mod engine;
pub mod executed;
pub mod image;
mod inherited;
pub mod jobs;
mod kit;
mod life;
mod memory;
mod meter;
pub mod options;
mod outbox;
mod payload;
mod pool;
mod preparation;
mod sandbox;
mod schedule;
mod scratch;
pub mod stdio;
mod storage;
mod task;
mod variables;
mod volumes;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;
use crossbeam_queue::SegQueue;
use parking_lot::{Mutex, MutexGuard};

use crate::control_plane::action::{TaskHost, TaskStart};
use crate::control_plane::event::{EmittedMetric, Event, TaskStateChange};
use crate::model::capacity::InstanceLaunch;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::settings::FuelRate;
use crate::model::task_definition::{FARGATE_CPU_DEFAULT, FARGATE_MEMORY_DEFAULT};
use crate::model::traffic::TrafficWeights;
use crate::model::units::{CpuUnits, Duration, VcpuNanos};
use crate::model::usage::{Delivery, TaskUsage, UsageSample};
use clock::Clock;
use engine::Engines;
use image::{ImageError, Images, PinnedBy};
use jobs::{JobQueue, JobReader};
use kit::Kit;
use meter::CpuMeasure;
pub use options::{DataPlaneError, DataPlaneOptions, Stdio};
pub use outbox::EventSink;
use outbox::Outbox;
use payload::{Payload, TaskLimits, TaskOutputs};
use pool::{Message, Pool, PoolSettings};
use schedule::Work;
use scratch::Scratch;
use stdio::{CapturedLogs, OutputSettings};
use task::{Kill, Task};

/// The most fuel between two looks at who is next: about 0.16 ms of a core, at about a percent of overhead.
/// **Source:** the project's own measurement.
const QUANTUM_FUEL_MAX: u64 = 1_000_000;
/// The least: below it, looking costs more than running.
const QUANTUM_FUEL_MIN: u64 = 10_000;
/// Quanta in a period of one vCPU, at least, so that quotas come in small pieces.
const QUANTA_PER_PERIOD: u64 = 64;
/// Tasks whose output is kept after they have stopped.
const STOPPED_LOGS_KEPT: usize = 256;
/// How long the end waits for folders to be removed.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs tasks. Dropping it ends everything and joins its threads.
pub struct DataPlane {
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl std::fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataPlane").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// The engine and its images: what can be made ready before a cluster's clock starts. Copies are the same store, so that several
/// clusters of a process compile an image once.
#[derive(Clone)]
pub struct ImageStore {
    engines: Arc<Engines>,
    images: Arc<Images>,
}

impl std::fmt::Debug for ImageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageStore").field("compiled_count", &self.images.compiled_count()).finish_non_exhaustive()
    }
}

impl ImageStore {
    /// Starts the engine and the threads that build and compile.
    ///
    /// # Errors
    /// When a thread cannot be started, the cache not be used, or the engine refuses its settings.
    pub fn open(options: &DataPlaneOptions) -> Result<ImageStore, DataPlaneError> {
        let engines = Arc::new(Engines::new(options.pooled_instances, engine::Time::Real)?);
        let images = Arc::new(Images::start(options, engines.clone(), Clock::start_now())?);
        Ok(ImageStore { engines, images })
    }

    /// Builds and compiles an image ahead of its first task. The answer comes on the channel returned.
    pub fn prepare(&self, image: &str) -> Receiver<Result<(), ImageError>> {
        prepare(&self.images, image)
    }
}

impl Drop for ImageStore {
    fn drop(&mut self) {
        end_if_last(&self.images);
    }
}

/// Ends the threads that compile when nobody else has a use for them.
fn end_if_last(images: &Arc<Images>) {
    if Arc::strong_count(images) == 1 {
        images.shutdown();
    }
}

fn prepare(images: &Images, image: &str) -> Receiver<Result<(), ImageError>> {
    let (answer, receiver) = crossbeam_channel::bounded(1);
    let waiter = move |image: Result<_, _>| {
        // Whoever asked may have lost interest.
        let _ = answer.send(image.map(|_| ()));
    };
    images.request(image, PinnedBy::Task, Box::new(waiter));
    receiver
}

/// What everything of a data plane shares.
struct Shared {
    options: DataPlaneOptions,
    clock: Clock,
    outbox: Arc<Outbox>,
    measure: CpuMeasure,
    worker_threads: usize,
    runtime: tokio::runtime::Handle,
    images: Arc<Images>,
    /// What tasks need that are not made by a worker; workers have copies.
    kit: Arc<Kit>,
    fargate: Arc<Pool>,
    instances: Mutex<BTreeMap<ContainerInstanceId, Instance>>,
    tasks: Mutex<Tasks>,
    /// Tasks whose end was told and that are still among the live ones: see [`Tasks::clear_away`].
    ended: Arc<SegQueue<TaskId>>,
    /// The greatest id of a task that was started.
    greatest_task: AtomicU64,
    queues: Mutex<BTreeMap<String, JobQueue>>,
    /// Services with load, and the container that takes it.
    loads: Mutex<BTreeMap<String, Option<String>>>,
    scratch: Scratch,
    /// Worker threads, also of instances that are gone.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The pools of instances, also of those that are ending, and what those that are gone have done.
    instance_pools: Mutex<(Vec<Arc<Pool>>, Work)>,
}

/// The tasks that are known.
#[derive(Default)]
struct Tasks {
    /// Those that are not over, and some that are.
    live: BTreeMap<TaskId, Arc<Payload>>,
    /// Output of those that have stopped, by container, the oldest first.
    stopped: VecDeque<(TaskId, TaskOutputs)>,
}

impl Tasks {
    /// Puts the tasks that have ended among the stopped ones.
    ///
    /// Who tells of their ends only notes which these are: whoever looks at the tasks, as the one who starts tasks does all the time, takes
    /// them out. So what he has made of a task comes back to him, and no worker waits for another, or takes memory from another core, for
    /// each task that it ends.
    fn clear_away(&mut self, ended: &SegQueue<TaskId>) {
        while let Some(task) = ended.pop() {
            let Some(payload) = self.live.remove(&task) else { continue };
            self.stopped.push_back((task, payload.take_outputs()));
            if self.stopped.len() > STOPPED_LOGS_KEPT {
                self.stopped.pop_front();
            }
        }
    }
}

enum Instance {
    Booting { launch: Arc<InstanceLaunch> },
    Running { launch: Arc<InstanceLaunch>, pool: Arc<Pool> },
}

impl DataPlane {
    /// Starts the engine, its timers and the pool of Fargate tasks.
    ///
    /// `events` takes everything that happens. A receiver that is gone is no error: events are lost then.
    ///
    /// # Errors
    /// When a thread cannot be started, a folder not be used, or the engine refuses its settings.
    pub fn start(
        options: DataPlaneOptions,
        clock: Clock,
        events: impl Into<EventSink>,
    ) -> Result<DataPlane, DataPlaneError> {
        DataPlane::start_with(ImageStore::open(&options)?, options, clock, events)
    }

    /// Starts on images that may have been made ready before.
    ///
    /// # Errors
    /// When a thread cannot be started or a folder not be used.
    pub fn start_with(
        store: ImageStore,
        options: DataPlaneOptions,
        clock: Clock,
        events: impl Into<EventSink>,
    ) -> Result<DataPlane, DataPlaneError> {
        let (engines, images) = (store.engines.clone(), store.images.clone());
        drop(store);
        let fuel_per_vcpu_second = match options.fuel_rate {
            FuelRate::PerVcpuSecond(fuel) => fuel.0,
            FuelRate::Native => engines.native_fuel_rate()?,
        };
        let fuel_per_vcpu_second = fuel_per_vcpu_second.max(1);
        let measure = CpuMeasure { basis: options.cpu_basis, fuel_per_vcpu_second };
        let period_nanos = u64::try_from(options.cpu_period.as_nanos()).unwrap_or(u64::MAX).max(1);
        let fuel_a_period = u128::from(fuel_per_vcpu_second) * u128::from(period_nanos) / 1_000_000_000;
        let quantum = u64::try_from(fuel_a_period).unwrap_or(u64::MAX) / QUANTA_PER_PERIOD;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(4)
            .thread_name("longshore-timers")
            .enable_all()
            .build()
            .map_err(DataPlaneError::Thread)?;
        let ended = Arc::new(SegQueue::new());
        let outbox = Arc::new(Outbox::new(clock.clone(), events.into(), ended.clone()));
        let settings = PoolSettings {
            clock: clock.clone(),
            runtime: runtime.handle().clone(),
            outbox: outbox.clone(),
            measure,
            period_nanos,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let worker_threads = options.worker_threads.unwrap_or(cores).max(1);
        let fargate = Pool::new(settings, worker_threads, None);
        let output = Arc::new(OutputSettings::of(&options, clock.clone()));
        let scratch = Scratch::new(options.scratch_dir.clone());
        let shared = Arc::new_cyclic(|shared| Shared {
            kit: Arc::new(Kit {
                shared: shared.clone(),
                engines,
                output,
                clock: clock.clone(),
                stdio: options.stdio,
                quantum: quantum.clamp(QUANTUM_FUEL_MIN, QUANTUM_FUEL_MAX),
            }),
            images,
            options,
            clock,
            outbox,
            measure,
            worker_threads,
            runtime: runtime.handle().clone(),
            fargate,
            instances: Mutex::default(),
            tasks: Mutex::default(),
            ended,
            greatest_task: AtomicU64::new(0),
            queues: Mutex::default(),
            loads: Mutex::default(),
            scratch,
            threads: Mutex::default(),
            instance_pools: Mutex::default(),
        });
        let workers = shared.fargate.start_workers("longshore-fargate", &shared, || {});
        *shared.threads.lock() = workers.map_err(DataPlaneError::Thread)?;
        Ok(DataPlane { shared, runtime: Some(runtime) })
    }

    /// Launches an EC2 instance: `InstanceRunning` follows after its boot time.
    pub fn launch_instance(&self, instance: ContainerInstanceId, launch: Arc<InstanceLaunch>) {
        {
            let mut instances = self.shared.instances.lock();
            if instances.contains_key(&instance) {
                return;
            }
            instances.insert(instance, Instance::Booting { launch: launch.clone() });
        }
        let shared = Arc::downgrade(&self.shared);
        self.shared.runtime.spawn(async move {
            tokio::time::sleep(launch.boot_time).await;
            if let Some(shared) = shared.upgrade() {
                shared.instance_booted(instance);
            }
        });
    }

    /// Ends an instance and its tasks at once: `Stopped` of each task, then `InstanceTerminated`.
    pub fn terminate_instance(&self, instance: ContainerInstanceId) {
        let Some(removed) = self.shared.instances.lock().remove(&instance) else { return };
        match removed {
            Instance::Booting { .. } => self.shared.send(Event::InstanceTerminated { instance, reason: None }),
            Instance::Running { pool, .. } => {
                for task in self.shared.tasks_where(|start| start.host == TaskHost::Ec2(instance)) {
                    task.kill(Kill::HostGone, &self.shared);
                }
                pool.send(Message::Close);
            }
        }
        self.shared.join_ended_threads();
    }

    /// Bounds what all tasks of a running instance do together, until it is called again. An instance that does not run is ignored.
    pub fn set_instance_cpu_rate(&self, instance: ContainerInstanceId, work_per_second: VcpuNanos) {
        if let Some(Instance::Running { pool, .. }) = self.shared.instances.lock().get(&instance) {
            pool.set_work_per_second(work_per_second);
        }
    }

    /// Starts a task. One that is known already is ignored.
    pub fn start_task(&self, start: &Arc<TaskStart>) {
        let shared = &self.shared;
        // Ids only grow, so that only one that is not the greatest may have been seen before.
        let greatest = shared.greatest_task.fetch_max(start.task.0, Ordering::SeqCst);
        if start.task.0 <= greatest {
            let tasks = shared.tasks();
            if tasks.live.contains_key(&start.task) || tasks.stopped.iter().any(|(stopped, _)| *stopped == start.task) {
                return;
            }
        }
        let Some(limits) = shared.limits_of(start) else {
            shared.send(Event::TaskStateChange(TaskStateChange::of_lost_instance(start)));
            return;
        };
        let now = shared.clock.now();
        let payload = Payload::new(start, limits, shared, now);
        shared.tasks().live.insert(start.task, payload.clone());
        if payload.is_ready() {
            payload.limits.pool.send(Message::Newcomer(payload.clone()));
        } else if let Some(task) = payload.task(shared, &shared.kit) {
            task.begin(shared, now);
        }
    }

    /// Stops a task: end-of-file on standard input, then interruption after each container's stop timeout.
    pub fn stop_task(&self, task: TaskId) {
        if let Some(task) = self.shared.made(task) {
            task.stop(&self.shared);
        }
    }

    /// Gives a running task no more jobs: `TargetsDrained` follows when it has ended what it had begun.
    pub fn deregister_targets(&self, task: TaskId) {
        if let Some(task) = self.shared.made(task) {
            task.deregister(&self.shared);
        }
    }

    /// Lets a running task's first essential container end with an exit code, wherever its guest is: what a fault does. A task that does
    /// not run is left alone.
    pub fn crash_task(&self, task: TaskId, exit_code: i32) {
        if let Some(task) = self.shared.made(task) {
            task.crash(exit_code);
        }
    }

    /// Ends all tasks at once.
    pub fn kill_all(&self) {
        self.shared.flush_workers();
        for task in self.shared.tasks_where(|_| true) {
            task.kill(Kill::HostGone, &self.shared);
        }
    }

    /// Ends everything and joins all threads.
    pub fn shutdown(self) {
        drop(self);
    }

    /// What every live task that has had a turn has used so far.
    pub fn usage(&self) -> Vec<UsageSample> {
        self.shared.flush_workers();
        let tasks: Vec<Arc<Task>> = self.shared.tasks().live.values().filter_map(|payload| payload.made()).collect();
        tasks.iter().map(|task| UsageSample { task: task.start().task, usage: task.usage(&self.shared) }).collect()
    }

    /// The metrics that guests have written to their output since the last call, a metric once.
    pub fn take_metrics(&self) -> Vec<EmittedMetric> {
        self.shared.kit.output.take_metrics()
    }

    /// Samples of such metrics that are lost, because guests have made up too many names.
    pub fn metrics_lost(&self) -> u64 {
        self.shared.kit.output.metrics_lost()
    }

    /// What one live task has used so far.
    pub fn usage_of(&self, task: TaskId) -> Option<TaskUsage> {
        let task = self.shared.made(task)?;
        Some(task.usage(&self.shared))
    }

    /// What was promised and what was delivered, over all pools.
    pub fn delivery(&self) -> Delivery {
        let instance_pools = self.shared.instance_pools.lock();
        let (pools, past) = &*instance_pools;
        let live = pools.iter().map(|pool| pool.work_done()).chain([self.shared.fargate.work_done()]);
        let work = live.fold(*past, Work::plus);
        Delivery { wanted: VcpuNanos(work.delivered + work.shortfall), delivered: VcpuNanos(work.delivered) }
    }

    /// The last output of a container of a task that runs, or was among the last 256 to stop.
    pub fn logs(&self, task: TaskId, container_index: usize) -> Option<CapturedLogs> {
        let tasks = self.shared.tasks();
        if let Some(payload) = tasks.live.get(&task) {
            return payload.captured(container_index);
        }
        let (_, outputs) = tasks.stopped.iter().find(|(stopped, _)| *stopped == task)?;
        Some(outputs.get(container_index)?.captured())
    }

    /// The output of the last health check of a container whose task runs, with the reason of its end: the last 4 KiB of each stream.
    pub fn check_output(&self, task: TaskId, container_index: usize) -> Option<CapturedLogs> {
        let task = self.shared.tasks().live.get(&task)?.made()?;
        Some(task.containers.get(task.check_place(container_index)?)?.output.captured())
    }

    /// How many times a log file could not be written.
    pub fn log_errors(&self) -> u64 {
        self.shared.kit.output.errors.load(Ordering::Relaxed)
    }

    /// The jobs of a service.
    pub fn job_queue(&self, service: &str) -> JobQueue {
        self.shared.job_queue(service)
    }

    /// Gives the tasks of each deployment of a service their share of its jobs, from here on.
    pub fn direct_traffic(&self, service: &str, weights: TrafficWeights) {
        self.shared.job_queue(service).direct(weights);
    }

    /// Hands the jobs of a service to one container of each of its tasks that start from here on; `None` is the first
    /// essential one.
    pub fn attach_load(&self, service: &str, container: Option<String>) {
        self.shared.loads.lock().insert(service.to_owned(), container);
    }

    /// Builds and compiles an image ahead of its first task. The answer comes on the channel returned.
    pub fn prepare(&self, image: &str) -> Receiver<Result<(), ImageError>> {
        prepare(&self.shared.images, image)
    }

    /// How many modules were compiled: not those found in the cache, nor those wanted again.
    pub fn compiled_count(&self) -> u64 {
        self.shared.images.compiled_count()
    }

    /// Fuel of one vCPU-second: the one asked for, or the one measured.
    pub fn fuel_per_vcpu_second(&self) -> u64 {
        self.shared.measure.fuel_per_vcpu_second
    }

    fn close(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let shared = &self.shared;
        self.kill_all();
        shared.fargate.send(Message::Close);
        let instances = std::mem::take(&mut *shared.instances.lock());
        for instance in instances.into_values() {
            if let Instance::Running { pool, .. } = instance {
                pool.send(Message::Close);
            }
        }
        end_if_last(&shared.images);
        for thread in std::mem::take(&mut *shared.threads.lock()) {
            // A worker that panicked has nothing more to say; its guests were not the cause.
            let _ = thread.join();
        }
        runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
        shared.scratch.remove();
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Sends an event, after those that wait in the outbox of everybody.
    fn send(&self, event: Event) {
        self.outbox.add(event);
        self.outbox.flush();
    }

    /// Sends what waits for workers who are kept from it by a long call of a guest.
    fn flush_workers(&self) {
        let now = self.clock.now().0;
        self.fargate.flush_gathered(now);
        self.instance_pools.lock().0.iter().for_each(|pool| pool.flush_gathered(now));
        self.outbox.flush_gathered(now);
    }

    fn instance_booted(self: &Arc<Shared>, instance: ContainerInstanceId) {
        let mut instances = self.instances.lock();
        // Terminated while it booted: that was reported.
        let Some(Instance::Booting { launch }) = instances.get(&instance) else { return };
        let launch = launch.clone();
        let vcpus = launch.instance_type.vcpus.max(1);
        let workers = usize::try_from(vcpus).unwrap_or(usize::MAX).min(self.worker_threads);
        let pool = Pool::new(self.fargate.settings(), workers, Some(vcpus));
        let shared = Arc::downgrade(self);
        let closed_pool = Arc::downgrade(&pool);
        let when_closed = move || {
            let Some(shared) = shared.upgrade() else { return };
            if let Some(closed) = closed_pool.upgrade() {
                let mut instance_pools = shared.instance_pools.lock();
                let (pools, past) = &mut *instance_pools;
                pools.retain(|pool| !Arc::ptr_eq(pool, &closed));
                *past = past.plus(closed.work_done());
            }
            shared.send(Event::InstanceTerminated { instance, reason: None });
        };
        match pool.start_workers(&format!("longshore-ec2-{instance}"), self, when_closed) {
            Ok(threads) => {
                self.threads.lock().extend(threads);
                self.instance_pools.lock().0.push(pool.clone());
                instances.insert(instance, Instance::Running { launch, pool });
                self.send(Event::InstanceRunning { instance });
            }
            Err(error) => {
                instances.remove(&instance);
                self.send(Event::InstanceLaunchFailed { instance, reason: format!("cannot start a thread: {error}") });
            }
        }
    }

    /// Where a task runs and what it gets there. `None`: its instance is not running.
    fn limits_of(&self, start: &TaskStart) -> Option<TaskLimits> {
        let definition = &start.task_definition;
        let quota = |cpu: CpuUnits| {
            let period = self.options.cpu_period.as_nanos();
            let nanos = period * u128::from(cpu.0) / u128::from(CpuUnits::PER_VCPU);
            u64::try_from(nanos).unwrap_or(u64::MAX)
        };
        let storage_bytes = |limit: u64| self.options.volume_bytes_max.map_or(limit, |most| limit.min(most));
        match start.host {
            TaskHost::Fargate => {
                let cpu = definition.cpu.unwrap_or(FARGATE_CPU_DEFAULT);
                Some(TaskLimits {
                    pool: self.fargate.clone(),
                    weight: u64::from(cpu.0),
                    quota: Some(quota(cpu)),
                    memory_bytes: definition.memory.unwrap_or(FARGATE_MEMORY_DEFAULT).bytes(),
                    storage_bytes: storage_bytes(storage::limit_of_fargate(definition.ephemeral_storage_gib)),
                })
            }
            TaskHost::Ec2(instance) => {
                let instances = self.instances.lock();
                let Some(Instance::Running { launch, pool }) = instances.get(&instance) else { return None };
                Some(TaskLimits {
                    pool: pool.clone(),
                    weight: definition.cpu_weight(),
                    quota: definition.cpu.map(quota),
                    memory_bytes: definition.memory.unwrap_or(launch.instance_type.memory).bytes(),
                    storage_bytes: storage_bytes(storage::LIMIT_OF_INSTANCE),
                })
            }
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        let mut tasks = self.tasks.lock();
        tasks.clear_away(&self.ended);
        tasks
    }

    /// Whoever has nothing to do clears away what has ended, unless somebody is at it.
    fn clear_away_ended(&self) {
        if !self.ended.is_empty()
            && let Some(mut tasks) = self.tasks.try_lock()
        {
            tasks.clear_away(&self.ended);
        }
    }

    fn tasks_where(&self, wanted: impl Fn(&TaskStart) -> bool) -> Vec<Arc<Task>> {
        let tasks = self.tasks();
        let wanted = tasks.live.values().filter(|payload| wanted(&payload.start));
        wanted.filter_map(|payload| payload.task(self, &self.kit)).collect()
    }

    /// A live task, which is made if it was not.
    fn made(&self, task: TaskId) -> Option<Arc<Task>> {
        let payload = self.tasks().live.get(&task)?.clone();
        payload.task(self, &self.kit)
    }

    fn job_queue(&self, service: &str) -> JobQueue {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(service) {
            return queue.clone();
        }
        let queue = JobQueue::new(self.clock.clone());
        queues.insert(service.to_owned(), queue.clone());
        queue
    }

    /// The container of a service's task that reads jobs, and its reader.
    fn job_reader(&self, start: &TaskStart) -> Option<(usize, JobReader)> {
        let service = start.service.as_deref()?;
        let loads = self.loads.lock();
        let container = loads.get(service)?;
        let index = start.task_definition.job_container(container.as_deref())?;
        Some((index, self.job_queue(service).reader(start.deployment)))
    }

    /// Removes a folder, later and elsewhere: it may hold much.
    fn remove_folder(&self, folder: PathBuf) {
        self.runtime.spawn_blocking(move || {
            // What could not be removed goes with the folder above it.
            let _ = std::fs::remove_dir_all(folder);
        });
    }

    fn join_ended_threads(&self) {
        let mut threads = self.threads.lock();
        let mut live = Vec::with_capacity(threads.len());
        for thread in threads.drain(..) {
            if thread.is_finished() {
                // A worker that panicked has nothing more to say.
                let _ = thread.join();
            } else {
                live.push(thread);
            }
        }
        *threads = live;
    }
}
