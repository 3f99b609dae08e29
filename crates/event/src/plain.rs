//! Classifies the bytes of text: those that are written unchanged into a JSON string, and those that
//! may need an escape sequence.
//!
//! Deliberately absent: the escape sequences ([`escape`](crate::escape)).

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
    let marks = (word & HIGHS)
        | (word.wrapping_sub(each(0x20)) & !word & HIGHS)
        | zero_bytes(word ^ each(b'"'))
        | zero_bytes(word ^ each(b'\\'))
        | zero_bytes(word ^ each(b'&'))
        | zero_bytes((word & each(0xfd)) ^ each(b'<'))
        | zero_bytes(word ^ each(0x7f));
    // A byte's mark is its highest bit; without a mark, all 64 bits are zero.
    marks.trailing_zeros() as usize / 8
}

/// Whether all bytes are ASCII and need no escape sequence, which is the common case. A text
/// shorter than a block is tested as two overlapping pieces.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk() {
        let mut scan = BlockScan { difference_min: [u8::MAX; BLOCK], highest: [0; BLOCK] };
        bytes.as_chunks().0.iter().for_each(|block| scan.add(block));
        scan.add(last);
        return scan.is_plain();
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
struct BlockScan {
    /// The smallest difference to a byte that is escaped; 0 means a match.
    difference_min: [u8; BLOCK],
    /// The highest byte value, relative to the space character.
    highest: [u8; BLOCK],
}

impl BlockScan {
    fn add(&mut self, block: &[u8; BLOCK]) {
        for ((difference, high), byte) in
            self.difference_min.iter_mut().zip(&mut self.highest).zip(block)
        {
            let quote = (byte ^ b'"').min(byte ^ b'\\');
            let angle = (byte ^ b'&').min((byte & 0xfd) ^ b'<');
            *difference = quote.min(angle).min(*difference);
            *high = byte.wrapping_sub(b' ').max(*high);
        }
    }

    fn is_plain(&self) -> bool {
        let marks = self.difference_min.iter().zip(&self.highest);
        let marks = marks
            .map(|(difference, high)| u8::from(*difference == 0) | u8::from(*high > b'~' - b' '));
        marks.fold(0, |any, mark| any | mark) == 0
    }
}

/// The length of a prefix that needs no escape sequence. Eight bytes are tested at a time, so up to
/// seven plain bytes at the end are not counted.
pub(crate) fn unescaped_prefix(bytes: &[u8]) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_at_once_agree_with_the_table() {
        for byte in 0..=u8::MAX {
            for index in 0..8 {
                let mut word = *b"abcdefgh";
                word[index] = byte;
                let plain = class(byte) == Class::Plain && byte.is_ascii();
                assert_eq!(plain_prefix(word), if plain { 8 } else { index }, "{byte:#x}");
                word[7] = b'"';
                if index < 7 {
                    assert_eq!(plain_prefix(word), if plain { 7 } else { index }, "{byte:#x}");
                }
            }
        }
    }

    #[test]
    fn blocks_agree_with_the_table() {
        for byte in 0..=u8::MAX {
            for len in 1..=40 {
                for index in 0..len {
                    let mut text = vec![b'a'; len];
                    text[index] = byte;
                    let plain = class(byte) == Class::Plain && byte.is_ascii();
                    assert_eq!(is_plain(&text), plain, "{byte:#x} at {index} of {len}");
                }
            }
        }
    }
}
