//! Finds the elements of the content: documents, the items of lists in them, and other text.
//!
//! Documents may follow each other with or without separators. A document that is cut at the end of
//! a line does not include the next lines. It ends with its line if other text precedes it on the
//! line, or if the line already has several of its members, as in a log. It also ends at a newline
//! within a text, and before an object at the start of a line where no object can begin.
//!
//! Deliberately absent: what an element means.

use std::sync::Arc;

use event::Timestamp;
use memchr::memchr;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::TAIL_BYTES;
use crate::limits::{PREFIX_BYTES_MAX, QUARANTINE_BYTES_MAX};
use crate::splitter::scanner::{Scanned, Scanner};
use crate::splitter::{DIGEST_LEN, Digest, Fault, Item};

/// The members of a document that have the items of a list: of Kubernetes, of Azure, and of Amazon
/// CloudWatch.
const LISTS: &[&[u8]] = &[b"items", b"records", b"logEvents"];

/// Bytes in which the end of the line is searched at a time: many short items can be on one line.
const SCAN_BYTES: usize = 1024;

/// A document whose first line has at least this number of commas between its members is expected
/// to end with that line. A document of several lines has each member on its own line; the first
/// member may be next to the opening bracket.
const LINE_COMMAS: u64 = 2;

/// The members of a document before a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Head {
    /// Amazon CloudWatch: `DATA_MESSAGE` or `CONTROL_MESSAGE`.
    pub(super) message_type: String,
    /// Amazon CloudWatch: the log stream.
    pub(super) log_stream: String,
}

/// An element of the content.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) item: Item,
    /// What is before it in its document, if it is the item of a list.
    pub(super) head: Option<Arc<Head>>,
    /// The offset of its document.
    pub(super) offset: u64,
    /// The time in the text before it on its line.
    pub(super) time: Option<Timestamp>,
    /// The content ends within it.
    pub(super) is_tail: bool,
    /// The boundary before its document.
    pub(super) start: Boundary,
    /// The boundary after its document, if it ends with the element.
    pub(super) end: Option<Boundary>,
}

/// A place between two documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Boundary {
    pub(super) offset: u64,
    /// The bytes before it.
    pub(super) tail: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// White space before a document.
    Between,
    /// Text that is not JSON, or that is before JSON on its line.
    Text,
    /// A document that has no list so far.
    Document,
    /// A list, before the next item. Of a document, or an array by itself.
    List { is_member: bool },
    /// An item of a list.
    Item { is_member: bool },
    /// The members of a document after a list.
    Tail,
}

/// A text before a document, which then ends with its line.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    /// The time with which it begins.
    time: Option<Timestamp>,
}

/// Reads elements.
#[derive(Debug)]
pub(super) struct Parser {
    state: State,
    scanner: Scanner,
    seed: Sha256,
    head: Option<Arc<Head>>,
    /// Number of bytes that were read.
    offset: u64,
    /// The last bytes that were read.
    recent: Vec<u8>,
    start: Boundary,
    is_line_start: bool,
    /// The document has not gone beyond the line on which it began.
    is_first_line: bool,
    /// The other text before the document on its line.
    prefix: Option<Prefix>,
    /// A comma was read since the last item of the list.
    has_comma: bool,
    /// Text that is not JSON.
    text: Vec<u8>,
    text_len: u64,
    text_hasher: Sha256,
}

impl Parser {
    /// Reads from an offset on, before which the content has the bytes `tail`.
    pub(super) fn new(seed: Sha256, offset: u64, tail: &[u8]) -> Self {
        let start = Boundary { offset, tail: tail.to_vec() };
        Self {
            state: State::Between,
            scanner: Scanner::default(),
            text_hasher: seed.clone(),
            seed,
            head: None,
            offset,
            recent: tail.to_vec(),
            start,
            is_line_start: true,
            is_first_line: true,
            prefix: None,
            has_comma: true,
            text: Vec::new(),
            text_len: 0,
        }
    }

