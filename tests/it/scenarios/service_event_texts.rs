//! The texts of service events, word by word: a table of what happens and what is said of it.
//!
//! What the rule book lists and is not here has no cause in Longshore: quotas of Fargate, throttling of AWS' own calls.
//!
//! **Source:** ecs-semantics §5.11.

use expect_test::expect;
use longshore::control_plane::event::{Event, OutageChange, Request, TaskProtection, UpdateService};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::service::ServiceSpec;
use longshore::model::task::HealthStatus;

use super::check;
use crate::harness::{Behaviour, End, World, latest, on_ec2, run, service, strategy};

/// A cluster with the instance I1 (two vCPUs, 8 GiB), the providers `asg`, which has none, and `scaled`, which scales up to one, and the service `web` with such keys, of
/// tasks with such keys; at 100 s.
fn cluster(service: &str, task: &str, container: &str) -> World {
    cluster_of(service, task, container, Behaviour::default())
}

fn cluster_of(service: &str, task: &str, container: &str, behaviour: Behaviour) -> World {
    let mut world = World::of_file(&format!(
        r#"
        [cluster]
        name = "test"
        [[capacity_provider]]
        name = "asg"
        auto_scaling_group = {{ instance_type = "m7i.large", min_size = 0, max_size = 1 }}
        [[capacity_provider]]
        name = "scaled"
        auto_scaling_group = {{ instance_type = "m7i.large", min_size = 0, max_size = 1 }}
        managed_scaling = {{ target_capacity = 100 }}
        [[container_instance]]
        instance_type = "m7i.large"
        [[task_definition]]
        family = "job"
        cpu = "128"
        memory = "128"
        container = [{{ name = "main", image = "../workloads/limits/spin.wat" }}]
        [[task_definition]]
        family = "web"
        {task}
          [[task_definition.container]]
          name = "main"
          image = "../workloads/limits/spin.wat"
          {container}
        [[service]]
        name = "web"
        task_definition = "web"
        {service}
        "#
    ));
    world.behave("web:1", behaviour);
    world.run_until(100);
    world
}

const SMALL: &str = "cpu = \"256\"\nmemory = \"512\"";

fn on_instance(count: u32) -> String {
    format!("desired_count = {count}\nlaunch_type = \"EC2\"\navailability_zone_rebalancing = \"DISABLED\"")
}

