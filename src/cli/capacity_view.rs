//! Auto Scaling groups, and instances that wait, as rows of tables: for the live screen and for the summary.

use super::format;
use crate::control_plane::state::ProviderState;
use crate::driver::snapshot::Snapshot;
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::capacity::{AgentConnection, ContainerInstance, ContainerInstanceStatus};
use crate::model::metric::thousandths_text;

/// The heads of [`groups`].
pub(super) const GROUP_HEADS: [&str; 8] =
    ["GROUP", "BOUNDS", "DESIRED", "IN SERVICE", "WARM POOL", "STANDBY", "RESERVATION", "INSTANCE REFRESH"];
/// The heads of [`waits`].
pub(super) const WAIT_HEADS: [&str; 4] = ["INSTANCE", "STATE", "WAITS FOR", "UNTIL"];

/// A row for each capacity provider's group, with its last instance refresh.
pub(super) fn groups(snapshot: &Snapshot) -> Vec<[String; 8]> {
    let row = |(name, provider): (&std::sync::Arc<str>, &ProviderState)| {
        let group = &provider.provider.auto_scaling_group;
        let in_service = provider.instances.iter().filter(|id| {
            let instance = snapshot.state.container_instances.get(id);
            instance.is_some_and(|instance| instance.lifecycle == LifecycleState::InService)
        });
        let reservation = provider.reservation_millipercent.and_then(|value| i64::try_from(value).ok());
        [
            name.to_string(),
            format!("{} to {}", group.min_size, group.max_size),
            provider.desired_capacity.to_string(),
            in_service.count().to_string(),
            if group.warm_pool.is_some() { provider.warm.len().to_string() } else { "-".into() },
            provider.standby.len().to_string(),
            reservation.map_or_else(|| "-".into(), |value| format!("{} %", thousandths_text(value))),
            last_refresh(provider),
        ]
    };
    snapshot.state.capacity_providers.iter().map(row).collect()
}

/// `2 Failed at 50 % (v1 -> v2): it replaced no instance for an hour`
fn last_refresh(provider: &ProviderState) -> String {
    let Some(refresh) = provider.refreshes.last() else { return "-".into() };
    let reason = refresh.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "{} {} at {} % (v{} -> v{}){reason}",
        refresh.number,
        refresh.status.as_str(),
        refresh.percentage_complete(),
        refresh.from.version,
        refresh.to.version,
    )
}

/// A row for each thing that an instance waits for before its next lifecycle state.
pub(super) fn waits(snapshot: &Snapshot) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for (id, waits) in &snapshot.state.waits {
        let state = snapshot.state.container_instances.get(id).map_or("-", |instance| instance.lifecycle.as_str());
        for (what, until) in waits.all() {
            rows.push([snapshot.ids.ec2_instance(*id), state.into(), what.into(), format::clock(until)]);
        }
    }
    rows
}

/// An instance's status, with what else keeps it from taking tasks.
pub(super) fn status(instance: &ContainerInstance) -> String {
    let status = instance.status.as_str();
    let is_registered = matches!(instance.status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining);
    match (instance.lifecycle, instance.agent) {
        (_, AgentConnection::Disconnected) if is_registered => format!("{status}, no agent"),
        (LifecycleState::Standby, _) => format!("{status}, standby"),
        (lifecycle, _) if lifecycle.is_warmed() => lifecycle.as_str().into(),
        _ => status.into(),
    }
}
