//! What a run leaves on the terminal: services, tasks by family, instances, the bill and what was used of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{capacity_view, containers_view, format, scaling_view, simulate};
use crate::control_plane::deployment_records::ServiceDeployment;
use crate::control_plane::state::Service;
use crate::driver::report::deployment_jobs;
use crate::driver::simulated::report::SimulationReport;
use crate::driver::snapshot::Snapshot;
use crate::metering::bill::Bill;
use crate::model::deployment::ServiceDeploymentStatus;
use crate::model::job::DeploymentJobs;
use crate::model::task::{StopCode, Task, TaskStatus};
use crate::model::task_set::{TaskSetDescription, TaskSetStatus};
use crate::model::units::{Timestamp, VcpuNanos};

/// The whole summary, ready to print.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let bill = snapshot.bill();
    let mut text = String::new();
    section(&mut text, "SERVICES", services(snapshot));
    section(&mut text, "DEPLOYMENTS", deployments(snapshot));
    section(&mut text, "TASK SETS", task_sets(snapshot));
    section(&mut text, "JOBS BY DEPLOYMENT", jobs_by_deployment(snapshot));
    section(&mut text, "SCALING", rows(&scaling_view::POLICY_HEADS, scaling_view::policies(snapshot)));
    section(&mut text, "ALARMS", rows(&scaling_view::ALARM_HEADS, scaling_view::alarms(snapshot)));
    section(&mut text, "TASKS", tasks(snapshot));
    section(&mut text, "CONTAINERS", rows(&containers_view::HEADS, containers_view::rows(snapshot)));
    failures(&mut text, snapshot);
    section(&mut text, "AUTO SCALING GROUPS", rows(&capacity_view::GROUP_HEADS, capacity_view::groups(snapshot)));
    section(&mut text, "INSTANCES THAT WAIT", rows(&capacity_view::WAIT_HEADS, capacity_view::waits(snapshot)));
    section(&mut text, "CONTAINER INSTANCES", instances(snapshot));
    section(&mut text, "BILL", bill_lines(&bill));
    section(&mut text, "COST BY SERVICE", costs(&bill.by_service, "Service"));
    section(&mut text, "COST BY TASK DEFINITION", costs(&bill.by_task_definition, "Task definition"));
    for (key, values) in &bill.by_tag {
        section(&mut text, &format!("COST BY TAG {key}"), costs(values, "Value"));
    }
    section(&mut text, "USED OF PAID", used_of_paid(&bill));
    delivery(&mut text, snapshot);
    text
}

/// What a simulation says beside: how long jobs took, and how fast it was.
pub(super) fn simulation(report: &SimulationReport, at: Timestamp, wall: Duration) -> String {
    let mut text = String::new();
    section(&mut text, "TIMES OF JOBS", job_times(report));
    let events = report.events + report.data_plane_events;
    let _ = writeln!(
        text,
        "\n{} simulated in {}: {}; {} control plane events and {} of the data plane, {}",
        format::duration(at.elapsed()),
        format::duration(wall),
        simulate::speed(at.elapsed(), wall),
        report.events,
        report.data_plane_events,
        simulate::event_rate(events, wall),
    );
    text
}

