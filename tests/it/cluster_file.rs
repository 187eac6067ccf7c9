//! The cluster file: the shipped ones parse, defaults are ECS', and every mistake is said with its place and its rule.
//!
//! `rules` has the mistakes table by table. Method there and here: a small file, and a snapshot of all messages. `REST` is
//! appended to each file, so that a test writes only what it is about and its lines count from 1.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use longshore::catalog::Catalog;
use longshore::config::{ClusterFile, TABLES};
use longshore::model::capacity::{LaunchTarget, ManagedScaling};
use longshore::model::cluster::{Arrivals, ClusterSpec};
use longshore::model::service::{PlacementStrategy, SpreadField};
use longshore::model::settings::Settings;
use longshore::model::task_definition::{LaunchType, NetworkMode};
use longshore::model::units::{CpuUnits, Duration, MemoryMib, Timestamp};
use longshore::model::work::Work;
use proptest::prelude::*;
use tempfile::TempDir;

mod rules;

/// A task definition and an instance that tests can refer to.
const REST: &str = r#"
[[container_instance]]
instance_type = "m7i.large"
[[task_definition]]
family = "app"
memory = 64
container = [{ name = "main", image = "app.wasm" }]
[[task_definition]]
family = "app-fargate"
cpu = 256
memory = 512
requires_compatibilities = ["FARGATE"]
container = [{ name = "main", image = "app.wasm" }]
"#;

/// A folder with images and folders that cluster files can name.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("app.wasm"), "").unwrap();
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::create_dir(folder.path().join("package")).unwrap();
    fs::write(folder.path().join("package/Cargo.toml"), "").unwrap();
    folder
}

fn parse(text: &str, folder: &Path) -> Result<ClusterSpec, String> {
    let text = format!("{text}{REST}");
    ClusterFile::parse(&text, folder.join("cluster.toml"), &Catalog::embedded())
        .map_err(|errors| errors.to_string().replace(&*folder.to_string_lossy(), "/folder"))
}

/// Compares the messages about a file, without the file's name on each.
#[track_caller]
fn check(text: &str, expected: Expect) {
    let folder = folder();
    let messages = match parse(text, folder.path()) {
        Ok(_) => "no mistake".to_owned(),
        Err(messages) => messages.replace("/folder/cluster.toml:", ""),
    };
    expected.assert_eq(&messages);
}

/// A file that has no mistake.
#[track_caller]
fn accept(text: &str) -> ClusterSpec {
    let folder = folder();
    parse(text, folder.path()).unwrap_or_else(|messages| panic!("{messages}"))
}

/// Claim: every shipped file is valid. Method: load each.
#[test]
fn shipped_files_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let spec = ClusterFile::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(spec.name, name, "a cluster is named like its file");
        let limit = Duration::from_secs(60);
        // What is only modelled is for simulated time.
        let is_executed = spec.task_definitions.iter().any(|definition| definition.work == Work::Executed);
        let is_short = spec.settings.run_for.is_some_and(|run_for| run_for < limit);
        assert!(is_short || !is_executed, "{name} ends by itself within a minute");
        names.push(name);
    }
    names.sort();
    assert_eq!(
        names,
        [
            "breaker",
            "canary",
            "compare",
            "day",
            "ec2-only",
            "fargate-spot",
            "mixed",
            "patching",
            "quickstart",
            "scaling",
            "sidecars",
            "spot"
        ]
    );
}

/// Claim: the reference has every key. Method: each as code in the part about its table.
#[test]
fn reference_lists_every_key() {
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cluster-file.md")).unwrap();
    for table in TABLES {
        let part = if table.table.is_empty() {
            reference.as_str()
        } else {
            let heading = format!("`{}`", table.table);
            let is_about = |part: &&str| part.lines().next().is_some_and(|line| line.contains(&heading));
            reference.split("\n## ").find(is_about).unwrap_or_else(|| panic!("no part about {heading}"))
        };
        for key in table.keys {
            let row = if table.table.is_empty() { format!("{key}]") } else { format!("| `{key}` |") };
            assert!(part.contains(&row), "`{}` of `{}` is in the reference", key, table.table);
        }
    }
}

