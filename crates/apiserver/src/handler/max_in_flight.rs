//! Limits on requests in flight, like upstream's `WithMaxInFlightLimit`, with a share for each user.

use std::sync::Arc;

use apimachinery::ApiError;
use tokio::sync::Semaphore;

use crate::Request;
use crate::authz::union::MASTERS;
use crate::handler::budget::{Budget, Reservation};
use crate::handler::status_errors;
use crate::limits::{
    BODIES_BYTES_MAX, BYTES_SHARES, FORWARDED_BYTES_MAX, LONG_RUNNING_MAX, Limits, READERS_MAX,
    REQUESTS_RESERVE, WATCHES_MAX,
};

/// Limits on requests in flight. A request over a limit is rejected with 429.
pub(crate) struct InFlight {
    reads: Arc<Budget>,
    mutations: Arc<Budget>,
    watches: Arc<Budget>,
    /// Forwarded requests that last as long as the client wants, except watches.
    long_running: Arc<Budget>,
    /// Long bodies of forwarded requests that are decoded.
    pub(crate) readers: Arc<Semaphore>,
    /// Bytes of request bodies.
    bodies: Arc<Budget>,
    /// Bytes of forwarded responses.
    forwarded: Arc<Budget>,
}

/// One unit of an in-flight limit; released on drop.
pub(crate) type Seat = Reservation;

impl InFlight {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            reads: Budget::with_reserve(limits.reads_max, REQUESTS_RESERVE),
            mutations: Budget::with_reserve(limits.mutations_max, REQUESTS_RESERVE),
            watches: Budget::with_reserve(WATCHES_MAX, REQUESTS_RESERVE),
            long_running: Budget::with_reserve(LONG_RUNNING_MAX, REQUESTS_RESERVE),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            bodies: Budget::new(BODIES_BYTES_MAX, BYTES_SHARES),
            forwarded: Budget::new(FORWARDED_BYTES_MAX, BYTES_SHARES),
        }
    }

    /// Takes a seat for the request. As in kube-apiserver, long-running requests do not count as reads
    /// or writes, and members of `system:masters` need no seat and get `None`.
    pub(crate) fn seat(
        &self,
        request: &Request,
        is_long_running: bool,
    ) -> Result<Option<Seat>, ApiError> {
        let seats = match request.info.verb.as_str() {
            "watch" if request.info.is_resource_request => &self.watches,
            _ if is_long_running => &self.long_running,
            "get" | "list" => &self.reads,
            _ => &self.mutations,
        };
        Self::reserve(seats, request)
    }

    /// Takes a seat for the tunnel of a request that asks for another protocol, if it does. The request
    /// itself needs one of its own until the upstream accepts: most servers ignore the header
    /// `Upgrade`.
    pub(crate) fn tunnel(
        &self,
        request: &Request,
        is_asked: bool,
    ) -> Result<Option<Seat>, ApiError> {
        if is_asked { Self::reserve(&self.long_running, request) } else { Ok(None) }
    }

    fn reserve(seats: &Arc<Budget>, request: &Request) -> Result<Option<Seat>, ApiError> {
        if request.user.groups.iter().any(|group| group == MASTERS) {
            return Ok(None);
        }
        seats.reserve(&request.user, 1).map(Some).ok_or_else(status_errors::too_many_requests)
    }

    /// Starts to count the body of a request, at zero bytes.
    pub(crate) fn body_bytes(&self, request: &Request) -> Result<Reservation, ApiError> {
        self.bodies.reserve(&request.user, 0).ok_or_else(status_errors::too_many_requests)
    }

    /// Starts to count the bytes of a forwarded response, at zero bytes. `None` if the user holds
    /// too many.
    pub(crate) fn forwarded_bytes(&self, request: &Request) -> Option<Reservation> {
        self.forwarded.reserve(&request.user, 0)
    }
}
