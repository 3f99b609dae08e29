//! A set of records of a segment, as positions below [`POSITIONS`].

use std::ops::RangeInclusive;

use super::SEGMENT_RECORDS;

/// The number of positions in a segment.
pub(crate) const POSITIONS: u16 = 1 << POSITION_BITS;
/// The number of bits of a position.
pub(crate) const POSITION_BITS: u32 = SEGMENT_RECORDS.ilog2();
const WORDS: usize = POSITIONS as usize / 64;

/// A set of positions in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PositionSet(Box<[u64; WORDS]>);

impl PositionSet {
    pub(crate) fn none() -> Self {
        Self(Box::new([0; WORDS]))
    }

    pub(crate) fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    pub(crate) fn insert(&mut self, position: u16) {
        if let Some(word) = self.0.get_mut(usize::from(position >> 6)) {
            *word |= 1 << (position & 63);
        }
    }

    pub(crate) fn insert_range(&mut self, range: RangeInclusive<u16>) {
        range.for_each(|position| self.insert(position));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Keep only the positions that are also in the other set.
    pub(crate) fn retain(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
    }

    /// Add the positions of the other set.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word |= other);
    }

    /// The number of positions in the set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    /// The positions in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u16> {
        (0_u16..).zip(self.0.iter()).flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = u16::try_from(rest.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                rest &= rest - 1;
                Some(at << 6 | bit)
            })
        })
    }

    /// The positions as ranges, in ascending order. Up to `gap` missing positions between two
    /// others are included in one range with them.
    pub(crate) fn runs(&self, gap: u16) -> Vec<RangeInclusive<u16>> {
        let mut runs: Vec<RangeInclusive<u16>> = Vec::new();
        for position in self.iter() {
            match runs.last_mut() {
                Some(run) if position - *run.end() <= gap + 1 => *run = *run.start()..=position,
                _ => runs.push(position..=position),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_records_are_read_together() {
        let mut positions = PositionSet::none();
        for position in [0, 1, 5, 63, 64, 65, 1_000, POSITIONS - 1] {
            positions.insert(position);
        }
        assert_eq!(positions.len(), 8);
        let last = POSITIONS - 1;
        assert_eq!(positions.runs(0), [0..=1, 5..=5, 63..=65, 1_000..=1_000, last..=last]);
        assert_eq!(positions.runs(3), [0..=5, 63..=65, 1_000..=1_000, last..=last]);
        assert_eq!(PositionSet::all().runs(0), [0..=last]);
        assert!(PositionSet::none().runs(9).is_empty());
    }
}
