//! `RestorePointContent`: represents the data of a backup.
//!
//! Only K10's own accounts may create one. Deleting it destroys the data: the restore points bound
//! to it are deleted too, and a `RetireAction` deletes it.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Column, Objects, Resource, Strategy, WriteContext};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::{Binding, RestorePointDetails, VmInfo, applications};
use crate::actions::retire_action::retire;
use crate::actions::spec::Reference;
use crate::kinds::{RESTORE_POINT, RESTORE_POINT_CONTENT};
use crate::schema::{self, Time};
use crate::{Installation, columns, rules, verbs};

/// The spec of a restore point content.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePointContentSpec {
    /// Expiry time.
    pub expires_at: Option<Time>,
}

/// The observed state.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePointContentStatus {
    /// Whether a restore point is bound to it.
    pub state: Option<Binding>,
    /// The restore point that is bound to it.
    pub restore_point_ref: Option<Reference>,
    /// Logical size of the data.
    pub logical_size_bytes: Option<i64>,
    /// Physical size of the data.
    pub physical_size_bytes: Option<i64>,
    /// Time at which the policy scheduled the backup; null if it was on demand.
    pub scheduled_time: Option<Time>,
    /// Time of the backup.
    pub action_time: Option<Time>,
    /// The consistency of a virtual machine's backup.
    pub vm_info: Option<VmInfo>,
    /// Details, shown by `/details`.
    pub restore_point_content_details: Option<RestorePointDetails>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    crate::resource(
        installation.kind(RESTORE_POINT_CONTENT),
        verbs::ALL,
        &[columns::STATE, columns::AGE, NAMESPACE, POINT],
        columns::STATUS_AND_DETAILS,
        schema::object::<RestorePointContentSpec, RestorePointContentStatus>(
            "RestorePointContent represents the data of a backup.",
        ),
        Arc::new(RestorePointContent { installation: *installation }),
    )
}

const POINT: Column = Column {
    name: "Restore Point",
    kind: "string",
    path: "status.restorePointRef.name",
    priority: 1,
    description: "Name of the restore point that is bound to it.",
};
const NAMESPACE: Column = Column {
    name: "Namespace",
    kind: "string",
    path: "status.restorePointRef.namespace",
    priority: 1,
    description: "Namespace of the restore point that is bound to it.",
};

struct RestorePointContent {
    installation: Installation,
}

impl Strategy for RestorePointContent {
    fn prepare_create(&self, content: &mut Map<String, Value>, ctx: &WriteContext) {
        let status = json!({"state": Binding::Unbound.as_str(), "actionTime": ctx.now});
        fields::set(content, "status", status);
    }

    fn prepare_update(
        &self,
        content: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        if ctx.subresource.is_empty() {
            fields::restore(content, old, &["status"]);
        } else {
            fields::restore(content, old, &["status.state", "status.restorePointRef"]);
        }
    }

    fn validate(
        &self,
        content: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        rules::times(content, &["spec.expiresAt"])
    }

    fn on_create(
        &self,
        content: &mut Map<String, Value>,
        _objects: &mut Objects<'_>,
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        rules::require_k10_account(&self.installation, RESTORE_POINT_CONTENT, content, &ctx.user)
    }

    fn on_delete(
        &self,
        content: &Map<String, Value>,
        objects: &mut Objects<'_>,
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let installation = &self.installation;
        let restore_points = installation.id(RESTORE_POINT);
        // A content has at most one restore point, so the others need not be listed.
        let namespace = fields::text(content, "status.restorePointRef.namespace");
        let name = fields::text(content, "status.restorePointRef.name");
        if objects.get(restore_points, namespace, name).is_some_and(|point| {
            fields::text(&point, "spec.restorePointContentRef.name") == fields::name(content)
        }) {
            objects.delete(restore_points, namespace, name)?;
        }
        applications::remove_if_last(installation, content, objects)?;
        retire(installation, content, objects, &ctx.now, &ctx.suffix)
    }

    fn details(
        &self,
        content: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        let path = "status.restorePointContentDetails";
        let details = super::details(content, fields::value(content, path));
        let mut detailed = content.clone();
        fields::set(&mut detailed, path, details);
        Ok(detailed)
    }
}
