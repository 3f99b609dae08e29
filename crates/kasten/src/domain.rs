//! The words of K10's API: groups, kinds, labels.
//!
//! Data only. What a kind does stands in the file named after it; what differs from one
//! installation of K10 to the next is in [`Installation`](crate::Installation).

use apiserver::Scope::{self, Cluster, Namespaced};

use Group::{Actions, Apps, Config, Dr, Repositories, Vault};

/// The domain the aggregated groups end in, unless an installation has another.
pub const DOMAIN: &str = "kio.kasten.io";
/// Policies and profiles: custom resources, served by kube-apiserver where there is one. K10's chart
/// can move the aggregated groups to another domain; that this group moves with them is shown
/// nowhere in public, so it stays.
pub const CONFIG: &str = "config.kio.kasten.io";
/// The version of every group.
pub const VERSION: &str = "v1alpha1";

/// The namespace K10 is installed in, unless an installation has another.
pub const K10_NAMESPACE: &str = "kasten-io";
/// Stands for the cluster-scoped resources where an application's namespace is asked for.
pub const CLUSTER_APPLICATION: &str = "kasten-io-cluster";

/// Label: name of the application or virtual machine.
pub const APP_NAME: &str = "k10.kasten.io/appName";
/// Label: namespace of the application.
pub const APP_NAMESPACE: &str = "k10.kasten.io/appNamespace";
/// Label: `namespace`, `virtualMachine` or `cluster`.
pub const APP_TYPE: &str = "k10.kasten.io/appType";
/// Label: the policy that caused this; absent when a person did.
pub const POLICY_NAME: &str = "k10.kasten.io/policyName";
/// Label: namespace of the policy.
pub const POLICY_NAMESPACE: &str = "k10.kasten.io/policyNamespace";

/// An API group, as far as its name is the same in every installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What is done: backups, restores, exports, and the rest.
    Actions,
    /// What is kept: applications and their restore points.
    Apps,
    /// Where it is kept.
    Repositories,
    /// What it is encrypted with.
    Vault,
    /// How K10 itself is brought back.
    Dr,
    /// [`CONFIG`].
    Config,
}

impl Group {
    /// The aggregated groups, in the order of K10's chart.
    pub const AGGREGATED: [Self; 5] = [Actions, Apps, Repositories, Vault, Dr];

    /// What the group begins with.
    pub const fn word(self) -> &'static str {
        match self {
            Actions => "actions",
            Apps => "apps",
            Repositories => "repositories",
            Vault => "vault",
            Dr => "dr",
            Config => "config",
        }
    }
}

/// Names of a kind that are the same in every installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// API group.
    pub group: Group,
    /// Such as `RestorePoint`.
    pub kind: &'static str,
    /// Such as `restorepoints`.
    pub plural: &'static str,
    /// Such as `restorepoint`.
    pub singular: &'static str,
    /// Whether objects live in namespaces.
    pub scope: Scope,
}

impl Names {
    const fn new(
        group: Group,
        scope: Scope,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
    ) -> Self {
        Self { group, kind, plural, singular, scope }
    }
}

/// `BackupAction`.
pub const BACKUP_ACTION: Names =
    Names::new(Actions, Namespaced, "BackupAction", "backupactions", "backupaction");
/// `RestoreAction`.
pub const RESTORE_ACTION: Names =
    Names::new(Actions, Namespaced, "RestoreAction", "restoreactions", "restoreaction");
/// `ExportAction`.
pub const EXPORT_ACTION: Names =
    Names::new(Actions, Namespaced, "ExportAction", "exportactions", "exportaction");
/// `ImportAction`.
pub const IMPORT_ACTION: Names =
    Names::new(Actions, Namespaced, "ImportAction", "importactions", "importaction");
/// `RunAction`.
pub const RUN_ACTION: Names =
    Names::new(Actions, Namespaced, "RunAction", "runactions", "runaction");
/// `RetireAction`.
pub const RETIRE_ACTION: Names =
    Names::new(Actions, Cluster, "RetireAction", "retireactions", "retireaction");
/// `CancelAction`.
pub const CANCEL_ACTION: Names =
    Names::new(Actions, Namespaced, "CancelAction", "cancelactions", "cancelaction");
