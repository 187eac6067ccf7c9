//! Where tasks go and where they do not: constraints, attributes, ports, strategies, daemons, zones.

use std::sync::Arc;

use expect_test::expect;
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::action::Response;
use longshore::control_plane::event::{Deletion, InstanceAttribute, Request, TaskProtection, UpdateService};
use longshore::model::capacity::ContainerInstanceStatus;
use longshore::model::cluster::{RunTaskSpec, StartTaskSpec};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::rng::{RandomStream, Stream};
use longshore::model::service::{AvailabilityZoneRebalancing, DeploymentConfiguration, PlacementConstraint};
use longshore::model::task::{ContainerOverride, DesiredStatus, TaskOverrides, TaskStatus};
use longshore::model::units::{CpuUnits, MemoryMib};

use super::check;
use crate::harness::{Behaviour, World, instance_launch, latest, on_ec2, on_fargate, run, secs, strategy};

/// Six instances of two vCPUs and 8 GiB: two a zone, the second of each with `disk = ssd`.
const SIX: &str = r#"
[[container_instance]]
name = "a1"
instance_type = "m7i.large"
availability_zone = "us-east-1a"
[[container_instance]]
instance_type = "m7i.large"
availability_zone = "us-east-1a"
attributes = { disk = "ssd", rack = "r1" }
[[container_instance]]
name = "b1"
instance_type = "m7i.large"
availability_zone = "us-east-1b"
[[container_instance]]
instance_type = "m7g.large"
availability_zone = "us-east-1b"
attributes = { disk = "ssd", rack = "r2" }
[[container_instance]]
instance_type = "m7i.large"
availability_zone = "us-east-1c"
[[container_instance]]
instance_type = "m7g.large"
availability_zone = "us-east-1c"
attributes = { disk = "ssd" }
[[task_definition]]
family = "app"
cpu = 512
memory = 512
container = [{ name = "app", image = "../workloads/limits/spin.wat" }]
"#;

fn definition(family: &str, cpu: u32, more: &str) -> String {
    format!(
        "[[task_definition]]\nfamily = \"{family}\"\ncpu = {cpu}\nmemory = 512\n{more}\n\
         container = [{{ name = \"{family}\", image = \"../workloads/limits/spin.wat\" }}]\n"
    )
}

/// A world of the six instances and what else a file says, with its services created when all instances have registered.
#[track_caller]
fn world(more: &str) -> World {
    world_of(&format!("{SIX}{}", more.replace("desired =", "launch_type = \"EC2\"\ndesired_count =")))
}

#[track_caller]
fn world_of(text: &str) -> World {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    let spec = ClusterFile::parse(text, &path, &Catalog::embedded());
    let mut spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    let services = std::mem::take(&mut spec.services);
    let mut world = World::new(&spec);
    world.run_until(100);
    for service in services {
        world.done(Request::CreateService(Box::new(service)));
    }
    world.run_until(200);
    world
}

/// The instances of a group's live tasks, as `I2 I4 I4`.
fn hosts(world: &World, group: &str) -> String {
    let tasks = world.plane.state().tasks.values().map(|record| &record.task);
    let live = tasks.filter(|task| &*task.group == group && task.holds_resources());
    let mut hosts: Vec<u64> = live.filter_map(|task| task.container_instance).map(|instance| instance.0).collect();
    hosts.sort_unstable();
    hosts.iter().map(|host| format!("I{host}")).collect::<Vec<_>>().join(" ")
}

fn member_of(expression: &str) -> PlacementConstraint {
    let query = longshore::model::cluster_query::ClusterQuery::parse(expression).unwrap();
    PlacementConstraint::MemberOf(std::sync::Arc::new(query))
}

fn run_where(family: &str, count: u32, constraints: &[&str]) -> RunTaskSpec {
    let placement_constraints = constraints.iter().map(|expression| member_of(expression)).collect();
    RunTaskSpec { placement_constraints, ..run(family, count, on_ec2()) }
}

fn put(world: &mut World, instance: u64, name: &str, value: &str) {
    let attribute = InstanceAttribute {
        instance: ContainerInstanceId(instance),
        name: name.to_owned(),
        value: Some(value.to_owned()),
    };
    world.done(Request::PutAttributes(vec![attribute]));
}

/// ecs-semantics §4.1, §4.3: a task definition's constraints and a service's are both binding.
#[test]
fn constraints_of_definition_and_service_are_anded() {
    let more = definition(
        "ssd",
        512,
        "placement_constraints = [{ type = \"memberOf\", expression = \"attribute:disk == ssd\" }]",
    );
    let world = world(&format!(
        "{more}[[service]]\nname = \"web\"\ntask_definition = \"ssd\"\ndesired = 4\nplacement_constraints = \
         [{{ type = \"memberOf\", expression = \"attribute:ecs.availability-zone in [us-east-1a, us-east-1b]\" }}]\n"
    ));
    assert_eq!(hosts(&world, "service:web"), "I2 I2 I4 I4");
}

