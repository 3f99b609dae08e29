//! Fields of an audit event, as rules name them.
//!
//! A path names a field by the keys of either encoding: `objectRef.resource` and
//! `ObjectRef.Resource` are the same field. A key that holds dots or slashes stands in brackets:
//! `annotations["authorization.k8s.io/decision"]`. What an event cannot have is an error, because a
//! rule that asks for it would never match.
//!
//! Deliberately absent: how a field is read from an event (module `fields`).

mod names;
mod parse;

use std::fmt;
use std::hash::{Hash, Hasher};

pub use parse::FieldError;

/// A field path, parsed. Both spellings of an event (`objectRef.resource`, `ObjectRef.Resource`) name
/// the same field and are equal.
#[derive(Clone, Debug)]
pub struct Field {
    text: String,
    path: Path,
}

impl Field {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        Ok(Self { text: text.to_owned(), path: parse::path(text)? })
    }

    /// The name of the user, by which signals are grouped unless a rule says otherwise.
    pub fn username() -> Self {
        Self { text: "user.username".to_owned(), path: Path::User(UserPath::Username) }
    }

    /// As the rule has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) const fn path(&self) -> &Path {
        &self.path
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

/// What a path leads to.
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
    /// Who is behind the request: the user, unless K10 acts for another.
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
    DryRun,
    Succeeded,
    Refused,
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
