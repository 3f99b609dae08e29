//! Attacks as tables: the request, and the events that it leaves.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use event::{Event, Stage};
use serde_json::Value;
use store::{
    Health, ListOptions, Object, Page, PendingCommit, ReadError, Sqlite, Storage, TransactionFn,
    Watch,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    Client, Protocol, TestServer, TestServerOptions, check_record, get, request, tls,
};

const THINGS: &str = "/apis/test.io/v1/namespaces/shop/things";

/// Regression: one document of 2.8 MB took 541 MB of memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_with_too_many_values_is_rejected_in_every_encoding() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    let many = |value: &str, separator: &str| vec![value; 200_000].join(separator);
    let json = "application/json";
    let (yaml, merge) = ("application/yaml", "application/merge-patch+json");
    let patch = "application/json-patch+json";
    let member = many(r#"{"a":1}"#, ",");
    let existing = &format!("{THINGS}/one");
    for (method, path, content_type, body) in [
        ("POST", THINGS, json, format!("[{member}]")),
        ("POST", THINGS, json, format!(r#"{{"metadata":{{"name":"x"}},"spec":[{member}]}}"#)),
        ("POST", THINGS, yaml, format!("[{}]", many("{a: b}", ","))),
        ("POST", THINGS, yaml, many("- a: b", "\n")),
        ("POST", THINGS, yaml, format!("x: &x [{}]\ny: [*x,*x]", many("1", ","))),
        ("DELETE", existing, json, format!(r#"{{"kind":"DeleteOptions","junk":[{member}]}}"#)),
        ("PATCH", existing, merge, format!(r#"{{"spec":[{member}]}}"#)),
        ("PATCH", existing, patch, format!(r#"[{{"op":"add","path":"/x","value":[{member}]}}]"#)),
    ] {
        let mut sent = request(method, path, &body);
        sent.headers_mut().insert("content-type", content_type.parse().unwrap());
        let reply = alice.send(sent).await;
        // The kind may not support patch at all.
        let expected = if method == "PATCH" { [400, 405] } else { [400, 400] };
        assert!(expected.contains(&reply.code.as_u16()), "{method} {content_type} {}", reply.code);
    }
    server.close().await;
}

/// JSON is valid YAML, and has the cost of JSON with that content type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_sent_as_yaml_is_parsed_as_json() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    let long = "x".repeat(1 << 20);
    let body = format!(
        r#" {{"apiVersion":"test.io/v1","kind":"Thing","metadata":{{"name":"long","annotations":{{}}}},"spec":{{"text":"{long}"}}}}"#
    );
    let mut sent = request("POST", THINGS, &body);
    sent.headers_mut().insert("content-type", "application/yaml".parse().unwrap());
    let reply = alice.send(sent).await;
    assert_eq!(reply.code, 201, "{}", reply.body);
    server.close().await;
}

fn sent(events: &[Event]) -> Vec<Value> {
    let body = |event: &Event| event.request_object.clone();
    let bodies = events.iter().filter_map(body);
    bodies.map(|body| serde_json::from_slice(&body.into_bytes()).unwrap()).collect()
}

/// Regression: the record contained duplicate keys twice, so readers that take the first value saw
/// another object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_recorded_as_it_was_decoded() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    let twice = r#"{"apiVersion":"test.io/v1","kind":"Thing","metadata":{"name":"first","n\u0061me":"second"},"spec":{}}"#;
    assert_eq!(alice.post(THINGS, twice).await.code, 201);
    let junk = "x".repeat(100_000);
    let options = format!(
        r#"{{"kind":"DeleteOptions","apiVersion":"v1","junk":"{junk}","preconditions":{{"junk":"{junk}"}},"propagationPolicy":"Background"}}"#
    );
    let deleted = alice.send(request("DELETE", &format!("{THINGS}/second"), &options)).await;
    assert_eq!(deleted.code, 200, "{}", deleted.body);
    let events = server.close().await;
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

/// Regression: `/healthz` revealed whether credentials are valid, and left no event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_credentials_are_recorded_on_every_path() {
    let server = TestServer::open().await;
    let paths = ["/healthz", "/livez", "/readyz", "/version", "/openapi/v2", "/nothing"];
    for path in paths {
        let mut anonymous =
            Client::connect(server.address, &server.ca.pem(), None, Protocol::Http1).await;
        let reply = anonymous.send(get(path, &[("authorization", "Bearer guess")])).await;
        assert_eq!(reply.code, 401, "{path}");
    }
    let events = server.close().await;
    let refused = |event: &&Event| event.response_status.as_ref().unwrap().code == 401;
    let refused_uris: Vec<&str> =
        events.iter().filter(refused).map(|event| &*event.request_uri).collect();
    assert_eq!(refused_uris, paths);
}

/// Regression: one request head made an event of several megabytes, without authentication.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_values_of_a_head_are_truncated_in_the_event() {
    let server = TestServer::open().await;
    let mut alice = server.client_of("alice", &["dev"], Protocol::Http1).await;
    let long = "y".repeat(60_000);
    let id = "i".repeat(200_000);
    let reply = alice.send(get(&format!("{THINGS}/{long}"), &[("audit-id", id.as_str())])).await;
    assert_eq!(reply.code, 404);
    let events = server.close().await;
    let event = events.last().unwrap();
    assert_eq!(event.stage, Stage::ResponseComplete);
    assert_eq!(event.audit_id.len(), 36);
    let record = event::record::write(event);
    assert!(record.len() < 40_000, "{}", record.len());
    assert!(event.request_uri.contains("[cut: "), "{}", event.request_uri);
}

/// A store whose journal is seven eighths full until it has recorded [`FILLED_RECORDS`] requests.
struct Filled(Arc<Sqlite>);

/// Number of records after which [`Filled`] has free space again.
const FILLED_RECORDS: u64 = 3;

#[async_trait]
impl Storage for Filled {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        self.0.get(key).await
    }

    async fn newest_revision(&self) -> Result<u64, ReadError> {
        self.0.newest_revision().await
    }

    fn observed_revision(&self) -> u64 {
        self.0.observed_revision()
    }

    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        self.0.wait_for_revision(revision).await
    }

    fn oldest_revision(&self) -> u64 {
        self.0.oldest_revision()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        self.0.list(prefix, options).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        self.0.watch(prefix, after).await
    }

    fn submit(&self, work: TransactionFn) -> PendingCommit {
        self.0.submit(work)
    }

    fn append(&self, record: Bytes) -> PendingCommit {
        self.0.append(record)
    }

    fn health(&self) -> Health {
        let health = self.0.health();
        let is_filled = health.records < FILLED_RECORDS;
        let used_bytes = if is_filled { health.limit_bytes / 8 * 7 } else { 0 };
        Health { used_bytes, ..health }
    }

    fn take_rejected(&self) -> u64 {
        self.0.take_rejected()
    }
}

/// Regression: unauthenticated clients filled the journal, and then every request was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_part_of_the_journal_is_reserved_for_authenticated_users() {
    let storage: fn(Arc<Sqlite>) -> Arc<dyn Storage> = |store| Arc::new(Filled(store));
    let server =
        TestServer::open_options(TestServerOptions { storage, ..TestServerOptions::default() })
            .await;
    let path = format!("{THINGS}/x");
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let mut unknown =
            Client::connect(server.address, &server.ca.pem(), None, Protocol::Http1).await;
        unknown.send(get(path, headers)).await
    };
    let refused = ask(&path, &[]).await;
    assert_eq!(refused.code, 503, "{}", refused.body);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(ask("/healthz", &[("authorization", "Bearer guess")]).await.code, 503);
    assert_eq!(ask("/healthz", &[]).await.code, 401, "a probe that leaves no event takes no space");
    let mut alice = server.client("alice").await;
    for _ in 0..FILLED_RECORDS {
        assert_eq!(alice.call("GET", &path).await.code, 404);
    }
    // Its own task records the gap when there is space.
    while server.events().await.len() as u64 == FILLED_RECORDS {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&path, &[]).await.code, 401, "there is space again");
    // There is one gap event, not one per record.
    check_record(
        server,
        "
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 alice
        ResponseComplete gap  503 system:keepwatch
        ResponseStarted get /apis/test.io/v1/namespaces/shop/things/x 401 -
        ",
    )
    .await;
}

