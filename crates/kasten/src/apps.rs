//! Group `apps`: applications and their restore points.
//!
//! A [`restore_point`] in an application's namespace refers to a [`restore_point_content`], which
//! represents the data. Deleting the restore point keeps the data; deleting the content destroys
//! it.

pub mod applications;
pub mod cluster_restore_point;
pub mod restore_point;
pub mod restore_point_content;

use apimachinery::fields;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::names;

/// Whether a restore point and a content are bound to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Binding {
    /// Bound.
    Bound,
    /// A content without a restore point, or a restore point without a content.
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

/// The consistency of a virtual machine's backup.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VmInfo {
    /// Whether the machine was running.
    pub status: Option<String>,
    /// `ApplicationConsistent` or `CrashConsistent`.
    pub snapshot_consistency: Option<String>,
}

/// Details of a restore point.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePointDetails {
    /// Resources, snapshots and exported data.
    pub artifacts: Option<Vec<Value>>,
    /// The policies that created it.
    pub originating_policies: Option<Vec<Value>>,
}

/// The details of a restore point or content: those that the executor wrote, or else those that are
/// derived from its labels.
fn details(object: &Map<String, Value>, reported: Option<&Value>) -> Value {
    if let Some(reported) = reported {
        return reported.clone();
    }
    let policy = fields::label(object, names::POLICY_NAME);
    let policies = if policy.is_empty() {
        json!([])
    } else {
        let namespace = fields::label(object, names::POLICY_NAMESPACE);
        json!([{"name": policy, "namespace": namespace}])
    };
    json!({"artifacts": [], "originatingPolicies": policies})
}
