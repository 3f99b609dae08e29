//! Another Keepwatch as a destination: it receives event lists in the form of kube-apiserver's
//! audit webhook.
//!
//! A batch counts as delivered after a response with status 200, when the receiver has recorded it.
//! After any other response the same events are sent again, so they keep their order and none is
//! skipped; the receiver recognizes events that it has recorded before. If it does not accept lists
//! of this size (413), fewer events are sent at a time.
//!
//! Deliberately absent: retries (crate `delivery`), and the source of the credentials.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use secrecy::{ExposeSecret as _, SecretString};

use crate::http::{client_builder, retry_after};
use crate::{Batch, BoxError, DeliverError, Delivered, Encoding, Sink, error_chain};

/// The text before the events of a list.
const START: &[u8] =
    br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;
/// The text after the events of a list.
const END: &[u8] = b"]}";
/// Time to establish a TCP connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Timeout for a response. The receiver's timeouts for a body and for its disk are shorter in
/// total.
pub const RESPONSE_TIME_MAX: Duration = Duration::from_mins(1);
/// After each list that is accepted, the next one may have this fraction more events.
const INCREASE_DIVISOR: usize = 16;
/// Maximum length of the part of a response that an error quotes, in bytes.
const RESPONSE_BYTES_MAX: usize = 1024;
/// Maximum length of this part, in characters.
const QUOTE_MAX: usize = 200;

/// The receiver of the lists, and the client credentials.
#[derive(Debug)]
pub struct Receiver {
    /// URL of the audit webhook, https.
    pub url: Uri,
    /// PEM certificates of the CAs that may sign the receiver's certificate; the system's CAs if
    /// there are none.
    pub ca: Option<Vec<u8>>,
    /// The expected name in the receiver's certificate, if it differs from the host of the URL.
    pub server_name: Option<String>,
    /// Bearer token.
    pub token: Option<SecretString>,
    /// PEM certificate and private key of the client.
    pub identity: Option<(Vec<u8>, SecretString)>,
}

/// Reads the receiver from files that may have changed.
pub type ReadReceiver = Box<dyn Fn() -> Result<Receiver, BoxError> + Send + Sync>;

/// Sends event lists.
pub struct EventListSink {
    name: String,
    user_agent: HeaderValue,
    encoding: Encoding,
    read_receiver: ReadReceiver,
    /// `None` after a failure, because certificates and tokens may have been replaced.
    connection: Option<Connection>,
    /// Maximum number of events in a list; lower after the receiver rejected a list for its size.
    events_max: usize,
}

/// A client, and the common parts of its requests.
struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
}

/// Why a list was not accepted.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("cannot use its URL, certificates or credentials")]
    Receiver(#[source] BoxError),
    #[error("the request failed")]
    Request(#[source] BoxError),
    #[error("no response within {} seconds", RESPONSE_TIME_MAX.as_secs())]
    Late,
    #[error("{url} responded with {code}: {text}")]
    Rejected { url: Uri, code: StatusCode, text: String, after: Option<Duration> },
    #[error(
        "{url} accepts no event of {bytes} bytes (413): raise the limit of the proxy in front of \
         Keepwatch"
    )]
    TooLarge { url: Uri, bytes: usize },
}

impl EventListSink {
    /// Creates a sink. `name` is that of its cursor, and `version` that of this program.
    pub fn new(name: &str, version: &'static str, read_receiver: ReadReceiver) -> Self {
        let user_agent = format!("keepwatch-forward/{version}");
        Self {
            name: name.to_owned(),
            user_agent: HeaderValue::try_from(user_agent)
                .unwrap_or(HeaderValue::from_static("keepwatch-forward")),
            encoding: Encoding::V1,
            read_receiver,
            connection: None,
            events_max: usize::MAX,
        }
    }

