//! Alarms: made, set by hand, and read by whoever waits for them.

use std::sync::Arc;

use super::ControlPlane;
use super::action::Response;
use super::request_error::RequestError;
use super::state::Alarm;
use crate::model::alarm::{AlarmState, MetricAlarm};

impl ControlPlane {
    /// Makes an alarm or changes one, which keeps its state. **Source:** CloudWatch, PutMetricAlarm.
    pub(super) fn put_metric_alarm(&mut self, spec: MetricAlarm) -> Response {
        match self.state.alarms.get_mut(&spec.name) {
            Some(alarm) => alarm.spec = spec,
            None => {
                let name = spec.name.clone();
                let reason = "Unchecked: Initial alarm creation".into();
                let alarm = Alarm { spec, state: AlarmState::default(), since: self.now, reason };
                self.state.alarms.insert(name, alarm);
            }
        }
        Response::Done
    }

    /// Sets an alarm's state until it is next evaluated. **Source:** CloudWatch, SetAlarmState.
    pub(super) fn set_alarm_state(
        &mut self,
        name: &Arc<str>,
        state: AlarmState,
        reason: &str,
    ) -> Result<Response, RequestError> {
        if !self.state.alarms.contains_key(name) {
            return Err(RequestError::InvalidParameter(format!("there is no alarm named {name}")));
        }
        self.alarm_turns(name, state, reason);
        Ok(Response::Done)
    }

    /// An alarm comes into a state. Services whose deployments watch alarms are looked at again.
    pub(super) fn alarm_turns(&mut self, name: &Arc<str>, state: AlarmState, reason: &str) {
        let Some(alarm) = self.state.alarms.get_mut(name).filter(|alarm| alarm.state != state) else { return };
        alarm.state = state;
        alarm.since = self.now;
        alarm.reason = reason.into();
        self.dirty.extend(self.state.services.keys().cloned());
    }
}
