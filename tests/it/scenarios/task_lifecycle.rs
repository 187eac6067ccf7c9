//! How tasks end: every row of the tables of statuses and of stop codes, side by side.

use std::fmt::Write as _;

use expect_test::expect;
use longshore::control_plane::event::{Deregistration, Event, Request};
use longshore::model::capacity::{FARGATE_SPOT, SpotDraining};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::task::TaskStatus;
use longshore::model::usage::PurchaseOption;

use super::containers::{CHECKED, idle, task_of};
use super::{check, deploy, set_count, web, web_on_ec2};
use crate::harness::{
    Behaviour, ContainerBehaviour, End, FAILS, Life, PASSES, World, at, instance_launch, on_ec2, on_fargate, provider,
    run, secs, service, strategy, task_definition,
};

fn batch() -> World {
    World::new(&ClusterSpec { services: Vec::new(), ..web(0) })
}

fn on_instances() -> World {
    let container_instances = vec![instance_launch("us-east-1a")];
    let mut world = World::new(&ClusterSpec { container_instances, services: Vec::new(), ..web(0) });
    world.run_until(20);
    world.run_task(run("web", 1, on_ec2()));
    world.run_until(60);
    world
}

/// Status, stop code, reason and exit codes of the first task that is over, once all is over.
fn end_of(mut world: World) -> String {
    world.run_for(300);
    let over = world.plane.state().tasks.values().find(|record| record.task.last_status == TaskStatus::Stopped);
    let task = &over.expect("a task ends").task;
    let codes = task.containers.iter().map(|container| match (container.exit.exit_code, &container.exit.reason) {
        (Some(code), _) => code.to_string(),
        (None, Some(_)) => "none, with a reason".to_owned(),
        (None, None) => "none".to_owned(),
    });
    let ran = if task.started_at.is_some() { "ran" } else { "never ran" };
    let stopping = if task.stopping_at.is_some() { ", was asked to stop" } else { "" };
    format!(
        "{}: {}, {ran}{stopping}, exit code {}",
        task.stop_code.expect("it has one").as_str(),
        task.stopped_reason.as_deref().expect("it has one"),
        codes.collect::<Vec<_>>().join(", ")
    )
}

