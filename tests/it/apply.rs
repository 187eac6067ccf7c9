//! From one cluster file to the next: a table of edits and the requests that they become, and what a running cluster makes of them.

use std::path::Path;

use expect_test::{Expect, expect};
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::cluster_diff::{ClusterDiff, Revisions};
use longshore::control_plane::event::Request;
use longshore::model::cluster::ClusterSpec;

use crate::harness::World;

const FILE: &str = r#"
    [cluster]
    name = "shop"
    [[capacity_provider]]
    name = "fleet"
    auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 2 }
    managed_scaling = { target_capacity = 90 }
    [[task_definition]]
    family = "web"
    cpu = 256
    memory = 512
    requires_compatibilities = ["FARGATE"]
      [[task_definition.container]]
      name = "main"
      image = "../workloads/limits/spin.wat"
      command = ["one"]
    [[task_definition]]
    family = "job"
    cpu = 256
    memory = 512
    requires_compatibilities = ["FARGATE"]
      [[task_definition.container]]
      name = "main"
      image = "../workloads/limits/spin.wat"
    [[service]]
    name = "web"
    task_definition = "web"
    desired_count = 2
    launch_type = "FARGATE"
    [[run_task]]
    task_definition = "job"
    launch_type = "FARGATE"
    [[load]]
    service = "web"
    job = "x"
    jobs_per_second = 1
"#;

#[track_caller]
fn parse(text: &str) -> ClusterSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
    ClusterFile::parse(text, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The file with one piece of text in another's place.
#[track_caller]
fn edited(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from} is not in the file");
    FILE.replacen(from, to, 1)
}

/// A request in a line: what it is about and what it changes.
fn line(request: &Request) -> String {
    match request {
        Request::RegisterTaskDefinition(definition) => {
            format!("RegisterTaskDefinition {}: command {:?}", definition.family, definition.containers[0].command)
        }
        Request::CreateService(spec) => format!("CreateService {} of {}", spec.name, spec.task_definition),
        Request::UpdateService(update) => {
            let shown = format!("{update:?}");
            let fields = shown.split(", ").filter(|field| !field.ends_with(": None"));
            fields.collect::<Vec<_>>().join(", ")
        }
        Request::DeleteService { service, deletion } => format!("DeleteService {service} {deletion:?}"),
        Request::CreateCapacityProvider(provider) => format!("CreateCapacityProvider {}", provider.name),
        Request::UpdateCapacityProvider(provider) => format!(
            "UpdateCapacityProvider {}: {} to {}, {:?}",
            provider.name,
            provider.auto_scaling_group.min_size,
            provider.auto_scaling_group.max_size,
            provider.managed_scaling.map(|scaling| scaling.target_capacity),
        ),
        other => format!("{other:?}"),
    }
}

fn shown(diff: &ClusterDiff) -> String {
    let mut text: String = diff.steps.iter().map(|step| format!("{}: {}\n", step.item, line(&step.request))).collect();
    for (what, run_tasks) in [("added", &diff.run_tasks.added), ("removed", &diff.run_tasks.removed)] {
        for run_task in run_tasks {
            text += &format!("run_task {what}: {} of {}\n", run_task.spec.count, run_task.spec.task_definition);
        }
    }
    for (what, starts) in [("added", &diff.start_tasks.added), ("removed", &diff.start_tasks.removed)] {
        for start in starts {
            text += &format!("start_task {what}: {} on {:?}\n", start.spec.task_definition, start.container_instances);
        }
    }
    for (what, faults) in [("added", &diff.faults.added), ("removed", &diff.faults.removed)] {
        text += &faults.iter().map(|fault| format!("fault {what}: {fault:?}\n")).collect::<String>();
    }
    for (what, refreshes) in [("added", &diff.instance_refreshes.added), ("removed", &diff.instance_refreshes.removed)]
    {
        for refresh in refreshes {
            text += &format!("instance_refresh {what}: {} at {:?}\n", refresh.spec.capacity_provider, refresh.at);
        }
    }
    text += &diff.loads.iter().map(|loads| format!("loads: {}\n", loads.len())).collect::<String>();
    text + &diff.refusals.iter().map(|refusal| format!("refused: {refusal}\n")).collect::<String>()
}

/// Holds what an edit of the file becomes against what is expected.
#[track_caller]
fn check(after: &str, expected: &Expect) {
    let (before, after) = (parse(FILE), parse(after));
    expected.assert_eq(&shown(&ClusterDiff::between(&before, &after, &Revisions::of_start(&before))));
}

