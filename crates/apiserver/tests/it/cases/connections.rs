//! Request smuggling: no unusual framing bypasses authorization or auditing.
//!
//! A request that the HTTP library rejects has no event and no effect, and is counted.

use super::{THINGS, Target};

/// The head of a request without a body, for an object that exists.
const GET: &str = "GET {T}/allowed HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n";
/// The head of a request with a body. The server rejects every body.
const POST: &str = "POST {T}/allowed HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n";
/// The smuggled request. A server that handles it closes the connection.
const NEXT: &str = "GET {T}/secretb HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\nConnection: close\\r\\n\\r\\n";

/// `GET`, `POST` and `NEXT` are replaced by the constants above.
const FRAMES: &[(&str, &str)] = &[
    ("alice => 200 get things shop/allowed, get things shop/secretb", "GET\\r\\nNEXT"),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTContent-Length: 0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTContent-Length: 5\\r\\n\\r\\nabcdeNEXT",
    ),
    (
        "alice => 405 create things shop/allowed",
        "POSTContent-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\nContent-Length: 5\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\nContent-Length: 0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTTransfer-Encoding: cHuNkEd\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "POSTTransfer-Encoding : chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "POSTTransfer-Encoding: xchunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "POSTTransfer-Encoding: identity\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "POSTTransfer-Encoding: chunked, identity\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    ("alice => 501 -", "POSTTransfer-Encoding: identity, chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    ("alice => 501 -", "POSTTransfer-Encoding: gzip, chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    (
        "alice => 501 -",
        "POSTTransfer-Encoding: chunked\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "POSTTransfer-Encoding: chunked\\r\\nTransfer-Encoding: identity\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 501 -",
        "POSTTransfer-Encoding: identity\\r\\nTransfer-Encoding: chunked\\r\\nContent-Length: 3\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "POSTTransfer-Encoding:\\x0bchunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "POSTTransfer-Encoding: \\x00chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "POSTTransfer-Encoding:\\r\\n chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT"),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTTransfer_Encoding: chunked\\r\\nContent-Length: 5\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n5;ext=1\\r\\nabcde\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n5 \\r\\nabcde\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n0x5\\r\\nabcde\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n-1\\r\\nabcde\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\nFFFFFFFFFFFFFFFFF\\r\\nabcde\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n5\\nabcde\\n0\\n\\nNEXT",
    ),
    (
        "alice => 400 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nabcdeXX0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 create things shop/allowed",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\nX-Remote-User: root\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\nContent-Length: 900\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTContent-Length: 5\\r\\nContent-Length: 5\\r\\n\\r\\nabcdeNEXT",
    ),
    ("alice => 400 -", "POSTContent-Length: 5\\r\\nContent-Length: 0\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: 0\\r\\nContent-Length: 5\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: 5, 5\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: 5, 0\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: +5\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: -1\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: 0x5\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: 5 5\\r\\n\\r\\nabcdeNEXT"),
    ("alice => 400 -", "POSTContent-Length: 5e0\\r\\n\\r\\nabcdeNEXT"),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTContent-Length: 00000005\\r\\n\\r\\nabcdeNEXT",
    ),
    ("alice => 400 -", "POSTContent-Length:\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "POSTContent-Length: 18446744073709551616\\r\\n\\r\\nabcdeNEXT"),
    (
        "alice => 413 create things shop/allowed",
        "POSTContent-Length: 9223372036854775807\\r\\nConnection: close\\r\\n\\r\\nabcdeNEXT",
    ),
    (
        "alice => 405 create things shop/allowed, get things shop/secretb 200",
        "POSTContent_Length: 5\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "POSTContent-Length : 5\\r\\n\\r\\nabcdeNEXT"),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GETContent-Length: 5\\r\\n\\r\\nabcdeNEXT",
    ),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GETTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GETExpect: 100-continue\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 100 create things shop/allowed 405, get things shop/secretb 200",
        "POSTExpect: 100-continue\\r\\nContent-Length: 5\\r\\n\\r\\nabcdeNEXT",
    ),
    (
        "mallory => 403 create things shop/allowed, get things shop/secretb",
        "POSTExpect: 100-continue\\r\\nContent-Length: 5\\r\\n\\r\\nabcdeNEXT",
    ),
    ("alice => 417 -", "POSTExpect: nonsense\\r\\nContent-Length: 5\\r\\n\\r\\nabcdeNEXT"),
];

