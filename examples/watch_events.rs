//! Subscribes to a running cluster's events, as EventBridge would deliver them, and prints what its tasks and service come to.
//!
//! `cargo run --release --example watch_events`

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::event_bridge::Detail;
use longshore::{HostOptions, RunningCluster};

const CLUSTER: &str = r#"
    [settings]
    healthy_after = "500ms"
    stop_timeout = "1s"

    [[task_definition]]
    family = "web"
    cpu = 256
    memory = 512
    requires_compatibilities = ["FARGATE"]
      [[task_definition.container]]
      name = "web"
      image = "workloads/worker"

    [[service]]
    name = "web"
    task_definition = "web"
    desired_count = 2
    launch_type = "FARGATE"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = ClusterFile::parse(CLUSTER, "inline.toml", &Catalog::embedded())?;
    let cluster = RunningCluster::start(spec, HostOptions::default())?;
    let events = cluster.events()?;
    for event in &events {
        match &event.detail {
            Detail::Task(task) => println!("{} {} {}", event.time, task.last_status, task.task_arn),
            Detail::ServiceAction(action) if action.event_name == "SERVICE_STEADY_STATE" => break,
            // As EventBridge has it, for rules that match on its JSON.
            _ => println!("{}", event.to_json()),
        }
    }
    cluster.drain();
    cluster.wait();
    println!("{} more while it drained", events.iter().count());
    Ok(())
}
