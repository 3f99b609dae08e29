//! Field paths and their values.

use detect::{Field, Fields};
use event::EventRef;
use serde_json::json;

use super::support::event;

#[test]
fn both_spellings_are_the_same_field() {
    for (one, two) in [
        ("objectRef.resource", "ObjectRef.Resource"),
        ("objectRef.apiGroup", "ObjectRef.APIGroup"),
        ("auditID", "AuditID"),
        ("user.username", "User.username"),
        ("sourceIPs", "network.ip.list"),
        ("annotations.a.b/c", "Annotations[\"a.b/c\"]"),
        ("requestObject.spec[\"a.b\"].c", "RequestObject.spec['a.b'].c"),
        ("user.extra.k", "User.extra[\"k\"]"),
    ] {
        assert_eq!(Field::parse(one).unwrap(), Field::parse(two).unwrap(), "{one}");
    }
    assert_ne!(Field::parse("user.username").unwrap(), Field::parse("user.uid").unwrap());
}

#[test]
fn an_unknown_path_is_rejected_with_a_hint() {
    for (path, hint) in [
        ("hostPath", "requestObject.spec.volumes.hostPath"),
        ("capabilities", "requestObject.spec.containers"),
        ("apiGroup", "objectRef.apiGroup"),
        ("objectRef.resorce", "`objectRef.resource`"),
        ("objectref.resource", "`objectRef.resource`"),
        ("user.name", "user.username"),
        ("annotations", "by its key"),
        ("requestObject.metadata.finalizers.x/y", "brackets"),
        ("requestObject.spec.containers[0].image", "dots between them"),
        ("user..username", "dots between them"),
        ("", "dots between them"),
        ("completely.different", "requestObject"),
    ] {
        let error = Field::parse(path).unwrap_err();
        let found = error.hint.unwrap_or_default();
        assert!(found.contains(hint), "{path}: {} / {found}", error.message);
    }
}

#[test]
fn values_are_read_as_text() {
    let event = event(&json!({
        "responseStatus.code": 403,
        "responseStatus.details": {"retryAfterSeconds": 7, "causes": [{"field": "spec.a"}]},
        "requestObject": {"a": [1, [2, {"b": "x"}]], "c": {"d": -1.5}},
    }));
    let view = EventRef::from(&event);
    let fields = Fields::new(&view);
    for (path, expected) in [
        ("level", vec!["RequestResponse"]),
        ("stage", vec!["ResponseComplete"]),
        ("user.groups", vec!["k10:admins", "system:authenticated"]),
        ("sourceIP", vec!["192.0.2.7", "10.0.0.5"]),
        ("responseStatus.code", vec!["403"]),
        ("responseStatus.details.retryAfterSeconds", vec!["7"]),
        ("responseStatus.details.causes.field", vec!["spec.a"]),
        ("stageTimestamp", vec!["2026-11-23T09:30:00.223456Z"]),
        ("requestObject.a", vec!["1", "2"]),
        ("requestObject.a.b", vec!["x"]),
        ("requestObject.c.d", vec!["-1.5"]),
        ("requestObject.c", vec![]),
        ("impersonatedUser.username", vec![]),
        ("objectRef.subresource", vec![]),
    ] {
        let field = Field::parse(path).unwrap();
        let mut found = Vec::new();
        fields.for_each_value(&field, |value| found.push(value.to_owned()));
        assert_eq!(found, expected, "{path}");
        assert_eq!(fields.text(&field).as_deref(), expected.first().copied(), "{path}");
    }
}
