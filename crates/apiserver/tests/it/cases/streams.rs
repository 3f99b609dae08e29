//! HTTP/2 requests with headers that no client library sends: the server responds and audits them,
//! or resets the stream and counts it, without any effect.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Case, PATIENCE, THINGS, Target};
use crate::harness::{Protocol, tls};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// The headers of a request, `name=value` each; a line that begins with `+` includes the four of a
/// GET.
const REQUESTS: &[(&str, &str)] = &[
    ("alice => 200 get things shop/allowed", "+"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path=/healthz :path={T}/allowed"),
    ("alice => 0 -", ":method=GET :method=DELETE :scheme=https :authority=a :path={T}/secretb"),
    ("alice => 0 -", ":method=GET :scheme=https :scheme=http :authority=a :path={T}/allowed"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :authority=b :path={T}/allowed"),
    ("alice => 0 -", ":scheme=https :authority=a :path={T}/allowed"),
    ("alice => 0 -", ":method=GET :authority=a :path={T}/allowed"),
    ("alice => 200 get things shop/allowed", ":method=GET :scheme=https :path={T}/allowed"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path="),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path=allowed"),
    ("alice => 404 get path", ":method=GET :scheme=https :authority=a :path=*"),
    ("alice => 403 options path", ":method=OPTIONS :scheme=https :authority=a :path=*"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path=https://b{T}/allowed"),
    ("alice => 404 get path", ":method=GET :scheme=https :authority=a :path=//b{T}/allowed"),
    ("alice => 404 -", ":method=GET :scheme=https :authority=a :path=/healthz/..{T}/allowed"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path={T}/allowed\\x00"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path={T}/allowed\\x0d\\x0aX:y"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path={T}/allowed\\xff"),
    ("alice => 0 -", ":method=GET :scheme=https :authority=a :path={T}/allowed\\x20HTTP/1.1"),
    ("alice => 400 -", ":method=GET :scheme=ftp :authority=a :path={T}/allowed"),
    ("alice => 400 -", ":method=GET :scheme=https :authority=a :path={T}/allowed%zz"),
    (
        "alice => 200 get things shop/allowed",
        ":method=GET :scheme=https :authority=a@b :path={T}/allowed",
    ),
    (
        "alice => 405  things shop/allowed",
        ":method=get :scheme=https :authority=a :path={T}/allowed",
    ),
    ("alice => 0 -", ":method=G\\x20T :scheme=https :authority=a :path={T}/allowed"),
    ("alice => 0 -", ":method= :scheme=https :authority=a :path={T}/allowed"),
    ("alice => 400 connect path", ":method=CONNECT :authority=localhost:443"),
    ("alice => 0 -", ":method=CONNECT :scheme=https :authority=a :path={T}/allowed"),
    (
        "alice => 0 -",
        ":method=CONNECT :protocol=websocket :scheme=https :authority=a :path={T}?watch=1",
    ),
    ("alice => 0 -", "+ :status=200"),
    ("alice => 0 -", "+ :unknown=x"),
    ("alice => 0 -", "x=y :method=GET :scheme=https :authority=a :path={T}/allowed"),
    ("alice => 0 -", "+ X-Upper=y"),
    ("alice => 0 -", "+ connection=close"),
    ("alice => 0 -", "+ connection=keep-alive,x-remote-user"),
    ("alice => 0 -", "+ transfer-encoding=chunked"),
    ("alice => 200 get things shop/allowed", "+ te=trailers"),
    ("alice => 0 -", "+ te=gzip"),
    ("alice => 0 -", "+ upgrade=websocket"),
    ("alice => 0 -", "+ keep-alive=1"),
    ("alice => 0 -", "+ proxy-connection=x"),
    ("alice => 0 -", "+ content-length=5"),
    ("alice => 0 -", "+ content-length=x"),
    ("alice => 0 -", "+ content-length=0 content-length=1"),
    ("alice => 200 get things shop/allowed", "+ host=other"),
    ("alice => 0 -", "+ x=a\\x0d\\x0ay:b"),
    ("alice => 0 -", "+ x=a\\x00b"),
    ("alice => 0 -", "+ x\\x20y=a"),
    ("alice => 0 -", "+ =a"),
    ("alice => 200 get things shop/allowed", "+ x-remote-user=root"),
    ("alice => 200 get things shop/allowed", "+ expect=100-continue"),
    ("mallory => 403 get things shop/allowed", "+"),
    (
        "mallory => 403 get things shop/allowed",
        "+ x-remote-user=alice x-remote-group=system:masters",
    ),
    ("anonymous => 401 get things shop/allowed", "+"),
    ("anonymous => 401 get things shop/allowed", "+ authorization=Bearer\\x20guess"),
    (
        "anonymous => 401 get path",
        ":method=GET :scheme=https :authority=a :path=/healthz authorization=Bearer\\x20guess",
    ),
    ("proxy => 200 get things shop/allowed by alice", "+ x-remote-user=alice"),
    ("proxy => 401 get things shop/allowed", "+"),
    ("robot => 200 get things shop/allowed as alice", "+ impersonate-user=alice"),
    ("robot => 403 get things shop/allowed", "+ impersonate-user=bob"),
];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// Encodes a header block of literals.
fn block(headers: &str, agent: &str) -> Vec<u8> {
    let usual = format!(":method=GET :scheme=https :authority=a :path={THINGS}/allowed");
    let headers = headers.replacen('+', &usual, 1).replace("{T}", THINGS);
    let mut out = Vec::new();
    for header in headers.split(' ').chain([format!("user-agent={agent}").as_str()]) {
        let (name, value) = header.split_once('=').unwrap();
        out.push(0);
        for text in [super::unescaped(name), super::unescaped(value)] {
            out.push(u8::try_from(text.len()).unwrap());
            out.extend(text);
        }
    }
    out
}

/// The status code in the header block of a response. It is an index of the static table or a
/// Huffman string; a few bytes distinguish the codes in use.
fn status(block: &[u8]) -> String {
    let code = match block {
        [0x88, ..] => "200",
        [0x8c, ..] => "400",
        [0x8d, ..] => "404",
        [0x48, 0x82, 0x68, 0x01, ..] => "401",
        [0x48, 0x83, 0x68, 0x0c, 0xff, ..] => "403",
        [0x48, 0x83, 0x68, 0x0d, 0xff, ..] => "405",
        odd => return format!("{odd:x?}"),
    };
    code.to_owned()
}

impl Target {
    /// Sends one header block, and adds a case with the status code of the response.
    async fn stream(&mut self, line: &str, headers: &str) {
        let (user, expected) = line.split_once(" => ").unwrap();
        let agent = self.agent(user);
        let sent = block(headers, &agent);
        let identity = self.identities[user].as_ref();
        let ca = self.server.ca.pem();
        let mut stream = tls(self.server.address, &ca, identity, Protocol::Http2).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let all = [preface, frame(4, 0, 0, &[]), frame(HEADERS, 5, 1, &sent)].concat();
        let mut code = "000".to_owned();
        let exchanged = async {
            stream.write_all(&all).await.unwrap();
            stream.flush().await.unwrap();
            let mut head = [0; 9];
            while stream.read_exact(&mut head).await.is_ok() {
                let [a, b, c, kind, flags, ..] = head;
                let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
                stream.read_exact(&mut payload).await.unwrap();
                match kind {
                    HEADERS => code = status(&payload),
                    RST_STREAM => break,
                    // For an unauthenticated user, GOAWAY precedes the response.
                    GOAWAY if payload.get(4..8) != Some(&[0; 4]) => break,
                    _ => {}
                }
                if matches!(kind, 0 | HEADERS) && flags & 1 == 1 {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, exchanged).await.expect("a response in time");
        let text = format!("{line} {headers}");
        let case = Case::new(&text, user, agent, sent, expected);
        self.done.push(Case { response: format!("HTTP/2.0 {code}").into_bytes(), ..case });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_with_unusual_headers_are_recorded_or_reset() {
    let mut target = Target::open().await;
    for (line, headers) in REQUESTS {
        target.stream(line, headers).await;
    }
    target.close().await;
}
