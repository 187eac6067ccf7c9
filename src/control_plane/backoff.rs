//! Restart throttling: how long a service waits after tasks that never ran.
//!
//! It counts only tasks that stop without ever having been `RUNNING`. A task that ran and then crashed is replaced at
//! once: that is what deployments' circuit breakers are for. The throttle never gives up by itself.
//!
//! **Source:** ecs-semantics §5.6 for what counts, the cap and the event. *Ours:* the schedule, which ECS does not
//! publish: the first delay, then twice the one before. A service with ten tasks that all fail at once has failed once:
//! failures are counted by rounds, and a task belongs to the round that was going on when it was created.

use serde::{Deserialize, Serialize};

use crate::model::units::{Duration, Timestamp};

/// The text of the service event, after its `(service X) ` prefix. **Source:** ecs-semantics §5.6, §5.11.
pub const UNABLE_TO_START: &str = "is unable to consistently start tasks successfully.";

/// The round of failures with which a service counts as unable to start tasks.
/// *Ours:* ECS states no number; three is its smallest circuit breaker threshold (ecs-semantics §5.7).
const ROUNDS_UNTIL_ANNOUNCED: u32 = 3;

/// How long an event that is still true is not said again. **Source:** ecs-semantics §5.11.
const ANNOUNCED_FOR: Duration = Duration::from_secs(6 * 3600);

/// Delays the start of a service's tasks after some failed to start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RestartThrottle {
    first: Duration,
    max: Duration,
    rounds: u32,
    failed_at: Option<Timestamp>,
    may_start_at: Option<Timestamp>,
    announced_at: Option<Timestamp>,
}

/// What follows from a task that failed to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// No task of the service may be started before this.
    pub may_start_at: Timestamp,
    /// Rounds of failures in a row, this one included.
    pub rounds: u32,
    /// A service event to emit, without its prefix.
    pub message: Option<&'static str>,
}

impl RestartThrottle {
    /// A throttle that waits `first` after the first round of failures and never longer than `max`.
    pub fn new(first: Duration, max: Duration) -> RestartThrottle {
        RestartThrottle { first, max, rounds: 0, failed_at: None, may_start_at: None, announced_at: None }
    }

    /// Notes that a task created at `created_at` stopped without having run.
    ///
    /// Only a task that was created after the last round failed begins another; the others leave the delay as it is.
    pub fn task_failed_to_start(&mut self, now: Timestamp, created_at: Timestamp) -> StartFailure {
        if let (Some(failed_at), Some(may_start_at)) = (self.failed_at, self.may_start_at)
            && created_at <= failed_at
        {
            return StartFailure { may_start_at, rounds: self.rounds, message: None };
        }
        self.rounds = self.rounds.saturating_add(1);
        let may_start_at = now + self.delay();
        self.failed_at = Some(now);
        self.may_start_at = Some(may_start_at);
        let is_due = self.rounds >= ROUNDS_UNTIL_ANNOUNCED
            && self.announced_at.is_none_or(|announced_at| now.since(announced_at) >= ANNOUNCED_FOR);
        if is_due {
            self.announced_at = Some(now);
        }
        StartFailure { may_start_at, rounds: self.rounds, message: is_due.then_some(UNABLE_TO_START) }
    }

    /// Notes that a task of the service reached `RUNNING`: the failures are no longer in a row.
    pub fn task_ran(&mut self) {
        self.reset();
    }

    /// Starts afresh: another task definition resets the throttle at once. **Source:** ecs-semantics §5.6.
    pub fn reset(&mut self) {
        *self = RestartThrottle::new(self.first, self.max);
    }

    /// The moment before which no task may be started; may be past. `None`: nothing has failed.
    pub fn may_start_at(&self) -> Option<Timestamp> {
        self.may_start_at
    }

    /// The delay of the current round: the first one doubled for each round after it, up to the greatest.
    fn delay(&self) -> Duration {
        let doublings = self.rounds.saturating_sub(1);
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(secs)
    }

    fn ecs_throttle() -> RestartThrottle {
        RestartThrottle::new(Duration::from_secs(1), Duration::from_secs(27 * 60))
    }

    /// Fails one task a round, each created when the throttle lets it, and lists the delays in seconds.
    fn delays(throttle: &mut RestartThrottle, rounds: usize) -> Vec<u64> {
        let mut now = at(1);
        (0..rounds)
            .map(|_| {
                let failure = throttle.task_failed_to_start(now, now);
                let delay = failure.may_start_at.since(now).as_secs();
                now = failure.may_start_at;
                delay
            })
            .collect()
    }

    /// ecs-semantics §5.6: 1, 2, 4 ... seconds up to 27 minutes, and there it stays however often it fails.
    #[test]
    fn doubles_up_to_the_cap() {
        let mut throttle = ecs_throttle();
        let all = delays(&mut throttle, 50);
        assert_eq!(all[..12], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1620]);
        assert!(all[12..].iter().all(|&delay| delay == 27 * 60));
    }

    /// Ten tasks of one round that fail one after the other are one failure, even after the delay is over.
    #[test]
    fn counts_rounds_and_not_tasks() {
        let mut throttle = ecs_throttle();
        let first = throttle.task_failed_to_start(at(10), at(5));
        assert_eq!((first.may_start_at, first.rounds), (at(11), 1));
        for now in [10, 10, 11, 15] {
            assert_eq!(throttle.task_failed_to_start(at(now), at(5)), first);
        }
        // Created at the moment of the failure, when nothing of the next round can have been.
        assert_eq!(throttle.task_failed_to_start(at(15), at(10)), first);
        let second = throttle.task_failed_to_start(at(16), at(11));
        assert_eq!((second.may_start_at, second.rounds), (at(18), 2));
    }

    /// The event comes with the third round, then not again until six hours have passed or tasks ran in between.
    #[test]
    fn announces_from_the_third_round() {
        let mut throttle = ecs_throttle();
        let mut fail = |secs| throttle.task_failed_to_start(at(secs), at(secs)).message;
        assert_eq!(fail(1), None);
        assert_eq!(fail(10), None);
        assert_eq!(fail(20), Some(UNABLE_TO_START));
        assert_eq!(fail(30), None);
        assert_eq!(fail(20 + 6 * 3600 - 1), None);
        assert_eq!(fail(20 + 6 * 3600), Some(UNABLE_TO_START));
        assert_eq!(fail(21 + 6 * 3600), None);
    }

    /// A task that ran ends the row; another task definition does too.
    #[test]
    fn starts_afresh() {
        let mut throttle = ecs_throttle();
        assert_eq!(throttle.may_start_at(), None);
        assert_eq!(delays(&mut throttle, 4), [1, 2, 4, 8]);
        throttle.task_ran();
        assert_eq!(throttle.may_start_at(), None);
        assert_eq!(delays(&mut throttle, 2), [1, 2]);
        throttle.reset();
        assert_eq!(delays(&mut throttle, 1), [1]);
    }
}
