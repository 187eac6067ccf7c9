//! What does it cost to start, run, meter and reap a task, beside bare wasmtime doing no more than instantiate, run, drop?
//!
//! Cases: a hello of a hundred bytes of text, and the Rust hello of `workloads/` if it was built; each as bare wasmtime on
//! as many threads as a pool has workers, with the same engine settings and the same host functions; through the data
//! plane alone on Fargate (a quota and an account of its own for every task) and on an EC2 instance (weights); and through
//! the whole path on both: RunTask, placement, data plane, state changes, metering, reaping. Every task is checked to have
//! ended with 0.
//!
//! The speed of a shared host changes by half from one second to the next, so no two cases that run one after the other can be
//! compared. Every case therefore takes turns with bare wasmtime, some tenths of a second each, and what is printed at the end of
//! a group is the median over these pairs of one's tasks per second by the other's, with the quartiles beside it.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a bench measures time by the clock and divides counts"
)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use crossbeam_channel::Receiver;
use longshore::control_plane::action::{Response, TaskHost, TaskStart};
use longshore::control_plane::event::{Event, Request, TaskStep};
use longshore::data_plane::clock::Clock;
use longshore::data_plane::engine::{Allocation, engine_config};
use longshore::data_plane::{DataPlane, DataPlaneOptions};
use longshore::driver::running_cluster::{HostOptions, ImagePull, RunningCluster};
use longshore::model::capacity::{InstanceLaunch, InstanceType, LaunchTarget};
use longshore::model::cluster::{ClusterSpec, RunTaskSpec};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::settings::Settings;
use longshore::model::task::TaskOverrides;
use longshore::model::task_definition::{
    ContainerDefinition, CpuArchitecture, LaunchType, NetworkMode, TaskDefinition, TaskDefinitionRef,
    VersionConsistency,
};
use longshore::model::units::{CpuUnits, MemoryMib};
use wasmtime::{Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

/// What the `longshore` program uses: tasks are made by one thread and dropped by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00")
    (data (i32.const 16) "hello\n")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Tasks under way at once: enough that no worker waits for the next one to be asked for.
const IN_FLIGHT: u64 = 64;

fn threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Bare wasmtime.
struct Bare {
    engine: Engine,
    pre: InstancePre<WasiP1Ctx>,
    runtime: tokio::runtime::Runtime,
}

impl Bare {
    fn new(image: &Path) -> Bare {
        let engine = Engine::new(&engine_config(Allocation::Pooled { instances: 1024 })).unwrap();
        let module = Module::from_file(&engine, image).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut linker, |wasi: &mut WasiP1Ctx| wasi).unwrap();
        let pre = linker.instantiate_pre(&module).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Bare { engine, pre, runtime }
    }

    fn run_one(&self) {
        let output = MemoryOutputPipe::new(4096);
        let wasi = WasiCtxBuilder::new().stdout(output.clone()).arg("hello").build_p1();
        let mut store = Store::new(&self.engine, wasi);
        store.set_fuel(u64::MAX).unwrap();
        store.fuel_async_yield_interval(Some(1_000_000)).unwrap();
        let life = async {
            let instance = self.pre.instantiate_async(&mut store).await.unwrap();
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start").unwrap();
            start.call_async(&mut store, ()).await.unwrap();
        };
        let mut life = std::pin::pin!(life);
        let mut context = Context::from_waker(Waker::noop());
        while life.as_mut().poll(&mut context).is_pending() {
            std::thread::yield_now();
        }
        assert!(!black_box(output.contents()).is_empty());
    }

    fn run(&self, tasks: u64) -> Duration {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for index in 0..threads() {
                let mine = tasks / threads() + u64::from(index < tasks % threads());
                scope.spawn(move || {
                    let _context = self.runtime.enter();
                    (0..mine).for_each(|_| self.run_one());
                });
            }
        });
        began.elapsed()
    }
}

