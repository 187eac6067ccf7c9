//! Starts a cluster from a file, scales a service, watches its events, and reads the bill.
//!
//! `cargo run --release --example scale_a_service`

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::action::Notification;
use longshore::control_plane::event::{Request, UpdateService};
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
    desired_count = 1
    launch_type = "FARGATE"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = RunningCluster::start(
        ClusterFile::parse(CLUSTER, "inline.toml", &Catalog::embedded())?,
        HostOptions::default(),
    )?;
    let notices = cluster.watch()?;
    let update = UpdateService { service: "web".into(), desired_count: Some(4), ..UpdateService::default() };
    cluster.ask(Request::UpdateService(Box::new(update)))?;
    for notice in &notices {
        if let Notification::Service { message, .. } = &notice.notification {
            println!("{} {message}", notice.at);
            if message.ends_with("has reached a steady state.") {
                break;
            }
        }
    }
    cluster.drain();
    let last = cluster.wait();
    println!("{} USD for {} tasks", last.bill().total, last.state.stopped_count);
    Ok(())
}
