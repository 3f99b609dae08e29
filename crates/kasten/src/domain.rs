//! The words of K10's API: groups, kinds, labels, and who K10 itself is.
//!
//! Data only. What a kind does stands in the file named after it.

use apiserver::ResourceId;
use apiserver::Scope::{self, Cluster, Namespaced};
use event::UserInfo;
use serde_json::{Map, Value};

/// The domain all groups end in.
pub const DOMAIN: &str = "kio.kasten.io";
/// What is done: backups, restores, exports, and the rest.
pub const ACTIONS: &str = "actions.kio.kasten.io";
/// What is kept: applications and their restore points.
pub const APPS: &str = "apps.kio.kasten.io";
/// Where it is kept.
pub const REPOSITORIES: &str = "repositories.kio.kasten.io";
/// What it is encrypted with.
pub const VAULT: &str = "vault.kio.kasten.io";
/// How K10 itself is brought back.
pub const DR: &str = "dr.kio.kasten.io";
/// Policies and profiles: custom resources, served by kube-apiserver where there is one.
pub const CONFIG: &str = "config.kio.kasten.io";
/// The aggregated groups, in the order of K10's chart.
pub const GROUPS: [&str; 5] = [ACTIONS, APPS, REPOSITORIES, VAULT, DR];
/// The version of every group.
pub const VERSION: &str = "v1alpha1";

/// The namespace K10 is installed in.
pub const K10_NAMESPACE: &str = "kasten-io";
/// The group of every service account in [`K10_NAMESPACE`]. K10 9 has one account for each of its
/// deployments, earlier releases one for all, so the group is what holds.
pub const K10_ACCOUNTS: &str = "system:serviceaccounts:kasten-io";
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

/// Names of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// API group.
    pub group: &'static str,
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
        group: &'static str,
        scope: Scope,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
    ) -> Self {
        Self { group, kind, plural, singular, scope }
    }

    /// The name objects of this kind are found by.
    pub const fn id(self) -> ResourceId {
        ResourceId { group: self.group, plural: self.plural }
    }

    /// `group/version`, as objects carry it.
    pub fn api_version(self) -> String {
        format!("{}/{VERSION}", self.group)
    }

    /// The beginning of an object of this kind. `namespace` is empty for cluster scope.
    pub fn object(self, namespace: &str, name: &str) -> Map<String, Value> {
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), name.into());
        if !namespace.is_empty() {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), self.api_version().into());
        object.insert("kind".to_owned(), self.kind.into());
        object.insert("metadata".to_owned(), Value::Object(metadata));
        object
    }
}

/// Whether this is one of K10's own service accounts.
pub fn is_k10(user: &UserInfo) -> bool {
    user.groups.iter().any(|group| group == K10_ACCOUNTS)
}

/// `BackupAction`.
pub const BACKUP_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "BackupAction", "backupactions", "backupaction");
/// `RestoreAction`.
pub const RESTORE_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "RestoreAction", "restoreactions", "restoreaction");
/// `ExportAction`.
pub const EXPORT_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "ExportAction", "exportactions", "exportaction");
/// `ImportAction`.
pub const IMPORT_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "ImportAction", "importactions", "importaction");
/// `RunAction`.
pub const RUN_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "RunAction", "runactions", "runaction");
/// `RetireAction`.
pub const RETIRE_ACTION: Names =
    Names::new(ACTIONS, Cluster, "RetireAction", "retireactions", "retireaction");
/// `CancelAction`.
pub const CANCEL_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "CancelAction", "cancelactions", "cancelaction");
/// `BackupClusterAction`.
pub const BACKUP_CLUSTER_ACTION: Names = Names::new(
    ACTIONS,
    Cluster,
    "BackupClusterAction",
    "backupclusteractions",
    "backupclusteraction",
);
/// `RestoreClusterAction`.
pub const RESTORE_CLUSTER_ACTION: Names = Names::new(
    ACTIONS,
    Cluster,
    "RestoreClusterAction",
    "restoreclusteractions",
    "restoreclusteraction",
);
/// `BatchRestoreAction`.
pub const BATCH_RESTORE_ACTION: Names = Names::new(
    ACTIONS,
    Namespaced,
    "BatchRestoreAction",
    "batchrestoreactions",
    "batchrestoreaction",
);
/// `ReportAction`.
pub const REPORT_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "ReportAction", "reportactions", "reportaction");
/// `UpgradeAction`.
pub const UPGRADE_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "UpgradeAction", "upgradeactions", "upgradeaction");
/// `ValidateAction`.
pub const VALIDATE_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "ValidateAction", "validateactions", "validateaction");
/// `StageAction`.
pub const STAGE_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "StageAction", "stageactions", "stageaction");
/// `MigrateFCDAction`.
pub const MIGRATE_FCD_ACTION: Names =
    Names::new(ACTIONS, Namespaced, "MigrateFCDAction", "migratefcdactions", "migratefcdaction");
/// `RestorePoint`.
pub const RESTORE_POINT: Names =
    Names::new(APPS, Namespaced, "RestorePoint", "restorepoints", "restorepoint");
/// `RestorePointContent`.
pub const RESTORE_POINT_CONTENT: Names =
    Names::new(APPS, Cluster, "RestorePointContent", "restorepointcontents", "restorepointcontent");
/// `ClusterRestorePoint`.
pub const CLUSTER_RESTORE_POINT: Names =
    Names::new(APPS, Cluster, "ClusterRestorePoint", "clusterrestorepoints", "clusterrestorepoint");
/// `Application`.
pub const APPLICATION: Names =
    Names::new(APPS, Namespaced, "Application", "applications", "application");
/// `StorageRepository`.
pub const STORAGE_REPOSITORY: Names = Names::new(
    REPOSITORIES,
    Namespaced,
    "StorageRepository",
    "storagerepositories",
    "storagerepository",
);
/// `Passkey`.
pub const PASSKEY: Names = Names::new(VAULT, Cluster, "Passkey", "passkeys", "passkey");
/// `KastenDRReview`.
pub const KASTEN_DR_REVIEW: Names =
    Names::new(DR, Namespaced, "KastenDRReview", "kastendrreviews", "kastendrreview");
/// `KastenDRRestore`.
pub const KASTEN_DR_RESTORE: Names =
    Names::new(DR, Namespaced, "KastenDRRestore", "kastendrrestores", "kastendrrestore");
/// `AuditConfig`.
pub const AUDIT_CONFIG: Names =
    Names::new(CONFIG, Namespaced, "AuditConfig", "auditconfigs", "auditconfig");
/// `Profile`.
pub const PROFILE: Names = Names::new(CONFIG, Namespaced, "Profile", "profiles", "profile");

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
