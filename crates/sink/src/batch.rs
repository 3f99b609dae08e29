//! Consecutive records of the journal as lines, ready to leave.

use std::ops::Range;

use bytes::{Buf as _, Bytes};

/// Consecutive records, one line each. A clone shares the lines.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    lines: Bytes,
    marks: Vec<Mark>,
}

/// A batch that is being put together: each line is written once, where it stays.
#[derive(Debug, Default)]
pub struct Draft {
    lines: Vec<u8>,
    marks: Vec<Mark>,
}

/// Where a line ends, and which record it is.
#[derive(Clone, Copy, Debug)]
struct Mark {
    seq: u64,
    end: usize,
}

impl Draft {
    /// Adds a record. `write` appends its line without the newline; that is added here.
    pub fn push(&mut self, seq: u64, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.lines);
        self.lines.push(b'\n');
        self.marks.push(Mark { seq, end: self.lines.len() });
    }

    /// Bytes of all lines so far.
    pub fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// The batch, ready to leave.
    pub fn finish(self) -> Batch {
        Batch { lines: Bytes::from(self.lines), marks: self.marks }
    }
}

impl Batch {
    /// How many records.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Sequence number of the last of the first `records` records.
    pub fn seq_after(&self, records: usize) -> Option<u64> {
        records.checked_sub(1).and_then(|last| self.marks.get(last)).map(|mark| mark.seq)
    }

    /// Every line with its newline.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges().map(|range| self.slice(range))
    }

    /// Where each line with its newline is.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.marks.iter().map(move |mark| {
            let range = start..mark.end;
            start = mark.end;
            range
        })
    }

    /// A piece of all lines; nothing where there is none.
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        self.lines.get(range).unwrap_or_default()
    }

    /// Takes the first `records` records away, because they are delivered.
    pub fn advance(&mut self, records: usize) {
        let Some(mark) = records.checked_sub(1).and_then(|last| self.marks.get(last)).copied()
        else {
            return;
        };
        self.lines.advance(mark.end);
        self.marks.drain(..records);
        for rest in &mut self.marks {
            rest.end -= mark.end;
        }
    }

    /// All lines in one piece.
    pub fn to_bytes(&self) -> Bytes {
        self.lines.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_leaves_the_batch_and_the_rest_keeps_its_lines() {
        let mut draft = Draft::default();
        for (seq, line) in [(7, "a"), (8, "bb"), (11, "ccc")] {
            draft.push(seq, |lines| lines.extend_from_slice(line.as_bytes()));
        }
        let mut batch = draft.finish();
        assert_eq!(batch.seq_after(0), None);
        assert_eq!(batch.seq_after(2), Some(8));
        batch.advance(2);
        assert_eq!(batch.lines().collect::<Vec<_>>(), [b"ccc\n"]);
        assert_eq!(batch.seq_after(1), Some(11));
        batch.advance(1);
        assert!(batch.is_empty() && batch.to_bytes().is_empty());
    }
}
