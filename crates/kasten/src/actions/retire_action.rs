//! `RetireAction`: deletes the data of a restore point content or cluster restore point.
//!
//! Only K10 may create a `RetireAction`. The server creates one when a restore point content or
//! cluster restore point is deleted. Any other create is rejected and audited.

use apimachinery::{ApiError, fields};
use apiserver::{Objects, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::state::Lifecycle;
use super::status::ActionStatus;
use super::{ActionStrategy, pending, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds, names};

/// The spec of a retirement.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetireActionSpec {
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::RETIRE_ACTION,
        Lifecycle::Full,
        &Retire,
        &[columns::CREATED_AT],
        schema::object::<RetireActionSpec, ActionStatus>(
            "RetireAction deletes the data of a restore point content or cluster restore point.",
        ),
    )
}

/// Creates the action that deletes the data of `retired`, with a name and labels taken from it.
pub(crate) fn retire(
    installation: &Installation,
    retired: &Map<String, Value>,
    objects: &mut Objects<'_>,
    now: &str,
    suffix: &str,
) -> Result<(), ApiError> {
    // A name has at most 253 characters; the random suffix must not be truncated.
    let prefix_len_max = NAME_LEN_MAX - "retire--".len() - suffix.len();
    let prefix: String = fields::name(retired).chars().take(prefix_len_max).collect();
    let name = format!("retire-{prefix}-{suffix}");
    let mut action = pending(installation, kinds::RETIRE_ACTION, &name, now);
    fields::set(&mut action, "spec.scheduledTime", now);
    fields::copy_labels(&mut action, retired, &LABELS);
    objects.create(installation.id(kinds::RETIRE_ACTION), action)
}

const NAME_LEN_MAX: usize = 253;
const LABELS: [&str; 5] = [
    names::APP_NAME,
    names::APP_NAMESPACE,
    names::APP_TYPE,
    names::POLICY_NAME,
    names::POLICY_NAMESPACE,
];

struct Retire;

impl ActionStrategy for Retire {
    fn created_by_k10_only(&self) -> bool {
        true
    }
}
