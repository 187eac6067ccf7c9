//! Rates of one region, the seconds that are billed, and the names that AWS' bills give to what they price.
//!
//! A price book holds numbers and names; `billing.rs` makes amounts of quantities.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::cpu_credits::BurstFamily;
use crate::model::task_definition::CpuArchitecture;
use crate::model::units::{Duration, NanoUsd};
use crate::model::usage::PurchaseOption;

/// Every rate of a region. The fields are open, so that a negotiated or an assumed rate can take a listed one's place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PriceBook {
    /// The region, as in `us-east-1`.
    pub region: Arc<str>,
    /// What Fargate and ECS usage types begin with, as in `USE1`.
    pub fargate_prefix: Arc<str>,
    /// What EC2 usage types begin with, as in `USW2-`. Empty in us-east-1.
    pub ec2_prefix: Arc<str>,
    /// Fargate's rates.
    pub fargate: FargateRates,
    /// On-demand rate per hour, by instance type. A type that the region does not price is absent.
    pub ec2_hourly: Arc<BTreeMap<Arc<str>, NanoUsd>>,
    /// What is saved on Spot, in percent of the on-demand rate, by instance type. A type without a known saving is absent.
    pub ec2_spot_saving_percent: Arc<BTreeMap<Arc<str>, u32>>,
    /// A vCPU-hour of surplus CPU credits.
    pub surplus_rates: SurplusRates,
}

/// What a vCPU-hour of surplus CPU credits costs (Linux). **Source:** `catalog/data/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SurplusRates {
    /// Of `t2`.
    pub t2: NanoUsd,
    /// Of `t3`.
    pub t3: NanoUsd,
    /// Of `t3a`.
    pub t3a: NanoUsd,
    /// Of `t4g`.
    pub t4g: NanoUsd,
}

impl SurplusRates {
    /// The rate of a family.
    pub fn of(self, family: BurstFamily) -> NanoUsd {
        match family {
            BurstFamily::T2 => self.t2,
            BurstFamily::T3 => self.t3,
            BurstFamily::T3a => self.t3a,
            BurstFamily::T4g => self.t4g,
        }
    }
}

/// Fargate's rates in a region (Linux). **Source:** ecs-semantics §8.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FargateRates {
    /// x86 on-demand.
    pub x86_on_demand: FargateRate,
    /// ARM on-demand.
    pub arm_on_demand: FargateRate,
    /// x86 Spot.
    pub x86_spot: FargateRate,
    /// ARM Spot.
    pub arm_spot: FargateRate,
    /// An hour of a GB of ephemeral storage beyond what is included. The same on-demand and on Spot.
    pub ephemeral_gb_hour: NanoUsd,
}

/// What a Fargate task's CPU and memory cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FargateRate {
    /// An hour of one vCPU.
    pub vcpu_hour: NanoUsd,
    /// An hour of one GB, which is 1024 MiB.
    pub gb_hour: NanoUsd,
}

impl PriceBook {
    /// The Fargate rate of an architecture and purchase option.
    pub fn fargate_rate(&self, purchase_option: PurchaseOption, architecture: CpuArchitecture) -> FargateRate {
        match (architecture, purchase_option) {
            (CpuArchitecture::X86_64, PurchaseOption::OnDemand) => self.fargate.x86_on_demand,
            (CpuArchitecture::X86_64, PurchaseOption::Spot) => self.fargate.x86_spot,
            (CpuArchitecture::Arm64, PurchaseOption::OnDemand) => self.fargate.arm_on_demand,
            (CpuArchitecture::Arm64, PurchaseOption::Spot) => self.fargate.arm_spot,
        }
    }

    /// The on-demand rate per hour of an instance type, where the region prices it.
    pub fn ec2_rate(&self, instance_type: &str) -> Option<NanoUsd> {
        self.ec2_hourly.get(instance_type).copied()
    }

