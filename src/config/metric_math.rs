//! `metrics` of a customized metric specification: metrics and expressions of them.
//!
//! **Source:** ecs-semantics §7.2; the shape TargetTrackingMetricDataQuery of Application Auto Scaling's model.

use std::sync::Arc;

use super::alarms::{STATISTICS, read_metric};
use super::keys::{METRIC_QUERY, METRIC_STAT, QUERIED_METRIC};
use super::reader::Table;
use crate::model::metric_math::{Expression, MathProblem, MetricMath, Query, ReturnData};

pub(super) fn read_metric_math(specification: &Table<'_>) -> Option<MetricMath> {
    for key in ["namespace", "metric_name", "dimensions", "statistic"] {
        if specification.has(key) {
            specification.reject(key, format!("{key} is of a single metric: `metrics` says what it is made of"));
        }
    }
    let tables = specification.tables("metrics", &METRIC_QUERY);
    let wanted = tables.len();
    let queries: Vec<(Arc<str>, Query, ReturnData)> = tables.iter().filter_map(read_query).collect();
    // What could not be read has been told so; nothing is said of how the rest go together.
    if queries.len() < wanted {
        return None;
    }
    MetricMath::new(queries).map_err(|problem| specification.reject("metrics", problem.to_string())).ok()
}

fn read_query(table: &Table<'_>) -> Option<(Arc<str>, Query, ReturnData)> {
    let id = table.need("id").and_then(|value| value.string());
    // For people; nothing shows it.
    let _ = table.get("label").and_then(|value| value.string());
    let return_data = match table.boolean("return_data") {
        Some(false) => ReturnData::No,
        Some(true) | None => ReturnData::Yes,
    };
    let query = match (table.get("expression"), table.table("metric_stat", &METRIC_STAT)) {
        (Some(value), None) => {
            let parsed = Expression::parse(value.string()?);
            parsed.map(Query::Expression).map_err(|problem: MathProblem| value.reject(problem.to_string())).ok()
        }
        (None, Some(stat)) => {
            let metric = stat.table("metric", &QUERIED_METRIC);
            if !stat.has("metric") {
                stat.reject_missing("metric", "`metric` is missing");
            }
            let statistic = stat.need("stat").and_then(|value| value.word(&STATISTICS));
            Some(Query::Metric { metric: read_metric(&metric?)?, statistic: statistic? })
        }
        (Some(_), Some(_)) => {
            table.reject("expression", "a query has an expression or a metric_stat, and not both");
            None
        }
        (None, None) => {
            if !table.has("metric_stat") {
                table.reject_missing("metric_stat", "`metric_stat` or `expression` is missing");
            }
            None
        }
    };
    Some((id?.into(), query?, return_data))
}
