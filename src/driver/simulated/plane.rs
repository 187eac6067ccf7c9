//! The data plane of simulated time: carries out actions on instances and tasks that exist as numbers only, and reports what happens.
//!
//! It takes the same actions as the real one and reports the same events. What a container does comes from its work, step by step; how
//! long that takes comes from the processor that it shares; the order of containers, health checks and restarts are the same agent's.
//! Nothing here knows of services, deployments or money, and nothing waits: what is going to happen is in the queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::containers::Next;
use super::jobs::ServiceJobs;
use super::processor::{Claim, Flow, Place, Processor, Quota, Rate};
use super::queue::EventQueue;
use super::targets::SimulatedTargets;
use super::task::{SimulatedTask, TaskMeter, TaskRoom, executed_containers, modelled_containers};
use super::work::Dealt;
use crate::agent::{AgentAction, AgentEvent, TaskAgent};
use crate::control_plane::action::{TaskHost, TaskStart};
use crate::control_plane::event::{ContainerStateChanges, EmittedMetric, Event, TaskStateChange, TaskStep};
use crate::data_plane::executed::{ExecutedTask, ExecutedWork};
use crate::driver::load::ArrivalTimes;
use crate::model::capacity::InstanceLaunch;
use crate::model::cluster::Load;
use crate::model::id_table::{InstanceTable, TaskTable};
use crate::model::ids::{ContainerInstanceId, TaskId};
use crate::model::job::{JobStats, JobsByDeployment};
use crate::model::rng::{Draws, Stream};
use crate::model::routing::Routed;
use crate::model::settings::Settings;
use crate::model::task_definition::{FARGATE_CPU_DEFAULT, FARGATE_MEMORY_DEFAULT, TaskDefinitionRef};
use crate::model::task_list::TaskList;
use crate::model::traffic::TrafficWeights;
use crate::model::units::{CpuUnits, Duration, Timestamp, VcpuNanos};
use crate::model::usage::{Delivery, UsageSample};
use crate::model::work::Work;

/// Something that is going to happen in the data plane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// An instance has booted.
    Booted(ContainerInstanceId),
    /// A task's images are there.
    Pulled(TaskId),
    /// What a container waits for has come, if it still waits for it.
    Container { place: Place, token: u64 },
    /// A container crashes, if it is still in the same attempt.
    Crash { task: TaskId, container: u32, attempt: u32, exit_code: i32 },
    /// Work on a processor is done or a quota used up, if nothing has changed there since.
    Processor { index: usize, token: u64 },
    /// The targets of a task are to be checked.
    Targets(TaskId),
    /// A task's agent has something to do, if it still waits for this moment.
    Agent(TaskId),
    /// The next job of a load arrives.
    Arrival { load: usize },
}

/// All instances and tasks.
#[derive(Debug)]
pub(super) struct SimulatedPlane {
    pub(super) queue: EventQueue<Happening>,
    /// What is to be told to the control plane.
    pub(super) outbox: Vec<Event>,
    pub(super) tasks: Slots<SimulatedTask>,
    /// What the task in each slot has used.
    pub(super) meters: Vec<TaskMeter>,
    pub(super) slots: TaskTable<u32>,
    pub(super) processors: Slots<SharedProcessor>,
    /// Processors on which somebody has come, gone or gone on.
    pub(super) changed: Vec<usize>,
    pub(super) services: Vec<ServiceJobs>,
    pub(super) services_by_name: BTreeMap<Arc<str>, usize>,
    /// Services whose jobs may find somebody who waits for one.
    pub(super) services_to_serve: Vec<usize>,
    /// Tasks that run in target groups.
    pub(super) targets: BTreeMap<TaskId, SimulatedTargets>,
    loads: Vec<LoadStream>,
    instances: InstanceTable<Instance>,
    /// What all real guests share, where there are some.
    executed_work: Option<Arc<ExecutedWork>>,
    seed: u64,
    cpu_period: Duration,
    last_token: u64,
    /// Tasks whose output somebody is going to ask for: the container, and what it had printed at the end.
    outputs: BTreeMap<TaskId, (usize, Vec<u8>)>,
    /// Work of tasks that are over.
    past_work: Flow,
    /// Room for what is to be done for a task, kept for the next time.
    pub(super) spare_line: VecDeque<Next>,
    pub(super) spare_agent_actions: Vec<AgentAction>,
    spare_places: Vec<Place>,
    spare_rooms: Vec<TaskRoom>,
    /// What tasks that are over were started by: the control plane can use it again.
    pub(super) spare_starts: Vec<Arc<TaskStart>>,
}

