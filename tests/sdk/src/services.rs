//! A service from its creation to its end: a rolling deployment, and one that is broken and rolls back. Needs the images of `workloads`,
//! and a short `restart_delay_first`.

use aws_sdk_ecs::Client;
use aws_sdk_ecs::client::Waiters as _;
use aws_sdk_ecs::types::{
    Deployment, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentRolloutState, LaunchType, Service,
    ServiceDeployment, ServiceDeploymentStatus,
};

use crate::session::{ACCESS_KEY, PATIENCE, SECRET_KEY, client, define, network, until};

const CLUSTER: &str = "shop";
const SERVICE: &str = "web";

pub async fn run(endpoint: &str) {
    let ecs = client(endpoint, ACCESS_KEY, SECRET_KEY);
    ecs.create_cluster().cluster_name(CLUSTER).send().await.expect("it is created");
    create(&ecs).await;
    let second = roll(&ecs).await;
    break_and_roll_back(&ecs, &second).await;
    delete(&ecs).await;
}

async fn described(ecs: &Client) -> Service {
    let described = ecs.describe_services().cluster(CLUSTER).services(SERVICE).send().await.expect("it is there");
    described.services.expect("it is answered").remove(0)
}

/// The service when its only deployment, of this revision, is over.
async fn completed(ecs: &Client, revision: &str) -> Service {
    until(&format!("the deployment of {revision}"), async || {
        let service = described(ecs).await;
        let done = |deployment: &Deployment| {
            deployment.task_definition() == Some(revision)
                && deployment.rollout_state() == Some(&DeploymentRolloutState::Completed)
        };
        let is_completed = matches!(service.deployments(), [only] if done(only));
        is_completed.then_some(service)
    })
    .await
}

/// The latest service deployment when it is over.
async fn outcome(ecs: &Client) -> ServiceDeployment {
    until("the service deployment", async || {
        let listed =
            ecs.list_service_deployments().cluster(CLUSTER).service(SERVICE).send().await.expect("there are some");
        let arn = listed.service_deployments()[0].service_deployment_arn().expect("it has one");
        let described =
            ecs.describe_service_deployments().service_deployment_arns(arn).send().await.expect("it is there");
        let found = described.service_deployments.expect("it is answered").remove(0);
        let under_way = [
            ServiceDeploymentStatus::Pending,
            ServiceDeploymentStatus::InProgress,
            ServiceDeploymentStatus::RollbackRequested,
            ServiceDeploymentStatus::RollbackInProgress,
        ];
        found.status().is_some_and(|status| !under_way.contains(status)).then_some(found)
    })
    .await
}

/// It is answered before anything runs, and becomes stable.
async fn create(ecs: &Client) {
    let first = define(ecs, "web", "nginx:1.27", &[]).await;
    let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
    let created = ecs
        .create_service()
        .cluster(CLUSTER)
        .service_name(SERVICE)
        .task_definition("web")
        .desired_count(2)
        .launch_type(LaunchType::Fargate)
        .network_configuration(network())
        .deployment_configuration(DeploymentConfiguration::builder().deployment_circuit_breaker(breaker).build())
        .send()
        .await
        .expect("it is created");
    let service = created.service.expect("it is answered");
    assert_eq!((service.desired_count(), service.running_count(), service.pending_count()), (2, 0, 0));
    ecs.wait_until_services_stable()
        .cluster(CLUSTER)
        .services(SERVICE)
        .wait(PATIENCE)
        .await
        .expect("it becomes stable");
    let service = described(ecs).await;
    assert_eq!((service.running_count(), service.task_definition()), (2, Some(first.as_str())));
}

/// A new revision replaces the old one's tasks.
async fn roll(ecs: &Client) -> String {
    let second = define(ecs, "web", "httpd", &[]).await;
    let update = ecs.update_service().cluster(CLUSTER).service(SERVICE).task_definition(&second);
    let updated = update.send().await.expect("it is updated").service.expect("it is answered");
    assert_eq!(updated.deployments().len(), 2, "{updated:?}");
    let service = completed(ecs, &second).await;
    assert_eq!((service.running_count(), service.deployments()[0].failed_tasks()), (2, 0));
    let outcome = outcome(ecs).await;
    assert_eq!(outcome.status(), Some(&ServiceDeploymentStatus::Successful), "{outcome:?}");
    let tasks = ecs.list_tasks().cluster(CLUSTER).service_name(SERVICE).send().await.expect("they are there");
    let tasks = ecs.describe_tasks().cluster(CLUSTER).set_tasks(tasks.task_arns).send().await.expect("they are there");
    assert!(tasks.tasks().iter().all(|task| task.task_definition_arn() == Some(&second)), "{tasks:?}");
    second
}

/// A revision whose image nothing stands for trips the circuit breaker.
async fn break_and_roll_back(ecs: &Client, good: &str) {
    let bad = define(ecs, "web", "example.com/not/there:1", &[]).await;
    let update = ecs.update_service().cluster(CLUSTER).service(SERVICE).task_definition(&bad);
    update.send().await.expect("it is updated");
    let outcome = outcome(ecs).await;
    assert_eq!(outcome.status(), Some(&ServiceDeploymentStatus::RollbackSuccessful), "{outcome:?}");
    let rollback = outcome.rollback().and_then(|rollback| rollback.reason()).expect("it says why");
    assert!(rollback.contains("circuit breaker"), "{rollback}");
    let service = completed(ecs, good).await;
    assert_eq!((service.running_count(), service.task_definition()), (2, Some(good)));
    let failed = service.events().iter().filter_map(|event| event.message()).any(|text| text.contains("failed"));
    assert!(failed, "{:?}", service.events());
}

/// It is scaled, and deleted with what runs.
async fn delete(ecs: &Client) {
    let scale = ecs.update_service().cluster(CLUSTER).service(SERVICE).desired_count(3).send();
    scale.await.expect("it is updated");
    until("the third task", async || (described(ecs).await.running_count() == 3).then_some(())).await;
    let refused = ecs.delete_service().cluster(CLUSTER).service(SERVICE).send().await.expect_err("its tasks run");
    assert!(refused.as_service_error().is_some_and(|error| error.is_invalid_parameter_exception()), "{refused:?}");
    let deleted =
        ecs.delete_service().cluster(CLUSTER).service(SERVICE).force(true).send().await.expect("it is deleted");
    assert_eq!(deleted.service().and_then(Service::status), Some("DRAINING"));
    ecs.wait_until_services_inactive().cluster(CLUSTER).services(SERVICE).wait(PATIENCE).await.expect("it ends");
    let error = ecs.update_service().cluster(CLUSTER).service(SERVICE).send().await.expect_err("it is over");
    assert!(error.as_service_error().is_some_and(|error| error.is_service_not_active_exception()), "{error:?}");
}
