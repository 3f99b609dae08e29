//! A store that speaks as much of S3 as an uploader needs, and misbehaves on request.
//!
//! It works on the bare connection, so that it can also do what no HTTP server does: hang up in the
//! middle of a body, answer half a head, or keep an object and say nothing. An object is kept only
//! whole and only if its checksum is right; a key that is taken is refused (412) when the request says so.
//! Signatures are looked for and not verified: the real servers of the suite do that.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Between two pieces of an answer that comes in pieces.
const PAUSE: Duration = Duration::from_millis(5);
/// Keys in one answer to a listing.
const LISTED_MAX: usize = 2;
/// The tag of another content.
const WRONG_TAG: &str = "00000000000000000000000000000000";
/// The checksum of another content.
const WRONG_SUM: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An answer with this code; nothing is kept.
    Refuse(u16, &'static str),
    /// The same, but the object is kept.
    KeepAndRefuse(u16, &'static str),
    /// An answer with this code that points elsewhere; nothing is kept.
    Redirect(u16, &'static str),
    /// The connection is closed before the body is read.
    HangUpBeforeBody,
    /// In the middle of it.
    HangUpInBody,
    /// The same, by a reset.
    ResetInBody,
    /// Behind it, and the object is kept.
    KeepAndHangUp,
    /// The same, by a reset.
    KeepAndReset,
    /// No answer until the client gives up; nothing is kept.
    Silence,
    /// The same, but the object is kept.
    KeepAndSilence,
    /// A good answer that comes in pieces, and the object is kept.
    KeepAndDawdle,
    /// Half of the head of a good answer, and the object is kept.
    KeepAndHalfHead,
    /// A good answer that names another content, and the object is kept.
    KeepAndWrongTag,
    /// A good answer for another checksum; nothing is kept.
    WrongSum,
    /// A good answer whose body says that it is none; nothing is kept.
    GoodHeadBadBody,
    /// A refusal whose body is cut.
    HalfRefusal,
    /// A refusal whose XML is cut, and whose body is not.
    HalfXml,
    /// Something that is not HTTP.
    Noise,
}

/// The checksum of an upload.
const SHA256: &str = "x-amz-checksum-sha256";
/// A place on the same store where nothing may ever be put.
pub const ELSEWHERE: &str = "/elsewhere/object";

impl Fault {
    /// Every kind there is.
    pub const ALL: [Self; 34] = [
        Self::Refuse(500, "InternalError"),
        Self::Refuse(502, "BadGateway"),
        Self::Refuse(503, "SlowDown"),
        Self::Refuse(504, "GatewayTimeout"),
        Self::Refuse(429, "TooManyRequests"),
        Self::Refuse(401, "Unauthorized"),
        Self::Refuse(403, "AccessDenied"),
        Self::Refuse(400, "ExpiredToken"),
        Self::Refuse(400, "RequestTimeout"),
        Self::Refuse(400, "BadDigest"),
        Self::Refuse(403, "RequestTimeTooSkewed"),
        Self::Refuse(409, "ConditionalRequestConflict"),
        Self::Refuse(404, "NoSuchBucket"),
        Self::KeepAndRefuse(409, "OperationAborted"),
        Self::KeepAndRefuse(412, "PreconditionFailed"),
        Self::KeepAndRefuse(500, "InternalError"),
        Self::KeepAndRefuse(503, "SlowDown"),
        Self::Redirect(301, ELSEWHERE),
        Self::Redirect(307, ELSEWHERE),
        Self::HangUpBeforeBody,
        Self::HangUpInBody,
        Self::ResetInBody,
        Self::KeepAndHangUp,
        Self::KeepAndReset,
        Self::Silence,
        Self::KeepAndSilence,
        Self::KeepAndDawdle,
        Self::KeepAndHalfHead,
        Self::KeepAndWrongTag,
        Self::WrongSum,
        Self::GoodHeadBadBody,
        Self::HalfRefusal,
        Self::HalfXml,
        Self::Noise,
    ];

    fn keeps(self) -> bool {
        matches!(
            self,
            Self::KeepAndRefuse(..)
                | Self::KeepAndHangUp
                | Self::KeepAndReset
                | Self::KeepAndSilence
                | Self::KeepAndDawdle
                | Self::KeepAndHalfHead
                | Self::KeepAndWrongTag
        )
    }

    /// Where the connection ends before the body does, if it does.
    fn body_share(self, length: usize) -> usize {
        match self {
            Self::HangUpBeforeBody => 0,
            Self::HangUpInBody | Self::ResetInBody => length / 2,
            _ => length,
        }
    }

    fn resets(self) -> bool {
        matches!(self, Self::ResetInBody | Self::KeepAndReset)
    }
}

/// Decides what goes wrong with the request of this number.
pub type FaultPlan = Box<dyn FnMut(u64) -> Option<Fault> + Send>;

/// A running store. It ends when this is dropped.
pub struct S3Double {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _running: JoinSet<()>,
}

#[derive(Default)]
struct State {
    fault_plan: Option<FaultPlan>,
    objects: BTreeMap<String, Vec<u8>>,
    /// Heads of the requests that stored something.
    heads: Vec<String>,
    /// The key that is good; any, if there is none.
    key: Option<(String, String)>,
    requests: u64,
    /// How often each kind went wrong.
    faults: BTreeMap<String, u64>,
    connections: u64,
    /// Objects that were written over.
    replaced: u64,
    hides_missing: bool,
    /// Headers that uploads may not have, and how they are refused.
    refused_headers: Vec<(&'static str, u16, &'static str)>,
}

impl S3Double {
    /// Listens on loopback.
    pub async fn start(fault_plan: FaultPlan) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state =
            Arc::new(Mutex::new(State { fault_plan: Some(fault_plan), ..State::default() }));
        let mut running = JoinSet::new();
        let shared = Arc::clone(&state);
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                lock(&state).connections += 1;
                connections.spawn(async move {
                    let mut stream = stream;
                    while serve(&mut stream, &state).await.unwrap_or(false) {}
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, state, _running: running })
    }

    /// Where it is, as an endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is stored: path with the bucket, and bytes.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.state).objects.clone()
    }

    /// Puts an object there without a request: path with the bucket, such as `/audit/a/b.json.gz`.
    pub fn insert(&self, path: &str, body: Vec<u8>) {
        lock(&self.state).objects.insert(path.to_owned(), body);
    }

    /// Heads of the requests that stored something, in lower case.
    pub fn heads(&self) -> Vec<String> {
        lock(&self.state).heads.clone()
    }

    /// Requests so far, and how many of them went wrong.
    pub fn counts(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.requests, state.faults.values().sum())
    }

    /// How often each kind of fault happened.
    pub fn faults(&self) -> BTreeMap<String, u64> {
        lock(&self.state).faults.clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        lock(&self.state).connections
    }

    /// How many uploads wrote over an object.
    pub fn replaced(&self) -> u64 {
        lock(&self.state).replaced
    }

    /// From now on `If-None-Match` is refused, as stores do that do not know it.
    pub fn forget_conditions(&self) {
        self.refuse_header("if-none-match", 501, "NotImplemented");
    }

    /// From now on uploads with this header are refused.
    pub fn refuse_header(&self, name: &'static str, code: u16, word: &'static str) {
        lock(&self.state).refused_headers.push((name, code, word));
    }

    /// From now on only this key is good, with this session token.
    pub fn set_key(&self, id: &str, session_token: &str) {
        lock(&self.state).key = Some((id.to_owned(), session_token.to_owned()));
    }

    /// From now on a missing object is 403 instead of 404, as S3 answers clients that may not list.
    pub fn hide_missing(&self) {
        lock(&self.state).hides_missing = true;
    }

    /// From now on this goes wrong.
    pub fn set_fault_plan(&self, fault_plan: FaultPlan) {
        lock(&self.state).fault_plan = Some(fault_plan);
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request; whether the connection goes on.
async fn serve(stream: &mut TcpStream, state: &Mutex<State>) -> std::io::Result<bool> {
    let Some((head, mut body)) = read_head(stream).await? else { return Ok(false) };
    let fault = {
        let mut state = lock(state);
        state.requests += 1;
        let number = state.requests;
        let fault = state.fault_plan.as_mut().and_then(|fault_plan| fault_plan(number));
        if let Some(fault) = fault {
            *state.faults.entry(format!("{fault:?}")).or_default() += 1;
        }
        fault
    };
    let length: usize =
        header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let wanted = fault.map_or(length, |fault| fault.body_share(length));
    while body.len() < wanted {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(false);
        }
    }
    if wanted < length {
        return end(stream, fault);
    }
    let answer = match fault {
        Some(fault) if !fault.keeps() => None,
        _ => Some(act(&head, &body, &mut lock(state))),
    };
    match fault {
        None => {
            stream.write_all(&answer.unwrap_or_default()).await?;
            Ok(true)
        }
        Some(fault) => misbehave(stream, fault, &answer.unwrap_or_default()).await,
    }
}

