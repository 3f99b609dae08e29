//! Finds values in a body in one pass over its JSON text, without a tree.
//!
//! The search descends into every item of a list. The JSON reader bounds the depth; parts outside
//! the path are skipped.

use std::fmt;
use std::ops::ControlFlow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Value;

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
