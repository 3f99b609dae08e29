//! The response of an upstream: received up to a limit, recorded, and passed on.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use event::annotations::INTERRUPTED;
use event::{Level, Status};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use super::frames::{Arrived, Copy, UpstreamFrames};
use super::{is_long_running, recorded, tunnel};
use crate::audit::intents::Intent;
use crate::audit::late_outcomes::NOT_SENT;
use crate::handler::RequestContext;
use crate::handler::body::{Aborted, ResponseBody};
use crate::handler::budget::Reservation;
use crate::handler::max_in_flight::Seat;
use crate::handler::recorded_end::RecordedEnd;
use crate::handler::watch_body::{Completion, WatchBody};
use crate::limits::{
    FORWARDED_COLLECT_TIME_MAX, FORWARDED_RECORDED_BYTES_MAX, FORWARDED_STATUS_BYTES_MAX,
};
use crate::state::ServerState;
use crate::{AuditContext, Request};

/// A response of an upstream whose event is not logged yet.
pub struct ForwardedResponse {
    head: Parts,
    content: Content,
}

enum Content {
    Complete(Bytes),
    Streamed(UpstreamFrames),
    Upgraded(OnUpgrade),
}

/// What a request holds of the limits on requests in flight.
pub(in crate::handler) struct Seats {
    pub(in crate::handler) request: Option<Seat>,
    /// For the tunnel, if it becomes one.
    pub(in crate::handler) tunnel: Option<Seat>,
}

/// Bytes that count against a budget until they are freed.
struct Counted {
    bytes: Bytes,
    _reservation: Option<Reservation>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ForwardedResponse {
    /// Receives a response, as much as is recorded completely.
    pub(super) async fn receive(
        state: &ServerState,
        request: &Request,
        mut response: Response<Incoming>,
        level: Level,
    ) -> Self {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let content = Content::Upgraded(hyper::upgrade::on(&mut response));
            return Self { head: response.into_parts().0, content };
        }
        let is_long_running = is_long_running(&request.info) && response.status().is_success();
        let (head, mut body) = response.into_parts();
        let bytes_max = match level {
            _ if is_long_running => 0,
            Level::RequestResponse => FORWARDED_RECORDED_BYTES_MAX,
            _ => FORWARDED_STATUS_BYTES_MAX,
        };
        let reservation = state.in_flight.forwarded_bytes(request);
        let collected = if bytes_max > 0 {
            collect(&mut body, bytes_max, reservation).await
        } else {
            Err(Arrived::default())
        };
        let content = match collected {
            Ok(complete) => Content::Complete(complete),
            Err(arrived) => {
                let records = level >= Level::RequestResponse
                    && request.info.is_resource_request
                    && !is_long_running;
                let copy = records.then(|| Copy::new(&recorded::media_type(&head.headers)));
                Content::Streamed(UpstreamFrames::new(arrived, body, is_long_running, copy))
            }
        };
        Self { head, content }
    }
}

/// Receives a complete body. The error contains what has arrived of a body that is too long, takes
/// too long or breaks off.
async fn collect(
    body: &mut Incoming,
    bytes_max: usize,
    mut reservation: Option<Reservation>,
) -> Result<Bytes, Arrived> {
    let deadline = Instant::now() + FORWARDED_COLLECT_TIME_MAX;
    let (mut parts, mut bytes, mut failure) = (VecDeque::new(), 0, None);
    loop {
        let Ok(next) = tokio::time::timeout_at(deadline, body.frame()).await else { break };
        match next {
            None => return Ok(joined(parts, reservation)),
            Some(Err(error)) => {
                failure = Some(Aborted::Upstream(error.to_string()));
                break;
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                bytes += data.len();
                let is_counted =
                    reservation.as_mut().is_some_and(|reservation| reservation.grow(data.len()));
                parts.push_back(data);
                if bytes > bytes_max || !is_counted {
                    break;
                }
            }
        }
    }
    Err(Arrived { parts, failure, reservation })
}

