//! What actions accept, refuse and become.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::fake_registry::FakeRegistry;

/// A registry with a restore point of shop and a cluster restore point.
fn registry() -> FakeRegistry {
    let mut registry = FakeRegistry::default();
    for (kind, path, spec) in [
        ("RestorePointContent", "shop-rp", json!({})),
        ("ClusterRestorePoint", "crp", json!({})),
        ("RestorePoint", "shop/rp", json!({"restorePointContentRef": {"name": "shop-rp"}})),
    ] {
        assert_eq!(registry.create("kasten", kind, path, spec), "201");
    }
    registry
}

#[track_caller]
fn check(kind: &str, path: &str, spec: Value, expected: &Expect) {
    expected.assert_eq(&registry().create_as_alice(kind, path, spec));
}

fn shop(kind: &str) -> Value {
    json!({"subject": {"kind": kind, "name": "rp", "namespace": "shop"}})
}

#[test]
fn a_backup_gets_its_labels_state_and_namespace() {
    let mut registry = registry();
    let spec = json!({"subject": {"name": "shop"}});
    assert_eq!(registry.create("alice", "BackupAction", "shop/b", spec), "201");
    let field = |path| registry.field("BackupAction", "shop/b", path);
    assert_eq!(
        field("metadata.labels"),
        json!({
            "k10.kasten.io/appName": "shop",
            "k10.kasten.io/appNamespace": "shop",
            "k10.kasten.io/appType": "namespace",
        })
    );
    assert_eq!(field("spec.subject.namespace"), json!("shop"));
    assert_eq!(field("status.state"), json!("Pending"));
    assert_eq!(field("status.startTime"), json!(super::fake_registry::NOW));
}

#[test]
fn a_backup_of_a_virtual_machine_is_labelled() {
    let mut registry = registry();
    let vm = json!({"kind": "VirtualMachine", "name": "db", "apiVersion": "kubevirt.io/v1"});
    assert_eq!(registry.create("alice", "BackupAction", "shop/b", json!({"subject": vm})), "201");
    let labels = registry.field("BackupAction", "shop/b", "metadata.labels");
    assert_eq!(labels["k10.kasten.io/appType"], "virtualMachine");
    let vm = json!({"subject": {"kind": "VirtualMachine", "name": "db"}});
    check(
        "BackupAction",
        "shop/b",
        vm,
        &expect![[
            r#"422 BackupAction.actions.kio.kasten.io "b" is invalid: spec.subject.apiVersion: Unsupported value: "": supported values: "kubevirt.io/v1""#
        ]],
    );
}

#[test]
fn a_backup_is_limited_to_its_own_namespace() {
    let spec = json!({"subject": {"name": "crm", "namespace": "crm"}, "expiresAt": "soon"});
    check(
        "BackupAction",
        "shop/b",
        spec,
        &expect![[
            r#"422 BackupAction.actions.kio.kasten.io "b" is invalid: [spec.expiresAt: Invalid value: "soon": must be an RFC 3339 time, such as 2026-11-23T09:30:00Z, spec.subject.namespace: Invalid value: "crm": must be the namespace of this object, "shop"]"#
        ]],
    );
    check(
        "BackupAction",
        "shop/b",
        json!({}),
        &expect![[
            r#"422 BackupAction.actions.kio.kasten.io "b" is invalid: spec.subject.name: Required value"#
        ]],
    );
}

