//! `longshore deploy FILE`: has the run of a cluster file apply the file as it is now; and how a run applies it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::deploy_socket::{self, DeployRequest, Wait};
use super::{DeployArguments, Failure, Format, Outcome, bad_file, bad_input, complain};
use crate::config::{ClusterFile, ClusterFileErrors};
use crate::driver::apply::{Applied, ApplyError, Change, LoadChange, Outcome as ChangeOutcome};
use crate::driver::running_cluster::RunningCluster;
use crate::model::deployment::ServiceDeploymentStatus;
use crate::model::ids::{DeploymentId, IdForm};

/// What came of applying the file to its running cluster.
pub(super) enum FileApplied {
    /// The file has mistakes; nothing was done.
    Mistakes(ClusterFileErrors),
    /// A running cluster can't become what it says; nothing was done.
    Refused(ApplyError),
    /// What was done.
    Done(Applied),
}

/// The file of a run, and what the run's command line says beside it.
pub(super) struct FileOfRun {
    pub(super) file: PathBuf,
    /// Goes before the file's own.
    pub(super) run_for: Option<Duration>,
}

/// Makes a running cluster what its file says at the moment.
pub(super) fn apply_file(cluster: &RunningCluster, of_run: &FileOfRun) -> FileApplied {
    let loaded = ClusterFile::load(&of_run.file).map(|mut spec| {
        spec.settings.run_for = of_run.run_for.or(spec.settings.run_for);
        spec
    });
    match loaded {
        Err(mistakes) => FileApplied::Mistakes(mistakes),
        Ok(spec) => match cluster.apply(spec) {
            Ok(applied) => FileApplied::Done(applied),
            Err(refused) => FileApplied::Refused(refused),
        },
    }
}

impl FileApplied {
    /// What was done or why nothing was, a line each.
    pub(super) fn lines(&self, ids: IdForm) -> Vec<String> {
        match self {
            FileApplied::Mistakes(mistakes) => mistakes.to_string().lines().map(str::to_owned).collect(),
            FileApplied::Refused(refused) => refused.to_string().lines().map(str::to_owned).collect(),
            FileApplied::Done(applied) => lines_of(applied, ids),
        }
    }

    /// Services and their deployments that were started.
    fn deployments(&self) -> Vec<(String, DeploymentId)> {
        let FileApplied::Done(applied) = self else { return Vec::new() };
        let started = applied.changes.iter().filter_map(|change| match (&change.item, &change.outcome) {
            (crate::control_plane::cluster_diff::Item::Service(name), Ok(ChangeOutcome::Deployment(id))) => {
                Some((name.to_string(), *id))
            }
            _ => None,
        });
        started.collect()
    }

    fn document(&self, ids: IdForm) -> Value {
        let (verdict, is_changed) = match self {
            FileApplied::Mistakes(_) => ("invalid", false),
            FileApplied::Refused(_) => ("refused", false),
            FileApplied::Done(applied) if applied.changes.iter().any(|change| change.outcome.is_err()) => {
                ("failed", true)
            }
            FileApplied::Done(_) => ("done", true),
        };
        let changes: Vec<Value> = match self {
            FileApplied::Done(applied) => applied.changes.iter().map(|change| change_document(change, ids)).collect(),
            _ => Vec::new(),
        };
        json!({ "verdict": verdict, "applied": is_changed, "changes": changes, "lines": self.lines(ids) })
    }
}

fn lines_of(applied: &Applied, ids: IdForm) -> Vec<String> {
    let mut lines: Vec<String> = applied.changes.iter().map(|change| line_of(change, ids)).collect();
    let tasks = |count: u32| if count == 1 { "1 standalone task".into() } else { format!("{count} standalone tasks") };
    if applied.tasks_added > 0 {
        lines.push(format!("{} added", tasks(applied.tasks_added)));
    }
    if applied.tasks_withdrawn > 0 {
        lines.push(format!("{} withdrawn before their time", tasks(applied.tasks_withdrawn)));
    }
    if applied.plans_added > 0 {
        lines.push(format!("planned faults and instance refreshes added: {}", applied.plans_added));
    }
    if applied.plans_withdrawn > 0 {
        lines.push(format!("planned faults and instance refreshes withdrawn: {}", applied.plans_withdrawn));
    }
    if applied.load == LoadChange::Changed {
        lines.push("load changed".into());
    }
    if lines.is_empty() {
        lines.push("nothing has changed".into());
    }
    lines
}

