//! Parses a request body, JSON or YAML, into a JSON document of limited depth.
//!
//! It reports duplicate keys. It bounds the memory of the document while it parses, because a short
//! text can contain very many values. It does not interpret the document.

mod protobuf;
mod yaml;

use std::fmt;

use http::StatusCode;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::ApiError;
use crate::schema::Path;

pub use yaml::{YAML_BYTES_MAX, YAML_TEXT_BYTES_MAX, YAML_VALUES_MAX, decode_yaml};

/// Maximum memory of the values of one document, in bytes, by the costs below.
pub const TREE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a value, without its content.
const VALUE_BYTES: usize = 72;
/// Bytes of an object with up to [`MEMBERS_FREE`] members.
const OBJECT_BYTES: usize = 480;
/// Bytes of each further member of an object.
const MEMBER_BYTES: usize = 180;
/// Number of members that [`OBJECT_BYTES`] includes.
const MEMBERS_FREE: usize = 4;

/// Maximum number of duplicate keys that are reported; a document with more is refused.
const DUPLICATES_MAX: usize = 64;

/// A parsed request body.
#[derive(Debug)]
pub struct Document {
    /// The document; a duplicate key has its last value.
    pub value: Value,
    /// The duplicate keys.
    pub duplicates: Duplicates,
}

/// Duplicate keys of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// Paths of keys in JSON.
    Json(Vec<String>),
    /// Messages about keys in YAML, with line numbers.
    Yaml(Vec<String>),
    /// Messages about fields of a JSON patch: duplicate and unknown ones.
    JsonPatch(Vec<String>),
}

impl Default for Duplicates {
    fn default() -> Self {
        Self::Json(Vec::new())
    }
}

impl Duplicates {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let (Self::Json(reports) | Self::Yaml(reports) | Self::JsonPatch(reports)) = self;
        reports.is_empty()
    }

    /// One warning for each duplicate key, with upstream's text.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Json(paths) => {
                paths.iter().map(|path| format!("duplicate field \"{path}\"")).collect()
            }
            Self::Yaml(messages) | Self::JsonPatch(messages) => messages.clone(),
        }
    }

    /// The errors of strict decoding. Upstream reports all duplicate keys of YAML in one error.
    pub fn strict_errors(&self) -> Vec<String> {
        match self {
            Self::Yaml(lines) if !lines.is_empty() => {
                vec![format!("yaml: unmarshal errors:\n  {}", lines.join("\n  "))]
            }
            _ => self.warnings(),
        }
    }
}

/// Decodes a body of a media type without parameters, in lower case. `api_version` and `kind` are
/// the expected type, for protocol buffers.
pub fn decode(
    media_type: &str,
    body: &[u8],
    api_version: &str,
    kind: &str,
) -> Result<Document, ApiError> {
    let parsed = match media_type {
        // Without a content type, JSON is assumed, as in Kubernetes.
        "" | "application/json" => decode_json(body),
        "application/yaml" => decode_yaml(body),
        media_type => {
            let message = protobuf::message(api_version, kind);
            let Some(message) = message.filter(|_| media_type == protobuf::MEDIA_TYPE) else {
                return Err(unsupported_media_type(
                    media_type,
                    &["application/json", "application/yaml"],
                ));
            };
            let decoded = protobuf::decode(body, kind, message);
            decoded.map(|value| Document { value, duplicates: Duplicates::default() })
        }
    };
    parsed.map_err(|error| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {error}"
        ))
    })
}

/// 415 Unsupported Media Type.
pub fn unsupported_media_type(media_type: &str, supported: &[&str]) -> ApiError {
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: {} (was {media_type:?})",
            supported.join(", ")
        ),
    )
}

/// Parses JSON.
pub fn decode_json(body: &[u8]) -> Result<Document, String> {
    decode_json_within(body, &mut { TREE_BYTES_MAX })
}

/// Parses JSON whose values may take `left` bytes of memory, and subtracts their cost from `left`.
pub(super) fn decode_json_within(body: &[u8], left: &mut usize) -> Result<Document, String> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let node = Node { path: Path::Root, duplicates: &mut duplicates, left };
    let value = node.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(Document { value, duplicates: Duplicates::Json(duplicates) })
}

/// The position of the parser in the document.
struct Node<'a> {
    path: Path<'a>,
    duplicates: &'a mut Vec<String>,
    /// Bytes of memory left for the rest of the document.
    left: &'a mut usize,
}

/// The error for a document that would take too much memory.
const TOO_COSTLY: &str = "the document has too many values for one request";

/// The error for a document with more than [`DUPLICATES_MAX`] duplicate keys.
const TOO_MANY_DUPLICATES: &str = "too many duplicate keys";

/// Subtracts a cost from `left`; fails if `left` is too small.
fn spend<E: serde::de::Error>(left: &mut usize, bytes: usize) -> Result<(), E> {
    *left = left.checked_sub(bytes).ok_or_else(|| E::custom(TOO_COSTLY))?;
    Ok(())
}

/// Approximate memory of a member of an object, in bytes, without the values inside it, which are
/// counted already.
pub(super) fn cost_of_member(name: &str, value: &Value) -> usize {
    let own = match value {
        Value::Object(map) => OBJECT_BYTES + map.len() * MEMBER_BYTES,
        Value::Array(items) => items.len() * VALUE_BYTES,
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    MEMBER_BYTES + name.len() + own
}

/// Approximate memory of a value, in bytes.
pub fn cost(value: &Value) -> usize {
    VALUE_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(cost).sum(),
            Value::Object(map) => {
                let members = map.len().saturating_sub(MEMBERS_FREE) * MEMBER_BYTES;
                let inner = map.iter().map(|(key, value)| key.len() + cost(value));
                OBJECT_BYTES + members + inner.sum::<usize>()
            }
        }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        spend(self.left, value.len())?;
        Ok(Value::from(value))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        spend(self.left, value.len())?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Node {
            path: self.path.item(items.len()),
            duplicates: &mut *self.duplicates,
            left: &mut *self.left,
        })? {
            spend(self.left, VALUE_BYTES)?;
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let members = if map.is_empty() { OBJECT_BYTES } else { 0 };
            let further = if map.len() < MEMBERS_FREE { 0 } else { MEMBER_BYTES };
            spend(self.left, VALUE_BYTES + members + further + key.len())?;
            let (duplicates, left) = (&mut *self.duplicates, &mut *self.left);
            let path = self.path.field(&key);
            let value = access.next_value_seed(Node { path, duplicates, left })?;
            match map.entry(key) {
                Entry::Vacant(free) => drop(free.insert(value)),
                Entry::Occupied(mut occupied) => {
                    self.duplicates.push(self.path.field(occupied.key()).to_bounded_string());
                    occupied.insert(value);
                }
            }
            if self.duplicates.len() > DUPLICATES_MAX {
                return Err(A::Error::custom(TOO_MANY_DUPLICATES));
            }
        }
        Ok(Value::Object(map))
    }
}
