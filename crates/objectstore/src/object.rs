//! Builds objects: lines, hashed and compressed as they are added.
//!
//! Memory holds the compressed bytes and one chunk of lines. An object is a series of gzip members,
//! which gzip readers treat as one file. The same events make the same bytes.
//!
//! Deliberately absent: sealing by age, and the upload.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use event::record::SignalRecord;
use event::{EventRef, Timestamp};
use libdeflater::{CompressionLvl, Compressor};
use sink::LineLimiter;

use crate::key::{ObjectRange, Prefix, Stream, key};

/// Maximum number of bytes of lines in one gzip member.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Microseconds of an hour. All events of an object were committed in the same hour.
const HOUR_MICROS: i64 = 3_600_000_000;

/// An object to which events are added.
pub struct ObjectBuilder {
    limiter: LineLimiter,
    prefix: Prefix,
    stream: Stream,
    seal_bytes: usize,
    compressor: Compressor,
    digest: Context,
    /// Lines that are not yet hashed and compressed.
    chunk: Vec<u8>,
    /// Buffer for a compressed member.
    member: Vec<u8>,
    members: Vec<Bytes>,
    /// Sequence number of the first record, and when it was committed.
    first: Option<(u64, Timestamp)>,
    last: u64,
    lines: u64,
    raw_bytes: usize,
}

/// A complete object. Its key is a function of its content.
#[derive(Clone, Debug)]
pub struct Object {
    /// The whole key.
    pub key: String,
    /// Sequence number of the first record.
    pub first: u64,
    /// Sequence number of the last record.
    pub last: u64,
    /// Number of lines.
    pub lines: u64,
    /// Bytes of the lines before compression.
    pub raw_bytes: usize,
    /// The compressed bytes, in pieces that follow each other.
    pub body: Vec<Bytes>,
}

impl Object {
    /// Length of the body in bytes.
    pub fn bytes(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}

impl ObjectBuilder {
    pub(crate) fn new(
        limiter: LineLimiter,
        prefix: Prefix,
        stream: Stream,
        seal_bytes: usize,
    ) -> Self {
        Self {
            limiter,
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

    /// Adds an event. Returns false, and adds nothing, if the object is full or of another hour:
    /// then it has to be sealed.
    pub fn push(&mut self, seq: u64, commit_time: Timestamp, event: EventRef<'_>) -> bool {
        let event = event.with_seq(seq);
        self.push_line(seq, commit_time, |limiter, chunk| limiter.write(&event, chunk))
    }

    /// Adds a change of a signal, under the same conditions as [`push`](Self::push).
    pub fn push_signal(&mut self, seq: u64, commit_time: Timestamp, signal: SignalRecord) -> bool {
        let signal = signal.with_seq(seq);
        self.push_line(seq, commit_time, |limiter, chunk| limiter.write_signal(&signal, chunk))
    }

    fn push_line(
        &mut self,
        seq: u64,
        commit_time: Timestamp,
        write: impl FnOnce(&LineLimiter, &mut Vec<u8>),
    ) -> bool {
        let start = self.chunk.len();
        write(&self.limiter, &mut self.chunk);
        self.chunk.push(b'\n');
        let line_bytes = self.chunk.len() - start;
        if !self.fits(line_bytes, commit_time) {
            self.chunk.truncate(start);
            return false;
        }
        if self.lines == 0 {
            // The hour is that of the first line, not of a record that was skipped before it.
            self.first = Some((self.first.map_or(seq, |(first, _)| first), commit_time));
        }
        self.raw_bytes += line_bytes;
        self.lines += 1;
        if self.chunk.len() >= CHUNK_BYTES {
            self.compress();
        }
        self.extend_range(seq, commit_time);
        true
    }

    /// Extends the range of the object by a record without a line.
    pub fn skip(&mut self, seq: u64, commit_time: Timestamp) {
        self.extend_range(seq, commit_time);
    }

    /// Sequence number of the last record; `None` if there is none yet.
    pub fn last(&self) -> Option<u64> {
        self.first.map(|_| self.last)
    }

    /// When the first record was committed.
    pub fn first_time(&self) -> Option<Timestamp> {
        self.first.map(|(_, time)| time)
    }

    /// Whether it has no line.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The complete object; `None` if it has no line. `epoch` is that of the sequence numbers.
    pub fn seal(mut self, epoch: u64) -> Option<Object> {
        let (first, time) = self.first.filter(|_| self.lines > 0)?;
        self.compress();
        let mut digest = [0; 32];
        digest.copy_from_slice(self.digest.finish().as_ref());
        let range = ObjectRange { epoch, first, last: self.last, time };
        Some(Object {
            key: key(&self.prefix, &self.stream, range, &digest),
            first,
            last: self.last,
            lines: self.lines,
            raw_bytes: self.raw_bytes,
            body: self.members,
        })
    }

    fn fits(&self, line_bytes: usize, commit_time: Timestamp) -> bool {
        let Some((_, first)) = self.first.filter(|_| self.lines > 0) else { return true };
        let hour = |time: Timestamp| time.as_micros().div_euclid(HOUR_MICROS);
        hour(first) == hour(commit_time)
            && self.raw_bytes.saturating_add(line_bytes) <= self.seal_bytes
    }

    fn extend_range(&mut self, seq: u64, commit_time: Timestamp) {
        self.first.get_or_insert((seq, commit_time));
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
        // Compression fails only if the buffer is too small, and it has the size of the bound.
        let len = self.compressor.gzip_compress(&self.chunk, &mut self.member).unwrap_or_default();
        self.members.push(Bytes::copy_from_slice(self.member.get(..len).unwrap_or_default()));
        self.chunk.clear();
    }
}
