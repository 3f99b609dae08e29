//! Forwards a request to an upstream, and records it as a request of this server.
//!
//! A request that may change something is stored as an intent before its first byte is sent. No byte
//! of a response is sent before its event is durable: the complete event of a short response, the
//! stage `ResponseStarted` of one that is sent while it arrives. Nothing is repeated and no redirect
//! is followed. The upstream authorizes the request, so the event has no decision of this server.

mod frames;
mod recorded;
mod response;
mod tunnel;

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::{ApiError, RequestInfo};
use event::Status;
use event::annotations::{OUTCOME, OUTCOME_NOT_FORWARDED, OUTCOME_UNKNOWN, UPSTREAM};
use http::{HeaderValue, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::has_body;
use super::timeout::TimeLimit;
use crate::audit::intents::{Effect, Intent};
use crate::state::ServerState;
use crate::upstream::upgrade_protocol;
use crate::{
    ApiResponse, AuditContext, ForwardedRequest, Outcome, Request, Upstream, UpstreamError,
};

pub use response::ForwardedResponse;
pub(super) use response::{Seats, respond};

/// The subresources whose responses may last as long as the client wants, as in kube-apiserver.
const LONG_RUNNING: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// Where a request is forwarded.
pub(crate) struct Target {
    pub(crate) upstream: Arc<dyn Upstream>,
    /// Cancelled when the client disconnects before the response.
    pub(crate) left: CancellationToken,
}

/// A request that is forwarded, and what is recorded about it.
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Request,
    pub(super) uri: &'a Uri,
    /// Address of the client.
    pub(super) client: &'a IpAddr,
    pub(super) audit_id: &'a HeaderValue,
    /// The protocol to which the client wants to switch, and its connection can.
    pub(super) protocol: Option<&'static str>,
    pub(super) audit: &'a mut AuditContext,
    /// Set while an intent is stored.
    pub(super) intent: &'a mut Option<Intent>,
}

/// Forwards a request, and returns when its response is complete or can only be sent while it
/// arrives.
pub(super) async fn send(
    state: &ServerState,
    (target, limit): (&Target, &TimeLimit),
    exchange: Exchange<'_>,
) -> Result<Outcome, ApiResponse> {
    let upstream = &*target.upstream;
    let Exchange { request, uri, client, audit_id, protocol, audit, intent } = exchange;
    audit.annotate(UPSTREAM, upstream.name());
    let recorded_fields = upstream.recorded_fields(&request.info);
    if let Some(fields) = recorded_fields {
        audit.omit_bodies(fields);
    }
    // The upstream has not authorized the request yet, so little is stored of it.
    recorded::before(request, audit, recorded_fields.is_some());
    if may_change(request) || protocol.is_some() {
        let annotation = (OUTCOME, OUTCOME_UNKNOWN);
        if let Some(record) = audit.unfinished(unknown_outcome(), annotation) {
            let declared = state.backend.declare(intent, record).await;
            declared.map_err(|error| state.audit_unavailable(error))?;
        }
    }
    set_effect(intent, Effect::Unknown);
    let forwarded = ForwardedRequest {
        method: request.method.clone(),
        uri: uri.clone(),
        headers: request.headers.clone(),
        user: Arc::clone(&request.user),
        info: request.info.clone(),
        client: *client,
        audit_id: audit_id.clone(),
        protocol,
        body: request.body.clone(),
    };
    let response = match response_head(state, target, limit, forwarded).await {
        Ok(response) => response,
        Err(error) => {
            if !matches!(error, UpstreamError::NoResponse(_)) {
                set_effect(intent, Effect::NotForwarded);
            }
            return Err(failed(upstream.name(), &error).into());
        }
    };
    let code = response.status();
    let is_redirect = code.is_redirection() && code != StatusCode::NOT_MODIFIED;
    let is_switch = code == StatusCode::SWITCHING_PROTOCOLS;
    let is_asked = protocol.is_some() && upgrade_protocol(response.headers()) == protocol;
    if is_redirect || (is_switch && !is_asked) {
        set_effect(intent, Effect::Known);
        // A redirect could send kube-apiserver's client, with its certificate, to any address.
        warn!(%code, path = request.info.path, "a response of the upstream was blocked");
        return Err(blocked(code).into());
    }
    if is_authorized(code) {
        recorded::after(state, request, audit).await;
    }
    let answer = ForwardedResponse::receive(state, request, response, audit.level()).await;
    set_effect(intent, Effect::Known);
    Ok(Outcome::Forwarded(Box::new(answer)))
}

