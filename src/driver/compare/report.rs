//! A comparison as a document: everything that the table shows, and what it leaves out.
//!
//! Money and quantities are numbers with all their decimals, as in a run's report.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measure::Latency;
use super::recommendation::{BreakEven, Choice};
use super::sizing::{SizeAdvice, TaskSize};
use super::variants::{Capacity, Sizing};
use super::{Comparison, LeftOut, Row};
use crate::driver::report::{BillReport, Decimal, bill_report, decimal};
use crate::model::units::{Duration, NanoUsd};

/// A comparison.
#[derive(Clone, Debug, Serialize)]
pub struct ComparisonReport {
    /// The cluster's name.
    pub cluster: String,
    /// The region whose prices apply.
    pub region: String,
    /// Its seed.
    pub seed: u64,
    /// The time that was simulated of each variant.
    pub simulated_seconds: Decimal,
    /// How much slower than the fastest the recommended variant may be at the 99th percentile.
    pub p99_tolerance_percent: u32,
    /// What to take; null when no variant does.
    pub recommendation: Option<RecommendationReport>,
    /// When EC2 becomes cheaper.
    pub break_even: Option<BreakEvenReport>,
    /// Side by side.
    pub variants: Vec<VariantReport>,
    /// What the tasks used and which size they need.
    pub sizes: Vec<SizeReport>,
    /// What was not tried.
    pub left_out: Vec<LeftOutReport>,
    /// What is not as the file says.
    pub notes: Vec<String>,
}

/// What to take.
#[derive(Clone, Debug, Serialize)]
pub struct RecommendationReport {
    /// The cheapest.
    pub cheapest: ChoiceReport,
    /// The cheapest when tasks must not be interrupted, where the other one is on Spot.
    pub without_interruptions: Option<ChoiceReport>,
}

/// A variant and why it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ChoiceReport {
    pub variant: String,
    pub reason: String,
}

/// When EC2 becomes cheaper than Fargate.
#[derive(Clone, Debug, Serialize)]
pub struct BreakEvenReport {
    /// The variant on EC2.
    pub ec2: String,
    /// The variant on Fargate.
    pub fargate: String,
    /// How much of the instances was reserved by tasks.
    pub reserved_percent: Decimal,
    /// From where on EC2 is cheaper; beyond 100 it never is.
    pub needed_percent: Decimal,
    /// The same in words.
    pub text: String,
}

/// A variant.
#[derive(Clone, Debug, Serialize)]
pub struct VariantReport {
    /// What people call it.
    pub name: String,
    /// `FARGATE`, `FARGATE_SPOT` or `EC2`.
    pub capacity: &'static str,
    /// On EC2.
    pub instance_type: Option<String>,
    /// `AS_WRITTEN` or `RIGHT_SIZED`.
    pub sizing: &'static str,
    /// Why it is not recommended whatever it costs.
    pub objection: Option<String>,
    /// What it costs.
    pub cost: VariantCost,
    /// Its tasks.
    pub tasks: TaskCounts,
    /// Jobs of all services.
    pub jobs: JobCountsReport,
    /// How long jobs of all services took; null without any.
    pub latency_seconds: Option<LatencyReport>,
    /// The same by service.
    pub latency_seconds_by_service: BTreeMap<String, LatencyReport>,
    /// Used of paid CPU.
    pub cpu_used_percent: Option<Decimal>,
    /// Used of paid memory.
    pub memory_used_percent: Option<Decimal>,
    /// What was paid for and not used.
    pub wasted: Decimal,
    /// The most instances at once.
    pub instances_peak: u64,
    /// What a task reserves, by family.
    pub task_sizes: BTreeMap<String, TaskSizeReport>,
    /// The bill.
    pub bill: BillReport,
}

/// What a variant costs, in dollars.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct VariantCost {
    pub simulated: Decimal,
    pub per_24_hours: Decimal,
    pub per_730_hours: Decimal,
}

/// The tasks of a variant.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TaskCounts {
    pub placed: u64,
    pub unplaced: u64,
    pub peak: u64,
}

/// Jobs, counted.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobCountsReport {
    pub pushed: u64,
    pub completed: u64,
    pub rejected: u64,
    pub lost: u64,
}

/// How long jobs took.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LatencyReport {
    pub p50: Decimal,
    pub p95: Decimal,
    pub p99: Decimal,
}

/// CPU units and MiB of a task.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TaskSizeReport {
    pub cpu: u32,
    pub memory: u32,
}

/// Which size the tasks of a definition need.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SizeReport {
    pub family: String,
    pub written: TaskSizeReport,
    pub written_on_fargate: Option<TaskSizeReport>,
    pub cpu_units_p99: u32,
    pub memory_mib_peak: u64,
    pub needed: TaskSizeReport,
    pub needed_on_fargate: Option<TaskSizeReport>,
}

/// What was not tried.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LeftOutReport {
    pub capacity: String,
    pub reason: String,
}

