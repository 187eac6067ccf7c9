//! Who has which part of each line: by group and by whose idle capacity it is, and then, where it is asked for, by slot.
//!
//! A line is divided among the groups first, as it is where no slots are told apart; each group's part is divided among its slots after
//! that. So every breakdown by somebody is the same with slots and without, and the breakdown by slots sums to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Billing, CostSum, IdleKey, apportion, priced};
use crate::metering::bill::{Bill, BillLine};
use crate::metering::ledger::{Ledger, Slot, Whom};
use crate::metering::price::PriceBook;
use crate::metering::quantity::multiply_divide_half_up;
use crate::model::units::Timestamp;
use crate::model::usage::TaskIdentity;

/// The parts that quantities are divided into: 10^-12 of a unit, so that no rate makes a nano-dollar of one.
pub(in crate::metering) const PARTS_PER_UNIT: u128 = 1_000_000_000_000;

/// Part of a line.
#[derive(Clone, Debug)]
pub(in crate::metering) struct Share {
    /// The line, by its place in the bill.
    pub line: usize,
    pub owner: Owner,
    pub weight: u128,
    pub nano_usd: u128,
}

/// Whose part it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::metering) enum Owner {
    /// A group's, by its place among the groups in their order.
    Group(usize),
    /// Nobody's.
    Idle(IdleKey),
}

/// A part of a line that is in one slot.
#[derive(Clone, Debug)]
pub(in crate::metering) struct SlotShare {
    pub line: usize,
    pub slot: Slot,
    /// Of the group's tasks; `None` for idle capacity.
    pub identity: Option<Arc<TaskIdentity>>,
    /// Whose idle capacity it is.
    pub capacity_provider: Option<Arc<str>>,
    /// In [`PARTS_PER_UNIT`].
    pub quantity: u128,
    pub nano_usd: u128,
}

impl Billing<'_> {
    /// Divides what the last line costs among the groups, and what is nobody's among its keys.
    pub(super) fn share_out(&mut self, amount: u128, group_weights: &[u128], idle_weights: &[(IdleKey, u128)]) {
        let line = self.lines.len() - 1;
        let idle = idle_weights.iter().map(|(_, weight)| *weight);
        let weights: Vec<u128> = group_weights.iter().copied().chain(idle).collect();
        let parts = apportion(amount, &weights);
        let (group_parts, idle_parts) = parts.split_at(group_weights.len());
        for (index, (part, weight)) in group_parts.iter().zip(group_weights).enumerate() {
            self.costs[index].nano_usd += part;
            if *weight > 0 {
                self.shares.push(Share { line, owner: Owner::Group(index), weight: *weight, nano_usd: *part });
            }
        }
        for (part, (key, weight)) in idle_parts.iter().zip(idle_weights) {
            self.idle.entry(key.clone()).or_default().nano_usd += part;
            if *weight > 0 {
                self.shares.push(Share { line, owner: Owner::Idle(key.clone()), weight: *weight, nano_usd: *part });
            }
        }
    }
}

/// A bill, and its lines and costs by slot.
#[derive(Debug)]
pub(in crate::metering) struct SlottedBill {
    pub bill: Bill,
    /// By line, then by owner and slot.
    pub shares: Vec<SlotShare>,
    /// What was used and reserved in each slot, and what it costs.
    pub costs: BTreeMap<Slot, CostSum>,
}

/// Prices what is over: `whole` has no slots, and `slotted` is the same with them.
pub(in crate::metering) fn compute_by_slot(whole: &Ledger, slotted: &Ledger, book: &PriceBook) -> SlottedBill {
    let (coarse, fine) = (priced(whole, book, Timestamp::ZERO), priced(slotted, book, Timestamp::ZERO));
    debug_assert_eq!(coarse.lines, fine.lines, "what is told apart sums to the whole");
    let mut costs: BTreeMap<Slot, CostSum> = BTreeMap::new();
    for ((_, group), cost) in fine.groups.iter().zip(&fine.costs) {
        costs.entry(group.slot).or_default().add(&CostSum { nano_usd: 0, ..*cost });
    }
    for ((_, slot), cost) in &fine.idle {
        costs.entry(*slot).or_default().add(&CostSum { nano_usd: 0, ..*cost });
    }
    let shares = refined(&coarse, &fine);
    for share in &shares {
        costs.entry(share.slot).or_default().nano_usd += share.nano_usd;
    }
    SlottedBill { bill: coarse.finish(Timestamp::ZERO, 0), shares, costs }
}

