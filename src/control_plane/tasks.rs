//! A task's life: created, placed, started, stopped, over. Statuses only go forward.
//!
//! A task is in at most one set of its deployment, chosen by its statuses and its health ([`slot_of`]); every change goes through
//! [`ControlPlane::change_task`], which moves it between the sets and counts it at its instance, so the counts can't drift.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ControlPlane;
use super::action::{Action, Notification, TaskHost, TaskStart};
use super::event::{TaskStateChange, TaskStep};
use super::look_ahead::LOOKED_AT_TOGETHER;
use super::placement::{PlacementFailure, PlacementRequest, TaskKind};
use super::state::{
    ClusterState, DecisionBasis, Deployment, Metered, PlacementDecision, PlacementRules, Registered, TaskHealth,
    TaskRecord,
};
use super::targets::drains_first;
use super::timers::Wakeup;
use super::waiting::Offer;
use crate::model::capacity::{FARGATE, FARGATE_SPOT};
use crate::model::document::Document;
use crate::model::id_table::InstanceTable;
use crate::model::ids::{ContainerInstanceId, DeploymentId, TaskId};
use crate::model::task::{
    Container, ContainerStatus, DesiredStatus, HealthStatus, StopCode, Task, TaskOverrides, TaskStatus,
};
use crate::model::task_definition::LaunchType;
use crate::model::task_ids::TaskIds;
use crate::model::units::Timestamp;
use crate::model::usage::{BilledPlacement, MeteringFact, PurchaseOption, TaskIdentity, TaskUsage, UsageSample};

/// The most tasks that may wait in PROVISIONING in a cluster. **Source:** ecs-semantics §1.7.
const PROVISIONING_LIMIT: usize = 500;

/// **Source:** ecs-semantics §2.4.
pub(super) const ESSENTIAL_CONTAINER_EXITED: &str = "Essential container in task exited";

/// What a task is created from.
#[derive(Clone, Debug)]
pub(super) struct NewTask {
    pub registered: Registered,
    pub overrides: Arc<TaskOverrides>,
    pub group: Arc<str>,
    pub started_by: Option<Arc<str>>,
    pub launch_type: LaunchType,
    pub capacity_provider: Option<Arc<str>>,
    pub service: Option<Arc<str>>,
    pub deployment: Option<DeploymentId>,
    pub tags: Arc<BTreeMap<String, String>>,
    pub document: Document,
    pub placement: Arc<PlacementRules>,
    pub replaces: Option<TaskId>,
}

impl NewTask {
    pub(super) fn placement_request(&self) -> PlacementRequest<'_> {
        PlacementRequest {
            reservation: &self.registered.reservation,
            group: &self.group,
            capacity_provider: self.capacity_provider.as_ref(),
            strategies: &self.placement.strategies,
            constraints: &self.placement.constraints,
            required_attributes: &self.placement.required_attributes,
            availability_zones: &self.placement.availability_zones,
            kind: if self.service.is_some() { TaskKind::Service } else { TaskKind::Standalone },
        }
    }
}

impl TaskRecord {
    /// What the task asks of an instance.
    pub(super) fn placement_request(&self) -> PlacementRequest<'_> {
        let (task, rules) = (&self.task, &self.placement);
        PlacementRequest {
            reservation: &task.reservation,
            group: &task.group,
            capacity_provider: task.capacity_provider.as_ref(),
            strategies: &rules.strategies,
            constraints: &rules.constraints,
            required_attributes: &rules.required_attributes,
            availability_zones: &rules.availability_zones,
            kind: if task.service.is_some() { TaskKind::Service } else { TaskKind::Standalone },
        }
    }
}

/// What the meter was told of the last task that started somewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct LastIdentities {
    pub on_instances: InstanceTable<Arc<TaskIdentity>>,
    pub on_fargate: Option<Arc<TaskIdentity>>,
}

/// Why a task was not created.
pub(super) enum Unplaced {
    /// No instance takes it, and none will come for it; or Fargate has no capacity.
    NoRoom,
    /// Too many tasks wait for capacity already.
    ProvisioningLimit,
}

