//! Who runs next on a pool, and who has had enough for this period. Pure: no clock, no threads.
//!
//! Two ideas, one inside the other. *Stride scheduling*: every task has a pass, a virtual time that advances by the CPU
//! work it was charged divided by its weight; the lowest pass runs next, so that work is shared in the ratio of the
//! weights whatever the sizes of the turns. Inside a task its containers are chosen in the same way. *Quotas*: a bucket
//! is refilled once a period; whoever has emptied it waits for the next one. A turn may overdraw a bucket; the debt is
//! carried, so that the rate over time is exact. What a sleeper leaves unused is gone; what somebody who wanted to run
//! could not get (because the host was busy) may be caught up within one more period, and counts as a shortfall when it
//! can not.
//!
//! **Source:** ecs-semantics §3.4 (shares, hard quota, 100 ms period). *Ours:* the carry of one period, which the kernel
//! calls a burst.

use std::collections::{BTreeSet, VecDeque};

/// Pass units of one nanosecond of work at weight 1. Large enough that a short turn of a heavy task still advances.
const PASS_SCALE: u64 = 1024;

/// A task of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskKey(usize);

/// A container of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContainerKey(pub(super) usize);

/// What a worker is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// Give this container a turn, then charge it.
    Run(ContainerKey),
    /// Give the one container of this task, the first of those that were welcomed and have had none, its first turn; then let the task enter
    /// or leave.
    Welcome(Newcomer),
    /// Nobody may run before this moment, unless somebody wakes. `None`: nobody wants to.
    WaitUntil(Option<u64>),
}

/// CPU work in nanoseconds: what was promised to those who wanted it, and what they got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// All work charged.
    pub(super) delivered: u64,
    /// What was promised, wanted, and not delivered.
    pub(super) shortfall: u64,
}

impl Work {
    pub(super) fn plus(self, more: Work) -> Work {
        Work { delivered: self.delivered + more.delivered, shortfall: self.shortfall + more.shortfall }
    }
}

/// Whether somebody wanted to run all through the time that a refill is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    Idle,
    Wanted,
}

/// An amount of work a period.
#[derive(Clone, Debug)]
struct Bucket {
    /// Refilled each period.
    quota: i64,
    /// Left in this period; negative is a debt.
    tokens: i64,
    /// The period that `tokens` is for.
    period: u64,
}

impl Bucket {
    fn new(quota: u64, period: u64) -> Bucket {
        let quota = i64::try_from(quota).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        Bucket { quota, tokens: quota, period }
    }

    fn refill(&mut self, period: u64, demand: Demand) {
        if period <= self.period {
            return;
        }
        let periods = i64::try_from(period - self.period).unwrap_or(i64::MAX);
        self.period = period;
        let most = match demand {
            Demand::Idle => self.quota,
            Demand::Wanted => self.quota.saturating_mul(2),
        };
        self.tokens = self.tokens.saturating_add(self.quota.saturating_mul(periods)).min(most);
    }

    fn charge(&mut self, work: u64) {
        self.tokens = self.tokens.saturating_sub(i64::try_from(work).unwrap_or(i64::MAX));
    }

    fn is_empty(&self) -> bool {
        self.tokens <= 0
    }
}

/// Compares what was promised while there was demand with what was had, over many periods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shortfall {
    /// Promised but not had yet, and still to be caught up.
    owed: u64,
    /// Had since the last look.
    had: u64,
    /// The last look, or when demand began.
    since: u64,
}

impl Shortfall {
    /// Demand begins.
    fn begin(&mut self, now: u64) {
        *self = Shortfall { owed: 0, had: 0, since: now };
    }

