//! Text that is safe for a terminal, with its width in columns.
//!
//! Clients choose user names, object names, verbs and paths. Characters in them that control the
//! terminal, change the direction of text, are invisible, or take no column of their own are
//! printed as `\u{…}`. A field with a space is quoted, so that no text looks like two fields. The
//! character `…` is reserved: it always marks an omission.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// The maximum number of bytes of a text that are processed; even the widest line shows fewer.
const BYTES_MAX: usize = 4096;
const ELLIPSIS: &str = "…";

/// Text that contains only safe characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TerminalText {
    text: String,
    columns: usize,
}

impl TerminalText {
    /// A constant.
    pub(super) fn word(word: &str) -> Self {
        Self { text: word.to_owned(), columns: columns(word) }
    }

    /// A client's text that is a field of a line.
    pub(super) fn field(text: &str) -> Self {
        let printed = Self::sentence(text);
        if !printed.text.contains([' ', '"']) {
            return printed;
        }
        let quoted = printed.text.replace('"', "\\\"");
        Self::word(&format!("\"{quoted}\""))
    }

    /// A text that may contain client input, at the end of a line.
    pub(super) fn sentence(text: &str) -> Self {
        let start = text.get(..text.floor_char_boundary(BYTES_MAX)).unwrap_or_default();
        let mut printed = String::with_capacity(start.len());
        for c in start.chars() {
            if is_printable(c) {
                printed.push(c);
            } else {
                // Writing to a string cannot fail.
                write!(printed, "\\u{{{:x}}}", u32::from(c)).unwrap_or_default();
            }
        }
        if start.len() < text.len() {
            printed.push_str(ELLIPSIS);
        }
        Self { columns: columns(&printed), text: printed }
    }

    /// Append a constant and another text.
    pub(super) fn joined(mut self, between: &str, other: &Self) -> Self {
        self.text.push_str(between);
        self.text.push_str(&other.text);
        self.columns += columns(between) + other.columns;
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) const fn columns(&self) -> usize {
        self.columns
    }

    /// Shorten the text to a number of columns. The middle is omitted, because names differ at
    /// their ends.
    pub(super) fn shortened(self, columns_max: usize) -> Self {
        if self.columns <= columns_max {
            return self;
        }
        let Some(available) = columns_max.checked_sub(1) else { return Self::word("") };
        let (tail_max, mut tail) = (available / 2, 0);
        let mut tail_start = self.text.len();
        for (at, c) in self.text.char_indices().rev() {
            tail += width(c);
            if tail > tail_max {
                break;
            }
            tail_start = at;
        }
        let head = self.head(available - tail_max);
        let tail = self.text.get(tail_start..).unwrap_or_default();
        Self::word(&format!("{head}{ELLIPSIS}{tail}"))
    }

    /// Shorten the text to a number of columns. The end is omitted.
    pub(super) fn cut(&self, columns_max: usize) -> Self {
        if self.columns <= columns_max {
            return self.clone();
        }
        let Some(available) = columns_max.checked_sub(1) else { return Self::word("") };
        Self::word(&format!("{}{ELLIPSIS}", self.head(available)))
    }

    /// The characters that fit into a number of columns.
    fn head(&self, columns_max: usize) -> &str {
        let mut columns = 0;
        let end = self.text.char_indices().find(|(_, c)| {
            columns += width(*c);
            columns > columns_max
        });
        end.and_then(|(end, _)| self.text.get(..end)).unwrap_or(&self.text)
    }
}

/// Whether a character is visible and takes one or two columns of its own.
fn is_printable(c: char) -> bool {
    // Classified as letters and symbols, but displayed as blanks.
    let is_blank =
        matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{ad}');
    let is_ellipsis = c == '…';
    match c {
        ' '..='~' => true,
        _ if c.is_control() || c.is_whitespace() || is_blank || is_ellipsis => false,
        _ => width(c) > 0,
    }
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_text_is_escaped_and_stays_in_its_field() {
        for (text, expected, wide) in [
            ("alice", "alice", 0),
            ("", "", 0),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}", 0),
            ("\u{9b}31m\r\n\t\0\u{7f}", "\\u{9b}31m\\u{d}\\u{a}\\u{9}\\u{0}\\u{7f}", 0),
            ("\u{202e}ecila\u{2066}", "\\u{202e}ecila\\u{2066}", 0),
            ("a\u{200b}b\u{feff}\u{2060}", "a\\u{200b}b\\u{feff}\\u{2060}", 0),
            ("Zoe\u{308}", "Zoe\\u{308}", 0),
            ("a\u{a0}b\u{3000}c\u{2028}", "a\\u{a0}b\\u{3000}c\\u{2028}", 0),
            ("\u{3164}\u{2800}\u{ffa0}", "\\u{3164}\\u{2800}\\u{ffa0}", 0),
            ("\u{e0041}\u{fe0f}", "\\u{e0041}\\u{fe0f}", 0),
            ("cut…", "cut\\u{2026}", 0),
            ("John Doe 10.0.0.1", "\"John Doe 10.0.0.1\"", 0),
            ("a\"b", "\"a\\\"b\"", 0),
            ("Zoë 金", "\"Zoë 金\"", 1),
            ("金曜日", "金曜日", 3),
            ("💾", "💾", 1),
        ] {
            let printed = TerminalText::field(text);
            assert_eq!(printed.as_str(), expected, "{text:?}");
            assert_eq!(printed.columns(), expected.chars().count() + wide, "{text:?}");
        }
    }

    #[test]
    fn a_shortened_text_has_an_ellipsis() {
        for (text, columns_max, middle, end) in [
            ("alice", 5, "alice", "alice"),
            ("abcdefgh", 5, "ab…gh", "abcd…"),
            ("abcdefgh", 4, "ab…h", "abc…"),
            ("abcdefgh", 1, "…", "…"),
            ("abcdefgh", 0, "", ""),
            ("金曜日土曜日", 6, "金…日", "金曜…"),
            ("金曜日土曜日", 2, "…", "…"),
        ] {
            let printed = TerminalText::field(text);
            assert_eq!(printed.cut(columns_max).as_str(), end, "{text} {columns_max}");
            let shortened = printed.shortened(columns_max);
            assert_eq!(shortened.as_str(), middle, "{text} {columns_max}");
            assert!(shortened.columns() <= columns_max);
        }
    }

    #[test]
    fn a_very_long_text_is_processed_in_part() {
        let printed = TerminalText::field(&"ü".repeat(1 << 20));
        assert!(printed.as_str().len() <= BYTES_MAX + ELLIPSIS.len());
        assert!(printed.as_str().ends_with(ELLIPSIS));
    }
}
