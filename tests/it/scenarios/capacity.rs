//! Scenarios of capacity: draining, deregistration, protection, groups, hooks, warm pools, refreshes, faults, Spot.
//!
//! Groups are of c7i.large (2 vCPU, 4 GiB), booting in 10 s; a task of `web` takes a whole instance unless a scenario says otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use longshore::control_plane::action::{Action, Response};
use longshore::control_plane::event::{
    Deregistration, Event, OutageChange, Request, StandbyCapacity, TaskProtection, UpdateAutoScalingGroup,
    UpdateService,
};
use longshore::model::auto_scaling_group::{
    AutoRollback, InstanceHealth, InstanceMaintenancePolicy, InstanceRefreshSpec, LaunchTemplate,
    LifecycleActionResult, LifecycleHook, LifecycleTransition, ManagedDraining, ManagedTerminationProtection,
    ProtectedInstances, RefreshPreferences, RefreshStatus, ReuseOnScaleIn, ScaleInProtection, StandbyInstances,
    TerminationPolicy, WarmPool, WarmPoolState,
};
use longshore::model::capacity::{
    AutoScalingGroup, CapacityProvider, ContainerInstanceStatus, FARGATE_SPOT, SpotDraining,
};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::service::{DeploymentConfiguration, ServiceSpec};
use longshore::model::settings::Settings;
use longshore::model::usage::{MeteringFact, PurchaseOption};

use crate::harness::{
    Behaviour, World, at, empty_cluster, instance_launch, on_ec2, on_fargate, provider, run, secs, service, strategy,
    task_definition,
};

#[track_caller]
fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

/// A provider without managed scaling and without protection: ECS' defaults.
fn plain(count: u32) -> CapacityProvider {
    let mut plain = provider("asg", 0, 10);
    plain.managed_scaling = None;
    plain.managed_termination_protection = ManagedTerminationProtection::Disabled;
    plain.auto_scaling_group.new_instances_protected = ScaleInProtection::Unprotected;
    plain.auto_scaling_group.desired_capacity = Some(count);
    plain
}

fn group(plain: CapacityProvider, change: impl FnOnce(&mut AutoScalingGroup)) -> CapacityProvider {
    let mut changed = plain;
    change(&mut changed.auto_scaling_group);
    changed
}

fn of(provider: CapacityProvider) -> ClusterSpec {
    ClusterSpec {
        capacity_providers: vec![provider],
        task_definitions: vec![task_definition("web", 1024, 1024), task_definition("job", 1024, 1024)],
        ..empty_cluster()
    }
}

/// A service `web` on the provider, in steady state at 100 s.
fn steady(provider: CapacityProvider, count: u32, minimum: u32, maximum: u32) -> World {
    let deployment_configuration =
        DeploymentConfiguration { minimum_healthy_percent: minimum, maximum_percent: maximum, ..Default::default() };
    let web =
        ServiceSpec { launch_target: strategy(&[("asg", 0, 1)]), deployment_configuration, ..service("web", count) };
    let mut world = World::new(&of(provider));
    world.run_until(20);
    world.done(Request::CreateService(Box::new(web)));
    world.run_until(100);
    world
}

fn set_state(world: &mut World, ids: &[u64], status: ContainerInstanceStatus) -> String {
    let instances = ids.iter().map(|id| ContainerInstanceId(*id)).collect();
    match world.request(Request::UpdateContainerInstancesState { instances, status }) {
        Ok(Response::ContainerInstances { instances, failures }) => {
            let failures: Vec<String> = failures
                .iter()
                .map(|failure| format!("I{} {}", failure.instance.unwrap_or_default(), failure.reason))
                .collect();
            format!("{} changed, failures: {failures:?}", instances.len())
        }
        Ok(other) => panic!("not the answer to this request: {other:?}"),
        Err(error) => format!("{}: {error}", error.exception()),
    }
}

fn set_desired(world: &mut World, desired: u32) {
    world.done(Request::UpdateAutoScalingGroup(Box::new(UpdateAutoScalingGroup {
        capacity_provider: "asg".into(),
        desired_capacity: Some(desired),
        ..UpdateAutoScalingGroup::default()
    })));
}

fn refresh(world: &mut World, version: u32, preferences: RefreshPreferences) {
    let before = world.plane.state().capacity_providers["asg"].launch_template.clone();
    world.done(Request::StartInstanceRefresh(Box::new(InstanceRefreshSpec {
        capacity_provider: "asg".into(),
        launch_template: Some(LaunchTemplate { version, ..before }),
        preferences,
    })));
}

/// How the last refresh stands.
fn progress(world: &World) -> String {
    let refresh = world.plane.state().capacity_providers["asg"].refreshes.last().expect("one was started");
    format!("{} {}%", refresh.status.as_str(), refresh.percentage_complete())
}

/// `I1 v1 InService ACTIVE` for each instance that is not gone.
fn lifecycles(world: &World) -> String {
    let live = world.plane.state().live_instances();
    live.map(|instance| {
        format!(
            "I{} v{} {} {} {:?} with {} tasks\n",
            instance.id,
            instance.launch.launch_template_version,
            instance.lifecycle.as_str(),
            instance.status.as_str(),
            instance.protection,
            instance.running_tasks_count
        )
    })
    .collect()
}

/// The number of instances that are there and those in service, whenever they changed.
fn sizes_until(world: &mut World, end: u64) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    loop {
        let state = world.plane.state();
        let group = &state.capacity_providers["asg"];
        let ready =
            group.instances.iter().filter(|id| state.container_instances[id].status == ContainerInstanceStatus::Active);
        let sizes = format!("{} instances, {} in service", group.instances.len(), ready.count());
        if lines.last().is_none_or(|(_, last)| *last != sizes) {
            lines.push((world.now.to_string(), sizes));
        }
        if !world.step(at(end)) {
            break;
        }
    }
    lines.into_iter().map(|(at, sizes)| format!("{at} {sizes}\n")).collect()
}

/// The least number of healthy tasks of `web` up to a moment.
fn least_healthy_until(world: &mut World, end: u64) -> u32 {
    let mut least = u32::MAX;
    loop {
        least = least.min(world.plane.state().services["web"].healthy_count());
        if !world.step(at(end)) {
            return least;
        }
    }
}