/// An instance with a worker thread a core.
fn instance_launch() -> InstanceLaunch {
    let instance_type = InstanceType {
        name: "bench.size".into(),
        vcpus: threads() as u32,
        memory: MemoryMib(131_072),
        architecture: CpuArchitecture::X86_64,
        ..InstanceType::default()
    };
    InstanceLaunch {
        instance_type: Arc::new(instance_type),
        availability_zone: "us-east-1a".into(),
        ..InstanceLaunch::default()
    }
}

/// The data plane.
struct Plane {
    plane: DataPlane,
    events: Receiver<Event>,
    next_task: Cell<u64>,
}

impl Plane {
    fn new(image: &Path) -> Plane {
        let (sender, events) = crossbeam_channel::unbounded();
        let plane = DataPlane::start(DataPlaneOptions::default(), Clock::start_now(), sender).unwrap();
        plane.prepare(&image.display().to_string()).recv().unwrap().unwrap();
        Plane { plane, events, next_task: Cell::new(0) }
    }

    fn launch(&self) -> TaskHost {
        let instance = ContainerInstanceId(1);
        self.plane.launch_instance(instance, Arc::new(instance_launch()));
        assert_eq!(self.events.recv().unwrap(), Event::InstanceRunning { instance });
        TaskHost::Ec2(instance)
    }

    fn run(&self, definition: &Arc<TaskDefinition>, host: TaskHost, tasks: u64) -> Duration {
        let overrides = Arc::new(TaskOverrides::default());
        let began = Instant::now();
        let (mut started, mut ended) = (0, 0);
        while ended < tasks {
            while started < tasks && started - ended < IN_FLIGHT {
                self.next_task.set(self.next_task.get() + 1);
                self.plane.start_task(&Arc::new(TaskStart {
                    task: TaskId(self.next_task.get()),
                    task_definition: definition.clone(),
                    overrides: overrides.clone(),
                    host,
                    service: None,
                    deployment: None,
                    version_consistency: VersionConsistency::Enabled,
                    stop_timeout: Duration::from_secs(30),
                    targets: Vec::new(),
                }));
                started += 1;
            }
            let Event::TaskStateChange(change) = self.events.recv().unwrap() else { continue };
            if let TaskStep::Stopped { .. } = change.step {
                assert_eq!(change.containers[0].exit.exit_code, Some(0), "{change:?}");
                ended += 1;
            }
        }
        began.elapsed()
    }
}

/// Tasks asked for in one call through the whole path.
const BATCH: u64 = 256;
/// Calls under way at once: no worker waits for the next one, as no thread of bare wasmtime does.
const BATCHES_IN_FLIGHT: usize = 4;

/// The whole path: a running cluster.
struct Whole {
    cluster: RunningCluster,
    launch_type: LaunchType,
}

impl Whole {
    fn new(image: &Path, launch_type: LaunchType) -> Whole {
        let mut definition = TaskDefinition::clone(&definition(image, launch_type));
        if launch_type == LaunchType::Ec2 {
            // A batch fits on the instance.
            definition.containers[0].cpu = CpuUnits(0);
            definition.memory = Some(MemoryMib(16));
        }
        let instance = instance_launch();
        let spec = ClusterSpec {
            name: "bench".into(),
            region: "us-east-1".into(),
            settings: Settings { stopped_task_limit: 4096, ..Settings::default() },
            task_definitions: vec![definition],
            container_instances: if launch_type == LaunchType::Ec2 { vec![instance] } else { Vec::new() },
            ..ClusterSpec::default()
        };
        let options = HostOptions { images: ImagePull::BeforeStart, ..HostOptions::default() };
        let cluster = RunningCluster::start(spec, options).unwrap();
        let whole = Whole { cluster, launch_type };
        // The instance registers in the meantime.
        while whole.start(1).is_empty() {
            std::thread::yield_now();
        }
        whole.cluster.wait_for_standalone_tasks().unwrap();
        whole
    }

