//! The values seen before, each kept for a limited time.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{CheckpointError, Decoder, Saved};
use super::digest::Digest;

/// Values with the time at which they were last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    last_seen: BTreeMap<Digest, i64>,
    /// Expiry queue: a time at which a value was seen, one entry per value.
    by_time: BTreeSet<(i64, Digest)>,
}

/// The result of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The value was seen before.
    Seen,
    /// The value is new and is now remembered.
    New,
    /// The value is not remembered, and the memory is full.
    Full,
}

impl Memory {
    /// Looks up a value and remembers it.
    pub(crate) fn observe(
        &mut self,
        time: i64,
        value: Digest,
        retention: i64,
        len_max: usize,
    ) -> Known {
        while let Some(&(last, oldest)) = self.by_time.first()
            && last <= time.saturating_sub(retention)
        {
            self.by_time.pop_first();
            match self.last_seen.get(&oldest) {
                // The value was seen again: requeue it.
                Some(&newest) if newest > last => drop(self.by_time.insert((newest, oldest))),
                _ => drop(self.last_seen.remove(&oldest)),
            }
        }
        if let Some(last) = self.last_seen.get_mut(&value) {
            *last = time.max(*last);
            return Known::Seen;
        }
        if self.last_seen.len() >= len_max {
            return Known::Full;
        }
        self.last_seen.insert(value, time);
        self.by_time.insert((time, value));
        Known::New
    }
}

impl Saved for Memory {
    fn save(&self, to: &mut Vec<u8>) {
        self.last_seen.save(to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        let last_seen = BTreeMap::<Digest, i64>::load(from)?;
        let by_time = last_seen.iter().map(|(value, last)| (*last, *value)).collect();
        Ok(Self { last_seen, by_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_new_until_seen_and_a_full_memory_is_reported() {
        let mut memory = Memory::default();
        let value = |byte| Digest([byte; 16]);
        let mut observe = |time, byte| memory.observe(time, value(byte), 100, 2);
        assert_eq!(observe(0, 1), Known::New);
        assert_eq!(observe(50, 1), Known::Seen);
        assert_eq!(observe(60, 2), Known::New);
        assert_eq!(observe(61, 3), Known::Full);
        assert_eq!(observe(61, 1), Known::Seen);
        assert_eq!(observe(165, 3), Known::New, "the second was forgotten");
        assert_eq!(observe(166, 1), Known::New, "so was the first");
    }
}