    /// Closes the time up to `now`, in which `promised_a_period` was there to be had and at most `parallel` at once.
    /// Returns what can not be caught up any more.
    fn look(&mut self, now: u64, period_nanos: u64, promised_a_period: u64, parallel: u64) -> u64 {
        let elapsed = now.saturating_sub(self.since);
        let promised = u128::from(promised_a_period) * u128::from(elapsed) / u128::from(period_nanos.max(1));
        let usable = u128::from(elapsed) * u128::from(parallel);
        let promised = u64::try_from(promised.min(usable)).unwrap_or(u64::MAX);
        self.owed = self.owed.saturating_add(promised).saturating_sub(self.had);
        self.had = 0;
        self.since = now;
        let most = promised_a_period.min(period_nanos.saturating_mul(parallel));
        let lost = self.owed.saturating_sub(most);
        self.owed -= lost;
        lost
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContainerState {
    Asleep,
    Runnable,
    Running,
}

#[derive(Debug)]
struct ContainerEntry {
    task: TaskKey,
    weight: u64,
    pass: u64,
    bucket: Bucket,
    state: ContainerState,
}

#[derive(Debug)]
struct TaskEntry {
    weight: u64,
    pass: u64,
    bucket: Option<Bucket>,
    shortfall: Shortfall,
    /// Its containers, by their order of addition.
    containers: Vec<ContainerKey>,
    /// How many of them are runnable or running.
    demanding: u64,
    place: Place,
    /// When it came into the queue, against others of the same pass.
    turn: u64,
}

/// A task of one container that has had no turn. Most such tasks end in their first, and a schedule that has nothing of them but a place in
/// a line is all the smaller.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Newcomer {
    weight: u64,
    quota: Option<u64>,
    container_weight: u64,
    /// Its place against those that are in the queue.
    pass: u64,
    turn: u64,
    /// The period in which it came.
    period: u64,
    shortfall: Shortfall,
}

/// A task's place in the queue: its pass, then who came first, so that newcomers never overtake those that wait already.
type QueueKey = (u64, u64, TaskKey);

/// Where a task is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody of it waits for a turn.
    Nowhere,
    /// In the queue, under its pass.
    Queue,
    /// Among those without tokens until the next period.
    Throttled,
}

/// The tasks of one pool.
#[derive(Debug)]
pub(super) struct Schedule {
    period_nanos: u64,
    period: u64,
    tasks: Slab<TaskEntry>,
    containers: Slab<ContainerEntry>,
    /// Tasks with a container that may run now.
    queue: BTreeSet<QueueKey>,
    /// Tasks that wait for their first turn, in the order of their coming, which is that of their passes.
    newcomers: VecDeque<Newcomer>,
    /// How many tasks have their first turn right now.
    first_turns: usize,
    /// Counts who came into the queue, and who was welcomed.
    next_turn: u64,
    throttled: BTreeSet<TaskKey>,
    /// The pass of the task that was chosen last; never decreases.
    virtual_time: u64,
    /// What the whole pool may do, for a container instance.
    capacity: Option<Bucket>,
    capacity_shortfall: Shortfall,
    /// Containers that are runnable or running, over all tasks.
    demanding: u64,
    work: Work,
}

impl Schedule {
    /// A schedule with periods of `period_nanos`. `capacity` is the work that the whole pool may do in one, if bounded.
    pub(super) fn new(period_nanos: u64, capacity: Option<u64>) -> Schedule {
        Schedule {
            period_nanos: period_nanos.max(1),
            period: 0,
            tasks: Slab::default(),
            containers: Slab::default(),
            queue: BTreeSet::new(),
            newcomers: VecDeque::new(),
            first_turns: 0,
            next_turn: 0,
            throttled: BTreeSet::new(),
            virtual_time: 0,
            capacity: capacity.map(|quota| Bucket::new(quota, 0)),
            capacity_shortfall: Shortfall::default(),
            demanding: 0,
            work: Work::default(),
        }
    }

    /// Bounds the work that the whole pool may do in a period anew. What was left of the period is cut to it; a debt is carried on.
    pub(super) fn set_capacity(&mut self, quota: u64, now: u64) {
        self.begin_period(now);
        if let Some(capacity) = &mut self.capacity {
            let left = capacity.tokens;
            *capacity = Bucket::new(quota, capacity.period);
            capacity.tokens = left.min(capacity.quota);
        }
        // What was promised before is no measure of what is from here on.
        self.capacity_shortfall.begin(now);
    }

    /// Whether there is no container.
    pub(super) fn is_empty(&self) -> bool {
        self.containers.len == 0 && self.newcomers.is_empty() && self.first_turns == 0
    }

    /// Whether more than the running ones could run now.
    pub(super) fn has_queued(&self) -> bool {
        (!self.queue.is_empty() || !self.newcomers.is_empty())
            && self.capacity.as_ref().is_none_or(|capacity| !capacity.is_empty())
    }

    /// What was delivered and what was not, so far.
    pub(super) fn work(&self) -> Work {
        self.work
    }

    /// Adds a task. `quota` is its work a period, if bounded.
    pub(super) fn add_task(&mut self, weight: u64, quota: Option<u64>) -> TaskKey {
        let entry = TaskEntry {
            weight: weight.max(1),
            pass: self.virtual_time,
            bucket: quota.map(|quota| Bucket::new(quota, self.period)),
            shortfall: Shortfall::default(),
            containers: Vec::new(),
            demanding: 0,
            place: Place::Nowhere,
            turn: 0,
        };
        TaskKey(self.tasks.insert(entry))
    }

