//! Load on services: when the next job arrives.
//!
//! Arrivals depend on the cluster's seed and the load alone, not on when anybody looks: a job's due time is worked out from the
//! due time of the one before it.

use crate::model::cluster::{Arrivals, Load};
use crate::model::rng::{RandomStream, Stream};
use crate::model::units::{Duration, Timestamp};

/// One job in billionths of a thousandth of a job: what `jobs_per_kilosecond` yields in a nanosecond is 1.
const ONE_JOB: u128 = 1_000_000_000_000;

/// The due times of one load's jobs, in order.
#[derive(Debug)]
pub struct ArrivalTimes {
    load: Load,
    rng: RandomStream,
    next: Option<Timestamp>,
}

impl ArrivalTimes {
    /// The arrivals of `load`, the `index`-th of its cluster.
    pub fn new(load: Load, seed: u64, index: u64) -> ArrivalTimes {
        ArrivalTimes::from(load, seed, index, Timestamp::ZERO)
    }

    /// The same for a load that is put on a cluster at a moment: nothing of before comes.
    pub fn from(load: Load, seed: u64, index: u64, now: Timestamp) -> ArrivalTimes {
        // A load's index keeps its arrivals apart from its neighbours' without a stream for each.
        let rng = RandomStream::new(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15), Stream::Arrivals);
        let mut arrivals = ArrivalTimes { load, rng, next: None };
        arrivals.next = arrivals.after(now);
        arrivals
    }

    /// The load.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// When the next job is due; `None` when no more will come.
    pub fn peek(&self) -> Option<Timestamp> {
        self.next
    }

    /// Takes the next job if it is due at `now`.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let due = self.next.filter(|due| *due <= now)?;
        self.next = self.after(due);
        Some(due)
    }

    /// The arrival that follows one at `from`: the time at which the rate has added up to the next gap.
    fn after(&mut self, from: Timestamp) -> Option<Timestamp> {
        let mut left = match self.load.arrivals {
            Arrivals::Constant => ONE_JOB,
            Arrivals::Poisson => self.exponential_gap(),
        };
        let mut at = from;
        let steps = &self.load.steps;
        let first = steps.partition_point(|step| step.at <= from).saturating_sub(1);
        for (index, step) in steps.iter().enumerate().skip(first) {
            at = at.max(step.at);
            let rate = u128::from(step.jobs_per_kilosecond);
            let end = steps.get(index + 1).map(|next| next.at);
            let room = end.map(|end| rate * end.since(at).as_nanos());
            if rate > 0 && room.is_none_or(|room| room >= left) {
                let gap = u64::try_from(left.div_ceil(rate)).unwrap_or(u64::MAX);
                return Some(at + Duration::from_nanos(gap));
            }
            left -= room?;
        }
        None
    }

    /// An exponential gap of mean one job.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "minus the logarithm of a number in (0, 1] is at least zero and below forty"
    )]
    fn exponential_gap(&mut self) -> u128 {
        let uniform = 1.0 - self.rng.unit_interval();
        (-uniform.ln() * 1e12) as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cluster::LoadStep;

    fn load(arrivals: Arrivals, steps: &[(u64, u64)]) -> Load {
        let steps = steps
            .iter()
            .map(|&(seconds, rate)| LoadStep {
                at: Timestamp(seconds * 1_000_000_000),
                jobs_per_kilosecond: rate * 1000,
            })
            .collect();
        Load { service: "web".into(), container: None, job: "1".into(), steps, arrivals, traffic: Default::default() }
    }

    fn due_millis(load: Load, until: u64) -> Vec<u64> {
        let mut arrivals = ArrivalTimes::new(load, 7, 0);
        let mut due = Vec::new();
        while let Some(at) = arrivals.take_due(Timestamp(until * 1_000_000)) {
            due.push(at.0 / 1_000_000);
        }
        due
    }

    /// A rate holds until the next step; a gap that spans a step is shared between the two rates.
    #[test]
    fn steps_follow_each_other() {
        let due = due_millis(load(Arrivals::Constant, &[(0, 2), (1, 10), (2, 0)]), 60_000);
        assert_eq!(due, [500, 1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800, 1900, 2000]);
    }

    /// A load that begins later has no job before.
    #[test]
    fn nothing_comes_before_the_first_step() {
        assert_eq!(due_millis(load(Arrivals::Constant, &[(3, 1)]), 5_500), [4000, 5000]);
    }

    /// Poisson arrivals keep the rate and the seed.
    #[test]
    fn poisson_arrivals_keep_the_rate() {
        let first = due_millis(load(Arrivals::Poisson, &[(0, 100)]), 100_000);
        assert!((9_500..10_500).contains(&first.len()), "{} arrivals of 10,000", first.len());
        assert_eq!(first, due_millis(load(Arrivals::Poisson, &[(0, 100)]), 100_000));
    }
}
