//! The series, the marks and the bill as CSV: every sample, every service, exact numbers.

use super::ReportInput;
use crate::driver::csv;
use crate::driver::series::Sample;
use crate::model::metric::thousandths_text;
use crate::model::units::{Duration, Timestamp};
use crate::model::usage::PurchaseOption;

/// What makes a table's text. It begins with its columns' names.
type Table = fn(&ReportInput<'_>) -> String;

/// A report's CSV files, each with what makes it.
pub const TABLES: [(&str, Table); 7] = [
    ("services.csv", services),
    ("target_tracking.csv", target_tracking),
    ("instances.csv", instances),
    ("capacity_providers.csv", capacity_providers),
    ("cost.csv", cost),
    ("events.csv", events),
    ("bill.csv", bill),
];

/// A row in the making.
struct Row<'a>(&'a mut String);

impl Row<'_> {
    fn field(self, value: impl std::fmt::Display) -> Self {
        if !self.0.is_empty() && !self.0.ends_with('\n') {
            self.0.push(',');
        }
        self.0.push_str(&csv::cell(&value.to_string()));
        self
    }

    /// A number that may be missing: then nothing stands in its place.
    fn optional(self, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.field(value),
            None => {
                self.0.push(',');
                self
            }
        }
    }

    fn end(self) {
        self.0.push('\n');
    }
}

/// Rows about moments.
struct Rows<'a> {
    input: &'a ReportInput<'a>,
    text: String,
}

impl<'a> Rows<'a> {
    fn of(input: &'a ReportInput<'a>, columns: &str) -> Rows<'a> {
        Rows { input, text: format!("seconds,time,{columns}\n") }
    }

    /// A row that begins with a moment: seconds since the start, and the calendar's time.
    fn row(&mut self, at: Timestamp) -> Row<'_> {
        let time = format!("{:.3}", at.calendar(self.input.snapshot.calendar_start));
        Row(&mut self.text).field(seconds(at.elapsed())).field(time)
    }

    fn samples(&self) -> &'a [Sample] {
        &self.input.series.samples
    }
}

fn seconds(time: Duration) -> String {
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn services(input: &ReportInput<'_>) -> String {
    let mut table = Rows::of(
        input,
        "service,desired,running,pending,cpu_utilization_percent,memory_utilization_percent,jobs_arrived,jobs_done,\
         jobs_rejected_or_lost,jobs_waiting,latency_p50_seconds,latency_p90_seconds,latency_p99_seconds",
    );
    for sample in table.samples() {
        for (name, service) in &sample.services {
            let jobs = service.jobs;
            let latency = jobs.and_then(|jobs| jobs.latency);
            let row =
                table.row(sample.at).field(name).field(service.desired).field(service.running).field(service.pending);
            row.optional(service.cpu.map(thousandths_text))
                .optional(service.memory.map(thousandths_text))
                .optional(jobs.map(|jobs| jobs.arrived))
                .optional(jobs.map(|jobs| jobs.done))
                .optional(jobs.map(|jobs| jobs.failed))
                .optional(jobs.map(|jobs| jobs.queued))
                .optional(latency.map(|latency| seconds(latency.p50)))
                .optional(latency.and_then(|latency| latency.p90).map(seconds))
                .optional(latency.map(|latency| seconds(latency.p99)))
                .end();
        }
    }
    table.text
}

fn target_tracking(input: &ReportInput<'_>) -> String {
    let mut table = Rows::of(input, "service,policy,metric,value,target");
    for sample in table.samples() {
        for (name, service) in &sample.services {
            for (policy, tracked) in &service.tracked {
                let row = table.row(sample.at).field(name).field(policy).field(tracked.metric.name());
                row.optional(tracked.value.map(thousandths_text)).field(thousandths_text(tracked.target)).end();
            }
        }
    }
    table.text
}

fn instances(input: &ReportInput<'_>) -> String {
    let mut table = Rows::of(
        input,
        "starting,active,draining,in_warm_pools,cpu_registered,cpu_reserved,memory_mib_registered,memory_mib_reserved,\
         cpu_utilization_percent,memory_utilization_percent,tasks_live,tasks_of_no_service",
    );
    for sample in table.samples() {
        let found = &sample.instances;
        let row =
            table.row(sample.at).field(found.starting).field(found.active).field(found.draining).field(found.warm);
        row.field(found.cpu_registered)
            .field(found.cpu_reserved)
            .field(found.memory_registered)
            .field(found.memory_reserved)
            .optional(found.cpu_used.map(thousandths_text))
            .optional(found.memory_used.map(thousandths_text))
            .field(sample.tasks_live)
            .field(sample.tasks_standalone)
            .end();
    }
    table.text
}

fn capacity_providers(input: &ReportInput<'_>) -> String {
    let mut table = Rows::of(input, "capacity_provider,desired,in_service,reservation_percent,target_percent");
    for sample in table.samples() {
        for (name, provider) in &sample.providers {
            let row = table.row(sample.at).field(name).field(provider.desired).field(provider.in_service);
            row.optional(provider.reservation.map(thousandths_text))
                .optional(provider.target.map(thousandths_text))
                .end();
        }
    }
    table.text
}

fn cost(input: &ReportInput<'_>) -> String {
    let mut table = Rows::of(input, "fargate_usd,fargate_spot_usd,ec2_usd,ec2_spot_usd,total_usd");
    for sample in table.samples() {
        let cost = &sample.cost;
        let row =
            table.row(sample.at).field(cost.fargate).field(cost.fargate_spot).field(cost.ec2).field(cost.ec2_spot);
        row.field(cost.total()).end();
    }
    table.text
}

fn events(input: &ReportInput<'_>) -> String {
    let mut table = Rows::of(input, "event,subject,text");
    for mark in &input.series.marks {
        table.row(mark.at).field(mark.kind.as_str()).field(&mark.subject).field(&mark.text).end();
    }
    table.text
}

/// The bill's lines; their amounts are its total.
fn bill(input: &ReportInput<'_>) -> String {
    let mut text = "usage_type,description,launch_type,purchase_option,quantity,unit,rate_usd,amount_usd\n".to_owned();
    for line in &input.snapshot.bill().lines {
        let purchase_option = match line.purchase_option {
            PurchaseOption::OnDemand => "on-demand",
            PurchaseOption::Spot => "spot",
        };
        let row = Row(&mut text).field(&line.usage_type).field(&line.description).field(line.launch_type);
        row.field(purchase_option).field(line.quantity).field(line.unit).field(line.rate).field(line.amount).end();
    }
    text
}
