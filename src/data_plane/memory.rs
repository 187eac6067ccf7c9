//! A task's memory: one account over all its containers, and the limit that holds.
//!
//! Charged are linear memories, tables and what the host keeps for the task (its captured output). A growth beyond the
//! limit is refused, as the operating system would; a guest that copes goes on, and one that ends of it has been killed
//! for its memory. Not charged is what the host needs for any guest: its stack, its store, its instance (a few tens of
//! KiB a container), and a buffer of a host call in flight, never larger than the guest's own memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use wasmtime::ResourceLimiter;

use super::clock::Clock;
use super::container::Container;
use super::engine::TABLE_ELEMENTS_MAX;
use crate::model::units::Timestamp;
use crate::model::usage::TaskUsage;

/// Bytes that the host keeps for one element of a table: a pointer and, for lazily made functions, a tag beside it.
const TABLE_ELEMENT_BYTES: u64 = 16;

/// The memory of a task.
#[derive(Debug)]
pub(super) struct TaskMemory {
    limit: u64,
    clock: Clock,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    bytes: u64,
    peak: u64,
    /// Bytes times nanoseconds up to `since`.
    integral: u128,
    since: Timestamp,
}

/// What a task held and holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemoryUse {
    pub(super) bytes: u64,
    pub(super) peak: u64,
    pub(super) mib_millis: u64,
}

impl MemoryUse {
    /// The usage of a task of which nothing else is known yet.
    pub(super) fn as_usage(self) -> TaskUsage {
        TaskUsage {
            memory_bytes: self.bytes,
            memory_bytes_peak: self.peak,
            memory_mib_millis: self.mib_millis,
            ..TaskUsage::default()
        }
    }
}

impl TaskMemory {
    /// An account that is empty at `since`.
    pub(super) fn new(limit: u64, clock: Clock, since: Timestamp) -> TaskMemory {
        TaskMemory { limit, clock, account: Mutex::new(Account { since, ..Account::default() }) }
    }

    pub(super) fn used(&self) -> MemoryUse {
        let mut account = self.account.lock();
        // What is empty does not grow with time, and most tasks are asked when they are over.
        if account.bytes > 0 {
            account.advance(self.clock.now());
        }
        /// A MiB held for a millisecond.
        const MIB_MILLI: u128 = (1 << 20) * 1_000_000;
        MemoryUse {
            bytes: account.bytes,
            peak: account.peak,
            mib_millis: u64::try_from(account.integral / MIB_MILLI).unwrap_or(u64::MAX),
        }
    }
}

impl Account {
    /// Takes `bytes` from `at` on, or none of them when they do not fit in `limit`.
    fn take(&mut self, bytes: u64, limit: u64, at: Timestamp) -> bool {
        let Some(total) = self.bytes.checked_add(bytes).filter(|total| *total <= limit) else {
            return false;
        };
        self.advance(at);
        self.bytes = total;
        self.peak = self.peak.max(total);
        true
    }

    /// Gives `bytes` back, which were held until `at`.
    fn give_back(&mut self, bytes: u64, at: Timestamp) {
        self.advance(at);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn advance(&mut self, now: Timestamp) {
        let nanos = now.since(self.since).as_nanos();
        self.integral = self.integral.saturating_add(nanos.saturating_mul(u128::from(self.bytes)));
        self.since = self.since.max(now);
    }
}

/// The memory of one container: its part of the task's account, and a limit of its own.
///
/// It is shared between the guest's store, which grows it, and the host's buffers for the container.
#[derive(Debug)]
pub(super) struct ContainerMemory {
    task: Arc<TaskMemory>,
    limit: u64,
    /// Changes under the lock of the task's account only.
    held: AtomicU64,
    /// When the container's turn began, in nanoseconds: what it takes in a turn counts from there, which saves a reading of the clock
    /// for each growth and is never less than what it held.
    turn_began_at: AtomicU64,
    /// Whether a growth was refused since the last one that was granted.
    refused: AtomicBool,
}

impl ContainerMemory {
    pub(super) fn new(task: Arc<TaskMemory>, limit: Option<u64>) -> ContainerMemory {
        ContainerMemory {
            task,
            limit: limit.unwrap_or(u64::MAX),
            held: AtomicU64::new(0),
            turn_began_at: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        }
    }

    /// A turn of the container begins at `now`, in nanoseconds of the data plane's clock.
    pub(super) fn begin_turn(&self, now: u64) {
        self.turn_began_at.store(now, Ordering::Relaxed);
    }

    /// Takes `bytes` for the host's own use; a refusal has no consequence for the guest.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let mut account = self.task.account.lock();
        let held = self.held.load(Ordering::Relaxed);
        let Some(total) = held.checked_add(bytes).filter(|total| *total <= self.limit) else {
            return false;
        };
        let at = Timestamp(self.turn_began_at.load(Ordering::Relaxed));
        let is_taken = account.take(bytes, self.task.limit, at);
        if is_taken {
            self.held.store(total, Ordering::Relaxed);
        }
        is_taken
    }

    fn give_back(&self, bytes: u64) {
        let mut account = self.task.account.lock();
        let held = self.held.load(Ordering::Relaxed);
        let bytes = bytes.min(held);
        self.held.store(held - bytes, Ordering::Relaxed);
        account.give_back(bytes, self.task.clock.now());
    }

    fn grow(&self, bytes: u64) -> bool {
        let granted = self.take(bytes);
        self.refused.store(!granted, Ordering::Relaxed);
        granted
    }

