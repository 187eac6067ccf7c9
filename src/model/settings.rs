//! Settings of a cluster: ECS' periods and delays as defaults, and Longshore's own.

use serde::{Deserialize, Serialize};

use super::metric::MetricResolution;
use super::units::{Duration, Fuel};

/// What a vCPU-second is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuBasis {
    /// Fuel over the rate, plus the CPU time of the task's host calls: the same on every host. The default of cluster files.
    #[default]
    Fuel,
    /// The CPU time of the threads that worked for the task: what isolates tenants on a real host. The default of the library.
    Time,
}

/// How much fuel one vCPU burns in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FuelRate {
    /// So much.
    PerVcpuSecond(Fuel),
    /// As much as one core of the host burns, measured once at the start.
    Native,
}

/// Whether the cluster's Container Insights metrics are kept. **Source:** ecs-semantics §10.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerInsights {
    /// `disabled`.
    #[default]
    Disabled,
    /// `enabled`.
    Enabled,
    /// `enhanced`: single tasks, too.
    Enhanced,
}

/// Settings of a cluster. Each default is ECS' where ECS has one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Decides ids, random placement and arrivals.
    pub seed: u64,
    /// What a vCPU-second is counted in.
    pub cpu_basis: CpuBasis,
    /// Fuel of a vCPU-second.
    pub fuel_rate: FuelRate,
    /// The period in which CPU quotas are refilled: the kernel's CFS period. **Source:** ecs-semantics §3.4.
    pub cpu_period: Duration,
    /// The period of CloudWatch metrics, and so of scaling decisions. **Source:** ecs-semantics §6.3, §7.2, §10.1.
    pub metric_period: Duration,
    /// The calendar time at which the cluster starts: what scheduled actions count from. `None`: the clock's, or 1970 where there is
    /// no clock. **Source:** ecs-semantics §7.4.
    #[serde(with = "super::written_form::calendar_time")]
    pub calendar_start: Option<jiff::Timestamp>,
    /// Container Insights metrics.
    pub container_insights: ContainerInsights,
    /// How often usage is sampled. **Source:** ecs-semantics §3.6.
    pub usage_period: Duration,
    /// How long a task without health checks must run to count as healthy. **Source:** ecs-semantics §5.2.
    pub healthy_after: Duration,
    /// First delay before a task is started again whose predecessor failed to start; doubles. **Source:** ecs-semantics §5.6.
    pub restart_delay_first: Duration,
    /// Greatest such delay. **Source:** ecs-semantics §5.6.
    pub restart_delay_max: Duration,
    /// Tasks that a service may start in a minute. **Source:** ecs-semantics §1.7: 500 in large regions, 125 on Fargate elsewhere.
    pub service_launches_per_minute: u32,
    /// Bake time of rolling deployments with alarms that name none. *Ours:* ECS chooses one under five minutes.
    pub bake_time: Duration,
    /// How long a deployment may take before it has failed. **Source:** ecs-semantics §5.8.
    pub deployment_timeout: Duration,
    /// How long a stage of a deployment that moves traffic may wait for tasks. **Source:** ecs-semantics §5.8.
    pub deployment_stage_timeout: Duration,
    /// How long a task is protected from scale-in when no time is named. **Source:** ecs-semantics §2.6.
    pub task_protection: Duration,
    /// The stop timeout of containers that name none. **Source:** ecs-semantics §1.5.
    pub stop_timeout: Duration,
    /// Boot time of instances that name none. *Ours:* ECS states none.
    pub boot_time: Duration,
    /// How long an instance that is to go waits for its tasks at most. **Source:** ecs-semantics §3.3.
    pub managed_draining_timeout: Duration,
    /// The warning before EC2 takes a Spot instance back. **Source:** ecs-semantics §3.3, §8.4.
    pub spot_interruption_notice: Duration,
    /// How long a task on Fargate runs on after the word that it is to retire: the account setting `fargateTaskRetirementWaitPeriod`.
    /// **Source:** ecs-semantics §8.5.
    pub fargate_task_retirement_wait_period: Duration,
    /// How long a task waits in PROVISIONING for a capacity provider's capacity before it fails to start. `None`: as long as it takes.
    /// **Source:** ecs-semantics §4.5, which knows no duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_timeout: Option<Duration>,
    /// How long a stopped task stays listed. **Source:** ecs-semantics §2.1.
    pub stopped_task_retention: Duration,
    /// How many stopped tasks stay listed at most. *Ours:* bounds memory when tasks are short.
    pub stopped_task_limit: usize,
    /// When to drain and end by itself; `None`: when all standalone tasks are over and there is no service.
    pub run_for: Option<Duration>,
}

/// Fuel of a vCPU-second where the cluster names none.
///
/// One core of a current host burns 6 G (hashing) to 36 G (a tight loop) units a second, so that it carries several of these.
/// **Source:** the project's own measurement.
pub const DEFAULT_FUEL_PER_VCPU_SECOND: Fuel = Fuel(1_000_000_000);

impl Settings {
    /// The period of metrics of such a resolution.
    pub fn metric_period_of(&self, resolution: MetricResolution) -> Duration {
        match resolution {
            MetricResolution::Standard => self.metric_period,
            MetricResolution::High => self.high_resolution_period(),
        }
    }

    /// The period of metrics of a high resolution: 20 seconds where a metric period is 60. *Ours:* a third of the metric period, or a
    /// quarter where it has no third.
    pub fn high_resolution_period(&self) -> Duration {
        let nanos = self.metric_period.as_nanos();
        match [3, 4].into_iter().find(|parts| nanos.is_multiple_of(u128::from(*parts))) {
            Some(parts) => self.metric_period / parts,
            None => self.metric_period,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 0,
            cpu_basis: CpuBasis::Fuel,
            fuel_rate: FuelRate::PerVcpuSecond(DEFAULT_FUEL_PER_VCPU_SECOND),
            cpu_period: Duration::from_millis(100),
            metric_period: Duration::from_secs(60),
            calendar_start: None,
            container_insights: ContainerInsights::Disabled,
            usage_period: Duration::from_secs(10),
            healthy_after: Duration::from_secs(40),
            restart_delay_first: Duration::from_secs(1),
            restart_delay_max: Duration::from_secs(27 * 60),
            service_launches_per_minute: 500,
            bake_time: Duration::from_secs(240),
            deployment_timeout: Duration::from_secs(30 * 24 * 3600),
            deployment_stage_timeout: Duration::from_secs(24 * 3600),
            task_protection: Duration::from_secs(120 * 60),
            stop_timeout: Duration::from_secs(30),
            boot_time: Duration::from_secs(30),
            managed_draining_timeout: Duration::from_secs(48 * 3600),
            spot_interruption_notice: Duration::from_secs(120),
            fargate_task_retirement_wait_period: Duration::from_secs(7 * 24 * 3600),
            provisioning_timeout: None,
            stopped_task_retention: Duration::from_secs(3600),
            stopped_task_limit: 100_000,
            run_for: None,
        }
    }
}
