//! Whether an alarm is in `ALARM`: M of the last N datapoints, and what missing ones count as.
//!
//! CloudWatch looks at a few datapoints more than it needs, so that one that is late or missing changes nothing while older ones
//! can stand in for it; only where those are too few does the alarm's own rule for missing data decide.
//!
//! **Source:** CloudWatch, "Configuring how CloudWatch alarms treat missing data".

use crate::model::alarm::{AlarmState, Comparison, MetricAlarm, MissingData};
use crate::model::metric::thousandths_text;

/// Datapoints looked at beyond the evaluation periods. **Source:** CloudWatch's own tables, five for three.
pub const EXTRA_DATAPOINTS: u32 = 2;

/// What an evaluation comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: AlarmState,
    /// Why, as CloudWatch writes it.
    pub reason: String,
}

/// Evaluates an alarm over its last datapoints, oldest first: its evaluation periods and [`EXTRA_DATAPOINTS`]. `None`: it stays as
/// it is.
pub fn evaluate(alarm: &MetricAlarm, datapoints: &[Option<i64>]) -> Option<Verdict> {
    let wanted = usize::try_from(alarm.evaluation_periods).unwrap_or(usize::MAX);
    let needed = usize::try_from(alarm.datapoints_to_alarm).unwrap_or(usize::MAX);
    // The latest first, with how many periods ago each was.
    let known: Vec<(usize, i64)> =
        datapoints.iter().rev().enumerate().filter_map(|(index, datapoint)| Some((index + 1, (*datapoint)?))).collect();
    let considered = &known[..known.len().min(wanted)];
    let missing = wanted - considered.len();
    let breaches = |value: &i64| compare(alarm.comparison, *value, alarm.threshold);
    let breaching = considered.iter().filter(|(_, value)| breaches(value)).count();
    let all_breach = breaching == considered.len();
    let state = match alarm.missing_data {
        MissingData::Missing if considered.is_empty() => AlarmState::InsufficientData,
        MissingData::Missing => {
            // What is known breaches, and has done so for long enough: what is missing would not change it.
            let for_long = all_breach && considered.last().is_some_and(|(age, _)| *age >= needed);
            if breaching >= needed || for_long { AlarmState::Alarm } else { AlarmState::Ok }
        }
        MissingData::Ignore if missing > 0 && all_breach && breaching < needed => return None,
        MissingData::Ignore | MissingData::NotBreaching => verdict(breaching >= needed),
        MissingData::Breaching => verdict(breaching + missing >= needed),
    };
    Some(Verdict { state, reason: explain(alarm, state, considered, missing) })
}

/// Why an alarm is in a state that somebody else has found for its last datapoints, oldest first: its evaluation periods.
pub fn reason(alarm: &MetricAlarm, state: AlarmState, datapoints: &[Option<i64>]) -> String {
    let latest = datapoints.iter().rev().enumerate();
    let known: Vec<(usize, i64)> = latest.filter_map(|(index, value)| Some((index + 1, (*value)?))).collect();
    explain(alarm, state, &known, datapoints.len() - known.len())
}

fn verdict(is_alarm: bool) -> AlarmState {
    if is_alarm { AlarmState::Alarm } else { AlarmState::Ok }
}

fn compare(comparison: Comparison, value: i64, threshold: i64) -> bool {
    match comparison {
        Comparison::GreaterThan => value > threshold,
        Comparison::GreaterThanOrEqual => value >= threshold,
        Comparison::LessThan => value < threshold,
        Comparison::LessThanOrEqual => value <= threshold,
    }
}