#[test]
fn a_restore_requires_read_access_to_its_restore_point() {
    check(
        "RestoreAction",
        "blog/r",
        shop("RestorePoint"),
        &expect!["201; needs get restorepoints.apps.kio.kasten.io shop/rp"],
    );
    check(
        "RestoreAction",
        "shop/r",
        shop("Policy"),
        &expect![[
            r#"422 RestoreAction.actions.kio.kasten.io "r" is invalid: spec.subject.kind: Unsupported value: "Policy": supported values: "RestorePoint""#
        ]],
    );
    check(
        "RestoreAction",
        "shop/r",
        json!({"subject": {"name": "rp"}}),
        &expect![[
            r#"422 RestoreAction.actions.kio.kasten.io "r" is invalid: spec.subject.kind: Required value: must be RestorePoint"#
        ]],
    );
    let missing = json!({"subject": {"kind": "RestorePoint", "name": "gone"}});
    check(
        "RestoreAction",
        "shop/r",
        missing,
        &expect![[
            r#"422 RestoreAction.actions.kio.kasten.io "r" is invalid: spec.subject.name: Not found: "gone"; needs get restorepoints.apps.kio.kasten.io shop/gone"#
        ]],
    );
    let mut in_crm = shop("RestorePoint");
    in_crm["targetNamespace"] = json!("crm");
    check(
        "RestoreAction",
        "shop/r",
        in_crm,
        &expect![[
            r#"422 RestoreAction.actions.kio.kasten.io "r" is invalid: spec.targetNamespace: Invalid value: "crm": must be the namespace of this object, "shop""#
        ]],
    );
}

#[test]
fn a_run_requires_read_access_to_its_policy() {
    let policy = json!({"subject": {"kind": "Policy", "name": "daily", "namespace": "kasten-io"}});
    check(
        "RunAction",
        "shop/run",
        policy,
        &expect!["201; needs get policies.config.kio.kasten.io kasten-io/daily"],
    );
    check(
        "RunAction",
        "shop/run",
        shop("RestorePoint"),
        &expect![[
            r#"422 RunAction.actions.kio.kasten.io "run" is invalid: spec.subject.kind: Unsupported value: "RestorePoint": supported values: "Policy""#
        ]],
    );
}

#[test]
fn an_export_requires_read_access_to_its_restore_point() {
    let mut spec = shop("RestorePoint");
    check(
        "ExportAction",
        "kasten-io/e",
        spec.clone(),
        &expect![[
            r#"422 ExportAction.actions.kio.kasten.io "e" is invalid: spec.profile.name: Required value"#
        ]],
    );
    spec["profile"] = json!({"name": "s3", "namespace": "kasten-io"});
    check(
        "ExportAction",
        "kasten-io/e",
        spec,
        &expect!["201; needs get restorepoints.apps.kio.kasten.io shop/rp"],
    );
}

#[test]
fn a_cluster_restore_requires_read_access_to_its_restore_point() {
    let spec = |name| json!({"subject": {"kind": "ClusterRestorePoint", "name": name}});
    check(
        "RestoreClusterAction",
        "r",
        spec("crp"),
        &expect!["201; needs get clusterrestorepoints.apps.kio.kasten.io /crp"],
    );
    check(
        "RestoreClusterAction",
        "r",
        spec("gone"),
        &expect![[
            r#"422 RestoreClusterAction.actions.kio.kasten.io "r" is invalid: spec.subject.name: Not found: "gone"; needs get clusterrestorepoints.apps.kio.kasten.io /gone"#
        ]],
    );
    check(
        "BackupClusterAction",
        "b",
        json!({"scheduledTime": "9 o'clock"}),
        &expect![[
            r#"422 BackupClusterAction.actions.kio.kasten.io "b" is invalid: spec.scheduledTime: Invalid value: "9 o'clock": must be an RFC 3339 time, such as 2026-11-23T09:30:00Z"#
        ]],
    );
}

#[test]
fn a_batch_names_its_applications() {
    let batch = |subjects| json!({"subjects": subjects});
    let all = json!([
        {"namespace": "shop", "restorePointName": "rp"},
        {"namespace": "blog", "restorePointContentName": "c"},
        {"namespace": "crm"},
    ]);
    check(
        "BatchRestoreAction",
        "kasten-io/b",
        batch(all),
        &expect![
            "201; needs get restorepoints.apps.kio.kasten.io shop/rp; get restorepointcontents.apps.kio.kasten.io /c; list restorepoints.apps.kio.kasten.io crm/"
        ],
    );
    check(
        "BatchRestoreAction",
        "shop/b",
        batch(json!([])),
        &expect![[
            r#"422 BatchRestoreAction.actions.kio.kasten.io "b" is invalid: [metadata.namespace: Invalid value: "shop": must be K10's namespace, "kasten-io", spec.subjects: Required value: at least one application]"#
        ]],
    );
    let both = json!([{"restorePointName": "rp", "restorePointContentName": "c"}]);
    check(
        "BatchRestoreAction",
        "kasten-io/b",
        batch(both),
        &expect![[
            r#"422 BatchRestoreAction.actions.kio.kasten.io "b" is invalid: [spec.subjects[0].namespace: Required value, spec.subjects[0].restorePointContentName: Forbidden: may not be set together with restorePointName]"#
        ]],
    );
}

