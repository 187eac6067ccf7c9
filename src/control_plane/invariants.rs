//! The invariants between the records of a cluster: what holds after every event, whatever happened.
//!
//! Tests and drawn runs check them; nothing is decided by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::state::{ClusterState, Metered, Service, ServiceStatus};
use super::targets::Registration;
use crate::model::auto_scaling_group::LifecycleState;
use crate::model::capacity::{ContainerInstance, ContainerInstanceStatus};
use crate::model::ids::{IdForm, TaskId};
use crate::model::task::{DesiredStatus, TaskStatus};

impl ClusterState {
    /// Checks what must hold between the records after every event.
    ///
    /// # Panics
    /// When something does not hold: a bug of the control plane. The text says what and where.
    pub fn check_invariants(&self, ids: IdForm) {
        let mut live = 0;
        let mut standalone = 0;
        let mut zones: BTreeMap<(Arc<str>, bool), BTreeMap<Arc<str>, u32>> = BTreeMap::new();
        for record in self.tasks.values() {
            let task = &record.task;
            let shown = ids.task(task.id);
            if task.last_status == TaskStatus::Stopped {
                assert_eq!(task.desired_status, DesiredStatus::Stopped, "task {shown} is over but to run");
                assert!(task.stop_code.is_some(), "task {shown} is over without a stop code");
                assert_ne!(record.metered, Metered::Started, "task {shown} is over and still metered");
                continue;
            }
            live += 1;
            if let Some((key, zone)) = record.fargate_place() {
                *zones.entry(key).or_default().entry(zone).or_default() += 1;
            }
            standalone += usize::from(task.service.is_none());
            if let Some(service) = &task.service {
                let found = self.services.get(service);
                let deployments = found.into_iter().flat_map(|found| found.deployments.iter().chain(&found.departed));
                let found = { deployments }.find(|found| Some(found.id) == task.deployment);
                let listed = found.is_some_and(|found| {
                    [&found.starting, &found.unproven, &found.healthy, &found.stopping]
                        .iter()
                        .any(|set| set.contains(&task.id))
                });
                assert!(listed, "task {shown} lives and service {service} does not list it");
            }
            if task.holds_resources() {
                let instance = task.container_instance.expect("it holds resources of an instance");
                let held = self.tasks_by_instance.get(&instance).is_some_and(|tasks| tasks.contains(task.id));
                assert!(held, "task {shown} is missing at its instance");
            }
            if task.last_status == TaskStatus::Provisioning {
                let provider = task.capacity_provider.as_ref().and_then(|name| self.capacity_providers.get(name));
                let waiting = provider.is_some_and(|provider| provider.provisioning.contains(&task.id));
                assert!(waiting, "task {shown} is PROVISIONING and no provider knows");
            }
        }
        self.check_targets(ids);
        assert_eq!(zones, self.fargate_zones, "the counts of tasks by zone are off");
        assert_eq!(live, self.live_count, "the count of live tasks is off");
        assert_eq!(standalone, self.standalone_live_count, "the count of live standalone tasks is off");
        for instance in self.container_instances.values() {
            let shown = ids.container_instance(instance.id);
            let mut cpu = 0u64;
            let mut memory = 0u64;
            let mut ports = BTreeSet::new();
            let mut devices = instance.remaining.devices;
            let (mut running, mut pending, mut holding) = (0, 0, 0);
            let mut gpus: BTreeSet<String> = instance.gpu_ids(ids).into_iter().collect();
            for task in self.tasks_by_instance.get(&instance.id).into_iter().flatten() {
                let task = &self.tasks[task].task;
                cpu += u64::from(task.reservation.cpu.0);
                memory += u64::from(task.reservation.memory.0);
                devices = devices.with(task.reservation.devices);
                for port in &task.reservation.ports {
                    assert!(ports.insert(*port), "instance {shown} has given port {} twice", port.port);
                }
                for (defined, container) in task.task_definition.containers.iter().zip(&task.containers) {
                    let given = container.gpu_ids().filter(|gpu| gpus.remove(*gpu)).count();
                    assert_eq!(
                        u32::try_from(given),
                        Ok(defined.gpus),
                        "instance {shown} has given GPUs that were not free"
                    );
                }
                assert!(task.holds_resources(), "instance {shown} lists a task that is over");
                running += u32::from(task.desired_status == DesiredStatus::Running);
                pending += u32::from(task.last_status == TaskStatus::Pending);
                holding += 1;
            }
            assert_eq!(
                (running, pending),
                (instance.running_tasks_count, instance.pending_tasks_count),
                "instance {shown} miscounts its tasks"
            );
            let is_empty = instance.registered_at.is_some() && holding == 0;
            assert_eq!(is_empty, instance.empty_since.is_some(), "instance {shown} is wrong about being empty");
            instance.check_invariants(&shown);
            if let Some(name) = &instance.launch.capacity_provider {
                let listed =
                    self.capacity_providers.get(name).is_some_and(|group| group.instances.contains(&instance.id));
                assert_eq!(listed, instance.lifecycle.is_in_group(), "instance {shown} and its group disagree");
                let warm = self.capacity_providers.get(name).is_some_and(|group| group.warm.contains(&instance.id));
                assert_eq!(warm, instance.lifecycle.is_warmed(), "instance {shown} and its warm pool disagree");
                let is_known =
                    self.capacity_providers.get(name).is_some_and(|group| group.standby.contains(&instance.id));
                let is_standby = instance.lifecycle == LifecycleState::Standby;
                assert_eq!(is_known, is_standby, "instance {shown} and those on standby disagree");
            }
            assert_eq!(
                instance.registered.ports.union(&ports).copied().collect::<BTreeSet<_>>(),
                instance.remaining.ports,
                "instance {shown} is wrong about its ports"
            );
            assert_eq!(devices, instance.registered.devices, "instance {shown} is wrong about its GPUs and interfaces");
            assert_eq!(
                (u64::from(instance.remaining.cpu.0) + cpu, u64::from(instance.remaining.memory.0) + memory),
                (u64::from(instance.registered.cpu.0), u64::from(instance.registered.memory.0)),
                "instance {shown} is over or under its capacity"
            );
        }
        for (name, provider) in &self.capacity_providers {
            let group = &provider.provider.auto_scaling_group;
            let sizes = group.min_size..=group.max_size;
            assert!(sizes.contains(&provider.desired_capacity), "group {name} desires what it must not have");
            let under_way = provider.refreshes.iter().filter(|refresh| refresh.status.is_under_way()).count();
            assert!(under_way <= 1, "group {name} is refreshed twice at once");
        }
        for service in self.services.values() {
            service.check_invariants(self);
        }
        for (name, target) in &self.scalable_targets {
            target.check_invariants();
            let service = self.services.get(name).expect("a scalable target has its service");
            assert_eq!(service.status, ServiceStatus::Active, "service {name} is deleted and still scaled");
            assert_eq!(
                service.spec.auto_scaling.as_ref(),
                Some(&target.settings),
                "service {name} shows other settings"
            );
        }
    }
}