/// ecs-semantics §4.4: every subject in a constraint, and §4.5: what is said of those that do not match.
#[test]
fn member_of_chooses_and_says_why_not() {
    let mut world = world("");
    let placed = |world: &mut World, expression: &str| {
        let (tasks, failures) = world.run_task(run_where("app", 1, &[expression]));
        let task = tasks.first().and_then(|task| world.plane.state().tasks[task].task.container_instance);
        task.map_or_else(|| failures.join("\n"), |instance| format!("I{instance}"))
    };
    assert_eq!(placed(&mut world, "attribute:rack == r2"), "I4");
    assert_eq!(
        placed(&mut world, "attribute:ecs.instance-type =~ m7g.* and attribute:ecs.availability-zone =~ .*c"),
        "I6"
    );
    assert_eq!(placed(&mut world, "task:group == family:app and attribute:disk != ssd"), {
        "I1 MemberOf placement constraint unsatisfied: `task:group == family:app and attribute:disk != ssd` is not true of it\n\
         I2 MemberOf placement constraint unsatisfied: `task:group == family:app and attribute:disk != ssd` is not true of it\n\
         I3 MemberOf placement constraint unsatisfied: `task:group == family:app and attribute:disk != ssd` is not true of it\n\
         I4 MemberOf placement constraint unsatisfied: `task:group == family:app and attribute:disk != ssd` is not true of it\n\
         I5 MemberOf placement constraint unsatisfied: `task:group == family:app and attribute:disk != ssd` is not true of it\n\
         I6 MemberOf placement constraint unsatisfied: `task:group == family:app and attribute:disk != ssd` is not true of it"
    });
    assert_eq!(placed(&mut world, "task:group == family:app and attribute:rack exists"), "I4");
    assert_eq!(placed(&mut world, "runningTasksCount > 1"), "I4");
    assert_eq!(placed(&mut world, "not(task:group == family:app) and attribute:disk == ssd"), "I2");
    let first = world.plane.ids().ec2_instance(ContainerInstanceId(1));
    assert_eq!(placed(&mut world, &format!("ec2InstanceId == {first} && agentConnected == true")), "I1");
    assert_eq!(placed(&mut world, "agentVersion >= 1.2 && registeredAt >= 1970-01-01 && attribute:rack == r1"), "I2");
}