/// `BackupClusterAction`.
pub const BACKUP_CLUSTER_ACTION: Names = Names::new(
    Actions,
    Cluster,
    "BackupClusterAction",
    "backupclusteractions",
    "backupclusteraction",
);
/// `RestoreClusterAction`.
pub const RESTORE_CLUSTER_ACTION: Names = Names::new(
    Actions,
    Cluster,
    "RestoreClusterAction",
    "restoreclusteractions",
    "restoreclusteraction",
);
/// `BatchRestoreAction`.
pub const BATCH_RESTORE_ACTION: Names = Names::new(
    Actions,
    Namespaced,
    "BatchRestoreAction",
    "batchrestoreactions",
    "batchrestoreaction",
);
/// `ReportAction`.
pub const REPORT_ACTION: Names =
    Names::new(Actions, Namespaced, "ReportAction", "reportactions", "reportaction");
/// `UpgradeAction`.
pub const UPGRADE_ACTION: Names =
    Names::new(Actions, Namespaced, "UpgradeAction", "upgradeactions", "upgradeaction");
/// `ValidateAction`.
pub const VALIDATE_ACTION: Names =
    Names::new(Actions, Namespaced, "ValidateAction", "validateactions", "validateaction");
/// `StageAction`.
pub const STAGE_ACTION: Names =
    Names::new(Actions, Namespaced, "StageAction", "stageactions", "stageaction");
/// `MigrateFCDAction`.
pub const MIGRATE_FCD_ACTION: Names =
    Names::new(Actions, Namespaced, "MigrateFCDAction", "migratefcdactions", "migratefcdaction");
/// `RestorePoint`.
pub const RESTORE_POINT: Names =
    Names::new(Apps, Namespaced, "RestorePoint", "restorepoints", "restorepoint");
/// `RestorePointContent`.
pub const RESTORE_POINT_CONTENT: Names =
    Names::new(Apps, Cluster, "RestorePointContent", "restorepointcontents", "restorepointcontent");
/// `ClusterRestorePoint`.
pub const CLUSTER_RESTORE_POINT: Names =
    Names::new(Apps, Cluster, "ClusterRestorePoint", "clusterrestorepoints", "clusterrestorepoint");
/// `Application`.
pub const APPLICATION: Names =
    Names::new(Apps, Namespaced, "Application", "applications", "application");
/// `StorageRepository`.
pub const STORAGE_REPOSITORY: Names = Names::new(
    Repositories,
    Namespaced,
    "StorageRepository",
    "storagerepositories",
    "storagerepository",
);
/// `Passkey`.
pub const PASSKEY: Names = Names::new(Vault, Cluster, "Passkey", "passkeys", "passkey");
/// `KastenDRReview`.
pub const KASTEN_DR_REVIEW: Names =
    Names::new(Dr, Namespaced, "KastenDRReview", "kastendrreviews", "kastendrreview");
/// `KastenDRRestore`.
pub const KASTEN_DR_RESTORE: Names =
    Names::new(Dr, Namespaced, "KastenDRRestore", "kastendrrestores", "kastendrrestore");
/// `AuditConfig`.
pub const AUDIT_CONFIG: Names =
    Names::new(Config, Namespaced, "AuditConfig", "auditconfigs", "auditconfig");
/// `Profile`.
pub const PROFILE: Names = Names::new(Config, Namespaced, "Profile", "profiles", "profile");

/// The kinds of [`CONFIG`] that we know.
pub const CONFIG_KINDS: [Names; 2] = [AUDIT_CONFIG, PROFILE];

/// Every kind of the aggregated groups, in the order of K10's documentation.
pub const KINDS: [Names; 23] = [
    BACKUP_ACTION,
    RESTORE_ACTION,
    EXPORT_ACTION,
    IMPORT_ACTION,
    RUN_ACTION,
    RETIRE_ACTION,
    CANCEL_ACTION,
    BACKUP_CLUSTER_ACTION,
    RESTORE_CLUSTER_ACTION,
    BATCH_RESTORE_ACTION,
    REPORT_ACTION,
    UPGRADE_ACTION,
    VALIDATE_ACTION,
    STAGE_ACTION,
    MIGRATE_FCD_ACTION,
    RESTORE_POINT,
    RESTORE_POINT_CONTENT,
    CLUSTER_RESTORE_POINT,
    APPLICATION,
    STORAGE_REPOSITORY,
    PASSKEY,
    KASTEN_DR_REVIEW,
    KASTEN_DR_RESTORE,
];
