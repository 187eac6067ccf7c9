//! Cases worked out by hand.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn place(slot: u32) -> Place {
    Place { slot, container: 0 }
}

fn claim(weight: u64) -> Option<Claim> {
    Some(Claim { weight, quota: None })
}

fn work(millis: u64) -> Computation {
    Computation { weight: 1, most: Rate::VCPU, work: VcpuNanos(millis * 1_000_000) }
}

/// Runs until all is done; returns who was done when, to the nearest microsecond.
fn run(processor: &mut Processor) -> Vec<(u64, u32)> {
    let mut done = Vec::new();
    while let Some(at) = processor.next() {
        if at.0 > 1_000 * SECOND {
            break;
        }
        processor.flow(at);
        let mut places = Vec::new();
        processor.finished(&mut places);
        for place in places {
            processor.end(place);
            done.push(((at.0 + 500) / 1000, place.slot));
        }
    }
    done.sort_unstable();
    done
}

/// Two equal tasks on one vCPU: each gets half until the shorter is done, and the longer all of it from then on.
#[test]
fn a_neighbour_that_goes_leaves_its_share() {
    let mut processor = Processor::new(Rate::VCPU, Timestamp::ZERO);
    processor.begin(place(1), claim(1), work(1000));
    processor.begin(place(2), claim(1), work(3000));
    assert_eq!(run(&mut processor), [(2_000_000, 1), (4_000_000, 2)]);
}

/// Weights 1 : 3 on one vCPU: 0.25 and 0.75.
#[test]
fn weights_are_shares() {
    let mut processor = Processor::new(Rate::VCPU, Timestamp::ZERO);
    processor.begin(place(1), claim(256), work(1000));
    processor.begin(place(2), claim(768), work(1500));
    assert_eq!(run(&mut processor), [(2_000_000, 2), (2_500_000, 1)]);
}

/// One that comes later slows the other down from then on.
#[test]
fn a_neighbour_that_comes_takes_its_share() {
    let mut processor = Processor::new(Rate::VCPU, Timestamp::ZERO);
    processor.begin(place(1), claim(1), work(1000));
    processor.next();
    processor.flow(Timestamp(SECOND / 2));
    processor.begin(place(2), claim(1), work(100));
    assert_eq!(run(&mut processor), [(700_000, 2), (1_100_000, 1)]);
}

/// A thread uses one vCPU however many there are, and the idle ones are nobody's loss.
#[test]
fn a_thread_is_one_vcpu() {
    let mut processor = Processor::new(Rate::of(CpuUnits(4096)), Timestamp::ZERO);
    processor.begin(place(1), claim(1), work(1000));
    processor.begin(place(2), claim(1000), work(2000));
    assert_eq!(run(&mut processor), [(1_000_000, 1), (2_000_000, 2)]);
}

/// Three tasks on two vCPUs, one of which wants a tenth of one: the others have 0.95 each.
#[test]
fn what_one_cannot_use_the_others_have() {
    let mut processor = Processor::new(Rate::of(CpuUnits(2048)), Timestamp::ZERO);
    let little = Computation { most: Rate(Rate::VCPU.0 / 10), ..work(100) };
    processor.begin(place(1), claim(1), little);
    processor.begin(place(2), claim(1), work(950));
    processor.begin(place(3), claim(1), work(1900));
    let done = run(&mut processor);
    assert_eq!(done, [(1_000_000, 1), (1_000_000, 2), (1_950_000, 3)]);
}

/// A quota of 0.25 vCPU: 25 ms at once, a quarter of the time from then on; what was not used comes back.
#[test]
fn a_quota_holds_over_time() {
    let quota = Quota::new(CpuUnits(256), Duration::from_millis(100), Timestamp::ZERO);
    let mut processor = Processor::new(Rate::of(CpuUnits(2048)), Timestamp::ZERO);
    processor.begin(place(1), Some(Claim { weight: 1, quota: Some(quota) }), work(1000));
    // 25 ms and what comes in meanwhile: used up after 33.3 ms; the other 966.7 ms take four times as long.
    assert_eq!(run(&mut processor), [(3_900_000, 1)]);
    let mut processor = Processor::new(Rate::of(CpuUnits(2048)), Timestamp::ZERO);
    processor.begin(place(1), Some(Claim { weight: 1, quota: Some(quota) }), work(20));
    assert_eq!(run(&mut processor), [(20_000, 1)]);
}

/// Two containers of a task share what it gets.
#[test]
fn containers_share_their_tasks_quota() {
    let spent = Quota { left: Flow(0), ..Quota::new(CpuUnits(512), Duration::from_millis(100), Timestamp::ZERO) };
    let mut processor = Processor::new(Rate::of(CpuUnits(4096)), Timestamp::ZERO);
    let claim = Claim { weight: 1, quota: Some(spent) };
    processor.begin(place(1), Some(claim), Computation { weight: 3, ..work(300) });
    processor.begin(Place { slot: 1, container: 1 }, None, work(300));
    assert_eq!(run(&mut processor), [(800_000, 1), (1_200_000, 1)]);
}

/// Work that never ends is no next moment.
#[test]
fn for_ever_has_no_end() {
    let mut processor = Processor::new(Rate::VCPU, Timestamp::ZERO);
    processor.begin(place(1), claim(1), Computation { work: VcpuNanos(u64::MAX), ..work(0) });
    assert_eq!(processor.next(), None);
    processor.flow(Timestamp(5 * SECOND));
    assert_eq!(processor.take_done(place(1)).vcpu(), VcpuNanos(5 * SECOND));
}