/// Regression: the number of rejected requests was lost if the server stopped before the next read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_requests_were_not_recorded_when_the_server_stopped() {
    let storage: fn(Arc<Sqlite>) -> Arc<dyn Storage> = |store| Arc::new(Filled(store));
    let server =
        TestServer::open_options(TestServerOptions { storage, ..TestServerOptions::default() })
            .await;
    let mut unknown =
        Client::connect(server.address, &server.ca.pem(), None, Protocol::Http1).await;
    let refused = unknown.send(get(&format!("{THINGS}/x"), &[])).await;
    assert_eq!(refused.code, 503, "{}", refused.body);
    check_record(server, "ResponseComplete gap  503 system:keepwatch").await;
}

/// Regression: invalid heads were neither audited nor counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_heads_are_counted() {
    let server = TestServer::open().await;
    let ca = server.ca.pem();
    for head in ["GET / HTTP/1.1\r\nname without a colon\r\n\r\n", "\0\0\0\r\n\r\n"] {
        let mut stream = tls(server.address, &ca, None, Protocol::Http1).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut response = Vec::new();
        drop(stream.read_to_end(&mut response).await);
        assert!(response.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&response));
    }
    let mut alice = server.client("alice").await;
    let metrics = alice.call("GET", "/metrics").await.body;
    assert!(metrics.contains("\nkeepwatch_malformed_requests_total 2\n"), "{metrics}");
    server.close().await;
}

