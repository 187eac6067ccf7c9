//! Placement against a model that knows no trees: it looks at every instance and narrows the list strategy by strategy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::model::capacity::{ContainerInstanceStatus, InstanceDevices, InstanceLaunch, InstanceType};
use crate::model::ids::IdForm;
use crate::model::rng::Stream;
use crate::model::service::{BinpackField, SpreadField};
use crate::model::task_definition::{CpuArchitecture, HostPort, Protocol};
use crate::model::units::Timestamp;

/// An instance with the given resources; everything else follows from its number.
fn instance(id: u64, cpu: u32, memory: u32) -> ContainerInstance {
    let devices = InstanceDevices {
        gpus: u32::try_from(id % 3).unwrap(),
        network_interfaces: [None, Some(1), Some(2)][usize::try_from(id / 3 % 3).unwrap()],
    };
    let ports = BTreeSet::from([port(22)]);
    let resources = InstanceResources { cpu: CpuUnits(cpu), memory: MemoryMib(memory), ports, devices };
    let rack = [None, Some("r1"), Some("r2")][usize::try_from(id / 2 % 3).unwrap()];
    let launch = InstanceLaunch {
        instance_type: Arc::new(InstanceType {
            name: if id.is_multiple_of(2) { "m7i.large".to_owned() } else { "m7g.large".to_owned() },
            vcpus: 2,
            memory: MemoryMib(8192),
            architecture: if id.is_multiple_of(2) { CpuArchitecture::X86_64 } else { CpuArchitecture::Arm64 },
            ..InstanceType::default()
        }),
        availability_zone: Arc::from(["a", "b", "c"][usize::try_from(id % 3).unwrap()]),
        attributes: rack.map(|rack| ("rack".to_owned(), rack.to_owned())).into_iter().collect(),
        capacity_provider: [None, Some("p"), Some("q")][usize::try_from(id / 3 % 3).unwrap()].map(Arc::from),
        ..InstanceLaunch::default()
    };
    ContainerInstance {
        status: ContainerInstanceStatus::Active,
        registered: resources.clone(),
        remaining: resources,
        ..ContainerInstance::launched(ContainerInstanceId(id), Arc::new(launch), Timestamp::ZERO)
    }
}

fn port(port: u16) -> HostPort {
    HostPort { port, protocol: Protocol::Tcp }
}

fn reservation(cpu: u32, memory: u32) -> Reservation {
    Reservation { cpu: CpuUnits(cpu), memory: MemoryMib(memory), ..Reservation::default() }
}

fn stream() -> RandomStream {
    RandomStream::new(7, Stream::Placement)
}

fn spread(attribute: &str) -> PlacementStrategy {
    PlacementStrategy::Spread(SpreadField::Attribute(attribute.to_owned()))
}

const BINPACK_CPU: PlacementStrategy = PlacementStrategy::Binpack(BinpackField::Cpu);
const BINPACK_MEMORY: PlacementStrategy = PlacementStrategy::Binpack(BinpackField::Memory);
const SPREAD_INSTANCE: PlacementStrategy = PlacementStrategy::Spread(SpreadField::InstanceId);

/// What the reference knows of a task.
#[derive(Clone, Debug)]
struct PlacedTask {
    instance: ContainerInstanceId,
    group: Arc<str>,
    reservation: Reservation,
}

/// The model: a list of instances and a list of tasks.
#[derive(Clone, Debug, Default)]
struct Reference {
    active: BTreeMap<ContainerInstanceId, ContainerInstance>,
    set_aside: BTreeMap<ContainerInstanceId, ContainerInstance>,
    tasks: Vec<PlacedTask>,
}

impl Reference {
    fn tasks_where(&self, group: &str, fits: impl Fn(&ContainerInstance) -> bool) -> usize {
        let counted = |task: &&PlacedTask| &*task.group == group && self.active.get(&task.instance).is_some_and(&fits);
        self.tasks.iter().filter(counted).count()
    }

    fn tasks_in_bucket(&self, group: &str, of: &ContainerInstance, attribute: &str) -> usize {
        let value = of.launch.attribute(attribute);
        self.tasks_where(group, |other| other.launch.attribute(attribute) == value)
    }

