//! The work of the backup tools themselves, and the objects that pipelines apply.

use serde_json::{Value, json};

use super::super::acts::{DAY, HOUR, MINUTE, SECOND};
use super::super::month::Random;
use super::{ADMISSION, CORE, Kind, LONGHORN, Month, SNAPSHOT, SNAPSHOTS, UNKNOWN, VELERO};

impl Month {
    /// The backup tools: backups, retention, and their own bookkeeping.
    pub(super) fn operators(&mut self, day: i64, number: i64, random: &mut Random) {
        for run in 0..4 {
            let at = day + run * 6 * HOUR + random.below(HOUR);
            let name = format!("daily-{number}-{run}");
            self.velero(at, &name, number);
            self.longhorn(at, &name, number);
            for run in 0..12 {
                let at = at + run * 5 * MINUTE;
                let status = json!({"status": {"phase": "Available"}});
                let location = ("velero", "default");
                self.send(
                    at,
                    VELERO,
                    "patch",
                    ("velero.io", "backupstoragelocations"),
                    location,
                    status,
                );
                let sync = json!({"spec": {"syncRequestedAt": "2026-11-01T00:00:00Z"}});
                let target = ("longhorn-system", "default");
                self.send(at, LONGHORN, "update", ("longhorn.io", "backuptargets"), target, sync);
                self.act(at, VELERO, "get", (CORE, "secrets"), ("velero", "cloud-credentials"));
            }
        }
        for (user, namespace) in [
            ("system:serviceaccount:volsync-system:volsync", "shop"),
            ("system:serviceaccount:kasten-io:executor-svc", "bank"),
            (UNKNOWN, "shop"),
        ] {
            for n in 0..3 {
                let (at, name) = (day + random.below(DAY), format!("s-{number}-{n}"));
                self.act(at, user, "create", (SNAPSHOT, "volumesnapshots"), (namespace, &name));
                self.act(
                    at + HOUR,
                    user,
                    "delete",
                    (SNAPSHOT, "volumesnapshots"),
                    (namespace, &name),
                );
                self.act(
                    at + HOUR,
                    SNAPSHOTS,
                    "delete",
                    (SNAPSHOT, "volumesnapshotcontents"),
                    ("", &name),
                );
                let finalizers = json!({"metadata": {"finalizers": null}});
                self.send(
                    at + HOUR,
                    SNAPSHOTS,
                    "patch",
                    (SNAPSHOT, "volumesnapshotcontents"),
                    ("", &name),
                    finalizers,
                );
                self.last().response = Some(json!({"metadata": {"name": name}}));
            }
        }
    }

    /// A backup by Velero, and the deletion of one that expired.
    fn velero(&mut self, at: i64, name: &str, number: i64) {
        let backup = ("velero", name);
        self.act(at, VELERO, "create", ("velero.io", "backups"), backup);
        let expiration = json!({"status": {"expiration": "2026-12-20T00:00:00Z"}});
        self.send(at + SECOND, VELERO, "patch", ("velero.io", "backups"), backup, expiration);
        let schedule = json!({"status": {"lastBackup": "2026-11-01T00:00:00Z"}});
        self.send(
            at + SECOND,
            VELERO,
            "patch",
            ("velero.io", "schedules"),
            ("velero", "daily"),
            schedule,
        );
        let maintenance = json!({"spec": {"maintenanceFrequency": "1h0m0s"}, "status": {}});
        self.send(
            at,
            VELERO,
            "update",
            ("velero.io", "backuprepositories"),
            ("velero", "r"),
            maintenance,
        );
        if number > 7 {
            let old = format!("old-{name}");
            self.act(
                at + HOUR,
                VELERO,
                "create",
                ("velero.io", "deletebackuprequests"),
                ("velero", ""),
            );
            self.act(
                at + HOUR + MINUTE,
                VELERO,
                "delete",
                ("velero.io", "backups"),
                ("velero", &old),
            );
            self.act(
                at + HOUR + MINUTE,
                VELERO,
                "delete",
                (SNAPSHOT, "volumesnapshots"),
                ("shop", &old),
            );
        }
    }

    /// A backup by a recurring job of Longhorn, and the deletion of an old one.
    fn longhorn(&mut self, at: i64, name: &str, number: i64) {
        let backup = ("longhorn-system", name);
        self.act(at, LONGHORN, "create", ("longhorn.io", "snapshots"), backup);
        self.act(at + MINUTE, LONGHORN, "create", ("longhorn.io", "backups"), backup);
        if number > 7 {
            for resource in ["backups", "snapshots"] {
                self.act(at + HOUR, LONGHORN, "delete", ("longhorn.io", resource), backup);
            }
            let finalizers = json!({"metadata": {"finalizers": []}});
            self.send(
                at + HOUR,
                LONGHORN,
                "update",
                ("longhorn.io", "backups"),
                backup,
                finalizers,
            );
            self.last().response = Some(json!({"metadata": {"name": name}}));
        }
    }
}

/// The objects that a pipeline applies as a whole.
pub(super) fn applied() -> Vec<(Kind, (&'static str, &'static str), Value)> {
    let object =
        |kind: &str, spec: Value| json!({"kind": kind, "metadata": {"name": "n"}, "spec": spec});
    let velero = |resource, name, kind: &str, spec| {
        (("velero.io", resource), ("velero", name), object(kind, spec))
    };
    let longhorn = |resource, name, kind: &str, spec| {
        (("longhorn.io", resource), ("longhorn-system", name), object(kind, spec))
    };
    vec![
        velero(
            "schedules",
            "daily",
            "Schedule",
            json!({"schedule": "0 2 * * *", "paused": false, "template": {"ttl": "720h"}}),
        ),
        velero(
            "backupstoragelocations",
            "default",
            "BackupStorageLocation",
            json!({"provider": "aws", "accessMode": "ReadWrite", "objectStorage": {"bucket": "b"}, "config": {}, "credential": {"name": "c"}}),
        ),
        longhorn(
            "backuptargets",
            "default",
            "BackupTarget",
            json!({"backupTargetURL": "s3://b@eu/", "credentialSecret": "s", "pollInterval": "5m0s"}),
        ),
        longhorn(
            "recurringjobs",
            "nightly",
            "RecurringJob",
            json!({"task": "backup", "cron": "0 3 * * *", "retain": 14}),
        ),
        (
            (SNAPSHOT, "volumesnapshotclasses"),
            ("", "csi"),
            json!({"kind": "VolumeSnapshotClass", "driver": "ebs.csi.aws.com", "deletionPolicy": "Delete"}),
        ),
        (
            ("apps", "deployments"),
            ("velero", "velero"),
            object("Deployment", json!({"replicas": 1, "template": {}})),
        ),
        (
            (ADMISSION, "validatingwebhookconfigurations"),
            ("", "keepwatch-admission"),
            json!({"kind": "ValidatingWebhookConfiguration", "webhooks": [{"name": "w"}]}),
        ),
    ]
}
