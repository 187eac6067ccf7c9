//! Traffic of a service: the share of it that each revision takes while a deployment moves it.
//!
//! *Ours:* ECS moves the requests of load balancers. Here the jobs of a service's load are its traffic, and a weight says which share of
//! them the tasks of a revision get.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::DeploymentId;

/// A share of a service's traffic in thousandths of a percent: 0 to 100,000. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrafficWeight(pub u32);

impl TrafficWeight {
    /// Nothing.
    pub const NONE: TrafficWeight = TrafficWeight(0);
    /// 100 %.
    pub const ALL: TrafficWeight = TrafficWeight(100_000);

    /// What is left of all traffic.
    pub fn rest(self) -> TrafficWeight {
        TrafficWeight(TrafficWeight::ALL.0.saturating_sub(self.0))
    }
}

impl fmt::Display for TrafficWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, thousandths) = (self.0 / 1000, self.0 % 1000);
        if thousandths == 0 {
            return write!(f, "{whole} %");
        }
        write!(f, "{whole}.{} %", format!("{thousandths:03}").trim_end_matches('0'))
    }
}

/// Which of a service's traffic a job is. **Source:** ecs-semantics §5.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum TrafficKind {
    /// Users'.
    #[default]
    Production,
    /// For the revision under test, from the stage TEST_TRAFFIC_SHIFT on; before it and without a deployment, production traffic.
    Test,
}

/// Which share of a service's traffic goes where. Both are empty while none is moved: any task takes any of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficWeights {
    /// Production traffic by deployment; the weights sum up to [`TrafficWeight::ALL`].
    pub production: BTreeMap<DeploymentId, TrafficWeight>,
    /// The deployment that test traffic goes to; `None`: test traffic goes where production traffic does.
    pub test: Option<DeploymentId>,
}

impl TrafficWeights {
    /// A deployment's share of production traffic; `None` while none is moved.
    pub fn production_of(&self, deployment: DeploymentId) -> Option<TrafficWeight> {
        if self.production.is_empty() {
            return None;
        }
        Some(self.production.get(&deployment).copied().unwrap_or_default())
    }

    /// A deployment's share of test traffic; `None` while none is moved.
    pub fn test_of(&self, deployment: DeploymentId) -> Option<TrafficWeight> {
        match self.test {
            Some(tested) if tested == deployment => Some(TrafficWeight::ALL),
            Some(_) => Some(TrafficWeight::NONE),
            None => self.production_of(deployment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole percents without a fraction, others with as many digits as they have.
    #[test]
    fn weights_are_shown_in_percent() {
        let shown = [100_000, 5_000, 12_500, 100, 33_333, 0].map(|weight| TrafficWeight(weight).to_string());
        assert_eq!(shown, ["100 %", "5 %", "12.5 %", "0.1 %", "33.333 %", "0 %"]);
    }
}
