//! Shares, quotas and debts of the schedule, driven by a made-up clock: one or more workers that take turns of a fixed
//! length.

use super::*;

const MS: u64 = 1_000_000;
const PERIOD: u64 = 100 * MS;
const TURN: u64 = 700_000;

/// Lets `workers` run everybody until `until`; `speed` is the work done in a nanosecond of a turn, in thousandths.
/// Returns the work of each container key.
fn spin(schedule: &mut Schedule, workers: usize, until: u64, speed: u64) -> Vec<u64> {
    spin_from(schedule, workers, 0, until, speed)
}

fn spin_from(schedule: &mut Schedule, workers: usize, from: u64, until: u64, speed: u64) -> Vec<u64> {
    let mut had = vec![0; 64];
    // A worker is (free at, container that it runs).
    let mut busy: Vec<(u64, Option<ContainerKey>)> = vec![(from, None); workers];
    loop {
        let index = (0..workers).min_by_key(|index| busy[*index].0).unwrap();
        let (now, running) = busy[index];
        if now >= until {
            for (_, running) in busy {
                if let Some(key) = running {
                    schedule.charge_and_requeue(key, 0, now);
                }
            }
            return had;
        }
        if let Some(key) = running {
            let work = TURN * speed / 1000;
            had[key.0] += work;
            schedule.charge_and_requeue(key, work, now);
        }
        busy[index] = match schedule.pick(now) {
            Pick::Run(key) => (now + TURN, Some(key)),
            Pick::Welcome(newcomer) => {
                let key = schedule.enter(newcomer);
                had.resize(had.len().max(key.0 + 1), 0);
                (now + TURN, Some(key))
            }
            Pick::WaitUntil(Some(moment)) => (moment.min(now + MS), None),
            Pick::WaitUntil(None) => (now + MS, None),
        };
    }
}

fn add(schedule: &mut Schedule, weight: u64, quota: Option<u64>) -> ContainerKey {
    let task = schedule.add_task(weight, quota);
    let key = schedule.add_container(task, 1);
    schedule.wake(key, 0);
    key
}

#[track_caller]
fn assert_near(what: u64, expected: u64, percent: u64) {
    let off = what.abs_diff(expected);
    assert!(off * 100 <= expected * percent, "{what} is not within {percent} % of {expected}");
}

/// Two weights on one worker share it in their ratio.
#[test]
fn shares_follow_weights() {
    let mut schedule = Schedule::new(PERIOD, Some(PERIOD));
    let (light, heavy) = (add(&mut schedule, 256, None), add(&mut schedule, 768, None));
    let had = spin(&mut schedule, 1, 10_000 * MS, 1000);
    assert_near(had[heavy.0], had[light.0] * 3, 1);
    assert_near(had[heavy.0] + had[light.0], 10_000 * MS, 1);
}

/// The weights hold also where the host could do ten times what the instance may.
#[test]
fn shares_follow_weights_below_the_host_speed() {
    let mut schedule = Schedule::new(PERIOD, Some(PERIOD));
    let (light, heavy) = (add(&mut schedule, 256, None), add(&mut schedule, 768, None));
    let had = spin(&mut schedule, 1, 10_000 * MS, 10_000);
    assert_near(had[heavy.0], 7_500 * MS, 1);
    assert_near(had[light.0], 2_500 * MS, 1);
}

/// A quota of a quarter is a quarter over time, alone and beside seven others, though turns overdraw it.
#[test]
fn quotas_are_exact_over_time() {
    for tasks in [1, 8] {
        let mut schedule = Schedule::new(PERIOD, None);
        let keys: Vec<_> = (0..tasks).map(|_| add(&mut schedule, 256, Some(PERIOD / 4))).collect();
        let had = spin(&mut schedule, 3, 10_000 * MS, 1000);
        for key in keys {
            assert_near(had[key.0], 2_500 * MS, 1);
        }
        assert_eq!(schedule.work().shortfall, 0);
    }
}

/// What the host cannot deliver is counted, and shared out evenly.
#[test]
fn a_host_that_is_too_small_says_so() {
    let mut schedule = Schedule::new(PERIOD, None);
    let keys: Vec<_> = (0..4).map(|_| add(&mut schedule, 512, Some(PERIOD / 2))).collect();
    let had = spin(&mut schedule, 1, 10_000 * MS, 1000);
    for key in &keys {
        assert_near(had[key.0], 2_500 * MS, 2);
    }
    let work = schedule.work();
    assert_near(work.delivered, 10_000 * MS, 1);
    assert_near(work.shortfall, 10_000 * MS, 5);
}

