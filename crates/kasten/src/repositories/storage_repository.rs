//! `StorageRepository`: a repository that K10 writes backups to, and its maintenance.
//!
//! Only K10's own accounts may create one. Deleting it deletes the object only; the data remains,
//! and K10 creates the object again when it uses the repository. Its settings can be patched, and
//! every patch is audited: an attacker could disable maintenance or change the location to destroy
//! a repository.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Column, Objects, Resource, Strategy, WriteContext};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::actions::spec::Reference;
use crate::kinds::STORAGE_REPOSITORY;
use crate::schema::{self, Time};
use crate::{Installation, columns, rules, verbs};

/// The settings of its maintenance.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageRepositorySpec {
    /// Whether maintenance is disabled.
    pub disable_maintenance: Option<bool>,
    /// Timeout of maintenance, for example `10h`, the default.
    pub background_process_timeout: Option<String>,
    /// Another location profile for the repository.
    pub override_location: Option<Reference>,
}

/// The observed state.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageRepositoryStatus {
    /// The type of its content.
    pub content_type: Option<ContentType>,
    /// The program that writes it, for example `kopia`.
    pub backend_type: Option<String>,
    /// Its location.
    pub location: Option<Location>,
    /// Whether it is read-only.
    pub read_only: Option<bool>,
    /// The application whose data it contains.
    pub app_name: Option<String>,
    /// Details of maintenance, shown by `/details`.
    pub details: Option<RepositoryDetails>,
    /// Results of maintenance.
    pub process_results: Option<ProcessResults>,
}

/// The type of a repository's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContentType {
    /// Resources.
    Metadata,
    /// Volumes.
    VolumeData,
}

/// The location of a repository.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// `ObjectStore`, `FileStore` or `VBR`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The bucket.
    pub object_store: Option<ObjectStore>,
    /// The volume.
    pub file_store: Option<FileStore>,
}

/// A bucket.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStore {
    /// Name of the bucket.
    pub name: Option<String>,
    /// Endpoint.
    pub endpoint: Option<String>,
    /// `S3`, `GCS`, `Azure` and others.
    pub object_store_type: Option<String>,
    /// The folder in the bucket.
    pub path: Option<String>,
    /// The type of the path.
    pub path_type: Option<String>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// Whether verification of the server's certificate is skipped.
    #[serde(rename = "skipSSLVerify")]
    pub skip_ssl_verify: Option<bool>,
}

/// A volume.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileStore {
    /// The claim.
    pub claim_name: Option<String>,
    /// The folder in the volume.
    pub path: Option<String>,
}

/// Details of maintenance.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryDetails {
    /// Time of the next maintenance.
    pub next_process_time: Option<Time>,
    /// Time of the last change.
    pub modified_time: Option<Time>,
    /// Information from kopia.
    pub kopia_meta: Option<Value>,
}

/// Results of maintenance.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessResults {
    /// Number of runs.
    pub process_count: Option<i64>,
    /// The last runs.
    pub recent_results: Option<Vec<ProcessResult>>,
}

/// The result of one run of maintenance.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessResult {
    /// The type of maintenance.
    pub procedure: Option<String>,
    /// Start time.
    pub start_time: Option<Time>,
    /// End time.
    pub end_time: Option<Time>,
    /// Whether it succeeded.
    pub succeeded: Option<bool>,
    /// Errors.
    pub error: Option<Value>,
    /// Output of the commands.
    pub command_results: Option<Vec<Value>>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    crate::resource(
        installation.kind(STORAGE_REPOSITORY),
        verbs::ALL,
        &[LOCATION_TYPE],
        columns::STATUS_AND_DETAILS,
        schema::object::<StorageRepositorySpec, StorageRepositoryStatus>(
            "StorageRepository is a repository that backups are written to.",
        ),
        Arc::new(StorageRepository { installation: *installation }),
    )
}

const LOCATION_TYPE: Column = Column {
    name: "LocationType",
    kind: "string",
    path: "status.location.type",
    priority: 0,
    description: "Type of the location.",
};

struct StorageRepository {
    installation: Installation,
}

impl Strategy for StorageRepository {
    fn prepare_create(&self, repository: &mut Map<String, Value>, _ctx: &WriteContext) {
        fields::set(repository, "status", json!({}));
        if fields::value(repository, "spec.disableMaintenance").is_none() {
            fields::set(repository, "spec.disableMaintenance", false);
        }
    }

    fn prepare_update(
        &self,
        repository: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        if ctx.subresource.is_empty() {
            fields::restore(repository, old, &["status"]);
        }
    }

    fn validate(
        &self,
        repository: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let mut errors = match old {
            None => rules::in_k10_namespace(&self.installation, repository),
            Some(_) => Vec::new(),
        };
        let timeout = fields::text(repository, TIMEOUT);
        if !timeout.is_empty() && !is_duration(timeout) {
            let detail = "must be a positive duration such as 10h or 1h30m";
            errors.push(FieldError::invalid(TIMEOUT, &json!(timeout), detail));
        }
        if fields::value(repository, "spec.overrideLocation").is_some() {
            errors.extend(rules::required(repository, &["spec.overrideLocation.name"]));
        }
        errors
    }

    fn on_create(
        &self,
        repository: &mut Map<String, Value>,
        _objects: &mut Objects<'_>,
        ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        rules::require_k10_account(&self.installation, STORAGE_REPOSITORY, repository, &ctx.user)
    }

    fn details(
        &self,
        repository: &Map<String, Value>,
        _objects: &mut Objects<'_>,
    ) -> Result<Map<String, Value>, ApiError> {
        let mut detailed = repository.clone();
        if fields::value(repository, "status.details").is_none() {
            let modified = fields::text(repository, "metadata.creationTimestamp");
            fields::set(&mut detailed, "status.details", json!({"modifiedTime": modified}));
        }
        Ok(detailed)
    }
}

const TIMEOUT: &str = "spec.backgroundProcessTimeout";

/// Whether this is a positive Go duration in hours, minutes and seconds.
fn is_duration(text: &str) -> bool {
    let mut units = ["h", "m", "s"].into_iter();
    let mut rest = text;
    let mut is_positive = false;
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(number) = rest.strip_suffix(digits).filter(|number| !number.is_empty()) else {
            return false;
        };
        is_positive |= number.bytes().any(|digit| digit != b'0');
        let Some(after) = units.find_map(|unit| digits.strip_prefix(unit)) else { return false };
        rest = after;
    }
    is_positive
}

#[cfg(test)]
mod tests {
    use super::is_duration;

    #[test]
    fn a_timeout_is_a_positive_duration() {
        for valid in ["10h", "1h30m", "45m", "90s", "1h0m0s"] {
            assert!(is_duration(valid), "{valid}");
        }
        for invalid in ["", "10", "h", "-1h", "1d", "30m1h", "0s", "1h ", "1.5h"] {
            assert!(!is_duration(invalid), "{invalid}");
        }
    }
}
