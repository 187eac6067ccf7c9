//! Application Auto Scaling: scalable targets of services, their policies, scheduled actions and activities.
//!
//! What a target, a policy or an action does is decided by the control plane of the service's cluster, and what it is there is the truth;
//! the region's registry keeps beside it what is only given back. Of the namespaces there is `ecs` alone.
//!
//! **Source:** ecs-semantics §7; Application Auto Scaling API reference.

pub(super) mod activities;
pub(super) mod adopt;
pub(super) mod policies;
mod policy_document;
pub(super) mod scheduled_actions;
pub(super) mod tags;
pub(super) mod targets;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::Call;
use super::error::ApiError;
use super::members::Members;
use super::page::{PageForm, PageSizes, page_of};
use super::region::{LiveCluster, Region};
use crate::driver::running_cluster::AskError;
use crate::model::arn::ACCOUNT;

/// The one dimension of a service.
const DIMENSION: &str = "ecs:service:DesiredCount";
/// How the lists are paged. **Source:** API reference, `MaxResults`: 1 to 50, and 50 where nothing is said.
const PAGES: PageForm = PageForm {
    limit: "MaxResults",
    token: "NextToken",
    next_token: "NextToken",
    wrong_limit: "ValidationException",
    wrong_token: "InvalidNextTokenException",
};
const PAGE_SIZES: PageSizes = PageSizes { default: 50, most: 50 };

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", message)
}

/// One page of a list.
fn page<T>(
    input: Members<'_>,
    name: &str,
    items: impl IntoIterator<Item = (String, T)>,
    show: impl Fn(T) -> Value,
) -> Result<Value, ApiError> {
    Ok(Value::Object(page_of(PAGES, input, PAGE_SIZES, name, items, show)?))
}

/// A service by its resource id, `service/CLUSTER/NAME`.
#[derive(Clone, Debug)]
struct Resource {
    id: String,
    cluster: String,
    service: Arc<str>,
}

impl Resource {
    fn of(id: &str) -> Result<Resource, ApiError> {
        match id.split('/').collect::<Vec<_>>()[..] {
            ["service", cluster, service] if !cluster.is_empty() && !service.is_empty() => {
                Ok(Resource { id: id.to_owned(), cluster: cluster.to_owned(), service: service.into() })
            }
            _ => Err(validation(format!(
                "Unsupported service namespace, resource type or scalable dimension: '{id}' is not service/CLUSTER/NAME"
            ))),
        }
    }

    /// The one that a request is about. Its namespace and its dimension have to be those of services.
    fn of_request(input: Members<'_>) -> Result<Resource, ApiError> {
        check_kind(input)?;
        Resource::of(input.required_text("ResourceId"))
    }

    /// The cluster, where nothing can be done without a target.
    fn cluster_of_target(&self, region: &Region) -> Result<Arc<LiveCluster>, ApiError> {
        region.cluster(Some(&self.cluster)).map_err(|_| self.no_target())
    }

    /// **Source:** [3P], as observed of the service.
    fn no_target(&self) -> ApiError {
        ApiError::new(
            "ObjectNotFoundException",
            format!(
                "No scalable target registered for service namespace: ecs, resource ID: {}, scalable dimension: {DIMENSION}",
                self.id
            ),
        )
    }

    /// What a request to the cluster was refused with. A cluster that is over has no target.
    fn refusal(&self, error: AskError) -> ApiError {
        match error {
            AskError::Refused(error) => error.into(),
            AskError::Over(_) => self.no_target(),
        }
    }
}

/// Whether a request is about services.
fn check_kind(input: Members<'_>) -> Result<(), ApiError> {
    let is_ecs = input.text("ServiceNamespace") == Some("ecs");
    if is_ecs && input.text("ScalableDimension").is_none_or(|dimension| dimension == DIMENSION) {
        return Ok(());
    }
    Err(validation(
        "Unsupported service namespace, resource type or scalable dimension: here it is ecs and its services",
    ))
}

/// What a list is asked about: all services of the region, or one.
///
/// # Errors
/// When a dimension is named without a resource, as the API reference forbids.
fn asked_resource(input: Members<'_>) -> Result<Option<Resource>, ApiError> {
    check_kind(input)?;
    match input.text("ResourceId") {
        Some(id) => Resource::of(id).map(Some),
        None if input.has("ScalableDimension") => Err(validation("ScalableDimension needs a ResourceId")),
        None => Ok(None),
    }
}

/// The clusters that a list is about.
fn clusters_of(call: &Call<'_>, resource: Option<&Resource>) -> Vec<Arc<LiveCluster>> {
    match resource {
        Some(resource) => call.region.cluster(Some(&resource.cluster)).into_iter().collect(),
        None => call.region.clusters(),
    }
}

/// A name in the form of a UUID, of what makes a thing that very one.
fn uuid_of(parts: impl Hash) -> String {
    // Its keys are fixed: the same parts make the same name in every process.
    let half = |which: u8| {
        let mut hasher = DefaultHasher::new();
        (which, &parts).hash(&mut hasher);
        hasher.finish()
    };
    let digits = format!("{:016x}{:016x}", half(0), half(1));
    format!("{}-{}-4{}-a{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..])
}

/// `arn:aws:autoscaling:REGION:ACCOUNT:KIND:UUID:resource/ecs/RESOURCE:KINDName/NAME`.
fn arn_of(region: &Region, kind: &str, id: &str, resource: &str, name: &str) -> String {
    let name_kind = kind.strip_prefix("scalingP").map_or_else(|| format!("{kind}Name"), |_| "policyName".to_owned());
    format!("arn:aws:autoscaling:{}:{ACCOUNT}:{kind}:{id}:resource/ecs/{resource}:{name_kind}/{name}", region.name)
}

/// A whole number that is not negative.
fn count_of(input: Members<'_>, name: &str) -> Result<Option<u32>, ApiError> {
    let Some(value) = input.integer(name) else { return Ok(None) };
    let count = u32::try_from(value);
    count.map(Some).map_err(|_| validation(format!("{name} must be greater than or equal to 0, and is {value}")))
}
