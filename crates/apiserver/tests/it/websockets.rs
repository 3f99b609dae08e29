//! Watches over WebSocket, at the level of bytes.

use std::time::Duration;

use apiserver::limits::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::cluster::mock_apiserver;
use crate::harness::{Protocol, TestServer, TestServerOptions, check_record, thing, tls};
use crate::tokens::{alice, review};

const THINGS: &str = "/apis/test.io/v1/namespaces/shop/things";
const UPGRADE_HEADERS: &str = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: https://console.example.com\r\n";
/// Timeout of each step; only a hanging server reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket, or the response to a failed handshake.
struct Socket {
    stream: TlsStream<TcpStream>,
    head: String,
}

impl Socket {
    /// Sends the handshake with the certificate of `user`, or without one.
    async fn handshake(server: &TestServer, user: Option<&str>, path: &str, headers: &str) -> Self {
        let identity = user.map(|user| server.ca.client(user, &[]));
        let stream =
            tls(server.address, &server.ca.pem(), identity.as_ref(), Protocol::Http1).await;
        let mut stream = stream.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(with_timeout(stream.read_u8()).await.unwrap());
        }
        Self { stream, head: String::from_utf8(head).unwrap().to_ascii_lowercase() }
    }

    fn code(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The next frame: its first byte and its payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let (first, len) = (self.stream.read_u8().await?, self.stream.read_u8().await?);
            let len = match len {
                126 => usize::from(self.stream.read_u16().await?),
                127 => usize::try_from(self.stream.read_u64().await?).unwrap(),
                short => usize::from(short),
            };
            let mut payload = vec![0; len];
            self.stream.read_exact(&mut payload).await?;
            Ok::<_, std::io::Error>((first, payload))
        };
        with_timeout(read).await.unwrap()
    }

    /// The next event.
    async fn event(&mut self) -> serde_json::Value {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x81, "each event is one text message");
        serde_json::from_slice(&payload).unwrap()
    }

    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mask = [7, 1, 2, 9];
        let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Whether the server has closed the connection without further bytes.
    async fn is_over(&mut self) -> bool {
        let mut rest = Vec::new();
        // The connection may end without a TLS `close_notify`.
        drop(with_timeout(self.stream.read_to_end(&mut rest)).await);
        rest.is_empty()
    }
}

