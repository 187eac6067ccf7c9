//! Capacity provider strategies: which provider gets the next task, and which gives one up.
//!
//! Bases are filled first, then tasks go out in the ratio of the weights. There is no spill-over: a provider without
//! capacity leaves its part pending. **Source:** ecs-semantics §6.1.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::model::capacity::CapacityProviderStrategyItem;

/// The provider of the next task, given how many tasks each has.
///
/// A base that is not full comes first, in the order of the list. Then it is the provider with a weight for which
/// `(count − base) / weight` is least, ties by the order of the list. A list without any weight gives everything to
/// its first provider.
///
/// **Source:** ecs-semantics §6.1. *Ours:* the base of a provider without weight is honoured, and a list without
/// weights is taken by its word that there is a provider (ECS wants a weight only of lists of two or more).
///
/// # Panics
/// When the strategy is empty.
pub fn next_provider<'a>(strategy: &'a [CapacityProviderStrategyItem], count_of: impl Fn(&str) -> u32) -> &'a Arc<str> {
    assert!(!strategy.is_empty(), "a strategy names a provider");
    if let Some(item) = strategy.iter().find(|item| count_of(&item.capacity_provider) < item.base) {
        return &item.capacity_provider;
    }
    let share = |item: &CapacityProviderStrategyItem| Share {
        count: count_of(&item.capacity_provider) - item.base,
        weight: item.weight,
    };
    let weighted = strategy.iter().filter(|item| item.weight > 0);
    // The first of equals, as `min_by` has it.
    let next = weighted.min_by(|a, b| share(a).compare(share(b)));
    &next.unwrap_or(&strategy[0]).capacity_provider
}

/// The provider that gives up a task, given how many tasks each has: [`next_provider`] backwards, so that scaling in
/// from any count leaves what scaling out to the smaller count would have made.
///
/// Tasks beyond the base go before those of the base, and tasks that the strategy would never have placed go first of
/// all. `None` when no provider of the strategy has a task.
///
/// **Source:** ecs-semantics §6.1 for the shares. *Ours:* that scale-in keeps them.
pub fn provider_to_scale_in<'a>(
    strategy: &'a [CapacityProviderStrategyItem],
    count_of: impl Fn(&str) -> u32,
) -> Option<&'a Arc<str>> {
    // The task that goes is the one that was placed last, when there was one task less beyond the base.
    let last = |item: &CapacityProviderStrategyItem| Share {
        count: (count_of(&item.capacity_provider) - item.base).saturating_sub(1),
        weight: item.weight,
    };
    let beyond = strategy.iter().filter(|item| count_of(&item.capacity_provider) > item.base);
    // The last of equals, as `max_by` has it.
    let beyond = beyond.max_by(|a, b| last(a).compare(last(b)));
    let any = || strategy.iter().rfind(|item| count_of(&item.capacity_provider) > 0);
    beyond.or_else(any).map(|item| &item.capacity_provider)
}

/// How many tasks there are for the weight that there is.
#[derive(Clone, Copy)]
struct Share {
    count: u32,
    weight: u32,
}

impl Share {
    /// By `count / weight`, where no weight makes any count too much.
    fn compare(self, other: Share) -> Ordering {
        match (self.weight, other.weight) {
            (0, 0) => self.count.cmp(&other.count),
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            (weight, other_weight) => {
                (u64::from(self.count) * u64::from(other_weight)).cmp(&(u64::from(other.count) * u64::from(weight)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn item(name: &str, weight: u32, base: u32) -> CapacityProviderStrategyItem {
        CapacityProviderStrategyItem { capacity_provider: Arc::from(name), weight, base }
    }

    /// Places tasks one after another and returns the counts in the order of the list.
    fn place(strategy: &[CapacityProviderStrategyItem], count: u32) -> Vec<u32> {
        let mut counts: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for _ in 0..count {
            let provider = next_provider(strategy, |name| counts.get(name).copied().unwrap_or(0));
            *counts.entry(Arc::clone(provider)).or_default() += 1;
        }
        strategy.iter().map(|item| counts.get(&item.capacity_provider).copied().unwrap_or(0)).collect()
    }

    /// The example of ecs-semantics §6.1: base 2 and weights 1:3.
    #[test]
    fn base_comes_first_and_weights_share_the_rest() {
        let strategy = [item("on-demand", 1, 2), item("spot", 3, 0)];
        assert_eq!(place(&strategy, 2), [2, 0]);
        assert_eq!(place(&strategy, 10), [4, 6]);
        assert_eq!(place(&strategy, 22), [7, 15]);
    }

    /// A provider without weight gets its base and no more.
    #[test]
    fn weight_zero_gets_its_base_only() {
        assert_eq!(place(&[item("a", 0, 3), item("b", 1, 0)], 10), [3, 7]);
    }

    /// ECS' default weight is zero, which a list of one may keep.
    #[test]
    fn single_provider_needs_no_weight() {
        assert_eq!(place(&[item("a", 0, 0)], 4), [4]);
    }

    /// Tasks that are where the strategy puts none leave before any other.
    #[test]
    fn tasks_without_weight_leave_first() {
        let strategy = [item("a", 1, 0), item("b", 0, 1)];
        let counts = |name: &str| if name == "a" { 9 } else { 2 };
        assert_eq!(provider_to_scale_in(&strategy, counts).map(|name| &**name), Some("b"));
        assert_eq!(provider_to_scale_in(&strategy, |_| 0), None);
    }

    proptest! {
        /// Scale-in undoes scale-out: one task less is what one placement less would have made.
        #[test]
        fn scale_in_undoes_scale_out(
            weights in prop::collection::vec(1u32..6, 1..5),
            base in 0u32..4,
            count in 1u32..60,
        ) {
            let mut strategy: Vec<_> =
                weights.iter().enumerate().map(|(index, weight)| item(&format!("p{index}"), *weight, 0)).collect();
            strategy[0].base = base;
            let counts = place(&strategy, count);
            let by_name: BTreeMap<&str, u32> =
                strategy.iter().map(|item| &*item.capacity_provider).zip(counts.iter().copied()).collect();
            let leaving = provider_to_scale_in(&strategy, |name| by_name[name]).expect("there are tasks");
            let after: Vec<u32> = strategy
                .iter()
                .map(|item| by_name[&*item.capacity_provider] - u32::from(item.capacity_provider == *leaving))
                .collect();
            prop_assert_eq!(after, place(&strategy, count - 1));
        }
    }
}
