//! Tests of target tracking: each rule of ecs-semantics §7.2 by itself, then a load curve and random inputs.

use super::*;
use crate::model::alarm::AlarmState;
use crate::model::rng::{RandomStream, Stream};
use crate::model::scaling::{PredefinedMetric, StepAdjustment, TargetTracking};

const PERIOD: Duration = Duration::from_secs(60);

fn cpu_50() -> TargetTracking {
    TargetTracking::of(TrackedMetric::Predefined(PredefinedMetric::AverageCpuUtilization), 50_000)
}

fn memory_50() -> TargetTracking {
    TargetTracking::of(TrackedMetric::Predefined(PredefinedMetric::AverageMemoryUtilization), 50_000)
}

/// A scaler and a service whose counts the test sets.
struct Harness {
    settings: AutoScaling,
    scaler: ServiceScaler,
    now: Timestamp,
    desired: u32,
    running: u32,
    deployment: DeploymentProgress,
}

impl Harness {
    fn new(min_capacity: u32, max_capacity: u32, target_tracking: &[TargetTracking]) -> Harness {
        let target_tracking = target_tracking.to_vec();
        Harness::of(AutoScaling { min_capacity, max_capacity, target_tracking, ..AutoScaling::default() })
    }

    fn of(settings: AutoScaling) -> Harness {
        Harness {
            scaler: ServiceScaler::new("service/demo/web".into(), IdForm { seed: 0 }, &settings),
            settings,
            now: Timestamp::ZERO,
            desired: 2,
            running: 2,
            deployment: DeploymentProgress::Steady,
        }
    }

    fn with_tasks(mut self, count: u32) -> Harness {
        self.desired = count;
        self.running = count;
        self
    }

    /// One period; the desired count becomes what was decided, the running count is left to the test.
    fn period(&mut self, cpu: impl Into<Option<i64>>, memory: impl Into<Option<i64>>) -> Option<ScalingActivity> {
        self.period_with_calls(cpu.into(), memory.into(), &[])
    }

    fn period_with_calls(
        &mut self,
        cpu: Option<i64>,
        memory: Option<i64>,
        calls: &[StepCall],
    ) -> Option<ScalingActivity> {
        self.now = self.now + PERIOD;
        let reading = |policy: &TargetTracking| match policy.name() {
            "ECSServiceAverageCPUUtilization" => cpu,
            _ => memory,
        };
        let readings: Vec<Option<i64>> = self.settings.target_tracking.iter().map(reading).collect();
        let activity = self.scaler.on_period(ScalingInputs {
            now: self.now,
            ended: PeriodEnd::Metric,
            settings: &self.settings,
            readings: &readings,
            calls,
            desired_count: self.desired,
            running_count: self.running,
            deployment: self.deployment,
        });
        self.desired = activity.as_ref().map_or(self.desired, |activity| activity.desired_count);
        activity
    }

    fn cpu(&mut self, millipercent: i64) -> Option<u32> {
        self.period(millipercent, None).map(|activity| activity.desired_count)
    }

    #[track_caller]
    fn quiet(&mut self, periods: u32, cpu: i64) {
        for period in 1..=periods {
            assert_eq!(self.cpu(cpu), None, "period {period} of {periods}");
        }
    }

    fn alarms(&self) -> Vec<(AlarmState, AlarmState)> {
        self.scaler.alarms().map(|alarms| (alarms.high, alarms.low)).collect()
    }
}

/// ecs-semantics §7.2: the third period in a row above the target scales out, in proportion.
#[test]
fn scales_out_after_three_periods() {
    let mut service = Harness::new(1, 10, &[cpu_50()]);
    service.quiet(2, 100_000);
    let activity = service.period(100_000, None).unwrap();
    assert_eq!(
        activity,
        ScalingActivity {
            desired_count: 4,
            direction: ScalingDirection::Out,
            policy_name: "ECSServiceAverageCPUUtilization".to_owned(),
            description: "Setting desired count to 4.".to_owned(),
            cause: "monitor alarm TargetTracking-service/demo/web-AlarmHigh-14b043a9-f390-44e9-a589-e0572aeaa02d in state ALARM triggered policy \
                ECSServiceAverageCPUUtilization: 100% against a target of 50%"
                .to_owned(),
        }
    );
}