/// What is told of a task's containers. Most tasks have one, and for those it costs no allocation.
#[derive(PartialEq, Eq)]
struct ContainersShown {
    first: Option<ContainerShown>,
    others: Vec<ContainerShown>,
}

type ContainerShown = (ContainerStatus, Option<i32>, HealthStatus, u32);

impl ContainersShown {
    fn of(containers: &[Container]) -> ContainersShown {
        let shown = |container: &Container| {
            (container.last_status, container.exit.exit_code, container.health, container.restart_count)
        };
        let mut shown = containers.iter().map(shown);
        ContainersShown { first: shown.next(), others: shown.collect() }
    }
}

/// The set of its deployment that a task belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Starting,
    Unproven,
    Healthy,
    Stopping,
    Over,
}

fn slot_of(record: &TaskRecord) -> Slot {
    match (record.task.desired_status, record.task.last_status) {
        (_, TaskStatus::Stopped) => Slot::Over,
        (DesiredStatus::Stopped, _) => Slot::Stopping,
        (DesiredStatus::Running, TaskStatus::Running) if record.health == TaskHealth::Healthy => Slot::Healthy,
        (DesiredStatus::Running, TaskStatus::Running) => Slot::Unproven,
        (DesiredStatus::Running, _) => Slot::Starting,
    }
}

impl Slot {
    /// Whether a task in it runs or is to run.
    fn is_placed(self) -> bool {
        matches!(self, Slot::Starting | Slot::Unproven | Slot::Healthy)
    }
}

impl Deployment {
    /// Counts a task of a provider that was or was not placed, and is or is not.
    fn recount(&mut self, provider: &Arc<str>, (was, is): (bool, bool)) {
        if was != is {
            let count = self.tasks_by_provider.entry(provider.clone()).or_default();
            *count = count.saturating_add(u32::from(is)).saturating_sub(u32::from(was));
        }
    }

    /// Notes whether a task gives way, and who takes whose place.
    fn note_replacement(&mut self, record: &TaskRecord, gives_way: bool, is_placed: bool) {
        let id = record.task.id;
        if gives_way {
            self.giving_way.insert(id);
        } else {
            self.giving_way.remove(&id);
            self.replacements.remove(&id);
        }
        if record.replaces.is_some() && is_placed {
            self.standing_in.insert(id);
        } else {
            self.standing_in.remove(&id);
        }
        match record.replaces {
            Some(leaver) if is_placed && record.task.version == 0 && self.giving_way.contains(&leaver) => {
                self.replacements.insert(leaver, id);
            }
            Some(leaver) if !is_placed && self.replacements.get(&leaver) == Some(&id) => {
                self.replacements.remove(&leaver);
            }
            _ => {}
        }
    }

    fn leave(&mut self, slot: Slot, task: TaskId) {
        self.set_of(slot).map(|set| set.remove(&task));
    }

    fn enter(&mut self, slot: Slot, task: TaskId) {
        self.set_of(slot).map(|set| set.insert(task));
    }

    fn set_of(&mut self, slot: Slot) -> Option<&mut TaskIds> {
        match slot {
            Slot::Starting => Some(&mut self.starting),
            Slot::Unproven => Some(&mut self.unproven),
            Slot::Healthy => Some(&mut self.healthy),
            Slot::Stopping => Some(&mut self.stopping),
            Slot::Over => None,
        }
    }
}

impl ClusterState {
    /// Whether Fargate has no capacity for new tasks of a provider; those by launch type are of `FARGATE`.
    pub(super) fn has_no_capacity(&self, provider: Option<&Arc<str>>) -> bool {
        !self.fargate_out.is_empty() && self.fargate_out.contains(provider.map_or(FARGATE, |provider| &**provider))
    }
}

