//! CPU credits of burstable instances: what one earns, spends, keeps and owes. Arithmetic only; who is throttled or charged when is
//! `control_plane::cpu_credits`'.
//!
//! A credit is one vCPU at work for a minute. An instance earns credits all the time that it runs and spends one for each vCPU-minute that
//! its tasks use; what it earns beyond that is kept, up to what it earns in 24 hours. In *standard* mode one without credits runs at its
//! baseline, the rate at which it earns. In *unlimited* mode it goes on at full speed and owes *surplus credits*, which later earnings pay
//! down; what is not paid down is charged.
//!
//! **Source:** EC2 user guide, burstable performance instances: key concepts, standard mode, unlimited mode (2023-06).

use serde::{Deserialize, Serialize};

use super::units::{Duration, Timestamp, VcpuNanos};

/// CPU work of one credit. **Source:** EC2 user guide, key concepts of burstable instances: a vCPU for a minute.
pub const CPU_CREDIT: VcpuNanos = VcpuNanos(60_000_000_000);

/// Launch credits for each vCPU. **Source:** EC2 user guide, standard mode.
const LAUNCH_CREDITS_PER_VCPU: u64 = 30;
/// How many hours of earnings are kept. **Source:** EC2 user guide, key concepts of burstable instances.
const HOURS_KEPT: u64 = 24;
/// How long a stopped instance keeps its credits, but for T2. **Source:** EC2 user guide, key concepts of burstable instances.
const KEPT_WHILE_STOPPED: Duration = Duration::from_secs(7 * 24 * 3600);
const SECONDS_PER_HOUR: u64 = 3600;
const NANOS_PER_HOUR: u128 = 3600 * 1_000_000_000;

/// A family of burstable types: what credits cost, and whether they are given at a launch, hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BurstFamily {
    /// `t2`.
    T2,
    /// `t3`.
    T3,
    /// `t3a`.
    T3a,
    /// `t4g`.
    T4g,
}

impl BurstFamily {
    /// All families.
    pub const ALL: [BurstFamily; 4] = [BurstFamily::T2, BurstFamily::T3, BurstFamily::T3a, BurstFamily::T4g];

    /// The name, as in `t3`.
    pub fn as_str(self) -> &'static str {
        match self {
            BurstFamily::T2 => "t2",
            BurstFamily::T3 => "t3",
            BurstFamily::T3a => "t3a",
            BurstFamily::T4g => "t4g",
        }
    }

    /// The mode of instances that name none. **Source:** EC2 user guide, key concepts of burstable instances.
    pub fn default_specification(self) -> CreditSpecification {
        match self {
            BurstFamily::T2 => CreditSpecification::Standard,
            BurstFamily::T3 | BurstFamily::T3a | BurstFamily::T4g => CreditSpecification::Unlimited,
        }
    }
}

/// EC2's credit specification: what happens when the credits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditSpecification {
    /// `standard`: it runs at its baseline.
    Standard,
    /// `unlimited`: it goes on, and may be charged for it.
    Unlimited,
}

impl CreditSpecification {
    /// EC2's wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            CreditSpecification::Standard => "standard",
            CreditSpecification::Unlimited => "unlimited",
        }
    }
}

/// What makes an instance type burstable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Its family.
    pub family: BurstFamily,
    /// What the whole instance earns in an hour.
    pub earned_per_hour: VcpuNanos,
}

impl Burst {
    /// The CPU work that is covered by what is earned, a second. **Source:** EC2 user guide, key concepts of burstable instances.
    pub fn baseline_per_second(self) -> VcpuNanos {
        VcpuNanos(self.earned_per_hour.0 / SECONDS_PER_HOUR)
    }

    /// The most earned credits that are kept, and the most surplus that is owed without a charge.
    /// **Source:** EC2 user guide, key concepts of burstable instances; unlimited mode.
    pub fn accrual_limit(self) -> VcpuNanos {
        VcpuNanos(self.earned_per_hour.0.saturating_mul(HOURS_KEPT))
    }