    /// Reads up to the end of the next element. `None` means that all of the input was read.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Option<Element> {
        while let Some(&byte) = input.first() {
            let is_lost = self.is_line_start && byte == b'{' && self.scanner.expects_no_object();
            match self.state {
                State::Document | State::Item { .. } | State::Tail if is_lost => {
                    return Some(self.interrupt(Fault::LineEnds));
                }
                State::Document | State::Item { .. } | State::Tail => {
                    if let Some(element) = self.scan(input) {
                        return Some(element);
                    }
                }
                State::Between => self.begin(byte, input),
                State::Text => {
                    if let Some(element) = self.scan_text(input) {
                        return Some(element);
                    }
                }
                State::List { is_member } => {
                    if let Some(element) = self.begin_item(byte, is_member, input) {
                        return Some(element);
                    }
                }
            }
        }
        None
    }

    /// The last element, if the content does not end where a document does.
    pub(super) fn finish(&mut self) -> Option<Element> {
        let fault = match self.state {
            State::Between => return None,
            State::Text => {
                let mut element = self.end_text();
                element.is_tail = true;
                return Some(element);
            }
            State::Document | State::Item { .. } => Fault::ContentEnds,
            State::List { .. } | State::Tail => Fault::UnclosedList,
        };
        let element = self.interrupt(fault);
        Some(Element { is_tail: true, ..element })
    }

    /// An element for the rest of the content, which cannot be read.
    pub(super) fn damaged(&mut self, fault: Fault) -> Element {
        let mut element = match self.state {
            State::Text => self.end_text(),
            _ => self.interrupt(fault),
        };
        (element.is_tail, element.item.fault) = (true, Some(fault));
        element
    }

    /// Begins with the first byte that belongs to a document.
    fn begin(&mut self, byte: u8, input: &mut &[u8]) {
        match byte {
            b'{' => {
                self.prefix = None;
                self.begin_document();
            }
            b'[' => {
                self.take(input, 1);
                self.prefix = None;
                (self.state, self.head, self.has_comma) =
                    (State::List { is_member: false }, None, true);
            }
            // Some programs separate documents by commas or record separators.
            _ if is_blank(byte) || byte == b',' => {
                let is_more = |byte: &u8| !is_blank(*byte) && *byte != b',';
                let end = input.iter().position(is_more).unwrap_or(input.len());
                self.take(input, end);
                self.set_boundary();
            }
            _ => self.state = State::Text,
        }
    }

    fn begin_document(&mut self) {
        self.scanner = Scanner::document_with(&self.seed, LISTS);
        (self.state, self.head, self.is_first_line) = (State::Document, None, true);
    }

    /// Begins an item of a list, or ends the list.
    fn begin_item(&mut self, byte: u8, is_member: bool, input: &mut &[u8]) -> Option<Element> {
        match byte {
            b',' => {
                self.has_comma = true;
                self.take(input, 1);
            }
            b'\n' if self.prefix.is_some() => {
                self.take(input, 1);
                return Some(self.interrupt(Fault::UnclosedList));
            }
            _ if is_blank(byte) => {
                let is_more = |byte: &u8| !is_blank(*byte) || *byte == b'\n';
                let end = input.iter().skip(1).position(is_more).map_or(input.len(), |at| at + 1);
                self.take(input, end);
            }
            b']' => {
                self.take(input, 1);
                if is_member {
                    self.scanner = Scanner::tail_with(LISTS);
                    self.state = State::Tail;
                } else {
                    self.state = State::Between;
                    self.set_boundary();
                }
            }
            b'{' if self.is_line_start && !self.has_comma => {
                return Some(self.interrupt(Fault::UnclosedList));
            }
            _ => {
                self.scanner = Scanner::item(&self.seed);
                (self.state, self.has_comma) = (State::Item { is_member }, false);
            }
        }
        None
    }

    /// Passes the rest of a line to the scanner. Returns an element that is complete.
    fn scan(&mut self, input: &mut &[u8]) -> Option<Element> {
        let part = &input[..input.len().min(SCAN_BYTES)];
        let end = memchr(b'\n', part).map_or(part.len(), |newline| newline + 1);
        let mut rest = &input[..end];
        let scanned = self.scanner.push(&mut rest);
        let used = end - rest.len();
        self.take(input, used);
        match (scanned, self.state) {
            (Scanned::All, _) if self.is_line_start => {
                self.is_cut().then(|| self.interrupt(Fault::LineEnds))
            }
            (Scanned::All, _) => None,
            (Scanned::Items, _) => {
                if self.head.is_none() {
                    self.read_head();
                }
                (self.state, self.has_comma) = (State::List { is_member: true }, true);
                None
            }
            (Scanned::Value, State::Tail) => {
                self.state = State::Between;
                self.set_boundary();
                None
            }
            (Scanned::Value, State::Item { is_member }) => {
                self.state = State::List { is_member };
                let item = self.scanner.take();
                Some(self.element(item, None))
            }
            (Scanned::Value, _) => {
                self.state = State::Between;
                let item = self.scanner.take();
                Some(self.end(item))
            }
        }
    }

    /// Whether the document was cut, at the end of a line within it.
    fn is_cut(&mut self) -> bool {
        let is_first = std::mem::take(&mut self.is_first_line);
        let is_line =
            is_first && self.state == State::Document && self.scanner.commas() >= LINE_COMMAS;
        is_line || self.prefix.is_some() || self.scanner.is_in_text()
    }

    fn read_head(&mut self) {
        let mut head = Head::default();
        self.scanner.is_head_of(|text| {
            head = serde_json::from_slice(text).unwrap_or_default();
            true
        });
        self.head = Some(Arc::new(head));
    }

    /// Reads text that is not JSON: up to the end of its line, or to an object.
    fn scan_text(&mut self, input: &mut &[u8]) -> Option<Element> {
        let end = input.iter().position(|byte| matches!(byte, b'\n' | b'{')).unwrap_or(input.len());
        let part = &input[..end];
        self.text_hasher.update(part);
        self.text_len += part.len() as u64;
        let capacity = QUARANTINE_BYTES_MAX.saturating_sub(self.text.len());
        self.text.extend_from_slice(&part[..part.len().min(capacity)]);
        let next = input.get(end).copied();
        self.take(input, end);
        match next {
            Some(b'{') if self.text_len <= PREFIX_BYTES_MAX => {
                self.prefix = Some(Prefix { time: time_of(&self.text) });
                self.reset_text();
                self.begin_document();
                // The object is not at the start of its line.
                self.is_line_start = false;
                None
            }
            None => None,
            Some(_) => Some(self.end_text()),
        }
    }

    fn end_text(&mut self) -> Element {
        self.prefix = None;
        let digest = digest(&self.text_hasher);
        let (text, len) = (std::mem::take(&mut self.text), self.text_len);
        let fault = Some(Fault::NotAnObject);
        self.reset_text();
        self.state = State::Between;
        self.end(Item { text, digest, len, fault, ..Item::default() })
    }

    fn reset_text(&mut self) {
        self.text.clear();
        (self.text_len, self.text_hasher) = (0, self.seed.clone());
    }

    /// Ends a document that is not complete.
    fn interrupt(&mut self, fault: Fault) -> Element {
        let state = std::mem::replace(&mut self.state, State::Between);
        let mut item = match state {
            State::Document | State::Item { .. } => self.scanner.take(),
            // What is left of a list has no text that distinguishes it.
            _ => {
                let offset = self.start.offset.to_be_bytes();
                let digest = digest(&self.seed.clone().chain_update(b"list").chain_update(offset));
                Item { digest, ..Item::default() }
            }
        };
        item.fault = Some(item.fault.unwrap_or(fault));
        self.end(item)
    }

    /// The element with which a document ends.
    fn end(&mut self, item: Item) -> Element {
        let end = Boundary { offset: self.offset, tail: self.recent.clone() };
        let element = self.element(item, Some(end.clone()));
        self.start = end;
        element
    }

    fn element(&self, item: Item, end: Option<Boundary>) -> Element {
        let (head, start) = (self.head.clone(), self.start.clone());
        let time = self.prefix.and_then(|prefix| prefix.time);
        Element { item, head, time, offset: start.offset, is_tail: false, start, end }
    }

    fn set_boundary(&mut self) {
        self.start = Boundary { offset: self.offset, tail: self.recent.clone() };
    }

    /// Takes bytes off the input.
    fn take(&mut self, input: &mut &[u8], count: usize) {
        let (copied, rest) = input.split_at(count);
        *input = rest;
        let Some(&last) = copied.last() else { return };
        self.offset += count as u64;
        self.is_line_start = last == b'\n';
        let end = &copied[count.saturating_sub(TAIL_BYTES)..];
        let excess = (self.recent.len() + end.len()).saturating_sub(TAIL_BYTES);
        self.recent.drain(..excess.min(self.recent.len()));
        self.recent.extend_from_slice(end);
    }
}

/// The time with which the text before an object begins.
fn time_of(prefix: &[u8]) -> Option<Timestamp> {
    let word = prefix.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    Timestamp::parse(str::from_utf8(word).ok()?).ok()
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0 | 0x1e)
}

fn digest(hasher: &Sha256) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&hasher.clone().finalize()[..DIGEST_LEN]);
    digest
}
