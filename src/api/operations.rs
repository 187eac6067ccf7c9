//! The operations, each with the function that answers it: the one place where a name becomes an act.
//!
//! Families stand together: a family's functions are in the file of its name.

use serde_json::Value;

use super::Call;
use super::error::ApiError;
use super::{application_auto_scaling as scaling, clusters, sts};
use super::{task_definitions, tasks};

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

/// The handler of an operation of Application Auto Scaling.
pub(super) fn of_application_auto_scaling(operation: &str) -> Option<Handler> {
    Some(match operation {
        "RegisterScalableTarget" => scaling::targets::register,
        "DescribeScalableTargets" => scaling::targets::describe,
        "DeregisterScalableTarget" => scaling::targets::deregister,
        "PutScalingPolicy" => scaling::policies::put,
        "DescribeScalingPolicies" => scaling::policies::describe,
        "DeleteScalingPolicy" => scaling::policies::delete,
        "GetPredictiveScalingForecast" => scaling::policies::forecast,
        "PutScheduledAction" => scaling::scheduled_actions::put,
        "DescribeScheduledActions" => scaling::scheduled_actions::describe,
        "DeleteScheduledAction" => scaling::scheduled_actions::delete,
        "DescribeScalingActivities" => scaling::activities::describe,
        "ListTagsForResource" => scaling::tags::list,
        "TagResource" => scaling::tags::tag,
        "UntagResource" => scaling::tags::untag,
        _ => return None,
    })
}

/// The handler of an operation of STS.
pub(super) fn of_sts(operation: &str) -> Option<Handler> {
    match operation {
        "GetCallerIdentity" => Some(sts::caller_identity),
        _ => None,
    }
}
