//! How many acts of each kind happened when: counts by time, in steps that grow with the range.

use std::collections::BTreeMap;

use event::Timestamp;

use super::classify::Class;

/// Steps that are kept. When there are more, each two become one.
const STEPS_MAX: usize = 4096;
/// The first step, in microseconds.
const STEP_FIRST: i64 = 1000;

/// Counts by time.
pub(crate) struct Density {
    step: i64,
    steps: BTreeMap<i64, Counts>,
}

/// Acts of each kind in one step, in the order of [`Class::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) all: [u64; Class::ALL.len()],
    /// How many of them were refused.
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
        Self { step: STEP_FIRST, steps: BTreeMap::new() }
    }
}

impl Density {
    pub(crate) fn add(&mut self, time: Timestamp, class: Class, is_refused: bool) {
        let counts = self.steps.entry(time.as_micros().div_euclid(self.step)).or_default();
        let at = class as usize;
        if let (Some(all), Some(refused)) = (counts.all.get_mut(at), counts.refused.get_mut(at)) {
            *all += 1;
            *refused += u64::from(is_refused);
        }
        while self.steps.len() > STEPS_MAX {
            self.widen();
        }
    }

    fn widen(&mut self) {
        self.step = self.step.saturating_mul(2);
        let mut wider: BTreeMap<i64, Counts> = BTreeMap::new();
        for (at, counts) in std::mem::take(&mut self.steps) {
            wider.entry(at.div_euclid(2)).or_default().merge(&counts);
        }
        self.steps = wider;
    }

    /// The counts in stretches of time that follow each other. What lies between two of them counts
    /// with the earlier one.
    pub(crate) fn bins(&self, starts: &[i64]) -> Vec<Counts> {
        let mut bins = vec![Counts::default(); starts.len()];
        for (at, counts) in &self.steps {
            let middle = at.saturating_mul(self.step).saturating_add(self.step / 2);
            let behind = starts.partition_point(|start| *start <= middle);
            if let Some(bin) = bins.get_mut(behind.saturating_sub(1)) {
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
        assert!(density.steps.len() <= STEPS_MAX);
        let starts: Vec<i64> = (0..10).map(|part| part * 2000 * 60_000_000).collect();
        let bins = density.bins(&starts);
        let sum: u64 = bins.iter().map(|bin| bin.all[Class::Read as usize]).sum();
        let refused: u64 = bins.iter().map(|bin| bin.refused[Class::Read as usize]).sum();
        assert_eq!((sum, refused), (20_000, 10_000));
        assert!(bins.iter().all(|bin| bin.all[Class::Read as usize] > 1900), "{bins:?}");
    }
}
