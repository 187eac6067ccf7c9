//! Lifecycle hooks of deployments that are tasks: how one is asked for, and what it answers.
//!
//! *Ours:* a task stands for ECS' function. It finds what it is asked in its environment; exit code 0 means SUCCEEDED and another FAILED.
//! When the last line that it prints is a function's answer, as in `{"hookStatus": "IN_PROGRESS", "callBackDelay": 5}`, that counts.
//! Whether an answer is awaited still is the control plane's to say. This file knows no clock; whoever drives the control plane passes
//! the requests and answers on.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control_plane::action::{HookCall, Response};
use crate::control_plane::event::{Event, Request};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::ClusterState;
use crate::model::capacity::LaunchTarget;
use crate::model::cluster::RunTaskSpec;
use crate::model::deployment_hook::HookAnswer;
use crate::model::ids::{HookId, IdForm, RequestId, TaskId};
use crate::model::task::{ContainerOverride, Task, TaskOverrides};
use crate::model::task_definition::{LaunchType, TaskDefinition, TaskDefinitionRef};
use crate::model::traffic::TrafficWeight;
use crate::model::units::Duration;

/// The tasks of lifecycle hooks that nobody has heard the end of.
#[derive(Clone, Debug, Default)]
pub(super) struct HookTasks {
    /// Requests for tasks that are calls of hooks, and which.
    requests: BTreeMap<RequestId, (HookId, u32)>,
    /// Tasks that are calls of hooks, and which.
    tasks: BTreeMap<TaskId, (HookId, u32)>,
}

/// What a request for a hook's task came to.
#[derive(Clone, Debug)]
pub(super) enum HookTaskAsked {
    /// This task is the hook's.
    Runs(TaskId),
    /// There is none: the hook answers.
    Refused(Box<Event>),
}

impl HookTasks {
    /// Notes which call a request is for.
    pub(super) fn ask(&mut self, request_id: RequestId, call: &HookCall) {
        self.requests.insert(request_id, (call.hook, call.call));
    }

    /// A request is answered; `None`: it was for no hook.
    pub(super) fn asked(
        &mut self,
        request_id: RequestId,
        response: &Result<Response, RequestError>,
    ) -> Option<HookTaskAsked> {
        let (hook, call) = self.requests.remove(&request_id)?;
        let refusal = match response {
            Ok(Response::RunTask { tasks, failures }) => match tasks.first() {
                Some(task) => {
                    self.tasks.insert(*task, (hook, call));
                    return Some(HookTaskAsked::Runs(*task));
                }
                None => failures.first().map_or("it found no place".to_owned(), |failure| failure.reason.to_owned()),
            },
            Ok(_) => "it could not be run".to_owned(),
            Err(error) => error.to_string(),
        };
        Some(HookTaskAsked::Refused(Box::new(Event::HookAnswered { hook, call, answer: failed(refusal) })))
    }

    /// Whether a task is a hook's.
    pub(super) fn has(&self, task: TaskId) -> bool {
        self.tasks.contains_key(&task)
    }

    /// A task is over: a hook's says by this, and by what it `printed`, what it answers.
    pub(super) fn over(&mut self, id: TaskId, task: &Task, printed: &[u8]) -> Option<Event> {
        let (hook, call) = self.tasks.remove(&id)?;
        let answer = answer_of(task, &String::from_utf8_lossy(printed));
        Some(Event::HookAnswered { hook, call, answer })
    }

    /// Nobody waits for a hook any more: the requests that stop its tasks.
    pub(super) fn end(&mut self, hook: HookId) -> Vec<Request> {
        let tasks = self.tasks.iter().filter(|(_, (found, _))| *found == hook).map(|(task, _)| *task);
        let tasks: Vec<TaskId> = tasks.collect();
        for task in &tasks {
            self.tasks.remove(task);
        }
        let reason = "Its deployment does not wait for it any more";
        tasks.into_iter().map(|task| Request::StopTask { task, reason: Some(reason.to_owned()) }).collect()
    }
}

/// The request for the task that a call of a hook is.
pub(super) fn hook_request(
    call: &HookCall,
    task_definition: TaskDefinitionRef,
    state: &ClusterState,
    ids: IdForm,
) -> Request {
    let found = state.resolve(&task_definition).map(|found| found.definition.clone());
    let containers = found.iter().flat_map(|definition| &definition.containers);
    let environment = environment_of(call, &ids.deployment(call.deployment));
    let of_one = ContainerOverride { environment, ..ContainerOverride::default() };
    let containers = containers.map(|container| (container.name.clone(), of_one.clone())).collect();
    Request::RunTask(Box::new(RunTaskSpec {
        task_definition,
        count: 1,
        launch_target: LaunchTarget::LaunchType(LaunchType::Fargate),
        started_by: Some(ids.hook(call.hook).into()),
        overrides: Arc::new(TaskOverrides { containers, ..TaskOverrides::default() }),
        ..RunTaskSpec::default()
    }))
}

/// The container that answers for a hook's task, by index: the first essential one.
pub(super) fn answering_container(definition: &TaskDefinition) -> usize {
    definition.containers.iter().position(|container| container.essential).unwrap_or(0)
}

/// `FAILED`.
pub(super) fn failed(reason: impl Into<Arc<str>>) -> HookAnswer {
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

fn answer_of(task: &Task, printed: &str) -> HookAnswer {
    let answering = answering_container(&task.task_definition);
    let exit_code = task.containers.get(answering).and_then(|container| container.exit.exit_code);
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
