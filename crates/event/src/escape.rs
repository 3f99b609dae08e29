//! The characters that are escaped in lines, and their escape sequences.
//!
//! In addition to those that JSON requires, these are `<`, `>`, `&`, U+2028 and U+2029, like in
//! Go's encoder; DEL and the C1 controls, which terminals interpret; and bidirectional control
//! characters, which can make one name look like another.

use crate::head::Text;

/// How a byte of UTF-8 text is handled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Written unchanged.
    Plain,
    /// Ends a JSON string.
    Quote,
    /// Begins an escape sequence in a JSON string.
    Backslash,
    /// A control character: invalid in JSON, escaped in text.
    Control,
    /// A single byte that is escaped although JSON allows it.
    Single,
    /// The first byte of a longer character that may have to be escaped.
    Lead,
}

/// The class of each byte value.
pub(crate) static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = Class::Control;
        byte += 1;
    }
    classes[b'"' as usize] = Class::Quote;
    classes[b'\\' as usize] = Class::Backslash;
    classes[b'<' as usize] = Class::Single;
    classes[b'>' as usize] = Class::Single;
    classes[b'&' as usize] = Class::Single;
    classes[0x7f] = Class::Single;
    classes[0xc2] = Class::Lead;
    classes[0xd8] = Class::Lead;
    classes[0xe2] = Class::Lead;
    classes
}

/// The class of one byte.
pub(crate) fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// The number of plain ASCII bytes at the start of eight bytes.
///
/// Tests eight bytes in one register: `(x - 0x01…) & !x & 0x80…` finds a zero byte, and a byte
/// equal to `c` is zero after `x ^ c`. This can produce false marks after the first match, but
/// never before it.
fn plain_prefix(bytes: [u8; 8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const fn zero_bytes(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    const fn each(byte: u8) -> u64 {
        ONES * byte as u64
    }
    let word = u64::from_le_bytes(bytes);
    let found = (word & HIGHS)
        | (word.wrapping_sub(each(0x20)) & !word & HIGHS)
        | zero_bytes(word ^ each(b'"'))
        | zero_bytes(word ^ each(b'\\'))
        | zero_bytes(word ^ each(b'&'))
        | zero_bytes((word & each(0xfd)) ^ each(b'<'))
        | zero_bytes(word ^ each(0x7f));
    // A byte's mark is its highest bit; without a mark, all 64 bits are zero.
    found.trailing_zeros() as usize / 8
}

/// The length and code of the escaped character at the start of `bytes`, which is a [`Class::Lead`]
/// byte. The code is `None` if the character is not escaped.
pub(crate) fn lead(bytes: &[u8]) -> (usize, Option<u16>) {
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
    inside(text, line);
    line.push(b'"');
}

/// Append text as the content of a JSON string.
#[inline]
pub(crate) fn inside(text: Text<'_>, line: &mut Vec<u8>) {
    if text.is_plain() {
        line.extend_from_slice(text.as_bytes());
    } else {
        escaped(text.as_bytes(), line);
    }
}

/// Whether all bytes are ASCII and need no escape sequence, which is the common case. A text
/// shorter than a block is tested as two overlapping pieces.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk() {
        let mut found = Found { nearest: [u8::MAX; BLOCK], highest: [0; BLOCK] };
        bytes.as_chunks().0.iter().for_each(|block| found.look_at(block));
        found.look_at(last);
        return found.is_plain();
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return plain_prefix(*first) == 8 && plain_prefix(*last) == 8;
    }
    if let (Some([a, b, c, d]), Some([e, f, g, h])) = (bytes.first_chunk(), bytes.last_chunk()) {
        return plain_prefix([*a, *b, *c, *d, *e, *f, *g, *h]) == 8;
    }
    bytes.iter().all(|byte| byte.is_ascii() && class(*byte) == Class::Plain)
}

const BLOCK: usize = 16;

/// The result of scanning the blocks of a text, per byte position. Without branches, and with one
/// result at the end, compilers produce a few vector instructions.
struct Found {
    /// The smallest difference to a byte that is escaped; 0 means a match.
    nearest: [u8; BLOCK],
    /// The highest byte value, relative to the space character.
    highest: [u8; BLOCK],
}

impl Found {
    fn look_at(&mut self, block: &[u8; BLOCK]) {
        for ((near, high), byte) in self.nearest.iter_mut().zip(&mut self.highest).zip(block) {
            let quote = (byte ^ b'"').min(byte ^ b'\\');
            let angle = (byte ^ b'&').min((byte & 0xfd) ^ b'<');
            *near = quote.min(angle).min(*near);
            *high = byte.wrapping_sub(b' ').max(*high);
        }
    }

    fn is_plain(&self) -> bool {
        let marks = self.nearest.iter().zip(&self.highest);
        let marks = marks.map(|(near, high)| u8::from(*near == 0) | u8::from(*high > b'~' - b' '));
        marks.fold(0, |found, mark| found | mark) == 0
    }
}

/// Separate from [`inside`], which rarely needs this slow path.
#[inline(never)]
fn escaped(bytes: &[u8], line: &mut Vec<u8>) {
    let (mut at, mut written) = (0, 0);
    loop {
        at += plain_run(&bytes[at..]);
        let Some(&byte) = bytes.get(at) else { break };
        let (len, code) = match class(byte) {
            Class::Plain => (1, None),
            Class::Lead => lead(&bytes[at..]),
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

/// The length of a prefix that needs no escape sequence. Eight bytes are tested at a time, so up to
/// seven plain bytes at the end are not counted.
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    for next in bytes.as_chunks().0 {
        let plain = plain_prefix(*next);
        run += plain;
        if plain < next.len() {
            break;
        }
    }
    run
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
    fn eight_bytes_at_once_agree_with_the_table() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut word = *b"abcdefgh";
                word[place] = byte;
                let plain = class(byte) == Class::Plain && byte.is_ascii();
                assert_eq!(plain_prefix(word), if plain { 8 } else { place }, "{byte:#x}");
                word[7] = b'"';
                if place < 7 {
                    assert_eq!(plain_prefix(word), if plain { 7 } else { place }, "{byte:#x}");
                }
            }
        }
    }

    #[test]
    fn blocks_agree_with_the_table() {
        for byte in 0..=u8::MAX {
            for len in 1..=40 {
                for place in 0..len {
                    let mut text = vec![b'a'; len];
                    text[place] = byte;
                    let plain = class(byte) == Class::Plain && byte.is_ascii();
                    assert_eq!(is_plain(&text), plain, "{byte:#x} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn what_terminals_obey_is_escaped() {
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
