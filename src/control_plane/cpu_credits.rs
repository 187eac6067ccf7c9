//! CPU credits at work: when an instance's account is begun, settled and closed, when one without credits is held to its baseline, and
//! when surplus is charged. The arithmetic is `model::cpu_credits`'; how a rate is kept is the data plane's.
//!
//! The intuition: what tasks use is known only as often as usage is sampled, and an instance must not overspend in between. So in
//! standard mode there is a deadline at which full speed would have used up the balance; whatever the next sample then says, the
//! instance is held to its baseline until that sample comes. It is let go when its balance lasts for a whole sampling period at full
//! speed, so that it does not go to and fro over a few credits.
//!
//! **Source:** EC2 user guide, burstable performance instances (2023-06). *Ours:* EC2 brings an instance down to its baseline
//! gradually; here it is at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::ControlPlane;
use super::action::{Action, Response};
use super::metrics::names;
use super::request_error::RequestError;
use super::timers::Wakeup;
use crate::model::alarm::MetricId;
use crate::model::cpu_credits::{CPU_CREDIT, CpuCredits, CpuRate, CreditSpecification, LaunchCredits};
use crate::model::ids::ContainerInstanceId;
use crate::model::metric::StatisticSet;
use crate::model::units::{Duration, Timestamp, VcpuNanos};
use crate::model::usage::MeteringFact;

/// Starts with launch credits in a day, over all T2 standard instances. **Source:** EC2 user guide, standard mode.
const LAUNCHES_WITH_CREDITS_MAX: usize = 100;
const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR_NANOS: u64 = 3600 * 1_000_000_000;

/// Whose accounts are open.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct CreditAccounts {
    /// Burstable instances that run.
    running: BTreeSet<ContainerInstanceId>,
    /// When launch credits were given in the last day, oldest first.
    launches: VecDeque<Timestamp>,
    /// What each had used and been charged for when its metrics were last stated.
    stated: BTreeMap<ContainerInstanceId, (VcpuNanos, VcpuNanos)>,
}

impl CreditAccounts {
    /// **Source:** EC2 user guide, standard mode.
    fn give_launch_credits(&mut self, now: Timestamp) -> LaunchCredits {
        while self.launches.front().is_some_and(|given| now.since(*given) >= DAY) {
            self.launches.pop_front();
        }
        if self.launches.len() >= LAUNCHES_WITH_CREDITS_MAX {
            return LaunchCredits::UsedUp;
        }
        self.launches.push_back(now);
        LaunchCredits::Given
    }
}

impl ControlPlane {
    /// An instance runs from here on.
    pub(super) fn open_credit_account(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        let Some(credits) = self.credits_of(id) else { return };
        let wants_launch_credits = credits.gets_launch_credits();
        let given = match wants_launch_credits {
            true => self.credit_accounts.give_launch_credits(now),
            false => LaunchCredits::UsedUp,
        };
        self.credits_of(id).expect("it was found above").start(now, given);
        self.credit_accounts.running.insert(id);
    }

    /// An instance runs no more: what it owes is charged. **Source:** EC2 user guide, unlimited mode.
    pub(super) fn close_credit_account(&mut self, id: ContainerInstanceId) {
        let now = self.now;
        if !self.credit_accounts.running.remove(&id) {
            return;
        }
        let credits = self.credits_of(id).expect("an account belongs to an instance");
        let surplus = credits.stop(now);
        self.charge(id, surplus);
        self.timers.cancel(Wakeup::CpuCredits(id));
    }

    /// A task on an instance has used so much CPU since it was last asked.
    pub(super) fn spend_credits(&mut self, id: ContainerInstanceId, work: VcpuNanos) {
        // Most clusters have no burstable instance and must not pay for this.
        if self.credit_accounts.running.contains(&id) {
            self.credits_of(id).expect("an account belongs to an instance").spend(work);
        }
    }

    /// Settles all accounts after a sample of usage, and sees who may run how fast.
    pub(super) fn settle_credits(&mut self) {
        let running: Vec<ContainerInstanceId> = self.credit_accounts.running.iter().copied().collect();
        for id in running {
            let now = self.now;
            self.credits_of(id).expect("an account belongs to an instance").settle(now);
            self.regulate(id);
        }
    }

