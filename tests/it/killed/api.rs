//! `longshore serve` under clients that write down what they are answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use longshore::model::arn::ACCOUNT;
use longshore::model::rng::{Draws, Stream};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{document, in_rounds, kill};
use crate::api_clients::{ask, try_ask};
use crate::deploy_command::longshore;
use crate::durability::{eventually, module};

/// Clients of one server at once.
const CLIENTS: u64 = 4;
/// The most tasks that DescribeTasks tells of.
const TASKS_AT_ONCE: usize = 100;

/// A server that does not outlive this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be over.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server on a data directory that says where it is.
fn serve(folder: &Path, data: &str) -> (Server, BufReader<ChildStdout>) {
    let arguments =
        ["serve", "--port", "0", "--format", "json", "--quiet", "--no-cache", "--allow-paths", "--data-dir", data];
    let mut command = longshore(folder, &arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the program starts");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    (Server(child), output)
}

fn address(mut output: BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("it can be read");
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("it does not start: {error}: {line}"));
    said["address"].as_str().expect("it says where it is").to_owned()
}

fn granted(address: &str, operation: &str, input: &Value) -> Value {
    let answer = ask(address, operation, input);
    assert!(answer["__type"].is_null(), "{operation} {input}: {answer}");
    answer
}

/// A request and what was asked.
type Asked = (&'static str, Value);

/// What one client was answered in all rounds on a data directory. All that it asks for is its own.
#[derive(Debug)]
struct Client {
    number: u64,
    draws: Draws,
    asked: u64,
    /// Of its family.
    revisions: u64,
    desired_count: Option<u64>,
    tag: Option<String>,
    /// Its tasks, as it has seen each last.
    tasks: BTreeMap<String, Value>,
    /// Those of its tasks that it has stopped.
    stopped: BTreeSet<String>,
    /// What it asked when the server was killed: it may have been done.
    in_doubt: Option<Asked>,
}

impl Client {
    fn new(number: u64, draws: &mut Draws) -> Client {
        let draws = Draws::of(draws.draw(), Stream::Work, number);
        Client {
            number,
            draws,
            asked: 0,
            revisions: 0,
            desired_count: None,
            tag: None,
            tasks: BTreeMap::new(),
            stopped: BTreeSet::new(),
            in_doubt: None,
        }
    }

    fn service(&self) -> String {
        format!("service-{}", self.number)
    }

    fn next(&mut self) -> Asked {
        self.asked += 1;
        let mark = format!("{}-{}", self.number, self.asked);
        let some_task = self.tasks.keys().rev().nth((self.draws.draw() % 8) as usize).cloned();
        match (self.draws.draw() % 12, some_task) {
            (0, _) => ("RegisterTaskDefinition", definition(&format!("family-{}", self.number), "sleep", &mark)),
            (1 | 2, _) if self.desired_count.is_none() => (
                "CreateService",
                json!({"serviceName": self.service(), "taskDefinition": "sleep", "launchType": "FARGATE", "desiredCount": 1,
                       "networkConfiguration": network()}),
            ),
            (1 | 2, _) => ("UpdateService", json!({"service": self.service(), "desiredCount": self.draws.draw() % 3})),
            (3, _) => {
                let tags = json!([{"key": format!("client-{}", self.number), "value": mark}]);
                ("TagResource", json!({"resourceArn": cluster_arn(), "tags": tags}))
            }
            (4, Some(task)) => ("StopTask", json!({"task": task, "reason": mark})),
            (5 | 6, Some(_)) => {
                let tasks: Vec<&String> = self.tasks.keys().rev().take(TASKS_AT_ONCE).collect();
                ("DescribeTasks", json!({"tasks": tasks}))
            }
            (which, _) => {
                let family = if which % 2 == 0 { "sleep" } else { "job" };
                let count = 1 + self.draws.draw() % 3;
                (
                    "RunTask",
                    json!({"taskDefinition": family, "launchType": "FARGATE", "count": count, "clientToken": mark,
                                   "startedBy": mark, "networkConfiguration": network()}),
                )
            }
        }
    }

    /// Asks until the server is killed.
    fn ask_on(&mut self, address: &str, is_killed: &AtomicBool) {
        loop {
            let (operation, input) = self.next();
            match try_ask(address, operation, &input) {
                Ok(answer) => self.note(operation, &input, &answer),
                Err(error) => {
                    assert!(is_killed.load(Ordering::Relaxed), "{operation} {input}: {error}");
                    self.in_doubt = Some((operation, input));
                    return;
                }
            }
        }
    }

    /// Writes down what was answered.
    fn note(&mut self, operation: &str, input: &Value, answer: &Value) {
        assert!(answer["__type"].is_null(), "{operation} {input}: {answer}");
        match operation {
            "RegisterTaskDefinition" => {
                let revision = answer["taskDefinition"]["revision"].as_u64().expect("it has a revision");
                assert_eq!(revision, self.revisions + 1, "revisions are numbered without gaps");
                self.revisions = revision;
            }
            "CreateService" | "UpdateService" => self.desired_count = answer["service"]["desiredCount"].as_u64(),
            "TagResource" => self.tag = input["tags"][0]["value"].as_str().map(str::to_owned),
            "StopTask" => {
                let arn = input["task"].as_str().expect("it is one").to_owned();
                assert_eq!(answer["task"]["desiredStatus"], "STOPPED");
                self.stopped.insert(arn);
            }
            "RunTask" => {
                assert_eq!(answer["tasks"].as_array().map(|tasks| tasks.len() as u64), input["count"].as_u64());
                for task in answer["tasks"].as_array().into_iter().flatten() {
                    let is_new = self.tasks.insert(arn_of(task), task.clone()).is_none();
                    assert!(is_new, "two tasks have one name: {task}");
                }
            }
            _ => {
                for task in answer["tasks"].as_array().into_iter().flatten() {
                    self.tasks.insert(arn_of(task), task.clone());
                }
            }
        }
    }

    /// Holds what is there against what was answered, and finds out about what was not.
    fn check(&mut self, address: &str) {
        let in_doubt = self.in_doubt.take();
        let in_doubt_of =
            |of: &str| in_doubt.as_ref().filter(|(operation, _)| *operation == of).map(|(_, input)| input);
        self.check_family(address, in_doubt_of("RegisterTaskDefinition").is_some());

        let services = ask(address, "DescribeServices", &json!({"services": [self.service()]}));
        let found = services["services"][0]["desiredCount"].as_u64();
        let doubted = in_doubt_of("CreateService").or(in_doubt_of("UpdateService"));
        let doubted = doubted.map(|input| input["desiredCount"].as_u64());
        let expected = [Some(self.desired_count), doubted];
        assert!(expected.contains(&Some(found)), "{}: {found:?} of {expected:?}", self.service());
        self.desired_count = found;

        let tags = granted(address, "ListTagsForResource", &json!({"resourceArn": cluster_arn()}));
        let key = format!("client-{}", self.number);
        let found = tags["tags"].as_array().into_iter().flatten().find(|tag| tag["key"] == *key);
        let found = found.and_then(|tag| tag["value"].as_str()).map(str::to_owned);
        let doubted = in_doubt_of("TagResource").map(|input| input["tags"][0]["value"].as_str().map(str::to_owned));
        let expected = [Some(self.tag.clone()), doubted];
        assert!(expected.contains(&Some(found.clone())), "{key}: {found:?} of {expected:?}");
        self.tag = found;

        self.check_tasks(address);
        // Asked again it is done once, whether or not it was done before.
        if let Some(input) = in_doubt_of("RunTask") {
            let answer = granted(address, "RunTask", input);
            self.note("RunTask", input, &answer);
            // A task that ends meanwhile may be in both lists.
            let mut listed = BTreeSet::new();
            for desired in ["RUNNING", "STOPPED"] {
                let list = json!({"startedBy": input["startedBy"], "desiredStatus": desired});
                let found = granted(address, "ListTasks", &list);
                listed.extend(found["taskArns"].as_array().into_iter().flatten().map(Value::to_string));
            }
            assert_eq!(Some(listed.len() as u64), input["count"].as_u64(), "{input}: {listed:?}");
        }
    }

    fn check_family(&mut self, address: &str, one_is_in_doubt: bool) {
        let listed =
            granted(address, "ListTaskDefinitions", &json!({"familyPrefix": format!("family-{}", self.number)}));
        let found = listed["taskDefinitionArns"].as_array().map_or(0, Vec::len) as u64;
        let most = self.revisions + u64::from(one_is_in_doubt);
        assert!((self.revisions..=most).contains(&found), "{found} revisions of {} to {most}", self.revisions);
        self.revisions = found;
    }

    fn check_tasks(&mut self, address: &str) {
        let arns: Vec<String> = self.tasks.keys().cloned().collect();
        for arns in arns.chunks(TASKS_AT_ONCE) {
            let found = granted(address, "DescribeTasks", &json!({"tasks": arns}));
            assert_eq!(found["failures"], json!([]), "tasks that were answered are not there");
            for task in found["tasks"].as_array().into_iter().flatten() {
                let seen = self.tasks.insert(arn_of(task), task.clone()).expect("it was asked for");
                check_task(&seen, task);
                if self.stopped.contains(&arn_of(task)) {
                    assert_eq!(task["desiredStatus"], "STOPPED", "{task}");
                }
            }
        }
    }
}

/// A task as it was seen before the crash and after it.
fn check_task(seen: &Value, task: &Value) {
    if seen["lastStatus"] == "STOPPED" {
        assert_eq!(seen, task, "it was over");
        return;
    }
    assert!(seen["version"].as_u64() <= task["version"].as_u64(), "{seen}\n{task}");
    if seen["lastStatus"] == "RUNNING" {
        assert_eq!(task["lastStatus"], "STOPPED", "it ran in a process that is gone: {task}");
    }
    if task["lastStatus"] == "STOPPED" {
        assert!(task["stoppedReason"].as_str().is_some_and(|reason| !reason.is_empty()), "{task}");
    }
}

fn arn_of(task: &Value) -> String {
    task["taskArn"].as_str().expect("it has a name").to_owned()
}

fn cluster_arn() -> String {
    format!("arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/default")
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}})
}

