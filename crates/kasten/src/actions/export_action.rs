//! `ExportAction`: copies a restore point to a location profile.
//!
//! The caller must be allowed to read the restore point: an export discloses its data.

use apimachinery::{ApiError, FieldError};
use apiserver::{Attributes, Objects, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::spec::{Hooks, Reference};
use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds, rules};

/// What to export, and where to.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportActionSpec {
    /// The restore point.
    pub subject: Subject,
    /// Expiry time of the copy.
    pub expires_at: Option<Time>,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
    /// The location profile to export to.
    pub profile: Option<Reference>,
    /// The profile for block mode volumes.
    pub block_mode_profile: Option<Reference>,
    /// The receive string for the importing cluster, which K10 fills in.
    pub receive_string: Option<String>,
    /// Whether data is exported with the metadata.
    pub export_data: Option<ExportData>,
    /// Blueprint actions around the export.
    pub hooks: Option<Hooks>,
}

/// Whether and how data is exported with the metadata.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportData {
    /// Whether the data of volumes is copied.
    pub enabled: Option<bool>,
    /// Storage class of the volumes that are read from.
    pub exporter_storage_class_name: Option<String>,
    /// Other settings for some storage classes.
    pub overrides: Option<Vec<Value>>,
}

/// The status of an export.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportActionStatus {
    /// The status that all actions share.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// Progress of the data transfer.
    pub progress_details: Option<ProgressDetails>,
}

/// Progress of the data transfer.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressDetails {
    /// Total bytes.
    pub total_bytes: Option<i64>,
    /// Bytes read so far.
    pub read_bytes: Option<i64>,
    /// Bytes processed so far.
    pub processed_bytes: Option<i64>,
    /// Bytes sent so far.
    pub transferred_bytes: Option<i64>,
    /// Bytes per second.
    pub processing_rate: Option<i64>,
    /// Total volumes.
    pub total_volumes: Option<i64>,
    /// Volumes done.
    pub completed_volumes: Option<i64>,
    /// Time of the last update.
    pub updated_time: Option<Time>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::EXPORT_ACTION,
        Lifecycle::Full,
        &Export,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<ExportActionSpec, ExportActionStatus>(
            "ExportAction copies a restore point to a location profile.",
        ),
    )
}

struct Export;

impl ActionStrategy for Export {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = subject::check(action, &[kinds::RESTORE_POINT.kind]);
        errors.extend(rules::required(action, &["spec.profile.name"]));
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
        super::require_restore_point(installation, kinds::EXPORT_ACTION, action, objects)
    }
}
