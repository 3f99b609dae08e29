//! `StorageRepository`: one place K10 writes backups to, and how it is looked after.
//!
//! K10's own accounts make them. Deleting one drops the record only; the data stays and the
//! record returns on next use. Its settings may be patched, and every patch is on record:
//! switched-off maintenance and another location are how a repository is quietly lost.

use std::sync::Arc;

use apiserver::{ApiError, Column, FieldError, Objects, Occasion, Resource, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actions::spec::Reference;
use crate::domain::STORAGE_REPOSITORY;
use crate::schema::{self, Time};
use crate::{Installation, columns, fields, rules};

/// How it is looked after.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageRepositorySpec {
    /// Switches maintenance off.
    pub disable_maintenance: Option<bool>,
    /// How long maintenance may take, such as `10h`, which is what null stands for.
    pub background_process_timeout: Option<String>,
    /// Another location profile to find it by.
    pub override_location: Option<Reference>,
}

/// What is known of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageRepositoryStatus {
    /// What is kept in it.
    pub content_type: Option<ContentType>,
    /// What writes it, such as `kopia`.
    pub backend_type: Option<String>,
    /// Where it is.
    pub location: Option<Location>,
    /// Whether it is only read.
    pub read_only: Option<bool>,
    /// The application whose data it holds.
    pub app_name: Option<String>,
    /// What maintenance did; shown by `/details`.
    pub details: Option<RepositoryDetails>,
    /// How maintenance went.
    pub process_results: Option<ProcessResults>,
}

/// What is kept in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContentType {
    /// Resources.
    Metadata,
    /// Volumes.
    VolumeData,
}

/// Where a repository is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStore {
    /// Name of the bucket.
    pub name: Option<String>,
    /// Where it is served.
    pub endpoint: Option<String>,
    /// `S3`, `GCS`, `Azure` and others.
    pub object_store_type: Option<String>,
    /// The folder in the bucket.
    pub path: Option<String>,
    /// What the path names.
    pub path_type: Option<String>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// Whether certificates go unchecked.
    #[serde(rename = "skipSSLVerify")]
    pub skip_ssl_verify: Option<bool>,
}

/// A volume.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileStore {
    /// The claim.
    pub claim_name: Option<String>,
    /// The folder in the volume.
    pub path: Option<String>,
}

/// What maintenance did.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryDetails {
    /// When it is next looked after.
    pub next_process_time: Option<Time>,
    /// When it last changed.
    pub modified_time: Option<Time>,
    /// What kopia says of it.
    pub kopia_meta: Option<Value>,
}

/// How maintenance went.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessResults {
    /// How often it ran.
    pub process_count: Option<i64>,
    /// The last runs.
    pub recent_results: Option<Vec<ProcessResult>>,
}

/// How one run of maintenance went.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessResult {
    /// What was run.
    pub procedure: Option<String>,
    /// When it began.
    pub start_time: Option<Time>,
    /// When it ended.
    pub end_time: Option<Time>,
    /// Whether it went well.
    pub succeeded: Option<bool>,
    /// What went wrong.
    pub error: Option<Value>,
    /// What the commands said.
    pub command_results: Option<Vec<Value>>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    crate::resource(
        installation.kind(STORAGE_REPOSITORY),
        columns::CHANGEABLE,
        &[LOCATION_TYPE],
        columns::STATUS_AND_DETAILS,
        schema::object::<StorageRepositorySpec, StorageRepositoryStatus>(
            "StorageRepository is one place backups are written to.",
        ),
        Arc::new(StorageRepository { installation: *installation }),
    )
}

const LOCATION_TYPE: Column = Column {
    name: "LocationType",
    kind: "string",
    path: "status.location.type",
    priority: 0,
    description: "What kind of place it is.",
};

struct StorageRepository {
    installation: Installation,
}

impl Strategy for StorageRepository {
    fn prepare_create(&self, repository: &mut Map<String, Value>, _at: &Occasion) {
        fields::set(repository, "status", json!({}));
        if fields::value(repository, "spec.disableMaintenance").is_none() {
            fields::set(repository, "spec.disableMaintenance", false);
        }
    }

    fn prepare_update(
        &self,
        repository: &mut Map<String, Value>,
        old: &Map<String, Value>,
        at: &Occasion,
    ) {
        if at.subresource.is_empty() {
            fields::restore(repository, old, &["status"]);
        }
    }

    fn validate(
        &self,
        repository: &Map<String, Value>,
        old: Option<&Map<String, Value>>,
        _at: &Occasion,
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
        at: &Occasion,
    ) -> Result<(), ApiError> {
        rules::made_by_k10(&self.installation, STORAGE_REPOSITORY, repository, &at.user)
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

/// Whether this is a duration as Go writes it, in hours, minutes and seconds, and more than none.
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
        for good in ["10h", "1h30m", "45m", "90s", "1h0m0s"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "10", "h", "-1h", "1d", "30m1h", "0s", "1h ", "1.5h"] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
