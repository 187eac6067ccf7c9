//! `compare`: cluster files in, what they cost on Fargate, Fargate Spot and EC2 out.

use std::ops::ControlFlow;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::compare::recommendation::Objection;
use longshore::driver::compare::report::ComparisonReport;
use longshore::driver::compare::variants::Capacity;
use longshore::driver::compare::{CompareError, CompareOptions, Comparison, Row, compare};
use longshore::model::cluster::ClusterSpec;
use serde_json::Value;

fn spec(text: &str) -> ClusterSpec {
    let file = ClusterFile::parse(text, "cluster.toml", &Catalog::embedded());
    file.unwrap_or_else(|errors| panic!("{errors}"))
}

fn compared(text: &str) -> Comparison {
    let options = CompareOptions::default();
    compare(&spec(text), &options, |_| ControlFlow::Continue(())).unwrap_or_else(|error| panic!("{error}"))
}

fn document(comparison: &Comparison) -> Value {
    serde_json::to_value(ComparisonReport::of(comparison)).expect("a report is plain data")
}

#[track_caller]
fn row<'a>(comparison: &'a Comparison, name: &str) -> &'a Row {
    let found = comparison.rows.iter().find(|row| row.variant.name() == name);
    found.unwrap_or_else(|| {
        let names: Vec<String> = comparison.rows.iter().map(|row| row.variant.name()).collect();
        panic!("{name} is not among {names:?}")
    })
}

/// The name of the cheapest variant that places everything, of those without interruptions.
fn cheapest_uninterrupted(comparison: &Comparison) -> String {
    let recommendation = comparison.recommendation.as_ref().expect("something is recommended");
    let choice = recommendation.without_interruptions.as_ref().unwrap_or(&recommendation.cheapest);
    comparison.rows[choice.row].variant.name()
}

/// So many tasks all day that use all of their CPU and most of their memory.
fn steady(count: u32) -> String {
    format!(
        r#"
[cluster]
name = "steady"
[settings]
run_for = "24h"
boot_time = "30s"
[[task_definition]]
family = "worker"
cpu = "1024"
memory = "2048"
requires_compatibilities = ["FARGATE"]
  [task_definition.simulation]
  cpu = 1024
  memory = 1700
  [[task_definition.container]]
  name = "main"
[[service]]
name = "worker"
task_definition = "worker"
desired_count = {count}
launch_type = "FARGATE"
"#
    )
}

/// A file that says when Spot is taken back has no interruptions by chance: here, after the end.
const NOT_INTERRUPTED: &str = "[[fault]]\nkind = \"SPOT_INTERRUPTION\"\nat = \"48h\"\n";

/// Claim: tasks on Spot are taken back by chance, once in two days each, and replaced. Method: forty tasks for a day; by another seed
/// others.
#[test]
fn spot_tasks_are_taken_back() {
    let mut started = Vec::new();
    for seed in [1, 2] {
        let text = steady(40).replace("[settings]", &format!("[settings]\nseed = {seed}"));
        let comparison = compared(&text);
        let spot = &row(&comparison, "Fargate Spot").measured;
        assert!((50..=75).contains(&spot.placed), "{} tasks", spot.placed);
        assert_eq!((spot.unplaced, row(&comparison, "Fargate").measured.placed), (0, 40));
        started.push((spot.placed, spot.bill.total));
    }
    assert_ne!(started[0], started[1]);
}

/// Claim: costs are what the catalog's rates make them, to the nano-dollar. Method: eight tasks of 1 vCPU and 2 GB for a day.
#[test]
fn costs_are_those_of_a_sum_by_hand() {
    let comparison = compared(&format!("{}{NOT_INTERRUPTED}", steady(8)));
    let cost = |name: &str| row(&comparison, name).measured.bill.total.0;
    // 8 tasks, 24 h, and the rates of us-east-1 in nano-dollars: $0.04048 a vCPU-hour, $0.004445 a GB-hour.
    assert_eq!(cost("Fargate"), 8 * 24 * (40_480_000 + 2 * 4_445_000));
    // $0.01288561 and $0.00141493.
    assert_eq!(cost("Fargate Spot"), 8 * 24 * (12_885_610 + 2 * 1_414_930));
    // Two tasks fill one of 2 vCPUs and 4 GiB: four of them, from 30 s after the start to the end, at $0.08479 an hour.
    let ec2 = row(&comparison, "EC2 c7i-flex.large");
    assert_eq!(cost("EC2 c7i-flex.large"), (4 * (86_400 - 30) * 84_790_000 + 1800) / 3600);
    assert_eq!((ec2.measured.instances_peak, ec2.measured.placed, ec2.measured.unplaced), (4, 8, 0));
    assert_eq!(ec2.measured.per_day, ec2.measured.bill.total);
    assert_eq!(ec2.measured.per_month.0, (ec2.measured.bill.total.0 * 730 + 12) / 24);
    let fargate = &row(&comparison, "Fargate").measured;
    assert_eq!(fargate.bill.waste.total().vcpu_used_permille(), Some(1000));
    assert_eq!(fargate.bill.waste.total().memory_used_permille(), Some(830));
}

