//! Step scaling: how far a metric is from its alarm's threshold decides by how much a service grows or shrinks.
//!
//! **Source:** ecs-semantics §7.3.

use crate::model::scaling::{AdjustmentType, StepScaling};

/// The count that a step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjusted {
    /// Up or down from the running tasks.
    Relative(u32),
    /// By itself.
    Exact(u32),
}

/// What a policy asks for with so many running tasks and a metric that is so far above (or below) the threshold. `None` where no
/// step holds.
pub fn adjust(policy: &StepScaling, running_count: u32, offset: i64) -> Option<Adjusted> {
    let step = policy.steps.iter().find(|step| step.holds(offset))?;
    let changed = |change: i64| {
        let count = i64::from(running_count).saturating_add(change).max(0);
        Adjusted::Relative(u32::try_from(count).unwrap_or(u32::MAX))
    };
    Some(match policy.adjustment_type {
        AdjustmentType::ExactCapacity => Adjusted::Exact(u32::try_from(step.adjustment).unwrap_or(0)),
        AdjustmentType::ChangeInCapacity => changed(i64::from(step.adjustment)),
        AdjustmentType::PercentChangeInCapacity => {
            let magnitude = policy.min_adjustment_magnitude.unwrap_or(0);
            changed(percent_change(running_count, step.adjustment, magnitude))
        }
    })
}

/// So many percent of a count: above 1 rounded down, between 0 and 1 up to 1, and the same below zero; then at least the magnitude.
fn percent_change(count: u32, percent: i32, min_magnitude: u32) -> i64 {
    let hundredths = i64::from(count) * i64::from(percent);
    let rounded = match hundredths {
        1..=99 => 1,
        -99..=-1 => -1,
        // Division rounds toward zero.
        _ => hundredths / 100,
    };
    let at_least = i64::from(min_magnitude);
    match percent.signum() {
        1 => rounded.max(at_least),
        -1 => rounded.min(-at_least),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scaling::StepAdjustment;

    fn step(lower: Option<i64>, upper: Option<i64>, adjustment: i32) -> StepAdjustment {
        let thousandths = |bound: Option<i64>| bound.map(|bound| bound * 1000);
        StepAdjustment { lower: thousandths(lower), upper: thousandths(upper), adjustment }
    }

    fn policy(adjustment_type: AdjustmentType, steps: Vec<StepAdjustment>) -> StepScaling {
        let policy = StepScaling { adjustment_type, steps, ..StepScaling::default() };
        assert_eq!(policy.problems(), []);
        policy
    }

    /// ecs-semantics §7.3, the worked example: threshold 50, desired 10; 60 makes 11, 70 makes 14, 40 makes 13, 30 makes 10.
    #[test]
    fn worked_example() {
        let percent = AdjustmentType::PercentChangeInCapacity;
        let out = vec![step(Some(0), Some(10), 0), step(Some(10), Some(20), 10), step(Some(20), None, 30)];
        let inward = vec![step(Some(-10), Some(0), 0), step(Some(-20), Some(-10), -10), step(None, Some(-20), -30)];
        let (out, inward) = (policy(percent, out), policy(percent, inward));
        let mut count = 10;
        let mut counts = Vec::new();
        for (policy, metric) in [(&out, 60), (&out, 70), (&inward, 40), (&inward, 30)] {
            let Some(Adjusted::Relative(adjusted)) = adjust(policy, count, (metric - 50) * 1000) else { panic!() };
            count = adjusted;
            counts.push(count);
        }
        assert_eq!(counts, [11, 14, 13, 10]);
        // Within ten of the threshold nothing changes; on the other side of it no step holds.
        assert_eq!(adjust(&out, 10, 9_999), Some(Adjusted::Relative(10)));
        assert_eq!(adjust(&out, 10, -1), None);
        assert_eq!(adjust(&inward, 10, -10_000), Some(Adjusted::Relative(9)));
        assert_eq!(adjust(&inward, 10, -9_999), Some(Adjusted::Relative(10)));
    }

    /// ecs-semantics §7.3: percentages are rounded toward zero, but never to nothing; a magnitude is the least.
    #[test]
    fn percent_is_rounded() {
        let change = |count, percent| percent_change(count, percent, 0);
        assert_eq!([change(10, 8), change(10, 25), change(11, 30), change(10, 10)], [1, 2, 3, 1]);
        assert_eq!([change(10, -8), change(10, -25), change(20, -33), change(1_000, -1)], [-1, -2, -6, -10]);
        // 6.67 % less of a hundred.
        assert_eq!(percent_change(667, -1, 0), -6);
        assert_eq!([percent_change(10, 10, 4), percent_change(10, -10, 4), percent_change(10, 90, 4)], [4, -4, 9]);
        assert_eq!([change(10, 0), percent_change(10, 0, 4), change(0, 50), percent_change(0, 50, 2)], [0, 0, 0, 2]);
    }

    /// The other two types, and the floor at zero.
    #[test]
    fn adds_and_sets() {
        let change = policy(AdjustmentType::ChangeInCapacity, vec![step(None, Some(0), -3), step(Some(0), None, 2)]);
        assert_eq!(adjust(&change, 10, 0), Some(Adjusted::Relative(12)));
        assert_eq!(adjust(&change, 2, -1), Some(Adjusted::Relative(0)));
        let exact = policy(AdjustmentType::ExactCapacity, vec![step(Some(0), None, 7)]);
        assert_eq!(adjust(&exact, 10, 5), Some(Adjusted::Exact(7)));
    }
}
