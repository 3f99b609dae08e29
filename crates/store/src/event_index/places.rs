//! Some of the records of a segment: a set of numbers below [`PLACES`].

use std::ops::RangeInclusive;

use super::SEGMENT_RECORDS;

/// Records of a segment.
pub(crate) const PLACES: u16 = 1 << PLACE_BITS;
/// Bits of a place.
pub(crate) const PLACE_BITS: u32 = SEGMENT_RECORDS.ilog2();
const WORDS: usize = PLACES as usize / 64;

/// A set of places in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places(Box<[u64; WORDS]>);

impl Places {
    pub(crate) fn none() -> Self {
        Self(Box::new([0; WORDS]))
    }

    pub(crate) fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    pub(crate) fn insert(&mut self, place: u16) {
        if let Some(word) = self.0.get_mut(usize::from(place >> 6)) {
            *word |= 1 << (place & 63);
        }
    }

    pub(crate) fn insert_range(&mut self, range: RangeInclusive<u16>) {
        range.for_each(|place| self.insert(place));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Leaves those that are in the other set too.
    pub(crate) fn retain(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
    }

    /// Adds those of the other set.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word |= other);
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    /// The places, rising.
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

    /// Places as ranges, rising. Those that are at most `gap` apart are in one range with what is
    /// between them.
    pub(crate) fn runs(&self, gap: u16) -> Vec<RangeInclusive<u16>> {
        let mut runs: Vec<RangeInclusive<u16>> = Vec::new();
        for place in self.iter() {
            match runs.last_mut() {
                Some(run) if place - *run.end() <= gap + 1 => *run = *run.start()..=place,
                _ => runs.push(place..=place),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_in_one_go() {
        let mut places = Places::none();
        for place in [0, 1, 5, 63, 64, 65, 1_000, PLACES - 1] {
            places.insert(place);
        }
        assert_eq!(places.len(), 8);
        let last = PLACES - 1;
        assert_eq!(places.runs(0), [0..=1, 5..=5, 63..=65, 1_000..=1_000, last..=last]);
        assert_eq!(places.runs(3), [0..=5, 63..=65, 1_000..=1_000, last..=last]);
        assert_eq!(Places::all().runs(0), [0..=last]);
        assert!(Places::none().runs(9).is_empty());
    }
}
