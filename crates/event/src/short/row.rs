//! Writes fields to a line until its columns are used up.

use super::terminal_text::TerminalText;

/// A line that is being written.
pub(super) struct Row<'l> {
    line: &'l mut Vec<u8>,
    left: usize,
    is_empty: bool,
}

impl<'l> Row<'l> {
    pub(super) const fn new(columns: usize, line: &'l mut Vec<u8>) -> Self {
        Self { line, left: columns, is_empty: true }
    }

    pub(super) const fn columns_left(&self) -> usize {
        self.left
    }

    /// Append a field in a color, padded with blanks to a number of columns. A blank separates it
    /// from the previous field.
    pub(super) fn put(&mut self, field: &TerminalText, color: &str, padded: usize) {
        if !std::mem::take(&mut self.is_empty) {
            self.blanks(1);
        }
        let field = field.cut(self.left);
        self.left -= field.columns();
        if color.is_empty() || field.as_str().trim().is_empty() {
            self.line.extend_from_slice(field.as_str().as_bytes());
        } else {
            for part in ["\u{1b}[", color, "m", field.as_str(), "\u{1b}[0m"] {
                self.line.extend_from_slice(part.as_bytes());
            }
        }
        self.blanks(padded.saturating_sub(field.columns()));
    }

    fn blanks(&mut self, count: usize) {
        let count = count.min(self.left);
        self.line.resize(self.line.len() + count, b' ');
        self.left -= count;
    }
}
