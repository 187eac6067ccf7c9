//! What is left of a run: one document of tasks, services, instances and the bill, for programs.
//!
//! Names and values are ECS'. Amounts of money and quantities are exact decimal numbers: read them as decimals where the last digit
//! matters. Times are ISO 8601 in UTC.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::capacity_report::{self, CapacityProviderReport, CpuCreditsReport, InstanceWaitReport};
use super::scaling_report::{self, AlarmReport, MetricReport, ScalableTargetReport};
use super::service_deployment_report::{ServiceDeploymentReport, service_deployment_reports};
use super::simulated::report::SimulationReport;
use super::snapshot::Snapshot;
use crate::control_plane::state::{Deployment, Service, TaskRecord};
use crate::control_plane::targets::{Registration, Target};
use crate::metering::bill::{Bill, BillLine, CostAndUse, PaidAndUsed};
use crate::metering::meter::UsageRecord;
use crate::metering::quantity::Quantity;
use crate::model::capacity::{AgentConnection, ContainerInstance};
use crate::model::ids::TaskId;
use crate::model::job::{DeploymentJobs, JobsByDeployment};
use crate::model::task_set::TaskSetDescription;
use crate::model::units::{NanoUsd, Timestamp, VcpuNanos};

/// A decimal number of any precision, written as it is.
pub(super) type Decimal = Box<RawValue>;

/// A cluster and its bill at one moment.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are the document's own names, explained by ECS' reference")]
pub struct Report {
    pub cluster: String,
    pub region: String,
    pub seed: u64,
    pub started_at: String,
    pub ended_at: String,
    pub seconds: Decimal,
    /// CPU that the host delivered of what was promised while tasks had use for it, in vCPU-seconds.
    pub delivery: DeliveryReport,
    /// The 99th percentile of how late the control loop's timers were.
    pub timer_lateness_seconds_p99: Decimal,
    /// Tasks in the order of their creation. Those that stopped long ago or beyond the limit are only counted.
    pub tasks: Vec<TaskReport>,
    pub stopped_tasks_count: u64,
    pub services: Vec<ServiceReport>,
    pub container_instances: Vec<ContainerInstanceReport>,
    pub capacity_providers: Vec<CapacityProviderReport>,
    /// Services that are scaled, and then those that were, with what was done.
    pub scalable_targets: Vec<ScalableTargetReport>,
    pub alarms: Vec<AlarmReport>,
    /// Every metric with its last datapoint.
    pub metrics: Vec<MetricReport>,
    pub bill: BillReport,
    /// What a simulation says beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulation: Option<SimulationReport>,
    /// How long the simulation took on this host: all that is not the same every time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostReport>,
}

/// What simulating took.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct HostReport {
    pub wall_seconds: f64,
}

/// What was promised and delivered.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeliveryReport {
    pub vcpu_seconds_promised: Decimal,
    pub vcpu_seconds_delivered: Decimal,
}

/// A task.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct TaskReport {
    pub id: String,
    pub family: String,
    pub revision: u32,
    pub group: String,
    pub started_by: Option<String>,
    pub launch_type: &'static str,
    pub capacity_provider: Option<String>,
    pub container_instance: Option<String>,
    pub availability_zone: Option<String>,
    pub cpu: u32,
    pub memory: u32,
    pub desired_status: &'static str,
    pub last_status: &'static str,
    pub stop_code: Option<&'static str>,
    pub stopped_reason: Option<String>,
    pub created_at: String,
    pub pull_started_at: Option<String>,
    pub pull_stopped_at: Option<String>,
    pub started_at: Option<String>,
    pub stopping_at: Option<String>,
    pub stopped_at: Option<String>,
    pub containers: Vec<ContainerReport>,
    /// Its targets in target groups, while it is in some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetReport>,
    pub tags: BTreeMap<String, String>,
    /// Seconds that the task itself is billed for; null on EC2, where the instance is billed.
    pub billed_seconds: Option<u64>,
    /// What the task costs: its size on Fargate, its share of its instance on EC2.
    pub cost: Option<Decimal>,
    pub vcpu_seconds_used: Decimal,
    pub cpu_seconds: Decimal,
    pub fuel: u64,
    pub memory_mib_peak: Decimal,
}

/// A task in a target group.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ELB's names")]
pub struct TargetReport {
    pub target_group: String,
    pub state: &'static str,
    pub reason: Option<&'static str>,
    pub description: Option<&'static str>,
}

