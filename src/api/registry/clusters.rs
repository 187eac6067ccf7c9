//! Clusters as they were created: what their control planes have no use for, and give back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A cluster.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterRow {
    /// Whether it is there.
    pub status: ClusterStatus,
    /// `configuration` and `serviceConnectDefaults`, as they were sent.
    pub document: Map<String, Value>,
    /// Its settings, by name.
    pub settings: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Names of its capacity providers, in the order that they were given in.
    pub capacity_providers: Vec<Arc<str>>,
    /// Its default strategy, as it was sent.
    pub default_strategy: Vec<Value>,
    /// The seed of its ids: no two clusters of a process show the same ones.
    pub seed: u64,
}

/// ECS' statuses of a cluster that are seen here: it takes no time to make one. **Source:** ecs-semantics §1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterStatus {
    /// It takes requests.
    Active,
    /// It was deleted, and may be described for a while.
    Inactive,
}

impl ClusterStatus {
    /// ECS' wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            ClusterStatus::Active => "ACTIVE",
            ClusterStatus::Inactive => "INACTIVE",
        }
    }
}