    /// Adds a task with one container, which wants its first turn. `quota` is its work a period, if bounded.
    pub(super) fn welcome(&mut self, weight: u64, quota: Option<u64>, container_weight: u64, now: u64) {
        self.wanted_by_one_more(now);
        let (pass, turn, period) = (self.virtual_time, self.next_turn, now / self.period_nanos);
        self.next_turn += 1;
        let mut shortfall = Shortfall::default();
        shortfall.begin(now);
        self.newcomers.push_back(Newcomer { weight, quota, container_weight, pass, turn, period, shortfall });
    }

    /// A task goes on after its first turn, which is still to be charged: its container, as if it had been in the schedule in that turn.
    pub(super) fn enter(&mut self, newcomer: Newcomer) -> ContainerKey {
        self.first_turns -= 1;
        let Newcomer { weight, quota, container_weight, pass, period, shortfall, .. } = newcomer;
        let task = self.add_task(weight, quota);
        let key = self.add_container(task, container_weight);
        let entry = &mut self.tasks[task.0];
        (entry.pass, entry.shortfall, entry.demanding) = (pass, shortfall, 1);
        if let Some(bucket) = &mut entry.bucket {
            bucket.period = period;
        }
        let container = &mut self.containers[key.0];
        (container.bucket.period, container.state) = (period, ContainerState::Running);
        key
    }

    /// A task has ended in its first turn, for which its pool is charged.
    pub(super) fn leave(&mut self, _newcomer: Newcomer, work: u64, now: u64) {
        self.first_turns -= 1;
        self.demanding -= 1;
        self.charge_pool(work, now);
    }

    /// Adds a container, asleep. It is one thread: one vCPU at most.
    pub(super) fn add_container(&mut self, task: TaskKey, weight: u64) -> ContainerKey {
        let entry = ContainerEntry {
            task,
            weight: weight.max(1),
            pass: 0,
            bucket: Bucket::new(self.period_nanos, self.period),
            state: ContainerState::Asleep,
        };
        let key = ContainerKey(self.containers.insert(entry));
        self.tasks[task.0].containers.push(key);
        key
    }

    /// The task of a container.
    pub(super) fn task_of(&self, key: ContainerKey) -> TaskKey {
        self.containers[key.0].task
    }

    /// A container that slept wants a turn. One that is awake already is left alone.
    pub(super) fn wake(&mut self, key: ContainerKey, now: u64) {
        let period = now / self.period_nanos;
        let container = &mut self.containers[key.0];
        if container.state != ContainerState::Asleep {
            return;
        }
        container.state = ContainerState::Runnable;
        container.bucket.refill(period, Demand::Idle);
        let task_key = container.task;
        let task = &mut self.tasks[task_key.0];
        // A waking container must not make up for the time that it slept against its neighbours.
        let floor = task
            .containers
            .iter()
            .filter(|other| **other != key)
            .map(|other| &self.containers[other.0])
            .filter(|other| other.state != ContainerState::Asleep)
            .map(|other| other.pass)
            .min();
        if let Some(floor) = floor {
            let container = &mut self.containers[key.0];
            container.pass = container.pass.max(floor);
        }
        if task.demanding == 0 {
            task.pass = task.pass.max(self.virtual_time);
            task.shortfall.begin(now);
            if let Some(bucket) = &mut task.bucket {
                bucket.refill(period, Demand::Idle);
            }
        }
        task.demanding += 1;
        self.wanted_by_one_more(now);
        self.place(task_key);
    }

    fn wanted_by_one_more(&mut self, now: u64) {
        if self.demanding == 0 {
            self.capacity_shortfall.begin(now);
            if let Some(capacity) = &mut self.capacity {
                capacity.refill(now / self.period_nanos, Demand::Idle);
            }
        }
        self.demanding += 1;
    }

    /// Chooses who runs next. The chosen one is running until it is charged.
    pub(super) fn pick(&mut self, now: u64) -> Pick {
        self.begin_period(now);
        let next_period = (self.period + 1).saturating_mul(self.period_nanos);
        if self.capacity.as_ref().is_some_and(Bucket::is_empty) {
            let waits = !self.queue.is_empty() || !self.newcomers.is_empty() || !self.throttled.is_empty();
            return Pick::WaitUntil(waits.then_some(next_period));
        }
        loop {
            if let Some(newcomer) = self.take_newcomer() {
                return Pick::Welcome(newcomer);
            }
            let Some((pass, _, task_key)) = self.queue.pop_first() else { break };
            self.virtual_time = self.virtual_time.max(pass);
            let Some(key) = self.next_of(task_key) else {
                self.tasks[task_key.0].place = Place::Nowhere;
                self.place(task_key);
                continue;
            };
            self.containers[key.0].state = ContainerState::Running;
            self.tasks[task_key.0].place = Place::Nowhere;
            self.place(task_key);
            return Pick::Run(key);
        }
        Pick::WaitUntil((!self.throttled.is_empty()).then_some(next_period))
    }

