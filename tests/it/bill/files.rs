//! The ledger's files: written twice, torn, corrupt, foreign, of a cluster that was lost; and what the program says of them.

use std::fs;
use std::path::{Path, PathBuf};

use longshore::driver::ledger::LedgerCluster;
use longshore::driver::ledger::reader::{LedgerReadError, LedgerReader, Reading};
use longshore::driver::ledger::writer::{Appended, LedgerWriter};
use longshore::metering::stretch::{LedgerRecord, Span};
use longshore::model::calendar::UnixNanos;
use longshore::model::units::Timestamp;

use super::{HOUR, at, kept, start};
use crate::command_line::output;
use crate::metering::{SECOND, Task, instance_started, on_demand, on_instance, stopped};

fn cluster() -> LedgerCluster {
    LedgerCluster { name: "shop".into(), region: "us-east-1".into(), started_at: UnixNanos::of(start()), seed: 7 }
}

fn writer(folder: &Path) -> LedgerWriter {
    LedgerWriter::open(folder, cluster()).expect("the folder is writable")
}

/// Six tasks, two of them over midnight, on Fargate and on an instance.
fn records() -> Vec<LedgerRecord> {
    let web = Task::new("web", 512, 1024, on_demand()).of("web").tagged("team", "front");
    let api = Task::new("api", 256, 512, on_instance(1));
    let mut facts = vec![instance_started(1, 0, "m7i.large", Some("asg"))];
    for task in 1..=6 {
        let kind = if task % 2 == 0 { &web } else { &api };
        facts.push(kind.started(task, task * SECOND));
        facts.push(stopped(task, if task > 4 { 3 * HOUR } else { HOUR }));
    }
    kept(&facts).take_records()
}

fn read(folder: &Path) -> Result<(Vec<LedgerRecord>, Reading), LedgerReadError> {
    let mut found = Vec::new();
    let reader = LedgerReader::open(folder)?;
    let reading = reader.clusters()[0].read(Span::EVER, |_, record| found.push(record.clone()))?;
    found.sort_by_key(|record| record.seq);
    Ok((found, reading))
}

/// What a record comes to in a file: what a task ran for is its group, and not the whole task definition.
fn shown(records: &[LedgerRecord]) -> Vec<String> {
    let text = |record: &LedgerRecord| {
        let mut text = format!("{} {} {} {:?}", record.seq, record.from, record.to, record.used);
        if let (Some(begin), Some(end)) = (text.find("identity: "), text.find(", instance: ")) {
            text.replace_range(begin..end, "");
        }
        text
    };
    records.iter().map(text).collect()
}

fn day_file(folder: &Path, day: &str) -> PathBuf {
    folder.join(format!("ledger/us-east-1/shop/{day}.ledger"))
}

/// What was written is read, each day from its own file, for the owner alone; a second writer goes on where the first one ended.
#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let records = records();
    let (first, second) = records.split_at(3);
    let mut ledger = writer(folder.path());
    assert_eq!(ledger.append(first).unwrap(), Appended { written: 3, known: 0 });
    ledger.sync().unwrap();
    drop(ledger);
    let mut ledger = writer(folder.path());
    ledger.append(second).unwrap();
    ledger.sync().unwrap();
    let (found, reading) = read(folder.path()).unwrap();
    assert_eq!(shown(&found), shown(&records));
    assert_eq!((reading.torn, reading.open_until), (vec![], None));
    assert!(day_file(folder.path(), "2026-11-25").exists() && day_file(folder.path(), "2026-11-26").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&day_file(folder.path(), "2026-11-25")), 0o600);
        assert_eq!(mode(&folder.path().join("ledger/us-east-1")), 0o700);
    }
}

/// Whoever replays a journal after a crash appends again what is there already: it is there once.
#[test]
fn what_is_appended_again_is_there_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let records = records();
    for known in [0, 5, records.len()] {
        let mut ledger = writer(folder.path());
        // Each time a bit more, from the beginning.
        let appended = ledger.append(&records[..(known + 5).min(records.len())]).unwrap();
        assert_eq!(appended.known, known as u64);
    }
    assert_eq!(shown(&read(folder.path()).unwrap().0), shown(&records));
}

