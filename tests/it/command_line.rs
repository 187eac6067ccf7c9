//! The program as its users call it: cluster files in, exit codes, lines and documents out.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

pub(crate) fn longshore(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    longshore(arguments).output().expect("the program starts")
}

pub(crate) fn cluster_file(folder: &Path, text: &str) -> String {
    let path = folder.join("cluster.toml");
    std::fs::write(&path, text).expect("the folder is writable");
    path.display().to_string()
}

pub(crate) fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

/// A cluster with both launch types, whose modules are text beside the file.
pub(crate) fn small_cluster(folder: &Path) -> String {
    let exit = |code: u32| {
        format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                 (memory (export "memory") 1)
                 (func (export "_start") (call $exit (i32.const {code}))))"#
        )
    };
    std::fs::write(folder.join("ok.wat"), exit(0)).expect("the folder is writable");
    std::fs::write(folder.join("three.wat"), exit(3)).expect("the folder is writable");
    cluster_file(
        folder,
        r#"
        [cluster]
        name = "small"
        [[container_instance]]
        instance_type = "m7i.large"
        boot_time = "0s"
        [[task_definition]]
        family = "ok"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "ok.wat"
        [[task_definition]]
        family = "three"
        memory = 512
          [[task_definition.container]]
          name = "main"
          image = "three.wat"
        [[run_task]]
        task_definition = "ok"
        launch_type = "FARGATE"
        count = 2
        [[run_task]]
        task_definition = "three"
        launch_type = "EC2"
        at = "300ms"
        tags = { team = "red" }
        "#,
    )
}