impl ControlPlane {
    /// Creates a task and places it; on a provider with managed scaling it may wait in PROVISIONING instead.
    /// **Source:** ecs-semantics §2.1, §4.5.
    pub(super) fn create_task(&mut self, new: &NewTask) -> Result<TaskId, Unplaced> {
        let host = match new.launch_type {
            LaunchType::Fargate if self.state.has_no_capacity(new.capacity_provider.as_ref()) => {
                return Err(Unplaced::NoRoom);
            }
            LaunchType::Fargate => return Ok(self.add_task(new, None)),
            LaunchType::Ec2 => match self.placement.place_by_ranks(&new.placement_request(), &mut self.rng) {
                Ok((instance, ranks)) => Some((instance, DecisionBasis::Strategies { ranks })),
                Err(_) => {
                    let scaled = new.capacity_provider.as_ref().is_some_and(|name| self.scalers.contains_key(name));
                    if !scaled {
                        return Err(Unplaced::NoRoom);
                    }
                    if self.provisioning_count() >= PROVISIONING_LIMIT {
                        return Err(Unplaced::ProvisioningLimit);
                    }
                    None
                }
            },
        };
        Ok(self.add_task(new, host))
    }

    /// Why a task found no room.
    pub(super) fn why_not_placed(&self, new: &NewTask) -> PlacementFailure {
        match new.launch_type {
            LaunchType::Fargate => PlacementFailure::on_fargate(),
            LaunchType::Ec2 => self.why_no_room(&self.placement, &new.placement_request()),
        }
    }

    /// Creates a task on an instance that has what it needs and fulfils what it asks, on Fargate or waiting.
    pub(super) fn add_task(&mut self, new: &NewTask, host: Option<(ContainerInstanceId, DecisionBasis)>) -> TaskId {
        let id = self.new_task_id();
        let definition = &new.registered.definition;
        let mut room = self.spare_records.pop();
        let mut containers = room.as_mut().map(|room| std::mem::take(&mut room.task.containers)).unwrap_or_default();
        containers.clear();
        // Room for those and no more.
        containers.reserve_exact(definition.containers.len());
        containers.resize_with(definition.containers.len(), Container::default);
        // All of it is named: what is shared and would be replaced had to be made first.
        let task = Task {
            id,
            usage: TaskUsage::default(),
            reservation: new.registered.reservation.clone(),
            container_instance: None,
            desired_status: DesiredStatus::default(),
            last_status: TaskStatus::default(),
            task_definition: definition.clone(),
            overrides: new.overrides.clone(),
            group: new.group.clone(),
            started_by: new.started_by.clone(),
            launch_type: new.launch_type,
            capacity_provider: new.capacity_provider.clone(),
            service: new.service.clone(),
            deployment: new.deployment,
            stop_code: None,
            stopped_reason: None,
            created_at: self.now,
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            connectivity_at: None,
            execution_stopped_at: None,
            stopping_at: None,
            stopped_at: None,
            containers,
            tags: new.tags.clone(),
            document: new.document.clone(),
            protected_until: None,
            version: 0,
        };
        self.state.live_count += 1;
        self.state.standalone_live_count += usize::from(task.service.is_none());
        let placement = new.placement.clone();
        let health = TaskHealth::Unproven;
        let (instance, basis) = host.unzip();
        let basis = match new.launch_type {
            LaunchType::Fargate => self.choose_fargate_zone(new),
            LaunchType::Ec2 => basis,
        };
        let decision = basis.map(|basis| PlacementDecision { at: self.now, basis });
        let record = TaskRecord {
            task,
            placement,
            decision,
            health,
            replace: None,
            replaces: new.replaces,
            metered: Metered::No,
        };
        if let Some(place) = record.fargate_place() {
            self.count_fargate_zone_in(place);
        }
        let record = match room {
            Some(mut room) => {
                *room = record;
                room
            }
            None => Box::new(record),
        };
        self.state.tasks.insert(id, record);
        match (new.launch_type, instance) {
            (LaunchType::Fargate, _) => self.hand_over(id, TaskHost::Fargate),
            (LaunchType::Ec2, Some(instance)) => {
                self.placement.reserve(instance, &new.group, &new.registered.reservation);
                self.hand_over(id, TaskHost::Ec2(instance));
            }
            (LaunchType::Ec2, None) => {
                let name = new.capacity_provider.as_ref().expect("only a provider's task waits");
                let provider = self.state.capacity_providers.get_mut(name).expect("a scaled provider exists");
                provider.provisioning.insert(id);
                self.queues.entry(name.clone()).or_default().insert(&self.state.tasks[&id]);
                self.change_task(id, |_| {});
                if let Some(timeout) = self.settings.provisioning_timeout {
                    self.timers.set(self.now + timeout, Wakeup::ProvisioningEnds(id));
                }
            }
        }
        id
    }

