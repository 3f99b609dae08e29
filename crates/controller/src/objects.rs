//! Typed views of the objects, with the fields that decisions need.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::Timestamp;
use event::annotations::START_FROM;
use kasten::config::audit_config::{
    AuditConfigSpec, AuditConfigStatus, FINALIZER, OLDEST, ProfileReference,
};
use kube::api::DynamicObject;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

/// Namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespacedName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl NamespacedName {
    /// The namespace and name of an object.
    pub fn of_object(object: &DynamicObject) -> Self {
        Self {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// The fields of an `AuditConfig` that decisions need.
#[derive(Clone, Debug)]
pub struct AuditConfigView {
    /// Its namespace and name.
    pub key: NamespacedName,
    /// Its UID.
    pub uid: String,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it is terminating, until its finalizers are removed.
    pub is_deleting: bool,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Whether delivery starts with the oldest record of the journal.
    pub starts_at_oldest: bool,
    /// The value of the annotation [`RETENTION`](event::annotations::RETENTION).
    pub retention: Option<String>,
    /// The profile that it references, or the error in the spec.
    pub profile: Result<ProfileReference, String>,
    /// Its current status.
    pub status: AuditConfigStatus,
}

impl AuditConfigView {
    /// Reads an object.
    pub fn from_object(object: &DynamicObject) -> Self {
        let annotations = object.metadata.annotations.as_ref();
        let annotation = |name: &str| annotations.and_then(|all| all.get(name)).cloned();
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let spec: Result<AuditConfigSpec, _> = serde_json::from_value(spec);
        let created = object.metadata.creation_timestamp.as_ref();
        let status = object.data.get("status").cloned().unwrap_or_default();
        Self {
            key: NamespacedName::of_object(object),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            created: created
                .map_or(Timestamp::UNSET, |time| Timestamp::from_micros(time.0.as_microsecond())),
            is_deleting: object.metadata.deletion_timestamp.is_some(),
            finalizers: object.metadata.finalizers.clone().unwrap_or_default(),
            starts_at_oldest: annotation(START_FROM).is_some_and(|start| start == OLDEST),
            retention: annotation(event::annotations::RETENTION),
            profile: spec.map(|spec| spec.profile).map_err(|error| format!("spec: {error}")),
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }

    /// Name of the journal reader that delivers for it.
    pub fn reader(&self) -> String {
        format!("{READERS}{}/{}/{}", self.key.namespace, self.key.name, self.uid)
    }

    /// Whether it has the finalizer of this controller.
    pub fn has_finalizer(&self) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    }

    /// The profile that it references.
    pub fn profile_key(&self) -> Option<NamespacedName> {
        let reference = self.profile.as_ref().ok()?;
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let own = if namespace.is_empty() { &self.key.namespace } else { namespace };
        Some(NamespacedName { namespace: own.to_owned(), name: reference.name.clone() })
    }
}

/// The prefix of the names of readers that deliver for an `AuditConfig`.
pub const READERS: &str = "auditconfig/";

/// The content of a Secret.
#[derive(Clone, Debug, Default)]
pub struct SecretData {
    /// Its type.
    pub kind: String,
    /// Its values, without surrounding white space, because K10's documented samples contain it.
    /// `None` if a value is not text.
    pub values: BTreeMap<String, Option<SecretString>>,
}

impl SecretData {
    /// Reads an object.
    pub fn from_object(object: &DynamicObject) -> Self {
        let data = object.data.get("data").and_then(Value::as_object);
        let decoded = |value: &Value| {
            let bytes = Zeroizing::new(STANDARD.decode(value.as_str()?).ok()?);
            let text = str::from_utf8(&bytes).ok()?;
            Some(SecretString::from(text.trim()))
        };
        Self {
            kind: object.data.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
            values: data
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), decoded(value)))
                .collect(),
        }
    }
}

/// The result of looking up an object in the cache.
#[derive(Clone, Debug, Default)]
pub enum Lookup<T> {
    /// The cache has not been filled yet.
    #[default]
    NotSynced,
    /// The object does not exist.
    NotFound,
    /// It cannot be read, and why.
    Forbidden(String),
    /// The object.
    Found(T),
}
