//! A cluster without a data plane: the control plane, a fake that answers its actions, and a checker that looks on.
//!
//! Time is virtual: [`World::run_until`] jumps from event to deadline to event. The fake starts tasks and instances after the times that
//! a [`Behaviour`] names and does what it is asked to. The [`Checker`] sees every event with its actions from outside and holds
//! them against what style and design promise: it knows nothing of how a decision comes about.

mod containers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

pub use containers::{Check, ContainerBehaviour, FAILS, HANGS, Life, PASSES};
use containers::{FakeContainers, Story};
use longshore::agent::AgentEvent;
use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::ControlPlane;
use longshore::control_plane::action::{Action, HookCall, Notification, Response, TaskHost, TaskStart};
use longshore::control_plane::deployment::Bounds;
use longshore::control_plane::event::{
    ContainerStateChange, ContainerStateChanges, Event, Request, TargetHealthChange, TaskStateChange, TaskStep,
    UpdateService,
};
use longshore::control_plane::faults::{FaultEffect, FaultPlan, LaunchFate};
use longshore::control_plane::request_error::RequestError;
use longshore::control_plane::state::{ClusterState, ReplaceCause, ServiceStatus};
use longshore::driver::event_bridge::{ClusterEvent, EventBridge};
use longshore::model::arn::ArnForm;
use longshore::model::auto_scaling_group::{ManagedTerminationProtection, ScaleInProtection};
use longshore::model::capacity::{
    AgentConnection, AutoScalingGroup, CapacityProvider, CapacityProviderStrategyItem, ContainerInstanceStatus,
    InstanceLaunch, InstanceType, LaunchTarget, ManagedScaling,
};
use longshore::model::cluster::{ClusterSpec, RunTaskSpec, StartTaskSpec};
use longshore::model::deployment_hook::HookAnswer;
use longshore::model::ids::{ContainerInstanceId, HookId, RequestId, TaskId};
use longshore::model::rng::RandomStream;
use longshore::model::scaling::ActivityStatus;
use longshore::model::service::{DeploymentConfiguration, SchedulingStrategy, ServiceSpec};
use longshore::model::target_group::{TargetStart, TargetState};
use longshore::model::task::{ContainerExit, ContainerStatus, DesiredStatus, HealthStatus, StopCode, TaskStatus};
use longshore::model::task_definition::{
    ContainerDefinition, CpuArchitecture, LaunchType, NetworkMode, TaskDefinition, TaskDefinitionRef,
};
use longshore::model::task_set::TaskSetName;
use longshore::model::units::{CpuUnits, Duration, MemoryMib, Timestamp, VcpuNanos};
use longshore::model::usage::{MeteringFact, TaskUsage, UsageSample};

/// How the fake data plane treats tasks of one family.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Time that pulling takes; zero is not reported.
    pub pull: Duration,
    /// Time from then until everything runs.
    pub start: Duration,
    /// Time from StopTask to the end; the stop timeout cuts it short.
    pub stop: Duration,
    /// How it ends by itself.
    pub end: End,
    /// CPU work in percent of what it reserves.
    pub cpu_percent: u64,
    /// What its targets do, where it has some.
    pub targets: TargetLife,
}

/// What the targets of a task do.
#[derive(Clone, Debug)]
pub struct TargetLife {
    /// What the checks of all of them find, and how long after the task runs.
    pub found: Vec<(Duration, TargetState)>,
    /// Time from their deregistration until its last job is done; `None`: it never is.
    pub drain: Option<Duration>,
}

impl TargetLife {
    /// Healthy for most of the time, and now and then slow to let go.
    fn by_chance(chance: &mut RandomStream) -> TargetLife {
        let mut millis = |bound: u64| Duration::from_millis(chance.below(bound));
        let (first, second, third, drain) = (millis(20_000), millis(60_000), millis(60_000), millis(30_000));
        let turns = [(first, TargetState::Healthy), (first + second, TargetState::Unhealthy)];
        let turns = turns.into_iter().chain([(first + second + third, TargetState::Healthy)]);
        let kept = [1, 1, 1, 1, 2, 3][usize::try_from(chance.below(6)).expect("it is small")];
        TargetLife { found: turns.take(kept).collect(), drain: (chance.below(5) > 0).then_some(drain) }
    }
}

/// How a task ends when nobody stops it.
#[derive(Clone, Debug)]
pub enum End {
    /// It does not.
    Never,
    /// Its first container exits so long after the start.
    Exit { after: Duration, code: i32 },
    /// It never runs.
    FailToStart { reason: &'static str },
}

impl Default for TargetLife {
    fn default() -> TargetLife {
        TargetLife { found: vec![(secs(2), TargetState::Healthy)], drain: Some(secs(0)) }
    }
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            pull: secs(0),
            start: secs(1),
            stop: secs(1),
            end: End::Never,
            cpu_percent: 0,
            targets: TargetLife::default(),
        }
    }
}

impl Behaviour {
    /// Slow or quick, and one in three ends by itself or never runs.
    fn by_chance(chance: &mut RandomStream) -> Behaviour {
        let mut millis = |bound: u64| Duration::from_millis(chance.below(bound));
        let (pull, start, stop, after) = (millis(3_000), millis(5_000), millis(40_000), millis(90_000));
        let end = match chance.below(6) {
            0 => End::Exit { after, code: 1 },
            1 => End::FailToStart { reason: "CannotPullContainerError: image not found" },
            _ => End::Never,
        };
        Behaviour { pull, start, stop, end, cpu_percent: 100 * chance.below(3), targets: TargetLife::default() }
    }
}

struct FakeTask {
    start: Arc<TaskStart>,
    behaviour: Behaviour,
    began_at: Timestamp,
    usage: TaskUsage,
    ran_at: Option<Timestamp>,
    /// What was said of its targets so far.
    target_reports: u32,
    /// Those of a task that has an agent; else all containers start and end together.
    driven: Option<FakeContainers>,
}

/// What is to happen.
enum Planned {
    /// The control plane hears of it.
    Event(Box<Event>),
    /// The agent of a task does.
    Agent(TaskId, AgentEvent),
}

impl FakeTask {
    /// The CPU work that it wants in a millisecond.
    fn work_per_milli(&self) -> u64 {
        let definition = &self.start.task_definition;
        let vcpus_millis = u64::from(definition.reservation().cpu.0) * 1000 / u64::from(CpuUnits::PER_VCPU);
        vcpus_millis * self.behaviour.cpu_percent * 10
    }
}

/// A control plane with everything around it.
pub struct World {
    pub plane: ControlPlane,
    pub now: Timestamp,
    /// Each event and when it was taken in: a journal.
    pub journal: Vec<(Timestamp, Event)>,
    /// What followed from each of them.
    pub actions: Vec<Vec<Action>>,
    /// By family or `family:revision`; the latter wins.
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Instances that can't be launched, counted down.
    pub launches_to_fail: u32,
    /// By family and container.
    container_behaviours: BTreeMap<(String, String), ContainerBehaviour>,
    story: Story,
    /// What the next calls of lifecycle hooks are answered with, `None` being never; when they are used up, with success.
    pub hooks: Vec<Option<HookAnswer>>,
    plan: FaultPlan,
    queue: BTreeMap<(Timestamp, u64), Planned>,
    sequence: u64,
    next_request: u64,
    tasks: BTreeMap<TaskId, FakeTask>,
    checker: Checker,
    /// Whether what tasks use is reported; else they use nothing.
    pub reports_usage: bool,
    /// What instances may do in a second, where it was said.
    cpu_rates: BTreeMap<ContainerInstanceId, VcpuNanos>,
    /// Draws what tasks do instead of `behaviours`.
    pub faults: Option<RandomStream>,
}