/// Divides each part of a line among the slots of its owner.
fn refined(coarse: &Billing<'_>, fine: &Billing<'_>) -> Vec<SlotShare> {
    // The owners of the parts with slots, by the places of their groups without.
    let places: BTreeMap<Whom, usize> = coarse
        .groups
        .iter()
        .enumerate()
        .map(|(place, (_, group))| (Whom(Arc::clone(&group.identity), Slot::default()), place))
        .collect();
    let place_of = |index: usize| places[&Whom(Arc::clone(&fine.groups[index].1.identity), Slot::default())];
    let places_of_fine: Vec<usize> = (0..fine.groups.len()).map(place_of).collect();
    let owner_and_slot = |owner: &Owner| match owner {
        Owner::Group(index) => (Owner::Group(places_of_fine[*index]), fine.groups[*index].1.slot),
        Owner::Idle((provider, slot)) => (Owner::Idle((provider.clone(), Slot::default())), *slot),
    };
    let mut slots: BTreeMap<(usize, Owner), Vec<(Slot, u128)>> = BTreeMap::new();
    for share in &fine.shares {
        let (owner, slot) = owner_and_slot(&share.owner);
        slots.entry((share.line, owner)).or_default().push((slot, share.weight));
    }
    let quantities = quantities(coarse);
    let mut refined = Vec::with_capacity(fine.shares.len());
    for (share, quantity) in coarse.shares.iter().zip(quantities) {
        // Tasks that reserved more than was billed in each of their slots have no weight in any: then the first one has it all.
        let first_slot = || match &share.owner {
            Owner::Group(place) => {
                places_of_fine.iter().position(|of| of == place).map(|index| fine.groups[index].1.slot)
            }
            Owner::Idle((provider, _)) => fine.idle.keys().find(|(of, _)| of == provider).map(|(_, slot)| *slot),
        };
        let found = slots.remove(&(share.line, share.owner.clone()));
        let found = found.unwrap_or_else(|| vec![(first_slot().unwrap_or_default(), 1)]);
        let weights: Vec<u128> = found.iter().map(|(_, weight)| *weight).collect();
        let amounts = apportion(share.nano_usd, &weights);
        let parts = apportion(quantity, &weights);
        let (identity, capacity_provider) = match &share.owner {
            Owner::Group(place) => (Some(Arc::clone(&coarse.groups[*place].1.identity)), None),
            Owner::Idle((provider, _)) => (None, provider.clone()),
        };
        for (((slot, _), nano_usd), quantity) in found.iter().zip(amounts).zip(parts) {
            let (identity, capacity_provider) = (identity.clone(), capacity_provider.clone());
            refined.push(SlotShare { line: share.line, slot: *slot, identity, capacity_provider, quantity, nano_usd });
        }
    }
    refined
}

/// Beside the shares: the part of its line's quantity that each has.
fn quantities(billing: &Billing<'_>) -> Vec<u128> {
    let mut quantities = Vec::with_capacity(billing.shares.len());
    for of_line in billing.shares.chunk_by(|a, b| a.line == b.line) {
        let whole = in_parts(&billing.lines[of_line[0].line]);
        let weights: Vec<u128> = of_line.iter().map(|share| share.weight).collect();
        quantities.extend(apportion(whole, &weights));
    }
    quantities
}

/// A line's quantity in [`PARTS_PER_UNIT`], rounded half up.
fn in_parts(line: &BillLine) -> u128 {
    multiply_divide_half_up(line.quantity.numerator(), PARTS_PER_UNIT, line.quantity.denominator())
}
