//! A service: what it has, what it wants, what stands between, and where its next task would go.

use std::fmt;
use std::sync::Arc;

use super::forecast::ForecastExplanation;
use super::placement_now::{Choice, PlacementNow};
use super::task::TaskExplanation;
use crate::control_plane::ControlPlane;
use crate::control_plane::deployment::{Blocked, Launching, Plan};
use crate::control_plane::placement::Candidate;
use crate::control_plane::request_error::RequestError;
use crate::control_plane::state::{ReplaceCause, RolloutState, Service, ServiceStatus, count};
use crate::control_plane::task_sets::Limits;
use crate::model::ids::TaskId;
use crate::model::service::SchedulingStrategy;
use crate::model::task::{StopCode, TaskStatus};
use crate::model::units::Timestamp;

/// A service and why it is short.
#[derive(Clone, Debug)]
pub struct ServiceExplanation {
    /// Its name.
    pub service: Arc<str>,
    /// Its status.
    pub status: ServiceStatus,
    /// How many tasks it has is decided by this.
    pub scheduling_strategy: SchedulingStrategy,
    /// How many tasks it wants.
    pub desired_count: u32,
    /// How many run.
    pub running_count: u32,
    /// How many are on their way.
    pub pending_count: u32,
    /// How many count as healthy.
    pub healthy_count: u32,
    /// What stands between what it has and what it wants. Empty when it has that.
    pub reasons: Vec<ServiceReason>,
    /// Its tasks that are on their way or do not count as healthy yet; one for each kind of those that wait for capacity.
    pub tasks: Vec<TaskExplanation>,
    /// The forecasts of its predictive scaling policies, in their order.
    pub forecasts: Vec<ForecastExplanation>,
    /// Where its next task would go; `None` once it starts none any more.
    pub next: Option<PlacementNow>,
}

/// What stands between what a service has and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceReason {
    /// It is deleted.
    Deleted,
    /// Its deployment failed and starts nothing any more. **Source:** ecs-semantics §5.7.
    DeploymentFailed {
        /// Which.
        deployment: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// Its client controls it and has given it no task set. **Source:** ecs-semantics §5.8.
    NoTaskSet,
    /// Tasks failed to start, and it waits before it starts others. **Source:** ecs-semantics §5.6.
    Throttled {
        /// Until when.
        until: Timestamp,
        /// How many it would start.
        wanted: u32,
    },
    /// It has started as many tasks as it may in a minute. **Source:** ecs-semantics §1.7.
    LaunchRate {
        /// When it may start the next.
        until: Timestamp,
        /// How many it would start.
        wanted: u32,
    },
    /// No instance takes its next task. **Source:** ecs-semantics §5.11.
    NoRoom {
        /// The reason of the closest instance.
        reason: &'static str,
        /// How many it would start, or on a DAEMON's side: how many instances it is missing from.
        wanted: u32,
    },
    /// As many tasks wait for capacity as may in a cluster. **Source:** ecs-semantics §1.7.
    ProvisioningLimit {
        /// How many it would start.
        wanted: u32,
    },
    /// Its bounds allow no start. **Source:** ecs-semantics §5.2.
    UpperBound {
        /// The most tasks that it may have.
        upper: u32,
        /// How many it has, over all deployments.
        placed: u32,
    },
    /// Its bounds allow neither a start nor a stop. **Source:** ecs-semantics §5.2.
    BlockedByBounds,
    /// What would have to stop is protected. **Source:** ecs-semantics §2.6.
    BlockedByProtection,
    /// Tasks wait for capacity. **Source:** ecs-semantics §2.1.
    WaitsForCapacity {
        /// How many.
        tasks: u32,
    },
    /// Tasks have a host and start. **Source:** ecs-semantics §2.1.
    Starting {
        /// How many.
        tasks: u32,
    },
    /// Tasks run and do not count as healthy. **Source:** ecs-semantics §5.2.
    NotHealthyYet {
        /// How many.
        tasks: u32,
    },
    /// Tasks give way to others. **Source:** ecs-semantics §3.3, §5.4, §5.10.
    GivingWay {
        /// Why.
        cause: ReplaceCause,
        /// How many.
        tasks: u32,
    },
    /// The last of its tasks that ended unasked.
    TaskEnded {
        /// Which.
        task: TaskId,
        /// When.
        at: Timestamp,
        /// Why, for programs.
        code: StopCode,
        /// Why, for people.
        reason: Arc<str>,
    },
}

