//! Does the cost of one placement grow with the number of instances?
//!
//! Measured is the life of a task in the index: `place`, `reserve`, and `release` of the oldest of the tasks that are
//! being kept, so that the cluster stays in its state. Cases: 100, 1,000 and 10,000 instances in three zones, of two
//! sizes × six rankings × five states:
//!
//! - `empty`: no other task;
//! - `half`: four other services, half of the CPU of each instance reserved;
//! - `full`: 95 % of the instances have memory left and no CPU;
//! - `mixed`: a third of the instances has no CPU left, a third no memory, a third half of both;
//! - `wide`: half, and the service itself has a task on nine of ten instances.
//!
//! `refused` is the cost of finding out that nothing fits; `fresh service` that of many tasks in a row, with what is
//! built for the service on the way. Two criteria are no case of their own: `distinctInstance`
//! takes the way of `spread instance`, and a capacity provider only leaves cells out.

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use longshore::control_plane::placement::{PlacementIndex, PlacementRequest, TaskKind};
use longshore::model::capacity::{
    ContainerInstance, ContainerInstanceStatus, InstanceLaunch, InstanceResources, InstanceType,
};
use longshore::model::ids::ContainerInstanceId;
use longshore::model::rng::{RandomStream, Stream};
use longshore::model::service::{BinpackField, PlacementStrategy, SpreadField};
use longshore::model::task_definition::{CpuArchitecture, Reservation};
use longshore::model::units::{CpuUnits, MemoryMib, Timestamp};

const SIZES: [u64; 3] = [100, 1_000, 10_000];
/// The tasks that are being kept.
const KEPT: usize = 64;

#[derive(Clone, Copy, Debug)]
enum State {
    Empty,
    Half,
    Full,
    Mixed,
    Wide,
}

const STATES: [(State, &str); 5] = [
    (State::Empty, "empty"),
    (State::Half, "half"),
    (State::Full, "full"),
    (State::Mixed, "mixed"),
    (State::Wide, "wide"),
];

/// A cluster and a service in it.
struct Cluster {
    index: PlacementIndex,
    group: Arc<str>,
    reservation: Reservation,
    kept: VecDeque<ContainerInstanceId>,
    rng: RandomStream,
}

fn resources(cpu: u32, memory: u32) -> Reservation {
    Reservation { cpu: CpuUnits(cpu), memory: MemoryMib(memory), ..Reservation::default() }
}

fn instance(id: u64) -> ContainerInstance {
    let vcpus = if id.is_multiple_of(4) { 8 } else { 4 };
    let registered = InstanceResources {
        cpu: CpuUnits(vcpus * 1024),
        memory: MemoryMib(vcpus * 4096),
        ..InstanceResources::default()
    };
    let launch = InstanceLaunch {
        instance_type: Arc::new(InstanceType {
            name: format!("m7i.{vcpus}"),
            vcpus,
            memory: MemoryMib(vcpus * 4096),
            architecture: CpuArchitecture::X86_64,
            ..InstanceType::default()
        }),
        availability_zone: Arc::from(["a", "b", "c"][usize::try_from(id % 3).expect("one of three")]),
        capacity_provider: Some(Arc::from("web-asg")),
        ..InstanceLaunch::default()
    };
    ContainerInstance {
        status: ContainerInstanceStatus::Active,
        registered: registered.clone(),
        remaining: registered,
        ..ContainerInstance::launched(ContainerInstanceId(id), Arc::new(launch), Timestamp::ZERO)
    }
}

impl Cluster {
    fn new(instance_count: u64, state: State) -> Cluster {
        let mut cluster = Cluster {
            index: PlacementIndex::default(),
            group: Arc::from("service:measured"),
            reservation: resources(256, 512),
            kept: VecDeque::new(),
            rng: RandomStream::new(1, Stream::Placement),
        };
        // Sizes of the other tasks differ from instance to instance, so that few have the same left.
        let mut dice = RandomStream::new(2, Stream::Faults);
        let others: Vec<Arc<str>> = (0..4).map(|service| Arc::from(format!("service:other-{service}"))).collect();
        for id in 0..instance_count {
            let instance = instance(id);
            cluster.index.insert_instance(&instance);
            let (cpu, memory) = (instance.registered.cpu.0, instance.registered.memory.0);
            let (cpu, memory) = match state {
                State::Empty => continue,
                State::Full if id % 20 != 0 => (cpu, memory / 2),
                State::Mixed if id % 3 == 0 => (cpu, memory / 2),
                State::Mixed if id % 3 == 1 => (cpu / 2, memory),
                State::Half | State::Full | State::Mixed | State::Wide => (cpu / 2, memory / 2),
            };
            // Four tasks, the first with what the other three leave; those that fill an instance fill it wholly.
            let mut left = (cpu, memory);
            for other in &others[1..] {
                let part = |of: u32, die: u64| u32::try_from(u64::from(of) * die / 64).expect("a part of a number");
                let (die, other_die) = (8 + dice.below(8), 8 + dice.below(8));
                let part = (part(cpu, die), part(memory, other_die));
                left = (left.0 - part.0, left.1 - part.1);
                cluster.index.reserve(instance.id, other, &resources(part.0, part.1));
            }
            cluster.index.reserve(instance.id, &others[0], &resources(left.0, left.1));
            if matches!(state, State::Wide) && id % 10 != 0 {
                cluster.index.reserve(instance.id, &cluster.group, &cluster.reservation);
            }
        }
        cluster
    }

