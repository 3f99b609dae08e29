//! Shortens a path that is too long in an HTTP/2 header block.
//!
//! Only the representation of the path changes (RFC 7541, section 6); every other byte is
//! unchanged. The shortened path is longer than the dynamic table of either side (4,096 bytes; this
//! server keeps that default), so it evicts all entries of the table if the original path did.

use bytes::Bytes;

use super::huffman;
use super::{CONTINUATION, END_HEADERS, FrameHeader, HEADER_LEN, HEADERS};
use crate::limits::URI_BYTES_MAX;

/// Length to which a path is cut, in bytes; still too long.
const CUT_LEN: usize = URI_BYTES_MAX + 1;
/// Indexes of `:path` in the static table.
const PATH: [usize; 2] = [4, 5];
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;
const PRIORITY_LEN: usize = 5;
/// Default maximum length of a frame, in bytes.
const FRAME_LEN_MAX: usize = 16_384;

/// Returns the frames of a header block with a shorter path; `None` if the path is not too long or
/// the block is malformed.
pub(super) fn shortened(frames: &[u8]) -> Option<Bytes> {
    let first = FrameHeader::parse(frames)?;
    let mut block = Vec::with_capacity(frames.len());
    let mut priority: &[u8] = &[];
    let mut rest = frames;
    while let Some(header) = FrameHeader::parse(rest) {
        let mut payload = rest.get(HEADER_LEN..HEADER_LEN + header.len)?;
        rest = rest.get(HEADER_LEN + header.len..)?;
        if header.kind == HEADERS && header.flags & PADDED != 0 {
            let (len, padded) = payload.split_first()?;
            payload = padded.get(..padded.len().checked_sub(usize::from(*len))?)?;
        }
        if header.kind == HEADERS && header.flags & PRIORITY != 0 {
            (priority, payload) = payload.split_at_checked(PRIORITY_LEN)?;
        }
        block.extend_from_slice(payload);
    }
    let block = with_shorter_path(&block)?;
    let mut out = Vec::with_capacity(block.len() + 64);
    let mut pieces = [priority, &block].concat();
    let mut kind = HEADERS;
    let flags = first.flags & !(PADDED | END_HEADERS);
    while !pieces.is_empty() {
        let next = pieces.split_off(pieces.len().min(FRAME_LEN_MAX));
        let end = if next.is_empty() { END_HEADERS } else { 0 };
        let flags = if kind == HEADERS { flags | end } else { end };
        let [_, a, b, c] = u32::try_from(pieces.len()).ok()?.to_be_bytes();
        out.extend_from_slice(&[a, b, c, kind, flags]);
        out.extend_from_slice(&first.stream.to_be_bytes());
        out.extend_from_slice(&pieces);
        pieces = next;
        kind = CONTINUATION;
    }
    Some(Bytes::from(out))
}

fn with_shorter_path(block: &[u8]) -> Option<Vec<u8>> {
    let mut rest = block;
    while let Some(&kind) = rest.first() {
        let prefix = match kind {
            0x80.. => 7,
            0x40..0x80 => 6,
            0x20..0x40 => 5,
            _ => 4,
        };
        let index = number(&mut rest, prefix)?;
        if kind >= 0x80 || prefix == 5 {
            continue;
        }
        let is_path =
            if index == 0 { string(&mut rest)?.is(b":path") } else { PATH.contains(&index) };
        let before = block.len() - rest.len();
        let value = string(&mut rest)?;
        if !is_path || value.len_max() <= URI_BYTES_MAX {
            continue;
        }
        let path = value.decoded()?;
        let cut_path = path.get(..CUT_LEN)?;
        let mut out = block.get(..before)?.to_vec();
        write_number(cut_path.len(), 7, &mut out);
        out.extend_from_slice(cut_path);
        out.extend_from_slice(rest);
        return Some(out);
    }
    None
}

/// An encoded string.
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

impl Text<'_> {
    /// Upper bound of the decoded length, in bytes: every code has at least five bits.
    fn len_max(&self) -> usize {
        if self.is_huffman { self.bytes.len() * 8 / 5 } else { self.bytes.len() }
    }

    fn decoded(&self) -> Option<Vec<u8>> {
        if self.is_huffman { huffman::decode(self.bytes) } else { Some(self.bytes.to_vec()) }
    }

    fn is(&self, word: &[u8]) -> bool {
        self.bytes.len() <= word.len() && self.decoded().is_some_and(|text| text == word)
    }
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<Text<'a>> {
    let is_huffman = rest.first()? & 0x80 != 0;
    let len = number(rest, 7)?;
    Some(Text { bytes: rest.split_off(..len)?, is_huffman })
}