    /// The first newcomer, unless the queue has somebody who comes before him.
    fn take_newcomer(&mut self) -> Option<Newcomer> {
        let first = self.newcomers.front()?;
        if self.queue.first().is_some_and(|(pass, turn, _)| (*pass, *turn) < (first.pass, first.turn)) {
            return None;
        }
        self.virtual_time = self.virtual_time.max(first.pass);
        self.first_turns += 1;
        self.newcomers.pop_front()
    }

    /// Charges the container that ran for `work` nanoseconds of CPU work; it wants another turn.
    pub(super) fn charge_and_requeue(&mut self, key: ContainerKey, work: u64, now: u64) {
        let task = self.charge(key, work, now);
        self.containers[key.0].state = ContainerState::Runnable;
        self.place(task);
    }

    /// Charges the container that ran; it sleeps.
    pub(super) fn charge_and_sleep(&mut self, key: ContainerKey, work: u64, now: u64) {
        let task = self.charge(key, work, now);
        self.set_asleep(key, task);
    }

    /// Charges the container that ran; it is over.
    pub(super) fn charge_and_remove(&mut self, key: ContainerKey, work: u64, now: u64) {
        self.charge(key, work, now);
        self.remove(key);
    }

    /// Whether the container has a turn right now.
    pub(super) fn is_running(&self, key: ContainerKey) -> bool {
        self.containers[key.0].state == ContainerState::Running
    }

    /// Takes a container out; its task goes with the last one.
    pub(super) fn remove(&mut self, key: ContainerKey) {
        let task_key = self.containers[key.0].task;
        if self.containers[key.0].state != ContainerState::Asleep {
            self.set_asleep(key, task_key);
        }
        self.containers.remove(key.0);
        let task = &mut self.tasks[task_key.0];
        task.containers.retain(|other| *other != key);
        if task.containers.is_empty() {
            self.take_out(task_key);
            self.tasks.remove(task_key.0);
        }
    }

    fn charge(&mut self, key: ContainerKey, work: u64, now: u64) -> TaskKey {
        let period = now / self.period_nanos;
        let container = &mut self.containers[key.0];
        container.bucket.refill(period, Demand::Wanted);
        container.bucket.charge(work);
        container.pass = container.pass.saturating_add(advance(work, container.weight));
        let task_key = container.task;
        let task = &mut self.tasks[task_key.0];
        if let Some(bucket) = &mut task.bucket {
            bucket.refill(period, Demand::Wanted);
            bucket.charge(work);
        }
        task.shortfall.had = task.shortfall.had.saturating_add(work);
        let queued = task.place == Place::Queue;
        let old = task.pass;
        // A task that can not use its weight (it has fewer threads than that) must not hoard the difference.
        let floor = self.virtual_time.saturating_sub(advance(self.period_nanos, task.weight));
        task.pass = task.pass.max(floor).saturating_add(advance(work, task.weight));
        if queued {
            let new = task.pass;
            let turn = task.turn;
            self.queue.remove(&(old, turn, task_key));
            self.queue.insert((new, turn, task_key));
        }
        self.charge_pool(work, now);
        task_key
    }

    fn charge_pool(&mut self, work: u64, now: u64) {
        if let Some(capacity) = &mut self.capacity {
            capacity.refill(now / self.period_nanos, Demand::Wanted);
            capacity.charge(work);
            self.capacity_shortfall.had = self.capacity_shortfall.had.saturating_add(work);
        }
        self.work.delivered = self.work.delivered.saturating_add(work);
    }

    fn set_asleep(&mut self, key: ContainerKey, task_key: TaskKey) {
        self.containers[key.0].state = ContainerState::Asleep;
        self.tasks[task_key.0].demanding -= 1;
        self.demanding -= 1;
        if !self.waits(task_key) {
            self.take_out(task_key);
        }
    }

