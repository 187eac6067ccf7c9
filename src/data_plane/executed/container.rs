//! A task whose guests run in simulated time, and a guest of it, step by step.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::ThreadId;

use parking_lot::{Condvar, Mutex};

use super::guest_time::GuestTime;
use super::{ExecutedWork, GuestSeed};
use crate::control_plane::action::TaskStart;
use crate::data_plane::container::Container;
use crate::data_plane::jobs::{JobQueue, ReaderEnd};
use crate::data_plane::life::{Life, Polled, drop_life, poll_life};
use crate::data_plane::memory::{ContainerMemory, TaskMemory};
use crate::data_plane::payload::TaskImages;
use crate::data_plane::preparation::Preparation;
use crate::data_plane::sandbox::{self, Launch, Special};
use crate::data_plane::stdio::{CHECK_OUTPUT_BYTES, CapturedLogs, ContainerOutput, Input, OutputSettings};
use crate::model::health_command::HealthCommand;
use crate::model::image_reference::ImageDigest;
use crate::model::task::ContainerExit;
use crate::model::traffic::TrafficKind;
use crate::model::units::{Duration, Fuel, Timestamp};
use crate::model::usage::TaskUsage;
use crate::model::work::{Step, StepEnd};

/// How long the host may take for a file, in real time, before the simulation goes on without it: what waits may have been given up.
const HOST_PATIENCE: Duration = Duration::from_secs(1);

/// A task in simulated time: what its containers share.
pub struct ExecutedTask {
    work: Arc<ExecutedWork>,
    start: Arc<TaskStart>,
    images: TaskImages,
    preparation: Preparation,
    memory: Arc<TaskMemory>,
    /// Its containers, and behind them what runs their health checks, whether they have one or not.
    places: Vec<Place>,
}

/// Where one guest after the other runs.
struct Place {
    container: Arc<Container>,
    /// How many guests have begun.
    runs: u64,
}

impl std::fmt::Debug for ExecutedTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutedTask").field("task", &self.start.task).finish_non_exhaustive()
    }
}

impl ExecutedTask {
    /// Makes a task ready for its containers: images, variables from files, volumes. Waits for images that are not compiled yet, in
    /// real time.
    ///
    /// `memory_bytes` is the limit of all its containers together.
    ///
    /// # Errors
    /// The reason why the task cannot start.
    pub fn new(
        work: &Arc<ExecutedWork>,
        start: &Arc<TaskStart>,
        memory_bytes: u64,
        now: Timestamp,
    ) -> Result<ExecutedTask, String> {
        work.set_now(now);
        let defined = &start.task_definition.containers;
        let images = defined.iter().map(|container| work.image(&container.image)).collect::<Result<TaskImages, _>>();
        let images = images.map_err(|error| error.to_string())?;
        let memory = Arc::new(TaskMemory::new(memory_bytes, work.clock.clone(), now));
        let check_output = Arc::new(OutputSettings::kept_alone(work.clock.clone(), CHECK_OUTPUT_BYTES));
        let place = |index: usize, output: ContainerOutput| {
            let memory = ContainerMemory::new(memory.clone(), defined[index].memory.map(|memory| memory.bytes()));
            let time = GuestTime::new(work.clock.clone(), work.measure);
            Place { container: Container::simulated(memory, Input::default(), output, time), runs: 0 }
        };
        let containers = (0..defined.len()).map(|index| {
            let log_path = work.options.log_path(start, &defined[index]);
            place(index, ContainerOutput::new(work.kit.output.clone(), start.task, index, log_path))
        });
        let checks = (0..defined.len())
            .map(|index| place(index, ContainerOutput::new(check_output.clone(), start.task, index, None)));
        let places = containers.chain(checks).collect();
        let mut task = ExecutedTask {
            work: work.clone(),
            start: start.clone(),
            images,
            preparation: Preparation::default(),
            memory,
            places,
        };
        let name = work.options.id_form.task(start.task);
        task.preparation.make(start, &work.scratch, &name, work.images.cache_folder())?;
        Ok(task)
    }

