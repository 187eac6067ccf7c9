//! Bills that last: what a ledger holds costs what the cluster said, over any range and any cut; files that are torn, corrupt or written twice; the
//! program's answers, and its export.

mod files;
mod focus;

use std::collections::BTreeMap;
use std::path::Path;

use longshore::catalog::Catalog;
use longshore::control_plane::ControlPlane;
use longshore::control_plane::action::Action;
use longshore::control_plane::event::Event;
use longshore::driver::journal::reader::JournalReader;
use longshore::driver::ledger::LedgerCluster;
use longshore::driver::ledger::writer::LedgerWriter;
use longshore::metering::history::{Detail, History, HistoryBill};
use longshore::metering::meter::Meter;
use longshore::metering::stretch::{LedgerRecord, Span, Stretch};
use longshore::model::calendar::{Day, UnixNanos};
use longshore::model::units::{NanoUsd, Timestamp};
use longshore::model::usage::MeteringFact;
use proptest::prelude::*;
use serde_json::Value;

use crate::command_line::{cluster_file, document, output};
use crate::metering::{
    MILLISECOND, SECOND, Task, check_sums, instance_started, instance_stopped, meter, on_demand, on_instance, script,
    stopped, surplus_charged, used,
};

const HOUR: u64 = 3_600 * SECOND;

/// Two hours before a midnight.
fn start() -> jiff::Timestamp {
    "2026-11-25T22:00:00Z".parse().expect("a time")
}

fn at(moment: u64) -> UnixNanos {
    UnixNanos::at(UnixNanos::of(start()), Timestamp(moment))
}

fn moment_of(fact: &MeteringFact) -> u64 {
    match fact {
        MeteringFact::TaskStarted { at, .. }
        | MeteringFact::TaskStopped { at, .. }
        | MeteringFact::InstanceStarted { at, .. }
        | MeteringFact::SurplusCreditsCharged { at, .. }
        | MeteringFact::InstanceStopped { at, .. } => at.0,
    }
}

/// A meter that is told facts when they happen, and whose days are closed as time goes on.
fn kept(facts: &[MeteringFact]) -> Meter {
    let mut meter = meter().keep_records(start());
    let mut facts = facts.to_vec();
    facts.sort_by_key(moment_of);
    for fact in &facts {
        meter.close_days(Timestamp(moment_of(fact)));
        meter.record(fact);
    }
    meter
}

fn history_bill(records: &[LedgerRecord], range: Span, detail: Detail) -> HistoryBill {
    let mut history = History::new(range, detail);
    for record in records {
        history.add(UnixNanos::of(start()), record);
    }
    let bill = history.bill(&Catalog::embedded().price_book("us-east-1").expect("a region of the catalog"));
    check_sums(&bill.bill);
    if detail != Detail::Whole {
        assert_eq!(bill.by_day.values().map(|day| day.amount).sum::<NanoUsd>(), bill.bill.total);
        let mut by_line: BTreeMap<usize, NanoUsd> = BTreeMap::new();
        for charge in &bill.charges {
            let sum = by_line.entry(charge.line).or_default();
            *sum = *sum + charge.amount;
        }
        for (index, line) in bill.bill.lines.iter().enumerate() {
            assert_eq!(by_line.get(&index).copied().unwrap_or_default(), line.amount, "{line:?}");
        }
    }
    bill
}

fn day(text: &str) -> Day {
    Day::parse(text).expect("a day")
}

fn range_of(days: [&str; 2]) -> Span {
    let [from, to] = days.map(|text| day(text).start());
    Span { from, to }
}

/// The seconds that each day's stretches are billed for, by their quantity of Fargate vCPU.
fn vcpu_seconds_of(records: &[LedgerRecord], days: [&str; 2]) -> u128 {
    let bill = history_bill(records, range_of(days), Detail::Whole).bill;
    let line = bill.lines.iter().find(|line| line.usage_type == "USE1-Fargate-vCPU-Hours:perCPU");
    line.map_or(0, |line| line.quantity.numerator() * 3_600 / line.quantity.denominator())
}

