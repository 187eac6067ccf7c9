//! Load balancers: tasks in target groups, when they count, and how they leave.
//!
//! The fake data plane says what the checks of targets find, and when a task that gets no more jobs has done its last one. ARNs of target
//! groups are shortened to `NAME`.

use expect_test::expect;
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::event::{
    Deletion, Event, NewDeployment, Request, TargetHealthChange, TaskStateChange, TaskStep, UpdateService,
};
use longshore::control_plane::explain::{Explanation, Question, TaskWait};
use longshore::control_plane::state::Service;
use longshore::model::alarm::{MetricId, Statistic};
use longshore::model::ids::TaskId;
use longshore::model::target_group::{LoadBalancer, TargetState};
use longshore::model::task::TaskStatus;
use longshore::model::units::Timestamp;

use super::{check, counts_until};
use crate::harness::{Behaviour, End, TargetLife, World, at, latest, secs};

/// A service `web` on Fargate in target group `tg`, with such keys of the service with the tables below it, and such tables of the file.
fn file(count: u32, service: &str, more: &str) -> String {
    format!(
        r#"
        [cluster]
        name = "test"
        [[task_definition]]
        family = "web"
        cpu = "256"
        memory = "512"
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "../workloads/limits/spin.wat"
          port_mappings = [{{ container_port = 80 }}, {{ container_port = 81 }}]
        [[target_group]]
        name = "tg"
        deregistration_delay = "60s"
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = {count}
        launch_type = "FARGATE"
        load_balancers = [{{ target_group = "tg", container_name = "main", container_port = 80 }}]
        {service}
        {more}
        "#
    )
}

fn world(count: u32, service: &str, more: &str) -> World {
    World::of_file(&file(count, service, more))
}

/// What is found of targets, so many seconds after their task runs.
fn found(found: &[(u64, TargetState)], drain: Option<u64>) -> Behaviour {
    let found = found.iter().map(|(after, state)| (secs(*after), *state)).collect();
    Behaviour { targets: TargetLife { found, drain: drain.map(secs) }, ..Behaviour::default() }
}

/// The service's events, with the names of target groups in place of their ARNs.
fn events(world: &World) -> String {
    without_arns(&world.service_events("web"))
}

fn without_arns(text: &str) -> String {
    let mut parts = text.split("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('/').expect("an id follows");
        shown.push_str(name);
        shown.push_str(&rest[16..]);
    }
    shown
}

/// What happened to a task, and why it stopped.
fn life(world: &World, task: u64) -> String {
    let task = &world.plane.state().tasks[&TaskId(task)].task;
    let shown = |moment: Option<Timestamp>| moment.map_or("-".into(), |at| at.to_string());
    let reason = without_arns(task.stopped_reason.as_deref().unwrap_or("-"));
    let code = task.stop_code.map_or("-", |code| code.as_str());
    let (stopping, executed) = (shown(task.stopping_at), shown(task.execution_stopped_at));
    let stopped = shown(task.stopped_at);
    format!(
        "{}: stopping {stopping}, executed until {executed}, stopped {stopped}, {code}: {reason}\n",
        task.last_status
    )
}

