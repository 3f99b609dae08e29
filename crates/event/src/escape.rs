//! The characters that are escaped in lines, and their escape sequences.
//!
//! In addition to those that JSON requires, these are `<`, `>`, `&`, U+2028 and U+2029, like in
//! Go's encoder; DEL and the C1 controls, which terminals interpret; and bidirectional control
//! characters, which can make one name look like another.

use crate::field_codec::Text;
use crate::plain::{Class, class, unescaped_prefix};

/// The length and code of the escaped character at the start of `bytes`, which is a [`Class::Lead`]
/// byte. The code is `None` if the character is not escaped.
pub(crate) fn multibyte_escape(bytes: &[u8]) -> (usize, Option<u16>) {
    match *bytes {
        [0xc2, low @ 0x80..=0x9f, ..] => (2, Some(u16::from(low))),
        [0xd8, 0x9c, ..] => (2, Some(0x061c)),
        [0xe2, 0x80, low @ (0x8e | 0x8f | 0xa8..=0xae), ..] => {
            (3, Some(0x2000 + u16::from(low - 0x80)))
        }
        [0xe2, 0x81, low @ 0xa6..=0xa9, ..] => (3, Some(0x2040 + u16::from(low - 0x80))),
        [0xe2, ..] => (3, None),
        _ => (2, None),
    }
}

/// Append `\u` and four digits.
pub(crate) fn unicode(code: u16, line: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u16| DIGITS[usize::from(code >> shift & 0xf)];
    line.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Append text as a JSON string, including the quotes.
pub(crate) fn string(text: Text<'_>, line: &mut Vec<u8>) {
    line.reserve(text.as_bytes().len() + 2);
    line.push(b'"');
    write_escaped(text, line);
    line.push(b'"');
}

/// Append text as the content of a JSON string.
#[inline]
pub(crate) fn write_escaped(text: Text<'_>, line: &mut Vec<u8>) {
    if text.is_plain() {
        line.extend_from_slice(text.as_bytes());
    } else {
        escaped(text.as_bytes(), line);
    }
}

/// Separate from [`write_escaped`], which rarely needs this slow path.
#[inline(never)]
fn escaped(bytes: &[u8], line: &mut Vec<u8>) {
    let (mut at, mut written) = (0, 0);
    loop {
        at += unescaped_prefix(&bytes[at..]);
        let Some(&byte) = bytes.get(at) else { break };
        let (len, code) = match class(byte) {
            Class::Plain => (1, None),
            Class::Lead => multibyte_escape(&bytes[at..]),
            _ => (1, Some(u16::from(byte))),
        };
        if let Some(code) = code {
            line.extend_from_slice(&bytes[written..at]);
            written = at + len;
            match short(byte) {
                Some(letter) => line.extend_from_slice(&[b'\\', letter]),
                None => unicode(code, line),
            }
        }
        at += len;
    }
    line.extend_from_slice(&bytes[written..]);
}

/// The letter of the short escape sequence, for those that Go's encoder uses.
const fn short(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_control_characters_are_escaped() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("\u{1b}[31m\u{7f}\u{9b}", r#""\u001b[31m\u007f\u009b""#),
            ("a\"b\\c\n\r\t\u{8}\u{c}\0", r#""a\"b\\c\n\r\t\b\f\u0000""#),
            ("<a>&", r#""\u003ca\u003e\u0026""#),
            ("\u{2028}\u{2029}\u{202a}\u{202e}", r#""\u2028\u2029\u202a\u202e""#),
            ("\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}", r#""\u2066\u2069\u200e\u200f\u061c""#),
            ("é–\u{a0}\u{200b}\u{206a}ش💾", "\"é–\u{a0}\u{200b}\u{206a}ش💾\""),
        ] {
            let mut line = Vec::new();
            string(Text::from(text), &mut line);
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }
}
