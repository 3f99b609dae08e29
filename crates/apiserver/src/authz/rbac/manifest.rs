//! Parser of RBAC manifests: YAML or JSON, one or several documents.
//!
//! Unknown fields are ignored, as kube-apiserver does for stored objects. Unknown kinds are an
//! error, because a grant that is silently ignored is hard to find.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

/// Error of a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not YAML.
    #[error("{origin} is not YAML: {detail}")]
    Syntax {
        /// Origin of the text.
        origin: String,
        /// Error of the parser, with line and column.
        detail: String,
    },
    /// A field is missing or has the wrong type.
    #[error("{kind} in {origin} is not valid: {detail}")]
    Content {
        /// Origin of the text.
        origin: String,
        /// Kind of the document.
        kind: String,
        /// Error, with the field.
        detail: String,
    },
    /// The document is not an RBAC object.
    #[error("{origin} contains a {kind:?}, which is not an RBAC kind")]
    Kind {
        /// Origin of the text.
        origin: String,
        /// Kind of the document.
        kind: String,
    },
    /// A RoleBinding has no namespace.
    #[error("RoleBinding {name:?} in {origin} has no namespace")]
    NoNamespace {
        /// Origin of the text.
        origin: String,
        /// Name of the binding.
        name: String,
    },
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) verbs: Vec<String>,
    pub(super) api_groups: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    pub(super) non_resource_urls: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Subject {
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RoleRef {
    pub(super) kind: String,
    pub(super) name: String,
}

/// Splits a text into documents. Lists are expanded, empty documents skipped.
pub(super) fn documents(origin: &str, text: &str) -> Result<Vec<Value>, ManifestError> {
    let sources = Yaml::load_from_str(text).map_err(|error| ManifestError::Syntax {
        origin: origin.to_owned(),
        detail: error.to_string(),
    })?;
    let mut documents = Vec::new();
    for source in &sources {
        match json_of(source) {
            Value::Null => {}
            Value::Object(mut list) if is_list(&list) => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    documents.extend(items);
                }
            }
            document => documents.push(document),
        }
    }
    Ok(documents)
}

fn is_list(document: &Map<String, Value>) -> bool {
    document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"))
}

/// Deserializes a document.
pub(super) fn typed<T: DeserializeOwned>(
    origin: &str,
    kind: &str,
    document: Value,
) -> Result<T, ManifestError> {
    serde_json::from_value(document).map_err(|error| ManifestError::Content {
        origin: origin.to_owned(),
        kind: kind.to_owned(),
        detail: error.to_string(),
    })
}

/// Converts YAML to JSON. Values that JSON cannot represent become null, which [`typed`] then
/// rejects.
fn json_of(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::Number(Number::from(*value)),
        Yaml::Value(Scalar::FloatingPoint(value)) => {
            Number::from_f64(**value).map_or(Value::Null, Value::Number)
        }
        Yaml::Value(Scalar::String(value)) => Value::String(value.clone().into_owned()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json_of).collect()),
        Yaml::Mapping(entries) => Value::Object(
            entries
                .iter()
                .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), json_of(value))))
                .collect(),
        ),
        Yaml::Tagged(_, inner) => json_of(inner),
        Yaml::Value(Scalar::Null) | Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => {
            Value::Null
        }
    }
}
