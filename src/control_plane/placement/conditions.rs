//! What a task asks of an instance beside resources: required attributes, its subnets' zones and queries, parted by what their answers depend on.
//!
//! What depends on the instance alone is answered once, when the instance is inserted, and parts the instances into cells; what
//! depends on the tasks there is asked anew of every instance that is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::PlacementRequest;
use super::chain::AVAILABILITY_ZONE;
use super::slot::{GroupIndex, Slot};
use crate::model::capacity::RequiredAttribute;
use crate::model::cluster_query::ClusterQuery;
use crate::model::service::PlacementConstraint;

/// The names of the groups that have tasks.
pub(super) type GroupNames = BTreeMap<GroupIndex, Arc<str>>;

/// What a request asks.
#[derive(Clone, Debug)]
pub(super) struct Conditions<'a> {
    required: &'a [RequiredAttribute],
    zones: &'a [Arc<str>],
    /// Queries about the instance alone.
    lasting: Vec<&'a ClusterQuery>,
    /// Queries about its tasks as well.
    passing: Vec<&'a ClusterQuery>,
}

impl<'a> Conditions<'a> {
    /// Takes the queries of a request apart.
    pub(super) fn of(request: &PlacementRequest<'a>) -> Conditions<'a> {
        let queries = request.constraints.iter().filter_map(|constraint| match constraint {
            PlacementConstraint::MemberOf(query) => Some(&**query),
            PlacementConstraint::DistinctInstance => None,
        });
        let (passing, lasting) = queries.flat_map(ClusterQuery::terms).partition(|term| term.depends_on_tasks());
        Conditions { required: request.required_attributes, zones: request.availability_zones, lasting, passing }
    }

    /// Whether an instance fulfils what depends on its tasks.
    pub(super) fn pass(&self, held: &Slot, names: &GroupNames) -> bool {
        self.passing.is_empty() || self.passing.iter().all(|query| held.is_member(query, names))
    }
}

/// Conditions on instances alone, kept with the instances that they part.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct LastingConditions {
    required: Vec<RequiredAttribute>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    zones: Vec<Arc<str>>,
    queries: Vec<ClusterQuery>,
}

impl LastingConditions {
    /// Keeps what of a request depends on instances alone.
    pub(super) fn of(conditions: &Conditions<'_>) -> LastingConditions {
        LastingConditions {
            required: conditions.required.to_vec(),
            zones: conditions.zones.to_vec(),
            queries: conditions.lasting.iter().map(|query| (*query).clone()).collect(),
        }
    }

    /// Whether a request asks just this.
    pub(super) fn are(&self, conditions: &Conditions<'_>) -> bool {
        self.required == conditions.required
            && self.zones == conditions.zones
            && self.queries.iter().eq(conditions.lasting.iter().copied())
    }

    /// Whether an instance fulfils them.
    pub(super) fn are_met(&self, held: &Slot) -> bool {
        self.required.iter().all(|required| required.is_had_by(&held.launch))
            && is_in(held, &self.zones)
            && self.queries.iter().all(|query| held.is_member(query, &GroupNames::new()))
    }
}

/// Whether an instance is in one of some zones, of which none is any. **Source:** ecs-semantics §4.5.
pub(super) fn is_in(held: &Slot, zones: &[Arc<str>]) -> bool {
    zones.is_empty() || held.attribute(AVAILABILITY_ZONE).is_some_and(|own| zones.iter().any(|zone| **zone == *own))
}
