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

/// Includes the rule files of each pack. The files of a pack are one text, so that they are beside each
/// other in the program: a server that reads one pack has the pages of the others not in memory.
macro_rules! packs {
    ($($pack:literal, $title:literal, $accounts:literal: [$($name:literal,)+])+) => {
        vec![$(Source {
            name: $pack,
            title: $title,
            accounts: $accounts,
            files: vec![$((
                concat!("rules/", $pack, "/", $name, ".yaml"),
                const { include_str!(concat!("../../../rules/", $pack, "/", $name, ".yaml")).len() },
            ),)+],
            text: concat!(
                $(include_str!(concat!("../../../rules/", $pack, "/", $name, ".yaml")),)+
            ),
        },)+]
    };
}

/// A pack as the program includes it.
struct Source {
    name: &'static str,
    title: &'static str,
    accounts: &'static str,
    /// Each file's path and the length of its text, in bytes.
    files: Vec<(&'static str, usize)>,
    /// The texts of the files, one after the other.
    text: &'static str,
}

impl Source {
    /// Its files, in the order of their names.
    fn documents(&self) -> Vec<Document> {
        let mut rest = self.text;
        let documents = self.files.iter().filter_map(|(file, len)| {
            let (text, others) = rest.split_at_checked(*len)?;
            rest = others;
            Some(Document::builtin(file, text))
        });
        documents.collect()
    }
}

/// Every pack: the folder, the title, the accounts, and the names of the rules.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    packs! {
        "cloudnative-pg", "CloudNativePG",
        "CloudNativePG's own accounts are the ServiceAccounts in namespace `cnpg-system`.": [
            "cnpg-backups-deleted",
            "cnpg-changed-without-body",
            "cnpg-location-changed",
            "cnpg-retention-lowered",
            "cnpg-schedule-stopped",
        ]
        "csi-snapshots", "CSI snapshots",
        "Accounts of snapshot controllers and backup tools are the ServiceAccounts in the namespaces in which they usually run.": [
            "csi-deletion-policy-changed",
            "csi-snapshotclasses-deleted",
            "csi-snapshotcontents-deleted",
            "csi-snapshots-deleted",
        ]
        "etcd-snapshots", "etcd snapshots of k3s, RKE2 and Rancher",
        "Their own accounts are the users `system:k3s-supervisor` and \
         `system:rke2-supervisor`, and the ServiceAccounts in namespace `cattle-system`.": [
            "etcd-snapshots-changed-without-body",
            "etcd-snapshots-deleted",
            "etcd-snapshots-disabled",
            "etcd-snapshots-location-changed",
            "etcd-snapshots-retention-lowered",
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
            "backup-reference-swapped",
            "backup-refused-attempts",
            "backup-retention-lowered",
            "backup-schedule-rarer",
            "backup-selection-narrowed",
            "backup-setting-removed",
        ]
        "k8up", "K8up",
        "K8up's own accounts are the ServiceAccounts in namespace `k8up-system`.": [
            "k8up-backend-changed",
            "k8up-backups-deleted",
            "k8up-changed-without-body",
            "k8up-prune-created",
            "k8up-retention-lowered",
            "k8up-schedule-deleted",
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
            "kasten-policy-stopped",
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
        "kubeblocks", "KubeBlocks",
        "KubeBlocks' own accounts are the ServiceAccounts in namespace `kb-system`.": [
            "kubeblocks-backups-deleted",
            "kubeblocks-changed-without-body",
            "kubeblocks-repository-changed",
            "kubeblocks-retention-lowered",
            "kubeblocks-schedule-stopped",
        ]
        "kubestash", "KubeStash",
        "KubeStash's own accounts are the ServiceAccounts in namespaces `kubestash` and `stash`.": [
            "kubestash-backup-stopped",
            "kubestash-changed-without-body",
            "kubestash-retention-deleted",
            "kubestash-retention-lowered",
            "kubestash-snapshots-deleted",
            "kubestash-storage-changed",
            "kubestash-storage-deleted",
            "kubestash-wipeout-set",
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
        "openshift", "etcd backups of OpenShift",
        "OpenShift's own accounts are the ServiceAccounts in namespaces `openshift-etcd` and \
         `openshift-etcd-operator`.": [
            "openshift-backup-retention-lowered",
            "openshift-backup-stopped",
            "openshift-backup-volume-changed",
            "openshift-changed-without-body",
            "openshift-etcd-backups-deleted",
        ]
        "stash", "Stash",
        "Stash's own accounts are the ServiceAccounts in namespace `stash`, and those in \
         `kube-system` whose names begin with `stash`.": [
            "stash-backup-stopped",
            "stash-changed-without-body",
            "stash-repositories-deleted",
            "stash-repository-changed",
            "stash-retention-lowered",
            "stash-snapshots-deleted",
            "stash-wipeout-set",
        ]
        "stork", "Portworx Stork",
        "Stork's own account is the ServiceAccount `stork` in namespace `kube-system` or \
         `portworx`.": [
            "stork-backups-deleted",
            "stork-changed-without-body",
            "stork-location-changed",
            "stork-reclaim-policy-set",
            "stork-retention-lowered",
            "stork-schedule-stopped",
        ]
        "trilio", "Trilio",
        "Trilio's own accounts are the ServiceAccounts in namespace `trilio-system`, and \
         those in `openshift-operators` whose names begin with `k8s-triliovault`.": [
            "trilio-backups-deleted",
            "trilio-changed-without-body",
            "trilio-retention-lowered",
            "trilio-schedules-stopped",
            "trilio-target-changed",
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
        "volsync", "VolSync",
        "VolSync's own accounts are the ServiceAccounts in namespace `volsync-system`.": [
            "volsync-changed-without-body",
            "volsync-replication-stopped",
            "volsync-repository-changed",
            "volsync-retention-lowered",
        ]
    }
});

static PACKS: LazyLock<Vec<Pack>> = LazyLock::new(|| {
    let pack = |source: &Source| {
        let &Source { name, title, accounts, .. } = source;
        Pack { name, title, accounts, documents: source.documents() }
    };
    SOURCES.iter().map(pack).collect()
});

static DOCUMENTS: LazyLock<Vec<Document>> =
    LazyLock::new(|| PACKS.iter().flat_map(|pack| pack.documents.clone()).collect());

/// All built-in rules, pack by pack.
pub fn documents() -> &'static [Document] {
    &DOCUMENTS
}

/// The rules about K10 and Keepwatch. A server that records only its own requests has no events that
/// the rules of other packs could match.
pub fn own_documents() -> &'static [Document] {
    let own = PACKS.iter().find(|pack| pack.name == "kasten");
    own.map(|pack| pack.documents.as_slice()).unwrap_or_default()
}

/// The packs of built-in rules.
pub fn packs() -> &'static [Pack] {
    &PACKS
}
