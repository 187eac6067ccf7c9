//! A run as a live screen: services, instances, tasks, CPU, cost and the last events.
//!
//! Drawn on the alternate screen, so that the terminal is as it was when the run is over; the summary is printed after it.

use std::collections::VecDeque;
use std::io::{self, Stdout};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::{capacity_view, containers_view, format, scaling_view, summary};
use crate::control_plane::state::Service;
use crate::data_plane::image::ImageProgress;
use crate::driver::snapshot::Snapshot;
use crate::metering::bill::Bill;
use crate::model::capacity::ContainerInstanceStatus;
use crate::model::task::{Task, TaskStatus};
use crate::model::units::{Timestamp, VcpuNanos};

/// Event lines kept for the screen.
const LINES_KEPT: usize = 200;
/// Task rows shown at most.
const TASKS_SHOWN: usize = 14;
/// Policies and alarms that are listed.
const SCALING_SHOWN: usize = 6;
/// Groups, and instances that wait, shown at most.
const GROUPS_SHOWN: usize = 6;
/// Instance rows shown at most.
const INSTANCES_SHOWN: usize = 10;

/// The live screen.
pub(super) struct LiveView {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    lines: VecDeque<String>,
    image: Option<String>,
    drawn_at: Option<Timestamp>,
    previous: Option<Sample>,
    stop_keys: u32,
}

/// What rates are worked out from.
#[derive(Clone, Copy)]
struct Sample {
    at: Timestamp,
    used: VcpuNanos,
    promised: VcpuNanos,
    delivered: VcpuNanos,
}

impl LiveView {
    /// Takes the terminal over.
    pub(super) fn open() -> io::Result<LiveView> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        // A panic must not leave the terminal without echo.
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore_terminal();
            previous(panic);
        }));
        Ok(LiveView {
            terminal: Terminal::new(CrosstermBackend::new(io::stdout()))?,
            lines: VecDeque::new(),
            image: None,
            drawn_at: None,
            previous: None,
            stop_keys: 0,
        })
    }

    /// Adds an event line.
    ///
    /// Ids are cut to their first digits, as everywhere on the screen: whole ones leave no room for the news.
    pub(super) fn event(&mut self, line: &str) {
        let line = format::with_short_ids(line);
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Shows what happens to images.
    pub(super) fn image(&mut self, progress: &ImageProgress) {
        self.image = Some(super::plain_view::image_line(progress));
    }

    /// Whether the screen is older than `refresh`.
    pub(super) fn is_due(&self, now: Timestamp, refresh: Duration) -> bool {
        self.drawn_at.is_none_or(|at| now.since(at) >= refresh)
    }

    /// Whether Ctrl-C or q was pressed. The second time the process ends at once, with exit code 130.
    pub(super) fn stop_requested(&mut self) -> io::Result<bool> {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
            {
                let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if control_c || key.code == KeyCode::Char('q') {
                    self.stop_keys += 1;
                }
            }
        }
        if self.stop_keys > 1 {
            restore_terminal();
            std::process::exit(130);
        }
        Ok(self.stop_keys > 0)
    }

    /// Draws a snapshot.
    pub(super) fn draw(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        self.drawn_at = Some(snapshot.at);
        let used = snapshot.state.tasks.values().map(|record| record.task.usage.vcpu.0).sum();
        let sample = Sample {
            at: snapshot.at,
            used: VcpuNanos(used),
            promised: snapshot.delivery.wanted,
            delivered: snapshot.delivery.delivered,
        };
        let screen =
            Screen { snapshot, lines: &self.lines, image: self.image.as_deref(), since: self.previous, sample };
        self.terminal.draw(|frame| {
            let area = frame.area();
            screen.render(frame, area);
        })?;
        // Rates over at least a second: shorter ones only flicker.
        if self.previous.is_none_or(|previous| sample.at.since(previous.at) >= Duration::from_secs(1)) {
            self.previous = Some(sample);
        }
        Ok(())
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Gives the terminal back as it was. Does nothing to one that was never taken over.
pub(super) fn restore_terminal() {
    if ratatui::crossterm::terminal::is_raw_mode_enabled().unwrap_or(false) {
        // There is nobody to tell when the terminal is gone.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen);
    }
}

/// How far a service's deployment is: its stage and its share of the traffic, while it moves some.
fn rollout(service: &Service) -> String {
    if service.has_task_sets() {
        let sets = service.task_sets();
        let shares = sets.iter().map(|set| {
            let name = set.external_id.as_ref().unwrap_or(&set.shown_id);
            format!("{name} {} {}/{}", set.status.as_str(), set.running_count, set.computed_desired_count)
        });
        return shares.collect::<Vec<_>>().join(", ");
    }
    let primary = service.primary();
    match (&primary.shift, service.traffic.production_of(primary.id)) {
        (Some(shift), Some(weight)) => format!("{} {weight}", shift.stage.shown().as_str()),
        (Some(shift), None) => shift.stage.shown().as_str().to_owned(),
        (None, _) => primary.rollout_state.as_str().to_owned(),
    }
}

/// One picture of the cluster.
struct Screen<'a> {
    snapshot: &'a Snapshot,
    lines: &'a VecDeque<String>,
    image: Option<&'a str>,
    since: Option<Sample>,
    sample: Sample,
}

