//! Somebody who looks on: told of every event that the control plane has taken in, with what it said and what it knows afterwards.

use std::fmt;

use crate::control_plane::ControlPlane;
use crate::control_plane::action::Action;
use crate::control_plane::event::Event;
use crate::model::units::Timestamp;

/// What is called after each event.
type Call = dyn FnMut(&ControlPlane, Timestamp, &Event, &[Action]) + Send;

/// Looks on and changes nothing.
pub struct Observer(Box<Call>);

impl Observer {
    /// One that is called with the control plane after each event, the moment, the event, and the actions that followed from it.
    pub fn new(call: impl FnMut(&ControlPlane, Timestamp, &Event, &[Action]) + Send + 'static) -> Observer {
        Observer(Box::new(call))
    }

    pub(super) fn see(&mut self, control_plane: &ControlPlane, now: Timestamp, event: &Event, actions: &[Action]) {
        (self.0)(control_plane, now, event, actions);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Observer")
    }
}
