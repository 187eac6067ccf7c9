//! Which instances a group with more than it should have gives up, in order.
//!
//! Zones come first: the one with the most instances gives one up. Within it the group's policies narrow the choice, each to those
//! that it ranks first, and chance decides at last. Protected instances are never chosen; when there are too few others,
//! fewer go. **Source:** ecs-semantics §9.1, §9.3.

use std::collections::BTreeMap;

use crate::model::auto_scaling_group::{ScaleInProtection, TerminationPolicy};
use crate::model::ids::ContainerInstanceId;
use crate::model::rng::RandomStream;
use crate::model::units::{Duration, Timestamp};

/// An instance of the group that is coming up or in service.
#[derive(Clone, Copy, Debug)]
pub struct TerminationCandidate<'a> {
    /// Its identity.
    pub id: ContainerInstanceId,
    /// Its zone.
    pub availability_zone: &'a str,
    /// Whether it may be chosen.
    pub protection: ScaleInProtection,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// The version of the launch template that it comes from.
    pub launch_template_version: u32,
}

/// Chooses up to `surplus` instances. No policy is `Default`. Chance is asked only where the policies leave several.
///
/// **Source:** ecs-semantics §9.3.
pub fn choose_instances_to_terminate(
    candidates: &[TerminationCandidate<'_>],
    surplus: u32,
    policies: &[TerminationPolicy],
    now: Timestamp,
    rng: &mut RandomStream,
) -> Vec<ContainerInstanceId> {
    let policies = if policies.is_empty() { &[TerminationPolicy::Default] } else { policies };
    let ranks = |candidate: &TerminationCandidate<'_>| -> Vec<(u64, u64)> {
        policies.iter().map(|policy| rank(candidate, *policy, now)).collect()
    };
    let mut left: Vec<TerminationCandidate<'_>> = candidates.to_vec();
    let mut chosen = Vec::new();
    for _ in 0..surplus {
        let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for candidate in &left {
            let zone = counts.entry(candidate.availability_zone).or_default();
            zone.0 += 1;
            zone.1 += u32::from(candidate.protection == ScaleInProtection::Unprotected);
        }
        // `max_by_key` takes the last of equals; reversed, the first zone by name.
        let fullest = counts.iter().rev().filter(|(_, (_, free))| *free > 0).max_by_key(|(_, (all, _))| *all);
        let Some((&zone, _)) = fullest else { break };
        let mut first: Vec<&TerminationCandidate<'_>> = left
            .iter()
            .filter(|candidate| candidate.availability_zone == zone)
            .filter(|candidate| candidate.protection == ScaleInProtection::Unprotected)
            .collect();
        let Some(least) = first.iter().map(|candidate| ranks(candidate)).min() else { break };
        first.retain(|candidate| ranks(candidate) == least);
        let drawn = if first.len() == 1 { 0 } else { rng.below(first.len() as u64) };
        let id = first[usize::try_from(drawn).expect("a position in a list")].id;
        left.retain(|candidate| candidate.id != id);
        chosen.push(id);
    }
    chosen
}

/// The lowest goes first.
fn rank(candidate: &TerminationCandidate<'_>, policy: TerminationPolicy, now: Timestamp) -> (u64, u64) {
    const HOUR: Duration = Duration::from_secs(3600);
    let version = u64::from(candidate.launch_template_version);
    let to_next_hour = || {
        let into_hour = now.since(candidate.launched_at).as_nanos() % HOUR.as_nanos();
        u64::try_from(HOUR.as_nanos() - into_hour).unwrap_or(u64::MAX)
    };
    match policy {
        TerminationPolicy::Default => (version, to_next_hour()),
        TerminationPolicy::OldestInstance => (candidate.launched_at.0, 0),
        TerminationPolicy::NewestInstance => (u64::MAX - candidate.launched_at.0, 0),
        TerminationPolicy::OldestLaunchTemplate => (version, 0),
        TerminationPolicy::ClosestToNextInstanceHour => (to_next_hour(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::Stream;

    const HOUR: u64 = 3600;

    /// Instances 1 to 4: (zone, launched at, version), the third protected.
    #[track_caller]
    fn check(policies: &[TerminationPolicy], surplus: u32, expected: &[u64]) {
        let of = |id, availability_zone, seconds: u64, version, protection| TerminationCandidate {
            id: ContainerInstanceId(id),
            availability_zone,
            protection,
            launched_at: Timestamp(seconds * 1_000_000_000),
            launch_template_version: version,
        };
        let (free, held) = (ScaleInProtection::Unprotected, ScaleInProtection::Protected);
        let candidates = [
            of(1, "a", 0, 2, free),
            of(2, "a", 100, 1, free),
            of(3, "b", 0, 1, held),
            of(4, "a", 200, 2, free),
            of(5, "b", 50, 2, free),
        ];
        let now = Timestamp((HOUR + 150) * 1_000_000_000);
        let mut rng = RandomStream::new(1, Stream::Placement);
        let chosen = choose_instances_to_terminate(&candidates, surplus, policies, now, &mut rng);
        assert_eq!(chosen.iter().map(|id| id.0).collect::<Vec<_>>(), expected);
    }

    /// ecs-semantics §9.3: zones first, then each policy's own order.
    #[test]
    fn each_policy_has_its_order() {
        check(&[], 1, &[2]);
        check(&[TerminationPolicy::OldestInstance], 1, &[1]);
        check(&[TerminationPolicy::NewestInstance], 1, &[4]);
        check(&[TerminationPolicy::OldestLaunchTemplate], 1, &[2]);
        check(&[TerminationPolicy::OldestLaunchTemplate, TerminationPolicy::NewestInstance], 3, &[2, 4, 5]);
        check(&[TerminationPolicy::ClosestToNextInstanceHour], 1, &[4]);
    }

    /// ecs-semantics §9.3: protected instances stay, and fewer go.
    #[test]
    fn protected_instances_stay() {
        check(&[], 9, &[2, 4, 5, 1]);
    }
}
