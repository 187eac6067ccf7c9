//! `[[update_service]]`: what is asked of a service while the cluster runs.

use std::sync::Arc;

use super::document::Read;
use super::keys::UPDATE_SERVICE;
use super::reader::Table;
use super::services::read_task_definition_ref;
use crate::model::cluster::ScheduledServiceUpdate;
use crate::model::units::Duration;

/// Reads the updates. Whether what they name is defined is decided in [`super::references`]. **Source:** ecs-semantics §5.5.
pub(super) fn read_service_updates<'a>(root: &Table<'a>) -> Vec<Read<'a, ScheduledServiceUpdate>> {
    let read = |at: Table<'a>| {
        let (item, soundness) = at.watched(|| {
            if !at.has("task_definition") && !at.has("desired_count") {
                at.reject_whole("an update_service needs task_definition, desired_count or both");
            }
            ScheduledServiceUpdate {
                at: at.duration("at").unwrap_or(Duration::ZERO),
                service: Arc::from(at.need("service").and_then(|value| value.string()).unwrap_or_default()),
                task_definition: at.has("task_definition").then(|| read_task_definition_ref(&at)),
                desired_count: at.u32("desired_count", 0..=u32::MAX),
            }
        });
        Read { item, at, soundness }
    };
    root.tables("update_service", &UPDATE_SERVICE).into_iter().map(read).collect()
}
