//! The ECS API: requests of AWS' clients in, answers out.
//!
//! A request goes through these steps, each in a file of its own: [`protocol`] tells service and operation apart and reads the members,
//! [`accept`] holds them against the [`shape`] that AWS' model gives them, [`operations`] finds the function that answers, which asks the
//! [`registry`] of the [`region`] and the clusters that run there; [`answer`] holds what it says against its shape, and the protocol
//! writes it. The [`server`] is what clients reach it by.
//!
//! What a member means is decided by the control planes; here it is translated. Members that mean nothing in one process (networks,
//! roles, volumes of other services) are stored and given back. Of sockets only the [`server`] knows: it hands over a
//! [`protocol::HttpRequest`], and so may who has a server of his own.
//!
//! **Source:** ecs-semantics §11.

pub mod accept;
mod account_settings;
mod adopt;
mod agents;
pub mod answer;
mod application_auto_scaling;
mod attributes;
mod auto_scaling;
mod capacity_providers;
mod clusters;
mod container_instances;
mod deployment_configuration;
mod ec2;
pub mod error;
mod group_homes;
mod ids;
mod instance_refreshes;
mod kept_registry;
mod launch;
mod launch_templates;
mod load_balancers;
pub mod members;
pub mod names;
mod operations;
mod page;
pub mod protocol;
pub mod query;
pub mod region;
pub mod registry;
pub mod server;
mod service_answer;
mod service_deployments;
mod services;
pub mod shape;
pub mod sigv4;
mod sts;
mod tags;
mod task_answer;
mod task_definition_document;
mod task_definitions;
mod task_protection;
mod task_sets;
mod tasks;
mod user_data;
pub mod xml;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::{Value, json};
use thiserror::Error;

use self::accept::{Patterns, accept};
use self::error::ApiError;
pub use self::kept_registry::RegistryError;
use self::members::Members;
use self::operations::Handler;
use self::region::{LiveCluster, Region};
use self::shape::{Service, ServiceModel};
use crate::catalog::Catalog;
use crate::data_plane::clock::Clock;
use crate::data_plane::{DataPlaneError, DataPlaneOptions, ImageStore};
use crate::driver::running_cluster::StartError;
use crate::driver::snapshot::Snapshot;
use crate::model::settings::Settings;
use crate::model::units::{Duration, Timestamp};
use crate::store::{Store, WriteTrouble};

/// Who everybody is. *Ours:* one process has one owner.
pub(crate) const PRINCIPAL_ARN: &str = "arn:aws:iam::123456789012:user/longshore";

/// Regions that one server has at most. *Ours:* bounds what requests with made-up regions can take.
const REGIONS_MAX: usize = 64;
/// How often it is looked whether a cluster has drained. *Ours.*
const DRAIN_CHECKS: Duration = Duration::from_millis(20);

/// What the API is served with.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Where it is served, as clients are told. Who serves it sets it.
    pub endpoint: Arc<OnceLock<String>>,
    /// The region of requests that are not signed.
    pub region: Arc<str>,
    /// What clusters that are created begin with. The seed is each one's own.
    pub settings: Settings,
    /// Settings of the data planes.
    pub data_plane: DataPlaneOptions,
    /// The engine and the images of all clusters.
    pub image_store: ImageStore,
    /// Where everything outlives this process; `None`: it is in memory alone. See [`Api::go_on`].
    pub data: Option<Arc<Store>>,
}

impl ApiOptions {
    /// A server with the defaults of everything, whose clusters share an engine.
    ///
    /// # Errors
    /// When the engine can't be started.
    pub fn new(data_plane: DataPlaneOptions) -> Result<ApiOptions, DataPlaneError> {
        let image_store = ImageStore::open(&data_plane)?;
        Ok(ApiOptions {
            endpoint: Arc::default(),
            region: "us-east-1".into(),
            settings: Settings::default(),
            data_plane,
            image_store,
            data: None,
        })
    }
}

