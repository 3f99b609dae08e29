//! Whether a request writes a field of its object.
//!
//! A request writes a field if its body contains the field, or if an operation of its JSON patch
//! changes the field, a part of it, or an object that contains it. This holds for any number and
//! order of operations. The body is scanned in one pass, without a tree.
//!
//! An update in the admission webhook has the whole object and the one before it. It writes the fields
//! in which they differ.
//!
//! Deliberately absent: fields that a replacement (PUT) removes by omission. The body does not say
//! whether the object had them.

use std::borrow::Cow;
use std::fmt;

use event::{EventRef, limit};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::body;

/// Keys of a strategic merge patch that replace or remove what is beside them.
const DIRECTIVES: [&str; 2] = ["$patch", "$retainKeys"];

/// Whether the request writes the field; `None` if the body is not recorded. If the body was cut,
/// the request may write each field. `before` is the object before the change, if the event has it.
pub(super) fn is_written(
    event: &EventRef<'_>,
    before: Option<&str>,
    keys: &[String],
) -> Option<bool> {
    if !matches!(event.verb(), "create" | "update" | "patch") {
        return Some(false);
    }
    let sent = event.request_object()?;
    if let Some(before) = before {
        return Some(body::differ(sent, before.as_bytes(), keys));
    }
    // The field can be in the part that was cut off.
    if limit::is_cut(sent) {
        return Some(true);
    }
    let is_patch = event.verb() == "patch";
    let mut is_written = false;
    let first = sent.iter().find(|byte| !byte.is_ascii_whitespace());
    let mut reader = serde_json::Deserializer::from_slice(sent);
    // A body is valid JSON when it is recorded. Of a corrupt body, only the valid beginning is read.
    if is_patch && first == Some(&b'[') {
        drop(Operations { keys, is_written: &mut is_written }.deserialize(&mut reader));
    } else {
        drop(Content { keys, is_patch, is_written: &mut is_written }.deserialize(&mut reader));
    }
    Some(is_written)
}

/// A part of an object or of a merge patch, and the keys from there to the field.
struct Content<'w> {
    keys: &'w [String],
    is_patch: bool,
    is_written: &'w mut bool,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.keys.is_empty() {
            *self.is_written = true;
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

/// A scalar in place of an object replaces all of its fields.
macro_rules! replaces {
    ($($method:ident $type:ty),*) => {$(
        fn $method<E>(self, _: $type) -> Result<(), E> {
            *self.is_written = true;
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    replaces!(visit_bool bool, visit_str &str, visit_u64 u64, visit_i64 i64, visit_f64 f64);

    fn visit_unit<E>(self) -> Result<(), E> {
        *self.is_written = true;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { keys, is_patch, is_written } = self;
        // A merge patch replaces a list as a whole.
        *is_written |= is_patch;
        while items
            .next_element_seed(Content { keys, is_patch, is_written: &mut *is_written })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { keys, is_patch, is_written } = self;
        let (first, rest) =
            keys.split_first().map_or(("", keys), |(first_key, rest)| (first_key.as_str(), rest));
        while let Some(key) = members.next_key_seed(OneOf([first, DIRECTIVES[0], DIRECTIVES[1]]))? {
            match key {
                Some(0) => members.next_value_seed(Content {
                    keys: rest,
                    is_patch,
                    is_written: &mut *is_written,
                })?,
                Some(_) if is_patch => {
                    *is_written = true;
                    members.next_value::<IgnoredAny>()?;
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The operations of a JSON patch.
struct Operations<'w> {
    keys: &'w [String],
    is_written: &'w mut bool,
}

impl<'de> DeserializeSeed<'de> for Operations<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Operations<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON patch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut operations: A) -> Result<(), A::Error> {
        while let Some(is_written) = operations.next_element_seed(Operation(self.keys))? {
            *self.is_written |= is_written;
        }
        Ok(())
    }
}

/// One operation of a JSON patch, and the keys of the field.
struct Operation<'k>(&'k [String]);

impl<'de> DeserializeSeed<'de> for Operation<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Operation<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an operation")
    }

    /// Each value of a repeated key counts, because servers differ in which one they use.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let (mut at_path, mut at_source) = (false, false);
        let (mut only_tests, mut moves) = (None, false);
        while let Some(key) = members.next_key_seed(OneOf(["path", "from", "op"]))? {
            if key.is_none() {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: &RawValue = members.next_value()?;
            // A server rejects an operation whose members are not strings.
            let Ok(text) = serde_json::from_str::<Cow<'_, str>>(value.get()) else { continue };
            match key {
                Some(0) => at_path |= concerns(&text, self.0),
                Some(1) => at_source |= concerns(&text, self.0),
                _ => {
                    only_tests = Some(only_tests.unwrap_or(true) && text == "test");
                    moves |= text == "move";
                }
            }
        }
        Ok(only_tests != Some(true) && (at_path || (at_source && moves)))
    }
}

/// Whether an operation at this JSON pointer concerns the field: the field itself, a part of it, or
/// an object that contains it. As in kube-apiserver, the text before the first slash is ignored.
fn concerns(pointer: &str, keys: &[String]) -> bool {
    let mut rest = keys.iter();
    let mut next = rest.next();
    for token in pointer.split('/').skip(1) {
        match next {
            None => return true,
            Some(key) if unescaped(token) == *key => next = rest.next(),
            // The path of a field has no index of a list.
            Some(_) if token == "-" || token.bytes().all(|byte| byte.is_ascii_digit()) => {}
            Some(_) => return false,
        }
    }
    true
}

/// A token of a JSON pointer without its escapes (RFC 6901).
fn unescaped(token: &str) -> Cow<'_, str> {
    if !token.contains('~') {
        return Cow::Borrowed(token);
    }
    Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
}

/// Finds a key among the wanted ones, without copying it. The result is its index.
struct OneOf<'k>([&'k str; 3]);

impl<'de> DeserializeSeed<'de> for OneOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for OneOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == key))
    }
}
