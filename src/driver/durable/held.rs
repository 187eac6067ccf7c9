//! What the world is to see of an event, kept until the event is on the disk.

use std::sync::Arc;

use oneshot::Sender;

use crate::control_plane::action::{Action, Response};
use crate::control_plane::explain::Explanation;
use crate::control_plane::request_error::RequestError;
use crate::driver::apply::{Applied, ApplyError, DeploymentEnd};
use crate::driver::event_bridge::ClusterEvent;
use crate::driver::reads::Told;
use crate::driver::running_cluster::Notice;
use crate::driver::snapshot::Snapshot;
use crate::model::task::Task;
use crate::store::WriteTrouble;

/// Something that is held.
#[derive(Debug)]
pub(in crate::driver) enum Held {
    /// For the data plane, or a hook.
    CarryOut(Action),
    Notice(Notice),
    Event(ClusterEvent),
    /// A request's answer.
    Response(Sender<Result<Response, RequestError>>, Result<Response, RequestError>),
    Applied(Sender<Result<Applied, ApplyError>>, Result<Applied, ApplyError>),
    Stopped(Vec<Sender<Task>>, Box<Task>),
    NoStandaloneTask(Sender<()>),
    DeploymentEnd(Sender<DeploymentEnd>, DeploymentEnd),
    Explanation(Sender<Result<Explanation, RequestError>>, Box<Result<Explanation, RequestError>>),
    Snapshot(Sender<Snapshot>, Box<Snapshot>),
    Task(Sender<Option<Task>>, Option<Arc<Task>>),
    Read(Told),
}

impl Held {
    /// Whether somebody waits for it who can be told otherwise while the disk refuses.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Held::Response(..)
            | Held::Applied(..)
            | Held::Explanation(..)
            | Held::Snapshot(..)
            | Held::Task(..)
            | Held::Read(_) => true,
            Held::CarryOut(_)
            | Held::Notice(_)
            | Held::Event(_)
            | Held::Stopped(..)
            | Held::NoStandaloneTask(_)
            | Held::DeploymentEnd(..) => false,
        }
    }

    /// The same as it is told while the disk refuses: a request may come to be granted later, and its answer says so.
    pub(in crate::driver) fn despite(self, trouble: &WriteTrouble) -> Held {
        let what = || format!("{trouble}; whether it was done is decided when it can be");
        match self {
            Held::Response(answer, Ok(_)) => Held::Response(answer, Err(RequestError::Server(what()))),
            Held::Applied(answer, Ok(_)) => Held::Applied(answer, Err(ApplyError::DataDirectory(what().into()))),
            Held::Read(told) => Held::Read(told.despite(RequestError::Server(what()))),
            other => other,
        }
    }
}
