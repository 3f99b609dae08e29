//! The document of version 2 as the protobuf message `openapi.v2.Document` of gnostic, which is all that
//! client-go's `OpenAPISchema` asks for.
//!
//! Made from the JSON document, member by member, because as a tree it takes many times its length.
//! Says what it has no place for: what Keepwatch writes itself has a place.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::wire::{put_bytes, put_double, put_number};

/// A message: its fields, and the field of what begins with `x-`.
struct Message {
    fields: &'static [Field],
    extensions: u64,
}

/// A field: its name in JSON, its number, and what it holds.
struct Field(&'static str, u64, Shape);

/// What a field holds.
enum Shape {
    Text,
    Flag,
    Whole,
    Double,
    /// Texts, or one alone.
    Texts,
    /// A value of any kind, as YAML, which JSON is.
    Any,
    Anys,
    Message(&'static Message),
    /// Messages, or one alone.
    Messages(&'static Message),
    /// Something within a message of its own, as its only field.
    Inside(u64, &'static Self),
    /// Pairs of a name and something.
    ByName(&'static Self),
    /// A schema or a boolean.
    SchemaOrFlag,
    /// Parameters, each of which lies within messages by where it is sent.
    Parameters,
}

const ANY_YAML: u64 = 2;
const PATHS: u64 = 8;
const DEFINITIONS: u64 = 9;

static DOCUMENT: Message = Message {
    fields: &[Field("swagger", 1, Shape::Text), Field("info", 2, Shape::Message(&INFO))],
    extensions: 16,
};

static INFO: Message = Message {
    fields: &[
        Field("title", 1, Shape::Text),
        Field("version", 2, Shape::Text),
        Field("description", 3, Shape::Text),
    ],
    extensions: 7,
};

static PATH_ITEM: Message = Message {
    fields: &[
        Field("get", 2, Shape::Message(&OPERATION)),
        Field("put", 3, Shape::Message(&OPERATION)),
        Field("post", 4, Shape::Message(&OPERATION)),
        Field("delete", 5, Shape::Message(&OPERATION)),
        Field("options", 6, Shape::Message(&OPERATION)),
        Field("head", 7, Shape::Message(&OPERATION)),
        Field("patch", 8, Shape::Message(&OPERATION)),
        Field("parameters", 9, Shape::Parameters),
    ],
    extensions: 10,
};

static PATH_ITEM_VALUE: Shape = Shape::Message(&PATH_ITEM);

static OPERATION: Message = Message {
    fields: &[
        Field("tags", 1, Shape::Texts),
        Field("summary", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("operationId", 5, Shape::Text),
        Field("produces", 6, Shape::Texts),
        Field("consumes", 7, Shape::Texts),
        Field("parameters", 8, Shape::Parameters),
        Field("responses", 9, Shape::Inside(1, &Shape::ByName(&RESPONSE_VALUE))),
        Field("schemes", 10, Shape::Texts),
        Field("deprecated", 11, Shape::Flag),
    ],
    extensions: 13,
};

static RESPONSE_VALUE: Shape = Shape::Inside(1, &Shape::Message(&RESPONSE));

static RESPONSE: Message = Message {
    fields: &[
        Field("description", 1, Shape::Text),
        Field("schema", 2, Shape::Inside(1, &SCHEMA_VALUE)),
    ],
    extensions: 5,
};

static BODY_PARAMETER: Message = Message {
    fields: &[
        Field("description", 1, Shape::Text),
        Field("name", 2, Shape::Text),
        Field("in", 3, Shape::Text),
        Field("required", 4, Shape::Flag),
        Field("schema", 5, Shape::Message(&SCHEMA)),
    ],
    extensions: 6,
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        Field("required", 1, Shape::Flag),
        Field("in", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("name", 4, Shape::Text),
        Field("allowEmptyValue", 5, Shape::Flag),
        Field("type", 6, Shape::Text),
        Field("format", 7, Shape::Text),
        Field("uniqueItems", 20, Shape::Flag),
    ],
    extensions: 23,
};

static PATH_PARAMETER: Message = Message {
    fields: &[
        Field("required", 1, Shape::Flag),
        Field("in", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("name", 4, Shape::Text),
        Field("type", 5, Shape::Text),
        Field("format", 6, Shape::Text),
        Field("uniqueItems", 19, Shape::Flag),
    ],
    extensions: 22,
};

static SCHEMA: Message = Message {
    fields: &[
        Field("$ref", 1, Shape::Text),
        Field("format", 2, Shape::Text),
        Field("title", 3, Shape::Text),
        Field("description", 4, Shape::Text),
        Field("default", 5, Shape::Any),
        Field("multipleOf", 6, Shape::Double),
        Field("maximum", 7, Shape::Double),
        Field("exclusiveMaximum", 8, Shape::Flag),
        Field("minimum", 9, Shape::Double),
        Field("exclusiveMinimum", 10, Shape::Flag),
        Field("maxLength", 11, Shape::Whole),
        Field("minLength", 12, Shape::Whole),
        Field("pattern", 13, Shape::Text),
        Field("maxItems", 14, Shape::Whole),
        Field("minItems", 15, Shape::Whole),
        Field("uniqueItems", 16, Shape::Flag),
        Field("maxProperties", 17, Shape::Whole),
        Field("minProperties", 18, Shape::Whole),
        Field("required", 19, Shape::Texts),
        Field("enum", 20, Shape::Anys),
        Field("additionalProperties", 21, Shape::SchemaOrFlag),
        Field("type", 22, Shape::Inside(1, &Shape::Texts)),
        Field("items", 23, Shape::Inside(1, &Shape::Messages(&SCHEMA))),
        Field("allOf", 24, Shape::Messages(&SCHEMA)),
        Field("properties", 25, Shape::Inside(1, &Shape::ByName(&SCHEMA_VALUE))),
        Field("discriminator", 26, Shape::Text),
        Field("readOnly", 27, Shape::Flag),
        Field("example", 30, Shape::Any),
    ],
    extensions: 31,
};

static SCHEMA_VALUE: Shape = Shape::Message(&SCHEMA);

/// The message of a JSON document of version 2.
pub(crate) fn document(json: &[u8]) -> Result<Vec<u8>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Document.deserialize(&mut deserializer).map_err(|error| error.to_string())
}

/// The document, of which only paths and definitions are long.
struct Document;

impl<'de> DeserializeSeed<'de> for Document {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an OpenAPI document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Vec<u8>, A::Error> {
        let mut out = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            match key.as_str() {
                "paths" => {
                    let members = Members { number: 2, shape: &PATH_ITEM_VALUE };
                    put_bytes(&mut out, PATHS, &access.next_value_seed(members)?);
                }
                "definitions" => {
                    let members = Members { number: 1, shape: &SCHEMA_VALUE };
                    put_bytes(&mut out, DEFINITIONS, &access.next_value_seed(members)?);
                }
                _ => put_member(&mut out, &DOCUMENT, &key, &access.next_value()?)
                    .map_err(A::Error::custom)?,
            }
        }
        Ok(out)
    }
}

/// The members of an object as fields of a message, read one after the other.
struct Members {
    number: u64,
    shape: &'static Shape,
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Vec<u8>, A::Error> {
        let mut out = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value()?;
            put_named(&mut out, self.number, &name, self.shape, &value)
                .map_err(A::Error::custom)?;
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
        return Err(format!("there is no place for {key:?}"));
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
            let whole = value.as_i64().ok_or("a whole number is expected")?;
            put_number(out, number, whole.cast_unsigned());
        }
        Shape::Double => put_double(out, number, value.as_f64().ok_or("a number is expected")?),
        Shape::Texts => {
            for one in one_or_many(value) {
                put(out, number, &Shape::Text, one)?;
            }
        }
        Shape::Any => {
            let mut any = Vec::new();
            put_bytes(&mut any, ANY_YAML, value.to_string().as_bytes());
            put_bytes(out, number, &any);
        }
        Shape::Anys => {
            for one in one_or_many(value) {
                put(out, number, &Shape::Any, one)?;
            }
        }
        Shape::Message(message) => put_message(out, number, message, value)?,
        Shape::Messages(message) => {
            for one in one_or_many(value) {
                put_message(out, number, message, one)?;
            }
        }
        Shape::Inside(only, shape) => {
            let mut inner = Vec::new();
            put(&mut inner, *only, shape, value)?;
            put_bytes(out, number, &inner);
        }
        Shape::ByName(shape) => {
            for (name, value) in value.as_object().ok_or("an object is expected")? {
                put_named(out, number, name, shape, value)?;
            }
        }
        Shape::SchemaOrFlag => {
            let (only, shape) = match value {
                Value::Bool(_) => (2, Shape::Flag),
                _ => (1, Shape::Message(&SCHEMA)),
            };
            let mut inner = Vec::new();
            put(&mut inner, only, &shape, value)?;
            put_bytes(out, number, &inner);
        }
        Shape::Parameters => {
            for one in one_or_many(value) {
                put_parameter(out, number, one)?;
            }
        }
    }
    Ok(())
}

/// `ParametersItem { Parameter { BodyParameter } }` or, with one more message in between, of a path or
/// a query.
fn put_parameter(out: &mut Vec<u8>, number: u64, value: &Value) -> Result<(), String> {
    let mut parameter = Vec::new();
    match value.get("in").and_then(Value::as_str) {
        Some("body") => put_message(&mut parameter, 1, &BODY_PARAMETER, value)?,
        Some(place @ ("query" | "path")) => {
            let mut inner = Vec::new();
            if place == "query" {
                put_message(&mut inner, 3, &QUERY_PARAMETER, value)?;
            } else {
                put_message(&mut inner, 4, &PATH_PARAMETER, value)?;
            }
            put_bytes(&mut parameter, 2, &inner);
        }
        _ => return Err("a parameter is in body, query or path".to_owned()),
    }
    let mut item = Vec::new();
    put_bytes(&mut item, 1, &parameter);
    put_bytes(out, number, &item);
    Ok(())
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Array(many) => many,
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::{Held, fields};

    /// A message as a tree: numbers of fields with what they hold.
    fn tree(message: &[u8], depth: usize) -> Value {
        let fields = fields(message).unwrap().into_iter().map(|(number, held)| match held {
            Held::Number(value) => json!([number, value]),
            Held::Fixed => json!([number, "fixed"]),
            Held::Bytes(bytes) if depth > 0 => json!([number, tree(bytes, depth - 1)]),
            Held::Bytes(bytes) => json!([number, String::from_utf8(bytes.to_vec()).unwrap()]),
        });
        Value::Array(fields.collect())
    }

    #[track_caller]
    fn check(value: &Value, depth: usize, expected: &Value) {
        let mut out = Vec::new();
        put_message(&mut out, 1, &SCHEMA, value).unwrap();
        let Held::Bytes(message) = fields(&out).unwrap()[0].1 else { panic!("a message") };
        assert_eq!(tree(message, depth), *expected, "{value}");
    }

    #[test]
    fn every_part_of_a_schema_has_its_place() {
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
        let bytes = document(json.to_string().as_bytes()).unwrap();
        let parts = fields(&bytes).unwrap();
        let numbers: Vec<u64> = parts.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 8, 9]);
        let Held::Bytes(definitions) = parts[3].1 else { panic!("a message") };
        let named = json!([[1, "c"], [2, "\u{12}\u{1}x"]]);
        let pair = fields(definitions).unwrap()[0].1;
        let Held::Bytes(pair) = pair else { panic!("a message") };
        let Held::Bytes(schema) = fields(pair).unwrap()[1].1 else { panic!("a message") };
        assert_eq!(tree(schema, 2), json!([[25, [[1, named]]]]));
    }

    #[test]
    fn what_has_no_place_is_named() {
        for (json, what) in [
            (json!({"paths": {"/a": {"trace": {}}}}), "/a: there is no place for \"trace\""),
            (json!({"definitions": {"a": {"oneOf": []}}}), "a: there is no place for \"oneOf\""),
            (json!({"definitions": {"a": {"minLength": "1"}}}), "a: minLength: a whole number"),
            (json!([]), "invalid type: sequence, expected an OpenAPI document"),
        ] {
            let error = document(json.to_string().as_bytes()).unwrap_err();
            assert!(error.starts_with(what), "{error}");
        }
    }
}