/// Groups with their warm pools and refreshes, what instances wait for, and CPU credits are told, to people and to programs.
#[test]
fn a_run_tells_of_groups_and_credits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = cluster_file(
        folder.path(),
        r#"
        [cluster]
        name = "fleet"
        [settings]
        run_for = "1500ms"
        [[capacity_provider]]
        name = "burst"
          [capacity_provider.auto_scaling_group]
          instance_type = "t3.micro"
          credit_specification = "standard"
          min_size = 1
          max_size = 2
          boot_time = "0s"
          warm_pool = { min_size = 1 }
          lifecycle_hooks = [{ name = "last-look", lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING" }]
        [[instance_refresh]]
        at = "700ms"
        capacity_provider = "burst"
        launch_template_version = 2
        "#,
    );
    let run = output(&["run", &file, "--format", "json", "--no-cache"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let document = document(&run);
    let group = &document["capacity_providers"][0];
    assert_eq!((&group["name"], &group["desired_capacity"]), (&Value::from("burst"), &Value::from(1)));
    let refresh = &group["instance_refreshes"][0];
    assert_eq!(refresh["to_launch_template_version"], 2, "{refresh}");
    let instances = document["container_instances"].as_array().expect("a list").clone();
    let first = instances.iter().find(|instance| !instance["registered_at"].is_null()).expect("one has registered");
    let credits = &first["cpu_credits"];
    // A t3 in standard mode has none to begin with.
    assert_eq!(credits["credit_specification"], "standard", "{credits}");
    assert_eq!(credits["is_at_baseline"], true, "{credits}");
    let run = output(&["run", &file, "--no-cache"]);
    let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    for part in [
        "AUTO SCALING GROUPS",
        "burst  1 to 2",
        "(v1 -> v2)",
        "CPU credits",
        "0.0, baseline",
        "waits for lifecycle hook last-look",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

/// ecs-semantics §4.5: a task goes to the instance that it names, once that has registered, whatever placement would choose.
#[test]
fn a_started_task_runs_on_its_instance() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    small_cluster(folder.path());
    let file = cluster_file(
        folder.path(),
        r#"
        [cluster]
        name = "small"
        [[container_instance]]
        name = "one"
        instance_type = "m7i.large"
        boot_time = "0s"
        [[container_instance]]
        name = "two"
        instance_type = "m7i.large"
        boot_time = "200ms"
        [[task_definition]]
        family = "ok"
        memory = 512
          [[task_definition.container]]
          name = "main"
          image = "ok.wat"
        [[start_task]]
        task_definition = "ok"
        container_instances = ["two"]
        "#,
    );
    let output = output(&["run", &file, "--format", "json", "--no-cache"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = document(&output);
    let (tasks, instances) = (&document["tasks"], &document["container_instances"]);
    assert_eq!(tasks.as_array().map(Vec::len), Some(1), "{tasks}");
    assert_eq!(tasks[0]["containers"][0]["exit_code"], 0);
    assert_eq!(tasks[0]["container_instance"], instances[1]["id"], "{document}");
}

/// `run --format json` prints one document with every field that scripts rely on, and money that adds up.
#[test]
fn run_prints_one_json_document() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = small_cluster(folder.path());
    let report = folder.path().join("report");
    let report = report.to_str().expect("it is UTF-8");
    let output = output(&["run", &file, "--format", "json", "--no-cache", "--report", report]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = document(&output);
    let tasks = document["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 3);
    for task in tasks {
        for field in [
            "id",
            "family",
            "launch_type",
            "last_status",
            "stop_code",
            "stopped_reason",
            "started_at",
            "stopped_at",
            "vcpu_seconds_used",
            "memory_mib_peak",
        ] {
            assert!(!task[field].is_null(), "{field} is missing in {task}");
        }
        assert_eq!(task["last_status"], "STOPPED");
        assert_eq!(task["stop_code"], "EssentialContainerExited");
        let (family, code) = (task["family"].as_str().expect("a family"), &task["containers"][0]["exit_code"]);
        assert_eq!(*code, if family == "ok" { 0 } else { 3 });
        let billed = if family == "ok" { Value::from(60) } else { Value::Null };
        assert_eq!(task["billed_seconds"], billed, "Fargate bills a minute at least, EC2 bills the instance");
    }
    let instances = document["container_instances"].as_array().expect("container instances");
    assert_eq!((instances.len(), &instances[0]["status"]), (1, &Value::from("INACTIVE")));
    assert!(document["services"].as_array().expect("services").is_empty());
    let bill = &document["bill"];
    // Amounts of this size are exact to the nano-dollar in a double.
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    let nanos = |value: &Value| (value.as_f64().expect("a number") * 1e9).round() as i64;
    let lines = bill["lines"].as_array().expect("lines");
    for line in lines {
        for field in ["usage_type", "quantity", "unit", "rate", "amount"] {
            assert!(!line[field].is_null(), "{field} is missing in {line}");
        }
    }
    let sum: i64 = lines.iter().map(|line| nanos(&line["amount"])).sum();
    assert_eq!(sum, nanos(&bill["total"]));
    // For a minute: two tasks of 0.25 vCPU at 0.04048 an hour (337,333 nano-dollars), of 0.5 GB at 0.004445 (74,083), and an
    // m7i.large at 0.1008 (1,680,000).
    assert_eq!(sum, 337_333 + 74_083 + 1_680_000);
    // The report of the same run says the same.
    let cost = std::fs::read_to_string(folder.path().join("report/cost.csv")).expect("there is a report");
    let total = cost.lines().last().and_then(|row| row.rsplit(',').next()).expect("there is a sample");
    assert_eq!(total.replace('.', "").parse::<i64>().expect("it is an amount"), sum, "{cost}");
    let page = std::fs::read_to_string(folder.path().join("report/index.html")).expect("there is a page");
    assert!(page.contains("in real time") && page.contains("id=\"instances\""));
    let red = nanos(&bill["by_tag"]["team"]["red"]["amount"]);
    assert!(red > 0 && red < sum);
}

/// Without a terminal `run` prints plain lines and the summary, without colour codes.
#[test]
fn run_prints_plain_lines_without_a_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = small_cluster(folder.path());
    let output = output(&["run", &file, "--no-cache"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.contains('\u{1b}'), "no colour in a pipe");
    for wanted in ["ACTIVE", "three:1 STOPPED", "exit code 3", "BILL", "BoxUsage:m7i.large", "Total"] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
}

const SERVICE: &str = r#"
    [settings]
    stop_timeout = "1s"
    [[task_definition]]
    family = "spin"
    cpu = 256
    memory = 512
    requires_compatibilities = ["FARGATE"]
      [[task_definition.container]]
      name = "main"
      image = "spin.wat"
    [[service]]
    name = "web"
    task_definition = "spin"
    desired_count = 2
    launch_type = "FARGATE"
"#;

pub(crate) fn service_that_spins(folder: &Path) -> String {
    let spin = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;
    std::fs::write(folder.join("spin.wat"), spin).expect("the folder is writable");
    cluster_file(folder, SERVICE)
}

/// `--for` drains as ECS does: the service's tasks are stopped by the scheduler, have their stop timeout and are then interrupted.
#[test]
fn run_for_a_time_drains_and_bills() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = service_that_spins(folder.path());
    let output = output(&["run", &file, "--for", "3s", "--format", "json", "--no-cache"]);
    let document = document(&output);
    let tasks = document["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        assert_eq!(task["stop_code"], "ServiceSchedulerInitiated");
        assert_eq!(task["containers"][0]["exit_code"], 137);
    }
    assert_eq!(document["services"][0]["status"], "INACTIVE");
    let used = document["bill"]["by_service"]["web"]["vcpu_seconds_used"].as_f64().expect("a number");
    assert!(used > 0.4, "two spinning tasks of 0.25 vCPU used only {used} in three seconds");
}

/// The first interrupt drains and still prints the bill; the second ends at once.
#[test]
fn interrupts_drain_then_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = service_that_spins(folder.path());
    let run = || {
        longshore(&["run", &file, "--no-cache"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    };
    let interrupt = |child: &std::process::Child| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the process runs");
    };
    // It has something to pay for from here on.
    let is_running = |child: &mut std::process::Child| {
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("has started 2 tasks") {
            line.clear();
            assert!(lines.read_line(&mut line).expect("it is text") > 0, "it ended");
        }
        // Their image is there, and they are on their way to the workers.
        std::thread::sleep(Duration::from_millis(500));
        lines
    };
    let mut once = run();
    let mut lines = is_running(&mut once);
    interrupt(&once);
    let mut text = String::new();
    lines.read_to_string(&mut text).expect("it is text");
    let output = once.wait_with_output().expect("it ends");
    assert!(output.status.success() && text.contains("USE1-Fargate-vCPU-Hours:perCPU"), "{text}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the cluster is in memory alone"), "{said}");

    let mut twice = run();
    let lines = is_running(&mut twice);
    interrupt(&twice);
    std::thread::sleep(Duration::from_millis(200));
    interrupt(&twice);
    drop(lines);
    let output = twice.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
}

/// What containers print is in files below `--log-dir`, one a container and stream.
#[test]
fn log_dir_holds_what_containers_print() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hello = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 8) "ahoy\n")
        (func (export "_start")
          (i32.store (i32.const 0) (i32.const 8)) (i32.store (i32.const 4) (i32.const 5))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))"#;
    std::fs::write(folder.path().join("hello.wat"), hello).expect("the folder is writable");
    let file = cluster_file(
        folder.path(),
        r#"
        [[task_definition]]
        family = "hello"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "hello.wat"
        [[run_task]]
        task_definition = "hello"
        launch_type = "FARGATE"
        "#,
    );
    let logs = folder.path().join("logs");
    let output = output(&["run", &file, "--no-cache", "--log-dir", &logs.display().to_string()]);
    assert!(output.status.success());
    let mut found = Vec::new();
    let mut folders = vec![logs];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(std::fs::read_to_string(path).expect("text")) }
        }
    }
    assert!(found.contains(&"ahoy\n".to_string()), "{found:?}");
}

