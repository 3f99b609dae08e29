//! Parts of an HTTP client that connects only where the egress policy permits.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::egress::EgressPolicy;
use super::resolver::Resolver;

/// Time to establish a TCP connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Idle connections are closed after this time, before object stores close them.
const IDLE_TIME_MAX: Duration = Duration::from_secs(15);

/// Establishes connections that the egress policy permits.
pub type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// A connector for `http` and `https` URLs.
///
/// With `allow_metadata_hosts`, hosts of cloud metadata services may be dialed regardless of the
/// policy. This is for protocols in which the server, not a user, chooses the host.
pub fn connector(
    egress: &EgressPolicy,
    tls: ClientConfig,
    allow_metadata_hosts: bool,
) -> Connector {
    let mut tcp =
        HttpConnector::new_with_resolver(Resolver { egress: egress.clone(), allow_metadata_hosts });
    tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp)
}

/// The settings that all clients share.
pub fn client_builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE_TIME_MAX).pool_timer(TokioTimer::new()).timer(TokioTimer::new());
    builder
}

/// Checks the scheme of a URL, and its host if that is an IP address.
///
/// Names are checked when they are resolved. The error contains the reason.
pub fn check_uri(egress: &EgressPolicy, uri: &Uri) -> Result<(), String> {
    if uri.scheme_str() != Some("https") && !egress.plain_http {
        return Err("plain http is not allowed".to_owned());
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>().ok().and_then(|address| egress.denial(address)) {
        Some(why) => Err(format!("{host} {why}")),
        None => Ok(()),
    }
}

/// The `Retry-After` header: seconds, or a date that is compared with the `Date` header.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let retry_at = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    retry_at.duration_since(now).ok()
}
