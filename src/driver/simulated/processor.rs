//! How the vCPUs of one instance, or of one Fargate task, are shared between the containers that compute, in exact integers.
//!
//! The intuition: what computes is a fluid. At any moment each container has a rate, rates change only when somebody comes, goes or uses
//! up its quota, and between two changes work flows at those rates. So all that is needed is the next moment at which one of them
//! is done, and there is nothing to do before.
//!
//! Tasks share by weight, nobody gets more than it can use, and what one can't use the others have: it is dealt out again by weight. A
//! task's own containers share what it gets in the same way. A container is one thread: one vCPU at most.
//!
//! A quota is an allowance that refills with time, up to that of one period, as that of the kernel: a task that has slept may spend a
//! period's worth at full speed, and one that computes all the time gets its quota. **Source:** ecs-semantics §3.4.

use super::work::NEVER;
use crate::model::units::{CpuUnits, Duration, Timestamp, VcpuNanos};

/// Parts of a vCPU that a rate is counted in, as a power of two.
const RATE_BITS: u32 = 32;

/// A speed: 2^32 of these are one vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rate(u64);

impl Rate {
    /// One vCPU: what a single thread can use.
    pub(super) const VCPU: Rate = Rate(1 << RATE_BITS);

    /// Standing still.
    pub(super) const ZERO: Rate = Rate(0);

    /// The speed of so many CPU units.
    pub(super) fn of(cpu: CpuUnits) -> Rate {
        Rate((u64::from(cpu.0) << RATE_BITS) / u64::from(CpuUnits::PER_VCPU))
    }

    /// The speed of so much work in a second.
    pub(super) fn of_work_per_second(work: VcpuNanos) -> Rate {
        Rate(u64::try_from((u128::from(work.0) << RATE_BITS) / 1_000_000_000).unwrap_or(u64::MAX))
    }

    /// The work that takes a time at this speed.
    pub(super) fn work_in(self, time: Duration) -> VcpuNanos {
        self.over(time).vcpu()
    }

    /// Work done at this speed in a time.
    fn over(self, time: Duration) -> Flow {
        Flow(u128::from(self.0) * time.as_nanos())
    }
}

/// An amount of work in 2^32 parts of a vCPU-nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow(u128);

impl Flow {
    pub(super) fn of(work: VcpuNanos) -> Flow {
        Flow(u128::from(work.0) << RATE_BITS)
    }

    /// In whole vCPU-nanoseconds, rounded down.
    pub(super) fn vcpu(self) -> VcpuNanos {
        VcpuNanos(u64::try_from(self.0 >> RATE_BITS).unwrap_or(u64::MAX))
    }

    pub(super) fn add(&mut self, other: Flow) {
        self.0 += other.0;
    }

    fn less(self, other: Flow) -> Flow {
        Flow(self.0.saturating_sub(other.0))
    }

    /// How long it takes at a rate, rounded up to the next nanosecond; `None`: for ever.
    fn time_at(self, rate: u64) -> Option<Duration> {
        let nanos = match (u64::try_from(self.0), rate) {
            (_, 0) => return None,
            (Ok(flow), rate) => flow.div_ceil(rate),
            // Beyond four vCPU-seconds.
            (Err(_), rate) => u64::try_from(self.0.div_ceil(u128::from(rate))).ok()?,
        };
        Some(Duration::from_nanos(nanos))
    }
}

/// A container's place: its task's slot and its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) container: u32,
}

/// A task's claim on its processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Against other tasks.
    pub(super) weight: u64,
    /// Its hard limit, if it has one.
    pub(super) quota: Option<Quota>,
}

/// A hard limit and what is left of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    rate: Rate,
    /// The allowance of one period.
    depth: Flow,
    /// What is left.
    left: Flow,
    /// As of this moment.
    at: Timestamp,
}

impl Quota {
    /// A limit whose period is full.
    pub(super) fn new(cpu: CpuUnits, period: Duration, now: Timestamp) -> Quota {
        let rate = Rate::of(cpu);
        let depth = rate.over(period);
        Quota { rate, depth, left: depth, at: now }
    }

    /// Lets time pass in which the task computed at a rate.
    fn pass(&mut self, now: Timestamp, used: u64) {
        let time = now.since(self.at);
        self.at = now;
        let refilled = Flow(self.left.0 + self.rate.over(time).0);
        self.left = refilled.less(Rate(used).over(time)).min(self.depth);
    }

    /// When the allowance is used up at a rate.
    fn used_up(&self, used: u64) -> Option<Duration> {
        if self.left == Flow(0) { None } else { self.left.time_at(used.saturating_sub(self.rate.0)) }
    }
}