#[test]
fn a_report_covers_a_positive_period() {
    let report = |days, hours| json!({"statsIntervalDays": days, "statsIntervalHours": hours});
    check(
        "ReportAction",
        "kasten-io/r",
        report(0, 0),
        &expect![[
            r#"422 ReportAction.actions.kio.kasten.io "r" is invalid: spec.statsIntervalDays: Invalid value: 0: together with spec.statsIntervalHours must be greater than 0"#
        ]],
    );
    check(
        "ReportAction",
        "kasten-io/r",
        report(-1, 24),
        &expect![[
            r#"422 ReportAction.actions.kio.kasten.io "r" is invalid: spec.statsIntervalDays: Invalid value: -1: must not be negative"#
        ]],
    );
    check("ReportAction", "kasten-io/r", report(0, 1), &expect!["201"]);
}

#[test]
fn validations_and_upgrades_start_as_running() {
    check(
        "ValidateAction",
        "kasten-io/v",
        shop("RestorePoint"),
        &expect!["201; needs get restorepoints.apps.kio.kasten.io shop/rp"],
    );
    check(
        "ValidateAction",
        "kasten-io/v",
        shop("RestorePointContent"),
        &expect!["201; needs get restorepointcontents.apps.kio.kasten.io /rp"],
    );
    check(
        "ValidateAction",
        "kasten-io/v",
        shop("Policy"),
        &expect![[
            r#"422 ValidateAction.actions.kio.kasten.io "v" is invalid: spec.subject.kind: Unsupported value: "Policy": supported values: "RestorePoint", "RestorePointContent""#
        ]],
    );
    let repository = json!({"subject": {"kind": "StorageRepository", "name": "kopia"}});
    check(
        "UpgradeAction",
        "kasten-io/u",
        repository,
        &expect!["201; needs get storagerepositories.repositories.kio.kasten.io kasten-io/kopia"],
    );
    check(
        "UpgradeAction",
        "shop/u",
        shop("RestorePoint"),
        &expect![[
            r#"422 UpgradeAction.actions.kio.kasten.io "u" is invalid: [metadata.namespace: Invalid value: "shop": must be K10's namespace, "kasten-io", spec.subject.kind: Unsupported value: "RestorePoint": supported values: "StorageRepository", "Policy"]"#
        ]],
    );
    let mut registry = registry();
    registry.create("alice", "ValidateAction", "kasten-io/v", shop("RestorePoint"));
    assert_eq!(registry.field("ValidateAction", "kasten-io/v", "status.state"), json!("Running"));
}

#[test]
fn some_actions_can_be_created_only_by_k10() {
    let import = json!({"profile": {"name": "s3"}, "receiveString": "x"});
    check(
        "RetireAction",
        "r",
        json!({}),
        &expect![[
            r#"403 retireactions.actions.kio.kasten.io "r" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one"#
        ]],
    );
    check(
        "ImportAction",
        "kasten-io/i",
        import.clone(),
        &expect![[
            r#"403 importactions.actions.kio.kasten.io "i" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one"#
        ]],
    );
    check(
        "StageAction",
        "kasten-io/s",
        json!({}),
        &expect![[
            r#"403 stageactions.actions.kio.kasten.io "s" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one"#
        ]],
    );
    check(
        "MigrateFCDAction",
        "kasten-io/m",
        json!({}),
        &expect![[
            r#"403 migratefcdactions.actions.kio.kasten.io "m" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one"#
        ]],
    );
    let mut registry = registry();
    assert_eq!(registry.create("kasten", "RetireAction", "r", json!({})), "201");
    assert_eq!(registry.create("kasten", "ImportAction", "kasten-io/i", import), "201");
    let refused = registry.create("admin", "RetireAction", "r2", json!({}));
    assert!(refused.starts_with("403"), "{refused}");
}

