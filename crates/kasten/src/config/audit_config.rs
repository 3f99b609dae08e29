//! `AuditConfig`: names the profile whose bucket gets the recorded events.
//!
//! Several of them deliver to a place each. Deleting one delivers what was recorded before, and
//! then ends the delivery; until then a finalizer keeps it.

use apiserver::Resource;
use schemars::JsonSchema;
use serde::Deserialize;

use super::resource as of_config;
use crate::domain::AUDIT_CONFIG;
use crate::schema;

/// Keeps an `AuditConfig` until its delivery has ended.
pub const FINALIZER: &str = "audit.keepwatch.io/delivery";
/// Value of the annotation [`START_FROM`](event::annotations::START_FROM).
pub const OLDEST: &str = "oldest";

/// Where the events go.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct AuditConfigSpec {
    /// The profile whose bucket gets the events.
    pub profile: ProfileReference,
}

/// Names a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ProfileReference {
    /// Its name.
    #[schemars(extend("minLength" = 1))]
    pub name: String,
    /// Its namespace; empty stands for the namespace of the `AuditConfig`.
    pub namespace: Option<String>,
}

/// Whether events go there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct AuditConfigStatus {
    /// Pending (waits for its profile), `UpdateRequested` (it or its profile changed),
    /// `DeleteRequested` (delivery is to end), Success (events are delivered) or Failed.
    pub validation: Option<String>,
    /// What is wrong, for people.
    pub error: Option<Vec<String>>,
    /// Tells whether it or its profile changed since this was written.
    pub hash: Option<i32>,
}

/// How far an `AuditConfig` has come: the values of `status.validation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validation {
    /// Made, and waiting for its profile.
    Pending,
    /// It or its profile changed, and is checked anew.
    UpdateRequested,
    /// Delivery is to end.
    DeleteRequested,
    /// The destination was written and read, and gets the events.
    Success,
    /// It does not; the errors say why.
    Failed,
}

impl Validation {
    /// The word in the status.
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

/// The kind, ready to be served.
pub fn resource() -> Resource {
    of_config(
        AUDIT_CONFIG,
        schema::object::<AuditConfigSpec, AuditConfigStatus>(
            "AuditConfig sends recorded events to the bucket of a location profile.",
        ),
    )
}