/// A container of a task.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ContainerReport {
    pub name: String,
    pub image: String,
    pub image_digest: Option<String>,
    pub last_status: &'static str,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub health_status: &'static str,
    pub restart_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpu_ids: Vec<String>,
}

/// A service.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ServiceReport {
    pub name: String,
    pub status: &'static str,
    pub desired_count: u32,
    pub running_count: u32,
    pub pending_count: u32,
    pub deployment_controller: &'static str,
    pub deployments: Vec<DeploymentReport>,
    /// Of a service whose deployments are not its own.
    pub task_sets: Vec<TaskSetReport>,
    /// The last ones that it had, as they were when they were deleted, with the service if not before.
    pub deleted_task_sets: Vec<TaskSetReport>,
    /// What it was to become and how that went, oldest first.
    pub service_deployments: Vec<ServiceDeploymentReport>,
    pub events: Vec<ServiceEventReport>,
    /// Jobs, where the service has load.
    pub jobs: Option<JobReport>,
}

/// A deployment of a service.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct DeploymentReport {
    pub id: String,
    pub status: &'static str,
    pub task_definition: String,
    pub rollout_state: &'static str,
    pub running_count: u32,
    pub pending_count: u32,
    pub failed_tasks: u32,
}

/// A task set of a service.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct TaskSetReport {
    pub id: String,
    pub external_id: Option<String>,
    pub status: &'static str,
    pub task_definition: String,
    /// In percent.
    pub scale: String,
    pub computed_desired_count: u32,
    pub running_count: u32,
    pub pending_count: u32,
    pub stability_status: &'static str,
    pub stability_status_at: String,
    pub created_at: String,
}

/// A service event.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ServiceEventReport {
    pub created_at: String,
    pub message: String,
}

/// Jobs of a service.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobReport {
    pub pushed: u64,
    pub completed: u64,
    pub queued: u64,
    pub rejected: u64,
    pub lost: u64,
    pub latency_seconds_p50: Decimal,
    pub latency_seconds_p99: Decimal,
    pub by_deployment: Vec<DeploymentJobsReport>,
}

/// Jobs that the tasks of a deployment, or of a task set, took.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeploymentJobsReport {
    pub deployment: String,
    /// Null when the deployment is not known any more.
    pub task_definition: Option<String>,
    pub completed: u64,
    /// Of test traffic.
    pub completed_test: u64,
    /// Times that a task died of a job.
    pub died: u64,
}

/// A container instance.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ContainerInstanceReport {
    pub id: String,
    pub ec2_instance_id: String,
    pub instance_type: String,
    pub availability_zone: String,
    pub capacity_provider: Option<String>,
    pub status: &'static str,
    pub agent_connected: bool,
    pub lifecycle_state: &'static str,
    pub waits: Vec<InstanceWaitReport>,
    pub registered_cpu: u32,
    pub registered_memory: u32,
    pub remaining_cpu: u32,
    pub remaining_memory: u32,
    pub running_tasks_count: u32,
    pub pending_tasks_count: u32,
    pub launched_at: String,
    pub registered_at: Option<String>,
    pub terminated_at: Option<String>,
    /// Of a burstable instance.
    pub cpu_credits: Option<CpuCreditsReport>,
}

/// A bill.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BillReport {
    pub currency: &'static str,
    pub lines: Vec<BillLineReport>,
    pub total: Decimal,
    pub by_service: BTreeMap<String, CostReport>,
    pub by_task_definition: BTreeMap<String, CostReport>,
    pub by_tag: BTreeMap<String, BTreeMap<String, CostReport>>,
    pub idle_by_capacity_provider: BTreeMap<String, CostReport>,
    pub used_of_paid: UsedOfPaidReport,
    pub unpriced_instance_types: Vec<String>,
}

/// A line of a bill.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BillLineReport {
    pub usage_type: String,
    pub description: String,
    pub quantity: Decimal,
    pub unit: &'static str,
    pub rate: Decimal,
    pub amount: Decimal,
}

/// What somebody's tasks cost and used.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CostReport {
    pub tasks: u64,
    pub amount: Decimal,
    pub vcpu_seconds_reserved: Decimal,
    pub vcpu_seconds_used: Decimal,
    pub memory_gb_seconds_reserved: Decimal,
    pub memory_gb_seconds_used: Decimal,
    pub memory_mib_peak: Decimal,
}

/// Used beside paid.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct UsedOfPaidReport {
    pub fargate: PaidAndUsedReport,
    pub ec2: PaidAndUsedReport,
    /// What instances cost that no task reserved.
    pub idle: Decimal,
}