/// Claim: every listed key is read, and read with its type. Method: give each a date, which no key takes.
#[test]
fn every_key_is_read() {
    let folder = folder();
    let parents: &[(&str, &str)] = &[
        ("", ""),
        ("cluster", "[cluster]\n"),
        ("cluster.settings", "[cluster]\n[[cluster.settings]]\n"),
        ("settings", "[settings]\n"),
        ("images", "[images]\n"),
        ("images.NAME", "[images.x]\n"),
        ("capacity_provider_strategy", "[[service]]\n[[service.capacity_provider_strategy]]\n"),
        ("capacity_provider", "[[capacity_provider]]\n"),
        ("capacity_provider.auto_scaling_group", "[[capacity_provider]]\n[capacity_provider.auto_scaling_group]\n"),
        (
            "capacity_provider.auto_scaling_group.warm_pool",
            "[[capacity_provider]]\n[capacity_provider.auto_scaling_group]\n[capacity_provider.auto_scaling_group.warm_pool]\n",
        ),
        (
            "capacity_provider.auto_scaling_group.warm_pool.instance_reuse_policy",
            "[[capacity_provider]]\n[capacity_provider.auto_scaling_group]\n[capacity_provider.auto_scaling_group.warm_pool]\n[capacity_provider.auto_scaling_group.warm_pool.instance_reuse_policy]\n",
        ),
        (
            "capacity_provider.auto_scaling_group.lifecycle_hooks",
            "[[capacity_provider]]\n[capacity_provider.auto_scaling_group]\n[[capacity_provider.auto_scaling_group.lifecycle_hooks]]\n",
        ),
        (
            "capacity_provider.auto_scaling_group.instance_maintenance_policy",
            "[[capacity_provider]]\n[capacity_provider.auto_scaling_group]\n[capacity_provider.auto_scaling_group.instance_maintenance_policy]\n",
        ),
        ("fault", "[[fault]]\n"),
        ("instance_refresh", "[[instance_refresh]]\n"),
        ("instance_refresh.preferences", "[[instance_refresh]]\n[instance_refresh.preferences]\n"),
        ("capacity_provider.managed_scaling", "[[capacity_provider]]\n[capacity_provider.managed_scaling]\n"),
        ("container_instance", "[[container_instance]]\n"),
        ("task_definition", "[[task_definition]]\n"),
        ("task_definition.runtime_platform", "[[task_definition]]\n[task_definition.runtime_platform]\n"),
        ("task_definition.ephemeral_storage", "[[task_definition]]\n[task_definition.ephemeral_storage]\n"),
        ("task_definition.volumes", "[[task_definition]]\n[[task_definition.volumes]]\n"),
        (
            "task_definition.volumes.host",
            "[[task_definition]]\n[[task_definition.volumes]]\n[task_definition.volumes.host]\n",
        ),
        ("task_definition.container", "[[task_definition]]\n[[task_definition.container]]\n"),
        (
            "task_definition.container.health_check",
            "[[task_definition]]\n[[task_definition.container]]\n[task_definition.container.health_check]\n",
        ),
        (
            "task_definition.container.depends_on",
            "[[task_definition]]\n[[task_definition.container]]\n[[task_definition.container.depends_on]]\n",
        ),
        (
            "task_definition.container.restart_policy",
            "[[task_definition]]\n[[task_definition.container]]\n[task_definition.container.restart_policy]\n",
        ),
        (
            "task_definition.container.secrets",
            "[[task_definition]]\n[[task_definition.container]]\n[[task_definition.container.secrets]]\n",
        ),
        (
            "environment_files",
            "[[task_definition]]\n[[task_definition.container]]\n[[task_definition.container.environment_files]]\n",
        ),
        (
            "task_definition.container.mount_points",
            "[[task_definition]]\n[[task_definition.container]]\n[[task_definition.container.mount_points]]\n",
        ),
        (
            "task_definition.container.port_mappings",
            "[[task_definition]]\n[[task_definition.container]]\n[[task_definition.container.port_mappings]]\n",
        ),
        (
            "environment",
            "[[task_definition]]\n[[task_definition.container]]\n[[task_definition.container.environment]]\n",
        ),
        ("tags", "[[service]]\n[[service.tags]]\n"),
        ("target_group", "[[target_group]]\n"),
        ("target_group.health_check", "[[target_group]]\n[target_group.health_check]\n"),
        ("service.load_balancers", "[[service]]\n[[service.load_balancers]]\n"),
        (
            "service.load_balancers.advanced_configuration",
            "[[service]]\n[[service.load_balancers]]\n[service.load_balancers.advanced_configuration]\n",
        ),
        ("service", "[[service]]\n"),
        ("service.deployment_configuration", "[[service]]\n[service.deployment_configuration]\n"),
        (
            "service.deployment_configuration.deployment_circuit_breaker",
            "[[service]]\n[service.deployment_configuration.deployment_circuit_breaker]\n",
        ),
        (
            "service.deployment_configuration.deployment_circuit_breaker.threshold_configuration",
            "[[service]]\n[service.deployment_configuration.deployment_circuit_breaker.threshold_configuration]\n",
        ),
        ("service.deployment_configuration.alarms", "[[service]]\n[service.deployment_configuration.alarms]\n"),
        (
            "service.deployment_configuration.early_success_criteria",
            "[[service]]\n[service.deployment_configuration.early_success_criteria]\n",
        ),
        (
            "service.deployment_configuration.linear_configuration",
            "[[service]]\n[service.deployment_configuration]\nstrategy = \"LINEAR\"\n\
             [service.deployment_configuration.linear_configuration]\n",
        ),
        (
            "service.deployment_configuration.canary_configuration",
            "[[service]]\n[service.deployment_configuration]\nstrategy = \"CANARY\"\n\
             [service.deployment_configuration.canary_configuration]\n",
        ),
        (
            "service.deployment_configuration.lifecycle_hooks",
            "[[service]]\n[[service.deployment_configuration.lifecycle_hooks]]\n",
        ),
        (
            "service.deployment_configuration.lifecycle_hooks.timeout_configuration",
            "[[service]]\n[[service.deployment_configuration.lifecycle_hooks]]\n\
             [service.deployment_configuration.lifecycle_hooks.timeout_configuration]\n",
        ),
        ("placement_strategy", "[[service]]\n[[service.placement_strategy]]\n"),
        ("placement_constraints", "[[service]]\n[[service.placement_constraints]]\n"),
        ("service.auto_scaling", "[[service]]\n[service.auto_scaling]\n"),
        ("service.auto_scaling.target_tracking", "[[service]]\n[[service.auto_scaling.target_tracking]]\n"),
        ("service.auto_scaling.suspended_state", "[[service]]\n[service.auto_scaling.suspended_state]\n"),
        (
            "service.auto_scaling.target_tracking.customized_metric_specification",
            "[[service]]\n[[service.auto_scaling.target_tracking]]\nmetric = \"CustomizedMetricSpecification\"\n\
             [service.auto_scaling.target_tracking.customized_metric_specification]\n",
        ),
        (
            "service.auto_scaling.target_tracking.customized_metric_specification.metrics",
            "[[service]]\n[[service.auto_scaling.target_tracking]]\nmetric = \"CustomizedMetricSpecification\"\n\
             [[service.auto_scaling.target_tracking.customized_metric_specification.metrics]]\n",
        ),
        (
            "service.auto_scaling.target_tracking.customized_metric_specification.metrics.metric_stat",
            "[[service]]\n[[service.auto_scaling.target_tracking]]\nmetric = \"CustomizedMetricSpecification\"\n\
             [[service.auto_scaling.target_tracking.customized_metric_specification.metrics]]\n\
             [service.auto_scaling.target_tracking.customized_metric_specification.metrics.metric_stat]\n",
        ),
        (
            "service.auto_scaling.target_tracking.customized_metric_specification.metrics.metric_stat.metric",
            "[[service]]\n[[service.auto_scaling.target_tracking]]\nmetric = \"CustomizedMetricSpecification\"\n\
             [[service.auto_scaling.target_tracking.customized_metric_specification.metrics]]\n\
             [service.auto_scaling.target_tracking.customized_metric_specification.metrics.metric_stat.metric]\n",
        ),
        ("service.task_set", "[[service]]\n[[service.task_set]]\n"),
        ("service.monitoring", "[[service]]\n[service.monitoring]\n"),
        ("service.monitoring.metric_configurations", "[[service]]\n[[service.monitoring.metric_configurations]]\n"),
        ("service.auto_scaling.step_scaling", "[[service]]\n[[service.auto_scaling.step_scaling]]\n"),
        (
            "service.auto_scaling.step_scaling.step_adjustments",
            "[[service]]\n[[service.auto_scaling.step_scaling]]\n\
             [[service.auto_scaling.step_scaling.step_adjustments]]\n",
        ),
        ("service.auto_scaling.scheduled_actions", "[[service]]\n[[service.auto_scaling.scheduled_actions]]\n"),
        ("alarm", "[[alarm]]\n"),
        ("metric", "[[metric]]\n"),
        ("metric.steps", "[[metric]]\n[[metric.steps]]\n"),
        ("task_definition.simulation", "[[task_definition]]\n[task_definition.simulation]\n"),
        (
            "task_definition.simulation.crash",
            "[[task_definition]]\n[task_definition.simulation]\n[task_definition.simulation.crash]\n",
        ),
        ("distribution", "[[task_definition]]\n[task_definition.simulation]\n[task_definition.simulation.pull]\n"),
        (
            "distribution.exponential",
            "[[task_definition]]\n[task_definition.simulation]\n[task_definition.simulation.pull.exponential]\n",
        ),
        (
            "distribution.log_normal",
            "[[task_definition]]\n[task_definition.simulation]\n[task_definition.simulation.pull.log_normal]\n",
        ),
        (
            "task_definition.container.resource_requirements",
            "[[task_definition]]\n[[task_definition.container]]\n[[task_definition.container.resource_requirements]]\n",
        ),
        (
            "service.auto_scaling.predictive_scaling",
            "[[service]]\n[service.auto_scaling]\n[[service.auto_scaling.predictive_scaling]]\n",
        ),
        ("subnet", "[[subnet]]\n"),
        ("network_configuration", "[[service]]\n[service.network_configuration]\n"),
        (
            "network_configuration.awsvpc_configuration",
            "[[service]]\n[service.network_configuration]\n[service.network_configuration.awsvpc_configuration]\n",
        ),
        ("run_task", "[[run_task]]\n"),
        ("start_task", "[[start_task]]\n"),
        ("run_task.overrides", "[[run_task]]\n[run_task.overrides]\n"),
        ("run_task.overrides.container", "[[run_task]]\n[[run_task.overrides.container]]\n"),
        ("simulation", "[simulation]\n"),
        ("simulation.messages", "[simulation]\n[simulation.messages]\n"),
        ("simulation.actions", "[simulation]\n[simulation.actions]\n"),
        ("update_service", "[[update_service]]\n"),
        ("load", "[[load]]\n"),
        ("load.steps", "[[load]]\n[[load.steps]]\n"),
        ("load.sine", "[[load]]\n[load.sine]\n"),
        ("load.spikes", "[[load]]\njobs_per_second = 1\n[[load.spikes]]\n"),
    ];
    for table in TABLES {
        let (_, header) = parents.iter().find(|(name, _)| *name == table.table).expect("a header for each table");
        for key in table.keys {
            // `field` is read for strategies that have one.
            let sibling = match *key {
                "field" => "type = \"spread\"\n",
                "expression" => "type = \"memberOf\"\n",
                _ => "",
            };
            let text = format!("{header}{sibling}{key} = 1979-05-27\n");
            let errors =
                ClusterFile::parse(&text, folder.path().join("cluster.toml"), &Catalog::embedded()).unwrap_err();
            let is_about_it = |message: &str| message.starts_with("expected ") && message.ends_with(", found a date");
            assert!(
                errors.errors.iter().any(|error| error.text == "1979-05-27" && is_about_it(&error.message)),
                "{key} of `{}`: {errors}",
                table.table
            );
        }
    }
}