impl ClusterState {
    /// Tasks are in target groups while they run, and DEACTIVATING while they leave them.
    fn check_targets(&self, ids: IdForm) {
        for (id, found) in &self.targets {
            let shown = ids.task(*id);
            let task = &self.tasks.get(id).expect("what is in target groups is known").task;
            assert!(task.service.is_some(), "task {shown} is in target groups and of no service");
            assert!(!found.targets.is_empty(), "task {shown} is in no target group after all");
            assert_ne!(task.last_status, TaskStatus::Stopped, "task {shown} is over and in target groups");
            let fits = match found.registration {
                Registration::Awaited => true,
                Registration::Registered => task.started_at.is_some(),
                Registration::Draining => task.last_status >= TaskStatus::Deactivating,
            };
            assert!(fits, "task {shown} is {} and {:?}", task.last_status, found.registration);
        }
        for record in self.tasks.values().filter(|record| record.task.last_status == TaskStatus::Deactivating) {
            let registration = self.targets.get(&record.task.id).map(|found| found.registration);
            let shown = ids.task(record.task.id);
            assert_eq!(registration, Some(Registration::Draining), "task {shown} leaves nothing");
        }
    }
}

impl ContainerInstance {
    /// What its ECS status, its lifecycle state and its bill say of each other.
    fn check_invariants(&self, shown: &str) {
        let is_paid = self.running_since.is_some();
        assert_eq!(
            self.cpu_credits.is_some(),
            self.launch.instance_type.burst.is_some() && !self.is_external(),
            "instance {shown} is confused"
        );
        if let Some(credits) = &self.cpu_credits {
            credits.check_invariants(shown);
        }
        match self.lifecycle {
            LifecycleState::Pending
            | LifecycleState::WarmedPending
            | LifecycleState::WarmedStopped
            | LifecycleState::WarmedHibernated => {
                // One that was running in the warm pool goes on being paid for.
                let may_be_paid = self.lifecycle == LifecycleState::Pending && self.start_count > 0;
                assert!(!is_paid || may_be_paid, "instance {shown} is paid for and does not run");
                assert_eq!(self.status, ContainerInstanceStatus::Registering, "instance {shown} registered too early");
            }
            LifecycleState::PendingWait | LifecycleState::WarmedRunning => {
                assert!(is_paid, "instance {shown} runs and is not paid for");
                assert_eq!(self.status, ContainerInstanceStatus::Registering, "instance {shown} registered too early");
            }
            LifecycleState::InService if self.is_external() => {
                assert!(!is_paid, "instance {shown} is another's and paid for");
            }
            LifecycleState::InService | LifecycleState::Standby | LifecycleState::TerminatingWait => {
                assert!(is_paid, "instance {shown} runs and is not paid for");
            }
            LifecycleState::Terminating => {
                assert!(!is_paid, "instance {shown} is going and paid for");
                let going = self.status >= ContainerInstanceStatus::Deregistering || self.outlasts_termination();
                assert!(going, "instance {shown} is going and takes tasks");
            }
            LifecycleState::Terminated => {
                assert!(!is_paid, "instance {shown} is gone and paid for");
                let is_listed = self.status != ContainerInstanceStatus::Inactive;
                assert!(!is_listed || self.outlasts_termination(), "instance {shown} is gone and registered");
            }
        }
    }
}

