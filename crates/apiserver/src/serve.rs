//! The way of a request, from the first look to the last byte, in one function: [`serve`].
//!
//! The order is that of `k8s.io/apiserver`: who asks, is it to be recorded, for whom, is there
//! room, may they, what is there. Nothing leaves before it is on record: every way out of [`serve`]
//! goes through the ledger, also refusals, failures and panics, and a client that has gone away does
//! not stop the work ([`Steadfast`]). What is not audited touches no disk.

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
use crate::arrival::Refused;
use crate::authn::peer::Peer;
use crate::authn::{ANONYMOUS, Unauthenticated};
use crate::body::{self, ResponseBody};
use crate::front::Front;
use crate::limits::{self, Seat};
use crate::metrics::Ended;
use crate::negotiate::Rendering;
use crate::request_info::{query_pairs, query_value};
use crate::watch_body::WatchBody;
use crate::websocket::{self, Upgrade};
use crate::{
    Answer, ApiError, Attributes, Decision, Reply, Request, RequestInfo, Trail, WatchReply,
    arrival, duration, encoding, impersonation, refusal, routes,
};

mod bounded;
mod steadfast;

use bounded::within;
pub(crate) use steadfast::Steadfast;

const AUDIT_ID: &str = "audit-id";
const DECISION: &str = "authorization.k8s.io/decision";
const REASON: &str = "authorization.k8s.io/reason";

/// Answers one request. Read this to know what happens to it, and in which order.
pub(crate) async fn serve(
    front: Arc<Front>,
    peer: Arc<Peer>,
    incoming: http::Request<Incoming>,
) -> Response<ResponseBody> {
    let (head, body) = incoming.into_parts();
    let mut visit = Visit::of(&front, head);
    front.metrics.request_began(&visit.request.info);

    let recognised =
        front.authenticator.authenticate(&peer, &mut visit.request.headers, &*front.clock).await;
    let user = recognised.as_ref().ok().map(|user| user.username.as_str());
    let took = front.micros_since(visit.request.received);
    front.metrics.authenticated(user, took);
    let is_front_proxy = front.authenticator.is_front_proxy(&peer, &*front.clock);
    visit.audit_id = arrival::audit_id(&visit.request.headers, is_front_proxy);
    let mut trail = match recognised {
        Ok(user) => {
            visit.request.user = Arc::new(user);
            arrival::trail(&front, &visit, &peer, Ok(&visit.request.user))
        }
        Err(unauthenticated) => return turn_away(&front, visit, &peer, &unauthenticated).await,
    };
    trail.took(Layer::Authentication, took);
    if !trail.is_silent()
        && visit.request.user.username == ANONYMOUS
        && let Err(full) = front.ledger.room_for_unrecognised()
    {
        return visit.depart(&front, front.unkept(full));
    }
    if let Err(unkept) = front.note(trail.received()).await {
        return visit.depart(&front, front.unkept(unkept));
    }

    let mut seat = None;
    let handover = trail.handover().clone();
    let attended = {
        let attended = pin!(attend(&front, &mut visit, body, &mut trail, &mut seat));
        let message = "request did not complete within the allotted timeout";
        let attended = within(front.limits.request_time_max, &handover, message, attended);
        AssertUnwindSafe(attended).catch_unwind().await
    };

    let (record, answer) = match attended {
        Ok(Ok(Reply::Recorded(answer))) => {
            if !trail.is_silent() {
                front.metrics.recorded();
            }
            (None, answer)
        }
        Ok(Ok(Reply::Unsure(error))) => (None, front.unkept(front.ledger.refuse(&error))),
        Ok(Ok(Reply::Watch(watch))) => return visit.begin(&front, watch, trail, seat).await,
        Ok(Ok(Reply::Plain(answer)) | Err(answer)) => {
            if let Err(unkept) = front.note(trail.started_with(&answer)).await {
                return visit.depart(&front, front.unkept(unkept));
            }
            (trail.complete(&answer), answer)
        }
        Err(panic) => {
            let message = message_of(panic.as_ref());
            error!(path = visit.request.info.path, message, "a request has panicked");
            let answer = Answer::from(ApiError::internal("the server failed in the middle"));
            (trail.panicked("the server failed in the middle"), answer)
        }
    };
    let answer = front.keep(record, answer).await;
    visit.leave(&front, answer, seat)
}

