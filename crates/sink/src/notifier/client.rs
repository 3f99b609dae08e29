//! The HTTP client of one notifier: sends a POST request and interprets the response.
//!
//! The body of a response is read to reuse the connection and to find known words.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use secrecy::ExposeSecret as _;

use super::{NotifyError, OpenError, Settings};
use crate::error_chain;
use crate::http::{
    Connector, EgressPolicy, check_uri, client_builder, connector, is_metadata_host, retry_after,
    tls,
};

/// The longest time for a response. Webhook receivers are expected to respond within seconds.
pub const RESPONSE_TIME_MAX: Duration = Duration::from_secs(15);
/// Maximum number of bytes that are read from a response body.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Timeout for reading them.
const BODY_TIME_MAX: Duration = Duration::from_secs(2);
/// The maximum length of a URL in bytes.
const URL_BYTES_MAX: usize = 4096;
/// The `User-Agent` header.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("keepwatch/", env!("CARGO_PKG_VERSION")));
/// The `Content-Type` of every body.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends requests to one URL.
pub(super) struct Client {
    http: HyperClient<Connector, Full<Bytes>>,
    egress: EgressPolicy,
    uri: Uri,
    origin: String,
}

impl Client {
    /// A client for the URL of `settings`, to which `path` is added unless it ends with it.
    pub(super) fn new(settings: &Settings, path: &str) -> Result<Self, OpenError> {
        let mut egress = settings.egress.clone();
        egress.response_timeout = egress.response_timeout.min(RESPONSE_TIME_MAX);
        let (uri, origin) = parse_url(settings.url.expose_secret(), path, &egress)?;
        let tls = tls::config(settings.ca_pem.as_deref(), false)
            .map_err(|error| OpenError::Ca { reason: error.to_string() })?;
        let http = client_builder().build(connector(&egress, tls, false));
        Ok(Self { http, egress, uri, origin })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn no_response_delay(&self) -> Duration {
        self.egress.no_response_delay()
    }

    /// Sends a body. `known_bodies` are response bodies that errors may repeat.
    pub(super) async fn post(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
        known_bodies: &[&str],
    ) -> Result<(), NotifyError> {
        check_uri(&self.egress, &self.uri)
            .map_err(|reason| NotifyError::Misconfigured { reason })?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        request.headers_mut().insert(USER_AGENT, AGENT);
        let response_timeout = self.egress.response_timeout;
        let response = match tokio::time::timeout(response_timeout, self.http.request(request))
            .await
        {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                if let Some(words) = tls::handshake_failure(&error) {
                    let (origin, why) = (self.origin.as_str(), error_chain(&error));
                    tracing::warn!(origin, why, "no TLS with a notifier's destination");
                    return Err(NotifyError::Misconfigured {
                        reason: format!("the destination cannot be used: {words}"),
                    });
                }
                // A denied name and an unknown one look the same.
                return Err(self.no_response(error.is_connect(), &error_chain(&error)));
            }
            Err(_) => {
                return Err(self.no_response(false, &format!("none within {response_timeout:?}")));
            }
        };
        let status = response.status();
        let after = retry_after(response.headers());
        let body = read_body(response).await;
        if status.is_success() {
            return Ok(());
        }
        let known_body =
            known_bodies.iter().find(|known_body| body.trim_ascii() == known_body.as_bytes());
        Err(failure(status, after, known_body.copied()))
    }

    /// The error for a missing response. The reason is only logged.
    fn no_response(&self, is_connect_error: bool, why: &str) -> NotifyError {
        tracing::warn!(origin = self.origin, why, "no response from a notifier's destination");
        NotifyError::NoResponse { is_connect_error }
    }
}

/// The body of a response, or nothing if it is too long or too slow.
async fn read_body(response: Response<Incoming>) -> Bytes {
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIME_MAX, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    }
}

/// The error for a response that does not report success.
fn failure(status: StatusCode, after: Option<Duration>, known_body: Option<&str>) -> NotifyError {
    let name = status.canonical_reason().unwrap_or("unknown status");
    let known_body = known_body.map_or(String::new(), |known_body| format!(": {known_body}"));
    let status_text =
        format!("the destination responded with {} {name}{known_body}", status.as_u16());
    match status.as_u16() {
        300..=399 => NotifyError::Misconfigured {
            reason: format!(
                "{status_text}; redirects are not followed: set the url to their target"
            ),
        },
        401 | 403 | 407 => NotifyError::Misconfigured {
            reason: format!("{status_text}: check the Secret and its permissions"),
        },
        404 | 405 | 410 => {
            NotifyError::Misconfigured { reason: format!("{status_text}: check the url") }
        }
        408 | 425 | 429 => NotifyError::Retry { after, reason: status_text },
        400..=499 => NotifyError::Refused { reason: status_text },
        _ => NotifyError::Retry { after, reason: status_text },
    }
}

