//! Tests of managed scaling: each rule of ecs-semantics §6.3, §6.4, §9.1 and §9.3 by itself, then a group over time.

use super::*;
use crate::control_plane::termination_policy::{TerminationCandidate, choose_instances_to_terminate};
use crate::model::auto_scaling_group::ScaleInProtection;
use crate::model::rng::{RandomStream, Stream};
use crate::model::task_definition::{HostPort, Protocol};
use crate::model::units::{CpuUnits, Duration, MemoryMib};

const PERIOD: Duration = Duration::from_secs(60);

fn at(secs: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(secs)
}

/// 2 vCPU and 4 GiB, with the port of ssh taken.
fn fresh() -> InstanceResources {
    InstanceResources {
        cpu: CpuUnits(2048),
        memory: MemoryMib(4096),
        ports: [tcp(22)].into(),
        ..InstanceResources::default()
    }
}

fn tcp(port: u16) -> HostPort {
    HostPort { port, protocol: Protocol::Tcp }
}

fn reservation(cpu: u32, memory: u32) -> Reservation {
    Reservation { cpu: CpuUnits(cpu), memory: MemoryMib(memory), ..Reservation::default() }
}

fn group(reservation: &Reservation, count: u32) -> ProvisioningGroup<'_> {
    ProvisioningGroup { reservation, count, sharing: InstanceSharing::Shared }
}

/// An instance as the test tells it.
#[derive(Clone, Debug)]
struct Instance {
    id: u64,
    zone: &'static str,
    occupancy: Occupancy,
    launched_at: Timestamp,
    remaining: InstanceResources,
}

/// Instances in zone `a`, launched long ago, the busy ones full.
fn instances(busy: u64, empty: u64) -> Vec<Instance> {
    (0..busy + empty)
        .map(|id| {
            let (occupancy, remaining) =
                if id < busy { (Occupancy::Busy, InstanceResources::default()) } else { (Occupancy::Empty, fresh()) };
            Instance { id, zone: "a", occupancy, launched_at: Timestamp::ZERO, remaining }
        })
        .collect()
}

fn states(instances: &[Instance]) -> Vec<InstanceState<'_>> {
    instances
        .iter()
        .map(|instance| InstanceState {
            id: ContainerInstanceId(instance.id),
            availability_zone: instance.zone,
            occupancy: instance.occupancy,
            launched_at: instance.launched_at,
            remaining: &instance.remaining,
        })
        .collect()
}

fn scaling(target_capacity: u32) -> ManagedScaling {
    ManagedScaling { target_capacity, ..ManagedScaling::default() }
}