/// Bad input is exit code 2 and named; `validate` says the same as `run`.
#[test]
fn bad_input_is_exit_code_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = cluster_file(folder.path(), "[cluster]\nnam = \"x\"\n");
    for arguments in [vec!["validate", &file], vec!["run", &file], vec!["validate", &file, "--format", "json"]] {
        let output = output(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("nam") && text.contains("did you mean"), "{text}");
    }
    let missing = output(&["run", "no-such-file.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-file.toml"));
    let task = output(&["run-task", "no-such-module.wasm"]);
    assert_eq!(task.status.code(), Some(2));
}

/// `simulate` prints what `run` prints and how long jobs took; its document is the same every time but for what the host took.
#[test]
fn a_day_is_simulated() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let file = cluster_file(
        folder.path(),
        r#"
        [cluster]
        name = "modelled"
        [[task_definition]]
        family = "web"
        cpu = 1024
        memory = 2048
        requires_compatibilities = ["FARGATE"]
          [task_definition.simulation]
          job_cpu = { exponential = { mean = "200ms" } }
          [[task_definition.container]]
          name = "main"
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 1
        launch_type = "FARGATE"
        [[load]]
        service = "web"
        job = "x"
        arrivals = "poisson"
        jobs_per_second = 1
        "#,
    );
    let simulated = |arguments: &[&str]| {
        let mut all = vec!["simulate", file.as_str(), "--for", "24h", "--format", "json"];
        all.extend(arguments);
        let mut document = document(&output(&all));
        let host = document.as_object_mut().expect("it is an object").remove("host").expect("it says what it took");
        assert!(host["wall_seconds"].as_f64().is_some());
        document
    };
    let document = simulated(&[]);
    assert_eq!(document, simulated(&[]));
    assert_ne!(document["simulation"], simulated(&["--seed", "7"])["simulation"]);
    let jobs = &document["simulation"]["jobs"]["web"]["latency_seconds"];
    assert!(jobs["count"].as_u64().is_some_and(|count| count > 80_000), "{jobs}");
    assert!(jobs["p99"].as_f64() > jobs["p50"].as_f64());
    let text = output(&["simulate", file.as_str(), "--for", "2h"]);
    let text = String::from_utf8(text.stdout).expect("it is text");
    assert!(text.contains("TIMES OF JOBS") && text.contains("BILL") && text.contains("times as fast"), "{text}");
    let run = output(&["run", file.as_str()]);
    let complaint = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success() && complaint.contains("has no image"), "{complaint}");
}

