//! Rejects request heads that hyper accepts and Go's `net/http` rejects. Such a request never
//! reaches a handler of kube-apiserver, so it reaches none here.
//!
//! Only heads that hyper has parsed are checked; a head that hyper rejects never gets here. Neither
//! produces an audit event; both are counted as malformed requests. Two cases are accepted on
//! purpose although Go rejects them: empty lines before a request, and a `Content-Length` that is
//! not a number together with `Transfer-Encoding: chunked`. hyper ignores both, and closes the
//! connection after the latter.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};

use crate::handler::body::ResponseBody;
use crate::limits::URI_BYTES_MAX;

/// Characters allowed in a `Host` header besides letters and digits: those of a URI host and port.
const HOST_PUNCTUATION: &[u8] = b"!$%&()*+,-.:;='[]_~";

/// Reasons for a rejection, with Go's exact responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    NoHost,
    SeveralHosts,
    MalformedHost,
    /// Go supports `chunked` only.
    TransferEncoding,
    Expectation,
    /// A `%` without two hexadecimal digits after it.
    PathEscape,
    /// HTTP/2 only; Go resets the stream.
    Scheme,
}

impl HeadError {
    /// Returns why Go's server would reject this head before it calls a handler; `None` if it would not.
    pub(super) fn check<B>(request: &Request<B>) -> Option<Self> {
        let path = request.uri().path().as_bytes();
        // A longer path may have been cut inside an escape. It gets 414.
        if path.len() <= URI_BYTES_MAX && has_malformed_escape(path) {
            return Some(Self::PathEscape);
        }
        if request.version() > Version::HTTP_11 {
            let scheme = request.uri().scheme_str();
            let is_known = scheme.is_none_or(|scheme| matches!(scheme, "http" | "https"));
            return (!is_known).then_some(Self::Scheme);
        }
        Self::check_host(request).or_else(|| {
            let headers = request.headers();
            let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
            let is_chunked =
                |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
            if codings.next().is_some_and(|first| !is_chunked(first) || codings.next().is_some()) {
                return Some(Self::TransferEncoding);
            }
            let expects = headers.get(EXPECT).map(HeaderValue::as_bytes).unwrap_or_default();
            let is_other = !expects.is_empty() && !has_token(expects, b"100-continue");
            is_other.then_some(Self::Expectation)
        })
    }

    fn check_host<B>(request: &Request<B>) -> Option<Self> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let Some(host) = hosts.next() else {
            let needs_host =
                request.version() == Version::HTTP_11 && request.method() != Method::CONNECT;
            return needs_host.then_some(Self::NoHost);
        };
        if hosts.next().is_some() {
            return Some(Self::SeveralHosts);
        }
        let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || HOST_PUNCTUATION.contains(byte);
        (!host.as_bytes().iter().all(is_valid)).then_some(Self::MalformedHost)
    }

    /// The response. An HTTP/1 connection closes after it.
    pub(super) fn answer(self, version: Version) -> Response<ResponseBody> {
        let (code, text) = match self {
            Self::NoHost => (400, "400 Bad Request: missing required Host header"),
            Self::MalformedHost => (400, "400 Bad Request: malformed Host header"),
            Self::SeveralHosts | Self::PathEscape | Self::Scheme => (400, "400 Bad Request"),
            Self::TransferEncoding => (501, "Unsupported transfer encoding"),
            Self::Expectation => (417, ""),
        };
        let body = ResponseBody::complete(Bytes::from_static(text.as_bytes()), None);
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn has_malformed_escape(path: &[u8]) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let is_malformed = |(at, _)| !is_hex(path.get(at + 1)) || !is_hex(path.get(at + 2));
    path.iter().enumerate().filter(|(_, byte)| **byte == b'%').any(is_malformed)
}

/// As Go's `hasToken`: commas and blanks separate tokens.
fn has_token(value: &[u8], token: &[u8]) -> bool {
    let mut tokens = value.split(|byte| matches!(byte, b' ' | b',' | b'\t'));
    tokens.any(|candidate| candidate.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `head` is method, target and headers; `expected` is Go's rejection, if any.
    fn check(version: Version, head: &str, expected: Option<HeadError>) {
        let mut lines = head.split(" | ");
        let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
        let mut request = Request::builder().version(version).method(method).uri(uri);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            request = request.header(name, value.trim_ascii());
        }
        assert_eq!(HeadError::check(&request.body(()).unwrap()), expected, "{version:?} {head}");
    }

    #[test]
    fn heads_that_go_rejects_are_rejected() {
        use HeadError::*;
        let (v10, v11, v2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        for (version, head, expected) in [
            (v11, "GET /", Some(NoHost)),
            (v11, "GET http://a/", Some(NoHost)),
            (v11, "OPTIONS *", Some(NoHost)),
            (v11, "CONNECT a:443", None),
            (v10, "GET /", None),
            (v2, "GET https://a/", None),
            (v2, "GET /", None),
            (v11, "GET / | Host: a", None),
            (v11, "GET / | Host:", None),
            (v11, "GET http://b/ | Host: a", None),
            (v11, "GET / | Host: [fe80::1%25eth0]:443", None),
            (v11, "GET / | Host: a | Host: a", Some(SeveralHosts)),
            (v10, "GET / | Host: a | Host: b", Some(SeveralHosts)),
            (v2, "GET https://a/ | Host: a | Host: b", None),
            (v11, "GET / | Host: a/b", Some(MalformedHost)),
            (v11, "GET / | Host: a b", Some(MalformedHost)),
            (v11, "GET / | Host: root@a", Some(MalformedHost)),
            (v10, "GET / | Host: \u{e9}", Some(MalformedHost)),
            (v11, "CONNECT a:443 | Host: a\"", Some(MalformedHost)),
            (v11, "POST / | Host: a | Transfer-Encoding: Chunked", None),
            (v11, "POST / | Host: a | Transfer-Encoding: gzip, chunked", Some(TransferEncoding)),
            (
                v11,
                "POST / | Host: a | Transfer-Encoding: chunked | Transfer-Encoding: chunked",
                Some(TransferEncoding),
            ),
            (v11, "PUT / | Host: a | Expect: 100-Continue", None),
            (v11, "PUT / | Host: a | Expect: x, 100-continue", None),
            (v11, "PUT / | Host: a | Expect:", None),
            (v11, "PUT / | Host: a | Expect: 100-continued", Some(Expectation)),
            (v10, "PUT / | Expect: x", Some(Expectation)),
            (v2, "PUT https://a/ | Expect: x", None),
            (v11, "GET /a%2fb%C3%A9 | Host: a", None),
            (v11, "GET /a%zz | Host: a", Some(PathEscape)),
            (v11, "GET /a% | Host: a", Some(PathEscape)),
            (v10, "GET /a%2", Some(PathEscape)),
            (v2, "GET https://a/%u002f", Some(PathEscape)),
            (v11, "GET /a?b=%zz | Host: a", None),
            (v2, "GET ftp://a/", Some(Scheme)),
            (v11, "GET ftp://a/ | Host: a", None),
        ] {
            check(version, head, expected);
        }
    }
}
