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
use event::annotations::{OUTCOME, OUTCOME_UNKNOWN, UPSTREAM};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use tracing::warn;

use super::has_body;
use crate::audit::intents::Intent;
use crate::state::ServerState;
use crate::{Answer, AuditContext, ForwardedRequest, Outcome, Request, Upstream, UpstreamError};

pub use response::ForwardedAnswer;
pub(super) use response::respond;

/// The subresources whose responses may last as long as the client wants, as in kube-apiserver.
const LONG_RUNNING: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// A request that is forwarded, and what is recorded about it.
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Request,
    pub(super) uri: &'a Uri,
    /// Address of the client.
    pub(super) client: &'a IpAddr,
    pub(super) audit_id: &'a HeaderValue,
    /// Whether the client wants to switch protocols, and its connection can.
    pub(super) is_upgrade: bool,
    pub(super) audit: &'a mut AuditContext,
    /// Set while an intent is stored.
    pub(super) intent: &'a mut Option<Intent>,
}

/// Whether the client requests another protocol on its connection.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(','));
    headers.contains_key(UPGRADE) && words.any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
}

/// Forwards a request, and returns when its response is complete or can only be sent while it
/// arrives.
pub(super) async fn send(
    state: &ServerState,
    upstream: &dyn Upstream,
    exchange: Exchange<'_>,
) -> Result<Outcome, Answer> {
    let Exchange { request, uri, client, audit_id, is_upgrade, audit, intent } = exchange;
    audit.annotate(UPSTREAM, upstream.name());
    if let Some(fields) = upstream.recorded_fields(&request.info) {
        audit.omit_bodies(fields);
    }
    recorded::request(request, audit).await;
    if has_body(&request.method) || is_upgrade {
        let annotation = (OUTCOME, OUTCOME_UNKNOWN);
        if let Some(record) = audit.unfinished(unknown_outcome(), annotation) {
            match state.backend.declare(record).await {
                Ok(declared) => *intent = Some(declared),
                Err(error) => return Ok(Outcome::InDoubt(error)),
            }
        }
    }
    set_doubt(intent, true);
    let forwarded = ForwardedRequest {
        method: request.method.clone(),
        uri: uri.clone(),
        headers: request.headers.clone(),
        user: Arc::clone(&request.user),
        info: request.info.clone(),
        client: *client,
        audit_id: audit_id.clone(),
        is_upgrade,
        body: request.body.clone(),
    };
    let response = match upstream.send(forwarded).await {
        Ok(response) => response,
        Err(error) => {
            set_doubt(intent, matches!(error, UpstreamError::NoResponse(_)));
            return Err(failed(upstream.name(), &error).into());
        }
    };
    set_doubt(intent, false);
    let code = response.status();
    let is_redirect = code.is_redirection() && code != StatusCode::NOT_MODIFIED;
    if is_redirect || (code == StatusCode::SWITCHING_PROTOCOLS && !is_upgrade) {
        // A redirect could send kube-apiserver's client, with its certificate, to any address.
        warn!(%code, path = request.info.path, "a response of the upstream was blocked");
        return Err(blocked(code).into());
    }
    let answer = ForwardedAnswer::receive(state, request, response, audit.level()).await;
    Ok(Outcome::Forwarded(Box::new(answer)))
}

/// Says whether the request may have had an effect that is not known.
fn set_doubt(intent: &mut Option<Intent>, is_in_doubt: bool) {
    if let Some(intent) = intent {
        intent.is_in_doubt = is_in_doubt;
    }
}

/// Annotates the event of a request that ends while its outcome is not known.
pub(super) fn annotate_doubt(audit: &mut AuditContext, intent: Option<&Intent>) {
    if intent.is_some_and(|intent| intent.is_in_doubt) {
        audit.annotate(OUTCOME, OUTCOME_UNKNOWN);
    }
}

/// Whether the response may last as long as the client wants.
fn is_long_running(info: &RequestInfo) -> bool {
    info.is_resource_request
        && (matches!(info.verb.as_str(), "watch" | "proxy")
            || LONG_RUNNING.contains(&info.subresource.as_str()))
}

/// The status in the event of a request whose outcome was never recorded.
fn unknown_outcome() -> Status {
    Status {
        status: "Failure".to_owned(),
        message: "the proxy ended after it forwarded the request and before it recorded the \
                  response: the request may have had an effect"
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
