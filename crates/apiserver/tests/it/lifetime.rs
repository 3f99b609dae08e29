//! Watches, graceful shutdown, slow clients and rotated certificates.

use std::time::Duration;

use apiserver::authn::Anonymous;
use apiserver::limits::Limits;
use http::StatusCode;
use http_body_util::BodyExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Client, Protocol, TestServer, check_record, get, line, thing, tls};

const THINGS: &str = "/apis/test.io/v1/namespaces/shop/things";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_is_recorded_at_its_start_and_at_its_end() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = TestServer::open().await;
        let mut watcher = server.client_of("alice", &[], protocol).await;
        let mut watch = watcher.begin(get(&format!("{THINGS}?watch=1"), &[])).await;
        assert_eq!(watch.status(), 200);
        assert_eq!(server.events().await.len(), 1, "the event precedes the first byte");
        let mut alice = server.client("alice").await;
        assert_eq!(alice.post(THINGS, &thing("one")).await.code, 201);
        let frame = watch.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(frame.starts_with(br#"{"type":"ADDED""#), "{frame:?}");
        drop(watch);
        watcher.abort();
        check_record(
            server,
            "
            ResponseStarted watch /apis/test.io/v1/namespaces/shop/things?watch=1 200 alice
            ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice
            ResponseComplete watch /apis/test.io/v1/namespaces/shop/things?watch=1 200 alice
            ",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_watch_is_recorded_as_upstream() {
    let server = TestServer::open().await;
    let mut mallory = server.client("mallory").await;
    let mut alice = server.client("alice").await;
    assert_eq!(mallory.call("GET", &format!("{THINGS}?watch=1")).await.code, 403);
    assert_eq!(alice.call("GET", &format!("{THINGS}?watch=1&labelSelector=!!")).await.code, 400);
    assert_eq!(alice.call("GET", "/apis/test.io/v1/others?watch=1").await.code, 403);
    let events = server.events().await;
    assert_eq!(events[0].response_status, events[1].response_status);
    assert_eq!(events[0].response_object, events[1].response_object);
    assert_eq!(events[0].audit_id, events[1].audit_id);
    check_record(
        server,
        "
        ResponseStarted watch /apis/test.io/v1/namespaces/shop/things?watch=1 403 mallory
        ResponseComplete watch /apis/test.io/v1/namespaces/shop/things?watch=1 403 mallory
        ResponseStarted watch /apis/test.io/v1/namespaces/shop/things?watch=1&labelSelector=!! 400 alice
        ResponseComplete watch /apis/test.io/v1/namespaces/shop/things?watch=1&labelSelector=!! 400 alice
        ResponseStarted watch /apis/test.io/v1/others?watch=1 403 alice
        ResponseComplete watch /apis/test.io/v1/others?watch=1 403 alice
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_watches_and_waits_for_requests() {
    let server = TestServer::open().await;
    let mut watcher = server.client("alice").await;
    let watch = watcher.begin(get(&format!("{THINGS}?watch=1"), &[])).await;
    let mut waiting = server.client_of("alice", &[], Protocol::Http1).await;
    let gate = format!("{THINGS}/gate");
    let address = server.address;
    let (waited, ()) = tokio::join!(waiting.call("GET", &gate), async {
        server.gate.arrived.notified().await;
        server.begin_closing();
        // The watch ends cleanly before the gate opens.
        watch.into_body().collect().await.unwrap();
        server.gate.open.add_permits(1);
    });
    assert_eq!(waited.code, 404);
    check_record(
        server,
        "
        ResponseStarted watch /apis/test.io/v1/namespaces/shop/things?watch=1 200 alice
        ResponseComplete watch /apis/test.io/v1/namespaces/shop/things?watch=1 200 alice
        ResponseComplete get /apis/test.io/v1/namespaces/shop/things/gate 404 alice
        ",
    )
    .await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_server_is_not_ready_but_serves() {
    let limits = Limits { shutdown_delay: Duration::from_hours(1), ..Limits::default() };
    let server = TestServer::open_with(limits, Anonymous::Refused).await;
    let mut alice = server.client("alice").await;
    assert_eq!(alice.call("GET", "/readyz").await.code, 200);
    server.begin_closing();
    loop {
        let ready = alice.call("GET", "/readyz").await;
        if ready.code == 500 {
            assert!(ready.body.contains("[-]shutdown failed"), "{}", ready.body);
            break;
        }
    }
    assert_eq!(alice.call("GET", "/livez").await.code, 200);
    assert_eq!(alice.call("GET", &format!("{THINGS}/x")).await.code, 404);
    let mut other = server.client("alice").await;
    assert_eq!(other.call("GET", "/livez").await.code, 200);
}

#[tokio::test]
async fn a_new_serving_certificate_is_used_without_a_restart() {
    let server = TestServer::open().await;
    let before = Client::certificate(server.address, &server.ca.pem()).await;
    server.ca.server().write(server.folder.path(), "serving");
    // The server polls its files every few seconds; the paused clock skips the wait.
    tokio::time::pause();
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        tokio::time::resume();
        let after = Client::certificate(server.address, &server.ca.pem()).await;
        tokio::time::pause();
        if after != before {
            break;
        }
    }
}

/// Opens a connection, sends the partial request of a slow client, and expects the server to close
/// it.
async fn check_disconnected(server: &TestServer, sent: Option<&[u8]>) {
    let mut rest = Vec::new();
    match sent {
        None => {
            let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
            tokio::time::pause();
            stream.read_to_end(&mut rest).await.unwrap();
        }
        Some(sent) => {
            let ca = server.ca.pem();
            let identity = server.ca.client("alice", &[]);
            let mut stream =
                tls(server.address, &ca, Some(&identity), Protocol::Http1).await.unwrap();
            stream.write_all(sent).await.unwrap();
            stream.flush().await.unwrap();
            // The short read gives the server time to read the request.
            let peek = tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await;
            assert!(peek.is_err(), "the server waits");
            tokio::time::pause();
            // The server may close without a TLS `close_notify`.
            drop(stream.read_to_end(&mut rest).await);
        }
    }
    tokio::time::resume();
    let rest = String::from_utf8_lossy(&rest);
    // 503 is possible because the clock runs ahead, so that the disk exceeds its timeout too.
    let expected = ["", "HTTP/1.1 408", "HTTP/1.1 503", "HTTP/1.1 504"];
    let status_line = rest.get(..12).unwrap_or_default();
    assert!(expected.contains(&status_line), "{rest}");
}

/// Advances the clock without waiting.
async fn advance_clock(seconds: u64) {
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_idle_timeout_is_longer_than_that_of_a_head() {
    let server = TestServer::open().await;
    let mut alice = server.client_of("alice", &[], Protocol::Http1).await;
    let path = format!("{THINGS}/x");
    assert_eq!(alice.call("GET", &path).await.code, 404);
    advance_clock(80).await;
    assert_eq!(alice.call("GET", &path).await.code, 404, "it was kept");
    advance_clock(100).await;
    alice.closed().await;
}

#[tokio::test]
async fn slow_clients_are_disconnected() {
    let server = TestServer::open().await;
    check_disconnected(&server, None).await;
    check_disconnected(&server, Some(b"")).await;
    check_disconnected(&server, Some(b"GET / HTTP/1.1\r\nHost: loc")).await;
    let head = "POST /apis/test.io/v1/namespaces/shop/things HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"half\":";
    check_disconnected(&server, Some(head.as_bytes())).await;
    server.store.journal().wait_past(0).await.unwrap();
    let events = server.close().await;
    // A client that got 503 is counted as one whose event was not recorded in time.
    let requests = events.iter().filter(|event| event.verb != "gap");
    let requests: Vec<String> = requests.map(line).collect();
    let created = "ResponseComplete create /apis/test.io/v1/namespaces/shop/things 504 alice";
    assert_eq!(requests, [created]);
}

/// Regression: over plain HTTP, a watch that the client did not read never ended.
#[tokio::test]
async fn a_watch_that_is_not_read_ends_and_a_quiet_one_does_not() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let server = TestServer::open().await;
        let mut alice = server.client("alice").await;
        // More than the buffers of the sockets hold.
        let padding = "x".repeat(250_000);
        let metadata = format!(r#""metadata":{{"annotations":{{"a":"{padding}"}},"#);
        for at in 0..60 {
            let body = thing(&format!("t{at}")).replace(r#""metadata":{"#, &metadata);
            assert_eq!(alice.post(THINGS, &body).await.code, 201);
        }
        let mut stalled = server.client_of("alice", &[], protocol).await;
        let unread = stalled.begin(get(&format!("{THINGS}?watch=1"), &[])).await;
        let mut quiet = server.client_of("alice", &[], protocol).await;
        let no_event = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
        let waiting = quiet.begin(get(&format!("{THINGS}?{no_event}"), &[])).await;
        assert_eq!((unread.status(), waiting.status()), (StatusCode::OK, StatusCode::OK));
        let ends = async || {
            let events = server.events().await;
            let lines = events.iter().map(line);
            lines.filter(|line| line.starts_with("ResponseComplete watch")).count()
        };
        for seconds in (0..60).step_by(5) {
            // In real time, so that both sides send what they can.
            tokio::time::sleep(Duration::from_millis(100)).await;
            if seconds <= 25 {
                assert_eq!(ends().await, 0, "after {seconds} s");
            }
            advance_clock(5).await;
        }
        assert_eq!(ends().await, 1, "{protocol:?}");
        if matches!(protocol, Protocol::Http2) {
            let other = stalled.call("GET", &format!("{THINGS}/x")).await;
            assert_eq!(other.code, 404, "other streams of the connection continue");
        }
        drop((unread, waiting));
    }
}