/// The most events that a run may take: more is a loop.
const EVENTS_MAX: usize = 200_000;

impl World {
    /// A cluster as the specification asks for it, in the order in which a driver would.
    pub fn new(spec: &ClusterSpec) -> World {
        let mut world = World {
            plane: ControlPlane::new(&spec.name, spec.settings.clone()),
            now: Timestamp::ZERO,
            journal: Vec::new(),
            actions: Vec::new(),
            behaviours: BTreeMap::new(),
            launches_to_fail: 0,
            hooks: Vec::new(),
            container_behaviours: BTreeMap::new(),
            story: Story::default(),
            plan: FaultPlan::new(spec.faults.clone(), spec.settings.seed),
            queue: BTreeMap::new(),
            sequence: 0,
            next_request: 1,
            tasks: BTreeMap::new(),
            checker: Checker::default(),
            reports_usage: false,
            cpu_rates: BTreeMap::new(),
            faults: None,
        };
        for subnet in &spec.subnets {
            world.done(Request::PutSubnet(subnet.clone()));
        }
        for provider in &spec.capacity_providers {
            world.done(Request::CreateCapacityProvider(Box::new(provider.clone())));
        }
        world.done(Request::PutDefaultStrategy(spec.default_strategy.clone()));
        for launch in &spec.container_instances {
            world.done(Request::LaunchInstance(Arc::new(launch.clone())));
        }
        for definition in &spec.task_definitions {
            world.done(Request::RegisterTaskDefinition(Box::new(definition.clone())));
        }
        for group in &spec.target_groups {
            world.done(Request::PutTargetGroup(Box::new(group.clone())));
        }
        for alarm in &spec.alarms {
            world.done(Request::PutMetricAlarm(Box::new(alarm.clone())));
        }
        for script in &spec.metric_scripts {
            world.done(Request::PutMetricScript(script.clone()));
        }
        for service in &spec.services {
            world.done(Request::CreateService(Box::new(service.clone())));
        }
        for task_set in &spec.task_sets {
            world.done(Request::CreateTaskSet(Box::new(task_set.clone())));
        }
        for (service, external_id) in &spec.primary_task_sets {
            let (service, task_set) = (service.clone(), TaskSetName::External(external_id.clone()));
            world.done(Request::UpdateServicePrimaryTaskSet { service, task_set });
        }
        for scheduled in &spec.instance_refreshes {
            let request = Request::StartInstanceRefresh(Box::new(scheduled.spec.clone()));
            world.schedule(Timestamp::ZERO + scheduled.at, Event::Request { request_id: RequestId(0), request });
        }
        for scheduled in &spec.service_updates {
            let update = UpdateService {
                service: scheduled.service.clone(),
                task_definition: scheduled.task_definition.clone(),
                desired_count: scheduled.desired_count,
                ..UpdateService::default()
            };
            let request = Request::UpdateService(Box::new(update));
            world.schedule(Timestamp::ZERO + scheduled.at, Event::Request { request_id: RequestId(0), request });
        }
        for scheduled in &spec.start_tasks {
            let named = scheduled.container_instances.iter();
            let instances = named.filter_map(|name| world.plane.state().instance_named(name)).collect();
            let start = StartTaskSpec { container_instances: instances, ..scheduled.spec.clone() };
            let request = Request::StartTask(Box::new(start));
            world.schedule(Timestamp::ZERO + scheduled.at, Event::Request { request_id: RequestId(0), request });
        }
        for scheduled in &spec.run_tasks {
            let request = Request::RunTask(Box::new(scheduled.spec.clone()));
            world.schedule(Timestamp::ZERO + scheduled.at, Event::Request { request_id: RequestId(0), request });
        }
        world
    }

    /// A cluster as a cluster file asks for it. Images are looked for as from the folder `clusters`.
    #[track_caller]
    pub fn of_file(text: &str) -> World {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clusters/scenario.toml");
        match ClusterFile::parse(text, &path, &Catalog::embedded()) {
            Ok(spec) => World::new(&spec),
            Err(errors) => panic!("{errors}"),
        }
    }

    /// Says how tasks of a family (or of `family:revision`) behave from here on, those that are there included.
    pub fn behave(&mut self, family: &str, behaviour: Behaviour) {
        self.reports_usage |= behaviour.cpu_percent > 0;
        for task in self.tasks.values_mut() {
            let definition = &task.start.task_definition;
            if definition.family == family || definition.to_string() == family {
                task.behaviour = behaviour.clone();
            }
        }
        self.behaviours.insert(family.to_owned(), behaviour);
    }

    /// Puts a request and returns its answer.
    pub fn request(&mut self, request: Request) -> Result<Response, RequestError> {
        let request_id = RequestId(self.next_request);
        self.next_request += 1;
        let actions = self.apply(Event::Request { request_id, request });
        match actions.into_iter().next() {
            Some(Action::Respond { response, .. }) => response,
            other => panic!("a request is answered first of all, not with {other:?}"),
        }
    }

    /// Puts a request that has to be granted.
    #[track_caller]
    pub fn done(&mut self, request: Request) -> Response {
        self.request(request).expect("the request is granted")
    }

    /// Puts a request that has to be granted, unless the cluster is draining.
    pub fn done_unless_draining(&mut self, request: Request) {
        match self.request(request) {
            Ok(_) | Err(RequestError::Draining) => {}
            Err(error) => panic!("the request is refused: {error}"),
        }
    }

    /// Runs tasks and returns what became of them: tasks, and each failure as `instance reason`.
    pub fn run_task(&mut self, spec: RunTaskSpec) -> (Vec<TaskId>, Vec<String>) {
        match self.done(Request::RunTask(Box::new(spec))) {
            Response::RunTask { tasks, failures } => {
                let shown = failures.iter().map(|failure| match failure.instance {
                    Some(instance) => format!("I{instance} {}: {}", failure.reason, failure.detail),
                    None => format!("{}: {}", failure.reason, failure.detail),
                });
                (tasks, shown.collect())
            }
            other => panic!("RunTask is answered with tasks, not with {other:?}"),
        }
    }

    /// Lets an event come at a later moment.
    pub fn schedule(&mut self, at: Timestamp, event: Event) {
        self.plan_at(at, Planned::Event(Box::new(event)));
    }

    fn plan_at(&mut self, at: Timestamp, planned: Planned) {
        self.queue.insert((at, self.sequence), planned);
        self.sequence += 1;
    }

    fn schedule_in(&mut self, delay: Duration, event: Event) {
        self.schedule(self.now + delay, event);
    }

