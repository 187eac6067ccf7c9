//! A cluster that outlives its process: its events in a data directory, and what becomes known only once they are there.
//!
//! An event and what followed from it are one record. It is appended at once and synced with whatever else has come meanwhile, while the
//! loop goes on; what the world would see of it (an answer, a notice, a task that starts) is *held* until the record is on the disk,
//! in its order. A crash takes what was held with it, and nobody has seen anything of it.

pub mod dump;
pub(super) mod held;
mod ledger;
pub mod look;
pub(super) mod record;
pub mod recovery;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crossbeam_channel::{Receiver, never};

use self::held::Held;
use self::ledger::{Entry, LedgerThread};
use self::record::{Ahead, Beginning, BegunEvent, FORMAT, InForceForm, Record, Saved};
use self::recovery::Recovered;
use crate::control_plane::ControlPlane;
use crate::control_plane::action::Action;
use crate::control_plane::event::{Event, TaskStateChange};
use crate::driver::ledger::LedgerCluster;
use crate::driver::ledger::writer::LedgerWriteError;
use crate::metering::meter::Meter;
use crate::metering::stretch::LedgerRecord;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::Timestamp;
use crate::store::{Position, Store, StreamName, WriteTrouble};

/// The stream of a cluster; `None` when its name is none that ECS allows.
pub(super) fn stream_of(region: &str, cluster: &str) -> Option<StreamName> {
    StreamName::new(&format!("cluster.{region}.{cluster}"))
}

/// Takes an event into the meter, before the control plane takes it in: in a cluster as it runs, and in one that is led through it again.
pub(super) fn meter_event(meter: &mut Meter, at: Timestamp, event: &Event) {
    meter.close_days(at);
    if let Event::Usage { samples } = event {
        samples.iter().for_each(|sample| meter.note_usage(sample));
    }
}

/// How often the ledger is told what runs.
const CHECKPOINTS: std::time::Duration = std::time::Duration::from_secs(10);

/// What a task takes in a snapshot, as `cargo bench --bench durability -- snapshot` shows it.
const SNAPSHOT_BYTES_A_TASK: u64 = 1_400;

/// What is begun, and comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Begun {
    Task(TaskId),
    Instance(ContainerInstanceId),
}

/// What of a cluster goes to a data directory, if there is one.
#[derive(Debug)]
pub(super) struct Durable {
    log: Option<Log>,
    /// What follows from records that are not appended yet.
    held_now: Vec<Held>,
    /// What waits for the disk, and for which record.
    held: VecDeque<(Position, Held)>,
}

#[derive(Debug)]
struct Log {
    store: Arc<Store>,
    stream: StreamName,
    /// Records that are one group.
    group: Vec<(StreamName, Vec<u8>)>,
    last: Position,
    wakeups: Receiver<()>,
    snapshot: Option<std::thread::JoinHandle<Result<(), WriteTrouble>>>,
    ledger: Option<LedgerThread>,
    /// What the ledger is to hear once the records up to there are on the disk.
    entries: VecDeque<(Position, Entry)>,
    next_checkpoint: Timestamp,
}

impl Durable {
    /// Nothing is written.
    pub(super) fn nothing() -> Durable {
        Durable { log: None, held_now: Vec::new(), held: VecDeque::new() }
    }

    /// Everything goes to a stream.
    pub(super) fn of(store: Arc<Store>, stream: StreamName) -> Durable {
        let log = Log {
            wakeups: store.subscribe(),
            store,
            stream,
            group: Vec::new(),
            last: Position::START,
            snapshot: None,
            ledger: None,
            entries: VecDeque::new(),
            next_checkpoint: Timestamp::ZERO,
        };
        Durable { log: Some(log), ..Durable::nothing() }
    }

    /// Opens the ledger beside the stream.
    ///
    /// # Errors
    /// When it can't be written or read.
    pub(super) fn open_ledger(&mut self, cluster: LedgerCluster) -> Result<(), LedgerWriteError> {
        let Some(log) = &mut self.log else { return Ok(()) };
        log.ledger = Some(LedgerThread::open(log.store.disk(), cluster)?);
        Ok(())
    }

    /// Something is to be read here when more is durable.
    pub(super) fn wakeups(&self) -> Receiver<()> {
        self.log.as_ref().map_or_else(never, |log| log.wakeups.clone())
    }

    /// Hands the ledger all that a cluster used that is over, and does not go on with it.
    pub(super) fn end_ledger(&mut self, mut over: Recovered) {
        let Some(log) = &mut self.log else { return };
        if let Some(ledger) = log.ledger.take() {
            ledger.write(Entry::Closed(over.meter.take_records()));
            ledger.write(Entry::Open(over.meter.open_records(over.control_plane.now())));
        }
    }

