//! The containers in which cloud providers and log tools deliver audit events: bytes in, events out.
//!
//! The bytes of an object are decompressed, up to two layers of gzip or zstd, which are recognized
//! by their first bytes. The content is a stream of JSON values with or without separators, of
//! lines, or of arrays. Containers of known kinds are unwrapped ([`unwrap`]), and what is left is the
//! text of an event as the other sources receive it.
//!
//! Every byte belongs to a record, to a container, or to white space: what is not an event is a
//! record that says why. Memory is bounded whatever the input, and so is the work: the content may
//! be at most [`EXPANSION_MAX`](crate::limits::EXPANSION_MAX) times as long as the object, and what is
//! between two layers [`INNER_EXPANSION_MAX`](crate::limits::INNER_EXPANSION_MAX) times.
//!
//! The module is pure: the caller passes the bytes in portions of any size, and the same bytes give
//! the same records. Deliberately absent: where the bytes come from, and the journal.

mod aks;
mod cut;
mod decompress;
mod gke;
mod openshift;
mod unwrap;
mod values;

use std::collections::VecDeque;
use std::io::{self, BufRead};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::limits::LAYERS_MAX;
use crate::splitter::{DIGEST_LEN, Digest, Fault, Item};
use decompress::{Content, Counted, Feed, Layer};
use unwrap::Unwrapper;
use values::{Boundary, Element, Parser};

pub use unwrap::Meaning;

/// The bytes before a position that are compared before the content is read from it on.
pub const TAIL_BYTES: usize = 64;

/// What is known about one element of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The text of the event, or of what is not one.
    pub item: Item,
    /// What it is.
    pub meaning: Meaning,
    /// Offset of the value that has it, in the decompressed content.
    pub offset: u64,
    /// The content ends within it: more may be added to the object.
    pub is_tail: bool,
    /// The position after it.
    pub after: Position,
}

/// A position in an object, from which it can be read on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Offset at which the reader of a plain object continues, in bytes; 0 for a compressed one.
    pub offset: u64,
    /// The bytes before the offset, at most [`TAIL_BYTES`].
    pub tail: Vec<u8>,
    /// Number of records after the offset that were read.
    pub skip: u64,
    /// Identifies these records.
    pub chain: Digest,
}

/// The records of one object.
pub struct Envelopes {
    feed: Feed,
    content: Content,
    parser: Parser,
    unwrapper: Unwrapper,
    ready: VecDeque<Record>,
    /// The last position.
    position: Position,
    /// Where the reader continues, until the records before it are read.
    target: Option<Position>,
    /// The object does not begin with what was read of it before.
    has_changed: bool,
    is_finished: bool,
}

