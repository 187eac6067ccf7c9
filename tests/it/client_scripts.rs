//! What clients that others wrote see of tasks, services and capacity that run: boto3, the command line of AWS, `ecs-deploy`; and
//! botocore's model of the API, held against every operation.
//!
//! Each script of `tests/clients` has a server of its own, with ECS' periods shortened and the images that come along.

use serde_json::Value;

use crate::api_clients::Served;
use crate::command_line::cluster_file;
use crate::guests;

/// What every cluster of the server begins with.
const SOONER: &str = r#"
[cluster]
name = "of-the-file"

[settings]
restart_delay_first = "50ms"
restart_delay_max = "1s"
healthy_after = "500ms"
boot_time = "500ms"
metric_period = "1s"
usage_period = "500ms"
"#;

/// Runs a script and returns what it prints.
#[track_caller]
fn run(script: &str) -> String {
    // The server would build it, too, in the time of a task.
    guests::wasip1("shell");
    let folder = tempfile::tempdir().expect("a folder");
    let file = cluster_file(folder.path(), SOONER);
    let images = guests::folder().display().to_string();
    Served::start(&[&file, "--images", &images]).run_script(script)
}

/// ecs-semantics §2, §11.3: register, run, wait, describe, exit codes, stop; idempotency, pages, tags; regions apart.
#[test]
fn tasks() {
    run("tasks");
}

/// ecs-semantics §5, §7: stable, rolled, broken and rolled back or FAILED, scaled, protected; task sets; ended.
#[test]
fn services() {
    run("services");
}

/// ecs-semantics §3, §6, §9: a launch template, a group, a provider, tasks on instances, draining, RunInstances.
#[test]
fn capacity() {
    run("capacity");
}

/// The command line, as people type it.
#[test]
fn command_line() {
    run("command_line");
}

/// `ecs-deploy` from PyPI: deploy, scale, run, update, diff.
#[test]
fn deployer() {
    run("deployer");
}

/// 64 clients at once are answered, all of them.
#[test]
fn crowd() {
    run("crowd");
}

/// ecs-semantics §11: every operation answers, and what breaks a constraint of botocore's model is refused by a modelled error that
/// names the member, in JSON and in the forms of EC2's protocols, as far as a form can break it. The numbers are those of the model that `requirements.txt` pins; a later one may have more.
#[test]
fn model() {
    let printed = run("model");
    let counted: Value = printed.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect("its sums");
    for (service, operations, violations) in [
        ("ecs", 61, 4_900),
        ("application-autoscaling", 14, 980),
        ("autoscaling", 15, 1_100),
        ("ec2", 11, 1_500),
        ("sts", 1, 0),
    ] {
        let sums = &counted[service];
        let at_least = |name: &str, least: u64| {
            let found = sums[name].as_u64().unwrap_or_default();
            assert!(found >= least, "{service}: {name} {found}, at least {least}: {printed}");
        };
        at_least("operations", operations);
        // ExecuteCommand, a forecast and an instance that is not there are refused, as they have to be.
        at_least("succeeded", operations - 1);
        at_least("violations", violations);
        assert_eq!(sums["caught"], sums["violations"], "{printed}");
    }
}
