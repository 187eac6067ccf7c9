//! Scale-in against a model that looks at everything again for each task it gives up.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::capacity::{InstanceResources, InstanceType};
use crate::model::rng::Stream;
use crate::model::task::TaskStatus;
use crate::model::task_definition::{CpuArchitecture, Reservation, TaskDefinition};
use crate::model::units::{CpuUnits, MemoryMib, Timestamp};

fn instance(id: u64, cpu_left: u32, memory_left: u32, status: ContainerInstanceStatus) -> ContainerInstance {
    let instance_type = InstanceType {
        name: "m7i.large".to_owned(),
        vcpus: 2,
        memory: MemoryMib(8192),
        architecture: CpuArchitecture::X86_64,
        ..InstanceType::default()
    };
    let resources = |cpu, memory| InstanceResources {
        cpu: CpuUnits(cpu),
        memory: MemoryMib(memory),
        ..InstanceResources::default()
    };
    let launch = Arc::new(crate::model::capacity::InstanceLaunch {
        instance_type: Arc::new(instance_type),
        availability_zone: ["a", "b", "b"][usize::try_from(id % 3).unwrap()].into(),
        attributes: [("rack".to_owned(), format!("r{}", id % 2))].into(),
        ..crate::model::capacity::InstanceLaunch::default()
    });
    ContainerInstance {
        status,
        registered: resources(2048, 8192),
        remaining: resources(cpu_left, memory_left),
        registered_at: Some(Timestamp::ZERO),
        ..ContainerInstance::launched(ContainerInstanceId(id), launch, Timestamp::ZERO)
    }
}

fn task(id: u64, provider: Option<&str>, cpu: u32) -> Task {
    let definition = TaskDefinition {
        family: "web".to_owned(),
        revision: 1,
        cpu: Some(CpuUnits(cpu)),
        memory: Some(MemoryMib(cpu)),
        ..TaskDefinition::default()
    };
    Task {
        id: TaskId(id),
        reservation: Arc::new(Reservation { cpu: CpuUnits(cpu), memory: MemoryMib(cpu), ..Reservation::default() }),
        task_definition: Arc::new(definition),
        group: "service:web".into(),
        capacity_provider: provider.map(Arc::from),
        service: Some("web".into()),
        last_status: TaskStatus::Running,
        ..Task::default()
    }
}

/// Keeps the ones of which there is most.
fn keep_most<'a>(left: &mut Vec<PlacedTask<'a>>, measure: impl Fn(&PlacedTask<'a>) -> u64) {
    let most = left.iter().map(&measure).max();
    left.retain(|placed| Some(measure(placed)) == most);
}

/// The tasks of which any may be the next to go: the rule read aloud.
fn may_go<'a>(inputs: &ScaleInInputs<'a>, gone: &[PlacedTask<'a>]) -> Vec<PlacedTask<'a>> {
    let is_gone = |placed: &PlacedTask<'_>| gone.iter().any(|other| other.task.id == placed.task.id);
    let mut left: Vec<PlacedTask<'_>> = inputs.candidates.iter().copied().filter(|placed| !is_gone(placed)).collect();
    let all: Vec<PlacedTask<'_>> = left.iter().chain(&inputs.staying).copied().collect();
    let candidates = left.clone();
    let of_provider = |name: &str| {
        let theirs = candidates.iter().filter(|placed| placed.task.capacity_provider.as_deref() == Some(name));
        u32::try_from(theirs.count()).unwrap()
    };
    if let Some(provider) = provider_to_scale_in(inputs.providers, of_provider) {
        left.retain(|placed| placed.task.capacity_provider.as_ref() == Some(provider));
    }
    keep_most(&mut left, |placed| {
        u64::from(placed.instance.is_some_and(|found| found.status != ContainerInstanceStatus::Active))
    });
    for criterion in &chain_of(inputs.strategies) {
        let on_same = |placed: &PlacedTask<'_>, other: &PlacedTask<'_>| {
            placed.instance.map(|found| found.id) == other.instance.map(|found| found.id)
        };
        let freed = |placed: &PlacedTask<'_>, of: fn(&Reservation) -> u32| {
            let freed = gone.iter().chain(&inputs.leaving).filter(|other| on_same(placed, other));
            freed.map(|other| u64::from(of(&other.task.reservation))).sum::<u64>()
        };
        match criterion {
            Criterion::Binpack(BinpackField::Cpu) => keep_most(&mut left, |placed| {
                placed.instance.map_or(0, |found| u64::from(found.remaining.cpu.0)) + freed(placed, |taken| taken.cpu.0)
            }),
            Criterion::Binpack(BinpackField::Memory) => keep_most(&mut left, |placed| {
                placed.instance.map_or(0, |found| u64::from(found.remaining.memory.0))
                    + freed(placed, |taken| taken.memory.0)
            }),
            Criterion::SpreadInstance => {
                keep_most(&mut left, |placed| all.iter().filter(|other| on_same(placed, other)).count() as u64);
            }
            Criterion::SpreadAttribute(name) => keep_most(&mut left, |placed| {
                let value = |placed: &PlacedTask<'_>| {
                    placed.instance.and_then(|found| found.launch.attribute(name).map(str::to_owned))
                };
                all.iter().filter(|other| value(placed) == value(other)).count() as u64
            }),
        }
    }
    left
}

