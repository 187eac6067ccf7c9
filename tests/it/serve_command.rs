//! `longshore serve` as its users see it: what it says, its log, a port that is taken, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::thread::JoinHandle;

use longshore::data_plane::clock::Clock;
use longshore::model::units::{Duration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::api_clients::{ask, run_task};
use crate::command_line::{longshore, output};
use crate::guests;

/// A server whose output and log are read.
struct Serving {
    child: Process,
    output: BufReader<ChildStdout>,
    /// Reads its log, which must not wait for that.
    log: JoinHandle<String>,
    address: String,
    /// What it said when it was ready.
    said: String,
}

/// What a server left behind.
struct Ended {
    code: Option<i32>,
    output: String,
    log: String,
}

impl Serving {
    /// A server on a port that is free, when it has said that it is ready.
    fn start(arguments: &[&str]) -> Serving {
        let mut command = longshore(&["serve", "--port", "0", "--no-cache", "--allow-paths"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).expect("it is text");
            log
        });
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut said = String::new();
        while !(said.ends_with("ends.\n") || said.ends_with("}\n")) {
            assert_ne!(output.read_line(&mut said).expect("it can be read"), 0, "it has ended: {said}");
        }
        let (_, address) = said.split_once("http://").expect("it says where it is");
        let address = address.split_once([' ', '"']).expect("there is more").0.to_owned();
        Serving { child: Process(child), output, log, address, said }
    }

    /// Starts a task of a module and waits until it runs: its ARN.
    fn run_task(&self, module: &Path) -> Value {
        let container = json!({"name": "main", "image": module, "stopTimeout": 30});
        run_task(&self.address, &container, "RUNNING")["taskArn"].clone()
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child.0), Signal::INT).expect("it runs");
    }

    /// Waits for its end.
    fn end(mut self) -> Ended {
        let mut output = String::new();
        self.output.read_to_string(&mut output).expect("it is text");
        let log = self.log.join().expect("it is read");
        Ended { code: self.child.0.wait().expect("it ends").code(), output, log }
    }
}

/// A process that does not outlive this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Claim: text says how clients find the server; each request is a line of the log, with its exception, and so is each image that is made;
/// Ctrl-C ends tasks in order and prints what they cost. Method: a task that waits to be stopped.
#[test]
fn ctrl_c_drains() {
    let serving = Serving::start(&[]);
    let address = &serving.address;
    assert!(
        serving.said.starts_with(&format!("longshore {} answers the ECS API on {address}", env!("CARGO_PKG_VERSION")))
    );
    assert!(serving.said.contains(&format!("export AWS_ENDPOINT_URL=http://{address} ")), "{}", serving.said);
    serving.run_task(&guests::folder().join("pause.wat"));
    ask(&serving.address, "DescribeServices", &json!({"cluster": "nobody", "services": ["web"]}));
    serving.interrupt();
    let Ended { code, output, log } = serving.end();
    assert_eq!(code, Some(0), "{log}");
    let found = |text: &str| log.lines().filter(|line| line.contains(text)).collect::<Vec<_>>();
    assert_eq!(found("  200  RunTask  ").len(), 1, "{log}");
    assert_eq!(found("  400  DescribeServices  ClusterNotFoundException  ").len(), 1, "{log}");
    assert!(!found("(image pause.wat) ready after ").is_empty(), "{log}");
    assert_eq!(found("stopping: ").len(), 1, "{log}");
    assert!(output.starts_with("CLUSTER default\n"), "{output}");
    let task = output.lines().find(|line| line.starts_with(" t:1 ")).unwrap_or_else(|| panic!("{output}"));
    // It was asked to end, and did.
    let columns: Vec<&str> = task.split_whitespace().collect();
    assert_eq!(columns[..7], ["t:1", "FARGATE", "1", "0", "0", "1", "0"], "{output}");
    assert!(output.contains("USE1-Fargate-vCPU-Hours:perCPU"), "{output}");
}

/// Claim: the second Ctrl-C ends the server at once, whatever its tasks do. Method: a task that nothing but force ends, half a minute later.
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let serving = Serving::start(&["--quiet"]);
    serving.run_task(&guests::limits("spin.wat"));
    let clock = Clock::start_now();
    serving.interrupt();
    // Not so soon that both are one signal.
    std::thread::sleep(Duration::from_millis(500));
    serving.interrupt();
    let Ended { code, output, log } = serving.end();
    assert_eq!((code, output.as_str()), (Some(130), ""), "{log}");
    assert!(clock.now() < Timestamp::ZERO + Duration::from_secs(20), "it took {:?}", clock.now());
}

/// Claim: with `--format json` everything is JSON: where it is, each line of the log, and the report of each cluster.
#[test]
fn json_for_scripts() {
    let serving = Serving::start(&["--format", "json"]);
    let said: Value = serde_json::from_str(&serving.said).expect("it is JSON");
    assert_eq!((&said["address"], &said["region"]), (&json!(serving.address), &json!("us-east-1")));
    let arn = serving.run_task(&guests::folder().join("pause.wat"));
    serving.interrupt();
    let Ended { code, output, log } = serving.end();
    assert_eq!(code, Some(0), "{log}");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let run_task = lines.iter().find(|line| line["operation"] == "RunTask").unwrap_or_else(|| panic!("{log}"));
    assert_eq!((&run_task["status"], &run_task["exception"]), (&json!(200), &Value::Null));
    assert!(lines.iter().any(|line| line["image_status"] == "READY"), "{log}");
    let report: Value = serde_json::from_str(&output).expect("it is JSON");
    let id = report["tasks"][0]["id"].as_str().expect("it has an id");
    assert!(arn.as_str().is_some_and(|arn| arn.ends_with(id)), "{report}");
    assert_eq!(report["tasks"][0]["last_status"], "STOPPED", "{report}");
}

/// Claim: a port that is taken, an address that others reach and nobody has keys for, and keys that are asked for and not there are
/// refused at once, and said.
#[test]
fn what_it_is_not_started_with() {
    let refused = |arguments: &[&str]| {
        let mut command = longshore(&["serve"]);
        let command = command.args(arguments).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let done = command.output().expect("the program starts");
        assert_eq!((done.status.code(), done.stdout), (Some(2), Vec::new()), "{arguments:?}");
        String::from_utf8(done.stderr).expect("it is text")
    };
    let serving = Serving::start(&[]);
    let complaint = "is taken: another program listens there; --port 0 takes any port that is free";
    assert_eq!(refused(&["--listen", &serving.address]), format!("error: {} {complaint}\n", serving.address));
    let complaint = refused(&["--listen", "0.0.0.0:0"]);
    assert!(
        complaint.contains("name keys with --credentials FILE, or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        "{complaint}"
    );
    assert!(refused(&["--verify-signatures"]).starts_with("error: --verify-signatures needs keys: "));
    assert!(refused(&["--region", "Not a region"]).starts_with("error: --region: 'Not a region' is not a region"));
    assert!(refused(&["--images", "not/there"]).contains("not/there"));
}

/// Claim: help says what the server is for.
#[test]
fn help() {
    let help = String::from_utf8(output(&["serve", "--help"]).stdout).expect("it is text");
    for flag in ["--listen", "--port", "--region", "--images", "--allow-reset", "--verify-signatures", "--credentials"]
    {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}
