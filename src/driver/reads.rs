//! Reads of a running cluster where it is: on the control thread, between two events, without a copy of its state.
//!
//! What is read is of one moment. A read holds everything else up while it lasts: it looks and picks out, and leaves the rest (JSON,
//! sorting, waiting) to who asked for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use oneshot::Receiver;

use super::event_detail::Facts;
use super::running_cluster::ClusterOver;
use crate::control_plane::action::Response;
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::ClusterState;
use crate::metering::meter::Meter;
use crate::model::arn::ArnForm;
use crate::model::settings::Settings;
use crate::model::units::Timestamp;

/// What belongs to a cluster's state to show it.
#[derive(Clone, Copy, Debug)]
pub struct ReadContext<'a> {
    /// The moment of the read.
    pub now: Timestamp,
    /// The calendar time of the cluster's start: what moments of the state are counted from.
    pub calendar_start: jiff::Timestamp,
    /// How the cluster, its region and its ids are named.
    pub arns: &'a ArnForm,
    /// The cluster's settings.
    pub settings: &'a Settings,
    /// The meter with everything recorded so far.
    pub meter: &'a Meter,
}

impl ReadContext<'_> {
    /// The state as ECS' own objects.
    pub fn facts<'b>(&'b self, state: &'b ClusterState) -> Facts<'b> {
        Facts { arns: self.arns, started_at: self.calendar_start, state, at: self.now }
    }

    /// A moment of the state as calendar time.
    pub fn calendar(&self, at: Timestamp) -> jiff::Timestamp {
        at.calendar(self.calendar_start)
    }
}

/// A read that is on its way to the control thread.
pub(super) type Read = Box<dyn FnOnce(&ClusterState, &ReadContext<'_>) -> Told + Send>;

/// A read that begins with the answer to a request.
pub(super) type ReadOfAnswer =
    Box<dyn FnOnce(Result<Response, RequestError>, &ClusterState, &ReadContext<'_>) -> Told + Send>;

/// What a read came to, on its way back: it may have to wait until it is on the disk.
pub(super) struct Told {
    /// `Err` where something else is to be told than it came to.
    send: Box<dyn FnOnce(Result<(), RequestError>) + Send>,
    instead: Option<RequestError>,
}

impl Told {
    fn new(send: impl FnOnce(Result<(), RequestError>) + Send + 'static) -> Told {
        Told { send: Box::new(send), instead: None }
    }

    /// The same when what it came to is not on the disk: an error, of a request.
    pub(super) fn despite(self, error: RequestError) -> Told {
        Told { instead: Some(error), ..self }
    }

    /// Tells it.
    pub(super) fn tell(self) {
        (self.send)(self.instead.map_or(Ok(()), Err));
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told").field("instead", &self.instead).finish_non_exhaustive()
    }
}

/// What a read came to; or the panic that it ended with, which is its caller's and not the cluster's.
type Outcome<T> = std::thread::Result<T>;

/// Where the outcome of a read comes to.
pub(super) struct Pending<T>(Receiver<Outcome<T>>);

impl<T> Pending<T> {
    /// Waits for it.
    ///
    /// # Panics
    /// When the read did.
    pub(super) fn wait(self) -> Result<T, ClusterOver> {
        let outcome = self.0.recv().map_err(|_| ClusterOver)?;
        Ok(outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

/// Makes a read ready to be sent.
pub(super) fn prepare<T: Send + 'static>(
    read: impl FnOnce(&ClusterState, &ReadContext<'_>) -> T + Send + 'static,
) -> (Read, Pending<T>) {
    let (sender, receiver) = oneshot::channel();
    let read: Read = Box::new(move |state, context| {
        let outcome = looked(|| read(state, context));
        // Who asked may have gone, here and below.
        Told::new(move |_| drop(sender.send(outcome)))
    });
    (read, Pending(receiver))
}

/// Makes a read ready to be sent that is only made when its request is granted.
pub(super) fn prepare_after_answer<T: Send + 'static>(
    read: impl FnOnce(Response, &ClusterState, &ReadContext<'_>) -> T + Send + 'static,
) -> (ReadOfAnswer, Pending<Result<T, RequestError>>) {
    let (sender, receiver) = oneshot::channel();
    let read: ReadOfAnswer = Box::new(move |answer, state, context| {
        let outcome = looked(|| answer.map(|response| read(response, state, context)));
        Told::new(move |durable| drop(sender.send(durable.map_or_else(|error| Ok(Err(error)), |()| outcome))))
    });
    (read, Pending(receiver))
}

/// Nothing that a read sees can be left half changed by a panic: it only looks.
fn looked<T>(read: impl FnOnce() -> T) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(read))
}