/// The vCPUs of an instance or of a Fargate task.
///
/// Of a hundred containers that compute most go on as they are when one comes or goes. So work flows for each of them when its rate
/// changes or somebody asks, and not at every event, and what is looked through at every event is kept close together.
#[derive(Clone, Debug)]
pub(super) struct Processor {
    capacity: Rate,
    /// Tasks that compute.
    tasks: Vec<Computing>,
    /// The slot of each of them.
    slots: Vec<u32>,
    /// Their containers that compute.
    threads: Vec<Thread>,
    /// The place of each of those.
    places: Vec<Place>,
    /// When each of them is done at its rate.
    dues: Vec<Timestamp>,
    /// The index of the thread that was looked for last, or was the last one found to be done.
    found: usize,
    /// Whether tasks are in the order of slots and threads in that of places.
    is_in_order: bool,
    /// How many tasks have a quota.
    quota_count: usize,
    /// The most that all threads can use together.
    wanted: u64,
    /// Whether each thread has the most that it can use.
    is_all_given: bool,
    /// The moment up to which it has come.
    at: Timestamp,
    /// Whether somebody came or went since rates were worked out.
    is_changed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Computing {
    slot: u32,
    /// How many of its containers compute.
    threads: u32,
    claim: Claim,
    share: Share,
}

#[derive(Clone, Copy, Debug)]
struct Thread {
    place: Place,
    /// Up to when its work has flowed.
    at: Timestamp,
    /// What is left to do then; `None`: it never ends.
    left: Option<Flow>,
    /// Done by then since it was last looked at.
    done: Flow,
    share: Share,
}

impl Thread {
    /// Lets its work flow up to a moment.
    fn flow(&mut self, now: Timestamp) {
        let done = Rate(self.share.rate).over(now.since(self.at));
        self.at = now;
        self.left = self.left.map(|left| left.less(done));
        self.done.add(done);
    }

    /// When it is done at its rate: the same whenever it is asked.
    fn due(&self) -> Timestamp {
        match self.left {
            None => NEVER,
            Some(Flow(0)) => self.at,
            Some(left) => left.time_at(self.share.rate).map_or(NEVER, |time| self.at + time),
        }
    }
}

/// What somebody wants and gets of a rate.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    weight: u64,
    most: u64,
    rate: u64,
}

/// What a container is about to compute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Computation {
    /// Its weight against the others of its task.
    pub(super) weight: u64,
    /// The most that it can use.
    pub(super) most: Rate,
    /// How much; the greatest amount never ends.
    pub(super) work: VcpuNanos,
}

impl Processor {
    pub(super) fn new(capacity: Rate, now: Timestamp) -> Processor {
        Processor {
            capacity,
            tasks: Vec::new(),
            slots: Vec::new(),
            threads: Vec::new(),
            places: Vec::new(),
            dues: Vec::new(),
            found: 0,
            is_in_order: true,
            quota_count: 0,
            wanted: 0,
            is_all_given: true,
            at: now,
            is_changed: false,
        }
    }

    /// Has another capacity from a moment on.
    pub(super) fn set_capacity(&mut self, capacity: Rate, now: Timestamp) {
        self.flow(now);
        self.capacity = capacity;
        self.is_changed = true;
    }

    /// Comes to a moment.
    pub(super) fn flow(&mut self, now: Timestamp) {
        if now == self.at {
            return;
        }
        self.at = now;
        if self.quota_count > 0 {
            for task in &mut self.tasks {
                if let Some(quota) = &mut task.claim.quota {
                    quota.pass(now, task.share.rate);
                }
            }
        }
    }

