//! Finds values in a body in one pass over its JSON text, without a tree.
//!
//! The search descends into every item of a list. The JSON reader bounds the depth; parts outside
//! the path are skipped.

use std::fmt;
use std::ops::ControlFlow;

use event::limit;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Value;
use crate::compare;

/// Calls `take` with each value at the path until it breaks. A body that is not recorded, or that
/// is not JSON, has no values.
pub(super) fn values(
    body: Option<&[u8]>,
    keys: &[String],
    take: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>,
) {
    let Some(body) = body else {
        return;
    };
    let mut is_over = false;
    let mut reader = serde_json::Deserializer::from_slice(body);
    // A body is valid JSON when it is recorded; a corrupt one has the values before the corruption.
    drop(Walk { keys, take, is_over: &mut is_over }.deserialize(&mut reader));
}

struct Walk<'w> {
    keys: &'w [String],
    take: &'w mut dyn FnMut(Value<'_>) -> ControlFlow<()>,
    is_over: &'w mut bool,
}

impl Walk<'_> {
    fn add(&mut self, value: Value<'_>) {
        if self.keys.is_empty() && !*self.is_over {
            *self.is_over = (self.take)(value).is_break();
        }
    }

    /// Takes a number in its JSON form.
    fn number(&mut self, number: fmt::Arguments<'_>) {
        if self.keys.is_empty() && !*self.is_over {
            self.add(Value::Text(&number.to_string()));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.add(Value::Null);
        Ok(())
    }

    fn visit_bool<E>(mut self, is: bool) -> Result<(), E> {
        self.add(Value::Text(if is { "true" } else { "false" }));
        Ok(())
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        self.add(Value::Text(text));
        Ok(())
    }

    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        self.number(format_args!("{number}"));
        Ok(())
    }

    fn visit_i64<E>(mut self, number: i64) -> Result<(), E> {
        self.number(format_args!("{number}"));
        Ok(())
    }

    fn visit_f64<E>(mut self, number: f64) -> Result<(), E> {
        self.number(format_args!("{number}"));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { keys, take, is_over } = self;
        while !*is_over {
            let walk = Walk { keys, take: &mut *take, is_over: &mut *is_over };
            if items.next_element_seed(walk)?.is_none() {
                return Ok(());
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.add(Value::Object);
        let Self { keys, take, is_over } = self;
        while let Some(is_next) = members.next_key_seed(Key(keys.first()))? {
            if is_next && !*is_over {
                let keys = keys.get(1..).unwrap_or_default();
                let walk = Walk { keys, take: &mut *take, is_over: &mut *is_over };
                members.next_value_seed(walk)?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Maximum length of the parts of a body that are parsed for a comparison, in bytes. Longer ones are
/// compared as text.
pub(crate) const PART_LEN_MAX: usize = 64 << 10;

/// Whether two bodies have different values at a path. One that is absent equals an empty one, and
/// one that was cut differs from any.
pub(super) fn differ(after: &[u8], before: &[u8], keys: &[String]) -> bool {
    if limit::is_cut(after) || limit::is_cut(before) {
        return true;
    }
    let (after, before) = (texts(after, keys), texts(before, keys));
    let is_long = |texts: &[&RawValue]| {
        texts.iter().map(|text| text.get().len()).sum::<usize>() > PART_LEN_MAX
    };
    if is_long(&after) || is_long(&before) {
        return after.iter().map(|text| text.get()).ne(before.iter().map(|text| text.get()));
    }
    let parsed = |texts: &[&RawValue]| -> Vec<serde_json::Value> {
        let values = texts.iter().filter_map(|text| serde_json::from_str(text.get()).ok());
        values.map(compare::without_empty).filter(|value| !compare::is_empty(value)).collect()
    };
    parsed(&after) != parsed(&before)
}

/// The JSON texts at a path, of each item of a list on the way. A body that is not JSON has those
/// before its corruption.
pub(crate) fn texts<'b>(body: &'b [u8], keys: &[String]) -> Vec<&'b RawValue> {
    let mut texts = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(body);
    drop(Part { keys, texts: &mut texts }.deserialize(&mut reader));
    texts
}

/// A part of a body, and the keys from there to the field.
struct Part<'w, 'de> {
    keys: &'w [String],
    texts: &'w mut Vec<&'de RawValue>,
}

impl<'de> DeserializeSeed<'de> for Part<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.keys.is_empty() {
            self.texts.push(<&RawValue>::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

/// A scalar in place of an object has no fields.
macro_rules! has_no_fields {
    ($($method:ident $type:ty),*) => {$(
        fn $method<E>(self, _: $type) -> Result<(), E> {
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Part<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    has_no_fields!(visit_bool bool, visit_str &str, visit_u64 u64, visit_i64 i64, visit_f64 f64);

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { keys, texts } = self;
        while items.next_element_seed(Part { keys, texts: &mut *texts })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { keys, texts } = self;
        while let Some(is_next) = members.next_key_seed(Key(keys.first()))? {
            if is_next {
                let keys = keys.get(1..).unwrap_or_default();
                members.next_value_seed(Part { keys, texts: &mut *texts })?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Compares a key without copying it.
struct Key<'k>(Option<&'k String>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.0.is_some_and(|expected| expected == key))
    }
}
