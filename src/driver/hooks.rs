//! Lifecycle hooks of deployments as they are asked in real time: a callback on a thread of its own, or a task.
//!
//! What a task is asked and answers is in `hook_tasks`. Whether an answer is awaited still is the control plane's to say.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::hook_tasks::{HookTaskAsked, answering_container, failed, hook_request};
use super::real_time::ControlLoop;
use crate::control_plane::action::{HookCall, Response};
use crate::control_plane::event::{Event, Request};
use crate::control_plane::request_error::RequestError;
use crate::model::deployment_hook::{HookAnswer, HookTarget};
use crate::model::ids::{HookId, RequestId, TaskId};
use crate::model::task_definition::TaskDefinitionRef;

/// What a callback is: asked on a thread of its own, so that it may take its time.
type HookCallback = Arc<dyn Fn(&HookCall) -> HookAnswer + Send + Sync>;

/// Callbacks by the name that a hook's target has.
#[derive(Clone, Default)]
pub struct HookCallbacks(BTreeMap<Arc<str>, HookCallback>);

impl HookCallbacks {
    /// Puts a callback under a name, in place of one that is there.
    pub fn put(&mut self, name: &str, callback: impl Fn(&HookCall) -> HookAnswer + Send + Sync + 'static) {
        self.0.insert(name.into(), Arc::new(callback));
    }
}

impl fmt::Debug for HookCallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ControlLoop {
    /// Asks a hook. Its answer comes as an event.
    pub(super) fn call_hook(&mut self, call: &Arc<HookCall>) {
        match &call.target {
            HookTarget::Callback(name) => match self.callbacks.0.get(name).cloned() {
                Some(callback) => self.call_back(call, callback),
                None => self.answer_hook(call.hook, call.call, failed(format!("no callback is named {name}"))),
            },
            HookTarget::TaskDefinition(reference) => self.run_hook(call, reference.clone()),
            // The control plane waits for a person.
            HookTarget::Pause => {}
        }
    }

    fn answer_hook(&mut self, hook: HookId, call: u32, answer: HookAnswer) {
        self.outbox.push_back(Event::HookAnswered { hook, call, answer });
    }

    fn call_back(&mut self, call: &Arc<HookCall>, callback: HookCallback) {
        let (call, events) = (call.clone(), self.event_sender.clone());
        let thread = std::thread::Builder::new().name("longshore-hook".into());
        let (hook, number) = (call.hook, call.call);
        let spawned = thread.spawn(move || {
            let answer = std::panic::catch_unwind(AssertUnwindSafe(|| callback(&call)));
            let answer = answer.unwrap_or_else(|_| failed("its callback panicked"));
            // A cluster that is over needs no answer.
            let _ = events.send(vec![Event::HookAnswered { hook: call.hook, call: call.call, answer }]);
        });
        if let Err(error) = spawned {
            self.answer_hook(hook, number, failed(format!("its thread cannot be started: {error}")));
        }
    }

    fn run_hook(&mut self, call: &HookCall, task_definition: TaskDefinitionRef) {
        let request = hook_request(call, task_definition, self.control_plane.state(), self.control_plane.ids());
        let request_id = self.ask_later(request);
        self.hook_tasks.ask(request_id, call);
    }

    /// Puts a request behind the events that are being taken in.
    fn ask_later(&mut self, request: Request) -> RequestId {
        self.next_request += 1;
        let request_id = RequestId(self.next_request);
        self.outbox.push_back(Event::Request { request_id, request });
        request_id
    }

    /// A request is answered: perhaps a hook's task is there, or there is none.
    pub(super) fn hook_task_asked(&mut self, request_id: RequestId, response: &Result<Response, RequestError>) {
        if let Some(HookTaskAsked::Refused(answer)) = self.hook_tasks.asked(request_id, response) {
            self.outbox.push_back(*answer);
        }
    }

    /// A task is over: a hook's says by this what it answers.
    pub(super) fn hook_task_over(&mut self, id: TaskId) {
        let Some(record) = self.control_plane.state().tasks.get(&id).filter(|_| self.hook_tasks.has(id)) else {
            return;
        };
        let answering = answering_container(&record.task.task_definition);
        let printed = self.data_plane.logs(id, answering).map(|logs| logs.stdout).unwrap_or_default();
        self.outbox.extend(self.hook_tasks.over(id, &record.task, &printed));
    }

    /// Nobody waits for a hook any more: its task is stopped. A callback can't be.
    pub(super) fn end_hook(&mut self, hook: HookId) {
        for request in self.hook_tasks.end(hook) {
            self.ask_later(request);
        }
    }
}
