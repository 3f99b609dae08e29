//! Derives the schema of a kind from its Rust types.
//!
//! schemars derives JSON Schema 2020-12, while Kubernetes requires a structural `OpenAPI` v3.0
//! schema: references are inlined, lists of types become `nullable`, and choices between constants
//! become enums. Doc comments become descriptions. The entry point is [`object`].
//!
//! The types of specs and statuses exist for their schemas: the registry validates requests by the
//! schema, and strategies read the validated JSON by path, so that unknown fields are kept and no
//! body is decoded twice. Only the custom resources of `config` are decoded, by the controller.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema of a kind with a spec and a status. `metadata` is added by the registry.
pub(crate) fn object<Spec: JsonSchema, Status: JsonSchema>(description: &str) -> Value {
    let mut schema = without_status::<Spec>(description);
    schema["properties"]["status"] = structural::<Status>();
    schema
}

/// The schema of a kind without a status.
pub(crate) fn without_status<Spec: JsonSchema>(description: &str) -> Value {
    let spec = structural::<Spec>();
    let required = if spec.get("required").is_some() { json!(["spec"]) } else { Value::Null };
    let mut schema = json!({
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version of this object."},
            "kind": {"type": "string", "description": "Kind of the object."},
            "spec": spec,
        },
    });
    if !required.is_null() {
        schema["required"] = required;
    }
    schema
}

/// The structural schema of a type.
fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    make_structural(&mut value);
    value
}

/// Makes a schema and all nested schemas structural.
fn make_structural(schema: &mut Value) {
    if let Value::Bool(_) = schema {
        *schema = json!({"x-kubernetes-preserve-unknown-fields": true});
        return;
    }
    let Value::Object(map) = schema else { return };
    for keyword in ["$schema", "$defs", "title", "default"] {
        map.shift_remove(keyword);
    }
    convert_choice(map);
    convert_type(map);
    convert_const(map);
    remove_unknown_format(map);
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(make_structural);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(subschema) = map.get_mut(keyword) {
            make_structural(subschema);
        }
    }
    preserve_if_untyped(map);
}

/// `anyOf [T, null]` becomes a nullable `T`; a choice between constants becomes an enum.
fn convert_choice(map: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) =
        map.shift_remove("anyOf").or_else(|| map.shift_remove("oneOf"))
    else {
        return;
    };
    let (nulls, mut branches): (Vec<Value>, Vec<Value>) =
        branches.into_iter().partition(|branch| branch["type"] == "null");
    if !nulls.is_empty() {
        map.insert("nullable".to_owned(), true.into());
    }
    if branches.len() == 1 {
        if let Some(Value::Object(branch)) = branches.pop() {
            merge(map, branch);
        }
        convert_choice(map);
        return;
    }
    let values: Vec<Value> = branches.iter().flat_map(constants).collect();
    map.insert("type".to_owned(), "string".into());
    map.insert("enum".to_owned(), Value::Array(values));
}

/// Adds the keywords of `inner` that `map` does not have; the outer description wins.
fn merge(map: &mut Map<String, Value>, inner: Map<String, Value>) {
    for (keyword, value) in inner {
        map.entry(keyword).or_insert(value);
    }
}

/// The constants that a branch of a choice allows.
fn constants(branch: &Value) -> Vec<Value> {
    match (branch.get("const"), branch.get("enum")) {
        (Some(value), _) => vec![value.clone()],
        (None, Some(Value::Array(values))) => values.clone(),
        _ => Vec::new(),
    }
}

/// `type: [T, null]` becomes `type: T, nullable: true`.
fn convert_type(map: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = map.get("type") else { return };
    let type_name = types.iter().find(|name| *name != "null").cloned();
    let nullable = types.iter().any(|name| name == "null");
    if let Some(type_name) = type_name {
        map.insert("type".to_owned(), type_name);
    }
    if nullable {
        map.insert("nullable".to_owned(), true.into());
    }
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// Replaces `const`, which `OpenAPI` v3.0 does not have, by an enum of one value.
fn convert_const(map: &mut Map<String, Value>) {
    if let Some(value) = map.shift_remove("const") {
        map.insert("enum".to_owned(), json!([value]));
    }
}

/// Removes formats that `OpenAPI` does not define; their bounds remain.
fn remove_unknown_format(map: &mut Map<String, Value>) {
    let supported = ["int32", "int64", "float", "double", "date-time"];
    if map.get("format").and_then(Value::as_str).is_some_and(|format| !supported.contains(&format))
    {
        map.shift_remove("format");
    }
}

/// Sets `x-kubernetes-preserve-unknown-fields` on a schema without a type, as a structural schema
/// requires.
fn preserve_if_untyped(map: &mut Map<String, Value>) {
    if !map.contains_key("type") {
        map.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
    }
}

/// An RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = "date-time"))]
pub struct Time(pub String);