impl ServiceReason {
    /// What stands in the way of a deployment that may stop and start nothing. **Source:** ecs-semantics §2.6, §5.2.
    fn of_blocked(blocked: Blocked) -> Option<ServiceReason> {
        match blocked {
            Blocked::No => None,
            Blocked::ByConfiguration => Some(ServiceReason::BlockedByBounds),
            Blocked::ByProtection => Some(ServiceReason::BlockedByProtection),
        }
    }
}

impl fmt::Display for ServiceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = |count: &u32| if *count == 1 { "1 task".to_owned() } else { format!("{count} tasks") };
        match self {
            ServiceReason::Deleted => write!(f, "the service is deleted"),
            ServiceReason::DeploymentFailed { deployment, reason } => {
                write!(f, "deployment {deployment} failed and starts nothing any more: {reason}")
            }
            ServiceReason::Throttled { until, wanted } => {
                write!(f, "{} not started: earlier ones never ran, the next attempt is at {until}", tasks(wanted))
            }
            ServiceReason::LaunchRate { until, wanted } => {
                write!(f, "{} not started: no more in this minute, the next at {until}", tasks(wanted))
            }
            ServiceReason::NoRoom { reason, wanted } => {
                write!(f, "{} not started: no container instance met all requirements ({reason})", tasks(wanted))
            }
            ServiceReason::ProvisioningLimit { wanted } => {
                write!(f, "{} not started: the tasks provisioning capacity limit was exceeded", tasks(wanted))
            }
            ServiceReason::UpperBound { upper, placed } => write!(
                f,
                "nothing more is started: it has {placed} of at most {upper} tasks over all deployments (maximumPercent)"
            ),
            ServiceReason::BlockedByBounds => write!(
                f,
                "the deployment can neither stop nor start tasks: update minimumHealthyPercent or maximumPercent"
            ),
            ServiceReason::NoTaskSet => write!(f, "it has no task set: create one"),
            ServiceReason::BlockedByProtection => write!(f, "the tasks that would have to stop are protected"),
            ServiceReason::WaitsForCapacity { tasks: count } => {
                write!(f, "PROVISIONING, for capacity: {}", tasks(count))
            }
            ServiceReason::Starting { tasks: count } => write!(f, "placed and starting: {}", tasks(count)),
            ServiceReason::NotHealthyYet { tasks: count } => {
                write!(f, "running and not counted as healthy yet: {}", tasks(count))
            }
            ServiceReason::GivingWay { cause, tasks: count } => {
                let why = match cause {
                    ReplaceCause::Unhealthy => "unhealthy",
                    ReplaceCause::InstanceDraining => "on an instance that drains",
                    ReplaceCause::Retirement => "retiring: what they run on is being maintained",
                    ReplaceCause::Rebalancing => "moving to another availability zone",
                };
                write!(f, "to be replaced, {why}: {}", tasks(count))
            }
            ServiceReason::TaskEnded { at, code, reason, .. } => {
                write!(f, "the last task that ended unasked, at {at}: {}: {reason}", code.as_str())
            }
        }
    }
}

impl Service {
    /// Whether it has what it wants and nothing of it is on the move: then there is nothing to explain.
    pub(super) fn has_what_it_wants(&self) -> bool {
        if self.has_task_sets() {
            return self.sets_are_steady();
        }
        self.deployments.len() == 1
            && self.primary().rollout_state != RolloutState::Failed
            && self.primary().giving_way.is_empty()
            && self.pending_count() == 0
            && self.running_count() == self.spec.desired_count
            && self.healthy_count() == self.spec.desired_count
    }
}

impl ControlPlane {
    pub(super) fn explain_service(&self, name: &Arc<str>) -> Result<ServiceExplanation, RequestError> {
        let service = self.state.services.get(name).ok_or(RequestError::ServiceNotFound)?;
        Ok(self.explain_known_service(service))
    }

