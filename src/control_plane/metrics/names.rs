//! The names and dimensions of ECS' metrics, and of those of others that are kept beside them.
//!
//! **Source:** ecs-semantics §6.3, §7.2, §10.1, §10.2.

use crate::model::alarm::{MetricId, Statistic};
use crate::model::scaling::{PredefinedMetric, TrackedMetric};

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

/// What a target tracking policy of a service reads.
pub fn tracked(metric: &TrackedMetric, cluster: &str, service: &str) -> (MetricId, Statistic) {
    match metric {
        TrackedMetric::Predefined(predefined) => {
            let name = match predefined {
                PredefinedMetric::AverageCpuUtilization => "CPUUtilization",
                PredefinedMetric::AverageMemoryUtilization => "MemoryUtilization",
            };
            (of_service(AWS_ECS, name, cluster, service), Statistic::Average)
        }
        TrackedMetric::RequestCountPerTarget { .. } => {
            (of_target_group("RequestCountPerTarget", service), Statistic::Sum)
        }
        TrackedMetric::Customized { metric, statistic } => (metric.clone(), *statistic),
    }
}
