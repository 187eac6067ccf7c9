//! Protection of tasks from scale-in: UpdateTaskProtection, GetTaskProtection.
//!
//! **Source:** ecs-semantics §2.6, §11.3.

use std::time::Duration;

use serde_json::{Value, json};

use super::error::ApiError;
use super::names::{arn_like, last_part};
use super::task_answer::show_task_failure;
use super::tasks::find;
use super::{Call, missing, seconds};
use crate::control_plane::action::Response;
use crate::control_plane::event::{Request, TaskProtection};
use crate::driver::reads::ReadContext;
use crate::model::ids::TaskId;
use crate::model::units::Timestamp;

/// Tasks that one UpdateTaskProtection names at most. **Source:** ecs-semantics §11.3.
const UPDATED_MAX: usize = 10;
/// Tasks that one GetTaskProtection names at most. **Source:** ecs-semantics §11.3.
const DESCRIBED_MAX: usize = 100;

fn show(task: TaskId, until: Option<Timestamp>, context: &ReadContext<'_>) -> Value {
    json!({
        "taskArn": context.arns.task(task),
        "protectionEnabled": until.is_some(),
        "expirationDate": until.map(|until| seconds(context.calendar_start, until)),
    })
}

/// UpdateTaskProtection.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let named: Vec<String> = input.texts("tasks").map(str::to_owned).collect();
    if named.is_empty() || named.len() > UPDATED_MAX {
        return Err(ApiError::invalid_parameter(format!("tasks must have 1 to {UPDATED_MAX} items.")));
    }
    let expires_in = input.integer("expiresInMinutes").map(|minutes| {
        let minutes =
            u64::try_from(minutes).map_err(|_| ApiError::invalid_parameter("expiresInMinutes must be positive."))?;
        Ok::<Duration, ApiError>(Duration::from_secs(minutes * 60))
    });
    let expires_in = expires_in.transpose()?;
    let protection = match input.flag("protectionEnabled") {
        Some(true) => TaskProtection::Enabled { expires_in },
        _ => TaskProtection::Disabled,
    };
    let (mut tasks, mut strangers) = (Vec::new(), Vec::new());
    for name in &named {
        match live.arns.ids.read_task(last_part(name)) {
            Some(task) => tasks.push(task),
            None => strangers.push(missing(name.as_str())),
        }
    }
    if tasks.is_empty() {
        return Ok(json!({"protectedTasks": [], "failures": strangers}));
    }
    let request = Request::UpdateTaskProtection { tasks, protection };
    let mut answer = live.cluster.ask_then(request, |response, _, context| {
        let Response::TaskProtection { protected, failures } = response else { return json!({}) };
        let protected = protected.iter().map(|(task, until)| show(*task, *until, context));
        let failures = failures.iter().map(|failure| show_task_failure(failure, context.arns));
        json!({"protectedTasks": protected.collect::<Value>(), "failures": failures.collect::<Value>()})
    })?;
    if let Some(failures) = answer["failures"].as_array_mut() {
        failures.append(&mut strangers);
    }
    Ok(answer)
}

/// GetTaskProtection: of the tasks that are named, or of all.
pub(super) fn get(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let named: Vec<String> = input.texts("tasks").map(str::to_owned).collect();
    if named.len() > DESCRIBED_MAX {
        return Err(ApiError::invalid_parameter(format!("tasks can have at most {DESCRIBED_MAX} items.")));
    }
    let answer = live.cluster.read(move |state, context| {
        let until = |until: Option<Timestamp>| until.filter(|until| context.now < *until);
        if named.is_empty() {
            let live = state.tasks.values().map(|record| &record.task).filter(|task| task.stopped_at.is_none());
            let protected = live.map(|task| show(task.id, until(task.protected_until), context));
            return json!({"protectedTasks": protected.collect::<Value>(), "failures": []});
        }
        let (mut protected, mut failures) = (Vec::new(), Vec::new());
        for name in &named {
            match find(state, context, name) {
                Some(task) => protected.push(show(task.id, until(task.protected_until), context)),
                None => failures.push(missing(arn_like(context.arns, "task", name))),
            }
        }
        json!({"protectedTasks": protected, "failures": failures})
    })?;
    Ok(answer)
}