/// Heads that some servers parse leniently.
const HEADS: &[(&str, &str)] = &[
    ("alice => 200 get things shop/secretb", "\\r\\nNEXT"),
    ("alice => 200 get things shop/secretb", "\\nNEXT"),
    ("alice => 400 -", " NEXT"),
    (
        "alice => 200 get things shop/allowed",
        "GET {T}/allowed HTTP/1.0\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GET {T}/allowed HTTP/1.0\\r\\nUser-Agent: AGENT\\r\\nConnection: keep-alive\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "GET {T}/allowed HTTP/1.1\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT"),
    (
        "alice => 400 -",
        "GET {T}/allowed HTTP/1.2\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "GET {T}/allowed HTTP/2.0\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "GET {T}/allowed http/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "GET {T}/allowed\\r\\n\\r\\nNEXT"),
    (
        "alice => 400 -",
        "GET  {T}/allowed HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "GET {T}/allowed  HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "GET\\x09{T}/allowed HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "GET {T}/allowed HTTP/1.1 \\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GET {T}/allowed HTTP/1.1\\nHost: a\\nUser-Agent: AGENT\\n\\nNEXT",
    ),
    ("alice => 400 -", "GET {T}/allowed HTTP/1.1\\rHost: a\\rUser-Agent: AGENT\\r\\rNEXT"),
    ("alice => 400 -", "GET {T}/a b HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT"),
    (
        "alice => 400 -",
        "GET {T}/a\\x00b HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "GET {T}/a\\x7fb HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 400 -",
        "GET apis/test.io HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "GET ?x HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GET  HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT"),
    (
        "alice => 400 -",
        " GET {T}/allowed HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "GETX Y: z\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GET: z\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GETX\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GETX : z\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GETX: a\\r\\n folded\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GETX: a\\r\\n\\tfolded\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GETX: a\\x00b\\r\\n\\r\\nNEXT"),
    ("alice => 400 -", "GETX: a\\rb\\r\\n\\r\\nNEXT"),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GETX: a\\nY: b\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "GETX\\xff: a\\r\\n\\r\\nNEXT"),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GETX: \\xff\\xfe\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "GETX: \\x1b[2J\\r\\n\\r\\nNEXT"),
    ("alice => 0 -", "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\nNEXT"),
    (
        "alice => 400 connect path, get things shop/secretb 200",
        "CONNECT localhost:443 HTTP/1.1\\r\\nHost: localhost:443\\r\\nUser-Agent: AGENT\\r\\n\\r\\nNEXT",
    ),
    ("alice => 400 -", "\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00NEXT"),
    (
        "alice => 101 watch things shop/",
        "GET {T}?watch=1&timeoutSeconds=1 HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nOrigin: https://a\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 403 watch things shop/, get things shop/secretb 200",
        "GET {T}?watch=1 HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GET {T}/allowed HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nOrigin: https://a\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\nNEXT",
    ),
    (
        "alice => 200 get things shop/allowed, get things shop/secretb",
        "GET {T}/allowed HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: AGENT\\r\\nConnection: Upgrade, HTTP2-Settings\\r\\nUpgrade: h2c\\r\\nHTTP2-Settings: AAMAAABkAAQAAP__\\r\\n\\r\\nNEXT",
    ),
];

fn expanded(table: &[(&str, &str)]) -> Vec<(String, String)> {
    let expanded = |text: &str| {
        let head = match text {
            text if text.starts_with("GET\\r") || text.starts_with("GETX") => Some((GET, 3)),
            text if text.starts_with("GETC") || text.starts_with("GETT") => Some((GET, 3)),
            text if text.starts_with("GETE") || text.starts_with("GET:") => Some((GET, 3)),
            text if text.starts_with("POST") => Some((POST, 4)),
            _ => None,
        };
        let text = head
            .map_or(text.to_owned(), |(head, len)| format!("{head}{}", text.get(len..).unwrap()));
        text.replace("NEXT", NEXT).replace("{T}", THINGS)
    };
    table.iter().map(|(line, sent)| ((*line).to_owned(), expanded(sent))).collect()
}

async fn check(table: &[(&str, &str)]) {
    let mut target = Target::open().await;
    let expanded = expanded(table);
    let table: Vec<(&str, &str)> =
        expanded.iter().map(|(line, sent)| (line.as_str(), sent.as_str())).collect();
    target.bytes(&table).await;
    target.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_smuggled() {
    check(FRAMES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_heads_have_no_effect_and_are_counted() {
    check(HEADS).await;
}
