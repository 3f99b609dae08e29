//! The audit event of a request that came through kube-apiserver.

use std::net::{IpAddr, Ipv4Addr};

use e2e::fixtures::https;
use serde_json::{Value, json};

use crate::fixture::{alice, backup, bob, mallory, namespace, shared, text};

#[test]
fn all_groups_are_available() {
    let (plane, keepwatch) = shared();
    keepwatch.extension.wait_available(&plane).unwrap();
    let resources = plane.admin().kubectl("api-resources -o name").unwrap();
    for expected in [
        "backupactions.actions",
        "restorepoints.apps",
        "storagerepositories.repositories",
        "passkeys.vault",
        "kastendrreviews.dr",
    ] {
        assert!(resources.contains(&format!("{expected}.kio.kasten.io")), "{resources}");
    }
}

#[test]
fn an_event_has_the_clusters_user_address_and_audit_id_and_the_bodies() {
    let (plane, keepwatch) = shared();
    namespace(&plane, "joined");
    let alice = alice(&plane);
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));
    let target = https::Target { source: Some(source), ..plane.target(&alice) };
    let response = https::request(
        &target,
        "POST /apis/actions.kio.kasten.io/v1alpha1/namespaces/joined/backupactions",
        &[("Content-Type", "application/json"), ("User-Agent", "joiner/1")],
        &backup("joined", "b-1"),
    )
    .unwrap();
    assert_eq!(response.code, 201, "{}", response.body);

    let kube_event = plane
        .audit_log()
        .find("the cluster's own", |event| text(event, "/userAgent") == "joiner/1")
        .unwrap();
    let own_event = keepwatch
        .audit_log()
        .find("ours", |event| text(event, "/AuditID") == text(&kube_event, "/auditID"))
        .unwrap();
    assert_eq!(response.header("Audit-Id"), Some(text(&own_event, "/AuditID")));
    assert_eq!(text(&own_event, "/User/username"), "alice");
    assert_eq!(own_event["User"]["groups"], json!(["shop-team", "system:authenticated"]));
    assert_eq!(own_event["SourceIPs"], json!(["127.0.0.7", "127.0.0.1"]));
    assert_eq!(text(&own_event, "/UserAgent"), "joiner/1");
    assert_eq!(text(&own_event, "/RequestObject/metadata/name"), "b-1");
    assert_eq!(text(&own_event, "/ResponseObject/metadata/name"), "b-1");
    assert_eq!(kube_event.get("requestObject"), None);
    assert_eq!(kube_event.get("responseObject"), None);
}

#[test]
fn impersonation_shares_one_audit_id() {
    let (plane, keepwatch) = shared();
    plane.admin().kubectl("get backupactions -n default --as alice --as-group shop-team").unwrap();
    let kube_event = plane
        .audit_log()
        .find("an impersonation", |event| {
            text(event, "/impersonatedUser/username") == "alice"
                && text(event, "/objectRef/resource") == "backupactions"
        })
        .unwrap();
    assert_eq!(text(&kube_event, "/user/username"), "admin");
    let own_event = keepwatch
        .audit_log()
        .find("ours", |event| text(event, "/AuditID") == text(&kube_event, "/auditID"))
        .unwrap();
    assert_eq!(text(&own_event, "/User/username"), "alice");
}

#[test]
fn a_denied_direct_request_is_recorded() {
    let (plane, keepwatch) = shared();
    // What comes through the aggregator was authorized there already: a refusal never gets here.
    let mallory = mallory(&plane);
    let target = keepwatch.target(Some(&mallory.identity));
    let list = "GET /apis/vault.kio.kasten.io/v1alpha1/passkeys";
    let response = https::request(&target, list, &[], "").unwrap();
    assert_eq!(response.code, 403, "{}", response.body);
    let event = keepwatch
        .audit_log()
        .find("a refusal", |event| {
            text(event, "/User/username") == "mallory"
                && text(event, "/ObjectRef/Resource") == "passkeys"
        })
        .unwrap();
    assert_eq!(event.pointer("/ResponseStatus/code"), Some(&json!(403)));
    assert_eq!(event["Annotations"]["authorization.k8s.io/decision"], "forbid");
}

#[test]
fn key_material_is_neither_stored_nor_recorded() {
    let (plane, keepwatch) = shared();
    let manifest = json!({"apiVersion": "vault.kio.kasten.io/v1alpha1", "kind": "Passkey",
        "metadata": {"name": "quiet"},
        "spec": {"secret": {"name": "s", "namespace": "kasten-io"}, "passphrase": "open-sesame"}});
    bob(&plane).kubectl_with("create --validate=false -f -", &manifest.to_string()).unwrap();
    let created = |event: &Value| {
        text(event, "/ObjectRef/Resource") == "passkeys"
            && text(event, "/ObjectRef/Name") == "quiet"
            && text(event, "/Verb") == "create"
    };
    let event = keepwatch.audit_log().find("the new passkey", created).unwrap();
    assert!(!event.to_string().contains("open-sesame"), "{event}");
    let passkey_json = bob(&plane).kubectl("get passkeys quiet -o json").unwrap();
    assert!(!passkey_json.contains("open-sesame"), "{passkey_json}");
}
