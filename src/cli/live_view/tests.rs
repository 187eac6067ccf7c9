//! Claim: the screen shows what its cluster is in the middle of. Method: a simulated cluster at a moment, drawn on a terminal in memory.

use ratatui::backend::TestBackend;

use super::*;
use crate::catalog::Catalog;
use crate::config::ClusterFile;
use crate::driver::simulated::{Simulation, SimulationOptions};

const MODELLED: &str = r#"
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
simulation = { job_cpu = "10ms" }
container = [{ name = "main" }]
"#;

fn simulation(text: &str) -> Simulation {
    let text = format!("[cluster]\nname = \"shown\"\n{MODELLED}{MODELLED}{text}");
    let file = ClusterFile::parse(&text, "cluster.toml", &Catalog::embedded());
    let spec = file.unwrap_or_else(|errors| panic!("{errors}"));
    Simulation::new(&spec, SimulationOptions::default()).expect("it can be simulated")
}

/// The lines of the screen that have a word, without the spaces between columns.
fn shown(simulation: &mut Simulation, seconds: u64, word: &str) -> Vec<String> {
    simulation.run_until(Timestamp(seconds * 1_000_000_000), u64::MAX);
    let snapshot = simulation.snapshot();
    let mut terminal = Terminal::new(TestBackend::new(200, 60)).expect("memory takes it");
    let none = VcpuNanos(0);
    let sample = Sample { at: snapshot.at, used: none, promised: none, delivered: none };
    let lines = VecDeque::from(["something happened".to_owned()]);
    let screen = Screen { snapshot: &snapshot, lines: &lines, image: None, since: None, sample };
    terminal.draw(|frame| screen.render(frame, frame.area())).expect("memory takes it");
    let text = terminal.backend().to_string();
    assert!(text.contains("something happened") && text.contains("shown us-east-1"), "{text}");
    let words = |line: &str| line.trim_matches('"').split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).filter(|line| line.contains(word)).collect()
}

/// Each stage of a deployment that moves traffic is shown while it lasts, with the target's share, and then how it ended.
/// **Source:** ecs-semantics §5.8.
#[test]
fn stages_of_a_deployment_are_shown() {
    let mut simulation = simulation(
        r#"
[[service]]
name = "shop"
task_definition = "web:1"
desired_count = 2
launch_type = "FARGATE"
  [service.deployment_configuration]
  strategy = "CANARY"
  canary_configuration = { canary_percent = 10, canary_bake_time_in_minutes = 1 }
  bake_time_in_minutes = 1
[[update_service]]
at = "100s"
service = "shop"
task_definition = "web:2"
"#,
    );
    let mut seen: Vec<String> = Vec::new();
    for seconds in (10..400).step_by(5) {
        let rows = shown(&mut simulation, seconds, "shop");
        let [row] = &rows[..] else { panic!("{rows:?}") };
        // Between the task definition and the jobs, of which there are none.
        let rollout = row.split(" web:").nth(1).and_then(|rest| rest.split_once(' ')).expect("it has one").1;
        let rollout = rollout.split(" - ").next().unwrap_or_default().to_owned();
        if seen.last() != Some(&rollout) {
            seen.push(rollout);
        }
    }
    expect_test::expect![[r#"
        SCALE_UP
        COMPLETED
        SCALE_UP 0 %
        PRODUCTION_TRAFFIC_SHIFT 10 %
        BAKE_TIME 100 %
        COMPLETED"#]]
    .assert_eq(&seen.join("\n"));
}

/// Services that consist of task sets show them, and one without any is shown as well.
#[test]
fn task_sets_are_shown() {
    let mut simulation = simulation(
        r#"
[[service]]
name = "shop"
deployment_controller = "EXTERNAL"
desired_count = 4
[[service.task_set]]
external_id = "blue"
task_definition = "web:1"
launch_type = "FARGATE"
scale = 100
primary = true
[[service.task_set]]
external_id = "green"
task_definition = "web:2"
launch_type = "FARGATE"
scale = 50
[[service]]
name = "empty"
deployment_controller = "EXTERNAL"
desired_count = 2
"#,
    );
    let rows = [shown(&mut simulation, 100, "shop"), shown(&mut simulation, 100, "empty")].concat();
    expect_test::expect![[r#"
        shop 4 6 0 web:1 blue PRIMARY 4/4, green ACTIVE 2/2 - - - $0.002057
        empty 2 0 0 - - - - -"#]]
    .assert_eq(&rows.join("\n"));
}
