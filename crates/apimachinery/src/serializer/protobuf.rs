//! Decodes request bodies of Go's typed clients in protocol buffers: Kubernetes' own kinds, and
//! `DeleteOptions`.
//!
//! An object becomes its JSON form, with every field of its message type. Unknown fields are
//! skipped, as in Kubernetes. Other kinds are not decoded, and nothing is encoded.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{TREE_BYTES_MAX, cost_of_member, decode_json_within};
use crate::protobuf::{FieldValue, parse_fields};

mod messages;

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The first bytes of an encoded object.
const MAGIC: &[u8] = b"k8s\0";
/// Range of seconds since the Unix epoch that Kubernetes can write: the years 0 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// A message type: its fields in the order of the JSON form.
pub(super) struct Message(&'static [Field]);

/// A field: its number, its JSON name and its type.
pub(super) struct Field(u64, &'static str, Shape);

/// The type of a field. Unless noted otherwise, an empty value is omitted, as with `omitempty` in
/// Go. `Optional…` is a pointer in Go: the value is kept even if it is empty.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text,
    OptionalText,
    Texts,
    Number,
    OptionalNumber,
    OptionalBool,
    /// With seconds.
    Time,
    /// With microseconds.
    MicroTime,
    Message(&'static Message),
    OptionalMessage(&'static Message),
    Messages(&'static Message),
    TextsByName,
    /// In base64.
    BytesByName,
    /// A JSON document inside the message, in field 1.
    Json,
}

/// The message type of a kind; `None` if it is not supported.
pub(super) fn message(api_version: &str, kind: &str) -> Option<&'static Message> {
    messages::find(api_version, kind)
}

/// Decodes an object of the given kind.
pub(super) fn decode(body: &[u8], kind: &str, message: &Message) -> Result<Value, String> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let mut left = TREE_BYTES_MAX;
    let envelope = read(&messages::ENVELOPE, envelope, &mut left)?;
    let mut all = Map::new();
    for key in ["apiVersion", "kind"] {
        if let Some(value) = envelope.get("typeMeta").and_then(|meta| meta.get(key)) {
            all.insert(key.to_owned(), value.clone());
        }
    }
    // The check of the kind reports a different kind later.
    if all.get("kind").is_none_or(|known| known == kind) {
        let raw = raw_object(body)?;
        all.extend(read(message, &raw, &mut left)?);
    }
    Ok(Value::Object(all))
}

/// The encoded object inside the envelope.
fn raw_object(body: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let fields = parse_fields(envelope).ok_or_else(malformed)?;
    joined(&values_of(&fields, 2))
}

fn malformed() -> String {
    "malformed protobuf".to_owned()
}

fn read(message: &Message, bytes: &[u8], left: &mut usize) -> Result<Map<String, Value>, String> {
    let fields = parse_fields(bytes).ok_or_else(malformed)?;
    let mut object = Map::new();
    for Field(number, name, shape) in message.0 {
        let values = values_of(&fields, *number);
        if let Some(last) = values.last()
            && let Some(value) = value(*shape, &values, *last, left)?
        {
            *left = left.checked_sub(cost_of_member(name, &value)).ok_or_else(malformed)?;
            object.insert((*name).to_owned(), value);
        }
    }
    Ok(object)
}

fn values_of<'b>(fields: &[(u64, FieldValue<'b>)], number: u64) -> Vec<FieldValue<'b>> {
    fields.iter().filter(|(field, _)| *field == number).map(|(_, value)| *value).collect()
}

