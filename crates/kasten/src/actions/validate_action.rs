//! `ValidateAction`: checks that a restore point could be restored, by reading it.

use apimachinery::{FieldError, fields};
use apiserver::{Attributes, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::spec::Filters;
use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{ActionStrategy, resource as action};
use crate::{Installation, columns, kinds, rules, schema};

/// What to validate, and how.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidateActionSpec {
    /// The restore point or restore point content.
    pub subject: Subject,
    /// Settings of the check of volumes.
    pub volume_data_check_options: Option<VolumeDataCheckOptions>,
    /// Which resources are checked.
    pub filters: Option<Filters>,
}

/// Settings of the check of volumes.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDataCheckOptions {
    /// Percentage of the files that are read.
    #[schemars(range(min = 0, max = 100))]
    pub verify_files_percent: Option<i32>,
    /// Whether to stop at the first error.
    pub fail_fast: Option<bool>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::VALIDATE_ACTION,
        Lifecycle::Short,
        &Validate,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<ValidateActionSpec, ActionStatus>(
            "ValidateAction checks that a restore point could be restored.",
        ),
    )
}

const PERCENT: &str = "spec.volumeDataCheckOptions.verifyFilesPercent";

struct Validate;

impl ActionStrategy for Validate {
    fn prepare(&self, action: &mut Map<String, Value>) {
        if subject::parse(action).kind == kinds::RESTORE_POINT.kind {
            subject::fill_namespace(action);
        }
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        let kinds = [kinds::RESTORE_POINT.kind, kinds::RESTORE_POINT_CONTENT.kind];
        let mut errors = subject::check(action, &kinds);
        let percent = fields::value(action, PERCENT).and_then(Value::as_f64).unwrap_or(0.0);
        if !(0.0..=100.0).contains(&percent) {
            let detail = "must be from 0 to 100";
            errors.push(FieldError::invalid(PERCENT, &json!(percent), detail));
        }
        errors
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        let subject = subject::parse(action);
        if subject.kind == kinds::RESTORE_POINT_CONTENT.kind {
            vec![rules::get(installation, kinds::RESTORE_POINT_CONTENT, "", subject.name)]
        } else {
            vec![rules::get(installation, kinds::RESTORE_POINT, subject.namespace, subject.name)]
        }
    }
}
