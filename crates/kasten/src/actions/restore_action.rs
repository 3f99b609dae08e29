//! `RestoreAction`: restores an application from a restore point, into the action's namespace.
//!
//! The user must be allowed to read the restore point in its namespace, because a restore discloses
//! its data.

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Attributes, Objects, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::spec::{Filters, Hooks, NameOnly, Transform};
use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds};

/// What to restore, and how.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreActionSpec {
    /// The restore point.
    pub subject: Subject,
    /// Whether existing resources are replaced.
    pub overwrite_existing: Option<bool>,
    /// Whether only volumes are restored.
    pub data_only: Option<bool>,
    /// Whether volumes are restored in addition to the existing ones.
    pub volume_clones: Option<bool>,
    /// Whether workloads start from the backup storage while volumes are copied.
    pub instant_recovery: Option<bool>,
    /// Placement of volumes on vSphere.
    pub target_vsphere_storage: Option<Value>,
    /// Which resources are restored.
    pub filters: Option<Filters>,
    /// Deprecated: the namespace of the action is the target.
    pub target_namespace: Option<String>,
    /// Transforms applied to the resources.
    pub transforms: Option<Vec<Transform>>,
    /// The point in time, if the data has several.
    pub point_in_time: Option<Time>,
    /// Whether to skip waiting for workloads to become ready.
    pub skip_wait_for_workload_ready: Option<bool>,
    /// Another profile for reading artifacts.
    pub artifact_override_profile: Option<NameOnly>,
    /// Blueprint actions around the restore.
    pub hooks: Option<Hooks>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::RESTORE_ACTION,
        Lifecycle::Full,
        &Restore,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<RestoreActionSpec, ActionStatus>(
            "RestoreAction restores an application from a restore point.",
        ),
    )
}

struct Restore;

impl ActionStrategy for Restore {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = subject::check(action, &[kinds::RESTORE_POINT.kind]);
        let (target, namespace) =
            (fields::text(action, "spec.targetNamespace"), fields::namespace(action));
        if !target.is_empty() && target != namespace {
            let detail = format!("must be the namespace of this object, {namespace:?}");
            errors.push(FieldError::invalid("spec.targetNamespace", &json!(target), &detail));
        }
        errors
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        subject::get_access(installation, action, kinds::RESTORE_POINT)
    }

    fn admit(
        &self,
        action: &Map<String, Value>,
        objects: &Objects<'_>,
        installation: &Installation,
    ) -> Result<(), ApiError> {
        super::require_restore_point(installation, kinds::RESTORE_ACTION, action, objects)
    }
}
