//! `RestoreAction`: brings an application back from a restore point, into the action's namespace.
//!
//! The caller must be allowed to read the restore point, wherever it is: restoring is reading.

use apiserver::{ApiError, Attributes, FieldError, Objects, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::spec::{Filters, Hooks, NameOnly, Transform};
use super::state::Course;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain, fields};

/// What to restore, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreActionSpec {
    /// The restore point.
    pub subject: Subject,
    /// Replaces resources that are there.
    pub overwrite_existing: Option<bool>,
    /// Restores volumes and nothing else.
    pub data_only: Option<bool>,
    /// Restores volumes beside those that are there.
    pub volume_clones: Option<bool>,
    /// Starts from the backup storage and copies afterwards.
    pub instant_recovery: Option<bool>,
    /// Where volumes go on vSphere.
    pub target_vsphere_storage: Option<Value>,
    /// Which resources are restored.
    pub filters: Option<Filters>,
    /// Deprecated: the namespace of the action is the target.
    pub target_namespace: Option<String>,
    /// Changes to resources on their way.
    pub transforms: Option<Vec<Transform>>,
    /// Which point in time, for data that has several.
    pub point_in_time: Option<Time>,
    /// Does not wait until workloads are ready.
    pub skip_wait_for_workload_ready: Option<bool>,
    /// Reads artifacts by another profile.
    pub artifact_override_profile: Option<NameOnly>,
    /// Blueprint actions around the restore.
    pub hooks: Option<Hooks>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::RESTORE_ACTION,
        Course::Full,
        &Restore,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<RestoreActionSpec, ActionStatus>(
            "RestoreAction brings an application back from a restore point.",
        ),
    )
}

struct Restore;

impl Rules for Restore {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = subject::check(action, &[domain::RESTORE_POINT.kind]);
        let (target, own) =
            (fields::text(action, "spec.targetNamespace"), fields::namespace(action));
        if !target.is_empty() && target != own {
            let detail = format!("must be the namespace of this object, {own:?}");
            errors.push(FieldError::invalid("spec.targetNamespace", &json!(target), &detail));
        }
        errors
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        subject::readable(installation, action, domain::RESTORE_POINT)
    }

    fn admit(
        &self,
        action: &Map<String, Value>,
        objects: &Objects<'_>,
        installation: &Installation,
    ) -> Result<(), ApiError> {
        super::restore_point_is_there(installation, domain::RESTORE_ACTION, action, objects)
    }
}
