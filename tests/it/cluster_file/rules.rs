//! The rules of the cluster file: each broken once, and what is said of it.

use expect_test::expect;
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;

use super::{check, folder};

/// Claim: settings that cannot work together are refused. Method: each pair, and the limits of the CPU period.
#[test]
fn settings_rules() {
    check(
        r#"
[settings]
cpu_period = "2s"
metric_period = "5s"
restart_delay_first = "1h"
run_for = "0s"
"#,
        expect![[r#"
            3:14: settings.cpu_period: cpu_period 2s is not from 1ms to 1s
            4:17: settings.metric_period: usage_period 10s is longer than metric_period 5s, so that periods would have no sample
              help: write usage_period as well
            5:23: settings.restart_delay_first: restart_delay_first 1h is longer than restart_delay_max 27m
            6:11: settings.run_for: run_for must be longer than zero"#]],
    );
    check(
        "[settings]\nmetric_period = \"500ms\"\nusage_period = \"1s\"\n",
        expect![
            "3:16: settings.usage_period: usage_period 1s is longer than metric_period 500ms, so that periods would have no sample"
        ],
    );
    check("[settings]\nfuel_per_vcpu_second = \"native\"\nusage_period = \"60s\"\n", expect!["no mistake"]);
}

/// Claim: names have ECS' letters and are unique. Method: each kind of name.
#[test]
fn names() {
    check(
        r#"
[cluster]
name = "my cluster"
[[capacity_provider]]
name = "FargateLike"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 1 }
[[capacity_provider]]
name = "twice"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 1 }
[[capacity_provider]]
name = "twice"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 1 }
[[task_definition]]
family = ""
memory = 64
volumes = [{ name = "a.b" }, { name = "v" }, { name = "v" }]
container = [{ name = "x", image = "app.wasm" }, { name = "x", image = "app.wasm" }]
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
"#,
        expect![[r#"
            3:8: cluster.name: "my cluster" is not a valid name: 1 to 255 letters, digits, - and _
            5:8: capacity_provider[0].name: "FargateLike" begins with "fargate": the name of a capacity provider must not
            11:8: capacity_provider[2].name: capacity provider "twice" is defined twice
            14:10: task_definition[0].family: "" is not a valid name: 1 to 255 letters, digits, - and _
            16:21: task_definition[0].volumes[0].name: "a.b" is not a valid name: 1 to 255 letters, digits, - and _
            16:55: task_definition[0].volumes[2].name: volume "v" is defined twice
            17:59: task_definition[0].container[1].name: container "x" is defined twice
            23:8: service[1].name: service "web" is defined twice"#]],
    );
}

/// Claim: groups and instances are what EC2 offers. Method: unknown region, type, zone; a type without a price.
#[test]
fn capacity_rules() {
    check(
        "[cluster]\nregion = \"eu-west-2\"\n",
        expect![[r#"
        2:10: cluster.region: there are no prices for region "eu-west-2", only for us-east-1, us-west-2, eu-west-1, eu-central-1, ap-southeast-1 and ap-northeast-1
          help: did you mean "eu-west-1"?"#]],
    );
    check(
        r#"
[cluster]
region = "eu-west-1"
[[container_instance]]
instance_type = "m7i.medium"
availability_zone = "us-east-1a"
count = 0
attributes = { "ecs.os-type" = "linux", "a b" = "x", disk = " ssd" }
[[container_instance]]
[[capacity_provider]]
name = "group"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 3, desired_capacity = 4, availability_zones = [] }
managed_scaling = { status = "ON", target_capacity = 101, minimum_scaling_step_size = 5, maximum_scaling_step_size = 2, instance_warmup_period = "3h" }
[[capacity_provider]]
name = "none"
"#,
        expect![[r#"
            5:17: container_instance[0].instance_type: instance type "m7i.medium" is not in the catalog
              help: did you mean "m7a.medium"?
            6:21: container_instance[0].availability_zone: "us-east-1a" is not an availability zone of region "eu-west-1"
              help: write the region and a letter, as in "eu-west-1a"
            7:9: container_instance[0].count: 0 is not within the limits: 1 to 10000
            8:16: container_instance[0].attributes.ecs.os-type: attribute "ecs.os-type" is one that ECS sets itself
            8:41: container_instance[0].attributes.a b: attribute "a b" is not valid: 1 to 128 letters, digits and - _ / \ .
            8:61: container_instance[0].attributes.disk: attribute value " ssd" is not valid: 1 to 128 letters, digits, spaces inside and - _ / \ . @ :
            9:1: container_instance[1].instance_type: `instance_type` is missing
            12:100: capacity_provider[0].auto_scaling_group.desired_capacity: desired_capacity 4 is not between min_size 1 and max_size 3
            12:124: capacity_provider[0].auto_scaling_group.availability_zones: a group needs at least one availability zone
            13:30: capacity_provider[0].managed_scaling.status: "ON" is not valid here: "ENABLED" or "DISABLED"
            13:54: capacity_provider[0].managed_scaling.target_capacity: 101 is not within the limits: 1 to 100
            13:87: capacity_provider[0].managed_scaling.minimum_scaling_step_size: minimum_scaling_step_size 5 is greater than maximum_scaling_step_size 2
            13:146: capacity_provider[0].managed_scaling.instance_warmup_period: instance_warmup_period "3h" is not within the limits: 0s to 10000s
            14:1: capacity_provider[1].auto_scaling_group: `auto_scaling_group` is missing"#]],
    );
}

/// Claim: Fargate takes its own sizes only. Method: each way to miss them.
#[test]
fn fargate_sizes() {
    let fargate = |size: &str| {
        format!(
            "[[task_definition]]\nfamily = \"f\"\n{size}\nrequires_compatibilities = [\"FARGATE\"]\n\
             container = [{{ name = \"a\", image = \"app.wasm\" }}]\n"
        )
    };
    check(
        &fargate("cpu = 256\nmemory = 300"),
        expect!["4:10: task_definition[0].memory: memory 300 is not valid for cpu 256 on Fargate: 512, 1024 or 2048"],
    );
    check(
        &fargate("cpu = 300\nmemory = 512"),
        expect![
            "3:7: task_definition[0].cpu: cpu 300 is not a Fargate cpu: 256, 512, 1024, 2048, 4096, 8192, 16384 or 32768"
        ],
    );
    check(
        &fargate("cpu = \"1 vCPU\"\nmemory = \"1GB\""),
        expect![
            "4:10: task_definition[0].memory: memory 1024 is not valid for cpu 1024 on Fargate: 2048 to 8192 in steps of 1024"
        ],
    );
    check(
        &fargate("cpu = \"32 vCPU\"\nmemory = \"64GB\""),
        expect![
            "4:10: task_definition[0].memory: memory 65536 is not valid for cpu 32768 on Fargate: 61440, 122880 or 249856"
        ],
    );
    check(
        &fargate("memory = 512"),
        expect!["1:1: task_definition[0].cpu: Fargate requires that 'cpu' be defined at the task level"],
    );
    check(
        &fargate("cpu = 256"),
        expect!["1:1: task_definition[0].memory: Fargate requires that 'memory' be defined at the task level"],
    );
    check(
        &fargate("cpu = \"a lot\"\nmemory = 512"),
        expect![[
            r#"3:7: task_definition[0].cpu: "a lot" is not a task's cpu: write CPU units as in "256", or vCPUs as in ".25 vCPU""#
        ]],
    );
    check(
        &fargate("cpu = 256\nmemory = 512\nnetwork_mode = \"bridge\""),
        expect![[r#"5:16: task_definition[0].network_mode: Fargate supports network mode "awsvpc" only"#]],
    );
    check(
        &fargate("cpu = 256\nmemory = 512\nephemeral_storage = { size_in_gib = 20 }"),
        expect!["5:37: task_definition[0].ephemeral_storage.size_in_gib: 20 is not within the limits: 21 to 200"],
    );
    check(
        &fargate("cpu = 256\nmemory = 512\nvolumes = [{ name = \"v\", host = { source_path = \"data\" } }]"),
        expect![[
            r#"5:33: task_definition[0].volumes[0].host: volume "v" has a source_path, and tasks on Fargate see no host"#
        ]],
    );
}

/// Claim: task definitions keep ECS' rules. Method: each rule broken.
#[test]
fn task_definition_rules() {
    check(
        r#"
[[task_definition]]
family = "empty"
memory = 64
container = []
[[task_definition]]
memory = 64
[[task_definition]]
family = "small"
cpu = 64
memory = 4
ephemeral_storage = { size_in_gib = 30 }
runtime_platform = { cpu_architecture = "arm64" }
requires_compatibilities = ["EXTERNAL"]
container = [{ name = "a", image = "app.wasm", essential = false }]
"#,
        expect![[r#"
            5:13: task_definition[0].container: a task definition needs at least one container
            6:1: task_definition[1].family: `family` is missing
            6:1: task_definition[1].container: `container` is missing
            10:7: task_definition[2].cpu: cpu 64 is not within the limits of a task's cpu: 128 to 196608
            11:10: task_definition[2].memory: memory 4 is too little: at least 6 MiB
            12:21: task_definition[2].ephemeral_storage: ephemeral_storage is for tasks on Fargate only
            13:41: task_definition[2].runtime_platform.cpu_architecture: "arm64" is not valid here: "X86_64" or "ARM64"
              help: did you mean "ARM64"?
            14:29: task_definition[2].requires_compatibilities[0]: "EXTERNAL" is not available yet, only "EC2" and "FARGATE"
            15:13: task_definition[2].container: at least one container of a task definition must be essential"#]],
    );
    check(
        r#"
[[task_definition]]
family = "sums"
cpu = 256
memory = 128
  [[task_definition.container]]
  name = "a"
  image = "app.wasm"
  cpu = 200
  memory = 256
  memory_reservation = 100
  [[task_definition.container]]
  name = "b"
  image = "app.wasm"
  cpu = 100
  memory = 64
  memory_reservation = 64
[[task_definition]]
family = "without-memory"
container = [{ name = "a", image = "app.wasm", memory = 5 }, { name = "b", image = "app.wasm" }]
"#,
        expect![[r#"
            4:7: task_definition[0].cpu: the cpu of the containers adds up to 300, more than the task's 256
            5:10: task_definition[0].memory: the memory_reservation of the containers adds up to 164, more than the task's 128
            10:12: task_definition[0].container[0].memory: memory 256 is more than the task's 128
            17:24: task_definition[0].container[1].memory_reservation: memory_reservation 64 must be less than memory 64
            20:57: task_definition[1].container[0].memory: memory 5 is too little: at least 6 MiB
            20:62: task_definition[1].container[1].memory: container "b" needs memory or memory_reservation, since its task definition has no memory"#]],
    );
    let eleven: String = (0..11)
        .map(|index| format!("[[task_definition.container]]\nname = \"c{index}\"\nimage = \"app.wasm\"\n"))
        .collect();
    check(
        &format!("[[task_definition]]\nfamily = \"many\"\nmemory = 64\n{eleven}"),
        expect!["4:1: task_definition[0].container: 11 containers are too many for a task definition: at most 10"],
    );
}

/// Claim: images and folders are looked for, and messages say where. Method: what is not there, and what is of another kind.
#[test]
fn paths() {
    check(
        r#"
[[task_definition]]
family = "paths"
memory = 64
volumes = [
  { name = "a", host = { source_path = "dat" } },
  { name = "b", host = { source_path = "notes.txt" } },
  { name = "c", host = { source_path = "data" } },
]
container = [
  { name = "a", image = "./app.wasn" },
  { name = "b", image = "notes.txt" },
  { name = "c", image = "data" },
  { name = "d", image = "elsewhere/entirely/different.wat" },
]
"#,
        expect![[r#"
            6:40: task_definition[0].volumes[0].host.source_path: folder "dat" not found: looked for /folder/dat
              help: did you mean "data"?
            7:40: task_definition[0].volumes[1].host.source_path: "notes.txt" is not a folder
            11:25: task_definition[0].container[0].image: image "./app.wasn" not found: looked for /folder/app.wasn
              help: did you mean "./app.wasm"?
            12:25: task_definition[0].container[1].image: image "notes.txt" is neither a .wasm file, a .wat file nor the folder of a Cargo package
            13:25: task_definition[0].container[2].image: image "data" is a folder without a Cargo.toml
            14:25: task_definition[0].container[3].image: image "elsewhere/entirely/different.wat" not found: looked for /folder/elsewhere/entirely/different.wat"#]],
    );
}

/// Claim: mounts and ports keep the rules of their network mode. Method: each rule broken.
#[test]
fn mounts_and_ports() {
    check(
        r#"
[[task_definition]]
family = "mounts"
memory = 64
volumes = [{ name = "pictures" }]
container = [{ name = "a", image = "app.wasm", mount_points = [
  { source_volume = "picture", container_path = "/a" },
  { source_volume = "elsewhere", container_path = "b" },
  { source_volume = "pictures", container_path = "/a" },
] }]
[[task_definition]]
family = "mount-of-none"
memory = 64
container = [{ name = "a", image = "app.wasm", mount_points = [{ source_volume = "v", container_path = "/a" }] }]
[[task_definition]]
family = "bridge"
memory = 64
container = [
  { name = "a", image = "app.wasm", port_mappings = [{ container_port = 80, host_port = 8080 }, { container_port = 80, protocol = "udp" }] },
  { name = "b", image = "app.wasm", port_mappings = [{ container_port = 81, host_port = 8080 }, { container_port = 0, protocol = "sctp" }] },
]
[[task_definition]]
family = "host"
memory = 64
network_mode = "host"
container = [{ name = "a", image = "app.wasm", port_mappings = [{ container_port = 80, host_port = 8080 }] }]
[[task_definition]]
family = "none"
memory = 64
network_mode = "none"
container = [{ name = "a", image = "app.wasm", port_mappings = [{ container_port = 80 }] }]
"#,
        expect![[r#"
            7:21: task_definition[0].container[0].mount_points[0].source_volume: volume "picture" is not defined in this task definition
              help: did you mean "pictures"?
            8:21: task_definition[0].container[0].mount_points[1].source_volume: volume "elsewhere" is not defined in this task definition
              help: its volumes are "pictures"
            8:51: task_definition[0].container[0].mount_points[1].container_path: container_path "b" must be absolute
            9:50: task_definition[0].container[0].mount_points[2].container_path: container_path "/a" is mounted twice
            14:82: task_definition[1].container[0].mount_points[0].source_volume: volume "v" is not defined in this task definition
              help: add volumes = [{ name = "v" }] to the task definition
            19:116: task_definition[2].container[0].port_mappings[1].container_port: container port 80 is mapped twice
            20:89: task_definition[2].container[1].port_mappings[0].host_port: host port 8080 is taken by container "a" of this task
            20:116: task_definition[2].container[1].port_mappings[1].container_port: 0 is not within the limits: 1 to 65535
            20:130: task_definition[2].container[1].port_mappings[1].protocol: "sctp" is not valid here: "tcp" or "udp"
            26:100: task_definition[3].container[0].port_mappings[0].host_port: host_port 8080 must be container_port 80 or left out in network mode "host"
            31:64: task_definition[4].container[0].port_mappings: network mode "none" forbids port mappings"#]],
    );
}

/// Claim: task sets are of EXTERNAL services, which have nothing of their own that is theirs. Method: each rule broken.
#[test]
fn task_sets() {
    check(
        r#"
[[task_definition]]
family = "app"
memory = 64
container = [{ name = "main", image = "app.wasm" }]
[[service]]
name = "own"
task_definition = "app"
desired_count = 1
launch_type = "EC2"
task_set = [{ external_id = "a", task_definition = "app", scale = 100 }]
[[service]]
name = "outer"
deployment_controller = "EXTERNAL"
task_definition = "app"
launch_type = "EC2"
desired_count = 1
scheduling_strategy = "REPLICA"
deployment_configuration = { deployment_circuit_breaker = { enable = true } }
task_set = [
  { external_id = "a", task_definition = "app", scale = 100.5, primary = true },
  { external_id = "a", task_definition = "apps", scale = 0, primary = true },
  { task_definition = "app", launch_type = "FARGATE", scale = 1, scal = 2 },
]
[[service]]
name = "code"
deployment_controller = "CODE_DEPLOYS"
task_definition = "app"
desired_count = 1
[[update_service]]
service = "outer"
task_definition = "app"
[[load]]
service = "outer"
job = "x"
container = "mains"
jobs_per_second = 1
"#,
        expect![[r#"
            11:12: service[0].task_set: task sets need deployment_controller = "EXTERNAL"
            15:19: service[1].task_definition: task_definition is each task set's where the deployment_controller is "EXTERNAL"
            16:15: service[1].launch_type: launch_type is each task set's where the deployment_controller is "EXTERNAL"
            19:59: service[1].deployment_configuration.deployment_circuit_breaker: deployment_circuit_breaker is of the deployment_controller "ECS", not of "EXTERNAL"
            21:57: service[1].task_set[0].scale: scale is a percentage of the service's desired_count: from 0 to 100
            22:19: service[1].task_set[1].external_id: task set "a" is defined twice in service "outer"
            22:42: service[1].task_set[1].task_definition: task definition "apps" is not defined in this file
              help: did you mean "app"?
            22:71: service[1].task_set[1].primary: service "outer" has another primary task set
            23:3: service[1].task_set[2].external_id: `external_id` is missing
            23:23: service[1].task_set[2].task_definition: task definition "app" does not support launch type FARGATE: Fargate supports network mode "awsvpc" only
              help: add requires_compatibilities = ["FARGATE"] to the task definition to have all of it checked
            23:66: service[1].task_set[2].scal: unknown key `scal`
              help: did you mean `scale`?
            27:25: service[2].deployment_controller: "CODE_DEPLOYS" is not valid here: "ECS", "CODE_DEPLOY" or "EXTERNAL"
              help: did you mean "CODE_DEPLOY"?
            32:19: update_service[0].task_definition: the deployment_controller "EXTERNAL" changes it, not the service
            36:13: load[0].container: task definition "app" has no container "mains"
              help: did you mean "main"?"#]],
    );
}

/// Claim: `monitoring` names two metrics once each, at 20 or 60 seconds, and a policy of high resolution needs its metric so. Method:
/// each rule broken.
#[test]
fn monitoring() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
monitoring = { metric_configurations = [
    { metric_names = ["CPUUtilization", "Requests"], resolution_seconds = 30 },
    { metric_names = ["CPUUtilization"], resolution_seconds = 20 },
    { metric_names = [], resolution_seconds = 10 },
    { resolution_second = 60 },
] }
[service.auto_scaling]
min_capacity = 1
max_capacity = 2
target_tracking = [
    { metric = "ECSServiceAverageCPUUtilizationHighResolution", target_value = 50 },
    { metric = "ECSServiceAverageMemoryUtilizationHighResolution", target_value = 50 },
]
"#,
        expect![[r#"
            7:41: service[0].monitoring.metric_configurations[0].metric_names[1]: "Requests" is not valid here: "CPUUtilization" or "MemoryUtilization"
            7:75: service[0].monitoring.metric_configurations[0].resolution_seconds: resolution_seconds 30 is not valid: 20 or 60
            8:23: service[0].monitoring.metric_configurations[1].metric_names[0]: "CPUUtilization" is configured twice
            9:22: service[0].monitoring.metric_configurations[2].metric_names: metric_names must name a metric
            9:47: service[0].monitoring.metric_configurations[2].resolution_seconds: 10 is not within the limits: 20 to 60
            10:5: service[0].monitoring.metric_configurations[3].metric_names: `metric_names` is missing
            10:7: service[0].monitoring.metric_configurations[3].resolution_second: unknown key `resolution_second`
              help: did you mean `resolution_seconds`?
            17:16: service[0].auto_scaling.target_tracking[1].metric: this metric needs the service's `monitoring` to have MemoryUtilization at resolution_seconds 20"#]],
    );
}

/// Claim: metric math names its queries, has one result, and each query is a metric or an expression that can be read. Method: each rule
/// broken.
#[test]
fn metric_math() {
    let policy = |metrics: &str| {
        format!(
            "[[service]]\nname = \"web\"\ntask_definition = \"app\"\ndesired_count = 1\n[service.auto_scaling]\nmin_capacity = 1\n\
             max_capacity = 2\n[[service.auto_scaling.target_tracking]]\nmetric = \"CustomizedMetricSpecification\"\n\
             target_value = 1\ncustomized_metric_specification = {{ namespace = \"Shop\", metrics = [\n{metrics}] }}\n"
        )
    };
    check(
        &policy(
            "{ id = \"a\", expression = \"b *\" },\n{ expression = \"1\" },\n{ id = \"c\" },\n\
             { id = \"d\", metric_stat = { stat = \"P99\" } },\n\
             { id = \"e\", expression = \"1\", metric_stat = { stat = \"Sum\", metric = { namespace = \"S\", metric_name = \"M\" } } },\n",
        ),
        expect![[r#"
            11:49: service[0].auto_scaling.target_tracking[0].customized_metric_specification.namespace: namespace is of a single metric: `metrics` says what it is made of
            12:26: service[0].auto_scaling.target_tracking[0].customized_metric_specification.metrics[0].expression: expression "b *" is not valid: a value is missing
            13:1: service[0].auto_scaling.target_tracking[0].customized_metric_specification.metrics[1].id: `id` is missing
            14:1: service[0].auto_scaling.target_tracking[0].customized_metric_specification.metrics[2].metric_stat: `metric_stat` or `expression` is missing
            15:27: service[0].auto_scaling.target_tracking[0].customized_metric_specification.metrics[3].metric_stat.metric: `metric` is missing
            15:36: service[0].auto_scaling.target_tracking[0].customized_metric_specification.metrics[3].metric_stat.stat: "P99" is not valid here: "Average", "Minimum", "Maximum", "Sum" or "SampleCount"
            16:26: service[0].auto_scaling.target_tracking[0].customized_metric_specification.metrics[4].expression: a query has an expression or a metric_stat, and not both"#]],
    );
    check(
        &policy("{ id = \"a\", expression = \"b * 2\" },\n"),
        expect![[r#"
        11:49: service[0].auto_scaling.target_tracking[0].customized_metric_specification.namespace: namespace is of a single metric: `metrics` says what it is made of
        11:67: service[0].auto_scaling.target_tracking[0].customized_metric_specification.metrics: "a" needs "b", which no query has as its id"#]],
    );
}

/// Claim: tags and variables keep ECS' rules in both forms. Method: each rule broken.
#[test]
fn tags_and_variables() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
tags = { "aws:name" = "x", "" = "y", "semi;colon" = "z", ok = "semi;colon" }
propagate_tags = "ALL"
[[run_task]]
task_definition = "app"
tags = [{ key = "a", value = "1" }, { key = "a", value = "2" }, { value = "3" }, { key = "b" }]
propagate_tags = "SERVICE"
overrides = { container = [{ name = "main", environment = { "A=B" = "c" } }] }
"#,
        expect![[r#"
            6:10: service[0].tags.aws:name: tag key "aws:name" begins with aws:, which is reserved
            6:28: service[0].tags.: tag key "" is not valid: 1 to 128 letters, digits, spaces and _ . : / = + - @
            6:38: service[0].tags.semi;colon: tag key "semi;colon" is not valid: 1 to 128 letters, digits, spaces and _ . : / = + - @
            6:63: service[0].tags.ok: tag value "semi;colon" is not valid: up to 256 letters, digits, spaces and _ . : / = + - @
            7:18: service[0].propagate_tags: "ALL" is not valid here: "NONE", "SERVICE" or "TASK_DEFINITION"
            10:45: run_task[0].tags[1].key: "a" is given twice
            10:65: run_task[0].tags[2].key: `key` is missing
            10:82: run_task[0].tags[3].value: `value` is missing
            11:18: run_task[0].propagate_tags: "SERVICE" is not valid here: "NONE" or "TASK_DEFINITION"
            12:61: run_task[0].overrides.container[0].environment.A=B: "A=B" cannot name a variable: not empty, and no = in it"#]],
    );
    let many: String = (0..51).map(|index| format!("t{index} = \"x\"\n")).collect();
    check(
        &format!("[[service]]\nname = \"web\"\ntask_definition = \"app\"\ndesired_count = 1\n[service.tags]\n{many}"),
        expect!["5:1: service[0].tags: 51 are too many: at most 50"],
    );
}

/// Claim: strategies of capacity providers keep ECS' rules. Method: each rule broken.
#[test]
fn capacity_provider_strategies() {
    check(
        r#"
[cluster]
default_capacity_provider_strategy = [{ capacity_provider = "FARGATE_SPOTS", weight = 1 }]
[[capacity_provider]]
name = "group"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 1 }
[[service]]
name = "a"
task_definition = "app"
desired_count = 1
launch_type = "EC2"
capacity_provider_strategy = [{ capacity_provider = "group", weight = 1 }]
[[service]]
name = "b"
task_definition = "app"
desired_count = 1
capacity_provider_strategy = [{ capacity_provider = "group" }]
[[service]]
name = "c"
task_definition = "app-fargate"
desired_count = 1
capacity_provider_strategy = [{ capacity_provider = "FARGATE", weight = 1, base = 1 }, { capacity_provider = "FARGATE_SPOT", base = 2 }]
[[service]]
name = "d"
task_definition = "app-fargate"
desired_count = 1
capacity_provider_strategy = [{ capacity_provider = "group", weight = 1 }, { capacity_provider = "FARGATE", weight = 1 }]
[[service]]
name = "e"
task_definition = "app"
desired_count = 1
capacity_provider_strategy = [{ capacity_provider = "group", weight = 1 }, { capacity_provider = "group", weight = 1001 }]
[[service]]
name = "f"
task_definition = "app"
desired_count = 1
capacity_provider_strategy = []
"#,
        expect![[r#"
            3:61: cluster.default_capacity_provider_strategy[0].capacity_provider: capacity provider "FARGATE_SPOTS" is not defined in this file
              help: did you mean "FARGATE_SPOT"?
            11:15: service[0].launch_type: launch_type and capacity_provider_strategy exclude each other: write one of them
            17:30: service[1].capacity_provider_strategy: at least one provider of a strategy needs a weight greater than 0
              help: add weight = 1
            22:133: service[2].capacity_provider_strategy[1].base: only one provider may have a base, and "FARGATE" has one
            27:98: service[3].capacity_provider_strategy[1].capacity_provider: a strategy cannot mix Fargate with capacity providers of Auto Scaling groups
            32:98: service[4].capacity_provider_strategy[1].capacity_provider: capacity provider "group" is in this strategy twice
            32:116: service[4].capacity_provider_strategy[1].weight: 1001 is not within the limits: 0 to 1000
            37:30: service[5].capacity_provider_strategy: a strategy names at least one capacity provider"#]],
    );
}

/// Claim: placement keeps ECS' rules. Method: each rule broken.
#[test]
fn placement_rules() {
    check(
        r#"
[[service]]
name = "a"
task_definition = "app"
desired_count = 1
placement_strategy = [
  { type = "binpak", field = "cpu" },
  { type = "binpack", field = "disk" },
  { type = "spread" },
  { type = "spread", field = "zone" },
  { type = "random", field = "cpu" },
  { type = "random" },
]
placement_constraints = [{ type = "memberOf", expression = "x" }, { type = "distinctinstance" }]
[[service]]
name = "b"
task_definition = "app-fargate"
desired_count = 1
launch_type = "FARGATE"
placement_strategy = [{ type = "random" }]
placement_constraints = [{ type = "distinctInstance" }]
"#,
        expect![[r#"
            6:22: service[0].placement_strategy: 6 placement strategies are too many: at most 5
            7:12: service[0].placement_strategy[0].type: "binpak" is not valid here: "binpack", "spread" or "random"
              help: did you mean "binpack"?
            8:31: service[0].placement_strategy[1].field: "disk" is not a field of binpack: "cpu" or "memory"
            9:3: service[0].placement_strategy[2].field: `field` is missing
            10:30: service[0].placement_strategy[3].field: "zone" is not a field of spread: "instanceId", "host" or "attribute:NAME", as in "attribute:ecs.availability-zone"
            11:30: service[0].placement_strategy[4].field: the random strategy takes no field
            14:61: service[0].placement_constraints[0].expression: expected a subject, found `x`
              help: write `agentConnected`, `agentVersion`, `attribute:NAME`, `ec2InstanceId`, `registeredAt`, `runningTasksCount` or `task:group`
            14:76: service[0].placement_constraints[1].type: "distinctinstance" is not valid here: "distinctInstance" or "memberOf"
              help: did you mean "distinctInstance"?
            20:22: service[1].placement_strategy: placement strategies are not supported on Fargate
            21:25: service[1].placement_constraints: placement constraints are not supported on Fargate"#]],
    );
}

/// Claim: services keep ECS' rules. Method: each rule broken.
#[test]
fn service_rules() {
    check(
        r#"
[[service]]
[[service]]
name = "daemon"
task_definition = "app:x"
desired_count = 1
scheduling_strategy = "DAEMON"
launch_type = "EXTERNAL"
deployment_configuration = { minimum_healthy_percent = 101, maximum_percent = 99 }
[[service]]
name = "blocked"
task_definition = "app:2"
desired_count = -1
deployment_configuration = { maximum_percent = 100 }
[[service]]
name = "scaled"
task_definition = "app"
desired_count = 1
  [service.auto_scaling]
  min_capacity = 5
  max_capacity = 2
  target_tracking = [
    { metric = "ECSServiceAverageCPUUtilization", target_value = 0 },
    { metric = "ECSServiceAverageCPUUtilisation", target_value = 50 },
    { metric = "ALBRequestCountPerTarget", target_value = 50 },
    { metric = "ECSServiceAverageMemoryUtilization", target_value = 50.12345, scale_in_cooldown = 60 },
    { metric = "ECSServiceAverageMemoryUtilization", target_value = "80 %" },
    { metric = "ECSServiceAverageCPUUtilization", target_value = 50 },
  ]
"#,
        expect![[r#"
            2:1: service[0].name: `name` is missing
            2:1: service[0].task_definition: `task_definition` is missing
            2:1: service[0].desired_count: `desired_count` is missing
            5:19: service[1].task_definition: "x" is not a revision: write FAMILY or FAMILY:NUMBER
            6:17: service[1].desired_count: a DAEMON service has no desired_count: it runs a task on each instance that meets its constraints
            8:15: service[1].launch_type: "EXTERNAL" is not available yet, only "EC2" and "FARGATE"
            9:56: service[1].deployment_configuration.minimum_healthy_percent: 101 is not within the limits: 0 to 100
            9:79: service[1].deployment_configuration.maximum_percent: 99 is not within the limits: 100 or more
            9:79: service[1].deployment_configuration.maximum_percent: the maximum_percent of a DAEMON service is 100
            12:19: service[2].task_definition: task definition "app" has no revision 2: this file defines 1 of it
            13:17: service[2].desired_count: -1 is not within the limits: 0 or more
            14:48: service[2].deployment_configuration.maximum_percent: maximum_percent and minimum_healthy_percent cannot both be 100, as this would block deployments
            20:18: service[3].auto_scaling.min_capacity: min_capacity 5 is greater than max_capacity 2
            23:66: service[3].auto_scaling.target_tracking[0].target_value: target_value must be greater than 0
            24:16: service[3].auto_scaling.target_tracking[1].metric: "ECSServiceAverageCPUUtilisation" is not valid here: "ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "ECSServiceAverageCPUUtilizationHighResolution", "ECSServiceAverageMemoryUtilizationHighResolution", "ALBRequestCountPerTarget" or "CustomizedMetricSpecification"
              help: did you mean "ECSServiceAverageCPUUtilization"?
            26:69: service[3].auto_scaling.target_tracking[3].target_value: 50.12345 has more than three digits after the point
            26:99: service[3].auto_scaling.target_tracking[3].scale_in_cooldown: 60 has no unit: durations are strings with their unit
              help: write "60s" for seconds, or another of ns, us, ms, m, h, d
            27:69: service[3].auto_scaling.target_tracking[4].target_value: expected a number, found the string "80 %"
            28:16: service[3].auto_scaling.target_tracking[5].metric: ECSServiceAverageCPUUtilization has a policy already: one for each metric"#]],
    );
}

/// Claim: what is named must be there. Method: names that are not, near to ones that are.
#[test]
fn references() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "ap"
desired_count = 1
[[service]]
name = "good"
task_definition = "app"
desired_count = 1
[[run_task]]
task_definition = "something-else"
[[run_task]]
task_definition = "app"
group = "service:web"
started_by = "me & you"
overrides = { container = [{ name = "mian" }, { name = "main" }, { name = "main" }] }
[[load]]
service = "goood"
job = "1"
jobs_per_second = 1
[[load]]
service = "good"
container = "man"
job = "1"
jobs_per_second = 1
"#,
        expect![[r#"
            4:19: service[0].task_definition: task definition "ap" is not defined in this file
              help: did you mean "app"?
            11:19: run_task[0].task_definition: task definition "something-else" is not defined in this file
            14:9: run_task[1].group: group "service:web" begins with "service:", which is for the tasks of services
            15:14: run_task[1].started_by: started_by "me & you" is not valid: 1 to 128 letters, digits, -, / and _
            16:37: run_task[1].overrides.container[0].name: task definition "app" has no container "mian"
              help: did you mean "main"?
            16:75: run_task[1].overrides.container[2].name: container "main" is overridden twice
            18:11: load[0].service: service "goood" is not defined in this file
              help: did you mean "good"?
            23:13: load[1].container: task definition "app" has no container "man"
              help: did you mean "main"?"#]],
    );
}

/// Claim: ecs-semantics §5.8 holds for deployments that move traffic. Method: each rule broken once.
#[test]
fn traffic() {
    check(
        r#"
[[task_definition]]
family = "on-instances"
container = [{ name = "main", image = "app.wasm", memory = 128 }]
[[service]]
name = "a"
task_definition = "app"
desired_count = 1
deployment_configuration = { strategy = "BLUEGREEN" }
[[service]]
name = "b"
task_definition = "app"
desired_count = 1
  [service.deployment_configuration]
  strategy = "BLUE_GREEN"
  canary_configuration = { canary_percent = 10 }
  early_success_criteria = { enable = true, healthy_percent = 100, source_service_revision_cleanup = "BLOCKING" }
[[service]]
name = "c"
task_definition = "app"
desired_count = 1
  [service.deployment_configuration]
  strategy = "LINEAR"
  bake_time_in_minutes = 1441
  linear_configuration = { step_percent = 2.9, step_bake_time_in_minutes = 2000, step = 1 }
[[service]]
name = "d"
task_definition = "app"
desired_count = 1
  [service.deployment_configuration]
  strategy = "CANARY"
  canary_configuration = { canary_percent = 5.05 }
  [[service.deployment_configuration.lifecycle_hooks]]
  task_definition = "ap"
  lifecycle_stages = []
  [[service.deployment_configuration.lifecycle_hooks]]
  task_definition = "on-instances"
  lifecycle_stages = ["PRE_SCALE_UP", "SCALE_UP"]
  timeout_configuration = { timeout_in_minutes = 20161, action = "STOP" }
  [[service.deployment_configuration.lifecycle_hooks]]
  target_type = "PAUSE"
  task_definition = "app"
  lifecycle_stages = ["PRODUCTION_TRAFFIC_SHIFT"]
  [[service.deployment_configuration.lifecycle_hooks]]
  lifecycle_stages = ["POST_SCALE_UP"]
[[service]]
name = "e"
task_definition = "app"
desired_count = 1
deployment_configuration = { lifecycle_hooks = [{ task_definition = "app", lifecycle_stages = ["POST_SCALE_UP"] }] }
[[service]]
name = "f"
task_definition = "on-instances"
scheduling_strategy = "DAEMON"
deployment_configuration = { strategy = "CANARY" }
"#,
        expect![[r#"
            9:41: service[0].deployment_configuration.strategy: "BLUEGREEN" is not valid here: "ROLLING", "BLUE_GREEN", "LINEAR" or "CANARY"
              help: did you mean "BLUE_GREEN"?
            14:3: service[1].deployment_configuration.bake_time_in_minutes: strategy "BLUE_GREEN" needs bake_time_in_minutes
            16:26: service[1].deployment_configuration.canary_configuration: canary_configuration does not go with strategy "BLUE_GREEN"
            17:28: service[1].deployment_configuration.early_success_criteria: early success is of strategy "ROLLING" only
            24:26: service[2].deployment_configuration.bake_time_in_minutes: a bake time is at most 1440 minutes
            25:43: service[2].deployment_configuration.linear_configuration.step_percent: step_percent is from 3.0 to 100.0 in steps of 0.1
            25:76: service[2].deployment_configuration.linear_configuration.step_bake_time_in_minutes: a bake time is at most 1440 minutes
            25:82: service[2].deployment_configuration.linear_configuration.step: unknown key `step`
              help: did you mean `step_percent`?
            32:45: service[3].deployment_configuration.canary_configuration.canary_percent: canary_percent is from 0.1 to 100.0 in steps of 0.1
            34:21: service[3].deployment_configuration.lifecycle_hooks[0].task_definition: task definition "ap" is not defined in this file
              help: did you mean "app"?
            35:22: service[3].deployment_configuration.lifecycle_hooks[0].lifecycle_stages: a lifecycle hook names at least one stage
            37:21: service[3].deployment_configuration.lifecycle_hooks[1].task_definition: task definition "on-instances" does not support launch type FARGATE: Fargate supports network mode "awsvpc" only
              help: add requires_compatibilities = ["FARGATE"] to the task definition to have all of it checked
            38:39: service[3].deployment_configuration.lifecycle_hooks[1].lifecycle_stages[1]: "SCALE_UP" is not valid here: "RECONCILE_SERVICE", "PRE_SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT" or "POST_PRODUCTION_TRAFFIC_SHIFT"
              help: did you mean "PRE_SCALE_UP"?
            39:50: service[3].deployment_configuration.lifecycle_hooks[1].timeout_configuration.timeout_in_minutes: timeout_in_minutes is above 0 and at most 20160
            39:66: service[3].deployment_configuration.lifecycle_hooks[1].timeout_configuration.action: "STOP" is not valid here: "ROLLBACK" or "CONTINUE"
            42:21: service[3].deployment_configuration.lifecycle_hooks[2].task_definition: a hook of target_type "PAUSE" runs nothing
            43:23: service[3].deployment_configuration.lifecycle_hooks[2].lifecycle_stages[0]: a pause cannot be at PRODUCTION_TRAFFIC_SHIFT
            44:3: service[3].deployment_configuration.lifecycle_hooks[3].task_definition: `task_definition` is missing
            50:48: service[4].deployment_configuration.lifecycle_hooks: lifecycle hooks need strategy "BLUE_GREEN", "LINEAR" or "CANARY"
            50:69: service[4].deployment_configuration.lifecycle_hooks[0].task_definition: task definition "app" does not support launch type FARGATE: Fargate supports network mode "awsvpc" only
              help: add requires_compatibilities = ["FARGATE"] to the task definition to have all of it checked
            55:41: service[5].deployment_configuration.strategy: a DAEMON service has one task on each instance: strategy "ROLLING""#]],
    );
}

/// Claim: an update of a service names what is there, and something to change. Method: each rule broken once.
#[test]
fn service_updates() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
launch_type = "FARGATE"
[[update_service]]
service = "wep"
[[update_service]]
at = "1s"
service = "web"
task_definition = "app:7"
[[update_service]]
service = "web"
task_definition = "app"
desired_count = -1
force_new_deployment = true
"#,
        expect![[r#"
            4:19: service[0].task_definition: task definition "app" does not support launch type FARGATE: Fargate supports network mode "awsvpc" only
              help: add requires_compatibilities = ["FARGATE"] to the task definition to have all of it checked
            7:1: update_service[0]: an update_service needs task_definition, desired_count or both
            8:11: update_service[0].service: service "wep" is not defined in this file
              help: did you mean "web"?
            12:19: update_service[1].task_definition: task definition "app" has no revision 7: this file defines 1 of it
            15:19: update_service[2].task_definition: task definition "app" does not support launch type FARGATE: Fargate supports network mode "awsvpc" only
              help: add requires_compatibilities = ["FARGATE"] to the task definition to have all of it checked
            16:17: update_service[2].desired_count: -1 is not within the limits: 0 or more
            17:1: update_service[2].force_new_deployment: `force_new_deployment` is not available yet"#]],
    );
}

/// Claim: what a file says of strategies and hooks is what the service gets. Method: a file with all of it.
#[test]
fn strategies_and_hooks_are_read() {
    let folder = folder();
    let text = r#"
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
network_mode = "awsvpc"
container = [{ name = "main", image = "app.wasm" }]
[[service]]
name = "web"
task_definition = "web"
desired_count = 1
launch_type = "FARGATE"
  [service.deployment_configuration]
  strategy = "CANARY"
  maximum_percent = 100
  bake_time_in_minutes = 0.1
  canary_configuration = { canary_percent = 12.5, canary_bake_time_in_minutes = 0.5 }
  lifecycle_hooks = [
    { task_definition = "web", lifecycle_stages = ["POST_SCALE_UP", "PRE_SCALE_UP"], hook_details = "x", timeout_configuration = { timeout_in_minutes = 2, action = "CONTINUE" } },
    { target_type = "PAUSE", lifecycle_stages = ["POST_TEST_TRAFFIC_SHIFT"] },
  ]
"#;
    let path = folder.path().join("cluster.toml");
    let spec = ClusterFile::parse(text, &path, &Catalog::embedded()).unwrap();
    let configuration = &spec.services[0].deployment_configuration;
    expect![[r#"
        (
            Canary {
                canary_millipercent: 12500,
                canary_bake_time: 30s,
            },
            Some(
                6s,
            ),
            [
                DeploymentHook {
                    target: TaskDefinition(
                        TaskDefinitionRef {
                            family: "web",
                            revision: None,
                        },
                    ),
                    stages: {
                        PreScaleUp,
                        PostScaleUp,
                    },
                    details: Some(
                        "x",
                    ),
                    timeout: 120s,
                    on_timeout: Continue,
                },
                DeploymentHook {
                    target: Pause,
                    stages: {
                        PostTestTrafficShift,
                    },
                    details: None,
                    timeout: 86400s,
                    on_timeout: Rollback,
                },
            ],
        )
    "#]]
    .assert_debug_eq(&(configuration.strategy, configuration.bake_time, &configuration.lifecycle_hooks));
}

/// Claim: tasks must have a place to run. Method: too large for the instances, no instances, a definition that is not for
/// Fargate.
#[test]
fn places_to_run() {
    check(
        r#"
[[capacity_provider]]
name = "small"
auto_scaling_group = { instance_type = "t3.micro", min_size = 0, max_size = 1 }
[[task_definition]]
family = "large"
cpu = "4 vCPU"
memory = "16GB"
container = [{ name = "main", image = "app.wasm" }]
[[service]]
name = "on-any"
task_definition = "large"
desired_count = 1
[[service]]
name = "on-small"
task_definition = "large"
desired_count = 1
capacity_provider_strategy = [{ capacity_provider = "small", weight = 1 }]
[[run_task]]
task_definition = "app"
launch_type = "FARGATE"
"#,
        expect![[r#"
            12:19: service[0].task_definition: no capacity provider or container instance in this file can hold a task of "large", which takes cpu 4096 and memory 16384
            16:19: service[1].task_definition: no capacity provider of its strategy can hold a task of "large", which takes cpu 4096 and memory 16384
            20:19: run_task[0].task_definition: task definition "app" does not support launch type FARGATE: Fargate supports network mode "awsvpc" only
              help: add requires_compatibilities = ["FARGATE"] to the task definition to have all of it checked"#]],
    );
    let text = "[[service]]\nname = \"web\"\ntask_definition = \"app\"\ndesired_count = 1\n[[task_definition]]\n\
                family = \"app\"\nmemory = 64\ncontainer = [{ name = \"main\", image = \"app.wasm\" }]\n";
    let folder = folder();
    let errors = ClusterFile::parse(text, folder.path().join("f.toml"), &Catalog::embedded()).unwrap_err();
    expect![[r#"
        service[0].task_definition: its tasks run on EC2, and this file has no capacity provider or container instance
          help: add [[capacity_provider]] or [[container_instance]], or launch_type = "FARGATE""#]]
    .assert_eq(&errors.errors[0].to_string());
    assert_eq!(errors.errors.len(), 1);
}

/// Claim: a request's sizes are such as its tasks may have, where they are to run, and then those sizes count. Method: each rule broken;
/// a definition that fits nowhere but for its overrides.
#[test]
fn sizes_of_overrides() {
    check(
        r#"
[[container_instance]]
instance_type = "t3.small"
[[task_definition]]
family = "pair"
cpu = "4 vCPU"
memory = "16GB"
requires_compatibilities = ["FARGATE", "EC2"]
container = [{ name = "a", image = "app.wasm" }, { name = "b", image = "app.wasm", memory = 256 }]
[[run_task]]
task_definition = "pair"
launch_type = "FARGATE"
overrides = { cpu = "1 vCPU", memory = "1GB" }
[[run_task]]
task_definition = "pair"
launch_type = "FARGATE"
overrides = { ephemeral_storage = { size_in_gib = 300 } }
[[run_task]]
task_definition = "pair"
launch_type = "FARGATE"
  [run_task.overrides]
  container = [{ name = "a", resource_requirements = [{ type = "GPU", value = 1 }] }]
[[run_task]]
task_definition = "pair"
launch_type = "EC2"
overrides = { cpu = "64" }
[[run_task]]
task_definition = "pair"
launch_type = "EC2"
  [run_task.overrides]
  memory = "512"
  cpu = "1024"
  container = [{ name = "b", memory_reservation = 256, memory = 2 }, { name = "a", cpu = "many" }]
[[run_task]]
task_definition = "pair"
launch_type = "EC2"
overrides = { cpu = "1024", memory = "512", container = [{ name = "b", memory_reservation = 256 }] }
[[run_task]]
task_definition = "pair"
launch_type = "EC2"
overrides = { cpu = "1024", memory = "512", container = [{ name = "b", memory = 1024 }] }
[[run_task]]
task_definition = "pair"
launch_type = "EC2"
overrides = { cpu = "1024", memory = "512", container = [{ name = "a", cpu = 2048 }] }
[[run_task]]
task_definition = "pair"
launch_type = "EC2"
overrides = { cpu = "1024", memory = "512", container = [{ name = "a", cpu = 512 }] }
"#,
        expect![[r#"
            13:40: run_task[0].overrides.memory: memory 1024 is not valid for cpu 1024 on Fargate: 2048 to 8192 in steps of 1024
            17:51: run_task[1].overrides.ephemeral_storage.size_in_gib: 300 is not within the limits: 21 to 200
            22:54: run_task[2].overrides.container[0].resource_requirements: Fargate does not support GPU resource requirements.
            26:21: run_task[3].overrides.cpu: cpu 64 is not within the limits of a task's cpu: 128 to 196608
            33:65: run_task[4].overrides.container[0].memory: memory 2 is too little: at least 6 MiB
            33:90: run_task[4].overrides.container[1].cpu: expected an integer, found the string "many"
            37:93: run_task[5].overrides.container[0].memory_reservation: Invalid setting for container 'b'. The memory_reservation 256 must be less than the memory 256.
            41:81: run_task[6].overrides.container[0].memory: Invalid setting for container 'b'. The memory 1024 is more than the task's 512.
            45:21: run_task[7].overrides.cpu: The cpu of the containers adds up to 2048, more than the task's 1024."#]],
    );
}

/// Claim: loads are complete and in order. Method: each rule broken.
#[test]
fn load_rules() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
[[load]]
service = "web"
job = "1"
jobs_per_second = 1
steps = [{ at = "0s", jobs_per_second = 1 }]
[[load]]
service = "web"
job = "two\nlines"
arrivals = "steady"
[[load]]
service = "web"
job = "1"
steps = [{ at = "5s", jobs_per_second = 1 }, { at = "5s", jobs_per_second = 1e3 }, { at = "5s", jobs_per_second = 0 }, { jobs_per_second = -1 }]
[[load]]
service = "web"
job = "1"
steps = []
"#,
        expect![[r#"
            9:19: load[0].jobs_per_second: jobs_per_second, steps, sine and trace exclude each other: write one of them
            11:1: load[1].jobs_per_second: jobs_per_second, steps, sine or trace is missing
            13:7: load[1].job: a job is one line
            14:12: load[1].arrivals: "steady" is not valid here: "constant" or "poisson"
            18:77: load[2].steps[1].jobs_per_second: 1e3 is not a number from 0 up, written as in 2 or 0.5
            18:91: load[2].steps[2].at: each step must begin later than the one before it
            18:120: load[2].steps[3].at: `at` is missing
            18:140: load[2].steps[3].jobs_per_second: -1 is not a number from 0 up, written as in 2 or 0.5
            22:9: load[3].steps: steps need at least one step"#]],
    );
}

/// Claim: a mistake is derived from a sound item only. Method: flawed definitions that others refer to.
#[test]
fn one_slip_is_one_message() {
    check(
        r#"
[[capacity_provider]]
name = "group"
auto_scaling_group = { instance_type = "m7i.huge", min_size = 1, max_size = 1 }
[[task_definition]]
family = "large"
cpu = "much"
memory = "16GB"
container = [{ name = "main", image = "app.wasm" }]
[[service]]
name = "on-group"
task_definition = "app"
desired_count = 1
capacity_provider_strategy = [{ capacity_provider = "group", weight = 1 }]
[[service]]
name = "large"
task_definition = "large"
desired_count = 1
launch_type = "FARGATE"
"#,
        expect![[r#"
            4:40: capacity_provider[0].auto_scaling_group.instance_type: instance type "m7i.huge" is not in the catalog
              help: did you mean "m7i.large"?
            7:7: task_definition[0].cpu: "much" is not a task's cpu: write CPU units as in "256", or vCPUs as in ".25 vCPU""#]],
    );
}

/// Claim: policies keep the rules of Application Auto Scaling. Method: each rule of target tracking and step scaling broken once.
#[test]
fn scaling_policy_rules() {
    check(
        r#"
[[alarm]]
alarm_name = "queue-long"
namespace = "Shop"
metric_name = "Depth"
evaluation_periods = 1
threshold = 100
comparison_operator = "GreaterThanThreshold"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
[service.auto_scaling]
min_capacity = 1
max_capacity = 10
suspended_state = { dynamic_scaling_in = true }
target_tracking = [
    { metric = "CustomizedMetricSpecification", target_value = 1 },
    { metric = "ECSServiceAverageCPUUtilization", target_value = 50, resource_label = "x", customized_metric_specification = { namespace = "A", metric_name = "B", statistic = "Sum" } },
    { metric = "ALBRequestCountPerTarget", target_value = 1000, resource_label = "app/lb/targetgroup/tg" },
    { metric = "ECSServiceAverageCPUUtilizationHighResolution", target_value = 50 },
    { metric = "CustomizedMetricSpecification", target_value = 1, customized_metric_specification = { namespace = "", metric_name = "B", statistic = "p99" } },
]
[[service.auto_scaling.step_scaling]]
policy_name = "ECSServiceAverageCPUUtilization"
alarm = "queue-lnog"
adjustment_type = "ChangeInCapacity"
min_adjustment_magnitude = 2
step_adjustments = [{ metric_interval_lower_bound = 0, metric_interval_upper_bound = 10, scaling_adjustment = 1 }, { metric_interval_lower_bound = 12, scaling_adjustment = 2 }]
[[service.auto_scaling.step_scaling]]
policy_name = "overlap"
alarm = "queue-long"
adjustment_type = "PercentChangeInCapacity"
metric_aggregation_type = "Sum"
step_adjustments = [{ metric_interval_lower_bound = -10, metric_interval_upper_bound = 5, scaling_adjustment = 1 }, { metric_interval_lower_bound = 0.5, metric_interval_upper_bound = 10, scaling_adjustment = 2 }]
[[service.auto_scaling.step_scaling]]
policy_name = "bounds"
alarm = "queue-long"
adjustment_type = "ExactCapacity"
step_adjustments = [{ scaling_adjustment = 1 }, { metric_interval_lower_bound = 3, metric_interval_upper_bound = 2, scaling_adjustment = -2 }]
[[service.auto_scaling.step_scaling]]
policy_name = "none"
alarm = "queue-long"
adjustment_type = "ExactCapacity"
step_adjustments = []
"#,
        expect![[r#"
            16:21: service[0].auto_scaling.suspended_state.dynamic_scaling_in: unknown key `dynamic_scaling_in`
              help: did you mean `dynamic_scaling_in_suspended`?
            18:5: service[0].auto_scaling.target_tracking[0].customized_metric_specification: `customized_metric_specification` is missing: it says which metric
            19:87: service[0].auto_scaling.target_tracking[1].resource_label: resource_label is for metric = "ALBRequestCountPerTarget"
            19:126: service[0].auto_scaling.target_tracking[1].customized_metric_specification: customized_metric_specification is for metric = "CustomizedMetricSpecification"
            20:82: service[0].auto_scaling.target_tracking[2].resource_label: resource_label "app/lb/targetgroup/tg" is not valid: write it as in "app/LB/ID/targetgroup/TG/ID"
            21:16: service[0].auto_scaling.target_tracking[3].metric: this metric needs the service's `monitoring` to have CPUUtilization at resolution_seconds 20
            22:115: service[0].auto_scaling.target_tracking[4].customized_metric_specification.namespace: "" is not 1 to 255 characters long
            22:150: service[0].auto_scaling.target_tracking[4].customized_metric_specification.statistic: "p99" is not valid here: "Average", "Minimum", "Maximum", "Sum" or "SampleCount"
            25:15: service[0].auto_scaling.step_scaling[0].policy_name: policy "ECSServiceAverageCPUUtilization" is defined twice
            26:9: service[0].auto_scaling.step_scaling[0].alarm: alarm "queue-lnog" is not defined in this file
              help: did you mean "queue-long"?
            28:28: service[0].auto_scaling.step_scaling[0].min_adjustment_magnitude: min_adjustment_magnitude is for PercentChangeInCapacity only
            29:116: service[0].auto_scaling.step_scaling[0].step_adjustments[1]: there is a gap between the intervals of two steps
            34:27: service[0].auto_scaling.step_scaling[1].metric_aggregation_type: "Sum" is not valid here: "Average", "Minimum" or "Maximum"
            35:20: service[0].auto_scaling.step_scaling[1].step_adjustments: where a step has a negative lower bound, one step must be without a lower bound
            35:20: service[0].auto_scaling.step_scaling[1].step_adjustments: where a step has a positive upper bound, one step must be without an upper bound
            35:117: service[0].auto_scaling.step_scaling[1].step_adjustments[1]: the intervals of two steps overlap
            40:21: service[0].auto_scaling.step_scaling[2].step_adjustments[0]: a step needs a lower or an upper bound
            40:49: service[0].auto_scaling.step_scaling[2].step_adjustments[1]: the lower bound of a step must be less than its upper bound
            40:49: service[0].auto_scaling.step_scaling[2].step_adjustments[1]: the adjustment of ExactCapacity must not be negative
            45:20: service[0].auto_scaling.step_scaling[3].step_adjustments: a step scaling policy needs at least one step adjustment"#]],
    );
}

/// Claim: predictive policies keep the rules of Application Auto Scaling. Method: each rule broken once.
#[test]
fn predictive_scaling_rules() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
[service.auto_scaling]
min_capacity = 1
max_capacity = 10
target_tracking = [{ metric = "ECSServiceAverageCPUUtilization", target_value = 50, policy_name = "follow" }]
predictive_scaling = [
    { policy_name = "follow", metric_pair = "ECSServiceCPUUtilization", target_value = 50 },
    { policy_name = "a", metric_pair = "ECSServiceAverageCPUUtilization", target_value = 0, mode = "Forecast" },
    { policy_name = "b", metric_pair = "ECSServiceMemoryUtilization", target_value = 50, resource_label = "x", scheduling_buffer_time = "1h" },
    { policy_name = "c", metric_pair = "ALBRequestCount", target_value = 50, resource_label = "x", max_capacity_buffer = 5 },
    { policy_name = "d", metric_pair = "ALBRequestCount", target_value = 50, max_capacity_breach_behavior = "IncreaseMaxCapacity" },
    { metric_pair = "ALBRequestCount", max_capacity_breach_behavior = "IncreaseMaxCapacity", max_capacity_buffer = 101 },
]
"#,
        expect![[r#"
            11:21: service[0].auto_scaling.predictive_scaling[0].policy_name: policy "follow" is defined twice
            12:40: service[0].auto_scaling.predictive_scaling[1].metric_pair: "ECSServiceAverageCPUUtilization" is not valid here: "ECSServiceCPUUtilization", "ECSServiceMemoryUtilization" or "ALBRequestCount"
              help: did you mean "ECSServiceCPUUtilization"?
            12:90: service[0].auto_scaling.predictive_scaling[1].target_value: target_value must be greater than 0
            12:100: service[0].auto_scaling.predictive_scaling[1].mode: "Forecast" is not valid here: "ForecastOnly" or "ForecastAndScale"
              help: did you mean "ForecastOnly"?
            13:107: service[0].auto_scaling.predictive_scaling[2].resource_label: resource_label is for metric_pair = "ALBRequestCount"
            13:137: service[0].auto_scaling.predictive_scaling[2].scheduling_buffer_time: scheduling_buffer_time must be less than 1h
            14:95: service[0].auto_scaling.predictive_scaling[3].resource_label: resource_label "x" is not valid: write it as in "app/LB/ID/targetgroup/TG/ID"
            14:122: service[0].auto_scaling.predictive_scaling[3].max_capacity_buffer: max_capacity_buffer is for max_capacity_breach_behavior = "IncreaseMaxCapacity"
            15:5: service[0].auto_scaling.predictive_scaling[4].max_capacity_buffer: `max_capacity_buffer` is missing: IncreaseMaxCapacity needs it
            16:5: service[0].auto_scaling.predictive_scaling[5].policy_name: `policy_name` is missing
            16:5: service[0].auto_scaling.predictive_scaling[5].target_value: `target_value` is missing
            16:116: service[0].auto_scaling.predictive_scaling[5].max_capacity_buffer: 101 is not within the limits: 0 to 100"#]],
    );
}

/// Claim: GPUs are whole, given once, and nothing that Fargate has. Method: each rule broken once.
#[test]
fn resource_requirement_rules() {
    check(
        r#"
[[task_definition]]
family = "train"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
[[task_definition.container]]
name = "a"
image = "app.wasm"
resource_requirements = [{ type = "GPU", value = "1" }]
[[task_definition.container]]
name = "b"
image = "app.wasm"
resource_requirements = [{ type = "GPU", value = "0.5" }, { type = "GPU", value = 0 }, { type = "NeuronDevice", value = "1" }]
[[task_definition.container]]
name = "c"
image = "app.wasm"
resource_requirements = [{ type = "GPU", value = 1 }, { type = "GPU", value = 2 }, { type = "GPU" }, { value = 1 }]
"#,
        expect![[r#"
            10:25: task_definition[0].container[0].resource_requirements: Fargate has no GPUs
            14:50: task_definition[0].container[1].resource_requirements[0].value: "0.5" is no number of GPUs: a whole number from 1 on
            14:83: task_definition[0].container[1].resource_requirements[1].value: "0" is no number of GPUs: a whole number from 1 on
            14:97: task_definition[0].container[1].resource_requirements[2].type: "NeuronDevice" is not available yet, only "GPU"
            18:25: task_definition[0].container[2].resource_requirements: Fargate has no GPUs
            18:55: task_definition[0].container[2].resource_requirements[1]: GPUs are required twice for this container
            18:84: task_definition[0].container[2].resource_requirements[2].value: `value` is missing
            18:102: task_definition[0].container[2].resource_requirements[3].type: `type` is missing"#]],
    );
}

/// Claim: schedules are those of Application Auto Scaling. Method: each form broken, zones, times and bounds.
#[test]
fn scheduled_action_rules() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
[service.auto_scaling]
min_capacity = 1
max_capacity = 10
[[service.auto_scaling.scheduled_actions]]
scheduled_action_name = "a"
schedule = "cron(0 8 * * ?)"
min_capacity = 1
[[service.auto_scaling.scheduled_actions]]
scheduled_action_name = "b"
schedule = "rate(1 minutes)"
min_capacity = 5
max_capacity = 4
[[service.auto_scaling.scheduled_actions]]
scheduled_action_name = "c"
schedule = "at(2026-01-31T08:30:00)"
timezone = "Europe/Berlinn"
[[service.auto_scaling.scheduled_actions]]
scheduled_action_name = "d"
schedule = "rate(5 minutes)"
start_time = "2026-01-31T08:30:00Z"
end_time = 2026-01-31T08:00:00Z
max_capacity = 4
[[service.auto_scaling.scheduled_actions]]
scheduled_action_name = "d"
schedule = "rate(5 minutes)"
start_time = "tomorrow"
max_capacity = 4
"#,
        expect![[r#"
            11:12: service[0].auto_scaling.scheduled_actions[0].schedule: "cron(0 8 * * ?)" has 5 fields, not six: minutes hours day-of-month month day-of-week year
            15:12: service[0].auto_scaling.scheduled_actions[1].schedule: "rate(1 minutes)": write rate(1 minute)
            16:16: service[0].auto_scaling.scheduled_actions[1].min_capacity: min_capacity 5 is greater than max_capacity 4
            18:1: service[0].auto_scaling.scheduled_actions[2].min_capacity: min_capacity or max_capacity is missing
            21:12: service[0].auto_scaling.scheduled_actions[2].timezone: "Europe/Berlinn" is not a time zone of the IANA database
            26:12: service[0].auto_scaling.scheduled_actions[3].end_time: end_time must be after start_time
            29:25: service[0].auto_scaling.scheduled_actions[4].scheduled_action_name: scheduled action "d" is defined twice
            31:14: service[0].auto_scaling.scheduled_actions[4].start_time: "tomorrow" is not a time in UTC, written as in "2026-01-31T08:30:00Z""#]],
    );
}

/// Claim: alarms and metrics keep CloudWatch's rules, and an alarm on the cluster's own metrics names what there is. Method: each
/// rule broken once.
#[test]
fn alarm_rules() {
    check(
        r#"
[cluster]
name = "shop"
settings = [{ name = "containerInsight", value = "enhanced" }]
[settings]
calendar_start = 5
[[alarm]]
alarm_name = "a"
namespace = "AWS/ECS"
metric_name = "CPUUtilization"
dimensions = { ClusterName = "shop", ServiceName = "wbe" }
period = "90s"
evaluation_periods = 2
datapoints_to_alarm = 3
threshold = "high"
comparison_operator = "Above"
treat_missing_data = "bad"
[[alarm]]
alarm_name = "a"
namespace = "AWS/ECS"
metric_name = "CPUUtilization"
dimensions = { ClusterName = "shop", ServiceName = "wbe" }
evaluation_periods = 2
threshold = -0.5
comparison_operator = "LessThanThreshold"
[[alarm]]
alarm_name = "b"
namespace = "ECS/ContainerInsights"
metric_name = "TaskCount"
dimensions = { ClusterName = "shap" }
evaluation_periods = 2
threshold = -0.0005
comparison_operator = "LessThanThreshold"
[[alarm]]
alarm_name = "c"
namespace = "AWS/ECS"
metric_name = "CPUReservation"
evaluation_periods = 2
threshold = 5
comparison_operator = "LessThanThreshold"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
[[metric]]
namespace = "AWS/Shop"
metric_name = "Depth"
steps = [{ at = "5s", value = 1 }, { at = "5s" }, { at = "6s", value = "x" }]
[[metric]]
namespace = "Shop"
metric_name = "Depth"
"#,
        expect![[r#"
            4:22: cluster.settings[0].name: "containerInsight" is not valid here: "containerInsights"
              help: did you mean "containerInsights"?
            6:18: settings.calendar_start: expected a time as in "2026-01-31T08:30:00Z", found the integer 5
            12:10: alarm[0].period: period "90s" is not a multiple of metric_period 1m
            14:23: alarm[0].datapoints_to_alarm: datapoints_to_alarm 3 is greater than evaluation_periods 2
            15:13: alarm[0].threshold: expected a number, found the string "high"
            16:23: alarm[0].comparison_operator: "Above" is not valid here: "GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold" or "LessThanOrEqualToThreshold"
            17:22: alarm[0].treat_missing_data: "bad" is not valid here: "missing", "ignore", "breaching" or "notBreaching"
            19:14: alarm[1].alarm_name: alarm "a" is defined twice
            22:14: alarm[1].dimensions: service "wbe" is not defined in this file
              help: did you mean "web"?
            32:13: alarm[2].threshold: -0.0005 is not a number with up to three digits after the point
            34:1: alarm[3].dimensions: a metric of AWS/ECS needs ClusterName
            46:13: metric[0].namespace: a namespace that begins with "AWS/" is one of AWS' own
            48:43: metric[0].steps[1].at: each step must begin later than the one before it
            48:72: metric[0].steps[2].value: expected a number, found the string "x"
            49:1: metric[1].steps: `steps` is missing"#]],
    );
}

/// Claim: a group's rules are held. Method: each broken once.
#[test]
fn auto_scaling_group_rules() {
    check(
        r#"
[[capacity_provider]]
name = "asg"
managed_termination_protection = "ENABLED"
  [capacity_provider.auto_scaling_group]
  instance_type = "m7i.large"
  min_size = 0
  max_size = 1
  purchase_option = "RESERVED"
  termination_policies = ["OldestInstance", "Oldest"]
  max_instance_lifetime = "1h"
  instance_maintenance_policy = { min_healthy_percentage = 50, max_healthy_percentage = 160 }
  lifecycle_hooks = [
    { name = "prepare", lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING", heartbeat_timeout = "5s" },
    { name = "prepare", lifecycle_transition = "launch" },
  ]
  warm_pool = { pool_state = "Idle", reuse = true }
"#,
        expect![[r#"
            4:34: capacity_provider[0].managed_termination_protection: managed termination protection needs managed scaling
              help: add managed_scaling = {}
            4:34: capacity_provider[0].managed_termination_protection: managed termination protection needs a group whose new instances are protected from scale-in
              help: add new_instances_protected_from_scale_in = true to auto_scaling_group
            9:21: capacity_provider[0].auto_scaling_group.purchase_option: "RESERVED" is not valid here: "ON_DEMAND" or "SPOT"
            10:45: capacity_provider[0].auto_scaling_group.termination_policies[1]: "Oldest" is not valid here: "Default", "OldestInstance", "NewestInstance", "OldestLaunchTemplate" or "ClosestToNextInstanceHour"
              help: did you mean "OldestInstance"?
            11:27: capacity_provider[0].auto_scaling_group.max_instance_lifetime: max_instance_lifetime "1h" is shorter than 1d
            12:89: capacity_provider[0].auto_scaling_group.instance_maintenance_policy.max_healthy_percentage: max_healthy_percentage 160 is more than 100 above min_healthy_percentage 50
            14:106: capacity_provider[0].auto_scaling_group.lifecycle_hooks[0].heartbeat_timeout: heartbeat_timeout "5s" is not within the limits: 30s to 7200s
            15:14: capacity_provider[0].auto_scaling_group.lifecycle_hooks[1].name: lifecycle hook "prepare" is defined twice
            15:48: capacity_provider[0].auto_scaling_group.lifecycle_hooks[1].lifecycle_transition: "launch" is not valid here: "autoscaling:EC2_INSTANCE_LAUNCHING" or "autoscaling:EC2_INSTANCE_TERMINATING"
            17:30: capacity_provider[0].auto_scaling_group.warm_pool.pool_state: "Idle" is not valid here: "Stopped", "Running" or "Hibernated"
            17:38: capacity_provider[0].auto_scaling_group.warm_pool.reuse: unknown key `reuse`
              help: the keys here are min_size, max_group_prepared_capacity, pool_state and instance_reuse_policy"#]],
    );
}

/// Claim: only burstable types have a credit specification. Method: each of its words on each kind of type, in both tables.
#[test]
fn credit_specification_rules() {
    check(
        r#"
[[capacity_provider]]
name = "burst"
auto_scaling_group = { instance_type = "t3.micro", min_size = 0, max_size = 1, credit_specification = "standard" }
[[capacity_provider]]
name = "fixed"
auto_scaling_group = { instance_type = "m7i.large", min_size = 0, max_size = 1, credit_specification = "unlimited" }
[[container_instance]]
instance_type = "t4g.small"
credit_specification = "infinite"
[[container_instance]]
instance_type = "c7g.large"
credit_specification = "standard"
"#,
        expect![[r#"
            7:104: capacity_provider[1].auto_scaling_group.credit_specification: instance type "m7i.large" earns no CPU credits: only t2, t3, t3a and t4g do
            10:24: container_instance[0].credit_specification: "infinite" is not valid here: "standard" or "unlimited"
            13:24: container_instance[1].credit_specification: instance type "c7g.large" earns no CPU credits: only t2, t3, t3a and t4g do"#]],
    );
}

/// Claim: a warm pool's instances are reused only without managed scaling; its policy and a refresh's choice for standby have their
/// words. Method: each broken once.
#[test]
fn reuse_and_standby_rules() {
    check(
        r#"
[[capacity_provider]]
name = "asg"
managed_scaling = {}
  [capacity_provider.auto_scaling_group]
  instance_type = "m7i.large"
  min_size = 0
  max_size = 1
  default_instance_warmup = "soon"
  warm_pool = { instance_reuse_policy = { reuse_on_scale_in = true, reuse = 1 } }
[[instance_refresh]]
capacity_provider = "asg"
preferences = { standby_instances = "Refresh" }
"#,
        expect![[r#"
            9:29: capacity_provider[0].auto_scaling_group.default_instance_warmup: "soon" is not a duration: write a number and a unit, as in "20s" or "1m 30s"
            10:15: capacity_provider[0].auto_scaling_group.warm_pool: reuse_on_scale_in is not possible with managed scaling
            10:69: capacity_provider[0].auto_scaling_group.warm_pool.instance_reuse_policy.reuse: unknown key `reuse`
              help: did you mean `reuse_on_scale_in`?
            13:37: instance_refresh[0].preferences.standby_instances: "Refresh" is not valid here: "Wait", "Ignore" or "Terminate""#]],
    );
}

/// Claim: faults and refreshes name what there is and have the keys of their kind. Method: each broken once.
#[test]
fn fault_and_refresh_rules() {
    check(
        r#"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 0, max_size = 1 }
[[fault]]
at = "1s"
kind = "INSTANCE_FAILURE"
capacity_provider = "asq"
duration = "5s"
[[fault]]
at = "1s"
kind = "AZ_OUTAGE"
[[fault]]
at = "1s"
kind = "SPOT_INTERRUPTION"
service = "web"
capacity_provider = "FARGATE_SPOT"
[[fault]]
at = "1s"
kind = "TASK_CRASH"
service = "web"
task_definition = "web:2"
capacity_provider = "asg"
exit_code = "one"
[[fault]]
kind = "EARTHQUAKE"
[[instance_refresh]]
capacity_provider = "asg"
image_id = "ami-2"
preferences = { max_healthy_percentage = 120, checkpoint_percentages = [50, 20] }
[[instance_refresh]]
capacity_provider = "asg"
preferences = { auto_rollback = true }
"#,
        expect![[r#"
            8:21: fault[0].capacity_provider: capacity provider "asq" is not defined in this file
              help: did you mean "asg"?
            9:12: fault[0].duration: a fault of kind INSTANCE_FAILURE has no duration
            10:1: fault[1].duration: a fault of kind AZ_OUTAGE needs duration
            10:1: fault[1].availability_zone: a fault of kind AZ_OUTAGE needs availability_zone
            16:11: fault[2].service: service "web" is not defined in this file
            21:11: fault[3].service: service "web" is not defined in this file
            22:19: fault[3].task_definition: task definition "web" is not defined in this file
            23:21: fault[3].capacity_provider: a fault of kind TASK_CRASH has no capacity_provider
            24:13: fault[3].exit_code: expected an integer, found the string "one"
            25:1: fault[4].at: `at` is missing
            26:8: fault[4].kind: "EARTHQUAKE" is not valid here: "INSTANCE_FAILURE", "INSTANCE_IMPAIRED", "AZ_OUTAGE", "SPOT_INTERRUPTION", "CAPACITY_REFUSED", "SLOW_BOOT", "AGENT_DISCONNECTED", "TASK_CRASH", "TASK_RETIREMENT" or "DRAIN"
            29:12: instance_refresh[0].image_id: image_id is another launch template: write launch_template_version as well
            30:42: instance_refresh[0].preferences.max_healthy_percentage: max_healthy_percentage needs min_healthy_percentage too
            33:33: instance_refresh[1].preferences.auto_rollback: auto_rollback needs a launch template that is named"#]],
    );
}

/// Claim: what containers may say of each other, of their health and of their restarts has ECS' limits. Method: each broken once.
#[test]
fn container_lifecycle_rules() {
    check(
        r#"
[[task_definition]]
family = "order"
memory = 64
[[task_definition.container]]
name = "app"
image = "app.wasm"
health_check = { command = ["probe"], interval = "1s", timeout = "90s", retries = 0, start_period = "301s" }
depends_on = [
  { container_name = "dbb", condition = "START" },
  { container_name = "db", condition = "HEALTHY" },
  { container_name = "app", condition = "START" },
  { container_name = "log", condition = "STARTED" },
]
restart_policy = { ignored_exit_codes = [1, 256], restart_attempt_period = "10s" }
[[task_definition.container]]
name = "db"
image = "app.wasm"
depends_on = [{ container_name = "app", condition = "COMPLETE" }]
[[task_definition.container]]
name = "log"
image = "app.wasm"
essential = false
environment = { TOKEN = "x" }
secrets = [{ name = "TOKEN", value_from = "t" }, { name = "A=B", value_from = "arn:aws:ssm:x" }]
environment_files = [{ value = "vars.txt" }, { value = "vars.env", type = "s3" }]
"#,
        expect![[r#"
            8:28: task_definition[0].container[0].health_check.command: a health check's command begins with "CMD", "CMD-SHELL" or "EXPORT", not with "probe"
            8:50: task_definition[0].container[0].health_check.interval: interval 1s is not within the limits: 5s to 300s
              help: write short_periods = true under [settings] for a demonstration
            8:66: task_definition[0].container[0].health_check.timeout: timeout 1m 30s is not within the limits: 2s to 60s
            8:83: task_definition[0].container[0].health_check.retries: 0 is not within the limits: 1 to 10
            8:101: task_definition[0].container[0].health_check.start_period: start_period 5m 1s is not within the limits: 0s to 300s
            10:22: task_definition[0].container[0].depends_on[0].container_name: container "dbb" is not defined in this task definition
              help: did you mean "db"?
            11:40: task_definition[0].container[0].depends_on[1].condition: condition HEALTHY needs a health_check, and container "db" has none
            12:22: task_definition[0].container[0].depends_on[2].container_name: container "app" depends on itself
            13:41: task_definition[0].container[0].depends_on[3].condition: "STARTED" is not valid here: "START", "COMPLETE", "SUCCESS" or "HEALTHY"
              help: did you mean "START"?
            15:18: task_definition[0].container[0].restart_policy.enabled: `enabled` is missing
            15:45: task_definition[0].container[0].restart_policy.ignored_exit_codes[1]: 256 is not within the limits: 0 to 255
            15:76: task_definition[0].container[0].restart_policy.restart_attempt_period: restart_attempt_period 10s is not within the limits: 1m to 1800s
              help: write short_periods = true under [settings] for a demonstration
            19:53: task_definition[0].container[1].depends_on[0].condition: condition COMPLETE is not allowed on container "app", which is essential: its end ends the task
            25:21: task_definition[0].container[2].secrets[0].name: "TOKEN" is given twice: a secret shares its name with no other variable
            25:59: task_definition[0].container[2].secrets[1].name: "A=B" cannot name a variable: not empty, and no = in it
            25:79: task_definition[0].container[2].secrets[1].value_from: secrets of AWS are not to be had here: name a file that holds the value
            26:32: task_definition[0].container[2].environment_files[0].value: environment file "vars.txt" must end in .env
            26:68: task_definition[0].container[2].environment_files[1].type: `type` is not available yet"#]],
    );
    check(
        r#"
[[task_definition]]
family = "circle"
memory = 64
[[task_definition.container]]
name = "a"
image = "app.wasm"
depends_on = [{ container_name = "b", condition = "START" }]
[[task_definition.container]]
name = "b"
image = "app.wasm"
depends_on = [{ container_name = "a", condition = "START" }]
"#,
        expect![
            "12:34: task_definition[0].container[1].depends_on[0].container_name: the dependencies go in a circle: a -> b -> a"
        ],
    );
    check(
        r#"
[settings]
short_periods = true
[[task_definition]]
family = "short"
memory = 64
[[task_definition.container]]
name = "a"
image = "app.wasm"
health_check = { command = ["CMD-SHELL", "probe || exit 1"], interval = "100ms", timeout = "0s" }
restart_policy = { enabled = true, restart_attempt_period = "1s" }
[[task_definition]]
family = "fargate"
cpu = 256
memory = 512
requires_compatibilities = ["FARGATE"]
[[task_definition.container]]
name = "a"
image = "app.wasm"
start_timeout = "1s"
health_check = { command = ["CMD-SHELL", "probe | grep ok"] }
"#,
        expect![[r#"
            10:92: task_definition[0].container[0].health_check.timeout: timeout 0s is not within the limits: 1ms to 60s
            20:17: task_definition[1].container[0].start_timeout: start_timeout 1s is not valid on Fargate: 2s to 120s
            21:28: task_definition[1].container[0].health_check.command: the image has no shell that is known, and "|" needs one"#]],
    );
}

/// Claim: target groups keep ELB's rules, and load balancers name what there is. Method: each rule broken once, and each default kept.
/// ecs-semantics §1.7, §5.5.
#[test]
fn load_balancer_rules() {
    check(
        r#"
[[target_group]]
name = "web"
deregistration_delay = "3601s"
health_check = { interval = "1s", timeout = "121s", healthy_threshold = 1, unhealthy_threshold = 11 }
[[target_group]]
name = "web"
health_check = { timeout = "30s" }
[[target_group]]
name = "-web_"
health_check = { interval = "5s" }
[[target_group]]
name = "two"
healthcheck = {}
[[task_definition]]
family = "app"
memory = 64
[[task_definition.container]]
name = "main"
image = "app.wasm"
port_mappings = [{ container_port = 80 }]
[[task_definition]]
family = "app"
memory = 64
[[task_definition.container]]
name = "main"
image = "app.wasm"
[[service]]
name = "web"
task_definition = "app:1"
desired_count = 1
load_balancers = [
  { target_group = "web", container_name = "main", container_port = 80 },
  { target_group = "web", container_name = "mian", container_port = 80 },
  { target_group = "web", container_name = "main", container_port = 81 },
  { target_group = "two", container_name = "main", container_port = 0 },
  { container_port = 70000, container_name = "main" },
  { target_group = "two", container_name = "main", container_port = 80, load_balancer_name = "old" },
]
[[container_instance]]
instance_type = "m7i.large"
[[update_service]]
service = "web"
task_definition = "app:2"
"#,
        expect![[r#"
            4:24: target_group[0].deregistration_delay: deregistration_delay 1h 1s is not within the limits: 0s to 3600s
            5:29: target_group[0].health_check.interval: interval 1s is not within the limits: 5s to 300s
              help: write short_periods = true under [settings] for a demonstration
            5:45: target_group[0].health_check.timeout: timeout 2m 1s is not within the limits: 2s to 120s
            5:73: target_group[0].health_check.healthy_threshold: 1 is not within the limits: 2 to 10
            5:98: target_group[0].health_check.unhealthy_threshold: 11 is not within the limits: 2 to 10
            7:8: target_group[1].name: target group "web" is defined twice
            8:28: target_group[1].health_check.timeout: the timeout 30s is not shorter than the interval 30s
            10:8: target_group[2].name: the name "-web_" of a target group is not valid: 1 to 32 letters, digits and -, which is neither first nor last
            11:29: target_group[2].health_check.interval: the timeout 5s is not shorter than the interval 5s
            14:1: target_group[3].healthcheck: unknown key `healthcheck`
              help: did you mean `health_check`?
            32:18: service[0].load_balancers: 6 target groups are too many: at most 5
            34:20: service[0].load_balancers[1].target_group: target group "web" is named twice
            34:44: service[0].load_balancers[1].container_name: task definition "app" has no container "mian"
              help: did you mean "main"?
            35:20: service[0].load_balancers[2].target_group: target group "web" is named twice
            35:69: service[0].load_balancers[2].container_port: container "main" of task definition "app" maps no container_port 81
            36:69: service[0].load_balancers[3].container_port: 0 is not within the limits: 1 to 65535
            37:3: service[0].load_balancers[4].target_group: `target_group` is missing
            37:22: service[0].load_balancers[4].container_port: 70000 is not within the limits: 1 to 65535
            38:20: service[0].load_balancers[5].target_group: target group "two" is named twice
            38:73: service[0].load_balancers[5].load_balancer_name: `load_balancer_name` is not available yet
            44:19: update_service[0].task_definition: task definition "app" lacks a container or port of load_balancers"#]],
    );
    check(
        r#"
[settings]
short_periods = true
[[target_group]]
name = "web"
deregistration_delay = "0s"
health_check = { interval = "1ms", timeout = "1ms" }
[[target_group]]
name = "api"
[[service]]
name = "web"
task_definition = "none"
desired_count = 1
load_balancers = [
  { target_group = "wep", container_name = "main", container_port = 80, advanced_configuration = {} },
  { target_group = "web", container_name = "main", container_port = 80, advanced_configuration = { alternate_target_group = "web" } },
  { target_group = "api", container_name = "main", container_port = 80, advanced_configuration = { alternate_target_group = "apx" } },
]
"#,
        expect![[r#"
            7:46: target_group[0].health_check.timeout: the timeout 1ms is not shorter than the interval 1ms
            12:19: service[0].task_definition: task definition "none" is not defined in this file
            15:20: service[0].load_balancers[0].target_group: target group "wep" is not defined in this file
              help: did you mean "web"?
            15:98: service[0].load_balancers[0].advanced_configuration.alternate_target_group: `alternate_target_group` is missing
            16:125: service[0].load_balancers[1].advanced_configuration.alternate_target_group: target group "web" is named twice
            17:125: service[0].load_balancers[2].advanced_configuration.alternate_target_group: target group "apx" is not defined in this file
              help: did you mean "api"?"#]],
    );
}

/// Claim: loads have one shape, and what is said beside it fits it. Method: each rule broken once.
#[test]
fn load_shape_rules() {
    check(
        r#"
[[service]]
name = "web"
task_definition = "app"
desired_count = 1
[[load]]
service = "web"
job = "1"
scale = 2
sine = { mean = 2, amplitude = 3 }
[[load]]
service = "web"
job = "1"
trace = "none.csv"
[[load]]
service = "web"
job = "1"
sine = { mean = 2, amplitude = 1, period = "1h" }
spikes = [{ at = "59m", duration = "2m", jobs_per_second = 4 }, { duration = "1m" }]
"#,
        expect![[r#"
            9:9: load[0].scale: scale is for a load with a trace
            10:32: load[0].sine.amplitude: amplitude is more than the mean: a rate is never below zero
            14:9: load[1].trace: cannot read "/folder/none.csv": No such file or directory (os error 2)
            19:18: load[2].spikes[0].at: a spike ends within the period of its load
            19:65: load[2].spikes[1].at: `at` is missing
            19:65: load[2].spikes[1].jobs_per_second: `jobs_per_second` is missing"#]],
    );
}

/// Claim: modelled work says what it means. Method: each rule broken once.
#[test]
fn modelled_work_rules() {
    check(
        r#"
[[task_definition]]
family = "a"
memory = "64"
  [task_definition.simulation]
  work = "imagined"
  cpu = 2000
  duration = { constant = "1s", exponential = { mean = "2s" } }
  job_cpu = { log_normal = { median = "1s" } }
  pull = { log_normal = { median = "2s", p99 = "1s" } }
  memory = { empirical = "none.csv" }
  crash = { probability = 1.5 }
  [[task_definition.container]]
  name = "main"
[[task_definition]]
family = "b"
memory = "64"
  [task_definition.simulation]
  work = "executed"
  stop = "1s"
  [[task_definition.container]]
  name = "main"
[[task_definition]]
family = "c"
memory = "64"
  [task_definition.simulation]
  duration = "1s"
  job_wait = "10ms"
  [[task_definition.container]]
  name = "main"
"#,
        expect![[r#"
            6:10: task_definition[0].simulation.work: "imagined" is not valid here: "modelled" or "executed"
            7:9: task_definition[0].simulation.cpu: cpu 2000 is more than one container can use: 0 to 1024
            8:14: task_definition[0].simulation.duration: a distribution is one of constant, exponential, log_normal and empirical
            9:28: task_definition[0].simulation.job_cpu.log_normal: log_normal needs median and p99, mean and sigma, or median and sigma
            10:48: task_definition[0].simulation.pull.log_normal.p99: p99 is not below the median
            11:26: task_definition[0].simulation.memory.empirical: cannot read "/folder/none.csv": No such file or directory (os error 2)
            12:27: task_definition[0].simulation.crash.probability: a probability is from 0 to 1
            20:10: task_definition[1].simulation.stop: stop describes modelled work, and work = "executed" is what the guest does
            21:3: task_definition[1].container[0].image: `image` is missing
            27:14: task_definition[2].simulation.duration: duration is for tasks without jobs, and job_cpu and job_wait for those that have some"#]],
    );
}

/// Claim: `[images]` names modules that are there, by names that an image can have, and images that nothing stands for are told how to
/// be. Method: each rule broken.
#[test]
fn image_rules() {
    check(
        r#"
[images]
from = ["data", "elsewhere", "notes.txt"]
default = "ap.wasm"
"my image" = "app.wasm"
"nginx:" = "app.wasm"
"web/*" = "notes.txt"
"busybox" = { modul = "app.wasm", command = "sh" }
"alpine" = { module = "data" }
"#,
        expect![[r#"
            3:17: images.from[1]: file or folder "elsewhere" not found: looked for /folder/elsewhere
            4:11: images.default: module "ap.wasm" not found: looked for /folder/ap.wasm
              help: did you mean "app.wasm"?
            5:1: images.my image: "my image" is no name of an image: as in "nginx", "nginx:1.27", "public.ecr.aws/nginx/*"
            6:1: images.nginx:: "nginx:" is no name of an image: as in "nginx", "nginx:1.27", "public.ecr.aws/nginx/*"
            7:11: images.web/*: module "notes.txt" is neither a .wasm file, a .wat file nor the folder of a Cargo package
            8:15: images.busybox.modul: unknown key `modul`
              help: did you mean `module`?
            8:45: images.busybox.command: expected a list of strings, found the string "sh"
              help: write ["sh"]
            9:23: images.alpine.module: module "data" is a folder without a Cargo.toml"#]],
    );
    check(
        r#"
[images]
"nginx" = "app.wasm"
[[task_definition]]
family = "images"
memory = 64
container = [
  { name = "a", image = "nginx:1.27" },
  { name = "b", image = "busybox:1.36" },
  { name = "c", image = "package" },
]
"#,
        expect![[r#"
            9:25: task_definition[0].container[1].image: image "busybox:1.36" not found: looked for /folder/busybox:1.36
              help: to run the image of this name, name the module that stands for it: [images] "busybox:1.36" = "...""#]],
    );
    check(
        r#"
[images]
default = { module = "app.wasm", command = ["sh"] }
[[task_definition]]
family = "images"
memory = 64
container = [
  { name = "a", image = "nginx:1.27" },
  { name = "b", image = "team/web.wasm" },
  { name = "c", image = "./web" },
  { name = "d", image = "data" },
]
"#,
        expect![[r#"
            9:25: task_definition[0].container[1].image: image "team/web.wasm" not found: looked for /folder/team/web.wasm
            10:25: task_definition[0].container[2].image: image "./web" not found: looked for /folder/web
            11:25: task_definition[0].container[3].image: image "data" is a folder without a Cargo.toml"#]],
    );
}

/// Claim: subnets are each in one zone, and who names some names known ones, for tasks that have a network interface. Method: each rule
/// broken, and a file that keeps them all.
#[test]
fn subnets() {
    let head = r#"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 0, max_size = 1, subnets = { us-east-1a = "subnet-a", us-east-1b = "subnet-b" } }
[[container_instance]]
instance_type = "m7i.large"
availability_zone = "us-east-1c"
subnet_id = "subnet-c"
[[task_definition]]
family = "net"
memory = 64
network_mode = "awsvpc"
container = [{ name = "app", image = "app.wasm" }]
"#;
    let service = |definition: &str, network: &str| {
        format!(
            "[[service]]\nname = \"web\"\ntask_definition = \"{definition}\"\ndesired_count = 1\nlaunch_type = \"EC2\"\n\
             network_configuration = {network}\n"
        )
    };
    let of = |list: &str| format!("{{ awsvpc_configuration = {{ subnets = [{list}] }} }}");
    let known = of(r#""subnet-a", "subnet-c", "subnet-d""#);
    let subnet = "[[subnet]]\nid = \"subnet-d\"\navailability_zone = \"us-east-1d\"\n";
    check(&format!("{head}{subnet}{}", service("net", &known)), expect!["no mistake"]);
    check(
        &format!("{head}{}", service("net", &known)),
        expect![[r#"
            19:87: service[0].network_configuration.awsvpc_configuration.subnets[2]: subnet "subnet-d" is not known in this file
              help: did you mean "subnet-a"?"#]],
    );
    check(
        &format!("{head}{}", service("app", &of("\"subnet-a\""))),
        expect![[r#"
            19:25: service[0].network_configuration: network_configuration is for tasks of network_mode "awsvpc"
              help: add network_mode = "awsvpc" to the task definition"#]],
    );
    check(
        &format!("{head}{}", service("net", &of(""))),
        expect!["19:62: service[0].network_configuration.awsvpc_configuration.subnets: 0 subnets are named: 1 to 16"],
    );
    let many: Vec<String> = (0..17).map(|number| format!("\"subnet-{number}\"")).collect();
    let declared: String = (0..17)
        .map(|number| format!("[[subnet]]\nid = \"subnet-{number}\"\navailability_zone = \"us-east-1a\"\n"))
        .collect();
    check(
        &format!("{declared}{head}{}", service("net", &of(&many.join(", ")))),
        expect!["70:62: service[0].network_configuration.awsvpc_configuration.subnets: 17 subnets are named: 1 to 16"],
    );
    check(
        &format!("{head}{}", service("net", &of("\"subnet-a\", \"subnet-a\""))),
        expect![[
            r#"19:62: service[0].network_configuration.awsvpc_configuration.subnets: subnet "subnet-a" is named twice"#
        ]],
    );
    check(
        &format!("{head}{}", service("net", "{}")),
        expect!["19:25: service[0].network_configuration.awsvpc_configuration: `awsvpc_configuration` is missing"],
    );
    check(
        r#"
[[subnet]]
id = "subnet-a"
availability_zone = "us-east-1b"
[[subnet]]
id = "subnet-a"
availability_zone = "us-east-1b"
[[subnet]]
id = "net-a"
availability_zone = "us-west-2a"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 0, max_size = 1, subnets = { us-east-1a = "subnet-a" } }
[[container_instance]]
instance_type = "m7i.large"
subnet_id = "subnet-a"
[[start_task]]
task_definition = "app"
container_instances = ["one"]
network_configuration = { awsvpc_configuration = { subnets = ["subnet-q"], security_groups = ["sg-1"] } }
"#,
        expect![[r#"
            6:6: subnet[1].id: subnet "subnet-a" is defined twice
            9:6: subnet[2].id: "net-a" is not an id: subnet- and up to 17 letters and digits
            10:21: subnet[2].availability_zone: "us-west-2a" is not an availability zone of region "us-east-1"
              help: write the region and a letter, as in "us-east-1a"
            13:106: capacity_provider[0].auto_scaling_group.subnets.us-east-1a: subnet "subnet-a" is in us-east-1b, not in us-east-1a
            16:13: container_instance[0].subnet_id: subnet "subnet-a" is in us-east-1b, not in us-east-1a
            19:24: start_task[0].container_instances[0]: no container_instance of this file is named "one"
            20:25: start_task[0].network_configuration: network_configuration is for tasks of network_mode "awsvpc"
              help: add network_mode = "awsvpc" to the task definition
            20:76: start_task[0].network_configuration.awsvpc_configuration.security_groups: `security_groups` is not available yet"#]],
    );
}

/// Claim: an agent can't hold back more memory than there is, nor tasks have what it holds back. Method: a group, an instance and a refresh
/// that try, at the limit and beyond it.
#[test]
fn reserved_memory() {
    let group = |reserved: u32| {
        format!(
            "[[capacity_provider]]\nname = \"asg\"\nauto_scaling_group = {{ instance_type = \"m7i.large\", min_size = 0, max_size = 1, \
             ecs_reserved_memory = {reserved} }}\n"
        )
    };
    check(&group(8_192), expect!["no mistake"]);
    check(
        &group(8_193),
        expect![[
            r#"3:103: capacity_provider[0].auto_scaling_group.ecs_reserved_memory: ecs_reserved_memory 8193 is more than the 8192 MiB of instance type "m7i.large": it would not register"#
        ]],
    );
    check(
        "[[container_instance]]\ninstance_type = \"t3.micro\"\necs_reserved_memory = 2000\n[[container_instance]]\n\
         instance_type = \"t3.micro\"\necs_reserved_memory = -1\n",
        expect![[r#"
            3:23: container_instance[0].ecs_reserved_memory: ecs_reserved_memory 2000 is more than the 1024 MiB of instance type "t3.micro": it would not register
            6:23: container_instance[1].ecs_reserved_memory: -1 is not within the limits: 0 or more"#]],
    );
    let refresh = "[[instance_refresh]]\ncapacity_provider = \"asg\"\nlaunch_template_version = 2\ninstance_type = \"t3.micro\"\n";
    check(&format!("{}{refresh}", group(1_024)), expect!["no mistake"]);
    check(
        &format!("{}{refresh}", group(1_025)),
        expect![[
            r#"7:17: instance_refresh[0].instance_type: "t3.micro" has 1024 MiB, and the group's ecs_reserved_memory is 1025: it would not register"#
        ]],
    );
    let service = "[[task_definition]]\nfamily = \"big\"\nmemory = 8000\ncontainer = [{ name = \"big\", image = \"app.wasm\" }]\n\
                   [[service]]\nname = \"big\"\ntask_definition = \"big\"\ndesired_count = 1\n\
                   capacity_provider_strategy = [{ capacity_provider = \"asg\", weight = 1 }]\n";
    check(&format!("{}{service}", group(192)), expect!["no mistake"]);
    check(
        &format!("{}{service}", group(193)),
        expect![[
            r#"10:19: service[0].task_definition: no capacity provider of its strategy can hold a task of "big", which takes cpu 0 and memory 8000"#
        ]],
    );
}
