//! `longshore compare FILE`: what a cluster's load costs on Fargate, Fargate Spot and EC2, and which to take.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::Duration;

use super::run::{while_images_are_made, write_out};
use super::signals::StopRequests;
use super::summary::{section, table};
use super::{CompareArguments, Failure, Format, Outcome, bad_file, complain, failed, format};
use crate::config::ClusterFile;
use crate::data_plane::DataPlaneOptions;
use crate::data_plane::clock::Clock;
use crate::driver::compare::recommendation::{Choice, money};
use crate::driver::compare::report::ComparisonReport;
use crate::driver::compare::sizing::TaskSize;
use crate::driver::compare::{CompareError, CompareOptions, CompareStep, Comparison, Row, compare as compare_cluster};
use crate::model::units::Timestamp;
use crate::model::work::Work;

/// How often progress is shown.
const REFRESH: Duration = Duration::from_millis(250);
/// A comparison of real guests that is going to take longer than this says so. *Ours.*
const LONG: Duration = Duration::from_secs(60);

pub(super) fn compare(arguments: &CompareArguments) -> Outcome {
    let mut spec = ClusterFile::load(&arguments.file).map_err(bad_file)?;
    if arguments.run_for.is_some() {
        spec.settings.run_for = arguments.run_for;
    }
    if let Some(seed) = arguments.seed {
        spec.settings.seed = seed;
    }
    let stop_requests = StopRequests::listen().map_err(failed)?;
    let executed = spec.task_definitions.iter().filter(|definition| definition.work == Work::Executed).count();
    let (image_observer, images) = crossbeam_channel::bounded(1024);
    let data_plane = DataPlaneOptions { image_observer: Some(image_observer), ..arguments.images.data_plane_options() };
    let options = CompareOptions { data_plane, p99_tolerance_percent: arguments.p99_tolerance };
    let mut progress = Progress::new(executed);
    let compared = while_images_are_made(&images, || {
        compare_cluster(&spec, &options, |step| {
            progress.show(step);
            if stop_requests.any() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    progress.clear();
    let comparison = compared.map_err(|error| {
        complain(&error);
        if matches!(error, CompareError::Ended) { Failure::Failed } else { Failure::BadInput }
    })?;
    match arguments.format {
        Format::Json => {
            let report = ComparisonReport::of(&comparison);
            write_out(&serde_json::to_string_pretty(&report).expect("a report is plain data"));
        }
        Format::Text => write_out(&text(&comparison)),
    }
    if comparison.recommendation.is_none() {
        complain("no capacity places all tasks and does their work");
        return Err(Failure::Failed);
    }
    Ok(())
}

/// What there is to see while it takes its time.
struct Progress {
    clock: Clock,
    is_shown: bool,
    shown_at: Timestamp,
    /// Task definitions whose real guests run in every variant.
    executed: usize,
    has_warned: bool,
}

impl Progress {
    fn new(executed: usize) -> Progress {
        let is_shown = std::io::stderr().is_terminal();
        Progress { clock: Clock::start_now(), is_shown, shown_at: Timestamp::ZERO, executed, has_warned: false }
    }

    fn show(&mut self, step: &CompareStep<'_>) {
        let now = self.clock.now();
        if now.since(self.shown_at) < REFRESH {
            return;
        }
        self.shown_at = now;
        let left = time_left(step, now.elapsed());
        if self.executed > 0 && !self.has_warned && left.is_some_and(|left| left > LONG) {
            self.has_warned = true;
            self.clear();
            let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
            anstream::eprintln!(
                "{style}warning{style:#}: real guests of {} task definitions run once in each of some {} variants, which takes about {} \
                 more; --for takes a shorter time",
                self.executed,
                step.count,
                format::duration(left.unwrap_or_default()),
            );
        }
        if self.is_shown {
            self.clear();
            anstream::eprint!("{}", line(step, left));
        }
    }

    /// Wipes the line of progress from a terminal.
    fn clear(&self) {
        if self.is_shown {
            anstream::eprint!("\r\x1b[2K");
        }
    }
}

/// `3 of 6: EC2 m7i.large, 6 h 12 m of 24 h 00 m simulated, about 3.1 s left`
fn line(step: &CompareStep<'_>, left: Option<Duration>) -> String {
    let left = left.map(|left| format!(", about {} left", format::duration(left))).unwrap_or_default();
    format!(
        "{} of {}: {}, {} of {} simulated{left}",
        step.number,
        step.count,
        step.variant.name(),
        format::duration(step.simulated.min(step.of)),
        format::duration(step.of),
    )
}

/// What is left at the speed so far; `None` as long as nothing is known.
fn time_left(step: &CompareStep<'_>, wall: Duration) -> Option<Duration> {
    let of = step.of.as_nanos().max(1);
    let whole = |variants: usize| u128::try_from(variants).unwrap_or(u128::MAX).saturating_mul(of);
    let done = whole(step.number - 1).saturating_add(step.simulated.as_nanos().min(of));
    let ahead = whole(step.count).saturating_sub(done);
    let left = ahead.saturating_mul(wall.as_micros()).checked_div(done)?;
    Some(Duration::from_micros(u64::try_from(left).ok()?))
}

const HEADS: [&str; 15] = [
    "",
    "Capacity",
    "Cost/24 h",
    "Cost/730 h",
    "Tasks",
    "Unplaced",
    "Jobs done",
    "p50",
    "p95",
    "p99",
    "CPU used",
    "Mem used",
    "Waste/24 h",
    "Instances",
    "Task sizes",
];

/// The table, the recommendation and what it rests on.
fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    let style = anstyle::Style::new().bold();
    let _ = writeln!(
        text,
        "\n{style}{} in {}{style:#}: {} simulated of each, seed {}",
        comparison.cluster,
        comparison.region,
        format::duration(comparison.time),
        comparison.seed
    );
    let mut rows = table(&HEADS, &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    for (index, row) in comparison.rows.iter().enumerate() {
        rows.add_row(cells(comparison, index, row));
    }
    section(&mut text, "SIDE BY SIDE", Some(rows));
    recommendation(&mut text, comparison);
    sizes(&mut text, comparison);
    let objections = comparison.rows.iter().filter_map(|row| Some((row.variant.name(), row.objection.as_ref()?)));
    list(&mut text, "NOT RECOMMENDED", objections.map(|(name, objection)| format!("{name}: {objection}")));
    let left_out = comparison.left_out.iter().map(|left_out| format!("{}: {}", left_out.capacity, left_out.reason));
    list(&mut text, "NOT TRIED", left_out);
    list(&mut text, "NOTES", comparison.notes.iter().cloned());
    text
}

fn cells(comparison: &Comparison, index: usize, row: &Row) -> Vec<String> {
    let measured = &row.measured;
    let waste = measured.bill.waste.total();
    let latency = |of: fn(&crate::driver::compare::measure::Latency) -> Duration| {
        measured.latency.as_ref().map_or_else(|| "-".to_owned(), |latency| format::duration(of(latency)))
    };
    let jobs = measured.jobs;
    let recommendation = comparison.recommendation.as_ref();
    let is_chosen = |choice: &Choice| choice.row == index;
    let mark = if recommendation.is_some_and(|recommendation| {
        is_chosen(&recommendation.cheapest) || recommendation.without_interruptions.as_ref().is_some_and(is_chosen)
    }) {
        "*"
    } else {
        ""
    };
    let sizes = row.variant.task_sizes().into_iter().map(|(family, size)| format!("{family} {}", shown(size)));
    vec![
        mark.to_owned(),
        row.variant.name(),
        format!("${}", money(measured.per_day)),
        format!("${}", money(measured.per_month)),
        measured.placed.to_string(),
        measured.unplaced.to_string(),
        if jobs.pushed == 0 { "-".to_owned() } else { jobs.completed.to_string() },
        latency(|latency| latency.p50),
        latency(|latency| latency.p95),
        latency(|latency| latency.p99),
        format::permille(waste.vcpu_used_permille()),
        format::permille(waste.memory_used_permille()),
        format!("${}", money(measured.wasted_per_day)),
        measured.instances_peak.to_string(),
        sizes.collect::<Vec<_>>().join(", "),
    ]
}

fn recommendation(text: &mut String, comparison: &Comparison) {
    let Some(recommendation) = &comparison.recommendation else { return };
    let style = anstyle::Style::new().bold();
    let _ = writeln!(text, "\n{style}RECOMMENDED{style:#}\n {}", recommendation.cheapest.reason);
    if let Some(choice) = &recommendation.without_interruptions {
        let _ = writeln!(text, " Where tasks must not be interrupted: {}", choice.reason);
    }
    if let Some(break_even) = &recommendation.break_even {
        let _ = writeln!(text, " Break-even: {}.", break_even.text(&comparison.rows));
    }
}

fn sizes(text: &mut String, comparison: &Comparison) {
    if comparison.sizes.is_empty() {
        return;
    }
    let mut rows = table(
        &["Task definition", "Reserves", "CPU p99", "Memory peak", "Needs", "On Fargate", "Needs on Fargate"],
        &[2, 3],
    );
    let on_fargate = |size: Option<TaskSize>| size.map_or_else(|| "-".to_owned(), shown);
    for advice in &comparison.sizes {
        rows.add_row([
            advice.family.clone(),
            shown(advice.written),
            advice.cpu_units_p99.to_string(),
            format!("{} MiB", advice.memory_mib_peak),
            shown(advice.needed),
            on_fargate(advice.written_on_fargate),
            on_fargate(advice.needed_on_fargate),
        ]);
    }
    section(text, "SIZES BY WHAT TASKS USED", Some(rows));
}

fn list(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let style = anstyle::Style::new().bold();
    for (index, line) in lines.enumerate() {
        if index == 0 {
            let _ = writeln!(text, "\n{style}{title}{style:#}");
        }
        let _ = writeln!(text, " {line}");
    }
}

/// `512/1024`: CPU units and MiB.
fn shown(size: TaskSize) -> String {
    format!("{}/{}", size.cpu, size.memory)
}
