//! What a request's overrides make of a task definition's sizes, and which of them ECS takes.
//!
//! Commands and variables stay beside the definition, since the data plane puts them together; sizes do not: whoever reads a task's
//! definition reads the sizes that the task has.

use thiserror::Error;

use super::fargate_size::is_fargate_size;
use super::task::{ContainerOverride, TaskOverrides};
use super::task_definition::{LaunchType, NO_GPUS_ON_FARGATE, TaskDefinition};
use super::units::{CpuUnits, MemoryMib};

/// The least memory of a container. **Source:** ecs-semantics §1.5.
const CONTAINER_MEMORY_MIN: MemoryMib = MemoryMib(6);

/// Why overrides are refused. **Source:** ecs-semantics §1.4, §1.5, §2.5, §8.1; *ours:* the texts that the rule book has not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    /// There is no such container. The text is ECS'.
    #[error("Override for container named {0} is not a container in the TaskDefinition.")]
    UnknownContainer(String),
    /// The text is ECS'.
    #[error("No Fargate configuration exists for given values.")]
    FargateSize,
    /// Fargate's sizes are fewer.
    #[error("cpu {0} is not within the limits of a task's cpu: 128 to 196608")]
    TaskCpu(CpuUnits),
    /// The soft limit must be below the hard one.
    #[error(
        "Invalid setting for container '{container}'. The memoryReservation {soft} must be less than the memory {hard}."
    )]
    Reservation {
        /// The container.
        container: String,
        /// Its soft limit.
        soft: MemoryMib,
        /// Its hard limit.
        hard: MemoryMib,
    },
    /// A limit that nothing can run in.
    #[error("Invalid setting for container '{container}'. The memory {memory} is less than {CONTAINER_MEMORY_MIN}.")]
    TooLittleMemory {
        /// The container.
        container: String,
        /// Its limit.
        memory: MemoryMib,
    },
    /// A container can't have more than its task.
    #[error("Invalid setting for container '{container}'. The memory {memory} is more than the task's {of_task}.")]
    TooMuchMemory {
        /// The container.
        container: String,
        /// Its limit.
        memory: MemoryMib,
        /// Its task's.
        of_task: MemoryMib,
    },
    /// Containers can't have more than their task.
    #[error("The {what} of the containers adds up to {sum}, more than the task's {of_task}.")]
    Sum {
        /// `cpu` or `memoryReservation`.
        what: &'static str,
        /// Of all containers.
        sum: u64,
        /// The task's.
        of_task: u64,
    },
    /// Ephemeral storage of another size, or on EC2.
    #[error("ephemeralStorage is for tasks on Fargate only: from 21 to 200 GiB")]
    EphemeralStorage,
    /// GPUs on Fargate.
    #[error("{NO_GPUS_ON_FARGATE}")]
    Gpus,
}

impl ContainerOverride {
    fn changes_sizes(&self) -> bool {
        self.cpu.is_some() || self.memory.is_some() || self.memory_reservation.is_some() || self.gpus.is_some()
    }
}

impl TaskOverrides {
    /// The definition with the sizes that are given in place of its own, for a task that runs where it says; `None` when none is given.
    ///
    /// # Errors
    /// The rule that is broken. A definition whose sizes stay as they are was checked when it was registered.
    pub fn resized(
        &self,
        definition: &TaskDefinition,
        launch_type: LaunchType,
    ) -> Result<Option<TaskDefinition>, OverrideError> {
        let is_known = |name: &&String| definition.containers.iter().any(|container| container.name == **name);
        if let Some(unknown) = self.containers.keys().find(|name| !is_known(name)) {
            return Err(OverrideError::UnknownContainer(unknown.clone()));
        }
        let of_task = self.cpu.is_some() || self.memory.is_some() || self.ephemeral_storage_gib.is_some();
        if !of_task && !self.containers.values().any(ContainerOverride::changes_sizes) {
            return Ok(None);
        }
        let mut resized = TaskDefinition {
            cpu: self.cpu.or(definition.cpu),
            memory: self.memory.or(definition.memory),
            ephemeral_storage_gib: self.ephemeral_storage_gib.or(definition.ephemeral_storage_gib),
            ..definition.clone()
        };
        for container in &mut resized.containers {
            if let Some(change) = self.containers.get(&container.name) {
                container.cpu = change.cpu.unwrap_or(container.cpu);
                container.memory = change.memory.or(container.memory);
                container.memory_reservation = change.memory_reservation.or(container.memory_reservation);
                container.gpus = change.gpus.unwrap_or(container.gpus);
            }
        }
        self.check_task(&resized, launch_type)?;
        check_containers(&resized)?;
        Ok(Some(resized))
    }

    fn check_task(&self, resized: &TaskDefinition, launch_type: LaunchType) -> Result<(), OverrideError> {
        match (launch_type, resized.cpu, resized.memory) {
            (LaunchType::Fargate, Some(cpu), Some(memory)) if !is_fargate_size(cpu, memory) => {
                return Err(OverrideError::FargateSize);
            }
            (LaunchType::Ec2, Some(cpu), _) if !(128..=196_608).contains(&cpu.0) => {
                return Err(OverrideError::TaskCpu(cpu));
            }
            _ => {}
        }
        if launch_type == LaunchType::Fargate && resized.wants_gpus() {
            return Err(OverrideError::Gpus);
        }
        match (launch_type, self.ephemeral_storage_gib) {
            (LaunchType::Fargate, Some(21..=200)) | (_, None) => Ok(()),
            _ => Err(OverrideError::EphemeralStorage),
        }
    }
}

/// Each container by itself, then all of them in their task.
fn check_containers(definition: &TaskDefinition) -> Result<(), OverrideError> {
    for container in &definition.containers {
        let name = || container.name.clone();
        let (hard, soft) = (container.memory, container.memory_reservation);
        if let (Some(hard), Some(soft)) = (hard, soft)
            && soft >= hard
        {
            return Err(OverrideError::Reservation { container: name(), soft, hard });
        }
        if let Some(memory) = hard.into_iter().chain(soft).find(|memory| *memory < CONTAINER_MEMORY_MIN) {
            return Err(OverrideError::TooLittleMemory { container: name(), memory });
        }
        if let (Some(memory), Some(of_task)) = (hard, definition.memory)
            && memory > of_task
        {
            return Err(OverrideError::TooMuchMemory { container: name(), memory, of_task });
        }
    }
    let cpu = definition.containers.iter().map(|container| u64::from(container.cpu.0));
    let soft = definition.containers.iter().filter_map(|container| container.memory_reservation);
    let cpu_of_task = definition.cpu.map(|cpu| u64::from(cpu.0));
    let memory_of_task = definition.memory.map(|memory| u64::from(memory.0));
    check_sum("cpu", cpu.sum(), cpu_of_task)?;
    check_sum("memoryReservation", soft.map(|memory| u64::from(memory.0)).sum(), memory_of_task)
}

fn check_sum(what: &'static str, sum: u64, of_task: Option<u64>) -> Result<(), OverrideError> {
    match of_task {
        Some(of_task) if sum > of_task => Err(OverrideError::Sum { what, sum, of_task }),
        _ => Ok(()),
    }
}