/// ecs-semantics §3.2: at most ten, ACTIVE and DRAINING only, and a failure for each that can't.
#[test]
fn update_container_instances_state_answers_item_by_item() {
    let mut world = World::new(&of(plain(2)));
    check(
        &set_state(&mut world, &[1], ContainerInstanceStatus::Draining),
        &expect![[r#"0 changed, failures: ["I1 REGISTERING"]"#]],
    );
    world.run_until(20);
    check(
        &set_state(&mut world, &[1, 2, 9], ContainerInstanceStatus::Draining),
        &expect![[r#"2 changed, failures: ["I9 MISSING"]"#]],
    );
    check(
        &set_state(&mut world, &[1], ContainerInstanceStatus::Inactive),
        &expect!["InvalidParameterException: status must be ACTIVE or DRAINING"],
    );
    check(
        &set_state(&mut world, &[1; 11], ContainerInstanceStatus::Active),
        &expect!["InvalidParameterException: at most 10 container instances can be updated at once"],
    );
}

/// ecs-semantics §3.3, 1 to 4: no placements, PENDING service tasks stop at once, standalone ones go on.
#[test]
fn draining_stops_pending_tasks_and_leaves_standalone_ones() {
    let mut world =
        World::new(&ClusterSpec { container_instances: vec![instance_launch("us-east-1a")], ..of(plain(0)) });
    world.behave("web", Behaviour { start: secs(60), ..Behaviour::default() });
    world.run_until(10);
    world.run_task(run("job", 1, on_ec2()));
    world.done(Request::CreateService(Box::new(ServiceSpec { launch_target: on_ec2(), ..service("web", 1) })));
    world.run_until(20);
    set_state(&mut world, &[1], ContainerInstanceStatus::Draining);
    world.run_until(30);
    let (_, failures) = world.run_task(run("job", 1, on_ec2()));
    assert_eq!(failures.len(), 1);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 job:1 RUNNING I1 created 10.000s started 11.000s
        T2 web:1 STOPPED I1 created 10.000s stopping 20.000s stopped 21.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
    "#]],
    );
    set_state(&mut world, &[1], ContainerInstanceStatus::Active);
    world.run_until(200);
    assert_eq!(world.counts("web"), "desired 1 running 1 pending 0 healthy 1");
}

/// ecs-semantics §3.3, 3: at a lower bound of 100 % each task has a healthy replacement before it goes.
#[test]
fn draining_replaces_running_tasks_within_the_bounds() {
    let mut world = steady(plain(3), 2, 100, 200);
    set_state(&mut world, &[1], ContainerInstanceStatus::Draining);
    assert_eq!(least_healthy_until(&mut world, 300), 2);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED asg I1 created 20.000s started 21.000s stopping 141.000s stopped 142.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T2 web:1 RUNNING asg I2 created 20.000s started 21.000s
        T3 web:1 RUNNING asg I3 created 100.000s started 101.000s
    "#]],
    );
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService DRAINING Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 1 tasks
        I3 v1 InService ACTIVE Unprotected with 1 tasks
    "#]],
    );
}

/// ecs-semantics §3.3, 3 (a known bad case): at 100 and 100 % a drain is stuck, and ends when the bounds change.
#[test]
fn draining_is_stuck_between_equal_bounds_and_ends_when_they_change() {
    let mut world = steady(plain(3), 2, 100, 100);
    set_state(&mut world, &[1, 2], ContainerInstanceStatus::Draining);
    world.run_until(1000);
    let drained: u32 = [1, 2]
        .map(|id| world.plane.state().container_instances[&ContainerInstanceId(id)].running_tasks_count)
        .iter()
        .sum();
    assert!(drained > 0, "it is stuck");
    check(
        &world.service_events("web"),
        &expect![[r#"
        20.000s (service web) has started 2 tasks: (task T1) (task T2).
        61.000s (service web) (deployment ecs-svc/1) deployment completed.
        61.000s (service web) has reached a steady state.
        100.000s (service web) was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.
    "#]],
    );
    world.done(Request::UpdateService(Box::new(UpdateService {
        service: "web".into(),
        deployment_configuration: Some(DeploymentConfiguration { minimum_healthy_percent: 50, ..Default::default() }),
        ..UpdateService::default()
    })));
    world.run_until(1300);
    let drained: u32 = [1, 2]
        .map(|id| world.plane.state().container_instances[&ContainerInstanceId(id)].running_tasks_count)
        .iter()
        .sum();
    assert_eq!(drained, 0);
}

/// ecs-semantics §3.2, §2.4: refused while tasks run; forced, they are orphans, and EC2 bills on until the end.
#[test]
fn deregistration_forgets_tasks_and_ec2_bills_on() {
    let mut world = steady(plain(2), 2, 100, 200);
    let deregister =
        |deregistration| Request::DeregisterContainerInstance { instance: ContainerInstanceId(1), deregistration };
    let refused = world.request(deregister(Deregistration::WhenEmpty)).unwrap_err();
    check(&refused.to_string(), &expect!["Found running tasks on the instance."]);
    world.done(deregister(Deregistration::Forced));
    world.run_until(200);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED asg I1 created 20.000s started 21.000s stopped 100.000s UserInitiated: Container instance deregistration forced by user
        T2 web:1 RUNNING asg I2 created 20.000s started 21.000s
        T3 web:1 RUNNING asg I2 created 100.000s started 101.000s
    "#]],
    );
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService INACTIVE Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 2 tasks
    "#]],
    );
    world.done(Request::TerminateInstance(ContainerInstanceId(1)));
    world.run_until(300);
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 201.000s
        I2 ACTIVE in us-east-1b with 1 tasks, launched 0.000s registered 10.000s terminated -
        I3 ACTIVE in us-east-1a with 1 tasks, launched 200.000s registered 210.000s terminated -
    "#]],
    );
}

/// ecs-semantics §3.2, §4.5: an instance whose agent has no contact takes nothing and says AGENT; its tasks go on.
#[test]
fn a_disconnected_agent_takes_nothing() {
    let mut world = steady(plain(1), 1, 100, 200);
    world.apply(Event::AgentDisconnected { instance: ContainerInstanceId(1) });
    let (_, failures) = world.run_task(run("job", 1, on_ec2()));
    check(&failures.join("\n"), &expect!["I1 AGENT: its agent is disconnected"]);
    assert_eq!(world.counts("web"), "desired 1 running 1 pending 0 healthy 1");
    world.apply(Event::AgentConnected { instance: ContainerInstanceId(1) });
    let (tasks, _) = world.run_task(run("job", 1, on_ec2()));
    assert_eq!(tasks.len(), 1);
}

