//! The handler of every request in one function: [`serve`].
//!
//! Its order is that of `DefaultBuildHandlerChain` in `k8s.io/apiserver`: authentication, audit,
//! impersonation, limits on requests in flight, authorization, the request itself. No response is
//! sent before its event is durable: a write commits it with its change, and every other return of
//! [`serve`] goes through the [`JournalBackend`], including rejections, failures and panics. A
//! client that disconnects does not stop the work ([`DetachOnDrop`]). A request that is not audited
//! does not touch the disk. On a listener that forwards, the upstream authorizes and handles the
//! request ([`forward`]).
//!
//! [`JournalBackend`]: crate::audit::backend::JournalBackend

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use apimachinery::ApiError;
use apimachinery::request_info::{self, query_value};
use audit::Layer;
use bytes::Bytes;
use futures::FutureExt;
use http::{Method, Response};
use hyper::body::Incoming;
use tracing::{debug, error};

use crate::audit::intents::Intent;
use crate::audit::request::{FailedAuthentication, audit_id, evaluate_policy};
use crate::authn::peer::Peer;
use crate::authn::{ANONYMOUS, Unauthenticated};
use crate::connection::websocket;
use crate::handler::body::ResponseBody;
use crate::handler::max_in_flight::Seat;
use crate::limits;
use crate::state::ServerState;
use crate::upstream::upgrade_protocol;
use crate::{ApiResponse, Attributes, AuditContext, Decision, Outcome, Request, routes};

pub(crate) mod api_response;
pub(crate) mod body;
pub(crate) mod budget;
mod detach_on_drop;
pub(crate) mod encoding;
pub(crate) mod forward;
mod impersonation;
pub(crate) mod max_in_flight;
pub(crate) mod negotiate;
pub(crate) mod recorded_end;
mod request_context;
pub(crate) mod status_errors;
mod timeout;
pub(crate) mod watch_body;

pub(crate) use detach_on_drop::DetachOnDrop;
pub(crate) use forward::Target;
pub(crate) use request_context::RequestContext;
use timeout::{TimeLimit, with_timeout};

const DECISION: &str = "authorization.k8s.io/decision";
const TOO_LONG: &str = "request did not complete within the allotted timeout";
const REASON: &str = "authorization.k8s.io/reason";

/// The resources that are reserved for a request while it is handled.
#[derive(Default)]
struct Reserved {
    /// The seat in the limit on requests in flight.
    seat: Option<Seat>,
    /// Its share of the limit on long-running requests, if it asks for another protocol: the tunnel
    /// holds it, and not the seat of the request.
    tunnel: Option<Seat>,
    /// The stored intent to forward it.
    intent: Option<Intent>,
}

/// Handles one request. The steps appear in the order in which they run. Requests are forwarded to
/// `target`, if there is one.
pub(crate) async fn serve(
    state: Arc<ServerState>,
    target: Option<Target>,
    peer: Arc<Peer>,
    incoming: http::Request<Incoming>,
) -> Response<ResponseBody> {
    let (head, body) = incoming.into_parts();
    let mut context = RequestContext::new(&state, peer.address, head);
    state.metrics.request_started(&context.request.info);

    let authenticated =
        state.authenticator.authenticate(&peer, &mut context.request.headers, &*state.clock).await;
    let user = authenticated.as_ref().ok().map(|user| user.username.as_str());
    let latency = state.micros_since(context.request.received);
    state.metrics.authenticated(user, latency);
    let is_front_proxy = state.authenticator.is_front_proxy(&peer, &*state.clock);
    context.audit_id = audit_id(&context.request.headers, is_front_proxy);
    match authenticated {
        Ok(user) => context.request.user = Arc::new(user),
        Err(error) => return respond_unauthorized(&state, context, &peer, &error).await,
    }
    let mut audit = evaluate_policy(&state, &context, &peer, Ok(&context.request.user));
    audit.track_latency(Layer::Authentication, latency);
    if let Err(error) = record_received(&state, &context, &audit).await {
        return context.into_response(&state, state.audit_unavailable(error));
    }

    let mut reserved = Reserved::default();
    let claim = audit.claim().clone();
    let limit = TimeLimit::new(state.limits.request_time_max, TOO_LONG);
    let handled = {
        let target = (&*state, target.as_ref(), &limit);
        let handled = handle_authenticated(target, &mut context, body, &mut audit, &mut reserved);
        let handled = pin!(handled);
        let handled = with_timeout(&limit, &claim, handled);
        AssertUnwindSafe(handled).catch_unwind().await
    };

    let Reserved { seat, tunnel, intent } = reserved;
    forward::annotate_effect(&mut audit, intent.as_ref());
    let (record, response) = match handled {
        Ok(Ok(Outcome::Committed(response))) => {
            if !audit.is_disabled() {
                state.metrics.event_logged();
            }
            (None, response)
        }
        Ok(Ok(Outcome::InDoubt(error))) => {
            (None, state.audit_unavailable(state.backend.reject(&error)))
        }
        Ok(Ok(Outcome::Watch(watch))) => {
            return context.start_watch(&state, watch, audit, seat).await;
        }
        Ok(Ok(Outcome::Forwarded(response))) => {
            let seats = forward::Seats { request: seat, tunnel };
            return forward::respond(&state, context, *response, audit, (seats, intent)).await;
        }
        Ok(Ok(Outcome::Unlogged(response)) | Err(response)) => {
            match record_started(&state, &mut audit, response).await {
                Ok(response) => (audit.complete(&response), response),
                // An intent is resolved in any case.
                Err(response) if intent.is_some() => (audit.complete(&response), response),
                Err(response) => return context.into_response(&state, response),
            }
        }
        Err(panic) => record_panic(&context, panic.as_ref(), audit),
    };
    let response = state.respond_after_outcome(record, intent, response).await;
    context.into_response_with_seat(&state, response, seat)
}

