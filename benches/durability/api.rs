//! The `longshore serve` that people use, in memory and in a data directory, and 64 connections of clients that ask for a task each.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{callers, now};

/// Turns of each server, which take turns: a shared host is faster at one time than at another.
const TURNS: usize = 5;
/// How long a server may take to listen.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

const CLUSTER: &str = r#"{"clusterName":"default"}"#;
const DEFINITION: &str = r#"{"family":"job","requiresCompatibilities":["FARGATE"],"networkMode":"awsvpc","cpu":"256","memory":"512",
    "containerDefinitions":[{"name":"main","image":"job"}]}"#;
const RUN_TASK: &str = r#"{"taskDefinition":"job","launchType":"FARGATE","networkConfiguration":{"awsvpcConfiguration":{"subnets":["subnet-1"]}}}"#;

/// A server, killed when it is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which the bench has noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(images: &Path, data: Option<&Path>) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command.args(["serve", "--port", "0", "--quiet", "--format", "json", "--images"]).arg(images);
        if let Some(data) = data {
            command.arg("--data-dir").arg(data);
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program is built");
        let mut said = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut said).expect("it says where");
        let said: serde_json::Value = serde_json::from_str(&said).expect("it says so in JSON");
        let address = said["address"].as_str().expect("an address").to_owned();
        let server = Server { process, address };
        let mut client = server.client();
        client.ask("CreateCluster", CLUSTER);
        client.ask("RegisterTaskDefinition", DEFINITION);
        server
    }

    fn client(&self) -> Client {
        let began = now();
        loop {
            match TcpStream::connect(&self.address) {
                Ok(stream) => {
                    stream.set_nodelay(true).expect("it is a socket");
                    return Client { stream: BufReader::new(stream) };
                }
                Err(error) => assert!(began.elapsed() < STARTS_WITHIN, "{}: {error}", self.address),
            }
        }
    }

    /// One turn: how many tasks were answered a second, and how many a second ran to their end.
    fn turn(&self) -> [f64; 2] {
        let began = now();
        let (count, took) = callers(
            || self.client(),
            |client| {
                let answer = client.ask("RunTask", RUN_TASK);
                assert!(answer["failures"].as_array().is_some_and(Vec::is_empty), "{answer}");
            },
        );
        let mut client = self.client();
        while client.live_tasks() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        [took, began.elapsed()].map(|took| count as f64 / took.as_secs_f64())
    }
}

/// A connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn ask(&mut self, operation: &str, body: &str) -> serde_json::Value {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: ecs\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=any/20261126/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=00\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("the server listens");
        let (mut line, mut length, mut first) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("the server answers");
            let header = line.trim_end();
            if first.is_empty() {
                header.clone_into(&mut first);
            }
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("it is a number");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the server answers");
        assert!(first.contains(" 200 "), "{operation}: {first}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("it is JSON")
    }

    fn live_tasks(&mut self) -> u64 {
        let clusters = self.ask("DescribeClusters", "{}");
        let counts = ["runningTasksCount", "pendingTasksCount"].map(|name| clusters["clusters"][0][name].as_u64());
        counts.into_iter().map(|count| count.expect("a cluster has it")).sum()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Both servers in turns. What is printed is the median of each, and of the pairs' ratios.
pub(super) fn run_tasks(folder: &Path) {
    let images = folder.join("images");
    std::fs::create_dir(&images).expect("the folder is writable");
    std::fs::write(images.join("job.wat"), r#"(module (func (export "_start")))"#).expect("the folder is writable");
    let data = folder.join("api");
    let servers = [None, Some(data.as_path())].map(|data| Server::start(&images, data));
    let turns: Vec<[[f64; 2]; 2]> = (0..TURNS).map(|_| servers.each_ref().map(Server::turn)).collect();
    for (index, end) in [(0, ""), (1, ", to their end")] {
        for (server, kept) in [(0, "in memory"), (1, "in a data directory")] {
            let of = turns.iter().map(|turn| turn[server][index]).collect();
            println!("{:<46} {:>10.0} a second", format!("api: RunTask {kept}{end}"), median(of));
        }
        let ratio = median(turns.iter().map(|turn| turn[1][index] / turn[0][index]).collect());
        println!("{:<46} {ratio:>10.2} of the rate in memory", format!("api: RunTask in a data directory{end}"));
    }
}
