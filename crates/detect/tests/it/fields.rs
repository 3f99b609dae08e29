//! Field paths and their values.

use detect::{Field, Fields};
use event::EventRef;
use serde_json::json;

use super::support::event;

#[test]
fn both_spellings_are_the_same_field() {
    for (left, right) in [
        ("objectRef.resource", "ObjectRef.Resource"),
        ("objectRef.apiGroup", "ObjectRef.APIGroup"),
        ("auditID", "AuditID"),
        ("user.username", "User.username"),
        ("sourceIPs", "network.ip.list"),
        ("annotations.a.b/c", "Annotations[\"a.b/c\"]"),
        ("requestObject.spec[\"a.b\"].c", "RequestObject.spec['a.b'].c"),
        ("user.extra.k", "User.extra[\"k\"]"),
    ] {
        assert_eq!(Field::parse(left).unwrap(), Field::parse(right).unwrap(), "{left}");
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
        ("requestObject.spec.containers[0].image", "separate keys by dots"),
        ("user..username", "separate keys by dots"),
        ("", "separate keys by dots"),
        ("completely.different", "requestObject"),
    ] {
        let error = Field::parse(path).unwrap_err();
        let actual = error.hint.unwrap_or_default();
        assert!(actual.contains(hint), "{path}: {} / {actual}", error.message);
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
        let mut values = Vec::new();
        fields.for_each_value(&field, |value| values.push(value.to_owned()));
        assert_eq!(values, expected, "{path}");
        assert_eq!(fields.text(&field).as_deref(), expected.first().copied(), "{path}");
    }
}

/// What `writes.PATH` says of a request with this verb and body; `None` if it is absent.
fn writes(verb: &str, body: &serde_json::Value, path: &str) -> Option<String> {
    let event = event(&json!({"verb": verb, "requestObject": body}));
    let view = EventRef::from(&event);
    let field = Field::parse(&format!("writes.{path}")).unwrap();
    Fields::new(&view).text(&field).map(std::borrow::Cow::into_owned)
}

/// Regression: a rule could not see that a JSON patch of the whole document with a second operation
/// writes a field.
#[test]
fn a_request_writes_a_field_by_any_operation_in_any_order() {
    let label = json!({"op": "add", "path": "/metadata/labels/a", "value": "b"});
    let root = json!({"op": "replace", "path": "", "value": {"spec": {}}});
    let op = |op: &str, path: &str| json!([{"op": op, "path": path, "from": "/x", "value": 1}]);
    for (verb, body, path, expected) in [
        ("patch", json!([root]), "spec.at", true),
        ("patch", json!([root, label]), "spec.at", true),
        ("patch", json!([label, root]), "spec.at", true),
        ("patch", json!([label]), "spec.at", false),
        ("patch", json!([label]), "metadata.labels.a", true),
        ("patch", op("add", "/spec"), "spec.at", true),
        ("patch", op("remove", "/spec/at"), "spec.at", true),
        ("patch", op("copy", "/spec/at"), "spec.at", true),
        ("patch", op("replace", "/spec/at/inner"), "spec.at", true),
        ("patch", op("replace", "/spec/atom"), "spec.at", false),
        ("patch", op("replace", "/spec/list/0/at"), "spec.list.at", true),
        ("patch", op("add", "/spec/list/-"), "spec.list.at", true),
        ("patch", op("test", "/spec/at"), "spec.at", false),
        ("patch", op("replace", "/metadata/labels/a~1b~0c"), "metadata.labels.a/b~c", true),
        // kube-apiserver ignores what precedes the first slash.
        ("patch", op("replace", "x/spec/at"), "spec.at", true),
        ("patch", json!([{"op": "move", "from": "/spec/at", "path": "/y"}]), "spec.at", true),
        ("patch", json!([{"op": "copy", "from": "/spec/at", "path": "/y"}]), "spec.at", false),
        ("patch", json!([{"op": "add", "path": 7}, root]), "spec.at", true),
        ("patch", json!({"spec": {"at": null}}), "spec.at", true),
        ("patch", json!({"spec": {"at": {"x": 1}}}), "spec.at", true),
        ("patch", json!({"spec": null}), "spec.at", true),
        ("patch", json!({"spec": {}}), "spec.at", false),
        ("patch", json!({"spec": {"list": [{}]}}), "spec.list.at", true),
        ("patch", json!({"spec": {"$patch": "replace"}}), "spec.at", true),
        ("patch", json!({"metadata": {"labels": {"a": "b"}}}), "spec.at", false),
        ("update", json!({"spec": {"at": 1}}), "spec.at", true),
        ("update", json!({"spec": {"list": [{"x": 1}]}}), "spec.list.at", false),
        ("update", json!({"spec": {}}), "spec.at", false),
        ("create", json!({"spec": {"at": 1}}), "spec", true),
        ("delete", json!({"spec": {"at": 1}}), "spec.at", false),
    ] {
        let actual = writes(verb, &body, path);
        assert_eq!(actual.as_deref(), Some(expected.to_string().as_str()), "{verb} {body} {path}");
    }
    assert_eq!(writes("patch", &serde_json::Value::Null, "spec.at"), None, "no body is recorded");
    let error = Field::parse("writes").unwrap_err();
    assert!(error.hint.unwrap().contains("writes.spec"), "{}", error.message);
}