impl std::fmt::Debug for Envelopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelopes").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Envelopes {
    /// Reads an object from a position on, which is that of its beginning by default. `seed` is the
    /// beginning of what the identities of events are computed from.
    pub fn new(seed: &[u8], from: &Position) -> Self {
        let seed = Sha256::new().chain_update(seed);
        let feed = Feed::default();
        // An object that is read from an offset on is not compressed.
        let content = Content::new(feed.reader(), from.offset > 0);
        let position = Position { skip: 0, chain: Digest::default(), ..from.clone() };
        Self {
            feed,
            content,
            parser: Parser::new(seed.clone(), from.offset, &from.tail),
            unwrapper: Unwrapper::new(seed),
            ready: VecDeque::new(),
            position,
            target: (from.skip > 0).then(|| from.clone()),
            has_changed: false,
            is_finished: false,
        }
    }

    /// Adds the next bytes of the object.
    pub fn push(&mut self, portion: Bytes) {
        self.feed.push(portion);
    }

    /// No more bytes follow.
    pub fn end(&mut self) {
        self.feed.end();
    }

    /// The next record. `None` means that more bytes are needed, or that this was the last one.
    pub fn next_record(&mut self) -> Option<Record> {
        loop {
            if self.has_changed {
                return None;
            }
            if let Some(record) = self.ready.pop_front() {
                return Some(record);
            }
            if self.is_finished {
                return None;
            }
            match self.read() {
                Ok(Some(element)) => self.add(element),
                Ok(None) => {
                    self.is_finished = true;
                    // Fewer records than were read before.
                    self.has_changed = self.target.is_some();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => {
                    self.is_finished = true;
                    let expands = error.kind() == io::ErrorKind::FileTooLarge;
                    let fault = if expands { Fault::Expands } else { Fault::Damaged };
                    let element = self.parser.damaged(fault);
                    self.add(element);
                }
            }
        }
    }

    /// Whether all bytes were read.
    pub fn is_finished(&self) -> bool {
        self.is_finished && self.ready.is_empty()
    }

    /// Whether the object does not begin with what was read before. It has to be read from its
    /// beginning.
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Bytes of the decompressed content that were read.
    pub fn content_bytes(&self) -> u64 {
        self.content.bytes()
    }

    /// Reads up to the end of the next element; `None` at the end of the content.
    fn read(&mut self) -> io::Result<Option<Element>> {
        loop {
            let buffer = self.content.fill_buf()?;
            if buffer.is_empty() {
                return Ok(self.parser.finish());
            }
            let mut rest = buffer;
            let element = self.parser.next(&mut rest);
            let used = buffer.len() - rest.len();
            self.content.consume(used);
            if element.is_some() {
                return Ok(element);
            }
        }
    }

    /// Unwraps an element, and adds its records.
    fn add(&mut self, element: Element) {
        let Element { item, head, time, offset, is_tail, start, end } = element;
        let is_plain = !self.content.is_compressed();
        if is_plain && start.offset != self.position.offset {
            self.position = start.into();
        }
        let records = self.unwrapper.unwrap(item, head.as_ref(), time);
        let last = records.len().saturating_sub(1);
        let mut end = end.filter(|_| is_plain);
        for (at, (item, meaning)) in records.into_iter().enumerate() {
            self.position.skip += 1;
            self.position.chain = chain(&self.position.chain, &item.digest);
            if at == last
                && let Some(end) = end.take()
            {
                self.position = end.into();
            }
            let after = self.position.clone();
            if !self.is_skipped(&after) {
                self.ready.push_back(Record { item, meaning, offset, is_tail, after });
            }
        }
    }

    /// Whether the record was read before.
    fn is_skipped(&mut self, after: &Position) -> bool {
        let Some(target) = &self.target else { return false };
        let is_beyond = after.offset != target.offset;
        if is_beyond || after.skip == target.skip {
            self.has_changed = is_beyond || after.chain != target.chain;
            self.target = None;
        }
        true
    }
}

impl From<Boundary> for Position {
    fn from(Boundary { offset, tail }: Boundary) -> Self {
        Self { offset, tail, ..Self::default() }
    }
}

/// Identifies a sequence of records.
fn chain(before: &Digest, next: &Digest) -> Digest {
    let hash = Sha256::new().chain_update(before).chain_update(next).finalize();
    let mut chain = Digest::default();
    chain.copy_from_slice(&hash[..DIGEST_LEN]);
    chain
}

/// The content of a file, decompressed as that of an object. Its size is not limited, but that of its
/// first layer is, if it is compressed twice.
pub fn decompressed(from: Box<dyn BufRead + Send>) -> impl BufRead + Send {
    let from = Counted::new(from);
    let consumed = from.consumed();
    Layer::new(Box::new(from), LAYERS_MAX, consumed)
}

/// The events of one line or document that is in memory, for commands that read files line by line:
/// the text of each event, or why there is none. `None` for what is none of the known containers.
pub fn events_of(text: &[u8]) -> Option<Vec<Result<Vec<u8>, String>>> {
    let mut envelopes = Envelopes::new(&[], &Position::default());
    envelopes.push(Bytes::copy_from_slice(text));
    envelopes.end();
    let (mut events, mut is_container) = (Vec::new(), false);
    while let Some(Record { item, meaning, .. }) = envelopes.next_record() {
        is_container |= meaning == Meaning::Other || item.text != text.trim_ascii();
        match meaning {
            Meaning::Event => events.push(Ok(item.text)),
            Meaning::Other => {}
            Meaning::Unknown(reason) => events.push(Err(reason)),
        }
    }
    is_container.then_some(events)
}
