//! `Namespace` as kubectl sends it: its client for core kinds speaks protobuf only.
//!
//! Reads the few fields of `ObjectMeta` that a client sets, and passes over everything else: what a
//! namespace has beyond them is the server's to say. Other kinds are not read, and nothing is written.

use serde_json::{Map, Value, json};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The kind that is read.
pub(super) const KIND: &str = "Namespace";
/// What an encoded object begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Reads an encoded namespace.
pub(super) fn namespace(body: &[u8]) -> Result<Value, String> {
    let malformed = || "malformed protobuf".to_owned();
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let envelope = fields(envelope).ok_or_else(malformed)?;
    let type_meta = fields(last(&envelope, 1)).ok_or_else(malformed)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| malformed());
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
        let mut pairs = Map::new();
        for (_, pair) in metadata.iter().filter(|(found, _)| *found == number) {
            let pair = fields(pair).ok_or_else(malformed)?;
            pairs.insert(text(last(&pair, 1))?, text(last(&pair, 2))?.into());
        }
        if !pairs.is_empty() {
            read.insert(field.to_owned(), Value::Object(pairs));
        }
    }
    Ok(json!({"apiVersion": version, "kind": kind, "metadata": read}))
}

/// The last value of a field, which is the one that counts; empty if there is none.
fn last<'b>(fields: &[(u64, &'b [u8])], number: u64) -> &'b [u8] {
    fields.iter().rfind(|(found, _)| *found == number).map_or(&[], |(_, value)| value)
}

/// The fields of a message that have a length; numbers are passed over.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let len = match tag & 7 {
            0 => {
                varint(&mut message)?;
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
        let object = [field(1, &metadata), field(2, b""), field(3, b"")].concat();
        let body = [MAGIC, &field(1, &type_meta), &field(2, &object), &field(3, b"")].concat();
        let expected = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "blue", "labels": {"team": "shop"}},
        });
        assert_eq!(namespace(&body), Ok(expected));
        for cut in 1..body.len() {
            // No cut may do worse than fail.
            drop(namespace(&body[..cut]));
        }
        for nonsense in [&b""[..], b"k8", b"k8s\0\xff", b"k8s\0\x0a\xff\xff\xff\xff\x0f", b"{}"] {
            assert!(namespace(nonsense).is_err(), "{nonsense:?}");
        }
    }
}
