//! Checks the test setup itself, with Kubernetes' own extension API server.

use e2e::fixtures::SampleApiserver;

use crate::fixture::{AUDIT_POLICY, alice, plane, text};

#[test]
fn sample_apiserver_works_behind_the_aggregator_with_the_clusters_audit_ids() {
    let plane = plane();
    let peer = SampleApiserver::start(&plane, AUDIT_POLICY).unwrap();
    let manifest = r#"{"apiVersion": "wardle.example.com/v1alpha1", "kind": "Flunder",
        "metadata": {"name": "f1", "namespace": "default"}, "spec": {"reference": "x"}}"#;
    alice(&plane).kubectl_with("create -f -", manifest).unwrap();

    let ours = |event: &serde_json::Value| {
        text(event, "/objectRef/resource") == "flunders" && text(event, "/verb") == "create"
    };
    let theirs = peer.audit_log.find("create in the peer's log", ours).unwrap();
    let clusters = plane.audit_log().find("create in the cluster's log", ours).unwrap();
    assert_eq!(text(&theirs, "/auditID"), text(&clusters, "/auditID"));
    assert_eq!(text(&theirs, "/user/username"), "alice");
    assert_eq!(text(&theirs, "/responseObject/metadata/name"), "f1");
    assert_eq!(clusters.pointer("/responseObject"), None, "the cluster's log lacks the body");
    // A namespace cannot be deleted while an APIService is unavailable.
    let groups = "v1alpha1.wardle.example.com v1beta1.wardle.example.com";
    plane.admin().kubectl(&format!("delete apiservice {groups}")).unwrap();
}