    /// One task comes, and one goes when enough are kept.
    fn turn(&mut self, ranking: &Ranking) -> ContainerInstanceId {
        let request = request(&self.group, &self.reservation, ranking);
        let chosen = self.index.place(&request, &mut self.rng).expect("there is room");
        self.index.reserve(chosen, &self.group, &self.reservation);
        self.kept.push_back(chosen);
        if self.kept.len() > KEPT {
            let oldest = self.kept.pop_front().expect("there are more than none");
            self.index.release(oldest, &self.group, &self.reservation);
        }
        chosen
    }
}

fn request<'a>(group: &'a Arc<str>, reservation: &'a Reservation, ranking: &'a Ranking) -> PlacementRequest<'a> {
    PlacementRequest {
        reservation,
        group,
        capacity_provider: None,
        strategies: &ranking.strategies,
        constraints: &[],
        required_attributes: &[],
        availability_zones: &[],
        kind: ranking.kind,
    }
}

struct Ranking {
    name: &'static str,
    strategies: Vec<PlacementStrategy>,
    kind: TaskKind,
}

fn rankings() -> Vec<Ranking> {
    let binpack_memory = || PlacementStrategy::Binpack(BinpackField::Memory);
    let zone = PlacementStrategy::Spread(SpreadField::Attribute("ecs.availability-zone".to_owned()));
    let ranking = |name, strategies, kind| Ranking { name, strategies, kind };
    vec![
        ranking("binpack memory", vec![binpack_memory()], TaskKind::Service),
        ranking("binpack cpu", vec![PlacementStrategy::Binpack(BinpackField::Cpu)], TaskKind::Service),
        ranking("spread zone, binpack memory", vec![zone, binpack_memory()], TaskKind::Service),
        ranking("spread instance", vec![PlacementStrategy::Spread(SpreadField::InstanceId)], TaskKind::Service),
        ranking("service default", vec![], TaskKind::Service),
        ranking("random", vec![PlacementStrategy::Random], TaskKind::Standalone),
    ]
}

fn placement(criterion: &mut Criterion) {
    for ranking in &rankings() {
        for (state, state_name) in STATES {
            let mut group = criterion.benchmark_group(format!("{}/{state_name}", ranking.name));
            for size in SIZES {
                let mut cluster = Cluster::new(size, state);
                // Long enough for whatever is built once to be built: that is paid for by as many placements.
                let instances: BTreeSet<_> = (0..2_000).map(|_| cluster.turn(ranking)).collect();
                assert_eq!(cluster.kept.len(), KEPT, "tasks were placed");
                assert!(!instances.is_empty(), "tasks were placed on instances");
                group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                    bencher.iter(|| black_box(cluster.turn(ranking)));
                });
            }
            group.finish();
        }
    }
}

/// No instance has the CPU, and all have the memory.
fn refused(criterion: &mut Criterion) {
    let huge = resources(9 * 1024, 512);
    for ranking in &rankings() {
        let mut group = criterion.benchmark_group(format!("{}/refused", ranking.name));
        for size in SIZES {
            let Cluster { mut index, group: service, mut rng, .. } = Cluster::new(size, State::Half);
            let request = request(&service, &huge, ranking);
            assert!(index.place(&request, &mut rng).is_err(), "nothing fits");
            let failures = index.explain(&request, []).failures.len();
            assert_eq!(u64::try_from(failures).expect("a count"), size, "every instance was a candidate");
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| black_box(index.place(&request, &mut rng)));
            });
        }
        group.finish();
    }
}

/// A service of 400 tasks on a cluster that has never seen it, counting its tasks on instances from the first to the
/// last: what is built for it is part of the price.
fn fresh_service(criterion: &mut Criterion) {
    const TASKS: u32 = 400;
    let mut group = criterion.benchmark_group(format!("fresh service of {TASKS} tasks"));
    let ranking = rankings().into_iter().find(|ranking| ranking.name == "service default").expect("it is one of them");
    for size in SIZES {
        let mut settled = Cluster::new(size, State::Half);
        settled.turn(&ranking);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_batched_ref(
                || settled.index.clone(),
                |index| {
                    let fresh: Arc<str> = Arc::from("service:fresh");
                    for _ in 0..TASKS {
                        let request = request(&fresh, &settled.reservation, &ranking);
                        let chosen = index.place(&request, &mut settled.rng).expect("there is room");
                        index.reserve(chosen, &fresh, &settled.reservation);
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300));
    targets = placement, refused, fresh_service
}
criterion_main!(benches);
