//! Managed scaling of a provider: its metric and its settings, row by row.
//!
//! Groups are of c7i.large (2 vCPU, 4 GiB), booting in 10 s; a task of `job` takes a whole instance, a `small` one an eighth.

use expect_test::expect;
use longshore::control_plane::event::{Request, UpdateService};
use longshore::model::capacity::{CapacityProvider, FARGATE, FARGATE_SPOT, ManagedScaling};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::TaskId;
use longshore::model::service::ServiceSpec;

use super::check;
use crate::harness::{World, daemon, empty_cluster, latest, provider, run, secs, service, strategy, task_definition};

fn world(provider: CapacityProvider) -> World {
    World::new(&ClusterSpec {
        capacity_providers: vec![provider],
        task_definitions: vec![task_definition("job", 2048, 1024), task_definition("small", 256, 256)],
        ..empty_cluster()
    })
}

fn scaled(min: u32, max: u32, change: impl FnOnce(&mut ManagedScaling)) -> CapacityProvider {
    let mut provider = provider("asg", min, max);
    change(provider.managed_scaling.as_mut().expect("it is scaled"));
    provider
}

fn jobs(world: &mut World, count: u32) {
    world.run_task(run("job", count, strategy(&[("asg", 0, 1)])));
}

fn metric(world: &World) -> u64 {
    world.plane.state().capacity_providers["asg"].reservation_millipercent.expect("a period is over") / 1000
}

/// ecs-semantics §6.3, the metric's rows: nothing needed and nothing there is 100; something needed and nothing there is 200, and the
/// first step two instances; two there and four needed is 200; as many busy as there are is 100; whole instances count, however
/// little runs on them; none needed of some is 0.
#[test]
fn rows_of_the_metric() {
    let mut empty = world(provider("asg", 0, 10));
    empty.run_until(61);
    assert_eq!(metric(&empty), 100);
    jobs(&mut empty, 1);
    empty.run_until(121);
    assert_eq!(metric(&empty), 200);
    assert_eq!(empty.plane.state().capacity_providers["asg"].desired_capacity, 2);

    let mut two = world(provider("asg", 2, 10));
    two.run_until(20);
    jobs(&mut two, 4);
    two.run_until(61);
    assert_eq!(metric(&two), 200);
    two.run_until(121);
    assert_eq!(metric(&two), 100);

    let mut little = world(provider("asg", 2, 10));
    little.run_until(20);
    little.run_task(run("small", 1, strategy(&[("asg", 0, 1)])));
    little.run_until(61);
    assert_eq!(metric(&little), 50);
    little.done(Request::StopTask { task: TaskId(1), reason: None });
    little.run_until(121);
    assert_eq!(metric(&little), 0);
}

