//! The status of a response: `metav1.Status`.

use serde::{Deserialize, Serialize};

use crate::v1::or_default;

/// `metav1.Status` in events and error responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `Success` or `Failure`; empty in events of ordinary successes.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The message, meant for people.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The reason, meant for programs, for example `NotFound`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The object of the status, and the causes of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// The HTTP status code.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub code: u16,
}

/// The details of a [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusDetails {
    /// The name of the object.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group of the resource.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural name of the resource, or the kind of the object.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The UID of the object.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One cause for each error.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// The delay after which a retry makes sense, in seconds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_zero_u32")]
    pub retry_after_seconds: u32,
}

/// One error of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusCause {
    /// The reason, for example `FieldValueInvalid`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The message, meant for people.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The path of the field, for example `spec.subject.name`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub field: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(code: &u16) -> bool {
    *code == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero_u32(seconds: &u32) -> bool {
    *seconds == 0
}
