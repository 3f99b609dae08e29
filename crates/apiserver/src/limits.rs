//! The server's limits in one place. `docs/reference/limits.md` lists them.

use std::time::Duration;

/// Maximum size of a request body, in bytes. A longer body is rejected with 413.
pub const BODY_BYTES_MAX: usize = 3 << 20;
/// A JSON body or stored object up to this size, in bytes, is decoded on the threads that serve
/// requests. The worst input of this size takes a few milliseconds; nested lists of 256 KiB took 40
/// ms.
pub const JSON_INLINE_BYTES_MAX: usize = 64 << 10;
/// Same as [`JSON_INLINE_BYTES_MAX`], for bodies in other encodings, which take longer.
pub const OTHER_INLINE_BYTES_MAX: usize = 8 << 10;
/// Maximum number of larger bodies decoded concurrently.
pub const READERS_MAX: usize = 2;
/// A stored object up to this size, in bytes, is patched again within the transaction if another
/// request changed it first. For a larger object the client gets 409.
pub const REAPPLIED_BYTES_MAX: usize = 256 << 10;
/// Maximum pause while a client sends a body.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Maximum total size of request bodies in flight, in bytes. One user may use a quarter.
pub const BODIES_BYTES_MAX: usize = 64 << 20;
/// Maximum total size of long watch events in flight, in bytes. One user may use a quarter.
pub const WATCHES_BYTES_MAX: usize = 64 << 20;
/// Maximum number of concurrent watches. One user may hold three quarters.
pub const WATCHES_MAX: usize = 16_384;
/// Maximum total size of long responses in flight, in bytes. One user may use a quarter.
pub const RESPONSES_BYTES_MAX: usize = 128 << 20;
/// Maximum size of the objects of one list, in bytes. A client that requests pages never reaches
/// it.
pub const LIST_BYTES_MAX: usize = 24 << 20;
/// A page of a list ends once its objects have this size, in bytes.
pub const LIST_PAGE_BYTES_MAX: usize = 8 << 20;
/// A list as a table may have this fraction of the bytes, because it needs more memory while it is
/// built.
pub const TABLE_SHARE: usize = 2;
/// A list in YAML may have this fraction of the bytes: it is converted from the whole JSON.
pub const YAML_SHARE: usize = 4;
/// Divisor: one user must leave this fraction of the seats to other users.
pub const REQUESTS_RESERVE: usize = 4;
/// Divisor: one user may use this fraction of the bytes of bodies, and of long responses.
pub const BYTES_SHARES: usize = 4;
/// A response up to this size, in bytes, does not count against [`RESPONSES_BYTES_MAX`].
pub const RESPONSE_BYTES_FREE: usize = 64 << 10;
/// A response is aborted if the client reads nothing for this long.
pub const RESPONSE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Maximum size of a WebSocket frame from a client, in bytes. The server ignores the payload: a
/// watch has no input.
pub const WEBSOCKET_FRAME_BYTES_MAX: usize = 64 << 10;
/// Size of the pieces in which a response body is sent, in bytes.
pub(crate) const RESPONSE_PIECE_BYTES: usize = 64 << 10;
/// Maximum number of lists that are read and rendered concurrently.
pub const LISTS_MAX: usize = 4;
/// Time limit of a TLS handshake.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Time limit of the head of an HTTP/1 request, measured from its first byte. For the first request
/// of a connection, measured from the start of the connection.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(32);
/// A connection without a request is closed after this time.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(90);
/// Maximum number of connections. Further connections are closed immediately.
pub const CONNECTIONS_MAX: usize = 4096;
/// Maximum number of connections from one address (with IPv6, from one /64 network). Further
/// connections are closed immediately. Many clients may share an address behind a proxy, and each
/// needs only a few.
pub const ADDRESS_CONNECTIONS_MAX: usize = 1024;
/// Maximum number of concurrent streams of one HTTP/2 connection. More than Go's 100, because
/// kube-apiserver multiplexes all its users over a few connections and each watch holds a stream.
/// Less than kube-apiserver's 1,000, because the cost of a rapid-reset attack grows with the number
/// of streams.
pub const STREAMS_MAX: u32 = 250;
/// Maximum number of pending streams of an HTTP/2 connection that the client has reset.
pub const RESET_STREAMS_MAX: usize = 20;
/// Maximum length of path and query, in bytes. A longer URI is rejected with 414. Lower than the
/// limits of the libraries, which reject without a message.
pub const URI_BYTES_MAX: usize = 65_000;
/// Maximum total size of incomplete HTTP/2 headers over all connections, in bytes.
pub const HELD_HEADERS_BYTES_MAX: usize = 16 << 20;
/// Maximum size of all headers of an HTTP/2 request, in bytes.
pub const HEADER_BYTES_MAX: u32 = 128 << 10;
/// Maximum size of the head of an HTTP/1 request, in bytes.
pub const HEAD_BYTES_MAX: usize = 1 << 20;
/// Size of an incomplete HTTP/1 head up to which it does not count against
/// [`HELD_HEADS_BYTES_MAX`], in bytes. Few heads are longer.
pub const HEAD_BYTES_FREE: usize = 16 << 10;
/// Maximum total size of incomplete HTTP/1 heads over all connections, beyond [`HEAD_BYTES_FREE`]
/// each, in bytes. A head for which nothing is left gets 431. Clients without a certificate may
/// send heads, so these are bounded like [`HELD_HEADERS_BYTES_MAX`].
pub const HELD_HEADS_BYTES_MAX: usize = 16 << 20;
/// The part of [`HELD_HEADS_BYTES_MAX`] that one address (with IPv6, one /64 network) may
/// use, in bytes.
pub const ADDRESS_HEADS_BYTES_MAX: usize = HELD_HEADS_BYTES_MAX / 4;
/// HTTP/2 flow-control window of a stream, in bytes.
pub const STREAM_WINDOW: u32 = 256 << 10;
/// HTTP/2 flow-control window of a connection, in bytes.
pub const CONNECTION_WINDOW: u32 = 1 << 20;
/// Interval of HTTP/2 keep-alive pings.
pub const PING_PERIOD: Duration = Duration::from_secs(30);
/// Time limit for the acknowledgement of a ping.
pub const PING_TIME_MAX: Duration = Duration::from_secs(15);
/// Time limit for a record to become durable. After it, the client gets an error.
pub const RECORD_TIME_MAX: Duration = Duration::from_secs(15);
/// A forwarded response up to this size, in bytes, is recorded completely and sent after its event.
/// A longer one is streamed; its length and digest are recorded at the end.
pub const FORWARDED_RECORDED_BYTES_MAX: usize = 1 << 20;
/// [`FORWARDED_RECORDED_BYTES_MAX`] if the policy records no response bodies: enough for any
/// `Status`.
pub const FORWARDED_STATUS_BYTES_MAX: usize = 64 << 10;
/// Maximum total size of forwarded responses that are held until their events are recorded, in
/// bytes. One user may use a quarter. Beyond it, responses are streamed.
pub const FORWARDED_BYTES_MAX: usize = 64 << 20;
/// A forwarded response that takes longer than this is streamed.
pub const FORWARDED_COLLECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Maximum pause of the upstream within a response that is neither a watch nor an upgraded
/// connection.
pub const FORWARDED_PAUSE_MAX: Duration = Duration::from_mins(1);
/// A body of a forwarded request up to this size, in bytes, is recorded before the upstream has
/// authorized the request. Of a longer one only the length and the digest.
pub const FORWARDED_EARLY_BYTES_MAX: usize = OTHER_INLINE_BYTES_MAX;
/// Maximum number of forwarded requests whose response may last as long as the client wants: upgraded
/// connections and logs. One user may hold three quarters.
pub const LONG_RUNNING_MAX: usize = 1024;
/// Maximum number of outcomes of forwarded requests that wait because the store did not accept them.
/// The next start records the outcomes beyond it.
pub const LATE_OUTCOMES_MAX: usize = 4096;
/// Maximum total size of their events in memory, in bytes. Beyond it, an event says that the outcome
/// is unknown.
pub const LATE_OUTCOMES_BYTES_MAX: usize = 16 << 20;
/// Pause before such outcomes are tried again. Each failure doubles it, up to [`LATE_PAUSE_MAX`].
pub const LATE_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause between these attempts.
pub const LATE_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Number of intents of an earlier run that are read at a time.
pub(crate) const INTENTS_PAGE: usize = 256;
/// A page of intents ends when it has this many bytes.
pub(crate) const INTENTS_PAGE_BYTES: usize = 8 << 20;
/// Interval at which the server tries to record a gap event for rejected requests.
pub const GAP_PERIOD: Duration = Duration::from_millis(500);

/// Limits that an operator can configure.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum number of concurrent get and list requests.
    pub reads_max: usize,
    /// Maximum number of concurrent requests that are neither get, list nor watch.
    pub mutations_max: usize,
    /// Time limit of a request that is not a watch. After it, the client gets 504.
    pub request_time_max: Duration,
    /// Time between "not ready" and the end of accepting connections.
    pub shutdown_delay: Duration,
    /// Time that requests in flight have to complete at shutdown.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reads_max: 400,
            mutations_max: 200,
            request_time_max: Duration::from_mins(1),
            shutdown_delay: Duration::ZERO,
            drain_time_max: Duration::from_mins(1),
        }
    }
}
