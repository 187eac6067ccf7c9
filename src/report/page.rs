//! The page: what the run came to, its charts, its events, its bill, its cluster file.
//!
//! Complete by itself: style and charts are in it, there is no script and nothing is loaded. All that comes from outside is escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::axis::{Unit, duration, grouped};
use super::chart;
use super::charts::{SERVICES_DRAWN, Section};
use super::csv;
use super::markup::escaped;
use super::{ReportInput, ReportTime};
use crate::metering::bill::{Bill, CostAndUse};
use crate::metering::quantity::Quantity;
use crate::model::units::NanoUsd;

/// Events that the page lists. *Ours:* more than anybody reads; `events.csv` has all.
const EVENTS_LISTED: usize = 500;

const STYLE: &str = "\
body{margin:0 auto;max-width:1240px;padding:16px;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
h1{font-size:24px;margin:8px 0 4px}h2{font-size:19px;margin:36px 0 4px}p{margin:4px 0 12px;color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:12px 0}a{color:var(--c1)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:16px 0}
dl div{border:1px solid var(--grid);border-radius:8px;padding:8px 12px}dt{color:var(--soft);font-size:13px}dd{margin:0;font-size:19px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:8px 32px}
figure{margin:16px 0 8px;min-width:0}figcaption{font-weight:600}
.key{list-style:none;display:flex;flex-wrap:wrap;gap:0 14px;margin:2px 0 22px;padding:0;font-size:13px;color:var(--soft)}
.key li{display:flex;align-items:center;gap:5px}
.box{padding:0 14px 30px 66px}.box svg.plot{display:block;width:100%;height:210px;overflow:visible}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:4px 14px 4px 0;border-bottom:1px solid var(--grid);vertical-align:top}
th{color:var(--soft);font-weight:500}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tfoot td{font-weight:600}td.t{white-space:nowrap}
pre{overflow-x:auto;border:1px solid var(--grid);border-radius:8px;padding:12px;font:13px/1.4 ui-monospace,monospace}
@media (max-width:560px){body{padding:10px}.box{padding-left:58px;padding-right:10px}.odd{display:none}}
@media print{.charts{display:block}figure{break-inside:avoid}}
";

/// The page of a run.
pub fn page(input: &ReportInput<'_>, sections: &[Section]) -> String {
    let snapshot = input.snapshot;
    let bill = snapshot.bill();
    let name = escaped(&snapshot.name);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{name} - Longshore</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n",
        chart::STYLE
    );
    html.push_str(&introduction(input));
    html.push_str(&figures(input, &bill));
    html.push_str("<nav>");
    for (index, section) in sections.iter().enumerate() {
        let _ = write!(html, "<a href=\"#section-{index}\">{}</a>", escaped(&section.title));
    }
    html.push_str("<a href=\"#events\">Events</a><a href=\"#bill\">Bill</a><a href=\"#file\">Cluster file</a></nav>\n");
    for (index, section) in sections.iter().enumerate() {
        let _ = write!(
            html,
            "<section id=\"section-{index}\">\n<h2>{}</h2>\n<div class=\"charts\">\n",
            escaped(&section.title)
        );
        for chart in section.charts() {
            html.push_str(&chart::figure(chart));
        }
        html.push_str("</div>\n</section>\n");
    }
    html.push_str(&left_out(input));
    html.push_str(&events(input));
    html.push_str(&bill_tables(&bill));
    let _ = write!(
        html,
        "<section id=\"file\">\n<h2>Cluster file</h2>\n<p>{}</p>\n<pre>{}</pre>\n</section>\n</body>\n</html>\n",
        escaped(input.file_name),
        escaped(input.file_text)
    );
    html
}

fn introduction(input: &ReportInput<'_>) -> String {
    let snapshot = input.snapshot;
    let time = match input.time {
        ReportTime::Real => "in real time",
        ReportTime::Simulated => "of simulated time",
    };
    let files = csv::TABLES.map(|(name, _)| name);
    format!(
        "<p>{} {time} in {}, seed {}, from {:.0}. Looked at every {}. Beside this page: {}, and each chart as SVG in {}/.</p>\n",
        escaped(&duration(snapshot.at.elapsed())),
        escaped(&snapshot.region),
        snapshot.ids.seed,
        snapshot.calendar_start,
        escaped(&duration(input.series.interval)),
        files.join(", "),
        super::CHARTS,
    )
}