    /// Takes in one event at this moment and lets the fake carry out what follows.
    pub fn apply(&mut self, event: Event) -> Vec<Action> {
        self.journal.push((self.now, event.clone()));
        assert!(self.journal.len() < EVENTS_MAX, "the cluster does not come to rest");
        let actions = self.plane.apply(self.now, event.clone());
        self.checker.check(&self.plane, self.now, &event, &actions);
        self.actions.push(actions.clone());
        for action in &actions {
            self.carry_out(action);
        }
        actions
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::LaunchInstance { instance, launch } => {
                let instance = *instance;
                let launch = match self.plan.fate_of(launch) {
                    LaunchFate::Launched(launch) => launch,
                    LaunchFate::Refused(reason) => {
                        let event = Event::InstanceLaunchFailed { instance, reason: reason.into() };
                        self.schedule_in(secs(0), event);
                        return;
                    }
                };
                let event = if self.launches_to_fail > 0 {
                    self.launches_to_fail -= 1;
                    Event::InstanceLaunchFailed { instance, reason: "InsufficientInstanceCapacity".into() }
                } else {
                    Event::InstanceRunning { instance }
                };
                self.schedule_in(launch.boot_time, event);
            }
            Action::TerminateInstance { instance } => {
                self.schedule_in(secs(1), Event::InstanceTerminated { instance: *instance, reason: None });
            }
            Action::StartTask(start) => self.start_fake(start),
            Action::StopTask { task } => {
                if self.tasks.get(task).is_some_and(|fake| fake.driven.is_some()) {
                    self.tell_agent(*task, AgentEvent::StopRequested);
                } else if let Some(fake) = self.tasks.get(task) {
                    let timeout = fake.start.stop_timeout;
                    let (delay, code) =
                        if fake.behaviour.stop < timeout { (fake.behaviour.stop, 0) } else { (timeout, 137) };
                    let ran = fake.ran_at.is_some();
                    self.forget_plans_of(*task);
                    let change = self.stopped(*task, ran.then_some(code), None);
                    self.schedule_in(delay, change);
                }
            }
            Action::DeregisterTargets { task } => {
                let drain = self.tasks.get(task).and_then(|fake| fake.behaviour.targets.drain);
                if let Some(drain) = drain {
                    self.schedule_in(drain, Event::TargetsDrained { task: *task });
                }
            }
            Action::SetInstanceCpuRate { instance, work_per_second } => {
                self.cpu_rates.insert(*instance, *work_per_second);
            }
            Action::CallHook(call) => self.answer_hook(call),
            Action::DirectTraffic { .. }
            | Action::EndHook { .. }
            | Action::Respond { .. }
            | Action::Meter(_)
            | Action::Notify(_) => {}
        }
    }

    /// A fake hook answers after a second: as `hooks` says, by chance, or with success.
    fn answer_hook(&mut self, call: &HookCall) {
        let answer = match &mut self.faults {
            Some(chance) => match chance.below(6) {
                0 => None,
                1 => Some(HookAnswer::Failed { reason: "by chance".into() }),
                2 => Some(HookAnswer::InProgress { call_back_delay: Some(secs(chance.below(20))) }),
                _ => Some(HookAnswer::Succeeded),
            },
            None if self.hooks.is_empty() => Some(HookAnswer::Succeeded),
            None => self.hooks.remove(0),
        };
        if let Some(answer) = answer {
            self.schedule_in(secs(1), Event::HookAnswered { hook: call.hook, call: call.call, answer });
        }
    }

    fn start_fake(&mut self, start: &Arc<TaskStart>) {
        let definition = &start.task_definition;
        let behaviour = match &mut self.faults {
            Some(chance) if !start.targets.is_empty() => {
                Behaviour { targets: TargetLife::by_chance(chance), ..Behaviour::by_chance(chance) }
            }
            Some(chance) => Behaviour::by_chance(chance),
            None => self
                .behaviours
                .get(&definition.to_string())
                .or_else(|| self.behaviours.get(&definition.family))
                .cloned()
                .unwrap_or_default(),
        };
        let task = start.task;
        let pull_ends = self.now + behaviour.pull;
        let driven = match behaviour.end {
            End::FailToStart { .. } => None,
            End::Never | End::Exit { .. } => self.containers_of(start, pull_ends),
        };
        let has_agent = driven.is_some();
        let fake = FakeTask {
            start: start.clone(),
            behaviour: behaviour.clone(),
            began_at: self.now,
            usage: TaskUsage::default(),
            ran_at: None,
            target_reports: 0,
            driven,
        };
        self.tasks.insert(task, fake);
        if !behaviour.pull.is_zero() {
            let mut pulling = change(task, TaskStep::Pulling);
            pulling.pull_started_at = Some(self.now);
            self.schedule_in(secs(0), Event::TaskStateChange(pulling));
        }
        if has_agent {
            return;
        }
        let next = match behaviour.end {
            End::FailToStart { reason } => self.stopped(task, None, Some(reason)),
            End::Never | End::Exit { .. } => {
                let mut running = change(task, TaskStep::Running);
                running.containers = containers(definition, ContainerStatus::Running, &ContainerExit::default());
                running.pull_started_at = Some(self.now);
                running.pull_stopped_at = Some(pull_ends);
                Event::TaskStateChange(running)
            }
        };
        self.schedule(pull_ends + behaviour.start, next);
    }

    fn stopped(&self, task: TaskId, exit_code: Option<i32>, failed_to_start: Option<&str>) -> Event {
        let fake = &self.tasks[&task];
        let failed_to_start = failed_to_start.map(str::to_owned);
        let mut stopped = change(task, TaskStep::Stopped { usage: fake.usage, failed_to_start });
        stopped.containers = containers(
            &fake.start.task_definition,
            ContainerStatus::Stopped,
            &ContainerExit { exit_code, reason: None },
        );
        stopped.pull_started_at = Some(fake.began_at);
        Event::TaskStateChange(stopped)
    }

    fn forget_plans_of(&mut self, task: TaskId) {
        self.queue.retain(|_, planned| match planned {
            Planned::Event(event) => !matches!(&**event, Event::TaskStateChange(change) if change.task == task),
            Planned::Agent(of, _) => *of != task,
        });
    }

    /// What the fake itself does when one of its events comes to pass.
    fn come_to_pass(&mut self, event: &Event) {
        match event {
            Event::TaskStateChange(change) => match &change.step {
                TaskStep::Running => {
                    let Some(fake) = self.tasks.get_mut(&change.task) else { return };
                    fake.ran_at = Some(self.now);
                    let found =
                        if fake.start.targets.is_empty() { Vec::new() } else { fake.behaviour.targets.found.clone() };
                    if let (End::Exit { after, code }, None) = (&fake.behaviour.end, &fake.driven) {
                        let (after, code) = (*after, *code);
                        let exited = self.stopped(change.task, Some(code), None);
                        self.schedule_in(after, exited);
                    }
                    for (after, state) in found {
                        for event in self.target_health(change.task, state) {
                            self.schedule_in(after, event);
                        }
                    }
                }
                TaskStep::Stopped { .. } => {
                    self.tasks.remove(&change.task);
                }
                TaskStep::Pulling | TaskStep::ContainersChanged => {}
            },
            Event::InstanceTerminated { instance, .. } => {
                self.cpu_rates.remove(instance);
                let gone: Vec<TaskId> = self
                    .tasks
                    .values()
                    .filter(|fake| fake.start.host == TaskHost::Ec2(*instance))
                    .map(|fake| fake.start.task)
                    .collect();
                for task in gone {
                    self.forget_plans_of(task);
                    self.tasks.remove(&task);
                }
            }
            _ => {}
        }
    }

    /// A container instance is lost without having been asked for.
    pub fn lose_instance(&mut self, instance: ContainerInstanceId) {
        let event = Event::InstanceTerminated { instance, reason: Some("hardware failure".into()) };
        self.come_to_pass(&event);
        self.apply(event);
    }

    /// A task's first container exits at this moment; where there is no agent, all end with it.
    pub fn crash(&mut self, task: TaskId, exit_code: i32) {
        if self.tasks.get(&task).is_some_and(|fake| fake.driven.is_some()) {
            self.crash_container(task, exit_code);
        } else if self.tasks.contains_key(&task) {
            self.forget_plans_of(task);
            let event = self.stopped(task, Some(exit_code), None);
            self.come_to_pass(&event);
            self.apply(event);
        }
    }

    /// The health checks of a task's first container say so from this moment on.
    pub fn report_health(&mut self, task: TaskId, health: HealthStatus) {
        let container =
            ContainerStateChange { status: ContainerStatus::Running, health: Some(health), ..Default::default() };
        let changed = TaskStateChange { containers: [container].into(), ..change(task, TaskStep::ContainersChanged) };
        self.apply(Event::TaskStateChange(changed));
    }

    /// What the data plane says when the checks of all targets of a task find something.
    fn target_health(&mut self, task: TaskId, state: TargetState) -> Vec<Event> {
        let Some(fake) = self.tasks.get_mut(&task) else { return Vec::new() };
        fake.target_reports += 1;
        let number = fake.target_reports;
        let change = |target: &TargetStart| {
            Event::TargetHealth(TargetHealthChange { task, target_group: target.target_group.clone(), number, state })
        };
        fake.start.targets.iter().map(change).collect()
    }

    /// The checks of all targets of a task find this from this moment on.
    pub fn report_targets(&mut self, task: TaskId, state: TargetState) {
        for event in self.target_health(task, state) {
            self.apply(event);
        }
    }

    /// Takes in the next event or deadline, if it is not after `end`. Says whether there was one.
    pub fn step(&mut self, end: Timestamp) -> bool {
        if let Some(at) = self.plan.next() {
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.plane.next_deadline().map(|(at, _)| at);
            if at <= end && [queued, deadline].into_iter().flatten().all(|other| at <= other) {
                self.now = at;
                for effect in self.plan.take_due(at, self.plane.state()) {
                    match effect {
                        FaultEffect::Event(event) => drop(self.apply(event)),
                        FaultEffect::Request(request) => drop(self.request(request)),
                        FaultEffect::Crash { task, exit_code } => self.crash(task, exit_code),
                    }
                }
                return true;
            }
        }
        let queued = self.queue.first_key_value().map(|(key, _)| *key);
        let deadline = self.plane.next_deadline().map(|(at, _)| at);
        match (queued, deadline) {
            (Some((at, sequence)), deadline) if at <= end && deadline.is_none_or(|deadline| at <= deadline) => {
                let planned = self.queue.remove(&(at, sequence)).expect("it is the first of the queue");
                self.now = at;
                let mut event = match planned {
                    Planned::Event(event) => *event,
                    Planned::Agent(task, event) => {
                        self.tell_agent(task, event);
                        return true;
                    }
                };
                if let Event::Request { request_id, .. } = &mut event {
                    *request_id = RequestId(self.next_request);
                    self.next_request += 1;
                }
                if matches!(event, Event::Usage { .. }) {
                    self.report_usage();
                    return true;
                }
                self.come_to_pass(&event);
                self.apply(event);
                true
            }
            (_, Some(at)) if at <= end => {
                self.now = at;
                self.report_usage();
                self.apply(Event::DeadlineReached);
                true
            }
            _ => false,
        }
    }

    /// Has what tasks use reported as often as a driver would, and not only when deadlines come.
    pub fn sample_usage_until(&mut self, seconds: u64) {
        let period = self.plane.settings().usage_period;
        let mut next = self.now + period;
        while next <= at(seconds) {
            self.schedule(next, Event::Usage { samples: Vec::new() });
            next = next + period;
        }
    }

    /// By how much the tasks of each instance whose rate was set are slowed down: what it may do, of what they want.
    fn slowdowns(&self) -> BTreeMap<ContainerInstanceId, (u64, u64)> {
        let mut wanted: BTreeMap<ContainerInstanceId, u64> = BTreeMap::new();
        for fake in self.tasks.values().filter(|fake| fake.ran_at.is_some()) {
            if let TaskHost::Ec2(instance) = fake.start.host {
                *wanted.entry(instance).or_default() += fake.work_per_milli() * 1000;
            }
        }
        let set =
            self.cpu_rates.iter().filter_map(|(instance, rate)| Some((*instance, (rate.0, *wanted.get(instance)?))));
        set.filter(|(_, (rate, wanted))| rate < wanted).collect()
    }

    /// What tasks have used up to now, when a deadline (so at least every metric period) comes.
    fn report_usage(&mut self) {
        if !self.reports_usage {
            return;
        }
        let slowdowns = self.slowdowns();
        let mut samples = Vec::new();
        for (task, fake) in &mut self.tasks {
            let Some(ran_at) = fake.ran_at else { continue };
            let millis = u64::try_from(self.now.since(ran_at).as_millis()).expect("runs are short");
            let work = (millis - fake.usage.memory_mib_millis) * fake.work_per_milli();
            let (rate, wanted) = match fake.start.host {
                TaskHost::Ec2(instance) => slowdowns.get(&instance).copied().unwrap_or((1, 1)),
                TaskHost::Fargate => (1, 1),
            };
            let had = u128::from(work) * u128::from(rate) / u128::from(wanted);
            fake.usage.vcpu += VcpuNanos(u64::try_from(had).expect("runs are short"));
            // One MiB all the time, which is a clock too.
            fake.usage.memory_mib_millis = millis;
            samples.push(UsageSample { task: *task, usage: fake.usage });
        }
        self.apply(Event::Usage { samples });
    }

    /// Lets time pass up to a moment.
    pub fn run_until(&mut self, seconds: u64) {
        let end = at(seconds);
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass.
    pub fn run_for(&mut self, seconds: u64) {
        let end = self.now + secs(seconds);
        while self.step(end) {}
        self.now = end;
    }

    /// A service's events with their times and with short names for ids.
    pub fn service_events(&self, service: &str) -> String {
        let service = &self.plane.state().services[service];
        let lines = service.events.iter().map(|event| format!("{} {}\n", event.at, event.message));
        self.shorten(&lines.collect::<String>())
    }

    /// What a service has of what it wants.
    pub fn counts(&self, service: &str) -> String {
        let service = &self.plane.state().services[service];
        format!(
            "desired {} running {} pending {} healthy {}",
            service.spec.desired_count,
            service.running_count(),
            service.pending_count(),
            service.healthy_count()
        )
    }

    /// A line for each task: status, host, why it ended, and its times.
    pub fn tasks(&self) -> String {
        let mut lines = String::new();
        for record in self.plane.state().tasks.values() {
            let task = &record.task;
            let _ = write!(lines, "T{} {} {}", task.id, task.task_definition, task.last_status);
            if let Some(provider) = &task.capacity_provider {
                let _ = write!(lines, " {provider}");
            }
            if let Some(instance) = task.container_instance {
                let _ = write!(lines, " I{instance}");
            }
            let _ = write!(lines, " created {}", task.created_at);
            for (what, moment) in
                [("started", task.started_at), ("stopping", task.stopping_at), ("stopped", task.stopped_at)]
            {
                if let Some(moment) = moment {
                    let _ = write!(lines, " {what} {moment}");
                }
            }
            if let Some(code) = task.stop_code {
                let _ = write!(lines, " {}: {}", code.as_str(), task.stopped_reason.as_deref().unwrap_or("no reason"));
            }
            lines.push('\n');
        }
        self.shorten(&lines)
    }

    /// A line for each instance that was ever launched.
    pub fn instances(&self) -> String {
        let lines = self.plane.state().container_instances.values().map(|instance| {
            let moment = |moment: Option<Timestamp>| moment.map_or("-".to_owned(), |moment| moment.to_string());
            format!(
                "I{} {} in {} with {} tasks, launched {} registered {} terminated {}\n",
                instance.id,
                instance.status.as_str(),
                instance.launch.availability_zone,
                instance.running_tasks_count,
                instance.launched_at,
                moment(instance.registered_at),
                moment(instance.terminated_at),
            )
        });
        lines.collect()
    }

    /// What was told of tasks, instances, services and deployments for EventBridge, with versions.
    pub fn notifications(&self) -> String {
        let mut lines = String::new();
        for ((at, _), actions) in self.journal.iter().zip(&self.actions) {
            for action in actions {
                let Action::Notify(notification) = action else { continue };
                let _ = match notification {
                    Notification::Task { task, last_status, desired_status, stop_code, version } => {
                        let code = stop_code.map(|code| format!(" {}", code.as_str())).unwrap_or_default();
                        let desired = desired_status.as_str();
                        writeln!(lines, "{at} task T{task} v{version} {last_status} (desired {desired}){code}")
                    }
                    Notification::ContainerInstance { instance, status, version } => {
                        writeln!(lines, "{at} instance I{instance} v{version} {}", status.as_str())
                    }
                    Notification::InstanceTasks { instance, version } => {
                        writeln!(lines, "{at} instance I{instance} v{version} tasks")
                    }
                    Notification::ServiceAction { service, event, reason, subjects } => {
                        let (name, kind) = event.name_and_type();
                        let mut about: Vec<String> = subjects.tasks.iter().map(|task| format!("T{task}")).collect();
                        about.extend(subjects.container_instances.iter().map(|instance| format!("I{instance}")));
                        about.extend(subjects.capacity_providers.iter().map(|provider| provider.to_string()));
                        about.extend(subjects.desired_count.map(|count| count.to_string()));
                        let about = if about.is_empty() { String::new() } else { format!(" [{}]", about.join(" ")) };
                        let reason = reason.as_deref().unwrap_or("-");
                        writeln!(lines, "{at} service {service} {kind} {name} {reason}{about}")
                    }
                    Notification::DeploymentStateChange { service, deployment, event, reason } => {
                        let (name, kind) = event.name_and_type();
                        writeln!(lines, "{at} deployment {deployment} of {service} {kind} {name} {reason}")
                    }
                    _ => Ok(()),
                };
            }
        }
        self.shorten(&lines)
    }

    /// The EventBridge events of all that has happened, worked out once more from the journal.
    pub fn events(&self) -> Vec<ClusterEvent> {
        let mut plane = ControlPlane::new(self.plane.name(), self.plane.settings().clone());
        let arns = ArnForm { cluster: self.plane.name().clone(), region: "us-east-1".into(), ids: self.plane.ids() };
        let mut bridge = EventBridge::new(arns, self.plane.settings().calendar_start.unwrap_or_default());
        let mut events = Vec::new();
        for (at, event) in &self.journal {
            let actions = plane.apply(*at, event.clone());
            events.extend(actions.iter().filter_map(|action| match action {
                Action::Notify(notification) => bridge.event(plane.state(), *at, notification),
                _ => None,
            }));
        }
        events
    }

    /// What the Auto Scaling groups did and why.
    pub fn group_activities(&self) -> String {
        let mut lines = String::new();
        for ((at, _), actions) in self.journal.iter().zip(&self.actions) {
            for action in actions {
                if let Action::Notify(Notification::AutoScalingGroup { capacity_provider, from, to, reason }) = action {
                    let _ = writeln!(lines, "{at} {capacity_provider} {from} -> {to}: {reason}");
                }
            }
        }
        self.shorten(&lines)
    }

    /// Puts `T1`, `I1`, `D1` for the long forms of ids.
    pub fn shorten(&self, text: &str) -> String {
        let ids = self.plane.ids();
        let mut text = without_alarm_ids(text);
        let last = self.checker.statuses.keys().next_back().map_or(0, |task| task.0);
        for number in 1..=last.max(50) {
            text = text.replace(&ids.task(TaskId(number)), &format!("T{number}"));
            text = text.replace(&ids.ec2_instance(ContainerInstanceId(number)), &format!("i-{number}"));
            text = text.replace(&ids.container_instance(ContainerInstanceId(number)), &format!("I{number}"));
            text = text
                .replace(&ids.deployment(longshore::model::ids::DeploymentId(number)), &format!("ecs-svc/{number}"));
        }
        text
    }
}