    fn provisioning_count(&self) -> usize {
        self.state.capacity_providers.values().map(|provider| provider.provisioning.len()).sum()
    }

    /// Gives a task to the data plane: PENDING, which is when ECS calls it created. Its resources are reserved already.
    /// **Source:** ecs-semantics §2.1.
    fn hand_over(&mut self, id: TaskId, host: TaskHost) {
        let targets = self.targets_of_start(id, host);
        let record = self.state.tasks.get(&id).expect("the caller has the task");
        let task = &record.task;
        let start = TaskStart {
            task: id,
            task_definition: task.task_definition.clone(),
            overrides: task.overrides.clone(),
            host,
            service: task.service.clone(),
            deployment: task.deployment,
            version_consistency: self.state.version_consistency_of(task),
            stop_timeout: self.settings.stop_timeout,
            targets,
        };
        if let TaskHost::Ec2(instance) = host {
            let reservation = task.reservation.clone();
            self.state.tasks_by_instance.get_or_default(instance).insert(id);
            self.refresh_remaining(instance, &reservation);
            if reservation.devices.gpus > 0 {
                self.give_gpus(id, instance);
            }
        }
        let now = self.now;
        self.change_task(id, |record| {
            record.task.last_status = TaskStatus::Pending;
            record.task.created_at = now;
            record.task.connectivity_at = Some(now);
            if let TaskHost::Ec2(instance) = host {
                record.task.container_instance = Some(instance);
            }
        });
        // Who plays the agent of another's instance sees the task there and says what becomes of it.
        if !self.is_run_elsewhere(&self.state.tasks[&id].task) {
            let start = match self.spare_starts.pop() {
                Some(mut room) => {
                    *Arc::make_mut(&mut room) = start;
                    room
                }
                None => Arc::new(start),
            };
            self.actions.push(Action::StartTask(start));
        }
        if let TaskHost::Ec2(_) = host {
            self.task_came();
        }
    }

    /// Tries again to place the tasks that wait for a provider's capacity, in the order of their creation.
    pub(super) fn place_waiting_tasks(&mut self, provider: &Arc<str>) {
        let Some(mut queue) = self.queues.remove(provider) else { return };
        let mut placed = Vec::new();
        queue.offer(provider, |task, request| {
            let placed_by = self.placement.place_by_ranks(request, &mut self.rng);
            let Ok((instance, ranks)) = placed_by else { return Offer::Refused };
            // What it takes is missing for the next one.
            self.placement.reserve(instance, request.group, request.reservation);
            placed.push((task, instance, ranks));
            Offer::Taken
        });
        let found = self.state.capacity_providers.get_mut(provider).expect("only a provider's tasks wait");
        for (task, ..) in &placed {
            found.provisioning.remove(task);
        }
        debug_assert_eq!(found.provisioning.len(), queue.len(), "the queue and the provider list the same tasks");
        if queue.len() > 0 {
            self.queues.insert(provider.clone(), queue);
        }
        for (task, instance, ranks) in placed {
            let basis = DecisionBasis::Strategies { ranks };
            let record = self.state.tasks.get_mut(&task).expect("a task that waits is known");
            record.decision = Some(PlacementDecision { at: self.now, basis });
            self.hand_over(task, TaskHost::Ec2(instance));
        }
    }

