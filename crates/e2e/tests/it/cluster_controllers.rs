//! The cluster's namespace controller and garbage collector work on Keepwatch's objects.

use e2e::fixtures::until;
use serde_json::json;

use crate::fixture::{alice, backup, executor, namespace, restore_point, shared, text};

const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";
const GARBAGE_COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

#[test]
fn deleting_a_namespace_records_one_deletion_by_the_namespace_controller_per_restore_point() {
    let (plane, keepwatch) = shared();
    namespace(&plane, "doomed");
    let names = ["rp-1", "rp-2", "rp-3"];
    for name in names {
        restore_point(&plane, "doomed", name);
    }
    plane.admin().kubectl("delete namespace doomed --timeout=80s").unwrap();

    for name in names {
        let deletions = keepwatch
            .audit_log()
            .matching(|event| {
                text(event, "/Verb") == "delete"
                    && text(event, "/ObjectRef/Resource") == "restorepoints"
                    && text(event, "/ObjectRef/Namespace") == "doomed"
                    && text(event, "/ObjectRef/Name") == name
                    && event.pointer("/ResponseStatus/code") == Some(&json!(200))
            })
            .unwrap();
        assert_eq!(deletions.len(), 1, "{name}: {deletions:?}");
        assert_eq!(text(&deletions[0], "/User/username"), NAMESPACE_CONTROLLER);
    }
    let contents = executor(&plane).json("get restorepointcontents doomed-rp-1").unwrap();
    assert_eq!(text(&contents, "/status/state"), "Unbound", "the data stays");
}

#[test]
fn dependents_of_a_configmap_are_garbage_collected() {
    let (plane, keepwatch) = shared();
    namespace(&plane, "owned");
    let alice = alice(&plane);
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "owner", "namespace": "owned"}});
    plane.apply(&manifest.to_string()).unwrap();
    let owner = plane.admin().json("get configmap owner -n owned").unwrap();
    let child = json!({"apiVersion": "actions.kio.kasten.io/v1alpha1", "kind": "BackupAction",
        "metadata": {"name": "child", "namespace": "owned", "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
            "uid": owner["metadata"]["uid"]}]},
        "spec": {"subject": {"name": "owned", "namespace": "owned"}}});
    alice.kubectl_with("create -f -", &child.to_string()).unwrap();
    plane.admin().kubectl("delete configmap owner -n owned").unwrap();
    until("the child is collected", || {
        Ok((!alice.try_kubectl("get backupaction child -n owned")?.success).then_some(()))
    })
    .unwrap();
    keepwatch
        .audit_log()
        .find("the collector's delete", |event| {
            text(event, "/Verb") == "delete"
                && text(event, "/ObjectRef/Name") == "child"
                && text(event, "/User/username") == GARBAGE_COLLECTOR
        })
        .unwrap();
}

#[test]
fn dependents_of_a_backup_action_are_garbage_collected() {
    let (plane, keepwatch) = shared();
    namespace(&plane, "inherited");
    let alice = alice(&plane);
    alice.kubectl_with("create -f -", &backup("inherited", "parent")).unwrap();
    for (name, owner) in [("child", "parent"), ("grandchild", "child")] {
        let owner = alice.json(&format!("get backupaction {owner} -n inherited")).unwrap();
        let manifest = json!({"apiVersion": "actions.kio.kasten.io/v1alpha1",
            "kind": "BackupAction",
            "metadata": {"name": name, "namespace": "inherited", "ownerReferences": [{
                "apiVersion": "actions.kio.kasten.io/v1alpha1", "kind": "BackupAction",
                "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]},
            "spec": {"subject": {"name": "inherited", "namespace": "inherited"}}});
        alice.kubectl_with("create -f -", &manifest.to_string()).unwrap();
    }
    alice.kubectl("delete backupaction parent -n inherited").unwrap();
    for name in ["child", "grandchild"] {
        until("the child is collected, and its child", || {
            let get = format!("get backupaction {name} -n inherited");
            Ok((!alice.try_kubectl(&get)?.success).then_some(()))
        })
        .unwrap();
        keepwatch
            .audit_log()
            .find("the collector's delete", |event| {
                text(event, "/Verb") == "delete"
                    && text(event, "/ObjectRef/Namespace") == "inherited"
                    && text(event, "/ObjectRef/Name") == name
                    && text(event, "/User/username") == GARBAGE_COLLECTOR
                    && event.pointer("/ResponseStatus/code") == Some(&json!(200))
            })
            .unwrap();
    }
}
