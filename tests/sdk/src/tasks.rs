//! Tasks that end by themselves and tasks that are stopped; calls that happen once; typed errors. Needs the images of `workloads`.

use std::collections::BTreeSet;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::client::Waiters as _;
use aws_sdk_ecs::types::{DesiredStatus, LaunchType, Tag, Task, TaskField, TaskStopCode};

use crate::session::{ACCESS_KEY, PATIENCE, SECRET_KEY, client, define, network};

const CLUSTER: &str = "shop";

pub async fn run(endpoint: &str) {
    let ecs = client(endpoint, ACCESS_KEY, SECRET_KEY);
    let created = ecs.create_cluster().cluster_name(CLUSTER).send().await.expect("it is created");
    let cluster = created.cluster.expect("it is answered");
    assert_eq!(cluster.status(), Some("ACTIVE"));
    assert_eq!(cluster.cluster_arn(), Some("arn:aws:ecs:us-east-1:123456789012:cluster/shop"));
    ends_by_itself(&ecs).await;
    is_stopped(&ecs).await;
    happens_once(&ecs).await;
    errors(&ecs).await;
    ecs.delete_cluster().cluster(CLUSTER).send().await.expect("nothing is in it any more");
}

async fn start(ecs: &Client, family: &str, count: i32, token: &str) -> Vec<Task> {
    let started = ecs
        .run_task()
        .cluster(CLUSTER)
        .task_definition(family)
        .launch_type(LaunchType::Fargate)
        .network_configuration(network())
        .count(count)
        .client_token(token)
        .tags(Tag::builder().key("team").value("a").build())
        .enable_ecs_managed_tags(true)
        .send()
        .await
        .expect("it is started");
    assert!(started.failures().is_empty(), "{:?}", started.failures());
    started.tasks.expect("it is answered")
}

fn arns(tasks: &[Task]) -> Vec<String> {
    tasks.iter().map(|task| task.task_arn().expect("it has one").to_owned()).collect()
}

async fn described(ecs: &Client, tasks: &[String]) -> Vec<Task> {
    let described = ecs.describe_tasks().cluster(CLUSTER).set_tasks(Some(tasks.to_vec())).include(TaskField::Tags);
    described.send().await.expect("they are there").tasks.expect("they are answered")
}

async fn wait_until_stopped(ecs: &Client, tasks: &[String]) {
    let waiter = ecs.wait_until_tasks_stopped().cluster(CLUSTER).set_tasks(Some(tasks.to_vec()));
    waiter.wait(PATIENCE).await.expect("they stop");
}

/// Its exit code is seen.
async fn ends_by_itself(ecs: &Client) {
    define(ecs, "exits", "busybox", &["sh", "-c", "echo hello && exit 3"]).await;
    let started = start(ecs, "exits", 1, "exits").await;
    assert!(matches!(started[0].last_status(), Some("PROVISIONING" | "PENDING")), "{started:?}");
    assert!(started[0].created_at().is_some());
    let tasks = arns(&started);
    wait_until_stopped(ecs, &tasks).await;
    let task = &described(ecs, &tasks).await[0];
    assert_eq!(task.stop_code(), Some(&TaskStopCode::EssentialContainerExited), "{task:?}");
    assert_eq!(task.containers()[0].exit_code(), Some(3), "{task:?}");
    assert!(task.started_at().is_some() && task.stopped_at() >= task.started_at(), "{task:?}");
    let tags: Vec<_> =
        task.tags().iter().map(|tag| (tag.key().unwrap_or_default(), tag.value().unwrap_or_default())).collect();
    assert_eq!(tags, [("aws:ecs:clusterName", CLUSTER), ("team", "a")]);
}

/// Two of them, page by page.
async fn is_stopped(ecs: &Client) {
    define(ecs, "sleeps", "public.ecr.aws/docker/library/alpine:3.20", &["sleep", "300"]).await;
    let tasks = arns(&start(ecs, "sleeps", 2, "sleeps").await);
    let waiter = ecs.wait_until_tasks_running().cluster(CLUSTER).set_tasks(Some(tasks.clone()));
    waiter.wait(PATIENCE).await.expect("they run");
    let mut pages = ecs.list_tasks().cluster(CLUSTER).family("sleeps").into_paginator().page_size(1).send();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("there is one");
        assert!(page.task_arns().len() <= 1, "{page:?}");
        listed.extend(page.task_arns().to_vec());
    }
    assert_eq!(BTreeSet::from_iter(&listed), BTreeSet::from_iter(&tasks));
    for task in &tasks {
        let stopped = ecs.stop_task().cluster(CLUSTER).task(task).reason("enough").send().await.expect("it is there");
        assert_eq!(stopped.task().and_then(Task::desired_status), Some("STOPPED"));
    }
    wait_until_stopped(ecs, &tasks).await;
    for task in described(ecs, &tasks).await {
        assert_eq!((task.stop_code(), task.stopped_reason()), (Some(&TaskStopCode::UserInitiated), Some("enough")));
        assert_eq!(task.containers()[0].exit_code(), Some(143), "{task:?}");
    }
    let stopped =
        ecs.list_tasks().cluster(CLUSTER).desired_status(DesiredStatus::Stopped).send().await.expect("they are shown");
    assert_eq!(stopped.task_arns().len(), 3);
}

/// A client token makes a call happen once.
async fn happens_once(ecs: &Client) {
    let again = arns(&start(ecs, "exits", 1, "exits").await);
    let first = described(ecs, &again).await;
    assert_eq!(first[0].last_status(), Some("STOPPED"), "the call happened again: {first:?}");
    let other = ecs.run_task().cluster(CLUSTER).task_definition("exits").client_token("exits").send().await;
    let error = other.expect_err("the token is another call's");
    let conflict = match error.as_service_error() {
        Some(aws_sdk_ecs::operation::run_task::RunTaskError::ConflictException(conflict)) => conflict,
        other => panic!("{other:?}"),
    };
    assert_eq!(conflict.resource_ids(), again);
}

/// Errors are those of the model.
async fn errors(ecs: &Client) {
    let error = ecs.describe_tasks().cluster("none").tasks("x").send().await.expect_err("there is no such cluster");
    let error = error.as_service_error().expect("the service says so");
    assert!(error.is_cluster_not_found_exception(), "{error:?}");
    assert_eq!(error.meta().message(), Some("Cluster not found."));
    let error = ecs.run_task().cluster(CLUSTER).task_definition("none").send().await.expect_err("there is none");
    assert!(error.as_service_error().is_some_and(|error| error.is_client_exception()), "{error:?}");
    let error =
        ecs.stop_task().cluster(CLUSTER).task("0123456789abcdef0123456789abcdef").send().await.expect_err("nor this");
    assert!(error.as_service_error().is_some_and(|error| error.is_invalid_parameter_exception()), "{error:?}");
    let error = ecs.update_service().cluster(CLUSTER).service("none").send().await.expect_err("nor this");
    assert!(error.as_service_error().is_some_and(|error| error.is_service_not_found_exception()), "{error:?}");
    let missing = ecs.describe_tasks().cluster(CLUSTER).tasks("none").send().await.expect("it is answered");
    assert_eq!(missing.failures()[0].reason(), Some("MISSING"));
}
