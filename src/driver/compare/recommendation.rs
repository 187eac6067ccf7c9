//! Which row to take, and why: the cheapest one of those that place everything, do the work and are fast enough.
//!
//! Fast enough is a 99th percentile at most so many percent above the best one's among those that place everything. *Ours:* all of it;
//! AWS leaves the choice to whoever pays. The reason has the figures that decided, so that it can be argued with.

use std::fmt;

use super::Row;
use super::measure::Measured;
use super::variants::{Capacity, Sizing};
use crate::metering::bill::IDLE;
use crate::metering::quantity::Quantity;
use crate::model::units::{Duration, NanoUsd};

/// By how many thousandths of all jobs a row may have done fewer than the best.
const DONE_TOLERANCE_PERMILLE: u64 = 1;

/// What to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// The cheapest.
    pub cheapest: Choice,
    /// The cheapest when tasks must not be interrupted, where the other one is on Spot.
    pub without_interruptions: Option<Choice>,
    /// When EC2 becomes cheaper than Fargate; `None` without both.
    pub break_even: Option<BreakEven>,
}

/// A row and why it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The row.
    pub row: usize,
    /// Why, in a sentence or two with figures.
    pub reason: String,
}

/// How full instances must be for EC2 to be cheaper than Fargate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakEven {
    /// The row on EC2.
    pub ec2: usize,
    /// The row on Fargate.
    pub fargate: usize,
    /// How much of the instances tasks reserved on average in thousandths: CPU or memory, whichever is fuller.
    pub filled_permille: u64,
    /// From where on EC2 is cheaper; beyond 1000 it never is.
    pub needed_permille: u64,
}

/// Why a row is not recommended whatever it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// Tasks found no place.
    Unplaced(u64),
    /// Fewer of its jobs were done than elsewhere, in thousandths.
    WorkNotDone {
        /// Of its jobs.
        done_permille: u64,
        /// Elsewhere.
        best_permille: u64,
    },
    /// Too slow.
    Slow {
        /// The 99th percentile.
        p99: Duration,
        /// The best one.
        best: Duration,
    },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Objection::Unplaced(count) => write!(f, "{count} tasks found no place"),
            Objection::WorkNotDone { done_permille, best_permille } => {
                write!(f, "{} of its jobs were done, elsewhere {}", percent(*done_permille), percent(*best_permille))
            }
            Objection::Slow { p99, best } => {
                write!(f, "p99 {} is too far above the best, {}", Shown(*p99), Shown(*best))
            }
        }
    }
}

/// Chooses a row, and says of each why it was not considered; `None` when none can be.
pub(super) fn recommend(rows: &mut [Row], p99_tolerance_percent: u32) -> Option<Recommendation> {
    let best_done = rows.iter().filter_map(|row| done_permille(&row.measured)).max();
    for row in &mut *rows {
        row.objection = first_objection(row, best_done);
    }
    let best_p99 = rows.iter().filter(|row| row.objection.is_none()).filter_map(p99).min();
    for row in &mut *rows {
        let (Some(best), Some(p99)) = (best_p99, p99(row)) else { continue };
        let is_slow = p99.as_nanos() * 100 > best.as_nanos() * (100 + u128::from(p99_tolerance_percent));
        if row.objection.is_none() && is_slow {
            row.objection = Some(Objection::Slow { p99, best });
        }
    }
    let choose = |is_meant: fn(&Row) -> bool| {
        let fit = || rows.iter().enumerate().filter(move |(_, row)| row.objection.is_none() && is_meant(row));
        let cost = |(index, row): &(usize, &Row)| (row.measured.bill.total, *index);
        let (row, chosen) = fit().min_by_key(cost)?;
        // Other sizes of the same are no other choice of capacity.
        let next = fit().filter(|(_, other)| other.variant.capacity != chosen.variant.capacity).min_by_key(cost);
        let reason = reason(chosen, next.map(|(_, next)| next), best_p99, p99_tolerance_percent);
        Some(Choice { row, reason })
    };
    let cheapest = choose(|_| true)?;
    let on_spot = rows[cheapest.row].variant.capacity == Capacity::FargateSpot;
    let without_interruptions =
        if on_spot { choose(|row| row.variant.capacity != Capacity::FargateSpot) } else { None };
    Some(Recommendation { cheapest, without_interruptions, break_even: break_even(rows) })
}

fn p99(row: &Row) -> Option<Duration> {
    row.measured.latency.map(|latency| latency.p99)
}

fn done_permille(measured: &Measured) -> Option<u64> {
    (measured.jobs.completed * 1000).checked_div(measured.jobs.pushed)
}

fn first_objection(row: &Row, best_done: Option<u64>) -> Option<Objection> {
    let measured = &row.measured;
    if measured.unplaced > 0 {
        return Some(Objection::Unplaced(measured.unplaced));
    }
    if let (Some(best_permille), Some(done_permille)) = (best_done, done_permille(measured))
        && done_permille + DONE_TOLERANCE_PERMILLE < best_permille
    {
        return Some(Objection::WorkNotDone { done_permille, best_permille });
    }
    None
}

