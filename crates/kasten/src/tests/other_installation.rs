//! Another installation of K10: its groups end in another domain, and it is in another namespace.

use apimachinery::fields;
use apiserver::Objects;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::fake_registry::{FakeRegistry, object};
use crate::Installation;
use crate::apps::applications;

fn other_installation() -> Installation {
    Installation::new("kio.team.backup", "team-backup").unwrap()
}

/// A content of shop and its restore point.
fn registry() -> FakeRegistry {
    let mut registry = FakeRegistry::new(other_installation());
    let mut content = object("RestorePointContent", "shop-rp", json!({}));
    fields::fill_label(&mut content, "k10.kasten.io/appNamespace", "shop");
    registry.try_create("kasten", content).unwrap();
    let spec = json!({"restorePointContentRef": {"name": "shop-rp"}});
    assert_eq!(registry.create("alice", "RestorePoint", "shop/rp", spec), "201");
    registry
}

#[track_caller]
fn check(kind: &str, path: &str, spec: Value, expected: &Expect) {
    expected.assert_eq(&registry().create_as_alice(kind, path, spec));
}

#[test]
fn every_kind_is_served_in_a_group_of_the_other_domain() {
    for resource in crate::resources(&other_installation()) {
        assert!(resource.group.ends_with(".kio.team.backup"), "{}", resource.group);
    }
}

#[test]
fn errors_name_the_other_domain_and_the_other_namespace() {
    check(
        "ReportAction",
        "kasten-io/r",
        json!({"statsIntervalDays": 1}),
        &expect![[
            r#"422 ReportAction.actions.kio.team.backup "r" is invalid: metadata.namespace: Invalid value: "kasten-io": must be K10's namespace, "team-backup""#
        ]],
    );
    check(
        "CancelAction",
        "kasten-io/c",
        json!({"subject": {"kind": "RetireAction", "name": "r"}}),
        &expect![[
            r#"422 CancelAction.actions.kio.team.backup "c" is invalid: metadata.namespace: Invalid value: "kasten-io": a RetireAction must be cancelled from the namespace "team-backup""#
        ]],
    );
    check(
        "Passkey",
        "p",
        json!({"secret": {"name": "s", "namespace": "kasten-io"}}),
        &expect![[
            r#"422 Passkey.vault.kio.team.backup "p" is invalid: spec.secret.namespace: Invalid value: "kasten-io": must be K10's namespace, "team-backup""#
        ]],
    );
    check(
        "RestorePoint",
        "blog/rp",
        json!({"restorePointContentRef": {"name": "shop-rp"}}),
        &expect![[
            r#"409 Operation cannot be fulfilled on restorepoints.apps.kio.team.backup "rp": the restore point content "shop-rp" is bound to shop/rp; needs get restorepointcontents.apps.kio.team.backup /shop-rp"#
        ]],
    );
}

#[test]
fn required_read_access_is_in_the_other_domain() {
    let point = json!({"kind": "RestorePoint", "name": "rp", "namespace": "shop"});
    check(
        "RestoreAction",
        "blog/r",
        json!({"subject": point}),
        &expect!["201; needs get restorepoints.apps.kio.team.backup shop/rp"],
    );
    check(
        "RestoreAction",
        "shop/r",
        json!({"subject": {"kind": "RestorePoint", "name": "gone"}}),
        &expect![[
            r#"422 RestoreAction.actions.kio.team.backup "r" is invalid: spec.subject.name: Not found: "gone"; needs get restorepoints.apps.kio.team.backup shop/gone"#
        ]],
    );
    check(
        "UpgradeAction",
        "team-backup/u",
        json!({"subject": {"kind": "StorageRepository", "name": "kopia"}}),
        &expect![
            "201; needs get storagerepositories.repositories.kio.team.backup team-backup/kopia"
        ],
    );
    // Policies are custom resources, and their group stays.
    check(
        "RunAction",
        "shop/run",
        json!({"subject": {"kind": "Policy", "name": "daily", "namespace": "team-backup"}}),
        &expect!["201; needs get policies.config.kio.kasten.io team-backup/daily"],
    );
}

#[test]
fn only_accounts_of_the_other_namespace_are_k10s_own() {
    let mut outcome = String::new();
    for (user, installation) in [
        ("kasten", other_installation()),
        ("admin", other_installation()),
        ("kasten", Installation::DEFAULT),
    ] {
        let mut registry = FakeRegistry::new(other_installation());
        registry.use_accounts_of(installation);
        outcome += &(registry.create(user, "RetireAction", "r", json!({})) + "\n");
    }
    expect![[r#"
        201
        403 retireactions.actions.kio.team.backup "r" is forbidden: only K10's own service accounts (group system:serviceaccounts:team-backup) may create one
        403 retireactions.actions.kio.team.backup "r" is forbidden: only K10's own service accounts (group system:serviceaccounts:team-backup) may create one
    "#]]
    .assert_eq(&outcome);
}

#[test]
fn objects_created_by_the_server_are_in_the_other_domain_and_namespace() {
    let mut registry = registry();
    let namespaces = ["team-backup", "kasten-io"].map(str::to_owned);
    applications::reconcile(&other_installation(), &namespaces, &mut Objects::new(&mut registry))
        .unwrap();
    expect![[r"
        applications kasten-io/kasten-io Active
        applications team-backup/shop Deleted
        restorepointcontents shop-rp Bound
        restorepoints shop/rp Bound
    "]]
    .assert_eq(&registry.inventory());
    let version = |registry: &FakeRegistry, kind, path| registry.field(kind, path, "apiVersion");
    assert_eq!(
        version(&registry, "Application", "team-backup/shop"),
        "apps.kio.team.backup/v1alpha1"
    );

    assert_eq!(registry.delete("RestorePointContent", "shop-rp"), "200");
    expect![[r"
        applications kasten-io/kasten-io Active
        retireactions retire-shop-rp-x7k2mq9d4z Pending
    "]]
    .assert_eq(&registry.inventory());
    assert_eq!(
        version(&registry, "RetireAction", "retire-shop-rp-x7k2mq9d4z"),
        "actions.kio.team.backup/v1alpha1"
    );
    let spec = json!({"secret": {"name": "s"}});
    assert_eq!(registry.create("admin", "Passkey", "p", spec), "201");
    assert_eq!(registry.field("Passkey", "p", "spec.secret.namespace"), "team-backup");
}
