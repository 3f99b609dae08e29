//! Lines of bounded length, with their numbers. Lines that a container runtime split are joined.

use std::io::{self, BufRead};

use super::LINE_BYTES_MAX;
use super::runtime_log::{Joined, UnfinishedLines};

/// Reads lines one by one.
pub(crate) struct Lines {
    from: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    unfinished: UnfinishedLines,
}

/// A line, trimmed.
pub(crate) enum Line<'a> {
    /// The complete line.
    Complete(&'a [u8]),
    /// The line was longer than allowed, and skipped.
    TooLong,
}

impl Lines {
    pub(super) fn new(from: Box<dyn BufRead>) -> Self {
        Self { from, line: Vec::new(), number: 0, unfinished: UnfinishedLines::default() }
    }

    /// The number of the last line, from 1; of a joined line, that of its last part.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next non-empty line; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            match self.read()? {
                Read::End => match self.unfinished.take() {
                    Some(line) => self.line = line,
                    None => return Ok(None),
                },
                Read::Line => {
                    self.number += 1;
                    match self.unfinished.join(&mut self.line) {
                        Joined::Complete => {}
                        Joined::Part => continue,
                        Joined::TooLong => return Ok(Some(Line::TooLong)),
                    }
                }
                Read::TooLong => {
                    self.number += 1;
                    self.line = Vec::new();
                    return Ok(Some(Line::TooLong));
                }
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Line::Complete(self.line.trim_ascii())))
    }

    fn read(&mut self) -> io::Result<Read> {
        let mut is_too_long = false;
        let mut length = 0_usize;
        loop {
            let buffer = match self.from.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = memchr::memchr(b'\n', buffer);
            let consumed = end.map_or(buffer.len(), |end| end + 1);
            let is_end = consumed == 0;
            length = length.saturating_add(consumed);
            is_too_long |= length > LINE_BYTES_MAX;
            if !is_too_long {
                self.line.extend_from_slice(buffer.get(..consumed).unwrap_or_default());
            }
            self.from.consume(consumed);
            match (is_end, end) {
                (true, _) if length == 0 => return Ok(Read::End),
                (false, None) => {}
                _ if is_too_long => return Ok(Read::TooLong),
                _ => return Ok(Read::Line),
            }
        }
    }
}

enum Read {
    End,
    Line,
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[(u64, Option<&str>)]) {
        let mut lines =
            Lines::new(Box::new(io::BufReader::with_capacity(3, io::Cursor::new(text.to_vec()))));
        let mut output = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let line = match line {
                Line::Complete(line) => Some(String::from_utf8_lossy(line).into_owned()),
                Line::TooLong => None,
            };
            output.push((lines.number(), line));
        }
        let expected: Vec<_> =
            expected.iter().map(|(number, line)| (*number, line.map(str::to_owned))).collect();
        assert_eq!(output, expected);
    }

    #[test]
    fn lines_are_numbered_and_a_long_one_is_skipped() {
        check(b"", &[]);
        check(b"\n\n", &[]);
        check(
            b"one\r\n\n  three  \nfour",
            &[(1, Some("one")), (3, Some("three")), (4, Some("four"))],
        );
        let mut long = vec![b'x'; LINE_BYTES_MAX + 1];
        long.extend_from_slice(b"\nnext");
        check(&long, &[(1, None), (2, Some("next"))]);
    }
}
