//! Stops of a service's tasks by its scheduler: which of a deployment's tasks go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlPlane;
use super::scale_in::{PlacedTask, ScaleInInputs, choose_victims};
use super::state::{ClusterState, Deployment, Service};
use crate::model::capacity::LaunchTarget;
use crate::model::ids::TaskId;
use crate::model::rng::RandomStream;
use crate::model::task::StopCode;
use crate::model::task_definition::LaunchType;
use crate::model::task_ids::TaskIds;
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
        let placed = |id: TaskId| {
            let task = &self.tasks[&id].task;
            let instance = task.container_instance.and_then(|id| self.container_instances.get(&id));
            PlacedTask { task, instance }
        };
        let others = service.deployments.iter().flat_map(|other| {
            let healthy = (other.id != deployment.id).then_some(&other.healthy).into_iter().flatten();
            other.starting.iter().chain(&other.unproven).chain(healthy)
        });
        let going: BTreeSet<TaskId> = going.iter().copied().collect();
        let (leaving, staying): (Vec<TaskId>, Vec<TaskId>) = others.partition(|id| going.contains(id));
        let stopping = service.deployments.iter().flat_map(|other| &other.stopping);
        let is_protected = |id: &TaskId| self.tasks[id].task.is_protected(now);
        let (protected, free): (Vec<TaskId>, Vec<TaskId>) = deployment.healthy.iter().partition(is_protected);
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
        let is_free = |task: &TaskId| !self.state.tasks[task].task.is_protected(now);
        let not_healthy = || deployment.starting.iter().rev().chain(deployment.unproven.iter().rev()).filter(is_free);
        let youngest = || deployment.healthy.iter().rev().filter(is_free);
        // What gives way anyway goes first.
        let gives_way = |task: &TaskId| deployment.giving_way.contains(task);
        let chosen: Vec<TaskId> = match victims {
            Victims::NotHealthyOnly => {
                let loose = not_healthy().filter(|task| !self.state.is_kept(task));
                let leaving = not_healthy().filter(gives_way);
                let replacing = not_healthy().filter(|task| self.state.is_kept(task) && !gives_way(task));
                loose.chain(leaving).chain(replacing).take(wanted).collect()
            }
            // Ours: they all go in the end, and the youngest first is the way they came.
            Victims::HealthyOnly => {
                let staying = youngest().filter(|task| !gives_way(task));
                youngest().filter(gives_way).chain(staying).take(wanted).collect()
            }
            // Ours, as the rule book suggests: what does not run yet goes first, then what is not healthy, then by strategy.
            Victims::LeastUsefulFirst => {
                let mut chosen: Vec<TaskId> = not_healthy().take(wanted).collect();
                let missing = wanted - chosen.len();
                match service.launch_target_of(deployment) {
                    // They are nowhere in particular.
                    LaunchTarget::LaunchType(LaunchType::Fargate) => {
                        chosen.extend(draw_some(&deployment.healthy, missing, &is_free, &mut self.rng));
                    }
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

/// Some tasks of a set that are free to go, each with the same chance; all of them where there are no more. **Source:** ecs-semantics §5.4.
///
/// A few among many are drawn one by one, so that they cost the same however many there are.
fn draw_some(
    tasks: &TaskIds,
    wanted: usize,
    is_free: &impl Fn(&TaskId) -> bool,
    rng: &mut RandomStream,
) -> Vec<TaskId> {
    let mut drawn: Vec<TaskId> = Vec::new();
    if wanted <= tasks.len() / SHARE_DRAWN {
        let mut seen = BTreeSet::new();
        let mut tries = 2 * wanted;
        while drawn.len() < wanted && tries > 0 {
            let Some(task) = tasks.draw(rng) else { break };
            tries -= 1;
            if is_free(&task) && seen.insert(task) {
                drawn.push(task);
            }
        }
    }
    if drawn.len() < wanted {
        // What was drawn is as good a beginning as any other.
        let known: BTreeSet<TaskId> = drawn.iter().copied().collect();
        let mut left: Vec<TaskId> = tasks.iter().filter(|task| is_free(task) && !known.contains(task)).collect();
        while drawn.len() < wanted && !left.is_empty() {
            let place = usize::try_from(rng.below(left.len() as u64)).expect("a place in a list");
            drawn.push(left.swap_remove(place));
        }
    }
    drawn
}

/// Up to one task in so many is drawn without a list of all.
const SHARE_DRAWN: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::rng::Stream;

    /// ecs-semantics §5.4: as many as are wanted, each once and with the same chance, none that is not free; few of many, most of a few.
    #[test]
    fn some_are_drawn_at_random() {
        let mut rng = RandomStream::new(3, Stream::Placement);
        let mut tasks = TaskIds::default();
        (1..=40).for_each(|id| assert!(tasks.insert(TaskId(id))));
        let is_free = |task: &TaskId| task.0 > 8;
        for (wanted, rounds, expected) in [(4, 8_000, 850..1_150), (16, 2_000, 850..1_150)] {
            let mut counts = BTreeMap::<TaskId, u32>::new();
            for _ in 0..rounds {
                let drawn = draw_some(&tasks, wanted, &is_free, &mut rng);
                assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), wanted);
                drawn.iter().for_each(|task| *counts.entry(*task).or_default() += 1);
            }
            assert!(counts.keys().map(|task| task.0).eq(9..=40));
            assert!(counts.values().all(|count| expected.contains(count)), "{counts:?}");
        }
        assert_eq!(draw_some(&tasks, 40, &is_free, &mut rng).len(), 32);
    }
}