/// Why what a data directory has does not go on.
#[derive(Debug, Error)]
pub enum GoOnError {
    /// A registry can't be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A cluster can't be started.
    #[error(transparent)]
    Cluster(#[from] StartError),
}

/// The API of an account.
#[derive(Debug)]
pub struct Api {
    options: Arc<ApiOptions>,
    models: BTreeMap<Service, ServiceModel>,
    patterns: Patterns,
    clock: Clock,
    catalog: Arc<Catalog>,
    regions: Mutex<BTreeMap<Arc<str>, Arc<Region>>>,
}

/// A call of an operation, whose members have been accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// The region that it is made in.
    pub region: &'a Region,
    /// Its members.
    pub input: Members<'a>,
}

impl Api {
    /// An account without anything in it.
    pub fn new(options: ApiOptions) -> Api {
        let models = Service::ALL.map(|service| (service, ServiceModel::of(service)));
        Api {
            options: Arc::new(options),
            models: models.into(),
            patterns: Patterns::default(),
            clock: Clock::start_now(),
            catalog: Catalog::embedded(),
            regions: Mutex::default(),
        }
    }

    /// Goes on with what the data directory has: registries, and the clusters that are ACTIVE in them. To be called before the first request.
    ///
    /// # Errors
    /// When something of it can't be read, or a cluster can't be started.
    pub fn go_on(&self) -> Result<(), GoOnError> {
        let regions = self.options.data.as_deref().map(kept_registry::kept_regions).unwrap_or_default();
        for name in regions {
            self.known_region(&name)?.go_on()?;
        }
        Ok(())
    }

    /// Tells clients that ask where the API is.
    pub fn served_at(&self, address: SocketAddr) {
        // One that is served twice is where it was served first.
        let _ = self.options.endpoint.set(format!("http://{address}"));
    }

    /// The model of a service.
    pub fn model(&self, service: Service) -> &ServiceModel {
        &self.models[&service]
    }

