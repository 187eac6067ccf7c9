//! `longshore explain` asked of a run that is up, and of one that is not.

use std::fs;
use std::path::Path;
use std::process::Output;

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::deploy_command::{Run, longshore};

/// Two instances of two vCPUs and a service of five tasks of half an instance each, of which four find room.
fn cluster_file(folder: &Path) {
    let sleep = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/limits/sleep.wat");
    let text = format!(
        r#"
        [cluster]
        name = "short"
        [settings]
        healthy_after = "100ms"
        stop_timeout = "100ms"
        boot_time = "0s"
        [[container_instance]]
        name = "first"
        instance_type = "m7i.large"
        availability_zone = "us-east-1a"
        attributes = {{ disk = "ssd" }}
        [[container_instance]]
        name = "second"
        instance_type = "m7i.large"
        availability_zone = "us-east-1b"
        [[task_definition]]
        family = "web"
        cpu = 1024
        memory = 1024
          [[task_definition.container]]
          name = "main"
          image = "{sleep}"
        [[task_definition]]
        family = "odd"
        cpu = 256
        memory = 300
          [[task_definition.container]]
          name = "main"
          image = "{sleep}"
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 5
        launch_type = "EC2"
        [[service]]
        name = "zoned"
        task_definition = "odd"
        desired_count = 1
        launch_type = "EC2"
        placement_constraints = [{{ type = "memberOf", expression = "attribute:disk == nvme or runningTasksCount == 0" }}]
        "#
    );
    fs::write(folder.join("cluster.toml"), text).expect("the folder is writable");
}

fn explain(folder: &Path, arguments: &[&str]) -> Output {
    let file = folder.join("cluster.toml").display().to_string();
    longshore(folder, &[&["explain", &file], arguments].concat()).output().expect("the program starts")
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("output is text")
}