    /// Why nothing can be written at this moment.
    pub(super) fn trouble(&self) -> Option<WriteTrouble> {
        self.log.as_ref().and_then(|log| log.store.trouble())
    }

    /// The same, or why the ledger can't be written.
    pub(super) fn any_trouble(&self) -> Option<Arc<str>> {
        let ledger = || self.log.as_ref()?.ledger.as_ref()?.trouble();
        self.trouble().map(|trouble| trouble.to_string().into()).or_else(ledger)
    }

    /// A cluster begins.
    pub(super) fn begin(&mut self, control_plane: &ControlPlane, region: &Arc<str>, began_at: jiff::Timestamp) {
        self.write(|| {
            record::bytes_of(&Record::Begun(Box::new(Beginning {
                format: FORMAT,
                written_by: env!("CARGO_PKG_VERSION").into(),
                cluster: control_plane.name().clone(),
                region: region.clone(),
                began_at: Some(began_at),
                settings: control_plane.settings().clone(),
            })))
        });
    }

    /// An event is about to be taken in.
    pub(super) fn event(&self, at: Timestamp, event: &Event) -> Option<BegunEvent> {
        self.log.as_ref().map(|_| BegunEvent::of(at, event))
    }

    /// It was taken in.
    pub(super) fn took_in(&mut self, event: Option<BegunEvent>, control_plane: &ControlPlane) {
        if let Some(event) = event {
            self.write(|| event.end(control_plane.fingerprint()));
        }
    }

    /// The cluster is to be something else.
    pub(super) fn in_force(&mut self, in_force: InForceForm) {
        self.write(|| record::bytes_of(&Record::InForce(Box::new(in_force))));
    }

    /// Something else is ahead.
    pub(super) fn ahead(&mut self, ahead: Ahead) {
        self.write(|| record::bytes_of(&Record::Ahead(Box::new(ahead))));
    }

    /// Whether anything is written.
    pub(super) fn is_on(&self) -> bool {
        self.log.is_some()
    }

    fn write(&mut self, bytes: impl FnOnce() -> Vec<u8>) {
        if let Some(log) = &mut self.log {
            log.group.push((log.stream.clone(), bytes()));
        }
    }

    /// Holds something until all that was written is on the disk.
    pub(super) fn hold(&mut self, held: Held) {
        self.held_now.push(held);
    }

    /// Hands over what was written, as one group: it is recovered as a whole or not at all. The stretches of use
    /// that it closed are for the ledger.
    pub(super) fn append(&mut self, closed: impl FnOnce() -> Vec<LedgerRecord>) -> Position {
        if let Some(log) = &mut self.log {
            if !log.group.is_empty() {
                log.last = log.store.append_unhurried(std::mem::take(&mut log.group));
                let closed = closed();
                if log.ledger.is_some() && !closed.is_empty() {
                    log.entries.push_back((log.last, Entry::Closed(closed)));
                }
            }
            if !self.held_now.is_empty() {
                log.store.hurry();
            }
        }
        let position = self.log.as_ref().map(|log| log.last).unwrap_or_default();
        self.held.extend(self.held_now.drain(..).map(|held| (position, held)));
        position
    }

    /// What may be let go next.
    pub(super) fn pop(&mut self) -> Option<Held> {
        let durable = self.log.as_ref().map(|log| log.store.durable()).unwrap_or_default();
        let is_durable = |(position, _): &mut (Position, Held)| *position <= durable;
        self.held.pop_front_if(is_durable).map(|(_, held)| held)
    }

    /// What is held though the disk refuses, and need not wait for it: answers, which become errors, what only reads, and that tasks and
    /// instances are to end. Were that forgotten, they would be lost with their process all the same. Those that are still to begin never
    /// do; the events say so.
    pub(super) fn take_despite_trouble(&mut self) -> (Vec<Held>, Vec<Event>) {
        let to_end = |held: &(Position, Held)| match held.1 {
            Held::CarryOut(Action::StopTask { task }) => Some(Begun::Task(task)),
            Held::CarryOut(Action::TerminateInstance { instance }) => Some(Begun::Instance(instance)),
            _ => None,
        };
        let ends: BTreeSet<Begun> = self.held.iter().filter_map(to_end).collect();
        let mut never_begun = BTreeSet::new();
        let (mut taken, mut events) = (Vec::new(), Vec::new());
        for held in std::mem::take(&mut self.held) {
            match &held.1 {
                Held::CarryOut(Action::StartTask(start)) if ends.contains(&Begun::Task(start.task)) => {
                    never_begun.insert(Begun::Task(start.task));
                    events.push(Event::TaskStateChange(TaskStateChange::of_stopped_start(start)));
                }
                Held::CarryOut(Action::LaunchInstance { instance, .. })
                    if ends.contains(&Begun::Instance(*instance)) =>
                {
                    never_begun.insert(Begun::Instance(*instance));
                    events.push(Event::InstanceTerminated { instance: *instance, reason: None });
                }
                // That it never began says that it is to end.
                _ if to_end(&held).is_some_and(|end| never_begun.contains(&end)) => {}
                _ if to_end(&held).is_some() || held.1.is_answer() => taken.push(held.1),
                _ => self.held.push_back(held),
            }
        }
        (taken, events)
    }

