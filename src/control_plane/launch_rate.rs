//! How many tasks a service may start in any minute. **Source:** ecs-semantics §1.7, §5.3.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::units::{Duration, Timestamp};

const WINDOW: Duration = Duration::from_secs(60);

/// Counts a service's starts of the last minute.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct LaunchRate {
    per_minute: u32,
    /// (when, how many), oldest first.
    launches: VecDeque<(Timestamp, u32)>,
    /// How many tasks those are.
    launched: u32,
}

impl LaunchRate {
    pub(super) fn new(per_minute: u32) -> LaunchRate {
        LaunchRate { per_minute, launches: VecDeque::new(), launched: 0 }
    }

    /// How many tasks may be started at this moment.
    pub(super) fn allowance(&mut self, now: Timestamp) -> u32 {
        while let Some((_, count)) = self.launches.pop_front_if(|(at, _)| *at + WINDOW <= now) {
            self.launched -= count;
        }
        self.per_minute.saturating_sub(self.launched)
    }

    /// Notes tasks that were started.
    pub(super) fn launched(&mut self, now: Timestamp, count: u32) {
        self.launched += count;
        match self.launches.back_mut() {
            Some((at, known)) if *at == now => *known += count,
            _ if count > 0 => self.launches.push_back((now, count)),
            _ => {}
        }
    }

    /// When the next may be started, if none may be before.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.launches.front().map(|(at, _)| *at + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(secs)
    }

    /// Each start counts for a minute.
    #[test]
    fn starts_count_for_a_minute() {
        let mut rate = LaunchRate::new(5);
        assert_eq!(rate.allowance(at(0)), 5);
        rate.launched(at(0), 3);
        rate.launched(at(30), 2);
        assert_eq!((rate.allowance(at(30)), rate.next_at()), (0, Some(at(60))));
        assert_eq!((rate.allowance(at(59)), rate.allowance(at(60))), (0, 3));
        assert_eq!((rate.allowance(at(89)), rate.allowance(at(90)), rate.next_at()), (3, 5, None));
    }
}
