//! An edited cluster file on its running cluster: `longshore deploy`, `run --watch`, and the events that a run writes.
//!
//! Each test runs the program with a runtime folder of its own, so that no other run is in its way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A run of `cluster.toml` in a folder, in the background, ended with Ctrl-C.
pub struct Run {
    child: Child,
    folder: PathBuf,
}

/// Looks until something has come to pass: longer altogether than anything here takes on a busy machine.
const LOOKS: usize = 1200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

fn cluster_file(folder: &Path, edit: impl Fn(&str) -> String) -> PathBuf {
    let sleep = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/limits/sleep.wat");
    let text = format!(
        r#"
        [cluster]
        name = "edited"
        [settings]
        healthy_after = "100ms"
        stop_timeout = "100ms"
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "{sleep}"
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 2
        launch_type = "FARGATE"
        "#
    );
    let path = folder.join("cluster.toml");
    fs::write(&path, edit(&text)).expect("the folder is writable");
    path
}

/// The program with a runtime folder of its own.
pub fn longshore(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.args(arguments).stdin(Stdio::null()).env("XDG_RUNTIME_DIR", folder);
    command
}

/// The answer of `deploy`, once the run is up.
fn deploy(folder: &Path, arguments: &[&str]) -> Output {
    let file = folder.join("cluster.toml").display().to_string();
    for _ in 0..LOOKS {
        let all = [&["deploy", &file], arguments].concat();
        let output = longshore(folder, &all).output().expect("the program starts");
        if !String::from_utf8_lossy(&output.stderr).contains("is up to deploy to") {
            return output;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    panic!("the run of {file} is never up");
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

impl Run {
    pub fn start(folder: &Path, arguments: &[&str]) -> Run {
        let file = folder.join("cluster.toml").display().to_string();
        let all = [&["run", &file, "--no-cache"], arguments].concat();
        let out = fs::File::create(folder.join("out")).expect("the folder is writable");
        let child = longshore(folder, &all).stdout(out).stderr(Stdio::inherit()).spawn().expect("the program starts");
        Run { child, folder: folder.to_owned() }
    }

    /// Waits until the run has printed a line with this in it.
    pub fn wait_for(&self, text: &str) {
        let out = || fs::read_to_string(self.folder.join("out")).expect("it was made");
        for _ in 0..LOOKS {
            if out().contains(text) {
                return;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        panic!("the run never says {text:?}: {}", out());
    }

    pub fn interrupt(mut self) {
        let process = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(process.expect("a process has an id"), rustix::process::Signal::INT).unwrap();
        let status = self.child.wait().expect("it is ours");
        assert!(status.success(), "a drained run is no failure: {status}");
        let left: Vec<_> = fs::read_dir(self.folder.join("longshore")).unwrap().collect();
        assert!(left.is_empty(), "the socket goes with the run: {left:?}");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; otherwise it is over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An edit becomes a revision and a rolling deployment that `--wait` sees to its end; an edit with a mistake, or beyond a running
/// cluster, changes nothing and says where it is wrong. Every event of it is in the file, also of the drain after Ctrl-C.
#[test]
fn an_edited_file_is_deployed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let file = cluster_file(folder, str::to_owned);
    let events = folder.join("events.jsonl");
    let none = longshore(folder, &["deploy", &file.display().to_string()]).output().expect("the program starts");
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("is up to deploy to"), "{none:?}");

    let run = Run::start(folder, &["--events", &events.display().to_string()]);
    let same = deploy(folder, &["--format", "json"]);
    assert!(same.status.success(), "{same:?}");
    assert_eq!(document(&same)["changes"], Value::Array(Vec::new()));

    cluster_file(folder, |text| {
        text.replace("name = \"main\"", "name = \"main\"\n          environment = [{ name = \"V\", value = \"2\" }]")
    });
    let deployed = deploy(folder, &["--wait", "--format", "json"]);
    assert!(deployed.status.success(), "{deployed:?}");
    let deployed = document(&deployed);
    assert_eq!(deployed["changes"][0]["item"], "task definition web");
    assert_eq!(deployed["changes"][0]["revision"], 2);
    assert_eq!(deployed["changes"][1]["deployment"], deployed["deployments"][0]["deployment"]);
    assert_eq!(deployed["deployments"][0]["status"], "SUCCESSFUL");

    cluster_file(folder, |text| text.replace("desired_count = 2", "desired_count = \"two\""));
    let mistaken = deploy(folder, &[]);
    assert_eq!(mistaken.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&mistaken.stderr).contains("desired_count"), "{mistaken:?}");
    cluster_file(folder, |text| text.replace("[settings]", "[settings]\n        seed = 7"));
    let refused = deploy(folder, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("settings.seed"), "{refused:?}");

    run.wait_for("deployment completed");
    run.interrupt();
    let events = fs::read_to_string(events).expect("it was written");
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).expect("a line is an event")).collect();
    let of = |detail_type: &str| events.iter().filter(|event| event["detail-type"] == detail_type).collect::<Vec<_>>();
    let stopped = of("ECS Task State Change").iter().filter(|event| event["detail"]["lastStatus"] == "STOPPED").count();
    assert_eq!(stopped, 4, "two of each revision");
    let deployments = of("ECS Deployment State Change");
    let completed = deployments.iter().filter(|event| event["detail"]["eventName"] == "SERVICE_DEPLOYMENT_COMPLETED");
    assert_eq!(completed.count(), 2);
    assert!(!of("ECS Service Action").is_empty());
    for event in &events {
        assert_eq!((&event["source"], &event["version"]), (&Value::from("aws.ecs"), &Value::from("0")));
        assert!(!event.to_string().contains("null") && !event.to_string().contains("\"\""), "{event}");
    }
}

/// `--watch` applies the file when it is saved; a mistake is told with its place and the cluster runs on.
#[test]
fn a_saved_file_is_applied() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    cluster_file(folder, str::to_owned);
    let run = Run::start(folder, &["--watch"]);
    run.wait_for("has reached a steady state");
    cluster_file(folder, |text| text.replace("desired_count = 2", "desired_count = many"));
    run.wait_for("cluster.toml:18:25");
    cluster_file(folder, |text| text.replace("desired_count = 2", "desired_count = 3"));
    run.wait_for("(watch) service web updated");
    run.wait_for("has started 1 tasks");
    run.interrupt();
}

/// Where events can't be written, nothing is started.
#[test]
fn events_need_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = cluster_file(folder.path(), str::to_owned).display().to_string();
    for (events, text) in [("-", "name a file"), ("/no/such/folder/events", "No such file")] {
        let output =
            longshore(folder.path(), &["run", &file, "--events", events]).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(text), "{output:?}");
    }
}
