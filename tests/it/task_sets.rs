//! Services that consist of task sets, as people see them: the summary, the document and the report of a run, a simulation and a
//! comparison. What the scheduler does with them is in the scenarios.

use serde_json::Value;

use crate::command_line::{cluster_file, document, output};

/// A service of two task sets, one that is left to CodeDeploy, and one that has no task set.
fn file(folder: &std::path::Path, container: &str) -> String {
    let definition = format!(
        r#"
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
{container}
"#
    );
    cluster_file(
        folder,
        &format!(
            r#"
[cluster]
name = "sets"
{definition}{definition}
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
name = "blue-green"
deployment_controller = "CODE_DEPLOY"
task_definition = "web:1"
desired_count = 1
launch_type = "FARGATE"
[[service]]
name = "empty"
deployment_controller = "EXTERNAL"
desired_count = 2
"#
        ),
    )
}

const MODELLED: &str = "simulation = { job_cpu = \"10ms\" }\ncontainer = [{ name = \"main\" }]";
/// Waits to be stopped.
const WAITS: &str = "container = [{ name = \"main\", image = \"wait.wat\" }]";

fn service<'a>(document: &'a Value, name: &str) -> &'a Value {
    let services = document["services"].as_array().expect("there are services");
    services.iter().find(|service| service["name"] == name).expect("it is there")
}

/// The rows of a table of a summary, without the spaces between columns.
fn section(text: &str, title: &str) -> Vec<String> {
    let rows = text.lines().skip_while(|line| *line != title).skip(1).take_while(|line| !line.is_empty());
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Claim: the summary and the document of a simulation show each task set with its share; services without any are there, too
/// (ecs-semantics §5.8). Method: ten minutes, and a report.
#[test]
fn a_simulation_shows_task_sets() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let file = file(folder.path(), MODELLED);
    let report = folder.path().join("report").display().to_string();
    let simulated = output(&["simulate", &file, "--for", "10m", "--report", &report]);
    let text = String::from_utf8(simulated.stdout).expect("it is text");
    assert!(simulated.status.success(), "{}", String::from_utf8_lossy(&simulated.stderr));
    expect_test::expect![[r#"
        Service Task set Status Task definition Scale Desired Running Pending Stability
        blue-green ecs-svc/7072917602864530048 PRIMARY, deleted web:1 100 % 1 1 0 STEADY_STATE
        shop blue PRIMARY, deleted web:1 100 % 4 4 0 STEADY_STATE
        shop green ACTIVE, deleted web:2 50 % 2 2 0 STEADY_STATE"#]]
    .assert_eq(&section(&text, "TASK SETS").join("\n"));
    let page = std::fs::read_to_string(folder.path().join("report/index.html")).expect("there is a report");
    assert!(["shop", "blue-green", "empty"].iter().all(|name| page.contains(name)));

    let document = document(&output(&["simulate", &file, "--for", "10m", "--format", "json"]));
    let shop = service(&document, "shop");
    assert_eq!((&shop["deployment_controller"], &shop["deployments"]), (&"EXTERNAL".into(), &Value::Array(Vec::new())));
    assert_eq!(shop["task_sets"].as_array().map(Vec::len), Some(0), "the cluster has come to its end");
    let sets: Vec<_> = shop["deleted_task_sets"].as_array().expect("it has some").iter().collect();
    let members = |set: &Value| {
        ["external_id", "status", "task_definition", "scale", "computed_desired_count", "stability_status"]
            .map(|member| set[member].to_string().replace('"', ""))
            .join(" ")
    };
    expect_test::expect![[r#"
        blue PRIMARY web:1 100 % 4 STEADY_STATE
        green ACTIVE web:2 50 % 2 STEADY_STATE"#]]
    .assert_eq(&sets.into_iter().map(members).collect::<Vec<_>>().join("\n"));
    assert_eq!(service(&document, "blue-green")["deleted_task_sets"].as_array().map(Vec::len), Some(1));
    assert_eq!(service(&document, "empty")["deleted_task_sets"].as_array().map(Vec::len), Some(0));
}

/// Claim: real tasks run in task sets, `compare` puts them on each capacity, and both come to an end. Method: guests that wait.
#[test]
fn runs_and_comparisons_have_task_sets() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    std::fs::write(
        folder.path().join("wait.wat"),
        r#"(module
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\40\00\00\00")
            (func (export "_start") (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
    )
    .expect("the folder is writable");
    let path = file(folder.path(), WAITS);
    let run = output(&["run", &path, "--for", "3s", "--format", "json", "--no-cache"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let run = document(&run);
    let started = run["tasks"].as_array().expect("there are tasks");
    let of = |revision: u64| started.iter().filter(|task| task["revision"].as_u64() == Some(revision)).count();
    assert_eq!((of(1), of(2)), (5, 2), "{started:#?}");
    assert_eq!(service(&run, "shop")["deleted_task_sets"].as_array().map(Vec::len), Some(2));

    let path = file(folder.path(), MODELLED);
    for format in ["text", "json"] {
        let compared = output(&["compare", &path, "--for", "10m", "--format", format]);
        assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
        if format == "json" {
            let compared = document(&compared);
            let variants = compared["variants"].as_array().expect("there are variants");
            assert!(variants.iter().all(|variant| variant["tasks"]["placed"].as_u64() == Some(7)), "{variants:#?}");
        }
    }
}