/// Capacity paid for and used.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PaidAndUsedReport {
    pub vcpu_seconds_paid: Decimal,
    pub vcpu_seconds_used: Decimal,
    pub memory_gb_seconds_paid: Decimal,
    pub memory_gb_seconds_used: Decimal,
    pub wasted: Decimal,
}

impl Report {
    /// The document of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Report {
        let records: BTreeMap<TaskId, UsageRecord> =
            snapshot.meter.usage_records(snapshot.at).into_iter().map(|record| (record.task, record)).collect();
        let state = &snapshot.state;
        Report {
            cluster: snapshot.name.to_string(),
            region: snapshot.region.to_string(),
            seed: snapshot.ids.seed,
            started_at: iso(snapshot, Timestamp::ZERO),
            ended_at: iso(snapshot, snapshot.at),
            seconds: nanos_as_seconds(snapshot.at.0),
            delivery: DeliveryReport {
                vcpu_seconds_promised: vcpu_seconds(snapshot.delivery.wanted),
                vcpu_seconds_delivered: vcpu_seconds(snapshot.delivery.delivered),
            },
            timer_lateness_seconds_p99: nanos_as_seconds(nanos(snapshot.timer_lateness.p99)),
            tasks: state
                .tasks
                .values()
                .map(|record| task_report(snapshot, record, records.get(&record.task.id)))
                .collect(),
            stopped_tasks_count: state.stopped_count,
            services: state.services.values().map(|service| service_report(snapshot, service)).collect(),
            container_instances: state
                .container_instances
                .values()
                .map(|instance| instance_report(snapshot, instance))
                .collect(),
            capacity_providers: state
                .capacity_providers
                .values()
                .map(|provider| capacity_report::provider_report(snapshot, provider))
                .collect(),
            scalable_targets: state
                .scalable_targets
                .values()
                .chain(state.deregistered_targets.values())
                .map(|target| scaling_report::target_report(snapshot, target))
                .collect(),
            alarms: state.alarms.values().map(|alarm| scaling_report::alarm_report(snapshot, alarm)).collect(),
            metrics: scaling_report::metric_reports(snapshot),
            bill: bill_report(&snapshot.bill()),
            simulation: None,
            host: None,
        }
    }
}

pub(super) fn iso(snapshot: &Snapshot, at: Timestamp) -> String {
    format!("{:.3}", at.calendar(snapshot.calendar_start))
}

pub(super) fn decimal(text: String) -> Decimal {
    RawValue::from_string(text).expect("a decimal number is JSON")
}

pub(super) fn money(amount: NanoUsd) -> Decimal {
    decimal(amount.to_string())
}

pub(super) fn quantity(quantity: Quantity) -> Decimal {
    decimal(format!("{quantity:.9}"))
}

fn nanos_as_seconds(nanos: u64) -> Decimal {
    quantity(Quantity::new(nanos.into(), 1_000_000_000))
}

fn vcpu_seconds(work: VcpuNanos) -> Decimal {
    nanos_as_seconds(work.0)
}

