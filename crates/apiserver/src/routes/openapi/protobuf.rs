//! Encodes OpenAPI documents as gnostic's protobuf messages `openapi.v2.Document` and
//! `openapi.v3.Document`. Go clients request them; client-go's `OpenAPISchema` accepts no other
//! format.
//!
//! The input is the JSON document, read member by member, because a parsed tree takes many times
//! its length. The tables of [`v2`] and [`v3`] map its parts to fields. A part without a field is
//! an error: every part that Keepwatch writes has a field.

mod v2;
mod v3;

use std::fmt;

use apimachinery::protobuf::{put_bytes, put_double, put_number};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

/// Encodes a JSON document of version 2.
pub(crate) fn encode_v2(json: &[u8]) -> Result<Vec<u8>, String> {
    document(&v2::DOCUMENT, json)
}

/// Encodes a JSON document of version 3.
pub(crate) fn encode_v3(json: &[u8]) -> Result<Vec<u8>, String> {
    document(&v3::DOCUMENT, json)
}

fn document(part: &'static Part, json: &[u8]) -> Result<Vec<u8>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Read(part).deserialize(&mut deserializer).map_err(|error| error.to_string())
}

/// A message type: its fields, and the field number of extensions, whose names begin with `x-`.
struct Message {
    fields: &'static [Field],
    extensions: u64,
}