    /// Asks a task to stop. One that is to stop already keeps its first reason. **Source:** ecs-semantics §2.1, §2.4.
    pub(super) fn stop_task(&mut self, id: TaskId, code: StopCode, reason: &Arc<str>) {
        let Some(record) = self.state.tasks.get(&id) else { return };
        if record.task.desired_status == DesiredStatus::Stopped {
            // Its last job is not waited for where AWS takes the capacity back meanwhile.
            if record.task.last_status == TaskStatus::Deactivating && !drains_first(code) {
                self.targets_drained(id);
            }
            return;
        }
        let waiting = record.task.last_status == TaskStatus::Provisioning;
        // Its replacement does not wait for its end.
        self.dirty.extend(record.task.service.clone());
        let deactivates = !self.state.targets.is_empty() && self.leaves_targets_first(id, code);
        self.change_task(id, |record| {
            record.task.desired_status = DesiredStatus::Stopped;
            record.task.stop_code = Some(code);
            record.task.stopped_reason = Some(reason.clone());
            if deactivates {
                record.task.last_status = TaskStatus::Deactivating;
            }
        });
        if waiting {
            // The data plane has never heard of it.
            self.task_over(id);
        } else if deactivates {
            self.drain_targets(id);
        } else {
            self.begin_stopping(id);
        }
    }

    /// Nothing keeps a task that is to stop any longer. **Source:** ecs-semantics §2.1.
    pub(super) fn begin_stopping(&mut self, id: TaskId) {
        let now = self.now;
        self.change_task(id, |record| {
            record.task.last_status = TaskStatus::Stopping;
            record.task.stopping_at = Some(now);
        });
        if !self.is_run_elsewhere(&self.state.tasks[&id].task) {
            self.actions.push(Action::StopTask { task: id });
        }
    }

    /// A task has waited for capacity as long as it may: one that waits still fails to start, for what its closest instance lacks.
    /// **Source:** ecs-semantics §2.4, §4.5.
    pub(super) fn provisioning_ended(&mut self, id: TaskId) {
        let Some(record) = self.state.tasks.get(&id) else { return };
        if record.task.last_status != TaskStatus::Provisioning {
            return;
        }
        let reason = self.why_no_room(&self.placement, &record.placement_request()).reason();
        self.stop_task(id, StopCode::TaskFailedToStart, &reason.into());
    }

    /// **Source:** ecs-semantics §8.4.
    pub(super) fn spot_interruption(&mut self, id: TaskId) {
        let on_spot = self
            .state
            .tasks
            .get(&id)
            .is_some_and(|record| record.task.capacity_provider.as_deref() == Some(FARGATE_SPOT));
        if on_spot {
            self.stop_task(id, StopCode::SpotInterruption, &"Your Spot Task was interrupted.".into());
        } else {
            self.state.ignored_events += 1;
        }
    }

    /// Takes in several changes, in their order.
    pub(super) fn task_state_changes(&mut self, changes: Vec<TaskStateChange>) {
        let mut left = changes.into_iter();
        while !left.as_slice().is_empty() {
            self.look_ahead_at_changes(left.as_slice());
            left.by_ref().take(LOOKED_AT_TOGETHER).for_each(|change| self.task_state_change(change));
        }
    }