/// A task over two midnights is in three stretches, and costs what it would cost whole: each day is billed for the seconds by which it
/// makes the whole longer, rounded up once at the end (ecs-semantics §8.3).
#[test]
fn a_task_that_is_cut_costs_what_it_costs_whole() {
    let task = Task::new("web", 1024, 2048, on_demand()).of("web");
    // 29.5 s, a day and 10.25 s: 86,439.75 s, which is 86,440 s.
    let (from, to) = (HOUR * 2 - 29_500 * MILLISECOND, 26 * HOUR + 10_250 * MILLISECOND);
    let facts = [task.started(1, from), used(1, to, 7 * SECOND, 900, 1 << 20)];
    let mut meter = kept(&facts);
    let records = meter.take_records();
    let spans: Vec<[String; 2]> =
        records.iter().map(|record| [record.from.to_string(), record.to.to_string()]).collect();
    assert_eq!(
        spans,
        [
            ["2026-11-25T23:59:30.5Z", "2026-11-26T00:00:00Z"],
            ["2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z"],
            ["2026-11-27T00:00:00Z", "2026-11-27T00:00:10.25Z"],
        ]
    );
    let bill = history_bill(&records, Span::EVER, Detail::Days).bill;
    assert_eq!(bill.lines, meter.bill(Timestamp(to)).lines);
    assert_eq!(bill.by_service, meter.bill(Timestamp(to)).by_service);
    // 29.5 s have the minimum of 60 s; after the next day it is 86,429.5 s, which is 86,430 s.
    assert_eq!(vcpu_seconds_of(&records, ["2026-11-25", "2026-11-26"]), 60);
    assert_eq!(vcpu_seconds_of(&records, ["2026-11-26", "2026-11-27"]), 86_430 - 60);
    assert_eq!(vcpu_seconds_of(&records, ["2026-11-27", "2026-11-28"]), 86_440 - 86_430);
    assert_eq!(vcpu_seconds_of(&records, ["2026-11-25", "2026-11-28"]), 86_440);
    // 86,440 * 40,480,000 / 3,600 + 2 * 86,440 * 4,445,000 / 3,600, each rounded.
    assert_eq!(bill.total, NanoUsd(971_969_778 + 213_458_778));
    assert_eq!(bill.by_service["web"].tasks, 1);
}

/// A task counts once in every range and every day that has something of it, also where its first stretch there begins later than the range.
#[test]
fn a_task_is_counted_once_wherever_it_has_part() {
    let facts = [
        Task::new("web", 1024, 2048, on_demand()).of("web").started(1, HOUR),
        Task::new("api", 512, 2048, on_instance(1)).of("api").started(2, HOUR),
        stopped(1, 75 * HOUR),
        stopped(2, 75 * HOUR),
        Task::new("web", 1024, 2048, on_demand()).of("web").started(3, 76 * HOUR),
    ];
    let mut records = kept(&facts).take_records();
    // Nothing is told of the second day, which begins at 2 h.
    records.retain(|record| record.day() != day("2026-11-26"));
    assert_eq!(records.len(), 8, "{records:#?}");
    let tasks = |days| {
        let count = |detail| {
            let by_service = history_bill(&records, range_of(days), detail).bill.by_service;
            ["web", "api"].map(|service| by_service.get(service).map_or(0, |cost| cost.tasks))
        };
        assert_eq!(count(Detail::Whole), count(Detail::DaysAndInstances), "{days:?}");
        count(Detail::Whole)
    };
    assert_eq!(tasks(["2026-11-25", "2026-11-29"]), [1, 1]);
    assert_eq!(tasks(["2026-11-25", "2026-11-26"]), [1, 1]);
    assert_eq!(tasks(["2026-11-26", "2026-11-27"]), [0, 0]);
    // The first that this range hears of them is a day after its begin.
    assert_eq!(tasks(["2026-11-26", "2026-11-29"]), [1, 1]);
    let by_day = history_bill(&records, range_of(["2026-11-26", "2026-11-29"]), Detail::Days).by_day;
    let by_day: Vec<_> = by_day.iter().map(|(day, cost)| (day.to_string(), cost.tasks)).collect();
    assert_eq!(by_day, [("2026-11-27".to_owned(), 2), ("2026-11-28".to_owned(), 2)]);
}

/// A task of ten seconds over midnight costs its minimum on the day in which it began, and nothing on the next.
#[test]
fn the_minimum_is_billed_where_it_began() {
    let task = Task::new("job", 1024, 2048, on_demand());
    let mut meter = kept(&[task.started(1, 2 * HOUR - 5 * SECOND), stopped(1, 2 * HOUR + 5 * SECOND)]);
    let records = meter.take_records();
    assert_eq!(vcpu_seconds_of(&records, ["2026-11-25", "2026-11-26"]), 60);
    assert_eq!(vcpu_seconds_of(&records, ["2026-11-26", "2026-11-27"]), 0);
    assert_eq!(vcpu_seconds_of(&records, ["2026-11-25", "2026-11-27"]), 60);
}

