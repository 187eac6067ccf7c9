//! A pool of worker threads: a container instance of its own, or the one that all Fargate tasks share.
//!
//! Whatever happens to a pool's containers comes as a message; the workers read the messages, ask the schedule who is
//! next, and give him a turn: one poll of his future, which ends with a quantum of fuel or when the guest waits. The lock
//! guards the schedule and is never held in a turn. A worker without work parks; one that sees more work than it can take
//! wakes another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::task::Waker;
use std::thread::{JoinHandle, Thread};

use crossbeam_queue::SegQueue;
use parking_lot::{Mutex, MutexGuard};

use super::Shared;
use super::clock::Clock;
use super::container::turn;
use super::engine::Arrival;
use super::kit::Kit;
use super::life::{Life, Polled, drop_life, poll_life};
use super::meter::CpuMeasure;
use super::outbox::Outbox;
use super::payload::Payload;
use super::schedule::{ContainerKey, Newcomer, Pick, Schedule, TaskKey, Work};
use super::task::{Handle, Task};
use crate::model::task::ContainerExit;
use crate::model::units::{Duration, Timestamp, VcpuNanos};

/// Guests give way to the control loop and the timers, which run at the process' own priority.
const GUEST_NICENESS: i32 = 5;

/// What a pool is told.
pub(super) enum Message {
    /// A task whose containers are to run.
    Start(Arc<Task>),
    /// A task that is ready to run and will be made with its first turn.
    Newcomer(Arc<Payload>),
    /// One of a task's containers, or a health check, by its place among them, is to run on its own.
    Run { task: Arc<Task>, place: usize },
    /// A container that waited may go on.
    Wake(Arc<Handle>),
    /// Containers of the task are to be ended.
    Kill(Arc<Task>),
    /// All containers together may do so much work in a period from here on.
    Capacity(u64),
    /// No task will come any more: the workers end with the last one.
    Close,
}

/// What a pool needs of its data plane.
#[derive(Clone)]
pub(super) struct PoolSettings {
    pub(super) clock: Clock,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) outbox: Arc<Outbox>,
    pub(super) measure: CpuMeasure,
    pub(super) period_nanos: u64,
}

/// A pool of workers.
pub(super) struct Pool {
    settings: PoolSettings,
    inbox: SegQueue<Message>,
    /// That of each worker.
    outboxes: Box<[Outbox]>,
    state: Mutex<PoolState>,
    /// Workers that are parked or about to be.
    idle: Mutex<Vec<Thread>>,
    idle_count: AtomicUsize,
    /// Workers that have not ended.
    live_workers: AtomicUsize,
    /// The last task is over and none will come: nobody parks any more.
    is_over: AtomicBool,
}

struct PoolState {
    schedule: Schedule,
    /// By key of the schedule.
    slots: Vec<Option<Slot>>,
    /// What the schedule has welcomed, in the same order.
    newcomers: VecDeque<Arc<Payload>>,
    is_closing: bool,
}

struct Slot {
    occupant: Occupant,
    /// Not there before the first turn, nor in a turn.
    life: Option<Life>,
}

/// What the schedule knows of a container that has a turn.
enum Seat {
    /// It is in the schedule.
    Taken(ContainerKey),
    /// It may enter after its first turn.
    First(Newcomer),
}

/// Whose slot it is.
#[derive(Clone)]
enum Occupant {
    /// A container of a task that is made with its first turn.
    Newcomer(Arc<Payload>, usize),
    /// A container.
    Container(Arc<Handle>),
}

/// A container whose last turn is over, and whose task was not told yet.
struct Ended {
    handle: Arc<Handle>,
    /// `None`: it was ended from outside.
    exit: Option<ContainerExit>,
    at: Timestamp,
}

impl Ended {
    /// Tells the task. What is left of that goes here as well, and so not under the lock.
    fn tell(self, own: &Outbox, shared: &Shared) {
        self.handle.task.container_ended(self.handle.index, self.exit, self.at, own, shared);
    }
}

/// A container that was taken out of the schedule without a last turn.
struct Dead {
    handle: Arc<Handle>,
    life: Option<Life>,
}

/// What a worker's thread has had of a core, from turn to turn.
struct CpuMark {
    /// At the last reading.
    read: Duration,
    /// Put down to turns since then without a reading.
    assumed_nanos: u64,
}

impl CpuMark {
    /// Turns that are shorter are not worth a reading, which is a call into the kernel.
    const SHORT_TURN_NANOS: u64 = 50_000;