    /// Takes in what the data plane says of a task. **Source:** ecs-semantics §2.2.
    pub(super) fn task_state_change(&mut self, change: TaskStateChange) {
        let id = change.task;
        let known = self
            .state
            .tasks
            .get(&id)
            .filter(|record| !matches!(record.task.last_status, TaskStatus::Provisioning | TaskStatus::Stopped));
        let Some(record) = known else {
            self.state.ignored_events += 1;
            return;
        };
        let now = self.now;
        let container_count = record.task.containers.len();
        let metered = record.metered;
        let started_before = record.task.last_status >= TaskStatus::Running && record.task.started_at.is_some();
        // What the data plane says of the past lies between the task's creation and this moment.
        let created_at = record.task.created_at;
        let within = |at: Timestamp| at.clamp(created_at, now);
        let runs = matches!(change.step, TaskStep::Running);
        let is_ours = !self.is_run_elsewhere(&record.task);
        if is_ours && metered == Metered::No && (change.pull_started_at.is_some() || runs) {
            self.meter_start(id, change.pull_started_at.map_or(now, within));
        }
        let mut restarts = 0;
        let mut has_new_digests = false;
        self.change_task(id, |record| {
            let task = &mut record.task;
            task.pull_started_at = task.pull_started_at.or(change.pull_started_at.map(within));
            task.pull_stopped_at = task.pull_stopped_at.or(change.pull_stopped_at.map(within));
            for container in change.containers.iter().filter(|container| container.container_index < container_count) {
                let known = &mut task.containers[container.container_index];
                if container.status > known.last_status {
                    known.last_status = container.status;
                    known.exit = container.exit.clone();
                }
                known.health = container.health.unwrap_or(known.health);
                has_new_digests |= known.image_digest.is_none() && container.image_digest.is_some();
                known.image_digest = known.image_digest.or(container.image_digest);
                restarts += container.restart_count.saturating_sub(known.restart_count);
                known.restart_count = known.restart_count.max(container.restart_count);
            }
            match change.step {
                TaskStep::Pulling if task.last_status < TaskStatus::Activating => {
                    task.last_status = TaskStatus::Activating;
                }
                TaskStep::Running => {
                    if task.last_status < TaskStatus::Running {
                        task.last_status = TaskStatus::Running;
                    }
                    task.started_at = task.started_at.or(Some(now));
                }
                _ => {}
            }
        });
        self.count_restarts(id, restarts);
        if has_new_digests {
            self.keep_image_digests(id);
        }
        let is_over = matches!(change.step, TaskStep::Stopped { .. });
        match change.step {
            TaskStep::Running if !started_before => self.task_started(id),
            TaskStep::Running | TaskStep::Pulling | TaskStep::ContainersChanged => {}
            TaskStep::Stopped { usage, failed_to_start } => {
                let essential_exited = self.essential_exited.clone();
                let known = &self.state.tasks[&id].task;
                if let Some(host) = known.container_instance {
                    self.spend_credits(host, usage.vcpu - known.usage.vcpu);
                }
                self.change_task(id, |record| {
                    let task = &mut record.task;
                    task.usage = usage;
                    let (code, reason): (StopCode, Arc<str>) = match failed_to_start {
                        Some(reason) => (StopCode::TaskFailedToStart, reason.into()),
                        None => (StopCode::EssentialContainerExited, essential_exited),
                    };
                    task.stop_code = task.stop_code.or(Some(code));
                    task.stopped_reason.get_or_insert(reason);
                });
                self.task_over(id);
            }
        }
        let task = &self.state.tasks[&id].task;
        if !is_over && task.has_lost_an_essential_container() {
            // The others have their stop timeout; the task's replacement does not wait for them.
            let (code, reason): (StopCode, Arc<str>) = match task.failed_start() {
                Some(reason) => (StopCode::TaskFailedToStart, reason.into()),
                None => (StopCode::EssentialContainerExited, self.essential_exited.clone()),
            };
            self.stop_task(id, code, &reason);
        }
        self.look_at_health(id);
    }

    fn task_started(&mut self, id: TaskId) {
        self.measure_task(id);
        let task = &self.state.tasks[&id].task;
        if let Some(service) = task.service.clone() {
            self.service_task_ran(&service, id);
            self.register_targets(id);
            self.watch_health(id);
            self.dirty.insert(service);
        }
    }

