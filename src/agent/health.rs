//! The health of one container: when its checks run, and what they mean.
//!
//! One check at a time: the first an interval after the start, each other one an interval after the one before it was
//! over. A check that takes longer than its timeout has failed at that moment and is killed; the next one waits until it is gone.

use super::event::CheckResult;
use crate::model::task::HealthStatus;
use crate::model::task_definition::HealthCheck;
use crate::model::units::Timestamp;

/// What a monitor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckStep {
    /// Run this check.
    Start(u64),
    /// End this check.
    Kill(u64),
}

/// The checks of a container from one start of it to its end.
#[derive(Clone, Debug)]
pub(super) struct HealthMonitor {
    status: HealthStatus,
    /// Failures since the last pass that count.
    failure_count: u32,
    /// Until when failures do not count, unless a check has passed.
    grace_until: Timestamp,
    last_check: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next check is due.
    Waiting { until: Timestamp },
    /// A check runs.
    Checking { since: Timestamp, timeout_at: Timestamp },
    /// A check has failed by its timeout and is not gone yet.
    Ending { next_at: Timestamp },
    /// The container is over or about to be, and perhaps the last check is not gone yet.
    Off { is_busy: bool },
}

impl HealthMonitor {
    /// A monitor from the container's start on. `before` is that of its last run, whose numbers go on.
    ///
    /// *Ours:* the interval before the first check is Docker's, as is that a container that is started again begins with a health
    /// that is not known and a start period of its own.
    pub(super) fn started(now: Timestamp, check: &HealthCheck, before: Option<&HealthMonitor>) -> HealthMonitor {
        HealthMonitor {
            status: HealthStatus::Unknown,
            failure_count: 0,
            grace_until: now + check.start_period,
            last_check: before.map_or(0, |before| before.last_check),
            state: match before {
                Some(before) if before.is_busy() => State::Ending { next_at: now + check.interval },
                _ => State::Waiting { until: now + check.interval },
            },
        }
    }

    /// Whether a check is not gone yet.
    pub(super) fn is_busy(&self) -> bool {
        match self.state {
            State::Checking { .. } | State::Ending { .. } => true,
            State::Waiting { .. } => false,
            State::Off { is_busy } => is_busy,
        }
    }

    pub(super) fn status(&self) -> HealthStatus {
        self.status
    }

