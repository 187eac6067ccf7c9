//! The names and dimensions of ECS' metrics, and of those of others that are kept beside them.
//!
//! **Source:** ecs-semantics §6.3, §7.2, §10.1, §10.2.

use crate::model::alarm::{MetricId, Statistic};
use crate::model::scaling::{PredefinedMetric, PredictiveScaling, TargetTracking, TrackedMetric};
use crate::model::target_group::TargetGroup;

/// The namespace of utilisation and reservation.
pub const AWS_ECS: &str = "AWS/ECS";
/// The namespace of `CapacityProviderReservation`.
pub const MANAGED_SCALING: &str = "AWS/ECS/ManagedScaling";
/// The namespace of load balancers' requests.
pub const APPLICATION_ELB: &str = "AWS/ApplicationELB";
/// The namespace of EC2 instances.
pub const AWS_EC2: &str = "AWS/EC2";
/// The namespace of Container Insights.
pub const CONTAINER_INSIGHTS: &str = "ECS/ContainerInsights";

/// The namespace of what policies work out of other metrics. *Ours.*
pub const METRIC_MATH: &str = "AWS/ApplicationAutoScaling";

/// A metric of the whole cluster.
pub fn of_cluster(namespace: &str, name: &str, cluster: &str) -> MetricId {
    MetricId::new(namespace, name, &[("ClusterName", cluster)])
}

/// A metric of a service.
pub fn of_service(namespace: &str, name: &str, cluster: &str, service: &str) -> MetricId {
    MetricId::new(namespace, name, &[("ClusterName", cluster), ("ServiceName", service)])
}

/// A metric of an EC2 instance.
pub fn of_ec2_instance(name: &str, ec2_instance: &str) -> MetricId {
    MetricId::new(AWS_EC2, name, &[("InstanceId", ec2_instance)])
}

/// `CapacityProviderReservation` of a provider.
pub fn capacity_provider_reservation(cluster: &str, provider: &str) -> MetricId {
    let dimensions = [("ClusterName", cluster), ("CapacityProviderName", provider)];
    MetricId::new(MANAGED_SCALING, "CapacityProviderReservation", &dimensions)
}

/// A metric of the requests that a service is sent. *Ours:* a service's jobs are its requests, and its target group is named after it.
pub fn of_target_group(name: &str, service: &str) -> MetricId {
    MetricId::new(APPLICATION_ELB, name, &[("TargetGroup", &format!("targetgroup/{service}"))])
}

/// A metric of a target group of a load balancer.
pub fn of_targets(name: &str, group: &TargetGroup) -> MetricId {
    MetricId::new(APPLICATION_ELB, name, &[("TargetGroup", group.dimension())])
}

/// What the expressions of a policy come to. *Ours:* the number is kept as a metric of its own.
fn of_policy(cluster: &str, service: &str, policy: &TargetTracking) -> MetricId {
    let dimensions = [("ClusterName", cluster), ("ServiceName", service), ("PolicyName", policy.name())];
    MetricId::new(METRIC_MATH, policy.metric.name(), &dimensions)
}

/// What a predictive scaling policy of a service reads.
pub fn forecast(policy: &PredictiveScaling, cluster: &str, service: &str) -> (MetricId, Statistic) {
    let tracking = TargetTracking::of(policy.metric.scaling_metric(), policy.target_thousandths);
    tracked(&tracking, cluster, service)
}

/// What a target tracking policy of a service reads.
pub fn tracked(policy: &TargetTracking, cluster: &str, service: &str) -> (MetricId, Statistic) {
    match &policy.metric {
        TrackedMetric::Predefined(predefined) => {
            let name = match predefined {
                PredefinedMetric::AverageCpuUtilization | PredefinedMetric::AverageCpuUtilizationHighResolution => {
                    "CPUUtilization"
                }
                PredefinedMetric::AverageMemoryUtilization
                | PredefinedMetric::AverageMemoryUtilizationHighResolution => "MemoryUtilization",
            };
            (of_service(AWS_ECS, name, cluster, service), Statistic::Average)
        }
        TrackedMetric::RequestCountPerTarget { .. } => {
            (of_target_group("RequestCountPerTarget", service), Statistic::Sum)
        }
        TrackedMetric::Customized { metric, statistic } => (metric.clone(), *statistic),
        TrackedMetric::Math(_) => (of_policy(cluster, service, policy), Statistic::Average),
    }
}
