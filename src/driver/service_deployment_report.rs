//! The service deployments of a report: what each was to lead to, by which strategy, how far it came and why no further.

use serde::Serialize;

use super::report::iso;
use super::snapshot::Snapshot;
use crate::control_plane::deployment_records::{HookRecord, ServiceDeployment};
use crate::control_plane::state::Service;
use crate::model::traffic::TrafficWeight;

/// A service deployment. **Source:** ecs-semantics §5.8, §11.6.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct ServiceDeploymentReport {
    pub id: String,
    pub strategy: &'static str,
    pub source_service_revisions: Vec<RevisionReport>,
    pub target_service_revision: RevisionReport,
    pub status: &'static str,
    pub status_reason: Option<String>,
    pub lifecycle_stage: Option<&'static str>,
    pub lifecycle_hook_details: Vec<HookReport>,
    pub rollback_reason: Option<String>,
    pub created_at: String,
    pub finished_at: Option<String>,
}

/// A revision of a service, with its share of the traffic while a deployment moves it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct RevisionReport {
    pub id: String,
    pub task_definition: String,
    pub running_task_count: u32,
    pub pending_task_count: u32,
    /// In percent; null while no traffic is moved.
    pub requested_production_traffic_weight: Option<String>,
    pub requested_test_traffic_weight: Option<String>,
}

/// A lifecycle hook at a stage.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are ECS' names")]
pub struct HookReport {
    pub hook_id: String,
    pub target: String,
    pub target_type: &'static str,
    pub lifecycle_stage: &'static str,
    pub status: &'static str,
    pub reason: Option<String>,
}

/// The service deployments of a service, oldest first.
pub(super) fn service_deployment_reports(snapshot: &Snapshot, service: &Service) -> Vec<ServiceDeploymentReport> {
    service.service_deployments.iter().map(|record| report(snapshot, service, record)).collect()
}

fn report(snapshot: &Snapshot, service: &Service, record: &ServiceDeployment) -> ServiceDeploymentReport {
    let revision = |revision: &crate::control_plane::deployment_records::ServiceRevision| {
        let running = service.deployments.iter().find(|deployment| deployment.revision.id == revision.id);
        let weight = |weight: Option<TrafficWeight>| weight.map(|weight| weight.to_string());
        RevisionReport {
            id: snapshot.ids.service_revision(revision.id),
            task_definition: revision.task_definition.to_string(),
            running_task_count: running.map_or(0, |deployment| deployment.running_count()),
            pending_task_count: running.map_or(0, |deployment| deployment.pending_count()),
            requested_production_traffic_weight: weight(
                running.and_then(|deployment| service.traffic.production_of(deployment.id)),
            ),
            requested_test_traffic_weight: weight(
                running.and_then(|deployment| service.traffic.test_of(deployment.id)),
            ),
        }
    };
    ServiceDeploymentReport {
        id: snapshot.ids.service_deployment(record.id),
        strategy: record.configuration.strategy.as_str(),
        source_service_revisions: record.source.iter().map(|source| revision(source)).collect(),
        target_service_revision: revision(&record.target),
        status: record.status.as_str(),
        status_reason: record.status_reason.as_deref().map(str::to_owned),
        lifecycle_stage: record.lifecycle_stage.map(|stage| stage.as_str()),
        lifecycle_hook_details: record.lifecycle_hooks.iter().map(|hook| hook_report(snapshot, hook)).collect(),
        rollback_reason: record.rollback.as_ref().map(|rollback| rollback.reason.to_string()),
        created_at: iso(snapshot, record.created_at),
        finished_at: record.finished_at.map(|at| iso(snapshot, at)),
    }
}

fn hook_report(snapshot: &Snapshot, hook: &HookRecord) -> HookReport {
    HookReport {
        hook_id: snapshot.ids.hook(hook.id),
        target: hook.target.name(),
        target_type: hook.target.type_str(),
        lifecycle_stage: hook.stage.as_str(),
        status: hook.status.as_str(),
        reason: hook.reason.as_deref().map(str::to_owned),
    }
}
