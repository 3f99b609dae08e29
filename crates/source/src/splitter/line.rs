//! The item of one line of a log: one JSON object, and nothing else.
//!
//! A line is known as a whole, or, if it is very long, read in parts. Unlike a stream, it is never
//! split into the items of a list, so that a line is one item.

use sha2::{Digest as _, Sha256};

use super::scanner::{Scanned, Scanner};
use super::{DIGEST_LEN, Digest, Fault, Item};

/// The item of a line that is in memory; `None` for a blank one. A part of the line that a file
/// system has filled with zeros is blank.
pub(crate) fn item_of_line(seed: &Sha256, line: &[u8]) -> Option<Item> {
    let text = trim(line);
    if text.is_empty() {
        return None;
    }
    let (mut scanner, mut rest) = (Scanner::item(seed), text);
    let end = scanner.push(&mut rest);
    let item = scanner.take();
    let fault = match end {
        _ if item.fault.is_some() => item.fault,
        Scanned::Value if rest.is_empty() => return Some(item),
        Scanned::Value => Some(Fault::MoreOnLine),
        Scanned::All | Scanned::Items => Some(Fault::LineEnds),
    };
    let digest = digest(&seed.clone().chain_update(text));
    Some(Item { text: text.to_vec(), digest, len: text.len() as u64, cut: Vec::new(), fault })
}

/// A line that is too long to be in memory. Its bodies are replaced while it is read.
#[derive(Debug)]
pub(crate) struct LongLine {
    scanner: Scanner,
    /// Of all its bytes.
    hasher: Sha256,
    len: u64,
    is_started: bool,
    is_ended: bool,
    /// Other text follows the object.
    has_more: bool,
}

impl LongLine {
    pub(crate) fn new(seed: &Sha256) -> Self {
        let (scanner, hasher) = (Scanner::item(seed), seed.clone());
        let (is_started, is_ended, has_more) = (false, false, false);
        Self { scanner, hasher, len: 0, is_started, is_ended, has_more }
    }

    /// Reads the next part, without the newline.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let mut part = if self.is_started { part } else { trim_start(part) };
        if part.is_empty() {
            return;
        }
        self.is_started = true;
        self.hasher.update(part);
        self.len += part.len() as u64;
        if !self.is_ended {
            self.is_ended = self.scanner.push(&mut part) == Scanned::Value;
        }
        self.has_more |= self.is_ended && !trim(part).is_empty();
    }

    /// The item, at the end of the line; `None` if it is blank.
    pub(crate) fn finish(mut self) -> Option<Item> {
        if !self.is_started {
            return None;
        }
        let item = self.scanner.take();
        let more = self.has_more.then_some(Fault::MoreOnLine);
        let ends = (!self.is_ended).then_some(Fault::LineEnds);
        let fault = item.fault.or(more).or(ends);
        Some(Item { digest: digest(&self.hasher), len: self.len, fault, ..item })
    }
}

fn digest(hasher: &Sha256) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(&hasher.clone().finalize()[..DIGEST_LEN]);
    digest
}

fn is_blank(byte: u8) -> bool {
    byte == 0 || byte.is_ascii_whitespace()
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    &text[start..]
}

/// The text without white space and zeros at its ends.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::EVENT_BYTES_MAX;

    /// Reads a line as a whole, and in parts; both give the same.
    fn check(line: &str, expected: Option<(&str, Option<Fault>)>) {
        let seed = Sha256::new().chain_update(b"seed");
        let item = item_of_line(&seed, line.as_bytes());
        let actual = item.as_ref().map(|item| (str::from_utf8(&item.text).unwrap(), item.fault));
        assert_eq!(actual, expected, "{line:?}");
        let mut long = LongLine::new(&seed);
        for part in line.as_bytes().chunks(3) {
            long.push(part);
        }
        let long = long.finish();
        assert_eq!(long.as_ref().map(|item| item.fault), item.as_ref().map(|item| item.fault));
        if line.trim_end() == line {
            let digest = |item: &Option<Item>| item.as_ref().map(|item| (item.digest, item.len));
            assert_eq!(digest(&long), digest(&item), "{line:?}");
        }
    }

    #[test]
    fn a_line_is_one_object_or_has_a_fault() {
        let list = r#"{"kind":"EventList","items":[{},{}]}"#;
        for (line, expected) in [
            ("", None),
            (" \r\n", None),
            ("\0\0", None),
            ("{\"a\":1}\r\n", Some(("{\"a\":1}", None))),
            ("\0\0{}", Some(("{}", None))),
            (list, Some((list, None))),
            ("{\"a\":", Some(("{\"a\":", Some(Fault::LineEnds)))),
            ("{} {}", Some(("{} {}", Some(Fault::MoreOnLine)))),
            ("[{}]", Some(("[{}]", Some(Fault::NotAnObject)))),
            ("a word", Some(("a word", Some(Fault::NotAnObject)))),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn a_long_line_loses_bodies_and_is_still_one_item() {
        let body = "x".repeat(EVENT_BYTES_MAX);
        let line = format!(r#"{{"verb":"get","requestObject":{{"a":"{body}"}},"stage":"Panic"}}"#);
        let seed = Sha256::new();
        let mut long = LongLine::new(&seed);
        for part in line.as_bytes().chunks(64 << 10) {
            long.push(part);
        }
        let item = long.finish().unwrap();
        assert_eq!((item.fault, item.len), (None, line.len() as u64));
        assert_eq!(item.cut, [("requestObject", body.len() as u64 + 8)]);
        assert!(item.text.ends_with(br#","stage":"Panic"}"#));
    }
}
