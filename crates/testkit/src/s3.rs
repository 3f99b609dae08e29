//! An S3 server with the operations of an uploader and with fault injection.
//!
//! It uses the raw connection, so that it can also close the connection within a body, send half a
//! head, or store an object without a response. It stores an object only if it is complete and its
//! checksum is correct; an existing key is rejected with 412 if the request has `If-None-Match`.
//! Signatures must be present but are not verified: the suite's real servers verify them.

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

/// Pause between two parts of a slow response.
const PAUSE: Duration = Duration::from_millis(5);
/// Maximum number of keys in one page of a listing.
const LISTED_MAX: usize = 2;
/// The `ETag` of different content.
const WRONG_TAG: &str = "00000000000000000000000000000000";
/// The checksum of different content.
const WRONG_SUM: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error with this status; nothing is stored.
    Refuse(u16, &'static str),
    /// An error with this status; the object is stored.
    KeepAndRefuse(u16, &'static str),
    /// A redirect with this status; nothing is stored.
    Redirect(u16, &'static str),
    /// Closes the connection before reading the body.
    HangUpBeforeBody,
    /// Closes the connection within the body.
    HangUpInBody,
    /// Resets the connection within the body.
    ResetInBody,
    /// Closes the connection after the body; the object is stored.
    KeepAndHangUp,
    /// Resets the connection after the body; the object is stored.
    KeepAndReset,
    /// No response until the client gives up; nothing is stored.
    Silence,
    /// No response until the client gives up; the object is stored.
    KeepAndSilence,
    /// A slow success response in parts; the object is stored.
    KeepAndDawdle,
    /// Half of the head of a success response; the object is stored.
    KeepAndHalfHead,
    /// A success response with a wrong `ETag`; the object is stored.
    KeepAndWrongTag,
    /// A success response with a wrong checksum; nothing is stored.
    WrongSum,
    /// A success status with an error in the body; nothing is stored.
    GoodHeadBadBody,
    /// An error with a truncated body.
    HalfRefusal,
    /// An error with truncated XML in a complete body.
    HalfXml,
    /// Bytes that are not HTTP.
    Noise,
}

/// The checksum header of an upload.
const SHA256: &str = "x-amz-checksum-sha256";
/// A path on the same server where no upload may ever arrive.
pub const ELSEWHERE: &str = "/elsewhere/object";

impl Fault {
    /// Every fault.
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

    /// Number of bytes of the body that are read.
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

/// Selects the fault of the request with this number.
pub type FaultPlan = Box<dyn FnMut(u64) -> Option<Fault> + Send>;

/// A running server. Dropping it stops the server.
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
    /// The valid key and session token; `None` accepts any.
    key: Option<(String, String)>,
    requests: u64,
    /// Number of injected faults, by kind.
    faults: BTreeMap<String, u64>,
    connections: u64,
    /// Number of overwritten objects.
    replaced: u64,
    hides_missing: bool,
    /// Headers that uploads must not have, with the status and code of the error.
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

    /// The endpoint of the server.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The stored objects: path with the bucket, and bytes.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.state).objects.clone()
    }

    /// Stores an object without a request: path with the bucket, such as `/audit/a/b.json.gz`.
    pub fn insert(&self, path: &str, body: Vec<u8>) {
        lock(&self.state).objects.insert(path.to_owned(), body);
    }

    /// Heads of the requests that stored something, in lower case.
    pub fn heads(&self) -> Vec<String> {
        lock(&self.state).heads.clone()
    }

    /// Number of requests, and of faults.
    pub fn counts(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.requests, state.faults.values().sum())
    }

    /// Number of injected faults, by kind.
    pub fn faults(&self) -> BTreeMap<String, u64> {
        lock(&self.state).faults.clone()
    }

    /// Number of connections.
    pub fn connections(&self) -> u64 {
        lock(&self.state).connections
    }

    /// Number of uploads that overwrote an object.
    pub fn replaced(&self) -> u64 {
        lock(&self.state).replaced
    }

    /// Rejects `If-None-Match` from now on, like a server that does not support it.
    pub fn forget_conditions(&self) {
        self.refuse_header("if-none-match", 501, "NotImplemented");
    }

    /// Rejects uploads with this header from now on.
    pub fn refuse_header(&self, name: &'static str, code: u16, word: &'static str) {
        lock(&self.state).refused_headers.push((name, code, word));
    }

    /// Accepts only this key with this session token from now on.
    pub fn set_key(&self, id: &str, session_token: &str) {
        lock(&self.state).key = Some((id.to_owned(), session_token.to_owned()));
    }

    /// Responds 403 instead of 404 for a missing object from now on, like S3 to clients without
    /// permission to list.
    pub fn hide_missing(&self) {
        lock(&self.state).hides_missing = true;
    }

    /// Replaces the fault plan.
    pub fn set_fault_plan(&self, fault_plan: FaultPlan) {
        lock(&self.state).fault_plan = Some(fault_plan);
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handles one request; returns whether the connection stays open.
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

/// Injects a fault in place of the response `good`; returns whether the connection stays open.
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

/// Closes or resets the connection.
fn end(stream: &TcpStream, fault: Option<Fault>) -> std::io::Result<bool> {
    if fault.is_some_and(Fault::resets) {
        stream.set_zero_linger()?;
    }
    Ok(false)
}

/// Reads the head of a request, in lower case except its first line, and the bytes after it.
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

/// Handles a request without a fault.
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

/// Lists the keys of a bucket, two per page, so that clients have to page.
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

/// The response to a stored object.
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
