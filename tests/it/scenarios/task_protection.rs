//! Task scale-in protection, and what it shields from.

use expect_test::expect;
use longshore::control_plane::action::Response;
use longshore::control_plane::event::{Deletion, Event, Request, TaskProtection};
use longshore::model::capacity::{ContainerInstanceStatus, FARGATE_SPOT};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::TaskId;
use longshore::model::service::ServiceSpec;
use longshore::model::units::Duration;

use super::{check, deploy, set_count, web, web_on_ec2, web_within, with_services_later};
use crate::harness::{World, on_fargate, run, secs, service, strategy};

/// Asks for protection and shows the answer.
fn protect(world: &mut World, tasks: &[u64], protection: TaskProtection) -> String {
    let tasks = tasks.iter().map(|task| TaskId(*task)).collect();
    match world.request(Request::UpdateTaskProtection { tasks, protection }) {
        Ok(Response::TaskProtection { protected, failures }) => {
            let protected = protected.iter().map(|(task, until)| match until {
                Some(until) => format!("T{task} until {until}\n"),
                None => format!("T{task} is free\n"),
            });
            let failures = failures.iter().map(|failure| format!("T{} {}\n", failure.task, failure.reason));
            protected.chain(failures).collect()
        }
        Ok(other) => panic!("it is answered with tasks, not with {other:?}"),
        Err(error) => format!("{}: {error}\n", error.exception()),
    }
}

fn minutes(minutes: u64) -> TaskProtection {
    TaskProtection::Enabled { expires_in: Some(secs(60 * minutes)) }
}

const USUAL: TaskProtection = TaskProtection::Enabled { expires_in: None };

