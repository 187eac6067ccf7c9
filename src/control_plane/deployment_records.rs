//! Service deployments and service revisions: what a service was to become, how that went, and what it was before.
//!
//! A revision is an immutable snapshot; a service deployment leads from source revisions to a target and keeps its story when it
//! is over. Both are history: the scheduler writes them and decides nothing by them.
//!
//! **Source:** ecs-semantics §5.8.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::state::{ClusterState, Service};
use crate::model::capacity::LaunchTarget;
use crate::model::deployment::{LifecycleStage, MonitorStatus, ServiceDeploymentStatus};
use crate::model::deployment_hook::{HookStatus, HookTarget};
use crate::model::document::Document;
use crate::model::ids::{DeploymentId, HookId, ServiceDeploymentId, ServiceRevisionId, TaskId};
use crate::model::service::{DeploymentConfiguration, PlacementConstraint, PlacementStrategy};
use crate::model::target_group::LoadBalancer;
use crate::model::task_definition::TaskDefinition;
use crate::model::units::{Duration, Timestamp};

/// How long a service deployment that is over is kept. **Source:** ecs-semantics §5.8.
const KEPT_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// How many service deployments of a service are kept. *Ours:* bounds memory.
const KEPT_MAX: usize = 100;

/// What a service is at a moment: never changed once it is made. **Source:** ecs-semantics §5.8.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ServiceRevision {
    /// Its identity.
    pub id: ServiceRevisionId,
    /// The service.
    pub service: Arc<str>,
    /// What its tasks run.
    pub task_definition: Arc<TaskDefinition>,
    /// Where they run.
    pub launch_target: LaunchTarget,
    /// How instances are ranked.
    pub placement_strategy: Vec<PlacementStrategy>,
    /// What an instance must fulfil.
    pub placement_constraints: Vec<PlacementConstraint>,
    /// The target groups that its tasks are registered in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancers: Vec<LoadBalancer>,
    /// For each of these the target group that it is, this one or the alternate one: `resolvedConfiguration`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_groups: Vec<Arc<str>>,
    /// What else was said of the service. *Ours.*
    pub document: Document,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A way from one revision to another. **Source:** ecs-semantics §5.8.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServiceDeployment {
    /// Its identity.
    pub id: ServiceDeploymentId,
    /// The deployment that runs the target, as the legacy view names it.
    pub deployment: DeploymentId,
    /// Revisions that had tasks when it started, newest first; empty for a service that is new.
    pub source: Vec<Arc<ServiceRevision>>,
    /// What the service is to become.
    pub target: Arc<ServiceRevision>,
    /// How: as it was at the start.
    pub configuration: DeploymentConfiguration,
    /// How far it is.
    pub status: ServiceDeploymentStatus,
    /// Why it is not further, or ended as it did.
    pub status_reason: Option<Arc<str>>,
    /// The stage that it is in, by a strategy that has stages.
    pub lifecycle_stage: Option<LifecycleStage>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was over, whichever way.
    pub finished_at: Option<Timestamp>,
    /// When it was stopped, if it was.
    pub stopped_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The way back, if it took one.
    pub rollback: Option<RollbackRecord>,
    /// Its lifecycle hooks, each stage's in the order in which they were asked.
    pub lifecycle_hooks: Vec<HookRecord>,
    /// Its circuit breaker.
    pub circuit_breaker: BreakerRecord,
    /// Its alarms.
    pub alarms: AlarmsRecord,
}

/// A rollback. **Source:** ecs-semantics §5.8, §11.6.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct RollbackRecord {
    /// Why.
    pub reason: Arc<str>,
    /// When it began.
    pub started_at: Timestamp,
    /// What it goes back to.
    pub revision: Arc<ServiceRevision>,
}

/// A lifecycle hook at one stage: `lifecycleHookDetails`. **Source:** ecs-semantics §5.8.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct HookRecord {
    /// Its identity.
    pub id: HookId,
    /// Who was asked.
    pub target: HookTarget,
    /// At which stage.
    pub stage: LifecycleStage,
    /// What came of it.
    pub status: HookStatus,
    /// Why it failed, if it did.
    pub reason: Option<Arc<str>>,
    /// When it was first asked.
    pub started_at: Timestamp,
    /// When it times out.
    pub expires_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
}

