//! The fields of an audit event, with the names of `audit.k8s.io/v1`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::v1::or_default;
use crate::{Json, Status, Timestamp};

/// One stage of one request. Source of the fields: `audit.k8s.io/v1` `Event`, Kubernetes 1.37.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The level of detail. Never [`Level::None`] in a journal.
    pub level: Level,
    /// The ID of the request, the same in all its stages. A client may choose it (`Audit-Id`
    /// header).
    pub audit_id: String,
    /// The stage of the request at which the event was generated.
    pub stage: Stage,
    /// The path and query as the client sent them.
    pub request_uri: String,
    /// The Kubernetes verb of a resource request; otherwise the HTTP method in lower case.
    pub verb: String,
    /// The authenticated user. Empty for a request that failed authentication.
    pub user: UserInfo,
    /// The impersonated user, if any.
    pub impersonated_user: Option<UserInfo>,
    /// Details of the authentication besides the user's identity.
    pub authentication_metadata: Option<AuthenticationMetadata>,
    /// The addresses from which the request came. Only the last one can be trusted.
    pub source_ips: Vec<String>,
    /// The user agent as the client sent it, truncated at 1,024 bytes.
    pub user_agent: String,
    /// The object of a resource request.
    pub object_ref: Option<ObjectReference>,
    /// The status of the response.
    pub response_status: Option<Status>,
    /// The body of the request, at level `Request` and above.
    pub request_object: Option<Json>,
    /// The body of the response, at level `RequestResponse`.
    pub response_object: Option<Json>,
    /// The time at which the request reached the server.
    pub request_received_timestamp: Timestamp,
    /// The time at which the request reached [`Event::stage`].
    pub stage_timestamp: Timestamp,
    /// Additional facts set by the server, for example `authorization.k8s.io/decision`.
    pub annotations: BTreeMap<String, String>,
}

impl Event {
    /// An event of the server itself, without a request. Its level is `Metadata`, and both
    /// timestamps are `time`. The other fields are empty.
    pub fn internal(stage: Stage, verb: &str, time: Timestamp) -> Self {
        Self {
            level: Level::Metadata,
            audit_id: String::new(),
            stage,
            request_uri: String::new(),
            verb: verb.to_owned(),
            user: UserInfo::default(),
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: Vec::new(),
            user_agent: String::new(),
            object_ref: None,
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: time,
            stage_timestamp: time,
            annotations: BTreeMap::new(),
        }
    }
}

/// The amount of data that is recorded for a request. Each level includes the lower ones.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Level {
    /// Nothing is recorded.
    #[default]
    None,
    /// Everything except the bodies.
    Metadata,
    /// Metadata and the body of the request.
    Request,
    /// Metadata and both bodies.
    RequestResponse,
}

/// The stage of a request at which an event is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// After authentication, before the request is handled.
    RequestReceived,
    /// The headers of a long-running request's response were sent, but not its body.
    ResponseStarted,
    /// The response body is complete.
    ResponseComplete,
    /// The server panicked while it handled the request.
    Panic,
}

/// The error for a string that names no value of an enum. Names are case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name {0:?}")]
pub struct ParseEnumError(pub String);

impl Level {
    /// All levels, in ascending order.
    pub const ALL: [Self; 4] = [Self::None, Self::Metadata, Self::Request, Self::RequestResponse];

    /// The name used in audit policies and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

impl Stage {
    /// All stages, in the order of a request's life cycle.
    pub const ALL: [Self; 4] =
        [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];

    /// The name used in audit policies and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = ParseEnumError;

    fn from_str(word: &str) -> Result<Self, ParseEnumError> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| ParseEnumError(word.to_owned()))
    }
}

impl FromStr for Stage {
    type Err = ParseEnumError;

    fn from_str(word: &str) -> Result<Self, ParseEnumError> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == word)
            .ok_or_else(|| ParseEnumError(word.to_owned()))
    }
}

/// The user of a request, as in `authentication.k8s.io/v1` `UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// The name, unique among all active users.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// An identifier that stays unique over time, even if a name is reused.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups, in the order in which the authenticator returned them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Additional information that the authenticator provided.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The object of a resource request, as far as the URL and the bodies identify it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectReference {
    /// The plural name of the resource.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// The namespace; empty for cluster-scoped resources.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name; empty for lists, and for creates with a generated name.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The UID; set if a body contains it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The API group; empty for the core group.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// The API version, without the group.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The resource version; set if a body contains it.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The subresource, for example `status` or `details`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

impl ObjectReference {
    /// All text fields, for code that limits their length.
    pub fn texts_mut(&mut self) -> [&mut String; 8] {
        [
            &mut self.resource,
            &mut self.namespace,
            &mut self.name,
            &mut self.uid,
            &mut self.api_group,
            &mut self.api_version,
            &mut self.resource_version,
            &mut self.subresource,
        ]
    }
}

/// Details of an authentication (Kubernetes 1.35 and later).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AuthenticationMetadata {
    /// The constraint under which an impersonation was allowed.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub impersonation_constraint: String,
}
