//! The handler of every request in one function: [`serve`].
//!
//! Its order is that of `DefaultBuildHandlerChain` in `k8s.io/apiserver`: authentication, audit,
//! impersonation, limits on requests in flight, authorization, the request itself. No response is
//! sent before its event is durable: every return of [`serve`] goes through the [`JournalBackend`],
//! including rejections, failures and panics. A client that disconnects does not stop the work
//! ([`DetachOnDrop`]). A request that is not audited does not touch the disk.
//!
//! [`JournalBackend`]: crate::audit::backend::JournalBackend

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use audit::Layer;
use event::Timestamp;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header, request};
use hyper::body::{Body as _, Incoming};
use tracing::{debug, error};

use crate::answer::JSON;
use crate::audit::request::{Refused, audit_id, evaluate_policy};
use crate::authn::peer::Peer;
use crate::authn::{ANONYMOUS, Unauthenticated};
use crate::body::{self, ResponseBody};
use crate::limits::{self, Seat};
use crate::metrics::Ended;
use crate::negotiate::Rendering;
use crate::request_info::{query_pairs, query_value};
use crate::state::ServerState;
use crate::watch_body::WatchBody;
use crate::websocket::{self, Upgrade};
use crate::{
    Answer, ApiError, Attributes, AuditContext, Decision, Outcome, Request, RequestInfo,
    WatchReply, duration, encoding, impersonation, routes, status_errors,
};

mod detach_on_drop;
mod timeout;

pub(crate) use detach_on_drop::DetachOnDrop;
use timeout::with_timeout;

const AUDIT_ID: &str = "audit-id";
const DECISION: &str = "authorization.k8s.io/decision";
const REASON: &str = "authorization.k8s.io/reason";

/// Handles one request. The steps appear in the order in which they run.
pub(crate) async fn serve(
    state: Arc<ServerState>,
    peer: Arc<Peer>,
    incoming: http::Request<Incoming>,
) -> Response<ResponseBody> {
    let (head, body) = incoming.into_parts();
    let mut context = RequestContext::of(&state, head);
    state.metrics.request_began(&context.request.info);

    let authenticated =
        state.authenticator.authenticate(&peer, &mut context.request.headers, &*state.clock).await;
    let user = authenticated.as_ref().ok().map(|user| user.username.as_str());
    let took = state.micros_since(context.request.received);
    state.metrics.authenticated(user, took);
    let is_front_proxy = state.authenticator.is_front_proxy(&peer, &*state.clock);
    context.audit_id = audit_id(&context.request.headers, is_front_proxy);
    match authenticated {
        Ok(user) => context.request.user = Arc::new(user),
        Err(error) => return respond_unauthorized(&state, context, &peer, &error).await,
    }
    let mut audit = evaluate_policy(&state, &context, &peer, Ok(&context.request.user));
    audit.track_latency(Layer::Authentication, took);
    if !audit.is_disabled()
        && context.request.user.username == ANONYMOUS
        && let Err(full) = state.backend.check_unauthenticated_reserve()
    {
        return context.into_response(&state, state.audit_unavailable(full));
    }
    if let Err(error) = state.log_event(audit.received()).await {
        return context.into_response(&state, state.audit_unavailable(error));
    }

    let mut seat = None;
    let claim = audit.claim().clone();
    let handled = {
        let handled = pin!(handle_authenticated(&state, &mut context, body, &mut audit, &mut seat));
        let message = "request did not complete within the allotted timeout";
        let handled = with_timeout(state.limits.request_time_max, &claim, message, handled);
        AssertUnwindSafe(handled).catch_unwind().await
    };

    let (record, answer) = match handled {
        Ok(Ok(Outcome::Committed(answer))) => {
            if !audit.is_disabled() {
                state.metrics.recorded();
            }
            (None, answer)
        }
        Ok(Ok(Outcome::InDoubt(error))) => {
            (None, state.audit_unavailable(state.backend.reject(&error)))
        }
        Ok(Ok(Outcome::Watch(watch))) => return context.begin(&state, watch, audit, seat).await,
        Ok(Ok(Outcome::Unlogged(answer)) | Err(answer)) => {
            if let Err(error) = state.log_event(audit.response_started_with(&answer)).await {
                return context.into_response(&state, state.audit_unavailable(error));
            }
            (audit.complete(&answer), answer)
        }
        Err(panic) => {
            let message = panic_message(panic.as_ref());
            error!(path = context.request.info.path, message, "a request has panicked");
            let answer = Answer::from(ApiError::internal("the server failed in the middle"));
            (audit.panicked("the server failed in the middle"), answer)
        }
    };
    let answer = state.respond_after_logging(record, answer).await;
    context.into_response_with_seat(&state, answer, seat)
}