/// A batch of short tasks every two hours.
fn bursty() -> String {
    let mut text = steady(0);
    text.truncate(text.find("[[service]]").expect("there is one"));
    text = text.replace("  memory = 1700", "  memory = 1700\n  duration = \"3m\"");
    for hour in (0..24).step_by(2) {
        text += &format!(
            "[[run_task]]\ntask_definition = \"worker\"\nlaunch_type = \"FARGATE\"\ncount = 20\nat = \"{hour}h\"\n"
        );
    }
    text
}

/// Claim: what runs all day is cheaper on EC2, what runs in bursts on Fargate, and the break-even says which. Method: the same tasks both ways.
#[test]
fn steady_work_belongs_on_ec2_and_bursts_on_fargate() {
    let steady = compared(&steady(8));
    assert_eq!(cheapest_uninterrupted(&steady), "EC2 c7i-flex.large");
    let bursty = compared(&bursty());
    assert_eq!(cheapest_uninterrupted(&bursty), "Fargate");
    for (comparison, is_ec2_cheaper) in [(&steady, true), (&bursty, false)] {
        let recommendation = comparison.recommendation.as_ref().expect("something is recommended");
        let cheapest = &comparison.rows[recommendation.cheapest.row];
        assert_eq!(cheapest.variant.capacity, Capacity::FargateSpot, "Spot is always less");
        let break_even = recommendation.break_even.as_ref().expect("both were tried");
        assert_eq!(break_even.filled_permille > break_even.needed_permille, is_ec2_cheaper, "{break_even:?}");
        assert!(comparison.rows.iter().all(|row| row.measured.unplaced == 0));
    }
    let placed: Vec<u64> = bursty.rows.iter().map(|row| row.measured.placed).collect();
    assert!(placed.iter().all(|placed| *placed == 12 * 20), "{placed:?}");
    // Full all day: $0.33916 an hour for what is $0.39496 on Fargate.
    let needed =
        steady.recommendation.and_then(|recommendation| recommendation.break_even).map(|even| even.needed_permille);
    assert!(needed.is_some_and(|needed| (855..=860).contains(&needed)), "{needed:?}");
}

/// A service whose load comes and goes, with tasks that are larger than they need to be.
const SERVICE: &str = r#"
[cluster]
name = "service"
[settings]
seed = 7
run_for = "90m"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 6 }
managed_scaling = { target_capacity = 100 }
[[task_definition]]
family = "web"
memory = "3000"
  [task_definition.simulation]
  cold_start = "2s"
  job_cpu = { exponential = { mean = "40ms" } }
  memory = { log_normal = { mean = 300, sigma = 0.2 } }
  [[task_definition.container]]
  name = "main"
  cpu = 1024
[[service]]
name = "web"
task_definition = "web"
desired_count = 4
[[load]]
service = "web"
job = "x"
arrivals = "poisson"
steps = [{ at = "0s", jobs_per_second = 5 }, { at = "30m", jobs_per_second = 20 }, { at = "1h", jobs_per_second = 5 }]
"#;

/// Claim: tasks that are too large are seen, and what they cost with the size that they need. Method: 1 vCPU and 3,000 MiB for tasks that
/// use a fifth of the one and an eighth of the other.
#[test]
fn sizes_are_those_that_tasks_need() {
    let comparison = compared(SERVICE);
    let advice = &comparison.sizes[0];
    assert_eq!(advice.written_on_fargate.map(|size| (size.cpu.0, size.memory.0)), Some((1024, 3072)));
    assert!((200..400).contains(&advice.cpu_units_p99), "{advice:?}");
    assert!((300..700).contains(&advice.memory_mib_peak), "{advice:?}");
    assert!(advice.needed.memory.0 >= 32 && u64::from(advice.needed.memory.0) * 10 >= advice.memory_mib_peak * 12);
    assert_eq!(advice.needed_on_fargate.map(|size| size.cpu.0), Some(512));
    for name in ["Fargate", "Fargate Spot"] {
        let (written, fitted) = (row(&comparison, name), row(&comparison, &format!("{name} (right-sized)")));
        assert!(fitted.measured.bill.total < written.measured.bill.total);
        assert!(fitted.measured.bill.waste.total().wasted() < written.measured.bill.waste.total().wasted());
        assert!(
            fitted.measured.latency.map(|latency| latency.p99) > written.measured.latency.map(|latency| latency.p99)
        );
    }
    assert!(comparison.notes.iter().any(|note| note.contains("memory 3000, which is 1024 and 3072 on Fargate")));
}