/// The target itself is no breach; a thousandth of a percent above it adds the smallest step.
#[test]
fn adds_at_least_one_task_above_the_target() {
    let mut service = Harness::new(1, 100, &[cpu_50()]).with_tasks(20);
    service.quiet(10, 50_000);
    service.quiet(2, 50_001);
    assert_eq!(service.cpu(50_001), Some(21));
}

/// Fractions are rounded up: 3 tasks at 80 % of a target of 50 % are 4.8.
#[test]
fn rounds_up_when_adding() {
    let mut service = Harness::new(1, 10, &[cpu_50()]).with_tasks(3);
    service.quiet(2, 80_000);
    assert_eq!(service.cpu(80_000), Some(5));
}

/// A period at the target breaks the row; so does one without data, which is INSUFFICIENT_DATA and no action.
#[test]
fn counts_periods_in_a_row() {
    let mut service = Harness::new(1, 10, &[cpu_50()]);
    assert_eq!(service.alarms(), [(AlarmState::InsufficientData, AlarmState::InsufficientData)]);
    service.quiet(2, 100_000);
    service.quiet(1, 50_000);
    service.quiet(2, 100_000);
    assert_eq!(service.alarms(), [(AlarmState::Ok, AlarmState::Ok)]);
    assert_eq!(service.period(None, None), None);
    assert_eq!(service.alarms(), [(AlarmState::InsufficientData, AlarmState::InsufficientData)]);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(4));
    assert_eq!(service.alarms(), [(AlarmState::Alarm, AlarmState::Ok)]);
}

/// ecs-semantics §7.2: the fifteenth period in a row below nine tenths of the target scales in, in proportion.
#[test]
fn scales_in_after_fifteen_periods() {
    let mut service = Harness::new(1, 10, &[cpu_50()]).with_tasks(10);
    service.quiet(30, 45_000);
    service.quiet(14, 20_000);
    let activity = service.period(20_000, None).unwrap();
    assert_eq!((activity.desired_count, activity.direction), (4, ScalingDirection::In));
    assert_eq!(
        activity.cause,
        "monitor alarm TargetTracking-service/demo/web-AlarmLow-cdc0fd90-3c8c-4ae5-b01c-dc4ccbb9a466 in state ALARM triggered policy \
         ECSServiceAverageCPUUtilization: 20% against a target of 50%"
    );
    assert_eq!(service.alarms(), [(AlarmState::Ok, AlarmState::Alarm)]);
}

/// One period that is not low begins the fifteen anew.
#[test]
fn scale_in_waits_for_fifteen_in_a_row() {
    let mut service = Harness::new(1, 10, &[cpu_50()]).with_tasks(10);
    service.quiet(14, 20_000);
    service.quiet(1, 46_000);
    service.quiet(14, 20_000);
    assert_eq!(service.cpu(20_000), Some(4));
}

/// ecs-semantics §7.2's sample: of 7 instances with target 50, one goes at 42.5 and none at 43, since 6/7 × 50 = 42.86.
#[test]
fn removes_only_what_keeps_the_rest_at_the_target() {
    let mut service = Harness::new(1, 10, &[cpu_50()]).with_tasks(7);
    service.quiet(30, 43_000);
    assert_eq!(service.alarms(), [(AlarmState::Ok, AlarmState::Alarm)]);
    assert_eq!(service.cpu(42_500), Some(6));

    // With two tasks the threshold is a half: one alone at 50 % is at the target.
    let mut service = Harness::new(1, 10, &[cpu_50()]).with_tasks(2);
    service.quiet(30, 25_001);
    assert_eq!(service.cpu(25_000), Some(1));
}

