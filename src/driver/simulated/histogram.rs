//! How often durations of which length occurred, in bounded space: parts of powers of two, each an 128th wide.

use std::collections::BTreeMap;

use crate::model::units::Duration;

/// Parts of a power of two, as a power of two.
const PARTS_BITS: u32 = 7;
const PARTS: u64 = 1 << PARTS_BITS;

/// Durations, counted. A percentile is at most an 128th too long; mean and greatest are exact.
#[derive(Clone, Debug, Default)]
pub struct DurationHistogram {
    /// How often each part occurred, but for whole multiples of 65,536: a service's counters are to stay in a processor's cache.
    counts: Vec<u16>,
    /// Those multiples, where there are any.
    carries: BTreeMap<usize, u64>,
    count: u64,
    sum_nanos: u128,
    max_nanos: u64,
}

impl DurationHistogram {
    /// Counts one.
    pub(super) fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let index = index_of(nanos);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        let (count, has_wrapped) = self.counts[index].overflowing_add(1);
        self.counts[index] = count;
        if has_wrapped {
            *self.carries.entry(index).or_default() += 1;
        }
        self.count += 1;
        self.sum_nanos += u128::from(nanos);
        self.max_nanos = self.max_nanos.max(nanos);
    }

    /// Counts all of another histogram.
    pub(in crate::driver) fn add_all(&mut self, other: &DurationHistogram) {
        let length = self.counts.len().max(other.counts.len());
        let counts: Vec<u64> = (0..length).map(|index| self.count_at(index) + other.count_at(index)).collect();
        self.set_counts(counts);
        self.count += other.count;
        self.sum_nanos += other.sum_nanos;
        self.max_nanos = self.max_nanos.max(other.max_nanos);
    }

    /// Those of this one that an earlier state of it did not have. Its greatest is known no better than a percentile.
    pub fn without(&self, earlier: &DurationHistogram) -> DurationHistogram {
        let since = |index: usize| self.count_at(index).saturating_sub(earlier.count_at(index));
        let counts: Vec<u64> = (0..self.counts.len()).map(since).collect();
        let greatest = counts.iter().rposition(|count| *count > 0).map_or(0, greatest_of);
        let mut without = DurationHistogram {
            count: self.count.saturating_sub(earlier.count),
            sum_nanos: self.sum_nanos.saturating_sub(earlier.sum_nanos),
            max_nanos: greatest.min(self.max_nanos),
            ..DurationHistogram::default()
        };
        without.set_counts(counts);
        without
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; zero of none.
    pub fn mean(&self) -> Duration {
        let mean = self.sum_nanos.checked_div(u128::from(self.count)).unwrap_or_default();
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The greatest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_nanos)
    }

    /// The one that so many thousandths are not above, by nearest rank.
    pub fn permille(&self, permille: u64) -> Duration {
        let rank = (u128::from(self.count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0u128;
        for index in 0..self.counts.len() {
            seen += u128::from(self.count_at(index));
            if seen >= rank {
                return Duration::from_nanos(greatest_of(index).min(self.max_nanos));
            }
        }
        Duration::ZERO
    }

    /// How often a part occurred.
    fn count_at(&self, index: usize) -> u64 {
        let count = u64::from(self.counts.get(index).copied().unwrap_or(0));
        // Most have none.
        if self.carries.is_empty() {
            count
        } else {
            count + (self.carries.get(&index).copied().unwrap_or(0) << u16::BITS)
        }
    }

    fn set_counts(&mut self, counts: impl IntoIterator<Item = u64>) {
        self.counts.clear();
        self.carries.clear();
        for (index, count) in counts.into_iter().enumerate() {
            self.counts.push(u16::try_from(count & u64::from(u16::MAX)).expect("the rest is carried"));
            if count >> u16::BITS > 0 {
                self.carries.insert(index, count >> u16::BITS);
            }
        }
    }
}

fn index_of(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(PARTS_BITS + 1);
    let index = u64::from(shift) * PARTS + (nanos >> shift);
    usize::try_from(index).expect("there are less than ten thousand parts")
}

/// The greatest amount that is counted at an index.
fn greatest_of(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let shift = (index / PARTS).saturating_sub(1);
    let least = (index - shift * PARTS) << shift;
    least + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each amount is counted where amounts up to an 128th longer are, and nowhere else.
    #[test]
    fn parts_are_narrow() {
        let mut before = 0;
        for nanos in (0..100_000).chain([1 << 40, (1 << 40) + 1, u64::MAX / 2, u64::MAX]) {
            let index = index_of(nanos);
            let greatest = greatest_of(index);
            assert!(index >= before && greatest >= nanos, "{nanos}: {index}, {greatest}");
            assert!(greatest - nanos <= nanos / 128, "{nanos} counts as {greatest}");
            before = index;
        }
    }

    /// What was counted between two moments.
    #[test]
    fn without_what_was_there_before() {
        let mut histogram = DurationHistogram::default();
        (1..=100).for_each(|nanos| histogram.add(Duration::from_nanos(nanos)));
        let before = histogram.clone();
        assert_eq!(histogram.without(&before).count(), 0);
        (11..=20).for_each(|nanos| histogram.add(Duration::from_nanos(nanos)));
        let since = histogram.without(&before);
        let of = |permille| since.permille(permille).as_nanos();
        assert_eq!(
            (since.count(), of(500), of(1000), since.mean().as_nanos(), since.max().as_nanos()),
            (10, 15, 20, 15, 20)
        );
    }

    /// However often a length occurs.
    #[test]
    fn counts_beyond_small_numbers() {
        let mut histogram = DurationHistogram::default();
        let (short, long) = (Duration::from_nanos(3), Duration::from_nanos(5));
        (0..70_000).for_each(|_| histogram.add(short));
        let before = histogram.clone();
        (0..150_000).for_each(|_| histogram.add(long));
        let of = |histogram: &DurationHistogram, permille| histogram.permille(permille).as_nanos();
        assert_eq!((of(&histogram, 318), of(&histogram, 319)), (3, 5));
        let since = histogram.without(&before);
        assert_eq!((since.count(), of(&since, 1)), (150_000, 5));
        let mut all = since;
        all.add_all(&before);
        assert_eq!((all.count(), of(&all, 318), of(&all, 319)), (220_000, 3, 5));
    }

    /// Nearest rank.
    #[test]
    fn percentiles() {
        let mut histogram = DurationHistogram::default();
        for nanos in 1..=100 {
            histogram.add(Duration::from_nanos(nanos));
        }
        let of = |permille| histogram.permille(permille).as_nanos();
        assert_eq!((of(500), of(990), of(1000), histogram.mean().as_nanos()), (50, 99, 100, 50));
        assert_eq!(DurationHistogram::default().permille(990), Duration::ZERO);
        let mut both = DurationHistogram::default();
        both.add(Duration::from_nanos(1));
        both.add_all(&histogram);
        let of = |permille| both.permille(permille).as_nanos();
        assert_eq!((both.count(), of(500), of(1000), both.max().as_nanos()), (101, 50, 100, 100));
    }
}
