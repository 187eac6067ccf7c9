//! What is scaled and what is alarmed, as rows of tables: for the live screen and for the summary.

use super::format;
use crate::driver::snapshot::Snapshot;
use crate::model::alarm::AlarmState;
use crate::model::metric::thousandths_text;

/// The heads of [`policies`].
pub(super) const POLICY_HEADS: [&str; 6] = ["SERVICE", "BOUNDS", "POLICY", "DATAPOINT", "ALARMS", "LAST ACTIVITY"];
/// The heads of [`alarms`].
pub(super) const ALARM_HEADS: [&str; 4] = ["ALARM", "STATE", "SINCE", "REASON"];

/// A row for each policy and scheduled action of each service that is scaled, and one for a service that has none.
pub(super) fn policies(snapshot: &Snapshot) -> Vec<[String; 6]> {
    let mut rows = Vec::new();
    let state = &snapshot.state;
    for (name, target) in state.scalable_targets.iter().chain(&state.deregistered_targets) {
        let settings = &target.settings;
        let bounds = format!("{} to {}", settings.min_capacity, settings.max_capacity);
        let activity = target.activities.back().map_or_else(String::new, |activity| {
            format!("{} {} ({})", format::clock(activity.started_at), activity.description, activity.status.as_str())
        });
        let first = rows.len();
        for alarms in target.scaler.alarms() {
            let datapoint = alarms.datapoint.map_or_else(|| "-".into(), thousandths_text);
            let states = format!("high {}, low {}", alarms.high.as_str(), alarms.low.as_str());
            rows.push([String::new(), String::new(), alarms.policy_name.to_string(), datapoint, states, String::new()]);
        }
        for policy in &settings.step_scaling {
            let state = snapshot.state.alarms.get(&policy.alarm).map_or("-", |alarm| alarm.state.as_str());
            let alarm = format!("{} {state}", policy.alarm);
            rows.push([String::new(), String::new(), policy.policy_name.to_string(), "-".into(), alarm, String::new()]);
        }
        for forecast in target.scaler.forecasts() {
            let most = forecast.hours.iter().map(|hour| hour.capacity).max();
            let outlook =
                most.map_or_else(|| "no forecast yet".into(), |most| format!("forecast of up to {most} tasks"));
            let name = forecast.policy_name.to_string();
            rows.push([String::new(), String::new(), name, "-".into(), outlook, String::new()]);
        }
        for action in &settings.scheduled_actions {
            let next = target.next_actions.get(&action.name);
            let next = next.map_or_else(|| "over".into(), |at| format!("next at {}", format::clock(*at)));
            rows.push([String::new(), String::new(), action.name.to_string(), "-".into(), next, String::new()]);
        }
        if rows.len() == first {
            rows.push(Default::default());
        }
        let row = &mut rows[first];
        (row[0], row[1], row[5]) = (name.to_string(), bounds, activity);
    }
    rows
}

/// A row for each alarm, those in `ALARM` first.
pub(super) fn alarms(snapshot: &Snapshot) -> Vec<[String; 4]> {
    let mut alarms: Vec<_> = snapshot.state.alarms.values().collect();
    alarms.sort_by_key(|alarm| alarm.state != AlarmState::Alarm);
    alarms
        .into_iter()
        .map(|alarm| {
            [
                alarm.spec.name.to_string(),
                alarm.state.as_str().into(),
                format::clock(alarm.since),
                alarm.reason.to_string(),
            ]
        })
        .collect()
}