    fn earned_in(self, time: Duration) -> VcpuNanos {
        let earned = u128::from(self.earned_per_hour.0).saturating_mul(time.as_nanos()) / NANOS_PER_HOUR;
        VcpuNanos(u64::try_from(earned).unwrap_or(u64::MAX))
    }
}

/// How fast a burstable instance may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum CpuRate {
    /// All its vCPUs.
    #[default]
    Full,
    /// Its baseline.
    Baseline,
}

/// Whether a start of a T2 instance comes with launch credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchCredits {
    /// It does.
    Given,
    /// There were too many starts in the last day.
    UsedUp,
}

/// The credits of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct CpuCredits {
    /// What it earns.
    pub burst: Burst,
    /// Its mode.
    pub specification: CreditSpecification,
    /// How fast it may run.
    pub rate: CpuRate,
    /// What is left of its launch credits, which are spent first.
    pub launch: VcpuNanos,
    /// What is left of its earned credits.
    pub earned: VcpuNanos,
    /// What was spent beyond both and not paid down: surplus credits. In standard mode what was used before a throttle could take hold,
    /// which is never charged.
    pub surplus: VcpuNanos,
    /// All that was ever spent. Only grows.
    pub used: VcpuNanos,
    /// All surplus that was ever charged. Only grows.
    pub charged: VcpuNanos,
    /// How many charges there were.
    pub charges: u32,
    /// Spent since the account was last settled.
    unsettled: VcpuNanos,
    vcpus: u32,
    /// Up to when earnings are settled, or when it stopped.
    settled_at: Timestamp,
    running: Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
enum Running {
    Never,
    Yes,
    Stopped,
}

impl CpuCredits {
    /// The credits of an instance that has not run yet.
    pub fn new(burst: Burst, vcpus: u32, specification: Option<CreditSpecification>) -> CpuCredits {
        CpuCredits {
            burst,
            specification: specification.unwrap_or(burst.family.default_specification()),
            rate: CpuRate::Full,
            launch: VcpuNanos(0),
            earned: VcpuNanos(0),
            surplus: VcpuNanos(0),
            used: VcpuNanos(0),
            charged: VcpuNanos(0),
            charges: 0,
            unsettled: VcpuNanos(0),
            vcpus,
            settled_at: Timestamp::ZERO,
            running: Running::Never,
        }
    }

    /// What it can spend: CloudWatch's `CPUCreditBalance`.
    pub fn balance(&self) -> VcpuNanos {
        self.launch + self.earned
    }

    /// Whether a start of it comes with launch credits, if there are any left to give. **Source:** EC2 user guide, standard mode.
    pub fn gets_launch_credits(&self) -> bool {
        self.burst.family == BurstFamily::T2 && self.specification == CreditSpecification::Standard
    }

    /// It runs from here on. What it had when it stopped it still has, unless it is a T2 or was stopped for longer than a week.
    /// **Source:** EC2 user guide, key concepts of burstable instances; standard mode.
    pub fn start(&mut self, now: Timestamp, launch_credits: LaunchCredits) {
        let kept = self.running == Running::Stopped
            && self.burst.family != BurstFamily::T2
            && now.since(self.settled_at) <= KEPT_WHILE_STOPPED;
        if !kept {
            self.earned = VcpuNanos(0);
        }
        self.launch = match launch_credits {
            LaunchCredits::Given if self.gets_launch_credits() => {
                VcpuNanos(CPU_CREDIT.0 * LAUNCH_CREDITS_PER_VCPU * u64::from(self.vcpus))
            }
            _ => VcpuNanos(0),
        };
        self.rate = CpuRate::Full;
        self.settled_at = now;
        self.running = Running::Yes;
    }

    /// It runs no more. Returns the surplus that is charged for. **Source:** EC2 user guide, unlimited mode.
    pub fn stop(&mut self, now: Timestamp) -> VcpuNanos {
        self.settle(now);
        self.running = Running::Stopped;
        self.charge_above(VcpuNanos(0))
    }

