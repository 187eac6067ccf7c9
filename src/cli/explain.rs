//! `longshore explain FILE`: asks the run of a cluster file why tasks wait or are where they are; and how a run answers.
//!
//! The run makes both forms of the answer, since it alone has what they are made from. Where no run is up nothing is made up in its place:
//! with `--at` the file is simulated up to a moment and that is explained, and the answer says so.

mod document;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use serde_json::{Value, json};

use super::deploy_socket::{self, ExplainRequest};
use super::run::write_out;
use super::{ExplainArguments, Failure, Format, LaunchTypeArgument, Outcome, bad_file, bad_input, complain};
use crate::catalog::Catalog;
use crate::config::ClusterFile;
use crate::control_plane::explain::{Explanation, Question};
use crate::driver::running_cluster::{AskError, RunningCluster};
use crate::driver::simulated::{Progress, Simulation, SimulationOptions};
use crate::model::capacity::{CapacityProviderStrategyItem, LaunchTarget};
use crate::model::cluster::RunTaskSpec;
use crate::model::ids::{IdForm, TaskId};
use crate::model::task_definition::{LaunchType, TaskDefinitionRef};
use crate::model::units::Timestamp;

/// Asks the run, or a simulation, and prints the answer.
pub(super) fn explain(arguments: &ExplainArguments) -> Outcome {
    let subject = subject_of(arguments);
    let answer = match arguments.at {
        Some(at) => ask_simulation(arguments, &subject, at)?,
        None => ask_run(arguments, &subject)?,
    };
    if let Some(refusal) = answer["refusal"].as_str() {
        complain(refusal);
        return Err(Failure::BadInput);
    }
    match arguments.format {
        Format::Text => write_out(answer["text"].as_str().unwrap_or_default().trim_end()),
        Format::Json => {
            let mut document = answer["document"].clone();
            document["simulated"] = arguments.at.is_some().into();
            write_out(&serde_json::to_string_pretty(&document).expect("the document is plain data"));
        }
    }
    Ok(())
}

fn ask_run(arguments: &ExplainArguments, subject: &Value) -> Result<Value, Failure> {
    let mut answers = deploy_socket::ask_to_explain(&arguments.file, subject).map_err(bad_input)?;
    answers.next().ok_or_else(|| {
        complain("the run has ended before it answered");
        Failure::Failed
    })
}

/// Simulates the file up to a moment.
fn ask_simulation(arguments: &ExplainArguments, subject: &Value, at: Duration) -> Result<Value, Failure> {
    let mut spec = ClusterFile::load(&arguments.file).map_err(bad_file)?;
    // Its end is beyond the moment, whatever the file says.
    spec.settings.run_for = Some(at.saturating_add(Duration::from_secs(1)));
    let mut simulation = Simulation::new(&spec, SimulationOptions::default()).map_err(bad_input)?;
    let until = Timestamp::ZERO + at;
    while simulation.run_until(until, u64::MAX) == Progress::GoesOn && simulation.now() < until {}
    let ids = IdForm { seed: spec.settings.seed };
    let mut answer = answer_of(&Asked::Simulation(&simulation), subject, ids);
    if let Some(text) = answer["text"].as_str() {
        let file = arguments.file.display();
        answer["text"] = format!("In a simulation of {file}, at {}:\n{text}", simulation.now()).into();
    }
    Ok(answer)
}

/// Who is asked.
enum Asked<'a> {
    Run(&'a RunningCluster),
    Simulation(&'a Simulation),
}

impl Asked<'_> {
    fn now(&self) -> Timestamp {
        match self {
            Asked::Run(cluster) => cluster.clock().now(),
            Asked::Simulation(simulation) => simulation.now(),
        }
    }

    fn explain(&self, question: &Question) -> Result<Explanation, AskError> {
        match self {
            Asked::Run(cluster) => cluster.explain(question.clone()),
            Asked::Simulation(simulation) => simulation.explain(question).map_err(AskError::Refused),
        }
    }

    fn tasks(&self) -> Result<Vec<TaskId>, AskError> {
        match self {
            Asked::Run(cluster) => Ok(cluster.snapshot()?.state.tasks.keys().collect()),
            Asked::Simulation(simulation) => Ok(simulation.state().tasks.keys().collect()),
        }
    }
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
    // Whoever asked may have gone.
    let _ = request.answer.send(answer_of(&Asked::Run(cluster), &request.subject, ids));
}

fn answer_of(asked: &Asked<'_>, subject: &Value, ids: IdForm) -> Value {
    match explanation(asked, subject, ids) {
        Ok(explanation) => {
            let at = asked.now();
            json!({ "text": text::of(&explanation, at, ids), "document": document::of(&explanation, at, ids) })
        }
        Err(refusal) => json!({ "refusal": refusal }),
    }
}

fn explanation(asked: &Asked<'_>, subject: &Value, ids: IdForm) -> Result<Explanation, String> {
    let question = question_of(asked, subject, ids)?;
    let explanation = asked.explain(&question).map_err(|error| match (&question, error) {
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

fn question_of(asked: &Asked<'_>, subject: &Value, ids: IdForm) -> Result<Question, String> {
    if let Some(task) = subject["task"].as_str() {
        return find_task(asked, task, ids).map(Question::Task);
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
fn find_task(asked: &Asked<'_>, shown: &str, ids: IdForm) -> Result<TaskId, String> {
    let beginning = shown.rsplit('/').next().unwrap_or(shown).to_ascii_lowercase();
    let mut found = asked.tasks().map_err(|error| error.to_string())?;
    found.retain(|task| ids.task(*task).starts_with(&beginning));
    match (found.pop(), found.len()) {
        (Some(task), 0) => Ok(task),
        (Some(_), others) => Err(format!("{} tasks have an id that begins with {shown}: write more of it", others + 1)),
        (None, _) => Err(format!("there is no task {shown}; those that ended long ago are forgotten")),
    }
}
