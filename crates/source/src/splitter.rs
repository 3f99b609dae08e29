//! Splits a stream of bytes into the events of lists, without holding a list as a whole.
//!
//! The input is one `EventList` as kube-apiserver sends it. A single event, and several documents
//! that follow each other, are accepted too. Only the structure of the JSON is examined: whether an
//! item is an event is decided by its decoder. Whatever the input, every byte belongs to the head
//! of a list or to an [`Item`], so nothing is lost silently.
//!
//! Deliberately absent: decompression, I/O, and lists in K10's encoding.

pub(crate) mod line;
pub(crate) mod scanner;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use scanner::{Scanned, Scanner};

/// The bytes of an identity.
pub const DIGEST_LEN: usize = 16;

/// The identity of an item: the first bytes of the SHA-256 of the seed and the item's bytes.
pub type Digest = [u8; DIGEST_LEN];

const BYTE_ORDER_MARK: &[u8; 3] = b"\xef\xbb\xbf";

/// One item of a list, or a document that is not a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// The JSON text. Bodies that made it too long are replaced; with a fault it may be only the
    /// beginning.
    pub text: Vec<u8>,
    /// The identity of the item as it was received.
    pub digest: Digest,
    /// Length as it was received, in bytes.
    pub len: u64,
    /// The replaced bodies, with their lengths.
    pub cut: Vec<(&'static str, u64)>,
    /// Why the item cannot be an event, if that is known.
    pub fault: Option<Fault>,
}

/// Why an item cannot be an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The request has no body.
    #[error("the body is empty")]
    Empty,
    /// The item is another JSON value, or not JSON.
    #[error("not a JSON object")]
    NotAnObject,
    /// The item is longer than the limit, although its bodies were replaced.
    #[error("longer than {} bytes without its bodies", crate::limits::EVENT_BYTES_MAX)]
    TooLong,
    /// The body ended within the item.
    #[error("the body ends within it")]
    Incomplete,
    /// The body ended within the list, after an item.
    #[error("the body ends before the list does")]
    UnclosedList,
    /// The list is of another kind.
    #[error("not an EventList of audit.k8s.io/v1")]
    OtherList,
    /// The line of a log ends within the item.
    #[error("the line ends within it")]
    LineEnds,
    /// The line of a log has other text after the item.
    #[error("other text follows it on its line")]
    MoreOnLine,
    /// The object of a bucket ends within the item.
    #[error("the object ends within it")]
    ContentEnds,
    /// The compressed file that has the item cannot be decompressed from there on.
    #[error("the rest of the file cannot be decompressed")]
    Damaged,
    /// The compressed file expands to more bytes than its size allows.
    #[error(
        "the rest of the file is not read: it expands to more than {} times its size, or {} times if it \
         is compressed twice",
        crate::limits::EXPANSION_MAX,
        crate::limits::INNER_EXPANSION_MAX
    )]
    Expands,
}

/// Splits a stream. See the [module](self).
#[derive(Debug)]
pub struct Splitter {
    state: State,
    scanner: Scanner,
    seed: Sha256,
    /// The identity of the last item of a list.
    last: Digest,
    /// Bytes of a byte order mark at the start of the stream.
    mark: usize,
    is_empty: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// White space before a document.
    Between,
    /// A document that is not known to be a list.
    Document,
    /// The items of a list, before the next one.
    List,
    /// An item of a list.
    Item,
    /// The members of a list after its items.
    Tail,
    /// An item of a list of another kind, or its rest: it belongs to one item with a fault.
    OtherList,
}

/// The beginning of a list, up to its items.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
}

impl Splitter {
    /// A splitter for a new stream. `seed` is the beginning of what the identities are computed
    /// from.
    pub fn new(seed: &[u8]) -> Self {
        let seed = Sha256::new().chain_update(seed);
        Self {
            state: State::Between,
            scanner: Scanner::default(),
            seed,
            last: Digest::default(),
            mark: 0,
            is_empty: true,
        }
    }

    /// Reads the input up to the end of the next item. `None` means that all of the input was read.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Item> {
        while let Some(&byte) = input.first() {
            let state = self.state;
            match state {
                State::Between if self.is_mark(byte) => *input = &input[1..],
                State::Between | State::List if byte.is_ascii_whitespace() => *input = &input[1..],
                State::Between => self.begin(State::Document, Scanner::document(&self.seed)),
                State::List if byte == b',' => *input = &input[1..],
                State::List if byte == b']' => {
                    *input = &input[1..];
                    self.begin(State::Tail, Scanner::tail());
                }
                State::List => self.begin(State::Item, Scanner::item(&self.seed)),
                State::Document | State::Item | State::Tail | State::OtherList => {
                    if let Some(item) = self.scan(input) {
                        return Some(item);
                    }
                }
            }
        }
        None
    }

    /// The last item, if the stream does not end where a document does.
    pub fn finish(mut self) -> Option<Item> {
        let fault = match self.state {
            State::Between if self.is_empty => Fault::Empty,
            State::Between => return None,
            State::Document | State::Item => Fault::Incomplete,
            State::List | State::Tail => Fault::UnclosedList,
            State::OtherList => Fault::OtherList,
        };
        if matches!(fault, Fault::Empty | Fault::UnclosedList) {
            // There is no text that distinguishes it from that of another request.
            self.scanner = Scanner::item(&self.seed.clone().chain_update(self.last));
        }
        let item = self.scanner.take();
        // A scalar ends with the stream.
        let fault = item.fault.filter(|_| fault == Fault::Incomplete).unwrap_or(fault);
        Some(Item { fault: Some(fault), ..item })
    }

    /// The bytes that are held for the current item.
    pub fn buffered_bytes(&self) -> usize {
        self.scanner.buffered_bytes()
    }

    fn begin(&mut self, state: State, scanner: Scanner) {
        self.is_empty = false;
        (self.state, self.scanner) = (state, scanner);
    }

    /// Whether the byte belongs to a byte order mark.
    fn is_mark(&mut self, byte: u8) -> bool {
        let is_mark = self.is_empty && BYTE_ORDER_MARK.get(self.mark) == Some(&byte);
        self.mark += usize::from(is_mark);
        is_mark
    }

    /// Passes the input to the scanner. Returns an item that is complete.
    fn scan(&mut self, input: &mut &[u8]) -> Option<Item> {
        match (self.scanner.push(input), self.state) {
            (Scanned::All, _) => None,
            (Scanned::Items, State::Tail) => {
                self.state = State::List;
                None
            }
            (Scanned::Items, _) => {
                if self.scanner.is_head_of(is_event_list) {
                    self.state = State::List;
                } else {
                    self.scanner.resume();
                    self.state = State::OtherList;
                }
                None
            }
            (Scanned::Value, State::Tail) => {
                self.state = State::Between;
                None
            }
            (Scanned::Value, State::Item) => {
                self.state = State::List;
                let item = self.scanner.take();
                self.last = item.digest;
                Some(item)
            }
            (Scanned::Value, state) => {
                self.state = State::Between;
                let fault = (state == State::OtherList).then_some(Fault::OtherList);
                let item = self.scanner.take();
                Some(Item { fault: fault.or(item.fault), ..item })
            }
        }
    }
}

/// Whether the beginning of a document, closed after its items, is that of a list of events. As in
/// a list, the type may be missing.
fn is_event_list(head: &[u8]) -> bool {
    let fits = |actual: &str, expected: &str| actual.is_empty() || actual == expected;
    serde_json::from_slice(head).is_ok_and(|Head { kind, api_version }| {
        fits(&kind, "EventList") && fits(&api_version, "audit.k8s.io/v1")
    })
}