fn line_of(change: &Change, ids: IdForm) -> String {
    let Change { item, verb, outcome } = change;
    let done = match *verb {
        "register" => "registered",
        "create" => "created",
        "launch" => "launched",
        "put" => "put",
        "delete" => "deleted",
        "retire" => "drained, to be terminated",
        _ => "updated",
    };
    match outcome {
        Ok(ChangeOutcome::Revision(revision)) => format!("{item} {done} as revision {revision}"),
        Ok(ChangeOutcome::Deployment(id)) => format!("{item} {done}: deployment {}", ids.deployment(*id)),
        Ok(ChangeOutcome::Done) => format!("{item} {done}"),
        Err(error) => format!("{item} not {done}: {error}"),
    }
}

fn change_document(change: &Change, ids: IdForm) -> Value {
    let mut document = json!({ "item": change.item.to_string(), "action": change.verb });
    match &change.outcome {
        Ok(ChangeOutcome::Revision(revision)) => document["revision"] = json!(revision),
        Ok(ChangeOutcome::Deployment(id)) => document["deployment"] = json!(ids.deployment(*id)),
        Ok(ChangeOutcome::Done) => {}
        Err(error) => document["error"] = json!(error.to_string()),
    }
    document
}

/// Applies the file for somebody at the socket, and returns what was done for the run's own view.
pub(super) fn answer(
    cluster: &RunningCluster,
    of_run: &FileOfRun,
    request: &DeployRequest,
    ids: IdForm,
) -> FileApplied {
    let applied = apply_file(cluster, of_run);
    // Whoever asked may have gone, here and below.
    let _ = request.answer.send(applied.document(ids));
    if request.wait == Wait::ForDeployments {
        for (service, deployment) in applied.deployments() {
            let Ok(end) = cluster.deployment_end(&service, deployment) else { break };
            let answer = request.answer.clone();
            // The end may be far: it is waited for elsewhere.
            let wait = move || {
                let Ok(end) = end.recv() else { return };
                let _ = answer.send(json!({
                    "service": service,
                    "deployment": ids.deployment(deployment),
                    "status": end.status.as_str(),
                    "reason": end.reason.as_deref(),
                }));
            };
            let _ = std::thread::Builder::new().name("longshore-deploy".into()).spawn(wait);
        }
    }
    applied
}

pub(super) fn deploy(arguments: &DeployArguments) -> Outcome {
    // Mistakes are shown here, with their lines, before anybody is asked.
    ClusterFile::load(&arguments.file).map_err(bad_file)?;
    let wait = if arguments.wait { Wait::ForDeployments } else { Wait::No };
    let mut answers = deploy_socket::ask_to_deploy(&arguments.file, wait).map_err(bad_input)?;
    let Some(mut document) = answers.next() else {
        complain("the run has ended before it answered");
        return Err(Failure::Failed);
    };
    let is_text = arguments.format == Format::Text;
    let lines: Vec<String> =
        document["lines"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let outcome = match document["verdict"].as_str() {
        Some("done") => Ok(()),
        Some("failed") => Err(Failure::Failed),
        _ => Err(Failure::BadInput),
    };
    if is_text {
        for line in &lines {
            if matches!(outcome, Err(Failure::BadInput)) { complain(line) } else { anstream::println!("{line}") }
        }
    }
    let wanted = document["changes"].as_array().into_iter().flatten().filter(|change| change["deployment"].is_string());
    let wanted = if arguments.wait { wanted.count() } else { 0 };
    let mut ends = Vec::new();
    for end in answers {
        if is_text {
            let text = |key: &str| end[key].as_str().unwrap_or_default().to_owned();
            let reason = end["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
            anstream::println!(
                "service {}: deployment {} {}{reason}",
                text("service"),
                text("deployment"),
                text("status")
            );
        }
        ends.push(end);
    }
    let successful = ServiceDeploymentStatus::Successful.as_str();
    let all_went_well = ends.len() == wanted && ends.iter().all(|end| end["status"] == successful);
    if ends.len() < wanted && is_text {
        complain("the run has ended before all deployments had");
    }
    if !is_text {
        if let Some(document) = document.as_object_mut() {
            document.remove("lines");
            document.insert("deployments".into(), Value::Array(ends));
        }
        println!("{}", serde_json::to_string_pretty(&document).expect("the document is plain data"));
    }
    outcome.and(if all_went_well { Ok(()) } else { Err(Failure::Failed) })
}