/// Records the stage `RequestReceived`. Fails if the request cannot be recorded.
async fn record_received(
    state: &ServerState,
    context: &RequestContext,
    audit: &AuditContext,
) -> Result<(), ApiError> {
    if !audit.is_disabled() && context.request.user.username == ANONYMOUS {
        state.backend.check_unauthenticated_reserve()?;
    }
    state.log_event(audit.received()).await
}

/// Records the stage `ResponseStarted` of a rejected watch. The error is the response if it cannot be
/// recorded.
async fn record_started(
    state: &ServerState,
    audit: &mut AuditContext,
    response: ApiResponse,
) -> Result<ApiResponse, ApiResponse> {
    match state.log_event(audit.response_started_with(&response)).await {
        Ok(()) => Ok(response),
        Err(error) => Err(state.audit_unavailable(error)),
    }
}

/// The record of a request that panicked, and its response.
fn record_panic(
    context: &RequestContext,
    panic: &(dyn Any + Send),
    audit: AuditContext,
) -> (Option<Bytes>, ApiResponse) {
    let message = panic_message(panic);
    error!(path = context.request.info.path, message, "a request panicked");
    let response = ApiResponse::from(status_errors::panicked());
    (audit.panicked(status_errors::PANICKED), response)
}

/// Responds with 401 to a request that failed authentication.
async fn respond_unauthorized(
    state: &Arc<ServerState>,
    context: RequestContext,
    peer: &Peer,
    unauthenticated: &Unauthenticated,
) -> Response<ResponseBody> {
    debug!(reasons = ?unauthenticated.reasons, "authentication failed");
    let failed = FailedAuthentication { with_credentials: !unauthenticated.reasons.is_empty() };
    let audit = evaluate_policy(state, &context, peer, Err(failed));
    let full =
        if audit.is_disabled() { Ok(()) } else { state.backend.check_unauthenticated_reserve() };
    let response = match full {
        Ok(()) => {
            let response = ApiResponse::from(status_errors::unauthorized());
            state.respond_after_logging(audit.unauthorized(&response), response).await
        }
        Err(full) => state.audit_unavailable(full),
    };
    // As kube-apiserver does, GOAWAY goes out together with the response, not before it: some
    // clients (hyper's) treat an earlier GOAWAY as the response.
    peer.close_after_response();
    context.into_response(state, response)
}

