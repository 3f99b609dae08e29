//! Finds the end of one JSON value in a stream, and replaces the bodies of an event that is too
//! long.
//!
//! Nothing is validated. The nesting is one counter, so no input can exhaust the stack.

use event::limit::{cut_mark, hex};
use memchr::memchr2;
use sha2::{Digest as _, Sha256};

use super::{DIGEST_LEN, Digest, Fault, Item};
use crate::limits::{EVENT_BYTES_MAX, QUARANTINE_BYTES_MAX};

/// The members that are replaced, in the order in which they are.
const BODIES: [&str; 2] = ["responseObject", "requestObject"];
/// The initial capacity for an item: the size of most events.
const TEXT_BYTES: usize = 2 << 10;
/// The member of a document that has the items of a list.
pub(crate) const ITEMS: &[&[u8]] = &[b"items"];
/// Nested structures whose kind is known.
const NESTING_MAX: u64 = 128;

/// What ended a [`Scanner::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// The end of the input.
    All,
    /// The start of the items of a list.
    Items,
    /// The end of the value.
    Value,
}

/// The kind of the byte that is read next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// The first byte of the value.
    #[default]
    Start,
    /// A number, a word or other bytes that are no object.
    Scalar,
    Structure,
    Text,
    /// The byte after a backslash.
    Escape,
}

/// The current member of the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Member {
    #[default]
    Other,
    /// The items of a list.
    Items,
    /// A body, by its index in [`BODIES`].
    Body(usize),
}

/// A part of the value, by offsets in the text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
}

/// A body that is being replaced.
#[derive(Debug)]
struct Cut {
    hasher: Sha256,
    len: u64,
}

/// A part of the input, and how much of it was read and stored.
struct Read<'i> {
    all: &'i [u8],
    at: usize,
    stored: usize,
}

/// Reads one value.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    text: Vec<u8>,
    hasher: Sha256,
    len: u64,
    mode: Mode,
    depth: u64,
    /// A bit for each structure that is open, the innermost first: 1 for an object.
    nesting: u128,
    /// The last byte that belongs to the structure.
    last: u8,
    /// Number of commas between the members of the value itself.
    commas: u64,
    /// Whether the next text is a key of the value itself.
    is_key: bool,
    key: Span,
    /// Start of the value of the current member.
    value: usize,
    member: Member,
    /// Complete bodies that are still in the text.
    bodies: [Option<Span>; BODIES.len()],
    cut: Option<Cut>,
    cuts: Vec<(&'static str, u64)>,
    /// The members whose arrays are lists of items.
    lists: &'static [&'static [u8]],
    fault: Option<Fault>,
}

impl Scanner {
    /// A scanner for an item of a list.
    pub(crate) fn item(seed: &Sha256) -> Self {
        let (text, hasher) = (Vec::with_capacity(TEXT_BYTES), seed.clone());
        Self { text, hasher, fault: Some(Fault::NotAnObject), ..Self::default() }
    }

    /// A scanner for a document, which can be a list.
    pub(super) fn document(seed: &Sha256) -> Self {
        Self::document_with(seed, ITEMS)
    }

