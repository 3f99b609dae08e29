//! The newest entries of a sequence, cached in memory up to a number of bytes.
//!
//! Readers that keep up read from this cache. A reader that is too far behind gets `None` and reads
//! from disk.

use std::collections::VecDeque;

/// A bounded tail of a sequence.
#[derive(Debug)]
pub(crate) struct TailCache<T> {
    entries: VecDeque<(u64, usize, T)>,
    /// All entries after this number are cached.
    complete_after: u64,
    cached_bytes: usize,
    bytes_max: usize,
}

impl<T: Clone> TailCache<T> {
    pub(crate) fn new(complete_after: u64, bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), complete_after, cached_bytes: 0, bytes_max }
    }

    /// Add the next entry, and evict the oldest ones beyond the limit.
    pub(crate) fn push(&mut self, number: u64, bytes: usize, entry: T) {
        self.entries.push_back((number, bytes, entry));
        self.cached_bytes += bytes;
        while self.cached_bytes > self.bytes_max {
            let Some((number, bytes, _)) = self.entries.pop_front() else { break };
            self.cached_bytes -= bytes;
            self.complete_after = number;
        }
    }

    /// The number of the newest entry, even if it was evicted; before the first entry, the number
    /// at which the sequence starts.
    pub(crate) fn newest(&self) -> u64 {
        self.entries.back().map_or(self.complete_after, |(number, ..)| *number)
    }

    /// The entries after `number`, oldest first; `None` if some of them were evicted.
    pub(crate) fn after(&self, number: u64) -> Option<impl Iterator<Item = (u64, usize, &T)>> {
        if number < self.complete_after {
            return None;
        }
        let first = self.entries.partition_point(|(at, ..)| *at <= number);
        Some(self.entries.range(first..).map(|(at, bytes, entry)| (*at, *bytes, entry)))
    }
}