/// ecs-semantics §6.3: an instance with nothing but a daemon's task is empty.
#[test]
fn daemons_do_not_count() {
    let mut world = world(provider("asg", 0, 10));
    let watch = ServiceSpec { task_definition: latest("small"), ..daemon("watch") };
    world.done(Request::CreateService(Box::new(watch)));
    world.run_task(run("small", 1, strategy(&[("asg", 0, 1)])));
    world.run_until(300);
    assert_eq!(metric(&world), 50);
    let job = world.plane.state().tasks.values().find(|record| record.task.service.is_none()).expect("it runs").task.id;
    world.done(Request::StopTask { task: job, reason: None });
    world.run_until(3600);
    assert_eq!(metric(&world), 100);
    check(
        &world.group_activities(),
        &expect![[r#"
        60.000s asg 0 -> 2: CapacityProviderReservation is 200% (1 needed, 0 present) against a target of 100%: scale-out to 2
        960.000s asg 2 -> 1: CapacityProviderReservation is 0% (0 needed, 2 present) against a target of 100%: scale-in to 1
        960.000s asg 1 -> 1: instance i-1 drains before it goes: the group has more instances than it desires
        1020.000s asg 1 -> 0: CapacityProviderReservation is 0% (0 needed, 1 present) against a target of 100%: scale-in to 0
        1020.000s asg 0 -> 0: instance i-2 drains before it goes: the group has more instances than it desires
    "#]],
    );
}

/// ecs-semantics §6.2, §6.3: at a target of 50 the group settles at twice the busy instances.
#[test]
fn a_target_of_50_keeps_as_many_empty() {
    let mut world = world(scaled(0, 10, |managed| managed.target_capacity = 50));
    jobs(&mut world, 3);
    world.run_until(3600);
    check(
        &world.group_activities(),
        &expect![[r#"
        60.000s asg 0 -> 2: CapacityProviderReservation is 200% (3 needed, 0 present) against a target of 50%: scale-out to 2
        120.000s asg 2 -> 6: CapacityProviderReservation is 150% (3 needed, 2 present) against a target of 50%: scale-out to 6
    "#]],
    );
    assert_eq!(metric(&world), 50);
}

/// ecs-semantics §6.2: step sizes bound a scale-out, the least one upwards too, and a scale-in not at all.
#[test]
fn step_sizes_bound_scale_out() {
    for (least, most, expected) in [
        (
            1,
            2,
            expect![[r#"
        60.000s asg 1 -> 3: CapacityProviderReservation is 300% (3 needed, 1 present) against a target of 100%: scale-out to 3
        120.000s asg 3 -> 5: CapacityProviderReservation is 166.666% (5 needed, 3 present) against a target of 100%: scale-out to 5
        180.000s asg 5 -> 7: CapacityProviderReservation is 140% (7 needed, 5 present) against a target of 100%: scale-out to 7
        1260.000s asg 7 -> 4: CapacityProviderReservation is 0% (0 needed, 7 present) against a target of 100%: scale-in to 4
        1260.000s asg 4 -> 4: instance i-1 goes: the group has more instances than it desires
        1260.000s asg 4 -> 4: instance i-3 goes: the group has more instances than it desires
        1260.000s asg 4 -> 4: instance i-2 goes: the group has more instances than it desires
        1320.000s asg 4 -> 3: CapacityProviderReservation is 0% (0 needed, 4 present) against a target of 100%: scale-in to 3
        1320.000s asg 3 -> 3: instance i-5 goes: the group has more instances than it desires
        1380.000s asg 3 -> 2: CapacityProviderReservation is 0% (0 needed, 3 present) against a target of 100%: scale-in to 2
        1380.000s asg 2 -> 2: instance i-4 goes: the group has more instances than it desires
        1440.000s asg 2 -> 1: CapacityProviderReservation is 0% (0 needed, 2 present) against a target of 100%: scale-in to 1
        1440.000s asg 1 -> 1: instance i-7 goes: the group has more instances than it desires
    "#]],
        ),
        (
            4,
            10_000,
            expect![[r#"
        60.000s asg 1 -> 5: CapacityProviderReservation is 500% (5 needed, 1 present) against a target of 100%: scale-out to 5
        960.000s asg 5 -> 3: CapacityProviderReservation is 0% (0 needed, 5 present) against a target of 100%: scale-in to 3
        960.000s asg 3 -> 3: instance i-1 goes: the group has more instances than it desires
        960.000s asg 3 -> 3: instance i-3 goes: the group has more instances than it desires
        1020.000s asg 3 -> 2: CapacityProviderReservation is 0% (0 needed, 3 present) against a target of 100%: scale-in to 2
        1020.000s asg 2 -> 2: instance i-2 goes: the group has more instances than it desires
        1080.000s asg 2 -> 1: CapacityProviderReservation is 0% (0 needed, 2 present) against a target of 100%: scale-in to 1
        1080.000s asg 1 -> 1: instance i-5 goes: the group has more instances than it desires
    "#]],
        ),
    ] {
        let mut world = world(scaled(1, 20, |managed| {
            managed.minimum_scaling_step_size = least;
            managed.maximum_scaling_step_size = most;
        }));
        world.run_until(20);
        jobs(&mut world, if least == 1 { 7 } else { 2 });
        world.run_until(400);
        for task in 1..=7 {
            let _ = world.request(Request::StopTask { task: TaskId(task), reason: None });
        }
        world.run_until(3600);
        check(&world.group_activities(), &expected);
    }
}

/// ecs-semantics §6.4: an instance younger than the warm-up holds further scale-out off.
#[test]
fn warm_up_holds_scale_out_off() {
    let mut world = world(scaled(0, 20, |managed| managed.instance_warmup_period = secs(300)));
    jobs(&mut world, 5);
    world.run_until(1200);
    check(
        &world.group_activities(),
        &expect![[r#"
        60.000s asg 0 -> 2: CapacityProviderReservation is 200% (5 needed, 0 present) against a target of 100%: scale-out to 2
        360.000s asg 2 -> 5: CapacityProviderReservation is 250% (5 needed, 2 present) against a target of 100%: scale-out to 5
    "#]],
    );
}

/// ecs-semantics §6.4: a scale-in takes fifteen periods, none less after a scale-out, and begins anew with one.
#[test]
fn scale_in_counts_anew_after_a_scale_out() {
    let mut world = world(provider("asg", 1, 20));
    world.run_until(20);
    jobs(&mut world, 4);
    world.run_until(300);
    for task in 2..=4 {
        world.done(Request::StopTask { task: TaskId(task), reason: None });
    }
    // Thirteen periods later more is wanted than there is.
    world.run_until(1090);
    jobs(&mut world, 4);
    world.run_until(1300);
    for task in 5..=8 {
        world.done(Request::StopTask { task: TaskId(task), reason: None });
    }
    world.run_until(3600);
    check(
        &world.group_activities(),
        &expect![[r#"
        60.000s asg 1 -> 4: CapacityProviderReservation is 400% (4 needed, 1 present) against a target of 100%: scale-out to 4
        1140.000s asg 4 -> 5: CapacityProviderReservation is 125% (5 needed, 4 present) against a target of 100%: scale-out to 5
        2160.000s asg 5 -> 3: CapacityProviderReservation is 20% (1 needed, 5 present) against a target of 100%: scale-in to 3
        2160.000s asg 3 -> 3: instance i-3 goes: the group has more instances than it desires
        2160.000s asg 3 -> 3: instance i-5 goes: the group has more instances than it desires
        2220.000s asg 3 -> 2: CapacityProviderReservation is 33.333% (1 needed, 3 present) against a target of 100%: scale-in to 2
        2220.000s asg 2 -> 2: instance i-2 goes: the group has more instances than it desires
        2280.000s asg 2 -> 1: CapacityProviderReservation is 50% (1 needed, 2 present) against a target of 100%: scale-in to 1
        2280.000s asg 1 -> 1: instance i-4 goes: the group has more instances than it desires
    "#]],
    );
}

/// ecs-semantics §6.1: base first, then the weights, whatever the count was before: of ten with base 2 at 1:3 four and six, and of
/// twelve more three and nine.
#[test]
fn base_and_weights_as_a_service_grows() {
    let launch_target = strategy(&[(FARGATE, 2, 1), (FARGATE_SPOT, 0, 3)]);
    let mut world = World::new(&ClusterSpec {
        task_definitions: vec![task_definition("small", 256, 512)],
        services: vec![ServiceSpec { launch_target, ..service("small", 10) }],
        ..empty_cluster()
    });
    let counts = |world: &World| {
        [FARGATE, FARGATE_SPOT].map(|name| {
            let tasks = world.plane.state().tasks.values();
            tasks.filter(|record| record.task.capacity_provider.as_deref() == Some(name)).count()
        })
    };
    world.run_until(100);
    assert_eq!(counts(&world), [4, 6]);
    let update = UpdateService { service: "small".into(), desired_count: Some(22), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_until(200);
    assert_eq!(counts(&world), [7, 15]);
}
