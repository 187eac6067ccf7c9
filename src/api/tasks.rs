//! Tasks: RunTask, StartTask, StopTask, DescribeTasks, ListTasks, ExecuteCommand.
//!
//! **Source:** ecs-semantics §2, §4, §11.3.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::launch::{ecs_managed_tags, launch_target, placement_strategy, propagate_tags};
use super::members::Members;
use super::names::{arn_like, cluster_in, last_part};
use super::page::{LONG_PAGES, page};
use super::region::LiveCluster;
use super::task_answer::{TagsShown, show_failure, show_task};
use super::task_definition_document::{environment, gpus, placement_constraints};
use super::{Call, missing, tags_of, task_definitions};
use crate::config::{SizeError, parse_task_cpu, parse_task_memory};
use crate::control_plane::action::Response;
use crate::control_plane::event::Request;
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::{ClusterState, Deployment, Service};
use crate::driver::reads::ReadContext;
use crate::driver::running_cluster::AskError;
use crate::model::cluster::{RunTaskSpec, StartTaskSpec};
use crate::model::document::Document;
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::task::{ContainerOverride, DesiredStatus, Task, TaskOverrides, TaskStatus};
use crate::model::units::{CpuUnits, MemoryMib};

/// Tasks that one DescribeTasks names at most. **Source:** ecs-semantics §11.3.
const DESCRIBED_MAX: usize = 100;
/// Tasks that one RunTask starts at most. **Source:** ecs-semantics §1.7.
const COUNT_MAX: i64 = 10;
/// The longest `clientToken`. **Source:** ecs-semantics §1.3.
const CLIENT_TOKEN_MAX: usize = 64;
/// The longest overrides. **Source:** ecs-semantics §1.3.
const OVERRIDES_MAX: usize = 8192;
/// Members that mean nothing here, the subnets of a network apart, and are given back.
const STORED: [&str; 6] = [
    "networkConfiguration",
    "platformVersion",
    "enableExecuteCommand",
    "volumeConfigurations",
    "overrides",
    "referenceId",
];

/// RunTask.
pub(super) fn run(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let live = region.cluster(input.text("cluster"))?;
    super::launch::check_client_token(input, CLIENT_TOKEN_MAX)?;
    let count = input.integer("count").unwrap_or(1);
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(ApiError::invalid_parameter(format!("Count must be between 1 and {COUNT_MAX}.")));
    }
    let task_definition = task_definitions::hand_over(region, &live, input.required_text("taskDefinition"))?;
    let spec = RunTaskSpec {
        task_definition,
        count: u32::try_from(count).unwrap_or(1),
        launch_target: launch_target(region, &live, input)?,
        group: input.text("group").map(Arc::from),
        started_by: input.text("startedBy").map(Arc::from),
        overrides: Arc::new(overrides(input)?),
        placement_strategy: placement_strategy(input)?,
        placement_constraints: placement_constraints(input.structures("placementConstraints"))?,
        tags: tags_of(input.list("tags")),
        propagate_tags: propagate_tags(input),
        ecs_managed_tags: ecs_managed_tags(input).unwrap_or_default(),
        client_token: input.text("clientToken").map(Arc::from),
        document: Document::from(input.only(&STORED)),
    };
    started(&live, Request::RunTask(Box::new(spec)))
}

/// StartTask.
pub(super) fn start(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let live = region.cluster(input.text("cluster"))?;
    let task_definition = task_definitions::hand_over(region, &live, input.required_text("taskDefinition"))?;
    let ids = live.arns.ids;
    let (mut container_instances, mut failures) = (Vec::new(), Vec::new());
    // Those that are not known count, too.
    if !(1..=COUNT_MAX).contains(&i64::try_from(input.texts("containerInstances").count()).unwrap_or(i64::MAX)) {
        return Err(ApiError::invalid_parameter(format!("Name from 1 to {COUNT_MAX} container instances.")));
    }
    for named in input.texts("containerInstances") {
        match ids.read_container_instance(last_part(named)) {
            Some(instance) => container_instances.push(instance),
            None => failures.push(missing(region.arn(&format!("container-instance/{}", last_part(named))))),
        }
    }
    if container_instances.is_empty() && !failures.is_empty() {
        return Ok(json!({"tasks": [], "failures": failures}));
    }
    let spec = StartTaskSpec {
        task_definition,
        container_instances,
        group: input.text("group").map(Arc::from),
        started_by: input.text("startedBy").map(Arc::from),
        overrides: Arc::new(overrides(input)?),
        tags: tags_of(input.list("tags")),
        propagate_tags: propagate_tags(input),
        ecs_managed_tags: ecs_managed_tags(input).unwrap_or_default(),
        document: Document::from(input.only(&STORED)),
    };
    let mut answer = started(&live, Request::StartTask(Box::new(spec)))?;
    if let Some(found) = answer["failures"].as_array_mut() {
        found.append(&mut failures);
    }
    Ok(answer)
}

