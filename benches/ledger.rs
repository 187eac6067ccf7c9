//! Does a month of history answer in under a second?
//!
//! A month of a busy cluster is a million records: 30 days of tasks of 40 services with tags, half of them on Fargate and half on 200
//! instances. Cases:
//!
//! - `append`: a day of it is written;
//! - `bill by service`, `by day`, `export`: the whole month is read and billed, and written as FOCUS;
//! - `bill of a day`: one day of the same ledger.
//!
//! The setup prints how large the ledger is, and each case how many records a second that is.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use longshore::catalog::Catalog;
use longshore::driver::ledger::LedgerCluster;
use longshore::driver::ledger::bill::{GroupBy, LedgerBill};
use longshore::driver::ledger::focus;
use longshore::driver::ledger::reader::LedgerReader;
use longshore::driver::ledger::writer::LedgerWriter;
use longshore::metering::history::Detail;
use longshore::metering::stretch::{Host, LedgerRecord, Span, Stretch, StretchUsage};
use longshore::model::calendar::{Day, UnixNanos};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::task_definition::{CpuArchitecture, TaskDefinition};
use longshore::model::units::{CpuUnits, Fuel, MemoryMib, VcpuNanos};
use longshore::model::usage::{BilledPlacement, PurchaseOption, TaskIdentity};

const RECORDS: u64 = 1_000_000;
const DAYS: u32 = 30;
const SERVICES: u64 = 40;
const INSTANCES: u64 = 200;
const SECOND: u64 = 1_000_000_000;

fn first_day() -> Day {
    Day::parse("2026-11-01").expect("a day")
}

fn cluster() -> LedgerCluster {
    let started_at = first_day().start();
    LedgerCluster { name: "busy".into(), region: "us-east-1".into(), started_at, seed: 1 }
}

fn identities() -> Vec<Arc<TaskIdentity>> {
    let identity = |service: u64| TaskIdentity {
        service: Some(format!("service-{service}").into()),
        task_definition: Arc::new(TaskDefinition {
            family: format!("family-{service}"),
            revision: 3,
            ..TaskDefinition::default()
        }),
        tags: [("team".to_owned(), format!("team-{}", service % 7))].into(),
        placement: if service.is_multiple_of(2) {
            BilledPlacement::Fargate {
                purchase_option: PurchaseOption::OnDemand,
                architecture: CpuArchitecture::X86_64,
                extra_storage_gib: 0,
            }
        } else {
            BilledPlacement::Ec2 { instance: ContainerInstanceId(0) }
        },
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
    };
    (0..SERVICES).map(|service| Arc::new(identity(service))).collect()
}

/// The records of each day, by their numbers.
fn month() -> Vec<Vec<LedgerRecord>> {
    let identities = identities();
    let host = Arc::new(Host {
        instance_type: Catalog::embedded().instance_type("m7i.4xlarge").expect("a type of the catalog"),
        purchase_option: PurchaseOption::OnDemand,
        availability_zone: "us-east-1a".into(),
        capacity_provider: Some("asg".into()),
    });
    let tasks_a_day = RECORDS / u64::from(DAYS) - INSTANCES;
    let mut seq = 0;
    let mut day_of = |number: u32| {
        let day = Day(first_day().0 + number);
        let mut records = Vec::new();
        for instance in 0..INSTANCES {
            seq += 1;
            let used = Stretch::Instance {
                instance: ContainerInstanceId(instance),
                host: host.clone(),
                start: 1,
                since: first_day().start(),
            };
            records.push(LedgerRecord { seq, from: day.start(), to: day.end(), used });
        }
        for task in 0..tasks_a_day {
            seq += 1;
            let identity = &identities[usize::try_from(task % SERVICES).expect("small")];
            let from = UnixNanos(day.start().0 + task * 86_000 / tasks_a_day * SECOND + task % SECOND);
            let on_ec2 = matches!(identity.placement, BilledPlacement::Ec2 { .. });
            let used = Stretch::Task {
                task: TaskId(seq),
                since: from,
                identity: identity.clone(),
                instance: on_ec2.then_some(ContainerInstanceId(task % INSTANCES)),
                usage: StretchUsage {
                    vcpu: VcpuNanos(31_415_926_535),
                    memory_mib_millis: 27_182_818,
                    fuel: Fuel(141_421_356_237),
                    memory_bytes_peak: 161_803_398,
                },
            };
            records.push(LedgerRecord { seq, from, to: UnixNanos(from.0 + 300 * SECOND + 123_456_789), used });
        }
        records
    };
    (0..DAYS).map(&mut day_of).collect()
}

fn bill(data_dir: &Path, range: Span, detail: Detail) -> LedgerBill {
    let reader = LedgerReader::open(data_dir).expect("a ledger");
    LedgerBill::of(&reader, None, range, detail).expect("a bill")
}

fn ledger(criterion: &mut Criterion) {
    let month = month();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut writer = LedgerWriter::open(folder.path(), cluster()).expect("the folder is writable");
    month.iter().for_each(|day| assert_eq!(writer.append(day).expect("it is written").known, 0));
    writer.sync().expect("it is written");
    let read: u64 = bill(folder.path(), Span::EVER, Detail::Whole).clusters[0].reading.records;
    assert!(read > RECORDS - 1_000 && read <= RECORDS, "{read} records");
    let size: u64 = std::fs::read_dir(folder.path().join("ledger/us-east-1/busy"))
        .expect("the ledger's folder")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len())
        .sum();
    println!("{read} records in {size} bytes, {} a record", size / read);

    let mut group = criterion.benchmark_group("ledger");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(month[0].len() as u64));
    group.bench_function("append", |bencher| {
        let empty = || {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let writer = LedgerWriter::open(folder.path(), cluster()).expect("the folder is writable");
            (folder, writer)
        };
        let append = |(folder, mut writer): (tempfile::TempDir, LedgerWriter)| {
            writer.append(&month[0]).expect("it is written");
            (folder, writer)
        };
        bencher.iter_batched(empty, append, BatchSize::PerIteration);
    });
    group.throughput(Throughput::Elements(read));
    group.bench_function("bill by service", |bencher| {
        bencher.iter(|| {
            let bill = bill(folder.path(), Span::EVER, Detail::Whole);
            black_box(bill.groups(&GroupBy::Service).expect("services"))
        });
    });
    group.bench_function("bill by day", |bencher| {
        bencher.iter(|| {
            let bill = bill(folder.path(), Span::EVER, Detail::Days);
            black_box(bill.groups(&GroupBy::Day).expect("days"))
        });
    });
    group.bench_function("export", |bencher| {
        bencher.iter(|| {
            let bill = bill(folder.path(), Span::EVER, Detail::DaysAndInstances);
            let mut text = Vec::new();
            focus::write(&bill, &mut text).expect("memory takes it");
            black_box(text)
        });
    });
    group.throughput(Throughput::Elements(month[0].len() as u64));
    group.bench_function("bill of a day", |bencher| {
        let day = first_day();
        bencher.iter(|| black_box(bill(folder.path(), Span { from: day.start(), to: day.end() }, Detail::Whole)));
    });
    group.finish();
}

criterion_group!(benches, ledger);
criterion_main!(benches);