/// Claim: what a file leaves out has ECS' default. Method: the shortest file of each kind of table.
#[test]
fn defaults_are_those_of_ecs() {
    let spec = accept(
        r#"
[settings]
[[capacity_provider]]
name = "plain"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 2 }
[[capacity_provider]]
name = "managed"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 2 }
managed_scaling = {}
[[capacity_provider]]
name = "disabled"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 2 }
managed_scaling = { status = "DISABLED" }
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
auto_scaling = { min_capacity = 0, max_capacity = 3, target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 62.5 }] }
[[run_task]]
task_definition = "app"
[[load]]
service = "web"
job = "5"
jobs_per_second = 2.5
"#,
    );
    assert_eq!((spec.name.as_str(), spec.region.as_str()), ("default", "us-east-1"));
    assert_eq!(spec.settings, Settings::default());
    assert_eq!(spec.default_strategy, []);
    let [plain, managed, disabled] = spec.capacity_providers.as_slice() else { panic!("three providers") };
    assert_eq!((plain.managed_scaling, disabled.managed_scaling), (None, None));
    assert_eq!(managed.managed_scaling, Some(ManagedScaling::default()));
    let zones: Vec<&str> = plain.auto_scaling_group.availability_zones.iter().map(|zone| &**zone).collect();
    assert_eq!(zones, ["us-east-1a", "us-east-1b", "us-east-1c"]);
    assert_eq!(plain.auto_scaling_group.desired_capacity, None);
    assert_eq!(plain.auto_scaling_group.boot_time, Settings::default().boot_time);
    let [instance] = spec.container_instances.as_slice() else { panic!("one instance") };
    assert_eq!(&*instance.availability_zone, "us-east-1a");
    let [app, app_fargate] = spec.task_definitions.as_slice() else { panic!("two task definitions") };
    assert_eq!((app.network_mode, app_fargate.network_mode), (NetworkMode::Bridge, NetworkMode::Awsvpc));
    let container = &app.containers[0];
    assert!(container.essential);
    assert_eq!((container.cpu, container.memory, container.stop_timeout), (CpuUnits(0), None, None));
    let service = &spec.services[0];
    assert_eq!(service.launch_target, LaunchTarget::ClusterDefault);
    assert_eq!(service.deployment_configuration.minimum_healthy_percent, 100);
    assert_eq!(service.deployment_configuration.maximum_percent, 200);
    let tracking = &service.auto_scaling.as_ref().unwrap().target_tracking[0];
    assert_eq!(tracking.target_thousandths, 62_500);
    assert_eq!(tracking.scale_out_cooldown, Duration::from_secs(300));
    assert_eq!(tracking.scale_in_cooldown, Duration::from_secs(300));
    let run_task = &spec.run_tasks[0];
    assert_eq!((run_task.at, run_task.spec.count), (Duration::ZERO, 1));
    let load = &spec.loads[0];
    assert_eq!(
        (load.arrivals, load.steps[0].at, load.steps[0].jobs_per_gigasecond),
        (Arrivals::Constant, Timestamp::ZERO, 2_500_000_000)
    );
}