/// A deployment's circuit breaker. **Source:** ecs-semantics §5.8, §11.6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct BreakerRecord {
    /// What it is doing.
    pub status: MonitorStatus,
    /// Failed tasks that count.
    pub failure_count: u32,
    /// With how many it trips.
    pub threshold: u32,
}

/// A deployment's alarms. **Source:** ecs-semantics §5.7, §5.8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct AlarmsRecord {
    /// What they are doing.
    pub status: MonitorStatus,
    /// Those that were in ALARM at the start and so are left out of account.
    pub ignored: BTreeSet<Arc<str>>,
    /// Those that ended the deployment.
    pub triggered: BTreeSet<Arc<str>>,
}

impl ServiceDeployment {
    /// Takes a step of the status machine. **Source:** ecs-semantics §5.8.
    ///
    /// # Panics
    /// When there is no such step: a bug of whoever steps.
    pub(super) fn become_status(&mut self, now: Timestamp, status: ServiceDeploymentStatus, reason: Option<Arc<str>>) {
        assert!(
            self.status.may_become(status),
            "service deployment {} is {:?} and can't be {status:?}",
            self.id,
            self.status
        );
        self.status = status;
        self.updated_at = now;
        if reason.is_some() {
            self.status_reason = reason;
        }
        match status {
            ServiceDeploymentStatus::InProgress => self.started_at = Some(now),
            ServiceDeploymentStatus::Stopped => self.stopped_at = Some(now),
            _ => {}
        }
        if status.is_final() {
            self.finished_at = Some(now);
            for monitor in [&mut self.circuit_breaker.status, &mut self.alarms.status] {
                if *monitor == MonitorStatus::Monitoring {
                    *monitor = MonitorStatus::Complete;
                }
            }
        }
    }

    /// Ends it where it is, by what is left of the status machine: STOPPED, or ROLLBACK_FAILED on its way back.
    pub(super) fn stop(&mut self, now: Timestamp, reason: &Arc<str>) {
        let reason = Some(reason.clone());
        match self.status {
            ServiceDeploymentStatus::Pending | ServiceDeploymentStatus::InProgress => {
                self.become_status(now, ServiceDeploymentStatus::StopRequested, reason.clone());
                self.become_status(now, ServiceDeploymentStatus::Stopped, reason);
            }
            ServiceDeploymentStatus::StopRequested | ServiceDeploymentStatus::RollbackRequested => {
                self.become_status(now, ServiceDeploymentStatus::Stopped, reason);
            }
            ServiceDeploymentStatus::RollbackInProgress => {
                self.become_status(now, ServiceDeploymentStatus::RollbackFailed, reason);
            }
            _ => {}
        }
    }
}

impl Service {
    /// The service deployment in flight; at most one is. **Source:** ecs-semantics §5.8.
    pub fn current_service_deployment(&self) -> Option<&ServiceDeployment> {
        self.service_deployments.back().filter(|last| !last.status.is_final())
    }

    /// What the tasks of a deployment run, also of one that is over, as long as there is a record of it.
    pub fn task_definition_of(&self, deployment: DeploymentId) -> Option<&Arc<TaskDefinition>> {
        let live = self.deployments.iter().find(|found| found.id == deployment).map(|found| &found.task_definition);
        let recorded = || self.service_deployments.iter().find(|record| record.deployment == deployment);
        let task_set =
            || self.deleted_task_sets.iter().find(|set| set.id == deployment).map(|set| &set.task_definition);
        live.or_else(|| recorded().map(|record| &record.target.task_definition)).or_else(task_set)
    }

    /// Its revisions of which there is a record, some more than once.
    pub fn revisions(&self) -> impl Iterator<Item = &Arc<ServiceRevision>> {
        let recorded = self.service_deployments.iter().flat_map(|record| record.source.iter().chain([&record.target]));
        recorded.chain(self.deployments.iter().map(|deployment| &deployment.revision))
    }