    /// Refills what is owed to everybody who waited for this period, and looks at what was not delivered in the last.
    fn begin_period(&mut self, now: u64) {
        let period = now / self.period_nanos;
        if period <= self.period {
            return;
        }
        self.period = period;
        let period_nanos = self.period_nanos;
        if let Some(capacity) = &mut self.capacity {
            let demand = if self.demanding > 0 { Demand::Wanted } else { Demand::Idle };
            capacity.refill(period, demand);
            // Whoever has no tokens of his own has no demand on the instance either.
            let throttled: u64 = self.throttled.iter().map(|task| self.tasks[task.0].demanding).sum();
            let parallel = self.demanding.saturating_sub(throttled);
            let promised = u64::try_from(capacity.quota).unwrap_or_default();
            if self.demanding > 0 {
                self.work.shortfall += self.capacity_shortfall.look(now, period_nanos, promised, parallel);
            }
        } else {
            for newcomer in &mut self.newcomers {
                if let Some(quota) = newcomer.quota {
                    self.work.shortfall += newcomer.shortfall.look(now, period_nanos, quota, 1);
                }
            }
            for (_, task) in self.tasks.iter_mut() {
                if let (Some(bucket), true) = (&task.bucket, task.demanding > 0) {
                    let promised = u64::try_from(bucket.quota).unwrap_or_default();
                    self.work.shortfall += task.shortfall.look(now, period_nanos, promised, task.demanding);
                }
            }
        }
        for task_key in std::mem::take(&mut self.throttled) {
            self.tasks[task_key.0].place = Place::Nowhere;
            self.place(task_key);
        }
    }

    /// The container of the task that runs next, if one may.
    fn next_of(&mut self, task_key: TaskKey) -> Option<ContainerKey> {
        let period = self.period;
        let task = &mut self.tasks[task_key.0];
        if let Some(bucket) = &mut task.bucket {
            bucket.refill(period, Demand::Wanted);
            if bucket.is_empty() {
                return None;
            }
        }
        let mut best: Option<(u64, ContainerKey)> = None;
        for key in &task.containers {
            let container = &mut self.containers[key.0];
            if container.state != ContainerState::Runnable {
                continue;
            }
            container.bucket.refill(period, Demand::Wanted);
            if !container.bucket.is_empty() && best.is_none_or(|(pass, _)| container.pass < pass) {
                best = Some((container.pass, *key));
            }
        }
        best.map(|(_, key)| key)
    }

    fn waits(&self, task_key: TaskKey) -> bool {
        self.tasks[task_key.0].containers.iter().any(|key| self.containers[key.0].state == ContainerState::Runnable)
    }

    /// Puts a task where it belongs: into the queue when one of its containers may run, aside when it has to wait.
    fn place(&mut self, task_key: TaskKey) {
        if !self.waits(task_key) {
            self.take_out(task_key);
            return;
        }
        let eligible = self.next_of(task_key).is_some();
        let task = &self.tasks[task_key.0];
        match (task.place, eligible) {
            (Place::Queue, true) | (Place::Throttled, false) => return,
            _ => {}
        }
        self.take_out(task_key);
        let task = &mut self.tasks[task_key.0];
        if eligible {
            task.place = Place::Queue;
            task.turn = self.next_turn;
            self.next_turn += 1;
            self.queue.insert((task.pass, task.turn, task_key));
        } else {
            task.place = Place::Throttled;
            self.throttled.insert(task_key);
        }
    }

    fn take_out(&mut self, task_key: TaskKey) {
        let task = &mut self.tasks[task_key.0];
        match task.place {
            Place::Nowhere => {}
            Place::Queue => {
                self.queue.remove(&(task.pass, task.turn, task_key));
            }
            Place::Throttled => {
                self.throttled.remove(&task_key);
            }
        }
        self.tasks[task_key.0].place = Place::Nowhere;
    }
}

/// How far a pass advances for some work.
fn advance(work: u64, weight: u64) -> u64 {
    (work.saturating_mul(PASS_SCALE) / weight).max(1)
}

/// Things by a number that is used again after they are gone.
#[derive(Debug)]
struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { slots: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    fn insert(&mut self, value: T) -> usize {
        self.len += 1;
        match self.free.pop() {
            Some(index) => {
                self.slots[index] = Some(value);
                index
            }
            None => {
                self.slots.push(Some(value));
                self.slots.len() - 1
            }
        }
    }

    fn remove(&mut self, index: usize) {
        if self.slots[index].take().is_some() {
            self.len -= 1;
            self.free.push(index);
        }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(index, slot)| Some((index, slot.as_mut()?)))
    }
}

impl<T> std::ops::Index<usize> for Slab<T> {
    type Output = T;
    fn index(&self, index: usize) -> &T {
        self.slots[index].as_ref().expect("a key is used only while its entry is there")
    }
}

impl<T> std::ops::IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.slots[index].as_mut().expect("a key is used only while its entry is there")
    }
}

#[cfg(test)]
mod tests;
