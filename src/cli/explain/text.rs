//! An explanation for people: what it comes to first, then a table of instances by rules.

use std::fmt::Write as _;

use comfy_table::{Table, presets};

use super::super::format;
use crate::control_plane::explain::{
    CapacityWait, Choice, Explanation, Floor, ForecastExplanation, FreshInstance, PlacementNow, ServiceExplanation,
    TaskExplanation, TaskWait,
};
use crate::control_plane::placement::{Candidate, PlacementFailure, RankNames, Rule, RuleVerdict};
use crate::control_plane::service_autoscaling::predictive::HISTORY_MIN_HOURS;
use crate::control_plane::state::{DecisionBasis, PlacementDecision};
use crate::model::ids::{ContainerInstanceId, IdForm};
use crate::model::scaling::PredictiveMode;
use crate::model::service::SchedulingStrategy;
use crate::model::task::TaskStatus;
use crate::model::task_definition::LaunchType;
use crate::model::units::Timestamp;

/// Instances that a table lists at most; the JSON document has all.
const ROWS_MAX: usize = 40;
/// Tasks of a service that are gone into at most; the JSON document has all.
const TASKS_MAX: usize = 10;

/// The whole text.
pub(super) fn of(explanation: &Explanation, at: Timestamp, ids: IdForm) -> String {
    let mut page = Page { text: String::new(), ids };
    match explanation {
        Explanation::Waiting(waiting) if waiting.is_empty() => page.line(0, &format!("at {at} nothing waits")),
        Explanation::Waiting(waiting) => {
            waiting.services.iter().for_each(|found| page.service(found));
            for found in &waiting.tasks {
                page.task(found, 0);
                page.gap();
            }
            for (count, found) in &waiting.run_tasks {
                let definition = &found.task_definition;
                page.line(
                    0,
                    &format!("RUN TASK {definition}: {count} without room, asked for again every now and then"),
                );
                page.placement(found, "a task");
                page.gap();
            }
        }
        Explanation::Task(found) => page.task(found, 0),
        Explanation::Service(found) => page.service(found),
        Explanation::RunTask(found) => {
            page.line(0, &format!("RUN TASK {} at {at}", found.task_definition));
            page.placement(found, "a task");
        }
    }
    page.text
}

struct Page {
    text: String,
    ids: IdForm,
}

