//! Another extension API server, to which this server forwards requests.
//!
//! The request handler authenticates, records and limits a request like a local one, and then
//! passes it to an [`Upstream`]. The upstream authorizes it. The implementation determines the
//! connection and the account.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use event::UserInfo;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri, header};
use hyper::body::Incoming;

use apimachinery::RequestInfo;

/// An extension API server that serves the requests of this one.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Its host and port, for events and messages.
    fn name(&self) -> &str;

    /// The fields of bodies that are recorded, if the bodies of this resource may contain secrets;
    /// `None` if they may be recorded completely.
    fn recorded_fields(&self, info: &RequestInfo) -> Option<&'static [&'static str]>;

    /// Sends the request once, and returns when the head of the response has arrived.
    async fn send(&self, request: ForwardedRequest) -> Result<Response<Incoming>, UpstreamError>;
}

/// A request to forward.
#[derive(Clone, Debug)]
pub struct ForwardedRequest {
    /// HTTP method.
    pub method: Method,
    /// Path and query as the client sent them.
    pub uri: Uri,
    /// Headers as the client sent them, without credentials and identity headers.
    pub headers: HeaderMap,
    /// The user for whom the request is made.
    pub user: Arc<UserInfo>,
    /// The parsed method and URL.
    pub info: RequestInfo,
    /// Address of the client, which is the aggregator's.
    pub client: IpAddr,
    /// Audit ID of the request.
    pub audit_id: HeaderValue,
    /// The protocol to which the connection should switch.
    pub protocol: Option<&'static str>,
    /// The complete body.
    pub body: Bytes,
}

/// The reason why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No byte of the request was sent: it had no effect.
    #[error("{0}")]
    NotSent(String),
    /// The user cannot be passed on unchanged, so nothing was sent.
    #[error("{0}")]
    Identity(String),
    /// The request was sent, or a part of it. Whether it had an effect is unknown.
    #[error("{0}")]
    NoResponse(String),
}

/// Headers of one connection, which a proxy must not forward (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The protocols to which clients of Kubernetes switch a connection. As in Go's servers, the header
/// `Upgrade` of any other protocol is ignored.
const PROTOCOLS: [&str; 2] = ["websocket", "SPDY/3.1"];

/// The protocol to which the headers ask to switch, or have switched; `None` for other protocols.
pub fn upgrade_protocol(headers: &HeaderMap) -> Option<&'static str> {
    words(headers, header::CONNECTION).find(|word| word.eq_ignore_ascii_case("upgrade"))?;
    let named = |protocol: &&str| {
        words(headers, header::UPGRADE).any(|word| word.eq_ignore_ascii_case(protocol))
    };
    PROTOCOLS.into_iter().find(named)
}

/// The elements of a header that is a list.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Headers for the upstream itself, beside those of the content (`Content-Type` …): what a request
/// means, or what is recorded of it, depends on them. `Connection` must not name them (RFC 9110,
/// section 7.6.1), so it does not remove them.
const END_TO_END: [&str; 8] = [
    "accept",
    "accept-encoding",
    "audit-id",
    "if-match",
    "if-none-match",
    "user-agent",
    "x-forwarded-for",
    "x-real-ip",
];

fn is_end_to_end(name: &HeaderName) -> bool {
    name.as_str().starts_with("content-") || END_TO_END.contains(&name.as_str())
}

/// Removes the headers that concern one connection only, and those that `Connection` names. To
/// switch to `protocol`, `Connection` and `Upgrade` are set again.
pub fn strip_hop_by_hop(headers: &mut HeaderMap, protocol: Option<&'static str>) {
    let named: Vec<HeaderName> = words(headers, header::CONNECTION)
        .filter_map(|name| name.parse().ok())
        .filter(|name| !is_end_to_end(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn headers_of_the_connection_and_those_that_it_names_are_not_forwarded() {
        let check = |protocol: Option<&'static str>, expected: &[&str]| {
            let mut headers = headers(&[
                ("accept", "*/*"),
                ("connection", "Upgrade, X-Private"),
                ("connection", "keep-alive"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "SPDY/3.1"),
                ("x-private", "1"),
            ]);
            strip_hop_by_hop(&mut headers, protocol);
            let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, expected);
        };
        check(None, &["accept"]);
        check(Some("SPDY/3.1"), &["accept", "connection", "upgrade"]);
    }

    #[test]
    fn the_media_type_of_a_body_was_removed_because_connection_named_it() {
        let mut headers = headers(&[
            ("connection", "Content-Type, user-agent, x-private"),
            ("content-type", "text/plain"),
            ("user-agent", "kubectl"),
            ("x-private", "1"),
        ]);
        strip_hop_by_hop(&mut headers, None);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "user-agent"]);
    }

    #[test]
    fn any_protocol_was_switched_to() {
        let check = |connection, upgrade, expected| {
            let headers = headers(&[("connection", connection), ("upgrade", upgrade)]);
            assert_eq!(upgrade_protocol(&headers), expected, "{connection} {upgrade}");
        };
        check("Upgrade", "websocket", Some("websocket"));
        check("keep-alive, upgrade", "WebSocket", Some("websocket"));
        check("Upgrade", "spdy/3.1", Some("SPDY/3.1"));
        check("Upgrade", "h2c, websocket", Some("websocket"));
        check("keep-alive", "websocket", None);
        check("Upgrade", "h2c", None);
        check("Upgrade", "SPDY/3.1x", None);
        check("Upgrade", "", None);
    }
}