    /// Hands the ledger what follows from records that are on the disk, and from time to time what runs.
    pub(super) fn write_ledger(&mut self, meter: &Meter, now: Timestamp) {
        let Some(log) = &mut self.log else { return };
        let Some(ledger) = &log.ledger else { return };
        if now >= log.next_checkpoint {
            log.next_checkpoint = now + CHECKPOINTS;
            log.entries.push_back((log.last, Entry::Open(meter.open_records(now))));
        }
        let durable = log.store.durable();
        while let Some((_, entry)) = log.entries.pop_front_if(|(position, _)| *position <= durable) {
            ledger.write(entry);
        }
    }

    /// Begins a snapshot of so many tasks in another thread when it is time for one.
    pub(super) fn snapshot_when_due(&mut self, tasks: usize, saved: impl FnOnce() -> Saved) {
        let Some(log) = &mut self.log else { return };
        let expected = u64::try_from(tasks).unwrap_or(u64::MAX).saturating_mul(SNAPSHOT_BYTES_A_TASK);
        let is_under_way = log.snapshot.as_ref().is_some_and(|thread| !thread.is_finished());
        if is_under_way || log.store.trouble().is_some() || !log.store.wants_snapshot(&log.stream, expected) {
            return;
        }
        let (store, stream, to, saved) = (log.store.clone(), log.stream.clone(), log.last, saved());
        let ledger = log.ledger.as_ref().map(LedgerThread::end);
        let entries: Vec<Entry> = log.entries.iter().map(|(_, entry)| entry.clone()).collect();
        let write = move || {
            if let Some(ledger) = ledger {
                store.wait_durable(to)?;
                // The loop hands the same over once more, and that does no harm.
                entries.into_iter().for_each(|entry| ledger.write(entry));
                if !ledger.lasts() {
                    return Ok(());
                }
            }
            store.put_snapshot(&stream, to, record::bytes_of(&saved))
        };
        // One that can't be begun or written is tried again when the next record comes.
        log.snapshot = std::thread::Builder::new().name("longshore-snapshot".into()).spawn(write).ok();
    }

    /// Waits until everything is on the disk and puts a last snapshot, so that whoever opens it next has nothing to lead it through.
    /// Everything was handed over before.
    pub(super) fn close(
        &mut self,
        open: impl FnOnce() -> Vec<LedgerRecord>,
        saved: impl FnOnce() -> Saved,
    ) -> Result<(), WriteTrouble> {
        let Some(log) = &mut self.log else { return Ok(()) };
        if let Some(thread) = log.snapshot.take() {
            // Whatever came of it, the one that follows takes its place.
            let _ = thread.join();
        }
        log.store.wait_durable(log.last)?;
        if let Some(ledger) = &log.ledger {
            log.entries.push_back((log.last, Entry::Open(open())));
            log.entries.drain(..).for_each(|(_, entry)| ledger.write(entry));
            if !ledger.end().lasts() {
                return Err(WriteTrouble(ledger.trouble().unwrap_or_default()));
            }
        }
        log.store.put_snapshot(&log.stream, log.last, record::bytes_of(&saved()))
    }
}

impl Saved {
    /// A cluster at this moment.
    pub(super) fn of_now(
        control_plane: &ControlPlane,
        meter: &Meter,
        region: &Arc<str>,
        began_at: jiff::Timestamp,
        in_force: InForceForm,
        ahead: Ahead,
        last_request: u64,
    ) -> Saved {
        Saved {
            format: FORMAT,
            written_by: env!("CARGO_PKG_VERSION").into(),
            region: region.clone(),
            began_at: Some(began_at),
            control_plane: control_plane.clone(),
            meter: meter.written(),
            in_force,
            ahead,
            last_request,
        }
    }
}
