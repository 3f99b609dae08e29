//! Decodes JSON into fields as Go's `encoding/json` does, with the options that Kubernetes uses.
//!
//! Keys are case-sensitive. Of equal keys the last one wins, and if both values are objects, the
//! second is merged into the first. Null clears lists, maps and optional fields, and leaves texts
//! and numbers unchanged. An unpaired surrogate becomes U+FFFD in a text, and is kept in a body.
//! Unknown keys are dropped; [`Notes`] counts them by name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Body, Decoded, Time};
use crate::annotations::TRUNCATED;
use crate::line::Encoding;
use crate::normalize::Surrogates;
use crate::{Event, Json, Timestamp};

/// The maximum number of distinct unknown field names; further ones are counted together.
pub const NAMES_MAX: usize = 64;
/// The maximum length of such a name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Keys next to the event in the encoding of K10 that repeat data of the event.
const REPEATED_KEYS: [&str; 5] = ["message", "timestamp", "status", "service", "network"];
/// The key next to the event that has additional data: the cluster.
const TAGS_KEY: &str = "ddtags";

/// Data that was decoded but cannot be encoded again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    unknown: BTreeMap<String, u64>,
    further_unknown: u64,
    replaced: u64,
    /// The paths of bodies that are nested too deeply to be kept.
    unreadable_bodies: Vec<String>,
}

impl Notes {
    /// The paths of fields that an audit event does not have, and how often each occurred.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, u64)> {
        self.unknown.iter().map(|(path, count)| (path.as_str(), *count))
    }

    /// Number of occurrences of further unknown fields, beyond the first [`NAMES_MAX`] names.
    pub fn further_unknown(&self) -> u64 {
        self.further_unknown
    }

    /// The number of texts with an unpaired surrogate or invalid UTF-8.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Annotates an event with the bodies that are not in it because they are nested too deeply.
    pub(crate) fn annotate(&self, event: &mut Event) {
        if !self.unreadable_bodies.is_empty() {
            let text = format!("{}: nested too deeply", self.unreadable_bodies.join(", "));
            event.annotations.insert(TRUNCATED.to_owned(), text);
        }
    }

    pub(super) fn add_unknown(&mut self, path: &[&str], key: &str) {
        let mut name = [path, &[key]].concat().join(".");
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        if self.unknown.len() < NAMES_MAX || self.unknown.contains_key(&name) {
            *self.unknown.entry(name).or_default() += 1;
        } else {
            self.further_unknown += 1;
        }
    }

    pub(super) fn add_replaced(&mut self) {
        self.replaced += 1;
    }
}

/// The state shared by all parts of a decoding.
pub(super) struct Context<'n> {
    pub(super) encoding: Encoding,
    surrogates: Surrogates,
    notes: &'n mut Notes,
    /// The keys on the path to the current value.
    pub(super) path: Vec<&'static str>,
    /// The value of `ddtags` next to the event, in K10's encoding.
    tags: String,
}

impl Context<'_> {
    /// The name of a key in this encoding.
    pub(super) fn name(&self, v1: &'static str, kasten: &'static str) -> &'static str {
        match self.encoding {
            Encoding::V1 => v1,
            Encoding::Kasten => kasten,
        }
    }
}

/// Decode one event.
pub(crate) fn decode(
    text: &str,
    encoding: Encoding,
    surrogates: Surrogates,
    notes: &mut Notes,
) -> Result<Decoded, serde_json::Error> {
    let mut event = Decoded::default();
    event.tags = decode_into(&mut event, text, encoding, surrogates, notes)?;
    Ok(event)
}

/// Decode a whole document. Returns the tags next to the event.
pub(super) fn decode_into<'de, T: Decode<'de>>(
    value: &mut T,
    text: &'de str,
    encoding: Encoding,
    surrogates: Surrogates,
    notes: &mut Notes,
) -> Result<String, serde_json::Error> {
    let (path, tags) = (Vec::new(), String::new());
    let mut context = Context { encoding, surrogates, notes, path, tags };
    let mut from = serde_json::Deserializer::from_str(text);
    Destination(value, &mut context).deserialize(&mut from)?;
    from.end()?;
    Ok(context.tags)
}

/// A type that can be decoded from JSON.
pub(super) trait Decode<'de>: Sized {
    /// Decode null, which changes nothing by default.
    fn null(&mut self) {}

    /// Decode a value, and merge it into the existing one.
    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error>;
}

/// A destination of decoding that accepts null too.
pub(super) struct Destination<'s, 'n, T>(pub(super) &'s mut T, pub(super) &'s mut Context<'n>);

impl<'de, T: Decode<'de>> DeserializeSeed<'de> for Destination<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de, T: Decode<'de>> Visitor<'de> for Destination<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.0.null();
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.value(self.1, from)
    }
}

impl<'de, T: Decode<'de> + Default> Decode<'de> for Option<T> {
    fn null(&mut self) {
        *self = None;
    }

    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        self.get_or_insert_default().value(context, from)
    }
}

impl<'de> Decode<'de> for String {
    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        // As bytes, because unpaired surrogates are rejected in a `str`.
        *self = from.deserialize_bytes(TextVisitor(context))?;
        Ok(())
    }
}

struct TextVisitor<'s, 'n>(&'s mut Context<'n>);

impl Visitor<'_> for TextVisitor<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Ok(text.to_owned());
        }
        self.0.notes.add_replaced();
        Ok(replace_surrogates(bytes))
    }
}

impl<'de> DeserializeSeed<'de> for TextVisitor<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_bytes(self)
    }
}

