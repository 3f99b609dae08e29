//! Consecutive records of the journal as lines, ready to leave.

use bytes::{Bytes, BytesMut};

/// Consecutive records, one line each.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    lines: BytesMut,
    marks: Vec<Mark>,
}

/// Where a line ends, and which record it is.
#[derive(Clone, Copy, Debug)]
struct Mark {
    seq: u64,
    end: usize,
}

impl Batch {
    /// Adds a record. `line` carries no newline; it is added here.
    pub fn push(&mut self, seq: u64, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.lines.extend_from_slice(b"\n");
        self.marks.push(Mark { seq, end: self.lines.len() });
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Bytes of all lines with their newlines.
    pub fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// Sequence number of the last of the first `records` records.
    pub fn seq_after(&self, records: usize) -> Option<u64> {
        records.checked_sub(1).and_then(|last| self.marks.get(last)).map(|mark| mark.seq)
    }

    /// Every line with its newline.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.marks.iter().map(move |mark| {
            let line = self.lines.get(start..mark.end).unwrap_or_default();
            start = mark.end;
            line
        })
    }

    /// Takes the first `records` records away, because they are delivered.
    pub fn advance(&mut self, records: usize) {
        let Some(mark) = records.checked_sub(1).and_then(|last| self.marks.get(last)).copied()
        else {
            return;
        };
        drop(self.lines.split_to(mark.end));
        self.marks.drain(..records);
        for rest in &mut self.marks {
            rest.end -= mark.end;
        }
    }

    /// All lines in one piece, sharing nothing with this batch.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_leaves_the_batch_and_the_rest_keeps_its_lines() {
        let mut batch = Batch::default();
        for (seq, line) in [(7, "a"), (8, "bb"), (11, "ccc")] {
            batch.push(seq, line.as_bytes());
        }
        assert_eq!(batch.seq_after(0), None);
        assert_eq!(batch.seq_after(2), Some(8));
        batch.advance(2);
        assert_eq!(batch.lines().collect::<Vec<_>>(), [b"ccc\n"]);
        assert_eq!(batch.seq_after(1), Some(11));
        batch.advance(1);
        assert!(batch.is_empty() && batch.bytes() == 0);
    }
}
