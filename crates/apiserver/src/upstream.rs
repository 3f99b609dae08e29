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
    /// Whether the connection should switch protocols.
    pub is_upgrade: bool,
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

/// Removes the headers that concern one connection only, and those that `Connection` names. For an
/// upgrade, `Connection` and `Upgrade` are set again from what they were.
pub fn strip_hop_by_hop(headers: &mut HeaderMap, is_upgrade: bool) {
    let upgrade = headers.get(header::UPGRADE).cloned().filter(|_| is_upgrade);
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_and_those_that_it_names_are_not_forwarded() {
        let check = |is_upgrade: bool, expected: &[&str]| {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("accept", "*/*"),
                ("connection", "Upgrade, X-Private"),
                ("connection", "keep-alive"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "SPDY/3.1"),
                ("x-private", "1"),
            ] {
                headers.append(name, HeaderValue::from_static(value));
            }
            strip_hop_by_hop(&mut headers, is_upgrade);
            let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, expected);
        };
        check(false, &["accept"]);
        check(true, &["accept", "connection", "upgrade"]);
    }
}
