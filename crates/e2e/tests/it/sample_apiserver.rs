//! Checks the test setup itself, with Kubernetes' own extension API server.

use std::path::Path;

use e2e::fixtures::SampleApiserver;

use crate::fixture::{AUDIT_POLICY, alice, plane, text};

#[test]
fn sample_apiserver_works_behind_the_aggregator_with_the_clusters_audit_ids() {
    let plane = plane();
    let sample_apiserver = SampleApiserver::start(&plane, AUDIT_POLICY).unwrap();
    let manifest = r#"{"apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder",
        "metadata": {"name": "f1", "namespace": "default"}, "spec": {"reference": "x"}}"#;
    alice(&plane).kubectl_with("create -f -", manifest).unwrap();

    let is_flunder_create = |event: &serde_json::Value| {
        text(event, "/objectRef/resource") == "flunders" && text(event, "/verb") == "create"
    };
    let peer_event =
        sample_apiserver.audit_log.find("create in the peer's log", is_flunder_create).unwrap();
    let cluster_event =
        plane.audit_log().find("create in the cluster's log", is_flunder_create).unwrap();
    assert_eq!(text(&peer_event, "/auditID"), text(&cluster_event, "/auditID"));
    assert_eq!(text(&peer_event, "/user/username"), "alice");
    assert_eq!(text(&peer_event, "/responseObject/metadata/name"), "f1");
    assert_eq!(cluster_event.pointer("/responseObject"), None, "the cluster's log lacks the body");
    // It once wrote a key into the repository, which was committed.
    let default_folder = Path::new("apiserver.local.config");
    for folder in [".", env!("CARGO_MANIFEST_DIR"), concat!(env!("CARGO_MANIFEST_DIR"), "/../..")] {
        assert!(!Path::new(folder).join(default_folder).exists(), "{folder}");
    }
    // A namespace cannot be deleted while an APIService is unavailable.
    let groups = "v1alpha1.wardle.example.com v1beta1.wardle.example.com";
    plane.admin().kubectl(&format!("delete apiservice {groups}")).unwrap();
}
