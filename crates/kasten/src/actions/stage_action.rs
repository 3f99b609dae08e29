//! `StageAction`. K10 does not document its spec, so unknown fields are preserved. Only K10's own
//! accounts may create one.

use apiserver::Resource;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::Subject;
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds};

/// The desired state.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct StageActionSpec {
    /// The object that the action applies to.
    pub subject: Option<Subject>,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
    /// Other fields, which are preserved unchanged.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Map<String, Value>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::STAGE_ACTION,
        Lifecycle::Full,
        &Stage,
        &[columns::STATE, columns::AGE, columns::PCT_WIDE],
        schema::object::<StageActionSpec, ActionStatus>("StageAction is an internal step of K10."),
    )
}

struct Stage;

impl ActionStrategy for Stage {
    fn created_by_k10_only(&self) -> bool {
        true
    }
}