/// Rooms that are kept for tasks to come.
const SPARE_ROOMS_MAX: usize = 64;

/// A processor and what is expected of it.
#[derive(Debug)]
pub(super) struct SharedProcessor {
    pub(super) processor: Processor,
    /// When something is expected to happen there, and the token of that.
    pub(super) expected: Option<(Timestamp, u64)>,
    pub(super) is_changed: bool,
}

/// The jobs of one load.
#[derive(Debug)]
struct LoadStream {
    arrivals: ArrivalTimes,
    service: usize,
    line: Arc<str>,
}

#[derive(Debug)]
struct Instance {
    launch: Arc<InstanceLaunch>,
    /// Once it has booted.
    processor: Option<usize>,
    tasks: TaskList,
    /// Task definitions whose images it has.
    images: BTreeSet<TaskDefinitionRef>,
}

/// Things in numbered places that are used again.
#[derive(Debug)]
pub(super) struct Slots<T> {
    all: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { all: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    pub(super) fn add(&mut self, one: T) -> usize {
        if let Some(index) = self.free.pop() {
            self.all[index] = Some(one);
            return index;
        }
        self.all.push(Some(one));
        self.all.len() - 1
    }

    /// Drops what is there where it is: a task is large.
    pub(super) fn remove(&mut self, index: usize) {
        if let Some(place) = self.all.get_mut(index)
            && place.is_some()
        {
            *place = None;
            self.free.push(index);
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.all.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.all.get_mut(index)?.as_mut()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.iter_mut().flatten()
    }
}

impl SimulatedPlane {
    pub(super) fn new(settings: &Settings, executed_work: Option<Arc<ExecutedWork>>) -> SimulatedPlane {
        SimulatedPlane {
            queue: EventQueue::default(),
            outbox: Vec::new(),
            tasks: Slots::default(),
            meters: Vec::new(),
            slots: TaskTable::default(),
            processors: Slots::default(),
            changed: Vec::new(),
            services: Vec::new(),
            services_by_name: BTreeMap::new(),
            services_to_serve: Vec::new(),
            targets: BTreeMap::new(),
            loads: Vec::new(),
            instances: InstanceTable::default(),
            executed_work,
            seed: settings.seed,
            cpu_period: settings.cpu_period,
            last_token: 0,
            outputs: BTreeMap::new(),
            past_work: Flow::default(),
            spare_line: VecDeque::new(),
            spare_agent_actions: Vec::new(),
            spare_places: Vec::new(),
            spare_rooms: Vec::new(),
            spare_starts: Vec::new(),
        }
    }

    /// Puts a load, the `index`-th of its cluster, on its service.
    pub(super) fn attach_load(&mut self, load: Load, index: u64) {
        let service = match self.services_by_name.get(&load.service) {
            Some(service) => *service,
            None => {
                let service = self.services.len();
                let seed = Draws::of(self.seed, Stream::Work, u64::MAX - index).draw();
                self.services.push(ServiceJobs::new(load.container.clone(), seed));
                self.services_by_name.insert(load.service.clone(), service);
                service
            }
        };
        let line = load.job.as_str().into();
        let arrivals = ArrivalTimes::new(load, self.seed, index);
        let next = arrivals.peek();
        self.loads.push(LoadStream { arrivals, service, line });
        if let Some(at) = next {
            self.queue.add(at, Happening::Arrival { load: self.loads.len() - 1 });
        }
    }

    fn arrive(&mut self, now: Timestamp, load: usize) {
        let LoadStream { arrivals, service, line } = &mut self.loads[load];
        let kind = arrivals.load().traffic;
        while arrivals.take_due(now).is_some() {
            self.services[*service].arrive(now, line.clone(), kind);
        }
        if let Some(at) = arrivals.peek() {
            self.queue.add(at, Happening::Arrival { load });
        }
        self.services_to_serve.push(*service);
    }

    /// Gives the tasks of each deployment of a service their share of its jobs, from here on.
    pub(super) fn direct_traffic(&mut self, service: &str, weights: TrafficWeights) {
        // One without load has no traffic.
        let Some(service) = self.services_by_name.get(service) else { return };
        self.services[*service].direct(weights);
        self.services_to_serve.push(*service);
    }

    /// Keeps what the `container` of a task prints until somebody takes it.
    pub(super) fn keep_output(&mut self, task: TaskId, container: usize) {
        self.outputs.insert(task, (container, Vec::new()));
    }

    /// What was kept of a task that is over.
    pub(super) fn take_output(&mut self, task: TaskId) -> Vec<u8> {
        self.outputs.remove(&task).map(|(_, output)| output).unwrap_or_default()
    }

    pub(super) fn launch_instance(
        &mut self,
        now: Timestamp,
        instance: ContainerInstanceId,
        launch: Arc<InstanceLaunch>,
    ) {
        if self.instances.contains_key(&instance) {
            return;
        }
        self.queue.add(now + launch.boot_time, Happening::Booted(instance));
        let state = Instance { launch, processor: None, tasks: TaskList::default(), images: BTreeSet::new() };
        self.instances.insert(instance, state);
    }

    /// Ends an instance and its tasks at once: `Stopped` of each task, then `InstanceTerminated`.
    pub(super) fn terminate_instance(&mut self, now: Timestamp, instance: ContainerInstanceId) {
        let Some(state) = self.instances.get(&instance) else { return };
        for task in state.tasks.clone() {
            self.tell(now, task, AgentEvent::Killed);
        }
        if let Some(state) = self.instances.remove(&instance)
            && let Some(processor) = state.processor
        {
            self.processors.remove(processor);
        }
        self.outbox.push(Event::InstanceTerminated { instance, reason: None });
    }

    /// Starts a task. One that is known already is ignored.
    pub(super) fn start_task(&mut self, now: Timestamp, start: &Arc<TaskStart>) {
        if self.slots.contains_key(&start.task) {
            return;
        }
        let definition = &start.task_definition;
        let executed = match self.executed_task(now, start) {
            Ok(executed) => executed,
            Err(reason) => {
                self.outbox.push(Event::TaskStateChange(TaskStateChange::of_failed_start(start, reason, Some(now))));
                return;
            }
        };
        let period = self.cpu_period;
        let quota = |cpu: CpuUnits| Quota::new(cpu, period, now);
        let (processor, claim) = match start.host {
            TaskHost::Fargate => {
                let cpu = definition.cpu.unwrap_or(FARGATE_CPU_DEFAULT);
                let checks = definition.containers.iter().filter(|container| container.health_check.is_some());
                let threads = u32::try_from(definition.containers.len() + checks.count()).unwrap_or(u32::MAX);
                let capacity = Rate::of(CpuUnits(threads.saturating_mul(CpuUnits::PER_VCPU)));
                let processor = self.add_processor(now, capacity);
                (processor, Claim { weight: 1, quota: Some(quota(cpu)) })
            }
            TaskHost::Ec2(instance) => {
                let running = self.instances.get_mut(&instance);
                let Some((processor, running)) = running.and_then(|running| Some((running.processor?, running))) else {
                    self.outbox.push(Event::TaskStateChange(TaskStateChange::of_lost_instance(start)));
                    return;
                };
                running.tasks.insert(start.task);
                (processor, Claim { weight: definition.cpu_weight(), quota: definition.cpu.map(quota) })
            }
        };
        let jobs = start.service.as_ref().and_then(|service| self.services_by_name.get(service));
        let takes_jobs = jobs.and_then(|index| {
            let container = definition.job_container(self.services[*index].container.as_deref())?;
            Some((*index, container))
        });
        let TaskRoom { mut containers, agent } = self.spare_rooms.pop().unwrap_or_default();
        let dealt = match &definition.work {
            Work::Executed => {
                executed_containers(&mut containers, definition);
                Dealt::default()
            }
            Work::Modelled(model) => {
                let (server, draws) = (takes_jobs.map(|(_, container)| container), self.draws_of(start.task));
                modelled_containers(&mut containers, definition, model, draws, server)
            }
        };
        let agent = TaskAgent::new_in(agent, definition.clone(), start.stop_timeout);
        let task = SimulatedTask {
            start: start.clone(),
            agent,
            agent_deadline: None,
            processor,
            claim: Some(claim),
            containers,
            executed,
            takes_jobs,
            unreported_pull: (Some(now), None),
        };
        let meter = TaskMeter::begin(now, dealt.memory_mib, &task);
        let slot = self.tasks.add(task);
        if slot == self.meters.len() {
            self.meters.push(meter);
        } else {
            self.meters[slot] = meter;
        }
        self.slots.insert(start.task, u32::try_from(slot).expect("there are less than four thousand million tasks"));
        if !start.targets.is_empty() {
            self.route(start.task, Routed::NotHealthy);
        }
        if dealt.pull.is_zero() || self.has_images(start) {
            self.pulled(now, start.task);
        } else {
            self.queue.add(now + dealt.pull, Happening::Pulled(start.task));
            self.report(start.task, TaskStep::Pulling, ContainerStateChanges::new());
        }
    }

    fn draws_of(&self, task: TaskId) -> Draws {
        Draws::of(self.seed, Stream::Work, task.0)
    }

    /// What the guests of a task share; nothing where its work is modelled.
    fn executed_task(&self, now: Timestamp, start: &Arc<TaskStart>) -> Result<Option<Box<ExecutedTask>>, String> {
        let definition = &start.task_definition;
        let Some(work) = self.executed_work.as_ref().filter(|_| definition.work == Work::Executed) else {
            return Ok(None);
        };
        let memory = definition.memory.unwrap_or_else(|| match start.host {
            TaskHost::Fargate => FARGATE_MEMORY_DEFAULT,
            TaskHost::Ec2(instance) => {
                self.instances.get(&instance).map(|state| state.launch.instance_type.memory).unwrap_or_default()
            }
        });
        Ok(Some(Box::new(ExecutedTask::new(work, start, memory.bytes(), now)?)))
    }

    /// Looks at where a task is listed: see `look_ahead`.
    pub(super) fn look_at_lists(&self, task: TaskId, host: TaskHost) -> u64 {
        let listed = u64::from(self.slots.contains_key(&task));
        let TaskHost::Ec2(instance) = host else { return listed };
        listed ^ u64::from(self.instances.get(&instance).is_some_and(|instance| instance.tasks.contains(task)))
    }

    /// Whether the images of a task are on its instance from an earlier one. *Ours:* an instance keeps what it has pulled; on Fargate
    /// every task pulls.
    fn has_images(&mut self, start: &TaskStart) -> bool {
        let TaskHost::Ec2(instance) = start.host else { return false };
        let Some(state) = self.instances.get(&instance) else { return false };
        let definition = &start.task_definition;
        state
            .images
            .iter()
            .any(|known| known.family == definition.family && known.revision == Some(definition.revision))
    }

    fn pulled(&mut self, now: Timestamp, task: TaskId) {
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get_mut(*slot as usize)) else { return };
        state.unreported_pull.1 = Some(now);
        let start = state.start.clone();
        if let TaskHost::Ec2(instance) = start.host
            && let Some(instance) = self.instances.get_mut(&instance)
        {
            let definition = &start.task_definition;
            let (family, revision) = (&definition.family, Some(definition.revision));
            if !instance.images.iter().any(|known| known.family == *family && known.revision == revision) {
                instance.images.insert(TaskDefinitionRef { family: family.clone(), revision });
            }
        }
        self.tell(now, task, AgentEvent::ImagesReady);
    }

    /// Stops a task. One that is not known is ignored.
    pub(super) fn stop_task(&mut self, now: Timestamp, task: TaskId) {
        // One that has not left its target groups first is not to be waited for by others.
        if self.targets.contains_key(&task) {
            self.route(task, Routed::Draining);
        }
        self.tell(now, task, AgentEvent::StopRequested);
    }

    /// Lets a running task's first essential container end with an exit code: what a fault does.
    pub(super) fn crash_task(&mut self, now: Timestamp, task: TaskId, exit_code: i32) {
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get_mut(*slot as usize)) else { return };
        let Some(index) = state.start.task_definition.job_container(None) else { return };
        let attempt = state.containers[index].attempt;
        self.crash(now, task, u32::try_from(index).unwrap_or(u32::MAX), attempt, exit_code);
    }

