//! What a service says: its event list, complaints that are not repeated, tasks as events name them.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::Notification;
use super::state::ServiceEvent;
use super::timers::Wakeup;
use crate::model::ids::{DeploymentId, TaskId};
use crate::model::units::Duration;

/// Service events kept. **Source:** ecs-semantics §5.11.
const EVENTS_KEPT: usize = 100;
/// Tasks that one service event names.
const TASKS_LISTED: usize = 10;
/// The length of ` (task ID)`.
const TASK_LISTED_LENGTH: usize = 40;
/// How long a repeated complaint is kept back. **Source:** ecs-semantics §5.11.
const REPEAT_AFTER: Duration = Duration::from_secs(6 * 3600);

/// What a service complains about. The text may name another instance each time; the trouble is the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Complaint {
    NoRoom(Cow<'static, str>),
    ProvisioningLimit,
    BlockedByBounds,
    /// The task set that can't scale in.
    BlockedByProtection(DeploymentId),
}

/// Whether a complaint was made, or had been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Aloud,
    Before,
}

impl ControlPlane {
    /// A complaint: said once, and again only when it was resolved between or after six hours, whatever else is complained of meanwhile.
    /// **Source:** ecs-semantics §5.11.
    pub(super) fn complain(&mut self, name: &Arc<str>, about: Complaint, text: &str) -> Said {
        let now = self.now;
        let Some(controller) = self.controllers.get_mut(name) else { return Said::Before };
        controller.complaints.retain(|(_, at)| now.since(*at) < REPEAT_AFTER);
        let repeated = controller.complaints.iter().any(|(said, _)| *said == about);
        if !repeated {
            controller.complaints.push((about, now));
            // The oldest is the first that may be said again.
            self.timers.set(controller.complaints[0].1 + REPEAT_AFTER, Wakeup::Complaint(name.clone()));
            self.service_event(name, text);
        }
        if repeated { Said::Before } else { Said::Aloud }
    }

    /// What a service complained of is over.
    pub(super) fn resolve_complaints(&mut self, name: &Arc<str>) {
        let Some(controller) = self.controllers.get_mut(name) else { return };
        controller.explained_at = None;
        if !controller.complaints.is_empty() {
            controller.complaints.clear();
            self.timers.cancel(Wakeup::Complaint(name.clone()));
        }
    }

    /// Adds a line to a service's events. **Source:** ecs-semantics §5.11.
    pub(super) fn service_event(&mut self, name: &Arc<str>, text: &str) {
        self.service_event_of(name, format_args!("{text}"));
    }

    /// The same of a text that is not put together yet.
    pub(super) fn service_event_of(&mut self, name: &Arc<str>, text: Arguments<'_>) {
        self.begin_event(&["(service ", name, ") "]);
        self.end_event(name, text);
    }

    /// The same of a text about one of its deployments, as ECS calls its task sets. **Source:** ecs-semantics §5.11.
    pub(super) fn task_set_event(&mut self, name: &Arc<str>, task_set: &str, text: Arguments<'_>) {
        self.begin_event(&["(service ", name, ", taskSet ", task_set, ") "]);
        self.end_event(name, text);
    }

    fn begin_event(&mut self, prefix: &[&str]) {
        self.text.clear();
        self.text.extend(prefix.iter().copied());
    }

    fn end_event(&mut self, name: &Arc<str>, text: Arguments<'_>) {
        let _ = self.text.write_fmt(text);
        let message: Arc<str> = self.text.as_str().into();
        if let Some(service) = self.state.services.get_mut(name) {
            if service.events.len() == EVENTS_KEPT {
                service.events.pop_front();
            }
            service.events.push_back(ServiceEvent { at: self.now, message: message.clone() });
        }
        self.notify(Notification::Service { service: name.clone(), message });
    }

    /// `(task T1) (task T2)`, as ECS lists tasks in events. *Ours:* no more than ten of them, ECS writes one more event for each ten.
    pub(super) fn task_list(&self, tasks: &[TaskId]) -> String {
        let mut list = String::with_capacity(TASK_LISTED_LENGTH * tasks.len().min(TASKS_LISTED));
        for task in tasks.iter().take(TASKS_LISTED) {
            let before = if list.is_empty() { "(task " } else { " (task " };
            list.push_str(before);
            self.ids.write_task(*task, &mut list);
            list.push(')');
        }
        if let Some(more) = tasks.len().checked_sub(TASKS_LISTED).filter(|more| *more > 0) {
            let _ = write!(list, " and {more} more");
        }
        list
    }
}