    /// Notes that the host cannot give what the guest asked for.
    fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether the guest was refused memory and has had none since: its end is then put down to that.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Gives everything back: the container begins anew, or goes.
    pub(super) fn release(&self) {
        self.release_by(|| self.task.clock.now());
    }

    /// Gives everything back: the container was over at this moment.
    pub(super) fn release_at(&self, at: Timestamp) {
        self.release_by(|| at);
    }

    fn release_by(&self, at: impl FnOnce() -> Timestamp) {
        // Most have nothing left when they go, and whoever goes is not asked for more.
        if self.held.load(Ordering::Relaxed) > 0 {
            let mut account = self.task.account.lock();
            account.give_back(self.held.swap(0, Ordering::Relaxed), at());
        }
    }
}

impl Drop for ContainerMemory {
    fn drop(&mut self) {
        self.release();
    }
}

/// Stands between a store and the account. Also bounds how many instances, tables and memories a component may make.
#[derive(Debug)]
pub(super) struct Limiter {
    container: Arc<Container>,
    /// Charged for a growth whose outcome is not known yet.
    last_growth: u64,
}

impl Limiter {
    pub(super) fn new(container: Arc<Container>) -> Limiter {
        Limiter { container, last_growth: 0 }
    }

    /// The container whose memory it limits.
    pub(super) fn container(&self) -> &Arc<Container> {
        &self.container
    }

    fn growing(&mut self, current: usize, desired: usize, maximum: Option<usize>, unit: u64) -> bool {
        self.last_growth = 0;
        // Beyond the guest's own maximum it is not for us to refuse: the engine does, and nobody is out of memory.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        let units = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let bytes = units.saturating_mul(unit);
        let granted = self.container.memory.grow(bytes);
        if granted {
            self.last_growth = bytes;
        }
        granted
    }

    /// A growth that was granted has failed: the host, or the slot of the instance, has no room for it.
    fn growth_failed(&mut self) {
        let bytes = std::mem::take(&mut self.last_growth);
        if bytes > 0 {
            self.container.memory.give_back(bytes);
            self.container.memory.refuse();
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.growing(current, desired, maximum, 1))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.growth_failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // A maximum that no guest declares is that of the slot.
        if desired > TABLE_ELEMENTS_MAX && maximum.is_some_and(|maximum| maximum >= TABLE_ELEMENTS_MAX) {
            self.container.memory.refuse();
            return Ok(false);
        }
        Ok(self.growing(current, desired, maximum, TABLE_ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.growth_failed();
        Ok(())
    }

    fn instances(&self) -> usize {
        256
    }

    fn tables(&self) -> usize {
        256
    }

    fn memories(&self) -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_plane::stdio::{ContainerOutput, Input, OutputSettings};
    use crate::model::ids::TaskId;

    fn task(limit: u64) -> Arc<TaskMemory> {
        Arc::new(TaskMemory::new(limit, Clock::start_now(), Timestamp::ZERO))
    }

    fn container(limit: u64) -> Arc<Container> {
        let clock = Clock::start_now();
        let output = ContainerOutput::new(Arc::new(OutputSettings::kept_alone(clock, 0)), TaskId(1), 0, None);
        Container::new(ContainerMemory::new(task(limit), None), Input::default(), output)
    }

    /// Two containers share one limit, and each has its own below it.
    #[test]
    fn containers_share_the_limit_of_their_task() {
        let task = task(100);
        let one = ContainerMemory::new(task.clone(), None);
        let two = ContainerMemory::new(task.clone(), Some(40));
        assert!(one.take(60));
        assert!(!two.take(41), "beyond the task's limit and its own");
        assert!(two.take(40));
        assert!(!one.take(1));
        drop(one);
        assert!(!two.take(1), "beyond its own limit");
        let used = task.used();
        assert_eq!((used.bytes, used.peak), (40, 100));
    }

    /// A table that outgrows its slot is out of memory; one that outgrows its own maximum is not.
    #[test]
    fn a_slots_maximum_is_ours() {
        for (maximum, refused) in [(TABLE_ELEMENTS_MAX, true), (10, false)] {
            let container = container(u64::MAX);
            let mut limiter = Limiter::new(container.clone());
            assert!(!limiter.table_growing(0, TABLE_ELEMENTS_MAX + 1, Some(maximum)).unwrap());
            assert_eq!(container.memory.was_refused(), refused, "{maximum}");
        }
    }

    /// A refusal is remembered until a later growth is granted, and a failed growth is not kept.
    #[test]
    fn refusals_are_remembered_until_the_guest_copes() {
        let container = container(1000);
        let memory = &container.memory;
        let mut limiter = Limiter::new(container.clone());
        assert!(limiter.memory_growing(0, 900, None).unwrap());
        assert!(!limiter.memory_growing(900, 1001, None).unwrap());
        assert!(memory.was_refused());
        assert!(limiter.memory_growing(900, 1000, None).unwrap());
        assert!(!memory.was_refused());
        limiter.memory_grow_failed(wasmtime::Error::msg("no address space")).unwrap();
        assert!(memory.was_refused(), "what the host has no room for");
        assert!(limiter.memory_growing(900, 1000, None).unwrap());
        assert!(!limiter.memory_growing(900, 1100, Some(1000)).unwrap());
        assert!(!memory.was_refused(), "the module's own maximum is not the task's limit");
        limiter.memory_grow_failed(wasmtime::Error::msg("more than can be addressed")).unwrap();
        assert!(!memory.take(1), "what was granted before is still held");
    }
}