    /// The rate per hour of an instance type: on Spot the on-demand rate less the saving.
    ///
    /// *Ours:* Spot prices float; the catalog has the Spot Advisor's mean saving of us-east-1 for every region, and where it has none,
    /// [`ASSUMED_SPOT_SAVING_PERCENT`].
    pub fn instance_rate(&self, purchase_option: PurchaseOption, instance_type: &str) -> Option<NanoUsd> {
        let rate = self.ec2_rate(instance_type)?;
        match purchase_option {
            PurchaseOption::OnDemand => Some(rate),
            PurchaseOption::Spot => {
                let saving = self.ec2_spot_saving_percent.get(instance_type).copied();
                let paid = 100u32.saturating_sub(saving.unwrap_or(ASSUMED_SPOT_SAVING_PERCENT));
                Some(NanoUsd(rate.0 / 100 * i64::from(paid) + rate.0 % 100 * i64::from(paid) / 100))
            }
        }
    }

    /// The usage types of a Fargate task's vCPU-hours and GB-hours, as in `USE1-Fargate-vCPU-Hours:perCPU`.
    ///
    /// **Source:** the AmazonECS price list (see `catalog/data/README.md`); the name of ARM Spot GB-hours is inferred from its three siblings.
    pub fn fargate_usage_types(&self, purchase_option: PurchaseOption, architecture: CpuArchitecture) -> [String; 2] {
        let spot = match purchase_option {
            PurchaseOption::OnDemand => "",
            PurchaseOption::Spot => "-SpotUsage",
        };
        let arm = match architecture {
            CpuArchitecture::X86_64 => "",
            CpuArchitecture::Arm64 => "-ARM",
        };
        let prefix = &self.fargate_prefix;
        [format!("{prefix}{spot}-Fargate{arm}-vCPU-Hours:perCPU"), format!("{prefix}{spot}-Fargate{arm}-GB-Hours")]
    }

    /// The usage type of ephemeral storage beyond what is included.
    pub fn ephemeral_usage_type(&self) -> String {
        format!("{}-Fargate-EphemeralStorage-GB-Hours", self.fargate_prefix)
    }

    /// The usage types of the vCPU-hours and GB-hours that tasks reserve on EC2, which ECS meters at no charge.
    pub fn ecs_on_ec2_usage_types(&self) -> [String; 2] {
        ["vCPU", "GB"].map(|unit| format!("{}-ECS-EC2-{unit}-Hours", self.fargate_prefix))
    }

    /// The usage type of an instance, as in `BoxUsage:m7i.large`, `EU-BoxUsage:m7i.large` or `SpotUsage:m7i.large`.
    pub fn ec2_usage_type(&self, purchase_option: PurchaseOption, instance_type: &str) -> String {
        let usage = match purchase_option {
            PurchaseOption::OnDemand => "BoxUsage",
            PurchaseOption::Spot => "SpotUsage",
        };
        format!("{}{usage}:{instance_type}", self.ec2_prefix)
    }

    /// The usage type of surplus CPU credits, as in `CPUCredits:t3` or `EU-CPUCredits:t4g`.
    pub fn cpu_credits_usage_type(&self, family: BurstFamily) -> String {
        format!("{}CPUCredits:{}", self.ec2_prefix, family.as_str())
    }
}

/// What is saved on Spot where nothing is known of a type. *Ours:* a round number near the mean of the 775 types that are known.
pub const ASSUMED_SPOT_SAVING_PERCENT: u32 = 60;

/// The seconds that an interval is billed for: every second that it touches, and never fewer than a minute.
///
/// Fargate rounds up. **Source:** ecs-semantics §8.3. EC2 bills by the second with the same minimum for each start;
/// *Ours:* it rounds up too, which its documentation leaves open.
pub fn billed_seconds(interval: Duration) -> u64 {
    let started_second = u64::from(interval.subsec_nanos() > 0);
    interval.as_secs().saturating_add(started_second).max(MINIMUM_BILLED_SECONDS)
}

/// The shortest interval that is billed, for a Fargate task on Linux as for an instance. **Source:** ecs-semantics §8.3.
pub const MINIMUM_BILLED_SECONDS: u64 = 60;
