//! Compressed lists of positions, one for each value of a column.
//!
//! ```text
//! length of the heads (4) │ heads: positions n (LEB128) [ bytes (LEB128) ] │ lists
//! ```
//!
//! A list of fewer than [`SHORT`] positions takes 14 bits for each. A longer one stores the
//! distance from one position to the next as a Rice code, whose width depends on the number of
//! positions, and its head has the length in bytes. Each list begins at a byte boundary.

use super::position_set::{POSITION_BITS, POSITIONS, PositionSet};

/// Lists with fewer positions are not Rice-coded.
const SHORT: usize = 8;

/// Append the lists to a column. `postings` are pairs of an ID and a position, in ascending order
/// of positions; `list_of` maps an ID to its list. A position that occurs twice in a list is stored
/// once.
pub(crate) fn write(postings: &[u32], list_of: &[u32], count: usize, column: &mut Vec<u8>) {
    let id = |posting: &u32| usize::try_from(posting >> POSITION_BITS).unwrap_or(usize::MAX);
    let list = |posting: &u32| {
        let list = list_of.get(id(posting)).copied().unwrap_or_default();
        usize::try_from(list).unwrap_or_default()
    };
    let mut ends = vec![0_usize; count + 1];
    for posting in postings {
        if let Some(end) = ends.get_mut(list(posting) + 1) {
            *end += 1;
        }
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    // While a list is filled, its entry in `ends` moves from the list's beginning to its end.
    let mut positions = vec![0_u16; postings.len()];
    for posting in postings {
        let Some(at) = ends.get_mut(list(posting)) else { continue };
        if let Some(to) = positions.get_mut(*at) {
            *to = position_of(*posting);
        }
        *at += 1;
    }
    let (mut heads, mut lists) =
        (Vec::with_capacity(2 * count), Vec::with_capacity(positions.len()));
    let mut start = 0;
    for end in ends.iter().take(count) {
        let of_list = positions.get(start..*end).unwrap_or_default();
        write_list(of_list, &mut heads, &mut lists);
        start = *end;
    }
    column.extend_from_slice(&u32::try_from(heads.len()).unwrap_or(u32::MAX).to_le_bytes());
    column.extend_from_slice(&heads);
    column.extend_from_slice(&lists);
}

/// Encode a posting: the ID of a value and a position.
pub(crate) fn posting(id: u32, position: u16) -> u32 {
    id << POSITION_BITS | u32::from(position % POSITIONS)
}

fn position_of(posting: u32) -> u16 {
    let [low, high, ..] = posting.to_le_bytes();
    u16::from_le_bytes([low, high]) % POSITIONS
}

fn write_list(positions: &[u16], heads: &mut Vec<u8>, lists: &mut Vec<u8>) {
    let repeated = positions.windows(2).filter(|pair| pair.first() == pair.last()).count();
    let count = positions.len() - repeated;
    write_number(count, heads);
    let width = if count < SHORT { POSITION_BITS } else { width(count) };
    let start = lists.len();
    let mut bits = BitWriter { bytes: lists, pending_bits: 0, len: 0 };
    // The position before the first one, in wrapping arithmetic.
    let mut last = u16::MAX;
    for position in positions {
        if *position == last {
            continue;
        }
        if count < SHORT {
            bits.push(u64::from(*position), POSITION_BITS);
        } else {
            bits.push_rice(u64::from(position.wrapping_sub(last).wrapping_sub(1)), width);
        }
        last = *position;
    }
    bits.finish();
    if count >= SHORT {
        write_number(lists.len() - start, heads);
    }
}

/// The number of low bits in the Rice code of a distance, for `count` positions in a segment: about
/// the logarithm of 0.7 times the mean distance.
fn width(count: usize) -> u32 {
    (usize::from(POSITIONS) * 45 / 64 / count).checked_ilog2().unwrap_or_default()
}

/// The lists of a column, to be read in order.
pub(crate) struct PostingLists<'a> {
    heads: &'a [u8],
    lists: &'a [u8],
}

/// A list that is not decoded yet.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> PostingLists<'a> {
    /// Read the lists at the end of a column; `None` if they are truncated.
    pub(crate) fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        bytes = rest;
        let heads = bytes.split_off(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        Some(Self { heads, lists: bytes })
    }

    /// Read the next list.
    pub(crate) fn next(&mut self) -> Option<List<'a>> {
        let count = read_number(&mut self.heads)?;
        let len =
            if count < SHORT { (count * 14).div_ceil(8) } else { read_number(&mut self.heads)? };
        Some(List { count, bytes: self.lists.split_off(..len)? })
    }

    /// Skip `at` lists and read the next one.
    pub(crate) fn nth(&mut self, at: usize) -> Option<List<'a>> {
        for _ in 0..at {
            self.next()?;
        }
        self.next()
    }
}

impl List<'_> {
    /// Add the positions to a set; `None` if the list is invalid.
    pub(crate) fn add_to(self, positions: &mut PositionSet) -> Option<()> {
        let mut bits = BitReader { bytes: self.bytes, pending_bits: 0, len: 0 };
        if self.count < SHORT {
            for _ in 0..self.count {
                positions.insert(u16::try_from(bits.take(POSITION_BITS)?).ok()?);
            }
            return Some(());
        }
        let width = width(self.count);
        let mut next = 0;
        for _ in 0..self.count {
            let position = next + bits.take_rice(width)?;
            positions
                .insert(u16::try_from(position).ok().filter(|position| *position < POSITIONS)?);
            next = position + 1;
        }
        Some(())
    }
}

