//! A region of the account: its registry, and its clusters as they run.
//!
//! Regions know nothing of each other. **Source:** ecs-semantics §1.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::ApiOptions;
use super::error::ApiError;
use super::names::{DEFAULT_CLUSTER, last_part};
use super::registry::Registry;
use super::registry::clusters::ClusterStatus;
use crate::catalog::Catalog;
use crate::data_plane::clock::Clock;
use crate::driver::running_cluster::{HostOptions, RunningCluster, StartError};
use crate::model::arn::{ACCOUNT, ArnForm};
use crate::model::cluster::ClusterSpec;
use crate::model::ids::IdForm;

/// A region.
#[derive(Debug)]
pub struct Region {
    /// Its name.
    pub name: Arc<str>,
    /// What its clusters are started with.
    options: Arc<ApiOptions>,
    clock: Clock,
    catalog: Arc<Catalog>,
    registry: Mutex<Registry>,
    clusters: Mutex<BTreeMap<Arc<str>, Arc<LiveCluster>>>,
}

/// A cluster that runs.
#[derive(Debug)]
pub struct LiveCluster {
    /// The handle on it.
    pub cluster: RunningCluster,
    /// How it is named.
    pub arns: ArnForm,
}

impl Region {
    pub(super) fn new(name: Arc<str>, options: Arc<ApiOptions>, clock: Clock, catalog: Arc<Catalog>) -> Region {
        Region { name, options, clock, catalog, registry: Mutex::default(), clusters: Mutex::default() }
    }

    /// The calendar time.
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.calendar(self.clock.now())
    }

    /// Instance types, Fargate sizes and prices.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The region's registry. Let go of it before a cluster is asked for anything: others wait for it.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }

    /// What the server was started with.
    pub fn options(&self) -> &ApiOptions {
        &self.options
    }

    /// A cluster by name or ARN; `default` where none is named.
    ///
    /// # Errors
    /// When there is no ACTIVE cluster of that name.
    pub fn cluster(&self, named: Option<&str>) -> Result<Arc<LiveCluster>, ApiError> {
        let name = last_part(named.unwrap_or(DEFAULT_CLUSTER));
        self.clusters.lock().get(name).cloned().ok_or_else(ApiError::cluster_not_found)
    }

    /// All clusters that run, by name.
    pub fn clusters(&self) -> Vec<Arc<LiveCluster>> {
        self.clusters.lock().values().cloned().collect()
    }

    /// Starts a cluster of which the registry has a row, or soon will have.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start_cluster(&self, spec: ClusterSpec) -> Result<Arc<LiveCluster>, StartError> {
        let arns = ArnForm {
            cluster: spec.name.as_str().into(),
            region: self.name.clone(),
            ids: IdForm { seed: spec.settings.seed },
        };
        let name = arns.cluster.clone();
        let options = HostOptions {
            data_plane: self.options.data_plane.clone(),
            image_store: Some(self.options.image_store.clone()),
            ..HostOptions::default()
        };
        let cluster = RunningCluster::start(spec, options)?;
        let live = Arc::new(LiveCluster { cluster, arns });
        self.clusters.lock().insert(name, live.clone());
        Ok(live)
    }

    /// Takes a cluster out; who still has it may go on to ask it. It ends when nobody has it any more.
    pub fn end_cluster(&self, name: &str) -> Option<Arc<LiveCluster>> {
        self.clusters.lock().remove(name)
    }

    /// Takes all clusters out.
    pub(super) fn end_all_clusters(&self) -> Vec<Arc<LiveCluster>> {
        std::mem::take(&mut *self.clusters.lock()).into_values().collect()
    }

    /// Whether the registry has an ACTIVE cluster of that name.
    pub fn has_cluster(&self, name: &str) -> bool {
        let registry = self.registry.lock();
        registry.clusters.get(name).is_some_and(|row| row.status == ClusterStatus::Active)
    }

    /// `arn:aws:ecs:REGION:ACCOUNT:RESOURCE`.
    pub fn arn(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{ACCOUNT}:{resource}", self.name)
    }
}
