//! The newest entries of a growing sequence, held in memory up to a number of bytes.
//!
//! Followers that keep up read from here; one that has fallen behind is told so and asks the disk.

use std::collections::VecDeque;

/// A bounded tail of a sequence.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    entries: VecDeque<(u64, usize, T)>,
    /// Everything after this number is here.
    complete_after: u64,
    held_bytes: usize,
    bytes_max: usize,
}

impl<T: Clone> Recent<T> {
    pub(crate) fn new(complete_after: u64, bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), complete_after, held_bytes: 0, bytes_max }
    }

    /// Add the next entry; the oldest make room.
    pub(crate) fn push(&mut self, number: u64, bytes: usize, entry: T) {
        self.entries.push_back((number, bytes, entry));
        self.held_bytes += bytes;
        while self.held_bytes > self.bytes_max {
            let Some((gone, bytes, _)) = self.entries.pop_front() else { break };
            self.held_bytes -= bytes;
            self.complete_after = gone;
        }
    }

    /// The number of the newest entry, or where the sequence stood before it.
    pub(crate) fn newest(&self) -> u64 {
        self.entries.back().map_or(self.complete_after, |(number, ..)| *number)
    }

    /// Entries after `number`, oldest first; `None` if some of them are no longer here.
    pub(crate) fn after(&self, number: u64) -> Option<impl Iterator<Item = (u64, usize, &T)>> {
        if number < self.complete_after {
            return None;
        }
        let first = self.entries.partition_point(|(at, ..)| *at <= number);
        Some(self.entries.range(first..).map(|(at, bytes, entry)| (*at, *bytes, entry)))
    }
}
