//! Discovery and OpenAPI.

use http::StatusCode;
use serde_json::{Value, json};

use super::test_registry::{TestRegistry, WIDGETS};
use crate::ApiResponse;

const AGGREGATED: (&str, &str) =
    ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");

fn page(registry: &TestRegistry, path: &str) -> Value {
    let response = registry.document(&format!("GET {path}"), &[]).unwrap();
    assert_eq!(
        (response.code, response.content_type),
        (StatusCode::OK, "application/json"),
        "{path}"
    );
    serde_json::from_slice(&response.body).unwrap()
}

#[tokio::test]
async fn each_group_has_a_discovery_document() {
    let registry = TestRegistry::open().await;
    assert_eq!(page(&registry, "/api")["versions"], json!(["v1"]));
    let groups = page(&registry, "/apis");
    assert_eq!(groups["groups"][0]["name"], "test.example.com");
    assert_eq!(groups["groups"][0]["preferredVersion"]["groupVersion"], "test.example.com/v1");
    assert_eq!(page(&registry, "/apis/test.example.com")["kind"], "APIGroup");
    let list = page(&registry, "/apis/test.example.com/v1");
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
    assert_eq!(page(&registry, "/api/v1")["resources"][0]["name"], "namespaces");
    assert!(registry.document("GET /apis/other.example.com", &[]).is_none());
    assert!(registry.document("GET /healthz", &[]).is_none());
}

