//! Activity of a connection: serving requests, idle, or reading a request head.
//!
//! An idle connection may wait long, but a request head that has begun must complete soon. hyper's
//! own timeout does not distinguish the two, so this module observes the incoming bytes. It also
//! bounds the heads of all connections together.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::head_budget::HeadBytes;
use crate::handler::body::Stallable;
use crate::limits;

/// Start of hyper's response to a URI that exceeds its buffer.
const URI_TOO_LONG: &[u8] = b"HTTP/1.1 414 ";
/// End of hyper's response, which has no body. Bodies of this server contain no carriage return.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// Maximum length of hyper's response, in bytes: a status line, a length and a date.
const URI_TOO_LONG_BYTES_MAX: usize = 256;
/// Header in every response of this server.
const AUDIT_ID: &[u8] = b"\r\naudit-id:";
/// No request head is being read.
const NO_HEAD: u64 = u64::MAX;

/// Requests in flight on a connection, and the start of its idle time.
pub(super) struct ConnectionActivity {
    pub(super) start: Instant,
    active: AtomicU32,
    /// Milliseconds since the connection began.
    idle_since: AtomicU64,
    /// Time of the first byte of a request head, in milliseconds since the connection began;
    /// [`NO_HEAD`] if no head is being read.
    head_since: AtomicU64,
    /// Bytes read of a request head that is not complete.
    head_bytes: AtomicUsize,
    /// Its share of the memory for heads. `None` with HTTP/2.
    budgeted_head: Option<Mutex<HeadBytes>>,
    /// Whether a head was refused because the heads of all connections are too large.
    is_head_refused: AtomicBool,
    /// Whether the connection no longer carries HTTP.
    is_upgraded: AtomicBool,
    /// Responses being sent, by ID.
    responses: Mutex<HashMap<u64, Arc<dyn Stallable>>>,
    next_response: AtomicU64,
    /// Whether the connection multiplexes requests (HTTP/2).
    has_streams: bool,
}

impl ConnectionActivity {
    /// A new HTTP/1 connection. The time limit of the first head starts immediately.
    pub(super) fn new(head: HeadBytes) -> Self {
        Self::with(Some(Mutex::new(head)))
    }

    fn with(budgeted_head: Option<Mutex<HeadBytes>>) -> Self {
        Self {
            start: Instant::now(),
            active: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            head_bytes: AtomicUsize::new(0),
            budgeted_head,
            is_head_refused: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
            responses: Mutex::default(),
            next_response: AtomicU64::new(0),
            has_streams: false,
        }
    }

    /// A new HTTP/2 connection, whose request heads cannot be recognised from outside.
    pub(super) fn multiplexed() -> Self {
        let mut activity = Self::with(None);
        activity.head_since = AtomicU64::new(NO_HEAD);
        activity.has_streams = true;
        activity
    }

    /// The connection carries no further heads.
    pub(super) fn upgrade(&self) {
        self.is_upgraded.store(true, Ordering::Relaxed);
        self.release_head();
    }

    /// Whether a head was refused because the heads of all connections are too large.
    pub(super) fn is_head_refused(&self) -> bool {
        self.is_head_refused.load(Ordering::Relaxed)
    }

    /// Time without a request in flight; `None` if there is one.
    pub(super) fn idle_time(&self) -> Option<Duration> {
        if self.active.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(self.since(self.idle_since.load(Ordering::Relaxed)))
    }

    /// Whether a request head has taken too long, or the connection has been idle too long.
    pub(super) fn is_overdue(&self) -> bool {
        let Some(idle) = self.idle_time() else { return false };
        let head_since = self.head_since.load(Ordering::Relaxed);
        let is_head_late =
            head_since != NO_HEAD && self.since(head_since) >= limits::HEADER_TIME_MAX;
        is_head_late || idle >= limits::IDLE_TIME_MAX
    }

    /// Aborts responses that the client does not read. Returns whether there is one.
    pub(super) fn end_stalled(&self) -> bool {
        let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        let aborted = responses.values().filter(|response| response.end_if_stalled()).count();
        aborted > 0
    }

