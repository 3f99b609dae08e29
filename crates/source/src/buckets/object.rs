//! One object: its bytes are requested, decoded in a thread for it, and returned as records in chunks
//! of bounded size.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt as _};
use objectstore::{Bucket, ObjectEntry, ReadError};

use super::Failure;
use crate::envelopes::{Envelopes, Position, Record};
use crate::limits::{BUCKET_PAUSE_MAX, CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, PORTION_BYTES};

/// Records, and the position after them.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) records: Vec<Record>,
    pub(super) position: Position,
    /// The object has no more.
    pub(super) is_end: bool,
    /// The object ends within a record, which is not in the chunk.
    pub(super) is_waiting: bool,
}

impl Chunk {
    /// The end of an object without records.
    pub(super) fn end(position: Position) -> Self {
        Self { records: Vec::new(), position, is_end: true, is_waiting: false }
    }

    fn add(&mut self, record: Record) -> usize {
        let bytes = record.item.text.len();
        self.position = record.after.clone();
        self.records.push(record);
        bytes
    }
}

type Body = BoxStream<'static, Result<Bytes, ReadError>>;

/// Reads an object.
pub(super) struct ObjectReader<'b> {
    bucket: &'b Arc<Bucket>,
    object: &'b ObjectEntry,
    seed: Vec<u8>,
    body: Body,
    /// `None` only while a thread has it.
    envelopes: Option<Envelopes>,
    position: Position,
}

impl<'b> ObjectReader<'b> {
    /// Requests the object from a position on; from its beginning, if it does not have what was read
    /// before.
    pub(super) async fn open(
        bucket: &'b Arc<Bucket>,
        object: &'b ObjectEntry,
        seed: &[u8],
        position: Position,
    ) -> Result<Self, Failure> {
        let position = if position.offset > object.size { Position::default() } else { position };
        let start = position.offset.saturating_sub(position.tail.len() as u64);
        let body = bucket.read_from(object, start).await?;
        let seed = seed.to_vec();
        let envelopes = Some(Envelopes::new(&seed, &position));
        let mut reader = Self { bucket, object, seed, body, envelopes, position };
        if reader.position.offset > 0 && !reader.has_tail().await? {
            reader.restart().await?;
        }
        Ok(reader)
    }

    /// The next records.
    pub(super) async fn chunk(&mut self, takes_tail: bool) -> Result<Chunk, Failure> {
        let mut chunk = Chunk { is_end: false, ..Chunk::end(self.position.clone()) };
        let mut bytes = 0;
        loop {
            let Some(envelopes) = self.envelopes.take() else { return Err("no decoder".into()) };
            let decode = move || decode(envelopes, chunk, bytes, takes_tail);
            let decoded = tokio::task::spawn_blocking(decode).await?;
            let (envelopes, is_full) = (decoded.envelopes, decoded.is_full);
            (chunk, bytes) = (decoded.chunk, decoded.bytes);
            let (is_finished, has_changed) = (envelopes.is_finished(), envelopes.has_changed());
            self.envelopes = Some(envelopes);
            if has_changed {
                self.restart().await?;
                chunk = Chunk { is_end: false, ..Chunk::end(self.position.clone()) };
                continue;
            }
            if is_full || is_finished || chunk.is_waiting {
                chunk.is_end = chunk.is_waiting || is_finished;
                self.position = chunk.position.clone();
                return Ok(chunk);
            }
            self.receive().await?;
        }
    }

    /// Requests the object from its beginning.
    async fn restart(&mut self) -> Result<(), Failure> {
        tracing::info!(key = self.object.key, "an object was replaced, and is read again");
        self.position = Position::default();
        self.body = self.bucket.read_from(self.object, 0).await?;
        self.envelopes = Some(Envelopes::new(&self.seed, &self.position));
        Ok(())
    }

    /// Whether the body begins with the bytes before the position, which are taken.
    async fn has_tail(&mut self) -> Result<bool, Failure> {
        let tail = std::mem::take(&mut self.position.tail);
        let mut start = Vec::new();
        while start.len() < tail.len() {
            let Some(portion) = self.portion().await? else { return Ok(false) };
            start.extend_from_slice(&portion);
        }
        let rest = start.split_off(tail.len());
        let is_equal = start == tail;
        self.position.tail = tail;
        if let Some(envelopes) = &mut self.envelopes {
            envelopes.push(Bytes::from(rest));
        }
        Ok(is_equal)
    }

    /// Receives the next bytes.
    async fn receive(&mut self) -> Result<(), Failure> {
        let mut received = 0;
        while received < PORTION_BYTES {
            let portion = self.portion().await?;
            let Some(envelopes) = &mut self.envelopes else { return Ok(()) };
            let Some(portion) = portion else {
                envelopes.end();
                return Ok(());
            };
            received += portion.len();
            envelopes.push(portion);
        }
        Ok(())
    }

    /// The next bytes of the body; `None` at its end.
    async fn portion(&mut self) -> Result<Option<Bytes>, Failure> {
        let portion = tokio::time::timeout(BUCKET_PAUSE_MAX, self.body.try_next()).await;
        let stalled = |_| format!("the store sent nothing of {} in time", self.object.key);
        Ok(portion.map_err(stalled)??)
    }
}

/// What a thread returns.
struct Decoded {
    envelopes: Envelopes,
    chunk: Chunk,
    bytes: usize,
    /// The chunk has as much as may be recorded in one transaction.
    is_full: bool,
}

/// Adds records to a chunk until more bytes are needed.
fn decode(
    mut envelopes: Envelopes,
    mut chunk: Chunk,
    mut bytes: usize,
    takes_tail: bool,
) -> Decoded {
    let is_full = |chunk: &Chunk, bytes: usize| {
        chunk.records.len() >= CHUNK_EVENTS_MAX || bytes >= CHUNK_BYTES_MAX
    };
    while !is_full(&chunk, bytes) {
        match envelopes.next_record() {
            Some(record) if record.is_tail && !takes_tail => {
                chunk.is_waiting = true;
                break;
            }
            Some(record) => bytes += chunk.add(record),
            None => break,
        }
    }
    let is_full = is_full(&chunk, bytes);
    Decoded { envelopes, chunk, bytes, is_full }
}
