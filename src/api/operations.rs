//! The operations, each with the function that answers it: the one place where a name becomes an act.
//!
//! Families stand together: a family's functions are in the file of its name.

use serde_json::Value;

use super::Call;
use super::error::ApiError;
use super::{
    account_settings, agents, application_auto_scaling as scaling, attributes, auto_scaling, capacity_providers,
    clusters, container_instances, ec2, instance_refreshes, launch_templates, service_deployments, services, sts, tags,
    task_definitions, task_protection, task_sets, tasks,
};

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
        "CreateService" => services::create,
        "UpdateService" => services::update,
        "DeleteService" => services::delete,
        "DescribeServices" => services::describe,
        "ListServices" => services::list,
        "ListServicesByNamespace" => services::list_by_namespace,
        "DescribeServiceDeployments" => service_deployments::describe,
        "ListServiceDeployments" => service_deployments::list,
        "StopServiceDeployment" => service_deployments::stop,
        "ContinueServiceDeployment" => service_deployments::continue_at,
        "DescribeServiceRevisions" => service_deployments::describe_revisions,
        "TagResource" => tags::tag,
        "UntagResource" => tags::untag,
        "ListTagsForResource" => tags::list,
        "RegisterContainerInstance" => agents::register,
        "DiscoverPollEndpoint" => agents::discover_poll_endpoint,
        "UpdateContainerAgent" => agents::update_agent,
        "SubmitTaskStateChange" => agents::submit_task,
        "SubmitContainerStateChange" => agents::submit_container,
        "SubmitAttachmentStateChanges" => agents::submit_attachments,
        "CreateTaskSet" => task_sets::create,
        "UpdateTaskSet" => task_sets::update,
        "DeleteTaskSet" => task_sets::delete,
        "DescribeTaskSets" => task_sets::describe,
        "UpdateServicePrimaryTaskSet" => task_sets::make_primary,
        "GetTaskProtection" => task_protection::get,
        "UpdateTaskProtection" => task_protection::update,
        "CreateCapacityProvider" => capacity_providers::create,
        "UpdateCapacityProvider" => capacity_providers::update,
        "DeleteCapacityProvider" => capacity_providers::delete,
        "DescribeCapacityProviders" => capacity_providers::describe,
        "PutClusterCapacityProviders" => capacity_providers::put_of_cluster,
        "DescribeContainerInstances" => container_instances::describe,
        "ListContainerInstances" => container_instances::list,
        "UpdateContainerInstancesState" => container_instances::update_state,
        "DeregisterContainerInstance" => container_instances::deregister,
        "PutAttributes" => attributes::put,
        "DeleteAttributes" => attributes::delete,
        "ListAttributes" => attributes::list,
        "PutAccountSetting" => account_settings::put,
        "PutAccountSettingDefault" => account_settings::put_default,
        "DeleteAccountSetting" => account_settings::delete,
        "ListAccountSettings" => account_settings::list,
        _ => return None,
    })
}

/// The handler of an operation of EC2 Auto Scaling.
pub(super) fn of_auto_scaling(operation: &str) -> Option<Handler> {
    Some(match operation {
        "CreateAutoScalingGroup" => auto_scaling::create,
        "UpdateAutoScalingGroup" => auto_scaling::update,
        "DescribeAutoScalingGroups" => auto_scaling::describe,
        "SetDesiredCapacity" => auto_scaling::set_desired_capacity,
        "DeleteAutoScalingGroup" => auto_scaling::delete,
        "DescribeAutoScalingInstances" => auto_scaling::describe_instances,
        "TerminateInstanceInAutoScalingGroup" => auto_scaling::terminate_instance,
        "SetInstanceProtection" => auto_scaling::set_protection,
        "StartInstanceRefresh" => instance_refreshes::start,
        "DescribeInstanceRefreshes" => instance_refreshes::describe,
        "CancelInstanceRefresh" => instance_refreshes::cancel,
        "RollbackInstanceRefresh" => instance_refreshes::roll_back,
        "CreateLaunchConfiguration" => auto_scaling::create_configuration,
        "DescribeLaunchConfigurations" => auto_scaling::describe_configurations,
        "DeleteLaunchConfiguration" => auto_scaling::delete_configuration,
        _ => return None,
    })
}

/// The handler of an operation of EC2.
pub(super) fn of_ec2(operation: &str) -> Option<Handler> {
    Some(match operation {
        "RunInstances" => ec2::run_instances,
        "DescribeInstances" => ec2::describe_instances,
        "TerminateInstances" => ec2::terminate_instances,
        "DescribeInstanceTypes" => ec2::describe_instance_types,
        "DescribeAvailabilityZones" => ec2::describe_zones,
        "CreateLaunchTemplate" => launch_templates::create,
        "DescribeLaunchTemplates" => launch_templates::describe,
        "DeleteLaunchTemplate" => launch_templates::delete,
        "CreateLaunchTemplateVersion" => launch_templates::create_version,
        "DescribeLaunchTemplateVersions" => launch_templates::describe_versions,
        "ModifyLaunchTemplate" => launch_templates::modify,
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