    /// Starts one of its containers, by index, or starts it again when the guest before is over. Nothing of it runs before its first
    /// step is asked for.
    pub fn start_container(&mut self, index: usize, now: Timestamp) -> ExecutedContainer {
        self.begin(index, index, None, now)
    }

    /// The digest of a container's image.
    pub fn image_digest(&self, index: usize) -> Option<ImageDigest> {
        self.images.get(index).map(|image| image.digest)
    }

    /// Starts the health check of a container. `None`: it has none that can be read.
    pub fn start_check(&mut self, index: usize, now: Timestamp) -> Option<ExecutedContainer> {
        let check = self.start.task_definition.containers.get(index)?.health_check.as_ref()?;
        let check = HealthCommand::parse(&check.command).ok()?;
        let place = self.start.task_definition.containers.len() + index;
        let checking = self.begin(place, index, Some(check), now);
        // A check that reads its input finds it at its end.
        checking.container.input.stop();
        Some(checking)
    }

    fn begin(
        &mut self,
        place_index: usize,
        index: usize,
        check: Option<HealthCommand>,
        now: Timestamp,
    ) -> ExecutedContainer {
        self.work.set_now(now);
        let place = &mut self.places[place_index];
        let container = place.container.clone();
        if place.runs > 0 {
            container.meter.begin_again();
            if let Some(time) = &container.time {
                time.begin_again();
            }
            match check {
                Some(_) => container.output.clear(),
                None => container.output.begin_again(&container.memory),
            }
        }
        let jobs = JobQueue::new(self.work.clock.clone());
        container.input.begin_again(Some(jobs.reader(None)));
        let seed = GuestSeed {
            simulation: self.work.seed,
            task: self.start.task,
            place: u32::try_from(place_index).unwrap_or(u32::MAX),
            run: place.runs,
        };
        place.runs += 1;
        let launch = Launch {
            kit: self.work.kit.clone(),
            images: self.images.clone(),
            start: self.start.clone(),
            index,
            container: container.clone(),
            mounts: self.preparation.mounts.get(index).cloned().unwrap_or_default(),
            special: Special::simulated(self.preparation.variables.get(index).cloned().flatten(), check, seed),
        };
        ExecutedContainer {
            work: self.work.clone(),
            container,
            jobs,
            waker: Arc::default(),
            state: State::Running(Box::pin(sandbox::run(launch))),
        }
    }

    /// What it has used so far, CPU work and memory. Work of a step that was handed out counts as a whole; that of host calls is
    /// the constant that simulated time puts down for them.
    pub fn usage(&self, now: Timestamp) -> TaskUsage {
        self.work.set_now(now);
        let mut usage = self.memory.used().as_usage();
        for Place { container, .. } in &self.places {
            usage.fuel = Fuel(usage.fuel.0.saturating_add(container.meter.fuel().0));
            usage.vcpu += container.time.as_ref().map_or_else(Default::default, |time| time.work_of_all());
        }
        usage
    }

    /// The last output of one of its containers.
    pub fn logs(&self, index: usize) -> CapturedLogs {
        self.places.get(index).map_or_else(CapturedLogs::default, |place| place.container.output.captured())
    }
}

