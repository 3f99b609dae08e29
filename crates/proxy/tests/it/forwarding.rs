//! What is sent to the peer, what the client gets, and what is on record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apiserver::limits::Limits;
use event::annotations::{INTERRUPTED, OUTCOME, OUTCOME_UNKNOWN, UPSTREAM};
use event::limit::digest;
use event::{Event, Stage};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::TestProxy;
use crate::peer::{LONG, Peer};

fn code(event: &Event) -> u16 {
    event.response_status.as_ref().map_or(0, |status| status.code)
}

fn object(event: &Event) -> Value {
    let object = event.response_object.as_ref().unwrap();
    serde_json::from_slice(object.as_bytes()).unwrap()
}

#[tokio::test]
async fn the_peer_gets_the_user_and_nothing_that_the_client_could_forge() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let reply = proxy.send("PUT", "echo", r#"{"metadata":{"name":"echo","uid":"7"}}"#).await;
    assert_eq!((reply.code.as_u16(), reply.headers["x-peer"].as_bytes()), (200, &b"1"[..]));
    assert_eq!(reply.headers["audit-id"], "chosen");
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let sent: Vec<&str> =
        body["headers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let upstream = format!("localhost:{}", peer.address.port());
    let host = format!("host: {upstream}");
    assert_eq!(
        sent,
        [
            "audit-id: chosen",
            "authorization: Bearer the-proxys-token",
            "content-length: 38",
            "content-type: application/json",
            host.as_str(),
            "impersonate-extra-scopes: a",
            "impersonate-group: devs",
            "impersonate-group: system:authenticated",
            "impersonate-user: alice",
            "x-forwarded-for: 192.0.2.7, 127.0.0.1",
        ]
    );
    let events = proxy.close().await;
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(
        (event.stage, code(event), &*event.user.username),
        (Stage::ResponseComplete, 200, "alice")
    );
    assert_eq!(event.annotations[UPSTREAM], upstream);
    assert_eq!(event.object_ref.as_ref().unwrap().uid, "7");
    assert_eq!(object(event)["body"], r#"{"metadata":{"name":"echo","uid":"7"}}"#);
}

#[tokio::test]
async fn a_long_response_is_recorded_before_it_ends_and_with_its_digest() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let reply = proxy.send("GET", "long", "").await;
    assert_eq!(reply.body.len(), LONG);
    let events = proxy.close().await;
    let [start, end] = &events[..] else { panic!("{events:#?}") };
    assert_eq!((start.stage, code(start)), (Stage::ResponseStarted, 200));
    assert_eq!((end.stage, code(end)), (Stage::ResponseComplete, 200));
    let cut = object(end)["keepwatch.io/cut"].clone();
    assert_eq!(cut["bytes"], LONG);
    assert_eq!(cut["sha256"], digest(&reply.body));
    assert_eq!(end.annotations.get(INTERRUPTED), None);
}

#[tokio::test]
async fn a_slow_response_is_passed_on_while_it_arrives() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let mut response = proxy.begin("GET", "slow", "").await;
    let part = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(part, "{\"a\":");
    let events = proxy.wait_events(1).await;
    assert_eq!(events[0].stage, Stage::ResponseStarted);
    peer.gate.add_permits(1);
    assert_eq!(response.collect().await.unwrap().to_bytes(), "1}");
    let events = proxy.close().await;
    assert_eq!(object(&events[1])["keepwatch.io/cut"]["bytes"], 7);
}

#[tokio::test]
async fn a_client_that_leaves_a_long_response_is_on_record() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let mut response = proxy.begin("GET", "slow", "").await;
    assert!(response.body_mut().frame().await.is_some());
    drop(response);
    peer.gate.add_permits(1);
    let events = proxy.wait_events(2).await;
    assert_eq!(events[1].stage, Stage::ResponseComplete);
    assert!(events[1].annotations.contains_key(INTERRUPTED), "{:?}", events[1].annotations);
}

#[tokio::test]
async fn a_response_that_breaks_off_breaks_off_for_the_client_too() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let response = proxy.begin("GET", "break-off", "").await;
    assert_eq!(response.status(), 200);
    peer.gate.add_permits(1);
    assert!(response.collect().await.is_err(), "half a response looked complete");
    let events = proxy.close().await;
    let reason = &events.last().unwrap().annotations[INTERRUPTED];
    assert!(reason.starts_with("the upstream ended the response early"), "{reason}");
}