/// ecs-semantics §2.4, the table of stop codes: each cause has its code and its reason. *Ours,* where the rule book leaves it open: an
/// instance that ends, Spot included, is `TerminationNotice`, a forced deregistration `UserInitiated`. §12.3: an interruption is 137.
#[test]
fn every_cause_has_its_stop_code_and_reason() {
    let mut shown = String::new();
    let mut row = |cause: &str, world: World| {
        let _ = writeln!(shown, "{cause}: {}", end_of(world));
    };
    for (cause, behaviour) in [
        ("exit 0", Behaviour { end: End::Exit { after: secs(5), code: 0 }, ..Behaviour::default() }),
        ("exit 3", Behaviour { end: End::Exit { after: secs(5), code: 3 }, ..Behaviour::default() }),
        (
            "no image",
            Behaviour {
                end: End::FailToStart { reason: "CannotPullContainerError: image not found" },
                ..Behaviour::default()
            },
        ),
    ] {
        let mut world = batch();
        world.behave("web", behaviour);
        world.run_task(run("web", 1, on_fargate()));
        row(cause, world);
    }
    for (cause, reason, stop) in [
        ("StopTask", None, secs(1)),
        ("StopTask with a reason", Some("maintenance".to_owned()), secs(1)),
        ("StopTask, ignored by the container", None, secs(3600)),
    ] {
        let mut world = batch();
        world.behave("web", Behaviour { stop, ..Behaviour::default() });
        world.run_task(run("web", 1, on_fargate()));
        world.run_until(10);
        world.done(Request::StopTask { task: TaskId(1), reason });
        row(cause, world);
    }
    let mut world = World::new(&web(2));
    world.run_until(100);
    set_count(&mut world, 1);
    row("scale-in", world);
    let mut world = World::new(&web(1));
    world.run_until(100);
    deploy(&mut world);
    row("another deployment", world);
    let mut world = idle(&[&format!("name = \"main\", {CHECKED}")]);
    world.contain("app", "main", ContainerBehaviour { checks: vec![PASSES, FAILS], ..ContainerBehaviour::default() });
    world.done(Request::CreateService(Box::new(service("app", 1))));
    world.contain("app", "main", ContainerBehaviour::default());
    row("container health", world);
    let mut world = task_of(&[&format!("name = \"main\", {CHECKED}")]);
    let lives = vec![Life::CannotStart];
    world.contain("app", "main", ContainerBehaviour { lives, ..ContainerBehaviour::default() });
    row("no start of a container", world);
    let mut world = on_instances();
    world.done(Request::TerminateInstance(ContainerInstanceId(1)));
    row("instance terminated", world);
    let mut world = on_instances();
    world.lose_instance(ContainerInstanceId(1));
    row("instance lost", world);
    let mut world = on_instances();
    let (instance, deregistration) = (ContainerInstanceId(1), Deregistration::Forced);
    world.done(Request::DeregisterContainerInstance { instance, deregistration });
    row("instance deregistered by force", world);
    let mut world = batch();
    world.run_task(run("web", 1, strategy(&[(FARGATE_SPOT, 0, 1)])));
    world.run_until(10);
    world.apply(Event::SpotInterruption { task: TaskId(1) });
    row("Fargate Spot reclaimed", world);
    let mut world = batch();
    world.run_task(run("web", 1, on_fargate()));
    world.run_until(10);
    world.apply(Event::TaskRetirement { task: TaskId(1) });
    // What was on Fargate for seven days.
    world.run_until(7 * 24 * 3600 + 10);
    row("Fargate task retired", world);
    let mut asg = provider("asg", 1, 1);
    asg.auto_scaling_group.purchase_option = PurchaseOption::Spot;
    asg.auto_scaling_group.spot_draining = SpotDraining::Disabled;
    let mut world = World::new(&ClusterSpec { capacity_providers: vec![asg], services: Vec::new(), ..web(0) });
    world.run_until(20);
    world.run_task(run("web", 1, on_ec2()));
    world.run_until(60);
    world.apply(Event::InstanceSpotInterruption { instance: ContainerInstanceId(1) });
    row("EC2 Spot reclaimed", world);
    check(
        &shown,
        &expect![[r#"
        exit 0: EssentialContainerExited: Essential container in task exited, ran, exit code 0
        exit 3: EssentialContainerExited: Essential container in task exited, ran, exit code 3
        no image: TaskFailedToStart: CannotPullContainerError: image not found, never ran, exit code none
        StopTask: UserInitiated: Task stopped by user, ran, was asked to stop, exit code 0
        StopTask with a reason: UserInitiated: maintenance, ran, was asked to stop, exit code 0
        StopTask, ignored by the container: UserInitiated: Task stopped by user, ran, was asked to stop, exit code 137
        scale-in: ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/7072917602864530048), ran, was asked to stop, exit code 0
        another deployment: ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/7072917602864530048), ran, was asked to stop, exit code 0
        container health: ServiceSchedulerInitiated: Task failed container health checks, ran, was asked to stop, exit code 143
        no start of a container: TaskFailedToStart: CannotStartContainerError: no such program, never ran, exit code none, with a reason
        instance terminated: TerminationNotice: Host EC2 (instance i-071bb54d8d101b5b9) stopped/terminated, ran, was asked to stop, exit code none
        instance lost: TerminationNotice: Host EC2 (instance i-071bb54d8d101b5b9) stopped/terminated, ran, was asked to stop, exit code none
        instance deregistered by force: UserInitiated: Container instance deregistration forced by user, ran, exit code none
        Fargate Spot reclaimed: SpotInterruption: Your Spot Task was interrupted., ran, was asked to stop, exit code 0
        Fargate task retired: InfrastructureHealth: ECS is performing maintenance on the underlying infrastructure hosting the task, ran, was asked to stop, exit code 0
        EC2 Spot reclaimed: TerminationNotice: Host EC2 (instance i-071bb54d8d101b5b9) stopped/terminated, ran, was asked to stop, exit code none
    "#]],
    );
}

