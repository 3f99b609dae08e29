//! An HTTP server that takes POST requests, keeps them, and misbehaves on request.
//!
//! It works on the bare connection, so that it can hang, hang up, or answer with something that is
//! not HTTP. What a request has to contain is the business of the test.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status, headers and a body.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// The connection is closed when the request has been read, and it counts as received.
    HangUp,
    /// The same before the body is read; it does not count.
    HangUpBeforeBody,
    /// The connection stays open without an answer.
    Hang,
    /// Something that is not HTTP.
    Noise,
}

impl Answer {
    /// A status and nothing else.
    pub const fn status(code: u16) -> Self {
        Self::Status(code, Vec::new(), "")
    }

    /// 429 with a time to wait, in seconds.
    pub fn retry_after(seconds: u64) -> Self {
        Self::Status(429, vec![("retry-after", seconds.to_string())], "")
    }

    /// A redirect.
    pub fn redirect(code: u16, to: &str) -> Self {
        Self::Status(code, vec![("location", to.to_owned())], "")
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Such as `POST`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The status that was answered; 0 without an answer.
    pub answered: u16,
}

impl Received {
    /// The value of a header; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A running server on loopback. It ends when this is dropped.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    _running: JoinSet<()>,
}

struct State {
    /// What is answered next; when there is nothing, [`Self::always`].
    next: Mutex<VecDeque<Answer>>,
    always: Mutex<Answer>,
    received: watch::Sender<Vec<Received>>,
}

impl Receiver {
    /// Listens, and answers 200.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            next: Mutex::default(),
            always: Mutex::new(Answer::status(200)),
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

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers this to the next request that is not provided for yet.
    pub fn answer_next(&self, answer: Answer) {
        lock(&self.state.next).push_back(answer);
    }

    /// Answers this to every other request.
    pub fn answer_always(&self, answer: Answer) {
        *lock(&self.state.always) = answer;
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.borrow().clone()
    }

    /// How many that are.
    pub fn count(&self) -> usize {
        self.state.received.borrow().len()
    }

    /// Waits until there are so many requests.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut news = self.state.received.subscribe();
        // The sender is in `self`.
        news.wait_for(|received| received.len() >= count).await.ok();
        self.received()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request; whether the connection goes on.
async fn serve(stream: &mut TcpStream, state: &State) -> std::io::Result<bool> {
    let Some((head, mut body)) = read_head(stream).await? else { return Ok(false) };
    let next = lock(&state.next).pop_front();
    let answer = next.unwrap_or_else(|| lock(&state.always).clone());
    if answer == Answer::HangUpBeforeBody {
        return Ok(false);
    }
    let mut received = parsed(&head);
    let length = received.header("content-length").parse().unwrap_or(0);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(false);
        }
    }
    received.body = body;
    if let Answer::Status(code, ..) = answer {
        received.answered = code;
    }
    state.received.send_modify(|all| all.push(received));
    match answer {
        Answer::Status(code, headers, body) => {
            let mut text = format!("HTTP/1.1 {code} Answer\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                // Writing to a string does not fail.
                write!(text, "{name}: {value}\r\n").ok();
            }
            stream.write_all(format!("{text}\r\n{body}").as_bytes()).await?;
            Ok(true)
        }
        Answer::Hang => {
            while stream.read_buf(&mut Vec::with_capacity(64)).await? > 0 {}
            Ok(false)
        }
        Answer::Noise => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await?;
            Ok(false)
        }
        Answer::HangUp | Answer::HangUpBeforeBody => Ok(false),
    }
}

/// The head of a request, and what came behind it.
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

fn parsed(head: &str) -> Received {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split_whitespace().map(str::to_owned);
    let headers = lines.filter_map(|line| line.split_once(':'));
    Received {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
        answered: 0,
    }
}
