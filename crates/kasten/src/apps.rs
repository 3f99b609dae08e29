//! Group `apps`: applications and what is kept of them.
//!
//! A [`restore_point`] in an application's namespace is a handle to a [`restore_point_content`],
//! which stands for the data. Dropping the handle is harmless; dropping the content destroys.

pub mod applications;
pub mod cluster_restore_point;
pub mod restore_point;
pub mod restore_point_content;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain;
use crate::fields;

/// Whether a restore point and its content have each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Binding {
    /// They have.
    Bound,
    /// The content is there without a restore point, or the other way round.
    Unbound,
}

impl Binding {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "Bound",
            Self::Unbound => "Unbound",
        }
    }
}

/// What a backup of a virtual machine was like.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VmInfo {
    /// Whether the machine ran.
    pub status: Option<String>,
    /// `ApplicationConsistent` or `CrashConsistent`.
    pub snapshot_consistency: Option<String>,
}

/// What a restore point is made of.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePointDetails {
    /// Resources, snapshots and exported data.
    pub artifacts: Option<Vec<Value>>,
    /// The policies that made it.
    pub originating_policies: Option<Vec<Value>>,
}

/// The details of a restore point or content: what the executor noted down, and else what the
/// labels say.
fn details(labelled: &Map<String, Value>, noted: Option<&Value>) -> Value {
    if let Some(noted) = noted {
        return noted.clone();
    }
    let policy = fields::label(labelled, domain::POLICY_NAME);
    let policies = if policy.is_empty() {
        json!([])
    } else {
        let namespace = fields::label(labelled, domain::POLICY_NAMESPACE);
        json!([{"name": policy, "namespace": namespace}])
    };
    json!({"artifacts": [], "originatingPolicies": policies})
}