/// What the run came to.
fn figures(input: &ReportInput<'_>, bill: &Bill) -> String {
    let snapshot = input.snapshot;
    let state = &snapshot.state;
    let tasks = state.stopped_count + u64::try_from(state.live_count).unwrap_or(u64::MAX);
    let used =
        |permille: Option<u32>| permille.map_or_else(|| "-".into(), |part| Unit::Percent.text(i64::from(part) * 100));
    let peak = input.series.samples.iter().map(|sample| sample.instances.active + sample.instances.draining).max();
    let mut figures = vec![
        ("Cost", money(bill.total)),
        ("Tasks started", number(tasks)),
        ("Used of paid vCPU", used(bill.waste.total().vcpu_used_permille())),
        ("Used of paid memory", used(bill.waste.total().memory_used_permille())),
        ("Container instances at once", number(peak.unwrap_or_default().into())),
    ];
    if !snapshot.jobs.is_empty() {
        let sum = |count: fn(&crate::model::job::JobStats) -> u64| snapshot.jobs.values().map(count).sum();
        figures.push(("Jobs done", number(sum(|jobs| jobs.completed))));
        figures.push(("Jobs rejected or lost", number(sum(|jobs| jobs.rejected + jobs.lost))));
    }
    let mut html = String::from("<dl>\n");
    for (name, value) in figures {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value));
    }
    html + "</dl>\n"
}

fn left_out(input: &ReportInput<'_>) -> String {
    let mut names: Vec<_> = input.series.samples.iter().flat_map(|sample| sample.services.keys()).collect();
    names.sort();
    names.dedup();
    match names.len().saturating_sub(SERVICES_DRAWN) {
        0 => String::new(),
        more => format!("<p>{more} smaller services are not drawn: services.csv has them.</p>\n"),
    }
}

fn events(input: &ReportInput<'_>) -> String {
    let series = input.series;
    let mut html = String::from("<section id=\"events\">\n<h2>Events</h2>\n");
    if series.marks.is_empty() {
        return html + "<p>No deployment, no scaling, no alarm.</p>\n</section>\n";
    }
    html.push_str("<div class=\"wide\"><table>\n<thead><tr><th>Time</th><th>Event</th><th>Of</th><th>What</th></tr></thead>\n<tbody>\n");
    for mark in series.marks.iter().take(EVENTS_LISTED) {
        let _ = writeln!(
            html,
            "<tr><td class=\"t\">{}</td><td class=\"t\">{}</td><td>{}</td><td>{}</td></tr>",
            clock(mark.at.elapsed()),
            mark.kind.as_str(),
            escaped(&mark.subject),
            escaped(&mark.text)
        );
    }
    html.push_str("</tbody>\n</table></div>\n");
    let more = series.marks.len().saturating_sub(EVENTS_LISTED);
    if more > 0 {
        let _ = writeln!(html, "<p>{more} more are in events.csv.</p>");
    }
    if series.marks_dropped > 0 {
        let _ = writeln!(html, "<p>{} after those were not recorded.</p>", series.marks_dropped);
    }
    html + "</section>\n"
}

/// `1 d 06:30:05`
fn clock(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    let days = match seconds / 86_400 {
        0 => String::new(),
        days => format!("{days} d "),
    };
    format!("{days}{:02}:{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

fn bill_tables(bill: &Bill) -> String {
    let mut html = String::from(
        "<section id=\"bill\">\n<h2>Bill</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Usage type</th><th>Description</th>\
         <th class=\"n\">Quantity</th><th>Unit</th><th class=\"n\">Rate</th><th class=\"n\">Amount</th></tr></thead>\n<tbody>\n",
    );
    for line in &bill.lines {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{:.4}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escaped(&line.usage_type),
            escaped(&line.description),
            line.quantity,
            line.unit,
            line.rate,
            line.amount
        );
    }
    let _ = write!(
        html,
        "</tbody>\n<tfoot><tr><td colspan=\"5\">Total, USD</td><td class=\"n\">{}</td></tr></tfoot>\n</table></div>\n",
        bill.total
    );
    html.push_str(&costs("By service", &bill.by_service));
    html.push_str(&costs("By task definition", &bill.by_task_definition));
    for (tag, parts) in &bill.by_tag {
        html.push_str(&costs(&format!("By tag {tag}"), parts));
    }
    html + "</section>\n"
}

fn costs(title: &str, costs: &BTreeMap<String, CostAndUse>) -> String {
    let mut html = format!(
        "<div class=\"wide\"><table>\n<thead><tr><th>{}</th><th class=\"n\">Tasks</th><th class=\"n\">vCPU hours reserved</th>\
         <th class=\"n\">used</th><th class=\"n\">GB hours reserved</th><th class=\"n\">used</th><th class=\"n\">Amount, USD</th></tr></thead>\n<tbody>\n",
        escaped(title)
    );
    let hours = |seconds: Quantity| Quantity::new(seconds.numerator(), seconds.denominator().saturating_mul(3_600));
    for (name, cost) in costs {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.3}</td><td class=\"n\">{:.3}</td><td class=\"n\">{:.3}</td>\
             <td class=\"n\">{:.3}</td><td class=\"n\">{}</td></tr>",
            escaped(name),
            number(cost.tasks),
            hours(cost.vcpu_seconds_reserved),
            hours(cost.vcpu_seconds_used),
            hours(cost.memory_gb_seconds_reserved),
            hours(cost.memory_gb_seconds_used),
            cost.amount
        );
    }
    html + "</tbody>\n</table></div>\n"
}

fn money(amount: NanoUsd) -> String {
    Unit::Dollars.text(amount.0)
}

fn number(count: u64) -> String {
    grouped(i64::try_from(count).unwrap_or(i64::MAX))
}
