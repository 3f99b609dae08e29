//! `ExportAction`: copies a restore point to a location profile.
//!
//! The caller must be allowed to read the restore point: exporting carries its data out.

use apiserver::{ApiError, Attributes, FieldError, Objects, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::spec::{Hooks, Reference};
use super::state::Course;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain, rules};

/// What to export, and where to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportActionSpec {
    /// The restore point.
    pub subject: Subject,
    /// When the copy may be retired.
    pub expires_at: Option<Time>,
    /// When it was due.
    pub scheduled_time: Option<Time>,
    /// The location profile it goes to.
    pub profile: Option<Reference>,
    /// The profile for block mode volumes.
    pub block_mode_profile: Option<Reference>,
    /// What the importing cluster is given; made by K10.
    pub receive_string: Option<String>,
    /// Whether data goes with the metadata.
    pub export_data: Option<ExportData>,
    /// Blueprint actions around the export.
    pub hooks: Option<Hooks>,
}

/// Whether and how data goes with the metadata.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportData {
    /// Copies the data of volumes.
    pub enabled: Option<bool>,
    /// Storage class of the volumes that are read from.
    pub exporter_storage_class_name: Option<String>,
    /// Other settings for some storage classes.
    pub overrides: Option<Vec<Value>>,
}

/// What came of the export.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportActionStatus {
    /// As of every action.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// How much was moved.
    pub progress_details: Option<ProgressDetails>,
}

/// How much was moved.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressDetails {
    /// Bytes in all.
    pub total_bytes: Option<i64>,
    /// Bytes read so far.
    pub read_bytes: Option<i64>,
    /// Bytes processed so far.
    pub processed_bytes: Option<i64>,
    /// Bytes sent so far.
    pub transferred_bytes: Option<i64>,
    /// Bytes a second.
    pub processing_rate: Option<i64>,
    /// Volumes in all.
    pub total_volumes: Option<i64>,
    /// Volumes done.
    pub completed_volumes: Option<i64>,
    /// When this was last updated.
    pub updated_time: Option<Time>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::EXPORT_ACTION,
        Course::Full,
        &Export,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<ExportActionSpec, ExportActionStatus>(
            "ExportAction copies a restore point to a location profile.",
        ),
    )
}

struct Export;

impl Rules for Export {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = subject::check(action, &[domain::RESTORE_POINT.kind]);
        errors.extend(rules::required(action, &["spec.profile.name"]));
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
        super::restore_point_is_there(installation, domain::EXPORT_ACTION, action, objects)
    }
}