/// ecs-semantics §7.2: the basis is the running count, so that pending tasks are not asked for twice.
#[test]
fn does_not_compound_while_tasks_are_pending() {
    let mut service = Harness::new(1, 100, &[cpu_50()]).with_tasks(4);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(8));
    service.quiet(20, 100_000);
    assert_eq!((service.desired, service.running), (8, 4));
}

/// ecs-semantics §7.2: with no running task a datapoint waits for the next, and then adds one task.
#[test]
fn starts_from_zero_with_one_task() {
    let mut service = Harness::new(0, 10, &[cpu_50()]).with_tasks(1);
    service.quiet(2, 100_000);
    service = Harness { desired: 0, running: 0, ..service };
    service.quiet(1, 100_000);
    assert_eq!(service.cpu(100_000), Some(1));
}

/// ecs-semantics §7.2, §7.3: in the cooldown only a larger step is made, and what was added is part of it: after +2, a
/// step of +3 adds one more. Once the cooldown is over, the same step is made again.
#[test]
fn scale_out_cooldown_lets_larger_steps_through() {
    let mut service = Harness::new(1, 100, &[cpu_50()]);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(4));
    // Both tasks are still pending.
    assert_eq!(service.cpu(125_000), Some(5));
    // Running: +3 is no larger than the 3 that were added; +4 is, by one.
    service.running = 5;
    service.quiet(1, 80_000);
    assert_eq!(service.cpu(90_000), Some(6));
    service.running = 6;
    // The cooldown began with the last scale-out: four more periods in it, the fifth is after it.
    service.quiet(4, 80_000);
    assert_eq!(service.cpu(80_000), Some(10));
}

/// ecs-semantics §7.2: a cooldown of zero lets every step through.
#[test]
fn no_cooldown_lets_every_step_through() {
    let mut service = Harness::new(1, 100, &[TargetTracking { scale_out_cooldown: Duration::ZERO, ..cpu_50() }]);
    service.quiet(2, 100_000);
    for count in [4, 8, 16, 32] {
        assert_eq!(service.cpu(100_000), Some(count));
        service.running = count;
    }
}

/// ecs-semantics §7.2: the scale-in cooldown blocks a scale-in; a scale-out happens in it at once and ends it.
#[test]
fn scale_in_cooldown_blocks_and_is_aborted() {
    let long = TargetTracking { scale_in_cooldown: Duration::from_secs(3600), ..cpu_50() };
    let mut service = Harness::new(1, 100, &[long]).with_tasks(10);
    service.quiet(14, 20_000);
    assert_eq!(service.cpu(20_000), Some(4));
    service.running = 4;
    service.quiet(20, 20_000);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(8));
    service.running = 8;
    // 38 of the 60 minutes are over; without the scale-out this would be blocked.
    service.quiet(14, 20_000);
    assert_eq!(service.cpu(20_000), Some(4));

    let mut service = Harness::new(1, 100, &[cpu_50()]).with_tasks(10);
    service.quiet(14, 20_000);
    assert_eq!(service.cpu(20_000), Some(4));
    service.running = 4;
    service.quiet(4, 20_000);
    assert_eq!(service.cpu(20_000), Some(2));
}

/// What a scale-in took away is no part of the next step any more, though the scale-out's cooldown would still hold.
#[test]
fn scale_in_ends_the_scale_out_cooldown() {
    let long = TargetTracking { scale_out_cooldown: Duration::from_secs(36_000), ..cpu_50() };
    let mut service = Harness::new(1, 100, &[long]);
    service.quiet(2, 250_000);
    assert_eq!(service.cpu(250_000), Some(10));
    service.running = 10;
    service.quiet(14, 22_000);
    assert_eq!(service.cpu(22_000), Some(5));
    service.running = 5;
    service.quiet(2, 80_000);
    assert_eq!(service.cpu(80_000), Some(8));
}

