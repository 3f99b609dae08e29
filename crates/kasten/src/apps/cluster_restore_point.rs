//! `ClusterRestorePoint`: a backup of the cluster-scoped resources.
//!
//! Only K10's own accounts may create one. It represents the data itself, so deleting it destroys
//! the data: a `RetireAction` deletes it.

use std::sync::Arc;

use apimachinery::{ApiError, fields};
use apiserver::{Objects, Resource, Strategy, WriteContext};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::RestorePointDetails;
use crate::actions::retire_action::retire;
use crate::kinds::CLUSTER_RESTORE_POINT;
use crate::names;
use crate::schema::{self, Time};
use crate::{Installation, columns, rules, verbs};

/// An empty spec.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct ClusterRestorePointSpec {}

/// The observed state.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRestorePointStatus {
    /// Time at which the policy scheduled the backup; null if it was on demand.
    pub scheduled_time: Option<Time>,
    /// Time of the backup.
    pub action_time: Option<Time>,
    /// Details, shown by `/details`.
    pub restore_point_details: Option<RestorePointDetails>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    crate::resource(
        installation.kind(CLUSTER_RESTORE_POINT),
        verbs::CREATE_DELETE,
        &[columns::AGE],
        columns::STATUS_AND_DETAILS,
        schema::object::<ClusterRestorePointSpec, ClusterRestorePointStatus>(
            "ClusterRestorePoint is a backup of the cluster-scoped resources.",
        ),
        Arc::new(ClusterRestorePoint { installation: *installation }),
    )
}

struct ClusterRestorePoint {
    installation: Installation,
}

impl Strategy for ClusterRestorePoint {
    fn prepare_create(&self, point: &mut Map<String, Value>, ctx: &WriteContext) {
        fields::set(point, "status", json!({"scheduledTime": null, "actionTime": ctx.now}));
        fields::fill_label(point, names::APP_NAMESPACE, names::CLUSTER_APPLICATION);
        fields::fill_label(point, names::APP_TYPE, "cluster");
    }

    fn on_create(
        &self,
        point: &mut Map<String, Value>,
        _objects: &mut Objects<'_>,
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        rules::require_k10_account(&self.installation, CLUSTER_RESTORE_POINT, point, &ctx.user)
    }

    fn on_delete(
        &self,
        point: &Map<String, Value>,
        objects: &mut Objects<'_>,
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        retire(&self.installation, point, objects, &ctx.now, &ctx.suffix)
    }

    fn details(
        &self,
        point: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        let path = "status.restorePointDetails";
        let details = super::details(point, fields::value(point, path));
        let mut detailed = point.clone();
        fields::set(&mut detailed, path, details);
        Ok(detailed)
    }
}
