//! Group `dr`: how K10 itself is brought back in another cluster.
//!
//! A review looks at what is there, a restore brings it back. Both live in K10's namespace, one of
//! each at a time: the next one can be made when the record of the last is gone.

pub mod restore;
pub mod review;

use std::sync::Arc;

use apiserver::{ApiError, FieldError, Objects, Occasion, Resource, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::Names;
use crate::schema::Time;
use crate::{Installation, columns, fields, rules};

/// The cluster that K10 is brought back from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceClusterInfo {
    /// The location profile its backups are in.
    pub profile_name: String,
    /// Which cluster it was.
    #[serde(rename = "sourceClusterID")]
    pub source_cluster_id: String,
    /// As of when; the newest if left out.
    pub point_in_time: Option<Time>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryStatus {
    /// How far it has come.
    pub state: Option<RecoveryState>,
    /// When it began.
    pub start_time: Option<Time>,
    /// When it ended; null while it runs.
    pub end_time: Option<Time>,
    /// For people.
    pub message: Option<String>,
    /// What was found.
    pub validation: Option<Value>,
}

/// How far a recovery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryState {
    /// Not begun.
    None,
    /// Begun.
    Running,
    /// Ended badly.
    Failed,
    /// Ended well.
    Success,
}

/// The life of a review or restore.
struct Recovery {
    installation: Installation,
    names: Names,
    validate: fn(&Map<String, Value>) -> Vec<FieldError>,
}

fn resource(
    installation: &Installation,
    names: Names,
    schema: Value,
    validate: fn(&Map<String, Value>) -> Vec<FieldError>,
) -> Resource {
    crate::resource(
        installation.kind(names),
        columns::FIXED,
        &[columns::STATE, columns::AGE],
        columns::STATUS,
        schema,
        Arc::new(Recovery { installation: *installation, names, validate }),
    )
}

impl Strategy for Recovery {
    fn prepare_create(&self, recovery: &mut Map<String, Value>, at: &Occasion) {
        let status = json!({"state": "none", "startTime": at.now, "endTime": null});
        fields::set(recovery, "status", status);
    }

    fn prepare_update(
        &self,
        recovery: &mut Map<String, Value>,
        old: &Map<String, Value>,
        at: &Occasion,
    ) {
        fields::restore(recovery, old, &["status.startTime"]);
        let is_finished = matches!(fields::text(recovery, "status.state"), "failed" | "success");
        if is_finished && fields::value(recovery, "status.endTime").is_none() {
            fields::set(recovery, "status.endTime", at.now.as_str());
        }
    }

    fn validate(
        &self,
        recovery: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _at: &Occasion,
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
        _at: &Occasion,
    ) -> Result<(), ApiError> {
        let id = self.installation.id(self.names);
        let name = fields::name(recovery);
        match objects.list(id, None).iter().find(|other| fields::name(other) != name) {
            None => Ok(()),
            Some(other) => {
                let other = fields::name(other);
                let detail = format!("there is one at a time, and {other:?} is there");
                Err(ApiError::conflict(id.group, id.plural, name, &detail))
            }
        }
    }
}

/// None, then running, then the end.
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

/// The fields that say where K10 comes back from.
fn check_source(recovery: &Map<String, Value>) -> Vec<FieldError> {
    let info = "spec.sourceClusterInfo";
    let mut errors = rules::required(
        recovery,
        &[&format!("{info}.profileName"), &format!("{info}.sourceClusterID")],
    );
    errors.extend(rules::times(recovery, &[&format!("{info}.pointInTime")]));
    errors
}
