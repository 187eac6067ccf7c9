//! The log on a disk that fails in every way that disks do, held against a list of what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::log::{self, Log, Opened};
use super::simulated::{FaultRates, Refusal, SimulatedDisk};
use super::snapshot_file::{Coverage, SnapshotFile};
use super::{Disk, OpenError, Position, Store, StoreOptions, StreamName, segment};
use crate::model::rng::{Draws, Stream};

/// Small, so that segments come and go.
const SEGMENT_BYTES: u64 = 600;
const STREAMS: [&str; 3] = ["cluster.a", "registry", "ledger"];

/// Some byte of a number.
fn byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

fn stream(name: &str) -> StreamName {
    StreamName::new(name).expect("it is a name")
}

/// What was handed to a log: of each stream all that it was ever told, and how much of that it said was durable.
#[derive(Debug, Default)]
struct Told {
    by_stream: BTreeMap<StreamName, Vec<(Position, Vec<u8>)>>,
    durable: Position,
}

impl Told {
    /// A snapshot of a stream: how many of its records it stands for.
    fn snapshot(&self, name: &StreamName, to: Position) -> Vec<u8> {
        let count = self.by_stream.get(name).into_iter().flatten().filter(|(at, _)| *at <= to).count();
        (count as u64).to_le_bytes().to_vec()
    }