    /// The instances that have been launched and not terminated.
    pub(super) fn instance_ids(&self) -> impl Iterator<Item = ContainerInstanceId> {
        self.instances.keys()
    }

    /// Something happens whose time has come.
    pub(super) fn happen(&mut self, now: Timestamp, happening: Happening) {
        match happening {
            Happening::Booted(instance) => self.booted(now, instance),
            Happening::Pulled(task) => self.pulled(now, task),
            Happening::Container { place, token } => self.container_due(now, place, token),
            Happening::Crash { task, container, attempt, exit_code } => {
                self.crash(now, task, container, attempt, exit_code);
            }
            Happening::Processor { index, token } => self.processor_due(now, index, token),
            Happening::Targets(task) => self.check_targets(now, task),
            Happening::Agent(task) => self.agent_due(now, task),
            Happening::Arrival { load } => self.arrive(now, load),
        }
        self.settle(now);
    }

    fn booted(&mut self, now: Timestamp, instance: ContainerInstanceId) {
        // Terminated while it booted: that was reported.
        let Some(vcpus) = self.instances.get(&instance).map(|state| state.launch.instance_type.cpu_units()) else {
            return;
        };
        let processor = self.add_processor(now, Rate::of(vcpus));
        if let Some(state) = self.instances.get_mut(&instance) {
            state.processor = Some(processor);
        }
        self.outbox.push(Event::InstanceRunning { instance });
    }