    fn fits(&self, held: &ContainerInstance, request: &PlacementRequest<'_>) -> bool {
        held.remaining.cpu >= request.reservation.cpu
            && held.remaining.memory >= request.reservation.memory
            && held.remaining.ports.is_disjoint(&request.reservation.ports)
            && request.reservation.devices.gpus <= held.remaining.devices.gpus
            && held
                .remaining
                .devices
                .network_interfaces
                .is_none_or(|left| request.reservation.devices.network_interfaces <= left)
            && (request.constraints.is_empty() || self.tasks_where(request.group, |other| other.id == held.id) == 0)
    }

    fn candidates(&self, request: &PlacementRequest<'_>) -> Vec<&ContainerInstance> {
        let wanted = |held: &&ContainerInstance| {
            request.capacity_provider.is_none() || held.launch.capacity_provider.as_ref() == request.capacity_provider
        };
        self.active.values().filter(wanted).collect()
    }

    /// The instances that may be chosen: at most one, unless chance decides.
    fn choices(&self, request: &PlacementRequest<'_>) -> Vec<ContainerInstanceId> {
        let mut left = self.candidates(request);
        left.retain(|held| self.fits(held, request));
        let default = match request.kind {
            TaskKind::Service => vec![spread("ecs.availability-zone"), SPREAD_INSTANCE],
            TaskKind::Standalone => vec![PlacementStrategy::Random],
        };
        let strategies = if request.strategies.is_empty() { &default } else { request.strategies };
        for strategy in strategies {
            match strategy {
                PlacementStrategy::Random => return left.iter().map(|held| held.id).collect(),
                PlacementStrategy::Binpack(BinpackField::Cpu) => keep_least(&mut left, |held| held.remaining.cpu),
                PlacementStrategy::Binpack(BinpackField::Memory) => keep_least(&mut left, |held| held.remaining.memory),
                PlacementStrategy::Spread(SpreadField::InstanceId) => {
                    keep_least(&mut left, |held| self.tasks_where(request.group, |other| other.id == held.id));
                }
                PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
                    keep_least(&mut left, |held| self.tasks_in_bucket(request.group, held, name));
                }
            }
        }
        keep_least(&mut left, |held| held.remaining.cpu);
        keep_least(&mut left, |held| held.remaining.memory);
        keep_least(&mut left, |held| held.id);
        left.iter().map(|held| held.id).collect()
    }

    fn held(&mut self, id: ContainerInstanceId) -> &mut ContainerInstance {
        self.active.get_mut(&id).or(self.set_aside.get_mut(&id)).unwrap()
    }
}

fn keep_least<T, K: Ord>(left: &mut Vec<T>, key: impl Fn(&T) -> K) {
    if let Some(least) = left.iter().map(&key).min() {
        left.retain(|item| key(item) == least);
    }
}

/// One thing that happens to both.
#[derive(Clone, Debug)]
enum Step {
    Insert { id: u64, cpu: u32, memory: u32 },
    Remove { nth: usize },
    Reinsert { nth: usize },
    Place(Wish),
    Release { nth: usize },
}

/// A placement request that owns its parts.
#[derive(Clone, Debug)]
struct Wish {
    cpu: u32,
    memory: u32,
    port: Option<u16>,
    group: u8,
    capacity_provider: Option<&'static str>,
    strategies: Vec<PlacementStrategy>,
    is_distinct: bool,
    kind: TaskKind,
    devices: Devices,
}

/// The index and its reference, step by step.
struct Pair {
    index: PlacementIndex,
    reference: Reference,
    rng: RandomStream,
    placed: u32,
    refused: u32,
}