/// The code for the client, whether the outcome is unknown, and the number of requests to the peer.
async fn check(method: &str, name: &str, limits: Limits, expected: (u16, bool, usize)) {
    let peer = Peer::start().await;
    let proxy = TestProxy::start_with(&peer, Arc::new(TempDir::new().unwrap()), limits).await;
    let reply = proxy.send(method, name, "{}").await;
    assert_eq!(reply.headers.get("location"), None);
    let status: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(status["kind"], "Status", "{name}");
    let requests = peer.requests.load(Ordering::SeqCst);
    let events = proxy.close().await;
    let [event] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(code(event), reply.code.as_u16());
    let is_unknown =
        event.annotations.get(OUTCOME).is_some_and(|outcome| outcome == OUTCOME_UNKNOWN);
    assert_eq!((reply.code.as_u16(), is_unknown, requests), expected, "{method} {name}");
}

#[tokio::test]
async fn a_failure_of_the_peer_is_not_repeated_and_says_whether_there_may_be_an_effect() {
    check("GET", "hang-up", Limits::default(), (503, false, 1)).await;
    check("PUT", "hang-up", Limits::default(), (503, true, 1)).await;
    check("PUT", "redirect", Limits::default(), (502, false, 1)).await;
    let limits = Limits { request_time_max: Duration::from_millis(300), ..Limits::default() };
    check("PUT", "stalled", limits.clone(), (504, true, 1)).await;
    check("GET", "stalled", limits.clone(), (504, false, 1)).await;
    // The head of the response had arrived, and the request counted as answered.
    check("PUT", "slow", limits, (504, true, 1)).await;
}

fn short_limit() -> Limits {
    Limits { request_time_max: Duration::from_millis(200), ..Limits::default() }
}

/// Waits until the peer has got a request.
async fn arrived(peer: &Peer) {
    while peer.requests.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_log_that_began_after_the_time_limit_of_requests_got_504() {
    let peer = Peer::start().await;
    let folder = Arc::new(TempDir::new().unwrap());
    let proxy = TestProxy::start_with(&peer, folder, short_limit()).await;
    let late = async {
        arrived(&peer).await;
        tokio::time::sleep(2 * short_limit().request_time_max).await;
        peer.gate.add_permits(1);
    };
    let (reply, ()) = tokio::join!(proxy.send("GET", "pod/log", ""), late);
    assert_eq!(reply.code.as_u16(), 200);
    let events = proxy.close().await;
    assert_eq!(code(events.last().unwrap()), 200);
}

#[tokio::test]
async fn a_log_without_a_response_outlived_its_client_or_the_proxy() {
    let peer = Peer::start().await;
    let folder = Arc::new(TempDir::new().unwrap());
    let proxy = TestProxy::start_with(&peer, folder, short_limit()).await;
    tokio::select! {
        _ = proxy.begin("GET", "pod/log", "") => panic!("the peer does not respond"),
        () = arrived(&peer) => {}
    }
    assert_eq!(code(&proxy.wait_events(1).await[0]), 503, "the client has left");
    let again = async {
        while peer.requests.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        proxy.shut_down();
    };
    let (response, ()) = tokio::join!(proxy.begin("GET", "pod/log", ""), again);
    assert_eq!(response.status().as_u16(), 503);
    let events = tokio::time::timeout(Duration::from_secs(10), proxy.close()).await.unwrap();
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn a_crash_while_the_peer_works_leaves_an_event_at_the_next_start() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let sending = proxy.begin("PUT", "stalled", r#"{"spec":{"a":1}}"#);
    let arrived = async {
        while peer.requests.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = sending => panic!("the peer does not respond"),
        () = arrived => {}
    }
    let folder = proxy.crash().await;
    for _ in 0..2 {
        // The second start records nothing again.
        let proxy = TestProxy::start_with(&peer, Arc::clone(&folder), Limits::default()).await;
        let events = proxy.wait_events(1).await;
        let [event] = &events[..] else { panic!("{events:#?}") };
        assert_eq!(event.annotations[OUTCOME], "unknown");
        assert_eq!((event.stage, code(event)), (Stage::ResponseComplete, 500));
        assert_eq!((&*event.user.username, &*event.audit_id), ("alice", "chosen"));
        assert_eq!(event.request_object.as_ref().unwrap().as_bytes(), br#"{"spec":{"a":1}}"#);
        assert_eq!(proxy.close().await.len(), 1);
    }
}

#[tokio::test]
async fn bodies_that_may_contain_keys_are_withheld() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let body = r#"{"metadata":{"name":"echo"},"spec":{"owner":"o","key":"HUSH"}}"#;
    let response = proxy.begin_at("PUT", "/apis/test.io/v1/keys/echo", body).await;
    let response = response.collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&response).contains("HUSH"), "the client gets its response");
    let events = proxy.close().await;
    let record = format!("{events:?}");
    assert!(!record.contains("HUSH"), "{record}");
    assert_eq!(
        events[0].request_object.as_ref().unwrap().as_bytes(),
        br#"{"metadata":{"name":"echo"},"spec":{"owner":"o"}}"#
    );
}
