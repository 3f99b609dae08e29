//! `BatchRestoreAction`: restores many applications at once.
//!
//! The caller must be allowed to read each restore point or content that is named, and to list
//! those of an application where the newest is meant.

use apiserver::{Attributes, FieldError, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::spec::{Filters, Hooks, Transform};
use super::state::Course;
use super::status::ActionStatus;
use super::{Rules, resource as action};
use crate::domain::{self, Names};
use crate::schema::{self, Time};
use crate::{Installation, columns, fields, rules};

/// What to restore, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchRestoreActionSpec {
    /// The applications.
    pub subjects: Vec<BatchSubject>,
    /// Put before each application's namespace to name the target.
    pub target_namespace_prefix: Option<String>,
    /// Put after each application's namespace to name the target.
    pub target_namespace_suffix: Option<String>,
    /// Where restore points are looked for when none is named.
    pub restore_points_discovery_range: Option<DiscoveryRange>,
    /// Replaces resources that are there.
    pub overwrite_existing: Option<bool>,
    /// Restores volumes and nothing else.
    pub data_only: Option<bool>,
    /// Restores volumes beside those that are there.
    pub volume_clones: Option<bool>,
    /// Which resources are restored.
    pub filters: Option<Filters>,
    /// Changes to resources on their way.
    pub transforms: Option<Vec<Transform>>,
    /// Does not wait until workloads are ready.
    pub skip_wait_for_workload_ready: Option<bool>,
    /// Blueprint actions around each restore.
    pub hooks: Option<Hooks>,
}

/// One application of a batch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchSubject {
    /// Namespace of the application.
    pub namespace: String,
    /// The restore point; the newest if neither this nor a content is named.
    pub restore_point_name: Option<String>,
    /// The restore point content.
    pub restore_point_content_name: Option<String>,
}

/// A stretch of time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct DiscoveryRange {
    /// Not before.
    pub start: Option<Time>,
    /// Not after.
    pub end: Option<Time>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::BATCH_RESTORE_ACTION,
        Course::Batch,
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

impl Rules for BatchRestore {
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
            if part(subject, "namespace").is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
            if !part(subject, POINT).is_empty() && !part(subject, CONTENT).is_empty() {
                let detail = "may not be set together with restorePointName";
                errors.push(FieldError::forbidden(format!("{path}.{CONTENT}"), detail));
            }
        }
        errors
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        let get = |names: Names, namespace: &str, name: &str| {
            rules::get(installation, names, namespace, name)
        };
        let access = |subject: &Value| {
            let (namespace, point, content) =
                (part(subject, "namespace"), part(subject, POINT), part(subject, CONTENT));
            match (point, content) {
                ("", "") => Attributes {
                    verb: "list".to_owned(),
                    ..get(domain::RESTORE_POINT, namespace, "")
                },
                ("", content) => get(domain::RESTORE_POINT_CONTENT, "", content),
                (point, _) => get(domain::RESTORE_POINT, namespace, point),
            }
        };
        fields::items(action, "spec.subjects").iter().map(access).collect()
    }
}

const POINT: &str = "restorePointName";
const CONTENT: &str = "restorePointContentName";

fn part<'a>(subject: &'a Value, name: &str) -> &'a str {
    subject.get(name).and_then(Value::as_str).unwrap_or_default()
}