/// The alarms of policies without the UUID at the end of their names.
pub fn without_alarm_ids(text: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = ["-AlarmHigh-", "-AlarmLow-"].iter().filter_map(|end| Some(rest.find(end)? + end.len())).min()
    {
        parts.push(&rest[..at - 1]);
        rest = &rest[at + "00000000-0000-0000-0000-000000000000".len()..];
    }
    parts.push(rest);
    parts.concat()
}

fn change(task: TaskId, step: TaskStep) -> TaskStateChange {
    TaskStateChange {
        task,
        step,
        pull_started_at: None,
        pull_stopped_at: None,
        containers: ContainerStateChanges::new(),
    }
}

fn containers(definition: &TaskDefinition, status: ContainerStatus, exit: &ContainerExit) -> ContainerStateChanges {
    (0..definition.containers.len())
        .map(|container_index| ContainerStateChange {
            container_index,
            status,
            exit: exit.clone(),
            ..ContainerStateChange::default()
        })
        .collect()
}

/// Looks on from outside and knows what must always be true.
#[derive(Default)]
pub struct Checker {
    statuses: BTreeMap<TaskId, (TaskStatus, DesiredStatus, u64)>,
    healthy_before: BTreeSet<TaskId>,
    started: BTreeMap<TaskId, Arc<TaskStart>>,
    stops_asked: BTreeSet<TaskId>,
    metered_tasks: BTreeMap<TaskId, Interval>,
    launched: BTreeSet<ContainerInstanceId>,
    terminations_asked: BTreeSet<ContainerInstanceId>,
    /// By instance and the number of its start.
    metered_instances: BTreeMap<(ContainerInstanceId, u32), Interval>,
    /// How often, and for how much, an instance was charged for surplus CPU credits.
    surplus: BTreeMap<ContainerInstanceId, (u32, VcpuNanos)>,
    cpu_rates: BTreeMap<ContainerInstanceId, VcpuNanos>,
    task_versions: BTreeMap<TaskId, u64>,
    instance_versions: BTreeMap<ContainerInstanceId, u64>,
    hook_calls: BTreeMap<HookId, u32>,
    leaving_targets: BTreeSet<TaskId>,
}

