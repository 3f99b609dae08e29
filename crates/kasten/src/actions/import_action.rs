//! `ImportAction`: takes over what another cluster exported. Made by policies only, that is by
//! K10's own accounts.

use apiserver::{FieldError, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::spec::Reference;
use super::state::Course;
use super::status::{ActionStatus, Made};
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain, rules};

/// What to import, and from where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportActionSpec {
    /// The location profile it comes from.
    pub profile: Reference,
    /// What the exporting cluster gave out.
    pub receive_string: String,
    /// When it was due.
    pub scheduled_time: Option<Time>,
}

/// What came of the import.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportActionStatus {
    /// As of every action.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// The content that was imported.
    pub restore_point_content: Option<Made>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::IMPORT_ACTION,
        Course::Full,
        &Import,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<ImportActionSpec, ImportActionStatus>(
            "ImportAction takes over what another cluster exported.",
        ),
    )
}

struct Import;

impl Rules for Import {
    fn made_by_k10_only(&self) -> bool {
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
