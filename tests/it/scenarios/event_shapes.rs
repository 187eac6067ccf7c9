//! The shape of EventBridge events: every member of every detail has the type that ECS gives it, none is null, none is there that ECS
//! does not have, and each member that Longshore writes is seen in some event.
//!
//! **Source:** ecs-semantics §2.1, §3.2, §10.3, §11.6.

mod members;

use std::collections::BTreeSet;

use longshore::control_plane::event::{
    ContainerStateChange, Event, InstanceAttribute, NewDeployment, Request, TaskStateChange, TaskStep, UpdateService,
};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::ContainerInstanceId;
use longshore::model::service::ServiceSpec;
use longshore::model::task::{ContainerExit, ContainerStatus};
use serde_json::Value;

use self::members::Shape::{AnyText, Arn, Bool, Count, CountText, List, Moment, Nothing, Number, Object, Text, Word};
use self::members::{DETAILS, Member, Presence, Shape};
use crate::harness::{
    Behaviour, End, World, empty_cluster, instance_launch, latest, on_ec2, on_fargate, run, secs, service, strategy,
    task_definition,
};

/// What was seen: each member by its path, and each word by its path and value.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    #[track_caller]
    fn check(&mut self, path: &str, value: &Value, shape: &Shape) {
        let text = value.as_str().unwrap_or_default();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let holds = match shape {
            Text => !text.is_empty(),
            AnyText => value.is_string(),
            Word(words) => {
                self.0.insert(format!("{path}={text}"));
                words.contains(&text)
            }
            Arn(kind) => text
                .strip_prefix("arn:aws:ecs:us-east-1:123456789012:")
                .is_some_and(|tail| tail.strip_prefix(kind).is_some_and(|name| !name.is_empty())),
            Moment => text.len() == "2026-03-27T07:50:00.000Z".len() && text.parse::<jiff::Timestamp>().is_ok(),
            Count => value.is_u64(),
            CountText => is_number(text),
            Number => value.is_i64(),
            Bool => value.is_boolean(),
            Nothing => value.as_array().is_some_and(Vec::is_empty),
            List(shape) => {
                let Some(items) = value.as_array() else { panic!("{path} is {value}") };
                for item in items {
                    self.check(&format!("{path}[]"), item, shape);
                }
                true
            }
            Object(members) => {
                self.members(path, value, members);
                true
            }
        };
        assert!(holds, "{path} is {value}");
    }

    #[track_caller]
    fn members(&mut self, path: &str, value: &Value, members: &[Member]) {
        let Some(object) = value.as_object() else { panic!("{path} is {value}") };
        for name in object.keys() {
            assert!(members.iter().any(|(known, ..)| known == name), "{path} has a member {name}");
        }
        for (name, presence, shape) in members {
            match object.get(*name) {
                Some(value) => {
                    let path = format!("{path}.{name}");
                    self.0.insert(path.clone());
                    self.check(&path, value, shape);
                }
                None => assert!(*presence == Presence::Maybe, "{path} has no {name}: {value}"),
            }
        }
    }

    fn event(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let (_, members) =
            DETAILS.iter().find(|(kind, _)| *kind == text("detail-type")).expect("the type is one of the four");
        self.members(text("detail-type"), &event["detail"], members);
        let fixed = [text("version"), text("source"), text("account"), text("region")];
        assert_eq!(fixed, ["0", "aws.ecs", "123456789012", "us-east-1"]);
        assert!(text("time").len() == 20 && text("time").parse::<jiff::Timestamp>().is_ok(), "{}", text("time"));
        assert_eq!(text("id").len(), 36);
        let about = match text("detail-type") {
            "ECS Task State Change" => &event["detail"]["taskArn"],
            "ECS Container Instance State Change" => &event["detail"]["containerInstanceArn"],
            _ => &event["resources"][0],
        };
        assert_eq!(event["resources"], Value::Array(vec![about.clone()]));
        self.check("resources", about, &Arn(""));
    }
}

/// All members that a table names, with the words of enums that are ours to say.
fn expected(path: &str, members: &[Member], found: &mut Vec<String>) {
    for (name, _, shape) in members {
        let mut path = format!("{path}.{name}");
        found.push(path.clone());
        let mut shape = shape;
        while let List(items) = shape {
            shape = items;
            path += "[]";
        }
        match shape {
            Object(members) => expected(&path, members, found),
            Word(words) if *name == "eventName" => found.extend(words.iter().map(|word| format!("{path}={word}"))),
            _ => {}
        }
    }
}