/// Claim: ECS' spellings mean what they mean in ECS. Method: a file in the words of ECS' documentation.
#[test]
fn spellings_of_ecs_are_read() {
    let spec = accept(
        r#"
[[task_definition]]
family = "sizes"
cpu = ".5 vCPU"
memory = "1 GB"
requires_compatibilities = ["EC2", "FARGATE"]
tags = [{ key = "team", value = "web" }]
volumes = [{ name = "data", host = {} }, { name = "scratch" }]
container = [{ name = "main", image = "package", environment = [{ name = "LEVEL", value = "debug" }] }]
[[task_definition]]
family = "app"
memory = "128"
tags = { team = "web" }
container = [{ name = "main", image = "app.wasm", environment = { LEVEL = "debug" } }]
[[service]]
name = "web"
task_definition = "app:2"
desired_count = 1
launch_type = "EC2"
placement_strategy = [
  { type = "spread", field = "host" },
  { type = "spread", field = "attribute:ecs.availability-zone" },
  { type = "binpack", field = "MEMORY" },
  { type = "random" },
]
"#,
    );
    let sizes = &spec.task_definitions[0];
    assert_eq!((sizes.cpu, sizes.memory), (Some(CpuUnits(512)), Some(MemoryMib(1024))));
    assert_eq!(sizes.requires_compatibilities.len(), 2);
    assert!(Path::new(&sizes.containers[0].image).is_absolute());
    assert_eq!(sizes.tags, spec.task_definitions[1].tags);
    assert_eq!(sizes.containers[0].environment, spec.task_definitions[1].containers[0].environment);
    let service = &spec.services[0];
    assert_eq!(service.task_definition.revision, Some(2));
    assert_eq!(service.launch_target, LaunchTarget::LaunchType(LaunchType::Ec2));
    assert_eq!(service.placement_strategy[0], PlacementStrategy::Spread(SpreadField::InstanceId));
}

