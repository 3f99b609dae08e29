//! Heads of HTTP/1 requests that clients without a certificate send and do not complete.

use std::time::Duration;

use apiserver::limits::{ADDRESS_HEADS_BYTES_MAX, HEAD_BYTES_FREE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::{Protocol, TestServer, tls};

/// Size of each head, in bytes.
const HEAD_BYTES: usize = 1_000_000;

async fn connect(server: &TestServer) -> TlsStream<TcpStream> {
    tls(server.address, &server.ca.pem(), None, Protocol::Http1).await.unwrap()
}

/// Sends a part of a head, and returns the start of the response if there is one soon.
async fn send(stream: &mut TlsStream<TcpStream>, head: &str) -> String {
    // A server that has refused a head does not read all of it.
    let _sent = stream.write_all(head.as_bytes()).await;
    let _flushed = stream.flush().await;
    let mut start = [0; 12];
    let read = tokio::time::timeout(Duration::from_millis(300), stream.read_exact(&mut start));
    match read.await {
        Ok(Ok(_)) => String::from_utf8_lossy(&start).into_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => String::new(),
    }
}

/// Regression: 1,000 heads of 1 MB took 700 MB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_heads_of_all_connections_are_bounded() {
    let server = TestServer::open().await;
    let half = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "x".repeat(HEAD_BYTES));
    let mut accepted = Vec::new();
    let mut refused = 0;
    for _ in 0..30 {
        let mut stream = connect(&server).await;
        match send(&mut stream, &half).await.as_str() {
            "" => accepted.push(stream),
            "HTTP/1.1 431" => refused += 1,
            other => panic!("{other}"),
        }
    }
    let fitting = ADDRESS_HEADS_BYTES_MAX / (HEAD_BYTES - HEAD_BYTES_FREE);
    assert!((1..=fitting).contains(&accepted.len()), "{} heads are held", accepted.len());
    assert_eq!(accepted.len() + refused, 30);
    let short = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut other = connect(&server).await;
    assert_eq!(send(&mut other, short).await, "HTTP/1.1 401", "short heads go on");
    let metrics = server.client("alice").await.call("GET", "/metrics").await.body;
    let counted = format!("\nkeepwatch_malformed_requests_total {refused}\n");
    assert!(metrics.contains(&counted), "{metrics}");
    drop(accepted);
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Complete heads do not use it up.
    let long = format!("GET /livez HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(900_000));
    for _ in 0..25 {
        let mut stream = connect(&server).await;
        let response = send(&mut stream, &long).await;
        assert_eq!(response, "HTTP/1.1 401");
    }
}
