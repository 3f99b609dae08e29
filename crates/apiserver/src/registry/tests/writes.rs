//! Create, update and delete, with their audit events.

use apimachinery::RequestInfo;
use event::{Event, Level};
use serde_json::json;
use store::Storage;

use super::test_registry::{TestRegistry, VAULTS, WIDGETS};

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const WIDGET_A: &str = r#"{"metadata":{"name":"a","labels":{"app":"x"}},"spec":{"size":1}}"#;

fn summary(event: &Event) -> String {
    let reference = event.object_ref.clone().unwrap_or_default();
    let code = event.response_status.as_ref().map_or(0, |status| status.code);
    format!(
        "{} {} {}/{} {code}",
        event.user.username, event.verb, reference.resource, reference.name
    )
}

#[tokio::test]
async fn a_created_object_is_completed_and_read_back_unchanged() {
    let registry = TestRegistry::open().await;
    let created = registry.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
    assert_eq!(created.code, 201);
    let metadata = &created.json["metadata"];
    assert_eq!(metadata["namespace"], "shop");
    assert_eq!(metadata["generation"], 1);
    assert_eq!(metadata["creationTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_eq!(created.json["status"]["state"], "New");
    let body = std::str::from_utf8(&created.response.body).unwrap();
    assert!(body.starts_with(r#"{"apiVersion":"test.example.com/v1","kind":"Widget","metadata":{"name":"a","namespace":"shop""#), "{body}");
    let read = registry.ok(&format!("GET {WIDGETS}/a"), "").await;
    assert_eq!(read.response.body, created.response.body);
    let events = registry.events().await;
    let event = &events[1];
    assert_eq!(summary(event), "alice create widgets/a 201");
    assert_eq!(event.request_object.as_ref().unwrap().as_bytes(), WIDGET_A.as_bytes());
    assert_eq!(event.response_object.as_ref().unwrap().as_bytes(), &created.response.body[..]);
}

#[tokio::test]
async fn the_server_can_generate_a_name() {
    let registry = TestRegistry::open().await;
    let body = r#"{"metadata":{"generateName":"w-"},"spec":{"size":1}}"#;
    let created = registry.ok(&format!("POST {WIDGETS}"), body).await;
    let name = created.json["metadata"]["name"].as_str().unwrap();
    assert!(name.len() == 7 && name.starts_with("w-"), "{name}");
    assert_eq!(summary(&registry.events().await[1]), format!("alice create widgets/{name} 201"));
}

#[tokio::test]
async fn yaml_is_accepted() {
    let registry = TestRegistry::open().await;
    let yaml = "metadata:\n  name: y\n  creationTimestamp: null\nspec:\n  size: 3\n";
    let created = registry
        .send(&format!("POST {WIDGETS}"), yaml, &[("content-type", "application/yaml")])
        .await;
    assert_eq!((created.code, &created.json["spec"]), (201, &json!({"size": 3})));
}

#[tokio::test]
async fn an_update_increments_the_generation_and_keeps_the_status() {
    let registry = TestRegistry::open().await;
    let created = registry.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
    let mut object = created.json.clone();
    object["spec"]["size"] = json!(2);
    object["status"]["state"] = json!("Forged");
    let line = format!("PUT {WIDGETS}/a");
    let updated = registry.ok(&line, &object.to_string()).await;
    assert_eq!(updated.json["metadata"]["generation"], 2);
    assert_eq!(updated.json["status"]["state"], "New");
    assert_ne!(updated.revision(), created.revision());

    let same = registry.ok(&line, &updated.json.to_string()).await;
    assert_eq!(same.response.body, updated.response.body, "an unchanged object is not written");

    let stale = registry.send(&line, &created.json.to_string(), &[]).await;
    assert_eq!((stale.code, stale.reason()), (409, "Conflict"));
    assert_eq!(
        stale.message(),
        "Operation cannot be fulfilled on widgets.test.example.com \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );

    let mut other = updated.json.clone();
    other["metadata"]["uid"] = json!("other");
    assert_eq!(registry.send(&line, &other.to_string(), &[]).await.code, 409);
    assert_eq!(registry.events().await.len(), 6, "each request is recorded once");
}

#[tokio::test]
async fn the_status_is_written_separately() {
    let registry = TestRegistry::open().await;
    registry.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
    let line = format!("PATCH {WIDGETS}/a/status");
    let patch = r#"{"spec":{"size":9},"status":{"state":"Running"},"metadata":{"labels":{"b":"c"},"annotations":{"x":"y"}}}"#;
    let patched = registry.send(&line, patch, &[MERGE]).await;
    assert_eq!(patched.code, 200, "{}", patched.json);
    assert_eq!(patched.json["status"]["state"], "Running");
    assert_eq!(patched.json["spec"]["size"], 1);
    assert_eq!(patched.json["metadata"]["labels"], json!({"app": "x", "b": "c"}));
    assert_eq!(patched.json["metadata"].get("annotations"), None);
    assert_eq!(patched.json["metadata"]["generation"], 1);
    let read = registry.ok(&format!("GET {WIDGETS}/a/status"), "").await;
    assert_eq!(read.response.body, patched.response.body);
}

#[tokio::test]
async fn patches_apply_to_the_current_object() {
    let registry = TestRegistry::open().await;
    let created = registry.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
    let line = format!("PATCH {WIDGETS}/a");
    let patched = registry.send(&line, r#"{"spec":{"colour":"red"}}"#, &[MERGE]).await;
    assert_eq!(patched.json["spec"], json!({"size": 1, "colour": "red"}));
    let patched = registry
        .send(&line, r#"[{"op":"replace","path":"/spec/size","value":4}]"#, &[JSON_PATCH])
        .await;
    assert_eq!(patched.json["spec"]["size"], 4);
    let stale = format!(r#"{{"metadata":{{"resourceVersion":"{}"}}}}"#, created.revision());
    assert_eq!(registry.send(&line, &stale, &[MERGE]).await.code, 409);
    assert_eq!(registry.send(&line, r#"{"metadata":{"name":"b"}}"#, &[MERGE]).await.code, 400);
    let invalid = registry.send(&line, r#"{"spec":{"size":13}}"#, &[MERGE]).await;
    assert_eq!(invalid.code, 422);
    assert_eq!(registry.ok(&format!("GET {WIDGETS}/a"), "").await.json["spec"]["size"], 4);
}

#[tokio::test]
async fn a_cascading_delete_is_recorded_for_each_object() {
    let registry = TestRegistry::open().await;
    registry
        .ok(&format!("POST {VAULTS}"), r#"{"metadata":{"name":"v"},"spec":{"key":"secret"}}"#)
        .await;
    registry
        .ok(
            &format!("POST {WIDGETS}"),
            r#"{"metadata":{"name":"a"},"spec":{"size":1,"vault":"v"}}"#,
        )
        .await;
    let deleted = registry.ok(&format!("DELETE {WIDGETS}/a"), "").await;
    assert_eq!(deleted.json["status"], "Success");
    assert_eq!(deleted.json["details"]["kind"], "widgets");
    assert_eq!(deleted.json["details"]["name"], "a");
    assert_eq!(registry.send(&format!("GET {WIDGETS}/a"), "", &[]).await.code, 404);
    assert_eq!(registry.send(&format!("GET {VAULTS}/v"), "", &[]).await.code, 404);
    let events = registry.events().await;
    let lines: Vec<String> = events.iter().map(summary).collect();
    assert_eq!(
        lines[1..5],
        [
            "alice create vaults/v 201",
            "alice create widgets/a 201",
            "system:serviceaccount:keep:watch delete vaults/v 200",
            "alice delete widgets/a 200",
        ]
    );
    assert_eq!(events[3].annotations["audit.keepwatch.io/caused-by"], events[4].audit_id);
    assert_eq!(events[3].response_object, None, "bodies of vaults are omitted");
    let sent = events[1].request_object.as_ref().unwrap();
    let sent = std::str::from_utf8(sent.as_bytes()).unwrap();
    assert!(sent.contains("\"v\"") && !sent.contains("secret"), "{sent}");
}

#[tokio::test]
async fn a_denied_request_changes_nothing_and_is_recorded() {
    let registry = TestRegistry::open().await;
    registry.ok(&format!("POST {VAULTS}"), r#"{"metadata":{"name":"v"}}"#).await;
    registry
        .ok(
            &format!("POST {WIDGETS}"),
            r#"{"metadata":{"name":"a"},"spec":{"size":1,"vault":"v"}}"#,
        )
        .await;
    registry.ok(&format!("DELETE {VAULTS}/v"), "").await;
    let before = registry.events().await.len();
    let reply = registry.send(&format!("DELETE {WIDGETS}/a"), "", &[]).await;
    assert_eq!((reply.code, reply.reason()), (404, "NotFound"), "its vault is deleted already");
    registry.ok(&format!("GET {WIDGETS}/a"), "").await;
    let events = registry.events().await;
    assert_eq!(events.len(), before + 2);
    assert_eq!(summary(&events[before]), "alice delete widgets/a 404");
}

#[tokio::test]
async fn a_dry_run_responds_and_changes_nothing() {
    let registry = TestRegistry::open().await;
    let revision = registry.store.observed_revision();
    let created = registry.ok(&format!("POST {WIDGETS}?dryRun=All"), WIDGET_A).await;
    assert_eq!((created.code, created.json["metadata"]["name"].as_str()), (201, Some("a")));
    assert_eq!(registry.send(&format!("GET {WIDGETS}/a"), "", &[]).await.code, 404);
    assert_eq!(registry.store.observed_revision(), revision);
    assert_eq!(summary(&registry.events().await[1]), "alice create widgets/a 201");
}

/// Regression: `kubectl diff` showed a new resourceVersion for every change.
#[tokio::test]
async fn a_dry_run_returns_no_new_revision() {
    let registry = TestRegistry::open().await;
    let with_finalizer =
        WIDGET_A.replace(r#""name":"a""#, r#""name":"a","finalizers":["example.com/hold"]"#);
    let created = registry.ok(&format!("POST {WIDGETS}?dryRun=All"), &with_finalizer).await;
    assert_eq!(created.json["metadata"].get("resourceVersion"), None);
    assert!(created.json["metadata"]["uid"].is_string());
    let stored_object = registry.ok(&format!("POST {WIDGETS}"), &with_finalizer).await;
    let stored = stored_object.revision();
    let mut changed = stored_object.json.clone();
    changed["spec"]["size"] = 7.into();
    let patch = r#"{"spec":{"size":7}}"#;
    for (line, body) in [("PUT", changed.to_string().as_str()), ("PATCH", patch), ("DELETE", "")] {
        let headers = if line == "PATCH" { &[MERGE][..] } else { &[] };
        let line = format!("{line} {WIDGETS}/a?dryRun=All");
        let reply = registry.send(&line, body, headers).await;
        assert_eq!((reply.code, reply.revision()), (200, stored.clone()), "{line}");
    }
    let table = [("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")];
    let created = registry
        .send(
            &format!("POST {WIDGETS}?dryRun=All"),
            &with_finalizer.replace("\"a\"", "\"b\""),
            &table,
        )
        .await;
    assert_eq!((created.code, created.revision()), (201, String::new()));
    assert_eq!(registry.ok(&format!("GET {WIDGETS}/a"), "").await.json, stored_object.json);
}

#[tokio::test]
async fn finalizers_keep_an_object_until_they_are_removed() {
    let registry = TestRegistry::open().await;
    let body = r#"{"metadata":{"name":"a","finalizers":["example.com/hold"]},"spec":{"size":1}}"#;
    registry.ok(&format!("POST {WIDGETS}"), body).await;
    let terminating = registry.ok(&format!("DELETE {WIDGETS}/a"), "").await;
    let metadata = &terminating.json["metadata"];
    assert_eq!(terminating.json["kind"], "Widget");
    assert_eq!(metadata["deletionTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(
        (&metadata["deletionGracePeriodSeconds"], &metadata["generation"]),
        (&json!(0), &json!(2))
    );
    registry.advance(5);
    let second_delete = registry.ok(&format!("DELETE {WIDGETS}/a"), "").await;
    assert_eq!(
        second_delete.response.body, terminating.response.body,
        "the object is terminating already"
    );

    let line = format!("PATCH {WIDGETS}/a");
    let two_finalizers = r#"{"metadata":{"finalizers":["example.com/hold","example.com/more"]}}"#;
    let reply = registry.send(&line, two_finalizers, &[MERGE]).await;
    assert_eq!(reply.code, 422);
    assert!(reply.message().contains("metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/more\"}"), "{}", reply.message());

    let removed = registry.send(&line, r#"{"metadata":{"finalizers":null}}"#, &[MERGE]).await;
    assert_eq!(removed.code, 200);
    assert_eq!(registry.send(&format!("GET {WIDGETS}/a"), "", &[]).await.code, 404);
}

#[tokio::test]
async fn propagation_is_left_to_the_garbage_collector() {
    let registry = TestRegistry::open().await;
    for (name, policy, finalizer) in
        [("a", "Foreground", "foregroundDeletion"), ("b", "Orphan", "orphan")]
    {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"size":1}}}}"#);
        registry.ok(&format!("POST {WIDGETS}"), &body).await;
        let options = format!(
            r#"{{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"{policy}"}}"#
        );
        let terminating = registry.ok(&format!("DELETE {WIDGETS}/{name}"), &options).await;
        assert_eq!(terminating.json["metadata"]["finalizers"], json!([finalizer]));
        let deleted =
            registry.ok(&format!("DELETE {WIDGETS}/{name}?propagationPolicy=Background"), "").await;
        assert_eq!(deleted.json["status"], "Success");
    }
}

#[tokio::test]
async fn propagation_has_no_effect_without_a_garbage_collector() {
    let standalone = TestRegistry::open_with_collector(store::Settings::default(), false);
    standalone.ok("POST /api/v1/namespaces", r#"{"metadata":{"name":"shop"}}"#).await;
    for policy in ["Foreground", "Orphan", "Background"] {
        standalone.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
        let deleted =
            standalone.ok(&format!("DELETE {WIDGETS}/a?propagationPolicy={policy}"), "").await;
        assert_eq!(deleted.json["status"], "Success", "{policy}");
        // A kind without patch could never lose the finalizer again.
        let registry = TestRegistry::open().await;
        registry.ok(&format!("POST {VAULTS}"), r#"{"metadata":{"name":"v"}}"#).await;
        let deleted =
            registry.ok(&format!("DELETE {VAULTS}/v?propagationPolicy={policy}"), "").await;
        assert_eq!(deleted.json["status"], "Success", "{policy}");
    }
}

#[tokio::test]
async fn preconditions_of_a_delete_are_checked() {
    let registry = TestRegistry::open().await;
    let created = registry.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
    let line = format!("DELETE {WIDGETS}/a");
    let other = r#"{"preconditions":{"uid":"other"}}"#;
    let reply = registry.send(&line, other, &[]).await;
    assert_eq!(reply.code, 409);
    assert!(
        reply
            .message()
            .contains("the UID in the precondition (other) does not match the UID in record (")
    );
    assert_eq!(
        registry.send(&line, r#"{"preconditions":{"resourceVersion":"1"}}"#, &[]).await.code,
        409
    );
    let uid = created.json["metadata"]["uid"].as_str().unwrap();
    let matching = format!(
        r#"{{"preconditions":{{"uid":"{uid}","resourceVersion":"{}"}}}}"#,
        created.revision()
    );
    assert_eq!(registry.send(&line, &matching, &[]).await.code, 200);
}

#[tokio::test]
async fn access_to_referenced_objects_is_authorized() {
    let registry = TestRegistry::open().await;
    registry.ok(&format!("POST {VAULTS}"), r#"{"metadata":{"name":"v"}}"#).await;
    let body = r#"{"metadata":{"name":"a"},"spec":{"size":1,"vault":"v"}}"#;
    let reply = registry.send_as("mallory", &format!("POST {WIDGETS}"), body, &[]).await;
    assert_eq!((reply.code, reply.reason()), (403, "Forbidden"));
    assert_eq!(
        reply.message(),
        "vaults.test.example.com \"v\" is forbidden: User \"mallory\" cannot get resource \"vaults\" in API group \"test.example.com\" at the cluster scope"
    );
    registry.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
    let patch = r#"{"spec":{"vault":"v"}}"#;
    let reply = registry.send_as("mallory", &format!("PATCH {WIDGETS}/a"), patch, &[MERGE]).await;
    assert_eq!(reply.code, 403);
    let recorded = registry.events().await;
    assert_eq!(summary(recorded.last().unwrap()), "mallory patch widgets/a 403");
}

#[tokio::test]
async fn status_updates_need_no_access_to_referenced_objects() {
    let registry = TestRegistry::open().await;
    registry.ok(&format!("POST {VAULTS}"), r#"{"metadata":{"name":"v"}}"#).await;
    let body = r#"{"metadata":{"name":"a"},"spec":{"size":1,"vault":"v"}}"#;
    let created = registry.ok(&format!("POST {WIDGETS}"), body).await;
    let (line, patch) = (format!("{WIDGETS}/a/status"), r#"{"status":{"state":"Running"}}"#);
    let reply = registry.send_as("mallory", &format!("PATCH {line}"), patch, &[MERGE]).await;
    assert_eq!((reply.code, &reply.json["status"]["state"]), (200, &json!("Running")));
    let mut full_object = reply.json.clone();
    full_object["status"]["state"] = json!("Complete");
    let reply =
        registry.send_as("mallory", &format!("PUT {line}"), &full_object.to_string(), &[]).await;
    assert_eq!((reply.code, &reply.json["status"]["state"]), (200, &json!("Complete")));
    assert_eq!(reply.json["spec"], created.json["spec"]);
}

#[tokio::test]
async fn keys_keep_the_order_in_which_they_were_sent() {
    let registry = TestRegistry::open().await;
    let body = r#"{"kind":"Widget","metadata":{"labels":{"z":"1","a":"2"},"name":"a"},"apiVersion":"test.example.com/v1","spec":{"vault":null,"size":1,"colour":"red"}}"#;
    registry.ok(&format!("POST {WIDGETS}"), body).await;
    let patch = r#"{"metadata":{"labels":{"m":"3"}}}"#;
    assert_eq!(registry.send(&format!("PATCH {WIDGETS}/a"), patch, &[MERGE]).await.code, 200);
    let read = registry.ok(&format!("GET {WIDGETS}/a"), "").await;
    let text = String::from_utf8(read.response.body.to_vec()).unwrap();
    let keys = ["apiVersion", "kind", "metadata", "spec", "status"];
    let positions: Vec<Option<usize>> =
        keys.iter().map(|key| text.find(&format!("\"{key}\":"))).collect();
    assert!(positions.is_sorted() && positions[0].is_some(), "{text}");
    assert!(text.contains(r#""labels":{"z":"1","a":"2","m":"3"}"#), "{text}");
    assert!(text.contains(r#""size":1,"colour":"red""#), "{text}");
}

#[tokio::test]
async fn objects_of_a_create_only_kind_are_not_stored() {
    let registry = TestRegistry::open().await;
    let line = "POST /apis/test.example.com/v1/namespaces/shop/tickets";
    for _ in 0..2 {
        let created = registry.ok(line, r#"{"metadata":{"name":"t"},"spec":{"to":"x"}}"#).await;
        assert_eq!((created.code, created.json["metadata"]["name"].as_str()), (201, Some("t")));
    }
    let reply =
        registry.send("GET /apis/test.example.com/v1/namespaces/shop/tickets/t", "", &[]).await;
    assert_eq!((reply.code, reply.reason()), (405, "MethodNotAllowed"));
}

#[tokio::test]
async fn creates_depend_on_the_state_of_the_namespace() {
    let registry = TestRegistry::open().await;
    let line = "POST /apis/test.example.com/v1/namespaces/bank/widgets";
    let missing = registry.send(line, WIDGET_A, &[]).await;
    assert_eq!((missing.code, missing.message()), (404, "namespaces \"bank\" not found"));
    registry
        .ok(
            "POST /api/v1/namespaces",
            r#"{"metadata":{"name":"bank","finalizers":["example.com/hold"]}}"#,
        )
        .await;
    registry.ok(line, WIDGET_A).await;
    registry.ok("DELETE /api/v1/namespaces/bank", "").await;
    let rejected = registry.send(line, &WIDGET_A.replace("\"a\"", "\"b\""), &[]).await;
    assert_eq!((rejected.code, rejected.reason()), (403, "Forbidden"));
    assert_eq!(rejected.json["details"]["causes"][0]["reason"], "NamespaceTerminating");
    assert!(rejected.message().ends_with("is forbidden: unable to create new content in namespace bank because it is being terminated"), "{}", rejected.message());
}

#[tokio::test]
async fn concurrent_writers_see_each_other() {
    let registry = TestRegistry::open().await;
    registry.ok(&format!("POST {WIDGETS}"), WIDGET_A).await;
    let line = format!("PATCH {WIDGETS}/a");
    let patches: Vec<String> =
        (0..20).map(|n| format!(r#"{{"metadata":{{"labels":{{"l{n}":"x"}}}}}}"#)).collect();
    let all = patches.iter().map(|patch| registry.send(&line, patch, std::slice::from_ref(&MERGE)));
    let responses = futures::future::join_all(all).await;
    assert!(responses.iter().all(|reply| reply.code == 200));
    let read = registry.ok(&format!("GET {WIDGETS}/a"), "").await;
    assert_eq!(read.json["metadata"]["labels"].as_object().unwrap().len(), 21);
}

#[tokio::test]
async fn writes_of_some_kinds_are_recorded_regardless_of_the_policy() {
    let registry = TestRegistry::open().await;
    for (line, level) in [
        (format!("POST {VAULTS}"), Level::Request),
        (format!("PATCH {VAULTS}/a"), Level::Request),
        (format!("DELETE {VAULTS}/a"), Level::Request),
        (format!("PUT {VAULTS}/a/status"), Level::Request),
        (format!("GET {VAULTS}/a"), Level::None),
        (format!("GET {VAULTS}"), Level::None),
        (format!("POST {WIDGETS}"), Level::None),
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let info = RequestInfo::parse(&method.parse().unwrap(), path, &[]);
        assert_eq!(registry.registry.audit_level_min(&info), level, "{line}");
    }
}
