//! CloudWatch's part of the cluster: what is measured each metric period, kept, and asked for.
//!
//! [`utilisation`] makes datapoints of usage samples, [`store`] keeps every metric's datapoints, [`names`] knows what ECS calls its
//! metrics, and [`reservation`] works out the cluster's own. Whoever scales or alarms reads the store and nothing else.
//!
//! **Source:** ecs-semantics §7.6, §10.1, §10.2.

pub mod names;
pub mod reservation;
pub mod store;
pub mod utilisation;

/// Thousandths of a percent as people read them: 72,500 is `72.5%`.
pub fn percent_text(millipercent: u64) -> String {
    let value = i64::try_from(millipercent).unwrap_or(i64::MAX);
    format!("{}%", crate::model::metric::thousandths_text(value))
}