/// ecs-semantics §7.1, §7.2: proposals are capped at the maximum and floored at the minimum.
#[test]
fn stays_within_the_bounds() {
    let mut service = Harness::new(3, 5, &[cpu_50()]).with_tasks(4);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(5));
    service.running = 5;
    service.quiet(20, 100_000);
    service.quiet(14, 1_000);
    assert_eq!(service.cpu(1_000), Some(3));
    service.running = 3;
    service.quiet(20, 1_000);
}

/// ecs-semantics §7.1: a count set by hand below the minimum goes to the minimum with the high alarm, one above the
/// maximum to the maximum with the low alarm; the opposite alarms change nothing.
#[test]
fn returns_to_the_bounds() {
    let mut service = Harness::new(5, 20, &[cpu_50()]).with_tasks(2);
    service.quiet(20, 10_000);
    service.quiet(2, 500_000);
    assert_eq!(service.cpu(500_000), Some(5));

    let mut service = Harness::new(5, 20, &[cpu_50()]).with_tasks(30);
    service.quiet(20, 100_000);
    service.quiet(14, 10_000);
    assert_eq!(service.cpu(10_000), Some(20));
}

/// *Ours:* the last task stays, even with a minimum of zero and no use at all.
#[test]
fn keeps_the_last_task() {
    let mut service = Harness::new(0, 10, &[cpu_50()]).with_tasks(3);
    service.quiet(14, 0);
    assert_eq!(service.cpu(0), Some(1));
    service.running = 1;
    service.quiet(30, 0);
}

/// ecs-semantics §7.2: out if any policy wants out, to the largest count, also against a policy that wants in.
#[test]
fn any_policy_scales_out() {
    let mut service = Harness::new(1, 100, &[cpu_50(), memory_50()]);
    for _ in 0..2 {
        assert_eq!(service.period(100_000, 150_000), None);
    }
    let activity = service.period(100_000, 150_000).unwrap();
    assert_eq!((activity.desired_count, &*activity.policy_name), (6, "ECSServiceAverageMemoryUtilization"));

    let mut service = Harness::new(1, 100, &[cpu_50(), memory_50()]).with_tasks(10);
    for period in 1..=14 {
        assert_eq!(service.period(if period > 12 { 60_000 } else { 50_000 }, 1_000), None);
    }
    // In the fifteenth period one wants out for the first time and the other wants in.
    let activity = service.period(60_000, 1_000).unwrap();
    assert_eq!((activity.desired_count, &*activity.policy_name), (12, "ECSServiceAverageCPUUtilization"));
    // The out of one that cannot be carried out still keeps the other from going in.
    for _ in 0..20 {
        assert_eq!(service.period(60_000, 1_000), None);
        service.desired = 100;
    }

    // Missing data of one does not keep the other from going out.
    let mut service = Harness::new(1, 100, &[cpu_50(), memory_50()]);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(4));
}

/// ecs-semantics §7.2: in only if all agree, to the largest count; missing data does not agree.
#[test]
fn all_policies_scale_in() {
    let mut service = Harness::new(1, 100, &[cpu_50(), memory_50()]).with_tasks(10);
    for _ in 0..20 {
        assert_eq!(service.period(10_000, 48_000), None);
    }
    for _ in 0..14 {
        assert_eq!(service.period(10_000, 30_000), None);
    }
    let activity = service.period(10_000, 30_000).unwrap();
    assert_eq!((activity.desired_count, &*activity.policy_name), (6, "ECSServiceAverageMemoryUtilization"));

    let mut service = Harness::new(1, 100, &[cpu_50(), memory_50()]).with_tasks(10);
    service.quiet(30, 10_000);
}

