//! A short notation for events and rules, so that tests are data.

use detect::{Document, Fields, LoadOptions, RuleSet};
use event::{Event, EventRef, v1};
use serde_json::{Value, json};

/// A successful delete of a restore point by a user, with these fields replaced. A key with dots
/// names a nested field.
pub(crate) fn event(changes: &Value) -> Event {
    let mut event = json!({
        "level": "RequestResponse",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": "/apis/apps.kio.kasten.io/v1alpha1/namespaces/shop/restorepoints/rp-7",
        "verb": "delete",
        "user": {
            "username": "Alice",
            "groups": ["k10:admins", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
        },
        "sourceIPs": ["192.0.2.7", "10.0.0.5"],
        "userAgent": "kubectl/v1.37.0",
        "objectRef": {
            "resource": "restorepoints",
            "namespace": "shop",
            "name": "rp-7",
            "apiGroup": "apps.kio.kasten.io",
            "apiVersion": "v1alpha1",
        },
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-23T09:30:00.123456Z",
        "stageTimestamp": "2026-11-23T09:30:00.223456Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    for (path, value) in changes.as_object().unwrap() {
        let mut target = &mut event;
        for key in path.split('.') {
            target = &mut target[key];
        }
        *target = value.clone();
    }
    v1::read(event.to_string().as_bytes()).unwrap()
}

/// Loads the rules of one file.
pub(crate) fn load(text: &str) -> RuleSet {
    let errors = match RuleSet::load(&[Document::new("t.yaml", text)], &LoadOptions::default()) {
        Ok(rules) => return rules,
        Err(errors) => errors,
    };
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    panic!("{}\n{text}", errors.join("\n"));
}

/// The errors in a file.
pub(crate) fn errors(text: &str) -> Vec<String> {
    match RuleSet::load(&[Document::new("t.yaml", text)], &LoadOptions::default()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// A rule with this detection, in JSON.
pub(crate) fn rule(detection: &Value) -> String {
    format!("title: t\nid: t\ndetection: {detection}\n")
}

/// The IDs of the rules that match the event.
pub(crate) fn matches(rules: &RuleSet, event: &Event) -> Vec<String> {
    let view = EventRef::from(event);
    let fields = Fields::new(&view).with_cluster("prod-eu");
    let mut ids = Vec::new();
    rules.for_each_match(&fields, |rule| ids.push(rules.rules()[rule].id.clone()));
    ids
}
