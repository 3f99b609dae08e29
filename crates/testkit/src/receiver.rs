//! An HTTP server that records requests and injects faults.
//!
//! It writes to the TCP connection directly, so that it can hang, close the connection, or send
//! invalid HTTP. It accepts every request; tests check the contents of the recorded ones.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Maximum length of a request's head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannedResponse {
    /// A response with this status, these headers and this body.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// Closes the connection after reading the request, which is recorded.
    CloseAfterBody,
    /// Closes the connection before reading the body; the request is not recorded.
    CloseBeforeBody,
    /// Keeps the connection open without a response.
    NoResponse,
    /// Sends bytes that are not HTTP.
    InvalidHttp,
}

impl CannedResponse {
    /// A status without headers and body.
    pub const fn status(code: u16) -> Self {
        Self::Status(code, Vec::new(), "")
    }

    /// Status 429 with `Retry-After`, in seconds.
    pub fn retry_after(seconds: u64) -> Self {
        Self::Status(429, vec![("retry-after", seconds.to_string())], "")
    }

    /// A response with status `code` and the `Location` header `to`.
    pub fn redirect(code: u16, to: &str) -> Self {
        Self::Status(code, vec![("location", to.to_owned())], "")
    }
}

/// A received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// HTTP method, such as `POST`.
    pub method: String,
    /// Path with the query.
    pub path: String,
    /// Headers in order, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Status of the response; 0 without a response.
    pub response_status: u16,
}

impl RecordedRequest {
    /// The value of a header; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(key, _)| key == name);
        header.map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A running server on loopback. Dropping it stops the server.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    _running: JoinSet<()>,
}

struct State {
    /// The next responses; when empty, [`Self::default_response`] is used.
    queued: Mutex<VecDeque<CannedResponse>>,
    default_response: Mutex<CannedResponse>,
    received: watch::Sender<Vec<RecordedRequest>>,
}

impl Receiver {
    /// Starts a server that responds with 200 by default.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            queued: Mutex::default(),
            default_response: Mutex::new(CannedResponse::status(200)),
            received: watch::Sender::default(),
        });
        let shared = Arc::clone(&state);
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                connections.spawn(async move {
                    while serve(&mut stream, &state).await.unwrap_or(false) {}
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, state, _running: running })
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Queues a response for the next request.
    pub fn respond_next(&self, response: CannedResponse) {
        lock(&self.state.queued).push_back(response);
    }

    /// Sets the default response, which is used while none is queued.
    pub fn respond_always(&self, response: CannedResponse) {
        *lock(&self.state.default_response) = response;
    }

    /// All received requests.
    pub fn received(&self) -> Vec<RecordedRequest> {
        self.state.received.borrow().clone()
    }

    /// The number of received requests.
    pub fn count(&self) -> usize {
        self.state.received.borrow().len()
    }

    /// Waits until this many requests are received.
    pub async fn wait_for(&self, count: usize) -> Vec<RecordedRequest> {
        let mut changes = self.state.received.subscribe();
        // Cannot fail: `self` holds the sender.
        changes.wait_for(|received| received.len() >= count).await.ok();
        self.received()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handles one request. Returns whether the connection stays open.
async fn serve(stream: &mut TcpStream, state: &State) -> std::io::Result<bool> {
    let Some((head, mut body)) = read_head(stream).await? else { return Ok(false) };
    let queued = lock(&state.queued).pop_front();
    let response = queued.unwrap_or_else(|| lock(&state.default_response).clone());
    if response == CannedResponse::CloseBeforeBody {
        return Ok(false);
    }
    let mut received = parse_head(&head);
    let length = received.header("content-length").parse().unwrap_or(0);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(false);
        }
    }
    received.body = body;
    if let CannedResponse::Status(code, ..) = response {
        received.response_status = code;
    }
    state.received.send_modify(|requests| requests.push(received));
    match response {
        CannedResponse::Status(code, headers, body) => {
            let mut text = format!("HTTP/1.1 {code} Answer\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                // Writing to a string does not fail.
                write!(text, "{name}: {value}\r\n").ok();
            }
            stream.write_all(format!("{text}\r\n{body}").as_bytes()).await?;
            Ok(true)
        }
        CannedResponse::NoResponse => {
            while stream.read_buf(&mut Vec::with_capacity(64)).await? > 0 {}
            Ok(false)
        }
        CannedResponse::InvalidHttp => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await?;
            Ok(false)
        }
        CannedResponse::CloseAfterBody | CannedResponse::CloseBeforeBody => Ok(false),
    }
}

/// Reads the head of a request, and returns it with the bytes that follow it. `None` if the client
/// closed the connection, or the head exceeds [`HEAD_BYTES_MAX`].
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), body)));
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse_head(head: &str) -> RecordedRequest {
    let mut lines = head.lines();
    let mut parts = lines.next().unwrap_or_default().split_whitespace().map(str::to_owned);
    let headers = lines.filter_map(|line| line.split_once(':'));
    RecordedRequest {
        method: parts.next().unwrap_or_default(),
        path: parts.next().unwrap_or_default(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
        response_status: 0,
    }
}