/// ecs-semantics §7.2: a policy with `disable_scale_in` has no vote; where it is the only one, nothing is scaled in.
#[test]
fn disabled_scale_in_has_no_vote() {
    let out_only = TargetTracking { scale_in: ScaleIn::Disabled, ..memory_50() };
    let mut service = Harness::new(1, 100, &[cpu_50(), out_only]).with_tasks(10);
    for _ in 0..14 {
        assert_eq!(service.period(20_000, 49_000), None);
    }
    assert_eq!(service.period(20_000, 49_000).unwrap().desired_count, 4);

    let out_only = TargetTracking { scale_in: ScaleIn::Disabled, ..cpu_50() };
    let mut service = Harness::new(1, 100, &[out_only]).with_tasks(10);
    service.quiet(30, 1_000);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(20));

    let mut service = Harness::new(1, 100, &[]).with_tasks(10);
    service.quiet(30, 1_000);
    service.quiet(30, 100_000);
}

/// ecs-semantics §7.2: a rolling deployment keeps a service from scaling in, and not from scaling out.
#[test]
fn deployments_block_scale_in_alone() {
    let mut service = Harness::new(1, 100, &[cpu_50()]).with_tasks(10);
    service.deployment = DeploymentProgress::InProgress;
    service.quiet(20, 20_000);
    service.deployment = DeploymentProgress::Steady;
    assert_eq!(service.cpu(20_000), Some(4));

    service = Harness::new(1, 100, &[cpu_50()]).with_tasks(2);
    service.deployment = DeploymentProgress::InProgress;
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(4));
}

/// A service under a load that rises and falls, by hand: tasks run one period after they are asked for, and a task can
/// use no more than all of its CPU. The load is what it would take of one task, in thousandths of a percent.
#[test]
fn follows_a_load_curve() {
    let settings = TargetTracking { scale_out_cooldown: 3 * PERIOD, scale_in_cooldown: 5 * PERIOD, ..cpu_50() };
    let mut service = Harness::new(1, 10, &[settings]);
    let mut activities = Vec::new();
    for period in 1..=70_u32 {
        let load = match period {
            1..=10 => 60_000,
            11..=30 => 400_000,
            31..=46 => 60_000,
            _ => 0,
        };
        let cpu = (load / i64::from(service.running)).min(100_000);
        let running_next = service.desired;
        if let Some(activity) = service.period(cpu, None) {
            activities.push((period, activity.desired_count));
        }
        service.running = if service.desired == running_next { running_next } else { service.desired };
    }
    assert_eq!(
        activities,
        [
            // The load rises in period 11; three periods at 100 % of two tasks.
            (13, 4),
            // Four are still at 100 %: +4 is larger than the +2 of the cooldown.
            (14, 6),
            // Six are at 66.7 %: +2 waits for the cooldown of three periods. Eight are at the target.
            (17, 8),
            // The load falls in period 31: fifteen periods at 7.5 %, then ceil(1.2).
            (45, 2),
            // It ends in period 47: the scale-in cooldown of five periods, and the last task stays.
            (50, 1),
        ]
    );
}

/// Whatever comes, an activity changes the count, stays within the bounds, keeps its direction, and takes nothing away
/// during a deployment.
#[test]
fn keeps_its_promises_under_random_inputs() {
    for seed in 0..40 {
        let mut random = RandomStream::new(seed, Stream::Faults);
        let mut draw = |bound: u64| u32::try_from(random.below(bound)).unwrap();
        let min = draw(5);
        let max = min + 1 + draw(20);
        let mut service = Harness::new(min, max, &[cpu_50(), memory_50()][..1 + draw(2) as usize]);
        let (mut outs, mut ins) = (0, 0);
        for _ in 0..60 {
            let level = i64::from(draw(120_000));
            for _ in 0..draw(30) {
                let before = service.desired;
                service.deployment =
                    if draw(8) == 0 { DeploymentProgress::InProgress } else { DeploymentProgress::Steady };
                let memory = (draw(20) > 0).then_some(level / 2);
                let Some(activity) = service.period(level, memory) else {
                    service.running = if draw(4) == 0 { draw(30) } else { service.desired };
                    continue;
                };
                assert!((min..=max).contains(&activity.desired_count), "seed {seed}: {activity:?}");
                match activity.direction {
                    ScalingDirection::Out => {
                        outs += 1;
                        assert!(activity.desired_count > before, "seed {seed}: {activity:?}");
                    }
                    ScalingDirection::In => {
                        ins += 1;
                        assert!(activity.desired_count < before, "seed {seed}: {activity:?}");
                        assert_eq!(service.deployment, DeploymentProgress::Steady, "seed {seed}: {activity:?}");
                    }
                }
            }
        }
        assert!(outs > 0 && ins > 0, "seed {seed} decided nothing");
    }
}

