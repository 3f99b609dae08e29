//! The client of the upstream: HTTP/1.1 over TLS, with the proxy's own credentials.
//!
//! HTTP/1.1 gives each request its own connection, so that a client that reads slowly delays no
//! other, and protocols can be switched. A request is sent again only if its connection was closed
//! before the first byte was written. There is no cache, no redirect and no change of content.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::RequestInfo;
use apiserver::{ForwardedRequest, Upstream, UpstreamError, strip_hop_by_hop};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::ServerName;

use crate::connector::BoundedConnector;
use crate::credentials::{Contents, Files, RELOAD_PERIOD};
use crate::identity;
use crate::metrics::{IDENTITY, NO_RESPONSE, NOT_SENT, UpstreamMetrics};
use crate::tls::client_config;

/// Time to establish a TCP connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Idle connections are closed after this time: before Go's servers close them (90 s).
const IDLE_TIME_MAX: Duration = Duration::from_mins(1);
/// Connections that stay open without a request.
pub const IDLE_CONNECTIONS_MAX: usize = 64;
/// Period of TCP keep-alive probes: a watch may be silent for a long time.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Headers that say where a request came from.
const FORWARDED_FOR: &str = "x-forwarded-for";
const AUDIT_ID: &str = "audit-id";

/// How the upstream is reached.
#[derive(Clone, Debug, Default)]
pub struct UpstreamConfig {
    /// `https://host:port`, without a path.
    pub url: Uri,
    /// Name in its certificate, if it is not the URL's host.
    pub server_name: Option<String>,
    /// File with the CA of its certificate, PEM. Without it every certificate is accepted.
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token of the proxy's account.
    pub token_file: Option<PathBuf>,
    /// Files with the client certificate of the proxy's account and its key, PEM.
    pub identity_files: Option<(PathBuf, PathBuf)>,
    /// Resources whose bodies may contain secrets.
    pub withheld: Vec<WithheldBodies>,
}

/// A resource whose bodies are recorded in part.
#[derive(Clone, Debug)]
pub struct WithheldBodies {
    /// API group.
    pub group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// The fields that are recorded.
    pub recorded: &'static [&'static str],
}

/// Error of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The URL names no server, or more than one.
    #[error("{0} is not a URL such as https://10.0.0.1:443")]
    Url(Uri),
    /// The name is not a host name.
    #[error("{0:?} is not the name of a host")]
    ServerName(String),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The content of a file cannot be used.
    #[error("the credentials for the upstream cannot be used: {0}")]
    Content(String),
}

/// The client of an upstream.
pub struct UpstreamClient {
    authority: Authority,
    server_name: Option<ServerName<'static>>,
    files: Files,
    withheld: Vec<WithheldBodies>,
    connection: ArcSwap<Connection>,
    metrics: UpstreamMetrics,
}

/// Connections with the same credentials.
struct Connection {
    contents: Contents,
    authorization: Option<HeaderValue>,
    client: Client<BoundedConnector, Full<Bytes>>,
}

impl UpstreamClient {
    /// Reads the files. Connects to nothing.
    pub fn new(config: UpstreamConfig, metrics: UpstreamMetrics) -> Result<Self, ConfigError> {
        let UpstreamConfig { url, server_name, ca_file, token_file, identity_files, withheld } =
            config;
        let is_origin = url.scheme() == Some(&Scheme::HTTPS) && matches!(url.path(), "" | "/");
        let authority = url.authority().filter(|_| is_origin && url.query().is_none()).cloned();
        let authority = authority.filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(|| ConfigError::Url(url.clone()))?;
        let server_name = match server_name {
            Some(name) => Some(
                ServerName::try_from(name.clone()).map_err(|_| ConfigError::ServerName(name))?,
            ),
            None => None,
        };
        let files = Files { ca: ca_file, token: token_file, identity: identity_files };
        let connection = Connection::new(files.read()?, server_name.as_ref())?;
        let connection = ArcSwap::from_pointee(connection);
        Ok(Self { authority, server_name, files, withheld, connection, metrics })
    }