    /// A container begins to compute, which must not do so already. The processor must have come to this moment, here and below. `claim` is
    /// its task's, if none of it computes, and is given back by [`Processor::end`].
    pub(super) fn begin(&mut self, place: Place, claim: Option<Claim>, computation: Computation) {
        debug_assert!(!self.places.contains(&place), "who computes does not begin to");
        debug_assert_ne!(self.slots.contains(&place.slot), claim.is_some(), "a claim is in one place");
        self.is_changed = true;
        // Where rates are dealt out, that is done in order.
        let keeps_order = self.is_in_order && !self.is_all_given;
        if let Some(mut claim) = claim {
            if let Some(quota) = &mut claim.quota {
                quota.pass(self.at, 0);
                self.quota_count += 1;
            }
            self.is_in_order &= keeps_order || self.slots.last().is_none_or(|last| *last < place.slot);
            let end = self.slots.len();
            let index = if keeps_order { self.slots.partition_point(|slot| *slot < place.slot) } else { end };
            self.slots.insert(index, place.slot);
            self.tasks.insert(index, Computing { slot: place.slot, threads: 1, claim, share: Share::default() });
        } else if let Some(index) = self.task_index_of(place.slot, self.places.len()) {
            self.tasks[index].threads += 1;
        }
        let Computation { weight, most, work } = computation;
        let left = (work.0 < u64::MAX).then(|| Flow::of(work));
        let most = most.0.min(Rate::VCPU.0);
        self.wanted += most;
        self.is_all_given &= self.quota_count == 0 && self.wanted <= self.capacity.0;
        let share = Share { weight, most, rate: if self.is_all_given { most } else { 0 } };
        let thread = Thread { place, at: self.at, left, done: Flow(0), share };
        self.is_in_order &= keeps_order || self.places.last().is_none_or(|last| *last < place);
        let end = self.places.len();
        let index = if keeps_order { self.places.partition_point(|other| *other < place) } else { end };
        self.places.insert(index, place);
        self.dues.insert(index, thread.due());
        self.threads.insert(index, thread);
    }

    /// A container goes on with other work at the same speed.
    pub(super) fn go_on(&mut self, place: Place, work: VcpuNanos) {
        if let Some(index) = self.index_of(place) {
            let thread = &mut self.threads[index];
            thread.flow(self.at);
            thread.left = Some(Flow::of(work));
            self.dues[index] = thread.due();
        }
    }

    /// A container computes no longer; returns its task's claim as it is, once none of the task does.
    pub(super) fn end(&mut self, place: Place) -> Option<Claim> {
        let thread = self.index_of(place)?;
        let index = self.task_index_of(place.slot, thread)?;
        self.is_changed = true;
        self.remove_thread(thread);
        self.tasks[index].threads -= 1;
        if self.tasks[index].threads > 0 {
            return None;
        }
        self.is_in_order &= !self.is_all_given || index + 1 == self.slots.len();
        let claim = if self.is_all_given {
            self.slots.swap_remove(index);
            self.tasks.swap_remove(index).claim
        } else {
            self.slots.remove(index);
            self.tasks.remove(index).claim
        };
        self.quota_count -= usize::from(claim.quota.is_some());
        Some(claim)
    }

    /// Takes what a container has done since it was last asked.
    pub(super) fn take_done(&mut self, place: Place) -> Flow {
        let Some(index) = self.index_of(place) else { return Flow(0) };
        let thread = &mut self.threads[index];
        thread.flow(self.at);
        std::mem::take(&mut thread.done)
    }

    /// Takes what everybody has done since it was last asked.
    pub(super) fn take_all_done(&mut self, mut take: impl FnMut(Place, Flow)) {
        for thread in &mut self.threads {
            thread.flow(self.at);
            take(thread.place, std::mem::take(&mut thread.done));
        }
    }

    /// The containers whose work is done, in order.
    pub(super) fn finished(&mut self, places: &mut Vec<Place>) {
        let begin = places.len();
        for (index, _) in self.dues.iter().enumerate().filter(|(_, due)| **due <= self.at) {
            places.push(self.places[index]);
            self.found = index;
        }
        places[begin..].sort_unstable();
    }

    /// Works out the rates anew if they may have changed, and when somebody is done or a quota used up next.
    pub(super) fn next(&mut self) -> Option<Timestamp> {
        // A quota that was just used up, or has begun to refill, is a change as well.
        let has_quota = self.quota_count > 0;
        let is_changed = std::mem::take(&mut self.is_changed);
        if has_quota || (is_changed && !self.give_all()) {
            self.share();
        }
        let soonest = self.dues.iter().min().filter(|due| **due < NEVER).map(|due| self.at.max(*due));
        if !has_quota {
            return soonest;
        }
        let used_up = |task: &Computing| task.claim.quota.as_ref().and_then(|quota| quota.used_up(task.share.rate));
        let quotas = self.tasks.iter().filter_map(used_up).map(|time| self.at + time);
        quotas.chain(soonest).min()
    }

    /// Looks at what it has of the container that is done next, and says which that is.
    pub(super) fn look_ahead(&self) -> Option<(u64, Place)> {
        let (index, _) = self.dues.iter().enumerate().min_by_key(|(_, due)| **due)?;
        let place = self.places[index];
        // What goes changes places with the last.
        let threads = [self.threads.get(index), self.threads.last()].into_iter().flatten();
        let tasks = [self.tasks.get(index), self.tasks.last()].into_iter().flatten();
        let shares = threads.map(|thread| thread.share).chain(tasks.map(|task| task.share));
        let listed = self.slots.get(index).map_or(0, |slot| u64::from(slot ^ place.slot));
        Some((shares.fold(listed, |seen, share| seen ^ share.weight), place))
    }

