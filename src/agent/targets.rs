//! The health of a task's targets: when each is checked, and what the results mean.
//!
//! A check is a request that waits in the container's line as a job does. One that finds the container waiting for a job is answered at once;
//! one that finds it busy is answered when the container asks for its next job, and has timed out if it did not within the timeout. The
//! first check is made when the task runs, each other one an interval after the one before it was made.

use std::sync::Arc;

use crate::control_plane::event::{Event, TargetHealthChange};
use crate::model::ids::TaskId;
use crate::model::routing::Routed;
use crate::model::target_group::{TargetHealthCheck, TargetStart, TargetState};
use crate::model::units::Timestamp;

/// What a container does about jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobTaking {
    /// How many times it has asked for one.
    pub asked: u64,
    /// Whether it waits for one.
    pub is_waiting: bool,
}

/// That a target's health has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetChange {
    /// The name of the target group.
    pub target_group: Arc<str>,
    /// Counts the changes of this target, from 1.
    pub number: u32,
    /// Its health.
    pub state: TargetState,
}

impl TargetChange {
    /// As the control plane is told of it.
    pub fn event(self, task: TaskId) -> Event {
        let TargetChange { target_group, number, state } = self;
        Event::TargetHealth(TargetHealthChange { task, target_group, number, state })
    }
}

/// A task's targets, from the moment on when it runs.
#[derive(Clone, Debug)]
pub struct TargetMonitors(Vec<TargetMonitor>);

#[derive(Clone, Debug)]
struct TargetMonitor {
    target_group: Arc<str>,
    container_index: usize,
    check: TargetHealthCheck,
    state: TargetState,
    /// Results in a row that speak against the state.
    against: u32,
    changes: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next check is due.
    Waiting { until: Timestamp },
    /// A check that was made when the container had asked for so many jobs has not been answered.
    Checking { since: Timestamp, asked: u64 },
}

impl TargetMonitors {
    /// Those of a task that runs from `now` on.
    pub fn registered(now: Timestamp, targets: &[TargetStart]) -> TargetMonitors {
        let monitor = |target: &TargetStart| TargetMonitor {
            target_group: target.target_group.clone(),
            container_index: target.container_index,
            check: target.health_check,
            state: TargetState::Initial,
            against: 0,
            changes: 0,
            step: Step::Waiting { until: now },
        };
        TargetMonitors(targets.iter().map(monitor).collect())
    }

    /// When [`TargetMonitors::due`] has something to do.
    pub fn deadline(&self) -> Timestamp {
        self.0.iter().map(TargetMonitor::deadline).min().unwrap_or(Timestamp(u64::MAX))
    }

    /// Makes the checks that are due and takes in the results of others. `of` says what a container does, by its index.
    pub fn due(&mut self, now: Timestamp, of: impl Fn(usize) -> JobTaking) -> Vec<TargetChange> {
        let due = self.0.iter_mut().filter(|monitor| monitor.deadline() <= now);
        due.filter_map(|monitor| {
            let taking = of(monitor.container_index);
            monitor.due(now, taking)
        })
        .collect()
    }

    /// How the task stands with its load balancers: healthy when it is in every target group.
    pub(crate) fn routed(&self) -> Routed {
        let are_healthy = self.0.iter().all(|monitor| monitor.state == TargetState::Healthy);
        if are_healthy { Routed::Healthy } else { Routed::NotHealthy }
    }
}

impl TargetMonitor {
    fn deadline(&self) -> Timestamp {
        match self.step {
            Step::Waiting { until } => until,
            Step::Checking { since, .. } => since + self.check.timeout,
        }
    }

    fn due(&mut self, now: Timestamp, taking: JobTaking) -> Option<TargetChange> {
        let (since, has_passed) = match self.step {
            Step::Waiting { .. } if !taking.is_waiting => {
                self.step = Step::Checking { since: now, asked: taking.asked };
                return None;
            }
            Step::Waiting { .. } => (now, true),
            Step::Checking { since, asked } => (since, taking.is_waiting || taking.asked > asked),
        };
        self.step = Step::Waiting { until: (since + self.check.interval).max(now) };
        self.take(has_passed)
    }

    /// **Source:** Elastic Load Balancing user guide: a target that is registered must pass one check; else the thresholds decide.
    fn take(&mut self, has_passed: bool) -> Option<TargetChange> {
        let needed = match (self.state, has_passed) {
            (TargetState::Initial, true) => 1,
            (TargetState::Unhealthy, true) => self.check.healthy_threshold,
            (TargetState::Initial | TargetState::Healthy, false) => self.check.unhealthy_threshold,
            // As it is.
            _ => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.state = if has_passed { TargetState::Healthy } else { TargetState::Unhealthy };
        self.changes += 1;
        Some(TargetChange { target_group: self.target_group.clone(), number: self.changes, state: self.state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::units::Duration;

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(secs)
    }

    fn monitors(healthy_threshold: u32, unhealthy_threshold: u32) -> TargetMonitors {
        let health_check = TargetHealthCheck {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(4),
            healthy_threshold,
            unhealthy_threshold,
        };
        let target = TargetStart { target_group: "web".into(), container_index: 0, health_check };
        TargetMonitors::registered(at(0), &[target])
    }

    const WAITING: JobTaking = JobTaking { asked: 1, is_waiting: true };
    const BUSY: JobTaking = JobTaking { asked: 1, is_waiting: false };

    /// Runs checks of a container that waits or stays busy; the state after each by its first letter.
    #[track_caller]
    fn check(thresholds: (u32, u32), waits: &[bool], expected: &str) {
        let mut monitors = monitors(thresholds.0, thresholds.1);
        let mut shown = String::new();
        for is_waiting in waits {
            let taking = if *is_waiting { WAITING } else { BUSY };
            let now = monitors.deadline();
            monitors.due(now, |_| taking);
            if !is_waiting {
                let now = monitors.deadline();
                monitors.due(now, |_| taking);
            }
            shown.push_str(&monitors.0[0].state.as_str()[..1]);
        }
        assert_eq!(shown, expected);
    }

    /// Claim: one pass makes healthy what was registered, and else as many results in a row as the thresholds say. Method: runs of results.
    #[test]
    fn thresholds() {
        let (pass, fail) = (true, false);
        check((2, 2), &[pass, fail, pass, fail, fail, pass, fail, pass, pass], "hhhhuuuuh");
        check((3, 2), &[fail, pass], "ih");
        check((3, 2), &[fail, fail, pass, pass, pass], "iuuuh");
    }

    /// Claim: a busy container answers when it asks for its next job within the timeout, and a check is made an interval after the last.
    /// Method: by hand.
    #[test]
    fn answers_when_it_asks() {
        let mut monitors = monitors(2, 2);
        assert_eq!(monitors.deadline(), at(0));
        assert_eq!(monitors.due(at(0), |_| BUSY), []);
        assert_eq!(monitors.deadline(), at(4));
        let asked = JobTaking { asked: 2, is_waiting: false };
        let healthy = TargetChange { target_group: "web".into(), number: 1, state: TargetState::Healthy };
        assert_eq!(monitors.due(at(4), |_| asked), [healthy]);
        assert_eq!(monitors.routed(), Routed::Healthy);
        assert_eq!(monitors.deadline(), at(10));
        assert_eq!(monitors.due(at(10), |_| WAITING), []);
        assert_eq!(monitors.deadline(), at(20));
    }
}