    /// Counts bytes that were read. Returns an error if a request head exceeds its limit.
    fn on_read(&self, bytes: usize) -> io::Result<()> {
        if self.active.load(Ordering::Relaxed) > 0 || self.is_upgraded.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.head_since.load(Ordering::Relaxed) == NO_HEAD {
            self.head_since.store(self.millis(), Ordering::Relaxed);
        }
        let before = self.head_bytes.fetch_add(bytes, Ordering::Relaxed);
        let added = counted(before + bytes) - counted(before);
        if added == 0 || self.with_budget(|head| head.try_add(added)).unwrap_or(true) {
            return Ok(());
        }
        self.is_head_refused.store(true, Ordering::Relaxed);
        Err(io::Error::other("the incomplete heads of all requests are too large"))
    }

    /// Frees the share of a head that is complete or refused.
    pub(super) fn release_head(&self) {
        if counted(self.head_bytes.swap(0, Ordering::Relaxed)) > 0 {
            self.with_budget(HeadBytes::release);
        }
    }

    fn with_budget<T>(&self, action: impl FnOnce(&mut HeadBytes) -> T) -> Option<T> {
        let head = self.budgeted_head.as_ref()?;
        Some(action(&mut head.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn since(&self, millis: u64) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(millis))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// The bytes of a head that count against [`limits::HELD_HEADS_BYTES_MAX`].
fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(limits::HEAD_BYTES_FREE)
}

/// A request in flight, until its response body has been sent.
pub(crate) struct ActiveRequest(Arc<ConnectionActivity>);

impl ActiveRequest {
    pub(super) fn start(activity: &Arc<ConnectionActivity>) -> Self {
        activity.active.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(NO_HEAD, Ordering::Relaxed);
        activity.release_head();
        Self(Arc::clone(activity))
    }

    /// Whether the connection multiplexes requests, so that others continue when this one stalls.
    pub(crate) fn has_streams(&self) -> bool {
        self.0.has_streams
    }

    /// Registers a response that is being sent and returns its ID.
    pub(crate) fn register_response(&self, response: Arc<dyn Stallable>) -> u64 {
        let number = self.0.next_response.fetch_add(1, Ordering::Relaxed);
        let mut responses = self.0.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.insert(number, response);
        number
    }

    /// Unregisters a response that has been sent or aborted.
    pub(crate) fn unregister_response(&self, number: u64) {
        let mut responses = self.0.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.remove(&number);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.millis(), Ordering::Relaxed);
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Records when a request head begins, and withholds hyper's own 414 response to a URI that is too
/// long.
pub(super) struct HeadTimer<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
    /// Bytes to read before those of the stream.
    first: Bytes,
    withholding: Withholding,
}

/// Whether hyper's own 414 response is withheld.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Withholding {
    /// The response is sent.
    Off,
    /// The response will be withheld.
    On,
    /// The response was withheld, and all later bytes are withheld too.
    Done,
}

impl<S> HeadTimer<S> {
    pub(super) fn new(stream: S, activity: Arc<ConnectionActivity>) -> Self {
        Self { stream, activity, first: Bytes::new(), withholding: Withholding::On }
    }

    /// Returns the same stream, prefixed with these bytes; `None` if hyper's response was not
    /// withheld.
    pub(super) fn restart(self, first: Bytes) -> Option<Self> {
        (self.withholding == Withholding::Done).then(|| Self {
            first,
            withholding: Withholding::Off,
            ..self
        })
    }

    /// Whether these bytes are hyper's own response and must be withheld. Responses of this server
    /// carry an audit ID. A piece of a body that resembles a status line is not withheld: a client
    /// may have chosen its content.
    fn should_withhold(&mut self, bytes: &[u8]) -> bool {
        let is_hypers = self.withholding == Withholding::On
            && bytes.starts_with(URI_TOO_LONG)
            && bytes.ends_with(HEAD_END)
            && bytes.len() <= URI_TOO_LONG_BYTES_MAX
            && !bytes.windows(AUDIT_ID.len()).any(|name| name.eq_ignore_ascii_case(AUDIT_ID));
        if is_hypers {
            self.withholding = Withholding::Done;
        }
        self.withholding == Withholding::Done
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadTimer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let len = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first.split_to(len));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0
            && let Err(error) = self.activity.on_read(bytes)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadTimer<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.should_withhold(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.withholding == Withholding::Done {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.should_withhold(
            bytes.iter().find(|buffer| !buffer.is_empty()).map_or(&[], |buffer| buffer),
        ) {
            return Poll::Ready(Ok(bytes.iter().map(|buffer| buffer.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
