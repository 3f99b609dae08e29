//! One column of a segment: which granules each value occurs in, as the bytes of a row.
//!
//! ```text
//! 0 │ values n (4) │ n hashes (4 each), rising │ n ends (4 each) │ postings
//! 1 │ bits b (1) │ 2^b ends (2 each) │ n × ( 8 bits of the hash, granule )
//! 2
//! ```
//!
//! The first form is for columns with few values, each in many events. A value's postings are the set
//! of its blocks (2 bytes) and, for each of them, the set of its granules (2 bytes) and in how many
//! events of the block it occurs (LEB128). The second is for columns where nearly every event has
//! a value of its own: a hash table of pairs, in which a value that is not there is found in one
//! granule of some thousands. The third says nothing: every value may be anywhere.

use super::granules::Granules;

/// Values of a column in the first form. With more of them the second one is smaller.
pub const VALUES_MAX: usize = 2048;
/// Pairs of a column in the second form; their places are numbers of 16 bits.
pub const PAIRS_MAX: usize = u16::MAX as usize;
/// Pairs in a bucket of the second form, about.
const BUCKET_PAIRS: usize = 16;
/// Bits of the hash that choose the bucket, at most.
const BUCKET_BITS_MAX: u32 = 12;

const VALUES: u8 = 0;
const PAIRS: u8 = 1;
const ANYTHING: u8 = 2;

/// In which granules of a block a value occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Posting {
    pub(crate) hash: u32,
    pub(crate) block: u8,
    pub(crate) granules: u16,
    pub(crate) events: u16,
}

/// A hash and a granule: 24 bits of the one, 8 of the other.
pub(crate) fn pair(hash: u32, granule: u8) -> u32 {
    hash & !0xff | u32::from(granule)
}

/// The column in the form that suits it. No two postings are of one value and one block.
pub(crate) fn of_postings(postings: &mut [Posting]) -> Vec<u8> {
    postings.sort_unstable();
    let values = postings.chunk_by(|one, other| one.hash == other.hash);
    if values.clone().count() > VALUES_MAX {
        let mut pairs: Vec<u32> = postings.iter().flat_map(pairs_of).collect();
        return of_pairs(&mut pairs);
    }
    let (mut hashes, mut ends, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let blocks = value.iter().fold(0_u16, |blocks, posting| blocks | 1 << posting.block);
        bytes.extend_from_slice(&blocks.to_le_bytes());
        for posting in value {
            bytes.extend_from_slice(&posting.granules.to_le_bytes());
            write_number(posting.events, &mut bytes);
        }
        hashes.extend_from_slice(&value.first().map_or(0, |it| it.hash).to_le_bytes());
        ends.extend_from_slice(&length(bytes.len()).to_le_bytes());
    }
    let mut column = vec![VALUES];
    column.extend_from_slice(&length(hashes.len() / 4).to_le_bytes());
    for part in [hashes, ends, bytes] {
        column.extend_from_slice(&part);
    }
    column
}

fn pairs_of(posting: &Posting) -> impl Iterator<Item = u32> {
    let Posting { hash, block, granules, .. } = *posting;
    let here = (0..16_u8).filter(move |granule| granules >> granule & 1 == 1);
    here.map(move |granule| pair(hash, block << 4 | granule))
}

/// The column of values that nearly all differ.
pub(crate) fn of_pairs(pairs: &mut Vec<u32>) -> Vec<u8> {
    pairs.sort_unstable();
    pairs.dedup();
    if pairs.len() > PAIRS_MAX {
        return vec![ANYTHING];
    }
    let bits = (pairs.len() / BUCKET_PAIRS + 1).ilog2().min(BUCKET_BITS_MAX);
    let mut column = vec![PAIRS, u8::try_from(bits).unwrap_or_default()];
    let mut end = 0;
    for bucket in 0..1_u32 << bits {
        let in_bucket = |pair: &&u32| u64::from(**pair) << bits >> 32 == u64::from(bucket);
        end += pairs.iter().skip(end).take_while(in_bucket).count();
        column.extend_from_slice(&u16::try_from(end).unwrap_or(u16::MAX).to_le_bytes());
    }
    for pair in pairs {
        column.extend_from_slice(&[fingerprint(*pair, bits), granule_of(*pair)]);
    }
    column
}

/// The bits of a hash that follow those of the bucket.
fn fingerprint(hash: u32, bits: u32) -> u8 {
    hash.wrapping_shl(bits).to_be_bytes()[0]
}

fn granule_of(pair: u32) -> u8 {
    pair.to_le_bytes()[0]
}

/// Where a value may occur; `None` if this is no column.
pub(crate) fn find(column: &[u8], hash: u32) -> Option<Granules> {
    match column.split_first()? {
        (&VALUES, rest) => find_value(rest, hash),
        (&PAIRS, rest) => find_pairs(rest, hash),
        (&ANYTHING, []) => Some(Granules::ALL),
        _ => None,
    }
}

