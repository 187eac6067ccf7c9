//! `loadBalancers` of services: those whose target groups are the cluster file's are the real thing.
//!
//! *Ours:* there is no API of Elastic Load Balancing here, so that an ARN which no `[[target_group]]` has is stored, given back and nothing
//! more, as all of `loadBalancers` is where there are none.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::ApiError;
use super::members::Members;
use super::region::LiveCluster;
use crate::driver::reads::ReadContext;
use crate::model::target_group::{LoadBalancer, TargetGroup};

/// The member.
pub(super) const LOAD_BALANCERS: &str = "loadBalancers";

/// Those of a request whose target groups the cluster has.
pub(super) fn read(live: &LiveCluster, input: Members<'_>) -> Result<Vec<LoadBalancer>, ApiError> {
    if input.list(LOAD_BALANCERS).is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<(Arc<str>, Arc<str>)> = live.cluster.read(|state, _| {
        let groups = state.target_groups.values();
        groups.map(|group| (group.arn.clone(), group.name.clone())).collect()
    })?;
    let name_of = |arn: &str| names.iter().find(|(known, _)| **known == *arn).map(|(_, name)| name.clone());
    let known = input.structures(LOAD_BALANCERS).filter_map(|one| Some((one, name_of(one.text("targetGroupArn")?)?)));
    known
        .map(|(one, target_group)| {
            let advanced = one.structure("advancedConfiguration");
            let alternate = advanced.and_then(|found| name_of(found.text("alternateTargetGroupArn")?));
            let container = one.text("containerName");
            let port = one.integer("containerPort").and_then(|port| u16::try_from(port).ok());
            match (container, port) {
                (Some(container), Some(container_port)) => {
                    Ok(LoadBalancer { target_group, container_name: container.into(), container_port, alternate })
                }
                _ => Err(ApiError::invalid_parameter(
                    "Both containerName and containerPort are required of a load balancer with a target group.",
                )),
            }
        })
        .collect()
}

/// Those of a service, as its document has them if its creator sent some, and else as its cluster file says.
pub(super) fn show(sent: Option<&Value>, load_balancers: &[LoadBalancer], context: &ReadContext<'_>) -> Value {
    sent.cloned().unwrap_or_else(|| of_file(load_balancers, &context.arns.region))
}

/// Those that a cluster file names, as DescribeServices has them.
pub(super) fn of_file(load_balancers: &[LoadBalancer], region: &str) -> Value {
    let one = |one: &LoadBalancer| {
        let mut shown = json!({
            "targetGroupArn": &*TargetGroup::arn_of(region, &one.target_group),
            "containerName": &*one.container_name,
            "containerPort": one.container_port,
        });
        if let Some(alternate) = &one.alternate {
            let arn = TargetGroup::arn_of(region, alternate);
            shown["advancedConfiguration"] = json!({"alternateTargetGroupArn": &*arn});
        }
        shown
    };
    load_balancers.iter().map(one).collect()
}

/// `resolvedConfiguration` of a revision: which of its target groups it is in.
pub(super) fn resolved(target_groups: &[Arc<str>], region: &str) -> Value {
    let one = |name: &Arc<str>| json!({"targetGroupArn": &*TargetGroup::arn_of(region, name)});
    json!({"loadBalancers": target_groups.iter().map(one).collect::<Value>()})
}
