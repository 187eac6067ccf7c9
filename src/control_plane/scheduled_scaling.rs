//! Scheduled actions: at their moments a service's bounds change, and its desired count follows them.
//!
//! The cluster's calendar is its start and the time since: nothing here asks what time it is.
//!
//! **Source:** ecs-semantics §7.4.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::state::ServiceStatus;
use super::timers::Wakeup;
use crate::model::scaling::ScheduledAction;
use crate::model::units::Timestamp;

impl ControlPlane {
    /// Works out when the actions of a service next take place, those after this moment.
    pub(super) fn plan_actions(&mut self, name: &Arc<str>) {
        let (now, calendar) = (self.now, Calendar { start: self.calendar_start });
        let Some(target) = self.state.scalable_targets.get_mut(name) else {
            self.timers.cancel(Wakeup::ScheduledAction(name.clone()));
            return;
        };
        let actions = &target.settings.scheduled_actions;
        target.put_at.retain(|action, _| actions.iter().any(|other| other.name == *action));
        let mut next_actions = BTreeMap::new();
        for action in actions {
            let put_at = *target.put_at.entry(action.name.clone()).or_insert(now);
            if let Some(at) = calendar.next(action, put_at, now) {
                next_actions.insert(action.name.clone(), at);
            }
        }
        target.next_actions = next_actions;
        match target.next_actions.values().min() {
            Some(at) => self.timers.set(*at, Wakeup::ScheduledAction(name.clone())),
            None => self.timers.cancel(Wakeup::ScheduledAction(name.clone())),
        }
    }

    /// The moment of one or more actions of a service has come. Those of one moment take place in the order of their names, and
    /// none twice, however late the moment is noticed.
    pub(super) fn scheduled_actions_due(&mut self, name: &Arc<str>) {
        let Some(target) = self.state.scalable_targets.get(name) else { return };
        let mut due: Vec<(Timestamp, Arc<str>)> = target
            .next_actions
            .iter()
            .filter(|(_, at)| **at <= self.now)
            .map(|(action, at)| (*at, action.clone()))
            .collect();
        due.sort();
        let is_active = self.state.services.get(name).is_some_and(|service| service.status == ServiceStatus::Active);
        if is_active && !target.settings.suspended_state.scheduled_scaling {
            for (_, action) in due {
                self.carry_out_action(name, &action);
            }
        }
        self.plan_actions(name);
    }

    /// Sets the bounds; a count below the minimum is raised to it, one above the maximum lowered. Ignores cooldowns.
    /// **Source:** ecs-semantics §7.4.
    fn carry_out_action(&mut self, name: &Arc<str>, action: &Arc<str>) {
        let (Some(service), Some(target)) = (self.state.services.get(name), self.state.scalable_targets.get_mut(name))
        else {
            return;
        };
        let Some(found) = target.settings.scheduled_actions.iter().find(|other| other.name == *action) else { return };
        let count = service.spec.desired_count;
        let min = found.min_capacity.unwrap_or(target.settings.min_capacity);
        let max = found.max_capacity.unwrap_or(target.settings.max_capacity);
        let what = match (found.min_capacity, found.max_capacity) {
            (Some(min), Some(max)) => format!("Setting min capacity to {min} and max capacity to {max}"),
            (Some(min), None) => format!("Setting min capacity to {min}"),
            (None, Some(max)) => format!("Setting max capacity to {max}"),
            (None, None) => return,
        };
        let cause = format!("scheduled action name {action} was triggered");
        if min > max {
            let why = format!("min capacity {min} is greater than max capacity {max}");
            target.record_failure(self.now, count, &what, &cause, &why);
            return;
        }
        target.settings.min_capacity = min;
        target.settings.max_capacity = max;
        target.record(self.now, count, count, &what, &cause);
        self.keep_settings(name);
        let (wanted, cause) = match count {
            _ if count < min => (min, format!("minimum capacity was set to {min}")),
            _ if count > max => (max, format!("maximum capacity was set to {max}")),
            _ => return,
        };
        self.set_count_by_activity(name, wanted, &format!("Setting desired count to {wanted}."), &cause);
    }
}

/// The cluster's calendar.
#[derive(Clone, Copy)]
struct Calendar {
    start: jiff::Timestamp,
}

impl Calendar {
    fn date_of(self, at: Timestamp) -> jiff::Timestamp {
        let elapsed = jiff::SignedDuration::try_from(at.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
        self.start.checked_add(elapsed).unwrap_or(jiff::Timestamp::MAX)
    }

    /// The moment of a date; `None` before the start and beyond the clock.
    fn moment_of(self, date: jiff::Timestamp) -> Option<Timestamp> {
        let elapsed = date.duration_since(self.start).as_nanos();
        u64::try_from(elapsed).ok().map(Timestamp)
    }

    /// When an action next takes place after `now`, within its start and end times. A rate without a start time counts from when
    /// the action was put, and takes place for the first time one period later. *Ours.*
    fn next(self, action: &ScheduledAction, put_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let from = action.start_time.unwrap_or(self.date_of(put_at));
        let found = action.schedule.next(self.date_of(now), from)?;
        if action.end_time.is_some_and(|end| found > end) {
            return None;
        }
        self.moment_of(found)
    }
}