    /// A scanner for a document, in which the arrays of these members are lists of items.
    pub(crate) fn document_with(seed: &Sha256, lists: &'static [&'static [u8]]) -> Self {
        Self { lists, ..Self::item(seed) }
    }

    /// A scanner for the members of a list after its items.
    pub(super) fn tail() -> Self {
        Self::tail_with(ITEMS)
    }

    /// A scanner for the members of a document after one of these lists.
    pub(crate) fn tail_with(lists: &'static [&'static [u8]]) -> Self {
        let (mode, depth, nesting) = (Mode::Structure, 1, 1);
        Self { mode, depth, nesting, lists, ..Self::default() }
    }

    /// The bytes that are held.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.text.len()
    }

    /// Reads the input up to the end of the value.
    pub(crate) fn push(&mut self, input: &mut &[u8]) -> Scanned {
        let all = *input;
        let (mut read, mut scanned) = (Read { all, at: 0, stored: 0 }, Scanned::All);
        while read.at < all.len() && scanned == Scanned::All {
            scanned = match self.mode {
                Mode::Start => self.scan_start(&mut read),
                Mode::Scalar => Self::scan_scalar(&mut read),
                Mode::Structure => self.scan_structure(&mut read),
                Mode::Text => self.scan_text(&mut read),
                Mode::Escape => {
                    read.at += 1;
                    self.mode = Mode::Text;
                    Scanned::All
                }
            };
        }
        self.store(&mut read);
        let (consumed, rest) = all.split_at(read.at);
        self.hasher.update(consumed);
        self.len += consumed.len() as u64;
        *input = rest;
        scanned
    }

    /// Whether the text before the items, closed after them, passes the test.
    pub(crate) fn is_head_of(&self, test: impl FnOnce(&[u8]) -> bool) -> bool {
        test(&[&self.text, &b"]}"[..]].concat())
    }

    /// Continues with the items as a part of the value.
    pub(super) fn resume(&mut self) {
        self.lists = &[];
        self.open(b'[');
    }

    /// Whether a newline cannot follow: it is in a text.
    pub(crate) fn is_in_text(&self) -> bool {
        matches!(self.mode, Mode::Text | Mode::Escape)
    }

    /// Number of commas between the members of the value itself.
    pub(crate) fn commas(&self) -> u64 {
        self.commas
    }

    /// Whether an object cannot begin at the start of a line: it would be a key, or a separator is
    /// missing.
    pub(crate) fn expects_no_object(&self) -> bool {
        let is_in_object = self.depth <= NESTING_MAX && self.nesting & 1 == 1;
        self.mode == Mode::Structure
            && self.depth > 0
            && (is_in_object || !matches!(self.last, b'[' | b','))
    }

    fn open(&mut self, byte: u8) {
        self.depth += 1;
        self.nesting = self.nesting << 1 | u128::from(byte == b'{');
    }

    /// The value as far as it was read.
    pub(crate) fn take(&mut self) -> Item {
        let Self { text, hasher, len, cuts, fault, .. } = std::mem::take(self);
        let mut digest = Digest::default();
        digest.copy_from_slice(&hasher.finalize()[..DIGEST_LEN]);
        Item { text, digest, len, cut: cuts, fault }
    }

    fn scan_start(&mut self, read: &mut Read<'_>) -> Scanned {
        let first = read.all[read.at];
        match first {
            b'{' | b'[' => {
                self.fault = (first == b'[').then_some(Fault::NotAnObject);
                (self.is_key, self.mode) = (true, Mode::Structure);
                self.scan_structure(read)
            }
            b'"' => {
                read.at += 1;
                self.mode = Mode::Text;
                Scanned::All
            }
            _ => {
                read.at += 1;
                self.mode = Mode::Scalar;
                // A lone bracket must not end the list or the document that it is in.
                if is_end(first) { Scanned::Value } else { Scanned::All }
            }
        }
    }

    fn scan_scalar(read: &mut Read<'_>) -> Scanned {
        let rest = &read.all[read.at..];
        let end = rest.iter().position(|byte| is_end(*byte));
        read.at += end.unwrap_or(rest.len());
        if end.is_some() { Scanned::Value } else { Scanned::All }
    }

    fn scan_text(&mut self, read: &mut Read<'_>) -> Scanned {
        loop {
            let Some(end) = memchr2(b'"', b'\\', &read.all[read.at..]) else {
                read.at = read.all.len();
                return Scanned::All;
            };
            let end = read.at + end;
            if read.all[end] == b'"' {
                return self.end_text(read, end);
            }
            // The next byte belongs to the text, also if it is a quote.
            read.at = end + 2;
            if read.at > read.all.len() {
                read.at = read.all.len();
                self.mode = Mode::Escape;
                return Scanned::All;
            }
        }
    }

    fn end_text(&mut self, read: &mut Read<'_>, end: usize) -> Scanned {
        read.at = end;
        if self.depth == 1 && self.is_key {
            self.key.end = self.position(read);
        }
        read.at += 1;
        (self.mode, self.last) = (Mode::Structure, b'"');
        if self.depth == 0 { Scanned::Value } else { Scanned::All }
    }

    /// Reads up to the next text, or to the end of the value.
    fn scan_structure(&mut self, read: &mut Read<'_>) -> Scanned {
        while let Some(byte) = read.all.get(read.at).copied() {
            if !is_structure(byte) {
                read.at += 1;
                continue;
            }
            if self.depth == 1 && matches!(byte, b'}' | b']' | b',') {
                self.end_member(read);
            }
            read.at += 1;
            self.last = byte;
            match byte {
                b'"' => {
                    self.mode = Mode::Text;
                    if self.depth == 1 && self.is_key {
                        self.key.start = self.position(read);
                    }
                    return Scanned::All;
                }
                b'[' if self.member == Member::Items && self.depth == 1 => {
                    self.member = Member::Other;
                    return Scanned::Items;
                }
                b'{' | b'[' => self.open(byte),
                b'}' | b']' => {
                    self.depth -= 1;
                    self.nesting >>= 1;
                    if self.depth == 0 {
                        return Scanned::Value;
                    }
                }
                b',' if self.depth == 1 => {
                    self.is_key = true;
                    self.commas += 1;
                }
                b':' if self.depth == 1 && self.is_key => self.begin_value(read),
                _ => {}
            }
        }
        Scanned::All
    }

    /// The key of a member was read, and a colon.
    fn begin_value(&mut self, read: &mut Read<'_>) {
        // A key is compared where the value as a whole is, and what precedes a body does not belong
        // to it.
        self.store(read);
        let key = self.text.get(self.key.start..self.key.end).unwrap_or_default();
        let body = BODIES.iter().position(|body| body.as_bytes() == key).map(Member::Body);
        let items = self.lists.contains(&key).then_some(Member::Items);
        self.member = body.or(items).unwrap_or_default();
        (self.is_key, self.value) = (false, self.text.len());
    }

    /// The value of a member was read.
    fn end_member(&mut self, read: &mut Read<'_>) {
        let Member::Body(body) = self.member else {
            self.member = Member::Other;
            return;
        };
        self.store(read);
        self.member = Member::Other;
        if let Some(Cut { hasher, len }) = self.cut.take() {
            self.cuts.push((BODIES[body], len));
            self.text.extend_from_slice(cut_mark(len, &hex(&hasher.finalize())).as_bytes());
        } else {
            self.bodies[body] = Some(Span { start: self.value, end: self.text.len() });
        }
    }

    /// Where the next byte is in the text. To be called while nothing is left out.
    fn position(&self, read: &Read<'_>) -> usize {
        self.text.len() + (read.at - read.stored)
    }

    /// Keeps the bytes of the value that were read since the last call, unless they belong to what is
    /// left out. They are either all of one body, or of none.
    fn store(&mut self, read: &mut Read<'_>) {
        let bytes = &read.all[read.stored..read.at];
        read.stored = read.at;
        if let Some(cut) = &mut self.cut {
            cut.hasher.update(bytes);
            cut.len += bytes.len() as u64;
        } else if self.fault != Some(Fault::TooLong) {
            self.text.extend_from_slice(bytes);
            if self.text.len() > EVENT_BYTES_MAX {
                self.shed();
            }
        }
    }

    /// Replaces the body that is being read, or else those that were read, until the text is short
    /// enough.
    fn shed(&mut self) {
        if let Member::Body(_) = self.member {
            let read = self.text.split_off(self.value);
            let hasher = Sha256::new().chain_update(&read);
            self.cut = Some(Cut { hasher, len: read.len() as u64 });
        }
        while self.text.len() > EVENT_BYTES_MAX {
            let Some(body) = self.bodies.iter().position(Option::is_some) else {
                self.fault = Some(Fault::TooLong);
                self.text.truncate(QUARANTINE_BYTES_MAX);
                self.text.shrink_to_fit();
                return;
            };
            self.replace(body);
        }
    }

    /// Replaces a body that was read.
    fn replace(&mut self, body: usize) {
        let Some(Span { start, end }) = self.bodies[body].take() else { return };
        let len = (end - start) as u64;
        let digest = hex(&Sha256::digest(&self.text[start..end]));
        let mark = cut_mark(len, &digest);
        let mark = mark.as_bytes();
        let moved = |at: usize| if at >= end { at - (end - start) + mark.len() } else { at };
        for span in self.bodies.iter_mut().flatten().chain([&mut self.key]) {
            *span = Span { start: moved(span.start), end: moved(span.end) };
        }
        self.value = moved(self.value);
        drop(self.text.splice(start..end, mark.iter().copied()));
        self.cuts.push((BODIES[body], len));
    }
}

/// Whether a byte ends a number or a word.
fn is_end(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace()
}

/// Whether a byte has a meaning outside of texts.
fn is_structure(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':')
}