/// Whether an instance has no tasks but those of DAEMON services.
pub fn has_daemons_alone(state: &ClusterState, instance: ContainerInstanceId) -> bool {
    let there = state.tasks.values().map(|record| &record.task);
    let mut there =
        there.filter(|task| task.container_instance == Some(instance) && task.last_status != TaskStatus::Stopped);
    there.all(|task| {
        let service = task.service.as_ref().and_then(|name| state.services.get(name));
        service.is_some_and(|service| service.spec.scheduling_strategy == SchedulingStrategy::Daemon)
    })
}

/// What the meter was told of something.
#[derive(Clone, Copy, Debug)]
struct Interval {
    from: Timestamp,
    to: Option<Timestamp>,
}

impl Checker {
    /// To be called after each event from the very first on.
    pub fn check(&mut self, plane: &ControlPlane, now: Timestamp, event: &Event, actions: &[Action]) {
        plane.state().check_invariants(plane.ids());
        self.answers(event, actions);
        if let Event::InstanceTerminated { instance, .. } = event {
            // One that went back to its warm pool can be launched again, at its full rate.
            self.launched.remove(instance);
            self.cpu_rates.remove(instance);
        }
        for action in actions {
            match action {
                Action::LaunchInstance { instance, launch } => {
                    assert!(self.launched.insert(*instance), "instance {instance} is launched twice");
                    self.terminations_asked.remove(instance);
                    let state = plane.state();
                    if let Some(group) =
                        launch.capacity_provider.as_ref().and_then(|name| state.capacity_providers.get(name))
                    {
                        // A refresh or another replacement may have more for a while, by as many as its bounds say. What was
                        // launched may have been given up for another within one call.
                        let allowed = (group.desired_capacity + group.surge) as usize;
                        let is_kept = group.instances.contains(instance);
                        let protected = group
                            .instances
                            .iter()
                            .filter(|id| state.container_instances[*id].protection == ScaleInProtection::Protected);
                        assert!(
                            !is_kept || group.instances.len() <= allowed.max(protected.count()),
                            "a group of {allowed} launches beyond it"
                        );
                    }
                }
                Action::TerminateInstance { instance } => {
                    assert!(self.launched.contains(instance), "instance {instance} ends and was never launched");
                    assert!(self.terminations_asked.insert(*instance), "instance {instance} ends twice");
                }
                Action::StartTask(start) => self.start(plane, start),
                Action::DeregisterTargets { task } => {
                    assert!(self.started.contains_key(task), "task {task} leaves targets and was never started");
                    assert!(self.leaving_targets.insert(*task), "task {task} leaves its targets twice");
                    assert!(!self.stops_asked.contains(task), "task {task} leaves its targets and is stopped already");
                    self.keeps_healthy(plane, *task);
                }
                Action::StopTask { task } => {
                    assert!(self.started.contains_key(task), "task {task} is stopped and was never started");
                    assert!(self.stops_asked.insert(*task), "task {task} is stopped twice");
                    let known = self.statuses.get(task).map(|status| status.0);
                    assert_ne!(known, Some(TaskStatus::Stopped), "task {task} is stopped though it was over");
                    if !self.leaving_targets.contains(task) {
                        self.keeps_healthy(plane, *task);
                    }
                }
                Action::SetInstanceCpuRate { instance, work_per_second } => {
                    self.cpu_rate(plane, *instance, *work_per_second);
                }
                Action::Meter(fact) => self.meter(now, fact),
                Action::Notify(notification) => self.versions(plane, notification),
                Action::CallHook(call) => {
                    let is_next = self.hook_calls.insert(call.hook, call.call).unwrap_or_default() + 1 == call.call;
                    assert!(is_next, "hook {} is called out of turn", call.hook);
                }
                Action::EndHook { hook } => {
                    assert!(self.hook_calls.contains_key(hook), "hook {hook} ends and was never called");
                }
                Action::DirectTraffic { .. } | Action::Respond { .. } => {}
            }
        }
        self.all_told(plane);
        self.statuses(plane);
        self.instances(plane);
        if *event == Event::DeadlineReached {
            self.scaling(plane, now);
        }
        if let Some((deadline, wakeup)) = plane.next_deadline() {
            assert!(deadline > now, "{wakeup:?} is due at {deadline}, which is not after {now}");
        }
        let services = plane.state().services.values();
        self.healthy_before =
            services.flat_map(|service| &service.deployments).flat_map(|found| &found.healthy).collect();
    }

