//! URIs of any length have a response and an event, over both protocols.

use testkit::pki::Identity;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Protocol, TestServer, line, tls};

const PATH: &str = "/apis/test.io/v1/namespaces/shop/things";

/// A path with a query, `len` bytes long.
fn uri(len: usize, fill: &str) -> String {
    let mut uri = format!("{PATH}/x?a=");
    while uri.len() < len {
        uri.push_str(fill);
    }
    uri.truncate(len);
    uri
}

/// Sends a URI of `len` bytes. Checks the status code of the response and of the only event, and
/// that the response is a Status.
async fn check(len: usize, fill: &str, protocol: Protocol, expected: u16) {
    let server = TestServer::open().await;
    let identity = server.ca.client("alice", &[]);
    let uri = uri(len, fill);
    let (code, body) = match protocol {
        Protocol::Http1 => {
            let ca = server.ca.pem();
            let mut stream = tls(server.address, &ca, Some(&identity), protocol).await.unwrap();
            let head = format!("GET {uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut response = Vec::new();
            drop(stream.read_to_end(&mut response).await);
            let response = String::from_utf8(response).unwrap();
            let code = response.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
            (code, response)
        }
        // The usual client cannot send a URI of this length.
        Protocol::Http2 => raw_http2(&server, &identity, &uri).await,
    };
    assert_eq!(code, expected, "{len} {protocol:?} {body}");
    if expected == 414 {
        assert!(body.contains("\"kind\":\"Status\"") && body.contains("\"code\":414"), "{body}");
        assert!(body.contains("limit is 65000 bytes"), "{body}");
    }
    let events = server.close().await;
    let lines: Vec<String> = events.iter().map(line).collect();
    let [record] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(
        record.starts_with("ResponseComplete get /apis/test.io/v1/namespaces/shop/things/x?a=")
    );
    assert!(record.ends_with(&format!(" {expected} alice")), "{record}");
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [a, b, c, kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// Sends the request as raw frames. The code is that of the Status in the body.
async fn raw_http2(server: &TestServer, identity: &Identity, uri: &str) -> (u16, String) {
    let ca = server.ca.pem();
    let mut stream = tls(server.address, &ca, Some(identity), Protocol::Http2).await.unwrap();
    let mut block = vec![0x82, 0x87, 0x01, 1, b'a', 0x04];
    let mut rest = uri.len() - 0x7f;
    block.push(0x7f);
    while rest > 0x7f {
        block.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap());
    block.extend_from_slice(uri.as_bytes());
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(4, 0, 0, &[]));
    let count = block.chunks(16_000).count();
    for (at, chunk) in block.chunks(16_000).enumerate() {
        let end = if at + 1 == count { 4 } else { 0 };
        let (kind, flags) = if at == 0 { (HEADERS, 1 | end) } else { (CONTINUATION, end) };
        sent.extend(frame(kind, flags, 1, chunk));
    }
    // In chunks with arbitrary boundaries.
    for piece in sent.chunks(4097) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        match kind {
            0 => body.extend_from_slice(&payload),
            RST_STREAM | GOAWAY => return (0, format!("{kind} {payload:?}")),
            _ => {}
        }
        if kind == 0 && flags & 1 == 1 {
            break;
        }
    }
    let body = String::from_utf8(body).unwrap();
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    (u16::try_from(status["code"].as_u64().unwrap()).unwrap(), body)
}

/// Regression: a URI of more than 65,534 bytes left no event; HTTP/1 responded 414 without a body,
/// and HTTP/2 reset the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uri_of_any_length_is_answered_and_recorded() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for (len, expected) in [
            (1000, 404),
            (65_000, 404),
            (65_001, 414),
            (65_534, 414),
            (65_535, 414),
            (120_000, 414),
        ] {
            check(len, "b", protocol, expected).await;
        }
        check(100_000, "%20Z&c=", protocol, 414).await;
    }
    check(900_000, "b", Protocol::Http1, 414).await;
}

/// Requests that the libraries reject are counted, over both protocols.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_http2_heads_are_counted() {
    let server = TestServer::open().await;
    let ca = server.ca.pem();
    // No path; an invalid path; an uppercase header; an unknown pseudo-header.
    let blocks: [&[u8]; 4] = [
        &[0x82, 0x87, 0x01, 1, b'a'],
        &[0x82, 0x87, 0x01, 1, b'a', 0x04, 1, b'x'],
        &[0x82, 0x87, 0x84, 0x01, 1, b'a', 0x00, 1, b'X', 1, b'y'],
        &[0x82, 0x87, 0x84, 0x01, 1, b'a', 0x00, 2, b':', b'x', 1, b'y'],
    ];
    for block in blocks {
        let mut stream = tls(server.address, &ca, None, Protocol::Http2).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let sent = [preface, frame(4, 0, 0, &[]), frame(HEADERS, 5, 1, block)].concat();
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let [a, b, c, kind, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if matches!(kind, RST_STREAM | GOAWAY) {
                break;
            }
        }
    }
    let mut alice = server.client("alice").await;
    let metrics = alice.call("GET", "/metrics").await.body;
    assert!(metrics.contains("\nkeepwatch_malformed_requests_total 4\n"), "{metrics}");
    server.close().await;
}
