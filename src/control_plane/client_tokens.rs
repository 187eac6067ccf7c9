//! Requests that are sent twice: a RunTask with a client token that was answered before starts nothing, and is answered as it was.
//!
//! CreateService needs no memory of its own, since the service is there; see `create_service`.
//!
//! **Source:** ecs-semantics §1.3, §4.5.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::Response;
use super::request_error::RequestError;
use super::requests::Answer;
use crate::model::cluster::RunTaskSpec;
use crate::model::ids::TaskId;
use crate::model::units::{Duration, Timestamp};

/// The longest token of a RunTask. **Source:** ecs-semantics §1.3.
const TOKEN_LENGTH_MAX: usize = 64;
/// How long a token is remembered. *Ours:* clients try again for minutes, not for days.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Tokens that are remembered at most, the latest ones. *Ours:* bounds what clients can fill.
const REMEMBERED_MAX: usize = 10_000;

/// The RunTask calls that were answered, by their tokens.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ClientTokens {
    answered: BTreeMap<Arc<str>, AnsweredRunTask>,
    /// Oldest first.
    order: VecDeque<(Timestamp, Arc<str>)>,
}

/// What was asked for with a token, and what came of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct AnsweredRunTask {
    spec: RunTaskSpec,
    tasks: Vec<TaskId>,
}

impl ClientTokens {
    /// What was answered to this request before, if it was.
    ///
    /// # Errors
    /// When its token was that of another request.
    fn answer_to(&self, spec: &RunTaskSpec) -> Result<Option<Vec<TaskId>>, RequestError> {
        let known = spec.client_token.as_ref().and_then(|token| self.answered.get(token));
        match known {
            Some(known) if known.spec == *spec => Ok(Some(known.tasks.clone())),
            Some(known) => Err(RequestError::TokenConflict { tasks: known.tasks.clone() }),
            None => Ok(None),
        }
    }

    fn remember(&mut self, now: Timestamp, spec: &RunTaskSpec, tasks: &[TaskId]) {
        let Some(token) = &spec.client_token else { return };
        self.answered.insert(token.clone(), AnsweredRunTask { spec: spec.clone(), tasks: tasks.to_vec() });
        self.order.push_back((now, token.clone()));
        self.forget(now);
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.order.front()
            && (now.since(*at) > REMEMBERED_FOR || self.order.len() > REMEMBERED_MAX)
            && let Some((_, token)) = self.order.pop_front()
        {
            self.answered.remove(&token);
        }
    }
}

impl ControlPlane {
    /// RunTask, once for each client token. A call that started nothing is not remembered: whoever sends it again means to try again.
    pub(super) fn run_task_once(&mut self, spec: &RunTaskSpec) -> Answer {
        let is_token = |token: &str| {
            (1..=TOKEN_LENGTH_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if spec.client_token.as_ref().is_some_and(|token| !is_token(token)) {
            return Err(RequestError::InvalidParameter(format!(
                "clientToken must be 1 to {TOKEN_LENGTH_MAX} printable ASCII characters."
            )));
        }
        self.state.client_tokens.forget(self.now);
        if let Some(tasks) = self.state.client_tokens.answer_to(spec)? {
            return Ok(Response::RunTask { tasks, failures: Vec::new() });
        }
        let answer = self.run_task(spec)?;
        if let Response::RunTask { tasks, .. } = &answer
            && !tasks.is_empty()
        {
            self.state.client_tokens.remember(self.now, spec, tasks);
        }
        Ok(answer)
    }
}