/// What is answered instead of `good`; whether the connection goes on.
async fn misbehave(stream: &mut TcpStream, fault: Fault, good: &[u8]) -> std::io::Result<bool> {
    match fault {
        Fault::Refuse(code, word) | Fault::KeepAndRefuse(code, word) => {
            stream.write_all(&refusal(code, word)).await?;
        }
        Fault::Redirect(code, to) => {
            let text =
                format!("HTTP/1.1 {code} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await?;
        }
        Fault::KeepAndDawdle => {
            for piece in good.chunks(20) {
                stream.write_all(piece).await?;
                tokio::time::sleep(PAUSE).await;
            }
        }
        Fault::KeepAndWrongTag => stream.write_all(&stored(WRONG_TAG, None)).await?,
        Fault::WrongSum => stream.write_all(&stored("00", Some(WRONG_SUM))).await?,
        Fault::GoodHeadBadBody => {
            let body = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>";
            let length = body.len();
            let text = format!(
                "HTTP/1.1 200 OK\r\nETag: \"00\"\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await?;
        }
        Fault::HalfXml => {
            let text = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 18\r\n\r\n<Error><Code>SlowD";
            stream.write_all(text).await?;
        }
        Fault::KeepAndHalfHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nETag: \"").await?;
            return Ok(false);
        }
        Fault::HalfRefusal => {
            let text = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 300\r\n\r\n<Error><Code>Inte";
            stream.write_all(text).await?;
            return Ok(false);
        }
        Fault::Noise => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await?;
            return Ok(false);
        }
        Fault::Silence | Fault::KeepAndSilence => {
            while stream.read_buf(&mut Vec::with_capacity(64)).await? > 0 {}
            return Ok(false);
        }
        Fault::HangUpBeforeBody
        | Fault::HangUpInBody
        | Fault::ResetInBody
        | Fault::KeepAndHangUp
        | Fault::KeepAndReset => return end(stream, Some(fault)),
    }
    Ok(true)
}

