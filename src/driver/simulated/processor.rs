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
#[derive(Clone, Debug)]
pub(super) struct Processor {
    capacity: Rate,
    /// Tasks that compute, by slot.
    tasks: Vec<Computing>,
    /// Their containers that compute, by place.
    threads: Vec<Thread>,
    /// Up to when work has flowed.
    at: Timestamp,
    /// Whether somebody came or went since rates were worked out.
    is_changed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Computing {
    slot: u32,
    claim: Claim,
    share: Share,
}

#[derive(Clone, Copy, Debug)]
struct Thread {
    place: Place,
    /// What is left to do; `None`: it never ends.
    left: Option<Flow>,
    /// Done since it was last looked at.
    done: Flow,
    share: Share,
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
        Processor { capacity, tasks: Vec::new(), threads: Vec::new(), at: now, is_changed: false }
    }

    /// Has another capacity from a moment on.
    pub(super) fn set_capacity(&mut self, capacity: Rate, now: Timestamp) {
        self.flow(now);
        self.capacity = capacity;
        self.is_changed = true;
    }

    /// Lets work flow up to a moment.
    pub(super) fn flow(&mut self, now: Timestamp) {
        let time = now.since(self.at);
        if time.is_zero() {
            return;
        }
        self.at = now;
        for thread in &mut self.threads {
            let done = Rate(thread.share.rate).over(time);
            thread.left = thread.left.map(|left| left.less(done));
            thread.done.add(done);
        }
        for task in &mut self.tasks {
            if let Some(quota) = &mut task.claim.quota {
                quota.pass(now, task.share.rate);
            }
        }
    }

    /// A container begins to compute. Work must have flowed up to now, here and below.
    pub(super) fn begin(&mut self, place: Place, mut claim: Claim, computation: Computation) {
        self.is_changed = true;
        if let Err(index) = self.tasks.binary_search_by_key(&place.slot, |task| task.slot) {
            if let Some(quota) = &mut claim.quota {
                quota.pass(self.at, 0);
            }
            self.tasks.insert(index, Computing { slot: place.slot, claim, share: Share::default() });
        }
        let Computation { weight, most, work } = computation;
        let left = (work.0 < u64::MAX).then(|| Flow::of(work));
        let share = Share { weight, most: most.0.min(Rate::VCPU.0), rate: 0 };
        let thread = Thread { place, left, done: Flow(0), share };
        match self.threads.binary_search_by_key(&place, |thread| thread.place) {
            Ok(index) => self.threads[index] = thread,
            Err(index) => self.threads.insert(index, thread),
        }
    }

    /// A container goes on with other work at the same speed.
    pub(super) fn go_on(&mut self, place: Place, work: VcpuNanos) {
        if let Ok(index) = self.threads.binary_search_by_key(&place, |thread| thread.place) {
            self.threads[index].left = Some(Flow::of(work));
        }
    }

    /// A container computes no longer; returns its task's claim as it is, once none of the task does.
    pub(super) fn end(&mut self, place: Place) -> Option<Claim> {
        self.is_changed = true;
        if let Ok(index) = self.threads.binary_search_by_key(&place, |thread| thread.place) {
            self.threads.remove(index);
        }
        let first = self.threads.partition_point(|thread| thread.place.slot < place.slot);
        if self.threads.get(first).is_some_and(|thread| thread.place.slot == place.slot) {
            return None;
        }
        let index = self.tasks.binary_search_by_key(&place.slot, |task| task.slot).ok()?;
        Some(self.tasks.remove(index).claim)
    }

    /// Takes what a container has done since it was last asked.
    pub(super) fn take_done(&mut self, place: Place) -> Flow {
        match self.threads.binary_search_by_key(&place, |thread| thread.place) {
            Ok(index) => std::mem::take(&mut self.threads[index].done),
            Err(_) => Flow(0),
        }
    }

    /// Takes what everybody has done since it was last asked.
    pub(super) fn take_all_done(&mut self, mut take: impl FnMut(Place, Flow)) {
        for thread in &mut self.threads {
            take(thread.place, std::mem::take(&mut thread.done));
        }
    }

    /// The containers whose work is done.
    pub(super) fn finished(&self, places: &mut Vec<Place>) {
        places.extend(self.threads.iter().filter(|thread| thread.left == Some(Flow(0))).map(|thread| thread.place));
    }

    /// Works out the rates anew if they may have changed, and when somebody is done or a quota used up next.
    pub(super) fn next(&mut self) -> Option<Timestamp> {
        // A quota that was just used up, or has begun to refill, is a change as well.
        let has_quota = self.tasks.iter().any(|task| task.claim.quota.is_some());
        let is_changed = std::mem::take(&mut self.is_changed);
        if has_quota || (is_changed && !self.give_all()) {
            self.share();
        }
        let mut soonest: Option<Duration> = None;
        let mut see = |time: Option<Duration>| {
            if let Some(time) = time {
                soonest = Some(soonest.map_or(time, |other| other.min(time)));
            }
        };
        // Of those at the same rate the least work is done first, so that not each of them is divided: most go at one.
        let mut least: Option<(u64, Flow)> = None;
        for thread in &self.threads {
            let Some(left) = thread.left else { continue };
            match &mut least {
                Some((rate, least)) if *rate == thread.share.rate => *least = left.min(*least),
                Some((rate, least)) => {
                    see(least.time_at(*rate));
                    (*rate, *least) = (thread.share.rate, left);
                }
                None => least = Some((thread.share.rate, left)),
            }
        }
        see(least.and_then(|(rate, least)| least.time_at(rate)));
        if has_quota {
            for task in &self.tasks {
                see(task.claim.quota.as_ref().and_then(|quota| quota.used_up(task.share.rate)));
            }
        }
        soonest.map(|time| self.at + time)
    }

    /// Gives everybody what it can use, if that is there for all and nobody has a quota.
    fn give_all(&mut self) -> bool {
        let wanted: u64 = self.threads.iter().map(|thread| thread.share.most).sum();
        if wanted > self.capacity.0 {
            return false;
        }
        for thread in &mut self.threads {
            thread.share.rate = thread.share.most;
        }
        true
    }

    fn share(&mut self) {
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