impl ComparisonReport {
    /// The document of a comparison.
    pub fn of(comparison: &Comparison) -> ComparisonReport {
        let rows = &comparison.rows;
        let choice =
            |choice: &Choice| ChoiceReport { variant: rows[choice.row].variant.name(), reason: choice.reason.clone() };
        let recommendation = comparison.recommendation.as_ref();
        ComparisonReport {
            cluster: comparison.cluster.clone(),
            region: comparison.region.clone(),
            seed: comparison.seed,
            simulated_seconds: seconds(comparison.time),
            p99_tolerance_percent: comparison.p99_tolerance_percent,
            recommendation: recommendation.map(|recommendation| RecommendationReport {
                cheapest: choice(&recommendation.cheapest),
                without_interruptions: recommendation.without_interruptions.as_ref().map(choice),
            }),
            break_even: recommendation
                .and_then(|recommendation| recommendation.break_even.as_ref())
                .map(|break_even| break_even_report(break_even, rows)),
            variants: rows.iter().map(variant_report).collect(),
            sizes: comparison.sizes.iter().map(size_report).collect(),
            left_out: comparison.left_out.iter().map(left_out_report).collect(),
            notes: comparison.notes.clone(),
        }
    }
}

fn break_even_report(break_even: &BreakEven, rows: &[Row]) -> BreakEvenReport {
    BreakEvenReport {
        ec2: rows[break_even.ec2].variant.name(),
        fargate: rows[break_even.fargate].variant.name(),
        reserved_percent: percent(break_even.filled_permille),
        needed_percent: percent(break_even.needed_permille),
        text: break_even.text(rows),
    }
}

fn variant_report(row: &Row) -> VariantReport {
    let (variant, measured) = (&row.variant, &row.measured);
    let (capacity, instance_type) = match &variant.capacity {
        Capacity::Fargate => ("FARGATE", None),
        Capacity::FargateSpot => ("FARGATE_SPOT", None),
        Capacity::Ec2(instance_type) => ("EC2", Some(instance_type.name.clone())),
    };
    let waste = measured.bill.waste.total();
    let jobs = measured.jobs;
    VariantReport {
        name: variant.name(),
        capacity,
        instance_type,
        sizing: match variant.sizing {
            Sizing::AsWritten => "AS_WRITTEN",
            Sizing::RightSized => "RIGHT_SIZED",
        },
        objection: row.objection.as_ref().map(ToString::to_string),
        cost: VariantCost {
            simulated: money(measured.bill.total),
            per_24_hours: money(measured.per_day),
            per_730_hours: money(measured.per_month),
        },
        tasks: TaskCounts { placed: measured.placed, unplaced: measured.unplaced, peak: measured.tasks_peak },
        jobs: JobCountsReport {
            pushed: jobs.pushed,
            completed: jobs.completed,
            rejected: jobs.rejected,
            lost: jobs.lost,
        },
        latency_seconds: measured.latency.map(latency_report),
        latency_seconds_by_service: measured
            .latency_by_service
            .iter()
            .map(|(service, latency)| (service.clone(), latency_report(*latency)))
            .collect(),
        cpu_used_percent: waste.vcpu_used_permille().map(|permille| percent(permille.into())),
        memory_used_percent: waste.memory_used_permille().map(|permille| percent(permille.into())),
        wasted: money(waste.wasted()),
        instances_peak: measured.instances_peak,
        task_sizes: variant.task_sizes().into_iter().map(|(family, size)| (family, task_size(size))).collect(),
        bill: bill_report(&measured.bill),
    }
}

fn latency_report(latency: Latency) -> LatencyReport {
    LatencyReport { p50: seconds(latency.p50), p95: seconds(latency.p95), p99: seconds(latency.p99) }
}

fn size_report(advice: &SizeAdvice) -> SizeReport {
    SizeReport {
        family: advice.family.clone(),
        written: task_size(advice.written),
        written_on_fargate: advice.written_on_fargate.map(task_size),
        cpu_units_p99: advice.cpu_units_p99,
        memory_mib_peak: advice.memory_mib_peak,
        needed: task_size(advice.needed),
        needed_on_fargate: advice.needed_on_fargate.map(task_size),
    }
}

fn left_out_report(left_out: &LeftOut) -> LeftOutReport {
    LeftOutReport { capacity: left_out.capacity.clone(), reason: left_out.reason.clone() }
}

fn task_size(size: TaskSize) -> TaskSizeReport {
    TaskSizeReport { cpu: size.cpu.0, memory: size.memory.0 }
}

fn money(amount: NanoUsd) -> Decimal {
    decimal(amount.to_string())
}

fn percent(permille: u64) -> Decimal {
    decimal(format!("{}.{}", permille / 10, permille % 10))
}

fn seconds(time: Duration) -> Decimal {
    decimal(format!("{}.{:09}", time.as_secs(), time.subsec_nanos()))
}