    /// Rereads the files periodically, forever. New connections use new credentials; a watch keeps
    /// its connection.
    pub async fn reload(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RELOAD_PERIOD).await;
            let client = Arc::clone(&self);
            let reloaded = tokio::task::spawn_blocking(move || client.reload_once()).await;
            match reloaded {
                Ok(Ok(true)) => tracing::info!("reloaded the credentials for the upstream"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the old credentials for the upstream stay in use");
                }
                Err(error) => tracing::error!(%error, "the reload of credentials panicked"),
            }
        }
    }

    /// Rereads the files. Returns whether they changed.
    fn reload_once(&self) -> Result<bool, ConfigError> {
        let contents = self.files.read()?;
        if self.connection.load().contents == contents {
            return Ok(false);
        }
        let connection = Connection::new(contents, self.server_name.as_ref())?;
        self.connection.store(Arc::new(connection));
        Ok(true)
    }

    fn request(
        &self,
        forwarded: ForwardedRequest,
        authorization: Option<&HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, UpstreamError> {
        let ForwardedRequest { method, uri, mut headers, user, info, client, .. } = forwarded;
        strip_hop_by_hop(&mut headers, forwarded.protocol);
        for name in [header::HOST, header::CONTENT_LENGTH, header::EXPECT] {
            headers.remove(name);
        }
        let named = if identity::is_own(&user, &method, &info) {
            identity::strip(&mut headers);
            Ok(())
        } else {
            identity::impersonate(&mut headers, &user)
        };
        named.map_err(|error| UpstreamError::Identity(error.to_string()))?;
        append_forwarded_for(&mut headers, &client.to_string());
        headers.insert(AUDIT_ID, forwarded.audit_id);
        headers.extend(authorization.cloned().map(|value| (header::AUTHORIZATION, value)));
        let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let unsendable = |error: http::Error| UpstreamError::NotSent(error.to_string());
        let uri = Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(unsendable)?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .version(Version::HTTP_11)
            .body(Full::new(forwarded.body))
            .map_err(unsendable)?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

#[async_trait]
impl Upstream for UpstreamClient {
    fn name(&self) -> &str {
        self.authority.as_str()
    }

    fn recorded_fields(&self, info: &RequestInfo) -> Option<&'static [&'static str]> {
        let is_same = |withheld: &&WithheldBodies| {
            withheld.group == info.api_group && withheld.resource == info.resource
        };
        self.withheld.iter().find(is_same).map(|withheld| withheld.recorded)
    }

    async fn send(&self, forwarded: ForwardedRequest) -> Result<Response<Incoming>, UpstreamError> {
        let connection = self.connection.load_full();
        let request = match self.request(forwarded, connection.authorization.as_ref()) {
            Ok(request) => request,
            Err(error) => {
                self.metrics.failed(IDENTITY);
                return Err(error);
            }
        };
        match connection.client.request(request).await {
            Ok(response) => {
                self.metrics.responded();
                Ok(response)
            }
            Err(error) if error.is_connect() => {
                self.metrics.failed(NOT_SENT);
                Err(UpstreamError::NotSent(chain(&error)))
            }
            Err(error) => {
                self.metrics.failed(NO_RESPONSE);
                Err(UpstreamError::NoResponse(chain(&error)))
            }
        }
    }
}

impl Connection {
    fn new(
        contents: Contents,
        server_name: Option<&ServerName<'static>>,
    ) -> Result<Self, ConfigError> {
        let identity = contents.identity.as_ref();
        let identity = identity.map(|(certificate, key)| (certificate.as_slice(), key.as_slice()));
        let tls = client_config(contents.ca.as_deref(), identity).map_err(ConfigError::Content)?;
        let authorization = contents.authorization().map_err(ConfigError::Content)?;
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.enforce_http(false);
        let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        if let Some(name) = server_name {
            builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone()));
        }
        let connector = BoundedConnector::new(builder.enable_http1().wrap_connector(tcp));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(connector);
        Ok(Self { contents, authorization, client })
    }
}

/// Appends the address of the aggregator, whose connection this was, to those that it sent.
fn append_forwarded_for(headers: &mut HeaderMap, client: &str) {
    let earlier = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<&str> = earlier.chain([client]).collect();
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use event::UserInfo;
    use http::Method;

    use super::*;
    use crate::connector::CONNECTION_TIME_MAX;

    /// A long-running request has no time limit of its own. Time is simulated.
    #[tokio::test(start_paused = true)]
    async fn a_tls_handshake_that_was_never_answered_lasted_until_the_client_left() {
        // It accepts connections, and nothing more.
        let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://{}", silent.local_addr().unwrap()).parse().unwrap();
        let config = UpstreamConfig { url, ..UpstreamConfig::default() };
        let client = UpstreamClient::new(config, UpstreamMetrics::default()).unwrap();
        let forwarded = ForwardedRequest {
            method: Method::GET,
            uri: Uri::from_static("/apis/test.io/v1/things?watch=1"),
            headers: HeaderMap::new(),
            user: Arc::new(UserInfo { username: "alice".to_owned(), ..UserInfo::default() }),
            info: RequestInfo::default(),
            client: Ipv4Addr::LOCALHOST.into(),
            audit_id: HeaderValue::from_static("chosen"),
            protocol: None,
            body: Bytes::new(),
        };
        let sent = tokio::time::timeout(2 * CONNECTION_TIME_MAX, client.send(forwarded)).await;
        let error = sent.expect("the handshake has a time limit").unwrap_err();
        assert!(matches!(&error, UpstreamError::NotSent(_)), "{error:?}");
        assert!(error.to_string().contains("no TLS connection within 10 seconds"), "{error}");
    }

    #[test]
    fn the_aggregators_address_follows_those_that_it_sent() {
        let mut headers = HeaderMap::new();
        append_forwarded_for(&mut headers, "10.0.0.2");
        assert_eq!(headers[FORWARDED_FOR], "10.0.0.2");
        headers.append(FORWARDED_FOR, HeaderValue::from_static("192.0.2.7"));
        append_forwarded_for(&mut headers, "::1");
        assert_eq!(headers[FORWARDED_FOR], "10.0.0.2, 192.0.2.7, ::1");
    }

    #[test]
    fn only_the_origin_of_an_https_url_is_accepted() {
        for (url, expected) in [
            ("https://10.0.0.1:443", true),
            ("https://api.wardle.svc/", true),
            ("http://10.0.0.1", false),
            ("https://10.0.0.1/apis", false),
            ("https://10.0.0.1/?a", false),
            ("https://user@10.0.0.1", false),
            ("10.0.0.1:443", false),
        ] {
            let config = UpstreamConfig { url: url.parse().unwrap(), ..UpstreamConfig::default() };
            let client = UpstreamClient::new(config, UpstreamMetrics::default());
            assert_eq!(client.is_ok(), expected, "{url}");
        }
    }
}