impl Drop for ExecutedTask {
    fn drop(&mut self) {
        if let Some(folder) = self.preparation.volumes.take_scratch() {
            // What could not be removed goes with the folder above it.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A container of a task, or a health check, in simulated time. Dropping it ends its guest wherever it is.
pub struct ExecutedContainer {
    work: Arc<ExecutedWork>,
    container: Arc<Container>,
    jobs: JobQueue,
    waker: Arc<GuestWaker>,
    state: State,
}

enum State {
    Running(Life),
    /// It has ended after work that is not done yet.
    Ending(ContainerExit),
    Over,
}

impl std::fmt::Debug for ExecutedContainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutedContainer").finish_non_exhaustive()
    }
}

impl ExecutedContainer {
    /// What it does next, at `now`, when the step before has ended so. Runs the guest on the calling thread until it waits, or has done
    /// 10 ms of work of a vCPU.
    pub fn next_step(&mut self, now: Timestamp, end: StepEnd) -> Step {
        self.work.set_now(now);
        match end {
            StepEnd::Began | StepEnd::Done => {}
            StepEnd::Job(line) => {
                // The queue is this guest's own and holds one job at a time.
                let _ = self.jobs.push(line, TrafficKind::Production);
            }
            StepEnd::EndOfInput => self.end_input(),
        }
        let life = match std::mem::replace(&mut self.state, State::Over) {
            State::Running(life) => life,
            State::Ending(exit) => return Step::Exit(exit),
            State::Over => return Step::Exit(ContainerExit::default()),
        };
        let container = self.container.clone();
        let time = container.time.as_ref().expect("it was made with a time");
        time.begin_turn();
        match self.turn(life, time) {
            Polled::Pending(life) => self.state = State::Running(life),
            Polled::Over(exit) => {
                self.end(if exit.exit_code == Some(0) { ReaderEnd::Done } else { ReaderEnd::Died });
                if time.work_of_turn().0 == 0 {
                    return Step::Exit(exit);
                }
                self.state = State::Ending(exit);
                return Step::Cpu(time.work_of_turn());
            }
        }
        let (work, waits) = (time.work_of_turn(), time.waits());
        match waits.until {
            _ if work.0 > 0 => Step::Cpu(work),
            Some(moment) if waits.for_input => Step::WaitForJobUntil(moment),
            Some(moment) => Step::SleepUntil(moment),
            None => Step::WaitForJob,
        }
    }

    /// Its input is at its end from here on, whatever it is doing.
    pub fn end_input(&mut self) {
        self.container.input.stop();
    }

    /// Polls the guest until its turn is over, or it waits for something that only the simulation can give.
    fn turn(&self, mut life: Life, time: &GuestTime) -> Polled {
        loop {
            time.ask_again();
            let waker = Waker::from(self.waker.clone());
            self.waker.begin();
            life = match poll_life(life, &waker) {
                Polled::Over(exit) => return Polled::Over(exit),
                Polled::Pending(life) => life,
            };
            drop(waker);
            // Whoever else holds the waker is of the host: a thread that reads or writes a file. That takes no simulated time.
            let waits_for_host = Arc::strong_count(&self.waker) > 1;
            if self.waker.gave_way() || !waits_for_host {
                return Polled::Pending(life);
            }
            self.waker.wait_for_host();
        }
    }

    /// The guest is over: what it held is given back.
    fn end(&self, end: ReaderEnd) {
        self.container.memory.release();
        self.container.output.finish();
        self.container.input.end(end);
    }
}

impl Drop for ExecutedContainer {
    fn drop(&mut self) {
        if let State::Running(life) = std::mem::replace(&mut self.state, State::Over) {
            drop_life(life);
            self.end(ReaderEnd::Died);
        }
    }
}

/// Tells a guest that gives way, which wakes itself in its turn, from one that waits for another thread of the host.
#[derive(Debug, Default)]
struct GuestWaker {
    state: Mutex<WakerState>,
    condition: Condvar,
}

#[derive(Debug, Default)]
struct WakerState {
    /// The thread that gives the turn.
    thread: Option<ThreadId>,
    gave_way: bool,
    is_host_done: bool,
}

impl GuestWaker {
    fn begin(&self) {
        *self.state.lock() = WakerState { thread: Some(std::thread::current().id()), ..WakerState::default() };
    }

    fn gave_way(&self) -> bool {
        self.state.lock().gave_way
    }

    fn wait_for_host(&self) {
        let mut state = self.state.lock();
        if !state.is_host_done {
            self.condition.wait_for(&mut state, HOST_PATIENCE);
        }
    }
}

impl Wake for GuestWaker {
    fn wake(self: Arc<GuestWaker>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<GuestWaker>) {
        let mut state = self.state.lock();
        if state.thread == Some(std::thread::current().id()) {
            state.gave_way = true;
        } else {
            state.is_host_done = true;
            self.condition.notify_all();
        }
    }
}
