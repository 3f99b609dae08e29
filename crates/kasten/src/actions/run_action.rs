//! `RunAction`: runs a policy now. The caller must be allowed to read the policy.
//!
//! Policies are custom resources that kube-apiserver serves, so whether one exists is for the
//! executor to find out.

use apiserver::{Attributes, FieldError, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::state::Course;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain};

/// Which policy to run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunActionSpec {
    /// The policy.
    pub subject: Subject,
    /// When what it makes may be retired.
    pub expires_at: Option<Time>,
    /// When it was due.
    pub scheduled_time: Option<Time>,
}

/// What came of the run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunActionStatus {
    /// As of every action.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// What of the policy was run.
    pub policy_spec: Option<PolicyPart>,
}

/// What of a policy was run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct PolicyPart {
    /// The policy's actions.
    pub actions: Option<Vec<Value>>,
    /// Which applications it selects.
    pub selector: Option<Value>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::RUN_ACTION,
        Course::Full,
        &Run,
        &[columns::CREATED_AT, columns::STATE, columns::PCT],
        schema::object::<RunActionSpec, RunActionStatus>("RunAction runs a policy now."),
    )
}

struct Run;

impl Rules for Run {
    fn prepare(&self, action: &mut Map<String, Value>) {
        subject::fill_namespace(action);
    }

    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        subject::check(action, &["Policy"])
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<Attributes> {
        subject::policy_readable(action)
    }
}