/// Claim: `compare` puts real guests on each capacity and says which to take; a mistake is exit code 2. Method: a cluster of two tasks.
#[test]
fn compare_recommends_a_capacity() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = small_cluster(folder.path());
    let output = output(&["compare", &file, "--for", "10m", "--seed", "3", "--format", "json", "--no-cache"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = document(&output);
    assert_eq!((&document["seed"], document["simulated_seconds"].as_f64()), (&3.into(), Some(600.0)));
    let variants = document["variants"].as_array().expect("there are variants");
    let kinds: Vec<&str> = variants.iter().filter_map(|variant| variant["capacity"].as_str()).collect();
    assert!(["FARGATE", "FARGATE_SPOT", "EC2"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    let placed: Vec<u64> = variants.iter().filter_map(|variant| variant["tasks"]["placed"].as_u64()).collect();
    assert!(placed.iter().all(|count| *count == placed[0] && *count > 0), "{placed:?}");
    assert!(document["recommendation"]["cheapest"]["reason"].is_string());

    let nothing = cluster_file(folder.path(), "[cluster]\nname = \"nothing\"\n");
    let output = longshore(&["compare", &nothing]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("no service and no run_task"), "{said}");
}

/// `simulate --report` writes a folder that holds the cluster file as it is on the disk, and says at once when it can't.
#[test]
fn a_report_is_written_where_it_is_asked_for() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let text = "# a & b\n[cluster]\nname = \"empty\"\n[settings]\nrun_for = \"10s\"\n";
    let file = cluster_file(folder.path(), text);
    let report = folder.path().join("deep/report").display().to_string();
    let written = output(&["simulate", &file, "--report", &report]);
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    assert!(written.status.success() && said.contains("report/index.html"), "{said}");
    let page = std::fs::read_to_string(folder.path().join("deep/report/index.html")).expect("it is there");
    assert!(page.contains("# a &amp; b") && page.contains("10 s of simulated time"), "{page}");
    let refused = output(&["simulate", &file, "--report", &file]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("--report {file}: cannot make the folder {file}: ")), "{said}");
}
