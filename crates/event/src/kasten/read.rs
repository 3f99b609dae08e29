//! Reads lines in K10's encoding: our own and K10's, with or without the keys in front.
//!
//! The keys are Go's field names, except inside the user and the response status. Unknown keys are
//! passed over. As in Go's decoder, a field that is missing or null is empty; but `Level` and `Stage`
//! must be there, because an event without them says nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::v1::or_default;
use crate::{
    AuthenticationMetadata, Event, Json, JsonError, Level, ObjectReference, Stage, Status,
    Timestamp, UserInfo,
};

/// Why a line is not an event in K10's encoding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not JSON, a field of the wrong type, or a level or stage that does not exist.
    #[error("not an event in K10's encoding")]
    Field(#[source] serde_json::Error),
    /// A body that is not JSON as we take it.
    #[error("{field} of an event in K10's encoding cannot be kept")]
    Body {
        /// Its key.
        field: &'static str,
        /// What is wrong.
        source: JsonError,
    },
}

/// Reads one line.
pub fn read(line: &[u8]) -> Result<Event, ReadError> {
    read_with_cluster(line).map(|(event, _)| event)
}

/// Reads one line, and the cluster's name in its `ddtags`; `None` for a line that names none.
pub fn read_with_cluster(line: &[u8]) -> Result<(Event, Option<String>), ReadError> {
    let found: Line<'_> = serde_json::from_slice(line).map_err(ReadError::Field)?;
    let names = found.ddtags.split(',').filter_map(|tag| tag.trim().strip_prefix("cluster-name:"));
    let cluster = names.map(str::to_owned).find(|name| !name.is_empty());
    Ok((found.into_event()?, cluster))
}

/// A line as it is read, bodies still raw.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    #[serde(rename = "ddtags", borrow, default, deserialize_with = "or_default")]
    ddtags: Cow<'a, str>,
    level: Level,
    #[serde(rename = "AuditID", default, deserialize_with = "or_default")]
    audit_id: String,
    stage: Stage,
    #[serde(rename = "RequestURI", default, deserialize_with = "or_default")]
    request_uri: String,
    #[serde(default, deserialize_with = "or_default")]
    verb: String,
    #[serde(default, deserialize_with = "or_default")]
    user: UserInfo,
    impersonated_user: Option<UserInfo>,
    authentication_metadata: Option<Metadata>,
    #[serde(rename = "SourceIPs", default, deserialize_with = "or_default")]
    source_ips: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    user_agent: String,
    object_ref: Option<Reference>,
    response_status: Option<Status>,
    #[serde(borrow)]
    request_object: Option<&'a RawValue>,
    #[serde(borrow)]
    response_object: Option<&'a RawValue>,
    request_received_timestamp: Option<Timestamp>,
    stage_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "ImpersonationConstraint", default, deserialize_with = "or_default")]
    impersonation_constraint: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Reference {
    #[serde(deserialize_with = "or_default")]
    resource: String,
    #[serde(deserialize_with = "or_default")]
    namespace: String,
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(rename = "UID", deserialize_with = "or_default")]
    uid: String,
    #[serde(rename = "APIGroup", deserialize_with = "or_default")]
    api_group: String,
    #[serde(rename = "APIVersion", deserialize_with = "or_default")]
    api_version: String,
    #[serde(deserialize_with = "or_default")]
    resource_version: String,
    #[serde(deserialize_with = "or_default")]
    subresource: String,
}

impl Line<'_> {
    fn into_event(self) -> Result<Event, ReadError> {
        let body = |field: &'static str, raw: Option<&RawValue>| {
            raw.map(|raw| Json::parse(Bytes::copy_from_slice(raw.get().as_bytes())))
                .transpose()
                .map_err(|source| ReadError::Body { field, source })
        };
        Ok(Event {
            level: self.level,
            audit_id: self.audit_id,
            stage: self.stage,
            request_uri: self.request_uri,
            verb: self.verb,
            user: self.user,
            impersonated_user: self.impersonated_user,
            authentication_metadata: self.authentication_metadata.map(|it| {
                AuthenticationMetadata { impersonation_constraint: it.impersonation_constraint }
            }),
            source_ips: self.source_ips,
            user_agent: self.user_agent,
            object_ref: self.object_ref.map(Reference::into_reference),
            response_status: self.response_status,
            request_object: body("RequestObject", self.request_object)?,
            response_object: body("ResponseObject", self.response_object)?,
            request_received_timestamp: self.request_received_timestamp.unwrap_or(Timestamp::UNSET),
            stage_timestamp: self.stage_timestamp.unwrap_or(Timestamp::UNSET),
            annotations: self.annotations,
        })
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