/// ecs-semantics §3.2: an instance that is terminated while its agent has no contact is not deregistered: it stays listed, without an
/// agent, and takes nothing, until somebody deregisters it. Its group and its service replace what was there at once, and it is paid
/// for no longer. One with contact is deregistered by its termination.
#[test]
fn termination_without_contact_does_not_deregister() {
    let mut world = steady(plain(2), 2, 100, 200);
    world.apply(Event::AgentDisconnected { instance: ContainerInstanceId(1) });
    world.done(Request::TerminateInstance(ContainerInstanceId(1)));
    world.run_until(200);
    check(
        &world.instances(),
        &expect![[r#"
        I1 ACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 101.000s
        I2 ACTIVE in us-east-1b with 2 tasks, launched 0.000s registered 10.000s terminated -
        I3 ACTIVE in us-east-1a with 1 tasks, launched 100.000s registered 110.000s terminated -
    "#]],
    );
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED asg I1 created 20.000s started 21.000s stopping 100.000s stopped 101.000s TerminationNotice: Host EC2 (instance i-1) stopped/terminated
        T2 web:1 RUNNING asg I2 created 20.000s started 21.000s
        T3 web:1 RUNNING asg I2 created 100.000s started 101.000s
        T4 web:1 RUNNING asg I3 created 180.000s started 181.000s
    "#]],
    );
    let (_, failures) = world.run_task(run("job", 9, on_ec2()));
    check(
        &failures.join("\n"),
        &expect![[r#"
        I1 AGENT: its agent is disconnected
        I2 RESOURCE:CPU: 1024 CPU units are needed and 0 are left
        I3 RESOURCE:CPU: 1024 CPU units are needed and 0 are left"#]],
    );
    let instance = ContainerInstanceId(1);
    world.apply(Event::AgentConnected { instance });
    world.done(Request::DeregisterContainerInstance { instance, deregistration: Deregistration::WhenEmpty });
    world.done(Request::TerminateInstance(ContainerInstanceId(2)));
    world.run_until(210);
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 101.000s
        I2 INACTIVE in us-east-1b with 0 tasks, launched 0.000s registered 10.000s terminated 201.000s
        I3 ACTIVE in us-east-1a with 2 tasks, launched 100.000s registered 110.000s terminated -
        I4 ACTIVE in us-east-1b with 1 tasks, launched 200.000s registered 210.000s terminated -
    "#]],
    );
}

/// Scale-in of a group of two busy instances by one, under the four combinations of ecs-semantics §6.4.
#[track_caller]
fn scale_in_by_one(protection: ManagedTerminationProtection, draining: ManagedDraining, expected: &Expect) {
    let mut protected = provider("asg", 0, 10);
    protected.auto_scaling_group.desired_capacity = Some(3);
    protected.managed_termination_protection = protection;
    if protection == ManagedTerminationProtection::Disabled {
        protected.auto_scaling_group.new_instances_protected = ScaleInProtection::Unprotected;
    }
    protected.managed_draining = draining;
    let mut world = steady(protected, 2, 100, 200);
    set_desired(&mut world, 1);
    world.run_until(101);
    let first = lifecycles(&world);
    world.run_until(400);
    expected.assert_eq(&format!("{first}then\n{}{}", lifecycles(&world), world.group_activities()));
}

/// ecs-semantics §6.4, the table: only empty instances go.
#[test]
fn protected_and_draining() {
    scale_in_by_one(
        ManagedTerminationProtection::Enabled,
        ManagedDraining::Enabled,
        &expect![[r#"
        I1 v1 InService ACTIVE Protected with 1 tasks
        I2 v1 InService ACTIVE Protected with 1 tasks
        then
        I1 v1 InService ACTIVE Protected with 1 tasks
        I2 v1 InService ACTIVE Protected with 1 tasks
        100.000s asg 3 -> 1: the desired capacity was set
        100.000s asg 1 -> 1: instance i-3 goes: the group has more instances than it desires
    "#]],
    );
}

/// ecs-semantics §6.4, the table: only empty instances go.
#[test]
fn protected_and_not_draining() {
    scale_in_by_one(
        ManagedTerminationProtection::Enabled,
        ManagedDraining::Disabled,
        &expect![[r#"
        I1 v1 InService ACTIVE Protected with 1 tasks
        I2 v1 InService ACTIVE Protected with 1 tasks
        then
        I1 v1 InService ACTIVE Protected with 1 tasks
        I2 v1 InService ACTIVE Protected with 1 tasks
        100.000s asg 3 -> 1: the desired capacity was set
        100.000s asg 1 -> 1: instance i-3 goes: the group has more instances than it desires
    "#]],
    );
}

/// ecs-semantics §6.4, the table: the policy chooses, here by chance, and the instance waits for its tasks.
#[test]
fn unprotected_and_draining() {
    scale_in_by_one(
        ManagedTerminationProtection::Disabled,
        ManagedDraining::Enabled,
        &expect![[r#"
        I1 v1 Terminating:Wait DRAINING Unprotected with 1 tasks
        I2 v1 InService ACTIVE Unprotected with 2 tasks
        then
        I2 v1 InService ACTIVE Unprotected with 2 tasks
        100.000s asg 3 -> 1: the desired capacity was set
        100.000s asg 1 -> 1: instance i-3 goes: the group has more instances than it desires
        100.000s asg 1 -> 1: instance i-1 drains before it goes: the group has more instances than it desires
    "#]],
    );
}

/// ecs-semantics §6.4, the table: tasks go with the instance.
#[test]
fn unprotected_and_not_draining() {
    scale_in_by_one(
        ManagedTerminationProtection::Disabled,
        ManagedDraining::Disabled,
        &expect![[r#"
        I2 v1 InService ACTIVE Unprotected with 2 tasks
        then
        I2 v1 InService ACTIVE Unprotected with 2 tasks
        100.000s asg 3 -> 1: the desired capacity was set
        100.000s asg 1 -> 1: instance i-3 goes: the group has more instances than it desires
        100.000s asg 1 -> 1: instance i-1 goes: the group has more instances than it desires
    "#]],
    );
}

/// ecs-semantics §3.3: a standalone task keeps its instance in Terminating:Wait for 48 hours, and no longer.
#[test]
fn managed_draining_ends_after_48_hours() {
    let mut world = World::new(&of(plain(1)));
    world.run_until(20);
    world.run_task(run("job", 1, strategy(&[("asg", 0, 1)])));
    world.run_until(100);
    set_desired(&mut world, 0);
    world.run_until(100 + 48 * 3600 - 1);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 Terminating:Wait DRAINING Unprotected with 1 tasks
    "#]],
    );
    world.run_for(2);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 job:1 STOPPED asg I1 created 20.000s started 21.000s stopping 172900.000s stopped 172901.000s TerminationNotice: Host EC2 (instance i-1) stopped/terminated
    "#]],
    );
}

/// ecs-semantics §9.1: bounds move the desired capacity, and a desired capacity outside is refused.
#[test]
fn bounds_move_the_desired_capacity() {
    let mut world = World::new(&of(plain(2)));
    let update = |min, max, desired| {
        Request::UpdateAutoScalingGroup(Box::new(UpdateAutoScalingGroup {
            capacity_provider: "asg".into(),
            min_size: min,
            max_size: max,
            desired_capacity: desired,
        }))
    };
    world.done(update(Some(3), None, None));
    assert_eq!(world.plane.state().capacity_providers["asg"].desired_capacity, 3);
    world.done(update(Some(0), Some(1), None));
    assert_eq!(world.plane.state().capacity_providers["asg"].desired_capacity, 1);
    let refused = world.request(update(None, None, Some(2))).unwrap_err();
    check(&refused.to_string(), &expect!["Desired capacity must be between the min and max sizes"]);
}

/// ecs-semantics §9.3: with all protected, desired falls and nothing goes until one is unprotected.
#[test]
fn protected_instances_outlast_a_scale_in() {
    let protect = |group: &mut AutoScalingGroup| group.new_instances_protected = ScaleInProtection::Protected;
    let mut world = World::new(&of(group(plain(2), protect)));
    world.run_until(20);
    set_desired(&mut world, 1);
    world.run_until(100);
    assert_eq!(world.plane.state().live_instances().count(), 2);
    world.done(Request::SetInstanceProtection {
        instances: vec![ContainerInstanceId(2)],
        protection: ScaleInProtection::Unprotected,
    });
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService ACTIVE Protected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.3: policies within a zone, over a group's whole life.
#[test]
fn the_newest_goes_first_when_the_policy_says_so() {
    let newest = |group: &mut AutoScalingGroup| {
        group.termination_policies = vec![TerminationPolicy::NewestInstance];
        group.availability_zones.truncate(1);
    };
    let mut world = World::new(&of(group(plain(1), newest)));
    world.run_until(60);
    set_desired(&mut world, 2);
    world.run_until(120);
    set_desired(&mut world, 1);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.3, Default: within the zone with the most, the oldest template version, then the closest to the next hour that is
/// paid for, then chance, so that each of those that are alike goes in some cluster.
#[test]
fn the_default_policy_ends_with_chance() {
    let gone = |seed: u64, later: bool| {
        let one_zone = |group: &mut AutoScalingGroup| group.availability_zones.truncate(1);
        let mut spec = of(group(plain(3), one_zone));
        spec.settings.seed = seed;
        let mut world = World::new(&spec);
        world.run_until(60);
        if later {
            set_desired(&mut world, 4);
            world.run_until(3_540);
        }
        let before = world.plane.state().container_instances.iter().count();
        set_desired(&mut world, u32::try_from(before).expect("they are few") - 1);
        world.run_until(3_590);
        let instances = world.plane.state().container_instances.iter();
        let gone: Vec<u64> =
            instances.filter(|(_, instance)| instance.terminated_at.is_some()).map(|(id, _)| id.0).collect();
        gone
    };
    let mut times_gone = BTreeMap::new();
    for seed in 0..40 {
        let gone = gone(seed, false);
        assert_eq!(gone.len(), 1);
        *times_gone.entry(gone[0]).or_insert(0) += 1;
    }
    assert!(times_gone.len() == 3 && times_gone.values().all(|times| *times >= 5), "{times_gone:?}");
    for seed in 0..10 {
        assert_ne!(gone(seed, true), [4], "its next hour is a minute behind the others'");
    }
}

fn hook(transition: LifecycleTransition, default_result: LifecycleActionResult) -> LifecycleHook {
    LifecycleHook { name: "prepare".into(), transition, heartbeat_timeout: secs(60), default_result }
}

/// ecs-semantics §9.2: a launching instance waits for its hook, runs and is paid for, and is terminated when the hook is abandoned.
#[test]
fn launch_hooks_hold_an_instance_back() {
    let with = |group: &mut AutoScalingGroup| {
        group.lifecycle_hooks = vec![hook(LifecycleTransition::Launching, LifecycleActionResult::Abandon)];
    };
    let mut world = World::new(&of(group(plain(1), with)));
    world.run_until(20);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 Pending:Wait REGISTERING Unprotected with 0 tasks
    "#]],
    );
    let beat = || Request::RecordLifecycleActionHeartbeat { instance: ContainerInstanceId(1), hook: "prepare".into() };
    world.run_until(60);
    world.done(beat());
    world.run_until(119);
    assert!(world.plane.state().container_instances[&ContainerInstanceId(1)].running_since.is_some());
    world.run_until(121);
    world.run_until(140);
    world.done(Request::CompleteLifecycleAction {
        instance: ContainerInstanceId(2),
        hook: "prepare".into(),
        result: LifecycleActionResult::Continue,
    });
    check(
        &lifecycles(&world),
        &expect![[r#"
        I2 v1 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
    check(
        &world.group_activities(),
        &expect![[r#"
        10.000s asg 1 -> 1: instance i-1 waits for lifecycle hook prepare
        120.000s asg 1 -> 1: an instance is replaced: lifecycle hook prepare was abandoned
        130.000s asg 1 -> 1: instance i-2 waits for lifecycle hook prepare
    "#]],
    );
    assert!(world.request(beat()).is_err());
}

/// ecs-semantics §9.2: a terminating instance waits for its hook until the timeout, and goes whatever the result.
#[test]
fn termination_hooks_hold_an_instance_back() {
    let with = |group: &mut AutoScalingGroup| {
        group.lifecycle_hooks = vec![hook(LifecycleTransition::Terminating, LifecycleActionResult::Continue)];
    };
    let mut world = World::new(&of(group(plain(1), with)));
    world.run_until(20);
    set_desired(&mut world, 0);
    world.run_until(79);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 Terminating:Wait DRAINING Unprotected with 0 tasks
    "#]],
    );
    // §6.4: it drains though it is empty, so that nothing comes to be there meanwhile.
    let (tasks, failures) = world.run_task(run("job", 1, on_ec2()));
    assert_eq!((tasks.len(), failures.len()), (0, 1));
    world.run_until(82);
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 81.000s
    "#]],
    );
    // Without managed draining it stays as it was.
    let unmanaged = CapacityProvider { managed_draining: ManagedDraining::Disabled, ..group(plain(1), with) };
    let mut world = World::new(&of(unmanaged));
    world.run_until(20);
    set_desired(&mut world, 0);
    world.run_until(79);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 Terminating:Wait ACTIVE Unprotected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.1: an impaired instance is drained and replaced; under a policy its replacement comes first.
#[test]
fn impaired_instances_are_replaced() {
    let impair = |world: &mut World| {
        let health = InstanceHealth::Impaired;
        world.apply(Event::InstanceHealth { instance: ContainerInstanceId(1), health });
    };
    let mut world = steady(plain(2), 2, 100, 200);
    impair(&mut world);
    check(
        &sizes_until(&mut world, 300),
        &expect![[r#"
        100.000s 2 instances, 1 in service
        110.000s 2 instances, 2 in service
    "#]],
    );
    let policy = |group: &mut AutoScalingGroup| {
        group.instance_maintenance_policy =
            Some(InstanceMaintenancePolicy { min_healthy_percentage: 100, max_healthy_percentage: 110 });
    };
    let mut world = steady(group(plain(2), policy), 2, 100, 200);
    impair(&mut world);
    check(
        &sizes_until(&mut world, 300),
        &expect![[r#"
        100.000s 3 instances, 2 in service
        110.000s 2 instances, 2 in service
    "#]],
    );
}

/// ecs-semantics §9.1: the health of a young instance is not looked at.
#[test]
fn the_grace_period_holds_health_replacement_off() {
    let grace = |group: &mut AutoScalingGroup| group.health_check_grace_period = secs(300);
    let mut world = World::new(&of(group(plain(1), grace)));
    world.run_until(20);
    let health = InstanceHealth::Impaired;
    world.apply(Event::InstanceHealth { instance: ContainerInstanceId(1), health });
    check(
        &sizes_until(&mut world, 400),
        &expect![[r#"
        20.000s 1 instances, 1 in service
        310.000s 1 instances, 0 in service
        320.000s 1 instances, 1 in service
    "#]],
    );
}

/// ecs-semantics §9.1: instances are replaced at their greatest age, a tenth and one at least at a time.
#[test]
fn instances_are_replaced_at_their_maximum_lifetime() {
    let aged = |group: &mut AutoScalingGroup| group.max_instance_lifetime = Some(secs(86_400));
    let mut world = World::new(&of(group(plain(2), aged)));
    world.run_until(86_400);
    check(
        &sizes_until(&mut world, 87_000),
        &expect![[r#"
        86400.000s 2 instances, 2 in service
        86410.000s 2 instances, 1 in service
        86430.000s 2 instances, 2 in service
    "#]],
    );
}

/// ecs-semantics §9.5, §8.3: the pool's size, a start from it, and what is paid for.
#[test]
fn a_scale_out_takes_from_the_warm_pool_first() {
    let pooled = |group: &mut AutoScalingGroup| {
        group.warm_pool = Some(WarmPool { max_group_prepared_capacity: Some(3), ..WarmPool::default() });
        group.warm_start_time = Some(secs(2));
    };
    let mut world = World::new(&of(group(plain(1), pooled)));
    world.run_until(50);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService ACTIVE Unprotected with 0 tasks
        I2 v1 Warmed:Stopped REGISTERING Unprotected with 0 tasks
        I3 v1 Warmed:Stopped REGISTERING Unprotected with 0 tasks
    "#]],
    );
    set_desired(&mut world, 2);
    check(
        &sizes_until(&mut world, 100),
        &expect![[r#"
        50.000s 2 instances, 1 in service
        52.000s 2 instances, 2 in service
    "#]],
    );
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService ACTIVE Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 0 tasks
        I3 v1 Warmed:Stopped REGISTERING Unprotected with 0 tasks
    "#]],
    );
    let facts = world.actions.iter().flatten().filter_map(|action| match action {
        Action::Meter(MeteringFact::InstanceStarted { instance, start, at, .. }) => {
            Some(format!("I{instance} start {start} at {at}\n"))
        }
        Action::Meter(MeteringFact::InstanceStopped { instance, start, at }) => {
            Some(format!("I{instance} end {start} at {at}\n"))
        }
        _ => None,
    });
    check(
        &facts.collect::<String>(),
        &expect![[r#"
        I1 start 1 at 10.000s
        I2 start 1 at 10.000s
        I2 end 1 at 10.000s
        I3 start 1 at 10.000s
        I3 end 1 at 10.000s
        I2 start 2 at 52.000s
    "#]],
    );
}

/// ecs-semantics §9.5: running ones are paid for and start at once; the pool shrinks with the prepared capacity.
#[test]
fn a_running_warm_pool_starts_at_once() {
    let pooled = |group: &mut AutoScalingGroup| {
        group.warm_pool = Some(WarmPool {
            min_size: 1,
            max_group_prepared_capacity: Some(0),
            pool_state: WarmPoolState::Running,
            ..WarmPool::default()
        });
    };
    let mut world = World::new(&of(group(plain(1), pooled)));
    world.run_until(50);
    set_desired(&mut world, 2);
    check(
        &sizes_until(&mut world, 100),
        &expect![[r#"
        50.000s 2 instances, 1 in service
        50.000s 2 instances, 2 in service
    "#]],
    );
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService ACTIVE Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 0 tasks
        I3 v1 Warmed:Running REGISTERING Unprotected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.4: a batch of one of ten at 90 %, both at once because the upper bound is omitted.
#[test]
fn a_refresh_terminates_and_launches_at_once_by_default() {
    let mut world = World::new(&of(plain(3)));
    world.run_until(20);
    refresh(&mut world, 2, RefreshPreferences::default());
    check(
        &sizes_until(&mut world, 200),
        &expect![[r#"
        20.000s 3 instances, 2 in service
        50.000s 3 instances, 3 in service
    "#]],
    );
    check(&progress(&world), &expect!["Successful 100%"]);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I4 v2 InService ACTIVE Unprotected with 0 tasks
        I5 v2 InService ACTIVE Unprotected with 0 tasks
        I6 v2 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.4: an upper bound that is said has the replacement launched first.
#[test]
fn a_refresh_launches_first_at_an_explicit_100() {
    let mut world = World::new(&of(plain(2)));
    world.run_until(20);
    refresh(
        &mut world,
        2,
        RefreshPreferences {
            min_healthy_percentage: Some(100),
            max_healthy_percentage: Some(100),
            ..RefreshPreferences::default()
        },
    );
    check(
        &sizes_until(&mut world, 200),
        &expect![[r#"
        20.000s 3 instances, 2 in service
        40.000s 2 instances, 2 in service
    "#]],
    );
    check(&progress(&world), &expect!["Successful 100%"]);
}

/// ecs-semantics §9.4 (the recipe): a refresh under a service never takes it below its lower bound.
#[test]
fn patching_loses_no_task_below_the_lower_bound() {
    let mut world = steady(plain(3), 4, 100, 200);
    refresh(&mut world, 2, RefreshPreferences::default());
    assert_eq!(least_healthy_until(&mut world, 1000), 4);
    check(&progress(&world), &expect!["Successful 100%"]);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I4 v2 InService ACTIVE Unprotected with 2 tasks
        I5 v2 InService ACTIVE Unprotected with 2 tasks
        I6 v2 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
    check(
        &world.group_activities(),
        &expect![[r#"
        100.000s asg 3 -> 3: instance refresh 1 replaces 3 instances
        100.000s asg 3 -> 3: instance i-1 drains before it goes: an instance refresh replaces it
        110.000s asg 3 -> 3: instance i-2 drains before it goes: an instance refresh replaces it
        120.000s asg 3 -> 3: instance i-3 drains before it goes: an instance refresh replaces it
        130.000s asg 3 -> 3: instance refresh 1 is successful
    "#]],
    );
}

/// ecs-semantics §9.4: a pause at each checkpoint, and the end at the last one when it is below 100.
#[test]
fn checkpoints_pause_and_end_a_refresh() {
    let mut world = World::new(&of(plain(4)));
    world.run_until(20);
    let preferences = RefreshPreferences {
        checkpoint_percentages: vec![25, 50],
        checkpoint_delay: Some(secs(600)),
        bake_time: secs(100),
        ..RefreshPreferences::default()
    };
    refresh(&mut world, 2, preferences);
    world.run_until(2000);
    check(
        &world.group_activities(),
        &expect![[r#"
        20.000s asg 4 -> 4: instance refresh 1 replaces 4 instances
        20.000s asg 4 -> 4: instance i-1 goes: an instance refresh replaces it
        30.000s asg 4 -> 4: instance refresh 1 pauses at 25% until 630.000s
        630.000s asg 4 -> 4: instance i-2 goes: an instance refresh replaces it
        640.000s asg 4 -> 4: instance refresh 1 ends at its last checkpoint of 50%
        640.000s asg 4 -> 4: instance refresh 1 bakes until 740.000s
        740.000s asg 4 -> 4: instance refresh 1 is successful
    "#]],
    );
    check(&progress(&world), &expect!["Successful 50%"]);
}

/// ecs-semantics §9.4: protected instances are waited for an hour; then it fails and, asked to, rolls back.
#[test]
fn protected_instances_fail_a_refresh_after_an_hour() {
    let protect = |group: &mut AutoScalingGroup| group.new_instances_protected = ScaleInProtection::Protected;
    let mut world = World::new(&of(group(plain(1), protect)));
    world.run_until(20);
    refresh(&mut world, 2, RefreshPreferences::default());
    world.run_until(4000);
    check(&progress(&world), &expect!["Failed 0%"]);
    let ignore = RefreshPreferences {
        scale_in_protected_instances: ProtectedInstances::Ignore,
        ..RefreshPreferences::default()
    };
    refresh(&mut world, 2, ignore);
    world.run_for(100);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService ACTIVE Protected with 0 tasks
    "#]],
    );
    let forced = RefreshPreferences {
        scale_in_protected_instances: ProtectedInstances::Refresh,
        ..RefreshPreferences::default()
    };
    refresh(&mut world, 3, forced);
    world.run_for(100);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I2 v3 InService ACTIVE Protected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.4: replacements that never come fail the refresh, which rolls itself back.
#[test]
fn a_refresh_that_gets_nowhere_rolls_back() {
    let mut world = World::new(&of(plain(2)));
    world.run_until(20);
    refresh(&mut world, 2, RefreshPreferences { auto_rollback: AutoRollback::Yes, ..RefreshPreferences::default() });
    world.launches_to_fail = 70;
    world.run_until(3700);
    world.launches_to_fail = 0;
    world.run_until(8000);
    check(&progress(&world), &expect!["RollbackSuccessful 100%"]);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I57 v1 InService ACTIVE Unprotected with 0 tasks
        I58 v1 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.4: one at a time; cancelled, what was replaced stays; rolled back, it does not.
#[test]
fn a_refresh_is_cancelled_or_rolled_back() {
    let mut world = World::new(&of(plain(3)));
    world.run_until(20);
    refresh(&mut world, 2, RefreshPreferences::default());
    let again = InstanceRefreshSpec { capacity_provider: "asg".into(), ..InstanceRefreshSpec::default() };
    assert!(world.request(Request::StartInstanceRefresh(Box::new(again))).is_err());
    world.run_until(35);
    world.done(Request::CancelInstanceRefresh { capacity_provider: "asg".into() });
    world.run_until(100);
    check(
        &format!("{}\n{}", progress(&world), lifecycles(&world)),
        &expect![[r#"
        Cancelled 66%
        I3 v1 InService ACTIVE Unprotected with 0 tasks
        I4 v2 InService ACTIVE Unprotected with 0 tasks
        I5 v2 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
    refresh(&mut world, 3, RefreshPreferences::default());
    world.run_for(25);
    world.done(Request::RollbackInstanceRefresh { capacity_provider: "asg".into() });
    world.run_for(200);
    check(
        &format!("{}\n{}", progress(&world), lifecycles(&world)),
        &expect![[r#"
        RollbackSuccessful 100%
        I9 v1 InService ACTIVE Unprotected with 0 tasks
        I10 v1 InService ACTIVE Unprotected with 0 tasks
        I11 v1 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
    assert_eq!(world.plane.state().capacity_providers["asg"].launch_template.version, 1);
    let last = world.plane.state().capacity_providers["asg"].refreshes.last().map(|refresh| refresh.status);
    assert_eq!(last, Some(RefreshStatus::RollbackSuccessful));
}

/// ecs-semantics §9.1: an outage takes a zone's instances, others take their place elsewhere, and the zones are balanced after it.
#[test]
fn an_outage_moves_a_group_and_ends_balanced() {
    let mut world = World::new(&of(plain(4)));
    world.run_until(20);
    let zone: Arc<str> = "us-east-1a".into();
    let outage = |change| Event::AvailabilityZoneOutage { availability_zone: zone.clone(), change };
    world.apply(outage(OutageChange::Begins));
    world.run_until(100);
    let zones = |world: &World| -> Vec<usize> {
        ["us-east-1a", "us-east-1b"]
            .map(|zone| {
                let live = world.plane.state().live_instances();
                live.filter(|instance| &*instance.launch.availability_zone == zone).count()
            })
            .into()
    };
    assert_eq!(zones(&world), [0, 4]);
    assert!(world.request(Request::LaunchInstance(Arc::new(instance_launch("us-east-1a")))).is_err());
    world.apply(outage(OutageChange::Ends));
    check(
        &sizes_until(&mut world, 300),
        &expect![[r#"
        100.000s 5 instances, 4 in service
        120.000s 4 instances, 4 in service
    "#]],
    );
    assert_eq!(zones(&world), [2, 2]);
}

/// ecs-semantics §3.3, §8.3: two minutes' notice; with Spot draining the tasks are replaced in time, billed at the Spot price.
#[test]
fn a_spot_instance_drains_itself_on_its_notice() {
    let spot = |draining| {
        move |group: &mut AutoScalingGroup| {
            group.purchase_option = PurchaseOption::Spot;
            group.spot_draining = draining;
        }
    };
    let mut world = steady(group(plain(2), spot(SpotDraining::Enabled)), 2, 100, 200);
    world.apply(Event::InstanceSpotInterruption { instance: ContainerInstanceId(1) });
    assert_eq!(least_healthy_until(&mut world, 400), 2);
    check(
        &world.instances(),
        &expect![[r#"
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 221.000s
        I2 ACTIVE in us-east-1b with 1 tasks, launched 0.000s registered 10.000s terminated -
        I3 ACTIVE in us-east-1a with 1 tasks, launched 220.000s registered 230.000s terminated -
    "#]],
    );
    let mut world = steady(group(plain(2), spot(SpotDraining::Disabled)), 2, 100, 200);
    world.apply(Event::InstanceSpotInterruption { instance: ContainerInstanceId(1) });
    assert_eq!(least_healthy_until(&mut world, 400), 1);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED asg I1 created 20.000s started 21.000s stopping 220.000s stopped 221.000s TerminationNotice: Host EC2 (instance i-1) stopped/terminated
        T2 web:1 RUNNING asg I2 created 20.000s started 21.000s
        T3 web:1 STOPPED asg I2 created 220.000s started 221.000s stopping 341.000s stopped 342.000s ServiceSchedulerInitiated: Scaling activity initiated by (deployment ecs-svc/1)
        T4 web:1 RUNNING asg I3 created 300.000s started 301.000s
    "#]],
    );
    let is_spot = world.actions.iter().flatten().any(|action| {
        matches!(action, Action::Meter(MeteringFact::InstanceStarted { purchase_option: PurchaseOption::Spot, .. }))
    });
    assert!(is_spot);
}

/// ecs-semantics §8.4, §2.4: the warning, then the stop timeout; a service tries again on Spot, without a fall back.
#[test]
fn a_fargate_spot_task_is_warned_and_killed() {
    let mut world = World::new(&ClusterSpec {
        services: vec![ServiceSpec { launch_target: strategy(&[(FARGATE_SPOT, 0, 1)]), ..service("web", 1) }],
        ..of(plain(0))
    });
    world.behave("web", Behaviour { stop: secs(1000), ..Behaviour::default() });
    world.run_until(60);
    world.apply(Event::SpotInterruption { task: TaskId(1) });
    world.run_until(120);
    check(
        &world.tasks(),
        &expect![[r#"
        T1 web:1 STOPPED FARGATE_SPOT created 0.000s started 1.000s stopping 60.000s stopped 90.000s SpotInterruption: Your Spot Task was interrupted.
        T2 web:1 RUNNING FARGATE_SPOT created 60.000s started 61.000s
    "#]],
    );
}

/// ecs-semantics §8.5: after the word and the wait period a service's task on Fargate goes when another has come, without regard to its
/// protection; a standalone one is stopped; where the bounds have no room, one after the other goes first.
#[test]
fn fargate_tasks_retire_after_their_wait_period() {
    let retire = |maximum_percent, tasks: &[u64]| {
        let mut world = World::new(&ClusterSpec {
            services: vec![ServiceSpec {
                deployment_configuration: DeploymentConfiguration {
                    maximum_percent,
                    ..DeploymentConfiguration::default()
                },
                ..service("web", 2)
            }],
            settings: Settings { fargate_task_retirement_wait_period: secs(3600), ..Settings::default() },
            ..of(plain(0))
        });
        world.run_task(run("web", 1, on_fargate()));
        world.run_until(60);
        let protection = TaskProtection::Enabled { expires_in: None };
        world.done(Request::UpdateTaskProtection { tasks: vec![TaskId(1)], protection });
        for task in tasks {
            // Told again, a task retires no later.
            world.apply(Event::TaskRetirement { task: TaskId(*task) });
            world.run_until(120);
            world.apply(Event::TaskRetirement { task: TaskId(*task) });
        }
        world.run_until(7200);
        world.tasks()
    };
    check(
        &retire(200, &[1, 3]),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopping 3701.000s stopped 3702.000s InfrastructureHealth: ECS is performing maintenance on the underlying infrastructure hosting the task
        T2 web:1 RUNNING created 0.000s started 1.000s
        T3 web:1 STOPPED created 0.000s started 1.000s stopping 3720.000s stopped 3721.000s InfrastructureHealth: ECS is performing maintenance on the underlying infrastructure hosting the task
        T4 web:1 RUNNING created 3660.000s started 3661.000s
    "#]],
    );
    check(
        &retire(100, &[1, 2]),
        &expect![[r#"
        T1 web:1 STOPPED created 0.000s started 1.000s stopping 3660.000s stopped 3661.000s InfrastructureHealth: ECS is performing maintenance on the underlying infrastructure hosting the task
        T2 web:1 STOPPED created 0.000s started 1.000s stopping 3720.000s stopped 3721.000s InfrastructureHealth: ECS is performing maintenance on the underlying infrastructure hosting the task
        T3 web:1 RUNNING created 0.000s started 1.000s
        T4 web:1 RUNNING created 3660.000s started 3661.000s
        T5 web:1 RUNNING created 3720.000s started 3721.000s
    "#]],
    );
}

/// ecs-semantics §6.3, §6.4: tasks by launch type are no reason to grow; a task too large for the type is none either.
#[test]
fn managed_scaling_counts_only_its_own_tasks_that_fit() {
    let mut world = World::new(&ClusterSpec {
        task_definitions: vec![task_definition("job", 1024, 1024), task_definition("huge", 4096, 8192)],
        ..of(provider("asg", 0, 5))
    });
    world.run_task(run("job", 3, on_ec2()));
    world.run_task(run("huge", 3, strategy(&[("asg", 0, 1)])));
    world.run_until(600);
    check(&world.group_activities(), &expect![[""]]);
    assert_eq!(world.plane.state().capacity_providers["asg"].reservation_millipercent, Some(100_000));
}

/// ecs-semantics §6.1, §6.3: each provider scales by its own share, none takes over another's, and min and max stay.
#[test]
fn several_providers_scale_by_themselves_without_spill_over() {
    let mut other = provider("other", 0, 1);
    other.name = "other".into();
    let mut world = World::new(&ClusterSpec { capacity_providers: vec![provider("asg", 0, 5), other], ..of(plain(0)) });
    world.run_task(run("job", 8, strategy(&[("asg", 0, 1), ("other", 0, 1)])));
    world.run_until(600);
    let state = world.plane.state();
    let waiting = |name: &str| state.capacity_providers[name].provisioning.len();
    assert_eq!((waiting("asg"), waiting("other")), (0, 2));
    check(
        &world.group_activities(),
        &expect![[r#"
        60.000s asg 0 -> 2: CapacityProviderReservation is 200% (2 needed, 0 present) against a target of 100%: scale-out to 2
        60.000s other 0 -> 1: CapacityProviderReservation is 200% (2 needed, 0 present) against a target of 100%: scale-out to 1
    "#]],
    );
}

/// ecs-semantics §6.1: a provider that is full and does not grow leaves its own share pending, and no other's, of services and of RunTask.
#[test]
fn a_full_provider_leaves_only_its_own_share_pending() {
    let other = || {
        let mut other = provider("other", 0, 5);
        other.name = "other".into();
        other
    };
    let both = strategy(&[("asg", 0, 1), ("other", 0, 1)]);
    let providers_of = |world: &World| {
        let mut running = BTreeMap::<String, u32>::new();
        for record in world.plane.state().tasks.values() {
            let provider = record.task.capacity_provider.as_deref().unwrap_or_default();
            *running.entry(format!("{provider} {}", record.task.last_status.as_str())).or_default() += 1;
        }
        running
    };
    let counts = |counts: &[(&str, u32)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();

    let mut world = World::new(&ClusterSpec { capacity_providers: vec![plain(1), other()], ..of(plain(0)) });
    world.run_until(60);
    let answer = world.done(Request::RunTask(Box::new(run("job", 8, both.clone()))));
    let Response::RunTask { tasks, failures } = answer else { panic!("{answer:?}") };
    // Two fit on the instance of `asg`, and `other` has none yet.
    assert_eq!((tasks.len(), failures.len()), (6, 1), "{failures:?}");
    assert_eq!(providers_of(&world), counts(&[("asg PENDING", 2), ("other PROVISIONING", 4)]));
    world.run_until(600);
    assert_eq!(providers_of(&world), counts(&[("asg RUNNING", 2), ("other RUNNING", 4)]));

    let mut world = World::new(&ClusterSpec {
        capacity_providers: vec![plain(1), other()],
        services: vec![ServiceSpec { launch_target: both, ..service("web", 8) }],
        ..of(plain(0))
    });
    world.run_until(600);
    assert_eq!(providers_of(&world), counts(&[("asg RUNNING", 2), ("other RUNNING", 4)]));
    // Room for its share is what the others wait for.
    set_desired(&mut world, 2);
    world.run_until(700);
    assert_eq!(providers_of(&world), counts(&[("asg RUNNING", 4), ("other RUNNING", 4)]));
}

/// ecs-semantics §4.5, §5.11, §6.1: while FARGATE_SPOT has no capacity its share is pending, FARGATE's runs, and RunTask says what is lacking;
/// what runs there stays. When there is capacity again the share starts.
#[test]
fn fargate_spot_may_have_no_capacity() {
    let mut world = World::of_file(
        r#"
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
        container = [{ name = "main", image = "../workloads/limits/spin.wat" }]
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 4
        capacity_provider_strategy = [
            { capacity_provider = "FARGATE", base = 1, weight = 1 },
            { capacity_provider = "FARGATE_SPOT", weight = 2 },
        ]
        [[fault]]
        at = "100s"
        kind = "CAPACITY_REFUSED"
        capacity_provider = "FARGATE_SPOT"
        duration = "500s"
        "#,
    );
    let running = |world: &World| {
        let mut running = BTreeMap::<String, u32>::new();
        for record in world.plane.state().tasks.values() {
            *running.entry(record.task.capacity_provider.as_deref().unwrap_or_default().to_owned()).or_default() += 1;
        }
        format!("{running:?}")
    };
    world.run_until(90);
    check(&running(&world), &expect![[r#"{"FARGATE": 2, "FARGATE_SPOT": 2}"#]]);
    world.run_until(110);
    let update = UpdateService { service: "web".into(), desired_count: Some(10), ..UpdateService::default() };
    world.done(Request::UpdateService(Box::new(update)));
    let answer = world.done(Request::RunTask(Box::new(run("web", 3, strategy(&[("FARGATE_SPOT", 0, 1)])))));
    let Response::RunTask { tasks, failures } = answer else { panic!("{answer:?}") };
    assert!(tasks.is_empty());
    check(
        &failures.iter().map(|one| format!("{}: {}\n", one.reason, one.detail)).collect::<String>(),
        &expect![[r#"
        RESOURCE:FARGATE: Capacity is unavailable at this time. Please try again later or in a different availability zone
    "#]],
    );
    world.run_until(590);
    check(&running(&world), &expect![[r#"{"FARGATE": 4, "FARGATE_SPOT": 2}"#]]);
    world.run_until(700);
    check(&running(&world), &expect![[r#"{"FARGATE": 4, "FARGATE_SPOT": 6}"#]]);
    check(
        &world.service_events("web"),
        &expect![[r#"
        0.000s (service web) has started 4 tasks: (task T1) (task T2) (task T3) (task T4).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        110.000s (service web) has started 2 tasks: (task T5) (task T6).
        110.000s (service web) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a different availability zone.
        600.000s (service web) has started 4 tasks: (task T7) (task T8) (task T9) (task T10).
        641.000s (service web) has reached a steady state.
    "#]],
    );
}

/// The faults of a cluster file come to pass at their time.
#[test]
fn a_cluster_files_faults_come_to_pass() {
    let mut world = World::of_file(
        r#"
[settings]
boot_time = "10s"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 2, max_size = 2, availability_zones = ["us-east-1a", "us-east-1b"] }
[[fault]]
at = "30s"
kind = "INSTANCE_FAILURE"
[[fault]]
at = "60s"
kind = "AZ_OUTAGE"
availability_zone = "us-east-1b"
duration = "60s"
[[fault]]
at = "200s"
kind = "CAPACITY_REFUSED"
duration = "50s"
[[fault]]
at = "210s"
kind = "INSTANCE_IMPAIRED"
[[fault]]
at = "290s"
kind = "SLOW_BOOT"
duration = "300s"
boot_time = "100s"
[[fault]]
at = "300s"
kind = "INSTANCE_FAILURE"
[[fault]]
at = "500s"
kind = "DRAIN"
[[fault]]
at = "500s"
kind = "AGENT_DISCONNECTED"
duration = "10s"
[[instance_refresh]]
at = "600s"
capacity_provider = "asg"
launch_template_version = 2
image_id = "ami-2"
"#,
    );
    world.run_until(1000);
    check(
        &world.group_activities(),
        &expect![[r#"
        30.000s asg 2 -> 2: an instance is replaced: hardware failure
        60.000s asg 2 -> 2: an instance is replaced: availability zone us-east-1b is down
        130.000s asg 2 -> 2: instance i-3 goes: the zones are balanced
        210.000s asg 2 -> 2: instance i-4 goes: it is unhealthy
        210.000s asg 2 -> 2: an instance could not be launched: InsufficientInstanceCapacity
        300.000s asg 2 -> 2: an instance is replaced: hardware failure
        600.000s asg 2 -> 2: instance refresh 1 replaces 2 instances
        600.000s asg 2 -> 2: instance i-7 goes: an instance refresh replaces it
        610.000s asg 2 -> 2: instance i-8 goes: an instance refresh replaces it
        620.000s asg 2 -> 2: instance refresh 1 is successful
    "#]],
    );
    check(
        &lifecycles(&world),
        &expect![[r#"
        I9 v2 InService ACTIVE Unprotected with 0 tasks
        I10 v2 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.2: an instance on standby runs and is paid for and does not count; the group launches another for it, or desires
/// less. It counts again when it leaves standby, and the bounds hold both ways.
#[test]
fn standby_takes_instances_out_of_service_and_back() {
    let mut world = World::new(&of(group(plain(2), |group| (group.min_size, group.max_size) = (1, 3))));
    world.run_until(20);
    let enter = |world: &mut World, id: u64, capacity| {
        let (capacity_provider, instances) = ("asg".into(), vec![ContainerInstanceId(id)]);
        world.request(Request::EnterStandby { capacity_provider, instances, capacity }).map(drop)
    };
    let exit = |world: &mut World, id: u64| {
        let (capacity_provider, instances) = ("asg".into(), vec![ContainerInstanceId(id)]);
        world.request(Request::ExitStandby { capacity_provider, instances }).map(drop)
    };
    enter(&mut world, 1, StandbyCapacity::Kept).unwrap();
    world.run_until(40);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 Standby ACTIVE Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 0 tasks
        I3 v1 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
    enter(&mut world, 2, StandbyCapacity::Decremented).unwrap();
    world.run_until(60);
    let refused = [
        enter(&mut world, 3, StandbyCapacity::Decremented),
        enter(&mut world, 1, StandbyCapacity::Kept),
        exit(&mut world, 3),
    ];
    check(
        &refused.map(|refusal| format!("{}\n", refusal.unwrap_err())).concat(),
        &expect![[r#"
        1 instances on standby would leave a desired capacity of 0, below the minimum of 1
        The instance i-071bb54d8d101b5b9 is not part of the group, or not in InService state
        The instance i-037688dadcab79996 is not part of the group, or not in Standby state
    "#]],
    );
    exit(&mut world, 1).unwrap();
    exit(&mut world, 2).unwrap();
    world.run_until(80);
    check(
        &lifecycles(&world),
        &expect![[r#"
        I1 v1 InService ACTIVE Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 0 tasks
        I3 v1 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
    enter(&mut world, 1, StandbyCapacity::Kept).unwrap();
    world.run_until(100);
    check(
        &exit(&mut world, 1).unwrap_err().to_string(),
        &expect!["the instances would make a desired capacity of 4, above the maximum of 3"],
    );
    // It is a container instance all the while: ECS places tasks there.
    let tasks = world.run_task(run("job", 8, on_ec2())).0;
    let on_standby =
        |task: &TaskId| world.plane.state().tasks[task].task.container_instance == Some(ContainerInstanceId(1));
    assert!(tasks.iter().any(on_standby));
    world.apply(Event::InstanceHealth { instance: ContainerInstanceId(1), health: InstanceHealth::Impaired });
    world.run_until(200);
    assert_eq!(world.plane.state().capacity_providers["asg"].standby.len(), 1, "its health is not looked at");
    check(
        &world.group_activities(),
        &expect![[r#"
        20.000s asg 2 -> 2: instance i-1 enters standby
        40.000s asg 2 -> 2: instance i-2 enters standby
        40.000s asg 2 -> 1: instances entered standby
        60.000s asg 1 -> 1: instance i-1 leaves standby
        60.000s asg 1 -> 2: instances left standby
        60.000s asg 2 -> 2: instance i-2 leaves standby
        60.000s asg 2 -> 3: instances left standby
        80.000s asg 3 -> 3: instance i-1 enters standby
    "#]],
    );
}

/// ecs-semantics §9.4, StandbyInstances: a refresh waits an hour for them and fails, ignores them, or terminates them.
#[test]
fn a_refresh_waits_for_instances_on_standby_ignores_or_ends_them() {
    let mut text = String::new();
    for standby_instances in [StandbyInstances::Wait, StandbyInstances::Ignore, StandbyInstances::Terminate] {
        let mut world = World::new(&of(plain(2)));
        world.run_until(20);
        world.done(Request::EnterStandby {
            capacity_provider: "asg".into(),
            instances: vec![ContainerInstanceId(1)],
            capacity: StandbyCapacity::Decremented,
        });
        refresh(&mut world, 2, RefreshPreferences { standby_instances, ..RefreshPreferences::default() });
        world.run_for(200);
        text += &format!("{standby_instances:?}: {}", progress(&world));
        world.run_for(4000);
        text += &format!(", then {}\n{}", progress(&world), lifecycles(&world));
    }
    check(
        &text,
        &expect![[r#"
        Wait: InProgress 50%, then Failed 50%
        I1 v1 Standby ACTIVE Unprotected with 0 tasks
        I3 v2 InService ACTIVE Unprotected with 0 tasks
        Ignore: Successful 100%, then Successful 100%
        I1 v1 Standby ACTIVE Unprotected with 0 tasks
        I3 v2 InService ACTIVE Unprotected with 0 tasks
        Terminate: Successful 100%, then Successful 100%
        I3 v2 InService ACTIVE Unprotected with 0 tasks
    "#]],
    );
}

/// ecs-semantics §9.1, DefaultInstanceWarmup: managed scaling does not scale in while an instance has been in service for less.
#[test]
fn scale_in_waits_for_the_default_warm_up() {
    let mut text = String::new();
    for warmup in [None, Some(secs(3600))] {
        let mut asg = provider("asg", 0, 4);
        asg.auto_scaling_group.default_instance_warmup = warmup;
        asg.auto_scaling_group.desired_capacity = Some(2);
        let mut world = World::new(&of(asg));
        world.run_until(7200);
        text += &format!("{warmup:?}:\n{}", world.group_activities());
    }
    check(
        &text,
        &expect![[r#"
        None:
        900.000s asg 2 -> 1: CapacityProviderReservation is 0% (0 needed, 2 present) against a target of 100%: scale-in to 1
        900.000s asg 1 -> 1: instance i-1 goes: the group has more instances than it desires
        960.000s asg 1 -> 0: CapacityProviderReservation is 0% (0 needed, 1 present) against a target of 100%: scale-in to 0
        960.000s asg 0 -> 0: instance i-2 goes: the group has more instances than it desires
        Some(3600s):
        3660.000s asg 2 -> 1: CapacityProviderReservation is 0% (0 needed, 2 present) against a target of 100%: scale-in to 1
        3660.000s asg 1 -> 1: instance i-1 goes: the group has more instances than it desires
        3720.000s asg 1 -> 0: CapacityProviderReservation is 0% (0 needed, 1 present) against a target of 100%: scale-in to 0
        3720.000s asg 0 -> 0: instance i-2 goes: the group has more instances than it desires
    "#]],
    );
}

/// ecs-semantics §9.4, InstanceWarmup: the group's default warm-up when the refresh names none, before the health check grace period.
#[test]
fn a_refresh_takes_the_default_warm_up() {
    let warm = |group: &mut AutoScalingGroup| {
        group.health_check_grace_period = secs(10);
        group.default_instance_warmup = Some(secs(300));
    };
    let mut world = World::new(&of(group(plain(1), warm)));
    world.run_until(20);
    refresh(&mut world, 2, RefreshPreferences::default());
    // The replacement is in service at 30 s.
    world.run_until(329);
    check(&progress(&world), &expect!["InProgress 0%"]);
    world.run_until(331);
    check(&progress(&world), &expect!["Successful 100%"]);
}

/// ecs-semantics §9.5: with reuse on scale-in an instance that is scaled in drains and goes back to the pool, is not paid for there,
/// registers anew when it is needed, and its second start is billed by itself (§8.3).
#[test]
fn a_scale_in_returns_instances_to_the_warm_pool() {
    let reusing = |group: &mut AutoScalingGroup| {
        group.max_size = 2;
        group.warm_pool = Some(WarmPool { reuse: ReuseOnScaleIn::Yes, ..WarmPool::default() });
    };
    let mut world = steady(group(plain(2), reusing), 2, 50, 200);
    let mut text = lifecycles(&world);
    world.done(Request::UpdateService(Box::new(UpdateService {
        service: "web".into(),
        desired_count: Some(1),
        ..UpdateService::default()
    })));
    world.run_until(110);
    set_desired(&mut world, 1);
    for moment in [110, 200] {
        world.run_until(moment);
        text += &format!("{}\n{}", world.now, lifecycles(&world));
    }
    set_desired(&mut world, 2);
    world.run_until(300);
    text += &format!("{}\n{}", world.now, lifecycles(&world));
    check(
        &text,
        &expect![[r#"
        I1 v1 InService ACTIVE Unprotected with 1 tasks
        I2 v1 InService ACTIVE Unprotected with 1 tasks
        110.000s
        I1 v1 Terminating:Wait DRAINING Unprotected with 1 tasks
        I2 v1 InService ACTIVE Unprotected with 1 tasks
        200.000s
        I1 v1 Warmed:Stopped REGISTERING Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 1 tasks
        300.000s
        I1 v1 InService ACTIVE Unprotected with 0 tasks
        I2 v1 InService ACTIVE Unprotected with 1 tasks
    "#]],
    );
    check(
        &world.group_activities(),
        &expect![[r#"
        110.000s asg 2 -> 1: the desired capacity was set
        110.000s asg 1 -> 1: instance i-1 drains before it goes: the group has more instances than it desires
        153.000s asg 1 -> 1: instance i-1 goes back to the warm pool
        200.000s asg 1 -> 2: the desired capacity was set
    "#]],
    );
    let starts = world
        .actions
        .iter()
        .flatten()
        .filter(|action| matches!(action, Action::Meter(MeteringFact::InstanceStarted { start: 2, .. })));
    assert_eq!(starts.count(), 1);
    assert_eq!(world.plane.state().container_instances.len(), 2, "no other instance was launched");
}