/// One period at 1,000 s of a group whose desired capacity is what it has.
fn decide(
    scaler: &mut ManagedScaler,
    instances: &[Instance],
    provisioning: &[ProvisioningGroup<'_>],
) -> ManagedScalingResult {
    scaler.on_period(ReservationInputs {
        now: at(1_000),
        instances: &states(instances),
        provisioning,
        fresh_instance: &fresh(),
        desired: u32::try_from(instances.len()).unwrap(),
    })
}

/// Checks M, the metric in thousandths of a percent and the desired capacity after a first period.
#[track_caller]
fn check(
    settings: ManagedScaling,
    instances: &[Instance],
    provisioning: &[ProvisioningGroup<'_>],
    needed: u32,
    reservation_millipercent: u64,
    desired: Option<u32>,
) {
    let result = decide(&mut ManagedScaler::new(settings, 0, 100), instances, provisioning);
    let present = u32::try_from(instances.len()).unwrap();
    assert_eq!(
        (result.needed, result.present, result.reservation_millipercent, result.desired),
        (needed, present, reservation_millipercent, desired),
        "{}",
        result.reason
    );
}

/// ecs-semantics §6.3: M = 0, N = 0 is 100 %; M > 0, N = 0 is 200 %, and the first step is two whatever the target and
/// the number of tasks.
#[test]
fn special_cases_of_zero_instances() {
    let task = reservation(1024, 512);
    check(scaling(100), &[], &[], 0, 100_000, None);
    check(scaling(50), &[], &[], 0, 100_000, None);
    check(scaling(100), &[], &[group(&task, 1)], 1, 200_000, Some(2));
    check(scaling(100), &[], &[group(&task, 40)], 20, 200_000, Some(2));
    check(scaling(50), &[], &[group(&task, 1)], 1, 200_000, Some(2));
    check(scaling(100), &instances(0, 2), &[], 0, 0, None);
}

/// ecs-semantics §6.3: without waiting tasks M is the number of instances with tasks, whole, however little is on them.
#[test]
fn counts_whole_instances() {
    check(scaling(100), &instances(3, 1), &[], 3, 75_000, None);
    check(scaling(100), &instances(1, 2), &[], 1, 33_333, None);
    check(scaling(100), &instances(4, 0), &[], 4, 100_000, None);
}

/// ecs-semantics §6.3: the workshop's datum, N = 2 and 4 needed is 200 %; the group goes to 4.
#[test]
fn waiting_tasks_need_more_instances() {
    let task = reservation(1024, 512);
    check(scaling(100), &instances(2, 0), &[group(&task, 4)], 4, 200_000, Some(4));
    check(scaling(100), &instances(2, 0), &[group(&task, 3)], 4, 200_000, Some(4));
    check(scaling(100), &instances(2, 0), &[group(&task, 0)], 2, 100_000, None);
}

/// ecs-semantics §6.3: the larger need of CPU and memory decides.
#[test]
fn packs_by_the_scarcer_resource() {
    let by_memory = reservation(128, 4096);
    check(scaling(100), &instances(1, 0), &[group(&by_memory, 5)], 6, 600_000, Some(6));
    let by_cpu = reservation(683, 1);
    check(scaling(100), &instances(1, 0), &[group(&by_cpu, 5)], 4, 400_000, Some(4));
    let of_memory_alone = reservation(0, 1024);
    check(scaling(100), &instances(1, 0), &[group(&of_memory_alone, 5)], 3, 300_000, Some(3));
    let of_nothing = reservation(0, 0);
    check(scaling(100), &instances(1, 0), &[group(&of_nothing, 1_000_000)], 1, 100_000, None);
}

/// ecs-semantics §6.3: what has room on instances that are there, or coming up, needs no others.
#[test]
fn uses_the_room_that_is_there() {
    let task = reservation(1024, 512);
    let mut present = instances(1, 1);
    present[0].remaining.cpu = CpuUnits(1024);
    present[0].remaining.memory = MemoryMib(512);
    // One on the busy one, two on the empty one, four on two more.
    check(scaling(100), &present, &[group(&task, 7)], 4, 200_000, Some(4));
    // One on the busy one alone: the empty one is not needed.
    check(scaling(100), &present, &[group(&task, 1)], 1, 50_000, None);
    check(scaling(100), &present, &[group(&task, 3)], 2, 100_000, None);
}

/// ecs-semantics §6.3: a group that fits no instance is left out; if all are, the metric stays at the target for ever.
#[test]
fn leaves_out_what_fits_no_instance() {
    let task = reservation(1024, 512);
    let too_large = reservation(2049, 512);
    let groups = [group(&too_large, 50), group(&task, 2)];
    check(scaling(100), &instances(2, 0), &groups, 3, 150_000, Some(3));
    check(scaling(80), &instances(1, 3), &groups[..1], 4, 80_000, None);
    check(scaling(100), &[], &groups[..1], 0, 100_000, None);
    // Nor does it shrink while they wait.
    let mut scaler = ManagedScaler::new(scaling(100), 0, 100);
    for _ in 0..30 {
        assert_eq!(decide(&mut scaler, &instances(1, 3), &groups[..1]).desired, None);
    }
    // A period with such tasks alone begins the fifteen periods of a scale-in anew.
    (0..14).for_each(|_| assert_eq!(decide(&mut scaler, &instances(1, 3), &[]).desired, None));
    assert_eq!(decide(&mut scaler, &instances(1, 3), &groups[..1]).desired, None);
    (0..14).for_each(|_| assert_eq!(decide(&mut scaler, &instances(1, 3), &[]).desired, None));
    assert_eq!(decide(&mut scaler, &instances(1, 3), &[]).desired, Some(3));
}

/// ecs-semantics §6.3: the need of several groups is that of the greatest.
#[test]
fn takes_the_greatest_group() {
    let (small, large) = (reservation(512, 256), reservation(2048, 1024));
    let groups = [group(&small, 8), group(&large, 3), group(&small, 4)];
    check(scaling(100), &instances(1, 0), &groups, 4, 400_000, Some(4));
}

/// ecs-semantics §6.2, §6.3: the step sizes bound what is added.
#[test]
fn steps_are_bounded() {
    let task = reservation(2048, 512);
    let steps = |minimum_scaling_step_size, maximum_scaling_step_size| ManagedScaling {
        minimum_scaling_step_size,
        maximum_scaling_step_size,
        ..ManagedScaling::default()
    };
    check(steps(3, 10), &instances(2, 0), &[group(&task, 1)], 5, 250_000, Some(5));
    check(steps(1, 2), &instances(2, 0), &[group(&task, 9)], 4, 200_000, Some(4));
    // Also where the target asks for more than M.
    check(ManagedScaling { target_capacity: 50, ..steps(1, 2) }, &instances(4, 0), &[], 4, 100_000, Some(6));
    // Not on the way down, and not where nothing more is needed.
    check(steps(3, 10), &instances(2, 1), &[group(&task, 1)], 3, 100_000, None);
}

/// Tasks with a host port take an instance each; a port that the type reserves fits none.
#[test]
fn a_host_port_is_taken_once() {
    let web = Reservation { ports: [tcp(80)].into(), ..reservation(128, 128) };
    check(scaling(100), &instances(1, 0), &[group(&web, 3)], 4, 400_000, Some(4));
    let mut present = instances(0, 2);
    present[0].remaining.ports.insert(tcp(80));
    check(scaling(100), &present, &[group(&web, 2)], 3, 150_000, Some(3));
    let ssh = Reservation { ports: [tcp(22)].into(), ..reservation(128, 128) };
    check(scaling(100), &instances(1, 0), &[group(&ssh, 3)], 1, 100_000, None);
}

/// ecs-semantics §6.3: `distinctInstance` is part of the estimate.
#[test]
fn distinct_instance_takes_one_each() {
    let task = reservation(128, 128);
    let taken = [ContainerInstanceId(0)].into();
    let distinct =
        ProvisioningGroup { reservation: &task, count: 3, sharing: InstanceSharing::Distinct { taken: &taken } };
    check(scaling(100), &instances(0, 2), &[distinct], 4, 200_000, Some(4));
    check(scaling(100), &instances(0, 2), &[group(&task, 3)], 1, 50_000, None);
}

/// ecs-semantics §6.3: with a target of 50 the group settles at twice the busy instances, with less than 100 above it.
#[test]
fn a_lower_target_keeps_empty_instances() {
    check(scaling(50), &instances(3, 0), &[], 3, 100_000, Some(6));
    check(scaling(50), &instances(3, 2), &[], 3, 60_000, Some(6));
    check(scaling(50), &instances(3, 3), &[], 3, 50_000, None);
    check(scaling(90), &instances(10, 0), &[], 10, 100_000, Some(12));
    // Twelve are below the target and eleven would be above it: that is where it stays.
    let mut scaler = ManagedScaler::new(scaling(90), 0, 100);
    for _ in 0..30 {
        assert_eq!(decide(&mut scaler, &instances(10, 2), &[]).desired, None);
    }
}

/// ecs-semantics §6.4: no scale-out while an instance is younger than the warm-up period.
#[test]
fn warm_up_blocks_scale_out() {
    let task = reservation(2048, 512);
    let mut present = instances(2, 0);
    present[1].launched_at = at(701);
    let mut scaler = ManagedScaler::new(scaling(100), 0, 100);
    let result = decide(&mut scaler, &present, &[group(&task, 1)]);
    assert_eq!(result.desired, None);
    assert_eq!(
        result.reason,
        "CapacityProviderReservation is 150% (3 needed, 2 present) against a target of 100%: \
         scale-out waits for 1 of the instances to warm up"
    );
    present[1].launched_at = at(700);
    let result = decide(&mut scaler, &present, &[group(&task, 1)]);
    assert_eq!(result.desired, Some(3));
    assert_eq!(
        result.reason,
        "CapacityProviderReservation is 150% (3 needed, 2 present) against a target of 100%: scale-out to 3"
    );
}

/// ecs-semantics §9.1: the group never grows beyond its maximum, and what it wants already is not asked for again.
#[test]
fn grows_to_the_maximum() {
    let task = reservation(2048, 512);
    let mut scaler = ManagedScaler::new(scaling(100), 0, 3);
    assert_eq!(decide(&mut scaler, &instances(2, 0), &[group(&task, 9)]).desired, Some(3));
    let result = decide(&mut scaler, &instances(3, 0), &[group(&task, 9)]);
    assert_eq!((result.desired, result.reservation_millipercent), (None, 400_000));
    assert!(result.reason.ends_with("the group is at its maximum of 3"), "{}", result.reason);
    let result = ManagedScaler::new(scaling(100), 0, 1).on_period(ReservationInputs {
        now: at(1_000),
        instances: &[],
        provisioning: &[group(&task, 9)],
        fresh_instance: &fresh(),
        desired: 0,
    });
    assert_eq!(result.desired, Some(1));
    let result = ManagedScaler::new(scaling(100), 0, 9).on_period(ReservationInputs {
        now: at(1_000),
        instances: &[],
        provisioning: &[group(&task, 9)],
        fresh_instance: &fresh(),
        desired: 2,
    });
    assert_eq!(result.desired, None);
}

/// ecs-semantics §6.4: fifteen periods below the target, then a part of the way each period, down to what is needed.
#[test]
fn scales_in_after_fifteen_periods_and_in_steps() {
    let mut scaler = ManagedScaler::new(scaling(100), 0, 100);
    let mut count = 10;
    let mut way = Vec::new();
    for period in 1..=25 {
        let result = decide(&mut scaler, &instances(1, count - 1), &[]);
        if let Some(desired) = result.desired {
            way.push((period, desired));
            count = u64::from(desired);
        }
    }
    assert_eq!(way, [(15, 6), (16, 4), (17, 3), (18, 2), (19, 1)]);
}

/// A group without any task goes to its minimum, zero included.
#[test]
fn scales_in_to_the_minimum() {
    let last = |min_size, count| {
        let mut scaler = ManagedScaler::new(scaling(100), min_size, 100);
        (0..14).for_each(|_| assert_eq!(decide(&mut scaler, &instances(0, count), &[]).desired, None));
        decide(&mut scaler, &instances(0, count), &[]).desired
    };
    assert_eq!(last(0, 1), Some(0));
    assert_eq!(last(1, 1), None);
    assert_eq!(last(3, 4), Some(3));
    assert_eq!(last(0, 5), Some(3));
}

/// ecs-semantics §6.4: a scale-out cancels the count of periods, and so there are fifteen between it and a scale-in.
#[test]
fn scale_out_restarts_the_count() {
    let task = reservation(2048, 512);
    let mut scaler = ManagedScaler::new(scaling(100), 0, 100);
    for _ in 0..14 {
        assert_eq!(decide(&mut scaler, &instances(2, 1), &[]).desired, None);
    }
    assert_eq!(decide(&mut scaler, &instances(3, 0), &[group(&task, 1)]).desired, Some(4));
    for period in 1..=14 {
        let result = decide(&mut scaler, &instances(2, 2), &[]);
        assert_eq!(result.desired, None);
        assert!(result.reason.ends_with(&format!("scale-in after 15 periods, this is number {period}")));
    }
    assert_eq!(decide(&mut scaler, &instances(2, 2), &[]).desired, Some(3));
}

/// A desired capacity that is lower already, because no instance was empty, is never raised by a scale-in.
#[test]
fn scale_in_never_raises() {
    let mut scaler = ManagedScaler::new(scaling(100), 0, 100);
    for _ in 0..20 {
        let present = instances(1, 9);
        let result = scaler.on_period(ReservationInputs {
            now: at(1_000),
            instances: &states(&present),
            provisioning: &[],
            fresh_instance: &fresh(),
            desired: 5,
        });
        assert_eq!(result.desired, None);
    }
}

fn terminated(instances: &[Instance], desired: u32) -> Vec<u64> {
    empty_ones_to_go(&states(instances), desired).into_iter().map(|id| id.0).collect()
}

/// ecs-semantics §6.4: only empty instances go, and fewer when there are too few.
#[test]
fn only_empty_instances_go() {
    // Of the two that are alike chance takes one.
    assert!([[3], [4]].map(Vec::from).contains(&terminated(&instances(3, 2), 4)));
    let mut both = terminated(&instances(3, 2), 1);
    both.sort_unstable();
    assert_eq!(both, [3, 4]);
    assert_eq!(terminated(&instances(3, 0), 1), Vec::<u64>::new());
    assert_eq!(terminated(&instances(1, 2), 3), Vec::<u64>::new());
    assert_eq!(terminated(&[], 0), Vec::<u64>::new());
}

/// ecs-semantics §9.1, §9.3: from the zone with the most instances, and of its empty ones the closest to its next hour: here the oldest.
#[test]
fn terminates_by_zone_and_age() {
    use Occupancy::{Busy, Empty};
    let instance = |id, zone, occupancy, launched_secs| Instance {
        id,
        zone,
        occupancy,
        launched_at: at(launched_secs),
        remaining: fresh(),
    };
    let present = [
        instance(0, "b", Empty, 50),
        instance(1, "a", Busy, 10),
        instance(2, "c", Busy, 0),
        instance(3, "c", Empty, 40),
        instance(4, "c", Empty, 30),
        instance(5, "c", Empty, 35),
        instance(6, "a", Empty, 20),
        instance(7, "d", Busy, 0),
        instance(8, "d", Busy, 0),
        instance(9, "d", Busy, 0),
        instance(10, "d", Busy, 0),
        instance(11, "d", Busy, 0),
    ];
    // `d` has the most and nothing to give; then `c` until it has as many as `a`, `a` before `c` by name, and so on.
    assert_eq!(terminated(&present, 0), [4, 5, 6, 3, 0]);
    assert_eq!(terminated(&present, 9), [4, 5, 6]);
}

/// ecs-semantics §9.1: each launch goes to the zone with the fewest instances; a lost instance is replaced where it is
/// missing.
#[test]
fn launches_balance_the_zones() {
    let zones: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
    let wants = |desired, present: &[Instance]| -> String {
        asg_wants(desired, &states(present), &zones).iter().map(|zone| &**zone).collect()
    };
    assert_eq!(wants(5, &[]), "abcab");
    let mut present = instances(3, 0);
    assert_eq!(wants(6, &present), "bcb");
    assert_eq!(wants(3, &present), "");
    assert_eq!(wants(0, &present), "");
    present[1].zone = "b";
    present[2].zone = "c";
    present.remove(1);
    assert_eq!(wants(3, &present), "b");
    assert_eq!(asg_wants(3, &[], &[]), Vec::<Arc<str>>::new());
}

/// A group over time: from zero by two, warm-up, the rest, and back to zero when the tasks are over.
#[test]
fn follows_a_batch_of_tasks() {
    // Each task takes an instance; instances boot in less than a period; the tasks are over at minute 20.
    let task = reservation(2048, 512);
    let mut scaler = ManagedScaler::new(scaling(100), 0, 10);
    let zones: [Arc<str>; 2] = ["a".into(), "b".into()];
    let mut present: Vec<Instance> = Vec::new();
    let mut desired = 0;
    let mut next_id = 0;
    let mut changes = Vec::new();
    for minute in 1..=60_u64 {
        let now = Timestamp::ZERO + PERIOD * u32::try_from(minute).unwrap();
        let tasks = if minute < 20 { 5 } else { 0 };
        for (index, instance) in present.iter_mut().enumerate() {
            (instance.occupancy, instance.remaining) = if index < tasks {
                (Occupancy::Busy, InstanceResources::default())
            } else {
                (Occupancy::Empty, fresh())
            };
        }
        let waiting = u32::try_from(tasks.saturating_sub(present.len())).unwrap();
        let result = scaler.on_period(ReservationInputs {
            now,
            instances: &states(&present),
            provisioning: &[group(&task, waiting)],
            fresh_instance: &fresh(),
            desired,
        });
        if let Some(changed) = result.desired {
            changes.push((minute, changed));
            desired = changed;
        }
        let gone = empty_ones_to_go(&states(&present), desired);
        present.retain(|instance| !gone.contains(&ContainerInstanceId(instance.id)));
        for zone in asg_wants(desired, &states(&present), &zones) {
            let zone = if &*zone == "a" { "a" } else { "b" };
            present.push(Instance {
                id: next_id,
                zone,
                occupancy: Occupancy::Empty,
                launched_at: now,
                remaining: fresh(),
            });
            next_id += 1;
        }
        assert_eq!(present.len(), desired as usize);
    }
    assert_eq!(changes, [(1, 2), (6, 5), (34, 3), (35, 2), (36, 1), (37, 0)]);
}

/// Under managed termination protection only what is empty may go.
fn empty_ones_to_go(instances: &[InstanceState<'_>], desired: u32) -> Vec<ContainerInstanceId> {
    let candidates: Vec<TerminationCandidate<'_>> = instances
        .iter()
        .map(|instance| TerminationCandidate {
            id: instance.id,
            availability_zone: instance.availability_zone,
            protection: match instance.occupancy {
                Occupancy::Empty => ScaleInProtection::Unprotected,
                Occupancy::Busy => ScaleInProtection::Protected,
            },
            launched_at: instance.launched_at,
            launch_template_version: 1,
        })
        .collect();
    let surplus = count_u32(instances.len()).saturating_sub(desired);
    let mut rng = RandomStream::new(1, Stream::Placement);
    choose_instances_to_terminate(&candidates, surplus, &[], at(3_600), &mut rng)
}
