//! Lines over time as SVG: axes with round ticks, a legend, marks of what happened.
//!
//! A plot has no size of its own: positions are percentages of wherever it stands, texts and strokes keep theirs, so that one plot is
//! readable on a wide screen, on a phone, and in a file of its own.

use std::fmt::Write as _;

use super::axis::{Axis, Unit};
use super::markup::escaped;
use crate::driver::series::MarkKind;
use crate::model::units::Timestamp;

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its file's name without the ending; unique in a report.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What its values are.
    pub unit: Unit,
    /// When each value was taken.
    pub times: Vec<Timestamp>,
    /// Its lines, drawn in this order.
    pub lines: Vec<Line>,
    /// What happened, oldest first.
    pub marks: Vec<ChartMark>,
}

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// A value for each of the chart's times; `None` leaves a gap.
    pub values: Vec<Option<i64>>,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What is, in one of the six colours of [`STYLE`], from 1 on.
    Solid(u8),
    /// What is to be, likewise.
    Dashed(u8),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct ChartMark {
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: MarkKind,
    /// What.
    pub text: String,
}

/// Marks drawn on a chart. *Ours:* beyond that they hide the lines; all of them are in the report's tables.
const MARKS_DRAWN: usize = 300;
/// The coordinates of lines: thousandths of a percent of the width are more than a screen has.
const WIDTH: u64 = 10_000;
const HEIGHT: i64 = 1_000;

