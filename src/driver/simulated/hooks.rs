//! Lifecycle hooks of deployments in simulated time: tasks like any others, whose end is the answer.
//!
//! A pause waits for nobody: it is over when its timeout is. *Ours:* a callback is code of whoever embeds a running cluster and is not
//! there; its hook fails, so that no deployment passes what nobody has looked at.

use super::Simulation;
use crate::control_plane::action::{HookCall, Response};
use crate::control_plane::event::{Event, Request};
use crate::control_plane::request_error::RequestError;
use crate::driver::hook_tasks::{HookTaskAsked, answering_container, failed, hook_request};
use crate::model::deployment_hook::HookTarget;
use crate::model::ids::{HookId, RequestId, TaskId};

impl Simulation {
    /// Asks a hook. Its answer comes as an event.
    pub(super) fn call_hook(&mut self, call: &HookCall) {
        match &call.target {
            HookTarget::Callback(name) => {
                let answer = failed(format!("the callback {name} is not there in simulated time"));
                self.inbox.push_back(Event::HookAnswered { hook: call.hook, call: call.call, answer });
            }
            HookTarget::TaskDefinition(reference) => {
                let state = self.control_plane.state();
                let request = hook_request(call, reference.clone(), state, self.control_plane.ids());
                let request_id = self.ask_later(request);
                self.hook_tasks.ask(request_id, call);
            }
            HookTarget::Pause => {}
        }
    }

    /// Puts a request behind the events that are being taken in.
    fn ask_later(&mut self, request: Request) -> RequestId {
        self.last_request += 1;
        let request_id = RequestId(self.last_request);
        self.inbox.push_back(Event::Request { request_id, request });
        request_id
    }

    /// A request is answered. Says whether it was for a hook's task.
    pub(super) fn hook_task_asked(&mut self, request_id: RequestId, response: &Result<Response, RequestError>) -> bool {
        match self.hook_tasks.asked(request_id, response) {
            Some(HookTaskAsked::Runs(task)) => {
                if let Some(record) = self.control_plane.state().tasks.get(&task) {
                    self.plane.keep_output(task, answering_container(&record.task.task_definition));
                }
            }
            Some(HookTaskAsked::Refused(answer)) => self.inbox.push_back(*answer),
            None => return false,
        }
        true
    }

    /// A task is over: a hook's says by this what it answers.
    pub(super) fn hook_task_over(&mut self, id: TaskId) {
        let Some(record) = self.control_plane.state().tasks.get(&id).filter(|_| self.hook_tasks.has(id)) else {
            return;
        };
        let printed = self.plane.take_output(id);
        self.inbox.extend(self.hook_tasks.over(id, &record.task, &printed));
    }

    /// Nobody waits for a hook any more: its task is stopped.
    pub(super) fn end_hook(&mut self, hook: HookId) {
        for request in self.hook_tasks.end(hook) {
            self.ask_later(request);
        }
    }
}
