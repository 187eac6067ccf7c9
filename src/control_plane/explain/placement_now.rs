//! Where a task would go at this moment: each instance with each rule, the ranking, and the choice.

use std::sync::Arc;

use crate::control_plane::ControlPlane;
use crate::control_plane::placement::{
    Assessment, Candidate, PlacementFailure, PlacementIndex, PlacementRequest, RankNames, rank_names,
};
use crate::control_plane::request_error::RequestError;
use crate::control_plane::tasks::NewTask;
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::capacity::{ContainerInstance, ContainerInstanceStatus};
use crate::model::cluster::RunTaskSpec;
use crate::model::task_definition::{LaunchType, Reservation, TaskDefinition};

use super::capacity::CapacityWait;

/// Where a task would go.
#[derive(Clone, Debug)]
pub struct PlacementNow {
    /// What it runs.
    pub task_definition: Arc<TaskDefinition>,
    /// Its group.
    pub group: Arc<str>,
    /// Where it is to run.
    pub launch_type: LaunchType,
    /// The capacity provider that a strategy chose for it, if one did.
    pub capacity_provider: Option<Arc<str>>,
    /// What it takes.
    pub reservation: Arc<Reservation>,
    /// What comes of it.
    pub choice: Choice,
}

/// How the host of a task is found.
#[derive(Clone, Debug)]
pub enum Choice {
    /// There is nothing to choose: Fargate makes a sandbox of the task's size, whatever strategies and constraints say.
    /// **Source:** ecs-semantics §4.1.
    Fargate {
        /// That it has no capacity, when it has none.
        failure: Option<PlacementFailure>,
    },
    /// One of the instances.
    Instance {
        /// Each instance, and the one chosen.
        assessment: Assessment,
        /// What the ranking counts.
        names: RankNames,
        /// Why there is none, when there is none.
        failure: Option<PlacementFailure>,
        /// Of a task that is not there yet: what it would wait for when there is none and its provider may bring one. One that is there
        /// says so itself. **Source:** ecs-semantics §4.5.
        wait: Option<Box<CapacityWait>>,
    },
    /// Every instance that takes one: a DAEMON service. **Source:** ecs-semantics §5.1.
    EachInstance {
        /// Each instance.
        candidates: Vec<Candidate>,
    },
}

impl Choice {
    /// Each instance with what speaks for and against it; none on Fargate.
    pub fn candidates(&self) -> &[Candidate] {
        match self {
            Choice::Fargate { .. } => &[],
            Choice::Instance { assessment, .. } => &assessment.candidates,
            Choice::EachInstance { candidates } => candidates,
        }
    }
}

impl ControlPlane {
    /// Where the first task of a RunTask call would go. **Source:** ecs-semantics §4.5.
    pub(super) fn explain_run_task(&self, spec: &RunTaskSpec) -> Result<PlacementNow, RequestError> {
        let (task, _) = self.standalone_task(spec)?;
        Ok(self.placement_of(&task))
    }

    /// Where a task would go.
    pub(super) fn placement_of(&self, task: &NewTask) -> PlacementNow {
        let request = task.placement_request();
        let mut choice = match task.launch_type {
            LaunchType::Fargate => self.choice_on_fargate(task.capacity_provider.as_ref()),
            LaunchType::Ec2 => self.choice_of(&self.placement, &request),
        };
        if let Choice::Instance { failure: Some(_), wait, .. } = &mut choice {
            let scaled = request.capacity_provider.filter(|name| self.scalers.contains_key(*name));
            *wait = scaled.map(|name| Box::new(self.capacity_wait(name, None, &request)));
        }
        PlacementNow {
            task_definition: task.registered.definition.clone(),
            group: task.group.clone(),
            launch_type: task.launch_type,
            capacity_provider: task.capacity_provider.clone(),
            reservation: task.registered.reservation.clone(),
            choice,
        }
    }

    /// What Fargate says.
    pub(super) fn choice_on_fargate(&self, provider: Option<&Arc<str>>) -> Choice {
        Choice::Fargate { failure: self.state.has_no_capacity(provider).then(PlacementFailure::on_fargate) }
    }

    /// Which instance an index chooses.
    pub(super) fn choice_of(&self, index: &PlacementIndex, request: &PlacementRequest<'_>) -> Choice {
        let assessment = index.assess(request, self.instances_in_question(), &self.rng);
        let names = rank_names(request.strategies, request.kind);
        let failure = assessment.chosen.is_none().then(|| self.why_no_room(index, request));
        Choice::Instance { assessment, names, failure, wait: None }
    }

    /// Instances that are there, and those that are gone and registered still. **Source:** ecs-semantics §3.2.
    fn instances_in_question(&self) -> impl Iterator<Item = &ContainerInstance> {
        self.state.container_instances.values().filter(|instance| {
            instance.lifecycle < LifecycleState::Terminating || instance.status < ContainerInstanceStatus::Deregistering
        })
    }

    /// Each instance for a task of a DAEMON service.
    pub(super) fn each_instance(&self, task: &NewTask) -> Choice {
        let request = task.placement_request();
        let candidates = self.placement.assess(&request, self.instances_in_question(), &self.rng).candidates;
        Choice::EachInstance { candidates }
    }
}