/// Answers a request in which no user was recognised.
async fn turn_away(
    front: &Arc<Front>,
    visit: Visit,
    peer: &Peer,
    unauthenticated: &Unauthenticated,
) -> Response<ResponseBody> {
    debug!(reasons = ?unauthenticated.reasons, "no user was recognised");
    let refused = Refused { showed_credentials: !unauthenticated.reasons.is_empty() };
    let trail = arrival::trail(front, &visit, peer, Err(refused));
    let full = if trail.is_silent() { Ok(()) } else { front.ledger.room_for_unrecognised() };
    let answer = match full {
        Ok(()) => {
            let answer = Answer::from(refusal::unauthorized());
            front.keep(trail.turned_away(&answer), answer).await
        }
        Err(full) => front.unkept(full),
    };
    // With the answer, as kube-apiserver does, not before it: some clients (hyper's) take the
    // goodbye for the answer when it is there first.
    peer.dismiss();
    visit.depart(front, answer)
}

/// The part of the way that is bounded in time and that may panic. The seat is given back when the
/// answer has left.
async fn attend(
    front: &Front,
    visit: &mut Visit,
    body: Incoming,
    trail: &mut Trail,
    seat: &mut Option<Seat>,
) -> Result<Reply, Answer> {
    let Visit { request, uri, upgrade: upgrade_of, .. } = visit;
    if uri.path_and_query().is_some_and(|it| it.as_str().len() > limits::URI_BYTES_MAX) {
        return Err(refusal::uri_too_long(limits::URI_BYTES_MAX).into());
    }
    if uri.query().is_some_and(|query| query.contains(';')) {
        return Err(refusal::semicolon().into());
    }
    if request.method == Method::CONNECT {
        return Err(refusal::no_upgrade().into());
    }
    let mut upgrade = None;
    if request.headers.contains_key(header::UPGRADE) {
        upgrade = upgrade_of.as_mut().filter(|_| is_watch(request));
        if upgrade.is_none() || !websocket::is_asked(&request.headers) {
            return Err(refusal::no_upgrade().into());
        }
    }
    let authorizer = front.authorizer.as_ref();
    let began = front.clock.now();
    let asked = impersonation::resolve(&request.user, &mut request.headers, authorizer).await?;
    if let Some(user) = asked {
        trail.took_since(Layer::Impersonation, began);
        trail.impersonated(&user);
        request.user = Arc::new(user);
    }
    *seat = front.in_flight.seat(request)?;
    let mut held = front.in_flight.body_bytes(request)?;
    let limit = duration::of_query(&request.query)?.filter(|_| !is_watch(request));
    let handover = trail.handover().clone();
    let attended = pin!(async {
        authorize(front, request, trail).await?;
        if request.info.path.starts_with("//") {
            // It is understood as the same path with one slash, and nothing is served there.
            return Ok(Reply::Plain(routes::not_found()));
        }
        if let Some(upgrade) = upgrade {
            upgrade.shake_hands(&request.headers)?;
        }
        if has_body(&request.method) {
            // A client that sends slowly must not hold a seat that others wait for.
            *seat = None;
            request.body = body::read(body, &mut held).await?;
            *seat = front.in_flight.seat(request)?;
        }
        if !request.info.is_resource_request {
            return Ok(Reply::Plain(routes::answer(front, request)));
        }
        front.registry.handle(request, trail).await.map_err(Answer::from)
    });
    match limit {
        Some(limit) if limit < front.limits.request_time_max => {
            let message = "request did not complete within requested timeout";
            within(limit, &handover, message, attended).await
        }
        _ => attended.await,
    }
}

