//! Requests that carry a client token: asked again they are answered again, and nothing happens twice.
//!
//! A token is one cluster's. RunTask's is good for a day, or for an hour after the last of its tasks has stopped if that is sooner;
//! CreateService's for as long as its service is ACTIVE. **Source:** ecs-semantics §1.3, §4.5, §5.5; API reference, Ensuring
//! idempotency (read 2026-11-26).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::{Failure, Response};
use super::request_error::RequestError;
use super::state::{ClusterState, ServiceStatus};
use crate::model::cluster::RunTaskSpec;
use crate::model::ids::TaskId;
use crate::model::service::ServiceSpec;
use crate::model::units::{Duration, Timestamp};

/// How long RunTask's tokens are good at most.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long they are good after the last of their tasks.
const GOOD_AFTER_TASKS: Duration = Duration::from_secs(3600);
/// How many of them are remembered. *Ours:* bounds memory, since every SDK sends one with each call.
const REMEMBERED_MAX: usize = 10_000;

/// What RunTask calls were answered, by token.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct ClientTokens {
    by_token: BTreeMap<Arc<str>, Answered>,
    /// Oldest first. One that was taken anew is here twice, and the younger counts.
    in_order: VecDeque<(Timestamp, Arc<str>)>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Answered {
    at: Timestamp,
    spec: Box<RunTaskSpec>,
    tasks: Vec<TaskId>,
    failures: Vec<Failure>,
}

impl Answered {
    fn is_good(&self, now: Timestamp, state: &ClusterState) -> bool {
        let lasts = |task: &TaskId| {
            let stopped_at = state.tasks.get(task).map(|record| record.task.stopped_at);
            stopped_at.is_some_and(|at| at.is_none_or(|at| now.since(at) <= GOOD_AFTER_TASKS))
        };
        now.since(self.at) <= GOOD_FOR && self.tasks.iter().any(lasts)
    }
}

impl ControlPlane {
    /// What a RunTask call was answered before; `None` when its token is not known.
    pub(super) fn answered_before(&self, spec: &RunTaskSpec) -> Result<Option<Response>, RequestError> {
        let known = spec.client_token.as_ref().and_then(|token| self.client_tokens.by_token.get(token));
        match known.filter(|known| known.is_good(self.now, &self.state)) {
            None => Ok(None),
            Some(known) if *known.spec == *spec => {
                let (tasks, failures) = (known.tasks.clone(), known.failures.clone());
                Ok(Some(Response::RunTask { tasks, failures }))
            }
            Some(known) => Err(RequestError::Conflict { tasks: known.tasks.clone() }),
        }
    }

    /// Remembers the answer to a call with a token. One that came to nothing may be tried again.
    pub(super) fn remember_answer(&mut self, spec: &RunTaskSpec, response: &Response) {
        let (Some(token), Response::RunTask { tasks, failures }) = (&spec.client_token, response) else { return };
        if tasks.is_empty() {
            return;
        }
        let now = self.now;
        let answered =
            Answered { at: now, spec: Box::new(spec.clone()), tasks: tasks.clone(), failures: failures.clone() };
        let tokens = &mut self.client_tokens;
        tokens.by_token.insert(token.clone(), answered);
        tokens.in_order.push_back((now, token.clone()));
        while let Some((at, oldest)) = tokens.in_order.front() {
            if tokens.in_order.len() <= REMEMBERED_MAX && now.since(*at) <= GOOD_FOR {
                break;
            }
            if tokens.by_token.get(oldest).is_some_and(|answered| answered.at == *at) {
                tokens.by_token.remove(oldest);
            }
            tokens.in_order.pop_front();
        }
    }

    /// What a CreateService call was answered before: the service is there, and nothing was asked otherwise. *Ours:* a token that another
    /// service was created with is refused with the same words as a name.
    pub(super) fn created_before(&self, spec: &ServiceSpec) -> Result<Option<Response>, RequestError> {
        let Some(token) = &spec.client_token else { return Ok(None) };
        let mut active = self.state.services.values().filter(|service| service.status == ServiceStatus::Active);
        let Some(known) = active.find(|service| service.spec.client_token.as_ref() == Some(token)) else {
            return Ok(None);
        };
        if known.created_from.as_deref() == Some(spec) {
            let primary = known.primary_if_any();
            return Ok(Some(primary.map_or(Response::Done, |primary| Response::Service { deployment: primary.id })));
        }
        Err(RequestError::InvalidParameter("Creation of service was not idempotent.".into()))
    }
}
