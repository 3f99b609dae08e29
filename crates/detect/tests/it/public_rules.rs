//! Peculiarities of public Sigma rules for audit logs: rules that can match are loaded, the others
//! are rejected with the reason. We wrote these rules ourselves.

use serde_json::json;

use super::support::{errors, event, load, matches};

/// A rule in the usual layout of public rules, with this selection.
fn public(selection: &str) -> String {
    format!(
        "title: Something Was Done\nid: 6c1a7d1e-0000-4000-8000-000000000001\nrelated:\n  - id: \
         6c1a7d1e-0000-4000-8000-000000000002\n    type: derived\nstatus: test\ndescription: |\n  \
         Finds something.\nreferences:\n  - https://example.com/\nauthor: Someone (Example)\ndate: \
         2026-03-26\nmodified: 2026/04/01\ntags:\n  - attack.impact\n  - attack.t1490\nlogsource:\n  \
         category: application\n  product: kubernetes\n  service: audit\ndetection:\n  selection:\n\
         {selection}  condition: selection\nfalsepositives:\n  - Unknown\nlevel: low\n"
    )
}

#[test]
fn common_rules_are_loaded_and_match() {
    for (selection, changes) in [
        (
            "    verb: 'delete'\n    objectRef.resource: 'deployments'\n",
            json!({"objectRef.resource": "deployments"}),
        ),
        (
            "    verb: create\n    objectRef.resource: pods\n    objectRef.subresource: exec\n",
            json!({"verb": "create", "objectRef.resource": "pods", "objectRef.subresource": "exec"}),
        ),
        (
            "    responseStatus.code:\n      - 401 # Unauthorized\n      - 403 # Forbidden\n",
            json!({"responseStatus.code": 403}),
        ),
        (
            "    requestURI|contains:\n      # Encoded\n      - '%2fbin%2fsh'\n      - '/bin/sh'\n",
            json!({"requestURI": "/api/v1/namespaces/a/pods/b/exec?command=%2Fbin%2Fsh"}),
        ),
        (
            "    objectRef.apiGroup: rbac.authorization.k8s.io\n    objectRef.resource:\n      \
             - clusterrolebindings\n      - rolebindings\n    verb:\n      - create\n      - patch\n",
            json!({"verb": "patch", "objectRef.resource": "rolebindings",
                "objectRef.apiGroup": "rbac.authorization.k8s.io"}),
        ),
    ] {
        let rules = load(&public(selection));
        assert_eq!(matches(&rules, &event(&changes)).len(), 1, "{selection}");
        assert!(matches(&rules, &event(&json!({"verb": "get"}))).is_empty(), "{selection}");
    }
}

#[test]
fn rules_that_could_not_match_are_rejected_with_the_reason() {
    for (selection, at, message, hint) in [
        (
            "    hostPath: '*' # Note\n",
            "23:5",
            "no audit event has a field `hostPath`",
            "requestObject",
        ),
        ("    capabilities: '*'\n", "23:5", "no audit event has a field", "securityContext"),
        ("    apiGroup: 'apps'\n", "23:5", "no audit event has a field", "objectRef.apiGroup"),
        ("    verb:\n      - 'create'\n      - 'replace'\n", "25:9", "never `replace`", "`update`"),
        ("    responseStatus.code: 'ALLOW'\n", "23:26", "never `ALLOW`", "decision"),
    ] {
        let messages = errors(&public(selection));
        assert_eq!(messages.len(), 1, "{messages:#?}");
        for expected in [&format!("t.yaml:{at}: "), message, hint] {
            assert!(messages[0].contains(expected), "{} has {expected}", messages[0]);
        }
    }
}
