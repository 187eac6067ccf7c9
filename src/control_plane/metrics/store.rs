//! Every metric's datapoints, kept as CloudWatch keeps them: fine for a while, coarser after, and then no more.
//!
//! A datapoint is the samples of one metric period, which begins at a multiple of the period. What is older than the fine ones is
//! merged into longer periods. *Ours:* 360 metric periods, then 288 of five, then 360 of sixty (CloudWatch: 15 days of one
//! minute, 63 of five, 455 of an hour), which bounds a series to some 50 KiB.
//!
//! Series are shared between copies of the store until they change, so that a snapshot costs a pointer a series.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::alarm::{MetricId, Statistic};
use crate::model::metric::{MetricPoint, StatisticSet};
use crate::model::units::{Duration, Timestamp};

/// The tiers of retention: how many metric periods a datapoint of it covers, and how many of them are kept.
const TIERS: [(u32, usize); 3] = [(1, 360), (5, 288), (60, 360)];
/// Series kept at most. *Ours:* bounds memory when a guest makes up names.
pub const SERIES_MAX: usize = 10_000;

/// The datapoints of all metrics.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MetricStore {
    period: Duration,
    series: BTreeMap<Arc<MetricId>, Arc<Series>>,
}

/// A metric that the store has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyMetrics;

/// The datapoints of one metric, oldest first in each tier; each tier is older than the one before it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Series {
    tiers: [VecDeque<MetricPoint>; TIERS.len()],
}

impl MetricStore {
    /// A store without data, for datapoints of this period.
    pub fn new(period: Duration) -> MetricStore {
        MetricStore { period, series: BTreeMap::new() }
    }

    /// When the metric period of a moment begins.
    pub fn period_of(&self, at: Timestamp) -> Timestamp {
        start_of(at, nanos(self.period))
    }

    /// The metric period's length.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Adds samples to the period of `at`. What is older than the newest datapoint came late and is left out.
    ///
    /// # Errors
    /// When the metric is a new one and there are [`SERIES_MAX`].
    pub fn put(&mut self, metric: &MetricId, at: Timestamp, samples: StatisticSet) -> Result<(), TooManyMetrics> {
        self.put_fine(metric, at, self.period, samples)
    }

    /// Adds samples to the part of a metric period that `at` is in: parts are `width` long, of which a metric period is a multiple.
    /// *Ours:* as many datapoints of them are kept as of whole periods, so for a shorter time.
    ///
    /// # Errors
    /// As for [`MetricStore::put`].
    pub fn put_fine(
        &mut self,
        metric: &MetricId,
        at: Timestamp,
        width: Duration,
        samples: StatisticSet,
    ) -> Result<(), TooManyMetrics> {
        if !self.series.contains_key(metric) {
            if self.series.len() >= SERIES_MAX {
                self.forget_before(at);
            }
            if self.series.len() >= SERIES_MAX {
                return Err(TooManyMetrics);
            }
            self.series.insert(Arc::new(metric.clone()), Arc::default());
        }
        let (at, period) = (start_of(at, nanos(width)), nanos(self.period));
        let series = Arc::make_mut(self.series.get_mut(metric).expect("it was put in if it was missing"));
        match series.tiers[0].back_mut() {
            Some(last) if last.at == at => last.samples.add(&samples),
            Some(last) if last.at > at => {}
            _ => series.push(MetricPoint { at, samples }, period),
        }
        Ok(())
    }

    /// The statistic of one period of any whole number of metric periods; `None` where there is no sample.
    pub fn statistic(&self, metric: &MetricId, from: Timestamp, period: Duration, what: Statistic) -> Option<i64> {
        let points = self.points(metric, from, from + period, period);
        points.first().map(|point| point.samples.statistic(what))
    }

    /// GetMetricStatistics: the datapoints from `from` up to `until`, each of `period` from a multiple of it on. Periods without a
    /// sample are left out. Old data is as coarse as it is kept.
    pub fn points(&self, metric: &MetricId, from: Timestamp, until: Timestamp, period: Duration) -> Vec<MetricPoint> {
        let Some(series) = self.series.get(metric) else { return Vec::new() };
        let width = nanos(period);
        let mut found: Vec<MetricPoint> = Vec::new();
        for point in series.tiers.iter().rev().flat_map(|tier| within(tier, from, until)) {
            let at = start_of(point.at, width);
            match found.last_mut() {
                Some(last) if last.at == at => last.samples.add(&point.samples),
                _ => found.push(MetricPoint { at, samples: point.samples }),
            }
        }
        found
    }

    /// The last datapoint of a metric.
    pub fn last(&self, metric: &MetricId) -> Option<MetricPoint> {
        self.series.get(metric)?.tiers[0].back().copied()
    }

    /// ListMetrics: every metric that has data, of one namespace or of all.
    pub fn list<'a>(&'a self, namespace: Option<&'a str>) -> impl Iterator<Item = &'a MetricId> {
        let ids = self.series.keys().map(|id| &**id);
        ids.filter(move |id| namespace.is_none_or(|namespace| *id.namespace == *namespace))
    }

    /// Whether a metric has ever had data that is still kept.
    pub fn has(&self, metric: &MetricId) -> bool {
        self.series.contains_key(metric)
    }

