//! The objects as the controller sees them: typed, and only what decisions need.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::Timestamp;
use kasten::config::audit_config::{
    AuditConfigSpec, AuditConfigStatus, FINALIZER, OLDEST, ProfileReference, START,
};
use kube::api::DynamicObject;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

/// Annotation: `governance` or `compliance` asks the store to refuse deletion for the profile's
/// protection period.
pub const RETENTION: &str = "audit.keepwatch.io/retention";

/// Where an object is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Place {
    /// Where an object is.
    pub fn of(object: &DynamicObject) -> Self {
        Self {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// An `AuditConfig`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is.
    pub place: Place,
    /// Which one of that name.
    pub uid: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was deleted and waits for its finalizers.
    pub is_going: bool,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Whether it asks for all that the journal holds.
    pub wants_oldest: bool,
    /// What it says about retention.
    pub retention: Option<String>,
    /// The profile it names, or why that cannot be read.
    pub profile: Result<ProfileReference, String>,
    /// What was last said of it.
    pub status: AuditConfigStatus,
}

impl Config {
    /// Reads an object.
    pub fn of(object: &DynamicObject) -> Self {
        let annotations = object.metadata.annotations.as_ref();
        let annotation = |name: &str| annotations.and_then(|all| all.get(name)).cloned();
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let spec: Result<AuditConfigSpec, _> = serde_json::from_value(spec);
        let created = object.metadata.creation_timestamp.as_ref();
        let status = object.data.get("status").cloned().unwrap_or_default();
        Self {
            place: Place::of(object),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            created: created
                .map_or(Timestamp::UNSET, |time| Timestamp::from_micros(time.0.as_microsecond())),
            is_going: object.metadata.deletion_timestamp.is_some(),
            finalizers: object.metadata.finalizers.clone().unwrap_or_default(),
            wants_oldest: annotation(START).is_some_and(|start| start == OLDEST),
            retention: annotation(RETENTION),
            profile: spec.map(|spec| spec.profile).map_err(|error| format!("spec: {error}")),
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }

    /// The reader of the journal that delivers for it.
    pub fn reader(&self) -> String {
        format!("{READERS}{}/{}/{}", self.place.namespace, self.place.name, self.uid)
    }

    /// Whether our finalizer keeps it.
    pub fn is_kept(&self) -> bool {
        self.finalizers.iter().any(|one| one == FINALIZER)
    }

    /// The profile it names.
    pub fn profile_place(&self) -> Option<Place> {
        let reference = self.profile.as_ref().ok()?;
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let own = if namespace.is_empty() { &self.place.namespace } else { namespace };
        Some(Place { namespace: own.to_owned(), name: reference.name.clone() })
    }
}

/// What the names of readers begin with that belong to an `AuditConfig`.
pub const READERS: &str = "auditconfig/";

/// A Secret.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Its type.
    pub kind: String,
    /// What it holds, trimmed, as K10's documented samples need it. `None` where it is no text.
    pub values: BTreeMap<String, Option<SecretString>>,
}

impl Keys {
    /// Reads an object.
    pub fn of(object: &DynamicObject) -> Self {
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

/// Whether an object is there.
#[derive(Clone, Debug, Default)]
pub enum Sight<T> {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It is not there.
    Missing,
    /// It may not be read.
    Refused(String),
    /// It is there.
    There(T),
}
