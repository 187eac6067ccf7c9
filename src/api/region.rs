//! A region of the account: its registry, and its clusters as they run.
//!
//! Regions know nothing of each other. **Source:** ecs-semantics §1.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::error::ApiError;
use super::kept_registry::{KeptRegistry, RegistryError};
use super::names::{DEFAULT_CLUSTER, last_part};
use super::registry::Registry;
use super::registry::clusters::{ClusterRow, ClusterStatus};
use super::{ApiOptions, clusters};
use crate::catalog::Catalog;
use crate::data_plane::clock::Clock;
use crate::driver::running_cluster::{DataDirectory, HostOptions, RunningCluster, StartError};
use crate::model::arn::{ACCOUNT, ArnForm};
use crate::model::cluster::ClusterSpec;
use crate::model::ids::IdForm;
use crate::store::WriteTrouble;

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
    /// Where it is kept, if it is.
    kept: Option<KeptRegistry>,
    clusters: Mutex<BTreeMap<Arc<str>, Arc<LiveCluster>>>,
    /// See [`Region::lock_capacity`].
    capacity_lock: Mutex<()>,
    tags_lock: Mutex<()>,
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
    /// A region as the data directory has it, if there is one, but for its clusters: see [`Region::go_on`].
    pub(super) fn new(
        name: Arc<str>,
        options: Arc<ApiOptions>,
        clock: Clock,
        catalog: Arc<Catalog>,
    ) -> Result<Region, RegistryError> {
        let kept = options.data.as_ref().map(|store| KeptRegistry::open(store, &name)).transpose()?;
        let (kept, registry) = kept.map_or((None, Registry::default()), |(kept, registry)| (Some(kept), registry));
        let registry = Mutex::new(registry);
        let (clusters, capacity_lock, tags_lock) = Default::default();
        Ok(Region { name, options, clock, catalog, registry, kept, clusters, capacity_lock, tags_lock })
    }

    /// Starts the clusters that the registry has and that do not run: as the data directory has them, and anew where it has nothing.
    ///
    /// # Errors
    /// When one of them can't be started.
    pub(super) fn go_on(&self) -> Result<(), StartError> {
        let active: Vec<(Arc<str>, ClusterRow)> = {
            let registry = self.registry.lock();
            let active = registry.clusters.iter().filter(|(_, row)| row.status == ClusterStatus::Active);
            active.map(|(name, row)| (name.clone(), row.clone())).collect()
        };
        for (name, row) in active {
            match RunningCluster::go_on(&self.name, &name, self.host_options())? {
                Some(cluster) => drop(self.put_cluster(&name, row.seed, cluster)),
                None => drop(self.start_cluster(clusters::spec_of(self, &name, &row))?),
            }
        }
        Ok(())
    }

    /// Why nothing that changes anything can be done at this moment.
    pub(super) fn trouble(&self) -> Option<WriteTrouble> {
        self.kept.as_ref().and_then(KeptRegistry::trouble)
    }

    /// Waits until everything that the registry has said so far is on the disk, where it is kept.
    pub(super) fn settle(&self) -> Result<(), WriteTrouble> {
        let mut registry = self.registry.lock();
        let Some(kept) = &self.kept else {
            registry.forget_changes();
            return Ok(());
        };
        let position = kept.append(&mut registry);
        drop(registry);
        kept.wait(position)
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

    /// Held by who creates or deletes clusters, or changes what capacity they have: nobody else does between a check and what follows from
    /// it. Other requests do not wait for it. The registry is locked after it, never before.
    pub(super) fn lock_capacity(&self) -> MutexGuard<'_, ()> {
        self.capacity_lock.lock()
    }

    /// Held by who changes a resource's tags, from their reading to their writing.
    pub(super) fn lock_tags(&self) -> MutexGuard<'_, ()> {
        self.tags_lock.lock()
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
        let (name, seed) = (spec.name.as_str().into(), spec.settings.seed);
        let cluster = RunningCluster::start(spec, self.host_options())?;
        Ok(self.put_cluster(&name, seed, cluster))
    }

    fn host_options(&self) -> HostOptions {
        HostOptions {
            data_plane: self.options.data_plane.clone(),
            image_store: Some(self.options.image_store.clone()),
            data: self.options.data.clone().map(DataDirectory::Shared),
            ..HostOptions::default()
        }
    }

    fn put_cluster(&self, name: &Arc<str>, seed: u64, cluster: RunningCluster) -> Arc<LiveCluster> {
        let arns = ArnForm { cluster: name.clone(), region: self.name.clone(), ids: IdForm { seed } };
        let live = Arc::new(LiveCluster { cluster, arns });
        self.clusters.lock().insert(name.clone(), live.clone());
        live
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
