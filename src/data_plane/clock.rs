//! The only file that reads the operating system's clock.
//!
//! Everything else is handed a moment: a number of nanoseconds since the cluster started.

use std::time::Instant;

use crate::model::units::{Duration, Timestamp};

/// Real time since the start of a cluster. Copies show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    calendar_start: jiff::Timestamp,
}

impl Clock {
    /// Starts at zero.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that reads the clock")]
    pub fn start_now() -> Clock {
        Clock { start: Instant::now(), calendar_start: jiff::Timestamp::now() }
    }

    /// Starts at zero with another calendar time than the operating system's.
    pub fn starting_at(calendar_start: jiff::Timestamp) -> Clock {
        Clock { calendar_start, ..Clock::start_now() }
    }

    /// The time since the start. Never decreases.
    pub fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The calendar time of a moment, the last that can be written for one beyond it.
    pub fn calendar(&self, at: Timestamp) -> jiff::Timestamp {
        at.calendar(self.calendar_start)
    }

    /// The operating system's instant of a moment, for timed waits.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.start + at.elapsed()
    }

    /// The CPU time that the calling thread has had. Differences between two readings of one thread are what counts.
    pub fn thread_cpu_time() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}
