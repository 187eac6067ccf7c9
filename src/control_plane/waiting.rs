//! Tasks that wait for a provider's capacity, by what they want.
//!
//! Alike tasks fit or do not fit together, so that a provider's queue is asked once for each kind of task and not for each task: a
//! full group with hundreds of waiting tasks then costs no more at each end of a task than one with a few.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::placement::{PlacementRequest, TaskKind};
use super::state::{PlacementRules, TaskRecord};
use crate::model::ids::TaskId;
use crate::model::task_definition::Reservation;

/// The waiting tasks of one provider.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct WaitingTasks {
    kinds: Vec<WaitingKind>,
}

/// Tasks that want the same of an instance. Never empty between calls.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct WaitingKind {
    reservation: Arc<Reservation>,
    group: Arc<str>,
    rules: Arc<PlacementRules>,
    kind: TaskKind,
    tasks: BTreeSet<TaskId>,
}

impl WaitingKind {
    fn is_of(&self, record: &TaskRecord) -> bool {
        let task = &record.task;
        let same_reservation =
            Arc::ptr_eq(&self.reservation, &task.reservation) || self.reservation == task.reservation;
        let same_rules = Arc::ptr_eq(&self.rules, &record.placement) || self.rules == record.placement;
        self.group == task.group && same_reservation && same_rules
    }
}

impl WaitingTasks {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.kinds.iter().map(|kind| kind.tasks.len()).sum()
    }

    /// Whether any waits for something about the tasks on an instance.
    pub(super) fn depend_on_tasks(&self) -> bool {
        self.kinds.iter().any(|kind| kind.rules.depend_on_tasks())
    }

    /// The first standalone task of each kind.
    pub(super) fn standalone(&self) -> impl Iterator<Item = TaskId> {
        let kinds = self.kinds.iter().filter(|kind| kind.kind == TaskKind::Standalone);
        kinds.filter_map(|kind| kind.tasks.first().copied())
    }

    /// How many want the same as a task, it included if it waits.
    pub(super) fn count_alike(&self, record: &TaskRecord) -> usize {
        self.kind_of(record).map_or(0, |kind| kind.tasks.len())
    }

    /// The first of those that want the same as a task.
    pub(super) fn first_alike(&self, record: &TaskRecord) -> Option<TaskId> {
        self.kind_of(record)?.tasks.first().copied()
    }

    fn kind_of(&self, record: &TaskRecord) -> Option<&WaitingKind> {
        self.kinds.iter().find(|kind| kind.is_of(record))
    }

    /// Adds a task.
    pub(super) fn insert(&mut self, record: &TaskRecord) {
        let id = record.task.id;
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.is_of(record)) {
            kind.tasks.insert(id);
            return;
        }
        self.kinds.push(WaitingKind {
            reservation: record.task.reservation.clone(),
            group: record.task.group.clone(),
            rules: record.placement.clone(),
            kind: if record.task.service.is_some() { TaskKind::Service } else { TaskKind::Standalone },
            tasks: BTreeSet::from([id]),
        });
    }

    /// Takes out a task that waits no more.
    pub(super) fn remove(&mut self, record: &TaskRecord) {
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.is_of(record)) {
            kind.tasks.remove(&record.task.id);
        }
        self.kinds.retain(|kind| !kind.tasks.is_empty());
    }

    /// Offers the tasks in the order of their creation; those that `place` takes are out. Of a kind that was refused once no other is
    /// offered: room only shrinks meanwhile. A kind whose constraints ask for tasks is offered again after each that was placed.
    pub(super) fn offer(&mut self, provider: &Arc<str>, mut place: impl FnMut(TaskId, &PlacementRequest<'_>) -> Offer) {
        let mut refused = vec![false; self.kinds.len()];
        loop {
            let open = self.kinds.iter().enumerate().filter(|(index, _)| !refused[*index]);
            let next = open.filter_map(|(index, kind)| Some((*kind.tasks.first()?, index))).min();
            let Some((task, index)) = next else { break };
            let kind = &mut self.kinds[index];
            let request = PlacementRequest {
                reservation: &kind.reservation,
                group: &kind.group,
                capacity_provider: Some(provider),
                strategies: &kind.rules.strategies,
                constraints: &kind.rules.constraints,
                required_attributes: &kind.rules.required_attributes,
                availability_zones: &kind.rules.availability_zones,
                kind: kind.kind,
            };
            match place(task, &request) {
                Offer::Taken => {
                    kind.tasks.pop_first();
                    // Its being there may be what another waits for.
                    for (refused, kind) in refused.iter_mut().zip(&self.kinds) {
                        *refused &= !kind.rules.depend_on_tasks();
                    }
                }
                Offer::Refused => refused[index] = true,
            }
        }
        self.kinds.retain(|kind| !kind.tasks.is_empty());
    }
}

/// What became of a task that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It has an instance.
    Taken,
    /// No instance takes it.
    Refused,
}
