//! Keeps the marker of audit lines out of everything else that is written.
//!
//! Log agents take every line for an audit event that matches `(?i).*K10Event.*`. Our own log names
//! objects, and people choose the names of objects.

use std::borrow::Cow;
use std::io::{self, Write};

/// The marker behind its first letter, in lower case.
const REST: &[u8] = b"10event";
/// Where a hyphen goes into it: behind the digits.
const DIGITS: usize = 2;
/// First letters that a filter which ignores case takes for a K: the last is the Kelvin sign.
const FIRST: [&[u8]; 3] = [b"k", b"K", "\u{212a}".as_bytes()];

/// A writer of whole lines in which the marker cannot be found.
pub(super) struct Unmarked<W>(pub(super) W);

impl<W: Write> Write for Unmarked<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&unmarked(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text with a hyphen in each marker: `k10-event`.
pub(super) fn unmarked(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut written = 0;
    for at in 0..text.len() {
        let Some(rest) = text.get(at..).and_then(|rest| rest.get(..REST.len())) else { break };
        let is_marker = rest.eq_ignore_ascii_case(REST)
            && text.get(..at).is_some_and(|before| FIRST.iter().any(|one| before.ends_with(one)));
        if is_marker {
            out.extend_from_slice(text.get(written..at + DIGITS).unwrap_or_default());
            out.push(b'-');
            written = at + DIGITS;
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
    fn no_line_of_ours_passes_a_filter_for_audit_lines_whatever_objects_are_called() {
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
            assert_eq!(String::from_utf8_lossy(&unmarked(text.as_bytes())), expected);
        }
        let mut writer = Unmarked(Vec::new());
        writer.write_all(b"name=k10event\n").unwrap();
        assert_eq!(writer.0, b"name=k10-event\n");
    }
}