    /// Ends a task: its resources are free, its bill is closed, its service looks again.
    pub(super) fn task_over(&mut self, id: TaskId) {
        let at = self.now;
        let Some(record) = self.state.tasks.get(&id) else { return };
        if record.task.last_status == TaskStatus::Stopped {
            return;
        }
        let task = &record.task;
        let (group, reservation) = (task.group.clone(), task.reservation.clone());
        let service = task.service.clone();
        let (instance, provider) = (task.container_instance, task.capacity_provider.clone());
        let waiting = task.last_status == TaskStatus::Provisioning;
        let fargate_place = record.fargate_place();
        let metered = record.metered;
        let usage = task.usage;
        self.change_task(id, |record| {
            let task = &mut record.task;
            task.desired_status = DesiredStatus::Stopped;
            task.last_status = TaskStatus::Stopped;
            task.stopped_at = Some(at);
            task.stop_code = task.stop_code.or(Some(StopCode::EssentialContainerExited));
            for container in &mut task.containers {
                container.last_status = ContainerStatus::Stopped;
            }
            if record.metered == Metered::Started {
                record.metered = Metered::Stopped;
            }
        });
        if metered == Metered::Started {
            self.actions.push(Action::Meter(MeteringFact::TaskStopped { task: id, at, usage }));
        }
        self.state.live_count -= 1;
        self.state.standalone_live_count -= usize::from(service.is_none());
        self.state.stopped_count += 1;
        self.state.stopped_tasks.push_back((at, id));
        self.timers.cancel(Wakeup::TaskHealthy(id));
        self.deregister_targets(id);
        if waiting && let Some(provider) = &provider {
            if let Some(queue) = self.queues.get_mut(provider) {
                queue.remove(&self.state.tasks[&id]);
            }
            let provider = self.state.capacity_providers.get_mut(provider);
            provider.map(|provider| provider.provisioning.remove(&id));
            // One task less waits, so that a service which the limit held back may add its own.
            self.dirty.append(&mut self.waiting);
        }
        if let Some(instance) = instance {
            if let Some(tasks) = self.state.tasks_by_instance.get_mut(&instance) {
                tasks.remove(id);
            }
            self.placement.release(instance, &group, &reservation);
            self.refresh_remaining(instance, &reservation);
            self.room_appeared(instance);
        }
        if let Some(place) = fargate_place {
            self.count_fargate_zone_off(place);
        }
        self.measured_task_over(id);
        if let Some(service) = service {
            self.service_task_over(&service, id);
            self.dirty.insert(service);
        }
    }

    /// The one way to change a task: keeps its deployment's sets and its instance's counts true and tells who watches.
    pub(super) fn change_task(&mut self, id: TaskId, change: impl FnOnce(&mut TaskRecord)) {
        let now = self.now;
        let record = self.state.tasks.get_mut(&id).expect("the caller has the task");
        let before = (slot_of(record), record.task.last_status, record.task.desired_status);
        let instance_before = record.task.container_instance;
        let is_new = record.task.version == 0;
        let containers_before = ContainersShown::of(&record.task.containers);
        let gave_way = before.0.is_placed() && record.replace.is_some();
        change(record);
        let task = &mut record.task;
        let is_asked = task.desired_status == DesiredStatus::Stopped && task.last_status != TaskStatus::Deactivating;
        if is_asked || task.has_lost_an_essential_container() {
            task.execution_stopped_at = task.execution_stopped_at.or(Some(now));
        }
        let containers_changed = ContainersShown::of(&task.containers) != containers_before;
        let after = (slot_of(record), record.task.last_status, record.task.desired_status);
        let gives_way = after.0.is_placed() && record.replace.is_some();
        debug_assert!(after.1 >= before.1, "a task's status only goes forward");
        let gives_way_otherwise = (gave_way, before.0.is_placed()) != (gives_way, after.0.is_placed()) || is_new;
        let has_changed = before != after || containers_changed || is_new;
        let concerned = record.task.service.as_ref().filter(|_| before.0 != after.0 || is_new || gives_way_otherwise);
        let service = concerned.and_then(|name| self.state.services.get_mut(name));
        let deployments = service.into_iter().flat_map(|found| found.deployments.iter_mut().chain(&mut found.departed));
        if let Some(deployment) = { deployments }.find(|found| Some(found.id) == record.task.deployment) {
            if gives_way_otherwise {
                deployment.note_replacement(record, gives_way, after.0.is_placed());
            }
            if has_changed {
                if before.0 != after.0 || is_new {
                    deployment.leave(before.0, id);
                    deployment.enter(after.0, id);
                }
                if let Some(provider) = &record.task.capacity_provider {
                    let counted = (!is_new && before.0.is_placed(), after.0.is_placed());
                    deployment.recount(provider, counted);
                }
            }
        }
        if !has_changed {
            return;
        }
        // Whether a service's task has proved healthy is nothing that ECS shows.
        let is_told = before.1 != after.1 || before.2 != after.2 || containers_changed || is_new;
        record.task.version += u64::from(is_told);
        let task = &record.task;
        let notification = Notification::Task {
            task: id,
            last_status: task.last_status,
            desired_status: task.desired_status,
            stop_code: task.stop_code,
            version: task.version,
        };
        if let Some(instance) = task.container_instance.and_then(|id| self.state.container_instances.get_mut(&id)) {
            let counted = |placed: bool, (_, last, desired): (Slot, TaskStatus, DesiredStatus)| {
                let running = placed && desired == DesiredStatus::Running;
                (u32::from(running), u32::from(placed && last == TaskStatus::Pending))
            };
            let was = counted(instance_before.is_some(), before);
            let is = counted(true, after);
            if was != is {
                self.instances_with_other_tasks.insert(instance.id);
            }
            instance.running_tasks_count = instance.running_tasks_count + is.0 - was.0;
            instance.pending_tasks_count = instance.pending_tasks_count + is.1 - was.1;
        }
        if is_told {
            self.notify(notification);
        }
    }