    /// Bounds what all tasks of a running instance do together.
    pub(super) fn set_instance_cpu_rate(&mut self, now: Timestamp, instance: ContainerInstanceId, work: VcpuNanos) {
        let Some(index) = self.instances.get(&instance).and_then(|state| state.processor) else { return };
        if let Some(shared) = self.processors.get_mut(index) {
            shared.processor.set_capacity(Rate::of_work_per_second(work), now);
        }
        self.mark_changed(index);
    }

    fn add_processor(&mut self, now: Timestamp, capacity: Rate) -> usize {
        let processor = Processor::new(capacity, now);
        self.processors.add(SharedProcessor { processor, expected: None, is_changed: false })
    }

    /// Lets every consequence of what was done at a moment take place: jobs find their containers, and processors their next moment.
    pub(super) fn settle(&mut self, now: Timestamp) {
        while let Some(service) = self.services_to_serve.pop() {
            self.hand_out_jobs(now, service);
        }
        while let Some(index) = self.changed.pop() {
            let token = self.next_token();
            let Some(shared) = self.processors.get_mut(index) else { continue };
            shared.is_changed = false;
            shared.processor.flow(now);
            let Some(at) = shared.processor.next() else {
                shared.expected = None;
                continue;
            };
            // One that comes too early finds nothing done and is expected anew.
            if shared.expected.is_none_or(|(expected, _)| expected > at) {
                shared.expected = Some((at, token));
                self.queue.add(at, Happening::Processor { index, token });
            }
        }
    }

