//! Group `dr`: disaster recovery of K10 itself, in another cluster.
//!
//! A review lists the backups, and a restore restores one of them. Both are in K10's namespace, and
//! there is at most one of each: the next one can be created when the last one is deleted.

pub mod restore;
pub mod review;

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Objects, Resource, Strategy, WriteContext};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::names::ResourceNames;
use crate::schema::Time;
use crate::{Installation, columns, rules, verbs};

/// The cluster that K10 is recovered from.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceClusterInfo {
    /// The location profile with its backups.
    pub profile_name: String,
    /// UID of the cluster.
    #[serde(rename = "sourceClusterID")]
    pub source_cluster_id: String,
    /// The point in time; the newest by default.
    pub point_in_time: Option<Time>,
}

/// The status of a review or restore.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryStatus {
    /// State of the review or restore.
    pub state: Option<RecoveryState>,
    /// Start time.
    pub start_time: Option<Time>,
    /// End time; null while it runs.
    pub end_time: Option<Time>,
    /// Human-readable message.
    pub message: Option<String>,
    /// Result of the validation.
    pub validation: Option<Value>,
}

/// The state of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryState {
    /// Not started.
    None,
    /// Running.
    Running,
    /// Failed.
    Failed,
    /// Succeeded.
    Success,
}

/// The strategy that reviews and restores share.
struct Recovery {
    installation: Installation,
    names: ResourceNames,
    validate: fn(&Map<String, Value>) -> Vec<FieldError>,
}

fn resource(
    installation: &Installation,
    names: ResourceNames,
    schema: Value,
    validate: fn(&Map<String, Value>) -> Vec<FieldError>,
) -> Resource {
    crate::resource(
        installation.kind(names),
        verbs::CREATE_DELETE,
        &[columns::STATE, columns::AGE],
        columns::STATUS,
        schema,
        Arc::new(Recovery { installation: *installation, names, validate }),
    )
}

impl Strategy for Recovery {
    fn prepare_create(&self, recovery: &mut Map<String, Value>, ctx: &WriteContext) {
        let status = json!({"state": "none", "startTime": ctx.now, "endTime": null});
        fields::set(recovery, "status", status);
    }

    fn prepare_update(
        &self,
        recovery: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        fields::restore(recovery, old, &["status.startTime"]);
        let is_finished = matches!(fields::text(recovery, "status.state"), "failed" | "success");
        if is_finished && fields::value(recovery, "status.endTime").is_none() {
            fields::set(recovery, "status.endTime", ctx.now.as_str());
        }
    }

    fn validate(
        &self,
        recovery: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        if let Some(old) = old {
            return check_state(recovery, old);
        }
        let mut errors = rules::in_k10_namespace(&self.installation, recovery);
        errors.extend((self.validate)(recovery));
        errors
    }

    fn on_create(
        &self,
        recovery: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let id = self.installation.id(self.names);
        let name = fields::name(recovery);
        match objects.list(id, None).iter().find(|other| fields::name(other) != name) {
            None => Ok(()),
            Some(other) => {
                let other = fields::name(other);
                let detail = format!("only one may exist at a time, and {other:?} exists");
                Err(ApiError::conflict(id.group, id.plural, name, &detail))
            }
        }
    }
}

/// Checks the transition of the state: none, running, then failed or success.
fn check_state(recovery: &Map<String, Value>, old: &Map<String, Value>) -> Vec<FieldError> {
    let (from, to) = (fields::text(old, "status.state"), fields::text(recovery, "status.state"));
    let possible: &[&str] = match from {
        "none" => &["none", "running"],
        "running" => &["running", "failed", "success"],
        "failed" => &["failed"],
        _ => &["success"],
    };
    if possible.contains(&to) {
        return Vec::new();
    }
    vec![FieldError::not_supported("status.state", &json!(to), possible)]
}

/// Checks the fields about the source cluster.
fn check_source(recovery: &Map<String, Value>) -> Vec<FieldError> {
    let info = "spec.sourceClusterInfo";
    let mut errors = rules::required(
        recovery,
        &[&format!("{info}.profileName"), &format!("{info}.sourceClusterID")],
    );
    errors.extend(rules::times(recovery, &[&format!("{info}.pointInTime")]));
    errors
}
