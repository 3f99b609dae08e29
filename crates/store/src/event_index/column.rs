//! One column of a segment: the records in which each value occurs, encoded as the bytes of a row.
//!
//! ```text
//! 0 │ values n (2) │ n hashes (3 each), ascending │ n lists
//! 1 │ the same, values merged that share the first 12 bits of their hashes
//! 2 │ requests n (2) │ n × 6 hashes (2 each) │ n lists
//! 3 │ for each record the low 8 bits of a 12-bit hash │ for each two records the high 4 bits
//! 4
//! ```
//!
//! Forms 0 and 1 are for columns whose values repeat. Form 2 is for fields that are queried
//! together (verb, resource, code …), of which few combinations exist. Form 3 is for columns where
//! nearly every record has its own value; an absent value matches one record in some thousands by
//! chance. Form 4 has no information: every value may be in every record.

use super::position_set::{POSITIONS, PositionSet};
use super::posting_lists::{self, PostingLists};

/// The maximum number of values in a column that keep their full hashes.
pub const VALUES_MAX: usize = 4096;
/// The maximum number of combinations of verb, group, resource, subresource, code and stage in a
/// segment. With more, conditions on these fields do not narrow down the search in the segment.
pub const REQUESTS_MAX: usize = 4096;
/// The number of hashes of a request.
pub(crate) const REQUEST_FIELDS: usize = 6;

const VALUES: u8 = 0;
const MERGED: u8 = 1;
const REQUESTS: u8 = 2;
const FINGERPRINTS: u8 = 3;
const ANY: u8 = 4;

/// The number of bits of a stored hash, of a merged hash, and of a fingerprint.
const HASH_BITS: u32 = 24;
const MERGED_BITS: u32 = 12;
const FINGERPRINT_BITS: u32 = 12;
/// The number of bytes that are compared at a time.
const LANES: usize = 32;

/// The hashes of a request, one per field.
pub(crate) type Request = [u16; REQUEST_FIELDS];

/// Encode a column of values. The ID of a value is its index in `hashes`.
pub(crate) fn encode_values(hashes: &[u32], postings: &[u32]) -> Vec<u8> {
    let mut order: Vec<(u32, usize)> =
        hashes.iter().enumerate().map(|(id, hash)| (stored(*hash, HASH_BITS), id)).collect();
    order.sort_unstable();
    let distinct = order.chunk_by(|a, b| a.0 == b.0).count();
    let (form, count) = if distinct > VALUES_MAX {
        for (hash, _) in &mut order {
            *hash = stored(*hash << 8, MERGED_BITS);
        }
        (MERGED, order.chunk_by(|a, b| a.0 == b.0).count())
    } else {
        (VALUES, distinct)
    };
    let mut column = vec![form];
    column.extend_from_slice(&length(count));
    let mut list_of = vec![0; hashes.len()];
    for (list, same) in (0_u32..).zip(order.chunk_by(|a, b| a.0 == b.0)) {
        for (_, id) in same {
            if let Some(to) = list_of.get_mut(*id) {
                *to = list;
            }
        }
        let [a, b, c, _] = same.first().map_or(0, |value| value.0).to_le_bytes();
        column.extend_from_slice(&[a, b, c]);
    }
    posting_lists::write(postings, &list_of, count, &mut column);
    column
}

/// The first bits of a hash, as they are stored.
fn stored(hash: u32, bits: u32) -> u32 {
    hash >> 8 & (u32::MAX << (HASH_BITS - bits))
}

/// Encode the column of requests. The ID in a posting is the index of its request.
pub(crate) fn encode_requests(requests: &[Request], postings: &[u32]) -> Vec<u8> {
    if requests.len() > REQUESTS_MAX {
        return vec![ANY];
    }
    let mut column = vec![REQUESTS];
    column.extend_from_slice(&length(requests.len()));
    column.extend(requests.iter().flatten().flat_map(|hash| hash.to_le_bytes()));
    let list_of: Vec<u32> = (0_u32..).take(requests.len()).collect();
    posting_lists::write(postings, &list_of, requests.len(), &mut column);
    column
}

