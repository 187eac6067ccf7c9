//! `longshore simulate FILE`: a cluster in simulated time, from its first instance to its bill.

use std::io::IsTerminal;
use std::time::Duration;

use super::events_file::{Begin, EventsFile};
use super::run::{while_images_are_made, write_out};
use super::signals::StopRequests;
use super::{
    Failure, Format, Outcome, SimulateArguments, bad_file, bad_input, complain, failed, format, report, summary,
};
use crate::config::ClusterFile;
use crate::data_plane::DataPlaneOptions;
use crate::data_plane::clock::Clock;
use crate::driver::report::{HostReport, Report};
use crate::driver::simulated::report::SimulationReport;
use crate::driver::simulated::{Progress, Simulation, SimulationOptions};
use crate::model::units::Timestamp;
use crate::report::ReportTime;

/// How often progress is shown.
const REFRESH: Duration = Duration::from_millis(250);
/// How much happens between two looks at the clock and at stop requests: some milliseconds' worth.
const STEPS: u64 = 20_000;

pub(super) fn simulate(arguments: &SimulateArguments) -> Outcome {
    let (mut spec, file_text) = ClusterFile::load_with_text(&arguments.file).map_err(bad_file)?;
    if arguments.run_for.is_some() {
        spec.settings.run_for = arguments.run_for;
    }
    if let Some(seed) = arguments.seed {
        spec.settings.seed = seed;
    }
    let stop_requests = StopRequests::listen().map_err(failed)?;
    let events = arguments.events.as_deref();
    let (events_file, event_watcher) = EventsFile::open_if_named(events, Begin::Empty).map_err(bad_input)?;
    let (report_folder, recording) = arguments.report.open()?;
    let (image_observer, images) = crossbeam_channel::bounded(1024);
    let data_plane = DataPlaneOptions {
        log_dir: arguments.log_dir.clone(),
        image_observer: Some(image_observer),
        ..arguments.images.data_plane_options()
    };
    let journal = arguments.journal.options(&arguments.file)?;
    let options = SimulationOptions { event_watcher, data_plane, journal, recording, ..SimulationOptions::default() };
    let started = while_images_are_made(&images, || Simulation::new(&spec, options));
    let mut simulation = started.map_err(bad_input)?;
    // What images take is not the simulation's.
    let clock = Clock::start_now();
    follow(&mut simulation, &clock, &stop_requests);
    let wall = clock.now().elapsed();
    let snapshot = simulation.snapshot();
    let simulated = SimulationReport::of(&simulation);
    // The file ends when nobody has anything to say any more.
    drop(simulation);
    if let Some(trouble) = events_file.and_then(EventsFile::finish) {
        complain(trouble);
    }
    if let Some(trouble) = &snapshot.journal_trouble {
        complain(trouble);
    }
    match arguments.format {
        Format::Json => {
            let host = HostReport { wall_seconds: wall.as_secs_f64() };
            let report = Report { simulation: Some(simulated), host: Some(host), ..Report::of(&snapshot) };
            write_out(&serde_json::to_string_pretty(&report).expect("a report is plain data"));
        }
        Format::Text => {
            let text = summary::text(&snapshot);
            write_out(&format!("{text}{}", summary::simulation(&simulated, snapshot.at, wall)));
        }
    }
    report::write(report_folder, &snapshot, ReportTime::Simulated, &arguments.file, &file_text)?;
    match summary::never_started(&snapshot) {
        None => Ok(()),
        Some(complaint) => {
            complain(complaint);
            Err(Failure::Failed)
        }
    }
}

/// Goes on until the cluster is over, with progress on a terminal. A stop request drains it.
fn follow(simulation: &mut Simulation, clock: &Clock, stop_requests: &StopRequests) {
    let is_shown = std::io::stderr().is_terminal();
    let mut shown_at = Timestamp::ZERO;
    let mut draining = false;
    while simulation.run_until(Timestamp(u64::MAX), STEPS) == Progress::GoesOn {
        if stop_requests.any() && !draining {
            draining = true;
            anstream::eprintln!("{}draining at {}", clear(is_shown), format::duration(simulation.now().elapsed()));
            simulation.drain();
        }
        let now = clock.now();
        if is_shown && now.since(shown_at) >= REFRESH {
            shown_at = now;
            anstream::eprint!("{}{}", clear(is_shown), progress(simulation, now.elapsed()));
        }
    }
    anstream::eprint!("{}", clear(is_shown));
}

/// What wipes the line of progress from a terminal.
fn clear(is_shown: bool) -> &'static str {
    if is_shown { "\r\x1b[2K" } else { "" }
}

/// `6 h 12 m of 24 h 00 m simulated, 41230 times as fast as real time, 1.2 M events/s, 3.1 s left`
fn progress(simulation: &Simulation, wall: Duration) -> String {
    let simulated = simulation.now().elapsed();
    let events = simulation.event_count() + simulation.happening_count();
    let of = simulation.ends_at().map_or_else(String::new, |end| format!(" of {}", format::duration(end.elapsed())));
    let left = simulation.ends_at().and_then(|end| {
        let left = end.since(simulation.now()).as_nanos() * wall.as_nanos() / simulated.as_nanos().max(1);
        Some(format!(", {} left", format::duration(Duration::from_nanos(u64::try_from(left).ok()?))))
    });
    format!(
        "{}{of} simulated, {}, {}{}",
        format::duration(simulated),
        speed(simulated, wall),
        event_rate(events, wall),
        left.unwrap_or_default()
    )
}

/// `41230 times as fast as real time`
pub(super) fn speed(simulated: Duration, wall: Duration) -> String {
    format!("{} times as fast as real time", simulated.as_nanos() / wall.as_nanos().max(1))
}

/// `1.2 M events/s`
pub(super) fn event_rate(events: u64, wall: Duration) -> String {
    let rate = u128::from(events) * 1_000_000_000 / wall.as_nanos().max(1);
    match rate {
        0..10_000 => format!("{rate} events/s"),
        10_000..1_000_000 => format!("{} k events/s", rate / 1000),
        _ => format!("{}.{} M events/s", rate / 1_000_000, rate / 100_000 % 10),
    }
}
