//! The last durations of something and their percentiles.

use std::collections::VecDeque;

use super::units::Duration;

/// The last so many durations, oldest first.
#[derive(Clone, Debug)]
pub struct RecentDurations {
    durations: VecDeque<Duration>,
    kept: usize,
    count: u64,
}

/// Percentiles of durations. All zero when there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many there were in all, those that are no longer kept included.
    pub count: u64,
    /// The median of those kept.
    pub p50: Duration,
    /// The 99th percentile of those kept.
    pub p99: Duration,
    /// The greatest of those kept.
    pub max: Duration,
}

impl Default for RecentDurations {
    /// Keeps the last 1024.
    fn default() -> RecentDurations {
        RecentDurations::keeping(1024)
    }
}

impl RecentDurations {
    /// Keeps the last `kept`.
    pub fn keeping(kept: usize) -> RecentDurations {
        RecentDurations { durations: VecDeque::new(), kept, count: 0 }
    }

    /// Adds one; the oldest goes when there are too many.
    pub fn push(&mut self, duration: Duration) {
        if self.durations.len() == self.kept {
            self.durations.pop_front();
        }
        self.durations.push_back(duration);
        self.count += 1;
    }

    /// Their percentiles by nearest rank. Sorts: meant for eyes, not for a hot path.
    pub fn percentiles(&self) -> Percentiles {
        let mut sorted: Vec<Duration> = self.durations.iter().copied().collect();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Percentiles { count: self.count, p50: rank(50), p99: rank(99), max: rank(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nearest rank over what is kept; the count is over all.
    #[test]
    fn percentiles_are_of_the_last_ones() {
        let mut recent = RecentDurations::keeping(100);
        for millis in 0..=200 {
            recent.push(Duration::from_millis(millis));
        }
        let found = recent.percentiles();
        assert_eq!((found.count, found.p50.as_millis(), found.p99.as_millis()), (201, 150, 199));
        assert_eq!(found.max.as_millis(), 200);
        assert_eq!(RecentDurations::keeping(3).percentiles(), Percentiles::default());
    }
}
