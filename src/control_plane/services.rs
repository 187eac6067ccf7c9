//! Services: the loop that holds desired against observed and acts on the difference.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ControlPlane;
use super::action::Notification;
use super::backoff::RestartThrottle;
use super::deployment::{Blocked, Bounds, PlanInputs, Tally, plan};
use super::requests::launch_type_of;
use super::scale_in::{PlacedTask, ScaleInInputs, choose_victims};
use super::service_autoscaling::DeploymentProgress;
use super::state::{
    ClusterState, Deployment, DeploymentStatus, PlacementRules, Registered, RolloutState, Service, ServiceEvent,
    ServiceStatus, Steadiness,
};
use super::tasks::{NewTask, Unplaced};
use super::timers::Wakeup;
use crate::model::capacity::LaunchTarget;
use crate::model::ids::{DeploymentId, TaskId};
use crate::model::service::PropagateTags;
use crate::model::settings::Settings;
use crate::model::task::StopCode;
use crate::model::task_definition::LaunchType;
use crate::model::units::{Duration, Timestamp};

/// Service events kept. **Source:** ecs-semantics §5.11.
const EVENTS_KEPT: usize = 100;
/// Tasks that one service event names.
const TASKS_LISTED: usize = 10;
/// How long a repeated complaint is kept back. **Source:** ecs-semantics §5.11.
const REPEAT_AFTER: Duration = Duration::from_secs(6 * 3600);

/// What a service is steered by, beside its public state.
#[derive(Debug)]
pub(super) struct ServiceController {
    pub throttle: RestartThrottle,
    /// The last complaint and when it was made.
    complaint: Option<(Complaint, Timestamp)>,
    /// When it was last worked out why no instance takes a task.
    explained_at: Option<Timestamp>,
}

/// What a service complains about. The text may name another instance each time; the trouble is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    NoRoom(&'static str),
    ProvisioningLimit,
    BlockedByBounds,
}

impl ServiceController {
    pub(super) fn new(settings: &Settings) -> ServiceController {
        ServiceController {
            throttle: RestartThrottle::new(settings.restart_delay_first, settings.restart_delay_max),
            complaint: None,
            explained_at: None,
        }
    }
}

impl ClusterState {
    /// The healthy tasks of one deployment, of which some are to go, among all tasks of the service.
    fn scale_in_inputs<'a>(
        &'a self,
        service: &'a Service,
        deployment: &Deployment,
        going: &[TaskId],
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
        ScaleInInputs {
            candidates: deployment.healthy.iter().map(placed).collect(),
            staying: staying.into_iter().map(placed).collect(),
            leaving: stopping.chain(leaving).map(placed).collect(),
            providers: match &service.spec.launch_target {
                LaunchTarget::Strategy(items) => items,
                LaunchTarget::LaunchType(_) | LaunchTarget::ClusterDefault => &[],
            },
            strategies: &service.spec.placement_strategy,
        }
    }
}

impl ControlPlane {
    pub(super) fn new_deployment(&mut self, registered: Registered) -> Deployment {
        let id = self.new_deployment_id();
        Deployment {
            id,
            shown_id: self.ids.deployment(id).into(),
            status: DeploymentStatus::Primary,
            task_definition: registered.definition,
            reservation: registered.reservation,
            rollout_state: RolloutState::InProgress,
            failed_tasks: 0,
            created_at: self.now,
            updated_at: self.now,
            starting: Default::default(),
            unproven: Default::default(),
            healthy: Default::default(),
            stopping: Default::default(),
            tasks_by_provider: Default::default(),
        }
    }

    /// Makes a deployment the primary one; those before it drain toward it. **Source:** ecs-semantics §5.3.
    pub(super) fn start_deployment(&mut self, name: &Arc<str>, registered: Registered) {
        let deployment = self.new_deployment(registered);
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        for older in &mut service.deployments {
            older.status = DeploymentStatus::Active;
            older.updated_at = now;
        }
        service.deployments.insert(0, deployment);
        if let Some(controller) = self.controllers.get_mut(name) {
            // A new task definition resets the throttle at once. Source: ecs-semantics §5.6.
            controller.throttle.reset();
            self.timers.cancel(Wakeup::Restart(name.clone()));
        }
    }