fn reason(row: &Row, next: Option<&Row>, best_p99: Option<Duration>, tolerance: u32) -> String {
    let total = |row: &Row| row.measured.bill.total;
    let against = match next {
        Some(next) => format!(
            "{} less than {} (${})",
            percent(permille_less(total(row), total(next))),
            next.variant.name(),
            money(next.measured.per_day)
        ),
        None => "and nothing else places all tasks and is fast enough".to_owned(),
    };
    let waste = row.measured.bill.waste.total();
    let used = |permille: Option<u32>| percent(permille.unwrap_or_default().into());
    let fast = match (p99(row), best_p99) {
        (Some(p99), Some(best)) if p99 > best => {
            format!(" p99 is {}, within {tolerance} % of the best ({}).", Shown(p99), Shown(best))
        }
        (Some(p99), _) => format!(" p99 is {}, and nothing is faster.", Shown(p99)),
        (None, _) => String::new(),
    };
    format!(
        "{} costs ${} a day, {against}: {} of the CPU and {} of the memory that it pays for are used.{fast}",
        row.variant.name(),
        money(row.measured.per_day),
        used(waste.vcpu_used_permille()),
        used(waste.memory_used_permille()),
    )
}

/// EC2 costs the same however full it is, Fargate costs by what is reserved: they meet where the instances are so much emptier as they are
/// cheaper.
fn break_even(rows: &[Row]) -> Option<BreakEven> {
    let of = |sizing: Sizing, is_meant: fn(&Capacity) -> bool| {
        let meant = rows.iter().enumerate().filter(move |(_, row)| {
            row.variant.sizing == sizing && is_meant(&row.variant.capacity) && row.measured.unplaced == 0
        });
        meant.min_by_key(|(index, row)| (row.measured.bill.total, *index)).map(|(index, _)| index)
    };
    let fargate = of(Sizing::AsWritten, |capacity| *capacity == Capacity::Fargate)?;
    let ec2 = of(Sizing::AsWritten, |capacity| matches!(capacity, Capacity::Ec2(_)))?;
    let bill = &rows[ec2].measured.bill;
    let tasks = || bill.by_task_definition.iter().filter(|(key, _)| *key != IDLE).map(|(_, cost)| cost);
    let cpu = tasks().fold(Quantity::ZERO, |sum, cost| sum + cost.vcpu_seconds_reserved);
    let memory = tasks().fold(Quantity::ZERO, |sum, cost| sum + cost.memory_gb_seconds_reserved);
    let paid = bill.waste.ec2;
    let filled = cpu.permille_of(paid.vcpu_seconds_paid).max(memory.permille_of(paid.memory_gb_seconds_paid))?;
    let filled_permille = u64::from(filled);
    let (on_ec2, on_fargate) = (bill.total.0, rows[fargate].measured.bill.total.0);
    let needed = u128::from(filled_permille) * u128::try_from(on_ec2).ok()? / u128::try_from(on_fargate).ok()?.max(1);
    Some(BreakEven { ec2, fargate, filled_permille, needed_permille: u64::try_from(needed).unwrap_or(u64::MAX) })
}

impl BreakEven {
    /// For people.
    pub fn text(&self, rows: &[Row]) -> String {
        let (ec2, fargate) = (rows[self.ec2].variant.name(), rows[self.fargate].variant.name());
        let filled = percent(self.filled_permille);
        if self.needed_permille > 1000 {
            return format!("even full instances of {ec2} cost more than {fargate}; they were {filled} reserved");
        }
        format!(
            "{ec2} is cheaper than {fargate} while tasks reserve more than {} of its instances (CPU or memory, whichever is fuller); \
             here they reserved {filled}",
            percent(self.needed_permille),
        )
    }
}

/// How much less one amount is than another, in thousandths; zero when it is not.
fn permille_less(amount: NanoUsd, than: NanoUsd) -> u64 {
    let less = i128::from(than.0) - i128::from(amount.0);
    u64::try_from(less.max(0) * 1000 / i128::from(than.0).max(1)).unwrap_or_default()
}

/// Thousandths as percent: `12.5 %`.
fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// Dollars with cents, or with four decimals where there are less than one: for people.
pub fn money(amount: NanoUsd) -> String {
    let (unit, decimals) = if amount.0.abs() < 1_000_000_000 { (100_000, 4) } else { (10_000_000, 2) };
    let rounded = (amount.0 + unit / 2) / unit;
    let one = 1_000_000_000 / unit;
    format!("{}.{:0decimals$}", rounded / one, rounded % one)
}

/// A latency for people: `340 ms`, `12.3 s`.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => write!(f, "{} µs", self.0.as_micros()),
            millis @ 1..1000 => write!(f, "{millis} ms"),
            millis => write!(f, "{}.{} s", millis / 1000, millis / 100 % 10),
        }
    }
}
