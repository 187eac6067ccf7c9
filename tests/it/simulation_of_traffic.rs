//! Deployments that move traffic in simulated time: a cluster file in, who got how many jobs and what the deployment came to out.

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::model::deployment::ServiceDeploymentStatus;
use longshore::model::units::Timestamp;

/// A service that is updated after 30 s, by a canary of a tenth for a minute, when a hook that is a task has ended well.
fn canary() -> Simulation {
    let definition = |family: &str, work: &str| {
        format!(
            "[[task_definition]]\nfamily = \"{family}\"\ncpu = \"256\"\nmemory = \"512\"\n\
             requires_compatibilities = [\"FARGATE\"]\n  [task_definition.simulation]\n  {work}\n\
             \x20 [[task_definition.container]]\n  name = \"main\"\n"
        )
    };
    let web = definition("web", "job_cpu = \"10ms\"");
    let check = definition("check", "duration = \"2s\"");
    let text = format!(
        r#"
[cluster]
name = "canary"
[settings]
run_for = "10m"
{web}{web}{check}
[[service]]
name = "web"
task_definition = "web:1"
desired_count = 2
launch_type = "FARGATE"
  [service.deployment_configuration]
  strategy = "CANARY"
  canary_configuration = {{ canary_percent = 10, canary_bake_time_in_minutes = 1 }}
  bake_time_in_minutes = 0
  lifecycle_hooks = [{{ task_definition = "check", lifecycle_stages = ["POST_TEST_TRAFFIC_SHIFT"] }}]
[[load]]
service = "web"
job = "1"
jobs_per_second = 10
[[update_service]]
at = "30s"
service = "web"
task_definition = "web:2"
"#
    );
    let file = ClusterFile::parse(&text, "cluster.toml", &Catalog::embedded());
    let spec = file.unwrap_or_else(|errors| panic!("{errors}"));
    Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated")
}

fn status_at(simulation: &mut Simulation, seconds: u64) -> ServiceDeploymentStatus {
    simulation.run_until(Timestamp(seconds * 1_000_000_000), u64::MAX);
    simulation.state().services["web"].service_deployments.back().expect("it was updated").status
}

/// ecs-semantics §5.8: a hook that succeeds lets the canary go on, and no job is left behind by a move of traffic.
#[test]
fn a_canary_goes_well() {
    let mut simulation = canary();
    assert_eq!(status_at(&mut simulation, 400), ServiceDeploymentStatus::Successful);
    let jobs = simulation.snapshot().jobs["web"];
    assert_eq!((jobs.lost, jobs.queued), (0, 0));
    let revision = |id: u32| {
        let tasks = simulation.state().tasks.values().map(|record| &record.task);
        tasks.filter(|task| &*task.task_definition.family == "web" && task.task_definition.revision == id).count()
    };
    assert!(revision(2) >= 2, "the target's tasks are there");
}