    fn start(&self, count: u64) -> Vec<TaskId> {
        let response = self.cluster.ask(Request::RunTask(Box::new(RunTaskSpec {
            task_definition: TaskDefinitionRef { family: "hello".into(), revision: None },
            count: count as u32,
            launch_target: LaunchTarget::LaunchType(self.launch_type),
            ..RunTaskSpec::default()
        })));
        match response.unwrap() {
            Response::RunTask { tasks, .. } => tasks,
            other => panic!("RunTask was answered by {other:?}"),
        }
    }

    fn run(&self, tasks: u64) -> Duration {
        let began = Instant::now();
        let mut under_way: VecDeque<TaskId> = VecDeque::new();
        let mut left = tasks;
        while left > 0 {
            let batch = left.min(BATCH);
            let started = self.start(batch);
            assert_eq!(started.len() as u64, batch, "every task of a batch has room");
            under_way.extend(started.last());
            left -= batch;
            if under_way.len() == BATCHES_IN_FLIGHT {
                let oldest = under_way.pop_front().expect("there are several");
                self.cluster.wait_for_task(oldest).unwrap();
            }
        }
        self.cluster.wait_for_standalone_tasks().unwrap();
        began.elapsed()
    }

    /// The last tasks ended with 0, and all of them were metered.
    fn check(&self) {
        let snapshot = self.cluster.snapshot().unwrap();
        let codes: BTreeSet<Option<i32>> =
            snapshot.state.tasks.values().map(|record| record.task.containers[0].exit.exit_code).collect();
        assert_eq!(codes, BTreeSet::from([Some(0)]));
        let metered: u64 = snapshot.bill().by_service.values().map(|cost| cost.tasks).sum();
        assert_eq!(metered, snapshot.state.stopped_count);
    }
}

fn definition(image: &Path, launch_type: LaunchType) -> Arc<TaskDefinition> {
    let container = ContainerDefinition {
        name: "hello".into(),
        image: image.display().to_string(),
        cpu: CpuUnits(256),
        ..ContainerDefinition::default()
    };
    Arc::new(TaskDefinition {
        family: "hello".into(),
        revision: 1,
        cpu: (launch_type == LaunchType::Fargate).then_some(CpuUnits(256)),
        memory: Some(MemoryMib(512)),
        network_mode: NetworkMode::Awsvpc,
        containers: vec![container],
        ..TaskDefinition::default()
    })
}

/// Tasks of one turn: enough that filling and draining what is under way does not count.
const TURN: u64 = 32_768;

/// One turn of a case, or of bare wasmtime beside it.
#[derive(Clone, Copy)]
struct Turn {
    tasks_per_second: f64,
    /// Of all threads together.
    cpu_micros_per_task: f64,
}

impl Turn {
    /// Runs and times a turn.
    fn of(tasks: u64, run: impl FnOnce(u64) -> Duration) -> (Duration, Turn) {
        let cpu_before = process_cpu_time();
        let took = run(tasks);
        let cpu = process_cpu_time() - cpu_before;
        let tasks = tasks as f64;
        let turn =
            Turn { tasks_per_second: tasks / took.as_secs_f64(), cpu_micros_per_task: cpu.as_secs_f64() * 1e6 / tasks };
        (took, turn)
    }
}

/// The turns of one case, each with the one that bare wasmtime had right before it.
#[derive(Default)]
struct Pairs(RefCell<Vec<(Turn, Turn)>>);

impl Pairs {
    /// Lets bare wasmtime and the case take turns until the case has run `tasks`, and returns the time of the case alone.
    fn run(&self, tasks: u64, bare: &Bare, case: impl Fn(u64) -> Duration) -> Duration {
        let mut time = Duration::ZERO;
        let mut left = tasks;
        while left > 0 {
            let tasks = left.min(TURN);
            left -= tasks;
            let (_, beside) = Turn::of(tasks, |tasks| bare.run(tasks));
            let (took, turn) = Turn::of(tasks, &case);
            time += took;
            // Shorter ones are those of criterion's warm-up, and remainders.
            if tasks == TURN {
                self.0.borrow_mut().push((beside, turn));
            }
        }
        time
    }

