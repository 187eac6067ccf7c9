//! The server from its socket: what clients may send, what they may hold back, and what becomes of the others meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use longshore::api::server::{Limits, ResetRequests, ServeError, Server, ServerOptions};
use serde_json::{Value, json};

use super::Account;

/// A server of an account of its own.
pub(super) struct Served {
    server: Server,
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The exception and its message.
    pub(super) fn exception(&self) -> (String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (text("__type"), text("message"))
    }
}

impl Served {
    pub(super) fn with(limits: Limits) -> Served {
        Served::of(ServerOptions { limits, ..ServerOptions::default() })
    }

    pub(super) fn of(options: ServerOptions) -> Served {
        let api = Arc::new(Account::new().api);
        Served { server: Server::start(api, options).expect("the server starts") }
    }

    pub(super) fn connect(&self) -> TcpStream {
        connect(self.server.address())
    }

    /// Sends something on a connection of its own and reads all that comes back.
    fn answers(&self, request: &str) -> String {
        let mut stream = self.connect();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        read_all(&mut stream)
    }

    pub(super) fn ask(&self, request: &str) -> Answer {
        parse(&self.answers(request))
    }

    fn call(&self, operation: &str, body: &str) -> Answer {
        self.ask(&request(operation, body, "connection: close\r\n"))
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream
}

fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that was reset has said what it had to say.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn parse(answer: &str) -> Answer {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn request(operation: &str, body: &str, headers: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\n\
         content-type: application/x-amz-json-1.1\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Each path and method has its answer, and each answer a name.
#[test]
fn paths_and_methods() {
    let served = Served::with(Limits::default());
    let get = |path: &str| served.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    let health = get("/health");
    assert_eq!((health.status, &health.json()["status"], &health.json()["clusters"]), (200, &json!("ok"), &json!(0)));
    assert_eq!(health.json()["version"], env!("CARGO_PKG_VERSION"));
    let root = get("/");
    assert!(root.status == 405 && root.head.contains("allow: post"), "{root:?}");
    assert_eq!(get("/clusters").status, 404);
    let reset =
        served.ask("POST /_longshore/reset HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert!(reset.status == 403 && reset.body.contains("--allow-reset"), "{reset:?}");

    let created = served.call("CreateCluster", r#"{"clusterName": "shop"}"#);
    assert_eq!((created.status, &created.json()["cluster"]["clusterName"]), (200, &json!("shop")));
    assert!(created.head.contains("content-type: application/x-amz-json-1.1"), "{}", created.head);
    let id = created.head.lines().find_map(|line| line.strip_prefix("x-amzn-requestid: ")).expect("a name");
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    let missing = served.call("DeleteCluster", r#"{"cluster": "nix"}"#);
    assert_eq!((missing.status, missing.exception().0.as_str()), (400, "ClusterNotFoundException"));
    assert!(missing.head.contains("x-amzn-errortype: clusternotfoundexception"), "{}", missing.head);
    assert_eq!(served.call("MakeCoffee", "{}").exception().0, "UnknownOperationException");
    assert_eq!(get("/health").json()["clusters"], 1);
}

/// ecs-semantics §11.2: sizes and depths are bounded, each with its exception.
#[test]
fn what_is_too_large() {
    let served = Served::with(Limits { body_bytes: 10_000, header_bytes: 8192, ..Limits::default() });
    let large = served.call("ListClusters", &" ".repeat(10_001));
    assert_eq!((large.status, large.exception().0.as_str()), (413, "RequestEntityTooLarge"));
    let chunk = format!("800\r\n{}\r\n", " ".repeat(2048)).repeat(6);
    let chunked = served.ask(&format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n\
         transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
    ));
    assert_eq!((chunked.status, chunked.exception().0.as_str()), (413, "RequestEntityTooLarge"));
    for depth in [200, 4000] {
        let deep = format!(r#"{{"tags": {}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let answer = served.call("CreateCluster", &deep);
        assert_eq!((answer.status, answer.exception().0.as_str()), (400, "SerializationException"), "{depth}");
    }
    let headers = format!("x-filler: {}\r\nconnection: close\r\n", "a".repeat(9000));
    assert_eq!(served.ask(&request("ListClusters", "{}", &headers)).status, 431);
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    assert_eq!(served.ask(&request("ListClusters", "{}", &many)).status, 431);
    assert_eq!(served.call("ListClusters", "{}").status, 200, "others are answered");
}

/// Garbage is refused, old and hurried clients are served.
#[test]
fn what_is_no_request_or_an_odd_one() {
    let served = Served::with(Limits::default());
    for garbage in
        ["\u{16}\u{3}\u{1}\0\u{5}\r\n\r\n", "GET\r\n\r\n", "POST / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\nnonsense\r\n\r\n"]
    {
        let answer = served.answers(garbage);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{garbage:?}: {answer}");
    }
    for body in ["", "[]", "nul", "{\"a\":", "\u{0}", "{\"maxResults\": 1e999}"] {
        let answer = served.call("ListClusters", body);
        let expected = if body.is_empty() { 200 } else { 400 };
        assert_eq!(answer.status, expected, "{body:?}: {}", answer.body);
    }
    let target = "x-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters";
    let old = served.ask(&format!("POST / HTTP/1.0\r\n{target}\r\ncontent-length: 2\r\n\r\n{{}}"));
    assert_eq!((old.status, &old.json()["clusterArns"]), (200, &json!([])));
    let pipelined = request("ListClusters", "{}", "") + &request("ListClusters", "{}", "connection: close\r\n");
    assert_eq!(served.answers(&pipelined).matches("HTTP/1.1 200 OK").count(), 2);
    let page = served.ask(&request("ListClusters", "{}", "origin: http://evil.example\r\nconnection: close\r\n"));
    assert_eq!((page.status, page.exception().0.as_str()), (403, "AccessDeniedException"));
    let unknown = served.ask(&request("ListClusters", "{}", "connection: close\r\n").replace("AmazonEC2", "AmazonEC3"));
    assert_eq!(unknown.exception().0, "UnknownOperationException");
}

/// Forms are told by the scope of their signature, else by their action, and answered in XML.
#[test]
fn forms() {
    let served = Served::with(Limits::default());
    let form = |body: &str, headers: &str| {
        served.ask(&format!(
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\nconnection: close\r\n{headers}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let identity = form("Action=GetCallerIdentity&Version=2011-06-15", "");
    assert_eq!(identity.status, 200);
    assert!(identity.head.contains("content-type: text/xml"), "{}", identity.head);
    assert!(identity.body.contains("<Account>123456789012</Account>"), "{}", identity.body);
    let scope = |service: &str| {
        format!(
            "authorization: AWS4-HMAC-SHA256 Credential=a/20261126/us-east-1/{service}/aws4_request, Signature=b\r\n"
        )
    };
    let unknown = form("Action=MakeCoffee", &scope("autoscaling"));
    assert!(unknown.status == 400 && unknown.body.contains("<Code>InvalidAction</Code>"), "{unknown:?}");
    assert!(unknown.body.starts_with("<?xml") && unknown.body.contains("<ErrorResponse xmlns="), "{unknown:?}");
    let ec2 = form("Action=MakeCoffee", &scope("ec2"));
    assert!(ec2.body.contains("<Response><Errors><Error><Code>InvalidAction</Code>"), "{ec2:?}");
    assert_eq!(form("nothing=asked", "").exception().0, "UnknownOperationException");
}

/// Clients that are slow on purpose are let go, and hold nobody up.
#[test]
fn slow_clients() {
    let times = |millis| Duration::from_millis(millis);
    let limits = Limits { header_time: times(300), body_time: times(300), ..Limits::default() };
    let served = Served::with(limits);
    let mut slow_heads: Vec<TcpStream> = (0..20).map(|_| served.connect()).collect();
    for stream in &mut slow_heads {
        stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nx-amz-ta").expect("the server listens");
    }
    let mut slow_body = served.connect();
    let whole = request("ListClusters", "{}     ", "");
    slow_body.write_all(&whole.as_bytes()[..whole.len() - 3]).expect("the server listens");
    assert_eq!(served.call("ListClusters", "{}").status, 200, "others are answered meanwhile");
    let answer = parse(&read_all(&mut slow_body));
    assert_eq!((answer.status, answer.exception().0.as_str()), (408, "RequestTimeout"));
    for stream in &mut slow_heads {
        let answer = read_all(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

/// Connections, requests and the memory that these hold are bounded, each with its answer.
#[test]
fn too_much_at_once() {
    let served = Served::with(Limits { connections: 4, ..Limits::default() });
    let mut held: Vec<TcpStream> = (0..4).map(|_| served.connect()).collect();
    for stream in &mut held {
        stream.write_all(b"POST").expect("the server listens");
    }
    let deadline = 200;
    let turned_away = (0..deadline).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        served.answers("").starts_with("HTTP/1.1 503")
    });
    assert!(turned_away, "the fifth connection has no place");
    drop(held);
    let is_served = (0..deadline).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        served.call("ListClusters", "{}").status == 200
    });
    assert!(is_served, "there is place again");

    for limits in [
        Limits { requests: 0, ..Limits::default() },
        Limits { all_body_bytes: 1024, body_bytes: 1 << 20, ..Limits::default() },
    ] {
        let answer = Served::with(limits).call("ListClusters", &" ".repeat(4000));
        assert_eq!((answer.status, answer.exception().0.as_str()), (503, "ThrottlingException"));
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    }
}

/// Issue: under 64 clients at once everybody is answered.
#[test]
fn sixty_four_clients() {
    let served = Served::with(Limits::default());
    served.call("CreateCluster", "{}");
    std::thread::scope(|scope| {
        for client in 0..64 {
            let served = &served;
            scope.spawn(move || {
                let mut stream = served.connect();
                for round in 0..10 {
                    let last = if round == 9 { "connection: close\r\n" } else { "" };
                    let body = r#"{"clusters": ["default"]}"#;
                    stream.write_all(request("DescribeClusters", body, last).as_bytes()).expect("the server listens");
                }
                let answers = read_all(&mut stream);
                assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 10, "client {client}: {answers}");
            });
        }
    });
}

/// A reset empties the state, where it is allowed.
#[test]
fn resets() {
    let served = Served::of(ServerOptions { reset: ResetRequests::Allowed, ..ServerOptions::default() });
    served.call("CreateCluster", "{}");
    let reset = "POST /_longshore/reset HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n";
    let page = served.ask(&format!("{reset}origin: http://evil.example\r\n\r\n"));
    assert_eq!((page.status, page.exception().0.as_str()), (403, "AccessDeniedException"));
    assert_eq!(served.call("ListClusters", "{}").json()["clusterArns"].as_array().map(Vec::len), Some(1));
    let done = served.ask(&format!("{reset}\r\n"));
    assert_eq!((done.status, done.json()), (200, json!({"reset": true})));
    assert_eq!(served.call("ListClusters", "{}").json()["clusterArns"], json!([]));
}

/// A server that stops answers what it has begun to read, and takes nothing more.
#[test]
fn it_stops_in_good_order() {
    let served = Served::with(Limits::default());
    let address = served.server.address();
    let mut idle = served.connect();
    let mut busy = served.connect();
    let whole = request("ListClusters", "{}     ", "");
    busy.write_all(&whole.as_bytes()[..whole.len() - 3]).expect("the server listens");
    std::thread::sleep(Duration::from_millis(200));
    let stopping = std::thread::spawn(move || served.server.stop());
    assert_eq!(read_all(&mut idle), "", "an idle connection is closed");
    busy.write_all(b"   ").expect("the request is still wanted");
    assert_eq!(parse(&read_all(&mut busy)).status, 200);
    stopping.join().expect("the server stops");
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

/// A port that is taken is said so; so is an address that others can reach when there are no keys.
#[test]
fn where_it_can_not_listen() {
    let served = Served::with(Limits::default());
    let start = |listen| {
        let options = ServerOptions { listen, ..ServerOptions::default() };
        Server::start(Arc::new(Account::new().api), options).expect_err("it can't listen there")
    };
    assert!(matches!(start(served.server.address()), ServeError::AddressTaken(_)));
    let everywhere = start(SocketAddr::from(([0, 0, 0, 0], 0)));
    assert!(everywhere.to_string().contains("--credentials"), "{everywhere}");
}
