//! `longshore replay JOURNAL`: a cluster led through its journal again, and shown where it stops.
//!
//! An event that leads to other actions than those recorded ends it with exit code 1; a journal that can't be read, with 2.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Failure, Format, Outcome, ReplayArguments, complain, format, summary, warn};
use crate::config::parse_duration;
use crate::data_plane::clock::Clock;
use crate::driver::journal::JournalHeader;
use crate::driver::journal::reader::JournalRecord;
use crate::driver::journal::replay::{Replay, ReplayError};
use crate::driver::report::Report;
use crate::driver::snapshot::Snapshot;
use crate::model::units::Timestamp;

/// How many events are shown that led to where it stops.
const EVENTS_BEFORE: usize = 10;
/// How many are shown that follow.
const EVENTS_AFTER: usize = 3;
/// How much of an event is shown in a table.
const EVENT_LETTERS: usize = 140;
/// How often progress is shown.
const PROGRESS_PERIOD: Duration = Duration::from_millis(200);
/// After how many events the clock is looked at for it.
const EVENTS_BETWEEN_LOOKS: u64 = 1024;

/// A moment as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// Since the cluster's start.
    Elapsed(Duration),
    /// By the calendar.
    Calendar(jiff::Timestamp),
}

/// Reads `90s` or `2026-01-31T08:30:00Z`.
pub(super) fn parse_time(text: &str) -> Result<Time, String> {
    if let Ok(calendar) = text.parse() {
        return Ok(Time::Calendar(calendar));
    }
    match parse_duration(text) {
        Ok(elapsed) => Ok(Time::Elapsed(elapsed)),
        Err(error) => Err(format!("{error}; or a date, as in 2026-01-31T08:30:00Z")),
    }
}

impl Time {
    /// This moment on the clock of a cluster; `None` before its start.
    fn since_start(self, header: &JournalHeader) -> Option<Timestamp> {
        let elapsed = match self {
            Time::Elapsed(elapsed) => elapsed,
            Time::Calendar(time) => {
                let start = header.settings.calendar_start.unwrap_or_default();
                Duration::try_from(time.duration_since(start)).ok()?
            }
        };
        Some(Timestamp::ZERO + elapsed)
    }
}

/// Where it stops.
#[derive(Clone, Copy)]
enum Stop {
    AtEnd,
    At(Timestamp),
    AtEvent(u64),
}

pub(super) fn replay(arguments: &ReplayArguments) -> Outcome {
    let mut replay = Replay::open(&arguments.journal).map_err(failed)?;
    let stop = stop(arguments, replay.reader().header())?;
    let mut before = VecDeque::with_capacity(EVENTS_BEFORE);
    let at = run(&mut replay, stop, &mut before).map_err(|error| {
        let failure = failed(error);
        if replay.replayed() > 0 {
            let (journal, number) = (arguments.journal.display(), replay.replayed());
            anstream::eprintln!("  the cluster before it: longshore replay {journal} --at-event {number}");
        }
        failure
    })?;
    if let Stop::AtEvent(wanted) = stop
        && wanted > replay.replayed()
    {
        let (journal, count) = (arguments.journal.display(), replay.replayed());
        complain(format!("the journal {journal} has {count} events, and --at-event names event {wanted}"));
        return Err(Failure::BadInput);
    }
    let snapshot = Snapshot::of_replay(&replay, at);
    let (header, events) = (replay.reader().header().clone(), replay.replayed());
    let torn_at = replay.reader().torn_at();
    let (after, trouble_after) = replay.following(EVENTS_AFTER);
    let is_at_end = after.is_empty() && trouble_after.is_none();
    let shown = Shown { header, events, torn_at, before: before.into(), after, is_at_end };
    if let Some(trouble) = trouble_after {
        warn(format!("what follows can't be read: {trouble}"));
    }
    if let Some(byte) = shown.torn_at {
        let journal = arguments.journal.display();
        warn(format!(
            "the last line of {journal}, at byte {byte}, is not whole and was left out: whoever wrote it was ended"
        ));
    }
    let text = match arguments.format {
        Format::Json => serde_json::to_string_pretty(&shown.document(&snapshot)).expect("a report is plain data"),
        Format::Text => shown.text(&snapshot),
    };
    // A reader that has gone (`| head`) is no failure of the replay.
    let _ = writeln!(anstream::stdout(), "{text}");
    Ok(())
}

fn stop(arguments: &ReplayArguments, header: &JournalHeader) -> Result<Stop, Failure> {
    match (arguments.until, arguments.at_event) {
        (_, Some(number)) => Ok(Stop::AtEvent(number)),
        (Some(time), None) => time.since_start(header).map(Stop::At).ok_or_else(|| {
            let start = header.settings.calendar_start.unwrap_or_default();
            complain(format!("--until is before the cluster's start at {start}"));
            Failure::BadInput
        }),
        (None, None) => Ok(Stop::AtEnd),
    }
}

/// Says what is wrong.
fn failed(error: ReplayError) -> Failure {
    complain(&error);
    match error {
        ReplayError::Differs(_) => Failure::Failed,
        ReplayError::Read(_) | ReplayError::UnknownRegion(_) => Failure::BadInput,
    }
}