/// A step scaling policy that adds two from the threshold up, three from 10 above it, and removes one below it.
fn steps() -> AutoScaling {
    let step = |lower: Option<i64>, upper: Option<i64>, adjustment| StepAdjustment { lower, upper, adjustment };
    let steps = vec![step(None, Some(0), -1), step(Some(0), Some(10_000), 2), step(Some(10_000), None, 3)];
    let policy = StepScaling {
        policy_name: "by-queue".into(),
        alarm: "queue-long".into(),
        steps,
        cooldown: Duration::from_secs(300),
        ..StepScaling::default()
    };
    AutoScaling { min_capacity: 1, max_capacity: 20, step_scaling: vec![policy], ..AutoScaling::default() }
}

impl Harness {
    /// A period at whose end the alarm calls the policy: the threshold is 50.
    fn call(&mut self, value: i64) -> Option<u32> {
        let call = StepCall { policy_index: 0, value: value * 1000, threshold: 50_000 };
        self.period_with_calls(None, None, &[call]).map(|activity| activity.desired_count)
    }
}

/// ecs-semantics §7.3: in the cooldown a larger step goes through less what was added: first +2, then +3 adds one. After the
/// cooldown the same step is made again.
#[test]
fn steps_in_a_cooldown() {
    let mut service = Harness::of(steps());
    assert_eq!(service.call(55), Some(4));
    assert_eq!([service.call(55), service.call(60), service.call(60)], [None, Some(5), None]);
    service.running = 5;
    // The cooldown of five periods began anew with the last change, one period ago.
    service.quiet_calls(3, 55);
    assert_eq!(service.call(55), Some(7));
    let activity = Harness::of(steps()).period_with_calls(
        None,
        None,
        &[StepCall { policy_index: 0, value: 61_500, threshold: 50_000 }],
    );
    assert_eq!(
        activity.unwrap().cause,
        "monitor alarm queue-long in state ALARM triggered policy by-queue: 61.5 against a threshold of 50"
    );
}

/// ecs-semantics §7.3: a step below the threshold removes, once a cooldown; a scale-out in it happens at once.
#[test]
fn steps_scale_in() {
    let mut service = Harness::of(steps()).with_tasks(10);
    assert_eq!(service.call(49), Some(9));
    service.running = 9;
    assert_eq!([service.call(40), service.call(40)], [None, None]);
    assert_eq!(service.call(50), Some(11));
    service.running = 11;
    assert_eq!(service.call(40), Some(10));
    service.running = 10;
    service.deployment = DeploymentProgress::InProgress;
    assert_eq!((0..9).filter_map(|_| service.call(40)).count(), 0, "a deployment is under way");
    service.deployment = DeploymentProgress::Steady;
    assert_eq!(service.call(40), Some(9));
}

/// ecs-semantics §7.1: a suspended process does not take place, the other one does.
#[test]
fn suspended_processes_rest() {
    let mut service = Harness::of(steps()).with_tasks(10);
    service.settings.suspended_state.dynamic_scaling_out = true;
    assert_eq!(service.call(70), None);
    assert_eq!(service.call(40), Some(9));
    service.running = 9;
    service.settings.suspended_state = SuspendedState { dynamic_scaling_in: true, ..SuspendedState::default() };
    service.quiet_calls(9, 40);
    assert_eq!(service.call(70), Some(12));
}

