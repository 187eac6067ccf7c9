//! What the happenings to come are going to read, looked at for several of them together.
//!
//! See [`ControlPlane::look_ahead_at`] for why. It changes nothing but how long things take.
//!
//! [`ControlPlane::look_ahead_at`]: crate::control_plane::ControlPlane::look_ahead_at

use std::hint::black_box;

use super::Simulation;
use super::plane::{Happening, SimulatedPlane};
use super::processor::Place;
use crate::model::ids::TaskId;

/// Happenings from one look to the next.
const EVERY: usize = 16;
/// The first of a queue that are looked at: what happens next is nearly always among the first of its heap.
const LOOKED_AT: usize = 31;
/// Where there are fewer tasks, what there is of them is in a cache anyway.
const TASKS_MIN: usize = 2_048;

impl Simulation {
    /// Looks at what the next happenings are about, now and then.
    pub(super) fn look_ahead(&self) {
        if !self.happening_count.is_multiple_of(EVERY as u64) || self.plane.slots.len() < TASKS_MIN {
            return;
        }
        let mut seen = self.control_plane.look_ahead_at_forgotten(EVERY);
        for happening in self.plane.queue.soon(LOOKED_AT) {
            let place = self.plane.look_at_place(happening, &mut seen);
            let Some(task) = place.and_then(|place| self.plane.look_at_task(place, &mut seen)) else { continue };
            seen ^= self.control_plane.look_ahead_at(task) ^ self.meter.look_ahead_at(task);
        }
        black_box(seen);
    }
}

impl SimulatedPlane {
    /// The container that may be done with its step when something happens.
    fn look_at_place(&self, happening: &Happening, seen: &mut u64) -> Option<Place> {
        match happening {
            Happening::Container { place, .. } => Some(*place),
            Happening::Processor { index, token } => {
                let shared = self.processors.get(*index)?;
                shared.expected.filter(|(_, expected)| expected == token)?;
                let (looks, place) = shared.processor.look_ahead()?;
                *seen ^= looks;
                Some(place)
            }
            _ => None,
        }
    }

    /// Looks at a container's task; says which it is if it may end with the container's step: one that takes jobs goes on.
    fn look_at_task(&self, place: Place, seen: &mut u64) -> Option<TaskId> {
        let state = self.tasks.get(place.slot as usize)?;
        let container = state.containers.get(place.container as usize)?;
        *seen ^= container.token ^ u64::from(container.crash.is_some()) ^ state.agent.look_ahead();
        if state.takes_jobs.is_some() {
            return None;
        }
        let task = state.start.task;
        let used = self.meters.get(place.slot as usize).map_or(0, |meter| meter.computed().vcpu().0);
        *seen ^= used ^ self.look_at_lists(task, state.start.host);
        Some(task)
    }
}
