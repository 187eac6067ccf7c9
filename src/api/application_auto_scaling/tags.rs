//! Tags of scalable targets: ListTagsForResource, TagResource, UntagResource.
//!
//! **Source:** API reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::targets::arn_of;
use crate::api::Call;
use crate::api::error::ApiError;
use crate::api::members::Members;
use crate::api::registry::Registry;
use crate::api::registry::scaling::ScalableTargetRow;

/// Tags of one target at most. **Source:** API reference, TagResource.
const TAGS_MAX: usize = 50;

/// ListTagsForResource.
pub fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let registry = call.region.registry();
    let row = named(call, &registry).and_then(|resource| registry.scalable_targets.get(&resource));
    row.map(|row| json!({"Tags": row.tags})).ok_or_else(|| not_found(call))
}

/// TagResource.
pub fn tag(call: &Call<'_>) -> Result<Value, ApiError> {
    change(call, |row| {
        let mut tags = row.tags.clone();
        tags.extend(tags_in(call.input, "Tags"));
        check_tags(&tags)?;
        row.tags = tags;
        Ok(json!({}))
    })
}

/// UntagResource.
pub fn untag(call: &Call<'_>) -> Result<Value, ApiError> {
    change(call, |row| {
        call.input.texts("TagKeys").for_each(|key| drop(row.tags.remove(key)));
        Ok(json!({}))
    })
}

/// The tags in a map of a request.
pub(super) fn tags_in(input: Members<'_>, name: &str) -> BTreeMap<String, String> {
    let tags = input.structure(name).map(|tags| tags.0.iter()).into_iter().flatten();
    tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// # Errors
/// When they are too many.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    match tags.len() {
        0..=TAGS_MAX => Ok(()),
        _ => Err(ApiError::new("TooManyTagsException", format!("a scalable target has {TAGS_MAX} tags at most"))),
    }
}

/// Changes what is kept of the target that a request names by its ARN.
fn change<R>(
    call: &Call<'_>,
    change: impl FnOnce(&mut ScalableTargetRow) -> Result<R, ApiError>,
) -> Result<R, ApiError> {
    let mut registry = call.region.registry();
    let resource = named(call, &registry).ok_or_else(|| not_found(call))?;
    registry.scalable_targets.update(&resource, change).unwrap_or_else(|| Err(not_found(call)))
}

/// The resource id of the target that a request names by its ARN.
fn named(call: &Call<'_>, registry: &Registry) -> Option<Arc<str>> {
    let arn = call.input.required_text("ResourceARN");
    let mut rows = registry.scalable_targets.iter();
    rows.find(|(_, row)| arn_of(call.region, &row.id) == arn).map(|(resource, _)| resource.clone())
}

fn not_found(call: &Call<'_>) -> ApiError {
    let arn = call.input.required_text("ResourceARN");
    let mut error = ApiError::new("ResourceNotFoundException", format!("The resource doesn't exist: {arn}"));
    error.members.insert("ResourceName".to_owned(), json!(arn));
    error
}