    fn index_of(&mut self, place: Place) -> Option<usize> {
        // Whoever was found to be done is asked for what it has done, and then it goes.
        if self.places.get(self.found) != Some(&place) {
            self.found = self.places.iter().position(|other| *other == place)?;
        }
        Some(self.found)
    }

    /// The index of a task one of whose containers has, or is to have, the `thread`-th thread: where each task has one, it is the same.
    fn task_index_of(&self, slot: u32, thread: usize) -> Option<usize> {
        if self.slots.get(thread) == Some(&slot) {
            return Some(thread);
        }
        self.slots.iter().position(|other| *other == slot)
    }

    fn remove_thread(&mut self, index: usize) {
        self.is_in_order &= !self.is_all_given || index + 1 == self.places.len();
        let gone = if self.is_all_given {
            self.places.swap_remove(index);
            self.dues.swap_remove(index);
            self.threads.swap_remove(index)
        } else {
            self.places.remove(index);
            self.dues.remove(index);
            self.threads.remove(index)
        };
        self.wanted -= gone.share.most;
    }

    /// Gives everybody what it can use, if that is there for all and nobody has a quota.
    fn give_all(&mut self) -> bool {
        if self.wanted > self.capacity.0 {
            return false;
        }
        if !std::mem::replace(&mut self.is_all_given, true) {
            for (thread, due) in self.threads.iter_mut().zip(&mut self.dues) {
                thread.flow(self.at);
                thread.share.rate = thread.share.most;
                *due = thread.due();
            }
        }
        true
    }

    fn share(&mut self) {
        if !std::mem::replace(&mut self.is_in_order, true) {
            self.tasks.sort_unstable_by_key(|task| task.slot);
            self.threads.sort_unstable_by_key(|thread| thread.place);
            self.slots.clear();
            self.slots.extend(self.tasks.iter().map(|task| task.slot));
            self.places.clear();
            self.places.extend(self.threads.iter().map(|thread| thread.place));
        }
        for thread in &mut self.threads {
            thread.flow(self.at);
        }
        let mut threads = self.threads.as_mut_slice();
        for task in &mut self.tasks {
            let count = threads.iter().take_while(|thread| thread.place.slot == task.slot).count();
            let (own, others) = threads.split_at_mut(count);
            threads = others;
            let wanted: u64 = own.iter().map(|thread| thread.share.most).sum();
            let most = match task.claim.quota {
                Some(quota) if quota.left == Flow(0) => wanted.min(quota.rate.0),
                _ => wanted,
            };
            task.share = Share { weight: task.claim.weight.max(1), most, rate: 0 };
        }
        deal(self.capacity.0, &mut self.tasks, |task| &mut task.share);
        let mut threads = self.threads.as_mut_slice();
        for task in &self.tasks {
            let count = threads.iter().take_while(|thread| thread.place.slot == task.slot).count();
            let (own, others) = threads.split_at_mut(count);
            threads = others;
            deal(task.share.rate, own, |thread| &mut thread.share);
        }
        self.dues.clear();
        self.dues.extend(self.threads.iter().map(Thread::due));
        self.is_all_given = false;
    }
}

/// Deals a rate out by weight, nobody getting more than it can use.
fn deal<T>(capacity: u64, all: &mut [T], share: impl Fn(&mut T) -> &mut Share) {
    let wanted: u64 = all.iter_mut().map(|one| share(one).most).sum();
    if wanted <= capacity {
        for one in all {
            let share = share(one);
            share.rate = share.most;
        }
        return;
    }
    let (mut left, mut weights) = (u128::from(capacity), 0u128);
    for one in all.iter_mut() {
        let share = share(one);
        share.rate = u64::MAX;
        weights += u128::from(share.weight);
    }
    // Whoever wants no more than its part has it, which leaves more for the others: until nobody is left who wants less.
    loop {
        let before = weights;
        for one in all.iter_mut() {
            let share = share(one);
            let (most, weight) = (u128::from(share.most), u128::from(share.weight));
            if share.rate == u64::MAX && most * weights <= left * weight {
                share.rate = share.most;
                left -= most;
                weights -= weight;
            }
        }
        if weights == before {
            break;
        }
    }
    for one in all {
        let share = share(one);
        if share.rate == u64::MAX {
            share.rate = u64::try_from(left * u128::from(share.weight) / weights).unwrap_or(u64::MAX);
        }
    }
}

#[cfg(test)]
mod tests;