    /// Forgets series whose data would all have been given up by `now`.
    fn forget_before(&mut self, now: Timestamp) {
        let kept: u64 = TIERS.iter().map(|(periods, count)| u64::from(*periods) * count_u64(*count)).sum();
        let oldest = now.0.saturating_sub(nanos(self.period).saturating_mul(kept));
        self.series.retain(|_, series| series.tiers[0].back().is_some_and(|last| last.at.0 >= oldest));
    }
}

impl Default for MetricStore {
    fn default() -> MetricStore {
        MetricStore::new(Duration::from_secs(60))
    }
}

impl Series {
    /// Appends a datapoint; what overflows a tier is merged into the next.
    fn push(&mut self, point: MetricPoint, period: u64) {
        let mut moving = Some(point);
        for (tier, (periods, kept)) in self.tiers.iter_mut().zip(TIERS) {
            let Some(mut point) = moving.take() else { return };
            if periods > 1 {
                point.at = start_of(point.at, period.saturating_mul(periods.into()));
            }
            match tier.back_mut() {
                Some(last) if last.at == point.at => last.samples.add(&point.samples),
                _ => tier.push_back(point),
            }
            if tier.len() > kept {
                moving = tier.pop_front();
            }
        }
    }
}

fn within(tier: &VecDeque<MetricPoint>, from: Timestamp, until: Timestamp) -> impl Iterator<Item = &MetricPoint> {
    let first = tier.partition_point(|point| point.at < from);
    tier.iter().skip(first).take_while(move |point| point.at < until)
}

fn start_of(at: Timestamp, width: u64) -> Timestamp {
    Timestamp(at.0 - at.0 % width.max(1))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn count_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(60 * minutes)
    }

    fn metric(name: &str) -> MetricId {
        MetricId::new("Shop", name, &[("Queue", "orders")])
    }

    fn put(store: &mut MetricStore, moment: Timestamp, value: i64) {
        store.put(&metric("Depth"), moment, StatisticSet::of(value)).unwrap();
    }

    /// Samples of a period come together; periods without one are missing, not zero.
    #[test]
    fn samples_of_a_period_come_together() {
        let mut store = MetricStore::new(MINUTE);
        put(&mut store, at(1), 10);
        put(&mut store, at(1) + Duration::from_secs(59), 30);
        put(&mut store, at(3), 5);
        let read = |minute, what| store.statistic(&metric("Depth"), at(minute), MINUTE, what);
        assert_eq!([0, 1, 2, 3].map(|minute| read(minute, Statistic::Average)), [None, Some(20), None, Some(5)]);
        assert_eq!([Statistic::Maximum, Statistic::Sum].map(|what| read(1, what)), [Some(30), Some(40)]);
        // Three minutes as one period.
        let points = store.points(&metric("Depth"), at(0), at(9), 3 * MINUTE);
        let shown: Vec<_> = points.iter().map(|point| (point.at, point.samples.sum)).collect();
        assert_eq!(shown, [(at(0), 40), (at(3), 5)]);
    }

    /// What comes late is left out: it would change a datapoint that was decided by.
    #[test]
    fn late_samples_are_left_out() {
        let mut store = MetricStore::new(MINUTE);
        put(&mut store, at(5), 10);
        put(&mut store, at(4), 99);
        assert_eq!(store.points(&metric("Depth"), at(0), at(9), MINUTE).len(), 1);
    }

    /// No sample is lost by merging, and memory is bounded.
    #[test]
    fn old_data_becomes_coarser_and_goes() {
        let mut store = MetricStore::new(MINUTE);
        for minute in 0..1_000 {
            put(&mut store, at(minute), 1_000);
        }
        let points = store.points(&metric("Depth"), at(0), at(2_000), MINUTE);
        assert_eq!(points.iter().map(|point| point.samples.sample_count).sum::<u64>(), 1_000);
        assert_eq!((points[0].at, points[1].at), (at(0), at(5)));
        assert_eq!((points.len(), points[points.len() - 360].at), (360 + 640 / 5, at(640)));
        for minute in 1_000..40_000 {
            put(&mut store, at(minute), 1_000);
        }
        let points = store.points(&metric("Depth"), at(0), at(50_000), MINUTE);
        assert_eq!(points.len(), 360 + 288 + 360);
        let hours = store.points(&metric("Depth"), at(0), at(50_000), 60 * MINUTE);
        assert!(
            hours.windows(2).all(|pair| pair[1].at == pair[0].at + 60 * MINUTE),
            "no hour is missing or twice there"
        );
    }

    /// Names that somebody makes up don't grow without bound, and old ones make room.
    #[test]
    fn series_are_bounded() {
        let mut store = MetricStore::new(MINUTE);
        let name = |index: usize| metric(&format!("Made up {index}"));
        for index in 0..SERIES_MAX {
            store.put(&name(index), at(0), StatisticSet::of(1)).unwrap();
        }
        assert_eq!(store.put(&metric("Depth"), at(1), StatisticSet::of(1)), Err(TooManyMetrics));
        assert_eq!(store.put(&metric("Depth"), at(60_000), StatisticSet::of(1)), Ok(()));
        assert_eq!(store.list(Some("Shop")).count(), 1);
        assert_eq!(store.list(Some("AWS/ECS")).count(), 0);
    }
}