fn definition(family: &str, name: &str, mark: &str) -> Value {
    json!({"family": family, "cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
           "containerDefinitions": [{"name": "main", "image": module(name), "stopTimeout": 2,
                                     "environment": [{"name": "MARK", "value": mark}]}]})
}

/// Every task that the server shows, as it was last.
fn all_tasks(address: &str) -> Vec<Value> {
    let mut tasks = BTreeMap::new();
    for desired in ["RUNNING", "STOPPED"] {
        let mut list = json!({"desiredStatus": desired});
        loop {
            let page = granted(address, "ListTasks", &list);
            if page["taskArns"].as_array().is_some_and(|arns| !arns.is_empty()) {
                let found = granted(address, "DescribeTasks", &json!({"tasks": page["taskArns"]}));
                let found = found["tasks"].as_array().expect("a list").iter();
                tasks.extend(found.map(|task| (arn_of(task), task.clone())));
            }
            if page["nextToken"].is_null() {
                break;
            }
            list["nextToken"] = page["nextToken"].clone();
        }
    }
    tasks.into_values().collect()
}

/// Holds the ledger of a data directory against the tasks that the server has shown: each is billed once, and for its own time.
fn check_bill(bill: &Value, tasks: &[Value]) {
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    let mut seconds = 0.0;
    for task in tasks {
        let (Some(from), Some(to)) = (task["pullStartedAt"].as_f64(), task["stoppedAt"].as_f64()) else { continue };
        let definition = task["taskDefinitionArn"].as_str().and_then(|arn| arn.rsplit('/').next());
        *expected.entry(definition.expect("it has one")).or_default() += 1;
        seconds += (to - from).ceil().max(60.0);
    }
    let groups = bill["groups"].as_array().expect("a list").iter();
    let billed: BTreeMap<&str, u64> =
        groups.map(|group| (group["key"].as_str().unwrap(), group["tasks"].as_u64().unwrap())).collect();
    assert_eq!(billed, expected, "{bill:#}");
    let lines = bill["lines"].as_array().expect("a list");
    let vcpu = lines.iter().find(|line| line["usage_type"].as_str().is_some_and(|name| name.contains("vCPU")));
    let hours = vcpu.map(|line| line["quantity"].to_string().trim_matches('"').parse::<f64>().expect("a number"));
    let billed_seconds = hours.unwrap_or_default() * 3600.0 / 0.25;
    // What is shown of times is rounded to milliseconds.
    let close = 1.0 + 0.01 * f64::from(u32::try_from(tasks.len()).expect("they are few"));
    assert!((billed_seconds - seconds).abs() < close, "{billed_seconds} task-seconds billed of {seconds}: {lines:#?}");
}

