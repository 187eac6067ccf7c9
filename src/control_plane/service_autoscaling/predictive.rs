//! One predictive scaling policy: the load of each hour of the last two weeks, and from it a forecast of the next two days.
//!
//! The load is what all running tasks do together, the metric's average times their number: it does not fall because tasks were
//! added, as the metric does. An hour's forecast over the target is the number of tasks that the hour needs, and they are there
//! before it begins.
//!
//! AWS does not publish its forecast. *Ours,* the simplest that a user would expect: an hour of a day is like the same hour of the days
//! before, averaged; once there is a week of history, one half of it is the average of the same weekday and the other half that of the
//! other days. Hours and weekdays are UTC's.
//!
//! **Source:** ecs-semantics §7.5.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::scaling::{MetricPair, PredictiveScaling};

/// Hours of history that a forecast needs. **Source:** ecs-semantics §7.5.
pub const HISTORY_MIN_HOURS: u64 = 24;
/// Hours of history that it uses. **Source:** ecs-semantics §7.5.
pub const HISTORY_MAX_HOURS: u64 = 14 * HOURS_A_DAY;
/// Hours that are forecast. **Source:** ecs-semantics §7.5.
pub const FORECAST_HOURS: u64 = 48;
/// Hours between two forecasts. **Source:** ecs-semantics §7.5.
pub const REFRESH_HOURS: u64 = 6;

const HOURS_A_DAY: u64 = 24;
const HOURS_A_WEEK: u64 = 7 * HOURS_A_DAY;

const _: () = assert!(REFRESH_HOURS < FORECAST_HOURS, "a forecast lasts until the next");

/// An hour of the calendar, counted from the epoch.
pub type Hour = u64;

/// What an hour is expected to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct HourForecast {
    /// The hour.
    pub hour: Hour,
    /// The load: thousandths of the metric's unit, over all tasks.
    pub load_thousandths: u64,
    /// The tasks with which the metric is at its target.
    pub capacity: u32,
}

/// The loads of an hour's periods.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct HourlyLoad {
    hour: Hour,
    sum: u64,
    period_count: u32,
}

impl HourlyLoad {
    fn average(self) -> u64 {
        self.sum / u64::from(self.period_count.max(1))
    }
}

/// What a policy remembers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct ForecastState {
    policy_name: Arc<str>,
    metric: MetricPair,
    /// Oldest first, each hour once.
    history: VecDeque<HourlyLoad>,
    forecast: Vec<HourForecast>,
    made_in: Option<Hour>,
    /// The hour that was acted for last.
    acted_for: Option<Hour>,
}

impl ForecastState {
    pub(super) fn new(policy: &PredictiveScaling) -> ForecastState {
        ForecastState {
            policy_name: policy.policy_name.clone(),
            metric: policy.metric.clone(),
            history: VecDeque::new(),
            forecast: Vec::new(),
            made_in: None,
            acted_for: None,
        }
    }

    /// Whether what it has seen is this policy's. Another target makes another forecast of the same loads.
    pub(super) fn is_of(&self, policy: &PredictiveScaling) -> bool {
        self.policy_name == policy.policy_name && self.metric == policy.metric
    }

    pub(super) fn policy_name(&self) -> &Arc<str> {
        &self.policy_name
    }

    /// The last forecast, the earliest hour first; empty until there is enough history.
    pub(super) fn forecast(&self) -> &[HourForecast] {
        &self.forecast
    }

    /// The first hour of which there is history.
    pub(super) fn history_since(&self) -> Option<Hour> {
        self.history.front().map(|oldest| oldest.hour)
    }

    /// The hour in which it was made.
    pub(super) fn made_in(&self) -> Option<Hour> {
        self.made_in
    }

    /// What an hour was forecast to need.
    pub(super) fn capacity_in(&self, hour: Hour) -> Option<u32> {
        self.forecast.iter().find(|forecast| forecast.hour == hour).map(|forecast| forecast.capacity)
    }

    /// Takes in a period's load. One without a datapoint, though tasks ran, says nothing.
    pub(super) fn observe(&mut self, hour: Hour, load_thousandths: Option<u64>) {
        let Some(load) = load_thousandths else { return };
        match self.history.back_mut() {
            Some(last) if last.hour == hour => {
                last.sum = last.sum.saturating_add(load);
                last.period_count = last.period_count.saturating_add(1);
            }
            _ => self.history.push_back(HourlyLoad { hour, sum: load, period_count: 1 }),
        }
        while self.history.front().is_some_and(|oldest| oldest.hour + HISTORY_MAX_HOURS < hour) {
            self.history.pop_front();
        }
    }

