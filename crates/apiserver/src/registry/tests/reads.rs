//! Get and list: formats, selectors, pages and revisions.

use serde_json::{Value, json};

use super::test_registry::{TestRegistry, WIDGETS};

const TABLE: (&str, &str) =
    ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
const PARTIAL: (&str, &str) =
    ("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");

async fn registry_with_five_widgets() -> TestRegistry {
    let registry = TestRegistry::open().await;
    for (n, app) in ["x", "y", "x", "y", "x"].into_iter().enumerate() {
        let body = format!(
            r#"{{"metadata":{{"name":"w{n}","labels":{{"app":"{app}"}}}},"spec":{{"size":{}}}}}"#,
            n + 1
        );
        registry.ok(&format!("POST {WIDGETS}"), &body).await;
    }
    registry
}

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect()
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let registry = TestRegistry::open().await;
    let list = registry.ok(&format!("GET {WIDGETS}"), "").await;
    assert_eq!(list.json["kind"], "WidgetList");
    assert_eq!(list.json["apiVersion"], "test.example.com/v1");
    assert_eq!(list.json["items"], json!([]));
    assert!(list.revision().parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn a_slow_list_has_latency_annotations() {
    let registry = registry_with_five_widgets().await;
    registry.slow_down();
    registry.ok(&format!("GET {WIDGETS}"), "").await;
    registry.send(&format!("GET {WIDGETS}"), "", &[TABLE]).await;
    let mut layers = Vec::new();
    for event in registry.events().await.into_iter().filter(|event| event.verb == "list") {
        let latency = "apiserver.latency.k8s.io/";
        let parts = event.annotations.keys().filter_map(|key| key.strip_prefix(latency));
        layers.push(parts.map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(
        layers,
        [
            ["etcd", "serialize-response-object", "total"],
            ["etcd", "total", "transform-response-object"]
        ]
    );
}

#[tokio::test]
async fn selectors_filter_lists() {
    let registry = registry_with_five_widgets().await;
    for (query, expected) in [
        ("labelSelector=app%3Dx", vec!["w0", "w2", "w4"]),
        ("labelSelector=app+in+(y)", vec!["w1", "w3"]),
        ("fieldSelector=metadata.name%3Dw3", vec!["w3"]),
        ("fieldSelector=metadata.name!%3Dw3,status.state%3DNew&labelSelector=app%3Dy", vec!["w1"]),
        ("fieldSelector=status.state%3DGone", vec![]),
    ] {
        let list = registry.ok(&format!("GET {WIDGETS}?{query}"), "").await;
        assert_eq!(names(&list.json), expected, "{query}");
    }
    let all = registry.ok("GET /apis/test.example.com/v1/widgets", "").await;
    assert_eq!(names(&all.json).len(), 5);
}

#[tokio::test]
async fn pages_show_one_revision() {
    let registry = registry_with_five_widgets().await;
    let first = registry.ok(&format!("GET {WIDGETS}?limit=2"), "").await;
    assert_eq!(names(&first.json), ["w0", "w1"]);
    assert_eq!(first.json["metadata"]["remainingItemCount"], 3);
    registry.ok(&format!("DELETE {WIDGETS}/w3"), "").await;
    let token = first.json["metadata"]["continue"].as_str().unwrap();
    let second = registry.ok(&format!("GET {WIDGETS}?limit=2&continue={token}"), "").await;
    assert_eq!(names(&second.json), ["w2", "w3"]);
    assert_eq!(second.revision(), first.revision());
    let token = second.json["metadata"]["continue"].as_str().unwrap();
    let last = registry.ok(&format!("GET {WIDGETS}?limit=2&continue={token}"), "").await;
    assert_eq!(names(&last.json), ["w4"]);
    assert_eq!(last.json["metadata"].get("continue"), None);

    let selected = registry.ok(&format!("GET {WIDGETS}?limit=1&labelSelector=app%3Dx"), "").await;
    assert_eq!(names(&selected.json), ["w0"]);
    assert_eq!(selected.json["metadata"].get("remainingItemCount"), None);
    let token = selected.json["metadata"]["continue"].as_str().unwrap();
    let line = format!("GET {WIDGETS}?limit=5&labelSelector=app%3Dx&continue={token}");
    assert_eq!(names(&registry.ok(&line, "").await.json), ["w2", "w4"]);
}

#[tokio::test]
async fn an_expired_list_can_be_continued_inconsistently() {
    let settings = store::Settings { history_rows: 0, ..store::Settings::default() };
    let registry = TestRegistry::open_with(settings);
    registry.ok("POST /api/v1/namespaces", r#"{"metadata":{"name":"shop"}}"#).await;
    for name in ["a", "b", "c"] {
        let body = format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"size":1}}}}"#);
        registry.ok(&format!("POST {WIDGETS}"), &body).await;
    }
    let first = registry.ok(&format!("GET {WIDGETS}?limit=1"), "").await;
    let token = first.json["metadata"]["continue"].as_str().unwrap();
    let line = format!("GET {WIDGETS}?limit=1&continue={token}");
    // Following commits compact the history, about once a second.
    let mut reply = registry.send(&line, "", &[]).await;
    for n in 0..20_000 {
        if reply.code == 410 {
            break;
        }
        let patch = format!(r#"{{"metadata":{{"labels":{{"n":"{n}"}}}}}}"#);
        let headers = [("content-type", "application/merge-patch+json")];
        registry.send(&format!("PATCH {WIDGETS}/a"), &patch, &headers).await;
        registry.advance(3600);
        reply = registry.send(&line, "", &[]).await;
    }
    assert_eq!((reply.code, reply.reason()), (410, "Expired"));
    let token = reply.json["metadata"]["continue"].as_str().unwrap();
    let rest = registry.ok(&format!("GET {WIDGETS}?continue={token}"), "").await;
    assert_eq!(names(&rest.json), ["b", "c"]);
}

#[tokio::test]
async fn lists_are_read_at_past_revisions_and_future_ones_time_out() {
    let registry = registry_with_five_widgets().await;
    let old = registry.ok(&format!("GET {WIDGETS}/w2"), "").await.revision();
    let exact = format!("GET {WIDGETS}?resourceVersion={old}&resourceVersionMatch=Exact");
    assert_eq!(names(&registry.ok(&exact, "").await.json), ["w0", "w1", "w2"]);
    let not_older =
        format!("GET {WIDGETS}?resourceVersion={old}&resourceVersionMatch=NotOlderThan");
    assert_eq!(names(&registry.ok(&not_older, "").await.json).len(), 5);
    assert_eq!(
        names(&registry.ok(&format!("GET {WIDGETS}?resourceVersion=0"), "").await.json).len(),
        5
    );
    let future = u64::MAX / 4;
    let reply = registry.send(&format!("GET {WIDGETS}/w0?resourceVersion={future}"), "", &[]).await;
    assert_eq!((reply.code, reply.reason()), (504, "Timeout"));
    assert_eq!(reply.json["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(reply.json["details"]["retryAfterSeconds"], 1);
    assert_eq!(reply.header("retry-after"), ["1"]);
}

#[tokio::test]
async fn a_table_has_the_columns_of_its_kind() {
    let registry = registry_with_five_widgets().await;
    registry.advance(300);
    let table = registry.send(&format!("GET {WIDGETS}?limit=1"), "", &[TABLE]).await;
    assert_eq!(
        (&table.json["kind"], &table.json["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    let columns: Vec<&str> = table.json["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|column| column["name"].as_str())
        .collect();
    assert_eq!(columns, ["Name", "State", "Size", "Age"]);
    let row = &table.json["rows"][0];
    assert_eq!(row["cells"], json!(["w0", "New", 1, "5m"]));
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(row["object"]["metadata"]["name"], "w0");
    assert!(table.json["metadata"]["continue"].is_string());
    let without_object =
        registry.send(&format!("GET {WIDGETS}/w1?includeObject=None"), "", &[TABLE]).await;
    assert_eq!(without_object.json["rows"][0]["object"], Value::Null);
    let full = registry.send(&format!("GET {WIDGETS}/w1?includeObject=Object"), "", &[TABLE]).await;
    assert_eq!(full.json["rows"][0]["object"]["spec"]["size"], 2);
}

#[tokio::test]
async fn lists_can_contain_metadata_only() {
    let registry = registry_with_five_widgets().await;
    let list = registry.send(&format!("GET {WIDGETS}"), "", &[PARTIAL]).await;
    assert_eq!(list.json["kind"], "PartialObjectMetadataList");
    assert_eq!(list.json["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list.json["items"][0].get("spec"), None);
    let line = format!("GET {WIDGETS}/w0");
    let object = PARTIAL.1.replace("List", "");
    let object = registry.send(&line, "", &[("accept", object.as_str())]).await;
    assert_eq!(object.json["kind"], "PartialObjectMetadata");
    let list = registry.send(&line, "", &[PARTIAL]).await;
    assert_eq!((list.code, list.reason()), (406, "NotAcceptable"));
}

#[tokio::test]
async fn the_details_subresource_is_computed() {
    let registry = registry_with_five_widgets().await;
    let details = registry.ok(&format!("GET {WIDGETS}/w0/details"), "").await;
    assert_eq!(details.json["details"]["weight"], 7);
    assert_eq!(registry.send(&format!("GET {WIDGETS}/none/details"), "", &[]).await.code, 404);
    assert_eq!(registry.events().await.len(), 8);
}

#[tokio::test]
async fn curl_gets_indented_responses_and_large_ones_are_compressed() {
    let registry = registry_with_five_widgets().await;
    let pretty = registry.send(&format!("GET {WIDGETS}/w0"), "", &[("user-agent", "curl/8")]).await;
    assert!(pretty.response.body.starts_with(b"{\n  \""));
    let body = format!(
        r#"{{"metadata":{{"name":"big","annotations":{{"a":"{}"}}}},"spec":{{"size":1}}}}"#,
        "x".repeat(200 << 10)
    );
    registry.ok(&format!("POST {WIDGETS}"), &body).await;
    let gzip = [("accept-encoding", "gzip")];
    let large = registry.send(&format!("GET {WIDGETS}/big"), "", &gzip).await;
    assert_eq!(large.header("content-encoding"), ["gzip"]);
    assert!(large.response.body.len() < 10_000);
    assert!(large.response.object.unwrap().as_bytes().len() > 200 << 10);
    let small = registry.send(&format!("GET {WIDGETS}/w0"), "", &gzip).await;
    assert!(small.header("content-encoding").is_empty());
}

/// Regression: `Accept: application/yaml` was rejected.
#[tokio::test]
async fn responses_are_yaml_on_request_and_events_contain_json() {
    let registry = registry_with_five_widgets().await;
    let yaml = [("accept", "application/yaml")];
    let table = [("accept", "application/yaml;as=Table;g=meta.k8s.io;v=v1beta1")];
    let size = r#"{"metadata":{"name":"y"},"spec":{"size":1}}"#;
    let post = format!("POST {WIDGETS}?dryRun=All");
    for (line, body, headers, kind, version) in [
        (format!("GET {WIDGETS}/w0"), "", yaml, "Widget", "test.example.com/v1"),
        (format!("GET {WIDGETS}"), "", yaml, "WidgetList", "test.example.com/v1"),
        (format!("GET {WIDGETS}"), "", table, "Table", "meta.k8s.io/v1beta1"),
        (post, size, yaml, "Widget", "test.example.com/v1"),
        (format!("DELETE {WIDGETS}/w0?dryRun=All"), "", yaml, "Status", "v1"),
    ] {
        let reply = registry.send(&line, body, &headers).await;
        assert_eq!(reply.response.content_type, "application/yaml", "{line}");
        let read = apimachinery::serializer::decode_yaml(&reply.response.body).unwrap().value;
        assert_eq!((&read["kind"], &read["apiVersion"]), (&kind.into(), &version.into()), "{line}");
        let object = reply.response.object.unwrap();
        let recorded: Value = serde_json::from_slice(object.as_bytes()).unwrap();
        assert_eq!(recorded, read, "{line}");
    }
    let line = format!("GET {WIDGETS}?watch=1");
    assert_eq!(registry.send(&line, "", &yaml).await.code, 406);
}