    /// Only burstable instances that take tasks are held to anything, and each is told of changes alone.
    fn cpu_rate(&mut self, plane: &ControlPlane, id: ContainerInstanceId, rate: VcpuNanos) {
        let instance = &plane.state().container_instances[&id];
        let burst = instance.launch.instance_type.burst.expect("only burstable instances have rates");
        let full = VcpuNanos(u64::from(instance.launch.instance_type.vcpus) * 1_000_000_000);
        let before = self.cpu_rates.insert(id, rate).unwrap_or(full);
        assert_ne!(before, rate, "instance {id} is told its rate again");
        assert!([full, burst.baseline_per_second()].contains(&rate), "instance {id} is given a rate that it never has");
        assert!(instance.registered_at.is_some(), "instance {id} is given a rate and does not run");
    }

    /// Each request is answered exactly once, in its own call and before anything that follows from it.
    fn answers(&self, event: &Event, actions: &[Action]) {
        let answers: Vec<RequestId> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Respond { request_id, .. } => Some(*request_id),
                _ => None,
            })
            .collect();
        match event {
            Event::Request { request_id, .. } => {
                assert_eq!(answers, [*request_id], "a request is answered once");
                assert!(matches!(actions[0], Action::Respond { .. }), "the answer comes first");
            }
            _ => assert!(answers.is_empty(), "nobody asked"),
        }
    }

    /// Each notification of a thing has a version above the one before, and the thing is there to be looked at.
    /// **Source:** ecs-semantics §10.3.
    fn versions(&mut self, plane: &ControlPlane, notification: &Notification) {
        match notification {
            Notification::Task { task, version, .. } => {
                assert!(plane.state().tasks.contains_key(task), "task {task} is told of and not listed");
                let before = self.task_versions.insert(*task, *version);
                assert!(before.is_none_or(|before| before < *version), "task {task} is told of in an older version");
            }
            Notification::ContainerInstance { instance, version, .. }
            | Notification::InstanceTasks { instance, version } => {
                let before = self.instance_versions.insert(*instance, *version);
                assert!(
                    before.is_none_or(|before| before < *version),
                    "instance {instance} is told of in an older version"
                );
            }
            _ => {}
        }
    }

    /// Whoever listens knows the last version of every container instance.
    fn all_told(&self, plane: &ControlPlane) {
        for instance in plane.state().container_instances.values() {
            let told = self.instance_versions.get(&instance.id);
            assert_eq!(told, Some(&instance.version), "instance {} changed and nobody was told", instance.id);
        }
    }

    fn start(&mut self, plane: &ControlPlane, start: &Arc<TaskStart>) {
        let task = start.task;
        assert!(self.started.insert(task, start.clone()).is_none(), "task {task} is started twice");
        if let TaskHost::Ec2(instance) = start.host {
            // An instance may begin to end after the task was placed, within one call.
            let status = plane.state().container_instances[&instance].status;
            let ended = plane.state().tasks[&task].task.desired_status == DesiredStatus::Stopped;
            assert!(status == ContainerInstanceStatus::Active || ended, "task {task} starts on a {status:?} instance");
        }
    }

    /// The scheduler itself never takes a service below its lower bound.
    fn keeps_healthy(&self, plane: &ControlPlane, task: TaskId) {
        let record = &plane.state().tasks[&task];
        let found = &record.task;
        let by_scheduler = found.stop_code == Some(StopCode::ServiceSchedulerInitiated);
        // Who is found unhealthy in the same moment is no loss.
        let was_healthy = self.healthy_before.contains(&task)
            && found.health_status() != HealthStatus::Unhealthy
            && record.replace != Some(ReplaceCause::Unhealthy);
        if let (Some(name), true) = (&found.service, by_scheduler && was_healthy) {
            let service = &plane.state().services[name];
            let draining = found.container_instance.map(|id| &plane.state().container_instances[&id]);
            let draining = draining.filter(|instance| instance.status == ContainerInstanceStatus::Draining);
            if let (SchedulingStrategy::Daemon, Some(instance)) = (service.spec.scheduling_strategy, draining) {
                // ecs-semantics §3.3, §5.1: its bounds are of the active instances.
                let may_leave =
                    service.status != ServiceStatus::Active || has_daemons_alone(plane.state(), instance.id);
                assert!(may_leave, "daemon {name} leaves instance {} before the others have", instance.id);
                return;
            }
            // ecs-semantics §5.8: what holds for a service's deployments together holds for each of its task sets.
            let is_alone = service.has_task_sets();
            let set = service.deployments.iter().find(|set| is_alone && Some(set.id) == found.deployment);
            let desired =
                set.map_or(service.spec.desired_count, |set| set.computed_desired_count(service.spec.desired_count));
            if is_alone && set.is_none() {
                // It was deleted, and this was the last of it.
                return;
            }
            let lower = Bounds::of(desired, &service.spec.deployment_configuration).lower;
            // What an instance took with it in the same call, after the scheduler had decided.
            let lost = self.healthy_before.iter().filter(|id| {
                let other = &plane.state().tasks[*id].task;
                other.service.as_ref() == Some(name)
                    && (!is_alone || other.deployment == found.deployment)
                    && other.desired_status == DesiredStatus::Stopped
                    && other.stop_code != Some(StopCode::ServiceSchedulerInitiated)
            });
            let healthy_count = set.map_or(service.healthy_count(), |set| set.healthy_count());
            let healthy = healthy_count as usize + lost.count();
            assert!(
                healthy >= lower as usize,
                "service {name} stopped a healthy task and has {healthy} of {lower} left"
            );
        }
    }

    fn meter(&mut self, now: Timestamp, fact: &MeteringFact) {
        match fact {
            MeteringFact::TaskStarted { task, at, .. } => {
                let before = self.metered_tasks.insert(*task, Interval { from: *at, to: None });
                assert!(before.is_none(), "task {task} starts twice for the meter");
                assert!(*at <= now, "task {task} starts in the future");
            }
            MeteringFact::TaskStopped { task, at, .. } => {
                let interval = self.metered_tasks.get_mut(task).expect("the meter has heard of the task's start");
                assert!(interval.to.is_none(), "task {task} stops twice for the meter");
                assert!(interval.from <= *at && *at <= now, "task {task} stops at {at}, before its start");
                interval.to = Some(*at);
            }
            MeteringFact::InstanceStarted { instance, start, at, .. } => {
                let before = self.metered_instances.insert((*instance, *start), Interval { from: *at, to: None });
                assert!(before.is_none(), "instance {instance} starts twice for the meter");
            }
            MeteringFact::SurplusCreditsCharged { instance, charge, surplus, .. } => {
                let (charges, charged) = self.surplus.entry(*instance).or_default();
                assert_eq!(*charge, *charges + 1, "instance {instance} is charged out of turn");
                assert!(surplus.0 > 0, "instance {instance} is charged for nothing");
                (*charges, *charged) = (*charge, *charged + *surplus);
            }
            MeteringFact::InstanceStopped { instance, start, at } => {
                let interval =
                    self.metered_instances.get_mut(&(*instance, *start)).expect("the meter has heard of its start");
                assert!(interval.to.is_none(), "instance {instance} stops twice for the meter");
                assert!(interval.from <= *at, "instance {instance} stops before its start");
                interval.to = Some(*at);
            }
        }
    }

    /// Statuses only go forward, and what runs or ran is metered.
    fn statuses(&mut self, plane: &ControlPlane) {
        for (id, record) in plane.state().tasks.iter() {
            let task = &record.task;
            let is = (task.last_status, task.desired_status, task.version);
            let before = self.statuses.insert(id, is);
            if let (None, Some(name)) = (before, &task.service) {
                let service = &plane.state().services[name];
                let bounds = Bounds::of(service.spec.desired_count, &service.spec.deployment_configuration);
                // ecs-semantics §5.8: where traffic is moved the target stands beside all of the source.
                let beside = service.traffic_shift().map_or(0, |_| 2 * service.spec.desired_count);
                let upper = bounds.upper.max(beside);
                if service.spec.scheduling_strategy == SchedulingStrategy::Daemon {
                    // Its bounds hold for each instance; one that drains has its task to the last.
                    let beside = plane.state().tasks.values().filter(|other| {
                        other.task.service.as_ref() == Some(name)
                            && other.task.container_instance == task.container_instance
                            && other.task.desired_status == DesiredStatus::Running
                    });
                    assert!(beside.count() <= 1, "daemon {name} has a second task on an instance");
                } else if service.has_task_sets() {
                    // A set may have been deleted after the task was placed, within one call.
                    for set in service.deployments.iter().filter(|set| Some(set.id) == task.deployment) {
                        let desired = set.computed_desired_count(service.spec.desired_count);
                        let upper = Bounds::of(desired, &service.spec.deployment_configuration).upper;
                        let placed = set.placed_count();
                        assert!(
                            placed <= upper,
                            "a set of {name} has {placed} tasks after a start, {upper} are allowed"
                        );
                        assert_eq!(task.started_by.as_ref(), Some(&set.shown_id), "task {id} is of another set");
                    }
                } else {
                    let placed = service.running_count() + service.pending_count();
                    assert!(placed <= upper, "service {name} has {placed} tasks after a start, {upper} are allowed");
                }
            }
            if let Some(was) = before {
                assert!(is.0 >= was.0, "task {id} goes back from {} to {}", was.0, is.0);
                assert!(is.1 >= was.1, "task {id} is to run again");
                assert!(is.2 >= was.2, "task {id} has an older version");
                assert!(was.0 == is.0 || is.2 > was.2, "task {id} changed and its version did not");
            }
            let metered = self.metered_tasks.get(&id);
            let host = task.container_instance.map(|host| &plane.state().container_instances[&host]);
            if host.is_some_and(|host| host.is_external()) {
                assert!(metered.is_none(), "task {id} runs elsewhere and is metered");
            } else if task.started_at.is_some() {
                assert!(metered.is_some(), "task {id} ran and the meter does not know");
            }
            let closed = metered.is_none_or(|interval| interval.to.is_some());
            assert_eq!(
                closed,
                metered.is_none() || task.last_status == TaskStatus::Stopped,
                "task {id} is metered wrongly"
            );
            if task.last_status == TaskStatus::Running {
                assert!(task.started_at.is_some(), "task {id} runs and never started");
            }
            if task.last_status == TaskStatus::Stopped {
                assert!(task.stopped_at.is_some() && task.stopped_reason.is_some(), "task {id} ended without a reason");
            }
        }
    }

    /// What policies and scheduled actions do at a deadline stays within the bounds, and is the service's desired count.
    fn scaling(&self, plane: &ControlPlane, now: Timestamp) {
        for (name, target) in &plane.state().scalable_targets {
            let Some(last) = target.activities.iter().rev().find(|activity| activity.from != activity.to) else {
                continue;
            };
            if last.started_at == now && last.status == ActivityStatus::InProgress {
                let bounds = target.settings.min_capacity..=target.scaler.max_capacity(&target.settings);
                assert!(bounds.contains(&last.to), "service {name} is scaled to {} beyond its bounds", last.to);
                assert_eq!(plane.state().services[name].spec.desired_count, last.to, "service {name} is not scaled");
            }
        }
    }

    /// What is between `running` and `shutting-down` is metered, and nothing else is.
    fn instances(&self, plane: &ControlPlane) {
        for (id, instance) in plane.state().container_instances.iter() {
            let starts = (1..=instance.start_count).map(|start| self.metered_instances.get(&(id, start)));
            let intervals: Vec<Interval> = starts.map(|start| *start.expect("each start is metered")).collect();
            let open = intervals.iter().filter(|interval| interval.to.is_none()).count();
            let is_running = usize::from(instance.running_since.is_some());
            assert_eq!(open, is_running, "instance {id} is {} and metered wrongly", instance.lifecycle.as_str());
            let registered =
                matches!(instance.status, ContainerInstanceStatus::Active | ContainerInstanceStatus::Draining);
            let has_contact = instance.agent == AgentConnection::Connected;
            let takes_tasks = registered && has_contact && !instance.is_external();
            assert!(!takes_tasks || is_running == 1, "instance {id} takes tasks and does not run");
            let charged = self.surplus.get(&id).map(|(_, charged)| *charged).unwrap_or_default();
            let known = instance.cpu_credits.as_ref().map(|credits| credits.charged).unwrap_or_default();
            assert_eq!(known, charged, "instance {id} was charged for other surplus than the meter knows of");
        }
    }
}