impl Service {
    fn check_invariants(&self, state: &ClusterState) {
        let name = &self.spec.name;
        self.check_traffic();
        assert!(
            self.departed.iter().all(|left| left.placed_count() == 0),
            "service {name} was another's with its tasks"
        );
        for deployment in self.deployments.iter().chain(&self.departed) {
            let mut by_provider: BTreeMap<Arc<str>, u32> = BTreeMap::new();
            let sets = [&deployment.starting, &deployment.unproven, &deployment.healthy, &deployment.stopping];
            for (index, task) in
                sets.into_iter().enumerate().flat_map(|(index, set)| set.iter().map(move |id| (index, id)))
            {
                let task = &state.tasks[&task].task;
                assert_eq!(
                    task.deployment,
                    Some(deployment.id),
                    "service {name} lists a task with another's deployment"
                );
                let expected = match (task.desired_status, task.last_status) {
                    (_, TaskStatus::Stopped) => panic!("service {name} lists a task that is over"),
                    (DesiredStatus::Stopped, _) => 3..4,
                    (DesiredStatus::Running, TaskStatus::Running) => 1..3,
                    (DesiredStatus::Running, _) => 0..1,
                };
                assert!(expected.contains(&index), "service {name} lists task {} among the wrong ones", task.id);
                if let (true, Some(provider)) = (index < 3, &task.capacity_provider) {
                    *by_provider.entry(provider.clone()).or_default() += 1;
                }
            }
            let gives_way = deployment.placed().filter(|task| state.tasks[task].replace.is_some());
            assert!(
                gives_way.collect::<BTreeSet<TaskId>>() == deployment.giving_way,
                "service {name} miscounts what gives way"
            );
            let stands_in = deployment.placed().filter(|task| state.tasks[task].replaces.is_some());
            assert!(
                stands_in.collect::<BTreeSet<TaskId>>() == deployment.standing_in,
                "service {name} miscounts what takes another's place"
            );
            for (leaver, replacement) in &deployment.replacements {
                assert!(deployment.giving_way.contains(leaver), "service {name} replaces task {leaver} for nothing");
                assert!(
                    deployment.placed().any(|task| task == *replacement),
                    "service {name} has lost replacement {replacement}"
                );
            }
            let counted = deployment.tasks_by_provider.iter().filter(|(_, count)| **count > 0);
            assert!(counted.eq(by_provider.iter()), "service {name} miscounts its tasks by provider");
        }
    }
}