#[test]
fn an_executor_moves_an_action_along_its_transitions() {
    let mut registry = registry();
    registry.create("alice", "BackupAction", "shop/b", json!({"subject": {"name": "shop"}}));
    let mut steps = String::new();
    for (field, value) in [
        ("status.state", json!("Complete")),
        ("status.state", json!("Running")),
        ("status.progress", json!(140)),
        ("status.progress", json!(50)),
        ("status.startTime", json!("2020-01-01T00:00:00Z")),
        ("status.state", json!("AttemptFailed")),
        ("status.state", json!("Running")),
        ("status.state", json!("Complete")),
        ("status.state", json!("Running")),
        ("status.state", json!("Gone")),
    ] {
        let outcome = registry.set("BackupAction", "shop/b", field, value.clone());
        steps += &[
            field,
            " ",
            &value.to_string(),
            ": ",
            &outcome,
            "
",
        ]
        .concat();
    }
    expect![[r#"
        status.state "Complete": 422 BackupAction.actions.kio.kasten.io "b" is invalid: status.state: Invalid value: "Complete": Pending can change to: Running, Skipped
        status.state "Running": 200
        status.progress 140: 422 BackupAction.actions.kio.kasten.io "b" is invalid: status.progress: Invalid value: 140: must be a whole number from 0 to 100
        status.progress 50: 200
        status.startTime "2020-01-01T00:00:00Z": 200
        status.state "AttemptFailed": 200
        status.state "Running": 200
        status.state "Complete": 200
        status.state "Running": 422 BackupAction.actions.kio.kasten.io "b" is invalid: status.state: Invalid value: "Running": Complete can change to: Deleting
        status.state "Gone": 422 BackupAction.actions.kio.kasten.io "b" is invalid: status.state: Unsupported value: "Gone": supported values: "Pending", "Running", "AttemptFailed", "Failed", "Complete", "Skipped", "Cancelled", "Deleting"
    "#]].assert_eq(&steps);
    let status = registry.field("BackupAction", "shop/b", "status");
    expect![[r#"{"state":"Complete","startTime":"2026-11-23T09:30:00Z","endTime":"2026-11-23T09:30:00Z","progress":100}"#]].assert_eq(&status.to_string());
    assert_eq!(registry.delete("BackupAction", "shop/b"), "200");
    assert!(registry.inventory().contains("restorepoints shop/rp Bound"), "only the record goes");
}

#[test]
fn details_show_phases() {
    let mut registry = registry();
    registry.create("alice", "BackupAction", "shop/b", json!({"subject": {"name": "shop"}}));
    let default_details =
        registry.details("BackupAction", "shop/b")["status"]["actionDetails"].to_string();
    expect![[r#"{"phases":[{"name":"BackupAction","state":"Pending","attempt":1,"startTime":"2026-11-23T09:30:00Z","endTime":null,"updatedTime":null,"errors":[]}]}"#]].assert_eq(&default_details);
    let phases = json!({"phases": [{"name": "Snapshotting", "state": "running"}]});
    registry.set("BackupAction", "shop/b", "status.actionDetails", phases.clone());
    assert_eq!(registry.details("BackupAction", "shop/b")["status"]["actionDetails"], phases);
}

fn cancel(registry: &mut FakeRegistry, user: &str, path: &str, subject: &Value) -> String {
    registry.create(user, "CancelAction", path, json!({"subject": subject}))
}

#[test]
fn a_cancel_action_cancels_and_is_not_stored() {
    let mut registry = registry();
    registry.create("alice", "BackupAction", "shop/b", json!({"subject": {"name": "shop"}}));
    let subject = json!({"kind": "BackupAction", "name": "b"});
    let mut outcome = String::new();
    outcome += &(cancel(&mut registry, "alice", "shop/c", &subject) + "\n");
    registry.set("BackupAction", "shop/b", "status.state", json!("Running"));
    outcome += &(cancel(&mut registry, "alice", "shop/c", &subject) + "\n");
    outcome += &(cancel(&mut registry, "alice", "shop/c", &subject) + "\n");
    expect![[r#"
        409 Operation cannot be fulfilled on backupactions.actions.kio.kasten.io "b": it is Pending and cannot be cancelled yet
        201
        409 Operation cannot be fulfilled on backupactions.actions.kio.kasten.io "b": it is Cancelled and can no longer be cancelled
    "#]].assert_eq(&outcome);
    expect![[r"
        backupactions shop/b Cancelled
        clusterrestorepoints crp 
        restorepointcontents shop-rp Bound
        restorepoints shop/rp Bound
    "]]
    .assert_eq(&registry.inventory());
    assert_eq!(
        registry.field("BackupAction", "shop/b", "status.endTime"),
        json!(super::fake_registry::NOW)
    );
    let after = registry.set("BackupAction", "shop/b", "status.state", json!("Complete"));
    assert!(after.starts_with("422"), "an executor cannot go on: {after}");
}

#[test]
fn a_cancel_is_limited_to_its_own_namespace() {
    let in_crm = json!({"subject": {"kind": "BackupAction", "name": "b", "namespace": "crm"}});
    check(
        "CancelAction",
        "shop/c",
        in_crm,
        &expect![[
            r#"422 CancelAction.actions.kio.kasten.io "c" is invalid: spec.subject.namespace: Invalid value: "crm": must be the namespace of this object, "shop""#
        ]],
    );
    let missing = json!({"subject": {"kind": "BackupAction", "name": "b"}});
    check(
        "CancelAction",
        "shop/c",
        missing,
        &expect![[
            r#"422 CancelAction.actions.kio.kasten.io "c" is invalid: spec.subject.name: Not found: "b""#
        ]],
    );
    let invalid_spec = json!({"subject": {"kind": "ReportAction", "name": "b"}});
    check(
        "CancelAction",
        "shop/c",
        invalid_spec,
        &expect![[
            r#"422 CancelAction.actions.kio.kasten.io "c" is invalid: spec.subject.kind: Unsupported value: "ReportAction": supported values: "BackupAction", "RestoreAction", "ImportAction", "ExportAction", "RunAction", "RetireAction", "BackupClusterAction", "RestoreClusterAction""#
        ]],
    );
    let cluster = json!({"subject": {"kind": "RetireAction", "name": "r"}});
    check(
        "CancelAction",
        "shop/c",
        cluster,
        &expect![[
            r#"422 CancelAction.actions.kio.kasten.io "c" is invalid: metadata.namespace: Invalid value: "shop": a RetireAction must be cancelled from the namespace "kasten-io""#
        ]],
    );
    let wrong_namespace =
        json!({"subject": {"kind": "RetireAction", "name": "r", "namespace": "shop"}});
    check(
        "CancelAction",
        "kasten-io/c",
        wrong_namespace,
        &expect![[
            r#"422 CancelAction.actions.kio.kasten.io "c" is invalid: spec.subject.namespace: Invalid value: "shop": a RetireAction is cluster-scoped"#
        ]],
    );
}

#[test]
fn a_cluster_scoped_action_is_cancelled_from_k10s_namespace() {
    let mut registry = registry();
    registry.create("kasten", "RetireAction", "r", json!({}));
    registry.set("RetireAction", "r", "status.state", json!("Running"));
    let subject = json!({"kind": "RetireAction", "name": "r"});
    assert_eq!(cancel(&mut registry, "admin", "kasten-io/c", &subject), "201");
    assert_eq!(registry.field("RetireAction", "r", "status.state"), json!("Cancelled"));
}
