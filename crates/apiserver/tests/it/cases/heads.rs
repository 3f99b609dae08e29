//! Invalid request heads that Go's server, and therefore kube-apiserver, rejects: this server
//! rejects and counts them too.
//!
//! Each line has the response of Go. A comment describes a difference.

use super::{THINGS, Target};
use crate::harness::thing;

/// The expected code and record, the request line with headers, and the bytes after the head.
const HEADS: &[(&str, &str, &str)] = &[
    ("400 -", "GET {T}/allowed HTTP/1.1", ""),
    ("400 -", "GET https://localhost{T}/allowed HTTP/1.1", ""),
    ("400 -", "OPTIONS * HTTP/1.1", ""),
    ("400 -", "POST {T} HTTP/1.1|Content-Length: 5", "abcde"),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: a|Host: a", ""),
    ("400 -", "GET {T}/allowed HTTP/1.0|Host: a|host: b", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: a/b", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: a b", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: root@a", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: a\"", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: \\xc3\\xa9", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host : a", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: a|X Y: z", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: a|(X): z", ""),
    ("400 -", "GET {T}/allowed HTTP/1.1| Host: a", ""),
    // Go unfolds the line.
    ("400 -", "GET {T}/allowed HTTP/1.1|Host: a|X: y| z", ""),
    ("400 -", "GET {T}/allowed%zz HTTP/1.1|Host: a", ""),
    // Go accepts any version that begins with 1.
    ("400 -", "GET {T}/allowed HTTP/1.9|Host: a", ""),
    // Go responds with 505.
    ("400 -", "GET {T}/allowed HTTP/3.0|Host: a", ""),
    ("417 -", "POST {T} HTTP/1.1|Host: a|Expect: 200-ok|Content-Length: 5", "abcde"),
    ("417 -", "GET {T}/allowed HTTP/1.1|Host: a|Expect: 100-continued", ""),
    ("417 -", "GET {T}/allowed HTTP/1.0|Expect: x", ""),
    ("501 -", "POST {T} HTTP/1.1|Host: a|Transfer-Encoding: gzip, chunked", "0\\r\\n\\r\\n"),
    (
        "501 -",
        "POST {T} HTTP/1.1|Host: a|Transfer-Encoding: chunked|Transfer-Encoding: chunked",
        "0\\r\\n\\r\\n",
    ),
    // Go responds with 501.
    ("400 -", "POST {T} HTTP/1.1|Host: a|Transfer-Encoding: gzip", ""),
    // Go ignores the header in a request of this version.
    ("400 -", "POST {T} HTTP/1.0|Transfer-Encoding: chunked", "0\\r\\n\\r\\n"),
    ("400 -", "POST {T} HTTP/1.1|Host: a|Content-Length: 1|Content-Length: 2", "ab"),
    ("400 -", "POST {T} HTTP/1.1|Host: a|Content-Length: 1, 1", "ab"),
    ("400 -", "POST {T} HTTP/1.1|Host: a|Content-Length: 1|Transfer-Encoding: xchunked", "ab"),
    (
        "400 -",
        "POST {T} HTTP/1.1|Host: a|Content-Length: x|Transfer-Encoding: chunked",
        "0\\r\\n\\r\\n",
    ),
    // Go and this server accept the following heads.
    ("200 get things shop/allowed", "GET {T}/allowed HTTP/1.1|Host:", ""),
    ("200 get things shop/allowed", "GET {T}/allowed HTTP/1.1|Host: [fe80::1%25eth0]:6443", ""),
    ("200 get things shop/allowed", "GET {T}/allowed HTTP/1.0", ""),
    ("200 get things shop/allowed", "GET http://other.example{T}/allowed HTTP/1.1|Host: a", ""),
    ("200 get things shop/allowed", "GET {T}/allowed HTTP/1.1|Host: a|X: \\xc3\\xa9", ""),
    ("200 get things shop/allowed", "GET {T}/allowed HTTP/1.1|Host: a|Expect: 100-CONTINUE", ""),
    ("200 get things shop/allowed", "GET {T}/allowed HTTP/1.1|Host: a|Expect:", ""),
    (
        "400 create things shop/",
        "POST {T} HTTP/1.1|Host: a|Content-Length: 5|Content-Length: 5",
        "abcde",
    ),
    (
        "400 create things shop/",
        "POST {T} HTTP/1.1|Host: a|Content-Length: 5|Transfer-Encoding: chunked",
        "5\\r\\nabcde\\r\\n0\\r\\n\\r\\n",
    ),
    // Go responds 200 without calling a handler.
    ("403 options path", "OPTIONS * HTTP/1.1|Host: a", ""),
];

async fn check(table: impl Iterator<Item = (String, String)>) {
    let mut target = Target::open().await;
    let table: Vec<(String, String)> = table.collect();
    let lines: Vec<(&str, &str)> =
        table.iter().map(|(line, sent)| (line.as_str(), sent.as_str())).collect();
    target.bytes(&lines).await;
    target.close().await;
}

fn request_bytes(head: &str, rest: &str) -> String {
    let head = head.replace("{T}", THINGS).replace('|', "\\r\\n");
    format!("{head}\\r\\nUser-Agent: AGENT\\r\\nConnection: close\\r\\n\\r\\n{rest}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_go_rejects_are_rejected_and_counted() {
    let table = HEADS
        .iter()
        .map(|(expected, head, rest)| (format!("alice => {expected}"), request_bytes(head, rest)));
    check(table).await;
}

/// Go's limits: 4,096 bytes for a chunk line, and 16 KiB for bytes that are not data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunk_extensions_are_bounded() {
    let head =
        "POST {T} HTTP/1.1|Host: a|Content-Type: application/json|Transfer-Encoding: chunked";
    let blank = |len: usize| format!("1;{}\\r\\n \\r\\n", "x".repeat(len));
    let table = [
        ("short", blank(100), "201 create things shop/short"),
        ("many", blank(100).repeat(40), "201 create things shop/many"),
        ("long", blank(20_000), "400 create things shop/"),
        ("all", blank(1000).repeat(40), "400 create things shop/"),
    ];
    let table = table.into_iter().map(|(name, blanks, expected)| {
        let body = thing(name);
        let chunks = format!("{blanks}{:x}\\r\\n{body}\\r\\n0\\r\\n\\r\\n", body.len());
        (format!("alice => {expected}"), request_bytes(head, &chunks))
    });
    check(table).await;
}