async fn with_timeout<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_over_websocket_is_recorded_as_a_watch() {
    let server = TestServer::open().await;
    let watch = format!("{THINGS}?watch=1");
    let mut socket = Socket::handshake(&server, Some("alice"), &watch, UPGRADE_HEADERS).await;
    assert_eq!(socket.code(), "101");
    for header in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
    ] {
        assert!(socket.head.contains(header), "{}", socket.head);
    }
    assert!(!socket.head.contains("sec-websocket-protocol"), "{}", socket.head);
    assert_eq!(server.events().await.len(), 1, "the event precedes the first byte");
    let mut alice = server.client("alice").await;
    assert_eq!(alice.post(THINGS, &thing("one")).await.code, 201);
    let event = socket.event().await;
    assert_eq!(
        (&event["type"], &event["object"]["metadata"]["name"]),
        (&"ADDED".into(), &"one".into())
    );

    socket.send(0x81, b"messages of a client are ignored").await;
    socket.send(0x89, b"still there?").await;
    assert_eq!(socket.frame().await, (0x8a, b"still there?".to_vec()));
    let path = format!("{THINGS}/one");
    assert_eq!(alice.call("DELETE", &path).await.code, 200);
    assert_eq!(socket.event().await["type"], "DELETED");
    socket.send(0x88, &1001_u16.to_be_bytes()).await;
    assert_eq!(socket.frame().await, (0x88, 1001_u16.to_be_bytes().to_vec()));
    assert!(socket.is_over().await);
    check_record(
        server,
        "
        ResponseStarted watch /apis/test.io/v1/namespaces/shop/things?watch=1 101 alice
        ResponseComplete create /apis/test.io/v1/namespaces/shop/things 201 alice
        ResponseComplete delete /apis/test.io/v1/namespaces/shop/things/one 200 alice
        ResponseComplete watch /apis/test.io/v1/namespaces/shop/things?watch=1 101 alice
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_over_websocket_closes_cleanly_at_its_timeout_and_at_shutdown() {
    let server = TestServer::open().await;
    let short = format!("{THINGS}?watch=1&timeoutSeconds=1");
    let mut of_time = Socket::handshake(&server, Some("alice"), &short, UPGRADE_HEADERS).await;
    let mut of_server =
        Socket::handshake(&server, Some("alice"), &format!("{THINGS}?watch=1"), UPGRADE_HEADERS)
            .await;
    let mut of_anonymous =
        Socket::handshake(&server, Some("alice"), &format!("{THINGS}?watch=2"), UPGRADE_HEADERS)
            .await;
    assert_eq!(of_anonymous.code(), "101");
    of_anonymous.stream.shutdown().await.unwrap();
    drop(of_anonymous);
    let normal = (0x88, 1000_u16.to_be_bytes().to_vec());
    assert_eq!(of_time.frame().await, normal);
    assert!(of_time.is_over().await);
    server.begin_closing();
    assert_eq!(of_server.frame().await, normal);
    assert!(of_server.is_over().await);
    let events = server.close().await;
    let ends = events.iter().filter(|event| event.stage == event::Stage::ResponseComplete);
    assert_eq!(ends.count(), 3, "each watch has one end");
    assert_eq!(events.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_handshakes_are_rejected_and_other_upgrades_are_ignored() {
    let server = TestServer::open().await;
    let (watch, list) = (format!("{THINGS}?watch=1"), THINGS.to_owned());
    let two = format!("{UPGRADE_HEADERS}sec-websocket-protocol: one, two\r\n");
    let old = UPGRADE_HEADERS.replace("version: 13", "version: 8");
    let spdy = UPGRADE_HEADERS.replace("WebSocket", "SPDY/3.1");
    let odd = UPGRADE_HEADERS.replace("https://console.example.com", "null");
    let mut expected = Vec::new();
    for (user, path, headers, code) in [
        ("alice", &list, UPGRADE_HEADERS, "200"),
        ("alice", &list, &spdy, "200"),
        ("alice", &watch, &two, "400"),
        ("alice", &watch, &old, "400"),
        ("alice", &watch, &odd, "403"),
        ("mallory", &watch, UPGRADE_HEADERS, "403"),
    ] {
        let socket = Socket::handshake(&server, Some(user), path, headers).await;
        assert_eq!(socket.code(), code, "{user} {path} {headers}");
        let verb = if *path == list { "list" } else { "watch" };
        if verb == "watch" {
            expected.push(format!("ResponseStarted {verb} {path} {code} {user}"));
        }
        expected.push(format!("ResponseComplete {verb} {path} {code} {user}"));
    }
    check_record(server, &expected.join("\n")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocol_violations_close_the_connection_with_a_reason() {
    let server = TestServer::open().await;
    let watch = format!("{THINGS}?watch=1");
    let mut socket = Socket::handshake(&server, Some("alice"), &watch, UPGRADE_HEADERS).await;
    socket.stream.write_all(&[0x81, 0x02, b'h', b'i']).await.unwrap();
    assert_eq!(socket.frame().await, (0x88, 1002_u16.to_be_bytes().to_vec()));
    assert!(socket.is_over().await);
    let mut socket = Socket::handshake(&server, Some("alice"), &watch, UPGRADE_HEADERS).await;
    socket.stream.write_all(&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]).await.unwrap();
    assert_eq!(socket.frame().await, (0x88, 1009_u16.to_be_bytes().to_vec()));
    assert_eq!(server.close().await.len(), 4);
}

/// A browser cannot set the header `Authorization`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_a_subprotocol_is_accepted_and_never_stored() {
    let (script, client) = mock_apiserver([review(&alice())]).await;
    let server = TestServer::open_options(TestServerOptions {
        tokens: Some(client),
        limits: Limits::default(),
        ..TestServerOptions::default()
    })
    .await;
    let watch = format!("{THINGS}?watch=1");
    // "sesame" in base64url.
    let token = "base64url.bearer.authorization.k8s.io.c2VzYW1l";
    let both =
        format!("{UPGRADE_HEADERS}sec-websocket-protocol: {token}, base64.binary.k8s.io\r\n");
    let mut socket = Socket::handshake(&server, None, &watch, &both).await;
    assert_eq!(socket.code(), "101", "{}", socket.head);
    assert!(socket.head.contains("sec-websocket-protocol: base64.binary.k8s.io\r\n"));
    assert_eq!(script.first().1["spec"], serde_json::json!({"token": "sesame"}));
    socket.send(0x88, b"").await;
    assert_eq!(socket.frame().await.0, 0x88);
    let alone = format!("{UPGRADE_HEADERS}sec-websocket-protocol: {token}\r\n");
    assert_eq!(Socket::handshake(&server, None, &watch, &alone).await.code(), "401");
    let no_socket = format!("sec-websocket-protocol: {token}, other\r\n");
    assert_eq!(Socket::handshake(&server, None, &watch, &no_socket).await.code(), "401");
    let events = server.close().await;
    assert_eq!(events[0].user.username, "alice");
    for event in &events {
        let written = event::record::write(event);
        let written = String::from_utf8_lossy(&written);
        assert!(!written.contains("sesame") && !written.contains("c2VzYW1l"), "{written}");
    }
}