/// Asks for tasks and answers them as they are right then.
fn started(live: &LiveCluster, request: Request) -> Result<Value, ApiError> {
    let answered = live.cluster.ask_then(request, |response, state, context| {
        let Response::RunTask { tasks, failures } = response else { return json!({}) };
        let tasks = tasks.iter().filter_map(|id| state.tasks.get(id));
        let tasks = tasks.map(|record| show_task(&record.task, state, context, TagsShown::Yes));
        let failures = failures.iter().map(|failure| show_failure(failure, context.arns));
        json!({"tasks": tasks.collect::<Value>(), "failures": failures.collect::<Value>()})
    });
    answered.map_err(|error| match error {
        AskError::Refused(RequestError::Conflict { ref tasks }) => {
            let known: Value = tasks.iter().map(|task| live.arns.task(*task)).collect();
            let mut conflict = ApiError::from(error);
            conflict.members.insert("resourceIds".to_owned(), known);
            conflict
        }
        error => error.into(),
    })
}

/// What a request changes of its task definition.
fn overrides(input: Members<'_>) -> Result<TaskOverrides, ApiError> {
    let Some(overrides) = input.structure("overrides") else { return Ok(TaskOverrides::default()) };
    let length = Value::Object(overrides.0.clone()).to_string().chars().count();
    if length > OVERRIDES_MAX {
        return Err(ApiError::invalid_parameter(format!("Overrides can have at most {OVERRIDES_MAX} characters.")));
    }
    let containers = overrides.structures("containerOverrides").map(|found| -> Result<_, ApiError> {
        let change = ContainerOverride {
            command: found.has("command").then(|| found.texts("command").map(str::to_owned).collect()),
            environment: environment(found),
            cpu: found.count("cpu").map(CpuUnits),
            memory: found.count("memory").map(MemoryMib),
            memory_reservation: found.count("memoryReservation").map(MemoryMib),
            gpus: gpus(found)?,
            ..ContainerOverride::default()
        };
        Ok((found.required_text("name").to_owned(), change))
    });
    let invalid = |error: SizeError| ApiError::invalid_parameter(error.to_string());
    let storage = overrides.structure("ephemeralStorage");
    Ok(TaskOverrides {
        containers: containers.collect::<Result<_, _>>()?,
        cpu: overrides.text("cpu").map(parse_task_cpu).transpose().map_err(invalid)?,
        memory: overrides.text("memory").map(parse_task_memory).transpose().map_err(invalid)?,
        ephemeral_storage_gib: storage.and_then(|storage| storage.count("sizeInGiB")),
        ..TaskOverrides::default()
    })
}

/// StopTask.
pub(super) fn stop(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let named = input.required_text("task");
    let live = call.region.cluster(input.text("cluster").or(cluster_in(named)))?;
    let not_found = || ApiError::invalid_parameter("The referenced task was not found.");
    let task = live.arns.ids.read_task(last_part(named)).ok_or_else(not_found)?;
    let request = Request::StopTask { task, reason: input.text("reason").map(str::to_owned) };
    let stopped = live.cluster.ask_then(request, move |_, state, context| {
        let record = state.tasks.get(&task)?;
        Some(show_task(&record.task, state, context, TagsShown::Yes))
    })?;
    Ok(json!({"task": stopped.ok_or_else(not_found)?}))
}

/// DescribeTasks.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let live = call.region.cluster(input.text("cluster"))?;
    let named: Vec<String> = input.texts("tasks").map(str::to_owned).collect();
    if named.len() > DESCRIBED_MAX {
        return Err(ApiError::invalid_parameter(format!("Tasks can have at most {DESCRIBED_MAX} items.")));
    }
    if named.is_empty() {
        return Err(ApiError::invalid_parameter("Tasks cannot be empty."));
    }
    let tags = TagsShown::of(input);
    let answer = live.cluster.read(move |state, context| {
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for name in &named {
            match find(state, context, name) {
                Some(task) => tasks.push(show_task(task, state, context, tags)),
                None => failures.push(missing(arn_like(context.arns, "task", name))),
            }
        }
        json!({"tasks": tasks, "failures": failures})
    })?;
    Ok(answer)
}

