//! Alarms: made, set by hand, evaluated each metric period, and read by whoever waits for them.

use std::sync::Arc;

use super::ControlPlane;
use super::action::{Notification, Response};
use super::alarm_evaluation::{EXTRA_DATAPOINTS, Verdict, evaluate};
use super::metrics::store::MetricStore;
use super::request_error::RequestError;
use super::state::Alarm;
use crate::model::alarm::{AlarmState, MetricAlarm};
use crate::model::units::{Duration, Timestamp};

/// The longest time that an alarm may look back. **Source:** CloudWatch, PutMetricAlarm: a day, and seven for periods of an hour or more.
const EVALUATION_RANGE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// The most periods that an alarm looks at: those of a minute in the longest time.
const EVALUATION_PERIODS_MAX: u32 = 10_080;

impl ControlPlane {
    /// Makes an alarm or changes one, which keeps its state. **Source:** CloudWatch, PutMetricAlarm.
    pub(super) fn put_metric_alarm(&mut self, spec: MetricAlarm) -> Result<Response, RequestError> {
        self.check_not_of_policy(&spec.name)?;
        self.check_alarm(&spec)?;
        match self.state.alarms.get_mut(&spec.name) {
            Some(alarm) => alarm.spec = spec,
            None => {
                self.state.alarms.insert(spec.name.clone(), Alarm::new(spec, self.now));
            }
        }
        Ok(Response::Done)
    }

    /// *Ours:* a period is a multiple of the cluster's metric period, as CloudWatch's are of a minute.
    fn check_alarm(&self, spec: &MetricAlarm) -> Result<(), RequestError> {
        let refuse = |text: String| Err(RequestError::Validation(format!("alarm {}: {text}", spec.name)));
        let grid = self.settings.metric_period.as_nanos().max(1);
        if spec.name.is_empty() {
            return Err(RequestError::Validation("an alarm needs a name".into()));
        }
        if spec.period.is_zero() || !spec.period.as_nanos().is_multiple_of(grid) {
            return refuse("its period must be a multiple of the metric period".into());
        }
        if spec.evaluation_periods == 0 {
            return refuse("it needs at least one evaluation period".into());
        }
        if spec.evaluation_periods > EVALUATION_PERIODS_MAX {
            return refuse(format!("it must not have more than {EVALUATION_PERIODS_MAX} evaluation periods"));
        }
        if !(1..=spec.evaluation_periods).contains(&spec.datapoints_to_alarm) {
            return refuse("its datapoints to alarm must be from 1 to its evaluation periods".into());
        }
        if spec.period.saturating_mul(spec.evaluation_periods) > EVALUATION_RANGE_MAX {
            return refuse("it must not look back more than seven days".into());
        }
        Ok(())
    }

    /// Deletes an alarm. Policies that name it are not called any more. **Source:** CloudWatch, DeleteAlarms.
    pub(super) fn delete_alarm(&mut self, name: &Arc<str>) -> Result<Response, RequestError> {
        self.check_not_of_policy(name)?;
        match self.state.alarms.remove(name) {
            Some(_) => Ok(Response::Done),
            None => Err(RequestError::InvalidParameter(format!("there is no alarm named {name}"))),
        }
    }

    /// Sets an alarm's state until it is next evaluated. **Source:** CloudWatch, SetAlarmState.
    pub(super) fn set_alarm_state(
        &mut self,
        name: &Arc<str>,
        state: AlarmState,
        reason: &str,
    ) -> Result<Response, RequestError> {
        self.check_not_of_policy(name)?;
        if !self.state.alarms.contains_key(name) {
            return Err(RequestError::InvalidParameter(format!("there is no alarm named {name}")));
        }
        self.alarm_turns(name, state, reason);
        Ok(Response::Done)
    }

    /// Evaluates every alarm over the periods that are over at `until`, those of policies apart.
    ///
    /// *Ours:* an alarm whose metric has never had a datapoint is left as it is, so that it can be set by hand where nothing is
    /// measured; CloudWatch would fall back to INSUFFICIENT_DATA.
    pub(super) fn evaluate_alarms(&mut self, until: Timestamp) {
        let names: Vec<Arc<str>> = self.state.alarms.keys().cloned().collect();
        for name in names {
            let alarm = &self.state.alarms[&name];
            if alarm.policy_of.is_some() || !self.state.metrics.has(&alarm.spec.metric) {
                continue;
            }
            let count = alarm.spec.evaluation_periods.saturating_add(EXTRA_DATAPOINTS);
            let datapoints = last_datapoints(&self.state.metrics, &alarm.spec, until, count);
            if let Some(Verdict { state, reason }) = evaluate(&alarm.spec, &datapoints) {
                self.alarm_turns(&name, state, &reason);
            }
        }
    }

    /// An alarm comes into a state. Services whose deployments watch alarms are looked at again.
    pub(super) fn alarm_turns(&mut self, name: &Arc<str>, state: AlarmState, reason: &str) {
        let Some(alarm) = self.state.alarms.get_mut(name).filter(|alarm| alarm.state != state) else { return };
        let from = std::mem::replace(&mut alarm.state, state);
        let reason: Arc<str> = reason.into();
        alarm.since = self.now;
        alarm.reason = reason.clone();
        self.dirty.extend(self.state.services.keys().cloned());
        self.notify(Notification::Alarm { alarm: name.clone(), from, to: state, reason });
    }
}

/// When the last whole period of an alarm ended.
pub(super) fn last_period_end(spec: &MetricAlarm, until: Timestamp) -> Timestamp {
    let width = u64::try_from(spec.period.as_nanos()).unwrap_or(u64::MAX).max(1);
    Timestamp(until.0 - until.0 % width)
}

/// An alarm's last `count` datapoints, oldest first.
pub(super) fn last_datapoints(
    metrics: &MetricStore,
    spec: &MetricAlarm,
    until: Timestamp,
    count: u32,
) -> Vec<Option<i64>> {
    let width = u64::try_from(spec.period.as_nanos()).unwrap_or(u64::MAX).max(1);
    let end = last_period_end(spec, until);
    let first = Timestamp(end.0.saturating_sub(width.saturating_mul(count.into())));
    let points = metrics.points(&spec.metric, first, end, spec.period);
    let mut datapoints = vec![None; usize::try_from((end.0 - first.0) / width).unwrap_or(0)];
    for point in points {
        let index = usize::try_from((point.at.0 - first.0) / width).unwrap_or(usize::MAX);
        if let Some(datapoint) = datapoints.get_mut(index) {
            *datapoint = Some(point.samples.statistic(spec.statistic));
        }
    }
    datapoints
}
