//! What attackers have tried, as tables: what they send, and what is on record of it.

use event::{Event, Stage};
use serde_json::Value;

use crate::harness::{Client, House, Protocol, get, request};

const THINGS: &str = "/apis/test.io/v1/namespaces/shop/things";

/// One document of 2.8 MB took 541 MB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_very_many_values_is_refused_in_every_form() {
    let house = House::open().await;
    let mut alice = house.client("alice").await;
    let many = |value: &str, separator: &str| vec![value; 200_000].join(separator);
    let json = "application/json";
    let (yaml, merge) = ("application/yaml", "application/merge-patch+json");
    let patch = "application/json-patch+json";
    let member = many(r#"{"a":1}"#, ",");
    let one = &format!("{THINGS}/one");
    for (method, path, content_type, body) in [
        ("POST", THINGS, json, format!("[{member}]")),
        ("POST", THINGS, json, format!(r#"{{"metadata":{{"name":"x"}},"spec":[{member}]}}"#)),
        ("POST", THINGS, yaml, format!("[{}]", many("{a: b}", ","))),
        ("POST", THINGS, yaml, many("- a: b", "\n")),
        ("POST", THINGS, yaml, format!("x: &x [{}]\ny: [*x,*x]", many("1", ","))),
        ("DELETE", one, json, format!(r#"{{"kind":"DeleteOptions","junk":[{member}]}}"#)),
        ("PATCH", one, merge, format!(r#"{{"spec":[{member}]}}"#)),
        ("PATCH", one, patch, format!(r#"[{{"op":"add","path":"/x","value":[{member}]}}]"#)),
    ] {
        let mut sent = request(method, path, &body);
        sent.headers_mut().insert("content-type", content_type.parse().unwrap());
        let reply = alice.send(sent).await;
        // The kind may not be patched at all.
        let expected = if method == "PATCH" { [400, 405] } else { [400, 400] };
        assert!(expected.contains(&reply.code.as_u16()), "{method} {content_type} {}", reply.code);
    }
    house.close().await;
}

/// JSON is YAML too, and costs no more under that name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_is_called_yaml_is_read_as_json() {
    let house = House::open().await;
    let mut alice = house.client("alice").await;
    let long = "x".repeat(1 << 20);
    let body = format!(
        r#" {{"apiVersion":"test.io/v1","kind":"Thing","metadata":{{"name":"long","annotations":{{}}}},"spec":{{"text":"{long}"}}}}"#
    );
    let mut sent = request("POST", THINGS, &body);
    sent.headers_mut().insert("content-type", "application/yaml".parse().unwrap());
    let reply = alice.send(sent).await;
    assert_eq!(reply.code, 201, "{}", reply.body);
    house.close().await;
}

fn sent(events: &[Event]) -> Vec<Value> {
    let body = |event: &Event| event.request_object.clone();
    let bodies = events.iter().filter_map(body);
    bodies.map(|body| serde_json::from_slice(&body.into_bytes()).unwrap()).collect()
}

/// Keys that were there twice stood in the line twice: readers that take the first saw another object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_recorded_as_it_was_understood() {
    let house = House::open().await;
    let mut alice = house.client("alice").await;
    let twice = r#"{"apiVersion":"test.io/v1","kind":"Thing","metadata":{"name":"first","n\u0061me":"second"},"spec":{}}"#;
    assert_eq!(alice.post(THINGS, twice).await.code, 201);
    let junk = "x".repeat(100_000);
    let options = format!(
        r#"{{"kind":"DeleteOptions","apiVersion":"v1","junk":"{junk}","preconditions":{{"junk":"{junk}"}},"propagationPolicy":"Background"}}"#
    );
    let deleted = alice.send(request("DELETE", &format!("{THINGS}/second"), &options)).await;
    assert_eq!(deleted.code, 200, "{}", deleted.body);
    let events = house.close().await;
    let bodies: Vec<String> = events
        .iter()
        .filter_map(|event| event.request_object.clone())
        .map(|body| String::from_utf8(body.into_bytes().to_vec()).unwrap())
        .collect();
    assert!(!bodies[0].contains("first"), "{}", bodies[0]);
    let bodies = sent(&events);
    assert_eq!(bodies[0]["metadata"]["name"], "second");
    let expected = serde_json::json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {},
        "propagationPolicy": "Background",
    });
    assert_eq!(bodies[1], expected);
}

/// `/healthz` told good credentials from bad ones, and nothing was on record of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_tried_out_are_on_record_on_every_path() {
    let house = House::open().await;
    let paths = ["/healthz", "/livez", "/readyz", "/version", "/openapi/v2", "/nothing"];
    for path in paths {
        let mut nobody =
            Client::connect(house.address, &house.ca.pem(), None, Protocol::Http1).await;
        let reply = nobody.send(get(path, &[("authorization", "Bearer guess")])).await;
        assert_eq!(reply.code, 401, "{path}");
    }
    let events = house.close().await;
    let refused = |event: &&Event| event.response_status.as_ref().unwrap().code == 401;
    let seen: Vec<&str> = events.iter().filter(refused).map(|it| &*it.request_uri).collect();
    assert_eq!(seen, paths);
}

/// Anybody made an event of megabytes with one head.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_head_makes_long_is_cut_in_the_event() {
    let house = House::open().await;
    let mut alice = house.client_of("alice", &["dev"], Protocol::Http1).await;
    let long = "y".repeat(60_000);
    let id = "i".repeat(200_000);
    let reply = alice.send(get(&format!("{THINGS}/{long}"), &[("audit-id", id.as_str())])).await;
    assert_eq!(reply.code, 404);
    let events = house.close().await;
    let event = events.last().unwrap();
    assert_eq!(event.stage, Stage::ResponseComplete);
    assert_eq!(event.audit_id.len(), 36);
    let record = event::record::write(event);
    assert!(record.len() < 40_000, "{}", record.len());
    assert!(event.request_uri.contains("[cut: "), "{}", event.request_uri);
}
