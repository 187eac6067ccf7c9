//! Distributions in a cluster file: a plain amount is constant, a table names another, a CSV file holds those that were measured.

use std::path::Path;
use std::sync::Arc;

use super::document::Context;
use super::duration::parse_scaled;
use super::keys::{DISTRIBUTION, EXPONENTIAL, LOG_NORMAL};
use super::paths::resolve_file;
use super::reader::{Table, Value, quoted};
use crate::model::distribution::Distribution;

/// What a distribution is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amounts {
    /// Durations, in nanoseconds; in a CSV file in seconds.
    Durations,
    /// Whole numbers.
    Numbers,
}

impl Amounts {
    fn read(self, value: &Value<'_>) -> Option<u64> {
        match self {
            Amounts::Durations => value.duration().and_then(|time| u64::try_from(time.as_nanos()).ok()),
            Amounts::Numbers => value.integer(0..=u64::from(u32::MAX)),
        }
    }

    /// An amount of a CSV file.
    fn parse(self, text: &str) -> Option<u64> {
        let scale = match self {
            Amounts::Durations => 1_000_000_000,
            Amounts::Numbers => 1,
        };
        parse_scaled(text, scale).and_then(|amount| u64::try_from(amount).ok())
    }
}

/// Reads the distribution of a key.
pub(super) fn read_distribution(
    at: &Table<'_>,
    key: &'static str,
    amounts: Amounts,
    context: &Context<'_>,
) -> Option<Distribution> {
    let value = at.get(key)?;
    if !value.is_table() {
        return amounts.read(&value).map(Distribution::Constant);
    }
    let table = value.table(&DISTRIBUTION)?;
    let named: Vec<&'static str> = DISTRIBUTION.keys.iter().copied().filter(|key| table.has(key)).collect();
    let &[name] = named.as_slice() else {
        table.reject_whole("a distribution is one of constant, exponential, log_normal and empirical");
        return None;
    };
    match name {
        "constant" => amounts.read(&table.get(name)?).map(Distribution::Constant),
        "exponential" => {
            let table = table.table(name, &EXPONENTIAL)?;
            Some(Distribution::Exponential { mean: amounts.read(&table.need("mean")?)? })
        }
        "log_normal" => read_log_normal(&table.table(name, &LOG_NORMAL)?, amounts),
        _ => read_empirical(&table.get(name)?, amounts, context.folder),
    }
}

fn read_log_normal(at: &Table<'_>, amounts: Amounts) -> Option<Distribution> {
    let amount = |key: &'static str| at.get(key).and_then(|value| amounts.read(&value));
    let (median, p99, mean) = (amount("median"), amount("p99"), amount("mean"));
    let sigma = at.get("sigma").and_then(|value| value.thousandths());
    let has = |keys: [&'static str; 2]| keys.into_iter().all(|key| at.has(key));
    let count = LOG_NORMAL.keys.iter().filter(|key| at.has(key)).count();
    if count == 2 && has(["median", "p99"]) {
        let (median, p99) = (median?, p99?);
        if p99 < median {
            at.reject("p99", "p99 is not below the median");
        }
        return Some(Distribution::log_normal_of_p99(median, p99));
    }
    let sigma_billionths = sigma.unwrap_or_default().saturating_mul(1_000_000);
    if count == 2 && has(["mean", "sigma"]) {
        return Some(Distribution::log_normal_of_mean(mean?, sigma_billionths));
    }
    if count == 2 && has(["median", "sigma"]) {
        return Some(Distribution::LogNormal { median: median?, sigma_billionths });
    }
    at.reject_whole("log_normal needs median and p99, mean and sigma, or median and sigma");
    None
}

/// One amount a line, in the first column; a first line without a number is a header.
fn read_empirical(value: &Value<'_>, amounts: Amounts, folder: &Path) -> Option<Distribution> {
    let path = resolve_file(value, folder)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| value.reject(format!("cannot read {}: {error}", quoted(&path))))
        .ok()?;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let first = line.split(',').next().unwrap_or_default().trim();
        if first.is_empty() {
            continue;
        }
        match amounts.parse(first) {
            Some(amount) => found.push(amount),
            None if index == 0 => {}
            None => {
                value.reject(format!("{}:{}: {} is not a number from 0 up", path, index + 1, quoted(first)));
                return None;
            }
        }
    }
    if found.is_empty() {
        value.reject(format!("{} holds no numbers", quoted(&path)));
        return None;
    }
    found.sort_unstable();
    Some(Distribution::Empirical(Arc::from(found)))
}