    /// A quartile of what is made of each pair: 1 is the lower one, 2 the median, 3 the upper one.
    fn quartile(&self, which: usize, of: impl Fn(Turn, Turn) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.borrow().iter().map(|(bare, case)| of(*bare, *case)).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() * which / 4).copied().unwrap_or(f64::NAN)
    }

    fn print(&self, name: &str, case: &str) {
        let count = self.0.borrow().len();
        // A filter may have left the case out.
        if count == 0 {
            return;
        }
        let rate = |bare: Turn, case: Turn| case.tasks_per_second / bare.tasks_per_second;
        println!(
            "{name}: {case}: {:.2} of bare wasmtime's tasks a second (quartiles {:.2} and {:.2} over {count} turns; medians {:.0} and {:.0} a \
             second); {:.1} µs of CPU a task, {:.2} times bare",
            self.quartile(2, rate),
            self.quartile(1, rate),
            self.quartile(3, rate),
            self.quartile(2, |_, case| case.tasks_per_second),
            self.quartile(2, |bare, _| bare.tasks_per_second),
            self.quartile(2, |_, case| case.cpu_micros_per_task),
            self.quartile(2, |bare, case| case.cpu_micros_per_task / bare.cpu_micros_per_task),
        );
    }
}

/// CPU time of all threads of this process.
fn process_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn compare(criterion: &mut Criterion, name: &str, image: &Path) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(criterion::Throughput::Elements(1));
    // Few samples of several turns each.
    group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_secs(8));
    let wasmtime = Bare::new(image);
    group.bench_function("bare wasmtime", |bencher| bencher.iter_custom(|tasks| wasmtime.run(tasks)));
    let (fargate, ec2) = (Pairs::default(), Pairs::default());
    {
        let plane = Plane::new(image);
        let definition = definition(image, LaunchType::Fargate);
        let run = |tasks| plane.run(&definition, TaskHost::Fargate, tasks);
        group.bench_function("fargate", |bencher| bencher.iter_custom(|tasks| fargate.run(tasks, &wasmtime, run)));
    }
    {
        let plane = Plane::new(image);
        let definition = definition(image, LaunchType::Ec2);
        let host = plane.launch();
        let run = |tasks| plane.run(&definition, host, tasks);
        group.bench_function("ec2", |bencher| bencher.iter_custom(|tasks| ec2.run(tasks, &wasmtime, run)));
    }
    let wholes = [LaunchType::Fargate, LaunchType::Ec2].map(|launch_type| {
        let pairs = Pairs::default();
        let whole = Whole::new(image, launch_type);
        group.bench_function(format!("whole path, {launch_type}"), |bencher| {
            bencher.iter_custom(|tasks| pairs.run(tasks, &wasmtime, |tasks| whole.run(tasks)));
        });
        whole.check();
        pairs
    });
    group.finish();
    let [whole_fargate, whole_ec2] = &wholes;
    fargate.print(name, "data plane, Fargate");
    ec2.print(name, "data plane, EC2");
    whole_fargate.print(name, "whole path, Fargate");
    whole_ec2.print(name, "whole path, EC2");
    println!();
}

fn instantiation(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("longshore-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let image = folder.join("hello.wat");
    std::fs::write(&image, HELLO).unwrap();
    compare(criterion, "hello in text", &image);
    std::fs::remove_dir_all(&folder).unwrap();
    let rust = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/target/wasm32-wasip1/release/hello.wasm");
    if rust.is_file() {
        compare(criterion, "hello in rust", &rust);
    } else {
        println!("hello in rust: not built, left out (`cargo build --release --target wasm32-wasip1` in workloads/)");
    }
}

criterion_group!(benches, instantiation);
criterion_main!(benches);