/// An instance and what was on it: each day has its own use, its own idle part and its own charges, and they sum to the whole.
#[test]
fn an_instance_is_shared_out_day_by_day() {
    let api = Task::new("api", 512, 2048, on_instance(1)).of("api");
    // An m7i.large, 100,800,000 an hour, for 2 h and 10 h on the next day; api holds a quarter of it from 23:00 to 04:00.
    let facts = [
        instance_started(1, 0, "m7i.large", Some("asg")),
        api.started(1, HOUR),
        stopped(1, 6 * HOUR),
        instance_stopped(1, 12 * HOUR),
    ];
    let mut meter = kept(&facts);
    let records = meter.take_records();
    assert_eq!(records.len(), 4, "{records:#?}");
    let whole = history_bill(&records, Span::EVER, Detail::DaysAndInstances);
    let live = meter.bill(Timestamp(12 * HOUR));
    assert_eq!((&whole.bill.lines, &whole.bill.by_service), (&live.lines, &live.by_service));
    assert_eq!(whole.by_day[&day("2026-11-25")].amount, NanoUsd(201_600_000));
    assert_eq!(whole.by_day[&day("2026-11-26")].amount, NanoUsd(1_008_000_000));
    let of_day = |range, key: &str| history_bill(&records, range, Detail::Whole).bill.by_service[key].amount;
    assert_eq!(of_day(range_of(["2026-11-25", "2026-11-26"]), "api"), NanoUsd(100_800_000 / 4));
    assert_eq!(of_day(range_of(["2026-11-26", "2026-11-27"]), "api"), NanoUsd(4 * 100_800_000 / 4));
    assert_eq!(of_day(Span::EVER, "api"), NanoUsd(5 * 100_800_000 / 4));
    let instances = whole.charges.iter().filter_map(|charge| charge.instance.as_ref());
    assert!(instances.clone().count() >= 4);
    for instance in instances {
        assert_eq!(instance.host.as_ref().map(|host| &*host.availability_zone), Some("us-east-1a"));
    }
}

/// A charge for surplus credits is in the day in which it was made, and goes to those who were on the instance then.
#[test]
fn surplus_credits_are_in_their_day() {
    let api = Task::new("api", 768, 384, on_instance(1)).of("api");
    let MeteringFact::SurplusCreditsCharged { instance, charge, surplus, .. } = surplus_charged(1, 1, 8 * HOUR) else {
        unreachable!("it is that");
    };
    let facts = [
        instance_started(1, 0, "t3.micro", Some("asg")),
        api.started(1, HOUR),
        MeteringFact::SurplusCreditsCharged { instance, charge, surplus, at: Timestamp(3 * HOUR) },
        stopped(1, 4 * HOUR),
        instance_stopped(1, 4 * HOUR),
    ];
    let records = kept(&facts).take_records();
    let line = |days| {
        let bill = history_bill(&records, range_of(days), Detail::Whole).bill;
        bill.lines.iter().find(|line| line.usage_type == "CPUCredits:t3").map(|line| line.amount)
    };
    assert_eq!(line(["2026-11-25", "2026-11-26"]), None);
    assert_eq!(line(["2026-11-26", "2026-11-27"]), Some(NanoUsd(400_000_000)));
}