impl Page {
    fn line(&mut self, indent: usize, line: &str) {
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    /// An empty line, one at most.
    fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn instance(&self, instance: ContainerInstanceId) -> String {
        format::short_id(&self.ids.container_instance(instance)).to_owned()
    }

    fn service(&mut self, found: &ServiceExplanation) {
        let kind = match found.scheduling_strategy {
            SchedulingStrategy::Replica => "",
            SchedulingStrategy::Daemon => " DAEMON",
        };
        self.line(
            0,
            &format!(
                "SERVICE {} {}{kind}: {} desired, {} running, {} pending, {} healthy",
                found.service,
                found.status.as_str(),
                found.desired_count,
                found.running_count,
                found.pending_count,
                found.healthy_count
            ),
        );
        if found.reasons.is_empty() {
            self.line(2, "it has what it wants");
        }
        for reason in &found.reasons {
            self.line(2, &reason.to_string());
        }
        for forecast in &found.forecasts {
            self.forecast(forecast);
        }
        for task in found.tasks.iter().take(TASKS_MAX) {
            self.task(task, 2);
        }
        if let Some(more) = found.tasks.len().checked_sub(TASKS_MAX).filter(|more| *more > 0) {
            self.line(2, &format!("and {more} more tasks"));
        }
        if let Some(next) = &found.next {
            self.placement(next, "the next task");
        }
        self.gap();
    }

    fn forecast(&mut self, found: &ForecastExplanation) {
        let history = match (found.made_at, found.next_at) {
            (Some(made), Some(next)) => format!("forecast made at {made}, the next at {next}"),
            (_, Some(first)) => {
                format!(
                    "no forecast yet: {} of {HISTORY_MIN_HOURS} hours of history, the first at {first}",
                    found.history_hours
                )
            }
            (_, None) => format!("no forecast yet: nothing measured, and {HISTORY_MIN_HOURS} hours are needed"),
        };
        self.line(2, &format!("predictive scaling policy {} ({}): {history}", found.policy_name, found.mode.as_str()));
        for run in &found.runs {
            let tasks = if run.capacity == 1 { "1 task".to_owned() } else { format!("{} tasks", run.capacity) };
            self.line(4, &format!("{} to {}: {tasks}", run.from, run.until));
        }
        match &found.floor {
            Some(Floor { hour, count, forecast }) if count < forecast => self.line(
                4,
                &format!("holds the count at {count} at least for the hour of {hour}, which needs {forecast}: that is the maximum"),
            ),
            Some(Floor { hour, count, .. }) => {
                self.line(4, &format!("holds the count at {count} at least for the hour of {hour}"));
            }
            None if found.mode == PredictiveMode::ForecastOnly => self.line(4, "holds nothing: it only forecasts"),
            None => self.line(4, "holds nothing"),
        }
    }

    fn task(&mut self, found: &TaskExplanation, indent: usize) {
        let task = &found.task;
        let host = match (task.launch_type, task.container_instance) {
            (LaunchType::Fargate, _) => " on Fargate".to_owned(),
            (LaunchType::Ec2, Some(instance)) => format!(" on {}", self.instance(instance)),
            (LaunchType::Ec2, None) => String::new(),
        };
        let id = format::short_id(&self.ids.task(task.id)).to_owned();
        let (definition, status) = (&task.task_definition, task.last_status.as_str());
        self.line(indent, &format!("TASK {id} {definition} of {}: {status}{host}", task.group));
        let indent = indent + 2;
        if let Some(reason) = &task.stopped_reason {
            let code = task.stop_code.map_or("", |code| code.as_str());
            self.line(indent, &format!("{code}: {reason}"));
        }
        if let Some(made) = &found.decision {
            self.line(indent, &decision(made, &found.names));
        }
        match &found.waits_for {
            Some(TaskWait::Capacity(wait)) => {
                let others = match found.alike {
                    0 => String::new(),
                    1 => "; 1 other wants the same".to_owned(),
                    others => format!("; {others} others want the same"),
                };
                self.line(indent, &format!("waits for capacity since {}{others}", task.created_at));
                self.capacity(wait, indent);
            }
            Some(TaskWait::Start { since }) => {
                let what = if task.pull_started_at.is_some() && task.pull_stopped_at.is_none() {
                    "its image"
                } else {
                    "its containers to start"
                };
                self.line(indent, &format!("waits for {what}; its host has it since {since}"));
            }
            Some(TaskWait::Health { targets, .. }) if !targets.is_empty() => {
                for (group, state) in targets {
                    let why = state.reason().map_or("", |(_, why)| why);
                    let text = format!("waits for target group {group}, where it is {}: {why}", state.as_str());
                    self.line(indent, &text);
                }
            }
            Some(TaskWait::Health { at: Some(at), .. }) => self.line(indent, &format!("counts as healthy at {at}")),
            Some(TaskWait::Health { at: None, .. }) => self.line(indent, "waits for its health checks"),
            Some(TaskWait::Deregistration { until }) => {
                let until = until.map_or(String::new(), |until| format!(", until {until} at most"));
                self.line(indent, &format!("leaves its target groups: its last job is to be done{until}"));
            }
            Some(TaskWait::Stop { since }) => self.line(indent, &format!("stops since {since}")),
            None => {}
        }
        match &found.now {
            Some(now) if task.last_status == TaskStatus::Provisioning => self.placement(now, "it wants"),
            Some(now) => self.placement(now, "were it placed at this moment"),
            None => {}
        }
    }

    fn capacity(&mut self, wait: &CapacityWait, indent: usize) {
        let place = match wait.position {
            Some(position) => format!("place {position} of {} that wait", wait.waiting_count),
            None => format!("{} wait", wait.waiting_count),
        };
        self.line(
            indent,
            &format!(
                "capacity provider {}: {place}; group of {} to {}, {} desired, {} in service: {}",
                wait.capacity_provider,
                wait.min_size,
                wait.max_size,
                wait.desired_capacity,
                wait.in_service_count,
                wait.outlook()
            ),
        );
        for coming in &wait.coming {
            let due = coming.due_at.map_or_else(String::new, |due| format!(", due to run at {due}"));
            let shown = self.instance(coming.instance);
            self.line(indent, &format!("coming up: {shown} {}{due}", coming.lifecycle.as_str()));
        }
        if let Some(until) = wait.warming_until {
            self.line(indent, &format!("instances warm up: no scale-out before {until}"));
        }
        for zone in &wait.zones_out {
            self.line(indent, &format!("availability zone {zone} is down"));
        }
        if let Some((at, reason)) = &wait.last_decision {
            self.line(indent, &format!("managed scaling at {at}: {reason}"));
        }
        for fresh in wait.fresh.iter().filter(|fresh| !fresh.takes_task()) {
            self.line(indent, &fresh_line(fresh));
        }
    }

    fn placement(&mut self, now: &PlacementNow, what: &str) {
        let provider = now.capacity_provider.as_ref().map(|name| format!(" by capacity provider {name}"));
        self.line(
            2,
            &format!(
                "{what}: {} of group {}, {} CPU units and {} MiB, {}{}",
                now.task_definition,
                now.group,
                now.reservation.cpu,
                now.reservation.memory,
                now.launch_type.as_str(),
                provider.unwrap_or_default()
            ),
        );
        match &now.choice {
            Choice::Fargate { failure: Some(failure) } => {
                let said = failure.failures.first().map(|failure| &*failure.detail).unwrap_or_default();
                self.line(2, &format!("Fargate takes none: {said} ({})", failure.reason()));
            }
            Choice::Fargate { failure: None } => self.line(
                2,
                "Fargate makes a sandbox of its size: there is no container instance to choose, and placement strategies and \
                 constraints are not asked",
            ),
            Choice::Instance { assessment, names, failure, wait } => {
                let chosen = match assessment.chosen {
                    Some(chosen) => format!("goes to {}", self.instance(chosen)),
                    None => self.no_room(failure.as_ref()),
                };
                self.line(2, &chosen);
                if let Some(wait) = wait {
                    self.capacity(wait, 2);
                }
                self.table(&assessment.candidates, Some(names));
            }
            Choice::EachInstance { candidates } => {
                self.line(2, "a DAEMON service has a task on each instance that meets its constraints");
                self.table(candidates, None);
            }
        }
    }

    fn no_room(&self, failure: Option<&PlacementFailure>) -> String {
        match failure.and_then(|failure| failure.closest) {
            Some((instance, reason)) => {
                format!("no container instance takes it; the closest is {}: {reason}", self.instance(instance))
            }
            None => {
                let reason = failure.map_or("", |failure| failure.reason());
                format!("no container instance takes it: {reason}")
            }
        }
    }

    /// The instances by rules, those first that take the task, in the order of their ranking.
    fn table(&mut self, candidates: &[Candidate], names: Option<&RankNames>) {
        let Some(first) = candidates.first() else { return };
        let mut rows: Vec<&Candidate> = candidates.iter().collect();
        rows.sort_by_key(|row| {
            let place = row.position.as_ref().map_or(u32::MAX, |position| position.place);
            (place, row.broken().count(), row.instance)
        });
        // Where none takes it, nothing is ranked.
        let names = names.filter(|_| rows[0].position.is_some());
        let mut table = Table::new();
        let mut head: Vec<String> = ["Instance", "Type", "Zone"].map(str::to_owned).into();
        head.extend((0..first.verdicts.len()).map(|column| rule_head(&first.verdicts, column)));
        head.push("Tasks of the group".to_owned());
        head.extend(names.iter().flat_map(|_| ["Place", "Ranks"].map(str::to_owned)));
        table.load_style(presets::NOTHING).set_header(head);
        for row in rows.iter().take(ROWS_MAX) {
            let launch = &row.launch;
            let mut cells =
                vec![self.label(row), launch.instance_type.name.clone(), launch.availability_zone.to_string()];
            cells.extend(row.verdicts.iter().map(cell));
            cells.push(row.group_task_count.to_string());
            cells.extend(names.iter().flat_map(|_| standing(row)));
            table.add_row(cells);
        }
        self.gap();
        for line in table.trim_fmt().lines() {
            self.line(2, line);
        }
        self.gap();
        if let Some(more) = rows.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
            self.line(2, &format!("and {more} more instances (--format json lists all)"));
        }
        self.queries(&first.verdicts, &rows[..rows.len().min(ROWS_MAX)]);
        if let Some(names) = names {
            let by = if names.criteria.is_empty() {
                String::new()
            } else {
                format!("ranked by the least {}; ", names.criteria.join(", then the least "))
            };
            self.line(2, &format!("{by}among equals by {}", names.among_equals));
        }
    }

