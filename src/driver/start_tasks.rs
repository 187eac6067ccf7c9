//! StartTask calls of a cluster file: made when their time has come and the instances that they name have registered.
//!
//! *Ours:* a call waits for an instance that is coming up, and one that finds no room there is made again, as RunTask calls are.

use std::sync::Arc;

use crossbeam_channel::bounded;

use super::real_time::{ControlLoop, RUN_TASK_RETRY};
use crate::control_plane::action::{Notification, Response};
use crate::control_plane::event::Request;
use crate::model::cluster::{ScheduledStartTask, StartTaskSpec};
use crate::model::units::Timestamp;

/// A call that is yet to be made for some of its instances.
#[derive(Clone, Debug)]
pub(super) struct PendingStart {
    /// When to make it.
    at: Timestamp,
    /// The names of instances without a task.
    names: Vec<Arc<str>>,
    spec: StartTaskSpec,
    /// The reason that was told of last.
    told: Option<String>,
}

impl PendingStart {
    pub(super) fn new(scheduled: ScheduledStartTask) -> PendingStart {
        let at = Timestamp::ZERO + scheduled.at;
        PendingStart { at, names: scheduled.container_instances, spec: scheduled.spec, told: None }
    }

    /// Whether it is this call, of which nothing has been made.
    pub(super) fn is_untried(&self, call: &PendingStart) -> bool {
        self.told.is_none() && (self.at, &self.names, &self.spec) == (call.at, &call.names, &call.spec)
    }
}

impl ControlLoop {
    /// The moment of the next call.
    pub(super) fn next_start(&self) -> Option<Timestamp> {
        self.starts.iter().map(|pending| pending.at).min()
    }

    /// Makes the calls that are due.
    pub(super) fn start_scheduled(&mut self, now: Timestamp) {
        let (due, later) = std::mem::take(&mut self.starts).into_iter().partition(|pending| pending.at <= now);
        self.starts = later;
        for pending in due {
            self.start_pending(now, pending);
        }
    }

    fn start_pending(&mut self, now: Timestamp, mut pending: PendingStart) {
        if self.control_plane.state().draining {
            return;
        }
        let wanted = u32::try_from(pending.names.len()).unwrap_or(u32::MAX);
        let mut reason = None;
        let mut left = Vec::new();
        for name in std::mem::take(&mut pending.names) {
            let instance = self.control_plane.state().instance_named(&name);
            let spec = StartTaskSpec { container_instances: instance.into_iter().collect(), ..pending.spec.clone() };
            let (answer, response) = bounded(1);
            self.ask(Request::StartTask(Box::new(spec)), Some(answer));
            match response.try_recv() {
                Ok(Ok(Response::RunTask { failures, .. })) => {
                    if let Some(failure) = failures.first() {
                        reason = reason.or(Some(failure.reason.to_owned()));
                        left.push(name);
                    }
                }
                Ok(Err(error)) => {
                    reason = reason.or(Some(error.to_string()));
                    left.push(name);
                }
                Ok(Ok(_)) | Err(_) => unreachable!("StartTask is answered by its tasks in the same call"),
            }
        }
        let Some(reason) = reason else { return };
        let placed = wanted - u32::try_from(left.len()).unwrap_or(wanted);
        if placed > 0 || pending.told.as_ref() != Some(&reason) {
            let task_definition = pending.spec.task_definition.to_string().into();
            let shown = reason.as_str().into();
            self.tell(now, Notification::RunTask { task_definition, wanted, placed, reason: shown });
        }
        self.starts.push(PendingStart { at: now + RUN_TASK_RETRY, names: left, told: Some(reason), ..pending });
    }
}