/// A cluster with one of each: providers, instances by hand, a DAEMON, services that can't be placed or deployed, tags, health checks.
fn busy_world() -> World {
    let definition = |family: &str, cpu: &str, more: &str| {
        format!(
            "[[task_definition]]\nfamily = \"{family}\"\n{cpu}{more}\n\
             [[task_definition.container]]\nname = \"main\"\nimage = \"../workloads/limits/spin.wat\"\n\
             memory = 256\nmemory_reservation = 128\n"
        )
    };
    let sized = "cpu = \"512\"\nmemory = \"512\"\n";
    let text = format!(
        r#"
        [cluster]
        name = "test"
        [settings]
        calendar_start = "2026-03-27T07:50:00Z"
        [[capacity_provider]]
        name = "asg"
        auto_scaling_group = {{ instance_type = "m7i.large", min_size = 0, max_size = 1 }}
        managed_scaling = {{ target_capacity = 100 }}
        [[container_instance]]
        instance_type = "m7i.large"
        availability_zone = "us-east-1a"
        attributes = {{ disk = "ssd" }}
        [[container_instance]]
        instance_type = "m7i.large"
        availability_zone = "us-east-1b"
        {job}{web}{big}
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 2
        capacity_provider_strategy = [{{ capacity_provider = "asg", weight = 1 }}]
        propagate_tags = "SERVICE"
        deployment_configuration = {{ deployment_circuit_breaker = {{ enable = true, rollback = true }} }}
        tags = {{ team = "shop" }}
        [[service]]
        name = "daemon"
        task_definition = "job"
        scheduling_strategy = "DAEMON"
        placement_constraints = [{{ type = "memberOf", expression = "attribute:disk == ssd" }}]
        [[service]]
        name = "huge"
        task_definition = "big"
        desired_count = 5
        launch_type = "EC2"
        [[service]]
        name = "stuck"
        task_definition = "web"
        desired_count = 1
        launch_type = "EC2"
        deployment_configuration = {{ minimum_healthy_percent = 100, maximum_percent = 150 }}
        "#,
        job = definition("job", sized, ""),
        web = definition("web", sized, ""),
        big = definition("big", "cpu = \"2048\"\nmemory = \"1024\"\n", ""),
    );
    World::of_file(&text)
}

/// A service whose tasks are all in one zone when a second one has room, and of which one runs out of memory.
fn zones() -> World {
    let mut world = World::new(&ClusterSpec {
        container_instances: vec![instance_launch("us-east-1a")],
        task_definitions: vec![task_definition("web", 256, 256)],
        services: vec![ServiceSpec { launch_target: on_ec2(), ..service("web", 2) }],
        ..empty_cluster()
    });
    world.run_until(100);
    world.done(Request::LaunchInstance(std::sync::Arc::new(instance_launch("us-east-1b"))));
    world.run_until(400);
    world.apply(Event::TaskStateChange(TaskStateChange {
        task: world.plane.state().services["web"].primary().healthy.first().expect("it is steady"),
        step: TaskStep::Stopped { usage: Default::default(), failed_to_start: None },
        pull_started_at: None,
        pull_stopped_at: None,
        containers: [ContainerStateChange {
            status: ContainerStatus::Stopped,
            exit: ContainerExit { exit_code: Some(137), reason: Some("OutOfMemoryError: killed".into()) },
            ..Default::default()
        }]
        .into(),
    }));
    world
}

/// ecs-semantics §10.3, §11.6: all of the above, in a cluster where about everything happens that has an event.
#[test]
fn events_have_the_shapes_of_ecs() {
    let mut world = busy_world();
    world.run_until(200);
    // A Fargate task with overrides that pulls, is healthy, and is stopped.
    world.behave("job", Behaviour { pull: secs(2), ..Behaviour::default() });
    let mut spec = run("job", 1, on_fargate());
    spec.started_by = Some("a test".into());
    spec.tags.insert("team".into(), "ops".into());
    let overrides = std::sync::Arc::make_mut(&mut spec.overrides).containers.entry("main".into()).or_default();
    overrides.command = Some(vec!["--once".into(), String::new()]);
    overrides.environment.insert("MODE".into(), "fast".into());
    let (tasks, _) = world.run_task(spec);
    world.run_until(210);
    world.done(Request::StopTask { task: tasks[0], reason: None });
    // Tasks that never start, and one that waits for a provider.
    world.behave(
        "web",
        Behaviour { end: End::FailToStart { reason: "CannotPullContainerError: none" }, ..Behaviour::default() },
    );
    world.run_task(run("web", 1, strategy(&[("asg", 0, 1)])));
    world.run_until(300);
    let forced = |service: &str| UpdateService {
        service: service.into(),
        task_definition: Some(latest("web")),
        new_deployment: NewDeployment::Forced,
        ..UpdateService::default()
    };
    world.done(Request::UpdateService(Box::new(forced("stuck"))));
    world.done(Request::UpdateService(Box::new(forced("web"))));
    world.run_until(400);
    // The daemon's instance is no member any more; another instance comes, and its agent loses contact for a moment.
    world.done(Request::PutAttributes(vec![InstanceAttribute {
        instance: ContainerInstanceId(1),
        name: "disk".into(),
        value: Some("hdd".into()),
    }]));
    world.run_until(500);
    world.apply(Event::AgentDisconnected { instance: ContainerInstanceId(1) });
    world.apply(Event::AgentConnected { instance: ContainerInstanceId(1) });
    world.lose_instance(ContainerInstanceId(2));
    world.done(Request::LaunchInstance(std::sync::Arc::new(instance_launch("us-east-1b"))));
    world.run_until(900);
    let fewer = UpdateService { desired_count: Some(1), ..forced("huge") };
    world.done(Request::UpdateService(Box::new(fewer)));
    world.run_until(1200);
    world.done(Request::DrainCluster);
    world.run_until(1800);

    let mut events = world.events();
    events.extend(zones().events());
    let mut seen = Seen::default();
    for event in &events {
        let json: Value = serde_json::from_str(&event.to_json()).expect("an event is JSON");
        seen.event(&json);
    }
    let mut wanted = Vec::new();
    for (kind, members) in DETAILS {
        expected(kind, members, &mut wanted);
    }
    let unseen: Vec<String> = wanted.into_iter().filter(|path| !seen.0.contains(path)).collect();
    assert_eq!(unseen, [""; 0], "no event of {} has these", events.len());
}
