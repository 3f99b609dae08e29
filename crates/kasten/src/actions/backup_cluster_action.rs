//! `BackupClusterAction`: creates a restore point of the cluster-scoped resources.

use apiserver::Resource;
use schemars::JsonSchema;

use super::spec::{ClusterFilters, NameOnly};
use super::state::Lifecycle;
use super::status::ActionStatus;
use super::{ActionStrategy, resource as action};
use crate::schema::{self, Time};
use crate::{Installation, columns, kinds};

/// What to back up.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupClusterActionSpec {
    /// Which resources are backed up.
    pub filters: Option<ClusterFilters>,
    /// Time at which the policy scheduled it.
    pub scheduled_time: Option<Time>,
    /// Expiry time of the restore point.
    pub expires_at: Option<Time>,
}

/// The status of a backup.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupClusterActionStatus {
    /// The status that all actions share.
    #[serde(flatten)]
    pub action: ActionStatus,
    /// The cluster restore point that was created.
    pub restore_point: Option<NameOnly>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    action(
        installation,
        kinds::BACKUP_CLUSTER_ACTION,
        Lifecycle::Full,
        &BackupCluster,
        &[columns::CREATED_AT],
        schema::object::<BackupClusterActionSpec, BackupClusterActionStatus>(
            "BackupClusterAction creates a restore point of the cluster-scoped resources.",
        ),
    )
}

struct BackupCluster;

impl ActionStrategy for BackupCluster {}