/// The key of a field. It is not copied unless it has escape sequences.
struct KeyVisitor<'s, 'n>(&'s mut Context<'n>);

impl<'de> Visitor<'de> for KeyVisitor<'_, '_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        match std::str::from_utf8(bytes) {
            Ok(key) => Ok(Cow::Borrowed(key)),
            Err(_) => self.visit_bytes(bytes),
        }
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        TextVisitor(self.0).visit_bytes(bytes).map(Cow::Owned)
    }
}

impl<'de> DeserializeSeed<'de> for KeyVisitor<'_, '_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_bytes(self)
    }
}

/// The text was UTF-8 before its escape sequences were decoded, so invalid bytes are unpaired
/// surrogates of three bytes, of which the first is 0xed.
fn replace_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().first() == Some(&0xed) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// A whole number in the range of its type, as Go requires.
struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        number.try_into().map_err(|_| E::custom(format_args!("{number} is too large")))
    }

    /// `serde_json` parses `-0` as a float.
    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        if number == 0.0 && number.is_sign_negative() {
            return Ok(0);
        }
        Err(E::custom(format_args!("{number} is not a whole number of 64 bits")))
    }
}

impl<'de> Decode<'de> for i64 {
    fn value<D: Deserializer<'de>>(
        &mut self,
        _: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        *self = from.deserialize_any(NumberVisitor)?;
        Ok(())
    }
}

impl<'de> Decode<'de> for i32 {
    fn value<D: Deserializer<'de>>(
        &mut self,
        _: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        let number = from.deserialize_any(NumberVisitor)?;
        let too_large = |_| D::Error::custom(format_args!("{number} does not fit into 32 bits"));
        *self = number.try_into().map_err(too_large)?;
        Ok(())
    }
}

impl<'de> Decode<'de> for Time {
    fn null(&mut self) {
        *self = Self::default();
    }

    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        let text = from.deserialize_bytes(TextVisitor(context))?;
        self.0 = Timestamp::parse(&text).map_err(D::Error::custom)?;
        Ok(())
    }
}

impl<'de> Decode<'de> for Body {
    fn null(&mut self) {
        self.0 = None;
    }

    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        let bytes = Bytes::copy_from_slice(raw.get().as_bytes());
        let parsed = match context.surrogates {
            Surrogates::Keep => Json::parse_with_surrogates(bytes),
            Surrogates::Replace => Json::parse(bytes),
        };
        let path = context.path.join(".");
        self.0 = match (parsed, context.surrogates) {
            (Ok(json), _) => Some(json),
            // An event without a body that is nested too deeply is better than no event.
            (Err(_), Surrogates::Replace) => {
                context.notes.unreadable_bodies.push(path);
                None
            }
            (Err(error), Surrogates::Keep) => {
                return Err(D::Error::custom(format_args!("{path} cannot be kept: {error}")));
            }
        };
        Ok(())
    }
}

impl<'de, T: Decode<'de> + Default> Decode<'de> for Vec<T> {
    fn null(&mut self) {
        self.clear();
    }

    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        self.clear();
        from.deserialize_seq(ListVisitor(self, context))
    }
}

struct ListVisitor<'s, 'n, T>(&'s mut Vec<T>, &'s mut Context<'n>);

impl<'de, T: Decode<'de> + Default> Visitor<'de> for ListVisitor<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut item = T::default();
        while items.next_element_seed(Destination(&mut item, self.1))?.is_some() {
            self.0.push(std::mem::take(&mut item));
        }
        Ok(())
    }
}

impl<'de, T: Decode<'de> + Default> Decode<'de> for BTreeMap<String, T> {
    fn null(&mut self) {
        self.clear();
    }

    fn value<D: Deserializer<'de>>(
        &mut self,
        context: &mut Context<'_>,
        from: D,
    ) -> Result<(), D::Error> {
        from.deserialize_map(MapVisitor(self, context))
    }
}

struct MapVisitor<'s, 'n, T>(&'s mut BTreeMap<String, T>, &'s mut Context<'n>);

impl<'de, T: Decode<'de> + Default> Visitor<'de> for MapVisitor<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key_seed(TextVisitor(self.1))? {
            let mut value = T::default();
            members.next_value_seed(Destination(&mut value, self.1))?;
            self.0.insert(key, value);
        }
        Ok(())
    }
}

/// A type with named fields.
pub(super) trait Fields<'de> {
    /// Decode the value of a key into its field. Returns `false` if there is no field of this name.
    fn field<A: MapAccess<'de>>(
        &mut self,
        key: &str,
        context: &mut Context<'_>,
        members: &mut A,
    ) -> Result<bool, A::Error>;
}

pub(super) struct FieldsVisitor<'s, 'n, T>(pub(super) &'s mut T, pub(super) &'s mut Context<'n>);

impl<'de, T: Fields<'de>> Visitor<'de> for FieldsVisitor<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(fields, context) = self;
        while let Some(key) = members.next_key_seed(KeyVisitor(context))? {
            if fields.field(&key, context, &mut members)? {
                continue;
            }
            let is_next_to_event = context.path.is_empty() && context.encoding == Encoding::Kasten;
            if is_next_to_event && key == TAGS_KEY {
                let mut tags = String::new();
                members.next_value_seed(Destination(&mut tags, context))?;
                context.tags = tags;
                continue;
            }
            members.next_value::<IgnoredAny>()?;
            if !(is_next_to_event && REPEATED_KEYS.contains(&&*key)) {
                context.notes.add_unknown(&context.path, &key);
            }
        }
        Ok(())
    }
}