/// Writes bits, the lowest of a byte first.
struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    pending_bits: u64,
    len: u32,
}

impl BitWriter<'_> {
    /// Write the lowest bits of a number, at most 32.
    fn push(&mut self, number: u64, bits: u32) {
        self.pending_bits |= number << self.len;
        self.len += bits;
        while self.len >= 8 {
            let [low, ..] = self.pending_bits.to_le_bytes();
            self.bytes.push(low);
            self.pending_bits >>= 8;
            self.len -= 8;
        }
    }

    /// Write the high bits as that many 0 bits and a 1, then the low bits.
    fn push_rice(&mut self, number: u64, width: u32) {
        let mut zeros = u32::try_from(number >> width).unwrap_or_default();
        while zeros > 16 {
            self.push(0, 16);
            zeros -= 16;
        }
        let low = number & ((1 << width) - 1);
        self.push((low << 1 | 1) << zeros, zeros + 1 + width);
    }

    fn finish(mut self) {
        self.push(0, self.len.wrapping_neg() & 7);
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    pending_bits: u64,
    len: u32,
}

impl BitReader<'_> {
    fn fill(&mut self) {
        while self.len <= 48 {
            let Some(byte) = self.bytes.split_off_first() else { return };
            self.pending_bits |= u64::from(*byte) << self.len;
            self.len += 8;
        }
    }

    fn take(&mut self, bits: u32) -> Option<u64> {
        self.fill();
        self.len = self.len.checked_sub(bits)?;
        let value = self.pending_bits & ((1 << bits) - 1);
        self.pending_bits >>= bits;
        Some(value)
    }

    fn take_rice(&mut self, width: u32) -> Option<u64> {
        let mut high = 0_u64;
        loop {
            self.fill();
            let zeros = self.pending_bits.trailing_zeros().min(self.len);
            high += u64::from(zeros);
            if zeros < self.len {
                self.pending_bits >>= zeros + 1;
                self.len -= zeros + 1;
                break;
            }
            if self.len == 0 {
                return None;
            }
            (self.pending_bits, self.len) = (0, 0);
        }
        Some(high << width | self.take(width)?)
    }
}

fn write_number(number: usize, bytes: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        let [low, ..] = rest.to_le_bytes();
        bytes.push(low | 0x80);
        rest >>= 7;
    }
    let [low, ..] = rest.to_le_bytes();
    bytes.push(low);
}

fn read_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14] {
        let byte = rest.split_off_first()?;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoding and decoding lists, some with repeated positions, gives the same lists.
    fn check(lists: &[Vec<u16>]) -> usize {
        let ids = (0_u32..).zip(lists);
        let mut all: Vec<(u16, u32)> = ids
            .flat_map(|(id, positions)| positions.iter().map(move |position| (*position, id)))
            .collect();
        all.sort_unstable();
        let postings: Vec<u32> = all.iter().map(|(position, id)| posting(*id, *position)).collect();
        let list_of: Vec<u32> = (0..u32::try_from(lists.len()).unwrap()).collect();
        let mut column = Vec::new();
        write(&postings, &list_of, lists.len(), &mut column);
        for (at, list) in lists.iter().enumerate() {
            let mut positions = PositionSet::none();
            PostingLists::parse(&column).unwrap().nth(at).unwrap().add_to(&mut positions).unwrap();
            let mut expected = list.clone();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(positions.iter().collect::<Vec<_>>(), expected, "{at}");
        }
        for cut in 0..column.len() {
            let mut positions = PositionSet::none();
            let Some(mut cut) = PostingLists::parse(&column[..cut]) else { continue };
            let last = cut.nth(lists.len() - 1);
            assert!(
                last.is_none_or(|last| last.add_to(&mut positions).is_none() || last.count == 0)
            );
        }
        column.len()
    }

    #[test]
    fn lists_of_any_length_survive_a_round_trip() {
        let every = |step: usize| (0..POSITIONS).step_by(step).collect::<Vec<_>>();
        check(&[every(3), vec![], vec![5], every(100), vec![0, 0, 1, 1, POSITIONS - 1], every(1)]);
        check(&[(0..7).collect(), (0..8).collect(), (0..9).collect(), vec![9; 20]]);
        // All positions but the last are adjacent, unlike the distribution that the width is chosen
        // for.
        check(&[(0..200).chain([POSITIONS - 1]).collect(), vec![3]]);
        check(&[(POSITIONS - 9..POSITIONS).collect()]);
    }

    #[test]
    fn a_list_is_close_to_the_minimum_size() {
        let scattered = |count: u32| -> Vec<u16> {
            let position = |at: u32| (at.wrapping_mul(0x9e37_79b1) >> 18).try_into().unwrap();
            (0..count).map(position).collect()
        };
        assert!(check(&[scattered(64)]) < 64 * 10 / 8 + 8);
        assert!(check(&[scattered(1_024)]) < 1_024 * 6 / 8 + 8);
        assert!(check(&[(0..POSITIONS).collect()]) < 2_100);
    }
}