    /// Holds what a log has against it, and takes what it has for all that was ever told.
    fn check(&mut self, log: &Log) {
        assert!(log.durable() >= self.durable, "lost: {:?} were durable, {:?} are there", self.durable, log.durable());
        for (name, told) in &mut self.by_stream {
            let mut found: Vec<(Position, Vec<u8>)> = Vec::new();
            let files = log.streams().get(name).map(|known| known.files.clone()).unwrap_or_default();
            let mut covered = 0;
            for file in &files {
                let read = log::read_file(log.disk(), &file.name).expect("what is listed can be read");
                assert_eq!(read.stream, *name);
                covered = usize::try_from(u64::from_le_bytes(read.bytes[..8].try_into().unwrap())).unwrap();
            }
            log.read(name, log.durable(), |at, bytes| found.push((at, bytes.to_vec()))).expect("it can be read");
            told.retain(|(at, _)| *at <= log.durable());
            let shown = |records: &[(Position, Vec<u8>)]| {
                records
                    .iter()
                    .map(|(at, bytes)| format!("{}:{}x{:?}", at.0, bytes.len(), bytes.first()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                shown(&told[covered..]),
                shown(&found),
                "stream {name} has other records behind the {covered} of its files"
            );
        }
        self.durable = log.durable();
    }
}

fn open(disk: &SimulatedDisk) -> Result<Opened, OpenError> {
    Log::open(Disk::Simulated(disk.clone()), SEGMENT_BYTES)
}

/// Writes by chance until the power fails or enough was done. The records of a batch that failed stay to be written.
fn write_by_chance(log: &mut Log, told: &mut Told, draws: &mut Draws, disk: &SimulatedDisk, steps: u64) {
    let mut batch: Vec<segment::NewRecord> = Vec::new();
    for _ in 0..steps {
        if disk.has_crashed() {
            return;
        }
        if draws.draw().is_multiple_of(8) {
            let name = stream(STREAMS[(draws.draw() % 3) as usize]);
            let to = Position(draws.draw() % (log.durable().0 + 1));
            let known = log.streams().get(&name).cloned().unwrap_or_default();
            let coverage = match name.as_str() {
                "ledger" => Coverage::Behind(known.covered),
                _ => Coverage::Everything,
            };
            // Snapshots may overtake one another, and two may be of one position; a part has something to stand for.
            if coverage != Coverage::Everything && to <= known.covered {
                continue;
            }
            let bytes = told.snapshot(&name, to);
            let file = SnapshotFile { stream: name.clone(), coverage, to, bytes };
            if let Ok(written) = log::write_file(log.disk(), &file) {
                let _ = log.install(&name, written);
            }
            continue;
        }
        if batch.is_empty() || draws.draw().is_multiple_of(2) {
            for _ in 0..=draws.draw() % 4 {
                let name = stream(STREAMS[(draws.draw() % 3) as usize]);
                let bytes = vec![byte(draws.draw()); (draws.draw() % 200) as usize];
                let known = told.by_stream.entry(name.clone()).or_default();
                let before = known.last().map(|(at, _)| *at).unwrap_or_default();
                let position = Position(log.durable().0 + batch.len() as u64 + 1);
                known.push((position, bytes.clone()));
                batch.push(segment::NewRecord { stream: name, before, bytes });
            }
        }
        if log.commit(&batch).is_ok() {
            batch.clear();
            told.durable = log.durable();
        }
    }
}

/// Thousands of seeds: whatever fails at whatever moment, what was said to be durable is there, in its order, and what else is there was
/// told, in its order, behind that.
#[test]
fn nothing_durable_is_lost_whatever_fails() {
    let seeds = std::env::var("LONGSHORE_STORE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4_000);
    let (mut crashes, mut cuts) = (0u64, 0u64);
    for seed in 0..seeds {
        let mut draws = Draws::of(seed, Stream::Faults, 1);
        let disk = SimulatedDisk::new(seed);
        let mut told = Told::default();
        for generation in 0..4 {
            let opened = open(&disk).unwrap_or_else(|error| panic!("seed {seed}, generation {generation}: {error}"));
            cuts += u64::from(opened.cut.is_some());
            let mut log = opened.log;
            told.check(&log);
            let failing_per_mille = if draws.draw().is_multiple_of(2) { 0 } else { draws.draw() % 200 };
            let crash_at = Some(disk.operations() + 1 + draws.draw() % 90);
            disk.fail(FaultRates { failing_per_mille, crash_at, ..FaultRates::default() });
            write_by_chance(&mut log, &mut told, &mut draws, &disk, 60);
            crashes += u64::from(disk.has_crashed());
            disk.restart();
        }
    }
    assert!(
        crashes > seeds && cuts > seeds / 20,
        "{crashes} crashes and {cuts} torn ends are too few to show anything"
    );
}

/// One history, and the power fails at each of its operations in turn.
#[test]
fn the_power_may_fail_at_every_operation() {
    let mut operation = 1;
    loop {
        let (disk, mut told) = (SimulatedDisk::new(operation), Told::default());
        let mut draws = Draws::of(7, Stream::Faults, 2);
        let mut log = open(&disk).expect("an empty folder opens").log;
        disk.fail(FaultRates { crash_at: Some(operation), ..FaultRates::default() });
        write_by_chance(&mut log, &mut told, &mut draws, &disk, 80);
        let is_over = !disk.has_crashed();
        drop(log);
        disk.restart();
        told.check(&open(&disk).unwrap_or_else(|error| panic!("operation {operation}: {error}")).log);
        if is_over {
            break;
        }
        operation += 1;
    }
    assert!(operation > 200, "{operation} operations are too few to show anything");
}

/// A log with a few synced batches, and the file that has them.
fn a_log() -> (SimulatedDisk, Told, String) {
    let (disk, mut told) = (SimulatedDisk::new(1), Told::default());
    let mut log = open(&disk).expect("an empty folder opens").log;
    for step in 1..=8u64 {
        let (name, bytes) = (stream("registry"), vec![byte(step); 20]);
        told.by_stream.entry(name.clone()).or_default().push((Position(step), bytes.clone()));
        log.commit(&[segment::NewRecord { stream: name, before: Position(step - 1), bytes }])
            .expect("the disk is well");
    }
    told.durable = log.durable();
    let name = disk.sizes().into_keys().next().expect("there is a file");
    (disk, told, name)
}

/// A bit that the disk forgot is told, with file and offset, wherever it is; but in the last batch it can't be told from one that was
/// never finished, unless the log was closed in good order.
#[test]
fn damage_is_told_and_never_guessed_over() {
    let (disk, _, name) = a_log();
    let length = disk.sizes()[&name];
    let last_batch = length - (length - segment::HEADER_LENGTH) / 8 + 10;
    for offset in 0..length {
        let (disk, _, name) = a_log();
        disk.flip_bit(&name, offset, u32::from(byte(offset as u64)));
        match open(&disk) {
            Err(OpenError::Damaged { path, offset: told, .. }) => {
                assert!(path.ends_with(&name) && told <= offset as u64, "offset {offset}: {path:?} {told}");
            }
            Err(OpenError::Format { .. }) => assert!(offset < segment::HEADER_LENGTH),
            Err(other) => panic!("offset {offset}: {other}"),
            Ok(opened) => {
                assert!(offset >= last_batch - 40, "damage at {offset} of {length} went unseen");
                assert!(opened.cut.is_some() && opened.log.durable() == Position(7), "offset {offset}");
            }
        }
        let (disk, _, name) = a_log();
        let mut log = open(&disk).expect("it opens").log;
        // A file that was there is not written to again: the mark needs one of its own.
        let record = segment::NewRecord { stream: stream("registry"), before: Position(8), bytes: vec![9] };
        log.commit(&[record]).and_then(|()| log.close()).expect("the disk is well");
        disk.flip_bit(&name, offset, 3);
        assert!(open(&disk).is_err(), "damage at {offset} went unseen behind a later segment");
    }
}

/// A file from the middle that is missing is told.
#[test]
fn a_missing_file_is_told() {
    let disk = SimulatedDisk::new(3);
    let (mut told, mut draws) = (Told::default(), Draws::of(3, Stream::Faults, 3));
    let mut log = open(&disk).expect("an empty folder opens").log;
    for _ in 0..30 {
        let before = told.durable;
        let bytes = vec![byte(draws.draw()); 100];
        log.commit(&[segment::NewRecord { stream: stream("registry"), before, bytes }]).expect("the disk is well");
        told.durable = log.durable();
    }
    let names: Vec<String> = disk.sizes().into_keys().collect();
    assert!(names.len() > 3, "{names:?}");
    disk.remove(&names[1]).expect("it is there");
    let error = open(&disk).expect_err("it can't be opened").to_string();
    assert!(error.contains(&names[0]) && error.contains("are missing behind it"), "{error}");
}

/// A disk that is full or read-only takes nothing, and what it did not take is written once it does; what was there can be read all along.
#[test]
fn a_full_disk_recovers_by_itself() {
    for refusal in [Refusal::Full, Refusal::ReadOnly] {
        let (disk, mut told, _) = a_log();
        let mut log = open(&disk).expect("it opens").log;
        disk.fail(FaultRates { refuses_writes: Some(refusal), ..FaultRates::default() });
        let record = || segment::NewRecord { stream: stream("registry"), before: Position(8), bytes: vec![9; 50] };
        for _ in 0..5 {
            assert!(log.commit(&[record()]).is_err());
            told.check(&log);
        }
        disk.fail(FaultRates::default());
        log.commit(&[record()]).expect("there is room");
        told.by_stream.get_mut(&stream("registry")).unwrap().push((Position(9), vec![9; 50]));
        told.durable = Position(9);
        told.check(&log);
        disk.restart();
        told.check(&open(&disk).expect("it opens").log);
    }
}

/// Waits for something that takes a moment.
fn comes(what: &str, mut is_there: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is_there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{what} does not come");
}

/// What the disk has refused is written once it takes it again, though nothing else comes.
#[test]
fn what_was_refused_is_tried_again() {
    let disk = SimulatedDisk::new(1);
    let options = StoreOptions { retry_after: Duration::from_millis(1), ..StoreOptions::default() };
    let store = Store::open_on(Disk::Simulated(disk.clone()), options).expect("it opens");
    disk.fail(FaultRates { refuses_writes: Some(Refusal::Full), ..FaultRates::default() });
    let position = store.append(vec![(stream("registry"), vec![1])]);
    comes("trouble", || store.trouble().is_some());
    disk.fail(FaultRates::default());
    comes("the record", || store.durable() >= position);
    assert!(store.trouble().is_none());
}

/// Records that nobody waits for share the sync of one that somebody waits for, and come to the disk by themselves.
#[test]
fn what_nobody_waits_for_shares_a_sync() {
    const ROUNDS: u64 = 200;
    let disk = SimulatedDisk::new(1);
    let store = Store::open_on(Disk::Simulated(disk.clone()), StoreOptions::default()).expect("it opens");
    let record = || vec![(stream("registry"), vec![1])];
    let before = disk.syncs();
    for _ in 0..ROUNDS {
        store.append_unhurried(record());
        // The thread that writes has had its time to see it.
        std::thread::sleep(Duration::from_micros(200));
        store.wait_durable(store.append(record())).expect("the disk takes it");
    }
    let syncs = disk.syncs() - before;
    assert!(syncs < ROUNDS * 3 / 2, "{syncs} syncs of {ROUNDS} that somebody waited for");
    let last = store.append_unhurried(record());
    comes("the last record", || store.durable() >= last);
}

/// Snapshots of the same position, and of one before it, leave a stream with all that the last one stands for: whoever ends in good order
/// puts one where another was just put, and two threads may be overtaken by one another.
#[test]
fn snapshots_of_the_same_position_and_of_earlier_ones() {
    let disk = SimulatedDisk::new(1);
    let options = StoreOptions { segment_bytes: 1, ..StoreOptions::default() };
    let store = Store::open_on(Disk::Simulated(disk.clone()), options).expect("it opens");
    let name = stream("registry");
    let positions: Vec<Position> = (0..4).map(|record| store.append(vec![(name.clone(), vec![record])])).collect();
    let put = |to: Position| store.put_snapshot(&name, to, vec![byte(to.0)]).expect("the disk takes it");
    put(positions[2]);
    put(positions[2]);
    put(positions[1]);
    assert_eq!(store.snapshot(&name).expect("it can be read"), Some((positions[2], vec![byte(positions[2].0)])));
    drop(store);
    let store = Store::open_on(Disk::Simulated(disk), options).expect("it opens again");
    assert_eq!(store.snapshot(&name).expect("it can be read"), Some((positions[2], vec![byte(positions[2].0)])));
    let mut found = Vec::new();
    store.read(&name, |at, bytes| found.push((at, bytes.to_vec()))).expect("it can be read");
    assert_eq!(found, [(positions[3], vec![3])]);
}