fn job_times(report: &SimulationReport) -> Option<Table> {
    if report.jobs.is_empty() {
        return None;
    }
    let mut table = table(
        &["Service", "Jobs done", "Mean", "p50", "p90", "p99", "p99.9", "Max", "Mean wait", "p99 wait"],
        &[1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    let shown = |seconds: f64| format::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    for (service, times) in &report.jobs {
        let (latency, wait) = (&times.latency_seconds, &times.wait_seconds);
        let mut row = vec![service.clone(), latency.count.to_string()];
        row.extend(
            [latency.mean, latency.p50, latency.p90, latency.p99, latency.p999, latency.max, wait.mean, wait.p99]
                .map(shown),
        );
        table.add_row(row);
    }
    Some(table)
}

pub(super) fn section(text: &mut String, title: &str, table: Option<Table>) {
    if let Some(table) = table {
        let style = anstyle::Style::new().bold();
        let _ = writeln!(text, "\n{style}{title}{style:#}\n{}", table.trim_fmt());
    }
}

/// Adds a section of rows that are worked out elsewhere.
pub(super) fn append_rows<const COLUMNS: usize>(
    text: &mut String,
    title: &str,
    heads: &[&str; COLUMNS],
    of: Vec<[String; COLUMNS]>,
) {
    section(text, title, rows(heads, of));
}

/// A table of plain columns; those named in `right` hold numbers.
pub(super) fn table(header: &[&str], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for index in right {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table of rows that are worked out elsewhere; none of no rows.
fn rows<const COLUMNS: usize>(heads: &[&str; COLUMNS], rows: Vec<[String; COLUMNS]>) -> Option<Table> {
    if rows.is_empty() {
        return None;
    }
    let mut table = table(heads, &[]);
    table.add_rows(rows);
    Some(table)
}

fn services(snapshot: &Snapshot) -> Option<Table> {
    if snapshot.state.services.is_empty() {
        return None;
    }
    let mut table = table(
        &["Service", "Status", "Task definition", "Desired", "Running", "Pending", "Jobs done", "p50", "p99"],
        &[3, 4, 5, 6, 7, 8],
    );
    for service in snapshot.state.services.values() {
        let jobs = snapshot.jobs.get(&service.spec.name);
        let jobs_done = jobs.map_or_else(|| "-".into(), |jobs| format!("{}/{}", jobs.completed, jobs.pushed));
        table.add_row([
            service.spec.name.to_string(),
            service.status.as_str().into(),
            format::task_definition(service),
            service.spec.desired_count.to_string(),
            service.running_count().to_string(),
            service.pending_count().to_string(),
            jobs_done,
            jobs.map_or_else(|| "-".into(), |jobs| format::duration(jobs.latency_p50)),
            jobs.map_or_else(|| "-".into(), |jobs| format::duration(jobs.latency_p99)),
        ]);
    }
    Some(table)
}

/// Task sets of services that consist of them, and those that are deleted as they were before: at its end a cluster deletes its services.
fn task_sets(snapshot: &Snapshot) -> Option<Table> {
    let sets = snapshot.state.services.values().flat_map(|service| {
        let live = service.task_sets().into_iter().filter(|set| set.status != TaskSetStatus::Draining);
        let deleted = service.deleted_task_sets.iter().cloned();
        deleted.map(|set| (set, ", deleted")).chain(live.map(|set| (set, "")))
    });
    let row = |(set, deleted): (TaskSetDescription, &str)| {
        [
            set.service.to_string(),
            set.external_id.unwrap_or(set.shown_id).to_string(),
            format!("{}{deleted}", set.status.as_str()),
            set.task_definition.to_string(),
            set.scale.to_string(),
            set.computed_desired_count.to_string(),
            set.running_count.to_string(),
            set.pending_count.to_string(),
            set.stability_status.as_str().to_owned(),
        ]
    };
    let heads =
        ["Service", "Task set", "Status", "Task definition", "Scale", "Desired", "Running", "Pending", "Stability"];
    rows(&heads, sets.map(row).collect())
}

/// Whose tasks did how many jobs, of services that had several deployments or task sets which did some.
fn jobs_by_deployment(snapshot: &Snapshot) -> Option<Table> {
    let rows_of = |service: &Service| {
        let row = |(deployment, task_definition, jobs): (String, Option<String>, DeploymentJobs)| {
            [
                service.spec.name.to_string(),
                format::with_short_ids(&deployment),
                task_definition.unwrap_or_else(|| "-".into()),
                jobs.completed.to_string(),
                jobs.completed_test.to_string(),
                jobs.died.to_string(),
            ]
        };
        let rows: Vec<_> = deployment_jobs(snapshot, service).map(row).collect();
        if rows.len() > 1 { rows } else { Vec::new() }
    };
    let heads = ["Service", "Deployment", "Task definition", "Done", "Of test traffic", "Died of"];
    rows(&heads, snapshot.state.services.values().flat_map(rows_of).collect())
}

/// Service deployments, where a service had more than its first or that did not go well.
fn deployments(snapshot: &Snapshot) -> Option<Table> {
    let went_well = |record: &ServiceDeployment| record.status == ServiceDeploymentStatus::Successful;
    let told = |service: &&Service| {
        service.service_deployments.len() > 1 || !service.service_deployments.iter().all(went_well)
    };
    let services: Vec<&Service> = snapshot.state.services.values().filter(told).collect();
    if services.is_empty() {
        return None;
    }
    let mut table = table(&["Service", "Task definition", "Strategy", "Status", "Stage", "Why"], &[]);
    for record in services.iter().flat_map(|service| &service.service_deployments) {
        let why = record.rollback.as_ref().map(|rollback| &rollback.reason).or(record.status_reason.as_ref());
        table.add_row([
            record.target.service.to_string(),
            record.target.task_definition.to_string(),
            record.configuration.strategy.as_str().to_owned(),
            record.status.as_str().to_owned(),
            record.lifecycle_stage.map_or("-", |stage| stage.as_str()).to_owned(),
            why.map_or_else(|| "-".to_owned(), |why| why.to_string()),
        ]);
    }
    Some(table)
}

/// What became of a family's tasks.
#[derive(Default)]
struct FamilyTally {
    tasks: u64,
    live: u64,
    succeeded: u64,
    failed: u64,
    stopped: u64,
    vcpu: VcpuNanos,
    memory_bytes_peak: u64,
}

/// Whether a task ended by itself and every essential container of it with exit code 0.
fn succeeded(task: &Task) -> bool {
    task.stop_code == Some(StopCode::EssentialContainerExited)
        && task
            .task_definition
            .containers
            .iter()
            .zip(&task.containers)
            .all(|(definition, container)| !definition.essential || container.exit.exit_code == Some(0))
}

fn ended_badly(task: &Task) -> bool {
    task.last_status == TaskStatus::Stopped
        && matches!(
            task.stop_code,
            Some(StopCode::EssentialContainerExited | StopCode::TaskFailedToStart | StopCode::InfrastructureHealth)
        )
        && !succeeded(task)
}

fn tasks(snapshot: &Snapshot) -> Option<Table> {
    let mut families: BTreeMap<(String, &'static str), FamilyTally> = BTreeMap::new();
    for record in snapshot.state.tasks.values() {
        let task = &record.task;
        let tally = families.entry((task.task_definition.to_string(), task.launch_type.as_str())).or_default();
        tally.tasks += 1;
        match task.last_status {
            TaskStatus::Stopped if succeeded(task) => tally.succeeded += 1,
            TaskStatus::Stopped if ended_badly(task) => tally.failed += 1,
            TaskStatus::Stopped => tally.stopped += 1,
            _ => tally.live += 1,
        }
        tally.vcpu += task.usage.vcpu;
        tally.memory_bytes_peak = tally.memory_bytes_peak.max(task.usage.memory_bytes_peak);
    }
    if families.is_empty() {
        return None;
    }
    let mut table = table(
        &[
            "Task definition",
            "Launch type",
            "Tasks",
            "Succeeded",
            "Failed",
            "Stopped",
            "Live",
            "vCPU-s used",
            "Peak MiB",
        ],
        &[2, 3, 4, 5, 6, 7, 8],
    );
    for ((definition, launch_type), tally) in families {
        table.add_row([
            definition,
            launch_type.into(),
            tally.tasks.to_string(),
            tally.succeeded.to_string(),
            tally.failed.to_string(),
            tally.stopped.to_string(),
            tally.live.to_string(),
            format::vcpu_seconds(tally.vcpu),
            tally.memory_bytes_peak.div_ceil(1 << 20).to_string(),
        ]);
    }
    Some(table)
}

/// How many failures are spelt out; a report has them all.
const FAILURES_SHOWN: usize = 10;

fn failures(text: &mut String, snapshot: &Snapshot) {
    let failed: Vec<&Task> =
        snapshot.state.tasks.values().map(|record| &record.task).filter(|task| ended_badly(task)).collect();
    if failed.is_empty() {
        return;
    }
    let mut table = table(&["Failed task", "Task definition", "Exit codes", "Reason"], &[]);
    for task in failed.iter().take(FAILURES_SHOWN) {
        let codes: Vec<String> = task
            .containers
            .iter()
            .map(|container| container.exit.exit_code.map_or_else(|| "-".into(), |code| code.to_string()))
            .collect();
        let reason = task.containers.iter().find_map(|container| container.exit.reason.as_deref());
        table.add_row([
            format::short_id(&snapshot.ids.task(task.id)).to_string(),
            task.task_definition.to_string(),
            codes.join(", "),
            reason.or(task.stopped_reason.as_deref()).unwrap_or("-").to_string(),
        ]);
    }
    section(text, "FAILED TASKS", Some(table));
    if failed.len() > FAILURES_SHOWN {
        let _ = writeln!(text, " and {} more; --format json lists them all", failed.len() - FAILURES_SHOWN);
    }
}

fn instances(snapshot: &Snapshot) -> Option<Table> {
    if snapshot.state.container_instances.is_empty() {
        return None;
    }
    let mut table = table(
        &["Instance", "Type", "Zone", "Capacity provider", "Status", "Launched", "Ran for", "CPU credits"],
        &[5, 6],
    );
    for instance in snapshot.state.container_instances.values() {
        let ran = instance
            .registered_at
            .map(|from| format::duration(instance.terminated_at.unwrap_or(snapshot.at).since(from)));
        table.add_row([
            instance.ec2_instance_id(snapshot.ids),
            instance.launch.instance_type.name.clone(),
            instance.launch.availability_zone.to_string(),
            instance.launch.capacity_provider.as_deref().unwrap_or("-").to_string(),
            capacity_view::status(instance),
            format::clock(instance.launched_at).trim().to_string(),
            ran.unwrap_or_else(|| "-".into()),
            format::cpu_credits(instance.cpu_credits.as_ref()),
        ]);
    }
    Some(table)
}

fn bill_lines(bill: &Bill) -> Option<Table> {
    if bill.lines.is_empty() {
        return None;
    }
    let mut table = table(&["Usage type", "Quantity", "Unit", "Rate", "Amount"], &[1, 3, 4]);
    for line in &bill.lines {
        table.add_row([
            line.usage_type.clone(),
            format!("{:.6}", line.quantity),
            line.unit.as_str().into(),
            format!("${}", format::rate(line.rate)),
            format::dollars(line.amount),
        ]);
    }
    table.add_row([
        Cell::new("Total"),
        Cell::new(""),
        Cell::new(""),
        Cell::new(""),
        Cell::new(format::dollars(bill.total)),
    ]);
    Some(table)
}

fn costs(costs: &BTreeMap<String, crate::metering::bill::CostAndUse>, key: &str) -> Option<Table> {
    if costs.is_empty() {
        return None;
    }
    let mut table = table(
        &[key, "Tasks", "Cost", "vCPU-s reserved", "vCPU-s used", "GB-s reserved", "GB-s used"],
        &[1, 2, 3, 4, 5, 6],
    );
    for (name, cost) in costs {
        table.add_row([
            name.clone(),
            cost.tasks.to_string(),
            format::dollars(cost.amount),
            format!("{:.2}", cost.vcpu_seconds_reserved),
            format!("{:.2}", cost.vcpu_seconds_used),
            format!("{:.2}", cost.memory_gb_seconds_reserved),
            format!("{:.2}", cost.memory_gb_seconds_used),
        ]);
    }
    Some(table)
}

fn used_of_paid(bill: &Bill) -> Option<Table> {
    if bill.lines.is_empty() {
        return None;
    }
    let mut table = table(
        &["Capacity", "vCPU-s paid", "vCPU-s used", "Used", "GB-s paid", "GB-s used", "Used", "Wasted"],
        &[1, 2, 3, 4, 5, 6, 7],
    );
    for (name, paid) in [("Fargate", bill.waste.fargate), ("EC2", bill.waste.ec2)] {
        if paid.vcpu_seconds_paid.numerator() == 0 {
            continue;
        }
        table.add_row([
            name.to_string(),
            format!("{:.2}", paid.vcpu_seconds_paid),
            format!("{:.2}", paid.vcpu_seconds_used),
            format::permille(paid.vcpu_used_permille()),
            format!("{:.2}", paid.memory_gb_seconds_paid),
            format!("{:.2}", paid.memory_gb_seconds_used),
            format::permille(paid.memory_used_permille()),
            format::dollars(paid.wasted()),
        ]);
    }
    Some(table)
}

/// Below this part of what was promised, a host is said to be too small.
const DELIVERY_WARNING_PERMILLE: u64 = 980;

/// A host that could not keep its promises says so.
fn delivery(text: &mut String, snapshot: &Snapshot) {
    if let Some(warning) = delivery_warning(snapshot) {
        let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
        let _ = writeln!(text, "\n{style}warning{style:#}: {warning}");
    }
}

/// What to say when the host delivered less CPU than it promised.
pub(super) fn delivery_warning(snapshot: &Snapshot) -> Option<String> {
    let (promised, delivered) = (snapshot.delivery.wanted.0, snapshot.delivery.delivered.0);
    let short = u128::from(delivered) * 1000 < u128::from(promised) * u128::from(DELIVERY_WARNING_PERMILLE);
    short.then(|| {
        format!(
            "this host delivered {} of the CPU that was promised ({} of {} vCPU-seconds); lower fuel_per_vcpu_second \
             or run less at once",
            format::percent(delivered, promised),
            format::vcpu_seconds(snapshot.delivery.delivered),
            format::vcpu_seconds(snapshot.delivery.wanted),
        )
    })
}

/// What to say when something that the cluster file asks for could not be started at all: the run has failed then.
pub(super) fn never_started(snapshot: &Snapshot) -> Option<String> {
    let failed = snapshot.state.tasks.values().map(|record| &record.task).find(|task| {
        task.service.is_none() && task.started_at.is_none() && task.stop_code == Some(StopCode::TaskFailedToStart)
    });
    if let Some(task) = failed {
        let reason = task.stopped_reason.as_deref().unwrap_or("no reason was given");
        return Some(format!("a task of {} did not start: {reason}", task.task_definition));
    }
    (snapshot.unplaced > 0).then(|| format!("{} standalone tasks were never placed", snapshot.unplaced))
}
