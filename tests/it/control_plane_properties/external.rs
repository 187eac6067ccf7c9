//! Container instances of others in random runs: agents that come, come back, and say what they like of their tasks.

use longshore::control_plane::event::{Deregistration, Request};
use longshore::model::external_instance::{SubmittedContainer, SubmittedStateChange, SubmittedStatus};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::task::{ContainerExit, ContainerStatus};
use proptest::prelude::*;

use crate::harness::World;
use crate::scenarios::external_instances::registration;

/// What a client does that plays an agent.
#[derive(Clone, Debug)]
pub(crate) enum AgentDeed {
    Register { name: usize, version: usize },
    Update { instance: u64 },
    Submit { which: usize, status: Option<SubmittedStatus>, exit_code: Option<i32> },
}

pub(super) fn agent_deed() -> impl Strategy<Value = AgentDeed> {
    let status = prop_oneof![
        1 => Just(None),
        1 => Just(Some(SubmittedStatus::Pending)),
        4 => Just(Some(SubmittedStatus::Running)),
        2 => Just(Some(SubmittedStatus::Stopped)),
    ];
    prop_oneof![
        2 => (0usize..3, 0usize..3).prop_map(|(name, version)| AgentDeed::Register { name, version }),
        1 => (1u64..12).prop_map(|instance| AgentDeed::Update { instance }),
        6 => (any::<usize>(), status, prop::option::of(0i32..2))
            .prop_map(|(which, status, exit_code)| AgentDeed::Submit { which, status, exit_code }),
    ]
}

fn hosts(world: &World) -> Vec<ContainerInstanceId> {
    let all = world.plane.state().container_instances.values();
    all.filter(|found| found.is_external()).map(|found| found.id).collect()
}

pub(super) fn request_of(world: &World, deed: &AgentDeed) -> Option<Request> {
    Some(match deed {
        AgentDeed::Register { name, version } => {
            let versions = [None, Some("1.90.0"), Some("1.100.0")];
            Request::RegisterContainerInstance(Box::new(registration(&format!("out{name}"), versions[*version])))
        }
        AgentDeed::Update { instance } => Request::UpdateContainerAgent(ContainerInstanceId(*instance)),
        AgentDeed::Submit { which, status, exit_code } => {
            let by_instance = &world.plane.state().tasks_by_instance;
            let tasks: Vec<TaskId> =
                hosts(world).into_iter().flat_map(|id| by_instance.get(&id).cloned().unwrap_or_default()).collect();
            let task = *tasks.get(which.checked_rem(tasks.len())?)?;
            let first = &world.plane.state().tasks[&task].task.task_definition.containers[0];
            let status_of_container =
                if exit_code.is_some() { ContainerStatus::Stopped } else { ContainerStatus::Running };
            let container = SubmittedContainer {
                name: first.name.clone(),
                status: status_of_container,
                exit: ContainerExit { exit_code: *exit_code, reason: None },
                ..SubmittedContainer::default()
            };
            let containers = vec![container];
            let change = SubmittedStateChange { task, status: *status, containers, ..SubmittedStateChange::default() };
            Request::SubmitStateChange(Box::new(change))
        }
    })
}

/// Nobody plays an agent any more, and who runs the cluster takes its instances out.
pub(super) fn take_out(world: &mut World) {
    for instance in hosts(world) {
        let deregistration = Deregistration::Forced;
        // One that is out already is refused.
        let _ = world.request(Request::DeregisterContainerInstance { instance, deregistration });
    }
}
