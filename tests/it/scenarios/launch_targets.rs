//! Where a task goes: launch types, strategies and the cluster's default.

use expect_test::expect;
use longshore::control_plane::event::Request;
use longshore::model::capacity::{CapacityProviderStrategyItem, FARGATE_SPOT, LaunchTarget};
use longshore::model::cluster::{ClusterSpec, RunTaskSpec};
use longshore::model::service::{BinpackField, PlacementConstraint, PlacementStrategy, ServiceSpec};
use longshore::model::task_definition::TaskDefinitionRef;

use super::{check, web};
use crate::harness::{
    World, instance_launch, latest, on_ec2, on_fargate, provider, run, service, strategy, task_definition,
};

fn world() -> World {
    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![provider("asg", 1, 1)],
        container_instances: vec![instance_launch("us-east-1a")],
        services: Vec::new(),
        ..web(0)
    });
    world.run_until(20);
    world
}

/// ecs-semantics §4.5, §6.1: the request's strategy or launch type comes before the cluster's default strategy, and without any of them
/// it is launch type EC2. A default that changes moves nothing.
#[test]
fn precedence_of_targets() {
    let mut world = world();
    for target in [LaunchTarget::ClusterDefault, on_ec2(), on_fargate(), strategy(&[("asg", 0, 1)])] {
        world.run_task(run("web", 1, target));
    }
    let spot = CapacityProviderStrategyItem { capacity_provider: FARGATE_SPOT.into(), weight: 1, base: 0 };
    world.done(Request::PutDefaultStrategy(vec![spot]));
    for target in [LaunchTarget::ClusterDefault, on_ec2(), on_fargate(), strategy(&[("asg", 0, 1)])] {
        world.run_task(run("web", 1, target));
    }
    let launch_target = LaunchTarget::ClusterDefault;
    world.done(Request::CreateService(Box::new(ServiceSpec { launch_target, ..service("web", 1) })));
    world.run_until(40);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 RUNNING I2 created 20.000s started 21.000s
        T2 web:1 RUNNING I2 created 20.000s started 21.000s
        T3 web:1 RUNNING created 20.000s started 21.000s
        T4 web:1 RUNNING asg I1 created 20.000s started 21.000s
        T5 web:1 RUNNING FARGATE_SPOT created 20.000s started 21.000s
        T6 web:1 RUNNING I1 created 20.000s started 21.000s
        T7 web:1 RUNNING created 20.000s started 21.000s
        T8 web:1 RUNNING asg I1 created 20.000s started 21.000s
        T9 web:1 RUNNING FARGATE_SPOT created 20.000s started 21.000s
    "#]],
    );
}

/// ecs-semantics §4.1: Fargate knows no strategies and constraints of placement: they neither help nor hinder.
#[test]
fn fargate_ignores_placement() {
    let mut world = world();
    let (tasks, failures) = world.run_task(RunTaskSpec {
        placement_strategy: vec![PlacementStrategy::Binpack(BinpackField::Memory)],
        placement_constraints: vec![PlacementConstraint::DistinctInstance],
        ..run("web", 3, on_fargate())
    });
    assert_eq!((tasks.len(), failures.len()), (3, 0));
}

/// ecs-semantics §1.4, §4.5: a family alone is its latest revision, and a revision is what it says.
#[test]
fn references_to_task_definitions() {
    let mut world = world();
    world.done(Request::RegisterTaskDefinition(Box::new(task_definition("web", 512, 1024))));
    world.run_task(run("web", 1, on_fargate()));
    let first = TaskDefinitionRef { revision: Some(1), ..latest("web") };
    world.run_task(RunTaskSpec { task_definition: first, ..run("web", 1, on_fargate()) });
    let third = TaskDefinitionRef { revision: Some(3), ..latest("web") };
    let unknown = RunTaskSpec { task_definition: third, ..run("web", 1, on_fargate()) };
    let refused = world.request(Request::RunTask(Box::new(unknown))).expect_err("there are two revisions");
    check(
        &format!("{}{refused}\n", world.tasks()),
        &expect![[r#"
        T1 web:2 PENDING created 20.000s
        T2 web:1 PENDING created 20.000s
        TaskDefinition not found: web:3
    "#]],
    );
}