#[tokio::test]
async fn aggregated_discovery_lists_all_groups() {
    let registry = TestRegistry::open().await;
    let response = registry.document("GET /apis", &[AGGREGATED]).unwrap();
    assert_eq!(
        response.content_type,
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let list: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(list["items"][0]["metadata"]["name"], "test.example.com");
    let version = &list["items"][0]["versions"][0];
    assert_eq!((&version["version"], &version["freshness"]), (&json!("v1"), &json!("Current")));
    let widgets = &version["resources"][0];
    assert_eq!(widgets["responseKind"]["kind"], "Widget");
    assert_eq!(widgets["scope"], "Namespaced");
    assert_eq!(widgets["subresources"][0]["subresource"], "status");
    let etag = response.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!((etag.len(), response.headers["vary"].to_str().unwrap()), (130, "Accept"));
    assert_eq!(response.headers["cache-control"], "public");
    let known = registry.document("GET /apis", &[AGGREGATED, ("if-none-match", &etag)]).unwrap();
    assert_eq!((known.code, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let both = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert!(
        registry.document("GET /apis", &[("accept", both)]).unwrap().content_type.contains("v=v2;")
    );
    let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(
        registry.document("GET /apis", &[("accept", old)]).unwrap().content_type,
        "application/json"
    );
    let none = registry.document("GET /apis", &[("accept", "text/html")]).unwrap();
    assert_eq!(none.code, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn openapi_describes_kinds_and_operations() {
    let registry = TestRegistry::open().await;
    let index = page(&registry, "/openapi/v3");
    let url = index["paths"]["apis/test.example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    let (path, hash) = url.split_once("?hash=").unwrap();
    assert_eq!((path, hash.len()), ("/openapi/v3/apis/test.example.com/v1", 128));
    let document = registry.document(&format!("GET {url}"), &[]).unwrap();
    assert_eq!(document.headers["cache-control"], "public, immutable");
    assert_eq!(document.headers["expires"], "Wed, 13 Nov 2024 22:13:20 GMT");
    assert!(
        !registry.document(&format!("GET {path}"), &[]).unwrap().headers.contains_key("expires")
    );

    let document = page(&registry, path);
    let schemas = &document["components"]["schemas"];
    let widget = &schemas["com.example.test.v1.Widget"];
    assert_eq!(
        widget["x-kubernetes-group-version-kind"],
        json!([{"group": "test.example.com", "version": "v1", "kind": "Widget"}])
    );
    assert_eq!(
        widget["properties"]["spec"]["properties"]["size"]["description"],
        "Size of the widget."
    );
    assert!(schemas["com.example.test.v1.WidgetList"].is_object());
    let operation = &document["paths"]["/apis/test.example.com/v1/namespaces/{namespace}/widgets/{name}"]
        ["patch"];
    assert_eq!(operation["x-kubernetes-group-version-kind"]["kind"], "Widget");
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect();
    assert_eq!(parameters, ["dryRun", "fieldManager", "fieldValidation"]);
    check_references(&document, &document);

    let old = page(&registry, "/openapi/v2");
    assert_eq!(old["swagger"], "2.0");
    assert!(old["definitions"]["com.example.test.v1.Widget"].is_object());
    check_references(&old, &old);
}

/// Regression: Debian's kubectl could neither create nor apply objects.
#[tokio::test]
async fn openapi_is_offered_as_protobuf_too() {
    let registry = TestRegistry::open().await;
    for (path, version, begin) in [
        ("/openapi/v2", "v2", &b"\n\x032.0"[..]),
        ("/openapi/v3/apis/test.example.com/v1", "v3", &b"\n\x053.0.0"[..]),
        ("/openapi/v3/api/v1", "v3", &b"\n\x053.0.0"[..]),
    ] {
        let line = format!("GET {path}");
        let json = registry.document(&line, &[]).unwrap();
        let etag = json.headers["etag"].to_str().unwrap();
        let sent = format!("application/com.github.proto-openapi.spec.{version}.v1.0+protobuf");
        let requested =
            format!("application/com.github.proto-openapi.spec.{version}@v1.0+protobuf");
        let list = format!("{requested};q=0.9, application/json;q=0.8");
        for accept in [&sent, &requested, &list].map(String::as_str) {
            let response = registry.document(&line, &[("accept", accept)]).unwrap();
            assert_eq!((response.code.as_u16(), response.content_type), (200, &*sent), "{accept}");
            assert_eq!(response.headers["etag"], etag);
            assert_eq!(response.headers["vary"], "Accept");
            assert!(response.body.starts_with(begin), "{:?}", response.body);
            let headers = [("accept", accept), ("if-none-match", etag)];
            let known = registry.document(&line, &headers).unwrap();
            assert_eq!((known.code, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
            let hashed = format!("{line}?hash={}", etag.trim_matches('"'));
            let hashed = registry.document(&hashed, &[("accept", accept)]).unwrap();
            let cache = &hashed.headers["cache-control"];
            let is_kept = cache == "public, immutable" && hashed.headers.contains_key("expires");
            assert_eq!(is_kept, version == "v3", "{path}: {cache:?}");
            assert_eq!((hashed.body, hashed.content_type), (response.body, &*sent));
            let other = if version == "v2" { "/openapi/v3/api/v1" } else { "/openapi/v2" };
            let headers = [("accept", accept)];
            let other_document = registry.document(&format!("GET {other}"), &headers).unwrap();
            let code = if accept.contains("json") { 200 } else { 406 };
            assert_eq!(other_document.code.as_u16(), code, "{other} {accept}");
        }
    }
}

#[tokio::test]
async fn documents_are_compressed_and_discovery_is_yaml_on_request() {
    let registry = TestRegistry::open().await;
    for (line, accept, content_type, is_compressed) in [
        ("GET /openapi/v2", "*/*", "application/json", true),
        ("GET /openapi/v3/api/v1", "*/*", "application/json", true),
        ("GET /apis", "*/*", "application/json", false),
        ("GET /apis", "application/yaml", "application/yaml", false),
        ("GET /api/v1", "application/json;q=0.1, application/yaml", "application/yaml", false),
    ] {
        let headers = [("accept", accept), ("accept-encoding", "gzip")];
        let response = registry.document(line, &headers).unwrap();
        assert_eq!((response.code.as_u16(), response.content_type), (200, content_type), "{line}");
        assert_eq!(response.headers.contains_key("content-encoding"), is_compressed, "{line}");
        let mut text = Vec::new();
        if is_compressed {
            let mut decoder = flate2::read::GzDecoder::new(&*response.body);
            std::io::Read::read_to_end(&mut decoder, &mut text).unwrap();
            let plain = registry.document(line, &[("accept", accept)]).unwrap();
            assert_eq!(text, plain.body, "{line}");
            let vary: Vec<&str> = response
                .headers
                .get_all("vary")
                .iter()
                .map(|item| item.to_str().unwrap())
                .collect();
            assert_eq!(vary, ["Accept", "Accept-Encoding"]);
        }
        if content_type == "application/yaml" {
            let json = registry.document(line, &[]).unwrap();
            let read = apimachinery::serializer::decode_yaml(&response.body).unwrap().value;
            assert_eq!(read, serde_json::from_slice::<Value>(&json.body).unwrap());
        }
    }
    let yaml = [("accept", "application/yaml")];
    assert_eq!(
        registry.document("GET /openapi/v2", &yaml).unwrap().code,
        StatusCode::NOT_ACCEPTABLE
    );
}

/// Regression: parameters of a media type were an error, and the 406 response listed YAML as accepted.
#[tokio::test]
async fn accept_headers_of_openapi_are_handled_as_upstream() {
    const V3: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
    let registry = TestRegistry::open().await;
    let paths = ["/openapi/v3/apis/test.example.com/v1", "/openapi/v2", "/openapi/v3"];
    for (accept, expected) in [
        ("", ["application/json"; 3]),
        ("*/*", ["application/json"; 3]),
        ("*/*;q=0.1", ["application/json"; 3]),
        ("application/*", ["application/json"; 3]),
        ("*/json", ["application/json"; 3]),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", ["application/json"; 3]),
        ("*", ["application/json"; 3]),
        ("application/json;q=0", ["application/json"; 3]),
        ("text/html, application/json;q=0.2", ["application/json"; 3]),
        ("text/html", ["406", "406", "application/json"]),
        ("text/*", ["406", "406", "application/json"]),
        ("application/yaml", ["406", "406", "application/json"]),
        ("application/vnd.kubernetes.protobuf", ["406", "406", "application/json"]),
        ("nonsense", ["406", "406", "application/json"]),
        (
            "application/com.github.proto-openapi.spec.v3@v1.0+protobuf;as=x",
            [V3, "406", "application/json"],
        ),
        (
            &format!("application/json;q=0.5, {V3};q=0.6"),
            [V3, "application/json", "application/json"],
        ),
        (&format!("application/json, {V3}"), ["application/json"; 3]),
        (&format!("{V3}, application/json"), [V3, "application/json", "application/json"]),
    ] {
        for (path, expected) in paths.into_iter().zip(expected) {
            let headers = [("accept", accept)];
            let headers = if accept.is_empty() { &[][..] } else { &headers[..] };
            let response = registry.document(&format!("GET {path}"), headers).unwrap();
            if expected == "406" {
                assert_eq!(response.code.as_u16(), 406, "{path} {accept}");
                assert!(response.body.is_empty() && response.status.is_none(), "{path} {accept}");
                assert_eq!(response.headers["vary"], "Accept");
            } else {
                assert_eq!(
                    (response.code.as_u16(), response.content_type),
                    (200, expected),
                    "{path} {accept}"
                );
            }
        }
    }
}

/// Regression: three places decided about compression, and only one of them set `Vary`.
#[tokio::test]
async fn responses_vary_by_encoding_whether_they_are_compressed_or_not() {
    let registry = TestRegistry::open().await;
    let vary = |response: &ApiResponse| -> Vec<String> {
        let values = response.headers.get_all("vary").iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let line = "GET /openapi/v2";
    let indented = [("user-agent", "curl/8"), ("accept-encoding", "gzip")];
    for (headers, is_compressed) in
        [(&[][..], false), (&indented[..1], false), (&indented[1..], true), (&indented[..], true)]
    {
        let response = registry.document(line, headers).unwrap();
        assert_eq!(vary(&response), ["Accept", "Accept-Encoding"], "{headers:?}");
        assert_eq!(response.headers.contains_key("content-encoding"), is_compressed, "{headers:?}");
    }
    assert_eq!(vary(&registry.document("GET /apis", &[]).unwrap()), ["Accept"]);
    let body = format!(
        r#"{{"metadata":{{"name":"big","annotations":{{"a":"{}"}}}},"spec":{{"size":1}}}}"#,
        "x".repeat(200 << 10)
    );
    registry.ok(&format!("POST {WIDGETS}"), &body).await;
    for headers in [&[][..], &indented[1..]] {
        let response = registry.send(&format!("GET {WIDGETS}/big"), "", headers).await.response;
        assert_eq!(vary(&response), ["Accept-Encoding"], "{headers:?}");
    }
}

/// Checks that every `$ref` has a target.
fn check_references(document: &Value, node: &Value) {
    match node {
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
