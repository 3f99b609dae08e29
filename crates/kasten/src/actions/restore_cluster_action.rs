//! `RestoreClusterAction`: brings cluster-scoped resources back. The caller must be allowed to
//! read the cluster restore point.

use apiserver::{ApiError, Attributes, FieldError, Objects, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::spec::{ClusterFilters, Transform};
use super::state::Course;
use super::status::ActionStatus;
use super::subject::{self, Subject};
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain, rules};

/// What to restore.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreClusterActionSpec {
    /// The cluster restore point.
    pub subject: Subject,
    /// Which resources are restored.
    pub filters: Option<ClusterFilters>,
    /// Changes to resources on their way.
    pub transforms: Option<Vec<Transform>>,
    /// When it was due.
    pub scheduled_time: Option<Time>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::RESTORE_CLUSTER_ACTION,
        Course::Full,
        &RestoreCluster,
        &[columns::CREATED_AT],
        schema::object::<RestoreClusterActionSpec, ActionStatus>(
            "RestoreClusterAction brings cluster-scoped resources back.",
        ),
    )
}

struct RestoreCluster;

impl Rules for RestoreCluster {
    fn validate(
        &self,
        action: &Map<String, Value>,
        _installation: &Installation,
    ) -> Vec<FieldError> {
        subject::check(action, &[domain::CLUSTER_RESTORE_POINT.kind])
    }

    fn required_access(
        &self,
        action: &Map<String, Value>,
        installation: &Installation,
    ) -> Vec<Attributes> {
        let name = subject::of(action).name;
        vec![rules::get(installation, domain::CLUSTER_RESTORE_POINT, "", name)]
    }

    fn admit(
        &self,
        action: &Map<String, Value>,
        objects: &Objects<'_>,
        installation: &Installation,
    ) -> Result<(), ApiError> {
        let name = subject::of(action).name;
        if objects.get(installation.id(domain::CLUSTER_RESTORE_POINT), "", name).is_some() {
            return Ok(());
        }
        let names = domain::RESTORE_CLUSTER_ACTION;
        Err(rules::dangling(installation, names, action, "spec.subject.name", name))
    }
}