/// A container is one thread: alone it gets one vCPU of a task with two.
#[test]
fn a_container_has_at_most_one_vcpu() {
    let mut schedule = Schedule::new(PERIOD, None);
    let key = add(&mut schedule, 2048, Some(2 * PERIOD));
    let had = spin(&mut schedule, 2, 5_000 * MS, 4000);
    assert_near(had[key.0], 5_000 * MS, 1);
    assert_eq!(schedule.work().shortfall, 0, "the second vcpu was never wanted");
}

/// Containers share their task's quota by their own weights where they contend for it: on one worker.
#[test]
fn containers_share_a_task_by_weight() {
    let mut schedule = Schedule::new(PERIOD, None);
    let task = schedule.add_task(512, Some(PERIOD / 2));
    let (a, b) = (schedule.add_container(task, 100), schedule.add_container(task, 300));
    schedule.wake(a, 0);
    schedule.wake(b, 0);
    let had = spin(&mut schedule, 1, 10_000 * MS, 1000);
    assert_near(had[a.0] + had[b.0], 5_000 * MS, 1);
    assert_near(had[b.0], had[a.0] * 3, 3);
}

/// Whoever slept gets no more than its share afterwards, and no quota from the time before.
#[test]
fn sleep_is_not_saved_up() {
    let mut schedule = Schedule::new(PERIOD, None);
    let sleeper_task = schedule.add_task(1024, Some(PERIOD / 4));
    let sleeper = schedule.add_container(sleeper_task, 1);
    let other = add(&mut schedule, 1024, None);
    spin(&mut schedule, 1, 5_000 * MS, 1000);
    // The worker of `spin` may have left the other one in its last turn.
    if schedule.is_running(other) {
        schedule.charge_and_requeue(other, TURN, 5_000 * MS);
    }
    schedule.wake(sleeper, 5_000 * MS);
    let mut now = 5_000 * MS;
    let mut had = 0;
    while now < 5_100 * MS {
        if let Pick::Run(key) = schedule.pick(now) {
            now += TURN;
            had += if key == sleeper { TURN } else { 0 };
            schedule.charge_and_requeue(key, TURN, now);
        }
    }
    assert_near(had, 25 * MS, 5);
}

/// A removed task leaves nothing behind, wherever it was.
#[test]
fn removal_leaves_nothing() {
    let mut schedule = Schedule::new(PERIOD, Some(PERIOD));
    let queued = add(&mut schedule, 1, None);
    let throttled = add(&mut schedule, 1000, Some(1));
    let Pick::Run(first) = schedule.pick(0) else { panic!("somebody wants to run") };
    schedule.charge_and_requeue(first, 10 * MS, MS);
    let Pick::Run(second) = schedule.pick(MS) else { panic!("somebody wants to run") };
    schedule.charge_and_sleep(second, MS, 2 * MS);
    schedule.remove(queued);
    schedule.remove(throttled);
    assert!(schedule.is_empty());
    assert_eq!(schedule.pick(3 * MS), Pick::WaitUntil(None));
    assert_eq!(schedule.pick(300 * MS), Pick::WaitUntil(None));
}

/// A debt of many periods is paid off before the next turn.
#[test]
fn debts_are_carried() {
    let mut schedule = Schedule::new(PERIOD, None);
    let key = add(&mut schedule, 256, Some(PERIOD / 4));
    assert_eq!(schedule.pick(0), Pick::Run(key));
    schedule.charge_and_requeue(key, PERIOD, PERIOD / 2);
    for period in 1..=3 {
        assert!(matches!(schedule.pick(period * PERIOD), Pick::WaitUntil(Some(_))), "period {period}");
    }
    assert_eq!(schedule.pick(4 * PERIOD), Pick::Run(key));
}

/// Whoever has waited longest goes first among equals: short tasks that keep coming, in the places of those that have ended, starve
/// nobody.
#[test]
fn newcomers_do_not_overtake() {
    let mut schedule = Schedule::new(PERIOD, None);
    let mut waiting: std::collections::VecDeque<ContainerKey> = (0..8).map(|_| add(&mut schedule, 256, None)).collect();
    for now in 0..100 {
        let Pick::Run(key) = schedule.pick(now) else { panic!("somebody waits") };
        assert_eq!(Some(key), waiting.pop_front(), "turn {now}");
        schedule.charge_and_remove(key, 0, now);
        waiting.push_back(add(&mut schedule, 256, None));
    }
}

