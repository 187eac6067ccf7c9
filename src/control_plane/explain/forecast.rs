//! Predictive scaling of a service: what is forecast, for which hours, from how much history, and at what that holds its count.
//!
//! **Source:** ecs-semantics §7.5.

use std::fmt;
use std::sync::Arc;

use crate::control_plane::ControlPlane;
use crate::control_plane::service_autoscaling::PolicyForecast;
use crate::control_plane::service_autoscaling::predictive::{HISTORY_MIN_HOURS, Hour, HourForecast, REFRESH_HOURS};
use crate::model::scaling::{PredictiveMode, PredictiveScaling};
use crate::model::units::Timestamp;

/// A predictive scaling policy and its forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastExplanation {
    /// The policy.
    pub policy_name: Arc<str>,
    /// Whether it scales.
    pub mode: PredictiveMode,
    /// Hours of history that it has; a forecast needs 24.
    pub history_hours: u64,
    /// When the forecast was made; `None` when there is none yet.
    pub made_at: Option<CalendarHour>,
    /// When the next is made, or the first; `None` where nothing has been measured.
    pub next_at: Option<CalendarHour>,
    /// Hours one after the other for which the same number of tasks is forecast, earliest first.
    pub runs: Vec<ForecastRun>,
    /// At what it holds the count, and for which hour: nobody scales in below. `None` when it holds nothing.
    pub floor: Option<Floor>,
}

/// Hours of a forecast with one number of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForecastRun {
    /// When the first begins.
    pub from: CalendarHour,
    /// When the last ends.
    pub until: CalendarHour,
    /// The tasks that each needs.
    pub capacity: u32,
}

/// The least count that a forecast allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The hour that is, or that begins within the policy's buffer.
    pub hour: CalendarHour,
    /// The tasks.
    pub count: u32,
    /// What the hour needs, which the maximum may not let be.
    pub forecast: u32,
}

/// The beginning of an hour of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarHour(pub Hour);

impl fmt::Display for CalendarHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.saturating_mul(3_600)).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_second(seconds) {
            Ok(moment) => write!(f, "{}", moment.strftime("%Y-%m-%dT%H:%MZ")),
            Err(_) => write!(f, "hour {}", self.0),
        }
    }
}

impl ControlPlane {
    /// The forecasts of a service's predictive scaling policies, in their order.
    pub(super) fn explain_forecasts(&self, name: &Arc<str>) -> Vec<ForecastExplanation> {
        let Some(target) = self.state.scalable_targets.get(name) else { return Vec::new() };
        let policies = target.settings.predictive_scaling.iter().zip(target.scaler.forecasts());
        policies.map(|(policy, found)| self.explain_forecast(policy, &found, target.settings.max_capacity)).collect()
    }

    fn explain_forecast(
        &self,
        policy: &PredictiveScaling,
        found: &PolicyForecast<'_>,
        max_capacity: u32,
    ) -> ForecastExplanation {
        let hour_of = |at: Timestamp| -> Hour {
            u64::try_from(at.calendar(self.calendar_start).as_second()).unwrap_or(0) / 3_600
        };
        let first = found.history_since.map(|since| since + HISTORY_MIN_HOURS);
        let next = found.made_in.map(|made| made + REFRESH_HOURS).or(first);
        let hour = hour_of(self.now + policy.scheduling_buffer);
        let of_hour = found.hours.iter().find(|forecast| forecast.hour == hour);
        let scales = policy.mode == PredictiveMode::ForecastAndScale;
        let floor = of_hour.filter(|_| scales).map(|forecast| Floor {
            hour: CalendarHour(hour),
            count: forecast.capacity.min(policy.max_capacity_breach.max_capacity(forecast.capacity, max_capacity)),
            forecast: forecast.capacity,
        });
        ForecastExplanation {
            policy_name: policy.policy_name.clone(),
            mode: policy.mode,
            history_hours: found.history_since.map_or(0, |since| hour_of(self.now).saturating_sub(since)),
            made_at: found.made_in.map(CalendarHour),
            next_at: next.map(CalendarHour),
            runs: runs_of(found.hours),
            floor,
        }
    }
}

fn runs_of(hours: &[HourForecast]) -> Vec<ForecastRun> {
    let mut runs: Vec<ForecastRun> = Vec::new();
    for HourForecast { hour, capacity, .. } in hours.iter().copied() {
        match runs.last_mut() {
            Some(last) if last.capacity == capacity && last.until.0 == hour => last.until.0 = hour + 1,
            _ => runs.push(ForecastRun { from: CalendarHour(hour), until: CalendarHour(hour + 1), capacity }),
        }
    }
    runs
}