/// Claim: a file that cannot be read is one error without a position. Method: a file that is not there.
#[test]
fn a_file_that_is_not_there() {
    let errors = ClusterFile::load("no-such-folder/cluster.toml").unwrap_err();
    expect!["no-such-folder/cluster.toml: cannot be read: no such file or directory (os error 2)"]
        .assert_eq(&errors.to_string());
}

/// Claim: a position is that of the text, in characters, and the text is kept. Method: a mistake behind wide letters.
#[test]
fn positions_count_characters() {
    let text = "[cluster]\nname = \"a\" # ok\nregion = \"ü\"\n[settings] # é\nseed = \"x\"\n";
    let errors = ClusterFile::parse(text, "f.toml", &Catalog::embedded()).unwrap_err();
    let places: Vec<_> = errors
        .errors
        .iter()
        .map(|error| (error.line, error.column, error.text.as_str(), error.path.as_str()))
        .collect();
    assert_eq!(places, [(3, 10, "\"ü\"", "cluster.region"), (5, 8, "\"x\"", "settings.seed")]);
}

/// Claim: all mistakes are reported at once, in the order of the file. Method: one in every kind of table.
#[test]
fn all_mistakes_at_once() {
    check(
        r#"
[cluster]
nmae = "shop"
[settings]
metric_period = 20
[[capacity_provider]]
name = "ecs-group"
auto_scaling_group = { instance_type = "m7i.lage", min_size = 3, max_size = 1 }
[[task_definition]]
family = "api"
cpu = "256"
memory = "300"
requires_compatibilities = ["FARGATE"]
  [[task_definition.container]]
  name = "api"
  image = "ap.wasm"
[[service]]
name = "api"
task_definition = "apy"
desird_count = 2
launch_type = "FARGAT"
[[run_task]]
task_definition = "api"
count = 0
[[load]]
service = "ap"
job = "1"
"#,
        expect![[r#"
            3:1: cluster.nmae: unknown key `nmae`
              help: did you mean `name`?
            5:17: settings.metric_period: 20 has no unit: durations are strings with their unit
              help: write "20s" for seconds, or another of ns, us, ms, m, h, d
            7:8: capacity_provider[0].name: "ecs-group" begins with "ecs": the name of a capacity provider must not
            8:40: capacity_provider[0].auto_scaling_group.instance_type: instance type "m7i.lage" is not in the catalog
              help: did you mean "m7i.large"?
            8:63: capacity_provider[0].auto_scaling_group.min_size: min_size 3 is greater than max_size 1
            12:10: task_definition[0].memory: memory 300 is not valid for cpu 256 on Fargate: 512, 1024 or 2048
            16:11: task_definition[0].container[0].image: image "ap.wasm" not found: looked for /folder/ap.wasm
              help: did you mean "app.wasm"?
            19:19: service[0].task_definition: task definition "apy" is not defined in this file
              help: did you mean "api"?
            20:1: service[0].desird_count: unknown key `desird_count`
              help: did you mean `desired_count`?
            21:15: service[0].launch_type: "FARGAT" is not valid here: "EC2" or "FARGATE"
              help: did you mean "FARGATE"?
            24:9: run_task[0].count: 0 is not within the limits: 1 or more
            25:1: load[0].jobs_per_second: jobs_per_second, steps, sine or trace is missing
            26:11: load[0].service: service "ap" is not defined in this file
              help: did you mean "api"?"#]],
    );
}

/// Claim: several slips in the syntax are all said, and so is what is wrong on other lines, but nothing is said to be
/// missing. Method: an open string, a bare word and a key given twice.
#[test]
fn broken_syntax() {
    check(
        r#"
[cluster]
name = "shop
region = us-east-1
[settings]
seed = 1
seed = 2
metric_period = 5
[[service]]
"#,
        expect![[r#"
            3:13: invalid basic string, expected `"`
            4:10: string values must be quoted, expected literal string
            7:1: duplicate key
            8:17: settings.metric_period: 5 has no unit: durations are strings with their unit
              help: write "5s" for seconds, or another of ns, us, ms, m, h, d"#]],
    );
}

/// Claim: an unknown key is told the nearest known one, or which there are. Method: typing slips, ECS' own spelling, a key
/// of ECS that is not available, a stranger.
#[test]
fn unknown_keys() {
    check(
        r#"
[setings]
[cluster]
colour = "red"
[[service]]
name = "web"
taskDefinition = "app"
task_definition = "app"
desired_count = 1
service_registries = []
deployment_configuration = { min_healthy_percent = 50 }
"#,
        expect![[r#"
            2:2: setings: unknown key `setings`
              help: did you mean `settings`?
            4:1: cluster.colour: unknown key `colour`
              help: the keys here are name, region, default_capacity_provider_strategy and settings
            7:1: service[0].taskDefinition: unknown key `taskDefinition`
              help: did you mean `task_definition`?
            10:1: service[0].service_registries: `service_registries` is not available yet
            11:30: service[0].deployment_configuration.min_healthy_percent: unknown key `min_healthy_percent`
              help: did you mean `minimum_healthy_percent`?"#]],
    );
}

/// Claim: a value of another type is told what was found and what is expected. Method: each type in another's place.
#[test]
fn wrong_types() {
    check(
        r#"
service = { name = "web", task_definition = "app", desired_count = "2" }
[cluster]
name = 5
region = ["us-east-1"]
[settings]
seed = -1
stop_timeout = 2
run_for = "20"
boot_time = "5 parsecs"
usage_period = true
cpu_basis = "Fuel"
fuel_per_vcpu_second = "fast"
[[task_definition]]
family = "types"
cpu = 0.5
memory = "512 MB"
tags = "red"
container = [
  { name = "a", image = "app.wasm", command = "serve", essential = "true", environment = { PORT = 80 } },
  { name = "b", image = 3, entry_point = [1, "x"], cpu = "10" },
]
[task_definition.volumes]
name = "v"
"#,
        expect![[r#"
            2:11: service: expected a list of tables, found a table
              help: write [{ .. }], with brackets around the table
            2:68: service.desired_count: expected an integer, found the string "2"
              help: write 2 without quotes
            4:8: cluster.name: expected a string, found the integer 5
              help: write "5"
            5:10: cluster.region: expected a string, found a list
            7:8: settings.seed: -1 is not within the limits: 0 or more
            8:16: settings.stop_timeout: 2 has no unit: durations are strings with their unit
              help: write "2s" for seconds, or another of ns, us, ms, m, h, d
            9:11: settings.run_for: "20" has no unit: write "20s" for seconds, "20ms" for milliseconds, "20m" for minutes
            10:13: settings.boot_time: "parsecs" is not a unit of time: ns, us, ms, s, m, h or d
            11:16: settings.usage_period: expected a duration as in "20s", found true
            12:13: settings.cpu_basis: "Fuel" is not valid here: "fuel" or "time"
              help: did you mean "fuel"?
            13:24: settings.fuel_per_vcpu_second: "fast" is not a rate of fuel: write a number, or "native"
            16:7: task_definition[0].cpu: expected a string or an integer, found the number 0.5
            17:10: task_definition[0].memory: "512 MB" is not a task's memory: write MiB as in "512", or GB as in "1GB"
            18:8: task_definition[0].tags: expected a table, found the string "red"
            20:47: task_definition[0].container[0].command: expected a list of strings, found the string "serve"
              help: write ["serve"]
            20:68: task_definition[0].container[0].essential: expected true or false, found the string "true"
              help: write true without quotes
            20:99: task_definition[0].container[0].environment.PORT: expected a string, found the integer 80
              help: write "80"
            21:25: task_definition[0].container[1].image: expected a string, found the integer 3
              help: write "3"
            21:43: task_definition[0].container[1].entry_point[0]: expected a string, found the integer 1
              help: write "1"
            21:58: task_definition[0].container[1].cpu: expected an integer, found the string "10"
              help: write 10 without quotes
            23:1: task_definition[0].volumes: expected a list of tables, found a table
              help: write [[task_definition.volumes]], with two brackets"#]],
    );
}

proptest! {
    /// Claim: no text makes the reader panic, and each error lies within the text. Method: the shipped files, damaged.
    #[test]
    fn damaged_files_are_refused_in_order(
        which in 0..5usize,
        at in 0..4000usize,
        length in 0..60usize,
        replacement in "[]\\[{}\"'=.,#\n a-z0-9é\u{1F980}-]{0,8}",
    ) {
        let names = ["quickstart", "ec2-only", "fargate-spot", "mixed", "scaling"];
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("clusters/{}.toml", names[which]));
        let mut text = fs::read_to_string(&path).unwrap();
        let start = text.floor_char_boundary(at.min(text.len()));
        let end = text.floor_char_boundary((at + length).min(text.len())).max(start);
        text.replace_range(start..end, &replacement);
        if let Err(errors) = ClusterFile::parse(&text, &path, &Catalog::embedded()) {
            prop_assert!(!errors.errors.is_empty());
            prop_assert!(errors.errors.is_sorted_by_key(|error| error.span.start));
            for error in &errors.errors {
                prop_assert!(text[error.span.clone()].starts_with(&error.text));
                prop_assert!(!error.message.is_empty());
            }
            #[cfg(feature = "cli")]
            longshore::cli::diagnostics::render(&errors, longshore::cli::diagnostics::Colour::Plain);
        }
    }
}

/// Claim: the program shows mistakes with their lines. Method: one with help, one without a position.
#[cfg(feature = "cli")]
#[test]
fn shown_to_people() {
    use longshore::cli::diagnostics::{Colour, render};
    let text =
        "[cluster]\nregion = \"us-east-1\"\n[[service]]\nname = \"web\"\ndesird_count = 2\ntask_definition = 3\n";
    let errors = ClusterFile::parse(text, "shop.toml", &Catalog::embedded()).unwrap_err();
    expect![[r#"
        error: unknown key `desird_count`
         --> shop.toml:5:1
          |
        5 | desird_count = 2
          | ^^^^^^^^^^^^ service[0].desird_count
          |
          = help: did you mean `desired_count`?

        error: expected a string, found the integer 3
         --> shop.toml:6:19
          |
        6 | task_definition = 3
          |                   ^ service[0].task_definition
          |
          = help: write "3"

        error: 2 mistakes in shop.toml
    "#]]
    .assert_eq(&render(&errors, Colour::Plain));
    assert!(render(&errors, Colour::Ansi).contains("\u{1b}["));
    let errors = ClusterFile::load("no-such-file.toml").unwrap_err();
    expect![[r#"
        error: no-such-file.toml cannot be read: no such file or directory (os error 2)
    "#]]
    .assert_eq(&render(&errors, Colour::Plain));
}
