//! Core `secrets` of a standalone server, for the credentials of buckets.
//!
//! Served like `core/v1`: `data` is base64, `stringData` is write-only. Bodies are omitted from
//! audit events at every level, errors name keys and never values, and the store holds the objects
//! encrypted (see [`encrypted_storage`](super::encrypted_storage)).

use std::sync::Arc;

use apimachinery::FieldError;
use apiserver::{Column, Resource, Scope, Strategy, Verb, WriteContext};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use serde_json::{Map, Value, json};

/// Prefix of their keys in the store.
pub(crate) const FOLDER: &str = "core/secrets/";

/// Maximum number of bytes of all values together, as in Kubernetes.
pub(crate) const DATA_BYTES_MAX: usize = 1 << 20;
/// Maximum number of characters of a key.
const KEY_LEN_MAX: usize = 253;
/// The default type of a Secret.
const OPAQUE: &str = "Opaque";

/// The keys that a Secret of a type must have.
const REQUIRED: [(&str, &[&str]); 4] = [
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
];

const COLUMNS: &[Column] = &[
    Column {
        name: "Type",
        kind: "string",
        path: "type",
        priority: 0,
        description: "Type of the Secret, which determines its required keys.",
    },
    Column {
        name: "Data",
        kind: "integer",
        path: "data",
        priority: 0,
        description: "Number of keys.",
    },
    Column {
        name: "Age",
        kind: "date",
        path: "metadata.creationTimestamp",
        priority: 0,
        description: "Time since it was created.",
    },
];

/// The resource that serves the kind.
pub(crate) fn resource() -> Resource {
    Resource {
        group: "",
        version: "v1",
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: &[
            Verb::Create,
            Verb::Delete,
            Verb::Get,
            Verb::List,
            Verb::Patch,
            Verb::Update,
            Verb::Watch,
        ],
        columns: COLUMNS,
        schema: schema().into(),
        subresources: &[],
        selectable_fields: &["type"],
        omit_bodies: true,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy: Arc::new(Secrets),
    }
}

fn schema() -> Value {
    let texts = |description: &str| {
        json!({
            "type": "object",
            "description": description,
            "additionalProperties": {"type": "string"},
        })
    };
    json!({
        "type": "object",
        "description": "Secret holds secret data, such as the keys of a bucket.",
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema."},
            "kind": {"type": "string", "description": "Kind of the object."},
            "metadata": {"type": "object", "description": "Standard metadata."},
            "data": texts("The values, in base64."),
            "stringData": texts("Values that are not encoded; write-only, stored in data."),
            "type": {"type": "string", "description": "Type of the Secret, which determines its required keys."},
            "immutable": {"type": "boolean", "description": "Whether it can no longer be changed."},
        },
    })
}

struct Secrets;

impl Strategy for Secrets {
    fn updates_unconditionally(&self) -> bool {
        true
    }

    fn prepare_create(&self, secret: &mut Map<String, Value>, _ctx: &WriteContext) {
        merge_texts(secret);
        if text(secret, "type").is_empty() && secret.get("type").is_none_or(Value::is_string) {
            secret.insert("type".to_owned(), OPAQUE.into());
        }
    }

    fn prepare_update(
        &self,
        secret: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        if text(secret, "type").is_empty() {
            secret.insert("type".to_owned(), text(old, "type").into());
        }
        self.prepare_create(secret, ctx);
    }

    fn validate(
        &self,
        secret: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let mut errors = validate_data(secret);
        let kind = text(secret, "type");
        let required =
            REQUIRED.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, keys)| keys);
        for key in required {
            if secret.get("data").and_then(|data| data.get(key)).is_none() {
                errors.push(FieldError::required(format!("data[{key}]"), ""));
            }
        }
        if let Some(old) = old {
            errors.extend(validate_change(secret, old));
        }
        errors
    }
}

/// Merges `stringData`, which wins, into `data`. The schema rejects values that are not strings.
fn merge_texts(secret: &mut Map<String, Value>) {
    let has_only_strings =
        |value: &Value| value.as_object().is_some_and(|texts| texts.values().all(Value::is_string));
    if !secret.get("stringData").is_some_and(has_only_strings) {
        return;
    }
    let Some(Value::Object(texts)) = secret.shift_remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    let Some(data) = data.as_object_mut() else { return };
    for (key, value) in texts {
        let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
        data.insert(key, encoded.into());
    }
}

/// Validates keys and values. The errors do not repeat values.
fn validate_data(secret: &Map<String, Value>) -> Vec<FieldError> {
    let none = Map::new();
    let data = secret.get("data").and_then(Value::as_object).unwrap_or(&none);
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in data {
        let field = format!("data[{key}]");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_valid = !key.is_empty()
            && key.len() <= KEY_LEN_MAX
            && key.chars().all(is_allowed)
            && !matches!(key.as_str(), "." | "..");
        if !is_valid {
            let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or \
                          '.'";
            errors.push(FieldError::invalid(&field, &json!(key), detail));
        }
        match STANDARD.decode(value.as_str().unwrap_or_default()) {
            Ok(value) => bytes += Zeroizing::new(value).len(),
            Err(_) => errors.push(FieldError::invalid(&field, &json!("***"), "must be base64")),
        }
    }
    if bytes > DATA_BYTES_MAX {
        errors.push(FieldError {
            reason: "FieldValueTooLong",
            field: "data".to_owned(),
            message: format!("Too long: may not be more than {DATA_BYTES_MAX} bytes"),
        });
    }
    errors
}

fn validate_change(secret: &Map<String, Value>, old: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(secret, "type") != text(old, "type") {
        let kind = json!(text(secret, "type"));
        errors.push(FieldError::invalid("type", &kind, "field is immutable"));
    }
    if old.get("immutable") == Some(&Value::Bool(true)) {
        let detail = "field is immutable when `immutable` is set";
        for field in ["immutable", "data"] {
            if secret.get(field) != old.get(field) {
                errors.push(FieldError::forbidden(field, detail));
            }
        }
    }
    errors
}

fn text<'o>(secret: &'o Map<String, Value>, key: &str) -> &'o str {
    secret.get(key).and_then(Value::as_str).unwrap_or_default()
}
