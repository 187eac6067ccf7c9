//! `longshore bill --data-dir DIR`: what was used in a range of time, what it costs, and whom it is put down to.
//!
//! It reads the ledger alone, beside a cluster that runs or after it. Bad input and a ledger that can't be read end it with exit code 2.

use std::fmt::Write as _;
use std::io::Write as _;

use comfy_table::{Cell, CellAlignment, Row};

use super::{BillArguments, BillFormat, Failure, Outcome, bad_input, complain, failed, format, summary, warn};
use crate::driver::csv;
use crate::driver::ledger::bill::{GroupBy, LedgerBill, SummedLine};
use crate::driver::ledger::document::LedgerBillDocument;
use crate::driver::ledger::focus;
use crate::driver::ledger::reader::LedgerReader;
use crate::metering::bill::CostAndUse;
use crate::metering::history::Detail;
use crate::metering::stretch::Span;
use crate::model::calendar::{Day, UnixNanos};
use crate::model::suggest;

/// Reads `2026-11-01`, the beginning of that day, or `2026-11-01T08:30:00Z`.
pub(super) fn parse_date(text: &str) -> Result<UnixNanos, String> {
    if let Some(day) = Day::parse(text) {
        return Ok(day.start());
    }
    let time: Result<jiff::Timestamp, _> = text.parse();
    let is_in_range = |time: &jiff::Timestamp| UnixNanos::of(*time).timestamp() == *time;
    time.ok().filter(is_in_range).map(UnixNanos::of).ok_or_else(|| {
        "a date, as in 2026-11-01 (it begins at 00:00 UTC), or a time, as in 2026-11-01T08:30:00Z, is wanted".to_owned()
    })
}

/// What `--group-by` may be, but for tags.
const GROUPS: [(&str, GroupBy); 7] = [
    ("service", GroupBy::Service),
    ("task-definition", GroupBy::TaskDefinition),
    ("launch-type", GroupBy::LaunchType),
    ("day", GroupBy::Day),
    ("month", GroupBy::Month),
    ("cluster", GroupBy::Cluster),
    ("usage-type", GroupBy::UsageType),
];

