//! State of one request while the handler runs, and the response that ends it.

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::RequestInfo;
use apimachinery::request_info::{query_pairs, query_value};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header, request, response};
use hyper::body::Body as _;
use tracing::error;

use crate::connection::websocket::Upgrade;
use crate::handler::api_response::JSON;
use crate::handler::body::ResponseBody;
use crate::handler::encoding;
use crate::handler::max_in_flight::Seat;
use crate::handler::negotiate::Rendering;
use crate::handler::watch_body::{Completion, WatchBody, WatchFrames};
use crate::metrics::RequestOutcome;
use crate::state::ServerState;
use crate::upstream::{strip_hop_by_hop, upgrade_protocol};
use crate::{ApiResponse, AuditContext, Request, WatchReply};

const AUDIT_ID: &str = "audit-id";

/// State of a request while it is handled.
pub(crate) struct RequestContext {
    pub(crate) request: Request,
    pub(crate) uri: Uri,
    pub(crate) audit_id: HeaderValue,
    /// Address of the client.
    pub(super) client: IpAddr,
    /// Present if the connection can switch protocols.
    pub(super) upgrade: Option<Upgrade>,
}

impl RequestContext {
    pub(super) fn new(state: &ServerState, client: IpAddr, mut head: request::Parts) -> Self {
        let upgrade = Upgrade::take(&mut head.extensions);
        let received = state.clock.now();
        let query = query_pairs(head.uri.query());
        let info = RequestInfo::parse(&head.method, head.uri.path(), &query);
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
        let audit_id = HeaderValue::from_static("");
        Self { request, uri: head.uri, audit_id, client, upgrade }
    }

    /// Takes the possible upgrade of the connection.
    pub(super) fn take_upgrade(&mut self) -> Option<Upgrade> {
        self.upgrade.take()
    }

    /// Starts a watch after its `ResponseStarted` event is durable.
    pub(super) async fn start_watch(
        mut self,
        state: &Arc<ServerState>,
        watch: WatchReply,
        mut audit: AuditContext,
        seat: Option<Seat>,
    ) -> Response<ResponseBody> {
        let upgrade = self.upgrade.take().filter(Upgrade::is_accepted);
        let code = if upgrade.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        if let Err(error) = state.log_event(audit.response_started(code.as_u16())).await {
            return self.into_response(state, state.audit_unavailable(error));
        }
        let metrics = Some(state.metrics.watch_started(&self.request.info));
        let completion = Completion { audit, code, seat, intent: None, metrics };
        let frames = Box::new(WatchFrames(watch.frames));
        let body = WatchBody::new(frames, completion, Arc::clone(state));
        let (headers, body) = match upgrade {
            Some(upgrade) => {
                (upgrade.start(body), ResponseBody::complete(bytes::Bytes::new(), None))
            }
            None => (HeaderMap::new(), ResponseBody::watch(body)),
        };
        self.respond(state, code, headers, watch.content_type, body)
    }

    /// Builds the response of a request that holds no seat.
    pub(super) fn into_response(
        self,
        state: &ServerState,
        answer: ApiResponse,
    ) -> Response<ResponseBody> {
        self.into_response_with_seat(state, answer, None)
    }

    /// Builds the response, which holds the seat until it has been sent.
    pub(super) fn into_response_with_seat(
        self,
        state: &ServerState,
        answer: ApiResponse,
        seat: Option<Seat>,
    ) -> Response<ResponseBody> {
        let is_error = answer.status.is_some() && !answer.code.is_success();
        let answer = if is_error && answer.content_type == JSON {
            encoding::finish(Rendering::for_error(&self.request), answer)
        } else {
            answer
        };
        let ApiResponse { mut code, mut headers, content_type, mut body, .. } = answer;
        if code.is_redirection() && code != StatusCode::NOT_MODIFIED {
            // A redirect could send kube-apiserver's client, with its certificate, to any address.
            error!(%code, path = self.request.info.path, "a redirect response was blocked");
            code = StatusCode::INTERNAL_SERVER_ERROR;
            headers.remove(header::LOCATION);
        }
        if self.request.method == Method::HEAD {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            body.clear();
        }
        self.respond(state, code, headers, content_type, ResponseBody::complete(body, seat))
    }

    fn respond(
        self,
        state: &ServerState,
        code: StatusCode,
        headers: HeaderMap,
        content_type: &'static str,
        body: ResponseBody,
    ) -> Response<ResponseBody> {
        self.count(state, code, &body);
        let mut response = Response::new(body);
        *response.status_mut() = code;
        let sent = response.headers_mut();
        *sent = headers;
        if code != StatusCode::NOT_MODIFIED && !content_type.is_empty() {
            sent.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        sent.insert(AUDIT_ID, self.audit_id);
        sent.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        response
    }

    /// Builds the response from the head of an upstream's response.
    pub(super) fn pass_on(
        self,
        state: &ServerState,
        head: response::Parts,
        body: ResponseBody,
    ) -> Response<ResponseBody> {
        let code = head.status;
        self.count(state, code, &body);
        let mut headers = head.headers;
        let protocol = upgrade_protocol(&headers);
        let protocol = protocol.filter(|_| code == StatusCode::SWITCHING_PROTOCOLS);
        strip_hop_by_hop(&mut headers, protocol);
        headers.insert(AUDIT_ID, self.audit_id);
        let mut response = Response::new(body);
        *response.status_mut() = code;
        *response.headers_mut() = headers;
        response
    }

    /// Counts the response.
    fn count(&self, state: &ServerState, code: StatusCode, body: &ResponseBody) {
        state.metrics.request_ended(&RequestOutcome {
            info: &self.request.info,
            is_dry_run: query_value(&self.request.query, "dryRun") == Some("All"),
            code,
            micros: state.micros_since(self.request.received),
            bytes: body.size_hint().exact().and_then(|len| usize::try_from(len).ok()),
        });
    }
}