/// The connection is closed, or reset.
fn end(stream: &TcpStream, fault: Option<Fault>) -> std::io::Result<bool> {
    if fault.is_some_and(Fault::resets) {
        stream.set_zero_linger()?;
    }
    Ok(false)
}

/// The head of a request in lower case but for its first line, and what came behind it.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), body)));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// What a good store does.
fn act(head: &str, body: &[u8], state: &mut State) -> Vec<u8> {
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.replace("%3D", "=");
    if header(head, "authorization").is_none() {
        return refusal(403, "AccessDenied");
    }
    if let Some((id, token)) = &state.key {
        let named = header(head, "authorization").is_some_and(|text| text.contains(id));
        if !named || header(head, "x-amz-security-token") != Some(token) {
            return refusal(403, "InvalidAccessKeyId");
        }
    }
    if method == "GET"
        && let Some((bucket, query)) = path.split_once('?')
    {
        return listing(bucket, query, state);
    }
    match method {
        "PUT" => {
            let mut refused = state.refused_headers.iter();
            if let Some((_, code, word)) = refused.find(|it| header(head, it.0).is_some()) {
                return refusal(*code, word);
            }
            let sum = BASE64.encode(Sha256::digest(body));
            let is_optional = state.refused_headers.iter().any(|it| it.0 == SHA256);
            if header(head, SHA256).map_or(!is_optional, |sent| sent != sum) {
                return refusal(400, "BadDigest");
            }
            let condition = header(head, "if-none-match");
            if state.objects.contains_key(&path) && condition == Some("*") {
                return refusal(412, "PreconditionFailed");
            }
            if state.objects.insert(path, body.to_vec()).is_some() {
                state.replaced += 1;
            }
            state.heads.push(head.to_ascii_lowercase());
            stored("00", Some(&sum))
        }
        "GET" | "HEAD" => {
            let Some(found) = state.objects.get(&path) else {
                let code = if state.hides_missing { 403 } else { 404 };
                return refusal_without_body(code, method == "HEAD");
            };
            let mut answer = format!(
                "HTTP/1.1 200 OK\r\nETag: \"00\"\r\nLast-Modified: Wed, 25 Nov 2026 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
                found.len()
            )
            .into_bytes();
            if method == "GET" {
                answer.extend_from_slice(found);
            }
            answer
        }
        _ => refusal(405, "MethodNotAllowed"),
    }
}