/// Decodes an integer with a prefix of `prefix` bits (RFC 7541, section 5.1).
fn number(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let prefix_max = (1_usize << prefix) - 1;
    let mut number = usize::from(*rest.split_off_first()?) & prefix_max;
    if number < prefix_max {
        return Some(number);
    }
    for shift in (0..28).step_by(7) {
        let byte = *rest.split_off_first()?;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Encodes an integer. With a prefix of seven bits, the highest bit of the byte is zero: no Huffman
/// coding.
fn write_number(number: usize, prefix: u32, out: &mut Vec<u8>) {
    let prefix_max = (1_usize << prefix) - 1;
    let low = |number: usize| {
        let [low, ..] = number.to_le_bytes();
        low
    };
    if number < prefix_max {
        return out.push(low(number));
    }
    out.push(low(prefix_max));
    let mut rest = number - prefix_max;
    while rest > 0x7f {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(block: &[u8], piece: usize, flags: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let count = block.chunks(piece).count();
        for (at, chunk) in block.chunks(piece).enumerate() {
            let end = if at + 1 == count { END_HEADERS } else { 0 };
            let (kind, flags) = if at == 0 { (HEADERS, flags | end) } else { (CONTINUATION, end) };
            let [_, a, b, c] = u32::try_from(chunk.len()).unwrap().to_be_bytes();
            out.extend_from_slice(&[a, b, c, kind, flags, 0, 0, 0, 7]);
            out.extend_from_slice(chunk);
        }
        out
    }

    /// A block with `:method GET`, a path, and `x: y`.
    fn block(path: &[u8], start: &[u8]) -> Vec<u8> {
        let mut block = [&[0x82], start].concat();
        write_number(path.len(), 7, &mut block);
        block.extend_from_slice(path);
        block.extend_from_slice(&[0x00, 1, b'x', 1, b'y']);
        block
    }

    fn check(path: &[u8], start: &[u8], expected: Option<&[u8]>) {
        let actual = shortened(&frames(&block(path, start), 16_384, 1));
        let expected = expected.map(|path| frames(&block(path, start), FRAME_LEN_MAX, 1));
        assert_eq!(actual.as_deref(), expected.as_deref());
    }

    #[test]
    fn only_a_too_long_path_is_shortened() {
        let long = vec![b'a'; 70_000];
        let cut_path = vec![b'a'; CUT_LEN];
        check(&long, &[0x04], Some(&cut_path));
        check(&long, &[0x15], Some(&cut_path));
        check(&long, &[0x44], Some(&cut_path));
        check(&long, &[&[0x00, 5], &b":path"[..]].concat(), Some(&cut_path));
        // Another header's name, indexed and literal; a path of allowed length.
        check(&long, &[0x0f, 0x05], None);
        check(&long, &[0x00, 1, b'p'], None);
        check(&long[..URI_BYTES_MAX], &[0x04], None);
    }

    #[test]
    fn encoded_paths_padding_and_priority_are_parsed() {
        // Eight times `a`, whose code is 00011.
        let coded: Vec<u8> = [0x18, 0xc6, 0x31, 0x8c, 0x63].repeat(10_000);
        let mut long = vec![0x82, 0x04];
        write_number(coded.len(), 7, &mut long);
        long[2] |= 0x80;
        long.extend_from_slice(&coded);
        let expected = {
            let mut short = vec![0x82, 0x04];
            write_number(CUT_LEN, 7, &mut short);
            short.extend_from_slice(&vec![b'a'; CUT_LEN]);
            short
        };
        let plain = shortened(&frames(&long, 16_384, 0)).unwrap();
        assert_eq!(&plain[..], &frames(&expected, FRAME_LEN_MAX, 0)[..]);
        let mut first = vec![2];
        first.extend_from_slice(&[9; PRIORITY_LEN]);
        first.extend_from_slice(&long[..100]);
        first.extend_from_slice(&[0, 0]);
        let [_, a, b, c] = u32::try_from(first.len()).unwrap().to_be_bytes();
        let mut padded = vec![a, b, c, HEADERS, PADDED | PRIORITY, 0, 0, 0, 7];
        padded.extend_from_slice(&first);
        let mut others = frames(&long[100..], 16_384, 0);
        others[3] = CONTINUATION;
        padded.extend_from_slice(&others);
        let with_priority = [&[9; PRIORITY_LEN][..], &expected].concat();
        let actual = shortened(&padded).unwrap();
        assert_eq!(&actual[..], &frames(&with_priority, FRAME_LEN_MAX, PRIORITY)[..]);
    }

    #[test]
    fn other_bytes_are_unchanged() {
        for block in [&[0x04, 0x7f][..], &[0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x00], &[]]
        {
            assert_eq!(shortened(&frames(block, 16_384, 0)), None, "{block:?}");
        }
        let long = frames(&block(&vec![b'a'; 70_000], &[0x04]), 16_384, 0);
        assert_eq!(shortened(&long[..long.len() - 1]), None);
        let mut coded = block(&vec![0xff; 70_000], &[0x04]);
        coded[2] |= 0x80;
        assert_eq!(shortened(&frames(&coded, 16_384, 0)), None, "no characters");
    }
}
