//! Makes the records of a ledger of the facts that a meter takes: each stretch when it is closed.
//!
//! A stretch is closed by its end, and at each day's end ([`Meter::close_days`]). The records follow from the facts, the samples of usage and
//! the moments at which they were told, so that a replay of the same gives the same records with the same numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ledger::Slot;
use super::meter::{Meter, RunningTask};
use super::stretch::{Host, LedgerRecord, Span, Stretch, StretchUsage};
use crate::model::calendar::UnixNanos;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::units::{Timestamp, VcpuNanos};
use crate::model::usage::{BilledPlacement, TaskUsage};

/// What is kept for a ledger.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct RecordKeeping {
    /// The calendar time of the cluster's start.
    start: UnixNanos,
    /// The end of the day, at which everything that runs is cut.
    next_cut: UnixNanos,
    next_seq: u64,
    closed: Vec<LedgerRecord>,
    tasks: BTreeMap<TaskId, OpenTask>,
    /// Where the open stretch of an instance's start begins, and when that start was.
    runs: BTreeMap<(ContainerInstanceId, u32), OpenRun>,
    /// Charges for surplus credits of instances whose start is not known yet.
    early_charges: Vec<(ContainerInstanceId, u32, Timestamp, VcpuNanos)>,
}

/// The open stretch of a task.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct OpenTask {
    from: UnixNanos,
    /// What it had used then.
    before: StretchUsage,
}

/// The open stretch of one start of an instance.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct OpenRun {
    since: UnixNanos,
    from: UnixNanos,
}

impl RecordKeeping {
    fn calendar(&self, at: Timestamp) -> UnixNanos {
        UnixNanos::at(self.start, at)
    }

    /// Notes the records of a stretch: one for each day that it is in.
    fn close(&mut self, span: Span, used: Stretch) {
        close_into(&mut self.closed, &mut self.next_seq, span, &used);
    }
}

fn close_into(closed: &mut Vec<LedgerRecord>, next_seq: &mut u64, span: Span, used: &Stretch) {
    let mut from = span.from;
    loop {
        let part = Span { from, to: span.to.min(from.day().end()) };
        let mut used = used.clone();
        if let Stretch::Task { usage, .. } = &mut used {
            *usage = usage.within(span, part);
        }
        closed.push(LedgerRecord { seq: *next_seq, from: part.from, to: part.to, used });
        *next_seq += 1;
        if part.to == span.to {
            return;
        }
        from = part.to;
    }
}

impl Meter {
    /// Makes records for a ledger from here on; `start` is the calendar time of the cluster's start. To be called before the first fact.
    pub fn keep_records(mut self, start: jiff::Timestamp) -> Meter {
        let start = UnixNanos::of(start);
        self.keeping = Some(Box::new(RecordKeeping {
            start,
            next_cut: start.day().end(),
            next_seq: 1,
            closed: Vec::new(),
            tasks: BTreeMap::new(),
            runs: BTreeMap::new(),
            early_charges: Vec::new(),
        }));
        self
    }

    /// Closes the stretches of what runs at the end of each day that is over. To be called whenever time has passed, before what happened in
    /// it is told: use is put down to the day in which it is told. Costs nothing within a day, nor where no records are made.
    pub fn close_days(&mut self, now: Timestamp) {
        let Some(keeping) = &mut self.keeping else { return };
        while keeping.calendar(now) >= keeping.next_cut && keeping.next_cut < UnixNanos::MAX {
            let cut = keeping.next_cut;
            for (task, running) in self.running.iter() {
                let Some(open) = keeping.tasks.get_mut(&task).filter(|open| open.from < cut) else { continue };
                let used = StretchUsage::of(&running.usage);
                let stretch = task_stretch(task, running, keeping.start, used.without(&open.before));
                let span = Span { from: open.from, to: cut };
                *open = OpenTask { from: cut, before: used };
                close_into(&mut keeping.closed, &mut keeping.next_seq, span, &stretch);
            }
            for ((instance, start), open) in &mut keeping.runs {
                let host = self.ledger.instance(*instance).and_then(|known| known.host.clone());
                let Some(host) = host.filter(|_| open.from < cut) else { continue };
                let stretch = Stretch::Instance { instance: *instance, host, start: *start, since: open.since };
                let span = Span { from: open.from, to: cut };
                open.from = cut;
                close_into(&mut keeping.closed, &mut keeping.next_seq, span, &stretch);
            }
            keeping.next_cut = cut.day().end();
        }
    }

    /// The records that were closed since the last call, by their numbers. To be written once the events that they follow from are.
    pub fn take_records(&mut self) -> Vec<LedgerRecord> {
        self.keeping.as_mut().map(|keeping| std::mem::take(&mut keeping.closed)).unwrap_or_default()
    }

