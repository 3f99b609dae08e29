//! Consecutive records of the journal as lines.

use std::ops::Range;

use bytes::{Buf as _, Bytes};

/// Consecutive records, one line each. A clone shares the bytes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    lines: Bytes,
    line_ends: Vec<LineEnd>,
}

/// Builds a [`Batch`]. Each line is written once, into the buffer of the batch.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    lines: Vec<u8>,
    line_ends: Vec<LineEnd>,
}

/// The end of a line, and the sequence number of its record.
#[derive(Clone, Copy, Debug)]
struct LineEnd {
    seq: u64,
    end: usize,
}

impl BatchBuilder {
    /// Adds a record. `write` appends its line without the newline, which this function adds.
    pub fn push(&mut self, seq: u64, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.lines);
        self.lines.push(b'\n');
        self.line_ends.push(LineEnd { seq, end: self.lines.len() });
    }

    /// Length of all lines in bytes.
    pub fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// The finished batch.
    pub fn finish(self) -> Batch {
        Batch { lines: Bytes::from(self.lines), line_ends: self.line_ends }
    }
}

impl Batch {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.line_ends.len()
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.line_ends.is_empty()
    }

    /// Sequence number of record number `records`, counted from 1; `None` for 0 and for numbers
    /// above the count.
    pub fn seq_after(&self, records: usize) -> Option<u64> {
        records
            .checked_sub(1)
            .and_then(|last| self.line_ends.get(last))
            .map(|line_end| line_end.seq)
    }

    /// The lines, each with its newline.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges().map(|range| self.slice(range))
    }

    /// The range of each line with its newline in the bytes of the batch.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.line_ends.iter().map(move |line_end| {
            let range = start..line_end.end;
            start = line_end.end;
            range
        })
    }

    /// A range of the bytes of the batch; empty if it is out of bounds.
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        self.lines.get(range).unwrap_or_default()
    }

    /// Removes the first `records` records, which are delivered.
    pub fn advance(&mut self, records: usize) {
        let Some(line_end) =
            records.checked_sub(1).and_then(|last| self.line_ends.get(last)).copied()
        else {
            return;
        };
        self.lines.advance(line_end.end);
        self.line_ends.drain(..records);
        for rest in &mut self.line_ends {
            rest.end -= line_end.end;
        }
    }

    /// The bytes of all lines.
    pub fn to_bytes(&self) -> Bytes {
        self.lines.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivered_records_are_removed_and_the_rest_keeps_its_lines() {
        let mut builder = BatchBuilder::default();
        for (seq, line) in [(7, "a"), (8, "bb"), (11, "ccc")] {
            builder.push(seq, |lines| lines.extend_from_slice(line.as_bytes()));
        }
        let mut batch = builder.finish();
        assert_eq!(batch.seq_after(0), None);
        assert_eq!(batch.seq_after(2), Some(8));
        batch.advance(2);
        assert_eq!(batch.lines().collect::<Vec<_>>(), [b"ccc\n"]);
        assert_eq!(batch.seq_after(1), Some(11));
        batch.advance(1);
        assert!(batch.is_empty() && batch.to_bytes().is_empty());
    }
}
