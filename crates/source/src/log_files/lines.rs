//! Splits the bytes of a log file into lines, and a line into items.
//!
//! A line is one item. Two exceptions: a blank line is none, and a line whose beginning is the
//! beginning of another one, because the disk was full when that was written, is two.

use memchr::{memchr, memmem};
use sha2::Sha256;

use crate::limits::EVENT_BYTES_MAX;
use crate::splitter::line::{LongLine, item_of_line};
use crate::splitter::{Fault, Item};

/// How kube-apiserver begins a line. Within a JSON text that is valid, quotes are escaped.
const EVENT_START: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;

/// The line that is being read.
#[derive(Debug)]
pub(super) struct LineReader {
    seed: Sha256,
    /// The line as far as it was read, up to [`EVENT_BYTES_MAX`] bytes.
    line: Vec<u8>,
    /// The line, if it is longer.
    long: Option<LongLine>,
}

impl LineReader {
    pub(super) fn new(seed: Sha256) -> Self {
        Self { seed, line: Vec::new(), long: None }
    }

    /// Reads the input up to the end of a line. Returns the bytes that were read, and whether the
    /// line ended, with its items.
    pub(super) fn push(&mut self, input: &[u8], items: &mut Vec<Item>) -> (usize, bool) {
        let Some(end) = memchr(b'\n', input) else {
            self.hold(input);
            return (input.len(), false);
        };
        let part = &input[..end];
        if self.line.is_empty() && self.long.is_none() {
            split(&self.seed, part, items);
        } else {
            self.hold(part);
            self.finish(items);
        }
        (end + 1, true)
    }

    /// Ends the line without a newline.
    pub(super) fn finish(&mut self, items: &mut Vec<Item>) {
        match self.long.take() {
            Some(long) => items.extend(long.finish()),
            None => split(&self.seed, &self.line, items),
        }
        self.clear();
    }

    /// Forgets the line.
    pub(super) fn clear(&mut self) {
        self.long = None;
        self.line.clear();
        self.line.shrink_to(LINE_BYTES_RETAINED);
    }

    fn hold(&mut self, part: &[u8]) {
        if let Some(long) = &mut self.long {
            long.push(part);
        } else if self.line.len() + part.len() > EVENT_BYTES_MAX {
            let mut long = LongLine::new(&self.seed);
            long.push(&self.line);
            long.push(part);
            self.clear();
            self.long = Some(long);
        } else {
            self.line.extend_from_slice(part);
        }
    }
}

/// The capacity that stays after a line.
const LINE_BYTES_RETAINED: usize = 64 << 10;

/// Adds the items of a line.
fn split(seed: &Sha256, line: &[u8], items: &mut Vec<Item>) {
    let Some(item) = item_of_line(seed, line) else { return };
    let is_joined = matches!(item.fault, Some(Fault::LineEnds | Fault::MoreOnLine));
    let start =
        if is_joined { memmem::rfind(line, EVENT_START).filter(|at| *at > 0) } else { None };
    let last = start.and_then(|at| Some((at, item_of_line(seed, &line[at..])?)));
    match last {
        Some((at, last)) if last.fault.is_none() => {
            items.extend(item_of_line(seed, &line[..at]));
            items.push(last);
        }
        _ => items.push(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of the items of a file, and what remains without a newline. `!` marks a fault.
    fn check(file: &str, expected: &[&str]) {
        for size in [1, 7, 1 << 20] {
            let mut lines = LineReader::new(Sha256::default());
            let mut items = Vec::new();
            for part in file.as_bytes().chunks(size) {
                let mut rest = part;
                while !rest.is_empty() {
                    let (read, _) = lines.push(rest, &mut items);
                    rest = &rest[read..];
                }
            }
            lines.finish(&mut items);
            let text = |item: &Item| {
                let text = String::from_utf8(item.text.clone()).unwrap();
                if item.fault.is_some() { format!("!{text}") } else { text }
            };
            let actual: Vec<String> = items.iter().map(text).collect();
            assert_eq!(actual, expected, "{file:?} in parts of {size}");
        }
    }

    #[test]
    fn a_file_is_split_at_newlines_whatever_a_line_is() {
        check("", &[]);
        check("{}\n\n\0\0{\"a\":1}\r\n", &["{}", "{\"a\":1}"]);
        check("{\n{}\nword\n{}", &["!{", "{}", "!word", "{}"]);
    }

    #[test]
    fn an_event_after_the_beginning_of_another_one_is_an_item() {
        let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get"}"#;
        for cut in [10, 20, 40, 55] {
            let start = event.get(..cut).unwrap();
            check(&format!("{start}{event}\n{event}\n"), &[&format!("!{start}"), event, event]);
        }
        // A body with such a text is not one.
        let body = format!(r#"{{"kind":"Event","requestObject":{event}}}"#);
        check(&format!("{body}\n"), &[&body]);
    }

    #[test]
    fn memory_is_bounded_whatever_the_length_of_a_line() {
        let mut lines = LineReader::new(Sha256::default());
        let mut items = Vec::new();
        let part = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            lines.push(&part, &mut items);
            assert!(lines.line.len() <= EVENT_BYTES_MAX);
        }
        lines.push(b"\n", &mut items);
        assert_eq!((items.len(), items[0].len), (1, 20 << 20));
        assert!(items[0].fault.is_some() && items[0].text.len() <= EVENT_BYTES_MAX);
    }
}
