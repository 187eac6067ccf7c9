//! Target groups: what a service's load balancer routes to, and how the health of a target is found out.
//!
//! *Ours:* guests have no network, so that the request is a job. A target is a container of a task, and it answers for as long as it
//! takes jobs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::arn::ACCOUNT;
use super::fnv::{FNV_OFFSET, fnv1a};
use super::units::Duration;
use super::written_form::is_default;

/// Target groups of a service at most. **Source:** ecs-semantics §1.7.
pub const TARGET_GROUPS_MAX: usize = 5;

/// A target group of Elastic Load Balancing. **Source:** Elastic Load Balancing API reference, CreateTargetGroup.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetGroup {
    /// Its name, unique in the cluster.
    pub name: Arc<str>,
    /// What it is called outside the cluster.
    pub arn: Arc<str>,
    /// How long a target that is deregistered may take for what it has begun: `deregistration_delay.timeout_seconds`.
    pub deregistration_delay: Duration,
    /// How the health of its targets is found out.
    pub health_check: TargetHealthCheck,
}

impl TargetGroup {
    /// ELB's default of the deregistration delay.
    pub const DEREGISTRATION_DELAY: Duration = Duration::from_secs(300);

    /// `arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`. *Ours:* the id, 16 hexadecimal digits, follows from region and name.
    pub fn arn_of(region: &str, name: &str) -> Arc<str> {
        // Its bits are mixed so that names that differ little have ids that differ much.
        let bytes = region.bytes().chain([b'/']).chain(name.bytes());
        let hash = fnv1a(FNV_OFFSET, bytes);
        let mixed = (hash ^ hash >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = mixed ^ mixed >> 29;
        format!("arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:targetgroup/{name}/{id:016x}").into()
    }

    /// What CloudWatch knows it by: the end of its ARN, `targetgroup/NAME/ID`.
    pub fn dimension(&self) -> &str {
        self.arn.rsplit_once(':').map_or(&*self.arn, |(_, end)| end)
    }
}

/// A target group's health check. **Source:** Elastic Load Balancing user guide, health checks for Application Load Balancer target groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetHealthCheck {
    /// From one check to the next: 5 to 300 s.
    pub interval: Duration,
    /// How long a target may take to answer: 2 to 120 s, less than the interval.
    pub timeout: Duration,
    /// Passes in a row that make an unhealthy target healthy: 2 to 10.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy: 2 to 10.
    pub unhealthy_threshold: u32,
}

impl Default for TargetHealthCheck {
    fn default() -> TargetHealthCheck {
        TargetHealthCheck {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            healthy_threshold: 5,
            unhealthy_threshold: 2,
        }
    }
}

/// `loadBalancers` of a service: a container whose port is a target. **Source:** ecs-semantics §5.5, §11.6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LoadBalancer {
    /// The name of the target group.
    pub target_group: Arc<str>,
    /// The container.
    pub container_name: Arc<str>,
    /// A port that it has mapped.
    pub container_port: u16,
    /// The name of the other target group, where deployments that move traffic go from one to the other: `alternateTargetGroupArn`.
    /// **Source:** ecs-semantics §5.8.
    #[serde(default, skip_serializing_if = "is_default")]
    pub alternate: Option<Arc<str>>,
}

impl LoadBalancer {
    /// The target groups that it names.
    pub fn target_groups(&self) -> impl Iterator<Item = &Arc<str>> {
        [&self.target_group].into_iter().chain(&self.alternate)
    }
}

/// The health of a target. **Source:** Elastic Load Balancing API reference, TargetHealth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// No check has passed yet.
    #[default]
    Initial,
    /// It answers.
    Healthy,
    /// It does not.
    Unhealthy,
    /// It is deregistered and ends what it has begun.
    Draining,
}

impl TargetState {
    /// ELB's wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetState::Initial => "initial",
            TargetState::Healthy => "healthy",
            TargetState::Unhealthy => "unhealthy",
            TargetState::Draining => "draining",
        }
    }

    /// ELB's reason code and description of it; `None` where it has none. *Ours:* a target here fails in no other way.
    pub fn reason(self) -> Option<(&'static str, &'static str)> {
        match self {
            TargetState::Initial => Some(("Elb.InitialHealthChecking", "Initial health checks in progress")),
            TargetState::Healthy => None,
            TargetState::Unhealthy => Some(("Target.Timeout", "Request timed out")),
            TargetState::Draining => Some(("Target.DeregistrationInProgress", "Target deregistration is in progress")),
        }
    }
}

/// A target that a task is to be, as its data plane needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetStart {
    /// The name of the target group.
    pub target_group: Arc<str>,
    /// The container, by its index in the task definition.
    #[serde(default, skip_serializing_if = "is_default")]
    pub container_index: usize,
    /// How its health is found out.
    pub health_check: TargetHealthCheck,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ARNs are ELB's in form, the same each time, and another for each name and region.
    #[test]
    fn arns() {
        let arn = TargetGroup::arn_of("eu-west-1", "web");
        let (front, id) = arn.rsplit_once('/').expect("it has an id");
        assert_eq!(front, "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web");
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(arn, TargetGroup::arn_of("eu-west-1", "web"));
        let others =
            [("eu-west-1", "api"), ("eu-west-2", "web")].map(|(region, name)| TargetGroup::arn_of(region, name));
        assert!(others.iter().all(|other| !other.ends_with(id)), "{others:?}");
    }
}
