//! `BackupClusterAction`: makes a restore point of the cluster-scoped resources.

use apiserver::Resource;
use schemars::JsonSchema;
use serde::Deserialize;

use super::spec::{ClusterFilters, NameOnly};
use super::state::Course;
use super::status::ActionStatus;
use super::{Rules, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, domain};

/// What to back up.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupClusterActionSpec {
    /// Which resources are backed up.
    pub filters: Option<ClusterFilters>,
    /// When it was due.
    pub scheduled_time: Option<Time>,
    /// When the restore point may be retired.
    pub expires_at: Option<Time>,
}

/// What came of the backup.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupClusterActionStatus {
    /// As of every action.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// The cluster restore point that was made.
    pub restore_point: Option<NameOnly>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        domain::BACKUP_CLUSTER_ACTION,
        Course::Full,
        &BackupCluster,
        &[columns::CREATED_AT],
        schema::object::<BackupClusterActionSpec, BackupClusterActionStatus>(
            "BackupClusterAction makes a restore point of the cluster-scoped resources.",
        ),
    )
}

struct BackupCluster;

impl Rules for BackupCluster {}
