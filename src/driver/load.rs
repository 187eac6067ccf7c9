//! Load on services: when the next job arrives.
//!
//! Arrivals depend on the cluster's seed and the load alone, not on when anybody looks: a job's due time is worked out from the
//! due time of the one before it.

use crate::model::cluster::{Arrivals, Load};
use crate::model::distribution::standard_exponential;
use crate::model::rng::{RandomStream, Stream};
use crate::model::units::Timestamp;

/// One job: what a rate of `jobs_per_gigasecond` of 1 yields in so many nanoseconds.
const ONE_JOB: u128 = 1_000_000_000_000_000_000;

/// The due times of one load's jobs, in order.
#[derive(Debug)]
pub struct ArrivalTimes {
    load: Load,
    rng: RandomStream,
    /// How many of the load's moments have been taken.
    moment_index: usize,
    /// How many of its steps had begun at the last arrival: most often the same as at the next.
    step_index: usize,
    /// Whether there is a step that brings any job.
    brings_any: bool,
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
        let moment_index = load.moments.partition_point(|moment| *moment < now);
        let brings_any = load.steps.iter().any(|step| step.jobs_per_gigasecond > 0);
        let mut arrivals = ArrivalTimes { load, rng, moment_index, step_index: 0, brings_any, next: None };
        arrivals.next = arrivals.following(now);
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
        self.next = self.following(due);
        Some(due)
    }

    fn following(&mut self, from: Timestamp) -> Option<Timestamp> {
        if self.load.steps.is_empty() {
            let moment = self.load.moments.get(self.moment_index).copied();
            self.moment_index += 1;
            return moment;
        }
        self.after(from)
    }

    /// The arrival that follows one at `from`: the time at which the rate has added up to the next gap.
    fn after(&mut self, from: Timestamp) -> Option<Timestamp> {
        let mut left = match self.load.arrivals {
            Arrivals::Constant => ONE_JOB,
            Arrivals::Poisson => self.exponential_gap(),
        };
        let period = self.load.period.map(|period| u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1));
        if !self.brings_any {
            return None;
        }
        // Within a period time counts from its beginning.
        let mut begin = period.map_or(0, |period| from.0 - from.0 % period);
        let mut at = from.0 - begin;
        self.step_index = self.steps_begun(at);
        let steps = &self.load.steps;
        let mut index = self.step_index;
        loop {
            let rate = index.checked_sub(1).map_or(0, |index| u128::from(steps[index].jobs_per_gigasecond));
            let end = steps.get(index).map(|next| next.at.0).or(period);
            let room = end.map(|end| rate * u128::from(end.saturating_sub(at)));
            if rate > 0 && room.is_none_or(|room| room >= left) {
                let gap = u64::try_from(left.div_ceil(rate)).unwrap_or(u64::MAX);
                return Some(Timestamp(begin.saturating_add(at).saturating_add(gap)));
            }
            left -= room?;
            at = end?;
            index += 1;
            if index > steps.len() {
                begin = begin.checked_add(period?)?;
                (at, index) = (0, steps.partition_point(|step| step.at.0 == 0));
            }
        }
    }

    /// How many steps have begun at a time within the period.
    fn steps_begun(&self, at: u64) -> usize {
        let (steps, known) = (&self.load.steps, self.step_index);
        let has_begun = known.checked_sub(1).is_none_or(|last| steps[last].at.0 <= at);
        let is_last = steps.get(known).is_none_or(|next| next.at.0 > at);
        if has_begun && is_last { known } else { steps.partition_point(|step| step.at.0 <= at) }
    }

    /// An exponential gap of mean one job.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an exponential amount of mean one is at least zero and below forty"
    )]
    fn exponential_gap(&mut self) -> u128 {
        (standard_exponential(self.rng.draw()) * 1e18) as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cluster::LoadStep;
    use crate::model::units::Duration;

    fn load(arrivals: Arrivals, steps: &[(u64, u64)]) -> Load {
        let steps = steps
            .iter()
            .map(|&(seconds, rate)| LoadStep {
                at: Timestamp(seconds * 1_000_000_000),
                jobs_per_gigasecond: rate * 1_000_000_000,
            })
            .collect();
        Load { job: "1".into(), steps, arrivals, ..Load::default() }
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

    /// What has a period begins again; a load whose jobs are written down has those.
    #[test]
    fn periods_and_moments() {
        let steps = load(Arrivals::Constant, &[(1, 2), (2, 0)]);
        let repeated = Load { period: Some(Duration::from_secs(4)), ..steps };
        assert_eq!(due_millis(repeated, 10_000), [1500, 2000, 5500, 6000, 9500, 10_000]);
        let moments = Load { moments: [Timestamp(5_000_000), Timestamp(7_000_000)].into(), ..Load::default() };
        assert_eq!(due_millis(moments, 10_000), [5, 7]);
    }

    /// Poisson arrivals keep the rate and the seed.
    #[test]
    fn poisson_arrivals_keep_the_rate() {
        let first = due_millis(load(Arrivals::Poisson, &[(0, 100)]), 100_000);
        assert!((9_500..10_500).contains(&first.len()), "{} arrivals of 10,000", first.len());
        assert_eq!(first, due_millis(load(Arrivals::Poisson, &[(0, 100)]), 100_000));
    }
}