/// A time span.
pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A moment.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + secs(seconds)
}

/// A task definition of one essential container.
pub fn task_definition(family: &str, cpu: u32, memory: u32) -> TaskDefinition {
    TaskDefinition {
        family: family.to_owned(),
        cpu: Some(CpuUnits(cpu)),
        memory: Some(MemoryMib(memory)),
        network_mode: NetworkMode::Awsvpc,
        containers: vec![ContainerDefinition {
            name: "main".to_owned(),
            image: format!("{family}.wasm"),
            ..ContainerDefinition::default()
        }],
        ..TaskDefinition::default()
    }
}

/// The latest revision of a family.
pub fn latest(family: &str) -> TaskDefinitionRef {
    TaskDefinitionRef { family: family.to_owned(), revision: None }
}

/// A service of the family of the same name, on Fargate.
pub fn service(name: &str, desired_count: u32) -> ServiceSpec {
    ServiceSpec {
        name: name.into(),
        task_definition: latest(name),
        desired_count,
        launch_target: on_fargate(),
        ..ServiceSpec::default()
    }
}

/// A DAEMON service on EC2 with a task definition of its own name, all of whose tasks may be missing.
pub fn daemon(name: &str) -> ServiceSpec {
    ServiceSpec {
        launch_target: on_ec2(),
        scheduling_strategy: SchedulingStrategy::Daemon,
        deployment_configuration: DeploymentConfiguration {
            minimum_healthy_percent: 0,
            maximum_percent: 100,
            ..DeploymentConfiguration::default()
        },
        ..service(name, 0)
    }
}

