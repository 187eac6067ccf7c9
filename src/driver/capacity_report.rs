//! The part of a report on Auto Scaling groups: their sizes, their warm pools, their instance refreshes, what their instances wait for.

use serde::Serialize;

use super::report::{Decimal, decimal, iso};
use super::snapshot::Snapshot;
use crate::control_plane::instance_refresh::InstanceRefresh;
use crate::control_plane::lifecycle_hooks::InstanceWaits;
use crate::control_plane::state::ProviderState;
use crate::metering::quantity::Quantity;
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::cpu_credits::{CPU_CREDIT, CpuCredits, CpuRate};
use crate::model::ids::ContainerInstanceId;
use crate::model::metric::thousandths_text;
use crate::model::units::VcpuNanos;

/// A capacity provider and its Auto Scaling group.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' and Auto Scaling's names")]
pub struct CapacityProviderReport {
    pub name: String,
    pub min_size: u32,
    pub max_size: u32,
    pub desired_capacity: u32,
    /// Instances that are coming up or in service.
    pub instances: Vec<String>,
    pub instances_in_service_count: u32,
    /// Instances in the warm pool.
    pub warm_pool: Vec<String>,
    /// Instances on standby.
    pub standby: Vec<String>,
    pub launch_template_version: u32,
    /// Tasks that wait for its capacity.
    pub provisioning_tasks_count: u32,
    /// In percent; null before the first period and without managed scaling.
    pub capacity_provider_reservation: Option<Decimal>,
    /// Oldest first.
    pub instance_refreshes: Vec<InstanceRefreshReport>,
}

/// An instance refresh.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are Auto Scaling's names")]
pub struct InstanceRefreshReport {
    pub number: u32,
    pub status: &'static str,
    pub status_reason: Option<String>,
    pub percentage_complete: u32,
    pub instances_to_update: u32,
    pub from_launch_template_version: u32,
    pub to_launch_template_version: u32,
    pub start_time: String,
    pub end_time: Option<String>,
}

/// Something that keeps an instance from its next lifecycle state.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct InstanceWaitReport {
    /// A lifecycle hook's name, `tasks` or `boot`.
    pub waits_for: String,
    pub until: String,
}

/// CPU credits of a burstable instance, in minutes of a vCPU.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are EC2's names where it has some")]
pub struct CpuCreditsReport {
    pub credit_specification: &'static str,
    pub cpu_credit_balance: Decimal,
    pub cpu_credits_used: Decimal,
    pub cpu_surplus_credit_balance: Decimal,
    pub cpu_surplus_credits_charged: Decimal,
    /// Whether it is out of credits and held to its baseline.
    pub is_at_baseline: bool,
}

pub(super) fn provider_report(snapshot: &Snapshot, provider: &ProviderState) -> CapacityProviderReport {
    let group = &provider.provider.auto_scaling_group;
    let shown = |ids: &std::collections::BTreeSet<ContainerInstanceId>| {
        ids.iter().map(|id| snapshot.ids.ec2_instance(*id)).collect()
    };
    let in_service = provider.instances.iter().filter(|id| {
        let instance = snapshot.state.container_instances.get(id);
        instance.is_some_and(|instance| instance.lifecycle == LifecycleState::InService)
    });
    CapacityProviderReport {
        name: provider.provider.name.to_string(),
        min_size: group.min_size,
        max_size: group.max_size,
        desired_capacity: provider.desired_capacity,
        instances: shown(&provider.instances),
        instances_in_service_count: count(in_service.count()),
        warm_pool: shown(&provider.warm),
        standby: shown(&provider.standby),
        launch_template_version: provider.launch_template.version,
        provisioning_tasks_count: count(provider.provisioning.len()),
        capacity_provider_reservation: provider
            .reservation_millipercent
            .map(|value| decimal(thousandths_text(i64::try_from(value).unwrap_or(i64::MAX)))),
        instance_refreshes: provider.refreshes.iter().map(|refresh| refresh_report(snapshot, refresh)).collect(),
    }
}

fn refresh_report(snapshot: &Snapshot, refresh: &InstanceRefresh) -> InstanceRefreshReport {
    InstanceRefreshReport {
        number: refresh.number,
        status: refresh.status.as_str(),
        status_reason: refresh.reason.as_deref().map(str::to_owned),
        percentage_complete: refresh.percentage_complete(),
        instances_to_update: refresh.total.saturating_sub(refresh.replaced),
        from_launch_template_version: refresh.from.version,
        to_launch_template_version: refresh.to.version,
        start_time: iso(snapshot, refresh.started_at),
        end_time: refresh.ended_at.map(|at| iso(snapshot, at)),
    }
}

pub(super) fn wait_reports(snapshot: &Snapshot, waits: Option<&InstanceWaits>) -> Vec<InstanceWaitReport> {
    let waits = waits.into_iter().flat_map(InstanceWaits::all);
    waits.map(|(what, until)| InstanceWaitReport { waits_for: what.to_owned(), until: iso(snapshot, until) }).collect()
}

pub(super) fn cpu_credits_report(credits: &CpuCredits) -> CpuCreditsReport {
    let shown = |work: VcpuNanos| decimal(format!("{:.3}", Quantity::new(work.0.into(), CPU_CREDIT.0.into())));
    CpuCreditsReport {
        credit_specification: credits.specification.as_str(),
        cpu_credit_balance: shown(credits.balance()),
        cpu_credits_used: shown(credits.used),
        cpu_surplus_credit_balance: shown(credits.surplus),
        cpu_surplus_credits_charged: shown(credits.charged),
        is_at_baseline: credits.rate == CpuRate::Baseline,
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