    /// Sees how fast an instance may run. It is told only of a change.
    pub(super) fn regulate(&mut self, id: ContainerInstanceId) {
        let (now, sampled_every) = (self.now, self.settings.usage_period);
        let takes_tasks = self.state.container_instances.get(&id).is_some_and(|found| found.registered_at.is_some());
        let Some(credits) = self.credits_of(id).filter(|_| takes_tasks) else { return };
        let rate = match (credits.specification, credits.rate) {
            (CreditSpecification::Unlimited, _) => CpuRate::Full,
            (CreditSpecification::Standard, CpuRate::Full) if credits.balance() == VcpuNanos(0) => CpuRate::Baseline,
            (CreditSpecification::Standard, CpuRate::Baseline)
                if credits.balance() >= credits.cost_of_full_speed(sampled_every).max(VcpuNanos(1)) =>
            {
                CpuRate::Full
            }
            (CreditSpecification::Standard, same) => same,
        };
        let could_run_out = credits.specification == CreditSpecification::Standard && rate == CpuRate::Full;
        // Without samples nobody knows that anything is spent.
        let lasts = credits.lasts_at_full_speed().filter(|_| could_run_out && sampled_every > Duration::ZERO);
        self.set_cpu_rate(id, rate);
        match lasts {
            // What a sample comes before needs no deadline. One that is late must not matter.
            Some(lasts) if lasts < sampled_every * 2 => {
                self.timers.set(now + lasts.max(Duration::from_nanos(1)), Wakeup::CpuCredits(id));
            }
            _ => self.timers.cancel(Wakeup::CpuCredits(id)),
        }
    }

    /// At full speed the balance would be used up by this moment.
    pub(super) fn credits_may_be_spent(&mut self, id: ContainerInstanceId) {
        if self.credit_accounts.running.contains(&id) {
            self.set_cpu_rate(id, CpuRate::Baseline);
        }
    }

    fn set_cpu_rate(&mut self, id: ContainerInstanceId, rate: CpuRate) {
        let Some(credits) = self.credits_of(id).filter(|credits| credits.rate != rate) else { return };
        credits.rate = rate;
        let work_per_second = credits.work_per_second();
        self.actions.push(Action::SetInstanceCpuRate { instance: id, work_per_second });
    }

    /// States each account's metrics for the period that began at `from`, and charges what is due at the end of an hour.
    /// **Source:** EC2 user guide, unlimited mode; monitoring CPU credits. *Ours:* EC2 states them every five minutes.
    pub(super) fn measure_credits(&mut self, from: Timestamp) -> Vec<(MetricId, StatisticSet)> {
        self.settle_credits();
        let hour_ended = self.now.0 / HOUR_NANOS > from.0 / HOUR_NANOS;
        let mut found = Vec::new();
        let running = self.credit_accounts.running.clone();
        self.credit_accounts.stated.retain(|id, _| running.contains(id));
        for id in running {
            let credits = self.credits_of(id).expect("an account belongs to an instance");
            let surplus = if hour_ended { credits.end_hour() } else { VcpuNanos(0) };
            let (used, charged) = (credits.used, credits.charged);
            let (balance, owed) = (credits.balance(), credits.surplus);
            let before = self.credit_accounts.stated.insert(id, (used, charged)).unwrap_or_default();
            self.charge(id, surplus);
            let shown = self.ids.ec2_instance(id);
            for (name, work) in [
                ("CPUCreditUsage", used - before.0),
                ("CPUCreditBalance", balance),
                ("CPUSurplusCreditBalance", owed),
                ("CPUSurplusCreditsCharged", charged - before.1),
            ] {
                found.push((names::of_ec2_instance(name, &shown), StatisticSet::of(thousandths_of_credits(work))));
            }
        }
        found
    }

    /// EC2's ModifyInstanceCreditSpecification. **Source:** EC2 user guide, unlimited mode.
    pub(super) fn modify_credit_specification(
        &mut self,
        id: ContainerInstanceId,
        specification: CreditSpecification,
    ) -> Result<Response, RequestError> {
        let now = self.now;
        let shown = self.ids.ec2_instance(id);
        if !self.state.live_instances().any(|instance| instance.id == id) {
            return Err(RequestError::InvalidParameter(format!("The instance ID '{shown}' does not exist")));
        }
        let Some(credits) = self.credits_of(id) else {
            return Err(RequestError::InvalidParameter(format!(
                "The instance ID '{shown}' is of a type that earns no CPU credits"
            )));
        };
        credits.settle(now);
        let surplus = credits.switch_to(specification);
        self.charge(id, surplus);
        self.regulate(id);
        Ok(Response::Done)
    }

    fn charge(&mut self, id: ContainerInstanceId, surplus: VcpuNanos) {
        if surplus == VcpuNanos(0) {
            return;
        }
        let charge = self.credits_of(id).expect("the caller has the instance").charges;
        let at = self.now;
        self.actions.push(Action::Meter(MeteringFact::SurplusCreditsCharged { instance: id, charge, at, surplus }));
    }

    fn credits_of(&mut self, id: ContainerInstanceId) -> Option<&mut CpuCredits> {
        self.state.container_instances.get_mut(&id)?.cpu_credits.as_mut()
    }
}

fn thousandths_of_credits(work: VcpuNanos) -> i64 {
    i64::try_from(work.0 / (CPU_CREDIT.0 / 1000)).unwrap_or(i64::MAX)
}
