//! `BatchRestoreAction`: restores many applications at once.
//!
//! The caller must be allowed to read each specified restore point or content, and to list the
//! restore points of an application without one.

use apimachinery::{FieldError, fields};
use apiserver::{Attributes, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::spec::{Filters, Hooks, Transform};
use super::state::Lifecycle;
use super::status::ActionStatus;
use super::{ActionStrategy, resource as action};
use crate::kinds;
use crate::names::ResourceNames;
use crate::schema::{self, Time};
use crate::{Installation, columns, rules};

/// What to restore, and how.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchRestoreActionSpec {
    /// The applications.
    pub subjects: Vec<BatchSubject>,
    /// Prefix of the target namespaces.
    pub target_namespace_prefix: Option<String>,
    /// Suffix of the target namespaces.
    pub target_namespace_suffix: Option<String>,
    /// The time range in which the newest restore point is selected, if none is specified.
    pub restore_points_discovery_range: Option<DiscoveryRange>,
    /// Whether existing resources are replaced.
    pub overwrite_existing: Option<bool>,
    /// Whether only volumes are restored.
    pub data_only: Option<bool>,
    /// Whether volumes are restored in addition to the existing ones.
    pub volume_clones: Option<bool>,
    /// Which resources are restored.
    pub filters: Option<Filters>,
    /// Transforms applied to the resources.
    pub transforms: Option<Vec<Transform>>,
    /// Whether to skip waiting for workloads to become ready.
    pub skip_wait_for_workload_ready: Option<bool>,
    /// Blueprint actions around each restore.
    pub hooks: Option<Hooks>,
}

/// One application of a batch.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchSubject {
    /// Namespace of the application.
    pub namespace: String,
    /// The restore point; if neither this nor a content is given, the newest.
    pub restore_point_name: Option<String>,
    /// The restore point content.
    pub restore_point_content_name: Option<String>,
}

/// A time range.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct DiscoveryRange {
    /// Start of the time range.
    pub start: Option<Time>,
    /// End of the time range.
    pub end: Option<Time>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::BATCH_RESTORE_ACTION,
        Lifecycle::Batch,
        &BatchRestore,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<BatchRestoreActionSpec, ActionStatus>(
            "BatchRestoreAction restores many applications at once.",
        ),
    )
}

const RANGE: [&str; 2] =
    ["spec.restorePointsDiscoveryRange.start", "spec.restorePointsDiscoveryRange.end"];

struct BatchRestore;

impl ActionStrategy for BatchRestore {
    fn validate(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = rules::in_k10_namespace(installation, action);
        errors.extend(rules::times(action, &RANGE));
        let subjects = fields::items(action, "spec.subjects");
        if subjects.is_empty() {
            errors.push(FieldError::required("spec.subjects", "at least one application"));
        }
        for (index, subject) in subjects.iter().enumerate() {
            let path = format!("spec.subjects[{index}]");
            if text(subject, "namespace").is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
            if !text(subject, RESTORE_POINT_NAME).is_empty()
                && !text(subject, RESTORE_POINT_CONTENT_NAME).is_empty()
            {
                let detail = "may not be set together with restorePointName";
                errors.push(FieldError::forbidden(
                    format!("{path}.{RESTORE_POINT_CONTENT_NAME}"),
                    detail,
                ));
            }
        }
        errors
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        let get = |names: ResourceNames, namespace: &str, name: &str| {
            rules::get(installation, names, namespace, name)
        };
        let access = |subject: &Value| {
            let (namespace, point, content) = (
                text(subject, "namespace"),
                text(subject, RESTORE_POINT_NAME),
                text(subject, RESTORE_POINT_CONTENT_NAME),
            );
            match (point, content) {
                ("", "") => Attributes {
                    verb: "list".to_owned(),
                    ..get(kinds::RESTORE_POINT, namespace, "")
                },
                ("", content) => get(kinds::RESTORE_POINT_CONTENT, "", content),
                (point, _) => get(kinds::RESTORE_POINT, namespace, point),
            }
        };
        fields::items(action, "spec.subjects").iter().map(access).collect()
    }
}

const RESTORE_POINT_NAME: &str = "restorePointName";
const RESTORE_POINT_CONTENT_NAME: &str = "restorePointContentName";

fn text<'a>(subject: &'a Value, name: &str) -> &'a str {
    subject.get(name).and_then(Value::as_str).unwrap_or_default()
}