/// Reads `service` or `tag:team`.
pub(super) fn parse_group(text: &str) -> Result<GroupBy, String> {
    if let Some(key) = text.strip_prefix("tag:").filter(|key| !key.is_empty()) {
        return Ok(GroupBy::Tag(key.to_owned()));
    }
    if let Some((_, by)) = GROUPS.iter().find(|(name, _)| *name == text) {
        return Ok(by.clone());
    }
    let names = GROUPS.iter().map(|(name, _)| *name);
    let known = names.clone().chain(["tag:KEY"]).collect::<Vec<_>>().join(", ");
    let nearest = suggest::nearest(text, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    Err(format!("it is one of {known}{nearest}"))
}

pub(super) fn bill(arguments: &BillArguments) -> Outcome {
    let range = Span { from: arguments.from.unwrap_or(Span::EVER.from), to: arguments.to.unwrap_or(Span::EVER.to) };
    if range.from >= range.to {
        complain(format!("--from {} is not before --to {}: there is no time between", range.from, range.to));
        return Err(Failure::BadInput);
    }
    let by = &arguments.group_by;
    let detail = match arguments.format {
        BillFormat::Focus => Detail::DaysAndInstances,
        _ => by.detail(),
    };
    let reader = LedgerReader::open(&arguments.data_dir).map_err(bad_input)?;
    let bill = LedgerBill::of(&reader, arguments.cluster.as_deref(), range, detail).map_err(bad_input)?;
    warn_of(&bill);
    let mut out = anstream::stdout().lock();
    let written = match arguments.format {
        BillFormat::Text => write!(out, "{}", text(&bill, by)?),
        BillFormat::Json => {
            let document = LedgerBillDocument::of(&bill, by).map_err(bad_input)?;
            writeln!(out, "{}", serde_json::to_string_pretty(&document).expect("a bill is plain data"))
        }
        BillFormat::Csv => write!(out, "{}", csv_text(&bill, by)?),
        BillFormat::Focus => {
            let mut whole = Vec::new();
            focus::write(&bill, &mut whole).and_then(|()| out.write_all(&whole))
        }
    };
    match written.and_then(|()| out.flush()) {
        // A reader that has gone (`| head`) is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(format!("cannot write: {error}"))),
        _ => Ok(()),
    }
}

/// Says on standard error what the numbers do not.
fn warn_of(bill: &LedgerBill) {
    for cluster in &bill.clusters {
        for (path, offset) in &cluster.reading.torn {
            warn(format!(
                "the last line of {}, at byte {offset}, is not whole and counts for nothing: it is being written, or whoever wrote it was \
                 ended",
                path.display()
            ));
        }
    }
    for name in bill.unpriced_instance_types() {
        warn(format!("{name} has no price in its region: the bill is too low"));
    }
}

fn text(bill: &LedgerBill, by: &GroupBy) -> Result<String, Failure> {
    let mut text = heading(bill);
    let lines = bill.lines();
    if lines.is_empty() {
        text.push_str("nothing was used\n");
        // A tag is to be known even so.
        bill.groups(by).map_err(bad_input)?;
        return Ok(text);
    }
    summary::section(&mut text, "BILL", Some(lines_table(&lines, bill)));
    if *by != GroupBy::UsageType {
        let groups = bill.groups(by).map_err(bad_input)?;
        let title = format!("COST BY {}", title_of(by));
        let mut table = summary::table(
            &[head_of(by), "Tasks", "Cost", "Part", "vCPU-s reserved", "vCPU-s used", "GB-s reserved", "GB-s used"],
            &[1, 2, 3, 4, 5, 6, 7],
        );
        let total = u64::try_from(bill.total().0).unwrap_or_default();
        for (key, cost) in &groups {
            table.add_row(group_row(key, cost, total));
        }
        table.add_row(last_row(&[("Total", false), ("", false), (&format::dollars(bill.total()), true)]));
        summary::section(&mut text, &title, Some(table));
    }
    Ok(text)
}

fn heading(bill: &LedgerBill) -> String {
    let names: Vec<String> =
        bill.clusters.iter().map(|cluster| format!("{} in {}", cluster.name, cluster.region)).collect();
    let word = if names.len() == 1 { "cluster" } else { "clusters" };
    let mut text = format!("{word} {}\n", names.join(", "));
    let known = bill.clusters.iter().filter_map(|cluster| cluster.reading.known);
    let from = known.clone().map(|known| known.from).min();
    let to = known.map(|known| known.to).max();
    // Where no bound is asked for, the use itself is one.
    let from = Some(bill.range.from).filter(|from| *from > Span::EVER.from).or(from);
    let to = Some(bill.range.to).filter(|to| *to < Span::EVER.to).or(to);
    let _ = match (from, to) {
        (Some(from), Some(to)) => writeln!(text, "from {from} up to {to}"),
        (Some(from), None) => writeln!(text, "from {from} on"),
        (None, Some(to)) => writeln!(text, "up to {to}"),
        (None, None) => Ok(()),
    };
    for cluster in &bill.clusters {
        if let Some(until) = cluster.reading.open_until {
            let _ = writeln!(text, "what runs in {} is billed up to its last checkpoint, {until}", cluster.name);
        }
    }
    text
}

fn lines_table(lines: &[SummedLine], bill: &LedgerBill) -> comfy_table::Table {
    let mut table = summary::table(&["Usage type", "Quantity", "Unit", "Rate", "Amount"], &[1, 3, 4]);
    let rates: Vec<String> = lines.iter().map(|line| format::rate(line.rate)).collect();
    let decimals_of = |rate: &String| rate.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let decimals = rates.iter().map(decimals_of).max().unwrap_or_default();
    for (line, rate) in lines.iter().zip(&rates) {
        table.add_row([
            line.usage_type.clone(),
            format!("{:.6}", line.quantity),
            line.unit.as_str().into(),
            // All with as many decimals as the longest, so that they line up.
            format!("${rate}{}", "0".repeat(decimals - decimals_of(rate))),
            format::dollars(line.amount),
        ]);
    }
    let total = format::dollars(bill.total());
    table.add_row(last_row(&[("Total", false), ("", false), ("", false), ("", false), (&total, true)]));
    table
}

/// A row of a table's end; those that are numbers stand at the right.
fn last_row(cells: &[(&str, bool)]) -> Row {
    let alignment = |is_number: bool| if is_number { CellAlignment::Right } else { CellAlignment::Left };
    Row::from(cells.iter().map(|(text, is_number)| Cell::new(text).set_alignment(alignment(*is_number))))
}

fn group_row(key: &str, cost: &CostAndUse, total: u64) -> [String; 8] {
    let amount = u64::try_from(cost.amount.0).unwrap_or_default();
    let permille = u32::try_from(u128::from(amount) * 1000 / u128::from(total.max(1))).ok();
    [
        key.to_owned(),
        cost.tasks.to_string(),
        format::dollars(cost.amount),
        format::permille(permille.filter(|_| total > 0)),
        format!("{:.2}", cost.vcpu_seconds_reserved),
        format!("{:.2}", cost.vcpu_seconds_used),
        format!("{:.2}", cost.memory_gb_seconds_reserved),
        format!("{:.2}", cost.memory_gb_seconds_used),
    ]
}

fn title_of(by: &GroupBy) -> String {
    match by {
        GroupBy::Tag(key) => format!("TAG {key}"),
        by => by.to_string().to_uppercase().replace('-', " "),
    }
}

fn head_of(by: &GroupBy) -> &'static str {
    match by {
        GroupBy::Service => "Service",
        GroupBy::TaskDefinition => "Task definition",
        GroupBy::Tag(_) => "Value",
        GroupBy::LaunchType => "Launch type",
        GroupBy::Day => "Day",
        GroupBy::Month => "Month",
        GroupBy::Cluster => "Cluster",
        GroupBy::UsageType => "Usage type",
    }
}

/// The breakdown as CSV, with exact numbers; by usage type, the lines.
fn csv_text(bill: &LedgerBill, by: &GroupBy) -> Result<String, Failure> {
    let mut text = String::new();
    if *by == GroupBy::UsageType {
        text.push_str("usage_type,quantity,unit,rate,amount\n");
        for line in bill.lines() {
            let (usage_type, unit) = (csv::cell(&line.usage_type), line.unit);
            let _ = writeln!(text, "{usage_type},{:.12},{unit},{},{}", line.quantity, line.rate, line.amount);
        }
        return Ok(text);
    }
    let head = by.to_string();
    let head = csv::cell(&head).replace('-', "_");
    let _ = writeln!(
        text,
        "{head},tasks,amount,vcpu_seconds_reserved,vcpu_seconds_used,memory_gb_seconds_reserved,memory_gb_seconds_used,memory_bytes_peak"
    );
    for (key, cost) in bill.groups(by).map_err(bad_input)? {
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{}",
            csv::cell(&key),
            cost.tasks,
            cost.amount,
            cost.vcpu_seconds_reserved,
            cost.vcpu_seconds_used,
            cost.memory_gb_seconds_reserved,
            cost.memory_gb_seconds_used,
            cost.memory_bytes_peak,
        );
    }
    Ok(text)
}
