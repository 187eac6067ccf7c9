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
    for (what, run_tasks) in [("added", &diff.run_tasks_added), ("removed", &diff.run_tasks_removed)] {
        for run_task in run_tasks {
            text += &format!("run_task {what}: {} of {}\n", run_task.spec.count, run_task.spec.task_definition);
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

/// The default strategy and instances by hand.
#[test]
fn the_default_strategy_and_instances_are_put() {
    let strategy = "name = \"shop\"\n    default_capacity_provider_strategy = [{ capacity_provider = \"fleet\", weight = 1 }]\n    [[container_instance]]\n    instance_type = \"m7i.large\"";
    let (before, after) = (parse(FILE), parse(&edited("name = \"shop\"", strategy)));
    let diff = ClusterDiff::between(&before, &after, &Revisions::of_start(&before));
    let items: Vec<String> = diff.steps.iter().map(|step| step.item.to_string()).collect();
    assert_eq!(items, ["default capacity provider strategy", "container instance"]);
    let back = ClusterDiff::between(&after, &before, &Revisions::of_start(&after));
    expect![[r#"
        default capacity provider strategy: PutDefaultStrategy([])
        refused: container_instance: cannot be removed or changed while the cluster runs: terminate it, or run the file anew
    "#]].assert_eq(&shown(&back));
}

/// An entry is what it says: one that is there already does not run again, another one does, and one that is gone is taken back.
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
    let old = "family = \"web\"\n    cpu = 256";
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
    assert!(FILE.contains(old));
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