#[track_caller]
fn document(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[track_caller]
fn refused(output: &Output, expected: &Expect) {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    expected.assert_eq(&String::from_utf8_lossy(&output.stderr));
}

/// A running cluster answers about what waits, a service, a task, and a task that nobody has asked for; what is not there is bad input.
#[test]
fn a_run_explains_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    cluster_file(folder);
    let none = explain(folder, &[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("is up to ask"), "{none:?}");

    let run = Run::start(folder, &[]);
    run.wait_for("service web) was unable to place a task");
    run.wait_for("service zoned) was unable to place a task");
    // Until the tasks that have room count as healthy.
    let is_settled = |text: &String| !text.contains("starting:") && !text.contains("healthy yet");
    let settled = (0..1000).map(|_| text(&explain(folder, &[]))).find(is_settled);
    expect![[r#"
        SERVICE web ACTIVE: 5 desired, 4 running, 0 pending, 4 healthy
          1 task not started: no container instance met all requirements (RESOURCE:CPU)
          the next task: web:1 of group service:web, 1024 CPU units and 1024 MiB, EC2
          no container instance takes it; the closest is f893a2ee: RESOURCE:CPU

           Instance           Type       Zone        status    agent        cpu ≥ 1024  memory ≥ 1024 MiB  Tasks of the group
           f893a2ee (first)   m7i.large  us-east-1a  ✓ ACTIVE  ✓ connected  ✗ 0         ✓ 6144 MiB         2
           987bbcbf (second)  m7i.large  us-east-1b  ✓ ACTIVE  ✓ connected  ✗ 0         ✓ 6144 MiB         2

        SERVICE zoned ACTIVE: 1 desired, 0 running, 0 pending, 0 healthy
          1 task not started: no container instance met all requirements (RESOURCE:CPU)
          the next task: odd:1 of group service:zoned, 256 CPU units and 300 MiB, EC2
          no container instance takes it; the closest is f893a2ee: RESOURCE:CPU

           Instance           Type       Zone        status    agent        cpu ≥ 256  memory ≥ 300 MiB  memberOf 1  Tasks of the group
           f893a2ee (first)   m7i.large  us-east-1a  ✓ ACTIVE  ✓ connected  ✗ 0        ✓ 6144 MiB        ✗           0
           987bbcbf (second)  m7i.large  us-east-1b  ✓ ACTIVE  ✓ connected  ✗ 0        ✓ 6144 MiB        ✗           0

          memberOf 1: attribute:disk == nvme or runningTasksCount == 0
            f893a2ee (first): attribute:disk == nvme is false: it is ssd; runningTasksCount == 0 is false: it is 2
            987bbcbf (second): attribute:disk == nvme is false: it is not there; runningTasksCount == 0 is false: it is 2
    "#]].assert_eq(&settled.expect("tasks that run count as healthy soon"));

    let service = document(&explain(folder, &["--service", "web", "--format", "json"]))["service"].clone();
    assert_eq!((&service["desired_count"], &service["running_count"]), (&5.into(), &4.into()));
    assert_eq!((&service["reasons"][0]["kind"], &service["reasons"][0]["count"]), (&"NO_ROOM".into(), &1.into()));
    let instance = &service["next"]["container_instances"][0];
    let cpu = instance["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "cpu").unwrap();
    assert_eq!((&cpu["met"], &cpu["wanted"], &cpu["has"]), (&false.into(), &"1024".into(), &"0".into()));
    assert_eq!(cpu["reason"], "RESOURCE:CPU");
    let zoned = document(&explain(folder, &["--service", "zoned", "--format", "json"]))["service"].clone();
    let rules = zoned["next"]["container_instances"][0]["rules"].as_array().unwrap().clone();
    let query = rules.iter().find(|rule| rule["because"].is_array()).unwrap();
    assert_eq!(query["because"][0]["has"], "ssd");

    let placed = document(&explain(folder, &["--task-definition", "odd", "--format", "json"]))["placement"].clone();
    assert_eq!((&placed["chosen"], &placed["reason"]), (&Value::Null, &"RESOURCE:CPU".into()));
    refused(
        &explain(folder, &["--task-definition", "odd", "--launch-type", "FARGATE"]),
        &expect![[r#"
        error: memory 300 is not valid for cpu 256 on Fargate: 512, 1024 or 2048
    "#]],
    );
    refused(
        &explain(folder, &["--task-definition", "odd", "--capacity-provider", "none"]),
        &expect![[r#"
        error: The specified capacity provider none was not found.
    "#]],
    );
    refused(
        &explain(folder, &["--service", "nobody"]),
        &expect![[r#"
        error: there is no service nobody
    "#]],
    );
    refused(
        &explain(folder, &["--task", "nothing"]),
        &expect![[r#"
        error: there is no task nothing; those that ended long ago are forgotten
    "#]],
    );

    // The tasks' ids follow from the cluster's seed; any beginning that only one task has will do.
    let ids = longshore::model::ids::IdForm { seed: longshore::model::settings::Settings::default().seed };
    let task = ids.task(longshore::model::ids::TaskId(1));
    let found = document(&explain(folder, &["--task", &task[..12], "--format", "json"]))["task"].clone();
    assert_eq!((&found["id"], &found["decision"]["by"]), (&task.clone().into(), &"STRATEGIES".into()));
    assert_eq!(found["now"]["chosen"], found["container_instance"]);
    let shown = text(&explain(folder, &["--task", &task[..12]]));
    for part in
        ["its instance was chosen at", "were it placed at this moment: web:1", "Place  Ranks", "among equals by"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    run.interrupt();
}

/// `--at` explains a simulation of the file, says so, and needs no run.
#[test]
fn a_simulation_is_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    cluster_file(folder);
    let path = folder.join("cluster.toml");
    let modelled = fs::read_to_string(&path).expect("it was written").replace(
        "[[task_definition.container]]",
        "simulation = { work = \"modelled\" }\n[[task_definition.container]]",
    );
    fs::write(&path, modelled).expect("the folder is writable");
    let shown = text(&explain(folder, &["--at", "5m", "--service", "web"]));
    assert!(shown.starts_with("In a simulation of ") && shown.contains("at 300.000s:"), "{shown}");
    assert!(shown.contains("1 task not started: no container instance met all requirements (RESOURCE:CPU)"), "{shown}");
    let found = document(&explain(folder, &["--at", "5m", "--format", "json"]));
    assert_eq!((&found["simulated"], &found["at"]), (&true.into(), &300.0.into()));
    assert_eq!(found["services"][1]["service"], "zoned");
}
