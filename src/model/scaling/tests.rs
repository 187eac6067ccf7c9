//! The rules of ecs-semantics §7.3 for the intervals of steps, each broken once.

use super::*;

fn step(lower: Option<i64>, upper: Option<i64>) -> StepAdjustment {
    StepAdjustment { lower, upper, adjustment: 1 }
}

fn policy(steps: Vec<StepAdjustment>) -> StepScaling {
    StepScaling { steps, ..StepScaling::default() }
}

#[track_caller]
fn check(steps: &[(Option<i64>, Option<i64>)], expected: &[(Option<usize>, StepProblem)]) {
    let steps = steps.iter().map(|(lower, upper)| step(*lower, *upper)).collect();
    assert_eq!(policy(steps).problems(), expected);
}

/// Steps of both sides in any order, with the bounds where they meet.
#[test]
fn accepts_what_covers_a_side() {
    check(&[(Some(0), Some(10)), (Some(10), None)], &[]);
    check(&[(Some(10), None), (Some(0), Some(10))], &[]);
    check(&[(None, Some(-10)), (Some(-10), Some(0)), (Some(0), Some(10)), (Some(10), None)], &[]);
    check(&[(None, Some(0))], &[]);
    check(&[(Some(0), None)], &[]);
    // The lowest bound is not negative and the highest not positive: nothing has to follow.
    check(&[(Some(5), None)], &[]);
}

#[test]
fn refuses_what_does_not() {
    check(&[], &[(None, StepProblem::NoSteps)]);
    check(&[(None, None)], &[(Some(0), StepProblem::NoBound)]);
    check(&[(Some(5), Some(5)), (Some(5), None)], &[(Some(0), StepProblem::Empty)]);
    check(&[(None, Some(0)), (None, Some(5))], &[(Some(1), StepProblem::TwoWithoutLower)]);
    check(&[(Some(0), None), (Some(5), None)], &[(Some(1), StepProblem::TwoWithoutUpper)]);
    check(&[(Some(0), Some(10)), (Some(9), None)], &[(Some(1), StepProblem::Overlap)]);
    check(&[(Some(0), Some(10)), (Some(11), None)], &[(Some(1), StepProblem::Gap)]);
    check(&[(Some(-10), Some(0))], &[(None, StepProblem::NoLowest)]);
    check(&[(Some(0), Some(10))], &[(None, StepProblem::NoHighest)]);
    check(&[(Some(-5), Some(5))], &[(None, StepProblem::NoLowest), (None, StepProblem::NoHighest)]);
}

/// What belongs to other adjustment types, and statistics that do not aggregate.
#[test]
fn refuses_what_does_not_go_together() {
    let mut exact = policy(vec![StepAdjustment { adjustment: -1, ..step(Some(0), None) }]);
    assert_eq!(exact.problems(), []);
    exact.adjustment_type = AdjustmentType::ExactCapacity;
    exact.min_adjustment_magnitude = Some(2);
    exact.metric_aggregation_type = Statistic::Sum;
    let broken: Vec<StepProblem> = exact.problems().into_iter().map(|(_, problem)| problem).collect();
    assert_eq!(broken, [StepProblem::MagnitudeWithoutPercent, StepProblem::Aggregation, StepProblem::NegativeCapacity]);
}

/// From the threshold up, the lower bound belongs to a step; below it, the upper.
#[test]
fn bounds_belong_to_one_step() {
    let above = step(Some(0), Some(10));
    assert_eq!([-1, 0, 9, 10].map(|offset| above.holds(offset)), [false, true, true, false]);
    let below = step(Some(-10), Some(0));
    assert_eq!([-11, -10, -9, -1].map(|offset| below.holds(offset)), [false, false, true, true]);
    assert_eq!([i64::MIN, -10, -9].map(|offset| step(None, Some(-10)).holds(offset)), [true, true, false]);
    assert!(step(Some(10), None).holds(i64::MAX));
}
