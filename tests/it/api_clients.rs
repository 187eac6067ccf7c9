//! Clients that others wrote, against `longshore serve`: boto3 and the AWS command line, from PyPI.
//!
//! They are installed once, into a virtual environment below the target folder. Each script of `tests/clients` asserts for itself; here it
//! is given a server.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use longshore::data_plane::clock::Clock;
use longshore::model::units::Timestamp;
use serde_json::{Value, json};

use crate::command_line::{cluster_file, longshore};

/// Where the scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// A server of its own, which ends with it.
pub struct Served {
    child: Child,
    /// Where it answers, as a URL.
    pub endpoint: String,
    /// And as an address.
    pub address: String,
}

impl Served {
    /// `longshore serve` with these arguments on a port that is free.
    pub fn start(arguments: &[&str]) -> Served {
        let mut command = longshore(&["serve", "--port", "0", "--format", "json", "--quiet", "--no-cache"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        output.read_line(&mut line).expect("it can be read");
        let announced: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let mut complaint = String::new();
            let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut complaint));
            panic!("the server does not start: {error}: {line}{complaint}")
        });
        let [endpoint, address] =
            ["endpoint", "address"].map(|name| announced[name].as_str().expect("it says where it is").to_owned());
        Served { child, endpoint, address }
    }

    /// Runs a script of `tests/clients` against it, and returns what it prints.
    #[track_caller]
    pub fn run_script(&self, name: &str) -> String {
        let script = Path::new(SCRIPTS).join(name).with_extension("py");
        // What Python keeps of the scripts is not to be among them.
        let run = Command::new(python())
            .arg(script)
            .arg(&self.endpoint)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .expect("Python starts");
        let [stdout, stderr] = [&run.stdout, &run.stderr].map(|output| String::from_utf8_lossy(output));
        assert!(run.status.success(), "{name}.py against {}: {}\n{stdout}{stderr}", self.endpoint, run.status);
        stdout.into_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls an operation of ECS without a client: the body of the answer, whatever its status.
#[track_caller]
pub fn ask(address: &str, operation: &str, input: &Value) -> Value {
    try_ask(address, operation, input).unwrap_or_else(|error| panic!("{operation}: {error}"))
}

/// The same, of a server that may end before it has answered.
pub fn try_ask(address: &str, operation: &str, input: &Value) -> io::Result<Value> {
    let body = input.to_string();
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    serde_json::from_str(body).map_err(|error| io::Error::other(format!("{error}: {answer}")))
}

/// Starts a task on Fargate in the cluster `default`, whose only container is this, and waits until it is in a status.
#[track_caller]
pub fn run_task(address: &str, container: &Value, status: &str) -> Value {
    ask(address, "CreateCluster", &json!({}));
    ask(
        address,
        "RegisterTaskDefinition",
        &json!({"family": "t", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container]}),
    );
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
    let request = json!({"taskDefinition": "t", "launchType": "FARGATE", "networkConfiguration": network});
    let started = ask(address, "RunTask", &request);
    let arn = started["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{started}")).to_owned();
    let clock = Clock::start_now();
    loop {
        let found = ask(address, "DescribeTasks", &json!({"tasks": [arn]}));
        if found["tasks"][0]["lastStatus"] == status {
            return found["tasks"][0].clone();
        }
        assert!(clock.now() < Timestamp::ZERO + crate::plane::PATIENCE, "it does not become {status}: {found}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A file with the keys that clients here sign with.
pub struct Keys {
    /// Its path.
    pub file: String,
    _folder: tempfile::TempDir,
}

impl Keys {
    pub fn write() -> Keys {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys.toml");
        let text = "[[credentials]]\naccess_key_id = \"AKIDEXAMPLE\"\nsecret_access_key = \"an example of a secret\"\n";
        std::fs::write(&file, text).expect("the folder is writable");
        Keys { file: file.display().to_string(), _folder: folder }
    }
}

/// The Python of the virtual environment with what `requirements.txt` names.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let requirements = Path::new(SCRIPTS).join("requirements.txt");
        let wanted = std::fs::read_to_string(&requirements).expect("the requirements can be read");
        let targets = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (folder, lock) = (targets.join("clients"), targets.join("clients.lock"));
        let lock = File::create(lock).expect("the target folder is writable");
        // Another run of the tests may be at it.
        lock.lock().expect("a lock can be had");
        let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
        if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return python;
        }
        let hint =
            "the tests with clients need Python 3 with its module venv (Debian: apt-get install python3-venv) and PyPI";
        let done = |command: &mut Command| {
            let run = command.output().unwrap_or_else(|error| panic!("{hint}: {command:?}: {error}"));
            let complaint = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{hint}: {command:?}: {complaint}");
        };
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        done(Command::new(&python).args(pip).arg(&requirements));
        std::fs::write(installed, wanted).expect("the target folder is writable");
        python
    })
}

/// Who asks, and clusters: pages, exceptions, regions.
#[test]
fn clusters() {
    Served::start(&[]).run_script("clusters");
}

/// The cluster of a file is there from the start, and its services can be scaled.
#[test]
fn scaling() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ok.wat"), r#"(module (func (export "_start")))"#).expect("it is writable");
    let file = cluster_file(
        folder.path(),
        r#"
        [cluster]
        name = "shop"
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
        requires_compatibilities = ["FARGATE"]
          [[task_definition.container]]
          name = "main"
          image = "ok.wat"
        [[service]]
        name = "web"
        task_definition = "web"
        launch_type = "FARGATE"
        desired_count = 0
        "#,
    );
    Served::start(&[&file]).run_script("scaling");
}

/// Signatures of real clients are right, and those with a wrong secret are not.
#[test]
fn signatures() {
    let keys = Keys::write();
    Served::start(&["--verify-signatures", "--credentials", &keys.file]).run_script("signatures");
}