    /// Names the queries of a table, and says of each instance that fails one what of it fails.
    fn queries(&mut self, verdicts: &[RuleVerdict], rows: &[&Candidate]) {
        for (column, verdict) in verdicts.iter().enumerate() {
            let Rule::MemberOf(query) = &verdict.rule else { continue };
            self.line(2, &format!("{}: {query}", rule_head(verdicts, column)));
            for row in rows {
                let because = row.verdicts[column].because.iter();
                let parts: Vec<String> = because
                    .map(|part| format!("{} is {}: it is {}", part.expression, part.is_true, part.has))
                    .collect();
                if !parts.is_empty() {
                    let label = self.label(row);
                    self.line(4, &format!("{label}: {}", parts.join("; ")));
                }
            }
        }
    }

    fn label(&self, row: &Candidate) -> String {
        let id = self.instance(row.instance);
        row.launch.name.as_ref().map_or_else(|| id.clone(), |name| format!("{id} ({name})"))
    }
}

/// Place and numbers of an instance.
fn standing(row: &Candidate) -> [String; 2] {
    let Some(position) = &row.position else { return ["-".to_owned(), "-".to_owned()] };
    let ranks: Vec<String> = position.ranks.iter().map(u32::to_string).collect();
    [position.place.to_string(), if ranks.is_empty() { "-".to_owned() } else { ranks.join(", ") }]
}

