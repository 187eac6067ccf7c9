//! Lines for surplus CPU credits: a line for each family of burstable types, shared out to those whose tasks were on the instances.
//!
//! An instance's surplus goes to its tasks alone, in the ratio of their parts of it: idle capacity spends no credits. *Ours:* AWS'
//! bill stops at the family.

use std::collections::BTreeMap;

use super::{Billing, IdleKey, InstanceShare, SECONDS_PER_HOUR};
use crate::metering::bill::{BillLine, BillUnit};
use crate::metering::ledger::{Ledger, NANOS_PER_SECOND};
use crate::metering::quantity::{Quantity, apportion};
use crate::model::cpu_credits::BurstFamily;
use crate::model::task_definition::LaunchType;
use crate::model::usage::PurchaseOption;

/// Surplus of the instances of one family.
#[derive(Default)]
struct FamilySurplus {
    nanos: u128,
    /// By group index.
    by_group: BTreeMap<usize, u128>,
    /// Of instances on which no task is known.
    by_nobody: BTreeMap<IdleKey, u128>,
}

impl Billing<'_> {
    /// **Source:** EC2 user guide, burstable instances in unlimited mode: a flat rate for each vCPU-hour.
    pub(super) fn bill_surplus_credits(&mut self, ledger: &Ledger) {
        for family in BurstFamily::ALL {
            let surplus = surplus_of(ledger, family);
            if surplus.nanos > 0 {
                self.bill_family(family, &surplus);
            }
        }
    }

    fn bill_family(&mut self, family: BurstFamily, surplus: &FamilySurplus) {
        let rate = self.book.surplus_rates.of(family);
        let quantity = Quantity::new(surplus.nanos, NANOS_PER_SECOND * SECONDS_PER_HOUR);
        let amount = quantity.times(rate);
        self.lines.push(BillLine {
            usage_type: self.book.cpu_credits_usage_type(family),
            description: format!("Surplus CPU credits of {}", family.as_str()),
            launch_type: LaunchType::Ec2,
            purchase_option: PurchaseOption::OnDemand,
            quantity,
            unit: BillUnit::VcpuHours,
            rate,
            amount,
        });
        let amount: u128 = amount.0.unsigned_abs().into();
        self.ec2.vcpu_nano_usd += amount;
        let weights: Vec<u128> =
            self.groups.iter().map(|(index, _)| surplus.by_group.get(index).copied().unwrap_or(0)).collect();
        let others: Vec<(IdleKey, u128)> = surplus.by_nobody.iter().map(|(key, nanos)| (key.clone(), *nanos)).collect();
        self.share_out(amount, &weights, &others);
    }
}

fn surplus_of(ledger: &Ledger, family: BurstFamily) -> FamilySurplus {
    let mut sum = FamilySurplus::default();
    for (slot, instance) in ledger.instances() {
        let Some(host) = &instance.host else { continue };
        if host.instance_type.burst.is_none_or(|burst| burst.family != family) {
            continue;
        }
        let nanos: u128 = instance.surplus.values().map(|work| u128::from(work.0)).sum();
        sum.nanos += nanos;
        let share = InstanceShare::of(&host.instance_type);
        let weights: Vec<u128> =
            instance.reserved.values().map(|reserved| share.weight(reserved.unit_nanos, reserved.mib_nanos)).collect();
        if weights.iter().all(|weight| *weight == 0) {
            *sum.by_nobody.entry((host.capacity_provider.clone(), slot)).or_default() += nanos;
            continue;
        }
        for (index, part) in instance.reserved.keys().zip(apportion(nanos, &weights)) {
            *sum.by_group.entry(*index).or_default() += part;
        }
    }
    sum
}
