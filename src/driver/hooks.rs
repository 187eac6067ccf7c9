//! Lifecycle hooks of deployments as they are asked: a callback on a thread of its own, or a standalone Fargate task.
//!
//! *Ours:* a task stands for ECS' function. It finds what it is asked in its environment; exit code 0 means SUCCEEDED and another FAILED.
//! When the last line that it prints is a function's answer, as in `{"hookStatus": "IN_PROGRESS", "callBackDelay": 5}`, that counts.
//! Whether an answer is awaited still is the control plane's to say.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::real_time::ControlLoop;
use crate::control_plane::action::{HookCall, Response};
use crate::control_plane::event::{Event, Request};
use crate::control_plane::request_error::RequestError;
use crate::model::capacity::LaunchTarget;
use crate::model::cluster::RunTaskSpec;
use crate::model::deployment_hook::{HookAnswer, HookTarget};
use crate::model::ids::{HookId, RequestId, TaskId};
use crate::model::task::{ContainerOverride, Task, TaskOverrides};
use crate::model::task_definition::{LaunchType, TaskDefinitionRef};
use crate::model::traffic::TrafficWeight;
use crate::model::units::Duration;

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
            let _ = events.send(Event::HookAnswered { hook: call.hook, call: call.call, answer });
        });
        if let Err(error) = spawned {
            self.answer_hook(hook, number, failed(format!("its thread cannot be started: {error}")));
        }
    }

    fn run_hook(&mut self, call: &HookCall, task_definition: TaskDefinitionRef) {
        let found = self.control_plane.state().resolve(&task_definition).map(|found| found.definition.clone());
        let containers = found.iter().flat_map(|definition| &definition.containers);
        let environment = environment_of(call, &self.control_plane.ids().deployment(call.deployment));
        let of_one = ContainerOverride { environment, ..ContainerOverride::default() };
        let containers = containers.map(|container| (container.name.clone(), of_one.clone())).collect();
        let spec = RunTaskSpec {
            task_definition,
            count: 1,
            launch_target: LaunchTarget::LaunchType(LaunchType::Fargate),
            started_by: Some(self.control_plane.ids().hook(call.hook).into()),
            overrides: Arc::new(TaskOverrides { containers, ..TaskOverrides::default() }),
            ..RunTaskSpec::default()
        };
        let request_id = self.ask_later(Request::RunTask(Box::new(spec)));
        self.hook_requests.insert(request_id, (call.hook, call.call));
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
        let Some((hook, call)) = self.hook_requests.remove(&request_id) else { return };
        let refusal = match response {
            Ok(Response::RunTask { tasks, failures }) => match tasks.first() {
                Some(task) => {
                    self.hook_tasks.insert(*task, (hook, call));
                    return;
                }
                None => failures.first().map_or("it found no place".to_owned(), |failure| failure.reason.to_owned()),
            },
            Ok(_) => "it could not be run".to_owned(),
            Err(error) => error.to_string(),
        };
        self.answer_hook(hook, call, failed(refusal));
    }

    /// A task is over: a hook's says by this what it answers.
    pub(super) fn hook_task_over(&mut self, id: TaskId) {
        let Some((hook, call)) = self.hook_tasks.remove(&id) else { return };
        let Some(record) = self.control_plane.state().tasks.get(&id) else { return };
        let task = &record.task;
        let containers = task.task_definition.containers.iter().enumerate();
        let index = containers.filter(|(_, container)| container.essential).map(|(index, _)| index).next().unwrap_or(0);
        let printed = self.data_plane.logs(id, index).map(|logs| logs.stdout).unwrap_or_default();
        let answer = answer_of(task, index, &String::from_utf8_lossy(&printed));
        self.answer_hook(hook, call, answer);
    }

    /// Nobody waits for a hook any more: its task is stopped. A callback can't be.
    pub(super) fn end_hook(&mut self, hook: HookId) {
        let tasks = self.hook_tasks.iter().filter(|(_, (found, _))| *found == hook).map(|(task, _)| *task);
        let tasks: Vec<TaskId> = tasks.collect();
        for task in tasks {
            self.hook_tasks.remove(&task);
            let reason = Some("Its deployment does not wait for it any more".to_owned());
            self.ask_later(Request::StopTask { task, reason });
        }
    }
}

fn failed(reason: impl Into<Arc<str>>) -> HookAnswer {
    HookAnswer::Failed { reason: reason.into() }
}

/// What a hook's task is asked, as variables.
fn environment_of(call: &HookCall, deployment: &str) -> BTreeMap<String, String> {
    let percent = |weight: Option<TrafficWeight>| {
        weight.map_or("100".to_owned(), |weight| weight.to_string().trim_end_matches(" %").to_owned())
    };
    let mut variables = BTreeMap::from([
        ("HOOK_STAGE".to_owned(), call.stage.as_str().to_owned()),
        ("HOOK_SERVICE".to_owned(), call.service.to_string()),
        ("HOOK_DEPLOYMENT".to_owned(), deployment.to_owned()),
        ("HOOK_TASK_DEFINITION".to_owned(), call.task_definition.to_string()),
        ("HOOK_CALL".to_owned(), call.call.to_string()),
        ("HOOK_PRODUCTION_PERCENT".to_owned(), percent(call.production_weight)),
        ("HOOK_TEST_PERCENT".to_owned(), percent(call.test_weight)),
    ]);
    if let Some(details) = &call.details {
        variables.insert("HOOK_DETAILS".to_owned(), details.to_string());
    }
    variables
}

/// A function's answer. **Source:** ecs-semantics §5.8.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    hook_status: String,
    call_back_delay: Option<u32>,
}

fn answer_of(task: &Task, container_index: usize, printed: &str) -> HookAnswer {
    let exit_code = task.containers.get(container_index).and_then(|container| container.exit.exit_code);
    match exit_code {
        Some(0) => {}
        Some(code) => return failed(format!("exit code {code}")),
        None => return failed(task.stopped_reason.clone().unwrap_or_else(|| "it did not run".into())),
    }
    let last = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let Ok(Printed { hook_status, call_back_delay }) = serde_json::from_str(last) else {
        return HookAnswer::Succeeded;
    };
    match hook_status.as_str() {
        "SUCCEEDED" => HookAnswer::Succeeded,
        "IN_PROGRESS" => HookAnswer::InProgress {
            call_back_delay: call_back_delay.map(|seconds| Duration::from_secs(u64::from(seconds))),
        },
        "FAILED" => failed("hookStatus FAILED"),
        other => failed(format!("its hookStatus {other} is none of SUCCEEDED, FAILED and IN_PROGRESS")),
    }
}