    /// Brings a service one settled step closer to what is desired. **Source:** ecs-semantics §5.3.
    pub(super) fn reconcile(&mut self, name: &Arc<str>) {
        let Some(service) = self.state.services.get(name) else { return };
        if service.status == ServiceStatus::Inactive {
            return;
        }
        let tally = |deployment: &Deployment| Tally {
            starting: deployment.pending_count(),
            unproven: super::state::count(deployment.unproven.len()),
            healthy: deployment.healthy_count(),
        };
        let older: Vec<Tally> = service.deployments.iter().skip(1).map(tally).collect();
        let plan = plan(&PlanInputs {
            desired_count: service.spec.desired_count,
            configuration: service.spec.deployment_configuration,
            primary: tally(service.primary()),
            older: &older,
        });
        if plan.stop_primary > 0 {
            self.stop_some(name, 0, plan.stop_primary, Victims::LeastUsefulFirst);
        }
        for (index, stop) in plan.stop_older.iter().enumerate() {
            if stop.not_healthy > 0 {
                self.stop_some(name, index + 1, stop.not_healthy, Victims::NotHealthyOnly);
            }
            if stop.healthy > 0 {
                self.stop_some(name, index + 1, stop.healthy, Victims::HealthyOnly);
            }
        }
        if plan.start > 0 {
            self.start_some(name, plan.start);
        }
        if plan.blocked == Blocked::ByConfiguration {
            self.complain(
                name,
                Complaint::BlockedByBounds,
                "was unable to stop or start tasks during a deployment because of the service deployment \
                 configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            );
        }
        let stopped_any =
            plan.stop_primary > 0 || plan.stop_older.iter().any(|stop| stop.not_healthy + stop.healthy > 0);
        if stopped_any {
            // What was stopped may have made room under the upper bound.
            self.dirty.insert(name.clone());
        }
        self.conclude(name);
    }

    /// Starts tasks of the primary deployment until one can't be placed or starts are throttled.
    fn start_some(&mut self, name: &Arc<str>, wanted: u32) {
        let service = &self.state.services[name];
        let primary = service.primary();
        let (deployment, shown_id) = (primary.id, primary.shown_id.clone());
        let registered =
            Registered { definition: primary.task_definition.clone(), reservation: primary.reservation.clone() };
        let spec = &service.spec;
        let tags = Arc::new(match spec.propagate_tags {
            PropagateTags::None => Default::default(),
            PropagateTags::TaskDefinition => registered.definition.tags.clone(),
            PropagateTags::Service => spec.tags.clone(),
        });
        let (group, target) = (service.group.clone(), spec.launch_target.clone());
        let placement = Arc::new(PlacementRules {
            strategies: spec.placement_strategy.clone(),
            constraints: spec.placement_constraints.clone(),
        });
        if let Some(until) = self.controllers[name].throttle.may_start_at().filter(|until| *until > self.now) {
            self.timers.set(until, Wakeup::Restart(name.clone()));
            return;
        }
        let mut started: Vec<TaskId> = Vec::new();
        let mut no_room = None;
        let bounds = Bounds::of(service.spec.desired_count, service.spec.deployment_configuration);
        let placed = service.running_count() + service.pending_count();
        assert!(placed + wanted <= bounds.upper, "service {name} is about to start more tasks than its bounds allow");
        for _ in 0..wanted {
            let (launch_type, capacity_provider) = match &target {
                LaunchTarget::Strategy(items) => {
                    let counts = &self.state.services[name].primary().tasks_by_provider;
                    let count_of = |provider: &str| counts.get(provider).copied().unwrap_or(0);
                    let provider = super::capacity_strategy::next_provider(items, count_of).clone();
                    (launch_type_of(&provider), Some(provider))
                }
                LaunchTarget::LaunchType(launch_type) => (*launch_type, None),
                LaunchTarget::ClusterDefault => (LaunchType::Ec2, None),
            };
            let new = NewTask {
                registered: registered.clone(),
                overrides: Default::default(),
                group: group.clone(),
                started_by: Some(shown_id.clone()),
                launch_type,
                capacity_provider,
                service: Some(name.clone()),
                deployment: Some(deployment),
                tags: tags.clone(),
                placement: placement.clone(),
            };
            match self.create_task(&new) {
                Ok(task) => started.push(task),
                Err(unplaced) => {
                    no_room = Some((unplaced, new));
                    break;
                }
            }
        }
        if !started.is_empty() {
            self.disturb(name);
            self.service_event(name, &format!("has started {} tasks: {}.", started.len(), self.task_list(&started)));
        }
        match no_room {
            None => {
                self.waiting.remove(name);
                if let Some(controller) = self.controllers.get_mut(name) {
                    controller.complaint = None;
                    controller.explained_at = None;
                }
            }
            Some((unplaced, new)) => {
                self.waiting.insert(name.clone());
                match unplaced {
                    Unplaced::NoRoom => self.explain_no_room(name, &new),
                    Unplaced::ProvisioningLimit => self.complain(
                        name,
                        Complaint::ProvisioningLimit,
                        "was unable to place tasks in your cluster because the tasks provisioning capacity limit was \
                         exceeded.",
                    ),
                }
            }
        }
    }

    /// Says why no instance takes a task. *Ours:* asks the instances once a metric period at most, because a service that waits
    /// tries again whenever a task ends somewhere, and the answer costs a look at every instance.
    fn explain_no_room(&mut self, name: &Arc<str>, new: &NewTask) {
        let (now, pause) = (self.now, self.settings.metric_period);
        let Some(controller) = self.controllers.get_mut(name) else { return };
        match controller.explained_at.map(|at| at + pause).filter(|next| *next > now) {
            // The reason may be another by then.
            Some(next) => self.timers.set(next, Wakeup::Restart(name.clone())),
            None => {
                controller.explained_at = Some(now);
                let failure = self.placement.explain(&new.placement_request());
                self.complain(name, Complaint::NoRoom(failure.reason()), &failure.service_event_reason(self.ids));
            }
        }
    }

    /// Stops tasks of one deployment of a service. **Source:** ecs-semantics §4.2 (last column), §5.3.
    fn stop_some(&mut self, name: &Arc<str>, deployment_index: usize, wanted: u32, victims: Victims) {
        let service = &self.state.services[name];
        let deployment = &service.deployments[deployment_index];
        let reason: Arc<str> = format!("Scaling activity initiated by (deployment {})", deployment.shown_id).into();
        let wanted = wanted as usize;
        let not_healthy = || deployment.starting.iter().rev().chain(deployment.unproven.iter().rev());
        let youngest = || deployment.healthy.iter().rev();
        let chosen: Vec<TaskId> = match victims {
            Victims::NotHealthyOnly => not_healthy().take(wanted).copied().collect(),
            // Ours: they all go in the end, and the youngest first is the way they came.
            Victims::HealthyOnly => youngest().take(wanted).copied().collect(),
            // Ours, as the rule book suggests: what does not run yet goes first, then what is not healthy, then by strategy.
            Victims::LeastUsefulFirst => {
                let mut chosen: Vec<TaskId> = not_healthy().take(wanted).copied().collect();
                let missing = wanted - chosen.len();
                match service.spec.launch_target {
                    // They are nowhere in particular.
                    LaunchTarget::LaunchType(LaunchType::Fargate) => chosen.extend(youngest().take(missing)),
                    _ if missing >= deployment.healthy.len() => chosen.extend(&deployment.healthy),
                    _ if missing > 0 => {
                        let inputs = self.state.scale_in_inputs(service, deployment, &chosen);
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
            self.service_event(
                name,
                &format!("has stopped {} running tasks: {}.", chosen.len(), self.task_list(&chosen)),
            );
        }
    }

    /// Whatever a service does, it is steady only when it has said so again. **Source:** ecs-semantics §5.7.
    fn disturb(&mut self, name: &Arc<str>) {
        if let Some(service) = self.state.services.get_mut(name) {
            service.steadiness = Steadiness::Changing;
        }
    }

    /// Completes deployments, drops those that are over, and says when the service is steady.
    /// **Source:** ecs-semantics §5.7, §11.5.
    fn conclude(&mut self, name: &Arc<str>) {
        let now = self.now;
        let service = self.state.services.get_mut(name).expect("the caller has the service");
        let mut index = 0;
        service.deployments.retain(|deployment| {
            index += 1;
            index == 1 || deployment.placed_count() > 0 || !deployment.stopping.is_empty()
        });
        if service.status == ServiceStatus::Draining {
            if service
                .deployments
                .iter()
                .all(|deployment| deployment.placed_count() + super::state::count(deployment.stopping.len()) == 0)
            {
                service.status = ServiceStatus::Inactive;
                self.waiting.remove(name);
            }
            return;
        }
        let desired = service.spec.desired_count;
        let older_placed: u32 = service.deployments.iter().skip(1).map(Deployment::placed_count).sum();
        let primary = &mut service.deployments[0];
        let all_healthy = primary.healthy_count() == desired && primary.placed_count() == desired;
        let mut completed = None;
        if all_healthy && older_placed == 0 && primary.rollout_state == RolloutState::InProgress {
            primary.rollout_state = RolloutState::Completed;
            primary.updated_at = now;
            completed = Some(primary.shown_id.clone());
        }
        let steady = all_healthy && older_placed == 0;
        let became_steady = steady && service.steadiness == Steadiness::Changing;
        service.steadiness = if steady { Steadiness::Steady } else { Steadiness::Changing };
        if let Some(shown_id) = completed {
            self.service_event(name, &format!("(deployment {shown_id}) deployment completed."));
        }
        if became_steady {
            if let Some(controller) = self.controllers.get_mut(name) {
                controller.complaint = None;
                controller.explained_at = None;
            }
            self.service_event(name, "has reached a steady state.");
        }
    }

    /// A task of a service has reached RUNNING: its deployment can start tasks. **Source:** ecs-semantics §5.6, §5.7.
    pub(super) fn service_task_ran(&mut self, name: &Arc<str>, task: TaskId) {
        let task = &self.state.tasks[&task].task;
        let deployment = task.deployment;
        if let Some(controller) = self.controllers.get_mut(name) {
            controller.throttle.task_ran();
        }
        if let Some(deployment) = self.deployment_mut(name, deployment) {
            deployment.failed_tasks = 0;
        }
    }

    /// A task of a service is over. One that never ran, and that nobody stopped, slows the next start down.
    /// **Source:** ecs-semantics §5.6.
    pub(super) fn service_task_over(&mut self, name: &Arc<str>, id: TaskId) {
        let task = &self.state.tasks[&id].task;
        let (created_at, deployment) = (task.created_at, task.deployment);
        let failed = task.started_at.is_none()
            && matches!(task.stop_code, Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited));
        if failed && let Some(controller) = self.controllers.get_mut(name) {
            let failure = controller.throttle.task_failed_to_start(self.now, created_at);
            self.timers.set(failure.may_start_at, Wakeup::Restart(name.clone()));
            if let Some(message) = failure.message {
                self.service_event(name, message);
            }
        }
        if failed && let Some(deployment) = self.deployment_mut(name, deployment) {
            deployment.failed_tasks += 1;
        }
    }

    fn deployment_mut(&mut self, name: &Arc<str>, deployment: Option<DeploymentId>) -> Option<&mut Deployment> {
        let service = self.state.services.get_mut(name)?;
        service.deployments.iter_mut().find(|found| Some(found.id) == deployment)
    }

    /// Whether a deployment of the service is under way: it holds scale-in off. **Source:** ecs-semantics §7.2.
    pub(super) fn deployment_progress(service: &Service) -> DeploymentProgress {
        let under_way = service.deployments.len() > 1 || service.primary().rollout_state == RolloutState::InProgress;
        if under_way { DeploymentProgress::InProgress } else { DeploymentProgress::Steady }
    }

    /// Sets a desired count on behalf of a scaling policy.
    pub(super) fn scale_service(&mut self, name: &Arc<str>, desired_count: u32, cause: &str) {
        let Some(service) = self.state.services.get_mut(name) else { return };
        let before = service.spec.desired_count;
        service.spec.desired_count = desired_count;
        service.steadiness = Steadiness::Changing;
        self.service_event(name, &format!("desired count changed from {before} to {desired_count}: {cause}"));
        self.dirty.insert(name.clone());
    }

    /// A complaint: said once, and again only when it was resolved between or after six hours.
    /// **Source:** ecs-semantics §5.11.
    fn complain(&mut self, name: &Arc<str>, about: Complaint, text: &str) {
        let now = self.now;
        let Some(controller) = self.controllers.get_mut(name) else { return };
        let repeated = controller.complaint.is_some_and(|(last, at)| last == about && now.since(at) < REPEAT_AFTER);
        if !repeated {
            controller.complaint = Some((about, now));
            self.service_event(name, text);
        }
    }

    /// Adds a line to a service's events. **Source:** ecs-semantics §5.11.
    fn service_event(&mut self, name: &Arc<str>, text: &str) {
        let message: Arc<str> = format!("(service {name}) {text}").into();
        if let Some(service) = self.state.services.get_mut(name) {
            if service.events.len() == EVENTS_KEPT {
                service.events.pop_front();
            }
            service.events.push_back(ServiceEvent { at: self.now, message: message.clone() });
        }
        self.notify(Notification::Service { service: name.clone(), message });
    }

    /// `(task T1) (task T2)`, as ECS lists tasks in events. *Ours:* no more than ten of them, ECS writes one more event for each ten.
    fn task_list(&self, tasks: &[TaskId]) -> String {
        let shown: Vec<String> =
            tasks.iter().take(TASKS_LISTED).map(|task| format!("(task {})", self.ids.task(*task))).collect();
        let more = match tasks.len().saturating_sub(TASKS_LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        shown.join(" ") + &more
    }

    /// Room has appeared on an instance: whoever waits for it looks again.
    pub(super) fn room_appeared(&mut self, instance: crate::model::ids::ContainerInstanceId) {
        let provider = self
            .state
            .container_instances
            .get(&instance)
            .and_then(|instance| instance.launch.capacity_provider.clone());
        if let Some(provider) = provider
            && self.state.capacity_providers.get(&provider).is_some_and(|found| !found.provisioning.is_empty())
        {
            self.freed.insert(provider);
        }
        self.dirty.append(&mut self.waiting);
    }
}

/// Which tasks of a deployment may be stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victims {
    HealthyOnly,
    NotHealthyOnly,
    LeastUsefulFirst,
}