fn strategy() -> impl Strategy<Value = PlacementStrategy> {
    prop_oneof![
        Just(PlacementStrategy::Binpack(BinpackField::Cpu)),
        Just(PlacementStrategy::Binpack(BinpackField::Memory)),
        Just(PlacementStrategy::Spread(SpreadField::InstanceId)),
        Just(PlacementStrategy::Spread(SpreadField::Attribute(AVAILABILITY_ZONE.to_owned()))),
        Just(PlacementStrategy::Spread(SpreadField::Attribute("rack".to_owned()))),
        Just(PlacementStrategy::Random),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// ecs-semantics §4.2, §6.1: each task that goes is one that the model would let go, given those before it.
    #[test]
    fn gives_up_what_the_model_gives_up(
        sizes in prop::collection::vec((0u32..4, 0u32..4, any::<bool>()), 1..7),
        tasks in prop::collection::vec((0usize..7, 1u32..4, 0u8..6), 1..30),
        strategies in prop::collection::vec(strategy(), 0..4),
        has_providers in any::<bool>(),
        count in 1usize..20,
        seed in any::<u64>(),
    ) {
        let instances: Vec<ContainerInstance> = (0..)
            .zip(&sizes)
            .map(|(id, (cpu, memory, is_draining))| {
                let draining = *is_draining && id == 0;
                let status = if draining { ContainerInstanceStatus::Draining } else { ContainerInstanceStatus::Active };
                instance(id, cpu * 256, memory * 256, status)
            })
            .collect();
        let providers: Vec<CapacityProviderStrategyItem> = ["p", "q"]
            .map(|name| CapacityProviderStrategyItem { capacity_provider: name.into(), weight: 1, base: 1 })
            .into();
        let owned: Vec<Task> = (0..)
            .zip(&tasks)
            .map(|(id, (at, size, _))| {
                // With providers each has instances of its own.
                let provider = ["p", "q"][at % instances.len() % 2];
                task(id, has_providers.then_some(provider), size * 256)
            })
            .collect();
        let mut inputs = ScaleInInputs {
            candidates: Vec::new(),
            staying: Vec::new(),
            leaving: Vec::new(),
            providers: if has_providers { &providers } else { &[] },
            strategies: &strategies,
        };
        for (task, (at, _, role)) in owned.iter().zip(&tasks) {
            let placed = PlacedTask { task, instance: Some(&instances[at % instances.len()]) };
            match role {
                0 => inputs.staying.push(placed),
                1 => inputs.leaving.push(placed),
                _ => inputs.candidates.push(placed),
            }
        }
        let victims = choose_victims(&inputs, count, &mut RandomStream::new(seed, Stream::Placement));
        prop_assert_eq!(victims.len(), count.min(inputs.candidates.len()));
        let mut gone: Vec<PlacedTask<'_>> = Vec::new();
        for victim in victims {
            let expected = may_go(&inputs, &gone);
            let found = expected.iter().find(|placed| placed.task.id == victim);
            prop_assert!(found.is_some(), "{} goes, not one of {:?}", victim, expected);
            gone.push(*found.unwrap());
        }
    }
}

/// ecs-semantics §5.4, §6.1: on Fargate the provider with more than its share gives up a task, each of its own with the same chance.
#[test]
fn fargate_tasks_go_by_provider_and_chance() {
    let providers: Vec<CapacityProviderStrategyItem> = [("FARGATE", 2, 1), ("FARGATE_SPOT", 0, 3)]
        .map(|(name, base, weight)| CapacityProviderStrategyItem { capacity_provider: name.into(), weight, base })
        .into();
    let provider_of = |id: u64| if id < 4 { "FARGATE" } else { "FARGATE_SPOT" };
    let tasks: Vec<Task> = (0..10).map(|id| task(id, Some(provider_of(id)), 256)).collect();
    let inputs = ScaleInInputs {
        candidates: tasks.iter().map(|task| PlacedTask { task, instance: None }).collect(),
        staying: Vec::new(),
        leaving: Vec::new(),
        providers: &providers,
        strategies: &[],
    };
    let mut rng = RandomStream::new(0, Stream::Placement);
    let mut firsts = BTreeMap::<TaskId, u32>::new();
    for _ in 0..6_000 {
        let victims = choose_victims(&inputs, 8, &mut rng);
        let spot = |task: &TaskId| provider_of(task.0) == "FARGATE_SPOT";
        let kinds: Vec<bool> = victims.iter().map(spot).collect();
        assert_eq!(kinds, [true, true, true, false, true, true, true, false]);
        *firsts.entry(victims[0]).or_default() += 1;
    }
    assert!(firsts.keys().map(|task| task.0).eq(4..10));
    assert!(firsts.values().all(|count| (850..1_150).contains(count)), "{firsts:?}");
}
