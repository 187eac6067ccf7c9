//! Subnets, as far as they mean something here: each is in an availability zone, and a task in `awsvpc` mode has its network interface in one
//! of those that it names.
//!
//! A subnet is known by `[[subnet]]`, by an Auto Scaling group or by an instance. *Ours:* who names one that nobody knows names no zone:
//! clients that were written for a real account name any.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::document::Document;
use super::task_definition::{NetworkMode, TaskDefinition};

/// Subnets of a network configuration at most. **Source:** ecs-semantics §1.7.
pub const SUBNETS_MAX: usize = 16;

/// The member of a document that names subnets.
pub const NETWORK_CONFIGURATION: &str = "networkConfiguration";

/// A subnet and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Its id, as in `subnet-0123abcd`.
    pub id: Arc<str>,
    /// Its availability zone.
    pub availability_zone: Arc<str>,
}

/// The subnets that are known, with their zones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Subnets(BTreeMap<Arc<str>, Arc<str>>);

impl Subnets {
    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Learns where a subnet is. Says whether that was not known: a subnet stays where it is.
    pub fn learn(&mut self, id: &Arc<str>, availability_zone: &Arc<str>) -> bool {
        if self.0.contains_key(id) || availability_zone.is_empty() {
            return false;
        }
        self.0.insert(id.clone(), availability_zone.clone());
        true
    }

    /// The zone of a subnet.
    pub fn zone_of(&self, id: &str) -> Option<&Arc<str>> {
        self.0.get(id)
    }

    /// The zones, each once and in order, that a task of a definition is held to by what its caller said; empty when it is held to none: in
    /// another mode than `awsvpc`, without subnets, or with one that nobody knows, which may be anywhere.
    /// **Source:** ecs-semantics §4.1, §4.5.
    pub fn zones_of(&self, definition: &TaskDefinition, said: &Document) -> Vec<Arc<str>> {
        if self.is_empty() || definition.network_mode != NetworkMode::Awsvpc {
            return Vec::new();
        }
        let zones: Option<Vec<&Arc<str>>> = subnets_of(said).map(|id| self.zone_of(id)).collect();
        let mut zones: Vec<Arc<str>> = zones.into_iter().flatten().cloned().collect();
        zones.sort_unstable();
        zones.dedup();
        zones
    }

    /// The subnet of a task in a zone: the first of those that its caller named there, or the first of all when the zone is not known or
    /// none is there.
    pub fn subnet_in<'a>(&self, zone: Option<&Arc<str>>, said: &'a Document) -> Option<&'a str> {
        let is_there = |id: &&str| zone.is_some_and(|zone| self.zone_of(id) == Some(zone));
        subnets_of(said).find(is_there).or_else(|| subnets_of(said).next())
    }
}

/// The subnets that a caller named.
pub fn subnets_of(said: &Document) -> impl Iterator<Item = &str> {
    let configuration = said.member(NETWORK_CONFIGURATION);
    let subnets = configuration.and_then(|found| found["awsvpcConfiguration"]["subnets"].as_array());
    subnets.into_iter().flatten().filter_map(Value::as_str)
}

/// What a caller says who names these subnets and nothing else; nothing when there are none.
pub fn document_of(subnets: &[Arc<str>]) -> Document {
    let mut said = Map::new();
    if !subnets.is_empty() {
        let subnets: Vec<&str> = subnets.iter().map(|id| &**id).collect();
        said.insert(NETWORK_CONFIGURATION.to_owned(), json!({"awsvpcConfiguration": {"subnets": subnets}}));
    }
    Document::from(said)
}
