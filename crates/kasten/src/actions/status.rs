//! The status of all actions, and the details that the subresource `details` shows.

use apimachinery::{FieldError, fields};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::state::State;

use crate::schema::Time;

/// The status of an action.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatus {
    /// State of the action.
    pub state: Option<State>,
    /// Progress in percent.
    #[schemars(range(min = 0, max = 100))]
    pub progress: Option<i32>,
    /// Start time.
    pub start_time: Option<Time>,
    /// End time; null while it runs.
    pub end_time: Option<Time>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// Errors that did not fail the action.
    pub exceptions: Option<Vec<Failure>>,
    /// The phases as reported by the executor. The subresource `details` shows them.
    pub action_details: Option<ActionDetails>,
}

/// An error of an action.
#[derive(Clone, Debug, JsonSchema)]
pub struct Failure {
    /// Human-readable message.
    pub message: String,
}

/// The phases of an action.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionDetails {
    /// The phases.
    pub phases: Option<Vec<Phase>>,
    /// Results of the validation of the volumes.
    pub volume_data_check_result: Option<Vec<VolumeDataCheck>>,
    /// Number of errors that the validation found.
    pub error_count: Option<i64>,
}

/// One phase of an action.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Name of the phase, for example `Exporting Metadata`.
    pub name: Option<String>,
    /// State of the phase.
    pub state: Option<String>,
    /// Number of the attempt, from 1.
    pub attempt: Option<i32>,
    /// Start time.
    pub start_time: Option<Time>,
    /// End time.
    pub end_time: Option<Time>,
    /// Time of the last report.
    pub updated_time: Option<Time>,
    /// Errors of the phase.
    pub errors: Option<Vec<Failure>>,
    /// Operations on volumes.
    pub volume_operations: Option<Vec<Value>>,
}

/// Results of the validation of one volume.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDataCheck {
    /// The application.
    pub app_name: Option<String>,
    /// The volume.
    pub volume_name: Option<String>,
    /// Number of errors.
    pub err_count: Option<i64>,
    /// Human-readable errors.
    pub errors: Option<Vec<String>>,
    /// Statistics of the check.
    pub stats: Option<Value>,
}

/// Refers to the restore point or content that an action created.
#[derive(Clone, Debug, JsonSchema)]
pub struct CreatedReference {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; absent if it is cluster-scoped.
    pub namespace: Option<String>,
}

/// Checks the rules of the status that the schema cannot express.
pub(super) fn check(action: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = crate::rules::times(action, &["status.startTime", "status.endTime"]);
    if let Some(progress) = fields::value(action, "status.progress")
        && !progress.as_i64().is_some_and(|percent| (0..=100).contains(&percent))
    {
        let detail = "must be a whole number from 0 to 100";
        errors.push(FieldError::invalid("status.progress", progress, detail));
    }
    errors
}

/// The action with `status.actionDetails`: the phases that the executor reported, or else one phase
/// with the state and times of the action.
pub(super) fn with_details(action: &Map<String, Value>) -> Map<String, Value> {
    let mut detailed = action.clone();
    if fields::value(action, "status.actionDetails").is_none() {
        let field = |path: &str| fields::value(action, path).cloned().unwrap_or(Value::Null);
        let errors = fields::value(action, "status.error").map(|error| vec![error.clone()]);
        let phase = json!({
            "name": fields::text(action, "kind"),
            "state": field("status.state"),
            "attempt": 1,
            "startTime": field("status.startTime"),
            "endTime": field("status.endTime"),
            "updatedTime": field("status.endTime"),
            "errors": errors.unwrap_or_default(),
        });
        fields::set(&mut detailed, "status.actionDetails", json!({"phases": [phase]}));
    }
    detailed
}
