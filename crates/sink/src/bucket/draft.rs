//! Events become an object: lines, hashed and compressed as they come.
//!
//! What is held is what is compressed, and one chunk that is not yet. An object is a series of gzip
//! members, which every reader of gzip takes for one file. The same events make the same bytes.
//!
//! Deliberately absent: when an object is sealed for its age, and where it goes.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use event::record::SignalRecord;
use event::{Timestamp, View};
use libdeflater::{CompressionLvl, Compressor};

use super::prefix::{self, Prefix, Range, Stream};
use super::shaping::Shaper;

/// Bytes of lines in one gzip member.
pub const CHUNK_BYTES: usize = 1 << 20;
/// An hour in microseconds: objects do not reach over its end.
const HOUR_MICROS: i64 = 3_600_000_000;

/// An object that is being filled.
pub struct Draft {
    shaper: Shaper,
    prefix: Prefix,
    stream: Stream,
    seal_bytes: usize,
    compressor: Compressor,
    digest: Context,
    /// Lines that are not hashed and compressed yet.
    chunk: Vec<u8>,
    /// Where a member is made.
    member: Vec<u8>,
    members: Vec<Bytes>,
    /// The first record, and when it was committed.
    first: Option<(u64, Timestamp)>,
    last: u64,
    lines: u64,
    raw_bytes: usize,
}

/// A sealed object. Its key is a function of what is inside.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where it goes.
    pub key: String,
    /// The first record.
    pub first: u64,
    /// The last record.
    pub last: u64,
    /// So many lines.
    pub lines: u64,
    /// Bytes of the lines.
    pub raw_bytes: usize,
    /// The compressed bytes, in pieces.
    pub body: Vec<Bytes>,
}

impl Object {
    /// Bytes of the body.
    pub fn bytes(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}

impl Draft {
    pub(super) fn new(shaper: Shaper, prefix: Prefix, stream: Stream, seal_bytes: usize) -> Self {
        Self {
            shaper,
            prefix,
            stream,
            seal_bytes,
            compressor: Compressor::new(CompressionLvl::default()),
            digest: Context::new(&SHA256),
            chunk: Vec::new(),
            member: Vec::new(),
            members: Vec::new(),
            first: None,
            last: 0,
            lines: 0,
            raw_bytes: 0,
        }
    }

    /// Takes an event, unless the object is full or of another hour: then it is to be sealed.
    pub fn push(&mut self, seq: u64, committed: Timestamp, event: View<'_>) -> bool {
        let event = event.numbered(seq);
        self.push_line(seq, committed, |shaper, chunk| shaper.write(&event, chunk))
    }

    /// Takes what became of a signal, under the same condition.
    pub fn push_signal(&mut self, seq: u64, committed: Timestamp, signal: SignalRecord) -> bool {
        let signal = signal.numbered(seq);
        self.push_line(seq, committed, |shaper, chunk| shaper.write_signal(&signal, chunk))
    }

    fn push_line(
        &mut self,
        seq: u64,
        committed: Timestamp,
        write: impl FnOnce(&Shaper, &mut Vec<u8>),
    ) -> bool {
        let start = self.chunk.len();
        write(&self.shaper, &mut self.chunk);
        self.chunk.push(b'\n');
        let line_bytes = self.chunk.len() - start;
        if !self.has_room(line_bytes, committed) {
            self.chunk.truncate(start);
            return false;
        }
        if self.lines == 0 {
            // The hour is that of the first line, whatever was passed before it.
            self.first = Some((self.first.map_or(seq, |(first, _)| first), committed));
        }
        self.raw_bytes += line_bytes;
        self.lines += 1;
        if self.chunk.len() >= CHUNK_BYTES {
            self.compress();
        }
        self.cover(seq, committed);
        true
    }

    /// Takes a record that makes no line here.
    pub fn pass(&mut self, seq: u64, committed: Timestamp) {
        self.cover(seq, committed);
    }

    /// The last record that was taken; `None` if there is none yet.
    pub fn last(&self) -> Option<u64> {
        self.first.map(|_| self.last)
    }

    /// When the first record was committed.
    pub fn since(&self) -> Option<Timestamp> {
        self.first.map(|(_, time)| time)
    }

    /// Whether there is no line in it.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The object, numbered as in `epoch`; `None` if there is no line in it.
    pub fn seal(mut self, epoch: u64) -> Option<Object> {
        let (first, time) = self.first.filter(|_| self.lines > 0)?;
        self.compress();
        let mut digest = [0; 32];
        digest.copy_from_slice(self.digest.finish().as_ref());
        let range = Range { epoch, first, last: self.last, time };
        Some(Object {
            key: prefix::key(&self.prefix, &self.stream, range, &digest),
            first,
            last: self.last,
            lines: self.lines,
            raw_bytes: self.raw_bytes,
            body: self.members,
        })
    }

    fn has_room(&self, line_bytes: usize, committed: Timestamp) -> bool {
        let Some((_, first)) = self.first.filter(|_| self.lines > 0) else { return true };
        let hour = |time: Timestamp| time.as_micros().div_euclid(HOUR_MICROS);
        hour(first) == hour(committed)
            && self.raw_bytes.saturating_add(line_bytes) <= self.seal_bytes
    }

    fn cover(&mut self, seq: u64, committed: Timestamp) {
        self.first.get_or_insert((seq, committed));
        self.last = seq;
    }

    fn compress(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        self.digest.update(&self.chunk);
        let bound = self.compressor.gzip_compress_bound(self.chunk.len());
        if self.member.len() < bound {
            self.member.resize(bound, 0);
        }
        // It fails only if there is no room, and there is.
        let len = self.compressor.gzip_compress(&self.chunk, &mut self.member).unwrap_or_default();
        self.members.push(Bytes::copy_from_slice(self.member.get(..len).unwrap_or_default()));
        self.chunk.clear();
    }
}