fn mib(bytes: u64) -> Decimal {
    decimal(format!("{:.3}", Quantity::new(bytes.into(), 1 << 20)))
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn task_report(snapshot: &Snapshot, record: &TaskRecord, usage: Option<&UsageRecord>) -> TaskReport {
    let task = &record.task;
    let definition = &task.task_definition;
    let shown = |at: Option<Timestamp>| at.map(|at| iso(snapshot, at));
    let instance = task.container_instance.and_then(|id| snapshot.state.container_instances.get(&id));
    TaskReport {
        id: snapshot.ids.task(task.id),
        family: definition.family.clone(),
        revision: definition.revision,
        group: task.group.to_string(),
        started_by: task.started_by.as_deref().map(str::to_string),
        launch_type: task.launch_type.as_str(),
        capacity_provider: task.capacity_provider.as_deref().map(str::to_string),
        container_instance: instance.map(|instance| snapshot.ids.container_instance(instance.id)),
        availability_zone: snapshot.state.zone_of(record).map(|zone| zone.to_string()),
        cpu: task.reservation.cpu.0,
        memory: task.reservation.memory.0,
        desired_status: task.desired_status.as_str(),
        last_status: task.last_status.as_str(),
        stop_code: task.stop_code.map(|code| code.as_str()),
        stopped_reason: task.stopped_reason.as_deref().map(str::to_string),
        created_at: iso(snapshot, task.created_at),
        pull_started_at: shown(task.pull_started_at),
        pull_stopped_at: shown(task.pull_stopped_at),
        started_at: shown(task.started_at),
        stopping_at: shown(task.stopping_at),
        stopped_at: shown(task.stopped_at),
        containers: definition
            .containers
            .iter()
            .zip(&task.containers)
            .map(|(definition, container)| ContainerReport {
                name: definition.name.clone(),
                image: definition.image.clone(),
                image_digest: container.image_digest.map(String::from),
                last_status: container.last_status.as_str(),
                exit_code: container.exit.exit_code,
                reason: container.exit.reason.clone(),
                health_status: container.health.as_str(),
                restart_count: container.restart_count,
                gpu_ids: container.gpu_ids().map(str::to_owned).collect(),
            })
            .collect(),
        targets: target_reports(snapshot, task.id),
        tags: BTreeMap::clone(&task.tags),
        billed_seconds: usage.and_then(UsageRecord::billed_seconds),
        cost: usage.and_then(|usage| snapshot.meter.task_amount(usage)).map(money),
        vcpu_seconds_used: vcpu_seconds(task.usage.vcpu),
        cpu_seconds: nanos_as_seconds(nanos(task.usage.cpu_time)),
        fuel: task.usage.fuel.0,
        memory_mib_peak: mib(task.usage.memory_bytes_peak),
    }
}

/// The targets of a task that is in its target groups.
fn target_reports(snapshot: &Snapshot, task: TaskId) -> Vec<TargetReport> {
    let found = snapshot.state.targets.get(&task).filter(|found| found.registration != Registration::Awaited);
    let report = |target: &Target| {
        let (reason, description) = target.state.reason().unzip();
        TargetReport { target_group: target.group.name.to_string(), state: target.state.as_str(), reason, description }
    };
    found.into_iter().flat_map(|found| &found.targets).map(report).collect()
}

fn service_report(snapshot: &Snapshot, service: &Service) -> ServiceReport {
    ServiceReport {
        name: service.spec.name.to_string(),
        status: service.status.as_str(),
        desired_count: service.spec.desired_count,
        running_count: service.running_count(),
        pending_count: service.pending_count(),
        deployment_controller: service.spec.deployment_controller.as_str(),
        deployments: match service.has_task_sets() {
            true => Vec::new(),
            false => service.deployments.iter().map(deployment_report).collect(),
        },
        task_sets: service.task_sets().iter().map(|set| task_set_report(snapshot, set)).collect(),
        deleted_task_sets: service.deleted_task_sets.iter().map(|set| task_set_report(snapshot, set)).collect(),
        service_deployments: service_deployment_reports(snapshot, service),
        events: service
            .events
            .iter()
            .map(|event| ServiceEventReport { created_at: iso(snapshot, event.at), message: event.message.to_string() })
            .collect(),
        jobs: snapshot.jobs.get(&service.spec.name).map(|jobs| JobReport {
            pushed: jobs.pushed,
            completed: jobs.completed,
            queued: jobs.queued,
            rejected: jobs.rejected,
            lost: jobs.lost,
            latency_seconds_p50: nanos_as_seconds(nanos(jobs.latency_p50)),
            latency_seconds_p99: nanos_as_seconds(nanos(jobs.latency_p99)),
            by_deployment: deployment_jobs(snapshot, service)
                .map(|(deployment, task_definition, jobs)| DeploymentJobsReport {
                    deployment,
                    task_definition,
                    completed: jobs.completed,
                    completed_test: jobs.completed_test,
                    died: jobs.died,
                })
                .collect(),
        }),
    }
}

/// The jobs that each deployment's tasks took, with its id and what they run, oldest first.
pub fn deployment_jobs<'a>(
    snapshot: &'a Snapshot,
    service: &'a Service,
) -> impl Iterator<Item = (String, Option<String>, DeploymentJobs)> + 'a {
    let jobs = snapshot.jobs_by_deployment.get(&service.spec.name).into_iter().flat_map(JobsByDeployment::iter);
    jobs.map(|(deployment, jobs)| {
        let task_definition = service.task_definition_of(deployment).map(|definition| definition.to_string());
        (snapshot.ids.deployment(deployment), task_definition, jobs)
    })
}

fn deployment_report(deployment: &Deployment) -> DeploymentReport {
    DeploymentReport {
        id: deployment.shown_id.to_string(),
        status: deployment.status.as_str(),
        task_definition: deployment.task_definition.to_string(),
        rollout_state: deployment.rollout_state.as_str(),
        running_count: deployment.running_count(),
        pending_count: deployment.pending_count(),
        failed_tasks: deployment.failed_tasks,
    }
}

