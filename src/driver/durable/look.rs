//! A cluster in a data directory as it was at its last record, without running it; and a data directory made of events.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::recovery::{RecoverError, recover};
use super::{Durable, stream_of};
use crate::catalog::Catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::driver::snapshot::Snapshot;
use crate::model::recent::Percentiles;
use crate::model::units::Timestamp;
use crate::model::usage::Delivery;
use crate::store::{Position, Store, WriteTrouble};

/// The cluster of this name in a region; `None` when there has been none. What only the data plane knew is not in it: jobs, delivery, lateness.
///
/// # Errors
/// When the data directory is in use or can't be read.
pub fn look(folder: &Path, region: &str, cluster: &str) -> Result<Option<Snapshot>, RecoverError> {
    let store = Store::open(folder)?;
    let Some(stream) = stream_of(region, cluster) else { return Ok(None) };
    let Some(saved) = recover(&store, &stream, &Catalog::embedded())? else { return Ok(None) };
    let plane = saved.control_plane;
    Ok(Some(Snapshot {
        at: plane.now(),
        calendar_start: plane.settings().calendar_start.unwrap_or_default(),
        name: plane.name().clone(),
        region: saved.region,
        ids: plane.ids(),
        state: plane.state().clone(),
        meter: saved.meter,
        delivery: Delivery::default(),
        unplaced: saved.ahead.plans.unplaced(),
        timer_lateness: Percentiles::default(),
        jobs: BTreeMap::new(),
        jobs_by_deployment: BTreeMap::new(),
        journal_trouble: None,
        durable_trouble: None,
        series: None,
    }))
}

/// Writes a stream as a cluster would have that lived through these events from its beginning, and returns it as it is then: a journal
/// becomes a data directory. The store takes the cluster's name for the stream's.
///
/// # Errors
/// When the disk refuses.
///
/// # Panics
/// When the name is none that ECS allows.
pub fn write_events(
    store: &Arc<Store>,
    mut plane: ControlPlane,
    region: &str,
    events: impl IntoIterator<Item = (Timestamp, Event)>,
) -> Result<ControlPlane, WriteTrouble> {
    let stream = stream_of(region, plane.name()).expect("it is a name that ECS allows");
    let mut durable = Durable::of(store.clone(), stream);
    durable.begin(&plane, &region.into(), plane.settings().calendar_start.unwrap_or_default());
    let mut last = Position::START;
    for (at, event) in events {
        let written = durable.event(at, &event);
        plane.apply(at, event);
        durable.took_in(written, &plane);
        last = durable.append(Vec::new);
    }
    store.wait_durable(last)?;
    Ok(plane)
}