/// What runs can be billed before it ends: closed stretches with the open ones are the live bill.
#[test]
fn what_runs_is_billed_up_to_the_moment() {
    let web = Task::new("web", 512, 1024, on_demand()).of("web");
    let api = Task::new("api", 512, 2048, on_instance(1)).of("api");
    let mut meter = kept(&[
        instance_started(1, 0, "m7i.large", None),
        web.started(1, SECOND),
        api.started(2, 2 * SECOND),
        web.started(3, HOUR),
        stopped(3, HOUR + 90 * SECOND),
    ]);
    let now = Timestamp(50 * HOUR + 7);
    meter.close_days(now);
    let mut records = meter.take_records();
    assert!(meter.take_records().is_empty(), "they are told once");
    records.extend(meter.open_records(now));
    let bill = history_bill(&records, Span::EVER, Detail::Days).bill;
    assert_eq!((bill.lines, bill.by_service), (meter.bill(now).lines, meter.bill(now).by_service));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever ran: a ledger's bill is the live one, to the nano-dollar and for everybody; ranges that follow each other hold what the
    /// whole holds; every record is in one day, and their numbers have no gaps.
    #[test]
    fn a_ledger_costs_what_the_cluster_said(
        facts in script(),
        // The script takes 20 minutes: midnight comes at any time of it.
        midnight in 0..1_300 * SECOND,
        middle in 0..1_300 * SECOND,
    ) {
        let begin = jiff::Timestamp::from_nanosecond(start().as_nanosecond() + i128::from(2 * HOUR - midnight)).unwrap();
        let mut facts = facts;
        facts.sort_by_key(moment_of);
        let mut meter = meter().keep_records(begin);
        for fact in facts.iter().chain(&facts) {
            meter.close_days(Timestamp(moment_of(fact)));
            meter.record(fact);
        }
        let now = Timestamp(1_500 * SECOND);
        meter.close_days(now);
        let mut records = meter.take_records();
        for (number, record) in (1..).zip(&records) {
            prop_assert_eq!(record.seq, number);
        }
        records.extend(meter.open_records(now));
        for record in &records {
            prop_assert!(record.from <= record.to && record.to <= record.day().end(), "{:?}", record);
        }
        let live = meter.bill(now);
        let whole = history_bill(&records, Span::EVER, Detail::DaysAndInstances);
        prop_assert_eq!(&whole.bill.lines, &live.lines);
        prop_assert_eq!(&whole.bill.by_service, &live.by_service);
        prop_assert_eq!(&whole.bill.by_task_definition, &live.by_task_definition);
        prop_assert_eq!(&whole.bill.by_tag, &live.by_tag);
        prop_assert_eq!(&whole.bill.waste, &live.waste);
        let plain = history_bill(&records, Span::EVER, Detail::Whole);
        prop_assert_eq!(&plain.bill, &whole.bill);

        let middle = UnixNanos::at(UnixNanos::of(begin), Timestamp(middle));
        let parts = [Span { from: UnixNanos(0), to: middle }, Span { from: middle, to: UnixNanos::MAX }];
        let parts = parts.map(|range| history_bill(&records, range, Detail::Days).bill);
        for line in &live.lines {
            let of_parts = parts.iter().flat_map(|bill| &bill.lines).filter(|part| part.usage_type == line.usage_type);
            let sum = of_parts.map(|part| part.quantity).reduce(|a, b| a + b);
            prop_assert_eq!(sum, Some(line.quantity), "{}", line.usage_type);
        }
        let used = |bill: &longshore::metering::bill::Bill| bill.by_service.values().map(|cost| cost.vcpu_seconds_used).reduce(|a, b| a + b);
        let used_in_parts = parts.iter().filter_map(used).reduce(|a, b| a + b);
        prop_assert_eq!(used_in_parts.unwrap_or(longshore::metering::quantity::Quantity::ZERO), used(&live).unwrap_or(longshore::metering::quantity::Quantity::ZERO));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// A meter that was written down and goes on makes the same records with the same numbers, and the same bill, as one that was never
    /// interrupted: what is appended to a ledger twice is the same.
    #[test]
    fn a_meter_that_goes_on_bills_nothing_twice(facts in script(), cut in 0..60_usize) {
        let mut facts = facts;
        facts.sort_by_key(moment_of);
        let (before, after) = facts.split_at(cut.min(facts.len()));
        // Midnight comes after ten minutes of twenty.
        let begin = jiff::Timestamp::from_nanosecond(start().as_nanosecond() + i128::from(2 * HOUR - 600 * SECOND)).unwrap();
        let tell = |meter: &mut Meter, facts: &[MeteringFact]| {
            for fact in facts {
                meter.close_days(Timestamp(moment_of(fact)));
                meter.record(fact);
            }
            meter.take_records()
        };
        let mut whole = meter().keep_records(begin);
        let records_before = tell(&mut whole, before);
        let text = serde_json::to_string(&whole.written()).unwrap();
        let mut resumed = Meter::of_written(whole.price_book().clone(), serde_json::from_str(&text).unwrap());
        let (expected, found) = (tell(&mut whole, after), tell(&mut resumed, after));
        let numbers = |records: &[LedgerRecord]| records.iter().map(|record| (record.seq, record.from, record.to)).collect::<Vec<_>>();
        prop_assert_eq!(numbers(&expected), numbers(&found));
        let now = Timestamp(1_500 * SECOND);
        prop_assert_eq!(whole.bill(now), resumed.bill(now));
        let records: Vec<LedgerRecord> = records_before.into_iter().chain(found).chain(resumed.open_records(now)).collect();
        let mut history = History::new(Span::EVER, Detail::Whole);
        records.iter().for_each(|record| history.add(UnixNanos::of(begin), record));
        prop_assert_eq!(history.bill(whole.price_book()).bill.lines, whole.bill(now).lines);
    }
}

/// A cluster of both launch types that scales, over two midnights.
const TWO_DAYS: &str = r#"
    [cluster]
    name = "shop"
    region = "us-east-1"
    [settings]
    seed = 7
    calendar_start = "2026-11-29T20:00:00Z"
    [[capacity_provider]]
    name = "asg"
    auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 4 }
    managed_scaling = { target_capacity = 90 }
    [[container_instance]]
    instance_type = "t3.small"
    availability_zone = "us-east-1b"
    [[task_definition]]
    family = "web"
    cpu = "512"
    memory = "1024"
    tags = { team = "front" }
    requires_compatibilities = ["EC2"]
      [task_definition.simulation]
      cpu = 300
      memory = 500
      [[task_definition.container]]
      name = "web"
    [[task_definition]]
    family = "batch"
    cpu = "256"
    memory = "512"
    tags = { team = "data" }
    requires_compatibilities = ["FARGATE"]
      [task_definition.simulation]
      pull = "2.5s"
      duration = "7000s"
      cpu = 200
      memory = 300
      [[task_definition.container]]
      name = "batch"
    [[service]]
    name = "web"
    task_definition = "web"
    desired_count = 5
    propagate_tags = "TASK_DEFINITION"
    capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
    [[service]]
    name = "spot"
    task_definition = "batch"
    desired_count = 2
    propagate_tags = "TASK_DEFINITION"
    capacity_provider_strategy = [{ capacity_provider = "FARGATE_SPOT", weight = 1 }]
    [[run_task]]
    task_definition = "batch"
    launch_type = "FARGATE"
    count = 3
    at = "3h"
