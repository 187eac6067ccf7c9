//! Instances: those of a capacity provider, of which one is drained, and one whose agent is a client. The server has a cluster `shop` from
//! a file, with a capacity provider `web` over two instances and a service `web` of two tasks on it.

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    ContainerInstance, ContainerInstanceStatus, DeploymentRolloutState, LaunchType, PlacementConstraint,
    PlacementConstraintType,
};

use crate::session::{ACCESS_KEY, SECRET_KEY, client, define, until};

const CLUSTER: &str = "shop";

pub async fn run(endpoint: &str) {
    let ecs = client(endpoint, ACCESS_KEY, SECRET_KEY);
    drain(&ecs).await;
    play_the_agent(&ecs).await;
}

async fn instances(ecs: &Client) -> Vec<ContainerInstance> {
    let listed = ecs.list_container_instances().cluster(CLUSTER).send().await.expect("it is answered");
    if listed.container_instance_arns().is_empty() {
        return Vec::new();
    }
    let named =
        ecs.describe_container_instances().cluster(CLUSTER).set_container_instances(listed.container_instance_arns);
    named.send().await.expect("they are there").container_instances.expect("they are answered")
}

/// A drained instance loses its tasks, and the service keeps its count elsewhere.
async fn drain(ecs: &Client) {
    let providers = ecs.describe_capacity_providers().capacity_providers("web").send().await.expect("it is answered");
    assert_eq!(providers.capacity_providers()[0].name(), Some("web"));
    // Tasks that do not count as healthy yet could be spared. Where they are is decided by which instance comes first.
    let busy = until("two instances and two healthy tasks", async || {
        let service = ecs.describe_services().cluster(CLUSTER).services("web").send().await.expect("it is there");
        if service.services()[0].deployments()[0].rollout_state() != Some(&DeploymentRolloutState::Completed) {
            return None;
        }
        let all = instances(ecs).await;
        let running: i32 = all.iter().map(|one| one.running_tasks_count()).sum();
        let busy = all.iter().find(|one| one.running_tasks_count() > 0).cloned();
        busy.filter(|_| all.len() == 2 && running == 2)
    })
    .await;
    assert_eq!(busy.capacity_provider_name(), Some("web"));
    let drained = busy.container_instance_arn().expect("it has one").to_owned();
    let update = ecs.update_container_instances_state().cluster(CLUSTER).container_instances(&drained);
    let updated = update.status(ContainerInstanceStatus::Draining).send().await.expect("it is there");
    assert_eq!(updated.container_instances()[0].status(), Some("DRAINING"));
    until("both tasks on the other instance", async || {
        let service = ecs.describe_services().cluster(CLUSTER).services("web").send().await.expect("it is there");
        assert!(service.services()[0].running_count() >= 2, "draining takes no more than the service can spare");
        let all = instances(ecs).await;
        let moved = |one: &ContainerInstance| {
            let wanted = if one.container_instance_arn() == Some(&drained) { 0 } else { 2 };
            one.running_tasks_count() == wanted
        };
        all.iter().all(moved).then_some(())
    })
    .await;
}

/// A task on an instance from outside waits for what its agent submits.
async fn play_the_agent(ecs: &Client) {
    let document = r#"{"instanceId": "i-0abc", "instanceType": "m7i.large", "availabilityZone": "us-east-1b"}"#;
    let register = ecs.register_container_instance().cluster(CLUSTER).instance_identity_document(document);
    let registered = register.send().await.expect("it is registered").container_instance.expect("it is answered");
    let instance = registered.container_instance_arn().expect("it has one");
    define(ecs, "outside", "anything", &[]).await;
    let there = PlacementConstraint::builder()
        .r#type(PlacementConstraintType::MemberOf)
        .expression("ec2InstanceId == i-0abc")
        .build();
    let run = ecs.run_task().cluster(CLUSTER).task_definition("outside").launch_type(LaunchType::Ec2);
    let started = run.placement_constraints(there).send().await.expect("it is started");
    assert!(started.failures().is_empty(), "{:?}", started.failures());
    let task = &started.tasks()[0];
    assert_eq!(task.container_instance_arn(), Some(instance));
    let task = task.task_arn().expect("it has one");
    let status = async || {
        let described = ecs.describe_tasks().cluster(CLUSTER).tasks(task).send().await.expect("it is there");
        let task = &described.tasks()[0];
        (task.last_status().expect("it has one").to_owned(), task.containers()[0].exit_code())
    };
    assert_eq!(status().await, ("PENDING".to_owned(), None));
    let submit = |status: &str| ecs.submit_task_state_change().cluster(CLUSTER).task(task).status(status).send();
    submit("RUNNING").await.expect("it is taken");
    assert_eq!(status().await, ("RUNNING".to_owned(), None));
    let container = ecs.submit_container_state_change().cluster(CLUSTER).task(task).container_name("main");
    container.status("STOPPED").exit_code(7).send().await.expect("it is taken");
    submit("STOPPED").await.expect("it is taken");
    assert_eq!(status().await, ("STOPPED".to_owned(), Some(7)));
    let gone = ecs.deregister_container_instance().cluster(CLUSTER).container_instance(instance).send().await;
    let gone = gone.expect("nothing runs on it").container_instance.expect("it is answered");
    assert_eq!(gone.status(), Some("INACTIVE"));
}