/// The JSON value of a field. A field that is not repeated takes its last value.
fn value(
    shape: Shape,
    values: &[FieldValue<'_>],
    last: FieldValue<'_>,
    left: &mut usize,
) -> Result<Option<Value>, String> {
    Ok(match shape {
        Shape::Text => Some(text(last)?).filter(|text| !text.is_empty()).map(Value::from),
        Shape::OptionalText => Some(text(last)?.into()),
        Shape::Texts => {
            let texts: Result<Vec<Value>, String> =
                values.iter().map(|value| text(*value).map(Value::from)).collect();
            Some(Value::Array(texts?))
        }
        Shape::Number => Some(number(last)?).filter(|number| *number != 0).map(Value::from),
        Shape::OptionalNumber => Some(number(last)?.into()),
        Shape::OptionalBool => Some((number(last)? != 0).into()),
        Shape::Time => time(last, false)?.map(Value::from),
        Shape::MicroTime => time(last, true)?.map(Value::from),
        Shape::Message(inner) => {
            let read = read(inner, &joined(values)?, left)?;
            if read.is_empty() { None } else { Some(read.into()) }
        }
        Shape::OptionalMessage(inner) => Some(read(inner, &joined(values)?, left)?.into()),
        Shape::Messages(inner) => {
            let mut messages = Vec::new();
            for value in values {
                messages.push(read(inner, bytes(*value)?, left)?.into());
            }
            Some(Value::Array(messages))
        }
        Shape::TextsByName => pairs(values, |value| text(value).map(Value::from))?,
        Shape::BytesByName => pairs(values, |value| Ok(STANDARD.encode(bytes(value)?).into()))?,
        Shape::Json => {
            let fields = parse_fields(bytes(last)?).ok_or_else(malformed)?;
            let raw = joined(&values_of(&fields, 1))?;
            if raw.is_empty() { None } else { Some(decode_json_within(&raw, left)?.value) }
        }
    })
}

/// Joins a message that is sent in several parts.
fn joined<'b>(values: &[FieldValue<'b>]) -> Result<Cow<'b, [u8]>, String> {
    match values {
        [] => Ok(Cow::Borrowed(&[])),
        [value] => bytes(*value).map(Cow::Borrowed),
        parts => {
            let parts: Result<Vec<&[u8]>, String> = parts.iter().map(|part| bytes(*part)).collect();
            Ok(Cow::Owned(parts?.concat()))
        }
    }
}

fn bytes(value: FieldValue<'_>) -> Result<&[u8], String> {
    if let FieldValue::Bytes(bytes) = value { Ok(bytes) } else { Err(malformed()) }
}

fn text(value: FieldValue<'_>) -> Result<String, String> {
    String::from_utf8(bytes(value)?.to_vec()).map_err(|_| malformed())
}

fn number(value: FieldValue<'_>) -> Result<i64, String> {
    if let FieldValue::Number(number) = value { Ok(number.cast_signed()) } else { Err(malformed()) }
}

fn pairs(
    values: &[FieldValue<'_>],
    value: impl Fn(FieldValue<'_>) -> Result<Value, String>,
) -> Result<Option<Value>, String> {
    let mut pairs = Map::new();
    for pair in values {
        let pair = parse_fields(bytes(*pair)?).ok_or_else(malformed)?;
        let field =
            |number| values_of(&pair, number).last().copied().unwrap_or(FieldValue::Bytes(&[]));
        pairs.insert(text(field(1))?, value(field(2))?);
    }
    Ok(Some(Value::Object(pairs)))
}

/// A time in its JSON form; `None` if it is not set.
fn time(value: FieldValue<'_>, to_micros: bool) -> Result<Option<String>, String> {
    let message = bytes(value)?;
    if message.is_empty() {
        return Ok(None);
    }
    let fields = parse_fields(message).ok_or_else(malformed)?;
    let field = |number_of_field| {
        values_of(&fields, number_of_field).last().map_or(Ok(0), |value| number(*value))
    };
    let (seconds, nanos) = (field(1)?, field(2)?);
    if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return Err(malformed());
    }
    let time = Timestamp::from_second(seconds).map_err(|_| malformed())?;
    let mut time = time.to_string();
    if to_micros {
        time.pop();
        // Writing to a string cannot fail.
        let _written = write!(time, ".{:06}Z", nanos / 1000);
    }
    Ok(Some(time))
}

#[cfg(test)]
mod tests;