/// RunTask of a family.
pub fn run(family: &str, count: u32, launch_target: LaunchTarget) -> RunTaskSpec {
    RunTaskSpec { task_definition: latest(family), count, launch_target, ..RunTaskSpec::default() }
}

/// Launch type Fargate.
pub fn on_fargate() -> LaunchTarget {
    LaunchTarget::LaunchType(LaunchType::Fargate)
}

/// Launch type EC2.
pub fn on_ec2() -> LaunchTarget {
    LaunchTarget::LaunchType(LaunchType::Ec2)
}

/// A strategy of (provider, base, weight).
pub fn strategy(items: &[(&str, u32, u32)]) -> LaunchTarget {
    let items = items.iter().map(|(name, base, weight)| CapacityProviderStrategyItem {
        capacity_provider: (*name).into(),
        weight: *weight,
        base: *base,
    });
    LaunchTarget::Strategy(items.collect())
}

/// An instance of two vCPUs and 4 GiB in a zone, registered by hand, running after 10 s.
pub fn instance_launch(zone: &str) -> InstanceLaunch {
    InstanceLaunch {
        instance_type: instance_type(),
        availability_zone: zone.into(),
        boot_time: secs(10),
        ..InstanceLaunch::default()
    }
}

fn instance_type() -> Arc<InstanceType> {
    Arc::new(InstanceType {
        name: "c7i.large".to_owned(),
        vcpus: 2,
        memory: MemoryMib(4096),
        architecture: CpuArchitecture::X86_64,
        ..InstanceType::default()
    })
}

/// A provider over a group of such instances in two zones, with managed scaling at 100 %, no warm-up and termination protection.
pub fn provider(name: &str, min_size: u32, max_size: u32) -> CapacityProvider {
    let managed = ManagedScaling { instance_warmup_period: secs(0), ..ManagedScaling::default() };
    CapacityProvider {
        name: name.into(),
        auto_scaling_group: AutoScalingGroup {
            instance_type: instance_type(),
            min_size,
            max_size,
            desired_capacity: None,
            availability_zones: vec!["us-east-1a".into(), "us-east-1b".into()],
            boot_time: secs(10),
            new_instances_protected: ScaleInProtection::Protected,
            ..AutoScalingGroup::default()
        },
        managed_scaling: Some(managed),
        managed_termination_protection: ManagedTerminationProtection::Enabled,
        ..CapacityProvider::default()
    }
}

/// A cluster without anything.
pub fn empty_cluster() -> ClusterSpec {
    ClusterSpec { name: "test".to_owned(), region: "us-east-1".to_owned(), ..ClusterSpec::default() }
}