fn find_value(mut rest: &[u8], hash: u32) -> Option<Granules> {
    let count = usize::try_from(u32::from_le_bytes(*take(&mut rest)?)).ok()?;
    let (hashes, _) = rest.split_off(..count.checked_mul(4)?)?.as_chunks::<4>();
    let (ends, _) = rest.split_off(..count.checked_mul(4)?)?.as_chunks::<4>();
    let Ok(at) = hashes.binary_search_by_key(&hash, |hash| u32::from_le_bytes(*hash)) else {
        return Some(Granules::default());
    };
    let end = |at: usize| usize::try_from(u32::from_le_bytes(*ends.get(at)?)).ok();
    let start = if at == 0 { 0 } else { end(at - 1)? };
    let mut postings = rest.get(start..end(at)?)?;
    let blocks = u16::from_le_bytes(*take(&mut postings)?);
    let mut found = Granules::default();
    for block in (0..16_u8).filter(|block| blocks >> block & 1 == 1) {
        let granules = u16::from_le_bytes(*take(&mut postings)?);
        read_number(&mut postings)?;
        for granule in (0..16_u8).filter(|granule| granules >> granule & 1 == 1) {
            found.insert(block << 4 | granule);
        }
    }
    Some(found)
}

fn find_pairs(rest: &[u8], hash: u32) -> Option<Granules> {
    let (&bits, mut rest) = rest.split_first()?;
    let buckets =
        1_usize.checked_shl(bits.into()).filter(|_| u32::from(bits) <= BUCKET_BITS_MAX)?;
    let (ends, _) = rest.split_off(..buckets * 2)?.as_chunks::<2>();
    let (pairs, _) = rest.as_chunks::<2>();
    let bucket = usize::try_from(u64::from(hash) << bits >> 32).ok()?;
    let end = |at: usize| Some(usize::from(u16::from_le_bytes(*ends.get(at)?)));
    let start = if bucket == 0 { 0 } else { end(bucket - 1)? };
    let wanted = fingerprint(hash, bits.into());
    let mut found = Granules::default();
    for [fingerprint, granule] in pairs.get(start..end(bucket)?)? {
        if *fingerprint == wanted {
            found.insert(*granule);
        }
    }
    Some(found)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (found, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(found)
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn write_number(number: u16, bytes: &mut Vec<u8>) {
    let [low, high] = number.to_le_bytes();
    if number < 0x80 {
        bytes.push(low);
    } else {
        bytes.extend_from_slice(&[low | 0x80, high << 1 | low >> 7]);
    }
}

fn read_number(rest: &mut &[u8]) -> Option<u16> {
    let low = rest.split_off_first()?;
    if low & 0x80 == 0 {
        return Some((*low).into());
    }
    let high = rest.split_off_first()?;
    Some(u16::from(*high) << 7 | u16::from(low & 0x7f))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A scrambled number: the same with each run.
    fn hash(number: u32) -> u32 {
        number.wrapping_mul(0x9e37_79b9).rotate_left(13).wrapping_mul(0x85eb_ca6b)
    }

    /// So many values with three postings each, and what must be found of each.
    fn postings(values: u32) -> (Vec<Posting>, BTreeMap<u32, Granules>) {
        let (mut postings, mut expected) = (Vec::new(), BTreeMap::<u32, Granules>::new());
        for number in 0..values {
            for step in 0..3_u8 {
                let block = (u8::try_from(number % 16).unwrap() + step * 5) % 16;
                let granules = 1 << (number % 13) | 1 << (number % 7);
                let events = u16::try_from(number % 1024).unwrap() + 1;
                postings.push(Posting { hash: hash(number), block, granules, events });
                let found = expected.entry(hash(number)).or_default();
                (0..16).filter(|bit| granules >> bit & 1 == 1).for_each(|bit| {
                    found.insert(block << 4 | bit);
                });
            }
        }
        (postings, expected)
    }

    #[test]
    fn every_value_is_found_where_it_is() {
        for values in [0, 1, 7, 300, 2048] {
            let (mut postings, expected) = postings(values);
            let column = of_postings(&mut postings);
            for (hash, granules) in expected {
                assert_eq!(find(&column, hash), Some(granules), "{values}");
            }
            assert_eq!(find(&column, hash(values)), Some(Granules::default()));
        }
    }

    #[test]
    fn with_many_values_some_are_found_too_often_but_none_too_rarely() {
        let (mut postings, expected) = postings(5_000);
        let column = of_postings(&mut postings);
        assert_eq!(column.first(), Some(&PAIRS));
        for (hash, granules) in expected {
            assert_eq!(find(&column, hash).unwrap().and(granules), granules);
        }
        let wrong = (5_000..15_000).filter(|it| !find(&column, hash(*it)).unwrap().is_empty());
        assert!(wrong.count() < 1_000);
    }

    #[test]
    fn too_many_pairs_say_nothing() {
        let mut pairs: Vec<u32> = (0..70_000).map(|number| pair(number << 8, 3)).collect();
        assert_eq!(find(&of_pairs(&mut pairs), 1), Some(Granules::ALL));
    }

    #[test]
    fn bytes_that_are_no_column_are_noticed() {
        let (mut postings, expected) = postings(50);
        let whole = of_postings(&mut postings);
        let last = *expected.keys().next_back().unwrap();
        for len in 0..whole.len() {
            assert_eq!(find(&whole[..len], last), None, "{len}");
        }
        for bytes in [&[][..], &[1], &[1, 200], &[1, 0], &[2, 0], &[9, 9]] {
            assert_eq!(find(bytes, 1), None, "{bytes:?}");
        }
    }
}
