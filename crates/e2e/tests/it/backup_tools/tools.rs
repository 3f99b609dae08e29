//! The kinds of backup tools with an object each, and attacks on these objects, in kubectl's words.
//!
//! Groups, versions, kinds and fields are those of the tools. The definitions have no schema, unless
//! [`super`] finds the tool's own.

/// An object of a tool. `{…}` in [`Sample::object`] is what it has besides `apiVersion`, `kind` and
/// `metadata`.
pub(super) struct Sample {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) namespace: Option<&'static str>,
    pub(super) name: &'static str,
    pub(super) object: &'static str,
}

/// A request, and the rules that raise a signal because of it, on any source that shows it.
pub(super) struct Step {
    pub(super) line: &'static str,
    /// Standard input.
    pub(super) input: &'static str,
    pub(super) rules: &'static [&'static str],
}

const fn kind(
    (group, version): (&'static str, &'static str),
    (plural, kind): (&'static str, &'static str),
    namespace: &'static str,
    name: &'static str,
    object: &'static str,
) -> Sample {
    let namespace = if namespace.is_empty() { None } else { Some(namespace) };
    Sample { group, version, plural, kind, namespace, name, object }
}

const fn step(line: &'static str, rules: &'static [&'static str]) -> Step {
    Step { line, input: "", rules }
}

const VELERO: (&str, &str) = ("velero.io", "v1");
const LONGHORN: (&str, &str) = ("longhorn.io", "v1beta2");
const SNAPSHOT: (&str, &str) = ("snapshot.storage.k8s.io", "v1");
const CNPG: (&str, &str) = ("postgresql.cnpg.io", "v1");
const K8UP: (&str, &str) = ("k8up.io", "v1");
const STASH: (&str, &str) = ("stash.appscode.com", "v1beta1");
const KUBESTASH: (&str, &str) = ("storage.kubestash.com", "v1alpha1");
const STORK: (&str, &str) = ("stork.libopenstorage.org", "v1alpha1");
const TRILIO: (&str, &str) = ("triliovault.trilio.io", "v1");
const KUBEBLOCKS: (&str, &str) = ("dataprotection.kubeblocks.io", "v1alpha1");

pub(super) const KINDS: [Sample; 37] = [
    kind(
        VELERO,
        ("schedules", "Schedule"),
        "velero",
        "daily",
        r#"{"spec":{"schedule":"0 2 * * *","template":{"includedNamespaces":["*"],"ttl":"720h"}}}"#,
    ),
    kind(
        VELERO,
        ("backups", "Backup"),
        "velero",
        "daily-1",
        r#"{"metadata":{"finalizers":["example.com/hold"]},"spec":{"ttl":"720h"}}"#,
    ),
    kind(
        VELERO,
        ("backupstoragelocations", "BackupStorageLocation"),
        "velero",
        "default",
        r#"{"spec":{"provider":"aws","objectStorage":{"bucket":"backups"}}}"#,
    ),
    kind(VELERO, ("deletebackuprequests", "DeleteBackupRequest"), "velero", "", ""),
    kind(LONGHORN, ("backups", "Backup"), "longhorn-system", "b-1", r#"{"spec":{}}"#),
    kind(LONGHORN, ("snapshots", "Snapshot"), "longhorn-system", "s-1", r#"{"spec":{}}"#),
    kind(
        LONGHORN,
        ("backuptargets", "BackupTarget"),
        "longhorn-system",
        "default",
        r#"{"spec":{"backupTargetURL":"s3://backups@eu/","credentialSecret":"s3","pollInterval":"5m0s"}}"#,
    ),
    kind(
        LONGHORN,
        ("recurringjobs", "RecurringJob"),
        "longhorn-system",
        "nightly",
        r#"{"spec":{"cron":"0 3 * * *","retain":14,"task":"backup"}}"#,
    ),
    kind(
        LONGHORN,
        ("settings", "Setting"),
        "longhorn-system",
        "deleting-confirmation-flag",
        r#"{"value":"false"}"#,
    ),
    kind(
        SNAPSHOT,
        ("volumesnapshots", "VolumeSnapshot"),
        "shop",
        "s-1",
        r#"{"spec":{"source":{"persistentVolumeClaimName":"orders"}}}"#,
    ),
    kind(
        SNAPSHOT,
        ("volumesnapshotcontents", "VolumeSnapshotContent"),
        "",
        "c-1",
        r#"{"spec":{"deletionPolicy":"Retain","driver":"csi.example.com","source":{"snapshotHandle":"h"},"volumeSnapshotRef":{"name":"s-1","namespace":"shop"}}}"#,
    ),
    kind(
        SNAPSHOT,
        ("volumesnapshotclasses", "VolumeSnapshotClass"),
        "",
        "class",
        r#"{"driver":"csi.example.com","deletionPolicy":"Retain"}"#,
    ),
    kind(CNPG, ("backups", "Backup"), "shop", "b-1", r#"{"spec":{"cluster":{"name":"orders"}}}"#),
    kind(
        CNPG,
        ("clusters", "Cluster"),
        "shop",
        "orders",
        r#"{"spec":{"backup":{"retentionPolicy":"30d","barmanObjectStore":{"destinationPath":"s3://backups"}}}}"#,
    ),
    kind(
        CNPG,
        ("scheduledbackups", "ScheduledBackup"),
        "shop",
        "nightly",
        r#"{"spec":{"schedule":"0 0 2 * * *","cluster":{"name":"orders"}}}"#,
    ),
    kind(
        K8UP,
        ("schedules", "Schedule"),
        "shop",
        "daily",
        r#"{"spec":{"backend":{"s3":{"bucket":"shop"}},"backup":{"schedule":"@daily-random"},"prune":{"schedule":"@weekly","retention":{"keepLast":5,"keepDaily":14}}}}"#,
    ),
    kind(K8UP, ("prunes", "Prune"), "shop", "", ""),
    kind(
        ("volsync.backube", "v1alpha1"),
        ("replicationsources", "ReplicationSource"),
        "shop",
        "orders",
        r#"{"spec":{"sourcePVC":"orders","trigger":{"schedule":"0 3 * * *"},"restic":{"repository":"restic","retain":{"daily":14,"hourly":6}}}}"#,
    ),
    kind(
        STASH,
        ("backupconfigurations", "BackupConfiguration"),
        "shop",
        "orders",
        r#"{"spec":{"schedule":"0 3 * * *","repository":{"name":"s3"},"retentionPolicy":{"keepLast":5,"keepDaily":14}}}"#,
    ),
    kind(
        (STASH.0, "v1alpha1"),
        ("repositories", "Repository"),
        "shop",
        "s3",
        r#"{"spec":{"backend":{"s3":{"bucket":"backups"}}}}"#,
    ),
    kind(
        ("core.kubestash.com", "v1alpha1"),
        ("backupconfigurations", "BackupConfiguration"),
        "shop",
        "orders",
        r#"{"spec":{"sessions":[{"name":"daily","scheduler":{"schedule":"0 3 * * *"}}]}}"#,
    ),
    kind(
        KUBESTASH,
        ("backupstorages", "BackupStorage"),
        "shop",
        "main",
        r#"{"spec":{"deletionPolicy":"Delete","storage":{"provider":"s3","s3":{"bucket":"backups"}}}}"#,
    ),
    kind(
        KUBESTASH,
        ("retentionpolicies", "RetentionPolicy"),
        "shop",
        "month",
        r#"{"spec":{"maxRetentionPeriod":"2mo","successfulSnapshots":{"last":5,"daily":14}}}"#,
    ),
    kind(
        KUBESTASH,
        ("snapshots", "Snapshot"),
        "shop",
        "s-1",
        r#"{"spec":{"deletionPolicy":"WipeOut"}}"#,
    ),
    kind(
        STORK,
        ("applicationbackups", "ApplicationBackup"),
        "shop",
        "b-1",
        r#"{"spec":{"reclaimPolicy":"Retain","backupLocation":"s3"}}"#,
    ),
    kind(
        STORK,
        ("applicationbackupschedules", "ApplicationBackupSchedule"),
        "shop",
        "daily",
        r#"{"spec":{"schedulePolicyName":"daily","reclaimPolicy":"Retain","template":{"spec":{"namespaces":["orders","shop"]}}}}"#,
    ),
    kind(
        STORK,
        ("backuplocations", "BackupLocation"),
        "shop",
        "s3",
        r#"{"location":{"type":"s3","path":"backups"}}"#,
    ),
    kind(
        STORK,
        ("schedulepolicies", "SchedulePolicy"),
        "",
        "daily",
        r#"{"policy":{"daily":{"retain":14}}}"#,
    ),
    kind(TRILIO, ("backups", "Backup"), "shop", "b-1", r#"{"spec":{"type":"Full"}}"#),
    kind(
        TRILIO,
        ("policies", "Policy"),
        "shop",
        "keep",
        r#"{"spec":{"type":"Retention","retentionConfig":{"latest":5,"weekly":4}}}"#,
    ),
    kind(
        TRILIO,
        ("targets", "Target"),
        "shop",
        "s3",
        r#"{"spec":{"type":"ObjectStore","objectStoreCredentials":{"bucketName":"backups"}}}"#,
    ),
    kind(
        KUBEBLOCKS,
        ("backups", "Backup"),
        "shop",
        "b-1",
        r#"{"spec":{"deletionPolicy":"Delete","retentionPeriod":"30d"}}"#,
    ),
    kind(
        KUBEBLOCKS,
        ("backupschedules", "BackupSchedule"),
        "shop",
        "orders",
        r#"{"spec":{"schedules":[{"cronExpression":"0 3 * * *","enabled":true,"retentionPeriod":"30d"}]}}"#,
    ),
    kind(
        KUBEBLOCKS,
        ("backuprepos", "BackupRepo"),
        "",
        "main",
        r#"{"spec":{"config":{"bucket":"backups"}}}"#,
    ),
    kind(
        ("k3s.cattle.io", "v1"),
        ("etcdsnapshotfiles", "ETCDSnapshotFile"),
        "",
        "node-1",
        r#"{"spec":{"location":"file:///s","nodeName":"n","snapshotName":"s"}}"#,
    ),
    kind(
        ("rke.cattle.io", "v1"),
        ("etcdsnapshots", "ETCDSnapshot"),
        "shop",
        "s-1",
        r#"{"spec":{}}"#,
    ),
    kind(
        ("config.kio.kasten.io", "v1alpha1"),
        ("policies", "Policy"),
        "shop",
        "daily",
        r#"{"spec":{"frequency":"@daily","retention":{"daily":7},"actions":[{"action":"backup"}]}}"#,
    ),
];

/// Later steps need the objects of earlier ones.
pub(super) const STEPS: [Step; 65] = [
    step(
        r#"-n velero patch schedules.velero.io daily --type=merge -p {"spec":{"template":{"ttl":"96h"}}}"#,
        &["backup-retention-lowered"],
    ),
    step(
        r#"-n velero patch schedules.velero.io daily --type=json -p [{"op":"replace","path":"/spec/template/ttl","value":"1h"}]"#,
        &["backup-retention-lowered", "velero-schedule-changed-ttl"],
    ),
    step(
        r#"-n velero patch schedules.velero.io daily --type=merge -p {"spec":{"schedule":"@weekly"}}"#,
        &["backup-schedule-rarer"],
    ),
    step(
        r#"-n velero patch schedules.velero.io daily --type=merge -p {"spec":{"template":{"includedNamespaces":["none"]}}}"#,
        &["backup-selection-narrowed"],
    ),
    step(
        r#"-n velero patch schedules.velero.io daily --type=merge -p {"spec":{"paused":true}}"#,
        &["velero-schedule-changed"],
    ),
    step(
        r#"-n velero patch backupstoragelocations.velero.io default --type=merge -p {"spec":{"objectStorage":{"bucket":"loot"}}}"#,
        &["velero-storage-location-changed"],
    ),
    Step {
        line: "create -f -",
        input: r#"{"apiVersion":"velero.io/v1","kind":"DeleteBackupRequest","metadata":{"name":"now","namespace":"velero"},"spec":{"backupName":"daily-1"}}"#,
        rules: &["velero-backup-data-deleted"],
    },
    step(
        r#"-n velero patch backups.velero.io daily-1 --type=merge -p {"metadata":{"finalizers":null}}"#,
        &["backup-finalizers-stripped"],
    ),
    step("-n velero delete backups.velero.io daily-1", &["velero-backups-deleted"]),
    step("-n velero delete schedules.velero.io daily", &["velero-schedule-deleted"]),
    step(
        "-n velero delete backupstoragelocations.velero.io default",
        &["velero-storage-location-deleted"],
    ),
    step("-n longhorn-system delete backups.longhorn.io b-1", &["longhorn-backups-deleted"]),
    step("-n longhorn-system delete snapshots.longhorn.io s-1", &["longhorn-snapshots-deleted"]),
    step(
        r#"-n longhorn-system patch backuptargets.longhorn.io default --type=merge -p {"spec":{"backupTargetURL":"s3://loot@eu/"}}"#,
        &["longhorn-backuptarget-changed"],
    ),
    step(
        r#"-n longhorn-system patch backuptargets.longhorn.io default --type=merge -p {"spec":{"pollInterval":"0"}}"#,
        &["longhorn-backuptarget-changed-poll"],
    ),
    step(
        r#"-n longhorn-system patch recurringjobs.longhorn.io nightly --type=merge -p {"spec":{"retain":5,"cron":"@monthly"}}"#,
        &["backup-retention-lowered", "backup-schedule-rarer"],
    ),
    step(
        "-n longhorn-system delete recurringjobs.longhorn.io nightly",
        &["longhorn-recurringjob-changed"],
    ),
    step(
        r#"-n longhorn-system patch settings.longhorn.io deleting-confirmation-flag --type=merge -p {"value":"true"}"#,
        &["longhorn-setting-changed"],
    ),
    step(
        r#"patch volumesnapshotcontents c-1 --type=merge -p {"spec":{"deletionPolicy":"Delete"}}"#,
        &["csi-deletion-policy-changed"],
    ),
    step("-n shop delete volumesnapshots s-1", &["csi-snapshots-deleted"]),
    step("delete volumesnapshotcontents c-1", &["csi-snapshotcontents-deleted"]),
    step("delete volumesnapshotclasses class", &["csi-snapshotclasses-deleted"]),
    step(
        r#"-n shop patch clusters.postgresql.cnpg.io orders --type=merge -p {"spec":{"backup":{"retentionPolicy":"1d"}}}"#,
        &["backup-retention-lowered", "cnpg-retention-lowered"],
    ),
    step(
        r#"-n shop patch clusters.postgresql.cnpg.io orders --type=merge -p {"spec":{"backup":{"barmanObjectStore":{"destinationPath":"s3://loot"}}}}"#,
        &["cnpg-location-changed"],
    ),
    step(
        r#"-n shop patch scheduledbackups.postgresql.cnpg.io nightly --type=merge -p {"spec":{"suspend":true}}"#,
        &["cnpg-scheduledbackup-suspended"],
    ),
    step(
        "-n shop delete scheduledbackups.postgresql.cnpg.io nightly",
        &["cnpg-scheduledbackup-deleted"],
    ),
    step("-n shop delete backups.postgresql.cnpg.io b-1", &["cnpg-backups-deleted"]),
    step(
        r#"-n shop patch schedules.k8up.io daily --type=merge -p {"spec":{"prune":{"retention":{"keepLast":1,"keepDaily":null}}}}"#,
        &["backup-retention-lowered", "backup-setting-removed", "k8up-retention-lowered"],
    ),
    step(
        r#"-n shop patch schedules.k8up.io daily --type=merge -p {"spec":{"backend":{"s3":{"bucket":"loot"}}}}"#,
        &["k8up-backend-changed"],
    ),
    Step {
        line: "create -f -",
        input: r#"{"apiVersion":"k8up.io/v1","kind":"Prune","metadata":{"name":"now","namespace":"shop"},"spec":{"retention":{"keepLast":1}}}"#,
        rules: &["k8up-prune-keeps-almost-nothing"],
    },
    step("-n shop delete schedules.k8up.io daily", &["k8up-schedule-deleted"]),
    step(
        r#"-n shop patch replicationsources orders --type=merge -p {"spec":{"paused":true}}"#,
        &["volsync-replication-paused"],
    ),
    step(
        r#"-n shop patch replicationsources orders --type=merge -p {"spec":{"restic":{"retain":{"daily":1,"hourly":null}}}}"#,
        &["backup-retention-lowered", "backup-setting-removed", "volsync-retention-lowered"],
    ),
    step(
        r#"-n shop patch replicationsources orders --type=merge -p {"spec":{"restic":{"repository":"other"}}}"#,
        &["volsync-repository-changed"],
    ),
    step("-n shop delete replicationsources orders", &["volsync-replication-deleted"]),
    step(
        r#"-n shop patch backupconfigurations.stash.appscode.com orders --type=merge -p {"spec":{"paused":true}}"#,
        &["stash-backup-paused"],
    ),
    step(
        r#"-n shop patch backupconfigurations.stash.appscode.com orders --type=merge -p {"spec":{"retentionPolicy":{"keepLast":1,"keepDaily":1}}}"#,
        &["backup-retention-lowered", "stash-retention-lowered"],
    ),
    step(
        r#"-n shop patch repositories.stash.appscode.com s3 --type=merge -p {"spec":{"backend":{"s3":{"bucket":"loot"}}}}"#,
        &["stash-repository-changed"],
    ),
    step(
        r#"-n shop patch repositories.stash.appscode.com s3 --type=merge -p {"metadata":{"finalizers":["stash"]},"spec":{"wipeOut":true}}"#,
        &["stash-wipeout-set"],
    ),
    step(
        "-n shop delete repositories.stash.appscode.com s3 --wait=false",
        &["stash-repositories-deleted-with-data"],
    ),
    step(
        r#"-n shop patch backupconfigurations.core.kubestash.com orders --type=merge -p {"spec":{"paused":true}}"#,
        &["kubestash-backup-paused"],
    ),
    step(
        r#"-n shop patch backupstorages.storage.kubestash.com main --type=merge -p {"spec":{"deletionPolicy":"WipeOut"}}"#,
        &["kubestash-wipeout-set"],
    ),
    step(
        r#"-n shop patch backupstorages.storage.kubestash.com main --type=merge -p {"spec":{"storage":{"s3":{"bucket":"loot"}}}}"#,
        &["kubestash-storage-changed"],
    ),
    step(
        r#"-n shop patch retentionpolicies.storage.kubestash.com month --type=merge -p {"spec":{"maxRetentionPeriod":"1d"}}"#,
        &["backup-retention-lowered", "kubestash-retention-period-lowered"],
    ),
    step(
        r#"-n shop patch snapshots.storage.kubestash.com s-1 --type=merge -p {"metadata":{"finalizers":["kubestash.com/cleanup"]}}"#,
        &[],
    ),
    step(
        "-n shop delete snapshots.storage.kubestash.com s-1 --wait=false",
        &["kubestash-snapshots-deleted-with-data"],
    ),
    step(
        r#"-n shop patch applicationbackups.stork.libopenstorage.org b-1 --type=merge -p {"spec":{"reclaimPolicy":"Delete"}}"#,
        &["stork-reclaim-policy-set"],
    ),
    step(
        r#"-n shop patch applicationbackupschedules.stork.libopenstorage.org daily --type=merge -p {"spec":{"template":{"spec":{"namespaces":["orders"]}}}}"#,
        &["backup-selection-narrowed"],
    ),
    step(
        r#"-n shop patch applicationbackupschedules.stork.libopenstorage.org daily --type=merge -p {"spec":{"schedulePolicyName":"yearly"}}"#,
        &["backup-reference-swapped"],
    ),
    step(
        r#"-n shop patch applicationbackupschedules.stork.libopenstorage.org daily --type=merge -p {"spec":{"suspend":true}}"#,
        &["stork-schedule-suspended"],
    ),
    step(
        r#"-n shop patch backuplocations.stork.libopenstorage.org s3 --type=merge -p {"location":{"path":"loot"}}"#,
        &["stork-location-changed"],
    ),
    step(
        r#"patch schedulepolicies.stork.libopenstorage.org daily --type=merge -p {"policy":{"daily":{"retain":1}}}"#,
        &["backup-retention-lowered", "stork-retention-lowered"],
    ),
    step(
        r#"-n shop patch policies.triliovault.trilio.io keep --type=merge -p {"spec":{"retentionConfig":{"latest":1,"weekly":null}}}"#,
        &["backup-retention-lowered", "backup-setting-removed", "trilio-retention-lowered"],
    ),
    step(
        r#"-n shop patch targets.triliovault.trilio.io s3 --type=merge -p {"spec":{"objectStoreCredentials":{"bucketName":"loot"}}}"#,
        &["trilio-target-changed"],
    ),
    step("-n shop delete backups.triliovault.trilio.io b-1", &["trilio-backups-deleted"]),
    step(
        r#"-n shop patch backupschedules.dataprotection.kubeblocks.io orders --type=merge -p {"spec":{"schedules":[{"cronExpression":"@monthly","enabled":true,"retentionPeriod":"1d"}]}}"#,
        &["backup-retention-lowered", "backup-schedule-rarer", "kubeblocks-retention-lowered"],
    ),
    step(
        r#"patch backuprepos.dataprotection.kubeblocks.io main --type=merge -p {"spec":{"config":{"bucket":"loot"}}}"#,
        &["kubeblocks-repository-changed"],
    ),
    step(
        r#"-n shop patch backups.dataprotection.kubeblocks.io b-1 --type=merge -p {"metadata":{"finalizers":["dataprotection.kubeblocks.io/finalizer"]}}"#,
        &[],
    ),
    step(
        "-n shop delete backups.dataprotection.kubeblocks.io b-1 --wait=false",
        &["kubeblocks-backups-deleted-with-data"],
    ),
    step("delete etcdsnapshotfiles.k3s.cattle.io node-1", &["etcd-snapshots-deleted"]),
    step("-n shop delete etcdsnapshots.rke.cattle.io s-1", &["etcd-snapshots-deleted"]),
    step(
        r#"-n shop patch policies.config.kio.kasten.io daily --type=merge -p {"spec":{"retention":{"daily":1}}}"#,
        &["backup-retention-lowered"],
    ),
    step(
        r#"-n shop patch policies.config.kio.kasten.io daily --type=json -p [{"op":"remove","path":"/spec/frequency"}]"#,
        &["backup-schedule-rarer", "backup-setting-removed"],
    ),
    step(
        r#"-n shop patch policies.config.kio.kasten.io daily --type=merge -p {"spec":{"paused":true}}"#,
        &["kasten-policy-paused"],
    ),
    step("-n shop delete policies.config.kio.kasten.io daily", &["kasten-policy-deleted"]),
];