/// ecs-semantics §4.3: a running task is not moved when attributes change; who waits for them is placed.
#[test]
fn attributes_let_a_waiting_service_start_and_move_nothing() {
    let mut world = world(
        "[[service]]\nname = \"gpu\"\ntask_definition = \"app\"\ndesired = 1\nplacement_constraints = \
         [{ type = \"memberOf\", expression = \"attribute:gpu exists\" }]\n",
    );
    put(&mut world, 5, "gpu", "true");
    assert_eq!(hosts(&world, "service:gpu"), "I5");
    let attribute = InstanceAttribute { instance: ContainerInstanceId(5), name: "gpu".to_owned(), value: None };
    let deleted = world.done(Request::DeleteAttributes(vec![attribute.clone()]));
    assert_eq!(deleted, Response::Attributes(vec![attribute]));
    world.run_until(400);
    assert_eq!(hosts(&world, "service:gpu"), "I5");
    check(
        &world.service_events("gpu"),
        &expect![[r#"
            100.000s (service gpu) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 encountered error "MemberOf placement constraint unsatisfied".
            200.000s (service gpu) has started 1 tasks: (task T1).
            241.000s (service gpu) (deployment ecs-svc/1) deployment completed.
            241.000s (service gpu) has reached a steady state.
        "#]],
    );
}

/// ecs-semantics §1.3, §3.5: limits and names of attributes, and what instances have of their own.
#[test]
fn attributes_have_limits() {
    let mut world = world("");
    let many = |count: u32| {
        let attribute = |number| InstanceAttribute {
            instance: ContainerInstanceId(1),
            name: format!("a{number}"),
            value: Some("x".to_owned()),
        };
        (0..count).map(attribute).collect::<Vec<_>>()
    };
    let mut refused = |attributes: Vec<InstanceAttribute>| {
        let error = world.request(Request::PutAttributes(attributes)).unwrap_err();
        format!("{}: {error}\n", error.exception())
    };
    let one = |instance: u64, name: &str, value: &str| {
        vec![InstanceAttribute {
            instance: ContainerInstanceId(instance),
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }]
    };
    let mut all = refused(many(11));
    all += &refused(one(1, "ecs.os-type", "windows"));
    all += &refused(one(1, "a b", "x"));
    all += &refused(one(1, "a", " x"));
    all += &refused(one(99, "a", "x"));
    all += &refused(Vec::new());
    check(
        &all,
        &expect![[r#"
        InvalidParameterException: 11 attributes: 1 to 10 at once
        InvalidParameterException: attribute ecs.os-type is one that ECS sets itself
        InvalidParameterException: attribute "a b" is not valid: 1 to 128 letters, digits and - _ / \ .
        InvalidParameterException: attribute value " x" is not valid: 1 to 128 letters, digits, spaces inside and - _ / \ . @ :
        TargetNotFoundException: The specified target wasn't found.
        InvalidParameterException: 0 attributes: 1 to 10 at once
    "#]],
    );
    world.done(Request::PutAttributes(many(10)));
    let error = world.request(Request::PutAttributes(one(1, "b", "x"))).unwrap_err();
    assert_eq!(error.exception(), "AttributeLimitExceededException");
    let state = world.plane.state();
    let shown = |attribute: InstanceAttribute| {
        format!("I{} {} {}\n", attribute.instance, attribute.name, attribute.value.unwrap_or_default())
    };
    let own = state.list_attributes(None, None).into_iter().filter(|attribute| attribute.instance.0 == 2).map(shown);
    check(
        &own.collect::<String>(),
        &expect![[r#"
        I2 com.amazonaws.ecs.capability.docker-remote-api.1.44 
        I2 com.amazonaws.ecs.capability.logging-driver.json-file 
        I2 disk ssd
        I2 ecs.ami-id ami-00000000000000086
        I2 ecs.availability-zone us-east-1a
        I2 ecs.capability.container-health-check 
        I2 ecs.capability.container-ordering 
        I2 ecs.capability.container-restart-policy 
        I2 ecs.capability.env-files.s3 
        I2 ecs.capability.task-cpu-mem-limit 
        I2 ecs.cpu-architecture x86_64
        I2 ecs.instance-type m7i.large
        I2 ecs.os-family LINUX
        I2 ecs.os-type linux
        I2 rack r1
    "#]],
    );
    assert_eq!(state.list_attributes(Some("disk"), Some("ssd")).len(), 3);
}

/// ecs-semantics §4.1, §4.5: an attribute that a definition requires is `ATTRIBUTE`, and the event says it in ECS' words.
#[test]
fn required_attributes_are_binding() {
    let mut world = world(&format!(
        "{}{}[[service]]\nname = \"arm\"\ntask_definition = \"arm\"\ndesired = 2\n",
        definition("arm", 512, "runtime_platform = { cpu_architecture = \"ARM64\" }"),
        definition("large", 2048, "runtime_platform = { cpu_architecture = \"ARM64\" }"),
    ));
    assert_eq!(hosts(&world, "service:arm"), "I4 I6");
    let (_, failures) = world.run_task(run("large", 1, on_ec2()));
    check(
        &failures.join("\n"),
        &expect![[r#"
        I1 ATTRIBUTE: ecs.cpu-architecture is x86_64 and arm64 is required
        I2 ATTRIBUTE: ecs.cpu-architecture is x86_64 and arm64 is required
        I3 ATTRIBUTE: ecs.cpu-architecture is x86_64 and arm64 is required
        I4 RESOURCE:CPU: 2048 CPU units are needed and 1536 are left
        I5 ATTRIBUTE: ecs.cpu-architecture is x86_64 and arm64 is required
        I6 RESOURCE:CPU: 2048 CPU units are needed and 1536 are left"#]],
    );
    world.done(Request::TerminateInstance(ContainerInstanceId(4)));
    world.done(Request::TerminateInstance(ContainerInstanceId(6)));
    world.run_until(300);
    check(
        &world.service_events("arm"),
        &expect![[r#"
        100.000s (service arm) has started 2 tasks: (task T1) (task T2).
        141.000s (service arm) (deployment ecs-svc/1) deployment completed.
        141.000s (service arm) has reached a steady state.
        200.000s (service arm) has started 1 tasks: (task T3).
        200.000s (service arm) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 is missing an attribute required by your task.
    "#]],
    );
}

/// ecs-semantics §3.1, §4.5: a host port is given once an instance; a dynamic one never counts.
#[test]
fn host_ports_are_a_resource() {
    let ports = |family: &str, port: u32| {
        format!(
            "[[task_definition]]\nfamily = \"{family}\"\nmemory = 128\ncontainer = [{{ name = \"main\", image = \
             \"../workloads/limits/spin.wat\", port_mappings = [{{ container_port = 80, host_port = {port} }}] }}]\n"
        )
    };
    let mut world = world(&format!(
        "{}{}[[service]]\nname = \"fixed\"\ntask_definition = \"fixed\"\ndesired = 8\n",
        ports("fixed", 8080),
        ports("dynamic", 0)
    ));
    assert_eq!(hosts(&world, "service:fixed"), "I1 I2 I3 I4 I5 I6");
    let (tasks, failures) = world.run_task(run("dynamic", 10, on_ec2()));
    assert_eq!((tasks.len(), failures.len()), (10, 0));
    let (_, failures) = world.run_task(run("fixed", 1, on_ec2()));
    assert_eq!(failures[0], "I1 RESOURCE:PORTS: host ports in use: 8080");
    check(
        &world.service_events("fixed"),
        &expect![[r#"
        100.000s (service fixed) has started 6 tasks: (task T1) (task T2) (task T3) (task T4) (task T5) (task T6).
        100.000s (service fixed) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 is already using a port required by your task.
    "#]],
    );
}

/// ecs-semantics §1.5, §4.1, §4.5: GPUs are given to containers whole. A task takes those of all of its containers, an instance that
/// has too few left is `RESOURCE:GPU`, and one that wants none may be anywhere. Fargate has none.
#[test]
fn gpus_are_a_resource() {
    let mut world = world_of(
        r#"
        [[container_instance]]
        instance_type = "m7i.large"
        availability_zone = "us-east-1a"
        [[container_instance]]
        instance_type = "g4dn.xlarge"
        availability_zone = "us-east-1a"
        [[container_instance]]
        instance_type = "g4dn.12xlarge"
        availability_zone = "us-east-1a"
        [[task_definition]]
        family = "train"
        memory = 512
        container = [
            { name = "a", image = "../workloads/limits/spin.wat", resource_requirements = [{ type = "GPU", value = "1" }] },
            { name = "b", image = "../workloads/limits/spin.wat", resource_requirements = [{ type = "GPU", value = 1 }] },
        ]
        [[task_definition]]
        family = "plain"
        memory = 512
        container = [{ name = "a", image = "../workloads/limits/spin.wat" }]
        [[service]]
        name = "train"
        task_definition = "train"
        launch_type = "EC2"
        desired_count = 3
        "#,
    );
    assert_eq!(hosts(&world, "service:train"), "I3 I3");
    check(
        &world.service_events("train"),
        &expect![[r#"
        100.000s (service train) has started 2 tasks: (task T1) (task T2).
        100.000s (service train) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I1 encountered error "RESOURCE:GPU".
    "#]],
    );
    let (_, failures) = world.run_task(run("train", 1, on_ec2()));
    check(
        &failures.join("\n"),
        &expect![[r#"
        I1 RESOURCE:GPU: 2 GPUs are needed and 0 are left
        I2 RESOURCE:GPU: 2 GPUs are needed and 1 are left
        I3 RESOURCE:GPU: 2 GPUs are needed and 0 are left"#]],
    );
    let (tasks, _) = world.run_task(run("plain", 10, on_ec2()));
    assert_eq!(tasks.len(), 10);
    world.done(Request::StopTask { task: TaskId(1), reason: None });
    world.run_for(100);
    assert_eq!(hosts(&world, "service:train"), "I3 I3", "what a task gives back is taken again");
    let with_a_gpu = || {
        let change = ContainerOverride { gpus: Some(1), ..ContainerOverride::default() };
        let overrides = TaskOverrides { containers: [("a".to_owned(), change)].into(), ..TaskOverrides::default() };
        RunTaskSpec { overrides: Arc::new(overrides), ..run("plain", 1, on_ec2()) }
    };
    let (tasks, _) = world.run_task(with_a_gpu());
    let host = tasks.first().and_then(|task| world.plane.state().tasks[task].task.container_instance);
    assert_eq!(host, Some(ContainerInstanceId(2)), "a request may want GPUs that the definition does not");
    let (_, failures) = world.run_task(with_a_gpu());
    check(
        &failures.join("\n"),
        &expect![[r#"
        I1 RESOURCE:GPU: 1 GPUs are needed and 0 are left
        I2 RESOURCE:GPU: 1 GPUs are needed and 0 are left
        I3 RESOURCE:GPU: 1 GPUs are needed and 0 are left"#]],
    );
    let refused = world.request(Request::RunTask(Box::new(RunTaskSpec {
        overrides: Arc::new(TaskOverrides {
            cpu: Some(CpuUnits(256)),
            memory: Some(MemoryMib(512)),
            ..TaskOverrides::default()
        }),
        ..run("train", 1, on_fargate())
    })));
    assert_eq!(refused.expect_err("there are none").to_string(), "Fargate does not support GPU resource requirements.");
}

/// The GPUs of a task, container by container, as their places among its instance's.
fn gpus(world: &World, task: u64) -> Vec<Vec<usize>> {
    let (state, ids) = (world.plane.state(), world.plane.ids());
    let task = &state.tasks[&TaskId(task)].task;
    let instance = &state.container_instances[&task.container_instance.expect("it is placed")];
    let all = instance.gpu_ids(ids);
    let place = |gpu: &str| all.iter().position(|own| own == gpu).expect("it is one of its instance");
    task.containers.iter().map(|container| container.gpu_ids().map(place).collect()).collect()
}

/// ecs-semantics §11.6: each container has GPUs of its own by id, which nobody else has until its task is over; those of a task that is
/// stopping are not free yet.
#[test]
fn gpus_have_ids() {
    let mut world = world_of(
        r#"
        [[container_instance]]
        instance_type = "g4dn.12xlarge"
        availability_zone = "us-east-1a"
        [[task_definition]]
        family = "train"
        memory = 512
        container = [
            { name = "a", image = "../workloads/limits/spin.wat", resource_requirements = [{ type = "GPU", value = "1" }] },
            { name = "b", image = "../workloads/limits/spin.wat" },
        ]
        "#,
    );
    world.behave("train", Behaviour { stop: secs(20), ..Behaviour::default() });
    world.run_task(run("train", 2, on_ec2()));
    let change = ContainerOverride { gpus: Some(2), ..ContainerOverride::default() };
    let overrides = TaskOverrides { containers: [("b".to_owned(), change)].into(), ..TaskOverrides::default() };
    world.run_for(10);
    world.done(Request::StopTask { task: TaskId(1), reason: None });
    world.run_task(RunTaskSpec { overrides: Arc::new(overrides.clone()), ..run("train", 1, on_ec2()) });
    assert_eq!(world.plane.state().tasks.len(), 2, "one GPU of three is not free yet");
    world.run_for(30);
    world.run_task(RunTaskSpec { overrides: Arc::new(overrides), ..run("train", 1, on_ec2()) });
    let last = world.plane.state().tasks.keys().last().expect("it was placed");
    assert_eq!(gpus(&world, 1), [vec![0], vec![]], "it is still known what it had");
    assert_eq!((gpus(&world, 2), gpus(&world, last.0)), (vec![vec![1], vec![]], vec![vec![0], vec![2, 3]]));
    let ids = world.plane.state().container_instances.values().next().expect("there is one").gpu_ids(world.plane.ids());
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert!(distinct.len() == 4 && ids.iter().all(|id| id.len() == 40 && id.starts_with("GPU-")), "{ids:?}");
}

/// ecs-semantics §11.6: no two tasks have a GPU in common, whatever starts, stops and fails in between. Method: drawn steps, each with the
/// invariants behind it.
#[test]
fn gpus_are_never_shared() {
    let mut world = world_of(
        r#"
        [[capacity_provider]]
        name = "gpu"
        auto_scaling_group = { instance_type = "g4dn.12xlarge", min_size = 2, max_size = 4 }
        [[task_definition]]
        family = "one"
        memory = 512
        container = [{ name = "a", image = "../workloads/limits/spin.wat", resource_requirements = [{ type = "GPU", value = 1 }] }]
        [[task_definition]]
        family = "three"
        memory = 512
        container = [
            { name = "a", image = "../workloads/limits/spin.wat", resource_requirements = [{ type = "GPU", value = 2 }] },
            { name = "b", image = "../workloads/limits/spin.wat", resource_requirements = [{ type = "GPU", value = 1 }] },
        ]
        "#,
    );
    world.behave("one", Behaviour { stop: secs(15), ..Behaviour::default() });
    let mut rng = RandomStream::new(11, Stream::Work);
    let mut most = 0;
    for _ in 0..400 {
        let live: Vec<TaskId> = world
            .plane
            .state()
            .tasks
            .values()
            .filter(|record| record.task.holds_resources())
            .map(|found| found.task.id)
            .collect();
        most = most.max(live.len());
        let drawn = |rng: &mut RandomStream| usize::try_from(rng.below(live.len() as u64)).expect("a place");
        match rng.below(8) {
            0 if !live.is_empty() => world.crash(live[drawn(&mut rng)], 1),
            1 | 2 if !live.is_empty() => {
                let task = live[drawn(&mut rng)];
                world.done(Request::StopTask { task, reason: None });
            }
            3 if rng.below(8) == 0 => {
                let instance = world.plane.state().live_instances().next().expect("the group has two").id;
                world.lose_instance(instance);
            }
            4 => drop(world.run_task(run("three", 1, on_ec2()))),
            _ => drop(world.run_task(run("one", 1, on_ec2()))),
        }
        world.run_for(3);
        world.plane.state().check_invariants(world.plane.ids());
    }
    assert!(most >= 5, "{most} tasks at once");
}

/// ecs-semantics §4.5, §6.3: a task of network mode `awsvpc` takes a network interface of its instance, which keeps one for itself: two of
/// three on an m7i.large. Without one left it is `RESOURCE:ENI`, and a group under managed scaling grows by as many instances as that takes.
#[test]
fn network_interfaces_are_a_resource() {
    let awsvpc = definition("own", 128, "network_mode = \"awsvpc\"");
    let mut world = world(&awsvpc);
    let (tasks, failures) = world.run_task(run("own", 13, on_ec2()));
    assert_eq!(tasks.len(), 12);
    check(&failures[0], &expect!["I1 RESOURCE:ENI: a network interface is needed and 0 are left"]);
    let (tasks, _) = world.run_task(run("app", 6, on_ec2()));
    assert_eq!(tasks.len(), 6, "the others have no need of one");
    world.done(Request::StopTask { task: TaskId(3), reason: None });
    world.run_for(100);
    let (tasks, _) = world.run_task(run("own", 2, on_ec2()));
    assert_eq!(tasks.len(), 1);

    let group = r#"
        [[capacity_provider]]
        name = "asg"
        auto_scaling_group = { instance_type = "m7i.large", min_size = 0, max_size = 20 }
        managed_scaling = { target_capacity = 100 }
    "#;
    for (family, expected) in [("own", 5), ("shared", 2)] {
        let mut world = world_of(&format!("{group}{awsvpc}{}", definition("shared", 128, "")));
        world.run_task(run(family, 10, strategy(&[("asg", 0, 1)])));
        world.run_until(700);
        assert_eq!(world.plane.state().capacity_providers["asg"].desired_capacity, expected, "for {family}");
    }
}

/// ecs-semantics §4.2: each strategy in the file, alone and chained; instances without an attribute are a bucket of their own.
#[test]
fn strategies_place_as_they_say() {
    let strategies = [
        ("binpack", "[{ type = \"binpack\", field = \"cpu\" }]"),
        ("instances", "[{ type = \"spread\", field = \"instanceId\" }]"),
        (
            "zones",
            "[{ type = \"spread\", field = \"attribute:ecs.availability-zone\" }, { type = \"binpack\", field = \"memory\" }]",
        ),
        ("racks", "[{ type = \"spread\", field = \"attribute:rack\" }]"),
        (
            "overlap",
            "[{ type = \"spread\", field = \"attribute:ecs.availability-zone\" }, { type = \"spread\", field = \"attribute:disk\" }, { type = \"spread\", field = \"instanceId\" }]",
        ),
    ];
    let mut shown = String::new();
    for (name, strategy) in strategies {
        let world = world(&format!(
            "[[service]]\nname = \"{name}\"\ntask_definition = \"app\"\ndesired = 6\nplacement_strategy = {strategy}\n"
        ));
        let group = format!("service:{name}");
        shown += &format!("{name}: {}\n", hosts(&world, &group));
    }
    check(
        &shown,
        &expect![[r#"
        binpack: I1 I1 I1 I1 I2 I2
        instances: I1 I2 I3 I4 I5 I6
        zones: I1 I1 I3 I3 I5 I5
        racks: I1 I1 I2 I2 I4 I4
        overlap: I1 I2 I3 I4 I5 I6
    "#]],
    );
}

/// The known bad case of spread rules that overlap: the counts of the two attributes cannot both be even, and the first rule decides.
#[test]
fn overlapping_spread_rules_end_well() {
    let mut world = world(
        "[[service]]\nname = \"web\"\ntask_definition = \"app\"\ndesired = 9\nplacement_strategy = [\
         { type = \"spread\", field = \"attribute:rack\" }, { type = \"spread\", field = \"attribute:ecs.availability-zone\" }]\n",
    );
    let before = hosts(&world, "service:web");
    assert_eq!(world.counts("web"), "desired 9 running 9 pending 0 healthy 9");
    world.lose_instance(ContainerInstanceId(2));
    world.run_until(400);
    assert_eq!(world.counts("web"), "desired 9 running 9 pending 0 healthy 9");
    let after = hosts(&world, "service:web");
    world.run_until(2000);
    assert_eq!(hosts(&world, "service:web"), after, "it stays still");
    check(
        &format!("{before}\n{after}\n"),
        &expect![[r#"
        I1 I2 I2 I2 I4 I4 I4 I5 I5
        I1 I1 I1 I4 I4 I4 I4 I5 I5
    "#]],
    );
}

/// ecs-semantics §4.5: StartTask asks resources and attributes of the instances that it is told, and nothing else.
#[test]
fn start_task_takes_named_instances() {
    let mut world = world(&format!(
        "{}{}[[start_task]]\ntask_definition = \"app\"\ncontainer_instances = [\"a1\", \"b1\"]\nat = \"60s\"\ngroup = \"mine\"\n",
        definition("arm", 256, "runtime_platform = { cpu_architecture = \"ARM64\" }"),
        definition(
            "large",
            2048,
            "placement_constraints = [{ type = \"memberOf\", expression = \"attribute:never exists\" }]"
        ),
    ));
    assert_eq!(hosts(&world, "mine"), "I1 I3");
    world.done(Request::TerminateInstance(ContainerInstanceId(6)));
    let mut start = |family: &str, instances: &[u64]| {
        let spec = StartTaskSpec {
            task_definition: latest(family),
            container_instances: instances.iter().map(|id| ContainerInstanceId(*id)).collect(),
            ..StartTaskSpec::default()
        };
        match world.request(Request::StartTask(Box::new(spec))) {
            Ok(Response::RunTask { tasks, failures }) => {
                let failures = failures.iter().map(|failure| {
                    format!("  I{} {}: {}\n", failure.instance.unwrap(), failure.reason, failure.detail)
                });
                format!("{family}: {} tasks\n{}", tasks.len(), failures.collect::<String>())
            }
            other => format!("{family}: {}\n", other.unwrap_err()),
        }
    };
    let mut shown = start("large", &[1, 2]);
    shown += &start("arm", &[1, 4, 6, 77]);
    shown += &start("app", &[]);
    shown += &start("app", &[1; 11]);
    check(
        &shown,
        &expect![[r#"
        large: 1 tasks
          I1 RESOURCE:CPU: 2048 CPU units are needed and 1536 are left
        arm: 1 tasks
          I1 ATTRIBUTE: ecs.cpu-architecture is x86_64 and arm64 is required
          I6 INACTIVE: the container instance is DEREGISTERING
          I77 MISSING: the container instance is not known
        app: 0 container instances: 1 to 10 at once
        app: 11 container instances: 1 to 10 at once
    "#]],
    );
}

/// ecs-semantics §2.5, §4.5: a group of the caller's own is what spreads and constraints count, and a service's is not for the taking.
#[test]
fn groups_are_the_callers() {
    let mut world = world("");
    let in_group = |group: &str, constraint: PlacementConstraint| RunTaskSpec {
        group: Some(group.into()),
        placement_constraints: vec![constraint],
        ..run("app", 7, on_ec2())
    };
    let (tasks, _) = world.run_task(in_group("databases", PlacementConstraint::DistinctInstance));
    assert_eq!(tasks.len(), 6);
    let (tasks, failures) = world.run_task(in_group("web", member_of("not(task:group == databases)")));
    assert_eq!((tasks.len(), failures.len()), (0, 6));
    let error =
        world.request(Request::RunTask(Box::new(in_group("service:web", PlacementConstraint::DistinctInstance))));
    assert_eq!(error.unwrap_err().to_string(), "a task's group can't begin with service:");
}

/// ecs-semantics §5.1: one on each instance that matches, also on those that come; gone from those that cease to match.
#[test]
fn daemon_is_on_each_matching_instance() {
    let mut world = world(
        "[[service]]\nname = \"agent\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\nplacement_constraints = \
         [{ type = \"memberOf\", expression = \"attribute:disk == ssd\" }]\n",
    );
    assert_eq!(hosts(&world, "service:agent"), "I2 I4 I6");
    assert_eq!(world.counts("agent"), "desired 3 running 3 pending 0 healthy 3");
    put(&mut world, 1, "disk", "ssd");
    put(&mut world, 2, "disk", "hdd");
    let mut launch = instance_launch("us-east-1a");
    launch.attributes.insert("disk".to_owned(), "ssd".to_owned());
    world.done(Request::LaunchInstance(std::sync::Arc::new(launch)));
    world.run_until(300);
    assert_eq!(hosts(&world, "service:agent"), "I1 I4 I6 I7");
    world.lose_instance(ContainerInstanceId(4));
    world.run_until(400);
    check(
        &world.service_events("agent"),
        &expect![[r#"
        100.000s (service agent) has started 3 tasks: (task T1) (task T2) (task T3).
        141.000s (service agent) (deployment ecs-svc/1) deployment completed.
        141.000s (service agent) has reached a steady state.
        200.000s (service agent) has started 1 tasks: (task T4).
        200.000s (service agent) has stopped 1 running tasks: (task T1).
        210.000s (service agent) has started 1 tasks: (task T5).
        251.000s (service agent) has reached a steady state.
        300.000s (service agent) has reached a steady state.
    "#]],
    );
    world.done(Request::DrainCluster);
    world.run_until(700);
    assert!(world.plane.state().is_empty());
}

/// ecs-semantics §5.1: on an instance that comes the daemon is first, though a replica that waits would take all of it.
#[test]
fn daemon_comes_before_replicas() {
    let mut world = World::of_file(&format!(
        "{}{}[[container_instance]]\ninstance_type = \"m7i.large\"\n\
         [[service]]\nname = \"a-replica\"\ntask_definition = \"replica\"\nlaunch_type = \"EC2\"\ndesired_count = 2\n\
         [[service]]\nname = \"daemon\"\ntask_definition = \"daemon\"\nscheduling_strategy = \"DAEMON\"\n",
        definition("replica", 1024, ""),
        definition("daemon", 512, ""),
    ));
    world.run_until(100);
    assert_eq!((hosts(&world, "service:a-replica"), hosts(&world, "service:daemon")), ("I1".into(), "I1".into()));
    check(
        &world.tasks(),
        &expect![[r#"
        T1 daemon:1 RUNNING I1 created 30.000s started 31.000s
        T2 replica:1 RUNNING I1 created 30.000s started 31.000s
    "#]],
    );
}

/// ecs-semantics §3.3, §5.1, §5.5: on an instance that drains a daemon's task stays for as long as there is another, but not when its service
/// is deleted.
#[test]
fn a_deleted_daemon_leaves_at_once() {
    let mut world = World::of_file(&format!(
        "{}[[container_instance]]\ninstance_type = \"m7i.large\"\n\
         [[service]]\nname = \"daemon\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\n",
        definition("app", 512, ""),
    ));
    world.run_until(100);
    // Nobody stops that one.
    let (tasks, _) = world.run_task(run("app", 1, on_ec2()));
    assert_eq!(tasks.len(), 1);
    let (instances, status) = (vec![ContainerInstanceId(1)], ContainerInstanceStatus::Draining);
    world.done(Request::UpdateContainerInstancesState { instances, status });
    world.run_until(200);
    assert_eq!(hosts(&world, "service:daemon"), "I1");
    world.done(Request::DeleteService { service: "daemon".into(), deletion: Deletion::Forced });
    world.run_until(210);
    assert_eq!(world.plane.state().services["daemon"].status.as_str(), "INACTIVE");
    assert_eq!((hosts(&world, "service:daemon"), hosts(&world, "family:app")), (String::new(), "I1".into()));
}

/// ecs-semantics §3.3, §5.1: a daemon's bounds are of the active instances: it leaves one that drains, when the others have, though none of its
/// tasks elsewhere is healthy yet.
#[test]
fn a_daemon_leaves_a_draining_instance_below_its_lower_bound() {
    let mut world = World::of_file(&format!(
        "{}[[container_instance]]\ninstance_type = \"m7i.large\"\ncount = 2\n\
         [[service]]\nname = \"daemon\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\n\
         deployment_configuration = {{ minimum_healthy_percent = 50 }}\n",
        definition("app", 512, ""),
    ));
    world.run_until(100);
    let (tasks, _) = world.run_task(run("app", 1, on_ec2()));
    let drained = world.plane.state().tasks[&tasks[0]].task.container_instance.unwrap();
    let (instances, status) = (vec![drained], ContainerInstanceStatus::Draining);
    world.done(Request::UpdateContainerInstancesState { instances, status });
    let records = world.plane.state().tasks.values();
    let of_daemon = records.map(|record| &record.task).filter(|task| task.service.is_some());
    let elsewhere =
        of_daemon.filter(|task| task.container_instance != Some(drained)).map(|task| task.id).next().unwrap();
    world.done(Request::StopTask { task: elsewhere, reason: None });
    world.run_until(110);
    assert_eq!(world.counts("daemon"), "desired 1 running 2 pending 0 healthy 1");
    world.done(Request::StopTask { task: tasks[0], reason: None });
    world.run_until(120);
    assert_eq!(world.counts("daemon"), "desired 1 running 1 pending 0 healthy 0");
    assert_ne!(hosts(&world, "service:daemon"), format!("I{}", drained.0));
}

/// ecs-semantics §5.1, §5.2: a rollout of a daemon stops an instance's old task before it starts the new one, within the lower bound.
#[test]
fn daemon_rolls_out_within_its_bounds() {
    let mut world = world(
        "[[service]]\nname = \"agent\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\n\
         deployment_configuration = { minimum_healthy_percent = 50 }\n",
    );
    let mut definition = crate::harness::task_definition("app", 256, 256);
    definition.required_architecture = None;
    world.done(Request::RegisterTaskDefinition(Box::new(definition)));
    let update =
        UpdateService { service: "agent".into(), task_definition: Some(latest("app")), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    assert_eq!(world.counts("agent"), "desired 6 running 3 pending 0 healthy 3");
    world.run_until(400);
    assert_eq!(world.counts("agent"), "desired 6 running 6 pending 0 healthy 6");
    check(
        &world.service_events("agent"),
        &expect![[r#"
        100.000s (service agent) has started 6 tasks: (task T1) (task T2) (task T3) (task T4) (task T5) (task T6).
        141.000s (service agent) (deployment ecs-svc/1) deployment completed.
        141.000s (service agent) has reached a steady state.
        200.000s (service agent) has stopped 3 running tasks: (task T1) (task T2) (task T3).
        201.000s (service agent) has started 1 tasks: (task T7).
        201.000s (service agent) has started 1 tasks: (task T8).
        201.000s (service agent) has started 1 tasks: (task T9).
        242.000s (service agent) has stopped 3 running tasks: (task T4) (task T5) (task T6).
        243.000s (service agent) has started 1 tasks: (task T10).
        243.000s (service agent) has started 1 tasks: (task T11).
        243.000s (service agent) has started 1 tasks: (task T12).
        284.000s (service agent) (deployment ecs-svc/2) deployment completed.
        284.000s (service agent) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.2, §5.11: where the only task of a daemon is its lower bound, it can't stop, and no other can start beside it: the deployment
/// hangs, says so, and goes on once the bound is lower.
#[test]
fn a_daemon_says_that_its_bounds_let_nothing_roll_out() {
    let mut world = World::of_file(&format!(
        "{}[[container_instance]]\ninstance_type = \"m7i.large\"\n\
         [[service]]\nname = \"agent\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\n\
         deployment_configuration = {{ minimum_healthy_percent = 50 }}\n",
        definition("app", 256, ""),
    ));
    world.run_until(200);
    let mut definition = crate::harness::task_definition("app", 256, 256);
    definition.required_architecture = None;
    world.done(Request::RegisterTaskDefinition(Box::new(definition)));
    let update = || UpdateService { service: "agent".into(), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(UpdateService { task_definition: Some(latest("app")), ..update() })));
    world.run_until(400);
    let configuration = world.plane.state().services["agent"].spec.deployment_configuration.clone();
    let configuration = DeploymentConfiguration { minimum_healthy_percent: 0, ..configuration };
    let configuration = Some(configuration);
    world.done(Request::UpdateService(Box::new(UpdateService { deployment_configuration: configuration, ..update() })));
    world.run_until(500);
    check(
        &world.service_events("agent"),
        &expect![[r#"
        0.000s (service agent) (deployment ecs-svc/1) deployment completed.
        0.000s (service agent) has reached a steady state.
        30.000s (service agent) has started 1 tasks: (task T1).
        71.000s (service agent) has reached a steady state.
        200.000s (service agent) was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.
        400.000s (service agent) has stopped 1 running tasks: (task T1).
        401.000s (service agent) has started 1 tasks: (task T2).
        442.000s (service agent) (deployment ecs-svc/2) deployment completed.
        442.000s (service agent) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §2.6, §5.1: a protected task of a daemon outlasts a deployment until its protection is over.
#[test]
fn protected_daemon_tasks_outlast_a_deployment() {
    let mut world =
        world("[[service]]\nname = \"agent\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\n");
    let protection = TaskProtection::Enabled { expires_in: Some(secs(600)) };
    world.done(Request::UpdateTaskProtection { tasks: vec![TaskId(2)], protection });
    let mut definition = crate::harness::task_definition("app", 256, 256);
    definition.required_architecture = None;
    world.done(Request::RegisterTaskDefinition(Box::new(definition)));
    let update =
        UpdateService { service: "agent".into(), task_definition: Some(latest("app")), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    let revisions = |world: &World| {
        let running = world.plane.state().tasks.values().map(|record| &record.task);
        let running = running.filter(|task| task.last_status == TaskStatus::Running);
        running.map(|task| format!("T{} {}", task.id.0, task.task_definition.revision)).collect::<Vec<_>>().join(", ")
    };
    world.run_until(790);
    check(&revisions(&world), &expect!["T2 1, T7 2, T8 2, T9 2, T10 2, T11 2"]);
    let events = world.service_events("agent");
    check(
        events.lines().last().unwrap(),
        &expect![
            "242.000s (service agent) was unable to reach steady state because task set (ecs-svc/2) was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks"
        ],
    );
    world.run_until(900);
    check(&revisions(&world), &expect!["T7 2, T8 2, T9 2, T10 2, T11 2, T12 2"]);
}

/// ecs-semantics §1.7, §5.3: a daemon starts no more tasks a minute than another service.
#[test]
fn daemons_start_so_many_tasks_a_minute() {
    let world = world(
        "[[service]]\nname = \"agent\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\n\
         [settings]\nservice_launches_per_minute = 4\n",
    );
    assert_eq!(world.counts("agent"), "desired 6 running 6 pending 0 healthy 4");
    check(
        &world.service_events("agent"),
        &expect![[r#"
        100.000s (service agent) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        160.000s (service agent) has started 2 tasks: (task T5) (task T6).
    "#]],
    );
}

/// ecs-semantics §5.1: what a daemon cannot have is refused.
#[test]
fn daemon_has_no_count_of_its_own() {
    let mut world =
        world("[[service]]\nname = \"agent\"\ntask_definition = \"app\"\nscheduling_strategy = \"DAEMON\"\n");
    let mut refused = |update: UpdateService| {
        let update = UpdateService { service: "agent".into(), ..update };
        format!("{}\n", world.request(Request::UpdateService(Box::new(update))).unwrap_err())
    };
    let mut shown = refused(UpdateService { desired_count: Some(3), ..UpdateService::default() });
    shown += &refused(UpdateService {
        availability_zone_rebalancing: Some(AvailabilityZoneRebalancing::Enabled),
        ..UpdateService::default()
    });
    shown += &refused(UpdateService {
        placement_constraints: Some(vec![member_of("task:group == mine")]),
        ..UpdateService::default()
    });
    check(
        &shown,
        &expect![[r#"
        a DAEMON service has no desired count: it is computed
        a DAEMON service is not rebalanced over zones
        the placement constraints of a DAEMON service cannot ask for task:group or runningTasksCount
    "#]],
    );
}

/// ecs-semantics §5.10: from a steady state, tasks move to a zone that has come to have room: the new one starts first.
#[test]
fn zones_are_rebalanced() {
    let rebalanced = |more: &str| {
        let mut world = world_of(&format!(
            "{}[[container_instance]]\ninstance_type = \"m7i.large\"\navailability_zone = \"us-east-1a\"\ncount = 2\n\
             [[service]]\nname = \"web\"\ntask_definition = \"app\"\nlaunch_type = \"EC2\"\ndesired_count = 4\n{more}\n",
            definition("app", 256, ""),
        ));
        world.done(Request::LaunchInstance(std::sync::Arc::new(instance_launch("us-east-1b"))));
        world.run_until(600);
        (hosts(&world, "service:web"), world)
    };
    let (hosts_after, world) = rebalanced("");
    assert_eq!(hosts_after, "I1 I2 I3 I3");
    check(
        &world.service_events("web"),
        &expect![[r#"
        100.000s (service web) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        141.000s (service web) (deployment ecs-svc/1) deployment completed.
        141.000s (service web) has reached a steady state.
        240.000s (service web) is not AZ balanced with 4 tasks in us-east-1a and 0 tasks in us-east-1b. AZ Rebalancing in progress.
        240.000s (service web) has started 1 tasks: (task T5).
        240.000s (service web) has started 1 tasks: (task T6).
        281.000s (service web) has stopped 1 running tasks: (task T3).
        281.000s (service web) has stopped 1 running tasks: (task T4).
        281.000s (service web) has reached a steady state.
        300.000s (service web) is AZ balanced with 2 tasks in us-east-1a and 2 tasks in us-east-1b.
    "#]],
    );
    for more in [
        "availability_zone_rebalancing = \"DISABLED\"",
        "deployment_configuration = { minimum_healthy_percent = 50, maximum_percent = 100 }",
        "placement_strategy = [{ type = \"spread\", field = \"instanceId\" }]",
        "placement_constraints = [{ type = \"memberOf\", expression = \"attribute:ecs.availability-zone =~ .*\" }]",
    ] {
        assert_eq!(rebalanced(more).0, "I1 I1 I2 I2", "{more}");
    }
}

/// ecs-semantics §4.2: with the strategy `random` each task is as likely to go as any other when a service scales in, wherever it is; behind
/// another strategy it decides among those that are alike.
#[test]
fn random_scale_in_spares_nobody() {
    let scaled_in = |seed: u64, strategy: &str| -> Vec<(u64, u64)> {
        let mut world = world(&format!(
            "[settings]\nseed = {seed}\n[[service]]\nname = \"web\"\ntask_definition = \"app\"\ndesired = 12\n\
             placement_strategy = {strategy}\n"
        ));
        world.run_for(60);
        world.done(Request::UpdateService(Box::new(UpdateService {
            service: "web".into(),
            desired_count: Some(6),
            ..UpdateService::default()
        })));
        let tasks = world.plane.state().tasks.values().map(|record| &record.task);
        let gone = tasks.filter(|task| task.desired_status == DesiredStatus::Stopped);
        gone.map(|task| (task.id.0, task.container_instance.expect("it is placed").0)).collect()
    };
    let mut times_gone = std::collections::BTreeMap::<u64, u32>::new();
    for seed in 0..100 {
        let gone = scaled_in(seed, "[{ type = \"random\" }]");
        assert_eq!(gone.len(), 6);
        for (task, _) in gone {
            *times_gone.entry(task).or_default() += 1;
        }
    }
    // Half of a hundred on average: further off than four standard deviations of 5 would be no chance.
    assert!(times_gone.len() == 12 && times_gone.values().all(|times| (30..=70).contains(times)), "{times_gone:?}");

    let by_instance = "[{ type = \"spread\", field = \"instanceId\" }, { type = \"random\" }]";
    let (once, again) = (scaled_in(1, by_instance), scaled_in(2, by_instance));
    for gone in [&once, &again] {
        let hosts: std::collections::BTreeSet<u64> = gone.iter().map(|(_, host)| *host).collect();
        assert_eq!(hosts.len(), 6, "one of the two on each instance");
    }
    assert_ne!(once, again, "which of the two is chance");
}
