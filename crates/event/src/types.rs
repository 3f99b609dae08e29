//! The fields of an audit event, by the names of `audit.k8s.io/v1`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::v1::or_default;
use crate::{Json, Status, Timestamp};

/// One stage of one request. Source of the fields: `audit.k8s.io/v1` `Event`, Kubernetes 1.37.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How much of the request is recorded. Never [`Level::None`] in a journal.
    pub level: Level,
    /// One per request, the same in all its stages. A client may choose it (`Audit-Id` header).
    pub audit_id: String,
    /// The point in the request's life at which the event was made.
    pub stage: Stage,
    /// Path and query as the client sent them.
    pub request_uri: String,
    /// Kubernetes verb of a resource request, HTTP method in lower case otherwise.
    pub verb: String,
    /// Who asked. Empty for a request that failed authentication.
    pub user: UserInfo,
    /// Whom the user asked to be taken for.
    pub impersonated_user: Option<UserInfo>,
    /// How the user was authenticated, beyond who it is.
    pub authentication_metadata: Option<AuthenticationMetadata>,
    /// Where the request came from. Only the last address can be trusted.
    pub source_ips: Vec<String>,
    /// As sent, cut at 1,024 bytes.
    pub user_agent: String,
    /// What a resource request is about.
    pub object_ref: Option<ObjectReference>,
    /// How the request ended.
    pub response_status: Option<Status>,
    /// Body of the request at level Request and above.
    pub request_object: Option<Json>,
    /// Body of the response at level `RequestResponse`.
    pub response_object: Option<Json>,
    /// When the server first saw the request.
    pub request_received_timestamp: Timestamp,
    /// When the request reached [`Event::stage`].
    pub stage_timestamp: Timestamp,
    /// Facts the server adds, such as `authorization.k8s.io/decision`.
    pub annotations: BTreeMap<String, String>,
}

impl Event {
    /// An event that belongs to no request: `verb` and `time` are all that is known of it.
    pub fn without_request(stage: Stage, verb: &str, time: Timestamp) -> Self {
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

/// How much of a request is recorded; each level includes the ones below it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Everything but the bodies.
    Metadata,
    /// Also the body of the request.
    Request,
    /// Also the body of the response.
    RequestResponse,
}

/// The point in a request's life at which an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// After authentication, before anything is decided.
    RequestReceived,
    /// A long-running request sends its first byte.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
    /// The server failed in the middle.
    Panic,
}

/// A word that is not one of the names this type knows. The names are case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name {0:?}")]
pub struct UnknownWord(pub String);

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Metadata, Self::Request, Self::RequestResponse];

    /// The name in policies and events.
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
    /// All stages, in the order of a request's life.
    pub const ALL: [Self; 4] =
        [Self::RequestReceived, Self::ResponseStarted, Self::ResponseComplete, Self::Panic];

    /// The name in policies and events.
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
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl FromStr for Stage {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

/// Who made a request, as `authentication.k8s.io/v1` `UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// Name, unique among the users of the moment.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Identity that stays when a name is given again.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups, in the order the authenticator gave them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What else the authenticator knows.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What a resource request is about, as far as the URL and the bodies tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectReference {
    /// Plural name of the resource.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Empty for cluster-scoped resources.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Empty for lists and for creates that leave the name to the server.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Filled from the body when it is known there.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Empty for the core group.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Version without the group.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Filled from the body when it is known there.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Such as `status` or `details`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

impl ObjectReference {
    /// Every text in it, for what bounds their length.
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

/// How a user was authenticated (Kubernetes 1.35 and later).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AuthenticationMetadata {
    /// The constraint under which an impersonation was allowed.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub impersonation_constraint: String,
}