/// The URL with `path` added, and the part of it that may be shown.
fn parse_url(url: &str, path: &str, egress: &EgressPolicy) -> Result<(Uri, String), OpenError> {
    let invalid = |reason: &str| OpenError::Url { reason: reason.to_owned() };
    let url = url.trim();
    if url.is_empty() || url.len() > URL_BYTES_MAX {
        return Err(invalid("is empty or longer than 4096 bytes"));
    }
    let (address, query) =
        url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let address = address.trim_end_matches('/');
    let suffix = if address.ends_with(path) { "" } else { path };
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    let full = if suffix.is_empty() { url.to_owned() } else { format!("{address}{suffix}{query}") };
    let uri: Uri =
        full.parse().map_err(|_| invalid("is not an address such as https://example.com/hook"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    egress.check_scheme(&uri).map_err(invalid)?;
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || authority.contains('@') {
        return Err(invalid("must name a host without a user: use secretRef for credentials"));
    }
    if is_metadata_host(host) {
        return Err(invalid("names a metadata service, which is not allowed"));
    }
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>()
        && let Some(why) = egress.denial(address)
    {
        return Err(invalid(&format!("names {address}, which {why}")));
    }
    let origin = format!("{scheme}://{authority}");
    Ok((uri, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, path: &str, expected: &str) {
        let egress = EgressPolicy { plain_http: url.contains("plain"), ..EgressPolicy::default() };
        let actual = match parse_url(url, path, &egress) {
            Ok((uri, origin)) => format!("{uri} at {origin}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{url}");
    }

    #[test]
    fn a_url_is_validated_before_use_and_not_repeated_in_errors() {
        for (url, path, expected) in [
            ("https://a.example/x?k=1", "", "https://a.example/x?k=1 at https://a.example"),
            (
                "https://a.example:9093",
                "/v2",
                "https://a.example:9093/v2 at https://a.example:9093",
            ),
            ("https://a.example/p/", "/v2", "https://a.example/p/v2 at https://a.example"),
            ("https://a.example/v2", "/v2", "https://a.example/v2 at https://a.example"),
            ("https://a.example?k=1", "/v2", "https://a.example/v2?k=1 at https://a.example"),
            ("http://plain.example/", "", "http://plain.example/ at http://plain.example"),
            ("https://8.8.8.8/x", "", "https://8.8.8.8/x at https://8.8.8.8"),
        ] {
            check(url, path, expected);
        }
        for (url, expected) in [
            ("", "the url is empty or longer than 4096 bytes"),
            ("https://a b/secret", "the url is not an address such as https://example.com/hook"),
            ("ftp://a.example/secret", "the url has to begin with https://"),
            (
                "http://a.example/secret",
                "the url is plain http, which is not allowed here: use https, or allow it by a \
                 setting",
            ),
            (
                "https://u:secret@a.example/",
                "the url must name a host without a user: use secretRef for credentials",
            ),
            (
                "https://169.254.169.254/secret",
                "the url names a metadata service, which is not allowed",
            ),
            (
                "https://[::ffff:127.0.0.1]/secret",
                "the url names ::ffff:127.0.0.1, which is a loopback address",
            ),
        ] {
            check(url, "", expected);
            assert!(!expected.contains("secret@"));
        }
    }

    #[test]
    fn each_status_has_one_reaction() {
        for (status, expected) in [
            (301, "misconfigured"),
            (400, "refused"),
            (401, "misconfigured"),
            (403, "misconfigured"),
            (404, "misconfigured"),
            (408, "retry"),
            (410, "misconfigured"),
            (413, "refused"),
            (422, "refused"),
            (429, "retry"),
            (500, "retry"),
            (503, "retry"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let actual = match failure(status, Some(Duration::from_secs(7)), None) {
                NotifyError::Retry { after: Some(_), .. } => "retry",
                NotifyError::Refused { .. } => "refused",
                NotifyError::Misconfigured { .. } => "misconfigured",
                other => panic!("{other:?}"),
            };
            assert_eq!(actual, expected, "{status}");
        }
    }
}