/// Claim: whatever the API has answered before a `kill -9` is there after it: revisions, services with the count that was last answered,
/// tags, tasks, each as it was or further on; what was over is as it was, and what ran is STOPPED with a reason. A request that got no
/// answer was done or not, and done once when it is made again. At last services have as many tasks as they should, and the bill has each
/// task once. Method: clients write down what they are answered until the server is killed at a random moment, sometimes before it is up.
#[test]
fn api() {
    let answered = AtomicU64::new(0);
    in_rounds(|rounds, folder, draws| {
        let data = folder.join("data");
        let data = data.to_str().expect("it is text");
        let mut clients: Vec<Client> = (0..CLIENTS).map(|number| Client::new(number, draws)).collect();
        for round in 0..rounds {
            let (mut server, output) = serve(folder, data);
            if round > 0 && draws.draw().is_multiple_of(8) {
                std::thread::sleep(Duration::from_millis(draws.draw() % 300));
                kill(&mut server.0);
                continue;
            }
            let address = address(output);
            if round == 0 {
                granted(&address, "CreateCluster", &json!({}));
                for family in ["sleep", "job"] {
                    let name = if family == "job" { "exit_3" } else { family };
                    granted(&address, "RegisterTaskDefinition", &definition(family, name, "none"));
                }
            }
            let (lasts, is_killed) = (Duration::from_millis(draws.draw() % 400), AtomicBool::new(false));
            std::thread::scope(|scope| {
                for client in &mut clients {
                    client.check(&address);
                }
                for client in &mut clients {
                    scope.spawn(|| client.ask_on(&address, &is_killed));
                }
                std::thread::sleep(lasts);
                is_killed.store(true, Ordering::Relaxed);
                kill(&mut server.0);
            });
        }
        let (mut server, output) = serve(folder, data);
        let address = address(output);
        for client in &mut clients {
            client.check(&address);
            answered.fetch_add(client.asked, Ordering::Relaxed);
            if let Some(desired) = client.desired_count {
                eventually("as many tasks as are desired", || {
                    let found = granted(&address, "DescribeServices", &json!({"services": [client.service()]}));
                    (found["services"][0]["runningCount"] == desired).then_some(())
                });
                granted(&address, "UpdateService", &json!({"service": client.service(), "desiredCount": 0}));
            }
        }
        let tasks = eventually("the end of all tasks", || {
            let tasks = all_tasks(&address);
            let live: Vec<&Value> = tasks.iter().filter(|task| task["lastStatus"] != "STOPPED").collect();
            for task in &live {
                // It may be over by then.
                ask(&address, "StopTask", &json!({"task": task["taskArn"]}));
            }
            live.is_empty().then_some(tasks)
        });
        kill_process(Pid::from_child(&server.0), Signal::INT).expect("it is up");
        assert!(server.0.wait().expect("it ends").success());
        let bill = document(folder, &["bill", "--data-dir", data, "--group-by", "task-definition", "--format", "json"]);
        check_bill(&bill, &tasks);
    });
    let answered = answered.into_inner();
    assert!(answered > 100, "{answered} requests show little");
}
