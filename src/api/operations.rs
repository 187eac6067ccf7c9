//! The operations, each with the function that answers it: the one place where a name becomes an act.
//!
//! Families stand together: a family's functions are in the file of its name.

use serde_json::Value;

use super::Call;
use super::clusters;
use super::error::ApiError;

/// What answers an operation.
pub(super) type Handler = for<'a> fn(&Call<'a>) -> Result<Value, ApiError>;

/// The handler of an operation of ECS.
pub(super) fn of_ecs(operation: &str) -> Option<Handler> {
    Some(match operation {
        "CreateCluster" => clusters::create,
        "DescribeClusters" => clusters::describe,
        "ListClusters" => clusters::list,
        "UpdateCluster" => clusters::update,
        "UpdateClusterSettings" => clusters::update_settings,
        "DeleteCluster" => clusters::delete,
        _ => return None,
    })
}