/// A file that says the same asks for nothing, however it is written.
#[test]
fn a_comment_changes_nothing() {
    check(&edited("[cluster]", "# a comment\n[cluster]"), &expect![""]);
    let spec = parse(FILE);
    assert!(ClusterDiff::between(&spec, &spec, &Revisions::of_start(&spec)).is_empty());
}

/// ecs-semantics §5.5: a changed task definition is a revision of its family alone, and its service is updated to it.
#[test]
fn a_changed_task_definition_is_a_revision_and_an_update() {
    check(
        &edited(r#"["one"]"#, r#"["two"]"#),
        &expect![[r#"
        task definition web: RegisterTaskDefinition web: command ["two"]
        service web: UpdateService { service: "web", task_definition: Some(TaskDefinitionRef { family: "web", revision: Some(2) }), new_deployment: WhenChanged }
    "#]],
    );
}

/// ecs-semantics §5.5: one UpdateService with what changed and nothing else.
#[test]
fn a_changed_service_is_an_update_of_what_changed() {
    check(
        &edited("desired_count = 2", "desired_count = 5"),
        &expect![[r#"
        service web: UpdateService { service: "web", desired_count: Some(5), new_deployment: WhenChanged }
    "#]],
    );
    let more =
        "desired_count = 2\n    deployment_configuration = { maximum_percent = 150 }\n    propagate_tags = \"SERVICE\"";
    check(
        &edited("desired_count = 2", more),
        &expect![[r#"
        service web: UpdateService { service: "web", deployment_configuration: Some(DeploymentConfiguration { minimum_healthy_percent: 100, maximum_percent: 150, strategy: Rolling, lifecycle_hooks: [] }), propagate_tags: Some(Service), new_deployment: WhenChanged }
    "#]],
    );
}

/// ecs-semantics §5.5: a strategy in place of a launch type is an update, another launch type is none.
#[test]
fn a_strategy_can_be_changed_and_a_launch_type_cannot() {
    let strategy = r#"capacity_provider_strategy = [{ capacity_provider = "FARGATE_SPOT", weight = 1 }]"#;
    let service = "desired_count = 2\n    launch_type = \"FARGATE\"";
    check(
        &edited(service, &format!("desired_count = 2\n    {strategy}")),
        &expect![[r#"
        service web: UpdateService { service: "web", capacity_provider_strategy: Some([CapacityProviderStrategyItem { capacity_provider: "FARGATE_SPOT", weight: 1, base: 0 }]), new_deployment: WhenChanged }
    "#]],
    );
    let file = FILE.replace("requires_compatibilities = [\"FARGATE\"]", "network_mode = \"awsvpc\"");
    let after = file.replacen("launch_type = \"FARGATE\"\n    [[run", "launch_type = \"EC2\"\n    [[run", 1);
    let (before, after) = (parse(&file), parse(&after));
    let diff = ClusterDiff::between(&before, &after, &Revisions::of_start(&before));
    expect![[r#"
        refused: service web: launch_type: cannot be changed: give the service another name, so that it is created anew
    "#]]
    .assert_eq(&shown(&diff));
}

/// ecs-semantics §7.1: policies are Application Auto Scaling's and alarms CloudWatch's, each with requests of its own; an alarm is there
/// before what names it.
#[test]
fn policies_and_alarms_are_changed_by_requests_of_their_own() {
    let scaling = "desired_count = 2\n    auto_scaling = { min_capacity = 1, max_capacity = 4 }";
    let alarm = r#"
    [[alarm]]
    alarm_name = "hot"
    namespace = "AWS/ECS"
    metric_name = "CPUUtilization"
    dimensions = { ClusterName = "shop", ServiceName = "web" }
    statistic = "Average"
    period = "60s"
    comparison_operator = "GreaterThanThreshold"
    threshold = 80
    evaluation_periods = 1
    [[service]]"#;
    let before = parse(FILE);
    let after = parse(&FILE.replace("desired_count = 2", scaling).replacen("[[service]]", alarm, 1));
    let steps = |before: &ClusterSpec, after: &ClusterSpec| -> Vec<String> {
        let diff = ClusterDiff::between(before, after, &Revisions::of_start(before));
        assert!(diff.refusals.is_empty(), "{:?}", diff.refusals);
        let name = |request: &Request| format!("{request:?}").split(['(', ' ']).next().unwrap_or_default().to_owned();
        diff.steps.iter().map(|step| format!("{}: {}", step.item, name(&step.request))).collect()
    };
    assert_eq!(steps(&before, &after), ["alarm hot: PutMetricAlarm", "service web: SetAutoScaling"]);
    assert_eq!(steps(&after, &before), ["service web: SetAutoScaling", "alarm hot: DeleteAlarm"]);
}

/// Services come and go by name.
#[test]
fn services_are_created_and_deleted() {
    let load = "[[load]]\n    service = \"web\"";
    let renamed = edited("name = \"web\"\n    task", "name = \"shop\"\n    task")
        .replace(load, "[[load]]\n    service = \"shop\"");
    check(
        &renamed,
        &expect![[r#"
        service web: DeleteService web Forced
        service shop: CreateService shop of web
        loads: 1
    "#]],
    );
}

/// Providers are created and updated; one that is gone from the file is refused with what to do about it.
#[test]
fn capacity_providers_are_created_and_updated() {
    check(
        &edited("max_size = 2", "max_size = 4"),
        &expect![[r#"
        capacity provider fleet: UpdateCapacityProvider fleet: 1 to 4, Some(90)
    "#]],
    );
    check(
        &edited("managed_scaling = { target_capacity = 90 }", ""),
        &expect![[r#"
        capacity provider fleet: UpdateCapacityProvider fleet: 1 to 2, None
    "#]],
    );
    let second = "[[capacity_provider]]\n    name = \"spare\"\n    auto_scaling_group = { instance_type = \"m7i.large\", min_size = 0, max_size = 1 }\n    [[task_definition]]\n    family = \"web\"";
    check(
        &edited("[[task_definition]]\n    family = \"web\"", second),
        &expect![[r#"
        capacity provider spare: CreateCapacityProvider spare
    "#]],
    );
    check(
        &edited("name = \"fleet\"", "name = \"other\""),
        &expect![[r#"
        capacity provider other: CreateCapacityProvider other
        refused: capacity provider fleet: cannot be removed while the cluster runs: give its group max_size = 0
    "#]],
    );
}

/// ecs-semantics §10.2: what is measured is changed by a request, as UpdateClusterSettings changes it.
#[test]
fn container_insights_are_put() {
    let setting = "name = \"shop\"\n    settings = [{ name = \"containerInsights\", value = \"enhanced\" }]";
    check(
        &edited("name = \"shop\"", setting),
        &expect![[r#"
            cluster setting containerInsights: PutContainerInsights(Enhanced)
        "#]],
    );
}

/// The default strategy and instances by hand.
#[test]
fn the_default_strategy_and_instances_are_put() {
    let strategy = "name = \"shop\"\n    default_capacity_provider_strategy = [{ capacity_provider = \"fleet\", weight = 1 }]\n    [[container_instance]]\n    instance_type = \"m7i.large\"";
    let (before, after) = (parse(FILE), parse(&edited("name = \"shop\"", strategy)));
    let diff = ClusterDiff::between(&before, &after, &Revisions::of_start(&before));
    let items: Vec<String> = diff.steps.iter().map(|step| step.item.to_string()).collect();
    assert_eq!(items, ["default capacity provider strategy", "container instance"]);
    let back = ClusterDiff::between(&after, &before, &Revisions::of_start(&after));
    let items: Vec<String> = back.steps.iter().map(|step| line(&step.request)).collect();
    assert_eq!(items[0], "PutDefaultStrategy([])");
    assert!(items[1].starts_with("RetireInstance("), "{}", items[1]);
}

/// An entry is what it says: one that is there already does not run again, another one does, and one that is gone is taken back.
/// A target group is there before the service that names it, and goes after it; other load balancers are an update that deploys.
#[test]
fn target_groups_are_put_and_load_balancers_updated() {
    let group = "[[target_group]]\n    name = \"front\"\n    [[service]]\n    name = \"web\"";
    let ports = "command = [\"one\"]\n      port_mappings = [{ container_port = 80 }]";
    let with_ports = edited("command = [\"one\"]", ports);
    let with_group = with_ports.replace("[[service]]\n    name = \"web\"", group);
    let balanced = "desired_count = 2\n    load_balancers = [{ target_group = \"front\", container_name = \"main\", container_port = 80 }]";
    let balanced = with_group.replace("desired_count = 2", balanced);
    let between = |before: &str, after: &str| {
        let (before, after) = (parse(before), parse(after));
        shown(&ClusterDiff::between(&before, &after, &Revisions::of_start(&before)))
    };
    let slower = balanced.replace("name = \"front\"", "name = \"front\"\n    health_check = { interval = \"60s\" }");
    expect![[r#"
        target group front: PutTargetGroup(TargetGroup { name: "front", arn: "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/front/3ff76c7d98868998", deregistration_delay: 300s, health_check: TargetHealthCheck { interval: 30s, timeout: 5s, healthy_threshold: 5, unhealthy_threshold: 2 } })
        service web: UpdateService { service: "web", load_balancers: Some([LoadBalancer { target_group: "front", container_name: "main", container_port: 80, alternate: None }]), new_deployment: WhenChanged }
        loads: 1
    "#]].assert_eq(&between(&with_ports, &balanced));
    expect![[r#"
        target group front: PutTargetGroup(TargetGroup { name: "front", arn: "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/front/3ff76c7d98868998", deregistration_delay: 300s, health_check: TargetHealthCheck { interval: 60s, timeout: 5s, healthy_threshold: 5, unhealthy_threshold: 2 } })
    "#]].assert_eq(&between(&balanced, &slower));
    expect![[r#"
        service web: UpdateService { service: "web", load_balancers: Some([]), new_deployment: WhenChanged }
        target group front: DeleteTargetGroup { target_group: "front" }
        loads: 1
    "#]]
    .assert_eq(&between(&balanced, &with_ports));
}

#[test]
fn run_tasks_are_told_apart_by_what_they_say() {
    let entry = "[[run_task]]\n    task_definition = \"job\"\n    launch_type = \"FARGATE\"";
    check(
        &edited(entry, &format!("{entry}\n    {entry}")),
        &expect![[r#"
        run_task added: 1 of job
    "#]],
    );
    check(
        &edited(entry, &format!("{entry}\n    count = 3")),
        &expect![[r#"
        run_task added: 3 of job
        run_task removed: 1 of job
    "#]],
    );
    check(
        &edited(entry, ""),
        &expect![[r#"
        run_task removed: 1 of job
    "#]],
    );
}

/// Loads are replaced as a whole.
#[test]
fn loads_are_replaced() {
    check(
        &edited("jobs_per_second = 1", "jobs_per_second = 2"),
        &expect![[r#"
        loads: 1
    "#]],
    );
}

/// What makes a cluster what it is stays; each key is named.
#[test]
fn what_cannot_change_is_refused_by_key() {
    let settings =
        "name = \"market\"\n    [settings]\n    seed = 9\n    cpu_basis = \"time\"\n    stop_timeout = \"2s\"";
    check(
        &edited("name = \"shop\"", settings),
        &expect![[r#"
        refused: cluster.name: cannot be changed while the cluster runs: run the file anew
        refused: settings.seed: cannot be changed while the cluster runs: run the file anew
        refused: settings.cpu_basis: cannot be changed while the cluster runs: run the file anew
        refused: settings.stop_timeout: cannot be changed while the cluster runs: run the file anew
    "#]],
    );
    // How long it runs can be changed.
    check(&edited("name = \"shop\"", "name = \"shop\"\n    [settings]\n    run_for = \"1m\""), &expect![""]);
}

/// The n-th definition of a family in the file is its revision n for the file, whatever number it has got in the cluster.
#[test]
fn positions_in_the_file_lead_to_revisions() {
    let two = |first: &str, second: &str, reference: &str| {
        let definition = |command: &str| {
            format!(
                "[[task_definition]]\n family = \"web\"\n [[task_definition.container]]\n name = \"main\"\n memory = 64\n \
                 image = \"../workloads/limits/spin.wat\"\n command = [\"{command}\"]\n"
            )
        };
        parse(&format!(
            "[[container_instance]]\n instance_type = \"m7i.large\"\n{}{}[[service]]\n name = \"web\"\n \
             task_definition = \"{reference}\"\n desired_count = 1\n launch_type = \"EC2\"\n",
            definition(first),
            definition(second)
        ))
    };
    let first = two("a", "b", "web:1");
    let second = two("c", "b", "web:1");
    let one = ClusterDiff::between(&first, &second, &Revisions::of_start(&first));
    // The family alone has to go on meaning the last of the file.
    expect![[r#"
        task definition web: RegisterTaskDefinition web: command ["c"]
        task definition web: RegisterTaskDefinition web: command ["b"]
        service web: UpdateService { service: "web", task_definition: Some(TaskDefinitionRef { family: "web", revision: Some(3) }), new_deployment: WhenChanged }
    "#]].assert_eq(&shown(&one));
    // What was said of the file before holds for the revisions of the cluster.
    let third = two("c", "b", "web");
    let two = ClusterDiff::between(&second, &third, &one.revisions);
    expect![[r#"
        service web: UpdateService { service: "web", task_definition: Some(TaskDefinitionRef { family: "web", revision: Some(4) }), new_deployment: WhenChanged }
    "#]].assert_eq(&shown(&two));
}

/// So it is with the task definition of a hook: it stays the one that the file means, of a service that was there and of one that comes
/// (ecs-semantics §5.8).
#[test]
fn hooks_lead_to_revisions_too() {
    let file = |first: &str, services: &[&str]| {
        let definition = |family: &str, command: &str| {
            format!(
                "[[task_definition]]\n family = \"{family}\"\n cpu = 256\n memory = 512\n requires_compatibilities = [\"FARGATE\"]\n                  [[task_definition.container]]\n name = \"main\"\n image = \"../workloads/limits/spin.wat\"\n command = [\"{command}\"]\n"
            )
        };
        let service = |name: &&str| {
            format!(
                "[[service]]\n name = \"{name}\"\n task_definition = \"web\"\n desired_count = 1\n launch_type = \"FARGATE\"\n                  [service.deployment_configuration]\n strategy = \"BLUE_GREEN\"\n bake_time_in_minutes = 1\n                  lifecycle_hooks = [{{ task_definition = \"check:1\", lifecycle_stages = [\"POST_SCALE_UP\"] }}]\n"
            )
        };
        let services: String = services.iter().map(service).collect();
        parse(&format!(
            "{}{}{}{services}",
            definition("web", "a"),
            definition("check", first),
            definition("check", "b")
        ))
    };
    let (before, after) = (file("a", &["web"]), file("c", &["web", "more"]));
    let diff = ClusterDiff::between(&before, &after, &Revisions::of_start(&before));
    let hooks = diff.steps.iter().filter_map(|step| match &step.request {
        Request::UpdateService(update) => update.deployment_configuration.as_ref().map(|found| ("update", found)),
        Request::CreateService(spec) => Some(("create", &spec.deployment_configuration)),
        _ => None,
    });
    let hooks: Vec<String> =
        hooks.map(|(what, found)| format!("{what} {}", found.lifecycle_hooks[0].target.name())).collect();
    assert_eq!(hooks, ["update check:3", "create check:3"]);
    // What is in force is what the file says: nothing is left to do.
    assert!(ClusterDiff::between(&after, &after, &diff.revisions).is_empty());
}

/// What a diff asks for is granted by a cluster that runs the file before, and makes it run the file after.
#[test]
fn a_cluster_becomes_what_the_edited_file_says() {
    let before = parse(FILE);
    let after = parse(
        &edited(r#"["one"]"#, r#"["two"]"#)
            .replace("max_size = 2", "max_size = 3")
            .replace("desired_count = 2", "desired_count = 3"),
    );
    let mut world = World::new(&before);
    world.run_until(100);
    for step in ClusterDiff::between(&before, &after, &Revisions::of_start(&before)).steps {
        world.done(step.request);
    }
    world.run_until(300);
    let state = world.plane.state();
    assert_eq!(state.services["web"].primary().task_definition.containers[0].command, ["two"]);
    assert_eq!(world.counts("web"), "desired 3 running 3 pending 0 healthy 3");
    assert_eq!(state.capacity_providers["fleet"].provider.auto_scaling_group.max_size, 3);
}

/// What has a time and has not come to pass is put and taken back: StartTask calls, faults, refreshes; the metrics of the file are put and
/// deleted.
#[test]
fn plans_and_metrics_are_put_and_taken_back() {
    let plans = r#"
    [[container_instance]]
    name = "one"
    instance_type = "m7i.large"
    [[start_task]]
    at = "1h"
    task_definition = "job"
    container_instances = ["one"]
    [[fault]]
    at = "2h"
    kind = "INSTANCE_FAILURE"
    [[instance_refresh]]
    at = "3h"
    capacity_provider = "fleet"
    [[metric]]
    namespace = "Shop"
    metric_name = "Orders"
    steps = [{ at = "0s", value = 5 }]
    [[load]]"#;
    let with = FILE
        .replace("requires_compatibilities = [\"FARGATE\"]", "network_mode = \"awsvpc\"")
        .replacen("[[load]]", plans, 1);
    let without = with.replace(
        plans,
        "\n    [[container_instance]]\n    name = \"one\"\n    instance_type = \"m7i.large\"\n    [[load]]",
    );
    let (with, without) = (parse(&with), parse(&without));
    let added = ClusterDiff::between(&without, &with, &Revisions::of_start(&without));
    let removed = ClusterDiff::between(&with, &without, &Revisions::of_start(&with));
    expect![[r#"
        metric Shop Orders {}: PutMetricScript(MetricScript { metric: MetricId { namespace: "Shop", name: "Orders", dimensions: {} }, steps: [(Timestamp(0), Some(5000))] })
        start_task added: job on ["one"]
        fault added: Fault { at: 7200s, mean_time_between: None, kind: InstanceFailure { capacity_provider: None, count: 1 } }
        instance_refresh added: fleet at 10800s
        metric Shop Orders {}: DeleteMetricScript(MetricId { namespace: "Shop", name: "Orders", dimensions: {} })
        start_task removed: job on ["one"]
        fault removed: Fault { at: 7200s, mean_time_between: None, kind: InstanceFailure { capacity_provider: None, count: 1 } }
        instance_refresh removed: fleet at 10800s
    "#]].assert_eq(&(shown(&added) + &shown(&removed)));
}

/// ecs-semantics §5.5: tags and zone rebalancing are changed without a deployment; a scheduling strategy is a service's nature.
#[test]
fn tags_and_rebalancing_change_and_a_scheduling_strategy_does_not() {
    let changed = "desired_count = 2\n    tags = { team = \"red\" }\n    availability_zone_rebalancing = \"DISABLED\"";
    check(
        &edited("desired_count = 2", changed),
        &expect![[r#"
        service web: UpdateService { service: "web", availability_zone_rebalancing: Some(Disabled), new_deployment: WhenChanged }
        service web: SetServiceTags { service: "web", tags: {"team": "red"} }
    "#]],
    );
    let on_ec2 = FILE.replacen("requires_compatibilities = [\"FARGATE\"]", "network_mode = \"host\"", 1);
    let on_ec2 = on_ec2.replacen("launch_type = \"FARGATE\"\n    [[run", "launch_type = \"EC2\"\n    [[run", 1);
    let daemon = on_ec2.replacen("desired_count = 2", "scheduling_strategy = \"DAEMON\"", 1);
    let (before, after) = (parse(&on_ec2), parse(&daemon));
    let diff = ClusterDiff::between(&before, &after, &Revisions::of_start(&before));
    let refusals: Vec<String> = diff.refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        refusals,
        [
            "service web: scheduling_strategy: cannot be changed: give the service another name, so that it is created anew"
        ]
    );
}

/// Each setting is named by its key.
#[test]
fn every_setting_that_cannot_change_is_named() {
    let settings = "name = \"shop\"\n    [settings]\n    bake_time = \"1m\"\n    deployment_timeout = \"1h\"\n    task_protection = \"1h\"\n    \
                    managed_draining_timeout = \"1h\"\n    spot_interruption_notice = \"1m\"\n    \
                    service_launches_per_minute = 10";
    check(
        &edited("name = \"shop\"", settings),
        &expect![[r#"
        refused: settings.service_launches_per_minute: cannot be changed while the cluster runs: run the file anew
        refused: settings.bake_time: cannot be changed while the cluster runs: run the file anew
        refused: settings.deployment_timeout: cannot be changed while the cluster runs: run the file anew
        refused: settings.task_protection: cannot be changed while the cluster runs: run the file anew
        refused: settings.managed_draining_timeout: cannot be changed while the cluster runs: run the file anew
        refused: settings.spot_interruption_notice: cannot be changed while the cluster runs: run the file anew
    "#]],
    );
}

/// ecs-semantics §3.3: an instance that is gone from the file is drained, and terminated when its tasks have gone elsewhere; one that is
/// changed is replaced by the other.
#[test]
fn an_instance_that_is_gone_from_the_file_drains_first() {
    let file = |instances: &str| {
        parse(&format!(
            "{instances}\n[[task_definition]]\nfamily = \"web\"\ncpu = 512\nmemory = 512\n[[task_definition.container]]\nname = \"main\"\n\
             image = \"../workloads/limits/spin.wat\"\n[[service]]\nname = \"web\"\ntask_definition = \"web\"\ndesired_count = 2\n\
             launch_type = \"EC2\"\n"
        ))
    };
    let instance = |kind: &str| format!("[[container_instance]]\ninstance_type = \"{kind}\"\nboot_time = \"10s\"\n");
    let before = file(&instance("m7i.large"));
    let after = file(&instance("c7i.large"));
    let mut world = World::new(&before);
    world.run_until(100);
    for step in ClusterDiff::between(&before, &after, &Revisions::of_start(&before)).steps {
        world.done(step.request);
    }
    world.run_until(101);
    let mut text = world.instances();
    world.run_until(300);
    text += &world.instances();
    expect![[r#"
        I1 DRAINING in us-east-1a with 2 tasks, launched 0.000s registered 10.000s terminated -
        I2 REGISTERING in us-east-1a with 0 tasks, launched 100.000s registered - terminated -
        I1 INACTIVE in us-east-1a with 0 tasks, launched 0.000s registered 10.000s terminated 153.000s
        I2 ACTIVE in us-east-1a with 2 tasks, launched 100.000s registered 110.000s terminated -
    "#]]
    .assert_eq(&text);
    assert_eq!(world.counts("web"), "desired 2 running 2 pending 0 healthy 2");
    let gone = Request::RetireInstance(std::sync::Arc::new(before.container_instances[0].clone()));
    assert_eq!(world.request(gone).unwrap_err().to_string(), "The referenced container instance was not found.");
}

/// ecs-semantics §6.4, §9.1, §9.5: an edited group keeps what it has counted towards a scale-in, tells of another desired capacity, and
/// gives a warm pool up that is there no more.
#[test]
fn an_edited_group_goes_on_counting_and_empties_its_pool() {
    let group = |max: u32, pool: &str| {
        parse(&format!(
            "[[capacity_provider]]\nname = \"fleet\"\nmanaged_scaling = {{}}\n[capacity_provider.auto_scaling_group]\n\
             instance_type = \"m7i.large\"\nmin_size = 1\nmax_size = {max}\ndesired_capacity = 2\nboot_time = \"10s\"\n{pool}"
        ))
    };
    let before = group(3, "warm_pool = { min_size = 1 }");
    let after = group(4, "");
    let mut world = World::new(&before);
    // Ten of the fifteen periods below the target.
    world.run_until(610);
    for step in ClusterDiff::between(&before, &after, &Revisions::of_start(&before)).steps {
        world.done(step.request);
    }
    assert!(world.plane.state().capacity_providers["fleet"].warm.is_empty());
    world.run_until(1000);
    expect![[r#"
        900.000s fleet 2 -> 1: CapacityProviderReservation is 0% (0 needed, 2 present) against a target of 100%: scale-in to 1
        900.000s fleet 1 -> 1: instance i-1 goes: the group has more instances than it desires
    "#]].assert_eq(&world.group_activities());
}

/// Claim: an edit of `monitoring` is an update that starts no deployment. Method: the file with it and without it.
#[test]
fn monitoring_is_updated() {
    let fine = "desired_count = 2\n    monitoring = { metric_configurations = [{ metric_names = [\"CPUUtilization\"], \
                resolution_seconds = 20 }] }";
    check(
        &edited("desired_count = 2", fine),
        &expect![[r#"
        service web: UpdateService { service: "web", monitoring: Some(Monitoring { cpu: High, memory: Standard }), new_deployment: WhenChanged }
    "#]],
    );
    let mut world = World::of_file(FILE);
    world.run_until(100);
    let diff = ClusterDiff::between(
        &parse(FILE),
        &parse(&edited("desired_count = 2", fine)),
        &Revisions::of_start(&parse(FILE)),
    );
    let before = world.plane.state().services["web"].primary().id;
    for step in diff.steps {
        world.done(step.request);
    }
    let service = &world.plane.state().services["web"];
    assert_eq!(service.spec.monitoring.cpu, longshore::model::metric::MetricResolution::High);
    assert_eq!((service.primary().id, service.deployments.len()), (before, 1));
}

const SETS: &str = r#"
    [[task_definition]]
    family = "web"
    cpu = 256
    memory = 512
    requires_compatibilities = ["FARGATE"]
      [[task_definition.container]]
      name = "main"
      image = "../workloads/limits/spin.wat"
    [[service]]
    name = "web"
    deployment_controller = "EXTERNAL"
    desired_count = 2
      [[service.task_set]]
      external_id = "blue"
      task_definition = "web"
      launch_type = "FARGATE"
      scale = 100
      primary = true
"#;

/// ecs-semantics §5.8: an edited file is how an EXTERNAL service is deployed. Method: from blue to green and back to one set, and what
/// of a set can't be changed.
#[test]
fn task_sets_are_created_scaled_switched_and_deleted() {
    let green =
        "  [[service.task_set]]\n external_id = \"green\"\n task_definition = \"web\"\n launch_type = \"FARGATE\"\n";
    let both = format!("{}{green} scale = 50\n primary = true\n", SETS.replace("primary = true", "primary = false"));
    let alone = {
        let blue = SETS.find("      [[service.task_set]]").expect("it has one");
        format!("{}{green} scale = 100\n primary = true\n", &SETS[..blue])
    };
    let changed = SETS.replace(
        "launch_type = \"FARGATE\"",
        "capacity_provider_strategy = [{ capacity_provider = \"FARGATE_SPOT\", weight = 1 }]",
    );
    let mut text = String::new();
    let mut world = World::of_file(SETS);
    world.run_until(100);
    for (from, to) in [(SETS, &*both), (&*both, &*alone), (SETS, &*changed)] {
        let (before, after) = (parse(from), parse(to));
        let diff = ClusterDiff::between(&before, &after, &Revisions::of_start(&before));
        text += &shown(&diff);
        for step in diff.steps {
            world.done(step.request);
        }
        world.run_for(100);
        let counts = world.counts("web");
        text += &format!("{counts}\n\n");
    }
    expect![[r#"
        task set green of service web: CreateTaskSet(TaskSetSpec { service: "web", task_definition: TaskDefinitionRef { family: "web", revision: None }, launch_target: LaunchType(Fargate), scale: Scale(50000), external_id: Some("green"), tags: {}, client_token: None, document: Document(None) })
        primary task set of service web: UpdateServicePrimaryTaskSet { service: "web", task_set: External("green") }
        desired 2 running 3 pending 0 healthy 3

        task set green of service web: UpdateTaskSet { service: "web", task_set: External("green"), scale: Scale(100000) }
        task set blue of service web: DeleteTaskSet { service: "web", task_set: External("blue"), deletion: Forced }
        desired 2 running 2 pending 0 healthy 2

        refused: service web: task_set "blue": cannot be changed but for its scale and primary: give the task set another external_id
        desired 2 running 2 pending 0 healthy 2

    "#]].assert_eq(&text);
}

/// Claim: other subnets are another deployment, a subnet that comes is put before who names it, and one that is known stays where it is.
/// Method: a file without a network, with one, and with a subnet elsewhere.
#[test]
fn another_network_configuration_is_another_deployment() {
    let subnet = "[[subnet]]\n    id = \"subnet-a\"\n    availability_zone = \"us-east-1a\"\n    ";
    let network = "network_configuration = { awsvpc_configuration = { subnets = [\"subnet-a\"] } }";
    let with = edited(
        "desired_count = 2\n    launch_type = \"FARGATE\"",
        &format!("desired_count = 2\n    launch_type = \"FARGATE\"\n    {network}"),
    );
    let with = with.replacen("[[task_definition]]", &format!("{subnet}[[task_definition]]"), 1);
    check(
        &with,
        &expect![[r#"
        subnet subnet-a: PutSubnet(Subnet { id: "subnet-a", availability_zone: "us-east-1a" })
        service web: UpdateService { service: "web", document: Some(Document(Some({"networkConfiguration": Object {"awsvpcConfiguration": Object {"subnets": Array [String("subnet-a")]}}}))), new_deployment: DocumentChanged }
    "#]],
    );
    let before = parse(&with);
    let elsewhere = parse(&with.replace("\"us-east-1a\"", "\"us-east-1b\""));
    let diff = ClusterDiff::between(&before, &elsewhere, &Revisions::of_start(&before));
    expect![[r#"
        refused: subnet subnet-a: cannot be changed while the cluster runs: add another one
    "#]]
    .assert_eq(&shown(&diff));
    // Carried out, it is a deployment.
    let mut world = World::of_file(FILE);
    world.run_until(100);
    let diff = ClusterDiff::between(&parse(FILE), &before, &Revisions::of_start(&parse(FILE)));
    for step in diff.steps {
        world.done(step.request);
    }
    world.run_until(200);
    expect![[r#"
        0.000s (service web) has started 2 tasks: (task T1) (task T2).
        41.000s (service web) (deployment ecs-svc/1) deployment completed.
        41.000s (service web) has reached a steady state.
        100.000s (service web) has started 2 tasks: (task T4) (task T5).
        141.000s (service web) has stopped 2 running tasks: (task T2) (task T1).
        141.000s (service web) (deployment ecs-svc/2) deployment completed.
        141.000s (service web) has reached a steady state.
    "#]]
    .assert_eq(&world.service_events("web"));
}