impl Pair {
    fn new(limits: Limits) -> Pair {
        let index = PlacementIndex { limits, ..PlacementIndex::default() };
        Pair { index, reference: Reference::default(), rng: stream(), placed: 0, refused: 0 }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Insert { id, cpu, memory } => {
                let id = ContainerInstanceId(*id);
                // An instance that holds tasks keeps its size.
                if self.reference.active.contains_key(&id) || self.reference.set_aside.contains_key(&id) {
                    return;
                }
                let inserted = instance(id.0, *cpu, *memory);
                self.index.insert_instance(&inserted);
                self.reference.active.insert(id, inserted);
            }
            Step::Remove { nth } => {
                let Some(id) = pick(self.reference.active.keys(), *nth).copied() else { return };
                self.index.remove_instance(id);
                let removed = self.reference.active.remove(&id).unwrap();
                let removed = ContainerInstance { status: ContainerInstanceStatus::Draining, ..removed };
                if self.reference.tasks.iter().any(|task| task.instance == id) {
                    self.reference.set_aside.insert(id, removed);
                }
            }
            Step::Reinsert { nth } => {
                let Some(id) = pick(self.reference.set_aside.keys(), *nth).copied() else { return };
                let returned = self.reference.set_aside.remove(&id).unwrap();
                let returned = ContainerInstance { status: ContainerInstanceStatus::Active, ..returned };
                self.index.insert_instance(&returned);
                self.reference.active.insert(id, returned);
            }
            Step::Place(wish) => self.place(wish),
            Step::Release { nth } => {
                if self.reference.tasks.is_empty() {
                    return;
                }
                let nth = nth % self.reference.tasks.len();
                let task = self.reference.tasks.remove(nth);
                self.index.release(task.instance, &task.group, &task.reservation);
                let remaining = &mut self.reference.held(task.instance).remaining;
                remaining.cpu = remaining.cpu + task.reservation.cpu;
                remaining.memory = remaining.memory + task.reservation.memory;
                remaining.ports.retain(|port| !task.reservation.ports.contains(port));
                remaining.devices = remaining.devices.with(task.reservation.devices);
                if !self.reference.tasks.iter().any(|other| other.instance == task.instance) {
                    self.reference.set_aside.remove(&task.instance);
                }
            }
        }
        for held in self.reference.active.values().chain(self.reference.set_aside.values()) {
            assert_eq!(self.index.remaining(held.id), Some(&held.remaining));
        }
    }

    fn place(&mut self, wish: &Wish) {
        let mut wanted = reservation(wish.cpu, wish.memory);
        wanted.ports.extend(wish.port.map(port));
        wanted.devices = wish.devices;
        let group: Arc<str> = Arc::from(format!("g{}", wish.group));
        let capacity_provider = wish.capacity_provider.map(Arc::from);
        let request = PlacementRequest {
            reservation: &wanted,
            group: &group,
            capacity_provider: capacity_provider.as_ref(),
            strategies: &wish.strategies,
            constraints: if wish.is_distinct { &[PlacementConstraint::DistinctInstance] } else { &[] },
            required_attributes: &[],
            availability_zones: &[],
            kind: wish.kind,
        };
        let choices = self.reference.choices(&request);
        let explained = self.index.explain(&request, []);
        let held = || self.reference.active.values().chain(self.reference.set_aside.values());
        let assessment = self.index.assess(&request, held(), &self.rng);
        let first = assessment.candidates.iter().filter(|candidate| {
            assert_eq!(candidate.position.is_none(), candidate.broken().count() > 0);
            candidate.position.as_ref().is_some_and(|position| position.place == 1)
        });
        let first: BTreeSet<_> = first.map(|candidate| candidate.instance).collect();
        assert_eq!(first, choices.iter().copied().collect(), "for {wish:?}");
        let placed = self.index.place(&request, &mut self.rng);
        assert_eq!(assessment.chosen, placed.ok());
        match placed {
            Ok(chosen) => {
                assert!(choices.contains(&chosen), "{chosen} of {choices:?} for {wish:?}");
                self.index.reserve(chosen, &group, &wanted);
                let remaining = &mut self.reference.held(chosen).remaining;
                remaining.cpu.0 -= wanted.cpu.0;
                remaining.memory.0 -= wanted.memory.0;
                remaining.ports.extend(&wanted.ports);
                remaining.devices = remaining.devices.without(wanted.devices);
                self.reference.tasks.push(PlacedTask { instance: chosen, group, reservation: wanted });
                self.placed += 1;
            }
            Err(Unplaceable) => {
                assert_eq!(choices, [], "for {wish:?}");
                let candidates = self.reference.candidates(&request);
                let expected: Vec<_> = candidates.iter().map(|held| Some(held.id)).collect();
                let named: Vec<_> = explained.failures.iter().map(|failure| failure.instance).collect();
                assert_eq!(named, if expected.is_empty() { vec![None] } else { expected });
                assert_eq!(explained.closest.is_none(), candidates.is_empty());
                self.refused += 1;
            }
        }
    }
}

