//! An S3 server with the operations of an uploader and with fault injection.
//!
//! It uses the raw connection, so that it can also close the connection within a body, send half a
//! head, or store an object without a response. It stores an object only if it is complete and its
//! checksum is correct; an existing key is rejected with 412 if the request has `If-None-Match`.
//! Signatures must be present but are not verified: the suite's real servers verify them.

mod fault;

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

pub use fault::{Fault, FaultPlan, REDIRECT_TARGET};

/// Pause between two parts of a slow response.
const PART_DELAY: Duration = Duration::from_millis(5);
/// Maximum number of keys in one page of a listing.
const PAGE_KEYS_MAX: usize = 2;
/// The `ETag` of different content.
const WRONG_ETAG: &str = "00000000000000000000000000000000";
/// The checksum of different content.
const WRONG_CHECKSUM: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The checksum header of an upload.
const SHA256: &str = "x-amz-checksum-sha256";
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
    upload_heads: Vec<String>,
    /// The valid key and session token; `None` accepts any.
    key: Option<(String, String)>,
    requests: u64,
    /// Number of injected faults, by kind.
    faults: BTreeMap<String, u64>,
    connections: u64,
    /// Number of overwritten objects.
    overwritten: u64,
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
    pub fn upload_heads(&self) -> Vec<String> {
        lock(&self.state).upload_heads.clone()
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
    pub fn overwritten(&self) -> u64 {
        lock(&self.state).overwritten
    }

    /// Rejects `If-None-Match` from now on, like a server that does not support it.
    pub fn reject_conditional_puts(&self) {
        self.reject_header("if-none-match", 501, "NotImplemented");
    }

    /// Rejects uploads with this header from now on.
    pub fn reject_header(&self, name: &'static str, code: u16, code_name: &'static str) {
        lock(&self.state).refused_headers.push((name, code, code_name));
    }

    /// Accepts only this key with this session token from now on.
    pub fn set_key(&self, id: &str, session_token: &str) {
        lock(&self.state).key = Some((id.to_owned(), session_token.to_owned()));
    }

    /// Responds 403 instead of 404 for a missing object from now on, like S3 to clients without
    /// permission to list.
    pub fn answer_403_for_missing(&self) {
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
    let body_bytes = fault.map_or(length, |fault| fault.body_bytes_read(length));
    while body.len() < body_bytes {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(false);
        }
    }
    if body_bytes < length {
        return close(stream, fault);
    }
    let response = match fault {
        Some(fault) if !fault.stores_object() => None,
        _ => Some(handle(&head, &body, &mut lock(state))),
    };
    match fault {
        None => {
            stream.write_all(&response.unwrap_or_default()).await?;
            Ok(true)
        }
        Some(fault) => inject(stream, fault, &response.unwrap_or_default()).await,
    }
}

/// Sends the response of a fault. `success_response` is the response without the fault. Returns
/// whether the connection stays open.
async fn inject(
    stream: &mut TcpStream,
    fault: Fault,
    success_response: &[u8],
) -> std::io::Result<bool> {
    match fault {
        Fault::Error(code, code_name) | Fault::StoreThenError(code, code_name) => {
            stream.write_all(&error_response(code, code_name)).await?;
        }
        Fault::Redirect(code, to) => {
            let text =
                format!("HTTP/1.1 {code} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await?;
        }
        Fault::StoreThenSlowResponse => {
            for piece in success_response.chunks(20) {
                stream.write_all(piece).await?;
                tokio::time::sleep(PART_DELAY).await;
            }
        }
        Fault::StoreThenWrongEtag => stream.write_all(&success(WRONG_ETAG, None)).await?,
        Fault::WrongChecksum => stream.write_all(&success("00", Some(WRONG_CHECKSUM))).await?,
        Fault::ErrorInSuccessBody => {
            let body = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>";
            let length = body.len();
            let text = format!(
                "HTTP/1.1 200 OK\r\nETag: \"00\"\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await?;
        }
        Fault::TruncatedXml => {
            let text = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 18\r\n\r\n<Error><Code>SlowD";
            stream.write_all(text).await?;
        }
        Fault::StoreThenPartialHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nETag: \"").await?;
            return Ok(false);
        }
        Fault::PartialError => {
            let text = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 300\r\n\r\n<Error><Code>Inte";
            stream.write_all(text).await?;
            return Ok(false);
        }
        Fault::InvalidHttp => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await?;
            return Ok(false);
        }
        Fault::NoResponse | Fault::StoreThenNoResponse => {
            while stream.read_buf(&mut Vec::with_capacity(64)).await? > 0 {}
            return Ok(false);
        }
        Fault::CloseBeforeBody
        | Fault::CloseInBody
        | Fault::ResetInBody
        | Fault::StoreThenClose
        | Fault::StoreThenReset => return close(stream, Some(fault)),
    }
    Ok(true)
}

