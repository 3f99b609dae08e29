//! `ImportAction`: imports a restore point that another cluster exported. Created only by policies,
//! that is by K10's own accounts.

use apimachinery::FieldError;
use apiserver::Resource;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::spec::Reference;
use super::state::Lifecycle;
use super::status::{ActionStatus, CreatedReference};
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds, rules};

/// What to import, and from where.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportActionSpec {
    /// The location profile to import from.
    pub profile: Reference,
    /// The receive string of the exporting cluster.
    pub receive_string: String,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
}

/// The status of an import.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportActionStatus {
    /// The status that all actions share.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// The content that was imported.
    pub restore_point_content: Option<CreatedReference>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::IMPORT_ACTION,
        Lifecycle::Full,
        &Import,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<ImportActionSpec, ImportActionStatus>(
            "ImportAction imports a restore point that another cluster exported.",
        ),
    )
}

struct Import;

impl ActionStrategy for Import {
    fn created_by_k10_only(&self) -> bool {
        true
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<FieldError> {
        let mut errors = rules::in_k10_namespace(installation, action);
        errors.extend(rules::required(action, &["spec.profile.name", "spec.receiveString"]));
        errors
    }
}