fn explain(alarm: &MetricAlarm, state: AlarmState, considered: &[(usize, i64)], missing: usize) -> String {
    let relation = match alarm.comparison {
        Comparison::GreaterThan => "greater than",
        Comparison::GreaterThanOrEqual => "greater than or equal to",
        Comparison::LessThan => "less than",
        Comparison::LessThanOrEqual => "less than or equal to",
    };
    let threshold = thousandths_text(alarm.threshold);
    let plural = |count: usize| if count == 1 { "datapoint" } else { "datapoints" };
    let periods = alarm.evaluation_periods;
    if state == AlarmState::InsufficientData {
        return format!(
            "Insufficient Data: {missing} {} unknown.",
            if missing == 1 { "datapoint was" } else { "datapoints were" }
        );
    }
    let values: Vec<String> = considered.iter().map(|(_, value)| thousandths_text(*value)).collect();
    let known = match considered.len() {
        0 => format!("no datapoints were received for {missing} {}", if missing == 1 { "period" } else { "periods" }),
        count => format!("{count} {} [{}]", plural(count), values.join(", ")),
    };
    let treated = match (missing, alarm.missing_data) {
        (0, _) | (_, MissingData::Missing | MissingData::Ignore) => String::new(),
        (_, MissingData::Breaching) => " and missing data was treated as [Breaching]".to_owned(),
        (_, MissingData::NotBreaching) => " and missing data was treated as [NonBreaching]".to_owned(),
    };
    match state {
        _ if considered.is_empty() => format!("Threshold Crossed: {known}{treated}."),
        AlarmState::Alarm => {
            let breaching = considered.iter().filter(|(_, value)| compare(alarm.comparison, *value, alarm.threshold));
            let breaching = breaching.count();
            format!(
                "Threshold Crossed: {breaching} out of the last {periods} datapoints [{}] {} {relation} the threshold \
                 ({threshold}) (minimum {} {} for OK -> ALARM transition){treated}.",
                values.join(", "),
                if breaching == 1 { "was" } else { "were" },
                alarm.datapoints_to_alarm,
                if alarm.datapoints_to_alarm == 1 { "datapoint" } else { "datapoints" },
            )
        }
        _ if considered.iter().all(|(_, value)| compare(alarm.comparison, *value, alarm.threshold)) => {
            let (were, needed) = (if considered.len() == 1 { "was" } else { "were" }, alarm.datapoints_to_alarm);
            format!("{known} {were} {relation} the threshold ({threshold}), and it takes {needed}{treated}.")
        }
        _ if alarm.datapoints_to_alarm == 1 && considered.len() == 1 => {
            format!("Threshold Crossed: {known} was not {relation} the threshold ({threshold}){treated}.")
        }
        _ => {
            let not =
                considered.iter().filter(|(_, value)| !compare(alarm.comparison, *value, alarm.threshold)).count();
            format!(
                "Threshold Crossed: {not} out of the last {periods} datapoints [{}] {} not {relation} the threshold \
                 ({threshold}){treated}.",
                values.join(", "),
                if not == 1 { "was" } else { "were" },
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alarm::{MetricId, Statistic};
    use crate::model::units::Duration;

    fn alarm(datapoints_to_alarm: u32, evaluation_periods: u32, missing_data: MissingData) -> MetricAlarm {
        MetricAlarm {
            name: "high".into(),
            metric: MetricId::default(),
            statistic: Statistic::Average,
            period: Duration::from_secs(60),
            evaluation_periods,
            datapoints_to_alarm,
            threshold: 50_000,
            comparison: Comparison::GreaterThan,
            missing_data,
        }
    }

    /// A row of CloudWatch's tables: `0` is a datapoint that does not breach, `X` one that does, `-` a missing one. What it comes to
    /// when missing data is missing, ignored, breaching, not breaching; `None` retains the state.
    #[track_caller]
    fn check(datapoints_to_alarm: u32, row: &str, expected: [Option<AlarmState>; 4]) {
        let datapoints: Vec<Option<i64>> = row
            .chars()
            .map(|sign| match sign {
                'X' => Some(80_000),
                '0' => Some(20_000),
                _ => None,
            })
            .collect();
        let rules = [MissingData::Missing, MissingData::Ignore, MissingData::Breaching, MissingData::NotBreaching];
        let found =
            rules.map(|rule| evaluate(&alarm(datapoints_to_alarm, 3, rule), &datapoints).map(|verdict| verdict.state));
        assert_eq!(found, expected, "{row}");
    }

    const OK: Option<AlarmState> = Some(AlarmState::Ok);
    const ALARM: Option<AlarmState> = Some(AlarmState::Alarm);
    const INSUFFICIENT: Option<AlarmState> = Some(AlarmState::InsufficientData);

    /// CloudWatch's table for three of three.
    #[test]
    fn three_of_three() {
        check(3, "0-X-X", [OK, OK, OK, OK]);
        check(3, "0----", [OK, OK, OK, OK]);
        check(3, "-----", [INSUFFICIENT, None, ALARM, OK]);
        check(3, "0XX-X", [ALARM, ALARM, ALARM, ALARM]);
        check(3, "--X--", [ALARM, None, ALARM, OK]);
    }

    /// CloudWatch's table for two of three.
    #[test]
    fn two_of_three() {
        check(2, "0-X-X", [ALARM, ALARM, ALARM, ALARM]);
        check(2, "00X0X", [ALARM, ALARM, ALARM, ALARM]);
        check(2, "0-X--", [OK, OK, ALARM, OK]);
        check(2, "----0", [OK, OK, ALARM, OK]);
        check(2, "---X-", [ALARM, None, ALARM, OK]);
    }

    /// The threshold itself breaches where the comparison says so.
    #[test]
    fn comparisons() {
        let breach = |comparison, value: i64| compare(comparison, value, 50);
        assert_eq!([49, 50, 51].map(|value| breach(Comparison::GreaterThan, value)), [false, false, true]);
        assert_eq!([49, 50, 51].map(|value| breach(Comparison::GreaterThanOrEqual, value)), [false, true, true]);
        assert_eq!([49, 50, 51].map(|value| breach(Comparison::LessThan, value)), [true, false, false]);
        assert_eq!([49, 50, 51].map(|value| breach(Comparison::LessThanOrEqual, value)), [true, true, false]);
    }

    /// CloudWatch's reasons.
    #[test]
    fn says_why() {
        let reason = |needed, periods, missing, datapoints: &[Option<i64>]| {
            evaluate(&alarm(needed, periods, missing), datapoints).unwrap().reason
        };
        let high = [Some(90_500), Some(75_000), Some(80_000)];
        assert_eq!(
            reason(3, 3, MissingData::Missing, &high),
            "Threshold Crossed: 3 out of the last 3 datapoints [80, 75, 90.5] were greater than the threshold (50) \
             (minimum 3 datapoints for OK -> ALARM transition)."
        );
        assert_eq!(
            reason(1, 1, MissingData::Missing, &[Some(45_000)]),
            "Threshold Crossed: 1 datapoint [45] was not greater than the threshold (50)."
        );
        assert_eq!(
            reason(2, 3, MissingData::Missing, &[Some(90_000), Some(45_000), Some(20_000)]),
            "Threshold Crossed: 2 out of the last 3 datapoints [20, 45, 90] were not greater than the threshold (50)."
        );
        assert_eq!(reason(1, 1, MissingData::Missing, &[None]), "Insufficient Data: 1 datapoint was unknown.");
        assert_eq!(
            reason(1, 2, MissingData::Breaching, &[None, None]),
            "Threshold Crossed: no datapoints were received for 2 periods and missing data was treated as [Breaching]."
        );
    }
}
