//! Task sets: CreateTaskSet, UpdateTaskSet, DeleteTaskSet, UpdateServicePrimaryTaskSet, DescribeTaskSets.
//!
//! **Source:** ecs-semantics §5.8, §11.6.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::launch::{check_client_token, launch_target};
use super::members::Members;
use super::names::last_part;
use super::region::LiveCluster;
use super::service_answer::show_target;
use super::task_answer::TagsShown;
use super::{Call, missing, seconds, show_tags, tags_of, task_definitions};
use crate::control_plane::action::Response;
use crate::control_plane::event::{Deletion, Request};
use crate::driver::reads::ReadContext;
use crate::model::document::Document;
use crate::model::ids::DeploymentId;
use crate::model::task_set::{Scale, TaskSetDescription, TaskSetName, TaskSetSpec};

/// The longest client token. **Source:** ecs-semantics §1.3.
const TOKEN_MAX: usize = 36;
/// Members that mean nothing here and are given back.
const STORED: [&str; 4] = ["networkConfiguration", "loadBalancers", "serviceRegistries", "platformVersion"];

/// CreateTaskSet.
pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    check_client_token(input, TOKEN_MAX)?;
    let live = region.cluster(input.text("cluster"))?;
    let task_definition = task_definitions::hand_over(region, &live, input.required_text("taskDefinition"))?;
    let spec = TaskSetSpec {
        service: last_part(input.required_text("service")).into(),
        task_definition,
        launch_target: launch_target(region, &live, input)?,
        scale: input.structure("scale").map(scale_of).transpose()?.unwrap_or(Scale::ALL),
        external_id: input.text("externalId").map(Arc::from),
        tags: tags_of(input.list("tags")),
        client_token: input.text("clientToken").map(Arc::from),
        document: Document::from(input.only(&STORED)),
    };
    asked(&live, Request::CreateTaskSet(Box::new(spec)))
}

/// Percents with a fraction, as thousandths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within bounds")]
fn scale_of(scale: Members<'_>) -> Result<Scale, ApiError> {
    let percent = scale.value("value").and_then(Value::as_f64).unwrap_or(100.0);
    if !(0.0..=100.0).contains(&percent) {
        return Err(ApiError::invalid_parameter("The value of a scale must be between 0 and 100."));
    }
    Ok(Scale((percent * 1000.0).round() as u32))
}

fn asked(live: &LiveCluster, request: Request) -> Result<Value, ApiError> {
    let shown = live.cluster.ask_then(request, |response, _, context| match response {
        Response::TaskSet(set) => Some(show(&set, context, TagsShown::Yes)),
        _ => None,
    })?;
    Ok(json!({"taskSet": shown}))
}

/// The cluster, the service and the task set that a request names: by id, by ARN, or by the name that it has elsewhere.
fn named(call: &Call<'_>, member: &str) -> Result<(Arc<LiveCluster>, Arc<str>, DeploymentId), ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let service: Arc<str> = last_part(input.required_text("service")).into();
    let (name, wanted) = (service.clone(), input.required_text(member).to_owned());
    let found = live.cluster.read(move |state, context| {
        let service = state.services.get(&name).ok_or_else(ApiError::service_not_found)?;
        let sets = service.task_sets();
        let found = sets.iter().find(|set| is_named(set, &wanted, context)).map(|set| set.id);
        found.ok_or_else(|| ApiError::new("TaskSetNotFoundException", "The specified task set wasn't found."))
    })??;
    Ok((live, service, found))
}

fn is_named(set: &TaskSetDescription, name: &str, context: &ReadContext<'_>) -> bool {
    *set.shown_id == *name
        || context.arns.task_set(&set.service, set.id) == name
        || set.external_id.as_deref() == Some(name)
}

/// UpdateTaskSet.
pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let (live, service, id) = named(call, "taskSet")?;
    let scale = call.input.structure("scale").map(scale_of).transpose()?.unwrap_or(Scale::ALL);
    asked(&live, Request::UpdateTaskSet { service, task_set: TaskSetName::Id(id), scale })
}

/// DeleteTaskSet.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (live, service, id) = named(call, "taskSet")?;
    let deletion = if call.input.flag("force") == Some(true) { Deletion::Forced } else { Deletion::WhenScaledToZero };
    asked(&live, Request::DeleteTaskSet { service, task_set: TaskSetName::Id(id), deletion })
}

/// UpdateServicePrimaryTaskSet.
pub(super) fn make_primary(call: &Call<'_>) -> Result<Value, ApiError> {
    let (live, service, id) = named(call, "primaryTaskSet")?;
    asked(&live, Request::UpdateServicePrimaryTaskSet { service, task_set: TaskSetName::Id(id) })
}

/// DescribeTaskSets: those that are named, or all of the service.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let service: Arc<str> = last_part(input.required_text("service")).into();
    let named: Vec<String> = input.texts("taskSets").map(str::to_owned).collect();
    let tags = TagsShown::of(input);
    live.cluster.read(move |state, context| {
        let sets = state.services.get(&service).ok_or_else(ApiError::service_not_found)?.task_sets();
        if named.is_empty() {
            let all = sets.iter().map(|set| show(set, context, tags));
            return Ok(json!({"taskSets": all.collect::<Value>(), "failures": []}));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in &named {
            match sets.iter().find(|set| is_named(set, name, context)) {
                Some(set) => found.push(show(set, context, tags)),
                None => failures.push(missing(name.as_str())),
            }
        }
        Ok(json!({"taskSets": found, "failures": failures}))
    })?
}

/// A task set.
pub(super) fn show(set: &TaskSetDescription, context: &ReadContext<'_>, tags: TagsShown) -> Value {
    let moment = |at| seconds(context.calendar_start, at);
    let members = set.document.members();
    let mut shown: Map<String, Value> = members.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("id", json!(&*set.shown_id));
    put("taskSetArn", json!(context.arns.task_set(&set.service, set.id)));
    put("serviceArn", json!(context.arns.service(&set.service)));
    put("clusterArn", json!(context.arns.cluster()));
    put("startedBy", json!(set.started_by));
    put("externalId", json!(set.external_id.as_deref()));
    put("status", json!(set.status.as_str()));
    put("taskDefinition", json!(context.arns.task_definition(&set.task_definition)));
    put("computedDesiredCount", json!(set.computed_desired_count));
    put("pendingCount", json!(set.pending_count));
    put("runningCount", json!(set.running_count));
    put("createdAt", moment(set.created_at));
    put("updatedAt", moment(set.updated_at));
    put("scale", json!({"value": f64::from(set.scale.0) / 1000.0, "unit": "PERCENT"}));
    put("stabilityStatus", json!(set.stability_status.as_str()));
    put("stabilityStatusAt", moment(set.stability_status_at));
    put("tags", if tags == TagsShown::Yes { show_tags(&set.tags) } else { json!([]) });
    show_target(&mut shown, &set.launch_target, &set.document);
    for list in ["loadBalancers", "serviceRegistries"] {
        shown.entry(list).or_insert_with(|| json!([]));
    }
    Value::Object(shown)
}