    fn meter_start(&mut self, id: TaskId, at: Timestamp) {
        let record = self.state.tasks.get_mut(&id).expect("the caller has the task");
        record.metered = Metered::Started;
        let task = &record.task;
        let definition = &task.task_definition;
        let placement = match (task.launch_type, task.container_instance) {
            (LaunchType::Ec2, Some(instance)) => BilledPlacement::Ec2 { instance },
            _ => BilledPlacement::Fargate {
                purchase_option: match task.capacity_provider.as_deref() {
                    Some(FARGATE_SPOT) => PurchaseOption::Spot,
                    _ => PurchaseOption::OnDemand,
                },
                architecture: definition.cpu_architecture,
                extra_storage_gib: definition.ephemeral_storage_gib.unwrap_or(20).saturating_sub(20),
            },
        };
        // Tasks of one kind that start one after the other share their identity: short ones come by the thousand.
        let is_alike = |last: &TaskIdentity| {
            last.placement == placement
                && (last.cpu, last.memory) == (task.reservation.cpu, task.reservation.memory)
                && Arc::ptr_eq(&last.task_definition, definition)
                && last.service == task.service
                && last.tags == *task.tags
        };
        let last = match task.container_instance {
            Some(instance) => self.last_identities.on_instances.get(&instance),
            None => self.last_identities.on_fargate.as_ref(),
        };
        let identity = match last {
            Some(last) if is_alike(last) => last.clone(),
            _ => {
                let identity = Arc::new(TaskIdentity {
                    service: task.service.clone(),
                    task_definition: definition.clone(),
                    tags: BTreeMap::clone(&task.tags),
                    placement,
                    cpu: task.reservation.cpu,
                    memory: task.reservation.memory,
                });
                match task.container_instance {
                    Some(instance) => self.last_identities.on_instances.insert(instance, identity.clone()),
                    None => self.last_identities.on_fargate.replace(identity.clone()),
                };
                identity
            }
        };
        self.actions.push(Action::Meter(MeteringFact::TaskStarted { task: id, at, identity }));
    }

    /// Notes what tasks have used so far, for their services' utilisation.
    pub(super) fn take_usage(&mut self, samples: &[UsageSample]) {
        for sample in samples {
            let found = self.state.tasks.get_mut(&sample.task).filter(|record| {
                let known = &record.task.usage;
                // Use only ever grows: a sample that says less was overtaken by another.
                record.task.last_status != TaskStatus::Stopped
                    && sample.usage.vcpu >= known.vcpu
                    && sample.usage.memory_mib_millis >= known.memory_mib_millis
            });
            let Some(record) = found else {
                self.state.ignored_events += 1;
                continue;
            };
            let (before, host) = (record.task.usage.vcpu, record.task.container_instance);
            record.task.usage = sample.usage;
            if record.task.last_status == TaskStatus::Running {
                self.measures.add_sample(&record.task, self.now);
                self.measure_single_task(sample.task);
            }
            if let Some(host) = host {
                self.spend_credits(host, sample.usage.vcpu - before);
            }
        }
        self.settle_credits();
    }
}
