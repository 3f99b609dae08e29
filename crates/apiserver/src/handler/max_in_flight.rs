//! Limits on requests in flight, like upstream's `WithMaxInFlightLimit`, with a share for each user.

use std::sync::Arc;

use apimachinery::ApiError;

use crate::Request;
use crate::authz::union::MASTERS;
use crate::handler::budget::{Budget, Reservation};
use crate::handler::status_errors;
use crate::limits::{
    BODIES_BYTES_MAX, BYTES_SHARES, FORWARDED_BYTES_MAX, Limits, REQUESTS_RESERVE, WATCHES_MAX,
};

/// Limits on requests in flight. A request over a limit is rejected with 429.
pub(crate) struct InFlight {
    reads: Arc<Budget>,
    mutations: Arc<Budget>,
    watches: Arc<Budget>,
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
            bodies: Budget::new(BODIES_BYTES_MAX, BYTES_SHARES),
            forwarded: Budget::new(FORWARDED_BYTES_MAX, BYTES_SHARES),
        }
    }

    /// Takes a seat for the request. Members of `system:masters` need none and get `None`.
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
