//! An audit event as Kubernetes' own decoder reads it, to convert the output of other servers to
//! lines.
//!
//! An [`Event`] is stricter: its level and stage are known names, and an empty list equals a
//! missing one. Kubernetes' decoder has no such rules: a level may be missing or any text, the last
//! of two equal keys wins, and `[]` differs from null. A decoded event keeps these differences, so
//! that it is encoded as Go would encode it. [`v1::read`](crate::v1::read) and
//! [`k10::read`](crate::k10::read) convert the result of the same decoder to an [`Event`].
//!
//! Deliberately absent: files, compression, and YAML, which Kubernetes' decoder supports too.

mod decode;
mod document;
mod encode;
mod fields;

use std::collections::BTreeMap;

use crate::{
    AuthenticationMetadata, Event, Json, Level, ObjectReference, Stage, Status, StatusCause,
    StatusDetails, Timestamp, UserInfo,
};

pub(crate) use decode::decode;
pub use decode::{NAMES_MAX, Notes};
pub(crate) use document::utf8;
pub use document::{Document, ReadError, read};

/// A decoded event. It does not depend on the encoding that it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    pub(crate) kind: String,
    pub(crate) api_version: String,
    level: String,
    audit_id: String,
    stage: String,
    request_uri: String,
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    authentication_metadata: Option<Authentication>,
    source_ips: Option<Vec<String>>,
    user_agent: String,
    object_ref: Option<Reference>,
    response_status: Option<Outcome>,
    request_object: Body,
    response_object: Body,
    request_received_timestamp: Time,
    stage_timestamp: Time,
    annotations: Option<BTreeMap<String, String>>,
    /// The tags next to the event in the encoding of K10.
    tags: String,
}

/// `authentication.k8s.io/v1` `UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    /// Values may be null, which Go distinguishes from `[]`.
    extra: BTreeMap<String, Option<Vec<String>>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Authentication {
    impersonation_constraint: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reference {
    resource: String,
    namespace: String,
    name: String,
    uid: String,
    api_group: String,
    api_version: String,
    resource_version: String,
    subresource: String,
}

/// `metav1.Status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    kind: String,
    api_version: String,
    metadata: ListMeta,
    status: String,
    message: String,
    reason: String,
    details: Option<Details>,
    code: i32,
}

/// `metav1.ListMeta`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ListMeta {
    self_link: String,
    resource_version: String,
    continue_token: String,
    remaining_item_count: Option<i64>,
    shard_info: Option<ShardInfo>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ShardInfo {
    selector: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    name: String,
    group: String,
    kind: String,
    uid: String,
    causes: Vec<Cause>,
    retry_after_seconds: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cause {
    reason: String,
    message: String,
    field: String,
}

/// A body. Null means no body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Body(Option<Json>);

/// A time; unset by default.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Time(Timestamp);

impl Default for Time {
    fn default() -> Self {
        Self(Timestamp::UNSET)
    }
}

/// Why an event that Kubernetes' decoder accepts cannot be converted to an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A required field, the stage, is missing.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// The level or stage is unknown.
    #[error("unknown {field} {word:?}")]
    Unknown {
        /// The name of the field.
        field: &'static str,
        /// The value in the document.
        word: String,
    },
}

impl Decoded {
    /// The name of the cluster from its tags.
    pub fn cluster(&self) -> Option<&str> {
        let names = self.tags.split(',').filter_map(|tag| tag.trim().strip_prefix("cluster-name:"));
        names.into_iter().find(|name| !name.is_empty())
    }

    /// Convert it for the journal and the detector. A missing level is derived from the bodies that
    /// are present, and a missing stage timestamp is that of the request.
    pub(crate) fn into_event(self) -> Result<Event, WordError> {
        let unknown = |field, word: &str| WordError::Unknown { field, word: word.to_owned() };
        let level = match self.level.as_str() {
            "" if self.response_object.0.is_some() => Level::RequestResponse,
            "" if self.request_object.0.is_some() => Level::Request,
            "" => Level::Metadata,
            word => word.parse().map_err(|_| unknown("level", word))?,
        };
        let stage = match self.stage.as_str() {
            "" => return Err(WordError::Missing("stage")),
            word => word.parse::<Stage>().map_err(|_| unknown("stage", word))?,
        };
        Ok(Event {
            level,
            audit_id: self.audit_id,
            stage,
            request_uri: self.request_uri,
            verb: self.verb,
            user: self.user.into_user(),
            impersonated_user: self.impersonated_user.map(User::into_user),
            authentication_metadata: self.authentication_metadata.map(|metadata| {
                AuthenticationMetadata {
                    impersonation_constraint: metadata.impersonation_constraint,
                }
            }),
            source_ips: self.source_ips.unwrap_or_default(),
            user_agent: self.user_agent,
            object_ref: self.object_ref.map(Reference::into_reference),
            response_status: self.response_status.map(Outcome::into_status),
            request_object: self.request_object.0,
            response_object: self.response_object.0,
            request_received_timestamp: self.request_received_timestamp.0,
            // The field is required, and this is the closest known time.
            stage_timestamp: match self.stage_timestamp.0 {
                Timestamp::UNSET => self.request_received_timestamp.0,
                time => time,
            },
            annotations: self.annotations.unwrap_or_default(),
        })
    }
}

impl User {
    fn into_user(self) -> UserInfo {
        let extra = self.extra.into_iter().map(|(key, values)| (key, values.unwrap_or_default()));
        UserInfo {
            username: self.username,
            uid: self.uid,
            groups: self.groups,
            extra: extra.collect(),
        }
    }
}

impl Reference {
    fn into_reference(self) -> ObjectReference {
        ObjectReference {
            resource: self.resource,
            namespace: self.namespace,
            name: self.name,
            uid: self.uid,
            api_group: self.api_group,
            api_version: self.api_version,
            resource_version: self.resource_version,
            subresource: self.subresource,
        }
    }
}

impl Outcome {
    /// A code outside the range of the journal becomes the nearest value in range.
    fn into_status(self) -> Status {
        Status {
            status: self.status,
            message: self.message,
            reason: self.reason,
            details: self.details.map(|details| StatusDetails {
                name: details.name,
                group: details.group,
                kind: details.kind,
                uid: details.uid,
                causes: details.causes.into_iter().map(Cause::into_cause).collect(),
                retry_after_seconds: u32::try_from(details.retry_after_seconds).unwrap_or_default(),
            }),
            code: u16::try_from(self.code.max(0)).unwrap_or(u16::MAX),
        }
    }
}

impl Cause {
    fn into_cause(self) -> StatusCause {
        StatusCause { reason: self.reason, message: self.message, field: self.field }
    }
}