/// Asks whether the user may, and writes the answer into the event.
async fn authorize(front: &Front, request: &Request, trail: &mut Trail) -> Result<(), Answer> {
    let attributes = attributes_of(request);
    let asked = front.clock.now();
    let decided = front.authorizer.authorize(&attributes).await;
    let took = front.micros_since(asked);
    front.metrics.authorized(decided.as_ref().ok(), took);
    trail.took(Layer::Authorization, took);
    match decided {
        Ok(Decision::Allow(reason)) => {
            trail.annotate(DECISION, "allow");
            trail.annotate(REASON, &reason);
            Ok(())
        }
        Ok(Decision::Deny(reason) | Decision::NoOpinion(reason)) => {
            trail.annotate(DECISION, "forbid");
            trail.annotate(REASON, &reason);
            Err(refusal::forbidden(&attributes, &reason))
        }
        Err(error) => {
            error!(%error, "nobody can tell whether a user may");
            trail.annotate(REASON, "internal error");
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

fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// One request on its way.
pub(crate) struct Visit {
    pub(crate) request: Request,
    pub(crate) uri: Uri,
    pub(crate) audit_id: HeaderValue,
    /// Present if the connection can leave HTTP.
    upgrade: Option<Upgrade>,
}

impl Visit {
    fn of(front: &Front, mut head: request::Parts) -> Self {
        let upgrade = Upgrade::of(&mut head.extensions);
        let received = front.clock.now();
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
        // Who may choose it is known when the peer is.
        Self { request, uri: head.uri, audit_id: HeaderValue::from_static(""), upgrade }
    }

    /// Lets a watch begin, once its beginning is on record.
    async fn begin(
        mut self,
        front: &Arc<Front>,
        watch: WatchReply,
        mut trail: Trail,
        seat: Option<Seat>,
    ) -> Response<ResponseBody> {
        let upgrade = self.upgrade.take().filter(Upgrade::is_due);
        let code = if upgrade.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        if let Err(unkept) = front.note(trail.started(code.as_u16())).await {
            return self.depart(front, front.unkept(unkept));
        }
        let end = (trail, code, seat);
        let body = WatchBody::new(watch.frames, end, Arc::clone(front), &self.request.info);
        let (headers, body) = match upgrade {
            Some(upgrade) => (upgrade.begin(body), ResponseBody::whole(bytes::Bytes::new(), None)),
            None => (HeaderMap::new(), ResponseBody::watch(body)),
        };
        self.respond(front, code, headers, watch.content_type, body)
    }

    /// Sends off the answer of a request that has no seat.
    fn depart(self, front: &Front, answer: Answer) -> Response<ResponseBody> {
        self.leave(front, answer, None)
    }

    /// Sends the answer off.
    fn leave(self, front: &Front, answer: Answer, seat: Option<Seat>) -> Response<ResponseBody> {
        let is_refusal = answer.status.is_some() && !answer.code.is_success();
        let answer = if is_refusal && answer.content_type == JSON {
            encoding::finish(Rendering::of_refusal(&self.request), answer)
        } else {
            answer
        };
        let Answer { mut code, mut headers, content_type, mut body, .. } = answer;
        if code.is_redirection() && code != StatusCode::NOT_MODIFIED {
            // A redirect could send kube-apiserver's client, with its certificate, anywhere.
            error!(%code, path = self.request.info.path, "a redirect was about to be sent");
            code = StatusCode::INTERNAL_SERVER_ERROR;
            headers.remove(header::LOCATION);
        }
        if self.request.method == Method::HEAD {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            body.clear();
        }
        self.respond(front, code, headers, content_type, ResponseBody::whole(body, seat))
    }

    fn respond(
        self,
        front: &Front,
        code: StatusCode,
        headers: HeaderMap,
        content_type: &'static str,
        body: ResponseBody,
    ) -> Response<ResponseBody> {
        front.metrics.request_ended(&Ended {
            info: &self.request.info,
            is_dry_run: query_value(&self.request.query, "dryRun") == Some("All"),
            code,
            micros: front.micros_since(self.request.received),
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

impl Front {
    /// The answer once its record is kept, or the refusal of an answer that cannot be.
    async fn keep(&self, record: Option<bytes::Bytes>, answer: Answer) -> Answer {
        match self.note(record).await {
            Ok(()) => answer,
            Err(unkept) => self.unkept(unkept),
        }
    }

    /// Returns when the record is kept, and counts it.
    pub(crate) async fn note(&self, record: Option<bytes::Bytes>) -> Result<(), ApiError> {
        if record.is_none() {
            return Ok(());
        }
        let kept = self.ledger.keep(record).await;
        match &kept {
            Ok(()) => self.metrics.recorded(),
            Err(_) => self.metrics.not_recorded(),
        }
        kept
    }

    fn micros_since(&self, then: Timestamp) -> i64 {
        self.clock.now().as_micros() - then.as_micros()
    }

    fn unkept(&self, error: ApiError) -> Answer {
        self.metrics.rejected();
        Answer::from(error)
    }
}
