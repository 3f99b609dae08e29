//! Discovery and OpenAPI.

use http::StatusCode;
use serde_json::{Value, json};

use super::house::House;

const AGGREGATED: (&str, &str) =
    ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");

fn page(house: &House, path: &str) -> Value {
    let answer = house.document(&format!("GET {path}"), &[]).unwrap();
    assert_eq!((answer.code, answer.content_type), (StatusCode::OK, "application/json"), "{path}");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn discovery_from_group_to_group() {
    let house = House::open().await;
    assert_eq!(page(&house, "/api")["versions"], json!(["v1"]));
    let groups = page(&house, "/apis");
    assert_eq!(groups["groups"][0]["name"], "test.example.com");
    assert_eq!(groups["groups"][0]["preferredVersion"]["groupVersion"], "test.example.com/v1");
    assert_eq!(page(&house, "/apis/test.example.com")["kind"], "APIGroup");
    let list = page(&house, "/apis/test.example.com/v1");
    assert_eq!(list["kind"], "APIResourceList");
    assert_eq!(
        list["resources"][0],
        json!({
            "name": "widgets", "singularName": "widget", "namespaced": true, "kind": "Widget",
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            "shortNames": ["wd"],
        })
    );
    assert_eq!(list["resources"][2]["name"], "widgets/details");
    assert_eq!(page(&house, "/api/v1")["resources"][0]["name"], "namespaces");
    assert!(house.document("GET /apis/other.example.com", &[]).is_none());
    assert!(house.document("GET /healthz", &[]).is_none());
}

#[tokio::test]
async fn discovery_all_at_once() {
    let house = House::open().await;
    let answer = house.document("GET /apis", &[AGGREGATED]).unwrap();
    assert_eq!(
        answer.content_type,
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let list: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(list["items"][0]["metadata"]["name"], "test.example.com");
    let version = &list["items"][0]["versions"][0];
    assert_eq!((&version["version"], &version["freshness"]), (&json!("v1"), &json!("Current")));
    let widgets = &version["resources"][0];
    assert_eq!(widgets["responseKind"]["kind"], "Widget");
    assert_eq!(widgets["scope"], "Namespaced");
    assert_eq!(widgets["subresources"][0]["subresource"], "status");
    let etag = answer.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!((etag.len(), answer.headers["vary"].to_str().unwrap()), (130, "Accept"));
    assert_eq!(answer.headers["cache-control"], "public");
    let known = house.document("GET /apis", &[AGGREGATED, ("if-none-match", &etag)]).unwrap();
    assert_eq!((known.code, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let both = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert!(
        house.document("GET /apis", &[("accept", both)]).unwrap().content_type.contains("v=v2;")
    );
    let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(
        house.document("GET /apis", &[("accept", old)]).unwrap().content_type,
        "application/json"
    );
    let none = house.document("GET /apis", &[("accept", "text/html")]).unwrap();
    assert_eq!(none.code, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn openapi_describes_kinds_and_operations() {
    let house = House::open().await;
    let index = page(&house, "/openapi/v3");
    let url = index["paths"]["apis/test.example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    let (path, hash) = url.split_once("?hash=").unwrap();
    assert_eq!((path, hash.len()), ("/openapi/v3/apis/test.example.com/v1", 128));
    let kept = house.document(&format!("GET {url}"), &[]).unwrap();
    assert_eq!(kept.headers["cache-control"], "public, immutable");
    assert_eq!(kept.headers["expires"], "Wed, 13 Nov 2024 22:13:20 GMT");
    assert!(!house.document(&format!("GET {path}"), &[]).unwrap().headers.contains_key("expires"));

    let document = page(&house, path);
    let schemas = &document["components"]["schemas"];
    let widget = &schemas["com.example.test.v1.Widget"];
    assert_eq!(
        widget["x-kubernetes-group-version-kind"],
        json!([{"group": "test.example.com", "version": "v1", "kind": "Widget"}])
    );
    assert_eq!(widget["properties"]["spec"]["properties"]["size"]["description"], "How large.");
    assert!(schemas["com.example.test.v1.WidgetList"].is_object());
    let operation = &document["paths"]["/apis/test.example.com/v1/namespaces/{namespace}/widgets/{name}"]
        ["patch"];
    assert_eq!(operation["x-kubernetes-group-version-kind"]["kind"], "Widget");
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(parameters, ["dryRun", "fieldManager", "fieldValidation"]);
    check_references(&document, &document);

    let old = page(&house, "/openapi/v2");
    assert_eq!(old["swagger"], "2.0");
    assert!(old["definitions"]["com.example.test.v1.Widget"].is_object());
    check_references(&old, &old);
}

/// Every `$ref` points at something.
fn check_references(document: &Value, place: &Value) {
    match place {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            map.values().for_each(|value| check_references(document, value));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(document, item)),
        _ => {}
    }
}
