//! Restore points, their contents, applications, repositories, passkeys, and recovery of K10.

use apimachinery::fields;
use apiserver::Objects;
use expect_test::expect;
use serde_json::{Value, json};

use super::fake_registry::{FakeRegistry, object};
use crate::Installation;
use crate::apps::applications;

fn bind(content: &str) -> Value {
    json!({"restorePointContentRef": {"name": content}})
}

/// A content of shop with labels, and a restore point that has it.
fn registry() -> FakeRegistry {
    let mut registry = FakeRegistry::default();
    let mut content = object("RestorePointContent", "shop-rp", json!({}));
    for (key, value) in [("appName", "shop"), ("appNamespace", "shop"), ("policyName", "daily")] {
        fields::fill_label(&mut content, &format!("k10.kasten.io/{key}"), value);
    }
    registry.try_create("kasten", content).unwrap();
    registry.set("RestorePointContent", "shop-rp", "status.logicalSizeBytes", json!(42));
    assert_eq!(registry.create("alice", "RestorePoint", "shop/rp", bind("shop-rp")), "201");
    registry
}

#[test]
fn a_restore_point_binds_and_releases_its_content() {
    let mut registry = registry();
    assert_eq!(
        *registry.access.lock().unwrap(),
        "get restorepointcontents.apps.kio.kasten.io /shop-rp"
    );
    let status = registry.field("RestorePoint", "shop/rp", "status");
    expect![[r#"{"state":"Bound","scheduledTime":null,"actionTime":"2026-11-23T09:30:00Z","logicalSizeBytes":42}"#]].assert_eq(&status.to_string());
    let labels = registry.field("RestorePoint", "shop/rp", "metadata.labels");
    assert_eq!(labels["k10.kasten.io/policyName"], "daily");
    let reference = registry.field("RestorePointContent", "shop-rp", "status.restorePointRef");
    assert_eq!(reference, json!({"name": "rp", "namespace": "shop"}));

    let second = registry.create("alice", "RestorePoint", "blog/rp", bind("shop-rp"));
    expect![[r#"409 Operation cannot be fulfilled on restorepoints.apps.kio.kasten.io "rp": the restore point content "shop-rp" is bound to shop/rp"#]].assert_eq(&second);

    assert_eq!(registry.delete("RestorePoint", "shop/rp"), "200");
    expect![[r"
        restorepointcontents shop-rp Unbound
    "]]
    .assert_eq(&registry.inventory());
    let reference = registry.field("RestorePointContent", "shop-rp", "status.restorePointRef");
    assert_eq!(reference, Value::Null);
    assert_eq!(registry.create("alice", "RestorePoint", "blog/rp", bind("shop-rp")), "201");
}

/// Regression: a client could give the backup of one application the label of another.
#[test]
fn the_labels_of_the_application_are_those_of_the_content() {
    let mut registry = registry();
    assert_eq!(registry.delete("RestorePoint", "shop/rp"), "200");
    let mut relabelled = object("RestorePoint", "blog/rp", bind("shop-rp"));
    fields::set_label(&mut relabelled, "k10.kasten.io/appNamespace", "blog");
    fields::set_label(&mut relabelled, "team", "a");
    registry.try_create("alice", relabelled).unwrap();
    let labels = registry.field("RestorePoint", "blog/rp", "metadata.labels");
    assert_eq!(
        (&labels["k10.kasten.io/appNamespace"], &labels["team"]),
        (&"shop".into(), &"a".into())
    );
}

#[test]
fn a_restore_point_needs_an_existing_content() {
    let mut registry = registry();
    let missing = registry.create("alice", "RestorePoint", "shop/rp2", bind("gone"));
    expect![[r#"422 RestorePoint.apps.kio.kasten.io "rp2" is invalid: spec.restorePointContentRef.name: Not found: "gone""#]].assert_eq(&missing);
    let empty = registry.create("alice", "RestorePoint", "shop/rp2", json!({}));
    expect![[r#"422 RestorePoint.apps.kio.kasten.io "rp2" is invalid: spec.restorePointContentRef.name: Required value"#]].assert_eq(&empty);
}

#[test]
fn deleting_a_content_deletes_its_restore_point_and_retires_it() {
    let mut registry = registry();
    assert_eq!(registry.delete("RestorePointContent", "shop-rp"), "200");
    expect![[r"
        retireactions retire-shop-rp-x7k2mq9d4z Pending
    "]]
    .assert_eq(&registry.inventory());
    let retire = "retire-shop-rp-x7k2mq9d4z";
    let labels = registry.field("RetireAction", retire, "metadata.labels");
    expect![[r#"{"k10.kasten.io/appName":"shop","k10.kasten.io/appNamespace":"shop","k10.kasten.io/policyName":"daily"}"#]].assert_eq(&labels.to_string());
}

#[test]
fn deleting_a_cluster_restore_point_retires_it() {
    let mut registry = FakeRegistry::default();
    assert_eq!(registry.create("kasten", "ClusterRestorePoint", "crp", json!({})), "201");
    assert_eq!(registry.delete("ClusterRestorePoint", "crp"), "200");
    expect![[r"
        retireactions retire-crp-x7k2mq9d4z Pending
    "]]
    .assert_eq(&registry.inventory());
}

#[test]
fn a_long_name_is_truncated_to_fit_the_random_suffix() {
    let mut registry = FakeRegistry::default();
    let name = "c".repeat(253);
    registry.create("kasten", "ClusterRestorePoint", &name, json!({}));
    assert_eq!(registry.delete("ClusterRestorePoint", &name), "200");
    let inventory = registry.inventory();
    let retire = inventory.split(' ').nth(1).unwrap();
    assert_eq!(retire.len(), 253);
    assert!(retire.ends_with("c-x7k2mq9d4z"));
}

#[test]
fn contents_cluster_points_and_repositories_can_be_created_only_by_k10() {
    let mut registry = FakeRegistry::default();
    let mut outcome = String::new();
    for (user, kind, path) in [
        ("alice", "RestorePointContent", "c"),
        ("admin", "RestorePointContent", "c"),
        ("admin", "ClusterRestorePoint", "c"),
        ("admin", "StorageRepository", "kasten-io/r"),
        ("kasten", "StorageRepository", "shop/r"),
        ("kasten", "StorageRepository", "kasten-io/r"),
    ] {
        outcome += &(registry.create(user, kind, path, json!({})) + "\n");
    }
    expect![[r#"
        403 restorepointcontents.apps.kio.kasten.io "c" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one
        403 restorepointcontents.apps.kio.kasten.io "c" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one
        403 clusterrestorepoints.apps.kio.kasten.io "c" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one
        403 storagerepositories.repositories.kio.kasten.io "r" is forbidden: only K10's own service accounts (group system:serviceaccounts:kasten-io) may create one
        422 StorageRepository.repositories.kio.kasten.io "r" is invalid: metadata.namespace: Invalid value: "shop": must be K10's namespace, "kasten-io"
        201
    "#]].assert_eq(&outcome);
}

#[test]
fn an_update_of_status_or_spec_cannot_change_a_binding() {
    let mut registry = registry();
    registry.set("RestorePointContent", "shop-rp", "status.state", json!("Unbound"));
    registry.set("RestorePointContent", "shop-rp", "status.restorePointRef", json!({"name": "x"}));
    registry.set("RestorePoint", "shop/rp", "status.state", json!("Unbound"));
    let expiry = json!("2026-12-01T00:00:00Z");
    assert_eq!(registry.set("RestorePointContent", "shop-rp", "spec.expiresAt", expiry), "200");
    let invalid = registry.set("RestorePointContent", "shop-rp", "spec.expiresAt", json!("soon"));
    assert!(invalid.starts_with("422"), "{invalid}");
    expect![[r"
        restorepointcontents shop-rp Bound
        restorepoints shop/rp Bound
    "]]
    .assert_eq(&registry.inventory());
    let reference = registry.field("RestorePointContent", "shop-rp", "status.restorePointRef.name");
    assert_eq!(reference, json!("rp"));
}

#[test]
fn details_come_from_the_content() {
    let mut registry = registry();
    let before =
        registry.details("RestorePoint", "shop/rp")["status"]["restorePointDetails"].clone();
    expect![[r#"{"artifacts":[],"originatingPolicies":[{"name":"daily","namespace":""}]}"#]]
        .assert_eq(&before.to_string());
    let reported =
        json!({"artifacts": [{"meta": {"spec": {"resource": "deployments", "name": "web"}}}]});
    let path = "status.restorePointContentDetails";
    registry.set("RestorePointContent", "shop-rp", path, reported.clone());
    let after =
        registry.details("RestorePoint", "shop/rp")["status"]["restorePointDetails"].clone();
    assert_eq!(after, reported);
}

#[test]
fn applications_follow_the_namespaces() {
    let mut registry = registry();
    let mut step = |namespaces: &[&str]| {
        let namespaces: Vec<String> = namespaces.iter().map(|&name| name.to_owned()).collect();
        applications::reconcile(
            &Installation::DEFAULT,
            &namespaces,
            &mut Objects::new(&mut registry),
        )
        .unwrap();
        let lines = registry.inventory();
        lines.lines().filter(|line| line.starts_with("app")).collect::<Vec<_>>().join("\n")
    };
    let steps = [
        step(&["kasten-io", "shop", "blog"]),
        step(&["kasten-io", "shop", "blog"]),
        step(&["kasten-io"]),
        step(&["kasten-io", "shop"]),
    ];
    expect![[r"
        applications blog/blog Active
        applications shop/shop Active
        --
        applications blog/blog Active
        applications shop/shop Active
        --
        applications kasten-io/shop Deleted
        --
        applications shop/shop Active"]]
    .assert_eq(&steps.join("\n--\n"));
    let details = registry.details("Application", "shop/shop");
    assert!(details["status"]["appDetails"]["components"]["volumes"].is_array());
}

#[test]
fn a_deleted_application_is_removed_with_its_last_backup() {
    let mut registry = registry();
    let mut second = object("RestorePointContent", "shop-rp2", json!({}));
    fields::fill_label(&mut second, "k10.kasten.io/appNamespace", "shop");
    registry.try_create("kasten", second).unwrap();
    applications::reconcile(&Installation::DEFAULT, &[], &mut Objects::new(&mut registry)).unwrap();
    assert_eq!(registry.delete("RestorePointContent", "shop-rp"), "200");
    assert!(registry.inventory().contains("applications kasten-io/shop Deleted"));
    assert_eq!(registry.delete("RestorePointContent", "shop-rp2"), "200");
    assert!(!registry.inventory().contains("applications"));
}

#[test]
fn only_valid_patches_of_a_repository_are_accepted() {
    let mut registry = FakeRegistry::default();
    registry.create("kasten", "StorageRepository", "kasten-io/r", json!({}));
    let mut outcome = String::new();
    for (field, value) in [
        ("spec.disableMaintenance", json!(true)),
        ("spec.backgroundProcessTimeout", json!("1h30m")),
        ("spec.backgroundProcessTimeout", json!("a while")),
        ("spec.overrideLocation", json!({"namespace": "kasten-io"})),
    ] {
        outcome += &(registry.set("StorageRepository", "kasten-io/r", field, value) + "\n");
    }
    expect![[r#"
        200
        200
        422 StorageRepository.repositories.kio.kasten.io "r" is invalid: spec.backgroundProcessTimeout: Invalid value: "a while": must be a positive duration such as 10h or 1h30m
        422 StorageRepository.repositories.kio.kasten.io "r" is invalid: spec.overrideLocation.name: Required value
    "#]].assert_eq(&outcome);
}

#[test]
fn a_passkey_names_exactly_one_key() {
    let mut outcome = String::new();
    for spec in [
        json!({"secret": {"name": "s"}}),
        json!({"secret": {"name": "s", "namespace": "shop"}}),
        json!({"awscmkkeyid": "arn:aws:kms:k"}),
        json!({"vaulttransitkeyname": "k", "vaulttransitpath": "p", "vaultauthrole": "r"}),
        json!({"vaulttransitkeyname": "k"}),
        json!({"azurekeyname": "k", "azurekeyvaulturl": "https://v"}),
        json!({"azurekeyvaulturl": "https://v"}),
        json!({"awscmkkeyid": "a", "secret": {"name": "s"}}),
        json!({}),
    ] {
        outcome += &(FakeRegistry::default().create("admin", "Passkey", "p", spec) + "\n");
    }
    expect![[r#"
        201
        422 Passkey.vault.kio.kasten.io "p" is invalid: spec.secret.namespace: Invalid value: "shop": must be K10's namespace, "kasten-io"
        201
        201
        422 Passkey.vault.kio.kasten.io "p" is invalid: spec.vaulttransitpath: Required value: required with spec.vaulttransitkeyname
        201
        422 Passkey.vault.kio.kasten.io "p" is invalid: [spec: Required value: one of secret, awscmkkeyid, vaulttransitkeyname, azurekeyname, spec.azurekeyvaulturl: Forbidden: only allowed with spec.azurekeyname]
        422 Passkey.vault.kio.kasten.io "p" is invalid: spec.awscmkkeyid: Forbidden: may not be set together with spec.secret
        422 Passkey.vault.kio.kasten.io "p" is invalid: spec: Required value: one of secret, awscmkkeyid, vaulttransitkeyname, azurekeyname
    "#]].assert_eq(&outcome);
}

#[test]
fn the_last_applied_annotation_of_a_passkey_has_no_key() {
    let mut has_annotation = Vec::new();
    for applied in [
        r#"{"kind": "Passkey", "spec": {"secret": {"name": "s"}, "usenow": true}}"#,
        r#"{"kind": "Passkey", "spec": {"passphrase": "s3cret"}}"#,
        r#"{"kind": "Passkey", "spec": {"secret": {"name": "s", "passphrase": "s3cret"}}}"#,
        r#"{"kind": "Passkey", "passphrase": "s3cret"}"#,
        "s3cret",
    ] {
        let mut registry = FakeRegistry::default();
        let mut passkey = object("Passkey", "p", json!({"awscmkkeyid": "arn"}));
        let key = "kubectl.kubernetes.io/last-applied-configuration";
        fields::set(&mut passkey, "metadata.annotations", json!({key: applied}));
        registry.try_create("admin", passkey).unwrap();
        has_annotation
            .push(registry.field("Passkey", "p", "metadata.annotations").get(key).is_some());
    }
    assert_eq!(has_annotation, [true, false, false, false, false]);
}

#[test]
fn the_last_passkey_cannot_be_deleted() {
    let mut registry = FakeRegistry::default();
    for name in ["old", "new"] {
        registry.create("admin", "Passkey", name, json!({"awscmkkeyid": name}));
    }
    assert_eq!(registry.field("Passkey", "old", "status.valid"), json!(true));
    let outcome = [registry.delete("Passkey", "old"), registry.delete("Passkey", "new")];
    expect![[r#"
        200
        403 passkeys.vault.kio.kasten.io "new" is forbidden: it is the last one, and without it no backup could be restored; create another one first"#]].assert_eq(&outcome.join("\n"));
    assert_eq!(registry.inventory(), "passkeys new Added to Catalog\n");
}

/// Regression: the passkey was valid, and was added to the catalog.
#[test]
fn a_passkey_whose_secret_is_not_known_to_exist_is_not_valid() {
    let mut registry = FakeRegistry::default();
    registry.create("admin", "Passkey", "lost", json!({"secret": {"name": "nowhere"}}));
    assert_eq!(registry.field("Passkey", "lost", "status.valid"), json!(false));
    let state = registry.field("Passkey", "lost", "status.state");
    assert_eq!(state, json!("Secret kasten-io/nowhere is not known to exist"));
}

#[test]
fn only_one_recovery_runs_at_a_time_in_k10s_namespace() {
    let mut registry = FakeRegistry::default();
    let source = json!({"sourceClusterInfo": {"profileName": "s3", "sourceClusterID": "id"}});
    let review = json!({"kastenDRReviewDetails": {"kastenDRReviewRef": {"name": "one"}}});
    let mut outcome = String::new();
    for (kind, path, spec) in [
        ("KastenDRReview", "shop/one", source.clone()),
        ("KastenDRReview", "kasten-io/one", json!({})),
        ("KastenDRReview", "kasten-io/one", source.clone()),
        ("KastenDRReview", "kasten-io/two", source),
        ("KastenDRRestore", "kasten-io/one", json!({})),
        ("KastenDRRestore", "kasten-io/one", review),
    ] {
        outcome += &(registry.create("admin", kind, path, spec) + "\n");
    }
    for state in ["success", "running", "success", "running"] {
        outcome +=
            &(registry.set("KastenDRReview", "kasten-io/one", "status.state", json!(state)) + "\n");
    }
    expect![[r#"
        422 KastenDRReview.dr.kio.kasten.io "one" is invalid: metadata.namespace: Invalid value: "shop": must be K10's namespace, "kasten-io"
        422 KastenDRReview.dr.kio.kasten.io "one" is invalid: [spec.sourceClusterInfo.profileName: Required value, spec.sourceClusterInfo.sourceClusterID: Required value]
        201
        409 Operation cannot be fulfilled on kastendrreviews.dr.kio.kasten.io "two": only one may exist at a time, and "one" exists
        422 KastenDRRestore.dr.kio.kasten.io "one" is invalid: spec.sourceClusterInfo: Required value: this or spec.kastenDRReviewDetails
        201
        422 KastenDRReview.dr.kio.kasten.io "one" is invalid: status.state: Unsupported value: "success": supported values: "none", "running"
        200
        200
        422 KastenDRReview.dr.kio.kasten.io "one" is invalid: status.state: Unsupported value: "running": supported values: "success"
    "#]].assert_eq(&outcome);
    assert_eq!(
        registry.field("KastenDRReview", "kasten-io/one", "status.endTime"),
        json!(super::fake_registry::NOW)
    );
}