    pub(super) fn explain_known_service(&self, service: &Service) -> ServiceExplanation {
        let is_daemon = service.spec.scheduling_strategy == SchedulingStrategy::Daemon;
        let launches = service.launching().deployment_index().filter(|_| service.status == ServiceStatus::Active);
        let next = launches.map(|index| {
            let task = service.next_task((self.name(), &self.state.subnets), index);
            let now = self.placement_of(&task);
            if is_daemon { PlacementNow { choice: self.each_instance(&task), ..now } } else { now }
        });
        let mut reasons = Vec::new();
        if service.status != ServiceStatus::Active {
            reasons.push(ServiceReason::Deleted);
        } else if service.has_task_sets() {
            reasons.extend(service.deployments.is_empty().then_some(ServiceReason::NoTaskSet));
            for index in 0..service.deployments.len() {
                let plan = self.plan_of_set(service, index);
                let next = self.placement_of(&service.next_task((&self.name, &self.state.subnets), index));
                reasons.extend(self.why_short(service, index, &plan, &next));
            }
        } else {
            let primary = service.primary();
            if primary.rollout_state == RolloutState::Failed {
                reasons.push(ServiceReason::DeploymentFailed {
                    deployment: primary.shown_id.clone(),
                    reason: primary.rollout_state_reason.clone(),
                });
            }
            if let Some(next) = &next {
                reasons.extend(if is_daemon {
                    self.why_daemon_is_short(service, next)
                } else {
                    self.why_short(service, 0, &self.plan_of(&service.spec.name), next)
                });
            }
        }
        self.add_what_is_on_its_way(service, &mut reasons);
        if service.running_count() < service.wanted_count() {
            reasons.extend(self.last_end(service));
        }
        ServiceExplanation {
            service: service.spec.name.clone(),
            status: service.status,
            scheduling_strategy: service.spec.scheduling_strategy,
            desired_count: service.spec.desired_count,
            running_count: service.running_count(),
            pending_count: service.pending_count(),
            healthy_count: service.healthy_count(),
            reasons,
            tasks: self.tasks_on_their_way(service),
            forecasts: self.explain_forecasts(&service.spec.name),
            next,
        }
    }

    /// What keeps a REPLICA service, or one of its task sets, from starting what it wants to start, in the order in which starts are
    /// held against it. The deployment is the primary one or the set.
    fn why_short(
        &self,
        service: &Service,
        deployment_index: usize,
        plan: &Plan,
        next: &PlacementNow,
    ) -> Option<ServiceReason> {
        let Limits { bounds, placed, .. } = service.limits_of(deployment_index);
        let upper = bounds.upper;
        let deployment = &service.deployments[deployment_index];
        let missing = deployment.placed_count() < deployment.computed_desired_count(service.spec.desired_count);
        let blocked = ServiceReason::of_blocked(plan.blocked);
        if blocked.is_some() {
            return blocked;
        }
        if plan.start > 0 {
            return self.why_not_started(service, plan.start, next);
        }
        let launches = service.has_task_sets() || service.launching() == Launching::Primary;
        (missing && placed >= upper && launches).then_some(ServiceReason::UpperBound { upper, placed })
    }

    fn why_not_started(&self, service: &Service, wanted: u32, next: &PlacementNow) -> Option<ServiceReason> {
        let controller = &self.controllers[&service.spec.name];
        if let Some(until) = controller.throttle.may_start_at().filter(|until| *until > self.now) {
            return Some(ServiceReason::Throttled { until, wanted });
        }
        let mut rate = controller.rate.clone();
        if rate.allowance(self.now) == 0 {
            return Some(ServiceReason::LaunchRate { until: rate.next_at().unwrap_or(self.now), wanted });
        }
        match &next.choice {
            Choice::Instance { failure: Some(_), wait: Some(_), .. } => {
                Some(ServiceReason::ProvisioningLimit { wanted })
            }
            Choice::Instance { failure: Some(failure), wait: None, .. }
            | Choice::Fargate { failure: Some(failure) } => {
                Some(ServiceReason::NoRoom { reason: failure.reason(), wanted })
            }
            Choice::Instance { failure: None, .. }
            | Choice::Fargate { failure: None }
            | Choice::EachInstance { .. } => None,
        }
    }

