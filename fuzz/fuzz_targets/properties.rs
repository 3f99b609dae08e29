//! Properties of every line that we write, whatever the input.
//!
//! All targets share them. A violation panics, which the fuzzer reports.

use serde_json::value::RawValue;

/// Asserts that the bytes are one line of valid JSON, without characters that could manipulate a
/// terminal or mislead a reader.
pub fn assert_line(line: &[u8]) {
    let text = std::str::from_utf8(line).expect("a line is UTF-8");
    if let Some(found) = text.chars().find(|&found| is_forbidden(found)) {
        panic!("{found:?} stands raw in {text:?}");
    }
    serde_json::from_str::<&RawValue>(text).expect("a line is JSON");
}

/// Control characters, line separators, and marks of text direction.
fn is_forbidden(found: char) -> bool {
    matches!(found,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Removes and returns the input up to the next NUL.
pub fn piece<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let end = input.iter().position(|byte| *byte == 0);
    let (piece, rest) = match end {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (*input, &input[..0]),
    };
    *input = rest;
    piece
}

/// Like [`piece`], as text, with invalid bytes replaced.
pub fn text(input: &mut &[u8]) -> String {
    String::from_utf8_lossy(piece(input)).into_owned()
}