fn pick<T>(items: impl ExactSizeIterator<Item = T>, nth: usize) -> Option<T> {
    let length = items.len();
    let mut items = items;
    if length == 0 { None } else { items.nth(nth % length) }
}

fn strategies() -> impl Strategy<Value = Vec<PlacementStrategy>> {
    let one = prop_oneof![
        Just(BINPACK_CPU),
        Just(BINPACK_MEMORY),
        Just(SPREAD_INSTANCE),
        Just(spread("ecs.availability-zone")),
        Just(spread("ecs.instance-type")),
        Just(spread("ecs.cpu-architecture")),
        Just(spread("rack")),
        Just(PlacementStrategy::Random),
    ];
    // Few chains in a run, so that their trees and views live long enough to be wrong.
    prop::collection::vec(one, 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(strategies(), 4).prop_flat_map(|chains| {
        let chain = prop::sample::select(chains);
        let wish = (
            prop::sample::select(vec![0u32, 1, 2, 4, 7]),
            prop::sample::select(vec![0u32, 1, 2, 4, 7]),
            prop::option::weighted(0.15, prop::sample::select(vec![22u16, 80, 81])),
            0u8..3,
            prop::sample::select(vec![None, None, Some("p"), Some("q"), Some("nobody")]),
            chain,
            prop::bool::weighted(0.2),
            prop::sample::select(vec![TaskKind::Service, TaskKind::Standalone]),
            prop::sample::select(vec![(0u32, 0u32), (0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]),
        )
            .prop_map(
                |(cpu, memory, port, group, capacity_provider, strategies, is_distinct, kind, devices)| {
                    let devices = Devices { gpus: devices.0, network_interfaces: devices.1 };
                    Step::Place(Wish {
                        cpu,
                        memory,
                        port,
                        group,
                        capacity_provider,
                        strategies,
                        is_distinct,
                        kind,
                        devices,
                    })
                },
            );
        let step = prop_oneof![
            3 => (0u64..24, 0u32..16, 0u32..16).prop_map(|(id, cpu, memory)| Step::Insert { id, cpu, memory }),
            1 => any::<usize>().prop_map(|nth| Step::Remove { nth }),
            1 => any::<usize>().prop_map(|nth| Step::Reinsert { nth }),
            10 => wish,
            5 => any::<usize>().prop_map(|nth| Step::Release { nth }),
        ];
        prop::collection::vec(step, 1..160)
    })
}

/// Limits that are reached within a few steps: views come at once, and everything is dropped all the time.
const TIGHT: Limits =
    Limits { walk_per_instance: 0, walk_min: 2, views_max: 2, changes_max: 0, vacant_cells_max: 1, partitions_max: 2 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The same choices as the model's, whatever is kept for speed; and what explains a choice says the same: the instances that
    /// break no rule and stand first are those that may be chosen, and the one that it names is.
    #[test]
    fn choices_are_the_models(steps in steps()) {
        for limits in [Limits::default(), TIGHT] {
            let mut pair = Pair::new(limits);
            for step in &steps {
                pair.apply(step);
            }
        }
    }
}

/// The same in a cluster that is large enough for real limits: a day of services that come, grow and shrink.
#[test]
fn choices_are_the_models_at_size() {
    let mut pair = Pair::new(Limits::default());
    let mut dice = RandomStream::new(3, Stream::Faults);
    let mut roll = |bound: u64| usize::try_from(dice.below(bound)).unwrap();
    for id in 0..120 {
        pair.apply(&Step::Insert { id, cpu: [64, 128][roll(2)], memory: [96, 160][roll(2)] });
    }
    let chains = [
        vec![],
        vec![SPREAD_INSTANCE, BINPACK_MEMORY],
        vec![BINPACK_CPU, SPREAD_INSTANCE],
        vec![spread("ecs.availability-zone"), BINPACK_MEMORY],
        vec![spread("rack"), SPREAD_INSTANCE, PlacementStrategy::Random],
    ];
    for round in 0..1500 {
        let group = u8::try_from(roll(5)).unwrap();
        pair.apply(&Step::Place(Wish {
            cpu: [8, 16, 24][roll(3)],
            memory: [8, 16, 32][roll(3)],
            port: None,
            group,
            capacity_provider: None,
            strategies: chains[usize::from(group)].clone(),
            is_distinct: roll(10) == 0,
            kind: TaskKind::Service,
            devices: Devices::NONE,
        }));
        if round > 600 {
            pair.apply(&Step::Release { nth: roll(1 << 20) });
        }
    }
    assert!(pair.placed > 1000, "{} were placed", pair.placed);
    let views = pair.index.partitions.iter().map(Partition::view_count).sum::<usize>();
    assert!(views > 0, "walking for so long calls for views");
    while !pair.reference.tasks.is_empty() {
        pair.apply(&Step::Release { nth: 0 });
    }
    let views = pair.index.partitions.iter().map(Partition::view_count).sum::<usize>();
    assert_eq!(views, 0, "a group without tasks needs none");
}

/// Places `count` tasks of a service and shows where.
#[track_caller]
fn check(instances: &[ContainerInstance], strategies: &[PlacementStrategy], count: u32, expected: Expect) {
    let mut index = PlacementIndex::default();
    instances.iter().for_each(|instance| index.insert_instance(instance));
    let (group, reservation) = (Arc::from("service:web"), reservation(256, 512));
    let request = PlacementRequest {
        reservation: &reservation,
        group: &group,
        capacity_provider: None,
        strategies,
        constraints: &[],
        required_attributes: &[],
        availability_zones: &[],
        kind: TaskKind::Service,
    };
    let mut shown = Vec::new();
    let mut rng = stream();
    for _ in 0..count {
        match index.place(&request, &mut rng) {
            Ok(chosen) => {
                index.reserve(chosen, &group, &reservation);
                shown.push(chosen.to_string());
            }
            Err(Unplaceable) => {
                shown.push("-".to_owned());
                shown.push(index.explain(&request, []).service_event_reason(IdForm { seed: 0 }));
                break;
            }
        }
    }
    expected.assert_eq(&shown.join(" "));
}

/// Six equal instances: 0 and 3 in zone a, 1 and 4 in b, 2 and 5 in c.
fn six() -> Vec<ContainerInstance> {
    (0..6).map(|id| instance(id, 1024, 2048)).collect()
}

/// Packing fills one instance after the other. Each takes four.
#[test]
fn binpack_fills_one_after_the_other() {
    check(&six(), &[BINPACK_MEMORY], 6, expect!["0 0 0 0 1 1"]);
}

/// Spreading over zones and packing inside of them.
#[test]
fn zones_are_spread_over_and_packed() {
    check(&six(), &[spread("ecs.availability-zone"), BINPACK_MEMORY], 14, expect!["0 1 2 0 1 2 0 1 2 0 1 2 3 4"]);
}

/// A service without a strategy: the zone with the fewest of its tasks, then the instance with the fewest.
#[test]
fn service_without_strategy_spreads_over_zones_and_instances() {
    check(&six(), &[], 8, expect!["0 1 2 3 4 5 0 1"]);
}

/// A full cluster says so, and names the closest instance.
#[test]
fn full_cluster_names_the_closest_instance() {
    check(
        &[instance(0, 300, 2048), instance(1, 200, 2048)],
        &[BINPACK_CPU],
        3,
        expect![
            "0 - was unable to place a task because no container instance met all of its requirements. The closest matching container-instance f893a2eefb32555e71c18690ee42c90b has insufficient CPU units available."
        ],
    );
}

/// A cluster without instances says that.
#[test]
fn empty_cluster_names_no_instance() {
    check(
        &[],
        &[],
        1,
        expect![
            "- was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster."
        ],
    );
}

/// Every reason, in the order in which they are looked for; the closest candidate lacks the fewest things.
#[test]
fn each_candidate_has_its_reason() {
    let mut index = PlacementIndex::default();
    let group: Arc<str> = Arc::from("service:web");
    let sizes = [(100, 100), (1024, 100), (1024, 1024), (1024, 1024)];
    for (id, (cpu, memory)) in (0..).zip(sizes) {
        index.insert_instance(&instance(id, cpu, memory));
    }
    let small = Reservation { ports: BTreeSet::from([port(80)]), ..reservation(1, 1) };
    index.reserve(ContainerInstanceId(2), &Arc::from("service:other"), &small);
    index.reserve(ContainerInstanceId(3), &group, &reservation(1, 1));
    let wanted = Reservation { ports: BTreeSet::from([port(80)]), ..reservation(256, 512) };
    let request = PlacementRequest {
        reservation: &wanted,
        group: &group,
        capacity_provider: None,
        strategies: &[],
        constraints: &[PlacementConstraint::DistinctInstance],
        required_attributes: &[],
        availability_zones: &[],
        kind: TaskKind::Service,
    };
    assert_eq!(index.place(&request, &mut stream()), Err(Unplaceable));
    let failure = index.explain(&request, []);
    let shown: Vec<String> = failure
        .failures
        .iter()
        .map(|failure| format!("{} {}: {}", failure.instance.unwrap(), failure.reason, failure.detail))
        .collect();
    expect![[r#"
        0 RESOURCE:CPU: 256 CPU units are needed and 100 are left
        1 RESOURCE:MEMORY: 512 MiB are needed and 100 are left
        2 RESOURCE:PORTS: host ports in use: 80
        3 DistinctInstance placement constraint unsatisfied: a task of group `service:web` is there"#]]
    .assert_eq(&shown.join("\n"));
    assert_eq!(failure.closest, Some((ContainerInstanceId(2), RESOURCE_PORTS)));
    let nobody = Arc::from("nobody");
    let failure = index.explain(&PlacementRequest { capacity_provider: Some(&nobody), ..request }, []);
    assert_eq!(failure.reason(), EMPTY_CAPACITY_PROVIDER);
    assert_eq!(failure.failures.len(), 1);
}

/// Chance gives each instance that fits the same part, whether it draws from the tree or from a list.
#[test]
fn chance_is_fair() {
    for crowd in [8, 400] {
        let mut index = PlacementIndex::default();
        for id in 0..crowd {
            // Most have the CPU, and four of them the memory too.
            index.insert_instance(&instance(id, 1024, if id < 4 { 1024 } else { 0 }));
        }
        let (group, reservation) = (Arc::from("family:job"), reservation(256, 512));
        let request = PlacementRequest {
            reservation: &reservation,
            group: &group,
            capacity_provider: None,
            strategies: &[],
            constraints: &[],
            required_attributes: &[],
            availability_zones: &[],
            kind: TaskKind::Standalone,
        };
        let mut drawn = BTreeMap::new();
        let mut rng = stream();
        for _ in 0..4000 {
            *drawn.entry(index.place(&request, &mut rng).unwrap().0).or_insert(0) += 1;
        }
        assert_eq!(drawn.len(), 4);
        // The standard deviation is 27.
        assert!(drawn.values().all(|count| (900..1100).contains(count)), "{drawn:?}");
    }
}

/// A draining instance takes nothing, counts for nothing, and is what it was when it comes back.
#[test]
fn removed_instance_comes_back_with_its_tasks() {
    let mut index = PlacementIndex::default();
    let (group, reservation) = (Arc::from("service:web"), reservation(256, 512));
    let mut first = instance(0, 1024, 2048);
    index.insert_instance(&first);
    index.reserve(first.id, &group, &reservation);
    index.remove_instance(first.id);
    let request = PlacementRequest {
        reservation: &reservation,
        group: &group,
        capacity_provider: None,
        strategies: &[],
        constraints: &[PlacementConstraint::DistinctInstance],
        required_attributes: &[],
        availability_zones: &[],
        kind: TaskKind::Service,
    };
    assert_eq!(index.explain(&request, []).reason(), NO_ACTIVE_INSTANCES);
    first.remaining = index.remaining(first.id).unwrap().clone();
    assert_eq!(first.remaining.cpu, CpuUnits(768));
    index.insert_instance(&first);
    assert_eq!(index.place(&request, &mut stream()), Err(Unplaceable));
    assert_eq!(index.explain(&request, []).reason(), DISTINCT_INSTANCE);
    index.release(first.id, &group, &reservation);
    assert_eq!(index.place(&request, &mut stream()), Ok(first.id));
    index.remove_instance(first.id);
    assert_eq!(index.remaining(first.id), None);
}
