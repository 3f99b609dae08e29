//! What an index of events is searched for: the values of the fields that a field selector names.
//!
//! A [`Term`] is a field and the hash of a value. Equal values have equal terms; two values may share
//! one, so whoever finds an event by a term compares the value itself. Hashes are stored: a change here
//! needs a new layout of the index.
//!
//! Deliberately absent: how an index keeps terms (crate `store`), and what selectors look like (crate
//! `siem`).

use crate::View;
use crate::head::Text;

/// Source addresses of one event that are indexed. Clients choose how many they send.
pub const ADDRESSES_MAX: usize = 4;

/// What a term is a value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TermField {
    /// Name of the user, or of who was impersonated.
    User,
    /// The verb.
    Verb,
    /// API group of the object.
    Group,
    /// Plural of the object's kind.
    Resource,
    /// Part of the object.
    Subresource,
    /// Verb and resource.
    VerbResource,
    /// Verb, API group and resource.
    VerbGroupResource,
    /// HTTP status code.
    Code,
    /// Stage of the request.
    Stage,
    /// Namespace of the object.
    Namespace,
    /// One of the addresses that the request came from.
    SourceIp,
    /// The event has more addresses than are indexed. The value is empty.
    MoreSourceIps,
    /// Name of the object.
    Name,
    /// Identity of the request.
    AuditId,
}

/// A value of a field, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// The field.
    pub field: TermField,
    /// The hash of the value, and of the field.
    pub hash: u64,
}

impl Term {
    /// The term of a value, which consists of several texts for some fields.
    pub fn new(field: TermField, values: &[&str]) -> Self {
        let values = values.iter().map(|value| value.as_bytes());
        let hash = values.fold(mix(SEED, field as u64), hash_text);
        Self { field, hash: finish(hash) }
    }

    fn of<const N: usize>(field: TermField, values: [&[u8]; N]) -> Self {
        let hash = values.into_iter().fold(mix(SEED, field as u64), hash_text);
        Self { field, hash: finish(hash) }
    }

    /// The term of an HTTP status code.
    pub fn code(code: u16) -> Self {
        let hash = mix(mix(SEED, TermField::Code as u64), code.into());
        Self { field: TermField::Code, hash: finish(hash) }
    }

    /// A term that an event with the value may have instead.
    pub fn alternative(self) -> Option<Self> {
        (self.field == TermField::SourceIp).then(|| Self::new(TermField::MoreSourceIps, &[]))
    }
}

impl View<'_> {
    /// Calls `take` with each term of the event. A text that is not there counts as an empty one, as in
    /// a field selector.
    pub fn for_each_term(&self, mut take: impl FnMut(Term)) {
        use TermField as Field;
        let head = &self.head;
        take(Term::of(Field::User, [head.user.username.as_bytes()]));
        if let Some(user) = &head.impersonated_user {
            take(Term::of(Field::User, [user.username.as_bytes()]));
        }
        let verb = head.verb.as_bytes();
        let object = head.object_ref.as_ref();
        let [group, resource, subresource, namespace, name] = object.map_or([&[][..]; 5], |it| {
            [it.api_group, it.resource, it.subresource, it.namespace, it.name].map(Text::as_bytes)
        });
        take(Term::of(Field::Verb, [verb]));
        take(Term::of(Field::Group, [group]));
        take(Term::of(Field::Resource, [resource]));
        take(Term::of(Field::Subresource, [subresource]));
        take(Term::of(Field::VerbResource, [verb, resource]));
        take(Term::of(Field::VerbGroupResource, [verb, group, resource]));
        take(Term::code(head.response_status.as_ref().map_or(0, |status| status.code)));
        take(Term::of(Field::Stage, [head.stage.as_str().as_bytes()]));
        take(Term::of(Field::Namespace, [namespace]));
        take(Term::of(Field::Name, [name]));
        take(Term::of(Field::AuditId, [head.audit_id.as_bytes()]));
        let mut addresses = 0;
        head.source_ips.for_each(|address| {
            addresses += 1;
            match addresses {
                0..=ADDRESSES_MAX => take(Term::of(Field::SourceIp, [address.as_bytes()])),
                _ if addresses == ADDRESSES_MAX + 1 => take(Term::of(Field::MoreSourceIps, [])),
                _ => {}
            }
        });
    }
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;
const FINISH: u64 = 0xff51_afd7_ed55_8ccd;

/// One step of `FxHash`, which is fast on short texts.
const fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR)
}

fn hash_text(mut hash: u64, text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    mix(mix(hash, u64::from_le_bytes(last)), text.len() as u64)
}

/// Spreads what is in the hash over all of its bits.
const fn finish(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(FINISH);
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn terms_tell_values_and_fields_apart() {
        let words = ["", "a", "aa", "get", "list", "kasten-io", "kasten-io\0", "restorepoints"];
        let mut terms = HashSet::new();
        for field in [TermField::User, TermField::Verb, TermField::Name] {
            for word in words {
                assert!(terms.insert(Term::new(field, &[word]).hash), "{field:?} {word:?}");
                for other in words {
                    let both = Term::new(field, &[word, other]).hash;
                    assert!(terms.insert(both), "{field:?} {word:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn hashes_are_stored_and_stay_what_they_are() {
        assert_eq!(Term::new(TermField::User, &["alice"]).hash, 6_670_685_248_584_688_007);
        assert_eq!(Term::code(403).hash, 14_735_232_227_051_862_885);
    }

    #[test]
    fn numbered_names_spread_over_all_bits() {
        let mut buckets = [0_u32; 256];
        for number in 0..25_600 {
            let term = Term::new(TermField::Name, &[&format!("scheduled-{number}")]);
            buckets[usize::try_from(term.hash >> 56).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (50..200).contains(count)), "{buckets:?}");
    }
}
