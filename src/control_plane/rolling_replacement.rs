//! Rolling replacement: which instances of a group may go, and how many more than desired it may have meanwhile.
//!
//! The idea: instances that are to be replaced (*old* ones) go as fast as two bounds allow, a least number of ready instances
//! and a greatest number in all. Where neither bound leaves room, the one thing that decides is whether the upper one was
//! said: said, a further instance comes first; omitted, one goes and its replacement comes at the same time.
//!
//! An instance refresh, the greatest lifetime, health and balance between zones differ only in who is old.
//!
//! **Source:** ecs-semantics §9.1, §9.4.

use crate::model::ids::ContainerInstanceId;

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReplacementInputs<'a> {
    /// The group's desired capacity.
    pub desired: u32,
    /// The bounds.
    pub bounds: HealthyBounds,
    /// The group's instances that are coming up or in service.
    pub instances: &'a [Candidate],
    /// How many old ones may go until the next checkpoint; `None` is no limit.
    pub allowance: Option<u32>,
}

/// Percentages of the desired capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthyBounds {
    /// Instances that stay ready; 0 to 100.
    pub minimum_percent: u32,
    /// Instances in all; 100 to 200. `None` (omitted) is not the same as 100.
    pub maximum_percent: Option<u32>,
}

/// An instance of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its identity. The first in the order given goes first.
    pub id: ContainerInstanceId,
    /// Whether it is to be replaced.
    pub standing: Standing,
    /// Whether it counts toward the lower bound.
    pub readiness: Readiness,
}

/// Whether an instance is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Old,
    /// It stays.
    Staying,
}

/// Whether an instance counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// In service and warmed up.
    Ready,
    /// Coming up, warming up or unhealthy.
    NotReady,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplacementPlan {
    /// How many instances the group may have beyond its desired capacity.
    pub surge: u32,
    /// Which instances go at this moment.
    pub retire: Vec<ContainerInstanceId>,
}

/// Plans one step of a rolling replacement. **Source:** ecs-semantics §9.4.
pub fn plan(inputs: &ReplacementInputs<'_>) -> ReplacementPlan {
    let (down, up) = room(inputs.desired, inputs.bounds);
    let allowance = inputs.allowance.unwrap_or(u32::MAX);
    let is_old = |candidate: &&Candidate| candidate.standing == Standing::Old;
    let old = count(inputs.instances.iter().filter(is_old).count()).min(allowance);
    let mut retire = Vec::new();
    // What does not count yet takes nothing away when it goes.
    for candidate in inputs.instances.iter().filter(is_old) {
        if candidate.readiness == Readiness::NotReady && count(retire.len()) < old {
            retire.push(candidate.id);
        }
    }
    let lower = inputs.desired.saturating_sub(down);
    let ready = inputs.instances.iter().filter(|candidate| candidate.readiness == Readiness::Ready).count();
    let mut spare = count(ready).saturating_sub(lower);
    for candidate in inputs.instances.iter().filter(is_old) {
        if candidate.readiness == Readiness::Ready && count(retire.len()) < old && spare > 0 {
            retire.push(candidate.id);
            spare -= 1;
        }
    }
    // Whoever goes needs nobody launched for it beforehand any more.
    ReplacementPlan { surge: up.min(old - count(retire.len())), retire }
}

/// How many instances may be missing and how many may be too many.
fn room(desired: u32, bounds: HealthyBounds) -> (u32, u32) {
    let part = |percent: u32| u32::try_from(u64::from(desired) * u64::from(percent) / 100).unwrap_or(u32::MAX);
    let down = part(100 - bounds.minimum_percent.min(100));
    let up = bounds.maximum_percent.map(|maximum| part(maximum.max(100) - 100));
    match (down, up) {
        (0, None) => (1, 0),
        (0, Some(0)) => (0, 1),
        (down, up) => (down, up.unwrap_or(0)),
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `o` old and ready, `O` old and not ready, `n` a replacement that is ready, `N` one that is not.
    #[track_caller]
    fn check(desired: u32, minimum: u32, maximum: Option<u32>, instances: &str, surge: u32, retire: &[u64]) {
        let instances: Vec<Candidate> = instances
            .chars()
            .zip(1..)
            .map(|(letter, id)| Candidate {
                id: ContainerInstanceId(id),
                standing: if letter.eq_ignore_ascii_case(&'o') { Standing::Old } else { Standing::Staying },
                readiness: if letter.is_lowercase() { Readiness::Ready } else { Readiness::NotReady },
            })
            .collect();
        let bounds = HealthyBounds { minimum_percent: minimum, maximum_percent: maximum };
        let plan = plan(&ReplacementInputs { desired, bounds, instances: &instances, allowance: None });
        let retired: Vec<u64> = plan.retire.iter().map(|id| id.0).collect();
        assert_eq!((plan.surge, retired.as_slice()), (surge, retire));
    }

    /// ecs-semantics §9.4: a batch is what the lower bound leaves, rounded down, and one at least.
    #[test]
    fn batches_follow_the_lower_bound() {
        check(10, 90, None, "oooooooooo", 0, &[1]);
        check(10, 75, None, "oooooooooo", 0, &[1, 2]);
        check(10, 0, None, "oooooooooo", 0, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        check(4, 90, None, "oooo", 0, &[1]);
        check(4, 90, None, "oooN", 0, &[]);
        check(4, 90, None, "ooon", 0, &[1]);
        check(4, 100, None, "oooo", 0, &[1]);
    }

    /// ecs-semantics §9.4: omitted is not 100. Said, the further instance comes first.
    #[test]
    fn an_explicit_upper_bound_launches_first() {
        check(4, 100, Some(100), "oooo", 1, &[]);
        check(4, 100, Some(100), "ooooN", 1, &[]);
        check(4, 100, Some(100), "oooon", 1, &[1]);
        check(4, 90, Some(100), "oooo", 1, &[]);
        check(10, 90, Some(100), "oooooooooo", 0, &[1]);
        check(10, 100, Some(150), "oooooooooo", 5, &[]);
        check(10, 100, Some(150), "ooooooooonnnnn", 5, &[1, 2, 3, 4]);
        check(10, 90, Some(110), "oooooooooo", 1, &[1]);
    }

    /// What does not count yet goes at once, and nothing that is ready goes for it.
    #[test]
    fn what_is_not_ready_goes_at_once() {
        check(3, 100, Some(100), "oOo", 1, &[2]);
        check(3, 90, None, "oOo", 0, &[2]);
        check(0, 90, None, "", 0, &[]);
    }
}
