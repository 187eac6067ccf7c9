//! What readers get to see: the cluster at one moment, a copy that nothing changes any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control_plane::state::ClusterState;
use crate::metering::bill::Bill;
use crate::metering::meter::Meter;
use crate::model::ids::IdForm;
use crate::model::job::JobStats;
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
}

impl Snapshot {
    /// The bill so far.
    pub fn bill(&self) -> Bill {
        self.meter.bill(self.at)
    }
}