/// A field: its JSON name, its number and its type.
struct Field(&'static str, u64, Shape);

/// The type of a field.
enum Shape {
    Text,
    Flag,
    Whole,
    Double,
    /// Any value, as YAML; JSON is valid YAML.
    Any,
    Message(&'static Message),
    /// A repeated field; a single value counts as a list of one.
    Each(&'static Self),
    /// A value wrapped in a message, as its only field.
    Inside(u64, &'static Self),
    /// A message with one field set (`oneof`). The value decides which one.
    OneOf(fn(&Value) -> Choice),
    /// Repeated pairs of a name and a value.
    ByName(&'static Self),
}

const TEXTS: Shape = Shape::Each(&Shape::Text);

/// The field of a `oneof` that is set.
enum Choice {
    /// Number and type of the field.
    Field(u64, &'static Shape),
    Nothing,
    /// The value has an unexpected type.
    Wrong(&'static str),
}

/// The field of `Any` with the YAML text.
const ANY_YAML: u64 = 2;

/// A part of a document that is too long for a parsed tree.
enum Part {
    /// The members of an object as pairs of a name and a value.
    Named { number: u64, shape: &'static Shape },
    /// An object. Members in `parts` are parts themselves; each entry has a name and a field
    /// number.
    Object { message: &'static Message, parts: &'static [(&'static str, u64, Self)] },
}

/// Reads a part member by member.
struct Read(&'static Part);

impl<'de> DeserializeSeed<'de> for Read {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Read {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of an OpenAPI document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Vec<u8>, A::Error> {
        let mut out = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            match self.0 {
                Part::Named { number, shape } => {
                    let value = access.next_value()?;
                    put_named(&mut out, *number, &name, shape, &value).map_err(A::Error::custom)?;
                }
                Part::Object { message, parts } => {
                    if let Some((_, number, part)) = parts.iter().find(|(part, ..)| *part == name) {
                        put_bytes(&mut out, *number, &access.next_value_seed(Self(part))?);
                    } else {
                        put_member(&mut out, message, &name, &access.next_value()?)
                            .map_err(A::Error::custom)?;
                    }
                }
            }
        }
        Ok(out)
    }
}

fn put_named(
    out: &mut Vec<u8>,
    number: u64,
    name: &str,
    shape: &Shape,
    value: &Value,
) -> Result<(), String> {
    let mut pair = Vec::new();
    put_bytes(&mut pair, 1, name.as_bytes());
    put(&mut pair, 2, shape, value).map_err(|what| format!("{name}: {what}"))?;
    put_bytes(out, number, &pair);
    Ok(())
}

fn put_message(
    out: &mut Vec<u8>,
    number: u64,
    message: &Message,
    value: &Value,
) -> Result<(), String> {
    let members = value.as_object().ok_or("an object is expected")?;
    let mut inner = Vec::new();
    for (key, value) in members {
        put_member(&mut inner, message, key, value)?;
    }
    put_bytes(out, number, &inner);
    Ok(())
}

fn put_member(
    out: &mut Vec<u8>,
    message: &Message,
    key: &str,
    value: &Value,
) -> Result<(), String> {
    if key.starts_with("x-") {
        return put_named(out, message.extensions, key, &Shape::Any, value);
    }
    let field = message.fields.iter().find(|Field(name, ..)| *name == key);
    let Some(Field(_, number, shape)) = field else {
        return Err(format!("no field is known for {key:?}"));
    };
    put(out, *number, shape, value).map_err(|what| format!("{key}: {what}"))
}

fn put(out: &mut Vec<u8>, number: u64, shape: &Shape, value: &Value) -> Result<(), String> {
    match shape {
        Shape::Text => {
            put_bytes(out, number, value.as_str().ok_or("a text is expected")?.as_bytes());
        }
        Shape::Flag => {
            put_number(out, number, value.as_bool().ok_or("a boolean is expected")?.into());
        }
        Shape::Whole => {
            let integer = value.as_i64().ok_or("a whole number is expected")?;
            put_number(out, number, integer.cast_unsigned());
        }
        Shape::Double => put_double(out, number, value.as_f64().ok_or("a number is expected")?),
        Shape::Any => {
            let mut any = Vec::new();
            put_bytes(&mut any, ANY_YAML, value.to_string().as_bytes());
            put_bytes(out, number, &any);
        }
        Shape::Message(message) => put_message(out, number, message, value)?,
        Shape::Each(shape) => {
            for item in one_or_many(value) {
                put(out, number, shape, item)?;
            }
        }
        Shape::Inside(only, shape) => {
            let mut inner = Vec::new();
            put(&mut inner, *only, shape, value)?;
            put_bytes(out, number, &inner);
        }
        Shape::OneOf(choose) => {
            let mut inner = Vec::new();
            match choose(value) {
                Choice::Field(only, shape) => put(&mut inner, only, shape, value)?,
                Choice::Nothing => {}
                Choice::Wrong(why) => return Err(why.to_owned()),
            }
            put_bytes(out, number, &inner);
        }
        Shape::ByName(shape) => {
            for (name, value) in value.as_object().ok_or("an object is expected")? {
                put_named(out, number, name, shape, value)?;
            }
        }
    }
    Ok(())
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Array(many) => many,
        value => std::slice::from_ref(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use apimachinery::protobuf::{FieldValue, parse_fields};

    /// Decodes a message into a tree of field numbers and values.
    fn tree(message: &[u8], depth: usize) -> Value {
        let fields =
            parse_fields(message).unwrap().into_iter().map(|(number, value)| match value {
                FieldValue::Number(value) => json!([number, value]),
                FieldValue::Fixed => json!([number, "fixed"]),
                FieldValue::Bytes(bytes) if depth > 0 => json!([number, tree(bytes, depth - 1)]),
                FieldValue::Bytes(bytes) => {
                    json!([number, String::from_utf8(bytes.to_vec()).unwrap()])
                }
            });
        Value::Array(fields.collect())
    }

    #[track_caller]
    fn check(value: &Value, depth: usize, expected: &Value) {
        check_shape(&Shape::Message(&v2::SCHEMA), value, depth, expected);
    }

    #[track_caller]
    fn check_shape(shape: &Shape, value: &Value, depth: usize, expected: &Value) {
        let mut out = Vec::new();
        put(&mut out, 1, shape, value).unwrap();
        let FieldValue::Bytes(message) = parse_fields(&out).unwrap()[0].1 else {
            panic!("a message")
        };
        assert_eq!(tree(message, depth), *expected, "{value}");
    }

    #[test]
    fn a_version_3_schema_may_be_a_reference_anywhere() {
        let reference = json!({"$ref": "#/components/schemas/a"});
        let referred = json!([2, [[1, "#/components/schemas/a"]]]);
        for (value, depth, expected) in [
            (reference.clone(), 1, json!([referred])),
            (json!({"type": "string"}), 1, json!([[1, [[25, "string"]]]])),
            (json!({"allOf": [reference]}), 3, json!([[1, [[26, [referred]]]]])),
            (json!({"items": reference}), 4, json!([[1, [[30, [[1, [referred]]]]]]])),
            (
                json!({"additionalProperties": reference}),
                4,
                json!([[1, [[32, [[1, [referred]]]]]]]),
            ),
            (json!({"additionalProperties": true}), 2, json!([[1, [[32, [[2, 1]]]]]])),
            (json!({"default": true}), 2, json!([[1, [[33, [[2, 1]]]]]])),
            (json!({"default": "a"}), 2, json!([[1, [[33, [[3, "a"]]]]]])),
            (json!({"default": 7}), 2, json!([[1, [[33, [[1, "fixed"]]]]]])),
            (json!({"default": {}}), 2, json!([[1, [[33, []]]]])),
        ] {
            check_shape(&v3::SCHEMA_OR_REFERENCE, &value, depth, &expected);
        }
    }

    #[test]
    fn every_part_of_a_schema_has_a_field() {
        check(&json!({"$ref": "#/definitions/a"}), 0, &json!([[1, "#/definitions/a"]]));
        check(&json!({"type": "string"}), 1, &json!([[22, [[1, "string"]]]]));
        check(&json!({"required": ["a", "b"]}), 0, &json!([[19, "a"], [19, "b"]]));
        check(&json!({"minimum": 0, "maxLength": 63}), 0, &json!([[9, "fixed"], [11, 63]]));
        check(&json!({"uniqueItems": true}), 0, &json!([[16, 1]]));
        check(&json!({"enum": ["a", 1]}), 1, &json!([[20, [[2, "\"a\""]]], [20, [[2, "1"]]]]));
        check(&json!({"default": {"a": []}}), 1, &json!([[5, [[2, r#"{"a":[]}"#]]]]));
        check(&json!({"additionalProperties": true}), 1, &json!([[21, [[2, 1]]]]));
        check(&json!({"additionalProperties": false}), 1, &json!([[21, [[2, 0]]]]));
        check(
            &json!({"additionalProperties": {"format": "x"}}),
            2,
            &json!([[21, [[1, [[2, "x"]]]]]]),
        );
        check(&json!({"items": {"format": "x"}}), 2, &json!([[23, [[1, [[2, "x"]]]]]]));
        check(&json!({"allOf": [{"format": "x"}]}), 1, &json!([[24, [[2, "x"]]]]));
        check(
            &json!({"x-kubernetes-list-type": "map"}),
            0,
            &json!([[31, "\n\u{16}x-kubernetes-list-type\u{12}\u{7}\u{12}\u{5}\"map\""]]),
        );
    }

    #[test]
    fn a_document_is_its_paths_and_definitions_by_name() {
        let json = json!({
            "swagger": "2.0", "info": {"title": "t", "version": "v"},
            "paths": {"/a": {"get": {
                "parameters": [
                    {"name": "q", "in": "query", "type": "string", "uniqueItems": true},
                    {"name": "body", "in": "body", "required": true, "schema": {"format": "x"}},
                ],
                "responses": {"200": {"description": "OK", "schema": {"format": "x"}}},
            }, "parameters": [{"name": "n", "in": "path", "required": true, "type": "string"}]}},
            "definitions": {"a.b": {"properties": {"c": {"format": "x"}}}},
        });
        let bytes = encode_v2(json.to_string().as_bytes()).unwrap();
        let parts = parse_fields(&bytes).unwrap();
        let numbers: Vec<u64> = parts.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 8, 9]);
        let FieldValue::Bytes(definitions) = parts[3].1 else { panic!("a message") };
        let named = json!([[1, "c"], [2, "\u{12}\u{1}x"]]);
        let pair = parse_fields(definitions).unwrap()[0].1;
        let FieldValue::Bytes(pair) = pair else { panic!("a message") };
        let FieldValue::Bytes(schema) = parse_fields(pair).unwrap()[1].1 else {
            panic!("a message")
        };
        assert_eq!(tree(schema, 2), json!([[25, [[1, named]]]]));
    }

    #[test]
    fn parts_without_a_field_are_named_in_the_error() {
        for (json, what) in [
            (json!({"paths": {"/a": {"trace": {}}}}), "/a: no field is known for \"trace\""),
            (json!({"definitions": {"a": {"oneOf": []}}}), "a: no field is known for \"oneOf\""),
            (json!({"definitions": {"a": {"minLength": "1"}}}), "a: minLength: a whole number"),
            (json!([]), "invalid type: sequence, expected an object of an OpenAPI document"),
        ] {
            let error = encode_v2(json.to_string().as_bytes()).unwrap_err();
            assert!(error.starts_with(what), "{error}");
        }
    }
}