fn set_count(world: &mut World, count: u32) {
    let update = UpdateService { service: "web".into(), desired_count: Some(count), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
}

fn web(world: &World) -> &Service {
    &world.plane.state().services["web"]
}

/// ecs-semantics §5.2: a task with a load balancer counts when its target group reports it healthy, and not for having run for 40 s;
/// §5.11: what is registered at one moment is one event.
#[test]
fn a_task_counts_when_its_target_is_healthy() {
    let mut world = world(2, "", "");
    world.behave("web", found(&[(90, TargetState::Healthy)], Some(0)));
    check(
        &(counts_until(&mut world, 120) + &events(&world)),
        &expect![[r#"
        0.000s desired 2 running 0 pending 2 healthy 0
        1.000s desired 2 running 1 pending 1 healthy 0
        1.000s desired 2 running 2 pending 0 healthy 0
        91.000s desired 2 running 2 pending 0 healthy 1
        91.000s desired 2 running 2 pending 0 healthy 2
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        1.000s (service web) registered 1 targets in (target-group tg)
        1.000s (service web) registered 1 targets in (target-group tg)
        91.000s (service web) (deployment ecs-svc/1) deployment completed.
        91.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §5.11: targets that are registered by one call are one event with their number; those of a task that has none are none.
#[test]
fn targets_that_come_together_are_told_of_together() {
    let mut world = world(0, "", "");
    world.behave("web", Behaviour { start: secs(1000), ..found(&[], Some(0)) });
    set_count(&mut world, 3);
    let running = |task| TaskStateChange {
        task: TaskId(task),
        step: TaskStep::Running,
        pull_started_at: None,
        pull_stopped_at: None,
        containers: Default::default(),
    };
    world.apply(Event::TaskStateChanges(vec![running(1), running(2), running(3)]));
    check(
        &events(&world),
        &expect![[r#"
        0.000s (service web) (deployment ecs-svc/1) deployment completed.
        0.000s (service web) has reached a steady state.
        0.000s (service web) has started 3 tasks: (task T1) (task T2) (task T3).
        0.000s (service web) registered 3 targets in (target-group tg)
    "#]],
    );
}

/// ecs-semantics §5.2: with several target groups a task counts when each of them reports it healthy.
#[test]
fn every_target_group_has_to_report_it_healthy() {
    let two = r#"
        [[target_group]]
        name = "admin"
        "#;
    let text = file(1, "", two).replace(
        "container_port = 80 }]\n",
        "container_port = 80 }, { target_group = \"admin\", container_name = \"main\", container_port = 81 }]\n",
    );
    let mut world = World::of_file(&text);
    world.behave("web", found(&[], Some(0)));
    world.run_until(10);
    let report = |world: &mut World, group: &str, number: u32, state: TargetState| {
        let change = TargetHealthChange { task: TaskId(1), target_group: group.into(), number, state };
        world.apply(Event::TargetHealth(change));
    };
    report(&mut world, "tg", 1, TargetState::Healthy);
    assert_eq!(web(&world).healthy_count(), 0);
    report(&mut world, "admin", 1, TargetState::Healthy);
    assert_eq!(web(&world).healthy_count(), 1);
    // What is late, repeated or of somebody unknown changes nothing.
    let ignored = world.plane.state().ignored_events;
    report(&mut world, "admin", 3, TargetState::Healthy);
    report(&mut world, "admin", 2, TargetState::Unhealthy);
    report(&mut world, "admin", 3, TargetState::Unhealthy);
    report(&mut world, "other", 1, TargetState::Unhealthy);
    world.apply(Event::TargetsDrained { task: TaskId(1) });
    world.apply(Event::TargetsDrained { task: TaskId(99) });
    assert_eq!((web(&world).healthy_count(), world.plane.state().ignored_events - ignored), (1, 5));
    check(
        &events(&world),
        &expect![[r#"
        0.000s (service web) has started 1 tasks: (task T1).
        1.000s (service web) registered 1 targets in (target-group admin)
        1.000s (service web) registered 1 targets in (target-group tg)
        10.000s (service web) (deployment ecs-svc/1) deployment completed.
        10.000s (service web) has reached a steady state.
    "#]],
    );
}

/// What is found of a target before it is known that its task runs is not forgotten: messages overtake each other.
#[test]
fn health_may_come_before_running() {
    let mut world = world(0, "", "");
    world.behave("web", Behaviour { start: secs(20), ..found(&[], Some(0)) });
    set_count(&mut world, 1);
    world.run_until(10);
    world.report_targets(TaskId(1), TargetState::Healthy);
    assert_eq!(web(&world).healthy_count(), 0);
    world.run_until(20);
    assert_eq!(web(&world).healthy_count(), 1);
}

/// ecs-semantics §5.2: with a container health check and a load balancer a task counts when both say so.
#[test]
fn both_checks_have_to_pass() {
    let checked = "name = \"main\"\n          health_check = { command = [\"CMD\", \"check\"], interval = \"10s\" }";
    let text = file(1, "", "").replace("name = \"main\"\n", &format!("{checked}\n"));
    for (healthy_after, expected) in [(5, "12.000s"), (30, "31.000s")] {
        let mut world = World::of_file(&text);
        world.behave("web", found(&[(healthy_after, TargetState::Healthy)], Some(0)));
        world.run_until(100);
        let steady = events(&world);
        let steady = steady.lines().find(|line| line.ends_with("steady state.")).expect("it is steady");
        assert_eq!(steady.split_once(' ').map(|(at, _)| at), Some(expected), "{steady}");
    }
}

/// ecs-semantics §5.4, §2.4, §5.11: a task whose target fails its checks has a healthy replacement before it goes, with the reason of ELB;
/// §2.1: it is DEACTIVATING until its last job is done.
#[test]
fn an_unhealthy_target_is_replaced() {
    let mut world = world(1, "", "");
    world.behave("web", found(&[(2, TargetState::Healthy)], Some(7)));
    world.run_until(100);
    world.report_targets(TaskId(1), TargetState::Unhealthy);
    world.run_until(106);
    assert_eq!(world.plane.state().tasks[&TaskId(1)].task.last_status, TaskStatus::Deactivating);
    world.run_until(200);
    check(
        &events(&world),
        &expect![[r#"
            0.000s (service web) has started 1 tasks: (task T1).
            1.000s (service web) registered 1 targets in (target-group tg)
            3.000s (service web) (deployment ecs-svc/1) deployment completed.
            3.000s (service web) has reached a steady state.
            100.000s (service web) (task T1) is unhealthy in (target-group tg) due to (reason Request timed out)
            100.000s (service web) has started 1 tasks: (task T2).
            101.000s (service web) registered 1 targets in (target-group tg)
            103.000s (service web) has stopped 1 running tasks: (task T1).
            103.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
            103.000s (service web) has reached a steady state.
            110.000s (service web) deregistered 1 targets in (target-group tg)
        "#]],
    );
    check(
        &life(&world, 1),
        &expect![[r#"
        STOPPED: stopping 110.000s, executed until 110.000s, stopped 111.000s, ServiceSchedulerInitiated: Task failed ELB health checks in (target-group tg)
    "#]],
    );
}

/// ecs-semantics §5.4: a target that gets well again before its replacement is there stays.
#[test]
fn a_target_that_gets_well_stays() {
    let mut world = world(1, "", "");
    world.run_until(100);
    world.behave("web", found(&[(60, TargetState::Healthy)], Some(0)));
    world.report_targets(TaskId(1), TargetState::Unhealthy);
    world.run_until(110);
    world.report_targets(TaskId(1), TargetState::Healthy);
    world.run_until(300);
    assert_eq!(world.plane.state().tasks[&TaskId(1)].task.last_status, TaskStatus::Running);
    check(
        &events(&world),
        &expect![[r#"
            0.000s (service web) has started 1 tasks: (task T1).
            1.000s (service web) registered 1 targets in (target-group tg)
            3.000s (service web) (deployment ecs-svc/1) deployment completed.
            3.000s (service web) has reached a steady state.
            100.000s (service web) (task T1) is unhealthy in (target-group tg) due to (reason Request timed out)
            100.000s (service web) has started 1 tasks: (task T2).
            101.000s (service web) registered 1 targets in (target-group tg)
            110.000s (service web) has stopped 1 running tasks: (task T2).
            110.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
            110.000s (service web) has reached a steady state.
            110.000s (service web) deregistered 1 targets in (target-group tg)
        "#]],
    );
}

/// ecs-semantics §5.4: within the grace period a target that is unhealthy is left alone.
#[test]
fn the_grace_period_is_the_targets_too() {
    let mut world = world(1, "health_check_grace_period_seconds = 120", "");
    world.behave("web", found(&[(20, TargetState::Unhealthy)], Some(0)));
    world.run_until(115);
    world.behave("web", found(&[(2, TargetState::Healthy)], Some(0)));
    world.run_until(150);
    check(
        &events(&world),
        &expect![[r#"
            0.000s (service web) has started 1 tasks: (task T1).
            1.000s (service web) registered 1 targets in (target-group tg)
            121.000s (service web) (task T1) is unhealthy in (target-group tg) due to (reason Request timed out)
            121.000s (service web) has started 1 tasks: (task T2).
            122.000s (service web) registered 1 targets in (target-group tg)
            124.000s (service web) has stopped 1 running tasks: (task T1).
            124.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
            124.000s (service web) (deployment ecs-svc/1) deployment completed.
            124.000s (service web) has reached a steady state.
            124.000s (service web) deregistered 1 targets in (target-group tg)
        "#]],
    );
}

/// ecs-semantics §5.7: stage 2 of the circuit breaker counts tasks whose targets fail.
#[test]
fn the_breaker_counts_failing_targets() {
    let breaker = "deployment_configuration = { deployment_circuit_breaker = { enable = true, rollback = true } }";
    let mut world = world(2, breaker, "");
    world.run_until(60);
    world.behave("web:2", found(&[(5, TargetState::Unhealthy)], Some(0)));
    let definition = web(&world).primary().task_definition.clone();
    world.done(Request::RegisterTaskDefinition(Box::new((*definition).clone())));
    let to = Some(latest("web"));
    let update = UpdateService { service: "web".into(), task_definition: to, ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_until(200);
    check(
        &events(&world),
        &expect![[r#"
            0.000s (service web) has started 2 tasks: (task T1) (task T2).
            1.000s (service web) registered 1 targets in (target-group tg)
            1.000s (service web) registered 1 targets in (target-group tg)
            3.000s (service web) (deployment ecs-svc/1) deployment completed.
            3.000s (service web) has reached a steady state.
            60.000s (service web) has started 2 tasks: (task T3) (task T4).
            61.000s (service web) registered 1 targets in (target-group tg)
            61.000s (service web) registered 1 targets in (target-group tg)
            66.000s (service web) (task T3) is unhealthy in (target-group tg) due to (reason Request timed out)
            66.000s (service web) (task T4) is unhealthy in (target-group tg) due to (reason Request timed out)
            66.000s (service web) has stopped 1 running tasks: (task T4).
            66.000s (service web, taskSet ecs-svc/2) has begun draining connections on 1 tasks.
            66.000s (service web) has started 1 tasks: (task T5).
            66.000s (service web) deregistered 1 targets in (target-group tg)
            67.000s (service web) registered 1 targets in (target-group tg)
            72.000s (service web) (task T5) is unhealthy in (target-group tg) due to (reason Request timed out)
            72.000s (service web) (deployment ecs-svc/2) deployment failed: tasks failed to become healthy.
            72.000s (service web) rolling back to deployment ecs-svc/1.
            72.000s (service web) has stopped 2 running tasks: (task T5) (task T3).
            72.000s (service web, taskSet ecs-svc/2) has begun draining connections on 2 tasks.
            72.000s (service web) (deployment ecs-svc/1) deployment completed.
            72.000s (service web) has reached a steady state.
            72.000s (service web) deregistered 1 targets in (target-group tg)
            72.000s (service web) deregistered 1 targets in (target-group tg)
        "#]],
    );
}

/// ecs-semantics §5.8: a deployment that moves traffic waits until the target's tasks are healthy in their target groups, and the source's leave
/// theirs when it is cleaned up.
#[test]
fn traffic_moves_when_targets_are_healthy() {
    let mut world = world(2, "deployment_configuration = { strategy = \"BLUE_GREEN\", bake_time_in_minutes = 1 }", "");
    world.run_until(60);
    world.behave("web:2", found(&[(30, TargetState::Healthy)], Some(0)));
    let definition = web(&world).primary().task_definition.clone();
    world.done(Request::RegisterTaskDefinition(Box::new((*definition).clone())));
    let to = Some(latest("web"));
    let update = UpdateService { service: "web".into(), task_definition: to, ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_until(300);
    check(
        &events(&world),
        &expect![[r#"
        0.000s (service web) (deployment ecs-svc/1) is in lifecycle stage SCALE_UP.
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        1.000s (service web) registered 1 targets in (target-group tg)
        1.000s (service web) registered 1 targets in (target-group tg)
        3.000s (service web) (deployment ecs-svc/1) is in lifecycle stage CLEAN_UP.
        3.000s (service web) (deployment ecs-svc/1) deployment completed.
        3.000s (service web) has reached a steady state.
        60.000s (service web) (deployment ecs-svc/2) is in lifecycle stage SCALE_UP.
        60.000s (service web) has started 2 tasks: (task T3) (task T4).
        61.000s (service web) registered 1 targets in (target-group tg)
        61.000s (service web) registered 1 targets in (target-group tg)
        91.000s (service web) (deployment ecs-svc/2) takes 100 % of the traffic.
        91.000s (service web) (deployment ecs-svc/2) is in lifecycle stage BAKE_TIME.
        151.000s (service web) (deployment ecs-svc/2) is in lifecycle stage CLEAN_UP.
        151.000s (service web) has stopped 2 running tasks: (task T2) (task T1).
        151.000s (service web, taskSet ecs-svc/1) has begun draining connections on 2 tasks.
        151.000s (service web) (deployment ecs-svc/2) deployment completed.
        151.000s (service web) has reached a steady state.
        151.000s (service web) deregistered 1 targets in (target-group tg)
        151.000s (service web) deregistered 1 targets in (target-group tg)
    "#]],
    );
}

/// ecs-semantics §5.8: with an alternate target group a deployment that moves traffic has its tasks in the one that those before it are not in.
#[test]
fn deployments_go_from_group_to_group() {
    let more = "[[target_group]]\n        name = \"green\"";
    let blue_green = "deployment_configuration = { strategy = \"BLUE_GREEN\", bake_time_in_minutes = 0 }";
    let text = file(1, blue_green, more).replace(
        "container_port = 80 }]\n        deployment",
        "container_port = 80, advanced_configuration = { alternate_target_group = \"green\" } }]\n        deployment",
    );
    assert!(text.contains("alternate"));
    let mut world = World::of_file(&text);
    let mut groups = Vec::new();
    for round in 1..=3 {
        world.run_until(100 * round);
        groups.push(web(&world).primary().revision.target_groups.join(" "));
        let known = world.plane.state().targets.values().flat_map(|found| &found.targets);
        let known: Vec<String> = known.map(|target| target.group.name.to_string()).collect();
        assert_eq!(known.last(), groups.last());
        let update =
            UpdateService { service: "web".into(), new_deployment: NewDeployment::Forced, ..UpdateService::default() };
        world.done(Request::UpdateService(Box::new(update)));
    }
    assert_eq!(groups, ["tg", "green", "tg"]);
}

/// ecs-semantics §2.1: a task that is to stop gets no more jobs and is DEACTIVATING until its last one is done, or the deregistration delay
/// is over.
#[test]
fn a_task_leaves_its_target_group_first() {
    for (drain, expected) in [
        (
            Some(10),
            expect![[r#"
                0.000s (service web) has started 3 tasks: (task T1) (task T2) (task T3).
                1.000s (service web) registered 1 targets in (target-group tg)
                1.000s (service web) registered 1 targets in (target-group tg)
                1.000s (service web) registered 1 targets in (target-group tg)
                3.000s (service web) (deployment ecs-svc/1) deployment completed.
                3.000s (service web) has reached a steady state.
                100.000s (service web) has stopped 2 running tasks: (task T1) (task T2).
                100.000s (service web, taskSet ecs-svc/1) has begun draining connections on 2 tasks.
                100.000s (service web) has reached a steady state.
                110.000s (service web) deregistered 1 targets in (target-group tg)
                110.000s (service web) deregistered 1 targets in (target-group tg)
                STOPPED: stopping 110.000s, executed until 110.000s, stopped 111.000s, ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/7072917602864530048)
            "#]],
        ),
        (
            None,
            expect![[r#"
                0.000s (service web) has started 3 tasks: (task T1) (task T2) (task T3).
                1.000s (service web) registered 1 targets in (target-group tg)
                1.000s (service web) registered 1 targets in (target-group tg)
                1.000s (service web) registered 1 targets in (target-group tg)
                3.000s (service web) (deployment ecs-svc/1) deployment completed.
                3.000s (service web) has reached a steady state.
                100.000s (service web) has stopped 2 running tasks: (task T1) (task T2).
                100.000s (service web, taskSet ecs-svc/1) has begun draining connections on 2 tasks.
                100.000s (service web) has reached a steady state.
                160.000s (service web) deregistered 2 targets in (target-group tg)
                STOPPED: stopping 160.000s, executed until 160.000s, stopped 161.000s, ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/7072917602864530048)
            "#]],
        ),
    ] {
        let mut world = world(3, "", "");
        world.behave("web", found(&[(2, TargetState::Healthy)], drain));
        world.run_until(100);
        set_count(&mut world, 1);
        let leaving: Vec<u64> = (1..=3)
            .filter(|task| world.plane.state().tasks[&TaskId(*task)].task.last_status == TaskStatus::Deactivating)
            .collect();
        assert_eq!(leaving.len(), 2);
        let draining = &world.plane.state().targets[&TaskId(leaving[0])].targets[0];
        assert_eq!(draining.state.as_str(), "draining");
        world.run_until(200);
        assert_eq!(world.plane.state().targets.len(), 1);
        check(&(events(&world) + &life(&world, leaving[0])), &expected);
    }
}

/// ecs-semantics §2.1: StopTask leaves the target groups first as well. *Ours:* with a delay of zero there is nothing to wait for.
#[test]
fn stop_task_leaves_the_target_group_too() {
    for (delay, stopping) in [("60s", "110.000s"), ("0s", "100.000s")] {
        let text = file(1, "", "").replace("\"60s\"", &format!("\"{delay}\""));
        let mut world = World::of_file(&text);
        world.behave("web", found(&[(2, TargetState::Healthy)], Some(10)));
        world.run_until(100);
        world.done(Request::StopTask { task: TaskId(1), reason: None });
        world.run_until(150);
        let expected = "STOPPED: stopping AT, executed until AT, stopped END, UserInitiated: Task stopped by user\n";
        let end = if delay == "0s" { "101.000s" } else { "111.000s" };
        assert_eq!(life(&world, 1), expected.replace("AT", stopping).replace("END", end));
    }
}

/// A task that stops by itself, and one that has not started, leave without a delay; so does one whose essential container ends while it
/// leaves.
#[test]
fn what_ends_by_itself_is_deregistered_at_once() {
    let mut world = world(1, "", "");
    let end = End::Exit { after: secs(50), code: 1 };
    world.behave("web", Behaviour { end, ..found(&[(2, TargetState::Healthy)], None) });
    world.run_until(30);
    world.behave("web", Behaviour { start: secs(1000), ..Behaviour::default() });
    world.run_until(60);
    set_count(&mut world, 0);
    world.run_until(70);
    check(
        &(events(&world) + &life(&world, 1) + &life(&world, 2)),
        &expect![[r#"
        0.000s (service web) has started 1 tasks: (task T1).
        1.000s (service web) registered 1 targets in (target-group tg)
        3.000s (service web) (deployment ecs-svc/1) deployment completed.
        3.000s (service web) has reached a steady state.
        51.000s (service web) deregistered 1 targets in (target-group tg)
        51.000s (service web) has started 1 tasks: (task T2).
        60.000s (service web) has stopped 1 running tasks: (task T2).
        60.000s (service web) has reached a steady state.
        STOPPED: stopping -, executed until 51.000s, stopped 51.000s, EssentialContainerExited: Essential container in task exited
        STOPPED: stopping 60.000s, executed until 60.000s, stopped 61.000s, ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/7072917602864530048)
    "#]],
    );
    assert!(world.plane.state().targets.is_empty());
}

/// ecs-semantics §8.4: where AWS takes the capacity back a task is told to stop at once.
#[test]
fn an_interruption_does_not_wait() {
    let text = file(1, "", "").replace(
        "launch_type = \"FARGATE\"",
        "capacity_provider_strategy = [{ capacity_provider = \"FARGATE_SPOT\", weight = 1 }]",
    );
    let mut world = World::of_file(&text);
    world.run_until(100);
    world.apply(Event::SpotInterruption { task: TaskId(1) });
    assert_eq!(world.plane.state().tasks[&TaskId(1)].task.last_status, TaskStatus::Stopping);
    world.run_until(101);
    check(
        &events(&world),
        &expect![[r#"
        0.000s (service web) has started 1 tasks: (task T1).
        1.000s (service web) registered 1 targets in (target-group tg)
        3.000s (service web) (deployment ecs-svc/1) deployment completed.
        3.000s (service web) has reached a steady state.
        100.000s (service web) deregistered 1 targets in (target-group tg)
        100.000s (service web) has started 1 tasks: (task T2).
        101.000s (service web) registered 1 targets in (target-group tg)
    "#]],
    );
}

/// ecs-semantics §8.4: nor does a task wait that was leaving its target groups already; it keeps its first reason.
#[test]
fn an_interruption_ends_the_wait() {
    let text = file(1, "", "").replace(
        "launch_type = \"FARGATE\"",
        "capacity_provider_strategy = [{ capacity_provider = \"FARGATE_SPOT\", weight = 1 }]",
    );
    let mut world = World::of_file(&text);
    world.behave("web", found(&[(2, TargetState::Healthy)], Some(50)));
    world.run_until(100);
    set_count(&mut world, 0);
    world.run_until(110);
    assert_eq!(world.plane.state().tasks[&TaskId(1)].task.last_status, TaskStatus::Deactivating);
    world.apply(Event::SpotInterruption { task: TaskId(1) });
    world.run_until(120);
    check(
        &life(&world, 1),
        &expect![[r#"
        STOPPED: stopping 110.000s, executed until 110.000s, stopped 111.000s, ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/7072917602864530048)
    "#]],
    );
}

/// ecs-semantics §2.1, §5.5: a deleted service is DRAINING as long as a task of it ends its last job, and INACTIVE when that is STOPPING.
#[test]
fn a_deleted_service_waits_for_last_jobs() {
    let mut world = world(2, "", "");
    world.behave("web", found(&[(2, TargetState::Healthy)], Some(10)));
    world.run_until(100);
    world.done(Request::DeleteService { service: "web".into(), deletion: Deletion::Forced });
    let status = |world: &World| web(world).status.as_str();
    assert_eq!(status(&world), "DRAINING");
    world.run_until(109);
    assert_eq!(status(&world), "DRAINING");
    world.run_until(110);
    assert_eq!((status(&world), world.plane.state().live_count), ("INACTIVE", 2));
}

/// An instance that dies takes its targets along, and the host does; their replacements are registered anew.
#[test]
fn targets_go_with_what_they_run_on() {
    let text = file(2, "", "[[container_instance]]\n        instance_type = \"m7i.large\"\n        count = 2")
        .replace("launch_type = \"FARGATE\"", "launch_type = \"EC2\"");
    let mut world = World::of_file(&text);
    world.run_until(100);
    let instance = world.plane.state().tasks[&TaskId(1)].task.container_instance.expect("it is placed");
    world.report_targets(TaskId(2), TargetState::Unhealthy);
    world.report_targets(TaskId(2), TargetState::Healthy);
    world.lose_instance(instance);
    world.run_until(150);
    check(
        &events(&world),
        &expect![[r#"
            0.000s (service web) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster.
            30.000s (service web) has started 2 tasks: (task T1) (task T2).
            31.000s (service web) registered 1 targets in (target-group tg)
            31.000s (service web) registered 1 targets in (target-group tg)
            33.000s (service web) (deployment ecs-svc/1) deployment completed.
            33.000s (service web) has reached a steady state.
            100.000s (service web) (task T2) (instance i-1) is unhealthy in (target-group tg) due to (reason Request timed out)
            100.000s (service web) has started 1 tasks: (task T3).
            100.000s (service web) has stopped 1 running tasks: (task T3).
            100.000s (service web) has reached a steady state.
            100.000s (service web) deregistered 2 targets in (target-group tg)
            100.000s (service web) has started 1 tasks: (task T4).
            100.000s (service web) was unable to place a task because no container instance met all of its requirements. The closest matching container-instance I2 encountered error "RESOURCE:ENI".
            101.000s (service web) has started 1 tasks: (task T5).
            101.000s (service web) registered 1 targets in (target-group tg)
            102.000s (service web) registered 1 targets in (target-group tg)
            104.000s (service web) has reached a steady state.
        "#]],
    );
    world.apply(Event::HostRestarted { reason: "the host is back".into() });
    assert!(world.plane.state().targets.is_empty());
}

/// ecs-semantics §5.5: other target groups start a deployment, the same ones do not; tasks of the older revision stay in theirs.
#[test]
fn other_target_groups_start_a_deployment() {
    let more = "[[target_group]]\n        name = \"next\"";
    let mut world = world(1, "", more);
    world.run_until(100);
    let load_balancer = |target_group: &str, port: u16| LoadBalancer {
        target_group: target_group.into(),
        container_name: "main".into(),
        container_port: port,
        alternate: None,
    };
    let put = |world: &mut World, load_balancers: Vec<LoadBalancer>| {
        let load_balancers = Some(load_balancers);
        let update = UpdateService { service: "web".into(), load_balancers, ..UpdateService::default() };
        world.request(Request::UpdateService(Box::new(update))).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(put(&mut world, vec![load_balancer("tg", 80)]), Ok(()));
    assert_eq!(web(&world).deployments.len(), 1);
    for (wrong, text) in [
        (vec![load_balancer("none", 80)], "The target group none does not exist."),
        (vec![load_balancer("tg", 82)], "The container main did not have a container port 82 defined."),
        (vec![load_balancer("tg", 80), load_balancer("tg", 81)], "The target group tg is named twice."),
        (vec![load_balancer("tg", 80); 6], "a service can have at most 5 target groups"),
    ] {
        let refused = put(&mut world, wrong).expect_err("it is wrong");
        assert!(refused.contains(text), "{refused}");
    }
    assert_eq!(put(&mut world, vec![load_balancer("next", 81)]), Ok(()));
    world.run_until(200);
    check(
        &events(&world),
        &expect![[r#"
            0.000s (service web) has started 1 tasks: (task T1).
            1.000s (service web) registered 1 targets in (target-group tg)
            3.000s (service web) (deployment ecs-svc/1) deployment completed.
            3.000s (service web) has reached a steady state.
            100.000s (service web) has started 1 tasks: (task T2).
            101.000s (service web) registered 1 targets in (target-group next)
            103.000s (service web) has stopped 1 running tasks: (task T1).
            103.000s (service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.
            103.000s (service web) (deployment ecs-svc/2) deployment completed.
            103.000s (service web) has reached a steady state.
            103.000s (service web) deregistered 1 targets in (target-group tg)
        "#]],
    );
    let forced = NewDeployment::Forced;
    let update = UpdateService { service: "web".into(), new_deployment: forced, ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    assert_eq!(&*web(&world).primary().revision.load_balancers[0].target_group, "next");
}

/// ecs-semantics §5.1: tasks of a DAEMON are in target groups, too; one that is deleted leaves them.
#[test]
fn daemons_have_target_groups() {
    let text = file(
        0,
        "scheduling_strategy = \"DAEMON\"",
        "[[container_instance]]\n        instance_type = \"m7i.large\"\n        count = 2",
    )
    .replace("launch_type = \"FARGATE\"", "launch_type = \"EC2\"")
    .replace("desired_count = 0\n", "\n");
    let mut world = World::of_file(&text);
    world.run_until(100);
    world.done(Request::DeleteService { service: "web".into(), deletion: Deletion::Forced });
    world.run_until(150);
    check(
        &events(&world),
        &expect![[r#"
        0.000s (service web) (deployment ecs-svc/1) deployment completed.
        0.000s (service web) has reached a steady state.
        30.000s (service web) has started 1 tasks: (task T1).
        30.000s (service web) has started 1 tasks: (task T2).
        31.000s (service web) registered 1 targets in (target-group tg)
        31.000s (service web) registered 1 targets in (target-group tg)
        33.000s (service web) has reached a steady state.
        100.000s (service web) has stopped 2 running tasks: (task T1) (task T2).
        100.000s (service web, taskSet ecs-svc/1) has begun draining connections on 2 tasks.
        100.000s (service web) deregistered 1 targets in (target-group tg)
        100.000s (service web) deregistered 1 targets in (target-group tg)
    "#]],
    );
}

/// A target group that is taken out of the file stays for the tasks that are in it.
#[test]
fn a_target_group_outlives_its_table() {
    let mut world = world(1, "", "");
    world.run_until(100);
    world.done(Request::DeleteTargetGroup { target_group: "tg".into() });
    world.report_targets(TaskId(1), TargetState::Unhealthy);
    world.run_until(150);
    let replacement = &world.plane.state().tasks[&TaskId(2)].task;
    assert_eq!(replacement.last_status, TaskStatus::Running);
    assert!(!world.plane.state().targets.contains_key(&TaskId(2)), "there is nothing to be in any more");
}

/// ARNs follow from the region and the name alone.
#[test]
fn arns() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    let parse = |text: &str| ClusterFile::parse(text, &path, &Catalog::embedded()).expect("it is right");
    let spec = parse(&file(1, "", ""));
    let arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/tg/";
    assert!(spec.target_groups[0].arn.starts_with(arn), "{}", spec.target_groups[0].arn);
    assert_eq!(spec.target_groups, parse(&file(5, "", "")).target_groups);
}

/// Jobs of a load that names no container go to the one that is a target, though another is the first.
#[test]
fn jobs_come_by_the_load_balancer() {
    let load = "[[load]]\n        service = \"web\"\n        job = \"x\"\n        jobs_per_second = 1";
    let text = file(1, "", load);
    let before = "[[task_definition.container]]\n          name = \"first\"\n          image = \"../workloads/limits/spin.wat\"\n          ";
    let text = text.replacen("[[task_definition.container]]", &format!("{before}[[task_definition.container]]"), 1);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    let container_of = |text: &str| {
        let spec = ClusterFile::parse(text, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
        spec.loads[0].container.clone()
    };
    assert_eq!(container_of(&text).as_deref(), Some("main"));
    let named = text.replace("job = \"x\"", "job = \"x\"\n        container = \"first\"");
    assert_eq!(container_of(&named).as_deref(), Some("first"));
}

/// CloudWatch counts a target group's targets by their health, under the end of its ARN.
#[test]
fn hosts_are_counted() {
    let mut world = world(2, "", "");
    world.run_until(70);
    world.behave("web", found(&[], Some(0)));
    world.report_targets(TaskId(2), TargetState::Unhealthy);
    world.run_until(130);
    let dimension = world.plane.state().target_groups["tg"].dimension().to_owned();
    assert!(dimension.starts_with("targetgroup/tg/"), "{dimension}");
    let metrics = &world.plane.state().metrics;
    let values = |name: &str| -> Vec<i64> {
        let metric = MetricId::new("AWS/ApplicationELB", name, &[("TargetGroup", &dimension)]);
        let points = metrics.points(&metric, at(0), at(120), secs(60));
        points.iter().map(|point| point.samples.statistic(Statistic::Maximum) / 1000).collect()
    };
    assert_eq!((values("HealthyHostCount"), values("UnHealthyHostCount")), (vec![2, 1], vec![0, 1]));
}

/// What keeps a task from counting is said with the state of its target, and what keeps one that is to stop with the end of the delay.
#[test]
fn targets_are_explained() {
    let mut world = world(1, "", "");
    world.behave("web", found(&[], None));
    world.run_until(30);
    let wait = |world: &World| match world.plane.explain(&Question::Task(TaskId(1))) {
        Ok(Explanation::Task(found)) => found.waits_for.expect("it waits"),
        other => panic!("{other:?}"),
    };
    assert!(
        matches!(wait(&world), TaskWait::Health { at: None, targets } if targets == [("tg".into(), TargetState::Initial)])
    );
    world.report_targets(TaskId(1), TargetState::Healthy);
    set_count(&mut world, 0);
    assert!(matches!(wait(&world), TaskWait::Deregistration { until: Some(until) } if until == at(90)));
}
