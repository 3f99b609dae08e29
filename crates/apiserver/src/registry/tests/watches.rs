//! Watches: their start, their events and their end.

use serde_json::{Value, json};

use super::test_registry::{TestRegistry, WIDGETS, frames};
use crate::registry::initial::{FIRST_PAGE, PAGE};

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

async fn create_widget(registry: &TestRegistry, name: &str, app: &str) -> String {
    let body = format!(
        r#"{{"metadata":{{"name":"{name}","labels":{{"app":"{app}"}}}},"spec":{{"size":1}}}}"#
    );
    registry.ok(&format!("POST {WIDGETS}"), &body).await.revision()
}

fn summary(frames: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    frames
        .iter()
        .map(|frame| {
            let name = text(&frame["object"]["metadata"]["name"]);
            format!("{} {name}", text(&frame["type"]))
        })
        .collect()
}

#[tokio::test]
async fn a_watch_sends_changes_after_a_revision() {
    let registry = TestRegistry::open().await;
    let first = create_widget(&registry, "a", "x").await;
    create_widget(&registry, "b", "x").await;
    registry.send(&format!("PATCH {WIDGETS}/b"), r#"{"spec":{"size":2}}"#, &[MERGE]).await;
    registry.ok(&format!("DELETE {WIDGETS}/a"), "").await;
    let frames = registry.watch(&format!("GET {WIDGETS}?watch=1&resourceVersion={first}"), 3).await;
    assert_eq!(summary(&frames), ["ADDED b", "MODIFIED b", "DELETED a"]);
    let revision = |frame: &Value| {
        frame["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert!(revision(&frames[2]) > revision(&frames[1]), "a deletion has its own revision");
}

#[tokio::test]
async fn a_watch_without_a_revision_begins_with_existing_objects() {
    let registry = TestRegistry::open().await;
    create_widget(&registry, "a", "x").await;
    create_widget(&registry, "b", "y").await;
    for query in ["watch=true", "watch=true&resourceVersion=0"] {
        let frames = registry.watch(&format!("GET {WIDGETS}?{query}"), 2).await;
        assert_eq!(summary(&frames), ["ADDED a", "ADDED b"]);
    }
}

#[tokio::test]
async fn a_watch_list_marks_the_end_of_the_initial_events() {
    let registry = TestRegistry::open().await;
    create_widget(&registry, "a", "x").await;
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let frames = registry.watch(&format!("GET {WIDGETS}?{query}"), 2).await;
    assert_eq!(summary(&frames), ["ADDED a", "BOOKMARK "]);
    assert_eq!(
        frames[1]["object"]["metadata"]["annotations"],
        json!({"k8s.io/initial-events-end": "true"})
    );
    assert_eq!(frames[1]["object"]["kind"], "Widget");
}

/// More objects than a page of initial events. One of them changes before it is sent.
#[tokio::test]
async fn many_initial_events_show_one_revision() {
    let registry = TestRegistry::open().await;
    let names: Vec<String> = (0..2 * PAGE + 50).map(|number| format!("w{number:03}")).collect();
    for name in &names {
        create_widget(&registry, name, "x").await;
    }
    let query =
        "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = registry.begin_watch(&format!("GET {WIDGETS}?{query}"), &[]).await;
    let mut all = frames(&mut watch, 1).await;
    let last = names.last().unwrap();
    registry.send(&format!("PATCH {WIDGETS}/{last}"), r#"{"spec":{"size":2}}"#, &[MERGE]).await;
    create_widget(&registry, "x", "x").await;
    all.extend(frames(&mut watch, names.len() + 2).await);
    let added = names.iter().map(|name| format!("ADDED {name}"));
    let after = ["BOOKMARK ".to_owned(), format!("MODIFIED {last}"), "ADDED x".to_owned()];
    assert_eq!(summary(&all), added.chain(after).collect::<Vec<_>>());
    assert_eq!(
        all[names.len() - 1]["object"]["spec"]["size"],
        1,
        "the state at the start of the watch"
    );
}

#[tokio::test]
async fn initial_events_that_take_too_long_end_with_410() {
    let settings = store::Settings { history_rows: 0, ..store::Settings::default() };
    let registry = TestRegistry::open_with(settings);
    registry.ok("POST /api/v1/namespaces", r#"{"metadata":{"name":"shop"}}"#).await;
    for number in 0..=PAGE {
        create_widget(&registry, &format!("w{number:03}"), "x").await;
    }
    let mut watch = registry.begin_watch(&format!("GET {WIDGETS}?watch=1"), &[]).await;
    let start = frames(&mut watch, FIRST_PAGE).await;
    assert!(start.iter().all(|frame| frame["type"] == "ADDED"));
    let exact = start[0]["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("GET {WIDGETS}?resourceVersion={exact}&resourceVersionMatch=Exact");
    // Following commits compact the history, about once a second.
    for n in 0..20_000 {
        if registry.send(&exact, "", &[]).await.code == 410 {
            break;
        }
        let patch = format!(r#"{{"metadata":{{"labels":{{"n":"{n}"}}}}}}"#);
        registry.send(&format!("PATCH {WIDGETS}/w000"), &patch, &[MERGE]).await;
        registry.advance(3600);
    }
    let end = frames(&mut watch, 2).await;
    assert_eq!(end.len(), 1, "no frame follows: {end:?}");
    assert_eq!((&end[0]["type"], &end[0]["object"]["code"]), (&json!("ERROR"), &json!(410)));
}

#[tokio::test]
async fn objects_that_leave_a_selection_are_deleted_and_those_that_enter_are_added() {
    let registry = TestRegistry::open().await;
    let start = create_widget(&registry, "a", "x").await;
    create_widget(&registry, "b", "y").await;
    for (name, app) in [("a", "y"), ("b", "x"), ("b", "y")] {
        let patch = format!(r#"{{"metadata":{{"labels":{{"app":"{app}"}}}}}}"#);
        registry.send(&format!("PATCH {WIDGETS}/{name}"), &patch, &[MERGE]).await;
    }
    registry.ok(&format!("DELETE {WIDGETS}/a"), "").await;
    create_widget(&registry, "c", "x").await;
    registry.ok(&format!("DELETE {WIDGETS}/c"), "").await;
    let line = format!("GET {WIDGETS}?watch=1&resourceVersion={start}&labelSelector=app%3Dx");
    let frames = registry.watch(&line, 5).await;
    assert_eq!(summary(&frames), ["DELETED a", "ADDED b", "DELETED b", "ADDED c", "DELETED c"]);
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_with_a_bookmark() {
    let registry = TestRegistry::open().await;
    let start = create_widget(&registry, "a", "x").await;
    let line = format!(
        "GET {WIDGETS}?watch=1&resourceVersion={start}&timeoutSeconds=1&allowWatchBookmarks=true"
    );
    let frames = registry.watch(&line, 9).await;
    assert_eq!(summary(&frames), ["BOOKMARK "]);
    assert_eq!(frames[0]["object"]["metadata"]["resourceVersion"], start);
}

#[tokio::test]
async fn a_watch_as_a_table_defines_its_columns_once() {
    let registry = TestRegistry::open().await;
    create_widget(&registry, "a", "x").await;
    create_widget(&registry, "b", "x").await;
    let frames = registry
        .watch_with(
            &format!("GET {WIDGETS}?watch=1"),
            2,
            &[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")],
        )
        .await;
    assert_eq!(frames[0]["object"]["kind"], "Table");
    assert!(frames[0]["object"]["columnDefinitions"].is_array());
    assert_eq!(frames[1]["object"]["columnDefinitions"], Value::Null);
    assert_eq!(frames[1]["object"]["rows"][0]["cells"][0], "b");
}

/// Regression: `/watch/` before a name watched every object, although authorization and the event
/// named one.
#[tokio::test]
async fn a_watch_of_a_name_in_the_path_reports_only_that_object() {
    let registry = TestRegistry::open().await;
    for name in ["allowed", "secret"] {
        create_widget(&registry, name, "x").await;
    }
    registry.ok("POST /api/v1/namespaces", r#"{"metadata":{"name":"other"}}"#).await;
    let widgets = "/apis/test.example.com/v1/watch/namespaces/shop/widgets/allowed";
    let check = async |path: &str, query: &str, expected: &[&str]| {
        let frames = registry.watch(&format!("GET {path}?timeoutSeconds=1{query}"), 9).await;
        assert_eq!(summary(&frames), expected, "{path} {query}");
    };
    check(widgets, "", &["ADDED allowed"]).await;
    check(widgets, "&fieldSelector=metadata.name%3Dallowed", &["ADDED allowed"]).await;
    check(widgets, "&fieldSelector=&fieldSelector=metadata.name!%3Dx", &["ADDED allowed"]).await;
    check(widgets, "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", &[]).await;
    check("/api/v1/watch/namespaces/shop", "", &["ADDED shop"]).await;
    let contradictions = [
        "metadata.name%3Dsecret",
        "metadata.name!%3Dsecret",
        "metadata.name!%3Dallowed",
        "metadata.namespace%3Dshop",
        "metadata.name%3D",
    ];
    for selector in contradictions {
        let line = format!("GET {widgets}?fieldSelector={selector}");
        let reply = registry.send(&line, "", &[]).await;
        assert_eq!(reply.code, 400, "{selector}: {}", reply.json);
    }
}
