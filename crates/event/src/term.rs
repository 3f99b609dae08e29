//! The search terms of the event index: the values of the fields that a field selector can use.
//!
//! A [`Term`] consists of a field and the hash of a value. Equal values have equal terms, but
//! different values may collide, so the code that finds an event by a term must compare the value
//! itself. Hashes are stored: a change of the hash function requires a new layout of the index.
//! [`RecordFields`] locates the values in a record.
//!
//! Deliberately absent: the storage of terms (crate `store`), and the syntax of selectors (crate
//! `siem`).

mod record_fields;

pub use record_fields::RecordFields;

/// The maximum number of indexed source addresses per event. Clients choose how many they send.
pub const ADDRESSES_MAX: usize = 4;

/// The field of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TermField {
    /// The name of the user, or of the impersonated user.
    User,
    /// The verb of the request.
    Verb,
    /// The API group of the object.
    Group,
    /// The plural name of the resource.
    Resource,
    /// The subresource of the object.
    Subresource,
    /// The HTTP status code.
    Code,
    /// The stage of the request.
    Stage,
    /// The namespace of the object.
    Namespace,
    /// One of the addresses from which the request came.
    SourceIp,
    /// Marks an event with more addresses than are indexed. The value is empty.
    MoreSourceIps,
    /// The name of the object.
    Name,
    /// The audit ID of the request.
    AuditId,
}

/// A field and the hash of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// The field that has the value.
    pub field: TermField,
    /// The hash of the field and the value.
    pub hash: u64,
}

impl Term {
    /// Hash the value of a field. Texts are hashed as UTF-8; for status codes use [`Term::code`].
    #[inline]
    pub fn new(field: TermField, value: &[u8]) -> Self {
        Self { field, hash: hash_text(mix(SEED, field as u64), value) }
    }

    /// The term of an HTTP status code.
    pub fn code(code: u16) -> Self {
        Self::new(TermField::Code, &code.to_le_bytes())
    }

    /// A term that an event with this value may have instead.
    pub fn alternative(self) -> Option<Self> {
        (self.field == TermField::SourceIp).then(|| Self::new(TermField::MoreSourceIps, &[]))
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;

/// Combine both halves of a product, which depend on all bits of both numbers.
#[inline]
fn mix(first: u64, second: u64) -> u64 {
    let product = u128::from(first ^ FACTOR) * u128::from(second ^ SEED.rotate_left(17));
    #[expect(clippy::cast_possible_truncation, reason = "the product is split into its halves")]
    let halves = (product as u64, (product >> 64) as u64);
    halves.0 ^ halves.1
}

/// Hash sixteen bytes per step. The last step takes the last sixteen bytes, some of them a second
/// time.
#[inline]
fn hash_text(seed: u64, text: &[u8]) -> u64 {
    let len = text.len() as u64;
    let mut hash = seed ^ len.wrapping_mul(SEED);
    let mut rest = text;
    while let Some((step, remaining)) = rest.split_first_chunk::<16>() {
        hash = mix_pair(hash, *step);
        rest = remaining;
    }
    if rest.is_empty() && !text.is_empty() {
        return hash;
    }
    if let Some(last) = text.last_chunk::<16>() {
        return mix_pair(hash, *last);
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return mix(hash ^ u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return mix(hash ^ u64::from(u32::from_le_bytes(*first)), u32::from_le_bytes(*last).into());
    }
    let at = |index: usize| text.get(index).copied().unwrap_or_default();
    mix(hash ^ u64::from(at(0)), u16::from_le_bytes([at(1), at(2)]).into())
}

#[inline]
fn mix_pair(hash: u64, step: [u8; 16]) -> u64 {
    let step = u128::from_le_bytes(step);
    #[expect(clippy::cast_possible_truncation, reason = "the product is split into its halves")]
    let (low, high) = (step as u64, (step >> 64) as u64);
    mix(hash ^ low, high)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn terms_differ_by_field_and_value() {
        let values = ["", "a", "aa", "get", "list", "kasten-io", "kasten-io\0", "restorepoints"];
        let mut terms = HashSet::new();
        for field in [TermField::User, TermField::Verb, TermField::Name] {
            for value in values {
                assert!(
                    terms.insert(Term::new(field, value.as_bytes()).hash),
                    "{field:?} {value:?}"
                );
            }
            for len in 1..100 {
                let text = vec![b'x'; len];
                for at in [0, len / 3, len / 2, len - 1] {
                    let mut text = text.clone();
                    text[at] = b'y';
                    terms.insert(Term::new(field, &text).hash);
                }
            }
        }
        // One letter at each of four positions; in texts of one to four letters, some positions
        // coincide.
        assert_eq!(terms.len(), 3 * (values.len() + 99 * 4 - 6));
    }

    #[test]
    fn stored_hashes_do_not_change() {
        let user = Term::new(TermField::User, b"alice").hash;
        let name = Term::new(TermField::Name, b"a name of more than sixteen bytes").hash;
        assert_eq!(user, 3_799_387_822_192_879_504);
        assert_eq!(name, 3_962_806_972_472_018_152);
        assert_eq!(Term::code(403).hash, 3_028_652_440_997_285_136);
    }

    #[test]
    fn numbered_names_spread_over_all_bits() {
        let mut first = [0_u32; 256];
        let mut last = [0_u32; 256];
        for number in 0..25_600 {
            let name = format!("scheduled-{number}");
            let [low, .., high] = Term::new(TermField::Name, name.as_bytes()).hash.to_le_bytes();
            first[usize::from(high)] += 1;
            last[usize::from(low)] += 1;
        }
        for buckets in [first, last] {
            assert!(buckets.iter().all(|count| (50..200).contains(count)), "{buckets:?}");
        }
    }
}
