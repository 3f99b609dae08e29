//! The status that all actions share, and their details.

use apiserver::FieldError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::state::State;
use crate::fields;
use crate::schema::Time;

/// What came of an action.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatus {
    /// How far it has come.
    pub state: Option<State>,
    /// Progress in percent.
    #[schemars(range(min = 0, max = 100))]
    pub progress: Option<i32>,
    /// When it began.
    pub start_time: Option<Time>,
    /// When it ended; null while it runs.
    pub end_time: Option<Time>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// What went wrong without failing it.
    pub exceptions: Option<Vec<Failure>>,
    /// The phases, as the executor reports them; shown by `/details`.
    pub action_details: Option<ActionDetails>,
}

/// Something that went wrong.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Failure {
    /// For people.
    pub message: String,
}

/// What an action does, step by step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionDetails {
    /// The steps.
    pub phases: Option<Vec<Phase>>,
    /// What a validation found in the volumes.
    pub volume_data_check_result: Option<Vec<VolumeDataCheck>>,
    /// How many errors a validation found.
    pub error_count: Option<i64>,
}

/// One step of an action.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Such as `Exporting Metadata`.
    pub name: Option<String>,
    /// How far it has come.
    pub state: Option<String>,
    /// Which attempt this is, from 1.
    pub attempt: Option<i32>,
    /// When it began.
    pub start_time: Option<Time>,
    /// When it ended.
    pub end_time: Option<Time>,
    /// When it last said something.
    pub updated_time: Option<Time>,
    /// What went wrong.
    pub errors: Option<Vec<Failure>>,
    /// What was done to volumes.
    pub volume_operations: Option<Vec<Value>>,
}

/// What a validation found in one volume.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDataCheck {
    /// The application.
    pub app_name: Option<String>,
    /// The volume.
    pub volume_name: Option<String>,
    /// How many errors were found.
    pub err_count: Option<i64>,
    /// The errors.
    pub errors: Option<Vec<String>>,
    /// What was looked at.
    pub stats: Option<Value>,
}

/// Names a restore point or content that came of an action.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Made {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; none for cluster-scoped ones.
    pub namespace: Option<String>,
}

/// What an executor must get right beyond the schema.
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

/// The action with `status.actionDetails`: the phases the executor reported, or one phase that
/// says what the status says.
pub(super) fn with_details(action: &Map<String, Value>) -> Map<String, Value> {
    let mut detailed = action.clone();
    if fields::value(action, "status.actionDetails").is_none() {
        let of = |path: &str| fields::value(action, path).cloned().unwrap_or(Value::Null);
        let errors = fields::value(action, "status.error").map(|error| vec![error.clone()]);
        let phase = json!({
            "name": fields::text(action, "kind"),
            "state": of("status.state"),
            "attempt": 1,
            "startTime": of("status.startTime"),
            "endTime": of("status.endTime"),
            "updatedTime": of("status.endTime"),
            "errors": errors.unwrap_or_default(),
        });
        fields::set(&mut detailed, "status.actionDetails", json!({"phases": [phase]}));
    }
    detailed
}