"#;

/// Simulates a cluster with a journal, and writes the ledger of what happened beside it; returns what the simulation said.
fn simulated(folder: &Path, file: &str, more: &[&str]) -> Value {
    let journal = folder.join("journal.jsonl");
    let arguments = ["simulate", file, "--format", "json", "--journal", journal.to_str().expect("a path of text")];
    let ran = output(&[&arguments, more].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut reader = JournalReader::open(&journal).expect("a journal");
    let header = reader.header().clone();
    let begin = header.settings.calendar_start.expect("a journal has its start");
    let book = Catalog::embedded().price_book(&header.region).expect("a region of the catalog");
    let mut meter = Meter::new(book).keep_records(begin);
    let cluster = LedgerCluster {
        name: header.cluster.clone(),
        region: header.region.clone(),
        started_at: UnixNanos::of(begin),
        seed: header.settings.seed,
    };
    let mut ledger = LedgerWriter::open(folder, cluster).expect("the folder is writable");
    let mut control_plane = ControlPlane::new(&header.cluster, header.settings);
    while let Some((record, event)) = reader.read().expect("a journal that was just written") {
        meter.close_days(record.at);
        if let Event::Usage { samples } = &event {
            samples.iter().for_each(|sample| meter.note_usage(sample));
        }
        for action in control_plane.apply(record.at, event) {
            if let Action::Meter(fact) = action {
                meter.record(&fact);
            }
        }
        ledger.append(&meter.take_records()).expect("the folder is writable");
    }
    ledger.checkpoint(&meter.open_records(control_plane.now())).expect("the folder is writable");
    ledger.sync().expect("the folder is writable");
    document(&ran)
}

fn bill(folder: &Path, more: &[&str]) -> Value {
    let data_dir = folder.to_str().expect("a path of text");
    let billed = output(&[&["bill", "--data-dir", data_dir, "--format", "json"], more].concat());
    assert!(billed.status.success(), "{}", String::from_utf8_lossy(&billed.stderr));
    document(&billed)
}

/// A number of a document in nano-dollars, or in 10^-9 of what else it is.
fn nanos(number: &Value) -> i128 {
    let text = number.to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{:0<9}", decimals);
    digits.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Two days of a cluster: the ledger's bill is the one that the run printed, by everybody; each breakdown sums to the total, each day to its month.
#[test]
fn the_ledger_of_a_cluster_has_the_bill_that_it_showed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = cluster_file(folder.path(), TWO_DAYS);
    let ran = simulated(folder.path(), &file, &["--for", "40h"]);
    let whole = bill(folder.path(), &[]);
    assert_eq!(whole["total"], ran["bill"]["total"]);
    assert_eq!(whole["lines"], ran["bill"]["lines"]);
    assert!(whole["lines"].as_array().expect("lines").len() >= 6, "{whole:#}");
    let grouped = |by: &str, more: &[&str]| {
        let bill = bill(folder.path(), &[&["--group-by", by], more].concat());
        let groups = bill["groups"].as_array().expect("groups").clone();
        let sum: i128 = groups.iter().map(|group| nanos(&group["amount"])).sum();
        assert_eq!(sum, nanos(&bill["total"]), "{by}: {bill:#}");
        let key = |group: &Value| group["key"].as_str().expect("a key").to_owned();
        groups.into_iter().map(|group| (key(&group), group)).collect::<BTreeMap<String, Value>>()
    };
    for (by, expected) in [("service", "by_service"), ("task-definition", "by_task_definition")] {
        for (key, group) in grouped(by, &[]) {
            let expected = &ran["bill"][expected][&key];
            for part in ["tasks", "amount", "vcpu_seconds_reserved", "vcpu_seconds_used", "memory_gb_seconds_used"] {
                assert_eq!(group[part], expected[part], "{key} {part}");
            }
        }
    }
    for (key, group) in grouped("tag:team", &[]) {
        assert_eq!(group["amount"], ran["bill"]["by_tag"]["team"][&key]["amount"], "{key}");
    }
    let days = grouped("day", &[]);
    assert_eq!(days.keys().collect::<Vec<_>>(), ["2026-11-29", "2026-11-30", "2026-12-01"]);
    let months = grouped("month", &[]);
    let november = nanos(&days["2026-11-29"]["amount"]) + nanos(&days["2026-11-30"]["amount"]);
    assert_eq!(nanos(&months["2026-11"]["amount"]), november);
    assert_eq!(grouped("launch-type", &[]).keys().collect::<Vec<_>>(), ["EC2", "FARGATE"]);
    assert_eq!(grouped("cluster", &[])["shop"]["amount"], whole["total"]);
    grouped("usage-type", &[]);
    // A range of one day is that day, but for a nano-dollar a line, which each bill rounds once.
    let one_day = grouped("day", &["--from", "2026-11-30", "--to", "2026-12-01"]);
    let off = nanos(&one_day["2026-11-30"]["amount"]) - nanos(&days["2026-11-30"]["amount"]);
    assert!(off.abs() <= 12, "{off}");
    let an_hour = bill(folder.path(), &["--from", "2026-11-30T05:00:00Z", "--to", "2026-11-30T06:00:00Z"]);
    let line = |name: &str| {
        let lines = an_hour["lines"].as_array().expect("lines");
        lines.iter().find(|line| line["usage_type"] == name).map(|line| nanos(&line["quantity"]))
    };
    assert_eq!(line("BoxUsage:t3.small"), Some(1_000_000_000), "{an_hour:#}");
}

/// A record says what it is of, so that no other file is needed.
#[test]
fn records_name_what_was_used() {
    let mut meter = kept(&[
        instance_started(4, 0, "m7i.large", Some("asg")),
        Task::new("api", 512, 2048, on_instance(4)).of("api").tagged("team", "x").started(1, 0),
        stopped(1, SECOND),
        instance_stopped(4, HOUR),
    ]);
    let records = meter.take_records();
    let [task, instance] = &records[..] else { panic!("{records:#?}") };
    let Stretch::Task { identity, instance: on, .. } = &task.used else { panic!("{task:?}") };
    assert_eq!((identity.service.as_deref(), on.map(|id| id.0)), (Some("api"), Some(4)));
    let Stretch::Instance { host, start, .. } = &instance.used else { panic!("{instance:?}") };
    assert_eq!(
        (host.instance_type.name.as_str(), host.capacity_provider.as_deref(), *start),
        ("m7i.large", Some("asg"), 1)
    );
}