/// A last line that is not whole, wherever it was torn, counts for nothing: it is told, cut off by the next writer, and written again.
#[test]
fn a_torn_last_line_is_cut() {
    let records = records();
    let folder = tempfile::tempdir().expect("a temporary folder");
    writer(folder.path()).append(&records).unwrap();
    let path = day_file(folder.path(), "2026-11-26");
    let whole = fs::read(&path).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for length in [last_line + 1, whole.len() - 1, 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let torn = if length == 1 { 0 } else { last_line as u64 };
        assert_eq!(read(folder.path()).unwrap().1.torn, [(path.clone(), torn)]);
        let billed = output(&["bill", "--data-dir", folder.path().to_str().unwrap()]);
        assert!(billed.status.success());
        let told = format!("warning: the last line of {}, at byte {torn}, is not whole", path.display());
        assert!(String::from_utf8_lossy(&billed.stderr).contains(&told));
        let mut ledger = writer(folder.path());
        ledger.append(&records).unwrap();
        assert_eq!(ledger.cut(), [(path.clone(), torn)]);
        assert_eq!(shown(&read(folder.path()).unwrap().0), shown(&records));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

/// When the power fails, any piece of what was not synced may be lost: from there on it counts for nothing, and is written again. What was
/// synced before is damaged where it can't be read.
#[test]
fn what_was_not_synced_is_written_again() {
    let records = records();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = day_file(folder.path(), "2026-11-25");
    let mut ledger = writer(folder.path());
    ledger.append(&records[..2]).unwrap();
    ledger.sync().unwrap();
    let begin_of_line =
        |text: &[u8], offset: usize| text[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = fs::read(&path).unwrap();
    let (synced, mark) = (text.len(), begin_of_line(&text, text.len() - 1));
    ledger.append(&records).unwrap();
    drop(ledger);
    let whole = fs::read(&path).unwrap();
    for offset in (0..whole.len() - 8).step_by(5) {
        let mut torn = whole.clone();
        torn[offset..offset + 8].fill(0);
        fs::write(&path, &torn).unwrap();
        if offset + 8 <= mark {
            let refused = LedgerWriter::open(folder.path(), cluster()).and_then(|mut ledger| ledger.append(&records));
            assert!(refused.is_err() && read(folder.path()).is_err(), "byte {offset} of {mark} that were synced");
            assert_eq!(fs::read(&path).unwrap(), torn, "byte {offset}: it was changed");
        } else if offset >= synced {
            let line = begin_of_line(&whole, offset) as u64;
            assert_eq!(read(folder.path()).unwrap().1.torn, [(path.clone(), line)]);
            writer(folder.path()).append(&records).unwrap();
            assert_eq!(shown(&read(folder.path()).unwrap().0), shown(&records), "byte {offset}");
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }
}

/// Every byte counts: whichever is changed, the file and the place are told, and no bill is made of it.
#[test]
fn a_changed_byte_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut ledger = writer(folder.path());
    ledger.append(&records()).unwrap();
    ledger.sync().unwrap();
    let path = day_file(folder.path(), "2026-11-25");
    let whole = fs::read(&path).unwrap();
    let begin_of_line =
        |offset: usize| whole[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    // The last line says that what is before it is whole, and nothing says so of itself.
    for offset in 0..begin_of_line(whole.len() - 1) {
        let mut changed = whole.clone();
        changed[offset] ^= 1;
        fs::write(&path, &changed).unwrap();
        match read(folder.path()) {
            Err(LedgerReadError::Corrupt { path: told, offset: at, .. }) => {
                assert_eq!((told, at), (path.clone(), begin_of_line(offset) as u64), "byte {offset}");
            }
            // The header is what says that it is a ledger, and of which format.
            Err(LedgerReadError::NotALedger { .. } | LedgerReadError::UnknownFormat { .. })
                if begin_of_line(offset) == 0 => {}
            other => panic!("byte {offset}: {other:?}"),
        }
    }
    // So is a line that is missing.
    let second = begin_of_line(whole.len() / 2);
    let third = second + whole[second..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(&path, [&whole[..second], &whole[third..]].concat()).unwrap();
    let billed = output(&["bill", "--data-dir", folder.path().to_str().unwrap()]);
    assert_eq!(billed.status.code(), Some(2));
    let told = String::from_utf8_lossy(&billed.stderr);
    assert!(told.contains(&format!("the ledger {} is corrupt at byte {second} (line", path.display())), "{told}");
    assert!(billed.stdout.is_empty());
}

/// What runs at a checkpoint is billed up to it; what is closed after it stands in its place, and what is not there is not counted twice.
#[test]
fn a_checkpoint_says_what_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let web = Task::new("web", 512, 1024, on_demand()).of("web");
    let mut meter = kept(&[
        instance_started(1, 0, "m7i.large", None),
        web.started(1, SECOND),
        web.started(2, SECOND),
        stopped(1, 90 * SECOND),
    ]);
    let mut ledger = writer(folder.path());
    ledger.append(&meter.take_records()).unwrap();
    ledger.checkpoint(&meter.open_records(Timestamp(100 * SECOND))).unwrap();
    let (found, reading) = read(folder.path()).unwrap();
    assert_eq!((found.len(), reading.open_until), (3, Some(at(100 * SECOND))));
    // The second task ends, and the process is lost before its next checkpoint.
    meter.record(&stopped(2, 120 * SECOND));
    ledger.append(&meter.take_records()).unwrap();
    drop(ledger);
    let (found, _) = read(folder.path()).unwrap();
    let ends: Vec<UnixNanos> = found.iter().map(|record| record.to).collect();
    assert_eq!(ends.iter().filter(|end| **end == at(120 * SECOND)).count(), 1, "{found:#?}");
    assert_eq!(found.len(), 3);
    // A cluster of that name begins anew: what was left is closed where it was last known, once.
    let anew = LedgerCluster { started_at: at(HOUR), seed: 8, ..cluster() };
    for _ in 0..2 {
        LedgerWriter::open(folder.path(), anew.clone()).unwrap();
        let (found, reading) = read(folder.path()).unwrap();
        assert_eq!((found.len(), reading.open_until), (3, None));
        assert!(found.iter().any(|record| record.to == at(100 * SECOND)), "{found:#?}");
    }
    // Nothing runs any more.
    let mut ledger = LedgerWriter::open(folder.path(), anew).unwrap();
    ledger.checkpoint(&[]).unwrap();
    assert_eq!(read(folder.path()).unwrap().0.len(), 3);
}

/// Each mistake is answered with what is wrong and exit code 2, and nothing on standard output.
#[test]
fn mistakes_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().join("data");
    let path = data_dir.to_str().unwrap();
    let check = |arguments: &[&str], expected: &str| {
        let billed = output(&[&["bill", "--data-dir", path], arguments].concat());
        let told = String::from_utf8_lossy(&billed.stderr);
        assert_eq!(billed.status.code(), Some(2), "{told}");
        assert!(told.contains(expected), "no {expected:?} in: {told}");
        assert!(billed.stdout.is_empty());
    };
    check(&[], "is no data directory: there is no ledger in it");
    fs::create_dir_all(data_dir.join("ledger")).unwrap();
    check(&[], "is empty: nothing has been used yet");
    writer(&data_dir).append(&records()).unwrap();
    check(&["--from", "2026-13-01"], "invalid value '2026-13-01' for '--from <DATE>': a date, as in 2026-11-01");
    check(&["--to", "yesterday"], "for '--to <DATE>'");
    check(&["--from", "2026-12-01", "--to", "2026-11-01"], "is not before --to 2026-11-01T00:00:00Z");
    check(&["--group-by", "servce"], "did you mean service?");
    check(&["--group-by", "tag:"], "tag:KEY");
    check(&["--group-by", "tag:taem"], "no task has a tag \"taem\"; there is team");
    check(&["--cluster", "shopp"], "the ledger has no cluster shopp; it has shop");
    fs::write(day_file(&data_dir, "2026-11-25"), "{\"longshore_ledger\":9,\"written_by\":\"7.1\",\"x\":1} 00000000\n")
        .unwrap();
    check(&[], "written in format 9 by longshore 7.1");
    fs::write(day_file(&data_dir, "2026-11-25"), "a,b\n1,2\n").unwrap();
    check(&[], "2026-11-25.ledger is not a ledger");
}

/// Tables for people: columns that line up, a total, no colours where there is no terminal; CSV with the exact numbers.
#[test]
fn a_bill_is_readable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    writer(folder.path()).append(&records()).unwrap();
    let path = folder.path().to_str().unwrap();
    let billed = |more: &[&str]| {
        let billed = output(&[&["bill", "--data-dir", path], more].concat());
        assert!(billed.status.success(), "{}", String::from_utf8_lossy(&billed.stderr));
        String::from_utf8(billed.stdout).unwrap()
    };
    expect_test::expect![[r#"
        cluster shop in us-east-1
        from 2026-11-25T22:00:00Z up to 2026-11-26T01:00:00Z

        BILL
         Usage type                      Quantity  Unit             Rate     Amount
         USE1-Fargate-vCPU-Hours:perCPU  2.498333  vCPU-Hours  $0.040480  $0.101133
         USE1-Fargate-GB-Hours           4.996667  GB-Hours    $0.004445  $0.022210
         BoxUsage:m7i.large              2.000000  Hrs         $0.100800  $0.201600
         USE1-ECS-EC2-vCPU-Hours         1.249375  vCPU-Hours  $0.000000  $0.000000
         USE1-ECS-EC2-GB-Hours           2.498750  GB-Hours    $0.000000  $0.000000
         Total                                                            $0.324943

        COST BY TAG team
         Value       Tasks       Cost    Part  vCPU-s reserved  vCPU-s used  GB-s reserved  GB-s used
         (idle)          0  $0.154374  47.5 %          9902.25         0.00       48604.50       0.00
         (untagged)      3  $0.047226  14.5 %          4497.75         0.00        8995.50       0.00
         front           3  $0.123343  37.9 %          8994.00         0.00       17988.00       0.00
         Total              $0.324943
    "#]]
    .assert_eq(&billed(&["--group-by", "tag:team"]));
    expect_test::expect![[r#"
        day,tasks,amount,vcpu_seconds_reserved,vcpu_seconds_used,memory_gb_seconds_reserved,memory_gb_seconds_used,memory_bytes_peak
        2026-11-25,6,0.300257716,21594.000000000,0.000000000,71988.000000000,0.000000000,0
        2026-11-26,2,0.024685000,2700.000000000,0.000000000,5400.000000000,0.000000000,0
    "#]].assert_eq(&billed(&["--group-by", "day", "--format", "csv"]));
    expect_test::expect![[r#"
        cluster shop in us-east-1
        from 2027-01-01T00:00:00Z on
        nothing was used
    "#]]
    .assert_eq(&billed(&["--from", "2027-01-01"]));
}