    /// What runs, as if it were closed at `now`: what a ledger would lack if the cluster were lost at this moment. Records with these numbers
    /// will say otherwise.
    pub fn open_records(&self, now: Timestamp) -> Vec<LedgerRecord> {
        let Some(keeping) = &self.keeping else { return Vec::new() };
        let (mut open, mut next_seq, now) = (Vec::new(), keeping.next_seq, keeping.calendar(now));
        let span = |from: UnixNanos| Span { from, to: now.max(from) };
        for (task, running) in self.running.iter() {
            let Some(stretch) = keeping.tasks.get(&task) else { continue };
            let usage = StretchUsage::of(&running.usage).without(&stretch.before);
            let used = task_stretch(task, running, keeping.start, usage);
            close_into(&mut open, &mut next_seq, span(stretch.from), &used);
        }
        for ((instance, start), run) in &keeping.runs {
            let Some(host) = self.ledger.instance(*instance).and_then(|known| known.host.clone()) else { continue };
            let used = Stretch::Instance { instance: *instance, host, start: *start, since: run.since };
            close_into(&mut open, &mut next_seq, span(run.from), &used);
        }
        open
    }

    /// A task runs.
    pub(super) fn keep_task(&mut self, task: TaskId) {
        let (Some(keeping), Some(running)) = (&mut self.keeping, self.running.get(&task)) else { return };
        let from = keeping.calendar(running.started_at);
        keeping.tasks.insert(task, OpenTask { from, before: StretchUsage::default() });
    }

    /// A task is over, whether it was known to run or not.
    pub(super) fn keep_end_of_task(&mut self, task: TaskId, started: &RunningTask, at: Timestamp, usage: &TaskUsage) {
        let Some(keeping) = &mut self.keeping else { return };
        let since = keeping.calendar(started.started_at);
        let open = keeping.tasks.remove(&task);
        let open = open.unwrap_or(OpenTask { from: since, before: StretchUsage::default() });
        let usage = StretchUsage::of(usage).without(&open.before);
        if keeping.calendar(at) <= open.from && open.from > since && usage.is_nothing() {
            return;
        }
        let used = task_stretch(task, started, keeping.start, usage);
        keeping.close(Span { from: open.from, to: keeping.calendar(at).max(open.from) }, used);
    }

    /// A start of an instance became known, or its end.
    pub(super) fn keep_run(&mut self, instance: ContainerInstanceId, start: u32) {
        let Some(keeping) = &mut self.keeping else { return };
        let known = self.ledger.instance_mut((instance, Slot::default()));
        let (Some(run), Some(host)) = (known.runs.get_mut(&start), known.host.clone()) else { return };
        let Some(started_at) = run.started_at else { return };
        let since = keeping.calendar(started_at);
        match run.stopped_at {
            None => {
                keeping.runs.entry((instance, start)).or_insert(OpenRun { since, from: since });
            }
            Some(_) if run.is_kept => {}
            Some(at) => {
                run.is_kept = true;
                // A start that is told after its end has no open stretch.
                let from = keeping.runs.remove(&(instance, start)).map_or(since, |open| open.from);
                let used = Stretch::Instance { instance, host: Arc::clone(&host), start, since };
                keeping.close(Span { from, to: keeping.calendar(at).max(from) }, used);
            }
        }
        let (ready, early) = std::mem::take(&mut keeping.early_charges).into_iter().partition(|one| one.0 == instance);
        keeping.early_charges = early;
        let ready: Vec<_> = ready;
        for (_, charge, at, surplus) in ready {
            keeping.close_charge(instance, &host, charge, at, surplus);
        }
    }

    /// Surplus credits were charged for.
    pub(super) fn keep_charge(
        &mut self,
        instance: ContainerInstanceId,
        charge: u32,
        at: Timestamp,
        surplus: VcpuNanos,
    ) {
        let Some(keeping) = &mut self.keeping else { return };
        match self.ledger.instance(instance).and_then(|known| known.host.as_ref()) {
            Some(host) => keeping.close_charge(instance, host, charge, at, surplus),
            None => keeping.early_charges.push((instance, charge, at, surplus)),
        }
    }
}

impl RecordKeeping {
    fn close_charge(
        &mut self,
        instance: ContainerInstanceId,
        host: &Arc<Host>,
        charge: u32,
        at: Timestamp,
        surplus: VcpuNanos,
    ) {
        let at = self.calendar(at);
        self.close(Span { from: at, to: at }, Stretch::Surplus { instance, host: Arc::clone(host), charge, surplus });
    }
}

fn task_stretch(task: TaskId, running: &RunningTask, start: UnixNanos, usage: StretchUsage) -> Stretch {
    Stretch::Task {
        task,
        since: UnixNanos::at(start, running.started_at),
        identity: Arc::clone(&running.identity),
        instance: match running.identity.placement {
            BilledPlacement::Ec2 { instance } => Some(instance),
            BilledPlacement::Fargate { .. } => None,
        },
        usage,
    }
}