/// Whether the request may change something. What a GET on a subresource such as `proxy` does is up to
/// the program that gets it.
fn may_change(request: &Request) -> bool {
    let info = &request.info;
    let is_read = info.verb == "watch" || info.subresource == "log";
    has_body(&request.method) || (is_long_running(info) && !is_read)
}

/// Sends a request, and returns when the head of its response has arrived. The response of a
/// long-running request may begin at any time: the log of a container that writes nothing yet. It has
/// no time limit, so it is awaited until the client leaves or the server shuts down.
async fn response_head(
    state: &ServerState,
    target: &Target,
    limit: &TimeLimit,
    request: ForwardedRequest,
) -> Result<Response<Incoming>, UpstreamError> {
    let is_long_running = is_long_running(&request.info);
    let response = target.upstream.send(request);
    if !is_long_running {
        return response.await;
    }
    limit.lift();
    let ended = |reason: &str| Err(UpstreamError::NoResponse(reason.to_owned()));
    tokio::select! {
        response = response => response,
        () = target.left.cancelled() => ended("its client disconnected before the response"),
        () = state.closing.cancelled() => ended("the proxy was shut down before the response"),
    }
}

/// Whether only an authorized request gets this response. Of the errors, these are 409 and 422: an API
/// server sends others, such as 400 and 429, before it has authorized the request.
fn is_authorized(code: StatusCode) -> bool {
    code.is_success() || matches!(code, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY)
}

/// Says what is known of the request's effect.
fn set_effect(intent: &mut Option<Intent>, effect: Effect) {
    if let Some(intent) = intent {
        intent.effect = effect;
    }
}

/// Annotates the event of a request that was not forwarded, or ends while its outcome is not known.
pub(super) fn annotate_effect(audit: &mut AuditContext, intent: Option<&Intent>) {
    match intent.map(|intent| intent.effect) {
        Some(Effect::NotForwarded) => audit.annotate(OUTCOME, OUTCOME_NOT_FORWARDED),
        Some(Effect::Unknown) => audit.annotate(OUTCOME, OUTCOME_UNKNOWN),
        Some(Effect::Known) | None => {}
    }
}

/// Whether the response may last as long as the client wants.
pub(super) fn is_long_running(info: &RequestInfo) -> bool {
    info.is_resource_request
        && (matches!(info.verb.as_str(), "watch" | "proxy")
            || LONG_RUNNING.contains(&info.subresource.as_str()))
}

/// The status in the event of a request whose outcome was never recorded.
fn unknown_outcome() -> Status {
    Status {
        status: "Failure".to_owned(),
        message:
            "the response was not recorded: the request may have been forwarded, and may have \
                  had an effect"
                .to_owned(),
        reason: "InternalError".to_owned(),
        code: 500,
        ..Status::default()
    }
}

/// The error for a request without a response.
fn failed(upstream: &str, error: &UpstreamError) -> ApiError {
    match error {
        UpstreamError::NotSent(reason) => {
            warn!(upstream, reason, "the upstream cannot be reached");
            ApiError::unavailable(format!("the API server {upstream} cannot be reached"), 1)
        }
        UpstreamError::Identity(reason) => ApiError::bad_request(reason.clone()),
        UpstreamError::NoResponse(reason) => {
            warn!(upstream, reason, "the upstream did not respond");
            // No time for a retry: the request may have had an effect.
            let message = format!("the API server {upstream} did not respond");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
        }
    }
}

/// The error for a response that is not passed on.
fn blocked(code: StatusCode) -> ApiError {
    let message = format!("the API server responded with {code}, which the proxy does not pass on");
    ApiError::new(StatusCode::BAD_GATEWAY, "InternalError", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_running_requests_are_those_of_kube_apiserver() {
        for (verb, subresource, expected) in [
            ("watch", "", true),
            ("get", "log", true),
            ("create", "exec", true),
            ("list", "", false),
            ("get", "status", false),
        ] {
            let info = RequestInfo {
                is_resource_request: true,
                verb: verb.to_owned(),
                subresource: subresource.to_owned(),
                ..RequestInfo::default()
            };
            assert_eq!(is_long_running(&info), expected, "{verb} {subresource}");
        }
        let path = RequestInfo { verb: "watch".to_owned(), ..RequestInfo::default() };
        assert!(!is_long_running(&path));
    }
}