    fn processor_due(&mut self, now: Timestamp, index: usize, token: u64) {
        let Some(shared) = self.processors.get_mut(index) else { return };
        if shared.expected.is_none_or(|(_, expected)| expected != token) {
            return;
        }
        shared.expected = None;
        shared.processor.flow(now);
        let mut places = std::mem::take(&mut self.spare_places);
        shared.processor.finished(&mut places);
        self.mark_changed(index);
        for place in places.drain(..) {
            self.computed(now, place);
        }
        self.spare_places = places;
    }

    pub(super) fn mark_changed(&mut self, index: usize) {
        if let Some(shared) = self.processors.get_mut(index)
            && !std::mem::replace(&mut shared.is_changed, true)
        {
            self.changed.push(index);
        }
    }

    /// A number that was never used before.
    pub(super) fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    /// Tells the control plane of a task's step.
    pub(super) fn report(&mut self, task: TaskId, step: TaskStep, containers: ContainerStateChanges) {
        let Some(state) = self.slots.get(&task).and_then(|slot| self.tasks.get_mut(*slot as usize)) else { return };
        let (pull_started_at, pull_stopped_at) = state.unreported_pull;
        if step != TaskStep::Pulling {
            state.unreported_pull = (None, None);
        }
        let change = TaskStateChange { task, step, pull_started_at, pull_stopped_at, containers };
        self.outbox.push(Event::TaskStateChange(change));
    }