fn task_set_report(snapshot: &Snapshot, set: &TaskSetDescription) -> TaskSetReport {
    TaskSetReport {
        id: set.shown_id.to_string(),
        external_id: set.external_id.as_deref().map(str::to_owned),
        status: set.status.as_str(),
        task_definition: set.task_definition.to_string(),
        scale: set.scale.to_string(),
        computed_desired_count: set.computed_desired_count,
        running_count: set.running_count,
        pending_count: set.pending_count,
        stability_status: set.stability_status.as_str(),
        stability_status_at: iso(snapshot, set.stability_status_at),
        created_at: iso(snapshot, set.created_at),
    }
}

fn instance_report(snapshot: &Snapshot, instance: &ContainerInstance) -> ContainerInstanceReport {
    ContainerInstanceReport {
        id: snapshot.ids.container_instance(instance.id),
        ec2_instance_id: instance.ec2_instance_id(snapshot.ids),
        instance_type: instance.launch.instance_type.name.clone(),
        availability_zone: instance.launch.availability_zone.to_string(),
        capacity_provider: instance.launch.capacity_provider.as_deref().map(str::to_string),
        status: instance.status.as_str(),
        agent_connected: instance.agent == AgentConnection::Connected,
        lifecycle_state: instance.lifecycle.as_str(),
        waits: capacity_report::wait_reports(snapshot, snapshot.state.waits.get(&instance.id)),
        registered_cpu: instance.registered.cpu.0,
        registered_memory: instance.registered.memory.0,
        remaining_cpu: instance.remaining.cpu.0,
        remaining_memory: instance.remaining.memory.0,
        running_tasks_count: instance.running_tasks_count,
        pending_tasks_count: instance.pending_tasks_count,
        launched_at: iso(snapshot, instance.launched_at),
        registered_at: instance.registered_at.map(|at| iso(snapshot, at)),
        terminated_at: instance.terminated_at.map(|at| iso(snapshot, at)),
        cpu_credits: instance.cpu_credits.as_ref().map(capacity_report::cpu_credits_report),
    }
}

pub(super) fn bill_report(bill: &Bill) -> BillReport {
    let costs = |costs: &BTreeMap<String, CostAndUse>| -> BTreeMap<String, CostReport> {
        costs.iter().map(|(key, cost)| (key.clone(), cost_report(cost))).collect()
    };
    BillReport {
        currency: "USD",
        lines: bill.lines.iter().map(line_report).collect(),
        total: money(bill.total),
        by_service: costs(&bill.by_service),
        by_task_definition: costs(&bill.by_task_definition),
        by_tag: bill.by_tag.iter().map(|(key, values)| (key.clone(), costs(values))).collect(),
        idle_by_capacity_provider: costs(&bill.idle_by_capacity_provider),
        used_of_paid: UsedOfPaidReport {
            fargate: paid_report(&bill.waste.fargate),
            ec2: paid_report(&bill.waste.ec2),
            idle: money(bill.waste.idle),
        },
        unpriced_instance_types: bill.unpriced_instance_types.clone(),
    }
}

fn line_report(line: &BillLine) -> BillLineReport {
    BillLineReport {
        usage_type: line.usage_type.clone(),
        description: line.description.clone(),
        quantity: quantity(line.quantity),
        unit: line.unit.as_str(),
        rate: money(line.rate),
        amount: money(line.amount),
    }
}

pub(super) fn cost_report(cost: &CostAndUse) -> CostReport {
    CostReport {
        tasks: cost.tasks,
        amount: money(cost.amount),
        vcpu_seconds_reserved: quantity(cost.vcpu_seconds_reserved),
        vcpu_seconds_used: quantity(cost.vcpu_seconds_used),
        memory_gb_seconds_reserved: quantity(cost.memory_gb_seconds_reserved),
        memory_gb_seconds_used: quantity(cost.memory_gb_seconds_used),
        memory_mib_peak: mib(cost.memory_bytes_peak),
    }
}

fn paid_report(paid: &PaidAndUsed) -> PaidAndUsedReport {
    PaidAndUsedReport {
        vcpu_seconds_paid: quantity(paid.vcpu_seconds_paid),
        vcpu_seconds_used: quantity(paid.vcpu_seconds_used),
        memory_gb_seconds_paid: quantity(paid.memory_gb_seconds_paid),
        memory_gb_seconds_used: quantity(paid.memory_gb_seconds_used),
        wasted: money(paid.wasted()),
    }
}