/// ecs-semantics §2.6: two hours unless said; from 1 to 2880 minutes; asked again it begins anew; ten tasks at most; unknown, standalone
/// and too many tasks are failures.
#[test]
fn answers_of_the_request() {
    let mut world = World::new(&web(2));
    world.run_task(run("web", 1, on_fargate()));
    world.run_until(60);
    let mut shown = protect(&mut world, &[1], USUAL);
    world.run_until(120);
    shown += &protect(&mut world, &[1], minutes(1));
    shown += &protect(&mut world, &[1, 2, 3, 77], minutes(2880));
    set_count(&mut world, 1);
    shown += &protect(&mut world, &[1], USUAL);
    shown += &protect(&mut world, &[2], TaskProtection::Disabled);
    shown += &protect(&mut world, &[1], TaskProtection::Enabled { expires_in: Some(Duration::from_secs(59)) });
    shown += &protect(&mut world, &[1], minutes(2881));
    shown += &protect(&mut world, &[1; 11], USUAL);
    shown += &protect(&mut world, &[], USUAL);
    check(
        &shown,
        &expect![[r#"
            T1 until 7260.000s
            T1 until 180.000s
            T1 until 172920.000s
            T2 until 172920.000s
            T3 TASK_NOT_VALID
            T77 MISSING
            T1 DEPLOYMENT_BLOCKED
            T2 is free
            InvalidParameterException: expiresInMinutes must be from 1 to 2880
            InvalidParameterException: expiresInMinutes must be from 1 to 2880
            InvalidParameterException: a request protects from 1 to 10 tasks
            InvalidParameterException: a request protects from 1 to 10 tasks
        "#]],
    );
}

/// ecs-semantics §2.6: scale-in takes other tasks, and the protected one when its time is over.
#[test]
fn scale_in_spares_protected_tasks() {
    let mut world = World::new(&web(3));
    world.run_until(60);
    protect(&mut world, &[2, 3], minutes(10));
    set_count(&mut world, 1);
    world.run_until(1000);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopping 60.000s stopped 61.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T2 web:1 RUNNING created 0.000s started 1.000s
        T3 web:1 STOPPED created 0.000s started 1.000s stopping 660.000s stopped 661.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 3 tasks: (task T1) (task T2) (task T3).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        60.000s (service web) has stopped 1 running tasks: (task T1).
        60.000s (service web) was unable to reach steady state because task set (ecs-svc/1) was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks
        660.000s (service web) has stopped 1 running tasks: (task T3).
        660.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §2.6, §3.3: an old task that lingers only for its protection has no other in its place when its instance drains.
#[test]
fn protected_tasks_of_old_deployments_are_not_replaced() {
    let mut world = with_services_later(web_on_ec2(2, Vec::new()));
    world.run_until(100);
    protect(&mut world, &[1], minutes(10));
    deploy(&mut world);
    world.run_until(300);
    let host = world.plane.state().tasks[&TaskId(1)].task.container_instance.expect("it is placed");
    let status = ContainerInstanceStatus::Draining;
    world.done(Request::UpdateContainerInstancesState { instances: vec![host], status });
    world.run_until(1000);
    let of_drain = world.service_events("web");
    let later = of_drain.lines().filter(|line| !line.starts_with("20.000s") && !line.starts_with("61.000s"));
    check(
        &later.map(|line| format!("{line}\n")).collect::<String>(),
        &expect![[r#"
        100.000s (service web) has started 2 tasks: (task T3) (task T4).
        141.000s (service web) has stopped 1 running tasks: (task T2).
        700.000s (service web) has stopped 1 running tasks: (task T1).
        700.000s (service web) (deployment ecs-svc/2) deployment completed.
        700.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §2.6: in a deployment the new tasks start while protected old ones linger, and it completes when they are let go.
#[test]
fn deployments_leave_protected_tasks() {
    let mut world = World::new(&web_within(2, 100, 200));
    world.run_until(60);
    protect(&mut world, &[1], minutes(10));
    deploy(&mut world);
    world.run_until(500);
    let lingering = world.counts("web");
    protect(&mut world, &[1], TaskProtection::Disabled);
    world.run_until(600);
    check(
        &format!("{lingering}\n{}\n", world.counts("web")),
        &expect![[r#"
        desired 2 running 3 pending 0 healthy 3
        desired 2 running 2 pending 0 healthy 2
    "#]],
    );
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        60.000s (service web) has started 2 tasks: (task T3) (task T4).
        101.000s (service web) has stopped 1 running tasks: (task T2).
        500.000s (service web) has stopped 1 running tasks: (task T1).
        500.000s (service web) (deployment ecs-svc/2) deployment completed.
        500.000s (service web) has reached a steady state.
    "#]],
    );
}

/// ecs-semantics §2.6: it does not shield from StopTask, nor from the loss of the capacity.
#[test]
fn stops_from_outside_are_not_held_off() {
    let launch_target = strategy(&[(FARGATE_SPOT, 0, 1)]);
    let services = vec![ServiceSpec { launch_target, ..service("web", 2) }];
    let mut world = World::new(&ClusterSpec { services, ..web(0) });
    world.run_until(60);
    protect(&mut world, &[1, 2], USUAL);
    world.done(Request::StopTask { task: TaskId(1), reason: None });
    world.apply(Event::SpotInterruption { task: TaskId(2) });
    world.run_until(200);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED FARGATE_SPOT created 0.000s started 1.000s stopping 60.000s stopped 61.000s UserInitiated: Task stopped by user
        T2 web:1 STOPPED FARGATE_SPOT created 0.000s started 1.000s stopping 60.000s stopped 61.000s SpotInterruption: Your Spot Task was interrupted.
        T3 web:1 RUNNING FARGATE_SPOT created 60.000s started 61.000s
        T4 web:1 RUNNING FARGATE_SPOT created 60.000s started 61.000s
    "#]],
    );
}

/// *Ours:* protection is from scale-in, not from the end of the service itself: one that is deleted stops its protected tasks, too.
#[test]
fn deleted_services_stop_protected_tasks() {
    let mut world = World::new(&web(2));
    world.run_until(60);
    protect(&mut world, &[1], USUAL);
    world.done(Request::DeleteService { service: "web".into(), deletion: Deletion::Forced });
    world.run_until(100);
    assert!(world.plane.state().is_empty(), "{}", world.tasks());
    assert_eq!(world.plane.state().tasks[&TaskId(1)].task.protected_until, None);
}