/// Responds with 401 to a request that failed authentication.
async fn respond_unauthorized(
    state: &Arc<ServerState>,
    context: RequestContext,
    peer: &Peer,
    unauthenticated: &Unauthenticated,
) -> Response<ResponseBody> {
    debug!(reasons = ?unauthenticated.reasons, "authentication failed");
    let refused = Refused { showed_credentials: !unauthenticated.reasons.is_empty() };
    let audit = evaluate_policy(state, &context, peer, Err(refused));
    let full =
        if audit.is_disabled() { Ok(()) } else { state.backend.check_unauthenticated_reserve() };
    let answer = match full {
        Ok(()) => {
            let answer = Answer::from(status_errors::unauthorized());
            state.respond_after_logging(audit.unauthorized(&answer), answer).await
        }
        Err(full) => state.audit_unavailable(full),
    };
    // As kube-apiserver does, GOAWAY goes out together with the response, not before it: some
    // clients (hyper's) treat an earlier GOAWAY as the response.
    peer.close_after_response();
    context.into_response(state, answer)
}

/// Handles an authenticated request, within the time limit of requests. May panic. The caller
/// releases the seat when the response has been sent.
async fn handle_authenticated(
    state: &ServerState,
    context: &mut RequestContext,
    body: Incoming,
    audit: &mut AuditContext,
    seat: &mut Option<Seat>,
) -> Result<Outcome, Answer> {
    let RequestContext { request, uri, upgrade: upgrade_of, .. } = context;
    if uri.path_and_query().is_some_and(|it| it.as_str().len() > limits::URI_BYTES_MAX) {
        return Err(status_errors::uri_too_long(limits::URI_BYTES_MAX).into());
    }
    if uri.query().is_some_and(|query| query.contains(';')) {
        return Err(status_errors::semicolon().into());
    }
    if request.method == Method::CONNECT {
        return Err(status_errors::no_upgrade().into());
    }
    let mut upgrade = None;
    if request.headers.contains_key(header::UPGRADE) {
        upgrade = upgrade_of.as_mut().filter(|_| is_watch(request));
        if upgrade.is_none() || !websocket::is_asked(&request.headers) {
            return Err(status_errors::no_upgrade().into());
        }
    }
    let authorizer = state.authorizer.as_ref();
    let began = state.clock.now();
    let asked = impersonation::resolve(&request.user, &mut request.headers, authorizer).await?;
    if let Some(user) = asked {
        audit.track_since(Layer::Impersonation, began);
        audit.impersonated(&user);
        request.user = Arc::new(user);
    }
    *seat = state.in_flight.seat(request)?;
    let mut held = state.in_flight.body_bytes(request)?;
    let limit = duration::of_query(&request.query)?.filter(|_| !is_watch(request));
    let claim = audit.claim().clone();
    let handled = pin!(async {
        authorize(state, request, audit).await?;
        if request.info.path.starts_with("//") {
            // `RequestInfo` parses it like the path with one slash, but no resource is served at
            // such a path.
            return Ok(Outcome::Unlogged(routes::not_found()));
        }
        if let Some(upgrade) = upgrade {
            upgrade.shake_hands(&request.headers)?;
        }
        if has_body(&request.method) {
            // A client that sends slowly must not hold a seat that other requests wait for.
            *seat = None;
            request.body = body::read(body, &mut held).await?;
            *seat = state.in_flight.seat(request)?;
        }
        if !request.info.is_resource_request {
            return Ok(Outcome::Unlogged(routes::answer(state, request)));
        }
        state.registry.handle(request, audit).await.map_err(Answer::from)
    });
    match limit {
        Some(limit) if limit < state.limits.request_time_max => {
            let message = "request did not complete within requested timeout";
            with_timeout(limit, &claim, message, handled).await
        }
        _ => handled.await,
    }
}

