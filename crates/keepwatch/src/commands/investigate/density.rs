//! Counts of requests by class and time, in intervals that grow with the time range.

use std::collections::BTreeMap;

use event::Timestamp;

use super::classify::Class;

/// Maximum number of intervals. When there are more, each two are merged.
const INTERVALS_MAX: usize = 4096;
/// The initial length of an interval, in microseconds.
const INTERVAL_INITIAL: i64 = 1000;

/// Counts by time.
pub(crate) struct Density {
    /// In microseconds.
    interval: i64,
    /// By start, in units of `interval`.
    intervals: BTreeMap<i64, Counts>,
}

/// Requests of each class in one interval, in the order of [`Class::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) all: [u64; Class::ALL.len()],
    /// Number of refused requests, by class.
    pub(crate) refused: [u64; Class::ALL.len()],
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        for (sum, count) in self.all.iter_mut().zip(other.all) {
            *sum += count;
        }
        for (sum, count) in self.refused.iter_mut().zip(other.refused) {
            *sum += count;
        }
    }
}

impl Default for Density {
    fn default() -> Self {
        Self { interval: INTERVAL_INITIAL, intervals: BTreeMap::new() }
    }
}

impl Density {
    pub(crate) fn add(&mut self, time: Timestamp, class: Class, is_refused: bool) {
        let counts = self.intervals.entry(time.as_micros().div_euclid(self.interval)).or_default();
        let index = class as usize;
        if let (Some(all), Some(refused)) =
            (counts.all.get_mut(index), counts.refused.get_mut(index))
        {
            *all += 1;
            *refused += u64::from(is_refused);
        }
        while self.intervals.len() > INTERVALS_MAX {
            self.widen();
        }
    }

    fn widen(&mut self) {
        self.interval = self.interval.saturating_mul(2);
        let mut wider: BTreeMap<i64, Counts> = BTreeMap::new();
        for (start, counts) in std::mem::take(&mut self.intervals) {
            wider.entry(start.div_euclid(2)).or_default().merge(&counts);
        }
        self.intervals = wider;
    }

    /// The counts in bins that start at these times. Each bin ends where the next one starts.
    pub(crate) fn bins(&self, starts: &[i64]) -> Vec<Counts> {
        let mut bins = vec![Counts::default(); starts.len()];
        for (start, counts) in &self.intervals {
            let middle = start.saturating_mul(self.interval).saturating_add(self.interval / 2);
            let next = starts.partition_point(|bin| *bin <= middle);
            if let Some(bin) = bins.get_mut(next.saturating_sub(1)) {
                bin.merge(counts);
            }
        }
        bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_widen_and_nothing_is_lost() {
        let mut density = Density::default();
        for minute in 0..20_000_i64 {
            let time = Timestamp::from_micros(minute * 60_000_000);
            density.add(time, Class::Read, minute % 2 == 0);
        }
        assert!(density.intervals.len() <= INTERVALS_MAX);
        let starts: Vec<i64> = (0..10).map(|part| part * 2000 * 60_000_000).collect();
        let bins = density.bins(&starts);
        let sum: u64 = bins.iter().map(|bin| bin.all[Class::Read as usize]).sum();
        let refused: u64 = bins.iter().map(|bin| bin.refused[Class::Read as usize]).sum();
        assert_eq!((sum, refused), (20_000, 10_000));
        assert!(bins.iter().all(|bin| bin.all[Class::Read as usize] > 1900), "{bins:?}");
    }
}