    /// A DAEMON service wants a task on each instance that it may be on, whatever room there is, and one of its primary deployment.
    fn why_daemon_is_short(&self, service: &Service, next: &PlacementNow) -> Option<ServiceReason> {
        let lacks = |candidate: &&Candidate| {
            candidate.group_task_count == 0 && candidate.broken().all(|verdict| verdict.rule.is_about_room())
        };
        let lacking: Vec<&Candidate> = next.choice.candidates().iter().filter(lacks).collect();
        let broken =
            lacking.iter().find_map(|candidate| candidate.broken().next()).map(|verdict| verdict.rule.reason());
        let wanted = count(lacking.len());
        let until = self.controllers[&service.spec.name].throttle.may_start_at();
        match until.filter(|until| wanted > 0 && *until > self.now) {
            Some(until) => Some(ServiceReason::Throttled { until, wanted }),
            None => {
                let no_room = broken.map(|reason| ServiceReason::NoRoom { reason, wanted });
                no_room.or_else(|| ServiceReason::of_blocked(self.what_blocks_daemon(service)))
            }
        }
    }

    fn add_what_is_on_its_way(&self, service: &Service, reasons: &mut Vec<ServiceReason>) {
        let starting = || service.deployments.iter().flat_map(|deployment| &deployment.starting);
        let is_waiting = |task: &TaskId| self.state.tasks[task].task.last_status == TaskStatus::Provisioning;
        let waiting = count(starting().filter(is_waiting).count());
        let placed = count(starting().count()) - waiting;
        let unproven = count(service.deployments.iter().map(|deployment| deployment.unproven.len()).sum());
        if waiting > 0 {
            reasons.push(ServiceReason::WaitsForCapacity { tasks: waiting });
        }
        if placed > 0 {
            reasons.push(ServiceReason::Starting { tasks: placed });
        }
        if unproven > 0 {
            reasons.push(ServiceReason::NotHealthyYet { tasks: unproven });
        }
        let leaving = || service.deployments.iter().flat_map(|deployment| &deployment.giving_way);
        for cause in [
            ReplaceCause::Unhealthy,
            ReplaceCause::InstanceDraining,
            ReplaceCause::Rebalancing,
            ReplaceCause::Retirement,
        ] {
            let of_cause = leaving().filter(|task| self.state.tasks[task].replace == Some(cause)).count();
            if of_cause > 0 {
                reasons.push(ServiceReason::GivingWay { cause, tasks: count(of_cause) });
            }
        }
    }

    /// The last task that ended by itself or never ran: what a service that keeps losing its tasks has to show for it.
    fn last_end(&self, service: &Service) -> Option<ServiceReason> {
        self.state.stopped_tasks.iter().rev().find_map(|(at, task)| {
            let task = &self.state.tasks.get(task)?.task;
            let code = task.stop_code?;
            let is_asked = matches!(code, StopCode::ServiceSchedulerInitiated | StopCode::UserInitiated);
            let reason = task.stopped_reason.clone().unwrap_or_default();
            (task.service.as_ref() == Some(&service.spec.name) && !is_asked).then_some(ServiceReason::TaskEnded {
                task: task.id,
                at: *at,
                code,
                reason,
            })
        })
    }

    fn tasks_on_their_way(&self, service: &Service) -> Vec<TaskExplanation> {
        let deployments = service.deployments.iter();
        let wanted = deployments.flat_map(|deployment| deployment.starting.iter().chain(&deployment.unproven));
        let first_of_kind = |task: &TaskId| {
            let record = &self.state.tasks[task];
            let queue = record.task.capacity_provider.as_ref().and_then(|name| self.queues.get(name));
            let is_waiting = record.task.last_status == TaskStatus::Provisioning;
            !is_waiting || queue.is_some_and(|queue| queue.first_alike(record) == Some(*task))
        };
        wanted.filter(first_of_kind).map(|task| self.explain_wait(&self.state.tasks[&task])).collect()
    }
}
