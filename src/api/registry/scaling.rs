//! What Application Auto Scaling keeps of a scalable target beside what the control plane works with: names, times, and policies and
//! actions as they were sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A scalable target.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScalableTargetRow {
    /// The last part of its ARN.
    pub id: String,
    /// When it was registered.
    pub created_at: jiff::Timestamp,
    /// The role as it was sent, or the service's own.
    pub role_arn: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its policies by name.
    pub policies: BTreeMap<String, PolicyRow>,
    /// Its scheduled actions by name.
    pub actions: BTreeMap<String, ActionRow>,
}

/// A scaling policy.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRow {
    /// The UUID in its ARN.
    pub id: String,
    /// When it was first put.
    pub created_at: jiff::Timestamp,
    /// `PolicyType` and its configuration.
    pub document: Map<String, Value>,
}

/// A scheduled action.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRow {
    /// The UUID in its ARN.
    pub id: String,
    /// When it was first put.
    pub created_at: jiff::Timestamp,
}
