//! Every kind of response, and its audit event.

use std::collections::BTreeMap;
use std::time::Duration;

use apiserver::authn::Anonymous;
use apiserver::limits::Limits;
use event::Level;
use event::annotations::REJECTED_REQUESTS;
use http_body_util::BodyExt as _;

use crate::harness::{Protocol, TestServer, TestServerOptions, check_record, get, line, thing};

/// Maximum time until the gap event.
const DEADLINE: Duration = Duration::from_secs(30);
const THINGS: &str = "/apis/test.io/v1/namespaces/shop/things";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successful_and_denied_requests_are_recorded_over_both_protocols() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = TestServer::open().await;
        let mut alice = server.client_of("alice", &["dev"], protocol).await;
        let created = alice.post(THINGS, &thing("one")).await;
        assert_eq!(created.code, 201, "{}", created.body);
        assert!(created.headers.contains_key("audit-id"));
        assert_eq!(created.headers["cache-control"], "no-cache, private");
        assert_eq!(alice.call("GET", &format!("{THINGS}/one")).await.code, 200);
        assert_eq!(alice.call("GET", &format!("{THINGS}/two")).await.code, 404);
        assert_eq!(alice.post(THINGS, &thing("one")).await.code, 409);
        assert_eq!(alice.call("PATCH", &format!("{THINGS}/one")).await.code, 405);
        assert_eq!(alice.post(THINGS, "{").await.code, 400);
        assert_eq!(alice.call("DELETE", &format!("{THINGS}/one")).await.code, 200);
        assert_eq!(alice.call("GET", "/nothing/here").await.code, 404);
        let mut mallory = server.client_of("mallory", &[], protocol).await;
        let refused = mallory.call("DELETE", &format!("{THINGS}/one")).await;
        assert_eq!(refused.code, 403);
        assert_eq!(refused.headers["x-content-type-options"], "nosniff");
        let message = "things.test.io \\\"one\\\" is forbidden: User \\\"mallory\\\" cannot delete \
                       resource \\\"things\\\" in API group \\\"test.io\\\" in the namespace \\\"shop\\\"";
        assert!(refused.body.contains(message), "{}", refused.body);
        check_record(
            server,
            "
            ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice
            ResponseComplete get /apis/test.io/v1/namespaces/shop/things/one 200 alice
            ResponseComplete get /apis/test.io/v1/namespaces/shop/things/two 404 alice
            ResponseComplete create /apis/test.io/v1/namespaces/shop/things 409 alice
            ResponseComplete patch /apis/test.io/v1/namespaces/shop/things/one 405 alice
            ResponseComplete create /apis/test.io/v1/namespaces/shop/things 400 alice
            ResponseComplete delete /apis/test.io/v1/namespaces/shop/things/one 200 alice
            ResponseComplete get /nothing/here 404 alice
            ResponseComplete delete /apis/test.io/v1/namespaces/shop/things/one 403 mallory
            ",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_has_the_fields_of_kubernetes() {
    let server = TestServer::open().await;
    let mut alice = server.client_of("alice", &["dev"], Protocol::Http2).await;
    let path = format!("{THINGS}/one?x=1");
    alice.post(THINGS, &thing("one")).await;
    let headers = [("audit-id", "chosen"), ("x-forwarded-for", "192.0.2.7, nonsense")];
    let reply = alice.send(get(&path, &headers)).await;
    let audit_id = reply.headers["audit-id"].to_str().unwrap();
    assert_ne!(audit_id, "chosen", "a client could choose the ID of another request");
    let events = server.close().await;
    let event = events.last().unwrap();
    assert_eq!((event.level, event.audit_id.as_str()), (Level::RequestResponse, audit_id));
    assert_eq!(event.request_uri, path);
    assert_eq!(event.source_ips, ["192.0.2.7", "127.0.0.1"]);
    assert_eq!(event.user_agent, "test");
    assert_eq!(event.user.groups, ["dev", "system:authenticated"]);
    assert_eq!(event.annotations["authorization.k8s.io/decision"], "allow");
    let reason =
        r#"RBAC: allowed by ClusterRoleBinding "editors" of ClusterRole "editor" to User "alice""#;
    assert_eq!(event.annotations["authorization.k8s.io/reason"], reason);
    assert_eq!(
        event.response_object.as_ref().unwrap().as_bytes(),
        reply.body.trim_end().as_bytes()
    );
    let event = &events[0];
    assert_eq!(event.object_ref.as_ref().unwrap().name, "one");
    assert!(event.request_object.is_some() && event.response_object.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_are_not_recorded_and_need_no_permission() {
    let server = TestServer::open_with(Limits::default(), Anonymous::Allowed).await;
    let ca = server.ca.pem();
    let mut anonymous =
        crate::harness::Client::connect(server.address, &ca, None, Protocol::Http1).await;
    assert_eq!(anonymous.call("GET", "/healthz").await.body, "ok");
    assert_eq!(anonymous.call("GET", "/readyz").await.body, "ok");
    assert_eq!(anonymous.call("HEAD", "/readyz").await.body, "");
    assert_eq!(anonymous.call("GET", "/metrics").await.code, 403);
    assert_eq!(anonymous.call("GET", "/version").await.code, 403);
    let mut alice = server.client("alice").await;
    let metrics = alice.call("GET", "/metrics").await.body;
    assert!(metrics.contains("apiserver_request_total{"), "{metrics}");
    let index = alice.call("GET", "/").await.body;
    let paths = r#"{"paths":["/apis","/apis/test.io","/apis/test.io/v1","/healthz","/livez","/metrics","/openapi/v2","/openapi/v3","/readyz","/version"]}"#;
    assert_eq!(index.trim(), paths);
    check_record(
        server,
        "
        ResponseComplete get /version 403 system:anonymous
        ResponseComplete get / 200 alice
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboards_for_kubernetes_find_their_metrics() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    let mut mallory = server.client("mallory").await;
    let mut watcher = server.client("alice").await;
    let mut watch = watcher.begin(get(&format!("{THINGS}?watch=1"), &[])).await;
    assert_eq!(alice.post(&format!("{THINGS}?dryRun=All"), &thing("no")).await.code, 201);
    assert_eq!(alice.post(THINGS, &thing("one")).await.code, 201);
    drop(watch.body_mut().frame().await.unwrap().unwrap());
    assert_eq!(alice.call("GET", THINGS).await.code, 200);
    assert_eq!(mallory.call("DELETE", &format!("{THINGS}/one")).await.code, 403);
    server.client_of("bob", &[], Protocol::Http1).await.call("GET", "/healthz").await;
    let ca = server.ca.pem();
    let mut anonymous =
        crate::harness::Client::connect(server.address, &ca, None, Protocol::Http1).await;
    assert_eq!(anonymous.call("GET", THINGS).await.code, 401);
    let metrics = alice.call("GET", "/metrics").await.body;
    let kind = r#"group="test.io",version="v1",resource="things""#;
    let things = format!(r#"{kind},subresource="",scope="#);
    for series in [
        format!(
            r#"apiserver_request_total{{verb="POST",dry_run="",{things}"resource",component="apiserver",code="201"}} 1"#
        ),
        format!(
            r#"apiserver_request_total{{verb="POST",dry_run="All",{things}"resource",component="apiserver",code="201"}} 1"#
        ),
        format!(
            r#"apiserver_request_total{{verb="LIST",dry_run="",{things}"namespace",component="apiserver",code="200"}} 1"#
        ),
        format!(
            r#"apiserver_request_duration_seconds_count{{verb="WATCH",dry_run="",{things}"namespace",component="apiserver"}} 1"#
        ),
        format!(
            r#"apiserver_request_sli_duration_seconds_count{{verb="LIST",dry_run="",{things}"namespace",component="apiserver"}} 2"#
        ),
        format!(
            r#"apiserver_response_sizes_count{{verb="DELETE",dry_run="",{things}"resource",component="apiserver"}} 1"#
        ),
        format!(
            r#"apiserver_longrunning_requests{{verb="WATCH",dry_run="",{things}"namespace",component="apiserver"}} 1"#
        ),
        format!(r"apiserver_watch_events_total{{{kind}}} 1"),
        format!(r"apiserver_watch_events_sizes_count{{{kind}}} 1"),
        r#"apiserver_current_inflight_requests{request_kind="readOnly"} 1"#.to_owned(),
        r#"apiserver_current_inflight_requests{request_kind="mutating"} 0"#.to_owned(),
        // A running watch, two creates, a list, a 403, a 401.
        "apiserver_audit_event_total 6".to_owned(),
        r#"apiserver_audit_level_total{level="RequestResponse"} 6"#.to_owned(),
        r#"apiserver_audit_level_total{level="None"} 2"#.to_owned(),
        r#"authentication_attempts_total{result="success"} 7"#.to_owned(),
        r#"authentication_attempts_total{result="failure"} 1"#.to_owned(),
        r#"authenticated_user_requests_total{username="other"} 7"#.to_owned(),
        r#"authorization_attempts_total{result="no-opinion"} 1"#.to_owned(),
    ] {
        assert!(metrics.contains(&series), "{series} is not in {metrics}");
    }
    assert!(!metrics.contains("alice"), "metrics contain no user names");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_over_a_limit_are_answered_and_recorded() {
    let limits = Limits { reads_max: 1, ..Limits::default() };
    let server = TestServer::open_with(limits, Anonymous::Refused).await;
    let mut alice = server.client("alice").await;
    let large = "x".repeat((3 << 20) + 1);
    let reply = alice.post(THINGS, &large).await;
    assert_eq!(reply.code, 413, "{}", reply.body);
    assert!(reply.body.contains("Request entity too large: limit is 3145728"));
    assert_eq!(alice.call("GET", &format!("{THINGS}/x?timeout=nonsense")).await.code, 400);
    let late = alice.call("GET", &format!("{THINGS}/gate?timeout=50ms")).await;
    assert_eq!(late.code, 504, "{}", late.body);
    server.gate.arrived.notified().await;

    let mut waiting = server.client("alice").await;
    let gate = format!("{THINGS}/gate");
    let (waited, full) = tokio::join!(waiting.call("GET", &gate), async {
        server.gate.arrived.notified().await;
        let full = alice.call("GET", &format!("{THINGS}/x")).await;
        let mut master = server.client_of("root", &["system:masters"], Protocol::Http1).await;
        let passes = master.call("GET", &format!("{THINGS}/x")).await;
        assert_eq!(passes.code, 404, "system:masters needs no seat");
        server.gate.open.add_permits(1);
        full
    });
    assert_eq!((waited.code.as_u16(), full.code.as_u16()), (404, 429));
    assert_eq!(full.headers["retry-after"], "1");
    check_record(
        server,
        "
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things 413 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x?timeout=nonsense 400 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/gate?timeout=50ms 504 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 429 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 root
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/gate 404 alice
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_recorded_and_the_server_continues() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    assert_eq!(alice.call("GET", &format!("{THINGS}/panic")).await.code, 500);
    assert_eq!(alice.call("GET", &format!("{THINGS}/unknown")).await.code, 500);
    assert_eq!(alice.call("GET", &format!("{THINGS}/x")).await.code, 404);
    let events = server.close().await;
    let lines: Vec<String> = events.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "Panic get /apis/test.io/v1/namespaces/shop/things/panic 500 alice",
            "ResponseComplete get /apis/test.io/v1/namespaces/shop/things/unknown 500 alice",
            "ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 alice",
        ]
    );
    assert_eq!(events[1].annotations["authorization.k8s.io/reason"], "internal error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_client_does_not_stop_its_request() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = TestServer::open().await;
        let mut leaving = server.client_of("alice", &[], protocol).await;
        let gate = format!("{THINGS}/gate");
        tokio::select! {
            _ = leaving.call("GET", &gate) => panic!("the gate is closed"),
            () = server.gate.arrived.notified() => {}
        }
        leaving.abort();
        // The next request shows that the server has detected the disconnect; then the first
        // request may continue.
        let mut alice = server.client("alice").await;
        assert_eq!(alice.call("GET", &format!("{THINGS}/x")).await.code, 404);
        server.gate.open.add_permits(1);
        check_record(
            server,
            "
            ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x 404 alice
            ResponseComplete get /apis/test.io/v1/namespaces/shop/things/gate 404 alice
            ",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_recorded_are_rejected_and_health_checks_succeed() {
    let server = TestServer::open().await;
    let mut alice = server.client("alice").await;
    server.store.close().await;
    let reply = alice.call("GET", &format!("{THINGS}/x")).await;
    assert_eq!(reply.code, 503, "{}", reply.body);
    assert!(reply.headers.contains_key("retry-after"));
    assert!(reply.body.contains("cannot be recorded: the store is closed"), "{}", reply.body);
    assert_eq!(alice.call("GET", "/healthz").await.code, 200);
    let ready = alice.call("GET", "/readyz").await;
    assert!(ready.body.contains("[-]store failed: reason withheld"), "{}", ready.body);
    assert_eq!(alice.call("GET", "/metrics").await.code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_rejections_the_gap_was_recorded_with_the_next_read_only() {
    let settings = store::Settings {
        journal_retention_bytes: 1 << 20,
        limit_bytes: 2 << 20,
        ..store::Settings::default()
    };
    let server =
        TestServer::open_options(TestServerOptions { settings, ..TestServerOptions::default() })
            .await;
    let journal = server.store.journal();
    journal.register("slow", 0).await.unwrap();
    let mut alice = server.client("alice").await;
    // Random, because the journal compresses long bodies.
    let words = std::iter::repeat_with(|| uuid::Uuid::new_v4().simple().to_string());
    let filler: String = words.take(200 << 5).collect();
    let large =
        thing("one").replace("\"one\"", &format!("\"one\",\"annotations\":{{\"a\":\"{filler}\"}}"));
    let mut refused = 0;
    for _ in 0..40 {
        let reply = alice.post(THINGS, &large).await;
        refused += u64::from(reply.code == 503);
    }
    assert!(refused > 0, "the store is full");
    assert_eq!(alice.call("GET", "/healthz").await.code, 200);
    let mut counts = BTreeMap::new();
    rejected_counts(&server, &mut counts).await;
    journal.remove("slow").await.ok();
    // The store frees space asynchronously. Only writes follow: a write is committed with its
    // event.
    loop {
        let reply = alice.post(THINGS, &thing("two")).await;
        if reply.code != 503 {
            break;
        }
        refused += 1;
        // The store may soon remove the record of a gap.
        rejected_counts(&server, &mut counts).await;
    }
    let recorded = async {
        while counts.values().sum::<u64>() < refused {
            let last = journal.last_seq();
            rejected_counts(&server, &mut counts).await;
            if counts.values().sum::<u64>() < refused {
                journal.wait_past(last).await.unwrap();
            }
        }
    };
    tokio::time::timeout(DEADLINE, recorded).await.expect("the gap is recorded without a read");
    assert_eq!(counts.values().sum::<u64>(), refused);
}

/// Adds the numbers of rejected requests in gap events, by the sequence number of the event.
async fn rejected_counts(server: &TestServer, counts: &mut BTreeMap<u64, u64>) {
    for record in server.store.journal().read(0, 1000, 1 << 24).await.unwrap() {
        let event = event::record::read(record.bytes).unwrap();
        if let Some(count) = event.annotations.get(REJECTED_REQUESTS) {
            counts.insert(record.seq, count.parse().unwrap());
        }
    }
}
