//! The built-in rules: the files in the folders of `rules/`. A folder is a pack, the rules about one
//! program.
//!
//! Each rule is a YAML file with a second file of events and expected signals (module
//! [`examples`](crate::examples)). A new rule needs both files, and its name in the list of its
//! pack. A new pack needs a folder and a block in the list of packs.
//!
//! Deliberately absent: reading a folder, which the binary does.

use std::sync::LazyLock;

use crate::Document;

/// The built-in rules about one program.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Name of its folder in `rules/`, of its page in the reference, and of no other pack.
    pub name: &'static str,
    /// Name of the program, as its project writes it.
    pub title: &'static str,
    /// Which accounts belong to the program, so that their requests raise no signal.
    pub accounts: &'static str,
    /// The files of rules, in the order of their names.
    pub documents: Vec<Document>,
}

/// Includes the rule files of each pack.
macro_rules! packs {
    ($($pack:literal, $title:literal, $accounts:literal: [$($name:literal,)+])+) => {
        vec![$((
            $pack,
            $title,
            $accounts,
            vec![$((
                concat!("rules/", $pack, "/", $name, ".yaml"),
                include_str!(concat!("../../../rules/", $pack, "/", $name, ".yaml")),
            ),)+],
        ),)+]
    };
}

/// The name, title, accounts and files of a pack. A file is its path and its text.
type Source = (&'static str, &'static str, &'static str, Vec<(&'static str, &'static str)>);

/// Every pack: the folder, the title, the accounts, and the names of the rules.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    packs! {
        "csi-snapshots", "CSI snapshots",
        "Accounts of snapshot controllers and backup tools are the ServiceAccounts in the namespaces in which they usually run.": [
            "csi-deletion-policy-changed",
            "csi-snapshotclasses-deleted",
            "csi-snapshotcontents-deleted",
            "csi-snapshots-deleted",
        ]
        "generic", "Any backup tool",
        "Accounts of backup tools are the ServiceAccounts in the namespaces in which the tools usually run.": [
            "backup-account-impersonated",
            "backup-account-token-requested",
            "backup-apiservice-changed",
            "backup-audit-configuration-removed",
            "backup-audit-removed-then-tampering",
            "backup-crd-deleted",
            "backup-credentials-changed",
            "backup-credentials-read",
            "backup-credentials-read-location-repointed",
            "backup-finalizers-stripped",
            "backup-namespace-deleted",
            "backup-operator-stopped",
            "backup-operator-stopped-namespace-deleted",
            "backup-paused-deleted-destroyed",
            "backup-permission-granted",
            "backup-refused-attempts",
        ]
        "kasten", "Veeam Kasten and Keepwatch",
        "K10's own accounts are the ServiceAccounts in K10's namespace.": [
            "kasten-account-impersonated",
            "kasten-account-used-by-person",
            "kasten-auditconfig-changed",
            "kasten-backup-expiry-shortened",
            "kasten-bulk-deletion",
            "kasten-cancelactions-excessive-creation",
            "kasten-clusterrestorepoints-excessive-deletion",
            "kasten-clusterrestorepoints-manually-deleted",
            "kasten-location-profile-changed",
            "kasten-passkey-changed",
            "kasten-passkey-first-reader",
            "kasten-passkey-read-restore-delete",
            "kasten-passkeys-excessive-use",
            "kasten-refused-attempts",
            "kasten-repository-tampered",
            "kasten-restore-into-foreign-namespace",
            "kasten-restorepointcontents-excessive-deletion",
            "kasten-restorepointcontents-manually-deleted",
            "kasten-restorepoints-deleted-with-namespace",
            "kasten-restorepoints-excessive-deletion",
            "kasten-restorepoints-manually-deleted",
            "kasten-retireaction-created-by-person",
            "kasten-retireactions-excessive-creation",
            "keepwatch-cursor-moved",
            "keepwatch-destination-released",
            "keepwatch-heartbeat-silent",
            "keepwatch-journal-gap",
            "keepwatch-notifier-changed",
            "keepwatch-rule-changed",
            "keepwatch-source-silent",
            "keepwatch-suppression-changed",
        ]
        "longhorn", "Longhorn",
        "Longhorn's own accounts are the ServiceAccounts in the namespace `longhorn-system`.": [
            "longhorn-backups-deleted",
            "longhorn-backuptarget-changed",
            "longhorn-configuration-changed-without-body",
            "longhorn-recurringjob-changed",
            "longhorn-setting-changed",
            "longhorn-snapshots-deleted",
        ]
        "velero", "Velero",
        "Velero's own accounts are the ServiceAccounts in the namespaces `velero` and `openshift-adp`.": [
            "velero-backup-contents-downloaded",
            "velero-backup-data-deleted",
            "velero-backup-expiry-shortened",
            "velero-backups-deleted",
            "velero-configuration-changed-without-body",
            "velero-repository-maintenance-changed",
            "velero-schedule-changed",
            "velero-schedule-deleted",
            "velero-storage-location-changed",
            "velero-storage-location-deleted",
        ]
    }
});

static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(|| {
    let files = SOURCES.iter().flat_map(|(.., files)| files);
    files.map(|(file, text)| Document::builtin(file, text)).collect()
});

static PACKS: LazyLock<Vec<Pack>> = LazyLock::new(|| {
    let mut first = 0;
    let pack = |&(name, title, accounts, ref files): &Source| {
        let documents = DOCUMENTS.iter().skip(first).take(files.len()).cloned().collect();
        first += files.len();
        Pack { name, title, accounts, documents }
    };
    SOURCES.iter().map(pack).collect()
});

/// All built-in rules, pack by pack.
pub fn documents() -> &'static [Document] {
    &DOCUMENTS
}

/// The packs of built-in rules.
pub fn packs() -> &'static [Pack] {
    &PACKS
}
