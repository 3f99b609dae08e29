//! Structural schemas: the fields of an object, and Kubernetes' error messages about other fields.
//!
//! Supports the part of OpenAPI v3 that custom resource definitions use, without patterns and CEL;
//! checks that need those are in the `Strategy` of the resource. Messages follow the validation of
//! custom resources (`k8s.io/apiextensions-apiserver`).

mod formats;
mod path;
mod validate;

use serde_json::{Map, Value};

pub use path::Path;

/// Maximum number of unknown fields reported for one object.
pub const UNKNOWN_FIELDS_MAX: usize = 100;

/// A compiled schema of one value.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    kind: Kind,
    nullable: bool,
    properties: Vec<(String, Self)>,
    additional: Option<Box<Self>>,
    items: Option<Box<Self>>,
    required: Vec<String>,
    allowed: Vec<Value>,
    default: Option<Value>,
    format: String,
    minimum: Option<Bound>,
    maximum: Option<Bound>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    min_properties: Option<u64>,
    preserves_unknown: bool,
}

/// Bound of a numeric range.
#[derive(Clone, Copy, Debug)]
struct Bound {
    at: f64,
    is_exclusive: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
}

impl Schema {
    /// Compiles a schema. Unsupported keywords are ignored.
    pub fn compile(schema: &Value) -> Self {
        let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
        let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
        let count = |key: &str| schema.get(key).and_then(Value::as_u64);
        let bound = |key: &str, exclusive: &str| {
            let at = schema.get(key).and_then(Value::as_f64)?;
            Some(Bound { at, is_exclusive: flag(exclusive) })
        };
        let below = |key: &str| schema.get(key).filter(|value| value.is_object());
        let properties = schema.get("properties").and_then(Value::as_object);
        let preserves_unknown = flag("x-kubernetes-preserve-unknown-fields")
            || schema.get("additionalProperties") == Some(&Value::Bool(true));
        Self {
            kind: if flag("x-kubernetes-int-or-string") {
                Kind::IntOrString
            } else {
                Kind::parse(text("type"))
            },
            nullable: flag("nullable"),
            properties: properties
                .map(|map| map.iter().map(|(key, value)| (key.clone(), Self::compile(value))))
                .map(Iterator::collect)
                .unwrap_or_default(),
            additional: below("additionalProperties").map(|value| Box::new(Self::compile(value))),
            items: below("items").map(|value| Box::new(Self::compile(value))),
            required: strings(schema.get("required")),
            allowed: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            default: schema.get("default").cloned(),
            format: text("format").to_owned(),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            preserves_unknown,
        }
    }

    /// Removes fields that are not in the schema and nulls that mean absence, and sets defaults.
    /// Adds the paths of removed fields to `unknown`.
    pub fn prune(&self, value: &mut Value, path: Path<'_>, unknown: &mut Vec<String>) {
        match value {
            Value::Object(map) => self.prune_map(map, path, unknown),
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (at, item) in items.iter_mut().enumerate() {
                        schema.prune(item, path.item(at), unknown);
                    }
                }
            }
            _ => {}
        }
    }

    /// [`prune`](Self::prune) for an object.
    pub fn prune_map(
        &self,
        map: &mut Map<String, Value>,
        path: Path<'_>,
        unknown: &mut Vec<String>,
    ) {
        if self.kind != Kind::Object && self.kind != Kind::Any {
            return;
        }
        let leaves_all = self.preserves_unknown
            || (self.kind == Kind::Any && self.properties.is_empty() && self.additional.is_none());
        map.retain(|key, value| {
            let Some(schema) = self.property(key) else {
                if !leaves_all && unknown.len() < UNKNOWN_FIELDS_MAX {
                    unknown.push(path.field(key).to_bounded_string());
                }
                return leaves_all;
            };
            // As in a Go server, null means that the field is absent.
            if value.is_null() && !schema.nullable && schema.kind != Kind::Any {
                return false;
            }
            schema.prune(value, path.field(key), unknown);
            true
        });
        for (key, schema) in &self.properties {
            if let Some(default) = &schema.default
                && !map.contains_key(key)
            {
                map.insert(key.clone(), default.clone());
            }
        }
    }

    fn property(&self, key: &str) -> Option<&Self> {
        let own = self.properties.iter().find(|(name, _)| name == key).map(|(_, schema)| schema);
        own.or(self.additional.as_deref())
    }
}

impl Kind {
    fn parse(name: &str) -> Self {
        match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => Self::Any,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
