//! `RunAction`: runs a policy now. The caller must be allowed to read the policy.
//!
//! Policies are custom resources that kube-apiserver serves, so this server does not check that the
//! policy exists; the executor does.

use apimachinery::FieldError;
use apiserver::{Attributes, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds};

/// The policy to run.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunActionSpec {
    /// The policy.
    pub subject: Subject,
    /// Expiry time of the restore points of this run.
    pub expires_at: Option<Time>,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
}

/// The status of a run.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunActionStatus {
    /// The status that all actions share.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// The part of the policy that was run.
    pub policy_spec: Option<PolicyPart>,
}

/// The part of a policy that was run.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct PolicyPart {
    /// The policy's actions.
    pub actions: Option<Vec<Value>>,
    /// The applications that it selects.
    pub selector: Option<Value>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::RUN_ACTION,
        Lifecycle::Full,
        &Run,
        &[columns::CREATED_AT, columns::STATE, columns::PCT],
        schema::object::<RunActionSpec, RunActionStatus>("RunAction runs a policy now."),
    )
}

struct Run;

impl ActionStrategy for Run {
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
        subject::policy_get_access(action)
    }
}