/// ecs-semantics §2.1, the table of statuses: what a task passes on its way, by where it runs and how it ends. Those that have nothing to
/// do are skipped, and none comes twice.
#[test]
fn statuses_are_passed_in_order() {
    let mut shown = String::new();
    let pulls = Behaviour { pull: secs(2), ..Behaviour::default() };
    for (case, target, behaviour, stop) in [
        ("Fargate, with a pull", on_fargate(), pulls.clone(), true),
        ("EC2, nothing to pull", on_ec2(), Behaviour::default(), true),
        ("a provider without an instance yet", strategy(&[("asg", 0, 1)]), Behaviour::default(), true),
        (
            "ends by itself",
            on_fargate(),
            Behaviour { end: End::Exit { after: secs(5), code: 0 }, ..Behaviour::default() },
            false,
        ),
        (
            "never starts",
            on_fargate(),
            Behaviour { end: End::FailToStart { reason: "CannotPullContainerError: no" }, ..pulls },
            false,
        ),
    ] {
        let mut world = World::new(&ClusterSpec {
            capacity_providers: vec![provider("asg", 0, 1)],
            container_instances: vec![instance_launch("us-east-1a")],
            task_definitions: vec![task_definition("web", 256, 512)],
            services: Vec::new(),
            ..web(0)
        });
        world.behave("web", behaviour);
        world.run_until(20);
        world.run_task(run("web", 1, target));
        let mut passed: Vec<&str> = Vec::new();
        let mut is_stopped = !stop;
        loop {
            let status = world.plane.state().tasks[&TaskId(1)].task.last_status;
            if passed.last() != Some(&status.as_str()) {
                passed.push(status.as_str());
            }
            if status == TaskStatus::Running && !is_stopped {
                is_stopped = true;
                world.done(Request::StopTask { task: TaskId(1), reason: None });
            } else if !world.step(at(300)) {
                break;
            }
        }
        let _ = writeln!(shown, "{case}: {}", passed.join(" "));
    }
    check(
        &shown,
        &expect![[r#"
        Fargate, with a pull: PENDING ACTIVATING RUNNING STOPPING STOPPED
        EC2, nothing to pull: PENDING RUNNING STOPPING STOPPED
        a provider without an instance yet: PROVISIONING PENDING RUNNING STOPPING STOPPED
        ends by itself: PENDING RUNNING STOPPED
        never starts: PENDING ACTIVATING STOPPED
    "#]],
    );
}

/// ecs-semantics §2.1: a task's moments: created, pulled, started, asked to stop, its first essential container over, over; each is
/// there when it has happened and does not change after.
#[test]
fn moments_of_a_task() {
    let mut world = World::new(&ClusterSpec { services: Vec::new(), ..web_on_ec2(0, Vec::new()) });
    world.behave("web", Behaviour { pull: secs(3), stop: secs(5), ..Behaviour::default() });
    world.run_until(20);
    world.run_task(run("web", 1, on_ec2()));
    world.run_until(60);
    world.done(Request::StopTask { task: TaskId(1), reason: None });
    world.run_until(100);
    let task = &world.plane.state().tasks[&TaskId(1)].task;
    let moments = [
        ("createdAt", Some(task.created_at)),
        ("connectivityAt", task.connectivity_at),
        ("pullStartedAt", task.pull_started_at),
        ("pullStoppedAt", task.pull_stopped_at),
        ("startedAt", task.started_at),
        ("stoppingAt", task.stopping_at),
        ("executionStoppedAt", task.execution_stopped_at),
        ("stoppedAt", task.stopped_at),
    ];
    let moments = moments.map(|(name, at)| format!("{name} {}\n", at.map_or("-".to_owned(), |at| at.to_string())));
    check(
        &moments.concat(),
        &expect![[r#"
        createdAt 20.000s
        connectivityAt 20.000s
        pullStartedAt 20.000s
        pullStoppedAt 23.000s
        startedAt 24.000s
        stoppingAt 60.000s
        executionStoppedAt 60.000s
        stoppedAt 65.000s
    "#]],
    );
}