/// Handles an authenticated request, within the time limit of requests or until it lifts the limit.
/// May panic. The caller releases the reserved resources when the response has been sent.
async fn handle_authenticated(
    (state, upstream, time_limit): (&ServerState, Option<&Target>, &TimeLimit),
    context: &mut RequestContext,
    body: Incoming,
    audit: &mut AuditContext,
    reserved: &mut Reserved,
) -> Result<Outcome, ApiResponse> {
    let Reserved { seat, tunnel, intent } = reserved;
    check_head(context)?;
    let RequestContext { request, uri, upgrade: offered_upgrade, client, audit_id } = context;
    // As upstream, the header `Upgrade` of any other request is ignored.
    let protocol = upstream.and_then(|_| upgrade_protocol(&request.headers));
    let is_websocket = || is_watch(request) && websocket::is_requested(&request.headers);
    let is_upgrade = protocol.is_some() || (upstream.is_none() && is_websocket());
    let mut upgrade = offered_upgrade.as_mut().filter(|_| is_upgrade);
    if is_upgrade && upgrade.is_none() {
        return Err(status_errors::no_upgrade().into());
    }
    let authorizer = state.authorizer.as_ref();
    let start = state.clock.now();
    let impersonated =
        impersonation::resolve(&request.user, &mut request.headers, authorizer).await?;
    if let Some(user) = impersonated {
        audit.track_since(Layer::Impersonation, start);
        audit.impersonated(&user);
        request.user = Arc::new(user);
    }
    let is_long_running = upstream.is_some() && forward::is_long_running(&request.info);
    *seat = state.in_flight.seat(request, is_long_running)?;
    *tunnel = state.in_flight.tunnel(request, protocol.is_some() && !is_long_running)?;
    let mut body_bytes = state.in_flight.body_bytes(request)?;
    let limit = request_info::timeout(&request.query)?;
    // An upstream applies this limit itself.
    let limit = limit.filter(|_| !is_watch(request) && upstream.is_none());
    let claim = audit.claim().clone();
    let handled = pin!(async {
        if upstream.is_none() {
            authorize(state, request, audit).await?;
            // `RequestInfo` parses it like the path with one slash, where nothing is served.
            if request.info.path.starts_with("//") {
                return Ok(Outcome::Unlogged(routes::not_found()));
            }
            if let Some(upgrade) = &mut upgrade {
                upgrade.handshake(&request.headers)?;
            }
        }
        if has_body(&request.method) {
            // A client that sends slowly must not hold a seat that other requests wait for.
            *seat = None;
            request.body = body::read(body, &mut body_bytes).await?;
            *seat = state.in_flight.seat(request, is_long_running)?;
        }
        if let Some(upstream) = upstream {
            let exchange =
                forward::Exchange { request, uri, client, audit_id, protocol, audit, intent };
            return forward::send(state, (upstream, time_limit), exchange).await;
        }
        if !request.info.is_resource_request {
            return Ok(Outcome::Unlogged(routes::response(state, request)));
        }
        state.registry.handle(request, audit).await.map_err(ApiResponse::from)
    });
    match limit {
        Some(limit) if limit < state.limits.request_time_max => {
            let message = "request did not complete within requested timeout";
            with_timeout(&TimeLimit::new(limit, message), &claim, handled).await
        }
        _ => handled.await,
    }
}

/// Rejects a request whose URI or method is invalid for every server.
fn check_head(context: &RequestContext) -> Result<(), ApiError> {
    let RequestContext { request, uri, .. } = context;
    if uri.path_and_query().is_some_and(|uri| uri.as_str().len() > limits::URI_BYTES_MAX) {
        return Err(status_errors::uri_too_long(limits::URI_BYTES_MAX));
    }
    if uri.query().is_some_and(|query| query.contains(';')) {
        return Err(status_errors::semicolon());
    }
    if request.method == Method::CONNECT {
        return Err(status_errors::no_upgrade());
    }
    Ok(())
}

/// Authorizes the request and annotates the audit event with the decision.
async fn authorize(
    state: &ServerState,
    request: &Request,
    audit: &mut AuditContext,
) -> Result<(), ApiResponse> {
    let attributes = attributes_of(request);
    let start = state.clock.now();
    let decision = state.authorizer.authorize(&attributes).await;
    let latency = state.micros_since(start);
    state.metrics.authorized(decision.as_ref().ok(), latency);
    audit.track_latency(Layer::Authorization, latency);
    match decision {
        Ok(Decision::Allow(reason)) => {
            audit.annotate(DECISION, "allow");
            audit.annotate(REASON, &reason);
            Ok(())
        }
        Ok(Decision::Deny(reason) | Decision::NoOpinion(reason)) => {
            audit.annotate(DECISION, "forbid");
            audit.annotate(REASON, &reason);
            Err(status_errors::forbidden(&attributes, &reason))
        }
        Err(error) => {
            error!(%error, "authorization failed");
            audit.annotate(REASON, "internal error");
            Err(ApiResponse::from(ApiError::internal("authorization is not available")))
        }
    }
}

fn attributes_of(request: &Request) -> Attributes {
    let info = &request.info;
    let selector = |key| query_value(&request.query, key).unwrap_or_default().to_owned();
    let selects = matches!(info.verb.as_str(), "list" | "watch" | "deletecollection");
    Attributes {
        user: Arc::clone(&request.user),
        verb: info.verb.clone(),
        group: info.api_group.clone(),
        version: info.api_version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        path: info.path.clone(),
        label_selector: if selects { selector("labelSelector") } else { String::new() },
        field_selector: if selects { selector("fieldSelector") } else { String::new() },
    }
}

fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_watch(request: &Request) -> bool {
    request.info.is_resource_request && request.info.verb == "watch"
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
