//! The Rust SDK of AWS, against `longshore serve`.
//!
//! Its client is a package of its own, `tests/sdk`, whose dependencies are none of ours. It is built once, into a folder below the target
//! folder, and asserts for itself; here it is given a server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::api_clients::{Keys, Served};
use crate::command_line::cluster_file;
use crate::guests;

/// Runs a scenario of the client against a server.
#[track_caller]
fn run(scenario: &str, server: &Served) {
    let run = Command::new(client()).args([scenario, &server.endpoint]).output().expect("it was built");
    let [stdout, stderr] = [&run.stdout, &run.stderr].map(|output| String::from_utf8_lossy(output));
    assert!(run.status.success(), "{scenario} against {}: {}\n{stdout}{stderr}", server.endpoint, run.status);
}

/// The client.
///
/// # Panics
/// When it does not build.
fn client() -> &'static Path {
    static CLIENT: OnceLock<PathBuf> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
        let targets = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk");
        let mut command = guests::nested_cargo(&package);
        command.args(["build", "--locked", "--target-dir"]).arg(&targets);
        let output = command.output().unwrap_or_else(|error| panic!("cannot run cargo for tests/sdk: {error}"));
        assert!(
            output.status.success(),
            "tests/sdk, the client with the Rust SDK of AWS, does not build. The first time its dependencies come from crates.io; where \
             that can't be reached, `cargo test --all-features -- --skip api_sdk` tests everything else.\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        targets.join("debug/longshore-sdk-client")
    })
}

/// A server with the cluster and settings of a file, and ECS' delays shortened: a service that fails is to be seen failing. Images are
/// those of `workloads/images.toml`, but built before: no task of a test is to wait for that.
fn served(cluster: &str) -> Served {
    let shell = guests::wasip1("shell").display().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let file = cluster_file(
        folder.path(),
        &format!(
            r#"
            [settings]
            restart_delay_first = "50ms"
            healthy_after = "500ms"
            boot_time = "200ms"
            [images]
            "busybox" = {shell:?}
            "*/alpine" = {shell:?}
            "nginx" = {{ module = {shell:?}, command = ["nginx"] }}
            "httpd" = {{ module = {shell:?}, command = ["httpd-foreground"] }}
            {cluster}
            "#
        ),
    );
    // The file has been read when the server says where it is.
    Served::start(&[&file])
}

/// Tasks: run, waited for, stopped, described with their exit codes; calls that happen once; typed errors.
#[test]
fn tasks() {
    run("tasks", &served(""));
}

/// A service: created, stable, updated by a rolling deployment, broken and rolled back, scaled, deleted, inactive.
#[test]
fn services() {
    run("services", &served(""));
}

/// Instances of a capacity provider, of which one is drained; an instance from outside, whose agent the client is.
#[test]
fn capacity() {
    let server = served(
        r#"
        [cluster]
        name = "shop"
        [[capacity_provider]]
        name = "web"
        auto_scaling_group = { instance_type = "m7i.large", min_size = 2, max_size = 2 }
        [[task_definition]]
        family = "web"
        cpu = 256
        memory = 512
          [[task_definition.container]]
          name = "main"
          image = "nginx"
        [[service]]
        name = "web"
        task_definition = "web"
        desired_count = 2
        capacity_provider_strategy = [{ capacity_provider = "web", weight = 1 }]
        placement_strategy = [{ type = "spread", field = "instanceId" }]
        "#,
    );
    run("capacity", &server);
}

/// Signed requests, and those that are signed with a wrong secret or by nobody who is known.
#[test]
fn signatures() {
    let keys = Keys::write();
    run("signatures", &Served::start(&["--verify-signatures", "--credentials", &keys.file]));
}
