//! The table of the kinds. Each row defines a constant with the names of a kind, its position in
//! the list of kinds, and its resource.
//!
//! The module in the row implements the kind.

use apiserver::Resource;
use apiserver::Scope::{Cluster, Namespaced};

use crate::names::Group::{Actions, Apps, Config, Dr, Repositories, Vault};
use crate::names::ResourceNames;
use crate::{Installation, actions, apps, config, dr, repositories, vault};

/// Rows are `CONSTANT = group, scope, kind, plural, singular, module`. The module has a function
/// `resource` that takes `$arguments`.
macro_rules! kinds {
    (
        $(#[$list_doc:meta])* $list:ident;
        $(#[$resources_doc:meta])* $resources:ident $parameters:tt => $arguments:tt;
        $(
            $constant:ident = $group:ident, $scope:ident,
            $kind:literal, $plural:literal, $singular:literal, $module:path;
        )*
    ) => {
        $(
            #[doc = concat!("The names of `", $kind, "`.")]
            pub const $constant: ResourceNames = ResourceNames {
                group: $group,
                kind: $kind,
                plural: $plural,
                singular: $singular,
                scope: $scope,
            };
        )*

        $(#[$list_doc])*
        pub const $list: &[ResourceNames] = &[$($constant),*];

        $(#[$resources_doc])*
        pub fn $resources $parameters -> Vec<Resource> {
            vec![$({ use $module as kind; kind::resource $arguments }),*]
        }
    };
}

kinds! {
    /// The kinds of the aggregated groups, in the order of K10's documentation.
    KINDS;
    /// The resources of [`KINDS`], in the same order.
    resources(installation: &Installation) => (installation);

    BACKUP_ACTION = Actions, Namespaced, "BackupAction", "backupactions", "backupaction", actions::backup_action;
    RESTORE_ACTION = Actions, Namespaced, "RestoreAction", "restoreactions", "restoreaction", actions::restore_action;
    EXPORT_ACTION = Actions, Namespaced, "ExportAction", "exportactions", "exportaction", actions::export_action;
    IMPORT_ACTION = Actions, Namespaced, "ImportAction", "importactions", "importaction", actions::import_action;
    RUN_ACTION = Actions, Namespaced, "RunAction", "runactions", "runaction", actions::run_action;
    RETIRE_ACTION = Actions, Cluster, "RetireAction", "retireactions", "retireaction", actions::retire_action;
    CANCEL_ACTION = Actions, Namespaced, "CancelAction", "cancelactions", "cancelaction", actions::cancel_action;
    BACKUP_CLUSTER_ACTION = Actions, Cluster, "BackupClusterAction", "backupclusteractions", "backupclusteraction", actions::backup_cluster_action;
    RESTORE_CLUSTER_ACTION = Actions, Cluster, "RestoreClusterAction", "restoreclusteractions", "restoreclusteraction", actions::restore_cluster_action;
    BATCH_RESTORE_ACTION = Actions, Namespaced, "BatchRestoreAction", "batchrestoreactions", "batchrestoreaction", actions::batch_restore_action;
    REPORT_ACTION = Actions, Namespaced, "ReportAction", "reportactions", "reportaction", actions::report_action;
    UPGRADE_ACTION = Actions, Namespaced, "UpgradeAction", "upgradeactions", "upgradeaction", actions::upgrade_action;
    VALIDATE_ACTION = Actions, Namespaced, "ValidateAction", "validateactions", "validateaction", actions::validate_action;
    STAGE_ACTION = Actions, Namespaced, "StageAction", "stageactions", "stageaction", actions::stage_action;
    MIGRATE_FCD_ACTION = Actions, Namespaced, "MigrateFCDAction", "migratefcdactions", "migratefcdaction", actions::migrate_fcd_action;
    RESTORE_POINT = Apps, Namespaced, "RestorePoint", "restorepoints", "restorepoint", apps::restore_point;
    RESTORE_POINT_CONTENT = Apps, Cluster, "RestorePointContent", "restorepointcontents", "restorepointcontent", apps::restore_point_content;
    CLUSTER_RESTORE_POINT = Apps, Cluster, "ClusterRestorePoint", "clusterrestorepoints", "clusterrestorepoint", apps::cluster_restore_point;
    APPLICATION = Apps, Namespaced, "Application", "applications", "application", apps::applications;
    STORAGE_REPOSITORY = Repositories, Namespaced, "StorageRepository", "storagerepositories", "storagerepository", repositories::storage_repository;
    PASSKEY = Vault, Cluster, "Passkey", "passkeys", "passkey", vault::passkey;
    KASTEN_DR_REVIEW = Dr, Namespaced, "KastenDRReview", "kastendrreviews", "kastendrreview", dr::review;
    KASTEN_DR_RESTORE = Dr, Namespaced, "KastenDRRestore", "kastendrrestores", "kastendrrestore", dr::restore;
}

kinds! {
    /// The kinds of [`CONFIG`](crate::names::CONFIG) that Keepwatch reads.
    CONFIG_KINDS;
    /// The resources of [`CONFIG_KINDS`], in the same order, as a standalone server serves them.
    config_resources() => ();

    AUDIT_CONFIG = Config, Namespaced, "AuditConfig", "auditconfigs", "auditconfig", config::audit_config;
    PROFILE = Config, Namespaced, "Profile", "profiles", "profile", config::profile;
}