/// The style of plots, in light and dark. Works in a page and in a file of its own.
pub const STYLE: &str = "\
:root{--bg:#fcfcfb;--ink:#1a1a19;--soft:#5f5e5a;--grid:#e4e3de;--c1:#2a78d6;--c2:#1baf7a;--c3:#eda100;--c4:#4a3aa7;--c5:#e34948;--c6:#008300}
@media (prefers-color-scheme:dark){:root{--bg:#1a1a19;--ink:#f2f1ed;--soft:#a9a8a2;--grid:#3a3a37;--c1:#3987e5;--c2:#199e70;--c3:#c98500;--c4:#9085e9;--c5:#e66767;--c6:#4fae4f}}
.plot text,.legend text{font:12px system-ui,sans-serif;fill:var(--soft)}
.plot .g{stroke:var(--grid);stroke-width:1}
.plot .axis{stroke:var(--soft);stroke-width:1}
.plot path.l,.key path.l{fill:none;stroke-width:1.75;stroke-linejoin:round;stroke-linecap:round;vector-effect:non-scaling-stroke}
.dash{stroke-dasharray:5 4}
.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.c5{stroke:var(--c5)}.c6{stroke:var(--c6)}
.m line{stroke-width:1;stroke-dasharray:2 3}
.m.start line,.m.start path{stroke:var(--c4)}.m.done line,.m.done path{stroke:var(--c6)}.m.bad line,.m.bad path{stroke:var(--c5)}
.m.start path{fill:var(--c4)}.m.done path{fill:var(--c6)}.m.bad path{fill:var(--c5)}
.m.out path{fill:var(--soft)}.m.in path{fill:var(--bg);stroke:var(--soft)}
.title{font:600 15px system-ui,sans-serif!important;fill:var(--ink)!important}
.ground{fill:var(--bg)}
";

/// What a kind of mark looks like: its class, its shape around a point, and whether a line goes down from it.
fn shape(kind: MarkKind) -> (&'static str, &'static str, bool) {
    match kind {
        MarkKind::DeploymentStarted => ("start", "M0-5L5 0L0 5L-5 0Z", true),
        MarkKind::DeploymentCompleted => ("done", "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0Z", true),
        MarkKind::DeploymentFailed => ("bad", "M-4-4L4 4M4-4L-4 4", true),
        MarkKind::ScaledOut | MarkKind::CapacityOut => ("out", "M0-4L3.5 2L-3.5 2Z", false),
        MarkKind::ScaledIn | MarkKind::CapacityIn => ("in", "M0 4L3.5-2L-3.5-2Z", false),
        MarkKind::Alarm => ("bad", "M0-5L5 4L-5 4Z", true),
        MarkKind::Impaired => ("bad", "M-4-4H4V4H-4Z", true),
    }
}

impl Chart {
    /// The last moment that it shows.
    fn until(&self) -> Timestamp {
        self.times.last().copied().unwrap_or_default().max(Timestamp(1))
    }

    fn across(&self, at: Timestamp) -> u64 {
        let until = u128::from(self.until().0);
        u64::try_from(u128::from(at.0.min(self.until().0)) * u128::from(WIDTH) / until).unwrap_or(WIDTH)
    }

    /// The kinds of its marks, each once.
    fn mark_kinds(&self) -> Vec<MarkKind> {
        let mut kinds: Vec<MarkKind> = self.marks.iter().map(|mark| mark.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// What it shows, in words.
    fn description(&self) -> String {
        let names: Vec<&str> = self.lines.iter().map(|line| &*line.name).collect();
        let last = self.lines.iter().filter_map(|line| {
            let value = line.values.iter().rev().flatten().next()?;
            Some(format!("{} {}", line.name, self.unit.text(*value)))
        });
        let last: Vec<String> = last.collect();
        format!("{}: {}. At the end: {}.", self.title, names.join(", "), last.join(", "))
    }
}

/// The plot itself, to stand in an `svg` element whose content may be seen beyond its box.
fn plot(chart: &Chart) -> String {
    let mut svg = String::new();
    let drawn = chart.lines.iter().flat_map(|line| &line.values).flatten().copied();
    let values = Axis::of_values(chart.unit, drawn);
    let down = |value: i64| HEIGHT - values.scale.position(value, HEIGHT);
    for tick in &values.ticks {
        let y = percent(down(*tick).unsigned_abs() * 10);
        let text = escaped(&chart.unit.text(*tick));
        let _ = write!(
            svg,
            "<line class=\"g\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\
             <text x=\"-8\" y=\"{y}\" dy=\".35em\" text-anchor=\"end\">{text}</text>"
        );
    }
    svg.push_str("<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"100%\" y2=\"100%\"/>");
    let times = Axis::of_time(chart.until());
    for (index, tick) in times.ticks.iter().enumerate() {
        let at = Timestamp(tick.unsigned_abs());
        let x = percent(chart.across(at));
        // A narrow screen has room for every other one.
        let class = if index % 2 == 1 { " class=\"odd\"" } else { "" };
        let text = escaped(&Unit::Time.text(*tick));
        let _ = write!(
            svg,
            "<svg x=\"{x}\" y=\"100%\" overflow=\"visible\"><path class=\"axis\" d=\"M0 0V5\"/></svg>\
             <text{class} x=\"{x}\" y=\"100%\" dy=\"1.6em\" text-anchor=\"middle\">{text}</text>"
        );
    }
    let _ = write!(
        svg,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"100%\" height=\"100%\" preserveAspectRatio=\"none\" overflow=\"visible\">"
    );
    for line in &chart.lines {
        let path = path(chart, line, &down);
        let _ = write!(svg, "<path class=\"{}\" d=\"{path}\"/>", class(line.look));
    }
    svg.push_str("</svg>");
    // Those that say most are drawn last, on top.
    let drawn = chart.marks.iter().take(MARKS_DRAWN);
    let (plain, lined): (Vec<&ChartMark>, Vec<&ChartMark>) = drawn.partition(|mark| !shape(mark.kind).2);
    for mark in plain.into_iter().chain(lined) {
        let (class, shape, is_lined) = shape(mark.kind);
        let x = percent(chart.across(mark.at));
        let at = Unit::Time.text(i64::try_from(mark.at.0).unwrap_or(i64::MAX));
        let title = escaped(&format!("{at}, {}: {}", mark.kind.as_str(), mark.text));
        let line = if is_lined { format!("<line x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"100%\"/>") } else { String::new() };
        let _ = write!(
            svg,
            "<g class=\"m {class}\"><title>{title}</title>{line}\
             <svg x=\"{x}\" y=\"-8\" overflow=\"visible\"><path d=\"{shape}\"/></svg></g>"
        );
    }
    svg
}

fn class(look: Look) -> String {
    match look {
        Look::Solid(colour) => format!("l c{colour}"),
        Look::Dashed(colour) => format!("l dash c{colour}"),
    }
}

/// A line's path: one `M` or `L` for each value that there is.
fn path(chart: &Chart, line: &Line, down: &impl Fn(i64) -> i64) -> String {
    let mut path = String::with_capacity(line.values.len() * 10);
    let mut is_drawn = false;
    let mut values = chart.times.iter().zip(&line.values).peekable();
    while let Some((at, value)) = values.next() {
        let Some(value) = value else {
            is_drawn = false;
            continue;
        };
        let (x, y) = (chart.across(*at), down(*value));
        let _ = write!(path, "{}{x} {y}", if is_drawn { 'L' } else { 'M' });
        if !is_drawn && values.peek().is_none_or(|(_, next)| next.is_none()) {
            // One that stands alone is a dot.
            path.push_str("h0");
        }
        is_drawn = true;
    }
    path
}

/// Ten-thousandths as a percentage.
fn percent(part: u64) -> String {
    match part % 100 {
        0 => format!("{}%", part / 100),
        rest => format!("{}.{rest:02}%", part / 100),
    }
}

/// A swatch of a line or a mark for legends, around (0, 0).
fn swatch_of_line(look: Look) -> String {
    format!("<path class=\"{}\" d=\"M-9 0H9\"/>", class(look))
}

fn swatch_of_mark(kind: MarkKind) -> String {
    let (class, shape, _) = shape(kind);
    format!("<g class=\"m {class}\"><path d=\"{shape}\"/></g>")
}

/// What the legend says: a swatch and a name each.
fn legend(chart: &Chart) -> Vec<(String, String)> {
    let lines = chart.lines.iter().map(|line| (swatch_of_line(line.look), line.name.clone()));
    let marks = chart.mark_kinds().into_iter().map(|kind| (swatch_of_mark(kind), kind.as_str().to_owned()));
    lines.chain(marks).collect()
}

/// A chart as a `figure` of a page that has [`STYLE`].
pub fn figure(chart: &Chart) -> String {
    let mut html = format!(
        "<figure id=\"{}\"><figcaption>{}</figcaption><ul class=\"key\">",
        escaped(&chart.name),
        escaped(&chart.title)
    );
    for (swatch, name) in legend(chart) {
        let _ = write!(
            html,
            "<li><svg width=\"20\" height=\"12\" viewBox=\"-10 -6 20 12\" aria-hidden=\"true\">{swatch}</svg>{}</li>",
            escaped(&name)
        );
    }
    let description = escaped(&chart.description());
    let _ = writeln!(
        html,
        "</ul><div class=\"box\"><svg class=\"plot\" role=\"img\" aria-label=\"{description}\">{}</svg></div></figure>",
        plot(chart)
    );
    html
}

/// A chart as an SVG file.
pub fn standalone(chart: &Chart) -> String {
    const SIZE: (usize, usize) = (960, 360);
    const MARGIN: usize = 72;
    /// About as wide as a letter of 12 pixels.
    const LETTER: usize = 7;
    let (mut x, mut y) = (MARGIN, 50);
    let mut keys = String::new();
    for (swatch, name) in legend(chart) {
        let width = 36 + LETTER * name.chars().count();
        if x > MARGIN && x + width > SIZE.0 {
            (x, y) = (MARGIN, y + 18);
        }
        let _ = write!(
            keys,
            "<svg x=\"{}\" y=\"{}\" overflow=\"visible\">{swatch}</svg><text x=\"{}\" y=\"{}\">{}</text>",
            x + 10,
            y - 4,
            x + 24,
            y,
            escaped(&name)
        );
        x += width;
    }
    let top = y + 26;
    let (width, height) = (SIZE.0 - MARGIN - 24, SIZE.1 - 110);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total_width}\" height=\"{total_height}\" viewBox=\"0 0 {total_width} {total_height}\" \
         role=\"img\">\n<title>{title}</title>\n<desc>{description}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n\
         <g class=\"legend\"><text class=\"title\" x=\"{MARGIN}\" y=\"24\">{title}</text><g class=\"key\">{keys}</g></g>\n\
         <svg class=\"plot\" x=\"{MARGIN}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" overflow=\"visible\">{plot}</svg>\n</svg>\n",
        total_width = SIZE.0,
        total_height = top + height + 40,
        title = escaped(&chart.title),
        description = escaped(&chart.description()),
        plot = plot(chart),
    )
}
