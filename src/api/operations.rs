//! The operations, each with the function that answers it: the one place where a name becomes an act.
//!
//! Families stand together: a family's functions are in the file of its name.

use serde_json::Value;

use super::Call;
use super::error::ApiError;
use super::{clusters, task_definitions, tasks};

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
        "RegisterTaskDefinition" => task_definitions::register,
        "DescribeTaskDefinition" => task_definitions::describe,
        "DeregisterTaskDefinition" => task_definitions::deregister,
        "DeleteTaskDefinitions" => task_definitions::delete,
        "ListTaskDefinitions" => task_definitions::list,
        "ListTaskDefinitionFamilies" => task_definitions::list_families,
        "RunTask" => tasks::run,
        "StartTask" => tasks::start,
        "StopTask" => tasks::stop,
        "DescribeTasks" => tasks::describe,
        "ListTasks" => tasks::list,
        "ExecuteCommand" => tasks::execute_command,
        _ => return None,
    })
}