/// A pool whose capacity is cut does a fifth from then on, shared as before, and all of it when it is given back; what is held back is
/// no shortfall.
#[test]
fn the_capacity_can_be_another() {
    let mut schedule = Schedule::new(PERIOD, Some(PERIOD));
    let (light, heavy) = (add(&mut schedule, 256, None), add(&mut schedule, 768, None));
    let mut before = 0;
    for (quota, from, until, expected) in
        [(PERIOD, 0, 10_000, 10_000), (PERIOD / 5, 10_000, 20_000, 2_000), (PERIOD, 20_000, 30_000, 10_000)]
    {
        schedule.set_capacity(quota, from * MS);
        let had = spin_from(&mut schedule, 1, from * MS, until * MS, 1000);
        assert_near(had[heavy.0], had[light.0] * 3, 3);
        let delivered = schedule.work().delivered;
        assert_near(delivered - before, expected * MS, 2);
        before = delivered;
    }
    assert!(schedule.work().shortfall < PERIOD, "{:?}", schedule.work());
}

/// Tasks that enter after their first turn share by weight as if they had been there from the beginning.
#[test]
fn newcomers_share_by_weight_from_the_beginning() {
    let mut schedule = Schedule::new(PERIOD, Some(PERIOD));
    schedule.welcome(256, None, 1, 0);
    schedule.welcome(768, None, 1, 0);
    let had = spin(&mut schedule, 1, 10_000 * MS, 1000);
    assert_near(had[1], had[0] * 3, 1);
    assert_near(had[0] + had[1], 10_000 * MS, 1);
    assert_eq!(schedule.work().shortfall, 0);
}

/// A quota holds from the first turn on.
#[test]
fn newcomers_are_held_to_their_quota() {
    let mut schedule = Schedule::new(PERIOD, None);
    (0..8).for_each(|_| schedule.welcome(256, Some(PERIOD / 4), 1, 0));
    let had = spin(&mut schedule, 3, 10_000 * MS, 1000);
    had[..8].iter().for_each(|had| assert_near(*had, 2_500 * MS, 1));
    assert_eq!(schedule.work().shortfall, 0);
}

/// Who waits already is not overtaken by a newcomer, and who has had a turn has to wait for him.
#[test]
fn newcomers_come_in_their_turn() {
    let mut schedule = Schedule::new(PERIOD, None);
    let (first, second) = (add(&mut schedule, 1, None), add(&mut schedule, 1, None));
    schedule.welcome(1, None, 1, 0);
    assert!(schedule.has_queued());
    assert_eq!(schedule.pick(0), Pick::Run(first));
    schedule.charge_and_requeue(first, MS, MS);
    assert_eq!(schedule.pick(MS), Pick::Run(second));
    schedule.charge_and_requeue(second, MS, 2 * MS);
    let Pick::Welcome(newcomer) = schedule.pick(2 * MS) else { panic!("the newcomer has waited for it") };
    assert!(!schedule.is_empty());
    let entered = schedule.enter(newcomer);
    schedule.charge_and_requeue(entered, 2 * MS, 4 * MS);
    assert_eq!(schedule.pick(4 * MS), Pick::Run(first));
}

/// What ends in its first turn has worked at the expense of its instance, and leaves nothing behind.
#[test]
fn a_first_turn_is_charged_to_the_instance() {
    let mut schedule = Schedule::new(PERIOD, Some(PERIOD));
    for _ in 0..3 {
        schedule.welcome(1, None, 1, 0);
    }
    for _ in 0..2 {
        let Pick::Welcome(newcomer) = schedule.pick(0) else { panic!("there is room") };
        schedule.leave(newcomer, PERIOD / 2, MS);
    }
    assert_eq!(schedule.pick(MS), Pick::WaitUntil(Some(PERIOD)), "the instance has done what it may");
    assert!(!schedule.has_queued() && !schedule.is_empty());
    let Pick::Welcome(last) = schedule.pick(PERIOD) else { panic!("another period has begun") };
    assert!(!schedule.is_empty(), "it has its turn");
    schedule.leave(last, 0, PERIOD);
    assert!(schedule.is_empty());
    assert_eq!((schedule.pick(PERIOD), schedule.work().delivered), (Pick::WaitUntil(None), PERIOD));
}

/// A task that never has its first turn has not had what it was promised.
#[test]
fn a_newcomer_that_waits_is_owed_its_quota() {
    let mut schedule = Schedule::new(PERIOD, None);
    schedule.welcome(1, Some(PERIOD / 2), 1, 0);
    let waiting = add(&mut schedule, 1, None);
    let Pick::Welcome(_having_its_turn) = schedule.pick(0) else { panic!("it came first") };
    schedule.welcome(1, Some(PERIOD / 2), 1, 0);
    assert_eq!(schedule.pick(0), Pick::Run(waiting));
    for period in 1..=4 {
        schedule.begin_period(period * PERIOD);
    }
    // One period's quota can be caught up.
    assert_near(schedule.work().shortfall, 3 * PERIOD / 2, 1);
}
