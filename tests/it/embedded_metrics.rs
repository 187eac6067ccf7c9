//! Metrics that guests write to their output: from a line of a real guest to what a policy and an alarm do with them.

use std::path::Path;

use longshore::control_plane::event::{EmittedMetric, Event};
use longshore::model::alarm::{AlarmState, MetricId};

use crate::command_line::{cluster_file, document, output};
use crate::harness::World;
use crate::plane::{Plane, container, definition};

const LINE: &str = r#"{"_aws":{"Timestamp":1574109732004,"CloudWatchMetrics":[{"Namespace":"Shop","Dimensions":[["Service"]],"Metrics":[{"Name":"Backlog","Unit":"Count"}]}]},"Service":"web","Backlog":40}"#;

/// A guest that writes a line for each line that it reads, and ends with its input.
fn module(line: &str) -> String {
    let data: String = format!("{line}\n").bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let length = line.len() + 1;
    format!(
        r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 1024) "{data}")
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 32768)) (i32.store (i32.const 4) (i32.const 1024))
        (i32.store (i32.const 8) (i32.const 1024)) (i32.store (i32.const 12) (i32.const {length}))
        (loop $next
            (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
            (br_if $next (i32.load (i32.const 16))))))"#
    )
}

fn backlog() -> MetricId {
    MetricId { namespace: "Shop".into(), name: "Backlog".into(), dimensions: [("Service".into(), "web".into())].into() }
}

/// Claim: the data plane takes metrics out of the output of its guests, which stays as it is. Method: a guest that writes two lines.
#[test]
fn output_has_metrics() {
    let plane = Plane::new();
    let image = plane.module("emits", &module(&format!("hello\n{LINE}")));
    let task = plane.start(definition(vec![container(&image)]));
    plane.wait_running(task);
    while !plane.stdout(task, 0).ends_with("40}\n") {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    plane.plane.stop_task(task);
    plane.wait_stopped(task);
    let metrics = plane.plane.take_metrics();
    let [EmittedMetric { metric, sample_count: 1.., minimum: 40_000, maximum: 40_000, .. }] = &metrics[..] else {
        panic!("{metrics:?}")
    };
    assert_eq!(*metric, backlog());
    assert!(plane.plane.take_metrics().is_empty(), "they are told once");
    assert_eq!(plane.plane.metrics_lost(), 0);
}

fn scaled(folder: &Path, line: &str) -> String {
    std::fs::write(folder.join("emits.wat"), module(line)).expect("the folder is writable");
    cluster_file(
        folder,
        r#"
[cluster]
name = "shop"
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [{ name = "main", image = "emits.wat" }]
[[service]]
name = "web"
task_definition = "web"
desired_count = 1
launch_type = "FARGATE"
  [service.auto_scaling]
  min_capacity = 1
  max_capacity = 6
    [[service.auto_scaling.target_tracking]]
    metric = "CustomizedMetricSpecification"
    target_value = 10
    customized_metric_specification = { namespace = "Shop", metric_name = "Backlog", dimensions = { Service = "web" }, statistic = "Average" }
[[load]]
service = "web"
job = "x"
jobs_per_second = 1
"#,
    )
}

/// Claim: what a guest writes is a metric that its service is scaled by, in simulated time the same in every run. Method: ten minutes of a
/// backlog of 40 a task with a target of 10, and the same without the metric.
#[test]
fn a_service_is_scaled_by_what_it_writes() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let simulated = |line: &str| {
        let file = scaled(folder.path(), line);
        let output = output(&["simulate", &file, "--for", "10m", "--format", "json", "--no-cache"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        document(&output)
    };
    let found = simulated(LINE);
    let events = |document: &serde_json::Value| -> Vec<String> {
        let events = document["services"][0]["events"].as_array().expect("there are events");
        let messages = events.iter().filter_map(|event| event["message"].as_str());
        messages.filter(|message| message.contains("desired count changed")).map(str::to_owned).collect()
    };
    let changes = events(&found);
    assert!(changes.iter().any(|change| change.contains("from 1 to 4") && change.contains("40")), "{changes:?}");
    assert_eq!(changes, events(&simulated(LINE)));
    assert_eq!(events(&simulated("nothing of the kind")), [""; 0]);
}

/// Claim: metrics that guests write are the user's own: alarms go by them, AWS' own namespaces are closed to them, and what is refused changes
/// nothing. Method: the event, to a control plane.
#[test]
fn written_metrics_are_the_users_own() {
    let mut world = World::of_file(
        r#"
[cluster]
name = "shop"
[[alarm]]
alarm_name = "backlog"
namespace = "Shop"
metric_name = "Backlog"
dimensions = { Service = "web" }
statistic = "Sum"
evaluation_periods = 1
threshold = 100
comparison_operator = "GreaterThanThreshold"
treat_missing_data = "ignore"
"#,
    );
    let emitted = |metric: MetricId, values: &[i64]| {
        let mut emitted = EmittedMetric::none_of(metric);
        values.iter().for_each(|value| emitted.add(*value));
        emitted
    };
    let ignored = world.plane.state().ignored_events;
    let own = MetricId { namespace: "AWS/ECS".into(), ..backlog() };
    let metrics = vec![emitted(backlog(), &[60_000, 70_000]), emitted(own, &[1]), emitted(MetricId::default(), &[1])];
    world.apply(Event::MetricsEmitted { metrics });
    world.run_for(180);
    assert_eq!(world.plane.state().ignored_events, ignored + 2);
    assert_eq!(world.plane.state().alarms["backlog"].state, AlarmState::Alarm);
}