    pub(super) fn current_service_deployment_mut(&mut self) -> Option<&mut ServiceDeployment> {
        self.service_deployments.back_mut().filter(|last| !last.status.is_final())
    }
}

impl ControlPlane {
    /// Keeps the digests of a task's images as those of its revision: the first task's, which the later ones of its deployment have, too.
    /// **Source:** ecs-semantics §5.9.
    pub(super) fn keep_image_digests(&mut self, id: TaskId) {
        let ClusterState { tasks, services, .. } = &mut self.state;
        let task = &tasks[&id].task;
        let Some(service) = task.service.as_ref().and_then(|name| services.get_mut(name)) else { return };
        let deployment = service.deployments.iter().find(|deployment| Some(deployment.id) == task.deployment);
        let deployment = deployment.filter(|deployment| !deployment.is_unpinned());
        let Some(revision) = deployment.map(|deployment| deployment.revision.id) else { return };
        if !service.image_digests.contains_key(&revision) {
            let kept: BTreeSet<ServiceRevisionId> = service.revisions().map(|revision| revision.id).collect();
            service.image_digests.retain(|revision, _| kept.contains(revision));
        }
        let known = service.image_digests.entry(revision).or_default();
        known.resize(task.containers.len(), None);
        for (known, container) in known.iter_mut().zip(&task.containers) {
            *known = known.or(container.image_digest);
        }
    }

    /// Takes the snapshot of a service that is to run a task definition. **Source:** ecs-semantics §5.8.
    pub(super) fn new_revision(
        &mut self,
        spec: &crate::model::service::ServiceSpec,
        task_definition: &Arc<TaskDefinition>,
    ) -> Arc<ServiceRevision> {
        let target_groups = self.next_target_groups(spec);
        let id = ServiceRevisionId(self.next_revision);
        self.next_revision += 1;
        Arc::new(ServiceRevision {
            id,
            service: spec.name.clone(),
            task_definition: task_definition.clone(),
            launch_target: spec.launch_target.clone(),
            placement_strategy: spec.placement_strategy.clone(),
            placement_constraints: spec.placement_constraints.clone(),
            load_balancers: spec.load_balancers.clone(),
            target_groups,
            document: spec.document.clone(),
            created_at: self.now,
        })
    }

    /// Opens the record of a deployment that starts, and forgets the oldest ones. One that is still in flight is stopped by it.
    /// **Source:** ecs-semantics §5.8.
    pub(super) fn open_record(&mut self, name: &Arc<str>) {
        let now = self.now;
        let id = ServiceDeploymentId(self.next_service_deployment);
        self.next_service_deployment += 1;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        if let Some(before) = service.current_service_deployment_mut() {
            before.stop(now, &"A newer deployment started.".into());
        }
        let primary = &service.deployments[0];
        let configuration = service.spec.deployment_configuration.clone();
        let with_tasks = service.deployments[1..].iter().filter(|older| older.placed_count() > 0);
        let source = with_tasks.map(|older| older.revision.clone()).collect();
        let monitor = |is_on: bool| if is_on { MonitorStatus::Monitoring } else { MonitorStatus::Disabled };
        let breaker = configuration.circuit_breaker;
        let record = ServiceDeployment {
            id,
            deployment: primary.id,
            source,
            target: primary.revision.clone(),
            status: ServiceDeploymentStatus::Pending,
            status_reason: None,
            lifecycle_stage: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            stopped_at: None,
            updated_at: now,
            rollback: None,
            lifecycle_hooks: Vec::new(),
            circuit_breaker: BreakerRecord {
                status: monitor(breaker.is_some()),
                failure_count: 0,
                threshold: breaker.map_or(0, |breaker| breaker.threshold.failures(service.spec.desired_count)),
            },
            alarms: AlarmsRecord {
                status: monitor(configuration.alarms.is_some()),
                ignored: primary.ignored_alarms.clone(),
                triggered: BTreeSet::new(),
            },
            configuration,
        };
        let records = &mut service.service_deployments;
        records.push_back(record);
        while records.len() > KEPT_MAX
            || records.front().and_then(|first| first.finished_at).is_some_and(|at| now.since(at) > KEPT_FOR)
        {
            records.pop_front();
        }
    }
}