/// Claim: the same file and seed give the same document, and its members are there.
#[test]
fn the_document_is_the_same_every_time() {
    let first = document(&compared(SERVICE));
    assert_eq!(first, document(&compared(SERVICE)));
    let other = document(&compared(&SERVICE.replace("seed = 7", "seed = 8")));
    assert_ne!(first["variants"], other["variants"]);
    let variant = &first["variants"][0];
    assert_eq!(
        (&variant["name"], &variant["capacity"], &variant["sizing"]),
        (&"Fargate".into(), &"FARGATE".into(), &"AS_WRITTEN".into())
    );
    assert_eq!(variant["task_sizes"]["web"], serde_json::json!({ "cpu": 1024, "memory": 3072 }));
    assert!(variant["cost"]["per_24_hours"].is_number() && variant["bill"]["lines"].is_array());
    assert!(variant["latency_seconds"]["p99"].is_number() && variant["jobs"]["completed"].is_number());
    assert!(first["recommendation"]["cheapest"]["reason"].is_string() && first["break_even"]["text"].is_string());
    assert_eq!(first["simulated_seconds"].as_f64(), Some(5400.0));
}

/// Claim: what cannot be somewhere is said, and not tried there. Method: a task with a folder of the host, one for no size of Fargate,
/// one for no instance type, and both.
#[test]
fn what_does_not_fit_is_said() {
    let task = |cpu: u32, memory: u32, rest: &str| {
        steady(1)
            .replace("cpu = \"1024\"\nmemory = \"2048\"", &format!("cpu = \"{cpu}\"\nmemory = \"{memory}\"\n{rest}"))
            .replace("requires_compatibilities = [\"FARGATE\"]", "")
            .replace("launch_type = \"FARGATE\"", "launch_type = \"EC2\"")
            + "[[container_instance]]\ninstance_type = \"m7i.24xlarge\"\n"
    };
    let said = |comparison: &Comparison| -> Vec<String> {
        comparison.left_out.iter().map(|left_out| format!("{}: {}", left_out.capacity, left_out.reason)).collect()
    };
    let host = compared(&task(1024, 2048, "volumes = [{ name = \"data\", host = { source_path = \".\" } }]"));
    let reason = "volume data of task definition worker is a folder of the host, which tasks on Fargate do not see";
    assert_eq!(said(&host), [format!("Fargate: {reason}"), format!("Fargate Spot: {reason}")]);
    assert!(cheapest_uninterrupted(&host).starts_with("EC2 m7a.medium"));
    // What they use is not known when types are chosen: it is paid for.
    let burstable = &row(&host, "EC2 t3a.medium").measured.bill.lines;
    assert!(burstable.iter().any(|line| line.usage_type == "CPUCredits:t3a"), "{burstable:?}");
    assert!(host.recommendation.is_some_and(|recommendation| recommendation.break_even.is_none()));
    let large = compared(&task(65_536, 262_144, ""));
    assert!(
        said(&large)[0].contains("needs cpu 65536 and memory 262144, which no size of Fargate has"),
        "{:?}",
        said(&large)
    );
}

/// Claim: a cluster without anything that can move is refused, and what stays is said. Method: a DAEMON service alone and beside another.
#[test]
fn daemons_stay() {
    let daemon = r#"
[[container_instance]]
instance_type = "m7i.large"
[[task_definition]]
family = "agent"
memory = "256"
  [task_definition.simulation]
  memory = 100
  [[task_definition.container]]
  name = "main"
  cpu = 128
[[service]]
name = "agent"
task_definition = "agent"
launch_type = "EC2"
scheduling_strategy = "DAEMON"
"#;
    let alone = format!("[cluster]\nname = \"alone\"\n{daemon}");
    let error =
        compare(&spec(&alone), &CompareOptions::default(), |_| ControlFlow::Continue(())).expect_err("nothing moves");
    assert_eq!(
        error.to_string(),
        "there is nothing to compare: DAEMON services run on EC2 only, and the cluster has no other service and no run_task"
    );
    let comparison = compared(&format!("{}{daemon}", steady(2)));
    assert!(
        comparison.notes[0].starts_with("service agent is a DAEMON, which ECS has on EC2 only"),
        "{:?}",
        comparison.notes
    );
    // The instance of the file is paid for beside Fargate: $0.1008 an hour.
    let fargate = &row(&comparison, "Fargate").measured;
    let lines: Vec<&str> = fargate.bill.lines.iter().map(|line| line.usage_type.as_str()).collect();
    assert!(lines.contains(&"BoxUsage:m7i.large") && lines.contains(&"USE1-Fargate-GB-Hours"), "{lines:?}");
    // On EC2 there is one on each instance, which leaves room for one task of 1 vCPU on a type of two.
    let ec2: Vec<&Row> =
        comparison.rows.iter().filter(|row| matches!(row.variant.capacity, Capacity::Ec2(_))).collect();
    assert!(ec2.iter().all(|row| row.measured.unplaced == 0 && row.measured.placed == 2 + row.measured.instances_peak));
}