impl Harness {
    #[track_caller]
    fn quiet_calls(&mut self, periods: u32, value: i64) {
        for period in 1..=periods {
            assert_eq!(self.call(value), None, "period {period} of {periods}");
        }
    }
}

/// *Ours:* an exact capacity is what it says, in a cooldown too, and within the bounds.
#[test]
fn exact_capacity_is_exact() {
    let mut settings = steps();
    settings.step_scaling[0].adjustment_type = crate::model::scaling::AdjustmentType::ExactCapacity;
    settings.step_scaling[0].steps = vec![
        StepAdjustment { lower: Some(0), upper: Some(10_000), adjustment: 6 },
        StepAdjustment { lower: Some(10_000), upper: None, adjustment: 50 },
    ];
    let mut service = Harness::of(settings);
    assert_eq!([service.call(50), service.call(55), service.call(60)], [Some(6), None, Some(20)]);
    service.running = 20;
    assert_eq!(service.call(50), Some(6));
}

/// ecs-semantics §7.2: of several policies of both kinds the largest count wins; a step policy that wants out keeps target tracking
/// from going in.
#[test]
fn policies_of_both_kinds() {
    let both = AutoScaling { target_tracking: vec![cpu_50()], ..steps() };
    let call = |value: i64| [StepCall { policy_index: 0, value: value * 1000, threshold: 50_000 }];
    let mut service = Harness::of(both.clone()).with_tasks(4);
    service.quiet(2, 100_000);
    let activity = service.period_with_calls(Some(100_000), None, &call(55)).unwrap();
    assert_eq!((activity.desired_count, &*activity.policy_name), (8, "ECSServiceAverageCPUUtilization"));

    let mut service = Harness::of(both).with_tasks(4);
    service.quiet(14, 10_000);
    let activity = service.period_with_calls(Some(10_000), None, &call(55)).unwrap();
    assert_eq!((activity.desired_count, &*activity.policy_name), (6, "by-queue"));
    // Both want in: the smaller reduction.
    service.running = 6;
    let activity = service.period_with_calls(Some(10_000), None, &call(40)).unwrap();
    assert_eq!((activity.desired_count, &*activity.policy_name), (5, "by-queue"));
}

/// ecs-semantics §7.2: a custom metric may bring a service to zero tasks and, two datapoints later, back.
#[test]
fn custom_metric_scales_to_zero() {
    let metric = crate::model::alarm::MetricId::new("Shop", "OrdersPerTask", &[]);
    let metric = TrackedMetric::Customized { metric, statistic: crate::model::alarm::Statistic::Average };
    let mut service = Harness::new(0, 10, &[TargetTracking::of(metric, 100_000)]);
    let mut period = |value: i64, running: u32| {
        service.running = running;
        service.period(None, value).map(|activity| activity.desired_count)
    };
    assert_eq!((0..15).filter_map(|_| period(0, 2)).collect::<Vec<_>>(), [0]);
    assert_eq!([period(500_000, 0), period(500_000, 0), period(500_000, 0)], [None, None, Some(1)]);
}

/// A policy that is put again as it was keeps what its alarms have counted; another target begins anew.
#[test]
fn changed_policies_begin_anew() {
    let mut service = Harness::new(1, 10, &[cpu_50()]);
    service.quiet(2, 100_000);
    service.settings.max_capacity = 3;
    service.scaler.take_over(&service.settings);
    assert_eq!(service.cpu(100_000), Some(3));
    service.settings.max_capacity = 10;
    service.settings.target_tracking[0].target_thousandths = 40_000;
    service.scaler.take_over(&service.settings);
    service.quiet(2, 100_000);
    assert_eq!(service.cpu(100_000), Some(5));
}
