//! Patches, most of them invalid, with upstream's error messages.

use super::bad_input::{MERGE, check};
use super::test_registry::{TestRegistry, WIDGETS};

#[tokio::test]
async fn invalid_patches_are_rejected() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json-patch+json")];
    const APPLY: &[(&str, &str)] = &[("content-type", "application/apply-patch+yaml")];
    let undecodable = "error decoding patch: ";
    let rejected = "the server rejected our request due to an error in our request";
    let invalid = "Widget.test.example.com \"a\" is invalid: ";
    let (wrong_size, removed_size, range) = (
        format!("{invalid}spec.size: Invalid value: \"string\": spec.size in body must be of type"),
        format!("{invalid}spec.size: Required value"),
        format!("{invalid}spec.size: Invalid value: 0: spec.size in body should be greater than"),
    );
    let deep = format!(r#"{{"spec":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
    let operations = vec![r#"{"op":"test","path":"/kind","value":"Widget"}"#; 10_001].join(",");
    let many = format!("[{operations}]");
    check(&[
        ("PATCH WIDGETS/a", "", MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", "{", MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", "[]", MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", &deep, MERGE, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", "{}", JSON, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", r#"[{"op":"jump","path":"/a"}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a", r#"[{"op":"remove"}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a", r#"[{"op":"remove","path":"x"}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a", r#"[{"op":1,"path":"/x"}]"#, JSON, 400, "BadRequest", undecodable),
        ("PATCH WIDGETS/a", r#"[{"op":"replace","path":"/metadata/labels/x","value":1}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a?fieldValidation=Strict", r#"[{"op":"add","op":"test","path":"/kind","value":"Widget","x":1}]"#, JSON, 422, "Invalid", " \"\" is invalid: patch: Invalid value: \"{"),
        ("PATCH WIDGETS/a", r#"[{"op":"remove","path":"/none"}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a", r#"[{"op":"test","path":"/spec/size","value":2}]"#, JSON, 422, "Invalid", rejected),
        ("PATCH WIDGETS/a", &many, JSON, 413, "RequestEntityTooLarge", "The allowed maximum operations in a JSON patch is 10000, got 10001"),
        ("PATCH WIDGETS/a", r#"[{"op":"remove","path":"/spec/size"}]"#, JSON, 422, "Invalid", &removed_size),
        ("PATCH WIDGETS/a", r#"{"spec":{"size":"2"}}"#, MERGE, 422, "Invalid", &wrong_size),
        ("PATCH WIDGETS/a", r#"{"spec":{"size":0}}"#, MERGE, 422, "Invalid", &range),
        ("PATCH WIDGETS/a", r#"{"kind":"Gadget"}"#, MERGE, 400, "BadRequest", "Gadget in version"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"name":"b"}}"#, MERGE, 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"resourceVersion":"1"}}"#, MERGE, 409, "Conflict", "Operation cannot be fulfilled on widgets.test.example.com \"a\": the object has been modified"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"uid":"other"}}"#, MERGE, 422, "Invalid", "Widget.test.example.com \"a\" is invalid: metadata.uid: Invalid value: \"other\": field is immutable"),
        ("PATCH WIDGETS/a", r#"{"metadata":null}"#, MERGE, 400, "BadRequest", "name must be provided"),
        ("PATCH WIDGETS/a", r#"{"metadata":{"labels":{"a b":"c"}}}"#, MERGE, 422, "Invalid", "Widget.test.example.com \"a\" is invalid: metadata.labels: Invalid value: \"a b\""),
        ("PATCH WIDGETS/a", r#"{"metadata":[]}"#, MERGE, 422, "Invalid", " \"\" is invalid: patch: Invalid value: \"{"),
        ("PATCH WIDGETS/a?fieldValidation=Strict", r#"{"more":1}"#, MERGE, 422, "Invalid", " \"\" is invalid: patch: Invalid value: \"{"),
        ("PATCH WIDGETS/a", "{}", APPLY, 415, "UnsupportedMediaType", "the body of the request was in an unknown format"),
        ("PATCH WIDGETS/a", "{}", &[], 415, "UnsupportedMediaType", "the body of the request was in an unknown format"),
        ("PATCH WIDGETS", "{}", MERGE, 405, "MethodNotAllowed", "patch is not supported"),
    ])
    .await;
}

/// The details of the error, which clients read.
#[tokio::test]
async fn a_rejected_patch_has_the_position_of_its_error() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json-patch+json")];
    let registry = TestRegistry::open().await;
    let widget = r#"{"metadata":{"name":"a"},"spec":{"size":1}}"#;
    registry.ok(&format!("POST {WIDGETS}"), widget).await;
    let line = format!("PATCH {WIDGETS}/a?fieldValidation=Strict");
    let strict = registry.send(&line, r#"{"more":1,"more":2}"#, MERGE).await;
    let causes = &strict.json["details"]["causes"];
    assert_eq!((causes[0]["field"].as_str(), causes.get(1)), (Some("patch"), None));
    assert_eq!(causes[0]["reason"], "FieldValueInvalid");
    let message = causes[0]["message"].as_str().unwrap();
    assert!(message.starts_with(r#"Invalid value: "{\"apiVersion\":"#), "{message}");
    let why = r#"": strict decoding error: duplicate field "more", unknown field "more""#;
    assert!(message.ends_with(why), "{message}");
    let body = r#"[{"op":"add","op":"test","path":"/kind","value":"Widget","x":1}]"#;
    let strict = registry.send(&line, body, JSON).await;
    let why = r#"": strict decoding error: json patch duplicate field "[0].op", json patch unknown field "[0].x""#;
    assert!(strict.message().ends_with(why), "{}", strict.message());
    let warned = registry.send(&format!("PATCH {WIDGETS}/a"), body, JSON).await;
    let warnings = warned.response.headers.get_all("warning").iter().count();
    assert_eq!((warned.code, warnings), (200, 2));
    let missing = r#"[{"op":"replace","path":"/metadata/annotations","value":{"a":"b"}}]"#;
    let replaced = registry.send(&line, missing, JSON).await;
    assert_eq!(replaced.json["metadata"]["annotations"]["a"], "b", "{}", replaced.message());

    let long = format!(r#"{{"more":"{}"}}"#, "x".repeat(5000));
    assert!(registry.send(&line, &long, MERGE).await.message().len() < 2000);
    let long =
        format!(r#"[{{"op":"test","path":"/kind","value":"Widget","{}":1}}]"#, "x".repeat(5000));
    assert!(registry.send(&line, &long, JSON).await.message().len() < 2000);

    let failed = registry.send(&line, r#"[{"op":"remove","path":"/none"}]"#, JSON).await;
    assert!(failed.json.get("details").is_none(), "{}", failed.json);
    assert!(failed.message().contains("/none"), "{}", failed.message());
}

/// Regression: patch after patch made an object of any size, and each request for it took several
/// times its memory.
#[tokio::test]
async fn patches_cannot_make_an_object_larger_than_a_body() {
    let registry = TestRegistry::open().await;
    registry.ok(&format!("POST {WIDGETS}"), r#"{"metadata":{"name":"a"},"spec":{"size":1}}"#).await;
    let mut codes = Vec::new();
    for round in 0..6 {
        let labels: Vec<String> =
            (0..15_000).map(|number| format!(r#""l{round}-{number}":"x""#)).collect();
        let patch = format!(r#"{{"metadata":{{"labels":{{{}}}}}}}"#, labels.join(","));
        codes.push(registry.send(&format!("PATCH {WIDGETS}/a"), &patch, MERGE).await.code);
    }
    assert_eq!(codes.first(), Some(&200));
    assert_eq!(codes.last(), Some(&413));
    let text = format!(r#"{{"metadata":{{"annotations":{{"a":"{}"}}}}}}"#, "x".repeat(200 << 10));
    assert_eq!(registry.send(&format!("PATCH {WIDGETS}/a"), &text, MERGE).await.code, 200);
    let none = r#"{"metadata":{"labels":null}}"#;
    assert_eq!(registry.send(&format!("PATCH {WIDGETS}/a"), none, MERGE).await.code, 200);
}

/// Regression: a patch of `deletionTimestamp` was answered with 200 and had no effect.
#[tokio::test]
async fn only_a_deletion_sets_the_fields_of_a_deletion() {
    let registry = TestRegistry::open().await;
    let body = r#"{"metadata":{"name":"a","finalizers":["example.com/hold"]},"spec":{"size":1}}"#;
    let created = registry.ok(&format!("POST {WIDGETS}"), body).await;
    let line = format!("PATCH {WIDGETS}/a");
    let patch = |field: &str, value: &str| format!(r#"{{"metadata":{{"{field}":{value}}}}}"#);
    let invalid = "Widget.test.example.com \"a\" is invalid: ";
    let time = "\"2026-11-30T12:00:00Z\"";
    let (deletion, period) = ("deletionTimestamp", "deletionGracePeriodSeconds");
    let why_time = "metadata.deletionTimestamp: Invalid value: 2026-11-30 12:00:00 +0000 UTC: field is immutable";
    let why_period = "metadata.deletionGracePeriodSeconds: Invalid value: 30: field is immutable";
    let check_rejected = async |body: &str, why: &str| {
        let reply = registry.send(&line, body, MERGE).await;
        assert_eq!((reply.code, reply.message()), (422, &*format!("{invalid}{why}")), "{body}");
    };
    check_rejected(&patch(deletion, time), why_time).await;
    check_rejected(&patch(period, "30"), why_period).await;
    for ignored in [patch(deletion, "null"), patch("creationTimestamp", time)] {
        assert_eq!(
            registry.send(&line, &ignored, MERGE).await.response.body,
            created.response.body
        );
    }
    let mut replacement = created.json.clone();
    replacement["metadata"][deletion] = "2026-11-30T12:00:00Z".into();
    let replaced = registry.send(&format!("PUT {WIDGETS}/a"), &replacement.to_string(), &[]).await;
    assert_eq!((replaced.code, replaced.message()), (422, &*format!("{invalid}{why_time}")));

    let terminating = registry.ok(&format!("DELETE {WIDGETS}/a"), "").await;
    check_rejected(&patch(period, "30"), why_period).await;
    for ignored in [patch(deletion, time), patch(deletion, "null"), patch(period, "null")] {
        assert_eq!(
            registry.send(&line, &ignored, MERGE).await.response.body,
            terminating.response.body
        );
    }
}

/// Regression: a strategic merge patch with a list got 415, and no client falls back to another
/// patch for the kinds of the core group.
#[tokio::test]
async fn core_kinds_accept_every_strategic_merge_patch() {
    const STRATEGIC: &[(&str, &str)] =
        &[("content-type", "application/strategic-merge-patch+json")];
    let registry = TestRegistry::open().await;
    let line = "PATCH /api/v1/namespaces/shop";
    let finalizers = async |patch: &str| {
        let reply = registry.send(line, &format!(r#"{{"metadata":{{{patch}}}}}"#), STRATEGIC).await;
        assert_eq!(reply.code, 200, "{patch}: {}", reply.message());
        reply.json["metadata"]["finalizers"].clone()
    };
    assert_eq!(finalizers(r#""finalizers":["a.b/one"]"#).await, serde_json::json!(["a.b/one"]));
    let both = serde_json::json!(["a.b/two", "a.b/one"]);
    assert_eq!(finalizers(r#""finalizers":["a.b/two"]"#).await, both);
    assert_eq!(
        finalizers(r#""$deleteFromPrimitiveList/finalizers":["a.b/two"],"labels":{"x":"y"}"#).await,
        serde_json::json!(["a.b/one"])
    );
    let replaced = registry
        .send(line, r#"{"metadata":{"labels":{"$patch":"replace","a":"b"}}}"#, STRATEGIC)
        .await;
    assert_eq!(replaced.json["metadata"]["labels"], serde_json::json!({"a": "b"}));
}