/// Encode a column whose values are nearly all different: the fingerprint of each position.
pub(crate) fn encode_fingerprints(fingerprints: &[u16]) -> Vec<u8> {
    let mut column = Vec::with_capacity(1 + fingerprints.len() * 3 / 2);
    column.push(FINGERPRINTS);
    column.extend(fingerprints.iter().map(|fingerprint| fingerprint.to_le_bytes()[0]));
    let (pairs, _) = fingerprints.as_chunks::<2>();
    column.extend(pairs.iter().map(|[a, b]| high_bits(*a) | high_bits(*b) << 4));
    column
}

/// The bits of a hash that are stored where nearly all values are different.
pub(crate) fn fingerprint(hash: u32) -> u16 {
    u16::try_from(hash >> (u32::BITS - FINGERPRINT_BITS)).unwrap_or_default()
}

fn high_bits(fingerprint: u16) -> u8 {
    fingerprint.to_le_bytes()[1] & 0xf
}

/// The positions where a value may occur; `None` if this is not a valid column of values.
pub(crate) fn find(column: &[u8], hash: u32) -> Option<PositionSet> {
    match column.split_first()? {
        (&VALUES, rest) => find_value(rest, stored(hash, HASH_BITS)),
        (&MERGED, rest) => find_value(rest, stored(hash, MERGED_BITS)),
        (&FINGERPRINTS, rest) => find_fingerprint(rest, fingerprint(hash)),
        _ => None,
    }
}

fn find_value(mut rest: &[u8], hash: u32) -> Option<PositionSet> {
    let count = usize::from(u16::from_le_bytes(*take(&mut rest)?));
    let (hashes, _) = rest.split_off(..count * 3)?.as_chunks::<3>();
    let of = |[a, b, c]: &[u8; 3]| u32::from_le_bytes([*a, *b, *c, 0]);
    let mut positions = PositionSet::none();
    if let Ok(at) = hashes.binary_search_by_key(&hash, of) {
        PostingLists::parse(rest)?.nth(at)?.add_to(&mut positions)?;
    }
    Some(positions)
}

fn find_fingerprint(rest: &[u8], fingerprint: u16) -> Option<PositionSet> {
    let (low_bits, high) = rest.split_at_checked(usize::from(POSITIONS))?;
    let [low, _] = fingerprint.to_le_bytes();
    let mut positions = PositionSet::none();
    for (at, lanes) in low_bits.chunks(LANES).enumerate() {
        // The compiler vectorizes a comparison without a branch.
        if lanes.iter().fold(0, |equal, bits| equal | u8::from(*bits == low)) == 0 {
            continue;
        }
        for (lane, bits) in lanes.iter().enumerate() {
            let position = at * LANES + lane;
            let high = *high.get(position / 2)? >> (position % 2 * 4) & 0xf;
            if *bits == low && high == high_bits(fingerprint) {
                positions.insert(u16::try_from(position).ok()?);
            }
        }
    }
    Some(positions)
}

/// The positions of the requests that have all of these hashes, given as pairs of field number and
/// hash; `None` if this is not a valid column of requests.
pub(crate) fn find_requests(column: &[u8], fields: &[(usize, u16)]) -> Option<PositionSet> {
    let mut rest = match column.split_first()? {
        (&REQUESTS, rest) => rest,
        (&ANY, []) => return Some(PositionSet::all()),
        _ => return None,
    };
    let count = usize::from(u16::from_le_bytes(*take(&mut rest)?));
    let (requests, _) =
        rest.split_off(..count * REQUEST_FIELDS * 2)?.as_chunks::<{ REQUEST_FIELDS * 2 }>();
    let mut lists = PostingLists::parse(rest)?;
    let mut positions = PositionSet::none();
    for request in requests {
        let list = lists.next()?;
        let (hashes, _) = request.as_chunks::<2>();
        let has = |(field, hash): &(usize, u16)| {
            hashes.get(*field).is_some_and(|stored| u16::from_le_bytes(*stored) == *hash)
        };
        if fields.iter().all(has) {
            list.add_to(&mut positions)?;
        }
    }
    Some(positions)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, remaining) = rest.split_first_chunk()?;
    *rest = remaining;
    Some(chunk)
}

fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::posting_lists::posting;
    use super::*;

    fn hash(value: u32) -> u32 {
        value.wrapping_mul(0x9e37_79b9) ^ 0x1234_5678
    }

    /// Postings where each position has one of `values` values.
    fn postings(values: u32) -> Vec<u32> {
        (0..POSITIONS).map(|position| posting(u32::from(position) * 7 % values, position)).collect()
    }

    fn column(values: u32) -> Vec<u8> {
        let hashes: Vec<u32> = (0..values).map(hash).collect();
        encode_values(&hashes, &postings(values))
    }

    fn expected(value: u32, values: u32) -> Vec<u16> {
        (0..POSITIONS).filter(|position| u32::from(*position) * 7 % values == value).collect()
    }

    #[test]
    fn stored_values_are_found_and_others_are_not() {
        for values in [1, 3, 300, 4_000] {
            let column = column(values);
            for value in (0..values).step_by(1 + usize::try_from(values).unwrap() / 50) {
                let positions = find(&column, hash(value)).unwrap();
                assert_eq!(
                    positions.iter().collect::<Vec<_>>(),
                    expected(value, values),
                    "{values}"
                );
            }
            assert_eq!(find(&column, hash(values)), Some(PositionSet::none()));
        }
    }

    #[test]
    fn with_many_values_there_are_false_positives_but_no_false_negatives() {
        let column = column(9_001);
        assert_eq!(column.first(), Some(&MERGED));
        let mut too_many = 0;
        for value in (0..9_001).step_by(17) {
            let positions = find(&column, hash(value)).unwrap();
            let expected = expected(value, 9_001);
            too_many += positions.len() - expected.len();
            assert!(expected.iter().all(|position| {
                positions.iter().any(|found_position| found_position == *position)
            }));
        }
        assert!(too_many < 5_000, "{too_many}");
    }

    #[test]
    fn fingerprints_have_few_false_positives() {
        let hash = |position: u16| hash(u32::from(position)).wrapping_mul(0x85eb_ca6b);
        let fingerprints: Vec<u16> =
            (0..POSITIONS).map(|position| fingerprint(hash(position))).collect();
        let column = encode_fingerprints(&fingerprints);
        let mut found_in_all = 0;
        for position in (0..POSITIONS).step_by(101) {
            let positions = find(&column, hash(position)).unwrap();
            assert!(positions.iter().any(|found_position| found_position == position));
            found_in_all += positions.len();
        }
        assert!(found_in_all < 163 * 10, "{found_in_all}");
    }

    #[test]
    fn requests_are_found_by_all_of_their_fields_together() {
        let requests: Vec<Request> =
            (0..60).map(|at| [at % 3, at % 5, at % 4, 0, 200, 1]).collect();
        let column = encode_requests(&requests, &postings(60));
        let fields = [(0, 2), (1, 4), (2, 2), (4, 200)];
        let positions = find_requests(&column, &fields).unwrap();
        assert_eq!(positions.iter().collect::<Vec<_>>(), expected(14, 60));
        let positions = find_requests(&column, &fields[..2]).unwrap();
        assert_eq!(
            positions.len(),
            [14, 29, 44, 59].map(|bits| expected(bits, 60).len()).iter().sum::<usize>()
        );
        assert_eq!(find_requests(&column, &[(0, 9)]), Some(PositionSet::none()));
        assert_eq!(find_requests(&column, &[(5, 1)]), Some(PositionSet::all()));
    }

    #[test]
    fn too_many_combinations_are_not_indexed() {
        let column =
            encode_requests(&vec![[0; REQUEST_FIELDS]; REQUESTS_MAX + 1], &postings(4_097));
        assert_eq!(find_requests(&column, &[(0, 9)]), Some(PositionSet::all()));
    }

    #[test]
    fn invalid_bytes_are_detected() {
        for bytes in [&[][..], &[0], &[0, 9, 0], &[2, 1, 0, 7], &[3, 1], &[4], &[9, 9]] {
            assert_eq!(find(bytes, 1), None, "{bytes:?}");
        }
        for bytes in [&[][..], &[0, 0, 0], &[2, 9, 0], &[4, 1]] {
            assert_eq!(find_requests(bytes, &[]), None, "{bytes:?}");
        }
        let column = column(50);
        for len in 0..200 {
            assert_eq!(find(&column[..len], hash(0)), None, "{len}");
        }
    }
}
