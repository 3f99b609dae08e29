//! `metadata`: the fields that clients may set, the fields that the server sets, and their
//! validation.

use apimachinery::api_error::FIELD_ERRORS_MAX;
use apimachinery::{ApiError, FieldError, validation};
use bytes::Bytes;
use event::{Json, Timestamp};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::served_resource::{HEAD, ServedResource};

/// The fields of `ObjectMeta`, in upstream's order of serialization.
const FIELDS: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
/// Maximum size of all annotations of an object together, in bytes.
const ANNOTATIONS_MAX: usize = 256 << 10;

/// Number of fields up to which comparing all keys is faster than hashing one.
const LINEAR_FIELDS_MAX: usize = 16;

/// The metadata of an object; empty if it has none.
pub(crate) fn of(object: &Map<String, Value>) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    field(object, "metadata").and_then(Value::as_object).unwrap_or(&NONE)
}

/// A string field of the metadata; empty if it is not set.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    field(of(object), key).and_then(Value::as_str).unwrap_or_default()
}

/// A field of an object. A request looks up some 50 fields of short objects.
fn field<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    if object.len() > LINEAR_FIELDS_MAX {
        return object.get(key);
    }
    object.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Sets a field of the metadata; an empty string or null removes it.
pub(crate) fn set(object: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else { return };
    if value.is_null() || value == "" {
        metadata.shift_remove(key);
    } else {
        metadata.insert(key.to_owned(), value);
    }
}

/// The finalizers of an object.
pub(crate) fn finalizers(object: &Map<String, Value>) -> Vec<&str> {
    let list = of(object).get("finalizers").and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str).collect()
}

/// Whether the object is terminating, until its finalizers are removed.
pub(crate) fn is_terminating(object: &Map<String, Value>) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// Checks types, and drops nulls and fields that are not in `ObjectMeta`. The paths of dropped
/// fields go to `unknown`. Errors have the text of Go's decoder.
pub(crate) fn decode(
    object: &mut Map<String, Value>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let metadata = object.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    let Value::Object(fields) = metadata else {
        return Err(type_error("metadata", metadata, "v1.ObjectMeta"));
    };
    for key in fields.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
        unknown.push(format!("metadata.{key}"));
    }
    // The last two are not supported, so values from clients are dropped.
    fields.retain(|key, value| {
        FIELDS.contains(&key.as_str())
            && !value.is_null()
            && !matches!(key.as_str(), "managedFields" | "selfLink")
    });
    fields.iter_mut().try_for_each(|(key, value)| typed(key, value))
}

/// Checks the type of a field. As in Go, null becomes the empty string in labels and annotations.
fn typed(key: &str, value: &mut Value) -> Result<(), String> {
    let type_error =
        |value: &Value, expected| Err(type_error(&format!("metadata.{key}"), value, expected));
    match key {
        "labels" | "annotations" => {
            let Value::Object(map) = value else { return type_error(value, "map[string]string") };
            for entry in map.values_mut() {
                match entry {
                    Value::Null => *entry = Value::from(""),
                    Value::String(_) => {}
                    other => return type_error(other, "string"),
                }
            }
        }
        "finalizers" => {
            let Value::Array(list) = value else { return type_error(value, "[]string") };
            if let Some(entry) = list.iter().find(|entry| !entry.is_string()) {
                return type_error(entry, "string");
            }
        }
        "ownerReferences" => {
            let Value::Array(list) = value else { return type_error(value, "[]v1.OwnerReference") };
            if let Some(entry) = list.iter().find(|entry| !entry.is_object()) {
                return type_error(entry, "v1.OwnerReference");
            }
        }
        "generation" | "deletionGracePeriodSeconds" if !value.is_i64() => {
            return type_error(value, "int64");
        }
        "generation" | "deletionGracePeriodSeconds" => {}
        _ if !value.is_string() => return type_error(value, "string"),
        _ => {}
    }
    Ok(())
}

fn type_error(path: &str, value: &Value, expected: &str) -> String {
    let actual = type_of(value);
    format!(
        "json: cannot unmarshal {actual} into Go struct field ObjectMeta.{path} of type {expected}"
    )
}