const TITLE: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().fg(Color::DarkGray);

impl Screen<'_> {
    fn render(&self, frame: &mut ratatui::Frame<'_>, area: Rect) {
        let bill = self.snapshot.bill();
        let services = self.services(&bill);
        let scaling = scaling_view::policies(self.snapshot);
        let alarms = scaling_view::alarms(self.snapshot);
        let groups = capacity_view::groups(self.snapshot);
        let waits = capacity_view::waits(self.snapshot);
        let instances = self.instances();
        let tasks = self.tasks();
        let rows = |count: usize| Constraint::Length(u16::try_from(count + 2).unwrap_or(u16::MAX));
        let rows_if_any = |count: usize| if count == 0 { Constraint::Length(0) } else { rows(count) };
        let [
            header,
            service_area,
            scaling_area,
            alarm_area,
            group_area,
            wait_area,
            instance_area,
            task_area,
            event_area,
        ] = Layout::vertical([
            Constraint::Length(2),
            rows(services.len().min(8)),
            rows_if_any(scaling.len().min(SCALING_SHOWN)),
            rows_if_any(alarms.len().min(SCALING_SHOWN)),
            rows_if_any(groups.len().min(GROUPS_SHOWN)),
            rows_if_any(waits.len().min(GROUPS_SHOWN)),
            rows(instances.len().min(INSTANCES_SHOWN)),
            rows(tasks.len().min(TASKS_SHOWN)),
            Constraint::Min(4),
        ])
        .areas(area);
        frame.render_widget(self.header(&bill), header);
        let columns = |widths: &[u16]| widths.iter().map(|width| Constraint::Length(*width)).collect::<Vec<_>>();
        frame.render_widget(
            Table::new(services, columns(&[18, 8, 8, 8, 20, 36, 10, 8, 9, 10]))
                .header(head(&[
                    "SERVICE",
                    "DESIRED",
                    "RUNNING",
                    "PENDING",
                    "TASK DEFINITION",
                    "ROLLOUT",
                    "JOBS DONE",
                    "QUEUED",
                    "P99",
                    "COST",
                ]))
                .block(block()),
            service_area,
        );
        frame.render_widget(
            Table::new(scaling.into_iter().map(Row::new), columns(&[18, 12, 36, 10, 38, 60]))
                .header(head(&scaling_view::POLICY_HEADS))
                .block(block()),
            scaling_area,
        );
        frame.render_widget(
            Table::new(alarms.into_iter().map(Row::new), columns(&[24, 18, 10, 100]))
                .header(head(&scaling_view::ALARM_HEADS))
                .block(block()),
            alarm_area,
        );
        frame.render_widget(
            Table::new(groups.into_iter().map(Row::new), columns(&[18, 12, 8, 11, 10, 8, 12, 80]))
                .header(head(&capacity_view::GROUP_HEADS))
                .block(block()),
            group_area,
        );
        frame.render_widget(
            Table::new(waits.into_iter().map(Row::new), columns(&[20, 18, 24, 12]))
                .header(head(&capacity_view::WAIT_HEADS))
                .block(block()),
            wait_area,
        );
        frame.render_widget(
            Table::new(instances, columns(&[20, 14, 12, 18, 15, 15, 6, 18]))
                .header(head(&[
                    "INSTANCE",
                    "TYPE",
                    "ZONE",
                    "STATUS",
                    "CPU RESERVED",
                    "MEM RESERVED",
                    "TASKS",
                    "CPU CREDITS",
                ]))
                .block(block()),
            instance_area,
        );
        frame.render_widget(
            Table::new(tasks, columns(&[10, 20, 9, 14, 16, 10, 9, 8, 12, 10]))
                .header(head(&[
                    "TASK",
                    "DEFINITION",
                    "LAUNCH",
                    "PROVIDER",
                    "STATUS",
                    "HEALTH",
                    "RESTARTS",
                    "AGE",
                    "VCPU-S USED",
                    "MEMORY",
                ]))
                .block(block()),
            task_area,
        );
        let shown = usize::from(event_area.height.saturating_sub(1));
        let skipped = self.lines.len().saturating_sub(shown);
        let lines: Vec<Line<'_>> = self.lines.iter().skip(skipped).map(|line| Line::raw(line.as_str())).collect();
        let title = Span::styled(" EVENTS ", TITLE);
        frame.render_widget(Paragraph::new(lines).block(block().title(title)), event_area);
    }

    fn header(&self, bill: &Bill) -> Paragraph<'_> {
        let snapshot = self.snapshot;
        let live = snapshot.state.live_count;
        let cpu = self.since.map_or_else(String::new, |since| {
            let nanos = u64::try_from(self.sample.at.since(since.at).as_nanos()).unwrap_or(u64::MAX).max(1);
            let hundredths = u128::from((self.sample.used - since.used).0) * 100 / u128::from(nanos);
            let promised = self.sample.promised - since.promised;
            let delivered = self.sample.delivered - since.delivered;
            format!(
                "   CPU {}.{:02} vCPU, {} of what was promised",
                hundredths / 100,
                hundredths % 100,
                format::percent(delivered.0, promised.0)
            )
        });
        let state = if snapshot.state.draining { "   DRAINING" } else { "" };
        let first = Line::from(vec![
            Span::styled(format!("{} ", snapshot.name), TITLE),
            Span::styled(format!("{} ", snapshot.region), FAINT),
            Span::raw(format!(
                "{}   {live} tasks live, {} over",
                format::clock(snapshot.at),
                snapshot.state.stopped_count
            )),
            Span::raw(cpu),
            Span::styled(format!("   {}", format::dollars(bill.total)), Style::new().fg(Color::Green)),
            Span::styled(state, Style::new().fg(Color::Yellow)),
        ]);
        let warning = summary::delivery_warning(snapshot);
        let second = match (warning, self.image) {
            (Some(warning), _) => Line::styled(warning, Style::new().fg(Color::Yellow)),
            (None, Some(image)) => Line::styled(image, FAINT),
            (None, None) => Line::styled("q or Ctrl-C drains, twice ends at once", FAINT),
        };
        Paragraph::new(vec![first, second])
    }

    fn services(&self, bill: &Bill) -> Vec<Row<'static>> {
        let services = self.snapshot.state.services.values();
        services
            .map(|service| {
                let jobs = self.snapshot.jobs.get(&service.spec.name);
                let cost = bill.by_service.get(&*service.spec.name);
                let steady = service.running_count() == service.wanted_count() && service.pending_count() == 0;
                let style = if steady { Style::new() } else { Style::new().fg(Color::Yellow) };
                Row::new([
                    Cell::new(service.spec.name.to_string()),
                    Cell::new(service.spec.desired_count.to_string()),
                    Cell::new(service.running_count().to_string()).style(style),
                    Cell::new(service.pending_count().to_string()).style(style),
                    Cell::new(format::task_definition(service)),
                    Cell::new(rollout(service)),
                    Cell::new(jobs.map_or_else(|| "-".into(), |jobs| jobs.completed.to_string())),
                    Cell::new(jobs.map_or_else(|| "-".into(), |jobs| jobs.queued.to_string())),
                    Cell::new(jobs.map_or_else(|| "-".into(), |jobs| format::duration(jobs.latency_p99))),
                    Cell::new(cost.map_or_else(|| "-".into(), |cost| format::dollars(cost.amount))),
                ])
            })
            .collect()
    }

    fn instances(&self) -> Vec<Row<'static>> {
        let instances = self.snapshot.state.container_instances.values();
        let live = instances.filter(|instance| instance.status != ContainerInstanceStatus::Inactive);
        live.map(|instance| {
            let (registered, remaining) = (&instance.registered, &instance.remaining);
            Row::new([
                instance.ec2_instance_id(self.snapshot.ids),
                instance.launch.instance_type.name.clone(),
                instance.launch.availability_zone.to_string(),
                capacity_view::status(instance),
                bar(registered.cpu.0 - remaining.cpu.0, registered.cpu.0),
                bar(registered.memory.0 - remaining.memory.0, registered.memory.0),
                instance.running_tasks_count.to_string(),
                format::cpu_credits(instance.cpu_credits.as_ref()),
            ])
        })
        .collect()
    }

    /// Live tasks, oldest first, then the latest of those that are over, as far as there is room.
    fn tasks(&self) -> Vec<Row<'static>> {
        let state = &self.snapshot.state;
        let is_live = |task: &&Task| task.last_status != TaskStatus::Stopped;
        let live = state.tasks.values().map(|record| &record.task).filter(is_live);
        let over = state.stopped_tasks.iter().rev().filter_map(|(_, id)| Some(&state.tasks.get(id)?.task));
        live.chain(over).take(TASKS_SHOWN).map(|task| self.task(task)).collect()
    }

    fn task(&self, task: &Task) -> Row<'static> {
        let style = match task.last_status {
            TaskStatus::Running => Style::new().fg(Color::Green),
            TaskStatus::Stopped => FAINT,
            _ => Style::new().fg(Color::Yellow),
        };
        let health = containers_view::health(task, self.snapshot.state.targets.get(&task.id));
        let health_style = if health == "UNHEALTHY" { Style::new().fg(Color::Red) } else { style };
        let until = task.stopped_at.unwrap_or(self.snapshot.at);
        let age = task.started_at.map_or_else(|| "-".into(), |from| format::duration(until.since(from)));
        Row::new([
            Cell::new(format::short_id(&self.snapshot.ids.task(task.id)).to_string()),
            Cell::new(task.task_definition.to_string()),
            Cell::new(task.launch_type.as_str()),
            Cell::new(task.capacity_provider.as_deref().unwrap_or("-").to_string()),
            Cell::new(task.last_status.as_str()).style(style),
            Cell::new(health).style(health_style),
            Cell::new(containers_view::restarts(task)),
            Cell::new(age),
            Cell::new(format::vcpu_seconds(task.usage.vcpu)),
            Cell::new(format!("{} MiB", task.usage.memory_bytes.div_ceil(1 << 20))),
        ])
    }
}

fn block() -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(FAINT)
}

fn head(names: &[&'static str]) -> Row<'static> {
    Row::new(names.to_vec()).style(TITLE)
}

/// `▇▇▇▇▁▁▁▁ 50 %`
fn bar(part: u32, whole: u32) -> String {
    const WIDTH: u32 = 8;
    let filled = match whole {
        0 => 0,
        _ => (u64::from(part) * u64::from(WIDTH)).div_ceil(u64::from(whole)),
    };
    let filled = usize::try_from(filled).unwrap_or(0);
    let empty = (WIDTH as usize).saturating_sub(filled);
    format!("{}{} {}", "▇".repeat(filled), "▁".repeat(empty), format::percent(part.into(), whole.into()))
}

#[cfg(test)]
mod tests;