/// Regression: a chunk of a long response that began like the library's rejection of a URI was
/// dropped, with the rest of the response. A user with write access to one object could truncate
/// the lists of all users.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_resembles_an_error_of_the_library_is_delivered() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    for at in 0..30 {
        // One of the offsets makes a chunk begin with this text.
        let text = format!("{}{}", "x".repeat(at % 13), "HTTP/1.1 414 ".repeat(15_000));
        let body = serde_json::json!({"apiVersion": "test.io/v1", "kind": "Thing",
            "metadata": {"name": format!("long-{at}"), "annotations": {"text": text}}});
        assert_eq!(alice.post(THINGS, &body.to_string()).await.code, 201);
    }
    let expected = alice.call("GET", THINGS).await.body;
    let identity = server.ca.client("alice", &[]);
    let ca = server.ca.pem();
    let mut stream = tls(server.address, &ca, Some(&identity), Protocol::Http1).await.unwrap();
    let head = format!("GET {THINGS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        drop(stream.read_to_end(&mut response).await);
    });
    read.await.expect("a complete response in time");
    assert!(response.ends_with(expected.as_bytes()), "{} of {}", response.len(), expected.len());
    server.close().await;
}

/// Regression: the response to a body of 250 KB with empty list items had 72 MB and took 5 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_an_object_list_only_a_few_fields() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    let many = |piece: &str| vec![piece; 20_000].join(",");
    let pairs = |value: &str| {
        let pairs = (0..20_000).map(|at| format!("\"!{at:x}\":{value}"));
        pairs.collect::<Vec<_>>().join(",")
    };
    let key = "k".repeat(100_000);
    for (what, expected) in [
        (format!(r#""ownerReferences":[{}]"#, many("{}")), 422),
        (format!(r#""finalizers":[{}]"#, many(r#""!""#)), 422),
        (format!(r#""labels":{{{}}}"#, pairs("\"\"")), 422),
        (format!(r#""annotations":{{{}}}"#, pairs("\"\"")), 422),
        (pairs("0"), 201),
        (format!(r#""{key}":{{{}}}"#, many(r#""a":0"#)), 400),
    ] {
        let body = format!(r#"{{"metadata":{{"name":"told",{what}}}}}"#);
        let reply = alice.post(THINGS, &body).await;
        let begin = body.get(..60).unwrap();
        assert_eq!(reply.code.as_u16(), expected, "{begin}");
        assert!(reply.body.len() < 100_000, "{begin}: {} bytes", reply.body.len());
    }
    server.close().await;
}