/// Closes or resets the connection.
fn close(stream: &TcpStream, fault: Option<Fault>) -> std::io::Result<bool> {
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
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Handles a request without a fault.
fn handle(head: &str, body: &[u8], state: &mut State) -> Vec<u8> {
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.replace("%3D", "=");
    if header(head, "authorization").is_none() {
        return error_response(403, "AccessDenied");
    }
    if let Some((id, token)) = &state.key {
        let named = header(head, "authorization").is_some_and(|text| text.contains(id));
        if !named || header(head, "x-amz-security-token") != Some(token) {
            return error_response(403, "InvalidAccessKeyId");
        }
    }
    if method == "GET"
        && let Some((bucket, query)) = path.split_once('?')
    {
        return list_response(bucket, query, state);
    }
    match method {
        "PUT" => {
            let mut refused = state.refused_headers.iter();
            if let Some((_, code, code_name)) =
                refused.find(|(name, ..)| header(head, name).is_some())
            {
                return error_response(*code, code_name);
            }
            let checksum = BASE64.encode(Sha256::digest(body));
            let is_checksum_optional =
                state.refused_headers.iter().any(|(name, ..)| *name == SHA256);
            if header(head, SHA256).map_or(!is_checksum_optional, |sent| sent != checksum) {
                return error_response(400, "BadDigest");
            }
            let condition = header(head, "if-none-match");
            if state.objects.contains_key(&path) && condition == Some("*") {
                return error_response(412, "PreconditionFailed");
            }
            if state.objects.insert(path, body.to_vec()).is_some() {
                state.overwritten += 1;
            }
            state.upload_heads.push(head.to_ascii_lowercase());
            success("00", Some(&checksum))
        }
        "GET" | "HEAD" => {
            let Some(object) = state.objects.get(&path) else {
                let code = if state.hides_missing { 403 } else { 404 };
                return missing_response(code, method == "HEAD");
            };
            let mut response = format!(
                "HTTP/1.1 200 OK\r\nETag: \"00\"\r\nLast-Modified: Wed, 25 Nov 2026 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
                object.len()
            )
            .into_bytes();
            if method == "GET" {
                response.extend_from_slice(object);
            }
            response
        }
        _ => error_response(405, "MethodNotAllowed"),
    }
}

/// Lists the keys of a bucket, two per page, so that clients have to page.
fn list_response(bucket: &str, query: &str, state: &State) -> Vec<u8> {
    let value = |name: &str| {
        let pair =
            query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
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
    for (key, size) in keys.by_ref().take(PAGE_KEYS_MAX) {
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
fn success(etag: &str, checksum: Option<&str>) -> Vec<u8> {
    let checksum =
        checksum.map_or(String::new(), |checksum| format!("x-amz-checksum-sha256: {checksum}\r\n"));
    format!("HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\n{checksum}Content-Length: 0\r\n\r\n")
        .into_bytes()
}

fn missing_response(code: u16, is_head: bool) -> Vec<u8> {
    if !is_head {
        return error_response(code, "NoSuchKey");
    }
    format!("HTTP/1.1 {code} Refused\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn error_response(code: u16, code_name: &str) -> Vec<u8> {
    let body = format!(
        "<Error><Code>{code_name}</Code><Message>secret words of a store</Message></Error>"
    );
    let date = "Date: Wed, 25 Nov 2026 00:00:00 GMT\r\nRetry-After: 0\r\n";
    format!("HTTP/1.1 {code} Refused\r\n{date}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}