/// The name of a JSON type in the errors of Go's decoder.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Sets `apiVersion` and `kind`, and drops empty and unknown fields of the metadata. Equal objects
/// then have equal stored bytes.
pub(crate) fn canonicalize(kind: &ServedResource, object: &mut Map<String, Value>) {
    object.insert("apiVersion".to_owned(), kind.api_version.as_str().into());
    object.insert("kind".to_owned(), kind.resource.kind.into());
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, value| FIELDS.contains(&key.as_str()) && !is_empty(value));
    }
}

/// Serializes an object for the store: `apiVersion`, `kind` and `metadata` first, the fields of the
/// metadata in upstream's order, without empty ones.
pub(crate) fn encode(
    kind: &ServedResource,
    object: &Map<String, Value>,
) -> Result<Bytes, ApiError> {
    let json = Json::serialize(&InOrder { kind, object });
    json.map(Json::into_bytes).map_err(|error| ApiError::internal(&error.to_string()))
}

struct InOrder<'a> {
    kind: &'a ServedResource,
    object: &'a Map<String, Value>,
}

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", &self.kind.api_version)?;
        map.serialize_entry("kind", self.kind.resource.kind)?;
        map.serialize_entry("metadata", &Fields(of(self.object)))?;
        for (key, value) in self.object {
            if !HEAD.contains(&key.as_str()) {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

/// Serializes the metadata in upstream's order of fields.
struct Fields<'a>(&'a Map<String, Value>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = FIELDS.into_iter().filter_map(|key| Some((key, field(self.0, key)?)));
        serializer.collect_map(known.filter(|(_, value)| !is_empty(value)))
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Validates the metadata of an object before a write.
pub(crate) fn validate(kind: &ServedResource, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    validate_name(kind, object, &mut errors);
    validate_labels(object, &mut errors);
    validate_annotations(object, &mut errors);
    validate_owners(object, &mut errors);
    for finalizer in finalizers(object) {
        if errors.len() >= FIELD_ERRORS_MAX {
            break;
        }
        for error in validation::qualified_name(finalizer) {
            errors.push(FieldError::invalid("metadata.finalizers", &finalizer.into(), &error));
        }
    }
    errors
}

/// Validates `generateName`. The whole value is checked, before it is truncated for the generated
/// name.
pub(crate) fn validate_generate_name(
    kind: &ServedResource,
    object: &Map<String, Value>,
) -> Vec<FieldError> {
    let base = text(object, "generateName");
    if base.is_empty() {
        return Vec::new();
    }
    // A trailing dash is allowed, because a suffix follows. This masks the dash as upstream does.
    let mut masked = base.to_owned();
    if base.len() > 1 && masked.ends_with('-') {
        masked.pop();
        masked.pop();
        masked.push('a');
    }
    let field = "metadata.generateName";
    let errors = name_errors(kind, &masked).into_iter();
    errors.map(|error| FieldError::invalid(field, &base.into(), &error)).collect()
}

fn name_errors(kind: &ServedResource, name: &str) -> Vec<String> {
    let is_namespace = kind.id.group.is_empty() && kind.id.plural == "namespaces";
    if is_namespace { validation::dns1123_label(name) } else { validation::dns1123_subdomain(name) }
}

fn validate_name(kind: &ServedResource, object: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let name = text(object, "name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
        return;
    }
    for error in name_errors(kind, name) {
        errors.push(FieldError::invalid("metadata.name", &name.into(), &error));
    }
    if kind.is_namespaced() {
        let namespace = text(object, "namespace");
        for error in validation::dns1123_label(namespace) {
            errors.push(FieldError::invalid("metadata.namespace", &namespace.into(), &error));
        }
    }
}

fn validate_labels(object: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    for (key, value) in of(object).get("labels").and_then(Value::as_object).into_iter().flatten() {
        if errors.len() >= FIELD_ERRORS_MAX {
            return;
        }
        for error in validation::qualified_name(key) {
            errors.push(FieldError::invalid("metadata.labels", &key.as_str().into(), &error));
        }
        for error in validation::label_value(value.as_str().unwrap_or_default()) {
            errors.push(FieldError::invalid("metadata.labels", value, &error));
        }
    }
}

fn validate_annotations(object: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let annotations = of(object).get("annotations").and_then(Value::as_object);
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        if errors.len() >= FIELD_ERRORS_MAX {
            return;
        }
        for error in validation::qualified_name(&key.to_ascii_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", &key.as_str().into(), &error));
        }
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_MAX {
        errors.push(FieldError {
            reason: "FieldValueTooLong",
            field: "metadata.annotations".to_owned(),
            message: format!("Too long: may not be more than {ANNOTATIONS_MAX} bytes"),
        });
    }
}

fn validate_owners(object: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    let owners = of(object).get("ownerReferences").and_then(Value::as_array);
    let mut controllers = 0;
    for (at, owner) in owners.into_iter().flatten().enumerate() {
        if errors.len() >= FIELD_ERRORS_MAX {
            return;
        }
        for key in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(key).and_then(Value::as_str).unwrap_or_default().is_empty() {
                let field = format!("metadata.ownerReferences[{at}].{key}");
                let detail = if key == "apiVersion" {
                    "version must not be empty".to_owned()
                } else {
                    "must not be empty".to_owned()
                };
                errors.push(FieldError::invalid(field, &"".into(), &detail));
            }
        }
        controllers += i32::from(owner.get("controller") == Some(&Value::Bool(true)));
    }
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true";
        let list = Value::Array(owners.cloned().unwrap_or_default());
        errors.push(FieldError::invalid("metadata.ownerReferences", &list, detail));
    }
}

