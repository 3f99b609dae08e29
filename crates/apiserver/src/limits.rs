//! The bounds a server keeps, in one place. `docs/reference/limits.md` lists them.

use std::sync::Arc;
use std::time::Duration;

use crate::authz::union::MASTERS;
use crate::budget::{Budget, Held};
use crate::{ApiError, Request, status_errors};

/// A body may be so long; more gets 413.
pub const BODY_BYTES_MAX: usize = 3 << 20;
/// What is wrong with an object is told of so many fields.
pub const FIELD_ERRORS_MAX: usize = 64;
/// Fields that a kind does not know are told by so many names.
pub const UNKNOWN_FIELDS_MAX: usize = 100;
/// A JSON body or stored object up to this size is decoded on the threads that serve requests. The worst one of
/// this size takes a few milliseconds there; of 256 KiB, lists within lists took 40 ms.
pub const JSON_INLINE_BYTES_MAX: usize = 64 << 10;
/// The same of bodies in other forms, which take longer.
pub const OTHER_INLINE_BYTES_MAX: usize = 8 << 10;
/// Longer ones that are decoded at a time.
pub const READERS_MAX: usize = 2;
/// A stored object up to this size is changed again within the transaction, if another request changed it
/// first; of a longer one the client gets 409.
pub const REAPPLIED_BYTES_MAX: usize = 256 << 10;
/// A body may pause so long.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Bytes of all bodies under way; of one user, a quarter.
pub const BODIES_BYTES_MAX: usize = 64 << 20;
/// Bytes of long events of watches under way; of one user, a quarter.
pub const WATCHES_BYTES_MAX: usize = 64 << 20;
/// Watches at a time; one user leaves a quarter to others.
pub const WATCHES_MAX: usize = 16_384;
/// Bytes of long answers under way; of one user, a quarter.
pub const ANSWERS_BYTES_MAX: usize = 128 << 20;
/// One user leaves one in so many of the places for requests to others.
pub const REQUESTS_LEFT: usize = 4;
/// One user may have one in so many of the bytes of bodies, and of long answers.
pub const BYTES_SHARES: usize = 4;
/// An answer up to this size is not counted.
pub const ANSWER_BYTES_FREE: usize = 64 << 10;
/// An answer of which a client takes nothing for so long ends.
pub const ANSWER_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Bytes of what a client sends over a WebSocket at a time. It is not looked at: there is nothing that a
/// client has to say.
pub const WEBSOCKET_FRAME_BYTES_MAX: usize = 64 << 10;
/// Bytes of an answer that are handed out at a time.
pub(crate) const ANSWER_PIECE_BYTES: usize = 64 << 10;
/// Lists that are rendered at a time.
pub const LISTS_MAX: usize = 4;
/// A TLS handshake may take so long.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// The head of an HTTP/1 request may take so long, from its first byte; the first one of a
/// connection, from the beginning of the connection.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(32);
/// A connection without a request is closed after so long.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(90);
/// Connections at a time; further ones are closed at once.
pub const CONNECTIONS_MAX: usize = 4096;
/// Connections from one address (with IPv6, from one network of 64 bits) at a time; further ones are
/// closed at once. Many clients may share an address behind a proxy, and each needs only a few.
pub const ADDRESS_CONNECTIONS_MAX: usize = 1024;
/// Streams of one HTTP/2 connection. More than Go's 100, because kube-apiserver puts all its users
/// on a few connections and each watch holds a stream; less than its 1,000, because an attacker's
/// rapid resets cost by the stream.
pub const STREAMS_MAX: u32 = 250;
/// Streams reset by the client that are remembered.
pub const RESET_STREAMS_MAX: usize = 20;
/// Path and query of a request; longer ones get 414. Less than the libraries take, which refuse without
/// a word.
pub const URI_BYTES_MAX: usize = 65_000;
/// Bytes of headers of HTTP/2 requests that are held until they are complete, of all connections.
pub const HELD_HEADERS_BYTES_MAX: usize = 16 << 20;
/// All headers of an HTTP/2 request.
pub const HEADER_BYTES_MAX: u32 = 128 << 10;
/// The head of an HTTP/1 request.
pub const HEAD_BYTES_MAX: usize = 1 << 20;
/// Flow control windows of HTTP/2, per stream and per connection.
pub const STREAM_WINDOW: u32 = 256 << 10;
/// See [`STREAM_WINDOW`].
pub const CONNECTION_WINDOW: u32 = 1 << 20;
/// How often an HTTP/2 client is asked whether it is there.
pub const PING_PERIOD: Duration = Duration::from_secs(30);
/// It has so long to answer.
pub const PING_TIME_MAX: Duration = Duration::from_secs(15);
/// A record may take so long to become durable before the client hears that it cannot be kept.
pub const RECORD_TIME_MAX: Duration = Duration::from_secs(15);

/// The bounds an operator may change.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Reading requests at a time.
    pub reads_max: usize,
    /// Changing requests at a time.
    pub mutations_max: usize,
    /// A request that is not a watch may take so long; after it, 504.
    pub request_time_max: Duration,
    /// Between "not ready" and the end of listening.
    pub shutdown_delay: Duration,
    /// Requests under way get so long at shutdown.
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

/// What requests under way take. A request that finds nothing left is refused with 429.
pub(crate) struct InFlight {
    reads: Arc<Budget>,
    mutations: Arc<Budget>,
    watches: Arc<Budget>,
    /// Bytes of bodies.
    bodies: Arc<Budget>,
}

/// A place among the requests under way, given back when dropped.
pub(crate) type Seat = Held;

impl InFlight {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            reads: Budget::leaving(limits.reads_max, REQUESTS_LEFT),
            mutations: Budget::leaving(limits.mutations_max, REQUESTS_LEFT),
            watches: Budget::leaving(WATCHES_MAX, REQUESTS_LEFT),
            bodies: Budget::new(BODIES_BYTES_MAX, BYTES_SHARES),
        }
    }

    /// A seat, or none where none is needed: cluster administrators need none.
    pub(crate) fn seat(&self, request: &Request) -> Result<Option<Seat>, ApiError> {
        let verb = request.info.verb.as_str();
        if request.user.groups.iter().any(|group| group == MASTERS) {
            return Ok(None);
        }
        let seats = match verb {
            "get" | "list" => &self.reads,
            "watch" if request.info.is_resource_request => &self.watches,
            _ => &self.mutations,
        };
        seats.take(&request.user, 1).map(Some).ok_or_else(status_errors::too_many_requests)
    }

    /// The bytes of a body that is about to be read: none yet.
    pub(crate) fn body_bytes(&self, request: &Request) -> Result<Held, ApiError> {
        self.bodies.take(&request.user, 0).ok_or_else(status_errors::too_many_requests)
    }
}
