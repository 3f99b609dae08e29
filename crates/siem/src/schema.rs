//! Building blocks of structural schemas: each field has a type and a description.

use serde_json::{Map, Value, json};

/// Fields of an object: pairs of name and schema.
pub(crate) type Fields<'a> = &'a [(&'a str, Value)];

/// A string.
pub(crate) fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// A string of at most `len_max` characters.
pub(crate) fn short_text(len_max: u32, description: &str) -> Value {
    json!({"type": "string", "maxLength": len_max, "description": description})
}

/// An enum of strings.
pub(crate) fn words(words: &[&str], description: &str) -> Value {
    json!({"type": "string", "enum": words, "description": description})
}

/// A time in RFC 3339 format.
pub(crate) fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}

/// A non-negative integer.
pub(crate) fn count(description: &str) -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 0, "description": description})
}

/// A list of strings.
pub(crate) fn texts(description: &str) -> Value {
    list(description, json!({"type": "string"}))
}

/// A list.
pub(crate) fn list(description: &str, items: Value) -> Value {
    let mut schema = json!({"type": "array", "description": description});
    schema["items"] = items;
    schema
}

/// An object with arbitrary content.
pub(crate) fn anything(description: &str) -> Value {
    json!({
        "type": "object", "description": description,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// A map from names to numbers.
pub(crate) fn counts(description: &str) -> Value {
    json!({
        "type": "object", "description": description,
        "additionalProperties": {"type": "integer", "format": "int64"},
    })
}

/// An object with these fields.
pub(crate) fn object(description: &str, fields: Fields<'_>) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "description": description, "properties": properties})
}

/// An object with required fields.
pub(crate) fn object_with(description: &str, required: &[&str], fields: Fields<'_>) -> Value {
    let mut schema = object(description, fields);
    schema["required"] = json!(required);
    schema
}

/// A kind with spec and status. The registry adds `metadata`.
pub(crate) fn kind(description: &str, spec: Value, status: Value) -> Value {
    let mut schema = object(
        description,
        &[
            ("apiVersion", text("Group and version of this object.")),
            ("kind", text("Kind of the object.")),
            ("spec", spec),
            ("status", status),
        ],
    );
    if schema["properties"]["spec"].get("required").is_some() {
        schema["required"] = json!(["spec"]);
    }
    schema
}