fn joined(mut parts: VecDeque<Bytes>, reservation: Option<Reservation>) -> Bytes {
    let bytes = if parts.len() <= 1 {
        parts.pop_front().unwrap_or_default()
    } else {
        let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
        for part in &parts {
            joined.extend_from_slice(part);
        }
        joined.freeze()
    };
    if bytes.is_empty() {
        return bytes;
    }
    Bytes::from_owner(Counted { bytes, _reservation: reservation })
}

/// Records a response and passes it on.
pub(in crate::handler) async fn respond(
    state: &Arc<ServerState>,
    mut context: RequestContext,
    answer: ForwardedResponse,
    mut audit: AuditContext,
    (seats, intent): (Seats, Option<Intent>),
) -> Response<ResponseBody> {
    let ForwardedResponse { head, content } = answer;
    let code = head.status;
    let Seats { request: seat, tunnel: tunnel_seat } = seats;
    if let Content::Complete(bytes) = content {
        let (info, level) = (&context.request.info, audit.level());
        let recorded = recorded::response(info, level, (code, &head.headers), &bytes);
        if let Err(error) = state.log_outcome(audit.complete_with(recorded), intent).await {
            return context.into_response(state, state.audit_unavailable(error));
        }
        return context.pass_on(state, head, ResponseBody::complete(bytes, seat));
    }
    audit.begin_streaming();
    let intent = match record_start(state, &mut audit, code, intent).await {
        Ok(intent) => intent,
        Err(error) => return context.into_response(state, state.audit_unavailable(error)),
    };
    match content {
        Content::Streamed(frames) => {
            let is_watch = context.request.info.verb == "watch";
            let metrics = is_watch.then(|| state.metrics.watch_started(&context.request.info));
            let completion = Completion { audit, code, seat, intent, metrics };
            let body = WatchBody::new(Box::new(frames), completion, Arc::clone(state));
            context.pass_on(state, head, ResponseBody::watch(body))
        }
        Content::Upgraded(upstream) => {
            let end = RecordedEnd::new(Arc::clone(state), audit, intent);
            // It lasts as long as the client wants, so it does not hold the seat of a write.
            let seat = tunnel_seat.or(seat);
            let metrics = state.metrics.watch_started(&context.request.info);
            let tunnel = tunnel::Tunnel::new(end, code, (seat, metrics), state.closing.clone());
            if let Some(upgrade) = context.take_upgrade() {
                upgrade.switch(|client| tunnel.run(client, upstream));
            }
            context.pass_on(state, head, ResponseBody::complete(Bytes::new(), None))
        }
        Content::Complete(bytes) => {
            context.pass_on(state, head, ResponseBody::complete(bytes, seat))
        }
    }
}

/// Records that the response begins. Returns the intent that remains stored until its end.
async fn record_start(
    state: &ServerState,
    audit: &mut AuditContext,
    code: StatusCode,
    intent: Option<Intent>,
) -> Result<Option<Intent>, apimachinery::ApiError> {
    if let Some(record) = audit.response_started(code.as_u16()) {
        state.log_outcome(Some(record), intent).await?;
        return Ok(None);
    }
    // The policy omits this stage: the intent says that the response began.
    let status = Status { code: code.as_u16(), ..Status::default() };
    let reason = "the proxy ended while it sent the response";
    let Some(record) = audit.unfinished(status, (INTERRUPTED, reason)) else {
        return Ok(intent);
    };
    let mut intent = intent;
    let started = match &intent {
        Some(intent) => state.backend.redeclare(intent, record).await,
        None => state.backend.declare(&mut intent, record).await,
    };
    if let Err(error) = started {
        // Its client gets this error, so its end is now.
        audit.annotate(INTERRUPTED, NOT_SENT);
        let record = audit.clone().stream_complete(code.as_u16(), None);
        drop(state.log_outcome(record, intent).await);
        return Err(error);
    }
    Ok(intent)
}
