//! The only file that reads the operating system's clock.
//!
//! Everything else is handed a moment: a number of nanoseconds since the cluster started. In a simulation the moment comes from
//! whoever drives it, and stands still in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::model::units::{Duration, Timestamp};

/// The time since the start of a cluster. Copies show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    calendar_start: jiff::Timestamp,
    /// What the operating system's calendar said at zero.
    began_at: jiff::Timestamp,
}

#[derive(Clone, Debug)]
enum Source {
    /// The operating system's clock, since this moment.
    Real(Instant),
    /// The same, since this moment, at which so much time had passed.
    Resumed(Instant, Duration),
    /// What a [`ClockHand`] was set to last, in nanoseconds.
    Simulated(Arc<AtomicU64>),
}

/// Sets a simulated [`Clock`] and all its copies.
#[derive(Debug)]
pub struct ClockHand(Arc<AtomicU64>);

impl ClockHand {
    /// It is this moment now. One that is earlier than the last changes nothing.
    pub fn set(&self, now: Timestamp) {
        self.0.fetch_max(now.0, Ordering::Relaxed);
    }
}

impl Clock {
    /// Starts at zero.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that reads the clock")]
    pub fn start_now() -> Clock {
        let now = jiff::Timestamp::now();
        Clock { source: Source::Real(Instant::now()), calendar_start: now, began_at: now }
    }

    /// Starts at zero with another calendar time than the operating system's.
    pub fn starting_at(calendar_start: jiff::Timestamp) -> Clock {
        Clock { calendar_start, ..Clock::start_now() }
    }

    /// Goes on where a clock that began at this time of the operating system's would be, which shows a calendar of its own; never behind a
    /// moment that was shown already.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that reads the clock")]
    pub fn going_on(calendar_start: jiff::Timestamp, began_at: jiff::Timestamp, from: Timestamp) -> Clock {
        let elapsed = Duration::try_from(jiff::Timestamp::now().duration_since(began_at)).unwrap_or_default();
        let elapsed = elapsed.max(from.elapsed());
        Clock { source: Source::Resumed(Instant::now(), elapsed), calendar_start, began_at }
    }

    /// A clock that stands at zero until it is set, and what sets it.
    pub fn simulated(calendar_start: jiff::Timestamp) -> (Clock, ClockHand) {
        let nanos = Arc::new(AtomicU64::new(0));
        (Clock { source: Source::Simulated(nanos.clone()), calendar_start, began_at: calendar_start }, ClockHand(nanos))
    }

    /// The time since the start. Never decreases.
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::Real(start) => Timestamp(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            Source::Resumed(start, before) => Timestamp::ZERO + (*before + start.elapsed()),
            Source::Simulated(nanos) => Timestamp(nanos.load(Ordering::Relaxed)),
        }
    }

    /// When it began by the operating system's calendar, which is not the one that it shows where that was set.
    pub fn began_at(&self) -> jiff::Timestamp {
        self.began_at
    }

    /// The calendar time of a moment, the last that can be written for one beyond it.
    pub fn calendar(&self, at: Timestamp) -> jiff::Timestamp {
        at.calendar(self.calendar_start)
    }

    /// The time until a moment, zero when it has passed.
    pub fn until(&self, at: Timestamp) -> Duration {
        at.since(self.now())
    }

    /// The CPU time that the calling thread has had. Differences between two readings of one thread are what counts.
    pub fn thread_cpu_time() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}