/// A task by id or ARN; none of another cluster.
pub(super) fn find<'a>(state: &'a ClusterState, context: &ReadContext<'_>, named: &str) -> Option<&'a Task> {
    if cluster_in(named).is_some_and(|cluster| *cluster != *context.arns.cluster) {
        return None;
    }
    let id = context.arns.ids.read_task(last_part(named))?;
    state.tasks.get(&id).map(|record| &record.task)
}

/// ListTasks. **Source:** ecs-semantics §11.3.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let live = call.region.cluster(call.input.text("cluster"))?;
    let input: Map<String, Value> = call.input.0.clone();
    let listed = live.cluster.read(move |state, context| list_of(Members(&input), state, context))?;
    listed.map(Value::Object)
}

fn list_of(
    input: Members<'_>,
    state: &ClusterState,
    context: &ReadContext<'_>,
) -> Result<Map<String, Value>, ApiError> {
    let service = input.text("serviceName").map(last_part);
    if service.is_some_and(|name| !state.services.contains_key(name)) {
        return Err(ApiError::service_not_found());
    }
    let instance = match input.text("containerInstance") {
        None => None,
        Some(named) => {
            let id = context.arns.ids.read_container_instance(last_part(named));
            let known = id.filter(|id| state.container_instances.contains_key(id));
            Some(known.ok_or_else(|| ApiError::invalid_parameter("The specified container instance was not found."))?)
        }
    };
    let (family, started_by) = (input.text("family"), input.text("startedBy"));
    if started_by.is_some() && (family.is_some() || service.is_some() || instance.is_some()) {
        return Err(ApiError::invalid_parameter("startedBy must be the only filter that is used."));
    }
    let (desired, launch_type) = (input.text("desiredStatus").unwrap_or("RUNNING"), input.text("launchType"));
    let tasks = candidates(state, desired, service, instance).filter(|task| {
        task.desired_status.as_str() == desired
            && service.is_none_or(|name| task.service.as_deref() == Some(name))
            && instance.is_none_or(|id| task.container_instance == Some(id))
            && family.is_none_or(|family| task.task_definition.family == family)
            && started_by.is_none_or(|name| task.started_by.as_deref() == Some(name))
            && launch_type.is_none_or(|name| task.launch_type.as_str() == name)
    });
    let tasks = tasks.map(|task| (format!("{:020}", task.id.0), task.id));
    page(input, LONG_PAGES, "taskArns", tasks, |id: TaskId| json!(context.arns.task(id)))
}

/// The tasks among which those are that a list asks for, oldest first: what the state's own tables have of a service, of an instance, or of
/// all services where nothing else runs; and else every task that is known.
fn candidates<'a>(
    state: &'a ClusterState,
    desired: &str,
    service: Option<&str>,
    instance: Option<ContainerInstanceId>,
) -> Box<dyn Iterator<Item = &'a Task> + 'a> {
    let of_service = |service: &'a Service| service.deployments.iter().flat_map(Deployment::placed);
    let mut found: Vec<TaskId> = match (instance, service) {
        // Of those that are to stop, or have stopped, there are no such tables.
        _ if desired != DesiredStatus::Running.as_str() => return all_tasks(state),
        (Some(instance), _) => state.tasks_by_instance.get(&instance).into_iter().flatten().copied().collect(),
        (None, Some(name)) => state.services.get(name).into_iter().flat_map(of_service).collect(),
        (None, None) if state.standalone_live_count == 0 => state.services.values().flat_map(of_service).collect(),
        (None, None) => return all_tasks(state),
    };
    found.sort_unstable();
    Box::new(found.into_iter().filter_map(|id| state.tasks.get(&id).map(|record| &record.task)))
}

fn all_tasks<'a>(state: &'a ClusterState) -> Box<dyn Iterator<Item = &'a Task> + 'a> {
    Box::new(state.tasks.values().map(|record| &record.task))
}

/// ExecuteCommand. *Ours:* a WASI module has no second program to run beside the first, so there is never a session.
pub(super) fn execute_command(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let named = input.required_text("task").to_owned();
    let live = call.region.cluster(input.text("cluster").or(cluster_in(input.required_text("task"))))?;
    let status = live.cluster.read(move |state, context| find(state, context, &named).map(|task| task.last_status))?;
    match status {
        None => Err(ApiError::invalid_parameter("The referenced task was not found.")),
        Some(TaskStatus::Running) => Err(ApiError::new(
            "TargetNotConnectedException",
            "The execute command failed because tasks run as WebAssembly modules, which have no agent to connect to and no shell \
             beside the program that runs.",
        )),
        Some(_) => Err(ApiError::invalid_parameter("The execute command failed because the task is not RUNNING.")),
    }
}
