//! `MigrateFCDAction`: named by K10 as one of its kinds; its spec is not documented, so whatever is in it is
//! kept as it is, and only K10's own accounts may make one.

use apiserver::Resource;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::state::Course;
use super::status::ActionStatus;
use super::subject::Subject;
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain};

/// What is known of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct MigrateFcdActionSpec {
    /// What it works on.
    pub subject: Option<Subject>,
    /// When it was due.
    pub scheduled_time: Option<Time>,
    /// The rest, as K10 wrote it.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Map<String, Value>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::MIGRATE_FCD_ACTION,
        Course::Full,
        &MigrateFcd,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<MigrateFcdActionSpec, ActionStatus>(
            "MigrateFCDAction is a step that K10 takes by itself.",
        ),
    )
}

struct MigrateFcd;

impl Rules for MigrateFcd {
    fn made_by_k10_only(&self) -> bool {
        true
    }
}
