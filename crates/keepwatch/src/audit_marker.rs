//! Keeps the marker of audit lines out of the server's own log and messages.
//!
//! Log agents treat every line that matches `(?i).*K10Event.*` as an audit event. The server's own
//! log contains names of objects, which users choose.

use std::borrow::Cow;
use std::io::{self, Write};

/// The marker without its first letter, in lower case.
const REST: &[u8] = b"10event";
/// Where the hyphen is inserted: after the digits.
const DIGITS: usize = 2;
/// Characters that a case-insensitive filter accepts as the first letter; the last is the Kelvin
/// sign.
const FIRST: [&[u8]; 3] = [b"k", b"K", "\u{212a}".as_bytes()];

/// Writes lines with a hyphen in each marker. Each call of `write` passes one line.
pub(crate) struct MarkerBreaker<W>(pub(crate) W);

impl<W: Write> Write for MarkerBreaker<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&break_marker(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text with a hyphen in each marker: `k10-event`.
pub(crate) fn break_marker(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut written = 0;
    for start in 0..text.len() {
        let Some(rest) = text.get(start..).and_then(|rest| rest.get(..REST.len())) else { break };
        let is_marker = rest.eq_ignore_ascii_case(REST)
            && text
                .get(..start)
                .is_some_and(|before| FIRST.iter().any(|first| before.ends_with(first)));
        if is_marker {
            out.extend_from_slice(text.get(written..start + DIGITS).unwrap_or_default());
            out.push(b'-');
            written = start + DIGITS;
        }
    }
    if written == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(text.get(written..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_escaped_wherever_a_filter_for_audit_lines_would_match() {
        for (text, expected) in [
            ("", ""),
            ("k10event", "k10-event"),
            (
                "config kasten-io/K10Event-1 and k10EVENT-2",
                "config kasten-io/K10-Event-1 and k10-EVENT-2",
            ),
            ("K10EventK10Event", "K10-EventK10-Event"),
            ("\u{212a}10event", "\u{212a}10-event"),
            ("k10 event, 10event, k10-event, k10even", "k10 event, 10event, k10-event, k10even"),
            ("Zoë k10Event 金", "Zoë k10-Event 金"),
        ] {
            assert_eq!(String::from_utf8_lossy(&break_marker(text.as_bytes())), expected);
        }
        let mut writer = MarkerBreaker(Vec::new());
        writer.write_all(b"name=k10event\n").unwrap();
        assert_eq!(writer.0, b"name=k10-event\n");
    }
}
