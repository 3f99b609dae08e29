//! Field paths of audit events in rules.
//!
//! A path uses the keys of either encoding: `objectRef.resource` and `ObjectRef.Resource` are the
//! same field. A key with dots or slashes is written in brackets:
//! `annotations["authorization.k8s.io/decision"]`. An unknown field is an error, because a rule
//! with it would never match.
//!
//! Deliberately absent: reading a field from an event (module `fields`).

mod names;
mod parse;

use std::fmt;
use std::hash::{Hash, Hasher};

pub use parse::FieldError;

/// A parsed field path. Both spellings (`objectRef.resource`, `ObjectRef.Resource`) name the same
/// field and are equal.
#[derive(Clone, Debug)]
pub struct Field {
    text: String,
    path: Path,
}

impl Field {
    /// Parses a path.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        Ok(Self { text: text.to_owned(), path: parse::path(text)? })
    }

    /// The user name, the default group-by of signals.
    pub fn username() -> Self {
        Self { text: "user.username".to_owned(), path: Path::User(UserPath::Username) }
    }

    /// The path as written in the rule.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) const fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the field is in the body of the request or response, or in the object before.
    pub(crate) const fn is_of_body(&self) -> bool {
        matches!(self.path, Path::RequestObject(_) | Path::ResponseObject(_) | Path::OldObject(_))
    }

    /// Whether one event can have several values of the field.
    pub(crate) const fn has_several_values(&self) -> bool {
        match &self.path {
            Path::SourceIps
            | Path::RequestObject(_)
            | Path::ResponseObject(_)
            | Path::OldObject(_) => true,
            Path::User(user)
            | Path::ImpersonatedUser(user)
            | Path::EffectiveUser(user)
            | Path::Actor(user) => matches!(user, UserPath::Groups | UserPath::Extra(_)),
            Path::Status(status) => matches!(
                status,
                StatusPath::CauseReason | StatusPath::CauseMessage | StatusPath::CauseField
            ),
            _ => false,
        }
    }
}

impl Path {
    /// Its keys in the encoding `audit.k8s.io/v1`.
    pub(crate) fn v1_keys(&self) -> Vec<String> {
        let user = |user: &str, path: &UserPath| match path {
            UserPath::Extra(key) => Some([user, "extra", key].map(str::to_owned).to_vec()),
            _ => None,
        };
        let body = |name: &str, keys: &[String]| {
            (!keys.is_empty()).then(|| [&[name.to_owned()], keys].concat())
        };
        let free = match self {
            Self::Annotation(key) => Some(vec!["annotations".to_owned(), key.clone()]),
            Self::RequestObject(keys) => body("requestObject", keys),
            Self::ResponseObject(keys) => body("responseObject", keys),
            Self::OldObject(keys) => body("oldObject", keys),
            Self::Writes(keys) => body("writes", keys),
            Self::User(path) => user("user", path),
            Self::ImpersonatedUser(path) => user("impersonatedUser", path),
            Self::EffectiveUser(path) => user("effectiveUser", path),
            Self::Actor(path) => user("actor", path),
            _ => None,
        };
        free.unwrap_or_else(|| {
            let known = names::all().find(|known| known.path == *self);
            known.into_iter().flat_map(|field| field.v1.split('.')).map(str::to_owned).collect()
        })
    }
}

/// The keys of a field in K10's encoding, joined by dots.
pub(crate) fn k10_name(keys: &[&str]) -> String {
    let v1 = keys.join(".");
    if let Some(known) = names::all().find(|known| known.v1 == v1) {
        return known.k10.to_owned();
    }
    let mut name = String::with_capacity(v1.len());
    let mut chars = v1.chars();
    name.extend(chars.next().map(|first| first.to_ascii_uppercase()));
    name.push_str(chars.as_str());
    name
}

/// The keys of a field in K10's encoding; free keys (such as annotations) are unchanged.
pub(crate) fn k10_keys(keys: &[&str]) -> Vec<String> {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    match keys {
        [first, rest @ ..]
            if matches!(
                *first,
                "annotations" | "requestObject" | "responseObject" | "oldObject" | "writes"
            ) || rest.first() == Some(&"extra") =>
        {
            [vec![k10_name(&[*first])], owned(rest)].concat()
        }
        _ => k10_name(keys).split('.').map(str::to_owned).collect(),
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Field {}

impl Hash for Field {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The part of an event that a path selects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Path {
    Level,
    AuditId,
    Stage,
    RequestUri,
    Verb,
    User(UserPath),
    ImpersonatedUser(UserPath),
    /// The impersonated user if there is one, else the user.
    EffectiveUser(UserPath),
    /// The actor: the user, unless K10 impersonates another user.
    Actor(UserPath),
    ImpersonationConstraint,
    SourceIps,
    UserAgent,
    ObjectRef(RefPath),
    Status(StatusPath),
    RequestReceivedTimestamp,
    StageTimestamp,
    Annotation(String),
    RequestObject(Vec<String>),
    ResponseObject(Vec<String>),
    /// The object before the change, in an event from the admission webhook.
    OldObject(Vec<String>),
    /// Whether the request writes the field of the object.
    Writes(Vec<String>),
    DryRun,
    Succeeded,
    Refused,
    /// Whether the event is from the admission webhook.
    Admission,
    Cluster,
}

/// A field of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum UserPath {
    Username,
    Uid,
    Groups,
    Extra(String),
    IsServiceAccount,
    ServiceAccountNamespace,
    ServiceAccountName,
}

/// A field of the object reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RefPath {
    Resource,
    Namespace,
    Name,
    Uid,
    ApiGroup,
    ApiVersion,
    ResourceVersion,
    Subresource,
}

/// A field of the response status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StatusPath {
    Status,
    Message,
    Reason,
    Code,
    DetailsName,
    DetailsGroup,
    DetailsKind,
    DetailsUid,
    RetryAfterSeconds,
    CauseReason,
    CauseMessage,
    CauseField,
}