/// A rule and what it wants; queries, which are long, by their number.
fn rule_head(verdicts: &[RuleVerdict], column: usize) -> String {
    let verdict = &verdicts[column];
    let number = || verdicts[..=column].iter().filter(|other| matches!(other.rule, Rule::MemberOf(_))).count();
    match &verdict.rule {
        Rule::Status | Rule::Agent | Rule::DistinctInstance => verdict.rule.to_string(),
        Rule::MemberOf(_) => format!("memberOf {}", number()),
        Rule::Cpu | Rule::Memory | Rule::Gpus | Rule::NetworkInterfaces => {
            format!("{} ≥ {}", verdict.rule, verdict.wanted)
        }
        Rule::CapacityProvider(_) | Rule::Ports | Rule::Attribute(_) | Rule::Location(_) => {
            format!("{}: {}", verdict.rule, verdict.wanted)
        }
    }
}

fn cell(verdict: &RuleVerdict) -> String {
    let mark = if verdict.is_met { "✓" } else { "✗" };
    match verdict.rule {
        Rule::MemberOf(_) => mark.to_owned(),
        _ => format!("{mark} {}", verdict.has),
    }
}

fn decision(made: &PlacementDecision, names: &RankNames) -> String {
    let at = made.at;
    match &made.basis {
        DecisionBasis::Strategies { ranks } => {
            let ranks: Vec<String> =
                names.criteria.iter().zip(ranks.iter()).map(|(name, value)| format!("{value} {name}")).collect();
            let least =
                if ranks.is_empty() { String::new() } else { format!("with the least: {}; ", ranks.join(", ")) };
            format!("its instance was chosen at {at}, {least}among equals by {}", names.among_equals)
        }
        DecisionBasis::Named => format!("its instance was named by the caller of StartTask at {at}"),
        DecisionBasis::Fargate { availability_zone } => {
            format!(
                "Fargate chose {availability_zone} at {at}, of its subnets' zones the one with the fewest such tasks"
            )
        }
        DecisionBasis::Daemon => format!("a DAEMON service has a task on each instance: placed at {at}"),
    }
}

fn fresh_line(fresh: &FreshInstance) -> String {
    let broken = fresh.verdicts.iter().filter(|verdict| !verdict.is_met);
    let why: Vec<&str> = broken.map(|verdict| verdict.detail.as_str()).collect();
    format!("a fresh {} in {} would not take it: {}", fresh.instance_type.name, fresh.availability_zone, why.join("; "))
}