    /// Sends the beginning of a batch. Returns the number of events that the receiver has recorded.
    async fn send(&mut self, batch: &Batch) -> Result<usize, SendError> {
        loop {
            let events = batch.len().min(self.events_max);
            let body = list(batch, events);
            let bytes = body.len();
            let response = self.post(body).await?;
            let code = response.status();
            if code == StatusCode::OK {
                // The limit grows slowly, because the receiver's limit has not changed.
                let more = (self.events_max / INCREASE_DIVISOR).max(1);
                self.events_max = self.events_max.saturating_add(more);
                return Ok(events);
            }
            let url = self.url();
            if code != StatusCode::PAYLOAD_TOO_LARGE {
                let after = retry_after(response.headers());
                return Err(SendError::Rejected { url, code, text: quote(response).await, after });
            }
            if events <= 1 {
                return Err(SendError::TooLarge { url, bytes });
            }
            self.events_max = events / 2;
            tracing::warn!(
                bytes,
                events,
                "the receiver does not accept a list of this size: it is halved"
            );
        }
    }

    async fn post(&mut self, body: Bytes) -> Result<Response<Incoming>, SendError> {
        if self.connection.is_none() {
            let receiver = (self.read_receiver)().map_err(SendError::Receiver)?;
            self.connection = Some(Connection::new(receiver).map_err(SendError::Receiver)?);
        }
        let Some(connection) = &self.connection else { return Err(SendError::Late) };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = connection.url.clone();
        let json = HeaderValue::from_static("application/json");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, json.clone());
        headers.insert(ACCEPT, json);
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.extend(connection.authorization.clone().map(|value| (AUTHORIZATION, value)));
        let response = tokio::time::timeout(RESPONSE_TIME_MAX, connection.client.request(request));
        let response = response.await.map_err(|_| SendError::Late)?;
        response.map_err(|error| SendError::Request(Box::new(error)))
    }

    fn url(&self) -> Uri {
        self.connection.as_ref().map(|connection| connection.url.clone()).unwrap_or_default()
    }
}

#[async_trait]
impl Sink for EventListSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    async fn resume(&mut self, _state: &str) -> Result<(), DeliverError> {
        Ok(())
    }

    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliverError> {
        if batch.is_empty() {
            return Ok(Delivered::default());
        }
        match self.send(batch).await {
            Ok(records) => Ok(Delivered { records, ..Delivered::default() }),
            Err(error) => {
                self.connection = None;
                let after = match &error {
                    SendError::Rejected { after, .. } => *after,
                    _ => None,
                };
                let is_misconfigured = match &error {
                    SendError::Receiver(_) | SendError::TooLarge { .. } => true,
                    SendError::Rejected { code, .. } => {
                        code.is_client_error()
                            && *code != StatusCode::TOO_MANY_REQUESTS
                            && *code != StatusCode::REQUEST_TIMEOUT
                    }
                    SendError::Request(_) | SendError::Late => false,
                };
                tracing::debug!(error = error_chain(&error), "a list was not accepted");
                let source = Box::new(error);
                if is_misconfigured {
                    return Err(DeliverError::Misconfigured { source });
                }
                Err(DeliverError::Retry { after, source })
            }
        }
    }
}

impl Connection {
    fn new(receiver: Receiver) -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let tls = tls(&receiver)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let builder = match receiver.server_name {
            Some(name) => {
                let name = ServerName::try_from(name)?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
            None => builder,
        };
        let connector = builder.enable_http1().wrap_connector(tcp);
        let bearer = |token: &SecretString| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
            value.set_sensitive(true);
            Ok::<_, BoxError>(value)
        };
        Ok(Self {
            client: client_builder().build(connector),
            url: receiver.url,
            authorization: receiver.token.as_ref().map(bearer).transpose()?,
        })
    }
}

/// TLS with only the CA and the client certificate of a receiver.
fn tls(receiver: &Receiver) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    match &receiver.ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate?)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &receiver.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())?;
    Ok(builder.with_client_auth_cert(chain, key)?)
}

/// The first events of a batch as a list. Each is a line of the batch.
fn list(batch: &Batch, events: usize) -> Bytes {
    let len: usize = batch.ranges().take(events).map(|range| range.len()).sum();
    let mut body = Vec::with_capacity(START.len() + len + END.len());
    body.extend_from_slice(START);
    for (at, line) in batch.lines().take(events).enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    }
    body.extend_from_slice(END);
    Bytes::from(body)
}

/// The beginning of a response as text for an error.
async fn quote(response: Response<Incoming>) -> String {
    let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect();
    let Ok(Ok(body)) = tokio::time::timeout(CONNECT_TIME_MAX, body).await else {
        return "its response is not readable".to_owned();
    };
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let printable = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(QUOTE_MAX).collect()
}
