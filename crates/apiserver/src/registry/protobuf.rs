//! `Namespace` and `Secret` as kubectl sends them: its client for core kinds speaks protobuf only.
//!
//! Reads the few fields of `ObjectMeta` that a client sets, and what a Secret holds; what a
//! namespace has beyond its metadata is the server's to say. Other kinds are not read, and nothing
//! is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The kinds that are read.
pub(super) const KINDS: [&str; 2] = ["Namespace", SECRET];
const SECRET: &str = "Secret";
/// Fields of one message; a body of them all could be very many.
const FIELDS_MAX: usize = 10_000;
/// What an encoded object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Reads an encoded object.
pub(super) fn object(body: &[u8]) -> Result<Value, String> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let envelope = fields(envelope).ok_or_else(malformed)?;
    let type_meta = fields(last(&envelope, 1)).ok_or_else(malformed)?;
    let (version, kind) = (text(last(&type_meta, 1))?, text(last(&type_meta, 2))?);
    let object = fields(last(&envelope, 2)).ok_or_else(malformed)?;
    let metadata = fields(last(&object, 1)).ok_or_else(malformed)?;
    let mut read = Map::new();
    for (number, field) in [(1, "name"), (2, "generateName"), (3, "namespace")] {
        let value = text(last(&metadata, number))?;
        if !value.is_empty() {
            read.insert(field.to_owned(), value.into());
        }
    }
    for (number, field) in [(11, "labels"), (12, "annotations")] {
        insert_pairs(&mut read, field, &metadata, number, text)?;
    }
    let mut all = Map::new();
    all.insert("apiVersion".to_owned(), version.into());
    all.insert("kind".to_owned(), kind.as_str().into());
    all.insert("metadata".to_owned(), Value::Object(read));
    if kind == SECRET {
        insert_pairs(&mut all, "data", &object, 2, |bytes| Ok(STANDARD.encode(bytes)))?;
        insert_pairs(&mut all, "stringData", &object, 4, text)?;
        let kind = text(last(&object, 3))?;
        if !kind.is_empty() {
            all.insert("type".to_owned(), kind.into());
        }
        if last(&object, 5) == [1] {
            all.insert("immutable".to_owned(), json!(true));
        }
    }
    Ok(Value::Object(all))
}

fn malformed() -> String {
    "malformed protobuf".to_owned()
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed())
}

/// Reads the pairs of a map, and puts them under `name` if there are any.
fn insert_pairs(
    object: &mut Map<String, Value>,
    name: &str,
    message: &[(u64, &[u8])],
    number: u64,
    value: impl Fn(&[u8]) -> Result<String, String>,
) -> Result<(), String> {
    let mut pairs = Map::new();
    for (_, pair) in message.iter().filter(|(found, _)| *found == number) {
        let pair = fields(pair).ok_or_else(malformed)?;
        pairs.insert(text(last(&pair, 1))?, value(last(&pair, 2))?.into());
    }
    if !pairs.is_empty() {
        object.insert(name.to_owned(), Value::Object(pairs));
    }
    Ok(())
}

/// The last value of a field, which is the one that counts; empty if there is none.
fn last<'b>(fields: &[(u64, &'b [u8])], number: u64) -> &'b [u8] {
    fields.iter().rfind(|(found, _)| *found == number).map_or(&[], |(_, value)| value)
}

/// The fields of a message: of those with a length their content, of numbers their bytes.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        if found.len() == FIELDS_MAX {
            return None;
        }
        let tag = varint(&mut message)?;
        let len = match tag & 7 {
            0 => {
                let whole = message;
                varint(&mut message)?;
                let (number, _) = whole.split_at_checked(whole.len() - message.len())?;
                found.push((tag >> 3, number));
                continue;
            }
            1 => 8,
            5 => 4,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            _ => return None,
        };
        let (value, rest) = message.split_at_checked(len)?;
        message = rest;
        if tag & 7 == 2 {
            found.push((tag >> 3, value));
        }
    }
    Some(found)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
    }

    #[test]
    fn a_namespace_is_read_and_nonsense_is_not() {
        let label = [field(1, b"team"), field(2, b"shop")].concat();
        let metadata = [field(1, b"blue"), vec![0x38, 0x00], field(11, &label)].concat();
        let type_meta = [field(1, b"v1"), field(2, b"Namespace")].concat();
        let namespace = [field(1, &metadata), field(2, b""), field(3, b"")].concat();
        let body = [MAGIC, &field(1, &type_meta), &field(2, &namespace), &field(3, b"")].concat();
        let expected = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "blue", "labels": {"team": "shop"}},
        });
        assert_eq!(object(&body), Ok(expected));
        for cut in 1..body.len() {
            // No cut may do worse than fail.
            drop(object(&body[..cut]));
        }
        for nonsense in [&b""[..], b"k8", b"k8s\0\xff", b"k8s\0\x0a\xff\xff\xff\xff\x0f", b"{}"] {
            assert!(object(nonsense).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn a_secret_is_read_with_what_it_holds() {
        let type_meta = [field(1, b"v1"), field(2, b"Secret")].concat();
        let pair = |key: &[u8], value: &[u8]| [field(1, key), field(2, value)].concat();
        let secret = [
            field(1, &field(1, b"keys")),
            field(2, &pair(b"id", b"\xff\x00")),
            field(3, b"secrets.kanister.io/aws"),
            field(4, &pair(b"plain", b"text")),
            vec![5 << 3, 1],
        ];
        let body = [MAGIC, &field(1, &type_meta), &field(2, &secret.concat())].concat();
        let expected = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "keys"},
            "data": {"id": "/wA="},
            "stringData": {"plain": "text"},
            "type": "secrets.kanister.io/aws",
            "immutable": true,
        });
        assert_eq!(object(&body), Ok(expected));
    }
}