/// Deploys another revision of `web`, whose tasks behave so.
fn deploy(world: &mut World, behaviour: Behaviour) {
    world.behave("web:2", behaviour);
    let definition = crate::harness::task_definition("web", 256, 512);
    world.done(Request::RegisterTaskDefinition(Box::new(definition)));
    let update = UpdateService { service: "web".into(), task_definition: Some(latest("web")), ..Default::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_for(100);
}

fn set_count(world: &mut World, count: u32) {
    let update = UpdateService { service: "web".into(), desired_count: Some(count), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_for(100);
}

fn fails_to_start() -> Behaviour {
    Behaviour { end: End::FailToStart { reason: "CannotPullContainerError: none" }, ..Behaviour::default() }
}

/// A row of the table: what happens, and the text that follows the prefix.
type Row = (fn() -> World, &'static str);

const ROWS: &[Row] = &[
    // Normal activity.
    (|| cluster(&on_instance(1), SMALL, ""), "has started 1 tasks: (task T1)."),
    (|| cluster(&on_instance(2), SMALL, ""), "has started 2 tasks: (task T1) (task T2)."),
    (|| cluster(&on_instance(1), SMALL, ""), "(deployment ecs-svc/1) deployment completed."),
    (|| cluster(&on_instance(1), SMALL, ""), "has reached a steady state."),
    (
        || {
            let mut world = cluster(&on_instance(2), SMALL, "");
            set_count(&mut world, 1);
            world
        },
        "has stopped 1 running tasks: (task T2).",
    ),
    // The end of a deployment.
    (with_breaker, "(deployment ecs-svc/2) deployment failed: tasks failed to start."),
    (with_breaker, "rolling back to deployment ecs-svc/1."),
    (with_breaker, "(deployment ecs-svc/1) deployment completed."),
    // No capacity on Fargate.
    (
        || {
            let task = format!("{SMALL}\nrequires_compatibilities = [\"FARGATE\"]");
            let mut world = cluster("desired_count = 0\nlaunch_type = \"FARGATE\"", &task, "");
            let change = OutageChange::Begins;
            world.apply(Event::FargateCapacityOutage { capacity_provider: "FARGATE".into(), change });
            set_count(&mut world, 1);
            world
        },
        "was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a \
         different availability zone.",
    ),
    // No room on EC2.
    (
        || cluster(&on_instance(9), "cpu = \"1024\"\nmemory = \"512\"", ""),
        "was unable to place a task because no container instance met all of its requirements. The closest matching \
         container-instance I1 has insufficient CPU units available.",
    ),
    (
        || cluster(&on_instance(9), "cpu = \"128\"\nmemory = \"4096\"", ""),
        "was unable to place a task because no container instance met all of its requirements. The closest matching \
         container-instance I1 has insufficient memory available.",
    ),
    (
        || {
            let mut world = cluster(&on_instance(1), SMALL, "");
            world.apply(Event::AgentDisconnected { instance: ContainerInstanceId(1) });
            set_count(&mut world, 2);
            world
        },
        "was unable to place a task because no container instance met all of its requirements. The closest matching \
         container-instance I1 encountered error \"AGENT\".",
    ),
    (
        || {
            let arm = "runtime_platform = { cpu_architecture = \"ARM64\" }\n";
            cluster(&on_instance(1), &format!("{arm}{SMALL}"), "")
        },
        "was unable to place a task because no container instance met all of its requirements. The closest matching \
         container-instance I1 is missing an attribute required by your task.",
    ),
    (
        || {
            let port = "port_mappings = [{ container_port = 80, host_port = 8080 }]";
            cluster(&on_instance(2), "memory = \"512\"", port)
        },
        "was unable to place a task because no container instance met all of its requirements. The closest matching \
         container-instance I1 is already using a port required by your task.",
    ),
    (
        || {
            let constraint = "placement_constraints = [{ type = \"memberOf\", expression = \"attribute:a == b\" }]\n";
            cluster(&format!("{constraint}{}", on_instance(1)), SMALL, "")
        },
        "was unable to place a task because no container instance met all of its requirements. The closest matching \
         container-instance I1 encountered error \"MemberOf placement constraint unsatisfied\".",
    ),
    // No capacity.
    (
        || {
            let strategy = "capacity_provider_strategy = [{ capacity_provider = \"asg\", weight = 1 }]";
            cluster(&format!("desired_count = 1\n{strategy}"), SMALL, "")
        },
        "was unable to place a task because no container instance met all of its requirements. Reason: No Container \
         Instances were found in your capacity provider.",
    ),
    (
        || {
            let mut world = cluster("desired_count = 0\nlaunch_type = \"EC2\"", SMALL, "");
            world.lose_instance(ContainerInstanceId(1));
            set_count(&mut world, 1);
            world
        },
        "was unable to place a task because no container instance met all of its requirements. Reason: No Container \
         Instances were found in your cluster.",
    ),
    (
        provisioning_limit,
        "was unable to place tasks in your cluster because the tasks provisioning capacity limit was exceeded.",
    ),
    // Tasks that do not start, and bounds and protection that let nothing start or stop.
    (
        || cluster_of(&on_instance(1), SMALL, "", fails_to_start()),
        "is unable to consistently start tasks successfully.",
    ),
    (
        || {
            let bounds = "deployment_configuration = { minimum_healthy_percent = 100, maximum_percent = 150 }\n";
            let mut world = cluster(&format!("{bounds}{}", on_instance(1)), SMALL, "");
            deploy(&mut world, Behaviour::default());
            world
        },
        "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update \
         the minimumHealthyPercent or maximumPercent value and try again.",
    ),
    (
        || {
            let mut world = cluster(&on_instance(2), SMALL, "");
            let tasks = vec![TaskId(1), TaskId(2)];
            let protection = TaskProtection::Enabled { expires_in: None };
            world.done(Request::UpdateTaskProtection { tasks, protection });
            set_count(&mut world, 1);
            world
        },
        "was unable to reach steady state because task set (ecs-svc/1) was unable to scale in. Reason: The number of \
         protected tasks are more than the desired count of tasks",
    ),
    // Ours.
    (
        || {
            let check = "health_check = { command = [\"CMD\", \"check\"], retries = 1 }";
            let mut world = cluster(&on_instance(1), SMALL, check);
            world.report_health(TaskId(1), HealthStatus::Unhealthy);
            world.run_for(10);
            world
        },
        "(task T1) failed container health checks.",
    ),
];

fn with_breaker() -> World {
    let breaker = "deployment_configuration = { deployment_circuit_breaker = { enable = true, rollback = true } }\n";
    let mut world = cluster(&format!("{breaker}{}", on_instance(1)), SMALL, "");
    deploy(&mut world, fails_to_start());
    world
}

fn provisioning_limit() -> World {
    let strategy_of_service = "capacity_provider_strategy = [{ capacity_provider = \"scaled\", weight = 1 }]";
    let mut world = cluster(&format!("desired_count = 0\n{strategy_of_service}\n"), SMALL, "");
    for _ in 0..50 {
        world.run_task(run("job", 10, strategy(&[("scaled", 0, 1)])));
    }
    set_count(&mut world, 1);
    world
}

/// ecs-semantics §5.11: each text with its prefix, as a whole and once: what is said again within six hours is not repeated.
#[test]
fn service_events_say_what_ecs_says() {
    for (scenario, text) in ROWS {
        let mut world = scenario();
        world.run_for(3600);
        let said = world.service_events("web");
        let lines = said.lines().filter_map(|line| line.split_once(' '));
        let wanted = format!("(service web) {text}");
        let count = lines.filter(|(_, line)| *line == wanted).count();
        assert!(count > 0, "nothing says\n{wanted}\nbut\n{said}");
        let may_repeat = text.starts_with("has ") || text.ends_with("completed.");
        assert!(count == 1 || may_repeat, "it is said {count} times:\n{said}");
    }
}

/// ecs-semantics §5.11: what is said again within six hours is not repeated, also when something else was said meanwhile; after them it is.
#[test]
fn complaints_come_again_after_six_hours() {
    let mut world = World::of_file(
        r#"
        [cluster]
        name = "test"
        [[container_instance]]
        instance_type = "m7i.large"
        [[task_definition]]
        family = "web"
        cpu = 512
        memory = 1024
        container = [{ name = "main", image = "../workloads/limits/spin.wat" }]
        [[task_definition]]
        family = "much-cpu"
        cpu = 1800
        memory = 128
        container = [{ name = "main", image = "../workloads/limits/spin.wat" }]
        [[task_definition]]
        family = "much-memory"
        cpu = 128
        memory = 7500
        container = [{ name = "main", image = "../workloads/limits/spin.wat" }]
        "#,
    );
    world.run_until(100);
    let (cpu, _) = world.run_task(run("much-cpu", 1, on_ec2()));
    world.done(Request::CreateService(Box::new(ServiceSpec { launch_target: on_ec2(), ..service("web", 1) })));
    world.run_until(200);
    world.run_task(run("much-memory", 1, on_ec2()));
    world.done(Request::StopTask { task: cpu[0], reason: None });
    world.run_until(300);
    // There was room at no moment, and of what is lacking from here on it has complained.
    world.run_task(run("much-cpu", 1, on_ec2()));
    world.run_until(9 * 3600);
    check(
        &world.service_events("web"),
        &expect![[r#"
            100.000s (service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 has insufficient CPU units available.
            201.000s (service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 has insufficient memory available.
            21700.000s (service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 has insufficient CPU units available.
        "#]],
    );
}
