//! What is on record of requests whose outcome the store does not accept, or accepts late.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apiserver::limits::{FORWARDED_EARLY_BYTES_MAX, Limits};
use event::annotations::{INTERRUPTED, OUTCOME, REJECTED_REQUESTS};
use event::limit::digest;
use event::{Event, Stage};
use serde_json::{Value, json};
use store::Storage as _;
use tempfile::TempDir;

use crate::harness::TestProxy;
use crate::peer::Peer;

fn code(event: &Event) -> u16 {
    event.response_status.as_ref().map_or(0, |status| status.code)
}

fn request_object(event: &Event) -> Value {
    serde_json::from_slice(event.request_object.as_ref().unwrap().as_bytes()).unwrap()
}

/// Waits until the peer has got this number of requests.
async fn arrived(peer: &Peer, count: usize) {
    while peer.requests.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_outcome_that_the_store_refused_was_recorded_only_after_a_restart() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let refused = async {
        arrived(&peer, 1).await;
        proxy.store.refuses.store(true, Ordering::SeqCst);
        peer.gate.add_permits(1);
    };
    let (reply, ()) = tokio::join!(proxy.send("PUT", "stalled", r#"{"spec":{"a":1}}"#), refused);
    assert_eq!(reply.code.as_u16(), 503, "no response before its event");
    let ready = proxy.api("/readyz?verbose").await;
    assert!(ready.contains("[!]outcomes is degraded, which fails no check: 1 of"), "{ready}");
    proxy.store.refuses.store(false, Ordering::SeqCst);
    let events = proxy.wait_events(1).await;
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!((event.stage, code(event)), (Stage::ResponseComplete, 200));
    assert!(event.annotations[INTERRUPTED].contains("503"), "{:?}", event.annotations);
    assert_eq!(event.annotations.get(OUTCOME), None, "the outcome is known");
    let events = proxy.close().await;
    assert_eq!(events.len(), 1, "neither a second event nor a gap: {events:#?}");
}

#[tokio::test]
async fn an_outcome_that_waited_at_shutdown_was_left_for_the_next_start() {
    let peer = Peer::start().await;
    let limits = Limits { request_time_max: Duration::from_millis(300), ..Limits::default() };
    let proxy = TestProxy::start_with(&peer, Arc::new(TempDir::new().unwrap()), limits).await;
    let refused = async {
        arrived(&peer, 1).await;
        proxy.store.refuses.store(true, Ordering::SeqCst);
    };
    let (reply, ()) = tokio::join!(proxy.send("PUT", "stalled", "{}"), refused);
    assert_eq!(reply.code.as_u16(), 503);
    proxy.store.refuses.store(false, Ordering::SeqCst);
    let events = proxy.close().await;
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!((code(event), event.annotations[OUTCOME].as_str()), (504, "unknown"));
}

#[tokio::test]
async fn an_outcome_that_was_committed_although_the_store_failed_was_recorded_twice() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let failed = async {
        arrived(&peer, 1).await;
        proxy.store.fails_after_commit.store(true, Ordering::SeqCst);
        peer.gate.add_permits(1);
    };
    let (reply, ()) = tokio::join!(proxy.send("PUT", "stalled", "{}"), failed);
    assert_eq!(reply.code.as_u16(), 503);
    proxy.store.fails_after_commit.store(false, Ordering::SeqCst);
    let events = proxy.close().await;
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(code(event), 200);
}

#[tokio::test]
async fn an_intent_that_was_committed_although_the_store_failed_had_an_unknown_outcome() {
    let peer = Peer::start().await;
    let folder = Arc::new(TempDir::new().unwrap());
    let proxy = TestProxy::start_with(&peer, Arc::clone(&folder), Limits::default()).await;
    proxy.store.fails_after_commit.store(true, Ordering::SeqCst);
    assert_eq!(proxy.send("PUT", "echo", "{}").await.code.as_u16(), 503);
    assert_eq!(peer.requests.load(Ordering::SeqCst), 0);
    proxy.store.fails_after_commit.store(false, Ordering::SeqCst);
    let events = proxy.close().await;
    let [event] = &events[..] else { panic!("a gap that is none: {events:#?}") };
    assert_eq!((code(event), event.annotations[OUTCOME].as_str()), (503, "not-forwarded"));
    let proxy = TestProxy::start_with(&peer, folder, Limits::default()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(proxy.close().await.len(), 1, "the next start adds no event");
}

#[tokio::test]
async fn a_request_that_was_never_forwarded_had_an_unknown_outcome() {
    let peer = Peer::start().await;
    let folder = Arc::new(TempDir::new().unwrap());
    let limits = Limits { request_time_max: Duration::from_millis(100), ..Limits::default() };
    let proxy = TestProxy::start_with(&peer, Arc::clone(&folder), limits).await;
    // The disk stalls for longer than the request may last.
    let (_never, waiting) = std::sync::mpsc::channel::<()>();
    let stall = move || waiting.recv_timeout(Duration::from_secs(1)).is_ok();
    let stalled = proxy.store.submit(Box::new(move |_| assert!(!stall())));
    let reply = proxy.send("PUT", "echo", "{}").await;
    stalled.await.unwrap();
    assert_eq!(reply.code.as_u16(), 504);
    assert_eq!(peer.requests.load(Ordering::SeqCst), 0);
    let events = proxy.close().await;
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!((code(event), event.annotations[OUTCOME].as_str()), (504, "not-forwarded"));
    let proxy = TestProxy::start_with(&peer, folder, Limits::default()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(proxy.close().await.len(), 1, "the next start adds no event");
}

#[tokio::test]
async fn a_request_whose_intent_was_refused_is_counted_and_not_forwarded() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    proxy.store.refuses.store(true, Ordering::SeqCst);
    let reply = proxy.send("PUT", "echo", "{}").await;
    assert_eq!(reply.code.as_u16(), 503);
    assert_eq!(peer.requests.load(Ordering::SeqCst), 0);
    proxy.store.refuses.store(false, Ordering::SeqCst);
    let events = proxy.wait_events(1).await;
    assert_eq!(events[0].annotations[REJECTED_REQUESTS], "1");
    let metric = "apiserver_audit_requests_rejected_total 1\n";
    assert!(proxy.metrics().contains(metric), "counted twice: {}", proxy.metrics());
    proxy.close().await;
}

#[tokio::test]
async fn the_requests_of_an_earlier_run_were_tried_while_the_disk_was_full() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    tokio::select! {
        _ = proxy.begin("PUT", "stalled", "{}") => panic!("the peer does not respond"),
        () = arrived(&peer, 1) => {}
    }
    let folder = proxy.crash().await;
    let proxy = TestProxy::start_with(&peer, folder, Limits::default()).await;
    proxy.store.refuses.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(proxy.store.refused.load(Ordering::SeqCst), 0, "each counts as a lost request");
    proxy.store.refuses.store(false, Ordering::SeqCst);
    let events = proxy.wait_events(1).await;
    assert_eq!(events[0].annotations[OUTCOME], "unknown");
    proxy.close().await;
}

#[tokio::test]
async fn a_get_that_a_program_may_act_on_was_forwarded_without_an_intent() {
    for (name, expected) in [("pod/proxy", 1), ("pod/log", 0)] {
        let peer = Peer::start().await;
        let proxy = TestProxy::start(&peer).await;
        tokio::select! {
            _ = proxy.begin("GET", name, "") => panic!("the peer does not respond"),
            () = arrived(&peer, 1) => {}
        }
        let page = proxy.store.list("internal/intents/", store::ListOptions::default()).await;
        assert_eq!(page.unwrap().items.len(), expected, "{name}");
    }
}

/// A body that is longer than what is recorded before the peer has authorized the request.
fn long_body() -> String {
    json!({"metadata": {"name": "x"}, "data": "x".repeat(FORWARDED_EARLY_BYTES_MAX)}).to_string()
}

#[tokio::test]
async fn a_refused_user_filled_the_journal_with_bodies() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let body = long_body();
    let requests = [
        // What a user gets who is not authorized, or not yet.
        ("code-400", 400, false),
        ("code-401", 401, false),
        ("code-403", 403, false),
        ("code-404", 404, false),
        ("code-413", 413, false),
        ("code-429", 429, false),
        ("code-500", 500, false),
        ("code-503", 503, false),
        ("redirect", 502, false),
        ("hang-up", 503, false),
        ("echo", 200, true),
        ("code-201", 201, true),
        ("code-409", 409, true),
        ("code-422", 422, true),
    ];
    for (name, expected, _) in requests {
        assert_eq!(proxy.send("PUT", name, &body).await.code.as_u16(), expected, "{name}");
    }
    assert_eq!(proxy.send("PUT", "code-403", r#"{"a":1}"#).await.code.as_u16(), 403);
    let events = proxy.close().await;
    for (event, (name, _, is_complete)) in events.iter().zip(requests) {
        let object = request_object(event);
        if is_complete {
            assert_eq!(object.to_string().len(), body.len(), "{name}");
            continue;
        }
        let mark = &object["keepwatch.io/cut"];
        assert_eq!(
            (mark["bytes"].as_u64(), &mark["sha256"]),
            (Some(body.len() as u64), &json!(digest(body.as_bytes()))),
            "{name}"
        );
    }
    let [.., last] = &events[..] else { panic!("no event") };
    assert_eq!(events.len(), requests.len() + 1);
    assert_eq!(request_object(last), json!({"a": 1}), "short bodies are always recorded");
}

#[tokio::test]
async fn the_intent_of_a_request_that_is_not_authorized_yet_had_its_whole_body() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let body = long_body();
    let sending = proxy.begin("PUT", "stalled", &body);
    tokio::select! {
        _ = sending => panic!("the peer does not respond"),
        () = arrived(&peer, 1) => {}
    }
    let page = proxy.store.list("internal/intents/", store::ListOptions::default()).await.unwrap();
    let [intent] = &page.items[..] else { panic!("{page:?}") };
    assert!(intent.body.len() < FORWARDED_EARLY_BYTES_MAX / 2, "{}", intent.body.len());
    let folder = proxy.crash().await;
    let proxy = TestProxy::start_with(&peer, folder, Limits::default()).await;
    let events = proxy.wait_events(1).await;
    assert_eq!(request_object(&events[0])["keepwatch.io/cut"]["bytes"], body.len());
    proxy.close().await;
}

#[tokio::test]
async fn a_header_hid_a_body_from_the_record() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let body = r#"{"spec":{"hidden":true}}"#;
    let check = async |media_type: &'static str| {
        let headers = [("connection", "content-type"), ("content-type", media_type)];
        let response = proxy.begin_with("PUT", "echo", &headers, body).await;
        let (_, response) = response.into_parts();
        let response = http_body_util::BodyExt::collect(response).await.unwrap().to_bytes();
        let response: Value = serde_json::from_slice(&response).unwrap();
        let sent = json!(format!("content-type: {media_type}"));
        assert!(response["headers"].as_array().unwrap().contains(&sent), "{response}");
    };
    check("application/json").await;
    check("text/plain").await;
    let events = proxy.close().await;
    assert_eq!(request_object(&events[0]), json!({"spec": {"hidden": true}}));
    // The peer got the media type by which the body was recorded, so it refuses it.
    assert!(request_object(&events[1])["keepwatch.io/cut"].is_object());
}