    /// Makes a forecast from this hour on, when there is enough history and the last one is old enough.
    pub(super) fn refresh(&mut self, now: Hour, target_thousandths: u64) {
        let is_due = self.made_in.is_none_or(|made| made + REFRESH_HOURS <= now);
        let has_history = self.history.front().is_some_and(|oldest| oldest.hour + HISTORY_MIN_HOURS <= now);
        if !is_due || !has_history {
            return;
        }
        let forecast = |hour| {
            let load_thousandths = self.expect(hour, now)?;
            let capacity = load_thousandths.div_ceil(target_thousandths.max(1));
            Some(HourForecast { hour, load_thousandths, capacity: u32::try_from(capacity).unwrap_or(u32::MAX) })
        };
        self.forecast = (now..now + FORECAST_HOURS).filter_map(forecast).collect();
        self.made_in = Some(now);
    }

    /// Forgets the forecast, so that the next is made at once.
    pub(super) fn outdate(&mut self) {
        self.made_in = None;
    }

    /// Whether an hour is to be acted for, which is once.
    pub(super) fn act_for(&mut self, hour: Hour) -> bool {
        !self.forecast.is_empty() && self.acted_for.replace(hour) != Some(hour)
    }

    /// The load of an hour by those before `now`; `None` where no day had a datapoint in it.
    fn expect(&self, hour: Hour, now: Hour) -> Option<u64> {
        let like = |wanted_weekday: Option<bool>| {
            let same_hour =
                self.history.iter().filter(|load| load.hour < now && load.hour % HOURS_A_DAY == hour % HOURS_A_DAY);
            let loads = same_hour.filter(|load| {
                let is_same_weekday = load.hour % HOURS_A_WEEK / HOURS_A_DAY == hour % HOURS_A_WEEK / HOURS_A_DAY;
                wanted_weekday.is_none_or(|wanted| wanted == is_same_weekday)
            });
            let (sum, count) =
                loads.fold((0u64, 0u64), |(sum, count), load| (sum.saturating_add(load.average()), count + 1));
            sum.checked_div(count)
        };
        let oldest = self.history.front()?.hour;
        if oldest + HOURS_A_WEEK > now {
            return like(None);
        }
        match (like(Some(true)), like(Some(false))) {
            (Some(weekday), Some(others)) => Some(weekday.midpoint(others)),
            (weekday, others) => weekday.or(others),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scaling::{DEFAULT_SCHEDULING_BUFFER, MaxCapacityBreach, PredictiveMode};

    /// A Monday, by the hours since the epoch, of which the first was a Thursday.
    const MONDAY: Hour = 4 * HOURS_A_DAY;

    fn state() -> ForecastState {
        ForecastState::new(&PredictiveScaling {
            policy_name: "ahead".into(),
            metric: MetricPair::CpuUtilization,
            target_thousandths: 50_000,
            mode: PredictiveMode::ForecastAndScale,
            scheduling_buffer: DEFAULT_SCHEDULING_BUFFER,
            max_capacity_breach: MaxCapacityBreach::HonorMaxCapacity,
        })
    }

    /// What the hour after `days` of such loads is forecast to be, each day having one load.
    fn next_load(days: &[u64]) -> Option<u64> {
        let mut state = state();
        let mut hour = MONDAY;
        for load in days {
            for _ in 0..HOURS_A_DAY {
                state.observe(hour, Some(*load));
                hour += 1;
            }
        }
        state.refresh(hour, 50_000);
        state.forecast().first().map(|forecast| forecast.load_thousandths)
    }

    /// ecs-semantics §7.5: the same hour of the days before, averaged; from a week on the same weekday is one half of it.
    #[test]
    fn days_are_averaged_and_weekdays_count_half() {
        assert_eq!(next_load(&[]), None);
        assert_eq!(next_load(&[100]), Some(100));
        assert_eq!(next_load(&[100, 200, 600]), Some(300));
        assert_eq!(next_load(&[700, 0, 0, 0, 0, 0]), Some(116), "six days of one week are alike");
        assert_eq!(next_load(&[700, 0, 0, 0, 0, 0, 0]), Some(350));
    }

    /// ecs-semantics §7.5: what is older than fourteen days is forgotten.
    #[test]
    fn two_weeks_are_used() {
        let mut days = vec![1_000_000];
        days.extend([100; 14]);
        assert_eq!(next_load(&days), Some(100));
        assert_ne!(next_load(&days[..14]), Some(100));
    }

    /// ecs-semantics §7.5: a capacity is rounded up, an hour is the average of its periods, and an hour of which nothing is known has no
    /// forecast.
    #[test]
    fn hours_are_averages_of_their_periods() {
        let mut state = state();
        for load in [100_000, 102_000] {
            state.observe(MONDAY, Some(load));
        }
        state.observe(MONDAY + 1, None);
        for hour in 2..HOURS_A_DAY {
            state.observe(MONDAY + hour, Some(0));
        }
        state.refresh(MONDAY + HOURS_A_DAY, 50_000);
        let first = HourForecast { hour: MONDAY + 24, load_thousandths: 101_000, capacity: 3 };
        assert_eq!(state.forecast()[0], first);
        assert_eq!(state.capacity_in(MONDAY + 25), None);
        assert_eq!(state.capacity_in(MONDAY + 26), Some(0));
    }
}