/// Takes in events up to where it stops and keeps the last ones. Returns the moment that is to be shown.
fn run(replay: &mut Replay, stop: Stop, before: &mut VecDeque<JournalRecord>) -> Result<Timestamp, ReplayError> {
    let mut progress = Progress::new();
    loop {
        match stop {
            Stop::AtEvent(number) if replay.replayed() >= number => break,
            Stop::At(at) if replay.peek()?.is_some_and(|next| next.at > at) => return Ok(at),
            Stop::AtEnd | Stop::At(_) | Stop::AtEvent(_) => {}
        }
        let Some(record) = replay.step()? else { break };
        if before.len() == EVENTS_BEFORE {
            before.pop_front();
        }
        before.push_back(record);
        progress.show(replay);
    }
    Ok(replay.control_plane().now())
}

/// A line on the terminal that says how far it is. Gone when it is over.
struct Progress {
    clock: Clock,
    shown_at: Timestamp,
    is_shown: bool,
    is_terminal: bool,
}

impl Progress {
    fn new() -> Progress {
        let is_terminal = std::io::stderr().is_terminal();
        Progress { clock: Clock::start_now(), shown_at: Timestamp::ZERO, is_shown: false, is_terminal }
    }

    fn show(&mut self, replay: &Replay) {
        if !self.is_terminal || !replay.replayed().is_multiple_of(EVENTS_BETWEEN_LOOKS) {
            return;
        }
        let now = self.clock.now();
        if now.since(self.shown_at) < PROGRESS_PERIOD {
            return;
        }
        (self.shown_at, self.is_shown) = (now, true);
        let (read, bytes) = replay.reader().progress();
        let rate = u128::from(replay.replayed()) * 1000 / now.elapsed().as_millis().max(1);
        anstream::eprint!(
            "\r\x1b[Kreplaying: {} of the journal, {} events, {rate} a second, {} of cluster time",
            format::percent(read, bytes),
            replay.replayed(),
            format::duration(replay.control_plane().now().elapsed()),
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            anstream::eprint!("\r\x1b[K");
        }
    }
}

/// What is shown beside the cluster.
struct Shown {
    header: JournalHeader,
    events: u64,
    torn_at: Option<u64>,
    before: Vec<JournalRecord>,
    after: Vec<JournalRecord>,
    is_at_end: bool,
}

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    /// How the journal begins.
    journal: &'a JournalHeader,
    /// How many events were taken in.
    events: u64,
    /// Whether there were no more.
    is_at_end: bool,
    /// Where a last line begins that is not whole.
    torn_at_byte: Option<u64>,
    /// The last events that were taken in, and what they led to.
    last_events: Vec<EventDocument<'a>>,
    /// Events that follow.
    next_events: Vec<EventDocument<'a>>,
    /// The cluster, as `run` reports it.
    cluster: Report,
}

#[derive(Serialize)]
struct EventDocument<'a> {
    number: u64,
    at: Timestamp,
    event: &'a RawValue,
    actions: Option<&'a RawValue>,
}

impl EventDocument<'_> {
    fn of(record: &JournalRecord) -> EventDocument<'_> {
        let raw = |text| serde_json::from_str(text).expect("the line was JSON when it was read");
        let (number, at) = (record.number, record.at);
        EventDocument { number, at, event: raw(record.event_text()), actions: record.actions_text().map(raw) }
    }
}

impl Shown {
    fn document(&self, snapshot: &Snapshot) -> Document<'_> {
        Document {
            journal: &self.header,
            events: self.events,
            is_at_end: self.is_at_end,
            torn_at_byte: self.torn_at,
            last_events: self.before.iter().map(EventDocument::of).collect(),
            next_events: self.after.iter().map(EventDocument::of).collect(),
            cluster: Report::of(snapshot),
        }
    }

    fn text(&self, snapshot: &Snapshot) -> String {
        let JournalHeader { cluster, region, settings, written_by, .. } = &self.header;
        let mut text = format!(
            "cluster {cluster} in {region}, seed {}, written by longshore {written_by}\n{} events, each with the actions that were \
             recorded; at {} ({})",
            settings.seed,
            self.events,
            snapshot.at,
            snapshot.at.calendar(snapshot.calendar_start),
        );
        if self.is_at_end {
            text.push_str(", the end of the journal");
        }
        text.push('\n');
        text.push_str(&summary::text(snapshot));
        let rows = |records: &[JournalRecord], what: &str| {
            let row = |record: &JournalRecord| {
                let at = record.at.to_string();
                [record.number.to_string(), at, what.to_owned(), shortened(record.event_text())]
            };
            records.iter().map(row).collect::<Vec<_>>()
        };
        let mut events = rows(&self.before, "");
        events.extend(rows(&self.after, "not yet"));
        summary::append_rows(&mut text, "EVENTS", &["Event", "At", "", "What happened"], events);
        text
    }
}

/// An event that fits a line.
fn shortened(event: &str) -> String {
    match event.char_indices().nth(EVENT_LETTERS) {
        Some((end, _)) => format!("{}...", &event[..end]),
        None => event.to_owned(),
    }
}
