//! Stops of a service's tasks by its scheduler: which of a deployment's tasks go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlPlane;
use super::scale_in::{PlacedTask, ScaleInInputs, choose_victims};
use super::state::{ClusterState, Deployment, Service};
use crate::model::capacity::LaunchTarget;
use crate::model::ids::TaskId;
use crate::model::task::StopCode;
use crate::model::task_definition::LaunchType;
use crate::model::units::Timestamp;

/// Which tasks of a deployment may be stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Victims {
    HealthyOnly,
    NotHealthyOnly,
    LeastUsefulFirst,
}

impl ClusterState {
    /// The healthy tasks of one deployment, of which some are to go, among all tasks of the service; protected ones stay.
    fn scale_in_inputs<'a>(
        &'a self,
        service: &'a Service,
        deployment: &'a Deployment,
        going: &[TaskId],
        now: Timestamp,
    ) -> ScaleInInputs<'a> {
        let placed = |id: &TaskId| {
            let task = &self.tasks[id].task;
            let instance = task.container_instance.and_then(|id| self.container_instances.get(&id));
            PlacedTask { task, instance }
        };
        let others = service.deployments.iter().flat_map(|other| {
            let healthy = (other.id != deployment.id).then_some(&other.healthy).into_iter().flatten();
            other.starting.iter().chain(&other.unproven).chain(healthy)
        });
        let going: BTreeSet<&TaskId> = going.iter().collect();
        let (leaving, staying): (Vec<&TaskId>, Vec<&TaskId>) = others.partition(|id| going.contains(id));
        let stopping = service.deployments.iter().flat_map(|other| &other.stopping);
        let is_protected = |id: &&TaskId| self.tasks[*id].task.is_protected(now);
        let (protected, free): (Vec<&TaskId>, Vec<&TaskId>) = deployment.healthy.iter().partition(is_protected);
        ScaleInInputs {
            candidates: free.into_iter().map(placed).collect(),
            staying: staying.into_iter().chain(protected).map(placed).collect(),
            leaving: stopping.chain(leaving).map(placed).collect(),
            providers: match service.launch_target_of(deployment) {
                LaunchTarget::Strategy(items) => items,
                LaunchTarget::LaunchType(_) | LaunchTarget::ClusterDefault => &[],
            },
            strategies: &service.spec.placement_strategy,
        }
    }
}

impl ControlPlane {
    /// Stops tasks of one deployment of a service. **Source:** ecs-semantics §4.2 (last column), §5.3.
    pub(super) fn stop_some(&mut self, name: &Arc<str>, deployment_index: usize, wanted: u32, victims: Victims) {
        let service = &self.state.services[name];
        let deployment = &service.deployments[deployment_index];
        let reason: Arc<str> = format!("Scaling activity initiated by (deployment {})", deployment.shown_id).into();
        let wanted = wanted as usize;
        let now = self.now;
        let is_free = |task: &&TaskId| !self.state.tasks[*task].task.is_protected(now);
        let not_healthy = || deployment.starting.iter().rev().chain(deployment.unproven.iter().rev()).filter(is_free);
        let youngest = || deployment.healthy.iter().rev().filter(is_free);
        // What gives way anyway goes first.
        let gives_way = |task: &&TaskId| deployment.giving_way.contains(*task);
        let chosen: Vec<TaskId> = match victims {
            Victims::NotHealthyOnly => {
                let loose = not_healthy().filter(|task| !self.state.is_kept(task));
                let leaving = not_healthy().filter(gives_way);
                let replacing = not_healthy().filter(|task| self.state.is_kept(task) && !gives_way(task));
                loose.chain(leaving).chain(replacing).take(wanted).copied().collect()
            }
            // Ours: they all go in the end, and the youngest first is the way they came.
            Victims::HealthyOnly => {
                let staying = youngest().filter(|task| !gives_way(task));
                youngest().filter(gives_way).chain(staying).take(wanted).copied().collect()
            }
            // Ours, as the rule book suggests: what does not run yet goes first, then what is not healthy, then by strategy.
            Victims::LeastUsefulFirst => {
                let mut chosen: Vec<TaskId> = not_healthy().take(wanted).copied().collect();
                let missing = wanted - chosen.len();
                match service.launch_target_of(deployment) {
                    // They are nowhere in particular.
                    LaunchTarget::LaunchType(LaunchType::Fargate) => chosen.extend(youngest().take(missing)),
                    _ if missing >= deployment.healthy.len() => {
                        chosen.extend(deployment.healthy.iter().filter(is_free))
                    }
                    _ if missing > 0 => {
                        let inputs = self.state.scale_in_inputs(service, deployment, &chosen, now);
                        chosen.extend(choose_victims(&inputs, missing, &mut self.rng));
                    }
                    _ => {}
                }
                chosen
            }
        };
        for task in &chosen {
            self.stop_task(*task, StopCode::ServiceSchedulerInitiated, &reason);
        }
        if !chosen.is_empty() {
            self.disturb(name);
            self.tasks_stopped(name, &chosen);
        }
    }
}
