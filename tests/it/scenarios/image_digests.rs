//! Image digests that cannot be resolved. Times as in the module above.

use expect_test::expect;
use longshore::control_plane::action::Action;
use longshore::control_plane::event::{NewDeployment, Request, UpdateService};

use super::deployments::{deploy, never_runs, records, since, web_beside};
use super::{check, set_count};
use crate::harness::{Behaviour, End, World};

/// A service `web` of one task on Fargate with the given keys of its deployment configuration.
fn web_of_one(configuration: &str) -> World {
    let mut world = web_beside("", configuration);
    set_count(&mut world, 1);
    world
}

/// Whether each task of a revision is told to have the images of the deployment's first one.
fn consistency(world: &World, definition: &str) -> String {
    let starts = world.actions.iter().flatten().filter_map(|action| match action {
        Action::StartTask(start) if start.task_definition.to_string() == definition => Some(start.version_consistency),
        _ => None,
    });
    starts.map(|found| format!("{found:?}")).collect::<Vec<_>>().join(" ")
}

/// ecs-semantics §5.9: a deployment whose image can't be resolved three times goes on unpinned; its next one begins anew.
#[test]
fn three_failed_resolutions_leave_a_deployment_unpinned() {
    let mut world = web_of_one("minimum_healthy_percent = 0");
    world.run_until(100);
    deploy(&mut world, never_runs());
    world.run_for(11);
    assert_eq!(consistency(&world, "web:2"), "Enabled Enabled Enabled Disabled");
    world.behave("web:2", Behaviour::default());
    world.run_for(200);
    assert_eq!(consistency(&world, "web:2"), "Enabled Enabled Enabled Disabled Disabled");
    set_count(&mut world, 2);
    world.run_for(100);
    assert_eq!(consistency(&world, "web:2"), "Enabled Enabled Enabled Disabled Disabled Disabled");
    let update = UpdateService { service: "web".into(), new_deployment: NewDeployment::Forced, ..Default::default() };
    world.done(Request::UpdateService(Box::new(update)));
    world.run_for(1);
    assert!(consistency(&world, "web:2").ends_with("Disabled Enabled Enabled"), "{}", consistency(&world, "web:2"));
}

/// ecs-semantics §5.9: two failures, or those of tasks that find their images, leave it pinned.
#[test]
fn fewer_and_other_failures_leave_it_pinned() {
    let mut world = web_of_one("minimum_healthy_percent = 0");
    world.run_until(100);
    deploy(&mut world, never_runs());
    world.run_for(3);
    world.behave("web:2", Behaviour::default());
    world.run_for(100);
    assert_eq!(consistency(&world, "web:2"), "Enabled Enabled Enabled");
    let reason = "CannotStartContainerError: no";
    world.behave("web:3", Behaviour { end: End::FailToStart { reason }, ..Behaviour::default() });
    deploy(&mut world, Behaviour::default());
    world.run_for(20);
    let said = consistency(&world, "web:3");
    assert!(said.starts_with("Enabled Enabled Enabled Enabled") && !said.contains("Disabled"), "{said}");
}

/// ecs-semantics §5.9: with a circuit breaker it fails and is rolled back, long before as many tasks have failed as the breaker allows.
#[test]
fn a_circuit_breaker_fails_what_cannot_be_resolved() {
    let breaker = "minimum_healthy_percent = 0\ndeployment_circuit_breaker = { enable = true, rollback = true, threshold_configuration = { type = \"COUNT\", value = 10 } }";
    let mut world = web_of_one(breaker);
    world.run_until(100);
    deploy(&mut world, never_runs());
    world.run_for(100);
    check(
        &since(&world, 100),
        &expect![[r#"
        100.000s (service web) has stopped 1 running tasks: (task T1).
        100.000s (service web) has started 1 tasks: (task T5).
        102.000s (service web) has started 1 tasks: (task T6).
        105.000s (service web) has started 1 tasks: (task T7).
        106.000s (service web) is unable to consistently start tasks successfully.
        106.000s (service web) (deployment ecs-svc/2) deployment failed: image digests could not be resolved.
        106.000s (service web) rolling back to deployment ecs-svc/1.
        106.000s (service web) has started 1 tasks: (task T8).
        147.000s (service web) (deployment ecs-svc/1) deployment completed.
        147.000s (service web) has reached a steady state.
    "#]],
    );
    check(
        &records(&world),
        &expect![[r#"
        SUCCESSFUL
        ROLLBACK_SUCCESSFUL: ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/7072917602864530048.
    "#]],
    );
}