/// Claim: whoever watches is told of every variant, and may end it. Method: count the steps; break at the first.
#[test]
fn a_comparison_can_be_watched_and_ended() {
    let mut seen: Vec<(usize, String)> = Vec::new();
    let comparison = compare(&spec(&steady(1)), &CompareOptions::default(), |step| {
        assert!(step.number <= step.count && step.of.as_secs() == 86_400);
        let name = step.variant.name();
        if seen.last().is_none_or(|(_, last)| *last != name) {
            seen.push((step.number, name));
        }
        ControlFlow::Continue(())
    });
    let rows = comparison.expect("it is not ended").rows;
    let names: Vec<(usize, String)> =
        rows.iter().enumerate().map(|(index, row)| (index + 1, row.variant.name())).collect();
    assert_eq!(seen, names);
    let ended = compare(&spec(&steady(1)), &CompareOptions::default(), |_| ControlFlow::Break(()));
    assert!(matches!(ended, Err(CompareError::Ended)));
}

/// Claim: who may be how much slower decides. Method: none slower than the fastest, then anything.
#[test]
fn the_tolerance_decides() {
    let with = |p99_tolerance_percent| {
        let options = CompareOptions { p99_tolerance_percent, ..CompareOptions::default() };
        compare(&spec(SERVICE), &options, |_| ControlFlow::Continue(())).unwrap_or_else(|error| panic!("{error}"))
    };
    let p99 = |row: &Row| row.measured.latency.map(|latency| latency.p99);
    let strict = with(0);
    let chosen = strict.recommendation.as_ref().map(|recommendation| &strict.rows[recommendation.cheapest.row]);
    assert_eq!(chosen.and_then(p99), strict.rows.iter().filter_map(p99).min());
    assert!(strict.rows.iter().any(|row| matches!(row.objection, Some(Objection::Slow { .. }))));
    let lax = with(u32::MAX);
    let chosen =
        lax.recommendation.as_ref().map(|recommendation| lax.rows[recommendation.cheapest.row].measured.bill.total);
    assert_eq!(chosen, lax.rows.iter().map(|row| row.measured.bill.total).min());
    let objections: Vec<String> =
        lax.rows.iter().filter_map(|row| row.objection.as_ref()).map(ToString::to_string).collect();
    assert!(objections.is_empty(), "{objections:?}");
}

/// Claim: a row whose tasks find no place is never recommended. Method: a constraint that no tried type meets.
#[test]
fn unplaced_tasks_are_an_objection() {
    let text = SERVICE
        .replace("m7i.large", "m7i.48xlarge")
        .replace("desired_count = 4", "desired_count = 4\nplacement_constraints = [{ type = \"memberOf\", expression = \"attribute:ecs.instance-type == m7i.48xlarge\" }]");
    let comparison = compared(&text);
    for row in comparison.rows.iter().filter(|row| matches!(row.variant.capacity, Capacity::Ec2(_))) {
        assert_eq!((row.measured.placed, &row.objection), (0, &Some(Objection::Unplaced(4))));
    }
    let recommendation = comparison.recommendation.expect("Fargate takes them");
    assert!(recommendation.break_even.is_none() && recommendation.without_interruptions.is_some());
}

/// Claim: the architecture is the tasks'. Method: tasks for ARM are tried on its types, and priced so on Fargate.
#[test]
fn types_are_of_the_tasks_architecture() {
    let arm = "family = \"worker\"\nruntime_platform = { cpu_architecture = \"ARM64\" }";
    let comparison = compared(&steady(2).replace("family = \"worker\"", arm));
    let names: Vec<String> = comparison.rows.iter().map(|row| row.variant.name()).collect();
    assert!(names.iter().filter(|name| name.starts_with("EC2")).all(|name| name.contains("g.")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("EC2 c7g")), "{names:?}");
    assert_eq!(row(&comparison, "Fargate").measured.bill.total.0, 2 * 24 * (32_380_000 + 2 * 3_560_000));
}
