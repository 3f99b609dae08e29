//! `RetireAction`: frees what a restore point content or cluster restore point holds.
//!
//! Made by K10, or by the server when one of those is deleted; a create by anybody else is
//! refused and on record.

use apiserver::{ApiError, Objects, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::state::Course;
use super::status::ActionStatus;
use super::{Rules, pending, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain, fields};

/// When to retire.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetireActionSpec {
    /// When it was due.
    pub scheduled_time: Option<Time>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::RETIRE_ACTION,
        Course::Full,
        &Retire,
        &[columns::CREATED_AT],
        schema::object::<RetireActionSpec, ActionStatus>(
            "RetireAction frees what a restore point content or cluster restore point holds.",
        ),
    )
}

/// Makes the action that frees what `retired` held, named and labelled after it.
pub(crate) fn retire(
    installation: &Installation,
    retired: &Map<String, Value>,
    objects: &mut Objects<'_>,
    now: &str,
    suffix: &str,
) -> Result<(), ApiError> {
    // Names end at 253 characters; the random end must not be what is cut.
    let room = NAME_LEN_MAX - "retire--".len() - suffix.len();
    let head: String = fields::name(retired).chars().take(room).collect();
    let name = format!("retire-{head}-{suffix}");
    let mut action = pending(installation, domain::RETIRE_ACTION, &name, now);
    fields::set(&mut action, "spec.scheduledTime", now);
    fields::copy_labels(&mut action, retired, &LABELS);
    objects.create(installation.id(domain::RETIRE_ACTION), action)
}

const NAME_LEN_MAX: usize = 253;
const LABELS: [&str; 5] = [
    domain::APP_NAME,
    domain::APP_NAMESPACE,
    domain::APP_TYPE,
    domain::POLICY_NAME,
    domain::POLICY_NAMESPACE,
];

struct Retire;

impl Rules for Retire {
    fn made_by_k10_only(&self) -> bool {
        true
    }
}