/// Validates a change of finalizers: an object that is being deleted gets no new ones.
pub(crate) fn validate_finalizers(
    object: &Map<String, Value>,
    old: &Map<String, Value>,
) -> Option<FieldError> {
    if !is_terminating(old) {
        return None;
    }
    let before = finalizers(old);
    let added: Vec<&str> =
        finalizers(object).into_iter().filter(|entry| !before.contains(entry)).collect();
    if added.is_empty() {
        return None;
    }
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {}",
        validation::go_strings(&added)
    );
    Some(FieldError::forbidden("metadata.finalizers", &detail))
}

/// Checks that an update does not set the fields that only a deletion sets. Their removal is
/// ignored, and so is another time of an object that is being deleted, as upstream.
pub(crate) fn validate_deletion_fields(
    object: &Map<String, Value>,
    old: &Map<String, Value>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut add = |field: &str, value: &str| {
        errors.push(FieldError {
            reason: "FieldValueInvalid",
            field: format!("metadata.{field}"),
            message: format!("Invalid value: {value}: field is immutable"),
        });
    };
    let time = text(object, "deletionTimestamp");
    if !time.is_empty() && !is_terminating(old) {
        add("deletionTimestamp", &in_go_format(time));
    }
    let field = "deletionGracePeriodSeconds";
    let period = |map| of(map).get(field).and_then(Value::as_i64);
    if let Some(seconds) = period(object)
        && period(old) != Some(seconds)
    {
        add(field, &seconds.to_string());
    }
    errors
}

/// A time as Go prints it in error messages.
fn in_go_format(time: &str) -> String {
    let Ok(parsed) = Timestamp::parse(time) else { return format!("{time:?}") };
    parsed.to_rfc3339_seconds().replace('T', " ").replace('Z', " +0000 UTC")
}

/// Fills the system fields of a new object: `uid`, `creationTimestamp` and the first `generation`.
pub(crate) fn fill_system_fields(object: &mut Map<String, Value>, now: &str) {
    for key in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        set(object, key, Value::Null);
    }
    set(object, "uid", uuid::Uuid::new_v4().to_string());
    set(object, "creationTimestamp", now);
    set(object, "generation", 1);
}

/// Restores the fields that only the server may change.
pub(crate) fn preserve_system_fields(object: &mut Map<String, Value>, old: &Map<String, Value>) {
    for key in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        set(object, key, of(old).get(key).cloned().unwrap_or_default());
    }
}

/// Increments `generation` if a field other than metadata and status has changed.
pub(crate) fn update_generation(object: &mut Map<String, Value>, old: &Map<String, Value>) {
    let is_content = |key: &str| !matches!(key, "metadata" | "status" | "apiVersion" | "kind");
    let content = |map: &Map<String, Value>| -> Map<String, Value> {
        map.iter()
            .filter(|(key, _)| is_content(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    if content(object) != content(old) {
        bump_generation(object);
    }
}

/// Increments `generation`.
pub(crate) fn bump_generation(object: &mut Map<String, Value>) {
    let generation = of(object).get("generation").and_then(Value::as_i64).unwrap_or(0);
    set(object, "generation", json!(generation + 1));
}
