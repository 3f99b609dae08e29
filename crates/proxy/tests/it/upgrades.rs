//! Connections that switch protocols: which protocols, and what they count as.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apiserver::limits::{ADDRESS_CONNECTIONS_MAX, Limits};
use http::Response;
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::harness::TestProxy;
use crate::peer::Peer;

/// Asks for a protocol.
async fn ask(proxy: &TestProxy, name: &str, protocol: &str) -> Response<Incoming> {
    let headers = [("connection", "Upgrade"), ("upgrade", protocol)];
    proxy.begin_with("POST", name, &headers, "").await
}

#[tokio::test]
async fn any_protocol_passed_the_proxy() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    for (name, protocol, expected) in [
        ("exec", "websocket", 101),
        ("exec", "SPDY/3.1", 101),
        // The peer gets an ordinary request.
        ("exec", "h2c", 404),
        ("other-protocol", "websocket", 502),
    ] {
        let response = ask(&proxy, name, protocol).await;
        assert_eq!(response.status().as_u16(), expected, "{name} {protocol}");
        if expected == 101 {
            assert_eq!(response.headers()["upgrade"], protocol);
        }
    }
}

#[tokio::test]
async fn a_switch_that_no_client_asked_for_passed_the_proxy() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    for method in ["GET", "PUT"] {
        let reply = proxy.send(method, "switch-unasked", "{}").await;
        assert_eq!(reply.code.as_u16(), 502, "{method}");
    }
    let response = ask(&proxy, "switch-unasked", "websocket").await;
    assert_eq!(response.status().as_u16(), 502);
}

#[tokio::test]
async fn open_tunnels_left_no_seats_for_writes() {
    let peer = Peer::start().await;
    let limits = Limits { mutations_max: 2, ..Limits::default() };
    let proxy = TestProxy::start_with(&peer, Arc::new(TempDir::new().unwrap()), limits).await;
    let mut tunnels = Vec::new();
    for name in ["exec", "exec", "pod/exec", "pod/exec"] {
        let mut response = ask(&proxy, name, "SPDY/3.1").await;
        assert_eq!(response.status().as_u16(), 101, "{name}");
        tunnels.push(hyper::upgrade::on(&mut response).await.unwrap());
    }
    assert_eq!(proxy.send("PUT", "echo", "{}").await.code.as_u16(), 200);
    drop(tunnels);
}

/// Connections without a request; the second value is how many were closed at once.
async fn open(address: SocketAddr, count: usize) -> (Vec<TcpStream>, usize) {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    let mut closed = 0;
    for stream in &mut streams {
        let read = stream.read_u8();
        if tokio::time::timeout(Duration::from_millis(1), read).await.is_ok() {
            closed += 1;
        }
    }
    (streams, closed)
}

#[tokio::test]
async fn a_second_listener_doubled_the_limit_on_connections() {
    let peer = Peer::start().await;
    let proxy = TestProxy::start(&peer).await;
    let [forwarding, api] = proxy.addresses();
    let half = ADDRESS_CONNECTIONS_MAX / 2;
    let first = open(forwarding, half).await;
    let second = open(api, half).await;
    assert_eq!((first.1, second.1), (0, 0));
    // The accepting task may still be busy with the others.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for address in [forwarding, api] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_u8()).await;
        assert!(read.unwrap().is_err(), "one connection too many was accepted");
    }
}