/// Authorizes the request and annotates the audit event with the decision.
async fn authorize(
    state: &ServerState,
    request: &Request,
    audit: &mut AuditContext,
) -> Result<(), Answer> {
    let attributes = attributes_of(request);
    let asked = state.clock.now();
    let decided = state.authorizer.authorize(&attributes).await;
    let took = state.micros_since(asked);
    state.metrics.authorized(decided.as_ref().ok(), took);
    audit.track_latency(Layer::Authorization, took);
    match decided {
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
            Err(Answer::from(ApiError::internal("authorization is not available")))
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

/// State of a request while it is handled.
pub(crate) struct RequestContext {
    pub(crate) request: Request,
    pub(crate) uri: Uri,
    pub(crate) audit_id: HeaderValue,
    /// Present if the connection can switch protocols.
    upgrade: Option<Upgrade>,
}

impl RequestContext {
    fn of(state: &ServerState, mut head: request::Parts) -> Self {
        let upgrade = Upgrade::of(&mut head.extensions);
        let received = state.clock.now();
        let query = query_pairs(head.uri.query());
        let info = RequestInfo::of(&head.method, head.uri.path(), &query);
        let request = Request {
            method: head.method,
            info,
            query,
            headers: head.headers,
            user: Arc::default(),
            body: bytes::Bytes::new(),
            received,
        };
        // `serve` sets the audit ID after authentication: only the front proxy may choose it.
        Self { request, uri: head.uri, audit_id: HeaderValue::from_static(""), upgrade }
    }

    /// Starts a watch after its `ResponseStarted` event is durable.
    async fn begin(
        mut self,
        state: &Arc<ServerState>,
        watch: WatchReply,
        mut audit: AuditContext,
        seat: Option<Seat>,
    ) -> Response<ResponseBody> {
        let upgrade = self.upgrade.take().filter(Upgrade::is_due);
        let code = if upgrade.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        if let Err(error) = state.log_event(audit.response_started(code.as_u16())).await {
            return self.into_response(state, state.audit_unavailable(error));
        }
        let end = (audit, code, seat);
        let body = WatchBody::new(watch.frames, end, Arc::clone(state), &self.request.info);
        let (headers, body) = match upgrade {
            Some(upgrade) => (upgrade.begin(body), ResponseBody::whole(bytes::Bytes::new(), None)),
            None => (HeaderMap::new(), ResponseBody::watch(body)),
        };
        self.respond(state, code, headers, watch.content_type, body)
    }

    /// Builds the response of a request that holds no seat.
    fn into_response(self, state: &ServerState, answer: Answer) -> Response<ResponseBody> {
        self.into_response_with_seat(state, answer, None)
    }

    /// Builds the response, which holds the seat until it has been sent.
    fn into_response_with_seat(
        self,
        state: &ServerState,
        answer: Answer,
        seat: Option<Seat>,
    ) -> Response<ResponseBody> {
        let is_refusal = answer.status.is_some() && !answer.code.is_success();
        let answer = if is_refusal && answer.content_type == JSON {
            encoding::finish(Rendering::of_refusal(&self.request), answer)
        } else {
            answer
        };
        let Answer { mut code, mut headers, content_type, mut body, .. } = answer;
        if code.is_redirection() && code != StatusCode::NOT_MODIFIED {
            // A redirect could send kube-apiserver's client, with its certificate, to any address.
            error!(%code, path = self.request.info.path, "a redirect was about to be sent");
            code = StatusCode::INTERNAL_SERVER_ERROR;
            headers.remove(header::LOCATION);
        }
        if self.request.method == Method::HEAD {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            body.clear();
        }
        self.respond(state, code, headers, content_type, ResponseBody::whole(body, seat))
    }

    fn respond(
        self,
        state: &ServerState,
        code: StatusCode,
        headers: HeaderMap,
        content_type: &'static str,
        body: ResponseBody,
    ) -> Response<ResponseBody> {
        state.metrics.request_ended(&Ended {
            info: &self.request.info,
            is_dry_run: query_value(&self.request.query, "dryRun") == Some("All"),
            code,
            micros: state.micros_since(self.request.received),
            bytes: body.size_hint().exact().and_then(|len| usize::try_from(len).ok()),
        });
        let mut response = Response::new(body);
        *response.status_mut() = code;
        let sent = response.headers_mut();
        *sent = headers;
        if code != StatusCode::NOT_MODIFIED {
            sent.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        sent.insert(AUDIT_ID, self.audit_id);
        sent.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        response
    }
}

impl ServerState {
    /// Logs `record`, then returns `answer`; returns an error response if the event cannot be
    /// logged.
    async fn respond_after_logging(&self, record: Option<bytes::Bytes>, answer: Answer) -> Answer {
        match self.log_event(record).await {
            Ok(()) => answer,
            Err(error) => self.audit_unavailable(error),
        }
    }

    /// Logs the record durably and counts the result. Returns at once if there is no record.
    pub(crate) async fn log_event(&self, record: Option<bytes::Bytes>) -> Result<(), ApiError> {
        if record.is_none() {
            return Ok(());
        }
        let kept = self.backend.log(record).await;
        match &kept {
            Ok(()) => self.metrics.recorded(),
            Err(_) => self.metrics.not_recorded(),
        }
        kept
    }

    fn micros_since(&self, then: Timestamp) -> i64 {
        self.clock.now().as_micros() - then.as_micros()
    }

    fn audit_unavailable(&self, error: ApiError) -> Answer {
        self.metrics.rejected();
        Answer::from(error)
    }
}
