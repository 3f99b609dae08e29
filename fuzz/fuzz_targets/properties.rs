//! What holds for every line of ours, whatever came from outside.
//!
//! Shared by the targets; a broken property panics, which is how a fuzzer is told.

use serde_json::value::RawValue;

/// Asserts that bytes can stand as a line: one, valid JSON, without a character that a terminal or
/// a reader's eye could be led astray by.
pub fn assert_line(line: &[u8]) {
    let text = std::str::from_utf8(line).expect("a line is UTF-8");
    if let Some(found) = text.chars().find(|&found| is_forbidden(found)) {
        panic!("{found:?} stands raw in {text:?}");
    }
    serde_json::from_str::<&RawValue>(text).expect("a line is JSON");
}

/// Control characters, separators of lines, and marks that turn the direction of text around.
fn is_forbidden(found: char) -> bool {
    matches!(found,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A piece of the input up to the next NUL; the input goes on behind it.
pub fn piece<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let end = input.iter().position(|byte| *byte == 0);
    let (piece, rest) = match end {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (*input, &input[..0]),
    };
    *input = rest;
    piece
}

/// The same as text, with bytes that are none replaced.
pub fn text(input: &mut &[u8]) -> String {
    String::from_utf8_lossy(piece(input)).into_owned()
}