/// The keys of a bucket, two at a time, so that a client that lists has to ask again.
fn listing(bucket: &str, query: &str, state: &State) -> Vec<u8> {
    let value = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.split_once('=').filter(|it| it.0 == name));
        pair.map(|(_, value)| value.replace("%2F", "/").replace("%3D", "=")).unwrap_or_default()
    };
    let (prefix, after) = (value("prefix"), value("continuation-token"));
    let bucket = format!("{}/", bucket.trim_end_matches('/'));
    let mut keys = state
        .objects
        .iter()
        .filter_map(|(path, body)| Some((path.strip_prefix(&bucket)?, body.len())))
        .filter(|(key, _)| key.starts_with(&prefix) && *key > after.as_str());
    let mut body = String::from("<ListBucketResult>");
    let mut last = "";
    for (key, size) in keys.by_ref().take(LISTED_MAX) {
        last = key;
        let entry = format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-25T00:00:00.000Z</LastModified>\
             <ETag>\"00\"</ETag><Size>{size}</Size></Contents>"
        );
        body.push_str(&entry);
    }
    if keys.next().is_some() {
        body.push_str(&["<NextContinuationToken>", last, "</NextContinuationToken>"].concat());
    }
    body.push_str("</ListBucketResult>");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An object is stored.
fn stored(tag: &str, sum: Option<&str>) -> Vec<u8> {
    let sum = sum.map_or(String::new(), |sum| format!("x-amz-checksum-sha256: {sum}\r\n"));
    format!("HTTP/1.1 200 OK\r\nETag: \"{tag}\"\r\n{sum}Content-Length: 0\r\n\r\n").into_bytes()
}

fn refusal_without_body(code: u16, is_head: bool) -> Vec<u8> {
    if !is_head {
        return refusal(code, "NoSuchKey");
    }
    format!("HTTP/1.1 {code} Refused\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn refusal(code: u16, word: &str) -> Vec<u8> {
    let body =
        format!("<Error><Code>{word}</Code><Message>secret words of a store</Message></Error>");
    let date = "Date: Wed, 25 Nov 2026 00:00:00 GMT\r\nRetry-After: 0\r\n";
    format!("HTTP/1.1 {code} Refused\r\n{date}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}