    /// A region by name.
    ///
    /// # Errors
    /// When it is no name of a region, or there are too many.
    pub fn region(&self, name: &str) -> Result<Arc<Region>, ApiError> {
        let is_known = self.regions.lock().contains_key(name);
        let is_name = (1..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_known && (!is_name || self.regions.lock().len() >= REGIONS_MAX) {
            return Err(ApiError::client(format!("'{name}' is not a region that is served")));
        }
        self.known_region(name).map_err(|error| ApiError::new("ServerException", error.to_string()))
    }

    /// A region whose name is one.
    fn known_region(&self, name: &str) -> Result<Arc<Region>, RegistryError> {
        let mut regions = self.regions.lock();
        if let Some(region) = regions.get(name) {
            return Ok(region.clone());
        }
        let name: Arc<str> = name.into();
        let region = Region::new(name.clone(), self.options.clone(), self.clock.clone(), self.catalog.clone())?;
        let region = Arc::new(region);
        regions.insert(name, region.clone());
        Ok(region)
    }

    /// Calls an operation with members as JSON, and answers as JSON, whatever the service's protocol is.
    ///
    /// # Errors
    /// When the operation is not known, its members are refused, or the operation is.
    pub fn call(&self, service: Service, operation: &str, region: &str, input: Value) -> Result<Value, ApiError> {
        let model = self.model(service);
        let unknown = || ApiError::new("UnknownOperationException", format!("unknown operation '{operation}'"));
        let known = model.operations.get(operation).ok_or_else(unknown)?;
        let handler = handler_of(service, operation).ok_or_else(unknown)?;
        let input = match &known.input {
            Some(place) => accept(model, &self.patterns, place, input)
                .map_err(|rejection| ApiError::of_rejection(service, &rejection))?,
            None => serde_json::Map::new(),
        };
        let region = self.region(region)?;
        let refused = |trouble: WriteTrouble| ApiError::new("ServerException", trouble.to_string());
        let only_reads = ["Describe", "List", "Get", "Discover"].iter().any(|verb| operation.starts_with(verb));
        if let Some(trouble) = region.trouble().filter(|_| !only_reads) {
            return Err(refused(trouble));
        }
        let answered = handler(&Call { region: &region, input: Members(&input) });
        match region.settle() {
            Err(trouble) if !only_reads => return Err(refused(trouble)),
            // Reads go on while the disk refuses.
            _ => {}
        }
        let answered = answered?;
        let Some(place) = &known.output else { return Ok(json!({})) };
        let mut mistakes = Vec::new();
        let answer = answer::fit(model, place, answered, &mut mistakes);
        debug_assert!(mistakes.is_empty(), "{operation} answers what its model has not: {mistakes:?}");
        Ok(answer)
    }

    /// How many clusters run, in all regions.
    pub fn cluster_count(&self) -> usize {
        self.all_regions().iter().map(|region| region.clusters().len()).sum()
    }

    /// Ends all clusters in good order, as ECS drains: services go to zero, standalone tasks have their stop timeout. Returns each
    /// as it was at its end, by region and name. Requests find no clusters from here on.
    pub fn drain(&self) -> Vec<Snapshot> {
        let regions = std::mem::take(&mut *self.regions.lock());
        let live: Vec<Arc<LiveCluster>> = regions.into_values().flat_map(|region| region.end_all_clusters()).collect();
        live.iter().for_each(|live| live.cluster.drain());
        let ended = live.into_iter().filter_map(|live| {
            while !live.cluster.is_over() {
                std::thread::sleep(DRAIN_CHECKS);
            }
            // A request that is still being carried out has it too, and lets go of it without anybody having to wait.
            Arc::into_inner(live).map(|live| live.cluster.wait())
        });
        ended.collect()
    }

    /// Ends all clusters at once: those that a data directory has go on when it is served again.
    pub fn end(&self) {
        let regions = std::mem::take(&mut *self.regions.lock());
        drop(regions);
    }

    fn all_regions(&self) -> Vec<Arc<Region>> {
        self.regions.lock().values().cloned().collect()
    }

    /// Forgets everything: clusters end at once, registries are empty. For test suites.
    pub fn reset(&self) {
        self.end();
    }
}

fn handler_of(service: Service, operation: &str) -> Option<Handler> {
    match service {
        Service::Ecs => operations::of_ecs(operation),
        Service::ApplicationAutoScaling => operations::of_application_auto_scaling(operation),
        Service::AutoScaling => operations::of_auto_scaling(operation),
        Service::Ec2 => operations::of_ec2(operation),
        Service::Sts => operations::of_sts(operation),
    }
}

/// A moment of a cluster as AWS JSON has it: seconds since 1970, with milliseconds behind the point.
pub(crate) fn seconds(calendar_start: jiff::Timestamp, at: Timestamp) -> Value {
    epoch_seconds(at.calendar(calendar_start))
}

/// A calendar moment as AWS JSON has it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 have 41 bits")]
pub(crate) fn epoch_seconds(at: jiff::Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}

/// Tags as ECS has them: a list of keys and values, of which a later one of the same key counts. **Source:** ecs-semantics §1.6.
pub(crate) fn tags_of(list: &[Value]) -> BTreeMap<String, String> {
    let tags = list.iter().filter_map(Value::as_object).map(Members);
    tags.filter_map(|tag| Some((tag.text("key")?.to_owned(), tag.text("value").unwrap_or_default().to_owned())))
        .collect()
}

/// Tags as they are answered.
pub(crate) fn show_tags(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

/// A batch's entry for what is not there. **Source:** ecs-semantics §11.3.
pub(crate) fn missing(arn: impl Into<String>) -> Value {
    json!({"arn": arn.into(), "reason": "MISSING"})
}