    /// Its tasks have used CPU.
    pub fn spend(&mut self, work: VcpuNanos) {
        self.unsettled += work;
        self.used += work;
    }

    /// Counts what was spent and earned up to `now`: launch credits go first, and what is owed is paid down before anything is kept.
    /// **Source:** EC2 user guide, standard mode; unlimited mode.
    pub fn settle(&mut self, now: Timestamp) {
        if self.running != Running::Yes {
            return;
        }
        let mut spent = std::mem::take(&mut self.unsettled);
        for kept in [&mut self.launch, &mut self.earned] {
            let part = spent.min(*kept);
            *kept = *kept - part;
            spent = spent - part;
        }
        self.surplus += spent;
        let earned = self.burst.earned_in(now.since(self.settled_at));
        let paid = earned.min(self.surplus);
        self.surplus = self.surplus - paid;
        self.earned = (self.earned + (earned - paid)).min(self.burst.accrual_limit());
        self.settled_at = now;
    }

    /// The hour has ended. Returns the surplus that is charged for: what is beyond a day's earnings.
    /// **Source:** EC2 user guide, unlimited mode.
    pub fn end_hour(&mut self) -> VcpuNanos {
        self.charge_above(self.burst.accrual_limit())
    }

    /// Another mode from here on. Returns the surplus that is charged for. Launch credits go with the standard mode.
    /// **Source:** EC2 user guide, unlimited mode.
    pub fn switch_to(&mut self, specification: CreditSpecification) -> VcpuNanos {
        if self.specification == specification {
            return VcpuNanos(0);
        }
        let charged = self.charge_above(VcpuNanos(0));
        self.specification = specification;
        self.launch = VcpuNanos(0);
        charged
    }

    /// How long the balance lasts at full speed; `None` for ever.
    pub fn lasts_at_full_speed(&self) -> Option<Duration> {
        let net = self.net_spending_per_second();
        (net > 0).then(|| {
            let nanos = u128::from(self.balance().0) * 1_000_000_000 / u128::from(net);
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        })
    }

    /// What full speed costs beyond what is earned, in a time.
    pub fn cost_of_full_speed(&self, time: Duration) -> VcpuNanos {
        let cost = u128::from(self.net_spending_per_second()).saturating_mul(time.as_nanos()) / 1_000_000_000;
        VcpuNanos(u64::try_from(cost).unwrap_or(u64::MAX))
    }

    /// The CPU work that the instance may do in a second, at its rate.
    pub fn work_per_second(&self) -> VcpuNanos {
        match self.rate {
            CpuRate::Full => VcpuNanos(u64::from(self.vcpus) * 1_000_000_000),
            CpuRate::Baseline => self.burst.baseline_per_second(),
        }
    }

    /// Checks what must hold of an account.
    ///
    /// # Panics
    /// When something does not: a bug.
    pub fn check_invariants(&self, shown: &str) {
        assert!(self.earned <= self.burst.accrual_limit(), "instance {shown} keeps more CPU credits than it may");
        let owes = self.surplus > VcpuNanos(0);
        assert!(!owes || self.balance() == VcpuNanos(0), "instance {shown} owes CPU credits that it has");
        let was_charged = self.charges > 0;
        assert_eq!(was_charged, self.charged > VcpuNanos(0), "instance {shown} is charged for nothing");
        let is_free = self.specification == CreditSpecification::Unlimited && self.rate == CpuRate::Baseline;
        assert!(!is_free, "instance {shown} is unlimited and throttled");
    }

    fn net_spending_per_second(&self) -> u64 {
        (u64::from(self.vcpus) * 1_000_000_000).saturating_sub(self.burst.baseline_per_second().0)
    }

    /// In standard mode nothing is charged, and what is owed at the end is forgotten.
    fn charge_above(&mut self, kept: VcpuNanos) -> VcpuNanos {
        let due = self.surplus - kept;
        self.surplus = self.surplus - due;
        if self.specification == CreditSpecification::Standard || due == VcpuNanos(0) {
            return VcpuNanos(0);
        }
        self.charged += due;
        self.charges += 1;
        due
    }
}
