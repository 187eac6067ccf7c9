//! Which instances a group with more than it should have gives up, in order.
//!
//! Zones come first: the one with the most instances gives one up. Within it the group's policies narrow the choice, each to those
//! that it ranks first, and the lowest id decides at last. Protected instances are never chosen; when there are too few others,
//! fewer go. **Source:** ecs-semantics §9.1, §9.3.

use std::collections::BTreeMap;

use crate::model::auto_scaling_group::{ScaleInProtection, TerminationPolicy};
use crate::model::ids::ContainerInstanceId;
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

/// Chooses up to `surplus` instances. No policy is `Default`. **Source:** ecs-semantics §9.3.
pub fn choose_instances_to_terminate(
    candidates: &[TerminationCandidate<'_>],
    surplus: u32,
    policies: &[TerminationPolicy],
    now: Timestamp,
) -> Vec<ContainerInstanceId> {
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
        let policies = if policies.is_empty() { &[TerminationPolicy::Default] } else { policies };
        let ranks = |candidate: &TerminationCandidate<'_>| {
            let by_policy: Vec<(u64, u64)> = policies.iter().map(|policy| rank(candidate, *policy, now)).collect();
            (by_policy, candidate.id)
        };
        let first = left
            .iter()
            .filter(|candidate| candidate.availability_zone == zone)
            .filter(|candidate| candidate.protection == ScaleInProtection::Unprotected)
            .min_by_key(|candidate| ranks(candidate))
            .map(|candidate| candidate.id);
        let Some(id) = first else { break };
        left.retain(|candidate| candidate.id != id);
        chosen.push(id);
    }
    chosen
}

/// The lowest goes first.
///
/// *Ours:* `Default` goes on with the oldest where ECS takes the closest billing hour, which billing by the second leaves without
/// meaning, and then chance.
fn rank(candidate: &TerminationCandidate<'_>, policy: TerminationPolicy, now: Timestamp) -> (u64, u64) {
    const HOUR: Duration = Duration::from_secs(3600);
    let version = u64::from(candidate.launch_template_version);
    match policy {
        TerminationPolicy::Default => (version, candidate.launched_at.0),
        TerminationPolicy::OldestInstance => (candidate.launched_at.0, 0),
        TerminationPolicy::NewestInstance => (u64::MAX - candidate.launched_at.0, 0),
        TerminationPolicy::OldestLaunchTemplate => (version, 0),
        TerminationPolicy::ClosestToNextInstanceHour => {
            let into_hour = now.since(candidate.launched_at).as_nanos() % HOUR.as_nanos();
            (u64::try_from(HOUR.as_nanos() - into_hour).unwrap_or(u64::MAX), 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let chosen = choose_instances_to_terminate(&candidates, surplus, policies, now);
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
        check(&[], 9, &[2, 1, 5, 4]);
    }
}