    fn read() -> CpuMark {
        CpuMark { read: Clock::thread_cpu_time(), assumed_nanos: 0 }
    }

    /// The CPU time of a turn that took `wall_nanos`. A short one had the core all the time, for all that can be known; whatever is
    /// wrong with that comes right with the next longer one.
    fn of_turn(&mut self, wall_nanos: u64) -> u64 {
        if wall_nanos < Self::SHORT_TURN_NANOS {
            self.assumed_nanos += wall_nanos;
            return wall_nanos;
        }
        let now = CpuMark::read();
        let had = nanos(now.read.saturating_sub(self.read)).saturating_sub(self.assumed_nanos);
        *self = now;
        had
    }
}

/// What one worker thread has to itself.
struct Worker<'a> {
    shared: &'a Arc<Shared>,
    kit: Arc<Kit>,
    outbox: &'a Outbox,
    cpu: CpuMark,
    /// The container that had its turn before: its task is told once the lock is let go for the next one, and not for this alone.
    ended: Option<Ended>,
}

impl Worker<'_> {
    fn tell_of_ended(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended.tell(self.outbox, self.shared);
        }
    }
}

/// How a turn ended.
enum TurnEnd {
    /// The guest waits, or has used up its quantum.
    Pending(Life),
    /// It is over; `None`: it was ended from outside.
    Over(Option<ContainerExit>),
}

impl Pool {
    /// A pool whose workers are not there yet. `vcpus` bounds all of its work together, for a container instance.
    pub(super) fn new(settings: PoolSettings, workers: usize, vcpus: Option<u32>) -> Arc<Pool> {
        let capacity = vcpus.map(|vcpus| settings.period_nanos.saturating_mul(u64::from(vcpus)));
        Arc::new(Pool {
            inbox: SegQueue::new(),
            outboxes: (0..workers.max(1)).map(|_| settings.outbox.another()).collect(),
            state: Mutex::new(PoolState {
                schedule: Schedule::new(settings.period_nanos, capacity),
                slots: Vec::new(),
                newcomers: VecDeque::new(),
                is_closing: false,
            }),
            idle: Mutex::new(Vec::new()),
            idle_count: AtomicUsize::new(0),
            live_workers: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            settings,
        })
    }

