//! `longshore explain FILE`: asks the run of a cluster file why tasks wait or are where they are; and how a run answers.
//!
//! The run makes both forms of the answer, since it alone has what they are made from. Where no run is up there is nothing to explain:
//! what a cluster would do is not what one does.

mod document;
#[cfg(test)]
mod tests;
mod text;

use serde_json::{Value, json};

use super::deploy_socket::{self, ExplainRequest};
use super::{ExplainArguments, Failure, Format, LaunchTypeArgument, Outcome, complain};
use crate::catalog::Catalog;
use crate::control_plane::explain::{Explanation, Question};
use crate::driver::running_cluster::{AskError, RunningCluster};
use crate::model::capacity::{CapacityProviderStrategyItem, LaunchTarget};
use crate::model::cluster::RunTaskSpec;
use crate::model::ids::{IdForm, TaskId};
use crate::model::task_definition::{LaunchType, TaskDefinitionRef};

/// Asks the run and prints its answer.
pub(super) fn explain(arguments: &ExplainArguments) -> Outcome {
    let subject = subject_of(arguments);
    let mut answers = deploy_socket::ask_to_explain(&arguments.file, &subject).map_err(|error| {
        complain(error);
        Failure::BadInput
    })?;
    let Some(answer) = answers.next() else {
        complain("the run has ended before it answered");
        return Err(Failure::Failed);
    };
    if let Some(refusal) = answer["refusal"].as_str() {
        complain(refusal);
        return Err(Failure::BadInput);
    }
    match arguments.format {
        Format::Text => anstream::println!("{}", answer["text"].as_str().unwrap_or_default().trim_end()),
        Format::Json => {
            let document = &answer["document"];
            println!("{}", serde_json::to_string_pretty(document).expect("the document is plain data"));
        }
    }
    Ok(())
}

/// What the arguments ask about, for the run to read.
fn subject_of(arguments: &ExplainArguments) -> Value {
    if let Some(task) = &arguments.task {
        return json!({ "task": task });
    }
    if let Some(service) = &arguments.service {
        return json!({ "service": service });
    }
    let Some(task_definition) = &arguments.task_definition else { return json!({}) };
    let launch_type = arguments.launch_type.map(|launch_type| match launch_type {
        LaunchTypeArgument::Fargate => LaunchType::Fargate.as_str(),
        LaunchTypeArgument::Ec2 => LaunchType::Ec2.as_str(),
    });
    json!({
        "task_definition": task_definition,
        "launch_type": launch_type,
        "capacity_provider": arguments.capacity_provider,
    })
}

/// Answers somebody at the socket of a run.
pub(super) fn answer(cluster: &RunningCluster, request: &ExplainRequest, ids: IdForm) {
    let answer = match explanation(cluster, &request.subject, ids) {
        Ok(explanation) => {
            let at = cluster.clock().now();
            json!({ "text": text::of(&explanation, at, ids), "document": document::of(&explanation, at, ids) })
        }
        Err(refusal) => json!({ "refusal": refusal }),
    };
    // Whoever asked may have gone.
    let _ = request.answer.send(answer);
}

fn explanation(cluster: &RunningCluster, subject: &Value, ids: IdForm) -> Result<Explanation, String> {
    let question = question_of(cluster, subject, ids)?;
    let explanation = cluster.explain(question.clone()).map_err(|error| match (&question, error) {
        (Question::Service(name), AskError::Refused(_)) => format!("there is no service {name}"),
        (_, error) => error.to_string(),
    })?;
    match &explanation {
        Explanation::RunTask(placement) if placement.launch_type == LaunchType::Fargate => {
            let definition = &placement.task_definition;
            // Without a size the control plane has refused.
            let (cpu, memory) = (definition.cpu.unwrap_or_default(), definition.memory.unwrap_or_default());
            crate::config::check_fargate_size(cpu, memory, &Catalog::embedded())?;
            Ok(explanation)
        }
        _ => Ok(explanation),
    }
}

fn question_of(cluster: &RunningCluster, subject: &Value, ids: IdForm) -> Result<Question, String> {
    if let Some(task) = subject["task"].as_str() {
        return find_task(cluster, task, ids).map(Question::Task);
    }
    if let Some(service) = subject["service"].as_str() {
        return Ok(Question::Service(service.into()));
    }
    let Some(reference) = subject["task_definition"].as_str() else { return Ok(Question::Waiting) };
    let launch_target = match (subject["launch_type"].as_str(), subject["capacity_provider"].as_str()) {
        (Some("FARGATE"), _) => LaunchTarget::LaunchType(LaunchType::Fargate),
        (Some(_), _) => LaunchTarget::LaunchType(LaunchType::Ec2),
        (None, Some(name)) => LaunchTarget::Strategy(vec![CapacityProviderStrategyItem {
            capacity_provider: name.into(),
            weight: 1,
            base: 0,
        }]),
        (None, None) => LaunchTarget::ClusterDefault,
    };
    let task_definition = reference_of(reference)?;
    Ok(Question::RunTask(Box::new(RunTaskSpec { task_definition, launch_target, ..RunTaskSpec::default() })))
}

/// `FAMILY` or `FAMILY:REVISION`. **Source:** ecs-semantics §1.4.
fn reference_of(text: &str) -> Result<TaskDefinitionRef, String> {
    match text.split_once(':') {
        None => Ok(TaskDefinitionRef { family: text.to_owned(), revision: None }),
        Some((family, revision)) => match revision.parse() {
            Ok(revision) => Ok(TaskDefinitionRef { family: family.to_owned(), revision: Some(revision) }),
            Err(_) => Err(format!("{text:?} is no task definition: write FAMILY or FAMILY:REVISION")),
        },
    }
}

/// A task by its id, the beginning of it, or its ARN.
fn find_task(cluster: &RunningCluster, shown: &str, ids: IdForm) -> Result<TaskId, String> {
    let beginning = shown.rsplit('/').next().unwrap_or(shown).to_ascii_lowercase();
    let snapshot = cluster.snapshot().map_err(|error| error.to_string())?;
    let known = snapshot.state.tasks.keys().copied();
    let mut found: Vec<TaskId> = known.filter(|task| ids.task(*task).starts_with(&beginning)).collect();
    match (found.pop(), found.len()) {
        (Some(task), 0) => Ok(task),
        (Some(_), others) => Err(format!("{} tasks have an id that begins with {shown}: write more of it", others + 1)),
        (None, _) => Err(format!("there is no task {shown}; those that ended long ago are forgotten")),
    }
}
