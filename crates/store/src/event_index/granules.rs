//! Which granules of a segment: a set of numbers from 0 to 255.

use std::ops::RangeInclusive;

/// Granules of a segment.
pub(crate) const GRANULES: u16 = 256;

/// A set of granules of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granules([u64; 4]);

impl Granules {
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    pub(crate) fn insert(&mut self, granule: u8) {
        if let Some(word) = self.0.get_mut(usize::from(granule >> 6)) {
            *word |= 1 << (granule & 63);
        }
    }

    pub(crate) fn contains(self, granule: u8) -> bool {
        self.0.get(usize::from(granule >> 6)).is_some_and(|word| word >> (granule & 63) & 1 == 1)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    pub(crate) fn and(self, other: Self) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        Self(words)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        Self(words)
    }

    /// Neighbours as ranges, the lowest first.
    pub(crate) fn runs(self) -> Vec<RangeInclusive<u8>> {
        let mut runs: Vec<RangeInclusive<u8>> = Vec::new();
        for granule in (0..=u8::MAX).filter(|granule| self.contains(*granule)) {
            match runs.last_mut() {
                Some(run) if run.end().checked_add(1) == Some(granule) => {
                    *run = *run.start()..=granule;
                }
                _ => runs.push(granule..=granule),
            }
        }
        runs
    }
}
