//! `AuditConfig`: names the profile of the bucket that recorded events are uploaded to.
//!
//! Each `AuditConfig` delivers to its own bucket. After a deletion the events that were recorded
//! before are delivered; until then a finalizer keeps the object.

use apiserver::Resource;
use schemars::JsonSchema;
use serde::Deserialize;

use super::resource as config_resource;
use crate::kinds::AUDIT_CONFIG;
use crate::schema;

/// The finalizer that keeps an `AuditConfig` until its delivery has ended.
pub const FINALIZER: &str = "audit.keepwatch.io/delivery";
/// Value of the annotation [`START_FROM`](event::annotations::START_FROM).
pub const OLDEST: &str = "oldest";

/// The spec of an audit config.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct AuditConfigSpec {
    /// The profile of the bucket that events are uploaded to.
    pub profile: ProfileReference,
}

/// Refers to a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ProfileReference {
    /// Its name.
    #[schemars(extend("minLength" = 1))]
    pub name: String,
    /// Its namespace; by default the namespace of the `AuditConfig`.
    pub namespace: Option<String>,
}

/// The status of an audit config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct AuditConfigStatus {
    /// Pending (waits for its profile), `UpdateRequested` (it or its profile changed),
    /// `DeleteRequested` (delivery is to end), Success (events are delivered) or Failed.
    pub validation: Option<String>,
    /// Error messages.
    pub error: Option<Vec<String>>,
    /// Hash of the spec and the profile that this status is about.
    pub hash: Option<i32>,
}

/// The values of `status.validation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validation {
    /// Created, and waiting for its profile.
    Pending,
    /// It or its profile changed and is being validated again.
    UpdateRequested,
    /// Terminating; delivery is ending.
    DeleteRequested,
    /// The destination passed its check, and events are delivered.
    Success,
    /// Events are not delivered; the errors say why.
    Failed,
}

impl Validation {
    /// The value in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::UpdateRequested => "UpdateRequested",
            Self::DeleteRequested => "DeleteRequested",
            Self::Success => "Success",
            Self::Failed => "Failed",
        }
    }
}

/// The resource that serves the kind.
pub fn resource() -> Resource {
    config_resource(
        AUDIT_CONFIG,
        schema::object::<AuditConfigSpec, AuditConfigStatus>(
            "AuditConfig sends recorded events to the bucket of a location profile.",
        ),
    )
}
