//! The alarms that Application Auto Scaling makes for target tracking policies: among the cluster's alarms, with their states.
//!
//! They come and go with their policies and say what the policies decide by. Whoever wants to may read them, name them in a
//! deployment or a step scaling policy; nobody but their policy changes them.
//!
//! **Source:** ecs-semantics §7.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::alarm_evaluation::reason;
use super::alarms::last_datapoints;
use super::metrics::names;
use super::request_error::RequestError;
use super::service_autoscaling::tracking::{HIGH_ALARM_PERIODS, LOW_ALARM_PERIODS, PolicyAlarms};
use super::service_autoscaling::{AlarmEnd, ServiceScaler};
use super::state::Alarm;
use crate::model::alarm::{AlarmState, Comparison, MetricAlarm, MissingData};
use crate::model::scaling::{ScaleIn, TargetTracking};
use crate::model::units::Timestamp;

impl ControlPlane {
    /// Makes the alarms of a service's policies those that its settings ask for. One that is as it was keeps its state.
    pub(super) fn keep_policy_alarms(&mut self, service: &Arc<str>) {
        let mut wanted: BTreeMap<Arc<str>, MetricAlarm> = BTreeMap::new();
        if let Some(target) = self.state.scalable_targets.get(service) {
            for policy in &target.settings.target_tracking {
                let ends: &[AlarmEnd] = match policy.scale_in {
                    ScaleIn::Enabled => &[AlarmEnd::High, AlarmEnd::Low],
                    ScaleIn::Disabled => &[AlarmEnd::High],
                };
                for end in ends {
                    let alarm = self.policy_alarm(service, &target.scaler, policy, *end);
                    wanted.insert(alarm.name.clone(), alarm);
                }
            }
        }
        let is_kept = |alarm: &Alarm| {
            alarm.policy_of.as_ref() != Some(service) || wanted.get(&alarm.spec.name) == Some(&alarm.spec)
        };
        self.state.alarms.retain(|_, alarm| is_kept(alarm));
        let now = self.now;
        for (name, spec) in wanted {
            self.state
                .alarms
                .entry(name)
                .or_insert_with(|| Alarm { policy_of: Some(service.clone()), ..Alarm::new(spec, now) });
        }
    }

    fn policy_alarm(
        &self,
        service: &str,
        scaler: &ServiceScaler,
        policy: &TargetTracking,
        end: AlarmEnd,
    ) -> MetricAlarm {
        let (metric, statistic) = names::tracked(policy, &self.name, service);
        let target = i64::try_from(policy.target_thousandths).unwrap_or(i64::MAX);
        let (comparison, threshold, periods) = match end {
            AlarmEnd::High => (Comparison::GreaterThan, target, HIGH_ALARM_PERIODS),
            AlarmEnd::Low => (Comparison::LessThan, target - target / 10, LOW_ALARM_PERIODS),
        };
        MetricAlarm {
            name: scaler.alarm_name(policy.name(), end).into(),
            metric,
            statistic,
            period: self.settings.metric_period_of(policy.metric.resolution()),
            evaluation_periods: periods,
            datapoints_to_alarm: periods,
            threshold,
            comparison,
            missing_data: MissingData::Missing,
        }
    }

    /// The policies of a service have taken in the period that ended at `until`: their alarms come into the states that they decide by.
    pub(super) fn turn_policy_alarms(&mut self, service: &Arc<str>, until: Timestamp) {
        let Some(target) = self.state.scalable_targets.get(service) else { return };
        let states_of = |alarms: PolicyAlarms| {
            let name = |end| Arc::<str>::from(target.scaler.alarm_name(&alarms.policy_name, end));
            [(name(AlarmEnd::High), alarms.high), (name(AlarmEnd::Low), alarms.low)]
        };
        let turned: Vec<(Arc<str>, AlarmState)> = target.scaler.alarms().flat_map(states_of).collect();
        for (name, state) in turned {
            let Some(alarm) = self.state.alarms.get(&name).filter(|alarm| alarm.state != state) else { continue };
            let periods = alarm.spec.evaluation_periods;
            let reason = reason(&alarm.spec, state, &last_datapoints(&self.state.metrics, &alarm.spec, until, periods));
            self.alarm_turns(&name, state, &reason);
        }
    }

    /// *Ours:* AWS lets a user change them and says not to.
    pub(super) fn check_not_of_policy(&self, alarm: &str) -> Result<(), RequestError> {
        match self.state.alarms.get(alarm).and_then(|alarm| alarm.policy_of.as_ref()) {
            Some(service) => Err(RequestError::Validation(format!(
                "alarm {alarm} belongs to a target tracking policy of service {service}: change the policy"
            ))),
            None => Ok(()),
        }
    }
}