    /// Starts its workers, each with a hold on the data plane until it ends. `when_closed` is called by the last one to end.
    ///
    /// # Errors
    /// When the first thread cannot be started. With fewer than asked for the pool works, at a lower rate.
    pub(super) fn start_workers(
        self: &Arc<Pool>,
        name: &str,
        shared: &Arc<Shared>,
        when_closed: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        let when_closed: Arc<dyn Fn() + Send + Sync> = Arc::new(when_closed);
        let mut threads = Vec::with_capacity(self.outboxes.len());
        let arrival = Arc::new(Arrival::default());
        for index in 0..self.outboxes.len() {
            let (pool, shared, when_closed) = (self.clone(), shared.clone(), when_closed.clone());
            let arrival = arrival.clone();
            self.live_workers.fetch_add(1, Ordering::SeqCst);
            let thread = std::thread::Builder::new().name(format!("{name}-{index}")).spawn(move || {
                arrival.arrive(&shared.kit.engines);
                drop(arrival);
                pool.work(&shared, &pool.outboxes[index]);
                if pool.live_workers.fetch_sub(1, Ordering::SeqCst) == 1 {
                    pool.refuse_late_comers(&shared);
                    when_closed();
                }
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    self.live_workers.fetch_sub(1, Ordering::SeqCst);
                    if threads.is_empty() {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(threads)
    }

    /// Tells the pool, and wakes a worker to hear it.
    pub(super) fn send(&self, message: Message) {
        self.inbox.push(message);
        // Pairs with the fence of a worker that is about to park: either it sees the message, or we see the worker.
        fence(Ordering::SeqCst);
        self.unpark_one();
    }

    /// Bounds the work of all its containers together.
    pub(super) fn set_work_per_second(&self, work: VcpuNanos) {
        let quota = u128::from(work.0) * u128::from(self.settings.period_nanos) / 1_000_000_000;
        self.send(Message::Capacity(u64::try_from(quota).unwrap_or(u64::MAX)));
    }

    /// The settings, for another pool.
    pub(super) fn settings(&self) -> PoolSettings {
        self.settings.clone()
    }

    /// What was delivered and what was not, so far.
    pub(super) fn work_done(&self) -> Work {
        self.state.lock().schedule.work()
    }

    fn unpark_one(&self) {
        if self.idle_count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let thread = {
            let mut idle = self.idle.lock();
            let thread = idle.pop();
            self.idle_count.store(idle.len(), Ordering::SeqCst);
            thread
        };
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    fn unpark_all(&self) {
        let threads = {
            let mut idle = self.idle.lock();
            self.idle_count.store(0, Ordering::SeqCst);
            std::mem::take(&mut *idle)
        };
        for thread in threads {
            thread.unpark();
        }
    }

    /// Sends what workers have that has waited for long enough, or is enough.
    pub(super) fn flush_gathered(&self, now: u64) {
        for outbox in &self.outboxes {
            outbox.flush_gathered(now);
        }
    }

    fn work(&self, shared: &Arc<Shared>, outbox: &Outbox) {
        lower_priority(GUEST_NICENESS);
        // Guests' timers are those of the data plane's runtime, which they find by this.
        let runtime = self.settings.runtime.clone();
        let _context = runtime.enter();
        let mut worker = Worker { shared, kit: shared.kit.copy(), outbox, cpu: CpuMark::read(), ended: None };
        let mut state = self.state.lock();
        loop {
            let now = self.settings.clock.now().0;
            let dead = self.read_inbox(&mut state, now);
            if !dead.is_empty() {
                MutexGuard::unlocked(&mut state, || {
                    worker.tell_of_ended();
                    bury(dead, Timestamp(now), shared);
                });
                worker.cpu = CpuMark::read();
                continue;
            }
            if state.is_closing && state.schedule.is_empty() && worker.ended.is_none() {
                break;
            }
            match state.schedule.pick(now) {
                Pick::Run(key) => {
                    let slot = state.slots[key.0].as_mut().expect("a container in the schedule has a slot");
                    let (occupant, life) = (slot.occupant.clone(), slot.life.take());
                    self.give_turn(&mut worker, &mut state, Seat::Taken(key), (occupant, life), now);
                }
                Pick::Welcome(newcomer) => {
                    let payload = state.newcomers.pop_front().expect("who was welcomed waits");
                    let occupant = Occupant::Newcomer(payload, 0);
                    self.give_turn(&mut worker, &mut state, Seat::First(newcomer), (occupant, None), now);
                }
                // It takes its time, and there may be something to do after it.
                Pick::WaitUntil(_) if worker.ended.is_some() => {
                    MutexGuard::unlocked(&mut state, || worker.tell_of_ended());
                }
                Pick::WaitUntil(until) => {
                    MutexGuard::unlocked(&mut state, || {
                        self.flush(outbox, now);
                        shared.clear_away_ended();
                        self.park(now, until);
                    });
                    worker.cpu = CpuMark::read();
                }
            }
        }
        drop(state);
        outbox.flush();
        self.settings.outbox.flush();
        self.is_over.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.unpark_all();
    }

    /// Does what the messages say; returns the containers that are dead now.
    fn read_inbox(&self, state: &mut PoolState, now: u64) -> Vec<Dead> {
        let mut dead = Vec::new();
        while let Some(message) = self.inbox.pop() {
            match message {
                Message::Start(task) => state.add(&task, now),
                Message::Newcomer(payload) => state.add_newcomer(&payload, now),
                Message::Run { task, place } => state.add_one(&task, place, now),
                Message::Wake(handle) => {
                    if let Some(key) = key_of(&handle.task, handle.index) {
                        state.schedule.wake(key, now);
                    }
                }
                Message::Kill(task) => {
                    for (index, container) in task.containers.iter().enumerate() {
                        let Some(key) = key_of(&task, index) else { continue };
                        // One that runs is ended by its worker, when its turn is over.
                        if !container.is_killed.load(Ordering::SeqCst) || state.schedule.is_running(key) {
                            continue;
                        }
                        state.schedule.remove(key);
                        // Whoever has a key in his container has had a turn.
                        if let Some(Slot { occupant: Occupant::Container(handle), life }) = state.free(key) {
                            handle.container().key.store(usize::MAX, Ordering::SeqCst);
                            dead.push(Dead { handle, life });
                        }
                    }
                }
                Message::Capacity(quota) => state.schedule.set_capacity(quota, now),
                Message::Close => state.is_closing = true,
            }
        }
        dead
    }

    /// Gives a container its turn, without the lock, and charges it.
    fn give_turn(
        &self,
        worker: &mut Worker<'_>,
        state: &mut MutexGuard<'_, PoolState>,
        seat: Seat,
        (occupant, life): (Occupant, Option<Life>),
        now: u64,
    ) {
        let shared = worker.shared;
        let has_more = state.schedule.has_queued();
        let is_first = life.is_none();
        let turn = MutexGuard::unlocked(state, || {
            if has_more {
                self.unpark_one();
            }
            worker.tell_of_ended();
            if is_first {
                if worker.outbox.flush_gathered(now) {
                    self.flush_gathered(now);
                }
                self.settings.outbox.flush_gathered(now);
            } else {
                // Whoever has had a turn already may take a whole one.
                self.flush(worker.outbox, now);
            }
            let handle = match occupant {
                Occupant::Container(handle) => handle,
                Occupant::Newcomer(payload, index) => {
                    let task = payload.task(shared, &worker.kit)?;
                    if let Seat::Taken(key) = seat {
                        task.containers[index].key.store(key.0, Ordering::SeqCst);
                    }
                    Arc::new(Handle { task, index })
                }
            };
            let container = handle.container();
            container.memory.begin_turn(now);
            let meter = &container.meter;
            meter.begin_turn(now);
            let end = poll(&handle, life, shared);
            let ended_at = self.settings.clock.now().0;
            let cpu_nanos = worker.cpu.of_turn(ended_at.saturating_sub(now));
            let work = meter.end_turn(ended_at, cpu_nanos, self.settings.measure);
            handle.task.hold_to_budget(shared);
            if is_first && matches!(end, TurnEnd::Pending(_)) {
                handle.task.report_running(shared);
            }
            Some((handle, end, work.0, ended_at))
        });
        let Some((handle, end, work, ended_at)) = turn else {
            state.leave(seat, 0, now);
            return;
        };
        let container = handle.container();
        // Under the lock, so that whoever reads the message of its end has seen it run, or it is ended here.
        let end = match end {
            TurnEnd::Pending(life) if container.is_killed.load(Ordering::SeqCst) => {
                MutexGuard::unlocked(state, || drop_life(life));
                TurnEnd::Over(None)
            }
            end => end,
        };
        match end {
            TurnEnd::Pending(life) => {
                let key = state.enter(seat);
                container.key.store(key.0, Ordering::SeqCst);
                let waits = container
                    .turn
                    .compare_exchange(turn::RUNNING, turn::WAITING, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok();
                if waits {
                    state.schedule.charge_and_sleep(key, work, ended_at);
                } else {
                    container.turn.store(turn::QUEUED, Ordering::SeqCst);
                    state.schedule.charge_and_requeue(key, work, ended_at);
                }
                state.slots[key.0] = Some(Slot { occupant: Occupant::Container(handle), life: Some(life) });
            }
            TurnEnd::Over(exit) => {
                state.leave(seat, work, ended_at);
                container.key.store(usize::MAX, Ordering::SeqCst);
                worker.ended = Some(Ended { handle, exit, at: Timestamp(ended_at) });
            }
        }
    }

    /// Sends all that everybody has to say, and this worker, and what others have who are kept from it by a guest whose turn is long.
    fn flush(&self, own: &Outbox, now: u64) {
        own.flush();
        self.settings.outbox.flush();
        self.flush_gathered(now);
    }

    /// Waits for a message, or for a moment.
    fn park(&self, now: u64, until: Option<u64>) {
        let thread = std::thread::current();
        {
            let mut idle = self.idle.lock();
            idle.push(thread.clone());
            self.idle_count.store(idle.len(), Ordering::SeqCst);
        }
        fence(Ordering::SeqCst);
        if self.inbox.is_empty() && !self.is_over.load(Ordering::SeqCst) {
            match until {
                Some(until) => std::thread::park_timeout(Timestamp(until).since(Timestamp(now))),
                None => std::thread::park(),
            }
        }
        let mut idle = self.idle.lock();
        idle.retain(|other| other.id() != thread.id());
        self.idle_count.store(idle.len(), Ordering::SeqCst);
    }

    /// A task may have been sent while the last worker was on its way out.
    fn refuse_late_comers(&self, shared: &Arc<Shared>) {
        while let Some(message) = self.inbox.pop() {
            let task = match message {
                Message::Start(task) | Message::Run { task, .. } => Some(task),
                Message::Newcomer(payload) => payload.task(shared, &shared.kit),
                Message::Wake(_) | Message::Kill(_) | Message::Capacity(_) | Message::Close => None,
            };
            if let Some(task) = task {
                task.refuse("ResourceInitializationError: the container instance is gone", shared);
            }
        }
    }
}

impl PoolState {
    fn add(&mut self, task: &Arc<Task>, now: u64) {
        let task_key = self.schedule.add_task(task.limits().weight, task.limits().quota);
        for (index, container) in task.containers.iter().enumerate() {
            let handle = Arc::new(Handle { task: task.clone(), index });
            let weight = task.start().task_definition.containers[index].cpu_shares();
            let key = self.occupy(task_key, u64::from(weight), Occupant::Container(handle), now);
            container.key.store(key.0, Ordering::SeqCst);
        }
    }

    fn add_newcomer(&mut self, payload: &Arc<Payload>, now: u64) {
        if let [only] = payload.start.task_definition.containers.as_slice() {
            let limits = &payload.limits;
            self.schedule.welcome(limits.weight, limits.quota, only.cpu_shares().into(), now);
            self.newcomers.push_back(payload.clone());
            return;
        }
        let task_key = self.schedule.add_task(payload.limits.weight, payload.limits.quota);
        for (index, container) in payload.start.task_definition.containers.iter().enumerate() {
            let occupant = Occupant::Newcomer(payload.clone(), index);
            self.occupy(task_key, u64::from(container.cpu_shares()), occupant, now);
        }
    }

    /// Adds what is to run at one place of a task, beside what runs of it already.
    fn add_one(&mut self, task: &Arc<Task>, place: usize, now: u64) {
        let beside = (0..task.containers.len()).find_map(|other| key_of(task, other));
        let task_key = match beside {
            Some(key) => self.schedule.task_of(key),
            None => self.schedule.add_task(task.limits().weight, task.limits().quota),
        };
        let handle = Arc::new(Handle { task: task.clone(), index: place });
        let key = self.occupy(task_key, task.shares(place), Occupant::Container(handle), now);
        task.containers[place].key.store(key.0, Ordering::SeqCst);
    }

    /// A container that has had its turn stays.
    fn enter(&mut self, seat: Seat) -> ContainerKey {
        match seat {
            Seat::Taken(key) => key,
            Seat::First(newcomer) => {
                let key = self.schedule.enter(newcomer);
                self.make_slot(key);
                key
            }
        }
    }

    /// A container that has had its turn is over.
    fn leave(&mut self, seat: Seat, work: u64, now: u64) {
        match seat {
            Seat::Taken(key) => {
                self.schedule.charge_and_remove(key, work, now);
                self.free(key);
            }
            Seat::First(newcomer) => self.schedule.leave(newcomer, work, now),
        }
    }

    fn make_slot(&mut self, key: ContainerKey) {
        if self.slots.len() <= key.0 {
            self.slots.resize_with(key.0 + 1, || None);
        }
    }

    /// Adds a container of a task to the schedule, awake, and gives it a slot.
    fn occupy(&mut self, task: TaskKey, weight: u64, occupant: Occupant, now: u64) -> ContainerKey {
        let key = self.schedule.add_container(task, weight);
        self.make_slot(key);
        self.slots[key.0] = Some(Slot { occupant, life: None });
        self.schedule.wake(key, now);
        key
    }

    /// Takes a container out of its slot; the schedule has let go of it.
    fn free(&mut self, key: ContainerKey) -> Option<Slot> {
        self.slots[key.0].take()
    }
}

fn key_of(task: &Task, index: usize) -> Option<ContainerKey> {
    let key = task.containers[index].key.load(Ordering::SeqCst);
    (key != usize::MAX).then_some(ContainerKey(key))
}

/// One turn.
fn poll(handle: &Arc<Handle>, life: Option<Life>, shared: &Shared) -> TurnEnd {
    let container = handle.container();
    container.turn.store(turn::RUNNING, Ordering::SeqCst);
    if container.is_killed.load(Ordering::SeqCst) {
        if let Some(life) = life {
            drop_life(life);
        }
        return TurnEnd::Over(None);
    }
    let Some(life) = life.or_else(|| handle.task.life(handle.index, shared)) else { return TurnEnd::Over(None) };
    let waker = Waker::from(handle.clone());
    match poll_life(life, &waker) {
        Polled::Pending(life) => TurnEnd::Pending(life),
        Polled::Over(exit) => TurnEnd::Over(Some(exit)),
    }
}

fn bury(dead: Vec<Dead>, now: Timestamp, shared: &Shared) {
    for Dead { handle, life } in dead {
        if let Some(life) = life {
            drop_life(life);
        }
        handle.task.container_ended(handle.index, None, now, &shared.outbox, shared);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Lowers the priority of the calling thread. Where that is not allowed, it stays as it is.
pub(super) fn lower_priority(niceness: i32) {
    // On Linux priorities belong to threads, whose ids are taken where a process id is asked for.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), niceness);
}
