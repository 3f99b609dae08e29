//! `RestoreClusterAction`: restores cluster-scoped resources. The caller must be allowed to
//! read the cluster restore point.

use apimachinery::{ApiError, FieldError};
use apiserver::{Attributes, Objects, Resource};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::spec::{ClusterFilters, Transform};
use super::state::Lifecycle;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds, rules};

/// What to restore.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreClusterActionSpec {
    /// The cluster restore point.
    pub subject: Subject,
    /// Which resources are restored.
    pub filters: Option<ClusterFilters>,
    /// Transforms applied to the resources.
    pub transforms: Option<Vec<Transform>>,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::RESTORE_CLUSTER_ACTION,
        Lifecycle::Full,
        &RestoreCluster,
        &[columns::CREATED_AT],
        schema::object::<RestoreClusterActionSpec, ActionStatus>(
            "RestoreClusterAction restores cluster-scoped resources.",
        ),
    )
}

struct RestoreCluster;

impl ActionStrategy for RestoreCluster {
    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        subject::check(action, &[kinds::CLUSTER_RESTORE_POINT.kind])
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        let name = subject::parse(action).name;
        vec![rules::get(installation, kinds::CLUSTER_RESTORE_POINT, "", name)]
    }

    fn admit(
        &self,
        action: &Map<String, Value>,
        objects: &Objects<'_>,
        installation: &Installation,
    ) -> Result<(), ApiError> {
        let name = subject::parse(action).name;
        if objects.get(installation.id(kinds::CLUSTER_RESTORE_POINT), "", name).is_some() {
            return Ok(());
        }
        let names = kinds::RESTORE_CLUSTER_ACTION;
        Err(rules::not_found(installation, names, action, "spec.subject.name", name))
    }
}
