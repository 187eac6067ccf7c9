//! What readers get to see: the cluster at one moment, a copy that nothing changes any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::journal::replay::Replay;
use super::series::Series;
use crate::control_plane::state::ClusterState;
use crate::metering::bill::Bill;
use crate::metering::meter::Meter;
use crate::model::ids::IdForm;
use crate::model::job::{JobStats, JobsByDeployment};
use crate::model::recent::Percentiles;
use crate::model::units::Timestamp;
use crate::model::usage::Delivery;

/// A cluster at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When.
    pub at: Timestamp,
    /// The calendar time of the cluster's start.
    pub calendar_start: jiff::Timestamp,
    /// The cluster's name.
    pub name: Arc<str>,
    /// The region whose prices apply.
    pub region: Arc<str>,
    /// How ids are shown.
    pub ids: IdForm,
    /// What the control plane knows.
    pub state: ClusterState,
    /// The meter with everything recorded so far.
    pub meter: Meter,
    /// CPU work promised and delivered so far.
    pub delivery: Delivery,
    /// Standalone tasks of the cluster file that have found no room so far.
    pub unplaced: u32,
    /// How late the control loop's own timers were: what guests could delay, and must not.
    pub timer_lateness: Percentiles,
    /// Jobs by service, for services with load.
    pub jobs: BTreeMap<Arc<str>, JobStats>,
    /// The same jobs, by the deployment whose tasks took them.
    pub jobs_by_deployment: BTreeMap<Arc<str>, JobsByDeployment>,
    /// Why the journal that was asked for is not written any more, if that is so.
    pub journal_trouble: Option<Arc<str>>,
    /// Why nothing can be written to the data directory at this moment, if that is so.
    pub durable_trouble: Option<Arc<str>>,
    /// What it was like over time until its end, if that was recorded; `None` before the end of a cluster in real time.
    pub series: Option<Arc<Series>>,
}

impl Snapshot {
    /// A replayed cluster at a moment that is not before the last event that was taken in. What only the data plane knew is not in it:
    /// jobs, delivery, lateness.
    pub fn of_replay(replay: &Replay, at: Timestamp) -> Snapshot {
        let control_plane = replay.control_plane();
        Snapshot {
            at: at.max(control_plane.now()),
            calendar_start: control_plane.settings().calendar_start.unwrap_or_default(),
            name: control_plane.name().clone(),
            region: replay.reader().header().region.clone(),
            ids: control_plane.ids(),
            state: control_plane.state().clone(),
            meter: replay.meter().clone(),
            delivery: Delivery::default(),
            unplaced: 0,
            timer_lateness: Percentiles::default(),
            jobs: BTreeMap::new(),
            jobs_by_deployment: BTreeMap::new(),
            journal_trouble: None,
            durable_trouble: None,
            series: None,
        }
    }

    /// The bill so far.
    pub fn bill(&self) -> Bill {
        self.meter.bill(self.at)
    }
}