    /// When [`HealthMonitor::due`] has something to do.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Checking { timeout_at, .. } => Some(timeout_at),
            State::Ending { .. } | State::Off { .. } => None,
        }
    }

    /// Begins the check that is due, or ends the one whose time is over.
    pub(super) fn due(&mut self, now: Timestamp, check: &HealthCheck) -> Option<CheckStep> {
        match self.state {
            State::Waiting { until } if until <= now => {
                self.last_check += 1;
                self.state = State::Checking { since: now, timeout_at: now + check.timeout };
                Some(CheckStep::Start(self.last_check))
            }
            State::Checking { since, timeout_at } if timeout_at <= now => {
                self.take(since, CheckResult::Failed, check);
                self.state = State::Ending { next_at: now + check.interval };
                Some(CheckStep::Kill(self.last_check))
            }
            _ => None,
        }
    }

    /// A check is over. One that was given up before changes nothing but that the next one may begin.
    pub(super) fn finished(&mut self, now: Timestamp, number: u64, result: CheckResult, check: &HealthCheck) {
        if number != self.last_check {
            return;
        }
        match self.state {
            State::Checking { since, .. } => {
                self.take(since, result, check);
                self.state = State::Waiting { until: now + check.interval };
            }
            State::Ending { next_at } => self.state = State::Waiting { until: next_at.max(now) },
            State::Off { .. } => self.state = State::Off { is_busy: false },
            State::Waiting { .. } => {}
        }
    }

    /// No more checks. Returns the one that runs. The status stays as it is. **Source:** ecs-semantics §1.5.1.
    pub(super) fn end(&mut self) -> Option<u64> {
        let is_busy = self.is_busy();
        let before = std::mem::replace(&mut self.state, State::Off { is_busy });
        matches!(before, State::Checking { .. }).then_some(self.last_check)
    }

    /// **Source:** ecs-semantics §1.5.1: failures in the start period do not count, a pass in it ends it.
    fn take(&mut self, began_at: Timestamp, result: CheckResult, check: &HealthCheck) {
        match result {
            CheckResult::Passed => {
                self.status = HealthStatus::Healthy;
                self.failure_count = 0;
            }
            CheckResult::Failed => {
                if self.status == HealthStatus::Unknown && began_at < self.grace_until {
                    return;
                }
                self.failure_count = self.failure_count.saturating_add(1);
                if self.failure_count >= check.retries {
                    self.status = HealthStatus::Unhealthy;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::Duration;
    use CheckResult::{Failed, Passed};

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(secs)
    }

    fn definition(start_period: u64) -> HealthCheck {
        HealthCheck {
            command: vec!["CMD".to_owned(), "probe".to_owned()],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(4),
            retries: 2,
            start_period: Duration::from_secs(start_period),
        }
    }

    /// Runs checks that take a second each; the status after each is shown by its first letter.
    #[track_caller]
    fn check(start_period: u64, results: &[CheckResult], expected: &str) {
        let definition = definition(start_period);
        let mut monitor = HealthMonitor::started(at(0), &definition, None);
        let mut shown = String::new();
        for result in results {
            let due = monitor.deadline().expect("a next check is planned");
            let Some(CheckStep::Start(number)) = monitor.due(due, &definition) else { panic!("a check is due") };
            monitor.finished(due + Duration::from_secs(1), number, *result, &definition);
            let letter = match monitor.status() {
                HealthStatus::Unknown => '?',
                HealthStatus::Healthy => 'H',
                HealthStatus::Unhealthy => 'U',
            };
            shown.push(letter);
        }
        assert_eq!(shown, expected);
    }

    /// Claim: as many failures in a row as `retries` says make unhealthy, one pass healthy. Method: runs of results.
    #[test]
    fn retries() {
        check(0, &[Failed, Failed, Failed], "?UU");
        check(0, &[Failed, Passed, Failed, Passed, Failed, Failed], "?HHHHU");
        check(0, &[Passed, Failed, Failed, Passed], "HHUH");
    }

    /// Claim: failures in the start period do not count until a check has passed in it. Method: checks at 10, 21, 32, 43 s ...
    #[test]
    fn start_period() {
        check(30, &[Failed, Failed, Failed, Failed], "???U");
        check(30, &[Passed, Failed, Failed], "HHU");
        check(300, &[Failed; 20], "????????????????????");
    }

    /// Claim: a check that hangs fails at its timeout, is killed, and holds up the next one only until it is gone.
    /// Method: by hand.
    #[test]
    fn timeouts() {
        let definition = definition(0);
        let mut monitor = HealthMonitor::started(at(0), &definition, None);
        assert_eq!(monitor.due(at(9), &definition), None);
        assert_eq!(monitor.due(at(10), &definition), Some(CheckStep::Start(1)));
        assert_eq!(monitor.deadline(), Some(at(14)));
        assert_eq!(monitor.due(at(14), &definition), Some(CheckStep::Kill(1)));
        assert_eq!((monitor.failure_count, monitor.deadline()), (1, None));
        monitor.finished(at(15), 1, Passed, &definition);
        assert_eq!((monitor.failure_count, monitor.deadline()), (1, Some(at(24))));
        assert_eq!(monitor.due(at(24), &definition), Some(CheckStep::Start(2)));
        monitor.finished(at(25), 1, Passed, &definition);
        assert_eq!(monitor.deadline(), Some(at(28)), "an earlier check is not this one");
        assert_eq!(monitor.end(), Some(2));
        assert_eq!((monitor.end(), monitor.deadline()), (None, None));
    }

    /// Claim: a container that is started again is not known to be healthy, and its checks have numbers of their own.
    /// Method: by hand.
    #[test]
    fn restarts() {
        let definition = definition(0);
        let mut monitor = HealthMonitor::started(at(0), &definition, None);
        monitor.due(at(10), &definition);
        monitor.finished(at(11), 1, Passed, &definition);
        let mut again = HealthMonitor::started(at(50), &definition, Some(&monitor));
        assert_eq!(again.status(), HealthStatus::Unknown);
        assert_eq!(again.due(at(60), &definition), Some(CheckStep::Start(2)));
    }
}
