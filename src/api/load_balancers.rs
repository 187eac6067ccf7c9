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
    let sent = || input.structures(LOAD_BALANCERS).filter_map(|one| Some((one, one.text("targetGroupArn")?)));
    let arns: Vec<String> = sent().map(|(_, arn)| arn.to_owned()).collect();
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<Option<Arc<str>>> = live.cluster.read(move |state, _| {
        let name_of = |arn: &String| {
            let found = state.target_groups.values().find(|group| *group.arn == **arn);
            found.map(|group| group.name.clone())
        };
        arns.iter().map(name_of).collect()
    })?;
    let known = sent().zip(names).filter_map(|((one, _), name)| Some((one, name?)));
    known
        .map(|(one, target_group)| {
            let container = one.text("containerName");
            let port = one.integer("containerPort").and_then(|port| u16::try_from(port).ok());
            match (container, port) {
                (Some(container), Some(container_port)) => {
                    Ok(LoadBalancer { target_group, container_name: container.into(), container_port })
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
        json!({
            "targetGroupArn": &*TargetGroup::arn_of(region, &one.target_group),
            "containerName": &*one.container_name,
            "containerPort": one.container_port,
        })
    };
    load_balancers.iter().map(one).collect()
}