    /// A task is over: only what it has worked is kept.
    pub(super) fn forget(&mut self, task: TaskId) {
        let Some(slot) = self.slots.remove(&task) else { return };
        let Some(state) = self.tasks.get_mut(slot as usize) else { return };
        self.past_work.add(self.meters[slot as usize].computed());
        let takes_jobs = state.takes_jobs.map(|(service, _)| service).filter(|_| !state.start.targets.is_empty());
        if let Some((container, output)) = self.outputs.get_mut(&task)
            && let Some(executed) = &state.executed
        {
            *output = executed.logs(*container).stdout;
        }
        match state.start.host {
            TaskHost::Fargate => {
                self.processors.remove(state.processor);
            }
            TaskHost::Ec2(instance) => {
                if let Some(instance) = self.instances.get_mut(&instance) {
                    instance.tasks.remove(task);
                }
            }
        }
        if self.spare_rooms.len() < SPARE_ROOMS_MAX {
            self.spare_rooms.push(TaskRoom::of(state));
        }
        self.spare_starts.push(state.start.clone());
        self.tasks.remove(slot as usize);
        self.forget_targets(task, takes_jobs);
    }

    /// What every live task has used so far.
    fn usage(&mut self, now: Timestamp) -> Vec<UsageSample> {
        let mut samples = Vec::new();
        self.usage_into(now, &mut samples);
        samples
    }

    /// The same, put into room that somebody has for it.
    pub(super) fn usage_into(&mut self, now: Timestamp, samples: &mut Vec<UsageSample>) {
        let meters = &mut self.meters;
        for shared in self.processors.iter_mut() {
            shared.processor.flow(now);
            shared.processor.take_all_done(|place, done| meters[place.slot as usize].add(done));
        }
        samples.reserve(self.slots.len());
        for (task, slot) in self.slots.iter() {
            let meter = &mut meters[*slot as usize];
            samples.push(UsageSample { task, usage: meter.usage(now, || self.tasks.get(*slot as usize)) });
        }
    }

    /// Work done in all, which is what was promised: a simulated host keeps its promises.
    pub(super) fn delivery(&mut self, now: Timestamp) -> Delivery {
        let live: u64 = self.usage(now).iter().map(|sample| sample.usage.vcpu.0).sum();
        let all = VcpuNanos(live) + self.past_work.vcpu();
        Delivery { wanted: all, delivered: all }
    }

    /// The jobs of each service that has load.
    pub(super) fn jobs(&self) -> BTreeMap<Arc<str>, JobStats> {
        self.services_by_name.iter().map(|(name, index)| (name.clone(), self.services[*index].stats())).collect()
    }

    /// The metrics that guests have written to their output since the last call. What is modelled writes nothing.
    pub(super) fn take_metrics(&self) -> Vec<EmittedMetric> {
        self.executed_work.as_ref().map(|work| work.take_metrics()).unwrap_or_default()
    }

    /// What each deployment's tasks have done of them, by service.
    pub(super) fn jobs_by_deployment(&self) -> BTreeMap<Arc<str>, JobsByDeployment> {
        let jobs = |index: &usize| self.services[*index].by_deployment.clone();
        self.services_by_name.iter().map(|(name, index)| (name.clone(), jobs(index))).collect()
    }
}
